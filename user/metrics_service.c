/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Metrics by service. Those of a deleted service end with it: what it counted is still in what
 * is counted of all, and a sum that jumped by it would look like a burst to whoever takes a rate.
 */
#include "metrics_write.h"
#include "text.h"
#include "util.h"

typedef void (*write_one)(struct metrics_write *w, __u32 id, const char *name);

static void each_service(struct metrics_write *w, write_one write)
{
	const struct facts *f = &w->f->facts;
	char name[TEXT_SERVICE];

	for (__u32 id = 1; id < SW_MAX_SERVICES; id++)
		if (facts_is_service(f, id))
			write(w, id, text_service_name(&f->services.slot[id], name));
}

static __u64 packets_of(const struct metrics_write *w, __u32 id, enum sw_reason r)
{
	return w->f->facts.count[id][r].packets;
}

static void write_info(struct metrics_write *w, __u32 id, const char *name)
{
	const struct sw_service *s = &w->f->facts.services.slot[id];

	metric_u64(&w->m, M_SERVICE_INFO, LABELS(name, text_mode_name(s->mode)), 1);
}

/* --- SYNs, cookies, handshakes ------------------------------------------------------------ */

/* What mode monitor would have done has outcomes of its own, so that each SYN is in one. */
static void write_syns(struct metrics_write *w, __u32 id, const char *name)
{
	static const char *const names[] = {
		[SYN_PASSED] = "passed",
		[SYN_ANSWERED] = "answered",
		[SYN_DROPPED] = "dropped",
		[SYN_LIMITED] = "limited",
	};
	static const char *const would_names[] = {
		[SYN_ANSWERED] = "would_answer",
		[SYN_DROPPED] = "would_drop",
		[SYN_LIMITED] = "would_limit",
	};
	__u64 done[SYN_OUTCOMES] = { 0 }, would[SYN_OUTCOMES] = { 0 };

	for (__u32 r = 1; r < SW_REASON_MAX; r++) {
		const struct sw_count *c = &w->f->facts.count[id][r];
		enum syn_outcome outcome = reason_syn_outcome(r);

		done[outcome] += count_enforced(c);
		would[outcome] += c->would_packets;
	}
	for (__u32 i = SYN_PASSED; i < SYN_OUTCOMES; i++)
		metric_u64(&w->m, M_SYNS, LABELS(name, names[i]), done[i]);
	for (__u32 i = SYN_ANSWERED; i < SYN_OUTCOMES; i++)
		metric_u64(&w->m, M_SYNS, LABELS(name, would_names[i]), would[i]);
}

static void write_cookies_sent(struct metrics_write *w, __u32 id, const char *name)
{
	const struct sw_count *c = &w->f->facts.count[id][SW_TX_SYNACK];

	metric_u64(&w->m, M_COOKIES_SENT, LABELS(name), count_enforced(c));
}

static void write_cookies_valid(struct metrics_write *w, __u32 id, const char *name)
{
	struct flow flow;

	facts_flow(&w->f->facts, id, &flow);
	metric_u64(&w->m, M_COOKIES_VALID, LABELS(name), flow.finished);
}

static void write_cookies_invalid(struct metrics_write *w, __u32 id, const char *name)
{
	static const enum sw_reason reasons[] = { SW_DROP_COOKIE, SW_DROP_EXPIRED,
						  SW_PASS_COOKIE_USED };

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		metric_u64(&w->m, M_COOKIES_INVALID, LABELS(name, text_reason(reasons[i])),
			   packets_of(w, id, reasons[i]));
}

