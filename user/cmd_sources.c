/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sources, ban: who has how many connections of a service with limits, and who may not come. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "table.h"
#include "util.h"

struct listing {
	struct services services;
	struct sw_source *row;
	__u32 rows;
	__u32 now_s;
};

static int by_conns(const void *a, const void *b)
{
	const struct sw_source *x = a, *y = b;

	if (x->conns != y->conns)
		return x->conns < y->conns ? 1 : -1;
	return x->refused < y->refused ? 1 : -(x->refused > y->refused);
}

static int sources_list(const struct sources *s, bool banned, struct listing *l)
{
	l->row = calloc(s->slots, sizeof(*l->row));
	if (!l->row)
		return log_err(-ENOMEM, "list the sources");
	for (__u32 i = 0; i < s->slots; i++) {
		struct sw_source *c = &l->row[l->rows];

		if (source_read(s, i, c) && (!banned || source_is_banned(c, l->now_s)))
			l->rows++;
	}
	qsort(l->row, l->rows, sizeof(*l->row), by_conns);
	return 0;
}

static const char *service_name(const struct listing *l, const struct sw_source *c,
				char buf[TEXT_SERVICE])
{
	if (!l->services.slot[c->service].port_first)
		return "deleted";
	return text_service_name(&l->services.slot[c->service], buf);
}

static __u32 ban_left(const struct listing *l, const struct sw_source *c)
{
	return source_is_banned(c, l->now_s) ? c->banned_until_s - l->now_s : 0;
}

static void print_json(const struct listing *l, const struct sw_source *c, struct json *j)
{
	char prefix[TEXT_ADDR + 8], name[TEXT_SERVICE];

	json_object(j, NULL);
	json_str(j, "source", source_text(c, prefix));
	json_str(j, "service", service_name(l, c, name));
	json_u64(j, "conns", c->conns);
	json_u64(j, "half_closed", c->half_closed);
	json_u64(j, "stalled", c->stalled);
	json_u64(j, "over_limit", c->refused);
	json_u64(j, "last_opened_s", conn_since(c->seen_s, l->now_s));
	if (ban_left(l, c))
		json_u64(j, "banned_s", ban_left(l, c));
	json_close(j);
}

static void print_text(const struct listing *l, const struct sw_source *c)
{
	char prefix[TEXT_ADDR + 8], name[TEXT_SERVICE], age[TEXT_AGE], left[TEXT_AGE];

	printf("%-30s %-22s %9u %11u %8u %10u %8s %8s\n", source_text(c, prefix),
	       service_name(l, c, name), c->conns, c->half_closed, c->stalled, c->refused,
	       text_age(conn_since(c->seen_s, l->now_s), age),
	       ban_left(l, c) ? text_age(ban_left(l, c), left) : "-");
}

static int show(const struct opts *o, bool banned)
{
	autoguard struct guard g = GUARD_INIT;
	autosources struct sources s = { 0 };
	struct listing l = { .now_s = conn_now() };
	struct json j;
	int err = guard_open(&g, o->pin);

	if (!err)
		err = mapio_services(&g, &l.services);
	if (!err)
		err = sources_open(&g, &s, false);
	if (!err)
		err = sources_list(&s, banned, &l);
	if (err)
		return err;
	if (o->json) {
		json_begin(&j, stdout);
		json_array(&j, NULL);
	} else {
		printf("%-30s %-22s %9s %11s %8s %10s %8s %8s\n", "SOURCE", "SERVICE", "CONNS",
		       "HALF-CLOSED", "STALLED", "OVER-LIMIT", "LAST", "BANNED");
	}
	for (__u32 i = 0; i < l.rows && i < o->query.limit; i++) {
		if (o->json)
			print_json(&l, &l.row[i], &j);
		else
			print_text(&l, &l.row[i]);
	}
	if (o->json)
		json_end(&j);
	free(l.row);
	return 0;
}

int cmd_sources(const struct opts *o, int argc, char **argv)
{
	int err = no_arguments("sources", argc, argv);

	return err ? err : exit_code(show(o, o->given & OPT_BANNED));
}

static int ban_del(const struct opts *o, const __be32 addr[4], __u32 prefix_len)
{
	autoguard struct guard g = GUARD_INIT;
	autosources struct sources s = { 0 };
	autolock int lock = -1;
	__u32 n;
	int err = guard_open_locked(&g, o->pin, &lock);

	if (!err)
		err = sources_open(&g, &s, true);
	if (err)
		return err;
	n = sources_unban(&s, addr, prefix_len, conn_now());
	if (!n && prefix_len != ~0U)
		return log_refuse(-ENOENT, "no such source is banned: see synwarden ban list");
	log_note("%u ban%s lifted", n, n == 1 ? "" : "s");
	return 0;
}

int cmd_ban(const struct opts *o, int argc, char **argv)
{
	__u32 prefix_len = ~0U;
	struct text_why why;
	__be32 addr[4];

	if (argc && !strcmp(argv[0], "list")) {
		if (argc > 1)
			return no_arguments("ban list", argc - 1, argv + 1);
		return exit_code(show(o, true));
	}
	if (argc != 2 || strcmp(argv[0], "del"))
		return log_usage(
			"ban needs list, or del PREFIX|all; 'deny add --ttl' bans by hand");
	if (strcmp(argv[1], "all") && text_prefix(argv[1], addr, &prefix_len, &why))
		return log_usage("%s", why.text);
	return exit_code(ban_del(o, addr, prefix_len));
}
