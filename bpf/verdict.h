/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The single exit: count the reason, sample an event, turn the reason into an action.
 * Nothing passes, is answered or dropped without it.
 */
#ifndef SW_VERDICT_H
#define SW_VERDICT_H

#include "memory.h"

/* One word tells who is answered or dropped; what only passes may be beyond. */
_Static_assert(SW_TC_EARLY < 64 && SW_REASON_MAX <= 128, "verdict masks hold 64 reasons");

#define SW_V_PASS 0
#define SW_V_TX   1
#define SW_V_DROP 2

static __always_inline bool verdict_is(enum sw_reason reason, int verdict)
{
#define BIT_OF(name)            (SW_##name < 64 ? 1ULL << (SW_##name & 63) : 0)
#define X(name, v, label, help) | (SW_V_##v == SW_V_TX ? BIT_OF(name) : 0)
	static const __u64 tx = 0 SW_REASONS(X);
#undef X
#define X(name, v, label, help) | (SW_V_##v == SW_V_DROP ? BIT_OF(name) : 0)
	static const __u64 drop = 0 SW_REASONS(X);
#undef X

	if (reason >= 64)
		return verdict == SW_V_PASS;
	if (verdict == SW_V_PASS)
		return !((tx | drop) >> reason & 1);
	return (verdict == SW_V_TX ? tx : drop) >> reason & 1;
}

static __always_inline int event_lost(__u32 hook)
{
	struct sw_rx *rx = bpf_map_lookup_elem(&sw_rx, &hook);

	if (rx)
		rx->events_lost++;
	return 0;
}

static __always_inline void event_fill(struct sw_event *e, const struct sw_pkt *p)
{
	__builtin_memset(e, 0, sizeof(*e));
	e->time_ns = p->now_ns;
	e->service = p->service;
	__builtin_memcpy(e->saddr, p->saddr, 16);
	__builtin_memcpy(e->daddr, p->daddr, 16);
	e->sport = p->sport;
	e->dport = p->dport;
	e->ifindex = p->ifindex;
	e->seq = p->seq;
	e->ack = p->ack;
	e->tcp_flags = p->flags;
	e->family = p->family;
	e->hook = p->hook;
}

static __noinline int event_emit(const struct sw_pkt *p, enum sw_reason reason, __u64 packets)
{
	struct sw_event *e = bpf_ringbuf_reserve(&sw_events, sizeof(*e), 0);

	if (!e)
		return event_lost(p->hook);
	event_fill(e, p);
	e->reason = reason;
	e->would = !p->enforce && !verdict_is(reason, SW_V_PASS);
	e->packets = packets;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* Worth an event: all that is not the everyday pass. */
static __always_inline bool is_eventful(enum sw_reason reason)
{
	return !verdict_is(reason, SW_V_PASS) || reason == SW_PASS_COOKIES_OFF ||
	       reason == SW_PASS_COOKIE_USED || reason >= SW_TC_HANDED_OVER;
}

/* Count the packet under its reason; at most one event per reason, service, CPU and gap. */
static __always_inline void count(const struct sw_pkt *p, enum sw_reason reason,
				  const struct sw_settings *set)
{
	__u32 idx = (p->service & (SW_MAX_SERVICES - 1)) * SW_REASON_MAX + reason;
	struct sw_count *c = bpf_map_lookup_elem(&sw_stats, &idx);
	__u64 now = p->now_ns;

	if (!c)
		return;
	c->packets++;
	c->bytes += p->len;
	if (!p->enforce && !verdict_is(reason, SW_V_PASS))
		c->would_packets++;
	if (!is_eventful(reason) || !set->event_gap_ms ||
	    now - c->event_ns < set->event_gap_ms * 1000000ULL)
		return;
	event_emit(p, reason, c->packets - c->event_packets);
	c->event_ns = now;
	c->event_packets = c->packets;
}

/* A pass that is worth no event. */
static __always_inline void count_pass(__u32 service, enum sw_reason reason, __u32 len)
{
	__u32 idx = (service & (SW_MAX_SERVICES - 1)) * SW_REASON_MAX + reason;
	struct sw_count *c = bpf_map_lookup_elem(&sw_stats, &idx);

	if (!c)
		return;
	c->packets++;
	c->bytes += len;
}

static __always_inline void count_rx(__u32 hook, __u32 len)
{
	struct sw_rx *rx = bpf_map_lookup_elem(&sw_rx, &hook);

	if (!rx)
		return;
	rx->packets++;
	rx->bytes += len;
}

#endif /* SW_VERDICT_H */
