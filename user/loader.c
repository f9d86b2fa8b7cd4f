/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only includer of the skeleton: open, choose the engine, load, fill, pin, and open again
 * from pins after checking that they are ours. What else may lie there is pins.c's, links are
 * attach.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel.h"
#include "tunables.h"
#include "synwarden.skel.h"
#include "table.h"
#include "util.h"

#define KFUNC_ASSIGN   "bpf_sk_assign_tcp_reqsk"
#define RMEM_MAX       "/proc/sys/net/core/rmem_max"
#define RMEM_MAX_USUAL 212992 /* kernels before 6.12 hide the file in a namespace */

static const char *const map_names[] = {
	[MAP_SERVICES] = "sw_services",
	[MAP_PORTS] = "sw_ports",
	[MAP_PREFIXES] = "sw_prefixes",
	[MAP_SETTINGS] = "sw_settings",
	[MAP_KEYS] = "sw_keys",
	[MAP_KEYSCHED] = "sw_keysched",
	[MAP_DEVS] = "sw_devs",
	[MAP_STATS] = "sw_stats",
	[MAP_RX] = "sw_rx",
	[MAP_LIVE] = "sw_live",
	[MAP_EVENTS] = "sw_events",
	[MAP_CONNS] = "sw_conns",
	[MAP_HALF] = "sw_half",
	[MAP_GAUGES] = "sw_gauges",
	[MAP_TABLES] = "sw_tables",
	[MAP_ARMING] = "sw_arming",
	[MAP_ATTACKS] = "sw_attacks",
	[MAP_SOURCES] = "sw_sources",
	[MAP_SUSPECT] = "sw_suspect",
	[MAP_LIMIT_HITS] = "sw_limit_hits",
	[MAP_LISTS] = "sw_lists",
	[MAP_LIST_HITS] = "sw_list_hits",
};
_Static_assert(ARRAY_SIZE(map_names) == MAP_ID_MAX, "a name for each map");

const char *const prog_names[] = {
	[PROG_XDP] = "sw_xdp",
	[PROG_TC_IN] = "sw_tc_in",
	[PROG_TC_OUT] = "sw_tc_out",
	[PROG_ADOPT] = "sw_adopt",
};
_Static_assert(ARRAY_SIZE(prog_names) == PROG_ID_MAX, "a name for each program");

/* Pin of a map: its name without "sw_", "boot" for the constants (.rodata); NULL for others. */
static const char *pin_name(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	if (bpf_map__is_internal(map))
		return strstr(name, ".rodata") ? "boot" : NULL;
	return !strncmp(name, "sw_", 3) ? name + 3 : NULL;
}

int maps_size(const struct bpf_object *obj, const struct sw_boot *boot)
{
	const struct {
		const char *name;
		__u32 entries;
	} sized[] = {
		{ "sw_conns", boot->buckets[SW_TABLE_CONNS] * SW_WAYS },
		{ "sw_half", boot->buckets[SW_TABLE_HALF] * SW_WAYS },
		{ "sw_live", 2 * boot->live_words },
		{ "sw_sources", boot->sources },
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sized) && !err; i++)
		err = bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, sized[i].name),
					       sized[i].entries);
	return err;
}

/* Silent but for -v, and where memory is missing; the caller says what it means. */
static int load_engine(enum sw_engine engine, __u32 connections, struct synwarden_bpf **loaded)
{
	bool reqsk = engine == SW_ENGINE_REQSK;
	struct synwarden_bpf *skel = synwarden_bpf__open();
	int err;

	if (!skel)
		return -errno;
	err = random_fill((void *)&skel->rodata->sw_boot, sizeof(skel->rodata->sw_boot));
	skel->rodata->sw_boot.mark |= 1; /* not zero: zeroed metadata is no mark */
	skel->rodata->sw_boot.engine = engine;
	tables_size((struct sw_boot *)&skel->rodata->sw_boot, connections);
	bpf_program__set_autoload(skel->progs.sw_tc_in, reqsk);
	if (!err)
		err = maps_size(skel->obj, (const struct sw_boot *)&skel->rodata->sw_boot);
	if (!err)
		err = synwarden_bpf__load(skel);
	if (err == -ENOMEM)
		probe_no_memory(skel->obj, connections);
	if (err) {
		synwarden_bpf__destroy(skel);
		return err;
	}
	*loaded = skel;
	return 0;
}

