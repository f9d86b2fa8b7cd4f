/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One daemon to a guard; see only_one.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kernel.h"
#include "only_one.h"
#include "util.h"

static bool find_holder(const struct stat *st, char pid[24])
{
	char line[256], want[64], word[24];
	FILE *locks = fopen("/proc/locks", "re");
	bool found = false;

	snprintf(want, sizeof(want), " %02x:%02x:%llu ", major(st->st_dev), minor(st->st_dev),
		 (unsigned long long)st->st_ino);
	while (locks && !found && fgets(line, sizeof(line), locks)) {
		const char *at = strstr(line, " WRITE ");

		if (!at || !strstr(line, want) || !strstr(line, "FLOCK"))
			continue;
		at += strlen(" WRITE ");
		snprintf(word, sizeof(word), "%.*s", (int)strspn(at, "0123456789"), at);
		memcpy(pid, word, sizeof(word));
		found = true;
	}
	if (locks)
		fclose(locks);
	return found;
}

/* The directory that is locked, and what it is. */
static int links_open(const struct guard *g, char path[PATH_MAX], struct stat *st)
{
	autoclose int fd = -1;
	int err = path_format(path, PATH_MAX, "%s/links", g->dir);

	if (err)
		return log_err(err, "pin directory");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, st))
		return log_err(-errno, "open %s", path);
	return TAKE_FD(fd);
}

int only_one_take(const struct guard *g, int *held)
{
	char path[PATH_MAX], pid[24] = "?";
	struct stat st;
	autoclose int fd = links_open(g, path, &st);

	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return log_err(-errno, "lock %s", path);
		find_holder(&st, pid);
		log_refuse(-EBUSY, "a daemon runs for the guard at %s already: process %s", g->dir,
			   pid);
		return -EBUSY;
	}
	*held = TAKE_FD(fd);
	return 0;
}

bool only_one_runs(const struct guard *g)
{
	char path[PATH_MAX], pid[24];
	struct stat st;
	autoclose int fd = links_open(g, path, &st);

	return fd >= 0 && find_holder(&st, pid);
}
