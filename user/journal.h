/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events for the system's log: as a journal entry with fields when the service manager runs us
 * (systemd.journal-fields(7), native protocol), else as a line on stderr. Only what an
 * administrator has to know, and at a bounded rate: a service under attack, the attack when it
 * is over, a table that is full.
 */
#ifndef SW_JOURNAL_H
#define SW_JOURNAL_H

#include "events.h"

/* Of each kind at the most so many in JOURNAL_SPAN_S; more are counted, and that is said. */
#define JOURNAL_BURST  20
#define JOURNAL_SPAN_S 60

enum journal_kind {
	JOURNAL_ARMED,
	JOURNAL_ATTACK,
	JOURNAL_TABLE_FULL,
	JOURNAL_KINDS,
};

struct journal {
	int fd; /* -1: stderr */
	struct {
		__u64 since_ns;
		__u32 said;
		__u32 kept;
	} rate[JOURNAL_KINDS];
};

void journal_open(struct journal *j);
void journal_close(struct journal *j);
/* Does nothing with records of other kinds. */
void journal_record(struct journal *j, struct event_names *names, const struct record *r);

#endif /* SW_JOURNAL_H */
