/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between `replay` and its own build of the programs (bpf/replay.bpf.c), through the memory they
 * share: one packet at a time. The ordinary programs know nothing of it.
 */
#ifndef SW_REPLAY_H
#define SW_REPLAY_H

#include <linux/types.h>

#include "synwarden.h"

/*
 * What the host would hold of the packet's connection, as the capture shows it; field by field
 * what the programs read of a socket (struct sw_view). Sequence numbers in host order.
 */
struct sw_replay_view {
	__u8 state; /* enum sw_state; SW_FREE: nothing */
	__u8 unknown;
	__u8 request;
	__u8 has_ts;
	__u32 rcv_nxt;
	__u32 rcv_left;
	__u32 rcv_end;
	__u32 rcv_wnd;
	__u32 snd_una;
	__u32 snd_old;
	__u32 snd_nxt;
	__u32 snd_end;
	__u32 ts_recent;
};

struct sw_replay {
	__u64 now_ns; /* the programs' clock: that of the capture */
	struct sw_replay_view view;
	/* what was counted for the packet; 0: nothing, it left unseen */
	__u32 reason;  /* enum sw_reason */
	__u32 service; /* id */
	__u32 would;   /* 1: not enforced */
	__u32 pad;
	/* whose connection `adopt` takes over, view is of it */
	__be32 client[4];
	__be32 server[4];
	__be16 client_port;
	__be16 server_port;
	__u32 pad1;
};

SW_ASSERT_SIZE(sw_replay_view, 40);
SW_ASSERT_SIZE(sw_replay, 104);

#endif /* SW_REPLAY_H */
