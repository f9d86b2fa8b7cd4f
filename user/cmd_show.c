/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status, stats: what the guard is and what it counted. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "config_status.h"
#include "facts.h"
#include "json.h"
#include "util.h"

struct totals {
	__u64 dropped;
	__u64 answered;
	__u64 would_drop;
	__u64 would_answer;
	__u64 events_lost;
};

struct status {
	struct facts f;
	__u32 service_count;
	__u32 attacked;
	struct totals total;
	struct lists_sum lists;
	__u32 live_set;
};

static void sum_up(const struct facts *f, struct totals *t)
{
	for (__u32 hook = 0; hook < SW_HOOK_MAX; hook++)
		t->events_lost += f->rx[hook].events_lost;
	for (__u32 id = 0; id < SW_MAX_SERVICES; id++) {
		for (__u32 r = 1; r < SW_REASON_MAX; r++) {
			const struct sw_count *c = &f->count[id][r];
			bool drop = !strcmp(text_verdict(r), "drop");
			bool tx = !strcmp(text_verdict(r), "tx");

			t->dropped += drop ? count_enforced(c) : 0;
			t->would_drop += drop ? c->would_packets : 0;
			t->answered += tx ? count_enforced(c) : 0;
			t->would_answer += tx ? c->would_packets : 0;
		}
	}
}

static int status_read(const struct guard *g, struct status *st)
{
	int err = facts_read(g, &st->f);

	if (!err)
		err = lists_sum(g, st->f.settings.gen, &st->lists);
	if (!err)
		err = mapio_live_count(g, st->f.settings.live_gen & 1, &st->live_set);
	if (err)
		return err;
	sum_up(&st->f, &st->total);
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++)
		if (facts_is_service(&st->f, id)) {
			st->service_count++;
			st->attacked += facts_armed(&st->f, id);
		}
	return 0;
}

static const char *dev_mode(const struct dev_state *d)
{
	return d->dev.native ? "native" : "generic";
}

static const char *dev_egress(const struct dev_state *d)
{
	return d->dev.tcx ? "tcx" : "clsact";
}

static const char *dev_hook(const struct guard *g, const struct dev_state *d)
{
	return g->engine == SW_ENGINE_REQSK ? dev_egress(d) : "none";
}

static __u64 live_bits(const struct guard *g)
{
	return (__u64)g->boot.live_words * 64;
}

static const char *dev_trouble(const struct dev_state *d)
{
	__u8 mac[6];

	if (!d->alive)
		return "gone";
	if (d->elsewhere)
		return "in another network namespace";
	if (!netdev_mac(d->dev.name, mac) && memcmp(mac, d->dev.mac, sizeof(mac)))
		return "its MAC address changed, frames pass: 'synwarden attach' it again";
	return NULL;
}

