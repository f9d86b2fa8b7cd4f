/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets of list entries and the lines they are read from; see lists.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lists.h"
#include "utf8.h"
#include "util.h"

static const char *const list_names[] = {
	[SW_LIST_FAIL_SAFE] = "fail-safe",
	[SW_LIST_ALLOW] = "allow",
	[SW_LIST_DENY] = "deny",
};
_Static_assert(ARRAY_SIZE(list_names) == SW_LIST_MAX, "a name for each list");

const char *list_name(enum sw_list list)
{
	return list < SW_LIST_MAX ? list_names[list] : "?";
}

int list_read(const char *s, enum sw_list *list, struct text_why *why)
{
	for (unsigned int i = 0; i < SW_LIST_MAX; i++) {
		if (strcmp(list_names[i], s) && (i != SW_LIST_FAIL_SAFE || strcmp(s, "fail_safe")))
			continue;
		*list = (enum sw_list)i;
		return 0;
	}
	snprintf(why->text, sizeof(why->text), "unknown list '%.40s': fail-safe, allow or deny", s);
	return -EINVAL;
}

void list_set_free(struct list_set *set)
{
	free(set->entry);
	memset(set, 0, sizeof(*set));
}

void list_load_free(struct list_load *load)
{
	list_set_free(&load->set);
}

int list_set_add(struct list_set *set, const struct list_entry *e)
{
	if (set->count == SW_LIST_ENTRIES)
		return -ENOSPC;
	if (set->count == set->room) {
		__u32 room = set->room ? set->room * 2 : 64;
		void *grown = reallocarray(set->entry, room, sizeof(*e));

		if (!grown)
			return -ENOMEM;
		set->entry = grown;
		set->room = room;
	}
	set->entry[set->count++] = *e;
	return 0;
}

int list_set_copy(struct list_set *to, const struct list_set *from)
{
	struct list_set copy = { .count = from->count, .room = from->count };

	if (from->count) {
		copy.entry = reallocarray(NULL, from->count, sizeof(*copy.entry));
		if (!copy.entry)
			return -ENOMEM;
		memcpy(copy.entry, from->entry, from->count * sizeof(*copy.entry));
	}
	*to = copy;
	return 0;
}

/* By list, scope, address, and the wider first. */
static int key_order(const struct sw_list_key *a, const struct sw_list_key *b)
{
	int order;

	if (a->list != b->list)
		return a->list < b->list ? -1 : 1;
	if (a->service != b->service)
		return a->service < b->service ? -1 : 1;
	order = memcmp(a->addr, b->addr, sizeof(a->addr));
	if (order)
		return order;
	return a->prefix_len < b->prefix_len ? -1 : a->prefix_len > b->prefix_len;
}

/* Positive when a ends later than b; no end is the latest. The clock may wrap between. */
static __s32 ends_later(const struct list_entry *a, const struct list_entry *b)
{
	if (!a->value.until_s || !b->value.until_s)
		return !a->value.until_s - !b->value.until_s;
	return (__s32)(a->value.until_s - b->value.until_s);
}

/* What ends last comes first; then what has a comment, so that it is always the same one. */
static int entry_order(const void *left, const void *right)
{
	const struct list_entry *a = left, *b = right;
	int order = key_order(&a->key, &b->key);
	__s32 later = order ? 0 : ends_later(b, a);

	if (order || later)
		return order ? order : later < 0 ? -1 : 1;
	return memcmp(&b->value, &a->value, sizeof(a->value));
}

__u32 list_set_sort(struct list_set *set)
{
	__u32 kept = 0, before = set->count;

	if (!set->count)
		return 0;
	qsort(set->entry, set->count, sizeof(*set->entry), entry_order);
	for (__u32 i = 0; i < set->count; i++)
		if (!i || key_order(&set->entry[kept - 1].key, &set->entry[i].key))
			set->entry[kept++] = set->entry[i];
	set->count = kept;
	return before - kept;
}

static int find_order(const void *key, const void *entry)
{
	return key_order(key, &((const struct list_entry *)entry)->key);
}

struct list_entry *list_set_find(const struct list_set *set, const struct sw_list_key *key)
{
	if (!set->count)
		return NULL;
	return bsearch(key, set->entry, set->count, sizeof(*set->entry), find_order);
}

