/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run: the daemon. One loop sweeps, follows the devices, changes the keys, reads the events, lets
 * itself be asked and tells the service manager. No packet waits for it; when it ends, however it
 * ends, the guard stays as it is.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "cmd.h"
#include "config_run.h"
#include "confine.h"
#include "control_serve.h"
#include "feed.h"
#include "follow.h"
#include "history.h"
#include "metrics.h"
#include "notify.h"
#include "only_one.h"
#include "pending.h"
#include "table.h"
#include "util.h"

/* A walk costs the host a microsecond or two for each of its sockets. */
#define ASK_EVERY_S 10
/* What the filter learns it never forgets: it fills up until it is rebuilt. */
#define REBUILD_EVERY_S 300
/* It takes the longer the more sockets there are: no more than a 640th of the time, 0.16 %. */
#define REBUILD_SHARE 640
#define REBUILD_MAX_S 3600
/* Messages of netlink can be lost; links are looked at this often in any case. */
#define LOOK_EVERY_US 5000000
/* A change comes as several messages: one look behind them. */
#define SETTLE_US 20000
/* Another run holds the lock. */
#define BUSY_US 100000
/* Or a key is too young. */
#define ROTATE_AGAIN_US 1000000

struct daemon {
	const struct opts *o;
	struct guard g;
	struct sweep sweep;
	struct sweep_parts parts;
	__u32 rebuilt_at_s;
	__u32 rebuild_in_s; /* from then on */
	__u32 expire_at_s;  /* of the lists */
	struct follow follow;
	struct feed *feed;
	struct history *history;
	struct control control;
	int loop; /* epoll */
	int look; /* timer */
	bool look_soon;
	int rotate; /* timer */
	int reload; /* timer */
	bool reload_waits;
	bool ends;
	struct text_why failed; /* the last reload, "": it did not */
	char status[320];       /* as the service manager was told */
};

/* What the loop waits for; the index is what epoll hands back. */
enum source {
	SIGNALS,
	LINKS,
	LOOK,
	SWEEP,
	ROTATE,
	RELOAD,
	WATCHDOG,
	SECOND,
	EVENTS,
	CONTROL,
	SOURCES
};

static int timer_set(int fd, __u64 first_us, __u64 every_us)
{
	const struct itimerspec when = {
		.it_value = { (time_t)(first_us / 1000000), (long)(first_us % 1000000) * 1000 },
		.it_interval = { (time_t)(every_us / 1000000), (long)(every_us % 1000000) * 1000 },
	};

	return timerfd_settime(fd, 0, &when, NULL) ? log_err(-errno, "set a timer") : 0;
}

/* The first time after one period; never with a period of 0. */
static int timer_open(__u64 every_us)
{
	autoclose int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int err = fd < 0 ? log_err(-errno, "make a timer") : timer_set(fd, every_us, every_us);

	return err ? err : TAKE_FD(fd);
}

static void timer_read(int fd)
{
	__u64 times;

	while (read(fd, &times, sizeof(times)) > 0)
		;
}

/* --- sweeping ----------------------------------------------------------------------------- */

static void note_rebuilt(struct daemon *d, __u32 now, __u64 took_ns)
{
	__u64 rest_s = took_ns * REBUILD_SHARE / 1000000000;

	d->rebuilt_at_s = now;
	d->rebuild_in_s = rest_s > REBUILD_MAX_S ? REBUILD_MAX_S : (__u32)rest_s;
	if (d->rebuild_in_s < REBUILD_EVERY_S)
		d->rebuild_in_s = REBUILD_EVERY_S;
}

