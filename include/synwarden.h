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

#include "sw_policy.h"
#include "sw_reasons.h"

#define SW_ABI_VERSION 3

#define SW_MAX_DEVS     64 /* attached devices */
#define SW_PORTS        65536
#define SW_KEY_SLOTS    3          /* current, previous, and one to write the next into */
#define SW_LIVE_WORDS   (1U << 14) /* least size of one half of the presence filter, 1 Mbit */
#define SW_USED_SLOTS   65536      /* cookies already turned into a connection */
#define SW_CAP_SLOTS    1024       /* SYN-ACK cap, one counter per hashed source prefix */
#define SW_HOST_SLOTS   256        /* listeners lately looked up, per CPU */
#define SW_EVENTS_BYTES (256 * 1024)

/* The connection tables: buckets of SW_WAYS slots, two buckets a tuple may be in. */
#define SW_WAYS       8
#define SW_CONNS      131072 /* connections, unless attach is told */
#define SW_CONNS_MIN  64
#define SW_CONNS_MAX  (1U << 24)
#define SW_HALF_SHARE 8 /* half-open ones: connections divided by this */
/* Slots per connection, as a fraction: filled to its size, 0 of 1,000,000 found no slot (bench). */
#define SW_SLOTS_NUM 5
#define SW_SLOTS_DEN 3

/* A cookie's epoch is CLOCK_MONOTONIC >> 36, 68.7 s; it lives one to two epochs. */
#define SW_EPOCH_SHIFT 36
/* TSval of a cookie SYN-ACK ticks at CLOCK_MONOTONIC >> 20, 1.05 ms (RFC 7323 5.4). */
#define SW_TS_SHIFT 20

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

SW_ASSERT_SIZE(sw_boot, 48);
SW_ASSERT_SIZE(sw_conn, 64);
SW_ASSERT_SIZE(sw_gauge, 128);
SW_ASSERT_SIZE(sw_table_use, 40);
SW_ASSERT_SIZE(sw_port, 4);
SW_ASSERT_SIZE(sw_prefix_key, 24);
SW_ASSERT_SIZE(sw_prefix, 4);
SW_ASSERT_SIZE(sw_settings, 168);
SW_ASSERT_SIZE(sw_key, 24);
SW_ASSERT_SIZE(sw_keysched, 8);
SW_ASSERT_SIZE(sw_dev, 28);
SW_ASSERT_SIZE(sw_count, 40);
SW_ASSERT_SIZE(sw_rx, 24);
SW_ASSERT_SIZE(sw_cap, 8);
SW_ASSERT_SIZE(sw_event, 80);

#endif /* SYNWARDEN_H */
