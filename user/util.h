/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every file needs: log, owned locals, the lock. Nothing here knows BPF maps.
 *
 * Log functions write one line to stderr and hand the code back, so that a failure is
 * `return log_err(err, "open %s", path);`. Functions return 0 or negative errno.
 */
#ifndef SW_UTIL_H
#define SW_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Closed and freed when they leave scope; a descriptor that was moved out is -1. */
static inline void close_fdp(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void free_ptrp(void *ptr)
{
	free(*(void **)ptr);
}

#define autoclose __attribute__((cleanup(close_fdp)))
#define autofree  __attribute__((cleanup(free_ptrp)))

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
#define TAKE_FD(fd) take_fd(&(fd))

#define format_like(n) __attribute__((format(printf, n, (n) + 1)))

extern bool log_verbose;

/* "synwarden: TEXT: errno text"; returns err. */
int log_err(int err, const char *fmt, ...) format_like(2);
/* "synwarden: TEXT", the cause is in the text; returns err. */
int log_refuse(int err, const char *fmt, ...) format_like(2);
/* "synwarden: TEXT" for wrong arguments; returns the exit code 2. */
int log_usage(const char *fmt, ...) format_like(1);
/* "hint: TEXT", what to do about the line before. */
void log_hint(const char *fmt, ...) format_like(1);
/* "synwarden: note: TEXT", worth knowing, not a failure. */
void log_note(const char *fmt, ...) format_like(1);
/* With -v only. */
void log_debug(const char *fmt, ...) format_like(1);
/* Sends libbpf's messages to log_debug. */
void log_take_libbpf(void);

/* 0 for success, 1 for every failure. */
static inline int exit_code(int err)
{
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Formats a path; -ENAMETOOLONG instead of a cut one. */
int path_format(char *buf, size_t size, const char *fmt, ...) format_like(3);

/* Reads the one number a /proc or /sys file holds. */
int file_read_long(const char *path, long *value);
int file_write_long(const char *path, long value);

/*
 * In nanoseconds, as the programs read them: wherever a time goes into a map, comes from one or
 * is kept for another run, it is this one's. And the time of day of one of CLOCK_MONOTONIC.
 */
void clock_begin(void); /* once, while /proc may be read */
__u64 clock_ns(int clock);
__u64 wall_ns(__u64 monotonic_ns);

/* Removes a directory tree, of its entries `last`, unless NULL, when all else is gone; no tree is no error. */
int tree_remove(const char *path, const char *last);

/* Empty, or from the kernel's random source. */
int random_fill(void *buf, size_t size);

/*
 * Serialises every run that changes a guard: an exclusive lock on a file only root can open,
 * so that nobody else can hold us up. SIGINT, SIGTERM, SIGHUP and SIGPIPE wait
 * until the lock is released, so an interrupt never leaves half a guard.
 */
int lock_take(int *fd);
/* The same without waiting: -EBUSY, unsaid, when another run holds it. */
int lock_try(int *fd);
#define SW_LOCK "/run/synwarden.lock"
void lock_release(int *fd);
#define autolock __attribute__((cleanup(lock_release)))

#endif /* SW_UTIL_H */
