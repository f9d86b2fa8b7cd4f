/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Services, modes, budgets and caps; events. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

#include "handshake.h"
#include "rows.h"

static struct result run_spec(const struct spec *s)
{
	static struct packet p;

	packet_build(&p, s);
	return run_xdp(&p);
}

static void expect(const struct spec *s, int action, enum sw_reason reason, unsigned int service)
{
	struct result r = run_spec(s);

	CHECK_RESULT(&r, action, reason);
	CHECK_EQ(r.service, service);
}

TEST(longest_prefix_of_the_port_is_the_service, "A02")
{
	struct spec syn = { .flags = SYN, .seq = 9 };

	services_clear();
	listen_on(4, 80, 8);
	listen_on(6, 80, 8);
	service_write(1, NULL, 0, 80, 80, SW_MODE_MONITOR, 0);
	service_write(2, "192.0.2.0", 120, 80, 80, SW_MODE_ALWAYS, 0);
	service_write(3, "192.0.2.128", 121, 80, 80, SW_MODE_OFF, 0);
	service_write(4, "192.0.2.200", 128, 80, 80, SW_MODE_ALWAYS, 0);
	service_write(5, "2001:db8:1::", 48, 80, 80, SW_MODE_ALWAYS, 0);
	expect(&syn, XDP_TX, SW_TX_SYNACK, 2);
	syn.dst = "192.0.2.127";
	expect(&syn, XDP_TX, SW_TX_SYNACK, 2);
	syn.dst = "192.0.2.128";
	expect(&syn, XDP_PASS, SW_PASS_MODE_OFF, 3);
	syn.dst = "192.0.2.200";
	expect(&syn, XDP_TX, SW_TX_SYNACK, 4);
	syn.dst = "192.0.3.1";
	expect(&syn, XDP_PASS, SW_TX_SYNACK, 1);
	syn.dst = NULL;
	syn.family = 6;
	expect(&syn, XDP_TX, SW_TX_SYNACK, 5);
	syn.dst = "2001:db8:2::1";
	syn.src = SPOOFED6;
	expect(&syn, XDP_PASS, SW_TX_SYNACK, 1);
	syn.dport = 81;
	expect(&syn, XDP_PASS, SW_PASS_NOT_GUARDED, 0);
}

/* Everything there is to drop, with nothing configured, disarmed, or all off. */
static const struct spec hostile[] = {
	{ .flags = SYN },
	{ .flags = ACK },
	{ .flags = FIN },
	{ .flags = 0xff },
	{ .flags = SYN, .bad_tcp_csum = 1 },
	{ .flags = SYN, .lie_doff = LIE(2) },
	{ .flags = SYN, .src = "127.0.0.1" },
	{ .flags = SYN, .sport_zero = true },
	{ .flags = SYN, .ip_opt = "\x83\x07\x04\xc0\x00\x02\x05", .ip_opt_len = 7 },
	{ .flags = SYN, .frag = FRAG_MF },
	{ .proto = 6, .frag = 1, .payload = 16 },
	{ .proto = 6, .frag = FRAG_MF, .payload = 8, .data = "\x9c\x40\x00\x50\0\0\0\1" },
	{ .flags = SYN, .lie_tot_len = LIE(30) },
	{ .family = 6, .flags = SYN, .ext = { { 60, 8, 0, 99 } } },
	{ .family = 6, .proto = 6, .ext = { { 44, 8, 8, 0 } }, .payload = 16 },
	{ .family = 6, .flags = FIN, .ext = { { 60, 8, 0, 0 } } },
};

static void expect_nothing_dropped(const char *when)
{
	static struct packet p;

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		struct result r;

		test_context("%s, frame %zu", when, i);
		packet_build(&p, &hostile[i]);
		r = run_xdp(&p);
		CHECK_EQ(r.action, XDP_PASS);
		CHECK_BYTES(r.out, r.len, p.data, p.len);
		CHECK(verdict_name(r.reason)[0] == 'P');
		CHECK_EQ(r.would, 0);
	}
}

