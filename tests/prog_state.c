/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host holds and what its listeners are: the oracle behind the verdicts. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rawnet.h"
#include "rows.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void expect(const struct spec *s, int action, enum sw_reason reason)
{
	static struct packet p;
	struct result r;

	packet_build(&p, s);
	r = run_xdp(&p);
	CHECK_RESULT(&r, action, reason);
	if (action == XDP_PASS)
		CHECK_BYTES(r.out, r.len, p.data, p.len);
}

static void expect_held(uint8_t family, uint16_t port)
{
	struct spec s = {
		.family = family, .sport = port, .flags = SYN, OPT(SYN_LINUX), .seq = 12345
	};

	expect(&s, XDP_PASS, SW_PASS_SYN_HELD);
	s.flags = FIN | SYN;
	expect(&s, XDP_DROP, SW_DROP_FLAGS);
	s.sport++;
	s.flags = RST;
	expect(&s, XDP_DROP, SW_DROP_RST);
	s.flags = ACK;
	expect(&s, XDP_DROP, SW_DROP_COOKIE);
	s.flags = SYN;
	expect(&s, XDP_TX, SW_TX_SYNACK);
}

static void adopt_if_reqsk(void)
{
	if (guard.engine == SW_ENGINE_REQSK)
		adopt_sockets();
}

TEST(tuple_of_an_established_connection_goes_to_the_host, "C05 D04")
{
	for (uint8_t family = 4; family <= 6; family += 2) {
		test_context("IPv%d", family);
		listen_on(family, 80, 8);
		connect_from(family, 41000, 80);
		adopt_if_reqsk();
		expect_held(family, 41000);
	}
}

/* The server closed first; its FIN is acknowledged, the client's too. */
TEST(tuple_in_time_wait_goes_to_the_host, "C05")
{
	for (uint8_t family = 4; family <= 6; family += 2) {
		int listener = listen_on(family, 80, 8), client, server;
		char byte;

		test_context("IPv%d", family);
		client = connect_from(family, 42000, 80);
		server = accept_one(listener);
		close(server);
		CHECK_EQ(recv(client, &byte, 1, 0), 0);
		close(client);
		sleep_ms(20);
		adopt_if_reqsk();
		expect_held(family, 42000);
	}
}

/* A request socket: TCP_DEFER_ACCEPT keeps one until data comes. */
TEST(handshake_the_host_has_begun_goes_on_with_the_host, "C05 A12")
{
	for (uint8_t family = 4; family <= 6; family += 2) {
		int listener = listen_on(family, 80, 8), seconds = 30;

		test_context("IPv%d", family);
		MUST(setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds,
				sizeof(seconds)));
		connect_from(family, 43000, 80);
		adopt_if_reqsk();
		expect_held(family, 43000);
	}
}

/* The filter learns from SYNs that pass, whatever let them. */
TEST(syn_that_passed_makes_its_tuple_asked_for, "C05 A12")
{
	struct spec syn = { .sport = 44000, .flags = SYN, .seq = 5, OPT(SYN_LINUX) };

	listen_on(4, 80, 8);
	services_mode(SW_MODE_MONITOR);
	expect(&syn, XDP_PASS, SW_TX_SYNACK);
	services_mode(SW_MODE_ALWAYS);
	expect(&syn, XDP_TX, SW_TX_SYNACK); /* asked for, but the host holds nothing */
	connect_from(4, 44000, 80);
	expect(&syn, XDP_PASS, SW_PASS_SYN_HELD);
	services_mode(SW_MODE_MONITOR);
	expect(&syn, XDP_PASS, SW_PASS_SYN_HELD);
}

