/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers, columns, bars: what `top` writes, for UTF-8 and for ASCII. Pure; see top.h. */
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "top.h"
#include "utf8.h"
#include "util.h"

const char *top_mark(enum top_mark mark, bool utf8)
{
	static const char *const marks[MARKS][2] = {
		[MARK_IDLE] = { "o", "○" },   [MARK_ARMED] = { "*", "●" },
		[MARK_ATTACK] = { "!", "▲" }, [MARK_UP] = { "^", "↑" },
		[MARK_DOWN] = { "v", "↓" },   [MARK_LINE] = { "-", "─" },
		[MARK_TO] = { "->", "→" },
	};

	return marks[mark][utf8];
}

const char *top_number(double n, char buf[TOP_NUMBER])
{
	static const char units[] = "kMGTPE";
	int unit = -1;

	if (!(n > 0))
		n = 0;
	if (n < 9.95 && n - (double)(__u64)n >= 0.05 && n - (double)(__u64)n < 0.95) {
		snprintf(buf, TOP_NUMBER, "%.1f", n);
		return buf;
	}
	if (n < 9999.5) {
		snprintf(buf, TOP_NUMBER, "%.0f", n);
		return buf;
	}
	while (n >= 999.5 && units[unit + 1]) {
		n /= 1000;
		unit++;
	}
	snprintf(buf, TOP_NUMBER, "%.*f%c", n < 9.995 ? 2 : n < 99.95 ? 1 : 0, n, units[unit]);
	return buf;
}

const char *top_exact(double n, char buf[TEXT_COUNT])
{
	if (n > 0 && n < 9.95 && n - (double)(__u64)n >= 0.05 && n - (double)(__u64)n < 0.95)
		return top_number(n, buf);
	return text_count(n > 0 ? (__u64)(n + 0.5) : 0, buf);
}

/* Bytes of the next character, and the columns it takes; -1: it cannot be shown. */
static size_t next_char(const char *s, bool utf8, int *columns)
{
	size_t len = utf8_printable(s);
	mbstate_t state = { 0 };
	wchar_t c;

	*columns = len == 1 ? 1 : -1;
	if (len > 1 && utf8 && mbrtowc(&c, s, len, &state) == len)
		*columns = wcwidth(c);
	return len ? len : 1;
}

int top_columns(const char *text, bool utf8)
{
	int all = 0, columns;

	for (; *text; all += columns < 0 ? 1 : columns)
		text += next_char(text, utf8, &columns);
	return all;
}

const char *top_fit(const char *text, int columns, bool utf8, char *buf, size_t size)
{
	bool cut = top_columns(text, utf8) > columns;
	int room = cut ? columns - 1 : columns, took;
	size_t at = 0;

	while (*text) {
		size_t len = next_char(text, utf8, &took);

		if ((took < 0 ? 1 : took) > room || at + len + 1 >= size)
			break;
		if (took < 0)
			buf[at++] = '?';
		else
			memcpy(buf + at, text, len);
		at += took < 0 ? 0 : len;
		room -= took < 0 ? 1 : took;
		text += len;
	}
	if (cut && columns > 0 && at + 4 < size)
		at += (size_t)sprintf(buf + at, "%s", utf8 ? "…" : "~");
	while (room-- > 0 && at + 1 < size)
		buf[at++] = ' ';
	buf[at] = '\0';
	return buf;
}

const char *top_bar(double share, int cells, bool utf8, char *buf, size_t size)
{
	static const char *const eighths[] = { "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█" };
	int full = (int)((share > 1 ? 1 : share > 0 ? share : 0) * cells * 8 + 0.5);
	size_t at = 0;

	if (share > 0 && !full)
		full = 1; /* a little is not nothing */
	for (int i = 0; i < cells; i++, full -= 8) {
		const char *cell = " ";

		if (full > 0 && utf8)
			cell = eighths[full >= 8 ? 7 : full - 1];
		else if (full > 3 || (full > 0 && !i))
			cell = "#";
		if (at + strlen(cell) >= size)
			break;
		strcpy(buf + at, cell);
		at += strlen(cell);
	}
	buf[at] = '\0';
	return buf;
}

const char *top_cell(int level, bool utf8)
{
	static const char *const cells[][2] = {
		{ " ", " " }, { "_", "▁" }, { ".", "▂" }, { ":", "▃" }, { "-", "▄" },
		{ "=", "▅" }, { "+", "▆" }, { "*", "▇" }, { "#", "█" },
	};

	return cells[level < 0 ? 0 : level > 8 ? 8 : level][utf8];
}

int top_cell_level(double value, double peak, int rows, int up)
{
	double eighths = peak > 0 ? value / peak * rows * 8 : 0;
	int level = (int)(eighths + 0.5) - up * 8;

	if (!up && level < 1)
		level = 1; /* the ground line */
	return level < 0 ? 0 : level > 8 ? 8 : level;
}

size_t top_wrap(const char *text, size_t columns, size_t *next)
{
	size_t line = strcspn(text, "\n"), end = line;

	if (line > columns) {
		end = columns;
		while (end && text[end] != ' ')
			end--;
		if (!end)
			end = columns; /* a word that is longer than the line */
	}
	*next = end + (text[end] == ' ' || text[end] == '\n');
	return end;
}
