// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bench: nanoseconds per packet, the program alone. Every round runs the floor (fresh packet,
 * bare XDP_TX) and the guard's program on the same packets, row by row; a row's figure is the
 * difference. Each run is checked: the counters say that every packet took the path the row is
 * named after, and the last answer is a valid SYN-ACK. In a network namespace of its own, with
 * real listeners and connections. Not here: figures over a device, see bench.sh.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare, CPU sets */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "synwarden.h"

#include "bench.h"
#include "bench.skel.h"
#include "bench_host.h"
#include "bench_rows.h"
#include "synwarden.skel.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_ROUNDS    101
#define MAX_CPUS      1024
#define SERVICE       1

struct world {
	struct synwarden_bpf *guard[2]; /* REQSK, LISTENER */
	struct bench_bpf *bench[ROWS];
	int cpus;
};

static struct {
	int rounds, repeat, cpu;
	const char *only, *hold;
	bool json;
	long cap, gap;
} opt = { .rounds = 45, .repeat = 20000, .cpu = -1, .cap = 20000, .gap = 100 };

struct figure {
	double net[MAX_ROUNDS], floor[MAX_ROUNDS];
};
static struct figure figures[ROWS];

static bool selected(const struct row *row)
{
	return !opt.only || !strcmp(opt.only, row->name);
}

static void load_wrapper(struct world *w, size_t i)
{
	int target = bpf_program__fd(w->guard[rows[i].target == LISTENER]->progs.sw_xdp);
	struct bench_bpf *b = bench_bpf__open();
	struct bench_conf conf = {};
	__u32 slot = BENCH_TARGET;
	int floor, map;

	if (!b)
		die("open of the wrapper: %m");
	make_conf(&rows[i], &conf);
	memcpy((void *)&b->rodata->conf, &conf, sizeof(conf));
	MUST(getrandom(&b->bss->state.rng, sizeof(b->bss->state.rng), 0));
	b->bss->state.rng |= 1;
	MUST(bench_bpf__load(b));
	floor = bpf_program__fd(b->progs.bench_tx);
	map = bpf_map__fd(b->maps.targets);
	MUST(bpf_map_update_elem(map, &slot, &target, 0));
	slot = BENCH_FLOOR;
	MUST(bpf_map_update_elem(map, &slot, &floor, 0));
	w->bench[i] = b;
}

static void put(struct bpf_map *map, __u32 key, const void *value)
{
	MUST(bpf_map_update_elem(bpf_map__fd(map), &key, value, 0));
}

/* As the loader fills it: one service for any address. */
static void fill_guard(struct synwarden_bpf *s, enum sw_engine engine, __u16 port)
{
	struct sw_settings set = {
		.abi_version = SW_ABI_VERSION,
		.armed = 1,
		.engine = engine,
		.any_mode = SW_MODE_ALWAYS,
		.synack_cap_pps = opt.cap,
		.event_gap_ms = opt.gap,
		.rmem_max = 212992,
	};
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
	put(s->maps.sw_settings, 0, &set);
}

static void load_guard(struct world *w, enum sw_engine engine)
{
	struct synwarden_bpf *s = synwarden_bpf__open();

	if (!s)
		die("open of the guard: %m");
	MUST(getrandom((void *)&s->rodata->sw_boot, sizeof(s->rodata->sw_boot), 0));
	s->rodata->sw_boot.mark |= 1;
	s->rodata->sw_boot.engine = engine;
	if (engine == SW_ENGINE_LISTENER) {
		bpf_program__set_autoload(s->progs.sw_tc_in, false);
		bpf_program__set_autoload(s->progs.sw_adopt, false);
	}
	MUST(synwarden_bpf__load(s));
	fill_guard(s, engine, engine == SW_ENGINE_LISTENER ? PORT_LISTENER : PORT);
	w->guard[engine == SW_ENGINE_LISTENER] = s;
}

static __u64 packets(const struct world *w, const struct row *row)
{
	__u32 id = row->reason == SW_PASS_NOT_GUARDED ? 0 : SERVICE;
	__u32 key = id * SW_REASON_MAX + row->reason;
	struct sw_count each[MAX_CPUS];
	__u64 sum = 0;

	MUST(bpf_map_lookup_elem(bpf_map__fd(w->guard[row->target == LISTENER]->maps.sw_stats),
				 &key, each));
	for (int i = 0; i < w->cpus; i++)
		sum += each[i].packets;
	return sum;
}