TEST(nothing_is_dropped_without_a_service_or_disarmed_or_off, "H02 L01")
{
	struct spec syn = { .flags = SYN };
	size_t dropped = 0;

	listen_on(4, 80, 8);
	listen_on(6, 80, 8);
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++)
		dropped += run_spec(&hostile[i]).action != XDP_PASS;
	CHECK_EQ(dropped, ARRAY_SIZE(hostile)); /* else the rest proves nothing */
	services_mode(SW_MODE_OFF);
	expect_nothing_dropped("all services off");
	services_mode(SW_MODE_ALWAYS);
	guard.settings.armed = SW_DISARMED;
	settings_write();
	expect_nothing_dropped("disarmed");
	expect(&syn, XDP_PASS, SW_PASS_DISARMED, SERVICE_WEB);
	guard.settings.armed = SW_ARMED;
	guard.settings.any_mode[0] = SW_MODE_OFF;
	settings_write();
	services_clear();
	expect_nothing_dropped("no service");
}

/* Whoever empties the maps of configuration, by hand or by mistake, lets everything by. */
TEST(emptied_maps_let_everything_by, "L13")
{
	listen_on(4, 80, 8);
	listen_on(6, 80, 8);
	map_zero("sw_settings");
	expect_nothing_dropped("no settings");
	guard.settings.any_mode[0] = SW_MODE_OFF; /* else fragments, which have no port, go by it */
	settings_write();
	map_zero("sw_services");
	expect_nothing_dropped("no services");
	map_zero("sw_ports");
	expect_nothing_dropped("no ports");
}

/* Detach: no new cookie goes out, those that are out come in. */
TEST(draining_guard_answers_no_syn_and_honours_its_cookies, "L03 A12")
{
	static struct handshake h;
	static struct packet ack;
	struct spec bogus = { .flags = ACK, .seq = 1, .ack = 1 };
	struct result r;

	listen_on(4, 80, 8);
	handshake_syn(&h, &(struct spec){ OPT(SYN_LINUX) });
	handshake_ack(&h, NULL, &ack);
	guard.settings.armed = SW_DRAINING;
	settings_write();
	r = run_xdp(&h.syn);
	CHECK_PASSED(&r, &h.syn, SW_PASS_DISARMED);
	r = run_xdp(&ack);
	CHECK_PASSED(&r, &ack, SW_PASS_COOKIE);
	expect(&bogus, XDP_DROP, SW_DROP_COOKIE, SERVICE_WEB);
}

/* Headerless fragments show no port: the address decides, by its strictest service. */
TEST(fragment_without_port_is_weighed_by_its_address, "H06 H07 H08")
{
	struct spec over4 = { .proto = 6, .frag = 1, .payload = 16 };
	struct spec over6 = { .family = 6, .proto = 6, .ext = { { 44, 8, 8, 0 } }, .payload = 16 };
	struct spec chain = { .family = 6, .flags = SYN, .ext = { { 60, 8, 0, 99 } } };

	services_clear();
	guard.settings.any_mode[0] = SW_MODE_OFF;
	settings_write();
	service_write(SERVICE_TLS4, SERVER4, 128, 443, 443, SW_MODE_ALWAYS, 0);
	service_write(SERVICE_TLS6, SERVER6, 128, 443, 443, SW_MODE_ALWAYS, 0);
	CHECK_EQ(run_spec(&over4).action, XDP_DROP);
	CHECK_EQ(run_spec(&over6).action, XDP_DROP);
	CHECK_EQ(run_spec(&chain).reason, SW_DROP_IPV6_CHAIN);
	over4.dst = "192.0.2.2";
	over6.dst = chain.dst = "2001:db8:1::2";
	CHECK_EQ(run_spec(&over4).reason, SW_PASS_FRAGMENT);
	CHECK_EQ(run_spec(&over6).reason, SW_PASS_FRAGMENT);
	CHECK_EQ(run_spec(&chain).reason, SW_PASS_IP_MALFORMED);
	guard.settings.any_mode[0] = SW_MODE_MONITOR;
	settings_write();
	struct result r = run_spec(&over4);
	CHECK_RESULT(&r, XDP_PASS, SW_DROP_FRAGMENT);
	CHECK_EQ(r.would, 1);
}

