/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contract between the BPF programs and user space: map names, keys, values,
 * events and limits. Both sides include this and nothing of each other.
 *
 * Addresses are 128 bits in network order; IPv4 is written v4-mapped
 * (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so there is one key type. __be16 and
 * __be32 are wire order, everything else host order. A change to any layout or
 * meaning here raises SW_ABI_VERSION.
 */
#ifndef SYNWARDEN_H
#define SYNWARDEN_H

#include <linux/types.h>

#include "sw_reasons.h"

#define SW_ABI_VERSION 3

#define SW_MAX_SERVICES 128 /* ids 1..127; id 0 counts what belongs to no service */
#define SW_MAX_DEVS     64  /* attached devices */
#define SW_PORTS        65536
#define SW_KEY_SLOTS    3          /* current, previous, and one to write the next into */
#define SW_LIVE_WORDS   (1U << 14) /* least size of one half of the presence filter, 1 Mbit */
#define SW_USED_SLOTS   65536      /* cookies already turned into a connection */
#define SW_CAP_SLOTS    1024       /* SYN-ACK cap, one counter per hashed source prefix */
#define SW_HOST_SLOTS   256        /* listeners lately looked up, per CPU */
#define SW_EVENTS_BYTES (256 * 1024)
#define SW_LIST_ENTRIES \
	(1U << 19)      /* of all lists; a load of all of them anew needs as many again */
#define SW_FAIL_SAFE 8  /* ports that no list closes */
#define SW_ATTACKS   64 /* episodes remembered */

/* The connection tables: buckets of SW_WAYS slots, two buckets a tuple may be in. */
#define SW_WAYS       8
#define SW_CONNS      131072 /* connections, unless attach is told */
#define SW_CONNS_MIN  64
#define SW_CONNS_MAX  (1U << 24)
#define SW_HALF_SHARE 8 /* half-open ones: connections divided by this */
/* Sources that have a limit: slots of SW_SOURCE_WAYS to a bucket, a power of two of them. */
#define SW_SOURCE_WAYS   4
#define SW_SOURCES_MIN   4096
#define SW_SOURCE_SHARE  4    /* connections divided by this, rounded up */
#define SW_SUSPECT_WORDS 1024 /* of 64 bits; see sw_suspect */
/* Slots per connection, as a fraction: filled to its size, 0 of 1,000,000 found no slot (bench). */
#define SW_SLOTS_NUM 5
#define SW_SLOTS_DEN 3

/* A cookie's epoch is CLOCK_MONOTONIC >> 36, 68.7 s; it lives one to two epochs. */
#define SW_EPOCH_SHIFT 36
/* TSval of a cookie SYN-ACK ticks at CLOCK_MONOTONIC >> 20, 1.05 ms (RFC 7323 5.4). */
#define SW_TS_SHIFT 20

enum sw_mode {
	SW_MODE_OFF,     /* pass, count */
	SW_MODE_MONITOR, /* judge as `always` does and count as "would", pass */
	SW_MODE_AUTO,    /* judge and enforce; cookies only while armed */
	SW_MODE_ALWAYS,  /* judge and enforce */
};

enum sw_armed {
	SW_DISARMED, /* everything passes (PASS_DISARMED) */
	SW_ARMED,
	SW_DRAINING, /* SYNs pass, cookies out there are still honoured: the last moment of detach */
};

enum sw_engine {
	SW_ENGINE_AUTO,     /* loader only: probe decides */
	SW_ENGINE_REQSK,    /* own cookie, bpf_sk_assign_tcp_reqsk (Linux 6.9) */
	SW_ENGINE_LISTENER, /* the kernel's cookie, tcp_syncookies=2 (Linux 6.0) */
};

/*
 * The states of RFC 9293 section 3.3.2, of the server's endpoint. LISTEN has no entry in the
 * table, CLOSED is the tombstone of a connection.
 */
enum sw_state {
	SW_FREE,    /* slot unused */
	SW_CLAIMED, /* slot being written */
	SW_CLOSED,
	SW_LISTEN,
	SW_SYN_SENT,
	SW_SYN_RECEIVED,
	SW_ESTABLISHED,
	SW_FIN_WAIT_1,
	SW_FIN_WAIT_2,
	SW_CLOSE_WAIT,
	SW_CLOSING,
	SW_LAST_ACK,
	SW_TIME_WAIT,
	SW_STATE_MAX,
} __attribute__((packed));

/* sw_conn.flags */
#define SW_CONN_CONFIRMED  0x01 /* the host was seen to hold it: a segment of its, or its socket */
#define SW_CONN_CLIENT_FIN 0x02 /* client_fin is valid */
#define SW_CONN_SERVER_FIN 0x04 /* server_fin is the FIN's, not the SYN's */
#define SW_CONN_SYN_PASSED 0x08 /* TIME-WAIT: a SYN went to the host, whose ACK may earn a RST */
#define SW_CONN_RST_SEEN   0x10 /* an inexact RST passed: the host may be gone */
#define SW_CONN_OUTBOUND   0x20 /* opened by the host */
#define SW_CONN_HELD       0x40 /* found by the walk over the sockets; sweep's own */
#define SW_CONN_ADOPTED    0x80 /* learnt from a socket, its handshake was not seen */

/*
 * Lists of source prefixes. They decide who may open a connection: `deny` refuses its SYN and
 * the ACK that ends its handshake, but what is in fail_safe or allow. A connection that is
 * there goes on.
 */
enum sw_list {
	SW_LIST_FAIL_SAFE, /* what must never be locked out; `apply` leaves it alone */
	SW_LIST_ALLOW,
	SW_LIST_DENY,
	SW_LIST_MAX,
};

/* Why a service was armed. */
enum sw_arm_cause {
	SW_ARM_SYNS,       /* SYN rate */
	SW_ARM_HALF_OPEN,  /* connections in SYN-RECEIVED */
	SW_ARM_UNFINISHED, /* share of handshakes that do not end */
	SW_ARM_CAUSES,
};

#define SW_CONN_COUNTED 0x80 /* in sw_conn.service: its source counts it, see sw_source */

/* The two connection tables. */
enum sw_table {
	SW_TABLE_CONNS, /* proven: the client answered from its address */
	SW_TABLE_HALF,  /* SYN-SENT and SYN-RECEIVED */
	SW_TABLE_MAX,
};

enum sw_event_kind {
	SW_EVENT_PACKET,     /* a reason, sampled */
	SW_EVENT_STATE,      /* a connection moved from state_from to state_to, sampled */
	SW_EVENT_TABLE_FULL, /* a connection found no room in `table`; once until there is room */
	SW_EVENT_ARMED,    /* a service was armed; `table` is enum sw_arm_cause, `packets` SYN/s */
	SW_EVENT_DISARMED, /* `packets`: the most SYN/s there were */
};

enum sw_hook {
	SW_HOOK_XDP,
	SW_HOOK_TC_IN,
	SW_HOOK_TC_OUT,
	SW_HOOK_MAX,
};

/* Load-time configuration: constants to the verifier, so what an engine does not use is pruned. */
struct sw_boot {
	__u64 seed0; /* random per load: hash of tuples in filter and caches */
	__u64 seed1;
	__u32 engine;                /* enum sw_engine, never AUTO */
	__u32 mark;                  /* random, not 0: magic of the XDP metadata */
	__u32 max[SW_TABLE_MAX];     /* connections in a table */
	__u32 buckets[SW_TABLE_MAX]; /* of SW_WAYS slots */
	__u32 live_words;            /* of one half of the presence filter, a power of two */
	__u32 sources;               /* slots, a power of two */
};

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
	__u32 unfinished; /* of a hundred handshakes in the last second or two, so many did not end */
};

