/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets through the programs, and what they counted. See fixture.h.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "fixture_parts.h"
#include "synwarden.skel.h"

#define WATCHED (SERVICE_COUNT * SW_REASON_MAX) /* counters compared at each packet */

struct counts {
	struct sw_count reason[SW_MAX_SERVICES * SW_REASON_MAX];
	struct sw_rx rx[SW_HOOK_MAX];
};

static struct counts before, after, start;
static bool before_is_stale; /* packets ran that were not counted one by one */
static uint8_t out_bytes[FRAME_MAX + 256];

static const struct {
	const char *name, *verdict;
} reasons[SW_REASON_MAX] = {
#define X(name_, verdict_, label, help) [SW_##name_] = { #name_, #verdict_ },
	SW_REASONS(X)
#undef X
};

const char *reason_name(enum sw_reason r)
{
	return r > 0 && r < SW_REASON_MAX ? reasons[r].name : "(none)";
}

const char *verdict_name(enum sw_reason r)
{
	return r > 0 && r < SW_REASON_MAX ? reasons[r].verdict : "(none)";
}

bool is_tc_reason(enum sw_reason r)
{
	return strncmp(reason_name(r), "TC_", 3) == 0;
}

static enum sw_hook hook_of(enum sw_reason r)
{
	if (strncmp(reason_name(r), "OUT_", 4) == 0)
		return SW_HOOK_TC_OUT;
	return is_tc_reason(r) ? SW_HOOK_TC_IN : SW_HOOK_XDP;
}

int xdp_fd(void)
{
	return bpf_program__fd(guard.skel->progs.sw_xdp);
}

int tc_fd(void)
{
	return bpf_program__fd(guard.skel->progs.sw_tc_in);
}

static void read_counts(struct counts *c, uint32_t n)
{
	static uint32_t keys[SW_MAX_SERVICES * SW_REASON_MAX];
	static struct sw_count *values;
	static struct sw_rx *rx;
	uint32_t batch, got = n;

	if (!values) {
		values = calloc((size_t)SW_MAX_SERVICES * SW_REASON_MAX * n_cpus, sizeof(*values));
		rx = calloc((size_t)n_cpus * SW_HOOK_MAX, sizeof(*rx));
	}
	REQUIRE(values && rx);
	if (bpf_map_lookup_batch(map_fd("sw_stats"), NULL, &batch, keys, values, &got, NULL) &&
	    errno != ENOENT)
		FAIL("reading sw_stats: %m");
	REQUIRE(got == n);
	memset(c, 0, sizeof(*c));
	for (uint32_t i = 0; i < n; i++)
		for (int cpu = 0; cpu < n_cpus; cpu++) {
			const struct sw_count *v = &values[i * n_cpus + cpu];

			c->reason[keys[i]].packets += v->packets;
			c->reason[keys[i]].bytes += v->bytes;
			c->reason[keys[i]].would_packets += v->would_packets;
		}
	got = SW_HOOK_MAX;
	if (bpf_map_lookup_batch(map_fd("sw_rx"), NULL, &batch, keys, rx, &got, NULL) &&
	    errno != ENOENT)
		FAIL("reading sw_rx: %m");
	for (int i = 0; i < SW_HOOK_MAX * n_cpus; i++) {
		c->rx[i / n_cpus].packets += rx[i].packets;
		c->rx[i / n_cpus].bytes += rx[i].bytes;
	}
}

void counters_start(void)
{
	read_counts(&start, SW_MAX_SERVICES * SW_REASON_MAX);
	before = start;
}

uint64_t counter_of(enum sw_reason r)
{
	uint64_t n = 0;

	read_counts(&after, SW_MAX_SERVICES * SW_REASON_MAX);
	for (int id = 0; id < SW_MAX_SERVICES; id++)
		n += after.reason[id * SW_REASON_MAX + r].packets -
		     start.reason[id * SW_REASON_MAX + r].packets;
	return n;
}

void counters_check(void)
{
	uint64_t packets[SW_HOOK_MAX] = {}, bytes[SW_HOOK_MAX] = {};

	read_counts(&after, SW_MAX_SERVICES * SW_REASON_MAX);
	for (int i = 0; i < SW_MAX_SERVICES * SW_REASON_MAX; i++) {
		enum sw_reason r = i % SW_REASON_MAX;
		enum sw_hook hook = hook_of(r);

		packets[hook] += after.reason[i].packets;
		bytes[hook] += after.reason[i].bytes;
		if (after.reason[i].packets && r)
			reason_hit[r] = 1;
	}
	for (int hook = 0; hook < SW_HOOK_MAX; hook++) {
		if (after.rx[hook].packets != packets[hook] || after.rx[hook].bytes != bytes[hook])
			FAIL("identity of hook %d: received %llu packets, %llu bytes; "
			     "by reason %llu, %llu",
			     hook, after.rx[hook].packets, after.rx[hook].bytes,
			     (unsigned long long)packets[hook], (unsigned long long)bytes[hook]);
	}
	before = after;
}

