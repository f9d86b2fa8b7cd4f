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

#define FIN     0x01
#define SYN     0x02
#define RST     0x04
#define ACK     0x10
#define FIN_ACK (FIN | ACK)
#define SYN_ACK (SYN | ACK)

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

/* Which guard a row meets. */
enum guard {
	EMPTY,    /* knows nobody */
	LISTENER, /* as that, of the other engine */
	HOST,     /* of the host's real connections */
	MILLION,  /* of a million more */
	GUARDS
};

enum where {
	XDP,
	TC_IN,
	TC_OUT,
	BARE_TX
};

/* Whom the segments come from. */
enum source {
	SPOOFED,
	ONE, /* connection of the host */
	EACH,
	CLOSING,
	TO_RESET,
	CROWD,  /* a million connections */
	MARKED, /* the presence filter knows them, the host does not */
};

static const struct source_of {
	const char *client4, *client6;
	__u32 hosts;
	__u16 port;
	__u32 ports;
} sources[] = {
	[SPOOFED] = { "16.0.0.0", "2001:db8::", 1U << 28, 32768, 32768 },
	[ONE] = { CLIENT4, CLIENT6, 1, FIRST_SPORT, 1 },
	[EACH] = { CLIENT4, CLIENT6, 1, FIRST_SPORT, CONNECTIONS },
	[CLOSING] = { CLIENT4, CLIENT6, 1, SPORT_CLOSING, 1 },
	[TO_RESET] = { CLIENT4, CLIENT6, 1, SPORT_RESET, 1 },
	[CROWD] = { "48.0.0.0", "", 1000, FIRST_SPORT, 1000 },
	[MARKED] = { "64.0.0.0", "", 64, FIRST_SPORT, 1024 },
};

/* Socket lookups for tuples in no table; the row ends if it is not so. */
enum asked {
	NEVER,
	RARELY, /* where the presence filter errs */
	ALWAYS
};

/* Sequence numbers: anywhere, in the window but for its first byte, beyond it, in it. */
enum numbers {
	ANYWHERE,
	INSIDE,
	OUTSIDE,
	NEXT
};

static const struct {
	__u32 first, mask;
} numbers[] = {
	[ANYWHERE] = { 0, ~0U },
	[INSIDE] = { RCV_NXT + 1, 0x3fff }, /* below the least window of a socket */
	[OUTSIDE] = { RCV_NXT + (1U << 30), (1U << 30) - 1 },
	[NEXT] = { RCV_NXT, 0x3fff },
};

/* What the service is told to do besides, see bench_policy.h. */
#define BY_AUTO   1 /* mode auto, armed */
#define BY_LIMITS 2 /* on sources, address and net */
#define BY_LISTS  4 /* a few prefixes denied and allowed */
#define BY_DENIED 8 /* 100,000 addresses of those that SYNs come from denied */
#define BY_ALL    (BY_AUTO | BY_LIMITS | BY_LISTS)

struct row {
	const char *name;
	const char *text;
	enum guard guard;
	enum where where;
	int family;
	enum layout layout;
	__u8 flags; /* of TCP, wire */
	enum source source;
	enum numbers numbers;
	enum sw_reason reason; /* of every packet; SW_CONTINUE: not counted */
	enum asked asked;
	__u32 challenges; /* a second, to each connection */
	bool fin_waits;   /* some connection's FIN came out of order */
	__u16 port;       /* 0: the guarded one */
	__u32 policy;     /* BY_* */
	const char *than; /* the row it is compared with, which comes before it */
};

#define FREELY 1000000000

