/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What metrics tell beyond struct facts: what takes a walk, and what the kernel and /proc say. */
#ifndef SW_METRICS_READ_H
#define SW_METRICS_READ_H

#include "facts.h"
#include "metrics.h"

/* What is timed by itself. */
enum collector {
	COLLECT_FACTS,
	COLLECT_ATTACKS,
	COLLECT_SOURCES,
	COLLECT_LISTS,
	COLLECT_PROGRAMS,
	COLLECT_PROCESS,
	COLLECTORS,
};

struct program_cost {
	__u64 runs;
	__u64 ns;
	bool known;
};

struct process_use {
	__u64 cpu_ns;
	__u64 start_ns; /* time of day */
	__u64 rss_bytes;
	__u64 virtual_bytes;
	__u32 fds;
	__u64 fds_max; /* 0: without limit */
	bool known;
	bool fds_known;
};

struct metrics_facts {
	struct facts facts;
	struct sw_attack attack[SW_ATTACKS];
	__u32 sources;               /* slots in use */
	__u32 bans[SW_MAX_SERVICES]; /* that have not ended */
	__u32 list_entries[LIST_HITS];
	__u64 list_hits[LIST_HITS];
	struct program_cost program[PROG_ID_MAX];
	struct process_use process;
	__u64 took_ns[COLLECTORS];
};

int metrics_read(const struct guard *g, struct metrics_facts *f);

/* metrics_process.c: of the daemon, from its child; what cannot be seen stays unknown. Silent. */
void process_read(__u32 pid, struct process_use *use);
/* What fdinfo(5) says of a BPF map's memory, 0: nothing. Silent. */
__u64 map_bytes(int fd);

#endif /* SW_METRICS_READ_H */
