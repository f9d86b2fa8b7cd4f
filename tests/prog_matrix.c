/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every state, segment, place in the window and acknowledgement, with and without data, of
 * both families, against the description in matrix.c. The host's socket is a real one in that
 * state, the segment goes through BPF_PROG_TEST_RUN, which delivers nothing: so the socket
 * stays where it is and the entry is put back for the next.
 */
#include <stdio.h>
#include <string.h>

#include "matrix_scene.h"

static unsigned int cases, runs;

/* The entry that was there, as it is after a segment that was to do what w says. */
static void check_kept(const struct want *w, const struct sw_conn *c)
{
	const struct sw_conn *image = &scene.image;
	bool moves = (w->next && w->next != image->state) || w->restart;

	CHECK(moves ? is_now(c->changed_s) : c->changed_s == image->changed_s);
	if (w->verdict == 'P' || w->verdict == 'C' ||
	    w->syn) /* of that SYN the answer is waited for */
		CHECK(is_now(c->seen_s));
	else
		CHECK_EQ(c->seen_s, image->seen_s);
	if (w->verdict != 'C')
		CHECK_EQ(c->opened_s, image->opened_s);
}

static void check_entry(const struct acase *c, const struct want *w, const struct spec *s)
{
	enum sw_state now = w->next ? w->next : place_state(scene.peer.place);
	bool had = scene.slot && c->memory != MEMORY_NONE;
	uint32_t fin = s->seq + s->payload;
	enum sw_table table;
	struct sw_conn *e = scene_entry(&table);

	if (!now && scene.slot)
		now = SW_CLOSED;
	if (now == SW_CLOSED && scene.slot && is_half(scene.image.state)) { /* never was one */
		CHECK(!e);
		return;
	}
	if (!e) {
		if (had || (w->verdict != 'D' && w->verdict != 'K' && w->verdict != 'N' &&
			    now > SW_CLOSED))
			FAIL("no entry, expected %s", state_name(now));
		return;
	}
	if (e->state != now)
		FAIL("entry is %s, expected %s", state_name(e->state), state_name(now));
	CHECK_EQ(table, is_half(e->state) ? SW_TABLE_HALF : SW_TABLE_CONNS);
	if (had)
		check_kept(w, e);
	else
		CHECK(w->verdict != 'D' && w->verdict != 'K' && w->verdict != 'N');
	CHECK_EQ(!!(e->flags & SW_CONN_CONFIRMED), w->verdict != 'C');
	CHECK_EQ(!!(e->flags & SW_CONN_SYN_PASSED), w->syn);
	if (e->state != SW_CLOSED)
		CHECK_EQ(!!(e->flags & SW_CONN_RST_SEEN), w->rst);
	if (w->fin) {
		CHECK(e->flags & SW_CONN_CLIENT_FIN);
		CHECK_EQ(e->client_fin, fin);
	} else if (had && w->verdict != 'C' && e->state != SW_CLOSED) {
		CHECK_EQ(e->flags & SW_CONN_CLIENT_FIN, scene.image.flags & SW_CONN_CLIENT_FIN);
		CHECK_EQ(e->client_fin, scene.image.client_fin);
	}
}

/* Nothing of the connection has moved. */
static void check_same(void)
{
	const struct sw_conn *e = scene_entry(NULL), *image = &scene.image;

	if (!scene.slot) {
		CHECK(!e);
		return;
	}
	if (!CHECK(e))
		return;
	CHECK_EQ(e->state, image->state);
	CHECK_EQ(e->flags & ~SW_CONN_HELD, image->flags & ~SW_CONN_HELD);
	CHECK_EQ(e->client_fin, image->client_fin);
	CHECK_EQ(e->server_fin, image->server_fin);
	CHECK_EQ(e->changed_s, image->changed_s);
	CHECK_EQ(e->opened_s, image->opened_s);
}

