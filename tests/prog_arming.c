/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mode auto: which marks arm a service, what a SYN meets before, while and after, and what is
 * remembered of an attack. Marks are of windows of 134 ms, so a burst is sent at the beginning
 * of one.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>
#include <unistd.h>

#include "handshake.h"
#include "peer.h"

#define WINDOW_NS (1ULL << SW_ARM_SHIFT)
#define WINDOW_MS (WINDOW_NS / 1000000 + 1)

static struct sw_service web = {
	.port_first = 80, .port_last = 80, .mode = SW_MODE_AUTO, .hold_s = 1
};

static void web_write(void)
{
	service_put(SERVICE_WEB, &web);
}

static volatile struct sw_arming *arming(unsigned int service)
{
	static struct sw_arming *all;
	uint32_t entries;

	if (!all)
		all = map_memory("sw_arming", sizeof(*all), &entries);
	REQUIRE(all);
	return &all[service];
}

static uint32_t finished(void)
{
	volatile struct sw_arming *a = arming(SERVICE_WEB);

	return a->finished + a->finished_sum + a->finished_last;
}

static struct sw_attack attack(unsigned int n)
{
	struct sw_attack t;
	uint32_t key = n % SW_ATTACKS;

	MUST(bpf_map_lookup_elem(map_fd("sw_attacks"), &key, &t));
	return t;
}

static void window_begins(void)
{
	uint64_t ns = now_ns();

	usleep((useconds_t)((WINDOW_NS - ns % WINDOW_NS) / 1000 + 1000));
}

/* SYNs of new tuples, from a source and port of their own each. */
static void syns(unsigned int n)
{
	static uint32_t next;
	struct packet p;
	char src[32];

	for (unsigned int i = 0; i < n; i++, next++) {
		struct spec s = { .family = 4, .flags = SYN, .src = src };

		snprintf(src, sizeof(src), "203.0.%u.%u", next / 250 % 250, next % 250 + 1);
		s.sport = (uint16_t)(1024 + next % 60000);
		packet_build(&p, &s);
		run_bare(xdp_fd(), &p);
	}
	counters_check();
}

static enum sw_reason one_syn(void)
{
	static uint16_t port = 40000;
	struct packet p;
	struct result r;

	packet_build(&p, &(struct spec){ .family = 4, .flags = SYN, .sport = port++ });
	r = run_xdp(&p);
	return r.reason;
}

/* A mark of 1,000 a second is 134 in a window; CPUs tell of 16 at once. */
#define MARK    1000
#define AT_MARK (unsigned int)(MARK * WINDOW_NS / 1000000000 + 17)

static void begin(void)
{
	listen_on(4, 80, 8);
	web.mode = SW_MODE_AUTO;
	web.hold_s = 1;
	memset(&web.upper, 0, sizeof(web.upper));
	memset(&web.lower, 0, sizeof(web.lower));
	web_write();
	window_begins();
}

/* Emulated CPUs have better to do. */
static void begin_waiting(void)
{
	if (stride() > 1)
		test_skip("waits for the clock, and that is the same here as on real CPUs");
	begin();
}

TEST(auto_answers_only_while_armed, "A12")
{
	uint64_t start;

	begin();
	web.upper.syns_pps = MARK;
	web.lower.syns_pps = MARK / 2;
	web_write();
	CHECK_EQ(one_syn(), SW_PASS_CALM);
	syns(AT_MARK - 20);
	CHECK_EQ(one_syn(), SW_PASS_CALM);
	CHECK_EQ(counter_of(SW_TX_SYNACK), 0);
	window_begins();
	start = now_ns();
	syns(AT_MARK);
	if (now_ns() / WINDOW_NS != start / WINDOW_NS)
		test_note("slow: the burst took more than a window");
	CHECK_EQ(one_syn(), SW_TX_SYNACK);
	CHECK_EQ(arming(SERVICE_WEB)->armed, 1);
	sleep_ms(500);
	CHECK_EQ(one_syn(), SW_TX_SYNACK); /* calm, but not for long enough */
	sleep_ms(1500);
	one_syn(); /* begins a window: weighs those before */
	CHECK_EQ(one_syn(), SW_PASS_CALM);
	CHECK_EQ(arming(SERVICE_WEB)->armed, 0);
}

/* It stays armed as long as the lower mark is reached, though the upper is not. */
TEST(lower_mark_keeps_it_armed, "A12")
{
	begin_waiting();
	web.upper.syns_pps = MARK;
	web.lower.syns_pps = MARK / 10;
	web_write();
	syns(2 * AT_MARK);
	CHECK_EQ(one_syn(), SW_TX_SYNACK);
	for (int i = 0; i < 16; i++) { /* 2.1 s with some 300 a second */
		window_begins();
		syns(40);
	}
	CHECK_EQ(one_syn(), SW_TX_SYNACK);
	CHECK_EQ(arming(SERVICE_WEB)->attacks, arming(0)->attacks);
	CHECK_EQ(attack(arming(SERVICE_WEB)->attack).end_ns, 0);
	for (int i = 0; i < 20; i++) { /* 2.7 s with some 37 */
		window_begins();
		syns(5);
	}
	CHECK_EQ(one_syn(), SW_PASS_CALM);
	CHECK(attack(arming(SERVICE_WEB)->attack).end_ns != 0);
}