/* 5 SYNs a second for the host, the rest gets cookies; bad ones take nothing of it. */
TEST(host_syns_budget_lets_that_many_to_the_host, "D03 A12")
{
	struct spec syn = { .flags = SYN, .dport = 81, .seq = 3 };
	struct spec bad = { .flags = SYN, .dport = 81, .bad_tcp_csum = 1 };

	listen_on(4, 81, 8);
	service_write(SERVICE_HOST_SYNS, NULL, 0, 81, 81, SW_MODE_ALWAYS, 5);
	budget_settle();
	for (int i = 0; i < 20; i++)
		expect(&bad, XDP_DROP, SW_DROP_TCP_CSUM, SERVICE_HOST_SYNS);
	for (int i = 0; i < 5; i++)
		expect(&syn, XDP_PASS, SW_PASS_HOST_SYN, SERVICE_HOST_SYNS);
	for (int i = 0; i < 5; i++)
		expect(&syn, XDP_TX, SW_TX_SYNACK, SERVICE_HOST_SYNS);
	sleep_ms(1100);
	expect(&syn, XDP_PASS, SW_PASS_HOST_SYN, SERVICE_HOST_SYNS);
}

TEST(tiny_mss_goes_to_the_host_on_a_budget_only, "A08 J05")
{
	struct spec syn = { .flags = SYN, OPT("\x02\x04\x00\x30") };
	static struct packet p;
	struct frame f;
	struct result r;

	listen_on(4, 80, 8);
	host_scale(4);
	budget_settle();
	for (int i = 0; i < 64; i++)
		expect(&syn, XDP_PASS, SW_PASS_TINY_MSS, SERVICE_WEB);
	packet_build(&p, &syn);
	r = run_xdp(&p);
	CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
	synack_check(&p, &r, &f);
	if (guard.engine == SW_ENGINE_REQSK)
		CHECK_EQ(f.seq >> 5 & 7, 0); /* remembered as the smallest */
}

TEST(syns_to_a_closed_port_reach_the_host_on_a_budget_only, "A02")
{
	struct spec syn = { .flags = SYN };

	static struct packet p;

	packet_build(&p, &syn);
	budget_settle();
	for (int i = 0; i < 12000; i++)
		run_bare(xdp_fd(), &p);
	/* a second may end meanwhile and begin a new budget */
	CHECK(counter_of(SW_PASS_NO_LISTENER) >= 10000);
	CHECK_EQ(counter_of(SW_PASS_NO_LISTENER) + counter_of(SW_DROP_CLOSED_PORT), 12000);
	CHECK(counter_of(SW_DROP_CLOSED_PORT) >= 1);
}

/* A signature costs its forger nothing: beyond the budget it is a SYN like any other. */
TEST(signed_syns_go_to_the_host_on_a_budget_only, "A03 C09")
{
	struct spec syn = { .flags = SYN, OPT("\x1d\x04\x01\x02") };
	struct spec broken = { .flags = SYN, OPT("\x13\x02\x00\x00") };

	listen_on(4, 80, 8);
	host_scale(4);
	budget_settle();
	for (int i = 0; i < 64; i++)
		expect(&syn, XDP_PASS, SW_PASS_SIGNED, SERVICE_WEB);
	expect(&syn, XDP_TX, SW_TX_SYNACK, SERVICE_WEB);
	budget_settle();
	expect(&broken, XDP_TX, SW_TX_SYNACK, SERVICE_WEB);
}

