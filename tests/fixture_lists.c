/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of sources for tests, written as the contract says; see fixture_lists.h. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture_lists.h"

static uint32_t half(void)
{
	return !!(guard.settings.gen & SW_GEN_LISTS);
}

/* "any", "ADDRESS" or "ADDRESS/LENGTH". */
static struct sw_list_key key_of(enum sw_list list, unsigned int service, const char *prefix)
{
	struct sw_list_key key = { .list = (uint8_t)list, .service = (uint16_t)service };
	const char *slash = strchr(prefix, '/');
	bool v6 = strchr(prefix, ':'), any = !strcmp(prefix, "any");
	unsigned int len = slash ? (unsigned int)atoi(slash + 1) : v6 ? 128 : 32;
	char host[64];

	snprintf(host, sizeof(host), "%.*s", slash ? (int)(slash - prefix) : 63, prefix);
	key.half = (uint8_t)half();
	key.prefix_len = 32 + (any ? 0 : v6 ? len : 96 + len);
	if (any)
		return key;
	if (!v6)
		key.addr[2] = htonl(0xffff);
	REQUIRE(inet_pton(v6 ? AF_INET6 : AF_INET, host, v6 ? key.addr : &key.addr[3]) == 1);
	return key;
}

/* The bits that say which lists are worth a lookup, for all services or for one. */
void list_bits(unsigned int service, uint32_t bits)
{
	uint32_t id = service;
	struct sw_service s;

	if (!service) {
		guard.settings.lists[half()] = bits;
		settings_write();
		return;
	}
	MUST(bpf_map_lookup_elem(map_fd("sw_services"), &id, &s));
	s.lists = bits;
	MUST(bpf_map_update_elem(map_fd("sw_services"), &id, &s, BPF_ANY));
}

static uint32_t bits_of(unsigned int service)
{
	uint32_t id = service;
	struct sw_service s;

	if (!service)
		return guard.settings.lists[half()];
	MUST(bpf_map_lookup_elem(map_fd("sw_services"), &id, &s));
	return s.lists;
}

void list_timed(enum sw_list list, unsigned int service, const char *prefix, uint32_t until)
{
	struct sw_list_key key = key_of(list, service, prefix);
	struct sw_listed value = { .until_s = until, .comment = "test" };

	MUST(bpf_map_update_elem(map_fd("sw_lists"), &key, &value, BPF_ANY));
	list_bits(service, bits_of(service) | 1U << list);
}

void list(enum sw_list which, unsigned int service, const char *prefix)
{
	list_timed(which, service, prefix, 0);
}

void lists_clear(void)
{
	struct sw_list_key key;

	while (!bpf_map_get_next_key(map_fd("sw_lists"), NULL, &key))
		MUST(bpf_map_delete_elem(map_fd("sw_lists"), &key));
	for (unsigned int id = 0; id < SERVICE_COUNT; id++)
		list_bits(id, 0);
	map_zero("sw_list_hits");
}

uint64_t list_hits(enum sw_list which, uint8_t family)
{
	uint32_t key = which * 2 + (family == 6);
	int n_cpus = libbpf_num_possible_cpus();
	struct sw_list_hit *values = calloc((size_t)n_cpus, sizeof(*values));
	uint64_t sum = 0;

	REQUIRE(values);
	MUST(bpf_map_lookup_elem(map_fd("sw_list_hits"), &key, values));
	for (int cpu = 0; cpu < n_cpus; cpu++)
		sum += values[cpu].packets;
	free(values);
	return sum;
}
