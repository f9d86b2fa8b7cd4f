/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other half of the matrix: what the host says, and the few things that hang on more than
 * one segment. See prog_matrix.c.
 */
#include <arpa/inet.h>
#include <string.h>

#include "matrix_scene.h"

static unsigned int cases;

/* A segment of the host, as tc sees it leave. */
static struct result host_says(const struct spec *more)
{
	bool v6 = scene.peer.family == 6;
	static struct packet p;
	struct spec s = *more;
	struct result r;

	s.family = scene.peer.family;
	s.src = v6 ? SERVER6 : SERVER4;
	s.dst = v6 ? CLIENT6 : CLIENT4;
	s.sport = scene.peer.server_port;
	s.dport = scene.peer.port;
	s.partial = true; /* sums are the device's to fill in */
	packet_build(&p, &s);
	r = run_tc_out(&p);
	CHECK_EQ(r.action, -1); /* TC_NEXT: whatever it is, it leaves */
	CHECK_BYTES(r.out, r.len, p.data, p.len);
	return r;
}

static struct result client_says(const struct spec *more)
{
	static struct packet p;
	struct spec s = *more;

	s.family = scene.peer.family;
	s.sport = scene.peer.port;
	s.dport = scene.peer.server_port;
	packet_build(&p, &s);
	return run_xdp(&p);
}

static void spec_of(struct spec *s, enum out o, bool data)
{
	static const uint8_t flags[OUTS] = {
		[OUT_SYN_NEW] = SYN,
		[OUT_SYN_AGAIN] = SYN,
		[OUT_SYNACK_NEW] = SYN | ACK,
		[OUT_SYNACK_AGAIN] = SYN | ACK,
		[OUT_ACK] = ACK,
		[OUT_FIN_NEW] = FIN | ACK,
		[OUT_FIN_AGAIN] = FIN | ACK,
		[OUT_RST_ACK] = RST | ACK,
		[OUT_RST_BARE] = RST,
	};
	const struct peer *p = &scene.peer;

	*s = (struct spec){ .flags = flags[o], .payload = data ? CASE_DATA : 0 };
	if (s->flags & ACK)
		s->ack = p->rcv_nxt;
	s->seq = p->snd_nxt;
	if (o == OUT_SYN_NEW || o == OUT_SYNACK_NEW)
		s->seq += 0x12345678;
	if (o == OUT_SYNACK_NEW)
		s->ack += 0x7654321;
	if (o == OUT_SYN_AGAIN || o == OUT_SYNACK_AGAIN)
		s->seq = p->iss;
	if (o == OUT_FIN_AGAIN)
		s->seq = p->server_fin - s->payload;
}

static enum sw_reason reason_of_out(enum out o, bool found)
{
	switch (o) {
	case OUT_SYN_NEW:
	case OUT_SYN_AGAIN:
		return SW_OUT_SYN;
	case OUT_SYNACK_NEW:
	case OUT_SYNACK_AGAIN:
		return SW_OUT_SYNACK;
	case OUT_ACK:
		return SW_CONTINUE;
	case OUT_FIN_NEW:
	case OUT_FIN_AGAIN:
		return SW_OUT_FIN;
	default:
		return found ? SW_OUT_RST : SW_OUT_STRAY_RST;
	}
}

/* A new connection of the tuple, as its first segment tells: nothing is left of the old one. */
static void check_new(const struct sw_conn *e, enum out o, const struct spec *s)
{
	CHECK(is_now(e->opened_s) && is_now(e->changed_s) && is_now(e->seen_s));
	CHECK_EQ(e->flags & ~SW_CONN_ADOPTED, SW_CONN_CONFIRMED |
						      (o == OUT_SYN_NEW ? SW_CONN_OUTBOUND : 0) |
						      (o == OUT_FIN_NEW ? SW_CONN_SERVER_FIN : 0));
	CHECK_EQ(e->server_fin, s->seq + s->payload);
	if (s->flags & ACK)
		CHECK_EQ(e->rcv_nxt, s->ack);
}

