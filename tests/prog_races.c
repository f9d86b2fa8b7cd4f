/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection on two CPUs at once, and the packet path against the sweep: what is left is
 * one entry, in a state that one of them was right about, and every counter true.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "handshake.h"
#include "matrix_scene.h"
#include "synwarden.skel.h"

/* What one CPU does: a segment through a program, when the other does its. */
struct runner {
	int prog_fd;
	struct packet packet;
	int cpu;
	unsigned int rounds;
	void (*between)(void); /* both wait while the first runs it */
	bool first;
};

static pthread_barrier_t barrier;

static int nth_cpu(int n)
{
	static cpu_set_t all;
	int cpu = -1;

	if (!CPU_COUNT(&all)) { /* of the machine, not of the test */
		for (int i = 0; i < libbpf_num_possible_cpus(); i++)
			CPU_SET(i, &all);
	}
	for (int i = 0; i < CPU_SETSIZE && n >= 0; i++)
		if (CPU_ISSET(i, &all)) {
			cpu = i;
			n--;
		}
	return cpu;
}

static void *run_rounds(void *arg)
{
	struct runner *r = arg;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = r->packet.data,
		    .data_size_in = (uint32_t)r->packet.len, .repeat = 1);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(r->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set); /* with one CPU they take turns */
	for (unsigned int i = 0; i < r->rounds; i++) {
		pthread_barrier_wait(&barrier);
		if (bpf_prog_test_run_opts(r->prog_fd, &opts))
			FAIL("BPF_PROG_TEST_RUN: %m");
		pthread_barrier_wait(&barrier);
		if (r->first)
			r->between();
	}
	return NULL;
}

static void race(struct runner r[2], void (*between)(void))
{
	pthread_t thread[2];

	counters_moved();
	pthread_barrier_init(&barrier, NULL, 2);
	for (int i = 0; i < 2; i++) {
		r[i].cpu = nth_cpu(i);
		r[i].rounds = scaled(2000);
		r[i].between = between;
		r[i].first = i == 0;
		REQUIRE(!pthread_create(&thread[i], NULL, run_rounds, &r[i]));
	}
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&barrier);
}

static struct runner runners[2];
static enum sw_state expected;
static enum memory memory_before;

/* Exactly one entry (conn_entry() fails on two), and put everything back. */
static void check_one(void)
{
	struct sw_conn *e = scene_entry(NULL);

	if (!e)
		FAIL("no entry, expected %s", state_name(expected));
	else if (e->state != expected)
		FAIL("entry is %s, expected %s", state_name(e->state), state_name(expected));
	scene_check_counts();
	scene_restore(memory_before);
}

static void client_packet(struct runner *r, uint8_t flags, uint32_t seq, uint16_t payload)
{
	const struct peer *p = &scene.peer;
	struct spec s = { .family = p->family,
			  .sport = p->port,
			  .dport = p->server_port,
			  .flags = flags,
			  .seq = seq,
			  .payload = payload,
			  .ack = p->snd_nxt };

	packet_build(&r->packet, &s);
	r->prog_fd = xdp_fd();
}

static void host_packet(struct runner *r, uint8_t flags)
{
	bool v6 = scene.peer.family == 6;
	struct spec s = { .family = scene.peer.family,
			  .src = v6 ? SERVER6 : SERVER4,
			  .dst = v6 ? CLIENT6 : CLIENT4,
			  .sport = scene.peer.server_port,
			  .dport = scene.peer.port,
			  .flags = flags,
			  .seq = flags & SYN ? scene.peer.iss : scene.peer.snd_nxt,
			  .ack = scene.peer.rcv_nxt };

	packet_build(&r->packet, &s);
	r->prog_fd = bpf_program__fd(guard.skel->progs.sw_tc_out);
}

static void race_from(enum place at, enum memory memory, enum sw_state want)
{
	expected = want;
	memory_before = memory;
	scene_restore(memory);
	test_context("%s on two CPUs", place_name(at));
	race(runners, check_one);
	scene_end();
}

TEST(flow_that_opens_on_two_cpus_is_one_entry, "K07")
{
	peers_begin();
	test_context("by its cookie");
	scene_begin(AT_LISTEN, 4, false);
	client_packet(&runners[0], ACK, scene.peer.rcv_nxt, 0);
	client_packet(&runners[1], ACK | PSH, scene.peer.rcv_nxt, CASE_DATA);
	race_from(AT_LISTEN, MEMORY_NONE, SW_ESTABLISHED);

	test_context("found at the host");
	scene_begin(AT_ESTABLISHED, 6, false);
	client_packet(&runners[0], ACK, scene.peer.rcv_nxt, 0);
	client_packet(&runners[1], ACK | PSH, scene.peer.rcv_nxt, CASE_DATA);
	race_from(AT_ESTABLISHED, MEMORY_NONE, SW_ESTABLISHED);

	test_context("from one table to the other");
	scene_begin(AT_SYN_RECEIVED, 4, false);
	client_packet(&runners[0], ACK, scene.peer.rcv_nxt, 0);
	client_packet(&runners[1], ACK | PSH, scene.peer.rcv_nxt, CASE_DATA);
	race_from(AT_SYN_RECEIVED, MEMORY_STALE, SW_ESTABLISHED);

	test_context("by the host's SYN-ACK, twice");
	scene_begin(AT_SYN_RECEIVED, 4, false);
	host_packet(&runners[0], SYN | ACK);
	host_packet(&runners[1], SYN | ACK);
	race_from(AT_SYN_RECEIVED, MEMORY_NONE, SW_SYN_RECEIVED);
}

