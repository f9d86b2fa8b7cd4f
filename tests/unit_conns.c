/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user/conns.c, tunables.c, table.c and sweep.c on memory of our own: no kernel. */
#define HARNESS_PURE true
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conns.h"
#include "harness.h"
#include "table.h"
#include "tunables.h"

#define NOW 100000U

static struct sw_conn a_conn(enum sw_state state, __u32 age, __u32 idle)
{
	struct sw_conn c = {
		.client = { 0, 0, htonl(0xffff), htonl(0xc0000201) },
		.client_port = htons(40000),
		.state = state,
		.flags = SW_CONN_CONFIRMED,
		.service = 3,
		.generation = 9,
		.opened_s = NOW - age,
		.changed_s = NOW - age,
		.seen_s = NOW - idle,
	};

	return c;
}

TEST(filters_choose_by_state_service_source_and_age, "L09")
{
	struct sw_conn c = a_conn(SW_CLOSE_WAIT, 100, 10);
	const struct conn_query all = CONN_QUERY_ALL;
	struct conn_query q = all;
	struct text_why why;

	CHECK(conn_matches(&q, &c, NOW));
	q.states = 1U << SW_CLOSE_WAIT | 1U << SW_CLOSED;
	CHECK(conn_matches(&q, &c, NOW));
	q.states = 1U << SW_ESTABLISHED;
	CHECK(!conn_matches(&q, &c, NOW));
	q = all;
	q.service = 3;
	CHECK(conn_matches(&q, &c, NOW));
	q.service = 4;
	CHECK(!conn_matches(&q, &c, NOW));
	for (int i = 0; i < 3; i++) { /* both ends belong to it */
		q = all;
		q.older_s = 99 + (unsigned int)i;
		CHECK_EQ(conn_matches(&q, &c, NOW), i < 2);
		q = all;
		q.younger_s = 99 + (unsigned int)i;
		CHECK_EQ(conn_matches(&q, &c, NOW), i > 0);
	}
	/* written by another CPU a moment later than our clock was read */
	c.opened_s = NOW + 1;
	q = all;
	q.younger_s = 0;
	CHECK(conn_matches(&q, &c, NOW));
	q = all;
	CHECK_EQ(text_prefix("192.0.2.0/24", q.source, &q.source_len, &why), 0);
	CHECK(conn_matches(&q, &c, NOW));
}

TEST(sources_match_their_prefix_and_no_other, "L09")
{
	static const struct {
		const char *prefix;
		bool v4, v6;
	} cases[] = {
		{ "any", true, true },
		{ "0.0.0.0/0", true, false },
		{ "192.0.2.1", true, false },
		{ "192.0.2.0/31", true, false },
		{ "192.0.2.2/31", false, false },
		{ "128.0.0.0/1", true, false },
		{ "0.0.0.0/1", false, false },
		{ "2001:db8::/32", false, true },
		{ "2001:db8::/33", false, true },
		{ "2001:db8:8000::/33", false, false },
		{ "2001:db8::5", false, true },
		{ "2001:db8::4/127", false, true },
		{ "2001:db8::6/127", false, false },
		{ "2001:db8::/64", false, true },
	};
	struct sw_conn v4 = a_conn(SW_ESTABLISHED, 1, 1), v6 = v4;

	v6.client[0] = htonl(0x20010db8);
	v6.client[1] = v6.client[2] = 0;
	v6.client[3] = htonl(5);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conn_query q = CONN_QUERY_ALL;
		struct text_why why;

		test_context("%s", cases[i].prefix);
		CHECK_EQ(text_prefix(cases[i].prefix, q.source, &q.source_len, &why), 0);
		CHECK_EQ(conn_matches(&q, &v4, NOW), cases[i].v4);
		CHECK_EQ(conn_matches(&q, &v6, NOW), cases[i].v6);
	}
}

/* Against the simplest way: the keys all in one array, sorted by picking the least. */
static void check_first(const struct conn_key *all, size_t count, size_t room, bool reverse)
{
	struct conn_list list = { .room = room, .reverse = reverse };
	struct conn_list whole = { .room = count, .reverse = reverse };

	for (size_t i = 0; i < count; i++) {
		CHECK_EQ(conn_list_add(&list, &all[i]), 0);
		CHECK_EQ(conn_list_add(&whole, &all[i]), 0);
	}
	conn_list_sort(&list);
	conn_list_sort(&whole);
	CHECK_EQ(whole.count, count);
	CHECK_EQ(list.count, room < count ? room : count);
	CHECK(list.count == 0 || !memcmp(list.key, whole.key, list.count * sizeof(*list.key)));
	for (size_t i = 1; i < whole.count; i++)
		CHECK(reverse ? whole.key[i - 1].high >= whole.key[i].high :
				whole.key[i - 1].high <= whole.key[i].high);
	conn_list_free(&list);
	conn_list_free(&whole);
}

