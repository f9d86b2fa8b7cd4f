/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard with its clock in hand (clock.bpf.c): a machine that was paused, and every number
 * of time that wraps, at its wrap. Not here: epochs and keys in the run of time
 * (prog_cookie_time.c), the clocks of commands (netns_clock.sh).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture_lists.h"
#include "limits.h"
#include "rawnet.h"
#include "clock.skel.h"
#include "synwarden.skel.h"

#define SECOND_NS 1000000000ULL
#define MINUTE_NS (60 * SECOND_NS)
#define DAY_NS    (1440 * MINUTE_NS)

static struct clock_bpf *own;

/* The same programs over the same maps, for this test only: it runs in a child. */
static void clock_take(void)
{
	struct bpf_map *map;

	need_reqsk();
	own = clock_bpf__open();
	REQUIRE(own);
	*(struct sw_boot *)&own->rodata->sw_boot = guard.skel->rodata->sw_boot;
	bpf_object__for_each_map(map, own->obj) {
		if (bpf_map__is_internal(map))
			continue;
		MUST(bpf_map__reuse_fd(map, map_fd(bpf_map__name(map))));
	}
	MUST(clock_bpf__load(own));
	guard.skel->progs.sw_xdp = own->progs.sw_xdp;
	guard.skel->progs.sw_tc_in = own->progs.sw_tc_in;
	guard.skel->progs.sw_tc_out = own->progs.sw_tc_out;
	guard.skel->progs.sw_adopt = own->progs.sw_adopt;
}

static void clock_set(uint64_t ns)
{
	own->bss->test_now_ns = ns;
}

static void clock_move(uint64_t ns)
{
	clock_set(own->bss->test_now_ns + ns);
}

/* When the product in sw_seconds() comes to that: it is 355 s fast at its wrap. */
#define SECONDS_AT(product) (((product) / 4503600 + 1) << 20)

/* In the order of time: no clock goes backwards. */
static const struct wrap {
	const char *what;
	uint64_t at;
} wraps[] = {
	{ "ticks of spent cookies and seconds of challenges", 1ULL << 38 },
	{ "ticks of timestamps, sign", 1ULL << (SW_TS_SHIFT + 31) },
	{ "milliseconds, 32 bits", (1ULL << 32) * 1000000 },
	{ "ticks of timestamps, 32 bits", 1ULL << (SW_TS_SHIFT + 32) },
	{ "windows of arming, sign", 1ULL << (SW_ARM_SHIFT + 31) },
	{ "windows of arming, 32 bits", 1ULL << (SW_ARM_SHIFT + 32) },
	{ "seconds, sign", SECONDS_AT(1ULL << 63) },
	{ "seconds, 32 bits", SECONDS_AT(~0ULL) },
};

static void each_wrap(uint64_t before, void (*scene)(void))
{
	static const char *const forget[] = { "sw_sources", "sw_suspect", "sw_arming",
					      "sw_arm_cpu" };

	for (size_t i = 0; i < ARRAY_SIZE(wraps) && !test_failed(); i += stride()) {
		test_note("%s", wraps[i].what);
		conns_forget();
		for (size_t n = 0; n < ARRAY_SIZE(forget); n++)
			map_zero(forget[n]);
		lists_clear();
		clock_set(wraps[i].at - before);
		scene();
	}
}

static void handshake_over_it(void)
{
	static const struct spec syns[] = {
		{ .family = 4, OPT(SYN_LINUX) },
		{ .family = 6, OPT(SYN_WINDOWS) },
	};
	static struct handshake h;
	static struct packet p;

	for (size_t i = 0; i < ARRAY_SIZE(syns); i++) {
		struct result r;

		clock_move(-2 * SECOND_NS * (i > 0));
		handshake_syn(&h, &syns[i]);
		clock_move(2 * SECOND_NS);
		handshake_ack(&h, NULL, &p);
		r = run_xdp(&p);
		CHECK_RESULT(&r, XDP_PASS, SW_PASS_COOKIE);
		if (h.ts) { /* the echo is in ms: the round trip of two seconds */
			struct mark m = mark_of(&r);

			CHECK(m.tsecr - h.tsecr >= 1999 && m.tsecr - h.tsecr < 2020);
		}
	}
}

