/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the ring buffer for everyone; see feed.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "arming.h"
#include "attack.h"
#include "control.h"
#include "feed.h"
#include "journal.h"
#include "util.h"

/* A few more than are shown, as the oldest may be written while it is read. */
#define PLACES (CONTROL_RECENT + 24)

/* Shared with the children that are there already. */
struct shared {
	__u64 head;
	struct feed_counts counts;
	struct record record[PLACES];
};

struct feed {
	const struct guard *g;
	struct ring_buffer *ring;
	struct shared *shared;
	struct attacks *attacks;
	struct event_names names;
	struct journal journal;
	__u64 began_ns;
	__u32 second_left[SW_EVENT_KINDS];
	__u64 over;      /* of this second */
	__u64 ring_lost; /* as last read */
	bool ring_read;
};

static void keep(struct feed *f, const struct record *r)
{
	struct shared *s = f->shared;

	s->record[s->head % PLACES] = *r;
	__atomic_store_n(&s->head, s->head + 1, __ATOMIC_RELEASE);
}

static void lost(struct feed *f, enum lost_stage stage, __u64 events)
{
	struct record r = {
		.kind = RECORD_LOST,
		.time_ns = clock_ns(CLOCK_MONOTONIC),
		.lost = { stage, events },
	};

	f->shared->counts.lost[stage] += events;
	keep(f, &r);
}

static bool is_armed_since(const struct guard *g, __u32 service, __u64 since_ns)
{
	struct sw_arming arming[SW_MAX_SERVICES];
	struct sw_gauge gauge[SW_MAX_SERVICES];
	struct services set;

	if (service >= SW_MAX_SERVICES || mapio_arming(g, arming) || mapio_gauges(g, gauge) ||
	    mapio_services(g, &set))
		return false;
	return arming[service].since_ns == since_ns &&
	       arming_is_on(&arming[service], &set.slot[service], &gauge[service],
			    clock_ns(CLOCK_MONOTONIC));
}

/*
 * The ring keeps what nobody read, for days: the log, which has a time of its own, is told only
 * what is still so.
 */
static bool is_news(const struct feed *f, const struct sw_event *e)
{
	struct sw_table_use use[SW_TABLE_MAX];

	if (e->time_ns >= f->began_ns)
		return true;
	if (e->kind == SW_EVENT_ARMED)
		return is_armed_since(f->g, e->service, e->time_ns);
	return e->kind == SW_EVENT_TABLE_FULL && e->table < SW_TABLE_MAX &&
	       !mapio_tables(f->g, use) && use[e->table].reported;
}

static int on_event(void *feed, void *data, size_t size)
{
	struct feed *f = feed;
	struct record r;

	if (!record_of_event(&r, data, size))
		return 0;
	f->shared->counts.events[r.event.kind]++;
	attacks_event(f->attacks, &r.event);
	if (!f->second_left[r.event.kind]) {
		f->over++;
		return 0;
	}
	f->second_left[r.event.kind]--;
	keep(f, &r);
	if (is_news(f, &r.event))
		journal_record(&f->journal, &f->names, &r);
	return 0;
}

struct feed *feed_new(const struct guard *g)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (!f) {
		log_err(-ENOMEM, "read events");
		return NULL;
	}
	f->g = f->names.g = g;
	f->journal.fd = -1;
	f->began_ns = clock_ns(CLOCK_MONOTONIC);
	f->attacks = attacks_new();
	f->shared = mmap(NULL, sizeof(*f->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	f->ring = ring_buffer__new(g->map[MAP_EVENTS], on_event, f, NULL);
	if (!f->ring || !f->attacks || f->shared == MAP_FAILED) {
		log_err(-errno, "read events");
		feed_free(f);
		return NULL;
	}
	for (__u32 i = 0; i < SW_EVENT_KINDS; i++)
		f->second_left[i] = FEED_PER_SECOND;
	journal_open(&f->journal);
	return f;
}

void feed_free(struct feed *f)
{
	if (!f)
		return;
	ring_buffer__free(f->ring);
	if (f->shared != MAP_FAILED)
		munmap(f->shared, sizeof(*f->shared));
	attacks_free(f->attacks);
	journal_close(&f->journal);
	free(f);
}

int feed_fd(const struct feed *f)
{
	return ring_buffer__epoll_fd(f->ring);
}

void feed_read(struct feed *f)
{
	ring_buffer__consume(f->ring);
}

/* What found no room in the ring since the last second. */
static void look_for_lost(struct feed *f)
{
	__u64 sum = 0;

	for (__u32 hook = 0; hook < SW_HOOK_MAX; hook++) {
		struct sw_rx rx;

		if (mapio_rx(f->g, hook, &rx))
			return;
		sum += rx.events_lost;
	}
	/* what was lost before there was a reader is not this one's */
	if (f->ring_read && sum > f->ring_lost)
		lost(f, LOST_RING, sum - f->ring_lost);
	f->ring_lost = sum;
	f->ring_read = true;
}

void feed_tick(struct feed *f, const struct history *h)
{
	const struct facts *before = history_before(h), *now = history_now(h);
	struct record r = { .kind = RECORD_ATTACK };

	for (__u32 i = 0; i < SW_EVENT_KINDS; i++)
		f->second_left[i] = FEED_PER_SECOND;
	if (f->over)
		lost(f, LOST_RATE_LIMIT, f->over);
	f->over = 0;
	look_for_lost(f);
	for (__u32 id = 1; now && id < SW_MAX_SERVICES; id++) {
		if (!attacks_look(f->attacks, f->g, id, before, now, &r.attack))
			continue;
		r.time_ns = now->taken_ns;
		keep(f, &r);
		journal_record(&f->journal, &f->names, &r);
	}
}

__u64 feed_head(const struct feed *f)
{
	return __atomic_load_n(&f->shared->head, __ATOMIC_ACQUIRE);
}

bool feed_record(const struct feed *f, __u64 n, struct record *r)
{
	__u64 head = feed_head(f);

	if (n >= head || head - n > CONTROL_RECENT)
		return false;
	*r = f->shared->record[n % PLACES];
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	/* overwritten meanwhile? or about to be, as the head is told after the record */
	return feed_head(f) - n < PLACES - 1;
}

void feed_skipped(const struct feed *f, __u64 events)
{
	__atomic_fetch_add(&f->shared->counts.lost[LOST_SUBSCRIBER], events, __ATOMIC_RELAXED);
}

const struct feed_counts *feed_counts(const struct feed *f)
{
	return &f->shared->counts;
}
