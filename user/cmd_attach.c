/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attach, detach, adopt. Attach goes lock, probe, load, fill, pin, sysctl, self-test, adopt,
 * links, arm; whatever fails on the way, all that this run did is undone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd.h"
#include "config.h"
#include "json.h"
#include "lockout.h"
#include "table.h"
#include "util.h"

/* "port 22, port 2222 and 192.0.2.7 of this session" */
static void fail_safe_note(const struct services *set, const struct session *who)
{
	char text[160] = "", addr[TEXT_ADDR];
	size_t len = 0;

	for (__u32 i = 0; i < SW_FAIL_SAFE && set->fail_safe[i]; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%sport %u",
					len ? ", " : "", set->fail_safe[i]);
	if (who)
		snprintf(text + len, sizeof(text) - len, "%s%s of this session", len ? " and " : "",
			 text_addr(who->client, addr));
	log_note("fail-safe, no list refuses it: %s", text);
}

/* A new guard never shuts out the one who attaches it: its ssh port, and where it came from. */
static int fail_safe_begin(const struct guard *g)
{
	struct list_entry e = {
		.key.list = SW_LIST_FAIL_SAFE,
		.value = { .comment = "session that attached", .added_s = (__u64)time(NULL) },
	};
	autolists struct list_set lists = { 0 };
	struct services set;
	struct session who;
	bool found = session_find(&who);
	int err = mapio_services(g, &set);

	session_ports(found ? &who : NULL, set.fail_safe);
	if (found)
		list_entry_set(&e, who.client, 128);
	if (!err && found && list_set_add(&lists, &e))
		err = log_err(-ENOMEM, "fail-safe list");
	if (err || (!found && !set.fail_safe[0]))
		return err;
	err = rollout(g, &(struct rollout){ .services = &set, .lists = &lists });
	if (!err)
		fail_safe_note(&set, found ? &who : NULL);
	return err;
}

/* The search sees no more than this process may: under the unit nothing of other processes. */
static void fail_safe_missing(const struct guard *g, bool searched)
{
	struct services set;

	if (mapio_services(g, &set) || set.fail_safe[0] ||
	    !(searched || services_any_enforced(&set)))
		return;
	log_note("no fail-safe port was found: a list or a limit may keep you from coming back");
	log_hint(
		"'synwarden fail-safe port add PORT' exempts the one you come in by, ssh's as a rule");
}

static int guard_begin(struct guard *g, const struct opts *o)
{
	int err = guard_create(g, o->pin, o->engine, o->connections);

	/* pinned before anything outside is changed, so that a kill can be cleared up */
	if (!err)
		err = guard_pin(g);
	if (!err)
		err = cookies_raise(g);
	if (!err)
		err = selftest_run(g);
	if (!err && !(o->given & OPT_NO_FAIL_SAFE))
		err = fail_safe_begin(g);
	return err;
}

static int guard_reuse(struct guard *g, const struct opts *o)
{
	int err = guard_open(g, o->pin);

	if (!err && dev_here(g) < 0)
		err = -EXDEV;
	if (err)
		return err;
	if (o->engine != SW_ENGINE_AUTO && o->engine != g->engine) {
		log_refuse(-EBUSY, "the guard at %s runs engine %s", g->dir,
			   text_engine_name(g->engine));
		log_hint("'synwarden detach --all' first, all devices share one engine");
		return -EBUSY;
	}
	if (o->given & OPT_CONNECTIONS && o->connections != g->boot.max[SW_TABLE_CONNS]) {
		log_refuse(-EBUSY, "the guard at %s has tables for %u connections, not %u", g->dir,
			   g->boot.max[SW_TABLE_CONNS], o->connections);
		log_hint("'synwarden detach --all' first, all devices share the tables");
		return -EBUSY;
	}
	return cookies_raise(g);
}

static const struct dev_state *find_device(const struct dev_state *list, __u32 count,
					   const char *name)
{
	__u32 ifindex = if_nametoindex(name);

	for (__u32 i = 0; i < count; i++)
		if (ifindex ? list[i].ifindex == ifindex : !strcmp(list[i].dev.name, name))
			return &list[i];
	return NULL;
}

struct attached {
	__u32 ifindex[SW_MAX_DEVS];
	__u32 count;
};

/* No kernel numbers a device so: those that were never there are remembered from here on. */
#define NOT_THERE 0x80000000U

