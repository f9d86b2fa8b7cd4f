/* SPDX-License-Identifier: GPL-2.0-or-later */
/* service add, set, del, list. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "arming.h"
#include "cmd.h"
#include "json.h"
#include "lockout.h"
#include "sources.h"
#include "table.h"
#include "util.h"

static int service_options(struct sw_service *s, const struct opts *o)
{
	struct text_why why; /* the words were read once already */

	if (o->given & OPT_MODE)
		s->mode = o->mode;
	if (o->given & OPT_HOST_SYNS)
		s->host_syns_pps = o->host_syns;
	if (o->given & OPT_ARM)
		arming_read(o->arm, s, &why);
	for (int i = 0; i < SW_LEVELS; i++)
		if (o->per[i])
			quota_read(o->per[i], &s->limit[i], &why);
	if (o->given & OPT_OVER)
		over_read(o->over, s, &why);
	return quota_settle(s, &why) ? log_refuse(-EINVAL, "%s", why.text) : 0;
}

static int service_rollout(const struct guard *g, const struct opts *o, const struct services *set)
{
	int err = o->given & OPT_FORCE ? 0 : lockout_check(g, set, NULL);

	return err ? err : rollout(g, &(struct rollout){ .services = set });
}

static int service_add(const struct guard *g, const struct opts *o, const struct sw_service *want)
{
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
	err = service_pick_id(g, &set, &set, &id);
	if (err)
		return err;
	set.slot[id] = *want;
	set.slot[id].mode = SW_MODE_MONITOR;
	service_defaults(&set.slot[id]);
	err = service_options(&set.slot[id], o);
	return err ? err : service_rollout(g, o, &set);
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
	struct services set;
	__u32 id;
	int err = mapio_services(g, &set);

	if (err)
		return err;
	id = services_find(&set, want);
	if (!id)
		return no_such_service(&set, want);
	err = service_options(&set.slot[id], o);
	return err ? err : service_rollout(g, o, &set);
}

static int service_del(const struct guard *g, const struct opts *o, const struct sw_service *want)
{
	struct services set;
	__u32 id;
	int err = mapio_services(g, &set);

	if (err)
		return err;
	id = services_find(&set, want);
	if (!id)
		return no_such_service(&set, want);
	memset(&set.slot[id], 0, sizeof(set.slot[id]));
	return service_rollout(g, o, &set);
}

static void marks_json(struct json *j, const char *name, const struct sw_arm_marks *m)
{
	json_object(j, name);
	json_u64(j, "syns_per_s", m->syns_pps);
	json_u64(j, "half_open", m->half_open);
	json_u64(j, "unfinished_percent", m->unfinished);
	json_close(j);
}

static void limits_json(struct json *j, const char *name, const struct sw_source_limit *l)
{
	json_object(j, name);
	json_u64(j, "new_per_s", l->new_pps);
	json_u64(j, "burst", l->burst);
	json_u64(j, "conns", l->conns);
	json_u64(j, "half_closed", l->half_closed);
	json_u64(j, "stalled", l->stalled);
	json_close(j);
}

static void over_json(struct json *j, const struct sw_limit_hits *hits)
{
	json_object(j, "over_limit");
	json_u64(j, "new", hits->over[SW_LIMIT_RATE]);
	json_u64(j, "conns", hits->over[SW_LIMIT_CONNS]);
	json_u64(j, "half_closed", hits->over[SW_LIMIT_HALF_CLOSED]);
	json_u64(j, "stalled", hits->over[SW_LIMIT_STALLED]);
	json_u64(j, "banned", hits->banned);
	json_u64(j, "bans", hits->bans);
	json_u64(j, "no_room", hits->no_room);
	json_close(j);
}

static void service_json(struct json *j, const struct sw_service *s, __u32 id, bool armed,
			 const struct sw_limit_hits *hits)
{
	char name[TEXT_SERVICE], over[TEXT_COUNT];

	json_object(j, NULL);
	json_str(j, "service", text_service_name(s, name));
	json_u64(j, "id", id);
	json_str(j, "mode", text_mode_name(s->mode));
	json_bool(j, "armed", armed);
	json_u64(j, "host_syns", s->host_syns_pps);
	marks_json(j, "upper", &s->upper);
	marks_json(j, "lower", &s->lower);
	json_u64(j, "hold_s", s->hold_s);
	limits_json(j, "per_source", &s->limit[SW_LEVEL_HOST]);
	limits_json(j, "per_net", &s->limit[SW_LEVEL_NET]);
	json_str(j, "over", over_text(s, over));
	if (s->over == SW_OVER_BAN)
		json_u64(j, "ban_s", s->ban_s);
	over_json(j, hits);
	json_close(j);
}

/* "attack": its marks were passed; what comes of that is the mode's. */
static void service_print(const struct sw_service *s, bool armed)
{
	char name[TEXT_SERVICE], marks[ARMING_TEXT], quota[QUOTA_TEXT], over[TEXT_COUNT];

	printf("%-28s %-8s %-7s %9u  %s\n", text_service_name(s, name), text_mode_name(s->mode),
	       armed ? "attack" : "calm", s->host_syns_pps, arming_text(s, marks));
	if (!s->limited)
		return;
	printf("  per source %s", quota_text(&s->limit[SW_LEVEL_HOST], quota));
	printf(", per net %s", quota_text(&s->limit[SW_LEVEL_NET], quota));
	printf(", over: %s\n", over_text(s, over));
}

static int service_list(const struct guard *g, const struct opts *o)
{
	struct sw_limit_hits hits[SW_MAX_SERVICES];
	struct sw_arming arming[SW_MAX_SERVICES];
	struct sw_gauge gauge[SW_MAX_SERVICES];
	__u64 now_ns = clock_ns(CLOCK_MONOTONIC);
	struct services set;
	struct json j;
	int err = mapio_services(g, &set);

	if (!err)
		err = mapio_arming(g, arming);
	if (!err)
		err = mapio_gauges(g, gauge);
	if (!err)
		err = mapio_limit_hits(g, hits);
	if (err)
		return err;
	if (o->json) {
		json_begin(&j, stdout);
		json_array(&j, NULL);
	} else {
		printf("%-28s %-8s %-7s %9s  %s\n", "SERVICE", "MODE", "NOW", "HOST-SYNS", "ARM");
	}
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &set.slot[id];
		bool armed = arming_is_on(&arming[id], s, &gauge[id], now_ns);

		if (s->port_first && o->json)
			service_json(&j, s, id, armed, &hits[id]);
		else if (s->port_first)
			service_print(s, armed);
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
			return log_usage("service list takes no options");
		return no_arguments("service list", argc - 1, argv + 1);
	}
	if (argc != 3)
		return log_usage("service %s needs PREFIX|any and PORT[-PORT]", argv[0]);
	if ((*verb)->run == service_del && o->given & ~OPT_FORCE)
		return log_usage("service del takes no option but --force");
	if ((*verb)->run == service_set && !(o->given & ~OPT_FORCE))
		return log_usage("service set needs an option: see synwarden service --help");
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
	err = guard_open_locked(&g, o->pin, &lock);
	if (!err && dev_here(&g) < 0)
		err = -EXDEV;
	if (!err)
		err = verb->run(&g, o, &want);
	return exit_code(err);
}
