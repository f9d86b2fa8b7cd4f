/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A segment of a connection the host holds: which column of the table in states.h it is, by
 * the numbers of the host's socket, and what then becomes of packet and entry.
 */
#ifndef SW_TRACK_H
#define SW_TRACK_H

#include "csum.h"
#include "open.h"
#include "oracle.h"

/* Of a connection that was seen to end. */
static __always_inline bool is_tombstone(struct sw_pkt *p)
{
	struct sw_conn *c = conn_at(conn_find(p));

	return c && conn_is(c, p) && c->state == SW_CLOSED;
}

/* The host was seen to take it, or it is over: no cookie opens it. */
static __always_inline bool is_settled(struct sw_pkt *p)
{
	struct sw_conn *c = conn_at(conn_find(p));

	return c && conn_is(c, p) && (c->flags & SW_CONN_CONFIRMED || c->state == SW_CLOSED);
}

#define SW_FLIGHT (1U << 20) /* bytes that may be under way, whatever window was offered last */

static __always_inline bool is_after(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

static __always_inline enum sw_seg seg_rst(const struct sw_pkt *p, const struct sw_view *v)
{
	if (v->state == SW_SYN_SENT)
		return p->flags & TH_ACK && p->ack == v->snd_end ? SEG_RST : SEG_RST_OUT;
	/* some stacks do not count their own FIN (as Linux allows for, tcp_reset_check) */
	if (p->seq == v->rcv_nxt ||
	    (is_client_done(v->state) && v->state != SW_TIME_WAIT && p->seq + 1 == v->rcv_nxt))
		return SEG_RST;
	return p->seq - v->rcv_nxt <= v->rcv_end - v->rcv_nxt ? SEG_RST_IN : SEG_RST_OUT;
}

/* A SYN that TIME-WAIT gives way to (RFC 6191; RFC 7323 5.2), as Linux has it. */
static __always_inline bool is_newer(const struct sw_pkt *p, const struct sw_view *v)
{
	bool ts = p->opts.has & SW_OPT_TS && v->has_ts;

	if (ts && is_after(v->ts_recent, p->opts.tsval))
		return false;
	return is_after(p->seq, v->rcv_nxt) || (ts && is_after(p->opts.tsval, v->ts_recent));
}

static __always_inline enum sw_seg seg_syn(const struct sw_pkt *p, const struct sw_view *v)
{
	bool again = v->state == SW_SYN_RECEIVED && p->seq + 1 == v->rcv_nxt;

	if (p->flags & TH_ACK)
		return p->ack == v->snd_end && (v->state == SW_SYN_SENT || (again && !v->request)) ?
			       SEG_SYNACK_OURS :
			       SEG_SYNACK;
	return again || (v->state == SW_TIME_WAIT && is_newer(p, v)) ? SEG_SYN_GOOD : SEG_SYN;
}

/* How far right of the window. A window of nothing is probed, so nothing counts as 64 kB. */
static __always_inline enum sw_seg seg_beyond(const struct sw_pkt *p, const struct sw_view *v)
{
	__u32 over = p->seq - v->rcv_end;

	return over <= (v->rcv_wnd > 65535 ? v->rcv_wnd : 65535) ? SEG_OVER : SEG_AHEAD;
}

/* The FIN is at `end`; what is left of the window, or acknowledges nothing, is not asked here. */
static __always_inline enum sw_seg seg_fin(const struct sw_pkt *p, const struct sw_view *v,
					   __u32 end, bool ours)
{
	if (is_client_done(v->state))
		return is_after(end, v->rcv_nxt) ? SEG_AHEAD : ours ? SEG_FIN_OURS : SEG_FIN_OLD;
	if (end == v->rcv_nxt) /* no client's: its FIN has not arrived. But the ACK counts */
		return ours ? SEG_ACK_OURS : SEG_OLD;
	if (is_after(p->seq, v->rcv_nxt))
		return ours ? SEG_HOLE_OURS : SEG_HOLE;
	return ours ? SEG_FIN_OURS : SEG_FIN;
}

/* SYN-SENT knows no numbers of the peer's: only its ACK counts. */
static __always_inline enum sw_seg seg_syn_sent(const struct sw_pkt *p, const struct sw_view *v)
{
	return p->flags & TH_FIN && p->ack == v->snd_end ? SEG_FIN : SEG_ACK;
}

static __always_inline enum sw_seg seg_ack(const struct sw_pkt *p, const struct sw_view *v)
{
	__u32 payload = p->l4_len - p->doff, end = p->seq + payload + !!(p->flags & TH_FIN);
	bool ours = p->ack == v->snd_end && v->state != SW_ESTABLISHED &&
		    v->state != SW_CLOSE_WAIT && v->state != SW_FIN_WAIT_2;

	if (v->state == SW_SYN_SENT)
		return seg_syn_sent(p, v);
	if (is_after(p->seq, v->rcv_end))
		return seg_beyond(p, v);
	if (is_after(p->ack, v->snd_nxt))
		return SEG_AHEAD;
	if (is_after(v->rcv_left, end) || is_after(v->snd_una - v->snd_old, p->ack))
		return SEG_OLD;
	if (v->state == SW_SYN_RECEIVED &&
	    (!ours || (p->seq != v->rcv_nxt && !is_after(end, v->rcv_nxt))))
		return SEG_OLD;
	if (p->flags & TH_FIN)
		return seg_fin(p, v, end, ours);
	if (payload && is_client_done(v->state) && is_after(end, v->rcv_nxt))
		return SEG_AHEAD;
	return ours ? SEG_ACK_OURS : SEG_ACK;
}

/* p against p->view. Not static, as others here: verified once, not for each path to it. */
__noinline int seg_of(struct sw_pkt *p)
{
	const struct sw_view *v;

	if (!p)
		return SEG_RST_OUT;
	v = &p->view;
	if (p->flags & TH_RST)
		return seg_rst(p, v);
	return p->flags & TH_SYN ? seg_syn(p, v) : seg_ack(p, v);
}

/*
 * On one CPU so many a second for each connection: what the host answers is not amplified. A
 * slot counts for one connection at a time, or others could feel that it is used (RFC 5961
 * section 7; CVE-2016-5696).
 */
static __always_inline bool challenge_take(const struct sw_pkt *p, const struct sw_settings *set)
{
	__u32 idx = p->hash >> 40 & (SW_CHALLENGE_SLOTS - 1);
	__u32 whose = (__u32)(p->hash >> 8) << 8 | (p->now_ns >> 30 & 0xff);
	struct sw_cap *c = bpf_map_lookup_elem(&sw_challenge, &idx);

	if (!c)
		return false;
	if (c->second != whose) {
		c->second = whose;
		c->count = 0;
	}
	return c->count < set->challenge_pps && ++c->count;
}

/* What the entry begins with or takes over from the socket. */
static __always_inline void birth_of(struct sw_birth *b, const struct sw_view *v, __u32 state,
				     __u8 flags)
{
	*b = (struct sw_birth){
		.table = is_proven(state) ? SW_TABLE_CONNS : SW_TABLE_HALF,
		.state = state,
		.flags = flags | SW_CONN_CONFIRMED,
		.rcv_nxt = v->rcv_nxt,
		.server_fin = v->snd_end - 1,
	};
	if (is_client_done(state)) {
		b->flags |= SW_CONN_CLIENT_FIN;
		b->client_fin = v->rcv_nxt - 1;
	}
	if (is_proven(state) && state != SW_ESTABLISHED && state != SW_CLOSE_WAIT)
		b->flags |= SW_CONN_SERVER_FIN;
}

/*
 * The entry of p's connection becomes `state`; made if there is none. `refresh`: the segment
 * counts as life. CPUs that do this for one connection at once each do it to
 * the word they saw; who loses takes the next segment's word for it. Opening is left to the
 * caller: programs have 512 bytes of stack for all that call each other.
 */
#define SETTLED     0
#define SETTLE_OPEN 1

/* The entry's numbers and word for `state`; false: another CPU changed it meanwhile. */
static __always_inline bool entry_move(struct sw_pkt *p, struct sw_conn *c, union sw_word from,
				       __u32 state, __u32 flags, bool refresh)
{
	__u32 now_s = sw_seconds(p->now_ns);
	const struct sw_birth *b = &p->birth;
	union sw_word to = from;

	/*
	 * The packet path is ahead of the host by what was received in one batch with this: a
	 * segment that moves nothing does not take back what one before it has just moved.
	 */
	if (state == p->view.state && state != from.state && conn_age(c, now_s) < SW_BATCH_S)
		state = from.state;
	to.state = state;
	c->rcv_nxt = p->view.rcv_nxt;
	if (is_client_done(from.state) && !is_client_done(state)) /* the host never took that FIN */
		to.flags &= ~SW_CONN_CLIENT_FIN;
	to.flags |= b->flags;
	if (flags & SW_CONN_CLIENT_FIN ||
	    (b->flags & SW_CONN_CLIENT_FIN && !(from.flags & SW_CONN_CLIENT_FIN)))
		c->client_fin = b->client_fin;
	if (b->flags & SW_CONN_SERVER_FIN && !(from.flags & SW_CONN_SERVER_FIN))
		c->server_fin = b->server_fin;
	if (refresh)
		to.flags &= ~SW_CONN_RST_SEEN;
	if (refresh || flags & SW_CONN_SYN_PASSED)
		c->seen_s = now_s;
	/* before the state: who sees that has to see when; in TIME-WAIT 2MSL begins anew */
	if (from.state != state || (refresh && state == SW_TIME_WAIT && p->flags & TH_FIN))
		c->changed_s = now_s;
	return conn_change(p, c, from, to);
}

__noinline int entry_settle(struct sw_pkt *p, __u32 state, __u32 flags, __u32 refresh)
{
	union sw_word from;
	struct sw_birth *b;
	struct sw_conn *c;
	__u32 ref;

	if (!p)
		return SETTLED;
	ref = conn_find(p);
	c = conn_at(ref);
	b = &p->birth;
	birth_of(b, &p->view, state, flags);
	if (flags & SW_CONN_CLIENT_FIN) /* the segment's own, in order or not */
		b->client_fin = p->seq + p->l4_len - p->doff;
	for (int i = 0; i < SW_TRIES; i++) {
		if (!conn_look(c, p, &from)) {
			if (state == SW_CLOSED)
				return SETTLED;
			/* a handshake that ends now was seen, though its SYN-ACK was not */
			if (p->view.state != SW_SYN_RECEIVED || state == SW_SYN_RECEIVED)
				b->flags |= SW_CONN_ADOPTED;
			return SETTLE_OPEN;
		}
		if (ref & REF_HALF && state == SW_CLOSED) { /* no tombstone for what never was */
			conn_free(p, SW_TABLE_HALF, c, from);
			return SETTLED;
		}
		if (ref & REF_HALF && b->table == SW_TABLE_CONNS) { /* proven: it changes tables */
			b->opened_s = c->opened_s;
			b->flags |= from.flags & SW_CONN_OUTBOUND;
			return SETTLE_OPEN;
		}
		if (entry_move(p, c, from, state, flags, refresh))
			break;
	}
	return SETTLED;
}

static __always_inline bool conn_settle(struct sw_pkt *p, __u32 state, __u32 flags, bool refresh)
{
	return entry_settle(p, state, flags, refresh) == SETTLED || conn_open(p);
}

/*
 * From the walk over the sockets. What changed just now the packet path knows better: the
 * segment that changed it may wait for the socket's lock, which the walk holds.
 */
static __always_inline void conn_adopt(struct sw_pkt *p)
{
	struct sw_conn *c = conn_at(conn_find(p));
	union sw_word from, to;

	for (int i = 0; i < SW_TRIES && conn_look(c, p, &from); i++) {
		if (conn_age(c, sw_seconds(p->now_ns)) >= SW_BATCH_S)
			break;
		to = from;
		to.flags |= SW_CONN_HELD | SW_CONN_CONFIRMED;
		if (conn_change(p, c, from, to))
			return;
	}
	conn_settle(p, p->view.state, SW_CONN_HELD, false);
}

/*
 * From the walk: a connection that is older than the limit of its service counts for its source
 * from now on. Not static: verified once.
 */
__noinline int conn_count(struct sw_pkt *p)
{
	union sw_word from, to;
	struct sw_conn *c;

	if (!p)
		return 0;
	c = conn_at(conn_find(p));
	if (!conn_look(c, p, &from) || from.service & SW_CONN_COUNTED ||
	    from.flags & SW_CONN_OUTBOUND || !is_counted_state(from.state))
		return 0;
	p->birth.flags = SW_CONN_ADOPTED; /* and has no share in the rate */
	if (!source_open(p))
		return 0;
	to = from;
	to.service |= SW_CONN_COUNTED;
	source_move((struct sw_tuple *)p->saddr, to.service, SW_ESTABLISHED, from.state);
	if (!word_swap(c, from.word, to.word)) /* the next walk meets it again */
		source_move((struct sw_tuple *)p->saddr, to.service, from.state, SW_FREE);
	return 0;
}

/* The host holds nothing of this tuple any more, whatever the table says. */
static __always_inline void conn_lost(struct sw_pkt *p)
{
	__u32 ref = conn_find(p);
	struct sw_conn *c = conn_at(ref);
	union sw_word from, to;

	if (!conn_look(c, p, &from))
		return;
	/* the host may have its first ACK before it, undelivered */
	if (from.state == SW_CLOSED ||
	    (!(from.flags & SW_CONN_CONFIRMED) && conn_age(c, sw_seconds(p->now_ns)) < SW_BATCH_S))
		return;
	if (ref & REF_HALF) {
		conn_free(p, SW_TABLE_HALF, c, from);
		return;
	}
	to = from;
	to.state = SW_CLOSED;
	c->changed_s = sw_seconds(p->now_ns);
	conn_change(p, c, from, to);
}

static __always_inline bool has_syn_passed(struct sw_pkt *p)
{
	struct sw_conn *c = conn_at(conn_find(p));

	return c && conn_is(c, p) && c->flags & SW_CONN_SYN_PASSED &&
	       sw_seconds(p->now_ns) - c->seen_s < 3;
}

static __always_inline enum sw_reason reason_of_drop(const struct sw_pkt *p,
						     const struct sw_view *v)
{
	if (p->flags & TH_RST)
		return v->state == SW_TIME_WAIT ? SW_DROP_RST_TIME_WAIT : SW_DROP_RST_WINDOW;
	return p->flags & TH_SYN ? SW_DROP_SYNACK : SW_DROP_WINDOW;
}

static __always_inline enum sw_reason reason_of_pass(const struct sw_pkt *p, __u8 cell)
{
	if (p->flags & TH_RST)
		return cell & CELL_BUDGET ? SW_PASS_CHALLENGE : SW_PASS_RST;
	if ((p->flags & (TH_SYN | TH_ACK)) == TH_SYN)
		return SW_PASS_SYN_HELD;
	return cell & CELL_BUDGET ? SW_PASS_CHALLENGE : SW_PASS_KNOWN;
}

/* Entry flags a segment leaves, beyond what its state implies. */
static __always_inline __u32 flags_of(const struct sw_view *v, __u32 seg)
{
	if (seg == SEG_FIN || seg == SEG_FIN_OURS || seg == SEG_HOLE || seg == SEG_HOLE_OURS)
		return is_client_done(v->state) ? 0 : SW_CONN_CLIENT_FIN;
	if (seg == SEG_RST_IN)
		return SW_CONN_RST_SEEN;
	return seg <= SEG_SYN_GOOD && v->state == SW_TIME_WAIT ? SW_CONN_SYN_PASSED : 0;
}

/*
 * Data sent again, from no more than a window ago. The host's answer ends a recovery that a
 * path which reorders has begun in vain (RFC 2883), and is one ACK for one segment of data,
 * so it is not the budget's.
 */
static __always_inline bool is_repeat(const struct sw_pkt *p, const struct sw_view *v)
{
	return p->l4_len != p->doff && !(p->flags & TH_FIN) && v->state != SW_SYN_RECEIVED &&
	       v->rcv_nxt - p->seq <= (v->rcv_wnd > SW_FLIGHT ? v->rcv_wnd : SW_FLIGHT) &&
	       !is_after(v->snd_una - v->snd_old, p->ack);
}

__noinline int segment_csum_ok(struct xdp_md *ctx, struct sw_pkt *p)
{
	return p && tcp_csum_ok(ctx, p);
}

static __always_inline enum sw_reason step(struct xdp_md *ctx, struct sw_pkt *p,
					   const struct sw_settings *set)
{
	const struct sw_view *v = &p->view;
	__u32 seg = seg_of(p), next;
	__u8 cell = step_in(v->state, seg);
	bool refresh = !cell || cell & CELL_NEXT;

	if (v->unknown) {
		note_unlisted();
		return reason_of_pass(p, 0);
	}
	if (v->state == SW_TIME_WAIT && seg == SEG_RST && !has_syn_passed(p))
		cell = CELL_DROP;
	if (cell & CELL_DROP)
		return reason_of_drop(p, v);
	if (cell & CELL_BUDGET && !(seg == SEG_OLD && is_repeat(p, v)) && !challenge_take(p, set))
		return SW_DROP_CHALLENGE;
	next = cell & CELL_NEXT;
	/* what the host will discard moves nothing */
	if ((next || flags_of(v, seg) || p->flags & TH_FIN) && !segment_csum_ok(ctx, p))
		return reason_of_pass(p, cell);
	if (!conn_settle(p, next ? next : v->state, flags_of(v, seg), refresh))
		return SW_PASS_UNTRACKED;
	return reason_of_pass(p, cell);
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

/*
 * p by the word of the host's socket. SW_CONTINUE: the host holds no such connection, and a
 * listener would reset it. Not static: the verifier then checks it once, for any p, and not
 * again for each path that leads here. Returns enum sw_reason.
 */
__noinline int judge_held(struct xdp_md *ctx, struct sw_pkt *p)
{
	struct sw_settings *set = settings();
	enum sw_reason r = SW_CONTINUE;
	struct bpf_sock *sk;
	bool held = false;

	if (!p || !set)
		return SW_DROP_BUG;
	sk = lookup(ctx, p, false);
	if (sk && sk->state != SW_TCP_LISTEN) {
		view_of(&p->view, sk, sk->state);
		held = p->view.state;
	} else if (sk && (p->flags & (TH_ACK | TH_SYN | TH_RST)) == TH_ACK &&
		   kernel_cookie_ok(ctx, p, sk)) {
		r = sw_boot.engine == SW_ENGINE_LISTENER ? SW_PASS_COOKIE : SW_PASS_HOST_COOKIE;
	}
	if (sk)
		bpf_sk_release(sk);
	if (held || r) /* from now on it is asked for, whatever began it */
		live_mark(p->hash, set);
	if (held)
		return step(ctx, p, set);
	if (!sk) /* nor a listener: perhaps bound to a device above, so the table's word counts */
		return is_settled(p) && !is_tombstone(p) ? reason_of_pass(p, 0) : SW_CONTINUE;
	if (!p->unlisted)
		conn_lost(p);
	return r;
}

#endif /* SW_TRACK_H */
