/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay: a capture through a guard of its own, which has the configuration of a file or of the
 * guard that runs, and nothing else of it. See replay_guard.h for what keeps it apart.
 */
#include <errno.h>
#include <stdio.h>

#include "cmd.h"
#include "config_run.h"
#include "replay_pass.h"
#include "util.h"

static int read_config(const struct opts *o, struct config *c)
{
	autoguard struct guard live = GUARD_INIT;
	int err;

	if (o->config)
		return config_read_file(c, o->config);
	config_default(c);
	err = guard_open(&live, o->pin);
	if (err == -ENOENT)
		log_hint("or name a configuration: 'synwarden replay FILE --config %s'",
			 SW_CONFIG_DEFAULT);
	return err ? err : config_running(&live, c);
}

static int replay(struct replay *r, const struct config *c)
{
	int err = replay_namespace();

	if (!err)
		err = replay_load(&r->guard, c);
	if (!err)
		err = replay_look(r);
	if (!err)
		err = replay_rewind(&r->capture);
	if (!err)
		err = replay_through(r);
	return err;
}

static int end(struct replay *r, int err)
{
	const struct replay_capture *c = &r->capture;

	if (err)
		return err;
	replay_show_sum(&r->guard, &r->sum, c->why, r->json);
	fflush(stdout);
	if (*c->why)
		return log_refuse(-EIO, "%s: not read beyond packet %llu: %s", c->name,
				  (unsigned long long)r->sum.packets, c->why);
	if (r->sum.packets && !r->sum.to_service && !r->sum.from_service)
		log_note("no packet is of a guarded service: is it the right configuration?");
	return 0;
}

int cmd_replay(const struct opts *o, int argc, char **argv)
{
	autoconfig struct config c = { 0 };
	struct replay *r;
	int err;

	if (argc != 1)
		return log_usage("replay takes one capture FILE, or - for standard input");
	r = calloc(1, sizeof(*r));
	if (!r) {
		log_err(-ENOMEM, "replay");
		return EXIT_FAILURE;
	}
	r->guard.g = (struct guard)GUARD_INIT;
	r->json = o->json;
	/* all that may be wrong with the arguments first: loading takes a second */
	err = read_config(o, &c);
	if (!err)
		err = replay_open(&r->capture, argv[0]);
	if (!err)
		err = probe_require_capabilities("replay");
	if (!err)
		err = end(r, replay(r, &c));
	replay_sweep_close(&r->sweep);
	replay_close(&r->guard);
	replay_flows_free(&r->flows);
	replay_read_close(&r->capture);
	free(r);
	return exit_code(err);
}
