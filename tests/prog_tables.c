/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection tables under pressure: full, flooded, attacked by chosen tuples; what they
 * cost; and the budgets that bound what a flood of segments may ask for.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handshake.h"
#include "matrix_scene.h"
#include "synwarden.skel.h"
#include "boot.h"

#define SLOTS_MAX 8192

static struct sw_conn *slots_of(enum sw_table t, uint32_t *n)
{
	static const char *const name[SW_TABLE_MAX] = { "sw_conns", "sw_half" };
	static struct sw_conn *mapped[SW_TABLE_MAX];
	static uint32_t entries[SW_TABLE_MAX];

	if (!mapped[t])
		mapped[t] = map_memory(name[t], sizeof(struct sw_conn), &entries[t]);
	*n = entries[t];
	REQUIRE(*n <= SLOTS_MAX);
	return mapped[t];
}

static struct sw_table_use *use_of(enum sw_table t)
{
	static struct sw_table_use *use;
	uint32_t n;

	if (!use)
		use = map_memory("sw_tables", sizeof(*use), &n);
	return &use[t];
}

static struct result run_spec(const struct spec *s)
{
	static struct packet p;

	packet_build(&p, s);
	return run_xdp(&p);
}

/* The next segment of the scene's client. */
static struct result client_says(uint8_t flags, uint32_t seq, uint32_t ack)
{
	const struct peer *p = &scene.peer;
	struct spec s = { .family = p->family,
			  .sport = p->port,
			  .dport = p->server_port,
			  .flags = flags,
			  .seq = seq,
			  .ack = flags & ACK ? ack : 0 };

	return run_spec(&s);
}

static struct ring_buffer *ring;
static unsigned int full_events;
static struct sw_event full_event;

static int take_event(void *ctx, void *data, size_t size)
{
	const struct sw_event *e = data;

	(void)ctx;
	if (size != sizeof(*e) || e->kind != SW_EVENT_TABLE_FULL)
		return 0;
	full_events++;
	full_event = *e;
	return 0;
}

static unsigned int events_of_full(void)
{
	if (!ring)
		ring = ring_buffer__new(map_fd("sw_events"), take_event, NULL, NULL);
	REQUIRE(ring);
	full_events = 0;
	ring_buffer__consume(ring);
	return full_events;
}

/* Every slot of the table is of a live connection of somebody else's. */
static void fill(enum sw_table t, enum sw_state state)
{
	uint32_t n, count;
	struct sw_conn *c = slots_of(t, &n);
	struct sw_gauge *gauge = map_memory("sw_gauges", sizeof(*gauge), &count);

	for (uint32_t i = 0; i < n; i++) {
		if (c[i].state != SW_FREE)
			continue;
		c[i] = (struct sw_conn){ .client = { 0, 0, htonl(0xffff), htonl(0x0a000000 + i) },
					 .server = { 0, 0, htonl(0xffff), htonl(0xc0000201) },
					 .client_port = htons(1234),
					 .server_port = htons(80),
					 .state = state,
					 .flags = SW_CONN_CONFIRMED,
					 .service = SERVICE_WEB,
					 .seen_s = seconds(),
					 .changed_s = seconds() };
		gauge[SERVICE_WEB].conns[state]++;
		use_of(t)->used++;
	}
	tables_check();
}

