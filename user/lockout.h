/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Would a change keep those out who work here by ssh, the one who makes it first of all? What a
 * configuration does to a connection is judged without the kernel.
 */
#ifndef SW_LOCKOUT_H
#define SW_LOCKOUT_H

#include <stdbool.h>

#include "lists.h"
#include "services.h"
#include "session.h"

struct guard;

struct cut {
	__u32 service;                       /* that refuses it */
	const struct list_entry *by;         /* of the deny list; else */
	const struct sw_source_limit *limit; /* that it is at */
};

/* Would a new connection like it be refused? `lists` in any order; `now` of conn_now(). Pure. */
bool lockout_finds(const struct session *who, const struct services *services,
		   const struct list_set *lists, __u32 now, struct cut *cut);

/* When the next entry that exempts him ends, behind `then`, which it becomes; false: none does. */
bool lockout_ends(const struct session *who, const struct list_set *lists, __u32 *then);

/*
 * 0, or -EPERM and a line that says what would keep which session out, with a hint. What does so
 * already, by the configuration in force (`now_`; NULL: none is), is no reason. Pure but for the
 * sessions.
 */
int lockout_refuse(const struct services *services, const struct list_set *lists,
		   const struct services *now_services, const struct list_set *now_lists);
/* The same, against what the guard runs. `lists` NULL: as they are. */
int lockout_check(const struct guard *g, const struct services *services,
		  const struct list_set *lists);

#endif /* SW_LOCKOUT_H */
