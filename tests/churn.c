// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * churn: TCP connections opened and ended as fast as the machine allows, from a range of ports
 * of one address, again and again; and the server for them. How each ends is asked for by its
 * first byte, so client and server agree. Not here: a steady pace (paced.c).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS        256
#define MAX_AT_A_TIME 4096
#define SLOW_NS       900000000ULL /* a second SYN was needed */

struct client {
	uint64_t start_ns;
	int fd; /* -1: none */
	char how;
	bool connected;
	bool answered;
};

struct options {
	struct sockaddr_storage to;
	socklen_t to_len;
	uint16_t port, port_first, port_last;
	const char *dst;
	const char *pattern;
	uint64_t count, timeout_ns;
	double seconds;
	int listen_port;
	unsigned int at_a_time, programs;
};

struct run {
	const struct options *o;
	struct client client[MAX_AT_A_TIME];
	uint64_t begun, ok, refused, reset, timeout, other, busy, slow, longest_ns;
	unsigned int open, held;
	uint16_t port;
	int epoll;
};

static volatile sig_atomic_t stopped;

static const char usage_text[] =
	"usage: churn --listen PORT [--programs N]\n"
	"       churn --dst ADDR --port N [--pattern LETTERS] [--ports FIRST-LAST]\n"
	"             [--count N | --seconds S] [--parallel N] [--timeout MS]\n"
	"LETTERS, in turn: c the client closes first, s the server does, r the client resets,\n"
	"R the server resets, n the client resets before it has said anything, h the client says\n"
	"nothing and stays: until a signal, behind the figures.\n"
	"The server answers whatever it is sent as HTTP 200; to an 'r', 'c' it waits for the end.\n";

static __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "churn: %s: %s\n", what, strerror(errno));
	exit(1);
}

static __attribute__((noreturn)) void bad_usage(void)
{
	fputs(usage_text, stderr);
	exit(2);
}

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

static void close_hard(int fd)
{
	const struct linger none = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(fd);
}

/* --- server ------------------------------------------------------------------------------- */

/* With no descriptor left the others may go on. */
static void take_all(int epoll, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			close(fd);
	}
	if (errno == EMFILE)
		epoll_ctl(epoll, EPOLL_CTL_DEL, listener, NULL);
}

static void answer(int fd)
{
	static const char page[] = "HTTP/1.0 200 OK\r\n\r\nalive\n";
	char said[4096];
	ssize_t got = recv(fd, said, sizeof(said), 0);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		close(fd);
		return;
	}
	if (*said == 'R') {
		close_hard(fd);
		return;
	}
	if (send(fd, page, sizeof(page) - 1, MSG_NOSIGNAL) < 0 || (*said != 'c' && *said != 'r'))
		close(fd);
}

static int listen_at(int port)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, zero = 0;

	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 4096))
		die("listen");
	return listener;
}

static int serve(const struct options *o)
{
	int listener = listen_at(o->listen_port), epoll;
	struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listener };
	struct epoll_event events[EVENTS];

	puts("ready");
	fflush(stdout);
	for (unsigned int i = 1; i < o->programs; i++)
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			break;
		}
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
		die("epoll");
	while (!stopped) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				take_all(epoll, listener);
			else
				answer(events[i].data.fd);
		}
	}
	return 0;
}

/* --- client ------------------------------------------------------------------------------- */

static void finish(struct run *run, struct client *c, uint64_t *outcome)
{
	uint64_t took = now_ns() - c->start_ns;

	(*outcome)++;
	if (took > SLOW_NS)
		run->slow++;
	if (took > run->longest_ns)
		run->longest_ns = took;
	if (c->how == 'r' || c->how == 'n' || outcome != &run->ok)
		close_hard(c->fd);
	else
		close(c->fd);
	c->fd = -1;
	run->open--;
}

