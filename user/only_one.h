/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One daemon to a guard, for as long as it lives: a lock on the directory of the links, which is
 * the guard's own and goes with it. /proc/locks knows who holds it.
 */
#ifndef SW_ONLY_ONE_H
#define SW_ONLY_ONE_H

#include <stdbool.h>

struct guard;

/* Held until the descriptor is closed; -EBUSY, told with the process: another one runs. */
int only_one_take(const struct guard *g, int *held);
/* Does one run? Asked without the lock, so that none that starts meanwhile is refused. */
bool only_one_runs(const struct guard *g);

#endif /* SW_ONLY_ONE_H */
