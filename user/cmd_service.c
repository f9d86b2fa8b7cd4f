/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * service add, set, del, list. A change is laid out whole (services.c), then written so that
 * no packet meets half of it: what is new first, then the ports, one word each, then what is
 * left over goes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "json.h"
#include "table.h"
#include "util.h"

static int settings_any_mode(const struct guard *g, enum sw_mode mode)
{
	struct sw_settings s;
	int err = mapio_settings(g, &s);

	s.any_mode = mode;
	return err ? err : mapio_settings_set(g, &s);
}

/* Prefixes of `next` that are missing or name another service. */
static int write_prefixes(const struct guard *g, const struct layout *now,
			  const struct layout *next)
{
	for (__u32 i = 0; i < next->prefixes.count; i++) {
		const struct prefix_entry *e = &next->prefixes.entry[i];
		const struct prefix_entry *have = prefix_list_find(&now->prefixes, &e->key);
		int err = 0;

		if (!have || have->value.service != e->value.service)
			err = mapio_prefix_set(g, e);
		if (err)
			return err;
	}
	return 0;
}

static int write_ports(const struct guard *g, const struct layout *now, const struct layout *next)
{
	for (__u32 port = 0; port < SW_PORTS; port++) {
		int err = 0;

		if (memcmp(&now->ports[port], &next->ports[port], sizeof(next->ports[port])))
			err = mapio_port_set(g, port, &next->ports[port]);
		if (err)
			return err;
	}
	return 0;
}

static int drop_prefixes(const struct guard *g, const struct layout *now, const struct layout *next)
{
	for (__u32 i = 0; i < now->prefixes.count; i++) {
		const struct sw_prefix_key *key = &now->prefixes.entry[i].key;
		int err = 0;

		if (!prefix_list_find(&next->prefixes, key))
			err = mapio_prefix_del(g, key);
		if (err)
			return err;
	}
	return 0;
}

static int layout_write(const struct guard *g, const struct layout *now, const struct layout *next)
{
	int err = write_prefixes(g, now, next);

	if (!err && next->any_mode > now->any_mode)
		err = settings_any_mode(g, next->any_mode);
	if (!err)
		err = write_ports(g, now, next);
	if (!err)
		wait_for_packets();
	if (!err && next->any_mode < now->any_mode)
		err = settings_any_mode(g, next->any_mode);
	if (!err)
		err = drop_prefixes(g, now, next);
	return err;
}

/* Brings ports and prefixes to what `set` says; on failure back to what they were. */
static int services_apply(const struct guard *g, const struct services *set)
{
	struct layout now = { 0 }, next = { 0 }, half = { 0 };
	int err = mapio_layout(g, &now);

	if (!err && services_layout(set, &now, &next))
		err = log_err(-ENOMEM, "lay out the services");
	if (!err) {
		err = layout_write(g, &now, &next);
		if (err && !mapio_layout(g, &half))
			layout_write(g, &half, &now);
	}
	layout_free(&now);
	layout_free(&next);
	layout_free(&half);
	return err;
}

/* Mode of one service; the strictest mode of its address follows. */
static int write_service(const struct guard *g, struct services *set, __u32 id,
			 const struct sw_service *s)
{
	int err = mapio_service_set(g, id, s);

	if (err)
		return err;
	set->slot[id] = *s;
	return services_apply(g, set);
}

/* Handshakes under way are asked for until they must have ended. */
static int grace_begin(const struct guard *g)
{
	struct sw_settings s;
	int err = mapio_settings(g, &s);

	s.grace_until_ns = grace_end();
	return err ? err : mapio_settings_set(g, &s);
}

/*
 * Before a service enforces, filter and tables must know the connections it has: it runs in
 * monitor, where passing SYNs are noted, while the sockets are walked. One that is judged
 * from now on, in whichever mode, gets them too.
 */
