/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Typed access to map elements, sums over CPUs, whole maps; the lists are mapio_lists.c's. Nobody
 * else calls element operations.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel.h"
#include "util.h"

static const char *const map_label[] = {
	[MAP_SERVICES] = "services",
	[MAP_PORTS] = "ports",
	[MAP_PREFIXES] = "prefixes",
	[MAP_SETTINGS] = "settings",
	[MAP_KEYS] = "keys",
	[MAP_KEYSCHED] = "keysched",
	[MAP_DEVS] = "devs",
	[MAP_STATS] = "stats",
	[MAP_RX] = "rx",
	[MAP_LIVE] = "live",
	[MAP_EVENTS] = "events",
	[MAP_CONNS] = "conns",
	[MAP_HALF] = "half",
	[MAP_GAUGES] = "gauges",
	[MAP_TABLES] = "tables",
	[MAP_ARMING] = "arming",
	[MAP_ATTACKS] = "attacks",
	[MAP_SOURCES] = "sources",
	[MAP_SUSPECT] = "suspect",
	[MAP_LIMIT_HITS] = "limit_hits",
	[MAP_LISTS] = "lists",
	[MAP_LIST_HITS] = "list_hits",
};
_Static_assert(ARRAY_SIZE(map_label) == MAP_ID_MAX, "a label for each map");

static int element_get(const struct guard *g, enum map_id map, const void *key, void *value)
{
	if (bpf_map_lookup_elem(g->map[map], key, value))
		return log_err(-errno, "read map %s", map_label[map]);
	return 0;
}

static int element_set(const struct guard *g, enum map_id map, const void *key, const void *value)
{
	if (bpf_map_update_elem(g->map[map], key, value, BPF_ANY))
		return log_err(-errno, "write map %s", map_label[map]);
	return 0;
}

static int element_del(const struct guard *g, enum map_id map, const void *key)
{
	if (bpf_map_delete_elem(g->map[map], key) && errno != ENOENT)
		return log_err(-errno, "delete from map %s", map_label[map]);
	return 0;
}

/* A whole array map in one call; kernels without batch calls walk it. */
static int array_get(const struct guard *g, enum map_id map, void *values, __u32 count,
		     size_t value_size)
{
	autofree __u32 *keys = calloc(count, sizeof(*keys));
	__u32 read = count, cursor = 0;

	if (!keys)
		return log_err(-ENOMEM, "read map %s", map_label[map]);
	if (!bpf_map_lookup_batch(g->map[map], NULL, &cursor, keys, values, &read, NULL) ||
	    (errno == ENOENT && read == count))
		return 0;
	for (__u32 i = 0; i < count; i++) {
		int err = element_get(g, map, &i, (char *)values + i * value_size);

		if (err)
			return err;
	}
	return 0;
}

int mapio_settings(const struct guard *g, struct sw_settings *s)
{
	__u32 zero = 0;

	return element_get(g, MAP_SETTINGS, &zero, s);
}

int mapio_raw(int fd, void *raw)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(fd, &zero, raw) ? -errno : 0;
}

int mapio_settings_set(const struct guard *g, const struct sw_settings *s)
{
	__u32 zero = 0;

	return element_set(g, MAP_SETTINGS, &zero, s);
}

int mapio_services(const struct guard *g, struct services *set)
{
	autofree struct sw_service *all = calloc(SW_HALVES * SW_MAX_SERVICES, sizeof(*all));
	struct sw_settings s;
	int err = all ? mapio_settings(g, &s) : log_err(-ENOMEM, "read map services");

	if (!err)
		err = array_get(g, MAP_SERVICES, all, SW_HALVES * SW_MAX_SERVICES, sizeof(*all));
	if (err)
		return err;
	memcpy(set->slot, all + (s.gen & SW_GEN_CONFIG) * SW_MAX_SERVICES, sizeof(set->slot));
	memcpy(set->fail_safe, s.fail_safe, sizeof(set->fail_safe));
	return 0;
}

