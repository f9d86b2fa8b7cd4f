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
#include "sources.h"
#include "table.h"
#include "tunables.h"
#include "util.h"

/* Lists to be changed over to, and what the map has. */
struct relist {
	struct list_set next;
	struct list_set halves[SW_HALVES];
};

static void relist_free(struct relist *l)
{
	list_set_free(&l->next);
	for (__u32 i = 0; i < SW_HALVES; i++)
		list_set_free(&l->halves[i]);
}
#define autorelist __attribute__((cleanup(relist_free)))

/*
 * Writes the other half and changes over to it. Lists, unless NULL, are written there too, and
 * changed over to with the services; the half they lay in is emptied.
 */
static int change_over(const struct guard *g, const struct services *set,
		       const struct sw_settings *numbers, const struct relist *lists)
{
	static const struct list_set nothing;
	__u32 half, list_half, bits[SW_MAX_SERVICES];
	struct layout next = { 0 };
	struct sw_settings s;
	int err = mapio_settings(g, &s);

	if (err)
		return err;
	half = !(s.gen & SW_GEN_CONFIG);
	list_half = !(s.gen & SW_GEN_LISTS);
	if (services_layout(set, &next))
		return log_err(-ENOMEM, "lay out the services");
	err = mapio_config_write(g, half, set, &next);
	if (!err && lists)
		err = mapio_lists_write(g, list_half, &lists->halves[list_half], &lists->next);
	if (!err)
		err = mapio_settings(g, &s); /* the programs write there, too */
	if (!err) {
		s.any_mode[half] = next.any_mode;
		memcpy(s.fail_safe, set->fail_safe, sizeof(s.fail_safe));
		if (numbers)
			limits_copy(&s, numbers);
		if (lists) {
			list_set_bits(&lists->next, bits);
			s.lists[list_half] = bits[0];
		}
		/* first what is of the other half, then the word that takes it into use */
		err = mapio_settings_set(g, &s);
	}
	if (!err) {
		s.gen ^= SW_GEN_CONFIG | (lists ? SW_GEN_LISTS : 0);
		err = mapio_settings_set(g, &s);
	}
	layout_free(&next);
	if (err)
		return err;
	wait_for_packets(); /* nobody reads what may be written next */
	if (lists)
		mapio_lists_write(g, !list_half, &lists->halves[!list_half], &nothing);
	return 0;
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
	st->between = *now; /* nothing of what is to come refuses anybody before all of it does */
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *before = &now->slot[id], *s = &next->slot[id];
		struct sw_service *between = &st->between.slot[id];
		bool is_off = !s->port_first || s->mode == SW_MODE_OFF;
		bool was_off = !before->port_first || before->mode == SW_MODE_OFF;

		if (!before->port_first)
			*between = *s;
		if (is_enforced(s) && !is_enforced(before))
			st->enforce = true;
		if (was_off && !is_off)
			st->begin = true;
		if (is_enforced(before) && is_off)
			st->leave = true;
		if (is_enforced(s) != is_enforced(before) || was_off != is_off)
			between->mode = SW_MODE_MONITOR;
	}
}

/* A ban made in monitor was to be counted, and nobody could see it coming. */
static int pardon(const struct guard *g, const struct services *now, const struct services *next)
{
	autosources struct sources src = { 0 };
	int err = sources_open(g, &src, true);

	for (__u32 id = 1; id < SW_MAX_SERVICES && !err; id++)
		if (is_enforced(&next->slot[id]) && !is_enforced(&now->slot[id]))
			sources_pardon(&src, id);
	return err;
}

static int run_stages(const struct guard *g, const struct stages *st)
{
	int err;

	if (!st->enforce && !st->begin && !st->leave)
		return 0;
	err = change_over(g, &st->between, NULL, NULL);
	if (!err && st->enforce)
		err = grace_begin(g);
	if (!err && (st->enforce || st->begin))
		err = adopt_run(g);
	if (!err && st->leave)
		usleep(DRAIN_US);
	return err;
}

