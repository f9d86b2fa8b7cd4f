/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Golden packets: TCP header, flags, addresses, checksums, padding, services. */
#include <string.h>

#include "rows.h"

static const struct row flags[] = {
	{ "no flags", { .flags = 0 }, SW_DROP_FLAGS },
	{ "Christmas tree", { .flags = FIN | PSH | URG }, SW_DROP_FLAGS },
	{ "all flags", { .flags = 0xff }, SW_DROP_FLAGS },
	{ "SYN and FIN", { .flags = SYN | FIN }, SW_DROP_FLAGS },
	{ "SYN and RST", { .flags = SYN | RST }, SW_DROP_FLAGS },
	{ "SYN, RST and ACK", { .flags = SYN | RST | ACK }, SW_DROP_FLAGS },
	{ "SYN, FIN and ACK", { .flags = SYN | FIN | ACK }, SW_DROP_FLAGS },
	{ "FIN alone", { .flags = FIN }, SW_DROP_FLAGS },
	{ "FIN and RST", { .flags = FIN | RST }, SW_DROP_FLAGS },
	{ "PSH alone, with data", { .flags = PSH, .payload = 20 }, SW_DROP_FLAGS },
	{ "URG alone", { .flags = URG, .urgent = 1 }, SW_DROP_FLAGS },
	{ "ECE and CWR alone", { .flags = ECE | CWR }, SW_DROP_FLAGS },
	{ "RST", { .flags = RST }, SW_DROP_RST },
	{ "RST and ACK", { .flags = RST | ACK, .ack = 7 }, SW_DROP_RST },
	{ "RST with data", { .flags = RST, .payload = 9 }, SW_DROP_RST },
	{ "RST with PSH and ECE", { .flags = RST | PSH | ECE }, SW_DROP_RST },
	{ "ACK of nothing", { .flags = ACK, .ack = 0x12345678 }, SW_DROP_COOKIE },
	{ "ACK with timestamps", { .flags = ACK, .ack = 9, OPT(ACK_TS) }, SW_DROP_COOKIE },
	{ "data", { .flags = PSH | ACK, .ack = 9, .payload = 100 }, SW_DROP_COOKIE },
	{ "full-size data", { .flags = ACK, .ack = 9, .payload = 1400 }, SW_DROP_COOKIE },
	{ "FIN and ACK", { .flags = FIN | ACK, .ack = 9 }, SW_DROP_COOKIE },
	{ "URG and ACK",
	  { .flags = URG | ACK, .ack = 9, .payload = 3, .urgent = 2 },
	  SW_DROP_COOKIE },
	{ "ACK with ECE and CWR", { .flags = ACK | ECE | CWR, .ack = 9 }, SW_DROP_COOKIE },
	{ "SYN-ACK", { .flags = SYN | ACK, .ack = 9, OPT(OPT_MSS1460) }, SW_DROP_SYNACK },
	{ "SYN-ACK with data", { .flags = SYN | ACK, .ack = 9, .payload = 30 }, SW_DROP_SYNACK },
};

TEST(flags_no_stack_sends_are_dropped_and_syn_acks_never_answered, "E01 E02 E04 I04")
{
	rows_run(flags, ARRAY_SIZE(flags));
}

/* All 512: eight flags, and AccECN's bit beside the data offset. */
TEST(every_flag_set_gets_its_verdict, "E01")
{
	static struct packet p;
	const uint8_t core = FIN | SYN | RST | ACK;

	listen_on(4, 80, 8);
	for (int i = 0; i < 512; i += (int)stride()) {
		uint8_t set = (uint8_t)i;
		enum sw_reason want = SW_DROP_FLAGS;
		struct result r;

		packet_build(&p, &(struct spec){
					 .flags = set, .reserved = (uint8_t)(i >> 8), .ack = 77 });
		if ((set & core) == SYN)
			want = SW_TX_SYNACK;
		else if ((set & core) == RST || (set & core) == (RST | ACK))
			want = SW_DROP_RST;
		else if ((set & core) == (SYN | ACK))
			want = SW_DROP_SYNACK;
		else if ((set & core) == ACK || (set & core) == (FIN | ACK))
			want = SW_DROP_COOKIE;
		test_context("flags 0x%03x", i);
		r = run_xdp(&p);
		CHECK_EQ(r.reason, want);
	}
}