TEST(the_first_of_many_are_those_of_the_whole_order, "")
{
	static const size_t rooms[] = { 0, 1, 2, 3, 10, 999, 1000, 1001, 1ULL << 40 };
	struct conn_key all[1000];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		all[i] = (struct conn_key){
			.high = test_random() % 50, /* many alike: the place decides */
			.low = test_random() % 3,
			.port = (__u16)(test_random() % 3),
			.at = (__u32)i,
			.table = test_random() & 1,
		};
	}
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		test_context("room %zu", rooms[i]);
		check_first(all, ARRAY_SIZE(all), rooms[i], false);
		check_first(all, ARRAY_SIZE(all), rooms[i], true);
	}
}

/* Tables in memory that is nobody's map, with one connection in slot 5. */
static struct tables some_tables(struct sw_conn c)
{
	struct tables t = {
		.slot = { calloc(16, sizeof(c)), calloc(8, sizeof(c)) },
		.slots = { 16, 8 },
		.gauge = calloc(SW_MAX_SERVICES, sizeof(struct sw_gauge)),
		.use = calloc(SW_TABLE_MAX, sizeof(struct sw_table_use)),
	};

	t.slot[SW_TABLE_CONNS][5] = c;
	t.use[SW_TABLE_CONNS].used = 1;
	t.gauge[c.service].conns[c.state] = 1;
	t.use[SW_TABLE_CONNS].fin_pending = 1;
	return t;
}

static void free_tables(struct tables *t)
{
	free(t->slot[0]);
	free(t->slot[1]);
	free(t->gauge);
	free(t->use);
}

TEST(a_walk_sees_connections_and_nothing_else, "")
{
	struct tables t = some_tables(a_conn(SW_ESTABLISHED, 1, 1));
	struct walk w = WALK(&t);
	struct conn conn;

	t.use[SW_TABLE_CONNS].used = 5;
	t.slot[SW_TABLE_CONNS][6] = a_conn(SW_CLAIMED, 1, 1);
	t.slot[SW_TABLE_CONNS][7] = a_conn(SW_STATE_MAX, 1, 1);
	t.slot[SW_TABLE_HALF][7] = a_conn(SW_SYN_RECEIVED, 1, 1);
	t.use[SW_TABLE_HALF].used = 1;
	REQUIRE(walk_next(&w, &conn));
	CHECK_EQ(conn.at, 5);
	CHECK_EQ(conn.table, SW_TABLE_CONNS);
	CHECK_EQ(conn.c.state, SW_ESTABLISHED);
	REQUIRE(walk_next(&w, &conn));
	CHECK_EQ(conn.at, 7);
	CHECK_EQ(conn.table, SW_TABLE_HALF);
	CHECK(!walk_next(&w, &conn));
	CHECK(!walk_next(&w, &conn));
	free_tables(&t);
}

TEST(a_slot_is_freed_only_as_it_was_seen, "")
{
	struct tables t = some_tables(a_conn(SW_FIN_WAIT_2, 1, 1));
	struct sw_conn *slot = &t.slot[SW_TABLE_CONNS][5];
	struct walk w = WALK(&t);
	struct conn seen;

	slot->flags |= SW_CONN_CLIENT_FIN; /* out of order, in this state */
	REQUIRE(walk_next(&w, &seen));
	slot->flags |= SW_CONN_HELD;
	CHECK(!conn_free(&t, &seen));
	conn_clear(&t, &seen, SW_CONN_HELD | SW_CONN_RST_SEEN);
	CHECK_EQ(slot->flags, SW_CONN_CONFIRMED | SW_CONN_CLIENT_FIN);
	slot->generation++;
	CHECK(!conn_free(&t, &seen));
	slot->flags |= SW_CONN_HELD;
	conn_clear(&t, &seen, SW_CONN_HELD); /* another connection's flag */
	CHECK(slot->flags & SW_CONN_HELD);
	CHECK(!conn_again(&t, &seen));
	slot->generation--;
	CHECK(conn_again(&t, &seen));
	CHECK(conn_free(&t, &seen));
	CHECK_EQ(slot->state, SW_FREE);
	CHECK_EQ(slot->flags, 0);
	CHECK_EQ(slot->service, 0);
	CHECK_EQ(slot->generation, seen.c.generation);
	CHECK_EQ(t.use[SW_TABLE_CONNS].used, 0);
	CHECK_EQ(t.use[SW_TABLE_CONNS].fin_pending, 0);
	CHECK_EQ(t.gauge[3].conns[SW_FIN_WAIT_2], 0);
	CHECK(!conn_free(&t, &seen));
	free_tables(&t);
}

