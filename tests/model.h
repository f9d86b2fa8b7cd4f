/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection as the guard must see it, in plain C from RFC 9293 3.10.7 with RFC 5961, 1337
 * and 6191, and from nothing of bpf/: a segment of the client is weighed first by its numbers,
 * then its RST, SYN, ACK and FIN are taken in that order, as a host does. What the host's
 * numbers are is told by what it says on the wire and by itself.
 */
#ifndef MODEL_H
#define MODEL_H

#include "packet.h"
#include "tap.h"

enum model_verdict {
	MODEL_PASS,
	MODEL_DROP,
	MODEL_ANSWER, /* with a cookie */
	MODEL_EITHER,
	MODEL_ILLEGAL, /* dropped for its flags */
	MODEL_VERDICTS,
};

struct model {
	/* Of the entry; SW_FREE: none or a tombstone. Where nothing moves it, it may as well
	 * be in `other`: what was said of it before, or what the host is in.
	 */
	enum sw_state state, other;
	bool pending;  /* the client's FIN came too early */
	uint32_t fin;  /* its number */
	bool confused; /* FINs at different places, data behind one, or at the window's very end */
	uint32_t said; /* end of the client's data, whether it arrived in order or not */
	uint64_t syn_ns; /* an older SYN passed in TIME-WAIT */

	enum sw_state host; /* what the host holds */
	bool small;         /* as a request or TIME-WAIT socket */
	bool ts;            /* timestamps agreed on */
	uint8_t scale;      /* of its window */
	uint32_t isn, host_isn;
	uint32_t rcv_nxt, rcv_end;
	uint32_t acked; /* by its last segment */
	uint32_t snd_nxt;
	bool fin_sent;

	struct handshake_by_cookie {
		bool is_there;
		uint32_t isn, cookie, window;
	} fresh, spent;
	bool loose; /* the kernel's cookies: numbers moved alike are as good, and it forgets none */
};

struct segment {
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t len;
	bool broken; /* its checksum is wrong */
};

struct model_step {
	enum model_verdict verdict;
	enum sw_state state;
	bool moves;          /* the entry is in `state` behind it */
	bool may_be_refused; /* the host may discard what the entry believes */
	bool may_end;        /* the host may let go of it without a word */
	bool accepted;       /* a live connection's own: dropping it hurts */
};

struct model_step model_in(const struct model *m, const struct segment *s);
/* What m remembers of it once it has been sent. */
void model_sent(struct model *m, const struct segment *s, const struct model_step *step);
void model_out(struct model *m, const struct frame *f);
/* The guard's SYN-ACK. */
void model_cookie(struct model *m, const struct frame *f);

#endif /* MODEL_H */
