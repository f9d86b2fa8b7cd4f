/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A streaming JSON writer (RFC 8259); see json.h. Nobody else writes meanwhile: no locks. */
#include <string.h>

#include "json.h"
#include "utf8.h"

static void write_string(FILE *out, const char *s)
{
	putc_unlocked('"', out);
	while (*s) {
		unsigned char c = (unsigned char)*s;
		size_t len = utf8_printable(s);

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (!len) /* names of devices may hold any byte */
			fprintf(out, "\\u%04x", c);
		else
			fwrite_unlocked(s, 1, len, out);
		s += len ? len : 1;
	}
	putc_unlocked('"', out);
}

static void write_head(struct json *j, const char *key)
{
	if (j->has_items[j->depth])
		putc_unlocked(',', j->out);
	j->has_items[j->depth] = true;
	if (key) {
		write_string(j->out, key);
		putc_unlocked(':', j->out);
	}
}

static void open_level(struct json *j, const char *key, char open, char close)
{
	write_head(j, key);
	putc_unlocked(open, j->out);
	if (j->depth == JSON_DEPTH)
		return; /* unreachable: the commands nest four deep */
	j->close[j->depth++] = close;
	j->has_items[j->depth] = false;
}

void json_begin(struct json *j, FILE *out)
{
	memset(j, 0, sizeof(*j));
	j->out = out;
}

void json_end(struct json *j)
{
	while (j->depth)
		json_close(j);
	putc_unlocked('\n', j->out);
}

void json_object(struct json *j, const char *key)
{
	open_level(j, key, '{', '}');
}

void json_array(struct json *j, const char *key)
{
	open_level(j, key, '[', ']');
}

void json_close(struct json *j)
{
	if (j->depth)
		putc_unlocked(j->close[--j->depth], j->out);
}

void json_str(struct json *j, const char *key, const char *value)
{
	write_head(j, key);
	write_string(j->out, value);
}

void json_u64(struct json *j, const char *key, __u64 value)
{
	write_head(j, key);
	fprintf(j->out, "%llu", (unsigned long long)value);
}

void json_bool(struct json *j, const char *key, bool value)
{
	write_head(j, key);
	fputs_unlocked(value ? "true" : "false", j->out);
}

void json_null(struct json *j, const char *key)
{
	write_head(j, key);
	fputs_unlocked("null", j->out);
}

void json_time(struct json *j, const char *key, __u64 ns)
{
	write_head(j, key);
	fprintf(j->out, "%llu.%06llu", (unsigned long long)(ns / 1000000000),
		(unsigned long long)(ns / 1000 % 1000000));
}
