/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loading the guard for tests, and its maps. Packets through it are in fixture_run.c, the host
 * around it (network namespace, sockets, sysctls) in fixture_host.c.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "fixture.h"
#include "fixture_lists.h"
#include "fixture_parts.h"
#include "synwarden.skel.h"
#include "boot.h"

struct guard guard;
static bool has_kfunc;
unsigned char *reason_hit;
int n_cpus;
static struct sw_service services[SERVICE_COUNT]; /* as written */

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN || getenv("SW_VERBOSE"))
		return vfprintf(stderr, fmt, ap);
	return 0;
}

static bool kernel_has(const char *func)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool has = btf && btf__find_by_name_kind(btf, func, BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return has;
}

static struct synwarden_bpf *load(enum sw_engine engine)
{
	struct synwarden_bpf *skel = synwarden_bpf__open();

	if (!skel)
		return NULL;
	skel->rodata->sw_boot.engine = engine;
	skel->rodata->sw_boot.seed0 = test_seed * 0x9e3779b97f4a7c15ULL + 1;
	skel->rodata->sw_boot.seed1 = test_seed ^ 0x5851f42d4c957f2dULL;
	skel->rodata->sw_boot.mark = 0x53574d4b;
	bpf_program__set_autoload(skel->progs.sw_tc_in, engine == SW_ENGINE_REQSK);
	boot_size(skel, FIXTURE_CONNS);
	if (synwarden_bpf__load(skel)) {
		synwarden_bpf__destroy(skel);
		return NULL;
	}
	return skel;
}

int fixture_prepare(void)
{
	const char *forced = getenv("SW_ENGINE");

	libbpf_set_print(quiet);
	n_cpus = libbpf_num_possible_cpus();
	reason_hit = mmap(NULL, SW_REASON_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);
	if (n_cpus < 1 || reason_hit == MAP_FAILED)
		return -1;
	has_kfunc = kernel_has("bpf_sk_assign_tcp_reqsk");
	guard.engine = fixture_engine;
	if (guard.engine == SW_ENGINE_AUTO)
		guard.engine = has_kfunc ? SW_ENGINE_REQSK : SW_ENGINE_LISTENER;
	if (guard.engine == SW_ENGINE_REQSK && forced && !strcmp(forced, "listener"))
		guard.engine = SW_ENGINE_LISTENER;
	guard.skel = load(guard.engine);
	if (!guard.skel) {
		fprintf(stderr, "cannot load the programs: %s\n", strerror(errno));
		return -1;
	}
	printf("# engine %s\n", guard.engine == SW_ENGINE_REQSK ? "reqsk" : "listener");
	return 0;
}

int fixture_finish(void)
{
	const char *path = getenv("SW_COVERAGE");
	FILE *f;

	synwarden_bpf__destroy(guard.skel);
	if (!path || !*path)
		return 0;
	f = fopen(path, "a");
	if (!f) {
		printf("# cannot append to %s: %m\n", path);
		return -1;
	}
	for (int r = 1; r < SW_REASON_MAX; r++)
		if (reason_hit[r])
			fprintf(f, "%s\n", reason_name(r));
	return fclose(f);
}

void need_reqsk(void)
{
	if (guard.engine == SW_ENGINE_REQSK)
		return;
	if (has_kfunc)
		test_skip("the programs are loaded with engine listener");
	test_skip("kernel has no bpf_sk_assign_tcp_reqsk");
}

void skip_without_kfunc(void)
{
	if (!has_kfunc)
		need_reqsk();
}

bool kernel_has_reqsk(void)
{
	return has_kfunc;
}

int map_fd(const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(guard.skel->obj, name);

	REQUIRE(map);
	return bpf_map__fd(map);
}

static void map_write(const char *name, const void *key, const void *value)
{
	MUST(bpf_map_update_elem(map_fd(name), key, value, BPF_ANY));
}

/* Any kind of array, per-CPU or not, in pieces. */
void map_zero(const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(guard.skel->obj, name);
	uint32_t entries, piece = 16384, *keys;
	size_t size;
	void *zero;

	REQUIRE(map);
	entries = bpf_map__max_entries(map);
	size = bpf_map__value_size(map);
	if (bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_ARRAY)
		size = (size + 7) / 8 * 8 * n_cpus;
	keys = calloc(piece, sizeof(*keys));
	zero = calloc(piece, size);
	REQUIRE(keys && zero);
	for (uint32_t at = 0; at < entries; at += piece) {
		uint32_t n = entries - at < piece ? entries - at : piece;

		for (uint32_t i = 0; i < n; i++)
			keys[i] = at + i;
		MUST(bpf_map_update_batch(bpf_map__fd(map), keys, zero, &n, NULL));
	}
	free(keys);
	free(zero);
}

void conns_forget(void)
{
	static const char *const forget[] = { "sw_conns", "sw_half", "sw_gauges", "sw_tables" };

	for (size_t i = 0; i < ARRAY_SIZE(forget); i++)
		map_zero(forget[i]);
}

void maps_forget(void)
{
	static const char *const forget[] = { "sw_live",    "sw_used",    "sw_cap",
					      "sw_host",    "sw_budget",  "sw_challenge",
					      "sw_arming",  "sw_arm_cpu", "sw_attacks",
					      "sw_sources", "sw_suspect", "sw_limit_hits" };

	conns_forget();
	for (size_t i = 0; i < ARRAY_SIZE(forget); i++)
		map_zero(forget[i]);
}

void settings_write(void)
{
	uint32_t zero = 0;

	map_write("sw_settings", &zero, &guard.settings);
}

