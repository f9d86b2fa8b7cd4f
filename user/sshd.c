/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where this host's sshd listens, and whom it serves, by sockets and processes; see session.h. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "sources.h"
#include "text.h"
#include "util.h"

#define LISTENERS_MAX 4096
#define SOCKETS_MAX   4096
#define SSH_PORT      22

/* How a port of this host tells the connections of ssh. */
enum door {
	DOOR_NONE,
	DOOR_PROVEN, /* those that a session has open, whose user proved who he is */
	DOOR_ANY,    /* all of them: who has them open cannot be seen */
};

struct look {
	struct {
		__u64 inode;
		__u16 port;
	} at[LISTENERS_MAX];
	__u32 count;
	__u64 inode[SOCKETS_MAX]; /* that sessions have open */
	__u32 inodes;
	__u8 door[65536];          /* enum door, by port */
	__u32 same[SESSIONS_MAX];  /* connections of each session */
	__u16 found[SW_FAIL_SAFE]; /* ports of listening sshds */
	bool blind;                /* what a process has open was not to be seen */
	const struct session_ask *ask;
};

/* So many hexadecimal digits; what else there is counts as 0. */
static __u32 hex(const char *digits, __u32 count)
{
	static const char all[] = "0123456789ABCDEF";
	__u32 value = 0;

	for (__u32 i = 0; i < count && digits[i]; i++) {
		const char *digit = strchr(all, digits[i]);

		value = value << 4 | (digit ? (__u32)(digit - all) : 0);
	}
	return value;
}

/* "ADDRESS:PORT", the address by words as they lie in memory. 0: it is none. */
static __u16 endpoint_read(const char *word, __be32 addr[4])
{
	const char *colon = strchr(word, ':');
	size_t len = colon ? (size_t)(colon - word) : 0;

	memset(addr, 0, 4 * sizeof(*addr));
	if (len == 8) {
		addr[2] = htonl(0xffff);
		addr[3] = (__be32)hex(word, 8);
	} else if (len == 32) {
		for (__u32 i = 0; i < 4; i++)
			addr[i] = (__be32)hex(word + 8 * i, 8);
	} else {
		return 0;
	}
	return (__u16)hex(colon + 1, 4);
}

/* No device that can be guarded carries it: forwarded X11, a tunnel that ends here. */
static bool is_loopback(const __be32 addr[4])
{
	if (addr_is_v4(addr))
		return ntohl(addr[3]) >> 24 == 127;
	return !addr[0] && !addr[1] && !addr[2] && ntohl(addr[3]) == 1;
}

struct socket_line {
	__be32 local[4];
	__be32 remote[4];
	__u16 port;
	__u32 state;
	__u64 inode;
};
#define STATE_ESTABLISHED 0x01
#define STATE_LISTEN      0x0a

/* Of /proc/net/tcp. False: the line tells of no socket. */
static bool socket_read(char *line, struct socket_line *s)
{
	char *at = line, *word[10];
	__u32 count = 0;

	while (count < ARRAY_SIZE(word) && (word[count] = next_word(&at)))
		count++;
	if (count < ARRAY_SIZE(word))
		return false;
	s->port = endpoint_read(word[1], s->local);
	endpoint_read(word[2], s->remote);
	s->state = hex(word[3], 2);
	return s->port && !text_u64(word[9], 0, ~0ULL, &s->inode);
}

/* False: no more of this file. */
typedef bool (*on_socket)(struct look *l, const struct socket_line *s, void *arg);

static void sockets_read(struct look *l, on_socket handle, void *arg)
{
	static const char *const files[] = { "/proc/self/net/tcp", "/proc/self/net/tcp6" };
	struct socket_line s;
	char line[512];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		FILE *f = fopen(files[i], "re");
		bool more = f && fgets(line, sizeof(line), f); /* the heads of the columns */

		while (more && fgets(line, sizeof(line), f))
			more = !socket_read(line, &s) || handle(l, &s, arg);
		if (f)
			fclose(f);
	}
}

