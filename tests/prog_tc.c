/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hand-over at tc ingress. The kernel takes a request socket only from a packet that
 * really comes in, so the good case runs over lo with both programs attached; what
 * BPF_PROG_TEST_RUN sends is refused there by the kernel itself.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handshake.h"
#include "rawnet.h"
#include "rows.h"

#define GOES_ON (-1) /* TCX_NEXT, TC_ACT_UNSPEC */

static void recheck_on(void)
{
	guard.settings.recheck = 1;
	settings_write();
}

static void forged(struct handshake *h, struct packet *ack, uint8_t family, uint16_t sport)
{
	uint32_t epoch = epoch_now();

	handshake_forge(h, &(struct spec){ .family = family, .sport = sport }, epoch,
			(uint16_t)LOW_TS(6, 7, 1, 0, epoch), true, 5);
	handshake_ack(h, NULL, ack);
}

TEST(unmarked_packets_pass_tc_untouched_and_uncounted, "C02")
{
	static struct packet p;
	static const struct spec specs[] = {
		{ .flags = ACK },
		{ .flags = SYN },
		{ .flags = ACK, .family = 6 },
		{ .flags = ACK, .dport = 22 },
		{ .proto = 17, .payload = 40 },
		{ .ethertype = 0x0806, .payload = 46 },
		{ .flags = ACK, .vlans = 2 },
		{ .flags = ACK, .payload = 1400 },
	};

	need_reqsk();
	listen_on(4, 80, 8);
	for (int recheck = 0; recheck < 2; recheck++) {
		for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
			struct result r;

			packet_build(&p, &specs[i]);
			test_context("spec %zu, recheck %d", i, recheck);
			r = run_tc(&p);
			CHECK_RESULT(&r, GOES_ON, SW_CONTINUE);
			CHECK_BYTES(r.out, r.len, p.data, p.len);
		}
		recheck_on();
	}
}

TEST(recheck_hands_over_only_acks_with_a_cookie, "C01")
{
	static struct handshake h;
	static struct packet p;
	struct result r;

	need_reqsk();
	listen_on(4, 80, 8);
	listen_on(6, 80, 8);
	host_scale(4);
	host_scale(6);
	recheck_on();
	for (uint8_t family = 4; family <= 6; family += 2) {
		test_context("IPv%d", family);
		forged(&h, &p, family, 1000);
		r = run_tc(&p); /* not at ingress: the kernel's -EINVAL */
		CHECK_RESULT(&r, GOES_ON, SW_TC_REFUSED);
		CHECK_EQ(r.service, SERVICE_WEB);
		CHECK_BYTES(r.out, r.len, p.data, p.len);
		handshake_ack(&h, &(struct spec){ .flags = FIN | ACK }, &p);
		r = run_tc(&p);
		CHECK_RESULT(&r, GOES_ON, SW_TC_REFUSED);
		handshake_ack(&h, &(struct spec){ .flags = SYN | ACK }, &p);
		r = run_tc(&p);
		CHECK_RESULT(&r, GOES_ON, SW_CONTINUE);
		handshake_ack(&h, &(struct spec){ .flags = RST | ACK }, &p);
		r = run_tc(&p);
		CHECK_RESULT(&r, GOES_ON, SW_CONTINUE);
		handshake_ack(&h, &(struct spec){ .ack = 1 }, &p);
		r = run_tc(&p);
		CHECK_RESULT(&r, GOES_ON, SW_CONTINUE);
	}
}

TEST(tuple_the_host_owns_already_is_left_to_it, "C05 D04")
{
	static struct handshake h;
	static struct packet p;
	struct result r;

	need_reqsk();
	recheck_on();
	for (uint8_t family = 4; family <= 6; family += 2) {
		listen_on(family, 80, 8);
		connect_from(family, 30000, 80);
		host_scale(family);
		forged(&h, &p, family, 30000);
		r = run_tc(&p);
		CHECK_RESULT(&r, GOES_ON, SW_TC_KNOWN);
		CHECK_BYTES(r.out, r.len, p.data, p.len);
	}
}

