/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mapped sources; see sources.h. The programs change them at the same time. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kernel.h"
#include "sources.h"
#include "table.h"
#include "util.h"

#define MAPPED_BITS 96U /* in front of an IPv4 address */

int sources_open(const struct guard *g, struct sources *s, bool change)
{
	int err;

	memset(s, 0, sizeof(*s));
	s->boot = g->boot;
	s->slots = g->boot.sources;
	err = map_array(g->map[MAP_SOURCES], sizeof(*s->slot), s->slots, change, &s->slot);
	if (!err)
		err = map_array(g->map[MAP_SUSPECT], sizeof(*s->suspect), SW_SUSPECT_WORDS + 1,
				change, &s->suspect);
	if (!err)
		return 0;
	sources_close(s);
	return log_err(err, "map the sources");
}

void sources_close(struct sources *s)
{
	unmap_array(s->slot, sizeof(*s->slot), s->slots);
	unmap_array(s->suspect, sizeof(*s->suspect), SW_SUSPECT_WORDS + 1);
	memset(s, 0, sizeof(*s));
}

static __u64 tag_of(const struct sw_source *c)
{
	return __atomic_load_n(&c->tag, __ATOMIC_ACQUIRE);
}

bool source_read(const struct sources *s, __u32 at, struct sw_source *copy)
{
	__u64 tag = tag_of(&s->slot[at]);

	if (!tag)
		return false;
	memcpy(copy, &s->slot[at], sizeof(*copy));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	copy->conns &= ~SW_SOURCE_FREED;
	return tag_of(&s->slot[at]) == tag && copy->service < SW_MAX_SERVICES;
}

__u32 source_level_len(const __be32 addr[4], __u32 level)
{
	if (level == SW_LEVEL_HOST)
		return addr_is_v4(addr) ? MAPPED_BITS + 32 : 64;
	return addr_is_v4(addr) ? MAPPED_BITS + 24 : 48;
}

__u32 source_prefix_len(const struct sw_source *c)
{
	return source_level_len(c->addr, c->level) - (addr_is_v4(c->addr) ? MAPPED_BITS : 0);
}

/* What is behind the prefix is of the connection that was first. */
static void cut(const struct sw_source *c, __be32 addr[4])
{
	memcpy(addr, c->addr, sizeof(c->addr));
	if (addr_is_v4(c->addr)) {
		addr[3] &= c->level ? SW_BE32(0xffffff00) : ~0U;
		return;
	}
	addr[1] &= c->level ? SW_BE32(0xffff0000) : ~0U;
	addr[2] = addr[3] = 0;
}

const char *source_text(const struct sw_source *c, char buf[TEXT_ADDR + 8])
{
	__be32 addr[4];
	size_t n;

	cut(c, addr);
	text_addr(addr, buf);
	n = strlen(buf);
	snprintf(buf + n, TEXT_ADDR + 8 - n, "/%u", source_prefix_len(c));
	return buf;
}

bool source_is_banned(const struct sw_source *c, __u32 now_s)
{
	return c->banned_until_s && (__s32)(c->banned_until_s - now_s) > 0;
}

static struct sw_source *find(const struct sources *s, __u64 tag)
{
	__u32 first = (__u32)(tag >> 32) * SW_SOURCE_WAYS & (s->slots - 1);

	for (__u32 i = first; i < first + SW_SOURCE_WAYS; i++)
		if (tag_of(&s->slot[i]) == tag)
			return &s->slot[i];
	return NULL;
}

/* Never below 0, as the programs do. */
static void count_down(__u32 *count)
{
	__u32 was = __atomic_load_n(count, __ATOMIC_RELAXED);

	while (was && !(was & SW_SOURCE_FREED) &&
	       !__atomic_compare_exchange_n(count, &was, was - 1, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
}

void source_uncount(const struct sources *s, const struct sw_conn *c)
{
	bool half = c->state == SW_FIN_WAIT_2 || c->state == SW_CLOSE_WAIT;

	if (!s->slot || !(c->service & SW_CONN_COUNTED) || c->state < SW_ESTABLISHED ||
	    c->state >= SW_TIME_WAIT)
		return;
	for (__u32 level = 0; level < SW_LEVELS; level++) {
		struct sw_source *at = find(s, sw_source_tag(s->boot.seed0, s->boot.seed1,
							     c->client, level, conn_service(c)));

		if (!at)
			continue;
		if (half)
			count_down(&at->half_closed);
		count_down(&at->conns);
	}
}

void sources_walk_begin(const struct sources *s)
{
	for (__u32 i = 0; i < s->slots; i++)
		if (s->slot[i].stalled_walk)
			__atomic_store_n(&s->slot[i].stalled_walk, 0, __ATOMIC_RELAXED);
}

void sources_walk_end(const struct sources *s)
{
	for (__u32 i = 0; i < s->slots; i++)
		if (s->slot[i].stalled != s->slot[i].stalled_walk)
			__atomic_store_n(&s->slot[i].stalled, s->slot[i].stalled_walk,
					 __ATOMIC_RELAXED);
}

/* As the programs weigh it; a rate that is spent comes back by itself. */
static bool is_over(const struct sw_source *c, const struct sw_service *svc, __u64 now_ns)
{
	const struct sw_source_limit *l = &svc->limit[c->level == SW_LEVEL_NET];

	return (svc->over == SW_OVER_BAN && source_is_banned(c, sw_seconds(now_ns))) ||
	       (l->conns && c->conns >= l->conns) ||
	       (l->half_closed && c->half_closed >= l->half_closed) ||
	       (l->stalled && c->stalled >= l->stalled && c->conns >= l->stalled) ||
	       (l->new_pps && (__s64)(c->due_ns - now_ns) > 0);
}

void sources_suspect(const struct sources *s, const struct services *set, __u64 now_ns)
{
	__u64 bits[SW_SUSPECT_WORDS + 1] = { 0 };
	struct sw_source c;

	for (__u32 i = 0; i < s->slots; i++)
		if (source_read(s, i, &c) && is_over(&c, &set->slot[c.service], now_ns))
			bits[c.tag >> 6 & (SW_SUSPECT_WORDS - 1)] |= 1ULL << (c.tag >> 58);
	for (__u32 i = 0; i < SW_SUSPECT_WORDS; i++)
		bits[SW_SUSPECT_WORDS] |= !!bits[i];
	/* a bit lost meanwhile costs one more connection that is refused at its ACK */
	for (__u32 i = 0; i <= SW_SUSPECT_WORDS; i++)
		if (s->suspect[i] != bits[i])
			__atomic_store_n(&s->suspect[i], bits[i], __ATOMIC_RELAXED);
}

void sources_pardon(const struct sources *s, __u32 service)
{
	for (__u32 i = 0; i < s->slots; i++)
		if (tag_of(&s->slot[i]) && s->slot[i].service == service)
			__atomic_store_n(&s->slot[i].banned_until_s, 0, __ATOMIC_RELAXED);
}

__u32 sources_unban(const struct sources *s, const __be32 addr[4], __u32 prefix_len, __u32 now_s)
{
	struct sw_source c;
	__be32 prefix[4];
	__u32 n = 0;

	for (__u32 i = 0; i < s->slots; i++) {
		if (!source_read(s, i, &c) || !source_is_banned(&c, now_s))
			continue;
		cut(&c, prefix);
		if (prefix_len != ~0U && (prefix_len != source_level_len(c.addr, c.level) ||
					  memcmp(prefix, addr, sizeof(prefix))))
			continue;
		__atomic_store_n(&s->slot[i].banned_until_s, 0, __ATOMIC_RELAXED);
		n++;
	}
	return n;
}