static const struct row ports[] = {
	{ "SYN to a closed port", { .flags = SYN, .dport = 8000 }, SW_PASS_NO_LISTENER },
	{ "last port of the range", { .flags = SYN, .dport = 8009 }, SW_PASS_NO_LISTENER },
	{ "first port behind the range", { .flags = SYN, .dport = 8010 }, SW_PASS_NOT_GUARDED },
	{ "port before the range", { .flags = SYN, .dport = 7999 }, SW_PASS_NOT_GUARDED },
	{ "ACK to a closed port", { .flags = ACK, .ack = 1, .dport = 8000 }, SW_PASS_NO_LISTENER },
	{ "SYN-ACK to a closed port",
	  { .flags = SYN | ACK, .ack = 1, .dport = 8000 },
	  SW_DROP_SYNACK },
	{ "RST to a closed port", { .flags = RST, .dport = 8000 }, SW_DROP_RST },
	{ "no flags to a closed port", { .dport = 8000 }, SW_DROP_FLAGS },
	{ "bad checksum to a closed port",
	  { .flags = SYN, .dport = 8000, .bad_tcp_csum = 1 },
	  SW_PASS_NO_LISTENER },
	{ "SSH, not guarded", { .flags = SYN, .dport = 22 }, SW_PASS_NOT_GUARDED },
	{ "no flags, not guarded", { .dport = 22 }, SW_PASS_NOT_GUARDED },
	{ "all flags, not guarded", { .flags = 0xff, .dport = 22 }, SW_PASS_NOT_GUARDED },
	{ "reply from port 80 of another server",
	  { .flags = SYN | ACK, .sport = 80, .dport = 50000 },
	  SW_PASS_NOT_GUARDED },
	{ "prefix service", { .flags = SYN, .dport = 443, OPT(SYN_LINUX) }, SW_TX_SYNACK },
	{ "beside the IPv4 prefix",
	  { .flags = SYN, .dport = 443, .dst = "192.0.2.2" },
	  SW_PASS_NOT_GUARDED,
	  .only = ONLY4 },
	{ "beside the IPv6 prefix",
	  { .flags = SYN, .dport = 443, .dst = "2001:db8:1::2" },
	  SW_PASS_NOT_GUARDED,
	  .only = ONLY6 },
	{ "source port 0, SYN", { .flags = SYN, .sport_zero = true }, SW_DROP_PORT_ZERO },
	{ "source port 0, ACK", { .flags = ACK, .sport_zero = true }, SW_DROP_PORT_ZERO },
	{ "source port 0, not guarded",
	  { .flags = SYN, .sport_zero = true, .dport = 22 },
	  SW_PASS_NOT_GUARDED },
	{ "source port 1", { .flags = SYN, .sport = 1 }, SW_TX_SYNACK },
	{ "source port 65535", { .flags = SYN, .sport = 65535 }, SW_TX_SYNACK },
	{ "source port is the service's", { .flags = SYN, .sport = 80 }, SW_TX_SYNACK },
	{ "data offset 0", { .flags = SYN, .lie_doff = LIE(0) }, SW_DROP_TCP_MALFORMED },
	{ "data offset 4", { .flags = SYN, .lie_doff = LIE(4) }, SW_DROP_TCP_MALFORMED },
	{ "data offset past the end", { .flags = SYN, .lie_doff = LIE(6) }, SW_DROP_TCP_MALFORMED },
	{ "data offset 15 past the end",
	  { .flags = ACK, .lie_doff = LIE(15), OPT(ACK_TS) },
	  SW_DROP_TCP_MALFORMED },
	{ "data offset past the end, RST",
	  { .flags = RST, .lie_doff = LIE(15) },
	  SW_DROP_TCP_MALFORMED },
	{ "data offset into padding",
	  { .flags = SYN, .lie_doff = LIE(6), .trailer = 20 },
	  SW_DROP_TCP_MALFORMED },
	{ "data offset 4, not guarded",
	  { .flags = SYN, .lie_doff = LIE(4), .dport = 22 },
	  SW_PASS_NOT_GUARDED },
};

TEST(ports_and_data_offset_decide_before_flags, "A02 H02 E05")
{
	rows_run(ports, ARRAY_SIZE(ports));
}

#define BAD4(address, name)                                                                   \
	{ name " source", { .flags = SYN, .src = address }, SW_DROP_ADDRESS, .only = ONLY4 }, \
	{                                                                                     \
		name " destination", { .flags = SYN, .dst = address }, SW_DROP_ADDRESS,       \
			.only = ONLY4                                                         \
	}
#define BAD6(address, name)                                                                   \
	{ name " source", { .flags = SYN, .src = address }, SW_DROP_ADDRESS, .only = ONLY6 }, \
	{                                                                                     \
		name " destination", { .flags = SYN, .dst = address }, SW_DROP_ADDRESS,       \
			.only = ONLY6                                                         \
	}

