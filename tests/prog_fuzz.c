/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random and mutated frames through both programs, for SW_FUZZ_SECONDS (10). Whatever comes
 * in: a verdict, one reason, nothing changed that passes, nothing sent that is not a SYN-ACK.
 * The seed is printed at the start and given again with --seed or SW_SEED.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "handshake.h"
#include "rows.h"

#define CORPUS_MAX 64

static const struct spec seeds[] = {
	{ .flags = SYN, OPT(SYN_LINUX) },
	{ .flags = SYN, OPT(SYN_WINDOWS) },
	{ .flags = SYN, OPT(SYN_MACOS), .payload = 40 },
	{ .flags = SYN, .pad = 60 },
	{ .flags = SYN | ECE | CWR, OPT(SYN_LINUX), .vlans = 2 },
	{ .flags = SYN, .ip_opt = "\x94\x04\x00\x00\x83\x07\x04\xc0\x00\x02\x05", .ip_opt_len = 11 },
	{ .flags = SYN,
	  OPT("\x13\x12"
	      "0123456789abcdef\x1d\x04\x00\x00") },
	{ .flags = ACK, OPT(ACK_TS), .payload = 300 },
	{ .flags = FIN | ACK },
	{ .flags = RST | ACK },
	{ .flags = SYN | ACK, OPT(OPT_MSS1460) },
	{ .flags = SYN, .frag = FRAG_MF, .payload = 8 },
	{ .proto = 6, .frag = 3, .payload = 64 },
	{ .proto = 17, .payload = 64 },
	{ .proto = 47, .payload = 64 },
	{ .ethertype = 0x0806, .payload = 46 },
	{ .ethertype = 0x8864, .payload = 60 },
	{ .flags = SYN, .vlans = 3 },
	{ .flags = SYN, .dport = 8000 },
	{ .flags = SYN, .dport = 443, OPT(SYN_LINUX), .partial = true },
	{ .flags = SYN, .payload = 5000, .trailer = 300 },
	{ .flags = ACK, .payload = 8000 },
};

/* IPv6 of the above, and what only IPv6 has. */
static const struct spec seeds6[] = {
	{ .family = 6, .flags = SYN, OPT(SYN_LINUX), .ext = { { 0, 8, 0, 0 }, { 43, 24, 0, 0 } } },
	{ .family = 6, .flags = SYN, .ext = { { 44, 8, 0, 0 }, { 60, 16, 0, 0 } } },
	{ .family = 6, .flags = ACK, .ext = { { 44, 8, 1, 0 } }, .payload = 64 },
	{ .family = 6,
	  .flags = SYN,
	  .ext = { { 60, 2048, 0, 0 }, { 60, 1504, 0, 0 } },
	  .payload = 200 },
	{ .family = 6,
	  .flags = SYN,
	  .ext = { { 0, 8, 0, 0 },
		   { 60, 8, 0, 0 },
		   { 60, 8, 0, 0 },
		   { 60, 8, 0, 0 },
		   { 60, 8, 0, 0 },
		   { 60, 8, 0, 0 },
		   { 60, 8, 0, 0 },
		   { 60, 8, 0, 0 } } },
	{ .family = 6, .proto = 50, .payload = 64 },
};

static struct packet *corpus;
static unsigned int n_corpus;
static struct handshake shakes[2];

static void add(const struct spec *s)
{
	REQUIRE(n_corpus < CORPUS_MAX);
	packet_build(&corpus[n_corpus++], s);
}

/* Good cookies too: near misses of the accepting path. */
static void build_corpus(void)
{
	uint32_t epoch = epoch_now();

	corpus = mmap(NULL, CORPUS_MAX * sizeof(*corpus), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(corpus != MAP_FAILED);
	for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
		struct spec s = seeds[i];

		add(&s);
		if (s.ip_opt || s.frag || s.ethertype)
			continue;
		s.family = 6;
		add(&s);
	}
	for (size_t i = 0; i < ARRAY_SIZE(seeds6); i++)
		add(&seeds6[i]);
	if (guard.engine != SW_ENGINE_REQSK)
		return;
	for (int ts = 0; ts < 2; ts++) {
		handshake_forge(&shakes[ts], &(struct spec){ .family = ts ? 6 : 4 }, epoch,
				(uint16_t)(ts ? LOW_TS(6, 7, 1, 0, epoch) : LOW_BARE(6, 10, epoch)),
				ts, 3);
		handshake_ack(&shakes[ts], NULL, &corpus[n_corpus++]);
	}
}

static void open_listeners(void)
{
	listen_on(4, 80, 64);
	listen_on(6, 80, 64);
	listen_on(4, 443, 64);
	listen_on(6, 443, 64);
	host_scale(4);
	host_scale(6);
}

static size_t header_end(const struct packet *p)
{
	size_t end = p->l4 ? p->l4 + 60U : p->l3 + 60U;

	return end < p->len ? end : p->len;
}