/* What the table says is no more than a hint: numbers far off are asked for, and set it right. */
TEST(connection_the_host_lost_is_closed_when_it_is_next_asked_for, "E02 G10")
{
	struct linger reset = { .l_onoff = 1 };
	struct spec ack = { .sport = 45000, .flags = ACK, .seq = 5, .ack = 9 };
	int listener = listen_on(4, 80, 8), client, server;

	client = connect_from(4, 45000, 80);
	server = accept_one(listener);
	adopt_sockets();
	CHECK_EQ(conn_state(4, 45000, 80), SW_ESTABLISHED);
	MUST(setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	close(client);
	close(server);
	ack.seq = conn_entry(4, 45000, 80, NULL)->rcv_nxt;
	expect(&ack, XDP_PASS, SW_PASS_KNOWN);
	ack.seq += 1 << 30;
	expect(&ack, XDP_DROP, SW_DROP_COOKIE);
	CHECK_EQ(conn_state(4, 45000, 80), SW_CLOSED);
	tables_check();
}

TEST(listener_that_opens_or_closes_is_noticed_within_its_cache, "A02 C04")
{
	struct spec syn = { .flags = SYN, .seq = 5, .dport = 8003 };
	struct spec ack = { .flags = ACK, .seq = 5, .dport = 8003 };
	int fd;

	expect(&syn, XDP_PASS, SW_PASS_NO_LISTENER);
	fd = listen_on(4, 8003, 8);
	let_caches_expire();
	expect(&syn, XDP_TX, SW_TX_SYNACK);
	expect(&ack, XDP_DROP, SW_DROP_COOKIE);
	syn.family = ack.family = 6;
	expect(&syn, XDP_PASS, SW_PASS_NO_LISTENER);
	expect(&ack, XDP_PASS, SW_PASS_NO_LISTENER);
	close(fd);
	let_caches_expire();
	syn.family = ack.family = 4;
	expect(&syn, XDP_PASS, SW_PASS_NO_LISTENER);
	expect(&ack, XDP_PASS, SW_PASS_NO_LISTENER);
}

TEST(forbidden_cookies_leave_everything_to_the_host, "C02")
{
	struct spec s = { .flags = SYN, .seq = 5 };

	listen_on(4, 80, 8);
	sysctl_write("net/ipv4/tcp_syncookies", "0");
	expect(&s, XDP_PASS, SW_PASS_COOKIES_OFF);
	s.flags = ACK;
	expect(&s, XDP_PASS, SW_PASS_COOKIES_OFF);
	s.flags = FIN;
	expect(&s, XDP_DROP, SW_DROP_FLAGS);
	sysctl_write("net/ipv4/tcp_syncookies", "2");
	let_caches_expire();
	s.flags = SYN;
	expect(&s, XDP_TX, SW_TX_SYNACK);
	sysctl_write("net/ipv4/tcp_syncookies", "1");
	let_caches_expire();
	if (guard.engine == SW_ENGINE_REQSK)
		expect(&s, XDP_TX, SW_TX_SYNACK);
	else
		expect(&s, XDP_PASS, SW_PASS_COOKIES_OFF);
}

TEST(mptcp_listener_is_left_alone, "C09")
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct spec s = { .flags = SYN, .seq = 5 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	if (fd < 0 && (errno == EPROTONOSUPPORT || errno == EINVAL || errno == ENOPROTOOPT))
		test_skip("kernel has no MPTCP");
	MUST(fd);
	MUST(bind(fd, (struct sockaddr *)&any, sizeof(any)));
	MUST(listen(fd, 8));
	expect(&s, XDP_PASS, SW_PASS_LISTENER);
	s.flags = ACK;
	expect(&s, XDP_PASS, SW_PASS_LISTENER);
}

TEST(listener_with_md5_keys_is_left_alone, "C09")
{
	struct spec s = { .flags = SYN, .seq = 5 };
	struct tcp_md5sig key = { .tcpm_keylen = 4, .tcpm_key = "test" };
	struct sockaddr_in *peer = (struct sockaddr_in *)&key.tcpm_addr;
	int fd = listen_on(4, 80, 8);

	peer->sin_family = AF_INET;
	peer->sin_addr.s_addr = htonl(0xc6336407); /* CLIENT4 */
	if (setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)) < 0) {
		if (errno == ENOPROTOOPT || errno == EOPNOTSUPP)
			test_skip("kernel has no TCP_MD5SIG");
		FAIL("TCP_MD5SIG: %m");
	}
	expect(&s, XDP_PASS, SW_PASS_LISTENER);
	s.flags = ACK;
	expect(&s, XDP_PASS, SW_PASS_LISTENER);
}

static int listen_special(int family, bool v6only, int option)
{
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(8005) };
	struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(8005) };
	int one = 1, only = v6only;
	int fd = MUST(socket(family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	if (option == SO_REUSEPORT)
		MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
	if (option == SO_BINDTODEVICE)
		MUST(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	if (family == 6)
		MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)));
	MUST(family == 6 ? bind(fd, (struct sockaddr *)&any6, sizeof(any6)) :
			   bind(fd, (struct sockaddr *)&any4, sizeof(any4)));
	MUST(listen(fd, 8));
	return fd;
}

TEST(listener_of_every_kind_is_found, "C08")
{
	struct spec syn = { .flags = SYN, .seq = 5, .dport = 8005 };
	int a, b;

	test_context("dual stack, IPv4 client");
	a = listen_special(6, false, 0);
	expect(&syn, XDP_TX, SW_TX_SYNACK);
	syn.family = 6;
	expect(&syn, XDP_TX, SW_TX_SYNACK);
	close(a);
	let_caches_expire();

	test_context("IPv6 only, IPv4 client");
	a = listen_special(6, true, 0);
	expect(&syn, XDP_TX, SW_TX_SYNACK);
	syn.family = 4;
	expect(&syn, XDP_PASS, SW_PASS_NO_LISTENER);
	close(a);
	let_caches_expire();

	test_context("two with SO_REUSEPORT");
	a = listen_special(4, false, SO_REUSEPORT);
	b = listen_special(4, false, SO_REUSEPORT);
	for (uint16_t port = 1000; port < 1032; port++) {
		syn.sport = port;
		expect(&syn, XDP_TX, SW_TX_SYNACK);
	}
	close(a);
	close(b);
	let_caches_expire();

	test_context("bound to the device");
	listen_special(4, false, SO_BINDTODEVICE);
	expect(&syn, XDP_TX, SW_TX_SYNACK);
}

/* The host's own cookie, sent before the guard came, is still good. */
TEST(cookie_of_the_host_itself_is_passed_on, "A12 C01")
{
	struct spec s = { .flags = SYN, .sport = 46000, .seq = 999, OPT(SYN_LINUX) };
	static struct packet p;
	struct frame f;
	int raw;

	need_reqsk();
	listen_on(4, 80, 8);
	sysctl_write("net/ipv4/tcp_syncookies", "2");
	guard.settings.grace_until_ns = now_ns() + 20ULL * 1000000000;
	settings_write();
	raw = raw_open();
	raw_build(&p, &s);
	raw_send(raw, &p);
	REQUIRE(raw_receive(raw, &f, SYN | ACK, 80, 46000, 1000));
	s = (struct spec){ .flags = ACK, .sport = 46000, .seq = 1000, .ack = f.seq + 1 };
	expect(&s, XDP_PASS, SW_PASS_HOST_COOKIE);
	s.ack++;
	expect(&s, XDP_DROP, SW_DROP_COOKIE);

	test_context("once such handshakes must have ended");
	guard.settings.grace_until_ns = 0;
	settings_write();
	map_zero("sw_live"); /* that it was good is in the filter from now on */
	s.ack--;
	expect(&s, XDP_DROP, SW_DROP_COOKIE);
}
