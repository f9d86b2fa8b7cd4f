/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user/text.c: what is read, what is refused, and that it prints as it reads. */
#define HARNESS_PURE true
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "text.h"

TEST(numbers_are_digits_in_range_and_nothing_else, "L09")
{
	static const char *const bad[] = { "",
					   " ",
					   "1 ",
					   " 1",
					   "+1",
					   "-1",
					   "-0",
					   "0x10",
					   "1e3",
					   "1.0",
					   "one",
					   "1,000",
					   "18446744073709551616",
					   "99999999999999999999999",
					   "1\n",
					   "\xd9\xa1",
					   "0-" };
	__u64 value = 7;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		test_context("'%s'", bad[i]);
		CHECK_EQ(text_u64(bad[i], 0, ~0ULL, &value), -22);
		CHECK_EQ(value, 7);
	}
	test_context("good");
	CHECK_EQ(text_u64("18446744073709551615", 0, ~0ULL, &value), 0);
	CHECK_EQ(value, -1);
	CHECK_EQ(text_u64("0", 0, 0, &value), 0);
	CHECK_EQ(value, 0);
	CHECK_EQ(text_u64("007", 7, 7, &value), 0);
	CHECK_EQ(value, 7);
	CHECK_EQ(text_u64("6", 7, 9, &value), -22);
	CHECK_EQ(text_u64("10", 7, 9, &value), -22);
	CHECK_EQ(value, 7);
}

TEST(numbers_of_32_bits_have_their_own_limit, "L09")
{
	__u32 value = 7;

	CHECK_EQ(text_u32("4294967295", 0, ~0U, &value), 0);
	CHECK_EQ(value, 4294967295U);
	value = 7;
	CHECK_EQ(text_u32("4294967296", 0, ~0U, &value), -22);
	CHECK_EQ(text_u32("4294967297", 1, ~0U, &value), -22);
	CHECK_EQ(value, 7);
}

TEST(ports_and_ranges, "L09")
{
	static const struct {
		const char *s;
		int err, first, last;
	} cases[] = {
		{ "80", 0, 80, 80 },
		{ "1", 0, 1, 1 },
		{ "65535", 0, 65535, 65535 },
		{ "8000-8100", 0, 8000, 8100 },
		{ "1-65535", 0, 1, 65535 },
		{ "80-80", 0, 80, 80 },
		{ "0", -22, 9, 9 },
		{ "65536", -22, 9, 9 },
		{ "0-10", -22, 9, 9 },
		{ "10-65536", -22, 9, 9 },
		{ "100-80", -22, 9, 9 },
		{ "", -22, 9, 9 },
		{ "-", -22, 9, 9 },
		{ "80-", -22, 9, 9 },
		{ "-80", -22, 9, 9 },
		{ "80-90-100", -22, 9, 9 },
		{ "80,81", -22, 9, 9 },
		{ "http", -22, 9, 9 },
		{ "80 ", -22, 9, 9 },
		{ "80- 90", -22, 9, 9 },
		{ "000000000080", -22, 9, 9 },
		{ "00000801", -22, 9, 9 },
		{ "0000080x", -22, 9, 9 },
		{ "80-0000080x", -22, 9, 9 },
		{ "80000000000000000000000000000", -22, 9, 9 },
		{ "80000000000000000000-80", -22, 9, 9 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct text_why why = {};
		__u16 first = 9, last = 9;

		test_context("'%s'", cases[i].s);
		CHECK_EQ(text_ports(cases[i].s, &first, &last, &why), cases[i].err);
		CHECK_EQ(first, cases[i].first);
		CHECK_EQ(last, cases[i].last);
		CHECK_EQ(why.text[0] != '\0', cases[i].err != 0);
	}
}

/* Accepted prefixes: length in v4-mapped space, and the text they print as again. */
static const struct {
	const char *s;
	unsigned int len;
	const char *name;
} good[] = {
	{ "any", 0, "any" },
	{ "192.0.2.1", 128, "192.0.2.1" },
	{ "192.0.2.1/32", 128, "192.0.2.1" },
	{ "192.0.2.0/24", 120, "192.0.2.0/24" },
	{ "10.0.0.0/8", 104, "10.0.0.0/8" },
	{ "128.0.0.0/1", 97, "128.0.0.0/1" },
	{ "0.0.0.0/0", 96, "0.0.0.0/0" },
	{ "2001:db8::1", 128, "2001:db8::1" },
	{ "2001:DB8:0:0:0:0:0:1/128", 128, "2001:db8::1" },
	{ "2001:db8::/32", 32, "2001:db8::/32" },
	{ "2001:db8:1:2::/64", 64, "2001:db8:1:2::/64" },
	{ "fe00::/7", 7, "fe00::/7" },
	{ "8000::/1", 1, "8000::/1" },
	{ "::1", 128, "::1" },
};

TEST(prefixes_are_read_and_print_as_they_were_read, "L09")
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct sw_service service = {}, again = {};
		struct text_why why = {};
		char name[TEXT_SERVICE], want[TEXT_SERVICE];

		test_context("'%s'", good[i].s);
		CHECK_EQ(text_service(good[i].s, "80-90", &service, &why), 0);
		CHECK_EQ(service.prefix_len, good[i].len);
		snprintf(want, sizeof(want), "%s 80-90", good[i].name);
		text_service_name(&service, name);
		CHECK_BYTES(name, strlen(name), want, strlen(want));
		CHECK_EQ(text_service(good[i].name, "80-90", &again, &why), 0);
		CHECK(memcmp(&service, &again, sizeof(service)) == 0);
	}
}

