/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user/web_*.c without a network: who is let in, what becomes of arguments, what is cut. */
#define HARNESS_PURE true
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "web.h"

#define CHECK_TEXT(got, want)                                     \
	do {                                                      \
		if (strcmp(got, want))                            \
			test_fail(__FILE__, __LINE__, "%s", got); \
	} while (0)

TEST(only_names_of_this_machine_are_local, "O02")
{
	static const char *const ours[] = { "localhost",     "LocalHost:9857", "127.0.0.1",
					    "127.255.0.9:1", "[::1]",          "[::1]:9857" };
	static const char *const others[] = {
		"",
		"example.org",
		"localhost.example.org",
		"127.0.0.1.example.org",
		"128.0.0.1",
		"0.0.0.0",
		"localhost:",
		"localhost:80x",
		"localhost:80:80",
		"[::2]",
		"[::1]x",
		"[::1",
		"::1",
		"127.1",
		"2130706433",
		"localhost ",
		" localhost",
		"user@localhost",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		test_context("'%s'", ours[i]);
		CHECK_EQ(host_is_local(ours[i]), true);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		test_context("'%s'", others[i]);
		CHECK_EQ(host_is_local(others[i]), false);
	}
}

TEST(a_token_is_equal_or_not, "O02")
{
	struct gate gate = { .token = "0123456789abcdef" };

	CHECK_EQ(words_are_equal("0123456789abcdef", "0123456789abcdef"), true);
	CHECK_EQ(words_are_equal("0123456789abcdef", "0123456789abcdeF"), false);
	CHECK_EQ(words_are_equal("0123456789abcdef", "0123456789abcde"), false);
	CHECK_EQ(words_are_equal("0123456789abcdef", "0123456789abcdef0"), false);
	CHECK_EQ(words_are_equal("0123456789abcdef", ""), false);
	CHECK_EQ(gate_opens(&gate, NULL, NULL), false);
	CHECK_EQ(gate_opens(&gate, "bearer 0123456789abcdef", NULL), true);
	CHECK_EQ(gate_opens(&gate, "Bearer  0123456789abcdef", NULL), false);
	CHECK_EQ(gate_opens(&gate, "0123456789abcdef", NULL), false);
	CHECK_EQ(gate_opens(&gate, NULL, "0123456789abcdef"), true);
	/* one that is wrong is not made good by the other */
	CHECK_EQ(gate_opens(&gate, "Bearer x", "0123456789abcdef"), false);
	gate.token[0] = '\0';
	CHECK_EQ(gate_opens(&gate, NULL, NULL), true);
}

static int asked(enum query_kind kind, const char *name, const char *value, char buf[512])
{
	struct query q;

	query_begin(&q, kind, "conns", buf, 512);
	return query_add(&q, name, value) ? -1 : query_end(&q);
}

TEST(what_is_no_value_never_becomes_a_word, "O01")
{
	static const char *const bad[][2] = {
		{ "limit", "5\t--pin\t/x" },
		{ "limit", "5\n" },
		{ "limit", "1001" },
		{ "limit", "-1" },
		{ "limit", "" },
		{ "state", "established\t--count" },
		{ "service", "any" },
		{ "service", "any " },
		{ "service", " 80" },
		{ "service", "any 80 90" },
		{ "service", "any\t80" },
		{ "source", "--help" },
		{ "source", "any\x01" },
		{ "sort", "size" },
		{ "reverse", "no" },
		{ "reverse", "true" },
		{ "pin", "/x" },
		{ "", "" },
		{ "limit\t--pin", "5" },
		{ "offset", "1e3" },
		{ "json", "1" },
	};
	char buf[512];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		test_context("%s=%s", bad[i][0], bad[i][1]);
		CHECK_EQ(asked(QUERY_CONNS, bad[i][0], bad[i][1], buf) < 0, true);
		CHECK_EQ(asked(QUERY_NONE, bad[i][0], bad[i][1], buf) < 0, true);
	}
	test_context("good");
	CHECK_EQ(asked(QUERY_CONNS, "service", "2001:db8::/32 80-90", buf), 0);
	CHECK_TEXT(buf, "conns\t--service\t2001:db8::/32 80-90\t--limit\t1000");
	CHECK_EQ(asked(QUERY_CONNS, "limit", "7", buf), 0);
	CHECK_TEXT(buf, "conns\t--limit\t7");
}

TEST(an_address_to_listen_on_is_whole, "O02")
{
	static const char *const bad[] = { "",
					   "127.0.0.1",
					   ":9857",
					   "localhost:80",
					   "1.2.3:4",
					   "127.0.0.1:0",
					   "127.0.0.1:65536",
					   "127.0.0.1:80 ",
					   "::1:80",
					   "[::1]",
					   "[::1:80",
					   "[]:80",
					   "[127.0.0.1]:80",
					   "127.0.0.1:+80" };
	struct sockaddr_storage addr;
	struct text_why why;
	socklen_t len;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		test_context("'%s'", bad[i]);
		CHECK_EQ(listen_address(bad[i], &addr, &len, &why), -22);
	}
	test_context("good");
	CHECK_EQ(listen_address("127.0.0.1:9857", &addr, &len, &why), 0);
	CHECK_EQ(addr.ss_family, AF_INET);
	CHECK_EQ(listen_address("[2001:db8::1]:80", &addr, &len, &why), 0);
	CHECK_EQ(addr.ss_family, AF_INET6);
}

static void keeps(const char *json, __u32 count, const char *want)
{
	char buf[256];
	size_t size = strlen(json);

	memcpy(buf, json, size + 1);
	size = samples_keep_last(buf, size, count);
	buf[size] = '\0';
	CHECK_TEXT(buf, want);
}

TEST(what_is_taken_with_a_quality_of_0_is_refused, "O01")
{
	static const char *const yes[] = { "gzip",         "GZIP",          "br, gzip",
					   "gzip;q=1",     "gzip ; q=0.01", "deflate,gzip;x=1",
					   "gzip;q=0.5,br" };
	static const char *const no[] = { "",
					  "x-gzip",
					  "gzipped",
					  "gzip;q=0",
					  "identity",
					  "gzip; q=0.000",
					  "gzip;q=0, identity;q=1",
					  ",",
					  "gzip;a=1;q=0" };

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		test_context("'%s'", yes[i]);
		CHECK_EQ(list_accepts(yes[i], "gzip"), true);
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		test_context("'%s'", no[i]);
		CHECK_EQ(list_accepts(no[i], "gzip"), false);
	}
}

TEST(the_last_samples_are_kept, "O01")
{
	const char *three =
		"{\"version\":1,\"samples\":[{\"a\":[1,{\"]\":2}]},{\"b\":\"},\\\"]\"},{\"c\":3}]}\n";

	keeps(three, 1, "{\"version\":1,\"samples\":[{\"c\":3}]}\n");
	keeps(three, 2, "{\"version\":1,\"samples\":[{\"b\":\"},\\\"]\"},{\"c\":3}]}\n");
	keeps(three, 3, three);
	keeps(three, 900, three);
	keeps("{\"samples\":[]}", 5, "{\"samples\":[]}");
	/* what is no history stays as it is, and what is cut short is not overrun */
	keeps("{}", 5, "{}");
	keeps("", 5, "");
	keeps("{\"samples\":[", 1, "{\"samples\":[");
	keeps("{\"samples\":[{\"a\":\"\\", 1, "{\"samples\":[{\"a\":\"\\");
	keeps("{\"samples\":[1,2,3", 1, "{\"samples\":[3");
}