/* clang-format off */
static const struct row rows[] = {
	{ "bare-tx", "bare XDP_TX, no wrapper", EMPTY, BARE_TX, 4, LINUX, .flags = SYN },
	{ "syn4", "SYN, Linux options, IPv4", EMPTY, XDP, 4, LINUX, SYN, .reason = SW_TX_SYNACK },
	{ "syn6", "SYN, Linux options, IPv6", EMPTY, XDP, 6, LINUX, SYN, .reason = SW_TX_SYNACK },
	{ "syn4-bare", "SYN, no options", EMPTY, XDP, 4, BARE, SYN, .reason = SW_TX_SYNACK },
	{ "syn4-windows", "SYN, Windows options", EMPTY, XDP, 4, WINDOWS, SYN, .reason = SW_TX_SYNACK },
	{ "syn4-apple", "SYN, Apple options", EMPTY, XDP, 4, APPLE, SYN, .reason = SW_TX_SYNACK },
	{ "syn4-odd", "SYN, options in an order of nobody", EMPTY, XDP, 4, ODD, SYN,
	  .reason = SW_TX_SYNACK },
	{ "syn4-listener", "SYN, engine listener", LISTENER, XDP, 4, LINUX, SYN,
	  .reason = SW_TX_SYNACK, .port = PORT_LISTENER },
	{ "syn4-auto", "SYN, mode auto, armed", EMPTY, XDP, 4, LINUX, SYN, .reason = SW_TX_SYNACK,
	  .policy = BY_AUTO, .than = "syn4" },
	{ "syn4-limits", "SYN, limits on sources", EMPTY, XDP, 4, LINUX, SYN, .reason = SW_TX_SYNACK,
	  .policy = BY_LIMITS, .than = "syn4" },
	{ "syn4-lists", "SYN, deny and allow list", EMPTY, XDP, 4, LINUX, SYN,
	  .reason = SW_TX_SYNACK, .policy = BY_LISTS, .than = "syn4" },
	{ "syn4-denied", "SYN, 100,000 addresses around it denied", EMPTY, XDP, 4, LINUX, SYN,
	  .reason = SW_TX_SYNACK, .policy = BY_DENIED, .than = "syn4" },
	{ "syn4-all", "SYN, mode auto, limits, lists", EMPTY, XDP, 4, LINUX, SYN,
	  .reason = SW_TX_SYNACK, .policy = BY_ALL, .than = "syn4" },
	{ "syn6-auto", "SYN, mode auto, armed, IPv6", EMPTY, XDP, 6, LINUX, SYN,
	  .reason = SW_TX_SYNACK, .policy = BY_AUTO, .than = "syn6" },
	{ "syn6-limits", "SYN, limits on sources, IPv6", EMPTY, XDP, 6, LINUX, SYN,
	  .reason = SW_TX_SYNACK, .policy = BY_LIMITS, .than = "syn6" },
	{ "known", "established segment, hot", HOST, XDP, 4, TS_ONLY, ACK, ONE, NEXT,
	  .reason = SW_PASS_KNOWN },
	{ "known6", "established segment, hot, IPv6", HOST, XDP, 6, TS_ONLY, ACK, ONE, NEXT,
	  .reason = SW_PASS_KNOWN },
	{ "known-8k", "established segment, random over 8192 connections", HOST, XDP, 4, TS_ONLY,
	  ACK, EACH, NEXT, .reason = SW_PASS_KNOWN },
	{ "known-1m", "established segment, random over 1,000,000 connections", MILLION, XDP, 4,
	  TS_ONLY, ACK, CROWD, NEXT, .reason = SW_PASS_KNOWN },
	{ "known-limits", "established segment, limits on sources", HOST, XDP, 4, TS_ONLY, ACK, ONE,
	  NEXT, .reason = SW_PASS_KNOWN, .policy = BY_LIMITS, .than = "known" },
	{ "known-all", "established segment, mode auto, limits, lists", HOST, XDP, 4, TS_ONLY, ACK,
	  ONE, NEXT, .reason = SW_PASS_KNOWN, .policy = BY_ALL, .than = "known" },
	{ "known6-all", "established segment, IPv6, mode auto, limits, lists", HOST, XDP, 6, TS_ONLY,
	  ACK, ONE, NEXT, .reason = SW_PASS_KNOWN, .policy = BY_ALL, .than = "known6" },
	{ "known-8k-all", "established segment, random, mode auto, limits, lists", HOST, XDP, 4,
	  TS_ONLY, ACK, EACH, NEXT, .reason = SW_PASS_KNOWN, .policy = BY_ALL, .than = "known-8k" },
	{ "ack-ts", "bogus ACK, timestamps", EMPTY, XDP, 4, TS_ONLY, ACK, .reason = SW_DROP_COOKIE },
	{ "ack-bare", "bogus ACK, no options", EMPTY, XDP, 4, BARE, ACK, .reason = SW_DROP_COOKIE },
	{ "rst", "bogus RST", EMPTY, XDP, 4, BARE, RST, .reason = SW_DROP_RST },
	{ "fin", "bogus FIN", EMPTY, XDP, 4, TS_ONLY, FIN_ACK, .reason = SW_DROP_COOKIE },
	{ "synack", "bogus SYN-ACK", EMPTY, XDP, 4, LINUX, SYN_ACK, .reason = SW_DROP_SYNACK },
	{ "ack-1m", "bogus ACK beside 1,000,000 connections", MILLION, XDP, 4, TS_ONLY, ACK,
	  .reason = SW_DROP_COOKIE, .asked = RARELY },
	{ "ack-asked", "bogus ACK, socket asked for", HOST, XDP, 4, TS_ONLY, ACK, MARKED,
	  .reason = SW_DROP_COOKIE, .asked = ALWAYS },
	{ "rst-asked", "bogus RST, socket asked for", HOST, XDP, 4, BARE, RST, MARKED,
	  .reason = SW_DROP_RST, .asked = ALWAYS },
	{ "fin-asked", "bogus FIN, socket asked for", HOST, XDP, 4, TS_ONLY, FIN_ACK, MARKED,
	  .reason = SW_DROP_COOKIE, .asked = ALWAYS },
	{ "synack-asked", "bogus SYN-ACK, socket asked for", HOST, XDP, 4, LINUX, SYN_ACK, MARKED,
	  .reason = SW_DROP_SYNACK, .asked = ALWAYS },
	{ "rst-out", "RST to a connection, outside its window", HOST, XDP, 4, BARE, RST, TO_RESET,
	  OUTSIDE, .reason = SW_DROP_RST_WINDOW },
	{ "rst-in", "RST to a connection, in its window, challenges spent", HOST, XDP, 4, BARE,
	  RST, TO_RESET, INSIDE, .reason = SW_DROP_CHALLENGE },
	{ "rst-challenge", "RST to a connection, in its window, to be challenged", HOST, XDP, 4,
	  BARE, RST, TO_RESET, INSIDE, SW_PASS_CHALLENGE, .challenges = FREELY },
	{ "not-guarded", "SYN to a port not guarded", EMPTY, XDP, 4, LINUX, SYN,
	  .reason = SW_PASS_NOT_GUARDED, .port = PORT_OTHER },
	{ "tc-in", "tc ingress, packet without mark", HOST, TC_IN, 4, TS_ONLY, ACK, .source = ONE },
	{ "out", "egress segment without SYN, FIN, RST", HOST, TC_OUT, 4, TS_ONLY, ACK, .source = ONE },
	{ "out-waits", "egress segment while a FIN waits for its turn", HOST, TC_OUT, 4, TS_ONLY,
	  ACK, .source = ONE, .fin_waits = true },
	{ "out-fin", "egress FIN, retransmitted", HOST, TC_OUT, 4, TS_ONLY, FIN_ACK, CLOSING,
	  .reason = SW_OUT_FIN },
};
/* clang-format on */
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
	const struct source_of *from = &sources[row->source];
	void *at = (char *)c->frame + ETH_HLEN;

	if (row->family == 4) {
		struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP };
		struct in_addr client;

		ip.tot_len = htons(sizeof(ip) + tcp_len);
		ip.frag_off = htons(IP_DF);
		inet_pton(AF_INET, SERVER4, &ip.daddr);
		inet_pton(AF_INET, from->client4, &client);
		if (c->hosts == 1)
			ip.saddr = client.s_addr;
		c->ip_sum = sum_words(&ip, sizeof(ip));
		c->tcp_sum = sum_words(&ip.saddr, 8);
		ip.check = ~fold(c->ip_sum);
		ip.saddr = client.s_addr;
		memcpy(at, &ip, sizeof(ip));
		return ETH_HLEN + sizeof(ip);
	}
	struct ip6_hdr ip6 = { .ip6_flow = htonl(6U << 28), .ip6_plen = htons(tcp_len) };

	ip6.ip6_nxt = IPPROTO_TCP;
	ip6.ip6_hops = 64;
	inet_pton(AF_INET6, SERVER6, &ip6.ip6_dst);
	inet_pton(AF_INET6, from->client6, &ip6.ip6_src);
	c->tcp_sum = sum_words(&ip6.ip6_src, 32);
	memcpy(at, &ip6, sizeof(ip6));
	return ETH_HLEN + sizeof(ip6);
}

