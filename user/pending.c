/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration that waits for its confirmation; see pending.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "pending.h"
#include "remember.h"
#include "table.h"

/* A failed roll-back is tried again so often, by the process that waits for it. */
#define TRIES      5
#define TRY_WAIT_S 2

/* The head of the file; its list entries are behind it. Of this boot and this program only. */
struct waiting {
	char magic[8];
	__u32 abi;
	__u32 guard;       /* id of its map of settings */
	__u64 deadline_ns; /* CLOCK_BOOTTIME */
	__u64 token;       /* random: it is this one */
	__u32 entries;
	__u32 was_applied; /* `applied` is what to put back, too */
	struct applied_record applied;
	struct services services;
	struct sw_settings limits;
};
static const char magic[8] = "SWBACK1";

/* -ENOENT: none, or one that is not of this guard; 0: whichever it is of. Silent. */
static int waiting_open(const char *pin, __u32 guard, struct waiting *w, int *fd)
{
	autoclose int file = remember_open(pin, "rollback", O_RDONLY);
	struct stat st;

	if (file < 0)
		return file;
	if (read(file, w, sizeof(*w)) != sizeof(*w) || memcmp(w->magic, magic, sizeof(magic)) ||
	    w->abi != SW_ABI_VERSION || (guard && w->guard != guard) || fstat(file, &st) ||
	    w->entries > SW_LIST_ENTRIES ||
	    (__u64)st.st_size != sizeof(*w) + w->entries * sizeof(struct list_entry))
		return -ENOENT;
	*fd = TAKE_FD(file);
	return 0;
}

static int waiting_head(const char *pin, __u32 guard, struct waiting *w)
{
	autoclose int fd = -1;

	return waiting_open(pin, guard, w, &fd);
}

static int seconds_left(const struct waiting *w)
{
	__u64 now = clock_ns(CLOCK_BOOTTIME);

	return now < w->deadline_ns ? (int)((w->deadline_ns - now + 999999999) / 1000000000) : 0;
}

int pending_look(const struct guard *g)
{
	struct waiting w;
	int err = waiting_head(g->dir, guard_id(g), &w);

	return err ? err : seconds_left(&w);
}

void pending_drop(const struct guard *g)
{
	remember_remove(g->dir, "rollback");
}

/* --- keeping ------------------------------------------------------------------------------ */

static int waiting_save(const struct guard *g, __u32 seconds, __u64 *token)
{
	autolists struct list_set lists = { 0 };
	autofree char *all = NULL;
	struct waiting w = {
		.abi = SW_ABI_VERSION,
		.guard = guard_id(g),
		.deadline_ns = clock_ns(CLOCK_BOOTTIME) + seconds * 1000000000ULL,
	};
	int err = random_fill(&w.token, sizeof(w.token));
	size_t size;

	memcpy(w.magic, magic, sizeof(magic));
	if (!err)
		err = mapio_services(g, &w.services);
	if (!err)
		err = mapio_settings(g, &w.limits);
	if (!err)
		err = mapio_lists(g, &lists);
	if (err)
		return err;
	w.was_applied = applied_read(g, &w.applied);
	w.entries = lists.count;
	size = lists.count * sizeof(*lists.entry);
	all = malloc(sizeof(w) + size);
	if (!all)
		return log_err(-ENOMEM, "keep what runs");
	memcpy(all, &w, sizeof(w));
	if (size)
		memcpy(all + sizeof(w), lists.entry, size);
	*token = w.token;
	return remember_write(g->dir, "rollback", all, sizeof(w) + size);
}

static int read_whole(int fd, void *buf, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, (char *)buf + done, size - done);

		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Everything as it was kept, by ids. What was kept goes only if that worked. */
static int roll_back(const struct guard *g)
{
	autolists struct list_set lists = { 0 };
	autoclose int fd = -1;
	struct waiting w;
	int err = waiting_open(g->dir, guard_id(g), &w, &fd);

	if (err)
		return err;
	lists.entry = calloc(w.entries ? w.entries : 1, sizeof(*lists.entry));
	if (!lists.entry)
		return log_err(-ENOMEM, "roll back");
	lists.count = lists.room = w.entries;
	err = read_whole(fd, lists.entry, w.entries * sizeof(*lists.entry));
	if (err)
		return log_err(err, "read what ran before");
	err = rollout(g, &(struct rollout){
				 .services = &w.services, .limits = &w.limits, .lists = &lists });
	if (err)
		return err;
	if (w.was_applied)
		remember_write(g->dir, "applied", &w.applied, sizeof(w.applied));
	else
		remember_remove(g->dir, "applied");
	pending_drop(g);
	return 0;
}