static void check_entry(enum out o, const struct spec *s, enum sw_state next)
{
	const struct sw_conn *image = &scene.image;
	enum sw_table table = SW_TABLE_CONNS;
	const struct sw_conn *e = scene_entry(&table);
	enum sw_state was = scene.slot ? image->state : SW_FREE;

	if (!next)
		next = was;
	if (!e) /* half-open ones leave no tombstone */
		CHECK(next == SW_FREE || (next == SW_CLOSED && is_half(was)));
	if (!e)
		return;
	if (e->state != next)
		FAIL("entry is %s, expected %s", state_name(e->state), state_name(next));
	/* of a handshake that never ended, the client has proved nothing */
	CHECK_EQ(table, is_half(e->state) || (is_half(was) && o == OUT_FIN_NEW) ? SW_TABLE_HALF :
										  SW_TABLE_CONNS);
	if (!scene.slot || o == OUT_SYN_NEW || o == OUT_SYNACK_NEW ||
	    (was == SW_CLOSED && next != was)) {
		check_new(e, o, s);
		return;
	}
	CHECK_EQ(e->opened_s, image->opened_s);
	CHECK(e->state != was ? is_now(e->changed_s) : e->changed_s == image->changed_s);
	CHECK_EQ(e->flags & SW_CONN_CLIENT_FIN, image->flags & SW_CONN_CLIENT_FIN);
	CHECK_EQ(e->client_fin, image->client_fin);
	if (o == OUT_FIN_NEW) {
		CHECK(e->flags & SW_CONN_SERVER_FIN);
		CHECK_EQ(e->server_fin, s->seq + s->payload);
	} else {
		CHECK_EQ(e->flags & SW_CONN_SERVER_FIN, image->flags & SW_CONN_SERVER_FIN);
		CHECK_EQ(e->server_fin, image->server_fin);
	}
}

static void run_out(enum out o, bool data)
{
	enum sw_state next = want_out(scene.peer.place, o);
	struct result r;
	struct spec s;

	if (next == SW_STATE_MAX || (o == OUT_FIN_AGAIN && !scene.peer.server_fin))
		return;
	spec_of(&s, o, data);
	test_context("IPv%u, %s: the host's %s%s", scene.peer.family, place_name(scene.peer.place),
		     out_name(o), data ? ", data" : "");
	scene_restore(MEMORY_STALE);
	cases++;
	r = host_says(&s);
	if (r.reason != reason_of_out(o, scene.slot))
		FAIL("counted as %s, expected %s", reason_name(r.reason),
		     reason_name(reason_of_out(o, scene.slot)));
	check_entry(o, &s, next);
	scene_check_counts();
}

TEST(what_the_host_says_moves_its_connections, "E08 F16 G01 G04 G08")
{
	peers_begin();
	for (int family = 4; family <= 6; family += 2)
		for (enum place at = 0; at < PLACES; at++) {
			scene_begin(at, (uint8_t)family, family == 6);
			for (int o = 0; o < OUTS; o++)
				for (int data = 0; data < 2; data++)
					run_out(o, data);
			scene_end();
		}
	test_note("%u cases", cases);
}

/* A FIN with a hole before it: the host acknowledges it once the hole is filled. */
TEST(fin_out_of_order_counts_when_the_host_acknowledges_it, "G04")
{
	static const struct {
		enum place at;
		enum sw_state next;
	} rows[] = {
		{ AT_ESTABLISHED, SW_CLOSE_WAIT },
		{ AT_FIN_WAIT_1, SW_CLOSING },
		{ AT_FIN_WAIT_2, SW_TIME_WAIT },
	};

	peers_begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows) * 4; i++) {
		bool known = i / ARRAY_SIZE(rows) & 1; /* else forgotten: the FIN comes first */
		const struct peer *p = &scene.peer;
		enum place at = rows[i % ARRAY_SIZE(rows)].at;
		struct spec fin = { .flags = FIN | ACK, .payload = CASE_DATA };
		struct spec ack = { .flags = ACK };
		struct result r;

		scene_begin(at, i < 2 * ARRAY_SIZE(rows) ? 4 : 6, false);
		scene_restore(known ? MEMORY_STALE : MEMORY_NONE);
		fin.seq = p->rcv_nxt + CASE_DATA;
		fin.ack = p->snd_una;
		r = client_says(&fin);
		CHECK_RESULT(&r, XDP_PASS, SW_PASS_KNOWN);
		scene_check_counts();
		ack.seq = p->snd_nxt;
		for (ack.ack = p->rcv_nxt; ack.ack - p->rcv_nxt <= 2 * CASE_DATA; ack.ack += 50) {
			CHECK_EQ(host_says(&ack).reason, SW_CONTINUE);
			CHECK_EQ(scene_entry(NULL)->state, place_state(at));
		}
		ack.ack = fin.seq + CASE_DATA + 1;
		CHECK_EQ(host_says(&ack).reason, SW_OUT_ACK);
		CHECK_EQ(scene_entry(NULL)->state, rows[i % ARRAY_SIZE(rows)].next);
		CHECK_EQ(scene_entry(NULL)->client_fin, fin.seq + CASE_DATA);
		scene_check_counts();
		scene_end();
	}
}

