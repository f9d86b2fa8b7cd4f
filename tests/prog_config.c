/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two halves of the configuration: whatever changes while a packet is judged, it sees one of
 * them whole. Not here: how user space writes them, which netns_config.sh looks at.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "handshake.h"
#include "rows.h"

/* Ids of the service for any 80: in the first half, in the second. */
enum {
	FIRST = 1,
	SECOND = 2,
};

#define BOTH (SW_GEN_CONFIG | SW_GEN_LISTS)

static void element(const char *map, const void *key, const void *value)
{
	MUST(bpf_map_update_elem(map_fd(map), key, value, BPF_ANY));
}

/*
 * First half: service 1 answers everybody. Second half: service 2 denies everybody. What a packet
 * that mixes them finds is a service that is off, one that denies with the other's id, or one
 * that answers where all are denied.
 */
static void write_halves(void)
{
	struct sw_service web = { .port_first = 80, .port_last = 80, .mode = SW_MODE_ALWAYS };
	struct sw_list_key everybody = { .prefix_len = 32, .half = 1, .list = SW_LIST_DENY };
	struct sw_listed entry = { .comment = "second half" };
	struct sw_port first = { .any_service = FIRST }, second = { .any_service = SECOND };
	uint32_t key = 80;

	services_clear();
	element("sw_ports", &key, &first);
	key = SW_PORTS + 80;
	element("sw_ports", &key, &second);
	key = FIRST;
	element("sw_services", &key, &web);
	key = SW_MAX_SERVICES + SECOND;
	element("sw_services", &key, &web);
	element("sw_lists", &everybody, &entry);
	guard.settings.any_mode[0] = guard.settings.any_mode[1] = SW_MODE_ALWAYS;
	guard.settings.lists[0] = 0;
	guard.settings.lists[1] = 1U << SW_LIST_DENY;
	guard.settings.gen = 0;
	settings_write();
}

static void flip_for_ever(void)
{
	uint32_t zero = 0;

	for (;; guard.settings.gen ^= BOTH)
		bpf_map_update_elem(map_fd("sw_settings"), &zero, &guard.settings, BPF_ANY);
}

/* Packets of this service and reason. */
static uint64_t counted(unsigned int service, enum sw_reason r)
{
	uint32_t key = service * SW_REASON_MAX + r;
	int n = libbpf_num_possible_cpus();
	struct sw_count *values = calloc((size_t)n, sizeof(*values));
	uint64_t sum = 0;

	REQUIRE(values);
	MUST(bpf_map_lookup_elem(map_fd("sw_stats"), &key, values));
	for (int i = 0; i < n; i++)
		sum += values[i].packets;
	free(values);
	return sum;
}

/* All that was counted is of the two whole halves. */
static void check_whole(uint64_t runs)
{
	uint64_t first = counted(FIRST, SW_TX_SYNACK), second = counted(SECOND, SW_DROP_DENIED);

	for (unsigned int id = 0; id < SERVICE_COUNT; id++) {
		for (unsigned int r = 1; r < SW_REASON_MAX; r++) {
			if ((id == FIRST && r == SW_TX_SYNACK) ||
			    (id == SECOND && r == SW_DROP_DENIED))
				continue;
			test_context("service %u, %s", id, reason_name((enum sw_reason)r));
			CHECK_EQ(counted(id, (enum sw_reason)r), 0);
		}
	}
	test_context("both");
	CHECK_EQ(first + second, runs);
	/* else nothing was shown */
	CHECK(first > runs / 20);
	CHECK(second > runs / 20);
	test_note("%llu packets saw the first half, %llu the second", (unsigned long long)first,
		  (unsigned long long)second);
}

TEST(no_packet_sees_half_of_two_configurations, "K10")
{
	struct spec syn = { .flags = SYN, .seq = 9 };
	static struct packet p;
	uint64_t runs = scaled(getenv("SW_LONG") ? 20000000 : 500000);
	int status;
	pid_t pid;

	listen_on(4, 80, 8);
	write_halves();
	map_zero("sw_stats");
	map_zero("sw_rx");
	packet_build(&p, &syn);
	pid = MUST(fork());
	if (!pid)
		flip_for_ever();
	for (uint64_t i = 0; i < runs && !test_failed(); i++) {
		int action = run_bare(xdp_fd(), &p);

		if (action != XDP_TX && action != XDP_DROP)
			FAIL("action %d of packet %llu", action, (unsigned long long)i);
	}
	kill(pid, SIGKILL);
	MUST(waitpid(pid, &status, 0));
	check_whole(runs);
	counters_moved();
}
