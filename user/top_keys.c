/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What keys do, and which services are shown in which order. Pure; see top.h. */
#include <curses.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "top.h"
#include "util.h"

#define KEY_ESCAPE 27
#define KEY_ERASE  127
#define PAGE_STEP  8

const char *top_column_name(enum top_column c, bool wide)
{
	static const char *const names[COLUMN_MAX][2] = {
		[COL_NOW] = { "NOW", "NOW" },
		[COL_SERVICE] = { "SERVICE", "SERVICE" },
		[COL_MODE] = { "MODE", "MODE" },
		[COL_SYNS] = { "SYN/s", "SYN/s" },
		[COL_ANSWERED] = { "ANSW/s", "ANSWERED/s" },
		[COL_FINISHED] = { "DONE/s", "FINISHED/s" },
		[COL_DROPPED] = { "DROP/s", "DROPPED/s" },
		[COL_ESTABLISHED] = { "ESTAB", "ESTABLISHED" },
		[COL_HALF_OPEN] = { "HALF", "HALF-OPEN" },
		[COL_LIMIT] = { "LIMIT", "LIMIT/s" },
	};

	return names[c][wide];
}

void top_say(struct top_ui *ui, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(ui->said, sizeof(ui->said), fmt, args);
	va_end(args);
	ui->said_ns = 0; /* the loop sets the time */
}

/* --- order -------------------------------------------------------------------------------- */

static const char *now_word(const struct top_row *row)
{
	return row->now == TOP_ATTACK ? "attack" : row->now == TOP_ARMED ? "armed" : "calm";
}

static bool row_passes(const struct top_row *row, const char *filter)
{
	return !*filter || strcasestr(row->name, filter) ||
	       strcasestr(text_mode_name(row->mode), filter) || strcasestr(now_word(row), filter);
}

static double row_value(const struct top_row *row, enum top_column c)
{
	switch (c) {
	case COL_NOW:
		return row->now;
	case COL_MODE:
		return row->mode;
	case COL_SYNS:
		return row->flow.syns;
	case COL_ANSWERED:
		return row->flow.answered;
	case COL_FINISHED:
		return row->flow.finished;
	case COL_DROPPED:
		return row->flow.dropped + row->flow.would_drop;
	case COL_ESTABLISHED:
		return (double)row->established;
	case COL_HALF_OPEN:
		return (double)row->half_open;
	case COL_LIMIT:
		return row->flow.limit;
	default:
		return 0;
	}
}

/* Names rise, numbers fall, unless reversed; of what is equal the attacked come first. */
static bool is_before(const struct top_row *a, const struct top_row *b, const struct top_ui *ui)
{
	double x = row_value(a, ui->sort), y = row_value(b, ui->sort);
	int names = strverscmp(a->name, b->name);

	if (ui->sort == COL_SERVICE)
		return ui->reverse ? names > 0 : names < 0;
	if (x != y)
		return ui->reverse ? x < y : x > y;
	return a->now != b->now ? a->now > b->now : names < 0;
}

__u32 top_order(const struct top_view *v, const struct top_ui *ui, __u32 order[SW_MAX_SERVICES])
{
	__u32 n = 0;

	for (__u32 i = 0; i < v->rows; i++) {
		__u32 at = n;

		if (!row_passes(&v->row[i], ui->filter))
			continue;
		while (at && is_before(&v->row[i], &v->row[order[at - 1]], ui)) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = i;
		n++;
	}
	return n;
}

/* --- moving ------------------------------------------------------------------------------- */

static __u32 place_of(const struct top_view *v, const struct top_ui *ui,
		      const __u32 order[SW_MAX_SERVICES], __u32 n)
{
	for (__u32 i = 0; i < n; i++)
		if (v->row[order[i]].id == ui->selected)
			return i;
	return 0;
}

/* By so many rows, to the end at the most. */
static void move_by(struct top_ui *ui, const struct top_view *v, int rows)
{
	__u32 order[SW_MAX_SERVICES], n = top_order(v, ui, order);
	int at = (int)place_of(v, ui, order, n) + rows;

	if (!n)
		return;
	at = at < 0 ? 0 : at >= (int)n ? (int)n - 1 : at;
	ui->selected = v->row[order[at]].id;
	top_select(ui, v);
}

