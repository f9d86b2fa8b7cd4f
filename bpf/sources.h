/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits on sources. Only what proved its address is counted: an entry is made when a handshake
 * ends, never for a SYN, so that whoever is spoofed is neither limited nor banned and a flood
 * writes nothing. New connections are refused at their SYN, as early as that, and at the ACK
 * that ends a cookie's handshake; what is open goes on.
 */
#ifndef SW_SOURCES_H
#define SW_SOURCES_H

#include "lists.h"
#include "states.h"

/* Connections that take something of the host; TIME-WAIT and tombstones do not. */
static __always_inline bool is_counted_state(__u32 state)
{
	return state >= SW_ESTABLISHED && state < SW_TIME_WAIT;
}

static __always_inline bool is_half_closed(__u32 state)
{
	return state == SW_FIN_WAIT_2 || state == SW_CLOSE_WAIT;
}

static __always_inline __u64 source_tag(const __be32 *addr, __u32 level, __u32 service)
{
	return sw_source_tag(sw_boot.seed0, sw_boot.seed1, addr, level, service);
}

static __always_inline struct sw_source *source_at(__u64 tag, __u32 n)
{
	__u32 idx = ((__u32)(tag >> 32) * SW_SOURCE_WAYS & (sw_boot.sources - 1)) + n;

	return bpf_map_lookup_elem(&sw_sources, &idx);
}

static __always_inline struct sw_source *source_find(__u64 tag)
{
	for (__u32 n = 0; n < SW_SOURCE_WAYS; n++) {
		struct sw_source *s = source_at(tag, n);

		if (s && READ_ONCE(s->tag) == tag)
			return s;
	}
	return NULL;
}

static __always_inline struct sw_limit_hits *hits_of(__u32 service)
{
	return bpf_map_lookup_elem(&sw_limit_hits, &service);
}

/* A filter of its own: a load for a SYN instead of a bucket. */
static __always_inline __u64 *suspect_word(__u64 tag)
{
	__u32 idx = tag >> 6 & (SW_SUSPECT_WORDS - 1);

	return bpf_map_lookup_elem(&sw_suspect, &idx);
}

static __always_inline bool is_suspect(__u64 tag)
{
	__u64 *word = suspect_word(tag);

	return word && *word >> (tag >> 58) & 1;
}

static __always_inline __u64 *suspect_any(void)
{
	__u32 idx = SW_SUSPECT_WORDS;

	return bpf_map_lookup_elem(&sw_suspect, &idx);
}

/* Most of the time no source is at a limit, and that is all a SYN pays. */
static __always_inline bool is_any_suspect(void)
{
	__u64 *any = suspect_any();

	return !any || READ_ONCE(*any);
}

/*
 * Whether a SYN of this source may be refused, by either limit, without a look for the source.
 * Not static: verified once.
 */
__noinline int may_be_refused(struct sw_pkt *p)
{
	if (!p)
		return 0;
	return is_suspect(source_tag(p->saddr, SW_LEVEL_HOST, p->service)) ||
	       is_suspect(source_tag(p->saddr, SW_LEVEL_NET, p->service));
}

static __always_inline void suspect_mark(__u64 tag)
{
	__u64 bit = 1ULL << (tag >> 58), *word = suspect_word(tag);

	if (word && !(READ_ONCE(*word) & bit))
		__sync_fetch_and_or(word, bit);
	word = suspect_any();
	if (word && !READ_ONCE(*word))
		WRITE_ONCE(*word, 1);
}

/* The rate's bucket as a time: each connection moves it on by its share of a second. */
#define SECOND_NS 1000000000ULL

static __always_inline __u64 rate_room(const struct sw_source_limit *l)
{
	return (l->burst ? l->burst : l->new_pps) * SECOND_NS / l->new_pps;
}

/* Further ahead than that it has come by another limit than that of today. */
static __always_inline bool is_too_fast(const struct sw_source *s, const struct sw_source_limit *l,
					__u64 now_ns)
{
	__s64 ahead = s->due_ns - now_ns;

	return l->new_pps && ahead <= (__s64)rate_room(l) &&
	       ahead > (__s64)(rate_room(l) - SECOND_NS / l->new_pps);
}

/* Who is let by all the same runs up no debt beyond that. */
static __always_inline void rate_take(struct sw_source *s, const struct sw_source_limit *l,
				      __u64 now_ns)
{
	__u64 due = READ_ONCE(s->due_ns);

	if (!l->new_pps)
		return;
	if ((__s64)(due - now_ns) < 0 || (__s64)(due - now_ns) > (__s64)rate_room(l))
		due = now_ns;
	due += SECOND_NS / l->new_pps;
	if (due - now_ns > rate_room(l))
		due = now_ns + rate_room(l);
	WRITE_ONCE(s->due_ns, due);
}

