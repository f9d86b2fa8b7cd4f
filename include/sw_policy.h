/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of the contract that says what is wanted: services, when they arm, lists, limits on
 * sources; and what the programs note of that. Included by synwarden.h, which has the rest.
 */
#ifndef SW_POLICY_H
#define SW_POLICY_H

#include <linux/types.h>

#define SW_ASSERT_SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size), "ABI: size of struct " #type)

#define SW_MAX_SERVICES 128 /* ids 1..127; id 0 counts what belongs to no service */
/* of all lists; a load of all of them anew needs as many again */
#define SW_LIST_ENTRIES (1U << 19)
#define SW_FAIL_SAFE    8  /* ports that no list closes */
#define SW_ATTACKS      64 /* episodes remembered */

/* Sources that have a limit: slots of SW_SOURCE_WAYS to a bucket, a power of two of them. */
#define SW_SOURCE_WAYS   4
#define SW_SOURCES_MIN   4096
#define SW_SOURCE_SHARE  4    /* connections divided by this, rounded up */
#define SW_SUSPECT_WORDS 1024 /* of 64 bits, and one more; see sw_suspect */

enum sw_mode {
	SW_MODE_OFF,     /* pass, count */
	SW_MODE_MONITOR, /* judge as `always` does and count as "would", pass */
	SW_MODE_AUTO,    /* judge and enforce; cookies only while armed */
	SW_MODE_ALWAYS,  /* judge and enforce */
};

/* --- services -------------------------------------------------------------------------- */

/*
 * The configuration lies in halves, and a packet reads one of each: user space writes the other
 * and then sw_settings.gen. Bit 0 of that is the half of services, ports and prefixes, bit 1
 * that of the lists.
 */
#define SW_GEN_CONFIG 1
#define SW_GEN_LISTS  2
#define SW_HALVES     2

/* Marks that arm a service, or keep it armed. 0: that mark is not looked at. */
struct sw_arm_marks {
	__u32 syns_pps;  /* new SYNs per second */
	__u32 half_open; /* connections in SYN-RECEIVED */
	__u32 unfinished; /* of a hundred handshakes begun in the second before, so many have not ended */
};

/* Of a source that proved its address: how much of it at the most. 0: no limit. */
struct sw_source_limit {
	__u32 new_pps;     /* new connections per second */
	__u32 burst;       /* and so many at once; 0: those of a second */
	__u32 conns;       /* connections at a time */
	__u32 half_closed; /* of them in FIN-WAIT-2 or CLOSE-WAIT */
	__u32 stalled;     /* of them without progress: the client takes nothing */
};

/* The two prefixes of a source that are counted. */
enum sw_level {
	SW_LEVEL_HOST, /* /32, /64 */
	SW_LEVEL_NET,  /* /24, /48 */
	SW_LEVELS,
};

enum sw_over_action {
	SW_OVER_COUNT, /* only count */
	SW_OVER_DROP,  /* refuse new connections while it is over */
	SW_OVER_BAN,   /* and for ban_s from then on */
};

/* Which limit; the reasons DROP_LIMIT_* are in this order. */
enum sw_limit_kind {
	SW_LIMIT_RATE,
	SW_LIMIT_CONNS,
	SW_LIMIT_HALF_CLOSED,
	SW_LIMIT_STALLED,
	SW_LIMIT_KINDS,
};

/* sw_services: array, index = half * SW_MAX_SERVICES + id. Written by user space. */
struct sw_service {
	__be32 addr[4];   /* all zero with prefix_len 0: any address, both families */
	__u32 prefix_len; /* 0..128 in v4-mapped space: 10.0.0.0/8 is 104 */
	__u16 port_first; /* 0: slot unused */
	__u16 port_last;
	enum sw_mode mode;
	__u32 host_syns_pps; /* SYN/s per CPU that go to the host uncookied */
	__u32 lists;         /* a bit per enum sw_list that has entries for this service alone */
	__u32 limited;       /* 1: there is a limit on its sources */
	__u32 hold_s;        /* armed for so long after it was last above a lower mark */
	struct sw_arm_marks upper;
	struct sw_arm_marks lower;
	struct sw_source_limit limit[SW_LEVELS];
	enum sw_over_action over;
	__u32 ban_s;
	__u32 pad[3];
};

/* --- lists ----------------------------------------------------------------------------- */

/*
 * Lists of source prefixes. They decide who may open a connection: `deny` refuses its SYN and
 * the ACK that ends its handshake, but what is in fail_safe or allow. A connection that is
 * there goes on.
 */
enum sw_list {
	SW_LIST_FAIL_SAFE, /* what must never be locked out */
	SW_LIST_ALLOW,
	SW_LIST_DENY,
	SW_LIST_MAX,
};

/* sw_lists: LPM trie. */
struct sw_list_key {
	__u32 prefix_len; /* 32 + 0..128 in v4-mapped space */
	__u8 half;
	__u8 list;     /* enum sw_list */
	__u16 service; /* id, 0: every service */
	__be32 addr[4];
};

#define SW_COMMENT 44
struct sw_listed {
	__u32 until_s; /* sw_seconds(); past this it is no entry any more. 0: for ever */
	__u32 ttl_s;   /* as it was asked for, by which a change of it is known */
	char comment[SW_COMMENT];
	__u32 pad;
	__u64 added_s; /* CLOCK_REALTIME */
};