int mapio_service_set(const struct guard *g, __u32 half, __u32 id, const struct sw_service *s)
{
	id += half * SW_MAX_SERVICES;
	return element_set(g, MAP_SERVICES, &id, s);
}

int mapio_port_set(const struct guard *g, __u32 half, __u32 port, const struct sw_port *word)
{
	port += half * SW_PORTS;
	return element_set(g, MAP_PORTS, &port, word);
}

/* Part of an array in one call. */
static int array_set(const struct guard *g, enum map_id map, __u32 first, const void *values,
		     __u32 count)
{
	autofree __u32 *keys = calloc(count, sizeof(*keys));

	if (!keys)
		return log_err(-ENOMEM, "write map %s", map_label[map]);
	for (__u32 i = 0; i < count; i++)
		keys[i] = first + i;
	if (bpf_map_update_batch(g->map[map], keys, values, &count, NULL))
		return log_err(-errno, "write map %s", map_label[map]);
	return 0;
}

/* The keys of one half, in a list of its own: a walk does not go on behind a deleted key. */
static int prefixes_of_half(const struct guard *g, __u32 half, struct prefix_list *list)
{
	struct sw_prefix_key at, *behind = NULL;
	struct prefix_entry e = { 0 };

	while (!bpf_map_get_next_key(g->map[MAP_PREFIXES], behind, &e.key)) {
		if (e.key.half == half && prefix_list_add(list, &e))
			return log_err(-ENOMEM, "walk map prefixes");
		at = e.key;
		behind = &at;
	}
	return errno == ENOENT ? 0 : log_err(-errno, "walk map prefixes");
}

static int prefixes_write(const struct guard *g, __u32 half, const struct prefix_list *next)
{
	struct prefix_list old = { 0 };
	int err = prefixes_of_half(g, half, &old);

	for (__u32 i = 0; i < old.count && !err; i++)
		err = element_del(g, MAP_PREFIXES, &old.entry[i].key);
	for (__u32 i = 0; i < next->count && !err; i++) {
		struct sw_prefix_key key = next->entry[i].key;

		key.half = (__u16)half;
		err = element_set(g, MAP_PREFIXES, &key, &next->entry[i].value);
	}
	free(old.entry);
	return err;
}

/* One half may not take the room of the other, or no change could be written any more. */
static int prefixes_fit(const struct guard *g, const struct prefix_list *next)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), room;

	if (bpf_obj_get_info_by_fd(g->map[MAP_PREFIXES], &info, &len))
		return log_err(-errno, "inspect map prefixes");
	room = info.max_entries / SW_HALVES;
	if (next->count <= room)
		return 0;
	log_refuse(-ENOSPC, "these services need %u entries in map prefixes, which has %u",
		   next->count, room);
	log_hint("a prefix needs one for each part of its ports that other ranges cut out");
	return -ENOSPC;
}

int mapio_config_write(const struct guard *g, __u32 half, const struct services *set,
		       const struct layout *l)
{
	int err = prefixes_fit(g, &l->prefixes);

	if (!err)
		err = array_set(g, MAP_SERVICES, half * SW_MAX_SERVICES, set->slot,
				SW_MAX_SERVICES);
	if (!err)
		err = array_set(g, MAP_PORTS, half * SW_PORTS, l->ports, SW_PORTS);
	if (!err)
		err = prefixes_write(g, half, &l->prefixes);
	return err;
}

int mapio_arming(const struct guard *g, struct sw_arming list[SW_MAX_SERVICES])
{
	return array_get(g, MAP_ARMING, list, SW_MAX_SERVICES, sizeof(list[0]));
}

int mapio_gauges(const struct guard *g, struct sw_gauge list[SW_MAX_SERVICES])
{
	return array_get(g, MAP_GAUGES, list, SW_MAX_SERVICES, sizeof(list[0]));
}

int mapio_tables(const struct guard *g, struct sw_table_use list[SW_TABLE_MAX])
{
	return array_get(g, MAP_TABLES, list, SW_TABLE_MAX, sizeof(list[0]));
}

