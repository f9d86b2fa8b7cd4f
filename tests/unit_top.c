/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user/top_*.c but for terminal and keys: rates, changes, text, layout. */
#define HARNESS_PURE true
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "top.h"

#define SECOND 1000000000ULL

static struct top_view view;
static struct top_sample last;

static void services_of(struct facts *f, __u32 id, __u16 port, enum sw_mode mode)
{
	f->services.slot[id] =
		(struct sw_service){ .port_first = port, .port_last = port, .mode = mode };
}

static void count(struct facts *f, __u32 id, enum sw_reason r, __u64 packets, __u64 would)
{
	f->count[id][r].packets = packets;
	f->count[id][r].bytes = packets * 60;
	f->count[id][r].would_packets = would;
}

/* Two services, and a sample half a second before. */
static void two_samples(void)
{
	struct facts *a = &last.facts, *b = &view.sample.facts;

	memset(&view, 0, sizeof(view));
	memset(&last, 0, sizeof(last));
	last.guard = view.sample.guard = 7;
	a->taken_ns = 100 * SECOND;
	b->taken_ns = 100 * SECOND + SECOND / 2;
	services_of(a, 1, 80, SW_MODE_ALWAYS);
	services_of(b, 1, 80, SW_MODE_ALWAYS);
	services_of(a, 2, 443, SW_MODE_MONITOR);
	services_of(b, 2, 443, SW_MODE_MONITOR);
	count(a, 1, SW_TX_SYNACK, 1000, 0);
	count(b, 1, SW_TX_SYNACK, 1600, 0);
	count(b, 1, SW_PASS_COOKIE, 20, 0);
	count(a, 1, SW_DROP_COOKIE, 50, 0);
	count(b, 1, SW_DROP_COOKIE, 55, 0);
	count(a, 2, SW_DROP_FLAGS, 10, 10);
	count(b, 2, SW_DROP_FLAGS, 30, 30);
	count(b, 0, SW_PASS_NOT_TCP, 100, 0);
	b->hits[2].over[SW_LIMIT_CONNS] = 3;
	b->hits[2].banned = 2;
	b->gauge[1].conns[SW_ESTABLISHED] = 12;
	b->gauge[2].conns[SW_ESTABLISHED] = 30;
	b->gauge[2].conns[SW_SYN_RECEIVED] = 4;
}

TEST(rates_are_by_the_time_that_passed, "")
{
	two_samples();
	top_rates(&view, &last);
	CHECK(view.known);
	CHECK_EQ(view.elapsed_ns, SECOND / 2);
	CHECK_EQ(view.rows, 2);
	CHECK_EQ(view.row[0].flow.syns, 1200);
	CHECK_EQ(view.row[0].flow.answered, 1200);
	CHECK_EQ(view.row[0].flow.finished, 40);
	CHECK_EQ(view.row[0].flow.dropped, 10);
	CHECK_EQ(view.row[0].now, TOP_ARMED);
	CHECK_EQ(view.row[1].flow.dropped, 0);
	CHECK_EQ(view.row[1].flow.would_drop, 40);
	CHECK_EQ(view.row[1].flow.limit, 10);
	CHECK_EQ(view.row[1].half_open, 4);
	CHECK_EQ(view.row[1].now, TOP_IDLE);
	CHECK_EQ(view.all.flow.packets, 1200 + 40 + 10 + 40 + 200);
	CHECK_EQ(view.all.established, 42);
	CHECK_EQ(view.state[SW_ESTABLISHED], 42);
	CHECK_EQ(view.reasons, 2);
	CHECK_EQ(view.reason[0].reason, SW_DROP_FLAGS);
	CHECK(view.reason[0].would);
	CHECK_EQ(view.reason[0].pps, 40);
	CHECK_EQ(view.reason[1].reason, SW_DROP_COOKIE);
	CHECK(!view.reason[1].would);
	CHECK_EQ(view.reason[1].packets, 55);
}