TEST(bad_prefixes_are_refused_with_a_reason_and_change_nothing, "L09")
{
	static const char *const bad[] = {
		"",
		"/",
		"all",
		"Any",
		"any/0",
		"192.0.2",
		"192.0.2.1.5",
		"192.0.2.256",
		"192.0.2.1/",
		"192.0.2.1/33",
		"192.0.2.1/-1",
		"192.0.2.1/24",
		"192.0.2.0/24/24",
		"192.0.2.0/ 24",
		" 192.0.2.0/24",
		"192.0.2.0/24 ",
		"192.0.02.1x",
		"2001:db8::/129",
		"2001:db8::1/64",
		"2001:db8:::1",
		"2001:db8",
		"[2001:db8::1]",
		"fe80::1%eth0",
		"::/0",
		"::/80",
		"::ffff:192.0.2.1",
		"::ffff:0:0/96",
		"localhost",
		"192.0.2.0/0x18",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999",
		"11111111111111111111111111111111111111111111111111111111111111111111111111111",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		__be32 addr[4] = { 1, 2, 3, 4 }, same[4] = { 1, 2, 3, 4 };
		struct text_why why = {};
		__u32 len = 77;

		test_context("'%s'", bad[i]);
		CHECK_EQ(text_prefix(bad[i], addr, &len, &why), -22);
		CHECK_EQ(len, 77);
		CHECK(memcmp(addr, same, sizeof(addr)) == 0);
		CHECK(why.text[0] != '\0');
		CHECK(strlen(why.text) < sizeof(why.text));
	}
}

/* A service is read whole or not at all. */
TEST(service_is_unchanged_when_either_word_is_bad, "L09")
{
	struct sw_service service = {
		.port_first = 5, .port_last = 6, .mode = SW_MODE_ALWAYS, .host_syns_pps = 9
	};
	struct sw_service same = service;
	struct text_why why = {};

	CHECK_EQ(text_service("192.0.2.1", "0", &service, &why), -22);
	CHECK(memcmp(&service, &same, sizeof(same)) == 0);
	CHECK_EQ(text_service("192.0.2", "80", &service, &why), -22);
	CHECK(memcmp(&service, &same, sizeof(same)) == 0);
	CHECK_EQ(text_service("192.0.2.1", "80", &service, &why), 0);
	CHECK_EQ(service.mode, SW_MODE_ALWAYS);
	CHECK_EQ(service.host_syns_pps, 9);
}

TEST(names_read_back_as_what_they_name, "L09")
{
	struct text_why why = {};
	enum sw_engine engine;
	enum xdp_mode xdp;
	enum sw_mode mode;

	for (int i = SW_MODE_OFF; i <= SW_MODE_ALWAYS; i++) {
		CHECK_EQ(text_mode(text_mode_name((enum sw_mode)i), &mode, &why), 0);
		CHECK_EQ(mode, i);
	}
	for (int i = SW_ENGINE_AUTO; i <= SW_ENGINE_LISTENER; i++) {
		CHECK_EQ(text_engine(text_engine_name((enum sw_engine)i), &engine, &why), 0);
		CHECK_EQ(engine, i);
	}
	for (int i = XDP_MODE_AUTO; i <= XDP_MODE_GENERIC; i++) {
		CHECK_EQ(text_xdp_mode(text_xdp_mode_name((enum xdp_mode)i), &xdp, &why), 0);
		CHECK_EQ(xdp, i);
	}
	mode = SW_MODE_MONITOR;
	CHECK_EQ(text_mode("Always", &mode, &why), -22);
	CHECK_EQ(text_mode("", &mode, &why), -22);
	CHECK_EQ(text_mode("alwaysx", &mode, &why), -22);
	CHECK_EQ(mode, SW_MODE_MONITOR);
	CHECK(strstr(why.text, "monitor") != NULL); /* it says what is accepted */
	/* from a pinned map anything may come */
	CHECK(strcmp(text_mode_name((enum sw_mode)99), "?") == 0);
	CHECK(strcmp(text_engine_name((enum sw_engine)99), "?") == 0);
}

