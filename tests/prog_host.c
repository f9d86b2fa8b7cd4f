/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host behind the guard as judge: the SYN-ACK of the guard must promise what the host's
 * own SYN-ACK to the same SYN would have promised, since it is the host that keeps it.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rawnet.h"
#include "rows.h"

struct listener {
	const char *name;
	int rcvbuf, maxseg;
};

static const struct listener listeners[] = {
	{ "default", 0, 0 },
	{ "SO_RCVBUF 4096", 4096, 0 },
	{ "SO_RCVBUF 16384", 16384, 0 },
	{ "SO_RCVBUF 100000", 100000, 0 },
	{ "SO_RCVBUF of all there is", 1 << 30, 0 },
	{ "TCP_MAXSEG 1250", 0, 1250 },
	{ "TCP_MAXSEG 1300 and SO_RCVBUF 8192", 8192, 1300 },
};

static int open_listener(const struct listener *l, uint8_t family)
{
	int fd = listen_on(family, 80, 64);

	if (l->rcvbuf)
		MUST(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &l->rcvbuf, sizeof(l->rcvbuf)));
	if (l->maxseg)
		MUST(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &l->maxseg, sizeof(l->maxseg)));
	let_caches_expire();
	return fd;
}

static void compare(int raw, struct spec *s, bool window)
{
	static struct packet p;
	static uint16_t port = 20000;
	struct frame host, guard_synack;
	struct result r;

	s->sport = port++;
	s->seq = (uint32_t)test_random();
	packet_build(&p, s);
	r = run_xdp(&p);
	CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
	REQUIRE(frame_read(&guard_synack, r.out, r.len) == NULL);
	raw_build(&p, s); /* of the same length */
	raw_send(raw, &p);
	if (!raw_receive(raw, &host, SYN | ACK, 80, s->sport, 2000)) {
		FAIL("the host does not answer");
		return;
	}
	CHECK_EQ(guard_synack.ack, host.ack);
	/* the host would grow an answer to few options by its MSS, the guard never does (I01) */
	if (guard_synack.opt.mss >= 0 || r.len + 4 <= (p.len > 60 ? p.len : 60))
		CHECK_EQ(guard_synack.opt.mss, host.opt.mss);
	else
		guard_synack.tcp_len += 4;
	CHECK_EQ(guard_synack.opt.ws, host.opt.ws);
	CHECK_EQ(guard_synack.opt.sack, host.opt.sack);
	CHECK_EQ(guard_synack.opt.ts, host.opt.ts);
	CHECK_EQ(guard_synack.flags & (ECE | CWR), host.flags & (ECE | CWR));
	if (guard_synack.opt.ts)
		CHECK_EQ(guard_synack.opt.tsecr, host.opt.tsecr);
	CHECK_EQ(guard_synack.tcp_len, host.tcp_len);
	if (window)
		CHECK_EQ(guard_synack.window, host.window);
	else /* rounded by another MSS than the host's own: at most one segment apart */
		CHECK(guard_synack.window <= host.window + 1460 &&
		      host.window <= guard_synack.window + 1460);
}

TEST(window_scale_and_mss_are_those_of_the_hosts_own_syn_ack, "A09 A08 C03")
{
	int raw;

	need_reqsk();
	raw = raw_open();
	for (uint8_t family = 4; family <= 6; family += 2)
		for (size_t i = 0; i < ARRAY_SIZE(listeners); i++) {
			struct spec linux_syn = { .family = family, .flags = SYN, OPT(SYN_LINUX) };
			struct spec windows = { .family = family, .flags = SYN, OPT(SYN_WINDOWS) };
			int fd = open_listener(&listeners[i], family);

			test_context("%s, IPv%d, Linux", listeners[i].name, family);
			compare(raw, &linux_syn, false);
			test_context("%s, IPv%d, Windows", listeners[i].name, family);
			compare(raw, &windows, false);
			close(fd);
			let_caches_expire();
		}
}

