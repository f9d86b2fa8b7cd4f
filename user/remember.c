/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of the runtime directory; see remember.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "pending.h"
#include "remember.h"

static const char *run_dir(void)
{
	const char *dir = secure_getenv("SYNWARDEN_RUN");

	return dir && *dir == '/' ? dir : SW_RUN_DEFAULT;
}

/* A descriptor of the directory, which nobody else may write to. */
static int dir_open(bool make)
{
	struct stat st;
	int fd, err;

	if (make && mkdir(run_dir(), 0711) && errno != EEXIST)
		return -errno;
	fd = open(run_dir(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fstat(fd, &st) ? -errno : 0;
	/* as it was started: the daemon may not even ask who it is */
	if (!err && (st.st_uid != getauxval(AT_EUID) || st.st_mode & 022))
		err = -EPERM;
	if (err)
		close(fd);
	return err ? err : fd;
}

void remember_directory(void)
{
	autoclose int dir = dir_open(true);

	(void)dir;
}

/* The path of the pins as one word: '/' is '-', '-' and '\' are written \xNN. */
static int file_name(const char *pin, const char *what, char name[NAME_MAX + 1])
{
	size_t n = 0;

	for (pin += *pin == '/'; *pin && n < NAME_MAX - 20; pin++) {
		if (*pin == '/')
			name[n++] = '-';
		else if (*pin == '-' || *pin == '\\')
			n += (size_t)sprintf(name + n, "\\x%02x", (unsigned char)*pin);
		else
			name[n++] = *pin;
	}
	if (*pin)
		return -ENAMETOOLONG;
	sprintf(name + n, ".%.16s", what);
	return 0;
}

int remember_path(const char *pin, const char *what, char *buf, size_t size)
{
	char name[NAME_MAX + 1];
	int err = file_name(pin, what, name);

	return err ? err : path_format(buf, size, "%s/%s", run_dir(), name);
}

int remember_open(const char *pin, const char *what, int flags)
{
	autoclose int dir = dir_open(false);
	char name[NAME_MAX + 1];
	int fd, err = dir < 0 ? dir : file_name(pin, what, name);

	if (err)
		return err;
	fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int write_whole(int fd, const void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, (const char *)data + done, size - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int remember_write(const char *pin, const char *what, const void *data, size_t size)
{
	autoclose int dir = dir_open(true);
	autoclose int fd = -1;
	char name[NAME_MAX + 1], new[NAME_MAX + 8];
	int err = dir < 0 ? dir : file_name(pin, what, name);

	if (err)
		return log_err(err, "use the directory %s", run_dir());
	snprintf(new, sizeof(new), "%s.new", name);
	fd = openat(dir, new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	err = fd < 0 ? -errno : write_whole(fd, data, size);
	if (!err && renameat(dir, new, dir, name))
		err = -errno;
	if (err && fd >= 0)
		unlinkat(dir, new, 0);
	return err ? log_err(err, "write %s/%s", run_dir(), name) : 0;
}

void remember_remove(const char *pin, const char *what)
{
	autoclose int dir = dir_open(false);
	char name[NAME_MAX + 1];

	if (dir >= 0 && !file_name(pin, what, name))
		unlinkat(dir, name, 0);
}

int remember_watch(void)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (inotify_add_watch(fd, run_dir(), IN_DELETE | IN_MOVED_TO) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}
