/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cookie of engine reqsk: what is accepted, when, and what comes back out of it. */
#include <arpa/inet.h>
#include <string.h>

#include "handshake.h"
#include "rows.h"

static void open_web(void)
{
	need_reqsk();
	listen_on(4, 80, 64);
	listen_on(6, 80, 64);
	host_scale(4);
	host_scale(6);
}

/* Each combination the cookie has a format for. */
static const struct {
	const char *name;
	struct spec syn;
	bool ts;
} formats[] = {
	{ "IPv4 with timestamps", { .family = 4, OPT(SYN_LINUX) }, true },
	{ "IPv4 without", { .family = 4, OPT(SYN_WINDOWS) }, false },
	{ "IPv6 with timestamps", { .family = 6, OPT(SYN_LINUX) }, true },
	{ "IPv6 without", { .family = 6, OPT(SYN_WINDOWS) }, false },
};

TEST(ack_with_its_cookie_is_marked_and_passes_byte_identical, "C01 B08")
{
	static struct handshake h;
	static struct packet ack;

	open_web();
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		for (uint8_t tags = 0; tags <= 2; tags++) {
			struct spec syn = formats[i].syn;
			struct result r;
			struct mark m;

			test_context("%s, %d tags", formats[i].name, tags);
			syn.vlans = tags;
			syn.sport = (uint16_t)test_random() | 1024;
			handshake_syn(&h, &syn);
			CHECK_EQ(h.ts, formats[i].ts);
			handshake_ack(&h, &(struct spec){ .vlans = tags }, &ack);
			r = run_xdp(&ack);
			CHECK_PASSED(&r, &ack, SW_PASS_COOKIE);
			m = mark_of(&r);
			CHECK_EQ(m.service, SERVICE_WEB);
			CHECK_EQ(m.mss, mss_rounded(syn.family, 1460));
			CHECK_EQ(m.our_scale, host_scale(syn.family));
			CHECK_EQ(m.scale, formats[i].ts ? 7 : 8);
			CHECK_EQ(m.has, MARK_SACK | MARK_WS | (formats[i].ts ? MARK_TS : 0));
			if (h.ts)
				CHECK_EQ(m.tsval, h.tsval);
		}
}

/* B08: which segments may bring a cookie. */
TEST(cookie_counts_only_with_ack_and_without_syn_or_rst, "B08 I03 D02 D04")
{
	static const struct {
		struct spec more;
		int action;
		enum sw_reason reason;
	} cases[] = {
		{ { .flags = ACK }, XDP_PASS, SW_PASS_COOKIE },
		{ { .flags = ACK | PSH, .payload = 1 }, XDP_PASS, SW_PASS_COOKIE },
		{ { .flags = ACK | PSH, .payload = 1000 }, XDP_PASS, SW_PASS_COOKIE },
		{ { .flags = ACK | URG, .urgent = 1, .payload = 9 }, XDP_PASS, SW_PASS_COOKIE },
		{ { .flags = ACK | FIN }, XDP_PASS, SW_PASS_COOKIE },
		{ { .flags = ACK | FIN | PSH, .payload = 100 }, XDP_PASS, SW_PASS_COOKIE },
		{ { .flags = ACK | ECE | CWR }, XDP_PASS, SW_PASS_COOKIE },
		{ { .flags = ACK, .pad = 64, .trailer = 3 }, XDP_PASS, SW_PASS_COOKIE },
		{ { .flags = ACK, .partial = true }, XDP_PASS, SW_PASS_COOKIE },
		{ { .flags = ACK, .payload = 77, .partial = true }, XDP_PASS, SW_PASS_COOKIE },
		{ { .flags = SYN | ACK }, XDP_DROP, SW_DROP_SYNACK },
		{ { .flags = RST | ACK }, XDP_DROP, SW_DROP_RST },
		{ { .flags = RST }, XDP_DROP, SW_DROP_RST },
		{ { .flags = FIN }, XDP_DROP, SW_DROP_FLAGS },
		{ { .flags = PSH, .payload = 10 }, XDP_DROP, SW_DROP_FLAGS },
		{ { .flags = SYN | FIN | ACK }, XDP_DROP, SW_DROP_FLAGS },
		{ { .flags = ACK, .bad_tcp_csum = 1 }, XDP_DROP, SW_DROP_TCP_CSUM },
		{ { .flags = ACK | PSH, .payload = 999, .bad_tcp_csum = 1 },
		  XDP_DROP,
		  SW_DROP_TCP_CSUM },
		/* in one batch with the ACK; or of nothing, or overtaking it */
		{ { .flags = ACK | PSH, .seq = 1000, .payload = 100 }, XDP_PASS, SW_PASS_KNOWN },
		{ { .flags = ACK | PSH, .seq = 500, .payload = 100 }, XDP_PASS, SW_PASS_KNOWN },
		{ { .flags = ACK | PSH, .seq = 100000, .payload = 9 }, XDP_DROP, SW_DROP_COOKIE },
		{ { .flags = ACK, .ack = 1 }, XDP_DROP, SW_DROP_COOKIE },
	};
	static struct handshake h;
	static struct packet p;

	open_web();
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		struct spec syn = formats[f].syn;

		syn.sport = (uint16_t)(20000 + f);
		handshake_syn(&h, &syn);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct result r;

			test_context("%s, case %zu", formats[f].name, i);
			handshake_ack(&h, &cases[i].more, &p);
			r = run_xdp(&p);
			CHECK_RESULT(&r, cases[i].action, cases[i].reason);
			CHECK_BYTES(r.out, r.len, p.data, p.len);
			/* what comes close behind is marked as the ACK was, see mark_again() */
			CHECK_EQ(r.meta_len, cases[i].action == XDP_PASS ? 32 : 0);
		}
	}
	test_context("IPv4 header checksum");
	handshake_syn(&h, &formats[0].syn);
	handshake_ack(&h, &(struct spec){ .bad_ip_csum = 1 }, &p);
	struct result r = run_xdp(&p);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_IP_CSUM);
}

