/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection tables: arrays of slots of one cache line, eight to a bucket; a tuple may be
 * in either of two buckets. Not a hash map: that takes 104 bytes and two more cache misses for
 * each connection, and cannot free an entry on the condition that it is still the one looked
 * at. Here everything that counts is one word, changed by compare-and-swap, by the programs on
 * all CPUs and by the sweep in user space alike.
 */
#ifndef SW_CONNS_H
#define SW_CONNS_H

#include "clock.h"
#include "memory.h"
#include "states.h"
#include "verdict.h"

_Static_assert(__builtin_offsetof(struct sw_conn, state) == __builtin_offsetof(struct sw_pkt, seq),
	       "tuple of a packet laid out as in the table");

/* The word of a slot that decides. */
union sw_word {
	struct {
		enum sw_state state;
		__u8 flags;
		__u8 service;
		__u8 generation;
	};
	__u32 word;
};

#define SW_BATCH_S 2 /* seconds in which the host has surely seen what passed XDP */

/* Where a connection is: table << 31 | slot + 1; 0: nowhere. */
#define REF_HALF (1U << 31)

static __always_inline __u32 word_get(const struct sw_conn *c)
{
	return READ_ONCE(*(const __u32 *)&c->state);
}

static __always_inline bool word_swap(struct sw_conn *c, __u32 from, __u32 to)
{
	return __sync_val_compare_and_swap((__u32 *)&c->state, from, to) == from;
}

static __always_inline void gauge_add(__u32 service, __u32 state, __s64 n)
{
	struct sw_gauge *g;

	service &= SW_MAX_SERVICES - 1;
	g = bpf_map_lookup_elem(&sw_gauges, &service);
	barrier_var(
		state); /* the mask, of 16 places, is for the verifier: clang knows it is idle */
	if (g)
		__sync_fetch_and_add(&g->conns[state & 15], n);
}

static __always_inline struct sw_table_use *table_use(__u32 table)
{
	return bpf_map_lookup_elem(&sw_tables, &table);
}

/* A FIN that waits for what should have come before it. */
static __always_inline bool is_fin_pending(union sw_word w)
{
	return w.flags & SW_CONN_CLIENT_FIN && !is_client_done(w.state) && w.state > SW_CLOSED;
}

/*
 * Whether egress must look at ACKs. Not for long: a hole that nobody fills must not cost the
 * host's every segment, and the next one of the client is asked for anyway.
 */
#define SW_FIN_WAIT_S 5

static __always_inline bool fins_pending(void)
{
	struct sw_table_use *use = table_use(SW_TABLE_CONNS);

	return use && READ_ONCE(use->fin_pending) &&
	       sw_seconds(bpf_ktime_get_coarse_ns()) <= use->fin_until_s;
}

static __always_inline void count_pending(const struct sw_pkt *p, union sw_word from,
					  union sw_word to)
{
	struct sw_table_use *use;

	if (is_fin_pending(from) == is_fin_pending(to))
		return;
	use = table_use(SW_TABLE_CONNS);
	if (!use)
		return;
	if (is_fin_pending(to))
		use->fin_until_s = sw_seconds(p->now_ns) + SW_FIN_WAIT_S;
	__sync_fetch_and_add(&use->fin_pending, is_fin_pending(to) ? 1 : -1LL);
}

static __always_inline struct sw_conn *slot_of(__u32 table, __u32 idx)
{
	if (table == SW_TABLE_HALF)
		return bpf_map_lookup_elem(&sw_half, &idx);
	return bpf_map_lookup_elem(&sw_conns, &idx);
}

static __always_inline struct sw_conn *conn_at(__u32 ref)
{
	return ref ? slot_of(ref >> 31, (ref & ~REF_HALF) - 1) : NULL;
}

/* First slot of the tuple's bucket: `second` 0 or 1, never the same one. */
static __always_inline __u32 bucket_of(__u64 hash, __u32 table, __u32 second)
{
	__u32 buckets = sw_boot.buckets[table & 1];
	__u32 first = (__u64)(__u32)(hash >> 24) * buckets >> 32, other;

	if (!second)
		return first * SW_WAYS;
	other = (__u64)((__u32)(hash >> 12) * 0x9e3779b1U) * buckets >> 32;
	if (other == first)
		other = first ? first - 1 : buckets - 1;
	return other * SW_WAYS;
}

