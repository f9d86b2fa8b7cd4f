/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits on sources: who is counted, what is refused when, and that nobody who did not prove
 * his address is ever counted, refused or banned.
 */
#include "limits.h"

TEST(connections_of_a_source_are_limited, "J01")
{
	begin(SW_OVER_DROP);
	web.limit[SW_LEVEL_HOST].conns = 3;
	web_write();
	for (int i = 0; i < 3; i++)
		CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK_EQ(syn("203.0.113.9"), SW_DROP_LIMIT_CONNS);
	CHECK_EQ(syn("203.0.113.10"), SW_TX_SYNACK);
	CHECK_EQ(open_from("203.0.113.10"), SW_PASS_COOKIE);
	CHECK_EQ(source("203.0.113.9", SW_LEVEL_HOST)->conns, 3);
	CHECK_EQ(source("203.0.113.9", SW_LEVEL_NET)->conns, 4); /* named by who was first */
	/* all of a /64 are one */
	CHECK_EQ(open_from("2001:db8:9::1"), SW_PASS_COOKIE);
	CHECK_EQ(open_from("2001:db8:9::2:0:1"), SW_PASS_COOKIE);
	CHECK_EQ(open_from("2001:db8:9::ffff"), SW_PASS_COOKIE);
	CHECK_EQ(syn("2001:db8:9:0:ffff::1"), SW_DROP_LIMIT_CONNS);
	CHECK_EQ(syn("2001:db8:9:1::1"), SW_TX_SYNACK);
	CHECK_EQ(hits().over[SW_LIMIT_CONNS], 0); /* a SYN proves nothing */
}

TEST(connections_of_a_net_are_limited, "J01 A13")
{
	static const char *const in4[] = { "203.0.113.1", "203.0.113.2", "203.0.113.3" };
	static const char *const in6[] = { "2001:db8:9:1::1", "2001:db8:9:2::1",
					   "2001:db8:9:3::1" };

	begin(SW_OVER_DROP);
	web.limit[SW_LEVEL_NET].conns = 2;
	web_write();
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(open_from(in4[i]), i < 2 ? SW_PASS_COOKIE : SW_DROP_LIMIT_CONNS);
		CHECK_EQ(open_from(in6[i]), i < 2 ? SW_PASS_COOKIE : SW_DROP_LIMIT_CONNS);
	}
	CHECK_EQ(open_from("203.0.114.1"), SW_PASS_COOKIE);
	CHECK_EQ(open_from("2001:db8:a:1::1"), SW_PASS_COOKIE);
}

/* SYN-ACKs that are out do not get past it. */
TEST(handshakes_in_flight_are_limited, "J01")
{
	struct handshake h[5];

	begin(SW_OVER_DROP);
	web.limit[SW_LEVEL_HOST].conns = 3;
	web_write();
	syns_from("203.0.113.9", h, 5);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(ack(&h[i]), i < 3 ? SW_PASS_COOKIE : SW_DROP_LIMIT_CONNS);
	CHECK_EQ(hits().over[SW_LIMIT_CONNS], 2);
	CHECK_EQ(source("203.0.113.9", SW_LEVEL_HOST)->refused, 2);
}

TEST(new_connections_have_a_rate_and_a_burst, "J01")
{
	begin(SW_OVER_DROP);
	web.limit[SW_LEVEL_HOST].new_pps = 5;
	web.limit[SW_LEVEL_HOST].burst = 3;
	web_write();
	for (int i = 0; i < 3; i++)
		CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK_EQ(open_from("203.0.113.9"), SW_DROP_LIMIT_RATE);
	CHECK_EQ(open_from("203.0.113.8"), SW_PASS_COOKIE);
	sleep_ms(210);
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK_EQ(open_from("203.0.113.9"), SW_DROP_LIMIT_RATE);
	sleep_ms(700);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK_EQ(open_from("203.0.113.9"), SW_DROP_LIMIT_RATE);
}

