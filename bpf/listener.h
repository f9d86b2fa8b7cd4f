/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host as oracle: does it hold this tuple, and what would its listener offer. What a
 * listener offers is kept for 10 ms per CPU, so that a flood costs one socket lookup per
 * listener and 10 ms; whether the tuple is held is asked exactly, see memory.h for when.
 */
#ifndef SW_LISTENER_H
#define SW_LISTENER_H

#include "cookie.h"
#include "memory.h"

#define SW_HOST_TTL_NS (10 * 1000000ULL)

enum sw_host_state {
	SW_HOST_NONE,        /* no listener: the port is closed */
	SW_HOST_COOKIES_OFF, /* tcp_syncookies too low for the engine */
	SW_HOST_UNFIT,       /* MPTCP or signed: cannot take a cookie */
	SW_HOST_READY,
};

/* ctx of either hook. The caller releases what is returned. */
static __always_inline struct bpf_sock *lookup(void *ctx, const struct sw_pkt *p, bool listener)
{
	struct bpf_sock_tuple t = {};

	/* port 0 matches no connection, so only a listener can come back */
	if (is_v4(p)) {
		t.ipv4.saddr = p->saddr[3];
		t.ipv4.daddr = p->daddr[3];
		t.ipv4.sport = listener ? 0 : p->sport;
		t.ipv4.dport = p->dport;
		return bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	__builtin_memcpy(t.ipv6.saddr, p->saddr, 16);
	__builtin_memcpy(t.ipv6.daddr, p->daddr, 16);
	t.ipv6.sport = listener ? 0 : p->sport;
	t.ipv6.dport = p->dport;
	return bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
}

static __always_inline __u32 log2_of(__u32 x)
{
	__u32 n = 0;

	if (x >> 16)
		n += 16, x >>= 16;
	if (x >> 8)
		n += 8, x >>= 8;
	if (x >> 4)
		n += 4, x >>= 4;
	if (x >> 2)
		n += 2, x >>= 2;
	return n + (x >> 1);
}

static __always_inline __u32 min_u32(__u32 a, __u32 b)
{
	return a < b ? a : b;
}

/* Window and scale as tcp_select_initial_window() will choose them at the hand-over. */
static __always_inline void host_window(struct sw_host *h, struct tcp_sock *tp, struct net *net,
					const struct sw_settings *set)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__u32 rcvbuf = sk->sk_rcvbuf, rmem = net->ipv4.sysctl_tcp_rmem[2];
	__u32 full, clamp = tp->window_clamp, space;

	if (bpf_core_field_exists(tp->scaling_ratio))
		full = (__u64)rcvbuf * tp->scaling_ratio >> 8;
	else
		full = rcvbuf / 2;
	if (BPF_CORE_READ_BITFIELD(sk, sk_userlocks) & SOCK_RCVBUF_LOCK && (clamp > full || !clamp))
		clamp = full;
	if (!clamp)
		clamp = 65535U << SW_WSCALE_MAX;

	space = rmem > set->rmem_max ? rmem : set->rmem_max;
	space = min_u32(space > full ? space : full, clamp);
	space = log2_of(space);
	h->wscale = space < 15 ? 0 : min_u32(space - 15, SW_WSCALE_MAX);

	full = min_u32(full, clamp);
#pragma unroll
	for (int i = 0; i < SW_MSS_COUNT; i++) {
		__u32 mss = mss_of(h->family, i);
		__u32 win = full > mss ? full - full % mss : full;

		h->window[i] = min_u32(win, 65535);
	}
}

/* Nearly full: the host may drop this one, and its retransmission must still be welcome. */
static __always_inline bool accept_nearly_full(const struct tcp_sock *tp)
{
	__u32 backlog = tp->inet_conn.icsk_inet.sk.sk_ack_backlog;
	__u32 max = tp->inet_conn.icsk_inet.sk.sk_max_ack_backlog;

	return backlog >= max - max / 8;
}

#define SW_TTL 64 /* of IPv6, unless the listener says otherwise */

/*
 * As in the host's own SYN-ACK: a peer that takes segments of neighbours alone wants the 255
 * which its listener was told to send (RFC 5082).
 */
static __always_inline __u8 host_ttl(struct tcp_sock *tp, struct net *net, const struct sw_pkt *p)
{
	struct inet_sock *inet = &tp->inet_conn.icsk_inet;
	struct ipv6_pinfo *np;
	__s32 ttl;

	if (is_v4(p)) {
		ttl = inet->uc_ttl;
		return ttl < 0 ? net->ipv4.sysctl_ip_default_ttl : ttl;
	}
	np = inet->pinet6;
	if (!np)
		return SW_TTL;
	ttl = BPF_CORE_READ_BITFIELD(np, hop_limit);
	return ttl < 0 ? SW_TTL : ttl;
}

