/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A SYN to a guarded service: to the host, or answered with a cookie. */
#ifndef SW_SYN_H
#define SW_SYN_H

#include "arm.h"
#include "listener.h"
#include "lists.h"
#include "synack.h"
#include "track.h"

#define SW_TINY_MSS_PPS 64
#define SW_SIGNED_PPS   64
#define SW_CAP_V4_MASK  bpf_htonl(0xffffff00) /* /24 */
#define SW_CAP_V6_MASK  bpf_htonl(0xffff0000) /* /48 */

/*
 * SYN-ACKs to one source prefix a second: whoever is spoofed gets no more than this from
 * us. Hashed, constant memory; prefixes that share a slot share the cap.
 */
static __always_inline bool cap_reached(const struct sw_pkt *p, const struct sw_settings *set)
{
	__u64 prefix = p->saddr[3] & SW_CAP_V4_MASK;
	__u32 idx, second = p->now_ns >> 30;
	struct sw_cap *cap;

	if (!set->synack_cap_pps)
		return false;
	if (!is_v4(p))
		prefix = (__u64)p->saddr[0] << 32 | (p->saddr[1] & SW_CAP_V6_MASK);
	idx = sw_mix64(sw_boot.seed1, prefix) & (SW_CAP_SLOTS - 1);
	cap = bpf_map_lookup_elem(&sw_cap, &idx);
	if (!cap)
		return false;
	if (cap->second != second) {
		cap->second = second;
		cap->count = 0;
	}
	return cap->count++ >= set->synack_cap_pps;
}

/* ECN is granted as Linux does: asked for by ECE and CWR, in a packet not itself marked. */
static __always_inline bool wants_ecn(const struct sw_pkt *p)
{
	return (p->flags & (TH_ECE | TH_CWR)) == (TH_ECE | TH_CWR) && (!p->ect || p->ae);
}

/* What the client offered, cut to what the host allows. */
static __always_inline void opts_allow(struct sw_pkt *p, const struct sw_host *h)
{
	struct sw_opts *o = &p->opts;

	if (wants_ecn(p))
		o->has |= SW_OPT_ECN;
	o->has &= h->allow;
	if (!(o->has & SW_OPT_WS))
		o->wscale = SW_WSCALE_NONE;
}

static __always_inline enum sw_reason answer_reqsk(struct xdp_md *ctx, struct sw_pkt *p,
						   const struct sw_host *h)
{
	struct sw_cookie *c = &p->cookie; /* not on the stack, which is scarce */
	struct sw_reply r = {};

	if (!p->enforce)
		return SW_TX_SYNACK;
	opts_allow(p, h);
	r.tsecr = p->opts.tsval;
	cookie_make(p, h, c);
	r.isn = c->isn;
	r.tsval = (__u32)(p->now_ns >> SW_TS_SHIFT) + (__u32)c->hash;
	r.mss = h->mss;
	r.window = h->window[c->mss & 7];
	r.ttl = h->ttl;
	r.wscale = h->wscale;
	r.has = p->opts.has;
	return synack_write(ctx, p, &r);
}

/* The kernel's cookie, made on the listener so that it will accept the ACK; MSS only. */
static __noinline enum sw_reason answer_listener(struct xdp_md *ctx, struct sw_pkt *p,
						 const struct sw_host *h)
{
	__u8 th[60] = {};
	__u32 doff = p->doff;
	void *end = (void *)(long)ctx->data_end;
	void *l3 = (void *)(long)ctx->data + (p->l3 & 31);
	struct sw_reply r = {};
	struct bpf_sock *sk;
	__s64 cookie;

	if (doff < 20 || doff > 60 || bpf_xdp_load_bytes(ctx, p->l4, th, doff))
		return SW_DROP_BUG;
	sk = lookup(ctx, p, false);
	if (!sk)
		return SW_PASS_NO_LISTENER;
	if (sk->state != SW_TCP_LISTEN) {
		bpf_sk_release(sk);
		return SW_PASS_SYN_HELD;
	}
	if (is_v4(p) && l3 + sizeof(struct iphdr) <= end)
		cookie = bpf_tcp_gen_syncookie(sk, l3, sizeof(struct iphdr), (void *)th, doff);
	else if (l3 + sizeof(struct ipv6hdr) <= end)
		cookie = bpf_tcp_gen_syncookie(sk, l3, sizeof(struct ipv6hdr), (void *)th, doff);
	else
		cookie = -1;
	bpf_sk_release(sk);
	if (cookie < 0)
		return SW_PASS_COOKIES_OFF;
	if (!p->enforce)
		return SW_TX_SYNACK;
	r.isn = cookie;
	r.mss = h->mss;
	r.window = h->window[0];
	r.ttl = h->ttl;
	return synack_write(ctx, p, &r);
}

