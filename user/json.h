/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A streaming JSON writer: commas, nesting and escapes, nothing else. It writes to the
 * stream it is given and keeps no text; a key of NULL is an element of an array.
 */
#ifndef SW_JSON_H
#define SW_JSON_H

#include <stdbool.h>
#include <stdio.h>

#include <linux/types.h>

#define JSON_DEPTH 16

struct json {
	FILE *out;
	unsigned int depth;
	char close[JSON_DEPTH];
	bool has_items[JSON_DEPTH + 1];
};

void json_begin(struct json *j, FILE *out);
/* Closes what is open and ends the line. */
void json_end(struct json *j);

void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_close(struct json *j);

void json_str(struct json *j, const char *key, const char *value);
void json_u64(struct json *j, const char *key, __u64 value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);
/* Seconds with microseconds. */
void json_time(struct json *j, const char *key, __u64 ns);

#endif /* SW_JSON_H */