static int load_refused(int err, enum sw_engine engine)
{
	log_err(err, "load the programs, engine %s", text_engine_name(engine));
	log_hint(
		"run again with -v for the verifier's log; 'synwarden doctor' shows what this kernel has");
	return err;
}

/* AUTO becomes the engine that loads; `why` tells why reqsk was passed over. */
static int load_auto(enum sw_engine *engine, __u32 connections, struct synwarden_bpf **skel,
		     char *why, size_t size)
{
	int err;

	*engine = SW_ENGINE_REQSK;
	if (probe_kernel_function(KFUNC_ASSIGN)) {
		err = load_engine(*engine, connections, skel);
		if (!err || err == -ENOMEM)
			return err;
		snprintf(why, size, "its programs do not load: %s", strerror(-err));
	} else {
		snprintf(why, size, "this kernel has no %s (Linux 6.9)", KFUNC_ASSIGN);
	}
	*engine = SW_ENGINE_LISTENER;
	return load_engine(*engine, connections, skel);
}

static int load(enum sw_engine want, __u32 connections, enum sw_engine *engine,
		struct synwarden_bpf **skel)
{
	char why[160];
	int err;

	*engine = want;
	if (want == SW_ENGINE_AUTO) {
		err = load_auto(engine, connections, skel, why, sizeof(why));
		if (!err && *engine == SW_ENGINE_LISTENER)
			log_note("engine listener, keeps only the MSS option; not reqsk: %s", why);
	} else if (want == SW_ENGINE_REQSK && !probe_kernel_function(KFUNC_ASSIGN)) {
		return log_refuse(-EOPNOTSUPP, "engine reqsk: this kernel has no %s (Linux 6.9)",
				  KFUNC_ASSIGN);
	} else {
		err = load_engine(want, connections, skel);
	}
	/* what was missing has been said */
	return err && err != -ENOMEM ? load_refused(err, *engine) : err;
}

enum sw_engine guard_probe_engine(char *why, size_t size)
{
	struct synwarden_bpf *skel = NULL;
	enum sw_engine engine;
	int err = load_auto(&engine, SW_CONNS_MIN, &skel, why, size);

	synwarden_bpf__destroy(skel);
	return err ? SW_ENGINE_AUTO : engine;
}

/* Copies of the descriptors, so that the rest need not know the skeleton. */
static int take_descriptors(struct guard *g)
{
	for (size_t i = 0; i < MAP_ID_MAX; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(g->skel->obj, map_names[i]);

		g->map[i] = dup(bpf_map__fd(map));
		if (g->map[i] < 0)
			return log_err(-errno, "map %s", map_names[i]);
	}
	for (size_t i = 0; i < PROG_ID_MAX; i++) {
		struct bpf_program *prog =
			bpf_object__find_program_by_name(g->skel->obj, prog_names[i]);

		if (bpf_program__fd(prog) < 0)
			continue; /* not loaded with this engine */
		g->prog[i] = dup(bpf_program__fd(prog));
		if (g->prog[i] < 0)
			return log_err(-errno, "program %s", prog_names[i]);
	}
	return 0;
}

static int fill_settings(struct guard *g)
{
	struct sw_settings s = {
		.abi_version = SW_ABI_VERSION,
		.engine = g->engine,
		.grace_until_ns = grace_end(),
	};
	long rmem;

	limits_default(&s);
	s.loaded_ns = clock_ns(CLOCK_BOOTTIME);
	s.rmem_max = file_read_long(RMEM_MAX, &rmem) ? RMEM_MAX_USUAL : (__u32)rmem;
	return mapio_settings_set(g, &s);
}

static int fill_key(struct guard *g)
{
	struct sw_keysched sched = { .since_epoch = 0, .now = 0, .before = 0 };
	struct sw_key key;
	int err = random_fill(&key, sizeof(key));

	if (err)
		return log_err(err, "random key");
	key.made_s = (__u64)time(NULL);
	err = mapio_key_set(g, 0, &key);
	explicit_bzero(&key, sizeof(key));
	return err ? err : mapio_keysched_set(g, &sched);
}

/* What anyone but the programs may know of the constants: the seeds say where a source is counted. */
static void take_boot(struct guard *g, const struct sw_boot *boot)
{
	g->boot = *boot;
	g->boot.mark = 0;
}

