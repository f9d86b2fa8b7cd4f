/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection tables as user space sees them: mapped memory which the programs change at
 * the same time. Everything atomic is in table.c; the sweep (sweep.c) and `conns` go through
 * a walk that hands out copies.
 */
#ifndef SW_TABLE_H
#define SW_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "sources.h"
#include "synwarden.h"

struct guard;

/* Flags of entries that an interrupted run left open mean nothing; see struct sweep. */
struct tables {
	struct sw_conn *slot[SW_TABLE_MAX];
	__u32 slots[SW_TABLE_MAX];
	struct sw_gauge *gauge;   /* SW_MAX_SERVICES */
	struct sw_table_use *use; /* SW_TABLE_MAX */
	struct sources sources;
};
#define autotables __attribute__((cleanup(tables_close)))

/* Its id; the byte has a mark, too. */
static inline __u32 conn_service(const struct sw_conn *c)
{
	return c->service & (SW_MAX_SERVICES - 1);
}

/* Maps an array to be read, or changed; silent. */
int map_array(int fd, size_t element, __u32 count, bool change, void *out);
void unmap_array(void *at, size_t element, __u32 count);

/* What sw_boot says for so many connections: pure. */
void tables_size(struct sw_boot *boot, __u32 connections);

/* Maps them, to be read, or changed as well. The descriptors of g may be closed afterwards. */
int tables_open(const struct guard *g, struct tables *t, bool change);
/*
 * To be changed, without the slots of connections: these are mapped by parts, one at a time, while
 * they are looked at. Each page that is mapped costs as much as a look at all that is in it.
 */
int tables_open_parts(const struct guard *g, struct tables *t);
#define TABLE_PART 16384U /* slots: 1 MiB */
int tables_part(const struct guard *g, const struct tables *t, enum sw_table table, __u32 part,
		bool show);
void tables_close(struct tables *t);

void tables_use(const struct tables *t, enum sw_table table, struct sw_table_use *use);
void tables_gauge(const struct tables *t, __u32 service, struct sw_gauge *gauge);

/* A connection as it was at one moment, and where. */
struct conn {
	struct sw_conn c;
	enum sw_table table;
	__u32 at; /* slot */
};

/* for (walk = WALK(t); walk_next(&walk, &conn);) */
struct walk {
	const struct tables *t;
	unsigned int table;
	__u32 at;
};
#define WALK(tables) ((struct walk){ .t = (tables) })

bool walk_next(struct walk *w, struct conn *conn);
/* Of one table, up to that slot. */
bool walk_within(struct walk *w, __u32 end, struct conn *conn);
/* Reads the slot again; false when the connection left it. */
bool conn_again(const struct tables *t, struct conn *conn);

/* Frees its slot, unless its state or flags are no longer those of `conn`. */
bool conn_free(const struct tables *t, const struct conn *conn);
/* Takes flags off, whatever the state has become. */
void conn_clear(const struct tables *t, const struct conn *conn, __u8 flags);
/* Frees every connection of a service that no packet can reach any more; tells how many. */
__u32 tables_forget(const struct tables *t, __u32 service);
/* Room again: the next connection that finds none is reported. */
void tables_rearm(const struct tables *t, enum sw_table table);
/* Whether the host may hold connections that are in no table. */
void tables_unlisted(const struct tables *t, bool some);

/* Seconds of the clock that entries carry. */
__u32 conn_now(void);
/* 0 for what is later than `now`, which another CPU may have written. */
__u32 conn_since(__u32 then, __u32 now);
/* Since its last segment or change of state. */
__u32 conn_idle(const struct sw_conn *c, __u32 now);

/* --- sweep.c ------------------------------------------------------------------------------ */

/* Unconfirmed, or reset by a segment that did not fit: the host is asked this early. */
#define SWEEP_DOUBT_S 15

/*
 * Seconds since the connection stayed silent for longer than its state allows; negative when
 * it did not. Pure.
 */
long conn_overdue(const struct sw_conn *c, const __u32 timeout_s[SW_STATE_MAX], __u32 now);

/*
 * Is it worth to ask the host, which was asked so long ago? When the connection is due since
 * then; and where the host held it, after 10 s, 20 s, 40 s, ... more: it may let go a moment
 * later, or keep it for days. Beyond these the rebuild of the filter asks for all. Pure.
 */
#define SWEEP_AGAIN_S     10
#define SWEEP_AGAIN_MAX_S 320
bool sweep_asks(long overdue, __u32 asked_ago_s);

/*
 * What is known of the parts of the tables from one sweep to the next: when the first entry that
 * is in it now will be due. One that comes or changes later is not due before the shortest
 * timeout has passed, so until then nobody need look.
 */
struct sweep_parts {
	struct sweep_part {
		__u32 again_s;
		bool looked; /* at, by this sweep */
	} * part[SW_TABLE_MAX];
	__u32 timeout_s[SW_STATE_MAX]; /* that again_s goes by */
};
#define autoparts __attribute__((cleanup(sweep_parts_free)))

int sweep_parts_new(const struct guard *g, struct sweep_parts *parts);
void sweep_parts_free(struct sweep_parts *parts);
/* Of an entry that is overdue by so much: seconds until somebody should look. Pure. */
__u32 sweep_again_in(long overdue, __u32 least);
/* The longest that a part may be left alone. Pure. */
__u32 sweep_rest(const __u32 timeout_s[SW_STATE_MAX], __u32 slots);

struct sweep {
	struct sweep_parts *parts;
	bool may_ask;     /* the host, by a walk over its sockets */
	bool rebuild;     /* the presence filter on that walk: needs the lock (lock_take) */
	bool no_wait;     /* -EBUSY, unsaid, if another run walks */
	__u32 asked_at_s; /* when the host was last asked, 0: never. Updated */
	/* what was done */
	bool asked;
	__u32 looked; /* entries of the parts that had to be looked at */
	__u32 due;    /* and not CLOSED: for the host to say */
	__u32 held;
	__u32 freed[SW_STATE_MAX];
};

/*
 * One pass over both tables, opened by parts. An entry that the host holds is never freed.
 */
int table_sweep(const struct guard *g, const struct tables *t, struct sweep *s);

struct adopted {
	__u32 held[SW_TABLE_MAX]; /* entries whose socket was found */
	__u64 used[SW_TABLE_MAX];
};

/* Rebuilds the filter and tells what is tracked since; needs the lock. */
int table_adopt(const struct guard *g, const struct tables *t, struct adopted *a);

#endif /* SW_TABLE_H */