TEST(full_table_lets_connections_pass_untracked, "K01 K02")
{
	static struct sw_conn before[SLOTS_MAX];
	struct handshake h;
	struct spec syn = { .sport = 50001 };
	static struct packet ack;
	struct sw_conn *c;
	struct result r;
	uint32_t n;

	peers_begin();
	scene_begin(AT_ESTABLISHED, 4, false);
	tables_clear();
	events_of_full();
	fill(SW_TABLE_CONNS, SW_ESTABLISHED);
	c = slots_of(SW_TABLE_CONNS, &n);
	memcpy(before, c, n * sizeof(*c));

	test_context("a connection of the host");
	for (uint32_t i = 1; i <= 3; i++) {
		r = client_says(ACK, scene.peer.rcv_nxt, scene.peer.snd_nxt);
		CHECK_RESULT(&r, XDP_PASS, SW_PASS_UNTRACKED);
		CHECK_EQ(use_of(SW_TABLE_CONNS)->full, i);
	}
	CHECK_EQ(events_of_full(), 1);
	CHECK_EQ(full_event.table, SW_TABLE_CONNS);
	CHECK_EQ(ntohs(full_event.sport), scene.peer.port);
	CHECK_EQ(full_event.service, SERVICE_WEB);

	test_context("its RST and FIN");
	r = client_says(FIN | ACK, scene.peer.rcv_nxt, scene.peer.snd_nxt);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_UNTRACKED);
	r = client_says(RST, scene.peer.rcv_nxt, 0);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_RST);
	r = client_says(RST, scene.peer.rcv_nxt - 9, 0);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_RST_WINDOW);

	test_context("a newcomer with a cookie");
	handshake_syn(&h, &syn);
	handshake_ack(&h, NULL, &ack);
	r = run_xdp(&ack);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_COOKIE);
	CHECK(use_of(SW_TABLE_CONNS)->full >= 5);
	CHECK_EQ(events_of_full(), 0);
	CHECK_BYTES(c, n * sizeof(*c), before, n * sizeof(*c));

	test_context("full again, after the sweep has seen room");
	use_of(SW_TABLE_CONNS)->reported = 0;
	r = client_says(ACK, scene.peer.rcv_nxt, scene.peer.snd_nxt);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_UNTRACKED);
	CHECK_EQ(events_of_full(), 1);

	test_context("room");
	tables_clear();
	r = client_says(ACK, scene.peer.rcv_nxt, scene.peer.snd_nxt);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_KNOWN);
	CHECK_EQ(scene_entry(NULL)->state, SW_ESTABLISHED);
	tables_check();
	scene_end();
}

/* However often one connection's entry is written, it stays, and so do all around it. */
TEST(entries_change_in_place, "K03")
{
	static const uint8_t flags[] = { ACK, ACK | PSH, SYN, SYN | ACK, FIN | ACK, RST };
	static struct sw_conn before[SLOTS_MAX];
	struct sw_conn *c, kept;
	uint32_t n;

	peers_begin();
	scene_begin(AT_ESTABLISHED, 4, false);
	scene_restore(MEMORY_STALE);
	fill(SW_TABLE_CONNS, SW_ESTABLISHED);
	c = slots_of(SW_TABLE_CONNS, &n);
	memcpy(before, c, n * sizeof(*c));
	for (unsigned int i = 0; i < scaled(20000); i++)
		client_says(flags[i % ARRAY_SIZE(flags)],
			    scene.peer.rcv_nxt + (uint32_t)test_random() % 3000 - 1000,
			    scene.peer.snd_nxt);
	CHECK(scene_entry(NULL) == scene.slot);
	CHECK_EQ(use_of(SW_TABLE_CONNS)->full, 0);
	tables_check();
	kept = *scene.slot;
	*scene.slot = scene.image;
	CHECK_BYTES(c, n * sizeof(*c), before, n * sizeof(*c));
	*scene.slot = kept;
	scene_end();
}

