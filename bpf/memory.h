/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guard remembers beside the connection tables, in constant memory that no spoofed
 * packet can fill: a presence filter, the cookies already spent, and budgets. None of them
 * grants anything: a wrong hit only costs a socket lookup.
 */
#ifndef SW_MEMORY_H
#define SW_MEMORY_H

#include "hash.h"

/*
 * Presence filter. A clear bit says "the host surely holds no socket for this tuple", so a
 * flood of SYNs needs no socket lookup (115 ns each). Bits are set wherever a socket can
 * begin: a SYN that passes, a hand-over, the adoption at attach; set bits are only ever
 * confirmed by asking the host. `adopt` rebuilds it: while it runs both halves are marked.
 */
static __always_inline __u64 *live_word(__u64 hash, __u32 gen)
{
	__u32 words = sw_boot.live_words;
	__u32 idx = (hash >> 6 & (words - 1)) + (gen & 1) * words;

	return bpf_map_lookup_elem(&sw_live, &idx);
}

static __always_inline bool live_maybe(__u64 hash, const struct sw_settings *set)
{
	__u64 *word = live_word(hash, set->live_gen);

	return !word || *word >> (hash & 63) & 1;
}

static __always_inline void live_set(__u64 hash, __u32 gen)
{
	__u64 bit = 1ULL << (hash & 63);
	__u64 *word = live_word(hash, gen);

	if (word && !(READ_ONCE(*word) & bit))
		__sync_fetch_and_or(word, bit);
}

static __always_inline void live_mark(__u64 hash, const struct sw_settings *set)
{
	__u32 gen = READ_ONCE(set->live_gen);

	live_set(hash, gen);
	if (READ_ONCE(set->live_both))
		live_set(hash, gen + 1);
}

/*
 * Cookies handed over: 40 bits of the hash behind the MAC, the CPU, 16 bits of time. While
 * such a cookie still verifies, its ACK opens nothing again, but for the first second: an
 * ACK that died between tc and the listener must not cost the client its connection.
 */
#define SW_USED_TICK        22  /* shift: 4.2 ms */
#define SW_USED_RETRY_TICKS 240 /* 1 s */
#define SW_USED_NEVER       (~0U)

static __always_inline __u64 *used_slot(__u64 cookie_hash)
{
	__u32 idx = cookie_hash >> 32 & (SW_USED_SLOTS - 1);

	return bpf_map_lookup_elem(&sw_used, &idx);
}

static __always_inline __u64 used_word(__u64 cookie_hash, __u64 now_ns)
{
	return (cookie_hash & ~0xffffffULL) | (bpf_get_smp_processor_id() & 0xff) << 16 |
	       (now_ns >> SW_USED_TICK & 0xffff);
}

/* Ticks since the cookie was handed over, or SW_USED_NEVER. now_ns may lag a little. */
static __always_inline __u32 cookie_used_ago(__u64 cookie_hash, __u64 now_ns)
{
	__u64 *slot = used_slot(cookie_hash), word;
	__u16 ago;

	if (!slot)
		return SW_USED_NEVER;
	word = READ_ONCE(*slot);
	if ((word ^ cookie_hash) >> 24)
		return SW_USED_NEVER;
	ago = (__u16)(now_ns >> SW_USED_TICK) - (__u16)word;
	return ago > 0xff00 ? 0 : ago;
}

/*
 * Handed over on this CPU a moment ago: the stack has the ACK before it gets this segment.
 * On another CPU it may be either way round, and a second request socket does no harm.
 */
static __always_inline bool cookie_in_batch(__u64 cookie_hash, __u64 now_ns)
{
	__u64 *slot = used_slot(cookie_hash), now = used_word(cookie_hash, now_ns), word;

	if (!slot)
		return false;
	word = READ_ONCE(*slot);
	return now >> 16 == word >> 16 && (__u16)(now - word) <= 1;
}

static __always_inline bool cookie_is_spent(__u32 ago)
{
	return ago != SW_USED_NEVER && ago > SW_USED_RETRY_TICKS;
}

static __always_inline void cookie_note_used(__u64 cookie_hash, __u64 now_ns)
{
	__u64 *slot = used_slot(cookie_hash);

	if (slot)
		WRITE_ONCE(*slot, used_word(cookie_hash, now_ns));
}

#define SW_CLOSED_PPS 10000 /* segments to closed ports that the host may answer */

/* One of `limit` a second (of 1.07 s) and CPU, in budget `idx`. */
static __always_inline bool budget_take(__u32 idx, __u32 limit, __u64 now_ns)
{
	struct sw_budget *b = bpf_map_lookup_elem(&sw_budget, &idx);
	__u64 second = now_ns >> 30;

	if (!b)
		return false;
	if (b->second != second) {
		b->second = second;
		b->used = 0;
	}
	if (b->used >= limit)
		return false;
	b->used++;
	return true;
}

#endif /* SW_MEMORY_H */
