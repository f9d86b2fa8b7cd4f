/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Golden packets: IPv4 and IPv6 headers, options, extension chains, fragments. */
#include "rows.h"

#define DATA(bytes) .data = (bytes), .payload = sizeof(bytes) - 1
#define PORTS80     "\x9c\x40\x00\x50" /* 40000 -> 80 */
#define PORTS22     "\x9c\x40\x00\x16"

static const struct row malformed4[] = {
	{ "version 6", { .flags = SYN, .lie_version = LIE(6) }, SW_PASS_IP_MALFORMED },
	{ "version 0", { .flags = SYN, .lie_version = LIE(0) }, SW_PASS_IP_MALFORMED },
	{ "header length 0", { .flags = SYN, .lie_ihl = LIE(0) }, SW_PASS_IP_MALFORMED },
	{ "header length 4", { .flags = SYN, .lie_ihl = LIE(4) }, SW_PASS_IP_MALFORMED },
	{ "header length 15 past the end",
	  { .flags = SYN, .lie_ihl = LIE(15) },
	  SW_PASS_IP_MALFORMED },
	{ "total length 0", { .flags = SYN, .lie_tot_len = LIE(0) }, SW_PASS_IP_MALFORMED },
	{ "total length 19", { .flags = SYN, .lie_tot_len = LIE(19) }, SW_PASS_IP_MALFORMED },
	{ "total length past the frame",
	  { .flags = SYN, .lie_tot_len = LIE(41) },
	  SW_PASS_IP_MALFORMED },
	{ "total length 65535", { .flags = SYN, .lie_tot_len = LIE(65535) }, SW_PASS_IP_MALFORMED },
	{ "no TCP header at all", { .flags = SYN, .lie_tot_len = LIE(20) }, SW_PASS_IP_MALFORMED },
	{ "2 bytes of TCP", { .flags = SYN, .lie_tot_len = LIE(22) }, SW_PASS_IP_MALFORMED },
	{ "4 bytes of TCP",
	  { .flags = SYN, .lie_tot_len = LIE(24) },
	  SW_DROP_TCP_MALFORMED,
	  .off = SW_PASS_IP_MALFORMED },
	{ "19 bytes of TCP",
	  { .flags = SYN, .lie_tot_len = LIE(39) },
	  SW_DROP_TCP_MALFORMED,
	  .off = SW_PASS_IP_MALFORMED },
	{ "19 bytes of TCP, not guarded",
	  { .flags = SYN, .dport = 22, .lie_tot_len = LIE(39) },
	  SW_PASS_IP_MALFORMED },
};

TEST(ipv4_headers_that_lie_pass_to_the_host_which_drops_them, "H02")
{
	rows_run_only(malformed4, ARRAY_SIZE(malformed4), ONLY4);
}

#define RR    "\x07\x07\x04\x00\x00\x00\x00"
#define LSRR  "\x83\x07\x04\xc0\x00\x02\x05"
#define SSRR  "\x89\x07\x04\xc0\x00\x02\x05"
#define NOPS8 "\x01\x01\x01\x01\x01\x01\x01\x01"

