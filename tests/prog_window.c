/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segments at odd numbers of live connections, in every synchronized state: what is forged
 * moves nothing, what a real peer sends comes through; see peer.h.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "peer.h"

/* States in which Linux keeps a whole socket even after close(): it answers as RFC 5961 says. */
static bool is_small(const struct peer *p, enum sw_state s)
{
	return s == SW_TIME_WAIT || (s == SW_FIN_WAIT_2 && p->fd < 0);
}

static void challenged(struct peer *p, enum sw_state s)
{
	ARE(p, s);
	HEAR_AGAIN(p, ACK);
	CHECK_EQ(p->last.payload_len, 0);
	ARE(p, s);
}

/* RFC 5961 3.2: of five positions only one ends the connection, and the host has its word. */
static void blind_resets(struct peer *p, enum sw_state s)
{
	static const uint8_t kinds[] = { RST, RST | ACK };

	if (is_small(p, s))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		STRAY(p, kinds[i], 1, 0, 0);
		challenged(p, s);
		STRAY(p, kinds[i], 20000, 0, 0);
		challenged(p, s);
		STRAY(p, kinds[i], -2, 0, 0);
		STRAY(p, kinds[i], -1000000, 0, 0);
		STRAY(p, kinds[i], 1 << 30, 0, 0);
		ARE(p, s);
		QUIET(p);
	}
}

TEST(blind_resets_end_nothing, "F01 F03 F07")
{
	static const enum sw_reason outside[] = { SW_DROP_RST_WINDOW, 0 };

	peer_prepare();
	peer_each_state(all_states, blind_resets);
	peer_unharmed(outside);
}

static void blind_syns(struct peer *p, enum sw_state s)
{
	static const int32_t at[] = { 0, 1, 20000, -1, -1000000, 1 << 30 };

	if (is_small(p, s))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		STRAY(p, SYN, at[i], 0, 0);
		challenged(p, s);
		STRAY(p, SYN | ACK, at[i], 0, 0);
		challenged(p, s);
	}
}

TEST(blind_syns_are_challenged_in_every_state, "F04")
{
	peer_prepare();
	peer_each_state(all_states, blind_syns);
	peer_unharmed(NULL);
}

/* A FIN-WAIT-2 without a program is a small socket: Linux answers less, and lets go easily. */
static void strays_at_an_orphan(struct peer *p, enum sw_state s)
{
	if (!is_small(p, s))
		return;
	STRAY(p, SYN, -1000, 0, 0);
	challenged(p, s);
	STRAY(p, RST, -1000, 0, 0);
	STRAY(p, RST, 1 << 30, 0, 0);
	ARE(p, s);
	QUIET(p);
	STRAY(p, ACK, -1, 0, 0);
	STRAY(p, ACK, 0, 0, 0);
	ARE(p, s);
	DRAIN(p, 0);
	STRAY(p, PSH, 0, 0, 100); /* no one is there to read it */
	MISS(p, RST);
	ARE(p, SW_CLOSED);
}

TEST(strays_at_a_half_open_orphan, "F03 F04 G10")
{
	static const enum sw_state waiting[] = { SW_FIN_WAIT_2, 0 };
	static const enum sw_reason outside[] = { SW_DROP_RST_WINDOW, 0 };

	peer_prepare();
	peer_each_state(waiting, strays_at_an_orphan);
	peer_unharmed(outside);
}

/* RFC 9293 3.8.4: one number back, none or one byte. The host answers, nothing moves. */
static void keepalives(struct peer *p, enum sw_state s)
{
	if (s == SW_LAST_ACK || s == SW_CLOSING || s == SW_FIN_WAIT_1)
		p->ack--; /* the server's FIN has not come */
	for (int i = 0; i < 6; i++) {
		STRAY(p, ACK, -1, 0, i % 2);
		challenged(p, s);
	}
}

TEST(keepalives_are_answered_in_every_state, "F09")
{
	peer_prepare();
	peer_each_state(all_states, keepalives);
	peer_unharmed(NULL);
}