TEST(handshake_over_every_wrap_of_the_clock, "M03")
{
	clock_take();
	listen_on(4, 80, 64);
	listen_on(6, 80, 64);
	each_wrap(SECOND_NS, handshake_over_it);
}

/* A rate, a ban and an entry of a list that began before it end behind it, and not earlier. */
static void ends_behind_it(void)
{
	uint32_t now_s = sw_seconds(own->bss->test_now_ns);
	struct handshake h[3];

	list_bits(0, 1 << SW_LIST_DENY);
	list_timed(SW_LIST_DENY, 0, "203.0.113.77", now_s + 3);
	syns_from("203.0.113.9", h, 3);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(ack(&h[i]), i < 2 ? SW_PASS_COOKIE : SW_DROP_LIMIT_CONNS);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(syn("203.0.113.9"), SW_DROP_BANNED);
		CHECK_EQ(syn("203.0.113.77"), SW_DROP_DENIED);
		clock_move(SECOND_NS);
	}
	clock_move(2 * SECOND_NS);
	CHECK_EQ(syn("203.0.113.77"), SW_TX_SYNACK);
	CHECK(syn("203.0.113.9") != SW_DROP_BANNED);
}

TEST(bans_and_lists_end_behind_every_wrap, "M03")
{
	clock_take();
	begin(SW_OVER_BAN);
	web.limit[SW_LEVEL_HOST].conns = 2;
	web.ban_s = 3;
	web_write();
	each_wrap(SECOND_NS + SECOND_NS / 2, ends_behind_it);
}

/* The bucket of a rate fills with time alone, across a wrap as anywhere. */
static void rate_over_it(void)
{
	for (int i = 0; i < 3; i++)
		CHECK_EQ(open_from("203.0.113.9"), i < 2 ? SW_PASS_COOKIE : SW_DROP_LIMIT_RATE);
	clock_move(SECOND_NS / 2 + 1);
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK_EQ(syn("203.0.113.9"), SW_DROP_LIMIT_RATE);
}

TEST(rates_go_on_over_every_wrap, "M03")
{
	clock_take();
	begin(SW_OVER_DROP);
	web.limit[SW_LEVEL_HOST].new_pps = 2;
	web.limit[SW_LEVEL_HOST].burst = 2;
	web_write();
	each_wrap(SECOND_NS / 4, rate_over_it);
}

/* Both came in one batch, the second a tick later: left to the connection the first one makes. */
TEST(batch_over_a_wrap_opens_one_connection, "M03 D04")
{
	static struct handshake h;
	static struct packet first;
	const uint64_t tick = 1ULL << 22;
	struct linger reset = { .l_onoff = 1 };
	int listener, fd;
	struct result r;

	clock_take();
	listener = listen_on(4, 80, 8);
	guard.settings.recheck = 1;
	settings_write();
	attach_tc_to_lo();
	for (int i = 0; i < 2; i++) { /* anywhere, then over the wrap of the ticks */
		uint64_t handed = counter_of(SW_TC_HANDED_OVER);

		test_context("%s", i ? "over the wrap" : "anywhere");
		clock_set((1ULL << 38) * 3 + (i ? -tick / 2 : 100 * tick));
		handshake_syn(&h, &(struct spec){ .sport = (uint16_t)(35000 + i), OPT(SYN_LINUX) });
		handshake_ack(&h, &(struct spec){ .payload = 40 }, &first);
		run_live(&first);
		CHECK_EQ(counter_of(SW_TC_HANDED_OVER), handed + 1);
		fd = accept_one(listener);
		MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
		close(fd); /* as if the stack had not seen it yet */
		conns_forget();
		clock_move(tick / 2 + 1000);
		r = run_tc(&first);
		CHECK_RESULT(&r, -1, SW_TC_KNOWN);
	}
}