/* The limit a source is at, + 1; 0: one more may come. */
static __always_inline __u32 over_limit(const struct sw_source *s, const struct sw_source_limit *l,
					__u64 now_ns)
{
	if (l->conns && (READ_ONCE(s->conns) & ~SW_SOURCE_FREED) >= l->conns)
		return SW_LIMIT_CONNS + 1;
	if (l->half_closed && READ_ONCE(s->half_closed) >= l->half_closed)
		return SW_LIMIT_HALF_CLOSED + 1;
	/* as of the last walk, but they may have ended since */
	if (l->stalled && READ_ONCE(s->stalled) >= l->stalled &&
	    (READ_ONCE(s->conns) & ~SW_SOURCE_FREED) >= l->stalled)
		return SW_LIMIT_STALLED + 1;
	return is_too_fast(s, l, now_ns) ? SW_LIMIT_RATE + 1 : 0;
}

static __always_inline bool is_banned(const struct sw_source *s, __u64 now_ns)
{
	__u32 until = READ_ONCE(s->banned_until_s);

	return until && (__s32)(until - sw_seconds(now_ns)) > 0;
}

/* Before allow and fail-safe are asked, which costs, and only what is over meets. */
static __always_inline bool is_exempt(struct sw_pkt *p, const struct sw_service *svc)
{
	struct sw_settings *set = settings();
	__u32 any, own = svc->lists;

	if (!set)
		return true;
	any = set->lists[!!(p->gen & SW_GEN_LISTS)];
	return is_port_fail_safe(p) || is_listed(p, SW_LIST_FAIL_SAFE, any, own) ||
	       is_listed(p, SW_LIST_ALLOW, any, own);
}

/* What judge_level() is told of the packet. */
#define PROVEN_NOT   0
#define PROVEN_NEW   1
#define PROVEN_AGAIN 2 /* its ACK was judged before: counts no more */

/* A source has proved its address and opens, or would, one more than it may. */
static __always_inline void note_over(const struct sw_pkt *p, struct sw_source *s,
				      const struct sw_service *svc, struct sw_limit_hits *hits,
				      __u32 over)
{
	__sync_fetch_and_add(&s->refused, 1);
	__sync_fetch_and_add(&hits->over[over & 3], 1);
	if (svc->over != SW_OVER_BAN)
		return;
	WRITE_ONCE(s->banned_until_s, sw_seconds(p->now_ns) + svc->ban_s);
	__sync_fetch_and_add(&hits->bans, 1);
}

/* At one level. Not static: verified once, and no loop for clang to make a riddle of. */
__noinline int judge_level(struct sw_pkt *p, __u32 level, __u32 proven)
{
	const struct sw_source_limit *l;
	struct sw_limit_hits *hits;
	struct sw_service *svc;
	struct sw_source *s;
	__u32 over;
	__u64 tag;

	if (!p)
		return SW_CONTINUE;
	level &= 1;
	svc = service_of(p);
	hits = hits_of(p->service);
	if (!svc || !hits)
		return SW_CONTINUE;
	l = &svc->limit[level];
	tag = source_tag(p->saddr, level, p->service);
	if (!proven && !is_suspect(tag))
		return SW_CONTINUE;
	s = source_find(tag);
	if (!s)
		return SW_CONTINUE;
	over = over_limit(s, l, p->now_ns);
	if (svc->over == SW_OVER_BAN && is_banned(s, p->now_ns)) {
		if (is_exempt(p, svc))
			return SW_CONTINUE;
		suspect_mark(tag); /* the sweep may have missed it */
		__sync_fetch_and_add(&hits->banned, 1);
		return SW_DROP_BANNED;
	}
	if (!over || is_exempt(p, svc))
		return SW_CONTINUE;
	over = (over - 1) & 3;
	if (proven == PROVEN_NEW)
		note_over(p, s, svc, hits, over);
	if (svc->over == SW_OVER_COUNT)
		return SW_CONTINUE;
	suspect_mark(tag);
	return SW_DROP_LIMIT_RATE + over;
}

/*
 * May p's source open one more connection? `proven`: it answered from its address just now, so
 * that what is over is counted and banned. Returns enum sw_reason.
 */
static __always_inline int judge_source(struct sw_pkt *p, __u32 proven)
{
	int r = judge_level(p, SW_LEVEL_HOST, proven) & 127;

	return r ? r : judge_level(p, SW_LEVEL_NET, proven) & 127;
}

static __always_inline bool is_idle(const struct sw_source *s, __u64 now_ns)
{
	return !READ_ONCE(s->conns) && !is_banned(s, now_ns) && (__s64)(s->due_ns - now_ns) <= 0;
}

/* Another CPU made one at the same time. Whoever sees it gives his own up, both if need be. */
static __always_inline bool has_twin(const struct sw_source *s, __u64 tag)
{
	for (__u32 n = 0; n < SW_SOURCE_WAYS; n++) {
		struct sw_source *other = source_at(tag, n);

		if (other && other != s && READ_ONCE(other->tag) == tag)
			return true;
	}
	return false;
}

