/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies in a pin directory: a guard of this version, of another, its remains, or neither. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#include "kernel.h"
#include "links.h"
#include "util.h"

int pin_get(const char *dir, const char *name)
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
	err = mapio_raw(settings_fd, raw);
	if (err)
		return err;
	memset(s, 0, sizeof(*s));
	memcpy(s, raw, info.value_size < sizeof(*s) ? info.value_size : sizeof(*s));
	return 0;
}

bool pins_are_none(const char *path)
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
		return pins_are_none(dir) ? GUARD_DEBRIS : GUARD_FOREIGN;
	/* guard_open() says what is wrong with these */
	if (fd < 0 || read_version(fd, &s) || s.abi_version != SW_ABI_VERSION)
		return GUARD_PINNED;
	/* made last and removed first: without it nothing is attached, and pins may be missing */
	if (path_format(links, sizeof(links), "%s/links", dir) || access(links, F_OK))
		return GUARD_DEBRIS;
	/* arming is the last step of attach, and nothing disarms */
	return s.armed ? GUARD_PINNED : GUARD_UNARMED;
}

/* Who may write there chooses the programs that run: it must be root, or us, alone. */
static int check_private(const char *dir)
{
	struct stat st;

	if (stat(dir, &st) || ((st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & 077)))
		return 0;
	log_refuse(-EPERM, "%s is of user %u and mode %03o, expected root and 700", dir, st.st_uid,
		   st.st_mode & 0777);
	log_hint("find out who changed it; then 'chown root %s; chmod 700 %s'", dir, dir);
	return -EPERM;
}

int pins_check_version(const char *dir)
{
	autoclose int fd = pin_get(dir, "settings");
	struct sw_settings s;
	int err = fd < 0 ? fd : read_version(fd, &s);

	if (!err && check_private(dir))
		return -EPERM;

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

int pin_object(int fd, const char *dir, const char *sub, const char *name)
{
	char path[PATH_MAX];
	int err = path_format(path, sizeof(path), "%s/%s%s", dir, sub, name);

	if (!err && bpf_obj_pin(fd, path))
		err = -errno;
	return err ? log_err(err, "pin %s/%s%s", dir, sub, name) : 0;
}

static __u32 map_id_of(int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) ? info.id : 0;
}

__u32 guard_id(const struct guard *g)
{
	return map_id_of(g->map[MAP_SETTINGS]);
}

bool guard_is_pinned(const struct guard *g)
{
	autoclose int fd = pin_get(g->dir, "settings");

	return map_id_of(fd) && map_id_of(fd) == map_id_of(g->map[MAP_SETTINGS]);
}

/* Behind the name of a pin, while an upgrade is under way. */
#define NEXT "-next"

static int pin_next(int fd, const struct guard *g, const char *sub, const char *name)
{
	char path[PATH_MAX], leaf[48];

	snprintf(leaf, sizeof(leaf), "%s" NEXT, name);
	/* of an upgrade that was killed */
	if (!path_format(path, sizeof(path), "%s/%s%s", g->dir, sub, leaf))
		unlink(path);
	return pin_object(fd, g->dir, sub, leaf);
}

int guard_pin_next(const struct guard *fresh)
{
	int err = pin_next(guard_boot_fd(fresh), fresh, "", "boot");

	for (size_t i = 0; i < PROG_ID_MAX && !err; i++)
		if (fresh->prog[i] >= 0)
			err = pin_next(fresh->prog[i], fresh, "progs/", prog_names[i]);
	return err;
}

/* Renamed over the one there was, or removed. */
static int end_next(const struct guard *g, const char *sub, const char *name, bool keep)
{
	char to[PATH_MAX], from[PATH_MAX];
	int err = path_format(to, sizeof(to), "%s/%s%s", g->dir, sub, name);

	if (!err)
		err = path_format(from, sizeof(from), "%s/%s%s" NEXT, g->dir, sub, name);
	if (!err && (keep ? rename(from, to) : unlink(from)) && errno != ENOENT)
		err = -errno;
	return err ? log_err(err, "replace %s/%s%s", g->dir, sub, name) : 0;
}

int guard_end_next(const struct guard *g, bool keep)
{
	int err = end_next(g, "", "boot", keep);

	for (size_t i = 0; i < PROG_ID_MAX && (!err || !keep); i++)
		err = end_next(g, "progs/", prog_names[i], keep);
	return err;
}

__u32 guard_next_prog_id(const struct guard *g, enum prog_id prog)
{
	char name[48];
	autoclose int fd = -1;

	snprintf(name, sizeof(name), "progs/%s" NEXT, prog_names[prog]);
	fd = pin_get(g->dir, name);
	return prog_id_of(fd);
}