/* The host has yet to see the ACK, so only the entry speaks for what follows it at once. */
TEST(broken_checksum_right_behind_the_ack_moves_nothing, "B08 F01")
{
	static const struct {
		struct spec more;
		enum sw_reason reason;
		enum sw_state state;
	} steps[] = {
		{ { .flags = ACK }, SW_PASS_COOKIE, SW_ESTABLISHED },
		{ { .flags = RST, .bad_tcp_csum = 1 }, SW_PASS_RST, SW_ESTABLISHED },
		{ { .flags = FIN | ACK, .seq = 9, .bad_tcp_csum = 1 },
		  SW_PASS_KNOWN,
		  SW_ESTABLISHED },
		{ { .flags = RST }, SW_PASS_RST, SW_CLOSED },
	};
	static struct handshake h;
	static struct packet p;

	open_web();
	handshake_syn(&h, &(struct spec){ .sport = 20100 });
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct sw_conn *c;
		struct result r;

		test_context("step %zu", i);
		handshake_ack(&h, &steps[i].more, &p);
		r = run_xdp(&p);
		CHECK_RESULT(&r, XDP_PASS, steps[i].reason);
		c = conn_entry(4, 20100, 80, NULL);
		if (!CHECK(c))
			break;
		CHECK_EQ(c->state, steps[i].state);
		CHECK_EQ(c->flags & SW_CONN_CLIENT_FIN, 0);
	}
}

