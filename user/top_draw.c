/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The screen as a whole: head, totals, curve, table, keys. What the rest is: top_panes.c. */
#include <curses.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "top_screen.h"
#include "util.h"

/* --- head --------------------------------------------------------------------------------- */

static void devices_text(const struct top_screen *s, const struct facts *f, char *buf, size_t size)
{
	size_t at = 0;

	snprintf(buf, size, "no device attached");
	for (__u32 i = 0; i < f->devs && at < size; i++) {
		const struct dev_state *d = &f->dev[i];
		int n = snprintf(buf + at, size - at, "%s%s %s", i ? ", " : "", d->dev.name,
				 !d->alive     ? "gone" :
				 d->elsewhere  ? "elsewhere" :
				 d->dev.native ? "native" :
						 "generic");

		at += n > 0 ? (size_t)n : 0;
	}
	(void)s;
}

/* What the guard does now, as a mark and a word. */
static enum top_style guard_text(const struct top_screen *s, const struct top_view *v,
				 const struct top_ui *ui, char *buf, size_t size)
{
	enum sw_armed armed = v->sample.facts.settings.armed;
	const char *idle = top_mark(MARK_IDLE, s->utf8);

	if (ui->trouble[0]) {
		snprintf(buf, size, " %s ", ui->trouble);
		return STYLE_ALARM;
	}
	if (armed != SW_ARMED) {
		snprintf(buf, size, " %s %s ", idle,
			 armed == SW_DRAINING ? "draining: SYNs pass" : "not armed: all passes");
		return STYLE_ALARM;
	}
	if (v->attacked) {
		snprintf(buf, size, " %s %u of %u under attack ", top_mark(MARK_ATTACK, s->utf8),
			 v->attacked, v->rows);
		return STYLE_ALARM;
	}
	snprintf(buf, size, " %s armed ", top_mark(MARK_ARMED, s->utf8));
	return STYLE_ARMED;
}

static void draw_head(const struct top_screen *s, const struct top_view *v, const struct top_ui *ui)
{
	char devices[1024], what[128], when[32];
	time_t now = (time_t)(wall_ns(v->sample.facts.taken_ns) / 1000000000);
	enum top_style style = guard_text(s, v, ui, what, sizeof(what));
	int width = top_columns(what, s->utf8), right;
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(when, sizeof(when), ui->frozen ? " frozen %T " : "%T", &tm);
	right = s->cols - (int)strlen(when);
	devices_text(s, &v->sample.facts, devices, sizeof(devices));
	top_put(s, 0, 0, 9, STYLE_TITLE, "synwarden");
	top_putf(s, 0, 11, right - 1 - width - 12, STYLE_PLAIN, "%s  %s",
		 text_engine_name(v->sample.engine), devices);
	top_put(s, 0, right - 1 - width, width, style, what);
	top_put(s, 0, right, 0, ui->frozen ? STYLE_CHOSEN : STYLE_BOLD, when);
}

/* --- totals ------------------------------------------------------------------------------- */

#define RATES    5
#define USE_ROOM 13 /* "27.1k/16.4k" and a gap */

struct tile {
	int x, width;
	bool wide; /* enough for full names */
};

/* The rates are as wide as each other, and so are the two tables. */
static struct tile tile_at(const struct top_screen *s, int at)
{
	bool narrow = s->cols < RATES * 10 + 2 * USE_ROOM;
	int use = narrow ? s->cols / (RATES + 2) : s->cols * USE_ROOM / 80;
	int rate = (s->cols - 2 * use) / RATES;

	if (at < RATES)
		return (struct tile){ at * rate, rate, !narrow };
	return (struct tile){ RATES * rate + (at - RATES) * use, use, !narrow };
}

static void draw_tile(const struct top_screen *s, int at, const char *label, const char *value,
		      enum top_style style)
{
	struct tile t = tile_at(s, at);

	top_put_right(s, 1, t.x, t.width, STYLE_DIM, label);
	top_put_right(s, 2, t.x, t.width, style, value);
}

static void draw_rate(const struct top_screen *s, int at, const char *label, double n, bool known,
		      enum top_style style)
{
	char buf[TEXT_COUNT];

