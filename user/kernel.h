/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that touches the kernel: programs and pins (loader.c, pins.c), what the machine can do
 * (probe.c), links (attach.c), map elements (mapio.c), devices and sysctls (netdev.c), the
 * presence filter (adopt.c) and the self-test (selftest.c). The connection tables, which are
 * mapped memory, are table.h's.
 *
 * Functions return 0 or negative errno and have logged the cause, unless their comment says
 * that they are silent.
 */
#ifndef SW_USER_KERNEL_H
#define SW_USER_KERNEL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf.h>
#include <net/if.h>

#include "lists.h"
#include "services.h"
#include "synwarden.h"
#include "text.h"

#define SW_PIN_DEFAULT "/sys/fs/bpf/synwarden"

/* Maps that user space reads or writes; the programs have a few more. */
enum map_id {
	MAP_SERVICES,
	MAP_PORTS,
	MAP_PREFIXES,
	MAP_SETTINGS,
	MAP_KEYS,
	MAP_KEYSCHED,
	MAP_DEVS,
	MAP_STATS,
	MAP_RX,
	MAP_LIVE,
	MAP_EVENTS,
	MAP_CONNS,
	MAP_HALF,
	MAP_GAUGES,
	MAP_TABLES,
	MAP_ARMING,
	MAP_ATTACKS,
	MAP_SOURCES,
	MAP_SUSPECT,
	MAP_LIMIT_HITS,
	MAP_LISTS,
	MAP_LIST_HITS,
	MAP_ID_MAX,
};

enum prog_id {
	PROG_XDP,
	PROG_TC_IN, /* engine reqsk only, else -1 */
	PROG_TC_OUT,
	PROG_ADOPT,
	PROG_ID_MAX,
};

extern const char *const prog_names[PROG_ID_MAX];

struct synwarden_bpf;

/* One guard: descriptors of its maps and programs, fresh or from pins. */
struct guard {
	char dir[PATH_MAX / 2];
	int map[MAP_ID_MAX];
	int prog[PROG_ID_MAX];
	enum sw_engine engine;
	struct sw_boot boot;        /* as it was loaded with */
	struct synwarden_bpf *skel; /* until it is pinned */
};

#define GUARD_INIT                                                                               \
	{                                                                                        \
		.map = { [0 ... MAP_ID_MAX - 1] = -1 }, .prog = { [0 ... PROG_ID_MAX - 1] = -1 } \
	}
#define autoguard __attribute__((cleanup(guard_close)))

/* loader.c */
/*
 * Loads a new guard with the engine asked for and tables for so many connections; AUTO falls
 * back to the listener aloud.
 */
int guard_create(struct guard *g, const char *dir, enum sw_engine want, __u32 connections);
/* Before its load: the maps of an object of ours whose size is the guard's own choice. */
struct bpf_object;
int maps_size(const struct bpf_object *obj, const struct sw_boot *boot);
int guard_pin(struct guard *g);
/* Opens pins after checking version, types and sizes. */
int guard_open(struct guard *g, const char *dir);
/*
 * The same, to change it: no other run does until the lock is released. What a detach that was
 * killed left undone is put right.
 */
int guard_open_locked(struct guard *g, const char *dir, int *lock);
/* Their pins again: an upgrade may have replaced them. */
int guard_reopen_programs(struct guard *g);
void guard_close(struct guard *g);
/* For an upgrade: this build's programs, loaded with the maps and constants of a guard. */
int guard_load_beside(const struct guard *g, struct guard *fresh);
/* Of its constants, as long as it is not pinned. */
int guard_boot_fd(const struct guard *g);
/* What `auto` would choose here; `why` says why not reqsk. Loads, attaches nothing. */
enum sw_engine guard_probe_engine(char *why, size_t size);

/* pins.c */
enum guard_found {
	GUARD_NONE,
	GUARD_PINNED,  /* guard_open() will tell how well */
	GUARD_UNARMED, /* an attach was killed: complete, may have devices */
	GUARD_DEBRIS,  /* an attach or a detach was killed: a part of the pins, nothing else */
	GUARD_FOREIGN, /* a directory of someone else */
};

