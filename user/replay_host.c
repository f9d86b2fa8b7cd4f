/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See replay_host.h. RFC 9293 3.10, and Linux where it is more exact. */
#include <string.h>

#include "replay_host.h"

#define TIME_WAIT_NS 60000000000ULL /* TCP_TIMEWAIT_LEN */
#define SYNACKS_NS   63000000000ULL /* tcp_synack_retries, 5: 1 s, doubled each time */
#define STALLED_NS   6200000000ULL  /* TCP_RTO_MIN, 200 ms, doubled SW_STALLED_BACKOFF times */
#define UNKNOWN_WND  (1U << 26)     /* larger than any that is in use */
#define LEAST_FLIGHT (1U << 20)     /* as bpf/track.h has it */
#define LONG_AGO     0x40000000     /* as bpf/oracle.h has it */

static bool is_after(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

static __u32 later(__u32 a, __u32 b)
{
	return is_after(a, b) ? a : b;
}

void replay_view(const struct replay_flow *w, struct sw_replay_view *v)
{
	memset(v, 0, sizeof(*v));
	v->state = w->state;
	if (!v->state)
		return;
	v->request = w->state == SW_SYN_RECEIVED;
	v->rcv_nxt = w->rcv_nxt;
	v->rcv_left = w->rcv_left;
	v->rcv_wnd = w->rcv_wnd;
	v->rcv_end = is_after(w->rcv_nxt, w->rcv_end) ? w->rcv_nxt : w->rcv_end;
	v->snd_una = w->snd_una;
	v->snd_nxt = v->snd_end = w->snd_nxt;
	v->snd_old = w->acked < w->client_wnd ? w->acked : w->client_wnd;
	if (w->flags & FLOW_OLD) {
		v->rcv_wnd = UNKNOWN_WND;
		v->rcv_end = v->rcv_nxt + UNKNOWN_WND;
		v->snd_old = LONG_AGO;
	}
	if (w->state != SW_TIME_WAIT)
		return;
	v->rcv_left = v->rcv_nxt;
	v->snd_una = v->snd_nxt;
	v->snd_old = LONG_AGO;
	v->has_ts = w->has_ts;
	v->ts_recent = w->ts_recent;
}

bool replay_hole(struct replay_flow *w, const struct replay_seg *s)
{
	__u32 most = w->flags & FLOW_OLD          ? UNKNOWN_WND :
		     w->client_wnd > LEAST_FLIGHT ? w->client_wnd :
						    LEAST_FLIGHT;

	if ((w->state != SW_ESTABLISHED && w->state != SW_CLOSE_WAIT) ||
	    (s->flags & (SEG_ACK_FLAG | SEG_RST_FLAG | SEG_SYN_FLAG)) != SEG_ACK_FLAG ||
	    !is_after(s->ack, w->snd_nxt) || s->ack - w->snd_nxt > most)
		return false;
	w->snd_nxt = s->ack;
	return true;
}

bool replay_expired(const struct replay_flow *w, __u64 now_ns)
{
	return (w->state == SW_TIME_WAIT && now_ns - w->since_ns >= TIME_WAIT_NS) ||
	       (w->state == SW_SYN_RECEIVED && now_ns - w->since_ns >= SYNACKS_NS);
}

bool replay_stalled(const struct replay_flow *w, __u64 now_ns)
{
	return w->state >= SW_ESTABLISHED && w->state < SW_TIME_WAIT && w->waits_ns &&
	       now_ns - w->waits_ns >= STALLED_NS;
}

/* Window scales hold if both sides ask for them (RFC 7323 2.2); the SYN-ACK's own is not scaled. */
void replay_window(struct replay_flow *w, const struct replay_seg *synack)
{
	w->scale = w->client_asks && synack->has_ws ? synack->ws : 0;
	if (!w->client_asks || !synack->has_ws)
		w->client_scale = 0;
	w->rcv_wnd = synack->window;
}

void replay_note_syn(struct replay_flow *w, const struct replay_seg *s)
{
	w->client_asks = s->has_ws;
	w->client_scale = s->has_ws ? s->ws : 0;
	w->client_wnd = s->window;
	w->flags |= FLOW_BEGUN;
	w->flags &= (__u8) ~(FLOW_REFUSED | FLOW_OLD);
	w->fin_waits = false;
	w->acked = 0;
	w->waits_ns = 0;
	w->shut = false;
	w->client_isn = s->seq;
}

/* Data and FIN; whatever is ahead of its turn waits for the server's word. */
static void take_data(struct replay_flow *w, const struct replay_seg *s)
{
	__u32 end = s->seq + s->payload;

	if (!is_after(s->seq, w->rcv_nxt) && is_after(end, w->rcv_nxt))
		w->rcv_nxt = end;
	if (s->flags & SEG_FIN_FLAG && !is_after(w->rcv_nxt, end)) {
		w->client_fin = end;
		w->fin_waits = true;
	}
}

/* The client's FIN is in order. */
static __u8 take_fin(struct replay_flow *w, __u8 state, __u64 now_ns)
{
	if (!w->fin_waits || is_after(w->client_fin, w->rcv_nxt))
		return state;
	w->fin_waits = false;
	w->rcv_nxt = w->client_fin + 1;
	switch (state) {
	case SW_SYN_RECEIVED:
	case SW_ESTABLISHED:
		return SW_CLOSE_WAIT;
	case SW_FIN_WAIT_1:
		return SW_CLOSING;
	case SW_FIN_WAIT_2:
		w->since_ns = now_ns;
		return SW_TIME_WAIT;
	default:
		return state;
	}
}

/* The client acknowledges all that was sent: our SYN or FIN, where one is out. */
static __u8 take_ack(struct replay_flow *w, __u8 state, const struct replay_seg *s, __u64 now_ns)
{
	if (is_after(s->ack, w->snd_nxt))
		return state;
	w->shut = !s->window;
	if (s->ack == w->snd_nxt && (!w->shut || is_after(s->ack, w->snd_una)))
		w->waits_ns = 0;
	if (is_after(s->ack, w->snd_una)) {
		w->waits_ns = w->waits_ns ? now_ns : 0;
		w->acked += s->ack - w->snd_una;
		w->acked = w->acked > LONG_AGO ? LONG_AGO : w->acked;
		w->snd_una = s->ack;
	}
	if (s->ack != w->snd_nxt)
		return state;
	switch (state) {
	case SW_SYN_RECEIVED:
		return SW_ESTABLISHED;
	case SW_FIN_WAIT_1:
		return SW_FIN_WAIT_2;
	case SW_CLOSING:
		w->since_ns = now_ns;
		return SW_TIME_WAIT;
	case SW_LAST_ACK:
		return SW_FREE;
	default:
		return state;
	}
}

void replay_begin(struct replay_flow *w, const struct replay_seg *ack)
{
	w->rcv_nxt = ack->seq + ack->payload + !!(ack->flags & SEG_FIN_FLAG);
	w->rcv_left = ack->seq;
	w->rcv_end = ack->seq + w->rcv_wnd;
	w->snd_una = w->snd_nxt = ack->ack;
	w->acked = 1;
	w->fin_waits = false;
	w->has_ts = ack->has_ts;
	w->ts_recent = ack->tsval;
	if (ack->window > w->client_wnd >> w->client_scale)
		w->client_wnd = (__u32)ack->window << w->client_scale;
}

static __u8 syn_in(struct replay_flow *w, const struct replay_seg *s)
{
	if (s->flags & SEG_ACK_FLAG) {
		if (w->state != SW_SYN_SENT || s->ack != w->snd_nxt)
			return w->state;
		replay_note_syn(w, s);
		w->rcv_nxt = w->rcv_left = s->seq + 1;
		w->snd_una = s->ack;
		return SW_ESTABLISHED;
	}
	/* to a host that holds nothing, or only a TIME-WAIT, for which its SYN-ACK speaks */
	if (w->state == SW_FREE || w->state == SW_TIME_WAIT) {
		replay_note_syn(w, s);
		w->flags &= (__u8) ~(FLOW_ANSWERED | FLOW_SHIFTED);
		memset(&w->shift, 0, sizeof(w->shift));
	}
	return w->state;
}

__u8 replay_next_in(struct replay_flow *w, const struct replay_seg *s, __u64 now_ns)
{
	__u8 state = w->state;
	__u32 wnd = (__u32)s->window << w->client_scale;

	if (s->flags & SEG_RST_FLAG)
		return state != SW_FREE && s->seq == w->rcv_nxt ? SW_FREE : state;
	if (s->flags & SEG_SYN_FLAG)
		return syn_in(w, s);
	if (state == SW_FREE || !(s->flags & SEG_ACK_FLAG))
		return state;
	if (wnd > w->client_wnd)
		w->client_wnd = wnd;
	take_data(w, s);
	if (s->has_ts && (!w->has_ts || is_after(s->tsval, w->ts_recent))) {
		w->has_ts = true;
		w->ts_recent = s->tsval;
	}
	state = take_ack(w, state, s, now_ns);
	return state == SW_FREE ? state : take_fin(w, state, now_ns);
}

static __u8 synack_out(struct replay_flow *w, const struct replay_seg *s, __u64 now_ns)
{
	bool anew = w->state == SW_FREE || w->state == SW_TIME_WAIT || w->state == SW_SYN_SENT;

	if (!anew && w->state != SW_SYN_RECEIVED)
		return w->state;
	if (anew)
		w->since_ns = now_ns;
	replay_window(w, s);
	w->rcv_nxt = w->rcv_left = s->ack;
	w->rcv_end = s->ack + s->window;
	w->snd_una = s->seq;
	w->snd_nxt = s->seq + 1;
	w->has_ts = false;
	return SW_SYN_RECEIVED;
}

static __u8 syn_out(struct replay_flow *w, const struct replay_seg *s)
{
	w->snd_una = s->seq;
	w->snd_nxt = s->seq + 1;
	w->scale = s->has_ws ? s->ws : 0;
	return w->state == SW_FREE || w->state == SW_TIME_WAIT ? SW_SYN_SENT : w->state;
}

/* For an ACK, or to send at all: a probe of a window that is shut (RFC 9293 3.8.6.1). */
static void note_waiting(struct replay_flow *w, const struct replay_seg *s, __u64 now_ns)
{
	bool is_sent = s->payload || s->flags & SEG_FIN_FLAG;
	bool is_probe = w->shut && s->seq + 1 == w->snd_una;

	if (!w->waits_ns && (is_probe || (is_sent && w->snd_nxt != w->snd_una)))
		w->waits_ns = now_ns;
}

__u8 replay_next_out(struct replay_flow *w, const struct replay_seg *s, __u64 now_ns)
{
	__u32 wnd = (__u32)s->window << w->scale, end = s->seq + s->payload;
	__u8 state = w->state;

	if (s->flags & SEG_SYN_FLAG)
		return s->flags & SEG_ACK_FLAG ? synack_out(w, s, now_ns) : syn_out(w, s);
	if (s->flags & SEG_RST_FLAG || state == SW_FREE)
		return SW_FREE;
	/* what it acknowledges it has, though the capture lost it */
	if (s->flags & SEG_ACK_FLAG) {
		w->rcv_nxt = later(w->rcv_nxt, s->ack);
		w->rcv_left = later(w->rcv_left, s->ack);
		w->rcv_end = later(w->rcv_end, s->ack + wnd);
		w->rcv_wnd = wnd;
		if (w->fin_waits && is_after(s->ack, w->client_fin))
			w->rcv_nxt = w->client_fin;
	}
	state = take_fin(w, state, now_ns);
	if (state == SW_SYN_RECEIVED && s->payload)
		state = SW_ESTABLISHED;
	w->snd_nxt = later(w->snd_nxt, end + !!(s->flags & SEG_FIN_FLAG));
	note_waiting(w, s, now_ns);
	if (!(s->flags & SEG_FIN_FLAG))
		return state;
	return state == SW_ESTABLISHED || state == SW_SYN_RECEIVED ? SW_FIN_WAIT_1 :
	       state == SW_CLOSE_WAIT                              ? SW_LAST_ACK :
								     state;
}