/* A service keeps its id and the entries that are for it alone; another one begins with none. */
static void lists_keep(struct services *next, const struct services *now)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++)
		next->slot[id].lists =
			services_same(&now->slot[id], &next->slot[id]) ? now->slot[id].lists : 0;
}

static bool has_no_service(const struct list_entry *e, const void *arg)
{
	const struct services *set = arg;
	__u32 id = e->key.service;

	return id && (id >= SW_MAX_SERVICES || !set->slot[id].port_first);
}

/* What is to be written of `lists`, for these services. */
static int lists_prepare(struct list_set *next, const struct list_set *lists,
			 const struct services *set)
{
	int err = list_set_copy(next, lists);

	if (err)
		return log_err(err, "copy the lists");
	list_set_drop(next, has_no_service, set);
	list_set_settle(next, conn_now());
	return 0;
}

/* No packet asks for these any more, but a service that gets the id one day would. */
static void forget_entries(const struct guard *g, const struct services *now,
			   const struct services *next)
{
	autolists struct list_set lists = { 0 };
	struct sw_settings s;
	bool gone[SW_MAX_SERVICES] = { false }, any = false;

	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		gone[id] = now->slot[id].lists && !next->slot[id].lists;
		any |= gone[id];
	}
	if (!any || mapio_settings(g, &s) || mapio_lists(g, &lists))
		return;
	for (__u32 i = 0; i < lists.count; i++)
		if (gone[lists.entry[i].key.service % SW_MAX_SERVICES])
			mapio_list_del(g, !!(s.gen & SW_GEN_LISTS), &lists.entry[i]);
}

/* A service has limits that had none: what is connected already is to count. */
static bool is_limit_new(const struct services *now, const struct services *next)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++)
		if (next->slot[id].limited && now->slot[id].port_first && !now->slot[id].limited)
			return true;
	return false;
}

static int roll(const struct guard *g, const struct rollout *r)
{
	autorelist struct relist lists = { 0 };
	struct services now, next = *r->services;
	__u32 bits[SW_MAX_SERVICES];
	struct stages st;
	int err = mapio_services(g, &now);

	if (!err && r->lists)
		err = lists_prepare(&lists.next, r->lists, &next);
	if (!err && r->lists)
		err = mapio_lists_halves(g, lists.halves);
	if (err)
		return err;
	err = service_ids_begin(g, &now, &next);
	if (err)
		return err;
	lists_keep(&next, &now);
	stages_find(&st, &now, &next);
	err = run_stages(g, &st);
	if (!err && st.enforce)
		err = pardon(g, &now, &next);
	list_set_bits(&lists.next, bits);
	for (__u32 id = 1; r->lists && id < SW_MAX_SERVICES; id++)
		next.slot[id].lists = bits[id];
	if (!err)
		err = change_over(g, &next, r->limits, r->lists ? &lists : NULL);
	if (err && (st.enforce || st.begin || st.leave))
		change_over(g, &now, NULL, NULL);
	if (err)
		return err;
	forget_connections(g, &now, &next);
	if (!r->lists)
		forget_entries(g, &now, &next);
	return is_limit_new(&now, &next) ? adopt_run(g) : 0;
}

/* An id goes from one service to another: `first` is `next` without those that take one over. */
static bool ids_change_hands(const struct services *now, const struct services *next,
			     struct services *first)
{
	bool any = false;

	*first = *next;
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		if (!now->slot[id].port_first || !next->slot[id].port_first ||
		    services_same(&now->slot[id], &next->slot[id]))
			continue;
		memset(&first->slot[id], 0, sizeof(first->slot[id]));
		any = true;
	}
	return any;
}

int rollout(const struct guard *g, const struct rollout *r)
{
	struct services now, first;
	int err = mapio_services(g, &now);

	if (err)
		return err;
	if (!ids_change_hands(&now, r->services, &first))
		return roll(g, r);
	/* one ends as services do before the other begins as services do */
	err = roll(g, &(struct rollout){ .services = &first });
	if (!err)
		err = roll(g, r);
	if (err)
		roll(g, &(struct rollout){ .services = &now });
	return err;
}

/* More changes than this are made at one stroke, by way of the other half. */
#define IN_PLACE 64