/* What XDP saw of the listener is up to 10 ms old. */
TEST(listener_gone_between_xdp_and_tc_is_named, "C04")
{
	static struct handshake h;
	static struct packet p;
	struct result r = {};

	need_reqsk();
	recheck_on();
	host_scale(4);
	for (int try = 0; try < 50 && r.reason != SW_TC_NO_LISTENER; try++) {
		int fd = listen_on(4, 80, 8);

		let_caches_expire();
		forged(&h, &p, 4, 1000);
		packet_set_tcp(&p, 1, 1); /* no cookie: only the listener is looked up */
		run_tc(&p);
		close(fd);
		forged(&h, &p, 4, 1000);
		r = run_tc(&p);
	}
	CHECK_RESULT(&r, GOES_ON, SW_TC_NO_LISTENER);
}

/* A whole connection from a client of this host through lo and both programs. */
static void connect_live(uint8_t family, uint16_t port)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct tcp_info client, server;
	int listener = listen_on(family, 80, 8), fd, accepted = -1;
	char text[8] = "";

	fd = connect_from(family, port, 80);
	for (int i = 0; i < 200 && accepted < 0; i++) {
		accepted = accept(listener, (struct sockaddr *)&peer, &len);
		sleep_ms(5);
	}
	REQUIRE(accepted >= 0);
	REQUIRE(send(fd, "hello", 5, 0) == 5);
	REQUIRE(recv(accepted, text, sizeof(text), 0) == 5);
	REQUIRE(send(accepted, "world", 5, 0) == 5);
	REQUIRE(recv(fd, text, sizeof(text), 0) == 5);
	CHECK(memcmp(text, "world", 5) == 0);
	len = sizeof(client);
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &client, &len));
	len = sizeof(server);
	MUST(getsockopt(accepted, IPPROTO_TCP, TCP_INFO, &server, &len));
	CHECK_EQ(client.tcpi_options, server.tcpi_options);
	CHECK_EQ(client.tcpi_snd_wscale, server.tcpi_rcv_wscale);
	/* without timestamps the cookie rounds the client's scale down, see cookie.h */
	if (client.tcpi_options & TCPI_OPT_TIMESTAMPS)
		CHECK_EQ(client.tcpi_rcv_wscale, server.tcpi_snd_wscale);
	else
		CHECK(server.tcpi_snd_wscale <= client.tcpi_rcv_wscale &&
		      server.tcpi_snd_wscale + 4 > client.tcpi_rcv_wscale);
	CHECK_EQ(client.tcpi_snd_mss, server.tcpi_snd_mss);
	close(accepted);
	close(fd);
	close(listener);
}

/* Generic mode: the kernel may hand tc another skb than the one XDP saw. */
TEST(client_of_generic_xdp_gets_a_connection_with_all_its_options, "C01 C03")
{
	need_reqsk();
	attach_both_to_lo();
	for (uint8_t family = 4; family <= 6; family += 2)
		for (int ts = 0; ts < 2; ts++) {
			uint64_t before;

			counters_moved();
			test_context("IPv%d, timestamps %d", family, ts);
			sysctl_write("net/ipv4/tcp_timestamps", ts ? "1" : "0");
			let_caches_expire();
			before = counter_of(SW_TC_HANDED_OVER);
			connect_live(family, (uint16_t)(31000 + ts));
			CHECK_EQ(counter_of(SW_TC_HANDED_OVER), before + 1);
		}
	CHECK_EQ(counter_of(SW_TX_SYNACK), 4);
	CHECK_EQ(counter_of(SW_PASS_COOKIE), 4);
	counters_check();
}