/* Packets that came another way than run_xdp() and run_tc(). */
void counters_moved(void)
{
	before_is_stale = true;
}

/* Fills reason, service and would of r by what changed between `before` and `after`. */
static void attribute(struct result *r, const struct packet *p, enum sw_hook hook, bool may_skip)
{
	unsigned int changed = 0;

	read_counts(&after, WATCHED);
	for (unsigned int i = 0; i < WATCHED; i++) {
		uint64_t n = after.reason[i].packets - before.reason[i].packets;
		uint64_t would = after.reason[i].would_packets - before.reason[i].would_packets;
		uint64_t bytes = after.reason[i].bytes - before.reason[i].bytes;

		if (!n && !would && !bytes)
			continue;
		changed++;
		r->reason = i % SW_REASON_MAX;
		r->service = i / SW_REASON_MAX;
		r->would = would == 1;
		reason_hit[r->reason] = 1;
		if (n != 1 || would > 1 || bytes != p->len)
			FAIL("%s: +%llu packets, +%llu would, +%llu bytes for one of %zu bytes",
			     reason_name(r->reason), (unsigned long long)n,
			     (unsigned long long)would, (unsigned long long)bytes, p->len);
	}
	if (changed > 1 || (changed == 0 && !may_skip)) {
		FAIL("%u reasons counted for one packet, expected 1", changed);
		r->reason = SW_CONTINUE;
	}
	for (int h = 0; h < SW_HOOK_MAX; h++)
		if (after.rx[h].packets - before.rx[h].packets != (h == (int)hook ? changed : 0))
			FAIL("sw_rx of hook %d: +%llu", h,
			     after.rx[h].packets - before.rx[h].packets);
	memcpy(before.reason, after.reason, WATCHED * sizeof(before.reason[0]));
	memcpy(before.rx, after.rx, sizeof(before.rx));
}

static void refresh_before(void)
{
	if (before_is_stale)
		read_counts(&before, WATCHED);
	before_is_stale = false;
}

struct result run_xdp(const struct packet *p)
{
	struct xdp_md in = { .data_end = (uint32_t)p->len }, out = {};
	struct result r = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = (uint32_t)p->len,
		    .data_out = out_bytes, .data_size_out = sizeof(out_bytes), .ctx_in = &in,
		    .ctx_size_in = sizeof(in), .ctx_out = &out, .ctx_size_out = sizeof(out),
		    .repeat = 1);

	refresh_before();
	if (bpf_prog_test_run_opts(xdp_fd(), &opts)) {
		FAIL("BPF_PROG_TEST_RUN of %zu bytes: %m", p->len);
		test_abort();
	}
	r.action = (int)opts.retval;
	r.meta = out_bytes;
	r.meta_len = out.data;
	r.out = out_bytes + out.data;
	r.len = opts.data_size_out - out.data;
	attribute(&r, p, SW_HOOK_XDP, false);
	return r;
}

static struct result run_skb(int prog_fd, const struct packet *p, enum sw_hook hook)
{
	struct result r = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = (uint32_t)p->len,
		    .data_out = out_bytes, .data_size_out = sizeof(out_bytes), .repeat = 1);

	refresh_before();
	if (bpf_prog_test_run_opts(prog_fd, &opts)) {
		/* newer kernels make no skb of a frame that ends in its IP header */
		if (errno == EINVAL && p->len < 14 + 8 + 40) {
			r.refused = true;
			return r;
		}
		FAIL("BPF_PROG_TEST_RUN of %zu bytes: %m", p->len);
		test_abort();
	}
	r.action = (int)opts.retval;
	r.out = out_bytes;
	r.len = opts.data_size_out;
	attribute(&r, p, hook, true);
	return r;
}

struct result run_tc(const struct packet *p)
{
	return run_skb(tc_fd(), p, SW_HOOK_TC_IN);
}

struct result run_tc_out(const struct packet *p)
{
	return run_skb(bpf_program__fd(guard.skel->progs.sw_tc_out), p, SW_HOOK_TC_OUT);
}

int run_bare(int prog_fd, const struct packet *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = (uint32_t)p->len,
		    .repeat = 1);

	before_is_stale = true;
	MUST(bpf_prog_test_run_opts(prog_fd, &opts));
	return (int)opts.retval;
}

void check_result(const char *file, int line, const struct result *r, int action,
		  enum sw_reason reason)
{
	if (r->action == action && r->reason == reason)
		return;
	test_fail(file, line, "got action %d reason %s, expected action %d reason %s", r->action,
		  reason_name(r->reason), action, reason_name(reason));
	test_hex("frame after the program", r->out, r->len);
}
