/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guards of the bench: loaded as the loader does it, each with what it shall know, and
 * their counters. Include behind the skeletons.
 */
#ifndef BENCH_GUARD_H
#define BENCH_GUARD_H

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench_host.h"
#include "bench_rows.h"
#include "boot.h"

#define SERVICE      1
#define MAX_CPUS     1024
#define ROOM         16384 /* connections */
#define ROOM_MILLION 1048576

static const struct {
	enum sw_engine engine;
	__u16 port;
	__u32 room;
} kinds[GUARDS] = {
	[EMPTY] = { SW_ENGINE_REQSK, PORT, ROOM },
	[LISTENER] = { SW_ENGINE_LISTENER, PORT_LISTENER, ROOM },
	[HOST] = { SW_ENGINE_REQSK, PORT, ROOM },
	[MILLION] = { SW_ENGINE_REQSK, PORT, ROOM_MILLION },
};

static inline void put(struct bpf_map *map, __u32 key, const void *value)
{
	MUST(bpf_map_update_elem(bpf_map__fd(map), &key, value, 0));
}

/* As the loader fills it: one service for any address. */
static inline void guard_fill(struct synwarden_bpf *s, enum guard kind, struct sw_settings *set)
{
	__u16 port = kinds[kind].port;
	struct sw_service service = { .port_first = port, .port_last = port };
	struct sw_port entry = { .any_service = SERVICE };
	struct sw_dev dev = { .mac = { 2, 0, 0, 0, 9, 2 }, .native = 1, .name = "lo" };
	struct sw_keysched sched = {};
	struct sw_key key = {};

	service.mode = SW_MODE_ALWAYS;
	MUST(getrandom(&key, 16, 0));
	put(s->maps.sw_keys, 0, &key);
	put(s->maps.sw_keysched, 0, &sched);
	put(s->maps.sw_services, SERVICE, &service);
	put(s->maps.sw_ports, port, &entry);
	put(s->maps.sw_devs, if_nametoindex("lo"), &dev);
	put(s->maps.sw_settings, 0, set);
}

static inline struct synwarden_bpf *guard_load(enum guard kind, struct sw_settings *set)
{
	struct synwarden_bpf *s = synwarden_bpf__open();

	if (!s)
		die("open of the guard: %m");
	MUST(getrandom((void *)&s->rodata->sw_boot, sizeof(s->rodata->sw_boot), 0));
	s->rodata->sw_boot.mark |= 1;
	s->rodata->sw_boot.engine = set->engine = kinds[kind].engine;
	boot_size(s, kinds[kind].room);
	if (kinds[kind].engine == SW_ENGINE_LISTENER)
		bpf_program__set_autoload(s->progs.sw_tc_in, false);
	MUST(synwarden_bpf__load(s));
	guard_fill(s, kind, set);
	return s;
}

/* What the host has, as attach learns it. */
static inline void guard_adopt(struct synwarden_bpf *s)
{
	struct bpf_link *link = bpf_program__attach_iter(s->progs.sw_adopt, NULL);
	char drain[256];
	int fd;

	if (!link)
		die("walk over the sockets: %m");
	fd = MUST(bpf_iter_create(bpf_link__fd(link)));
	while (MUST(read(fd, drain, sizeof(drain))) > 0)
		;
	close(fd);
	bpf_link__destroy(link);
}

/* Tuples of `source`, in the guard's table or in its filter only. How many found no room. */
static inline __u32 guard_know(struct synwarden_bpf *s, enum source source, bool marked_only)
{
	const struct source_of *from = &sources[source];
	struct bench_fill_bpf *b = bench_fill_bpf__open();
	__u32 n = from->hosts * from->ports, refused;
	struct bench_fill fill = { .client_port = from->port,
				   .server_port = PORT,
				   .ports = from->ports,
				   .service = SERVICE,
				   .rcv_nxt = RCV_NXT,
				   .marked_only = marked_only };
	__u8 frame[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = n);
	struct bpf_map *map;

	if (!b)
		die("open of the filling program: %m");
	bpf_object__for_each_map(map, b->obj) {
		struct bpf_map *same = bpf_object__find_map_by_name(s->obj, bpf_map__name(map));

		if (same && !bpf_map__is_internal(map))
			MUST(bpf_map__reuse_fd(map, bpf_map__fd(same)));
	}
	memcpy((void *)&b->rodata->sw_boot, (void *)&s->rodata->sw_boot, sizeof(struct sw_boot));
	fill.client = ntohl(inet_addr(from->client4));
	fill.server = ntohl(inet_addr(SERVER4));
	b->bss->fill = fill;
	MUST(bench_fill_bpf__load(b));
	MUST(bpf_prog_test_run_opts(bpf_program__fd(b->progs.bench_fill), &opts));
	if (b->bss->fill.next != n)
		die("%u of %u tuples made known", b->bss->fill.next, n);
	refused = b->bss->fill.refused;
	bench_fill_bpf__destroy(b);
	return refused;
}