/* --- the process that waits --------------------------------------------------------------- */

/* True: it is over and ours still waits. False: someone confirmed it, took it back, or detached. */
static bool wait_for_end(const char *pin, __u64 token)
{
	autoclose int watch = remember_watch();
	struct pollfd pollfd = { .fd = watch, .events = POLLIN };
	struct waiting w;
	char events[1024];

	while (!waiting_head(pin, 0, &w) && w.token == token && guard_find(pin) != GUARD_NONE) {
		int left = seconds_left(&w);

		if (!left)
			return true;
		/* a suspended machine's clock goes on, a guard is detached: look now and then */
		poll(&pollfd, 1, left < 10 ? left * 1000 : 10000);
		if (pollfd.revents)
			while (read(watch, events, sizeof(events)) > 0)
				;
	}
	return false;
}

/* Under the lock, with the guard as it is by then. */
static int end_wait(const char *pin, __u64 token)
{
	autoguard struct guard g = GUARD_INIT;
	autolock int lock = -1;
	struct waiting w;
	int err = lock_take(&lock);

	if (err)
		return err;
	err = guard_open(&g, pin);
	if (err)
		return err == -ENOENT ? 0 : err;
	if (waiting_head(pin, guard_id(&g), &w) || w.token != token)
		return 0;
	return roll_back(&g);
}

/*
 * Nothing of the session that began it is kept: not its terminal, not its directory, no file. It
 * begins under a lock, which holds signals back; here SIGTERM and SIGINT end it at once, as the
 * end of a machine or of a session's scope must not wait, and a reboot takes back more than it
 * does. What is due then is made by the daemon or the next command. Only the roll-back itself,
 * under the lock again, is not cut short.
 */
static void leave_session(void)
{
	sigset_t none;
	int null;

	setsid();
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (chdir("/"))
		_exit(1);
	close_range(0, ~0U, 0);
	null = open("/dev/null", O_RDWR);
	while (null >= 0 && null < 2)
		null = dup(null);
}

static void waiter(const char *pin, __u64 token)
{
	leave_session();
	if (!wait_for_end(pin, token)) {
		/* what a guard ran that is detached is of no use to the next one */
		if (guard_find(pin) == GUARD_NONE)
			remember_remove(pin, "rollback");
		_exit(0);
	}
	for (int i = 0; i < TRIES; i++) {
		if (!end_wait(pin, token))
			_exit(0);
		sleep(TRY_WAIT_S);
	}
	_exit(1);
}

/* Twice, so that it is nobody's child. */
static int waiter_start(const struct guard *g, __u64 token)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return log_err(-errno, "start the process that rolls back");
	if (!pid) {
		pid = fork();
		if (!pid)
			waiter(g->dir, token);
		_exit(pid < 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return log_err(-errno, "start the process that rolls back");
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return log_refuse(-EAGAIN, "the process that rolls back cannot be started");
}

int pending_begin(const struct guard *g, __u32 seconds)
{
	__u64 token;
	int err = waiting_save(g, seconds, &token);

	if (err)
		return err;
	err = waiter_start(g, token);
	if (err)
		pending_drop(g);
	return err;
}

int pending_clear(const struct guard *g)
{
	int left = pending_look(g);
	int err;

	if (left < 0)
		return 0;
	if (left) {
		log_refuse(-EBUSY, "a configuration waits %d s more for its confirmation", left);
		log_hint("'synwarden confirm' keeps it; else what ran before comes back by itself");
		return -EBUSY;
	}
	err = roll_back(g);
	if (!err)
		log_note(
			"a configuration was not confirmed in time: what ran before it runs again");
	return err;
}

int pending_confirm(const struct guard *g)
{
	int left = pending_look(g);
	int err;

	if (left < 0)
		return log_refuse(-ENOENT, "no configuration waits for its confirmation");
	if (left) {
		pending_drop(g);
		return 0;
	}
	err = pending_clear(g);
	return err ? err : log_refuse(-ETIME, "the confirmation came too late");
}

void pending_poll(const struct guard *g)
{
	autolock int lock = -1;

	/* another run has the lock, and may be stopped: at the next turn */
	if (!pending_look(g) && !lock_try(&lock))
		pending_clear(g);
}