TEST(ban_holds_for_its_time_and_can_be_lifted, "J01")
{
	uint32_t slots;

	begin(SW_OVER_BAN);
	web.limit[SW_LEVEL_HOST].conns = 1;
	web_write();
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	for (int i = 0; i < 2; i++) { /* spoofed or not: it is over, but proves nothing */
		CHECK_EQ(syn("203.0.113.9"), SW_DROP_LIMIT_CONNS);
		CHECK_EQ(source("203.0.113.9", SW_LEVEL_HOST)->banned_until_s, 0);
	}
	web.limit[SW_LEVEL_HOST].conns = 100;
	web.limit[SW_LEVEL_HOST].new_pps = 1;
	web.limit[SW_LEVEL_HOST].burst = 2;
	web_write();
	{
		struct handshake h[3];

		sleep_ms(1100);
		syns_from("203.0.113.20", h, 3);
		CHECK_EQ(ack(&h[0]), SW_PASS_COOKIE);
		CHECK_EQ(ack(&h[1]), SW_PASS_COOKIE);
		CHECK_EQ(ack(&h[2]), SW_DROP_LIMIT_RATE);
	}
	CHECK_EQ(hits().bans, 1);
	CHECK_EQ(syn("203.0.113.20"), SW_DROP_BANNED);
	CHECK_EQ(syn("203.0.113.21"), SW_TX_SYNACK);
	sleep_ms(2500);
	CHECK_EQ(open_from("203.0.113.20"), SW_PASS_COOKIE);
	for (uint32_t i = 0; i < 2; i++) {
		struct sw_source *all = sources(&slots);
		const struct sw_source *s = source("203.0.113.20", SW_LEVEL_HOST);

		all[s - all].banned_until_s = i ? 0 : ~0U / 2 + 1 + (uint32_t)(now_ns() >> 30);
		if (i)
			CHECK_EQ(syn("203.0.113.20"), SW_TX_SYNACK);
	}
}

TEST(action_count_refuses_nobody, "J01")
{
	begin(SW_OVER_COUNT);
	web.limit[SW_LEVEL_HOST].conns = 2;
	web_write();
	for (int i = 0; i < 5; i++)
		CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK_EQ(hits().over[SW_LIMIT_CONNS], 3);
	CHECK_EQ(source("203.0.113.9", SW_LEVEL_HOST)->conns, 5);
}

TEST(allowed_and_fail_safe_have_no_limit, "J01 L04")
{
	struct sw_list_key key = { .prefix_len = 32 + 128, .list = SW_LIST_ALLOW };
	struct sw_listed entry = {};
	struct sw_port port = { .any_service = SERVICE_WEB | SW_PORT_FAIL_SAFE };
	uint32_t at = 80;

	begin(SW_OVER_DROP);
	web.limit[SW_LEVEL_HOST].conns = 1;
	web_write();
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK_EQ(open_from("203.0.113.9"), SW_DROP_LIMIT_CONNS);
	key.addr[2] = htonl(0xffff);
	REQUIRE(inet_pton(AF_INET, "203.0.113.9", &key.addr[3]) == 1);
	MUST(bpf_map_update_elem(map_fd("sw_lists"), &key, &entry, BPF_ANY));
	guard.settings.lists[0] = 1 << SW_LIST_ALLOW;
	settings_write();
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	MUST(bpf_map_delete_elem(map_fd("sw_lists"), &key));
	CHECK_EQ(open_from("203.0.113.9"), SW_DROP_LIMIT_CONNS);
	MUST(bpf_map_update_elem(map_fd("sw_ports"), &at, &port, BPF_ANY));
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
}

