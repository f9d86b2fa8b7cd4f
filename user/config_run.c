/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a guard to a configuration, and from a configuration to the guard. */
#include <errno.h>
#include <string.h>

#include "config_run.h"
#include "lockout.h"
#include "pending.h"
#include "table.h"

/* The first of the faults as one line. */
static void first_fault(const struct faults *f, const char *path, struct text_why *why)
{
	const struct fault *one = f->list;
	char name[64];

	if (!f->count)
		return;
	text_tame(one->file ? one->file : path, name, sizeof(name));
	if (one->at.line)
		snprintf(why->text, sizeof(why->text), "%s:%u: %.110s", name, one->at.line,
			 one->text);
	else
		snprintf(why->text, sizeof(why->text), "%s: %.110s", name, one->text);
}

static int read_file(struct config *c, const char *path, struct text_why *why)
{
	autofaults struct faults f = { 0 };
	autofree char *text = NULL;
	char name[256];
	size_t len;

	config_default(c);
	if (!config_load(path, &text, &len, &f))
		config_parse(c, path, text, len, &f);
	if (!f.total)
		return 0;
	faults_print(&f, path, stderr);
	first_fault(&f, path, why);
	text_tame(path, name, sizeof(name));
	return log_refuse(-EINVAL, "%s: %u error%s", name, f.total, f.total == 1 ? "" : "s");
}

int config_read_file(struct config *c, const char *path)
{
	struct text_why why;

	return read_file(c, path, &why);
}

/* --- what runs ---------------------------------------------------------------------------- */

static int running_devices(const struct guard *g, struct config *c)
{
	struct dev_state list[SW_MAX_DEVS];
	__u32 count;
	int err = dev_list(g, list, &count);

	for (__u32 i = 0; !err && i < count; i++) {
		struct config_device *d = &c->device[c->devices];

		if (!list[i].alive || list[i].elsewhere)
			continue;
		memcpy(d->name, list[i].dev.name, sizeof(d->name));
		d->xdp = list[i].dev.native ? XDP_MODE_AUTO : XDP_MODE_GENERIC;
		c->devices++;
	}
	return err;
}

static void running_services(const struct services *set, struct config *c,
			     __u32 number[SW_MAX_SERVICES])
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		if (!set->slot[id].port_first)
			continue;
		c->service[c->services++].service = set->slot[id];
		number[id] = c->services;
	}
	for (__u32 i = 0, n = 0; i < SW_FAIL_SAFE; i++)
		if (set->fail_safe[i])
			c->fail_safe[n++] = set->fail_safe[i];
}

/* Entries of a service that is not there are none. */
static bool has_no_number(const struct list_entry *e, const void *number)
{
	__u32 id = e->key.service;

	return id && (id >= SW_MAX_SERVICES || !((const __u32 *)number)[id]);
}

/* All but the lists. */
static int running_base(const struct guard *g, struct config *c, struct services *set,
			__u32 number[SW_MAX_SERVICES])
{
	int err;

	config_default(c);
	c->engine = g->engine;
	c->connections = g->boot.max[SW_TABLE_CONNS];
	err = mapio_services(g, set);
	if (!err)
		err = mapio_settings(g, &c->limits);
	if (!err)
		err = running_devices(g, c);
	if (!err)
		running_services(set, c, number);
	return err;
}

/* c->lists by numbers, which lie in the order of the ids: they stay sorted. */
static void number_lists(struct config *c, const __u32 number[SW_MAX_SERVICES])
{
	list_set_drop(&c->lists, has_no_number, number);
	for (__u32 i = 0; i < c->lists.count; i++)
		c->lists.entry[i].key.service = (__u16)number[c->lists.entry[i].key.service];
}

int config_running(const struct guard *g, struct config *c)
{
	__u32 number[SW_MAX_SERVICES] = { 0 };
	struct services set;
	int err = running_base(g, c, &set, number);

	if (!err)
		err = mapio_lists(g, &c->lists);
	if (!err)
		number_lists(c, number);
	return err;
}

/* --- what shall run ----------------------------------------------------------------------- */

/* `id` is by number. A service that is there keeps its id. */
static int next_services(const struct guard *g, const struct config *c, const struct services *now,
			 struct services *next, __u32 id[SW_MAX_SERVICES])
{
	int err = 0;

	if (!(c->has & CONFIG_SERVICES))
		return 0;
	memset(next->slot, 0, sizeof(next->slot));
	for (__u32 i = 0; i < c->services; i++) {
		const struct sw_service *s = &c->service[i].service;

		id[i + 1] = services_find(now, s);
		if (id[i + 1])
			next->slot[id[i + 1]] = *s;
	}
	for (__u32 i = 0; !err && i < c->services; i++) {
		if (!id[i + 1])
			err = service_pick_id(g, now, next, &id[i + 1]);
		if (!err)
			next->slot[id[i + 1]] = c->service[i].service;
	}
	return err;
}

/* Entries that run and that the file says nothing of stay. */
static bool is_replaced(const struct list_entry *e, const void *config)
{
	const struct config *c = config;

	return c->has & (e->key.list == SW_LIST_FAIL_SAFE ? CONFIG_FAIL_SAFE : CONFIG_LISTS);
}

