/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's end of its socket; see control.h. */
#ifndef SW_CONTROL_SERVE_H
#define SW_CONTROL_SERVE_H

#include <sys/types.h>

#include "cmd.h"
#include "control.h"
#include "feed.h"

/* What is answered from. */
struct control {
	int fd;    /* listening, -1: nobody can ask */
	int group; /* whose members may, -1: there is none */
	const struct opts *o;
	const struct guard *guard;
	const struct feed *feed;
	const struct history *history;
	__u32 children;
	pid_t child[CONTROL_CHILDREN]; /* 0: none */
};

/*
 * Makes the socket, before confine(). A daemon that nobody can ask guards as well as any: what
 * fails is said, and `fd` is -1.
 */
void control_open(struct control *c, const struct guard *g, const struct opts *o);
void control_close(struct control *c);
/* Somebody is there. */
void control_accept(struct control *c);
/* A child has ended: SIGCHLD. */
void control_reap(struct control *c);

#endif /* SW_CONTROL_SERVE_H */