TEST(counts_that_begin_anew_have_no_rate, "")
{
	struct facts *b = &view.sample.facts;

	two_samples(); /* the id goes to another service, whose counts are below the old ones */
	services_of(b, 1, 8080, SW_MODE_AUTO);
	count(b, 1, SW_TX_SYNACK, 5, 0);
	top_rates(&view, &last);
	CHECK(!view.row[0].known);
	CHECK_EQ(view.row[0].flow.syns, 0);
	CHECK(view.row[1].known);
	CHECK_EQ(view.all.flow.syns, 0);

	two_samples(); /* the same service, reset */
	count(b, 1, SW_TX_SYNACK, 999, 0);
	top_rates(&view, &last);
	CHECK(!view.row[0].known);

	two_samples(); /* read while it moved: a count of what is would-be seems to go back */
	count(b, 2, SW_DROP_FLAGS, 30, 31);
	count(&last.facts, 2, SW_DROP_FLAGS, 30, 30);
	top_rates(&view, &last);
	CHECK(view.row[1].known);
	CHECK_EQ(view.row[1].flow.dropped, 0);

	two_samples(); /* another guard */
	last.guard = 6;
	top_rates(&view, &last);
	CHECK(!view.known && !view.row[0].known && !view.row[1].known);
	CHECK_EQ(view.elapsed_ns, 0);

	two_samples(); /* no time passed */
	b->taken_ns = last.facts.taken_ns;
	top_rates(&view, &last);
	CHECK(!view.known && !view.all.known);

	two_samples(); /* the first */
	top_rates(&view, NULL);
	CHECK(!view.known);
	CHECK_EQ(view.row[0].established, 12);
}

TEST(under_attack_is_by_the_marks_and_their_hold_time, "")
{
	struct facts *b = &view.sample.facts;

	two_samples();
	b->services.slot[2].hold_s = 30;
	b->arming[2].armed = 1;
	b->arming[2].above_ns = b->taken_ns;
	top_rates(&view, &last);
	CHECK_EQ(view.attacked, 1);
	CHECK_EQ(view.row[1].now, TOP_ATTACK);
	top_history_add(&view.history, &view);
	CHECK(view.history.at[0].attack);
	CHECK_EQ(view.history.at[0].syns, 1200);
	for (int i = 0; i < TOP_HISTORY; i++)
		top_history_add(&view.history, &view);
	CHECK_EQ(view.history.count, TOP_HISTORY + 1);
}

static bool has_change(const struct top_changes *c, const char *text)
{
	for (__u32 i = 0; i < c->count && i < TOP_CHANGES; i++)
		if (!strcmp(c->at[i].text, text))
			return true;
	return false;
}

TEST(changes_are_told_once_each, "")
{
	struct facts *b = &view.sample.facts;
	struct top_changes *c = &view.changes;

	two_samples();
	top_changes_find(c, &last, &view.sample);
	CHECK_EQ(c->count, 0);
	b->services.slot[1].mode = SW_MODE_AUTO;
	b->services.slot[2].port_first = 0;
	services_of(b, 3, 25, SW_MODE_OFF);
	b->settings.armed = SW_DRAINING;
	b->devs = 1;
	b->dev[0] = (struct dev_state){ .ifindex = 2, .alive = true, .dev = { .name = "eth0" } };
	b->table[SW_TABLE_HALF].full = 3;
	top_changes_find(c, &last, &view.sample);
	CHECK(has_change(c, "any 80: mode auto, was always"));
	CHECK(has_change(c, "any 443: deleted"));
	CHECK(has_change(c, "any 25: added, mode off"));
	CHECK(has_change(c, "guard draining: SYNs pass"));
	CHECK(has_change(c, "device eth0: guarded, generic XDP"));
	CHECK(has_change(c, "table half is full") || has_change(c, "table half-open is full"));
	CHECK_EQ(c->count, 6);
	view.sample.guard = 9;
	top_changes_find(c, &last, &view.sample);
	CHECK(has_change(c, "a new guard: its counts begin at 0"));
	CHECK_EQ(c->count, 7);
	for (int i = 0; i < 2 * TOP_CHANGES; i++)
		top_changes_say(c, 1, "%0*d", 2 * TOP_CHANGE_TEXT, i);
	CHECK_EQ(strlen(c->at[0].text), TOP_CHANGE_TEXT - 1);
}

