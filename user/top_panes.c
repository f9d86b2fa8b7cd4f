/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lower parts: drops by reason and connections by state; attacks, sources, changes. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "arming.h"
#include "sources.h"
#include "table.h"
#include "top_screen.h"
#include "util.h"

static void draw_rule(const struct top_screen *s, int y, int x, int width)
{
	for (int i = 0; i < width; i++)
		top_put(s, y, x + i, 1, STYLE_DIM, top_mark(MARK_LINE, s->utf8));
}

static void draw_title(const struct top_screen *s, int y, int x, enum top_style style,
		       const char *text)
{
	top_put(s, y, x, (int)strlen(text), style, text);
}

/* --- reasons and states ------------------------------------------------------------------- */

#define REASON_WIDTH 23 /* drop_limit_half_closed and a blank */
#define NUMBER_WIDTH 7
#define STATE_WIDTH  12

static void draw_reasons(const struct top_screen *s, const struct top_layout *l,
			 const struct top_view *v, int width)
{
	double most = v->reasons ? v->reason[0].pps : 0;
	int bar = width - REASON_WIDTH - 2 * NUMBER_WIDTH - 4;
	char n[TOP_NUMBER + 1], total[TOP_NUMBER], cells[2048];

	draw_title(s, l->split, 1, STYLE_TITLE, " Drops by reason ");
	draw_title(s, l->split, REASON_WIDTH + 1, STYLE_DIM, " per s ");
	draw_title(s, l->split, REASON_WIDTH + NUMBER_WIDTH + 1, STYLE_DIM, " in all ");
	if (!v->reasons)
		top_put(s, l->split + 1, 1, width - 1, STYLE_DIM, "nothing was dropped so far");
	for (int i = 0; i < l->split_rows && i < (int)v->reasons; i++) {
		const struct top_reason *r = &v->reason[i];
		int y = l->split + 1 + i;

		n[0] = '~';
		top_number(r->pps, n + r->would);
		top_put(s, y, 1, REASON_WIDTH, r->pps > 0 ? STYLE_PLAIN : STYLE_DIM,
			text_reason(r->reason));
		top_put_right(s, y, 1 + REASON_WIDTH, NUMBER_WIDTH, STYLE_BOLD, v->known ? n : "-");
		top_put_right(s, y, 1 + REASON_WIDTH + NUMBER_WIDTH, NUMBER_WIDTH, STYLE_DIM,
			      top_number((double)r->packets, total));
		if (bar > 2 && most > 0)
			top_put(s, y, width - bar - 1, bar, STYLE_ATTACK,
				top_bar(r->pps / most, bar, s->utf8, cells, sizeof(cells)));
	}
}

/* Of the RFC's order, in as many columns as the lines ask for; too wide: those there are. */
static void draw_states(const struct top_screen *s, const struct top_layout *l,
			const struct top_view *v, int x)
{
	static const enum sw_state list[] = {
		SW_SYN_RECEIVED, SW_ESTABLISHED, SW_FIN_WAIT_1, SW_FIN_WAIT_2, SW_CLOSE_WAIT,
		SW_CLOSING,      SW_LAST_ACK,    SW_TIME_WAIT,  SW_SYN_SENT,   SW_CLOSED,
	};
	int columns = ((int)ARRAY_SIZE(list) + l->split_rows - 1) / l->split_rows;
	int width = (l->cols - x) / columns, lines = l->split_rows, place = 0;
	bool all = width >= STATE_WIDTH + NUMBER_WIDTH;
	char n[TEXT_COUNT];

	if (!all) {
		columns = (l->cols - x) / (STATE_WIDTH + NUMBER_WIDTH);
		width = (l->cols - x) / columns;
	}
	draw_title(s, l->split, x, STYLE_TITLE, " Connections by state ");
	for (int i = 0; i < (int)ARRAY_SIZE(list) && place < columns * lines; i++) {
		int at = x + place / lines * width, y = l->split + 1 + place % lines;
		__u64 count = v->state[list[i]];
		enum top_style style = count ? STYLE_BOLD : STYLE_DIM;

		if (!all && !count)
			continue;
		place++;
		if (width > STATE_WIDTH + 12)
			text_count(count, n);
		else
			top_number((double)count, n);
		top_put(s, y, at + 1, STATE_WIDTH, count ? STYLE_PLAIN : STYLE_DIM,
			text_state_name(list[i]));
		top_put_right(s, y, at + 1 + STATE_WIDTH,
			      width - STATE_WIDTH - 2 < 14 ? width - STATE_WIDTH - 2 : 14, style,
			      n);
	}
}

