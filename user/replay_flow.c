/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of the flows. Those whose host holds a connection are kept; of the others, as a flood
 * makes, the ones that were used last.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay_flow.h"
#include "replay_host.h"

#define FIRST_ROOM    1024
#define FIRST_BUCKETS 4096
#define NUMBERS_NEAR  (1U << 26) /* bytes under way at the most, either way */

struct tuple {
	__be32 client[4], server[4];
	__be16 client_port, server_port;
};

static struct tuple tuple_of(const struct replay_seg *s, bool in)
{
	struct tuple t = { 0 };

	memcpy(t.client, in ? s->src : s->dst, sizeof(t.client));
	memcpy(t.server, in ? s->dst : s->src, sizeof(t.server));
	t.client_port = in ? s->sport : s->dport;
	t.server_port = in ? s->dport : s->sport;
	return t;
}

/* Where it is looked for: an attacker who wrote the capture makes its replay slow, no more. */
static __u32 hash_of(const struct tuple *t)
{
	__u64 h = ((__u64)t->client_port << 16 | t->server_port) * 0x9e3779b97f4a7c15ULL;

	for (int i = 0; i < 4; i++) {
		h ^= (__u64)t->client[i] << 32 | t->server[i];
		h *= 0xd6e8feb86659fd93ULL;
		h ^= h >> 32;
	}
	return (__u32)h;
}

static bool is_of(const struct replay_flow *w, const struct tuple *t)
{
	return w->client_port == t->client_port && w->server_port == t->server_port &&
	       !memcmp(w->client, t->client, sizeof(t->client)) &&
	       !memcmp(w->server, t->server, sizeof(t->server));
}

int replay_flows_new(struct replay_flows *f, __u32 idle_max)
{
	memset(f, 0, sizeof(*f));
	f->idle_max = idle_max;
	f->room = FIRST_ROOM;
	f->count = 1; /* 0 is nowhere */
	f->buckets = FIRST_BUCKETS;
	f->at = calloc(f->room, sizeof(*f->at));
	f->bucket = calloc(f->buckets, sizeof(*f->bucket));
	return f->at && f->bucket ? 0 : -ENOMEM;
}

void replay_flows_free(struct replay_flows *f)
{
	free(f->at);
	free(f->bucket);
}

/* --- those without a connection, in the order of their last use --------------------------- */

static void idle_leave(struct replay_flows *f, struct replay_flow *w)
{
	*(w->older ? &f->at[w->older].newer : &f->oldest) = w->newer;
	*(w->newer ? &f->at[w->newer].older : &f->newest) = w->older;
	w->older = w->newer = 0;
	f->idle--;
}

static void idle_enter(struct replay_flows *f, struct replay_flow *w)
{
	__u32 at = (__u32)(w - f->at);

	w->older = f->newest;
	w->newer = 0;
	*(f->newest ? &f->at[f->newest].newer : &f->oldest) = at;
	f->newest = at;
	f->idle++;
}

static bool is_idle(const struct replay_flow *w)
{
	return w->state == SW_FREE;
}

/* Whether it is idle may have changed since. */
static void flow_state(struct replay_flows *f, struct replay_flow *w, __u8 state)
{
	bool was = is_idle(w);

	w->state = state;
	if (was && !is_idle(w))
		idle_leave(f, w);
	else if (!was && is_idle(w))
		idle_enter(f, w);
}

static __u32 *bucket_of(const struct replay_flows *f, const struct tuple *t)
{
	return &f->bucket[hash_of(t) & (f->buckets - 1)];
}

static struct tuple tuple_of_flow(const struct replay_flow *w)
{
	struct tuple t = { .client_port = w->client_port, .server_port = w->server_port };

	memcpy(t.client, w->client, sizeof(t.client));
	memcpy(t.server, w->server, sizeof(t.server));
	return t;
}

static void forget(struct replay_flows *f, struct replay_flow *w)
{
	struct tuple t = tuple_of_flow(w);
	__u32 *link = bucket_of(f, &t), at = (__u32)(w - f->at);

	while (*link != at)
		link = &f->at[*link].next;
	*link = w->next;
	idle_leave(f, w);
	memset(w, 0, sizeof(*w));
	w->next = f->free;
	f->free = at;
}

static void rehash(struct replay_flows *f)
{
	__u32 buckets = f->buckets * 2, *more = calloc(buckets, sizeof(*more));

	if (!more)
		return; /* longer chains, no more */
	free(f->bucket);
	f->bucket = more;
	f->buckets = buckets;
	for (__u32 i = 1; i < f->count; i++) {
		struct tuple t = tuple_of_flow(&f->at[i]);
		__u32 *bucket = bucket_of(f, &t);

		if (!t.server_port && !t.client_port)
			continue; /* free */
		f->at[i].next = *bucket;
		*bucket = i;
	}
}

