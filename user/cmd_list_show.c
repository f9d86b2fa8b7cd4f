/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is in the lists, for `list` and `status`. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "metrics.h"
#include "table.h"
#include "util.h"

#define LIST_COLUMNS "%-44s %-26s %9s  %s\n"

static void entry_print(const struct services *set, const struct list_entry *e, __u32 now)
{
	char prefix[TEXT_PREFIX], service[TEXT_SERVICE] = "-", left[TEXT_AGE] = "for ever";
	char comment[SW_COMMENT];

	if (e->key.service)
		text_service_name(&set->slot[e->key.service % SW_MAX_SERVICES], service);
	if (e->value.until_s)
		text_age(list_left(e, now), left);
	printf(LIST_COLUMNS, text_prefix_name(e->key.addr, list_prefix_len(e), prefix), service,
	       left, list_comment(e, comment));
}

static void entry_json(struct json *json, const struct services *set, const struct list_entry *e,
		       __u32 now)
{
	char prefix[TEXT_PREFIX], service[TEXT_SERVICE], comment[SW_COMMENT];

	json_object(json, NULL);
	json_str(json, "prefix", text_prefix_name(e->key.addr, list_prefix_len(e), prefix));
	if (e->key.service)
		json_str(json, "service",
			 text_service_name(&set->slot[e->key.service % SW_MAX_SERVICES], service));
	else
		json_null(json, "service");
	if (e->value.until_s)
		json_u64(json, "left_s", list_left(e, now));
	else
		json_null(json, "left_s");
	json_str(json, "comment", list_comment(e, comment));
	json_u64(json, "added", e->value.added_s);
	json_close(json);
}

static void ports_show(const struct services *set, struct json *json)
{
	if (json)
		json_array(json, "ports");
	for (__u32 i = 0; i < SW_FAIL_SAFE; i++) {
		if (set->fail_safe[i] && json)
			json_u64(json, NULL, set->fail_safe[i]);
		else if (set->fail_safe[i])
			printf("port %u\n", set->fail_safe[i]);
	}
	if (json)
		json_close(json);
}

int list_show(const struct guard *g, enum sw_list list, bool as_json)
{
	struct json json, *out = as_json ? &json : NULL;
	autolists struct list_set set = { 0 };
	struct services services;
	__u64 hits[LIST_HITS];
	__u32 now = conn_now();
	int err = mapio_services(g, &services);

	if (!err)
		err = mapio_lists(g, &set);
	if (!err)
		err = mapio_list_hits(g, hits);
	if (err)
		return err;
	if (out) {
		json_begin(out, stdout);
		json_object(out, NULL);
		json_str(out, "list", list_name(list));
		json_u64(out, "hits", hits[2 * list] + hits[2 * list + 1]);
	}
	if (list == SW_LIST_FAIL_SAFE)
		ports_show(&services, out);
	if (out)
		json_array(out, "entries");
	else
		printf(LIST_COLUMNS, "PREFIX", "SERVICE", "LEFT", "COMMENT");
	for (__u32 i = 0; i < set.count && !ferror(stdout); i++) {
		const struct list_entry *e = &set.entry[i];

		if (e->key.list != list || list_has_ended(e, now))
			continue;
		if (out)
			entry_json(out, &services, e, now);
		else
			entry_print(&services, e, now);
	}
	if (out)
		json_end(out);
	return 0;
}

int lists_sum(const struct guard *g, __u32 gen, struct lists_sum *sum)
{
	__u32 entries[LIST_HITS] = { 0 };
	int err = mapio_list_hits(g, sum->hits);

	if (!err)
		err = lists_count(g, gen, entries);
	for (__u32 i = 0; i < SW_LIST_MAX; i++)
		sum->entries[i] = entries[2 * i] + entries[2 * i + 1];
	return err;
}

void lists_sum_json(const struct lists_sum *sum, const struct services *set, struct json *j)
{
	json_array(j, "lists");
	for (__u32 i = 0; i < SW_LIST_MAX; i++) {
		json_object(j, NULL);
		json_str(j, "list", list_name((enum sw_list)i));
		json_u64(j, "entries", sum->entries[i]);
		json_u64(j, "hits_ipv4", sum->hits[2 * i]);
		json_u64(j, "hits_ipv6", sum->hits[2 * i + 1]);
		if (i == SW_LIST_FAIL_SAFE)
			ports_show(set, j);
		json_close(j);
	}
	json_close(j);
}

void lists_sum_print(const struct lists_sum *sum, const struct services *set)
{
	char label[16], n[TEXT_COUNT];

	for (__u32 i = 0; i < SW_LIST_MAX; i++) {
		__u64 hits = sum->hits[2 * i] + sum->hits[2 * i + 1];
		bool ports = i == SW_LIST_FAIL_SAFE && set->fail_safe[0];

		if (!sum->entries[i] && !ports)
			continue;
		snprintf(label, sizeof(label), "%s:", list_name((enum sw_list)i));
		printf("  %-13s", label);
		for (__u32 k = 0; ports && k < SW_FAIL_SAFE && set->fail_safe[k]; k++)
			printf("port %u, ", set->fail_safe[k]);
		printf("%s %s", text_count(sum->entries[i], n),
		       sum->entries[i] == 1 ? "entry" : "entries");
		printf(", hit %s times\n", text_count(hits, n));
	}
}
