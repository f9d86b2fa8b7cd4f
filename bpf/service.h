/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which service a packet belongs to, and whether its address is guarded at all. */
#ifndef SW_SERVICE_H
#define SW_SERVICE_H

#include "packet.h"

static __always_inline __u32 prefix_service(const struct sw_pkt *p, __u16 group)
{
	struct sw_prefix_key key = { .prefix_len = 32 + 128, .group = group };
	struct sw_prefix *found;

	__builtin_memcpy(key.addr, p->daddr, 16);
	found = bpf_map_lookup_elem(&sw_prefixes, &key);
	return found ? found->service : 0;
}

/* Id by destination port and address, the longest prefix first; 0: not guarded. */
static __always_inline __u32 service_id(const struct sw_pkt *p)
{
	__u32 idx = bpf_ntohs(p->dport), id = 0;
	struct sw_port *port = bpf_map_lookup_elem(&sw_ports, &idx);

	if (!port)
		return 0;
	if (port->group)
		id = prefix_service(p, port->group);
	return id ? id : port->any_service;
}

static __always_inline struct sw_service *service_get(__u32 id)
{
	return bpf_map_lookup_elem(&sw_services, &id);
}

/* The strictest mode of any service on this address, for packets that show no port. */
static __always_inline enum sw_mode address_mode(const struct sw_pkt *p,
						 const struct sw_settings *set)
{
	__u32 id = prefix_service(p, 0);
	struct sw_service *svc = id ? service_get(id) : NULL;

	return svc && svc->mode > set->any_mode ? svc->mode : set->any_mode;
}

#endif /* SW_SERVICE_H */