static void write_handshakes(struct metrics_write *w, __u32 id, const char *name)
{
	static const struct {
		enum sw_reason reason;
		const char *outcome;
	} rows[] = {
		{ SW_TC_HANDED_OVER, "handed_over" },
		{ SW_TC_KNOWN, "known" },
		{ SW_TC_NO_LISTENER, "no_listener" },
		{ SW_TC_REFUSED, "refused" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		metric_u64(&w->m, M_HANDSHAKES, LABELS(name, rows[i].outcome),
			   packets_of(w, id, rows[i].reason));
}

/* --- connections -------------------------------------------------------------------------- */

/* The words of node_exporter and of the kernel's own, not those of the RFC that people read. */
static void write_connections(struct metrics_write *w, __u32 id, const char *name)
{
	static const char *const names[SW_STATE_MAX] = {
		[SW_CLOSED] = "close",          [SW_SYN_SENT] = "syn_sent",
		[SW_SYN_RECEIVED] = "syn_recv", [SW_ESTABLISHED] = "established",
		[SW_FIN_WAIT_1] = "fin_wait1",  [SW_FIN_WAIT_2] = "fin_wait2",
		[SW_CLOSE_WAIT] = "close_wait", [SW_CLOSING] = "closing",
		[SW_LAST_ACK] = "last_ack",     [SW_TIME_WAIT] = "time_wait",
	};

	for (__u32 i = 0; i < SW_STATE_MAX; i++)
		if (names[i])
			metric_u64(&w->m, M_CONNECTIONS, LABELS(name, names[i]),
				   w->f->facts.gauge[id].conns[i]);
}

/* --- attacks ------------------------------------------------------------------------------ */

static void write_armed(struct metrics_write *w, __u32 id, const char *name)
{
	metric_u64(&w->m, M_SERVICE_ARMED, LABELS(name), facts_armed(&w->f->facts, id));
}

/* By the programs' own note, which the next SYN ends: by the time alone one might go back. */
static void write_transitions(struct metrics_write *w, __u32 id, const char *name)
{
	const struct sw_arming *a = &w->f->facts.arming[id];

	metric_u64(&w->m, M_TRANSITIONS, LABELS(name, "armed"), a->attacks);
	metric_u64(&w->m, M_TRANSITIONS, LABELS(name, "disarmed"),
		   a->attacks - (a->armed && a->attacks));
}

static void write_armed_seconds(struct metrics_write *w, __u32 id, const char *name)
{
	if (daemon_facts)
		metric_ns(&w->m, M_ARMED_SECONDS, LABELS(name), daemon_facts->armed_ns[id]);
}

/* NULL: none, or so many others came after it that it is forgotten. */
static const struct sw_attack *last_attack(const struct metrics_write *w, __u32 id)
{
	const struct sw_arming *a = &w->f->facts.arming[id];
	const struct sw_attack *t = &w->f->attack[a->attack % SW_ATTACKS];

	return a->attacks && t->start_ns && t->service == id ? t : NULL;
}

static void write_attack_start(struct metrics_write *w, __u32 id, const char *name)
{
	const struct sw_attack *t = last_attack(w, id);

	if (t)
		metric_ns(&w->m, M_ATTACK_START, LABELS(name), wall_ns(t->start_ns));
}

static void write_attack_syns(struct metrics_write *w, __u32 id, const char *name)
{
	const struct sw_attack *t = last_attack(w, id);

	if (t)
		metric_u64(&w->m, M_ATTACK_SYNS, LABELS(name), t->peak_pps);
}

static void write_attack_half(struct metrics_write *w, __u32 id, const char *name)
{
	const struct sw_attack *t = last_attack(w, id);

	if (t)
		metric_u64(&w->m, M_ATTACK_HALF, LABELS(name), t->peak_half_open);
}

/* --- sources ------------------------------------------------------------------------------ */

static void write_limit_hits(struct metrics_write *w, __u32 id, const char *name)
{
	static const char *const names[] = {
		[SW_LIMIT_RATE] = "rate",
		[SW_LIMIT_CONNS] = "conns",
		[SW_LIMIT_HALF_CLOSED] = "half_closed",
		[SW_LIMIT_STALLED] = "stalled",
	};

	_Static_assert(ARRAY_SIZE(names) == SW_LIMIT_KINDS, "a name for each limit");
	for (__u32 i = 0; i < SW_LIMIT_KINDS; i++)
		metric_u64(&w->m, M_LIMIT_HITS, LABELS(name, names[i]),
			   w->f->facts.hits[id].over[i]);
}

static void write_bans(struct metrics_write *w, __u32 id, const char *name)
{
	metric_u64(&w->m, M_BANS, LABELS(name), w->f->bans[id]);
}

static void write_bans_total(struct metrics_write *w, __u32 id, const char *name)
{
	metric_u64(&w->m, M_BANS_TOTAL, LABELS(name), w->f->facts.hits[id].bans);
}

static void write_banned_packets(struct metrics_write *w, __u32 id, const char *name)
{
	metric_u64(&w->m, M_BANNED_PACKETS, LABELS(name), w->f->facts.hits[id].banned);
}

void metrics_services(struct metrics_write *w)
{
	static const write_one writers[] = {
		write_info,
		write_syns,
		write_cookies_sent,
		write_cookies_valid,
		write_cookies_invalid,
		write_handshakes,
		write_connections,
		write_armed,
		write_transitions,
		write_armed_seconds,
		write_attack_start,
		write_attack_syns,
		write_attack_half,
		write_limit_hits,
		write_bans,
		write_bans_total,
		write_banned_packets,
	};

	for (size_t i = 0; i < ARRAY_SIZE(writers); i++)
		each_service(w, writers[i]);
}