TEST(a_service_is_forgotten_with_all_its_connections, "")
{
	struct tables t = some_tables(a_conn(SW_CLOSE_WAIT, 1, 1));

	t.slot[SW_TABLE_HALF][0] = a_conn(SW_SYN_SENT, 1, 1);
	t.slot[SW_TABLE_HALF][1] = a_conn(SW_SYN_SENT, 1, 1);
	t.slot[SW_TABLE_HALF][1].service = 4;
	t.use[SW_TABLE_HALF].used = 2;
	t.gauge[3].conns[SW_SYN_SENT] = 1;
	t.gauge[4].conns[SW_SYN_SENT] = 1;
	CHECK_EQ(tables_forget(&t, 5), 0);
	CHECK_EQ(tables_forget(&t, 3), 2);
	CHECK_EQ(t.use[SW_TABLE_CONNS].used, 0);
	CHECK_EQ(t.use[SW_TABLE_HALF].used, 1);
	CHECK_EQ(t.slot[SW_TABLE_HALF][1].state, SW_SYN_SENT);
	CHECK_EQ(t.gauge[4].conns[SW_SYN_SENT], 1);
	CHECK_EQ(tables_forget(&t, 3), 0);
	free_tables(&t);
}

TEST(the_host_is_asked_after_the_timeout_of_the_state, "")
{
	struct sw_settings s = {};
	struct sw_conn c;

	limits_default(&s);
	for (unsigned int state = SW_CLOSED; state < SW_STATE_MAX; state++) {
		__u32 limit = s.timeout_s[state];

		if (state == SW_LISTEN)
			continue;
		test_context("%s", text_state_name((enum sw_state)state));
		CHECK(limit >= 60);
		c = a_conn((enum sw_state)state, limit, limit);
		CHECK(conn_overdue(&c, s.timeout_s, NOW) < 0);
		CHECK_EQ(conn_overdue(&c, s.timeout_s, NOW + 1), 0);
		CHECK_EQ(conn_overdue(&c, s.timeout_s, NOW + 11), 10);
		/* a segment prolongs all but the last two */
		c = a_conn((enum sw_state)state, limit + 1, 1);
		CHECK_EQ(conn_overdue(&c, s.timeout_s, NOW) < 0,
			 state != SW_CLOSED && state != SW_TIME_WAIT);
		/* in doubt it is asked for early, never later */
		c = a_conn((enum sw_state)state, SWEEP_DOUBT_S + 1, SWEEP_DOUBT_S + 1);
		CHECK(conn_overdue(&c, s.timeout_s, NOW) < 0);
		c.flags |= SW_CONN_RST_SEEN;
		CHECK_EQ(conn_overdue(&c, s.timeout_s, NOW) >= 0,
			 state != SW_CLOSED && state != SW_TIME_WAIT);
		c.flags = 0;
		CHECK_EQ(conn_overdue(&c, s.timeout_s, NOW) >= 0,
			 state != SW_CLOSED && state != SW_TIME_WAIT);
	}
	s.timeout_s[SW_ESTABLISHED] = 5;
	c = a_conn(SW_ESTABLISHED, 6, 6);
	c.flags = 0;
	CHECK_EQ(conn_overdue(&c, s.timeout_s, NOW), 0);
}

TEST(what_the_host_held_is_asked_for_again_ever_later, "")
{
	unsigned int asked = 0;
	long last = -1;

	CHECK(sweep_asks(0, 1));
	CHECK(sweep_asks(9, 10));
	CHECK(!sweep_asks(5, 5));
	/* a sweep each 5 s, asking when it should */
	for (long overdue = 0; overdue < 100000; overdue += 5) {
		if (last >= 0 && !sweep_asks(overdue, (unsigned int)(overdue - last)))
			continue;
		CHECK(last < 1 || overdue >= 2 * last);
		last = overdue;
		asked++;
	}
	CHECK_EQ(asked, 7);
	CHECK_EQ(last, 320);
}

/* Of any entry as it is now, or as it may become meanwhile: never due while it is left alone. */
TEST(no_part_rests_beyond_what_is_due, "")
{
	__u32 timeout_s[SW_STATE_MAX] = {}, now = 100000;

	CHECK_EQ(sweep_again_in(0, 15), 0);
	CHECK_EQ(sweep_again_in(-3, 15), 3);
	CHECK_EQ(sweep_again_in(-300, 15), 15);
	for (int state = SW_CLOSED; state < SW_STATE_MAX; state++)
		timeout_s[state] = 7440;
	CHECK_EQ(sweep_rest(timeout_s, 1 << 17), 0);
	CHECK_EQ(sweep_rest(timeout_s, 1 << 20), SWEEP_DOUBT_S);
	timeout_s[SW_TIME_WAIT] = 4;
	CHECK_EQ(sweep_rest(timeout_s, 1 << 20), 4);
	for (int i = 0; i < 200000; i++) {
		enum sw_state state = SW_SYN_SENT + test_random() % (SW_STATE_MAX - SW_SYN_SENT);
		__u32 idle = test_random() % 200, rest;
		struct sw_conn c = { .state = state,
				     .flags = test_random() % 2 ? SW_CONN_CONFIRMED : 0,
				     .seen_s = now - idle,
				     .changed_s = now - idle };

		timeout_s[state] = 1 + test_random() % 100;
		rest = sweep_again_in(conn_overdue(&c, timeout_s, now),
				      sweep_rest(timeout_s, 1 << 20));
		if (rest && conn_overdue(&c, timeout_s, now + rest - 1) >= 0)
			FAIL("state %d, idle %u: due within %u s", state, idle, rest);
		c.seen_s = c.changed_s = now; /* or one that comes just behind the look */
		if (conn_overdue(&c, timeout_s, now + sweep_rest(timeout_s, 1 << 20)) >= 0)
			FAIL("state %d: due before anybody looks", state);
	}
}

