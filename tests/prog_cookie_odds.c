/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Forgery of the cookie of engine reqsk: flipped bits, near misses, blind guesses.
 *
 * Theory: a guess passes with 2^-24 without timestamps. With them 22 bits of MAC and an age
 * of 2^17 ticks in 2^32: 2^-37. The limits below are such that a right program fails a test
 * less than once in a million runs.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "handshake.h"
#include "rows.h"

#define FLIPS      250000 /* each format: 10^6 in all */
#define LIFE_TICKS (2U << (SW_EPOCH_SHIFT - SW_TS_SHIFT))
#define EDGE_TICKS 5000 /* around the ends of life the clock of the test is no judge */

static const struct {
	const char *name;
	struct spec syn;
	bool ts;
} formats[] = {
	{ "IPv4 with timestamps", { .family = 4, OPT(SYN_LINUX) }, true },
	{ "IPv4 without", { .family = 4, OPT(SYN_WINDOWS) }, false },
	{ "IPv6 with timestamps", { .family = 6, OPT(SYN_LINUX) }, true },
	{ "IPv6 without", { .family = 6, OPT(SYN_WINDOWS) }, false },
};

/* Port 80 and those one bit from it: flipping a bit of the port must not miss the listener. */
static void open_ports(void)
{
	need_reqsk();
	service_write(SERVICE_RANGE, NULL, 0, 1, 65535, SW_MODE_ALWAYS, 0);
	for (int bit = 0; bit <= 16; bit++) {
		uint16_t port = (uint16_t)(80 ^ (bit < 16 ? 1 << bit : 0));

		listen_on(4, port, 8);
		listen_on(6, port, 8);
	}
	host_scale(4);
	host_scale(6);
}

static void flip(uint8_t *bytes, unsigned int bit)
{
	bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The bits that the MAC covers: both addresses, both ports, SEQ, ACK; and then TSecr. */
static void flip_covered(struct packet *p, unsigned int bit)
{
	unsigned int addresses = p->family == 6 ? 256 : 64;

	if (bit < addresses)
		flip(p->data + p->l3 + (p->family == 6 ? 8 : 12), bit);
	else
		flip(p->data + p->l4, bit - addresses);
}

/* Does the echo, but for the MAC, lie in the cookie's life? -1: too near the edge to say. */
static int echo_is_alive(uint32_t tsecr, uint32_t good_tsecr, uint64_t sent_ns)
{
	uint32_t age = (uint32_t)((now_ns() - sent_ns) >> SW_TS_SHIFT) - (tsecr - good_tsecr);

	if (age + EDGE_TICKS < 2 * EDGE_TICKS || age - LIFE_TICKS + EDGE_TICKS < 2 * EDGE_TICKS)
		return -1;
	return age < LIFE_TICKS;
}

static void flip_format(size_t f)
{
	static struct handshake h;
	static struct packet good, p;
	uint64_t accepted, expected = 0;
	unsigned int covered, n = 0;
	uint64_t sent = now_ns();
	size_t tsecr_at;

	test_context("%s", formats[f].name);
	handshake_syn(&h, &formats[f].syn);
	handshake_ack(&h, NULL, &good);
	tsecr_at = good.l4 + 28U;
	covered = (formats[f].syn.family == 6 ? 256 : 64) + 96;
	while (n < scaled(FLIPS)) {
		unsigned int times = 1 + test_random() % 3, alive = 0;
		bool only_echo;

		memcpy(&p, &good, offsetof(struct packet, data) + 128);
		while (times--) {
			unsigned int bit = test_random() % (covered + (h.ts ? 32 : 0));

			if (bit < covered)
				flip_covered(&p, bit);
			else
				flip(p.data + tsecr_at, bit - covered);
		}
		if (memcmp(p.data, good.data, good.len) == 0 ||
		    get32(p.data + p.l4 + 4) == h.client_isn)
			continue; /* flipped back; or a keepalive, which is no forgery */
		only_echo = h.ts && memcmp(p.data, good.data, tsecr_at) == 0;
		packet_fix_csum(&p);
		if (only_echo) {
			int life = echo_is_alive(get32(p.data + tsecr_at), h.tsecr, sent);

			if (life < 0)
				continue;
			alive = (unsigned int)life;
		}
		n++;
		expected += alive;
		if (run_bare(xdp_fd(), &p) != XDP_PASS && alive)
			FAIL("a living echo was refused");
	}
	/* a port nobody listens on passes too, to the host: so count reasons, not passes */
	accepted = counter_of(SW_PASS_COOKIE) + counter_of(SW_PASS_KEEPALIVE) +
		   counter_of(SW_PASS_COOKIE_USED);
	test_note("%s: %u flips, %llu accepted of which %llu living echoes", formats[f].name, n,
		  (unsigned long long)accepted, (unsigned long long)expected);
	if (accepted < expected || accepted - expected > (h.ts ? 0 : 2))
		FAIL("%llu accepted, %llu expected", (unsigned long long)accepted,
		     (unsigned long long)expected);
}

/*
 * Accepted are: echoes still alive, expected one by one, and what theory allows: 3 of 250,000
 * at 2^-24 is once in a million, and none with timestamps.
 */
TEST_LIMIT(flipped_bits_of_tuple_and_numbers_are_never_accepted, "B04 B05 B06", 600)
{
	open_ports();
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		counters_check();
		counters_start();
		epoch_settle(20000);
		flip_format(f);
	}
}