/* RFC 1337, but a client whose SYN the host answered with an ACK must be able to reset it. */
TEST(reset_in_time_wait_counts_only_behind_a_syn, "G07")
{
	peers_begin();
	for (int i = 0; i < 6; i++) {
		struct spec syn = { .flags = SYN }, rst = { .flags = RST };
		const struct peer *p = &scene.peer;
		bool late = i % 3 == 1, inexact = i % 3 == 2;
		struct result r;

		scene_begin(AT_TIME_WAIT, i < 3 ? 4 : 6, false);
		scene_restore(MEMORY_STALE);
		syn.seq = p->rcv_nxt - 5000;
		r = client_says(&syn);
		CHECK_RESULT(&r, XDP_PASS, SW_PASS_SYN_HELD);
		CHECK_EQ(scene_entry(NULL)->state, SW_TIME_WAIT);
		if (late)
			scene_entry(NULL)->seen_s -= 10;
		rst.seq = p->rcv_nxt + inexact;
		r = client_says(&rst);
		if (late || inexact)
			CHECK_RESULT(&r, XDP_DROP, SW_DROP_RST_TIME_WAIT);
		else
			CHECK_RESULT(&r, XDP_PASS, SW_PASS_RST);
		CHECK_EQ(scene_entry(NULL)->state, late || inexact ? SW_TIME_WAIT : SW_CLOSED);
		scene_end();
	}
}

/* RFC 6191 and what Linux makes of it; asked of the host itself. */
TEST(syn_in_time_wait_is_newer_by_number_or_timestamp, "G08 C05")
{
	skip_without_kfunc();
	static const struct {
		int isn, tsval;       /* against RCV.NXT and the last timestamp; tsval 99: none */
		bool newer, newer_ts; /* on a connection without timestamps, with */
	} rows[] = {
		{ 1, 99, true, true },    { 1000000, 99, true, true }, { 0, 99, false, false },
		{ -1, 99, false, false }, { -1, 1, false, true },      { -1, 0, false, false },
		{ -1, -1, false, false }, { 1, -1, true, false },      { 1, 1, true, true },
	};

	peers_begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		bool ts = i % 2, newer = ts ? rows[i / 2].newer_ts : rows[i / 2].newer;
		uint8_t opt[10] = { 8, 10 };
		uint32_t tsval;
		struct spec syn = { .flags = SYN, .opt = opt };
		static struct packet packet;
		struct result r;

		scene_begin(AT_TIME_WAIT, 4, ts);
		scene_restore(MEMORY_STALE);
		tsval = htonl(scene.peer.tsval + (uint32_t)rows[i / 2].tsval);
		memcpy(opt + 2, &tsval, 4);
		syn.opt_len = rows[i / 2].tsval == 99 ? 0 : sizeof(opt);
		syn.seq = scene.peer.rcv_nxt + (uint32_t)rows[i / 2].isn;
		syn.sport = scene.peer.port;
		test_context("row %zu, connection %s timestamps", i / 2, ts ? "with" : "without");
		r = client_says(&syn);
		CHECK_RESULT(&r, XDP_PASS, SW_PASS_SYN_HELD);
		CHECK(scene_entry(NULL)->flags & SW_CONN_SYN_PASSED);
		challenge_budget(0);
		r = client_says(&syn);
		CHECK_RESULT(&r, newer ? XDP_PASS : XDP_DROP,
			     newer ? SW_PASS_SYN_HELD : SW_DROP_CHALLENGE);
		challenge_budget(~0U);
		packet_build(&packet, &syn);
		tap_send(&packet);
		CHECK_EQ(host_state(4, scene.peer.port, 80),
			 newer ? SW_SYN_RECEIVED : SW_TIME_WAIT);
		scene_end();
	}
}

/* What the table says is corrected by the next segment the host is asked for. */
TEST(entry_in_the_wrong_state_is_set_right_by_the_host, "F07 E03")
{
	peers_begin();
	for (enum place at = AT_ESTABLISHED; at < PLACES; at++)
		for (enum sw_state wrong = SW_CLOSED; wrong < SW_STATE_MAX; wrong++) {
			/* left of the window, so that it moves nothing by itself */
			struct spec ack = { .flags = ACK };
			struct result r;

			if (wrong == SW_LISTEN || is_half(wrong))
				continue;
			scene_begin(at, 4, false);
			scene.image.state = wrong;
			scene_restore(MEMORY_STALE);
			ack.seq = scene.peer.rcv_nxt - 10;
			ack.ack = scene.peer.snd_una;
			test_context("%s, entry %s", place_name(at), state_name(wrong));
			r = client_says(&ack);
			CHECK_EQ(r.action, XDP_PASS);
			CHECK_EQ(scene_entry(NULL)->state, place_state(at));
			scene_check_counts();
			scene_end();
		}
}
