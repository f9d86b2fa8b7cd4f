/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top: the loop around samples, keys and changes; what each of them is: top.h, top_screen.h. */
#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "top_screen.h"
#include "util.h"

#define INTERVAL_DEFAULT 1
#define SAID_NS          6000000000ULL
#define NS_PER_S         1000000000ULL

struct top {
	const struct opts *o;
	struct top_screen screen;
	struct top_reader reader;
	struct top_changer changer;
	struct top_ui ui;
	struct top_view *shown; /* what is drawn: the live one, or as it was when frozen */
	struct top_view *live;
	struct top_sample *last; /* before the live one */
	bool any;                /* the live one has a sample */
	bool gone;
	__u64 gone_ns;
	__u64 next_ns; /* sample */
};

/* --- samples ------------------------------------------------------------------------------ */

static void guard_gone(struct top *t, int err)
{
	__u64 now = clock_ns(CLOCK_MONOTONIC);
	char age[TEXT_AGE];

	if (!t->gone) {
		t->gone = true;
		t->gone_ns = now;
		top_changes_say(&t->live->changes, now,
				err == -ENOENT ? "the guard is gone" : "the guard cannot be read");
	}
	snprintf(t->ui.trouble, sizeof(t->ui.trouble), "%s for %s: old numbers",
		 err == -ENOENT ? "guard is gone" : "cannot be read",
		 text_age((__u32)((now - t->gone_ns) / NS_PER_S), age));
}

/* Takes one; the live view is what it and the one before it say. */
static void take_sample(struct top *t)
{
	struct top_view *v = t->live;
	int err;

	memcpy(t->last, &v->sample, sizeof(*t->last));
	err = top_read(&t->reader, &v->sample, t->any ? t->last : NULL);
	if (err) {
		memcpy(&v->sample, t->last, sizeof(*t->last));
		guard_gone(t, err);
	} else {
		if (t->gone)
			top_changes_say(&v->changes, v->sample.facts.taken_ns, "the guard is back");
		t->gone = false;
		t->ui.trouble[0] = '\0';
		top_rates(v, t->any ? t->last : NULL);
		if (t->any)
			top_changes_find(&v->changes, t->last, &v->sample);
		if (v->known)
			top_history_add(&v->history, v);
		t->any = true;
	}
	if (!t->ui.frozen)
		memcpy(t->shown, v, sizeof(*v));
}

/* --- a change ----------------------------------------------------------------------------- */

static const char *without_name(const char *line)
{
	static const char name[] = "synwarden: ";

	return strncmp(line, name, strlen(name)) ? line : line + strlen(name);
}

static void change_begin(struct top *t)
{
	struct top_change *c = &t->ui.change;

	t->ui.confirmed = false;
	if (top_changer_begin(&t->changer, t->o->pin, c))
		return;
	t->ui.changing = true;
	top_say(&t->ui, "%s: %s %s %s ...", c->name, text_mode_name(c->from),
		top_mark(MARK_TO, t->screen.utf8), text_mode_name(c->to));
}

static void change_end(struct top *t, int code)
{
	struct top_change *c = &t->ui.change;
	__u32 id = services_find(&t->live->sample.facts.services, &c->service);
	struct top_ui *ui = &t->ui;

	ui->changing = false;
	t->next_ns = 0; /* shown at once */
	if (code) {
		snprintf(ui->told, sizeof(ui->told), "%s", without_name(t->changer.text));
		ui->ask = ASK_TOLD;
		top_say(ui, "%s: not changed", c->name);
		return;
	}
	ui->before[id].known = id && c->to == SW_MODE_ALWAYS;
	ui->before[id].service = c->service;
	ui->before[id].mode = c->from;
	top_say(ui, "%s: mode %s, was %s", c->name, text_mode_name(c->to), text_mode_name(c->from));
}

static void change_goes_on(struct top *t)
{
	const char *line;
	int code;

	if (top_changer_read(&t->changer, &code)) {
		change_end(t, code);
		return;
	}
	/* such as that it waits for another run */
	line = without_name(t->changer.text);
	if (*line)
		top_say(&t->ui, "%s: %.*s", t->ui.change.name, (int)strcspn(line, "\n"), line);
}

/* The view ends while a change is being made: what became of it? */
static void change_leave(struct top *t)
{
	const struct top_change *c = &t->ui.change;
	struct services set;
	__u32 id;

	if (!t->changer.pid)
		return;
	top_changer_end(&t->changer);
	if (!t->reader.open || mapio_services(&t->reader.guard, &set))
		return;
	id = services_find(&set, &c->service);
	log_note("%s: mode %s, to be changed to %s", c->name,
		 id ? text_mode_name(set.slot[id].mode) : "none", text_mode_name(c->to));
}

