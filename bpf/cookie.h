/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cookie of engine `reqsk`: our initial sequence number, and a TSval that goes with it.
 *
 *	with timestamps      [ MAC 22 ][ MSS 3 ][ scale 4 ][ SACK 1 ][ ECN 1 ][ epoch 1 ]
 *	without              [ MAC 24 ][ MSS 3 ][ profile 4              ][ epoch 1 ]
 *
 * MAC: top bits of SipHash-2-4 over addresses, ports, the client's ISN, the epoch, all low
 * bits, the format and the window scale we offered. TSval = clock (1.05 ms ticks) + the
 * hash's low 32 bits: unguessable offset, monotonic, and it brings the send time back.
 *
 * A blind ACK passes with 2^-24 without timestamps, and with them with 2^-22 times
 * 2^17 ticks of life in 2^32: 2^-37.
 */
#ifndef SW_COOKIE_H
#define SW_COOKIE_H

#include "clock.h"
#include "hash.h"
#include "options.h"

#define SW_MSS_COUNT     8
#define SW_TS_LIFE_TICKS (1U << (SW_EPOCH_SHIFT + 1 - SW_TS_SHIFT)) /* two epochs */
/* p->now_ns may lag by a jiffy, see clock.h: 10 ms at HZ=100 */
#define SW_TS_LAG_TICKS 16
#define SW_TICK_NS      (1U << SW_TS_SHIFT)

/* Low bits below the MAC. */
static __always_inline __u32 cookie_bits(bool ts)
{
	return ts ? 10 : 8;
}

/*
 * MSS: rounded down to; smallest first, below it the kernel takes no request socket.
 *
 * Profiles: without timestamps four bits hold scale, SACK and ECN: the combinations real
 * stacks send (Windows: 8 with SACK), others rounded down. The SYN-ACK offers what is
 * remembered.
 *
 * One struct: clang 14 puts constants of 16 or 32 bytes into a section of their own, which
 * the kernel's BTF check refuses.
 */
#define PROFILE(ws, sack, ecn) ((ws) << 4 | (sack ? SW_OPT_SACK : 0) | (ecn ? SW_OPT_ECN : 0))

static const struct {
	__u16 mss4[SW_MSS_COUNT];
	__u16 mss6[SW_MSS_COUNT];
	__u8 profiles[16];
} tables = {
	.mss4 = { 536, 1200, 1300, 1360, 1400, 1440, 1460, 8960 },
	.mss6 = { 1220, 1280, 1340, 1380, 1400, 1420, 1440, 8940 },
	.profiles = {
		PROFILE(15, 0, 0), PROFILE(0, 0, 0), PROFILE(4, 0, 0), PROFILE(8, 0, 0),
		PROFILE(15, 1, 0), PROFILE(0, 1, 0), PROFILE(2, 1, 0), PROFILE(4, 1, 0),
		PROFILE(6, 1, 0),  PROFILE(7, 1, 0), PROFILE(8, 1, 0), PROFILE(15, 1, 1),
		PROFILE(0, 1, 1),  PROFILE(4, 1, 1), PROFILE(7, 1, 1), PROFILE(8, 1, 1),
	},
};

static __always_inline __u32 mss_of(__u8 family, __u32 idx)
{
	idx &= SW_MSS_COUNT - 1;
	return family == 4 ? tables.mss4[idx] : tables.mss6[idx];
}

static __always_inline __u32 mss_index(__u8 family, __u32 mss)
{
	__u32 idx = mss >= mss_of(family, 4) ? 4 : 0;

	idx += mss >= mss_of(family, idx + 2) ? 2 : 0;
	return idx + (mss >= mss_of(family, idx + 1));
}

static __always_inline __u32 profile_of(__u32 idx)
{
	return tables.profiles[idx & 15];
}