/* Neither SYNs nor ACKs without a cookie. */
TEST(spoofed_flood_leaves_no_source, "J01 A13")
{
	char src[32];

	begin(SW_OVER_BAN);
	web.limit[SW_LEVEL_HOST] = (struct sw_source_limit){ 1, 1, 1, 1, 1 };
	web.limit[SW_LEVEL_NET] = (struct sw_source_limit){ 1, 1, 1, 1, 1 };
	web_write();
	for (unsigned int i = 0; i < scaled(20000); i++) {
		struct packet p;
		struct spec s;

		snprintf(src, sizeof(src), "203.0.%u.%u", i / 250 % 250, i % 250 + 1);
		s = syn_of(src);
		if (i % 2)
			s.flags = ACK;
		packet_build(&p, &s);
		run_bare(xdp_fd(), &p);
	}
	counters_check();
	CHECK_EQ(sources_used(), 0);
	CHECK_EQ(hits().bans, 0);
	CHECK_EQ(counter_of(SW_DROP_BANNED) + counter_of(SW_DROP_LIMIT_CONNS) +
			 counter_of(SW_DROP_LIMIT_RATE),
		 0);
}

static uint32_t sum_of_clients(bool half_closed)
{
	uint32_t slots, n = 0;
	struct sw_source *all = sources(&slots);

	for (uint32_t i = 0; i < slots; i++)
		if (all[i].tag && all[i].level == SW_LEVEL_NET)
			n += half_closed ? all[i].half_closed : all[i].conns;
	return n;
}

/* On a live wire: whoever ends a connection, and however, it is counted until then. */
TEST(counts_follow_connections_to_their_end, "J01 J03")
{
	need_reqsk();
	peer_prepare();
	web = (struct sw_service){ .port_first = 80, .port_last = 80, .mode = SW_MODE_ALWAYS };
	web.limit[SW_LEVEL_HOST].conns = 1000;
	web_write();
	for (enum opening how = 0; how < OPENINGS; how++) {
		for (int end = 0; end < 4; end++) {
			struct peer p;

			test_context("%s, end %d", opening_name(how), end);
			peer_open(&p, how);
			CHECK_EQ(sum_of_clients(false), 1);
			CHECK_EQ(sum_of_clients(true), 0);
			if (end == 0) {
				ABORT(&p);
			} else if (end == 1) {
				SAY(&p, RST, 0);
			} else if (end == 2) {
				SAY(&p, FIN, 0);
				CHECK_EQ(sum_of_clients(true), 1);
				ABORT(&p);
			} else {
				SHUTDOWN(&p);
				HEAR(&p, FIN, 0);
				SAY(&p, ACK, 0);
				CHECK_EQ(sum_of_clients(true), 1);
				SAY(&p, FIN, 0);
			}
			CHECK_EQ(sum_of_clients(false), 0);
			CHECK_EQ(sum_of_clients(true), 0);
		}
	}
}

/* In calm the host ends handshakes: none is refused then, but all are counted, and may ban. */
TEST(handshakes_that_the_host_ends_count, "J01 A13")
{
	struct peer p[3];
	uint32_t slots;
	struct sw_source *all = sources(&slots), *s;

	need_reqsk();
	peer_prepare();
	web = (struct sw_service){
		.port_first = 80, .port_last = 80, .mode = SW_MODE_ALWAYS, .over = SW_OVER_COUNT
	};
	web.limit[SW_LEVEL_HOST].conns = 1;
	web_write();
	for (int i = 0; i < 3; i++) {
		peer_begin(&p[i], OPEN_HOST4);
		peer_syn(&p[i], (uint32_t)test_random());
	}
	peer_finish(&p[0]);
	CHECK_EQ(hits().over[SW_LIMIT_CONNS], 0);
	peer_finish(&p[1]);
	CHECK_EQ(hits().over[SW_LIMIT_CONNS], 1);
	CHECK_EQ(hits().bans, 0);
	web.over = SW_OVER_BAN;
	web.ban_s = 100;
	web_write();
	peer_finish(&p[2]);
	CHECK_EQ(hits().over[SW_LIMIT_CONNS], 2);
	CHECK_EQ(hits().bans, 1);
	s = NULL;
	for (uint32_t i = 0; i < slots; i++)
		if (all[i].tag && all[i].level == SW_LEVEL_HOST)
			s = &all[i];
	REQUIRE(s);
	CHECK_EQ(s->conns, 3);
	CHECK(s->banned_until_s != 0);
	for (int i = 0; i < 3; i++)
		ABORT(&p[i]);
	CHECK_EQ(s->conns, 0);
	tap_detach();
}