static const struct row addresses[] = {
	{ "LAND", { .flags = SYN, .src = SERVER4 }, SW_DROP_ADDRESS, .only = ONLY4 },
	{ "LAND", { .flags = SYN, .src = SERVER6 }, SW_DROP_ADDRESS, .only = ONLY6 },
	{ "LAND with equal ports",
	  { .flags = SYN, .src = SERVER4, .sport = 80 },
	  SW_DROP_ADDRESS,
	  .only = ONLY4 },
	{ "LAND, ACK", { .flags = ACK, .src = SERVER6 }, SW_DROP_ADDRESS, .only = ONLY6 },
	{ "loopback source, RST",
	  { .flags = RST, .src = "127.0.0.1" },
	  SW_DROP_ADDRESS,
	  .only = ONLY4 },
	{ "loopback source, not guarded",
	  { .flags = SYN, .src = "127.0.0.1", .dport = 22 },
	  SW_PASS_NOT_GUARDED,
	  .only = ONLY4 },
	BAD4("127.0.0.1", "loopback"),
	BAD4("127.255.255.254", "end of loopback"),
	BAD4("0.0.0.0", "zero"),
	BAD4("0.1.2.3", "net 0"),
	BAD4("224.0.0.1", "multicast"),
	BAD4("239.255.255.255", "end of multicast"),
	BAD4("255.255.255.255", "broadcast"),
	BAD6("::", "unspecified"),
	BAD6("::1", "loopback"),
	BAD6("ff02::1", "multicast"),
	BAD6("ff0e::1234", "global multicast"),
	BAD6("::ffff:198.51.100.7", "v4-mapped"),
	{ "126.255.255.255 is a host",
	  { .flags = SYN, .src = "126.255.255.255" },
	  SW_TX_SYNACK,
	  .only = ONLY4 },
	{ "128.0.0.1 is a host", { .flags = SYN, .src = "128.0.0.1" }, SW_TX_SYNACK, .only = ONLY4 },
	{ "1.0.0.0 is a host", { .flags = SYN, .src = "1.0.0.0" }, SW_TX_SYNACK, .only = ONLY4 },
	{ "223.255.255.255 is a host",
	  { .flags = SYN, .src = "223.255.255.255" },
	  SW_TX_SYNACK,
	  .only = ONLY4 },
	/* private networks of clouds use it, and Linux takes it for unicast */
	{ "240.0.0.0 is a host", { .flags = SYN, .src = "240.0.0.0" }, SW_TX_SYNACK, .only = ONLY4 },
	{ "255.255.255.254 is a host",
	  { .flags = SYN, .src = "255.255.255.254" },
	  SW_TX_SYNACK,
	  .only = ONLY4 },
	{ "link-local is a host",
	  { .flags = SYN, .src = "fe80::1234" },
	  SW_TX_SYNACK,
	  .only = ONLY6 },
	{ "unique local is a host",
	  { .flags = SYN, .src = "fd00::1" },
	  SW_TX_SYNACK,
	  .only = ONLY6 },
	{ "64:ff9b::/96 is a host",
	  { .flags = SYN, .src = "64:ff9b::c633:6407" },
	  SW_TX_SYNACK,
	  .only = ONLY6 },
};

TEST(addresses_no_wire_carries_are_dropped, "E05")
{
	rows_run(addresses, ARRAY_SIZE(addresses));
}

static const struct row sums[] = {
	{ "TCP checksum one too high, bare SYN",
	  { .flags = SYN, .bad_tcp_csum = 1 },
	  SW_DROP_TCP_CSUM },
	{ "TCP checksum, Linux SYN",
	  { .flags = SYN, OPT(SYN_LINUX), .bad_tcp_csum = 0x8000 },
	  SW_DROP_TCP_CSUM },
	{ "TCP checksum, Windows SYN",
	  { .flags = SYN, OPT(SYN_WINDOWS), .bad_tcp_csum = 0x0100 },
	  SW_DROP_TCP_CSUM },
	{ "TCP checksum, macOS SYN",
	  { .flags = SYN, OPT(SYN_MACOS), .bad_tcp_csum = 3 },
	  SW_DROP_TCP_CSUM },
	{ "TCP checksum, SYN with odd data",
	  { .flags = SYN, .payload = 33, .bad_tcp_csum = 1 },
	  SW_DROP_TCP_CSUM },
	{ "TCP checksum, SYN with much data",
	  { .flags = SYN, .payload = 1400, .bad_tcp_csum = 1 },
	  SW_DROP_TCP_CSUM },
	{ "TCP checksum, ACK without cookie",
	  { .flags = ACK, .ack = 5, .bad_tcp_csum = 1 },
	  SW_DROP_COOKIE },
	{ "TCP checksum, RST", { .flags = RST, .bad_tcp_csum = 1 }, SW_DROP_RST },
	{ "TCP checksum, not guarded",
	  { .flags = SYN, .dport = 22, .bad_tcp_csum = 1 },
	  SW_PASS_NOT_GUARDED },
	{ "IP checksum, SYN", { .flags = SYN, .bad_ip_csum = 1 }, SW_DROP_IP_CSUM, .only = ONLY4 },
	{ "IP checksum, SYN with IP options",
	  { .flags = SYN, IP_OPT("\x94\x04\x00\x00"), .bad_ip_csum = 0x4000 },
	  SW_DROP_IP_CSUM,
	  .only = ONLY4 },
	{ "both checksums",
	  { .flags = SYN, .bad_ip_csum = 1, .bad_tcp_csum = 1 },
	  SW_DROP_IP_CSUM,
	  .only = ONLY4 },
	{ "IP checksum, RST", { .flags = RST, .bad_ip_csum = 1 }, SW_DROP_RST, .only = ONLY4 },
	{ "bad checksum before MD5",
	  { .flags = SYN,
	    .bad_tcp_csum = 1,
	    OPT("\x13\x12"
		"0123456789abcdef") },
	  SW_DROP_TCP_CSUM },
	{ "bad checksum before tiny MSS",
	  { .flags = SYN, .bad_tcp_csum = 1, OPT("\x02\x04\x00\x01") },
	  SW_DROP_TCP_CSUM },
	{ "partial checksum, bare SYN", { .flags = SYN, .partial = true }, SW_TX_SYNACK },
	{ "partial checksum, Linux SYN",
	  { .flags = SYN, OPT(SYN_LINUX), .partial = true },
	  SW_TX_SYNACK },
	{ "partial checksum, SYN with data",
	  { .flags = SYN, .payload = 77, .partial = true },
	  SW_TX_SYNACK },
	{ "partial checksum off by one",
	  { .flags = SYN, .partial = true, .bad_tcp_csum = 1 },
	  SW_DROP_TCP_CSUM },
};

