/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A SYN becomes its SYN-ACK in place. Of the sender's bytes only MAC addresses, VLAN tags,
 * addresses, ports, ISN and TSval survive; length and checksums are exact.
 */
#ifndef SW_SYNACK_H
#define SW_SYNACK_H

#include "csum.h"
#include "options.h"

#define SW_OPT_WORDS_MAX 5

struct sw_reply {
	__u32 isn;
	__u32 tsval;
	__u32 tsecr;
	__u16 mss;
	__u16 window;
	__u8 wscale; /* ours */
	__u8 has;    /* SW_OPT_* to offer */
	__u8 words;  /* options, 32-bit words */
	__u8 ttl;
	__be32 opt[SW_OPT_WORDS_MAX];
};

static __always_inline void reply_options(struct sw_reply *r)
{
	__u32 n = 1;

	r->opt[0] = bpf_htonl(OPT_MSS(r->mss));
	if (r->has & SW_OPT_TS) {
		r->opt[1] = r->has & SW_OPT_SACK ? bpf_htonl(OPT_SACK_TS) : bpf_htonl(OPT_NOP_TS);
		r->opt[2] = bpf_htonl(r->tsval);
		r->opt[3] = bpf_htonl(r->tsecr);
		n = 4;
		if (r->has & SW_OPT_WS) {
			r->opt[4] = bpf_htonl(OPT_WS(r->wscale));
			n = 5;
		}
	} else {
		if (r->has & SW_OPT_SACK)
			r->opt[n++] = bpf_htonl(OPT_NOP_SACK);
		if (r->has & SW_OPT_WS)
			r->opt[n++ & 3] = bpf_htonl(OPT_WS(r->wscale));
	}
	r->words = n;
}

static __always_inline void write_ipv4(struct iphdr *ip, const struct sw_pkt *p, __u32 tcp_len,
				       __u32 ttl)
{
	__be32 *w = (void *)ip;
	__u64 sum;

	w[0] = bpf_htonl(0x45000000 | (sizeof(*ip) + tcp_len));
	w[1] = bpf_htonl(0x00004000); /* id 0, DF: never fragmented (RFC 6864) */
	w[2] = bpf_htonl(ttl << 24 | IPPROTO_TCP << 16);
	w[3] = p->daddr[3];
	w[4] = p->saddr[3];
	sum = csum_words(w, 5);
	ip->check = ~csum_fold(sum);
}

static __always_inline void write_ipv6(struct ipv6hdr *ip6, const struct sw_pkt *p, __u32 tcp_len,
				       __u32 ttl)
{
	__be32 *w = (void *)ip6;

	w[0] = bpf_htonl(0x60000000);
	w[1] = bpf_htonl(tcp_len << 16 | IPPROTO_TCP << 8 | ttl);
	__builtin_memcpy(w + 2, p->daddr, 16);
	__builtin_memcpy(w + 6, p->saddr, 16);
}

static __always_inline bool write_tcp(__be32 *w, void *end, const struct sw_pkt *p,
				      const struct sw_reply *r)
{
	__u32 tcp_len = sizeof(struct tcphdr) + r->words * 4;
	__u64 sum = csum_pseudo(p, tcp_len);
	__u32 flags = TH_SYN | TH_ACK | (r->has & SW_OPT_ECN ? TH_ECE : 0);

	if ((void *)(w + 5) > end)
		return false;
	w[0] = p->ports << 16 | p->ports >> 16;
	w[1] = bpf_htonl(r->isn);
	w[2] = bpf_htonl(p->seq + 1);
	w[3] = bpf_htonl(tcp_len / 4 << 28 | flags << 16 | r->window);
	w[4] = 0;
	sum += csum_words(w, 4);
#pragma unroll
	for (int i = 0; i < SW_OPT_WORDS_MAX; i++) {
		if (i < r->words && (void *)(w + 6 + i) <= end) {
			w[5 + i] = r->opt[i];
			sum += r->opt[i];
		}
	}
	w[4] = (__be32)(__u16)~csum_fold(sum); /* check comes first in memory, urgent pointer 0 */
	return true;
}

static __always_inline bool write_frame(struct xdp_md *ctx, const struct sw_pkt *p,
					const struct sw_reply *r, __u32 tcp_len)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *l3 = data + (p->l3 & 31), *l4;
	__u16 *mac = data, a, b, c;

	barrier_var(l3); /* see tcp_csum_ok() */
	if (is_v4(p)) {
		l4 = l3 + sizeof(struct iphdr);
		if (l4 > end)
			return false;
		write_ipv4(l3, p, tcp_len, r->ttl);
	} else {
		l4 = l3 + sizeof(struct ipv6hdr);
		if (l4 > end)
			return false;
		write_ipv6(l3, p, tcp_len, r->ttl);
	}
	if (data + sizeof(struct ethhdr) > end)
		return false;
	a = mac[0], b = mac[1], c = mac[2];
	mac[0] = mac[3], mac[1] = mac[4], mac[2] = mac[5];
	mac[3] = a, mac[4] = b, mac[5] = c;
	return write_tcp(l4, end, p, r);
}

/*
 * Nobody is sent more than was sent in his name: a SYN without options, too long for
 * Ethernet's padding to cover the MSS, is answered without one. hdrs: up to the options.
 */
static __always_inline void reply_fit(struct sw_reply *r, const struct sw_pkt *p, __u32 hdrs)
{
	__u32 room = p->len > ETH_ZLEN ? p->len : ETH_ZLEN;

	if (hdrs + r->words * 4 <= room)
		return;
	r->opt[0] = r->opt[1];
	r->opt[1] = r->opt[2];
	r->opt[2] = r->opt[3];
	r->opt[3] = r->opt[4];
	r->words--;
}

/* The frame is changed only if TX_SYNACK comes back. */
static __always_inline enum sw_reason synack_write(struct xdp_md *ctx, const struct sw_pkt *p,
						   struct sw_reply *r)
{
	__u32 hdrs, tcp_len;
	int grow;

	hdrs = p->l3 + (is_v4(p) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	reply_options(r);
	reply_fit(r, p, hdrs + sizeof(struct tcphdr));
	tcp_len = sizeof(struct tcphdr) + r->words * 4;
	grow = hdrs + tcp_len - p->len;
	if (grow && bpf_xdp_adjust_tail(ctx, grow))
		return SW_PASS_NO_TAILROOM;
	return write_frame(ctx, p, r, tcp_len) ? SW_TX_SYNACK : SW_DROP_BUG;
}

#endif /* SW_SYNACK_H */