void top_draw_split(const struct top_screen *s, const struct top_layout *l,
		    const struct top_view *v)
{
	int left = l->cols >= TOP_WIDE ? l->cols / 2 : l->cols - 40;

	if (!l->split_rows)
		return;
	if (left < REASON_WIDTH + 2 * NUMBER_WIDTH + 2)
		left = REASON_WIDTH + 2 * NUMBER_WIDTH + 2;
	draw_rule(s, l->split, 0, l->cols);
	draw_reasons(s, l, v, left);
	if (l->cols - left >= STATE_WIDTH + NUMBER_WIDTH)
		draw_states(s, l, v, left);
}

/* A service's name, where the rest of the line leaves so much; no wider than it needs. */
static int name_width(int room)
{
	return room < 30 ? room : 30;
}

/* --- attacks ------------------------------------------------------------------------------ */

static void draw_attack(const struct top_screen *s, int y, const struct top_sample *at,
			const struct sw_attack *t, int name)
{
	const struct facts *f = &at->facts;
	__u32 id = t->service % SW_MAX_SERVICES;
	__u64 end = arming_attack_end(t, &f->arming[id], &f->services.slot[id], &f->gauge[id],
				      f->taken_ns);
	char service[TEXT_SERVICE] = "deleted", length[TEXT_AGE], peak[TOP_NUMBER],
	     half[TOP_NUMBER];
	time_t start = (time_t)(wall_ns(t->start_ns) / 1000000000),
	       now = (time_t)(wall_ns(f->taken_ns) / 1000000000);
	struct tm tm;
	char when[32];

	localtime_r(&start, &tm);
	strftime(when, sizeof(when), now - start < 86400 ? "%T" : "%F", &tm);
	if (facts_is_service(f, id))
		text_service_name(&f->services.slot[id], service);
	text_age((__u32)(((end ? end : f->taken_ns) - t->start_ns) / 1000000000), length);
	top_putf(s, y, 0, 1, STYLE_ATTACK, "%s", end ? " " : top_mark(MARK_ATTACK, s->utf8));
	top_putf(s, y, 2, 0, end ? STYLE_PLAIN : STYLE_ATTACK, "%-10s %8s%s ", when, length,
		 end ? " " : "+");
	if (name > 0)
		top_put(s, y, 23, name, end ? STYLE_PLAIN : STYLE_ATTACK, service);
	top_putf(s, y, 24 + name, 0, end ? STYLE_PLAIN : STYLE_ATTACK, "%-11s%8s %8s %5u%%",
		 arming_cause(t->cause), top_number(t->peak_pps, peak),
		 top_number(t->peak_half_open, half), t->peak_unfinished);
}

static void draw_attacks(const struct top_screen *s, const struct top_layout *l,
			 const struct top_view *v)
{
	const struct top_sample *at = &v->sample;
	int name = name_width(l->cols - 24 - 36), y = l->pane + 1;

	if (l->pane_rows > 1) {
		top_putf(s, y, 2, 0, STYLE_DIM, "%-10s %8s", "START", "LENGTH");
		if (name > 0)
			top_put(s, y, 23, name, STYLE_DIM, "SERVICE");
		top_putf(s, y++, 24 + name, 0, STYLE_DIM, "%-11s%8s %8s %6s", "CAUSE", "PEAK/s",
			 "HALF", "UNFIN");
	}
	for (__u32 i = 1; i <= SW_ATTACKS && y <= l->pane + l->pane_rows; i++) {
		const struct sw_attack *t =
			&at->attack[(at->facts.arming[0].attacks - i) % SW_ATTACKS];

		if (t->start_ns)
			draw_attack(s, y++, at, t, name);
	}
	if (!at->facts.arming[0].attacks)
		top_put(s, y, 2, 0, STYLE_DIM, "no service was under attack so far");
}

/* --- sources ------------------------------------------------------------------------------ */

