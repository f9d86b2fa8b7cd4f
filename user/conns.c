/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filters and order of connections; see conns.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conns.h"
#include "util.h"

static const char *const sort_names[] = {
	[CONN_SORT_NONE] = NULL,       [CONN_SORT_AGE] = "age",     [CONN_SORT_IDLE] = "idle",
	[CONN_SORT_CLIENT] = "client", [CONN_SORT_STATE] = "state",
};

int conn_sort_read(const char *s, enum conn_sort *sort, struct text_why *why)
{
	for (size_t i = CONN_SORT_AGE; i < ARRAY_SIZE(sort_names); i++) {
		if (strcmp(sort_names[i], s))
			continue;
		*sort = (enum conn_sort)i;
		return 0;
	}
	snprintf(why->text, sizeof(why->text), "unknown --sort '%.40s': age, idle, client or state",
		 s);
	return -EINVAL;
}

bool conn_matches(const struct conn_query *q, const struct sw_conn *c, __u32 now)
{
	__u32 age = conn_since(c->opened_s, now);

	return (!q->states || q->states >> c->state & 1) &&
	       (!q->service || q->service == conn_service(c)) && age >= q->older_s &&
	       age <= q->younger_s && addr_in_prefix(c->client, q->source, q->source_len);
}

static __u64 address_half(const __be32 *addr)
{
	return (__u64)ntohl(addr[0]) << 32 | ntohl(addr[1]);
}

struct conn_key conn_key_of(enum conn_sort sort, const struct conn *conn, __u32 now)
{
	const struct sw_conn *c = &conn->c;
	struct conn_key key = {
		.at = conn->at,
		.table = (__u8)conn->table,
		.generation = c->generation,
	};

	switch (sort) {
	case CONN_SORT_CLIENT:
		key.high = address_half(c->client);
		key.low = address_half(c->client + 2);
		key.port = ntohs(c->client_port);
		break;
	case CONN_SORT_STATE:
		key.high = c->state;
		key.low = conn_since(c->opened_s, now);
		break;
	case CONN_SORT_IDLE:
		key.high = conn_idle(c, now);
		break;
	default:
		key.high = conn_since(c->opened_s, now);
	}
	return key;
}

struct conn conn_of_key(const struct conn_key *key)
{
	struct conn conn = { .table = (enum sw_table)key->table, .at = key->at };

	conn.c.generation = key->generation;
	return conn;
}

/* Equal ones by their place, so that pages of one listing do not overlap. */
static int compare(const void *left, const void *right)
{
	const struct conn_key *a = left, *b = right;

	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

static int compare_reverse(const void *left, const void *right)
{
	return compare(right, left);
}

/* Does a come behind b in the order wanted? */
static bool is_behind(const struct conn_list *list, size_t a, size_t b)
{
	int order = compare(&list->key[a], &list->key[b]);

	return list->reverse ? order < 0 : order > 0;
}

static void swap(struct conn_list *list, size_t a, size_t b)
{
	struct conn_key key = list->key[a];

	list->key[a] = list->key[b];
	list->key[b] = key;
}

/* The heap's top is what comes last: the first to go. */
static void sift_down(struct conn_list *list, size_t at)
{
	for (;;) {
		size_t left = 2 * at + 1, last = at;

		if (left < list->count && is_behind(list, left, last))
			last = left;
		if (left + 1 < list->count && is_behind(list, left + 1, last))
			last = left + 1;
		if (last == at)
			return;
		swap(list, at, last);
		at = last;
	}
}

static int grow(struct conn_list *list)
{
	size_t want = list->allocated ? list->allocated * 2 : 1024;
	void *grown;

	if (want > list->room)
		want = list->room;
	grown = reallocarray(list->key, want, sizeof(*list->key));
	if (!grown)
		return -ENOMEM;
	list->key = grown;
	list->allocated = want;
	return 0;
}

int conn_list_add(struct conn_list *list, const struct conn_key *key)
{
	int order;

	if (!list->room)
		return 0;
	if (list->count < list->room) {
		if (list->count == list->allocated && grow(list))
			return -ENOMEM;
		list->key[list->count++] = *key;
		for (size_t i = list->count / 2; list->count == list->room && i > 0; i--)
			sift_down(list, i - 1);
		return 0;
	}
	order = compare(key, &list->key[0]);
	if (list->reverse ? order > 0 : order < 0) {
		list->key[0] = *key;
		sift_down(list, 0);
	}
	return 0;
}

void conn_list_sort(struct conn_list *list)
{
	if (list->count)
		qsort(list->key, list->count, sizeof(*list->key),
		      list->reverse ? compare_reverse : compare);
}

void conn_list_free(struct conn_list *list)
{
	free(list->key);
	memset(list, 0, sizeof(*list));
}
