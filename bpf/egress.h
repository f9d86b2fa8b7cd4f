/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host says: its SYNs, SYN-ACKs, FINs and RSTs move its connections. All else leaves
 * on one look at the flags, but for ACKs while a FIN that came out of order waits for its.
 */
#ifndef SW_EGRESS_H
#define SW_EGRESS_H

#include "clock.h"
#include "open.h"
#include "parse.h"
#include "service.h"

/* The packet as the tables have it: client first, whichever way it goes. */
static __always_inline void pkt_turn(struct sw_pkt *p)
{
	__be32 host[4];
	__be16 port = p->sport;

	__builtin_memcpy(host, p->saddr, 16);
	__builtin_memcpy(p->saddr, p->daddr, 16);
	__builtin_memcpy(p->daddr, host, 16);
	p->sport = p->dport;
	p->dport = port;
}

static __always_inline enum sw_out out_of(__u8 flags)
{
	if (flags & TH_RST)
		return OUT_RST;
	if (flags & TH_SYN)
		return flags & TH_ACK ? OUT_SYNACK : OUT_SYN;
	return flags & TH_FIN ? OUT_FIN : OUT_MAX;
}

/* A FIN of the client that came too early is acknowledged: by now it was in order. */
static __always_inline bool fin_arrived(struct sw_pkt *p, struct sw_conn *c)
{
	union sw_word from, to;

	for (int i = 0; i < SW_TRIES && conn_look(c, p, &from); i++) {
		if (!is_fin_pending(from) || !(p->flags & TH_ACK) ||
		    (__s32)(p->ack - c->client_fin - 1) < 0)
			return false;
		to = from;
		if (p->ack != c->client_fin + 1) {
			/* nothing follows a FIN: the host never took it */
			to.flags &= ~SW_CONN_CLIENT_FIN;
			conn_change(p, c, from, to);
			return false;
		}
		to.state = from.state == SW_FIN_WAIT_1 ? SW_CLOSING :
			   from.state == SW_FIN_WAIT_2 ? SW_TIME_WAIT :
							 SW_CLOSE_WAIT;
		c->changed_s = sw_seconds(p->now_ns);
		if (conn_change(p, c, from, to))
			return true;
	}
	return false;
}

static __always_inline void out_birth(struct sw_pkt *p, __u32 state)
{
	p->birth = (struct sw_birth){
		.table = is_proven(state) ? SW_TABLE_CONNS : SW_TABLE_HALF,
		.state = state,
		.flags = SW_CONN_CONFIRMED | (state == SW_SYN_SENT ? SW_CONN_OUTBOUND : 0) |
			 (state == SW_FIN_WAIT_1 ? SW_CONN_SERVER_FIN | SW_CONN_ADOPTED : 0),
		.rcv_nxt = p->ack,
		.server_fin = p->seq + p->l4_len - p->doff,
	};
}

/* The same SYN again: the host has not seen the client's answer, or waits for its data. */
static __always_inline bool is_syn_again(const struct sw_pkt *p, const struct sw_conn *c)
{
	return !(c->flags & SW_CONN_SERVER_FIN) && c->server_fin == p->seq;
}

/* Whether `out` makes a connection of its own out of what was there. */
static __always_inline bool is_birth(const struct sw_pkt *p, const struct sw_conn *c, __u32 out)
{
	if (!c || c->state == SW_CLOSED)
		return out != OUT_FIN || !c || !(c->flags & SW_CONN_SERVER_FIN) ||
		       c->server_fin != p->seq + p->l4_len - p->doff;
	if (out == OUT_SYNACK)
		return c->state != SW_SYN_SENT && !is_syn_again(p, c);
	return out == OUT_SYN && !is_syn_again(p, c);
}

static __always_inline bool out_move(struct sw_pkt *p, __u32 ref, struct sw_conn *c, __u32 out,
				     union sw_word from)
{
	__u32 next = step_out(from.state, out);
	union sw_word to = from;

