/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See replay_pass.h. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <linux/if_ether.h>

#include "replay_host.h"
#include "replay_pass.h"
#include "util.h"

#define IDLE_FLOWS (1U << 19) /* remembered without a connection: 70 MB */
#define OUT_LEN    1600       /* more the program does not look at, nor tc take in a test run */

enum way {
	WAY_NONE, /* of no service */
	WAY_IN,
	WAY_OUT,
};

/*
 * Towards a service, or from one. Where both ends are one, the client is who sent the first SYN;
 * if that was before the capture, whose port is the higher.
 */
static enum way way_of(struct replay *r, const struct replay_seg *s)
{
	bool to, from;

	if (!s->is_tcp)
		return WAY_NONE;
	to = replay_service(&r->guard, s->dst, s->dport);
	from = replay_service(&r->guard, s->src, s->sport);
	if (!to || !from)
		return to ? WAY_IN : from ? WAY_OUT : WAY_NONE;
	if (replay_find(&r->flows, s, true))
		return WAY_IN;
	if (replay_find(&r->flows, s, false))
		return WAY_OUT;
	if (s->flags & SEG_SYN_FLAG)
		return s->flags & SEG_ACK_FLAG ? WAY_OUT : WAY_IN;
	return ntohs(s->sport) < ntohs(s->dport) ? WAY_OUT : WAY_IN;
}

/* --- first: what is in it ----------------------------------------------------------------- */

static void look_at(struct replay *r, const struct replay_seg *s, enum way way)
{
	const __u8 both = SEG_SYN_FLAG | SEG_ACK_FLAG;
	struct replay_flow *w = replay_make(&r->flows, s, way == WAY_IN);
	__u32 port = ntohs(way == WAY_IN ? s->dport : s->sport);

	r->spoke[port] |= way == WAY_OUT;
	if (way == WAY_IN) {
		r->asked[port] = true;
		r->syns_ts += (s->flags & both) == SEG_SYN_FLAG && s->has_ts;
	} else if (s->flags & SEG_RST_FLAG) {
		r->refuses[port] |= w && w->flags & FLOW_BEGUN;
	} else if ((s->flags & both) == both) {
		r->answers[port] = true;
		r->synacks++;
		r->synacks_ts += s->has_ts;
	}
	if (w)
		replay_learn(&r->flows, w, s, way == WAY_IN);
}

static int take_over(void *arg, const struct replay_flow *w)
{
	struct replay *r = arg;
	struct sw_replay *io = r->guard.io;
	int err;

	memcpy(io->client, w->client, sizeof(io->client));
	memcpy(io->server, w->server, sizeof(io->server));
	io->client_port = w->client_port;
	io->server_port = w->server_port;
	replay_view(w, &io->view);
	err = replay_take_over(&r->guard);
	return err ? log_err(err, "take over the connections of the capture") : 0;
}

int replay_look(struct replay *r)
{
	bool *open = r->asked;
	struct replay_frame f;
	struct replay_seg s;
	__u32 stayed;
	int err = replay_flows_new(&r->flows, IDLE_FLOWS);

	if (err)
		return log_err(err, "read %s", r->capture.name);
	while (replay_next(&r->capture, &f)) {
		enum way way;

		if (!r->seen++)
			r->first_ns = f.ns;
		replay_parse(f.data, f.captured, &s);
		way = way_of(r, &s);
		if (way != WAY_NONE)
			look_at(r, &s, way);
	}
	for (__u32 port = 0; port < REPLAY_PORTS; port++)
		open[port] &= r->answers[port] || !r->refuses[port];
	/* the server has them off, if it never takes what is offered */
	err = replay_listen(&r->guard, open, r->synacks_ts || !r->synacks || !r->syns_ts);
	r->begin_ns = clock_ns(CLOCK_MONOTONIC);
	r->guard.io->now_ns = r->begin_ns;
	r->newest_ns = r->first_ns;
	if (!err)
		err = replay_settle(&r->flows, take_over, r, &stayed);
	r->sum.old = err ? 0 : stayed;
	return err;
}

/* --- then: through the programs ----------------------------------------------------------- */

