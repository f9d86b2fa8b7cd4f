/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See replay_edit.h. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include <string.h>

#include "replay_edit.h"
#include "text.h"

#define VLANS      2
#define EXTENSIONS 8
#define CHECK_AT   16 /* in the TCP header */
#define PORTS_LEN  4  /* what the programs look at behind the header of IP, if it is not TCP */

static __u16 get16(const __u8 *at)
{
	return (__u16)(at[0] << 8 | at[1]);
}

static __u32 get32(const __u8 *at)
{
	return (__u32)get16(at) << 16 | get16(at + 2);
}

static void put16(__u8 *at, __u16 value)
{
	at[0] = (__u8)(value >> 8);
	at[1] = (__u8)value;
}

/* --- reading ------------------------------------------------------------------------------ */

static void parse_options(const __u8 *frame, struct replay_seg *s)
{
	__u32 at = s->l4 + (__u32)sizeof(struct tcphdr), end = s->l4 + s->doff;

	while (at + 1 < end && frame[at]) {
		__u32 len = frame[at] == 1 ? 1 : frame[at + 1];

		if (frame[at] != 1 && (len < 2 || at + len > end))
			return;
		if (frame[at] == 8 && len == 10) {
			s->has_ts = true;
			s->ts_at = at + 2;
			s->tsval = get32(frame + at + 2);
			s->tsecr = get32(frame + at + 6);
		} else if (frame[at] == 3 && len == 3) {
			s->has_ws = true;
			s->ws = frame[at + 2];
		} else if (frame[at] == 5) {
			s->has_sack = true;
			s->sack_at = at + 2;
			s->sack_len = (len - 2) / 8 * 8;
		}
		at += len;
	}
}

static void parse_tcp(const __u8 *frame, __u32 len, struct replay_seg *s)
{
	const __u8 *th = frame + s->l4;

	if (s->l4_len < sizeof(struct tcphdr) || s->l4 + sizeof(struct tcphdr) > len)
		return;
	s->sport = htons(get16(th));
	s->dport = htons(get16(th + 2));
	s->seq = get32(th + 4);
	s->ack = get32(th + 8);
	s->doff = th[12] >> 4 << 2;
	s->flags = th[13];
	s->window = get16(th + 14);
	if (s->doff < sizeof(struct tcphdr) || s->doff > s->l4_len || s->l4 + s->doff > len)
		return;
	s->is_tcp = true;
	s->payload = s->l4_len - s->doff;
	parse_options(frame, s);
}

static void parse_ipv4(const __u8 *frame, __u32 len, __u32 l3, struct replay_seg *s)
{
	const __u8 *ip = frame + l3;
	__u32 ihl, total;

	if (l3 + 20 > len || ip[0] >> 4 != 4)
		return;
	ihl = (ip[0] & 15) * 4U;
	total = get16(ip + 2);
	if (!total) /* left to the NIC: more than the field holds */
		total = len - l3;
	s->src[2] = s->dst[2] = htonl(0xffff);
	memcpy(&s->src[3], ip + 12, 4);
	memcpy(&s->dst[3], ip + 16, 4);
	s->is_ip = true;
	s->l3 = l3;
	s->is_other = (ip[9] != IPPROTO_TCP && l3 + ihl + PORTS_LEN <= len) ||
		      get16(ip + 6) & 0x1fff;
	if (ip[9] != IPPROTO_TCP || ihl < 20 || total < ihl || get16(ip + 6) & 0x3fff)
		return;
	s->l4 = l3 + ihl;
	s->l4_len = total - ihl;
	parse_tcp(frame, len, s);
}

/* Whose length stands in their second byte, and is no fragment's. */
static bool is_extension(__u8 next)
{
	return next == 0 || next == 43 || next == 60;
}

static void parse_ipv6(const __u8 *frame, __u32 len, __u32 l3, struct replay_seg *s)
{
	const __u8 *ip = frame + l3;
	__u32 at = l3 + 40, end;
	__u8 next;

	if (at > len || ip[0] >> 4 != 6)
		return;
	end = get16(ip + 4) ? at + get16(ip + 4) : len;
	memcpy(s->src, ip + 8, 16);
	memcpy(s->dst, ip + 24, 16);
	s->is_ip = true;
	s->l3 = l3;
	next = ip[6];
	for (int i = 0; i < EXTENSIONS && is_extension(next); i++) {
		if (at + 8 > len)
			return;
		next = frame[at];
		at += (frame[at + 1] + 1U) * 8;
	}
	s->is_other = next != IPPROTO_TCP && next != IPPROTO_FRAGMENT && next != IPPROTO_MH &&
		      !is_extension(next) && at + PORTS_LEN <= len;
	if (next != IPPROTO_TCP || at >= end)
		return;
	s->l4 = at;
	s->l4_len = end - at;
	parse_tcp(frame, len, s);
}