/* A slot for the source of p; NULL: all are taken by others that have connections. */
static __always_inline struct sw_source *source_take(const struct sw_pkt *p, __u64 tag, __u32 level)
{
	bool twin;

	for (__u32 n = 0; n < SW_SOURCE_WAYS; n++) {
		struct sw_source *s = source_at(tag, n);

		if (!s || !is_idle(s, p->now_ns) ||
		    __sync_val_compare_and_swap(&s->conns, 0, SW_SOURCE_FREED))
			continue;
		WRITE_ONCE(s->tag, 0);
		__builtin_memcpy(s->addr, p->saddr, sizeof(s->addr));
		s->due_ns = 0;
		s->half_closed = s->stalled = s->stalled_walk = s->refused = 0;
		s->banned_until_s = 0;
		s->service = p->service;
		s->level = level;
		__sync_lock_test_and_set(&s->tag, tag);
		twin = has_twin(s, tag);
		if (twin)
			__sync_lock_test_and_set(&s->tag, 0);
		__sync_fetch_and_and(&s->conns, ~SW_SOURCE_FREED);
		return twin ? NULL : s;
	}
	return NULL;
}

/* Holds on to a slot by a connection more, or leaves it be. */
static __always_inline bool source_hold(struct sw_source *s, __u64 tag)
{
	__u32 was = __sync_fetch_and_add(&s->conns, 1);

	if (!(was & SW_SOURCE_FREED) && READ_ONCE(s->tag) == tag)
		return true;
	__sync_fetch_and_add(&s->conns, -1);
	return false;
}

/* At one level; 1: counted. Not static: see judge_level(). */
__noinline int source_open_at(struct sw_pkt *p, __u32 level)
{
	struct sw_service *svc;
	struct sw_source *s;
	__u64 tag;

	if (!p)
		return 0;
	level &= 1;
	svc = service_of(p);
	if (!svc)
		return 0;
	tag = source_tag(p->saddr, level, p->service);
	s = source_find(tag);
	if (!s)
		s = source_take(p, tag, level);
	if (!s || !source_hold(s, tag))
		return 0;
	s->seen_s = sw_seconds(p->now_ns);
	if (!(p->birth.flags & SW_CONN_ADOPTED)) /* else it is not new */
		rate_take(s, &svc->limit[level], p->now_ns);
	if (svc->over != SW_OVER_COUNT && over_limit(s, &svc->limit[level], p->now_ns))
		suspect_mark(tag);
	return 1;
}

/* By 1, 0 or -1; never below 0, whatever went wrong: that would shut the source out for good. */
static __always_inline void count_move(__u32 *count, __u32 by)
{
	__u32 was = __sync_fetch_and_add(count, by);

	if (by == ~0U && (!was || was & SW_SOURCE_FREED))
		__sync_fetch_and_add(count, 1);
}

/* So many connections more, or less, and of them half-closed ones. Not static: see judge_level(). */
__noinline int source_add(struct sw_tuple *t, __u32 at, __u32 conns, __u32 half)
{
	struct sw_source *s;

	if (!t)
		return 0;
	s = source_find(source_tag(t->client, at & 1, at >> 8 & (SW_MAX_SERVICES - 1)));
	if (!s)
		return 0;
	count_move(&s->half_closed, half);
	count_move(&s->conns, conns);
	return 0;
}

/* A connection of p's source has opened: counted at both levels, or at none. */
/* Not inline: the stack is scarce where connections begin. */
static __noinline bool source_open(struct sw_pkt *p)
{
	struct sw_service *svc = service_of(p);
	struct sw_limit_hits *hits;

	if (!svc || !svc->limited)
		return false;
	if (source_open_at(p, SW_LEVEL_HOST)) {
		if (source_open_at(p, SW_LEVEL_NET))
			return true;
		source_add((struct sw_tuple *)p->saddr, p->service << 8 | SW_LEVEL_HOST, -1, 0);
	}
	hits = hits_of(p->service);
	if (hits)
		__sync_fetch_and_add(&hits->no_room, 1);
	return false;
}

/*
 * A counted connection moves from one state to another, SW_FREE: to none. In one addition, so
 * that its slot is never without connections on the way.
 */
static __always_inline void source_move(struct sw_tuple *t, __u32 service, __u32 from, __u32 to)
{
	__u32 conns = is_counted_state(to) - is_counted_state(from);
	__u32 half = is_half_closed(to) - is_half_closed(from);

	if (!conns && !half)
		return;
	service &= SW_MAX_SERVICES - 1;
	source_add(t, service << 8 | SW_LEVEL_HOST, conns, half);
	source_add(t, service << 8 | SW_LEVEL_NET, conns, half);
}

/* Of the walk over the sockets: the client takes nothing. Not static: see judge_level(). */
__noinline int source_note_stalled(struct sw_pkt *p, __u32 level)
{
	struct sw_source *s;

	if (!p)
		return 0;
	s = source_find(source_tag(p->saddr, level & 1, p->service));
	if (s)
		__sync_fetch_and_add(&s->stalled_walk, 1);
	return 0;
}

#endif /* SW_SOURCES_H */
