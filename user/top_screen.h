/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The terminal of `top`: taking it, giving it back whatever ends us, and drawing on it. */
#ifndef SW_TOP_SCREEN_H
#define SW_TOP_SCREEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "top.h"

enum top_style {
	STYLE_PLAIN,
	STYLE_DIM,
	STYLE_BOLD,
	STYLE_TITLE,
	STYLE_ATTACK, /* orange */
	STYLE_ARMED,  /* blue */
	STYLE_HEADER, /* of columns */
	STYLE_CHOSEN, /* the row that keys are for */
	STYLE_ALARM,  /* orange, reverse */
	STYLES,
};

struct top_screen {
	bool utf8;
	bool colors;
	bool on;
	int rows, cols;
	int signals;    /* a descriptor */
	int errors;     /* what was written to stderr since */
	int stderr_was; /* -1: not taken */
	void *term;     /* SCREEN */
};

/* Refused, told: no terminal, or one that cannot move its cursor. */
int top_screen_open(struct top_screen *s);
/* Puts the terminal back and tells on stderr what was written there meanwhile and not read. */
void top_screen_close(struct top_screen *s);
/* Takes signals that came: the screen's new size, stop and go on. False: one that ends us. */
bool top_screen_signals(struct top_screen *s);
/* Signals as a new process should have them. */
void top_screen_child(void);

/* At most `width` columns, the rest of them blank; 0: up to the edge of the screen. */
void top_put(const struct top_screen *s, int y, int x, int width, enum top_style style,
	     const char *text);
void top_putf(const struct top_screen *s, int y, int x, int width, enum top_style style,
	      const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* The same, to the right. */
void top_put_right(const struct top_screen *s, int y, int x, int width, enum top_style style,
		   const char *text);
/* A frame around so many lines and columns, in the middle; *y, *x are its first place inside. */
void top_frame(const struct top_screen *s, int rows, int cols, const char *title, int *y, int *x);

/* All of it: top_draw.c. */
void top_draw(const struct top_screen *s, const struct top_view *v, struct top_ui *ui);
/* top_panes.c */
void top_draw_split(const struct top_screen *s, const struct top_layout *l,
		    const struct top_view *v);
void top_draw_pane(const struct top_screen *s, const struct top_layout *l, const struct top_view *v,
		   const struct top_ui *ui);
/* top_pages.c */
void top_draw_help(const struct top_screen *s, struct top_ui *ui);
void top_draw_service(const struct top_screen *s, const struct top_view *v, struct top_ui *ui);
void top_draw_ask(const struct top_screen *s, const struct top_ui *ui);

/* --- top_change.c ------------------------------------------------------------------------- */

/* Runs `service set` in a process of its own, as it may wait for the lock and for packets. */
struct top_changer {
	pid_t pid;  /* 0: none */
	int errors; /* its stderr */
	char text[TOP_TOLD];
	size_t len;
};
int top_changer_begin(struct top_changer *c, const char *pin, const struct top_change *change);
/* Reads what it said. True: it has ended; *code as it exited. */
bool top_changer_read(struct top_changer *c, int *code);
/* Ends it, unless it is past that already: a change is made whole or not at all. */
void top_changer_end(struct top_changer *c);

#endif /* SW_TOP_SCREEN_H */
