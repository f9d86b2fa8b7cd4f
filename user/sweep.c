/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sweep: what has been silent for too long goes, if the host does not hold it. First every
 * entry that is due loses its HELD mark, then a walk over the host's sockets (sw_adopt) marks
 * what the host holds, then what is still due and not marked is freed. The same moment counts
 * for both passes, so an entry that moved in between is not due in the second.
 */
#include <errno.h>
#include <stdlib.h>
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

static __u32 parts_of(__u32 slots)
{
	return (slots + TABLE_PART - 1) / TABLE_PART;
}

int sweep_parts_new(const struct guard *g, struct sweep_parts *parts)
{
	memset(parts, 0, sizeof(*parts));
	for (__u32 i = 0; i < SW_TABLE_MAX; i++) {
		parts->part[i] =
			calloc(parts_of(g->boot.buckets[i] * SW_WAYS), sizeof(*parts->part[i]));
		if (!parts->part[i])
			return log_err(-ENOMEM, "parts of the tables");
	}
	return 0;
}

void sweep_parts_free(struct sweep_parts *parts)
{
	for (__u32 i = 0; i < SW_TABLE_MAX; i++)
		free(parts->part[i]);
	memset(parts, 0, sizeof(*parts));
}

/* Tables of up to so many slots are looked at whole each time: it costs next to nothing. */
#define SMALL_TABLES (32 * TABLE_PART)

__u32 sweep_rest(const __u32 timeout_s[SW_STATE_MAX], __u32 slots)
{
	/* an entry is doubted from one moment to the next, and then due after this long */
	__u32 least = slots > SMALL_TABLES ? SWEEP_DOUBT_S : 0;

	for (__u32 i = SW_CLOSED; i < SW_STATE_MAX; i++)
		if (i != SW_LISTEN && timeout_s[i] < least)
			least = timeout_s[i];
	return least;
}

__u32 sweep_again_in(long overdue, __u32 least)
{
	if (overdue >= 0)
		return 0;
	return -overdue < (long)least ? (__u32)-overdue : least;
}

/* One sweep. */
struct pass {
	const struct guard *g;
	const struct tables *t;
	struct sweep *s;
	const __u32 *timeout_s;
	__u32 now;
	bool fresh; /* the host has to be asked */
};

/* Tells how many seconds it can be left alone. */
static __u32 find_due(struct pass *p, const struct conn *conn, __u32 least)
{
	long overdue = conn_overdue(&conn->c, p->timeout_s, p->now);
	struct sweep *s = p->s;

	s->looked++;
	if (overdue < 0)
		return sweep_again_in(overdue, least);
	if (conn->c.state == SW_CLOSED) {
		bool gone = conn_free(p->t, conn);

		s->freed[SW_CLOSED] += gone;
		return gone ? least : 0;
	}
	s->due++;
	/* a RST may come long after the last segment; the mark goes once the host is asked */
	p->fresh |= !s->asked_at_s || conn->c.flags & SW_CONN_RST_SEEN ||
		    sweep_asks(overdue, conn_since(s->asked_at_s, p->now));
	if (s->may_ask)
		conn_clear(p->t, conn, SW_CONN_HELD);
	return 0;
}

static void free_due(struct pass *p, const struct conn *conn)
{
	struct sweep *s = p->s;

	/* a tombstone made meanwhile is not due, an older one has been freed */
	if (conn->c.state == SW_CLOSED || conn_overdue(&conn->c, p->timeout_s, p->now) < 0)
		return;
	if (!(conn->c.flags & SW_CONN_HELD)) {
		s->freed[conn->c.state] += conn_free(p->t, conn);
		return;
	}
	s->held++;
	/* the host did not take that RST */
	conn_clear(p->t, conn, SW_CONN_RST_SEEN);
}

static int find_in_part(struct pass *p, enum sw_table table, __u32 n, __u32 rest)
{
	struct walk w = { .t = p->t, .table = table, .at = n * TABLE_PART };
	struct sweep_part *part = &p->s->parts->part[table][n];
	__u32 slots = p->t->slots[table], least = rest;
	__u32 end = slots - w.at < TABLE_PART ? slots : w.at + TABLE_PART;
	struct conn conn;
	int err;

	part->looked = !rest || (__s32)(p->now - part->again_s) >= 0;
	if (!part->looked)
		return 0;
	err = tables_part(p->g, p->t, table, n, true);
	while (!err && walk_within(&w, end, &conn))
		least = find_due(p, &conn, least);
	part->again_s = p->now + least;
	return err ? err : tables_part(p->g, p->t, table, n, false);
}

/* Only what was found due has lost its mark: the other parts are not judged by it. */
static int free_in_part(struct pass *p, enum sw_table table, __u32 n)
{
	struct walk w = { .t = p->t, .table = table, .at = n * TABLE_PART };
	__u32 slots = p->t->slots[table];
	__u32 end = slots - w.at < TABLE_PART ? slots : w.at + TABLE_PART;
	struct conn conn;
	int err;

	if (!p->s->parts->part[table][n].looked)
		return 0;
	err = tables_part(p->g, p->t, table, n, true);
	while (!err && walk_within(&w, end, &conn))
		free_due(p, &conn);
	return err ? err : tables_part(p->g, p->t, table, n, false);
}

static int pass_over(struct pass *p, bool find)
{
	const struct tables *t = p->t;
	struct sweep_parts *parts = p->s->parts;
	__u32 rest = sweep_rest(p->timeout_s, t->slots[SW_TABLE_CONNS] + t->slots[SW_TABLE_HALF]);
	int err = 0;

	if (find && memcmp(parts->timeout_s, p->timeout_s, sizeof(parts->timeout_s))) {
		memcpy(parts->timeout_s, p->timeout_s, sizeof(parts->timeout_s));
		for (__u32 i = 0; i < SW_TABLE_MAX; i++)
			for (__u32 n = 0; n < parts_of(t->slots[i]); n++)
				parts->part[i][n].again_s = p->now;
	}
	for (__u32 i = 0; i < SW_TABLE_MAX; i++) {
		struct sw_table_use use;

		tables_use(t, (enum sw_table)i, &use);
		for (__u32 n = 0; n < parts_of(t->slots[i]) && !err; n++) {
			if (!use.used)
				parts->part[i][n].looked = false;
			else if (find)
				err = find_in_part(p, (enum sw_table)i, n, rest);
			else
				err = free_in_part(p, (enum sw_table)i, n);
		}
	}
	return err;
}

int table_sweep(const struct guard *g, const struct tables *t, struct sweep *s)
{
	autoclose int lock = adopt_lock(g, s->no_wait ? 0 : ADOPT_WAIT_MS);
	struct services services;
	struct sw_settings set;
	struct pass p = { .g = g, .t = t, .s = s, .timeout_s = set.timeout_s, .now = conn_now() };
	int err = lock < 0 ? lock : mapio_settings(g, &set);

	if (!err)
		err = pass_over(&p, true);
	if (err)
		return err;
	rearm(g, t);
	err = mapio_services(g, &services);
	if (err)
		return err;
	sources_suspect(&t->sources, &services, clock_ns(CLOCK_MONOTONIC));
	if (!s->may_ask || (!p.fresh && !s->rebuild))
		return 0;
	err = s->rebuild ? adopt_rebuild(g) : adopt_walk(g);
	if (err)
		return err;
	s->asked = true;
	s->asked_at_s = p.now;
	return pass_over(&p, false);
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