TEST(numbers_take_five_columns, "")
{
	static const struct {
		double n;
		const char *text;
	} cases[] = {
		{ 0, "0" },          { -5, "0" },          { 0.0 / 1, "0" },
		{ 0.02, "0" },       { 0.34, "0.3" },      { 1, "1" },
		{ 9.94, "9.9" },     { 9.96, "10" },       { 2.99, "3" },
		{ 9999, "9999" },    { 9999.6, "10.0k" },  { 12345, "12.3k" },
		{ 99949, "99.9k" },  { 99951, "100k" },    { 999499, "999k" },
		{ 999501, "1.00M" }, { 1234567, "1.23M" }, { 9.996e6, "10.0M" },
		{ 1e9, "1.00G" },    { 1.8e19, "18.0E" },  { 1e22, "10000E" },
	};
	char buf[TOP_NUMBER], exact[TEXT_COUNT];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		test_context("%f", cases[i].n);
		CHECK(!strcmp(top_number(cases[i].n, buf), cases[i].text));
		CHECK(cases[i].n > 1e20 || strlen(buf) <= 5);
	}
	CHECK(!strcmp(top_exact(1234567.4, exact), "1,234,567"));
	CHECK(!strcmp(top_exact(0.5, exact), "0.5"));
	CHECK(!strcmp(top_exact(-1, exact), "0"));
}

