/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See metrics_read.h. */
#include <string.h>
#include <time.h>

#include "metrics_read.h"
#include "table.h"
#include "util.h"

#define STATS_ENABLED "/proc/sys/kernel/bpf_stats_enabled"

/* Entries end by their time, which changes neither the map's memory nor a generation. */
#define CACHE_S 60
/* Whoever writes the cache for so long was killed. */
#define CACHE_BUSY_S 30

/* --- lists -------------------------------------------------------------------------------- */

/* Of two children that walk at the same time one keeps what it found. */
static bool cache_take(struct metrics_cache *c, __u32 now)
{
	__u32 busy = __atomic_load_n(&c->busy_s, __ATOMIC_ACQUIRE);

	if (busy && now - busy < CACHE_BUSY_S)
		return false;
	return __atomic_compare_exchange_n(&c->busy_s, &busy, now, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

static void cache_keep(struct metrics_cache *c, const struct metrics_cache *found)
{
	if (!cache_take(c, found->taken_s))
		return;
	c->taken_s = 0;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	c->gen = found->gen;
	c->memory = found->memory;
	memcpy(c->entries, found->entries, sizeof(c->entries));
	__atomic_store_n(&c->taken_s, found->taken_s, __ATOMIC_RELEASE);
	__atomic_store_n(&c->busy_s, 0, __ATOMIC_RELEASE);
}

/* Is what it holds of the lists as they are? A copy, as others write meanwhile. */
static bool cache_holds(const struct metrics_cache *c, const struct metrics_cache *now,
			struct metrics_cache *copy)
{
	__u32 taken = __atomic_load_n(&c->taken_s, __ATOMIC_ACQUIRE);

	memcpy(copy, c, sizeof(*copy));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return taken && __atomic_load_n(&c->taken_s, __ATOMIC_RELAXED) == taken &&
	       !__atomic_load_n(&c->busy_s, __ATOMIC_RELAXED) && copy->gen == now->gen &&
	       copy->memory == now->memory && now->taken_s - taken < CACHE_S;
}

int lists_count(const struct guard *g, __u32 gen, __u32 entries[LIST_HITS])
{
	struct metrics_cache *cache = daemon_facts ? daemon_facts->cache : NULL;
	struct metrics_cache now = { .taken_s = conn_now(), .gen = gen }, copy;
	int err;

	now.memory = map_bytes(g->map[MAP_LISTS]);
	if (cache && cache_holds(cache, &now, &copy)) {
		memcpy(entries, copy.entries, sizeof(copy.entries));
		return 0;
	}
	err = mapio_lists_count(g, now.taken_s, entries);
	memcpy(now.entries, entries, sizeof(now.entries));
	if (!err && cache)
		cache_keep(cache, &now);
	return err;
}

static int read_lists(const struct guard *g, struct metrics_facts *f)
{
	int err = mapio_list_hits(g, f->list_hits);

	return err ? err : lists_count(g, f->facts.settings.gen, f->list_entries);
}

/* --- sources ------------------------------------------------------------------------------ */

/* Where no service has limits nothing is counted by source, and the walk is spared. */
static bool has_limits(const struct facts *f)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++)
		if (facts_is_service(f, id) && f->services.slot[id].limited)
			return true;
	return false;
}

static int read_sources(const struct guard *g, struct metrics_facts *f)
{
	autosources struct sources s = { 0 };
	struct sw_source copy;
	__u32 now_s = conn_now();
	int err = has_limits(&f->facts) ? sources_open(g, &s, false) : 0;

	for (__u32 i = 0; !err && i < s.slots; i++) {
		if (!source_read(&s, i, &copy))
			continue;
		f->sources++;
		f->bans[copy.service] += source_is_banned(&copy, now_s);
	}
	return err;
}

/* --- programs ----------------------------------------------------------------------------- */

static int read_programs(const struct guard *g, struct metrics_facts *f)
{
	long enabled;

	if (file_read_long(STATS_ENABLED, &enabled) || enabled != 1)
		return 0;
	for (__u32 i = 0; i < PROG_ID_MAX; i++) {
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);

		if (g->prog[i] < 0 || bpf_obj_get_info_by_fd(g->prog[i], &info, &len))
			continue;
		f->program[i] = (struct program_cost){ info.run_cnt, info.run_time_ns, true };
	}
	return 0;
}

/* --- all ---------------------------------------------------------------------------------- */

static int read_facts(const struct guard *g, struct metrics_facts *f)
{
	return facts_read(g, &f->facts);
}

static int read_attacks(const struct guard *g, struct metrics_facts *f)
{
	return mapio_attacks(g, f->attack);
}

static int read_process(const struct guard *g, struct metrics_facts *f)
{
	(void)g;
	if (daemon_facts && daemon_facts->pid)
		process_read(daemon_facts->pid, &f->process);
	return 0;
}

int metrics_read(const struct guard *g, struct metrics_facts *f)
{
	static int (*const read[COLLECTORS])(const struct guard *g, struct metrics_facts *f) = {
		[COLLECT_FACTS] = read_facts,       [COLLECT_ATTACKS] = read_attacks,
		[COLLECT_SOURCES] = read_sources,   [COLLECT_LISTS] = read_lists,
		[COLLECT_PROGRAMS] = read_programs, [COLLECT_PROCESS] = read_process,
	};
	int err = 0;

	memset(f, 0, sizeof(*f));
	for (__u32 i = 0; i < COLLECTORS && !err; i++) {
		__u64 began_ns = clock_ns(CLOCK_MONOTONIC);

		err = read[i](g, f);
		f->took_ns[i] = clock_ns(CLOCK_MONOTONIC) - began_ns;
	}
	return err;
}
