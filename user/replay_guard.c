/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See replay_guard.h. The only includer of replay's skeleton. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "replay_guard.h"
#include "replay.skel.h"
#include "table.h"
#include "util.h"

#define KFUNC_ASSIGN  "bpf_sk_assign_tcp_reqsk"
#define RMEM_MAX      "/proc/sys/net/core/rmem_max"
#define RMEM_USUAL    212992
#define TIMESTAMPS    "/proc/sys/net/ipv4/tcp_timestamps"
#define DEVICE_MTU    1500 /* what a listener's SYN-ACK announces hangs on it */
#define LISTEN_AT_ONE 64   /* descriptors for everything else */

/* Those that the functions of mapio.c are asked for here. */
static const struct {
	enum map_id id;
	const char *name;
} own_maps[] = {
	{ MAP_SERVICES, "sw_services" }, { MAP_PORTS, "sw_ports" },
	{ MAP_PREFIXES, "sw_prefixes" }, { MAP_SETTINGS, "sw_settings" },
	{ MAP_KEYS, "sw_keys" },         { MAP_KEYSCHED, "sw_keysched" },
	{ MAP_EVENTS, "sw_events" },     { MAP_LISTS, "sw_lists" },
	{ MAP_CONNS, "sw_conns" },       { MAP_HALF, "sw_half" },
	{ MAP_GAUGES, "sw_gauges" },     { MAP_TABLES, "sw_tables" },
	{ MAP_SOURCES, "sw_sources" },   { MAP_SUSPECT, "sw_suspect" },
};

/* --- the namespace ------------------------------------------------------------------------ */

/* Per-CPU counts and budgets are of one CPU then. Where that is refused, of the few it runs on. */
static void stay_on_cpu(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu < 0)
		return;
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		log_debug("stay on CPU %d: %s", cpu, strerror(errno));
}

int replay_namespace(void)
{
	struct ifreq req = { .ifr_name = "lo" };
	autoclose int fd = -1;

	if (unshare(CLONE_NEWNET))
		return log_err(-errno, "make a network namespace");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return log_err(-errno, "open a socket");
	req.ifr_mtu = DEVICE_MTU;
	if (ioctl(fd, SIOCSIFMTU, &req))
		return log_err(-errno, "set the MTU of lo");
	req.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &req))
		return log_err(-errno, "bring lo up");
	stay_on_cpu();
	return 0;
}

/* --- the guard ---------------------------------------------------------------------------- */

static int open_maps(struct replay_guard *rg)
{
	for (size_t i = 0; i < ARRAY_SIZE(own_maps); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(rg->skel->obj, own_maps[i].name);
		int fd = map ? dup(bpf_map__fd(map)) : -1;

		if (fd < 0)
			return log_err(-errno, "map %s", own_maps[i].name);
		rg->g.map[own_maps[i].id] = fd;
	}
	return 0;
}

static int load(struct replay_guard *rg, enum sw_engine engine, __u32 connections)
{
	struct sw_boot *boot;
	int err;

	if (engine == SW_ENGINE_AUTO)
		engine = probe_kernel_function(KFUNC_ASSIGN) ? SW_ENGINE_REQSK : SW_ENGINE_LISTENER;
	rg->skel = replay_bpf__open();
	if (!rg->skel)
		return log_err(-errno, "open the built-in programs");
	boot = (struct sw_boot *)&rg->skel->rodata->sw_boot;
	err = random_fill(boot, sizeof(*boot));
	boot->mark |= 1;
	boot->engine = rg->g.engine = engine;
	tables_size(boot, connections);
	rg->g.boot = *boot;
	bpf_program__set_autoload(rg->skel->progs.sw_tc_in, engine == SW_ENGINE_REQSK);
	bpf_program__set_autoload(rg->skel->progs.sw_adopt, false);
	if (!err)
		err = maps_size(rg->skel->obj, boot);
	if (!err)
		err = replay_bpf__load(rg->skel);
	if (err == -ENOMEM)
		probe_no_memory(rg->skel->obj, connections);
	if (err)
		return log_err(err, "load the programs, engine %s", text_engine_name(engine));
	rg->io = &rg->skel->bss->replay;
	return open_maps(rg);
}

