/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the metrics of a guard, of its packets and of what reads them. What is by service is
 * metrics_service.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "metrics_write.h"
#include "util.h"

/* "0.1.0+v0.1.0-12-gabcdef" is a version and a revision. */
static void write_build(struct metrics_write *w)
{
	char version[128], abi[16];
	const char *revision = strchr(SW_VERSION, '+');

	snprintf(version, sizeof(version), "%.*s", (int)strcspn(SW_VERSION, "+"), SW_VERSION);
	snprintf(abi, sizeof(abi), "%u", w->f->facts.settings.abi_version);
	metric_u64(&w->m, M_BUILD_INFO, LABELS(version, revision ? revision + 1 : "", abi), 1);
}

static void write_guard(struct metrics_write *w)
{
	const struct facts *f = &w->f->facts;

	metric_u64(&w->m, M_GUARD_INFO, LABELS(w->g->dir, text_engine_name(w->g->engine)), 1);
	metric_u64(&w->m, M_GUARD_ARMED, NO_LABELS, f->settings.armed == SW_ARMED);
}

/* As `status` tells of its trouble: gone, elsewhere, or frames are no longer for its address. */
static bool is_attached(const struct dev_state *d)
{
	__u8 mac[6];

	return d->alive && !d->elsewhere &&
	       (netdev_mac(d->dev.name, mac) || !memcmp(mac, d->dev.mac, sizeof(mac)));
}

/*
 * One that is gone and one that has its name now are told of once, by the better of them; false:
 * an earlier one has the name.
 */
static bool device_of_name(const struct facts *f, __u32 at, const struct dev_state **best)
{
	for (__u32 i = 0; i < f->devs; i++) {
		if (strcmp(f->dev[i].dev.name, f->dev[at].dev.name))
			continue;
		if (i < at)
			return false;
		if (i == at || is_attached(&f->dev[i]))
			*best = &f->dev[i];
	}
	return true;
}

static void write_devices(struct metrics_write *w)
{
	const struct facts *f = &w->f->facts;
	const struct dev_state *d = NULL;

	for (__u32 i = 0; i < f->devs; i++)
		if (device_of_name(f, i, &d))
			metric_u64(&w->m, M_ATTACHED_INFO,
				   LABELS(d->dev.name, d->dev.tcx ? "tcx" : "clsact",
					  d->dev.native ? "native" : "generic",
					  text_engine_name(w->g->engine)),
				   1);
	for (__u32 i = 0; i < f->devs; i++)
		if (device_of_name(f, i, &d))
			metric_u64(&w->m, M_DEVICE_ATTACHED, LABELS(d->dev.name), is_attached(d));
}

/* --- packets ------------------------------------------------------------------------------ */

static const char *hook_of(enum sw_reason r)
{
	if (r >= SW_OUT_SYN)
		return text_hook_name(SW_HOOK_TC_OUT);
	return text_hook_name(r >= SW_TC_HANDED_OVER ? SW_HOOK_TC_IN : SW_HOOK_XDP);
}

/* Of all services, deleted ones too, so that nothing counted goes missing. */
static void sum_reasons(const struct facts *f, struct sw_count sum[SW_REASON_MAX])
{
	memset(sum, 0, SW_REASON_MAX * sizeof(*sum));
	for (__u32 id = 0; id < SW_MAX_SERVICES; id++)
		for (__u32 r = 1; r < SW_REASON_MAX; r++) {
			sum[r].packets += f->count[id][r].packets;
			sum[r].bytes += f->count[id][r].bytes;
			sum[r].would_packets += f->count[id][r].would_packets;
		}
}

static void write_packets(struct metrics_write *w)
{
	struct sw_count sum[SW_REASON_MAX];

	sum_reasons(&w->f->facts, sum);
	for (__u32 r = 1; r < SW_REASON_MAX; r++) {
		const char *verdict = text_verdict(r), *would = NULL;

		if (!strcmp(verdict, "drop"))
			would = "would_drop";
		else if (!strcmp(verdict, "tx"))
			would = "would_tx";
		metric_u64(&w->m, M_PACKETS, LABELS(hook_of(r), text_reason(r), verdict),
			   count_enforced(&sum[r]));
		if (would)
			metric_u64(&w->m, M_PACKETS, LABELS(hook_of(r), text_reason(r), would),
				   sum[r].would_packets);
	}
	for (__u32 r = 1; r < SW_REASON_MAX; r++)
		metric_u64(&w->m, M_BYTES, LABELS(hook_of(r), text_reason(r)), sum[r].bytes);
}

/* --- tables, lists ------------------------------------------------------------------------ */

#define TABLE_SOURCES "sources"

static void write_tables(struct metrics_write *w)
{
	const struct facts *f = &w->f->facts;
	__u64 no_room = 0;

	for (__u32 id = 0; id < SW_MAX_SERVICES; id++)
		no_room += f->hits[id].no_room;
	for (__u32 i = 0; i < SW_TABLE_MAX; i++)
		metric_u64(&w->m, M_TABLE_ENTRIES, LABELS(text_table_name(i)), f->table[i].used);
	metric_u64(&w->m, M_TABLE_ENTRIES, LABELS(TABLE_SOURCES), w->f->sources);
	for (__u32 i = 0; i < SW_TABLE_MAX; i++)
		metric_u64(&w->m, M_TABLE_LIMIT, LABELS(text_table_name(i)), w->g->boot.max[i]);
	metric_u64(&w->m, M_TABLE_LIMIT, LABELS(TABLE_SOURCES), w->g->boot.sources);
	for (__u32 i = 0; i < SW_TABLE_MAX; i++)
		metric_u64(&w->m, M_TABLE_FULL, LABELS(text_table_name(i)), f->table[i].full);
	metric_u64(&w->m, M_TABLE_FULL, LABELS(TABLE_SOURCES), no_room);
}