/* As a device that is gone is: `run` attaches it when it comes. */
static int wait_for(const struct guard *g, const char *name, enum xdp_mode mode,
		    const struct dev_state *list, __u32 count)
{
	/* as tcx, there are no filters to look for */
	struct sw_dev dev = { .native = mode != XDP_MODE_GENERIC, .tcx = 1 };
	__u32 number = NOT_THERE;

	for (__u32 i = 0; i < count; i++)
		if (list[i].ifindex >= number)
			number = list[i].ifindex + 1;
	snprintf(dev.name, sizeof(dev.name), "%s", name);
	log_note("%s: not there yet, 'run' attaches it when it comes", name);
	return mapio_dev_set(g, number, &dev);
}

static int attach_one(struct guard *g, const char *name, enum xdp_mode mode, struct attached *done)
{
	struct dev_state list[SW_MAX_DEVS];
	const struct dev_state *have;
	__u32 count;
	int err = dev_forget(g, name); /* one of that name before it */

	if (!err)
		err = dev_list(g, list, &count);
	if (err)
		return err;
	have = find_device(list, count, name);
	if (have) {
		struct sw_dev dev = have->dev;

		log_note("%s: already attached", name);
		/* it may have got another address since */
		return netdev_mac(name, dev.mac) ? 0 : mapio_dev_set(g, have->ifindex, &dev);
	}
	if (count == SW_MAX_DEVS)
		return log_refuse(-ENOSPC, "%s: the guard has %u devices, the most it can", name,
				  count);
	/* check_names() lets such a one by at boot only */
	if (!if_nametoindex(name))
		return wait_for(g, name, mode, list, count);
	err = dev_attach(g, name, mode);
	if (!err)
		done->ifindex[done->count++] = if_nametoindex(name);
	return err;
}

static void attach_undo(struct guard *g, const struct attached *done)
{
	struct dev_state list[SW_MAX_DEVS];
	__u32 count;

	if (dev_list(g, list, &count))
		return;
	for (__u32 i = 0; i < count; i++)
		for (__u32 k = 0; k < done->count; k++)
			if (list[i].ifindex == done->ifindex[k])
				dev_detach(g, &list[i]);
}

static int arm(const struct guard *g, const struct attached *done)
{
	/* what began behind a device that was not watched yet */
	int err = done->count ? grace_renew(g) : 0;

	return err ? err : guard_arm(g);
}

static int attach_all(struct guard *g, const struct opts *o, int argc, char **argv)
{
	struct attached done = { .count = 0 };
	struct services set;
	int err = adopt_run(g);

	for (int i = 0; i < argc && !err; i++)
		err = attach_one(g, argv[i], attach_mode(o, argv[i]), &done);
	/* a guard that enforces already: what began between the first walk and the link */
	if (!err && done.count)
		err = mapio_services(g, &set);
	if (!err && done.count && services_any_enforced(&set))
		err = adopt_run(g);
	if (!err)
		err = attach_configure(g, o);
	if (!err)
		err = arm(g, &done);
	if (err)
		attach_undo(g, &done);
	return err;
}

static int check_names(const struct opts *o, int argc, char **argv)
{
	if (!argc)
		return log_usage("attach needs a device: see synwarden attach --help");
	for (int i = 0; i < argc; i++) {
		bool may_come = o->given & OPT_BOOT && text_is_device(argv[i]);

		if (!may_come && !if_nametoindex(argv[i])) {
			log_refuse(-ENODEV, "no device '%.64s' in this network namespace", argv[i]);
			return EXIT_FAILURE;
		}
	}
	return 0;
}

int cmd_attach(const struct opts *given, int argc, char **argv)
{
	struct opts with = *given, *o = &with;
	char *names[SW_MAX_DEVS];
	autoguard struct guard g = GUARD_INIT;
	autoconfig struct config c;
	autolock int lock = -1;
	enum guard_found found;
	int err;

	config_default(&c);
	err = attach_config(o, &c, &argc, &argv, names);
	if (!err)
		err = check_names(o, argc, argv);
	if (err)
		return err;
	err = probe_require_capabilities("attach");
	if (!err)
		err = probe_require_bpffs(o->pin);
	if (!err)
		err = lock_take(&lock);
	if (!err)
		err = clear_remains(o->pin, &found);
	if (err)
		return EXIT_FAILURE;
	if (found != GUARD_NONE && o->given & OPT_BOOT)
		attach_config_keep(o, given);
	err = found == GUARD_NONE ? guard_begin(&g, o) : guard_reuse(&g, o);
	if (!err)
		err = attach_all(&g, o, argc, argv);
	if (!err && !(o->given & OPT_NO_FAIL_SAFE))
		fail_safe_missing(&g, found == GUARD_NONE);
	if (err && found == GUARD_NONE)
		guard_remove(&g);
	else if (err)
		cookies_restore_if_idle(&g);
	if (!err)
		cmd_status(o, 0, NULL);
	return exit_code(err);
}