static void draw_source(const struct top_screen *s, int y, const struct top_sample *at,
			const struct sw_source *c, int name)
{
	const struct sw_service *service = &at->facts.services.slot[c->service];
	bool banned = source_is_banned(c, at->now_s);
	enum top_style style = banned ? STYLE_ATTACK : STYLE_PLAIN;
	char prefix[TEXT_ADDR + 8], text[TEXT_SERVICE] = "deleted", left[TEXT_AGE];

	if (service->port_first)
		text_service_name(service, text);
	top_put(s, y, 0, 1, STYLE_ATTACK, banned ? top_mark(MARK_ATTACK, s->utf8) : " ");
	top_put(s, y, 2, 24, style, source_text(c, prefix));
	top_put(s, y, 27, name, style, text);
	top_putf(s, y, 28 + name, 0, style, "%6u %6u %6u %6u %6s", c->conns, c->half_closed,
		 c->stalled, c->refused,
		 banned ? text_age(c->banned_until_s - at->now_s, left) : "-");
}

static void draw_sources(const struct top_screen *s, const struct top_layout *l,
			 const struct top_view *v)
{
	const struct top_sample *at = &v->sample;
	int name = name_width(l->cols - 28 - 35), y = l->pane + 1;

	if (!at->sources) {
		top_put(s, y, 2, 0, STYLE_DIM,
			"no source of a service with limits so far; limits are set by");
		top_put(s, y + 1, 2, 0, STYLE_DIM,
			"  synwarden service set any 80 --per-source conns=200 --over count");
		return;
	}
	if (l->pane_rows > 1) {
		top_put(s, y, 2, 24, STYLE_DIM, "SOURCE");
		top_put(s, y, 27, name, STYLE_DIM, "SERVICE");
		top_putf(s, y++, 28 + name, 0, STYLE_DIM, "%6s %6s %6s %6s %6s", "CONNS", "HCLOSE",
			 "STALL", "OVER", "BAN");
	}
	for (__u32 i = 0; i < at->sources && y <= l->pane + l->pane_rows; i++)
		draw_source(s, y++, at, &at->source[i], name);
}

/* --- changes ------------------------------------------------------------------------------ */

static void draw_changes(const struct top_screen *s, const struct top_layout *l,
			 const struct top_view *v)
{
	const struct top_changes *c = &v->changes;
	char when[32];
	struct tm tm;

	if (!c->count)
		top_put(s, l->pane + 1, 2, 0, STYLE_DIM, "nothing changed since this view began");
	for (__u32 i = 0; i < c->count && i < TOP_CHANGES && (int)i < l->pane_rows; i++) {
		__u32 at = (c->count - 1 - i) % TOP_CHANGES;
		time_t then = (time_t)(wall_ns(c->at[at].ns) / 1000000000);

		localtime_r(&then, &tm);
		strftime(when, sizeof(when), "%T", &tm);
		top_putf(s, l->pane + 1 + (int)i, 2, 0, STYLE_PLAIN, "%s  %s", when,
			 c->at[at].text);
	}
}

static const struct {
	const char *name;
	void (*draw)(const struct top_screen *s, const struct top_layout *l,
		     const struct top_view *v);
} panes[PANES] = {
	[PANE_ATTACKS] = { " Attacks ", draw_attacks },
	[PANE_SOURCES] = { " Sources ", draw_sources },
	[PANE_CHANGES] = { " Changes ", draw_changes },
};

#define TWO_PANES 12 /* lines for both, from which the next one is shown below */

void top_draw_pane(const struct top_screen *s, const struct top_layout *l, const struct top_view *v,
		   const struct top_ui *ui)
{
	int next = (ui->pane + 1) % PANES, x = 1;
	struct top_layout upper = *l, lower = *l;

	if (!l->pane_rows)
		return;
	if (l->pane_rows >= TWO_PANES) {
		upper.pane_rows = l->pane_rows / 2;
		lower.pane = l->pane + upper.pane_rows + 1;
		lower.pane_rows = l->pane_rows - upper.pane_rows - 1;
		draw_rule(s, lower.pane, 0, l->cols);
		draw_title(s, lower.pane, 1, STYLE_TITLE, panes[next].name);
		panes[next].draw(s, &lower, v);
	}
	draw_rule(s, l->pane, 0, l->cols);
	for (int i = 0; i < PANES; i++) {
		draw_title(s, l->pane, x, i == (int)ui->pane ? STYLE_CHOSEN : STYLE_DIM,
			   panes[i].name);
		x += (int)strlen(panes[i].name) + 1;
	}
	panes[ui->pane].draw(s, &upper, v);
}
