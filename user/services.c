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

static bool in_use(const struct sw_service *s)
{
	return s->port_first != 0;
}

static bool same_prefix(const struct sw_service *a, const struct sw_service *b)
{
	return a->prefix_len == b->prefix_len && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

bool services_same(const struct sw_service *a, const struct sw_service *b)
{
	return in_use(a) && same_prefix(a, b) && a->port_first == b->port_first &&
	       a->port_last == b->port_last;
}

__u32 services_find(const struct services *set, const struct sw_service *want)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++)
		if (services_same(&set->slot[id], want))
			return id;
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
		if (is_enforced(&set->slot[id]))
			return true;
	return false;
}

/*
 * 5,000 SYN/s is ten times what a busy server of one address sees; a quarter of the usual
 * net.core.somaxconn half-open is far from what loses a SYN; six of ten handshakes fail by no
 * loss that a path has.
 */
void service_defaults(struct sw_service *s)
{
	s->upper = (struct sw_arm_marks){ .syns_pps = 5000, .half_open = 1024, .unfinished = 60 };
	s->lower = (struct sw_arm_marks){ .syns_pps = 2500, .half_open = 512, .unfinished = 30 };
	s->hold_s = 30;
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

/* Finds or founds the group of these members, numbered from 1; with its prefixes if founded. */
static int group_get(const struct services *set, struct grouping *g, const struct members *m,
		     struct layout *next, __u16 *number)
{
	for (__u32 i = 0; i < g->count; i++) {
		if (!memcmp(&g->members[i], m, sizeof(*m))) {
			*number = (__u16)(i + 1);
			return 0;
		}
	}
	g->members[g->count++] = *m;
	*number = (__u16)g->count;
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		struct prefix_entry e = entry_of(set, id, *number);

		if (is_member(m, id) && prefix_list_add(&next->prefixes, &e))
			return -ENOMEM;
	}
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

/* Every address of `s` is one of `wide`, too. */
static bool is_within(const struct sw_service *s, const struct sw_service *wide)
{
	__u32 bytes = wide->prefix_len / 8, bits = wide->prefix_len % 8;
	const __u8 *a = (const __u8 *)s->addr, *b = (const __u8 *)wide->addr;

	return s->prefix_len >= wide->prefix_len && !memcmp(a, b, bytes) &&
	       (!bits || !((a[bytes] ^ b[bytes]) >> (8 - bits)));
}

/* Of the services of any port on all addresses of `s`, the one with the strictest mode. */
static __u32 strictest_around(const struct services *set, const struct sw_service *s)
{
	__u32 found = 0;

	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *wide = &set->slot[id];

		if (in_use(wide) && wide->prefix_len && is_within(s, wide) &&
		    (!found || wide->mode > set->slot[found].mode))
			found = id;
	}
	return found;
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
		e.value.service = strictest_around(set, s);
		have = find_entry(&next->prefixes, &e.key);
		if (!have && prefix_list_add(&next->prefixes, &e))
			return -ENOMEM;
	}
	return 0;
}

static void mark_fail_safe(const struct services *set, struct sw_port *ports)
{
	for (size_t i = 0; i < ARRAY_SIZE(set->fail_safe); i++)
		if (set->fail_safe[i])
			ports[set->fail_safe[i]].any_service |= SW_PORT_FAIL_SAFE;
}

int services_layout(const struct services *set, struct layout *next)
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
		    group_get(set, &groups, &m, &made, &word.group))
			goto no_memory;
		for (__u32 p = port; p <= last; p++)
			made.ports[p] = word;
	}
	mark_fail_safe(set, made.ports);
	*next = made;
	return 0;

no_memory:
	layout_free(&made);
	return -ENOMEM;
}
