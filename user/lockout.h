/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Would a change keep the one who makes it out? Who that is, and where this host's sshd listens,
 * is read from /proc; what a configuration does to a connection is judged without the kernel.
 */
#ifndef SW_LOCKOUT_H
#define SW_LOCKOUT_H

#include <stdbool.h>

#include "lists.h"
#include "services.h"

struct guard;

/* Whoever a run of this program is for came in by such a connection. */
struct session {
	__be32 client[4];
	__be32 server[4];
	bool has_server; /* else any address of this host */
	__u16 port;
};

struct cut {
	__u32 service; /* that refuses it */
	const struct list_entry *by;
};

/* Would a new connection like it be refused? `lists` in any order; `now` of conn_now(). Pure. */
bool lockout_finds(const struct session *who, const struct services *services,
		   const struct list_set *lists, __u32 now, struct cut *cut);

/* "ADDRESS PORT ADDRESS PORT" of SSH_CONNECTION, "ADDRESS PORT PORT" of SSH_CLIENT. Pure. */
int session_read(const char *words, struct session *who);

/*
 * The ssh session this process runs in, by its environment or that of its nearest parent that
 * has one, as sudo takes it out of ours. False: none. Silent.
 */
bool session_find(struct session *who);
/*
 * Ports on which this network namespace has a listening sshd, systemd on port 22 in its place;
 * and the port of `who`, unless NULL, if anybody listens there. 0: no more. Silent.
 */
void session_ports(const struct session *who, __u16 ports[SW_FAIL_SAFE]);

/*
 * 0, or -EPERM and a line that says what would keep the present session out, with a hint. What
 * does so already, by the configuration in force (`now_`; NULL: none is), is no reason. Pure but
 * for the session.
 */
int lockout_refuse(const struct services *services, const struct list_set *lists,
		   const struct services *now_services, const struct list_set *now_lists);
/* The same, against what the guard runs. `lists` NULL: as they are. */
int lockout_check(const struct guard *g, const struct services *services,
		  const struct list_set *lists);

#endif /* SW_LOCKOUT_H */