/*
 * The host would clamp its client's MSS below the smallest that a cookie holds and that the
 * kernel takes with a request socket.
 */
TEST(listener_with_a_smaller_mss_than_any_cookie_is_left_alone, "A08 C09")
{
	static const struct listener small = { "TCP_MAXSEG 500", 0, 500 };
	static struct packet p;

	need_reqsk();
	for (uint8_t family = 4; family <= 6; family += 2) {
		struct result r;

		test_context("IPv%d", family);
		open_listener(&small, family);
		packet_build(&p, &(struct spec){ .family = family, .flags = SYN });
		r = run_xdp(&p);
		CHECK_PASSED(&r, &p, SW_PASS_LISTENER);
	}
}

TEST(options_and_ecn_are_those_of_the_hosts_own_syn_ack, "A07 A08 A09 C03")
{
	static const struct spec syns[] = {
		{ .flags = SYN, OPT(SYN_LINUX) },
		{ .flags = SYN, OPT(SYN_MACOS) },
		{ .flags = SYN | ECE | CWR, OPT(SYN_LINUX) },
		{ .flags = SYN | ECE | CWR, .reserved = 1, OPT(SYN_LINUX) },
		{ .flags = SYN | ECE | CWR, .tos = 2, OPT(SYN_LINUX) },
		{ .flags = SYN | ECE, OPT(SYN_LINUX) },
		{ .flags = SYN | CWR, OPT(SYN_LINUX) },
		{ .flags = SYN, OPT("\x01\x01" OPT_TS) },
		{ .flags = SYN, OPT("\x04\x02") },
		{ .flags = SYN, OPT("\x03\x03\x02") },
		{ .flags = SYN, OPT("\x02\x04\x05\x14\x01\x03\x03\x0f") },
		{ .flags = SYN },
	};
	int raw;

	need_reqsk();
	raw = raw_open();
	for (uint8_t family = 4; family <= 6; family += 2) {
		int fd = open_listener(&listeners[0], family);

		for (size_t i = 0; i < ARRAY_SIZE(syns); i++) {
			struct spec s = syns[i];

			s.family = family;
			test_context("SYN %zu, IPv%d", i, family);
			compare(raw, &s, false);
		}
		close(fd);
	}
}

static uint8_t ttl_of(const struct frame *f)
{
	return f->ip[f->family == 6 ? 7 : 8];
}

/* Whoever talks to neighbours alone, as BGP does, throws away what is less (RFC 5082). */
TEST(ttl_is_that_of_the_hosts_own_syn_ack, "A10")
{
	static const int ttls[] = { -1, 255, 1 }; /* of the listener, -1: as the host has it */
	static struct packet p;
	int raw;

	raw = raw_open();
	sysctl_write("net/ipv4/ip_default_ttl", "99");
	for (size_t i = 0; i < 2 * ARRAY_SIZE(ttls); i++) {
		struct spec s = { .family = i % 2 ? 6 : 4, .flags = SYN, OPT(SYN_LINUX) };
		int fd = open_listener(&listeners[0], s.family), ttl = ttls[i / 2];
		struct frame f;
		struct result r;
		uint8_t ours;

		test_context("IPv%d, %d", s.family, ttl);
		s.sport = (uint16_t)(30000 + i);
		MUST(s.family == 6 ?
			     setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof(ttl)) :
			     setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)));
		packet_build(&p, &s);
		r = run_xdp(&p);
		CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
		REQUIRE(frame_read(&f, r.out, r.len) == NULL);
		ours = ttl_of(&f);
		raw_build(&p, &s);
		raw_send(raw, &p);
		REQUIRE(raw_receive(raw, &f, SYN | ACK, 80, s.sport, 2000));
		CHECK_EQ(ours, ttl_of(&f));
		close(fd);
		let_caches_expire();
	}
}
