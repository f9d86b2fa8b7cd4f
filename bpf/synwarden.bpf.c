// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The only translation unit of the packet path. Read the entries from the bottom: each is
 * the list of its stages. A stage returns the reason that ends the packet, or SW_CONTINUE;
 * count() and the line after it are the only way out.
 */
#include "ack.h"
#include "clock.h"
#include "egress.h"
#include "everyday.h"
#include "parse.h"
#include "service.h"
#include "syn.h"
#include "verdict.h"

char LICENSE[] SEC("license") = "GPL";

/* Not 240/4: private networks of clouds use it, and Linux takes it for unicast. */
static __always_inline bool is_bad_v4(__be32 addr)
{
	__u32 top = bpf_ntohl(addr) >> 24;

	return top == 0 || top == 127 || top >> 4 == 14 || addr == ~0U;
}

/* ::, ::1, v4-compatible and v4-mapped on the wire, multicast (RFC 4291). */
static __always_inline bool is_bad_v6(const __be32 *a)
{
	return (!a[0] && !a[1] && (!a[2] || a[2] == bpf_htonl(0xffff))) ||
	       (bpf_ntohl(a[0]) >> 24) == 0xff;
}

static __always_inline bool is_bad_address(const struct sw_pkt *p)
{
	if (is_v4(p))
		return is_bad_v4(p->saddr[3]) || is_bad_v4(p->daddr[3]) ||
		       p->saddr[3] == p->daddr[3];
	return is_bad_v6(p->saddr) || is_bad_v6(p->daddr) ||
	       (p->saddr[0] == p->daddr[0] && p->saddr[1] == p->daddr[1] &&
		p->saddr[2] == p->daddr[2] && p->saddr[3] == p->daddr[3]);
}

struct route_walk {
	__u8 raw[64];
	__u32 off;
	__u32 found;
};

static long route_step(UNUSED __u32 i, struct route_walk *w)
{
	__u32 off = w->off & 63;
	__u8 kind = w->raw[off], len = w->raw[(off + 1) & 63];

	if (!kind || w->off >= 40)
		return 1;
	if (kind == 131 || kind == 137) { /* LSRR, SSRR (RFC 791) */
		w->found = 1;
		return 1;
	}
	w->off += kind == 1 ? 1 : len;
	return kind != 1 && len < 2;
}

static __noinline bool is_source_routed(struct xdp_md *ctx, const struct sw_pkt *p)
{
	__u32 len = p->l4 - p->l3 - sizeof(struct iphdr);
	struct route_walk w = {};

	if (!is_v4(p) || !p->ip_opts || len < 4 || len > 40)
		return false; /* not `< 1`: Linux 6.1 loses that bound */
	if (bpf_xdp_load_bytes(ctx, p->l3 + sizeof(struct iphdr), w.raw, len))
		return false;
	bpf_loop(40, route_step, &w, 0);
	return w.found;
}

static __always_inline bool is_foreign_mac(struct xdp_md *ctx, const struct sw_host *h)
{
	const __u16 *dst = (void *)(long)ctx->data, *mac = (const __u16 *)h->mac;

	if ((void *)(dst + 3) > (void *)(long)ctx->data_end)
		return true;
	return (mac[0] | mac[1] | mac[2]) &&
	       (dst[0] != mac[0] || dst[1] != mac[1] || dst[2] != mac[2]);
}

/* What no TCP stack sends; PSH, URG, ECE and CWR are free. */
static __always_inline bool is_bad_flags(__u8 flags)
{
	flags &= TH_FIN | TH_SYN | TH_RST | TH_ACK;
	return flags != TH_SYN && flags != (TH_SYN | TH_ACK) && flags != TH_RST &&
	       flags != (TH_RST | TH_ACK) && flags != TH_ACK && flags != (TH_FIN | TH_ACK);
}

