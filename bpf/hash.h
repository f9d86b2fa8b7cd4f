/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two hashes. siphash: SipHash-2-4 (Aumasson, Bernstein 2012), the MAC of the cookie.
 * tuple_hash: a fast keyed mix that spreads tuples over filter and caches; it decides
 * where to look, never whether to trust, and its seed is random per load so that nobody
 * outside can aim for a slot.
 */
#ifndef SW_HASH_H
#define SW_HASH_H

#include "packet.h"

static __always_inline __u64 rotl64(__u64 x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static __always_inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotl64(s->v1, 13) ^ s->v0;
	s->v3 = rotl64(s->v3, 16) ^ s->v2;
	s->v0 = rotl64(s->v0, 32) + s->v3;
	s->v2 += s->v1;
	s->v3 = rotl64(s->v3, 21) ^ s->v0;
	s->v1 = rotl64(s->v1, 17) ^ s->v2;
	s->v2 = rotl64(s->v2, 32);
}

static __always_inline void sip_init(struct sip *s, const struct sw_key *key)
{
	s->v0 = key->k0 ^ 0x736f6d6570736575ULL;
	s->v1 = key->k1 ^ 0x646f72616e646f6dULL;
	s->v2 = key->k0 ^ 0x6c7967656e657261ULL;
	s->v3 = key->k1 ^ 0x7465646279746573ULL;
}

static __always_inline void sip_block(struct sip *s, __u64 block)
{
	s->v3 ^= block;
	sip_round(s);
	sip_round(s);
	s->v0 ^= block;
}

static __always_inline __u64 sip_final(struct sip *s)
{
	s->v2 ^= 0xff;
	sip_round(s);
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static __always_inline bool is_mapped(const __be32 *addr)
{
	return addr[2] == bpf_htonl(0xffff) && !addr[0] && !addr[1];
}

/* Of the tuple as the server sees it: client address and port, server address and port. */
static __always_inline __u64 tuple_hash(const __be32 *client, const __be32 *server, __be32 ports)
{
	/* what an attacker chooses meets a seed and a multiplication before the next does */
	__u64 h = sw_mix64(sw_boot.seed0, ports) ^ sw_boot.seed1;

	if (!is_mapped(client)) {
		h = sw_mix64(h, (__u64)client[0] << 32 | client[1]);
		h = sw_mix64(h, (__u64)server[0] << 32 | server[1]);
		h = sw_mix64(h, (__u64)client[2] << 32 | server[2]);
	}
	h = sw_mix64(h, (__u64)client[3] << 32 | server[3]);
	h = sw_mix64(h, sw_boot.seed1);
	return (h * 0xd6e8feb86659fd93ULL ^ h >> 29) | 1ULL << 63; /* 0 means not computed */
}

static __always_inline __u64 pkt_hash(struct sw_pkt *p)
{
	if (!p->hash)
		p->hash = tuple_hash(p->saddr, p->daddr, p->ports);
	return p->hash;
}

#endif /* SW_HASH_H */
