/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events as they happen, as server-sent events: a thread for each of the few who follow reads what
 * the daemon's child says and wakes the connection. A reader who does not keep up makes that child
 * wait, which counts what is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/types.h>

#include "control.h"
#include "util.h"
#include "web.h"

#define ALIVE_MS 15000 /* a comment is sent, or nobody would see that the reader has gone */
#define ROOM     8192  /* bytes, of lines on their way */

struct follower {
	pthread_mutex_t lock;
	pthread_cond_t taken;
	unsigned int users; /* the thread, the connection */
	int fd;
	int reader; /* our own descriptor of his connection, -1: none */
	bool probed;
	void *connection;
	bool asleep, ended, closed;
	bool in_line;
	size_t size;
	char data[ROOM];
};

static atomic_uint followers;

static void drop(struct follower *f)
{
	bool last;

	pthread_mutex_lock(&f->lock);
	last = !--f->users;
	pthread_mutex_unlock(&f->lock);
	if (!last)
		return;
	close(f->fd);
	if (f->reader >= 0)
		close(f->reader);
	free(f);
	atomic_fetch_sub(&followers, 1);
}

/* With the lock held: waits for room. */
static void put(struct follower *f, const char *text, size_t len)
{
	while (!f->closed && f->size + len > ROOM)
		pthread_cond_wait(&f->taken, &f->lock);
	if (f->closed)
		return;
	memcpy(f->data + f->size, text, len);
	f->size += len;
	if (f->asleep)
		http_wake(f->connection);
	f->asleep = false;
}

/* "LINE\n" becomes "data: LINE\n\n", whole or in pieces. */
static void put_lines(struct follower *f, const char *text, size_t len)
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t piece = end ? (size_t)(end - text) + 1 : len;

		if (!f->in_line)
			put(f, "data: ", 6);
		put(f, text, piece);
		f->in_line = !end;
		if (end)
			put(f, "\n", 1);
		text += piece;
		len -= piece;
	}
}

/*
 * False: the end. While it sleeps the library does not see a connection end, and each holds one of
 * few places: so it is looked at here. A reader who only says that he asks for nothing more is
 * told apart by a comment, which one who has gone refuses.
 */
static bool pump_once(struct follower *f)
{
	struct pollfd p[] = { { .fd = f->fd, .events = POLLIN },
			      { .fd = f->reader, .events = f->probed ? 0 : POLLRDHUP } };
	char buf[2048];
	int ready = poll(p, ARRAY_SIZE(p), ALIVE_MS);
	ssize_t got = ready > 0 && p[0].revents ? read(f->fd, buf, sizeof(buf)) : 0;

	if (ready < 0 || (p[0].revents && got <= 0) || p[1].revents & (POLLERR | POLLHUP))
		return false;
	pthread_mutex_lock(&f->lock);
	if (got)
		put_lines(f, buf, (size_t)got);
	else if (!f->in_line)
		put(f, ":\n\n", 3);
	pthread_mutex_unlock(&f->lock);
	f->probed = f->probed || p[1].revents;
	return true;
}

static void *pump(void *ctx)
{
	struct follower *f = ctx;

	while (pump_once(f) && !f->closed)
		;
	pthread_mutex_lock(&f->lock);
	f->ended = true;
	if (f->asleep && !f->closed)
		http_wake(f->connection);
	f->asleep = false;
	pthread_mutex_unlock(&f->lock);
	drop(f);
	return NULL;
}

static int start(struct follower *f)
{
	pthread_t thread;
	int err;

	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->taken, NULL);
	f->users = 2;
	/* the head goes out with it, before there is an event */
	f->size = (size_t)snprintf(f->data, ROOM, "retry: 2000\n\n");
	err = pthread_create(&thread, NULL, pump, f);
	if (!err)
		pthread_detach(thread);
	return -err;
}

int follow_open(const char *socket, const struct http_request *r, struct follower **follower,
		char *why, size_t size)
{
	struct follower *f;
	int err = -EAGAIN;

	snprintf(why, size, "busy");
	if (atomic_fetch_add(&followers, 1) >= WEB_FOLLOWERS) {
		atomic_fetch_sub(&followers, 1);
		return -EREMOTEIO;
	}
	f = calloc(1, sizeof(*f));
	if (f) {
		f->connection = r->connection;
		f->reader = r->peer ? fcntl(r->peer->fd, F_DUPFD_CLOEXEC, 0) : -1;
		f->fd = control_ask(socket, "follow", why, size);
		err = f->fd < 0 ? f->fd : start(f);
	}
	if (!err) {
		*follower = f;
		return 0;
	}
	if (f && f->fd >= 0)
		close(f->fd);
	if (f && f->reader >= 0)
		close(f->reader);
	free(f);
	atomic_fetch_sub(&followers, 1);
	return err;
}

long follow_read(struct follower *f, char *buf, size_t size)
{
	long got;

	pthread_mutex_lock(&f->lock);
	got = (long)(f->size < size ? f->size : size);
	memcpy(buf, f->data, (size_t)got);
	f->size -= (size_t)got;
	memmove(f->data, f->data + got, f->size);
	pthread_cond_signal(&f->taken);
	if (!got && f->ended)
		got = -1;
	if (!got) {
		f->asleep = true;
		http_sleep(f->connection);
	}
	pthread_mutex_unlock(&f->lock);
	return got;
}

void follow_close(struct follower *f)
{
	pthread_mutex_lock(&f->lock);
	f->closed = true;
	shutdown(f->fd, SHUT_RDWR);
	pthread_cond_signal(&f->taken);
	pthread_mutex_unlock(&f->lock);
	drop(f);
}
