/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guard must do with every kind of segment in every state: the one description, in
 * words, and what it says of a case. Written from RFC 9293, 5961, 1337 and 6191 and from what
 * Linux does, not from bpf/.
 */
#ifndef MATRIX_H
#define MATRIX_H

#include "matrix_host.h"

/* Flags of a case. */
enum kind {
	KIND_SYN,
	KIND_SYNACK,
	KIND_ACK,
	KIND_FIN,
	KIND_RST,
	KIND_RSTACK,
	KIND_NONE, /* from here on: what no stack sends */
	KIND_SYNFIN,
	KIND_SYNRST,
	KIND_BAREFIN,
	KIND_XMAS,
	KINDS
};

/* Sequence number, by the host's window. RCV.NXT is the left edge. */
enum pos {
	POS_FAR_LEFT, /* 2 MB away */
	POS_LEFT,     /* ends one left of RCV.NXT */
	POS_LAST,     /* retransmits what came last: its end is RCV.NXT */
	POS_NEXT,
	POS_MIDDLE,
	POS_EDGE,  /* ends with the window, or its last byte there is a FIN */
	POS_RIGHT, /* begins one past it */
	POS_FAR_RIGHT,
	POSITIONS
};

/* Acknowledgement number. */
enum acks {
	ACKS_ANCIENT, /* beyond all windows */
	ACKS_OLD,     /* SND.UNA - MAX.SND.WND - 1 */
	ACKS_UNA,
	ACKS_PART, /* all data, not the FIN; without data in flight the same as the last */
	ACKS_ALL,  /* SND.NXT */
	ACKS_AHEAD,
	ACKINGS
};

/* What is in the table when the segment comes. */
enum memory {
	MEMORY_STALE, /* numbers of long ago, so that the host's socket is asked */
	MEMORY_FRESH, /* the socket's numbers */
	MEMORY_NONE,  /* forgotten, as after a flush */
	MEMORIES
};

struct acase {
	enum kind kind;
	enum pos pos;
	enum acks acks;
	enum memory memory;
	bool data;
};

struct want {
	char verdict;       /* see matrix.c; 0: cannot occur */
	enum sw_state next; /* SW_FREE: stays */
	bool fin, rst, syn; /* the entry remembers: a FIN, an inexact RST, a SYN */
	bool restart;       /* of 2MSL */
	const char *cell;   /* the text */
};

#define CASE_DATA 100 /* bytes */

struct want want_in(const struct peer *p, const struct acase *c);
void case_spec(const struct peer *p, const struct acase *c, struct spec *s);
const char *case_name(const struct acase *c);
/* There is no such case, or it is another one in disguise. */
bool is_case(const struct peer *p, const struct acase *c);
/* Data sent again: passes, whatever became of the budget. */
bool is_repeat(const struct peer *p, const struct acase *c);
enum sw_reason reason_of(const struct peer *p, const struct acase *c, char verdict);

/* From the host. */
enum out {
	OUT_SYN_NEW,
	OUT_SYN_AGAIN,
	OUT_SYNACK_NEW,
	OUT_SYNACK_AGAIN,
	OUT_ACK,
	OUT_FIN_NEW,
	OUT_FIN_AGAIN,
	OUT_RST_ACK,
	OUT_RST_BARE, /* answers a segment that had an ACK */
	OUTS
};

/* Next state, SW_FREE: stays; SW_STATE_MAX: cannot occur. */
enum sw_state want_out(enum place at, enum out o);
const char *out_name(enum out o);

#endif /* MATRIX_H */
