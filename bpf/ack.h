/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A segment to a guarded service that is not a SYN: of a connection the host holds, the end
 * of a cookie handshake, or neither. Uncheckable segments are swallowed, never passed to the
 * listener: it would reset an innocent client whose ACK is merely late.
 */
#ifndef SW_ACK_H
#define SW_ACK_H

#include "clock.h"
#include "csum.h"
#include "handover.h"
#include "lists.h"
#include "track.h"

#define SW_EXPIRED_PPS     100
#define SW_KEEPALIVE_PPS   1000
#define SW_KEEPALIVE_TICKS (SW_TS_LIFE_TICKS / 2) /* keeps a blind ACK's odds below 2^-36 */

/* Its source has been listed since its SYN, or has too many connections now. */
static __noinline enum sw_reason judge_proven(struct sw_pkt *p, bool again)
{
	struct sw_conn *c = conn_at(conn_find(p));
	struct sw_settings *set = settings();
	struct sw_service *svc = service_of(p);

	if (!set || !svc)
		return SW_CONTINUE;
	/* its ACK came through already: this is data behind it, or the ACK once more */
	if (c && conn_is(c, p) && is_counted_state(c->state) && c->server_fin == p->ack - 1)
		return SW_CONTINUE;
	if (is_denied(p, svc, set))
		return SW_DROP_DENIED;
	return svc->limited ? judge_source(p, again ? PROVEN_AGAIN : PROVEN_NEW) : SW_CONTINUE;
}

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

/*
 * A handshake has ended well: its connection is in the table, though the host has yet to
 * take it. Until it was seen to, only a cookie or the host's socket speak for it.
 */
static __always_inline void note_opened(struct sw_pkt *p, bool keepalive)
{
	if (!p->enforce)
		return;
	p->birth = (struct sw_birth){
		.table = SW_TABLE_CONNS,
		.state = p->flags & TH_FIN ? SW_CLOSE_WAIT : SW_ESTABLISHED,
		.flags = p->flags & TH_FIN ? SW_CONN_CLIENT_FIN : 0,
		.rcv_nxt = p->seq + p->l4_len - p->doff + keepalive,
		.client_fin = p->seq + p->l4_len - p->doff,
		.server_fin = p->ack - 1,
	};

	conn_open(p);
}

/* A cookie of ours behind p: marked for tc. SW_CONTINUE: no cookie; c tells more. */
static __always_inline enum sw_reason ack_cookie(struct xdp_md *ctx, struct sw_pkt *p,
						 const struct sw_host *h, struct sw_cookie *c)
{
	enum sw_reason refused;
	bool keepalive = false;
	struct sw_mark *m = &p->mark;
	__u32 ago;

	opts_parse(ctx, (void *)(long)ctx->data, (void *)(long)ctx->data_end, p, SW_HOOK_XDP);
	if (!cookie_check(p, p->seq - 1, h, c)) {
		if (!is_keepalive(p) ||
		    !budget_take(SW_BUDGET_KEEPALIVE, SW_KEEPALIVE_PPS, p->now_ns) ||
		    !cookie_check_again(p, p->seq, h, c) || c->age_ticks >= SW_KEEPALIVE_TICKS)
			return SW_CONTINUE;
		keepalive = true;
	}
	if (!ip_csum_ok(ctx, p))
		return SW_DROP_IP_CSUM;
	if (!tcp_csum_ok(ctx, p))
		return SW_DROP_TCP_CSUM;
	ago = cookie_used_ago(c->hash, p->now_ns);
	if (ago != SW_USED_NEVER) {
		enum sw_reason r = judge_held(ctx, p) & 127;

		if (r && r != SW_PASS_HOST_COOKIE)
			return r;
		if (cookie_is_spent(ago) || is_tombstone(p))
			return SW_PASS_COOKIE_USED;
	}
	refused = judge_proven(p, ago != SW_USED_NEVER);
	if (refused) {
		/* what it says again is not one more; later the host's RST tells it */
		if (p->enforce && refused != SW_DROP_DENIED)
			cookie_note_used(c->hash, p->now_ns);
		return refused;
	}
	if (keepalive && !keepalive_to_ack(ctx, p))
		return SW_DROP_BUG;
	mark_fill(m, p, p->seq + keepalive, c, h);
	if (h->no_meta)
		expect_unmarked();
	else if (mark_write(ctx, m))
		mark_keep(p);
	else
		recheck_all();
	note_opened(p, keepalive);
	return keepalive ? SW_PASS_KEEPALIVE : SW_PASS_COOKIE;
}