static __u32 take_slot(struct replay_flows *f)
{
	__u32 at = f->free;

	if (at) {
		f->free = f->at[at].next;
		return at;
	}
	if (f->count == f->room) {
		struct replay_flow *more = realloc(f->at, 2ULL * f->room * sizeof(*more));

		if (!more)
			return 0;
		memset(more + f->room, 0, f->room * sizeof(*more));
		f->at = more;
		f->room *= 2;
	}
	return f->count++;
}

struct replay_flow *replay_find(struct replay_flows *f, const struct replay_seg *s, bool in)
{
	struct tuple t = tuple_of(s, in);
	__u32 at = *bucket_of(f, &t);

	while (at && !is_of(&f->at[at], &t))
		at = f->at[at].next;
	if (!at)
		return NULL;
	if (is_idle(&f->at[at])) {
		idle_leave(f, &f->at[at]);
		idle_enter(f, &f->at[at]);
	}
	return &f->at[at];
}

struct replay_flow *replay_find_conn(struct replay_flows *f, const struct sw_conn *c)
{
	struct replay_seg s = { .sport = c->client_port, .dport = c->server_port };

	memcpy(s.src, c->client, sizeof(s.src));
	memcpy(s.dst, c->server, sizeof(s.dst));
	return replay_find(f, &s, true);
}

struct replay_flow *replay_make(struct replay_flows *f, const struct replay_seg *s, bool in)
{
	struct replay_flow *w = replay_find(f, s, in);
	struct tuple t = tuple_of(s, in);
	__u32 *bucket, at;

	if (w)
		return w;
	if (f->idle >= f->idle_max) {
		forget(f, &f->at[f->oldest]);
		f->forgotten++;
	}
	at = take_slot(f);
	if (!at)
		return NULL;
	if (f->count > f->buckets)
		rehash(f); /* the new one is free as yet */
	w = &f->at[at];
	memset(w, 0, sizeof(*w));
	memcpy(w->client, t.client, sizeof(t.client));
	memcpy(w->server, t.server, sizeof(t.server));
	w->client_port = t.client_port;
	w->server_port = t.server_port;
	bucket = bucket_of(f, &t);
	w->next = *bucket;
	*bucket = at;
	idle_enter(f, w);
	return w;
}

/* --- those that were there before --------------------------------------------------------- */

static __u32 later(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0 ? a : b;
}

/*
 * The first that either says tells where it stands; a RST or SYN tells nothing. What both said
 * something of is kept, however many tuples a flood makes.
 */
void replay_learn(struct replay_flows *f, struct replay_flow *w, const struct replay_seg *s,
		  bool in)
{
	const __u8 both = FLOW_SAID_IN | FLOW_SAID_OUT;
	__u8 said = in ? FLOW_SAID_IN : FLOW_SAID_OUT;

	if (s->flags & SEG_SYN_FLAG) {
		w->flags |= FLOW_BEGUN;
		return;
	}
	if (w->flags & (FLOW_BEGUN | said) || s->flags & SEG_RST_FLAG || !(s->flags & SEG_ACK_FLAG))
		return;
	if (in) {
		w->snd_una = s->ack;
		/* whoever came first says it best: what followed was under way */
		if (!(w->flags & FLOW_SAID_OUT))
			w->rcv_nxt = s->seq;
		w->snd_nxt = w->flags & FLOW_SAID_OUT ? later(w->snd_nxt, s->ack) : s->ack;
		w->client_fin = s->seq; /* for replay_settle(): are they of one connection? */
	} else {
		if (!(w->flags & FLOW_SAID_IN))
			w->rcv_nxt = s->ack;
		w->snd_nxt = w->flags & FLOW_SAID_IN ? later(w->snd_nxt, s->seq) : s->seq;
		w->rcv_left = s->ack;
	}
	w->flags |= said;
	if ((w->flags & both) == both)
		flow_state(f, w, SW_ESTABLISHED);
}

static bool is_near(__u32 a, __u32 b)
{
	return a - b + NUMBERS_NEAR < 2 * NUMBERS_NEAR;
}

static bool is_older_than_capture(const struct replay_flow *w)
{
	const __u8 both = FLOW_SAID_IN | FLOW_SAID_OUT;

	return (w->flags & both) == both && is_near(w->client_fin, w->rcv_left) &&
	       is_near(w->snd_una, w->snd_nxt);
}

