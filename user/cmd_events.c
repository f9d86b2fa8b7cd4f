/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events: from the daemon, which reads the ring buffer for everyone; without one from the ring
 * itself. Each event goes to one reader of that: two that run at once share it between them.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "cmd.h"
#include "control.h"
#include "events.h"
#include "only_one.h"
#include "util.h"

struct reader {
	struct event_names names;
	bool json;
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static int on_event(void *ctx, void *data, size_t size)
{
	struct reader *reader = ctx;
	struct record r;

	if (!record_of_event(&r, data, size))
		return 0;
	record_write(stdout, reader->json, &reader->names, &r);
	/* a closed pipe ends the reading */
	return ferror(stdout) ? -EPIPE : 0;
}

static int follow(struct ring_buffer *ring)
{
	int got;

	do {
		got = ring_buffer__poll(ring, 200);
		if (got > 0)
			fflush(stdout);
	} while (!stop && (got >= 0 || got == -EINTR));
	return stop || got == -EPIPE ? 0 : log_err(got, "wait for events");
}

static int from_ring(const struct opts *o)
{
	autoguard struct guard g = GUARD_INIT;
	struct reader r = { .names.g = &g, .json = o->json };
	struct ring_buffer *ring;
	int err;

	if (guard_open(&g, o->pin))
		return EXIT_FAILURE;
	if (only_one_runs(&g)) {
		/* what was read here it would not see, nor tell the journal */
		log_refuse(-EBUSY, "a daemon reads the events of %s, and cannot be asked here",
			   g.dir);
		log_hint("--socket PATH, as it was started with");
		return EXIT_FAILURE;
	}
	ring = ring_buffer__new(g.map[MAP_EVENTS], on_event, &r, NULL);
	if (!ring) {
		log_err(-errno, "open the event ring");
		return EXIT_FAILURE;
	}
	err = ring_buffer__consume(ring);
	fflush(stdout);
	if (err < 0 && err != -EPIPE)
		log_err(err, "read events");
	else if (o->given & OPT_FOLLOW && err >= 0)
		err = follow(ring);
	ring_buffer__free(ring);
	return exit_code(err);
}

/* Whole lines: of one that is still on its way the rest is waited for. */
static size_t print_lines(char *text, size_t size, size_t room)
{
	const char *end = memrchr(text, '\n', size);
	size_t whole = end ? (size_t)(end - text) + 1 : 0;

	if (size == room)
		whole = size; /* none is that long */
	fwrite(text, 1, whole, stdout);
	fflush(stdout);
	memmove(text, text + whole, size - whole);
	return size - whole;
}

/* Lines as the daemon writes them. A daemon that ends is the end of following, and is said. */
static int follow_daemon(int fd)
{
	char text[8192];
	size_t held = 0;
	ssize_t got = 0;

	while (!stop && !ferror(stdout)) {
		got = read(fd, text + held, sizeof(text) - held);
		/* nothing happened for as long as an answer may take */
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got <= 0)
			break;
		held = print_lines(text, held + (size_t)got, sizeof(text));
	}
	if (stop || ferror(stdout))
		return 0;
	return exit_code(got ? log_err(-errno, "read events") :
			       log_refuse(-EPIPE, "the daemon has ended"));
}

/* All of them before the first is shown: the daemon does not wait for a pager. */
static int print_recent(int fd)
{
	autofree char *all = NULL;
	char text[8192];
	size_t size;
	FILE *copy = open_memstream(&all, &size);
	ssize_t got = copy ? 1 : -1;

	while (got > 0 && (got = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)got, copy);
	if (got < 0)
		log_err(-errno, "read events");
	if (!copy || fclose(copy) || got < 0)
		return EXIT_FAILURE;
	fwrite(all, 1, size, stdout);
	return 0;
}

int cmd_events(const struct opts *o, int argc, char **argv)
{
	static const char *const questions[] = { "recent-text", "recent", "follow-text", "follow" };
	struct sigaction end = { .sa_handler = on_signal };
	char path[CONTROL_PATH], why[CONTROL_QUESTION];
	autoclose int fd = -1;
	int err = no_arguments("events", argc, argv);

	if (err)
		return err;
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	fd = control_ask(control_path(o->socket, o->pin, path),
			 questions[!!(o->given & OPT_FOLLOW) << 1 | o->json], why, sizeof(why));
	if (fd >= 0)
		return o->given & OPT_FOLLOW ? follow_daemon(fd) : print_recent(fd);
	if (fd == -EREMOTEIO)
		return exit_code(log_refuse(fd, "the daemon says: %s", why));
	if (o->socket || (fd != -ENOENT && fd != -ECONNREFUSED && fd != -ENAMETOOLONG))
		return exit_code(log_err(fd, "ask the daemon at %s", o->socket ? o->socket : path));
	return from_ring(o);
}
