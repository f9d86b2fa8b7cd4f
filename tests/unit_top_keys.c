/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user/top_keys.c: order, choice, filter, questions. */
#define HARNESS_PURE true
#include <curses.h>
#include <string.h>

#include "harness.h"
#include "top.h"

static struct top_view view;
static struct top_ui ui;

static void service_of(__u32 id, __u16 port, enum sw_mode mode)
{
	view.sample.facts.services.slot[id] =
		(struct sw_service){ .port_first = port, .port_last = port, .mode = mode };
}

static void many_services(void)
{
	memset(&view, 0, sizeof(view));
	ui = (struct top_ui){ .sort = COL_SYNS, .interval_s = 1, .visible = 4 };
	for (__u32 id = 1; id <= 12; id++)
		service_of(id, (__u16)(id * 10), id % 2 ? SW_MODE_AUTO : SW_MODE_MONITOR);
	top_rates(&view, NULL);
	for (__u32 i = 0; i < view.rows; i++)
		view.row[i].flow.syns = (i * 7) % 12;
}

static void press(const char *keys)
{
	for (; *keys; keys++)
		top_key(&ui, &view, &view.sample, (unsigned char)*keys);
}

static __u32 id_at(__u32 at)
{
	__u32 order[SW_MAX_SERVICES], n = top_order(&view, &ui, order);

	return at < n ? view.row[order[at]].id : 0;
}

TEST(services_are_sorted_both_ways_by_each_column, "")
{
	__u32 order[SW_MAX_SERVICES];

	many_services();
	CHECK_EQ(top_order(&view, &ui, order), 12);
	for (__u32 i = 1; i < 12; i++)
		CHECK(view.row[order[i - 1]].flow.syns > view.row[order[i]].flow.syns);
	press("r");
	top_order(&view, &ui, order);
	for (__u32 i = 1; i < 12; i++)
		CHECK(view.row[order[i - 1]].flow.syns < view.row[order[i]].flow.syns);
	press("2"); /* names, rising, as people count */
	CHECK_EQ(ui.sort, COL_SERVICE);
	CHECK(!ui.reverse);
	CHECK_EQ(id_at(0), 1);
	CHECK_EQ(id_at(11), 12);
	press("s");
	CHECK_EQ(ui.sort, COL_MODE);
	CHECK_EQ(id_at(0) % 2, 1);
	press("1<");
	CHECK_EQ(ui.sort, COL_LIMIT);
	press(">");
	CHECK_EQ(ui.sort, COL_NOW);
}

TEST(the_chosen_service_stays_chosen_and_in_sight, "")
{
	__u32 id;

	many_services();
	CHECK_EQ(top_select(&ui, &view), id_at(0));
	CHECK_EQ(ui.selected, 0); /* nobody chose: whichever comes first */
	view.row[4].flow.syns = 99;
	CHECK_EQ(top_select(&ui, &view), view.row[4].id);
	press("jjjjj");
	id = ui.selected;
	CHECK_EQ(id, id_at(5));
	CHECK_EQ(ui.first, 2);
	press("2");
	CHECK_EQ(ui.selected, id);
	CHECK(id_at(ui.first) <= id && id < id_at(ui.first) + ui.visible);
	press("G");
	CHECK_EQ(ui.selected, 12);
	CHECK_EQ(ui.first, 8);
	press("jk");
	CHECK_EQ(ui.selected, 11);
	top_key(&ui, &view, &view.sample, KEY_PPAGE);
	CHECK_EQ(ui.selected, 8);
	press("g");
	CHECK_EQ(ui.selected, 1);
	CHECK_EQ(ui.first, 0);
	view.rows = 0;
	press("jkG");
	CHECK_EQ(top_select(&ui, &view), 0);
	press("\n");
	CHECK_EQ(ui.page, PAGE_MAIN);
}

