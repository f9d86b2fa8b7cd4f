/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user/replay_*.c without programs: captures read, numbers of segments moved, the host that a
 * capture tells of. Not here: what the guard makes of it (netns_replay.sh).
 */
#define HARNESS_PURE true
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "replay_flow.h"
#include "replay_host.h"
#include "replay_read.h"

#define SECOND_NS 1000000000ULL

/* --- segments ----------------------------------------------------------------------------- */

/* Ethernet, IPv4, TCP with NOP, timestamps, a NOP, SACK, 6 bytes of data; checksums are zero. */
static const __u8 plain[] = {
	2,    0,    0, 0,    0, 1,  2, 0, 0,    0,    0,    2,    8,    0,    0x45, 0, 0,
	72,   0,    0, 0x40, 0, 64, 6, 0, 0,    10,   9,    0,    1,    10,   9,    0, 2,
	0x9c, 0x40, 0, 80,   1, 2,  3, 4, 0xff, 0xff, 0xff, 0xf0, 0xb0, 0x10, 1,    0, 0,
	0,    0,    0, 1,    8, 10, 0, 0, 1,    0,    0xff, 0xff, 0xff, 0xff, 1,    5, 10,
	0,    0,    0, 1,    0, 0,  0, 9, 'h',  'e',  'l',  'l',  'o',  '\n',
};

static struct replay_seg seg_of(__u8 *frame)
{
	struct replay_seg s;

	memcpy(frame, plain, sizeof(plain));
	replay_parse(frame, sizeof(plain), &s);
	return s;
}

TEST(segments_are_read, "O01")
{
	__u8 frame[sizeof(plain)];
	struct replay_seg s = seg_of(frame);

	CHECK(s.is_tcp && s.has_ts && s.has_sack);
	CHECK_EQ(ntohs(s.sport), 40000);
	CHECK_EQ(ntohs(s.dport), 80);
	CHECK_EQ(s.seq, 0x01020304);
	CHECK_EQ(s.ack, 0xfffffff0);
	CHECK_EQ(s.tsval, 0x00010 << 4);
	CHECK_EQ(s.tsecr, 0xffffffff);
	CHECK_EQ(s.payload, 8);
	/* any length is read without a look behind it */
	for (__u32 len = 0; len < sizeof(plain); len++) {
		__u8 *exact = malloc(len ? len : 1);

		memcpy(exact, plain, len);
		replay_parse(exact, len, &s);
		CHECK(!s.is_tcp || len >= 34 + 44);
		free(exact);
	}
}

static __u16 check_of(const __u8 *frame)
{
	return (__u16)(frame[34 + 16] << 8 | frame[34 + 17]);
}

static void set_check(__u8 *frame, __u16 check)
{
	frame[34 + 16] = (__u8)(check >> 8);
	frame[34 + 17] = (__u8)check;
}

static const struct replay_shift far = {
	.seq = 0xfffffff0, .ack = 0x12345678, .tsval = 0xdeadbeef, .tsecr = 0x80000001
};

TEST(moved_numbers_keep_the_checksum_what_it_was, "O01")
{
	__u8 frame[sizeof(plain)];
	struct replay_seg s = seg_of(frame);
	__u16 right;

	replay_checksum(frame, &s);
	replay_move(frame, &s, &far);
	CHECK_EQ(s.seq, 0x010202f4);
	CHECK_EQ(s.ack, 0x12345668);
	CHECK_EQ(s.tsecr, 0x80000000);
	CHECK_EQ(s.tsval, 0xdeadbeef + 0x100U);
	right = check_of(frame);
	replay_checksum(frame, &s);
	CHECK_EQ(right, check_of(frame));
	/* SACK blocks acknowledge, too */
	CHECK_EQ(frame[s.sack_at], 0x12);
	CHECK_EQ(frame[s.sack_at + 7], 0x81);

	/* wrong by 3: so it stays */
	s = seg_of(frame);
	replay_checksum(frame, &s);
	set_check(frame, (__u16)(check_of(frame) - 3));
	replay_move(frame, &s, &far);
	right = check_of(frame);
	replay_checksum(frame, &s);
	CHECK_EQ((check_of(frame) - right + 0xffff) % 0xffff, 3);
}

/* What is left to the NIC is the sum of the pseudo header, whatever the numbers. */
TEST(unfinished_checksum_stays, "O01")
{
	__u8 frame[sizeof(plain)];
	struct replay_seg s = seg_of(frame);
	const __u16 pseudo = 10 * 256 + 9 + 1 + 10 * 256 + 9 + 2 + 6 + 52;

	set_check(frame, pseudo);
	replay_move(frame, &s, &far);
	CHECK_EQ(check_of(frame), pseudo);
}