/* Held tuples go to the host, whatever the flood: the cookie would die there (TIME-WAIT too). */
static __always_inline enum sw_reason syn_to_host(struct xdp_md *ctx, struct sw_pkt *p,
						  const struct sw_settings *set)
{
	if (!live_maybe(pkt_hash(p), set))
		return SW_CONTINUE;
	opts_parse(ctx, (void *)(long)ctx->data, (void *)(long)ctx->data_end, p, SW_HOOK_XDP);
	return judge_held(ctx, p) & 127;
}

static __always_inline enum sw_reason judge_syn(struct xdp_md *ctx, struct sw_pkt *p,
						const struct sw_host *h,
						const struct sw_service *svc,
						const struct sw_settings *set)
{
	struct sw_opts *o = &p->opts;
	__u32 smallest = mss_of(p->family, 0);
	enum sw_reason r;

	if (is_denied(p, svc, set))
		return SW_DROP_DENIED;
	r = syn_to_host(ctx, p, set);
	if (r)
		return r;
	if (svc->limited && svc->over != SW_OVER_COUNT && is_any_suspect() && may_be_refused(p)) {
		r = judge_source(p, PROVEN_NOT);
		if (r)
			return r;
	}
	if (h->state == SW_HOST_NONE) /* its RST tells an honest client; a flood earns none */
		return budget_take(SW_BUDGET_CLOSED, SW_CLOSED_PPS, p->now_ns) ?
			       SW_PASS_NO_LISTENER :
			       SW_DROP_CLOSED_PORT;
	if (h->state == SW_HOST_COOKIES_OFF)
		return SW_PASS_COOKIES_OFF;
	if (h->state == SW_HOST_UNFIT)
		return SW_PASS_LISTENER;
	if (!ip_csum_ok(ctx, p))
		return SW_DROP_IP_CSUM;
	if (!tcp_csum_ok(ctx, p))
		return SW_DROP_TCP_CSUM;
	arm_note_syn(p);
	if (svc->mode == SW_MODE_AUTO && !is_armed(p->service))
		return SW_PASS_CALM;
	if (svc->host_syns_pps && budget_take(p->service, svc->host_syns_pps, p->now_ns))
		return SW_PASS_HOST_SYN;
	opts_parse(ctx, (void *)(long)ctx->data, (void *)(long)ctx->data_end, p, SW_HOOK_XDP);
	if (o->has & SW_OPT_SIGNED && budget_take(SW_BUDGET_SIGNED, SW_SIGNED_PPS, p->now_ns))
		return SW_PASS_SIGNED;
	if (!o->mss)
		o->mss = smallest;
	if (o->mss < smallest && budget_take(SW_BUDGET_TINY_MSS, SW_TINY_MSS_PPS, p->now_ns))
		return SW_PASS_TINY_MSS;
	if (cap_reached(p, set))
		return SW_DROP_SYNACK_CAP;
	if (set->synack_total_pps &&
	    !budget_take(SW_BUDGET_SYNACK, set->synack_total_pps, p->now_ns))
		return SW_DROP_SYNACK_TOTAL;
	if (sw_boot.engine == SW_ENGINE_REQSK)
		return answer_reqsk(ctx, p, h);
	return answer_listener(ctx, p, h);
}

#endif /* SW_SYN_H */