/* The ACK of it was lost: it comes again, far left of the window. */
static void retransmissions(struct peer *p, enum sw_state s)
{
	if (s == SW_LAST_ACK || s == SW_CLOSING || s == SW_FIN_WAIT_1)
		p->ack--;
	STRAY(p, PSH, -1, 0, 1);
	challenged(p, s);
	STRAY(p, PSH, -1400, 0, 1399);
	challenged(p, s);
	STRAY(p, PSH, -100000, 0, 1400);
	challenged(p, s);
	STRAY(p, PSH, -1000000, 0, 1400);
	challenged(p, s);
}

TEST(retransmission_left_of_the_window_is_answered, "F08")
{
	peer_prepare();
	peer_each_state(all_states, retransmissions);
	peer_unharmed(NULL);
}

/* Data no one sends: beyond the right edge, or acknowledging what was never said. */
static void forged_data(struct peer *p, enum sw_state s)
{
	if (s == SW_TIME_WAIT)
		return;
	STRAY(p, PSH, 1 << 30, 0, 100);
	STRAY(p, PSH, -(1 << 30) * 2LL, 0, 100);
	STRAY(p, FIN, 1 << 30, 0, 0);
	ARE(p, s);
	QUIET(p);
	STRAY(p, FIN, 1, 100000, 0);
	ARE(p, s);
	QUIET(p);
	if (s == SW_ESTABLISHED ||
	    s == SW_FIN_WAIT_2) /* unread by the guard, refused by the host */
		return;
	STRAY(p, PSH, 0, 100000, 100);
	STRAY(p, ACK, 0, 100000, 0);
	ARE(p, s);
	if (s == SW_CLOSE_WAIT)
		DRAIN(p, 0);
	QUIET(p);
}

TEST(forged_data_moves_nothing, "F05 F13")
{
	static const enum sw_reason forged[] = { SW_DROP_WINDOW, 0 };

	peer_prepare();
	peer_each_state(all_states, forged_data);
	peer_unharmed(forged);
}

/* Behind the client's FIN nothing may follow: the host would let go of the connection. */
static void data_behind_the_fin(struct peer *p, enum sw_state s)
{
	STRAY(p, PSH, 0, 0, 100);
	STRAY(p, PSH, -50, 0, 100);
	STRAY(p, FIN, 100, 0, 0);
	STRAY(p, FIN, 0, 0, 0);
	ARE(p, s);
	QUIET(p);
}

TEST(data_behind_the_fin_moves_nothing, "F05 G04")
{
	static const enum sw_state done[] = { SW_CLOSE_WAIT, SW_CLOSING, SW_LAST_ACK, 0 };
	static const enum sw_reason forged[] = { SW_DROP_WINDOW, 0 };

	peer_prepare();
	peer_each_state(done, data_behind_the_fin);
	peer_unharmed(forged);
}

/* What the client may still send. */
static uint32_t room(const struct peer *p)
{
	return p->last.ack + ((uint32_t)p->last.window << p->scale) - p->seq;
}

/* The program reads nothing until the window is shut, and the client asks for more. */
static void shut_window(struct peer *p, enum sw_state s)
{
	if (p->fd < 0)
		return;
	SAY(p, PSH, 1);
	DRAIN(p, 60);
	for (int i = 0; i < 4000 && p->last.window; i++) {
		if (room(p))
			SAY(p, PSH, room(p) < 1400 ? (uint16_t)room(p) : 1400);
		DRAIN(p, room(p) ? 0 : 60);
	}
	CHECK_EQ(p->last.window, 0);
	CHECK_EQ(p->last.ack - p->seq, 0);
	for (int i = 0; i < 5; i++) {
		STRAY(p, ACK, 0, 0, 1); /* RFC 9293 3.8.6.1 */
		challenged(p, s);
		STRAY(p, ACK, -1, 0, 0);
		challenged(p, s);
	}
	CHECK(peer_read(p) > 10000);
	DRAIN(p, 60);
	CHECK(p->last.window > 0);
	SAY(p, PSH, 1000);
	CHECK_EQ(peer_read(p), 1000);
	DRAIN(p, 0);
	SAY(p, FIN, 0);
	ARE(p, s == SW_ESTABLISHED ? SW_CLOSE_WAIT : SW_TIME_WAIT);
}

