/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Golden packets: SYNs of every stack and shape, and their SYN-ACKs byte for byte. */
#include <string.h>

#include "rows.h"

/* Never a byte more than came in; on the wire 60 is the least. */
static void is_no_amplifier(const struct packet *in, const struct frame *out)
{
	size_t got = out->l2_len + out->ip_len + out->tcp_len + out->payload_len;

	if (got > (in->len > 60 ? in->len : 60))
		FAIL("%zu bytes answered with %zu", in->len, got);
}

#define ANSWERED(name, ...)                                                   \
	{                                                                     \
		name, { __VA_ARGS__ }, SW_TX_SYNACK, .check = is_no_amplifier \
	}
#define SYNS(name, ...) ANSWERED(name, .flags = SYN, __VA_ARGS__)

#define NOPS       "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
#define SACK_OK    "\x04\x02"
#define WS(n)      "\x03\x03" n
#define MSS(bytes) "\x02\x04" bytes

static const struct row stacks[] = {
	ANSWERED("bare SYN", .flags = SYN),
	SYNS("Linux", OPT(SYN_LINUX)),
	SYNS("Windows", OPT(SYN_WINDOWS)),
	SYNS("macOS", OPT(SYN_MACOS)),
	SYNS("Windows with timestamps", OPT(SYN_WIN_TS)),
	SYNS("Android", OPT(OPT_MSS1460 SACK_OK OPT_TS "\x01" WS("\x08"))),
	SYNS("FreeBSD", OPT(OPT_MSS1460 "\x01" WS("\x06") SACK_OK OPT_TS)),
	SYNS("OpenBSD", OPT(OPT_MSS1460 "\x01\x01" SACK_OK "\x01" WS("\x06") "\x01\x01" OPT_TS)),
	SYNS("Solaris", OPT(SACK_OK OPT_TS OPT_MSS1460 "\x01" WS("\x00"))),
	SYNS("lwip", OPT(OPT_MSS1460)),
	SYNS("MSS and SACK", OPT(OPT_MSS1460 "\x01\x01" SACK_OK)),
	SYNS("MSS and scale", OPT(OPT_MSS1460 "\x01" WS("\x07"))),
	SYNS("MSS, timestamps, no SACK", OPT(OPT_MSS1460 "\x01\x01" OPT_TS)),
	SYNS("timestamps only", OPT("\x01\x01" OPT_TS)),
	SYNS("SACK only", OPT(SACK_OK)),
	SYNS("scale only", OPT(WS("\x02"))),
	SYNS("scanner probe 1", OPT(WS("\x0a") "\x01" OPT_MSS1460 OPT_TS SACK_OK)),
	SYNS("scanner probe 2", OPT(MSS("\x05\x78") WS("\x00") SACK_OK OPT_TS "\x00")),
	SYNS("scanner probe 3", OPT(OPT_TS "\x01\x01" WS("\x05") "\x01" MSS("\x06\x40"))),
	SYNS("scanner probe 4", OPT(SACK_OK OPT_TS WS("\x0a") "\x00")),
	SYNS("Linux SYN behind 40 bytes of IP options", OPT(SYN_LINUX),
	     IP_OPT("\x94\x04\x00\x00" NOPS NOPS NOPS "\x01\x01\x01\x01\x01\x01")),
	SYNS("Linux SYN behind IPv6 hop-by-hop", OPT(SYN_LINUX), .ext = { { 0, 8 } }),
};

TEST(syn_of_each_stack_is_answered_byte_exact, "A04 A08 A09 A10 C03 I01")
{
	rows_run(stacks, ARRAY_SIZE(stacks));
}

