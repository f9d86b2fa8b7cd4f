// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The wrappers of the bench. BPF_PROG_TEST_RUN with repeat does not restore the packet, so
 * each run lays down a fresh one and tail-calls what is timed. The floor does the same and
 * tail-calls a bare XDP_TX. Nothing of the guard is used here.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bench.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct bench_conf conf;
struct bench_state state; /* one CPU: the bench is pinned */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, BENCH_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

static __always_inline __u64 next_random(__u64 *rng)
{
	__u64 x = *rng; /* xorshift64* */

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*rng = x;
	return x * 0x2545f4914f6cdd1dULL;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline int lay_template(void *data, void *end)
{
	if (data + conf.frame_len > end)
		return -1;
#pragma unroll
	for (__u32 i = 0; i < BENCH_MAX_FRAME / 8; i++) {
		__u64 *to = data + 8 * i;

		if (8 * i + 8 > conf.frame_len || (void *)(to + 1) > end)
			break;
		*to = ((const volatile __u64 *)conf.frame)[i];
	}
#pragma unroll
	for (__u32 i = 0; i < 3; i++) {
		__u32 off = (conf.frame_len & ~7U) + 2 * i;
		__u16 *to = data + off;

		if (off + 2 > conf.frame_len || off + 2 > BENCH_MAX_FRAME || (void *)(to + 1) > end)
			break;
		*to = conf.frame[off / 2];
	}
	return 0;
}

/* 0 to n - 1, out of the upper half of a random number. */
static __always_inline __u32 below(__u64 random, __u32 n)
{
	return ((random >> 32) * n) >> 32;
}

/* Addresses; what they add to the checksum of TCP comes back. */
static __always_inline __u64 fill_source(void *l3, __u64 *rng)
{
	__u64 a;

	if (conf.hosts == 1)
		return 0;
	a = next_random(rng);
	if (conf.family == 4) {
		struct iphdr *ip = l3;

		ip->saddr = bpf_htonl(bpf_ntohl(ip->saddr) + below(a, conf.hosts));
		ip->check = fold((__u64)conf.ip_sum + ip->saddr);
		return ip->saddr;
	} else {
		struct ipv6hdr *ip6 = l3;
		__u32 *w = ip6->saddr.in6_u.u6_addr32;

		w[1] = (__u32)a;
		w[2] = a >> 32;
		w[3] = (__u32)next_random(rng);
		return (__u64)w[1] + w[2] + w[3];
	}
}

static __always_inline int fill(void *data, void *end)
{
	__u32 l4 = ETH_HLEN + (conf.family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	struct tcphdr *th = data + l4;
	__u64 rng = state.rng, sum, r;

	if ((void *)(th + 1) > end)
		return -1;
	sum = conf.tcp_sum + fill_source(data + ETH_HLEN, &rng);
	r = next_random(&rng);
	if (conf.ports > 1)
		th->source = bpf_htons(bpf_ntohs(th->source) + below(r, conf.ports));
	th->seq = bpf_htonl(conf.seq + ((__u32)r & conf.seq_mask));
	sum += (__u64)th->source + th->seq;
	if (conf.random_ack) {
		th->ack_seq = next_random(&rng) >> 32;
		sum += th->ack_seq;
	}
	if (conf.tsval_off) {
		__u32 *tsval = (void *)th + (conf.tsval_off & 63);

		if ((void *)(tsval + 1) > end)
			return -1;
		*tsval = (__u32)(r >> 13);
		sum += *tsval;
	}
	th->check = fold(sum);
	state.rng = rng;
	state.seq = th->seq;
	return 0;
}

static __always_inline int lay_frame(struct xdp_md *ctx)
{
	void *data, *end;

	if (conf.restore) {
		int len = (long)ctx->data_end - (long)ctx->data;

		if (bpf_xdp_adjust_tail(ctx, (int)conf.frame_len - len))
			return -1;
	}
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	return lay_template(data, end) ?: fill(data, end);
}

SEC("xdp.frags")
int bench_run(struct xdp_md *ctx)
{
	if (!lay_frame(ctx))
		bpf_tail_call_static(ctx, &targets, BENCH_TARGET);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int bench_floor(struct xdp_md *ctx)
{
	if (!lay_frame(ctx))
		bpf_tail_call_static(ctx, &targets, BENCH_FLOOR);
	return XDP_ABORTED;
}

/* Both addresses swapped, out of the same port. */
static __always_inline int send_back(struct xdp_md *ctx)
{
	__u16 *mac = (void *)(long)ctx->data, a, b, c;

	if ((void *)(mac + 6) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	a = mac[0], b = mac[1], c = mac[2];
	mac[0] = mac[3], mac[1] = mac[4], mac[2] = mac[5];
	mac[3] = a, mac[4] = b, mac[5] = c;
	return XDP_TX;
}

/* The least that answers. */
SEC("xdp.frags")
int bench_tx(struct xdp_md *ctx)
{
	return send_back(ctx);
}

/* The ceiling of a device: what counts as an answer, without cookie, checks or checksums. */
SEC("xdp.frags")
int bench_echo(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct tcphdr *th = (void *)(ip + 1);
	__be32 addr;
	__be16 port;

	if ((void *)(th + 1) > end || ip->protocol != IPPROTO_TCP || ip->ihl != 5)
		return XDP_PASS;
	addr = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = addr;
	port = th->source;
	th->source = th->dest;
	th->dest = port;
	th->ack = 1;
	return send_back(ctx);
}

SEC("tc")
int bench_tc(struct __sk_buff *skb)
{
	(void)skb;
	return -1; /* TCX_NEXT, as the guard's */
}
