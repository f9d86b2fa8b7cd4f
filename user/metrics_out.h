/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A writer of Prometheus' text format 0.0.4 and of OpenMetrics 1.0: heads, escapes, numbers.
 * All samples of a metric are written one after another; a metric without samples has no head.
 */
#ifndef SW_METRICS_OUT_H
#define SW_METRICS_OUT_H

#include <stdbool.h>
#include <stdio.h>

#include <linux/types.h>

#include "metrics_list.h"

struct metrics_out {
	FILE *out;
	bool openmetrics;
	enum metric at; /* METRIC_MAX: before the first */
};

/* Values of the labels that metrics_list.h has for it, in that order. */
#define LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_LABELS   ((const char *const[]){ NULL })

void metrics_begin(struct metrics_out *m, FILE *out, bool openmetrics);
void metrics_end(struct metrics_out *m);
void metric_u64(struct metrics_out *m, enum metric metric, const char *const *labels, __u64 value);
/* Nanoseconds, written as seconds. */
void metric_ns(struct metrics_out *m, enum metric metric, const char *const *labels, __u64 ns);

#endif /* SW_METRICS_OUT_H */
