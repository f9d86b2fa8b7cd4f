/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The path nearly every packet takes: a segment of a connection that goes on as it was. Its cost
 * is what an established connection pays for the guard, and lies in the cache lines it touches,
 * so it reads the frame by itself and writes nothing but counters. What it does not know well
 * enough it leaves to the others untouched.
 */
#ifndef SW_EVERYDAY_H
#define SW_EVERYDAY_H

#include "conns.h"
#include "service.h"

/* An ACK or data with nothing in its headers to look at further. */
struct everyday {
	struct sw_tuple *tuple; /* in the scratch: the stack is scarce */
	__u32 seq;              /* host order */
	__u32 payload;
};

static __always_inline bool read_tcp(struct everyday *e, const struct tcphdr *th, __u32 l4_len)
{
	const __u8 *raw = (const __u8 *)th;
	__u32 doff = raw[12] >> 4 << 2;

	if ((raw[13] & (TH_FIN | TH_SYN | TH_RST | TH_ACK)) != TH_ACK || doff < sizeof(*th) ||
	    doff > l4_len)
		return false;
	e->tuple->ports = *(const __be32 *)th;
	e->seq = bpf_ntohl(th->seq);
	e->payload = l4_len - doff;
	return true;
}

/* Untagged, whole, no options, as long as its header says; all else is for parse.h. */
static __always_inline bool read_everyday(struct everyday *e, void *data, void *end)
{
	struct ethhdr *eth = data;
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct iphdr *ip = (void *)(eth + 1);
	__u32 room = end - data - sizeof(*eth), total;

	if ((void *)(ip + 1) + sizeof(struct tcphdr) > end || room > SW_FIRST_BUFFER)
		return false;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		total = bpf_ntohs(ip->tot_len);
		if (*(__u8 *)ip != 0x45 || ip->protocol != IPPROTO_TCP ||
		    ip->frag_off & bpf_htons(0x3fff) || total > room || total < sizeof(*ip))
			return false;
		e->tuple->client[0] = e->tuple->server[0] = 0;
		e->tuple->client[1] = e->tuple->server[1] = 0;
		e->tuple->client[2] = e->tuple->server[2] = bpf_htonl(0xffff);
		e->tuple->client[3] = ip->saddr;
		e->tuple->server[3] = ip->daddr;
		return read_tcp(e, (void *)(ip + 1), total - sizeof(*ip));
	}
	if (eth->h_proto != bpf_htons(ETH_P_IPV6) ||
	    (void *)(ip6 + 1) + sizeof(struct tcphdr) > end)
		return false;
	total = bpf_ntohs(ip6->payload_len);
	if (ip6->version != 6 || ip6->nexthdr != IPPROTO_TCP || total > room - sizeof(*ip6))
		return false;
	__builtin_memcpy(e->tuple->client, &ip6->saddr, 16);
	__builtin_memcpy(e->tuple->server, &ip6->daddr, 16);
	return read_tcp(e, (void *)(ip6 + 1), total);
}

/*
 * Of a connection the host is known to hold, in a state in which data and ACKs change nothing,
 * with numbers near those the host had when it was last asked.
 */
#define SW_NEAR (1U << 18) /* of rcv_nxt: beyond it the host is asked anew, once in 256 kB */

static __always_inline bool goes_on(struct sw_conn *c, __u32 seq, __u32 payload)
{
	__u32 now_s;

	if (!(c->flags & SW_CONN_CONFIRMED))
		return false;
	if (c->state == SW_CLOSE_WAIT ? payload :
					c->state != SW_ESTABLISHED && c->state != SW_FIN_WAIT_2)
		return false;
	if (c->flags & (SW_CONN_CLIENT_FIN | SW_CONN_RST_SEEN) && c->state != SW_CLOSE_WAIT)
		return false;
	if (seq - c->rcv_nxt + SW_NEAR > 2 * SW_NEAR)
		return false;
	now_s = seconds_now();
	if (c->seen_s != now_s && (__s32)(seq - c->rcv_nxt) >= 0)
		c->seen_s = now_s;
	return true;
}

/* Mostly in the first two places; the call to look at the others costs more than they do. */
static __always_inline struct sw_conn *conn_of(struct sw_tuple *t, __u64 hash)
{
	struct sw_conn *c = slot_of(SW_TABLE_CONNS, slot_in(hash, SW_TABLE_CONNS, 0));

	if (c && conn_has(c, t))
		return c;
	c = slot_of(SW_TABLE_CONNS, slot_in(hash, SW_TABLE_CONNS, 1));
	if (c && conn_has(c, t))
		return c;
	c = conn_at(tuple_find(t, hash));
	return c && conn_has(c, t) ? c : NULL;
}

/*
 * The service whose everyday segment this is. 0, or with the highest bit the hash of its tuple:
 * look closer.
 */
static __always_inline __u64 everyday_service(struct xdp_md *ctx, struct sw_pkt *p,
					      const struct sw_settings *set)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct everyday e = { .tuple = (struct sw_tuple *)p->saddr };
	struct sw_service *svc;
	struct sw_port *port;
	struct sw_conn *c;
	__u32 id, gen;
	__u64 hash;

	if (set->armed == SW_DISARMED || !read_everyday(&e, data, end))
		return 0;
	gen = READ_ONCE(set->gen);
	port = port_get(bpf_ntohs(e.tuple->dport), gen);
	if (!port || !*(__u32 *)port)
		return 0;
	hash = tuple_hash(e.tuple->client, e.tuple->server, e.tuple->ports);
	if (!live_maybe(hash, set))
		return hash;
	c = conn_of(e.tuple, hash);
	if (!c || !goes_on(c, e.seq, e.payload))
		return hash;
	id = c->service & (SW_MAX_SERVICES - 1);
	svc = service_get(id, gen);
	return svc && svc->mode != SW_MODE_OFF ? id : hash;
}

/* ACK or data of a frame that read_everyday() had no eye for. */
static __always_inline bool is_plain(const struct sw_pkt *p)
{
	return (p->flags & (TH_FIN | TH_SYN | TH_RST | TH_ACK)) == TH_ACK && !p->frag &&
	       !p->ip_opts && p->doff >= sizeof(struct tcphdr) && p->doff <= p->l4_len;
}

static __always_inline bool is_everyday(struct sw_pkt *p)
{
	struct sw_conn *c = conn_at(conn_find(p));

	return c && conn_is(c, p) && goes_on(c, p->seq, p->l4_len - p->doff);
}

#endif /* SW_EVERYDAY_H */
