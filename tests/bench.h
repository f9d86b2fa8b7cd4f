/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between bench.c and bench.bpf.c. */
#ifndef BENCH_H
#define BENCH_H

#include <linux/types.h>

#define BENCH_MAX_FRAME 96

/* Slots of the program array. */
enum bench_slot {
	BENCH_FLOOR,
	BENCH_TARGET,
	BENCH_SLOTS
};

/* What a wrapper writes; constants to the verifier. Sums: wire words of the fixed parts. */
struct bench_conf {
	__u16 frame[BENCH_MAX_FRAME / 2];
	__u32 frame_len;
	__u32 family; /* 4 or 6 */
	__u32 ip_sum;
	__u32 tcp_sum;
	__u32 random_source; /* 1: below 16.0.0.0/4 or 2001:db8::/32, 0: as in the frame */
	__u32 ports;         /* source ports, from the one in the frame on; 1: that one */
	__u32 random_ack;
	__u32 tsval_off; /* from the TCP header, 0: none */
	__u32 restore;   /* 1: the target changes the length */
};

struct bench_state {
	__u64 rng; /* never 0 */
	__u32 seq; /* of the frame written last, wire order */
	__u32 pad;
};

#endif /* BENCH_H */
