/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user/replay_flow.c, replay_host.c: the server's host that a capture tells of, without programs. */
#define HARNESS_PURE true
#include <arpa/inet.h>

#include "harness.h"
#include "replay_flow.h"
#include "replay_host.h"

#define SECOND_NS 1000000000ULL

/* --- the host ----------------------------------------------------------------------------- */

static struct replay_seg said(__u8 flags, __u32 seq, __u32 ack, __u32 payload)
{
	return (struct replay_seg){ .flags = flags,
				    .seq = seq,
				    .ack = ack,
				    .payload = payload,
				    .window = 100,
				    .is_tcp = true,
				    .sport = htons(4000),
				    .dport = htons(80) };
}

#define IN(flags, seq, ack, payload)                                                      \
	({                                                                                \
		struct replay_seg in_ = said(flags, 1000 + (seq), 2000 + (ack), payload); \
		replay_in(&flows, w, &in_, now);                                          \
	})
#define OUT(flags, seq, ack, payload)                                                      \
	({                                                                                 \
		struct replay_seg out_ = said(flags, 2000 + (seq), 1000 + (ack), payload); \
		replay_out(&flows, w, &out_, now);                                         \
	})
#define A SEG_ACK_FLAG
#define F SEG_FIN_FLAG
#define S SEG_SYN_FLAG
#define R SEG_RST_FLAG

static struct replay_flows flows;

static struct replay_flow *opened(__u64 now)
{
	struct replay_seg syn = said(S, 1000, 0, 0);
	struct replay_flow *w;

	REQUIRE(!replay_flows_new(&flows, 4));
	w = replay_make(&flows, &syn, true);
	REQUIRE(w);
	CHECK(!IN(S, 0, 0, 0));
	CHECK_EQ(w->state, SW_FREE);
	OUT(S | A, 0, 1, 0);
	CHECK_EQ(w->state, SW_SYN_RECEIVED);
	CHECK(!IN(A, 1, 0, 0)); /* not the one it waits for */
	CHECK(IN(A, 1, 1, 0));
	CHECK_EQ(w->state, SW_ESTABLISHED);
	return w;
}

TEST(host_of_a_capture_closes_first, "O01")
{
	__u64 now = SECOND_NS;
	struct replay_flow *w = opened(now);
	struct sw_replay_view v;

	IN(A, 1, 1, 10);
	OUT(A, 1, 11, 50);
	replay_view(w, &v);
	CHECK_EQ(v.rcv_nxt, 1011);
	CHECK_EQ(v.rcv_end, 1111);
	CHECK_EQ(v.snd_una, 2001);
	CHECK_EQ(v.snd_nxt, 2051);
	OUT(F | A, 51, 11, 0);
	CHECK_EQ(w->state, SW_FIN_WAIT_1);
	IN(A, 11, 52, 0);
	CHECK_EQ(w->state, SW_FIN_WAIT_2);
	IN(F | A, 11, 52, 0);
	CHECK_EQ(w->state, SW_TIME_WAIT);
	CHECK(!replay_expired(w, now + 59 * SECOND_NS));
	CHECK(replay_expired(w, now + 60 * SECOND_NS));
	replay_flows_free(&flows);
}

TEST(client_of_a_capture_closes_first, "O01")
{
	__u64 now = SECOND_NS;
	struct replay_flow *w = opened(now);

	/* its FIN comes before what is in front of it; the server's word brings it into order */
	IN(F | A, 11, 1, 0);
	CHECK_EQ(w->state, SW_ESTABLISHED);
	OUT(A, 1, 12, 0);
	CHECK_EQ(w->state, SW_CLOSE_WAIT);
	OUT(F | A, 1, 12, 0);
	CHECK_EQ(w->state, SW_LAST_ACK);
	IN(A, 12, 1, 0); /* not of that FIN */
	CHECK_EQ(w->state, SW_LAST_ACK);
	IN(A, 12, 2, 0);
	CHECK_EQ(w->state, SW_FREE);
	replay_flows_free(&flows);
}

TEST(reset_ends_it_where_the_host_expects_it_only, "O01")
{
	__u64 now = SECOND_NS;
	struct replay_flow *w = opened(now);

	IN(R, 2, 0, 0);
	CHECK_EQ(w->state, SW_ESTABLISHED);
	IN(R, 1, 0, 0);
	CHECK_EQ(w->state, SW_FREE);
	replay_flows_free(&flows);
}

