/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A ring of samples; see history.h. */
#include <stdlib.h>

#include "history.h"
#include "json.h"
#include "util.h"

/* What happened in one second, and how it stood at its end. */
struct sample {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	struct flow flow;
	__u32 armed; /* services */
	__u32 reason[SW_REASON_MAX];
	__u32 state[SW_STATE_MAX];
};

struct history {
	__u64 taken; /* samples in all */
	__u32 reads;
	struct facts facts[2]; /* of even and odd readings */
	struct sample sample[HISTORY_SAMPLES];
};

struct history *history_new(void)
{
	return calloc(1, sizeof(struct history));
}

void history_free(struct history *h)
{
	free(h);
}

const struct facts *history_now(const struct history *h)
{
	return h->reads > 1 ? &h->facts[(h->reads - 1) & 1] : NULL;
}

const struct facts *history_before(const struct history *h)
{
	return h->reads > 1 ? &h->facts[h->reads & 1] : NULL;
}

/* A count that fell began anew, with a service that got the number of another. */
static __u64 grown(__u64 before, __u64 now)
{
	return now >= before ? now - before : now;
}

static void take_counts(struct sample *s, const struct facts *a, const struct facts *b, __u32 id)
{
	/* of one that was not there, what lies in `a` is older than its last reading */
	bool is_new = id && !facts_is_service(a, id);

	for (__u32 r = 1; r < SW_REASON_MAX; r++) {
		const struct sw_count *now = &b->count[id][r], none = { 0 };
		const struct sw_count *old = is_new ? &none : &a->count[id][r];
		struct sw_count delta = {
			.packets = grown(old->packets, now->packets),
			.bytes = grown(old->bytes, now->bytes),
			.would_packets = grown(old->would_packets, now->would_packets),
		};

		flow_add(&s->flow, r, &delta);
		/* what mode monitor let by was neither answered nor dropped */
		s->reason[r] += (__u32)count_enforced(&delta);
	}
}

/* Part `i` of `n` of a count, none of it lost. */
static __u64 part(__u64 count, __u64 i, __u64 n)
{
	return count * (i + 1) / n - count * i / n;
}

/*
 * A daemon that was stopped or busy for seconds reads them at once: a second each, or what was a
 * steady rate would look like a burst.
 */
static void keep(struct history *h, const struct sample *s, __u64 from_ns)
{
	__u64 took_ns = s->time_ns - from_ns, n = (took_ns + 500000000) / 1000000000;

	if (n < 1)
		n = 1;
	for (__u64 i = n > HISTORY_SAMPLES ? n - HISTORY_SAMPLES : 0; i < n; i++) {
		struct sample *one = &h->sample[h->taken++ % HISTORY_SAMPLES];

		*one = *s;
		one->time_ns = from_ns + took_ns / n * (i + 1);
		one->flow = (struct flow){
			.syns = part(s->flow.syns, i, n),
			.answered = part(s->flow.answered, i, n),
			.finished = part(s->flow.finished, i, n),
			.dropped = part(s->flow.dropped, i, n),
			.would_drop = part(s->flow.would_drop, i, n),
			.packets = part(s->flow.packets, i, n),
			.bytes = part(s->flow.bytes, i, n),
		};
		for (__u32 r = 1; r < SW_REASON_MAX; r++)
			one->reason[r] = (__u32)part(s->reason[r], i, n);
	}
}

static void take(struct history *h)
{
	const struct facts *a = history_before(h), *b = history_now(h);
	struct sample s = { .time_ns = b->taken_ns };

	for (__u32 id = 0; id < SW_MAX_SERVICES; id++) {
		if (id && !facts_is_service(b, id))
			continue;
		take_counts(&s, a, b, id);
		s.armed += id && facts_armed(b, id);
		for (__u32 state = 0; state < SW_STATE_MAX; state++)
			s.state[state] += (__u32)b->gauge[id].conns[state];
	}
	keep(h, &s, a->taken_ns);
}

int history_sample(struct history *h, const struct guard *g)
{
	int err = facts_read_live(g, &h->facts[h->reads & 1]);

	if (err)
		return err;
	h->reads++;
	/* the parity goes on */
	if (h->reads == ~0U)
		h->reads = 3;
	if (h->reads > 1)
		take(h);
	return 0;
}

/* What a packet count of a pass is, is in `packets`; the chart is of what the guard did. */
static void reasons_json(const struct sample *s, struct json *j)
{
	json_object(j, "reasons");
	for (__u32 r = 1; r < SW_REASON_MAX; r++)
		if (s->reason[r] && text_verdict(r)[0] != 'p')
			json_u64(j, text_reason(r), s->reason[r]);
	json_close(j);
	json_object(j, "states");
	for (__u32 state = SW_CLOSED; state < SW_STATE_MAX; state++)
		if (s->state[state])
			json_u64(j, text_state_name((enum sw_state)state), s->state[state]);
	json_close(j);
}

void history_json(const struct history *h, FILE *out)
{
	__u64 first = h->taken > HISTORY_SAMPLES ? h->taken - HISTORY_SAMPLES : 0;
	struct json j;

	json_begin(&j, out);
	json_object(&j, NULL);
	json_u64(&j, "version", 1);
	json_u64(&j, "interval_s", HISTORY_EVERY_S);
	json_array(&j, "samples");
	for (__u64 at = first; at < h->taken; at++) {
		const struct sample *s = &h->sample[at % HISTORY_SAMPLES];

		json_object(&j, NULL);
		json_time(&j, "time", wall_ns(s->time_ns));
		json_u64(&j, "syns", s->flow.syns);
		json_u64(&j, "answered", s->reason[SW_TX_SYNACK]);
		json_u64(&j, "finished", s->flow.finished);
		json_u64(&j, "dropped", s->flow.dropped);
		json_u64(&j, "would_drop", s->flow.would_drop);
		json_u64(&j, "packets", s->flow.packets);
		json_u64(&j, "bytes", s->flow.bytes);
		json_u64(&j, "armed", s->armed);
		reasons_json(s, &j);
		json_close(&j);
	}
	json_end(&j);
}
