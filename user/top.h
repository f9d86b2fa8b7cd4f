/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The live view: samples of a guard (top_read.c), what they say together (top_rates.c,
 * top_changes.c), how that is written (top_text.c, top_layout.c) and what keys do (top_keys.c).
 * All but the first are pure. The terminal is top_screen.h's.
 */
#ifndef SW_TOP_H
#define SW_TOP_H

#include <stdbool.h>
#include <stddef.h>

#include "facts.h"

/* --- samples ------------------------------------------------------------------------------ */

#define TOP_SOURCES 64

/* One look at a guard: on the heap. */
struct top_sample {
	__u32 guard; /* guard_id() */
	enum sw_engine engine;
	__u32 max[SW_TABLE_MAX];
	struct facts facts;
	struct sw_attack attack[SW_ATTACKS];
	struct sw_source source[TOP_SOURCES]; /* those with most connections first */
	__u32 sources;
	__u32 now_s; /* conn_now() of the sources */
};

struct top_reader {
	struct guard guard;
	const char *pin;
	bool open;
	__u64 sources_ns; /* not looked at before */
};

/*
 * Opens the guard if need be. -ENOENT, unsaid: there is none; other failures are told. `last` is
 * the sample before, whose sources serve again if a walk over them would cost too much now.
 */
int top_read(struct top_reader *r, struct top_sample *s, const struct top_sample *last);
void top_read_end(struct top_reader *r);
/* Puts it where it belongs among those that have most. */
void top_source_keep(struct top_sample *s, const struct sw_source *c);

/* --- rates -------------------------------------------------------------------------------- */

/* Its marks are passed, each SYN gets a cookie by its mode, neither. */
enum top_now {
	TOP_IDLE,
	TOP_ARMED,
	TOP_ATTACK,
	TOP_NOWS,
};

/* Per second. */
struct top_flow {
	double syns, answered, finished, dropped, would_drop, packets, bytes;
	double limit; /* connections over a limit, packets of banned sources */
};

struct top_row {
	__u32 id;
	char name[TEXT_SERVICE];
	enum sw_mode mode;
	enum top_now now;
	bool known; /* flow: not in its first sample, or the first after its counts began anew */
	struct top_flow flow;
	__u64 established;
	__u64 half_open;
};

struct top_reason {
	enum sw_reason reason;
	bool would; /* all of it in mode monitor */
	double pps;
	__u64 packets;
};

#define TOP_HISTORY 512
struct top_history {
	struct {
		double syns;
		bool attack;
	} at[TOP_HISTORY]; /* a ring; the latest is count - 1 */
	__u32 count;
};

#define TOP_CHANGES     64
#define TOP_CHANGE_TEXT 128
struct top_changes {
	struct {
		__u64 ns; /* CLOCK_MONOTONIC */
		char text[TOP_CHANGE_TEXT];
	} at[TOP_CHANGES];
	__u32 count;
};

/* What is shown. */
struct top_view {
	struct top_sample sample;
	bool known; /* all.flow and reasons: there was a sample of the same guard before */
	__u64 elapsed_ns;
	struct top_row all;
	struct top_row row[SW_MAX_SERVICES];
	__u32 rows;
	__u32 attacked;
	struct top_reason reason[SW_REASON_MAX]; /* of drops, most per second first */
	__u32 reasons;
	__u64 state[SW_STATE_MAX];
	struct top_history history;
	struct top_changes changes;
};

/* Fills all of it but history and changes; `last` NULL, or of another guard: nothing is known. */
void top_rates(struct top_view *v, const struct top_sample *last);
void top_history_add(struct top_history *h, const struct top_view *v);

/* Notes what became different between two samples. */
void top_changes_find(struct top_changes *c, const struct top_sample *last,
		      const struct top_sample *now);
