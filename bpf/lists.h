/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may open a connection: the lists of source prefixes, see enum sw_list. */
#ifndef SW_LISTS_H
#define SW_LISTS_H

#include "service.h"

static __always_inline int list_count_hit(const struct sw_pkt *p, __u32 list)
{
	__u32 idx = list * 2 + !is_v4(p);
	struct sw_list_hit *hit = bpf_map_lookup_elem(&sw_list_hits, &idx);

	if (hit)
		hit->packets++;
	return 0;
}

/* Not static: verified once. */
__noinline int list_has(struct sw_pkt *p, __u32 list, __u32 service)
{
	struct sw_list_key key = {
		.prefix_len = 32 + 128,
		.list = list,
		.service = service,
	};
	struct sw_listed *e;

	if (!p)
		return 0;
	key.half = !!(p->gen & SW_GEN_LISTS);
	__builtin_memcpy(key.addr, p->saddr, 16);
	e = bpf_map_lookup_elem(&sw_lists, &key);
	return e && (!e->until_s || (__s32)(e->until_s - sw_seconds(p->now_ns)) > 0);
}

/* In the list for every service, or in the service's own. */
static __always_inline bool is_listed(struct sw_pkt *p, __u32 list, __u32 any, __u32 own)
{
	if (!(any >> list & 1 && list_has(p, list, 0)) &&
	    !(own >> list & 1 && list_has(p, list, p->service)))
		return false;
	list_count_hit(p, list);
	return true;
}

static __always_inline bool is_port_fail_safe(const struct sw_pkt *p)
{
	struct sw_port *port = port_get(bpf_ntohs(p->dport), p->gen);

	return port && port->any_service & SW_PORT_FAIL_SAFE;
}

/* Costs nothing while the deny list is empty. */
static __always_inline bool is_denied(struct sw_pkt *p, const struct sw_service *svc,
				      const struct sw_settings *set)
{
	__u32 any = set->lists[!!(p->gen & SW_GEN_LISTS)], own = svc->lists;

	return (any | own) >> SW_LIST_DENY & 1 && is_listed(p, SW_LIST_DENY, any, own) &&
	       !is_port_fail_safe(p) && !is_listed(p, SW_LIST_FAIL_SAFE, any, own) &&
	       !is_listed(p, SW_LIST_ALLOW, any, own);
}

#endif /* SW_LISTS_H */