TEST(received_checksums_are_verified_before_anything_is_answered, "H04 H05")
{
	rows_run(sums, ARRAY_SIZE(sums));
}

static const struct row padding[] = {
	{ "bare SYN padded to 60", { .flags = SYN, .pad = 60 }, SW_TX_SYNACK },
	{ "bare SYN padded to 64", { .flags = SYN, .pad = 64 }, SW_TX_SYNACK },
	{ "SYN with 4 bytes of trailer", { .flags = SYN, .trailer = 4 }, SW_TX_SYNACK },
	{ "SYN with 5 bytes of trailer", { .flags = SYN, .trailer = 5 }, SW_TX_SYNACK },
	{ "Linux SYN with trailer", { .flags = SYN, OPT(SYN_LINUX), .trailer = 1 }, SW_TX_SYNACK },
	{ "macOS SYN with 300 bytes of trailer",
	  { .flags = SYN, OPT(SYN_MACOS), .trailer = 300 },
	  SW_TX_SYNACK },
	{ "MSS-only SYN padded and trailed",
	  { .flags = SYN, OPT(OPT_MSS1460), .pad = 60, .trailer = 4 },
	  SW_TX_SYNACK },
	{ "SYN with data and trailer", { .flags = SYN, .payload = 9, .trailer = 6 }, SW_TX_SYNACK },
	{ "padded ACK", { .flags = ACK, .ack = 3, .pad = 60 }, SW_DROP_COOKIE },
	{ "padded RST", { .flags = RST, .pad = 60, .trailer = 4 }, SW_DROP_RST },
	{ "padded no flags", { .pad = 60 }, SW_DROP_FLAGS },
	{ "padded UDP", { .proto = 17, .payload = 4, .pad = 60 }, SW_PASS_NOT_TCP },
};

TEST(lengths_come_from_the_ip_header_never_from_the_frame, "H01")
{
	rows_run(padding, ARRAY_SIZE(padding));
}

/* 3 bytes of TCP and padding that spells a guarded port: those are not its ports. */
TEST(padding_is_never_read_as_ports, "H01 H02")
{
	static struct packet p;

	listen_on(4, 80, 8);
	listen_on(6, 80, 8);
	for (uint8_t family = 4; family <= 6; family += 2)
		for (uint8_t keep = 0; keep < 4; keep++) {
			struct result r;

			packet_build(&p, &(struct spec){ .family = family, .flags = SYN });
			p.data[p.l3 + (family == 6 ? 5 : 3)] =
				(uint8_t)(keep + (family == 6 ? 0 : 20));
			if (family == 4) { /* a valid header checksum again */
				uint16_t sum;

				memset(p.data + p.l3 + 10, 0, 2);
				sum = (uint16_t)~csum_of(p.data + p.l3, 20, 0);
				p.data[p.l3 + 10] = (uint8_t)(sum >> 8);
				p.data[p.l3 + 11] = (uint8_t)sum;
			}
			test_context("IPv%d, %d bytes of TCP", family, keep);
			r = run_xdp(&p);
			CHECK_PASSED(&r, &p, SW_PASS_IP_MALFORMED);
		}
}