/* By the host's own SYN-ACKs, to one more and one more client; all on one CPU. */
TEST(full_half_table_leaves_the_other_alone, "K01 K04")
{
	uint32_t n, total;
	struct spec s = { .src = SERVER4, .dst = CLIENT4, .sport = 80, .flags = SYN | ACK };
	int out = bpf_program__fd(guard.skel->progs.sw_tc_out);
	struct sw_table_use *half = use_of(SW_TABLE_HALF);
	static struct packet p;
	struct sw_conn *c;

	tables_clear();
	events_of_full();
	slots_of(SW_TABLE_HALF, &n);
	total = n * 5 / 4;
	for (uint32_t i = 0; i < total; i++) {
		s.dport = (uint16_t)(1024 + i);
		s.seq = (uint32_t)test_random();
		packet_build(&p, &s);
		CHECK_EQ(run_bare(out, &p), -1);
	}
	/* two buckets of eight: some find theirs full before all are */
	CHECK(half->used <= n && half->used >= n * 95 / 100);
	CHECK_EQ(half->used + half->full, total);
	CHECK_EQ(events_of_full(), 1);
	CHECK_EQ(full_event.table, SW_TABLE_HALF);
	CHECK_EQ(use_of(SW_TABLE_CONNS)->used, 0);
	tables_check();

	test_context("those that are in go on: SYN-ACK again");
	c = slots_of(SW_TABLE_HALF, &n);
	for (uint32_t i = 0; i < n; i++) {
		if (c[i].state == SW_FREE)
			continue;
		s.dport = ntohs(c[i].client_port);
		s.seq = c[i].server_fin;
		packet_build(&p, &s);
		CHECK_EQ(run_bare(out, &p), -1);
	}
	CHECK_EQ(half->used + half->full, total);
	tables_check();
	tables_clear();
}

/* A spoofed segment: any source, any port, numbers at random. */
static void spoofed(struct packet *p, uint8_t flags)
{
	uint8_t *src = p->data + p->l3 + (p->family == 6 ? 8 : 12);
	uint64_t r = test_random();
	uint32_t client = htonl((uint32_t)(r >> 32) % 0x30000000 + 0x10000000);

	memcpy(src + (p->family == 6 ? 12 : 0), &client, 4);
	memcpy(p->data + p->l4, &r, 2);
	p->data[p->l4] |= 4; /* port not 0 */
	p->data[p->l4 + 13] = flags;
	packet_set_tcp(p, (uint32_t)test_random(), flags & ACK ? (uint32_t)test_random() : 0);
}

TEST(spoofed_flood_leaves_no_trace_in_the_tables, "K01 K02 E02 E03 E04")
{
	static const uint8_t flags[] = { SYN, ACK, ACK | PSH, RST, RST | ACK, FIN | ACK, SYN | ACK };
	static struct sw_conn before[SW_TABLE_MAX][SLOTS_MAX];
	static struct packet p[2];
	unsigned int total = scaled(1000000);
	struct sw_conn *c;
	uint32_t n;

	peers_begin();
	tables_clear();
	for (enum place at = AT_SYN_SENT; at < PLACES; at++) {
		struct peer peer;

		if (at != AT_TOMBSTONE)
			peer_put(&peer, at, at % 2 ? 4 : 6, (uint16_t)(30000 + at), false);
	}
	adopt_sockets();
	for (int t = 0; t < SW_TABLE_MAX; t++) {
		c = slots_of(t, &n);
		memcpy(before[t], c, n * sizeof(*c));
	}
	for (int i = 0; i < 2; i++) {
		struct spec s = { .family = i ? 6 : 4, .flags = ACK };

		packet_build(&p[i], &s);
	}
	counters_start();
	for (unsigned int i = 0; i < total; i++) {
		spoofed(&p[i & 1], flags[i / 2 % ARRAY_SIZE(flags)]);
		run_bare(xdp_fd(), &p[i & 1]);
	}
	CHECK_EQ(counter_of(SW_TX_SYNACK) + counter_of(SW_DROP_COOKIE) + counter_of(SW_DROP_RST) +
			 counter_of(SW_DROP_SYNACK) + counter_of(SW_DROP_EXPIRED),
		 total);
	for (int t = 0; t < SW_TABLE_MAX; t++) {
		c = slots_of(t, &n);
		CHECK_BYTES(c, n * sizeof(*c), before[t], n * sizeof(*c));
	}
	tables_check();
	tables_clear();
}

static uint64_t bytes_of(struct synwarden_bpf *skel, const char *name)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, name);

	REQUIRE(map);
	return (uint64_t)bpf_map__max_entries(map) * ((bpf_map__value_size(map) + 7) / 8 * 8);
}

