/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a configuration becomes the running one. It is written whole to the half of the maps that
 * no packet reads, then one store makes it the one they read; so whatever fails before leaves
 * everything as it was. Services that are to enforce, or to end, do so by way of mode monitor.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel.h"
#include "table.h"
#include "tunables.h"
#include "util.h"

/* Writes the other half and changes over to it. */
static int change_over(const struct guard *g, const struct services *set,
		       const struct sw_settings *numbers, __u32 gens)
{
	struct layout next = { 0 };
	struct sw_settings s;
	__u32 half;
	int err = mapio_settings(g, &s);

	if (err)
		return err;
	half = !(s.gen & SW_GEN_CONFIG);
	if (services_layout(set, &next))
		return log_err(-ENOMEM, "lay out the services");
	err = mapio_config_write(g, half, set, &next);
	if (!err)
		err = mapio_settings(g, &s); /* the programs write there, too */
	if (!err) {
		s.any_mode[half] = next.any_mode;
		memcpy(s.fail_safe, set->fail_safe, sizeof(s.fail_safe));
		if (numbers)
			limits_copy(&s, numbers);
		s.gen ^= gens;
		err = mapio_settings_set(g, &s);
	}
	layout_free(&next);
	if (!err)
		wait_for_packets(); /* nobody reads what may be written next */
	return err;
}

/* Handshakes under way are asked for until they must have ended. */
static int grace_begin(const struct guard *g)
{
	struct sw_settings s;
	int err = mapio_settings(g, &s);

	s.grace_until_ns = grace_end();
	return err ? err : mapio_settings_set(g, &s);
}

/* No packet of these services is followed any more: what their entries say would go stale. */
static void forget_connections(const struct guard *g, const struct services *now,
			       const struct services *next)
{
	autotables struct tables t = { 0 };
	bool opened = false;

	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *before = &now->slot[id], *s = &next->slot[id];

		if (!before->port_first || before->mode == SW_MODE_OFF ||
		    (s->port_first && s->mode != SW_MODE_OFF))
			continue;
		if (!opened && tables_open(g, &t, true))
			return;
		opened = true;
		tables_forget(&t, id);
	}
}

/* What a change asks for before it is made. */
struct stages {
	bool enforce; /* a service begins to enforce */
	bool begin;   /* ... to be judged */
	bool leave;   /* one that enforces ends, or is off */
	struct services between;
};

/*
 * Before a service enforces, filter and tables must know the connections it has: it runs in
 * monitor, where passing SYNs are noted, while the sockets are walked. One that is judged from
 * now on, in whichever mode, gets them too. And cookies that are out are honoured in monitor,
 * not in `off` or without the service.
 */
static void stages_find(struct stages *st, const struct services *now, const struct services *next)
{
	memset(st, 0, sizeof(*st));
	st->between = *next;
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *before = &now->slot[id], *s = &next->slot[id];
		bool is_off = !s->port_first || s->mode == SW_MODE_OFF;
		bool was_off = !before->port_first || before->mode == SW_MODE_OFF;

		if (is_enforced(s) && !is_enforced(before)) {
			st->enforce = true;
			st->between.slot[id].mode = SW_MODE_MONITOR;
		}
		if (was_off && !is_off)
			st->begin = true;
		if (is_enforced(before) && is_off) {
			st->leave = true;
			st->between.slot[id] = *before;
			st->between.slot[id].mode = SW_MODE_MONITOR;
		}
	}
}

static int run_stages(const struct guard *g, const struct stages *st)
{
	int err;

	if (!st->enforce && !st->begin && !st->leave)
		return 0;
	err = change_over(g, &st->between, NULL, SW_GEN_CONFIG);
	if (!err && st->enforce)
		err = grace_begin(g);
	if (!err && (st->enforce || st->begin))
		err = adopt_run(g);
	if (!err && st->leave)
		usleep(DRAIN_US);
	return err;
}

int rollout(const struct guard *g, const struct rollout *r)
{
	__u32 gens = SW_GEN_CONFIG | (r->lists ? SW_GEN_LISTS : 0);
	struct services now;
	struct stages st;
	int err = mapio_services(g, &now);

	if (err)
		return err;
	stages_find(&st, &now, r->services);
	err = run_stages(g, &st);
	if (!err)
		err = change_over(g, r->services, r->limits, gens);
	if (err && (st.enforce || st.begin || st.leave))
		change_over(g, &now, NULL, SW_GEN_CONFIG);
	if (!err)
		forget_connections(g, &now, r->services);
	return err;
}