int replay_settle(struct replay_flows *f, int (*each)(void *arg, const struct replay_flow *w),
		  void *arg, __u32 *stayed)
{
	int err = 0;

	*stayed = 0;
	for (__u32 at = 1; at < f->count && !err; at++) {
		struct replay_flow *w = &f->at[at];

		if (!w->server_port && !w->client_port)
			continue; /* free */
		if (!is_older_than_capture(w)) {
			flow_state(f, w, SW_FREE);
			forget(f, w);
			continue;
		}
		w->flags = FLOW_OLD;
		w->rcv_left = w->rcv_nxt;
		err = each(arg, w);
		(*stayed)++;
	}
	f->forgotten = 0;
	return err;
}

/* --- what changes the state; replay_host.c tells to which ---------------------------------- */

static __u32 ticks_of(__u64 ns)
{
	return (__u32)(ns >> SW_TS_SHIFT);
}

/* A SYN that is sent again has another cookie, if another epoch has begun. */
void replay_answered(struct replay_flow *w, const struct replay_seg *syn,
		     const struct replay_seg *synack, __u64 now_ns)
{
	bool again = w->flags & FLOW_SHIFTED;

	replay_note_syn(w, syn);
	w->flags = FLOW_BEGUN | FLOW_ANSWERED;
	if (again) {
		w->flags |= FLOW_SHIFTED;
		w->shift.ack += synack->seq - w->cookie_isn;
		w->shift.tsecr +=
			synack->tsval - w->cookie_ts - ticks_of(now_ns) + ticks_of(w->cookie_ns);
	} else {
		memset(&w->shift, 0, sizeof(w->shift));
	}
	w->cookie_isn = synack->seq;
	w->cookie_ts = synack->tsval;
	w->cookie_ns = now_ns;
}

/*
 * The cookie's clock has gone on since, so that whichever of the server's SYN-ACKs the client
 * echoes, the echo is of a cookie sent by then.
 */
void replay_replaced(struct replay_flow *w, const struct replay_seg *synack, __u64 now_ns)
{
	__u32 ticks = ticks_of(now_ns) - ticks_of(w->cookie_ns);

	w->shift.ack = w->cookie_isn - synack->seq;
	w->shift.tsecr = synack->has_ts ? w->cookie_ts + ticks - synack->tsval : 0;
	w->flags |= FLOW_SHIFTED;
	replay_window(w, synack);
}

bool replay_unheard(struct replay_flows *f, struct replay_flow *w, const struct replay_seg *s,
		    __u64 now_ns)
{
	struct replay_seg synack = {
		.flags = SEG_SYN_FLAG | SEG_ACK_FLAG,
		.seq = s->ack - 1,
		.ack = s->seq,
		.has_ts = s->has_ts,
		.tsval = s->tsecr,
	};

	if (w->state != SW_FREE || (w->flags & (FLOW_BEGUN | FLOW_REFUSED)) != FLOW_BEGUN ||
	    (s->flags & (SEG_ACK_FLAG | SEG_SYN_FLAG | SEG_RST_FLAG)) != SEG_ACK_FLAG ||
	    s->seq != w->client_isn + 1)
		return false;
	if (w->flags & FLOW_ANSWERED)
		replay_replaced(w, &synack, w->cookie_ns);
	else
		replay_out(f, w, &synack, now_ns);
	w->flags |= FLOW_OLD;
	return true;
}

void replay_opened(struct replay_flows *f, struct replay_flow *w, const struct replay_seg *ack)
{
	replay_begin(w, ack);
	w->flags &= ~FLOW_ANSWERED;
	flow_state(f, w, ack->flags & SEG_FIN_FLAG ? SW_CLOSE_WAIT : SW_ESTABLISHED);
}

bool replay_in(struct replay_flows *f, struct replay_flow *w, const struct replay_seg *s,
	       __u64 now_ns)
{
	__u8 was = w->state, next = replay_next_in(w, s, now_ns);

	flow_state(f, w, next);
	return (was == SW_SYN_RECEIVED || was == SW_SYN_SENT) &&
	       (next == SW_ESTABLISHED || next == SW_CLOSE_WAIT);
}

void replay_out(struct replay_flows *f, struct replay_flow *w, const struct replay_seg *s,
		__u64 now_ns)
{
	flow_state(f, w, replay_next_out(w, s, now_ns));
}

void replay_ended(struct replay_flows *f, struct replay_flow *w)
{
	flow_state(f, w, SW_FREE);
}
