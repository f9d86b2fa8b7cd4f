/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages and boxes over the view: help, one service, a question, a text to be read. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arming.h"
#include "sources.h"
#include "top_screen.h"
#include "util.h"

/* --- a page of lines ---------------------------------------------------------------------- */

#define LINES_MOST (SW_REASON_MAX + 40)
#define LINE_LEN   192

struct lines {
	char text[LINES_MOST][LINE_LEN];
	int count;
};

static void add(struct lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct lines *l, const char *fmt, ...)
{
	va_list args;

	if (l->count == LINES_MOST)
		return;
	va_start(args, fmt);
	vsnprintf(l->text[l->count++], LINE_LEN, fmt, args);
	va_end(args);
}

/* Lines that begin with no blank are titles. */
static void draw_lines(const struct top_screen *s, const struct lines *l, const char *title,
		       const char *keys, struct top_ui *ui)
{
	int room = s->rows - 3;

	if (ui->scroll > l->count - room)
		ui->scroll = l->count > room ? l->count - room : 0;
	top_put(s, 0, 0, 0, STYLE_CHOSEN, title);
	for (int i = 0; i < room && ui->scroll + i < l->count; i++) {
		const char *text = l->text[ui->scroll + i];

		top_put(s, 1 + i, 1, 0, *text == ' ' ? STYLE_PLAIN : STYLE_TITLE, text);
	}
	if (l->count > room)
		top_putf(s, s->rows - 2, 1, 0, STYLE_DIM, "lines %d to %d of %d, j and k move",
			 ui->scroll + 1,
			 ui->scroll + room < l->count ? ui->scroll + room : l->count, l->count);
	if (ui->said[0])
		top_put(s, s->rows - 2, 0, 0, STYLE_BOLD, ui->said);
	top_put(s, s->rows - 1, 0, 0, STYLE_PLAIN, keys);
}

/* --- help --------------------------------------------------------------------------------- */

void top_draw_help(const struct top_screen *s, struct top_ui *ui)
{
	struct lines l = { .count = 0 };

	add(&l, "Keys");
	add(&l, "  up down j k   move, PgUp PgDn g G further    Enter  all of a service");
	add(&l, "  s < > 1...0   sort by another column         r      the other way round");
	add(&l, "  /             filter by name, mode, state    Tab    next pane");
	add(&l, "  f space       freeze, and go on              + -    interval");
	add(&l, "  a d           arm, disarm: both ask first    q ^C   quit");
	add(&l, "Signs");
	add(&l, "  %s attack      its marks are passed: SYNs, half-open or unfinished ones",
	    top_mark(MARK_ATTACK, s->utf8));
	add(&l, "  %s armed       mode always: every SYN is answered with a cookie",
	    top_mark(MARK_ARMED, s->utf8));
	add(&l, "  %s calm        neither: in mode auto SYNs pass to the host",
	    top_mark(MARK_IDLE, s->utf8));
	add(&l, "  ~12           mode monitor: would be answered or dropped, but passes");
	add(&l, "  -             not known yet: it takes two samples");
	add(&l, "Columns");
	add(&l, "  SYN, ANSWered  SYNs a second, and those answered with a cookie");
	add(&l, "  DONE           handshakes a second that came to their end: real clients");
	add(&l, "  DROP, LIMIT    dropped packets a second, connections over a limit");
	add(&l, "  ESTABlished, HALF-open    connections of the host now");
	add(&l, "Arm sets the mode to always, as 'synwarden service set' does; disarm sets it");
	add(&l, "back to what it was before that, else to monitor: judge, count, let pass.");
	draw_lines(s, &l, " synwarden top: help", "Esc or q: back", ui);
}

/* --- one service -------------------------------------------------------------------------- */

static void add_rate(struct lines *l, const struct top_row *row, const char *name, double rate,
		     __u64 all)
{
	char n[TEXT_COUNT] = "-", m[TEXT_COUNT];

	if (row->known)
		top_exact(rate, n);
	add(l, "  %-14s%15s /s %20s in all", name, n, text_count(all, m));
}

static void add_policy(struct lines *l, const struct sw_service *c)
{
	char marks[ARMING_TEXT], quota[QUOTA_TEXT], over[TEXT_COUNT];

	add(l, "  %-14s%s", "arms at", arming_text(c, marks));
	add(l, "  %-14s%u SYN/s and CPU pass without a cookie", "host-syns", c->host_syns_pps);
	if (!c->limited)
		return;
	add(l, "  %-14s%s", "per source", quota_text(&c->limit[SW_LEVEL_HOST], quota));
	add(l, "  %-14s%s", "per net", quota_text(&c->limit[SW_LEVEL_NET], quota));
	add(l, "  %-14s%s", "over", over_text(c, over));
}

static void add_hits(struct lines *l, const struct sw_limit_hits *h)
{
	add(l, "Limits hit, in all");
	add(l, "  new per second %llu, connections %llu, half-closed %llu, stalled %llu",
	    (unsigned long long)h->over[SW_LIMIT_RATE], (unsigned long long)h->over[SW_LIMIT_CONNS],
	    (unsigned long long)h->over[SW_LIMIT_HALF_CLOSED],
	    (unsigned long long)h->over[SW_LIMIT_STALLED]);
	add(l, "  bans %llu, packets of banned sources %llu, not counted for want of room %llu",
	    (unsigned long long)h->bans, (unsigned long long)h->banned,
	    (unsigned long long)h->no_room);
}

