/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a connection comes by a slot of the tables in conns.h, and what is noted if there is none.
 */
#ifndef SW_OPEN_H
#define SW_OPEN_H

#include "arm.h"
#include "conns.h"

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
/*
 * `was`: the entry it takes the place of, of the same source; 0: none. One that is written anew
 * before the host was seen to hold it, as its client says its ACK again or more, is no other.
 */
static __always_inline void conn_write(struct sw_conn *c, struct sw_pkt *p, __u8 generation,
				       union sw_word was)
{
	const struct sw_birth *b = &p->birth;
	union sw_word w = {
		.state = b->state,
		.flags = b->flags,
		.service = p->service,
		.generation = generation,
	};
	__u32 now_s = sw_seconds(p->now_ns);

	if (was.service & SW_CONN_COUNTED && is_counted_state(was.state)) {
		if (is_counted_state(b->state))
			w.service |= SW_CONN_COUNTED;
		source_move((struct sw_tuple *)p->saddr, was.service, was.state, b->state);
	} else if (is_counted_state(b->state) && !(b->flags & SW_CONN_OUTBOUND) && source_open(p)) {
		w.service |= SW_CONN_COUNTED;
		source_move((struct sw_tuple *)p->saddr, w.service, SW_ESTABLISHED, b->state);
	}
	if (!is_counted_state(was.state) && is_counted_state(b->state) &&
	    !(b->flags & (SW_CONN_ADOPTED | SW_CONN_OUTBOUND)))
		arm_note_finished(p->service);

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

/* The host holds, or may hold, what the tables do not. */
static __always_inline void note_unlisted(void)
{
	struct sw_table_use *use = table_use(SW_TABLE_CONNS);

	if (use && !READ_ONCE(use->unlisted))
		WRITE_ONCE(use->unlisted, 1);
}

static __always_inline bool is_any_unlisted(void)
{
	struct sw_table_use *use = table_use(SW_TABLE_CONNS);

	return !use || READ_ONCE(use->unlisted);
}

static __noinline int table_full(const struct sw_pkt *p, __u32 table)
{
	struct sw_table_use *use = table_use(table);

	if (!use)
		return 0;
	note_unlisted();
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
		if (w.state != SW_FREE && is_yielding(c, now_s) && conn_free(p, table, c, w)) {
			if (w.state != SW_CLOSED)
				note_unlisted();
			w.word = word_get(c);
		}
		claimed = (union sw_word){ .state = SW_CLAIMED, .generation = w.generation + 1 };
		if (w.state != SW_FREE || !word_swap(c, w.word, claimed.word))
			continue;
		__sync_fetch_and_add(&use->used, 1);
		conn_write(c, p, claimed.generation, (union sw_word){});
		p->birth.is_new = 1;
		return ref_of(table, 0); /* where it stays, drop_double() tells */
	}
	table_full(p, table);
	return 0;
}

/* The connection at ref becomes another one of the same tuple. */
static __always_inline bool conn_renew(struct sw_pkt *p, __u32 ref)
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
	conn_write(c, p, claimed.generation, w);
	return true;
}

/* Not static: verified once. */
__noinline __u32 conn_make(struct sw_pkt *p)
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

/*
 * A new connection of p's tuple, p->birth, whatever was there. 0: it could not be tracked. Two
 * calls and not one in the other: the stack is scarce.
 */
static __always_inline __u32 conn_open(struct sw_pkt *p)
{
	__u8 of_host = p->birth.flags & (SW_CONN_CONFIRMED | SW_CONN_ADOPTED | SW_CONN_OUTBOUND);
	struct sw_service *svc;
	__u32 ref;

	/* a handshake the host ended, so that nobody could refuse it: only counted */
	if (is_counted_state(p->birth.state) && of_host == SW_CONN_CONFIRMED) {
		svc = service_of(p);
		if (svc && svc->limited)
			judge_source(p, PROVEN_NEW);
	}
	p->birth.is_new = 0;
	ref = conn_make(p);
	return p->birth.is_new ? drop_double(p, p->birth.table) : ref;
}

#endif /* SW_OPEN_H */