static __always_inline enum sw_reason check_segment(struct xdp_md *ctx, const struct sw_pkt *p,
						    const struct sw_host *h)
{
	if (is_foreign_mac(ctx, h))
		return SW_PASS_FOREIGN_MAC;
	if (p->doff < sizeof(struct tcphdr) || p->doff > p->l4_len)
		return SW_DROP_TCP_MALFORMED;
	if (p->frag)
		return p->flags & TH_SYN ? SW_DROP_FRAGMENT : SW_PASS_FRAGMENT;
	if (!p->sport)
		return SW_DROP_PORT_ZERO;
	if (is_bad_address(p))
		return SW_DROP_ADDRESS;
	if (p->ip_opts && is_source_routed(ctx, p))
		return SW_DROP_SOURCE_ROUTE;
	if (is_bad_flags(p->flags))
		return SW_DROP_FLAGS;
	return SW_CONTINUE;
}

/* A TCP segment whose ports are known. */
static __always_inline enum sw_reason judge(struct xdp_md *ctx, struct sw_pkt *p,
					    const struct sw_settings *set)
{
	struct sw_service *svc;
	struct sw_host *h;
	enum sw_reason r;
	__u32 id, maybe;

	id = service_id(p);
	svc = id ? service_get(id, p->gen) : NULL;
	if (!svc)
		return SW_PASS_NOT_GUARDED;
	p->service = id;
	p->enforce = svc->mode >= SW_MODE_AUTO;
	if (svc->mode == SW_MODE_OFF)
		return SW_PASS_MODE_OFF;
	if (set->armed != SW_ARMED && (set->armed == SW_DISARMED || !(p->flags & TH_ACK)))
		return SW_PASS_DISARMED;
	if (!p->hash && is_plain(p) && live_maybe(pkt_hash(p), set) && is_everyday(p))
		return SW_PASS_KNOWN;
	p->now_ns = clock_now();
	h = host_of(ctx, p, set);
	if (!h)
		return SW_DROP_BUG;
	r = check_segment(ctx, p, h);
	if (r)
		return r;
	if ((p->flags & (TH_SYN | TH_ACK)) == TH_SYN)
		return judge_syn(ctx, p, h, svc, set);
	maybe = live_maybe(pkt_hash(p), set);
	if (!maybe && p->flags & (TH_RST | TH_SYN))
		return p->flags & TH_RST ? SW_DROP_RST : SW_DROP_SYNACK;
	return judge_segment(ctx, p, h, maybe) & 127; /* for the verifier: an index later */
}

/*
 * The parser proposes to drop what hides its TCP header. Only towards a guarded service,
 * or, with no port to see, a guarded address; to anything else the host decides.
 */
static __always_inline enum sw_reason weigh_drop(struct sw_pkt *p, enum sw_reason r,
						 const struct sw_settings *set)
{
	enum sw_mode mode;

	if (p->ports) {
		__u32 id = service_id(p);
		struct sw_service *svc = id ? service_get(id, p->gen) : NULL;

		mode = svc ? svc->mode : SW_MODE_OFF;
		p->service = svc ? id : 0;
	} else {
		mode = address_mode(p, set);
	}
	if (mode == SW_MODE_OFF || !set->armed)
		return r == SW_DROP_FRAGMENT ? SW_PASS_FRAGMENT : SW_PASS_IP_MALFORMED;
	p->enforce = mode >= SW_MODE_AUTO;
	p->now_ns = clock_now();
	return r;
}

/*
 * A SYN on its way to the host may become a socket: from now on its tuple is asked for. Not at
 * a closed port, where none begins; a listener that opens just now marks it by its SYN-ACK.
 */
static __always_inline void note_passed_syn(struct sw_pkt *p, enum sw_reason r,
					    const struct sw_settings *set)
{
	if (p->service && r != SW_PASS_MODE_OFF && r != SW_PASS_NO_LISTENER &&
	    (p->flags & (TH_SYN | TH_ACK)) == TH_SYN)
		live_mark(pkt_hash(p), set);
}

static __always_inline enum sw_reason look_closer(struct xdp_md *ctx, struct sw_pkt *p,
						  const struct sw_settings *set)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	enum sw_reason r;

	if (p->len > SW_FIRST_BUFFER)
		p->len = bpf_xdp_get_buff_len(ctx);
	r = parse_l3(ctx, p, data, end, parse_l2(p, data, end), SW_HOOK_XDP);
	count_rx(SW_HOOK_XDP, p->len);
	if (r == SW_CONTINUE)
		return judge(ctx, p, set);
	return verdict_is(r, SW_V_DROP) ? weigh_drop(p, r, set) : r;
}