/* A FIN ahead of what is missing: its state comes with the host's ACK, while that is looked for. */
static void fin_before_its_data(void)
{
	struct peer p[2];

	for (int i = 0; i < 2; i++) {
		peer_open(&p[i], OPEN_COOKIE4);
		STRAY(&p[i], FIN, 100, 0, 0);
		DRAIN(&p[i], 0);
	}
	for (int i = 0; i < 2; i++) { /* on either side */
		clock_move(SECOND_NS * 3 / 4);
		SAY(&p[i], PSH, 100);
		p[i].seq++;
		DRAIN(&p[i], 0);
		ARE(&p[i], SW_CLOSE_WAIT);
		ABORT(&p[i]);
	}
}

TEST(early_fin_over_every_wrap, "M03 G04")
{
	clock_take();
	peer_prepare();
	each_wrap(SECOND_NS, fin_before_its_data);
}

static uint32_t is_armed(void)
{
	uint32_t entries;
	struct sw_arming *a = map_memory("sw_arming", sizeof(*a), &entries);

	return ((volatile struct sw_arming *)a)[SERVICE_WEB].armed;
}

static void syns(unsigned int n)
{
	static struct packet p;

	for (unsigned int i = 0; i < n; i++) {
		struct spec s = syn_of("203.0.113.9");

		packet_build(&p, &s);
		run_bare(xdp_fd(), &p);
	}
	counters_check();
}

/* The share of a second is told in the next one; a calm hold later it is over. */
static void attack_over_it(void)
{
	const uint64_t span = (uint64_t)SW_ARM_SPAN << SW_ARM_SHIFT;

	syns(2 * SW_ARM_LEAST);
	CHECK_EQ(is_armed(), 0);
	clock_move(span);
	syns(32);
	CHECK_EQ(is_armed(), 1);
	for (int i = 0; i < 3; i++) {
		clock_move(span);
		syns(1);
	}
	CHECK_EQ(is_armed(), 0);
}

TEST(attacks_begin_and_end_over_every_wrap, "M03 A12")
{
	clock_take();
	begin(SW_OVER_COUNT);
	web.mode = SW_MODE_AUTO;
	web.upper.unfinished = web.lower.unfinished = 50;
	web.hold_s = 1;
	service_put(SERVICE_WEB, &web);
	each_wrap(SECOND_NS / 2, attack_over_it);
}

/* Suspended, stopped by its hypervisor or moved to another: the clock jumps, or stands still. */
static const uint64_t pauses[] = { 5 * MINUTE_NS, 3 * 60 * MINUTE_NS, 60 * DAY_NS };

TEST(pause_of_the_machine_costs_no_connection, "M02")
{
	struct peer p[OPENINGS];

	clock_take();
	clock_set(now_ns());
	peer_prepare();
	for (int i = 0; i < OPENINGS; i++)
		peer_open(&p[i], (enum opening)i);
	for (size_t n = 0; n < ARRAY_SIZE(pauses); n++) {
		clock_move(pauses[n]);
		for (int i = 0; i < OPENINGS; i++) {
			test_context("pause %zu, opening %d", n, i);
			SAY(&p[i], PSH, 100);
			DRAIN(&p[i], 0);
			ARE(&p[i], SW_ESTABLISHED);
			peer_read(&p[i]);
			SEND(&p[i], 50);
			HEAR(&p[i], ACK, 50);
			SAY(&p[i], ACK, 0);
		}
		adopt_sockets(); /* as a sweep does that asks the host */
		tables_check();
	}
	for (int i = 0; i < OPENINGS; i++) {
		SAY(&p[i], FIN, 0);
		CLOSE(&p[i]);
		HEAR(&p[i], FIN, 0);
		SAY(&p[i], ACK, 0);
		ARE(&p[i], SW_CLOSED);
	}
	peer_unharmed(NULL);
}

