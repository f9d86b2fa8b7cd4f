/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user/lists.c, utf8.c and lockout.c on memory of our own: no kernel. */
#define HARNESS_PURE true
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "lists.h"
#include "lockout.h"
#include "utf8.h"

#define NOW 100000U

static struct list_entry entry(enum sw_list list, unsigned int service, const char *prefix,
			       uint32_t until)
{
	struct list_entry e = { .key = { .list = (uint8_t)list, .service = (uint16_t)service } };
	struct text_why why;
	__be32 addr[4];
	__u32 len;

	if (!CHECK_EQ(text_prefix(prefix, addr, &len, &why), 0))
		test_abort();
	list_entry_set(&e, addr, len);
	e.value.until_s = until;
	return e;
}

static void add(struct list_set *set, enum sw_list list, unsigned int service, const char *prefix,
		uint32_t until)
{
	struct list_entry e = entry(list, service, prefix, until);

	CHECK_EQ(list_set_add(set, &e), 0);
}

/* The end that an entry of the deny list has now; ~0: it is not there. */
static uint32_t end_of(const struct list_set *set, unsigned int service, const char *prefix)
{
	struct list_entry want = entry(SW_LIST_DENY, service, prefix, 0);
	const struct list_entry *e = list_set_find(set, &want.key);

	return e ? e->value.until_s : ~0U;
}

TEST(comments_are_printable_text_of_43_bytes, "P04")
{
	static const char *const good[] = {
		"",
		"bots",
		"43 bytes: 123456789012345678901234567890123",
		"caf\xc3\xa9",
		"\xe6\x97\xa5\xe6\x9c\xac",
		"\xf0\x9f\x90\x9d #1; \"quoted\" \\",
		"~",
	};
	static const char *const bad[] = {
		"44 bytes: 1234567890123456789012345678901234",
		"tab\tinside",
		"line\nbreak",
		"\x1b[31mred",
		"\x7f",
		"c1 \xc2\x9b",
		"cut \xc3",
		"lone \xa9",
		"overlong \xc0\xaf",
		"overlong \xe0\x80\xaf",
		"half \xed\xa0\x80",
		"beyond \xf4\x90\x80\x80",
		"f8 \xf8\x88\x80\x80\x80",
		"turned \xe2\x80\xae",
		"mark \xef\xbb\xbf",
		"none \xef\xbf\xbf",
		"1234567890123456789012345678901234567890123\xc3\xa9",
	};
	char comment[SW_COMMENT];
	struct text_why why;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		test_context("'%s'", good[i]);
		memset(comment, 'x', sizeof(comment));
		CHECK_EQ(list_comment_read(good[i], comment, &why), 0);
		CHECK(!strcmp(comment, good[i]));
		CHECK_EQ(comment[SW_COMMENT - 1], 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		test_context("bad comment %zu", i);
		memset(comment, 'x', sizeof(comment));
		CHECK_EQ(list_comment_read(bad[i], comment, &why), -EINVAL);
		CHECK_EQ(comment[0], 'x');
	}
}

/* What lies in a map was perhaps not written by us. */
TEST(comment_of_a_map_is_shown_only_if_it_is_one, "P04")
{
	struct list_entry e = entry(SW_LIST_DENY, 0, "any", 0);
	char buf[SW_COMMENT];

	memset(e.value.comment, 'a', SW_COMMENT);
	CHECK_EQ(strlen(list_comment(&e, buf)), SW_COMMENT - 1);
	e.value.comment[3] = '\x1b';
	CHECK(!strcmp(list_comment(&e, buf), "?"));
}