static uint64_t *outcome_of(struct run *run, const struct client *c, int err)
{
	switch (err) {
	case ECONNREFUSED:
		return &run->refused;
	case ECONNRESET:
	case EPIPE:
		return c->how == 'R' && c->connected ? &run->ok : &run->reset;
	case ETIMEDOUT:
		return &run->timeout;
	default:
		return &run->other;
	}
}

static int bind_next(struct run *run, int fd)
{
	struct sockaddr_storage from = { .ss_family = run->o->to.ss_family };
	int one = 1;

	if (!run->o->port_first)
		return 0;
	if (run->port < run->o->port_first || run->port > run->o->port_last)
		run->port = run->o->port_first;
	/* the port is at the same place in both families */
	((struct sockaddr_in *)&from)->sin_port = htons(run->port++);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&from, run->o->to_len);
}

/* False: the port was not to be had. */
static bool begin(struct run *run, struct client *c)
{
	const struct options *o = run->o;
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = c };
	int fd = socket(o->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	if (bind_next(run, fd) ||
	    (connect(fd, (const struct sockaddr *)&o->to, o->to_len) && errno != EINPROGRESS)) {
		if (errno != EADDRNOTAVAIL && errno != EADDRINUSE)
			die("connect");
		run->busy++;
		close(fd);
		return false;
	}
	if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll");
	*c = (struct client){
		.start_ns = now_ns(),
		.fd = fd,
		.how = o->pattern[run->begun % strlen(o->pattern)],
	};
	run->begun++;
	run->open++;
	return true;
}

static void keep(struct run *run, struct client *c)
{
	epoll_ctl(run->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	c->fd = -1;
	run->open--;
	run->held++;
	run->ok++;
}

static void on_connected(struct run *run, struct client *c)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	socklen_t len = sizeof(int);
	int err = 0;

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		finish(run, c, outcome_of(run, c, err));
		return;
	}
	c->connected = true;
	if (c->how == 'h')
		keep(run, c);
	else if (c->how == 'n')
		finish(run, c, &run->ok);
	else if (send(c->fd, &c->how, 1, MSG_NOSIGNAL) != 1 ||
		 epoll_ctl(run->epoll, EPOLL_CTL_MOD, c->fd, &event))
		finish(run, c, outcome_of(run, c, errno));
}

static void on_readable(struct run *run, struct client *c)
{
	char reply[256];
	ssize_t got = recv(c->fd, reply, sizeof(reply), 0);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got < 0) {
		finish(run, c, outcome_of(run, c, errno));
		return;
	}
	c->answered |= got > 0;
	if (got == 0 || c->how != 's')
		finish(run, c, c->answered && c->how != 'R' ? &run->ok : &run->other);
}

static void drop_late(struct run *run)
{
	uint64_t now = now_ns();

	for (unsigned int i = 0; i < run->o->at_a_time; i++)
		if (run->client[i].fd >= 0 && now - run->client[i].start_ns > run->o->timeout_ns)
			finish(run, &run->client[i], &run->timeout);
}

static void take_events(struct run *run)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(run->epoll, events, EVENTS, 10);

	for (int i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		if (c->fd < 0)
			continue;
		if (c->connected)
			on_readable(run, c);
		else
			on_connected(run, c);
	}
}

static bool is_wanted(const struct run *run, uint64_t end_ns)
{
	return !stopped && (run->o->count ? run->begun < run->o->count : now_ns() < end_ns);
}

static void go(struct run *run)
{
	uint64_t end_ns = now_ns() + (uint64_t)(run->o->seconds * 1e9), looked_ns = now_ns();
	bool more = true;

	for (unsigned int i = 0; i < MAX_AT_A_TIME; i++)
		run->client[i].fd = -1;
	while (more || run->open) {
		more = more && is_wanted(run, end_ns);
		/* a port that is taken ends the turn: its connection may have to end first */
		for (unsigned int i = 0; more && i < run->o->at_a_time; i++)
			if (run->client[i].fd < 0 &&
			    (!begin(run, &run->client[i]) || !is_wanted(run, end_ns)))
				break;
		take_events(run);
		if (now_ns() - looked_ns > 100000000) {
			drop_late(run);
			looked_ns = now_ns();
		}
	}
}

