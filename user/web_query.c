/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may stand behind '?', and the words of a command that come of it. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conns.h"
#include "control.h"
#include "util.h"
#include "web.h"

#define ROWS_MAX   1000 /* of connections and sources */
#define OFFSET_MAX SW_CONNS_MAX

typedef int check_fn(struct query *q, const char *value);

static int number(struct query *q, const char *value, __u32 min, __u32 max, __u32 *n)
{
	snprintf(q->why.text, sizeof(q->why.text), "a number from %u to %u is awaited", min, max);
	return text_u32(value, min, max, n);
}

static int check_states(struct query *q, const char *value)
{
	__u32 mask;

	return text_states(value, &mask, &q->why);
}

/* "any 80" */
static int check_service(struct query *q, const char *value)
{
	const char *space = strchr(value, ' ');
	char prefix[TEXT_PREFIX];
	struct sw_service service;

	snprintf(q->why.text, sizeof(q->why.text), "PREFIX|any and PORT[-PORT] are awaited");
	if (!space || (size_t)(space - value) >= sizeof(prefix))
		return -EINVAL;
	snprintf(prefix, sizeof(prefix), "%.*s", (int)(space - value), value);
	return text_service(prefix, space + 1, &service, &q->why);
}

static int check_source(struct query *q, const char *value)
{
	__be32 addr[4];
	__u32 len;

	return text_prefix(value, addr, &len, &q->why);
}

static int check_sort(struct query *q, const char *value)
{
	enum conn_sort sort;

	q->sorted = true;
	return conn_sort_read(value, &sort, &q->why);
}

static int check_rows(struct query *q, const char *value)
{
	__u32 n;

	q->limited = true;
	return number(q, value, 0, ROWS_MAX, &n);
}

static int check_offset(struct query *q, const char *value)
{
	__u32 n;

	return number(q, value, 0, OFFSET_MAX, &n);
}

static int check_events(struct query *q, const char *value)
{
	__u32 n;

	return number(q, value, 1, CONTROL_RECENT, &n);
}

static int check_history(struct query *q, const char *value)
{
	return number(q, value, 1, 900, &q->last);
}

static int check_true(struct query *q, const char *value)
{
	q->reversed = true;
	snprintf(q->why.text, sizeof(q->why.text), "true is awaited");
	return strcmp(value, "true") && strcmp(value, "1") ? -EINVAL : 0;
}

/* How the value goes to the daemon. */
enum form {
	FORM_OPTION, /* --NAME VALUE */
	FORM_FLAG,   /* --NAME */
	FORM_WORD,   /* VALUE */
	FORM_OURS,   /* not at all */
};

static const struct rule {
	enum query_kind kind;
	const char *name;
	check_fn *check;
	enum form form;
} rules[] = {
	{ QUERY_CONNS, "state", check_states, FORM_OPTION },
	{ QUERY_CONNS, "service", check_service, FORM_OPTION },
	{ QUERY_CONNS, "source", check_source, FORM_OPTION },
	{ QUERY_CONNS, "sort", check_sort, FORM_OPTION },
	{ QUERY_CONNS, "reverse", check_true, FORM_FLAG },
	{ QUERY_CONNS, "limit", check_rows, FORM_OPTION },
	{ QUERY_CONNS, "offset", check_offset, FORM_OPTION },
	{ QUERY_SOURCES, "limit", check_rows, FORM_OPTION },
	{ QUERY_EVENTS, "limit", check_events, FORM_WORD },
	{ QUERY_HISTORY, "limit", check_history, FORM_OURS },
};

void query_begin(struct query *q, enum query_kind kind, const char *question, char *buf,
		 size_t size)
{
	memset(q, 0, sizeof(*q));
	q->kind = kind;
	q->question = buf;
	q->size = size;
	snprintf(buf, size, "%s", question);
}

static int append(struct query *q, const char *words, const char *name, const char *value)
{
	size_t len = strlen(q->question);
	int more = snprintf(q->question + len, q->size - len, words, name, value);

	if (more > 0 && len + (size_t)more < q->size)
		return 0;
	snprintf(q->why.text, sizeof(q->why.text), "too long");
	return -E2BIG;
}

static const struct rule *find_rule(enum query_kind kind, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].kind == kind && !strcmp(rules[i].name, name))
			return &rules[i];
	return NULL;
}

/* The parsers let none of these by; should one ever, a word would become two. */
static bool is_one_word(const char *value)
{
	for (; *value; value++)
		if (iscntrl((unsigned char)*value))
			return false;
	return true;
}

int query_add(struct query *q, const char *name, const char *value)
{
	const struct rule *rule = find_rule(q->kind, name);

	if (!rule || !is_one_word(value)) {
		snprintf(q->why.text, sizeof(q->why.text),
			 rule ? "a control character in '%.30s'" : "no argument '%.30s' here",
			 name);
		return -EINVAL;
	}
	if (rule->check(q, value))
		return -EINVAL;
	switch (rule->form) {
	case FORM_OPTION:
		return append(q, "\t--%s\t%s", name, value);
	case FORM_FLAG:
		return append(q, "\t--%s%s", name, "");
	case FORM_WORD:
		return append(q, "\t%s%s", value, "");
	default:
		return 0;
	}
}

int query_end(struct query *q)
{
	if (q->reversed && !q->sorted) {
		snprintf(q->why.text, sizeof(q->why.text), "reverse needs sort");
		return -EINVAL;
	}
	if (!q->limited && (q->kind == QUERY_CONNS || q->kind == QUERY_SOURCES))
		return append(q, "\t--limit\t%s%s", "1000", "");
	return 0;
}