SEC("xdp.frags")
int sw_xdp(struct xdp_md *ctx)
{
	struct sw_pkt *p = pkt_scratch(SW_HOOK_XDP);
	struct sw_settings *set = settings();
	enum sw_reason r;
	__u64 known;

	if (!set || !p)
		return XDP_PASS;
	known = everyday_service(ctx, p, set);
	if (known && !(known >> 63)) {
		count_rx(SW_HOOK_XDP, ctx->data_end - ctx->data);
		count_pass(known, SW_PASS_KNOWN, ctx->data_end - ctx->data);
		return XDP_PASS;
	}
	pkt_begin(p, SW_HOOK_XDP, ctx->ingress_ifindex, ctx->data_end - ctx->data);
	p->hash = known;
	p->gen = READ_ONCE(set->gen);
	r = look_closer(ctx, p, set);
	count(p, r, set);
	if (p->enforce && verdict_is(r, SW_V_TX))
		return XDP_TX;
	if (p->enforce && verdict_is(r, SW_V_DROP))
		return XDP_DROP;
	note_passed_syn(p, r, set);
	return XDP_PASS;
}

/* A service that is not off; notes its id. */
static __always_inline bool is_guarded(struct sw_pkt *p)
{
	__u32 id = service_id(p);
	struct sw_service *svc = id ? service_get(id, p->gen) : NULL;

	p->service = svc ? id : 0;
	return svc && svc->mode != SW_MODE_OFF;
}

/*
 * Driver without metadata: what XDP verified is verified again. Anything that is not a
 * cookie ACK leaves uncounted, as unmarked packets do.
 */
static __noinline bool tc_recheck(struct __sk_buff *skb, struct sw_pkt *p, struct sw_mark *m,
				  const struct sw_settings *set)
{
	__u32 id = service_id(p);
	struct sw_service *svc = id ? service_get(id, p->gen) : NULL;
	struct sw_cookie c = {};
	struct sw_host *h;

	if (!svc || !set || svc->mode == SW_MODE_OFF || !set->armed || p->frag ||
	    p->doff < sizeof(struct tcphdr) || p->doff > p->l4_len ||
	    (p->flags & (TH_SYN | TH_RST | TH_ACK)) != TH_ACK)
		return false;
	p->service = id;
	p->now_ns = now_of_epoch(clock_now());
	h = host_of(skb, p, set);
	pkt_hash(p);
	if (!h || h->state != SW_HOST_READY || is_settled(p))
		return false;
	opts_parse(skb, (void *)(long)skb->data, (void *)(long)skb->data_end, p, SW_HOOK_TC_IN);
	if (!cookie_check(p, p->seq - 1, h, &c) ||
	    cookie_is_spent(cookie_used_ago(c.hash, p->now_ns)))
		return false;
	mark_fill(m, p, p->seq, &c, h);
	expect_none();
	return true;
}

/*
 * Behind generic XDP on Linux 6.18 the frame may begin with its IP header (a copied skb has
 * no mac_len), so the network header is asked for and found in the data. Not static: see
 * judge_unknown_ack(). Returns enum sw_reason.
 */
__noinline int parse_skb(struct __sk_buff *skb, struct sw_pkt *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__be16 proto = skb->protocol;
	__be64 net, *l3 = data;

	if (!p)
		return SW_DROP_BUG;
	/* IPv4: protocol, checksum and source; IPv6: the first half of the source */
	if (bpf_skb_load_bytes_relative(skb, 8, &net, sizeof(net), BPF_HDR_START_NET) ||
	    (void *)(l3 + 2) > end || l3[1] != net)
		proto = parse_l2(p, data, end);
	return parse_l3(skb, p, data, end, proto, SW_HOOK_TC_IN);
}