/* --- options ------------------------------------------------------------------------------ */

static unsigned long number(const char *text, unsigned long low, unsigned long high, char end)
{
	char *rest;
	unsigned long value = strtoul(text, &rest, 10);

	if (rest == text || *rest != end || value < low || value > high)
		bad_usage();
	return value;
}

static void parse_ports(const char *text, struct options *o)
{
	const char *dash = strchr(text, '-');

	if (!dash)
		bad_usage();
	o->port_first = number(text, 1, 65534, '-');
	o->port_last = number(dash + 1, o->port_first, 65534, '\0');
}

static void parse_address(struct options *o)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&o->to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&o->to;

	if (inet_pton(AF_INET, o->dst, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(o->port);
		o->to_len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, o->dst, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(o->port);
		o->to_len = sizeof(*v6);
	} else {
		bad_usage();
	}
}

static void parse_args(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "listen", 1, 0, 'l' },
		{ "dst", 1, 0, 'a' },
		{ "port", 1, 0, 'p' },
		{ "pattern", 1, 0, 'P' },
		{ "ports", 1, 0, 'r' },
		{ "count", 1, 0, 'n' },
		{ "seconds", 1, 0, 's' },
		{ "parallel", 1, 0, 'j' },
		{ "timeout", 1, 0, 't' },
		{ "programs", 1, 0, 'm' },
		{ 0 },
	};
	int c;

	/* clang-format off */
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'l': o->listen_port = number(optarg, 1, 65535, '\0'); break;
		case 'a': o->dst = optarg; break;
		case 'p': o->port = number(optarg, 1, 65535, '\0'); break;
		case 'P': o->pattern = optarg; break;
		case 'r': parse_ports(optarg, o); break;
		case 'n': o->count = number(optarg, 1, 1000000000, '\0'); break;
		case 's': o->seconds = number(optarg, 1, 86400, '\0'); break;
		case 'j': o->at_a_time = number(optarg, 1, MAX_AT_A_TIME, '\0'); break;
		case 't': o->timeout_ns = number(optarg, 1, 1000000, '\0') * 1000000; break;
		case 'm': o->programs = number(optarg, 1, 1000, '\0'); break;
		default: bad_usage();
		}
	}
	/* clang-format on */
	if (optind != argc || !*o->pattern || strspn(o->pattern, "csrRnh") != strlen(o->pattern) ||
	    (!o->listen_port && (!o->dst || !o->port)))
		bad_usage();
	if (o->dst)
		parse_address(o);
}

int main(int argc, char **argv)
{
	struct options o = {
		.pattern = "c", .seconds = 1, .at_a_time = 64, .timeout_ns = 5000000000
	};
	struct sigaction action = { .sa_handler = on_signal };
	static struct run run;
	uint64_t start;
	double took;

	parse_args(argc, argv, &o);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (o.listen_port)
		return serve(&o);
	run.o = &o;
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (run.epoll < 0)
		die("epoll");
	start = now_ns();
	go(&run);
	took = (now_ns() - start) / 1e9;
	printf("{\"tried\":%lu,\"ok\":%lu,\"refused\":%lu,\"reset\":%lu,\"timeout\":%lu,"
	       "\"other\":%lu,\"busy\":%lu,\"slow\":%lu,\"longest_ms\":%.1f,\"seconds\":%.3f,"
	       "\"rate\":%.0f}\n",
	       run.begun, run.ok, run.refused, run.reset, run.timeout, run.other, run.busy,
	       run.slow, run.longest_ns / 1e6, took, run.begun / took);
	fflush(stdout);
	while (run.held && !stopped)
		usleep(100000); /* pause() would sleep through a signal just before it */
	return stopped && !run.held ? 130 : 0;
}
