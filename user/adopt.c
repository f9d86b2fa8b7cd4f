/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Learns the sockets this network namespace holds: the presence filter is built from them, and
 * the connection tables get what they lack. Attach does it before anything may be answered;
 * `adopt`, `run`, and a service that begins to be judged do it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>

#include <bpf/bpf.h>

#include "kernel.h"
#include "table.h"
#include "util.h"

/* Cookies of the kernel, which a handshake before the guard may carry, live this long. */
#define GRACE_S 130

__u64 grace_end(void)
{
	return clock_ns(CLOCK_MONOTONIC) + GRACE_S * 1000000000ULL;
}

/*
 * MEMBARRIER_CMD_GLOBAL is synchronize_rcu(), and programs run inside an RCU read section.
 * Without the call (nohz_full CPUs refuse it) 20 ms are far beyond any one packet.
 */
void wait_for_packets(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(20000);
}

static int sockets_walk(const struct guard *g)
{
	autoclose int link = bpf_link_create(g->prog[PROG_ADOPT], 0, BPF_TRACE_ITER, NULL);
	autoclose int iter = -1;
	char none[64];
	ssize_t len;

	if (link < 0)
		return log_err(-errno, "socket iterator");
	iter = bpf_iter_create(link);
	if (iter < 0)
		return log_err(-errno, "socket iterator");
	do
		len = read(iter, none, sizeof(none));
	while (len > 0 || (len < 0 && (errno == EINTR || errno == EAGAIN)));
	return len < 0 ? log_err(-errno, "walk the sockets") : 0;
}

int adopt_lock(const struct guard *g, __u32 wait_ms)
{
	autoclose int fd = open(g->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const __u32 step_ms = 10;

	if (fd < 0)
		return log_err(-errno, "open %s", g->dir);
	for (__u32 ms = 0; flock(fd, LOCK_EX | LOCK_NB); ms += step_ms) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return log_err(-errno, "lock %s", g->dir);
		if (ms < wait_ms)
			usleep(step_ms * 1000);
		else if (wait_ms)
			return log_refuse(-EBUSY,
					  "another run walks over the sockets for %u s: "
					  "was it stopped?",
					  wait_ms / 1000);
		else
			return -EBUSY;
	}
	return TAKE_FD(fd);
}

/* Connections that stall are only worth a count where there is a limit on them. */
static int count_stalled(const struct guard *g, struct sources *src)
{
	struct services set;
	int err = mapio_services(g, &set);

	for (__u32 id = 1; id < SW_MAX_SERVICES && !err; id++)
		if (set.slot[id].limited)
			return sources_open(g, src, true);
	return err;
}

int adopt_walk(const struct guard *g)
{
	autosources struct sources src = { 0 };
	int err = count_stalled(g, &src);

	if (err)
		return err;
	sources_walk_begin(&src);
	err = sockets_walk(g);
	if (!err)
		sources_walk_end(&src);
	return err;
}

/*
 * The half that nobody reads is cleared, then both are marked while the sockets are walked,
 * then readers change over. So the filter never lacks a tuple: one that appears meanwhile is
 * marked by the packet that makes it, in both halves. What the tables have no room for the walk
 * finds again.
 */
int adopt_rebuild(const struct guard *g)
{
	autotables struct tables t = { 0 };
	struct sw_settings s;
	int walked, err = mapio_settings(g, &s);

	if (!err)
		err = tables_open_parts(g, &t);
	if (err)
		return err;
	if (s.live_both) { /* a run before was killed half-way */
		s.live_both = 0;
		err = mapio_settings_set(g, &s);
		if (err)
			return err;
		wait_for_packets();
	}
	err = mapio_live_clear(g, (s.live_gen + 1) & 1);
	if (err)
		return err;
	s.live_both = 1;
	err = mapio_settings_set(g, &s);
	if (err)
		return err;
	wait_for_packets();
	tables_unlisted(&t, false);
	walked = adopt_walk(g);
	if (walked) {
		tables_unlisted(&t, true);
	} else {
		s.live_gen++;
		walked = mapio_settings_set(g, &s);
		wait_for_packets();
	}
	s.live_both = 0;
	err = mapio_settings_set(g, &s);
	return walked ? walked : err;
}

int adopt_run(const struct guard *g)
{
	autoclose int lock = adopt_lock(g, ADOPT_WAIT_MS);

	return lock < 0 ? lock : adopt_rebuild(g);
}
