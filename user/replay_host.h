/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A server's host as far as a capture shows it: the socket of each connection, by the segments
 * that reach it and those it sends. Pure.
 */
#ifndef SW_REPLAY_HOST_H
#define SW_REPLAY_HOST_H

#include "replay_flow.h"

/* What the host holds of it. */
void replay_view(const struct replay_flow *w, struct sw_replay_view *v);
/*
 * It acknowledges what the capture does not show, as one does that lost packets: taken as sent,
 * within the client's window. True: so it was.
 */
bool replay_hole(struct replay_flow *w, const struct replay_seg *s);
/* TIME-WAIT is over, or the client has not answered any SYN-ACK. */
bool replay_expired(const struct replay_flow *w, __u64 now_ns);
/* Its client has taken nothing for so long that sw_adopt would call it stalled. */
bool replay_stalled(const struct replay_flow *w, __u64 now_ns);
/* The SYN that begins it. */
void replay_note_syn(struct replay_flow *w, const struct replay_seg *s);
/* The ACK that opens it. */
void replay_begin(struct replay_flow *w, const struct replay_seg *ack);
/* The server's SYN-ACK: what it says of its windows. */
void replay_window(struct replay_flow *w, const struct replay_seg *synack);
/* The state after a segment that reached the host, or left it. */
__u8 replay_next_in(struct replay_flow *w, const struct replay_seg *s, __u64 now_ns);
__u8 replay_next_out(struct replay_flow *w, const struct replay_seg *s, __u64 now_ns);

#endif /* SW_REPLAY_HOST_H */