TEST(a_filter_is_typed_kept_and_dropped, "")
{
	many_services();
	press("/");
	CHECK_EQ(ui.ask, ASK_FILTER);
	press("MONqr");
	CHECK(!ui.quit);
	press("\x7f\x7f\n");
	CHECK_EQ(ui.ask, ASK_NOTHING);
	CHECK(!strcmp(ui.filter, "MON"));
	CHECK_EQ(id_at(5) % 2, 0);
	CHECK_EQ(id_at(6), 0);
	press("\033");
	CHECK_EQ(ui.filter[0], '\0');
	CHECK(id_at(11));
	press("/any 120");
	CHECK_EQ(id_at(0), 12);
	CHECK_EQ(id_at(1), 0);
	press("\033/");
	for (int i = 0; i < 100; i++)
		press("x");
	CHECK_EQ(strlen(ui.filter), TOP_FILTER - 1);
	for (int i = 0; i < 100; i++)
		press("\x7f");
	CHECK_EQ(ui.filter[0], '\0');
	top_key(&ui, &view, &view.sample, KEY_DOWN); /* no character */
	CHECK_EQ(ui.filter[0], '\0');
}

TEST(a_mode_changes_only_after_a_yes, "")
{
	many_services();
	press("2ga");
	CHECK_EQ(ui.ask, ASK_MODE);
	CHECK(!strcmp(ui.change.name, "any 10"));
	CHECK_EQ(ui.change.from, SW_MODE_AUTO);
	CHECK_EQ(ui.change.to, SW_MODE_ALWAYS);
	press("\n \tax");
	CHECK_EQ(ui.ask, ASK_MODE);
	CHECK(!ui.confirmed);
	press("n");
	CHECK_EQ(ui.ask, ASK_NOTHING);
	press("aq");
	CHECK(!ui.quit && !ui.confirmed);
	press("a\033");
	CHECK(!ui.confirmed);
	press("ay");
	CHECK(ui.confirmed);
	/* made; and back to what it was */
	ui.confirmed = false;
	view.sample.facts.services.slot[1].mode = SW_MODE_ALWAYS;
	ui.before[1].known = true;
	ui.before[1].mode = SW_MODE_AUTO;
	ui.before[1].service = view.sample.facts.services.slot[1];
	press("d");
	CHECK_EQ(ui.change.to, SW_MODE_AUTO);
	press("n");
	/* another service has the id now */
	service_of(1, 11, SW_MODE_ALWAYS);
	press("d");
	CHECK_EQ(ui.change.to, SW_MODE_MONITOR);
	press("n");
	view.sample.facts.services.slot[1].mode = SW_MODE_OFF;
	press("d");
	CHECK_EQ(ui.ask, ASK_NOTHING);
	CHECK(strstr(ui.said, "mode off"));
	view.sample.facts.services.slot[1].mode = SW_MODE_ALWAYS;
	press("a");
	CHECK(strstr(ui.said, "already"));
	ui.changing = true;
	press("d");
	CHECK_EQ(ui.ask, ASK_NOTHING);
}

TEST(the_other_keys, "")
{
	many_services();
	press("f");
	CHECK(ui.frozen);
	press(" ");
	CHECK(!ui.frozen);
	press("+++");
	CHECK_EQ(ui.interval_s, 5);
	press("----");
	CHECK_EQ(ui.interval_s, 1);
	ui.interval_s = 7; /* of the command line */
	press("+");
	CHECK_EQ(ui.interval_s, 10);
	ui.interval_s = TOP_SLOWEST;
	press("=");
	CHECK_EQ(ui.interval_s, TOP_SLOWEST);
	press("\t\t\t\t");
	CHECK_EQ(ui.pane, PANE_SOURCES);
	top_key(&ui, &view, &view.sample, KEY_BTAB);
	CHECK_EQ(ui.pane, PANE_ATTACKS);
	press("?jj");
	CHECK_EQ(ui.page, PAGE_HELP);
	CHECK_EQ(ui.scroll, 2);
	press("kkkkq");
	CHECK_EQ(ui.page, PAGE_MAIN);
	CHECK_EQ(ui.scroll, 0);
	press("\n");
	CHECK_EQ(ui.page, PAGE_SERVICE);
	press("a");
	CHECK_EQ(ui.ask, ASK_MODE);
	press("n\033");
	CHECK_EQ(ui.page, PAGE_MAIN);
	ui.ask = ASK_TOLD;
	press("q");
	CHECK(!ui.quit);
	press("q");
	CHECK(ui.quit);
}