/*
 * What follows the ACK that ended a handshake in one batch: the host has yet to see that ACK,
 * which is before this in its queue, so only the entry speaks for it. RST, data and FIN in
 * order, or within 64 kB of it. Not if the host may have no room for the connection: its listener
 * would reset a client whose retransmission would have been welcome.
 */
static __always_inline bool is_close_behind(struct xdp_md *ctx, struct sw_pkt *p,
					    const struct sw_host *h, struct sw_conn *c)
{
	__u32 end = p->seq + p->l4_len - p->doff;
	union sw_word from, to;

	if (!conn_look(c, p, &from) || from.flags & SW_CONN_CONFIRMED || from.state == SW_CLOSED ||
	    conn_age(c, sw_seconds(p->now_ns)) >= SW_BATCH_S ||
	    p->seq - c->rcv_nxt + 65536 > 2 * 65536)
		return false;
	/* what the host will discard moves nothing */
	if (p->flags & (TH_RST | TH_FIN) && !segment_csum_ok(ctx, p))
		return true;
	to = from;
	if (p->flags & TH_RST) {
		if (p->seq != c->rcv_nxt && p->seq != c->client_fin + 1)
			return false;
		to.state = SW_CLOSED;
	} else if (p->flags & TH_SYN || h->crowded || p->ack != c->server_fin + 1) {
		return false;
	} else {
		if (is_after(end, c->rcv_nxt))
			c->rcv_nxt = end;
		if (p->flags & TH_FIN) {
			c->client_fin = end;
			to.flags |= SW_CONN_CLIENT_FIN;
		}
	}
	if (to.state != from.state)
		c->changed_s = sw_seconds(p->now_ns);
	conn_change(p, c, from, to);
	return true;
}

/*
 * Of a connection that ended a while ago, from near where it ended: its client has not heard
 * of the end, or the host's RST was lost. The host's next one tells it.
 */
static __always_inline bool is_trailing(const struct sw_pkt *p, const struct sw_conn *c)
{
	return c && conn_is(c, p) && c->state == SW_CLOSED &&
	       (p->flags & (TH_RST | TH_SYN | TH_ACK)) == TH_ACK &&
	       p->seq - c->rcv_nxt + SW_FLIGHT <= 2 * SW_FLIGHT;
}

/*
 * A tuple that none of the tables knows, nor the host, as far as it was asked. Not static: see
 * judge_segment(). Returns enum sw_reason.
 */
__noinline int judge_stray(struct xdp_md *ctx, struct sw_pkt *p, struct sw_host *h, __u32 ref,
			   __u32 own)
{
	struct sw_settings *set = settings();
	struct sw_conn *conn = conn_at(ref);

	if (!p || !h || !set)
		return SW_DROP_BUG;
	if (is_close_behind(ctx, p, h, conn)) {
		if (p->flags & TH_RST)
			return SW_PASS_RST;
		mark_again(ctx, p);
		return SW_PASS_KNOWN;
	}
	if (is_trailing(p, conn) && challenge_take(p, set))
		return SW_PASS_CHALLENGE;
	if (p->flags & TH_RST)
		return SW_DROP_RST;
	if (p->flags & TH_SYN)
		return SW_DROP_SYNACK;
	if (h->state == SW_HOST_NONE) /* its RST tells an honest peer; a flood earns none */
		return budget_take(SW_BUDGET_CLOSED, SW_CLOSED_PPS, p->now_ns) ?
			       SW_PASS_NO_LISTENER :
			       SW_DROP_CLOSED_PORT;
	if (h->state == SW_HOST_COOKIES_OFF)
		return SW_PASS_COOKIES_OFF;
	if (h->state == SW_HOST_UNFIT)
		return SW_PASS_LISTENER;
	if (own && budget_take(SW_BUDGET_EXPIRED, SW_EXPIRED_PPS, p->now_ns)) {
		struct sw_cookie *c = &p->cookie;

		c->epoch = epoch_of(p->now_ns) - ((epoch_of(p->now_ns) ^ c->isn) & 1);
		if (cookie_expired(p, h->wscale, c))
			return SW_DROP_EXPIRED;
	}
	return SW_DROP_COOKIE;
}

