/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TIME-WAIT on a live wire: what keeps it, what ends it, and who may have its port again
 * (RFC 9293 3.6.1, RFC 6191, RFC 1337); see peer.h.
 */
#include <string.h>
#include <sys/socket.h>

#include "peer.h"

static const enum sw_state time_wait[] = { SW_TIME_WAIT, 0 };
static const enum sw_reason resets[] = { SW_DROP_RST_TIME_WAIT, 0 };

/* The connection has been in TIME-WAIT for so long, the host knows it as well. */
static void age(struct peer *p, uint32_t seconds)
{
	struct sw_conn *c = conn_entry(p->family, p->port, p->to, NULL);

	REQUIRE(c);
	c->seen_s -= seconds;
	c->changed_s -= seconds;
}

static void assassinate(struct peer *p, enum sw_state s)
{
	static const int32_t at[] = { 0, 1, -1, 1000, -1000, 1 << 30 };

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		STRAY(p, RST, at[i], 0, 0);
		ARE(p, s);
		STRAY(p, RST | ACK, at[i], 0, 0);
		ARE(p, s);
		QUIET(p);
	}
}

TEST(reset_does_not_end_time_wait, "G07")
{
	peer_prepare();
	peer_each_state(time_wait, assassinate);
	peer_unharmed(resets);
}

