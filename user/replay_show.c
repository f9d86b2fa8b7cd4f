/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See replay_show.h. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "arming.h"
#include "json.h"
#include "replay_show.h"
#include "util.h"

static const char *const skips[] = {
	[SKIP_REPLACED] = "replaced",
	[SKIP_CUT] = "cut",
	[SKIP_ODD] = "odd",
};

static const char *service_name(const struct replay_guard *rg, __u32 id, char buf[TEXT_SERVICE])
{
	if (!id || id >= SW_MAX_SERVICES || !rg->services.slot[id].port_first)
		return NULL;
	return text_service_name(&rg->services.slot[id], buf);
}

/* What becomes of it: in mode monitor all of them pass. */
static const char *verdict_of(const struct replay_row *row)
{
	if (row->skip)
		return "none";
	if (row->tc == SW_TC_EARLY)
		return "drop";
	if (!row->result.reason || row->result.would)
		return "pass";
	return text_verdict(row->result.reason);
}

static const char *src_of(const struct replay_seg *s, char buf[TEXT_ADDR + 8])
{
	if (!s->is_ip)
		return NULL;
	return s->is_tcp ? text_endpoint(s->src, s->sport, buf) : text_addr(s->src, buf);
}

static const char *dst_of(const struct replay_seg *s, char buf[TEXT_ADDR + 8])
{
	if (!s->is_ip)
		return NULL;
	return s->is_tcp ? text_endpoint(s->dst, s->dport, buf) : text_addr(s->dst, buf);
}

static void str_or_null(struct json *j, const char *key, const char *value)
{
	if (value)
		json_str(j, key, value);
	else
		json_null(j, key);
}

static void show_json(const struct replay_guard *rg, const struct replay_row *row)
{
	char src[TEXT_ADDR + 8], dst[TEXT_ADDR + 8], flags[TEXT_FLAGS], name[TEXT_SERVICE];
	const struct replay_result *r = &row->result;
	struct json j;

	json_begin(&j, stdout);
	json_object(&j, NULL);
	json_u64(&j, "n", row->n);
	json_time(&j, "time", row->ns);
	str_or_null(&j, "src", src_of(&row->seg, src));
	str_or_null(&j, "dst", dst_of(&row->seg, dst));
	str_or_null(&j, "flags", row->seg.is_tcp ? text_tcp_flags(row->seg.flags, flags) : NULL);
	json_u64(&j, "len", row->len);
	json_str(&j, "verdict", verdict_of(row));
	str_or_null(&j, "reason",
		    row->skip ? skips[row->skip] :
		    r->reason ? text_reason(r->reason) :
				NULL);
	str_or_null(&j, "service", service_name(rg, r->service, name));
	json_bool(&j, "would", r->would);
	json_str(&j, "hook", text_hook_name(row->hook));
	if (row->tc)
		json_str(&j, "handed_over", text_reason(row->tc));
	if (row->cut)
		json_bool(&j, "cut", true);
	json_end(&j);
}

static const char *clock_text(__u64 ns, char buf[32])
{
	time_t s = (time_t)(ns / 1000000000);
	struct tm tm;
	size_t len;

	localtime_r(&s, &tm);
	len = strftime(buf, 16, "%T", &tm);
	snprintf(buf + len, 32 - len, ".%06u", (unsigned int)(ns / 1000 % 1000000));
	return buf;
}

static void show_text(const struct replay_row *row)
{
	char src[TEXT_ADDR + 8], dst[TEXT_ADDR + 8], flags[TEXT_FLAGS], when[32];
	const struct replay_result *r = &row->result;
	const char *from = src_of(&row->seg, src), *to = dst_of(&row->seg, dst);

	printf("%s %s > %s %s %u  %s %s", clock_text(row->ns, when), from ? from : "-",
	       to ? to : "-", row->seg.is_tcp ? text_tcp_flags(row->seg.flags, flags) : "-",
	       row->len, verdict_of(row),
	       row->skip ? skips[row->skip] :
	       r->reason ? text_reason(r->reason) :
			   "-");
	if (row->tc)
		printf(" %s", text_reason(row->tc));
	if (r->would)
		printf(" (would %s)", strcmp(text_verdict(r->reason), "tx") ? "drop" : "answer");
	printf("%s\n", row->cut ? " (payload not captured)" : "");
}

void replay_show(const struct replay_guard *rg, const struct replay_row *row, bool as_json)
{
	if (as_json)
		show_json(rg, row);
	else
		show_text(row);
}

/* --- the sum ------------------------------------------------------------------------------ */