TEST(a_line_is_a_prefix_and_perhaps_a_comment, "P04")
{
	static const struct {
		const char *line;
		int found;
		const char *prefix, *comment; /* or a word of the complaint */
	} cases[] = {
		{ "", 0, NULL, NULL },
		{ "\n", 0, NULL, NULL },
		{ " \t \r\n", 0, NULL, NULL },
		{ "# all comment", 0, NULL, NULL },
		{ "  # \x1b not looked at", 0, NULL, NULL },
		{ "192.0.2.0/24\n", 1, "192.0.2.0/24", "kept" },
		{ "  192.0.2.0/24\r\n", 1, "192.0.2.0/24", "kept" },
		{ "192.0.2.1#x", 1, "192.0.2.1", "x" },
		{ "192.0.2.1 # a # b ", 1, "192.0.2.1", "a # b" },
		{ "192.0.2.1 #  ", 1, "192.0.2.1", "kept" },
		{ "2001:db8::/32 # six", 1, "2001:db8::/32", "six" },
		{ "any", 1, "any", "kept" },
		{ "0.0.0.0/0", 1, "0.0.0.0/0", "kept" },
		{ "192.0.2.1/24", -EINVAL, NULL, "192.0.2.0/24" },
		{ "192.0.2.0/33", -EINVAL, NULL, "0 to 32" },
		{ "192.0.2.0/", -EINVAL, NULL, "prefix length" },
		{ "192.0.2.0/24 10.0.0.0/8", -EINVAL, NULL, "one prefix a line" },
		{ "192.0.2.0/24 ; SBL1", -EINVAL, NULL, "one prefix a line" },
		{ "::ffff:192.0.2.1", -EINVAL, NULL, "a.b.c.d/n" },
		{ "::/0", -EINVAL, NULL, "any" },
		{ "example.org", -EINVAL, NULL, "bad prefix" },
		{ "\x1b[2J", -EINVAL, NULL, "bad prefix '?[2J'" },
		{ "192.0.2.1 # \x1b[2J", -EINVAL, NULL, "printable" },
		{ "192.0.2.1 # 44 bytes: 1234567890123456789012345678901234", -EINVAL, NULL,
		  "at most 43" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct list_entry e = { .value.comment = "kept" }, before = e;
		char line[128], prefix[TEXT_PREFIX];
		struct text_why why = { "" };

		test_context("line %zu", i);
		snprintf(line, sizeof(line), "%s", cases[i].line);
		CHECK_EQ(list_line_read(line, &e, &why), cases[i].found);
		if (cases[i].found <= 0)
			CHECK(!memcmp(&e, &before, sizeof(e)));
		if (cases[i].found < 0 && !strstr(why.text, cases[i].comment))
			FAIL("'%s' says nothing of '%s'", why.text, cases[i].comment);
		if (cases[i].found <= 0)
			continue;
		text_prefix_name(e.key.addr, list_prefix_len(&e), prefix);
		if (strcmp(prefix, cases[i].prefix))
			FAIL("read '%s', not '%s'", prefix, cases[i].prefix);
		CHECK(!strcmp(e.value.comment, cases[i].comment));
	}
}

static uint32_t complaints[16], n_complaints;

static void complain(void *arg, __u32 line, const char *why)
{
	CHECK_EQ(arg, &complaints);
	CHECK(*why);
	if (n_complaints < ARRAY_SIZE(complaints))
		complaints[n_complaints++] = line;
}

static int load(struct list_load *l, const char *text, size_t size)
{
	struct list_entry like = { .key.list = SW_LIST_ALLOW, .key.service = 5 };
	FILE *in = fmemopen((void *)text, size, "r");
	int err;

	REQUIRE(in);
	*l = (struct list_load){ .complain = complain, .arg = &complaints };
	n_complaints = 0;
	err = list_load_read(l, in, &like);
	fclose(in);
	return err;
}

TEST(a_file_is_read_whole_and_every_bad_line_is_named, "P04")
{
	static const char good[] =
		"# head\n10.0.0.0/8\n\n10.0.0.0/8 # again\n2001:db8::1\n10.0.0.0/9";
	static const char bad[] = "10.0.0.0/8\nx\n10.0.0.1/8\n# fine\n10.0.0.0/40\n\0\n1.1.1.1\n";
	static const uint32_t lines[] = { 2, 3, 5, 6 };
	struct list_load l;

	CHECK_EQ(load(&l, good, sizeof(good) - 1), 0);
	CHECK_EQ(l.lines, 6);
	CHECK_EQ(l.set.count, 3);
	CHECK_EQ(l.twice, 1);
	CHECK_EQ(l.bad, 0);
	for (uint32_t i = 0; i < l.set.count; i++) {
		CHECK_EQ(l.set.entry[i].key.list, SW_LIST_ALLOW);
		CHECK_EQ(l.set.entry[i].key.service, 5);
	}
	list_load_free(&l);
	CHECK_EQ(load(&l, bad, sizeof(bad) - 1), -EINVAL);
	CHECK_EQ(l.lines, 7);
	CHECK_EQ(l.bad, ARRAY_SIZE(lines));
	CHECK_BYTES(complaints, n_complaints * sizeof(uint32_t), lines, sizeof(lines));
	list_load_free(&l);
}

TEST(of_equal_entries_the_one_that_ends_last_stays, "P05")
{
	struct list_set set = { 0 };

	add(&set, SW_LIST_DENY, 0, "10.0.0.0/8", NOW + 10);
	add(&set, SW_LIST_DENY, 0, "10.0.0.0/8", 0);
	add(&set, SW_LIST_DENY, 0, "10.0.0.0/8", NOW + 20);
	add(&set, SW_LIST_DENY, 1, "10.0.0.0/8", NOW + 5);
	add(&set, SW_LIST_DENY, 1, "10.0.0.0/8", NOW + 6);
	add(&set, SW_LIST_ALLOW, 0, "10.0.0.0/8", NOW + 7);
	CHECK_EQ(list_set_sort(&set), 3);
	CHECK_EQ(set.count, 3);
	CHECK_EQ(end_of(&set, 0, "10.0.0.0/8"), 0);
	CHECK_EQ(end_of(&set, 1, "10.0.0.0/8"), NOW + 6);
	CHECK_EQ(end_of(&set, 2, "10.0.0.0/8"), ~0U);
	list_set_free(&set);
}

/* 10.0.0.0/8 for ever holds 10.1.0.0/16 that would end: a lookup finds only the latter. */
TEST(what_is_wider_and_lasts_longer_is_not_hidden, "P05")
{
	struct list_set set = { 0 };

	add(&set, SW_LIST_DENY, 0, "10.1.2.3", NOW + 30);
	add(&set, SW_LIST_DENY, 0, "10.1.0.0/16", NOW + 10);
	add(&set, SW_LIST_DENY, 0, "10.0.0.0/8", NOW + 20);
	add(&set, SW_LIST_DENY, 0, "10.1.2.0/24", NOW + 1);
	add(&set, SW_LIST_DENY, 0, "11.1.0.0/16", NOW + 10);
	add(&set, SW_LIST_DENY, 0, "10.2.0.0/16", NOW - 1); /* over */
	add(&set, SW_LIST_DENY, 0, "10.3.0.0/16", 0);
	add(&set, SW_LIST_DENY, 1, "10.1.0.0/16", NOW + 10); /* another scope */
	add(&set, SW_LIST_ALLOW, 0, "any", 0);               /* another list */
	add(&set, SW_LIST_DENY, 0, "2001:db8::/32", 0);
	add(&set, SW_LIST_DENY, 0, "2001:db8:1::/48", NOW + 10);
	add(&set, SW_LIST_DENY, 0, "2001:db9::1", NOW + 10);
	list_set_settle(&set, NOW);
	CHECK_EQ(end_of(&set, 0, "10.0.0.0/8"), NOW + 20);
	CHECK_EQ(end_of(&set, 0, "10.1.0.0/16"), NOW + 20);
	CHECK_EQ(end_of(&set, 0, "10.1.2.0/24"), NOW + 20);
	CHECK_EQ(end_of(&set, 0, "10.1.2.3"), NOW + 30);
	CHECK_EQ(end_of(&set, 0, "11.1.0.0/16"), NOW + 10);
	CHECK_EQ(end_of(&set, 0, "10.2.0.0/16"), ~0U);
	CHECK_EQ(end_of(&set, 0, "10.3.0.0/16"), 0);
	CHECK_EQ(end_of(&set, 1, "10.1.0.0/16"), NOW + 10);
	CHECK_EQ(end_of(&set, 0, "2001:db8:1::/48"), 0);
	CHECK_EQ(end_of(&set, 0, "2001:db9::1"), NOW + 10);
	add(&set, SW_LIST_DENY, 0, "any", NOW + 25); /* over both families */
	list_set_settle(&set, NOW);
	CHECK_EQ(end_of(&set, 0, "11.1.0.0/16"), NOW + 25);
	CHECK_EQ(end_of(&set, 0, "10.1.2.0/24"), NOW + 25);
	CHECK_EQ(end_of(&set, 0, "10.1.2.3"), NOW + 30);
	CHECK_EQ(end_of(&set, 0, "2001:db9::1"), NOW + 25);
	list_set_free(&set);
}

/* Nested to every length there is, by chance, against the plain way. */
TEST(ends_agree_with_a_search_of_all_that_covers, "P05")
{
	struct list_set set = { 0 }, before = { 0 };

	for (unsigned int i = 0; i < 3000; i++) {
		struct list_entry e = { .key.list = test_random() % 3,
					.key.service = test_random() % 2 };
		__be32 addr[4] = { 0 };
		__u32 len = test_random() % 129;

		for (__u32 bit = 0; bit < len; bit++) /* few branches, so that many nest */
			if (test_random() % 16 == 0)
				((__u8 *)addr)[bit / 8] |= (__u8)(0x80 >> bit % 8);
		list_entry_set(&e, addr, len);
		e.value.until_s = test_random() % 8 ? NOW + 1 + test_random() % 1000 : 0;
		CHECK_EQ(list_set_add(&set, &e), 0);
	}
	list_set_sort(&set);
	CHECK_EQ(list_set_copy(&before, &set), 0);
	list_set_settle(&set, NOW);
	CHECK_EQ(set.count, before.count);
	for (__u32 i = 0; i < set.count; i++) {
		__u32 want = before.entry[i].value.until_s;

		for (__u32 k = 0; k < before.count; k++) {
			__u32 until = before.entry[k].value.until_s;

			if (list_is_within(&before.entry[i], &before.entry[k]) && want &&
			    (!until || until > want))
				want = until;
		}
		if (set.entry[i].value.until_s != want)
			FAIL("entry %u ends at %u, not %u", i, set.entry[i].value.until_s, want);
	}
	list_set_free(&set);
	list_set_free(&before);
}

TEST(clock_of_ends_may_wrap, "P05")
{
	struct list_entry e = entry(SW_LIST_DENY, 0, "any", 0);

	CHECK(!list_has_ended(&e, NOW));
	list_end_in(&e, 0xfffffff0U, 0x20);
	CHECK_EQ(e.value.until_s, 0x10);
	CHECK(!list_has_ended(&e, 0xfffffff0U));
	CHECK_EQ(list_left(&e, 0xfffffff0U), 0x20);
	CHECK(!list_has_ended(&e, 0xf));
	CHECK(list_has_ended(&e, 0x10));
	CHECK_EQ(list_left(&e, 0x11), 0);
	list_end_in(&e, 0xfffffff0U, 0x10);
	CHECK_EQ(e.value.until_s, 1); /* 0 is for ever */
}

static void session(struct session *who, const char *words)
{
	CHECK_EQ(session_read(words, who), 0);
}

TEST(sessions_are_read_as_sshd_writes_them, "P06")
{
	static const char *const bad[] = {
		"",
		"10.0.0.1",
		"10.0.0.1 5555",
		"10.0.0.1 5555 10.0.0.2 22 x",
		"10.0.0.1 5555 10.0.0.2 0",
		"10.0.0.1 5555 10.0.0.2 65536",
		"example.org 5555 10.0.0.2 22",
		"10.0.0.1 5555 nowhere 22",
		"UNKNOWN 65535 UNKNOWN 65535",
	};
	struct session who = { .port = 7 };
	char addr[TEXT_ADDR];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		test_context("'%s'", bad[i]);
		CHECK_EQ(session_read(bad[i], &who), -EINVAL);
		CHECK_EQ(who.port, 7);
	}
	test_context("good");
	session(&who, "192.0.2.7 50000 192.0.2.1 22");
	CHECK(!strcmp(text_addr(who.client, addr), "192.0.2.7"));
	CHECK(!strcmp(text_addr(who.server, addr), "192.0.2.1"));
	CHECK(who.has_server && who.port == 22);
	session(&who, "::ffff:192.0.2.8 50000 ::ffff:192.0.2.1 2222");
	CHECK(!strcmp(text_addr(who.client, addr), "192.0.2.8"));
	session(&who, "fe80::1%eth0 50000 fe80::2%eth0 22");
	CHECK(!strcmp(text_addr(who.client, addr), "fe80::1"));
	session(&who, "2001:db8::7 50000 22");
	CHECK(!who.has_server && who.port == 22);
}

