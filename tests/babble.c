/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What to say next, see babble.h. */
#include "babble.h"

uint32_t below(uint32_t n)
{
	return (uint32_t)(test_random() >> 11) % n;
}

bool one_in(uint32_t n)
{
	return below(n) == 0;
}

static uint32_t some_ack(const struct model *m)
{
	uint32_t sent = m->snd_nxt - m->host_isn - 1;

	if (!one_in(4))
		return m->snd_nxt;
	switch (below(4)) {
	case 0:
	case 1:
		return m->snd_nxt - below((sent < 20000 ? sent : 20000) + 1);
	case 2:
		return m->snd_nxt + 1 + below(one_in(2) ? 100 : 1 << 30);
	default:
		return m->host_isn - 100 - below(1 << 30);
	}
}

/* From the host's next: close and far, both sides of the window. */
static uint32_t some_offset(const struct model *m)
{
	uint32_t wnd = m->rcv_end - m->rcv_nxt;

	switch (below(8)) {
	case 0:
		return 0;
	case 1:
		return below(3) - 1;
	case 2:
		return -below(3000);
	case 3:
		return below(wnd + 1);
	case 4:
		return wnd + 1 + below(60000);
	case 5:
		return wnd + 140000 + (wnd << 1) + below(1 << 28);
	case 6:
		return -below(1 << 30);
	default:
		return (uint32_t)test_random();
	}
}

static void stray(const struct model *m, struct segment *s)
{
	static const uint8_t flags[] = { ACK, ACK | PSH, FIN | ACK, SYN,      SYN | ACK,
					 RST, RST | ACK, ACK,       ACK | URG };

	s->flags = one_in(16) ? (uint8_t)test_random() : flags[below(ARRAY_SIZE(flags))];
	s->seq = m->rcv_nxt + some_offset(m);
	s->ack = some_ack(m);
	s->len = one_in(2) || s->flags & SYN ? 0 : (uint16_t)below(1400);
	s->broken = one_in(8);
}

/* What a client says that goes on. Beyond its FIN it says nothing. */
static void in_order(const struct model *m, struct segment *s)
{
	uint32_t left = m->pending ? m->fin - m->rcv_nxt : 1 << 20;

	s->flags = ACK;
	s->seq = m->rcv_nxt;
	s->ack = some_ack(m);
	switch (below(16)) {
	case 0: /* its FIN, early or not */
		s->flags = FIN | ACK;
		s->seq = m->pending ? m->fin : m->said + (one_in(2) ? 0 : below(4000));
		s->len = m->pending || one_in(2) ? 0 : (uint16_t)below(500);
		return;
	case 1: /* a hole before it */
	case 2:
		s->seq += left > 4000 ? 1 + below(2500) : below(left + 1);
		left -= s->seq - m->rcv_nxt;
		break;
	case 3: /* once more */
	case 4:
		s->seq -= 1 + below(1400);
		s->len = (uint16_t)(m->rcv_nxt - s->seq);
		return;
	case 5:
		return;
	}
	s->len = (uint16_t)below((left < 1400 ? left : 1400) + 1);
}

static struct segment babble_open(const struct model *m)
{
	bool done = m->host != SW_ESTABLISHED && m->host != SW_FIN_WAIT_1 &&
		    m->host != SW_FIN_WAIT_2;
	struct segment s = { .flags = ACK };

	switch (below(32)) {
	case 0:
		s.flags = one_in(2) ? RST : RST | ACK;
		s.seq = m->rcv_nxt + (one_in(2) ? 0 : some_offset(m));
		s.ack = some_ack(m);
		break;
	case 1:
	case 2: /* a new connection from its port */
		s.flags = SYN;
		s.seq = m->rcv_nxt + (one_in(2) ? below(1 << 30) : -below(1 << 30));
		break;
	case 3:
	case 4:
	case 5:
	case 6:
		stray(m, &s);
		break;
	default:
		if (!done) {
			in_order(m, &s);
			break;
		}
		s.flags = one_in(2) ? ACK : FIN | ACK;
		s.seq = m->rcv_nxt - !!(s.flags & FIN);
		s.ack = some_ack(m);
	}
	return s;
}

static struct segment babble_begin(const struct model *m)
{
	struct segment s = { .flags = SYN, .seq = (uint32_t)test_random() };

	if (m->host == SW_SYN_RECEIVED && !one_in(4)) {
		s.flags = one_in(8) ? FIN | ACK : one_in(8) ? RST : ACK;
		s.seq = m->isn + !one_in(8);
		s.ack = m->host_isn + 1;
		s.len = one_in(4) ? (uint16_t)below(1400) : 0;
	} else if (m->host == SW_SYN_RECEIVED && one_in(2)) {
		s.seq = m->isn;
	} else if (m->host == SW_FREE && m->fresh.is_there && !one_in(4)) {
		s.flags = one_in(8) ? FIN | ACK : ACK;
		s.seq = m->fresh.isn + 1;
		s.ack = m->fresh.cookie + 1;
		s.len = one_in(4) ? (uint16_t)below(1400) : 0;
	} else if (one_in(4)) {
		stray(m, &s);
	}
	return s;
}

struct segment babble(const struct model *m)
{
	return m->host == SW_FREE || m->host == SW_SYN_RECEIVED ? babble_begin(m) : babble_open(m);
}
