/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an attack was, when it is over; see attack.h. */
#include <stdlib.h>
#include <string.h>

#include "attack.h"
#include "sources.h"
#include "util.h"

/*
 * The most frequent of many prefixes in constant memory ("space-saving", Metwally and others,
 * 2005): a newcomer takes the place and the count of the least, so that a count is at most too
 * high by that, and a prefix with more than one in PLACES of all is never missed.
 */
#define PLACES 64

struct talker {
	__be32 addr[4];
	__u32 prefix_len;
	__u32 events;
	__u32 inherited; /* of them, at the most so many were others' */
};

struct watch {
	bool on;
	__u64 packets[SW_REASON_MAX]; /* when it began */
	struct talker talker[PLACES];
};

struct attacks {
	__u32 number[SW_MAX_SERVICES]; /* of the last one that was seen, as in sw_arming */
	bool seen[SW_MAX_SERVICES];
	struct watch *watch[SW_MAX_SERVICES]; /* NULL: never attacked */
};

struct attacks *attacks_new(void)
{
	return calloc(1, sizeof(struct attacks));
}

void attacks_free(struct attacks *a)
{
	for (__u32 id = 0; a && id < SW_MAX_SERVICES; id++)
		free(a->watch[id]);
	free(a);
}

static void note_talker(struct watch *w, const __be32 addr[4])
{
	struct talker t = { .prefix_len = source_level_len(addr, SW_LEVEL_NET) };
	struct talker *least = &w->talker[0];

	/* 120 and 48 bits: whole bytes */
	memcpy(t.addr, addr, t.prefix_len / 8);
	for (__u32 i = 0; i < PLACES; i++) {
		struct talker *at = &w->talker[i];

		if (at->events && at->prefix_len == t.prefix_len &&
		    !memcmp(at->addr, t.addr, sizeof(t.addr))) {
			at->events++;
			return;
		}
		if (at->events < least->events)
			least = at;
	}
	t.inherited = least->events;
	t.events = least->events + 1;
	*least = t;
}

void attacks_event(struct attacks *a, const struct sw_event *e)
{
	struct watch *w = e->service < SW_MAX_SERVICES ? a->watch[e->service] : NULL;

	if (w && w->on && e->kind == SW_EVENT_PACKET && e->hook == SW_HOOK_XDP)
		note_talker(w, e->saddr);
}

static void begin(struct attacks *a, __u32 id, const struct facts *before)
{
	struct watch *w = a->watch[id];

	if (!w)
		w = a->watch[id] = calloc(1, sizeof(*w));
	if (!w)
		return; /* it will have no summary */
	memset(w, 0, sizeof(*w));
	w->on = true;
	for (__u32 r = 1; r < SW_REASON_MAX; r++)
		w->packets[r] = facts_is_service(before, id) ? before->count[id][r].packets : 0;
}

static void top_reasons(const struct watch *w, const struct sw_count *count,
			struct attack_summary *s)
{
	for (__u32 r = 1; r < SW_REASON_MAX; r++) {
		__u64 packets = count[r].packets - w->packets[r];
		__u32 at;

		if (text_verdict(r)[0] == 'p' || count[r].packets <= w->packets[r])
			continue;
		for (at = s->reasons; at && s->reason[at - 1].packets < packets; at--)
			if (at < ATTACK_TOP)
				s->reason[at] = s->reason[at - 1];
		if (at == ATTACK_TOP)
			continue;
		s->reason[at].reason = (enum sw_reason)r;
		s->reason[at].packets = packets;
		s->reasons += s->reasons < ATTACK_TOP;
	}
}

/* What is surely its own. */
static __u32 own_events(const struct talker *t)
{
	return t->events - t->inherited;
}

static int more_events(const void *a, const void *b)
{
	__u32 x = own_events(a), y = own_events(b);

	return (x < y) - (x > y);
}

static void top_sources(struct watch *w, struct attack_summary *s)
{
	qsort(w->talker, PLACES, sizeof(w->talker[0]), more_events);
	/* seen once says nothing: a spoofed flood is all of those */
	for (__u32 i = 0; i < ATTACK_TOP && own_events(&w->talker[i]) > 1; i++) {
		memcpy(s->source[i].addr, w->talker[i].addr, sizeof(s->source[i].addr));
		s->source[i].prefix_len = w->talker[i].prefix_len;
		s->source[i].events = own_events(&w->talker[i]);
		s->sources++;
	}
}

/* The programs note the end with the next SYN; until one comes, it is when it fell below. */
static bool find_attack(const struct guard *g, const struct sw_arming *arming, __u32 id,
			struct sw_attack *attack)
{
	struct sw_attack list[SW_ATTACKS];

	if (mapio_attacks(g, list))
		return false;
	*attack = list[arming->attack % SW_ATTACKS];
	if (attack->service != id || !attack->start_ns)
		return false;
	if (!attack->end_ns)
		attack->end_ns = arming->above_ns > attack->start_ns ? arming->above_ns :
								       attack->start_ns;
	return true;
}

static bool end(struct attacks *a, const struct guard *g, __u32 id, const struct facts *now,
		struct attack_summary *s)
{
	struct watch *w = a->watch[id];

	if (!w || !w->on)
		return false;
	w->on = false;
	memset(s, 0, sizeof(*s));
	if (!find_attack(g, &now->arming[id], id, &s->attack))
		return false;
	top_reasons(w, now->count[id], s);
	top_sources(w, s);
	return true;
}

bool attacks_look(struct attacks *a, const struct guard *g, __u32 id, const struct facts *before,
		  const struct facts *now, struct attack_summary *s)
{
	bool there = facts_is_service(now, id), on = there && facts_armed(now, id);
	bool was = a->watch[id] && a->watch[id]->on;
	/* one that began and ended since the last look */
	bool other = there && now->arming[id].attacks != a->number[id] && a->seen[id];

	a->number[id] = now->arming[id].attacks;
	a->seen[id] = true;
	if (!there) {
		a->seen[id] = false;
		/* deleted meanwhile: as it was at the last look */
		return was && end(a, g, id, before, s);
	}
	if (!was && (on || other))
		begin(a, id, before);
	return !on && end(a, g, id, now, s);
}
