/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * upgrade: lock, open and compare, self-test apart, load beside, pin beside, replace, pin over.
 * Whatever fails, what ran before runs on. Tables, keys, counters and connections are in the
 * maps, which stay.
 */
#include <errno.h>

#include "cmd.h"
#include "util.h"

/* On maps of its own: those of the guard belong to live traffic. */
static int test_apart(const struct guard *g)
{
	autoguard struct guard apart = GUARD_INIT;
	int err = guard_create(&apart, g->dir, g->engine, SW_CONNS_MIN);

	return err ? err : selftest_run(&apart);
}

static int replace(const struct guard *g, const struct guard *fresh, __u32 *hooks)
{
	int err = guard_pin_next(fresh);

	if (!err)
		err = dev_upgrade(g, fresh, hooks);
	if (err)
		guard_end_next(g, false);
	return err ? err : guard_end_next(g, true);
}

int cmd_upgrade(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT, fresh = GUARD_INIT;
	autolock int lock = -1;
	__u32 hooks;
	int err = no_arguments("upgrade", argc, argv);

	if (err)
		return err;
	err = probe_require_capabilities("upgrade");
	/* says what is of another version or shape */
	if (!err)
		err = guard_open_locked(&g, o->pin, &lock);
	if (!err && dev_here(&g) < 0)
		err = -EXDEV;
	if (!err)
		err = test_apart(&g);
	if (!err)
		err = guard_load_beside(&g, &fresh);
	if (!err)
		err = replace(&g, &fresh, &hooks);
	if (!err)
		log_note("the programs of synwarden %s run at %u hooks of the guard at %s",
			 SW_VERSION, hooks, g.dir);
	else if (g.map[MAP_SETTINGS] >= 0)
		log_hint("nothing changed: the guard at %s runs as before", o->pin);
	return exit_code(err);
}
