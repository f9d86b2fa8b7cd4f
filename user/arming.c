/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See arming.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arming.h"
#include "util.h"

/* Rows of both struct sw_arm_marks. */
static const struct mark {
	const char *name;
	size_t offset;
	__u32 max;
} marks[] = {
	[SW_ARM_SYNS] = { "syns", offsetof(struct sw_arm_marks, syns_pps), 100000000 },
	[SW_ARM_HALF_OPEN] = { "half-open", offsetof(struct sw_arm_marks, half_open),
			       SW_CONNS_MAX },
	[SW_ARM_UNFINISHED] = { "unfinished", offsetof(struct sw_arm_marks, unfinished), 100 },
};
_Static_assert(ARRAY_SIZE(marks) == SW_ARM_CAUSES, "a mark for each cause");

#define HOLD_MAX_S 86400

static __u32 mark_get(const struct sw_arm_marks *of, const struct mark *m)
{
	__u32 value;

	memcpy(&value, (const char *)of + m->offset, sizeof(value));
	return value;
}

static void mark_put(struct sw_arm_marks *of, const struct mark *m, __u32 value)
{
	memcpy((char *)of + m->offset, &value, sizeof(value));
}

/* "5000", "5000:2500" or "off". */
static int read_mark(const struct mark *m, char *value, struct sw_service *s, struct text_why *why)
{
	char *colon = strchr(value, ':');
	__u32 upper = 0, lower = 0;

	if (strcmp(value, "off")) {
		if (colon)
			*colon = '\0';
		if (text_u32(value, 1, m->max, &upper))
			goto bad;
		lower = (upper + 1) / 2;
		if (colon && text_u32(colon + 1, 1, upper, &lower))
			goto bad;
	}
	mark_put(&s->upper, m, upper);
	mark_put(&s->lower, m, lower);
	return 0;
bad:
	if (colon)
		*colon = ':';
	snprintf(
		why->text, sizeof(why->text),
		"bad %s '%.40s': UPPER or UPPER:LOWER, 1 to %u, the lower not above the upper, or off",
		m->name, value, m->max);
	return -EINVAL;
}

static int read_word(char *word, struct sw_service *s, struct text_why *why)
{
	char *value = strchr(word, '=');

	if (value) {
		*value++ = '\0';
		for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
			if (!strcmp(word, marks[i].name))
				return read_mark(&marks[i], value, s, why);
		if (!strcmp(word, "hold")) {
			if (!text_duration(value, 0, HOLD_MAX_S, &s->hold_s))
				return 0;
			snprintf(why->text, sizeof(why->text),
				 "bad hold '%.40s': 0 to %u seconds, such as 30s or 5m", value,
				 HOLD_MAX_S);
			return -EINVAL;
		}
	}
	snprintf(why->text, sizeof(why->text),
		 "bad mark '%.40s': syns=, half-open=, unfinished= or hold=, with commas between",
		 word);
	return -EINVAL;
}

int arming_read(const char *word, struct sw_service *s, struct text_why *why)
{
	struct sw_service read = *s;
	char words[ARMING_TEXT], *rest = words, *one;
	int err;

	if (strlen(word) >= sizeof(words)) {
		snprintf(why->text, sizeof(why->text), "marks of at most %zu characters expected",
			 sizeof(words) - 1);
		return -EINVAL;
	}
	strcpy(words, word);
	while ((one = strsep(&rest, ","))) {
		err = read_word(one, &read, why);
		if (err)
			return err;
	}
	*s = read;
	return 0;
}

const char *arming_text(const struct sw_service *s, char buf[ARMING_TEXT])
{
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		__u32 upper = mark_get(&s->upper, &marks[i]);

		n += snprintf(buf + n, ARMING_TEXT - (size_t)n, "%s=", marks[i].name);
		if (upper)
			n += snprintf(buf + n, ARMING_TEXT - (size_t)n, "%u:%u,", upper,
				      mark_get(&s->lower, &marks[i]));
		else
			n += snprintf(buf + n, ARMING_TEXT - (size_t)n, "off,");
	}
	snprintf(buf + n, ARMING_TEXT - (size_t)n, "hold=%us", s->hold_s);
	return buf;
}

bool arming_is_on(const struct sw_arming *a, const struct sw_service *s,
		  const struct sw_gauge *gauge, __u64 now_ns)
{
	__s64 quiet_ns = (__s64)(now_ns - a->above_ns);
	__u32 mark = s->mode == SW_MODE_OFF ? 0 : s->lower.half_open;

	return a->armed && (quiet_ns < (__s64)s->hold_s * 1000000000 + (1LL << SW_ARM_SHIFT) ||
			    (mark && (__s64)gauge->conns[SW_SYN_RECEIVED] >= (__s64)mark));
}

const char *arming_cause(__u8 cause)
{
	return cause < ARRAY_SIZE(marks) ? marks[cause].name : "?";
}

__u64 arming_attack_end(const struct sw_attack *t, const struct sw_arming *a,
			const struct sw_service *s, const struct sw_gauge *gauge, __u64 now_ns)
{
	if (t->end_ns)
		return t->end_ns;
	if (!a->armed || a->since_ns != t->start_ns)
		return t->start_ns; /* cut short: it was forgotten by a restart of the guard */
	return arming_is_on(a, s, gauge, now_ns) ? 0 : a->above_ns;
}
