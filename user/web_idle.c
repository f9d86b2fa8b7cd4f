/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is connected. A library's time limit starts again with each byte, so one byte a second would
 * hold a place for ever; here a request has to come whole in time, an answer to be taken in time,
 * and when it gets crowded the longest idle one goes. A place is given up by shutting the socket
 * down: the library sees the end of it and does the rest.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/types.h>

#include "util.h"
#include "web.h"

#define SECOND_NS 1000000000ULL

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct peer list[PEER_LEAVES + 1]; /* heads of rings */
static unsigned int count;

static struct peer *head_of(enum peer_does does)
{
	struct peer *head = &list[does];

	if (!head->next)
		head->next = head->prev = head;
	return head;
}

static void unlink_peer(struct peer *p)
{
	p->prev->next = p->next;
	p->next->prev = p->prev;
}

static void append(struct peer *p, enum peer_does does)
{
	struct peer *head = head_of(does);

	p->does = does;
	p->since_ns = clock_ns(CLOCK_MONOTONIC);
	p->next = head;
	p->prev = head->prev;
	head->prev->next = p;
	head->prev = p;
}

static void send_away(struct peer *p)
{
	shutdown(p->fd, SHUT_RDWR);
	unlink_peer(p);
	append(p, PEER_LEAVES);
}

struct peer *peer_new(int fd)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->fd = fd;
	pthread_mutex_lock(&lock);
	if (++count > WEB_CROWDED && head_of(PEER_IDLE)->next != head_of(PEER_IDLE))
		send_away(head_of(PEER_IDLE)->next);
	append(p, PEER_IDLE);
	pthread_mutex_unlock(&lock);
	return p;
}

void peer_now(struct peer *p, enum peer_does does)
{
	pthread_mutex_lock(&lock);
	if (p->does != PEER_LEAVES) {
		unlink_peer(p);
		append(p, does);
	}
	pthread_mutex_unlock(&lock);
}

void peer_gone(struct peer *p)
{
	pthread_mutex_lock(&lock);
	unlink_peer(p);
	count--;
	pthread_mutex_unlock(&lock);
	free(p);
}

static void end_older(enum peer_does does, __u64 seconds)
{
	struct peer *head = head_of(does);
	__u64 now = clock_ns(CLOCK_MONOTONIC);

	while (head->next != head && now - head->next->since_ns > seconds * SECOND_NS)
		send_away(head->next);
}

void peers_tick(void)
{
	pthread_mutex_lock(&lock);
	end_older(PEER_IDLE, WEB_HEAD_S);
	end_older(PEER_BUSY, WEB_TAKE_S);
	pthread_mutex_unlock(&lock);
}