TEST(text_is_cut_and_filled_by_columns_not_bytes, "")
{
	static const struct {
		const char *text;
		int columns;
		const char *utf8, *ascii;
	} cases[] = {
		{ "any 80", 8, "any 80  ", "any 80  " },
		{ "any 8080", 8, "any 8080", "any 8080" },
		{ "any 80801", 8, "any 808…", "any 808~" },
		{ "▲ attack", 8, "▲ attack", "? attack" },
		{ "äöü", 4, "äöü ", "??? " },
		{ "漢字", 5, "漢字 ", "??   " },
		{ "漢字x", 4,
		  "漢…"
		  " ",
		  "??x " },
		{ "漢字漢", 5, "漢字…", "???  " },
		{ "a\033[2Jb", 6, "a?[2Jb", "a?[2Jb" }, /* no terminal is told anything */
		{ "\xff\xfe", 3, "?? ", "?? " },
		{ "\xe2\x80\xae"
		  "abc",
		  6, "???abc", "???abc" }, /* turns lines around */
		{ "abc", 0, "", "" },
		{ "", 2, "  ", "  " },
	};
	char buf[64];

	CHECK(setlocale(LC_CTYPE, "C.UTF-8"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		test_context("'%s' in %d", cases[i].text, cases[i].columns);
		top_fit(cases[i].text, cases[i].columns, true, buf, sizeof(buf));
		CHECK_BYTES(buf, strlen(buf), cases[i].utf8, strlen(cases[i].utf8));
		CHECK_EQ(top_columns(buf, true), cases[i].columns);
		top_fit(cases[i].text, cases[i].columns, false, buf, sizeof(buf));
		CHECK_BYTES(buf, strlen(buf), cases[i].ascii, strlen(cases[i].ascii));
	}
	test_context("a small buffer");
	for (size_t size = 1; size < 12; size++) {
		memset(buf, 'Z', sizeof(buf));
		top_fit("漢字▲▲▲▲▲▲", 9, true, buf, size);
		CHECK(strlen(buf) < size);
		CHECK_EQ(buf[size], 'Z');
	}
}

TEST(bars_and_curves_have_no_less_than_something, "")
{
	char buf[64];

	CHECK(!strcmp(top_bar(0, 3, true, buf, sizeof(buf)), "   "));
	CHECK(!strcmp(top_bar(0.0001, 3, true, buf, sizeof(buf)), "▏  "));
	CHECK(!strcmp(top_bar(0.5, 3, true, buf, sizeof(buf)), "█▌ "));
	CHECK(!strcmp(top_bar(7, 3, true, buf, sizeof(buf)), "███"));
	CHECK(!strcmp(top_bar(0.5, 4, false, buf, sizeof(buf)), "##  "));
	CHECK(!strcmp(top_bar(0.0001, 4, false, buf, sizeof(buf)), "#   "));
	CHECK_EQ(strlen(top_bar(1, 30, true, buf, 10)), 9);
	CHECK_EQ(top_cell_level(0, 0, 1, 0), 1);
	CHECK_EQ(top_cell_level(10, 10, 1, 0), 8);
	CHECK_EQ(top_cell_level(5, 10, 1, 0), 4);
	CHECK_EQ(top_cell_level(5, 10, 3, 0), 8);
	CHECK_EQ(top_cell_level(5, 10, 3, 1), 4);
	CHECK_EQ(top_cell_level(5, 10, 3, 2), 0);
	CHECK(!strcmp(top_cell(9, true), "█") && !strcmp(top_cell(-1, false), " "));
}

TEST(long_lines_are_wrapped_between_words, "")
{
	size_t next;

	CHECK_EQ(top_wrap("one two three", 8, &next), 7);
	CHECK_EQ(next, 8);
	CHECK_EQ(top_wrap("one", 8, &next), 3);
	CHECK_EQ(next, 3);
	CHECK_EQ(top_wrap("one\ntwo", 8, &next), 3);
	CHECK_EQ(next, 4);
	CHECK_EQ(top_wrap("abcdefghij", 4, &next), 4);
	CHECK_EQ(next, 4);
	CHECK_EQ(top_wrap("", 4, &next), 0);
	CHECK_EQ(next, 0);
}

TEST(every_size_is_laid_out_without_overlap, "")
{
	struct top_layout l;

	CHECK(!top_layout(&l, TOP_MIN_ROWS - 1, 200, 1));
	CHECK(!top_layout(&l, 200, TOP_MIN_COLS - 1, 1));
	for (int rows = TOP_MIN_ROWS; rows < 120; rows++) {
		for (__u32 services = 0; services < SW_MAX_SERVICES; services++) {
			test_context("%d rows, %u services", rows, services);
			CHECK(top_layout(&l, rows, 80, services));
			CHECK_EQ(l.spark, 3);
			CHECK_EQ(l.table, l.spark + l.spark_rows);
			CHECK(l.table_rows >= 3);
			CHECK_EQ(l.split, l.table + 1 + l.table_rows);
			CHECK_EQ(l.pane, l.split + l.split_rows + !!l.split_rows);
			CHECK_EQ(l.status, l.pane + l.pane_rows + !!l.pane_rows);
			CHECK_EQ(l.keys, rows - 1);
			if (test_failed())
				return;
		}
	}
	CHECK(top_layout(&l, 24, 80, 5));
	CHECK_EQ(l.table_rows, 5);
	CHECK_EQ(l.split_rows, 5);
	CHECK(l.pane_rows >= 3);
}

TEST(sources_with_most_connections_are_kept, "")
{
	struct sw_source c = { 0 };

	memset(&last, 0, sizeof(last));
	for (__u32 i = 0; i < 1000; i++) {
		c.conns = i * 617 % 1000;
		c.refused = i;
		top_source_keep(&last, &c);
	}
	CHECK_EQ(last.sources, TOP_SOURCES);
	for (__u32 i = 0; i < TOP_SOURCES; i++)
		CHECK_EQ(last.source[i].conns, 999 - i);
}