static const struct row options[] = {
	SYNS("scale 0", OPT(OPT_MSS1460 "\x01" WS("\x00"))),
	SYNS("scale 14", OPT(OPT_MSS1460 SACK_OK OPT_TS "\x01" WS("\x0e"))),
	SYNS("scale 15", OPT(OPT_MSS1460 SACK_OK OPT_TS "\x01" WS("\x0f"))),
	SYNS("scale 255", OPT(OPT_MSS1460 "\x01" WS("\xff"))),
	SYNS("TSval 0", OPT("\x01\x01\x08\x0a\x00\x00\x00\x00\x00\x00\x00\x00")),
	SYNS("TSval all ones, TSecr set", OPT("\x01\x01\x08\x0a\xff\xff\xff\xff\xde\xad\xbe\xef")),
	SYNS("MSS twice, the last counts", OPT(MSS("\x05\x78") MSS("\x05\xb4"))),
	SYNS("scale twice", OPT(WS("\x02") WS("\x09") "\x01\x01")),
	SYNS("SACK twice", OPT(SACK_OK SACK_OK)),
	SYNS("40 NOPs", OPT(NOPS NOPS NOPS NOPS)),
	SYNS("36 NOPs, then MSS", OPT(NOPS NOPS NOPS "\x01\x01\x01\x01\x01\x01" OPT_MSS1460)),
	SYNS("EOL before MSS: absent", OPT("\x00\x01\x01\x01" MSS("\x05\xb4"))),
	SYNS("EOL, then garbage", OPT(OPT_MSS1460 "\x00\xff\xff\xff")),
	SYNS("length 0", OPT(OPT_MSS1460 "\xfe\x00\x01\x01")),
	SYNS("length 1", OPT(OPT_MSS1460 "\xfe\x01\x01\x01")),
	SYNS("length 255", OPT(OPT_MSS1460 "\xfe\xff\x01\x01")),
	SYNS("length 0 first", OPT("\x05\x00" OPT_MSS1460 "\x01\x01")),
	SYNS("length past the end", OPT("\x01\x01\x01\x02")),
	SYNS("MSS cut by the end", OPT("\x01\x02\x04\x05")),
	SYNS("timestamps cut by the end", OPT("\x01\x01\x08\x0a\x01\x02\x03\x04")),
	SYNS("last option byte is a kind", OPT("\x01\x01\x01\x08")),
	SYNS("MSS of length 3", OPT("\x02\x03\x05\x01")),
	SYNS("MSS of length 5", OPT("\x02\x05\x05\xb4\x00\x01\x01\x01")),
	SYNS("scale of length 2", OPT("\x03\x02\x01\x01")),
	SYNS("SACK of length 4", OPT("\x04\x04\x00\x00")),
	SYNS("timestamps of length 8", OPT("\x08\x08\x01\x02\x03\x04\x05\x06")),
	SYNS("timestamps of length 12", OPT("\x08\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a")),
	SYNS("SACK blocks in a SYN", OPT("\x05\x0a\x00\x00\x00\x01\x00\x00\x00\x02\x01\x01")),
	SYNS("unknown kind 253", OPT("\xfd\x06\x00\x01\x02\x03" OPT_MSS1460 "\x01\x01")),
	SYNS("user timeout", OPT("\x1c\x04\x80\x05" OPT_MSS1460)),
	SYNS("AccECN option", OPT("\xac\x0b\x00\x00\x01\x00\x00\x01\x00\x00\x01\x00")),
	SYNS("MPTCP capable", OPT(SYN_LINUX "\x1e\x04\x01\x01")),
	SYNS("SMC experimental", OPT("\xfe\x06\xe2\xd4\xc3\xd9" SACK_OK)),
	SYNS("echo (6), obsolete", OPT("\x06\x06\x01\x02\x03\x04\x01\x01")),
	SYNS("60-byte header, all options at the end", OPT(NOPS NOPS SYN_LINUX)),
	SYNS("60-byte header of unknowns", OPT("\xfd\x28" NOPS NOPS NOPS "\x01\x01\x01\x01\x01\x01"
					       "\x01\x01")),
};

TEST(malformed_and_odd_options_never_cost_an_answer, "A03 A04 A10")
{
	rows_run(options, ARRAY_SIZE(options));
}

