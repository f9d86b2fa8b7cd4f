/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which part gets which lines of the screen. Pure; see top.h. */
#include <string.h>

#include "top.h"

#define HEAD_ROWS   3 /* the head line and two of totals */
#define FOOT_ROWS   2
#define TABLE_LEAST 3
#define SPLIT_ROWS  5  /* the states in two columns */
#define SPLIT_MOST  10 /* or in one */
#define PANE_LEAST  4

bool top_layout(struct top_layout *l, int rows, int cols, __u32 services)
{
	int body = rows - HEAD_ROWS - FOOT_ROWS, want = (int)services;

	memset(l, 0, sizeof(*l));
	if (rows < TOP_MIN_ROWS || cols < TOP_MIN_COLS)
		return false;
	l->cols = cols;
	l->tiles = 1;
	l->status = rows - 2;
	l->keys = rows - 1;
	l->spark = HEAD_ROWS;
	l->spark_rows = rows >= 36 ? 3 : rows >= 18;
	body -= l->spark_rows + 1; /* and the header of the table */
	if (rows >= 18)
		l->split_rows = SPLIT_ROWS;
	if (rows >= 22)
		l->pane_rows = PANE_LEAST - 1;
	body -= l->split_rows + !!l->split_rows + l->pane_rows + !!l->pane_rows;
	if (want < TABLE_LEAST)
		want = TABLE_LEAST;
	l->table_rows = want < body && l->pane_rows ? want : body;
	body -= l->table_rows;
	if (l->pane_rows) {
		int more = body / 2 < SPLIT_MOST - SPLIT_ROWS ? body / 2 : SPLIT_MOST - SPLIT_ROWS;

		if (rows < 30)
			more = 0;
		l->split_rows += more;
		l->pane_rows += body - more;
	}
	l->table = l->spark + l->spark_rows;
	l->split = l->table + 1 + l->table_rows;
	l->pane = l->split + l->split_rows + !!l->split_rows;
	return true;
}