static int write_mode(const struct guard *g, struct services *set, __u32 id,
		      const struct sw_service *s)
{
	enum sw_mode before = set->slot[id].mode; /* off, if there was none */
	bool enforce = s->mode == SW_MODE_ALWAYS && before != SW_MODE_ALWAYS;
	bool begin = s->mode != SW_MODE_OFF && before == SW_MODE_OFF;
	struct sw_service first = *s;
	int err;

	if (!enforce && !begin)
		return write_service(g, set, id, s);
	first.mode = SW_MODE_MONITOR;
	err = write_service(g, set, id, &first);
	if (!err)
		wait_for_packets();
	if (!err && enforce)
		err = grace_begin(g);
	if (!err)
		err = adopt_run(g);
	if (!err && enforce)
		err = write_service(g, set, id, s);
	return err;
}

/* No packet of this service is followed any more: what its entries say would go stale. */
static void forget_connections(const struct guard *g, __u32 id)
{
	autotables struct tables t = { 0 };

	if (!tables_open(g, &t, true))
		tables_forget(&t, id);
}

/* Cookies that are out are honoured in monitor, not in `off` or without the service. */
static int leave_enforcing(const struct guard *g, struct services *set, __u32 id)
{
	struct sw_service s = set->slot[id];
	int err;

	if (s.mode != SW_MODE_ALWAYS)
		return 0;
	s.mode = SW_MODE_MONITOR;
	err = write_service(g, set, id, &s);
	if (!err)
		usleep(DRAIN_US);
	return err;
}

static bool has_counts(const struct guard *g, __u32 id)
{
	struct sw_count row[SW_REASON_MAX];

	if (mapio_stats(g, id, row))
		return true;
	for (__u32 r = 1; r < SW_REASON_MAX; r++)
		if (row[r].packets)
			return true;
	return false;
}

/* A free id, one that never counted if there is; the counts of a reused one start again. */
static int pick_id(const struct guard *g, const struct services *set, __u32 *id)
{
	__u32 used_before = 0;

	for (__u32 i = 1; i < SW_MAX_SERVICES; i++) {
		if (set->slot[i].port_first)
			continue;
		if (!has_counts(g, i)) {
			*id = i;
			return 0;
		}
		if (!used_before)
			used_before = i;
	}
	if (!used_before)
		return log_refuse(-ENOSPC, "the guard has %d services, the most it can",
				  SW_MAX_SERVICES - 1);
	*id = used_before;
	return mapio_stats_zero(g, used_before);
}

static int service_add(const struct guard *g, const struct opts *o, const struct sw_service *want)
{
	struct sw_service s = *want, empty = { 0 };
	char name[TEXT_SERVICE], other[TEXT_SERVICE];
	struct services set;
	__u32 id;
	int err = mapio_services(g, &set);

	if (err)
		return err;
	id = services_overlap(&set, want);
	if (id) {
		log_refuse(-EEXIST, "'%s' overlaps the service '%s'", text_service_name(want, name),
			   text_service_name(&set.slot[id], other));
		if (services_find(&set, want))
			log_hint("'synwarden service set' changes it");
		return -EEXIST;
	}
	err = pick_id(g, &set, &id);
	if (err)
		return err;
	s.mode = o->given & OPT_MODE ? o->mode : SW_MODE_MONITOR;
	s.host_syns_pps = o->host_syns;
	err = write_mode(g, &set, id, &s);
	if (err) {
		set.slot[id] = empty;
		services_apply(g, &set);
		mapio_service_set(g, id, &empty);
		forget_connections(g, id);
	}
	return err;
}

int no_such_service(const struct services *set, const struct sw_service *want)
{
	char name[TEXT_SERVICE], other[TEXT_SERVICE];
	__u32 near = services_overlap(set, want);

	log_refuse(-ENOENT, "no service '%s'", text_service_name(want, name));
	if (near)
		log_hint("there is '%s'", text_service_name(&set->slot[near], other));
	return -ENOENT;
}

static int service_set(const struct guard *g, const struct opts *o, const struct sw_service *want)
{
	struct sw_service s, before;
	struct services set;
	__u32 id;
	int err = mapio_services(g, &set);

	if (err)
		return err;
	id = services_find(&set, want);
	if (!id)
		return no_such_service(&set, want);
	before = s = set.slot[id];
	if (o->given & OPT_MODE)
		s.mode = o->mode;
	if (o->given & OPT_HOST_SYNS)
		s.host_syns_pps = o->host_syns;
	if (s.mode == SW_MODE_OFF)
		err = leave_enforcing(g, &set, id);
	if (!err)
		err = write_mode(g, &set, id, &s);
	if (err)
		write_service(g, &set, id, &before);
	else if (s.mode == SW_MODE_OFF)
		forget_connections(g, id);
	return err;
}