static int sweep_turn(struct daemon *d)
{
	struct sweep next = { .parts = &d->parts,
			      .asked_at_s = d->sweep.asked_at_s,
			      .no_wait = true };
	__u64 began_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	__u32 now = conn_now();
	autolock int lock = -1;
	autotables struct tables t = { 0 };
	/* sockets of another namespace would say nothing of these connections */
	bool here = follow_guarded(&d->follow);
	int err;

	next.rebuild = here && conn_since(d->rebuilt_at_s, now) >= d->rebuild_in_s;
	/* another run has the lock, and may rebuild it itself: at the next turn */
	if (next.rebuild && lock_try(&lock))
		next.rebuild = false;
	next.may_ask = next.rebuild || (here && (!next.asked_at_s ||
						 conn_since(next.asked_at_s, now) >= ASK_EVERY_S));
	/* mapped for the turn only: a hundred bytes for each connection, else counted as ours */
	err = tables_open_parts(&d->g, &t);
	/* a guard removed meanwhile is not to be written to */
	if (!err && guard_is_pinned(&d->g))
		err = table_sweep(&d->g, &t, &next);
	/* another run walks: at the next turn */
	if (err == -EBUSY)
		return 0;
	if (!err && next.rebuild)
		note_rebuilt(d, now, clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began_ns);
	d->sweep = next;
	if (!err && d->o->json)
		sweep_json(&d->sweep);
	log_debug("sweep: looked at %u, due %u, held %u, freed %u", next.looked, next.due,
		  next.held, sweep_freed(&next));
	return err;
}

/* False, and the end, when the guard is gone. */
static bool still_there(struct daemon *d)
{
	if (guard_is_pinned(&d->g))
		return true;
	log_note("the guard at %s is gone", d->g.dir);
	d->ends = true;
	return false;
}

static int on_sweep(struct daemon *d)
{
	int err;

	if (!still_there(d))
		return 0;
	pending_poll(&d->g);
	guard_mend_drain(&d->g);
	/* an upgrade may have replaced them */
	err = guard_reopen_programs(&d->g);
	lists_expire(&d->g, &d->expire_at_s); /* what fails has been said, and is tried again */
	if (!err)
		err = sweep_turn(d);
	/* a guard removed meanwhile is no failure */
	return err && !still_there(d) ? 0 : err;
}

/* --- following ---------------------------------------------------------------------------- */

static void tell_status(struct daemon *d)
{
	char text[sizeof(d->status)];
	__u32 on = follow_guarded(&d->follow);

	/* first, as what is too long is cut, and this is what must be acted on */
	snprintf(text, sizeof(text), "%s%s%s%u device%s guarded, %u waited for",
		 *d->failed.text ? "RELOAD FAILED: " : "", d->failed.text,
		 *d->failed.text ? "; " : "", on, on == 1 ? "" : "s", d->follow.count - on);
	if (!strcmp(text, d->status))
		return;
	memcpy(d->status, text, sizeof(text));
	notify("STATUS=%s", text);
}

static int look_again(struct daemon *d, __u64 in_us)
{
	d->look_soon = true;
	return timer_set(d->look, in_us, LOOK_EVERY_US);
}

/* What fails is tried again at the next look: a device may vanish between two questions. */
static int on_look(struct daemon *d)
{
	int busy;

	d->look_soon = false;
	if (!still_there(d))
		return 0;
	busy = follow_check(&d->g, &d->follow);
	tell_status(d);
	return busy == 1 ? look_again(d, BUSY_US) : 0;
}

static void on_change(const struct netdev_facts *facts, void *daemon)
{
	struct daemon *d = daemon;

	if (follow_change(&d->follow, facts) && !d->look_soon)
		look_again(d, SETTLE_US);
}

static int on_links(struct daemon *d, int fd)
{
	int lost = netdev_changes(fd, on_change, d);

	if (lost == 1)
		log_note("changes of devices came too fast and were lost: looking at all");
	return lost == 1 ? look_again(d, SETTLE_US) : 0;
}

/* --- keys, reload, end -------------------------------------------------------------------- */

/* By the age of the newest key, whichever daemon made it: restarts put nothing off. */
static __u64 rotate_first_us(const struct daemon *d)
{
	struct sw_keysched sched;
	__u64 age_s = 0;

	if (!mapio_keysched(&d->g, &sched))
		/* since epoch 0: also one that takes over with the next */
		age_s = key_age(&d->g, &(struct sw_keysched){ .now = sched.now });
	return age_s < d->o->rotate_s ? (d->o->rotate_s - age_s) * 1000000 : ROTATE_AGAIN_US;
}

