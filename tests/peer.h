/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client behind the wire of tap.h, spelled out segment by segment, and the host's end of its
 * connection. After every segment of either side the guard's entry must be in the state the
 * host is in; what is said here of a connection is checked against both.
 *
 *	struct peer p;
 *
 *	peer_open(&p, OPEN_COOKIE4);
 *	SAY(&p, FIN, 0);
 *	HEAR(&p, ACK, 0);
 *	ARE(&p, SW_CLOSE_WAIT);
 */
#ifndef PEER_H
#define PEER_H

#include "tap.h"

enum opening {
	OPEN_COOKIE4, /* timestamps, as Linux does */
	OPEN_COOKIE6,
	OPEN_BARE4, /* no options but the MSS */
	OPEN_HOST4, /* SYN answered by the host, in mode peer_peace */
	OPEN_HOST6,
	OPENINGS
};

struct peer {
	enum opening how;
	uint8_t family;
	uint16_t port, to;      /* the client's and the server's */
	uint32_t seq, ack;      /* next of the client's, next it expects */
	uint32_t isn, host_isn; /* of the SYNs */
	bool ts;
	uint32_t tsval, tsecr;
	uint16_t window;
	uint8_t scale;         /* of the host's window */
	int fd;                /* of the host: accepted; -1: none any more */
	enum sw_state lag;     /* not 0: the entry may be in this state while the host is not */
	bool blind;            /* the guard does not see the host: no state is compared by itself */
	enum sw_state brought; /* by peer_bring() */
	struct frame last;     /* heard; its numbers, not its bytes */
};

extern enum sw_mode peer_peace; /* monitor, or auto */

/* Wire, listeners on port 80 of both families, counters. */
void peer_prepare(void);
const char *opening_name(enum opening how);
/* A new port each time. */
void peer_begin(struct peer *p, enum opening how);
void peer_open(struct peer *p, enum opening how);
/* From `port` again, isn as given; the SYN only: what answers it is the test's. */
void peer_syn(struct peer *p, uint32_t isn);
/* Second and third segment, then accept(). */
void peer_finish(struct peer *p);
void peer_accept(struct peer *p);

/* The line of the test that failures name. */
extern int peer_line;

/* Segment at the client's next number; ACK is set but for RST and SYN. */
void peer_say(struct peer *p, uint8_t flags, uint16_t payload);
/* Same, off by so much in seq and ack, and the client does not move on. */
void peer_stray(struct peer *p, uint8_t flags, int64_t seq, int64_t ack, uint16_t payload);
/* The next segment heard is this one, the next in order of the host. */
void peer_hear(struct peer *p, uint8_t flags, uint16_t payload);
/* Is one the client has seen, or an ACK without effect. */
void peer_hear_again(struct peer *p, uint8_t flags);
/* Is lost before it comes to the client, but was sent. */
void peer_miss(struct peer *p, uint8_t flags);
/* Is a RST with this sequence number. */
void peer_hear_rst(struct peer *p, uint32_t seq);
bool peer_next(struct peer *p);  /* whatever comes; false: nothing does */
void peer_quiet(struct peer *p); /* nothing comes */
/* Reads what comes within ms of the last; `last` is the last. ACKs and data only. */
void peer_drain(struct peer *p, unsigned int ms);
void peer_agree(struct peer *p); /* table and host */
void peer_are(struct peer *p, enum sw_state state);
/* The host's program: */
void peer_send(struct peer *p, size_t len);
void peer_shutdown(struct peer *p);
void peer_close(struct peer *p);
void peer_abort(struct peer *p);  /* SO_LINGER 0 */
size_t peer_read(struct peer *p); /* all that is there */

#define AT(call)                      \
	do {                          \
		peer_line = __LINE__; \
		call;                 \
	} while (0)
#define SAY(p, flags, payload)             AT(peer_say(p, flags, payload))
#define STRAY(p, flags, seq, ack, payload) AT(peer_stray(p, flags, seq, ack, payload))
#define HEAR(p, flags, payload)            AT(peer_hear(p, flags, payload))
#define HEAR_AGAIN(p, flags)               AT(peer_hear_again(p, flags))
#define MISS(p, flags)                     AT(peer_miss(p, flags))
#define HEAR_RST(p, seq)                   AT(peer_hear_rst(p, seq))
#define QUIET(p)                           AT(peer_quiet(p))
#define DRAIN(p, ms)                       AT(peer_drain(p, ms))
#define ARE(p, state)                      AT(peer_are(p, state))
#define SEND(p, len)                       AT(peer_send(p, len))
#define SHUTDOWN(p)                        AT(peer_shutdown(p))
#define CLOSE(p)                           AT(peer_close(p))
#define ABORT(p)                           AT(peer_abort(p))

/* Runs `scene` with a connection of each kind, the host's RTT known, then checks the tables. */
void peer_each(void (*scene)(struct peer *p));
/* The host's end is brought to a synchronized state; `orphan`: by close(), not shutdown(). */
void peer_bring(struct peer *p, enum sw_state state, bool orphan);
/* Runs `scene` with connections in each of these states, 0 ends them, held by a program and not. */
void peer_each_state(const enum sw_state *states, void (*scene)(struct peer *p, enum sw_state s));
extern const enum sw_state all_states[]; /* the synchronized ones */
/* The end of a test: nothing was dropped but for the reasons listed, which 0 ends. */
void peer_unharmed(const enum sw_reason *allowed);

#endif /* PEER_H */