	if (!known) {
		draw_tile(s, at, label, "-", STYLE_DIM);
		return;
	}
	top_exact(n, buf);
	if ((int)strlen(buf) >= tile_at(s, at).width)
		top_number(n, buf);
	draw_tile(s, at, label, buf, style);
}

static void draw_table_use(const struct top_screen *s, const struct top_view *v, int at,
			   const char *label, enum sw_table table)
{
	__u64 used = v->sample.facts.table[table].used, max = v->sample.max[table];
	char text[64], n[TOP_NUMBER], m[TOP_NUMBER];
	enum top_style style = used * 10 >= max * 9 ? STYLE_ATTACK : STYLE_BOLD;

	top_number((double)used, n);
	if (tile_at(s, at).wide)
		snprintf(text, sizeof(text), "%s/%s", n, top_number((double)max, m));
	else
		snprintf(text, sizeof(text), "%s", n);
	draw_tile(s, at, label, text, style);
}

static void draw_tiles(const struct top_screen *s, const struct top_view *v)
{
	const struct top_flow *f = &v->all.flow;
	bool wide = tile_at(s, 0).wide, would = f->would_drop > f->dropped;

	draw_rate(s, 0, "SYN/s", f->syns, v->known, v->attacked ? STYLE_ATTACK : STYLE_BOLD);
	draw_rate(s, 1, wide ? "answer/s" : "answ/s", f->answered, v->known, STYLE_BOLD);
	draw_rate(s, 2, wide ? "finish/s" : "done/s", f->finished, v->known, STYLE_BOLD);
	draw_rate(s, 3, would ? "~drop/s" : "drop/s", would ? f->would_drop : f->dropped, v->known,
		  STYLE_BOLD);
	draw_rate(s, 4, wide ? "packet/s" : "pkt/s", f->packets, v->known, STYLE_BOLD);
	draw_table_use(s, v, 5, wide ? "connections" : "conns", SW_TABLE_CONNS);
	draw_table_use(s, v, 6, wide ? "half-open" : "half", SW_TABLE_HALF);
}

#define SPARK_LEFT  7
#define SPARK_RIGHT 12

static void draw_spark(const struct top_screen *s, const struct top_layout *l,
		       const struct top_view *v)
{
	const struct top_history *h = &v->history;
	int cells = l->cols - SPARK_LEFT - SPARK_RIGHT;
	char n[TOP_NUMBER];
	double peak = 0;

	if (!l->spark_rows)
		return;
	for (int i = 0; i < cells && i < (int)h->count && i < TOP_HISTORY; i++)
		if (h->at[(h->count - 1 - (__u32)i) % TOP_HISTORY].syns > peak)
			peak = h->at[(h->count - 1 - (__u32)i) % TOP_HISTORY].syns;
	top_put(s, l->spark + l->spark_rows - 1, 1, 5, STYLE_DIM, "SYN/s");
	top_putf(s, l->spark, l->cols - SPARK_RIGHT + 1, 0, STYLE_DIM, "peak %s",
		 top_number(peak, n));
	for (int i = 0; i < cells && i < (int)h->count && i < TOP_HISTORY; i++) {
		__u32 at = (h->count - 1 - (__u32)i) % TOP_HISTORY;
		enum top_style style = h->at[at].attack ? STYLE_ATTACK : STYLE_ARMED;

		for (int up = 0; up < l->spark_rows; up++)
			top_put(s, l->spark + l->spark_rows - 1 - up, SPARK_LEFT + cells - 1 - i, 1,
				style,
				top_cell(top_cell_level(h->at[at].syns, peak, l->spark_rows, up),
					 s->utf8));
	}
}

/* --- table of services -------------------------------------------------------------------- */

#define NOW_WIDTH     8
#define MODE_WIDTH    8
#define SERVICE_LEAST 14

static int column_width(enum top_column c, bool wide)
{
	static const int widths[COLUMN_MAX][2] = {
		[COL_NOW] = { NOW_WIDTH + 1, NOW_WIDTH + 1 },
		[COL_MODE] = { MODE_WIDTH, MODE_WIDTH },
		[COL_SYNS] = { 6, 11 },
		[COL_ANSWERED] = { 7, 11 },
		[COL_FINISHED] = { 7, 11 },
		[COL_DROPPED] = { 7, 11 },
		[COL_ESTABLISHED] = { 6, 12 },
		[COL_HALF_OPEN] = { 6, 10 },
		[COL_LIMIT] = { 6, 8 },
	};

	return widths[c][wide];
}

