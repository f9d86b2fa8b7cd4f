/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's reading of the ring buffer: it keeps the last events where its children, who hand
 * them to readers, see them; sums up attacks; and tells the journal what an administrator must
 * know. Nothing waits for a reader.
 */
#ifndef SW_FEED_H
#define SW_FEED_H

#include "events.h"
#include "history.h"

/* Of one kind, in a second; what is beyond is counted and said. */
#define FEED_PER_SECOND 200

struct feed;

/* NULL, said. Before confine(): it maps the ring. */
struct feed *feed_new(const struct guard *g);
void feed_free(struct feed *f);
/* Readable when there are events. */
int feed_fd(const struct feed *f);
/* Takes what is there. */
void feed_read(struct feed *f);
/* Each second, after the sample. */
void feed_tick(struct feed *f, const struct history *h);

/* Seen by children as well, who read while the daemon writes. */
__u64 feed_head(const struct feed *f);
/* The n-th record of all; false: not yet there, or no longer. */
bool feed_record(const struct feed *f, __u64 n, struct record *r);

/* By a child: its reader was too slow for so many. */
void feed_skipped(const struct feed *f, __u64 events);

struct feed_counts {
	__u64 events[SW_EVENT_KINDS]; /* of the ring buffer, by enum sw_event_kind */
	__u64 lost[LOST_STAGES];
};
const struct feed_counts *feed_counts(const struct feed *f);

#endif /* SW_FEED_H */
