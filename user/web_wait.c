/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The few threads that wait for the daemon, and the requests that wait for one of them. */
#include <errno.h>
#include <pthread.h>

#include <linux/types.h>

#include "util.h"
#include "web.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct http_request *first, **last;
	unsigned int count;
} queue = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &queue.first, 0 };

static struct http_request *take_first(void)
{
	struct http_request *r;

	pthread_mutex_lock(&queue.lock);
	while (!queue.first)
		pthread_cond_wait(&queue.more, &queue.lock);
	r = queue.first;
	queue.first = r->next;
	if (!queue.first)
		queue.last = &queue.first;
	queue.count--;
	pthread_mutex_unlock(&queue.lock);
	return r;
}

static void *work(void *unused)
{
	(void)unused;
	for (;;) {
		struct http_request *r = take_first();
		void *connection = r->connection;

		r->work(r);
		r->done = true;
		http_wake(connection); /* and r is no longer ours */
	}
	return NULL;
}

int waiting_begin(void)
{
	for (unsigned int i = 0; i < WEB_ASKERS; i++) {
		pthread_t thread;
		int err = pthread_create(&thread, NULL, work, NULL);

		if (err)
			return log_err(-err, "start a thread");
		pthread_detach(thread);
	}
	return 0;
}

bool waiting_add(struct http_request *r)
{
	bool room;

	pthread_mutex_lock(&queue.lock);
	room = queue.count < WEB_QUEUE;
	if (room) {
		http_sleep(r->connection);
		r->next = NULL;
		*queue.last = r;
		queue.last = &r->next;
		queue.count++;
		pthread_cond_signal(&queue.more);
	}
	pthread_mutex_unlock(&queue.lock);
	return room;
}
