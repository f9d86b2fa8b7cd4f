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

#define SW_ABI_VERSION 1

#define SW_MAX_SERVICES 128 /* ids 1..127; id 0 counts what belongs to no service */
#define SW_MAX_DEVS     64  /* attached devices */
#define SW_PORTS        65536
#define SW_KEY_SLOTS    3          /* current, previous, and one to write the next into */
#define SW_LIVE_BITS    (1U << 20) /* presence filter of tuples the host may hold */
#define SW_LIVE_WORDS   (SW_LIVE_BITS / 64)
#define SW_USED_SLOTS   65536 /* cookies already turned into a connection */
#define SW_KNOWN_SLOTS  65536 /* tuples lately seen to have a host socket */
#define SW_CAP_SLOTS    1024  /* SYN-ACK cap, one counter per hashed source prefix */
#define SW_HOST_SLOTS   256   /* listeners lately looked up, per CPU */
#define SW_EVENTS_BYTES (256 * 1024)

/* A cookie's epoch is CLOCK_MONOTONIC >> 36, 68.7 s; it lives one to two epochs. */
#define SW_EPOCH_SHIFT 36
/* TSval of a cookie SYN-ACK ticks at CLOCK_MONOTONIC >> 20, 1.05 ms (RFC 7323 5.4). */
#define SW_TS_SHIFT 20

enum sw_mode {
	SW_MODE_OFF,     /* pass, count */
	SW_MODE_MONITOR, /* judge and count as "would", pass */
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

enum sw_hook {
	SW_HOOK_XDP,
	SW_HOOK_TC_IN,
	SW_HOOK_MAX,
};

/* Load-time configuration: constants to the verifier, so what an engine does not use is pruned. */
struct sw_boot {
	__u64 seed0; /* random per load: hash of tuples in filter and caches */
	__u64 seed1;
	__u32 engine; /* enum sw_engine, never AUTO */
	__u32 mark;   /* random, not 0: magic of the XDP metadata */
};

/* sw_services: array, index = service id. Written by user space, read by XDP. */
struct sw_service {
	__be32 addr[4];   /* all zero with prefix_len 0: any address, both families */
	__u32 prefix_len; /* 0..128 in v4-mapped space: 10.0.0.0/8 is 104 */
	__u16 port_first; /* 0: slot unused */
	__u16 port_last;
	enum sw_mode mode;
	__u32 host_syns_pps; /* SYN/s per CPU that go to the host uncookied */
};

/* sw_ports: array, index = destination port. One word, so a packet never sees half an update. */
struct sw_port {
	__u16 any_service; /* id of the service for any address, 0 none */
	__u16 group;       /* group to look up in sw_prefixes, 0 none */
};

/* sw_prefixes: LPM trie. Group 0 holds every guarded prefix, whatever the port. */
struct sw_prefix_key {
	__u32 prefix_len; /* 32 + prefix_len of the service */
	__u16 pad;
	__u16 group;
	__be32 addr[4];
};

struct sw_prefix {
	__u32 service; /* id; in group 0 the prefix's service with the strictest mode */
};

/* sw_settings: array of one. */
struct sw_settings {
	__u32 abi_version;
	enum sw_armed armed;
	enum sw_engine engine;
	enum sw_mode any_mode; /* strictest mode of the services for any address, OFF without */
	__u32 synack_cap_pps;  /* SYN-ACKs per second to one /24 or /48, per CPU; 0 = no cap */
	__u32 event_gap_ms; /* least time between events of one reason, service and CPU; 0 = none */
	__u32 rmem_max;     /* net.core.rmem_max: bound of the offered window scale */
	__u32 recheck;      /* 1: tc checks every ACK itself (driver without metadata) */
	__u32 live_gen; /* rebuilds of the presence filter; its lowest bit is the half that is read */
	__u32 live_both;        /* 1 while the other half is rebuilt: mark both */
	__u32 syncookies_saved; /* net.ipv4.tcp_syncookies before attach, +1; 0 = unchanged */
	__u32 pad;
	__u64 loaded_ns; /* CLOCK_BOOTTIME at load */
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

/* sw_live: array of 2 * SW_LIVE_WORDS bit words; a set bit: the host may hold such a tuple. */
/* sw_used, sw_known: arrays of one tagged word per slot, see bpf/memory.h. */
/* sw_cap: per-CPU array of SW_CAP_SLOTS. */
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
	__u32 pad;
	__u64 packets; /* of this reason, service and CPU since the last event */
};

#define SW_ASSERT_SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size), "ABI: size of struct " #type)
SW_ASSERT_SIZE(sw_boot, 24);
SW_ASSERT_SIZE(sw_service, 32);
SW_ASSERT_SIZE(sw_port, 4);
SW_ASSERT_SIZE(sw_prefix_key, 24);
SW_ASSERT_SIZE(sw_prefix, 4);
SW_ASSERT_SIZE(sw_settings, 56);
SW_ASSERT_SIZE(sw_key, 24);
SW_ASSERT_SIZE(sw_keysched, 8);
SW_ASSERT_SIZE(sw_dev, 28);
SW_ASSERT_SIZE(sw_count, 40);
SW_ASSERT_SIZE(sw_rx, 24);
SW_ASSERT_SIZE(sw_cap, 8);
SW_ASSERT_SIZE(sw_event, 80);

#endif /* SYNWARDEN_H */