/* Segments that are left over: answered by the host as it likes, the entry stays. */
static void leftovers(struct peer *p, enum sw_state s)
{
	static const struct {
		uint8_t flags;
		int32_t seq;
		uint16_t payload;
	} left[] = {
		{ ACK, 0, 0 },     { ACK, -1, 0 },     { ACK, -1, 1 },      { PSH, -100, 99 },
		{ PSH, -100, 50 }, { PSH, 5000, 100 }, { FIN, -1, 0 },      { FIN, -101, 100 },
		{ SYN, -9000, 0 }, { FIN, 70000, 0 },  { ACK, 1 << 30, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		STRAY(p, left[i].flags, left[i].seq, 0, left[i].payload);
		ARE(p, s);
		DRAIN(p, 0);
	}
}

TEST(leftover_segments_do_not_end_time_wait, "G07 G08")
{
	peer_prepare();
	peer_each_state(time_wait, leftovers);
	peer_unharmed(NULL);
}

static const struct reuse {
	const char *what;
	int32_t isn;  /* from what the host expected next */
	int32_t ts;   /* from the last TSval; of those with timestamps */
	bool without; /* the new one has no timestamps, the old one had */
	bool opens;
} reuses[] = {
	{ "newer, later", 1, 1, false, true },
	{ "much newer, later", 100000000, 1000, false, true },
	{ "newer, same time", 64000, 0, false, true },
	{ "newer, without time", 64000, 0, true, true },
	{ "same, later", 0, 1, false, true },
	{ "older, later", -64000, 1, false, true },
	{ "much older, later", -2000000000, 1, false, true },
	{ "newer, earlier", 64000, -1000, false, false },
	{ "same, same time", 0, 0, false, false },
	{ "older, same time", -64000, 0, false, false },
	{ "older, earlier", -64000, -1000, false, false },
	{ "older, without time", -64000, 0, true, false },
};

/* By the host's SYN-ACK, the guard's cookie is out of it. */
static void reopens(struct peer *p)
{
	ARE(p, SW_SYN_RECEIVED);
	peer_finish(p);
	ARE(p, SW_ESTABLISHED);
	SAY(p, PSH, 100);
	peer_read(p);
	DRAIN(p, 0);
	SAY(p, FIN, 0);
	CLOSE(p);
	HEAR(p, FIN, 0);
	SAY(p, ACK, 0);
	ARE(p, SW_CLOSED);
}

/* The host's ACK of the old connection: the client resets it, and its SYN comes again. */
static void is_refused_once(struct peer *p, uint32_t old_seq)
{
	uint32_t isn = p->isn;

	ARE(p, SW_TIME_WAIT);
	MISS(p, ACK);
	CHECK_EQ(p->last.ack - old_seq, 0);
	p->seq = p->last.ack;
	STRAY(p, RST, 1, 0, 0);
	ARE(p, SW_TIME_WAIT);
	STRAY(p, RST, 0, 0, 0);
	ARE(p, SW_CLOSED);
	p->how = p->family == 6 ? OPEN_COOKIE6 : OPEN_COOKIE4;
	peer_syn(p, isn);
	peer_finish(p);
	ARE(p, SW_ESTABLISHED);
	SAY(p, FIN, 0);
	CLOSE(p);
	HEAR(p, FIN, 0);
	SAY(p, ACK, 0);
	ARE(p, SW_CLOSED);
}

static void reuse(struct peer *p, const struct reuse *r, bool orphan, uint32_t seconds)
{
	uint32_t old_seq;

	peer_bring(p, SW_TIME_WAIT, orphan);
	old_seq = p->seq;
	age(p, seconds);
	if (r->without)
		p->how = OPEN_BARE4;
	p->tsval += (uint32_t)r->ts;
	p->fd = -1;
	peer_line = __LINE__;
	peer_syn(p, old_seq + (uint32_t)r->isn);
	if (r->opens)
		reopens(p);
	else
		is_refused_once(p, old_seq);
	if (test_failed())
		test_note("ISN %s", r->what);
}

static void reuse_all(uint32_t seconds)
{
	peer_prepare();
	for (size_t i = 0; i < ARRAY_SIZE(reuses); i++)
		for (enum opening how = 0; how < OPENINGS && !test_failed(); how++) {
			struct peer p;

			peer_open(&p, how);
			if (!p.ts && (reuses[i].ts || reuses[i].without))
				continue;
			reuse(&p, &reuses[i], (i + how) % 2, seconds);
			tables_check();
		}
	peer_unharmed(resets);
}

TEST(port_is_used_again_in_time_wait, "G08 G07 C05")
{
	skip_without_kfunc();
	reuse_all(0);
}

TEST(port_is_used_again_late_in_time_wait, "G08 G07 C05")
{
	skip_without_kfunc();
	reuse_all(40);
}

/* The same port over and over, the server closing first: its TIME-WAIT never ends. */
TEST(one_port_a_thousand_times_through_time_wait, "G08 G11 C05")
{
	skip_without_kfunc();
	struct peer p;

	peer_prepare();
	peer_open(&p, OPEN_COOKIE4);
	for (unsigned int i = 0; i < scaled(1000) && !test_failed(); i++) {
		struct sw_conn *c;

		CLOSE(&p);
		HEAR(&p, FIN, 0);
		SAY(&p, FIN, 0);
		ARE(&p, SW_TIME_WAIT);
		HEAR(&p, ACK, 0);
		p.tsval += i % 2;
		peer_syn(&p, p.seq + 1 + (uint32_t)(test_random() % 100000));
		ARE(&p, SW_SYN_RECEIVED);
		peer_finish(&p);
		ARE(&p, SW_ESTABLISHED);
		c = conn_entry(4, p.port, 80, NULL);
		REQUIRE(c);
		CHECK_EQ(c->flags & ~SW_CONN_CONFIRMED, 0);
		CHECK_EQ(c->rcv_nxt - p.seq, 0);
	}
	tables_check();
	peer_unharmed(NULL);
}

/* Reset and opened again, each time with a new cookie: the tombstone is no obstacle. */
TEST(one_port_a_thousand_times_through_resets, "G11 C05")
{
	peer_prepare();
	for (int family = 4; family <= 6; family += 2) {
		struct peer p;

		peer_open(&p, family == 6 ? OPEN_COOKIE6 : OPEN_COOKIE4);
		for (unsigned int i = 0; i < scaled(1000) && !test_failed(); i++) {
			if (i % 2) {
				STRAY(&p, RST, 0, 0, 0);
				CLOSE(&p);
			} else {
				ABORT(&p);
				HEAR(&p, RST, 0);
			}
			ARE(&p, SW_CLOSED);
			peer_syn(&p, (uint32_t)test_random());
			ARE(&p, SW_CLOSED);
			peer_finish(&p);
			ARE(&p, SW_ESTABLISHED);
			CHECK_EQ(conn_entry(p.family, p.port, 80, NULL)->rcv_nxt - p.seq, 0);
		}
	}
	tables_check();
	peer_unharmed(NULL);
}

/* net.ipv4.tcp_rfc1337: the host drops the RST that the guard lets through, too. */
TEST(host_that_heeds_no_reset_in_time_wait, "G07")
{
	struct peer p;
	uint32_t old;

	peer_prepare();
	sysctl_write("net/ipv4/tcp_rfc1337", "1");
	peer_open(&p, OPEN_HOST4);
	peer_bring(&p, SW_TIME_WAIT, true);
	old = p.seq;
	peer_syn(&p, old - 1000);
	MISS(&p, ACK);
	p.seq = old;
	p.lag = SW_CLOSED; /* until something is said again, and not at once: see track.h */
	STRAY(&p, RST, 0, 0, 0);
	age(&p, 10);
	p.lag = 0;
	peer_syn(&p, old - 1000);
	ARE(&p, SW_TIME_WAIT);
	MISS(&p, ACK);
	p.tsval++;
	peer_syn(&p, old - 1000);
	ARE(&p, SW_SYN_RECEIVED);
	peer_finish(&p);
	peer_unharmed(NULL);
}
