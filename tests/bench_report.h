/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the bench has found, in words: each row by itself, what it costs more than the row it is
 * compared with, and memory. Include behind bench_guard.h.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_guard.h"
#include "bench_rows.h"

#define MAX_ROUNDS 1001

struct world {
	struct synwarden_bpf *guard[GUARDS];
	struct bench_bpf *bench[ROWS];
	__u32 refused; /* of the million: no room in the table */
	int cpus;
};

static struct {
	int rounds, repeat, cpu;
	const char *only, *hold;
	bool json;
	long cap, gap;
} opt = { .rounds = 45, .repeat = 20000, .cpu = -1, .cap = 20000, .gap = 100 };

struct figure {
	double net[MAX_ROUNDS], floor[MAX_ROUNDS], all[MAX_ROUNDS];
	double more[MAX_ROUNDS]; /* than the row it is compared with, in the same round */
};
static struct figure figures[ROWS];

/* --only takes names of rows, by commas. */
static bool selected(const struct row *row)
{
	size_t len = strlen(row->name);

	if (!opt.only)
		return true;
	for (const char *at = opt.only; (at = strstr(at, row->name)); at++)
		if ((at == opt.only || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
	return false;
}

/* ROWS: with none, or with one that was not asked for. */
static size_t row_than(size_t i)
{
	for (size_t n = 0; n < i; n++)
		if (rows[i].than && !strcmp(rows[n].name, rows[i].than) && selected(&rows[n]))
			return n;
	return ROWS;
}

static void figure_take(size_t i, int round, double floor, double all)
{
	struct figure *f = &figures[i];
	size_t than = row_than(i);

	f->floor[round] = floor;
	f->all[round] = all;
	f->net[round] = all - floor;
	if (than != ROWS)
		f->more[round] = f->net[round] - figures[than].net[round];
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, opt.rounds, sizeof(*v), compare);
	return opt.rounds & 1 ? v[opt.rounds / 2] : (v[opt.rounds / 2 - 1] + v[opt.rounds / 2]) / 2;
}

static double least_of(size_t i)
{
	return figures[i].all[0] - figures[i].floor[0];
}

/* What a row costs more than the one it is compared with; for each, the rows before it are done. */
static double more_median(size_t i)
{
	return median(figures[i].more);
}

static double more_least(size_t i)
{
	return least_of(i) - least_of(row_than(i));
}

static const char *json_more(size_t i)
{
	static char text[128];

	text[0] = 0;
	if (row_than(i) != ROWS)
		snprintf(text, sizeof(text),
			 ",\"than\":\"%s\",\"more_ns\":%.1f,\"more_least\":%.1f", rows[i].than,
			 more_median(i), more_least(i));
	return text;
}

/*
 * "least" is the difference of the two least runs: what the machine does besides only ever
 * adds, so on a noisy one it is nearer the truth than the least of the differences.
 */
static void report_rows(void)
{
	const char *comma = "";

	if (!opt.json)
		printf("%-56s %8s %8s %8s\n", "ns per packet, net of the wrapper", "median",
		       "least", "wrapper");
	for (size_t i = 0; i < ROWS; i++) {
		double net, floor, least, *n = figures[i].net;

		if (!selected(&rows[i]))
			continue;
		net = median(n);
		floor = median(figures[i].floor);
		median(figures[i].all);
		least = least_of(i);
		if (opt.json)
			printf("%s\n{\"row\":\"%s\",\"text\":\"%s\",\"ns\":%.1f,\"least\":%.1f,"
			       "\"min\":%.1f,\"max\":%.1f,\"wrapper_ns\":%.1f%s}",
			       comma, rows[i].name, rows[i].text, net, least, n[0],
			       n[opt.rounds - 1], floor, json_more(i));
		else
			printf("%-56s %8.0f %8.0f %8.0f\n", rows[i].text, net, least, floor);
		comma = ",";
	}
}

/* Of rounds in which both ran: the machine's pace drifts by more than what is looked for. */
static void report_more(void)
{
	bool first = true;

	for (size_t i = 0; i < ROWS; i++) {
		if (!selected(&rows[i]) || row_than(i) == ROWS)
			continue;
		if (first)
			printf("\n%-56s %8s %8s\n", "ns more than without", "median", "least");
		first = false;
		printf("%-56s %8.1f %8.1f\n", rows[i].text, more_median(i), more_least(i));
	}
	if (!first)
		puts("");
}

static void report_memory(const struct world *w)
{
	const char *comma = "";

	for (enum guard g = HOST; g <= MILLION; g++) {
		double n = kinds[g].room, all;
		struct memory m;

		if (!w->guard[g])
			continue;
		m = guard_memory(w->guard[g]);
		all = (m.conns + m.half + m.live + m.caches) / n;
		if (opt.json)
			printf("%s\n{\"connections\":%.0f,\"bytes_each\":%.1f,\"conns\":%.1f,"
			       "\"half\":%.1f,\"live\":%.1f,\"caches\":%.1f,\"no_room\":%u}",
			       comma, n, all, m.conns / n, m.half / n, m.live / n, m.caches / n,
			       g == MILLION ? w->refused : 0);
		else
			printf("room for %.0f: %.1f bytes a connection: table %.1f, half-open %.1f, "
			       "filter %.1f, caches %.1f\n",
			       n, all, m.conns / n, m.half / n, m.live / n, m.caches / n);
		comma = ",";
	}
	if (!opt.json && w->guard[MILLION])
		printf("of 1,000,000 connections %u found no slot\n", w->refused);
}

static void report(const struct world *w)
{
	if (opt.json)
		printf("{\"rows\":[");
	report_rows();
	if (!opt.json)
		report_more();
	if (opt.json)
		printf("\n],\"memory\":[");
	report_memory(w);
	if (opt.json)
		printf("\n]}\n");
}

#endif /* BENCH_REPORT_H */
