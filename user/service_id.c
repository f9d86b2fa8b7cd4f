/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ids of services: by them packets are counted, so one is not given twice without need. */
#include <errno.h>

#include "kernel.h"
#include "util.h"

static bool has_counts(const struct guard *g, __u32 id)
{
	struct sw_count row[SW_REASON_MAX];

	if (mapio_stats(g, id, row))
		return true;
	for (__u32 r = 1; r < SW_REASON_MAX; r++)
		if (row[r].packets)
			return true;
	return false;
}

int service_pick_id(const struct guard *g, const struct services *now, const struct services *next,
		    __u32 *id)
{
	__u32 used_before = 0, ends = 0;

	for (__u32 i = 1; i < SW_MAX_SERVICES; i++) {
		if (next->slot[i].port_first)
			continue;
		if (now->slot[i].port_first) {
			ends = ends ? ends : i;
			continue;
		}
		if (!has_counts(g, i)) {
			*id = i;
			return 0;
		}
		used_before = used_before ? used_before : i;
	}
	*id = used_before ? used_before : ends;
	return *id ? 0 :
		     log_refuse(-ENOSPC, "the guard has %d services, the most it can",
				SW_MAX_SERVICES - 1);
}

int service_ids_begin(const struct guard *g, const struct services *now,
		      const struct services *next)
{
	int err = 0;

	for (__u32 id = 1; id < SW_MAX_SERVICES && !err; id++) {
		if (!next->slot[id].port_first || now->slot[id].port_first || !has_counts(g, id))
			continue;
		err = mapio_stats_zero(g, id);
		if (!err)
			err = mapio_policy_zero(g, id);
	}
	return err;
}
