/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log sink, small files, directory trees, the lock. Nothing here knows BPF maps. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <bpf/libbpf.h>

#include "text.h"
#include "util.h"

bool log_verbose;

static void log_line(const char *head, const char *fmt, va_list args, int err)
{
	char line[1024];
	int len = vsnprintf(line, sizeof(line), fmt, args);

	/* one write per line, so that two processes on one terminal do not mix */
	if (len < 0)
		return;
	if (err)
		fprintf(stderr, "%s%s: %s\n", head, line, strerror(-err));
	else
		fprintf(stderr, "%s%s\n", head, line);
}

#define LOG_LINE(head, fmt, err)                 \
	do {                                     \
		va_list args_;                   \
		va_start(args_, fmt);            \
		log_line(head, fmt, args_, err); \
		va_end(args_);                   \
	} while (0)

int log_err(int err, const char *fmt, ...)
{
	LOG_LINE("synwarden: ", fmt, err);
	return err;
}

int log_refuse(int err, const char *fmt, ...)
{
	LOG_LINE("synwarden: ", fmt, 0);
	return err;
}

int log_usage(const char *fmt, ...)
{
	LOG_LINE("synwarden: ", fmt, 0);
	return 2;
}

void log_hint(const char *fmt, ...)
{
	LOG_LINE("hint: ", fmt, 0);
}

void log_note(const char *fmt, ...)
{
	LOG_LINE("synwarden: note: ", fmt, 0);
}

void log_debug(const char *fmt, ...)
{
	if (log_verbose)
		LOG_LINE("synwarden: debug: ", fmt, 0);
}

static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (!log_verbose || level > LIBBPF_INFO)
		return 0;
	return vfprintf(stderr, fmt, args);
}

void log_take_libbpf(void)
{
	libbpf_set_print(print_libbpf);
}

int path_format(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : 0;
}

int file_read_long(const char *path, long *value)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32];
	ssize_t len;
	__u64 n;

	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	if (len < 0)
		return -errno;
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (text_u64(text, 0, LONG_MAX, &n))
		return -EINVAL;
	*value = (long)n;
	return 0;
}

int file_write_long(const char *path, long value)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", value);

	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		return -errno;
	return 0;
}

/* `last`, unless NULL, goes when nothing else is left in it. */
static int tree_remove_at(int parent, const char *name, const char *last)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *entry;
	int err = 0;
	DIR *dir;

	if (fd < 0) {
		if (errno != ENOTDIR && errno != ELOOP)
			return errno == ENOENT ? 0 : -errno;
		return unlinkat(parent, name, 0) ? -errno : 0;
	}
	dir = fdopendir(fd);
	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	while (!err && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    (last && !strcmp(entry->d_name, last)))
			continue;
		err = tree_remove_at(dirfd(dir), entry->d_name, NULL);
		/* bpffs directories change under a reader: start over after each removal */
		if (!err)
			rewinddir(dir);
	}
	if (!err && last && unlinkat(dirfd(dir), last, 0) && errno != ENOENT)
		err = -errno;
	closedir(dir);
	if (!err && unlinkat(parent, name, AT_REMOVEDIR))
		err = -errno;
	return err;
}

int tree_remove(const char *path, const char *last)
{
	return tree_remove_at(AT_FDCWD, path, last);
}

int random_fill(void *buf, size_t size)
{
	ssize_t len = getrandom(buf, size, 0);

	if (len < 0)
		return -errno;
	return (size_t)len == size ? 0 : -EIO;
}

/* As they were before the lock: the daemon never takes these signals but from a descriptor. */
static sigset_t signals_before;

static void signals_hold(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE); /* who reads what is said may end first, as head does */
	sigprocmask(SIG_BLOCK, &set, &signals_before);
}

/* Read-only, which is enough for flock(): a sandbox may have /run so. */
static int lock_open(void)
{
	int lock = open(SW_LOCK, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	return lock < 0 ? log_err(-errno, "open %s", SW_LOCK) : lock;
}

int lock_take(int *fd)
{
	int lock = lock_open();
	int err;

	if (lock < 0)
		return lock;
	if (flock(lock, LOCK_EX | LOCK_NB)) {
		log_note("waiting for another run that changes a guard");
		if (flock(lock, LOCK_EX)) {
			err = log_err(-errno, "lock %s", SW_LOCK);
			close(lock);
			return err;
		}
	}
	signals_hold();
	*fd = lock;
	return 0;
}

int lock_try(int *fd)
{
	autoclose int lock = lock_open();

	if (lock < 0)
		return lock;
	if (flock(lock, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : log_err(-errno, "lock %s", SW_LOCK);
	signals_hold();
	*fd = TAKE_FD(lock);
	return 0;
}

void lock_release(int *fd)
{
	if (*fd < 0)
		return;
	close_fdp(fd);
	sigprocmask(SIG_SETMASK, &signals_before, NULL);
}
