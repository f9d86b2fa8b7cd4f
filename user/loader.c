/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only includer of the skeleton: open, choose the engine, load, fill, pin, and open again
 * from pins after checking that they are ours. Links are attach.c's.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel.h"
#include "synwarden.skel.h"
#include "util.h"

#define KFUNC_ASSIGN   "bpf_sk_assign_tcp_reqsk"
#define RMEM_MAX       "/proc/sys/net/core/rmem_max"
#define RMEM_MAX_USUAL 212992 /* kernels before 6.12 hide the file in a namespace */
#define EVENT_GAP_MS   100

static const char *const map_names[] = {
	[MAP_SERVICES] = "sw_services", [MAP_PORTS] = "sw_ports",   [MAP_PREFIXES] = "sw_prefixes",
	[MAP_SETTINGS] = "sw_settings", [MAP_KEYS] = "sw_keys",     [MAP_KEYSCHED] = "sw_keysched",
	[MAP_DEVS] = "sw_devs",         [MAP_STATS] = "sw_stats",   [MAP_RX] = "sw_rx",
	[MAP_LIVE] = "sw_live",         [MAP_EVENTS] = "sw_events",
};
_Static_assert(ARRAY_SIZE(map_names) == MAP_ID_MAX, "a name for each map");

static const char *const prog_names[] = {
	[PROG_XDP] = "sw_xdp",
	[PROG_TC_IN] = "sw_tc_in",
	[PROG_ADOPT] = "sw_adopt",
};
_Static_assert(ARRAY_SIZE(prog_names) == PROG_ID_MAX, "a name for each program");

/* Pin of a map: its name without "sw_"; NULL for libbpf's own maps (.rodata). */
static const char *pin_name(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	return !bpf_map__is_internal(map) && !strncmp(name, "sw_", 3) ? name + 3 : NULL;
}