/* By the host's socket; a cookie that its listener takes makes an entry, as one of ours does. */
static __always_inline enum sw_reason judge_asked(struct xdp_md *ctx, struct sw_pkt *p)
{
	enum sw_reason r = judge_held(ctx, p) & 127, refused;

	if (r != SW_PASS_COOKIE || !segment_csum_ok(ctx, p))
		return r;
	refused = judge_proven(p, false);
	if (!refused)
		note_opened(p, false);
	return refused ? refused : r;
}

/* By the word of the tables. Not static: see judge_segment(). */
__noinline int may_be_held(__u32 ref)
{
	struct sw_conn *c = conn_at(ref);

	return c ? c->state != SW_CLOSED : is_any_unlisted();
}

/*
 * Anything but the everyday segment of a known connection, see is_everyday(), and a SYN. Not
 * static: the verifier then checks it once, for any p and h, and not again for each path
 * that leads here. Returns enum sw_reason.
 */
__noinline int judge_segment(struct xdp_md *ctx, struct sw_pkt *p, struct sw_host *h, __u32 maybe)
{
	struct sw_settings *set = settings();
	struct sw_cookie *c;
	struct sw_conn *conn;
	enum sw_reason r;
	__u32 ref = 0;
	bool own, ask;

	if (!p || !h || !set)
		return SW_DROP_BUG;
	c = &p->cookie;
	__builtin_memset(c, 0, sizeof(*c));
	p->now_ns = now_of_epoch(p->now_ns);
	/*
	 * What is in the tables is in the filter. Cookies of the host's own listener leave no
	 * trace there: while one may be about (with engine listener, always) each ACK is asked for.
	 */
	ask = maybe || ((p->flags & (TH_ACK | TH_SYN | TH_RST)) == TH_ACK &&
			(sw_boot.engine == SW_ENGINE_LISTENER || p->now_ns < set->grace_until_ns));
	if (maybe)
		ref = conn_find(p);
	conn = conn_at(ref);
	p->unlisted = !conn;
	if (conn && conn->flags & SW_CONN_CONFIRMED && conn->state != SW_CLOSED) {
		r = judge_asked(ctx, p);
		if (r)
			return r;
		ask = false;
	}
	own = sw_boot.engine == SW_ENGINE_REQSK && h->state == SW_HOST_READY &&
	      (p->flags & (TH_ACK | TH_SYN | TH_RST)) == TH_ACK;
	if (own) {
		r = ack_cookie(ctx, p, h, c);
		if (r)
			return r;
	}
	if (ask && sw_boot.engine == SW_ENGINE_REQSK &&
	    !budget_take(SW_BUDGET_ASK, set->ask_pps, p->now_ns)) {
		/*
		 * RST and SYN-ACK can wait, and what only the grace spoke for is tried again. Of
		 * the rest what the host may hold passes; a bit of the filter alone does not say
		 * so, as it outlives its connection.
		 */
		if (maybe && !(p->flags & (TH_RST | TH_SYN)) && may_be_held(ref))
			return SW_PASS_UNASKED;
		ask = false;
	}
	if (ask) {
		r = judge_asked(ctx, p);
		if (r)
			return r;
	}
	return judge_stray(ctx, p, h, ref, own);
}

#endif /* SW_ACK_H */
