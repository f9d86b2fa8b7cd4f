/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client's side of a cookie handshake: SYN in, SYN-ACK out, ACK in; and ACKs forged with
 * the key in hand.
 */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

#include "cookie_ref.h"

struct handshake {
	struct spec spec; /* of the SYN */
	struct packet syn;
	struct frame synack; /* its pointers are stale after the next run */
	uint32_t client_isn;
	uint32_t cookie; /* the server's ISN */
	bool ts;
	uint32_t tsval; /* the client's, of the ACK */
	uint32_t tsecr;
};

/* Sends the SYN and takes the SYN-ACK; the test ends if there is none. seq 0: random. */
void handshake_syn(struct handshake *h, const struct spec *syn);
/* The client's ACK. more: its flags (0: ACK), payload, tags, lies; NULL: nothing more. */
void handshake_ack(const struct handshake *h, const struct spec *more, struct packet *ack);
/* As if a SYN had been answered with c: the ACK to it, sent back `age` ticks later. */
void handshake_forge(struct handshake *h, const struct spec *syn, uint32_t epoch, uint16_t low,
		     bool ts, int64_t age_ticks);

/* What XDP writes in front of a verified ACK; private to bpf/, mirrored from handover.h. */
struct mark {
	uint32_t magic;
	uint32_t seq;
	uint64_t cookie_hash;
	uint32_t tsval;
	uint32_t tsecr;
	uint16_t mss;
	uint8_t our_scale;
	uint8_t scale; /* client's, 15: none */
	uint8_t has;
	uint8_t service;
	uint8_t pad[2];
};

#define MARK_SACK 0x01
#define MARK_TS   0x02
#define MARK_WS   0x04
#define MARK_ECN  0x08

/* The mark of a PASS_COOKIE; fails without one. */
struct mark mark_of(const struct result *r);

#endif /* HANDSHAKE_H */