/* Silent but for -v; the caller says what it means. */
static int load_engine(enum sw_engine engine, struct synwarden_bpf **loaded)
{
	bool reqsk = engine == SW_ENGINE_REQSK;
	struct synwarden_bpf *skel = synwarden_bpf__open();
	int err;

	if (!skel)
		return -errno;
	err = random_fill((void *)&skel->rodata->sw_boot, sizeof(skel->rodata->sw_boot));
	skel->rodata->sw_boot.mark |= 1; /* not zero: zeroed metadata is no mark */
	skel->rodata->sw_boot.engine = engine;
	bpf_program__set_autoload(skel->progs.sw_tc_in, reqsk);
	bpf_program__set_autoload(skel->progs.sw_adopt, reqsk);
	if (!err)
		err = synwarden_bpf__load(skel);
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
static int load_auto(enum sw_engine *engine, struct synwarden_bpf **skel, char *why, size_t size)
{
	int err;

	*engine = SW_ENGINE_REQSK;
	if (probe_kernel_function(KFUNC_ASSIGN)) {
		err = load_engine(*engine, skel);
		if (!err)
			return 0;
		snprintf(why, size, "its programs do not load: %s", strerror(-err));
	} else {
		snprintf(why, size, "this kernel has no %s (Linux 6.9)", KFUNC_ASSIGN);
	}
	*engine = SW_ENGINE_LISTENER;
	return load_engine(*engine, skel);
}

static int load(enum sw_engine want, enum sw_engine *engine, struct synwarden_bpf **skel)
{
	char why[160];
	int err;

	*engine = want;
	if (want == SW_ENGINE_AUTO) {
		err = load_auto(engine, skel, why, sizeof(why));
		if (!err && *engine == SW_ENGINE_LISTENER)
			log_note("engine listener, keeps only the MSS option; not reqsk: %s", why);
	} else if (want == SW_ENGINE_REQSK && !probe_kernel_function(KFUNC_ASSIGN)) {
		return log_refuse(-EOPNOTSUPP, "engine reqsk: this kernel has no %s (Linux 6.9)",
				  KFUNC_ASSIGN);
	} else {
		err = load_engine(want, skel);
	}
	return err ? load_refused(err, *engine) : 0;
}

enum sw_engine guard_probe_engine(char *why, size_t size)
{
	struct synwarden_bpf *skel = NULL;
	enum sw_engine engine;
	int err = load_auto(&engine, &skel, why, size);

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
		.event_gap_ms = EVENT_GAP_MS,
	};
	struct timespec now;
	long rmem;

	clock_gettime(CLOCK_BOOTTIME, &now);
	s.loaded_ns = (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
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

int guard_create(struct guard *g, const char *dir, enum sw_engine want)
{
	int err = path_format(g->dir, sizeof(g->dir), "%s", dir);

	if (err)
		return log_err(err, "pin directory");
	err = load(want, &g->engine, &g->skel);
	if (!err)
		err = take_descriptors(g);
	if (!err)
		err = fill_settings(g);
	if (!err)
		err = fill_key(g);
	return err;
}

static int make_dir(const char *dir, const char *sub)
{
	char path[PATH_MAX];
	int err = path_format(path, sizeof(path), "%s%s", dir, sub);

	if (!err && mkdir(path, 0700))
		err = -errno;
	return err ? log_err(err, "make %s%s", dir, sub) : 0;
}

static int pin_object(int fd, const char *dir, const char *sub, const char *name)
{
	char path[PATH_MAX];
	int err = path_format(path, sizeof(path), "%s/%s%s", dir, sub, name);

	if (!err && bpf_obj_pin(fd, path))
		err = -errno;
	return err ? log_err(err, "pin %s/%s%s", dir, sub, name) : 0;
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

static int pin_get(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int err = path_format(path, sizeof(path), "%s/%s", dir, name);
	int fd;

	if (err)
		return err;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

/* First word of the settings; pins of any version keep it there. */
static int read_version(int settings_fd, struct sw_settings *s)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	char raw[4096];
	int err;

	if (bpf_obj_get_info_by_fd(settings_fd, &info, &len))
		return -errno;
	if (strcmp(info.name, "sw_settings") || info.type != BPF_MAP_TYPE_ARRAY ||
	    info.key_size != sizeof(__u32) || info.value_size < sizeof(s->abi_version) ||
	    info.value_size > sizeof(raw))
		return -EPROTO;
	err = mapio_settings_raw(settings_fd, raw);
	if (err)
		return err;
	memset(s, 0, sizeof(*s));
	memcpy(s, raw, info.value_size < sizeof(*s) ? info.value_size : sizeof(*s));
	return 0;
}

static bool is_empty_dir(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool empty = dir;

	while (dir && (entry = readdir(dir)))
		empty &= entry->d_name[0] == '.';
	if (dir)
		closedir(dir);
	return empty;
}

enum guard_found guard_find(const char *dir)
{
	autoclose int fd = pin_get(dir, "settings");
	char links[PATH_MAX];
	struct sw_settings s;

	if (fd == -ENOENT && access(dir, F_OK))
		return GUARD_NONE;
	if (fd == -ENOENT)
		return is_empty_dir(dir) ? GUARD_DEBRIS : GUARD_FOREIGN;
	/* guard_open() says what is wrong with these */
	if (fd < 0 || read_version(fd, &s) || s.abi_version != SW_ABI_VERSION || s.armed)
		return GUARD_PINNED;
	/* arming is the last step of attach, and nothing disarms */
	if (path_format(links, sizeof(links), "%s/links", dir) || access(links, F_OK))
		return GUARD_DEBRIS;
	return GUARD_UNARMED;
}

static int check_version(const char *dir)
{
	autoclose int fd = pin_get(dir, "settings");
	struct sw_settings s;
	int err = fd < 0 ? fd : read_version(fd, &s);

	if (err == -ENOENT) {
		log_refuse(err, "no guard at %s: run 'synwarden attach DEV' first", dir);
		if (!probe_is_bpffs(dir))
			log_hint("no BPF file system is mounted there");
		return err;
	}
	if (err == -EPERM || err == -EACCES)
		return log_refuse(
			err,
			"the guard at %s is for CAP_BPF and the owner of that directory only: "
			"run this as root",
			dir);
	if (err == -EPROTO)
		return log_refuse(err, "%s/settings is not a map of synwarden", dir);
	if (err)
		return log_err(err, "open %s/settings", dir);
	if (s.abi_version == SW_ABI_VERSION)
		return 0;
	log_refuse(-EPROTO,
		   "the pins at %s are of ABI version %u, this synwarden speaks version %u", dir,
		   s.abi_version, SW_ABI_VERSION);
	log_hint("detach with the version that attached, then attach with this one");
	return -EPROTO;
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

static int open_maps(struct guard *g, const struct synwarden_bpf *want)
{
	const struct bpf_map *map;

	bpf_object__for_each_map(map, want->obj) {
		autoclose int fd = -1;
		int err;

		if (!pin_name(map))
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

int guard_open(struct guard *g, const char *dir)
{
	struct synwarden_bpf *want;
	struct sw_settings s;
	int err = path_format(g->dir, sizeof(g->dir), "%s", dir);

	if (err)
		return log_err(err, "pin directory");
	err = check_version(dir);
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
	for (size_t i = 0; i < PROG_ID_MAX; i++) {
		char name[32];

		snprintf(name, sizeof(name), "progs/%s", prog_names[i]);
		g->prog[i] = pin_get(dir, name);
		if (g->prog[i] < 0 && (i == PROG_XDP || g->engine == SW_ENGINE_REQSK))
			return log_err(g->prog[i], "open %s/%s", dir, name);
	}
	return 0;
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