/* Of a source that proved its address: how much of it at the most. 0: no limit. */
struct sw_source_limit {
	__u32 new_pps;     /* new connections per second */
	__u32 burst;       /* and so many at once */
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
	__u32 hold_s;        /* armed for so long after it was last above a lower mark */
	struct sw_arm_marks upper;
	struct sw_arm_marks lower;
	struct sw_source_limit limit[SW_LEVELS];
	enum sw_over_action over;
	__u32 ban_s;
	__u32 limited; /* 1: there is any limit */
	__u32 pad[3];
};

/* sw_ports: array, index = half * SW_PORTS + destination port. */
#define SW_PORT_FAIL_SAFE 0x8000 /* in any_service: no list refuses a connection to this port */
struct sw_port {
	__u16 any_service; /* id of the service for any address, 0 none */
	__u16 group;       /* group to look up in sw_prefixes, 0 none */
};

/* sw_prefixes: LPM trie. Group 0 holds every guarded prefix, whatever the port. */
struct sw_prefix_key {
	__u32 prefix_len; /* 32 + prefix_len of the service */
	__u16 half;
	__u16 group;
	__be32 addr[4];
};

struct sw_prefix {
	__u32 service; /* id; in group 0 the prefix's service with the strictest mode */
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
	char comment[SW_COMMENT];
	__u64 added_s; /* CLOCK_REALTIME */
};