static void service(struct services *set, unsigned int id, const char *prefix, const char *ports,
		    enum sw_mode mode)
{
	struct text_why why;

	CHECK_EQ(text_service(prefix, ports, &set->slot[id], &why), 0);
	set->slot[id].mode = mode;
}

static void cut_is(const struct session *who, const struct services *set,
		   const struct list_set *lists, unsigned int want)
{
	struct cut cut = { .service = 0 };

	CHECK_EQ(lockout_finds(who, set, lists, NOW, &cut), want != 0);
	CHECK_EQ(cut.service, want);
}

TEST(a_session_is_cut_as_the_programs_would_cut_it, "P06")
{
	struct services set = { 0 };
	struct list_set lists = { 0 };
	struct session v4, v6, any;

	session(&v4, "192.0.2.7 50000 198.51.100.1 22");
	session(&v6, "2001:db8::7 50000 2001:db8:1::1 22");
	session(&any, "192.0.2.7 50000 22");
	service(&set, 1, "any", "20-30", SW_MODE_ALWAYS);
	service(&set, 2, "198.51.100.0/24", "22", SW_MODE_AUTO);
	service(&set, 3, "any", "80", SW_MODE_ALWAYS);
	cut_is(&v4, &set, &lists, 0);
	add(&lists, SW_LIST_DENY, 0, "192.0.0.0/16", NOW + 5);
	cut_is(&v4, &set, &lists, 2);
	cut_is(&any, &set, &lists, 1);
	cut_is(&v6, &set, &lists, 0);
	add(&lists, SW_LIST_DENY, 1, "any", 0);
	cut_is(&v6, &set, &lists, 1);
	add(&lists, SW_LIST_ALLOW, 1, "2001:db8::/32", 0);
	cut_is(&v6, &set, &lists, 0);
	/* what counts nothing, refuses nothing */
	set.slot[2].mode = SW_MODE_MONITOR;
	cut_is(&v4, &set, &lists, 0);
	cut_is(&any, &set, &lists, 1);
	set.slot[2].mode = SW_MODE_ALWAYS;
	cut_is(&v4, &set, &lists, 2);
	add(&lists, SW_LIST_FAIL_SAFE, 0, "192.0.2.7", NOW); /* over */
	cut_is(&v4, &set, &lists, 2);
	add(&lists, SW_LIST_FAIL_SAFE, 2, "192.0.2.7", NOW + 1);
	cut_is(&v4, &set, &lists, 0);
	cut_is(&any, &set, &lists, 1);
	set.fail_safe[3] = 22;
	cut_is(&any, &set, &lists, 0);
	list_set_free(&lists);
}