/* --- captures ----------------------------------------------------------------------------- */

struct pcap_file {
	__u32 magic;
	__u16 major, minor;
	__u32 zone, sigfigs, snaplen, link;
};
struct pcap_record {
	__u32 s, us, captured, len;
};

static char path[64];

static FILE *begin(__u32 link)
{
	struct pcap_file head = { 0xa1b2c3d4, 2, 4, 0, 0, 262144, link };
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/unit_replay.XXXXXX");
	f = fdopen(MUST(mkstemp(path)), "w");
	REQUIRE(f);
	fwrite(&head, sizeof(head), 1, f);
	return f;
}

static void add(FILE *f, const void *front, __u32 front_len, __u32 captured, __u32 len)
{
	struct pcap_record r = { 1790000000, 7, front_len + captured, front_len + len };

	fwrite(&r, sizeof(r), 1, f);
	fwrite(front, front_len, 1, f);
	fwrite(plain + 14, captured, 1, f);
}

static int read_all(struct replay_frame *last, unsigned int *frames, char why[320])
{
	struct replay_capture c;
	struct replay_frame f;
	int err = replay_open(&c, path);

	*frames = 0;
	*why = '\0';
	while (!err && replay_next(&c, &f)) {
		*last = f;
		++*frames;
	}
	if (!err)
		snprintf(why, 320, "%s", c.why);
	replay_read_close(&c);
	unlink(path);
	return err;
}

TEST(every_link_type_becomes_ethernet, "O01")
{
	static const struct {
		const char *what;
		__u32 link, front_len;
		__u8 front[20];
	} links[] = {
		{ "raw", 101, 0, { 0 } },
		{ "raw IPv4", 228, 0, { 0 } },
		{ "cooked", 113, 16, { 0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0 } },
		{ "cooked 2", 276, 20, { 8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2 } },
		{ "null", 0, 4, { 2, 0, 0, 0 } },
		{ "null of the other order", 0, 4, { 0, 0, 0, 2 } },
		{ "loop", 108, 4, { 0, 0, 0, 2 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		struct replay_frame f = { 0 };
		unsigned int frames;
		struct replay_seg s;
		char why[320];
		FILE *out = begin(links[i].link);

		test_context("%s", links[i].what);
		add(out, links[i].front, links[i].front_len, sizeof(plain) - 14,
		    sizeof(plain) - 14);
		fclose(out);
		REQUIRE(!read_all(&f, &frames, why));
		CHECK_EQ(frames, 1);
		CHECK_EQ(f.len, sizeof(plain));
		CHECK_EQ(f.ns, 1790000000 * SECOND_NS + 7000);
		CHECK_BYTES(f.data + 14, f.len - 14, plain + 14, sizeof(plain) - 14);
		replay_parse(f.data, f.len, &s);
		CHECK(s.is_tcp);
	}
}

TEST(what_is_broken_is_read_as_far_as_it_goes, "O04")
{
	const __u8 front[14] = { [12] = 8 };
	struct replay_frame f = { 0 };
	unsigned int frames;
	char why[320];
	FILE *out = begin(1);
	struct pcap_record huge = { 1790000000, 0, 0x7fffffff, 0x7fffffff };

	add(out, front, 14, 40, 1400);    /* payload cut off */
	add(out, front, 14, 58, 1 << 20); /* longer than any packet */
	fwrite(&huge, sizeof(huge), 1, out);
	fclose(out);
	REQUIRE(!read_all(&f, &frames, why));
	CHECK_EQ(frames, 2);
	CHECK_EQ(f.len, 0);
	CHECK(*why);

	out = begin(1);
	add(out, front, 14, 40, 1400);
	fclose(out);
	REQUIRE(!read_all(&f, &frames, why));
	CHECK_EQ(f.len, 1414);
	CHECK_EQ(f.captured, 54);
	CHECK_EQ(f.data[54] | f.data[1413], 0);
	CHECK(!*why);

	out = begin(147);
	fclose(out);
	CHECK(read_all(&f, &frames, why));
}

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
		replay_learn(w, &s, true);
		if (port == 4) /* a server that was never asked, or forged numbers */
			continue;
		s = out;
		if (port == 5)
			s.seq += 1U << 31;
		if (port == 6)
			s.flags = R;
		replay_learn(w, &s, false);
	}
	CHECK(!replay_settle(&flows, none, &seen, &stayed));
	CHECK_EQ(stayed, 1);
	CHECK_EQ(seen, 1);
	s = in;
	s.sport = htons(1);
	CHECK(replay_find(&flows, &s, true));
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