static void mac_text(const __u8 mac[6], char buf[18])
{
	snprintf(buf, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
}

static void tables_json(const struct guard *g, const struct status *st, struct json *j)
{
	json_array(j, "tables");
	for (__u32 i = 0; i < SW_TABLE_MAX; i++) {
		__u64 slots = (__u64)g->boot.buckets[i] * SW_WAYS;

		json_object(j, NULL);
		json_str(j, "table", text_table_name((enum sw_table)i));
		json_u64(j, "used", st->f.table[i].used);
		json_u64(j, "max", g->boot.max[i]);
		json_u64(j, "slots", slots);
		json_u64(j, "bytes", slots * sizeof(struct sw_conn));
		json_u64(j, "full", st->f.table[i].full);
		json_close(j);
	}
	json_close(j);
}

static void status_json(const struct guard *g, const struct status *st)
{
	struct json j;
	char mac[18];

	json_begin(&j, stdout);
	json_object(&j, NULL);
	json_str(&j, "version", SW_VERSION);
	json_u64(&j, "abi", st->f.settings.abi_version);
	json_bool(&j, "armed", st->f.settings.armed == SW_ARMED);
	json_str(&j, "engine", text_engine_name(g->engine));
	json_str(&j, "pin", g->dir);
	json_array(&j, "devices");
	for (__u32 i = 0; i < st->f.devs; i++) {
		const struct dev_state *d = &st->f.dev[i];

		json_object(&j, NULL);
		json_str(&j, "device", d->dev.name);
		json_u64(&j, "ifindex", d->ifindex);
		json_str(&j, "mode", dev_mode(d));
		json_str(&j, "hook", dev_hook(g, d));
		mac_text(d->dev.mac, mac);
		json_str(&j, "mac", mac);
		json_bool(&j, "alive", d->alive && !d->elsewhere);
		json_close(&j);
	}
	json_close(&j);
	json_u64(&j, "services", st->service_count);
	json_u64(&j, "services_under_attack", st->attacked);
	json_array(&j, "received");
	for (__u32 hook = 0; hook < SW_HOOK_MAX; hook++) {
		json_object(&j, NULL);
		json_str(&j, "hook", text_hook_name(hook));
		json_u64(&j, "packets", st->f.rx[hook].packets);
		json_u64(&j, "bytes", st->f.rx[hook].bytes);
		json_close(&j);
	}
	json_close(&j);
	json_u64(&j, "dropped", st->total.dropped);
	json_u64(&j, "answered", st->total.answered);
	json_u64(&j, "would_drop", st->total.would_drop);
	json_u64(&j, "would_answer", st->total.would_answer);
	json_u64(&j, "events_lost", st->total.events_lost);
	tables_json(g, st, &j);
	lists_sum_json(&st->lists, &st->f.services, &j);
	config_status_json(g, &j);
	json_object(&j, "live_filter");
	json_u64(&j, "bits", live_bits(g));
	json_u64(&j, "set", st->live_set);
	json_close(&j);
	json_object(&j, "key");
	json_u64(&j, "epoch", st->f.epoch);
	json_u64(&j, "since_epoch", st->f.sched.since_epoch);
	json_u64(&j, "age_s", st->f.key_age_s);
	json_close(&j);
	if (st->f.syncookies < 0)
		json_null(&j, "syncookies");
	else
		json_u64(&j, "syncookies", (__u64)st->f.syncookies);
	json_end(&j);
}

static void status_devices(const struct guard *g, const struct status *st)
{
	char mac[18];

	for (__u32 i = 0; i < st->f.devs; i++) {
		const struct dev_state *d = &st->f.dev[i];

		mac_text(d->dev.mac, mac);
		printf("\ndevice %s\n", d->dev.name);
		if (dev_trouble(d))
			printf("  %-13s%s\n", "trouble:", dev_trouble(d));
		printf("  %-13s%s\n", "xdp:", dev_mode(d));
		printf("  %-13s%s\n", "tc ingress:", dev_hook(g, d));
		printf("  %-13s%s\n", "tc egress:", dev_egress(d));
		printf("  %-13s%s\n", "mac:", mac);
	}
	if (!st->f.devs)
		printf("\nno device attached\n");
}

static const char *armed_text(enum sw_armed armed)
{
	switch (armed) {
	case SW_ARMED:
		return "yes";
	case SW_DRAINING:
		return "draining, SYNs pass";
	default:
		return "no, everything passes";
	}
}

static void tables_print(const struct guard *g, const struct status *st)
{
	static const char *const labels[] = {
		[SW_TABLE_CONNS] = "connections:",
		[SW_TABLE_HALF] = "half-open:",
	};
	char n[TEXT_COUNT];

	for (__u32 i = 0; i < SW_TABLE_MAX; i++) {
		printf("  %-13s%s of ", labels[i], text_count(st->f.table[i].used, n));
		printf("%s", text_count(g->boot.max[i], n));
		if (st->f.table[i].full)
			printf(", %s found no room", text_count(st->f.table[i].full, n));
		printf("\n");
	}
}

static void status_print(const struct guard *g, const struct status *st)
{
	const struct totals *t = &st->total;
	char n[TEXT_COUNT];

	printf("guard %s\n", g->dir);
	printf("  %-13s%s\n", "armed:", armed_text(st->f.settings.armed));
	printf("  %-13s%s\n", "engine:", text_engine_name(g->engine));
	printf("  %-13s%u", "services:", st->service_count);
	if (st->attacked)
		printf(", %u under attack", st->attacked);
	printf("\n");
	printf("  %-13s%s\n", "received:", text_count(st->f.rx[SW_HOOK_XDP].packets, n));
	printf("  %-13s%s\n", "answered:", text_count(t->answered, n));
	printf("  %-13s%s\n", "dropped:", text_count(t->dropped, n));
	if (t->would_answer || t->would_drop) {
		printf("  %-13s%s answered", "would have:", text_count(t->would_answer, n));
		printf(", %s dropped (mode monitor)\n", text_count(t->would_drop, n));
	}
	if (t->events_lost)
		printf("  %-13s%s\n", "events lost:", text_count(t->events_lost, n));
	tables_print(g, st);
	lists_sum_print(&st->lists, &st->f.services);
	config_status_print(g);
	printf("  %-13s%s of ", "live filter:", text_count(st->live_set, n));
	printf("%s bits\n", text_count(live_bits(g), n));
	printf("  %-13s%llu s old\n", "cookie key:", (unsigned long long)st->f.key_age_s);
	printf("  %-13snet.ipv4.tcp_syncookies = %ld\n", "host:", st->f.syncookies);
	printf("  %-13s%s, abi %u\n", "version:", SW_VERSION, st->f.settings.abi_version);
	status_devices(g, st);
}

int cmd_status(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autofree struct status *st = calloc(1, sizeof(*st));
	int err = no_arguments("status", argc, argv);

	if (err)
		return err;
	if (!st || guard_open(&g, o->pin) || status_read(&g, st))
		return EXIT_FAILURE;
	if (o->json)
		status_json(&g, st);
	else
		status_print(&g, st);
	return 0;
}

static void stats_json_row(struct json *j, const char *name, enum sw_reason r,
			   const struct sw_count *c)
{
	json_object(j, NULL);
	if (name)
		json_str(j, "service", name);
	else
		json_null(j, "service");
	json_str(j, "reason", text_reason(r));
	json_str(j, "verdict", text_verdict(r));
	json_u64(j, "packets", c->packets);
	json_u64(j, "bytes", c->bytes);
	json_u64(j, "would_packets", c->would_packets);
	json_close(j);
}

static void stats_print_row(const char *name, enum sw_reason r, const struct sw_count *c)
{
	char packets[TEXT_COUNT], bytes[TEXT_COUNT], would[TEXT_COUNT];

	printf("%-26s %-19s %-4s %15s %19s %15s\n", name ? name : "-", text_reason(r),
	       text_verdict(r), text_count(c->packets, packets), text_count(c->bytes, bytes),
	       text_count(c->would_packets, would));
}

static void stats_rows(const char *name, const struct sw_count *row, struct json *j)
{
	for (__u32 r = 1; r < SW_REASON_MAX; r++) {
		if (!row[r].packets)
			continue;
		if (j)
			stats_json_row(j, name, r, &row[r]);
		else
			stats_print_row(name, r, &row[r]);
	}
}

/* The counts of deleted services stay, as one, so that nothing received goes missing. */
static int stats_walk(const struct guard *g, const struct services *set, struct json *j)
{
	struct sw_count row[SW_REASON_MAX], deleted[SW_REASON_MAX] = { 0 };
	char buf[TEXT_SERVICE];

	for (__u32 id = 0; id < SW_MAX_SERVICES; id++) {
		int err = mapio_stats(g, id, row);

		if (err)
			return err;
		if (!id)
			stats_rows(NULL, row, j);
		else if (set->slot[id].port_first)
			stats_rows(text_service_name(&set->slot[id], buf), row, j);
		for (__u32 r = 1; id && !set->slot[id].port_first && r < SW_REASON_MAX; r++) {
			deleted[r].packets += row[r].packets;
			deleted[r].bytes += row[r].bytes;
			deleted[r].would_packets += row[r].would_packets;
		}
	}
	stats_rows("deleted", deleted, j);
	return 0;
}

int cmd_stats(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	struct services set;
	struct json j;
	int err = no_arguments("stats", argc, argv);

	if (err)
		return err;
	if (guard_open(&g, o->pin) || mapio_services(&g, &set))
		return EXIT_FAILURE;
	if (o->json) {
		json_begin(&j, stdout);
		json_array(&j, NULL);
	} else {
		printf("%-26s %-19s %-4s %15s %19s %15s\n", "SERVICE", "REASON", "", "PACKETS",
		       "BYTES", "WOULD");
	}
	err = stats_walk(&g, &set, o->json ? &j : NULL);
	if (o->json)
		json_end(&j);
	return exit_code(err);
}