/* What the guard said to a SYN, or made of what followed. */
static int after_in(struct replay *r, struct replay_row *row, struct replay_seg *s,
		    struct replay_flow *w)
{
	struct replay_result *res = &row->result;
	bool is_syn = (s->flags & (SEG_SYN_FLAG | SEG_ACK_FLAG)) == SEG_SYN_FLAG;
	const char *verdict = text_verdict(res->reason);
	__u64 now = r->guard.io->now_ns;
	struct replay_seg out;
	int err = 0;

	if (is_syn && !w)
		w = replay_make(&r->flows, s, true);
	if (!w)
		return 0;
	if (!res->would && !strcmp(verdict, "drop")) {
		/* a cookie that is out still counts */
		if (is_syn && w->state == SW_FREE && !(w->flags & FLOW_ANSWERED))
			w->flags = FLOW_BEGUN | FLOW_REFUSED;
	} else if (!res->would && !strcmp(verdict, "tx")) {
		replay_parse(res->out, res->out_len, &out);
		replay_answered(w, s, &out, now);
	} else if (res->reason == SW_PASS_COOKIE || res->reason == SW_PASS_KEEPALIVE) {
		struct replay_result tc = { .reason = SW_TC_HANDED_OVER };

		replay_parse(res->out, res->out_len, &out);
		if (r->guard.g.engine == SW_ENGINE_REQSK) {
			static __u8 copy[sizeof(r->guard.out)];

			memcpy(copy, res->out, res->out_len);
			err = replay_run(&r->guard, SW_HOOK_TC_IN, copy, replay_shorten(copy, &out),
					 &tc);
			row->tc = tc.reason;
		}
		if (tc.reason == SW_TC_HANDED_OVER) {
			replay_opened(&r->flows, w, &out);
			r->sum.made++;
		}
	} else {
		r->sum.made += replay_in(&r->flows, w, s, now);
	}
	return err == -EINVAL ? 0 : err;
}

static void note_in(struct replay *r, const struct replay_row *row, const struct replay_seg *s,
		    const struct replay_flow *w)
{
	enum sw_reason reason = row->result.reason;

	if (s->flags & SEG_SYN_FLAG)
		return;
	if (w && w->flags & FLOW_REFUSED)
		r->sum.moot++;
	else if ((!w || !(w->flags & FLOW_BEGUN)) &&
		 (reason == SW_DROP_COOKIE || reason == SW_DROP_EXPIRED))
		r->sum.strange++;
}

static int run_in(struct replay *r, struct replay_frame *f, struct replay_row *row,
		  struct replay_seg *s)
{
	struct replay_flow *w = s->is_tcp ? replay_find(&r->flows, s, true) : NULL;
	struct sw_replay *io = r->guard.io;
	int err;

	memset(&io->view, 0, sizeof(io->view));
	if (w) {
		if (replay_expired(w, io->now_ns))
			replay_ended(&r->flows, w);
		if (!r->spoke[ntohs(s->dport)])
			r->sum.holes += replay_unheard(&r->flows, w, s, io->now_ns);
		if (w->flags & FLOW_SHIFTED && !(s->flags & SEG_SYN_FLAG))
			replay_move(f->data, s, &w->shift);
		r->sum.holes += replay_hole(w, s);
		replay_view(w, &io->view);
	}
	err = replay_run(&r->guard, SW_HOOK_XDP, f->data, f->len, &row->result);
	if (err || !s->is_tcp || !replay_service(&r->guard, s->dst, s->dport))
		return err;
	note_in(r, row, s, w);
	return after_in(r, row, s, w);
}

/* Only where the segment ends counts, so a long one is run without what is in front of that. */
static int run_out(struct replay *r, struct replay_frame *f, struct replay_row *row,
		   struct replay_seg *s)
{
	struct replay_flow *w = replay_make(&r->flows, s, false);
	const __u8 both = SEG_SYN_FLAG | SEG_ACK_FLAG;
	struct replay_seg cut;
	__u32 len = f->len;
	int err;

	if (!w)
		return -ENOMEM;
	row->hook = SW_HOOK_TC_OUT;
	if (w->flags & (FLOW_ANSWERED | FLOW_REFUSED)) {
		if (w->flags & FLOW_ANSWERED && (s->flags & both) == both)
			replay_replaced(w, s, r->guard.io->now_ns);
		row->skip = SKIP_REPLACED;
		return 0;
	}
	if (w->flags & FLOW_SHIFTED)
		replay_move(f->data, s,
			    &(struct replay_shift){ .seq = w->shift.ack, .tsval = w->shift.tsecr });
	cut = *s;
	if (len > OUT_LEN) {
		replay_move(f->data, &cut, &(struct replay_shift){ .seq = s->payload });
		len = s->l4 + s->doff;
	}
	memset(&r->guard.io->view, 0, sizeof(r->guard.io->view));
	err = replay_run(&r->guard, SW_HOOK_TC_OUT, f->data, len, &row->result);
	replay_out(&r->flows, w, s, r->guard.io->now_ns);
	return err;
}