/* Bytes, bits, lengths; half of the time with the checksums made right again. */
static void mutate(struct packet *p)
{
	static const uint8_t special[] = { 0,  1,  2,  4,  5,  6,  8,  17,   19,   29,  41,
					   43, 44, 47, 50, 51, 59, 60, 0x7f, 0x80, 0xff };
	unsigned int times = test_random() % 6;
	size_t headers = header_end(p);

	while (times--) {
		size_t at = test_random() % (test_random() % 8 ? headers : p->len);
		uint64_t value = test_random();

		switch (test_random() % 6) {
		case 0:
			p->data[at] = (uint8_t)value;
			break;
		case 1:
			p->data[at] ^= (uint8_t)(1 << value % 8);
			break;
		case 2:
			p->data[at] = special[value % sizeof(special)];
			break;
		case 3:
			p->data[at] += (uint8_t)(value % 9 - 4);
			break;
		case 4: /* shorter, or longer with what was there */
			p->len = value % 2 ? 14 + value % p->len : p->len + value % 64;
			if (p->len > FRAME_MAX)
				p->len = FRAME_MAX;
			headers = header_end(p);
			break;
		default: /* move a piece */
			memmove(p->data + at, p->data + value % headers,
				value / 256 % (p->len - at > 40 ? 40 : p->len - at));
		}
	}
	if (p->len < 14)
		p->len = 14;
	if (p->l4 && p->l4 + p->l4_len <= p->len && test_random() % 2)
		packet_fix_csum(p);
}

static void next_frame(struct packet *p)
{
	unsigned int kind = test_random() % 16;

	if (kind == 0) { /* noise behind a plausible type */
		static const uint8_t types[][2] = {
			{ 8, 0 }, { 0x86, 0xdd }, { 0x81, 0 }, { 0x88, 0xa8 }
		};

		memset(p, 0, offsetof(struct packet, data));
		p->len = 14 + test_random() % 200;
		for (size_t i = 0; i < p->len; i += 8)
			*(uint64_t *)(p->data + i) = test_random();
		memcpy(p->data + 12, types[test_random() % 4], 2);
		return;
	}
	*p = corpus[test_random() % n_corpus];
	if (kind > 1)
		mutate(p);
}

static unsigned int fuzz_seconds(void)
{
	const char *text = getenv("SW_FUZZ_SECONDS");

	return text ? (unsigned int)strtoul(text, NULL, 10) : 10;
}

static void check_sent(const struct packet *in, const struct result *r)
{
	struct frame f;
	const char *wrong = frame_read(&f, r->out, r->len);

	if (wrong)
		FAIL("sent a malformed frame: %s", wrong);
	else if ((f.flags & ~ECE) != (SYN | ACK) || f.payload_len || f.reserved || f.opt.other)
		FAIL("sent something that is no SYN-ACK");
	else if (r->len > (in->len > 60 ? in->len : 60))
		FAIL("sent %zu bytes for %zu", r->len, in->len);
}

static void check_xdp(const struct packet *in)
{
	struct result r = run_xdp(in);

	if (r.action == XDP_TX)
		check_sent(in, &r);
	else if (r.action != XDP_PASS && r.action != XDP_DROP)
		FAIL("action %d", r.action);
	if (r.action == XDP_PASS && r.reason != SW_PASS_KEEPALIVE)
		CHECK_BYTES(r.out, r.len, in->data, in->len);
	if (r.reason == SW_DROP_BUG)
		FAIL("DROP_BUG");
	/* of a cookie, or of what comes close behind one */
	if (r.meta_len && r.reason != SW_PASS_COOKIE && r.reason != SW_PASS_KEEPALIVE &&
	    r.reason != SW_PASS_KNOWN)
		FAIL("metadata with %s", reason_name(r.reason));
}

static void check_tc(const struct packet *in)
{
	struct result r = run_tc(in);

	if (r.refused)
		return;
	CHECK_EQ(r.action, -1);
	CHECK_BYTES(r.out, r.len, in->data, in->len);
}

/* The first frame that fails is printed and ends the run. */
static void fuzz(void (*check)(const struct packet *in), size_t most, const char *what)
{
	static struct packet p;
	uint64_t until = now_ns() + fuzz_seconds() * 500000000ULL, n = 0;

	while (!test_failed() && now_ns() < until) {
		if (n % 4096 == 0) { /* budgets, filters and caches in every state */
			enum sw_mode mode = (enum sw_mode)(test_random() % 3);

			services_mode(test_random() % 4 ? SW_MODE_ALWAYS : mode);
			map_zero("sw_budget");
		}
		do
			next_frame(&p);
		while (p.len > most);
		check(&p);
		n++;
	}
	if (test_failed())
		test_hex("the frame", p.data, p.len);
	test_note("%s: %llu frames", what, (unsigned long long)n);
	CHECK(n > 0);
}

TEST_LIMIT(any_frame_gets_one_verdict_and_passes_unchanged, "A03 H02 L13", 7200)
{
	open_listeners();
	build_corpus();
	fuzz(check_xdp, FRAME_MAX, "XDP");
}

/* The kernel makes linear skbs of less than a page. */
TEST_LIMIT(any_frame_goes_on_from_tc_unchanged, "A03 H02", 7200)
{
	need_reqsk();
	open_listeners();
	build_corpus();
	guard.settings.recheck = 1;
	settings_write();
	fuzz(check_tc, 3000, "tc");
}
