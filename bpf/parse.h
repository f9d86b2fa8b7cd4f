/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frame to struct sw_pkt: Ethernet, VLAN tags, IPv4, IPv6 and its extension headers, TCP.
 * Every header bound is checked here. A final reason ends the packet; DROP_* from here
 * is only a proposal that the caller weighs against the guarded addresses.
 */
#ifndef SW_PARSE_H
#define SW_PARSE_H

#include "packet.h"

#define SW_FIRST_BUFFER 1600 /* bytes: shorter ones are whole frames */
#define SW_VLAN_MAX     2
#define SW_IPV6_EXT_MAX 8

#define IPPROTO_MOBILITY 135
#define PORT_VXLAN       4789
#define PORT_GENEVE      6081

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

struct udp_ports {
	__be16 source;
	__be16 dest;
};

static __always_inline bool is_vlan(__be16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

/* A protocol number that ends the IP header chain, other than TCP. */
static __always_inline enum sw_reason reason_of_proto(__u8 proto, void *l4, void *end)
{
	struct udp_ports *udp = l4;

	switch (proto) {
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
	case IPPROTO_GRE:
		return SW_PASS_TUNNEL;
	case IPPROTO_ESP:
	case IPPROTO_AH:
		return SW_PASS_IPSEC;
	case IPPROTO_UDP:
		if ((void *)(udp + 1) <= end &&
		    (udp->dest == bpf_htons(PORT_VXLAN) || udp->dest == bpf_htons(PORT_GENEVE)))
			return SW_PASS_TUNNEL;
		return SW_PASS_NOT_TCP;
	default:
		return SW_PASS_NOT_TCP;
	}
}

/*
 * A fragment never carries a handshake. What could smuggle one is proposed for dropping:
 * a first fragment that cuts the TCP header, and one that overlaps its flags (RFC 1858,
 * RFC 3128). offset in bytes.
 */
static __always_inline enum sw_reason parse_fragment(struct sw_pkt *p, __u32 offset, bool more)
{
	if (offset)
		return offset < sizeof(struct tcphdr) ? SW_DROP_FRAGMENT : SW_PASS_FRAGMENT;
	if (more)
		p->frag = SW_FRAG_FIRST;
	return SW_CONTINUE;
}

static __always_inline enum sw_reason parse_tcp(struct sw_pkt *p, void *data, void *end, __u32 l4)
{
	struct tcphdr *th;
	__u8 *raw;

	l4 &= 0xfff; /* for the verifier: the callers' chains end far below */
	th = data + l4;
	raw = (void *)th;
	p->l4 = l4;
	if (p->l4_len < 4)
		return SW_PASS_IP_MALFORMED; /* what follows is padding, not ports */
	if ((void *)th + 4 > end)
		return SW_PASS_SPLIT_HEADER;
	p->ports = *(__be32 *)th;
	if (p->l4_len < sizeof(*th))
		return p->frag ? SW_DROP_FRAGMENT : SW_DROP_TCP_MALFORMED;
	if ((void *)(th + 1) > end)
		return SW_PASS_SPLIT_HEADER;
	p->seq = bpf_ntohl(th->seq);
	p->ack = bpf_ntohl(th->ack_seq);
	p->doff = raw[12] >> 4 << 2;
	p->ae = raw[12] & 1;
	p->flags = raw[13];
	if (p->frag && p->doff > p->l4_len)
		return SW_DROP_FRAGMENT;
	return SW_CONTINUE;
}

/*
 * The first buffer is all there is of nearly every frame, and asking for the length of all
 * costs 10 ns. So sw_xdp asks where a buffer is large enough to have a successor, and this
 * where the datagram needs one.
 */
static __always_inline bool frame_holds(void *ctx, struct sw_pkt *p, __u32 need, const __u32 hook)
{
	if (need > p->len && hook == SW_HOOK_XDP)
		p->len = bpf_xdp_get_buff_len(ctx);
	return need <= p->len;
}

static __always_inline enum sw_reason parse_ipv4(void *ctx, struct sw_pkt *p, void *data, void *end,
						 __u32 l3, const __u32 hook)
{
	struct iphdr *ip = data + (l3 & 31);
	__u32 ihl, total, frag;

	if ((void *)(ip + 1) > end || ip->version != 4)
		return SW_PASS_IP_MALFORMED;
	ihl = ip->ihl * 4;
	/* leaving, several segments may be one yet: too many for the field (BIG TCP) */
	total = hook == SW_HOOK_TC_OUT ? p->len - l3 : bpf_ntohs(ip->tot_len);
	if (ihl < sizeof(*ip) || total < ihl || !frame_holds(ctx, p, l3 + total, hook))
		return SW_PASS_IP_MALFORMED;
	if (ip->protocol != IPPROTO_TCP)
		return reason_of_proto(ip->protocol, (void *)ip + ihl, end);

	p->family = 4;
	p->saddr[2] = p->daddr[2] = bpf_htonl(0xffff);
	p->saddr[3] = ip->saddr;
	p->daddr[3] = ip->daddr;
	p->l4_len = total - ihl;
	p->ip_opts = ihl > sizeof(*ip);
	p->ect = ip->tos & 3;

	frag = bpf_ntohs(ip->frag_off);
	if (frag & 0x3fff) {
		enum sw_reason r = parse_fragment(p, (frag & 0x1fff) * 8, frag & 0x2000);

		if (r)
			return r;
	}
	return parse_tcp(p, data, end, l3 + ihl);
}

/*
 * One extension header at data + off: returns its length and stores the next protocol,
 * 0 if it is cut. offset/more are set by a fragment header.
 */
static __always_inline __u32 parse_ipv6_ext(void *hdr, void *end, __u8 *proto, __u32 *frag)
{
	__u8 *h = hdr;
	__u32 len;

	if ((void *)(h + 8) > end)
		return 0;
	if (*proto == IPPROTO_FRAGMENT) {
		*frag = (__u32)h[2] << 8 | h[3];
		len = 8; /* byte 1 is reserved here, not a length (RFC 8200 4.5) */
	} else {
		len = (h[1] + 1) * 8;
	}
	*proto = h[0];
	return len;
}

static __always_inline bool is_ipv6_ext(__u8 proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_DSTOPTS ||
	       proto == IPPROTO_FRAGMENT || proto == IPPROTO_MOBILITY;
}

static __always_inline enum sw_reason parse_ipv6_chain(struct sw_pkt *p, void *data, void *end,
						       __u8 proto)
{
	__u32 off = p->l3 + sizeof(struct ipv6hdr);
	__u32 stop = off + p->l4_len; /* end of the datagram, by its header */
	enum sw_reason r;

	for (int i = 0; i < SW_IPV6_EXT_MAX && is_ipv6_ext(proto); i++) {
		bool is_frag = proto == IPPROTO_FRAGMENT;
		__u32 frag = 0, len;

		off &= 0xfff;
		len = parse_ipv6_ext(data + off, end, &proto, &frag);
		if (!len || off + len > stop)
			return SW_DROP_IPV6_CHAIN;
		off += len;
		if (is_frag && (frag & 0xfff9)) { /* not atomic (RFC 6946) */
			if (proto != IPPROTO_TCP && !is_ipv6_ext(proto))
				return SW_PASS_FRAGMENT; /* behind an extension TCP may hide */
			p->l4_len = stop - off;
			r = parse_fragment(p, frag & 0xfff8, frag & 1);
			if (r)
				return r;
		}
	}
	if (is_ipv6_ext(proto) || off > 0xfff)
		return SW_DROP_IPV6_CHAIN;
	off &= 0xfff;
	p->l4_len = stop - off;
	if (proto != IPPROTO_TCP)
		return reason_of_proto(proto, data + off, end);
	r = parse_tcp(p, data, end, off);
	/* headers of 1.5 kB and more: not what a driver splits but what a sender hides behind */
	return r == SW_PASS_SPLIT_HEADER ? SW_DROP_IPV6_CHAIN : r;
}

static __always_inline enum sw_reason parse_ipv6(void *ctx, struct sw_pkt *p, void *data, void *end,
						 __u32 l3, const __u32 hook)
{
	struct ipv6hdr *ip6 = data + (l3 & 31);
	__u32 payload;

	if ((void *)(ip6 + 1) > end || ip6->version != 6)
		return SW_PASS_IP_MALFORMED;
	payload = hook == SW_HOOK_TC_OUT ? p->len - l3 - sizeof(*ip6) : bpf_ntohs(ip6->payload_len);
	if (!frame_holds(ctx, p, l3 + sizeof(*ip6) + payload, hook))
		return SW_PASS_IP_MALFORMED;
	/* no wire carries more than 64 kB: segments merged before generic XDP (BIG TCP) */
	if (!payload && (ip6->nexthdr == IPPROTO_TCP || p->len > l3 + sizeof(*ip6) + 65535))
		return SW_PASS_IP_MALFORMED;
	p->family = 6;
	__builtin_memcpy(p->saddr, &ip6->saddr, 16);
	__builtin_memcpy(p->daddr, &ip6->daddr, 16);
	p->ect = ip6->flow_lbl[0] >> 4 & 3;
	p->l4_len = payload;
	if (ip6->nexthdr == IPPROTO_TCP)
		return parse_tcp(p, data, end, l3 + sizeof(*ip6));
	/* a host that sends extension headers with its FINs is understood at its next segment */
	if (hook == SW_HOOK_TC_OUT)
		return SW_PASS_NOT_TCP;
	return parse_ipv6_chain(p, data, end, ip6->nexthdr);
}

/*
 * Ethernet and VLAN tags: leaves p->l3 and the protocol behind them; a frame too short for
 * its own tags reads as no protocol.
 */
static __always_inline __be16 parse_l2(struct sw_pkt *p, void *data, void *end)
{
	struct ethhdr *eth = data;
	__u32 off = sizeof(*eth);
	__be16 proto;

	if (data + off > end)
		return 0;
	proto = eth->h_proto;
	for (int i = 0; i < SW_VLAN_MAX && is_vlan(proto); i++) {
		struct vlan_tag *tag = data + off;

		if ((void *)(tag + 1) > end)
			return 0;
		proto = tag->proto;
		off += sizeof(*tag);
	}
	p->l3 = off;
	return proto;
}

/* From p->l3 on. hook says what ctx is, at compile time. */
static __always_inline enum sw_reason parse_l3(void *ctx, struct sw_pkt *p, void *data, void *end,
					       __be16 proto, const __u32 hook)
{
	__u32 l3 = p->l3 & 31;

	if (proto == bpf_htons(ETH_P_IP))
		return parse_ipv4(ctx, p, data, end, l3, hook);
	if (proto == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(ctx, p, data, end, l3, hook);
	if (is_vlan(proto))
		return SW_PASS_VLAN_DEPTH;
	if (proto == bpf_htons(ETH_P_PPP_DISC) || proto == bpf_htons(ETH_P_PPP_SES) ||
	    proto == bpf_htons(ETH_P_MPLS_UC) || proto == bpf_htons(ETH_P_MPLS_MC))
		return SW_PASS_TUNNEL;
	return SW_PASS_NOT_IP;
}

#endif /* SW_PARSE_H */