static __noinline __u32 profile_index(__u32 ws, __u32 has)
{
	bool none = ws == SW_WSCALE_NONE;

	if (!(has & SW_OPT_SACK))
		return none ? 0 : ws < 4 ? 1 : ws < 8 ? 2 : 3;
	if (has & SW_OPT_ECN)
		return none ? 11 : ws < 4 ? 12 : ws < 7 ? 13 : ws < 8 ? 14 : 15;
	return none ? 4 : ws < 2 ? 5 : ws < 4 ? 6 : ws < 6 ? 7 : ws < 7 ? 8 : ws < 8 ? 9 : 10;
}

static __always_inline __u32 epoch_of(__u64 now_ns)
{
	return now_ns >> SW_EPOCH_SHIFT;
}

/* A clock that lags read anew if the epoch may have changed: another CPU may be in the next. */
static __always_inline __u64 now_of_epoch(__u64 now_ns)
{
	return epoch_of(now_ns + SW_CLOCK_LAG_NS) == epoch_of(now_ns) ? now_ns : bpf_ktime_get_ns();
}

static __always_inline struct sw_key *key_of(__u32 epoch)
{
	__u32 zero = 0;
	struct sw_keysched *s = bpf_map_lookup_elem(&sw_keysched, &zero);
	union {
		__u64 word;
		struct sw_keysched sched;
	} u;
	__u32 slot;

	if (!s)
		return NULL;
	u.word = READ_ONCE(*(__u64 *)s); /* one load: never half a rotation */
	slot = (__s32)(epoch - u.sched.since_epoch) >= 0 ? u.sched.now : u.sched.before;
	return bpf_map_lookup_elem(&sw_keys, &slot);
}

/*
 * The hash in two parts. What is the same for all clients of a listener, its address and
 * port, the scale we offer and the epoch, comes first, so that a flood finds the state
 * behind it ready in struct sw_host. False: no key.
 */
static __always_inline bool cookie_begin(struct sip *s, const struct sw_pkt *p, __u32 epoch,
					 __u32 our_scale)
{
	struct sw_key *key = key_of(epoch);

	if (!key)
		return false;
	sip_init(s, key);
	if (is_v4(p)) {
		sip_block(s, p->daddr[3] | (__u64)p->dport << 32 | (__u64)our_scale << 48);
		sip_block(s, epoch);
	} else {
		sip_block(s, *(__u64 *)&p->daddr[0]);
		sip_block(s, *(__u64 *)&p->daddr[2]);
		sip_block(s, p->dport | our_scale << 16 | (__u64)epoch << 32);
	}
	return true;
}

/* Then the client: address, port and ISN, and the low bits with the format in bit 15. */
static __always_inline __u64 cookie_end(struct sip *s, const struct sw_pkt *p, __u32 client_isn,
					__u32 low, bool ts)
{
	__u64 tail = p->sport | (low | (__u32)ts << 15) << 16;

	if (is_v4(p)) {
		sip_block(s, p->saddr[3] | (__u64)client_isn << 32);
		sip_block(s, tail | 28ULL << 56); /* SipHash: the length in the last byte */
	} else {
		sip_block(s, *(__u64 *)&p->saddr[0]);
		sip_block(s, *(__u64 *)&p->saddr[2]);
		sip_block(s, client_isn | tail << 32);
		sip_block(s, 48ULL << 56);
	}
	return sip_final(s);
}

/* A cookie for the SYN p and its options, which are cut to what the cookie remembers. */
static __always_inline void cookie_make(struct sw_pkt *p, const struct sw_host *h,
					struct sw_cookie *c)
{
	struct sw_opts *o = &p->opts;
	bool ts = o->has & SW_OPT_TS;
	__u32 bits = cookie_bits(ts), low;
	struct sip s = h->mid[epoch_of(p->now_ns) & 1];

	c->mss = mss_index(p->family, o->mss);
	if (ts) {
		low = c->mss << 7 | o->wscale << 3 | !!(o->has & SW_OPT_SACK) << 2 |
		      !!(o->has & SW_OPT_ECN) << 1;
	} else {
		__u32 idx = profile_index(o->wscale, o->has);
		__u32 kept = profile_of(idx);

		low = c->mss << 5 | idx << 1;
		o->wscale = kept >> 4;
		o->has = (kept & 15) | (o->wscale != SW_WSCALE_NONE ? SW_OPT_WS : 0);
	}
	low |= epoch_of(p->now_ns) & 1;
	c->hash = cookie_end(&s, p, p->seq, low, ts);
	c->isn = (c->hash >> (32 + bits)) << bits | low;
}

