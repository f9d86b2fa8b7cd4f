/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cookie of engine reqsk in time: epochs, keys, age. Cookies are forged with the key. */
#include <bpf/bpf.h>
#include <string.h>

#include "handshake.h"
#include "rows.h"

#define LINUX_LOW(epoch) LOW_TS(6, 7, 1, 0, epoch)
#define BARE_LOW(epoch)  LOW_BARE(6, 10, epoch)
#define LIFE_TICKS       (2LL << (SW_EPOCH_SHIFT - SW_TS_SHIFT))
#define SECOND_TICKS     1000 /* about */

static void open_web(void)
{
	need_reqsk();
	listen_on(4, 80, 64);
	listen_on(6, 80, 64);
	host_scale(4);
	host_scale(6);
	epoch_settle(4000);
}

/* Sends the ACK of a cookie made `ago` epochs back and expects that of it. */
static void expect(uint8_t family, bool ts, int ago, int64_t age, enum sw_reason reason)
{
	static struct handshake h;
	static struct packet ack;
	uint32_t epoch = epoch_now() - (uint32_t)ago;
	struct result r;

	handshake_forge(&h, &(struct spec){ .family = family }, epoch,
			(uint16_t)(ts ? LINUX_LOW(epoch) : BARE_LOW(epoch)), ts, age);
	handshake_ack(&h, NULL, &ack);
	test_context("IPv%d, %s, epoch -%d, age %lld", family, ts ? "timestamps" : "bare", ago,
		     (long long)age);
	r = run_xdp(&ack);
	CHECK_RESULT(&r, verdict_name(reason)[0] == 'P' ? XDP_PASS : XDP_DROP, reason);
}

TEST(cookie_lives_one_to_two_epochs_then_is_named_expired, "B03 D05")
{
	open_web();
	for (uint8_t family = 4; family <= 6; family += 2)
		for (int ts = 0; ts < 2; ts++) {
			expect(family, ts, -2, 10, SW_DROP_COOKIE);
			expect(family, ts, -1, 10, SW_DROP_COOKIE);
			expect(family, ts, 0, 10, SW_PASS_COOKIE);
			expect(family, ts, 1, 10, SW_PASS_COOKIE);
			expect(family, ts, 2, 10, SW_DROP_EXPIRED);
			expect(family, ts, 3, 10, SW_DROP_EXPIRED);
			expect(family, ts, 4, 10, SW_DROP_COOKIE);
			expect(family, ts, 5, 10, SW_DROP_COOKIE);
			expect(family, ts, 1 << 20, 10, SW_DROP_COOKIE);
		}
}

/* TSecr must come from a TSval sent within two epochs, and not from the future. */
TEST(timestamp_echo_has_an_age_between_zero_and_the_cookies_life, "B03 B06 D05")
{
	open_web();
	for (uint8_t family = 4; family <= 6; family += 2) {
		for (int ago = 0; ago < 2; ago++) {
			expect(family, true, ago, 0, SW_PASS_COOKIE);
			expect(family, true, ago, 1, SW_PASS_COOKIE);
			expect(family, true, ago, 55 * SECOND_TICKS, SW_PASS_COOKIE);
			expect(family, true, ago, LIFE_TICKS - SECOND_TICKS, SW_PASS_COOKIE);
			expect(family, true, ago, LIFE_TICKS + 50, SW_DROP_COOKIE);
			expect(family, true, ago, LIFE_TICKS + SECOND_TICKS, SW_DROP_COOKIE);
			expect(family, true, ago, -100, SW_DROP_COOKIE);
			expect(family, true, ago, -SECOND_TICKS, SW_DROP_COOKIE);
			expect(family, true, ago, INT32_MAX, SW_DROP_COOKIE);
			expect(family, true, ago, -LIFE_TICKS, SW_DROP_COOKIE);
		}
	}
}

/* The elapsed time goes back into the echo in ms, so that the host measures the true RTT. */
TEST(mark_carries_the_true_round_trip_time, "C03 D05")
{
	static const int64_t ages[] = { 0, 1, 10, 80, 250, 1000, 30000, 68000, 130000 };
	static struct handshake h;
	static struct packet ack;

	open_web();
	for (uint8_t family = 4; family <= 6; family += 2)
		for (size_t i = 0; i < ARRAY_SIZE(ages); i++) {
			uint32_t epoch = epoch_now();
			int64_t ms = (ages[i] << SW_TS_SHIFT) / 1000000, got;
			struct result r;
			struct mark m;

			test_context("IPv%d, %lld ticks", family, (long long)ages[i]);
			handshake_forge(&h, &(struct spec){ .family = family }, epoch,
					(uint16_t)LINUX_LOW(epoch), true, ages[i]);
			handshake_ack(&h, NULL, &ack);
			r = run_xdp(&ack);
			CHECK_RESULT(&r, XDP_PASS, SW_PASS_COOKIE);
			m = mark_of(&r);
			got = (int32_t)(m.tsecr - h.tsecr);
			if (got < ms - 1 || got > ms + 20)
				FAIL("%lld ms elapsed, the mark says %lld", (long long)ms,
				     (long long)got);
		}
}

static void expect_key(const struct handshake *h, enum sw_reason reason)
{
	static struct packet ack;
	struct result r;

	conns_forget(); /* the cookie alone shall speak */
	handshake_ack(h, NULL, &ack);
	r = run_xdp(&ack);
	CHECK_RESULT(&r, reason == SW_PASS_COOKIE ? XDP_PASS : XDP_DROP, reason);
}

