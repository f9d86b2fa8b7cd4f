/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every map and every load-time constant. Layouts are in include/synwarden.h; values that
 * only the programs read (caches, budgets) are defined here.
 */
#ifndef SW_MAPS_H
#define SW_MAPS_H

#include "kernel.h"
#include "synwarden.h"

const volatile struct sw_boot sw_boot = {};

/* State of SipHash. */
struct sip {
	__u64 v0, v1, v2, v3;
};

/* A listener as lately looked up; see listener.h. */
struct sw_host {
	__be32 daddr[4];
	__u32 ifindex;
	__be16 dport;
	__u8 family;
	__u8 state; /* enum sw_host_state */
	__u64 expires_ns;
	__u16 window[8]; /* host order, by MSS index of the client */
	__u16 mss;       /* we advertise */
	__u8 wscale;     /* we offer */
	__u8 allow;      /* SW_OPT_* the host's sysctls allow */
	__u8 mac[6];     /* of the device, all zero: unknown */
	__u8 no_meta;    /* generic XDP: its metadata does not reach tc */
	__u8 crowded;    /* accept queue nearly full: the last ACK of a handshake may be lost */
	__u32 epoch;     /* as of now: mid is of it and the one before, by parity */
	__u8 ttl;        /* of our SYN-ACK */
	__u8 pad[3];
	struct sip mid[2]; /* cookie_begin() for this listener and its scale */
};

struct sw_budget {
	__u64 second; /* CLOCK_MONOTONIC >> 30 */
	__u64 used;
};

/* What a CPU remembers from packet to packet: the clock as lately read, see clock.h, and more. */
struct sw_cpu {
	__u64 ns;
	__u64 jiffies;
	__u32 left;   /* reuses of ns before it is read again */
	__u32 streak; /* readings in a row as close as in a flood */
	__u64 second_jiffies;
	__u32 second;        /* sw_seconds() as of then */
	__u32 state_changes; /* since the last state event */
	__u32 unmarked;      /* packets of tc yet to look at for a cookie xdp could not mark */
	__u32 pad;
};

/* New SYNs of a service that this CPU has not told yet. */
struct sw_arm_cpu {
	__u32 syns;
	__u32 window;
};

#define SW_BUDGET_TINY_MSS  (SW_MAX_SERVICES + 0) /* below: host_syns of the service */
#define SW_BUDGET_EXPIRED   (SW_MAX_SERVICES + 1)
#define SW_BUDGET_KEEPALIVE (SW_MAX_SERVICES + 2)
#define SW_BUDGET_SIGNED    (SW_MAX_SERVICES + 3)
#define SW_BUDGET_CLOSED    (SW_MAX_SERVICES + 4)
#define SW_BUDGET_ASK       (SW_MAX_SERVICES + 5)
#define SW_BUDGET_STATE     (SW_MAX_SERVICES + 6)
#define SW_BUDGET_SYNACK    (SW_MAX_SERVICES + 7)
#define SW_BUDGETS          (SW_MAX_SERVICES + 8)

#define SW_CHALLENGE_SLOTS 4096

/* User space writes; XDP reads. Never full: fixed index. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_HALVES *SW_MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct sw_service);
} sw_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_HALVES *SW_PORTS);
	__type(key, __u32);
	__type(value, struct sw_port);
} sw_ports SEC(".maps");

/* User space writes. Full: `service add` fails and changes nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SW_HALVES * 4096);
	__type(key, struct sw_prefix_key);
	__type(value, struct sw_prefix);
} sw_prefixes SEC(".maps");

/* User space writes. Full: `allow` and `deny` fail and change nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SW_HALVES *SW_LIST_ENTRIES);
	__type(key, struct sw_list_key);
	__type(value, struct sw_listed);
} sw_lists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * SW_LIST_MAX);
	__type(key, __u32);
	__type(value, struct sw_list_hit);
} sw_list_hits SEC(".maps");

/*
 * See sources.h. sw_sources is sized by the loader. Full: the connection is not counted, and
 * passes; sw_limit_hits says so.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SW_SOURCES_MIN);
	__type(key, __u32);
	__type(value, struct sw_source);
} sw_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SW_SUSPECT_WORDS + 1);
	__type(key, __u32);
	__type(value, __u64);
} sw_suspect SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct sw_limit_hits);
} sw_limit_hits SEC(".maps");

/* Programs write, see arm.h. Never full: fixed index; the oldest attack is forgotten. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SW_MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct sw_arming);
} sw_arming SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct sw_arm_cpu);
} sw_arm_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_ATTACKS);
	__type(key, __u32);
	__type(value, struct sw_attack);
} sw_attacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_settings);
} sw_settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_KEY_SLOTS);
	__type(key, __u32);
	__type(value, struct sw_key);
} sw_keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_keysched);
} sw_keysched SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SW_MAX_DEVS);
	__type(key, __u32);
	__type(value, struct sw_dev);
} sw_devs SEC(".maps");

/* Programs write, user space sums over CPUs. Per CPU and softirq: no atomics needed. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_MAX_SERVICES *SW_REASON_MAX);
	__type(key, __u32);
	__type(value, struct sw_count);
} sw_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_HOOK_MAX);
	__type(key, __u32);
	__type(value, struct sw_rx);
} sw_rx SEC(".maps");

/*
 * The connection tables and what is counted of them; see conns.h. Sized by the loader, mapped
 * by user space. Full: the connection goes on untracked, sw_tables counts it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SW_WAYS);
	__type(key, __u32);
	__type(value, struct sw_conn);
} sw_conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SW_WAYS);
	__type(key, __u32);
	__type(value, struct sw_conn);
} sw_half SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SW_MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct sw_gauge);
} sw_gauges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SW_TABLE_MAX);
	__type(key, __u32);
	__type(value, struct sw_table_use);
} sw_tables SEC(".maps");

/* Constant memory, shared by CPUs; see memory.h. sw_live is sized by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * SW_LIVE_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} sw_live SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_USED_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} sw_used SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_CAP_SLOTS);
	__type(key, __u32);
	__type(value, struct sw_cap);
} sw_cap SEC(".maps");

/* Challenge ACKs provoked per connection, by tuple hash. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_CHALLENGE_SLOTS);
	__type(key, __u32);
	__type(value, struct sw_cap);
} sw_challenge SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_HOST_SLOTS);
	__type(key, __u32);
	__type(value, struct sw_host);
} sw_host SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_BUDGETS);
	__type(key, __u32);
	__type(value, struct sw_budget);
} sw_budget SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_cpu);
} sw_cpu SEC(".maps");

/* Programs write, `events` reads. Full: the event is lost and sw_rx.events_lost counts it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SW_EVENTS_BYTES);
} sw_events SEC(".maps");

#endif /* SW_MAPS_H */
