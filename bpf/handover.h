/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a verified ACK to a request socket in the host stack. XDP writes what the cookie
 * stood for in front of the packet; tc ingress, where an skb exists, hands it over.
 */
#ifndef SW_HANDOVER_H
#define SW_HANDOVER_H

#include "clock.h"
#include "listener.h"

static __always_inline void mark_fill(struct sw_mark *m, const struct sw_pkt *p, __u32 seq,
				      const struct sw_cookie *c, const struct sw_host *h)
{
	__builtin_memset(m, 0, sizeof(*m)); /* all of it is compared, see mark_again() */
	m->magic = sw_boot.mark;
	m->seq = seq;
	m->service = p->service;
	m->cookie_hash = c->hash;
	m->mss = mss_of(p->family, c->mss);
	m->our_wscale = h->wscale;
	m->wscale = c->wscale;
	m->has = c->has;
	if (c->has & SW_OPT_TS) {
		__u32 elapsed = (__u32)(bpf_ktime_get_ns() >> SW_TS_SHIFT) - c->sent_ticks;

		/* the kernel sets its offset to rcv_tsecr - now, in ms */
		m->tsval = p->opts.tsval;
		m->tsecr = p->opts.tsecr + (__u32)((__u64)elapsed * SW_TICK_NS / 1000000);
	}
}

/* False: the driver has no room for metadata, tc checks the cookie again. */
static __always_inline bool mark_write(struct xdp_md *ctx, const struct sw_mark *m)
{
	struct sw_mark *out;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*m)))
		return false;
	out = (void *)(long)ctx->data_meta;
	if ((void *)(out + 1) > (void *)(long)ctx->data)
		return false;
	*out = *m;
	return true;
}

static __always_inline struct sw_kept_mark *kept_mark(const struct sw_pkt *p)
{
	__u32 slot = p->hash >> 8 & (SW_KEPT_MARKS - 1);

	return bpf_map_lookup_elem(&sw_marks, &slot);
}

static __always_inline void mark_keep(const struct sw_pkt *p)
{
	struct sw_kept_mark *kept = kept_mark(p);

	if (!kept)
		return;
	kept->hash = p->hash;
	kept->mark = p->mark;
}

/*
 * GRO takes packets whose metadata differ for different flows (skb_metadata_differs()): it would
 * hold an ACK with data and let the segment behind it, with PSH, go first, to a host that has no
 * socket for it yet and resets. So what comes close behind that ACK has the very same mark, and
 * GRO keeps the two in order or makes them one.
 */
static __always_inline void mark_again(struct xdp_md *ctx, const struct sw_pkt *p)
{
	struct sw_kept_mark *kept = kept_mark(p);

	if (kept && kept->hash == p->hash)
		mark_write(ctx, &kept->mark);
}

/* A driver without room for metadata: tc looks at every ACK of a guarded service. */
static __always_inline void recheck_all(void)
{
	struct sw_settings *set = settings();

	if (set && !set->recheck) /* a line all CPUs read */
		set->recheck = 1;
}

/*
 * Generic XDP runs right before tc, on one CPU: the next packet there is the one. Unless an
 * interrupt came between, hence a few of them.
 */
#define SW_UNMARKED 16

static __always_inline void expect_unmarked(void)
{
	struct sw_cpu *c = this_cpu();

	if (c)
		c->unmarked = SW_UNMARKED;
}

static __always_inline void expect_none(void)
{
	struct sw_cpu *c = this_cpu();

	if (c)
		c->unmarked = 0;
}

static __always_inline bool is_unmarked_expected(const struct sw_settings *set)
{
	struct sw_cpu *c = this_cpu();

	if (set->recheck)
		return true;
	if (!c || !c->unmarked)
		return false;
	c->unmarked--;
	return true;
}

/*
 * The kfunc looks at skb->protocol. With two VLAN tags that is the inner tag's, so the outer
 * one is lifted for the call; a single tag is in skb->vlan_tci already.
 */
static __always_inline int assign_reqsk(struct __sk_buff *skb, struct tcp_sock *tp,
					struct bpf_tcp_req_attrs *attrs)
{
	__be16 proto = skb->protocol, outer_proto = skb->vlan_proto;
	__u16 outer_tci = skb->vlan_tci;
	bool lifted = false;
	int err;

	if ((proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD)) &&
	    skb->vlan_present)
		lifted = !bpf_skb_vlan_pop(skb);
	err = bpf_sk_assign_tcp_reqsk(skb, (struct sock *)tp, attrs, sizeof(*attrs));
	if (lifted)
		bpf_skb_vlan_push(skb, outer_proto, outer_tci);
	return err;
}

static __always_inline enum sw_reason hand_over(struct __sk_buff *skb, struct sw_pkt *p,
						const struct sw_mark *m,
						const struct sw_settings *set)
{
	struct bpf_tcp_req_attrs attrs = {
		.rcv_tsval = m->tsval,
		.rcv_tsecr = m->tsecr,
		.mss = m->mss,
		.rcv_wscale = m->has & SW_OPT_WS ? m->our_wscale : 0,
		.snd_wscale = m->has & SW_OPT_WS ? m->wscale : 0,
		.ecn_ok = !!(m->has & SW_OPT_ECN),
		.wscale_ok = !!(m->has & SW_OPT_WS),
		.sack_ok = !!(m->has & SW_OPT_SACK),
		.tstamp_ok = !!(m->has & SW_OPT_TS),
	};
	struct bpf_sock *sk = lookup(skb, p, false);
	enum sw_reason r = SW_TC_REFUSED;
	struct tcp_sock *tp;

	if (!sk)
		return SW_TC_NO_LISTENER;
	tp = sk->state == SW_TCP_LISTEN ? bpf_skc_to_tcp_sock(sk) : NULL;
	if (tp && tp->rx_opt.user_mss && tp->rx_opt.user_mss < attrs.mss)
		attrs.mss = tp->rx_opt.user_mss;
	if (sk->state != SW_TCP_LISTEN || cookie_in_batch(m->cookie_hash, p->now_ns)) {
		/*
		 * Used: a segment received in one batch with the ACK before it. tc sees the
		 * whole batch before the stack does; a second request socket would lose this
		 * segment, while left alone it finds the connection the first one makes.
		 */
		r = SW_TC_KNOWN;
	} else if (p->seq != m->seq) {
		r = SW_TC_EARLY; /* the listener would reset */
	} else if (tp && bpf_ksym_exists(bpf_sk_assign_tcp_reqsk)) {
		bool retry = accept_nearly_full(tp);

		if (!assign_reqsk(skb, tp, &attrs)) {
			live_mark(pkt_hash(p), set);
			if (!retry)
				cookie_note_used(m->cookie_hash, p->now_ns);
			r = SW_TC_HANDED_OVER;
		}
	}
	bpf_sk_release(sk);
	return r;
}

#endif /* SW_HANDOVER_H */