/*
 * A time to live begins when its entry does, not with each time the file is applied; another one
 * than before begins now.
 */
static void keep_end(struct list_entry *e, const struct list_set *now)
{
	const struct list_entry *have = list_set_find(now, &e->key);

	if (!have)
		return;
	e->value.added_s = have->value.added_s;
	if (have->value.until_s && e->value.ttl_s == have->value.ttl_s &&
	    !list_has_ended(have, conn_now()))
		e->value.until_s = have->value.until_s;
}

struct change {
	const struct services *now, *next;
};

/* Another one may get its id, and is not to get its entries. */
static bool has_lost_service(const struct list_entry *e, const void *arg)
{
	const struct change *c = arg;
	__u32 id = e->key.service;

	return id &&
	       (id >= SW_MAX_SERVICES || !services_same(&c->now->slot[id], &c->next->slot[id]));
}

static int next_lists(const struct config *c, const struct change *change,
		      const struct list_set *now, const __u32 id[SW_MAX_SERVICES],
		      struct list_set *next)
{
	int err = list_set_copy(next, now);

	if (!err)
		list_set_drop(next, is_replaced, c);
	if (!err)
		list_set_drop(next, has_lost_service, change);
	for (__u32 i = 0; !err && i < c->lists.count; i++) {
		struct list_entry e = c->lists.entry[i];

		e.key.service = (__u16)id[e.key.service];
		keep_end(&e, now);
		err = list_set_add(next, &e);
	}
	return err ? log_err(err, "put the lists together") : 0;
}

/* What differs; and what no rollout changes is said. */
static void note_change(void *sections, enum config_has section, const char *command)
{
	*(unsigned int *)sections |= section;
	if (section & (CONFIG_DEVICES | CONFIG_ENGINE | CONFIG_CONNECTIONS))
		log_note("not applied, it is attach's: %s", command);
}

int config_apply(const struct guard *g, const struct config *c, unsigned int how)
{
	autolists struct list_set now_lists = { 0 }, lists = { 0 };
	__u32 id[SW_MAX_SERVICES] = { 0 }, number[SW_MAX_SERVICES] = { 0 };
	autoconfig struct config running;
	struct services now, next;
	struct rollout r = { .services = &next };
	unsigned int sections = 0;
	int err = running_base(g, &running, &now, number);

	if (!err)
		err = mapio_lists(g, &now_lists);
	if (!err && list_set_copy(&running.lists, &now_lists))
		err = log_err(-ENOMEM, "compare the lists");
	if (err)
		return err;
	number_lists(&running, number);
	config_diff(&running, c, note_change, &sections);
	next = now;
	err = next_services(g, c, &now, &next, id);
	if (c->has & CONFIG_FAIL_SAFE)
		memcpy(next.fail_safe, c->fail_safe, sizeof(next.fail_safe));
	if (c->has & CONFIG_LIMITS)
		r.limits = &c->limits;
	/* 100,000 entries that stay need not be written again */
	if (!err && sections & (CONFIG_LISTS | CONFIG_FAIL_SAFE)) {
		err = next_lists(c, &(struct change){ &now, &next }, &now_lists, id, &lists);
		r.lists = &lists;
	}
	if (!err && !(how & CONFIG_FORCE))
		err = lockout_refuse(&next, r.lists ? &lists : &now_lists, &now, &now_lists);
	return err || how & CONFIG_DRY ? err : rollout(g, &r);
}

int config_reload(const struct guard *g, struct text_why *why)
{
	autoconfig struct config c;
	struct applied_record a;
	int err;

	config_default(&c);
	*why->text = '\0';
	/* first, as a roll-back that is due puts the file of before in its place */
	err = pending_clear(g);
	/* nobody asked for a file that was never applied: it may say that nothing is guarded */
	if (!err && applied_need(g, &a)) {
		snprintf(why->text, sizeof(why->text), "no configuration file was applied");
		return -ENOENT;
	}
	if (!err)
		err = read_file(&c, a.path, why);
	if (!err)
		err = config_apply(g, &c, 0);
	if (err && !*why->text)
		snprintf(why->text, sizeof(why->text), "%s",
			 pending_look(g) >= 0 ? "a configuration waits for its confirmation" :
						"it is refused, and the log says why");
	if (err)
		return log_refuse(err, "what ran before stays in force");
	applied_note(g, a.path);
	return 0;
}

bool config_applied(const struct guard *g, struct config_applied *a)
{
	autoconfig struct config running, file;
	autofaults struct faults f = { 0 };
	autofree char *text = NULL;
	struct applied_record record;
	size_t len;

	config_default(&file);
	config_default(&running);
	memset(a, 0, sizeof(*a));
	if (!applied_read(g, &record))
		return false;
	memcpy(a->path, record.path, sizeof(a->path));
	if (!config_load(a->path, &text, &len, &f)) {
		a->changed = applied_hash(text, len) != record.hash;
		config_parse(&file, a->path, text, len, &f);
	}
	a->broken = f.total || config_running(g, &running);
	if (!a->broken)
		a->differs = config_diff(&running, &file, NULL, NULL);
	return true;
}