static int on_rotate(struct daemon *d)
{
	autolock int lock = -1;

	if (!still_there(d))
		return 0;
	if (!key_may_rotate(&d->g) || lock_try(&lock))
		return timer_set(d->rotate, ROTATE_AGAIN_US, (__u64)d->o->rotate_s * 1000000);
	key_rotate(&d->g);
	return 0;
}

/*
 * The lock may be held by a run that someone stopped: waiting for it here would end sweeps and
 * signs of life. So it is asked for again and again, and the reload is under way until then.
 */
static int on_reload(struct daemon *d)
{
	autolock int lock = -1;
	int err;

	if (!still_there(d))
		return 0;
	err = lock_try(&lock);
	if (err == -EBUSY) {
		if (!d->reload_waits)
			log_note("reload: waits for another run that changes a guard");
		d->reload_waits = true;
		return timer_set(d->reload, BUSY_US, 0);
	}
	d->reload_waits = false;
	if (err)
		snprintf(d->failed.text, sizeof(d->failed.text), "lock %s: %s", SW_LOCK,
			 strerror(-err));
	else if (!config_reload(&d->g, &d->failed))
		log_note("reload: the configuration file is in force");
	metrics_daemon_reload(!*d->failed.text);
	tell_status(d);
	notify("READY=1");
	return 0;
}

/* A sample that fails has said so; the next may not. */
static int on_second(struct daemon *d)
{
	feed_read(d->feed);
	if (history_sample(d->history, &d->g) || !history_now(d->history))
		return 0;
	feed_tick(d->feed, d->history);
	metrics_daemon_armed(history_before(d->history), history_now(d->history));
	return 0;
}

static int on_signals(struct daemon *d, int fd)
{
	struct signalfd_siginfo got;

	while (read(fd, &got, sizeof(got)) == sizeof(got)) {
		if (got.ssi_signo == SIGCHLD) {
			control_reap(&d->control);
			continue;
		}
		if (got.ssi_signo == SIGHUP) {
			notify("RELOADING=1\nMONOTONIC_USEC=%llu",
			       (unsigned long long)clock_ns(CLOCK_MONOTONIC) / 1000);
			on_reload(d);
			continue;
		}
		notify("STOPPING=1");
		log_note("ends; the guard at %s stays in force", d->g.dir);
		d->ends = true;
	}
	return 0;
}

/* --- the loop ----------------------------------------------------------------------------- */

static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* who started us may have ignored it, and ends of children would not be told */
	signal(SIGCHLD, SIG_DFL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? log_err(-errno, "wait for signals") : fd;
}

static int open_sources(struct daemon *d, int fd[SOURCES])
{
	int err = 0;

	fd[LINKS] = netdev_watch();
	fd[LOOK] = timer_open(LOOK_EVERY_US);
	fd[SWEEP] = timer_open((__u64)d->o->interval_s * 1000000);
	fd[ROTATE] = timer_open((__u64)d->o->rotate_s * 1000000);
	fd[RELOAD] = timer_open(0);
	fd[WATCHDOG] = timer_open(notify_watchdog_us() / 2);
	fd[SECOND] = timer_open(HISTORY_EVERY_S * 1000000);
	fd[EVENTS] = feed_fd(d->feed);
	fd[CONTROL] = d->control.fd;
	d->look = fd[LOOK];
	d->rotate = fd[ROTATE];
	if (d->o->rotate_s && fd[ROTATE] >= 0)
		timer_set(fd[ROTATE], rotate_first_us(d), (__u64)d->o->rotate_s * 1000000);
	d->reload = fd[RELOAD];
	d->loop = epoll_create1(EPOLL_CLOEXEC);
	if (d->loop < 0)
		return log_err(-errno, "epoll");
	for (__u32 i = 0; i < SOURCES && !err; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };

		if (i == CONTROL && fd[i] < 0)
			continue;
		err = fd[i] < 0 ? fd[i] : 0;
		if (!err && epoll_ctl(d->loop, EPOLL_CTL_ADD, fd[i], &event))
			err = log_err(-errno, "epoll");
	}
	return err;
}

