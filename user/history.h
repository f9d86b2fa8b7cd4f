/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last quarter of an hour, a sample each second: so that who looks now sees how it came. Of
 * the daemon, which keeps it in memory; lost with it.
 */
#ifndef SW_HISTORY_H
#define SW_HISTORY_H

#include <stdio.h>

#include "facts.h"

#define HISTORY_SAMPLES 900
#define HISTORY_EVERY_S 1

struct history;

struct history *history_new(void);
void history_free(struct history *h);
/* Reads the guard and keeps what changed since the sample before. */
int history_sample(struct history *h, const struct guard *g);
/* As of the last sample and the one before; NULL as long as there are not two. */
const struct facts *history_now(const struct history *h);
const struct facts *history_before(const struct history *h);
void history_json(const struct history *h, FILE *out);

#endif /* SW_HISTORY_H */