TEST(half_open_connections_arm, "A12")
{
	struct sw_gauge *gauges;
	uint32_t entries;

	begin_waiting();
	gauges = map_memory("sw_gauges", sizeof(*gauges), &entries);
	web.upper.half_open = 100;
	web.lower.half_open = 50;
	web_write();
	gauges[SERVICE_WEB].conns[SW_SYN_RECEIVED] = 99;
	one_syn();
	CHECK_EQ(one_syn(), SW_PASS_CALM);
	gauges[SERVICE_WEB].conns[SW_SYN_RECEIVED] = 100;
	window_begins();
	CHECK_EQ(one_syn(), SW_TX_SYNACK);
	CHECK_EQ(attack(arming(SERVICE_WEB)->attack).cause, SW_ARM_HALF_OPEN);
	CHECK_EQ(attack(arming(SERVICE_WEB)->attack).peak_half_open, 100);
	gauges[SERVICE_WEB].conns[SW_SYN_RECEIVED] = 51;
	sleep_ms(1500);
	CHECK_EQ(one_syn(), SW_TX_SYNACK);
	gauges[SERVICE_WEB].conns[SW_SYN_RECEIVED] = 0;
	sleep_ms(1500);
	CHECK_EQ(one_syn(), SW_PASS_CALM);
}

/* Handshakes that end do not count against it; a few that do not are no share. */
TEST(unfinished_handshakes_arm, "A12")
{
	begin_waiting();
	web.upper.unfinished = 60;
	web.lower.unfinished = 30;
	web_write();
	for (int i = 0; i < 10; i++) {
		window_begins();
		syns(64);
		arming(SERVICE_WEB)->finished += 32;
	}
	window_begins();
	CHECK_EQ(one_syn(), SW_PASS_CALM);
	sleep_ms(2 * SW_ARM_SPAN * WINDOW_MS);
	for (int i = 0; i < 3; i++) { /* 90 in half a second: less than SW_ARM_LEAST */
		window_begins();
		syns(30);
	}
	window_begins();
	CHECK_EQ(one_syn(), SW_PASS_CALM);
	for (int i = 0; i < 17; i++) {
		window_begins();
		syns(64);
		arming(SERVICE_WEB)->finished += 10;
	}
	window_begins();
	CHECK_EQ(one_syn(), SW_TX_SYNACK);
	CHECK_EQ(attack(arming(SERVICE_WEB)->attack).cause, SW_ARM_UNFINISHED);
	CHECK(attack(arming(SERVICE_WEB)->attack).peak_unfinished >= 60);
}

/* Marks of 0 are none, and other services are not armed with it. */
TEST(without_marks_nothing_arms, "A12")
{
	begin();
	syns(2000);
	CHECK_EQ(one_syn(), SW_PASS_CALM);
	CHECK_EQ(arming(SERVICE_WEB)->armed, 0);
	web.upper.syns_pps = MARK;
	web.lower.syns_pps = MARK;
	web_write();
	window_begins();
	syns(AT_MARK);
	CHECK_EQ(arming(SERVICE_WEB)->armed, 1);
	CHECK_EQ(arming(SERVICE_RANGE)->armed, 0);
}

/* A SYN-ACK that is out when the attack ends stays good; its handshake opens. */
TEST(cookie_outlives_the_attack, "A12")
{
	struct handshake h;
	struct packet ack;
	struct result r;

	need_reqsk();
	begin();
	web.upper.syns_pps = MARK;
	web.lower.syns_pps = MARK;
	web.hold_s = 0;
	web_write();
	syns(AT_MARK);
	handshake_syn(&h, &(struct spec){ .family = 4, .flags = SYN, OPT(SYN_LINUX) });
	sleep_ms(1500);
	one_syn();
	CHECK_EQ(one_syn(), SW_PASS_CALM);
	handshake_ack(&h, NULL, &ack);
	r = run_xdp(&ack);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_COOKIE);
	/* what is no handshake's is dropped all the same */
	packet_build(&ack, &(struct spec){ .family = 4, .flags = ACK, .sport = 7 });
	r = run_xdp(&ack);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_COOKIE);
}

