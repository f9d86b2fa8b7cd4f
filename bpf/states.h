/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state machine: what a segment means to a connection in each state (RFC 9293 3.10, with
 * RFC 5961, RFC 1337 and RFC 6191), of the server's endpoint. One row a state, one column a
 * kind of segment; track.h finds the column, by the numbers of the host's socket.
 *
 *	.    passes
 *	p    passes on the connection's budget, since the host answers it with an ACK or a
 *	     RST; refreshes nothing
 *	x    dropped
 *	EST  passes, and the connection moves to that state
 */
#ifndef SW_STATES_H
#define SW_STATES_H

#include "packet.h"

/* From client to server. */
enum sw_seg {
	SEG_SYN,
	SEG_SYN_GOOD, /* the first one again, or in TIME-WAIT a newer one (RFC 6191) */
	SEG_SYNACK,
	SEG_SYNACK_OURS, /* acknowledges our SYN */
	SEG_ACK,         /* with or without data */
	SEG_ACK_OURS,    /* acknowledges our SYN or FIN, whichever is out */
	SEG_OLD,         /* left of the window, or an ACK of long ago */
	SEG_OVER,        /* at most one window beyond the window */
	SEG_AHEAD,       /* further, or acknowledges what was never sent, or is data after a FIN */
	SEG_FIN,         /* all before it arrived */
	SEG_FIN_OURS,    /* and acknowledges ours */
	SEG_HOLE,        /* FIN with a hole before it */
	SEG_HOLE_OURS,
	SEG_FIN_OLD, /* retransmitted */
	SEG_RST,     /* at RCV.NXT; of a SYN-SENT, acknowledging our SYN */
	SEG_RST_IN,  /* elsewhere in the window */
	SEG_RST_OUT,
	SEG_MAX,
};

/* From server to client: only these are looked at. */
enum sw_out {
	OUT_SYN,
	OUT_SYNACK,
	OUT_FIN,
	OUT_RST,
	OUT_MAX,
};

/* A cell: verdict above, next state below; 0: stays. */
#define CELL_BUDGET 0x10
#define CELL_DROP   0x20
#define CELL_NEXT   0x0f
_Static_assert(SW_STATE_MAX <= CELL_NEXT, "states fit a cell");

/* clang-format off */
#define __  0
#define pp  CELL_BUDGET
#define xx  CELL_DROP
#define CLO SW_CLOSED
#define SNT SW_SYN_SENT
#define RCD SW_SYN_RECEIVED
#define EST SW_ESTABLISHED
#define FW1 SW_FIN_WAIT_1
#define FW2 SW_FIN_WAIT_2
#define CWT SW_CLOSE_WAIT
#define CNG SW_CLOSING
#define LAK SW_LAST_ACK
#define TWT SW_TIME_WAIT

static const struct {
	__u8 in[16][32]; /* sizes a mask can bound, for the verifier */
	__u8 out[16][OUT_MAX];
} steps = {
	.in = {
	/*                    SYN  good SA   ours ACK  ours old  over ahead FIN  ours hole ours old  RST  in   out */
	[SW_SYN_SENT]     = { RCD, RCD, pp,  EST, pp,  pp,  pp,  pp,  pp,  xx,  xx,  xx,  xx,  xx,  CLO, xx,  xx },
	[SW_SYN_RECEIVED] = { pp,  pp,  pp,  EST, pp,  EST, pp,  xx,  xx,  pp,  CWT, pp,  EST, pp,  CLO, pp,  xx },
	[SW_ESTABLISHED]  = { pp,  pp,  pp,  pp,  __,  __,  pp,  pp,  xx,  CWT, CWT, __,  __,  pp,  CLO, pp,  xx },
	[SW_FIN_WAIT_1]   = { pp,  pp,  pp,  pp,  __,  FW2, pp,  pp,  xx,  CNG, TWT, __,  FW2, pp,  CLO, pp,  xx },
	[SW_FIN_WAIT_2]   = { pp,  pp,  pp,  pp,  __,  __,  pp,  pp,  xx,  TWT, TWT, __,  __,  pp,  CLO, pp,  xx },
	[SW_CLOSE_WAIT]   = { pp,  pp,  pp,  pp,  __,  __,  pp,  xx,  xx,  __,  __,  xx,  xx,  __,  CLO, pp,  xx },
	[SW_CLOSING]      = { pp,  pp,  pp,  pp,  __,  TWT, pp,  xx,  xx,  __,  TWT, xx,  xx,  __,  CLO, pp,  xx },
	[SW_LAST_ACK]     = { pp,  pp,  pp,  pp,  __,  CLO, pp,  xx,  xx,  __,  CLO, xx,  xx,  __,  CLO, pp,  xx },
	/* RST: dropped (RFC 1337), unless it answers the host's ACK of a SYN; see track.h */
	[SW_TIME_WAIT]    = { pp,  __,  xx,  xx,  pp,  pp,  pp,  pp,  pp,  __,  __,  __,  __,  __,  CLO, xx,  xx },
	},
	.out = {
	/*                    SYN  SA   FIN  RST */
	[SW_FREE]         = { SNT, RCD, FW1, __  },
	[SW_CLOSED]       = { SNT, RCD, FW1, __  },
	[SW_SYN_SENT]     = { __,  RCD, FW1, CLO },
	[SW_SYN_RECEIVED] = { __,  __,  FW1, CLO },
	[SW_ESTABLISHED]  = { __,  RCD, FW1, CLO },
	[SW_FIN_WAIT_1]   = { __,  RCD, __,  CLO },
	[SW_FIN_WAIT_2]   = { __,  RCD, __,  CLO },
	[SW_CLOSE_WAIT]   = { __,  RCD, LAK, CLO },
	[SW_CLOSING]      = { __,  RCD, __,  CLO },
	[SW_LAST_ACK]     = { __,  RCD, __,  CLO },
	[SW_TIME_WAIT]    = { SNT, RCD, __,  CLO },
	},
};

#undef __
#undef pp
#undef xx
/* clang-format on */

static __always_inline __u8 step_in(__u32 state, __u32 seg)
{
	barrier_var(state);
	barrier_var(seg);
	return steps.in[state & 15][seg & 31];
}

static __always_inline __u8 step_out(__u32 state, __u32 out)
{
	barrier_var(state);
	barrier_var(out);
	return steps.out[state & 15][out & (OUT_MAX - 1)];
}

/* The client has shown that it is where it says. */
static __always_inline bool is_proven(__u32 state)
{
	return state != SW_SYN_SENT && state != SW_SYN_RECEIVED;
}

/* The client's FIN has arrived in order. */
static __always_inline bool is_client_done(__u32 state)
{
	return state == SW_CLOSE_WAIT || state == SW_CLOSING || state == SW_LAST_ACK ||
	       state == SW_TIME_WAIT;
}

#endif /* SW_STATES_H */