TEST(every_reason_has_label_verdict_and_help_of_its_own, "")
{
	static const struct {
		const char *name, *verdict;
	} rows[SW_REASON_MAX] = {
#define X(name_, verdict_, label, help) [SW_##name_] = { label, #verdict_ },
		SW_REASONS(X)
#undef X
	};

	for (int r = 1; r < SW_REASON_MAX; r++) {
		test_context("%s", rows[r].name);
		CHECK(strcmp(text_reason((enum sw_reason)r), rows[r].name) == 0);
		CHECK(strcasecmp(text_verdict((enum sw_reason)r), rows[r].verdict) == 0);
		CHECK(strlen(text_reason_help((enum sw_reason)r)) > 8);
		for (int other = 1; other < r; other++)
			CHECK(strcmp(rows[r].name, rows[other].name) != 0);
	}
	CHECK(strcmp(text_reason(SW_CONTINUE), "?") == 0);
	CHECK(strcmp(text_reason(SW_REASON_MAX), "?") == 0);
}

TEST(addresses_endpoints_flags_and_counts_print, "")
{
	__be32 v4[4] = { 0, 0, htonl(0xffff), htonl(0xc6336407) };
	__be32 v6[4] = { htonl(0x20010db8), 0, 0, htonl(1) };
	char buf[128];

	CHECK(addr_is_v4(v4) && !addr_is_v4(v6));
	CHECK(strcmp(text_endpoint(v4, htons(80), buf), "198.51.100.7:80") == 0);
	CHECK(strcmp(text_endpoint(v6, htons(65535), buf), "[2001:db8::1]:65535") == 0);
	CHECK(strcmp(text_tcp_flags(0x12, buf), "SYN,ACK") == 0);
	CHECK(strcmp(text_tcp_flags(0, buf), "") == 0);
	CHECK(strcmp(text_tcp_flags(0xff, buf), "FIN,SYN,RST,PSH,ACK,URG,ECE,CWR") == 0);
	CHECK(strcmp(text_count(0, buf), "0") == 0);
	CHECK(strcmp(text_count(999, buf), "999") == 0);
	CHECK(strcmp(text_count(1000, buf), "1,000") == 0);
	CHECK(strcmp(text_count(~0ULL, buf), "18,446,744,073,709,551,615") == 0);
}

/* Random words: refused or, read and printed, read to the same again; never out of bounds. */
TEST(random_words_are_refused_or_read_back_the_same, "L09")
{
	static const char alphabet[] = "0123456789abcdefANY.:/-,% any";
	unsigned int accepted = 0;

	for (int i = 0; i < 300000; i++) {
		struct sw_service service = {}, again = {};
		struct text_why why;
		char word[64], name[TEXT_SERVICE], *space;
		size_t len = test_random() % 24;

		for (size_t at = 0; at < len; at++)
			word[at] = alphabet[test_random() % (sizeof(alphabet) - 1)];
		word[len] = '\0';
		if (test_random() % 4 == 0) /* a good one, one byte changed */
			snprintf(word, sizeof(word), "%s",
				 good[test_random() % ARRAY_SIZE(good)].s);
		if (len && word[0])
			word[test_random() % strlen(word)] =
				alphabet[test_random() % (sizeof(alphabet) - 1)];
		if (text_service(word, "80", &service, &why))
			continue;
		accepted++;
		text_service_name(&service, name);
		space = strchr(name, ' ');
		REQUIRE(space);
		*space = '\0';
		test_context("'%s' printed as '%s'", word, name);
		CHECK_EQ(text_service(name, "80", &again, &why), 0);
		CHECK(memcmp(&service, &again, sizeof(service)) == 0);
	}
	CHECK(accepted > 1000);
}

