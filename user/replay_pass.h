/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two passes of `replay` over its capture: what is in it, and what the guard makes of it. */
#ifndef SW_REPLAY_PASS_H
#define SW_REPLAY_PASS_H

#include "replay_flow.h"
#include "replay_read.h"
#include "replay_show.h"
#include "replay_sweep.h"

struct replay {
	struct replay_capture capture;
	struct replay_guard guard;
	struct replay_flows flows;
	struct replay_sweep sweep;
	struct replay_sum sum;
	bool json;
	__u64 begin_ns;             /* CLOCK_MONOTONIC: when the capture begins */
	__u64 first_ns;             /* wall clock of its first packet */
	__u64 wall_ns;              /* and of the one that is run */
	__u64 newest_ns, behind_ns; /* see set_clock() */
	__u64 seen;                 /* packets of the first pass */
	/* by port of the server, host order */
	bool asked[REPLAY_PORTS], refuses[REPLAY_PORTS], answers[REPLAY_PORTS];
	bool spoke[REPLAY_PORTS]; /* at all */
	__u64 syns_ts, synacks, synacks_ts;
};

/* Ports, flows older than the capture. What cannot be read ends it; capture.why tells. */
int replay_look(struct replay *r);
/* Prints each packet. */
int replay_through(struct replay *r);

#endif /* SW_REPLAY_PASS_H */