void replay_add(struct replay_sum *sum, const struct replay_row *row)
{
	const struct replay_result *r = &row->result;
	__u32 id = r->service % SW_MAX_SERVICES;

	sum->packets++;
	sum->bytes += row->len;
	sum->cut += row->cut;
	if (row->skip) {
		sum->skipped[row->skip]++;
		return;
	}
	sum->unseen += !r->reason;
	if (r->reason && r->reason < SW_REASON_MAX) {
		sum->count[id][r->reason].packets++;
		sum->count[id][r->reason].would += r->would;
	}
	if (row->tc && row->tc < SW_REASON_MAX)
		sum->count[id][row->tc].packets++;
}

struct verdicts {
	__u64 pass, tx, drop, would_tx, would_drop;
};

static bool is_of_tc_in(enum sw_reason reason)
{
	return !strncmp(text_reason(reason), "tc_", 3);
}

/* Each packet once: a hand-over is of one that passed, unless it was dropped there. */
static struct verdicts verdicts_of(const struct replay_sum *sum)
{
	struct verdicts v = { .pass = sum->unseen };

	for (__u32 id = 0; id < SW_MAX_SERVICES; id++)
		for (__u32 r = 1; r < SW_REASON_MAX; r++) {
			__u64 would = sum->count[id][r].would;
			__u64 done = sum->count[id][r].packets - would;
			const char *verdict = text_verdict(r);

			if (is_of_tc_in(r)) {
				v.drop += r == SW_TC_EARLY ? done : 0;
				v.pass -= r == SW_TC_EARLY ? done : 0;
			} else if (!strcmp(verdict, "drop")) {
				v.drop += done;
				v.would_drop += would;
				v.pass += would;
			} else if (!strcmp(verdict, "tx")) {
				v.tx += done;
				v.would_tx += would;
				v.pass += would;
			} else {
				v.pass += done;
			}
		}
	return v;
}

static void arming_json(const struct replay_guard *rg, const struct replay_sum *sum, struct json *j)
{
	char name[TEXT_SERVICE];

	json_array(j, "arming");
	for (__u64 i = 0; i < sum->armings && i < REPLAY_ARMINGS; i++) {
		const struct replay_arming *a = &sum->arming[i];

		json_object(j, NULL);
		json_time(j, "time", a->ns);
		str_or_null(j, "service", service_name(rg, a->service, name));
		json_bool(j, "armed", a->armed);
		str_or_null(j, "cause", a->armed ? arming_cause(a->cause) : NULL);
		json_u64(j, "syns_per_s", a->syns_pps);
		json_close(j);
	}
	json_close(j);
}

static void reasons_json(const struct replay_guard *rg, const struct replay_sum *sum,
			 struct json *j)
{
	char name[TEXT_SERVICE];

	json_array(j, "reasons");
	for (__u32 id = 0; id < SW_MAX_SERVICES; id++)
		for (__u32 r = 1; r < SW_REASON_MAX; r++) {
			if (!sum->count[id][r].packets)
				continue;
			json_object(j, NULL);
			str_or_null(j, "service", service_name(rg, id, name));
			json_str(j, "reason", text_reason(r));
			json_str(j, "verdict", text_verdict(r));
			json_u64(j, "packets", sum->count[id][r].packets);
			json_u64(j, "would", sum->count[id][r].would);
			json_close(j);
		}
	json_close(j);
}

static void sum_json(const struct replay_guard *rg, const struct replay_sum *sum, const char *why)
{
	struct verdicts v = verdicts_of(sum);
	struct json j;

	json_begin(&j, stdout);
	json_object(&j, NULL);
	json_object(&j, "summary");
	json_u64(&j, "packets", sum->packets);
	json_u64(&j, "bytes", sum->bytes);
	json_time(&j, "seconds", sum->took_ns);
	json_str(&j, "engine", text_engine_name(rg->g.engine));
	json_u64(&j, "to_service", sum->to_service);
	json_u64(&j, "from_service", sum->from_service);
	json_u64(&j, "no_service", sum->no_service);
	json_u64(&j, "pass", v.pass);
	json_u64(&j, "tx", v.tx);
	json_u64(&j, "drop", v.drop);
	json_u64(&j, "would_tx", v.would_tx);
	json_u64(&j, "would_drop", v.would_drop);
	json_u64(&j, "replaced", sum->skipped[SKIP_REPLACED]);
	json_u64(&j, "not_judged", sum->skipped[SKIP_CUT] + sum->skipped[SKIP_ODD]);
	json_u64(&j, "payload_not_captured", sum->cut);
	json_u64(&j, "connections_made", sum->made);
	json_u64(&j, "connections_older", sum->old);
	json_u64(&j, "acks_without_handshake", sum->strange);
	json_u64(&j, "acks_of_lost", sum->holes);
	json_u64(&j, "after_refusal", sum->moot);
	json_u64(&j, "flows_forgotten", sum->forgotten);
	json_u64(&j, "ports_not_opened", rg->unopened);
	json_u64(&j, "table_full", sum->full);
	arming_json(rg, sum, &j);
	reasons_json(rg, sum, &j);
	str_or_null(&j, "error", *why ? why : NULL);
	json_end(&j);
}

