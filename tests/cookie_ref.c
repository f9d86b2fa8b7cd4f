/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reference cookie, see cookie_ref.h. Byte strings on purpose where bpf/ works in words.
 */
#include <string.h>

#include "cookie_ref.h"

static uint64_t le64(const uint8_t *b)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | b[i];
	return v;
}

static uint64_t rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void rounds(uint64_t v[4], int n)
{
	while (n--) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13);
		v[1] ^= v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16);
		v[3] ^= v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21);
		v[3] ^= v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17);
		v[1] ^= v[2];
		v[2] = rotate(v[2], 32);
	}
}

uint64_t siphash24(const uint8_t key[16], const uint8_t *bytes, size_t len)
{
	uint64_t k0 = le64(key), k1 = le64(key + 8);
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL,
			  k0 ^ 0x6c7967656e657261ULL, k1 ^ 0x7465646279746573ULL };
	uint8_t last[8] = {};
	uint64_t m;

	for (size_t i = 0; i + 8 <= len; i += 8) {
		m = le64(bytes + i);
		v[3] ^= m;
		rounds(v, 2);
		v[0] ^= m;
	}
	memcpy(last, bytes + len / 8 * 8, len % 8);
	last[7] = (uint8_t)len;
	m = le64(last);
	v[3] ^= m;
	rounds(v, 2);
	v[0] ^= m;
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static size_t append(uint8_t *to, size_t at, const void *bytes, size_t len)
{
	memcpy(to + at, bytes, len);
	return at + len;
}

static size_t append_le(uint8_t *to, size_t at, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[at + i] = (uint8_t)(value >> (8 * i));
	return at + len;
}

static size_t append_be16(uint8_t *to, size_t at, uint16_t value)
{
	to[at] = (uint8_t)(value >> 8);
	to[at + 1] = (uint8_t)value;
	return at + 2;
}

/*
 * Server address and port, our scale, a zero, the epoch (32 bits; after it four zeros with
 * IPv4), client address and ISN, client port, low bits with the format in bit 15. Ports as
 * on the wire, numbers little endian. 28 or 48 bytes.
 */
static size_t message(const struct cookie_ref *c, uint8_t *to)
{
	size_t size = c->family == 4 ? 4 : 16, at = 0;

	at = append(to, at, c->server, size);
	at = append_be16(to, at, c->server_port);
	at = append_le(to, at, c->our_scale, 2);
	at = append_le(to, at, c->epoch, c->family == 4 ? 8 : 4);
	at = append(to, at, c->client, size);
	at = append_le(to, at, c->client_isn, 4);
	at = append_be16(to, at, c->client_port);
	return append_le(to, at, c->low | (c->ts ? 0x8000U : 0), 2);
}

uint64_t cookie_ref_hash(const struct cookie_ref *c)
{
	bool is_new = (int32_t)(c->epoch - guard.sched.since_epoch) >= 0;
	const struct sw_key *k = &guard.keys[is_new ? guard.sched.now : guard.sched.before];
	uint8_t key[16], text[64];

	append_le(key, append_le(key, 0, k->k0, 8), k->k1, 8);
	return siphash24(key, text, message(c, text));
}

uint32_t cookie_ref_isn(const struct cookie_ref *c)
{
	uint32_t top = (uint32_t)(cookie_ref_hash(c) >> 32);
	uint32_t low_mask = (1U << LOW_BITS(c->ts)) - 1;

	return (top & ~low_mask) | (c->low & low_mask);
}

uint32_t cookie_ref_tsval(const struct cookie_ref *c, uint64_t at_ns)
{
	return (uint32_t)(at_ns >> SW_TS_SHIFT) + (uint32_t)cookie_ref_hash(c);
}

void cookie_ref_from(struct cookie_ref *c, const struct packet *syn, uint32_t epoch, bool ts,
		     uint8_t our_scale)
{
	const uint8_t *ip = syn->data + syn->l3, *tcp = syn->data + syn->l4;
	size_t size = syn->family == 6 ? 16 : 4;
	const uint8_t *src = ip + (syn->family == 6 ? 8 : 12);

	*c = (struct cookie_ref){
		.family = syn->family, .epoch = epoch, .ts = ts, .our_scale = our_scale
	};
	memcpy(c->client, src, size);
	memcpy(c->server, src + size, size);
	c->client_port = (uint16_t)(tcp[0] << 8 | tcp[1]);
	c->server_port = (uint16_t)(tcp[2] << 8 | tcp[3]);
	c->client_isn = (uint32_t)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
}

uint32_t epoch_now(void)
{
	return (uint32_t)(now_ns() >> SW_EPOCH_SHIFT);
}

void epoch_settle(unsigned int ms)
{
	uint64_t left = (1ULL << SW_EPOCH_SHIFT) - (now_ns() & ((1ULL << SW_EPOCH_SHIFT) - 1));

	if (left < ms * 1000000ULL)
		sleep_ms((unsigned int)(left / 1000000) + 2);
}

uint16_t mss_by_index(uint8_t family, unsigned int index)
{
	static const uint16_t table4[] = { 536, 1200, 1300, 1360, 1400, 1440, 1460, 8960 };
	static const uint16_t table6[] = { 1220, 1280, 1340, 1380, 1400, 1420, 1440, 8940 };

	return (family == 6 ? table6 : table4)[index];
}

uint16_t mss_rounded(uint8_t family, int mss)
{
	for (int i = 7; i > 0; i--)
		if (mss >= mss_by_index(family, (unsigned int)i))
			return mss_by_index(family, (unsigned int)i);
	return mss_by_index(family, 0);
}