TEST(fin_on_one_cpu_is_not_lost_to_data_on_the_other, "K07")
{
	peers_begin();
	scene_begin(AT_ESTABLISHED, 4, false);
	client_packet(&runners[0], FIN | ACK, scene.peer.rcv_nxt, 0);
	client_packet(&runners[1], ACK, scene.peer.rcv_nxt, 0);
	race_from(AT_ESTABLISHED, MEMORY_STALE, SW_CLOSE_WAIT);

	scene_begin(AT_ESTABLISHED, 6, false);
	host_packet(&runners[0], FIN | ACK);
	client_packet(&runners[1], ACK, scene.peer.rcv_nxt, 0);
	race_from(AT_ESTABLISHED, MEMORY_STALE, SW_FIN_WAIT_1);
}

static uint32_t *word_of(struct sw_conn *c)
{
	return (uint32_t *)&c->state;
}

/* As the sweep frees, by the contract in synwarden.h. */
static bool sweep_slot(struct sw_conn *c, uint32_t seen)
{
	union {
		struct sw_conn conn;
		struct {
			uint8_t tuple[36];
			uint32_t word;
		};
	} old = { .word = seen }, gone = {};
	uint32_t n;
	static struct sw_gauge *gauge;
	static struct sw_table_use *use;

	if (!use) {
		gauge = map_memory("sw_gauges", sizeof(*gauge), &n);
		use = map_memory("sw_tables", sizeof(*use), &n);
	}
	gone.conn.generation = old.conn.generation;
	if (!__atomic_compare_exchange_n(word_of(c), &seen, gone.word, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return false;
	__atomic_sub_fetch(&gauge[old.conn.service].conns[old.conn.state], 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&use[SW_TABLE_CONNS].used, 1, __ATOMIC_RELAXED);
	return true;
}

/* A host's FIN on a tuple nobody knows makes an entry of it, its SYN-ACK a new one. */
static void host_opens(uint16_t client_port, uint32_t seq)
{
	struct spec s = { .src = SERVER4,
			  .dst = CLIENT4,
			  .sport = 80,
			  .dport = client_port,
			  .flags = FIN | ACK,
			  .seq = seq };
	static struct packet p;

	packet_build(&p, &s);
	run_bare(bpf_program__fd(guard.skel->progs.sw_tc_out), &p);
}

TEST(slot_used_again_is_not_freed_by_a_stale_word, "K08")
{
	struct spec rst = {
		.src = SERVER4, .dst = CLIENT4, .sport = 80, .dport = 3000, .flags = RST
	};
	static struct packet p;
	struct sw_conn *c;
	uint32_t seen;

	tables_clear();
	packet_build(&p, &rst);
	host_opens(3000, 1000);
	c = conn_entry(4, 3000, 80, NULL);
	REQUIRE(c);
	for (uint32_t i = 1; i < 300; i++) { /* a generation has 8 bits: all of them, and on */
		seen = *word_of(c);
		CHECK_EQ(run_bare(bpf_program__fd(guard.skel->progs.sw_tc_out), &p), -1);
		CHECK_EQ(c->state, SW_CLOSED);
		CHECK(!sweep_slot(c, seen));
		host_opens(3000, 1000 + i); /* the next connection of the same ports */
		CHECK_EQ(c->state, SW_FIN_WAIT_1);
		CHECK(!sweep_slot(c, seen));
	}
	tables_check();
	test_context("another tuple in the same slot");
	seen = *word_of(c);
	CHECK(sweep_slot(c, seen));
	CHECK(!sweep_slot(c, seen));
	for (uint16_t port = 3001; c->state == SW_FREE && port < 65000; port++) {
		struct sw_conn *other;

		host_opens(port, 1);
		other = conn_entry(4, port, 80, NULL);
		if (other && other != c)
			sweep_slot(other, *word_of(other));
	}
	REQUIRE(c->state == SW_FIN_WAIT_1 && c->client_port != htons(3000));
	CHECK(!sweep_slot(c, seen));
	CHECK_EQ(c->state, SW_FIN_WAIT_1);
	tables_check();
	tables_clear();
}

static bool sweeping;

/* Frees whatever it finds, as fast as it can. */
static void *sweep_all(void *arg)
{
	uint32_t n;
	struct sw_conn *c = map_memory("sw_conns", sizeof(*c), &n);
	unsigned int *freed = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(nth_cpu(1), &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (__atomic_load_n(&sweeping, __ATOMIC_ACQUIRE))
		for (uint32_t i = 0; i < n; i++) {
			uint32_t word = __atomic_load_n(word_of(&c[i]), __ATOMIC_ACQUIRE);
			union {
				uint32_t word;
				uint8_t state;
			} w = { .word = word };

			if (w.state > SW_CLAIMED)
				*freed += sweep_slot(&c[i], word);
		}
	return NULL;
}

TEST(sweep_and_packets_at_once_keep_the_counters_true, "K06 K07 K08")
{
	unsigned int freed = 0, rounds = scaled(200000);
	pthread_t sweeper;

	tables_clear();
	__atomic_store_n(&sweeping, true, __ATOMIC_RELEASE);
	REQUIRE(!pthread_create(&sweeper, NULL, sweep_all, &freed));
	for (unsigned int i = 0; i < rounds; i++)
		host_opens((uint16_t)(2000 + i % 64), i);
	__atomic_store_n(&sweeping, false, __ATOMIC_RELEASE);
	pthread_join(sweeper, NULL);
	tables_check();
	test_note("%u entries freed under %u segments", freed, rounds);
	CHECK(freed > 0);
	tables_clear();
}
