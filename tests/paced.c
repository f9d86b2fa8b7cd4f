// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * paced: HTTP clients that come at a steady pace, one connection each: connect, GET, reply,
 * close. Tells how many succeeded and how long they took. A client's lateness never delays
 * the next one, so a slow server is not measured less often.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* SOCK_NONBLOCK */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_TRIES 1000000

struct client {
	uint64_t start_ns;
	int fd;
	bool connected;
	bool answered;
};

struct options {
	struct sockaddr_storage to;
	socklen_t to_len;
	uint16_t port;
	double rate, seconds;
	uint64_t timeout_ns;
};

struct run {
	struct client *clients;
	uint64_t *took_ns;
	size_t tried, done, oldest;
	size_t ok, refused, reset, timeout, other;
	int epoll;
};

static volatile sig_atomic_t stopped;

static const char usage_text[] =
	"usage: paced --dst ADDR --port N [--rate PER-SECOND] [--seconds S] [--timeout MS]\n";

static const char request[] = "GET / HTTP/1.0\r\nHost: guarded\r\n\r\n";

static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void finish(struct run *run, struct client *client, size_t *outcome)
{
	if (outcome == &run->ok)
		run->took_ns[run->ok] = now_ns() - client->start_ns;
	(*outcome)++;
	run->done++;
	close(client->fd);
	client->fd = -1;
}

static size_t *outcome_of(struct run *run, int err)
{
	switch (err) {
	case ECONNREFUSED:
		return &run->refused;
	case ECONNRESET:
		return &run->reset;
	case ETIMEDOUT:
		return &run->timeout;
	default:
		return &run->other;
	}
}

static void begin(struct run *run, const struct options *o)
{
	struct client *client = &run->clients[run->tried++];
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = client };

	client->start_ns = now_ns();
	client->fd = socket(o->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0 ||
	    (connect(client->fd, (const struct sockaddr *)&o->to, o->to_len) &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(run->epoll, EPOLL_CTL_ADD, client->fd, &event))
		finish(run, client, outcome_of(run, errno));
}

static void on_connected(struct run *run, struct client *client)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
	int err = 0;
	socklen_t len = sizeof(err);

	getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (!err && send(client->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		err = errno;
	if (!err && epoll_ctl(run->epoll, EPOLL_CTL_MOD, client->fd, &event))
		err = errno;
	client->connected = true;
	if (err)
		finish(run, client, outcome_of(run, err));
}

/* A reply is whole when the server closes after a 200. */
static void on_readable(struct run *run, struct client *client)
{
	char reply[4096];
	ssize_t got = recv(client->fd, reply, sizeof(reply), 0);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got < 0) {
		finish(run, client, outcome_of(run, errno));
	} else if (got == 0) {
		finish(run, client, client->answered ? &run->ok : &run->other);
	} else if (!client->answered) {
		client->answered = got > 12 && !memcmp(reply + 8, " 200", 4);
		if (!client->answered)
			finish(run, client, &run->other);
	}
}

/* Clients start in order, so the oldest that is left is the first to time out. */
static void drop_late(struct run *run, const struct options *o)
{
	uint64_t now = now_ns();

	for (; run->oldest < run->tried; run->oldest++) {
		struct client *client = &run->clients[run->oldest];

		if (client->fd < 0)
			continue;
		if (now - client->start_ns < o->timeout_ns)
			break;
		finish(run, client, &run->timeout);
	}
}

static void serve_events(struct run *run, uint64_t until_ns)
{
	struct epoll_event events[64];
	uint64_t now = now_ns();
	struct timespec wait = {};
	int n, i;

	if (until_ns > now)
		wait.tv_nsec = until_ns - now > 10000000 ? 10000000 : until_ns - now;
	n = epoll_pwait2(run->epoll, events, 64, &wait, NULL);
	for (i = 0; i < n; i++) {
		struct client *client = events[i].data.ptr;

		if (client->fd < 0)
			continue;
		if (client->connected)
			on_readable(run, client);
		else
			on_connected(run, client);
	}
}

static void go(struct run *run, const struct options *o)
{
	uint64_t begin_ns = now_ns(), next_ns = begin_ns, gap_ns = 1e9 / o->rate;
	uint64_t end_ns = begin_ns + (uint64_t)(o->seconds * 1e9);

	while (!stopped) {
		uint64_t now = now_ns();

		for (; next_ns <= now && next_ns < end_ns; next_ns += gap_ns)
			begin(run, o);
		if (next_ns >= end_ns && run->done == run->tried)
			break;
		serve_events(run, next_ns < end_ns ? next_ns : now + 10000000);
		drop_late(run, o);
	}
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile_ms(const struct run *run, double share)
{
	if (!run->ok)
		return 0;
	return run->took_ns[(size_t)((run->ok - 1) * share)] / 1e6;
}

static double number(const char *text, double low, double high)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= low) || value > high) {
		fprintf(stderr, "paced: '%s' is not a number from %g to %g\n", text, low, high);
		exit(2);
	}
	return value;
}

static void parse_address(const char *text, struct options *o)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&o->to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&o->to;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(o->port);
		o->to_len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(o->port);
		o->to_len = sizeof(*v6);
	} else {
		fprintf(stderr, "paced: '%s' is not an address\n", text);
		exit(2);
	}
}

static void parse_args(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "dst", 1, 0, 'a' },     { "port", 1, 0, 'p' },    { "rate", 1, 0, 'r' },
		{ "seconds", 1, 0, 's' }, { "timeout", 1, 0, 't' }, { 0 },
	};
	const char *dst = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'a':
			dst = optarg;
			break;
		case 'p':
			o->port = number(optarg, 1, 65535);
			break;
		case 'r':
			o->rate = number(optarg, 0.1, 1e5);
			break;
		case 's':
			o->seconds = number(optarg, 0, 3600);
			break;
		case 't':
			o->timeout_ns = number(optarg, 1, 1e6) * 1e6;
			break;
		default:
			fputs(usage_text, stderr);
			exit(2);
		}
	}
	if (optind != argc || !dst || !o->port || o->rate * o->seconds > MAX_TRIES - 1) {
		fputs(usage_text, stderr);
		exit(2);
	}
	parse_address(dst, o);
}

int main(int argc, char **argv)
{
	struct options o = { .rate = 200, .seconds = 1, .timeout_ns = 2000000000 };
	struct sigaction action = { .sa_handler = on_signal };
	struct run run = {};

	parse_args(argc, argv, &o);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	run.clients = calloc(MAX_TRIES, sizeof(*run.clients));
	run.took_ns = calloc(MAX_TRIES, sizeof(*run.took_ns));
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!run.clients || !run.took_ns || run.epoll < 0) {
		perror("paced");
		return 1;
	}
	go(&run, &o);
	qsort(run.took_ns, run.ok, sizeof(*run.took_ns), by_size);
	printf("{\"tried\":%zu,\"ok\":%zu,\"refused\":%zu,\"reset\":%zu,\"timeout\":%zu,"
	       "\"other\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
	       run.tried, run.ok, run.refused, run.reset, run.timeout, run.other,
	       percentile_ms(&run, 0.5), percentile_ms(&run, 0.99), percentile_ms(&run, 1));
	return stopped ? 130 : 0;
}