/* D03: the keepalive of a client whose ACK was lost becomes that ACK. */
TEST(keepalive_with_a_cookie_is_made_into_the_lost_ack, "D03 B08")
{
	static const struct spec keepalives[] = {
		{ .seq = -1U },
		{ .seq = -1U, .payload = 1 },
		{ .seq = -1U, .payload = 1, .data = "" },
		{ .seq = -1U, .pad = 60 },
		{ .seq = -1U, .payload = 1, .pad = 90, .trailer = 3 },
		{ .seq = -1U, .payload = 1, .vlans = 2 },
	};
	static struct handshake h;
	static struct packet in, want;

	open_web();
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
		for (size_t i = 0; i < ARRAY_SIZE(keepalives); i++) {
			struct spec more = keepalives[i];
			struct frame out;
			const char *wrong;
			struct result r;

			test_context("%s, keepalive %zu", formats[f].name, i);
			handshake_syn(&h, &formats[f].syn);
			handshake_ack(&h, &more, &in);
			r = run_xdp(&in);
			if (!formats[f].ts) {
				CHECK_RESULT(&r, XDP_DROP, SW_DROP_COOKIE);
				continue;
			}
			CHECK_RESULT(&r, XDP_PASS, SW_PASS_KEEPALIVE);
			mark_of(&r);
			handshake_ack(&h, &(struct spec){ .vlans = more.vlans }, &want);
			/* padding may stay when nothing had to be cut */
			if (!more.payload)
				r.len = want.len;
			CHECK_BYTES(r.out, r.len, want.data, want.len);
			wrong = frame_read(&out, r.out, r.len);
			if (wrong)
				FAIL("%s", wrong);
		}
	test_context("two bytes, FIN, bad checksum");
	handshake_syn(&h, &formats[0].syn);
	handshake_ack(&h, &(struct spec){ .seq = -1U, .payload = 2 }, &in);
	struct result r = run_xdp(&in);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_COOKIE);
	handshake_ack(&h, &(struct spec){ .seq = -1U, .flags = FIN | ACK }, &in);
	r = run_xdp(&in);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_COOKIE);
	handshake_ack(&h, &(struct spec){ .seq = -1U, .bad_tcp_csum = 1 }, &in);
	r = run_xdp(&in);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_TCP_CSUM);
}

TEST(keepalive_is_not_rewritten_unless_the_service_enforces, "D03")
{
	static struct handshake h;
	static struct packet in;
	struct result r;

	open_web();
	handshake_syn(&h, &formats[0].syn);
	handshake_ack(&h, &(struct spec){ .seq = -1U }, &in);
	services_mode(SW_MODE_MONITOR);
	r = run_xdp(&in);
	CHECK_EQ(r.action, XDP_PASS);
	CHECK_BYTES(r.out, r.len, in.data, in.len);
	CHECK(r.reason != SW_PASS_KEEPALIVE);
}

/* A cookie that is out stays good when the mode changes; in monitor the host gets it too. */
TEST(cookies_already_out_are_honoured_in_monitor, "A12")
{
	static struct handshake h;
	static struct packet ack;
	struct result r;

	open_web();
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		services_mode(SW_MODE_ALWAYS);
		handshake_syn(&h, &formats[f].syn);
		handshake_ack(&h, NULL, &ack);
		services_mode(SW_MODE_MONITOR);
		r = run_xdp(&ack);
		CHECK_PASSED(&r, &ack, SW_PASS_COOKIE);
		services_mode(SW_MODE_OFF);
		r = run_xdp(&ack);
		CHECK_PASSED(&r, &ack, SW_PASS_MODE_OFF);
	}
}

/* Within an epoch a retransmitted SYN gets the same ISN; TSval ticks with the clock. */
TEST(retransmitted_syn_gets_the_same_isn_and_a_later_tsval, "A11 B07")
{
	static struct handshake h, again;

	open_web();
	epoch_settle(3000);
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		struct spec syn = formats[f].syn;
		uint32_t ticks;
		uint64_t before;

		test_context("%s", formats[f].name);
		before = now_ns();
		handshake_syn(&h, &syn);
		syn.seq = h.client_isn;
		sleep_ms(300);
		handshake_syn(&again, &syn);
		CHECK_EQ(again.cookie, h.cookie);
		ticks = (uint32_t)((now_ns() - before) >> SW_TS_SHIFT);
		if (h.ts && (again.tsecr - h.tsecr < 270 || again.tsecr - h.tsecr > ticks + 1))
			FAIL("TSval moved by %u ticks in %u", again.tsecr - h.tsecr, ticks);
		syn.seq++;
		handshake_syn(&again, &syn);
		CHECK(again.cookie != h.cookie);
	}
}

/* B07: the offset of each tuple's TSval is its own. */
TEST(tsval_says_nothing_about_uptime_or_other_tuples, "B07")
{
	static struct handshake h;
	uint32_t top[16] = {};
	enum {
		SYNS = 1024
	};

	open_web();
	for (int i = 0; i < SYNS; i++) {
		struct spec syn = formats[0].syn;

		syn.sport = (uint16_t)(1024 + i);
		syn.seq = 12345;
		handshake_syn(&h, &syn);
		top[(h.tsecr - (uint32_t)(now_ns() >> SW_TS_SHIFT)) >> 28]++;
	}
	/* 64 expected in each sixteenth; 5 sigma is 39 */
	for (int i = 0; i < 16; i++)
		if (top[i] < 25 || top[i] > 103)
			FAIL("%u of %d offsets in sixteenth %d", top[i], SYNS, i);
}

