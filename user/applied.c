/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which file was applied to a guard; see pending.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pending.h"
#include "remember.h"
#include "util.h"

/* FNV-1a: tells a file that was changed by people from one that was not. */
__u64 applied_hash(const char *text, size_t len)
{
	__u64 hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3;
	return hash;
}

bool applied_read(const struct guard *g, struct applied_record *a)
{
	autoclose int fd = remember_open(g->dir, "applied", O_RDONLY);

	if (fd < 0 || read(fd, a, sizeof(*a)) != sizeof(*a) || a->guard != guard_id(g))
		return false;
	a->path[sizeof(a->path) - 1] = '\0';
	return true;
}

int applied_need(const struct guard *g, struct applied_record *a)
{
	if (applied_read(g, a))
		return 0;
	log_refuse(-ENOENT, "no configuration file was applied to this guard, nothing changes");
	log_hint("'synwarden apply FILE' brings one into force, and a reload will read it again");
	return -ENOENT;
}

/*
 * As it is named, links and all: where a link leads to may be exchanged, and what it leads to by
 * then is what a reload is to read.
 */
static int full_path(const char *path, char full[PATH_MAX])
{
	char here[PATH_MAX] = "";

	if (*path != '/' && !getcwd(here, sizeof(here)))
		return -errno;
	return path_format(full, PATH_MAX, "%s%s%s", here, *path == '/' ? "" : "/", path);
}

void applied_note(const struct guard *g, const char *path)
{
	struct applied_record a = { .guard = guard_id(g) };
	autofaults struct faults f = { 0 };
	autofree char *text = NULL;
	size_t len;

	if (!config_load(path, &text, &len, &f) && !full_path(path, a.path)) {
		a.hash = applied_hash(text, len);
		if (!remember_write(g->dir, "applied", &a, sizeof(a)))
			return;
	}
	log_note("it is in force, but status will not know of the file");
}

void applied_saved(const struct guard *g, const char *path)
{
	struct applied_record a;
	struct stat was, is;

	if (applied_read(g, &a) && !stat(a.path, &was) && !stat(path, &is) &&
	    was.st_dev == is.st_dev && was.st_ino == is.st_ino)
		applied_note(g, a.path);
}
