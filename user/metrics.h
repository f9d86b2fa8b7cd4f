/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Prometheus reads, from a guard and, in a daemon's child, from what that daemon knows. */
#ifndef SW_METRICS_H
#define SW_METRICS_H

#include <stdbool.h>
#include <stdio.h>

#include "kernel.h"

/* Of enum sw_event_kind. */
#define DAEMON_EVENT_KINDS (SW_EVENT_DISARMED + 1)

/* Where events get lost behind the ring, whose losses the programs count. */
enum daemon_lost {
	DAEMON_LOST_RATE_LIMIT,
	DAEMON_LOST_SUBSCRIBER,
	DAEMON_LOST_STAGES,
};

/*
 * How many entries each list has, as a walk over 100,000 takes a tenth of a second. In memory
 * that the daemon's children share; see metrics_cache_new().
 */
struct metrics_cache {
	__u32 busy_s;  /* conn_now() of who writes it, 0: nobody does */
	__u32 taken_s; /* 0: nothing is known */
	__u32 gen;
	__u64 memory; /* of the map, which tells of more or fewer entries */
	__u32 entries[LIST_HITS];
};

/* What the daemon counts since its start. All but the last is read as it was at the fork. */
struct daemon_facts {
	__u32 pid;
	__u32 rotate_s;                   /* of --rotate-keys, 0: never */
	__u64 events[DAEMON_EVENT_KINDS]; /* taken from the ring */
	__u64 lost[DAEMON_LOST_STAGES];
	__u64 armed_ns[SW_MAX_SERVICES]; /* by id, 0 again for an id that another service gets */
	bool reloaded;                   /* it was asked to, or there was a file at its start */
	bool reload_ok;                  /* the last one */
	__u64 reload_ok_s;               /* time of day of the last that succeeded, 0: none */
	struct metrics_cache *cache;     /* NULL: none */
};

/* NULL outside the daemon's children. */
extern const struct daemon_facts *daemon_facts;

/* For a daemon, before it forks: shared with all its children, until it ends. NULL: no memory. */
struct metrics_cache *metrics_cache_new(void);

/* All of them, of this guard. Nothing is written if that fails. */
int metrics_write(const struct guard *g, bool openmetrics, FILE *out);

#endif /* SW_METRICS_H */