SEC("tc")
int sw_tc_in(struct __sk_buff *skb)
{
	struct sw_mark *meta = (void *)(long)skb->data_meta;
	bool marked = (void *)(meta + 1) <= (void *)(long)skb->data && meta->magic == sw_boot.mark;
	struct sw_settings *set = settings();
	struct sw_mark m = {};
	enum sw_reason r;
	struct sw_pkt *p;

	if (!set || (!marked && !is_unmarked_expected(set)))
		return TC_NEXT;
	p = pkt_new(SW_HOOK_TC_IN, skb->ingress_ifindex, skb->len);
	if (marked)
		m = *meta;
	if (!p || parse_skb(skb, p))
		return TC_NEXT;
	p->gen = READ_ONCE(set->gen);
	if (!marked && !tc_recheck(skb, p, &m, set))
		return TC_NEXT;
	p->service = m.service;
	p->now_ns = bpf_ktime_get_ns();
	p->enforce = true;
	count_rx(SW_HOOK_TC_IN, p->len);
	r = hand_over(skb, p, &m, set);
	count(p, r, set);
	return r == SW_TC_EARLY ? TC_DROP : TC_NEXT;
}

/* Not static: see judge_segment(). Returns enum sw_reason. */
__noinline int parse_out(struct __sk_buff *skb, struct sw_pkt *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (!p)
		return SW_DROP_BUG;
	return parse_l3(skb, p, data, end, parse_l2(p, data, end), SW_HOOK_TC_OUT);
}

static __noinline int learn_out(struct __sk_buff *skb)
{
	struct sw_pkt *p = pkt_new(SW_HOOK_TC_OUT, skb->ifindex, skb->len);
	struct sw_settings *set = settings();
	enum sw_reason r;

	if (!p || !set || !set->armed || parse_out(skb, p))
		return 0;
	p->gen = READ_ONCE(set->gen);
	pkt_turn(p);
	r = judge_out(p);
	if (r) {
		count_rx(SW_HOOK_TC_OUT, p->len);
		count(p, r, set);
	}
	return 0;
}

SEC("tc")
int sw_tc_out(struct __sk_buff *skb)
{
	__u8 flags = out_flags((void *)(long)skb->data, (void *)(long)skb->data_end);

	if (flags & (TH_FIN | TH_SYN | TH_RST) || (flags && fins_pending()))
		learn_out(skb);
	return TC_NEXT;
}

/*
 * So many times the host doubled its timer, of 200 ms and more, and tried again: for 6 s and
 * more its client took nothing of what there is, be it that it is silent or that it keeps its
 * window shut (RFC 6429).
 */
#define SW_STALLED_BACKOFF 5

static __always_inline bool is_stalled(void *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return tp && tp->write_seq != tp->snd_una &&
	       tp->inet_conn.icsk_backoff >= SW_STALLED_BACKOFF;
}

/*
 * Run over all TCP sockets by `adopt` and `sweep`: marks every tuple the host holds in the
 * filter, and in the table those of guarded services, with the state they are in.
 */
SEC("iter/tcp")
int sw_adopt(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	struct sw_settings *set = settings();
	struct sw_service *svc;
	struct sw_pkt *p;

	if (!sk || !set || sk->skc_state == SW_TCP_LISTEN)
		return 0;
	p = pkt_new(SW_SCRATCH_WALK, 0, 0);
	if (!p)
		return 0;
	if (sk->skc_family == 10 /* AF_INET6 */) {
		BPF_CORE_READ_INTO(&p->saddr, sk, skc_v6_daddr.in6_u.u6_addr32);
		BPF_CORE_READ_INTO(&p->daddr, sk, skc_v6_rcv_saddr.in6_u.u6_addr32);
	} else {
		p->saddr[2] = p->daddr[2] = bpf_htonl(0xffff);
		p->saddr[3] = sk->skc_daddr;
		p->daddr[3] = sk->skc_rcv_saddr;
	}
	p->family = is_mapped(p->saddr) ? 4 : 6;
	p->sport = sk->skc_dport;
	p->dport = bpf_htons(sk->skc_num);
	p->now_ns = bpf_ktime_get_ns();
	p->gen = READ_ONCE(set->gen);
	live_mark(pkt_hash(p), set);
	view_of(&p->view, sk, sk->skc_state);
	if (!p->view.state || !is_guarded(p))
		return 0;
	if (p->view.unknown)
		note_unlisted();
	else
		conn_adopt(p);
	svc = service_of(p);
	if (!svc || !svc->limited)
		return 0;
	conn_count(p);
	if (is_stalled(sk)) {
		source_note_stalled(p, SW_LEVEL_HOST);
		source_note_stalled(p, SW_LEVEL_NET);
	}
	return 0;
}