/* --- the loop ----------------------------------------------------------------------------- */

/* The last line that was written to stderr goes to the status line. */
static void read_errors(struct top *t)
{
	char text[1024], *line;
	ssize_t len = read(t->screen.errors, text, sizeof(text) - 1);

	if (len <= 0)
		return;
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	line = text;
	top_say(&t->ui, "%s", without_name(line));
}

static void read_keys(struct top *t)
{
	bool was_frozen = t->ui.frozen;
	int key;

	while ((key = getch()) != ERR && !t->ui.quit)
		if (key != KEY_RESIZE)
			top_key(&t->ui, t->shown, &t->live->sample, key);
	if (was_frozen && !t->ui.frozen)
		memcpy(t->shown, t->live, sizeof(*t->shown));
}

static int wait_ms(const struct top *t)
{
	__u64 now = clock_ns(CLOCK_MONOTONIC);

	return t->next_ns > now ? (int)((t->next_ns - now + 999999) / 1000000) : 0;
}

/* What is to be done now; false: quit. */
static bool wait_and_do(struct top *t)
{
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = t->screen.signals, .events = POLLIN },
		{ .fd = t->screen.errors, .events = POLLIN },
		{ .fd = t->changer.pid ? t->changer.errors : -1, .events = POLLIN },
	};

	if (poll(fds, ARRAY_SIZE(fds), wait_ms(t)) < 0 && errno != EINTR)
		return false;
	if (fds[1].revents && !top_screen_signals(&t->screen))
		return false;
	if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		return false; /* the terminal is gone */
	if (fds[2].revents)
		read_errors(t);
	if (fds[3].revents)
		change_goes_on(t);
	if (fds[0].revents)
		read_keys(t);
	if (t->ui.confirmed)
		change_begin(t);
	return !t->ui.quit;
}

static void status_ages(struct top_ui *ui, __u64 now)
{
	if (ui->said[0] && !ui->said_ns)
		ui->said_ns = now;
	if (!ui->changing && ui->said_ns && now - ui->said_ns > SAID_NS)
		ui->said[0] = '\0';
}

static void loop(struct top *t)
{
	do {
		__u64 now = clock_ns(CLOCK_MONOTONIC), step = t->ui.interval_s * NS_PER_S;

		if (t->next_ns > now + step) /* a shorter interval was asked for */
			t->next_ns = now + step;
		if (now >= t->next_ns) {
			take_sample(t);
			/* in step, unless it took too long */
			t->next_ns = now < t->next_ns + step ? t->next_ns + step : now + step;
		}
		status_ages(&t->ui, now);
		top_draw(&t->screen, t->shown, &t->ui);
	} while (wait_and_do(t));
}

static int one_sample(struct top *t)
{
	struct timespec pause = { .tv_sec = t->ui.interval_s };

	take_sample(t);
	if (t->gone)
		return -EIO;
	while (nanosleep(&pause, &pause) && errno == EINTR)
		;
	take_sample(t);
	if (t->gone)
		return log_refuse(-ENOENT, "the guard went away meanwhile");
	top_json(t->live);
	return 0;
}

static int run(struct top *t)
{
	int err;

	/* told as every command tells it; from here on a guard that is not there is waited for */
	err = guard_open(&t->reader.guard, t->o->pin);
	t->reader.open = !err;
	if (!err && t->o->json)
		err = one_sample(t);
	else if (!err)
		err = top_screen_open(&t->screen);
	if (err || t->o->json)
		return err;
	take_sample(t);
	if (t->any)
		loop(t);
	top_screen_close(&t->screen);
	change_leave(t);
	return t->any ? 0 : -EIO;
}

int cmd_top(const struct opts *o, int argc, char **argv)
{
	autofree struct top *t = calloc(1, sizeof(*t));
	autofree struct top_view *views = calloc(2, sizeof(*views));
	autofree struct top_sample *last = calloc(1, sizeof(*last));
	int err = no_arguments("top", argc, argv);

	if (err)
		return err;
	if (!t || !views || !last)
		return exit_code(log_err(-ENOMEM, "make room for samples"));
	t->o = o;
	t->shown = &views[0];
	t->live = &views[1];
	t->last = last;
	t->reader = (struct top_reader){ .guard = GUARD_INIT, .pin = o->pin };
	t->ui.sort = COL_SYNS;
	t->ui.interval_s = o->given & OPT_INTERVAL ? o->interval_s : INTERVAL_DEFAULT;
	t->next_ns = clock_ns(CLOCK_MONOTONIC);
	err = run(t);
	top_read_end(&t->reader);
	return exit_code(err);
}
