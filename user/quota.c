/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a service allows a source, as words and back; see sources.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sources.h"
#include "util.h"

static const struct quota {
	const char *name;
	size_t offset;
	__u32 max;
} quotas[] = {
	{ "new", offsetof(struct sw_source_limit, new_pps), 1000000 },
	{ "burst", offsetof(struct sw_source_limit, burst), 1000000 },
	{ "conns", offsetof(struct sw_source_limit, conns), SW_CONNS_MAX },
	{ "half-closed", offsetof(struct sw_source_limit, half_closed), SW_CONNS_MAX },
	{ "stalled", offsetof(struct sw_source_limit, stalled), SW_CONNS_MAX },
};

#define BAN_MAX_S     2592000 /* 30 days */
#define BAN_DEFAULT_S 600

static __u32 quota_get(const struct sw_source_limit *l, const struct quota *q)
{
	__u32 value;

	memcpy(&value, (const char *)l + q->offset, sizeof(value));
	return value;
}

static int read_one(char *word, struct sw_source_limit *l, struct text_why *why)
{
	char *value = strchr(word, '=');
	__u32 n = 0;

	if (value)
		*value++ = '\0';
	for (size_t i = 0; value && i < ARRAY_SIZE(quotas); i++) {
		if (strcmp(word, quotas[i].name))
			continue;
		if (strcmp(value, "off") && text_u32(value, 1, quotas[i].max, &n)) {
			snprintf(why->text, sizeof(why->text), "bad %s '%.40s': 1 to %u, or off",
				 word, value, quotas[i].max);
			return -EINVAL;
		}
		memcpy((char *)l + quotas[i].offset, &n, sizeof(n));
		if (!strcmp(word, "new") && !n)
			l->burst = 0;
		return 0;
	}
	snprintf(
		why->text, sizeof(why->text),
		"bad limit '%.40s': new=, burst=, conns=, half-closed= or stalled=, with commas between",
		word);
	return -EINVAL;
}

int quota_read(const char *word, struct sw_source_limit *l, struct text_why *why)
{
	struct sw_source_limit read = *l;
	char words[QUOTA_TEXT], *rest = words, *one;
	int err;

	if (!strcmp(word, "off")) {
		memset(l, 0, sizeof(*l));
		return 0;
	}
	if (strlen(word) >= sizeof(words)) {
		snprintf(why->text, sizeof(why->text), "limits of at most %zu characters expected",
			 sizeof(words) - 1);
		return -EINVAL;
	}
	strcpy(words, word);
	while ((one = strsep(&rest, ","))) {
		err = read_one(one, &read, why);
		if (err)
			return err;
	}
	*l = read;
	return 0;
}

const char *quota_text(const struct sw_source_limit *l, char buf[QUOTA_TEXT])
{
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(quotas); i++) {
		__u32 value = quota_get(l, &quotas[i]);

		if (value)
			n += snprintf(buf + n, QUOTA_TEXT - (size_t)n, "%s%s=%u", n ? "," : "",
				      quotas[i].name, value);
	}
	return n ? buf : "off";
}

int over_read(const char *word, struct sw_service *s, struct text_why *why)
{
	__u32 ban_s = BAN_DEFAULT_S;

	if (!strcmp(word, "count")) {
		s->over = SW_OVER_COUNT;
		return 0;
	}
	if (!strcmp(word, "drop")) {
		s->over = SW_OVER_DROP;
		return 0;
	}
	if (!strcmp(word, "ban") ||
	    (!strncmp(word, "ban:", 4) && !text_duration(word + 4, 1, BAN_MAX_S, &ban_s))) {
		s->over = SW_OVER_BAN;
		s->ban_s = ban_s;
		return 0;
	}
	snprintf(why->text, sizeof(why->text),
		 "bad --over '%.40s': count, drop, or ban:TIME of 1 s to 30 d, such as ban:10m",
		 word);
	return -EINVAL;
}

const char *over_text(const struct sw_service *s, char buf[TEXT_COUNT])
{
	if (s->over != SW_OVER_BAN)
		return s->over == SW_OVER_DROP ? "drop" : "count";
	snprintf(buf, TEXT_COUNT, "ban:%us", s->ban_s);
	return buf;
}

int quota_settle(struct sw_service *s, struct text_why *why)
{
	static const struct sw_source_limit none[SW_LEVELS];

	for (int i = 0; i < SW_LEVELS; i++) {
		if (s->limit[i].new_pps || !s->limit[i].burst)
			continue;
		snprintf(why->text, sizeof(why->text),
			 "burst= needs new=, the rate it is a burst of");
		return -EINVAL;
	}
	s->limited = memcmp(s->limit, none, sizeof(none)) != 0;
	return 0;
}