int guard_create(struct guard *g, const char *dir, enum sw_engine want, __u32 connections)
{
	int err = path_format(g->dir, sizeof(g->dir), "%s", dir);

	if (err)
		return log_err(err, "pin directory");
	err = load(want, connections, &g->engine, &g->skel);
	if (err)
		return err;
	take_boot(g, (const struct sw_boot *)&g->skel->rodata->sw_boot);
	err = take_descriptors(g);
	if (!err)
		err = fill_settings(g);
	if (!err)
		err = fill_key(g);
	return err;
}

/* The guard's own may be there, empty: a sandbox can open only what exists. */
static int make_dir(const char *dir, const char *sub)
{
	char path[PATH_MAX];
	int err = path_format(path, sizeof(path), "%s%s", dir, sub);

	if (!err && mkdir(path, 0700) && (*sub || errno != EEXIST || chmod(path, 0700)))
		err = -errno;
	return err ? log_err(err, "make %s%s", dir, sub) : 0;
}

/*
 * Settings first and links/ last: a directory without settings is empty or not ours, one
 * without links/ has touched nothing but itself.
 */
int guard_pin(struct guard *g)
{
	struct bpf_map *map;
	int err;

	err = make_dir(g->dir, "");
	if (!err)
		err = pin_object(g->map[MAP_SETTINGS], g->dir, "", "settings");
	bpf_object__for_each_map(map, g->skel->obj) {
		if (!err && pin_name(map) && map != g->skel->maps.sw_settings)
			err = pin_object(bpf_map__fd(map), g->dir, "", pin_name(map));
	}
	if (!err)
		err = make_dir(g->dir, "/progs");
	for (size_t i = 0; i < PROG_ID_MAX && !err; i++)
		if (g->prog[i] >= 0)
			err = pin_object(g->prog[i], g->dir, "progs/", prog_names[i]);
	if (!err)
		err = make_dir(g->dir, "/links");
	if (err)
		return err;
	synwarden_bpf__destroy(g->skel);
	g->skel = NULL;
	return 0;
}

/* What is pinned is input: shape and size must be those of the object built in here. */
static int check_map(const char *dir, const struct bpf_map *want, int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return log_err(-errno, "inspect %s/%s", dir, pin_name(want));
	if (info.type == bpf_map__type(want) && info.key_size == bpf_map__key_size(want) &&
	    info.value_size == bpf_map__value_size(want) &&
	    info.max_entries == bpf_map__max_entries(want))
		return 0;
	return log_refuse(
		-EPROTO,
		"%s/%s is of another build: type %u key %u value %u entries %u, not %u %u %u %u",
		dir, pin_name(want), info.type, info.key_size, info.value_size, info.max_entries,
		bpf_map__type(want), bpf_map__key_size(want), bpf_map__value_size(want),
		bpf_map__max_entries(want));
}

/* The constants of a guard that is pinned, secrets and all. */
static int read_boot(const struct guard *g, const struct synwarden_bpf *want, struct sw_boot *boot)
{
	size_t size = bpf_map__value_size(want->maps.rodata);
	autofree struct synwarden_bpf__rodata *have = calloc(1, size);
	autoclose int fd = pin_get(g->dir, "boot");
	int err = fd < 0 ? fd : 0;

	if (!have)
		return log_err(-ENOMEM, "open %s/boot", g->dir);
	if (!err)
		err = check_map(g->dir, want->maps.rodata, fd);
	else
		log_err(err, "open %s/boot", g->dir);
	if (!err && mapio_raw(fd, have))
		err = log_err(-EIO, "read %s/boot", g->dir);
	if (!err)
		memcpy(boot, (const void *)&have->sw_boot, sizeof(*boot));
	explicit_bzero(have, size);
	return err;
}

/* The sizes that this guard chose, from its constants; `want` is given them too. */
static int open_boot(struct guard *g, struct synwarden_bpf *want)
{
	struct sw_boot sized;
	int err = read_boot(g, want, &sized);

	if (err)
		return err;
	take_boot(g, &sized);
	explicit_bzero(&sized, sizeof(sized));
	sized = g->boot;
	if (sized.max[SW_TABLE_CONNS] >= SW_CONNS_MIN && sized.max[SW_TABLE_CONNS] <= SW_CONNS_MAX)
		tables_size(&sized, sized.max[SW_TABLE_CONNS]);
	else
		sized.live_words = 0;
	if (memcmp(&sized, &g->boot, sizeof(sized)))
		return log_refuse(-EPROTO, "%s/boot is of another build: its sizes do not agree",
				  g->dir);
	return maps_size(want->obj, &sized);
}

