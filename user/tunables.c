/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of tunables; see tunables.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tunables.h"
#include "util.h"

#define WEEK_S 604800

#define AT(field)       offsetof(struct sw_settings, field)
#define TIMEOUT(state)  (offsetof(struct sw_settings, timeout_s) + (state) * sizeof(__u32))
#define ANY_RATE        0, ~0U
#define PER_SECOND_CPU  "/s/cpu"
#define PER_SECOND_CONN "/s/conn/cpu"

/*
 * The host is asked before anything but a tombstone goes, so no timeout ends a connection. They
 * say when it is worth asking:
 * - SYN-SENT, SYN-RECEIVED: Linux gives up after 63 s or more of silence.
 * - ESTABLISHED: 2 h 4 min, the least that RFC 5382 REQ-5 lets a middlebox wait.
 * - FIN-WAIT-1, CLOSING, LAST-ACK: twice 2MSL of Linux, 60 s.
 * - FIN-WAIT-2, CLOSE-WAIT: may last as long as the application likes, they follow the socket.
 * - TIME-WAIT: never shorter than Linux's own 60 s, at most RFC 9293's 2MSL of 4 min.
 * - CLOSED: a tombstone stays as long as a cookie that opened the connection verifies, two
 *   epochs of 68.7 s, so that its ACK cannot open it again.
 */
const struct limit limits[] = {
	{ "timeout-syn-sent", TIMEOUT(SW_SYN_SENT), 1, WEEK_S, 60, "s",
	  "silence in SYN-SENT until the host is asked" },
	{ "timeout-syn-received", TIMEOUT(SW_SYN_RECEIVED), 1, WEEK_S, 60, "s",
	  "silence in SYN-RECEIVED until the host is asked" },
	{ "timeout-established", TIMEOUT(SW_ESTABLISHED), 1, WEEK_S, 7440, "s",
	  "silence in ESTABLISHED until the host is asked" },
	{ "timeout-fin-wait-1", TIMEOUT(SW_FIN_WAIT_1), 1, WEEK_S, 120, "s",
	  "silence in FIN-WAIT-1 until the host is asked" },
	{ "timeout-fin-wait-2", TIMEOUT(SW_FIN_WAIT_2), 1, WEEK_S, 600, "s",
	  "silence in FIN-WAIT-2 until the host is asked" },
	{ "timeout-close-wait", TIMEOUT(SW_CLOSE_WAIT), 1, WEEK_S, 600, "s",
	  "silence in CLOSE-WAIT until the host is asked" },
	{ "timeout-closing", TIMEOUT(SW_CLOSING), 1, WEEK_S, 120, "s",
	  "silence in CLOSING until the host is asked" },
	{ "timeout-last-ack", TIMEOUT(SW_LAST_ACK), 1, WEEK_S, 120, "s",
	  "silence in LAST-ACK until the host is asked" },
	{ "timeout-time-wait", TIMEOUT(SW_TIME_WAIT), 60, 240, 120, "s",
	  "time in TIME-WAIT until the host is asked" },
	{ "timeout-closed", TIMEOUT(SW_CLOSED), 1, WEEK_S, 138, "s",
	  "time a closed connection is remembered" },
	{ "state-events", AT(state_event_every), ANY_RATE, 0, "",
	  "one event of so many changes of state, 0 none" },
	{ "state-events-rate", AT(state_events_pps), ANY_RATE, 100, PER_SECOND_CPU,
	  "most events of changes of state" },
	{ "ask-rate", AT(ask_pps), ANY_RATE, 200000, PER_SECOND_CPU,
	  "socket lookups for tuples in no table" },
	{ "challenge-rate", AT(challenge_pps), ANY_RATE, 100, PER_SECOND_CONN,
	  "segments passed that the host answers with an ACK" },
	{ "synack-cap", AT(synack_cap_pps), ANY_RATE, 0, PER_SECOND_CPU,
	  "SYN-ACKs to one /24 or /48, 0 no cap" },
	{ "synack-total", AT(synack_total_pps), ANY_RATE, 0, PER_SECOND_CPU,
	  "SYN-ACKs to all sources, 0 no cap" },
	{ "event-gap", AT(event_gap_ms), 0, 3600000, 100, "ms",
	  "least time between events of one reason, service and CPU, 0 no events" },
};
const size_t limits_count = ARRAY_SIZE(limits);

const struct limit *limit_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (!strcmp(limits[i].name, name))
			return &limits[i];
	return NULL;
}

__u32 limit_get(const struct limit *l, const struct sw_settings *s)
{
	__u32 value;

	memcpy(&value, (const char *)s + l->offset, sizeof(value));
	return value;
}

void limit_put(const struct limit *l, struct sw_settings *s, __u32 value)
{
	memcpy((char *)s + l->offset, &value, sizeof(value));
}

void limits_default(struct sw_settings *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		limit_put(&limits[i], s, limits[i].fallback);
}

void limits_copy(struct sw_settings *to, const struct sw_settings *from)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		limit_put(&limits[i], to, limit_get(&limits[i], from));
}

int limit_read(const struct limit *l, const char *word, __u32 *value, struct text_why *why)
{
	int err;

	if (!strcmp(word, "default")) {
		*value = l->fallback;
		return 0;
	}
	if (!strcmp(l->unit, "s"))
		err = text_duration(word, l->min, l->max, value);
	else
		err = text_u32(word, l->min, l->max, value);
	if (err)
		snprintf(why->text, sizeof(why->text),
			 "bad %s '%.40s': %u to %u%s%s, or 'default' for %u", l->name, word, l->min,
			 l->max, *l->unit ? " " : "", l->unit, l->fallback);
	return err;
}
