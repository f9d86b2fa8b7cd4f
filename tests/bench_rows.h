/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the bench measures: each row, the frame its wrapper starts from, and what a valid
 * answer to it is. A new row is a line in the table.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdbool.h>

#include "bench.h"
#include "bench_host.h"
#include "sw_reasons.h"

#define MIN_ETH_FRAME 60 /* what a wire delivers, without FCS */

#define SYN 0x02
#define RST 0x04
#define ACK 0x10

enum layout {
	BARE,
	LINUX,
	WINDOWS,
	APPLE,
	ODD,
	TS_ONLY
};

struct options_of {
	__u8 len, tsval_at;
	__u8 bytes[24];
};

/* MSS 1460 throughout; ODD is valid and sent by nobody: it takes the walk option by option. */
static const struct options_of layouts[] = {
	[BARE] = { 0, 0, {} },
	[LINUX] = { 20, 8, { 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7 } },
	[WINDOWS] = { 12, 0, { 2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2 } },
	[APPLE] = { 24,
		    12,
		    { 2, 4, 5, 180, 1, 3, 3, 6, 1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 4, 2 } },
	[ODD] = { 20, 4, { 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 7, 1, 2, 4, 5, 180 } },
	[TS_ONLY] = { 12, 4, { 1, 1, 8, 10 } },
};

enum target {
	REQSK,
	LISTENER,
	BARE_TX,
	TC_IN
};

struct row {
	const char *name;
	const char *text;
	enum target target;
	int family;
	enum layout layout;
	__u8 flags; /* of TCP, wire */
	__u16 port;
	enum sw_reason reason;
	bool answers;
	__u32 connections; /* 0: random sources */
};

static const struct row rows[] = {
	{ "bare-tx", "bare XDP_TX, no wrapper", BARE_TX, 4, LINUX, SYN, PORT, 0, true, 0 },
	{ "syn4", "SYN, Linux options, IPv4", REQSK, 4, LINUX, SYN, PORT, SW_TX_SYNACK, true, 0 },
	{ "syn6", "SYN, Linux options, IPv6", REQSK, 6, LINUX, SYN, PORT, SW_TX_SYNACK, true, 0 },
	{ "syn4-bare", "SYN, no options", REQSK, 4, BARE, SYN, PORT, SW_TX_SYNACK, true, 0 },
	{ "syn4-windows", "SYN, Windows options", REQSK, 4, WINDOWS, SYN, PORT, SW_TX_SYNACK, true,
	  0 },
	{ "syn4-apple", "SYN, Apple options", REQSK, 4, APPLE, SYN, PORT, SW_TX_SYNACK, true, 0 },
	{ "syn4-odd", "SYN, options in an order of nobody", REQSK, 4, ODD, SYN, PORT, SW_TX_SYNACK,
	  true, 0 },
	{ "syn4-listener", "SYN, engine listener", LISTENER, 4, LINUX, SYN, PORT_LISTENER,
	  SW_TX_SYNACK, true, 0 },
	{ "known", "segment of one connection", REQSK, 4, TS_ONLY, ACK, PORT, SW_PASS_KNOWN, false,
	  1 },
	{ "known-8k", "segment of 8192 connections, random", REQSK, 4, TS_ONLY, ACK, PORT,
	  SW_PASS_KNOWN, false, CONNECTIONS },
	{ "ack-ts", "bogus ACK, timestamps", REQSK, 4, TS_ONLY, ACK, PORT, SW_DROP_COOKIE, false,
	  0 },
	{ "ack-bare", "bogus ACK, no options", REQSK, 4, BARE, ACK, PORT, SW_DROP_COOKIE, false,
	  0 },
	{ "synack", "bogus SYN-ACK", REQSK, 4, LINUX, SYN | ACK, PORT, SW_DROP_COOKIE, false, 0 },
	{ "rst", "bogus RST", REQSK, 4, BARE, RST, PORT, SW_PASS_RST, false, 0 },
	{ "not-guarded", "SYN to a port not guarded", REQSK, 4, LINUX, SYN, PORT_OTHER,
	  SW_PASS_NOT_GUARDED, false, 0 },
	{ "tc-in", "tc ingress, packet without mark", TC_IN, 4, TS_ONLY, ACK, PORT, 0, false, 1 },
};
#define ROWS ARRAY_SIZE(rows)

static inline __u64 sum_words(const void *data, size_t len)
{
	const __u8 *bytes = data;
	__u64 sum = 0;
	__u16 word;

	for (; len > 1; len -= 2, bytes += 2) {
		memcpy(&word, bytes, 2);
		sum += word;
	}
	return len ? sum + *bytes : sum;
}