__u32 list_set_drop(struct list_set *set, bool (*drop)(const struct list_entry *e, const void *arg),
		    const void *arg)
{
	__u32 kept = 0, dropped;

	for (__u32 i = 0; i < set->count; i++)
		if (!drop(&set->entry[i], arg))
			set->entry[kept++] = set->entry[i];
	dropped = set->count - kept;
	set->count = kept;
	return dropped;
}

bool list_has_ended(const struct list_entry *e, __u32 now)
{
	return e->value.until_s && (__s32)(e->value.until_s - now) <= 0;
}

__u32 list_left(const struct list_entry *e, __u32 now)
{
	return list_has_ended(e, now) ? 0 : e->value.until_s - now;
}

void list_end_in(struct list_entry *e, __u32 now, __u32 ttl_s)
{
	e->value.ttl_s = ttl_s;
	e->value.until_s = now + ttl_s ? now + ttl_s : 1;
}

__u32 list_prefix_len(const struct list_entry *e)
{
	return e->key.prefix_len - 32;
}

void list_entry_set(struct list_entry *e, const __be32 addr[4], __u32 len)
{
	memcpy(e->key.addr, addr, sizeof(e->key.addr));
	e->key.prefix_len = 32 + len;
}

static bool same_scope(const struct sw_list_key *a, const struct sw_list_key *b)
{
	return a->list == b->list && a->service == b->service;
}

bool list_is_within(const struct list_entry *e, const struct list_entry *wide)
{
	return same_scope(&e->key, &wide->key) && wide->key.prefix_len < e->key.prefix_len &&
	       addr_in_prefix(e->key.addr, wide->key.addr, list_prefix_len(wide));
}

static bool has_ended(const struct list_entry *e, const void *now)
{
	return list_has_ended(e, *(const __u32 *)now);
}

void list_set_settle(struct list_set *set, __u32 now)
{
	const struct list_entry *around[129 + 1]; /* one of each length, and none */
	__u32 depth = 0;

	list_set_drop(set, has_ended, &now);
	list_set_sort(set);
	for (__u32 i = 0; i < set->count; i++) {
		struct list_entry *e = &set->entry[i];

		while (depth && !list_is_within(e, around[depth - 1]))
			depth--;
		if (depth && ends_later(around[depth - 1], e) > 0)
			e->value.until_s = around[depth - 1]->value.until_s;
		around[depth++] = e;
	}
}

void list_set_bits(const struct list_set *set, __u32 bits[SW_MAX_SERVICES])
{
	memset(bits, 0, SW_MAX_SERVICES * sizeof(*bits));
	for (__u32 i = 0; i < set->count; i++)
		if (set->entry[i].key.service < SW_MAX_SERVICES)
			bits[set->entry[i].key.service] |= 1U << set->entry[i].key.list;
}

const struct list_entry *list_set_match(const struct list_set *set, enum sw_list list,
					__u32 service, const __be32 addr[4], __u32 now)
{
	const struct list_entry *best = NULL;

	for (__u32 i = 0; i < set->count; i++) {
		const struct list_entry *e = &set->entry[i];

		if (e->key.list == list && e->key.service == service && !list_has_ended(e, now) &&
		    addr_in_prefix(addr, e->key.addr, list_prefix_len(e)) &&
		    (!best || best->key.prefix_len < e->key.prefix_len))
			best = e;
	}
	return best;
}

const struct list_entry *list_set_cover(const struct list_set *set, const struct list_entry *e,
					__u32 now)
{
	for (__u32 i = 0; i < set->count; i++) {
		const struct list_entry *wide = &set->entry[i];

		if (list_is_within(e, wide) && !list_has_ended(wide, now) &&
		    ends_later(wide, e) > 0)
			return wide;
	}
	return NULL;
}

/* Whole, printable, and within the size; anything else has no length. */
static bool comment_is_good(const char *s)
{
	size_t len = 0, step;

	for (; s[len]; len += step) {
		step = utf8_printable(s + len);
		if (!step || len + step >= SW_COMMENT)
			return false;
	}
	return true;
}