/* The service has what the others leave; the last ones go when that is too little. */
static void column_widths(int cols, int width[COLUMN_MAX])
{
	bool wide = cols >= TOP_WIDE;
	int rest = cols;

	for (int c = 0; c < COLUMN_MAX; c++) {
		width[c] = column_width((enum top_column)c, wide);
		rest -= width[c];
	}
	for (int c = COL_LIMIT; c > COL_SYNS && rest < SERVICE_LEAST; c--) {
		rest += width[c];
		width[c] = 0;
	}
	width[COL_SERVICE] = rest;
}

static void draw_header(const struct top_screen *s, const struct top_layout *l,
			const struct top_ui *ui, const int width[COLUMN_MAX])
{
	char text[48];

	top_put(s, l->table, 0, l->cols, STYLE_HEADER, "");
	for (int c = 0, x = 0; c < COLUMN_MAX; x += width[c++]) {
		const char *name = top_column_name((enum top_column)c, l->cols >= TOP_WIDE);
		bool down = (c == COL_SERVICE) == ui->reverse;

		if (!width[c])
			continue;
		snprintf(text, sizeof(text), "%s%s",
			 (enum top_column)c == ui->sort ?
				 top_mark(down ? MARK_DOWN : MARK_UP, s->utf8) :
				 "",
			 name);
		if (c < COL_SYNS)
			top_put(s, l->table, x, width[c], STYLE_HEADER, text);
		else
			top_put_right(s, l->table, x, width[c], STYLE_HEADER, text);
	}
}

static void cell_text(const struct top_row *row, enum top_column c, bool wide, char buf[TEXT_COUNT])
{
	bool would = row->mode == SW_MODE_MONITOR && (c == COL_ANSWERED || c == COL_DROPPED);
	double n = 0;

	switch (c) {
	case COL_SYNS:
		n = row->flow.syns;
		break;
	case COL_ANSWERED:
		n = row->flow.answered;
		break;
	case COL_FINISHED:
		n = row->flow.finished;
		break;
	case COL_DROPPED:
		n = row->flow.dropped + row->flow.would_drop;
		break;
	case COL_ESTABLISHED:
		n = (double)row->established;
		break;
	case COL_HALF_OPEN:
		n = (double)row->half_open;
		break;
	default:
		n = row->flow.limit;
		break;
	}
	if (!row->known && c != COL_ESTABLISHED && c != COL_HALF_OPEN) {
		strcpy(buf, "-");
		return;
	}
	buf[0] = '~';
	wide ? top_exact(n, buf + (would && n > 0)) : top_number(n, buf + (would && n > 0));
}

static void draw_row(const struct top_screen *s, int y, const struct top_row *row, bool chosen,
		     const int width[COLUMN_MAX])
{
	static const char *const words[] = { "calm", "armed", "attack" };
	static const enum top_style styles[] = { STYLE_PLAIN, STYLE_ARMED, STYLE_ATTACK };
	bool attack = row->now == TOP_ATTACK;
	enum top_style style = attack ? STYLE_ATTACK : STYLE_PLAIN;
	char buf[TEXT_COUNT + 1];

	if (chosen)
		style = attack ? STYLE_ALARM : STYLE_CHOSEN;
	top_put(s, y, 0, 0, style, "");
	for (int c = 0, x = 0; c < COLUMN_MAX; x += width[c++]) {
		if (!width[c])
			continue;
		if (c == COL_NOW) {
			top_putf(s, y, x, width[c] - 1, chosen ? style : styles[row->now], "%s %s",
				 top_mark((enum top_mark)row->now, s->utf8),
				 row->mode == SW_MODE_OFF ? "off" : words[row->now]);
		} else if (c == COL_SERVICE) {
			top_put(s, y, x, width[c] - 1, style, row->name);
		} else if (c == COL_MODE) {
			top_put(s, y, x, width[c] - 1, style, text_mode_name(row->mode));
		} else {
			cell_text(row, (enum top_column)c, s->cols >= TOP_WIDE, buf);
			top_put_right(s, y, x, width[c], style, buf);
		}
	}
}