int mapio_limit_hits(const struct guard *g, struct sw_limit_hits list[SW_MAX_SERVICES])
{
	return array_get(g, MAP_LIMIT_HITS, list, SW_MAX_SERVICES, sizeof(list[0]));
}

int mapio_policy_zero(const struct guard *g, __u32 service)
{
	static const struct sw_limit_hits no_hits;
	static const struct sw_arming calm;
	int err = element_set(g, MAP_LIMIT_HITS, &service, &no_hits);

	return err ? err : element_set(g, MAP_ARMING, &service, &calm);
}

int mapio_attacks(const struct guard *g, struct sw_attack list[SW_ATTACKS])
{
	return array_get(g, MAP_ATTACKS, list, SW_ATTACKS, sizeof(list[0]));
}

int mapio_dev_set(const struct guard *g, __u32 ifindex, const struct sw_dev *dev)
{
	return element_set(g, MAP_DEVS, &ifindex, dev);
}

int mapio_dev_del(const struct guard *g, __u32 ifindex)
{
	return element_del(g, MAP_DEVS, &ifindex);
}

int mapio_devs(const struct guard *g, struct dev_state *list, __u32 *count)
{
	__u32 *at = NULL;
	__u32 n = 0;

	while (n < SW_MAX_DEVS && !bpf_map_get_next_key(g->map[MAP_DEVS], at, &list[n].ifindex)) {
		int err = element_get(g, MAP_DEVS, &list[n].ifindex, &list[n].dev);

		if (err)
			return err;
		list[n].dev.name[sizeof(list[n].dev.name) - 1] = '\0';
		at = &list[n].ifindex;
		n++;
	}
	*count = n;
	return 0;
}

int mapio_key(const struct guard *g, __u32 slot, struct sw_key *key)
{
	return element_get(g, MAP_KEYS, &slot, key);
}

int mapio_key_set(const struct guard *g, __u32 slot, const struct sw_key *key)
{
	return element_set(g, MAP_KEYS, &slot, key);
}

int mapio_keysched(const struct guard *g, struct sw_keysched *sched)
{
	__u32 zero = 0;

	return element_get(g, MAP_KEYSCHED, &zero, sched);
}

int mapio_keysched_set(const struct guard *g, const struct sw_keysched *sched)
{
	__u32 zero = 0;

	return element_set(g, MAP_KEYSCHED, &zero, sched);
}

/* Room for one value of each possible CPU; the caller frees it. */
static void *percpu_alloc(size_t value_size, int *cpus)
{
	*cpus = libbpf_num_possible_cpus();
	return *cpus > 0 ? calloc((size_t)*cpus, value_size) : NULL;
}

int mapio_stats(const struct guard *g, __u32 service, struct sw_count *row)
{
	__u32 keys[SW_REASON_MAX - 1], n = SW_REASON_MAX - 1, before, after;
	int cpus;
	autofree struct sw_count *values = percpu_alloc(sizeof(*values) * n, &cpus);

	if (!values)
		return log_err(-ENOMEM, "read map stats");
	memset(row, 0, SW_REASON_MAX * sizeof(*row));
	/* a call for each reason of each service would be the most of what attach does */
	before = service * SW_REASON_MAX;
	if (bpf_map_lookup_batch(g->map[MAP_STATS], &before, &after, keys, values, &n, NULL) &&
	    errno != ENOENT)
		return log_err(-errno, "read map stats");
	for (__u32 i = 0; i < n; i++) {
		struct sw_count *sum = &row[(keys[i] - before) % SW_REASON_MAX];

		for (int cpu = 0; cpu < cpus; cpu++) {
			const struct sw_count *value = &values[i * (__u32)cpus + (__u32)cpu];

			sum->packets += value->packets;
			sum->bytes += value->bytes;
			sum->would_packets += value->would_packets;
		}
	}
	return 0;
}

int mapio_stats_zero(const struct guard *g, __u32 service)
{
	int cpus;
	autofree struct sw_count *values = percpu_alloc(sizeof(*values), &cpus);
	int err = values ? 0 : log_err(-ENOMEM, "write map stats");

	for (__u32 reason = 0; !err && reason < SW_REASON_MAX; reason++) {
		__u32 key = service * SW_REASON_MAX + reason;

		err = element_set(g, MAP_STATS, &key, values);
	}
	return err;
}