static int dispatch(struct daemon *d, const int fd[SOURCES], __u32 source)
{
	switch (source) {
	case SIGNALS:
		return on_signals(d, fd[SIGNALS]);
	case LINKS:
		return on_links(d, fd[LINKS]);
	case EVENTS:
		feed_read(d->feed);
		return 0;
	case CONTROL:
		control_accept(&d->control);
		return 0;
	}
	timer_read(fd[source]);
	switch (source) {
	case LOOK:
		return on_look(d);
	case SWEEP:
		return on_sweep(d);
	case ROTATE:
		return on_rotate(d);
	case RELOAD:
		return on_reload(d);
	case SECOND:
		return on_second(d);
	default:
		notify("WATCHDOG=1");
		return 0;
	}
}

static int loop(struct daemon *d, const int fd[SOURCES])
{
	int err = 0;

	while (!d->ends && !err) {
		struct epoll_event event[SOURCES];
		int got = epoll_wait(d->loop, event, SOURCES, -1);

		if (got < 0 && errno != EINTR)
			return log_err(-errno, "wait");
		for (int i = 0; i < got && !d->ends && !err; i++)
			err = dispatch(d, fd, event[i].data.u32);
	}
	return err;
}

/* What it is asked about. */
static int open_views(struct daemon *d)
{
	d->feed = feed_new(&d->g);
	d->history = history_new();
	if (!d->feed || !d->history)
		return -ENOMEM;
	metrics_daemon(d->o->rotate_s, feed_counts(d->feed));
	/* what is counted from here on is known by the first second */
	history_sample(d->history, &d->g);
	control_open(&d->control, &d->g, d->o);
	d->control.feed = d->feed;
	d->control.history = d->history;
	return 0;
}

static int daemon_run(struct daemon *d, int fd[SOURCES])
{
	int err = open_views(d);

	if (!err)
		err = open_sources(d, fd);
	if (!err)
		err = confine();
	/* after it, so that what it forbids is found out before anyone relies on it */
	if (!err)
		err = on_look(d);
	if (!err && !d->ends)
		err = sweep_turn(d);
	if (err || d->ends)
		return err;
	notify("READY=1\nSTATUS=%s", d->status);
	return loop(d, fd);
}

int cmd_run(const struct opts *o, int argc, char **argv)
{
	struct daemon d = { .o = o, .g = GUARD_INIT, .loop = -1, .control.fd = -1 };
	int fd[SOURCES] = { [0 ... SOURCES - 1] = -1 };
	autoclose int only = -1;
	int err = no_arguments("run", argc, argv);

	if (err)
		return err;
	note_rebuilt(&d, conn_now(), 0); /* attach has */
	fd[SIGNALS] = open_signals();
	err = fd[SIGNALS] < 0 ? fd[SIGNALS] : probe_require_capabilities("run");
	if (!err)
		err = guard_open(&d.g, o->pin);
	if (!err)
		err = only_one_take(&d.g, &only);
	/* a guard of another network namespace is not this daemon's */
	if (!err && dev_here(&d.g) < 0)
		err = -EXDEV;
	if (!err)
		err = sweep_parts_new(&d.g, &d.parts);
	if (!err)
		err = daemon_run(&d, fd);
	/* these two have owners */
	fd[EVENTS] = fd[CONTROL] = -1;
	for (size_t i = 0; i < SOURCES; i++)
		close_fdp(&fd[i]);
	control_close(&d.control);
	history_free(d.history);
	feed_free(d.feed);
	close_fdp(&d.loop);
	sweep_parts_free(&d.parts);
	guard_close(&d.g);
	return exit_code(err);
}
