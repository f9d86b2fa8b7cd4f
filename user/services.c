/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The set of services and its layout in ports, groups and prefixes; see services.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "services.h"
#include "util.h"

/* The set of prefixed services that a port belongs to, a bit for each id. */
struct members {
	__u64 bits[SW_MAX_SERVICES / 64];
};

/* Each service adds at most two borders between runs of ports with one set. */
#define MAX_GROUPS (2 * SW_MAX_SERVICES)

struct grouping {
	struct members members[MAX_GROUPS];
	__u16 number[MAX_GROUPS];
	__u32 count;
};

void layout_free(struct layout *l)
{
	free(l->ports);
	free(l->prefixes.entry);
	memset(l, 0, sizeof(*l));
}

int prefix_list_add(struct prefix_list *list, const struct prefix_entry *entry)
{
	if (list->count == list->room) {
		__u32 room = list->room ? list->room * 2 : 64;
		void *grown = reallocarray(list->entry, room, sizeof(*entry));

		if (!grown)
			return -ENOMEM;
		list->entry = grown;
		list->room = room;
	}
	list->entry[list->count++] = *entry;
	return 0;
}

static struct prefix_entry *find_entry(const struct prefix_list *list,
				       const struct sw_prefix_key *key)
{
	for (__u32 i = 0; i < list->count; i++)
		if (!memcmp(&list->entry[i].key, key, sizeof(*key)))
			return &list->entry[i];
	return NULL;
}

const struct prefix_entry *prefix_list_find(const struct prefix_list *list,
					    const struct sw_prefix_key *key)
{
	return find_entry(list, key);
}

static bool in_use(const struct sw_service *s)
{
	return s->port_first != 0;
}

static bool same_prefix(const struct sw_service *a, const struct sw_service *b)
{
	return a->prefix_len == b->prefix_len && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

__u32 services_find(const struct services *set, const struct sw_service *want)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &set->slot[id];

		if (in_use(s) && same_prefix(s, want) && s->port_first == want->port_first &&
		    s->port_last == want->port_last)
			return id;
	}
	return 0;
}

__u32 services_overlap(const struct services *set, const struct sw_service *want)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &set->slot[id];

		if (in_use(s) && same_prefix(s, want) && s->port_first <= want->port_last &&
		    want->port_first <= s->port_last)
			return id;
	}
	return 0;
}

bool services_any_enforced(const struct services *set)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++)
		if (in_use(&set->slot[id]) && set->slot[id].mode == SW_MODE_ALWAYS)
			return true;
	return false;
}

static struct prefix_entry entry_of(const struct services *set, __u32 id, __u16 group)
{
	struct prefix_entry e = {
		.key.prefix_len = 32 + set->slot[id].prefix_len,
		.key.group = group,
		.value.service = id,
	};

	memcpy(e.key.addr, set->slot[id].addr, sizeof(e.key.addr));
	return e;
}

static bool is_member(const struct members *m, __u32 id)
{
	return m->bits[id / 64] >> (id % 64) & 1;
}

/* Does `group` of the list hold just these services, each with its prefix of today? */
static bool group_holds(const struct services *set, const struct prefix_list *list, __u16 group,
			const struct members *m)
{
	__u32 wanted = 0, found = 0;

	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct prefix_entry want = entry_of(set, id, group);
		const struct prefix_entry *have;

		if (!is_member(m, id))
			continue;
		have = prefix_list_find(list, &want.key);
		if (!have || have->value.service != id)
			return false;
		wanted++;
	}
	for (__u32 i = 0; i < list->count; i++)
		found += list->entry[i].key.group == group;
	return found == wanted;
}

static bool number_taken(const struct grouping *g, const struct layout *now, __u16 number)
{
	for (__u32 i = 0; i < g->count; i++)
		if (g->number[i] == number)
			return true;
	for (__u32 i = 0; i < now->prefixes.count; i++)
		if (now->prefixes.entry[i].key.group == number)
			return true;
	return false;
}

/* Finds or founds the group of these members; writes its prefixes to `next` when founded. */
static int group_get(const struct services *set, const struct layout *now, struct grouping *g,
		     const struct members *m, struct layout *next, __u16 *number)
{
	__u16 n = 0;

	for (__u32 i = 0; i < g->count; i++) {
		if (!memcmp(&g->members[i], m, sizeof(*m))) {
			*number = g->number[i];
			return 0;
		}
	}
	for (__u32 i = 0; i < now->prefixes.count && !n; i++) {
		__u16 have = now->prefixes.entry[i].key.group;

		if (have && group_holds(set, &now->prefixes, have, m))
			n = have;
	}
	for (__u32 free_number = 1; !n; free_number++)
		if (!number_taken(g, now, (__u16)free_number))
			n = (__u16)free_number;
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		struct prefix_entry e = entry_of(set, id, n);

		if (is_member(m, id) && prefix_list_add(&next->prefixes, &e))
			return -ENOMEM;
	}
	g->members[g->count] = *m;
	g->number[g->count++] = n;
	*number = n;
	return 0;
}

/* What holds for `port`, and the last port up to which that stays so. */
static __u32 run_at(const struct services *set, __u32 port, struct members *m, __u16 *any)
{
	__u32 last = SW_PORTS - 1;

	memset(m, 0, sizeof(*m));
	*any = 0;
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &set->slot[id];

		if (!in_use(s) || s->port_last < port)
			continue;
		if (s->port_first > port) {
			if (s->port_first - 1U < last)
				last = s->port_first - 1U;
			continue;
		}
		if (s->port_last < last)
			last = s->port_last;
		if (s->prefix_len)
			m->bits[id / 64] |= 1ULL << (id % 64);
		else
			*any = (__u16)id;
	}
	return last;
}

/*
 * Group 0: every guarded prefix once, for packets whose port cannot be read. They are judged
 * by the strictest mode among the services of their address.
 */
static int layout_guarded(const struct services *set, struct layout *next)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &set->slot[id];
		struct prefix_entry *have;
		struct prefix_entry e;

		if (!in_use(s))
			continue;
		if (!s->prefix_len) {
			if (s->mode > next->any_mode)
				next->any_mode = s->mode;
			continue;
		}
		e = entry_of(set, id, 0);
		have = find_entry(&next->prefixes, &e.key);
		if (!have && prefix_list_add(&next->prefixes, &e))
			return -ENOMEM;
		if (have && s->mode > set->slot[have->value.service].mode)
			have->value.service = id;
	}
	return 0;
}

int services_layout(const struct services *set, const struct layout *now, struct layout *next)
{
	static const struct members nobody;
	struct grouping groups = { .count = 0 };
	struct layout made = { 0 };
	__u32 last;

	made.ports = calloc(SW_PORTS, sizeof(*made.ports));
	if (!made.ports || layout_guarded(set, &made))
		goto no_memory;
	for (__u32 port = 1; port < SW_PORTS; port = last + 1) {
		struct sw_port word = { 0 };
		struct members m;

		last = run_at(set, port, &m, &word.any_service);
		if (memcmp(&m, &nobody, sizeof(m)) &&
		    group_get(set, now, &groups, &m, &made, &word.group))
			goto no_memory;
		for (__u32 p = port; p <= last; p++)
			made.ports[p] = word;
	}
	*next = made;
	return 0;

no_memory:
	layout_free(&made);
	return -ENOMEM;
}