TEST(shut_window_is_probed, "F09 F13")
{
	static const enum sw_state reading[] = { SW_ESTABLISHED, SW_FIN_WAIT_2, 0 };

	peer_prepare();
	peer_each_state(reading, shut_window);
	peer_unharmed(NULL);
}

static void talk(struct peer *p, size_t len)
{
	for (size_t said = 0; said < len; said += 1400) {
		SAY(p, PSH, 1400);
		peer_read(p);
		DRAIN(p, 0);
	}
	ARE(p, SW_ESTABLISHED);
}

/* Numbers wrap: in the data, between SYN and data, at the FIN, behind it. */
TEST(sequence_numbers_wrap, "F10")
{
	static const uint32_t isns[] = { 0xffffff00, 0xffffffff, 0xfffffffe, 0xffff0000,
					 0x7fffffff, 0x7fffff00, 0,          0x80000000 };
	static const uint16_t last[] = { 255, 0, 1, 65535 % 1400, 0, 255, 0, 0 };

	peer_prepare();
	for (size_t i = 0; i < ARRAY_SIZE(isns); i++)
		for (enum opening how = 0; how < OPENINGS && !test_failed(); how++) {
			struct peer p;

			peer_begin(&p, how);
			peer_syn(&p, isns[i]);
			peer_finish(&p);
			if (i == 3)
				talk(&p, 300000);
			SAY(&p, FIN, last[i]);
			ARE(&p, SW_CLOSE_WAIT);
			peer_read(&p);
			DRAIN(&p, 0);
			CLOSE(&p);
			do
				REQUIRE(peer_next(&p));
			while (!(p.last.flags & FIN));
			p.ack = p.last.seq + 1;
			STRAY(&p, FIN, -1, -1, 0);
			ARE(&p, SW_LAST_ACK);
			SAY(&p, ACK, 0);
			ARE(&p, SW_CLOSED);
		}
	tables_check();
	peer_unharmed(NULL);
}

/* A window of most of a gigabyte: segments far off are still in it. */
TEST(window_scale_of_14, "F10")
{
	skip_without_kfunc();
	static const enum opening hows[] = { OPEN_COOKIE4, OPEN_COOKIE6, OPEN_HOST4 };

	sysctl_write("net/ipv4/tcp_rmem", "4096 1073741824 2147483647");
	peer_prepare();
	for (size_t i = 0; i < ARRAY_SIZE(hows); i++) {
		struct peer p;
		uint32_t edge;

		peer_begin(&p, hows[i]);
		if (hows[i] != OPEN_HOST4 && guard.engine == SW_ENGINE_LISTENER)
			continue; /* the kernel's cookie remembers no scale */
		peer_syn(&p, 0xf0000000);
		REQUIRE(peer_next(&p));
		CHECK_EQ(p.last.opt.ws, 14);
		p.ack = p.last.seq + 1;
		p.ts = true;
		SAY(&p, ACK, 0);
		peer_accept(&p);
		talk(&p, 100000);
		edge = (uint32_t)p.last.window << 14;
		test_note("window of %u", edge);
		CHECK(edge > 16 << 20);
		STRAY(&p, PSH, edge - 1400, 0, 1400);
		STRAY(&p, FIN, edge / 2, 0, 100);
		ARE(&p, SW_ESTABLISHED);
		STRAY(&p, RST, edge / 2, 0, 0);
		ARE(&p, SW_ESTABLISHED);
		DRAIN(&p, 0);
		STRAY(&p, RST, 0, 0, 0);
		ARE(&p, SW_CLOSED);
		tables_check();
	}
	peer_unharmed(NULL);
}

static void urgent(struct peer *p, enum sw_state s)
{
	SAY(p, URG | PSH, 20);
	STRAY(p, URG, 0, 0, 0);
	ARE(p, s);
	peer_read(p);
	DRAIN(p, 0);
	SAY(p, URG | FIN, 0);
	ARE(p, SW_CLOSE_WAIT);
}

