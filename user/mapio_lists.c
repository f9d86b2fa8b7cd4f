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

/* Adds each to the set of its half. */
static int piece_take(const struct list_piece *piece, __u32 count,
		      struct list_set halves[SW_HALVES])
{
	int err = 0;

	for (__u32 i = 0; i < count && !err; i++) {
		struct list_entry e = { .key = piece->key[i], .value = piece->value[i] };
		__u32 half = e.key.half & 1;

		e.key.half = 0;
		err = list_set_add(&halves[half], &e);
	}
	return err;
}

/* One by one, where there are no batches. */
static int lists_walk(const struct guard *g, struct list_piece *piece,
		      struct list_set halves[SW_HALVES])
{
	struct sw_list_key *behind = NULL, at;

	while (!bpf_map_get_next_key(g->map[MAP_LISTS], behind, &piece->key[0])) {
		int err = 0;

		at = piece->key[0];
		behind = &at;
		if (!bpf_map_lookup_elem(g->map[MAP_LISTS], &at, &piece->value[0]))
			err = piece_take(piece, 1, halves);
		else if (errno != ENOENT) /* gone since: only the lock keeps it */
			err = -errno;
		if (err)
			return err;
	}
	return errno == ENOENT ? 0 : -errno;
}

static void list_halves_free(struct list_set halves[SW_HALVES])
{
	for (__u32 i = 0; i < SW_HALVES; i++)
		list_set_free(&halves[i]);
}

int mapio_lists_halves(const struct guard *g, struct list_set halves[SW_HALVES])
{
	autofree struct list_piece *piece = calloc(1, sizeof(*piece));
	struct sw_list_key at, *behind = NULL;
	bool more = true;
	int err = piece ? 0 : -ENOMEM;

	memset(halves, 0, SW_HALVES * sizeof(*halves));
	while (!err && more) {
		__u32 count = LIST_PIECE;

		if (bpf_map_lookup_batch(g->map[MAP_LISTS], behind, &at, piece->key, piece->value,
					 &count, NULL)) {
			if (errno != ENOENT) {
				list_halves_free(halves);
				err = lists_walk(g, piece, halves);
				break;
			}
			more = false;
		}
		err = piece_take(piece, count, halves);
		behind = &at;
	}
	if (err)
		list_halves_free(halves);
	for (__u32 i = 0; i < SW_HALVES; i++)
		list_set_sort(&halves[i]);
	return err ? log_err(err, "read map lists") : 0;
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
			err = log_err(-errno, "write map lists");
		done += count;
	}
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

int mapio_list_del(const struct guard *g, __u32 half, const struct list_entry *e)
{
	struct sw_list_key key = e->key;

	key.half = (__u8)half;
	return entry_delete(g, &key);
}
