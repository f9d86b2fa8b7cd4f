/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The harness itself: what is wrong must fail, and what is built must be real. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rawnet.h"
#include "rows.h"

TEST_INTERNAL(bait_true)
{
	CHECK(1);
}

TEST_INTERNAL(bait_false)
{
	CHECK(0);
}

TEST_INTERNAL(bait_bytes)
{
	CHECK_BYTES("abc", 3, "abd", 3);
}

TEST_INTERNAL(bait_exit_before_the_end)
{
	exit(0);
}

TEST_INTERNAL(bait_abort)
{
	REQUIRE(0);
}

TEST_INTERNAL(bait_signal)
{
	raise(SIGSEGV);
}

TEST_INTERNAL(bait_hangs)
{
	alarm(1);
	for (;;)
		pause();
}

TEST_INTERNAL(bait_skip_after_failure)
{
	CHECK(0);
	test_skip("not a way out");
}

static const struct row syn_row = { "SYN", { .flags = SYN }, SW_TX_SYNACK };
static const struct row wrong_reason = { "SYN", { .flags = SYN }, SW_DROP_FLAGS };
static const struct row wrong_off = {
	"SYN", { .flags = SYN }, SW_TX_SYNACK, .off = SW_PASS_NOT_GUARDED
};

TEST_INTERNAL(bait_right_row)
{
	rows_run(&syn_row, 1);
}

TEST_INTERNAL(bait_wrong_reason)
{
	rows_run(&wrong_reason, 1);
}

TEST_INTERNAL(bait_wrong_off)
{
	rows_run(&wrong_off, 1);
}

/* A packet that came another way is seen by the identity of the next. */
TEST_INTERNAL(bait_uncounted_packet)
{
	static struct packet p;

	packet_build(&p, &(struct spec){ .flags = SYN, .dport = 22 });
	CHECK_EQ(run_bare(xdp_fd(), &p), XDP_PASS);
	map_zero("sw_stats"); /* received, but under no reason */
}

TEST_INTERNAL(bait_wrong_synack)
{
	static struct packet p;
	static uint8_t copy[256];
	struct result r;
	struct frame f;

	listen_on(4, 80, 8);
	packet_build(&p, &(struct spec){ .flags = SYN, OPT(SYN_LINUX) });
	r = run_xdp(&p);
	REQUIRE(r.action == XDP_TX && r.len < sizeof(copy));
	memcpy(copy, r.out, r.len);
	copy[22] ^= 1; /* TTL 65; the header checksum no longer holds either */
	r.out = copy;
	synack_check(&p, &r, &f);
}

TEST(wrong_expectations_fail_and_right_ones_pass, "")
{
	static const struct {
		const char *name;
		bool passes;
	} baits[] = {
		{ "bait_true", true },          { "bait_false", false },
		{ "bait_bytes", false },        { "bait_exit_before_the_end", false },
		{ "bait_abort", false },        { "bait_signal", false },
		{ "bait_hangs", false },        { "bait_skip_after_failure", false },
		{ "bait_right_row", true },     { "bait_wrong_reason", false },
		{ "bait_wrong_off", false },    { "bait_uncounted_packet", false },
		{ "bait_wrong_synack", false }, { "bait_that_does_not_exist", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(baits); i++) {
		test_context("%s", baits[i].name);
		CHECK_EQ(test_passes(baits[i].name), baits[i].passes);
	}
}

/* The kernel's own stack judges the builder: it answers what is right and nothing else. */
static void expect_of_host(int raw, const struct spec *s, bool answer)
{
	static struct packet p;
	struct frame f = {};
	bool got;

	raw_build(&p, s);
	raw_send(raw, &p);
	got = raw_receive(raw, &f, SYN | ACK, 80, s->sport, answer ? 1000 : 50);
	CHECK_EQ(got, answer);
	if (got)
		CHECK_EQ(f.ack, s->seq + 1);
}

TEST(built_packets_are_accepted_by_the_kernels_own_stack, "H05")
{
	static const struct {
		const char *name;
		struct spec s;
		bool answer;
	} cases[] = {
		{ "bare SYN", { .flags = SYN }, true },
		{ "Linux SYN", { .flags = SYN, OPT(SYN_LINUX) }, true },
		{ "macOS SYN with padding", { .flags = SYN, OPT(SYN_MACOS), .pad = 90 }, true },
		{ "SYN with odd data", { .flags = SYN, .payload = 37 }, true },
		{ "IP options", { .flags = SYN, IP_OPT("\x94\x04\x00\x00\x01\x01") }, true },
		{ "atomic fragment",
		  { .family = 6, .flags = SYN, .ext = { { 44, 8, 0, 0 } } },
		  true },
		{ "destination options",
		  { .family = 6, .flags = SYN, .ext = { { 60, 24, 0, 0 } } },
		  true },
		{ "hop-by-hop of 264 bytes, then destination options",
		  { .family = 6, .flags = SYN, .ext = { { 0, 264, 0, 0 }, { 60, 8, 0, 0 } } },
		  true },
		{ "TCP checksum off by one", { .flags = SYN, .bad_tcp_csum = 1 }, false },
		{ "IP checksum off by one", { .flags = SYN, .bad_ip_csum = 1 }, false },
		{ "total length too long", { .flags = SYN, .lie_tot_len = LIE(60) }, false },
		{ "data offset 4", { .flags = SYN, .lie_doff = LIE(4) }, false },
		{ "partial checksum from a wire", { .flags = SYN, .partial = true }, false },
	};
	uint16_t port = 50000;
	int raw;

	listen_on(4, 80, 64);
	listen_on(6, 80, 64);
	raw = raw_open();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (uint8_t family = 4; family <= 6; family += 2) {
			struct spec s = cases[i].s;

			if ((s.family == 6 && family == 4) ||
			    (family == 6 && (s.ip_opt || s.bad_ip_csum || s.lie_tot_len)))
				continue;
			s.family = family;
			s.sport = port++;
			s.seq = (uint32_t)test_random();
			test_context("%s, IPv%d", cases[i].name, family);
			expect_of_host(raw, &s, cases[i].answer);
		}
}

TEST(reader_of_frames_refuses_what_is_wrong, "")
{
	static const struct spec wrong[] = {
		{ .flags = SYN, .bad_tcp_csum = 1 },
		{ .flags = SYN, .bad_ip_csum = 1 },
		{ .flags = SYN, .trailer = 1 },
		{ .flags = SYN, .lie_doff = LIE(6) },
		{ .flags = SYN, .cut = 53 },
		{ .flags = SYN, .partial = true },
		{ .flags = SYN, .lie_ihl = LIE(4) },
		{ .family = 6, .flags = SYN, .trailer = 2 },
		{ .ethertype = 0x0806, .payload = 46 },
	};
	static struct packet p;
	struct frame f;

	packet_build(
		&p, &(struct spec){ .flags = SYN | ACK, .vlans = 2, .payload = 9, OPT(SYN_LINUX) });
	CHECK(frame_read(&f, p.data, p.len) == NULL);
	CHECK_EQ(f.l2_len, 22);
	CHECK_EQ(f.payload_len, 9);
	CHECK_EQ(f.opt.mss, 1460);
	CHECK_EQ(f.opt.ws, 7);
	CHECK_EQ(f.opt.tsval, 0x01020304);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		test_context("spec %zu", i);
		packet_build(&p, &wrong[i]);
		CHECK(frame_read(&f, p.data, p.len) != NULL);
	}
}
