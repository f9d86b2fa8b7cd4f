// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two programs of the flood tool: one turns live frames into fresh random-source TCP
 * segments and redirects them, the other counts what comes back for those sources.
 * Nothing of the guard is used here: a bug there must not hide in its own test.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct flood_conf conf;

/* Written by one CPU only: the generator is pinned. */
struct flood_state state;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flood_replies);
} replies SEC(".maps");

static __always_inline __u64 next_random(void)
{
	__u64 x = state.rng; /* xorshift64*, never zero */

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	state.rng = x;
	return x * 0x2545f4914f6cdd1dULL;
}

/* A frame is due when the pace says so. */
static __always_inline int frame_is_due(void)
{
	__u64 now;

	if (!conf.interval_fp)
		return 1;
	now = bpf_ktime_get_ns() << FLOOD_FP_SHIFT;
	if (now < state.next_fp)
		return 0;
	if (now - state.next_fp > FLOOD_LAG_NS << FLOOD_FP_SHIFT)
		state.next_fp = now - (state.sent ? FLOOD_LAG_NS << FLOOD_FP_SHIFT : 0);
	state.next_fp += conf.interval_fp;
	return 1;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Random bits under the fixed prefix; the sum of the words goes into the checksum. */
static __always_inline __u64 put_source(__u32 *addr, int words)
{
	__u64 sum = 0, random = 0;
	int i;

	for (i = 0; i < words; i++) {
		__u32 word;

		random = i & 1 ? random >> 32 : next_random();
		word = conf.source[i] | ((__u32)random & ~conf.source_mask[i]);
		addr[i] = word;
		sum += word;
	}
	return sum;
}

/* What differs from frame to frame; the sum of the rest came from user space. */
static __always_inline int fill_tcp(struct tcphdr *tcp, void *end, __u64 sum)
{
	__u64 random = next_random();
	__u32 seq = (__u32)random, ack = 0;
	__u16 sport = conf.sport_first + ((random >> 32) & 0xffff) % conf.sport_count;
	__u16 dport = conf.dport_first;
	__u8 kind = conf.kinds == 1 ? 0 : (random >> 48) % conf.kinds;
	__u8 flags;

	if (conf.dport_count > 1)
		dport += (next_random() & 0xffffffff) % conf.dport_count;
	flags = conf.flags[kind % FLOOD_MAX_KINDS];
	if (flags & FLOOD_FLAG_ACK)
		ack = (__u32)next_random();
	tcp->source = bpf_htons(sport);
	tcp->dest = bpf_htons(dport);
	tcp->seq = seq;
	tcp->ack_seq = ack;
	((__u8 *)tcp)[13] = flags;
	sum += tcp->source + tcp->dest + (__u64)seq + ack + bpf_htons(flags);
	if (conf.opts) {
		__u32 *tsval = (void *)tcp + conf.tsval_off;

		if ((void *)(tsval + 1) > end)
			return -1;
		*tsval = (__u32)next_random();
		sum += *tsval;
	}
	tcp->check = fold(sum);
	return 0;
}

static __always_inline int fill4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = (void *)(ip + 1);
	__u32 saddr;
	__u64 sum;

	if ((void *)(tcp + 1) > end)
		return -1;
	sum = put_source(&saddr, 1);
	__builtin_memcpy(&ip->saddr, &saddr, sizeof(saddr));
	ip->id = (__u16)saddr;
	ip->check = fold(conf.ip_sum + sum + ip->id);
	return fill_tcp(tcp, end, conf.tcp_sum + sum);
}

static __always_inline int fill6(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = (void *)(ip + 1);
	__u32 saddr[4];
	__u64 sum;

	if ((void *)(tcp + 1) > end)
		return -1;
	sum = put_source(saddr, 4);
	__builtin_memcpy(&ip->saddr, saddr, sizeof(saddr));
	return fill_tcp(tcp, end, conf.tcp_sum + sum);
}

/* Pages come back as the last program left them, so the whole template is laid down again. */
static __always_inline int lay_template(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 i;

	for (i = 0; i < FLOOD_MAX_HEAD / 2; i++) {
		__u16 *word = data + 2 * i;

		if (2 * i >= conf.head_len)
			break;
		if ((void *)(word + 1) > end)
			return -1;
		*word = conf.frame[i];
	}
	return 0;
}

SEC("xdp")
int flood_send(struct xdp_md *ctx)
{
	int rc;

	if (!frame_is_due())
		return XDP_DROP;
	/*
	 * Changed bounds make the kernel (6.18) restore the frame's own length on its next
	 * use; without this a frame that came back longer would be sent longer.
	 */
	if (bpf_xdp_adjust_tail(ctx, -FLOOD_TAIL))
		return XDP_ABORTED;
	if (lay_template(ctx))
		return XDP_ABORTED;
	rc = conf.family == 4 ? fill4(ctx) : fill6(ctx);
	if (rc)
		return XDP_ABORTED;
	if (!state.sent++)
		state.first_ns = bpf_ktime_get_ns();
	return bpf_redirect(conf.ifindex, 0);
}

static __always_inline int is_ours(const __u32 *addr, int words)
{
	__u32 diff = 0;
	int i;

	for (i = 0; i < words; i++)
		diff |= (addr[i] & conf.source_mask[i]) ^ conf.source[i];
	return !diff;
}

static __always_inline int count_reply(__u8 flags, __u64 bytes)
{
	struct flood_replies *sum;
	__u32 zero = 0;

	sum = bpf_map_lookup_elem(&replies, &zero);
	if (!sum)
		return XDP_ABORTED;
	sum->bytes += bytes;
	if ((flags & (FLOOD_FLAG_SYN | FLOOD_FLAG_ACK)) == (FLOOD_FLAG_SYN | FLOOD_FLAG_ACK))
		sum->synacks++;
	else if (flags & FLOOD_FLAG_RST)
		sum->rsts++;
	else
		sum->others++;
	return XDP_DROP;
}

SEC("xdp.frags")
int flood_count(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u32 daddr[4];

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (conf.family == 4 && eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);
		struct tcphdr *tcp = (void *)(ip + 1);

		if ((void *)(tcp + 1) > end || ip->ihl != 5 || ip->protocol != IPPROTO_TCP)
			return XDP_PASS;
		__builtin_memcpy(daddr, &ip->daddr, 4);
		if (!is_ours(daddr, 1))
			return XDP_PASS;
		return count_reply(((__u8 *)tcp)[13], end - data);
	}
	if (conf.family == 6 && eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);
		struct tcphdr *tcp = (void *)(ip + 1);

		if ((void *)(tcp + 1) > end || ip->nexthdr != IPPROTO_TCP)
			return XDP_PASS;
		__builtin_memcpy(daddr, &ip->daddr, 16);
		if (!is_ours(daddr, 4))
			return XDP_PASS;
		return count_reply(((__u8 *)tcp)[13], end - data);
	}
	return XDP_PASS;
}

/* These judge nothing: to make the far end of a veth pair poll, and to compare with. */
SEC("xdp.frags")
int flood_pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

SEC("tc")
int flood_next(struct __sk_buff *skb)
{
	(void)skb;
	return -1; /* TCX_NEXT, TC_ACT_UNSPEC */
}