static void draw_table(const struct top_screen *s, const struct top_layout *l,
		       const struct top_view *v, struct top_ui *ui)
{
	__u32 order[SW_MAX_SERVICES], n = top_order(v, ui, order), chosen;
	int width[COLUMN_MAX];

	ui->visible = (__u32)l->table_rows;
	chosen = top_select(ui, v);
	column_widths(l->cols, width);
	draw_header(s, l, ui, width);
	for (__u32 i = 0; i < ui->visible && ui->first + i < n; i++) {
		const struct top_row *row = &v->row[order[ui->first + i]];

		draw_row(s, l->table + 1 + (int)i, row, row->id == chosen, width);
	}
	if (!n)
		top_putf(s, l->table + 1, 2, 0, STYLE_DIM,
			 v->rows ? "no service passes the filter '%s'" :
				   "no service is guarded: synwarden service add any 80%s",
			 v->rows ? ui->filter : "");
}

/* --- foot --------------------------------------------------------------------------------- */

static void draw_status(const struct top_screen *s, const struct top_layout *l,
			const struct top_view *v, const struct top_ui *ui)
{
	__u32 order[SW_MAX_SERVICES], n = top_order(v, ui, order);

	if (ui->ask == ASK_FILTER)
		top_putf(s, l->status, 0, 0, STYLE_BOLD, "/%s_   Enter keeps it, Esc drops it",
			 ui->filter);
	else if (ui->said[0])
		top_put(s, l->status, 0, 0, STYLE_BOLD, ui->said);
	else if (ui->frozen)
		top_put(s, l->status, 0, 0, STYLE_CHOSEN,
			" frozen: counting goes on, f shows it again");
	else if (ui->filter[0])
		top_putf(s, l->status, 0, 0, STYLE_BOLD,
			 "filter '%s': %u of %u services, Esc drops it", ui->filter, n, v->rows);
	else if (n > ui->visible)
		top_putf(s, l->status, 0, 0, STYLE_DIM, "services %u to %u of %u, every %u s",
			 ui->first + 1, ui->first + ui->visible, n, ui->interval_s);
	else
		top_putf(s, l->status, 0, 0, STYLE_DIM, "%u service%s, every %u s", v->rows,
			 v->rows == 1 ? "" : "s", ui->interval_s);
}

static void draw_keys(const struct top_screen *s, const struct top_layout *l,
		      const struct top_ui *ui)
{
	static const char *const keys[][2] = {
		{ "q", "quit" },   { "?", "help" },   { "s", "sort" },     { "/", "filter" },
		{ "f", "freeze" }, { "Tab", "pane" }, { "Enter", "more" }, { "a/d", "arm/disarm" },
	};
	int x = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *word = ui->frozen && keys[i][0][0] == 'f' ? "thaw" : keys[i][1];
		int key = (int)strlen(keys[i][0]), len = (int)strlen(word);

		if (x + key + 1 + len > l->cols)
			break;
		top_put(s, l->keys, x, key, STYLE_TITLE, keys[i][0]);
		top_put(s, l->keys, x + key + 1, len, STYLE_PLAIN, word);
		x += key + len + 3;
	}
}

static void draw_main(const struct top_screen *s, const struct top_layout *l,
		      const struct top_view *v, struct top_ui *ui)
{
	draw_head(s, v, ui);
	draw_tiles(s, v);
	draw_spark(s, l, v);
	draw_table(s, l, v, ui);
	top_draw_split(s, l, v);
	top_draw_pane(s, l, v, ui);
	draw_status(s, l, v, ui);
	draw_keys(s, l, ui);
}

void top_draw(const struct top_screen *s, const struct top_view *v, struct top_ui *ui)
{
	struct top_layout l;

	erase();
	if (!top_layout(&l, s->rows, s->cols, v->rows)) {
		top_putf(s, 0, 0, 0, STYLE_BOLD, "%dx%d here; top needs %dx%d", s->cols, s->rows,
			 TOP_MIN_COLS, TOP_MIN_ROWS);
		top_put(s, 1, 0, 0, STYLE_PLAIN, "enlarge the window, or q");
	} else {
		if (ui->page == PAGE_HELP)
			top_draw_help(s, ui);
		else if (ui->page == PAGE_SERVICE)
			top_draw_service(s, v, ui);
		else
			draw_main(s, &l, v, ui);
		top_draw_ask(s, ui);
	}
	wnoutrefresh(stdscr);
	doupdate();
}
