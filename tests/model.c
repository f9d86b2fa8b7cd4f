/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection of model.h. */
#include "model.h"

static bool is_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/* The client's FIN is in. */
static bool is_done(enum sw_state s)
{
	return s == SW_CLOSE_WAIT || s == SW_CLOSING || s == SW_LAST_ACK || s == SW_TIME_WAIT;
}

static enum sw_state acknowledged(enum sw_state s)
{
	switch (s) {
	case SW_SYN_RECEIVED:
		return SW_ESTABLISHED;
	case SW_FIN_WAIT_1:
		return SW_FIN_WAIT_2;
	case SW_CLOSING:
		return SW_TIME_WAIT;
	case SW_LAST_ACK:
		return SW_FREE;
	default:
		return s;
	}
}

static enum sw_state finished(enum sw_state s)
{
	switch (s) {
	case SW_SYN_RECEIVED:
	case SW_ESTABLISHED:
		return SW_CLOSE_WAIT;
	case SW_FIN_WAIT_1:
		return SW_CLOSING;
	case SW_FIN_WAIT_2:
		return SW_TIME_WAIT;
	default:
		return s;
	}
}

static struct model_step stays(const struct model *m, enum model_verdict v)
{
	return (struct model_step){ .verdict = v, .state = m->state };
}

/* No socket: a cookie opens, nothing else does. */
static struct model_step in_closed(const struct model *m, const struct segment *s)
{
	struct model_step step = stays(m, MODEL_DROP);

	if ((s->flags & (SYN | ACK)) == SYN)
		step.verdict = MODEL_ANSWER;
	if ((s->flags & (SYN | RST | ACK)) != ACK || !m->cookie || s->ack != m->cookie + 1 ||
	    s->seq != m->cookie_isn + 1)
		return step;
	return (struct model_step){ .verdict = MODEL_PASS,
				    .state = s->flags & FIN ? SW_CLOSE_WAIT : SW_ESTABLISHED,
				    .settled = true,
				    .accepted = true };
}

static struct model_step in_rst(const struct model *m, const struct segment *s)
{
	struct model_step step = stays(m, MODEL_DROP);
	bool exact = s->seq == m->rcv_nxt;

	if (m->host == SW_TIME_WAIT) {
		uint64_t ago = now_ns() - m->syn_ns;

		if (!exact || !m->syn_ns || ago > 4000000000ULL)
			return step;
		/* the answer to the host's ACK of a SYN: for a short time, counted in seconds */
		step.verdict = ago > 1500000000ULL ? MODEL_EITHER : MODEL_PASS;
		step.may_end = true;
		step.settled = step.verdict == MODEL_PASS;
		step.state = SW_FREE;
		return step;
	}
	/* some stacks do not count their FIN, and Linux honours that */
	exact |= is_done(m->host) && s->seq + 1 == m->rcv_nxt;
	if (exact)
		return (struct model_step){ .state = SW_FREE, .settled = true, .accepted = true };
	if (s->seq - m->rcv_nxt <= m->rcv_end - m->rcv_nxt) {
		step.verdict = MODEL_PASS;
		step.may_end = m->small; /* Linux is content with the window there */
	}
	return step;
}

static struct model_step in_syn(const struct model *m, const struct segment *s)
{
	struct model_step step = stays(m, MODEL_PASS);

	if (s->flags & ACK && m->host == SW_TIME_WAIT)
		step.verdict = MODEL_DROP;
	step.accepted = step.verdict == MODEL_PASS && m->host == SW_SYN_RECEIVED &&
			s->seq == m->isn;
	return step;
}

/* Left of what the host will take, or right of it. */
static bool in_misplaced(const struct model *m, const struct segment *s, struct model_step *step)
{
	uint32_t end = s->seq + s->len + !!(s->flags & FIN), wnd = m->rcv_end - m->rcv_nxt;
	bool tw = m->host == SW_TIME_WAIT;

	*step = stays(m, MODEL_PASS);
	if (is_after(s->seq, m->rcv_end)) {
		bool near = s->seq - m->rcv_end <= (wnd > 65535 ? wnd : 65535);

		step->verdict = tw || (near && !is_done(m->host)) ? MODEL_PASS : MODEL_DROP;
		if (near && (is_done(m->host) || m->host == SW_SYN_RECEIVED))
			step->verdict = MODEL_EITHER;
		return true;
	}
	if (is_after(s->ack, m->snd_nxt)) {
		step->verdict = tw ? MODEL_PASS : MODEL_DROP;
		return true;
	}
	if (is_done(m->host) && is_after(end, m->rcv_nxt)) {
		step->verdict = tw ? MODEL_PASS : MODEL_DROP;
		return true;
	}
	/* acknowledges what was before the connection (RFC 5961 5.2), or the SYN not at all */
	if (is_after(m->host_isn + (m->host == SW_SYN_RECEIVED), s->ack))
		return true;
	if (m->host == SW_SYN_RECEIVED && s->ack != m->host_isn + 1)
		return true;
	return is_after(m->rcv_nxt, end);
}

