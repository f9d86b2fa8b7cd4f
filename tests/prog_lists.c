/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of sources: whom they refuse and when. Written as the contract says, without user/; that user space writes them so is netns_policy.sh's.
 */
#include <bpf/bpf.h>
#include <string.h>

#include "fixture_lists.h"
#include "handshake.h"
#include "peer.h"
#include "rows.h"

static void deny(const char *prefix)
{
	list(SW_LIST_DENY, 0, prefix);
}

static void begin(void)
{
	for (int port = 80; port <= 443; port += 363) {
		listen_on(4, (uint16_t)port, 64);
		listen_on(6, (uint16_t)port, 64);
	}
}

static struct result syn_from(const char *src, uint16_t dport)
{
	static struct packet p;
	struct spec s = { .flags = SYN, .src = src, .dport = dport };

	s.family = strchr(src, ':') ? 6 : 4;
	packet_build(&p, &s);
	return run_xdp(&p);
}

static void refused(const char *src)
{
	struct result r = syn_from(src, 80);

	test_context("%s", src);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_DENIED);
	CHECK_EQ(r.service, SERVICE_WEB);
}

static void answered(const char *src)
{
	struct result r = syn_from(src, 80);

	test_context("%s", src);
	CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
}

TEST(denied_source_gets_no_answer, "P01")
{
	begin();
	answered("203.0.113.7");
	deny("203.0.113.7");
	deny("2001:db8:9::7");
	refused("203.0.113.7");
	refused("2001:db8:9::7");
	answered("203.0.113.6");
	answered("203.0.113.8");
	answered("2001:db8:9::6");
	answered("2001:db8:9::8");
	lists_clear();
	answered("203.0.113.7");
	answered("2001:db8:9::7");
}

TEST(prefix_of_any_length_holds_what_is_in_it_and_nothing_else, "P01")
{
	/* the prefix; first, last in it; just before, just behind */
	static const char *const cases[][5] = {
		{ "203.0.113.0/24", "203.0.113.0", "203.0.113.255", "203.0.112.255",
		  "203.0.114.0" },
		{ "203.0.112.0/23", "203.0.112.0", "203.0.113.255", "203.0.111.9", "203.0.114.0" },
		{ "203.0.113.64/31", "203.0.113.64", "203.0.113.65", "203.0.113.63",
		  "203.0.113.66" },
		{ "128.0.0.0/1", "128.0.0.1", "203.0.113.1", "126.0.0.1", "2001:db8::1" },
		{ "0.0.0.0/0", "1.2.3.4", "203.0.113.1", "2001:db8::1", "fd00::1" },
		{ "2001:db8::/32", "2001:db8::", "2001:db8:ffff::1", "2001:db7::1", "2001:db9::" },
		{ "2001:db8:0:8000::/49", "2001:db8:0:8000::1", "2001:db8:0:ffff::1",
		  "2001:db8:0:7fff::1", "2001:db8:3::1" },
		{ "2001:db8::4/127", "2001:db8::4", "2001:db8::5", "2001:db8::3", "2001:db8::6" },
		{ "8000::/1", "8000::1", "fd00::1", "2001:db8::1", "203.0.113.1" },
		{ "any", "203.0.113.1", "2001:db8::1", NULL, NULL },
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lists_clear();
		deny(cases[i][0]);
		for (size_t k = 1; k < 5 && cases[i][k]; k++)
			(k < 3 ? refused : answered)(cases[i][k]);
	}
}

/* So whoever writes gives an entry the end of what covers it: user/lists.c, unit_lists.c. */
TEST(longest_prefix_alone_counts, "P05")
{
	uint32_t now = sw_seconds(now_ns());

	begin();
	deny("203.0.113.0/24");
	list_timed(SW_LIST_DENY, 0, "203.0.113.64/26", now - 1);
	list_timed(SW_LIST_DENY, 0, "203.0.113.65", now + 100);
	refused("203.0.113.1");
	answered("203.0.113.64");
	refused("203.0.113.65");
	refused("203.0.113.128");
}

