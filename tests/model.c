/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection of model.h. */
#include "model.h"

/* What the host may have queued and not sent: whether a client acknowledges that, it knows. */
#define UNSENT (1 << 20)

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

/* Nothing moves: the entry is as it was, or as the host is. */
static struct model_step stays(const struct model *m, enum model_verdict v)
{
	return (struct model_step){ .verdict = v, .state = m->host };
}

static bool completes(const struct segment *s, const struct handshake_by_cookie *h)
{
	return (s->flags & (SYN | RST | ACK)) == ACK && h->is_there && s->ack == h->cookie + 1 &&
	       s->seq == h->isn + 1;
}

/* A keepalive stands for the ACK that was lost, if timestamps vouch for it. */
static bool revives(const struct model *m, const struct segment *s)
{
	struct segment next = *s;

	next.seq++;
	return m->ts && s->len <= 1 && !(s->flags & FIN) &&
	       (completes(&next, &m->fresh) || completes(&next, &m->spent));
}

/* The kernel's cookie adds the client's number and the index of its MSS, one of four. */
static bool is_alike(const struct model *m, const struct segment *s)
{
	uint32_t apart = s->ack - s->seq;

	return m->loose && (s->flags & (SYN | RST | ACK)) == ACK && !completes(s, &m->fresh) &&
	       (apart - (m->spent.cookie - m->spent.isn) + 3 <= 6 ||
		apart - (m->fresh.cookie - m->fresh.isn) + 3 <= 6);
}

/* No socket: a cookie opens, nothing else does. */
static struct model_step in_closed(const struct model *m, const struct segment *s)
{
	bool again = completes(s, &m->spent) || revives(m, s) || is_alike(m, s);
	struct model_step step = stays(m, MODEL_DROP);

	if ((s->flags & (SYN | ACK)) == SYN)
		step.verdict = MODEL_ANSWER;
	if (!completes(s, &m->fresh) && !again)
		return step;
	/* said once more, it opens again if that is soon, else the host resets it */
	return (struct model_step){ .verdict = again ? MODEL_EITHER : MODEL_PASS,
				    .state = s->flags & FIN ? SW_CLOSE_WAIT : SW_ESTABLISHED,
				    .moves = !again,
				    .may_be_refused = again,
				    .accepted = !again };
}

/*
 * Inside the host's window or not: what it offers has lost the bits below the scale, and a
 * SYN-ACK with the kernel's cookie offers a little more or less than the host will.
 */
static bool is_at_edge(const struct model *m, uint32_t seq)
{
	uint32_t slack = m->loose ? 4096 : 1U << m->scale;

	return seq - m->rcv_end + slack < 2 * slack;
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
		step.moves = step.verdict == MODEL_PASS;
		step.state = SW_FREE;
		return step;
	}
	/* some stacks do not count their FIN, and Linux honours that */
	exact |= is_done(m->host) && s->seq + 1 == m->rcv_nxt;
	if (exact)
		return (struct model_step){ .state = SW_FREE, .moves = true, .accepted = true };
	if (is_at_edge(m, s->seq)) {
		step.verdict = MODEL_EITHER;
	} else if (s->seq - m->rcv_nxt <= m->rcv_end - m->rcv_nxt) {
		step.verdict = MODEL_PASS;
		/* Linux is content with the window there, or with the end of what is beyond a hole */
		step.may_end = m->small || s->seq == m->said || s->seq == m->fin + 1;
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
	bool tw = m->host == SW_TIME_WAIT, old;

	*step = stays(m, MODEL_PASS);
	if (is_after(s->seq, m->rcv_end)) {
		bool near = s->seq - m->rcv_end <= (wnd > 65535 ? wnd : 65535);

		step->verdict = tw || (near && !is_done(m->host)) ? MODEL_PASS : MODEL_DROP;
		if (near && (is_done(m->host) || m->host == SW_SYN_RECEIVED))
			step->verdict = MODEL_EITHER;
		return true;
	}
	if (is_after(s->ack, m->snd_nxt + UNSENT)) {
		step->verdict = tw ? MODEL_PASS : MODEL_DROP;
		return true;
	}
	/* acknowledges what was before the connection (RFC 5961 5.2), or the SYN not at all */
	old = is_after(m->host_isn + (m->host == SW_SYN_RECEIVED), s->ack);
	if (is_done(m->host) && end != s->seq && is_after(end, m->rcv_nxt)) {
		step->verdict = tw ? MODEL_PASS : old ? MODEL_EITHER : MODEL_DROP;
		return true;
	}
	if (old && !(m->small && m->host == SW_FIN_WAIT_2)) /* Linux does not look at it there */
		return true;
	if (m->host == SW_SYN_RECEIVED && s->ack != m->host_isn + 1)
		return true;
	/* of a request Linux takes nothing that ends where its window begins */
	if (m->host == SW_SYN_RECEIVED && s->seq != m->rcv_nxt && end == m->rcv_nxt)
		return true;
	/* by RFC 9293 left of RCV.NXT; Linux takes what it has not acknowledged yet, see model_in() */
	return is_after(m->small ? m->rcv_nxt : m->acked, end);
}

