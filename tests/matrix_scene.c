/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See matrix_scene.h. */
#include <string.h>

#include "handshake.h"
#include "matrix_scene.h"

#define LONG_AGO 100 /* s */

struct scene scene;

uint32_t seconds(void)
{
	return sw_seconds(now_ns());
}

struct sw_conn *scene_entry(enum sw_table *table)
{
	return conn_entry(scene.peer.family, scene.peer.port, scene.peer.server_port, table);
}

void tables_clear(void)
{
	static const struct {
		const char *name;
		size_t size;
	} maps[] = {
		{ "sw_conns", sizeof(struct sw_conn) },
		{ "sw_half", sizeof(struct sw_conn) },
		{ "sw_gauges", sizeof(struct sw_gauge) },
		{ "sw_tables", sizeof(struct sw_table_use) },
	};
	static void *memory[ARRAY_SIZE(maps)];
	static uint32_t entries[ARRAY_SIZE(maps)];

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		if (!memory[i])
			memory[i] = map_memory(maps[i].name, maps[i].size, &entries[i]);
		memset(memory[i], 0, entries[i] * maps[i].size);
	}
}

static struct sw_gauge *gauge;
static struct sw_table_use *use;

static void map_counts(void)
{
	uint32_t n;

	if (use)
		return;
	gauge = map_memory("sw_gauges", sizeof(*gauge), &n);
	use = map_memory("sw_tables", sizeof(*use), &n);
}

static bool is_pending(const struct sw_conn *c)
{
	return c->flags & SW_CONN_CLIENT_FIN && c->state >= SW_SYN_SENT &&
	       c->state <= SW_FIN_WAIT_2;
}

/* The tables hold the scene's entry and nothing else. */
void scene_restore(enum memory memory)
{
	map_counts();
	tables_clear();
	if (memory == MEMORY_NONE || !scene.slot)
		return;
	*scene.slot = scene.image;
	if (memory == MEMORY_FRESH)
		scene.slot->rcv_nxt = scene.peer.rcv_nxt;
	gauge[scene.image.service].conns[scene.image.state] = 1;
	use[scene.table].used = 1;
	use[SW_TABLE_CONNS].fin_pending = is_pending(&scene.image);
}

void scene_check_counts(void)
{
	enum sw_table table = SW_TABLE_CONNS;
	struct sw_conn *e = scene_entry(&table);
	uint64_t sum = 0;

	map_counts();
	for (int id = 0; id < SW_MAX_SERVICES; id++)
		for (int state = 0; state < SW_STATE_MAX; state++)
			sum += gauge[id].conns[state];
	CHECK_EQ(sum, e != NULL);
	if (e)
		CHECK_EQ(gauge[e->service].conns[e->state], 1);
	CHECK_EQ(use[SW_TABLE_CONNS].used, e && table == SW_TABLE_CONNS);
	CHECK_EQ(use[SW_TABLE_HALF].used, e && table == SW_TABLE_HALF);
	CHECK_EQ(use[SW_TABLE_CONNS].fin_pending, e && is_pending(e));
}

/* The guard's own cookie for a new handshake of this tuple. */
static void take_cookie(struct peer *p)
{
	static struct handshake h;
	struct spec syn = { .family = p->family, .sport = p->port, .dport = p->server_port };

	handshake_syn(&h, &syn);
	p->rcv_nxt = h.client_isn + 1;
	p->iss = p->snd_una = h.cookie;
	p->snd_nxt = h.cookie + 1;
}

/* The last ACK, seen by the guard and then by the host. */
static void bury(struct peer *p)
{
	struct spec ack = { .family = p->family,
			    .sport = p->port,
			    .dport = p->server_port,
			    .flags = ACK,
			    .seq = p->rcv_nxt,
			    .ack = p->snd_nxt };
	static struct packet packet;
	struct result r;

	packet_build(&packet, &ack);
	r = run_xdp(&packet);
	CHECK_PASSED(&r, &packet, SW_PASS_KNOWN);
	tap_send(&packet);
	CHECK_EQ(host_state(p->family, p->port, p->server_port), SW_FREE);
	CHECK_EQ(conn_state(p->family, p->port, p->server_port), SW_CLOSED);
}

void scene_begin(enum place at, uint8_t family, bool ts)
{
	static uint16_t port = 20000;

	test_context("IPv%u, %s", family, place_name(at));
	tables_clear();
	memset(&scene, 0, sizeof(scene));
	peer_put(&scene.peer, at, family, port++, ts);
	adopt_sockets();
	if (at == AT_TOMBSTONE)
		bury(&scene.peer);
	scene.slot = scene_entry(&scene.table);
	REQUIRE(!scene.slot == (at == AT_CLOSED || at == AT_LISTEN));
	if (scene.slot) {
		scene.image = *scene.slot;
		scene.image.opened_s = scene.image.changed_s = scene.image.seen_s =
			seconds() - LONG_AGO;
		scene.image.rcv_nxt -= SCENE_STALE;
	}
	if (at == AT_LISTEN || at == AT_TOMBSTONE)
		take_cookie(&scene.peer);
}

bool is_now(uint32_t s)
{
	return seconds() - s <= 2;
}

bool is_half(enum sw_state s)
{
	return s == SW_SYN_SENT || s == SW_SYN_RECEIVED;
}

void scene_end(void)
{
	peer_end(&scene.peer);
	tables_clear();
}

void challenge_budget(uint32_t pps)
{
	guard.settings.challenge_pps = pps;
	settings_write();
}
