/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection tables as the programs see them, through the same memory. See fixture.h. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>
#include <sys/mman.h>

#include "fixture.h"
#include "synwarden.skel.h"

static const char *const table_map[SW_TABLE_MAX] = { "sw_conns", "sw_half" };

void *map_memory(const char *name, size_t value_size, uint32_t *entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(guard.skel->obj, name);
	void *memory;

	REQUIRE(map);
	*entries = bpf_map__max_entries(map);
	memory = mmap(NULL, *entries * value_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      bpf_map__fd(map), 0);
	REQUIRE(memory != MAP_FAILED);
	return memory;
}

static struct sw_conn *table_memory(enum sw_table t, uint32_t *slots)
{
	static struct sw_conn *mapped[SW_TABLE_MAX];
	static uint32_t entries[SW_TABLE_MAX];

	if (!mapped[t])
		mapped[t] = map_memory(table_map[t], sizeof(struct sw_conn), &entries[t]);
	*slots = entries[t];
	return mapped[t];
}

static void address(uint8_t family, const char *text4, const char *text6, uint32_t out[4])
{
	memset(out, 0, 16);
	if (family == 6) {
		REQUIRE(inet_pton(AF_INET6, text6, out) == 1);
		return;
	}
	out[2] = htonl(0xffff);
	REQUIRE(inet_pton(AF_INET, text4, &out[3]) == 1);
}

struct sw_conn *conn_entry(uint8_t family, uint16_t client_port, uint16_t server_port,
			   enum sw_table *table)
{
	struct sw_conn *found = NULL;
	uint32_t client[4], server[4];

	address(family, CLIENT4, CLIENT6, client);
	address(family, SERVER4, SERVER6, server);
	for (int t = 0; t < SW_TABLE_MAX; t++) {
		uint32_t slots;
		struct sw_conn *c = table_memory(t, &slots);

		for (uint32_t i = 0; i < slots; i++) {
			if (c[i].state <= SW_CLAIMED || c[i].client_port != htons(client_port) ||
			    c[i].server_port != htons(server_port) ||
			    memcmp(c[i].client, client, 16) || memcmp(c[i].server, server, 16))
				continue;
			if (found)
				FAIL("port %u is twice in the tables", client_port);
			found = &c[i];
			if (table)
				*table = t;
		}
	}
	return found;
}

enum sw_state conn_state(uint8_t family, uint16_t client_port, uint16_t server_port)
{
	struct sw_conn *c = conn_entry(family, client_port, server_port, NULL);

	return c ? c->state : SW_FREE;
}

const char *state_name(enum sw_state s)
{
	static const char *const names[] = {
		[SW_FREE] = "none",
		[SW_CLAIMED] = "claimed",
		[SW_CLOSED] = "CLOSED",
		[SW_LISTEN] = "LISTEN",
		[SW_SYN_SENT] = "SYN-SENT",
		[SW_SYN_RECEIVED] = "SYN-RECEIVED",
		[SW_ESTABLISHED] = "ESTABLISHED",
		[SW_FIN_WAIT_1] = "FIN-WAIT-1",
		[SW_FIN_WAIT_2] = "FIN-WAIT-2",
		[SW_CLOSE_WAIT] = "CLOSE-WAIT",
		[SW_CLOSING] = "CLOSING",
		[SW_LAST_ACK] = "LAST-ACK",
		[SW_TIME_WAIT] = "TIME-WAIT",
	};

	return s < SW_STATE_MAX ? names[s] : "?";
}

static bool is_fin_pending(const struct sw_conn *c)
{
	return c->flags & SW_CONN_CLIENT_FIN && c->state >= SW_SYN_SENT &&
	       c->state <= SW_FIN_WAIT_2;
}

void tables_check(void)
{
	static uint64_t count[SW_MAX_SERVICES][SW_STATE_MAX];
	uint64_t pending = 0;
	uint32_t tables, services;
	struct sw_table_use *use = map_memory("sw_tables", sizeof(*use), &tables);
	struct sw_gauge *gauge = map_memory("sw_gauges", sizeof(*gauge), &services);

	memset(count, 0, sizeof(count));
	for (int t = 0; t < SW_TABLE_MAX; t++) {
		uint32_t slots;
		struct sw_conn *c = table_memory(t, &slots);
		uint64_t used = 0;

		for (uint32_t i = 0; i < slots; i++) {
			if (c[i].state == SW_CLAIMED)
				FAIL("slot %u of %s stays claimed", i, table_map[t]);
			used += c[i].state != SW_FREE;
			pending += is_fin_pending(&c[i]);
			if (c[i].service < SW_MAX_SERVICES && c[i].state < SW_STATE_MAX)
				count[c[i].service][c[i].state]++;
			else
				FAIL("slot %u of %s is of no service or state", i, table_map[t]);
		}
		CHECK_EQ(use[t].used, used);
	}
	CHECK_EQ(use[0].fin_pending, pending);
	for (int id = 0; id < SW_MAX_SERVICES; id++)
		for (int s = SW_CLOSED; s < SW_STATE_MAX; s++) {
			test_context("gauge of service %d, %s", id, state_name(s));
			CHECK_EQ(gauge[id].conns[s], count[id][s]);
		}
	munmap(use, tables * sizeof(*use));
	munmap(gauge, services * sizeof(*gauge));
}