static const struct row options4[] = {
	{ "router alert", { .flags = SYN, IP_OPT("\x94\x04\x00\x00") }, SW_TX_SYNACK },
	{ "record route", { .flags = SYN, IP_OPT(RR), OPT(SYN_LINUX) }, SW_TX_SYNACK },
	{ "timestamp", { .flags = SYN, IP_OPT("\x44\x08\x05\x00\x00\x00\x00\x00") }, SW_TX_SYNACK },
	{ "CIPSO", { .flags = SYN, IP_OPT("\x86\x06\x00\x00\x00\x01") }, SW_TX_SYNACK },
	{ "40 NOPs",
	  { .flags = SYN, IP_OPT(NOPS8 NOPS8 NOPS8 NOPS8 NOPS8), OPT(SYN_LINUX) },
	  SW_TX_SYNACK },
	{ "40 NOPs and data",
	  { .flags = SYN, IP_OPT(NOPS8 NOPS8 NOPS8 NOPS8 NOPS8), .payload = 31 },
	  SW_TX_SYNACK },
	{ "unknown option", { .flags = SYN, IP_OPT("\x5e\x04\x00\x00") }, SW_TX_SYNACK },
	{ "end of list, then what looks like a source route",
	  { .flags = SYN, IP_OPT("\x00" LSRR) },
	  SW_TX_SYNACK },
	{ "source route inside another option",
	  { .flags = SYN, IP_OPT("\x07\x0b\x04\x83\x07\x04\xc0\x00\x02\x05\x00\x00") },
	  SW_TX_SYNACK },
	{ "loose source route", { .flags = SYN, IP_OPT(LSRR) }, SW_DROP_SOURCE_ROUTE },
	{ "strict source route", { .flags = SYN, IP_OPT(SSRR) }, SW_DROP_SOURCE_ROUTE },
	{ "source route behind NOPs",
	  { .flags = SYN, IP_OPT(NOPS8 "\x01" LSRR) },
	  SW_DROP_SOURCE_ROUTE },
	{ "source route behind record route",
	  { .flags = SYN, IP_OPT(RR LSRR) },
	  SW_DROP_SOURCE_ROUTE },
	{ "source route as the last byte of 40",
	  { .flags = SYN, IP_OPT(NOPS8 NOPS8 NOPS8 NOPS8 "\x01\x01\x01\x01\x01\x01\x01\x83") },
	  SW_DROP_SOURCE_ROUTE },
	{ "source route, ACK", { .flags = ACK, .ack = 5, IP_OPT(LSRR) }, SW_DROP_SOURCE_ROUTE },
	{ "source route, RST", { .flags = RST, IP_OPT(LSRR) }, SW_DROP_SOURCE_ROUTE },
	{ "source route, not guarded",
	  { .flags = SYN, .dport = 22, IP_OPT(LSRR) },
	  SW_PASS_NOT_GUARDED },
	{ "source route, UDP", { .proto = 17, .payload = 8, IP_OPT(LSRR) }, SW_PASS_NOT_TCP },
	{ "options, ACK", { .flags = ACK, .ack = 5, IP_OPT(RR) }, SW_DROP_COOKIE },
	{ "options, no flags", { IP_OPT(RR) }, SW_DROP_FLAGS },
};

TEST(ipv4_options_move_the_tcp_header_and_are_not_echoed, "H03 A10")
{
	rows_run_only(options4, ARRAY_SIZE(options4), ONLY4);
}

static const struct row fragments4[] = {
	{ "first fragment with a SYN",
	  { .flags = SYN, .frag = FRAG_MF, .payload = 8 },
	  SW_DROP_FRAGMENT },
	{ "first fragment, DF and MF",
	  { .flags = SYN, .frag = FRAG_DF | FRAG_MF },
	  SW_DROP_FRAGMENT },
	{ "first fragment with SYN-ACK", { .flags = SYN | ACK, .frag = FRAG_MF }, SW_DROP_FRAGMENT },
	{ "first fragment with data",
	  { .flags = PSH | ACK, .frag = FRAG_MF, .payload = 1000 },
	  SW_PASS_FRAGMENT },
	{ "first fragment with FIN",
	  { .flags = FIN | ACK, .frag = FRAG_MF, .payload = 16 },
	  SW_PASS_FRAGMENT },
	{ "first fragment, not guarded",
	  { .flags = SYN, .frag = FRAG_MF, .dport = 22 },
	  SW_PASS_NOT_GUARDED },
	{ "first fragment of 8 bytes",
	  { .proto = 6, .frag = FRAG_MF, DATA(PORTS80 "\x00\x00\x00\x01") },
	  SW_DROP_FRAGMENT,
	  .off = SW_PASS_FRAGMENT },
	{ "first fragment of 16 bytes",
	  { .proto = 6,
	    .frag = FRAG_MF,
	    DATA(PORTS80 "\x00\x00\x00\x01\x00\x00\x00\x00\x50\x02\xff\xff") },
	  SW_DROP_FRAGMENT,
	  .off = SW_PASS_FRAGMENT },
	{ "first fragment of 16 bytes, not guarded",
	  { .proto = 6,
	    .frag = FRAG_MF,
	    DATA(PORTS22 "\x00\x00\x00\x01\x00\x00\x00\x00\x50\x02\xff\xff") },
	  SW_PASS_FRAGMENT },
	{ "first fragment that cuts the options",
	  { .flags = ACK, .frag = FRAG_MF, .payload = 4, .lie_doff = LIE(15) },
	  SW_DROP_FRAGMENT,
	  .off = SW_PASS_FRAGMENT },
	{ "fragment over the flags",
	  { .proto = 6, .frag = 1, .payload = 16 },
	  SW_DROP_FRAGMENT,
	  .off = SW_PASS_FRAGMENT },
	{ "fragment over the flags, more to come",
	  { .proto = 6, .frag = FRAG_MF | 1, .payload = 16 },
	  SW_DROP_FRAGMENT,
	  .off = SW_PASS_FRAGMENT },
	{ "fragment behind the header",
	  { .proto = 6, .frag = 3, .payload = 100 },
	  SW_PASS_FRAGMENT },
	{ "fragment in the middle",
	  { .proto = 6, .frag = FRAG_MF | 185, .payload = 1480 },
	  SW_PASS_FRAGMENT },
	{ "last fragment that ends at 64 k",
	  { .proto = 6, .frag = 0x1ffe, .payload = 7 },
	  SW_PASS_FRAGMENT },
	{ "fragment of one byte", { .proto = 6, .frag = 100, .payload = 1 }, SW_PASS_FRAGMENT },
	{ "UDP fragment at offset 8", { .proto = 17, .frag = 1, .payload = 16 }, SW_PASS_NOT_TCP },
	{ "first UDP fragment", { .proto = 17, .frag = FRAG_MF, .payload = 16 }, SW_PASS_NOT_TCP },
	{ "last ICMP fragment", { .proto = 1, .frag = 185, .payload = 16 }, SW_PASS_NOT_TCP },
};

