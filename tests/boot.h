/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Load-time sizes of the tables, as the loader gives them. Include behind the skeleton. */
#ifndef BOOT_H
#define BOOT_H

#include <bpf/libbpf.h>

#include "synwarden.h"

static inline void boot_size(struct synwarden_bpf *skel, __u32 conns)
{
	struct sw_boot *boot = (struct sw_boot *)&skel->rodata->sw_boot;
	struct bpf_map *table[SW_TABLE_MAX] = { skel->maps.sw_conns, skel->maps.sw_half };

	boot->max[SW_TABLE_CONNS] = conns;
	boot->max[SW_TABLE_HALF] = conns / SW_HALF_SHARE > SW_CONNS_MIN ? conns / SW_HALF_SHARE :
									  SW_CONNS_MIN;
	for (int t = 0; t < SW_TABLE_MAX; t++) {
		boot->buckets[t] =
			(__u32)(((__u64)boot->max[t] * SW_SLOTS_NUM / SW_SLOTS_DEN + SW_WAYS - 1) /
				SW_WAYS);
		bpf_map__set_max_entries(table[t], boot->buckets[t] * SW_WAYS);
	}
	for (boot->live_words = SW_LIVE_WORDS; boot->live_words * 64 < conns * 16ULL;)
		boot->live_words *= 2;
	bpf_map__set_max_entries(skel->maps.sw_live, 2 * boot->live_words);
	for (boot->sources = SW_SOURCES_MIN; boot->sources < conns / SW_SOURCE_SHARE;)
		boot->sources *= 2;
	bpf_map__set_max_entries(skel->maps.sw_sources, boot->sources);
}

#endif /* BOOT_H */
