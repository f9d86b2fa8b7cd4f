/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Internet checksums (RFC 1071): of what was received, and the arithmetic for replies. */
#ifndef SW_CSUM_H
#define SW_CSUM_H

#include "packet.h"

static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* n is a constant; the caller has checked the bounds. */
static __always_inline __u64 csum_words(const __be32 *p, int n)
{
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < n; i++)
		sum += p[i];
	return sum;
}

/* Of addresses, protocol and length; the same for both directions (RFC 9293 3.1, RFC 8200 8.1). */
static __always_inline __u64 csum_pseudo(const struct sw_pkt *p, __u32 l4_len)
{
	__u64 sum = (__u64)p->saddr[3] + p->daddr[3] + bpf_htonl(l4_len) + bpf_htonl(IPPROTO_TCP);

	if (!is_v4(p))
		sum += csum_words(p->saddr, 3) + csum_words(p->daddr, 3);
	return sum;
}

struct csum_walk {
	struct xdp_md *ctx;
	__u32 off;
	__u32 left;
	__u32 sum;
	__u32 failed;
};

static long csum_chunk(UNUSED __u32 i, struct csum_walk *w)
{
	struct sw_pkt *p = pkt_scratch(SW_HOOK_XDP);
	__u32 n = w->left;

	if (!p)
		return 1;
	__builtin_memset(p->chunk, 0, sizeof(p->chunk));
	if (n >= SW_CSUM_CHUNK)
		n = SW_CSUM_CHUNK;
	n--; /* a range from 0: Linux 6.1 loses the lower bound of `n >= 1` */
	barrier_var(n);
	if (n > SW_CSUM_CHUNK - 1)
		return 1;
	n++;
	if (bpf_xdp_load_bytes(w->ctx, w->off, p->chunk, n)) {
		w->failed = 1;
		return 1;
	}
	w->sum = bpf_csum_diff(NULL, 0, p->chunk, sizeof(p->chunk), w->sum);
	w->off += n;
	w->left -= n;
	return 0;
}

/* Any range, in any buffers of the frame; off must be even from the start of the sum. */
static __noinline __u64 csum_range(struct xdp_md *ctx, __u32 off, __u32 len)
{
	struct csum_walk w = { .ctx = ctx, .off = off, .left = len };

	bpf_loop(65536 / SW_CSUM_CHUNK, csum_chunk, &w, 0);
	return w.failed || w.left ? ~0ULL : w.sum;
}

static __always_inline bool ip_csum_ok(struct xdp_md *ctx, const struct sw_pkt *p)
{
	void *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = (void *)(long)ctx->data + (p->l3 & 31);
	__u64 sum;

	if (!is_v4(p))
		return true;
	if ((void *)(ip + 1) > end)
		return false;
	sum = csum_words((__be32 *)ip, 5);
	if (p->ip_opts) {
		__u64 rest = csum_range(ctx, p->l3 + sizeof(*ip), ip->ihl * 4 - sizeof(*ip));

		if (rest == ~0ULL)
			return false;
		sum += rest;
	}
	return csum_fold(sum) == 0xffff;
}

/*
 * Over the whole segment, payload included. A sender on this host or in a local guest
 * leaves the sum of the pseudo header for its NIC to complete (CHECKSUM_PARTIAL): the
 * segment never crossed a wire, so that is accepted.
 */
static __always_inline bool tcp_csum_ok(struct xdp_md *ctx, const struct sw_pkt *p)
{
	void *end = (void *)(long)ctx->data_end;
	__be32 *w = (void *)(long)ctx->data + (p->l4 & 0xfff);
	__u64 sum = csum_pseudo(p, p->l4_len), rest;

	barrier_var(w); /* one pointer for checks and loads, or the verifier loses the bounds */
	if ((void *)(w + 5) > end)
		return false;
	if (((struct tcphdr *)w)->check == csum_fold(sum))
		return true;
	/* the common segments without payload: Linux, Windows and macOS SYN, ACK */
	if (p->l4_len == 40 && (void *)(w + 10) <= end) {
		sum += csum_words(w, 10);
	} else if (p->l4_len == 32 && (void *)(w + 8) <= end) {
		sum += csum_words(w, 8);
	} else if (p->l4_len == 44 && (void *)(w + 11) <= end) {
		sum += csum_words(w, 11);
	} else if (p->l4_len == 20) {
		sum += csum_words(w, 5);
	} else {
		rest = csum_range(ctx, p->l4, p->l4_len);
		if (rest == ~0ULL)
			return false;
		sum += rest;
	}
	return csum_fold(sum) == 0xffff;
}

#endif /* SW_CSUM_H */
