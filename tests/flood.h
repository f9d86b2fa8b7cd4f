/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between flood.c and flood.bpf.c. */
#ifndef FLOOD_H
#define FLOOD_H

#include <linux/types.h>

#define FLOOD_FP_SHIFT  4          /* pace in sixteenths of a nanosecond */
#define FLOOD_LAG_NS    5000000ULL /* what was missed in a longer stall is not made up for */
#define FLOOD_TAIL      8          /* bytes cut from each frame, see flood_send */
#define FLOOD_MAX_HEAD  96         /* 94 bytes: Ethernet, IPv6, TCP, 20 bytes of options */
#define FLOOD_MAX_DATA  1400       /* zeros */
#define FLOOD_MAX_KINDS 16

#define FLOOD_FLAG_FIN 0x01
#define FLOOD_FLAG_SYN 0x02
#define FLOOD_FLAG_RST 0x04
#define FLOOD_FLAG_PSH 0x08
#define FLOOD_FLAG_ACK 0x10
#define FLOOD_FLAG_URG 0x20

struct flood_conf {
	__u16 frame[FLOOD_MAX_HEAD / 2]; /* all that is the same in every frame, but data */
	__u32 head_len;
	__u32 frame_len;
	__u32 family;    /* 4 or 6 */
	__u32 source[4]; /* prefix of the random sources, wire order */
	__u32 source_mask[4];
	__u64 ip_sum; /* one's complement sums of the template, not folded */
	__u64 tcp_sum;
	__u64 interval_fp; /* ns << FLOOD_FP_SHIFT between frames, 0 = no pace */
	__u32 ifindex;
	__u16 dport_first; /* host order */
	__u16 dport_count;
	__u16 sport_first;
	__u16 sport_count;
	__u32 opts;      /* 0 or 20 bytes of options */
	__u32 tsval_off; /* from the TCP header; where TSval lies */
	__u32 kinds;
	__u8 flags[FLOOD_MAX_KINDS];
};

struct flood_state {
	__u64 rng;
	__u64 next_fp;
	__u64 sent;
	__u64 first_ns; /* CLOCK_MONOTONIC of the first frame: set-up is not flood time */
};

struct flood_replies {
	__u64 synacks;
	__u64 rsts;
	__u64 others;
	__u64 bytes;
};

#endif /* FLOOD_H */
