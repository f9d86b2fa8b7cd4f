/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sweep: what has been silent for too long goes, if the host does not hold it. First every
 * entry that is due loses its HELD mark, then a walk over the host's sockets (sw_adopt) marks
 * what the host holds, then what is still due and not marked is freed. The same moment counts
 * for both passes, so an entry that moved in between is not due in the second.
 */
#include <string.h>
#include <time.h>

#include "kernel.h"
#include "table.h"
#include "util.h"

long conn_overdue(const struct sw_conn *c, const __u32 timeout_s[SW_STATE_MAX], __u32 now)
{
	__u32 limit = timeout_s[c->state];

	/* segments do not prolong these two */
	if (c->state == SW_CLOSED || c->state == SW_TIME_WAIT)
		return (long)conn_since(c->changed_s, now) - (long)limit - 1;
	if ((c->flags & SW_CONN_RST_SEEN || !(c->flags & SW_CONN_CONFIRMED)) &&
	    limit > SWEEP_DOUBT_S)
		limit = SWEEP_DOUBT_S;
	return (long)conn_idle(c, now) - (long)limit - 1;
}

bool sweep_asks(long overdue, __u32 asked_ago_s)
{
	long then = overdue - (long)asked_ago_s;

	if (then < 0)
		return true;
	for (long mark = SWEEP_AGAIN_S; mark <= SWEEP_AGAIN_MAX_S; mark *= 2)
		if (then < mark && overdue >= mark)
			return true;
	return false;
}

/* A table that has filled up is reported once more after it had room again. */
static void rearm(const struct guard *g, const struct tables *t)
{
	for (__u32 i = 0; i < SW_TABLE_MAX; i++) {
		struct sw_table_use use;

		tables_use(t, (enum sw_table)i, &use);
		if (use.reported && use.used < (__u64)g->boot.max[i] * 9 / 10)
			tables_rearm(t, (enum sw_table)i);
	}
}

/* Tells whether the host has to be asked. */
static bool find_due(const struct tables *t, struct sweep *s, const __u32 *timeout_s, __u32 now)
{
	struct walk w = WALK(t);
	struct conn conn;
	bool fresh = false;

	while (walk_next(&w, &conn)) {
		long overdue = conn_overdue(&conn.c, timeout_s, now);

		s->looked++;
		if (overdue < 0)
			continue;
		if (conn.c.state == SW_CLOSED) {
			s->freed[SW_CLOSED] += conn_free(t, &conn);
			continue;
		}
		s->due++;
		/* a RST may come long after the last segment; the mark goes once the host is asked */
		fresh |= !s->asked_at_s || conn.c.flags & SW_CONN_RST_SEEN ||
			 sweep_asks(overdue, conn_since(s->asked_at_s, now));
		if (s->may_ask)
			conn_clear(t, &conn, SW_CONN_HELD);
	}
	return fresh;
}

static void free_due(const struct tables *t, struct sweep *s, const __u32 *timeout_s, __u32 now)
{
	struct walk w = WALK(t);
	struct conn conn;

	while (walk_next(&w, &conn)) {
		/* a tombstone made meanwhile is not due, an older one has been freed */
		if (conn.c.state == SW_CLOSED || conn_overdue(&conn.c, timeout_s, now) < 0)
			continue;
		if (!(conn.c.flags & SW_CONN_HELD)) {
			s->freed[conn.c.state] += conn_free(t, &conn);
			continue;
		}
		s->held++;
		/* the host did not take that RST */
		conn_clear(t, &conn, SW_CONN_RST_SEEN);
	}
}

int table_sweep(const struct guard *g, const struct tables *t, struct sweep *s)
{
	autoclose int lock = adopt_lock(g, s->no_wait ? 0 : ADOPT_WAIT_MS);
	struct services services;
	struct sw_settings set;
	__u32 now = conn_now();
	bool fresh;
	int err = lock < 0 ? lock : mapio_settings(g, &set);

	if (err)
		return err;
	fresh = find_due(t, s, set.timeout_s, now);
	rearm(g, t);
	err = mapio_services(g, &services);
	if (err)
		return err;
	sources_suspect(&t->sources, &services, clock_ns(CLOCK_MONOTONIC));
	if (!s->may_ask || (!fresh && !s->rebuild))
		return 0;
	err = s->rebuild ? adopt_rebuild(g) : adopt_walk(g);
	if (err)
		return err;
	s->asked = true;
	s->asked_at_s = now;
	free_due(t, s, set.timeout_s, now);
	return 0;
}

int table_adopt(const struct guard *g, const struct tables *t, struct adopted *a)
{
	autoclose int lock = adopt_lock(g, ADOPT_WAIT_MS);
	struct sw_table_use use;
	struct walk w = WALK(t);
	struct conn conn;
	int err = lock < 0 ? lock : 0;

	memset(a, 0, sizeof(*a));
	while (!err && walk_next(&w, &conn))
		conn_clear(t, &conn, SW_CONN_HELD);
	if (!err)
		err = adopt_rebuild(g);
	if (err)
		return err;
	for (w = WALK(t); walk_next(&w, &conn);)
		a->held[conn.table] += !!(conn.c.flags & SW_CONN_HELD);
	for (__u32 i = 0; i < SW_TABLE_MAX; i++) {
		tables_use(t, (enum sw_table)i, &use);
		a->used[i] = use.used;
	}
	return 0;
}
