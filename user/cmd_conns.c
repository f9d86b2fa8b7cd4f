/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conns: the connection tables, read where they lie. Unsorted they go out one by one; sorted,
 * 24 bytes are kept of each until the order is known, or of the first ones with --limit.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "table.h"
#include "util.h"

struct listing {
	const struct tables *t;
	const struct conn_query *q;
	__u32 now;
	struct json *json; /* NULL: text */
	bool by_walk;      /* counts are asked for that the gauges cannot tell */
	char service[SW_MAX_SERVICES][TEXT_SERVICE];
};

static const struct {
	__u8 flag;
	const char *word;
} flag_words[] = {
	{ SW_CONN_CONFIRMED, "confirmed" },   { SW_CONN_OUTBOUND, "outbound" },
	{ SW_CONN_ADOPTED, "adopted" },       { SW_CONN_CLIENT_FIN, "client-fin" },
	{ SW_CONN_SERVER_FIN, "server-fin" }, { SW_CONN_RST_SEEN, "rst-seen" },
	{ SW_CONN_SYN_PASSED, "syn-passed" },
};
#define FLAG_WORDS 96

static const char *flags_text(__u8 flags, char buf[FLAG_WORDS])
{
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(flag_words); i++)
		if (flags & flag_words[i].flag)
			len += (size_t)snprintf(buf + len, FLAG_WORDS - len, "%s%s", len ? "," : "",
						flag_words[i].word);
	return buf;
}

/* NULL: of no service; an id that is free now had one. */
static const char *service_of(const struct listing *l, __u32 id)
{
	return id ? l->service[id] : NULL;
}

static void name_services(struct listing *l, const struct services *set)
{
	for (__u32 id = 0; id < SW_MAX_SERVICES; id++) {
		if (set->slot[id].port_first)
			text_service_name(&set->slot[id], l->service[id]);
		else
			snprintf(l->service[id], sizeof(l->service[id]), "deleted");
	}
}

static void json_name(struct json *j, const char *key, const char *name)
{
	if (name)
		json_str(j, key, name);
	else
		json_null(j, key);
}

static void json_seq(struct json *j, const char *key, bool is_valid, __u32 seq)
{
	if (is_valid)
		json_u64(j, key, seq);
	else
		json_null(j, key);
}

static void conn_json(const struct listing *l, const struct conn *conn)
{
	const struct sw_conn *c = &conn->c;
	char end[TEXT_ADDR + 8];
	struct json *j = l->json;

	json_object(j, NULL);
	json_str(j, "client", text_endpoint(c->client, c->client_port, end));
	json_str(j, "server", text_endpoint(c->server, c->server_port, end));
	json_str(j, "state", text_state_name(c->state));
	json_u64(j, "age_s", conn_since(c->opened_s, l->now));
	json_u64(j, "idle_s", conn_idle(c, l->now));
	json_u64(j, "state_s", conn_since(c->changed_s, l->now));
	json_name(j, "service", service_of(l, conn_service(c)));
	json_bool(j, "confirmed", c->flags & SW_CONN_CONFIRMED);
	json_bool(j, "outbound", c->flags & SW_CONN_OUTBOUND);
	json_bool(j, "adopted", c->flags & SW_CONN_ADOPTED);
	json_bool(j, "rst_seen", c->flags & SW_CONN_RST_SEEN);
	json_seq(j, "client_fin", c->flags & SW_CONN_CLIENT_FIN, c->client_fin);
	json_seq(j, "server_fin", c->flags & SW_CONN_SERVER_FIN, c->server_fin);
	json_str(j, "table", text_table_name(conn->table));
	json_close(j);
}

#define CONN_COLUMNS "%-24s %-24s %-12s %7s %7s  %-18s %s\n"

static void conn_print(const struct listing *l, const struct conn *conn)
{
	const struct sw_conn *c = &conn->c;
	char client[TEXT_ADDR + 8], server[TEXT_ADDR + 8], age[TEXT_AGE], idle[TEXT_AGE];
	char flags[FLAG_WORDS];
	const char *service = service_of(l, conn_service(c));

	printf(CONN_COLUMNS, text_endpoint(c->client, c->client_port, client),
	       text_endpoint(c->server, c->server_port, server), text_state_name(c->state),
	       text_age(conn_since(c->opened_s, l->now), age), text_age(conn_idle(c, l->now), idle),
	       service ? service : "-", flags_text(c->flags, flags));
}

static void show(const struct listing *l, const struct conn *conn)
{
	if (l->json)
		conn_json(l, conn);
	else
		conn_print(l, conn);
}

/* Nobody reads on: what is left would go nowhere. */
static bool is_cut(void)
{
	return ferror(stdout);
}

static void list_as_they_lie(const struct listing *l)
{
	struct walk w = WALK(l->t);
	__u32 matched = 0, shown = 0;
	struct conn conn;

	while (shown < l->q->limit && !is_cut() && walk_next(&w, &conn)) {
		if (!conn_matches(l->q, &conn.c, l->now) || matched++ < l->q->offset)
			continue;
		show(l, &conn);
		shown++;
	}
}

