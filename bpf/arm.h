/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a service is under attack, decided here so that it needs no daemon: by its rate of
 * new SYNs, its connections in SYN-RECEIVED and the share of its handshakes that do not end.
 * An upper mark arms at once. A lower one keeps it armed, until none was reached for hold_s.
 * CPUs count by themselves and tell in batches, so that a flood does not fight for one line.
 */
#ifndef SW_ARM_H
#define SW_ARM_H

#include "conns.h"
#include "service.h"

#define SW_ARM_BATCH 16 /* SYNs; so many less than a mark may be counted for each CPU */
#define SW_NS_PER_S  1000000000ULL

static __always_inline struct sw_arming *arming_of(__u32 service)
{
	return bpf_map_lookup_elem(&sw_arming, &service);
}

static __always_inline bool is_armed(__u32 service)
{
	struct sw_arming *a = arming_of(service);

	return a && READ_ONCE(a->armed);
}

static __always_inline void arm_note_finished(__u32 service)
{
	struct sw_arming *a = arming_of(service);

	if (a)
		__sync_fetch_and_add(&a->finished, 1);
}

static __always_inline struct sw_attack *attack_at(__u32 n)
{
	n &= SW_ATTACKS - 1;
	return bpf_map_lookup_elem(&sw_attacks, &n);
}

static __always_inline __u32 half_open(__u32 service)
{
	struct sw_gauge *g = bpf_map_lookup_elem(&sw_gauges, &service);
	__s64 n = g ? READ_ONCE(g->conns[SW_SYN_RECEIVED]) : 0;

	return n > 0 ? n : 0;
}

/* What is measured of a service. */
struct arm_level {
	__u32 syns_pps;
	__u32 half_open;
	__u32 unfinished;
};

static __always_inline __u32 unfinished_of(const struct sw_arming *a)
{
	/* of the span before: those of this one may be on their way */
	__u64 syns = a->syns_last, finished = (__u64)a->finished_sum + a->finished_last;

	if (syns < SW_ARM_LEAST || finished >= syns)
		return 0;
	return 100 - finished * 100 / syns;
}

/* The cause + 1 whose mark is passed, 0: none. */
static __always_inline __u32 mark_passed(const struct sw_arm_marks *m, const struct arm_level *l)
{
	if (m->syns_pps && l->syns_pps >= m->syns_pps)
		return SW_ARM_SYNS + 1;
	if (m->half_open && l->half_open >= m->half_open)
		return SW_ARM_HALF_OPEN + 1;
	if (m->unfinished && l->unfinished >= m->unfinished)
		return SW_ARM_UNFINISHED + 1;
	return 0;
}

