/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers of the daemon. Each is read whole at once, so that a client who takes his time holds our
 * memory and not one of the daemon's few children; and whoever asks the same within WEB_FRESH_MS
 * gets the same, so that a crowd of viewers costs the daemon no more than one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/types.h>

#include "control.h"
#include "util.h"
#include "web.h"

#define KEPT 16 /* answers that may be shared */
/* Of the threads that ask so many may be about connections: each walks a table of millions. */
#define WALKS 2

static const char *daemon_socket;
static atomic_size_t held; /* bytes of all answers */
static atomic_uint walking;

static struct kept {
	char question[CONTROL_QUESTION];
	__u64 until_ns;
	bool asking; /* a thread is about it, others wait */
	struct answer *answer;
} kept[KEPT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;

void ask_begin(const char *socket)
{
	daemon_socket = socket;
}

void answer_drop(struct answer *a)
{
	if (!a || atomic_fetch_sub(&a->users, 1) != 1)
		return;
	atomic_fetch_sub(&held, a->size);
	free(a->data);
	free(a);
}

void answer_adopt(struct answer *a)
{
	atomic_fetch_add(&held, a->size);
}

static int grow(struct answer *a, size_t *room)
{
	size_t want = *room ? *room * 2 : 16384;
	char *data;

	if (want > WEB_ANSWER || atomic_load(&held) + want > WEB_ANSWERS)
		return -EFBIG;
	data = realloc(a->data, want);
	if (!data)
		return -ENOMEM;
	a->data = data;
	*room = want;
	return 0;
}

static int read_all(struct answer *a, int fd)
{
	size_t room = 0;

	for (;;) {
		ssize_t got;
		int err = a->size == room ? grow(a, &room) : 0;

		if (err)
			return err;
		got = read(fd, a->data + a->size, room - a->size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : 0;
		a->size += (size_t)got;
		atomic_fetch_add(&held, (size_t)got);
	}
}

static struct answer *ask_now(const char *question)
{
	struct answer *a = calloc(1, sizeof(*a));
	bool walks = !strncmp(question, "conns", 5);
	autoclose int fd = -1;

	if (!a)
		return NULL;
	a->users = 1;
	if (walks && atomic_fetch_add(&walking, 1) >= WALKS) {
		a->err = -EREMOTEIO;
		snprintf(a->why, sizeof(a->why), "busy: others ask about connections");
	} else {
		fd = control_ask(daemon_socket, question, a->why, sizeof(a->why));
		a->err = fd < 0 ? fd : read_all(a, fd);
	}
	if (walks)
		atomic_fetch_sub(&walking, 1);
	return a;
}

/* A place for the question: its own, or the one that is stale longest. NULL: all are in use. */
static struct kept *place_for(const char *question)
{
	struct kept *best = NULL;

	for (size_t i = 0; i < KEPT; i++) {
		if (!strcmp(kept[i].question, question))
			return &kept[i];
		if (!kept[i].asking && (!best || kept[i].until_ns < best->until_ns))
			best = &kept[i];
	}
	return best;
}

/* With the lock held. */
static struct answer *share(struct kept *k)
{
	atomic_fetch_add(&k->answer->users, 1);
	return k->answer;
}

static void keep(struct kept *k, struct answer *a)
{
	pthread_mutex_lock(&lock);
	k->asking = false;
	k->answer = a;
	k->until_ns = 0;
	if (a) {
		share(k);
		/* not what went wrong: it may be mended */
		k->until_ns = a->err ? 0 : clock_ns(CLOCK_MONOTONIC) + WEB_FRESH_MS * 1000000ULL;
	}
	pthread_cond_broadcast(&answered);
	pthread_mutex_unlock(&lock);
}

/* The answer that is there, or NULL and a place to be filled, which may be NULL as well. */
static struct answer *look(const char *question, struct kept **place)
{
	struct answer *a = NULL;
	struct kept *k;
	bool waited = false;

	pthread_mutex_lock(&lock);
	k = place_for(question);
	while (k && k->asking && !strcmp(k->question, question)) {
		pthread_cond_wait(&answered, &lock);
		waited = true;
	}
	/* another question may have it now; then this one is asked without a place */
	if (k && (k->asking || (waited && strcmp(k->question, question))))
		k = NULL;
	if (k && k->answer && !strcmp(k->question, question) &&
	    (waited || clock_ns(CLOCK_MONOTONIC) < k->until_ns)) {
		a = share(k);
	} else if (k) {
		answer_drop(k->answer);
		k->answer = NULL;
		k->asking = true;
		snprintf(k->question, sizeof(k->question), "%s", question);
	}
	pthread_mutex_unlock(&lock);
	*place = k;
	return a;
}

/* What is stale holds memory for nobody. */
void answers_tick(void)
{
	__u64 now = clock_ns(CLOCK_MONOTONIC);

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < KEPT; i++)
		if (kept[i].answer && !kept[i].asking && kept[i].until_ns < now) {
			answer_drop(kept[i].answer);
			kept[i].answer = NULL;
			kept[i].question[0] = '\0';
		}
	pthread_mutex_unlock(&lock);
}

struct answer *ask(const char *question)
{
	struct kept *place;
	struct answer *a = look(question, &place);

	if (a)
		return a;
	a = ask_now(question);
	if (place)
		keep(place, a);
	return a;
}

/* Behind the value that begins here: to the comma or bracket that ends it. */
static const char *skip_value(const char *at, const char *end)
{
	unsigned int depth = 0;
	bool quoted = false;

	for (; at < end; at++) {
		if (quoted) {
			if (*at == '\\')
				at++;
			else
				quoted = *at != '"';
			continue;
		}
		if (!depth && (*at == ',' || *at == ']'))
			break;
		quoted = *at == '"';
		depth += *at == '{' || *at == '[';
		depth -= *at == '}' || *at == ']';
	}
	return at < end ? at : end;
}

size_t samples_keep_last(char *json, size_t size, __u32 count)
{
	static const char head[] = "\"samples\":[";
	const char *end = json + size;
	char *first = memmem(json, size, head, sizeof(head) - 1);
	const char *from, *at;
	__u32 all = 0;

	if (!first)
		return size;
	first += sizeof(head) - 1;
	for (at = first; at < end && *at != ']'; at += at < end && *at == ',')
		at = skip_value(at, end), all++;
	for (from = first; all > count; all--) {
		from = skip_value(from, end);
		from += from < end && *from == ',';
	}
	memmove(first, from, (size_t)(end - from));
	return size - (size_t)(from - first);
}