TEST(connection_costs_at_most_128_bytes_all_in, "K01")
{
	static const uint32_t sizes[] = {
		SW_CONNS, 500000, 600000, 1000000, 1U << 20, SW_CONNS_MAX
	};
	static const char *const maps[] = { "sw_conns", "sw_half", "sw_live", "sw_gauges",
					    "sw_tables" };
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	MUST(bpf_obj_get_info_by_fd(map_fd("sw_conns"), &info, &len));
	CHECK(info.value_size <= 64);
	CHECK(info.map_flags & BPF_F_MMAPABLE);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct synwarden_bpf *skel = synwarden_bpf__open();
		uint64_t bytes = 0;

		REQUIRE(skel);
		boot_size(skel, sizes[i]);
		for (size_t m = 0; m < ARRAY_SIZE(maps); m++)
			bytes += bytes_of(skel, maps[m]);
		bytes = (bytes * 10) / (skel->rodata->sw_boot.max[SW_TABLE_CONNS] +
					skel->rodata->sw_boot.max[SW_TABLE_HALF]);
		test_context("%u connections: %llu.%llu bytes each", sizes[i],
			     (unsigned long long)bytes / 10, (unsigned long long)bytes % 10);
		CHECK(bytes <= 1280);
		test_note("%u connections: %llu.%llu bytes each, all in", sizes[i],
			  (unsigned long long)bytes / 10, (unsigned long long)bytes % 10);
		synwarden_bpf__destroy(skel);
	}
}

/* The same programs and maps, under another seed. */
static struct synwarden_bpf *load_reseeded(void)
{
	struct synwarden_bpf *skel = synwarden_bpf__open();
	struct bpf_map *map;

	REQUIRE(skel);
	bpf_object__for_each_map(map, skel->obj) {
		if (!bpf_map__is_internal(map))
			MUST(bpf_map__reuse_fd(map, map_fd(bpf_map__name(map))));
	}
	memcpy((void *)&skel->rodata->sw_boot, &guard.skel->rodata->sw_boot,
	       sizeof(struct sw_boot));
	((struct sw_boot *)&skel->rodata->sw_boot)->seed0 ^= 0x0123456789abcdefULL;
	bpf_program__set_autoload(skel->progs.sw_tc_in, guard.engine == SW_ENGINE_REQSK);
	MUST(synwarden_bpf__load(skel));
	return skel;
}

#define TUPLES 1000

/* Where each of TUPLES connections comes to lie. */
static void places_of(int tc_out, uint16_t bucket[TUPLES])
{
	struct spec s = { .src = SERVER4, .dst = CLIENT4, .sport = 80, .flags = FIN | ACK };
	uint32_t n, found = 0;
	static struct packet p;
	struct sw_conn *c;

	tables_clear();
	for (int i = 0; i < TUPLES; i++) {
		s.dport = (uint16_t)(2000 + i);
		packet_build(&p, &s);
		run_bare(tc_out, &p);
	}
	c = slots_of(SW_TABLE_CONNS, &n);
	for (uint32_t i = 0; i < n; i++)
		if (c[i].state != SW_FREE) {
			bucket[ntohs(c[i].client_port) - 2000] = (uint16_t)(i / SW_WAYS);
			found++;
		}
	CHECK_EQ(found, TUPLES);
}

TEST(tuples_lie_elsewhere_under_another_seed, "K05")
{
	static uint16_t here[TUPLES], there[TUPLES];
	unsigned int same = 0, crowd[SLOTS_MAX / SW_WAYS] = {}, most = 0;
	struct synwarden_bpf *skel = load_reseeded();

	places_of(bpf_program__fd(guard.skel->progs.sw_tc_out), here);
	places_of(bpf_program__fd(skel->progs.sw_tc_out), there);
	for (int i = 0; i < TUPLES; i++) {
		same += here[i] == there[i];
		if (++crowd[here[i]] > most)
			most = crowd[here[i]];
	}
	/* by chance one of 900 buckets: 1.1 */
	CHECK(same <= 12);
	CHECK(most <= SW_WAYS);
	tables_clear();
	synwarden_bpf__destroy(skel);
}