__u32 top_select(struct top_ui *ui, const struct top_view *v)
{
	__u32 order[SW_MAX_SERVICES], n = top_order(v, ui, order);
	__u32 at = place_of(v, ui, order, n), visible = ui->visible ? ui->visible : 1;

	if (n && v->row[order[at]].id != ui->selected)
		ui->selected = 0; /* it is gone, or nobody has chosen yet */
	if (ui->first > at)
		ui->first = at;
	if (at >= ui->first + visible)
		ui->first = at - visible + 1;
	if (n < ui->first + visible)
		ui->first = n > visible ? n - visible : 0;
	return n ? v->row[order[at]].id : 0;
}

static bool key_moves(struct top_ui *ui, const struct top_view *v, int key)
{
	int step = ui->visible > 1 ? (int)ui->visible - 1 : 1;
	int by = 0;

	if (ui->page != PAGE_MAIN)
		step = PAGE_STEP;
	if (key == KEY_UP || key == 'k')
		by = -1;
	else if (key == KEY_DOWN || key == 'j')
		by = 1;
	else if (key == KEY_PPAGE)
		by = -step;
	else if (key == KEY_NPAGE)
		by = step;
	else if (key == KEY_HOME || key == 'g')
		by = -SW_MAX_SERVICES;
	else if (key == KEY_END || key == 'G')
		by = SW_MAX_SERVICES;
	else
		return false;
	if (ui->page == PAGE_MAIN)
		move_by(ui, v, by);
	else
		ui->scroll = ui->scroll + by < 0 ? 0 : ui->scroll + by;
	return true;
}

/* --- the rest ----------------------------------------------------------------------------- */

static void sort_by(struct top_ui *ui, int column)
{
	ui->sort = (enum top_column)((column + COLUMN_MAX) % COLUMN_MAX);
	ui->reverse = false;
	ui->first = 0;
	top_say(ui, "sorted by %s", top_column_name(ui->sort, true));
}

static void interval_step(struct top_ui *ui, bool longer)
{
	static const __u32 steps[] = { 1, 2, 3, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600 };
	__u32 next = longer ? steps[ARRAY_SIZE(steps) - 1] : steps[0];

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (longer && steps[i] > ui->interval_s && steps[i] < next)
			next = steps[i];
		if (!longer && steps[i] < ui->interval_s && steps[i] > next)
			next = steps[i];
	}
	ui->interval_s = next;
	top_say(ui, "every %u s", next);
}

static bool known_before(const struct top_ui *ui, const struct sw_service *s, __u32 id)
{
	return ui->before[id].known && services_same(&ui->before[id].service, s);
}

static void ask_mode(struct top_ui *ui, const struct top_view *v, const struct top_sample *live,
		     bool arm)
{
	__u32 id = top_select(ui, v);
	const struct sw_service *s = &live->facts.services.slot[id];
	struct top_change *c = &ui->change;

	if (ui->changing) {
		top_say(ui, "the change before is still being made");
		return;
	}
	if (!id || !s->port_first) {
		top_say(ui, "no service is selected");
		return;
	}
	*c = (struct top_change){ .service = *s, .from = s->mode, .to = SW_MODE_ALWAYS };
	text_service_name(s, c->name);
	if (!arm)
		c->to = known_before(ui, s, id) ? ui->before[id].mode : SW_MODE_MONITOR;
	if (!arm && s->mode == SW_MODE_OFF)
		top_say(ui, "%s is in mode off: there is nothing to disarm", c->name);
	else if (c->to == c->from)
		top_say(ui, "%s is in mode %s already", c->name, text_mode_name(c->to));
	else
		ui->ask = ASK_MODE;
}

