/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A segment with ACK to a guarded service: of a connection the host holds, the end of a
 * cookie handshake, or neither. Uncheckable segments are swallowed, never passed to the
 * listener: it would reset an innocent client whose ACK is merely late.
 */
#ifndef SW_ACK_H
#define SW_ACK_H

#include "clock.h"
#include "csum.h"
#include "handover.h"

#define SW_EXPIRED_PPS     100
#define SW_KEEPALIVE_PPS   1000
#define SW_KEEPALIVE_TICKS (SW_TS_LIFE_TICKS / 2) /* keeps a blind ACK's odds below 2^-36 */

/*
 * A client whose ACK was lost while the server was to speak first may send a keepalive:
 * SEQ one lower, none or one byte of garbage (RFC 9293 3.8.4). Made into the lost ACK.
 */
static __noinline bool keepalive_to_ack(struct xdp_md *ctx, struct sw_pkt *p)
{
	__u32 payload = p->l4_len - p->doff;
	void *data, *end;
	struct tcphdr *th;
	__u16 *len;
	__u64 sum;

	if (payload && bpf_xdp_adjust_tail(ctx, (int)(p->l4 + p->doff) - (int)p->len))
		return false;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	th = data + (p->l4 & 0xfff);
	len = data + (p->l3 & 31) + (is_v4(p) ? 2 : 4);
	if ((void *)(th + 1) > end || (void *)(len + 5) > end)
		return false;
	p->l4_len = p->doff;
	*len = bpf_htons(bpf_ntohs(*len) - payload);
	if (is_v4(p)) /* len[4] is the checksum: one less here is one more there (RFC 1624) */
		len[4] = csum_fold((__u64)len[4] + bpf_htons(payload));
	th->seq = bpf_htonl(p->seq + 1);
	th->check = 0;
	sum = csum_range(ctx, p->l4, p->doff);
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	th = data + (p->l4 & 0xfff);
	if (sum == ~0ULL || (void *)(th + 1) > end)
		return false;
	th->check = ~csum_fold(sum + csum_pseudo(p, p->doff));
	return true;
}

static __always_inline bool is_keepalive(const struct sw_pkt *p)
{
	return p->l4_len - p->doff <= 1 && !(p->flags & TH_FIN) && p->opts.has & SW_OPT_TS &&
	       p->enforce;
}

/* A cookie of ours behind p: marked for tc. SW_CONTINUE: no cookie; c tells more. */
static __always_inline enum sw_reason ack_cookie(struct xdp_md *ctx, struct sw_pkt *p,
						 const struct sw_host *h, struct sw_cookie *c)
{
	bool keepalive = false;
	struct sw_mark m = {};
	__u32 ago;

	opts_parse(ctx, (void *)(long)ctx->data, (void *)(long)ctx->data_end, p, SW_HOOK_XDP);
	if (!cookie_check(p, p->seq - 1, h->wscale, c)) {
		if (!is_keepalive(p) ||
		    !budget_take(SW_BUDGET_KEEPALIVE, SW_KEEPALIVE_PPS, p->now_ns) ||
		    !cookie_check(p, p->seq, h->wscale, c) || c->age_ticks >= SW_KEEPALIVE_TICKS)
			return SW_CONTINUE;
		keepalive = true;
	}
	if (!ip_csum_ok(ctx, p))
		return SW_DROP_IP_CSUM;
	if (!tcp_csum_ok(ctx, p))
		return SW_DROP_TCP_CSUM;
	ago = cookie_used_ago(c->hash, p->now_ns);
	if (ago != SW_USED_NEVER) {
		if (host_holds(ctx, p) == SW_HELD_SOCKET) {
			known_note(p);
			return SW_PASS_KNOWN;
		}
		if (cookie_is_spent(ago))
			return SW_PASS_COOKIE_USED;
	}
	if (keepalive && !keepalive_to_ack(ctx, p))
		return SW_DROP_BUG;
	mark_fill(&m, p, c, h);
	if (h->no_meta || !mark_write(ctx, &m)) {
		struct sw_settings *set = settings();

		if (set && !set->recheck) /* a line all CPUs read */
			set->recheck = 1;
	}
	return keepalive ? SW_PASS_KEEPALIVE : SW_PASS_COOKIE;
}

