/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mapped tables: consistent copies, and the few changes user space makes. The word of
 * state, flags, service and generation decides; see struct sw_conn.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "kernel.h"
#include "table.h"
#include "util.h"

/* The four bytes from `state` on, as the programs swap them. */
union conn_word {
	struct {
		enum sw_state state;
		__u8 flags;
		__u8 service;
		__u8 generation;
	};
	__u32 all;
};
_Static_assert(sizeof(union conn_word) == sizeof(__u32), "one word");

typedef __u32 __attribute__((may_alias)) shared_word;

/* A slot that changes hands faster than this is not read at all. */
#define READ_TRIES 100

static __u32 buckets_for(__u32 connections)
{
	__u64 slots = (__u64)connections * SW_SLOTS_NUM;

	return (__u32)((slots + SW_SLOTS_DEN * SW_WAYS - 1) / (SW_SLOTS_DEN * SW_WAYS));
}

void tables_size(struct sw_boot *boot, __u32 connections)
{
	__u32 half = connections / SW_HALF_SHARE;

	boot->max[SW_TABLE_CONNS] = connections;
	boot->max[SW_TABLE_HALF] = half < SW_CONNS_MIN ? SW_CONNS_MIN : half;
	for (__u32 i = 0; i < SW_TABLE_MAX; i++)
		boot->buckets[i] = buckets_for(boot->max[i]);
	boot->sources = SW_SOURCES_MIN;
	while (boot->sources < connections / SW_SOURCE_SHARE)
		boot->sources *= 2;
	/* 16 bits a connection: with all of them live 1 of 16 unknown tuples is asked for */
	boot->live_words = SW_LIVE_WORDS;
	while ((__u64)boot->live_words * 64 < 16ULL * connections)
		boot->live_words *= 2;
}

static size_t mapped_size(size_t element, __u32 count)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (element * count + page - 1) / page * page;
}

