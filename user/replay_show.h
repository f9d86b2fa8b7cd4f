/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `replay` prints: a line for each packet, and what they come to. */
#ifndef SW_REPLAY_SHOW_H
#define SW_REPLAY_SHOW_H

#include "replay_edit.h"
#include "replay_guard.h"

/* Why a packet was not run. */
enum replay_skip {
	SKIP_NONE,
	SKIP_REPLACED, /* the host said it, which behind the guard would have had no reason to */
	SKIP_CUT,      /* its headers are not in the capture */
	SKIP_ODD,      /* the kernel makes no packet of it */
	SKIP_KINDS,
};

struct replay_row {
	__u64 n;
	__u64 ns; /* wall clock */
	__u32 len;
	struct replay_seg seg; /* as captured */
	enum replay_skip skip;
	enum sw_hook hook;
	struct replay_result result;
	enum sw_reason tc; /* SW_CONTINUE: not asked */
	bool cut;          /* payload is not in the capture */
};

struct replay_arming {
	__u64 ns; /* wall clock */
	bool armed;
	__u8 cause;
	__u32 service;
	__u64 syns_pps;
};
#define REPLAY_ARMINGS 256 /* told of in the summary; the rest is only counted */

struct replay_sum {
	struct {
		__u64 packets, would;
	} count[SW_MAX_SERVICES][SW_REASON_MAX];
	__u64 packets, bytes;
	__u64 took_ns; /* by the programs' clock */
	__u64 to_service, from_service, no_service;
	__u64 skipped[SKIP_KINDS];
	__u64 unseen;  /* left, and the program has nothing to learn of such */
	__u64 cut;     /* judged with a payload of zeros */
	__u64 made;    /* connections */
	__u64 old;     /* that are older than the capture */
	__u64 strange; /* ACKs to a service without their handshake */
	__u64 holes;   /* acknowledge what the capture has lost */
	__u64 moot;    /* segments of connections that the guard refused */
	__u64 armings, full;
	__u64 forgotten;
	struct replay_arming arming[REPLAY_ARMINGS];
};

void replay_show(const struct replay_guard *rg, const struct replay_row *row, bool as_json);
void replay_add(struct replay_sum *sum, const struct replay_row *row);
/* `why`: what kept it from being read to its end, "" nothing. */
void replay_show_sum(const struct replay_guard *rg, const struct replay_sum *sum, const char *why,
		     bool as_json);

#endif /* SW_REPLAY_SHOW_H */
