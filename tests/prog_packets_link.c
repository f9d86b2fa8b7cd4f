/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Golden packets: Ethernet, VLAN tags, what is not IP, what is not TCP, tunnels, stations. */
#include <bpf/bpf.h>

#include "rows.h"

#define ARP_REQUEST                                                                \
	"\x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x5e\x10\x00\x07\xc6\x33\x64\x07" \
	"\x00\x00\x00\x00\x00\x00\xc0\x00\x02\x01"
#define DATA(bytes) .data = (bytes), .payload = sizeof(bytes) - 1
/* source port, destination port, length, checksum of none */
#define UDP(sport, dport)                   \
	DATA(sport dport "\x00\x10\x00\x00" \
			 "\x08\x00\x00\x00\x00\x00\x64\x00")

static const struct row not_ip[] = {
	{ "ARP request", { .ethertype = 0x0806, DATA(ARP_REQUEST), .pad = 60 }, SW_PASS_NOT_IP },
	{ "ARP to broadcast",
	  { .mac = MAC_BROADCAST, .ethertype = 0x0806, DATA(ARP_REQUEST) },
	  SW_PASS_NOT_IP },
	{ "RARP", { .ethertype = 0x8035, .payload = 28 }, SW_PASS_NOT_IP },
	{ "LLDP to its multicast address",
	  { .mac = MAC_MULTICAST, .ethertype = 0x88cc, .payload = 60 },
	  SW_PASS_NOT_IP },
	{ "spanning tree: a length, no ethertype",
	  { .mac = MAC_MULTICAST, .ethertype = 38, .payload = 46 },
	  SW_PASS_NOT_IP },
	{ "EAPOL", { .ethertype = 0x888e, .payload = 46 }, SW_PASS_NOT_IP },
	{ "MACsec", { .ethertype = 0x88e5, .payload = 64 }, SW_PASS_NOT_IP },
	{ "PTP", { .ethertype = 0x88f7, .payload = 44 }, SW_PASS_NOT_IP },
	{ "IPX", { .ethertype = 0x8137, .payload = 46 }, SW_PASS_NOT_IP },
	{ "ethertype 0x9000", { .ethertype = 0x9000, .payload = 46 }, SW_PASS_NOT_IP },
	{ "ethertype 0xffff, empty", { .ethertype = 0xffff }, SW_PASS_NOT_IP },
	{ "PPPoE discovery", { .ethertype = 0x8863, .payload = 46 }, SW_PASS_TUNNEL },
	{ "PPPoE session", { .ethertype = 0x8864, .payload = 64 }, SW_PASS_TUNNEL },
	{ "MPLS unicast", { .ethertype = 0x8847, .payload = 64 }, SW_PASS_TUNNEL },
	{ "MPLS multicast", { .ethertype = 0x8848, .payload = 64 }, SW_PASS_TUNNEL },
};

TEST(what_is_not_ip_passes_untouched, "E07 H02 H10")
{
	rows_run(not_ip, ARRAY_SIZE(not_ip));
}

/* The begin of a SYN-ACK of port 80 to somebody, as a router or a host quotes it. */
#define QUOTED_TCP \
	"\x00\x50\x9c\x40\x01\x02\x03\x04\x05\x06\x07\x08\x50\x12\xfa\xf0\x00\x00\x00\x00"
#define QUOTED4 \
	"\x45\x00\x00\x28\x00\x00\x40\x00\x40\x06\x00\x00\xc0\x00\x02\x01\xcb\x00\x71\x42" QUOTED_TCP
#define QUOTED6                                                                            \
	"\x60\x00\x00\x00\x00\x14\x06\x40\x20\x01\x0d\xb8\x00\x01\x00\x00\x00\x00\x00\x00" \
	"\x00\x00\x00\x01\x20\x01\x0d\xb8\x00\x66\x00\x00\x00\x00\x00\x00\x00\x00\x00\x66" QUOTED_TCP