static void add_states(struct lines *l, const struct sw_gauge *g)
{
	char n[TEXT_COUNT];

	bool any = false;

	for (__u32 i = SW_SYN_SENT; i < SW_STATE_MAX; i++)
		any = any || g->conns[i];
	add(l, any ? "Connections by state" : "No connection is tracked");
	for (__u32 i = SW_SYN_SENT; i < SW_STATE_MAX; i++)
		if (g->conns[i])
			add(l, "  %-14s%15s", text_state_name((enum sw_state)i),
			    text_count(g->conns[i], n));
}

static void add_reasons(struct lines *l, const struct sw_count *c)
{
	char packets[TEXT_COUNT], bytes[TEXT_COUNT], would[TEXT_COUNT];

	add(l, "%-27s %15s %18s %13s", "Packets by reason", "packets", "bytes", "would");
	for (__u32 r = 1; r < SW_REASON_MAX; r++)
		if (c[r].packets)
			add(l, "  %-20s %-4s %15s %18s %13s", text_reason(r), text_verdict(r),
			    text_count(c[r].packets, packets), text_count(c[r].bytes, bytes),
			    text_count(c[r].would_packets, would));
}

static const struct top_row *selected_row(const struct top_view *v, const struct top_ui *ui)
{
	for (__u32 i = 0; i < v->rows; i++)
		if (v->row[i].id == ui->selected)
			return &v->row[i];
	return NULL;
}

void top_draw_service(const struct top_screen *s, const struct top_view *v, struct top_ui *ui)
{
	static const char *const words[] = { "calm", "armed", "attack" };
	const struct top_row *row = selected_row(v, ui);
	const struct facts *f = &v->sample.facts;
	struct lines l = { .count = 0 };
	char title[TEXT_SERVICE + 80];
	struct flow all;

	if (!row) {
		ui->page = PAGE_MAIN;
		return;
	}
	facts_flow(f, row->id, &all);
	snprintf(title, sizeof(title), " service %s   mode %s   %s %s%s", row->name,
		 text_mode_name(row->mode), top_mark((enum top_mark)row->now, s->utf8),
		 words[row->now], ui->frozen ? "   frozen" : "");
	add(&l, "Rates");
	add_rate(&l, row, "SYN", row->flow.syns, all.syns);
	add_rate(&l, row, "answered", row->flow.answered, all.answered);
	add_rate(&l, row, "finished", row->flow.finished, all.finished);
	add_rate(&l, row, "dropped", row->flow.dropped, all.dropped);
	add_rate(&l, row, "would drop", row->flow.would_drop, all.would_drop);
	add_rate(&l, row, "packets", row->flow.packets, all.packets);
	add_rate(&l, row, "bytes", row->flow.bytes, all.bytes);
	add(&l, "Configuration");
	add_policy(&l, &f->services.slot[row->id]);
	add_states(&l, &f->gauge[row->id]);
	add_hits(&l, &f->hits[row->id]);
	add_reasons(&l, f->count[row->id]);
	draw_lines(s, &l, title, "Esc or q: back   a arm   d disarm   j k move   f freeze", ui);
}

/* --- boxes -------------------------------------------------------------------------------- */

static const char *mode_means(enum sw_mode mode)
{
	switch (mode) {
	case SW_MODE_OFF:
		return "passes everything, only counts";
	case SW_MODE_MONITOR:
		return "judges and counts, lets everything pass";
	case SW_MODE_AUTO:
		return "enforces, answers SYNs with cookies under attack";
	default:
		return "enforces, answers every SYN with a cookie";
	}
}

#define ASK_COLS 54

static void draw_question(const struct top_screen *s, const struct top_change *c)
{
	int y, x;

	top_frame(s, 7, ASK_COLS, c->to == SW_MODE_ALWAYS ? " Arm? " : " Disarm? ", &y, &x);
	top_putf(s, y + 1, x, ASK_COLS, STYLE_BOLD, "service %s", c->name);
	top_putf(s, y + 2, x, ASK_COLS, STYLE_PLAIN, "  mode %s %s %s", text_mode_name(c->from),
		 top_mark(MARK_TO, s->utf8), text_mode_name(c->to));
	top_putf(s, y + 3, x, ASK_COLS, STYLE_DIM, "  %s: %s", text_mode_name(c->to),
		 mode_means(c->to));
	top_put(s, y + 5, x, 3, STYLE_CHOSEN, " y ");
	top_put(s, y + 5, x + 4, 16, STYLE_PLAIN, "change it");
	top_put(s, y + 5, x + 20, 3, STYLE_CHOSEN, " n ");
	top_put(s, y + 5, x + 24, 24, STYLE_PLAIN, "leave it as it is");
}

static void draw_told(const struct top_screen *s, const char *text)
{
	int cols = s->cols - 8 < 76 ? s->cols - 8 : 76, rows = 3, y, x;
	size_t next, len;

	for (const char *at = text; *at; at += next, rows++)
		top_wrap(at, (size_t)cols, &next);
	if (rows > s->rows - 2)
		rows = s->rows - 2;
	top_frame(s, rows, cols, " Not changed ", &y, &x);
	for (int i = 1; *text && i < rows - 1; i++, text += next) {
		len = top_wrap(text, (size_t)cols, &next);
		top_putf(s, y + i, x, cols, STYLE_PLAIN, "%.*s", (int)len, text);
	}
	top_put(s, y + rows - 1, x, cols, STYLE_DIM, "any key goes on");
}

void top_draw_ask(const struct top_screen *s, const struct top_ui *ui)
{
	if (ui->ask == ASK_MODE)
		draw_question(s, &ui->change);
	else if (ui->ask == ASK_TOLD)
		draw_told(s, ui->told);
}