void replay_parse(const __u8 *frame, __u32 len, struct replay_seg *s)
{
	__u32 at = ETH_HLEN;
	__u16 proto;

	memset(s, 0, sizeof(*s));
	if (len < ETH_HLEN)
		return;
	proto = get16(frame + 12);
	for (int i = 0; i < VLANS && (proto == ETH_P_8021Q || proto == ETH_P_8021AD); i++) {
		if (at + 4 > len)
			return;
		proto = get16(frame + at + 2);
		at += 4;
	}
	if (proto == ETH_P_IP)
		parse_ipv4(frame, len, at, s);
	else if (proto == ETH_P_IPV6)
		parse_ipv6(frame, len, at, s);
}

/* --- checksums ---------------------------------------------------------------------------- */

static __u16 fold(__u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

static __u64 sum_bytes(const __u8 *at, __u32 len)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < len; i++)
		sum += i & 1 ? at[i] : (__u32)at[i] << 8;
	return sum;
}

static __u64 sum_pseudo(const struct replay_seg *s)
{
	__u32 skip = addr_is_v4(s->src) ? 12 : 0;

	return sum_bytes((const __u8 *)s->src + skip, 16 - skip) +
	       sum_bytes((const __u8 *)s->dst + skip, 16 - skip) + IPPROTO_TCP + s->l4_len;
}

void replay_checksum(__u8 *frame, const struct replay_seg *s)
{
	__u8 *check = frame + s->l4 + CHECK_AT;

	put16(check, 0);
	put16(check, (__u16)~fold(sum_bytes(frame + s->l4, s->l4_len) + sum_pseudo(s)));
}

/* Writes a number anywhere in the segment; the checksum moves by the difference (RFC 1624). */
static void move32(__u8 *frame, const struct replay_seg *s, __u32 at, __u32 by, bool keep)
{
	__u8 *check = frame + s->l4 + CHECK_AT, now[4];
	__u32 value = get32(frame + at) + by;
	__u64 sum = (__u16)~get16(check);

	put16(now, (__u16)(value >> 16));
	put16(now + 2, (__u16)value);
	for (__u32 i = 0; i < 4; i++) {
		__u32 place = (at - s->l4 + i) & 1 ? 0 : 8;

		sum += (__u32)now[i] << place;
		sum += 0xffff - ((__u32)frame[at + i] << place);
		frame[at + i] = now[i];
	}
	if (!keep)
		put16(check, (__u16)~fold(sum));
}

void replay_move(__u8 *frame, struct replay_seg *s, const struct replay_shift *by)
{
	bool partial = get16(frame + s->l4 + CHECK_AT) == fold(sum_pseudo(s));

	if (by->seq)
		move32(frame, s, s->l4 + 4, by->seq, partial);
	if (by->ack && s->flags & SEG_ACK_FLAG)
		move32(frame, s, s->l4 + 8, by->ack, partial);
	if (by->tsval && s->has_ts)
		move32(frame, s, s->ts_at, by->tsval, partial);
	if (by->tsecr && s->has_ts && s->flags & SEG_ACK_FLAG)
		move32(frame, s, s->ts_at + 4, by->tsecr, partial);
	for (__u32 i = 0; by->ack && s->has_sack && i < s->sack_len; i += 4)
		move32(frame, s, s->sack_at + i, by->ack, partial);
	s->seq = get32(frame + s->l4 + 4);
	s->ack = get32(frame + s->l4 + 8);
	if (s->has_ts) {
		s->tsval = get32(frame + s->ts_at);
		s->tsecr = get32(frame + s->ts_at + 4);
	}
}

__u32 replay_shorten(__u8 *frame, const struct replay_seg *s)
{
	__u32 len = s->l4 + s->doff;
	bool v4 = frame[s->l3] >> 4 == 4;

	put16(frame + s->l3 + (v4 ? 2 : 4), (__u16)(len - s->l3 - (v4 ? 0 : 40)));
	return len;
}