/* A cookie the kernel made: before the guard was armed, or by its engine `listener`. */
static __always_inline bool kernel_cookie_ok(struct xdp_md *ctx, const struct sw_pkt *p,
					     struct bpf_sock *sk)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *l3 = data + (p->l3 & 31);
	struct tcphdr *th = data + (p->l4 & 0xfff);

	if ((void *)(th + 1) > end)
		return false;
	if (is_v4(p))
		return l3 + sizeof(struct iphdr) <= end &&
		       !bpf_tcp_check_syncookie(sk, l3, sizeof(struct iphdr), th, sizeof(*th));
	return l3 + sizeof(struct ipv6hdr) <= end &&
	       !bpf_tcp_check_syncookie(sk, l3, sizeof(struct ipv6hdr), th, sizeof(*th));
}

/* SW_CONTINUE: only a listener knows the tuple, and it would reset it. */
static __noinline enum sw_reason ask_host(struct xdp_md *ctx, struct sw_pkt *p)
{
	struct bpf_sock *sk = lookup(ctx, p, false);
	enum sw_reason r = SW_CONTINUE;

	if (!sk)
		return SW_PASS_NO_LISTENER;
	if (sk->state != SW_TCP_LISTEN) {
		known_note(p);
		r = SW_PASS_KNOWN;
	} else if (!(p->flags & TH_SYN) && kernel_cookie_ok(ctx, p, sk)) {
		r = sw_boot.engine == SW_ENGINE_LISTENER ? SW_PASS_COOKIE : SW_PASS_HOST_COOKIE;
	}
	bpf_sk_release(sk);
	return r;
}

/*
 * No socket lately seen. Not static: the verifier then checks it once, for any p and h, and
 * not again for each path that leads here. Returns enum sw_reason.
 */
__noinline int judge_unknown_ack(struct xdp_md *ctx, struct sw_pkt *p, struct sw_host *h)
{
	struct sw_cookie c = {};
	enum sw_reason r;
	bool own;

	if (!p || !h)
		return SW_DROP_BUG;
	if (epoch_of(p->now_ns + SW_CLOCK_LAG_NS) != epoch_of(p->now_ns))
		p->now_ns = bpf_ktime_get_ns(); /* another CPU may be in the next epoch */
	own = sw_boot.engine == SW_ENGINE_REQSK && h->state == SW_HOST_READY &&
	      !(p->flags & TH_SYN);
	if (own) {
		r = ack_cookie(ctx, p, h, &c);
		if (r)
			return r;
	}
	r = ask_host(ctx, p);
	if (r)
		return r;
	if (h->state == SW_HOST_COOKIES_OFF)
		return SW_PASS_COOKIES_OFF;
	if (h->state == SW_HOST_UNFIT)
		return SW_PASS_LISTENER;
	if (own && budget_take(SW_BUDGET_EXPIRED, SW_EXPIRED_PPS, p->now_ns)) {
		c.epoch = epoch_of(p->now_ns) - ((epoch_of(p->now_ns) ^ c.isn) & 1);
		if (cookie_expired(p, h->wscale, &c))
			return SW_DROP_EXPIRED;
	}
	return SW_DROP_COOKIE;
}

static __always_inline enum sw_reason judge_ack(struct xdp_md *ctx, struct sw_pkt *p,
						struct sw_host *h, const struct sw_settings *set)
{
	if (known_fresh(p, set))
		return SW_PASS_KNOWN;
	return judge_unknown_ack(ctx, p, h) & 63; /* for the verifier: an index later */
}

#endif /* SW_ACK_H */