/* sw_list_hits: per-CPU array, index = enum sw_list * 2 + (IPv6 ? 1 : 0): sources found in it. */
struct sw_list_hit {
	__u64 packets;
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
#define SW_ARM_LEAST 128 /* SYNs in two spans that make a share of unfinished ones */

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

/* sw_settings: array of one. The limits are numbers of their own: no verdict takes two of them. */
struct sw_settings {
	__u32 abi_version;
	enum sw_armed armed;
	enum sw_engine engine;
	__u32 gen;              /* SW_GEN_* */
	__u32 synack_cap_pps;   /* SYN-ACKs per second to one /24 or /48, per CPU; 0 = no cap */
	__u32 synack_total_pps; /* SYN-ACKs per second and CPU; 0 = no cap */
	/* Strictest mode of the services for any address, OFF without; by half. */
	enum sw_mode any_mode[SW_HALVES];
	__u32 lists[SW_HALVES]; /* a bit per enum sw_list that has entries for every service */
	__u32 event_gap_ms; /* least time between events of one reason, service and CPU; 0 = none */
	__u32 rmem_max;     /* net.core.rmem_max: bound of the offered window scale */
	__u32 recheck;      /* 1: tc checks every ACK itself (driver without metadata) */
	__u32 live_gen; /* rebuilds of the presence filter; its lowest bit is the half that is read */
	__u32 live_both;         /* 1 while the other half is rebuilt: mark both */
	__u32 syncookies_saved;  /* net.ipv4.tcp_syncookies before attach, +1; 0 = unchanged */
	__u32 state_event_every; /* one event of so many state changes; 0 = none */
	__u32 pad;
	__u16 fail_safe[SW_FAIL_SAFE]; /* ports, host order, 0: none; laid out in sw_ports */
	__u64 loaded_ns;               /* CLOCK_BOOTTIME at load */
	/* CLOCK_MONOTONIC. Until then a handshake begun before the guard may end: every unknown
	 * ACK is asked for, not only those the presence filter knows. */
	__u64 grace_until_ns;
	__u32 state_events_pps;        /* most state events per second and CPU */
	__u32 ask_pps;                 /* socket lookups for unknown tuples per second and CPU */
	__u32 challenge_pps;           /* challenge ACKs provoked per second, connection and CPU */
	__u32 timeout_s[SW_STATE_MAX]; /* after so long in a state without a segment the sweep
					* asks the host; what it does not hold goes */
};

/* sw_keys: array, SW_KEY_SLOTS. 128-bit SipHash keys; secret. */
struct sw_key {
	__u64 k0;
	__u64 k1;
	__u64 made_s; /* CLOCK_REALTIME */
};

/* sw_keysched: array of one, one word: switched atomically after the key is written. */
struct sw_keysched {
	__u32 since_epoch; /* first epoch of slot `now` */
	__u16 now;
	__u16 before;
};

/* sw_devs: hash, key = ifindex (__u32). */
struct sw_dev {
	__u8 mac[6];        /* frames to another address are not answered */
	__u8 native;        /* 1 native XDP, 0 generic */
	__u8 rxvlan_was_on; /* tag stripping switched off at attach */
	__u8 tcx;           /* 1 tcx link, 0 clsact filter */
	__u8 made_clsact;   /* qdisc is ours to remove */
	__u8 pad[2];
	char name[16];
};

/* sw_stats: per-CPU array, index = service id * SW_REASON_MAX + enum sw_reason. */
struct sw_count {
	__u64 packets;
	__u64 bytes;         /* frame length as received */
	__u64 would_packets; /* of packets: TX or DROP not enforced (mode monitor) */
	__u64 event_ns;      /* last event of this reason and service */
	__u64 event_packets; /* packets at that event */
};

/* sw_rx: per-CPU array, index = enum sw_hook: frames in, before any decision. */
struct sw_rx {
	__u64 packets;
	__u64 bytes;
	__u64 events_lost; /* ring buffer full */
};

/*
 * sw_conns, sw_half: arrays of slots, mapped by user space; one line of the cache each. The
 * word of state, flags, service and generation changes by compare-and-swap only, so a slot is
 * freed by a sweep only as long as it is the connection the sweep saw. A writer that makes a
 * slot its own sets CLAIMED and a new generation, writes the rest, then sets the state.
 * Times: CLOCK_MONOTONIC, sw_seconds().
 */
struct sw_conn {
	__be32 client[4];
	__be32 server[4];
	__be16 client_port;
	__be16 server_port;
	enum sw_state state;
	__u8 flags;   /* SW_CONN_* */
	__u8 service; /* id; and SW_CONN_COUNTED */
	__u8 generation;
	__u32 opened_s;
	__u32 changed_s;  /* of the state; TIME-WAIT: or last FIN (2MSL restarts) */
	__u32 seen_s;     /* last segment that was in the window */
	__u32 rcv_nxt;    /* host order: what the host expected when it was last asked */
	__u32 client_fin; /* host order: sequence number of the client's FIN */
	__u32 server_fin; /* of ours; before there is one: of our SYN */
};

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
 * so that a flood of SYNs need not look for sources. Set by the programs, rebuilt by the sweep.
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

/* Keyed by the seeds of the load; never 0. */
static inline __u64 sw_source_tag(const volatile struct sw_boot *boot, const __be32 *addr,
				  __u32 level, __u32 service)
{
	__u64 prefix, h = boot->seed1 ^ (service << 8 | level);

	if (!addr[0] && !addr[1] && addr[2] == SW_BE32(0xffff))
		prefix = 1ULL << 32 | (addr[3] & (level ? SW_BE32(0xffffff00) : ~0U));
	else
		prefix = (__u64)addr[0] << 32 | (addr[1] & (level ? SW_BE32(0xffff0000) : ~0U));
	return sw_mix64(sw_mix64(h, prefix), boot->seed0) | 1;
}

/* sw_gauges: array, index = service id, mapped by user space; atomic. */
struct sw_gauge {
	__u64 conns[16]; /* in either table, by enum sw_state */
};

/* sw_tables: array, index = enum sw_table, mapped by user space; atomic. */
struct sw_table_use {
	__u64 used;        /* slots */
	__u64 full;        /* times a connection found no room; each of its segments tries again */
	__u32 fin_until_s; /* first entry only: until then egress looks for what ends them */
	__u32 reported;    /* 1: the event of a full table was sent; the sweep sets it back */
	__u64 fin_pending; /* first entry only: connections whose FIN came out of order */
	/* First entry only: 1: since the last `adopt` the host was seen to hold a connection that is
	 * in no table: there was no room, or its socket's numbers cannot be read. */
	__u64 unlisted;
};

/* CLOCK_MONOTONIC in seconds, at the cost of a multiplication; good for 68 years. */
static inline __u32 sw_seconds(__u64 ns)
{
	return (__u32)((ns >> 20) * 4503600 >> 32);
}

/* sw_live: array of 2 * sw_boot.live_words bit words; a set bit: the host may hold such a tuple. */
/* sw_used: array of one tagged word per slot, see bpf/memory.h. */
/* sw_cap: per-CPU array of SW_CAP_SLOTS. sw_challenge: the same, `second` with a tag above. */
struct sw_cap {
	__u32 second; /* CLOCK_MONOTONIC >> 30 */
	__u32 count;
};

/* sw_events: ring buffer of these. */
struct sw_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	enum sw_reason reason;
	__u32 service; /* id, 0 none */
	__be32 saddr[4];
	__be32 daddr[4];
	__be16 sport;
	__be16 dport;
	__u32 ifindex;
	__u32 seq;      /* host order */
	__u32 ack;      /* host order */
	__u8 tcp_flags; /* RFC 9293 3.1: CWR ECE URG ACK PSH RST SYN FIN */
	__u8 family;    /* 4 or 6 */
	__u8 would;     /* not enforced */
	__u8 hook;      /* enum sw_hook */
	__u8 kind;      /* enum sw_event_kind */
	enum sw_state state_from;
	enum sw_state state_to;
	__u8 table;    /* enum sw_table */
	__u64 packets; /* of this reason, service and CPU since the last event */
};

