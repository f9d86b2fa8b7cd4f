/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of sources: who is counted once, and only once, whatever is said again, by however
 * many CPUs, and what happens if there is no slot.
 */
#include <pthread.h>

#include "limits.h"

/*
 * The first data behind the ACK, and the ACK again, verify as the ACK does until the host is seen
 * to hold the connection: they are no connection of their own.
 */
TEST(what_follows_the_ack_is_no_second_connection, "J01")
{
	begin(SW_OVER_BAN);
	web.limit[SW_LEVEL_HOST].conns = 3;
	web.limit[SW_LEVEL_HOST].new_pps = 1;
	web.limit[SW_LEVEL_HOST].burst = 3;
	web_write();
	for (int i = 0; i < 3; i++) {
		struct spec s = syn_of("203.0.113.9"), data = { .flags = PSH | ACK, .payload = 50 };
		struct handshake h;
		struct packet p;

		handshake_syn(&h, &s);
		CHECK_EQ(ack(&h), SW_PASS_COOKIE);
		CHECK_EQ(ack(&h), SW_PASS_COOKIE);
		handshake_ack(&h, &data, &p);
		CHECK_EQ(run_xdp(&p).reason, SW_PASS_COOKIE);
	}
	CHECK_EQ(source("203.0.113.9", SW_LEVEL_HOST)->conns, 3);
	CHECK_EQ(hits().over[SW_LIMIT_CONNS] + hits().over[SW_LIMIT_RATE] + hits().bans, 0);
	CHECK_EQ(syn("203.0.113.9"), SW_DROP_LIMIT_CONNS);
}

/* A month in which all were let by is not held against anybody. */
TEST(who_is_let_by_runs_up_no_debt, "J01")
{
	begin(SW_OVER_COUNT);
	web.limit[SW_LEVEL_HOST].new_pps = 1;
	web_write();
	for (int i = 0; i < 50; i++)
		CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK(hits().over[SW_LIMIT_RATE] >= 45);
	web.over = SW_OVER_DROP;
	web_write();
	sleep_ms(1100);
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	/* another limit takes no notice of the debt by this one */
	web.limit[SW_LEVEL_HOST].new_pps = 1000;
	web.limit[SW_LEVEL_HOST].burst = 1;
	web_write();
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
}

TEST(burst_of_a_second_unless_said_otherwise, "J01")
{
	begin(SW_OVER_DROP);
	web.limit[SW_LEVEL_HOST].new_pps = 6;
	web_write();
	for (int i = 0; i < 6; i++) /* a browser opens so many at once */
		CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK_EQ(open_from("203.0.113.9"), SW_DROP_LIMIT_RATE);
}

TEST(ban_ends_with_the_action, "J01")
{
	struct handshake h[2];

	begin(SW_OVER_BAN);
	web.limit[SW_LEVEL_HOST].conns = 1;
	web_write();
	syns_from("203.0.113.9", h, 2);
	CHECK_EQ(ack(&h[0]), SW_PASS_COOKIE);
	CHECK_EQ(ack(&h[1]), SW_DROP_LIMIT_CONNS);
	CHECK_EQ(syn("203.0.113.9"), SW_DROP_BANNED);
	web.over = SW_OVER_COUNT;
	web_write();
	CHECK_EQ(syn("203.0.113.9"), SW_TX_SYNACK);
}

static struct handshake racing[2];
static pthread_barrier_t gate;

static void *race(void *n)
{
	struct packet p;

	handshake_ack(&racing[(long)n], NULL, &p);
	pthread_barrier_wait(&gate);
	run_bare(xdp_fd(), &p);
	return NULL;
}

/* Two CPUs that meet a source for the first time at once make at most one slot of it. */
TEST(two_cpus_make_one_source, "J01 K07")
{
	uint32_t slots;
	struct sw_source *all = sources(&slots);
	char src[32];

	begin(SW_OVER_DROP);
	web.limit[SW_LEVEL_HOST].conns = 100;
	web_write();
	pthread_barrier_init(&gate, NULL, 2);
	for (unsigned int round = 0; round < scaled(300); round++) {
		unsigned int found = 0, conns = 0;
		pthread_t other;
		const struct sw_source *s;

		snprintf(src, sizeof(src), "198.51.%u.%u", round / 200 + 1, round % 200 + 1);
		for (int i = 0; i < 2; i++) {
			struct spec syn_spec = syn_of(src);

			handshake_syn(&racing[i], &syn_spec);
		}
		MUST(pthread_create(&other, NULL, race, (void *)1L));
		race((void *)0L);
		pthread_join(other, NULL);
		counters_moved();
		s = source(src, SW_LEVEL_HOST);
		for (uint32_t i = 0; s && i < slots; i++) {
			found += all[i].tag == s->tag;
			conns += all[i].tag == s->tag ? all[i].conns : 0;
		}
		CHECK(found <= 1);
		CHECK(conns <= 2);
	}
	pthread_barrier_destroy(&gate);
}

/* No slot: it is served, not counted, and that is told. An idle source gives way. */
TEST(no_room_for_a_source_hurts_nobody, "J01 K01")
{
	uint32_t slots;
	struct sw_source *all = sources(&slots);

	begin(SW_OVER_DROP);
	web.limit[SW_LEVEL_HOST].conns = 1;
	web_write();
	for (uint32_t i = 0; i < slots; i++)
		all[i] = (struct sw_source){ .tag = 2 * i + 1, .conns = 1 };
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK_EQ(hits().no_room, 2);
	for (uint32_t i = 0; i < slots; i++)
		all[i].conns = 0;
	CHECK_EQ(open_from("203.0.113.9"), SW_PASS_COOKIE);
	CHECK_EQ(open_from("203.0.113.9"), SW_DROP_LIMIT_CONNS);
	CHECK_EQ(hits().no_room, 2);
	memset(all, 0, slots * sizeof(*all));
}

/* Who sets a limit under attack means the connections that are there, too. */
TEST(connections_older_than_the_limit_count_from_the_next_walk_on, "J01 J03")
{
	struct peer one, two;
	struct sw_source *s;
	uint32_t slots;

	need_reqsk();
	peer_prepare();
	peer_open(&one, OPEN_COOKIE4);
	peer_open(&two, OPEN_COOKIE4);
	SAY(&two, FIN, 0);
	HEAR(&two, ACK, 0);
	CHECK_EQ(sources_used(), 0);
	web = (struct sw_service){
		.port_first = 80, .port_last = 80, .mode = SW_MODE_ALWAYS, .over = SW_OVER_DROP
	};
	web.limit[SW_LEVEL_HOST].conns = 2;
	web_write();
	for (int walks = 0; walks < 2; walks++) {
		adopt_sockets();
		CHECK_EQ(sources_used(), 2); /* at both levels */
		s = sources(&slots);
		for (uint32_t i = 0; i < slots; i++) {
			CHECK_EQ(s[i].conns, s[i].tag ? 2 : 0);
			CHECK_EQ(s[i].half_closed, s[i].tag ? 1 : 0);
		}
	}
	ABORT(&two);
	s = sources(&slots);
	for (uint32_t i = 0; i < slots; i++) {
		CHECK_EQ(s[i].conns, s[i].tag ? 1 : 0);
		CHECK_EQ(s[i].half_closed, 0);
	}
	ABORT(&one);
}