static int list_sorted(const struct listing *l)
{
	autolist struct conn_list list = {
		.room = (size_t)l->q->offset + l->q->limit,
		.reverse = l->q->reverse,
	};
	struct walk w = WALK(l->t);
	struct conn conn;

	while (walk_next(&w, &conn)) {
		struct conn_key key;

		if (!conn_matches(l->q, &conn.c, l->now))
			continue;
		key = conn_key_of(l->q->sort, &conn, l->now);
		if (conn_list_add(&list, &key))
			return log_err(-ENOMEM, "sort the connections; --limit needs less");
	}
	conn_list_sort(&list);
	for (size_t i = l->q->offset; i < list.count && !is_cut(); i++) {
		conn = conn_of_key(&list.key[i]);
		if (conn_again(l->t, &conn))
			show(l, &conn);
	}
	return 0;
}

static int list(const struct listing *l)
{
	int err = 0;

	if (l->json) {
		json_begin(l->json, stdout);
		json_array(l->json, NULL);
	} else {
		printf(CONN_COLUMNS, "CLIENT", "SERVER", "STATE", "AGE", "IDLE", "SERVICE",
		       "FLAGS");
	}
	if (l->q->sort)
		err = list_sorted(l);
	else
		list_as_they_lie(l);
	if (l->json)
		json_end(l->json);
	return err;
}

/* The datapath's own count, or with a filter it does not know, of a walk. */
static void count(const struct listing *l, struct sw_gauge *sum)
{
	const struct conn_query *q = l->q;
	struct walk w = WALK(l->t);
	struct conn conn;

	if (l->by_walk) {
		while (walk_next(&w, &conn))
			if (conn_matches(q, &conn.c, l->now))
				sum[conn_service(&conn.c)].conns[conn.c.state]++;
		return;
	}
	for (__u32 id = 0; id < SW_MAX_SERVICES; id++) {
		tables_gauge(l->t, id, &sum[id]);
		for (__u32 state = 0; state < SW_STATE_MAX; state++)
			if ((q->service && q->service != id) ||
			    (q->states && !(q->states >> state & 1)))
				sum[id].conns[state] = 0;
	}
}

static void count_row(const struct listing *l, __u32 id, enum sw_state state, __u64 n)
{
	struct json *j = l->json;
	const char *service = service_of(l, id);
	char text[TEXT_COUNT];

	if (!j) {
		printf("%-26s %-12s %15s\n", service ? service : "-", text_state_name(state),
		       text_count(n, text));
		return;
	}
	json_object(j, NULL);
	json_name(j, "service", service);
	json_str(j, "state", text_state_name(state));
	json_u64(j, "connections", n);
	json_close(j);
}

static int show_counts(const struct listing *l)
{
	autofree struct sw_gauge *sum = calloc(SW_MAX_SERVICES, sizeof(*sum));

	if (!sum)
		return log_err(-ENOMEM, "count the connections");
	count(l, sum);
	if (l->json) {
		json_begin(l->json, stdout);
		json_array(l->json, NULL);
	} else {
		printf("%-26s %-12s %15s\n", "SERVICE", "STATE", "CONNECTIONS");
	}
	for (__u32 id = 0; id < SW_MAX_SERVICES; id++)
		for (__u32 state = SW_CLOSED; state < SW_STATE_MAX; state++)
			if (sum[id].conns[state])
				count_row(l, id, (enum sw_state)state, sum[id].conns[state]);
	if (l->json)
		json_end(l->json);
	return 0;
}

static int check_options(const struct opts *o)
{
	const unsigned int order = OPT_SORT | OPT_REVERSE | OPT_LIMIT | OPT_OFFSET;

	if (o->given & OPT_COUNT && o->given & order)
		return log_usage("conns --count takes no --%s", option_name(o->given & order));
	if (o->given & OPT_REVERSE && !(o->given & OPT_SORT))
		return log_usage("conns --reverse needs --sort");
	return 0;
}

/* --service names one that exists, so that what is counted and what is listed agree. */
static int find_service(const struct opts *o, const struct services *set, struct conn_query *q)
{
	if (!(o->given & OPT_SERVICE))
		return 0;
	q->service = services_find(set, &o->service);
	return q->service ? 0 : no_such_service(set, &o->service);
}

int cmd_conns(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autotables struct tables t = { 0 };
	struct conn_query q = o->query;
	autofree struct listing *l = calloc(1, sizeof(*l));
	struct services set;
	struct json j;
	int err = no_arguments("conns", argc, argv);

	if (!err)
		err = check_options(o);
	if (err)
		return err;
	if (!l || guard_open(&g, o->pin) || mapio_services(&g, &set) || find_service(o, &set, &q) ||
	    tables_open(&g, &t, false))
		return EXIT_FAILURE;
	l->t = &t;
	l->q = &q;
	l->now = conn_now();
	l->json = o->json ? &j : NULL;
	l->by_walk = o->given & (OPT_SOURCE | OPT_OLDER | OPT_YOUNGER);
	name_services(l, &set);
	/* a million lines, in pieces larger than the 4 kB of a pipe */
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	return exit_code(o->given & OPT_COUNT ? show_counts(l) : list(l));
}
