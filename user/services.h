/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The set of services, and how it becomes what XDP looks up. Pure: mapio.c reads and writes
 * the maps, services_apply() in cmd_service.c orders the writes.
 *
 * A port's word names the service for any address and a group. All ports with the same set
 * of prefixed services share one group; the trie holds (group, prefix) -> service. So one
 * longest match finds the service, and one store moves a port from the old set to the new.
 */
#ifndef SW_SERVICES_H
#define SW_SERVICES_H

#include <stdbool.h>

#include "synwarden.h"

/* Index is the id; port_first 0 is a free slot, as in the map. */
struct services {
	struct sw_service slot[SW_MAX_SERVICES];
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

/* What the maps hold, or shall hold. */
struct layout {
	struct sw_port *ports; /* SW_PORTS */
	struct prefix_list prefixes;
	enum sw_mode any_mode; /* for settings */
};

void layout_free(struct layout *l);
int prefix_list_add(struct prefix_list *list, const struct prefix_entry *entry);
const struct prefix_entry *prefix_list_find(const struct prefix_list *list,
					    const struct sw_prefix_key *key);

/* Id of the service with just this prefix and these ports, 0 none. */
__u32 services_find(const struct services *set, const struct sw_service *want);
/* Id of a service with the same prefix and a port in common, 0 none. */
__u32 services_overlap(const struct services *set, const struct sw_service *want);
bool services_any_enforced(const struct services *set);

/*
 * Lays the set out. Groups of `now` with the same content keep their number, so that what
 * does not change is not written; new ones take numbers that `now` does not use, so that
 * both can stand side by side while ports move over.
 */
int services_layout(const struct services *set, const struct layout *now, struct layout *next);

#endif /* SW_SERVICES_H */