/* Raw frames of a client that is not there: handed over once, then spent. */
TEST(spent_cookie_opens_nothing_once_its_connection_is_gone, "B02 D04")
{
	static struct handshake h;
	static struct packet p, rst;
	struct linger reset = { .l_onoff = 1 };
	int listener, fd;
	struct result r;

	need_reqsk();
	listener = listen_on(4, 80, 8);
	host_scale(4);
	attach_tc_to_lo();
	forged(&h, &p, 4, 32000);
	run_live(&p);
	fd = accept_one(listener);
	CHECK_EQ(counter_of(SW_TC_HANDED_OVER), 1);
	counters_moved();

	test_context("a duplicate while the connection lives");
	r = run_xdp(&p);
	CHECK_PASSED(&r, &p, SW_PASS_KNOWN);
	CHECK_EQ(r.meta_len, 0);

	test_context("a replay after it was reset");
	MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	close(fd);
	packet_build(&rst, &(struct spec){ .src = SERVER4,
					   .dst = CLIENT4,
					   .sport = 80,
					   .dport = 32000,
					   .flags = RST | ACK });
	run_tc_out(&rst); /* that RST, past the guard */
	sleep_ms(2300);
	counters_moved();
	r = run_xdp(&p);
	CHECK_PASSED(&r, &p, SW_PASS_COOKIE_USED);
	CHECK_EQ(r.meta_len, 0);

	test_context("a new cookie of the same tuple is not spent");
	forged(&h, &p, 4, 32000);
	r = run_xdp(&p);
	CHECK_PASSED(&r, &p, SW_PASS_COOKIE);
}

/* The first two segments of a request, as a GRO lets them through that heeds metadata only. */
TEST(segment_ahead_of_the_ack_that_opens_waits_for_it, "C02 D02")
{
	static struct handshake h;
	static struct packet first, second;
	struct mark mark;
	struct result r;

	need_reqsk();
	attach_tc_to_lo();
	for (uint8_t family = 4; family <= 6; family += 2) {
		uint64_t early, handed;
		char text[80];
		int listener, fd;

		test_context("IPv%d", family);
		listener = listen_on(family, 80, 8);
		host_scale(family);
		forged(&h, &first, family, 34000);
		handshake_ack(&h, &(struct spec){ .payload = 40 }, &first);
		handshake_ack(&h, &(struct spec){ .flags = PSH | ACK, .seq = 40, .payload = 30 },
			      &second);

		r = run_xdp(&first);
		CHECK_RESULT(&r, XDP_PASS, SW_PASS_COOKIE);
		mark = mark_of(&r);
		r = run_xdp(&second);
		CHECK_RESULT(&r, XDP_PASS, SW_PASS_KNOWN);
		CHECK_BYTES(r.meta, r.meta_len, (const uint8_t *)&mark, sizeof(mark));

		early = counter_of(SW_TC_EARLY);
		handed = counter_of(SW_TC_HANDED_OVER);
		run_live(&second);
		CHECK_EQ(counter_of(SW_TC_EARLY), early + 1);
		run_live(&first);
		CHECK_EQ(counter_of(SW_TC_HANDED_OVER), handed + 1);
		fd = accept_one(listener);
		CHECK_EQ(recv(fd, text, sizeof(text), MSG_DONTWAIT), 40);
		close(fd);
		close(listener);
	}
}

/* From the hand-over on the tuple is asked for: a new SYN goes to the host. */
TEST(handed_over_tuple_is_held_from_then_on, "C05")
{
	static struct handshake h;
	static struct packet p;
	int listener;
	struct result r;

	need_reqsk();
	listener = listen_on(6, 80, 8);
	host_scale(6);
	attach_tc_to_lo();
	forged(&h, &p, 6, 33000);
	run_live(&p);
	accept_one(listener);
	counters_moved();
	r = run_xdp(&h.syn);
	CHECK_PASSED(&r, &h.syn, SW_PASS_SYN_HELD);
}