/* What the SYN-ACK offers is what the ACK brings back: the whole matrix. */
static void check_round_trip(const struct spec *syn, int mss, int ws, bool sack, bool ecn, bool ts)
{
	static struct handshake h;
	static struct packet ack;
	struct result r;
	struct mark m;

	handshake_syn(&h, syn);
	handshake_ack(&h, NULL, &ack);
	r = run_xdp(&ack);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_COOKIE);
	if (r.reason != SW_PASS_COOKIE)
		return;
	m = mark_of(&r);
	CHECK_EQ(m.mss, mss_rounded(syn->family, mss));
	CHECK_EQ(m.has & MARK_SACK, h.synack.opt.sack ? MARK_SACK : 0);
	CHECK_EQ(m.has & MARK_TS, h.synack.opt.ts ? MARK_TS : 0);
	CHECK_EQ(m.has & MARK_WS, h.synack.opt.ws >= 0 ? MARK_WS : 0);
	CHECK_EQ(m.has & MARK_ECN, h.synack.flags & ECE ? MARK_ECN : 0);
	CHECK_EQ(h.synack.opt.sack, sack);
	CHECK_EQ(h.synack.opt.ts, ts);
	CHECK_EQ(h.synack.opt.ws >= 0, ws >= 0);
	CHECK_EQ(!!(h.synack.flags & ECE), ecn && (ts || sack));
	if (ws >= 0 && ts)
		CHECK_EQ(m.scale, ws > 14 ? 14 : ws);
	else if (ws >= 0)
		CHECK(m.scale <= ws && (m.scale + 4 > ws || ws > 8));
	/* what browsers on Windows send is kept exactly */
	if (ws == 8 && sack && !ts)
		CHECK_EQ(m.scale, 8);
}

static uint8_t build_options(uint8_t *to, int mss, int ws, bool sack, bool ts)
{
	uint8_t n = 0;

	if (mss >= 0) {
		memcpy(to, (uint8_t[]){ 2, 4, (uint8_t)(mss >> 8), (uint8_t)mss }, 4);
		n = 4;
	}
	if (sack) {
		memcpy(to + n, (uint8_t[]){ 4, 2 }, 2);
		n += 2;
	}
	if (ts) {
		memcpy(to + n, (uint8_t[]){ 8, 10, 1, 2, 3, 4, 0, 0, 0, 0 }, 10);
		n += 10;
	}
	if (ws >= 0) {
		memcpy(to + n, (uint8_t[]){ 3, 3, (uint8_t)ws }, 3);
		n += 3;
	}
	return n;
}

TEST(options_offered_are_the_options_remembered, "C03 A07 A08 A09")
{
	static const int mss[] = { -1, 536, 1220, 1300, 1379, 1440, 1460, 9000, 65535 };
	unsigned int n = 0, step = 0;
	uint8_t opt[40];

	open_web();
	for (uint8_t family = 4; family <= 6; family += 2)
		for (size_t i = 0; i < ARRAY_SIZE(mss); i++)
			for (int ws = -1; ws <= 15; ws++)
				for (int bits = 0; bits < 8; bits++, step++) {
					bool sack = bits & 1, ecn = bits & 2, ts = bits & 4;
					struct spec syn = { .family = family, .opt = opt };

					if ((family == 6 && mss[i] == 536) || step % stride())
						continue;
					syn.opt_len = build_options(opt, mss[i], ws, sack, ts);
					syn.flags = SYN | (ecn ? ECE | CWR : 0);
					syn.sport = (uint16_t)(1024 + n++ % 60000);
					test_context("IPv%d mss %d ws %d sack %d ecn %d ts %d",
						     family, mss[i], ws, sack, ecn, ts);
					check_round_trip(&syn, mss[i], ws, sack, ecn, ts);
				}
	test_context("%s", "");
	test_note("%u combinations", n);
}
