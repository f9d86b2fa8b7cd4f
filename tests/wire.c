// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * wire: a long wire between two devices of one network namespace, in user space, for kernels
 * without netem: delay, loss, duplicates, reordering and a bottleneck, the same both ways.
 * Offloads (large segments, partial checksums) cross it as they are.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* ppoll */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX    (sizeof(struct virtio_net_hdr) + 66000)
#define SOCKET_BYTES (64 << 20)
#define SEGMENT_GAP  24 /* preamble, gap and checksum on a real wire, per frame */

struct frame {
	struct frame *next;
	uint64_t due_ns;
	size_t len;
	unsigned char bytes[];
};

struct way {
	int from, to; /* sockets */
	struct frame *head, **tail;
	uint64_t free_ns; /* when the bottleneck has sent all before */
	uint64_t in, lost, full, out, refused;
};

struct options {
	const char *dev[2];
	uint64_t delay_ns;
	uint64_t queue_ns;
	double mbit;
	double loss, dup, reorder; /* 0..1 */
};

static volatile sig_atomic_t stopped;
static uint64_t random_state = 88172645463325252ULL;

static const char usage_text[] =
	"usage: wire --a DEV --b DEV [--delay MS] [--loss %] [--dup %] [--reorder %]\n"
	"            [--mbit RATE [--queue MS]] [--seed N]\n"
	"Delay is one way. Reordered frames skip the delay. Runs until a signal ends it.\n";

static __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
	exit(1);
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

static bool chance(double share)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) * 0x1.0p-53 < share;
}

static int open_device(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, bytes = SOCKET_BYTES;

	if (fd < 0)
		die("packet socket");
	at.sll_ifindex = if_nametoindex(name);
	if (!at.sll_ifindex)
		die(name);
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die(name);
	return fd;
}

static void send_frame(struct way *way, const unsigned char *bytes, size_t len)
{
	if (send(way->to, bytes, len, 0) == (ssize_t)len)
		way->out++;
	else
		way->refused++;
}

/* A large segment takes the time of the frames it stands for. */
static uint64_t time_on_wire(const struct options *o, const unsigned char *bytes, size_t len)
{
	const struct virtio_net_hdr *vnet = (const void *)bytes;
	size_t frames = vnet->gso_size ? (len + vnet->gso_size - 1) / vnet->gso_size : 1;

	return (len + frames * SEGMENT_GAP) * 8000 / o->mbit;
}

static void queue_frame(struct way *way, const struct options *o, const unsigned char *bytes,
			size_t len)
{
	uint64_t now = now_ns(), start = now;
	struct frame *frame;

	if (o->mbit > 0) {
		if (way->free_ns > start)
			start = way->free_ns;
		if (start - now > o->queue_ns) {
			way->full++;
			return;
		}
		start += time_on_wire(o, bytes, len);
		way->free_ns = start;
	}
	frame = malloc(sizeof(*frame) + len);
	if (!frame)
		die("memory");
	frame->next = NULL;
	frame->due_ns = start + o->delay_ns;
	frame->len = len;
	memcpy(frame->bytes, bytes, len);
	*way->tail = frame;
	way->tail = &frame->next;
}

static void take_in(struct way *way, const struct options *o)
{
	static unsigned char bytes[FRAME_MAX];
	ssize_t len;
	int budget;

	for (budget = 256; budget; budget--) {
		len = recv(way->from, bytes, sizeof(bytes), 0);
		if (len <= (ssize_t)sizeof(struct virtio_net_hdr))
			return;
		way->in++;
		if (chance(o->loss)) {
			way->lost++;
			continue;
		}
		if (chance(o->reorder))
			send_frame(way, bytes, len);
		else
			queue_frame(way, o, bytes, len);
		if (chance(o->dup))
			queue_frame(way, o, bytes, len);
	}
}

static void let_out(struct way *way)
{
	struct frame *frame;

	while ((frame = way->head) && frame->due_ns <= now_ns()) {
		way->head = frame->next;
		if (!way->head)
			way->tail = &way->head;
		send_frame(way, frame->bytes, frame->len);
		free(frame);
	}
}

static void run(struct way *ways, const struct options *o)
{
	struct pollfd fds[2] = { { .fd = ways[0].from, .events = POLLIN },
				 { .fd = ways[1].from, .events = POLLIN } };
	int i;

	while (!stopped) {
		uint64_t now = now_ns(), due = now + 1000000000ULL;
		struct timespec wait;

		for (i = 0; i < 2; i++)
			if (ways[i].head && ways[i].head->due_ns < due)
				due = ways[i].head->due_ns;
		due = due > now ? due - now : 0;
		wait.tv_sec = due / 1000000000;
		wait.tv_nsec = due % 1000000000;
		if (ppoll(fds, 2, &wait, NULL) < 0 && errno != EINTR)
			die("poll");
		for (i = 0; i < 2; i++) {
			take_in(&ways[i], o);
			let_out(&ways[i]);
		}
	}
}

static double number(const char *text, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0) || value > max) {
		fprintf(stderr, "wire: '%s' is not a number up to %g\n", text, max);
		exit(2);
	}
	return value;
}

static void parse_args(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "a", 1, 0, 'a' },     { "b", 1, 0, 'b' },
		{ "delay", 1, 0, 'd' }, { "loss", 1, 0, 'l' },
		{ "dup", 1, 0, 'D' },   { "reorder", 1, 0, 'r' },
		{ "mbit", 1, 0, 'm' },  { "queue", 1, 0, 'q' },
		{ "seed", 1, 0, 's' },  { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'a':
			o->dev[0] = optarg;
			break;
		case 'b':
			o->dev[1] = optarg;
			break;
		case 'd':
			o->delay_ns = number(optarg, 600000) * 1e6;
			break;
		case 'l':
			o->loss = number(optarg, 100) / 100;
			break;
		case 'D':
			o->dup = number(optarg, 100) / 100;
			break;
		case 'r':
			o->reorder = number(optarg, 100) / 100;
			break;
		case 'm':
			o->mbit = number(optarg, 1e6);
			break;
		case 'q':
			o->queue_ns = number(optarg, 600000) * 1e6;
			break;
		case 's':
			random_state ^= (uint64_t)(number(optarg, 1e9) + 1) << 20;
			break;
		default:
			fputs(usage_text, stderr);
			exit(2);
		}
	}
	if (optind != argc || !o->dev[0] || !o->dev[1]) {
		fputs(usage_text, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct options o = { .queue_ns = 100000000 };
	struct way ways[2] = {};
	int fd[2], i;

	parse_args(argc, argv, &o);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	for (i = 0; i < 2; i++)
		fd[i] = open_device(o.dev[i]);
	for (i = 0; i < 2; i++) {
		ways[i].from = fd[i];
		ways[i].to = fd[!i];
		ways[i].tail = &ways[i].head;
	}
	puts("ready");
	fflush(stdout);
	run(ways, &o);
	printf("{\"a_to_b\":{\"in\":%lu,\"lost\":%lu,\"full\":%lu,\"out\":%lu,\"refused\":%lu},"
	       "\"b_to_a\":{\"in\":%lu,\"lost\":%lu,\"full\":%lu,\"out\":%lu,\"refused\":%lu}}\n",
	       ways[0].in, ways[0].lost, ways[0].full, ways[0].out, ways[0].refused, ways[1].in,
	       ways[1].lost, ways[1].full, ways[1].out, ways[1].refused);
	return 0;
}