static inline struct bpf_program *guard_program(struct synwarden_bpf *s, const struct row *row)
{
	if (row->where == TC_IN)
		return s->progs.sw_tc_in;
	return row->where == TC_OUT ? s->progs.sw_tc_out : s->progs.sw_xdp;
}

static inline void guard_budgets(struct synwarden_bpf *s, const struct row *row)
{
	struct sw_table_use use;
	struct sw_settings set;
	__u32 zero = 0;

	MUST(bpf_map_lookup_elem(bpf_map__fd(s->maps.sw_settings), &zero, &set));
	set.ask_pps = row->asked == NEVER ? 0 : FREELY;
	set.challenge_pps = row->challenges;
	put(s->maps.sw_settings, 0, &set);
	MUST(bpf_map_lookup_elem(bpf_map__fd(s->maps.sw_tables), &zero, &use));
	use.fin_pending = row->fin_waits;
	use.fin_until_s = row->fin_waits ? ~0U : 0;
	put(s->maps.sw_tables, 0, &use);
}

/* Questions in the current second, of all CPUs; bpf/maps.h has the struct. */
static inline __u64 guard_asked(struct synwarden_bpf *s, int cpus)
{
	struct bench_fill_bpf *b = bench_fill_bpf__open();
	static struct {
		__u64 second, used;
	} each[MAX_CPUS];
	__u64 sum = 0;

	if (!b)
		die("open of the filling program: %m");
	MUST(bpf_map_lookup_elem(bpf_map__fd(s->maps.sw_budget), (void *)&b->rodata->ask_budget,
				 each));
	for (int i = 0; i < cpus; i++)
		sum += each[i].used;
	bench_fill_bpf__destroy(b);
	return sum;
}

static inline __u64 guard_counted(struct synwarden_bpf *s, enum sw_reason reason, int cpus)
{
	__u32 id = reason == SW_PASS_NOT_GUARDED ? 0 : SERVICE;
	__u32 key = id * SW_REASON_MAX + reason;
	static struct sw_count each[MAX_CPUS];
	__u64 sum = 0;

	MUST(bpf_map_lookup_elem(bpf_map__fd(s->maps.sw_stats), &key, each));
	for (int i = 0; i < cpus; i++)
		sum += each[i].packets;
	return sum;
}

static inline __u64 guard_received(struct synwarden_bpf *s, __u32 hook, int cpus)
{
	static struct sw_rx each[MAX_CPUS];
	__u64 sum = 0;

	MUST(bpf_map_lookup_elem(bpf_map__fd(s->maps.sw_rx), &hook, each));
	for (int i = 0; i < cpus; i++)
		sum += each[i].packets;
	return sum;
}

/* Bytes the kernel accounts to a map. */
static inline double map_bytes(const struct bpf_map *map)
{
	char path[64], line[128];
	double bytes = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", bpf_map__fd(map));
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "memlock:", 8))
			bytes = strtod(line + 8, NULL);
	if (f)
		fclose(f);
	if (bytes < 0)
		die("%s: no size in its fdinfo", bpf_map__name(map));
	return bytes;
}

/* What a guard with room for `conns` connections takes, by part. */
struct memory {
	double conns, half, live, caches;
};

static inline struct memory guard_memory(struct synwarden_bpf *s)
{
	return (struct memory){
		.conns = map_bytes(s->maps.sw_conns),
		.half = map_bytes(s->maps.sw_half),
		.live = map_bytes(s->maps.sw_live),
		.caches = map_bytes(s->maps.sw_used) + map_bytes(s->maps.sw_cap) +
			  map_bytes(s->maps.sw_challenge) + map_bytes(s->maps.sw_host) +
			  map_bytes(s->maps.sw_budget) + map_bytes(s->maps.sw_cpu),
	};
}

#endif /* BENCH_GUARD_H */