static void write_lists(struct metrics_write *w)
{
	static const char *const family[] = { "ipv4", "ipv6" };

	for (__u32 i = 0; i < LIST_HITS; i++)
		metric_u64(&w->m, M_LIST_ENTRIES, LABELS(list_name(i / 2), family[i % 2]),
			   w->f->list_entries[i]);
	metric_u64(&w->m, M_LIST_LIMIT, NO_LABELS, SW_LIST_ENTRIES);
	for (__u32 i = 0; i < LIST_HITS; i++)
		metric_u64(&w->m, M_LIST_HITS, LABELS(list_name(i / 2), family[i % 2]),
			   w->f->list_hits[i]);
}

/* --- itself ------------------------------------------------------------------------------- */

static void write_events(struct metrics_write *w)
{
	const struct feed_counts *feed = daemon_facts ? daemon_facts->feed : NULL;
	__u64 ring = 0;

	for (__u8 i = 0; feed && i < SW_EVENT_KINDS; i++)
		metric_u64(&w->m, M_EVENTS, LABELS(event_kind_name(i)), feed->events[i]);
	for (__u32 hook = 0; hook < SW_HOOK_MAX; hook++)
		ring += w->f->facts.rx[hook].events_lost;
	/* by the programs' count, which the daemon's begins behind */
	metric_u64(&w->m, M_EVENTS_LOST, LABELS(lost_stage_names[LOST_RING]), ring);
	for (__u32 i = LOST_RING + 1; feed && i < LOST_STAGES; i++)
		metric_u64(&w->m, M_EVENTS_LOST, LABELS(lost_stage_names[i]), feed->lost[i]);
}

static void write_programs(struct metrics_write *w)
{
	const struct program_cost *p = w->f->program;

	for (__u32 i = 0; i < PROG_ID_MAX; i++)
		if (p[i].known)
			metric_u64(&w->m, M_PROGRAM_RUNS, LABELS(prog_names[i]), p[i].runs);
	for (__u32 i = 0; i < PROG_ID_MAX; i++)
		if (p[i].known)
			metric_ns(&w->m, M_PROGRAM_SECONDS, LABELS(prog_names[i]), p[i].ns);
}

static void write_config(struct metrics_write *w)
{
	const struct daemon_facts *d = daemon_facts;

	if (d && d->reloaded)
		metric_u64(&w->m, M_RELOAD_OK, NO_LABELS, d->reload_ok);
	if (d && d->reload_ok_ns)
		metric_ns(&w->m, M_RELOAD_TIME, NO_LABELS, wall_ns(d->reload_ok_ns));
	metric_u64(&w->m, M_KEY_EPOCH, NO_LABELS, w->f->facts.epoch);
	metric_u64(&w->m, M_KEY_AGE, NO_LABELS, w->f->facts.key_age_s);
	if (d)
		metric_u64(&w->m, M_KEY_ROTATION, NO_LABELS, d->rotate_s);
}

static void write_collectors(struct metrics_write *w)
{
	static const char *const names[] = {
		[COLLECT_FACTS] = "facts",       [COLLECT_ATTACKS] = "attacks",
		[COLLECT_SOURCES] = "sources",   [COLLECT_LISTS] = "lists",
		[COLLECT_PROGRAMS] = "programs", [COLLECT_PROCESS] = "process",
	};

	_Static_assert(ARRAY_SIZE(names) == COLLECTORS, "a name for each collector");
	for (__u32 i = 0; i < COLLECTORS; i++)
		metric_ns(&w->m, M_COLLECT, LABELS(names[i]), w->f->took_ns[i]);
}

static void write_process(struct metrics_write *w)
{
	const struct process_use *p = &w->f->process;

	if (!p->known)
		return;
	metric_ns(&w->m, M_PROCESS_CPU, NO_LABELS, p->cpu_ns);
	if (p->fds_known)
		metric_u64(&w->m, M_PROCESS_FDS, NO_LABELS, p->fds);
	if (p->fds_max)
		metric_u64(&w->m, M_PROCESS_MAX_FDS, NO_LABELS, p->fds_max);
	metric_u64(&w->m, M_PROCESS_RSS, NO_LABELS, p->rss_bytes);
	metric_u64(&w->m, M_PROCESS_VSIZE, NO_LABELS, p->virtual_bytes);
	metric_ns(&w->m, M_PROCESS_START, NO_LABELS, p->start_ns);
}

int metrics_write(const struct guard *g, bool openmetrics, FILE *out)
{
	static void (*const write[])(struct metrics_write * w) = {
		write_build,  write_guard,      write_devices,    write_packets,
		write_tables, metrics_services, write_lists,      write_events,
		write_config, write_programs,   write_collectors, write_process,
	};
	autofree struct metrics_facts *f = calloc(1, sizeof(*f));
	struct metrics_write w = { .g = g, .f = f };
	int err = f ? metrics_read(g, f) : log_err(-ENOMEM, "read the metrics");

	if (err)
		return err;
	metrics_begin(&w.m, out, openmetrics);
	for (size_t i = 0; i < ARRAY_SIZE(write); i++)
		write[i](&w);
	metrics_end(&w.m);
	return 0;
}