static __always_inline bool conn_has(const struct sw_conn *c, const struct sw_tuple *t)
{
	const __u64 *a = (const __u64 *)c->client, *b = (const __u64 *)t->client;

	/* one branch for all of it, for the verifier's sake */
	return !((*(const __be32 *)&c->client_port ^ t->ports) | (a[0] ^ b[0]) | (a[1] ^ b[1]) |
		 (a[2] ^ b[2]) | (a[3] ^ b[3])) &&
	       c->state > SW_CLAIMED;
}

static __always_inline bool conn_is(const struct sw_conn *c, const struct sw_pkt *p)
{
	return conn_has(c, (const struct sw_tuple *)p->saddr);
}

/*
 * Whether c is p's connection, and its word: read first, in this order on every machine, so
 * that a swap of just this word can only meet the connection that was compared.
 */
static __always_inline bool conn_look(struct sw_conn *c, const struct sw_pkt *p, union sw_word *w)
{
	if (!c)
		return false;
	w->word = __sync_fetch_and_add((__u32 *)&c->state, 0);
	return conn_is(c, p);
}

#define SW_TRIES 4 /* of a change that another CPU was faster with */

static __always_inline __u32 ref_of(__u32 table, __u32 idx)
{
	return table << 31 | (idx + 1);
}

/* Slots are tried from a place the hash gives, its neighbour in the pair of lines next. */
static __always_inline __u32 slot_in(__u64 hash, __u32 table, __u32 n)
{
	return bucket_of(hash, table, n / SW_WAYS) + (((__u32)hash ^ n) & (SW_WAYS - 1));
}

static __always_inline __u32 search(const struct sw_tuple *t, __u64 hash, __u32 table)
{
	for (__u32 n = 0; n < 2 * SW_WAYS; n++) {
		__u32 idx = slot_in(hash, table, n);
		struct sw_conn *c = slot_of(table, idx);

		if (c && conn_has(c, t))
			return ref_of(table, idx);
	}
	return 0;
}

/* The connection of a tuple, in either table. Not static: see judge_segment(). */
__noinline __u32 tuple_find(struct sw_tuple *t, __u64 hash)
{
	__u32 ref;

	if (!t)
		return 0;
	ref = search(t, hash, SW_TABLE_CONNS);
	return ref ? ref : search(t, hash, SW_TABLE_HALF);
}

/* p->hash is there. */
static __always_inline __u32 conn_find(struct sw_pkt *p)
{
	return tuple_find((struct sw_tuple *)p->saddr, p->hash);
}