/* What a client says again after its ACK was refused bans nobody a second time. */
TEST(refused_cookie_counts_once, "J01")
{
	struct handshake h[2];

	begin(SW_OVER_BAN);
	need_reqsk();
	web.limit[SW_LEVEL_HOST].conns = 1;
	web_write();
	syns_from("203.0.113.9", h, 2);
	CHECK_EQ(ack(&h[0]), SW_PASS_COOKIE);
	CHECK_EQ(ack(&h[1]), SW_DROP_LIMIT_CONNS);
	sleep_ms(1200);
	CHECK_EQ(ack(&h[1]), SW_PASS_COOKIE_USED); /* the host resets it */
	CHECK_EQ(hits().bans, 1);
	CHECK_EQ(hits().over[SW_LIMIT_CONNS], 1);
}

/* Those a source leaves half-closed, and those from which it takes nothing. */
TEST(half_closed_and_stalled_ones_are_limited, "J02 J03")
{
	uint32_t slots;
	struct sw_source *all = sources(&slots), *s;
	struct handshake h;
	struct spec more;

	begin(SW_OVER_DROP);
	web.limit[SW_LEVEL_HOST].half_closed = 3;
	web.limit[SW_LEVEL_HOST].stalled = 2;
	web_write();
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	s = &all[source("203.0.113.9", SW_LEVEL_HOST) - all];
	more = syn_of("203.0.113.9");
	handshake_syn(&h, &more);
	s->half_closed = 3;
	CHECK_EQ(ack(&h), SW_DROP_LIMIT_HALF_CLOSED);
	CHECK_EQ(syn("203.0.113.9"), SW_DROP_LIMIT_HALF_CLOSED);
	s->half_closed = 0;
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	s->stalled = 2;
	CHECK_EQ(syn("203.0.113.9"), SW_DROP_LIMIT_STALLED);
	s->stalled = 1;
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
}

/* A client that takes nothing, be it silent or with its window shut, is one after 6 s. */
TEST(walk_over_the_sockets_finds_stalled_ones, "J02")
{
	struct peer silent, shut, fine;
	uint32_t slots;
	struct sw_source *all = sources(&slots);

	need_reqsk();
	if (stride() > 1)
		test_skip("waits for the clock, and that is the same here as on real CPUs");
	peer_prepare();
	web = (struct sw_service){ .port_first = 80, .port_last = 80, .mode = SW_MODE_ALWAYS };
	web.limit[SW_LEVEL_HOST].stalled = 10;
	web_write();
	peer_open(&silent, OPEN_COOKIE4);
	peer_open(&shut, OPEN_COOKIE4);
	peer_open(&fine, OPEN_COOKIE4);
	shut.window = 0;
	SAY(&shut, PSH, 1);
	DRAIN(&shut, 0);
	MUST(send(silent.fd, "hello", 5, 0) - 5);
	MUST(send(shut.fd, "hello", 5, 0) - 5);
	for (int i = 0; i < 90; i++) {
		struct frame f;

		while (tap_hear(&f, 100))
			if (f.dport == shut.port && f.seq + 1 == shut.ack)
				STRAY(&shut, ACK, 0, 0, 0); /* answers each probe: still shut */
	}
	adopt_sockets();
	for (uint32_t i = 0; i < slots; i++)
		if (all[i].tag)
			CHECK_EQ(all[i].stalled_walk, 2);
	tap_detach();
}
