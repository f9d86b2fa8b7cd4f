/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The description in matrix.c against the host itself, without the guard: every segment it
 * lets pass is given to a socket in that state, which must end in the state the description
 * says. So that what the guard is held to is what Linux does.
 */
#include "matrix.h"

static unsigned int cases;

static bool is_in_window(const struct acase *c)
{
	return (c->pos >= POS_NEXT && c->pos <= POS_EDGE) || (c->pos == POS_LAST && c->data);
}

/* Where Linux does not follow the RFCs, or only one sort of its sockets. */
static bool is_linux_own(const struct peer *p, const struct acase *c)
{
	/* takes an ACK of SND.UNA for one of its SYN, and of data it has not had */
	if (p->place == AT_CROSSING)
		return c->acks == ACKS_UNA || (c->pos == POS_LAST && c->data);
	/* kept as a TIME-WAIT socket: data, SYN or any RST in the window end it, and of a FIN it
	 * does not look at the ACK. Its RST, which is seen, closes the entry */
	return p->place == AT_FIN_WAIT_2_ORPHAN && is_in_window(c) &&
	       (c->data || c->kind != KIND_ACK) &&
	       !(c->kind == KIND_FIN && c->acks == ACKS_ALL && c->pos == POS_NEXT && !c->data) &&
	       !(c->kind >= KIND_RST && c->pos == POS_NEXT);
}

/* What the host makes of it where the entry waits for the host's word. */
static enum sw_state host_next(const struct peer *p, const struct acase *c, const struct want *w)
{
	if (w->next == SW_CLOSED)
		return SW_FREE;
	if (w->next)
		return w->next;
	if (p->place == AT_TIME_WAIT && c->kind == KIND_SYN && w->verdict == 'P')
		return SW_SYN_RECEIVED;
	/* RFC 9293 3.10.7.4: of a passive open, back to LISTEN. Its RST closes the entry */
	if (p->place == AT_SYN_RECEIVED && is_in_window(c) &&
	    (c->kind == KIND_SYN || (c->kind == KIND_SYNACK && c->acks == ACKS_ALL)))
		return SW_FREE;
	return place_state(p->place);
}

static void run_case(enum place at, uint8_t family, const struct acase *c)
{
	static uint16_t port = 10000;
	static struct packet packet;
	enum sw_state want, got;
	struct peer p;
	struct want w;
	struct spec s;

	peer_put(&p, at, family, port++, false);
	w = want_in(&p, c);
	if (is_case(&p, c) && w.verdict != 'D' && !is_linux_own(&p, c)) {
		case_spec(&p, c, &s);
		packet_build(&packet, &s);
		tap_send(&packet);
		want = host_next(&p, c, &w);
		got = host_state(family, p.port, p.server_port);
		cases++;
		if (got != want)
			FAIL("%s: %s (%s): the host goes to %s, expected %s", place_name(at),
			     case_name(c), w.cell, state_name(got), state_name(want));
	}
	peer_end(&p);
}

static void run_place(enum place at, uint8_t family)
{
	unsigned int turn = 0;

	for (int kind = 0; kind < KIND_NONE; kind++)
		for (int pos = 0; pos < POSITIONS; pos++)
			for (int acks = 0; acks < ACKINGS; acks++)
				for (int data = 0; data < 2; data++) {
					struct acase c = {
						.kind = kind, .pos = pos, .acks = acks, .data = data
					};

					if (turn++ % stride() == 0)
						run_case(at, family, &c);
				}
}

TEST(the_host_does_what_the_table_of_states_says, "F01 F04 F05 F08 G02 G04 G05 G06 G07 G08")
{
	peers_begin();
	for (enum place at = AT_SYN_SENT; at < PLACES; at++)
		for (uint8_t family = 4; family <= 6; family += 2)
			run_place(at, family);
	test_note("%u cases", cases);
}