static __always_inline int event_state(const struct sw_pkt *p, __u8 from, __u8 to, __u8 kind,
				       __u32 table)
{
	struct sw_event *e = bpf_ringbuf_reserve(&sw_events, sizeof(*e), 0);

	if (!e)
		return event_lost(p->hook);
	event_fill(e, p);
	e->kind = kind;
	e->state_from = from;
	e->state_to = to;
	e->table = table;
	e->packets = 1;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* One of every so many changes, and never more than the rate allows. */
static __always_inline void report_state(const struct sw_pkt *p, __u8 from, __u8 to)
{
	struct sw_settings *set = settings();
	struct sw_cpu *c;

	if (!set || !set->state_event_every)
		return;
	c = this_cpu();
	if (!c || ++c->state_changes < set->state_event_every)
		return;
	c->state_changes = 0;
	if (budget_take(SW_BUDGET_STATE, set->state_events_pps, p->now_ns))
		event_state(p, from, to, SW_EVENT_STATE, 0);
}

/*
 * Makes the word `from` of slot c into `to`, if it is `from` still; all counters follow. 1 if
 * it did. Not static: the verifier checks it once, and not for each caller.
 */
__noinline int conn_swap(struct sw_pkt *p, struct sw_conn *c, __u32 from_word, __u32 to_word)
{
	union sw_word from = { .word = from_word }, to = { .word = to_word };

	if (!p || !c || !word_swap(c, from_word, to_word))
		return 0;
	count_pending(p, from, to);
	if (from.state == to.state)
		return 1;
	gauge_add(from.service, from.state, -1);
	if (to.state != SW_FREE)
		gauge_add(to.service, to.state, 1);
	report_state(p, from.state, to.state);
	return 1;
}

static __always_inline bool conn_change(struct sw_pkt *p, struct sw_conn *c, union sw_word from,
					union sw_word to)
{
	return from.word == to.word || conn_swap(p, c, from.word, to.word);
}

static __always_inline bool conn_free(struct sw_pkt *p, __u32 table, struct sw_conn *c,
				      union sw_word from)
{
	union sw_word to = { .generation = from.generation };
	struct sw_table_use *use = table_use(table);

	if (from.state <= SW_CLAIMED || !conn_change(p, c, from, to))
		return false;
	if (use)
		__sync_fetch_and_add(&use->used, -1LL);
	return true;
}

#define SW_SYN_RETRIES_S 128 /* the host sends a SYN again for 127 s, a SYN-ACK for 63 */

/* Seconds in its state; another CPU's clock may be a little ahead of the one we go by. */
static __always_inline __u32 conn_age(const struct sw_conn *c, __u32 now_s)
{
	__s32 age = now_s - c->changed_s;

	return age > 0 ? age : 0;
}

/* A tombstone past its time. */
static __always_inline bool is_spent(const struct sw_conn *c, __u32 now_s)
{
	struct sw_settings *set = settings();

	return set && c->state == SW_CLOSED && conn_age(c, now_s) > set->timeout_s[SW_CLOSED];
}

/* What gives way to a newcomer if there is no other room, though the host may hold it yet. */
static __always_inline bool is_yielding(const struct sw_conn *c, __u32 now_s)
{
	struct sw_settings *set = settings();
	__u32 age = conn_age(c, now_s);

	if (!set)
		return false;
	switch (c->state) {
	case SW_CLOSED:
		return true;
	case SW_TIME_WAIT:
		return age > set->timeout_s[SW_TIME_WAIT];
	case SW_SYN_SENT:
		return age > set->timeout_s[SW_SYN_SENT] + SW_SYN_RETRIES_S;
	case SW_SYN_RECEIVED:
		return age > set->timeout_s[SW_SYN_RECEIVED] + SW_SYN_RETRIES_S;
	default:
		return false;
	}
}

/* Slot c, which this CPU has claimed. */
static __always_inline void conn_write(struct sw_conn *c, const struct sw_pkt *p, __u8 generation)
{
	const struct sw_birth *b = &p->birth;
	union sw_word w = {
		.state = b->state,
		.flags = b->flags,
		.service = p->service,
		.generation = generation,
	};
	__u32 now_s = sw_seconds(p->now_ns);

	__builtin_memcpy(c->client, p->saddr, 36);
	c->opened_s = b->opened_s ? b->opened_s : now_s;
	c->changed_s = now_s;
	c->seen_s = now_s;
	c->rcv_nxt = b->rcv_nxt;
	c->client_fin = b->client_fin;
	c->server_fin = b->server_fin;
	__sync_lock_test_and_set((__u32 *)&c->state, w.word);
	gauge_add(w.service, w.state, 1);
	count_pending(p, (union sw_word){}, w);
	report_state(p, SW_FREE, w.state);
}

/*
 * Two CPUs may have made the same connection at once, each in a slot of its own. Both look
 * after both are written, and the one further on goes, whoever sees it first.
 */
__noinline __u32 drop_double(struct sw_pkt *p, __u32 table)
{
	__u32 first = 0;

	if (!p)
		return 0;
	table &= 1;
	for (__u32 n = 0; n < 2 * SW_WAYS; n++) {
		__u32 idx = slot_in(p->hash, table, n);
		struct sw_conn *c = slot_of(table, idx);
		union sw_word w;

		if (!c)
			continue;
		w.word = word_get(c);
		if (!conn_is(c, p))
			continue;
		if (!first)
			first = ref_of(table, idx);
		else
			conn_free(p, table, c, w);
	}
	return first;
}

static __noinline int table_full(const struct sw_pkt *p, __u32 table)
{
	struct sw_table_use *use = table_use(table);

	if (!use)
		return 0;
	__sync_fetch_and_add(&use->full, 1);
	if (!READ_ONCE(use->reported) && !__sync_val_compare_and_swap(&use->reported, 0, 1))
		event_state(p, 0, 0, SW_EVENT_TABLE_FULL, table);
	return 0;
}

static __always_inline void bucket_look(struct sw_bucket *b, const struct sw_pkt *p, __u32 table,
					__u32 second)
{
	__u32 now_s = sw_seconds(p->now_ns);

	__builtin_memset(b, 0, sizeof(*b));
	for (__u32 n = 0; n < SW_WAYS; n++) {
		__u32 idx = slot_in(p->hash, table, second * SW_WAYS + n);
		struct sw_conn *c = slot_of(table, idx);

		if (!c)
			continue;
		if (c->state == SW_FREE || is_spent(c, now_s)) {
			b->room = b->room ? b->room : ref_of(table, idx);
			continue;
		}
		b->taken++;
		if (is_yielding(c, now_s))
			b->yields = ref_of(table, idx);
	}
}

/*
 * The slot a newcomer may have, 0: none. In the first bucket, where it is found soonest,
 * unless that is crowded and the second less so: in a table filled to its size not one in a
 * million then finds both full, with first come, first served one in a thousand. What is beyond
 * the size, tombstones mostly, has the slots that are left. Not static: verified once.
 */
#define SW_CROWDED 6

__noinline __u32 room_for(struct sw_pkt *p, __u32 table)
{
	struct sw_bucket *one, *two;

	if (!p)
		return 0;
	one = &p->bucket[0];
	two = &p->bucket[1];
	table &= 1;
	bucket_look(one, p, table, 0);
	if (one->room && one->taken < SW_CROWDED)
		return one->room;
	bucket_look(two, p, table, 1);
	if (two->room && (!one->room || two->taken < one->taken))
		return two->room;
	return one->room ? one->room : one->yields ? one->yields : two->yields;
}

/* A slot for p->birth, of a tuple in no table. Its ref; 0: full, counted. */
static __always_inline __u32 conn_insert(struct sw_pkt *p)
{
	__u32 table = p->birth.table & 1, now_s = sw_seconds(p->now_ns);
	struct sw_table_use *use = table_use(table);

	if (!use)
		return 0;
	/* another CPU may be faster, but not often */
	for (int i = 0; i < 4; i++) {
		struct sw_conn *c = conn_at(room_for(p, table));
		union sw_word w, claimed;

		if (!c)
			break;
		w.word = word_get(c);
		if (w.state != SW_FREE && is_yielding(c, now_s) && conn_free(p, table, c, w))
			w.word = word_get(c);
		claimed = (union sw_word){ .state = SW_CLAIMED, .generation = w.generation + 1 };
		if (w.state != SW_FREE || !word_swap(c, w.word, claimed.word))
			continue;
		__sync_fetch_and_add(&use->used, 1);
		conn_write(c, p, claimed.generation);
		return drop_double(p, table);
	}
	table_full(p, table);
	return 0;
}

/* The connection at ref becomes another one of the same tuple. */
static __always_inline bool conn_renew(const struct sw_pkt *p, __u32 ref)
{
	struct sw_conn *c = conn_at(ref);
	union sw_word w, claimed;

	if (!c)
		return false;
	w.word = word_get(c);
	if (w.state <= SW_CLAIMED || !conn_is(c, p))
		return false;
	claimed = (union sw_word){ .state = SW_CLAIMED, .generation = w.generation + 1 };
	if (!word_swap(c, w.word, claimed.word))
		return false;
	count_pending(p, w, claimed);
	gauge_add(w.service, w.state, -1);
	conn_write(c, p, claimed.generation);
	return true;
}

/*
 * A new connection of p's tuple, p->birth, whatever was there. 0: it could not be tracked. Not
 * static: verified once.
 */
__noinline __u32 conn_open(struct sw_pkt *p)
{
	struct sw_settings *set = settings();
	union sw_word w;
	struct sw_conn *c;
	__u32 ref;

	if (!p || !set)
		return 0;
	live_mark(p->hash, set); /* what is in the table is in the filter */
	ref = conn_find(p);
	if (ref && ref >> 31 == (p->birth.table & 1))
		return conn_renew(p, ref) ? ref : 0;
	c = conn_at(ref);
	if (conn_look(c, p, &w)) /* from one table to the other */
		conn_free(p, ref >> 31, c, w);
	return conn_insert(p);
}

#endif /* SW_CONNS_H */