/*
 * The clock of a capture may go back: by a little, as packets of several queues do, or because it
 * was set, or files were put one behind the other. The programs' never does, and goes on by what
 * passes from one packet to the next of those that are behind.
 */
#define CLOCK_SET_NS 1000000000ULL
#define CLOCK_MAX_NS (1ULL << 62) /* longer than any capture: nothing overflows */

static void set_clock(struct replay *r, const struct replay_frame *f)
{
	bool is_behind = f->ns < r->newest_ns && r->newest_ns - f->ns > CLOCK_SET_NS;
	__u64 *newest = is_behind ? &r->behind_ns : &r->newest_ns;

	if (!is_behind)
		r->behind_ns = 0;
	else if (!r->behind_ns || (f->ns < r->behind_ns && r->behind_ns - f->ns > CLOCK_SET_NS))
		r->behind_ns = f->ns;
	if (f->ns > *newest) {
		__u64 step = f->ns - *newest;

		r->guard.io->now_ns += step < CLOCK_MAX_NS ? step : 0;
		*newest = f->ns;
	}
	r->wall_ns = f->ns;
}

static int run_one(struct replay *r, struct replay_frame *f, struct replay_row *row)
{
	struct replay_seg s;
	enum way way;
	int err;

	replay_parse(f->data, f->captured, &row->seg);
	s = row->seg;
	way = way_of(r, &s);
	r->sum.to_service += way == WAY_IN;
	r->sum.from_service += way == WAY_OUT;
	r->sum.no_service += way == WAY_NONE;
	if (f->captured < f->len) {
		if (!f->captured || (s.is_ip && !s.is_tcp && !s.is_other)) {
			row->skip = SKIP_CUT;
			return 0;
		}
		if (s.is_tcp && s.l4 + s.l4_len <= f->len) {
			replay_checksum(f->data, &s);
			row->cut = true;
		}
	}
	err = way == WAY_OUT ? run_out(r, f, row, &s) : run_in(r, f, row, &s);
	if (err == -EINVAL || err == -ENOMEM || err == -EMSGSIZE) {
		row->skip = SKIP_ODD;
		return 0;
	}
	return err ? log_err(err, "run packet %llu", (unsigned long long)row->n) : 0;
}

static void on_event(void *arg, const struct sw_event *e)
{
	struct replay *r = arg;

	if (e->kind == SW_EVENT_TABLE_FULL)
		r->sum.full++;
	if (e->kind != SW_EVENT_ARMED && e->kind != SW_EVENT_DISARMED)
		return;
	if (r->sum.armings < REPLAY_ARMINGS)
		r->sum.arming[r->sum.armings] = (struct replay_arming){
			.ns = r->wall_ns,
			.armed = e->kind == SW_EVENT_ARMED,
			.cause = e->table,
			.service = e->service,
			.syns_pps = e->packets,
		};
	r->sum.armings++;
}

int replay_through(struct replay *r)
{
	struct replay_frame f;
	int err = replay_events(&r->guard, on_event, r);

	if (!err)
		err = replay_sweep_open(&r->sweep, &r->guard);
	while (!err && replay_next(&r->capture, &f)) {
		struct replay_row row = { .n = r->sum.packets + 1, .ns = f.ns, .len = f.len };

		set_clock(r, &f);
		replay_sweep(&r->sweep, &r->guard, &r->flows, r->guard.io->now_ns);
		if (f.len) {
			err = run_one(r, &f, &row);
		} else {
			row.len = f.wire;
			row.skip = SKIP_ODD;
			r->sum.no_service++;
		}
		replay_events_read(&r->guard);
		replay_add(&r->sum, &row);
		replay_show(&r->guard, &row, r->json);
		if (ferror(stdout))
			break;
	}
	r->sum.forgotten = r->flows.forgotten;
	r->sum.took_ns = r->guard.io->now_ns - r->begin_ns;
	return err;
}
