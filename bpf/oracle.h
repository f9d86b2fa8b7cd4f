/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's socket: what state it is in and which numbers it expects. So the guard needs no
 * window tracking of its own, and what it forgets costs a lookup, not a connection. About
 * 150 ns. Read without the socket's lock, from where the segment has not been delivered yet.
 */
#ifndef SW_ORACLE_H
#define SW_ORACLE_H

#include "listener.h"
#include "states.h"

#define SW_LONG_AGO 0x40000000 /* more than the largest window (RFC 7323 2.3) */

static __always_inline __u8 state_of(__u8 kernel)
{
	switch (kernel) {
	case SW_TCP_ESTABLISHED:
		return SW_ESTABLISHED;
	case SW_TCP_SYN_SENT:
		return SW_SYN_SENT;
	case SW_TCP_SYN_RECV:
	case SW_TCP_NEW_SYN_RECV:
		return SW_SYN_RECEIVED;
	case SW_TCP_FIN_WAIT1:
		return SW_FIN_WAIT_1;
	case SW_TCP_FIN_WAIT2:
		return SW_FIN_WAIT_2;
	case SW_TCP_CLOSE_WAIT:
		return SW_CLOSE_WAIT;
	case SW_TCP_CLOSING:
		return SW_CLOSING;
	case SW_TCP_LAST_ACK:
		return SW_LAST_ACK;
	case SW_TCP_TIME_WAIT:
		return SW_TIME_WAIT;
	default: /* CLOSE, LISTEN */
		return SW_FREE;
	}
}

static __always_inline void view_request(struct sw_view *v, struct tcp_request_sock *req)
{
	v->unknown = 0;
	v->request = 1;
	v->rcv_nxt = v->rcv_left = req->rcv_nxt;
	v->rcv_wnd = req->req.req.__req_common.skc_rcv_wnd;
	v->rcv_end = v->rcv_nxt + v->rcv_wnd;
	v->snd_una = req->snt_isn;
	v->snd_nxt = v->snd_end = req->snt_isn + 1;
}

static __always_inline void view_timewait(struct sw_view *v, struct tcp_timewait_sock *tw)
{
	v->unknown = 0;
	/* a FIN-WAIT-2 whose process has gone is kept as a TIME-WAIT socket */
	if (tw->tw_sk.tw_substate == SW_TCP_FIN_WAIT2)
		v->state = SW_FIN_WAIT_2;
	v->rcv_nxt = v->rcv_left = tw->tw_sk.__tw_common.skc_tw_rcv_nxt;
	v->rcv_wnd = tw->tw_rcv_wnd;
	v->rcv_end = v->rcv_nxt + v->rcv_wnd;
	v->snd_una = v->snd_nxt = v->snd_end = tw->tw_sk.__tw_common.skc_tw_snd_nxt;
	v->snd_old = SW_LONG_AGO;
	v->ts_recent = tw->tw_ts_recent;
	v->has_ts = tw->tw_ts_recent_stamp != 0;
}

static __always_inline void view_full(struct sw_view *v, struct tcp_sock *tp)
{
	v->unknown = 0;
	v->rcv_nxt = tp->rcv_nxt;
	v->rcv_left = tp->rcv_wup;
	v->rcv_wnd = tp->rcv_wnd;
	v->rcv_end = tp->rcv_wup + v->rcv_wnd;
	if ((__s32)(v->rcv_end - v->rcv_nxt) < 0)
		v->rcv_end = v->rcv_nxt;
	v->snd_una = tp->snd_una;
	v->snd_old = tp->bytes_acked < tp->max_window ? tp->bytes_acked : tp->max_window;
	/*
	 * Not snd_nxt: that moves once a segment is sent, and on a short wire the answer may be
	 * here by then. A FIN, once queued, is the last of what is written.
	 */
	v->snd_nxt = v->snd_end = tp->write_seq;
}

/* sk: of any kind but a listener; state: as the kernel names it. */
static __always_inline void view_of(struct sw_view *v, void *sk, __u8 kernel_state)
{
	struct tcp_timewait_sock *tw;
	struct tcp_request_sock *req;
	struct tcp_sock *tp;

	__builtin_memset(v, 0, sizeof(*v));
	v->state = state_of(kernel_state);
	v->unknown = 1;
	if (kernel_state == SW_TCP_NEW_SYN_RECV) {
		req = bpf_skc_to_tcp_request_sock(sk);
		if (req)
			view_request(v, req);
	} else if (kernel_state == SW_TCP_TIME_WAIT) {
		tw = bpf_skc_to_tcp_timewait_sock(sk);
		if (tw)
			view_timewait(v, tw);
	} else {
		tp = bpf_skc_to_tcp_sock(sk);
		if (tp)
			view_full(v, tp);
	}
}

#endif /* SW_ORACLE_H */