/* One bit each, all of them, with the reason of each looked at. */
TEST(every_single_flipped_bit_is_named_a_forgery, "B04")
{
	static struct handshake h;
	static struct packet good, p;

	open_ports();
	epoch_settle(5000);
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		unsigned int covered = (formats[f].syn.family == 6 ? 256 : 64) + 96;

		handshake_syn(&h, &formats[f].syn);
		handshake_ack(&h, NULL, &good);
		for (unsigned int bit = 0; bit < covered; bit += stride()) {
			struct result r;

			p = good;
			flip_covered(&p, bit);
			packet_fix_csum(&p);
			test_context("%s, bit %u", formats[f].name, bit);
			r = run_xdp(&p);
			if (r.reason != SW_DROP_COOKIE && r.reason != SW_DROP_ADDRESS)
				FAIL("got action %d %s", r.action, reason_name(r.reason));
		}
	}
}

/* 8192 neighbours: 2^-24 each without timestamps, so one would be luck and two a bug. */
TEST(ack_off_by_up_to_4096_is_refused, "B05")
{
	static struct handshake h;
	static struct packet p;

	open_ports();
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		int reach = stride() > 1 ? 200 : 4096;
		unsigned int accepted = 0;

		epoch_settle(5000);
		handshake_syn(&h, &formats[f].syn);
		handshake_ack(&h, NULL, &p);
		for (int off = -reach; off <= reach; off++) {
			packet_set_tcp(&p, h.client_isn + 1, h.cookie + 1 + (uint32_t)off);
			if (off == 0)
				CHECK_EQ(run_bare(xdp_fd(), &p), XDP_PASS);
			else
				accepted += run_bare(xdp_fd(), &p) != XDP_DROP;
		}
		if (accepted > 1)
			FAIL("%s: %u of 8192 accepted", formats[f].name, accepted);
	}
}

/*
 * SEQ likewise: the client's ISN is in the MAC. -1 with timestamps is the keepalive, a test of
 * its own: by then the others have used up its budget.
 */
TEST(seq_off_by_up_to_4096_is_refused, "B05 D04")
{
	static struct handshake h;
	static struct packet p;

	open_ports();
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		int reach = stride() > 1 ? 200 : 4096;
		unsigned int accepted = 0;

		epoch_settle(5000);
		handshake_syn(&h, &formats[f].syn);
		handshake_ack(&h, NULL, &p);
		for (int off = -reach; off <= reach; off++) {
			packet_set_tcp(&p, h.client_isn + 1 + (uint32_t)off, h.cookie + 1);
			if (off && (off != -1 || !h.ts))
				accepted += run_bare(xdp_fd(), &p) != XDP_DROP;
		}
		/* last: what is close behind the good one passes */
		packet_set_tcp(&p, h.client_isn + 1, h.cookie + 1);
		CHECK_EQ(run_bare(xdp_fd(), &p), XDP_PASS);
		if (accepted > 1)
			FAIL("%s: %u of 8191 accepted", formats[f].name, accepted);
	}
}