/* Real rotations name a coming epoch; a change for this one is seen when caches expire. */
static void switch_keys(void)
{
	keys_write();
	let_caches_expire();
}

TEST(key_rotation_by_epoch_costs_no_handshake, "B09 B10")
{
	static struct handshake now_old, now_new, last;
	uint32_t epoch;

	open_web();
	epoch = epoch_now();
	handshake_syn(&now_old, &(struct spec){ OPT(SYN_LINUX) });
	handshake_forge(&last, &(struct spec){ .sport = 7 }, epoch - 1,
			(uint16_t)BARE_LOW(epoch - 1), false, 0);

	test_context("a key from the next epoch on");
	guard.keys[2] = (struct sw_key){ .k0 = test_random(), .k1 = test_random() };
	guard.sched = (struct sw_keysched){ .since_epoch = epoch + 1, .now = 2, .before = 0 };
	switch_keys();
	expect_key(&now_old, SW_PASS_COOKIE);
	expect_key(&last, SW_PASS_COOKIE);

	test_context("as seen from that epoch: new cookies by the new key, old ones by the old");
	guard.sched.since_epoch = epoch;
	switch_keys();
	expect_key(&last, SW_PASS_COOKIE);
	expect_key(&now_old, SW_DROP_COOKIE);
	handshake_syn(&now_new, &(struct spec){ .sport = 8, OPT(SYN_LINUX) });
	CHECK_EQ(now_new.ts, true);
	expect_key(&now_new, SW_PASS_COOKIE);

	test_context("one epoch later the old key judges nothing that is accepted");
	guard.sched.since_epoch = epoch - 1;
	switch_keys();
	expect_key(&last, SW_DROP_COOKIE);
	expect_key(&now_new, SW_PASS_COOKIE);

	test_context("back to where it was");
	guard.sched = (struct sw_keysched){ .since_epoch = epoch - 10, .now = 0, .before = 1 };
	switch_keys();
	expect_key(&now_old, SW_PASS_COOKIE);
	expect_key(&now_new, SW_DROP_COOKIE);
}

/* Through all three slots, a handshake open across each switch. */
TEST(every_key_slot_serves_as_current_and_as_previous, "B09")
{
	static struct handshake h, last;
	uint32_t epoch;

	open_web();
	epoch = epoch_now();
	for (uint16_t slot = 0; slot < SW_KEY_SLOTS; slot++) {
		test_context("slot %d", slot);
		guard.sched = (struct sw_keysched){ .since_epoch = epoch,
						    .now = slot,
						    .before = (uint16_t)((slot + 2) % 3) };
		switch_keys();
		handshake_syn(&h, &(struct spec){ .sport = 9, OPT(SYN_LINUX) });
		expect_key(&h, SW_PASS_COOKIE);
		handshake_forge(&last, &(struct spec){ .sport = 10 }, epoch - 1,
				(uint16_t)BARE_LOW(epoch - 1), false, 0);
		expect_key(&last, SW_PASS_COOKIE);
	}
}

/* The name DROP_EXPIRED has a budget: an attacker with old cookies buys no second hash. */
TEST(expired_cookies_are_told_apart_on_a_budget, "D05 B11")
{
	static struct handshake h;
	static struct packet ack;
	uint32_t epoch;

	open_web();
	epoch = epoch_now() - 2;
	handshake_forge(&h, &(struct spec){}, epoch, (uint16_t)BARE_LOW(epoch), false, 0);
	handshake_ack(&h, NULL, &ack);
	budget_settle();
	for (int i = 0; i < 150; i++)
		CHECK_EQ(run_bare(xdp_fd(), &ack), XDP_DROP);
	CHECK_EQ(counter_of(SW_DROP_EXPIRED), 100);
	CHECK_EQ(counter_of(SW_DROP_COOKIE), 50);
}

/* A handshake for each format until the edge has passed; none may fail. Returns how many. */
static unsigned int shake_until(uint64_t end_ns)
{
	static const struct spec syns[] = {
		{ .family = 4, OPT(SYN_LINUX) },
		{ .family = 6, OPT(SYN_WINDOWS) },
	};
	static struct handshake h;
	static struct packet ack;
	unsigned int n = 0;

	while (now_ns() < end_ns && !test_failed()) {
		handshake_syn(&h, &syns[n % 2]);
		handshake_ack(&h, NULL, &ack);
		expect_key(&h, SW_PASS_COOKIE);
		n++;
	}
	return n;
}

/* The real edge: what is cached of an epoch must not outlive it. Waits up to 69 s for one. */
TEST_LIMIT(handshakes_across_the_edge_of_an_epoch_all_succeed, "A11 B03 B09", 300)
{
	const uint64_t epoch_ns = 1ULL << SW_EPOCH_SHIFT, around = 40 * 1000000ULL;
	static struct handshake before_edge;
	uint64_t edge;

	need_reqsk();
	if (stride() > 1)
		test_skip("waits for the clock, and that is the same here as on real CPUs");
	listen_on(4, 80, 64);
	listen_on(6, 80, 64);
	edge = (now_ns() / epoch_ns + 1) * epoch_ns;
	if (edge < now_ns() + 2 * around)
		edge += epoch_ns;
	sleep_ms((unsigned int)((edge - around - now_ns()) / 1000000));
	handshake_syn(&before_edge, &(struct spec){ .sport = 11, OPT(SYN_LINUX) });
	test_note("%u handshakes around the edge", shake_until(edge + around));
	expect_key(&before_edge, SW_PASS_COOKIE);
}