static bool is_legal(uint8_t flags)
{
	flags &= FIN | SYN | RST | ACK;
	return flags == SYN || flags == (SYN | ACK) || flags == RST || flags == (RST | ACK) ||
	       flags == ACK || flags == (FIN | ACK);
}

struct model_step model_in(const struct model *m, const struct segment *s)
{
	struct model_step step;
	uint32_t end = s->seq + s->len;
	bool is_whole, ours, odd, ahead = is_after(s->ack, m->snd_nxt);

	if (!is_legal(s->flags))
		return stays(m, MODEL_ILLEGAL);
	if (s->broken)
		return stays(m, MODEL_EITHER);
	if (m->host == SW_FREE)
		return in_closed(m, s);
	if (s->flags & RST)
		return in_rst(m, s);
	if (s->flags & SYN)
		return in_syn(m, s);
	if (in_misplaced(m, s, &step)) {
		if (ahead && step.verdict == MODEL_PASS && m->host != SW_TIME_WAIT)
			step.verdict = MODEL_EITHER;
		return step;
	}
	step = stays(m, MODEL_PASS);
	ours = s->ack == m->snd_nxt && (m->fin_sent || m->host == SW_SYN_RECEIVED);
	if (ours)
		step.state = acknowledged(step.state);
	if (s->flags & FIN && !is_after(s->seq, m->rcv_nxt) && is_after(end + 1, m->rcv_nxt))
		step.state = finished(step.state);
	step.moves = step.state != m->host && !ahead;
	/* a FIN where none can be: Linux takes its ACK, the guard asks again */
	odd = s->flags & FIN && !is_after(end + 1, m->rcv_nxt) && !is_done(m->host);
	odd |= is_after(m->rcv_nxt, end + !!(s->flags & FIN));
	if (odd)
		step.moves = false;
	is_whole = !is_after(end + !!(s->flags & FIN), m->rcv_end);
	step.may_be_refused = !is_whole || ahead || odd;
	step.accepted = is_whole && !ahead;
	if (ahead)
		step.verdict = MODEL_EITHER;
	return step;
}

