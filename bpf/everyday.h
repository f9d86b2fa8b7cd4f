/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The path nearly every packet takes: a segment of a connection that goes on as it was. */
#ifndef SW_EVERYDAY_H
#define SW_EVERYDAY_H

#include "conns.h"

/* ACK or data, and nothing in its headers to look at further. */
static __always_inline bool is_plain(const struct sw_pkt *p)
{
	return (p->flags & (TH_FIN | TH_SYN | TH_RST | TH_ACK)) == TH_ACK && !p->frag &&
	       !p->ip_opts && p->doff >= sizeof(struct tcphdr) && p->doff <= p->l4_len;
}

/*
 * The everyday segment: of a connection the host is known to hold, in a state in which data
 * and ACKs change nothing, with numbers near those the host had when it was last asked. Its
 * cost is what an established connection pays for the guard.
 */
#define SW_NEAR (1U << 18) /* of rcv_nxt: beyond it the host is asked anew, once in 256 kB */

static __always_inline bool is_everyday(const struct sw_pkt *p, struct sw_conn *c)
{
	__u32 payload = p->l4_len - p->doff;
	__u32 now_s;

	if (!c || !(c->flags & SW_CONN_CONFIRMED))
		return false;
	if (c->state == SW_CLOSE_WAIT ? payload :
					c->state != SW_ESTABLISHED && c->state != SW_FIN_WAIT_2)
		return false;
	if (c->flags & (SW_CONN_CLIENT_FIN | SW_CONN_RST_SEEN) && c->state != SW_CLOSE_WAIT)
		return false;
	if (p->seq - c->rcv_nxt + SW_NEAR > 2 * SW_NEAR)
		return false;
	now_s = seconds_now();
	if (c->seen_s != now_s && (__s32)(p->seq - c->rcv_nxt) >= 0)
		c->seen_s = now_s;
	return true;
}

/* Found in the first two places; the call to look at the others costs more than they do. */
static __always_inline struct sw_conn *conn_near(struct sw_pkt *p)
{
	struct sw_conn *c = slot_of(SW_TABLE_CONNS, slot_in(p->hash, SW_TABLE_CONNS, 0));

	if (c && conn_is(c, p))
		return c;
	c = slot_of(SW_TABLE_CONNS, slot_in(p->hash, SW_TABLE_CONNS, 1));
	if (c && conn_is(c, p))
		return c;
	return conn_at(conn_find(p));
}

#endif /* SW_EVERYDAY_H */