static const struct row not_tcp[] = {
	{ "UDP to port 80", { .proto = 17, UDP("\x9c\x40", "\x00\x50") }, SW_PASS_NOT_TCP },
	{ "UDP from port 4789", { .proto = 17, UDP("\x12\xb5", "\x00\x50") }, SW_PASS_NOT_TCP },
	{ "DNS over UDP", { .proto = 17, UDP("\x00\x35", "\x9c\x40") }, SW_PASS_NOT_TCP },
	{ "ESP in UDP 4500", { .proto = 17, UDP("\x11\x94", "\x11\x94") }, SW_PASS_NOT_TCP },
	{ "UDP of 3 bytes", { .proto = 17, DATA("\x00\x50\x00") }, SW_PASS_NOT_TCP },
	{ "UDP of no bytes", { .proto = 17 }, SW_PASS_NOT_TCP },
	{ "UDP to foreign station",
	  { .mac = MAC_FOREIGN, .proto = 17, .payload = 16 },
	  SW_PASS_NOT_TCP },
	{ "ICMP unreachable, of a SYN-ACK from port 80",
	  { .proto = 1, DATA("\x03\x03\x00\x00\x00\x00\x00\x00" QUOTED4) },
	  SW_PASS_NOT_TCP,
	  .only = ONLY4 },
	{ "ICMP time exceeded, of a SYN-ACK from port 80",
	  { .proto = 1, DATA("\x0b\x00\x00\x00\x00\x00\x00\x00" QUOTED4) },
	  SW_PASS_NOT_TCP,
	  .only = ONLY4 },
	{ "ICMP fragmentation needed, forged: MTU 68",
	  { .proto = 1, DATA("\x03\x04\x00\x00\x00\x00\x00\x44" QUOTED4) },
	  SW_PASS_NOT_TCP,
	  .only = ONLY4 },
	{ "ICMPv6 unreachable, of a SYN-ACK from port 80",
	  { .proto = 58, DATA("\x01\x04\x00\x00\x00\x00\x00\x00" QUOTED6) },
	  SW_PASS_NOT_TCP,
	  .only = ONLY6 },
	{ "ICMPv6 packet too big, forged: MTU 68",
	  { .proto = 58, DATA("\x02\x00\x00\x00\x00\x00\x00\x44" QUOTED6) },
	  SW_PASS_NOT_TCP,
	  .only = ONLY6 },
	{ "ICMP echo", { .proto = 1, .payload = 64 }, SW_PASS_NOT_TCP, .only = ONLY4 },
	{ "IGMP",
	  { .mac = MAC_MULTICAST,
	    .proto = 2,
	    .payload = 8,
	    .dst = "224.0.0.1",
	    IP_OPT("\x94\x04\x00\x00") },
	  SW_PASS_NOT_TCP,
	  .only = ONLY4 },
	{ "ICMPv6 neighbour solicitation",
	  { .mac = MAC_MULTICAST, .proto = 58, .payload = 32, .dst = "ff02::1:ff00:1" },
	  SW_PASS_NOT_TCP,
	  .only = ONLY6 },
	{ "ICMPv6 router advertisement",
	  { .proto = 58, .payload = 56, .src = "fe80::1", .dst = "ff02::1" },
	  SW_PASS_NOT_TCP,
	  .only = ONLY6 },
	{ "MLD with hop-by-hop",
	  { .ext = { { 0, 8 } }, .proto = 58, .payload = 28 },
	  SW_PASS_NOT_TCP,
	  .only = ONLY6 },
	{ "no next header", { .proto = 59 }, SW_PASS_NOT_TCP, .only = ONLY6 },
	{ "no next header, with bytes",
	  { .proto = 59, .payload = 40 },
	  SW_PASS_NOT_TCP,
	  .only = ONLY6 },
	{ "destination options, then UDP",
	  { .ext = { { 60, 8 } }, .proto = 17, .payload = 16 },
	  SW_PASS_NOT_TCP,
	  .only = ONLY6 },
	{ "SCTP", { .proto = 132, .payload = 32 }, SW_PASS_NOT_TCP },
	{ "UDP-Lite", { .proto = 136, .payload = 32 }, SW_PASS_NOT_TCP },
	{ "OSPF", { .proto = 89, .payload = 44 }, SW_PASS_NOT_TCP },
	{ "VRRP", { .proto = 112, .payload = 20 }, SW_PASS_NOT_TCP },
	{ "DCCP", { .proto = 33, .payload = 20 }, SW_PASS_NOT_TCP },
	{ "host identity protocol", { .proto = 139, .payload = 40 }, SW_PASS_NOT_TCP },
	{ "unknown protocol 253", { .proto = 253, .payload = 40 }, SW_PASS_NOT_TCP },
	{ "protocol 255", { .proto = 255, .payload = 40 }, SW_PASS_NOT_TCP },
	{ "protocol 0 in IPv4",
	  { .lie_proto = 256, .payload = 40 },
	  SW_PASS_NOT_TCP,
	  .only = ONLY4 },
};

