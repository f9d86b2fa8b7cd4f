/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The map of the lists: half a million entries in two halves, so by the batch where it goes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "kernel.h"
#include "util.h"

#define LIST_PIECE 4096

struct list_piece {
	struct sw_list_key key[LIST_PIECE];
	struct sw_listed value[LIST_PIECE];
};

/* What is done with so many entries that were read. */
typedef int (*take_piece)(const struct list_piece *piece, __u32 count, void *arg);

/* One by one, where there are no batches, behind this key or from the first. */
static int lists_walk(const struct guard *g, const struct sw_list_key *behind,
		      struct list_piece *piece, take_piece take, void *arg)
{
	struct sw_list_key at;

	while (!bpf_map_get_next_key(g->map[MAP_LISTS], behind, &piece->key[0])) {
		int err = 0;

		at = piece->key[0];
		behind = &at;
		if (!bpf_map_lookup_elem(g->map[MAP_LISTS], &at, &piece->value[0]))
			err = take(piece, 1, arg);
		else if (errno != ENOENT) /* gone since: only the lock keeps it */
			err = -errno;
		if (err)
			return err;
	}
	return errno == ENOENT ? 0 : -errno;
}

/* Of both halves, in no order. */
static int lists_read(const struct guard *g, take_piece take, void *arg)
{
	autofree struct list_piece *piece = calloc(1, sizeof(*piece));
	struct sw_list_key at, *behind = NULL;
	bool more = true;
	int err = piece ? 0 : -ENOMEM;

	while (!err && more) {
		__u32 count = LIST_PIECE;

		if (bpf_map_lookup_batch(g->map[MAP_LISTS], behind, &at, piece->key, piece->value,
					 &count, NULL)) {
			if (errno != ENOENT) {
				err = lists_walk(g, behind, piece, take, arg);
				break;
			}
			more = false;
		}
		err = take(piece, count, arg);
		behind = &at;
	}
	return err ? log_err(err, "read map lists") : 0;
}

/* Adds each to the set of its half. */
static int take_halves(const struct list_piece *piece, __u32 count, void *arg)
{
	struct list_set *halves = arg;
	int err = 0;

	for (__u32 i = 0; i < count && !err; i++) {
		struct list_entry e = { .key = piece->key[i], .value = piece->value[i] };
		__u32 half = e.key.half & 1;

		e.key.half = 0;
		err = list_set_add(&halves[half], &e);
	}
	return err;
}

int mapio_lists_halves(const struct guard *g, struct list_set halves[SW_HALVES])
{
	int err;

	memset(halves, 0, SW_HALVES * sizeof(*halves));
	err = lists_read(g, take_halves, halves);
	for (__u32 i = 0; i < SW_HALVES; i++) {
		if (err)
			list_set_free(&halves[i]);
		list_set_sort(&halves[i]);
	}
	return err;
}

struct ended {
	__u32 now, half;
	__u32 all, ended;
};

static int take_ended(const struct list_piece *piece, __u32 count, void *arg)
{
	struct ended *ended = arg;

	for (__u32 i = 0; i < count; i++) {
		struct list_entry e = { .key = piece->key[i], .value = piece->value[i] };

		ended->ended += e.key.half == ended->half && list_has_ended(&e, ended->now);
	}
	ended->all += count;
	return 0;
}

int mapio_lists_ended(const struct guard *g, __u32 now, __u32 *all, __u32 *ended)
{
	struct ended count = { .now = now };
	struct sw_settings s;
	int err = mapio_settings(g, &s);

	count.half = !!(s.gen & SW_GEN_LISTS);
	if (!err)
		err = lists_read(g, take_ended, &count);
	*all = count.all;
	*ended = count.ended;
	return err;
}

struct counted {
	__u32 now, half;
	__u32 *entries;
};

static int take_count(const struct list_piece *piece, __u32 count, void *arg)
{
	const struct counted *c = arg;

	for (__u32 i = 0; i < count; i++) {
		const struct sw_list_key *key = &piece->key[i];
		struct list_entry e = { .key = *key, .value = piece->value[i] };

		if (key->half == c->half && key->list < SW_LIST_MAX && !list_has_ended(&e, c->now))
			c->entries[2 * key->list + !addr_is_v4(key->addr)]++;
	}
	return 0;
}

int mapio_lists_count(const struct guard *g, __u32 now, __u32 entries[LIST_HITS])
{
	struct counted count = { .now = now, .entries = entries };
	struct sw_settings s;
	int err = mapio_settings(g, &s);

	count.half = !!(s.gen & SW_GEN_LISTS);
	memset(entries, 0, LIST_HITS * sizeof(*entries));
	return err ? err : lists_read(g, take_count, &count);
}

int mapio_lists(const struct guard *g, struct list_set *set)
{
	struct list_set halves[SW_HALVES];
	struct sw_settings s;
	int err = mapio_settings(g, &s);

	if (!err)
		err = mapio_lists_halves(g, halves);
	if (err)
		return err;
	*set = halves[!!(s.gen & SW_GEN_LISTS)];
	list_set_free(&halves[!(s.gen & SW_GEN_LISTS)]);
	return 0;
}

static int entry_delete(const struct guard *g, const struct sw_list_key *key)
{
	if (bpf_map_delete_elem(g->map[MAP_LISTS], key) && errno != ENOENT)
		return log_err(-errno, "delete from map lists");
	return 0;
}

static int lists_delete(const struct guard *g, __u32 half, const struct list_set *old)
{
	autofree struct sw_list_key *keys = calloc(old->count + 1, sizeof(*keys));
	__u32 count = old->count;
	int err = 0;

	if (!keys)
		return log_err(-ENOMEM, "delete from map lists");
	for (__u32 i = 0; i < old->count; i++) {
		keys[i] = old->entry[i].key;
		keys[i].half = (__u8)half;
	}
	if (!count || !bpf_map_delete_batch(g->map[MAP_LISTS], keys, &count, NULL))
		return 0;
	for (__u32 i = 0; i < old->count && !err; i++)
		err = entry_delete(g, &keys[i]);
	return err;
}

int mapio_list_set(const struct guard *g, __u32 half, const struct list_entry *e)
{
	struct sw_list_key key = e->key;

	key.half = (__u8)half;
	if (bpf_map_update_elem(g->map[MAP_LISTS], &key, &e->value, BPF_ANY))
		return log_err(-errno, "write map lists");
	return 0;
}

int mapio_lists_write(const struct guard *g, __u32 half, const struct list_set *old,
		      const struct list_set *next)
{
	autofree struct list_piece *piece = calloc(1, sizeof(*piece));
	int err = piece ? lists_delete(g, half, old) : log_err(-ENOMEM, "write map lists");

	for (__u32 done = 0; !err && done < next->count;) {
		__u32 count = 0, wrote;

		for (; count < LIST_PIECE && done + count < next->count; count++) {
			piece->key[count] = next->entry[done + count].key;
			piece->key[count].half = (__u8)half;
			piece->value[count] = next->entry[done + count].value;
		}
		wrote = count;
		if (bpf_map_update_batch(g->map[MAP_LISTS], piece->key, piece->value, &wrote, NULL))
			for (__u32 i = 0; i < count && !err; i++)
				err = mapio_list_set(g, half, &next->entry[done + i]);
		done += count;
	}
	return err;
}

int mapio_list_del(const struct guard *g, __u32 half, const struct list_entry *e)
{
	struct sw_list_key key = e->key;

	key.half = (__u8)half;
	return entry_delete(g, &key);
}