TEST(urgent_data, "F09")
{
	static const enum sw_state open[] = { SW_ESTABLISHED, 0 };

	peer_prepare();
	peer_each_state(open, urgent);
	peer_unharmed(NULL);
}

/* The host drops it and answers; the guard does not judge by time. */
static void stale(struct peer *p, enum sw_state s)
{
	if (!p->ts || is_small(p, s))
		return;
	p->tsval -= 100000;
	STRAY(p, PSH, 0, 0, s == SW_ESTABLISHED || s == SW_FIN_WAIT_2 ? 100 : 0);
	ARE(p, s);
	DRAIN(p, 0);
	STRAY(p, PSH, -1000, 0, 100);
	ARE(p, s);
	DRAIN(p, 60);
	p->tsval += 100000;
	STRAY(p, RST, 0, 0, 0);
	ARE(p, SW_CLOSED);
}

TEST(stale_timestamps_move_nothing, "F12")
{
	static const enum sw_state states[] = { SW_ESTABLISHED, SW_FIN_WAIT_2, SW_CLOSE_WAIT, 0 };

	peer_prepare();
	peer_each_state(states, stale);
	peer_unharmed(NULL);
}

/* Moves the entry ahead of the host, for so long as one batch may last; then it is put right. */
static void stale_fin(struct peer *p, enum sw_state s)
{
	struct sw_conn *c;

	if (!p->ts || p->fd < 0)
		return;
	p->tsval -= 100000;
	p->lag = s == SW_ESTABLISHED ? SW_CLOSE_WAIT : SW_TIME_WAIT;
	STRAY(p, FIN, 0, 0, 0);
	DRAIN(p, 0);
	p->tsval += 100000;
	SAY(p, PSH, 100); /* not a byte is lost */
	CHECK_EQ(peer_read(p), 100);
	DRAIN(p, 60);
	c = conn_entry(p->family, p->port, p->to, NULL);
	REQUIRE(c);
	c->changed_s -= 10;
	p->lag = 0;
	SAY(p, PSH, 100);
	ARE(p, s);
	CHECK_EQ(peer_read(p), 100);
	DRAIN(p, 60);
	SAY(p, FIN, 0);
	ARE(p, s == SW_ESTABLISHED ? SW_CLOSE_WAIT : SW_TIME_WAIT);
}

TEST(stale_fin_is_forgotten, "F12 G04")
{
	static const enum sw_state states[] = { SW_ESTABLISHED, SW_FIN_WAIT_2, 0 };

	peer_prepare();
	peer_each_state(states, stale_fin);
	peer_unharmed(NULL);
}

/* One client that floods its own connection with what the host must answer: others do not care. */
TEST(challenges_of_one_connection_are_bounded, "E06 F06")
{
	struct peer p, other;
	uint64_t before;

	peer_prepare();
	guard.settings.challenge_pps = 10;
	settings_write();
	peer_open(&p, OPEN_COOKIE4);
	peer_open(&other, OPEN_COOKIE4);
	budget_settle();
	map_zero("sw_challenge");
	for (int i = 0; i < 200; i++) {
		STRAY(&p, SYN, 1000, 0, 0);
		DRAIN(&p, 0);
		STRAY(&p, RST, 1000, 0, 0);
		DRAIN(&p, 0);
	}
	before = counter_of(SW_DROP_CHALLENGE);
	CHECK(before >= 400 - 20 && before < 400);
	ARE(&p, SW_ESTABLISHED);
	STRAY(&other, SYN, 1000, 0, 0);
	challenged(&other, SW_ESTABLISHED);
	SAY(&p, PSH, 100); /* and its own data is untouched */
	CHECK_EQ(peer_read(&p), 100);
	STRAY(&p, RST, 0, 0, 0);
	ARE(&p, SW_CLOSED);
	peer_unharmed((const enum sw_reason[]){ SW_DROP_CHALLENGE, 0 });
}