TEST(what_a_capture_lost_is_taken_as_sent_within_reason, "O01")
{
	struct replay_flow *w = opened(SECOND_NS);
	struct replay_seg s = said(A, 1001, 2001 + 5000, 0);

	CHECK(replay_hole(w, &s));
	CHECK_EQ(w->snd_nxt, 7001);
	CHECK(!replay_hole(w, &s));
	s.ack += 1U << 30;
	CHECK(!replay_hole(w, &s));
	replay_flows_free(&flows);
}

TEST(half_open_connection_is_given_up, "O03")
{
	struct replay_seg syn = said(S, 1000, 0, 0);
	struct replay_flow *w;
	__u64 now = SECOND_NS;

	REQUIRE(!replay_flows_new(&flows, 4));
	w = replay_make(&flows, &syn, true);
	REQUIRE(w);
	IN(S, 0, 0, 0);
	OUT(S | A, 0, 1, 0);
	now += 31 * SECOND_NS;
	OUT(S | A, 0, 1, 0); /* again */
	CHECK(!replay_expired(w, SECOND_NS + 62 * SECOND_NS));
	CHECK(replay_expired(w, SECOND_NS + 63 * SECOND_NS));
	replay_flows_free(&flows);
}

/* RFC 6429: for 6 s nothing is acknowledged of what was sent, or the window stays shut. */
TEST(client_that_takes_nothing_stalls, "O03")
{
	__u64 now = SECOND_NS;
	struct replay_flow *w = opened(now);
	struct replay_seg shut = said(A, 1001, 2101, 0);

	OUT(A, 1, 1, 0);
	CHECK(!replay_stalled(w, now + 99 * SECOND_NS)); /* there was nothing to take */
	OUT(A, 1, 1, 50);
	OUT(A, 51, 1, 50);
	CHECK(!replay_stalled(w, now + 6 * SECOND_NS));
	CHECK(replay_stalled(w, now + 7 * SECOND_NS));
	now += 5 * SECOND_NS;
	IN(A, 1, 51, 0); /* half of it */
	CHECK(!replay_stalled(w, now + 6 * SECOND_NS));
	CHECK(replay_stalled(w, now + 7 * SECOND_NS));
	now += SECOND_NS;
	shut.window = 0;
	replay_in(&flows, w, &shut, now);
	CHECK(!replay_stalled(w, now + 99 * SECOND_NS)); /* perhaps there is nothing more */
	OUT(A, 100, 1, 0);                               /* there is: it asks for the window */
	now += 4 * SECOND_NS;
	replay_in(&flows, w, &shut, now);
	OUT(A, 100, 1, 0);
	CHECK(replay_stalled(w, now + 3 * SECOND_NS));
	IN(A, 1, 101, 0); /* it opens */
	CHECK(!replay_stalled(w, now + 99 * SECOND_NS));
	replay_flows_free(&flows);
}

/* --- the table ---------------------------------------------------------------------------- */

static struct replay_seg from_port(__u16 port, __u8 flags)
{
	struct replay_seg s = said(flags, 1000, 2000, 0);

	s.sport = htons(port);
	return s;
}

TEST(idle_flows_are_forgotten_oldest_first_and_connections_never, "O02")
{
	struct replay_flow *w = opened(SECOND_NS);
	struct replay_seg s, first = from_port(4000, A), second = from_port(1, S);

	CHECK_EQ(w->state, SW_ESTABLISHED);
	for (__u16 port = 1; port <= 4; port++) {
		s = from_port(port, S);
		REQUIRE(replay_make(&flows, &s, true));
	}
	CHECK(replay_find(&flows, &second, true)); /* used: the oldest is another now */
	for (__u16 port = 5; port <= 3000; port++) {
		s = from_port(port, S);
		REQUIRE(replay_make(&flows, &s, true));
		if (port == 7)
			CHECK(replay_find(&flows, &second, true));
		if (port == 11)
			CHECK(!replay_find(&flows, &second, true));
	}
	CHECK_EQ(flows.forgotten, 2996);
	CHECK_EQ(flows.idle, 4);
	CHECK(replay_find(&flows, &first, true));
	CHECK(replay_find(&flows, &s, true));
	replay_flows_free(&flows);
}