TEST(states_have_the_names_of_rfc_9293, "L09")
{
	static const struct {
		const char *s;
		int state;
	} cases[] = {
		{ "CLOSED", SW_CLOSED },
		{ "listen", SW_LISTEN },
		{ "Syn-Sent", SW_SYN_SENT },
		{ "syn_received", SW_SYN_RECEIVED },
		{ "established", SW_ESTABLISHED },
		{ "fin-wait-1", SW_FIN_WAIT_1 },
		{ "FIN_WAIT_2", SW_FIN_WAIT_2 },
		{ "close-wait", SW_CLOSE_WAIT },
		{ "CLOSING", SW_CLOSING },
		{ "last_ack", SW_LAST_ACK },
		{ "TIME-WAIT", SW_TIME_WAIT },
		/* slots, abbreviations, parts and more */
		{ "free", -1 },
		{ "claimed", -1 },
		{ "", -1 },
		{ "estab", -1 },
		{ "established ", -1 },
		{ "fin-wait", -1 },
		{ "fin-wait-3", -1 },
		{ "time wait", -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum sw_state state = SW_FREE;
		struct text_why why = {};

		test_context("'%s'", cases[i].s);
		CHECK_EQ(text_state(cases[i].s, &state, &why), cases[i].state < 0 ? -22 : 0);
		CHECK_EQ(state, cases[i].state < 0 ? SW_FREE : cases[i].state);
		CHECK_EQ(why.text[0] != '\0', cases[i].state < 0);
	}
	for (int i = SW_CLOSED; i < SW_STATE_MAX; i++) {
		enum sw_state state = SW_FREE;
		struct text_why why;

		CHECK_EQ(text_state(text_state_name((enum sw_state)i), &state, &why), 0);
		CHECK_EQ(state, i);
	}
	CHECK(strcmp(text_state_name((enum sw_state)200), "?") == 0);
}

TEST(lists_of_states_are_read_whole_or_not_at_all, "L09")
{
	static const char *const bad[] = { "",
					   ",",
					   "closed,",
					   ",closed",
					   "closed,,closing",
					   "closed, closing",
					   "closed;closing",
					   "all" };
	struct text_why why;
	__u32 mask = 77;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		test_context("'%s'", bad[i]);
		CHECK_EQ(text_states(bad[i], &mask, &why), -22);
		CHECK_EQ(mask, 77);
	}
	test_context("good");
	CHECK_EQ(text_states("time_wait", &mask, &why), 0);
	CHECK_EQ(mask, 1U << SW_TIME_WAIT);
	CHECK_EQ(text_states("FIN-WAIT-1,fin-wait-2,FIN-WAIT-1", &mask, &why), 0);
	CHECK_EQ(mask, 1U << SW_FIN_WAIT_1 | 1U << SW_FIN_WAIT_2);
}

TEST(durations_are_seconds_or_have_one_unit, "L09")
{
	static const struct {
		const char *s;
		long long seconds; /* -1: refused */
	} cases[] = {
		{ "0", 0 },
		{ "90", 90 },
		{ "90s", 90 },
		{ "15m", 900 },
		{ "2h", 7200 },
		{ "7d", 604800 },
		{ "604800", 604800 },
		{ "604801", -1 },
		{ "8d", -1 },
		{ "", -1 },
		{ "s", -1 },
		{ "m5", -1 },
		{ "5 m", -1 },
		{ "5ms", -1 },
		{ "1h30m", -1 },
		{ "1.5h", -1 },
		{ "-1", -1 },
		{ "5M", -1 },
		{ "4294967295d", -1 },
		{ "99999999999999999999", -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		__u32 seconds = 7;

		test_context("'%s'", cases[i].s);
		CHECK_EQ(text_duration(cases[i].s, 0, 604800, &seconds),
			 cases[i].seconds < 0 ? -22 : 0);
		CHECK_EQ(seconds, cases[i].seconds < 0 ? 7 : cases[i].seconds);
	}
}

TEST(ages_print_their_two_largest_units, "")
{
	static const struct {
		__u32 seconds;
		const char *text;
	} cases[] = {
		{ 0, "0s" },        { 59, "59s" },       { 60, "1m00s" },
		{ 3599, "59m59s" }, { 3600, "1h00m" },   { 86399, "23h59m" },
		{ 86400, "1d00h" }, { 694800, "8d01h" }, { ~0U, "49710d06h" },
	};
	char buf[TEXT_AGE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		test_context("%u", cases[i].seconds);
		CHECK(strcmp(text_age(cases[i].seconds, buf), cases[i].text) == 0);
	}
}
