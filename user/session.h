/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who works on this host by ssh. The environment tells of one session, and in tmux or a daemon of
 * one that is long over, in cron of none; so the connections of sshd are looked at as well.
 */
#ifndef SW_SESSION_H
#define SW_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "services.h"

/* One that came in by such a connection. */
struct session {
	__be32 client[4];
	__be32 server[4];
	bool has_server; /* else any address of this host */
	bool live;       /* known by its connection alone */
	__u16 port;
	/* Connections of ssh from its address and its net, as sources are counted; 1 and more. */
	__u32 conns[SW_LEVELS];
};

/* So many are looked at: one who would be kept out is reason enough. */
#define SESSIONS_MAX 256
struct sessions {
	struct session at[SESSIONS_MAX];
	__u32 count;
};

/* "ADDRESS PORT ADDRESS PORT" of SSH_CONNECTION, "ADDRESS PORT PORT" of SSH_CLIENT. Pure. */
int session_read(const char *words, struct session *who);

/*
 * The ssh session this process runs in, by its environment or that of its nearest parent that
 * has one, as sudo takes it out of ours. False: none. Silent.
 */
bool session_find(struct session *who);

/*
 * Ports on which this network namespace has a listening sshd: one of its own, or of systemd on
 * port 22 or where it has let a session in; port 22 by itself where it cannot be seen who has it.
 * And the port of `who`, unless NULL, if anybody listens there. Loopback does not count. 0: no
 * more. Silent.
 */
void session_ports(const struct session *who, __u16 ports[SW_FAIL_SAFE]);

struct session_ask {
	/* Connections to other ports are not looked for: a host may have a million. */
	bool (*matters)(const struct services *services, __u16 port);
	const struct services *services;
	const __u16 *recorded; /* SW_FAIL_SAFE ports, which may be sshd's */
};
/*
 * That of session_find(), first, and all that hold a connection to an sshd now, those of loopback
 * left out. Who has not logged in yet is no session, or every scanner would be one; but where it
 * cannot be seen who has a connection, all of port 22 and of the recorded ports are. Silent.
 */
void sessions_find(struct sessions *all, const struct session_ask *ask);

/* Up to the next blank; NULL: no more. */
char *next_word(char **at);
/* A whole file of /proc with a NUL behind it, to be freed, or NULL; at most 256 kB. */
char *proc_read(const char *pid, const char *name, size_t *size);

#endif /* SW_SESSION_H */