/* They come before all other sockets in these files, so their end is not waited for. */
static bool add_listener(struct look *l, const struct socket_line *s, void *arg)
{
	const struct session_ask *ask = l->ask;

	(void)arg;
	if (s->state != STATE_LISTEN || l->count == LISTENERS_MAX)
		return false;
	if (is_loopback(s->local) || (ask && !ask->matters(ask->services, s->port)))
		return true;
	l->at[l->count].port = s->port;
	l->at[l->count++].inode = s->inode;
	return true;
}

static void ports_add(__u16 ports[SW_FAIL_SAFE], __u16 port)
{
	for (__u32 i = 0; i < SW_FAIL_SAFE && port; i++) {
		if (ports[i] == port)
			return;
		if (!ports[i]) {
			ports[i] = port;
			return;
		}
	}
}

static bool has_listener(const struct look *l, __u16 port)
{
	for (__u32 i = 0; i < l->count; i++)
		if (l->at[i].port == port)
			return true;
	return false;
}

/* --- processes ---------------------------------------------------------------------------- */

enum holder {
	HOLDER_NONE,
	HOLDER_MANAGER, /* systemd, which listens for those it starts */
	HOLDER_SSHD,
	HOLDER_SESSION, /* an sshd whose user proved who he is */
};

/*
 * sshd says in its title whom it serves: "sshd: alice@pts/0". Whoever has not proved it yet, and
 * may be anybody, is in the hands of those with "[accepted]", "[net]" or "[priv]" at the end.
 */
static bool is_proven(const char *pid)
{
	size_t size, len;
	autofree char *title = proc_read(pid, "cmdline", &size);

	if (!title || (strncmp(title, "sshd: ", 6) && strncmp(title, "sshd-session: ", 14)))
		return false;
	len = strlen(title);
	while (len && title[len - 1] == ' ')
		len--;
	return len && title[len - 1] != ']' && !strstr(title, "[listener]");
}

/* sshd-session: of OpenSSH 9.8 and later, which leaves the name sshd to the one that listens. */
static enum holder holder_of(const char *pid)
{
	size_t size;
	autofree char *name = proc_read(pid, "comm", &size);

	if (!name || (strcmp(name, "sshd\n") && strcmp(name, "sshd-session\n")))
		return HOLDER_NONE;
	return is_proven(pid) ? HOLDER_SESSION : HOLDER_SSHD;
}

/* "socket:[INODE]"; 0: another file. */
static __u64 socket_of(char *target)
{
	static const char head[] = "socket:[";
	__u64 inode;

	if (strncmp(target, head, sizeof(head) - 1))
		return 0;
	target[strcspn(target, "]")] = '\0';
	return text_u64(target + sizeof(head) - 1, 1, ~0ULL, &inode) ? 0 : inode;
}

/* Where a session listens it forwards, and who comes there is none. */
static void socket_held(struct look *l, enum holder holder, __u64 inode)
{
	if (holder == HOLDER_SESSION) {
		if (l->inodes < SOCKETS_MAX)
			l->inode[l->inodes++] = inode;
		return;
	}
	for (__u32 i = 0; i < l->count; i++) {
		__u16 port = l->at[i].port;

		if (l->at[i].inode != inode)
			continue;
		l->door[port] = DOOR_PROVEN;
		if (holder == HOLDER_SSHD || port == SSH_PORT)
			ports_add(l->found, port);
	}
}

static void look_at_process(struct look *l, const char *pid, enum holder holder)
{
	char path[64], target[64];
	struct dirent *entry;
	DIR *dir;

	if (path_format(path, sizeof(path), "/proc/%s/fd", pid))
		return;
	dir = opendir(path);
	/* one that ended has nothing open; the first one never ends, but may be hidden */
	if (!dir && (errno != ENOENT || holder == HOLDER_MANAGER))
		l->blind = true;
	while (dir && (entry = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		__u64 inode;

		if (len < 0 && (errno == EACCES || errno == EPERM))
			l->blind = true;
		target[len < 0 ? 0 : len] = '\0';
		inode = socket_of(target);
		if (inode)
			socket_held(l, holder, inode);
	}
	if (dir)
		closedir(dir);
}

static int by_number(const void *a, const void *b)
{
	__u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return x < y ? -1 : x > y;
}

static void look_at_processes(struct look *l)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	l->blind = !dir;
	while (dir && (entry = readdir(dir))) {
		enum holder holder = HOLDER_NONE;

		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			holder = holder_of(entry->d_name);
		if (holder > HOLDER_MANAGER)
			look_at_process(l, entry->d_name, holder);
	}
	if (dir)
		closedir(dir);
	look_at_process(l, "1", HOLDER_MANAGER);
	qsort(l->inode, l->inodes, sizeof(l->inode[0]), by_number);
}

