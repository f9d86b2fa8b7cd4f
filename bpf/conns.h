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
#include "sources.h"
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
	       (__s32)(use->fin_until_s - sw_seconds(bpf_ktime_get_coarse_ns())) >= 0;
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
	bool counted = from.service & SW_CONN_COUNTED && from.state != to.state;

	if (!p || !c)
		return 0;
	if (!is_counted_state(to.state)) /* it may come back, but then without its source */
		to.service &= ~SW_CONN_COUNTED;
	to_word = to.word;
	if (counted) /* once it is free the slot may be another's */
		__builtin_memcpy(p->owner.client, c->client, sizeof(c->client));
	if (!word_swap(c, from_word, to_word))
		return 0;
	if (counted)
		source_move(&p->owner, from.service, from.state, to.state);
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

#endif /* SW_CONNS_H */
