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

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#include "bench.h"
#include "bench.skel.h"
#include "bench_fill.skel.h"
#include "synwarden.skel.h"

#include "bench_guard.h"
#include "bench_host.h"
#include "bench_policy.h"
#include "bench_report.h"
#include "bench_rows.h"

#define TRIAL 1000 /* packets that show whether the socket is asked */

static bool is_drop(enum sw_reason reason)
{
	enum {
		PASS,
		TX,
		DROP
	};
	static const int verdicts[SW_REASON_MAX] = {
#define X(name, verdict, label, help) [SW_##name] = verdict,
		SW_REASONS(X)
#undef X
	};

	return verdicts[reason] == DROP;
}

static bool needed(enum guard g)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].guard == g && selected(&rows[i]))
			return true;
	return false;
}

static void load_guards(struct world *w)
{
	struct sw_settings set = {
		.abi_version = SW_ABI_VERSION,
		.armed = SW_ARMED,
		.any_mode = { SW_MODE_ALWAYS },
		.synack_cap_pps = opt.cap,
		.event_gap_ms = opt.gap,
		.rmem_max = 212992,
	};

	for (enum guard g = 0; g < GUARDS; g++)
		if (needed(g))
			w->guard[g] = guard_load(g, &set);
	if (w->guard[EMPTY])
		policy_fill(w->guard[EMPTY]);
	if (w->guard[HOST]) {
		/* what is adopted now is counted, and the rows without limits find the same */
		policy_set(w->guard[HOST], BY_LIMITS);
		guard_adopt(w->guard[HOST]);
		guard_know(w->guard[HOST], MARKED, true);
	}
	if (w->guard[MILLION])
		w->refused = guard_know(w->guard[MILLION], CROWD, false);
}