/* What cannot be seen is taken to be so: 22 is sshd's, and the ports attach found are. */
static void look_blindly(struct look *l, const __u16 *recorded)
{
	if (has_listener(l, SSH_PORT)) {
		ports_add(l->found, SSH_PORT);
		l->door[SSH_PORT] = DOOR_ANY;
	}
	for (__u32 i = 0; recorded && i < SW_FAIL_SAFE; i++)
		if (has_listener(l, recorded[i]))
			l->door[recorded[i]] = DOOR_ANY;
}

/* NULL: no memory. */
static struct look *look(const struct session_ask *ask)
{
	struct look *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->ask = ask;
	sockets_read(l, add_listener, NULL);
	if (!l->count)
		return l;
	look_at_processes(l);
	if (l->blind)
		look_blindly(l, ask ? ask->recorded : NULL);
	return l;
}

/* --- who is here -------------------------------------------------------------------------- */

static bool is_session(const struct look *l, const struct socket_line *s)
{
	if (s->state != STATE_ESTABLISHED || l->door[s->port] == DOOR_NONE ||
	    is_loopback(s->remote) || !memcmp(s->local, s->remote, sizeof(s->local)))
		return false;
	return l->door[s->port] == DOOR_ANY ||
	       bsearch(&s->inode, l->inode, l->inodes, sizeof(l->inode[0]), by_number);
}

static bool is_same(const struct session *a, const struct socket_line *s)
{
	return a->port == s->port && a->has_server &&
	       !memcmp(a->client, s->remote, sizeof(a->client)) &&
	       !memcmp(a->server, s->local, sizeof(a->server));
}

static bool add_session(struct look *l, const struct socket_line *s, void *arg)
{
	struct sessions *all = arg;
	struct session *who = all->at;

	if (!is_session(l, s))
		return true;
	while (who < all->at + all->count && !is_same(who, s))
		who++;
	if (who == all->at + SESSIONS_MAX)
		return true;
	if (who == all->at + all->count) {
		*who = (struct session){ .has_server = true, .live = true, .port = s->port };
		memcpy(who->client, s->remote, sizeof(who->client));
		memcpy(who->server, s->local, sizeof(who->server));
		all->count++;
	}
	l->same[who - all->at]++;
	return true;
}

/* The one that runs this has a connection, even if it was not found. */
static void count_levels(struct sessions *all, const __u32 same[SESSIONS_MAX])
{
	for (__u32 i = 0; i < all->count; i++)
		for (int level = 0; level < SW_LEVELS; level++) {
			struct session *who = &all->at[i];
			__u32 len = source_level_len(who->client, (__u32)level), sum = 0;

			for (__u32 k = 0; k < all->count; k++)
				if (addr_in_prefix(all->at[k].client, who->client, len))
					sum += same[k];
			who->conns[level] = sum ? sum : 1;
		}
}

void sessions_find(struct sessions *all, const struct session_ask *ask)
{
	autofree struct look *l = look(ask);
	bool any = false;

	all->count = session_find(&all->at[0]);
	for (__u32 i = 0; l && i < l->count; i++)
		any |= l->door[l->at[i].port] != DOOR_NONE;
	if (!any)
		return;
	sockets_read(l, add_session, all);
	count_levels(all, l->same);
}

/* One that systemd listens for is known by those it has let in. */
static bool add_port(struct look *l, const struct socket_line *s, void *arg)
{
	if (is_session(l, s) && has_listener(l, s->port))
		ports_add(arg, s->port);
	return true;
}

void session_ports(const struct session *who, __u16 ports[SW_FAIL_SAFE])
{
	autofree struct look *l = look(NULL);

	memset(ports, 0, SW_FAIL_SAFE * sizeof(*ports));
	if (!l)
		return;
	memcpy(ports, l->found, sizeof(l->found));
	if (who && has_listener(l, who->port))
		ports_add(ports, who->port);
	if (l->inodes)
		sockets_read(l, add_port, ports);
}
