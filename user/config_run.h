/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration and a running guard. Errors are logged. */
#ifndef SW_CONFIG_RUN_H
#define SW_CONFIG_RUN_H

#include "config.h"

/* 0, or a negative errno after every fault was printed; what runs is not touched. */
int config_read_file(struct config *c, const char *path);

/* What runs, with all sections; to be freed. */
int config_running(const struct guard *g, struct config *c);

#define CONFIG_FORCE (1U << 0)
#define CONFIG_DRY   (1U << 1) /* change nothing: would it be refused? */

/*
 * Brings the guard to it, at one stroke; on failure all is as it was. Services that stay keep
 * their ids and counts. Refused if it would keep the caller out, unless forced.
 */
int config_apply(const struct guard *g, const struct config *c, unsigned int how);

/*
 * For the daemon's reload, which holds the lock: the file that was applied last once more, checked
 * before. A guard to which none was applied stays as it is. `why`: a line for people, "" if it worked.
 */
int config_reload(const struct guard *g, struct text_why *why);

/* Says which of the file and the lists it names a daemon could not read at a reload; reload.c. */
void reload_look(const struct config *c, const char *path);

/* The file that was applied last to this guard, and how far it is from what runs. */
struct config_applied {
	char path[PATH_MAX];
	bool changed; /* since it was applied */
	bool broken;  /* there are faults in it, or it is gone */
	unsigned int differs;
};
/* False: none was. Silent. */
bool config_applied(const struct guard *g, struct config_applied *a);

#endif /* SW_CONFIG_RUN_H */