static __always_inline int arm_event(const struct sw_pkt *p, __u8 kind, __u8 cause, __u64 pps)
{
	struct sw_event *e = bpf_ringbuf_reserve(&sw_events, sizeof(*e), 0);

	if (!e)
		return event_lost(p->hook);
	event_fill(e, p);
	__builtin_memset(e->saddr, 0, sizeof(e->saddr)); /* no one packet's doing */
	e->sport = 0;
	e->seq = e->ack = 0;
	e->tcp_flags = 0;
	e->kind = kind;
	e->table = cause;
	e->packets = pps;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

static __always_inline void arm_peaks(struct sw_attack *t, const struct arm_level *l)
{
	if (l->syns_pps > t->peak_pps)
		t->peak_pps = l->syns_pps;
	if (l->half_open > t->peak_half_open)
		t->peak_half_open = l->half_open;
	if (l->unfinished > t->peak_unfinished)
		t->peak_unfinished = l->unfinished;
}

static __always_inline void arm_begin(const struct sw_pkt *p, struct sw_arming *a, __u32 cause,
				      const struct arm_level *l)
{
	struct sw_arming *all = arming_of(0);
	struct sw_attack *t;
	__u32 n;

	if (!all || __sync_val_compare_and_swap(&a->armed, 0, 1))
		return;
	a->since_ns = a->above_ns = p->now_ns;
	n = __sync_fetch_and_add(&all->attacks, 1);
	__sync_fetch_and_add(&a->attacks, 1);
	a->attack = n;
	t = attack_at(n);
	if (t) {
		__builtin_memset(t, 0, sizeof(*t));
		t->service = p->service;
		t->cause = cause;
		t->start_ns = p->now_ns;
		arm_peaks(t, l);
	}
	arm_event(p, SW_EVENT_ARMED, cause, l->syns_pps);
}

/* A slot of the ring that is still this service's: so many others may have come since. */
static __always_inline struct sw_attack *attack_of(const struct sw_pkt *p,
						   const struct sw_arming *a)
{
	struct sw_attack *t = attack_at(a->attack);

	return t && t->service == p->service && t->start_ns == a->since_ns ? t : NULL;
}

static __always_inline void arm_end(const struct sw_pkt *p, struct sw_arming *a)
{
	struct sw_attack *t = attack_of(p, a);

	if (__sync_val_compare_and_swap(&a->armed, 1, 0) != 1)
		return;
	if (t)
		t->end_ns = a->above_ns;
	a->since_ns = p->now_ns;
	arm_event(p, SW_EVENT_DISARMED, 0, t ? t->peak_pps : 0);
}

/* Sums over two spans, so that what a flood leaves behind is forgotten after two seconds. */
static __always_inline void arm_sum(struct sw_arming *a, __u32 was, __u32 window, __u32 syns,
				    __u32 finished)
{
	__u32 passed = (window / SW_ARM_SPAN - was / SW_ARM_SPAN) & (~0U / SW_ARM_SPAN);

	a->syns_sum += syns;
	a->finished_sum += finished;
	if (!passed)
		return;
	a->syns_last = passed == 1 ? a->syns_sum : 0;
	a->finished_last = passed == 1 ? a->finished_sum : 0;
	a->syns_sum = a->finished_sum = 0;
}

/* Window `was`, which a->syns are of, has ended. */
static __always_inline void arm_turn(const struct sw_pkt *p, struct sw_arming *a,
				     const struct sw_service *svc, __u32 was, __u32 window)
{
	__u32 syns = __sync_lock_test_and_set(&a->syns, 0);
	__u32 finished = __sync_lock_test_and_set(&a->finished, 0);
	struct arm_level l = { .half_open = half_open(p->service) };
	struct sw_attack *t;
	__u32 cause;

	arm_sum(a, was, window, syns, finished);
	l.unfinished = unfinished_of(a);
	if (window - was == 1) /* else it is over for a window and more */
		l.syns_pps = (syns * SW_NS_PER_S) >> SW_ARM_SHIFT;
	if (!a->armed) {
		cause = mark_passed(&svc->upper, &l);
		if (cause)
			arm_begin(p, a, cause - 1, &l);
		return;
	}
	t = attack_of(p, a);
	if (t)
		t->syns += syns;
	if (mark_passed(&svc->lower, &l))
		a->above_ns = p->now_ns;
	else if (p->now_ns - a->above_ns >= svc->hold_s * SW_NS_PER_S)
		arm_end(p, a);
	if (t)
		arm_peaks(t, &l);
}

/* Not static: verified once. */
__noinline int arm_tell(struct sw_pkt *p)
{
	struct sw_arm_cpu *c;
	struct sw_service *svc;
	struct arm_level l = {};
	struct sw_arming *a;
	__u32 service, window, was, syns;

	if (!p)
		return 0;
	service = p->service;
	svc = service_of(p);
	a = arming_of(service);
	c = bpf_map_lookup_elem(&sw_arm_cpu, &service);
	if (!svc || !a || !c)
		return 0;
	window = p->now_ns >> SW_ARM_SHIFT;
	was = READ_ONCE(a->window);
	if ((!was || (__s32)(window - was) > 0) && /* 0: never counted, not long ago */
	    __sync_val_compare_and_swap(&a->window, was, window) == was)
		arm_turn(p, a, svc, was, window);
	syns = __sync_fetch_and_add(&a->syns, c->syns) + c->syns;
	c->syns = 0;
	c->window = window;
	if (READ_ONCE(a->armed) || !svc->upper.syns_pps)
		return 0;
	/* not only at its end: in one window a flood is tens of thousands */
	l.syns_pps = (syns * SW_NS_PER_S) >> SW_ARM_SHIFT;
	if (l.syns_pps >= svc->upper.syns_pps)
		arm_begin(p, a, SW_ARM_SYNS, &l);
	return 0;
}

/* A SYN that begins a handshake with p's service. */
static __always_inline void arm_note_syn(struct sw_pkt *p)
{
	__u32 service = p->service;
	struct sw_arm_cpu *c = bpf_map_lookup_elem(&sw_arm_cpu, &service);

	if (c && (++c->syns >= SW_ARM_BATCH || c->window != (__u32)(p->now_ns >> SW_ARM_SHIFT)))
		arm_tell(p);
}

#endif /* SW_ARM_H */