int mapio_rx(const struct guard *g, enum sw_hook hook, struct sw_rx *sum)
{
	int cpus;
	autofree struct sw_rx *values = percpu_alloc(sizeof(*values), &cpus);
	__u32 key = hook;
	int err = values ? element_get(g, MAP_RX, &key, values) : log_err(-ENOMEM, "read map rx");

	if (err)
		return err;
	memset(sum, 0, sizeof(*sum));
	for (int cpu = 0; cpu < cpus; cpu++) {
		sum->packets += values[cpu].packets;
		sum->bytes += values[cpu].bytes;
		sum->events_lost += values[cpu].events_lost;
	}
	return 0;
}

int mapio_rx_zero(const struct guard *g)
{
	int cpus;
	autofree struct sw_rx *values = percpu_alloc(sizeof(*values), &cpus);
	int err = values ? 0 : log_err(-ENOMEM, "write map rx");

	for (__u32 hook = 0; !err && hook < SW_HOOK_MAX; hook++)
		err = element_set(g, MAP_RX, &hook, values);
	return err;
}

int mapio_list_hits(const struct guard *g, __u64 hits[LIST_HITS])
{
	int cpus;
	autofree struct sw_list_hit *values = percpu_alloc(sizeof(*values), &cpus);
	int err = values ? 0 : log_err(-ENOMEM, "read map list_hits");

	for (__u32 i = 0; i < LIST_HITS && !err; i++) {
		err = element_get(g, MAP_LIST_HITS, &i, values);
		hits[i] = 0;
		for (int cpu = 0; cpu < cpus && !err; cpu++)
			hits[i] += values[cpu].packets;
	}
	return err;
}

/* The filter is read and cleared in pieces of this many words, whatever its size. */
#define LIVE_PIECE  SW_LIVE_WORDS
#define LIVE_SAMPLE (4 * LIVE_PIECE) /* words, of 64 bits each: more say no more */

int mapio_live_clear(const struct guard *g, __u32 half)
{
	autofree __u32 *keys = calloc(LIVE_PIECE, sizeof(*keys));
	autofree __u64 *words = calloc(LIVE_PIECE, sizeof(*words));

	if (!keys || !words)
		return log_err(-ENOMEM, "clear map live");
	for (__u32 done = 0; done < g->boot.live_words; done += LIVE_PIECE) {
		__u32 count = LIVE_PIECE;

		for (__u32 i = 0; i < LIVE_PIECE; i++)
			keys[i] = half * g->boot.live_words + done + i;
		if (bpf_map_update_batch(g->map[MAP_LIVE], keys, words, &count, NULL))
			return log_err(-errno, "clear map live");
	}
	return 0;
}

int mapio_live_count(const struct guard *g, __u32 half, __u32 *set)
{
	autofree __u32 *keys = calloc(LIVE_PIECE, sizeof(*keys));
	autofree __u64 *words = calloc(LIVE_PIECE, sizeof(*words));
	__u32 words_read = g->boot.live_words > LIVE_SAMPLE ? LIVE_SAMPLE : g->boot.live_words;
	__u64 bits = 0;

	if (!keys || !words)
		return log_err(-ENOMEM, "read map live");
	for (__u32 done = 0; done < words_read; done += LIVE_PIECE) {
		__u32 at = half * g->boot.live_words + done, cursor, count = LIVE_PIECE;
		__u32 behind = at - 1; /* a read goes on behind this word */

		if (bpf_map_lookup_batch(g->map[MAP_LIVE], at ? &behind : NULL, &cursor, keys,
					 words, &count, NULL) &&
		    errno != ENOENT)
			return log_err(-errno, "read map live");
		for (__u32 i = 0; i < count; i++)
			bits += (__u64)__builtin_popcountll(words[i]);
	}
	*set = (__u32)(bits * (g->boot.live_words / words_read));
	return 0;
}