int map_array(int fd, size_t element, __u32 count, bool change, void *out)
{
	void *at = mmap(NULL, mapped_size(element, count), PROT_READ | (change ? PROT_WRITE : 0),
			MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	memcpy(out, &at, sizeof(at));
	return 0;
}

void unmap_array(void *at, size_t element, __u32 count)
{
	if (at)
		munmap(at, mapped_size(element, count));
}

/* Room for the whole array, of which nothing can be read yet. */
static int reserve_array(size_t element, __u32 count, void *out)
{
	void *at = mmap(NULL, mapped_size(element, count), PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	memcpy(out, &at, sizeof(at));
	return 0;
}

static const enum map_id table_map[] = {
	[SW_TABLE_CONNS] = MAP_CONNS,
	[SW_TABLE_HALF] = MAP_HALF,
};

static int open_tables(const struct guard *g, struct tables *t, bool change, bool parts)
{
	int err = 0;

	memset(t, 0, sizeof(*t));
	for (__u32 i = 0; i < SW_TABLE_MAX && !err; i++) {
		t->slots[i] = g->boot.buckets[i] * SW_WAYS;
		if (parts)
			err = reserve_array(sizeof(struct sw_conn), t->slots[i], &t->slot[i]);
		else
			err = map_array(g->map[table_map[i]], sizeof(struct sw_conn), t->slots[i],
					change, &t->slot[i]);
	}
	if (!err)
		err = map_array(g->map[MAP_GAUGES], sizeof(struct sw_gauge), SW_MAX_SERVICES,
				change, &t->gauge);
	if (!err)
		err = map_array(g->map[MAP_TABLES], sizeof(struct sw_table_use), SW_TABLE_MAX,
				change, &t->use);
	if (err)
		err = log_err(err, "map the connection tables");
	else
		err = sources_open(g, &t->sources, change);
	if (err)
		tables_close(t);
	return err;
}

int tables_open(const struct guard *g, struct tables *t, bool change)
{
	return open_tables(g, t, change, false);
}

int tables_open_parts(const struct guard *g, struct tables *t)
{
	return open_tables(g, t, true, true);
}

/* In its place, so that slots are found by the same index. */
int tables_part(const struct guard *g, const struct tables *t, enum sw_table table, __u32 part,
		bool show)
{
	__u32 first = part * TABLE_PART, left = t->slots[table] - first;
	size_t size = mapped_size(sizeof(struct sw_conn), left < TABLE_PART ? left : TABLE_PART);
	void *at = &t->slot[table][first];

	if (show)
		at = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			  g->map[table_map[table]], (off_t)(first * sizeof(struct sw_conn)));
	else
		at = mmap(at, size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	return at == MAP_FAILED ? log_err(-errno, "map a part of the connection tables") : 0;
}

void tables_close(struct tables *t)
{
	for (__u32 i = 0; i < SW_TABLE_MAX; i++)
		unmap_array(t->slot[i], sizeof(struct sw_conn), t->slots[i]);
	unmap_array(t->gauge, sizeof(struct sw_gauge), SW_MAX_SERVICES);
	unmap_array(t->use, sizeof(struct sw_table_use), SW_TABLE_MAX);
	sources_close(&t->sources);
	memset(t, 0, sizeof(*t));
}

static __u64 load(const __u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void tables_use(const struct tables *t, enum sw_table table, struct sw_table_use *use)
{
	const struct sw_table_use *from = &t->use[table];

	use->used = load(&from->used);
	use->full = load(&from->full);
	use->reported = __atomic_load_n(&from->reported, __ATOMIC_RELAXED);
	use->fin_pending = load(&from->fin_pending);
}

void tables_gauge(const struct tables *t, __u32 service, struct sw_gauge *gauge)
{
	for (__u32 i = 0; i < SW_STATE_MAX; i++)
		gauge->conns[i] = load(&t->gauge[service].conns[i]);
}

void tables_rearm(const struct tables *t, enum sw_table table)
{
	__atomic_store_n(&t->use[table].reported, 0, __ATOMIC_RELAXED);
}

void tables_unlisted(const struct tables *t, bool some)
{
	__atomic_store_n(&t->use[SW_TABLE_CONNS].unlisted, some, __ATOMIC_RELAXED);
}

static shared_word *word_at(const struct tables *t, unsigned int table, __u32 at)
{
	return (shared_word *)&t->slot[table][at].state;
}

static union conn_word word_load(const struct tables *t, unsigned int table, __u32 at)
{
	return (union conn_word){ .all = __atomic_load_n(word_at(t, table, at), __ATOMIC_ACQUIRE) };
}

static bool word_swap(const struct tables *t, const struct conn *conn, union conn_word from,
		      union conn_word to)
{
	return __atomic_compare_exchange_n(word_at(t, conn->table, conn->at), &from.all, to.all,
					   false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static union conn_word word_of(const struct sw_conn *c)
{
	return (union conn_word){
		.state = c->state,
		.flags = c->flags,
		.service = c->service,
		.generation = c->generation,
	};
}

/* Pinned maps are input: what is no state is no connection either. */
static bool in_use(union conn_word w)
{
	return w.state > SW_CLAIMED && w.state < SW_STATE_MAX;
}

/*
 * Flags may come and go while the rest is copied. Another generation or state means that
 * times and sequence numbers may be of two connections, or two moments.
 */
static bool slot_read(const struct tables *t, unsigned int table, __u32 at, struct conn *conn)
{
	for (int i = 0; i < READ_TRIES; i++) {
		union conn_word w = word_load(t, table, at), after;

		if (!in_use(w))
			return false;
		memcpy(&conn->c, &t->slot[table][at], sizeof(conn->c));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		after = word_load(t, table, at);
		if (after.state != w.state || after.generation != w.generation)
			continue;
		conn->c.state = after.state;
		conn->c.flags = after.flags;
		conn->c.service = after.service;
		conn->c.generation = after.generation;
		conn->table = (enum sw_table)table;
		conn->at = at;
		return true;
	}
	return false;
}

bool walk_within(struct walk *w, __u32 end, struct conn *conn)
{
	while (w->at < end)
		if (slot_read(w->t, w->table, w->at++, conn))
			return true;
	return false;
}

bool walk_next(struct walk *w, struct conn *conn)
{
	for (; w->table < SW_TABLE_MAX; w->table++) {
		__u32 slots = load(&w->t->use[w->table].used) ? w->t->slots[w->table] : 0;

		if (walk_within(w, slots, conn))
			return true;
		w->at = 0;
	}
	return false;
}

bool conn_again(const struct tables *t, struct conn *conn)
{
	struct conn now;

	if (!slot_read(t, conn->table, conn->at, &now) || now.c.generation != conn->c.generation)
		return false;
	*conn = now;
	return true;
}

/* A FIN that waits for what should have come before it, as the programs count them. */
static bool is_fin_pending(const struct sw_conn *c)
{
	switch (c->state) {
	case SW_SYN_SENT:
	case SW_SYN_RECEIVED:
	case SW_ESTABLISHED:
	case SW_FIN_WAIT_1:
	case SW_FIN_WAIT_2:
		return c->flags & SW_CONN_CLIENT_FIN;
	default:
		return false;
	}
}

static void count_down(__u64 *counter)
{
	__atomic_sub_fetch(counter, 1, __ATOMIC_RELAXED);
}

bool conn_free(const struct tables *t, const struct conn *conn)
{
	const struct sw_conn *c = &conn->c;
	union conn_word unused = { .state = SW_FREE, .generation = c->generation };

	if (!word_swap(t, conn, word_of(c), unused))
		return false;
	count_down(&t->gauge[conn_service(c)].conns[c->state]);
	source_uncount(&t->sources, c);
	count_down(&t->use[conn->table].used);
	if (is_fin_pending(c))
		count_down(&t->use[SW_TABLE_CONNS].fin_pending);
	return true;
}

void conn_clear(const struct tables *t, const struct conn *conn, __u8 flags)
{
	union conn_word from, to;

	do {
		from = word_load(t, conn->table, conn->at);
		if (!in_use(from) || from.generation != conn->c.generation || !(from.flags & flags))
			return;
		to = from;
		to.flags &= (__u8)~flags;
	} while (!word_swap(t, conn, from, to));
}

__u32 tables_forget(const struct tables *t, __u32 service)
{
	struct walk w = WALK(t);
	struct sw_gauge gauge;
	struct conn conn;
	__u64 left = 0;
	__u32 freed = 0;

	tables_gauge(t, service, &gauge);
	for (__u32 i = 0; i < SW_STATE_MAX; i++)
		left += gauge.conns[i];
	while (freed < left && walk_next(&w, &conn)) {
		if (conn_service(&conn.c) != service)
			continue;
		while (!conn_free(t, &conn))
			if (!conn_again(t, &conn))
				break;
		freed++;
	}
	if (freed) /* the host holds them still, and another service may cover their port */
		tables_unlisted(t, true);
	return freed;
}

__u32 conn_now(void)
{
	return sw_seconds(clock_ns(CLOCK_MONOTONIC));
}

__u32 conn_since(__u32 then, __u32 now)
{
	return (__s32)(now - then) > 0 ? now - then : 0;
}

__u32 conn_idle(const struct sw_conn *c, __u32 now)
{
	__u32 seen = conn_since(c->seen_s, now), changed = conn_since(c->changed_s, now);

	return seen < changed ? seen : changed;
}
