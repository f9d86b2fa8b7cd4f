/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's sweep (sweep.c) by the clock of the capture, where the host that is asked is the one
 * the capture tells of.
 */
#ifndef SW_REPLAY_SWEEP_H
#define SW_REPLAY_SWEEP_H

#include "replay_flow.h"
#include "replay_guard.h"
#include "table.h"

struct replay_sweep {
	struct tables tables;
	__u32 timeout_s[SW_STATE_MAX];
	__u64 next_ns; /* 0: never before */
};

int replay_sweep_open(struct replay_sweep *s, const struct replay_guard *rg);
/* Does what has come due by `now_ns`. */
void replay_sweep(struct replay_sweep *s, const struct replay_guard *rg, struct replay_flows *f,
		  __u64 now_ns);
void replay_sweep_close(struct replay_sweep *s);

#endif /* SW_REPLAY_SWEEP_H */
