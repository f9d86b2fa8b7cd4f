/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Would a daemon be able to read a file? It is root with no capability over files, and the unit
 * hides directories from it: what `apply` reads, a reload may not.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config_run.h"
#include "util.h"

/* ProtectHome and PrivateTmp of deploy/synwarden.service */
static const char *const hidden[] = { "/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/" };

/* As the kernel asks root who has no CAP_DAC_OVERRIDE: `bits` are r or x of "others". */
static bool root_may(const char *path, mode_t bits)
{
	struct stat st;

	if (stat(path, &st))
		return true; /* gone: nothing is known */
	if (!st.st_uid)
		return (st.st_mode >> 6 & bits) == bits;
	return ((st.st_gid ? st.st_mode : st.st_mode >> 3) & bits) == bits;
}

static void look_at(const char *name)
{
	char path[PATH_MAX];
	bool may;

	if (!realpath(name, path))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		if (!strncmp(path, hidden[i], strlen(hidden[i]))) {
			log_note("%s is hidden from synwarden.service: its reload will fail", path);
			return;
		}
	may = root_may(path, 04);
	for (char *slash; may && (slash = strrchr(path, '/')) && slash != path;) {
		*slash = '\0';
		may = root_may(path, 01);
	}
	if (!may)
		log_note("%s: the daemon, root without capabilities over files, may not read it: "
			 "its reload will fail",
			 name);
}

void reload_look(const struct config *c, const char *path)
{
	char name[PATH_MAX];

	look_at(path);
	for (__u32 i = 0; i < c->files; i++)
		if (!config_file_path(path, c->file[i].name, name))
			look_at(name);
}