struct model_step model_in(const struct model *m, const struct segment *s)
{
	struct model_step step;
	uint32_t end = s->seq + s->len;
	enum sw_state next = m->host;
	bool ours;

	if (m->host == SW_FREE)
		return in_closed(m, s);
	if (s->flags & RST)
		return in_rst(m, s);
	if (s->flags & SYN)
		return in_syn(m, s);
	if (in_misplaced(m, s, &step))
		return step;
	ours = s->ack == m->snd_nxt && (m->fin_sent || m->host == SW_SYN_RECEIVED);
	if (ours)
		next = acknowledged(next);
	if (s->flags & FIN && !is_after(s->seq, m->rcv_nxt) && is_after(end + 1, m->rcv_nxt))
		next = finished(next);
	return (struct model_step){
		.state = next,
		.settled = next != m->host,
		.may_be_refused = is_after(end + !!(s->flags & FIN), m->rcv_end),
		.accepted = !is_after(end + !!(s->flags & FIN), m->rcv_end),
	};
}

void model_sent(struct model *m, const struct segment *s, const struct model_step *step)
{
	uint32_t fin = s->seq + s->len;

	if (m->host == SW_TIME_WAIT && (s->flags & (SYN | ACK | RST)) == SYN)
		m->syn_ns = now_ns();
	if (m->host == SW_FREE && step->state > SW_CLOSED) {
		m->isn = m->cookie_isn;
		m->host_isn = m->cookie;
		m->snd_una = m->snd_nxt = m->cookie + 1;
		m->rcv_nxt = m->isn + 1;
		m->pending = m->confused = m->fin_sent = false;
		m->syn_ns = 0;
	}
	if (!(s->flags & FIN) || s->flags & (SYN | RST) || step->verdict != MODEL_PASS ||
	    !step->accepted || is_done(m->host) || m->host <= SW_CLOSED)
		return;
	m->confused |= m->pending && m->fin != fin;
	m->pending = true;
	m->fin = fin;
}

static void out_syn_ack(struct model *m, const struct frame *f)
{
	m->rcv_nxt = f->ack;
	m->rcv_end = f->ack + f->window;
	m->scale = f->opt.ws > 0 ? (uint8_t)f->opt.ws : 0;
	m->ts = f->opt.ts;
	m->isn = f->ack - 1;
	m->host_isn = f->seq;
	m->snd_una = m->snd_nxt = f->seq + 1;
	m->pending = m->confused = m->fin_sent = false;
	m->syn_ns = 0;
	m->state = SW_SYN_RECEIVED;
}

void model_out(struct model *m, const struct frame *f)
{
	uint32_t end = f->seq + (uint32_t)f->payload_len + !!(f->flags & FIN);

	if (f->flags & RST) {
		/* of a handshake only what acknowledges: else it is about a stray segment */
		if (m->state != SW_SYN_RECEIVED || f->flags & ACK)
			m->state = SW_FREE;
		return;
	}
	if (f->flags & SYN) {
		out_syn_ack(m, f);
		return;
	}
	m->rcv_end = f->ack + ((uint32_t)f->window << m->scale);
	if (is_after(end, m->snd_nxt))
		m->snd_nxt = end;
	if (m->pending && f->ack == m->fin + 1) {
		m->state = finished(m->state);
		m->pending = false;
	}
	if (!(f->flags & FIN))
		return;
	m->fin_sent = true;
	if (m->state == SW_ESTABLISHED || m->state == SW_SYN_RECEIVED)
		m->state = SW_FIN_WAIT_1;
	else if (m->state == SW_CLOSE_WAIT)
		m->state = SW_LAST_ACK;
}