static bool is_as_it_was(const struct list_set *was, const struct list_entry *e)
{
	const struct list_entry *old = list_set_find(was, &e->key);

	return old && !memcmp(&old->value, &e->value, sizeof(e->value));
}

static __u32 count_changes(const struct list_set *now, const struct list_set *next)
{
	__u32 changes = 0;

	for (__u32 i = 0; i < next->count; i++)
		changes += !is_as_it_was(now, &next->entry[i]);
	for (__u32 i = 0; i < now->count; i++)
		changes += !list_set_find(next, &now->entry[i].key);
	return changes;
}

/* Tells packets which lists have entries: those of `next`, and of `also`. */
static int write_bits(const struct guard *g, const struct list_set *next,
		      const struct list_set *also)
{
	__u32 bits[SW_MAX_SERVICES], more[SW_MAX_SERVICES];
	struct services set;
	struct sw_settings s;
	int err = mapio_services(g, &set);

	if (!err)
		err = mapio_settings(g, &s);
	list_set_bits(next, bits);
	list_set_bits(also, more);
	for (__u32 id = 1; !err && id < SW_MAX_SERVICES; id++) {
		if (!set.slot[id].port_first || set.slot[id].lists == (bits[id] | more[id]))
			continue;
		set.slot[id].lists = bits[id] | more[id];
		err = mapio_service_set(g, s.gen & SW_GEN_CONFIG, id, &set.slot[id]);
	}
	if (err)
		return err;
	s.lists[!!(s.gen & SW_GEN_LISTS)] = bits[0] | more[0];
	return mapio_settings_set(g, &s);
}

/*
 * fail-safe and allow come before deny, and go after it. A list's bit is set behind its first
 * entry and goes before its last one, so that no packet meets an entry it must not.
 */
static int change_in_place(const struct guard *g, const struct list_set *now,
			   const struct list_set *next, bool is_undo)
{
	static const struct list_set nothing;
	struct sw_settings s;
	__u32 half;
	int err = mapio_settings(g, &s);

	if (err)
		return err;
	half = !!(s.gen & SW_GEN_LISTS);
	for (__u32 i = 0; i < next->count && !err; i++)
		if (!is_as_it_was(now, &next->entry[i]))
			err = mapio_list_set(g, half, &next->entry[i]);
	if (!err)
		err = write_bits(g, next, now);
	for (__u32 i = now->count; i-- && !err;)
		if (!list_set_find(next, &now->entry[i].key))
			err = mapio_list_del(g, half, &now->entry[i]);
	if (!err)
		err = write_bits(g, next, &nothing);
	if (err && !is_undo)
		change_in_place(g, next, now, true);
	return err;
}

int rollout_lists(const struct guard *g, const struct list_set *lists)
{
	autolists struct list_set now = { 0 }, next = { 0 };
	struct services set;
	int err = mapio_services(g, &set);

	if (!err)
		err = mapio_lists(g, &now);
	if (!err)
		err = lists_prepare(&next, lists, &set);
	if (err)
		return err;
	if (count_changes(&now, &next) > IN_PLACE)
		return rollout(g, &(struct rollout){ .services = &set, .lists = lists });
	return change_in_place(g, &now, &next, false);
}

/* So often the lists are read, and a second later for so many entries: they stay cheap. */
#define EXPIRE_EVERY_S 60
#define EXPIRE_SHARE   2000

int lists_expire(const struct guard *g, __u32 *next_s)
{
	autolists struct list_set set = { 0 };
	__u32 all, ended, now = conn_now();
	autolock int lock = -1;
	int err;

	if (*next_s && (__s32)(now - *next_s) < 0)
		return 0;
	err = mapio_lists_ended(g, now, &all, &ended);
	if (err || (ended && lock_try(&lock)))
		return err;
	*next_s = now + EXPIRE_EVERY_S + all / EXPIRE_SHARE;
	if (!ended || !guard_is_pinned(g))
		return 0;
	err = mapio_lists(g, &set);
	if (!err)
		err = rollout_lists(g, &set);
	return err ? err : (int)ended;
}