/* Every bit of the number counts: of all values of a window of 12 bits only one is right. */
TEST(of_4096_values_of_any_12_bits_of_the_cookie_one_is_accepted, "B01 B05 B06")
{
	static struct handshake h;
	static struct packet p;

	open_ports();
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
		for (int shift = 0; shift <= 20; shift += stride() > 1 ? 10 : 4) {
			unsigned int accepted = 0;

			epoch_settle(5000);
			handshake_syn(&h, &formats[f].syn);
			handshake_ack(&h, NULL, &p);
			for (uint32_t v = 0; v < 4096; v++) {
				uint32_t isn = (h.cookie & ~(4095U << shift)) | v << shift;

				packet_set_tcp(&p, h.client_isn + 1, isn + 1);
				accepted += run_bare(xdp_fd(), &p) == XDP_PASS;
			}
			test_context("%s, bits %d to %d", formats[f].name, shift, shift + 11);
			/* a second one by chance: 2^-12 of the tests in the lowest bits of v4 */
			if (accepted < 1 || accepted > 2)
				FAIL("%u of 4096 accepted", accepted);
		}
}

/* Not what passes on the tuple of one that was lucky. */
static uint64_t cookies_taken(void)
{
	return counter_of(SW_PASS_COOKIE) + counter_of(SW_PASS_COOKIE_USED) +
	       counter_of(SW_PASS_KEEPALIVE);
}

/*
 * Blind ACKs: 2^22 bare ones by default (SW_ODDS sets the power) and a quarter of that with
 * timestamps. Expected 0.25 bare, 2^-17 with timestamps; more than 5, or any with timestamps,
 * is once in a hundred thousand.
 */
TEST_LIMIT(blind_acks_pass_no_oftener_than_the_bound, "B01 B05", 3600)
{
	const char *power = getenv("SW_ODDS");
	uint64_t tries = power ? 1ULL << strtoul(power, NULL, 10) : scaled(1U << 22);

	open_ports();
	for (int f = 1; f >= 0; f--) { /* bare first */
		static struct packet p;
		struct spec s = { .flags = ACK };
		uint64_t accepted, limit;

		counters_check();
		counters_start();
		if (formats[f].ts) {
			s.opt = ACK_TS;
			s.opt_len = sizeof(ACK_TS) - 1;
			tries /= 4;
		}
		packet_build(&p, &s);
		for (uint64_t i = 0; i < tries; i++) {
			uint64_t random = test_random();

			if (formats[f].ts) {
				uint32_t tsecr = htonl((uint32_t)test_random());

				memcpy(p.data + p.l4 + 28, &tsecr, 4);
			}
			p.data[p.l4] = (uint8_t)(0x80 | i); /* sources vary too */
			packet_set_tcp(&p, (uint32_t)random, (uint32_t)(random >> 32));
			run_bare(xdp_fd(), &p);
		}
		accepted = cookies_taken();
		/* mean + 6 roots of it + 3, generous for a small mean */
		limit = formats[f].ts ? tries >> 30 : (tries >> 24) + 5;
		for (uint64_t root = 1; root * root <= tries >> 24; root++)
			limit += formats[f].ts ? 0 : 6;
		test_note("%s: %llu of %llu blind ACKs passed, bound 2^-%d", formats[f].name,
			  (unsigned long long)accepted, (unsigned long long)tries,
			  formats[f].ts ? 36 : 24);
		if (accepted > limit)
			FAIL("%llu accepted, limit %llu", (unsigned long long)accepted,
			     (unsigned long long)limit);
	}
}
