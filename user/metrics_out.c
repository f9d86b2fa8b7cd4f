/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See metrics_out.h. Nobody else writes to the stream meanwhile: no locks. */
#include <string.h>

#include "metrics_out.h"
#include "utf8.h"

enum metric_type {
	TYPE_COUNTER,
	TYPE_GAUGE,
	TYPE_INFO,
};

static const struct row {
	enum metric_type type;
	const char *name;
	const char *labels;
	const char *help;
} rows[] = {
#define X(id, type, name, labels, help) [M_##id] = { TYPE_##type, name, labels, help },
	METRICS(X)
#undef X
};

/* In text: quotes are for values of labels alone; in OpenMetrics for help as well. */
static void write_text(FILE *out, const char *s, bool quotes)
{
	while (*s) {
		unsigned char c = (unsigned char)*s;
		size_t len = utf8_printable(s);

		if (c == '\\' || (c == '"' && quotes))
			fprintf(out, "\\%c", c);
		else if (!len) /* a device's name may hold any byte, this format only UTF-8 */
			fprintf(out, "\\\\x%02x", c);
		else
			fwrite_unlocked(s, 1, len, out);
		s += len ? len : 1;
	}
}

/*
 * How OpenMetrics calls what it counts. There a counter may not share the name of another
 * metric once its _total is taken off, so one that does is of a type unknown.
 */
static const char *type_of(const struct metrics_out *m, enum metric metric, size_t *name_len)
{
	static const char *const names[] = { "counter", "gauge", "info" };
	const struct row *r = &rows[metric];

	*name_len = strlen(r->name);
	if (!m->openmetrics)
		return names[r->type == TYPE_INFO ? TYPE_GAUGE : r->type];
	if (metric == M_BANS_TOTAL)
		return "unknown";
	if (r->type == TYPE_COUNTER)
		*name_len -= strlen("_total");
	if (r->type == TYPE_INFO)
		*name_len -= strlen("_info");
	return names[r->type];
}

static void write_head(struct metrics_out *m, enum metric metric)
{
	size_t len;
	const char *type = type_of(m, metric, &len);

	fprintf(m->out, "# HELP %.*s ", (int)len, rows[metric].name);
	write_text(m->out, rows[metric].help, m->openmetrics);
	fprintf(m->out, "\n# TYPE %.*s %s\n", (int)len, rows[metric].name, type);
	m->at = metric;
}

static void write_name(struct metrics_out *m, enum metric metric, const char *const *labels)
{
	const char *name = rows[metric].labels;
	char open = '{';

	if (m->at != metric)
		write_head(m, metric);
	fputs_unlocked(rows[metric].name, m->out);
	for (; *labels; labels++) {
		size_t len = strcspn(name, " ");

		fprintf(m->out, "%c%.*s=\"", open, (int)len, name);
		write_text(m->out, *labels, true);
		putc_unlocked('"', m->out);
		name += len + (name[len] == ' ');
		open = ',';
	}
	if (open == ',')
		putc_unlocked('}', m->out);
	putc_unlocked(' ', m->out);
}

void metrics_begin(struct metrics_out *m, FILE *out, bool openmetrics)
{
	m->out = out;
	m->openmetrics = openmetrics;
	m->at = METRIC_MAX;
}

void metrics_end(struct metrics_out *m)
{
	if (m->openmetrics)
		fputs_unlocked("# EOF\n", m->out);
}

void metric_u64(struct metrics_out *m, enum metric metric, const char *const *labels, __u64 value)
{
	write_name(m, metric, labels);
	fprintf(m->out, "%llu\n", (unsigned long long)value);
}

void metric_ns(struct metrics_out *m, enum metric metric, const char *const *labels, __u64 ns)
{
	write_name(m, metric, labels);
	fprintf(m->out, "%llu.%09llu\n", (unsigned long long)ns / 1000000000,
		(unsigned long long)ns % 1000000000);
}
