/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of list entries in memory, and how a line of a list file reads. Pure: mapio.c reads and
 * writes the map, rollout.c makes a set the one that packets are judged by.
 */
#ifndef SW_USER_LISTS_H
#define SW_USER_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "synwarden.h"
#include "text.h"

/* The half of the key is left to mapio.c: 0 here. */
struct list_entry {
	struct sw_list_key key;
	struct sw_listed value;
};

struct list_set {
	struct list_entry *entry;
	__u32 count;
	__u32 room;
};

void list_set_free(struct list_set *set);
#define autolists __attribute__((cleanup(list_set_free)))

/* -ENOMEM, or -ENOSPC: more than SW_LIST_ENTRIES. */
int list_set_add(struct list_set *set, const struct list_entry *e);
int list_set_copy(struct list_set *to, const struct list_set *from);
/*
 * Sorts, and of entries with one key keeps the one that ends last; returns how many went. What
 * covers an entry stands before it.
 */
__u32 list_set_sort(struct list_set *set);
/* In a sorted set; NULL: not there. */
struct list_entry *list_set_find(const struct list_set *set, const struct sw_list_key *key);
/* Takes out what `drop` says; returns how many. The order stays. */
__u32 list_set_drop(struct list_set *set, bool (*drop)(const struct list_entry *e, const void *arg),
		    const void *arg);
/*
 * What is to be written: sorted, nothing that has ended, and each entry ends no sooner than
 * what covers it in the same list and scope. A lookup finds the longest prefix alone, which
 * would hide the shorter one as soon as its own time has passed.
 */
void list_set_settle(struct list_set *set, __u32 now);
/* For each service id, and 0 for all of them: a bit per list that has entries of this scope. */
void list_set_bits(const struct list_set *set, __u32 bits[SW_MAX_SERVICES]);

/* The entry a lookup of this address would find, NULL none. Any order. */
const struct list_entry *list_set_match(const struct list_set *set, enum sw_list list,
					__u32 service, const __be32 addr[4], __u32 now);
/* Another entry of the same list and scope that covers it and ends later. Any order. */
const struct list_entry *list_set_cover(const struct list_set *set, const struct list_entry *e,
					__u32 now);
/* Is `e` within `wide`, same list and scope, and another? */
bool list_is_within(const struct list_entry *e, const struct list_entry *wide);

/* `now`: of conn_now(). */
bool list_has_ended(const struct list_entry *e, __u32 now);
/* Seconds until then; only if it ends. */
__u32 list_left(const struct list_entry *e, __u32 now);
/* It lives so long from now. */
void list_end_in(struct list_entry *e, __u32 now, __u32 ttl_s);
#define LIST_TTL_MAX 315360000 /* ten years; the sign of a difference tells what has ended */

__u32 list_prefix_len(const struct list_entry *e);
/* Of an address, or `len` bits of it. */
void list_entry_set(struct list_entry *e, const __be32 addr[4], __u32 len);

const char *list_name(enum sw_list list);
/* "deny", "fail-safe" or, in a file, "fail_safe". */
int list_read(const char *s, enum sw_list *list, struct text_why *why);

/* Printable UTF-8 of at most SW_COMMENT - 1 bytes. */
int list_comment_read(const char *s, char comment[SW_COMMENT], struct text_why *why);
/* As it may be shown: what lies in a map may be anything. */
const char *list_comment(const struct list_entry *e, char buf[SW_COMMENT]);

/*
 * "PREFIX [# COMMENT]", which it takes apart. 1: an entry, 0: nothing but a comment or blanks,
 * -EINVAL. The comment stays as it is in `e` where the line has none.
 */
int list_line_read(char *line, struct list_entry *e, struct text_why *why);

/* Of a file of such lines. */
struct list_load {
	struct list_set set; /* sorted */
	__u32 lines;         /* read */
	__u32 twice;         /* entries that an earlier line had */
	__u32 bad;           /* each was told to `complain` */
	void (*complain)(void *arg, __u32 line, const char *why);
	void *arg;
};
#define autoload __attribute__((cleanup(list_load_free)))
void list_load_free(struct list_load *load);

/* Reads it to its end. `like`: list, scope, end and comment of each. -EINVAL: bad lines. */
int list_load_read(struct list_load *load, FILE *in, const struct list_entry *like);

#endif /* SW_USER_LISTS_H */
