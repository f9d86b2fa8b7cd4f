/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is remembered of the configuration of a guard, in a directory of root's own: the file that
 * was applied last, and, while that waits for its confirmation, all that ran before. A process of
 * its own brings that back when the time is over; if it was ended, whoever comes next does.
 */
#ifndef SW_PENDING_H
#define SW_PENDING_H

#include "config.h"

/* SYNWARDEN_RUN in the environment names another one. */
#define SW_RUN_DEFAULT "/run/synwarden"

struct applied_record {
	__u32 guard; /* id of its map of settings: another guard may be pinned there some day */
	__u64 hash;
	char path[PATH_MAX];
};

__u64 applied_hash(const char *text, size_t len);
/* False: none, or of another guard. Silent. */
bool applied_read(const struct guard *g, struct applied_record *a);
/* The file is in force now. If that cannot be remembered, a note says so. */
void applied_note(const struct guard *g, const char *path);
/* The same, or says that there is none: -ENOENT. */
int applied_need(const struct guard *g, struct applied_record *a);
/* The file is what runs now: if it is the one that was applied, nobody changed it. */
void applied_saved(const struct guard *g, const char *path);

/* All below are for a caller that holds the lock, but pending_look() and pending_poll(). */

/* Seconds until what waits is taken back, 0 if that is overdue, negative if nothing waits. Silent. */
int pending_look(const struct guard *g);
/* Keeps what runs now, and starts the process that brings it back after so many seconds. */
int pending_begin(const struct guard *g, __u32 seconds);
/* What was begun is not applied: forgets it. */
void pending_drop(const struct guard *g);
/* Brings back what is overdue; -EBUSY, told, if something waits still. */
int pending_clear(const struct guard *g);
/* What waits stays; -ENOENT, -ETIME, told: nothing waits, or it was overdue and is taken back. */
int pending_confirm(const struct guard *g);
/* For the daemon, now and then: as pending_clear(), with the lock if it is needed. */
void pending_poll(const struct guard *g);

#endif /* SW_PENDING_H */