TEST(synack_cap_holds_for_a_whole_source_prefix, "I01")
{
	static const char *const inside4[] = { "203.0.113.1", "203.0.113.77", "203.0.113.255" };
	static const char *const inside6[] = { "2001:db8:7::1", "2001:db8:7:ffff::2",
					       "2001:db8:7:1:2:3:4:5" };
	struct spec syn = { .flags = SYN };

	listen_on(4, 80, 8);
	listen_on(6, 80, 8);
	guard.settings.synack_cap_pps = 10;
	settings_write();
	budget_settle();
	for (int i = 0; i < 30; i++) {
		syn.family = 4;
		syn.src = inside4[i % 3];
		expect(&syn, i < 10 ? XDP_TX : XDP_DROP, i < 10 ? SW_TX_SYNACK : SW_DROP_SYNACK_CAP,
		       SERVICE_WEB);
		syn.family = 6;
		syn.src = inside6[i % 3];
		expect(&syn, i < 10 ? XDP_TX : XDP_DROP, i < 10 ? SW_TX_SYNACK : SW_DROP_SYNACK_CAP,
		       SERVICE_WEB);
	}
	syn.src = "2001:db8:8::1";
	expect(&syn, XDP_TX, SW_TX_SYNACK, SERVICE_WEB);
	syn.family = 4;
	syn.src = "203.0.114.1";
	expect(&syn, XDP_TX, SW_TX_SYNACK, SERVICE_WEB);
	sleep_ms(1100);
	syn.src = inside4[0];
	expect(&syn, XDP_TX, SW_TX_SYNACK, SERVICE_WEB);
}

/* So many SYN-ACKs a second and CPU, whoever asks; the count is exact, and monitor's the same. */
TEST(synack_total_is_a_cap_on_all_of_them, "I01")
{
	static const enum sw_mode modes[] = { SW_MODE_ALWAYS, SW_MODE_MONITOR };
	struct spec syn = { .flags = SYN };
	char src[32];

	listen_on(4, 80, 8);
	listen_on(6, 80, 8);
	guard.settings.synack_total_pps = 20;
	settings_write();
	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		bool enforced = modes[m] == SW_MODE_ALWAYS;
		unsigned int sent = 0;

		services_mode(modes[m]);
		budget_settle();
		for (int i = 0; i < 50; i++) {
			struct result r;

			snprintf(src, sizeof(src), i % 2 ? "203.0.%d.7" : "2001:db8:%x::7", i);
			r = run_spec(&(struct spec){
				.family = i % 2 ? 4 : 6, .flags = SYN, .src = src });
			sent += r.reason == SW_TX_SYNACK;
			CHECK_EQ(r.reason, i < 20 ? SW_TX_SYNACK : SW_DROP_SYNACK_TOTAL);
			CHECK_EQ(r.action, !enforced ? XDP_PASS : i < 20 ? XDP_TX : XDP_DROP);
		}
		CHECK_EQ(sent, 20);
	}
	CHECK_EQ(counter_of(SW_DROP_SYNACK_TOTAL), 60);
	CHECK_EQ(counter_of(SW_TX_SYNACK), 40);
	sleep_ms(1100);
	services_mode(SW_MODE_ALWAYS);
	expect(&syn, XDP_TX, SW_TX_SYNACK, SERVICE_WEB);
	guard.settings.synack_total_pps = 0;
	settings_write();
	for (int i = 0; i < 100; i++)
		expect(&syn, XDP_TX, SW_TX_SYNACK, SERVICE_WEB);
}

