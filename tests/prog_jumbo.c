/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames of several buffers (xdp.frags): what lies behind the first page counts too. */
#include <string.h>

#include "handshake.h"
#include "rows.h"

#define BIG 8960

static const struct row big[] = {
	{ "data to a guarded port",
	  { .flags = ACK | PSH, .ack = 5, .payload = BIG },
	  SW_DROP_COOKIE,
	  .as_is = true },
	{ "data to another port",
	  { .flags = ACK, .dport = 22, .payload = BIG },
	  SW_PASS_NOT_GUARDED,
	  .as_is = true },
	{ "UDP", { .proto = 17, .payload = BIG }, SW_PASS_NOT_TCP, .as_is = true },
	{ "not IP", { .ethertype = 0x88b5, .payload = BIG }, SW_PASS_NOT_IP, .as_is = true },
	{ "RST with data", { .flags = RST, .payload = BIG }, SW_DROP_RST, .as_is = true },
	{ "SYN with data", { .flags = SYN, .payload = BIG }, SW_TX_SYNACK, .as_is = true },
	{ "Linux SYN with an odd number of bytes",
	  { .flags = SYN, OPT(SYN_LINUX), .payload = BIG - 1 },
	  SW_TX_SYNACK,
	  .as_is = true },
	{ "SYN with data behind a trailer of 4000",
	  { .flags = SYN, .payload = 100, .trailer = 4000 },
	  SW_TX_SYNACK,
	  .as_is = true },
	{ "SYN with data, bad checksum",
	  { .flags = SYN, .payload = BIG, .bad_tcp_csum = 1 },
	  SW_DROP_TCP_CSUM,
	  .as_is = true },
	{ "tagged SYN with data",
	  { .flags = SYN, .vlans = 2, .payload = BIG },
	  SW_TX_SYNACK,
	  .as_is = true },
	{ "first fragment with data",
	  { .flags = ACK, .frag = FRAG_MF, .payload = BIG },
	  SW_PASS_FRAGMENT,
	  .only = ONLY4,
	  .as_is = true },
	{ "no flags", { .payload = BIG }, SW_DROP_FLAGS, .as_is = true },
	{ "total length past the last buffer",
	  { .flags = SYN, .payload = BIG, .lie_tot_len = LIE(BIG + 41) },
	  SW_PASS_IP_MALFORMED,
	  .only = ONLY4,
	  .as_is = true },
	/* the chain ends within 4096 bytes, but not in the first buffer */
	{ "TCP header behind 3552 bytes of options",
	  { .family = 6, .flags = SYN, .ext = { { 60, 2048 }, { 60, 1504 } }, .payload = BIG },
	  SW_DROP_IPV6_CHAIN,
	  .off = SW_PASS_IP_MALFORMED,
	  .only = ONLY6,
	  .as_is = true },
};

TEST(frames_of_several_buffers_are_judged_whole, "H11 A05")
{
	rows_run(big, ARRAY_SIZE(big));
}

/* A bit in any buffer spoils the checksum. */
TEST(checksum_covers_every_buffer, "H11 H04 A05")
{
	static struct packet p;

	listen_on(4, 80, 8);
	for (size_t at = 54; at < 54 + BIG; at += 509) {
		struct result r;

		packet_build(&p, &(struct spec){ .flags = SYN, .payload = BIG });
		p.data[at] ^= 0x10;
		test_context("byte %zu", at);
		r = run_xdp(&p);
		CHECK_RESULT(&r, XDP_DROP, SW_DROP_TCP_CSUM);
	}
}

TEST(cookie_with_data_of_several_buffers_is_marked, "H11 D02")
{
	static struct handshake h;
	static struct packet ack;
	struct result r;

	need_reqsk();
	for (uint8_t family = 4; family <= 6; family += 2) {
		test_context("IPv%d", family);
		listen_on(family, 80, 8);
		handshake_syn(&h, &(struct spec){ .family = family, OPT(SYN_LINUX) });
		handshake_ack(&h, &(struct spec){ .flags = ACK | PSH, .payload = BIG }, &ack);
		r = run_xdp(&ack);
		CHECK_PASSED(&r, &ack, SW_PASS_COOKIE);
		mark_of(&r);
		ack.data[7000] ^= 1;
		r = run_xdp(&ack);
		CHECK_RESULT(&r, XDP_DROP, SW_DROP_TCP_CSUM);
	}
}

/* The datagram ends around the end of the first buffer; what follows is never sent back. */
TEST(trailer_in_the_next_buffer_is_cut_off, "H01 H11 A10")
{
	static struct packet p;

	listen_on(4, 80, 8);
	listen_on(6, 80, 8);
	host_scale(4);
	host_scale(6);
	for (uint8_t family = 4; family <= 6; family += 2)
		for (uint16_t payload = 3400; payload < 3500; payload++) {
			struct result r;
			struct frame f;

			packet_build(&p, &(struct spec){ .family = family,
							 .flags = SYN,
							 .payload = payload,
							 .trailer = 100 });
			test_context("IPv%d, %d bytes and a trailer", family, payload);
			r = run_xdp(&p);
			CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
			synack_check(&p, &r, &f);
		}
}