TEST(what_exempts_a_session_for_a_time_is_known_to_end, "P06")
{
	struct list_set lists = { 0 };
	struct session who;
	uint32_t then = NOW;

	session(&who, "192.0.2.7 50000 198.51.100.1 22");
	CHECK(!lockout_ends(&who, &lists, &then));
	add(&lists, SW_LIST_ALLOW, 0, "192.0.2.0/24", NOW + 9);
	add(&lists, SW_LIST_DENY, 0, "any", NOW + 5);
	add(&lists, SW_LIST_FAIL_SAFE, 0, "192.0.2.7", NOW + 7);
	add(&lists, SW_LIST_FAIL_SAFE, 0, "192.0.2.8", NOW + 6);
	add(&lists, SW_LIST_ALLOW, 1, "192.0.2.7", 0);
	CHECK(lockout_ends(&who, &lists, &then));
	CHECK_EQ(then, NOW + 7);
	CHECK(lockout_ends(&who, &lists, &then));
	CHECK_EQ(then, NOW + 9);
	CHECK(!lockout_ends(&who, &lists, &then));
	CHECK_EQ(then, NOW + 9);
	list_set_free(&lists);
}

static void limit_is(struct services *set, enum sw_level level, unsigned int conns,
		     enum sw_over_action over)
{
	set->slot[1].limit[level].conns = conns;
	set->slot[1].over = over;
}

