/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies in a pin directory: a guard of this version, of another, its remains, or neither. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "kernel.h"
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

int pins_check_version(const char *dir)
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
