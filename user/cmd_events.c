/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events: reads the ring buffer. Each event goes to one reader: two that run at once share
 * the ring between them.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "arming.h"
#include "cmd.h"
#include "json.h"
#include "util.h"

struct reader {
	const struct guard *g;
	struct services services;
	__u64 services_read_ns;
	bool json;
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

/* Services may change under a reader that follows; once a second is often enough. */
static const char *service_name(struct reader *r, __u32 id, char buf[TEXT_SERVICE])
{
	__u64 now = clock_ns(CLOCK_MONOTONIC);

	if (!id || id >= SW_MAX_SERVICES)
		return NULL;
	if (now - r->services_read_ns > 1000000000) {
		r->services_read_ns = now;
		if (mapio_services(r->g, &r->services))
			return NULL;
	}
	if (!r->services.slot[id].port_first)
		return "deleted";
	return text_service_name(&r->services.slot[id], buf);
}

static const char *kind_name(__u8 kind)
{
	static const char *const names[] = {
		[SW_EVENT_PACKET] = "packet",         [SW_EVENT_STATE] = "state",
		[SW_EVENT_TABLE_FULL] = "table_full", [SW_EVENT_ARMED] = "armed",
		[SW_EVENT_DISARMED] = "disarmed",
	};

	return kind < ARRAY_SIZE(names) ? names[kind] : "?";
}

/* Of a service, not of a packet. */
static bool is_arming(const struct sw_event *e)
{
	return e->kind == SW_EVENT_ARMED || e->kind == SW_EVENT_DISARMED;
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

static void packet_json(struct json *j, const struct sw_event *e, const char *device)
{
	char src[TEXT_ADDR + 8], dst[TEXT_ADDR + 8], flags[TEXT_FLAGS];

	json_str(j, "src", event_src(e, src));
	json_str(j, "dst", event_dst(e, dst));
	json_str(j, "flags", text_tcp_flags(e->tcp_flags, flags));
	json_str(j, "device", device);
	json_str(j, "hook", text_hook_name(e->hook));
	json_u64(j, "seq", e->seq);
	json_u64(j, "ack", e->ack);
	json_bool(j, "would", e->would);
	json_u64(j, "packets", e->packets);
}

static void event_json(struct reader *r, const struct sw_event *e, const char *device)
{
	char name[TEXT_SERVICE];
	const char *service = service_name(r, e->service, name);
	struct json j;

	json_begin(&j, stdout);
	json_object(&j, NULL);
	json_time(&j, "time", wall_ns(e->time_ns));
	json_str(&j, "kind", kind_name(e->kind));
	if (e->reason)
		json_str(&j, "reason", text_reason(e->reason));
	else
		json_null(&j, "reason");
	if (service)
		json_str(&j, "service", service);
	else
		json_null(&j, "service");
	if (is_arming(e))
		json_u64(&j, "syns_per_s", e->packets);
	else
		packet_json(&j, e, device);
	if (e->kind == SW_EVENT_ARMED)
		json_str(&j, "cause", arming_cause(e->table));
	else if (e->kind == SW_EVENT_STATE) {
		json_str(&j, "from", text_state_name(e->state_from));
		json_str(&j, "to", text_state_name(e->state_to));
	} else if (e->kind == SW_EVENT_TABLE_FULL) {
		json_str(&j, "table", text_table_name(e->table));
	}
	json_end(&j);
}

static void event_print(struct reader *r, const struct sw_event *e, const char *device)
{
	char name[TEXT_SERVICE], src[TEXT_ADDR + 8], dst[TEXT_ADDR + 8], flags[TEXT_FLAGS],
		clock[16];
	const char *what = e->kind == SW_EVENT_PACKET ? text_reason(e->reason) : kind_name(e->kind);
	__u64 ns = wall_ns(e->time_ns);
	time_t s = (time_t)(ns / 1000000000);
	struct tm tm;

	localtime_r(&s, &tm);
	strftime(clock, sizeof(clock), "%T", &tm);
	printf("%s.%03u %-6s %-19s ", clock, (unsigned int)(ns / 1000000 % 1000), device, what);
	if (is_arming(e)) {
		const char *service = service_name(r, e->service, name);

		printf("%s, %s%s%llu SYN/s%s\n", service ? service : "?",
		       e->kind == SW_EVENT_ARMED ? arming_cause(e->table) : "",
		       e->kind == SW_EVENT_ARMED ? ", " : "", (unsigned long long)e->packets,
		       e->kind == SW_EVENT_ARMED ? "" : " at the most");
		return;
	}
	printf("%s > %s %s seq %u ack %u", event_src(e, src), event_dst(e, dst),
	       text_tcp_flags(e->tcp_flags, flags), e->seq, e->ack);
	if (e->kind == SW_EVENT_STATE)
		printf(" %s -> %s", text_state_name(e->state_from), text_state_name(e->state_to));
	else if (e->kind == SW_EVENT_TABLE_FULL)
		printf(" table %s, connections go untracked", text_table_name(e->table));
	if (e->packets > 1)
		printf(" (%llu packets)", (unsigned long long)e->packets);
	printf("%s\n", e->would ? " would" : "");
}

static int on_event(void *ctx, void *data, size_t size)
{
	struct reader *r = ctx;
	const struct sw_event *e = data;
	char device[IF_NAMESIZE];

	if (size < sizeof(*e))
		return 0;
	if (!if_indextoname(e->ifindex, device))
		snprintf(device, sizeof(device), "%u", e->ifindex);
	if (r->json)
		event_json(r, e, device);
	else
		event_print(r, e, device);
	/* a closed pipe ends the reading */
	return ferror(stdout) ? -EPIPE : 0;
}

static int follow(struct ring_buffer *ring)
{
	struct sigaction end = { .sa_handler = on_signal };
	int got;

	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	do {
		got = ring_buffer__poll(ring, 200);
		if (got > 0)
			fflush(stdout);
	} while (!stop && (got >= 0 || got == -EINTR));
	return stop || got == -EPIPE ? 0 : log_err(got, "wait for events");
}

int cmd_events(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	struct reader r = { .g = &g, .json = o->json };
	struct ring_buffer *ring;
	int err = no_arguments("events", argc, argv);

	if (err)
		return err;
	if (guard_open(&g, o->pin))
		return EXIT_FAILURE;
	ring = ring_buffer__new(g.map[MAP_EVENTS], on_event, &r, NULL);
	if (!ring) {
		log_err(-errno, "open the event ring");
		return EXIT_FAILURE;
	}
	err = ring_buffer__consume(ring);
	fflush(stdout);
	if (err < 0 && err != -EPIPE)
		log_err(err, "read events");
	else if (o->given & OPT_FOLLOW && err >= 0)
		err = follow(ring);
	ring_buffer__free(ring);
	return exit_code(err);
}
