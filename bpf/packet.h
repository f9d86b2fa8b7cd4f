/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frame as the parser leaves it. After the parser only cookie and SYN-ACK code touches
 * packet memory; IPv4 and IPv6, XDP and TC go through the same functions.
 */
#ifndef SW_PACKET_H
#define SW_PACKET_H

#include "maps.h"

/* TCP flags, byte 13 of the header (RFC 9293 3.1). */
#define TH_FIN 0x01
#define TH_SYN 0x02
#define TH_RST 0x04
#define TH_ACK 0x10
#define TH_ECE 0x40
#define TH_CWR 0x80

enum sw_frag {
	SW_FRAG_NONE,
	SW_FRAG_FIRST
};

#define SW_WSCALE_NONE 15
#define SW_WSCALE_MAX  14 /* RFC 7323 2.3 */

#define SW_OPT_SACK   0x01
#define SW_OPT_TS     0x02
#define SW_OPT_WS     0x04
#define SW_OPT_ECN    0x08
#define SW_OPT_SIGNED 0x10

struct sw_opts {
	__u32 tsval; /* host order */
	__u32 tsecr;
	__u16 mss;   /* 0: absent */
	__u8 wscale; /* SW_WSCALE_NONE: absent */
	__u8 has;    /* SW_OPT_* */
};

/* What a cookie stands for. */
struct sw_cookie {
	__u64 hash; /* 0: none */
	__u32 isn;  /* ours */
	__u32 epoch;
	__u32 sent_ticks; /* with timestamps: when the SYN-ACK left */
	__u32 age_ticks;  /* and how long ago, plus SW_TS_LAG_TICKS */
	__u8 mss;         /* index */
	__u8 wscale;      /* client's, SW_WSCALE_NONE */
	__u8 has;         /* SW_OPT_* remembered */
	__u8 pad;
};

/* The host's socket, as oracle.h saw it. Sequence numbers in host order. */
struct sw_view {
	__u8 state;   /* enum sw_state; SW_FREE: the host holds nothing */
	__u8 unknown; /* 1: a socket whose numbers cannot be read (MPTCP, sockmap) */
	__u8 request; /* 1: a request socket, no full one */
	__u8 has_ts;  /* ts_recent is valid */
	__u32 rcv_nxt;
	__u32 rcv_left; /* left of this is old: what was acknowledged last, as Linux has it */
	__u32 rcv_end;  /* right edge of the receive window */
	__u32 rcv_wnd;
	__u32 snd_una;
	__u32 snd_old; /* an ACK by so much below snd_una is one of long ago (RFC 5961 5.2) */
	__u32 snd_nxt; /* behind all that may have been sent */
	__u32 snd_end; /* acknowledging this acknowledges our FIN, or our SYN before there is one */
	__u32 ts_recent; /* TIME-WAIT */
};

/* What an entry of the connection table begins with. */
struct sw_birth {
	__u32 table; /* enum sw_table */
	__u8 state;
	__u8 flags;
	__u8 is_new; /* set by conn_make(): in a slot of its own */
	__u8 pad;
	__u32 opened_s; /* 0: now */
	__u32 rcv_nxt;
	__u32 client_fin;
	__u32 server_fin;
};

/* XDP metadata, 32 bytes: the most that every driver carries. */
struct sw_mark {
	__u32 magic; /* sw_boot.mark */
	__u32 seq;   /* host order: of the ACK, one after the client's SYN */
	__u64 cookie_hash;
	__u32 tsval;
	__u32 tsecr; /* as if the SYN-ACK left now: the host computes the true RTT from it */
	__u16 mss;
	__u8 our_wscale;
	__u8 wscale; /* client's */
	__u8 has;    /* SW_OPT_* */
	__u8 service;
	__u8 pad[2];
};

#define SW_CSUM_CHUNK 128

/* A bucket of a connection table as a newcomer finds it. Slots as refs, 0: none. */
struct sw_bucket {
	__u32 room;   /* unused, or a tombstone past its time */
	__u32 yields; /* what gives way if there is no room anywhere */
	__u32 taken;
	__u32 pad;
};

