/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events and what the daemon makes of them, as lines of JSON and of text; see events.h. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "arming.h"
#include "events.h"
#include "json.h"
#include "util.h"

const char *const lost_stage_names[LOST_STAGES] = {
	[LOST_RING] = "ring",
	[LOST_RATE_LIMIT] = "rate_limit",
	[LOST_SUBSCRIBER] = "subscriber",
};

const char *event_service(struct event_names *n, __u32 id, char buf[TEXT_SERVICE])
{
	__u64 now = clock_ns(CLOCK_MONOTONIC);

	if (!id || id >= SW_MAX_SERVICES)
		return NULL;
	if (now - n->read_ns > 1000000000) {
		n->read_ns = now;
		if (mapio_services(n->g, &n->services))
			return NULL;
	}
	if (!n->services.slot[id].port_first)
		return "deleted";
	return text_service_name(&n->services.slot[id], buf);
}

const char *event_kind_name(__u8 kind)
{
	static const char *const names[SW_EVENT_KINDS] = {
		[SW_EVENT_PACKET] = "packet",         [SW_EVENT_STATE] = "state",
		[SW_EVENT_TABLE_FULL] = "table_full", [SW_EVENT_ARMED] = "armed",
		[SW_EVENT_DISARMED] = "disarmed",
	};

	return kind < ARRAY_SIZE(names) ? names[kind] : "?";
}

const char *record_kind_name(const struct record *r)
{
	switch (r->kind) {
	case RECORD_ATTACK:
		return "attack";
	case RECORD_LOST:
		return "lost";
	default:
		return event_kind_name(r->event.kind);
	}
}

bool event_is_arming(const struct sw_event *e)
{
	return e->kind == SW_EVENT_ARMED || e->kind == SW_EVENT_DISARMED;
}

static const char *device_name(__u32 ifindex, char buf[IF_NAMESIZE])
{
	if (!if_indextoname(ifindex, buf))
		snprintf(buf, IF_NAMESIZE, "%u", ifindex);
	return buf;
}

bool record_of_event(struct record *r, const void *data, size_t size)
{
	*r = (struct record){ .kind = RECORD_EVENT };
	if (size < sizeof(r->event))
		return false;
	memcpy(&r->event, data, sizeof(r->event));
	r->time_ns = r->event.time_ns;
	return r->event.kind < SW_EVENT_KINDS;
}

/* The programs put the client first, whichever way the packet goes. */
static const char *event_src(const struct sw_event *e, char buf[TEXT_ADDR + 8])
{
	if (e->hook == SW_HOOK_TC_OUT)
		return text_endpoint(e->daddr, e->dport, buf);
	return text_endpoint(e->saddr, e->sport, buf);
}

static const char *event_dst(const struct sw_event *e, char buf[TEXT_ADDR + 8])
{
	if (e->hook == SW_HOOK_TC_OUT)
		return text_endpoint(e->saddr, e->sport, buf);
	return text_endpoint(e->daddr, e->dport, buf);
}

/* --- JSON --------------------------------------------------------------------------------- */

static void service_json(struct json *j, struct event_names *n, __u32 id)
{
	char name[TEXT_SERVICE];
	const char *service = event_service(n, id, name);

	if (service)
		json_str(j, "service", service);
	else
		json_null(j, "service");
}

static void packet_json(struct json *j, const struct sw_event *e)
{
	char src[TEXT_ADDR + 8], dst[TEXT_ADDR + 8], flags[TEXT_FLAGS], device[IF_NAMESIZE];

	json_str(j, "src", event_src(e, src));
	json_str(j, "dst", event_dst(e, dst));
	json_str(j, "flags", text_tcp_flags(e->tcp_flags, flags));
	json_str(j, "device", device_name(e->ifindex, device));
	json_str(j, "hook", text_hook_name(e->hook));
	json_u64(j, "seq", e->seq);
	json_u64(j, "ack", e->ack);
	json_bool(j, "would", e->would);
	json_u64(j, "packets", e->packets);
}

static void event_json(struct json *j, struct event_names *n, const struct sw_event *e)
{
	if (e->reason)
		json_str(j, "reason", text_reason(e->reason));
	else
		json_null(j, "reason");
	service_json(j, n, e->service);
	if (event_is_arming(e))
		json_u64(j, "syns_per_s", e->packets);
	else
		packet_json(j, e);
	if (e->kind == SW_EVENT_ARMED)
		json_str(j, "cause", arming_cause(e->table));
	else if (e->kind == SW_EVENT_STATE) {
		json_str(j, "from", text_state_name(e->state_from));
		json_str(j, "to", text_state_name(e->state_to));
	} else if (e->kind == SW_EVENT_TABLE_FULL) {
		json_str(j, "table", text_table_name(e->table));
	}
}