static void key_to_filter(struct top_ui *ui, int key)
{
	size_t len = strlen(ui->filter);

	if (key == KEY_ESCAPE)
		ui->filter[0] = '\0';
	if (key == KEY_ESCAPE || key == '\n' || key == '\r' || key == KEY_ENTER)
		ui->ask = ASK_NOTHING;
	else if ((key == KEY_BACKSPACE || key == KEY_ERASE || key == '\b') && len)
		ui->filter[len - 1] = '\0';
	else if (key >= ' ' && key < KEY_ERASE && len + 1 < sizeof(ui->filter))
		memcpy(ui->filter + len, (char[2]){ (char)key }, 2);
}

/* Of a question; true: the key was its answer. */
static bool key_answers(struct top_ui *ui, int key)
{
	switch (ui->ask) {
	case ASK_NOTHING:
		return false;
	case ASK_FILTER:
		key_to_filter(ui, key);
		return true;
	case ASK_MODE:
		if (key == 'y' || key == 'Y')
			ui->confirmed = true;
		else if (key == 'n' || key == 'N' || key == 'q' || key == KEY_ESCAPE)
			top_say(ui, "%s: nothing changed", ui->change.name);
		else
			return true; /* nothing else says yes or no */
		break;
	case ASK_TOLD:
		break;
	}
	ui->ask = ASK_NOTHING;
	return true;
}

static void open_service(struct top_ui *ui, const struct top_view *v)
{
	__u32 id = top_select(ui, v);

	if (!id)
		return;
	ui->selected = id; /* and not whichever comes first next */
	ui->page = PAGE_SERVICE;
}

static void key_of_main(struct top_ui *ui, const struct top_view *v, const struct top_sample *live,
			int key)
{
	switch (key) {
	case 's':
	case '>':
	case KEY_RIGHT:
		sort_by(ui, (int)ui->sort + 1);
		break;
	case '<':
	case KEY_LEFT:
		sort_by(ui, (int)ui->sort - 1);
		break;
	case 'r':
		ui->reverse = !ui->reverse;
		break;
	case '/':
		ui->ask = ASK_FILTER;
		break;
	case '\t':
		ui->pane = (enum top_pane)((ui->pane + 1) % PANES);
		break;
	case KEY_BTAB:
		ui->pane = (enum top_pane)((ui->pane + PANES - 1) % PANES);
		break;
	case KEY_ESCAPE:
		ui->filter[0] = '\0';
		break;
	default:
		if (key >= '0' && key <= '9')
			sort_by(ui, (key - '0' + 9) % 10); /* 1 is the first, 0 the tenth */
		else if (key == '\n' || key == '\r' || key == KEY_ENTER)
			open_service(ui, v);
	}
	if (key == 'a' || key == 'd')
		ask_mode(ui, v, live, key == 'a');
}

static void key_of_page(struct top_ui *ui, const struct top_view *v, const struct top_sample *live,
			int key)
{
	if (key == KEY_ESCAPE || key == '\n' || key == '\r' || key == KEY_ENTER ||
	    key == KEY_BACKSPACE || key == KEY_LEFT)
		ui->page = PAGE_MAIN;
	else if ((key == 'a' || key == 'd') && ui->page == PAGE_SERVICE)
		ask_mode(ui, v, live, key == 'a');
}

void top_key(struct top_ui *ui, const struct top_view *v, const struct top_sample *live, int key)
{
	if (key_answers(ui, key) || key_moves(ui, v, key)) {
		top_select(ui, v);
		return;
	}
	if (key == 'q' && ui->page == PAGE_MAIN)
		ui->quit = true;
	else if (key == 'q')
		ui->page = PAGE_MAIN;
	else if (key == 'f' || key == ' ') {
		ui->frozen = !ui->frozen;
		ui->said[0] = '\0';
	} else if (key == '+' || key == '=' || key == '-')
		interval_step(ui, key != '-');
	else if (key == '?' || key == 'h' || key == KEY_F(1))
		ui->page = ui->page == PAGE_HELP ? PAGE_MAIN : PAGE_HELP;
	else if (ui->page == PAGE_MAIN)
		key_of_main(ui, v, live, key);
	else
		key_of_page(ui, v, live, key);
	if (ui->page == PAGE_MAIN)
		ui->scroll = 0;
	top_select(ui, v);
}