/* Client and server, whichever way the packet goes; laid out as in struct sw_conn. */
struct sw_tuple {
	__be32 client[4]; /* v4-mapped */
	__be32 server[4];
	union {
		struct {
			__be16 sport;
			__be16 dport;
		};
		__be32 ports;
	};
} __attribute__((aligned(8)));

struct sw_pkt {
	/* as struct sw_tuple */
	__be32 saddr[4];
	__be32 daddr[4];
	union {
		struct {
			__be16 sport;
			__be16 dport;
		};
		__be32 ports;
	};
	__u32 seq; /* host order */
	__u32 ack;
	__u32 len;     /* whole frame, all buffers */
	__u16 l3;      /* offset of the IP header */
	__u16 l4;      /* offset of the TCP header */
	__u16 service; /* id, 0 none */
	__u8 unlisted; /* the tables were searched, in vain */
	__u8 pad0;
	__u32 l4_len; /* TCP header and payload, by the IP header */
	__u8 family;  /* 4 or 6 */
	__u8 doff;    /* TCP header length in bytes, 0..60 */
	__u8 flags;
	__u8 ae;      /* AccECN's AE, the lowest bit of the reserved four */
	__u8 frag;    /* enum sw_frag */
	__u8 ip_opts; /* IPv4 header longer than 20 bytes */
	__u8 enforce; /* 0: mode monitor */
	__u8 hook;    /* enum sw_hook */
	__u32 ifindex;
	__u8 ect; /* IP header marked ECT or CE */
	__u8 gen; /* sw_settings.gen, read once for each packet */
	__u8 pad[2];
	__u64 hash;          /* of the tuple, keyed; 0 until asked for */
	__u64 now_ns;        /* CLOCK_MONOTONIC */
	struct sw_opts opts; /* of a SYN or ACK, once asked for */

	/* From here on: not cleared for each packet, written before it is read. */
	struct sw_cookie cookie;
	struct sw_view view;
	struct sw_birth birth;
	struct sw_tuple owner; /* whose source is counted, see conn_swap() */
	struct sw_bucket bucket[2];
	struct sw_mark mark;
	__be32 chunk[SW_CSUM_CHUNK / 4]; /* of what is summed, see csum.h */
};

/*
 * One per hook and CPU, not on the stack: the verifier forgets what it knew of values in a
 * map, so that the paths of the many frame shapes join again behind the parser. The last is
 * for the walk over the sockets, which the others may interrupt.
 */
#define SW_SCRATCH_WALK SW_HOOK_MAX

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_SCRATCH_WALK + 1);
	__type(key, __u32);
	__type(value, struct sw_pkt);
} sw_scratch SEC(".maps");

#define SW_KEPT_MARKS 64

/* What XDP wrote in front of an ACK of this CPU's, for the segments close behind it. */
struct sw_kept_mark {
	__u64 hash; /* of the tuple */
	struct sw_mark mark;
};

/* A newer ACK takes the slot of an older one: both are of one batch or need it no more. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_KEPT_MARKS);
	__type(key, __u32);
	__type(value, struct sw_kept_mark);
} sw_marks SEC(".maps");

static __always_inline struct sw_pkt *pkt_scratch(__u32 hook)
{
	return bpf_map_lookup_elem(&sw_scratch, &hook);
}

static __always_inline struct sw_settings *settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sw_settings, &zero);
}

static __always_inline void pkt_begin(struct sw_pkt *p, __u32 hook, __u32 ifindex, __u32 len)
{
	__builtin_memset(p, 0, __builtin_offsetof(struct sw_pkt, cookie));
	p->hook = hook;
	p->ifindex = ifindex;
	p->len = len;
	p->enforce = 1;
}

static __always_inline struct sw_pkt *pkt_new(__u32 hook, __u32 ifindex, __u32 len)
{
	struct sw_pkt *p = pkt_scratch(hook);

	if (p)
		pkt_begin(p, hook, ifindex, len);
	return p;
}

static __always_inline bool is_v4(const struct sw_pkt *p)
{
	return p->family == 4;
}

#endif /* SW_PACKET_H */
