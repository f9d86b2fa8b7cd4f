/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which service a packet belongs to, and whether its address is guarded at all. */
#ifndef SW_SERVICE_H
#define SW_SERVICE_H

#include "packet.h"

static __always_inline __u32 prefix_service(const struct sw_pkt *p, __u16 group)
{
	struct sw_prefix_key key = {
		.prefix_len = 32 + 128,
		.half = p->gen & SW_GEN_CONFIG,
		.group = group,
	};
	struct sw_prefix *found;

	__builtin_memcpy(key.addr, p->daddr, 16);
	found = bpf_map_lookup_elem(&sw_prefixes, &key);
	return found ? found->service : 0;
}

static __always_inline struct sw_port *port_get(__u32 port, __u32 gen)
{
	port += (gen & SW_GEN_CONFIG) * SW_PORTS;
	return bpf_map_lookup_elem(&sw_ports, &port);
}

/* Id by destination port and address, the longest prefix first; 0: not guarded. */
static __always_inline __u32 service_id(const struct sw_pkt *p)
{
	struct sw_port *port = port_get(bpf_ntohs(p->dport), p->gen);
	__u32 id = 0;

	if (!port)
		return 0;
	if (port->group)
		id = prefix_service(p, port->group);
	return id ? id : port->any_service & (SW_MAX_SERVICES - 1);
}

static __always_inline struct sw_service *service_get(__u32 id, __u32 gen)
{
	id += (gen & SW_GEN_CONFIG) * SW_MAX_SERVICES;
	return bpf_map_lookup_elem(&sw_services, &id);
}

static __always_inline struct sw_service *service_of(const struct sw_pkt *p)
{
	return service_get(p->service, p->gen);
}

/* The strictest mode of any service on this address, for packets that show no port. */
static __always_inline enum sw_mode address_mode(const struct sw_pkt *p,
						 const struct sw_settings *set)
{
	__u32 id = prefix_service(p, 0);
	struct sw_service *svc = id ? service_get(id, p->gen) : NULL;
	enum sw_mode any = set->any_mode[p->gen & SW_GEN_CONFIG];

	return svc && svc->mode > any ? svc->mode : any;
}

#endif /* SW_SERVICE_H */