TEST(what_is_not_tcp_passes_untouched, "E07 H02 I02 J05")
{
	rows_run(not_tcp, ARRAY_SIZE(not_tcp));
}

static const struct row tunnels[] = {
	{ "IP in IP", { .proto = 4, .payload = 60 }, SW_PASS_TUNNEL },
	{ "IPv6 in IP", { .proto = 41, .payload = 80 }, SW_PASS_TUNNEL },
	{ "GRE", { .proto = 47, .payload = 64 }, SW_PASS_TUNNEL },
	{ "VXLAN", { .proto = 17, UDP("\x9c\x40", "\x12\xb5") }, SW_PASS_TUNNEL },
	{ "Geneve", { .proto = 17, UDP("\x9c\x40", "\x17\xc1") }, SW_PASS_TUNNEL },
	{ "VXLAN behind IP options",
	  { .proto = 17, IP_OPT("\x94\x04\x00\x00"), UDP("\x9c\x40", "\x12\xb5") },
	  SW_PASS_TUNNEL,
	  .only = ONLY4 },
	{ "destination options, then GRE",
	  { .ext = { { 60, 16 } }, .proto = 47, .payload = 64 },
	  SW_PASS_TUNNEL,
	  .only = ONLY6 },
	{ "hop-by-hop, then IPv6 in IPv6",
	  { .ext = { { 0, 8 } }, .proto = 41, .payload = 80 },
	  SW_PASS_TUNNEL,
	  .only = ONLY6 },
	{ "ESP", { .proto = 50, .payload = 64 }, SW_PASS_IPSEC },
	{ "AH as protocol", { .proto = 51, .payload = 64 }, SW_PASS_IPSEC },
	{ "AH before TCP", { .ext = { { 51, 24 } }, .flags = SYN }, SW_PASS_IPSEC, .only = ONLY6 },
	{ "routing header, then ESP",
	  { .ext = { { 43, 24 } }, .proto = 50, .payload = 64 },
	  SW_PASS_IPSEC,
	  .only = ONLY6 },
};

TEST(tunnels_and_ipsec_pass_uninspected, "H10 E07")
{
	rows_run(tunnels, ARRAY_SIZE(tunnels));
}

#define TAGS(n, ...) .vlans = (n), .tpid = { __VA_ARGS__ }