static void attack_json(struct json *j, struct event_names *n, const struct attack_summary *s)
{
	char prefix[TEXT_PREFIX];

	service_json(j, n, s->attack.service);
	json_str(j, "cause", arming_cause(s->attack.cause));
	json_time(j, "start", wall_ns(s->attack.start_ns));
	json_u64(j, "duration_s", (s->attack.end_ns - s->attack.start_ns) / 1000000000);
	json_u64(j, "peak_syns_per_s", s->attack.peak_pps);
	json_u64(j, "peak_half_open", s->attack.peak_half_open);
	json_u64(j, "peak_unfinished_percent", s->attack.peak_unfinished);
	json_u64(j, "syns", s->attack.syns);
	json_array(j, "reasons");
	for (__u32 i = 0; i < s->reasons; i++) {
		json_object(j, NULL);
		json_str(j, "reason", text_reason(s->reason[i].reason));
		json_u64(j, "packets", s->reason[i].packets);
		json_close(j);
	}
	json_close(j);
	json_array(j, "sources");
	for (__u32 i = 0; i < s->sources; i++) {
		json_object(j, NULL);
		json_str(j, "prefix",
			 text_prefix_name(s->source[i].addr, s->source[i].prefix_len, prefix));
		json_u64(j, "events", s->source[i].events);
		json_close(j);
	}
	json_close(j);
}

static void record_json(FILE *out, struct event_names *n, const struct record *r)
{
	struct json j;

	json_begin(&j, out);
	json_object(&j, NULL);
	json_u64(&j, "version", EVENTS_VERSION);
	json_time(&j, "time", wall_ns(r->time_ns));
	json_str(&j, "kind", record_kind_name(r));
	if (r->kind == RECORD_EVENT) {
		event_json(&j, n, &r->event);
	} else if (r->kind == RECORD_ATTACK) {
		attack_json(&j, n, &r->attack);
	} else {
		json_str(&j, "stage", lost_stage_names[r->lost.stage]);
		json_u64(&j, "events", r->lost.events);
	}
	json_end(&j);
}

/* --- text --------------------------------------------------------------------------------- */

static void arming_print(FILE *out, const struct sw_event *e, const char *service)
{
	fprintf(out, "%s, %s%s%llu SYN/s%s\n", service,
		e->kind == SW_EVENT_ARMED ? arming_cause(e->table) : "",
		e->kind == SW_EVENT_ARMED ? ", " : "", (unsigned long long)e->packets,
		e->kind == SW_EVENT_ARMED ? "" : " at the most");
}

static void event_print(FILE *out, const struct sw_event *e, const char *service)
{
	char src[TEXT_ADDR + 8], dst[TEXT_ADDR + 8], flags[TEXT_FLAGS], device[IF_NAMESIZE];

	fprintf(out, "%-6s %-19s ", device_name(e->ifindex, device),
		e->kind == SW_EVENT_PACKET ? text_reason(e->reason) : event_kind_name(e->kind));
	if (event_is_arming(e)) {
		arming_print(out, e, service);
		return;
	}
	fprintf(out, "%s > %s %s seq %u ack %u", event_src(e, src), event_dst(e, dst),
		text_tcp_flags(e->tcp_flags, flags), e->seq, e->ack);
	if (e->kind == SW_EVENT_STATE)
		fprintf(out, " %s -> %s", text_state_name(e->state_from),
			text_state_name(e->state_to));
	else if (e->kind == SW_EVENT_TABLE_FULL)
		fprintf(out, " table %s, connections go untracked", text_table_name(e->table));
	if (e->packets > 1)
		fprintf(out, " (%llu packets)", (unsigned long long)e->packets);
	fprintf(out, "%s\n", e->would ? " would" : "");
}

static void attack_print(FILE *out, const struct attack_summary *s, const char *service)
{
	char age[TEXT_AGE], n[TEXT_COUNT], prefix[TEXT_PREFIX];
	__u64 seconds = (s->attack.end_ns - s->attack.start_ns) / 1000000000;

	fprintf(out, "%-6s %-19s %s, %s for %s, ", "-", "attack", service,
		arming_cause(s->attack.cause), text_age((__u32)seconds, age));
	fprintf(out, "at the most %s SYN/s", text_count(s->attack.peak_pps, n));
	for (__u32 i = 0; i < s->reasons; i++)
		fprintf(out, "%s%s %s", i ? ", " : "; ", text_reason(s->reason[i].reason),
			text_count(s->reason[i].packets, n));
	for (__u32 i = 0; i < s->sources; i++)
		fprintf(out, "%s%s", i ? ", " : "; from ",
			text_prefix_name(s->source[i].addr, s->source[i].prefix_len, prefix));
	fputc('\n', out);
}

static void record_print(FILE *out, struct event_names *n, const struct record *r)
{
	__u64 ns = wall_ns(r->time_ns);
	time_t s = (time_t)(ns / 1000000000);
	char name[TEXT_SERVICE], clock[16];
	const char *service = NULL;
	struct tm tm;

	if (r->kind != RECORD_LOST)
		service = event_service(
			n, r->kind == RECORD_EVENT ? r->event.service : r->attack.attack.service,
			name);
	localtime_r(&s, &tm);
	strftime(clock, sizeof(clock), "%T", &tm);
	fprintf(out, "%s.%03u ", clock, (unsigned int)(ns / 1000000 % 1000));
	if (r->kind == RECORD_EVENT)
		event_print(out, &r->event, service ? service : "?");
	else if (r->kind == RECORD_ATTACK)
		attack_print(out, &r->attack, service ? service : "?");
	else
		fprintf(out, "%-6s %-19s %llu events, %s\n", "-", "lost",
			(unsigned long long)r->lost.events, lost_stage_names[r->lost.stage]);
}

void record_write(FILE *out, bool as_json, struct event_names *n, const struct record *r)
{
	if (as_json)
		record_json(out, n, r);
	else
		record_print(out, n, r);
}