static __always_inline void cookie_decode(struct sw_cookie *c, bool ts)
{
	if (ts) {
		c->mss = c->isn >> 7 & 7;
		c->wscale = c->isn >> 3 & 15;
		c->has = (c->isn & 4 ? SW_OPT_SACK : 0) | (c->isn & 2 ? SW_OPT_ECN : 0) | SW_OPT_TS;
	} else {
		__u32 kept = profile_of(c->isn >> 1);

		c->mss = c->isn >> 5 & 7;
		c->wscale = kept >> 4;
		c->has = kept & 15;
	}
	if (c->wscale != SW_WSCALE_NONE)
		c->has |= SW_OPT_WS;
}

/* Out of line: seldom needed, as the listener's state is ready for both epochs. */
static __noinline __u64 cookie_hash_of_ack(const struct sw_pkt *p, const struct sw_cookie *c,
					   __u32 client_isn, __u32 our_scale)
{
	bool ts = p->opts.has & SW_OPT_TS;
	struct sip s;

	if (!cookie_begin(&s, p, c->epoch, our_scale))
		return 0;
	return cookie_end(&s, p, client_isn, c->isn & ((1U << cookie_bits(ts)) - 1), ts);
}

/* Is c->isn a cookie of c->epoch for this tuple, client_isn and the echoed timestamp? */
static __always_inline bool cookie_matches(const struct sw_pkt *p, __u64 hash, struct sw_cookie *c)
{
	__u32 bits = cookie_bits(p->opts.has & SW_OPT_TS);

	if (hash >> (32 + bits) != c->isn >> bits || !hash)
		return false;
	c->hash = hash;
	c->sent_ticks = p->opts.tsecr - (__u32)hash;
	c->age_ticks = (__u32)(p->now_ns >> SW_TS_SHIFT) - c->sent_ticks + SW_TS_LAG_TICKS;
	return true;
}

/*
 * Check the cookie that p acknowledges; client_isn is SEQ - 1 (or SEQ for a keepalive).
 * True: c says what it stands for. The epoch's parity tells this epoch from the last.
 */
static __always_inline bool cookie_check(const struct sw_pkt *p, __u32 client_isn,
					 const struct sw_host *h, struct sw_cookie *c)
{
	struct sip s;
	__u64 hash;
	__u32 now = epoch_of(p->now_ns);
	bool ts = p->opts.has & SW_OPT_TS;

	c->isn = p->ack - 1;
	c->epoch = now - ((now ^ c->isn) & 1);
	if (h->epoch - c->epoch > 1) {
		hash = cookie_hash_of_ack(p, c, client_isn, h->wscale);
	} else {
		s = h->mid[c->epoch & 1];
		hash = cookie_end(&s, p, client_isn, c->isn & ((1U << cookie_bits(ts)) - 1), ts);
	}
	if (!cookie_matches(p, hash, c) || (ts && c->age_ticks >= SW_TS_LIFE_TICKS))
		return false;
	cookie_decode(c, ts);
	return true;
}

/* The same where it is seldom asked for: a call, and its own stack. */
static __noinline bool cookie_check_again(const struct sw_pkt *p, __u32 client_isn,
					  const struct sw_host *h, struct sw_cookie *c)
{
	return cookie_check(p, client_isn, h, c);
}

/* Was it one in the two epochs before? Only for the name of the drop: late, not forged. */
static __always_inline bool cookie_expired(const struct sw_pkt *p, __u32 our_scale,
					   struct sw_cookie *c)
{
	c->epoch -= 2;
	return cookie_matches(p, cookie_hash_of_ack(p, c, p->seq - 1, our_scale), c);
}

#endif /* SW_COOKIE_H */
