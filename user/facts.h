/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that is shown of a guard, read at one go: what `status`, `metrics`, `top` and the
 * daemon's history have in common. Half a megabyte: on the heap. Not here, as it takes a walk:
 * how many entries lists and sources have, and bits the presence filter.
 */
#ifndef SW_FACTS_H
#define SW_FACTS_H

#include "cmd.h"
#include "kernel.h"

struct facts {
	__u64 taken_ns; /* CLOCK_MONOTONIC */
	struct sw_settings settings;
	struct services services;
	struct dev_state dev[SW_MAX_DEVS];
	__u32 devs;
	struct sw_rx rx[SW_HOOK_MAX];
	struct sw_count count[SW_MAX_SERVICES][SW_REASON_MAX]; /* 0: of no service */
	struct sw_gauge gauge[SW_MAX_SERVICES];
	struct sw_table_use table[SW_TABLE_MAX];
	struct sw_arming arming[SW_MAX_SERVICES];
	struct sw_limit_hits hits[SW_MAX_SERVICES];
	struct sw_keysched sched;
	__u32 epoch;
	__u64 key_age_s;
	long syncookies; /* net.ipv4.tcp_syncookies, -1: unknown */
};

/* What was not only counted. Both numbers move while they are read, one after the other. */
static inline __u64 count_enforced(const struct sw_count *c)
{
	return c->packets > c->would_packets ? c->packets - c->would_packets : 0;
}

int facts_read(const struct guard *g, struct facts *f);
/*
 * What moves from second to second, of the services that are there and of none (id 0): services,
 * counts, gauges, tables, arming; the rest of `f` is left alone.
 */
int facts_read_live(const struct guard *g, struct facts *f);

/* Counts that only rise, of one service or of all. */
#define FACTS_ALL SW_MAX_SERVICES
struct flow {
	__u64 syns;     /* to a guarded service, whatever became of them */
	__u64 answered; /* with a cookie; in mode monitor: would be */
	__u64 finished; /* cookies that came back: handshakes ended */
	__u64 dropped;
	__u64 would_drop;
	__u64 packets; /* of any kind and verdict */
	__u64 bytes;
};
void flow_add(struct flow *flow, enum sw_reason r, const struct sw_count *c);
void facts_flow(const struct facts *f, __u32 service, struct flow *flow);

/* arming_is_on() of it. */
bool facts_armed(const struct facts *f, __u32 service);
static inline bool facts_is_service(const struct facts *f, __u32 id)
{
	return id && f->services.slot[id].port_first;
}

/* What became of a SYN, for the reasons that only a SYN has. */
enum syn_outcome {
	SYN_NONE, /* not a SYN's reason */
	SYN_PASSED,
	SYN_ANSWERED,
	SYN_DROPPED,
	SYN_LIMITED, /* dropped for what its source did */
	SYN_OUTCOMES,
};
enum syn_outcome reason_syn_outcome(enum sw_reason r);

#endif /* SW_FACTS_H */