/* Every way three lists can hold a source: not, for all services, for its own, for both. */
TEST(allow_and_fail_safe_win_whatever_the_scope, "P02")
{
	static const char *const source[] = { "203.0.113.7", "2001:db8:9::7" };

	begin();
	for (unsigned int n = 0; n < 4 * 4 * 4; n++) {
		bool held[SW_LIST_MAX];

		lists_clear();
		for (unsigned int l = 0, rest = n; l < SW_LIST_MAX; l++, rest /= 4) {
			held[l] = rest % 4;
			for (unsigned int f = 0; f < 2; f++) {
				if (rest & 1)
					list((enum sw_list)l, 0, source[f]);
				if (rest & 2)
					list((enum sw_list)l, SERVICE_WEB, source[f]);
			}
		}
		for (unsigned int f = 0; f < 2; f++) {
			struct result r = syn_from(source[f], 80);

			test_context("lists %u, %s", n, source[f]);
			if (held[SW_LIST_DENY] && !held[SW_LIST_ALLOW] && !held[SW_LIST_FAIL_SAFE])
				CHECK_RESULT(&r, XDP_DROP, SW_DROP_DENIED);
			else
				CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
		}
	}
}

/* A narrow entry of the weaker list against a wide one of the stronger, and the other way. */
TEST(allow_wins_by_its_list_not_by_its_length, "P02")
{
	begin();
	deny("203.0.113.7");
	list(SW_LIST_ALLOW, 0, "203.0.0.0/16");
	answered("203.0.113.7");
	lists_clear();
	deny("any");
	list(SW_LIST_FAIL_SAFE, 0, "203.0.113.7");
	answered("203.0.113.7");
	refused("203.0.113.8");
	refused("2001:db8::1");
}

TEST(fail_safe_port_is_never_denied, "P02")
{
	uint32_t port = 80;
	struct sw_port word;
	struct result r;

	begin();
	deny("any");
	refused("203.0.113.7");
	MUST(bpf_map_lookup_elem(map_fd("sw_ports"), &port, &word));
	word.any_service |= SW_PORT_FAIL_SAFE;
	MUST(bpf_map_update_elem(map_fd("sw_ports"), &port, &word, BPF_ANY));
	r = syn_from("203.0.113.7", 80);
	CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
	CHECK_EQ(r.service, SERVICE_WEB);
	answered("2001:db8:9::7");
	r = syn_from("203.0.113.7", 443);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_DENIED);
	/* a port that only a prefixed service has, and one that none has */
	port = 443;
	MUST(bpf_map_lookup_elem(map_fd("sw_ports"), &port, &word));
	word.any_service |= SW_PORT_FAIL_SAFE;
	MUST(bpf_map_update_elem(map_fd("sw_ports"), &port, &word, BPF_ANY));
	r = syn_from("203.0.113.7", 443);
	CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
	CHECK_EQ(r.service, SERVICE_TLS4);
	port = 82;
	word = (struct sw_port){ .any_service = SW_PORT_FAIL_SAFE };
	MUST(bpf_map_update_elem(map_fd("sw_ports"), &port, &word, BPF_ANY));
	r = syn_from("203.0.113.7", 82);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_NOT_GUARDED);
}

TEST(entry_for_one_service_leaves_the_others_alone, "P01")
{
	struct result r;

	begin();
	list(SW_LIST_DENY, SERVICE_TLS4, "203.0.113.0/24");
	answered("203.0.113.7");
	r = syn_from("203.0.113.7", 443);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_DENIED);
	CHECK_EQ(r.service, SERVICE_TLS4);
	r = syn_from("2001:db8:9::7", 443);
	CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
	lists_clear();
	deny("203.0.113.0/24");
	list(SW_LIST_ALLOW, SERVICE_TLS4, "203.0.113.7");
	refused("203.0.113.7");
	r = syn_from("203.0.113.7", 443);
	CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
}