static int service_del(const struct guard *g, const struct opts *o, const struct sw_service *want)
{
	struct sw_service empty = { 0 };
	struct services set;
	__u32 id;
	int err = mapio_services(g, &set);

	(void)o;
	if (err)
		return err;
	id = services_find(&set, want);
	if (!id)
		return no_such_service(&set, want);
	err = leave_enforcing(g, &set, id);
	if (err)
		return err;
	set.slot[id] = empty;
	/* out of ports and prefixes first: then no packet can meet the empty slot */
	err = services_apply(g, &set);
	if (!err)
		err = mapio_service_set(g, id, &empty);
	if (!err)
		forget_connections(g, id);
	return err;
}

static int service_list(const struct guard *g, const struct opts *o)
{
	char name[TEXT_SERVICE];
	struct services set;
	struct json j;
	int err = mapio_services(g, &set);

	if (err)
		return err;
	if (o->json) {
		json_begin(&j, stdout);
		json_array(&j, NULL);
	} else {
		printf("%-44s %-8s %s\n", "SERVICE", "MODE", "HOST-SYNS");
	}
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &set.slot[id];

		if (!s->port_first)
			continue;
		if (!o->json) {
			printf("%-44s %-8s %u\n", text_service_name(s, name),
			       text_mode_name(s->mode), s->host_syns_pps);
			continue;
		}
		json_object(&j, NULL);
		json_str(&j, "service", text_service_name(s, name));
		json_u64(&j, "id", id);
		json_str(&j, "mode", text_mode_name(s->mode));
		json_u64(&j, "host_syns", s->host_syns_pps);
		json_close(&j);
	}
	if (o->json)
		json_end(&j);
	return 0;
}

struct verb {
	const char *name;
	int (*run)(const struct guard *g, const struct opts *o, const struct sw_service *want);
};

static const struct verb verbs[] = {
	{ "add", service_add },
	{ "set", service_set },
	{ "del", service_del },
	{ "list", NULL },
};

static const struct verb *find_verb(const char *name)
{
	const char *near;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	log_usage("unknown: service %s: add, set, del or list", name);
	near = nearest_name(name, &verbs[0].name, ARRAY_SIZE(verbs), sizeof(verbs[0]));
	if (near)
		log_hint("did you mean 'service %s'?", near);
	return NULL;
}

/* Checks all words before anything is opened. 0, or the exit code 2. */
static int parse_words(const struct opts *o, int argc, char **argv, const struct verb **verb,
		       struct sw_service *want)
{
	struct text_why why;

	if (!argc)
		return log_usage(
			"service needs add, set, del or list: see synwarden service --help");
	*verb = find_verb(argv[0]);
	if (!*verb)
		return 2;
	if (!(*verb)->run) {
		if (o->given)
			return log_usage("service list takes no --mode and no --host-syns");
		return no_arguments("service list", argc - 1, argv + 1);
	}
	if (argc != 3)
		return log_usage("service %s needs PREFIX|any and PORT[-PORT]", argv[0]);
	if ((*verb)->run == service_del && o->given)
		return log_usage("service del takes no --mode and no --host-syns");
	if ((*verb)->run == service_set && !o->given)
		return log_usage("service set needs --mode or --host-syns");
	if (text_service(argv[1], argv[2], want, &why))
		return log_usage("%s", why.text);
	return 0;
}

int cmd_service(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autolock int lock = -1;
	struct sw_service want = { 0 };
	const struct verb *verb = NULL;
	int err = parse_words(o, argc, argv, &verb, &want);

	if (err)
		return err;
	if (!verb->run) {
		err = guard_open(&g, o->pin);
		return exit_code(err ? err : service_list(&g, o));
	}
	err = probe_require_bpffs(o->pin);
	if (!err)
		err = lock_take(&lock);
	if (!err)
		err = guard_open(&g, o->pin);
	if (!err)
		err = dev_sweep(&g);
	if (!err)
		err = verb->run(&g, o, &want);
	return exit_code(err);
}