void model_sent(struct model *m, const struct segment *s, const struct model_step *step)
{
	uint32_t fin = s->seq + s->len;

	if (m->host == SW_TIME_WAIT && step->verdict == MODEL_PASS &&
	    (s->flags & (SYN | ACK)) == SYN)
		m->syn_ns = now_ns();
	m->other = step->moves ? step->state : m->state;
	if (step->moves || step->state != m->host)
		m->state = step->state;
	else
		m->other = m->host;
	if (m->host == SW_FREE && step->state > SW_CLOSED) {
		if (m->fresh.is_there && s->ack == m->fresh.cookie + 1) {
			m->spent = m->fresh;
			m->fresh.is_there = false;
		}
		m->isn = revives(m, s) ? s->seq : s->seq - 1;
		m->host_isn = s->ack - 1;
		m->snd_nxt = m->host_isn + 1;
		m->rcv_nxt = m->isn + 1;
		m->rcv_end = m->rcv_nxt + m->spent.window;
		m->acked = m->said = m->rcv_nxt;
		m->pending = m->confused = m->fin_sent = false;
		m->syn_ns = 0;
	}
	m->confused |= m->host > SW_CLOSED && is_at_edge(m, s->seq);
	m->confused |= m->pending && s->len && is_after(fin, m->fin);
	if (s->len && is_after(fin, m->said) && fin - m->rcv_nxt < 1 << 24)
		m->said = fin;
	/* a FIN that reaches beyond the window: what becomes of it, only the host knows */
	m->confused |= s->flags & FIN && step->may_be_refused && m->host > SW_CLOSED;
	if (!(s->flags & FIN) || s->flags & (SYN | RST) || step->verdict != MODEL_PASS ||
	    !step->accepted || is_done(m->host) || m->host <= SW_CLOSED ||
	    !is_after(fin + 1, m->rcv_nxt))
		return;
	m->confused |= (m->pending && m->fin != fin) || is_after(m->said, fin);
	m->pending = true;
	m->fin = fin;
}

static void begin(struct model *m, const struct frame *f)
{
	m->rcv_end = f->ack + f->window;
	m->scale = f->opt.ws > 0 ? (uint8_t)f->opt.ws : 0;
	m->ts = f->opt.ts;
}

void model_cookie(struct model *m, const struct frame *f)
{
	begin(m, f);
	m->fresh = (struct handshake_by_cookie){
		.is_there = true, .isn = f->ack - 1, .cookie = f->seq, .window = f->window
	};
}

static void out_syn_ack(struct model *m, const struct frame *f)
{
	if (m->host == SW_SYN_RECEIVED && m->host_isn == f->seq && m->rcv_nxt == f->ack)
		return; /* again */
	begin(m, f);
	m->rcv_nxt = m->acked = m->said = f->ack;
	m->isn = f->ack - 1;
	m->host_isn = f->seq;
	m->snd_nxt = f->seq + 1;
	m->pending = m->confused = m->fin_sent = false;
	m->syn_ns = 0;
	m->fresh.is_there = m->spent.is_there = false;
	m->state = m->other = SW_SYN_RECEIVED;
}

static enum sw_state out_state(const struct model *m, enum sw_state s, const struct frame *f)
{
	/* of a handshake only what acknowledges: else it is about a stray segment */
	if (f->flags & RST)
		return s != SW_SYN_RECEIVED || f->flags & ACK ? SW_FREE : s;
	if (m->pending && f->ack == m->fin + 1)
		s = finished(s);
	if (!(f->flags & FIN))
		return s;
	if (s == SW_ESTABLISHED || s == SW_SYN_RECEIVED)
		return SW_FIN_WAIT_1;
	return s == SW_CLOSE_WAIT ? SW_LAST_ACK : s;
}

void model_out(struct model *m, const struct frame *f)
{
	uint32_t end = f->seq + (uint32_t)f->payload_len + !!(f->flags & FIN);

	if ((f->flags & (SYN | RST)) == SYN) {
		out_syn_ack(m, f);
		return;
	}
	m->state = out_state(m, m->state, f);
	m->other = out_state(m, m->other, f);
	if (f->flags & RST)
		return;
	m->acked = f->ack;
	m->rcv_end = f->ack + ((uint32_t)f->window << m->scale);
	if (is_after(end, m->snd_nxt))
		m->snd_nxt = end;
	if (m->pending && f->ack == m->fin + 1)
		m->pending = false;
	m->fin_sent |= f->flags & FIN;
}