/* Of one run: mean ns, and the frame as the program left it. */
static double time_prog(int fd, const struct bench_conf *c, int repeat, __u8 *out, __u32 *out_len,
			__u32 *retval)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = c->frame, .data_size_in = c->frame_len,
		    .data_out = out, .data_size_out = 2 * BENCH_MAX_FRAME, .repeat = repeat);

	MUST(bpf_prog_test_run_opts(fd, &opts));
	*out_len = opts.data_size_out;
	*retval = opts.retval;
	return opts.duration;
}

/* The guard's program on `repeat` packets, and proof that it did what the row says. */
static double time_target(const struct world *w, size_t i, int repeat)
{
	const struct row *row = &rows[i];
	struct bench_bpf *b = w->bench[i];
	struct bench_conf conf;
	__u8 out[2 * BENCH_MAX_FRAME];
	__u32 len, action, want = row->answers ? 3 : row->reason == SW_DROP_COOKIE ? 1 : 2;
	__u64 before, after;
	const char *fault;
	double ns;

	memcpy(&conf, (void *)&b->rodata->conf, sizeof(conf));
	if (row->target == BARE_TX)
		return time_prog(bpf_program__fd(b->progs.bench_tx), &conf, repeat, out, &len,
				 &action);
	if (row->target == TC_IN) {
		ns = time_prog(bpf_program__fd(w->guard[0]->progs.sw_tc_in), &conf, repeat, out,
			       &len, &action);
		if (action != (__u32)-1 || len != conf.frame_len || memcmp(out, conf.frame, len))
			die("%s: the packet did not pass as it was", row->name);
		return ns;
	}
	before = packets(w, row);
	ns = time_prog(bpf_program__fd(b->progs.bench_run), &conf, repeat, out, &len, &action);
	after = packets(w, row);
	/* without timestamps one random ACK in 2^24 is a cookie */
	if (before + repeat - after > (row->reason == SW_DROP_COOKIE ? 2 : 0))
		die("%s: %llu of %d packets took the path measured", row->name, after - before,
		    repeat);
	if (action != want)
		die("%s: action %u, not %u", row->name, action, want);
	fault = row->answers ? synack_fault(row, out, len, b->bss->state.seq) : NULL;
	if (fault)
		die("%s: the answer is no valid SYN-ACK: %s", row->name, fault);
	return ns;
}

static double time_floor(const struct world *w, size_t i, int repeat)
{
	struct bench_bpf *b = w->bench[i];
	__u8 out[2 * BENCH_MAX_FRAME];
	struct bench_conf conf;
	__u32 len, action;
	int fd;

	if (rows[i].target == BARE_TX)
		return 0;
	fd = bpf_program__fd(rows[i].target == TC_IN ? b->progs.bench_tc : b->progs.bench_floor);
	memcpy(&conf, (void *)&b->rodata->conf, sizeof(conf));
	return time_prog(fd, &conf, repeat, out, &len, &action);
}

static void measure(const struct world *w)
{
	for (int r = -1; r < opt.rounds; r++) { /* round -1 warms up */
		for (size_t i = 0; i < ROWS; i++) {
			double floor, all;

			if (!selected(&rows[i]))
				continue;
			floor = time_floor(w, i, opt.repeat);
			all = time_target(w, i, opt.repeat);
			if (r < 0)
				continue;
			figures[i].floor[r] = floor;
			figures[i].net[r] = all - floor;
		}
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, opt.rounds, sizeof(*v), compare);
	return opt.rounds & 1 ? v[opt.rounds / 2] : (v[opt.rounds / 2 - 1] + v[opt.rounds / 2]) / 2;
}