/* sw_list_hits: per-CPU array, index = enum sw_list * 2 + (IPv6 ? 1 : 0): sources found in it. */
struct sw_list_hit {
	__u64 packets;
};

/* --- arming ---------------------------------------------------------------------------- */

/* Why a service was armed. */
enum sw_arm_cause {
	SW_ARM_SYNS,       /* SYN rate */
	SW_ARM_HALF_OPEN,  /* connections in SYN-RECEIVED */
	SW_ARM_UNFINISHED, /* share of handshakes that do not end */
	SW_ARM_CAUSES,
};

/*
 * sw_arming: array, index = service id; mapped by user space. The programs write, `attacks` and
 * `status` read. Entry 0: attacks counts those of all services.
 */
struct sw_arming {
	__u32 window;   /* being counted: CLOCK_MONOTONIC >> SW_ARM_SHIFT */
	__u32 syns;     /* new SYNs in it, as far as the CPUs have told */
	__u32 finished; /* handshakes that ended in it */
	__u32 armed;
	__u32 syns_sum; /* of the windows of this span, SW_ARM_SPAN of them */
	__u32 finished_sum;
	__u32 syns_last; /* of the span before */
	__u32 finished_last;
	__u32 attacks;  /* episodes so far */
	__u32 attack;   /* number of the last one, among those of all services */
	__u64 since_ns; /* CLOCK_MONOTONIC: armed or disarmed */
	__u64 above_ns; /* last above a lower mark */
};
#define SW_ARM_SHIFT 27  /* 134 ms */
#define SW_ARM_SPAN  8   /* windows, a power of two: 1.07 s */
#define SW_ARM_LEAST 128 /* SYNs in a span that make a share of unfinished ones */

/* sw_attacks: array of SW_ATTACKS, a ring: the n-th episode of all is at n % SW_ATTACKS. */
struct sw_attack {
	__u64 start_ns; /* CLOCK_MONOTONIC; 0: slot unused */
	__u64 end_ns;   /* 0: it lasts */
	__u64 syns;
	__u32 peak_pps; /* SYN/s in a window of 134 ms */
	__u32 peak_half_open;
	__u32 peak_unfinished; /* per cent */
	__u16 service;
	__u8 cause; /* enum sw_arm_cause */
	__u8 pad;
};

/* --- sources --------------------------------------------------------------------------- */

/*
 * sw_sources: array of sw_boot.sources slots, mapped by user space: the sources of connections
 * that proved their address, of services with limits, by prefix. A slot is found by its tag
 * in the bucket the tag names. SW_SOURCE_FREED in `conns` keeps everyone out while it is
 * taken away, which happens only to a source without connections and bans.
 */
#define SW_SOURCE_FREED 0x80000000U
struct sw_source {
	__u64 tag;    /* sw_source_tag(); 0: slot unused */
	__u64 due_ns; /* CLOCK_MONOTONIC at which the rate's bucket is full again (GCRA) */
	__be32 addr[4];
	__u32 conns;
	__u32 half_closed;
	__u32 stalled;      /* as of the last walk over the sockets */
	__u32 stalled_walk; /* of the walk that goes on */
	__u32 banned_until_s;
	__u32 seen_s;
	__u32 refused; /* connections over a limit, refused or only counted */
	__u8 service;
	__u8 level; /* enum sw_level */
	__u8 pad[2];
};

/*
 * sw_suspect: array of bit words: a clear bit says that no connection of this tag is refused,
 * so that a flood of SYNs need not look for sources; the last word, beyond them, 0: no bit is
 * set. Set by the programs, rebuilt by the sweep.
 */

/* sw_limit_hits: array, index = service id: connections over each limit; atomic. */
struct sw_limit_hits {
	__u64 over[SW_LIMIT_KINDS];
	__u64 banned;  /* packets of banned sources */
	__u64 bans;    /* sources banned */
	__u64 no_room; /* connections not counted, for want of a slot */
	__u64 pad;
};

static inline __u64 sw_mix64(__u64 h, __u64 x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 32;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SW_BE32(x) __builtin_bswap32(x)
#else
#define SW_BE32(x) (x)
#endif

/* Keyed by the seeds of sw_boot; never 0. */
static inline __u64 sw_source_tag(__u64 seed0, __u64 seed1, const __be32 *addr, __u32 level,
				  __u32 service)
{
	__u64 prefix, h = seed1 ^ (service << 8 | level);

	if (!addr[0] && !addr[1] && addr[2] == SW_BE32(0xffff))
		prefix = 1ULL << 32 | (addr[3] & (level ? SW_BE32(0xffffff00) : ~0U));
	else
		prefix = (__u64)addr[0] << 32 | (addr[1] & (level ? SW_BE32(0xffff0000) : ~0U));
	return sw_mix64(sw_mix64(h, prefix), seed0) | 1;
}

SW_ASSERT_SIZE(sw_service, 128);
SW_ASSERT_SIZE(sw_list_key, 24);
SW_ASSERT_SIZE(sw_listed, 64);
SW_ASSERT_SIZE(sw_arming, 56);
SW_ASSERT_SIZE(sw_attack, 40);
SW_ASSERT_SIZE(sw_source, 64);
SW_ASSERT_SIZE(sw_arm_marks, 12);
SW_ASSERT_SIZE(sw_source_limit, 20);
SW_ASSERT_SIZE(sw_list_hit, 8);
SW_ASSERT_SIZE(sw_limit_hits, 64);

#endif /* SW_POLICY_H */