static const struct row tags[] = {
	{ "priority tag",
	  { TAGS(1, 0x8100), .tci = { 0xe000 }, .flags = SYN, OPT(SYN_LINUX) },
	  SW_TX_SYNACK,
	  .as_is = true },
	{ "drop eligible tag",
	  { TAGS(1, 0x8100), .tci = { 0x1064 }, .flags = SYN },
	  SW_TX_SYNACK,
	  .as_is = true },
	{ "one service tag",
	  { TAGS(1, 0x88a8), .flags = SYN, OPT(SYN_LINUX) },
	  SW_TX_SYNACK,
	  .as_is = true },
	{ "two customer tags",
	  { TAGS(2, 0x8100, 0x8100), .flags = SYN },
	  SW_TX_SYNACK,
	  .as_is = true },
	{ "two service tags",
	  { TAGS(2, 0x88a8, 0x88a8), .flags = SYN, OPT(SYN_WINDOWS) },
	  SW_TX_SYNACK,
	  .as_is = true },
	{ "tag 4095 in tag 1",
	  { TAGS(2, 0x88a8, 0x8100), .tci = { 0x0fff, 0x0001 }, .flags = SYN, OPT(SYN_MACOS) },
	  SW_TX_SYNACK,
	  .as_is = true },
	{ "three tags",
	  { TAGS(3, 0x8100, 0x8100, 0x8100), .flags = SYN },
	  SW_PASS_VLAN_DEPTH,
	  .as_is = true },
	{ "four tags",
	  { TAGS(4, 0x88a8, 0x8100, 0x8100, 0x8100), .flags = SYN },
	  SW_PASS_VLAN_DEPTH,
	  .as_is = true },
	{ "three tags before ARP",
	  { TAGS(3, 0x8100, 0x8100, 0x88a8), .ethertype = 0x0806, .payload = 28 },
	  SW_PASS_VLAN_DEPTH,
	  .as_is = true },
	{ "tag with the old type 0x9100",
	  { TAGS(1, 0x9100), .flags = SYN },
	  SW_PASS_NOT_IP,
	  .as_is = true },
	{ "tag 0x8100 over 0x9100",
	  { TAGS(2, 0x8100, 0x9100), .flags = SYN },
	  SW_PASS_NOT_IP,
	  .as_is = true },
	{ "frame ends in the first tag",
	  { TAGS(1, 0x8100), .flags = SYN, .cut = 16 },
	  SW_PASS_NOT_IP,
	  .as_is = true },
	{ "frame ends in the second tag",
	  { TAGS(2, 0x88a8, 0x8100), .flags = SYN, .cut = 20 },
	  SW_PASS_NOT_IP,
	  .as_is = true },
	{ "frame ends behind the ethertype",
	  { .flags = SYN, .cut = 14 },
	  SW_PASS_IP_MALFORMED,
	  .as_is = true },
	{ "tagged PPPoE",
	  { TAGS(1, 0x8100), .ethertype = 0x8864, .payload = 46 },
	  SW_PASS_TUNNEL,
	  .as_is = true },
};

TEST(vlan_tags_are_parsed_to_two_and_kept_in_the_answer, "H09")
{
	rows_run(tags, ARRAY_SIZE(tags));
}

static const struct row stations[] = {
	{ "SYN to another station",
	  { .mac = MAC_FOREIGN, .flags = SYN, OPT(SYN_LINUX) },
	  SW_PASS_FOREIGN_MAC },
	{ "SYN to broadcast", { .mac = MAC_BROADCAST, .flags = SYN }, SW_PASS_FOREIGN_MAC },
	{ "SYN to multicast", { .mac = MAC_MULTICAST, .flags = SYN }, SW_PASS_FOREIGN_MAC },
	{ "ACK to another station", { .mac = MAC_FOREIGN, .flags = ACK }, SW_PASS_FOREIGN_MAC },
	{ "RST to another station", { .mac = MAC_FOREIGN, .flags = RST }, SW_PASS_FOREIGN_MAC },
	{ "no flags, another station", { .mac = MAC_FOREIGN }, SW_PASS_FOREIGN_MAC },
	{ "bad address, another station",
	  { .mac = MAC_FOREIGN, .flags = SYN, .src = "127.0.0.1" },
	  SW_PASS_FOREIGN_MAC,
	  .only = ONLY4 },
	{ "closed port, another station",
	  { .mac = MAC_FOREIGN, .flags = SYN, .dport = 8000 },
	  SW_PASS_FOREIGN_MAC },
	{ "unguarded port, another station",
	  { .mac = MAC_FOREIGN, .flags = SYN, .dport = 22 },
	  SW_PASS_NOT_GUARDED },
};

TEST(frames_for_another_station_are_never_answered_or_dropped, "H12")
{
	rows_run(stations, ARRAY_SIZE(stations));
}

/* A device without an entry in sw_devs: its address is not known, so it cannot be checked. */
TEST(device_without_known_address_checks_no_mac, "H12")
{
	static struct packet p;
	uint32_t lo = LO_IFINDEX;
	struct result r;
	struct frame f;

	listen_on(4, 80, 8);
	MUST(bpf_map_delete_elem(map_fd("sw_devs"), &lo));
	packet_build(&p, &(struct spec){ .mac = MAC_FOREIGN, .flags = SYN, OPT(SYN_LINUX) });
	r = run_xdp(&p);
	CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
	synack_check(&p, &r, &f);
}
