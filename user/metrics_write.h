/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between metrics.c and metrics_service.c. */
#ifndef SW_METRICS_WRITE_H
#define SW_METRICS_WRITE_H

#include "metrics_out.h"
#include "metrics_read.h"

struct metrics_write {
	const struct guard *g;
	const struct metrics_facts *f;
	struct metrics_out m;
};

/* All that have the label `service`. */
void metrics_services(struct metrics_write *w);

#endif /* SW_METRICS_WRITE_H */
