/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Engine listener: the kernel's own cookie, MSS only. The same object as everywhere, loaded
 * with the other engine; the golden rows and the host's state run with it as well.
 */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "handshake.h"
#include "rawnet.h"
#include "rows.h"

enum sw_engine fixture_engine = SW_ENGINE_LISTENER;

static void expect(const struct spec *s, int action, enum sw_reason reason)
{
	static struct packet p;
	struct result r;

	packet_build(&p, s);
	r = run_xdp(&p);
	CHECK_RESULT(&r, action, reason);
}

/* Without what the guard must not offer, since the host will not remember it. */
TEST(syn_ack_offers_mss_only, "C03 A10 C01")
{
	static const struct spec syns[] = {
		{ .flags = SYN },
		{ .flags = SYN, OPT(SYN_LINUX) },
		{ .flags = SYN, OPT(SYN_MACOS) },
		{ .flags = SYN | ECE | CWR, OPT(SYN_WINDOWS) },
		{ .flags = SYN, .payload = 33 },
		{ .flags = SYN, .pad = 60 },
		{ .flags = SYN, .vlans = 2, OPT(SYN_LINUX) },
	};
	static struct packet p;

	listen_on(4, 80, 8);
	listen_on(6, 80, 8);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(syns); i++) {
		struct spec s = syns[i / 2];
		struct result r;
		struct frame f;

		s.family = i % 2 ? 6 : 4;
		test_context("SYN %zu, IPv%d", i / 2, s.family);
		packet_build(&p, &s);
		r = run_xdp(&p);
		CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
		synack_check(&p, &r, &f);
		/* a bare IPv6 SYN is the one that leaves no room for it */
		CHECK_EQ(f.opt.mss, f.tcp_len == 20 ? -1 : s.family == 6 ? 1440 : 1460);
		CHECK(f.tcp_len == 24 || (s.family == 6 && !s.opt_len && !s.payload));
		CHECK(!f.opt.sack && !f.opt.ts && f.opt.ws < 0 && !f.opt.other);
	}
}

TEST(ack_of_the_kernels_cookie_is_accepted_and_its_neighbours_are_not, "B05 C01 B08")
{
	static struct handshake h;
	static struct packet p;

	listen_on(4, 80, 8);
	listen_on(6, 80, 8);
	for (uint8_t family = 4; family <= 6; family += 2) {
		unsigned int accepted = 0;
		struct result r;

		test_context("IPv%d", family);
		handshake_syn(&h, &(struct spec){ .family = family, OPT(SYN_LINUX) });
		CHECK_EQ(h.ts, false);
		handshake_ack(&h, NULL, &p);
		r = run_xdp(&p);
		CHECK_PASSED(&r, &p, SW_PASS_COOKIE);
		CHECK_EQ(r.meta_len, 0);
		handshake_ack(&h, &(struct spec){ .flags = ACK | FIN }, &p);
		r = run_xdp(&p);
		CHECK_PASSED(&r, &p, SW_PASS_COOKIE);
		handshake_ack(&h, &(struct spec){ .flags = SYN | ACK }, &p);
		r = run_xdp(&p);
		CHECK_RESULT(&r, XDP_DROP, SW_DROP_SYNACK);
		handshake_ack(&h, NULL, &p);
		for (int off = -64; off <= 64; off++) {
			packet_set_tcp(&p, h.client_isn + 1, h.cookie + 1 + (uint32_t)off);
			accepted += off && run_bare(xdp_fd(), &p) == XDP_PASS;
		}
		/* the kernel's format: its four MSS values are neighbours; a fourth is luck */
		CHECK(accepted == 3 || accepted == 4);
	}
}

TEST(cookies_need_tcp_syncookies_2, "C02")
{
	struct spec syn = { .flags = SYN };

	listen_on(4, 80, 8);
	expect(&syn, XDP_TX, SW_TX_SYNACK);
	sysctl_write("net/ipv4/tcp_syncookies", "1");
	let_caches_expire();
	expect(&syn, XDP_PASS, SW_PASS_COOKIES_OFF);
	sysctl_write("net/ipv4/tcp_syncookies", "0");
	let_caches_expire();
	expect(&syn, XDP_PASS, SW_PASS_COOKIES_OFF);
}

/* The stack takes the ACK: no tc, no metadata, a connection of a real client. */
TEST(host_takes_the_ack_of_the_cookie, "C01")
{
	static struct handshake h;
	static struct packet p;
	int fd, accepted = -1;

	for (uint8_t family = 4; family <= 6; family += 2) {
		int raw = raw_open(); /* for the way in, not for what it reads */

		test_context("IPv%d", family);
		fd = listen_on(family, 80, 8);
		handshake_syn(&h, &(struct spec){ .family = family, OPT(SYN_LINUX) });
		handshake_ack(&h, NULL, &p);
		memset(p.data, 0, 12);
		raw_send(raw, &p);
		accepted = -1;
		for (int i = 0; i < 200 && accepted < 0; i++) {
			accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
			sleep_ms(5);
		}
		CHECK(accepted >= 0);
		close(raw);
	}
}

/* The other binaries of this ring, told to load this engine; on old kernels they do anyway. */
static void run_sibling(const char *name)
{
	char self[PATH_MAX] = "", path[PATH_MAX + 64];
	char *argv[] = { path, NULL };
	int status;
	pid_t pid;

	MUST(readlink("/proc/self/exe", self, sizeof(self) - 1));
	snprintf(path, sizeof(path), "%s/%s", dirname(self), name);
	fflush(stdout);
	pid = MUST(fork());
	if (pid == 0) {
		/* its TAP lines become notes of this test */
		char command[PATH_MAX + 128];

		setenv("SW_ENGINE", "listener", 1);
		snprintf(command, sizeof(command), "set -o pipefail; '%s' 2>&1 | sed 's/^/#   /'",
			 argv[0]);
		execl("/bin/bash", "bash", "-c", command, (char *)NULL);
		_exit(127);
	}
	MUST(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
}

TEST_LIMIT(golden_packets_hold_with_engine_listener, "H01 H02 H03 H04 H05 H06 H07 H08", 600)
{
	static const char *const siblings[] = { "prog_packets_link", "prog_packets_ip",
						"prog_packets_tcp", "prog_packets_syn",
						"prog_jumbo" };

	if (!kernel_has_reqsk())
		test_skip("every binary of this ring runs with engine listener on this kernel");
	for (size_t i = 0; i < ARRAY_SIZE(siblings); i++) {
		test_context("%s", siblings[i]);
		run_sibling(siblings[i]);
	}
}

TEST_LIMIT(host_state_and_services_hold_with_engine_listener, "A02 C05 C08 C09", 600)
{
	if (!kernel_has_reqsk())
		test_skip("every binary of this ring runs with engine listener on this kernel");
	run_sibling("prog_state");
	run_sibling("prog_services");
}
