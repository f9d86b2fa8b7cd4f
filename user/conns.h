/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which connections `conns` shows, and in which order. Pure. */
#ifndef SW_USER_CONNS_H
#define SW_USER_CONNS_H

#include <stdbool.h>
#include <stddef.h>

#include "table.h"
#include "text.h"

enum conn_sort {
	CONN_SORT_NONE, /* as they lie in the tables */
	CONN_SORT_AGE,
	CONN_SORT_IDLE,
	CONN_SORT_CLIENT,
	CONN_SORT_STATE,
};

struct conn_query {
	__u32 states;     /* a bit for each enum sw_state, 0: any */
	__u32 service;    /* id, 0: any */
	__be32 source[4]; /* of the client, with length 0: any */
	__u32 source_len;
	__u32 older_s;   /* at least so old */
	__u32 younger_s; /* at most so old; ~0: any age */
	enum conn_sort sort;
	bool reverse;
	__u32 limit; /* ~0: all */
	__u32 offset;
};
#define CONN_QUERY_ALL                         \
	{                                      \
		.younger_s = ~0U, .limit = ~0U \
	}

int conn_sort_read(const char *s, enum conn_sort *sort, struct text_why *why);
/* `now`: of conn_now(). */
bool conn_matches(const struct conn_query *q, const struct sw_conn *c, __u32 now);

/* What is kept of a connection to sort it: 24 bytes. */
struct conn_key {
	__u64 high, low; /* what it is sorted by */
	__u32 at;
	__u16 port; /* of the client, when sorted by that */
	__u8 table;
	__u8 generation;
};

/*
 * The first `room` of all that were added, in order after conn_list_sort(). It holds no more
 * than that many, in a heap once it is full.
 */
struct conn_list {
	struct conn_key *key;
	size_t count, allocated;
	size_t room;
	bool reverse;
};

int conn_list_add(struct conn_list *list, const struct conn_key *key);
void conn_list_sort(struct conn_list *list);
void conn_list_free(struct conn_list *list);
#define autolist __attribute__((cleanup(conn_list_free)))

struct conn_key conn_key_of(enum conn_sort sort, const struct conn *conn, __u32 now);
/* The connection's place, to be read again with conn_again(). */
struct conn conn_of_key(const struct conn_key *key);

#endif /* SW_USER_CONNS_H */
