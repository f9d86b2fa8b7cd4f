/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cookie of engine reqsk once more, in plain C from its description: SipHash-2-4 over a
 * string of bytes, then cut and packed. Tests recompute, forge and judge cookies with it.
 *
 *	string: [server 4|16][client 4|16]... as in cookie_ref.c, see message()
 */
#ifndef COOKIE_REF_H
#define COOKIE_REF_H

#include "fixture.h"

uint64_t siphash24(const uint8_t key[16], const uint8_t *bytes, size_t len);

/* What a cookie binds. The tuple is the SYN's: client to server. */
struct cookie_ref {
	uint8_t family;
	uint8_t client[16], server[16];
	uint16_t client_port, server_port;
	uint32_t client_isn;
	uint32_t epoch;
	uint16_t low; /* the bits below the MAC */
	bool ts;
	uint8_t our_scale;
};

void cookie_ref_from(struct cookie_ref *c, const struct packet *syn, uint32_t epoch, bool ts,
		     uint8_t our_scale);
uint64_t cookie_ref_hash(const struct cookie_ref *c); /* with the key of its epoch in `guard` */
uint32_t cookie_ref_isn(const struct cookie_ref *c);
/* TSval of a SYN-ACK sent at that time. */
uint32_t cookie_ref_tsval(const struct cookie_ref *c, uint64_t at_ns);

#define LOW_BITS(ts) ((ts) ? 10 : 8)
#define LOW_TS(mss, ws, sack, ecn, epoch) \
	((mss) << 7 | (ws) << 3 | (sack) << 2 | (ecn) << 1 | ((epoch)&1))
#define LOW_BARE(mss, profile, epoch) ((mss) << 5 | (profile) << 1 | ((epoch)&1))

uint32_t epoch_now(void);
/* Leaves at least `ms` before the epoch changes, so that a test does not straddle it. */
void epoch_settle(unsigned int ms);

/* MSS a client's announcement is rounded down to; 0: absent. */
uint16_t mss_rounded(uint8_t family, int mss);
uint16_t mss_by_index(uint8_t family, unsigned int index);

#endif /* COOKIE_REF_H */
