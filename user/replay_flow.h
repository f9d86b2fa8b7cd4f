/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a capture tells of its connections: which the server's host would hold behind the guard,
 * in which state and with which numbers, and by how much those of the capture differ from what
 * they would be had the guard been there. Pure.
 */
#ifndef SW_REPLAY_FLOW_H
#define SW_REPLAY_FLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "replay_edit.h"
#include "sw_replay.h"

enum replay_flag {
	FLOW_BEGUN = 1 << 0,    /* its SYN is in the capture */
	FLOW_ANSWERED = 1 << 1, /* by the guard: its cookie is out, the host knows nothing */
	FLOW_SHIFTED = 1 << 2,  /* and the server's SYN-ACK of the capture is known */
	FLOW_REFUSED = 1 << 3,  /* by the guard: what follows it would not be */
	FLOW_SAID_IN = 1 << 4,  /* acknowledged something, see replay_learn() */
	FLOW_SAID_OUT = 1 << 5,
	FLOW_OLD = 1 << 6, /* windows are not known: older than the capture, or one side is */
};

struct replay_flow {
	__be32 client[4], server[4];
	__be16 client_port, server_port;
	__u32 next;         /* of its bucket */
	__u32 older, newer; /* among those without a connection */
	__u8 state;         /* enum sw_state; SW_FREE: the host holds nothing */
	__u8 flags;         /* enum replay_flag */
	__u8 scale;         /* of the server's window */
	__u8 client_scale;
	bool client_asks; /* for scales */
	bool has_ts;
	bool fin_waits; /* the client's FIN came before what is in front of it */
	__u32 client_isn;
	__u32 cookie_isn, cookie_ts; /* of the guard's SYN-ACK */
	__u64 cookie_ns;
	struct replay_shift shift; /* of what the client sends: ack, tsecr */
	__u32 rcv_nxt, rcv_left, rcv_end, rcv_wnd;
	__u32 snd_una, snd_nxt, acked, client_wnd;
	__u32 client_fin, ts_recent;
	__u64 since_ns; /* TIME-WAIT, SYN-RECEIVED */
	__u64 waits_ns; /* since when the client has taken nothing of what there is; 0: it has all */
	bool shut;      /* its window */
};

struct replay_flows {
	struct replay_flow *at; /* 0: none */
	__u32 *bucket;
	__u32 buckets; /* a power of two */
	__u32 count, room, free;
	__u32 oldest, newest, idle; /* without a connection */
	__u32 idle_max;
	__u64 forgotten; /* for want of room */
};

/* idle_max: how many are remembered that have no connection. */
int replay_flows_new(struct replay_flows *f, __u32 idle_max);
void replay_flows_free(struct replay_flows *f);
/* Towards the server (`in`) or from it; NULL: there is none. It counts as used. */
struct replay_flow *replay_find(struct replay_flows *f, const struct replay_seg *s, bool in);
/* The same, of an entry of the guard's tables. */
struct replay_flow *replay_find_conn(struct replay_flows *f, const struct sw_conn *c);
/* The same, made if there is none; NULL: no memory. */
struct replay_flow *replay_make(struct replay_flows *f, const struct replay_seg *s, bool in);

/* First pass: what goes which way. */
void replay_learn(struct replay_flows *f, struct replay_flow *w, const struct replay_seg *s,
		  bool in);
/*
 * Between the passes: those that were there before the capture stay, the others go. `each` is
 * called for those that stay.
 */
int replay_settle(struct replay_flows *f, int (*each)(void *arg, const struct replay_flow *w),
		  void *arg, __u32 *stayed);

/* The guard answered the SYN with this SYN-ACK. */
void replay_answered(struct replay_flow *w, const struct replay_seg *syn,
		     const struct replay_seg *synack, __u64 now_ns);
/* The server's own SYN-ACK in its place: by how much they differ. */
void replay_replaced(struct replay_flow *w, const struct replay_seg *synack, __u64 now_ns);
/*
 * Of a server whose side nobody captured: the ACK that follows the SYN tells of its SYN-ACK. True:
 * so it was.
 */
bool replay_unheard(struct replay_flows *f, struct replay_flow *w, const struct replay_seg *s,
		    __u64 now_ns);
/* The handshake is handed to the host. */
void replay_opened(struct replay_flows *f, struct replay_flow *w, const struct replay_seg *ack);
/* A segment, moved already, that reached the host, or left it. True: a connection is made by it. */
bool replay_in(struct replay_flows *f, struct replay_flow *w, const struct replay_seg *s,
	       __u64 now_ns);
void replay_out(struct replay_flows *f, struct replay_flow *w, const struct replay_seg *s,
		__u64 now_ns);
/* The host holds it no more: see replay_expired() of replay_host.h. */
void replay_ended(struct replay_flows *f, struct replay_flow *w);

#endif /* SW_REPLAY_FLOW_H */