static void print_reasons(const struct replay_guard *rg, const struct replay_sum *sum)
{
	char name[TEXT_SERVICE], count[TEXT_COUNT], would[TEXT_COUNT];

	printf("%-26s %-22s %-7s %14s %14s\n", "SERVICE", "REASON", "VERDICT", "PACKETS", "WOULD");
	for (__u32 id = 0; id < SW_MAX_SERVICES; id++)
		for (__u32 r = 1; r < SW_REASON_MAX; r++) {
			const char *service = service_name(rg, id, name);

			if (sum->count[id][r].packets)
				printf("%-26s %-22s %-7s %14s %14s\n", service ? service : "-",
				       text_reason(r), text_verdict(r),
				       text_count(sum->count[id][r].packets, count),
				       text_count(sum->count[id][r].would, would));
		}
}

static void print_arming(const struct replay_guard *rg, const struct replay_sum *sum)
{
	char name[TEXT_SERVICE], when[32], count[TEXT_COUNT];

	for (__u64 i = 0; i < sum->armings && i < REPLAY_ARMINGS; i++) {
		const struct replay_arming *a = &sum->arming[i];
		const char *service = service_name(rg, a->service, name);

		printf("%s  %s %s%s%s, %s SYN/s%s\n", clock_text(a->ns, when),
		       service ? service : "?", a->armed ? "armed" : "disarmed",
		       a->armed ? ": " : "", a->armed ? arming_cause(a->cause) : "",
		       text_count(a->syns_pps, count), a->armed ? "" : " at the most");
	}
	if (sum->armings > REPLAY_ARMINGS)
		printf("and %llu times more\n",
		       (unsigned long long)(sum->armings - REPLAY_ARMINGS));
}

static void print_if(__u64 n, const char *what)
{
	char count[TEXT_COUNT];

	if (n)
		printf("%14s %s\n", text_count(n, count), what);
}

static void sum_text(const struct replay_guard *rg, const struct replay_sum *sum)
{
	struct verdicts v = verdicts_of(sum);
	char count[TEXT_COUNT];

	printf("\n%s packets in %.3f s, engine %s\n", text_count(sum->packets, count),
	       (double)sum->took_ns / 1e9, text_engine_name(rg->g.engine));
	print_reasons(rg, sum);
	print_arming(rg, sum);
	print_if(v.pass, "passed");
	print_if(v.tx, "answered with a cookie");
	print_if(v.drop, "dropped");
	print_if(v.would_tx, "of those passed would be answered in mode always");
	print_if(v.would_drop, "of those passed would be dropped in mode always");
	print_if(sum->no_service, "are of no guarded service");
	print_if(sum->made, "connections made");
	print_if(sum->old, "connections were there before the capture, taken as found at attach");
	print_if(sum->skipped[SKIP_REPLACED],
		 "of the server not run (replaced): behind the guard it would not have sent them");
	print_if(sum->skipped[SKIP_CUT] + sum->skipped[SKIP_ODD],
		 "not judged: cut within their headers, or too short or long to be one");
	print_if(sum->cut, "judged without their payload, taken to have the right checksum");
	print_if(sum->strange, "segments of connections that the capture does not show beginning; "
			       "cookies of another key look so, too");
	print_if(sum->holes, "acknowledge what is not in the capture, which lost it");
	print_if(sum->moot, "segments of connections that the guard refused, which a client would "
			    "not have sent");
	print_if(sum->forgotten, "tuples forgotten, as there were too many at once");
	print_if(rg->unopened, "ports left closed, as there are too many");
	print_if(sum->full, "times a connection table was full");
}

void replay_show_sum(const struct replay_guard *rg, const struct replay_sum *sum, const char *why,
		     bool as_json)
{
	if (as_json)
		sum_json(rg, sum, why);
	else
		sum_text(rg, sum);
}
