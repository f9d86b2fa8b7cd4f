/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A loaded guard for tests, driven by BPF_PROG_TEST_RUN. It fills the maps itself, through
 * the contract in include/ and nothing of user/.
 *
 * The programs are loaded once per binary. Each test runs in a child with a network
 * namespace of its own, in which lo carries the named hosts of packet.h, and with maps as
 * after a fresh attach: services as in enum service_id, everything `always`.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <linux/bpf.h>

#include "harness.h"
#include "packet.h"
#include "synwarden.h"

struct synwarden_bpf;

enum service_id {
	SERVICE_NONE,
	SERVICE_WEB,       /* any 80 */
	SERVICE_TLS4,      /* SERVER4/32 443 */
	SERVICE_TLS6,      /* SERVER6/128 443 */
	SERVICE_RANGE,     /* any 8000-8009 */
	SERVICE_HOST_SYNS, /* any 81, budget set by the test */
	SERVICE_COUNT = 8, /* counters of ids below are compared at each packet */
};

#define LO_IFINDEX    1
#define FIXTURE_CONNS 4096 /* room in the connection table */
#define LO_MTU        1500

/* The engine a binary runs with; AUTO: reqsk where the kernel has it. */
extern enum sw_engine fixture_engine;

struct guard {
	struct synwarden_bpf *skel;
	enum sw_engine engine;
	struct sw_key keys[SW_KEY_SLOTS]; /* as written to sw_keys */
	struct sw_keysched sched;
	struct sw_settings settings;
};

extern struct guard guard;

/* Skips the test where the kernel has no bpf_sk_assign_tcp_reqsk; fails if only the load did. */
void need_reqsk(void);
bool kernel_has_reqsk(void);
/*
 * What older kernels do another way: before 6.10 (41eecbd712b7) Linux itself answers a SYN in
 * TIME-WAIT with a cookie if tcp_syncookies is 2, and 6.1 opens large windows more slowly.
 */
void skip_without_kfunc(void);

void settings_write(void); /* guard.settings */
void service_write(unsigned int id, const char *prefix, unsigned int bits, uint16_t first,
		   uint16_t last, enum sw_mode mode, uint32_t host_syns);
void service_put(unsigned int id, const struct sw_service *service); /* ports as they are */
void services_mode(enum sw_mode mode);                               /* of all */
void services_clear(void);
void keys_write(void); /* guard.keys and guard.sched */
void device_write(unsigned int ifindex, const uint8_t mac[6], bool native);
/* Emulated CPUs say SW_SCALE=N: n tries there are n / N, and loops over all take strides. */
unsigned int scaled(unsigned int n);
unsigned int stride(void);
void maps_forget(void);          /* zero caches, filters, budgets and caps */
void conns_forget(void);         /* zero the connection tables alone */
void map_zero(const char *name); /* any kind of array */
int map_fd(const char *name);
/* A mapped array itself; it stays mapped. */
void *map_memory(const char *name, size_t value_size, uint32_t *entries);

/* Sockets of the host. Listeners are non-blocking and bound to any address. */
int listen_on(int family, uint16_t port, int backlog);
/* The connection that comes within a second; the test ends if none does. */
int accept_one(int listener);
int connect_from(int family, uint16_t from, uint16_t to); /* CLIENT -> SERVER, blocking */
void sysctl_write(const char *path, const char *value);
long sysctl_read(const char *path, int column);
void adopt_sockets(void); /* runs iter/tcp program sw_adopt */

struct result {
	int action;
	enum sw_reason reason; /* the one that was counted; SW_CONTINUE: not exactly one */
	unsigned int service;
	bool would;
	bool refused; /* tc: by the kernel, as too short; nothing ran */
	size_t len, meta_len;
	const uint8_t *out;  /* the frame, valid until the next run */
	const uint8_t *meta; /* its metadata */
};

/* Runs, and checks that exactly one reason was counted and the identity holds. */
struct result run_xdp(const struct packet *p);
struct result run_tc(const struct packet *p);
struct result run_tc_out(const struct packet *p); /* from the server */
/* Only runs: for millions. counters_check() afterwards. */
int run_bare(int prog_fd, const struct packet *p);
int xdp_fd(void);
int tc_fd(void);

/* Sums over services and CPUs since the last counters_start(). */
void counters_start(void);
uint64_t counter_of(enum sw_reason r);
void counters_moved(void); /* packets came another way than run_xdp() and run_tc() */
void counters_check(void); /* the identity, over everything since start */

const char *reason_name(enum sw_reason r);
const char *verdict_name(enum sw_reason r); /* "PASS", "TX", "DROP" */
bool is_tc_reason(enum sw_reason r);
void check_result(const char *file, int line, const struct result *r, int action,
		  enum sw_reason reason);
#define CHECK_RESULT(r, action, reason) check_result(__FILE__, __LINE__, r, action, reason)
/* Passed, byte-identical to what went in. */
#define CHECK_PASSED(r, p, reason)                                    \
	do {                                                          \
		CHECK_RESULT(r, XDP_PASS, reason);                    \
		CHECK_BYTES((r)->out, (r)->len, (p)->data, (p)->len); \
	} while (0)

/*
 * The entry of a client's tuple, in the map itself; NULL: none. `table` may be NULL. Server is
 * always SERVER, port as given.
 */
struct sw_conn *conn_entry(uint8_t family, uint16_t client_port, uint16_t server_port,
			   enum sw_table *table);
enum sw_state conn_state(uint8_t family, uint16_t client_port, uint16_t server_port);
const char *state_name(enum sw_state s);
/* Gauges and use counters are what a count over all slots gives. */
void tables_check(void);

uint64_t now_ns(void); /* CLOCK_MONOTONIC, the program's clock */
void sleep_ms(unsigned int ms);
/* To the start of a second of the budgets (1.07 s), all of them fresh. */
void budget_settle(void);
/* Sleeps past the life of cached listeners (10 ms). */
void let_caches_expire(void);

#endif /* FIXTURE_H */