static void report(void)
{
	const char *comma = "";

	if (opt.json)
		printf("[");
	else
		printf("%-36s %8s %15s %8s\n", "ns per packet, net of the wrapper", "median",
		       "min..max", "wrapper");
	for (size_t i = 0; i < ROWS; i++) {
		double net, floor, *n = figures[i].net;

		if (!selected(&rows[i]))
			continue;
		net = median(n);
		floor = median(figures[i].floor);
		if (opt.json)
			printf("%s\n{\"row\":\"%s\",\"text\":\"%s\",\"ns\":%.1f,\"min\":%.1f,"
			       "\"max\":%.1f,\"wrapper_ns\":%.1f}",
			       comma, rows[i].name, rows[i].text, net, n[0], n[opt.rounds - 1],
			       floor);
		else
			printf("%-36s %8.0f %7.0f..%-6.0f %8.0f\n", rows[i].text, net, n[0],
			       n[opt.rounds - 1], floor);
		comma = ",";
	}
	if (opt.json)
		printf("\n]\n");
}

static const char usage_text[] =
	"usage: bench [-j] [--rounds N] [--repeat N] [--only ROW] [--cpu N] [--cap PPS] [--gap MS]\n"
	"       bench --hold DEV\n"
	"--cap, --gap: the guard's settings synack_cap_pps and event_gap_ms, 0 = off.\n"
	"--hold keeps a program on DEV that turns every SYN into the semblance of a SYN-ACK.\n"
	"rows:";

static __attribute__((noreturn)) void usage(FILE *to, int status)
{
	fputs(usage_text, to);
	for (size_t i = 0; i < ROWS; i++)
		fprintf(to, " %s", rows[i].name);
	fputs("\n", to);
	exit(status);
}

static long number(const char *text, long min, long max)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < min || n > max) {
		fprintf(stderr, "bench: '%s' is not a number from %ld to %ld\n", text, min, max);
		exit(2);
	}
	return n;
}

static void parse_args(int argc, char **argv)
{
	static const struct option names[] = {
		{ "rounds", 1, 0, 'r' }, { "repeat", 1, 0, 'n' },
		{ "only", 1, 0, 'o' },   { "cpu", 1, 0, 'c' },
		{ "cap", 1, 0, 'C' },    { "gap", 1, 0, 'G' },
		{ "hold", 1, 0, 'H' },   { "json", 0, 0, 'j' },
		{ "help", 0, 0, 'h' },   { 0 },
	};
	bool found = false;
	int c;

	while ((c = getopt_long(argc, argv, "jh", names, NULL)) != -1) {
		switch (c) {
		case 'r':
			opt.rounds = number(optarg, 1, MAX_ROUNDS);
			break;
		case 'n':
			opt.repeat = number(optarg, 1, 100000000);
			break;
		case 'o':
			opt.only = optarg;
			break;
		case 'c':
			opt.cpu = number(optarg, 0, CPU_SETSIZE - 1);
			break;
		case 'C':
			opt.cap = number(optarg, 0, 1000000000);
			break;
		case 'G':
			opt.gap = number(optarg, 0, 1000000);
			break;
		case 'H':
			opt.hold = optarg;
			break;
		case 'j':
			opt.json = true;
			break;
		case 'h':
			usage(stdout, 0);
		default:
			usage(stderr, 2);
		}
	}
	for (size_t i = 0; i < ROWS; i++)
		found |= selected(&rows[i]);
	if (!found || optind != argc)
		usage(stderr, 2);
}

/* A link, so that it goes with this process however that ends. */
static void hold(const char *dev)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	struct bench_bpf *b = bench_bpf__open_and_load();
	int ifindex = if_nametoindex(dev);

	if (!b || !ifindex)
		die("%s: %m", dev);
	MUST(bpf_link_create(bpf_program__fd(b->progs.bench_echo), ifindex, BPF_XDP, &opts));
	puts("ready");
	fflush(stdout);
	while (true)
		pause();
}

int main(int argc, char **argv)
{
	struct world w = { .cpus = libbpf_num_possible_cpus() };

	parse_args(argc, argv);
	if (w.cpus < 1 || w.cpus > MAX_CPUS)
		die("%d CPUs: at most %d", w.cpus, MAX_CPUS);
	if (opt.hold)
		hold(opt.hold);
	host_up(opt.cpu);
	load_guard(&w, SW_ENGINE_REQSK);
	load_guard(&w, SW_ENGINE_LISTENER);
	for (size_t i = 0; i < ROWS; i++)
		if (selected(&rows[i]))
			load_wrapper(&w, i);
	measure(&w);
	report();
	return 0;
}