void top_changes_say(struct top_changes *c, __u64 ns, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* --- text --------------------------------------------------------------------------------- */

enum top_mark {
	MARK_IDLE, /* the first three as enum top_now */
	MARK_ARMED,
	MARK_ATTACK,
	MARK_UP,
	MARK_DOWN,
	MARK_LINE,
	MARK_TO,
	MARKS,
};
const char *top_mark(enum top_mark mark, bool utf8);

#define TOP_NUMBER 12
/* At most five characters: "9999", "12.3k", "0.4". */
const char *top_number(double n, char buf[TOP_NUMBER]);
/* The same with commas, all digits. */
const char *top_exact(double n, char buf[TEXT_COUNT]);
/*
 * Cuts or fills with blanks to so many columns of the screen. What cannot be shown becomes '?';
 * what is left out shows as "~" or an ellipsis. Size: 4 bytes a column and one more.
 */
const char *top_fit(const char *text, int columns, bool utf8, char *buf, size_t size);
int top_columns(const char *text, bool utf8);
/* A bar of so many cells, `share` of them full: UTF-8 in eighths. */
const char *top_bar(double share, int cells, bool utf8, char *buf, size_t size);
/* One cell of a curve; level 0 to 8. */
const char *top_cell(int level, bool utf8);
/* Level of the cell `up` rows above the lowest, of a curve so many rows high. */
int top_cell_level(double value, double peak, int rows, int up);
/* Bytes of `text` that fit into a line, ended between words; *next is where the next begins. */
size_t top_wrap(const char *text, size_t columns, size_t *next);

/* --- layout ------------------------------------------------------------------------------- */

#define TOP_MIN_COLS 60
#define TOP_MIN_ROWS 12
#define TOP_WIDE     112 /* columns from which numbers are written out */

/* First line and lines of each part; 0 lines: no room for it. The head is line 0. */
struct top_layout {
	int cols;
	int tiles;
	int spark, spark_rows;
	int table, table_rows; /* header line, then rows */
	int split, split_rows; /* title line, then rows */
	int pane, pane_rows;   /* the same */
	int status, keys;
};
bool top_layout(struct top_layout *l, int rows, int cols, __u32 services);

/* --- keys --------------------------------------------------------------------------------- */

enum top_column {
	COL_NOW,
	COL_SERVICE,
	COL_MODE,
	COL_SYNS,
	COL_ANSWERED,
	COL_FINISHED,
	COL_DROPPED,
	COL_ESTABLISHED,
	COL_HALF_OPEN,
	COL_LIMIT,
	COLUMN_MAX,
};
const char *top_column_name(enum top_column c, bool wide);

enum top_page {
	PAGE_MAIN,
	PAGE_HELP,
	PAGE_SERVICE, /* the one selected */
};

enum top_pane {
	PANE_ATTACKS,
	PANE_SOURCES,
	PANE_CHANGES,
	PANES,
};

enum top_ask {
	ASK_NOTHING,
	ASK_FILTER, /* being typed */
	ASK_MODE,   /* a change to be confirmed */
	ASK_TOLD,   /* a text to be read */
};

/* A change of a service's mode. */
struct top_change {
	struct sw_service service;
	char name[TEXT_SERVICE];
	enum sw_mode from, to;
};

#define TOP_FILTER   32
#define TOP_TOLD     1024
#define TOP_SAID_LEN 256
#define TOP_SLOWEST  3600
struct top_ui {
	enum top_page page;
	enum top_pane pane;
	enum top_ask ask;
	enum top_column sort;
	bool reverse;
	bool frozen;
	bool quit;
	__u32 interval_s;
	__u32 selected; /* service id, 0: whichever comes first */
	__u32 first;    /* row of the table shown first */
	__u32 visible;  /* rows there are: of the last drawing */
	int scroll;     /* of a page */
	char filter[TOP_FILTER];
	struct top_change change;
	bool confirmed; /* the change is to be made */
	bool changing;  /* one is being made */
	char told[TOP_TOLD];
	char said[TOP_SAID_LEN]; /* status line */
	__u64 said_ns;
	char trouble[80]; /* why the numbers are old ones, "": they are not */
	/* what `d` goes back to: modes before `a`, by id; of these services */
	struct {
		struct sw_service service;
		enum sw_mode mode;
		bool known;
	} before[SW_MAX_SERVICES];
};

/* Rows that pass the filter, in the order asked for: indices into v->row. How many. */
__u32 top_order(const struct top_view *v, const struct top_ui *ui, __u32 order[SW_MAX_SERVICES]);
/* What a key of getch() does; `live` is the newest sample, also while the view is frozen. */
void top_key(struct top_ui *ui, const struct top_view *v, const struct top_sample *live, int key);
/* Keeps the selected row among those shown. The service that keys are for, 0: none is shown. */
__u32 top_select(struct top_ui *ui, const struct top_view *v);
void top_say(struct top_ui *ui, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- JSON --------------------------------------------------------------------------------- */

void top_json(const struct top_view *v);

#endif /* SW_TOP_H */
