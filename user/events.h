/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events as people and programs read them: those of the ring buffer, and what the daemon makes
 * of them. The JSON is a line for each and has a schema that only grows, "version" 1:
 * `time` (seconds, UTC), `kind`, and the fields of that kind; see synwarden(8).
 */
#ifndef SW_EVENTS_H
#define SW_EVENTS_H

#include <stdbool.h>
#include <stdio.h>

#include "kernel.h"

#define EVENTS_VERSION 1
#define ATTACK_TOP     5

enum record_kind {
	RECORD_EVENT,  /* of the ring buffer */
	RECORD_ATTACK, /* an attack has ended */
	RECORD_LOST,   /* events that nobody will see */
};

enum lost_stage {
	LOST_RING,       /* nobody read the ring buffer in time */
	LOST_RATE_LIMIT, /* kept from the journal */
	LOST_SUBSCRIBER, /* this reader was too slow */
	LOST_STAGES,
};
extern const char *const lost_stage_names[LOST_STAGES];

struct attack_summary {
	struct sw_attack attack; /* with its end */
	__u32 reasons;           /* how many of these are in use, most packets first */
	struct {
		enum sw_reason reason;
		__u64 packets;
	} reason[ATTACK_TOP];
	__u32 sources; /* of the packets that were sampled; spoofed ones as they claim */
	struct {
		__be32 addr[4];
		__u32 prefix_len;
		__u32 events;
	} source[ATTACK_TOP];
};

struct record {
	enum record_kind kind;
	__u64 time_ns; /* CLOCK_MONOTONIC */
	union {
		struct sw_event event;
		struct attack_summary attack;
		struct {
			enum lost_stage stage;
			__u64 events;
		} lost;
	};
};

/* From what the ring buffer holds; false: of another version. */
bool record_of_event(struct record *r, const void *data, size_t size);

/* Names of services, read again when they are a second old. */
struct event_names {
	const struct guard *g;
	struct services services;
	__u64 read_ns;
};

/* One line. */
void record_write(FILE *out, bool as_json, struct event_names *names, const struct record *r);

/* Of a service, not of a packet. */
bool event_is_arming(const struct sw_event *e);
const char *record_kind_name(const struct record *r);
#define SW_EVENT_KINDS (SW_EVENT_DISARMED + 1)
const char *event_kind_name(__u8 kind);
/* NULL: of no service. */
const char *event_service(struct event_names *names, __u32 id, char buf[TEXT_SERVICE]);

#endif /* SW_EVENTS_H */