TEST(tables_have_the_slots_their_connections_need, "")
{
	static const __u32 counts[] = { SW_CONNS_MIN, 65, 1000, SW_CONNS, 1000000, SW_CONNS_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct sw_boot boot = {};

		test_context("%u", counts[i]);
		tables_size(&boot, counts[i]);
		CHECK_EQ(boot.max[SW_TABLE_CONNS], counts[i]);
		CHECK(boot.max[SW_TABLE_HALF] >= SW_CONNS_MIN);
		CHECK(boot.max[SW_TABLE_HALF] >= counts[i] / SW_HALF_SHARE);
		for (int t = 0; t < SW_TABLE_MAX; t++) {
			__u64 slots = (__u64)boot.buckets[t] * SW_WAYS;

			CHECK(slots * SW_SLOTS_DEN >= (__u64)boot.max[t] * SW_SLOTS_NUM);
			CHECK((slots - SW_WAYS) * SW_SLOTS_DEN < (__u64)boot.max[t] * SW_SLOTS_NUM);
		}
		CHECK(boot.live_words >= SW_LIVE_WORDS);
		CHECK_EQ(boot.live_words & (boot.live_words - 1), 0);
		CHECK(boot.live_words * 64ULL >= 16ULL * counts[i]);
	}
}

TEST(limits_are_read_within_their_range, "L09")
{
	struct sw_settings s = {}, same;
	struct text_why why;
	__u32 value = 7;

	limits_default(&s);
	for (size_t i = 0; i < limits_count; i++) {
		const struct limit *l = &limits[i];
		char word[32];

		test_context("%s", l->name);
		CHECK(limit_find(l->name) == l);
		CHECK_EQ(limit_get(l, &s), l->fallback);
		CHECK(l->fallback >= l->min && l->fallback <= l->max);
		snprintf(word, sizeof(word), "%u", l->max);
		CHECK_EQ(limit_read(l, word, &value, &why), 0);
		CHECK_EQ(value, l->max);
		value = 7;
		snprintf(word, sizeof(word), "%llu", l->max + 1ULL);
		CHECK_EQ(limit_read(l, word, &value, &why), -22);
		CHECK(strstr(why.text, l->name) != NULL);
		CHECK_EQ(limit_read(l, "-1", &value, &why), -22);
		CHECK_EQ(limit_read(l, "", &value, &why), -22);
		CHECK_EQ(value, 7);
		CHECK_EQ(limit_read(l, "default", &value, &why), 0);
		CHECK_EQ(value, l->fallback);
		/* each has a number of its own */
		same = s;
		limit_put(l, &s, l->max);
		CHECK_EQ(limit_get(l, &s), l->max);
		limit_put(l, &s, l->fallback);
		CHECK(memcmp(&s, &same, sizeof(s)) == 0);
	}
	CHECK(limit_find("timeout-time-wait") != NULL);
	CHECK_EQ(limit_read(limit_find("timeout-time-wait"), "2m", &value, &why), 0);
	CHECK_EQ(value, 120);
	CHECK_EQ(limit_read(limit_find("timeout-time-wait"), "59", &value, &why), -22);
	CHECK_EQ(limit_read(limit_find("ask-rate"), "2m", &value, &why), -22);
	CHECK(limit_find("timeout") == NULL);
}

TEST(orders_have_names, "L09")
{
	enum conn_sort sort = CONN_SORT_NONE;
	struct text_why why;

	CHECK_EQ(conn_sort_read("client", &sort, &why), 0);
	CHECK_EQ(sort, CONN_SORT_CLIENT);
	CHECK_EQ(conn_sort_read("ages", &sort, &why), -22);
	CHECK_EQ(conn_sort_read("", &sort, &why), -22);
	CHECK_EQ(sort, CONN_SORT_CLIENT);
	CHECK(strstr(why.text, "idle") != NULL);
}