static int open_maps(struct guard *g, struct synwarden_bpf *want)
{
	const struct bpf_map *map;
	int err = open_boot(g, want);

	if (err)
		return err;
	bpf_object__for_each_map(map, want->obj) {
		autoclose int fd = -1;

		if (!pin_name(map) || map == want->maps.rodata)
			continue;
		fd = pin_get(g->dir, pin_name(map));
		if (fd < 0)
			return log_err(fd, "open %s/%s", g->dir, pin_name(map));
		err = check_map(g->dir, map, fd);
		if (err)
			return err;
		for (size_t i = 0; i < MAP_ID_MAX; i++)
			if (!strcmp(map_names[i], bpf_map__name(map)))
				g->map[i] = TAKE_FD(fd);
	}
	return 0;
}

int guard_reopen_programs(struct guard *g)
{
	for (size_t i = 0; i < PROG_ID_MAX; i++) {
		char name[32];

		snprintf(name, sizeof(name), "progs/%s", prog_names[i]);
		close_fdp(&g->prog[i]);
		g->prog[i] = pin_get(g->dir, name);
		if (g->prog[i] < 0 && (i != PROG_TC_IN || g->engine == SW_ENGINE_REQSK))
			return log_err(g->prog[i], "open %s/%s", g->dir, name);
	}
	return 0;
}

int guard_open(struct guard *g, const char *dir)
{
	struct synwarden_bpf *want;
	struct sw_settings s;
	int err = path_format(g->dir, sizeof(g->dir), "%s", dir);

	if (err)
		return log_err(err, "pin directory");
	err = pins_check_version(dir);
	if (err)
		return err;
	want = synwarden_bpf__open();
	if (!want)
		return log_err(-errno, "open the built-in programs");
	err = open_maps(g, want);
	synwarden_bpf__destroy(want);
	if (!err)
		err = mapio_settings(g, &s);
	if (err)
		return err;
	g->engine = s.engine;
	return guard_reopen_programs(g);
}

/* Its maps in the place of those that `skel` would make; open_maps() has found them alike. */
static int reuse_maps(const struct guard *g, struct synwarden_bpf *skel)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, skel->obj) {
		autoclose int fd = -1;
		int err;

		if (!pin_name(map) || map == skel->maps.rodata)
			continue;
		fd = pin_get(g->dir, pin_name(map));
		err = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);
		if (err)
			return log_err(err, "open %s/%s", g->dir, pin_name(map));
	}
	return 0;
}

/* The same constants: cookies, filter and tables of the guard hang on its seeds and sizes. */
static int load_beside(const struct guard *g, struct synwarden_bpf *skel)
{
	struct sw_boot *boot = (struct sw_boot *)&skel->rodata->sw_boot;
	int err = read_boot(g, skel, boot);

	bpf_program__set_autoload(skel->progs.sw_tc_in, g->engine == SW_ENGINE_REQSK);
	if (!err)
		err = maps_size(skel->obj, boot);
	if (!err)
		err = reuse_maps(g, skel);
	if (err)
		return err;
	err = synwarden_bpf__load(skel);
	return err ? load_refused(err, g->engine) : 0;
}

int guard_load_beside(const struct guard *g, struct guard *fresh)
{
	int err = path_format(fresh->dir, sizeof(fresh->dir), "%s", g->dir);

	fresh->engine = g->engine;
	fresh->boot = g->boot;
	fresh->skel = synwarden_bpf__open();
	if (!fresh->skel)
		return log_err(-errno, "open the built-in programs");
	if (!err)
		err = load_beside(g, fresh->skel);
	return err ? err : take_descriptors(fresh);
}

int guard_boot_fd(const struct guard *g)
{
	return bpf_map__fd(g->skel->maps.rodata);
}

void guard_close(struct guard *g)
{
	for (size_t i = 0; i < MAP_ID_MAX; i++)
		close_fdp(&g->map[i]);
	for (size_t i = 0; i < PROG_ID_MAX; i++)
		close_fdp(&g->prog[i]);
	synwarden_bpf__destroy(g->skel);
	g->skel = NULL;
}