static inline __u16 fold(__u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

/* Sums leave out what the wrapper writes: source port, sequence number, its part of the rest. */
static inline size_t put_ip(const struct row *row, struct bench_conf *c, __u16 tcp_len)
{
	void *at = (char *)c->frame + ETH_HLEN;

	if (row->family == 4) {
		struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP };

		ip.tot_len = htons(sizeof(ip) + tcp_len);
		ip.frag_off = htons(IP_DF);
		inet_pton(AF_INET, SERVER4, &ip.daddr);
		if (!c->random_source)
			inet_pton(AF_INET, CLIENT4, &ip.saddr);
		c->ip_sum = sum_words(&ip, sizeof(ip));
		ip.check = ~fold(c->ip_sum);
		c->tcp_sum = sum_words(&ip.saddr, 8);
		memcpy(at, &ip, sizeof(ip));
		return ETH_HLEN + sizeof(ip);
	}
	struct ip6_hdr ip6 = { .ip6_flow = htonl(6U << 28), .ip6_plen = htons(tcp_len) };

	ip6.ip6_nxt = IPPROTO_TCP;
	ip6.ip6_hops = 64;
	inet_pton(AF_INET6, SERVER6, &ip6.ip6_dst);
	inet_pton(AF_INET6, c->random_source ? "2001:db8::" : CLIENT6, &ip6.ip6_src);
	c->tcp_sum = sum_words(&ip6.ip6_src, 32);
	memcpy(at, &ip6, sizeof(ip6));
	return ETH_HLEN + sizeof(ip6);
}

static inline void make_conf(const struct row *row, struct bench_conf *c)
{
	static const __u8 macs[12] = { 2, 0, 0, 0, 9, 2, 2, 0, 0, 0, 9, 1 };
	const struct options_of *o = &layouts[row->layout];
	struct tcphdr th = { .doff = (sizeof(th) + o->len) / 4, .window = htons(64240) };
	char *frame = (char *)c->frame;
	__u16 tcp_len = sizeof(th) + o->len;
	size_t at;

	c->family = row->family;
	c->random_source = !row->connections;
	c->ports = row->connections ?: 32768;
	c->random_ack = !!(row->flags & ACK);
	c->tsval_off = o->tsval_at ? sizeof(th) + o->tsval_at : 0;
	memcpy(frame, macs, sizeof(macs));
	*(__u16 *)(frame + 12) = htons(row->family == 4 ? ETH_P_IP : ETH_P_IPV6);
	at = put_ip(row, c, tcp_len);
	th.source = htons(FIRST_SPORT);
	th.dest = htons(row->port);
	((__u8 *)&th)[13] = row->flags;
	memcpy(frame + at, &th, sizeof(th));
	memcpy(frame + at + sizeof(th), o->bytes, o->len);
	c->tcp_sum += sum_words(frame + at, tcp_len) - th.source;
	c->tcp_sum += htons(IPPROTO_TCP) + htons(tcp_len);
	c->frame_len = at + tcp_len < MIN_ETH_FRAME ? MIN_ETH_FRAME : at + tcp_len;
	/* the SYN-ACK of Linux' and Windows' options over IPv4 is as long as its SYN */
	c->restore = row->answers && (row->layout != LINUX || row->target == LISTENER) &&
		     row->layout != WINDOWS;
}

static inline const char *synack_fault(const struct row *row, const __u8 *f, __u32 len, __u32 seq)
{
	size_t hdr = ETH_HLEN + (row->family == 4 ? 20 : 40);
	struct tcphdr th;
	__u64 sum;

	if (len < hdr + sizeof(th))
		return "too short";
	memcpy(&th, f + hdr, sizeof(th));
	if (f[hdr + 13] != (SYN | ACK) || th.dest == htons(row->port) ||
	    th.source != htons(row->port))
		return "not a SYN-ACK of the port";
	if (ntohl(th.ack_seq) != ntohl(seq) + 1)
		return "acknowledges another SYN";
	if (len != hdr + th.doff * 4)
		return "length and data offset disagree";
	if (row->family == 4 && fold(sum_words(f + ETH_HLEN, 20)) != 0xffff)
		return "wrong IPv4 checksum";
	sum = row->family == 4 ? sum_words(f + 26, 8) : sum_words(f + 22, 32);
	sum += htons(IPPROTO_TCP) + htons(len - hdr) + sum_words(f + hdr, len - hdr);
	return fold(sum) == 0xffff ? NULL : "wrong TCP checksum";
}

#endif /* BENCH_ROWS_H */