static struct result run(const struct packet *p, const struct acase *c, const struct want *w,
			 const char *how)
{
	test_context("IPv%u, %s: %s (%s): %s", scene.peer.family, place_name(scene.peer.place),
		     case_name(c), how, w->cell);
	scene_restore(c->memory);
	runs++;
	return run_xdp(p);
}

static int action_of(char verdict)
{
	return verdict == 'D' ? XDP_DROP : verdict == 'K' ? XDP_TX : XDP_PASS;
}

static void run_enforcing(const struct packet *p, const struct acase *c, const struct want *w,
			  const struct spec *s)
{
	struct result r = run(p, c, w, "always");

	CHECK_RESULT(&r, action_of(w->verdict), reason_of(&scene.peer, c, w->verdict));
	if (r.action == XDP_PASS && w->verdict != 'C')
		CHECK_BYTES(r.out, r.len, p->data, p->len);
	check_entry(c, w, s);
	scene_check_counts();
	if (w->verdict == 'D' && scene.slot && c->memory == MEMORY_STALE)
		CHECK_BYTES(scene.slot, sizeof(scene.image), &scene.image, sizeof(scene.image));
}

static void run_monitoring(const struct packet *p, const struct acase *c, const struct want *w,
			   const struct spec *s)
{
	struct result r = run(p, c, w, "monitor");

	CHECK_RESULT(&r, XDP_PASS, reason_of(&scene.peer, c, w->verdict));
	CHECK_EQ(r.would, action_of(w->verdict) != XDP_PASS);
	CHECK_BYTES(r.out, r.len, p->data, p->len);
	if (w->verdict != 'C') /* whether the host takes it the guard does not know */
		check_entry(c, w, s);
}

/* The challenge budget is spent. */
static void run_broke(const struct packet *p, const struct acase *c, const struct want *w)
{
	struct result r = run(p, c, w, "no budget");

	if (w->verdict != 'p' || is_repeat(&scene.peer, c)) {
		CHECK_RESULT(&r, action_of(w->verdict), reason_of(&scene.peer, c, w->verdict));
		return;
	}
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_CHALLENGE);
	if (scene.slot)
		CHECK_BYTES(scene.slot, sizeof(scene.image), &scene.image, sizeof(scene.image));
}

/* One segment in all the ways it may come. */
static void run_case(const struct acase *c, enum sw_mode mode)
{
	struct want w = want_in(&scene.peer, c);
	static struct packet p;
	struct spec s;

	case_spec(&scene.peer, c, &s);
	packet_build(&p, &s);
	if (mode == SW_MODE_MONITOR) {
		run_monitoring(&p, c, &w, &s);
		return;
	}
	cases++;
	run_enforcing(&p, c, &w, &s);
	if (c->memory != MEMORY_STALE)
		return;
	s.bad_tcp_csum = 1;
	packet_build(&p, &s);
	run(&p, c, &w, "broken checksum");
	check_same();
}

static void run_spent(const struct acase *c)
{
	struct want w = want_in(&scene.peer, c);
	static struct packet p;
	struct spec s;

	case_spec(&scene.peer, c, &s);
	packet_build(&p, &s);
	run_broke(&p, c, &w);
}

enum pass {
	PASS_ENFORCE,
	PASS_MONITOR,
	PASS_BROKE,
	PASSES
};

static void run_in_pass(const struct acase *c, enum pass pass)
{
	static unsigned int turn;

	if (!is_case(&scene.peer, c) || turn++ % stride())
		return;
	if (pass == PASS_BROKE)
		run_spent(c);
	else
		run_case(c, pass == PASS_MONITOR ? SW_MODE_MONITOR : SW_MODE_ALWAYS);
}

/* All there is for the scene. */
static void all_segments(enum memory memory, enum pass pass)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (int pos = 0; pos < POSITIONS; pos++)
			for (int acks = 0; acks < ACKINGS; acks++)
				for (int data = 0; data < 2; data++) {
					struct acase c = { .kind = kind,
							   .pos = pos,
							   .acks = acks,
							   .memory = memory,
							   .data = data };

					run_in_pass(&c, pass);
				}
}

