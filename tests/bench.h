/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between bench.c, bench.bpf.c and bench_fill.bpf.c. */
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
	__u32 hosts;    /* source addresses, from the one in the frame on; IPv6: if not 1, any */
	__u32 ports;    /* source ports, from the one in the frame on */
	__u32 seq;      /* host order: the least sequence number */
	__u32 seq_mask; /* random bits added to it */
	__u32 random_ack;
	__u32 tsval_off; /* from the TCP header, 0: none */
	__u32 restore;   /* 1: the target changes the length */
};

struct bench_state {
	__u64 rng; /* never 0 */
	__u32 seq; /* of the frame written last, wire order */
	__u32 pad;
};

/* IPv4 tuples made known to a guard, one a run. */
struct bench_fill {
	__u32 client;      /* host order: the first address */
	__u32 server;      /* host order */
	__u16 client_port; /* the first */
	__u16 server_port;
	__u32 ports; /* client ports to an address */
	__u32 next;  /* number of the tuple */
	__u32 service;
	__u32 rcv_nxt;
	__u32 marked_only; /* 1: in the presence filter, not in the table */
	__u32 refused;     /* found no room in the table */
};

#endif /* BENCH_H */