static const struct row sizes[] = {
	SYNS("MSS 0 is absent", OPT(MSS("\x00\x00"))),
	{ "MSS 1", { .flags = SYN, OPT(MSS("\x00\x01")) }, SW_PASS_TINY_MSS },
	{ "MSS 88",
	  { .flags = SYN, OPT(MSS("\x00\x58") SACK_OK OPT_TS "\x01" WS("\x07")) },
	  SW_PASS_TINY_MSS },
	{ "MSS 265, scanner",
	  { .flags = SYN, OPT(MSS("\x01\x09") SACK_OK OPT_TS) },
	  SW_PASS_TINY_MSS },
	{ "MSS 535", { .flags = SYN, OPT(MSS("\x02\x17")) }, SW_PASS_TINY_MSS },
	{ "MSS 536 with IPv6",
	  { .flags = SYN, OPT(MSS("\x02\x18")) },
	  SW_PASS_TINY_MSS,
	  .only = ONLY6 },
	{ "MSS 1219 with IPv6",
	  { .flags = SYN, OPT(MSS("\x04\xc3")) },
	  SW_PASS_TINY_MSS,
	  .only = ONLY6 },
	{ "MSS 536 with IPv4", { .flags = SYN, OPT(MSS("\x02\x18")) }, SW_TX_SYNACK, .only = ONLY4 },
	SYNS("MSS 1220", OPT(MSS("\x04\xc4"))),
	SYNS("MSS 1300", OPT(MSS("\x05\x14"))),
	SYNS("MSS 1439", OPT(MSS("\x05\x9f"))),
	SYNS("MSS 1440", OPT(MSS("\x05\xa0"))),
	SYNS("MSS 1461", OPT(MSS("\x05\xb5"))),
	SYNS("MSS 8939", OPT(MSS("\x22\xeb"))),
	SYNS("MSS 8960", OPT(MSS("\x23\x00"))),
	SYNS("MSS 65535", OPT(MSS("\xff\xff"))),
	SYNS("1 byte of data", .payload = 1),
	SYNS("2 bytes of data", .payload = 2),
	SYNS("127 bytes of data", .payload = 127),
	SYNS("128 bytes of data", .payload = 128),
	SYNS("129 bytes of data", .payload = 129),
	SYNS("1460 bytes of data", .payload = 1440),
	SYNS("Linux SYN with 5 bytes of data", OPT(SYN_LINUX), .payload = 5),
	SYNS("Windows SYN with 1200 bytes of data", OPT(SYN_WINDOWS), .payload = 1200),
	SYNS("Fast Open cookie request", OPT(SYN_LINUX "\x22\x02\x01\x01")),
	SYNS("Fast Open cookie and data",
	     OPT(SYN_LINUX "\x22\x0a"
			   "cookies!"),
	     .payload = 300),
	SYNS("Fast Open, experimental", OPT(SYN_LINUX "\xfe\x04\xf9\x89"), .payload = 10),
	{ "MD5 signed",
	  { .flags = SYN,
	    OPT("\x01\x01\x13\x12"
		"0123456789abcdef") },
	  SW_PASS_SIGNED },
	{ "MD5 behind MSS",
	  { .flags = SYN,
	    OPT(OPT_MSS1460 "\x01\x01\x13\x12"
			    "0123456789abcdef") },
	  SW_PASS_SIGNED },
	{ "AO signed",
	  { .flags = SYN,
	    OPT("\x1d\x10\x01\x02"
		"0123456789ab") },
	  SW_PASS_SIGNED },
	SYNS("MD5 kind behind EOL", OPT("\x00\x13\x12\x00")),
};

TEST(mss_data_and_fast_open_are_answered_or_passed, "A05 A06 A08 C09")
{
	rows_run(sizes, ARRAY_SIZE(sizes));
}