#define SW_ASSERT_SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size), "ABI: size of struct " #type)
SW_ASSERT_SIZE(sw_boot, 48);
SW_ASSERT_SIZE(sw_conn, 64);
SW_ASSERT_SIZE(sw_gauge, 128);
SW_ASSERT_SIZE(sw_table_use, 40);
SW_ASSERT_SIZE(sw_service, 128);
SW_ASSERT_SIZE(sw_source, 64);
SW_ASSERT_SIZE(sw_port, 4);
SW_ASSERT_SIZE(sw_prefix_key, 24);
SW_ASSERT_SIZE(sw_prefix, 4);
SW_ASSERT_SIZE(sw_settings, 168);
SW_ASSERT_SIZE(sw_list_key, 24);
SW_ASSERT_SIZE(sw_listed, 56);
SW_ASSERT_SIZE(sw_arming, 56);
SW_ASSERT_SIZE(sw_attack, 40);
SW_ASSERT_SIZE(sw_key, 24);
SW_ASSERT_SIZE(sw_keysched, 8);
SW_ASSERT_SIZE(sw_dev, 28);
SW_ASSERT_SIZE(sw_count, 40);
SW_ASSERT_SIZE(sw_rx, 24);
SW_ASSERT_SIZE(sw_cap, 8);
SW_ASSERT_SIZE(sw_event, 80);

#endif /* SYNWARDEN_H */
