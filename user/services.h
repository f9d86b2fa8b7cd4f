/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The set of services, and how it becomes what XDP looks up. Pure: mapio.c reads and writes
 * the maps, rollout.c orders the writes.
 *
 * A port's word names the service for any address and a group. All ports with the same set
 * of prefixed services share one group; the trie holds (group, prefix) -> service. So one
 * longest match finds the service.
 */
#ifndef SW_SERVICES_H
#define SW_SERVICES_H

#include <stdbool.h>

#include "synwarden.h"

/* Index is the id; port_first 0 is a free slot, as in the map. */
struct services {
	struct sw_service slot[SW_MAX_SERVICES];
	__u16 fail_safe[SW_FAIL_SAFE]; /* ports, 0: none */
};

struct prefix_entry {
	struct sw_prefix_key key;
	struct sw_prefix value;
};

struct prefix_list {
	struct prefix_entry *entry;
	__u32 count;
	__u32 room;
};

/* What the maps shall hold. The half of the prefixes' keys is left to mapio.c. */
struct layout {
	struct sw_port *ports; /* SW_PORTS */
	struct prefix_list prefixes;
	enum sw_mode any_mode; /* for settings */
};

void layout_free(struct layout *l);
int prefix_list_add(struct prefix_list *list, const struct prefix_entry *entry);

/* Id of the service with just this prefix and these ports, 0 none. */
__u32 services_find(const struct services *set, const struct sw_service *want);
/* The same prefix and ports? */
bool services_same(const struct sw_service *a, const struct sw_service *b);
/* Id of a service with the same prefix and a port in common, 0 none. */
__u32 services_overlap(const struct services *set, const struct sw_service *want);
bool services_any_enforced(const struct services *set);
/* Marks and hold time a new service has. */
void service_defaults(struct sw_service *s);
static inline bool is_enforced(const struct sw_service *s)
{
	return s->port_first && s->mode >= SW_MODE_AUTO;
}

int services_layout(const struct services *set, struct layout *next);

#endif /* SW_SERVICES_H */