/* From the server: checksums do not mind. */
static inline void turn_frame(char *frame)
{
	char other[6];

	memcpy(other, frame, 6);
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, other, 6);
	memcpy(other, frame + 26, 4);
	memcpy(frame + 26, frame + 30, 4);
	memcpy(frame + 30, other, 4);
	memcpy(other, frame + 34, 2);
	memcpy(frame + 34, frame + 36, 2);
	memcpy(frame + 36, other, 2);
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
	c->hosts = sources[row->source].hosts;
	c->ports = sources[row->source].ports;
	c->seq = numbers[row->numbers].first;
	c->seq_mask = numbers[row->numbers].mask;
	c->random_ack = !!(row->flags & ACK);
	c->tsval_off = o->tsval_at ? sizeof(th) + o->tsval_at : 0;
	memcpy(frame, macs, sizeof(macs));
	*(__u16 *)(frame + 12) = htons(row->family == 4 ? ETH_P_IP : ETH_P_IPV6);
	at = put_ip(row, c, tcp_len);
	th.source = htons(sources[row->source].port);
	th.dest = htons(row->port ?: PORT);
	((__u8 *)&th)[13] = row->flags;
	memcpy(frame + at, &th, sizeof(th));
	memcpy(frame + at + sizeof(th), o->bytes, o->len);
	c->tcp_sum += sum_words(frame + at, tcp_len) - th.source;
	c->tcp_sum += htons(IPPROTO_TCP) + htons(tcp_len);
	c->frame_len = at + tcp_len < MIN_ETH_FRAME ? MIN_ETH_FRAME : at + tcp_len;
	/* the SYN-ACK of Linux' and Windows' options over IPv4 is as long as its SYN */
	c->restore = row->reason == SW_TX_SYNACK &&
		     (row->layout != LINUX || row->guard == LISTENER) && row->layout != WINDOWS;
	if (row->where == TC_OUT)
		turn_frame(frame);
}

static inline const char *synack_fault(const struct row *row, const __u8 *f, __u32 len, __u32 seq)
{
	size_t hdr = ETH_HLEN + (row->family == 4 ? 20 : 40);
	struct tcphdr th;
	__u64 sum;

	if (len < hdr + sizeof(th))
		return "too short";
	memcpy(&th, f + hdr, sizeof(th));
	if (f[hdr + 13] != (SYN | ACK) || th.dest == htons(row->port ?: PORT) ||
	    th.source != htons(row->port ?: PORT))
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
