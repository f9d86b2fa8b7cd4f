/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The terminal; see top_screen.h. The only file that sets its modes. */
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>

#include "top_screen.h"
#include "util.h"

#define ESCAPE_MS 50 /* a key of several bytes comes in this time */

enum pair {
	PAIR_ORANGE = 1,
	PAIR_BLUE,
	PAIR_GREY,
};

static attr_t style_attr[STYLES];

/* Never colour alone: every style but grey differs without. */
static void styles_begin(const struct top_screen *s)
{
	attr_t orange = 0, blue = 0, grey = A_DIM;

	if (s->colors) {
		bool many;

		start_color(); /* which sets COLORS */
		use_default_colors();
		many = COLORS >= 256;
		init_pair(PAIR_ORANGE, many ? 208 : COLOR_YELLOW, -1);
		init_pair(PAIR_BLUE, many ? 33 : COLOR_CYAN, -1);
		if (many)
			init_pair(PAIR_GREY, 245, -1);
		orange = COLOR_PAIR(PAIR_ORANGE);
		blue = COLOR_PAIR(PAIR_BLUE);
		grey = many ? COLOR_PAIR(PAIR_GREY) : A_DIM;
	}
	style_attr[STYLE_DIM] = grey;
	style_attr[STYLE_BOLD] = A_BOLD;
	style_attr[STYLE_TITLE] = blue | A_BOLD;
	style_attr[STYLE_ATTACK] = orange | A_BOLD;
	style_attr[STYLE_ARMED] = blue;
	style_attr[STYLE_HEADER] = blue | A_UNDERLINE;
	style_attr[STYLE_CHOSEN] = A_REVERSE;
	style_attr[STYLE_ALARM] = orange | A_REVERSE | A_BOLD;
}

/* --- signals ------------------------------------------------------------------------------ */

static const int taken[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT };
static sigset_t mask_was;

static int signals_take(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, &mask_was);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/*
 * Stops as the terminal stops who touches it from the background. Before the signals are taken:
 * who is stopped with SIGTERM held cannot be ended.
 */
static void wait_for_foreground(void)
{
	struct termios now;

	if (!tcgetattr(STDIN_FILENO, &now))
		tcsetattr(STDIN_FILENO, TCSANOW, &now);
}

/* ncurses has handlers, which touch the terminal. */
static void signals_default(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		signal(taken[i], SIG_DFL);
}

void top_screen_child(void)
{
	sigprocmask(SIG_SETMASK, &mask_was, NULL);
}

static void take_size(struct top_screen *s)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
	getmaxyx(stdscr, s->rows, s->cols);
	clearok(curscr, TRUE);
}

/* Stops if `stop` is a signal; returns when the terminal is ours again, and as we want it. */
static void go_on(struct top_screen *s, int stop)
{
	sigset_t held;

	sigprocmask(SIG_SETMASK, &mask_was, &held);
	if (stop)
		raise(stop);
	wait_for_foreground();
	sigprocmask(SIG_SETMASK, &held, NULL);
	reset_prog_mode();
	take_size(s);
}

bool top_screen_signals(struct top_screen *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTSTP: /* back to the shell as any program would be stopped */
			endwin();
			go_on(s, SIGTSTP);
			break;
		case SIGCONT: /* stopped by force: whoever had the terminal may have changed it */
			go_on(s, 0);
			break;
		case SIGWINCH:
			take_size(s);
			break;
		default:
			return false;
		}
	}
	return true;
}

/* --- taking and giving back --------------------------------------------------------------- */