TEST(ipv4_fragments_hide_no_handshake_and_data_passes, "H06")
{
	rows_run_only(fragments4, ARRAY_SIZE(fragments4), ONLY4);
}

static const struct row chains6[] = {
	{ "version 4", { .flags = SYN, .lie_version = LIE(4) }, SW_PASS_IP_MALFORMED },
	{ "payload length past the frame",
	  { .flags = SYN, .lie_tot_len = LIE(21) },
	  SW_PASS_IP_MALFORMED },
	{ "payload length 0", { .flags = SYN, .lie_tot_len = LIE(0) }, SW_PASS_IP_MALFORMED },
	{ "3 bytes of TCP", { .flags = SYN, .lie_tot_len = LIE(3) }, SW_PASS_IP_MALFORMED },
	{ "19 bytes of TCP",
	  { .flags = SYN, .lie_tot_len = LIE(19) },
	  SW_DROP_TCP_MALFORMED,
	  .off = SW_PASS_IP_MALFORMED },
	{ "19 bytes, not guarded",
	  { .flags = SYN, .dport = 22, .lie_tot_len = LIE(19) },
	  SW_PASS_IP_MALFORMED },
	{ "hop-by-hop", { .flags = SYN, .ext = { { 0, 8 } } }, SW_TX_SYNACK },
	{ "destination options",
	  { .flags = SYN, OPT(SYN_LINUX), .ext = { { 60, 24 } } },
	  SW_TX_SYNACK },
	{ "routing header",
	  { .flags = SYN, OPT(SYN_WINDOWS), .ext = { { 43, 24 } } },
	  SW_TX_SYNACK },
	{ "mobility header", { .flags = SYN, .ext = { { 135, 16 } } }, SW_TX_SYNACK },
	{ "all four",
	  { .flags = SYN,
	    OPT(SYN_MACOS),
	    .payload = 3,
	    .ext = { { 0, 8 }, { 60, 8 }, { 43, 8 }, { 60, 16 } } },
	  SW_TX_SYNACK },
	{ "eight headers",
	  { .flags = SYN,
	    .ext = { { 0, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 } } },
	  SW_TX_SYNACK },
	{ "nine headers",
	  { .flags = SYN,
	    .ext = { { 0, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 } } },
	  SW_DROP_IPV6_CHAIN,
	  .off = SW_PASS_IP_MALFORMED },
	{ "twelve headers",
	  { .flags = ACK,
	    .ext = { { 0, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 },
		     { 60, 8 } } },
	  SW_DROP_IPV6_CHAIN,
	  .off = SW_PASS_IP_MALFORMED },
	{ "hop-by-hop not first", { .flags = SYN, .ext = { { 60, 8 }, { 0, 8 } } }, SW_TX_SYNACK },
	{ "extension that says it is longer than the packet",
	  { .flags = SYN, .ext = { { 60, 8, 0, 200 } } },
	  SW_DROP_IPV6_CHAIN,
	  .off = SW_PASS_IP_MALFORMED },
	/* Linux does not check a length of 0 in front of hop-by-hop options */
	{ "hop-by-hop behind a payload length of 0",
	  { .flags = SYN, .lie_tot_len = LIE(0), .ext = { { 0, 8 } } },
	  SW_DROP_IPV6_CHAIN,
	  .off = SW_PASS_IP_MALFORMED },
	{ "extension past the payload length",
	  { .flags = SYN, .lie_tot_len = LIE(4), .ext = { { 60, 8 } } },
	  SW_DROP_IPV6_CHAIN,
	  .off = SW_PASS_IP_MALFORMED },
	{ "extension of 264 bytes", { .flags = SYN, .ext = { { 60, 264 } } }, SW_TX_SYNACK },
	{ "extension, ACK", { .flags = ACK, .ack = 3, .ext = { { 60, 8 } } }, SW_DROP_COOKIE },
	{ "extension, no flags", { .ext = { { 60, 8 } } }, SW_DROP_FLAGS },
	{ "extension, not guarded",
	  { .flags = SYN, .dport = 22, .ext = { { 0, 8 } } },
	  SW_PASS_NOT_GUARDED },
};

