/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sweep, run: what has ended leaves the tables. Nothing in the packet path waits for it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "table.h"
#include "util.h"

/* A walk costs the host a microsecond or two for each of its sockets. */
#define ASK_EVERY_S 10
/* What the filter learns it never forgets: it fills up until it is rebuilt. */
#define REBUILD_EVERY_S 300

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static __u32 freed_sum(const struct sweep *s)
{
	__u32 sum = 0;

	for (__u32 i = 0; i < SW_STATE_MAX; i++)
		sum += s->freed[i];
	return sum;
}

static void sweep_json(const struct sweep *s)
{
	struct json j;

	json_begin(&j, stdout);
	json_object(&j, NULL);
	json_u64(&j, "looked_at", s->looked);
	json_u64(&j, "asked_for", s->asked ? s->due : 0);
	json_u64(&j, "held", s->held);
	json_u64(&j, "freed", freed_sum(s));
	json_object(&j, "freed_by_state");
	for (__u32 i = SW_CLOSED; i < SW_STATE_MAX; i++)
		if (s->freed[i])
			json_u64(&j, text_state_name((enum sw_state)i), s->freed[i]);
	json_end(&j);
	fflush(stdout);
}

static void sweep_print(const struct sweep *s)
{
	char n[TEXT_COUNT];

	printf("%-13s%s\n", "looked at:", text_count(s->looked, n));
	printf("%-13s%s", "asked for:", text_count(s->asked ? s->due : 0, n));
	printf(", the host holds %s\n", text_count(s->held, n));
	printf("%-13s%s\n", "freed:", text_count(freed_sum(s), n));
	for (__u32 i = SW_CLOSED; i < SW_STATE_MAX; i++)
		if (s->freed[i])
			printf("  %-13s%s\n", text_state_name((enum sw_state)i),
			       text_count(s->freed[i], n));
}

static int open_for_sweep(const struct opts *o, const char *command, struct guard *g,
			  struct tables *t)
{
	int err = probe_require_capabilities(command);

	if (!err)
		err = guard_open(g, o->pin);
	return err ? err : tables_open(g, t, true);
}

int cmd_sweep(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autotables struct tables t = { 0 };
	struct sweep s = { 0 };
	int here, err = no_arguments("sweep", argc, argv);

	if (err)
		return err;
	if (open_for_sweep(o, "sweep", &g, &t))
		return EXIT_FAILURE;
	/* sockets of another namespace would say nothing of these connections */
	here = dev_here(&g);
	if (here < 0)
		return EXIT_FAILURE;
	if (!here)
		log_note("no device is attached: the host is not asked");
	s.may_ask = here;
	if (table_sweep(&g, &t, &s))
		return EXIT_FAILURE;
	if (o->json)
		sweep_json(&s);
	else
		sweep_print(&s);
	return 0;
}

/* One turn. Times are kept in `asked_at_s` and `rebuilt_at_s`, 0: never. */
static int turn(const struct guard *g, const struct tables *t, struct sweep *s, __u32 *rebuilt_at_s)
{
	struct sweep next = { .asked_at_s = s->asked_at_s };
	__u32 now = conn_now();
	autolock int lock = -1;
	int err = dev_here(g);

	if (err < 0)
		return err;
	next.rebuild = err && conn_since(*rebuilt_at_s, now) >= REBUILD_EVERY_S;
	next.may_ask = next.rebuild || (err && (!next.asked_at_s ||
						conn_since(next.asked_at_s, now) >= ASK_EVERY_S));
	err = next.rebuild ? lock_take(&lock) : 0;
	/* a guard removed while the lock was waited for is not to be written to */
	if (!err && guard_is_pinned(g))
		err = table_sweep(g, t, &next);
	if (!err && next.rebuild)
		*rebuilt_at_s = now;
	*s = next;
	return err;
}

static void wait_s(__u32 seconds)
{
	const struct timespec ts = { .tv_sec = seconds };
	sigset_t ends, before;

	/* a signal that comes between the test and the wait must end the wait */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, &before);
	if (!stop)
		ppoll(NULL, 0, &ts, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int cmd_run(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autotables struct tables t = { 0 };
	struct sigaction end = { .sa_handler = on_signal };
	struct sweep s = { 0 };
	__u32 rebuilt_at_s = conn_now(); /* by attach, or a service since */
	int err = no_arguments("run", argc, argv);

	if (err)
		return err;
	if (open_for_sweep(o, "run", &g, &t))
		return EXIT_FAILURE;
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	while (!stop && !err) {
		if (!guard_is_pinned(&g)) {
			log_note("the guard at %s is gone", g.dir);
			break;
		}
		err = turn(&g, &t, &s, &rebuilt_at_s);
		if (!err && o->json)
			sweep_json(&s);
		log_debug("sweep: looked at %u, due %u, held %u, freed %u", s.looked, s.due, s.held,
			  freed_sum(&s));
		if (!err)
			wait_s(o->interval_s);
	}
	return exit_code(err);
}