/* Cookies that were out are refused, nothing is answered to them, and new ones work at once. */
static void cookie_over_pause(const struct spec *syn, uint64_t pause)
{
	uint32_t epoch = (uint32_t)(own->bss->test_now_ns >> SW_EPOCH_SHIFT);
	static struct handshake h;
	static struct packet p;
	struct result r;

	/* a rotation is on its way as well */
	guard.keys[2] = guard.keys[0];
	guard.keys[0] = (struct sw_key){ .k0 = test_random(), .k1 = test_random() };
	guard.sched = (struct sw_keysched){ .since_epoch = epoch + 1, .now = 0, .before = 2 };
	keys_write();
	clock_move(SECOND_NS);
	handshake_syn(&h, syn);
	clock_move(pause);
	handshake_ack(&h, NULL, &p);
	r = run_xdp(&p);
	CHECK_EQ(r.action, XDP_DROP);
	CHECK(r.reason == SW_DROP_EXPIRED || r.reason == SW_DROP_COOKIE);
	handshake_syn(&h, syn);
	handshake_ack(&h, NULL, &p);
	r = run_xdp(&p);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_COOKIE);
	conns_forget();
}

TEST(cookies_over_a_pause_are_refused_and_new_ones_work, "M02")
{
	static const struct spec syns[] = {
		{ .sport = 9, OPT(SYN_LINUX) },
		{ .sport = 9, OPT(SYN_WINDOWS) },
	};

	clock_take();
	clock_set(now_ns());
	listen_on(4, 80, 64);
	for (size_t n = 0; n < ARRAY_SIZE(pauses); n++)
		for (size_t i = 0; i < ARRAY_SIZE(syns); i++) {
			test_context("pause %zu, SYN %zu", n, i);
			cookie_over_pause(&syns[i], pauses[n]);
		}
}

/* This CPU's clock as it was read a little before the epoch that another one is in by now. */
static void clock_lags(uint64_t ns)
{
	struct {
		uint64_t ns, jiffies;
		uint32_t left, more[7];
	} cpu[256];
	uint32_t zero = 0;

	_Static_assert(sizeof(cpu[0]) == 48, "as struct sw_cpu in bpf/maps.h");
	REQUIRE(libbpf_num_possible_cpus() <= 256);
	memset(cpu, 0, sizeof(cpu));
	for (int i = 0; i < libbpf_num_possible_cpus(); i++) {
		cpu[i].ns = ns;
		cpu[i].jiffies = own->bss->test_now_ns >> 22;
		cpu[i].left = 15;
	}
	MUST(bpf_map_update_elem(map_fd("sw_cpu"), &zero, cpu, BPF_ANY));
}

TEST(cookie_of_an_epoch_that_begins_is_known_to_both_hooks, "B03 M03")
{
	static struct handshake h;
	static struct packet p;
	struct result r;

	clock_take();
	listen_on(4, 80, 64);
	guard.settings.recheck = 1;
	settings_write();
	for (int i = 0; i < 2; i++) {
		uint32_t epoch = epoch_now() + 2 + (uint32_t)i;
		uint64_t edge = (uint64_t)epoch << SW_EPOCH_SHIFT;

		handshake_forge(&h, &(struct spec){ .sport = (uint16_t)(36000 + i) }, epoch,
				(uint16_t)LOW_BARE(6, 10, epoch), false, 0);
		handshake_ack(&h, NULL, &p);
		clock_set(edge + 1000);
		clock_lags(edge - 1000);
		r = run_tc(&p); /* not at ingress: the kernel's -EINVAL */
		CHECK_RESULT(&r, -1, SW_TC_REFUSED);
		clock_lags(edge - 1000);
		r = run_xdp(&p);
		CHECK_RESULT(&r, XDP_PASS, SW_PASS_COOKIE);
	}
}
