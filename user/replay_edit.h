/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The TCP segment in a frame, and its numbers moved: a client of the capture acknowledges the
 * sequence number that the server chose there, and echoes its timestamp, where it would have
 * those of a cookie. Pure.
 */
#ifndef SW_REPLAY_EDIT_H
#define SW_REPLAY_EDIT_H

#include <stdbool.h>

#include <linux/types.h>

#define SEG_FIN_FLAG 0x01
#define SEG_SYN_FLAG 0x02
#define SEG_RST_FLAG 0x04
#define SEG_ACK_FLAG 0x10

struct replay_seg {
	__be32 src[4], dst[4]; /* v4-mapped; all zero: no IP */
	bool is_ip;
	bool is_tcp;   /* ports and all that follows, whole and in the first fragment */
	bool is_other; /* surely none, by headers that are all there */
	bool has_ts;
	bool has_ws;
	bool has_sack; /* blocks */
	__be16 sport, dport;
	__u8 flags;
	__u8 ws;
	__u16 window;     /* as on the wire */
	__u32 l3;         /* offset of the IP header */
	__u32 l4, l4_len; /* offset of the TCP header, header and payload by the IP header */
	__u32 doff;       /* bytes */
	__u32 payload;
	__u32 seq, ack;
	__u32 tsval, tsecr;
	__u32 ts_at, sack_at, sack_len; /* offsets in the frame: of TSval, of the first block */
};

void replay_parse(const __u8 *frame, __u32 len, struct replay_seg *s);

/*
 * Moves numbers by so much, in the frame and in `s`. The checksum follows: what was right stays
 * right, what was wrong stays wrong by as much, and what a NIC was to fill in stays as it is.
 */
struct replay_shift {
	__u32 seq, ack; /* SACK blocks are moved by `ack` */
	__u32 tsval, tsecr;
};
void replay_move(__u8 *frame, struct replay_seg *s, const struct replay_shift *by);

/* The right checksum, for a segment whose payload the capture has cut off. */
void replay_checksum(__u8 *frame, const struct replay_seg *s);

/* Takes the payload off, in the length of the IP header too: how long the frame is then. */
__u32 replay_shorten(__u8 *frame, const struct replay_seg *s);

#endif /* SW_REPLAY_EDIT_H */