static void scene_run(void)
{
	all_segments(MEMORY_STALE, PASS_ENFORCE);
	services_mode(SW_MODE_MONITOR);
	all_segments(MEMORY_STALE, PASS_MONITOR);
	services_mode(SW_MODE_ALWAYS);
	challenge_budget(0);
	all_segments(MEMORY_STALE, PASS_BROKE);
	challenge_budget(~0U);
	if (place_state(scene.peer.place) == SW_FREE)
		return;
	all_segments(MEMORY_FRESH, PASS_ENFORCE);
	all_segments(MEMORY_NONE, PASS_ENFORCE);
}

static void matrix(uint8_t family, enum place from, enum place to)
{
	peers_begin();
	for (enum place at = from; at <= to; at++) {
		scene_begin(at, family, family == 6);
		scene_run();
		test_context("IPv%u, %s", family, place_name(at));
		if (place_state(at)) /* it has stayed where it was */
			CHECK_EQ(host_state(family, scene.peer.port, scene.peer.server_port),
				 place_state(at));
		scene_end();
	}
	test_note("%u cases, %u runs", cases, runs);
}

TEST(segments_before_and_in_the_handshake_ipv4, "E01 E03 E04 F16 G08")
{
	matrix(4, AT_CLOSED, AT_CROSSING);
}

TEST(segments_before_and_in_the_handshake_ipv6, "E01 E03 E04 F16 G08")
{
	matrix(6, AT_CLOSED, AT_CROSSING);
}

TEST(segments_of_an_open_connection_ipv4, "E06 F01 F02 F03 F04 F05 F08 F09 F13")
{
	matrix(4, AT_ESTABLISHED, AT_FIN_WAIT_2_ORPHAN);
}

TEST(segments_of_an_open_connection_ipv6, "E06 F01 F02 F03 F04 F05 F08 F09 F13")
{
	matrix(6, AT_ESTABLISHED, AT_FIN_WAIT_2_ORPHAN);
}

TEST(segments_of_a_closing_connection_ipv4, "G01 G02 G04 G05 G06 G07 G08")
{
	matrix(4, AT_CLOSE_WAIT, AT_TIME_WAIT);
}

TEST(segments_of_a_closing_connection_ipv6, "G01 G02 G04 G05 G06 G07 G08")
{
	matrix(6, AT_CLOSE_WAIT, AT_TIME_WAIT);
}

TEST(adoption_finds_every_socket_in_its_state, "F15")
{
	peers_begin();
	for (int family = 4; family <= 6; family += 2)
		for (enum place at = AT_SYN_SENT; at < PLACES; at++) {
			const struct sw_conn *e = &scene.image;
			enum sw_state s = place_state(at);

			scene_begin(at, (uint8_t)family, family == 6);
			CHECK_EQ(e->state, s);
			CHECK_EQ(scene.table, is_half(s) ? SW_TABLE_HALF : SW_TABLE_CONNS);
			CHECK(e->flags & SW_CONN_CONFIRMED && e->flags & SW_CONN_HELD &&
			      e->flags & SW_CONN_ADOPTED);
			CHECK_EQ(!!(e->flags & SW_CONN_CLIENT_FIN), scene.peer.client_fin != 0);
			CHECK_EQ(!!(e->flags & SW_CONN_SERVER_FIN),
				 at >= AT_FIN_WAIT_1 && at != AT_CLOSE_WAIT);
			if (scene.peer.client_fin)
				CHECK_EQ(e->client_fin, scene.peer.client_fin);
			if (scene.peer.server_fin)
				CHECK_EQ(e->server_fin, scene.peer.server_fin);
			if (is_half(s))
				CHECK_EQ(e->server_fin, scene.peer.iss);
			if (s != SW_SYN_SENT)
				CHECK_EQ(e->rcv_nxt + SCENE_STALE, scene.peer.rcv_nxt);
			scene_end();
		}
}