/* Is the directory there, and empty? Silent. */
bool pins_are_none(const char *dir);
/* Silent. */
enum guard_found guard_find(const char *dir);
/* Are these still the pins it was opened from? Silent. */
bool guard_is_pinned(const struct guard *g);
/* The kernel's number of its settings: no two guards since the start of the machine share one. */
__u32 guard_id(const struct guard *g);
/* A descriptor, or negative errno. Silent. */
int pin_get(const char *dir, const char *name);
int pin_object(int fd, const char *dir, const char *sub, const char *name);
/* For an upgrade: programs pinned beside those that run; put in their place, or removed again. */
int guard_pin_next(const struct guard *fresh);
int guard_end_next(const struct guard *g, bool keep);
/* Of an upgrade under way or cut short, 0: none. Silent. */
__u32 guard_next_prog_id(const struct guard *g, enum prog_id prog);
/* Is there a guard that this program understands? */
int pins_check_version(const char *dir);

/* probe.c */
bool probe_has_btf(void);
bool probe_kernel_function(const char *name);
/* Names the first capability that is missing, NULL if none is. Silent. */
const char *probe_missing_capability(void);
int probe_require_capabilities(const char *what);
/* Is the directory that holds the pins on a BPF file system? */
int probe_require_bpffs(const char *pin);
bool probe_is_bpffs(const char *pin);
/* What maps that were refused for want of memory would take, and what can be done. */
struct bpf_object;
void probe_no_memory(const struct bpf_object *obj, __u32 connections);

/* BPF_TCX_INGRESS and _EGRESS, Linux 6.6; libbpf 1.1 passes them on without knowing them. */
#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_EGRESS  ((enum bpf_attach_type)47)

/* attach.c: a device, guarded */
struct dev_state {
	__u32 ifindex;
	struct sw_dev dev;
	bool alive;             /* its XDP link still holds a device */
	bool elsewhere;         /* in another network namespace than this process */
	char pins[IF_NAMESIZE]; /* name its links are pinned under, "" none or as the device */
};

int dev_attach(struct guard *g, const char *name, enum xdp_mode mode);
/* Removes links, filter and entry; puts back what attach changed on the device. */
int dev_detach(struct guard *g, const struct dev_state *d);
/* All devices of the guard, at most SW_MAX_DEVS. Of devices.c. */
int dev_list(const struct guard *g, struct dev_state *list, __u32 *count);

/* upgrade.c: the programs of `to` run where those of `from` did, or nothing changed. */
int dev_upgrade(const struct guard *from, const struct guard *to, __u32 *hooks);

/* devices.c */
/*
 * Forgets the device of this name, NULL: all of them, if it is gone. The daemon waits for what
 * is gone and not forgotten, so no command does this but those that are about the device.
 */
int dev_forget(struct guard *g, const char *name);
/* Does a device of this namespace feed it? 1, 0; refused as above. Changes nothing. */
int dev_here(const struct guard *g);

/* life.c */
#define DRAIN_US 500000 /* for handshakes under way to end */
/* Raises net.ipv4.tcp_syncookies of this namespace as far as the engine needs it. */
int cookies_raise(const struct guard *g);
void cookies_restore_if_idle(const struct guard *g);
/* Removes what a killed attach left, tells what is there then. */
int clear_remains(const char *pin, enum guard_found *found);
/* Devices, sysctl, pins: nothing of the guard is left. */
int guard_remove(struct guard *g);
/* Verdicts count from here on. */
int guard_arm(const struct guard *g);
/* For who holds the lock: a guard that drains still is one whose detach was killed; arms it. */
int guard_end_drain(const struct guard *g);
/* The same for the daemon, which does not; what fails is tried again. */
void guard_mend_drain(const struct guard *g);
/* For a device that was not watched: what began behind it may end, and is known. */
int grace_renew(const struct guard *g);
/* `end` after handshakes under way had half a second to end, if any service enforces. */
int drain(struct guard *g, int (*end)(struct guard *g, const void *arg), const void *arg);