static int none(void *arg, const struct replay_flow *w)
{
	++*(int *)arg;
	CHECK_EQ(w->state, SW_ESTABLISHED);
	return 0;
}

/* Both said something of the same numbers, before any SYN. */
TEST(connections_older_than_the_capture_are_found, "O01")
{
	struct replay_seg in = said(A, 1000, 2000, 0), out = said(A, 2000, 1000, 0), s;
	__u32 stayed;
	int seen = 0;

	REQUIRE(!replay_flows_new(&flows, 100));
	for (__u16 port = 1; port <= 6; port++) {
		struct replay_flow *w;

		s = in;
		s.sport = htons(port);
		w = replay_make(&flows, &s, true);
		REQUIRE(w);
		if (port == 2)
			s.flags = S;
		if (port == 3)
			s.flags = R | A;
		replay_learn(&flows, w, &s, true);
		if (port == 4) /* a server that was never asked, or forged numbers */
			continue;
		s = out;
		if (port == 5)
			s.seq += 1U << 31;
		if (port == 6)
			s.flags = R;
		replay_learn(&flows, w, &s, false);
	}
	CHECK(!replay_settle(&flows, none, &seen, &stayed));
	CHECK_EQ(stayed, 1);
	CHECK_EQ(seen, 1);
	s = in;
	s.sport = htons(1);
	CHECK(replay_find(&flows, &s, true));
	replay_flows_free(&flows);
}

/* However many tuples come between what either says. */
TEST(connections_older_than_the_capture_outlive_a_flood, "O02")
{
	struct replay_seg in = said(A, 1000, 2000, 0), out = said(A, 2000, 1000, 0), s;
	struct replay_flow *w;
	__u32 stayed;
	int seen = 0;

	REQUIRE(!replay_flows_new(&flows, 4));
	w = replay_make(&flows, &in, true);
	REQUIRE(w);
	replay_learn(&flows, w, &in, true);
	replay_learn(&flows, w, &out, false);
	for (__u16 port = 1; port <= 100; port++) {
		s = from_port(port, S);
		w = replay_make(&flows, &s, true);
		REQUIRE(w);
		replay_learn(&flows, w, &s, true);
	}
	CHECK(!replay_settle(&flows, none, &seen, &stayed));
	CHECK_EQ(stayed, 1);
	CHECK_EQ(flows.idle, 0);
	CHECK(replay_find(&flows, &in, true));
	replay_flows_free(&flows);
}

/* The client echoes the server's clock, in ms; the cookie's, in 1.05 ms, must not be ahead. */
TEST(echo_of_a_later_synack_is_of_no_later_cookie, "O01")
{
	struct replay_seg syn = said(S, 1000, 0, 0), cookie = said(S | A, 5000, 1001, 0);
	struct replay_seg synack = said(S | A, 9000, 1001, 0);
	struct replay_flow *w;
	__u64 now = 100 * SECOND_NS;

	REQUIRE(!replay_flows_new(&flows, 4));
	w = replay_make(&flows, &syn, true);
	REQUIRE(w);
	cookie.has_ts = synack.has_ts = true;
	cookie.tsval = 70000;
	synack.tsval = 500;
	replay_answered(w, &syn, &cookie, now);
	replay_replaced(w, &synack, now);
	CHECK_EQ(w->shift.ack, (__u32)-4000);
	CHECK_EQ(500 + w->shift.tsecr, 70000);
	/* a second later, the same again */
	synack.tsval = 1500;
	replay_replaced(w, &synack, now + SECOND_NS);
	CHECK_EQ(1500 + w->shift.tsecr, 70000 + (__u32)(((now + SECOND_NS) >> 20) - (now >> 20)));
	/* the SYN again in another epoch: another cookie, and what is known of the server holds */
	cookie.seq = 6000;
	cookie.tsval += 12345;
	replay_answered(w, &syn, &cookie, now + SECOND_NS);
	CHECK(w->flags & FLOW_SHIFTED);
	CHECK_EQ(w->shift.ack, (__u32)-3000);
	replay_flows_free(&flows);
}