TEST(a_limit_cuts_a_session_that_is_at_it, "P06")
{
	struct services set = { 0 };
	struct list_set lists = { 0 };
	struct session who;

	session(&who, "192.0.2.7 50000 198.51.100.1 22");
	CHECK_EQ(who.conns[SW_LEVEL_HOST], 1);
	CHECK_EQ(who.conns[SW_LEVEL_NET], 1);
	who.conns[SW_LEVEL_HOST] = 2;
	who.conns[SW_LEVEL_NET] = 5;
	service(&set, 1, "any", "22", SW_MODE_AUTO);
	limit_is(&set, SW_LEVEL_HOST, 3, SW_OVER_BAN);
	cut_is(&who, &set, &lists, 0);
	limit_is(&set, SW_LEVEL_HOST, 2, SW_OVER_BAN);
	cut_is(&who, &set, &lists, 1);
	limit_is(&set, SW_LEVEL_HOST, 1, SW_OVER_DROP);
	cut_is(&who, &set, &lists, 1);
	limit_is(&set, SW_LEVEL_HOST, 1, SW_OVER_COUNT);
	cut_is(&who, &set, &lists, 0);
	limit_is(&set, SW_LEVEL_HOST, 0, SW_OVER_BAN);
	set.slot[1].limit[SW_LEVEL_HOST].new_pps = 1; /* has room again in a second */
	cut_is(&who, &set, &lists, 0);
	limit_is(&set, SW_LEVEL_NET, 5, SW_OVER_DROP);
	cut_is(&who, &set, &lists, 1);
	set.slot[1].mode = SW_MODE_MONITOR;
	cut_is(&who, &set, &lists, 0);
	set.slot[1].mode = SW_MODE_ALWAYS;
	add(&lists, SW_LIST_ALLOW, 1, "192.0.2.0/24", 0);
	cut_is(&who, &set, &lists, 0);
	lists.count = 0;
	add(&lists, SW_LIST_FAIL_SAFE, 0, "192.0.2.7", NOW + 1);
	cut_is(&who, &set, &lists, 0);
	lists.count = 0;
	cut_is(&who, &set, &lists, 1);
	set.fail_safe[0] = 22;
	cut_is(&who, &set, &lists, 0);
	list_set_free(&lists);
}