/* One key for all time: none is rotated while a capture runs. */
static int fill_key(const struct guard *g)
{
	struct sw_keysched sched = { .since_epoch = 0 };
	struct sw_key key;
	int err = random_fill(&key, sizeof(key));

	if (!err)
		err = mapio_key_set(g, 0, &key);
	return err ? err : mapio_keysched_set(g, &sched);
}

static int fill_lists(struct replay_guard *rg, const struct config *c, struct sw_settings *s)
{
	static const struct list_set nothing;
	autolists struct list_set lists = { 0 };
	__u32 bits[SW_MAX_SERVICES];

	if (list_set_copy(&lists, &c->lists))
		return log_err(-ENOMEM, "copy the lists");
	list_set_settle(&lists, conn_now());
	list_set_bits(&lists, bits);
	s->lists[0] = bits[0];
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++)
		rg->services.slot[id].lists = bits[id];
	return mapio_lists_write(&rg->g, 0, &nothing, &lists);
}

/* The number of a service in the file is its id here: nothing else is in the maps. */
static int configure(struct replay_guard *rg, const struct config *c)
{
	struct sw_settings s = { .abi_version = SW_ABI_VERSION, .engine = rg->g.engine };
	struct layout layout = { 0 };
	long rmem;
	int err;

	for (__u32 i = 0; i < c->services; i++)
		rg->services.slot[i + 1] = c->service[i].service;
	memcpy(rg->services.fail_safe, c->fail_safe, sizeof(c->fail_safe));
	memcpy(s.fail_safe, c->fail_safe, sizeof(s.fail_safe));
	limits_copy(&s, &c->limits);
	s.armed = SW_ARMED;
	s.loaded_ns = clock_ns(CLOCK_BOOTTIME);
	s.rmem_max = file_read_long(RMEM_MAX, &rmem) ? RMEM_USUAL : (__u32)rmem;
	s.recheck = 1; /* a test run of tc has no room for the mark of XDP */
	s.event_gap_ms = s.state_event_every = 0;
	err = fill_lists(rg, c, &s);
	if (!err && services_layout(&rg->services, &layout))
		err = log_err(-ENOMEM, "lay out the services");
	s.any_mode[0] = layout.any_mode;
	if (!err)
		err = mapio_config_write(&rg->g, 0, &rg->services, &layout);
	if (!err)
		err = mapio_settings_set(&rg->g, &s);
	layout_free(&layout);
	return err ? err : fill_key(&rg->g);
}

int replay_load(struct replay_guard *rg, const struct config *c)
{
	int err = load(rg, c->engine, c->connections);

	if (!err)
		err = configure(rg, c);
	/* of the namespace that is ours alone */
	if (!err && rg->g.engine == SW_ENGINE_LISTENER)
		err = file_write_long(SYSCTL_SYNCOOKIES, 2);
	return err;
}

/* As the programs find it: the longest prefix, then what is for any address. */
__u32 replay_service(const struct replay_guard *rg, const __be32 addr[4], __be16 port)
{
	__u32 best = 0, at = ntohs(port);

	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &rg->services.slot[id];

		if (!s->port_first || at < s->port_first || at > s->port_last ||
		    !addr_in_prefix(addr, s->addr, s->prefix_len))
			continue;
		if (!best || s->prefix_len > rg->services.slot[best].prefix_len)
			best = id;
	}
	return best;
}

/* --- listeners ---------------------------------------------------------------------------- */

static int listen_at(__u32 port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons((__u16)port) };
	struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons((__u16)port) };
	autoclose int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int off = 0;

	if (fd >= 0 && !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) &&
	    !bind(fd, (void *)&any, sizeof(any)) && !listen(fd, SOMAXCONN))
		return TAKE_FD(fd);
	close_fdp(&fd); /* IPv6 is off */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (void *)&any4, sizeof(any4)) || listen(fd, SOMAXCONN))
		return -errno;
	return TAKE_FD(fd);
}

