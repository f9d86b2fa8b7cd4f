/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rates of two samples: what is counted rises, or has begun anew. Pure; see top.h. */
#include <string.h>

#include "top.h"
#include "util.h"

/* A count that is read while it moves may seem to go back by a few. */
static double per_s(__u64 last, __u64 now, double seconds)
{
	__s64 more = (__s64)(now - last);

	return more > 0 ? (double)more / seconds : 0;
}

static __u64 limit_hits(const struct sw_limit_hits *h)
{
	__u64 n = h->banned;

	for (int i = 0; i < SW_LIMIT_KINDS; i++)
		n += h->over[i];
	return n;
}

/* The counts of an id start again when another service gets it. */
static bool goes_on(const struct facts *last, const struct facts *now, __u32 id)
{
	if (id && !services_same(&last->services.slot[id], &now->services.slot[id]))
		return false;
	for (__u32 r = 1; r < SW_REASON_MAX; r++)
		if (now->count[id][r].packets < last->count[id][r].packets)
			return false;
	return true;
}

static void flow_rates(const struct facts *last, const struct facts *now, __u32 id, double seconds,
		       struct top_flow *out)
{
	struct flow a, b;

	facts_flow(last, id, &a);
	facts_flow(now, id, &b);
	out->syns = per_s(a.syns, b.syns, seconds);
	out->answered = per_s(a.answered, b.answered, seconds);
	out->finished = per_s(a.finished, b.finished, seconds);
	out->dropped = per_s(a.dropped, b.dropped, seconds);
	out->would_drop = per_s(a.would_drop, b.would_drop, seconds);
	out->packets = per_s(a.packets, b.packets, seconds);
	out->bytes = per_s(a.bytes, b.bytes, seconds);
	out->limit = per_s(limit_hits(&last->hits[id]), limit_hits(&now->hits[id]), seconds);
}

static void rates_add(struct top_flow *sum, const struct top_flow *f)
{
	sum->syns += f->syns;
	sum->answered += f->answered;
	sum->finished += f->finished;
	sum->dropped += f->dropped;
	sum->would_drop += f->would_drop;
	sum->packets += f->packets;
	sum->bytes += f->bytes;
	sum->limit += f->limit;
}

static void row_fill(struct top_row *row, const struct facts *f, __u32 id)
{
	const struct sw_service *s = &f->services.slot[id];

	row->id = id;
	text_service_name(s, row->name);
	row->mode = s->mode;
	row->now = TOP_IDLE;
	if (facts_armed(f, id))
		row->now = TOP_ATTACK;
	else if (s->mode == SW_MODE_ALWAYS)
		row->now = TOP_ARMED;
	row->established = f->gauge[id].conns[SW_ESTABLISHED];
	row->half_open = f->gauge[id].conns[SW_SYN_RECEIVED];
}

static void reasons_count(struct top_view *v, const struct facts *last, __u32 id, double seconds,
			  double would[SW_REASON_MAX])
{
	const struct facts *now = &v->sample.facts;

	for (__u32 r = 1; r < SW_REASON_MAX; r++) {
		const struct sw_count *c = &now->count[id][r];

		v->reason[r].packets += c->packets;
		if (!last)
			continue;
		v->reason[r].pps += per_s(last->count[id][r].packets, c->packets, seconds);
		would[r] += per_s(last->count[id][r].would_packets, c->would_packets, seconds);
	}
}

/* Most per second first, then most in all; what never was is left out. */
static void reasons_sort(struct top_view *v, const double would[SW_REASON_MAX])
{
	struct top_reason all[SW_REASON_MAX];

	memcpy(all, v->reason, sizeof(all));
	v->reasons = 0;
	for (__u32 r = 1; r < SW_REASON_MAX; r++) {
		struct top_reason *one = &all[r];
		__u32 at = v->reasons;

		if (!one->packets || strcmp(text_verdict(r), "drop"))
			continue;
		one->reason = r;
		one->would = would[r] > 0 && would[r] >= one->pps;
		while (at && (v->reason[at - 1].pps < one->pps ||
			      (v->reason[at - 1].pps == one->pps &&
			       v->reason[at - 1].packets < one->packets))) {
			v->reason[at] = v->reason[at - 1];
			at--;
		}
		v->reason[at] = *one;
		v->reasons++;
	}
}

void top_rates(struct top_view *v, const struct top_sample *last)
{
	const struct facts *now = &v->sample.facts;
	const struct facts *before = last && last->guard == v->sample.guard ? &last->facts : NULL;
	double would[SW_REASON_MAX] = { 0 }, seconds;

	v->elapsed_ns = before ? now->taken_ns - before->taken_ns : 0;
	seconds = (double)v->elapsed_ns / 1e9;
	v->known = v->elapsed_ns && now->taken_ns > before->taken_ns;
	v->rows = v->attacked = 0;
	memset(v->state, 0, sizeof(v->state));
	memset(v->reason, 0, sizeof(v->reason));
	memset(&v->all, 0, sizeof(v->all));
	v->all.known = v->known;
	for (__u32 id = 0; id < SW_MAX_SERVICES; id++) {
		struct top_row row = { .known = v->known && goes_on(before, now, id) };

		if (row.known)
			flow_rates(before, now, id, seconds, &row.flow);
		rates_add(&v->all.flow, &row.flow);
		reasons_count(v, row.known ? before : NULL, id, seconds, would);
		for (__u32 s = 0; s < SW_STATE_MAX; s++)
			v->state[s] += now->gauge[id].conns[s];
		if (!facts_is_service(now, id))
			continue;
		row_fill(&row, now, id);
		v->attacked += row.now == TOP_ATTACK;
		v->row[v->rows++] = row;
	}
	reasons_sort(v, would);
	v->all.now = v->attacked ? TOP_ATTACK : TOP_IDLE;
	v->all.established = v->state[SW_ESTABLISHED];
	v->all.half_open = v->state[SW_SYN_RECEIVED];
}

void top_history_add(struct top_history *h, const struct top_view *v)
{
	h->at[h->count % TOP_HISTORY].syns = v->known ? v->all.flow.syns : 0;
	h->at[h->count % TOP_HISTORY].attack = v->attacked;
	h->count++;
}

void top_source_keep(struct top_sample *s, const struct sw_source *c)
{
	__u32 at = s->sources;

	while (at &&
	       (s->source[at - 1].conns < c->conns ||
		(s->source[at - 1].conns == c->conns && s->source[at - 1].refused < c->refused)))
		at--;
	if (at == TOP_SOURCES)
		return;
	s->sources += s->sources < TOP_SOURCES;
	memmove(&s->source[at + 1], &s->source[at], (s->sources - at - 1) * sizeof(s->source[0]));
	s->source[at] = *c;
}