TEST(ipv6_extension_chains_are_walked_to_eight_headers, "H08 H02")
{
	rows_run_only(chains6, ARRAY_SIZE(chains6), ONLY6);
}

#define FRAGMENT(offset, more)           \
	{                                \
		44, 8, (offset) | (more) \
	}

static const struct row fragments6[] = {
	{ "atomic fragment",
	  { .flags = SYN, OPT(SYN_LINUX), .ext = { FRAGMENT(0, 0) } },
	  SW_TX_SYNACK },
	{ "atomic fragment, reserved bits and byte",
	  { .flags = SYN, .ext = { { 44, 8, 6, 255 } } },
	  SW_TX_SYNACK },
	{ "atomic fragment behind hop-by-hop",
	  { .flags = SYN, .ext = { { 0, 8 }, FRAGMENT(0, 0), { 60, 8 } } },
	  SW_TX_SYNACK },
	{ "atomic fragment, ACK",
	  { .flags = ACK, .ack = 7, .ext = { FRAGMENT(0, 0) } },
	  SW_DROP_COOKIE },
	{ "first fragment with a SYN",
	  { .flags = SYN, .ext = { FRAGMENT(0, 1) }, .payload = 8 },
	  SW_DROP_FRAGMENT },
	{ "first fragment with data",
	  { .flags = ACK, .ext = { FRAGMENT(0, 1) }, .payload = 1000 },
	  SW_PASS_FRAGMENT },
	{ "first fragment, reserved byte set",
	  { .flags = ACK, .ext = { { 44, 8, 1, 200 } }, .payload = 16 },
	  SW_PASS_FRAGMENT },
	{ "first fragment, not guarded",
	  { .flags = SYN, .dport = 22, .ext = { FRAGMENT(0, 1) } },
	  SW_PASS_NOT_GUARDED },
	{ "first fragment of 8 bytes",
	  { .proto = 6, .ext = { FRAGMENT(0, 1) }, DATA(PORTS80 "\x00\x00\x00\x01") },
	  SW_DROP_FRAGMENT,
	  .off = SW_PASS_FRAGMENT },
	{ "first fragment of 8 bytes, not guarded",
	  { .proto = 6, .ext = { FRAGMENT(0, 1) }, DATA(PORTS22 "\x00\x00\x00\x01") },
	  SW_PASS_FRAGMENT },
	{ "first fragment without its chain",
	  { .proto = 60, .ext = { FRAGMENT(0, 1) }, DATA("\x06\x05\x01\x04\x00\x00\x00\x00") },
	  SW_DROP_IPV6_CHAIN,
	  .off = SW_PASS_IP_MALFORMED },
	{ "fragment over the flags",
	  { .proto = 6, .ext = { FRAGMENT(8, 0) }, .payload = 16 },
	  SW_DROP_FRAGMENT,
	  .off = SW_PASS_FRAGMENT },
	{ "fragment over the flags, more to come",
	  { .proto = 6, .ext = { FRAGMENT(8, 1) }, .payload = 16 },
	  SW_DROP_FRAGMENT,
	  .off = SW_PASS_FRAGMENT },
	{ "fragment behind the header",
	  { .proto = 6, .ext = { FRAGMENT(24, 1) }, .payload = 100 },
	  SW_PASS_FRAGMENT },
	{ "last fragment",
	  { .proto = 6, .ext = { FRAGMENT(1448, 0) }, .payload = 3 },
	  SW_PASS_FRAGMENT },
};

TEST(ipv6_fragments_hide_no_handshake_and_data_passes, "H07")
{
	rows_run_only(fragments6, ARRAY_SIZE(fragments6), ONLY6);
}

/* Whatever its offset: what the fragment header announces as UDP is not ours to drop. */
TEST(ipv6_udp_fragments_pass_at_every_offset, "E07 H07")
{
	static struct packet p;

	for (uint16_t offset = 0; offset <= 64; offset += 8)
		for (uint16_t more = 0; more < 2; more++) {
			struct spec s = { .family = 6,
					  .proto = 17,
					  .payload = 16,
					  .ext = { FRAGMENT(offset, more) } };
			struct result r;

			packet_build(&p, &s);
			test_context("offset %d, more %d", offset, more);
			r = run_xdp(&p);
			CHECK_EQ(r.action, XDP_PASS);
			CHECK_BYTES(r.out, r.len, p.data, p.len);
		}
}