int replay_listen(struct replay_guard *rg, const bool ports[REPLAY_PORTS], bool timestamps)
{
	struct rlimit limit;
	__u32 room, wanted = 0;

	/* what the server refused no cookie may bring back */
	if (!timestamps && file_write_long(TIMESTAMPS, 0))
		return log_refuse(-EIO, "cannot write %s", TIMESTAMPS);
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	room = limit.rlim_cur > LISTEN_AT_ONE ? (__u32)limit.rlim_cur - LISTEN_AT_ONE : 0;
	for (__u32 port = 1; port < REPLAY_PORTS; port++)
		wanted += ports[port];
	rg->listener = calloc(wanted + 1, sizeof(*rg->listener));
	if (!rg->listener)
		return log_err(-ENOMEM, "open listeners");
	for (__u32 port = 1; port < REPLAY_PORTS; port++) {
		int fd;

		if (!ports[port])
			continue;
		fd = rg->listeners < room ? listen_at(port) : -EMFILE;
		if (fd == -EMFILE)
			rg->unopened++;
		else if (fd < 0)
			return log_err(fd, "listen at port %u", port);
		else
			rg->listener[rg->listeners++] = fd;
	}
	return 0;
}

/* --- running ------------------------------------------------------------------------------ */

struct event_taker {
	replay_event_fn *each;
	void *arg;
};
static struct event_taker taker;

static int on_event(void *ctx, void *data, size_t size)
{
	const struct event_taker *t = ctx;

	if (size >= sizeof(struct sw_event))
		t->each(t->arg, data);
	return 0;
}

int replay_events(struct replay_guard *rg, replay_event_fn *each, void *arg)
{
	taker = (struct event_taker){ .each = each, .arg = arg };
	rg->ring = ring_buffer__new(rg->g.map[MAP_EVENTS], on_event, &taker, NULL);
	return rg->ring ? 0 : log_err(-errno, "open the event ring");
}

void replay_events_read(struct replay_guard *rg)
{
	ring_buffer__consume(rg->ring);
}

static int prog_of(const struct replay_guard *rg, enum sw_hook hook)
{
	switch (hook) {
	case SW_HOOK_XDP:
		return bpf_program__fd(rg->skel->progs.sw_xdp);
	case SW_HOOK_TC_IN:
		return bpf_program__fd(rg->skel->progs.sw_tc_in);
	default:
		return bpf_program__fd(rg->skel->progs.sw_tc_out);
	}
}

int replay_run(struct replay_guard *rg, enum sw_hook hook, const __u8 *frame, __u32 len,
	       struct replay_result *r)
{
	struct xdp_md in = { .data_end = len }, out = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len,
		    .data_out = rg->out, .data_size_out = sizeof(rg->out), .repeat = 1);

	if (hook == SW_HOOK_XDP) {
		opts.ctx_in = &in;
		opts.ctx_size_in = sizeof(in);
		opts.ctx_out = &out;
		opts.ctx_size_out = sizeof(out);
	}
	memset(r, 0, sizeof(*r));
	rg->io->reason = rg->io->service = rg->io->would = 0;
	if (bpf_prog_test_run_opts(prog_of(rg, hook), &opts))
		return -errno;
	r->reason = rg->io->reason;
	r->service = rg->io->service;
	r->would = rg->io->would;
	r->marked = out.data;
	r->out = rg->out + out.data;
	r->out_len = opts.data_size_out - out.data;
	return 0;
}

int replay_take_over(struct replay_guard *rg)
{
	static const __u8 nothing[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = nothing, .data_size_in = sizeof(nothing),
		    .repeat = 1);

	return bpf_prog_test_run_opts(bpf_program__fd(rg->skel->progs.replay_adopt), &opts) ?
		       -errno :
		       0;
}

void replay_close(struct replay_guard *rg)
{
	for (__u32 i = 0; i < rg->listeners; i++)
		close(rg->listener[i]);
	free(rg->listener);
	ring_buffer__free(rg->ring);
	guard_close(&rg->g);
	replay_bpf__destroy(rg->skel);
}
