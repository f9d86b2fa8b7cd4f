/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Prometheus reads, from a guard and, in a daemon's child, from what that daemon knows. */
#ifndef SW_METRICS_H
#define SW_METRICS_H

#include <stdbool.h>
#include <stdio.h>

#include "feed.h"
#include "kernel.h"

/*
 * How many entries each list has, as a walk over 100,000 takes a tenth of a second. In memory
 * that the daemon's children share.
 */
struct metrics_cache {
	__u32 busy_s;  /* conn_now() of who writes it, 0: nobody does */
	__u32 taken_s; /* 0: nothing is known */
	__u32 gen;
	__u64 memory; /* of the map, which tells of more or fewer entries */
	__u32 entries[LIST_HITS];
};

/* What only the daemon knows. Its children have it as it was at the fork, but for the cache. */
struct daemon_facts {
	__u32 pid;
	__u32 rotate_s;                  /* of --rotate-keys, 0: never */
	const struct feed_counts *feed;  /* NULL: it reads no events */
	__u64 armed_ns[SW_MAX_SERVICES]; /* under attack since its start, by id of the service */
	bool reloaded;                   /* it was asked to */
	bool reload_ok;                  /* the last time */
	__u64 reload_ok_ns;              /* CLOCK_MONOTONIC: the last that succeeded, 0: none */
	struct metrics_cache *cache;     /* NULL: none */
};

/* NULL but in a daemon and its children. */
extern const struct daemon_facts *daemon_facts;

/* metrics_daemon.c: for the daemon, which tells what it knows. The first one at its start. */
struct facts;
void metrics_daemon(__u32 rotate_s, const struct feed_counts *feed);
/* Of two readings, a moment apart. */
void metrics_daemon_armed(const struct facts *before, const struct facts *now);
void metrics_daemon_reload(bool ok);

/*
 * Entries of the lists that have not ended, by the index of mapio_list_hits(); `gen` as in
 * sw_settings. From the daemon's cache, where there is one, at most a minute old.
 */
int lists_count(const struct guard *g, __u32 gen, __u32 entries[LIST_HITS]);

/* All of them, of this guard. Nothing is written if that fails. */
int metrics_write(const struct guard *g, bool openmetrics, FILE *out);

#endif /* SW_METRICS_H */
