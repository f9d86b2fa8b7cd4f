/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attacks: when services were armed, why, how high and how long; the latest first. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "arming.h"
#include "cmd.h"
#include "json.h"
#include "util.h"

struct history {
	struct services services;
	struct sw_arming arming[SW_MAX_SERVICES];
	struct sw_gauge gauge[SW_MAX_SERVICES];
	struct sw_attack attack[SW_ATTACKS];
	__u64 now_ns;
};

static const char *service_name(const struct history *h, const struct sw_attack *t,
				char buf[TEXT_SERVICE])
{
	if (t->service >= SW_MAX_SERVICES || !h->services.slot[t->service].port_first)
		return "deleted";
	return text_service_name(&h->services.slot[t->service], buf);
}

/* 0: it goes on. */
static __u64 end_of(const struct history *h, const struct sw_attack *t)
{
	__u32 id = t->service % SW_MAX_SERVICES;

	return arming_attack_end(t, &h->arming[id], &h->services.slot[id], &h->gauge[id],
				 h->now_ns);
}

static void print_json(const struct history *h, const struct sw_attack *t, struct json *j)
{
	char name[TEXT_SERVICE];
	__u64 end = end_of(h, t);

	json_object(j, NULL);
	json_str(j, "service", service_name(h, t, name));
	json_time(j, "start", wall_ns(t->start_ns));
	if (end)
		json_time(j, "end", wall_ns(end));
	json_u64(j, "seconds", ((end ? end : h->now_ns) - t->start_ns) / 1000000000);
	json_str(j, "cause", arming_cause(t->cause));
	json_u64(j, "syns", t->syns);
	json_u64(j, "peak_syns_per_s", t->peak_pps);
	json_u64(j, "peak_half_open", t->peak_half_open);
	json_u64(j, "peak_unfinished_percent", t->peak_unfinished);
	json_close(j);
}

static void print_text(const struct history *h, const struct sw_attack *t)
{
	char name[TEXT_SERVICE], when[32], length[TEXT_AGE], pps[TEXT_COUNT], half[TEXT_COUNT];
	__u64 end = end_of(h, t);
	time_t start = (time_t)(wall_ns(t->start_ns) / 1000000000);
	struct tm tm;

	localtime_r(&start, &tm);
	strftime(when, sizeof(when), "%F %T", &tm);
	text_age((__u32)(((end ? end : h->now_ns) - t->start_ns) / 1000000000), length);
	printf("%-19s %7s%s %-26s %-10s %13s %10s %9u%%\n", when, length, end ? " " : "+",
	       service_name(h, t, name), arming_cause(t->cause), text_count(t->peak_pps, pps),
	       text_count(t->peak_half_open, half), t->peak_unfinished);
}

int cmd_attacks(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autofree struct history *h = calloc(1, sizeof(*h));
	struct json j;
	int err = no_arguments("attacks", argc, argv);

	if (err)
		return err;
	if (!h || guard_open(&g, o->pin) || mapio_services(&g, &h->services) ||
	    mapio_arming(&g, h->arming) || mapio_gauges(&g, h->gauge) ||
	    mapio_attacks(&g, h->attack))
		return EXIT_FAILURE;
	h->now_ns = clock_ns(CLOCK_MONOTONIC);
	if (o->json) {
		json_begin(&j, stdout);
		json_array(&j, NULL);
	} else {
		printf("%-19s %8s %-26s %-10s %13s %10s %10s\n", "START", "LENGTH ", "SERVICE",
		       "CAUSE", "PEAK-SYNS/S", "HALF-OPEN", "UNFINISHED");
	}
	for (__u32 i = 1; i <= SW_ATTACKS; i++) {
		const struct sw_attack *t = &h->attack[(h->arming[0].attacks - i) % SW_ATTACKS];

		if (!t->start_ns)
			continue;
		if (o->json)
			print_json(h, t, &j);
		else
			print_text(h, t);
	}
	if (o->json)
		json_end(&j);
	return 0;
}