static int end_guard(struct guard *g, const void *arg)
{
	(void)arg;
	return guard_remove(g);
}

static int end_device(struct guard *g, const void *device)
{
	return dev_detach(g, device);
}

static int detach_all(struct guard *g, const char *pin)
{
	enum guard_found found;
	int err = clear_remains(pin, &found);

	if (err)
		return err;
	if (found == GUARD_NONE) {
		log_note("nothing to detach: no guard at %s", pin);
		return 0;
	}
	err = guard_open(g, pin);
	if (!err && dev_here(g) < 0)
		err = -EXDEV;
	if (!err)
		err = dev_forget(g, NULL);
	return err ? err : drain(g, end_guard, NULL);
}

static int detach_one(struct guard *g, const char *name)
{
	struct dev_state list[SW_MAX_DEVS];
	const struct dev_state *have;
	__u32 count;
	int err = dev_list(g, list, &count);

	if (err)
		return err;
	have = find_device(list, count, name);
	if (have && (!have->alive || have->elsewhere))
		return dev_forget(g, name);
	if (have)
		return drain(g, end_device, have);
	log_note("%s: not attached", name);
	return 0;
}

/* Of all names before the first is detached. */
static int detach_check(const struct guard *g, int argc, char **argv)
{
	struct dev_state list[SW_MAX_DEVS];
	__u32 count;
	int err = dev_list(g, list, &count);

	for (int i = 0; i < argc && !err; i++)
		if (!find_device(list, count, argv[i]) && !if_nametoindex(argv[i]))
			err = log_refuse(-ENODEV,
					 "no device '%.64s' here, and the guard at %s has none",
					 argv[i], g->dir);
	return err;
}

static int detach_some(struct guard *g, const char *pin, int argc, char **argv)
{
	int err = guard_open(g, pin);

	if (!err && dev_here(g) < 0)
		err = -EXDEV;
	if (!err)
		err = guard_end_drain(g);
	if (!err)
		err = detach_check(g, argc, argv);
	for (int i = 0; i < argc && !err; i++)
		err = detach_one(g, argv[i]);
	if (!err)
		cookies_restore_if_idle(g);
	return err;
}

int cmd_detach(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autolock int lock = -1;
	bool all = o->given & OPT_ALL;
	int err;

	if (all == (argc > 0))
		return log_usage("detach needs devices or --all: see synwarden detach --help");
	err = probe_require_capabilities("detach");
	if (!err)
		err = probe_require_bpffs(o->pin);
	if (!err)
		err = lock_take(&lock);
	if (!err)
		err = all ? detach_all(&g, o->pin) : detach_some(&g, o->pin, argc, argv);
	return exit_code(err);
}

static void adopted_json(const struct adopted *a)
{
	struct json j;

	json_begin(&j, stdout);
	json_object(&j, NULL);
	json_u64(&j, "held", (__u64)a->held[SW_TABLE_CONNS] + a->held[SW_TABLE_HALF]);
	json_array(&j, "tables");
	for (__u32 i = 0; i < SW_TABLE_MAX; i++) {
		json_object(&j, NULL);
		json_str(&j, "table", text_table_name((enum sw_table)i));
		json_u64(&j, "used", a->used[i]);
		json_u64(&j, "held", a->held[i]);
		json_close(&j);
	}
	json_end(&j);
}

static void adopted_print(const struct adopted *a)
{
	char used[TEXT_COUNT], held[TEXT_COUNT];

	for (__u32 i = 0; i < SW_TABLE_MAX; i++)
		printf("%-10s %s tracked, the host holds %s\n", text_table_name((enum sw_table)i),
		       text_count(a->used[i], used), text_count(a->held[i], held));
}

int cmd_adopt(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autotables struct tables t = { 0 };
	autolock int lock = -1;
	struct adopted a;
	int err = no_arguments("adopt", argc, argv);

	if (err)
		return err;
	err = probe_require_capabilities("adopt");
	if (!err)
		err = guard_open_locked(&g, o->pin, &lock);
	if (!err && dev_here(&g) < 0)
		err = -EXDEV;
	if (!err)
		err = tables_open(&g, &t, true);
	if (!err)
		err = table_adopt(&g, &t, &a);
	if (err)
		return EXIT_FAILURE;
	if (o->json)
		adopted_json(&a);
	else
		adopted_print(&a);
	return 0;
}