TEST(entry_ends_with_its_time, "P05")
{
	uint32_t now = sw_seconds(now_ns());

	begin();
	list_timed(SW_LIST_DENY, 0, "203.0.113.1", now - 1);
	list_timed(SW_LIST_DENY, 0, "203.0.113.2", now);
	list_timed(SW_LIST_DENY, 0, "203.0.113.3", now + 2);
	list_timed(SW_LIST_DENY, 0, "203.0.113.4", now + 315360000); /* ten years */
	list_timed(SW_LIST_DENY, 0, "2001:db8:9::3", now + 2);
	deny("203.0.113.5");
	list_timed(SW_LIST_ALLOW, 0, "203.0.113.5", now + 2);
	answered("203.0.113.1");
	answered("203.0.113.2");
	refused("203.0.113.3");
	refused("203.0.113.4");
	answered("203.0.113.5");
	refused("2001:db8:9::3");
	sleep_ms(2100);
	answered("203.0.113.3");
	refused("203.0.113.4");
	refused("203.0.113.5");
	answered("2001:db8:9::3");
}

TEST(monitor_counts_whom_it_would_deny, "P01 N06")
{
	struct result r;

	services_mode(SW_MODE_MONITOR);
	begin();
	deny("203.0.113.0/24");
	r = syn_from("203.0.113.7", 80);
	CHECK_RESULT(&r, XDP_PASS, SW_DROP_DENIED);
	CHECK_EQ(r.would, 1);
	r = syn_from("203.0.114.7", 80);
	CHECK_RESULT(&r, XDP_PASS, SW_TX_SYNACK);
	CHECK_EQ(list_hits(SW_LIST_DENY, 4), 1);
	services_mode(SW_MODE_OFF);
	list_bits(SERVICE_WEB, 0);
	r = syn_from("203.0.113.7", 80);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_MODE_OFF);
	CHECK_EQ(list_hits(SW_LIST_DENY, 4), 1);
}

/* Not armed, a service in mode auto lets SYNs pass, but not of these. */
TEST(deny_counts_in_mode_auto_too, "P01")
{
	struct result r;

	services_mode(SW_MODE_AUTO);
	begin();
	deny("203.0.113.0/24");
	refused("203.0.113.7");
	r = syn_from("203.0.114.7", 80);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_CALM);
}

TEST(cookie_that_is_out_is_refused_to_the_denied, "P03")
{
	static struct packet ack;
	static struct handshake h;
	struct result r;

	begin();
	for (uint8_t family = 4; family <= 6; family += 2) {
		lists_clear();
		handshake_syn(&h, &(struct spec){ .family = family, OPT(SYN_LINUX) });
		handshake_ack(&h, NULL, &ack);
		deny(family == 4 ? CLIENT4 : CLIENT6);
		r = run_xdp(&ack);
		CHECK_RESULT(&r, XDP_DROP, SW_DROP_DENIED);
		CHECK_EQ(conn_state(family, CLIENT_PORT, 80), SW_FREE);
		list(SW_LIST_ALLOW, SERVICE_WEB, family == 4 ? CLIENT4 : CLIENT6);
		handshake_syn(&h, &(struct spec){ .family = family, OPT(SYN_LINUX) });
		handshake_ack(&h, NULL, &ack);
		r = run_xdp(&ack);
		CHECK_RESULT(&r, XDP_PASS, SW_PASS_COOKIE);
	}
}

/* What is no handshake of theirs is judged as anyone's: nothing is told by a list. */
TEST(stray_segments_of_the_denied_are_judged_as_before, "P03")
{
	static const struct {
		struct spec s;
		enum sw_reason reason;
	} cases[] = {
		{ { .flags = ACK, .seq = 1, .ack = 1 }, SW_DROP_COOKIE },
		{ { .flags = RST, .seq = 1 }, SW_DROP_RST },
		{ { .flags = SYN | ACK, .seq = 1, .ack = 1 }, SW_DROP_SYNACK },
		{ { .flags = 0 }, SW_DROP_FLAGS },
		{ { .flags = SYN, .dport = 99 }, SW_PASS_NOT_GUARDED },
	};
	static struct packet p;

	begin();
	deny("any");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct result r;

		packet_build(&p, &cases[i].s);
		r = run_xdp(&p);
		test_context("row %zu", i);
		CHECK_EQ(r.reason, cases[i].reason);
	}
	CHECK_EQ(list_hits(SW_LIST_DENY, 4), 0);
}

