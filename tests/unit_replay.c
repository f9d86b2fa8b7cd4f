/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user/replay_read.c, replay_edit.c: captures read, numbers of segments moved. Not here: the host
 * that a capture tells of (unit_replay_host.c), what the guard makes of it (netns_replay.sh).
 */
#define HARNESS_PURE true
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "replay_edit.h"
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