	/* without ACK it answers a stray segment, which ends no handshake */
	if (out == OUT_RST && !is_proven(from.state) && !(p->flags & TH_ACK))
		next = 0;
	if (from.state == SW_CLOSED)
		next = 0;
	/* sent again before the host got the ACK that made it ESTABLISHED here */
	if (out == OUT_SYNACK && is_proven(from.state) &&
	    conn_age(c, sw_seconds(p->now_ns)) < SW_BATCH_S)
		next = 0;
	if (next == SW_CLOSED && ref & REF_HALF) /* no tombstone for what never was */
		return conn_free(p, SW_TABLE_HALF, c, from);
	to.flags |= SW_CONN_CONFIRMED;
	if (out == OUT_FIN) {
		c->server_fin = p->seq + p->l4_len - p->doff;
		to.flags |= SW_CONN_SERVER_FIN;
	}
	if (out == OUT_SYNACK) {
		c->server_fin = p->seq;
		c->rcv_nxt = p->ack;
	}
	if (next) {
		to.state = next;
		c->changed_s = sw_seconds(p->now_ns);
	}
	return conn_change(p, c, from, to);
}

/* False: another CPU was faster, try again. */
static __noinline bool out_try(struct sw_pkt *p, __u32 ref, struct sw_conn *c, __u32 out)
{
	union sw_word w;

	return !conn_look(c, p, &w) || out_move(p, ref, c, out, w);
}

static __always_inline enum sw_reason reason_of_out(__u32 out, bool found)
{
	switch (out) {
	case OUT_SYN:
		return SW_OUT_SYN;
	case OUT_SYNACK:
		return SW_OUT_SYNACK;
	case OUT_FIN:
		return SW_OUT_FIN;
	default:
		return found ? SW_OUT_RST : SW_OUT_STRAY_RST;
	}
}

/* p is turned. SW_CONTINUE: nothing to learn, not counted. */
static __always_inline enum sw_reason judge_out(struct sw_pkt *p)
{
	__u32 id = service_id(p), out = out_of(p->flags), ref;
	struct sw_service *svc = id ? service_get(id, p->gen) : NULL;
	struct sw_conn *c;

	if (!svc || svc->mode == SW_MODE_OFF || p->frag || p->doff < sizeof(struct tcphdr) ||
	    p->doff > p->l4_len)
		return SW_CONTINUE;
	p->service = id;
	p->now_ns = clock_now();
	pkt_hash(p);
	ref = conn_find(p);
	c = conn_at(ref);
	if (c && !conn_is(c, p))
		c = NULL;
	if (c && fin_arrived(p, c) && out == OUT_MAX)
		return SW_OUT_ACK;
	if (out == OUT_MAX)
		return SW_CONTINUE;
	if (out != OUT_RST && is_birth(p, c, out)) {
		out_birth(p, step_out(SW_FREE, out));
		conn_open(p);
	} else {
		/* no loop: Linux 6.1 takes what clang makes of it for an endless one */
		if (!out_try(p, ref, c, out) && !out_try(p, ref, c, out))
			out_try(p, ref, c, out);
	}
	return reason_of_out(out, c);
}

/*
 * TCP flags of a frame with the plainest headers; 0xff: look closer. What a socket sends has
 * no VLAN tag in front yet and its headers in the first buffer.
 */
static __always_inline __u8 out_flags(void *data, void *end)
{
	struct ethhdr *eth = data;
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct iphdr *ip = (void *)(eth + 1);
	__u8 *tcp;

	if ((void *)(ip + 1) > end)
		return 0xff;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		if (*(__u8 *)ip != 0x45)
			return 0xff;
		if (ip->protocol != IPPROTO_TCP)
			return 0;
		tcp = (void *)(ip + 1);
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if ((void *)(ip6 + 1) > end || ip6->nexthdr != IPPROTO_TCP)
			return 0;
		tcp = (void *)(ip6 + 1);
	} else {
		return is_vlan(eth->h_proto) ? 0xff : 0;
	}
	return (void *)(tcp + 14) > end ? 0xff : tcp[13];
}

#endif /* SW_EGRESS_H */