static void goes_on(struct peer *p)
{
	static struct packet syn;
	struct result r;

	deny("any");
	SAY(p, PSH, 300);
	HEAR(p, ACK, 0);
	CHECK_EQ(peer_read(p), 300);
	SEND(p, 500);
	HEAR(p, ACK, 500);
	SAY(p, ACK, 0);
	ARE(p, SW_ESTABLISHED);
	counters_moved();
	packet_build(&syn, &(struct spec){ .family = p->family, .flags = SYN, .sport = 9 });
	r = run_xdp(&syn);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_DENIED);
	SAY(p, FIN, 0);
	HEAR(p, ACK, 0);
	CLOSE(p);
	HEAR(p, FIN, 0);
	SAY(p, ACK, 0);
	ARE(p, SW_CLOSED);
	lists_clear();
}

TEST(connection_that_is_there_goes_on_when_denied, "P03")
{
	static const enum sw_reason allowed[] = { SW_DROP_DENIED, 0 };

	lists_clear();
	peer_each(goes_on);
	peer_unharmed(allowed);
	CHECK_EQ(counter_of(SW_DROP_DENIED), OPENINGS);
}

TEST(list_without_its_bit_is_not_looked_at, "P01")
{
	begin();
	deny("any");
	list(SW_LIST_DENY, SERVICE_WEB, "any");
	list_bits(0, 0);
	list_bits(SERVICE_WEB, 0);
	answered("203.0.113.7");
	CHECK_EQ(list_hits(SW_LIST_DENY, 4), 0);
	/* a bit without entries refuses nobody */
	lists_clear();
	list_bits(0, 7);
	list_bits(SERVICE_WEB, 7);
	answered("203.0.113.7");
	for (unsigned int l = 0; l < SW_LIST_MAX; l++)
		CHECK_EQ(list_hits((enum sw_list)l, 4), 0);
}

TEST(half_that_is_not_in_use_refuses_nobody, "P01 L03")
{
	struct result r;

	begin();
	guard.settings.gen = SW_GEN_LISTS;
	settings_write();
	deny("203.0.113.7"); /* in the second half */
	refused("203.0.113.7");
	guard.settings.gen = 0;
	settings_write();
	answered("203.0.113.7");
	list_bits(0, 1U << SW_LIST_DENY);
	answered("203.0.113.7");
	deny("203.0.113.8");
	refused("203.0.113.8");
	guard.settings.gen = SW_GEN_LISTS;
	settings_write();
	refused("203.0.113.7");
	r = syn_from("203.0.113.8", 80);
	CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
	guard.settings.gen = 0;
}

/* Sources found in a list, by family; a list that need not be looked at counts nothing. */
TEST(hits_are_counted_by_list_and_family, "P01 N06")
{
	begin();
	deny("203.0.113.0/24");
	list(SW_LIST_DENY, SERVICE_WEB, "203.0.113.0/24");
	deny("2001:db8:9::/48");
	list(SW_LIST_ALLOW, 0, "203.0.113.8");
	list(SW_LIST_FAIL_SAFE, 0, "203.0.113.9");
	for (int i = 0; i < 3; i++) {
		refused("203.0.113.7");
		answered("203.0.113.8");
		answered("203.0.113.9");
		answered("203.0.114.9");
		refused("2001:db8:9::7");
		refused("2001:db8:9::8");
	}
	CHECK_EQ(list_hits(SW_LIST_DENY, 4), 9);
	CHECK_EQ(list_hits(SW_LIST_DENY, 6), 6);
	CHECK_EQ(list_hits(SW_LIST_ALLOW, 4), 3);
	CHECK_EQ(list_hits(SW_LIST_ALLOW, 6), 0);
	CHECK_EQ(list_hits(SW_LIST_FAIL_SAFE, 4), 3);
	CHECK_EQ(list_hits(SW_LIST_FAIL_SAFE, 6), 0);
}