void keys_write(void)
{
	uint32_t zero = 0;

	for (uint32_t slot = 0; slot < SW_KEY_SLOTS; slot++)
		map_write("sw_keys", &slot, &guard.keys[slot]);
	map_write("sw_keysched", &zero, &guard.sched);
}

void device_write(unsigned int ifindex, const uint8_t mac[6], bool native)
{
	struct sw_dev dev = { .native = native, .name = "lo" };
	uint32_t key = ifindex;

	memcpy(dev.mac, mac, 6);
	map_write("sw_devs", &key, &dev);
}

static void prefix_write(unsigned int id, const char *prefix, unsigned int bits, uint16_t group)
{
	struct sw_prefix_key key = { .prefix_len = 32 + bits, .group = group };
	struct sw_prefix value = { .service = id };

	if (strchr(prefix, ':')) {
		REQUIRE(inet_pton(AF_INET6, prefix, key.addr) == 1);
	} else {
		key.addr[2] = htonl(0xffff);
		REQUIRE(inet_pton(AF_INET, prefix, &key.addr[3]) == 1);
	}
	map_write("sw_prefixes", &key, &value);
}

/* prefix NULL: any. `bits` are of the v4-mapped address. A group per port, numbered by it. */
void service_write(unsigned int id, const char *prefix, unsigned int bits, uint16_t first,
		   uint16_t last, enum sw_mode mode, uint32_t host_syns)
{
	struct sw_service service = {
		.prefix_len = prefix ? bits : 0,
		.port_first = first,
		.port_last = last,
		.mode = mode,
		.host_syns_pps = host_syns,
	};
	uint32_t key = id;

	REQUIRE(id < SERVICE_COUNT);
	if (prefix && strchr(prefix, ':')) {
		REQUIRE(inet_pton(AF_INET6, prefix, service.addr) == 1);
	} else if (prefix) {
		service.addr[2] = htonl(0xffff);
		REQUIRE(inet_pton(AF_INET, prefix, &service.addr[3]) == 1);
	}
	map_write("sw_services", &key, &service);
	services[id] = service;
	for (uint32_t port = first; port <= last; port++) {
		struct sw_port p = {};

		MUST(bpf_map_lookup_elem(map_fd("sw_ports"), &port, &p));
		if (prefix) {
			p.group = (uint16_t)port;
			prefix_write(id, prefix, bits, p.group);
			prefix_write(id, prefix, bits, 0);
		} else {
			p.any_service = (uint16_t)id;
		}
		map_write("sw_ports", &port, &p);
	}
}

void service_put(unsigned int id, const struct sw_service *service)
{
	uint32_t key = id;

	services[id] = *service;
	map_write("sw_services", &key, service);
}

void services_mode(enum sw_mode mode)
{
	if (guard.settings.any_mode[0] != mode) {
		guard.settings.any_mode[0] = mode;
		settings_write();
	}
	for (uint32_t id = 1; id < SERVICE_COUNT; id++) {
		if (!services[id].port_first || services[id].mode == mode)
			continue;
		services[id].mode = mode;
		map_write("sw_services", &id, &services[id]);
	}
}

void services_clear(void)
{
	struct sw_prefix_key key;

	memset(services, 0, sizeof(services));
	map_zero("sw_services");
	map_zero("sw_ports");
	while (bpf_map_get_next_key(map_fd("sw_prefixes"), NULL, &key) == 0)
		MUST(bpf_map_delete_elem(map_fd("sw_prefixes"), &key));
}

static void guard_defaults(void)
{
	uint32_t epoch = (uint32_t)(now_ns() >> SW_EPOCH_SHIFT);

	for (int i = 0; i < SW_KEY_SLOTS; i++)
		guard.keys[i] = (struct sw_key){ .k0 = test_random(), .k1 = test_random() };
	guard.sched = (struct sw_keysched){ .since_epoch = epoch - 10, .now = 0, .before = 1 };
	keys_write();
	guard.settings = (struct sw_settings){
		.abi_version = SW_ABI_VERSION,
		.armed = SW_ARMED,
		.engine = guard.engine,
		.any_mode = { SW_MODE_ALWAYS },
		.rmem_max = (uint32_t)sysctl_read("net/core/rmem_max", 0),
		.loaded_ns = now_ns(),
		.ask_pps = ~0U,
		.challenge_pps = ~0U,
		.state_events_pps = ~0U,
		.timeout_s = { [SW_CLOSED] = 138 },
	};
	settings_write();
	device_write(LO_IFINDEX, mac_server, true);
	services_clear();
	service_write(SERVICE_WEB, NULL, 0, 80, 80, SW_MODE_ALWAYS, 0);
	service_write(SERVICE_TLS4, SERVER4, 128, 443, 443, SW_MODE_ALWAYS, 0);
	service_write(SERVICE_TLS6, SERVER6, 128, 443, 443, SW_MODE_ALWAYS, 0);
	service_write(SERVICE_RANGE, NULL, 0, 8000, 8009, SW_MODE_ALWAYS, 0);
	service_write(SERVICE_HOST_SYNS, NULL, 0, 81, 81, SW_MODE_ALWAYS, 0);
	lists_clear();
	maps_forget();
	map_zero("sw_stats");
	map_zero("sw_rx");
}

void fixture_enter(void)
{
	host_enter();
	if (guard.engine == SW_ENGINE_LISTENER)
		sysctl_write("net/ipv4/tcp_syncookies", "2");
	guard_defaults();
	counters_start();
}

/* The identity holds after every test, whatever it did. */
void fixture_leave(void)
{
	counters_check();
}