/* What the host's sysctls forbid is neither offered nor remembered. */
TEST(options_the_host_forbids_are_not_offered, "C03")
{
	static const struct {
		const char *path;
		bool ts, sack, ws, ecn;
	} cases[] = {
		{ "net/ipv4/tcp_timestamps", false, true, true, true },
		{ "net/ipv4/tcp_sack", true, false, true, true },
		{ "net/ipv4/tcp_window_scaling", true, true, false, true },
		{ "net/ipv4/tcp_ecn", true, true, true, false },
	};
	static struct packet p;

	need_reqsk();
	listen_on(4, 80, 8);
	packet_build(&p, &(struct spec){ .flags = SYN | ECE | CWR, OPT(SYN_LINUX) });
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		long saved = sysctl_read(cases[i].path, 0);
		char text[16];
		struct result r;
		struct frame f;

		test_context("%s = 0", cases[i].path);
		sysctl_write(cases[i].path, "0");
		let_caches_expire();
		r = run_xdp(&p);
		CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
		CHECK(frame_read(&f, r.out, r.len) == NULL);
		CHECK_EQ(f.opt.ts, cases[i].ts);
		CHECK_EQ(f.opt.sack, cases[i].sack);
		CHECK_EQ(f.opt.ws >= 0, cases[i].ws);
		CHECK_EQ(!!(f.flags & ECE), cases[i].ecn);
		snprintf(text, sizeof(text), "%ld", saved);
		sysctl_write(cases[i].path, text);
	}
}

static struct sw_event last_event;
static unsigned int n_events;

static int take_event(void *ctx, void *data, size_t size)
{
	(void)ctx;
	CHECK_EQ(size, sizeof(last_event));
	memcpy(&last_event, data, sizeof(last_event));
	n_events++;
	return 0;
}

TEST(event_tells_the_packet_and_comes_at_its_pace, "N06")
{
	struct ring_buffer *ring = ring_buffer__new(map_fd("sw_events"), take_event, NULL, NULL);
	struct spec bad = {
		.flags = FIN | PSH | ECE, .seq = 0x01020304, .ack = 0x05060708, .sport = 5555
	};
	struct sw_event *e = &last_event;

	REQUIRE(ring);
	guard.settings.event_gap_ms = 400;
	settings_write();
	ring_buffer__consume(ring); /* of tests before: the buffer is shared */
	n_events = 0;
	for (int i = 0; i < 5; i++)
		expect(&bad, XDP_DROP, SW_DROP_FLAGS, SERVICE_WEB);
	ring_buffer__consume(ring);
	CHECK_EQ(n_events, 1);
	CHECK_EQ(e->reason, SW_DROP_FLAGS);
	CHECK_EQ(e->service, SERVICE_WEB);
	CHECK_EQ(e->packets, 1);
	CHECK_EQ(e->seq, 0x01020304);
	CHECK_EQ(e->ack, 0x05060708);
	CHECK_EQ(e->tcp_flags, FIN | PSH | ECE);
	CHECK_EQ(e->family, 4);
	CHECK_EQ(e->would, 0);
	CHECK_EQ(e->hook, SW_HOOK_XDP);
	CHECK_EQ(e->ifindex, LO_IFINDEX);
	CHECK(e->time_ns <= now_ns() && now_ns() - e->time_ns < 5000000000ULL);
	CHECK_BYTES((uint8_t *)&e->saddr[3], 4, "\xc6\x33\x64\x07", 4);
	CHECK_BYTES((uint8_t *)&e->daddr[3], 4, "\xc0\x00\x02\x01", 4);
	CHECK_BYTES((uint8_t *)&e->sport, 4, "\x15\xb3\x00\x50", 4);
	sleep_ms(450);
	services_mode(SW_MODE_MONITOR);
	expect(&bad, XDP_PASS, SW_DROP_FLAGS, SERVICE_WEB);
	ring_buffer__consume(ring);
	CHECK_EQ(n_events, 2);
	CHECK_EQ(e->packets, 5);
	CHECK_EQ(e->would, 1);
	guard.settings.event_gap_ms = 0;
	settings_write();
	expect(&bad, XDP_PASS, SW_DROP_FLAGS, SERVICE_WEB);
	ring_buffer__consume(ring);
	CHECK_EQ(n_events, 2);
	ring_buffer__free(ring);
}
