/* SPDX-License-Identifier: GPL-2.0-or-later */
/* apply, confirm: a configuration file comes into force, and what ran before may come back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "config_run.h"
#include "only_one.h"
#include "pending.h"
#include "util.h"

/* With the time to confirm it, if there is one. */
static int bring(const struct opts *o, const struct guard *g, const struct config *c)
{
	bool confirm = o->given & OPT_CONFIRM;
	int err = confirm ? pending_begin(g, o->confirm_s) : 0;

	if (err)
		return err;
	err = config_apply(g, c, o->given & OPT_FORCE ? CONFIG_FORCE : 0);
	if (err && confirm)
		pending_drop(g);
	return err;
}

/* The lock is released before the words go to a pager, which may take its time. */
static int dry_run(const struct opts *o, const struct guard *g, const struct config *c, int *lock)
{
	autoconfig struct config running;
	int err = config_running(g, &running);

	if (err)
		return err;
	err = config_apply(g, c, CONFIG_DRY | (o->given & OPT_FORCE ? CONFIG_FORCE : 0));
	lock_release(lock);
	config_print_diff(o, &running, c);
	return err;
}

static int apply(const struct opts *o, const struct guard *g, const struct config *c,
		 const char *path)
{
	int err = bring(o, g, c);

	if (err)
		return log_refuse(err, "what ran before stays in force");
	if (o->given & OPT_CONFIRM) {
		/* first, as what to do is looked for in the last line */
		if (!only_one_runs(g))
			log_note("no daemon runs: what ran before comes back by a process of this "
				 "session alone, or with the next command");
		log_note(
			"'synwarden confirm' within %u s keeps it, else what ran before comes back",
			o->confirm_s);
	}
	applied_note(g, path);
	reload_look(c, path);
	return 0;
}

/* --again: the file that was applied last. */
static int last_file(const struct opts *o, struct applied_record *a)
{
	autoguard struct guard g = GUARD_INIT;
	int err = guard_open(&g, o->pin);

	return err ? err : applied_need(&g, a);
}

int cmd_apply(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	struct applied_record applied;
	autoconfig struct config c;
	autolock int lock = -1;
	const char *path;
	int err = config_file_word("apply", argc, argv, &path);

	config_default(&c);
	if (err)
		return err;
	if (o->given & OPT_DRY_RUN && o->given & OPT_CONFIRM)
		return log_usage("apply --dry-run changes nothing that --confirm could take back");
	if (o->given & OPT_AGAIN) {
		if (argc)
			return log_usage("apply --again takes no FILE: it is the one applied last");
		err = last_file(o, &applied);
		path = applied.path;
	}
	if (err)
		return exit_code(err);
	err = config_read_file(&c, path);
	if (err)
		return exit_code(log_refuse(err, "nothing is applied"));
	err = guard_open_locked(&g, o->pin, &lock);
	if (!err && dev_here(&g) < 0)
		err = -EXDEV;
	if (!err)
		err = pending_clear(&g);
	if (!err)
		err = o->given & OPT_DRY_RUN ? dry_run(o, &g, &c, &lock) : apply(o, &g, &c, path);
	return exit_code(err);
}

int cmd_confirm(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autolock int lock = -1;
	int err = no_arguments("confirm", argc, argv);

	if (err)
		return err;
	err = guard_open_locked(&g, o->pin, &lock);
	if (!err)
		err = pending_confirm(&g);
	return exit_code(err);
}