/* Lines on stderr would break the picture: they are read and shown in their place. */
static int errors_take(struct top_screen *s)
{
	int pipefd[2];

	if (pipe2(pipefd, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	fflush(stderr);
	s->stderr_was = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(pipefd[1], STDERR_FILENO);
	close(pipefd[1]);
	s->errors = pipefd[0];
	return 0;
}

static void errors_give_back(struct top_screen *s)
{
	char rest[1024];
	ssize_t len;

	if (s->stderr_was < 0)
		return;
	fflush(stderr);
	dup2(s->stderr_was, STDERR_FILENO);
	close_fdp(&s->stderr_was);
	while ((len = read(s->errors, rest, sizeof(rest))) > 0)
		fwrite(rest, 1, (size_t)len, stderr);
	close_fdp(&s->errors);
}

static int no_terminal(void)
{
	log_refuse(-ENOTTY, "top needs a terminal to draw on");
	log_hint("'synwarden status' and 'synwarden stats' print once, 'synwarden top -j' rates");
	return -ENOTTY;
}

static int poor_terminal(const char *term)
{
	log_refuse(-ENOTTY, "terminal type '%.40s' is unknown, or cannot move its cursor",
		   term ? term : "");
	log_hint("TERM=xterm-256color, or vt100, which most terminals understand");
	return -ENOTTY;
}

static bool has_cursor(void)
{
	const char *cup = tigetstr("cup");

	return cup && cup != (char *)-1;
}

int top_screen_open(struct top_screen *s)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
	bool is_poor;

	*s = (struct top_screen){ .signals = -1, .errors = -1, .stderr_was = -1 };
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return no_terminal();
	setlocale(LC_CTYPE, "");
	s->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	unsetenv("LINES"); /* they would stand when the window is resized */
	unsetenv("COLUMNS");
	wait_for_foreground();
	s->signals = signals_take();
	if (s->signals < 0)
		return log_err(-errno, "take the signals");
	s->term = newterm(NULL, stdout, stdin);
	if (!s->term)
		return poor_terminal(term);
	signals_default();
	is_poor = !has_cursor();
	s->on = true;
	if (is_poor || errors_take(s)) {
		top_screen_close(s);
		return is_poor ? poor_terminal(term) : log_err(-errno, "make a pipe");
	}
	s->colors = has_colors() && !(no_color && *no_color);
	styles_begin(s);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_MS);
	leaveok(stdscr, FALSE);
	curs_set(0);
	getmaxyx(stdscr, s->rows, s->cols);
	return 0;
}

void top_screen_close(struct top_screen *s)
{
	if (s->on) {
		endwin();
		delscreen(s->term);
		s->on = false;
	}
	errors_give_back(s);
	if (s->signals >= 0)
		sigprocmask(SIG_SETMASK, &mask_was, NULL);
	close_fdp(&s->signals);
}

/* --- drawing ------------------------------------------------------------------------------ */

#define LINE_BYTES 2048

void top_put(const struct top_screen *s, int y, int x, int width, enum top_style style,
	     const char *text)
{
	char line[LINE_BYTES];

	if (y < 0 || y >= s->rows || x < 0 || x >= s->cols)
		return;
	if (!width || width > s->cols - x)
		width = s->cols - x;
	attrset(style_attr[style]);
	mvaddstr(y, x, top_fit(text, width, s->utf8, line, sizeof(line)));
	attrset(A_NORMAL);
}

void top_putf(const struct top_screen *s, int y, int x, int width, enum top_style style,
	      const char *fmt, ...)
{
	char text[LINE_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	top_put(s, y, x, width, style, text);
}

void top_put_right(const struct top_screen *s, int y, int x, int width, enum top_style style,
		   const char *text)
{
	int columns = top_columns(text, s->utf8);

	if (columns >= width)
		top_put(s, y, x, width, style, text);
	else
		top_put(s, y, x + width - columns, columns, style, text);
}

void top_frame(const struct top_screen *s, int rows, int cols, const char *title, int *y, int *x)
{
	int top = (s->rows - rows - 2) / 2, left = (s->cols - cols - 4) / 2;

	top = top < 0 ? 0 : top;
	left = left < 0 ? 0 : left;
	for (int i = 0; i < rows + 2; i++)
		top_put(s, top + i, left, cols + 4, STYLE_PLAIN, "");
	attrset(style_attr[STYLE_TITLE]);
	mvhline(top, left, ACS_HLINE, cols + 4);
	mvhline(top + rows + 1, left, ACS_HLINE, cols + 4);
	mvvline(top + 1, left, ACS_VLINE, rows);
	mvvline(top + 1, left + cols + 3, ACS_VLINE, rows);
	mvaddch(top, left, ACS_ULCORNER);
	mvaddch(top, left + cols + 3, ACS_URCORNER);
	mvaddch(top + rows + 1, left, ACS_LLCORNER);
	mvaddch(top + rows + 1, left + cols + 3, ACS_LRCORNER);
	attrset(A_NORMAL);
	top_put(s, top, left + 2, top_columns(title, s->utf8), STYLE_TITLE, title);
	*y = top + 1;
	*x = left + 2;
}
