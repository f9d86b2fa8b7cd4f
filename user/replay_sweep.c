/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See replay_sweep.h. */
#include <string.h>

#include "replay_host.h"
#include "replay_sweep.h"
#include "util.h"

#define EVERY_NS 10000000000ULL /* as often as the daemon asks the host */

int replay_sweep_open(struct replay_sweep *s, const struct replay_guard *rg)
{
	struct sw_settings set;
	int err = mapio_settings(&rg->g, &set);

	if (err)
		return err;
	memcpy(s->timeout_s, set.timeout_s, sizeof(s->timeout_s));
	return tables_open(&rg->g, &s->tables, true);
}

void replay_sweep_close(struct replay_sweep *s)
{
	tables_close(&s->tables);
}

/* --- the tables --------------------------------------------------------------------------- */

static bool is_held(struct replay_flows *f, const struct sw_conn *c, __u64 now_ns)
{
	struct replay_flow *w = replay_find_conn(f, c);

	if (w && replay_expired(w, now_ns))
		replay_ended(f, w);
	return w && w->state != SW_FREE;
}

/* In one pass: what is held can be asked for one by one here. */
static void free_due(const struct replay_sweep *s, struct replay_flows *f, __u64 now_ns)
{
	struct walk walk = WALK(&s->tables);
	__u32 now_s = sw_seconds(now_ns);
	struct conn conn;

	while (walk_next(&walk, &conn)) {
		if (conn_overdue(&conn.c, s->timeout_s, now_s) < 0)
			continue;
		if (conn.c.state == SW_CLOSED || !is_held(f, &conn.c, now_ns))
			conn_free(&s->tables, &conn);
		else /* the host did not take that RST */
			conn_clear(&s->tables, &conn, SW_CONN_RST_SEEN);
	}
}

/* --- clients that stall ------------------------------------------------------------------- */

static bool any_stall_limit(const struct services *set)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++)
		if (set->slot[id].limit[SW_LEVEL_HOST].stalled ||
		    set->slot[id].limit[SW_LEVEL_NET].stalled)
			return true;
	return false;
}

/* As source_note_stalled() of the programs. */
static void note_stalled(const struct sources *s, const struct replay_flow *w, __u32 service)
{
	for (__u32 level = 0; level < SW_LEVELS; level++) {
		__u64 tag = sw_source_tag(s->boot.seed0, s->boot.seed1, w->client, level, service);
		struct sw_source *c =
			&s->slot[(__u32)(tag >> 32) * SW_SOURCE_WAYS & (s->slots - 1)];

		for (__u32 i = 0; i < SW_SOURCE_WAYS; i++)
			c[i].stalled_walk += c[i].tag == tag;
	}
}

static void count_stalled(const struct replay_sweep *s, const struct replay_guard *rg,
			  const struct replay_flows *f, __u64 now_ns)
{
	const struct sources *sources = &s->tables.sources;

	sources_walk_begin(sources);
	for (__u32 at = 1; at < f->count; at++) {
		const struct replay_flow *w = &f->at[at];

		if (replay_stalled(w, now_ns))
			note_stalled(sources, w, replay_service(rg, w->server, w->server_port));
	}
	sources_walk_end(sources);
}

void replay_sweep(struct replay_sweep *s, const struct replay_guard *rg, struct replay_flows *f,
		  __u64 now_ns)
{
	struct sw_table_use use[SW_TABLE_MAX];

	if (now_ns < s->next_ns)
		return;
	s->next_ns = now_ns + EVERY_NS;
	free_due(s, f, now_ns);
	for (__u32 i = 0; i < SW_TABLE_MAX; i++) {
		tables_use(&s->tables, (enum sw_table)i, &use[i]);
		if (use[i].reported && use[i].used < (__u64)rg->g.boot.max[i] * 9 / 10)
			tables_rearm(&s->tables, (enum sw_table)i);
	}
	if (any_stall_limit(&rg->services))
		count_stalled(s, rg, f, now_ns);
	sources_suspect(&s->tables.sources, &rg->services, now_ns);
}
