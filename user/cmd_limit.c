/* SPDX-License-Identifier: GPL-2.0-or-later */
/* limit show, limit set: numbers that may change while the guard runs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "tunables.h"
#include "util.h"

static void show_json(const struct sw_settings *s)
{
	struct json j;

	json_begin(&j, stdout);
	json_array(&j, NULL);
	for (size_t i = 0; i < limits_count; i++) {
		const struct limit *l = &limits[i];

		json_object(&j, NULL);
		json_str(&j, "name", l->name);
		json_u64(&j, "value", limit_get(l, s));
		json_u64(&j, "default", l->fallback);
		json_u64(&j, "min", l->min);
		json_u64(&j, "max", l->max);
		json_str(&j, "unit", l->unit);
		json_str(&j, "help", l->help);
		json_close(&j);
	}
	json_end(&j);
}

static void show_text(const struct sw_settings *s)
{
	printf("%-21s %10s %10s %-12s %s\n", "NAME", "VALUE", "DEFAULT", "UNIT", "WHAT");
	for (size_t i = 0; i < limits_count; i++) {
		const struct limit *l = &limits[i];

		printf("%-21s %10u %10u %-12s %s\n", l->name, limit_get(l, s), l->fallback, l->unit,
		       l->help);
	}
}

static int limit_show(const struct opts *o)
{
	autoguard struct guard g = GUARD_INIT;
	struct sw_settings s;
	int err = guard_open(&g, o->pin);

	if (!err)
		err = mapio_settings(&g, &s);
	if (err)
		return err;
	if (o->json)
		show_json(&s);
	else
		show_text(&s);
	return 0;
}

static int limit_set(const struct opts *o, const struct limit *l, __u32 value)
{
	autoguard struct guard g = GUARD_INIT;
	autolock int lock = -1;
	struct sw_settings s;
	int err = guard_open_locked(&g, o->pin, &lock);

	if (!err)
		err = mapio_settings(&g, &s);
	if (err)
		return err;
	limit_put(l, &s, value);
	return mapio_settings_set(&g, &s);
}

static int unknown_limit(const char *name)
{
	const char *near = nearest_name(name, &limits[0].name, limits_count, sizeof(limits[0]));

	log_usage("unknown limit '%.40s': see synwarden limit show", name);
	if (near)
		log_hint("did you mean '%s'?", near);
	return 2;
}

int cmd_limit(const struct opts *o, int argc, char **argv)
{
	const struct limit *l;
	struct text_why why;
	__u32 value;

	if (argc && !strcmp(argv[0], "show")) {
		if (argc > 1)
			return no_arguments("limit show", argc - 1, argv + 1);
		return exit_code(limit_show(o));
	}
	if (argc != 3 || strcmp(argv[0], "set"))
		return log_usage("limit needs show, or set NAME VALUE|default");
	l = limit_find(argv[1]);
	if (!l)
		return unknown_limit(argv[1]);
	if (limit_read(l, argv[2], &value, &why))
		return log_usage("%s", why.text);
	return exit_code(limit_set(o, l, value));
}
