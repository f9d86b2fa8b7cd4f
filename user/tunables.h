/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may be tuned while the guard runs: one row for each number in struct sw_settings. Pure. */
#ifndef SW_TUNABLES_H
#define SW_TUNABLES_H

#include <stdbool.h>
#include <stddef.h>

#include "synwarden.h"
#include "text.h"

struct limit {
	const char *name;
	size_t offset; /* of a __u32 in struct sw_settings */
	__u32 min, max, fallback;
	const char *unit; /* "s": may be written as a duration */
	const char *help;
};

extern const struct limit limits[];
extern const size_t limits_count;

/* Sets all of them to what a new guard has. */
void limits_default(struct sw_settings *s);

/* These numbers, and nothing else. */
void limits_copy(struct sw_settings *to, const struct sw_settings *from);

/* NULL: none has that name. */
const struct limit *limit_find(const char *name);
__u32 limit_get(const struct limit *l, const struct sw_settings *s);
void limit_put(const struct limit *l, struct sw_settings *s, __u32 value);
/* A number in the range, or "default". */
int limit_read(const struct limit *l, const char *word, __u32 *value, struct text_why *why);

#endif /* SW_TUNABLES_H */