static void load_wrapper(struct world *w, size_t i)
{
	int target = bpf_program__fd(w->guard[rows[i].guard]->progs.sw_xdp);
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

/* How many packets of one run may end otherwise. */
static __u64 tolerated(const struct world *w, const struct row *row, int repeat)
{
	if (row->source == CROWD) /* those that found no room, and as much for chance */
		return 10 + 2 * (__u64)repeat * w->refused / 1000000;
	if (row->policy & BY_DENIED)
		return 10 + 2 * (__u64)repeat * POLICY_DENIED / sources[SPOOFED].hosts;
	return row->reason == SW_DROP_COOKIE ? 2 : 0; /* one random ACK in 2^24 is a cookie */
}

/* A program that sees no wrapper, and leaves the packet alone. */
static double time_tc(const struct world *w, size_t i, int repeat)
{
	const struct row *row = &rows[i];
	struct synwarden_bpf *s = w->guard[row->guard];
	__u32 hook = row->where == TC_IN ? SW_HOOK_TC_IN : SW_HOOK_TC_OUT;
	__u64 received, before = 0, after = 0;
	__u8 out[2 * BENCH_MAX_FRAME];
	struct bench_conf conf;
	__u32 len, action;
	double ns;

	memcpy(&conf, (void *)&w->bench[i]->rodata->conf, sizeof(conf));
	guard_budgets(s, row);
	policy_set(s, row->policy);
	received = guard_received(s, hook, w->cpus);
	if (row->reason)
		before = guard_counted(s, row->reason, w->cpus);
	ns = time_prog(bpf_program__fd(guard_program(s, row)), &conf, repeat, out, &len, &action);
	received = guard_received(s, hook, w->cpus) - received;
	if (row->reason)
		after = guard_counted(s, row->reason, w->cpus);
	if (action != (__u32)-1 || len != conf.frame_len || memcmp(out, conf.frame, len))
		die("%s: the packet did not pass as it was", row->name);
	if (received != (row->reason ? (__u64)repeat : 0) || after - before != received)
		die("%s: %llu of %d packets counted", row->name, received, repeat);
	return ns;
}

/* The guard's program on `repeat` packets, and proof that it did what the row says. */
static double time_xdp(const struct world *w, size_t i, int repeat)
{
	const struct row *row = &rows[i];
	struct synwarden_bpf *s = w->guard[row->guard];
	bool answers = row->reason == SW_TX_SYNACK;
	__u32 len, action, want = answers ? XDP_TX : is_drop(row->reason) ? XDP_DROP : XDP_PASS;
	struct bench_bpf *b = w->bench[i];
	__u8 out[2 * BENCH_MAX_FRAME];
	struct bench_conf conf;
	__u64 before, after;
	const char *fault;
	double ns;

	memcpy(&conf, (void *)&b->rodata->conf, sizeof(conf));
	guard_budgets(s, row);
	policy_set(s, row->policy);
	before = guard_counted(s, row->reason, w->cpus);
	ns = time_prog(bpf_program__fd(b->progs.bench_run), &conf, repeat, out, &len, &action);
	after = guard_counted(s, row->reason, w->cpus);
	if (before + repeat - after > tolerated(w, row, repeat))
		die("%s: %llu of %d packets took the path measured", row->name, after - before,
		    repeat);
	if (action != want && !tolerated(w, row, repeat))
		die("%s: action %u, not %u", row->name, action, want);
	fault = answers && action == want ? synack_fault(row, out, len, b->bss->state.seq) : NULL;
	if (fault)
		die("%s: the answer is no valid SYN-ACK: %s", row->name, fault);
	return ns;
}

static double time_target(const struct world *w, size_t i, int repeat)
{
	__u8 out[2 * BENCH_MAX_FRAME];
	struct bench_conf conf;
	__u32 len, action;

	if (rows[i].where == TC_IN || rows[i].where == TC_OUT)
		return time_tc(w, i, repeat);
	if (rows[i].where == XDP)
		return time_xdp(w, i, repeat);
	memcpy(&conf, (void *)&w->bench[i]->rodata->conf, sizeof(conf));
	return time_prog(bpf_program__fd(w->bench[i]->progs.bench_tx), &conf, repeat, out, &len,
			 &action);
}

static double time_floor(const struct world *w, size_t i, int repeat)
{
	struct bench_bpf *b = w->bench[i];
	__u8 out[2 * BENCH_MAX_FRAME];
	struct bench_conf conf;
	__u32 len, action;
	int fd;

	if (rows[i].where == BARE_TX)
		return 0;
	fd = bpf_program__fd(rows[i].where == XDP ? b->progs.bench_floor : b->progs.bench_tc);
	memcpy(&conf, (void *)&b->rodata->conf, sizeof(conf));
	return time_prog(fd, &conf, repeat, out, &len, &action);
}

/* Whether the socket is asked for, by the budget that pays; it begins anew once a second. */
static void prove_asked(const struct world *w, size_t i)
{
	const struct row *row = &rows[i];
	struct synwarden_bpf *s = w->guard[row->guard];
	__u64 asked = 0;

	if (row->where != XDP)
		return;
	for (int tries = 0; tries < 5; tries++) {
		asked = guard_asked(s, w->cpus);
		time_xdp(w, i, TRIAL);
		asked = guard_asked(s, w->cpus) - asked;
		if (row->asked == ALWAYS ? asked == TRIAL : asked <= (row->asked ? TRIAL / 8 : 0))
			return;
	}
	die("%s: the socket is asked for %llu of %d", row->name, asked, TRIAL);
}

static void measure(const struct world *w)
{
	for (size_t i = 0; i < ROWS; i++)
		if (selected(&rows[i]))
			prove_asked(w, i);
	for (int r = -1; r < opt.rounds; r++) { /* round -1 warms up */
		for (size_t i = 0; i < ROWS; i++) {
			double floor, all;

			if (!selected(&rows[i]))
				continue;
			floor = time_floor(w, i, opt.repeat);
			all = time_target(w, i, opt.repeat);
			if (r < 0)
				continue;
			figure_take(i, r, floor, all);
		}
	}
}

static const char usage_text[] =
	"usage: bench [-j] [--rounds N] [--repeat N] [--only ROW,...] [--cpu N] [--cap PPS] [--gap MS]\n"
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
	load_guards(&w);
	for (size_t i = 0; i < ROWS; i++)
		if (selected(&rows[i]))
			load_wrapper(&w, i);
	measure(&w);
	report(&w);
	return 0;
}