TEST(challenge_budget_is_each_connections_own, "E06 F06")
{
	struct result r;

	peers_begin();
	scene_begin(AT_ESTABLISHED, 4, false);
	scene_restore(MEMORY_STALE);
	challenge_budget(3);
	budget_settle();
	map_zero("sw_challenge");
	for (int i = 0; i < 10; i++) {
		r = client_says(RST, scene.peer.rcv_nxt + 5, 0);
		CHECK_RESULT(&r, i < 3 ? XDP_PASS : XDP_DROP,
			     i < 3 ? SW_PASS_CHALLENGE : SW_DROP_CHALLENGE);
	}
	r = client_says(SYN, 12345, 0);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_CHALLENGE);
	r = client_says(ACK, scene.peer.rcv_nxt, scene.peer.snd_nxt);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_KNOWN);
	scene_begin(AT_ESTABLISHED, 4, false); /* another one */
	r = client_says(RST, scene.peer.rcv_nxt + 5, 0);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_CHALLENGE);
	budget_settle();
	for (int i = 0; i < 4; i++) {
		r = client_says(RST, scene.peer.rcv_nxt + 5, 0);
		CHECK_RESULT(&r, i < 3 ? XDP_PASS : XDP_DROP,
			     i < 3 ? SW_PASS_CHALLENGE : SW_DROP_CHALLENGE);
	}
	scene_end();
}

/* By a SYN that passed: the host may hold it. */
static void mark_live(struct spec s)
{
	struct result r;

	s.flags = SYN;
	services_mode(SW_MODE_MONITOR);
	r = run_spec(&s);
	CHECK_RESULT(&r, XDP_PASS, SW_TX_SYNACK);
	services_mode(SW_MODE_ALWAYS);
}

TEST(socket_lookups_for_strangers_are_bounded, "E02 B11")
{
	struct spec stray = { .flags = ACK, .seq = 5, .ack = 7, .sport = 1024 };
	struct spec syn = { .sport = 50002 };
	static struct packet ack;
	struct handshake h;
	struct result r;

	need_reqsk();
	peers_begin();
	scene_begin(AT_ESTABLISHED, 4, false);
	scene_restore(MEMORY_STALE);
	handshake_syn(&h, &syn);
	handshake_ack(&h, NULL, &ack);
	for (int i = 0; i < 41; i++, stray.sport++)
		mark_live(stray);
	guard.settings.ask_pps = 20;
	settings_write();
	budget_settle();
	stray.sport = 1024;
	for (int i = 0; i < 40; i++, stray.sport++) {
		/* beyond the budget none passes, unless a live connection is in no table */
		use_of(SW_TABLE_CONNS)->unlisted = i >= 30;
		r = run_spec(&stray);
		CHECK_RESULT(&r, i < 30 ? XDP_DROP : XDP_PASS,
			     i < 30 ? SW_DROP_COOKIE : SW_PASS_UNASKED);
	}
	test_context("what is known, or proves itself, needs no budget");
	r = client_says(ACK, scene.peer.rcv_nxt, scene.peer.snd_nxt);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_KNOWN);
	r = client_says(RST, scene.peer.rcv_nxt - 9, 0);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_RST_WINDOW);
	r = run_xdp(&ack);
	CHECK_RESULT(&r, XDP_PASS, SW_PASS_COOKIE);
	test_context("in the time of grace, a tuple that the filter rules out");
	guard.settings.grace_until_ns = now_ns() + 60ULL * 1000000000; /* every ACK is asked for */
	settings_write();
	stray.sport = 9999;
	r = run_spec(&stray);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_COOKIE);
	test_context("the next second");
	budget_settle();
	stray.sport = 1064;
	r = run_spec(&stray);
	CHECK_RESULT(&r, XDP_DROP, SW_DROP_COOKIE);
	scene_end();
}