/* netdev.c; silent unless said */
struct xdp_owner {
	__u32 id; /* 0: no XDP program */
	char name[64];
};

int netdev_mac(const char *name, __u8 mac[6]);
int netdev_type(const char *name); /* ARPHRD_* */
int netdev_mtu(const char *name);
bool netdev_is_bridge_port(const char *name);
int netdev_driver(const char *name, char *driver, size_t size);
int netdev_queues(const char *name, __u32 *rx, __u32 *tx);
/* 1 on, 0 off, negative: the driver does not say. */
int netdev_flag(const char *name, __u32 get_cmd, __u32 mask);
int netdev_rxvlan_set(const char *name, bool on);
/* netlink.c; silent. Features are NETDEV_XDP_ACT_* bits: 1 basic (native XDP), 32 frags. */
bool netdev_has_tc_filters(int ifindex);
int netdev_xdp_features(int ifindex, __u64 *features);
int netdev_xdp_owner(int ifindex, struct xdp_owner *owner);

/* A device as the kernel describes it. */
struct netdev_facts {
	__u32 ifindex;
	__u32 mtu;
	__u32 master;   /* bridge, bond, VRF it is a port of; 0 none */
	__u32 xdp_prog; /* id, 0 none */
	char name[IF_NAMESIZE];
	char master_kind[IF_NAMESIZE];
	__u8 mac[6];
	bool up;
	bool carrier;
	bool gone; /* this message was its last */
};

/* -ENODEV: no such device in this namespace. */
int netdev_facts(__u32 ifindex, struct netdev_facts *facts);
/* A descriptor that tells of changes; this one has logged its failure. */
int netdev_watch(void);
/* Reads all changes there are; 1: some were lost. */
int netdev_changes(int fd, void (*on_change)(const struct netdev_facts *facts, void *arg),
		   void *arg);
#define SYSCTL_SYNCOOKIES "/proc/sys/net/ipv4/tcp_syncookies"

/* mapio.c */
/* Element 0 of any array, as large as the map says. Silent. */
int mapio_raw(int fd, void *raw);
int mapio_settings(const struct guard *g, struct sw_settings *s);
int mapio_settings_set(const struct guard *g, const struct sw_settings *s);
int mapio_services(const struct guard *g, struct services *set);
int mapio_service_set(const struct guard *g, __u32 half, __u32 id, const struct sw_service *s);
int mapio_port_set(const struct guard *g, __u32 half, __u32 port, const struct sw_port *word);
/* All of one half of the configuration: not the one that is in use. */
int mapio_config_write(const struct guard *g, __u32 half, const struct services *set,
		       const struct layout *l);
/* All entries of the lists that packets are judged by, sorted. */
int mapio_lists(const struct guard *g, struct list_set *set);
/* How many there are in all, and of those in use have ended; keeps none of them. */
int mapio_lists_ended(const struct guard *g, __u32 now, __u32 *all, __u32 *ended);
/* All there are, by half. */
int mapio_lists_halves(const struct guard *g, struct list_set halves[SW_HALVES]);
/* `next` in the place of `old`, which is all that half has: not the one that is in use. */
int mapio_lists_write(const struct guard *g, __u32 half, const struct list_set *old,
		      const struct list_set *next);