static __always_inline void host_learn(struct sw_host *h, void *ctx, struct bpf_sock *sk,
				       const struct sw_pkt *p, const struct sw_settings *set)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u32 mtu = 0, hdrs = is_v4(p) ? 40 : 60, need;
	struct net *net;

	if (!tp)
		return;
	net = tp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net;
	need = sw_boot.engine == SW_ENGINE_REQSK ? 1 : 2;
	if (net->ipv4.sysctl_tcp_syncookies < need) {
		h->state = SW_HOST_COOKIES_OFF;
		return;
	}
	if ((bpf_core_field_exists(tp->is_mptcp) && tp->is_mptcp) ||
	    (bpf_core_field_exists(tp->md5sig_info) && tp->md5sig_info) ||
	    (bpf_core_field_exists(tp->ao_info) && tp->ao_info) ||
	    (tp->rx_opt.user_mss && tp->rx_opt.user_mss < mss_of(p->family, 0))) {
		h->state = SW_HOST_UNFIT;
		return;
	}
	host_window(h, tp, net, set);
	h->crowded = accept_nearly_full(tp);
	h->ttl = host_ttl(tp, net, p);
	h->allow = (net->ipv4.sysctl_tcp_sack ? SW_OPT_SACK : 0) |
		   (net->ipv4.sysctl_tcp_timestamps ? SW_OPT_TS : 0) |
		   (net->ipv4.sysctl_tcp_window_scaling ? SW_OPT_WS : 0) |
		   (net->ipv4.sysctl_tcp_ecn ? SW_OPT_ECN : 0);
	if (bpf_check_mtu(ctx, 0, &mtu, 0, 0) < 0 || mtu <= hdrs)
		mtu = is_v4(p) ? 576 : 1280;
	h->mss = min_u32(mtu - hdrs, 65535);
	if (tp->rx_opt.user_mss && tp->rx_opt.user_mss < h->mss)
		h->mss = tp->rx_opt.user_mss;
	if (sw_boot.engine == SW_ENGINE_REQSK &&
	    (!cookie_begin(&h->mid[h->epoch & 1], p, h->epoch, h->wscale) ||
	     !cookie_begin(&h->mid[~h->epoch & 1], p, h->epoch - 1, h->wscale)))
		return;
	h->state = SW_HOST_READY;
}

static __noinline int host_refresh(struct sw_host *h, void *ctx, const struct sw_pkt *p,
				   const struct sw_settings *set)
{
	struct sw_dev *dev;
	__u32 ifindex = p->ifindex;
	struct bpf_sock *sk;

	if (!h || !set)
		return 0;
	__builtin_memset(h, 0, sizeof(*h));
	__builtin_memcpy(h->daddr, p->daddr, 16);
	h->ifindex = p->ifindex;
	h->dport = p->dport;
	h->family = p->family;
	h->expires_ns = p->now_ns + SW_HOST_TTL_NS;
	h->epoch = epoch_of(p->now_ns);
	if (epoch_of(h->expires_ns) != epoch_of(p->now_ns)) /* mid is of one epoch */
		h->expires_ns = (__u64)epoch_of(h->expires_ns) << SW_EPOCH_SHIFT;
	dev = bpf_map_lookup_elem(&sw_devs, &ifindex);
	if (dev) {
		__builtin_memcpy(h->mac, dev->mac, 6);
		h->no_meta = !dev->native;
	}
	sk = lookup(ctx, p, true);
	if (!sk)
		return 0;
	if (sk->state == SW_TCP_LISTEN)
		host_learn(h, ctx, sk, p, set);
	bpf_sk_release(sk);
	return 0;
}

/* The listener behind p's destination, at most 10 ms old. */
static __always_inline struct sw_host *host_of(void *ctx, const struct sw_pkt *p,
					       const struct sw_settings *set)
{
	__u32 idx = (p->dport ^ p->daddr[3] ^ p->daddr[3] >> 16) & (SW_HOST_SLOTS - 1);
	struct sw_host *h = bpf_map_lookup_elem(&sw_host, &idx);

	if (!h)
		return NULL;
	if (p->now_ns >= h->expires_ns || h->dport != p->dport || h->daddr[3] != p->daddr[3] ||
	    h->daddr[2] != p->daddr[2] || h->daddr[1] != p->daddr[1] ||
	    h->daddr[0] != p->daddr[0] || h->ifindex != p->ifindex || h->family != p->family)
		host_refresh(h, ctx, p, set);
	return h;
}

#endif /* SW_LISTENER_H */