static const struct row marks[] = {
	ANSWERED("ECN", .flags = SYN | ECE | CWR, OPT(SYN_LINUX)),
	ANSWERED("ECN without options", .flags = SYN | ECE | CWR),
	ANSWERED("ECN, Windows", .flags = SYN | ECE | CWR, OPT(SYN_WINDOWS)),
	ANSWERED("ECE alone", .flags = SYN | ECE, OPT(SYN_LINUX)),
	ANSWERED("CWR alone", .flags = SYN | CWR, OPT(SYN_LINUX)),
	ANSWERED("AccECN", .flags = SYN | ECE | CWR, .reserved = 1, OPT(SYN_LINUX)),
	ANSWERED("AE alone", .flags = SYN, .reserved = 1, OPT(SYN_LINUX)),
	ANSWERED("ECN in a packet marked ECT(0)", .flags = SYN | ECE | CWR, .tos = 2,
		 OPT(SYN_LINUX)),
	ANSWERED("ECN in a packet marked CE", .flags = SYN | ECE | CWR, .tos = 3, OPT(SYN_LINUX)),
	ANSWERED("ECT(1) without ECN", .flags = SYN, .tos = 1, OPT(SYN_LINUX)),
	ANSWERED("PSH", .flags = SYN | PSH),
	ANSWERED("URG with pointer", .flags = SYN | URG, .urgent = 0xbeef),
	ANSWERED("urgent pointer without URG", .flags = SYN, .urgent = 0xbeef),
	ANSWERED("reserved bits", .flags = SYN, .reserved = 0xe, OPT(SYN_LINUX)),
	ANSWERED("window 65535", .flags = SYN, .window = 65535),
	ANSWERED("ACK number without ACK", .flags = SYN, .ack = 0xdeadbeef),
	ANSWERED("ISN all ones", .flags = SYN, .seq = 0xffffffff, OPT(SYN_LINUX)),
	ANSWERED("ISN 0x7fffffff", .flags = SYN, .seq = 0x7fffffff),
	ANSWERED("TTL 1", .flags = SYN, .ttl = 1),
	ANSWERED("TTL 255, DSCP", .flags = SYN, .ttl = 255, .tos = 0xb8),
	ANSWERED("IP ID", .flags = SYN, .ip_id = 0xbeef),
	ANSWERED("flow label", .flags = SYN, .flow = 0xbeef, OPT(SYN_LINUX)),
	ANSWERED("DF clear", .flags = SYN, .frag = FRAG_NONE, OPT(SYN_LINUX)),
	{ "spoofed source", { .flags = SYN, .src = SPOOFED4 }, SW_TX_SYNACK, .only = ONLY4 },
	{ "spoofed source", { .flags = SYN, .src = SPOOFED6 }, SW_TX_SYNACK, .only = ONLY6 },
};

TEST(nothing_of_the_sender_is_echoed_but_what_must, "A07 A10 B07")
{
	rows_run(marks, ARRAY_SIZE(marks));
}

/* Options by the bit, each padded to a multiple of four. */
static const struct {
	const char *bytes;
	uint8_t len;
} shape_options[] = {
	{ OPT_MSS1460, 4 },       { "\x01\x01" SACK_OK, 4 }, { "\x01\x01" OPT_TS, 12 },
	{ "\x01" WS("\x07"), 4 }, { "\xfd\x0c" NOPS, 12 },   { "\x22\x02\x01\x01", 4 },
};

static void shape_run(struct spec *s, unsigned int mask)
{
	static struct packet p;
	uint8_t opt[40];
	struct result r;

	s->opt_len = 0;
	for (size_t i = 0; i < ARRAY_SIZE(shape_options); i++) {
		if (!(mask >> i & 1))
			continue;
		memcpy(opt + s->opt_len, shape_options[i].bytes, shape_options[i].len);
		s->opt_len += shape_options[i].len;
	}
	s->opt = opt;
	packet_build(&p, s);
	test_context("IPv%u, %u tags, options %#x, padded to %u, flags %#x, IP options %u",
		     s->family, s->vlans, mask, s->pad, s->flags, s->ip_opt_len + s->ext[0].len);
	r = run_xdp(&p);
	CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
	/* no wire carries a frame of less than 60 bytes */
	if (r.len > (p.len > 60 ? p.len : 60))
		FAIL("%zu bytes answered with %zu", p.len, r.len);
}

/* With either engine, whatever stands around and in the header. */
TEST(no_shape_of_syn_is_answered_with_more_bytes, "I01 H01 H09")
{
	static const uint16_t pads[] = { 0, 60, 64, 120 };
	static const uint8_t flags[] = { SYN, SYN | ECE | CWR };
	unsigned int n = 0;

	listen_on(4, 80, 8);
	listen_on(6, 80, 8);
	for (unsigned int mask = 0; mask < 1U << ARRAY_SIZE(shape_options); mask += stride()) {
		for (unsigned int i = 0; i < 2 * 3 * 4 * 2; i++, n++) {
			struct spec s = {
				.family = i % 2 ? 6 : 4,
				.vlans = i / 2 % 3,
				.pad = pads[i / 6 % 4],
				.flags = flags[i / 24],
				.payload = n % 5 ? 0 : n % 7,
			};

			if (n % 3 == 1 && s.family == 4)
				s.ip_opt = NOPS NOPS NOPS NOPS, s.ip_opt_len = n / 6 % 2 ? 4 : 40;
			else if (n % 3 == 1)
				s.ext[0].len = 8;
			shape_run(&s, mask);
		}
	}
	test_note("%u shapes", n);
}