/* One entry, in place. */
int mapio_list_set(const struct guard *g, __u32 half, const struct list_entry *e);
int mapio_list_del(const struct guard *g, __u32 half, const struct list_entry *e);
/* Index as in the map: list * 2 + (IPv6 ? 1 : 0). */
#define LIST_HITS (2 * SW_LIST_MAX)
int mapio_list_hits(const struct guard *g, __u64 hits[LIST_HITS]);
/* Entries in use that have not ended, by the same index. */
int mapio_lists_count(const struct guard *g, __u32 now, __u32 entries[LIST_HITS]);
int mapio_dev_set(const struct guard *g, __u32 ifindex, const struct sw_dev *dev);
int mapio_dev_del(const struct guard *g, __u32 ifindex);
int mapio_devs(const struct guard *g, struct dev_state *list, __u32 *count);
int mapio_key(const struct guard *g, __u32 slot, struct sw_key *key);
int mapio_key_set(const struct guard *g, __u32 slot, const struct sw_key *key);
int mapio_keysched(const struct guard *g, struct sw_keysched *sched);
int mapio_keysched_set(const struct guard *g, const struct sw_keysched *sched);
/* Sums over CPUs. `row` has SW_REASON_MAX places. */
int mapio_arming(const struct guard *g, struct sw_arming list[SW_MAX_SERVICES]);
/* What tables_gauge() and tables_use() read of mapped memory, for one look at it. */
int mapio_gauges(const struct guard *g, struct sw_gauge list[SW_MAX_SERVICES]);
int mapio_tables(const struct guard *g, struct sw_table_use list[SW_TABLE_MAX]);
int mapio_limit_hits(const struct guard *g, struct sw_limit_hits list[SW_MAX_SERVICES]);
/* What is noted of attacks on a service and of its limits. */
int mapio_policy_zero(const struct guard *g, __u32 service);
int mapio_attacks(const struct guard *g, struct sw_attack list[SW_ATTACKS]);
int mapio_stats(const struct guard *g, __u32 service, struct sw_count *row);
int mapio_stats_zero(const struct guard *g, __u32 service);
int mapio_rx(const struct guard *g, enum sw_hook hook, struct sw_rx *sum);
int mapio_rx_zero(const struct guard *g);
int mapio_live_clear(const struct guard *g, __u32 half);
/* Bits that are set; of a large filter by a part of it, as they are spread by a hash. */
int mapio_live_count(const struct guard *g, __u32 half, __u32 *set);

/* adopt.c */
/* Rebuilds the presence filter, and what the tables lack, from the sockets of this namespace. */
int adopt_run(const struct guard *g);
/*
 * For whoever does more around the walk: one at a time for each guard, as two would take away
 * each other's marks and count what stalls twice. A descriptor that ends the lock with its
 * close, or -errno: -EBUSY after so long, as the one that has it may have been stopped; unsaid
 * if it does not wait.
 */
#define ADOPT_WAIT_MS 5000
int adopt_lock(const struct guard *g, __u32 wait_ms);
/* Under adopt_lock(): what adopt_run() does. */
int adopt_rebuild(const struct guard *g);
/* Under adopt_lock(): only walks; entries whose socket is found are marked SW_CONN_HELD. */
int adopt_walk(const struct guard *g);
/* Until when handshakes may end that began before the guard judged them, from now. */
__u64 grace_end(void);
/* Waits until every packet that was in the programs has left them. */
void wait_for_packets(void);

/* rollout.c */
struct rollout {
	const struct services *services; /* what shall run; their `lists` are filled in there */
	const struct sw_settings
		*limits; /* these numbers of them, see tunables.h; NULL: as they are */
	/* All entries, in any order; of services that are not there they are left out. NULL: as
	 * they are, but for those of services that end. */
	const struct list_set *lists;
};
/* Brings the guard to it, for the packets at one stroke; on failure all is as it was. */
int rollout(const struct guard *g, const struct rollout *r);
/* Brings the lists alone to it: a few changes entry by entry, many at one stroke. */
int rollout_lists(const struct guard *g, const struct list_set *lists);
/*
 * Removes what has ended; how many, or negative errno. For a caller that asks again and again:
 * before *next_s, which it moves on, it does nothing. It takes the lock if there is something to
 * do, and does it the next time if another run has that.
 */
int lists_expire(const struct guard *g, __u32 *next_s);

/* service_id.c */
/*
 * An id for a new service: free in `next`, and if there is one free in `now` and without counts.
 * Changes nothing.
 */
int service_pick_id(const struct guard *g, const struct services *now, const struct services *next,
		    __u32 *id);
/* The counts of ids that services get now, and others had, start again. */
int service_ids_begin(const struct guard *g, const struct services *now,
		      const struct services *next);

/* selftest.c */
/* Runs a handshake through the loaded programs; only for a guard that nothing uses yet. */
int selftest_run(const struct guard *g);

#endif /* SW_USER_KERNEL_H */