int list_comment_read(const char *s, char comment[SW_COMMENT], struct text_why *why)
{
	size_t len = strlen(s);

	if (comment_is_good(s)) {
		memset(comment, 0, SW_COMMENT);
		memcpy(comment, s, len);
		return 0;
	}
	if (len >= SW_COMMENT)
		snprintf(why->text, sizeof(why->text), "comment of %zu bytes: at most %d", len,
			 SW_COMMENT - 1);
	else
		snprintf(why->text, sizeof(why->text),
			 "bad comment: printable characters only, in UTF-8");
	return -EINVAL;
}

const char *list_comment(const struct list_entry *e, char buf[SW_COMMENT])
{
	memcpy(buf, e->value.comment, SW_COMMENT);
	buf[SW_COMMENT - 1] = '\0';
	return comment_is_good(buf) ? buf : "?";
}

static const char blanks[] = " \t\r\n";

static char *trim(char *s)
{
	size_t len;

	s += strspn(s, blanks);
	len = strlen(s);
	while (len && strchr(blanks, s[len - 1]))
		len--;
	s[len] = '\0';
	return s;
}

/* A word as it may be shown in a complaint: the file may be anything. */
static void show_word(const char *word, char *buf, size_t size)
{
	size_t len = 0;

	for (; *word && len + 1 < size; word++, len++)
		buf[len] = *word >= ' ' && *word <= '~' ? *word : '?';
	buf[len] = '\0';
}

int list_line_read(char *line, struct list_entry *e, struct text_why *why)
{
	char *comment = strchr(line, '#');
	struct list_entry read = *e;
	char word[64];
	__be32 addr[4];
	__u32 len;

	if (comment)
		*comment++ = '\0';
	line = trim(line);
	if (!*line)
		return 0;
	show_word(line, word, sizeof(word));
	if (strcspn(line, blanks) != strlen(line)) {
		snprintf(why->text, sizeof(why->text),
			 "'%s': one prefix a line, with nothing behind it but '# comment'", word);
		return -EINVAL;
	}
	if (text_prefix(line, addr, &len, why)) {
		if (strcmp(word, line))
			snprintf(why->text, sizeof(why->text), "bad prefix '%s'", word);
		return -EINVAL;
	}
	if (comment)
		comment = trim(comment);
	if (comment && *comment && list_comment_read(comment, read.value.comment, why))
		return -EINVAL;
	list_entry_set(&read, addr, len);
	*e = read;
	return 1;
}

static void complain(struct list_load *load, const char *why)
{
	load->bad++;
	if (load->complain)
		load->complain(load->arg, load->lines, why);
}

#define LINE_MAX_BYTES 4096

/* A line with its end, as much as there is room for; how many bytes, 0: no more. */
static size_t line_get(FILE *in, char line[LINE_MAX_BYTES + 1])
{
	size_t len = 0;
	int c = 0;

	while (len < LINE_MAX_BYTES && c != '\n' && (c = getc_unlocked(in)) != EOF)
		line[len++] = (char)c;
	line[len] = '\0';
	return len;
}

int list_load_read(struct list_load *load, FILE *in, const struct list_entry *like)
{
	autofree char *line = malloc(LINE_MAX_BYTES + 1);
	struct text_why why;
	size_t len;

	if (!line)
		return -ENOMEM;
	errno = 0;
	while ((len = line_get(in, line)) > 0) {
		struct list_entry e = *like;
		int found;

		load->lines++;
		/* it may have no end */
		if (len == LINE_MAX_BYTES) {
			complain(load,
				 "a line of more than 4095 bytes: this is no list of prefixes");
			return -EINVAL;
		}
		if (strlen(line) != len) {
			complain(load, "a NUL byte: this is no text file");
			continue;
		}
		found = list_line_read(line, &e, &why);
		if (found < 0)
			complain(load, why.text);
		if (found <= 0)
			continue;
		if (list_set_add(&load->set, &e)) {
			snprintf(why.text, sizeof(why.text), "more than %d entries",
				 SW_LIST_ENTRIES);
			complain(load, why.text);
			return -ENOSPC;
		}
	}
	if (ferror(in))
		return errno ? -errno : -EIO;
	load->twice = list_set_sort(&load->set);
	return load->bad ? -EINVAL : 0;
}