/* Monitor does as always would, and tells of the attack. */
TEST(attacks_are_noted_in_every_mode, "A12 N06")
{
	static const enum sw_mode modes[] = { SW_MODE_MONITOR, SW_MODE_AUTO, SW_MODE_ALWAYS };
	struct sw_attack t;

	begin_waiting();
	web.upper.syns_pps = MARK;
	web.lower.syns_pps = MARK;
	web.hold_s = 0;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		web.mode = modes[i];
		web_write();
		window_begins();
		syns(2 * AT_MARK);
		CHECK_EQ(arming(SERVICE_WEB)->armed, 1);
		CHECK_EQ(arming(SERVICE_WEB)->attacks, i + 1);
		CHECK_EQ(one_syn(), SW_TX_SYNACK);
		t = attack(arming(SERVICE_WEB)->attack);
		CHECK_EQ(t.service, SERVICE_WEB);
		CHECK_EQ(t.cause, SW_ARM_SYNS);
		CHECK(t.peak_pps >= MARK);
		CHECK(now_ns() - t.start_ns < 1000000000);
		sleep_ms(1500);
		one_syn();
		CHECK_EQ(arming(SERVICE_WEB)->armed, 0);
		t = attack(arming(SERVICE_WEB)->attack);
		CHECK(t.end_ns >= t.start_ns && t.end_ns < now_ns());
		CHECK(t.syns >= AT_MARK);
	}
}

static struct sw_event seen[4];
static unsigned int n_seen;

static int take_event(void *ctx, void *data, size_t size)
{
	const struct sw_event *e = data;

	(void)ctx;
	CHECK_EQ(size, sizeof(*e));
	if (e->kind >= SW_EVENT_ARMED && n_seen < ARRAY_SIZE(seen))
		seen[n_seen++] = *e;
	return 0;
}

TEST(events_tell_of_begin_and_end, "A12")
{
	struct ring_buffer *ring = ring_buffer__new(map_fd("sw_events"), take_event, NULL, NULL);

	REQUIRE(ring);
	begin();
	ring_buffer__consume(ring);
	n_seen = 0;
	web.upper.syns_pps = MARK;
	web.lower.syns_pps = MARK;
	web.hold_s = 0;
	web_write();
	window_begins();
	syns(AT_MARK);
	sleep_ms(1500);
	one_syn();
	ring_buffer__consume(ring);
	ring_buffer__free(ring);
	REQUIRE(n_seen == 2);
	CHECK_EQ(seen[0].kind, SW_EVENT_ARMED);
	CHECK_EQ(seen[0].service, SERVICE_WEB);
	CHECK_EQ(seen[0].table, SW_ARM_SYNS);
	CHECK(seen[0].packets >= MARK);
	CHECK_EQ(seen[0].sport, 0);
	CHECK_EQ(seen[1].kind, SW_EVENT_DISARMED);
	CHECK_EQ(seen[1].service, SERVICE_WEB);
}

/*
 * The host answered a SYN in calm, then an attack began: its handshake ends as if there were
 * none, whether the client's SYN or its ACK is said again.
 */
TEST(handshake_of_before_the_attack_ends, "A12")
{
	for (int again = 0; again < 2; again++) {
		struct peer p;

		if (!again) {
			need_reqsk();
			peer_prepare();
		}
		peer_begin(&p, OPEN_HOST4);
		peer_peace = SW_MODE_AUTO;
		peer_syn(&p, (uint32_t)test_random()); /* behind it all is `always` */
		MISS(&p, SYN | ACK);
		CHECK(counter_of(SW_PASS_CALM) > 0);
		if (again) {
			peer_syn(&p, p.isn);
			MISS(&p, SYN | ACK);
		}
		p.ack = p.last.seq + 1;
		p.ts = p.last.opt.ts;
		SAY(&p, ACK, 0);
		ARE(&p, SW_ESTABLISHED);
		peer_accept(&p);
		SAY(&p, PSH, 100);
		CHECK_EQ(peer_read(&p), 100);
		ABORT(&p);
	}
	peer_unharmed(NULL);
}

/* Handshakes by cookie and by the host, and each once, however it ends. */
TEST(ended_handshakes_are_counted, "A12")
{
	need_reqsk();
	peer_prepare();
	for (enum opening how = 0; how < OPENINGS; how++) {
		struct peer p;
		uint32_t before = finished();

		test_context("%s", opening_name(how));
		peer_open(&p, how);
		CHECK_EQ(finished(), before + 1);
		SAY(&p, PSH, 100);
		CHECK_EQ(finished(), before + 1);
		ABORT(&p);
	}
}

/* Its SYN-ACK left by another device, or there was no room for it: the SYN was seen, its end too. */
TEST(handshake_without_its_answer_has_finished, "A12 A13")
{
	struct peer p;
	uint32_t before;

	need_reqsk();
	peer_prepare();
	peer_begin(&p, OPEN_HOST4);
	peer_peace = SW_MODE_AUTO;
	before = finished();
	peer_syn(&p, (uint32_t)test_random());
	MISS(&p, SYN | ACK);
	conns_forget();
	p.ack = p.last.seq + 1;
	p.ts = p.last.opt.ts;
	SAY(&p, ACK, 0);
	ARE(&p, SW_ESTABLISHED);
	CHECK_EQ(finished(), before + 1);
	peer_accept(&p);
	ABORT(&p);
}
