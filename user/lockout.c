/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who would be kept out, and who must not be; see lockout.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "lockout.h"
#include "table.h"
#include "util.h"

/* --- judging ------------------------------------------------------------------------------ */

/* The service that the longest prefix gives this address, 0 none. */
static __u32 service_at(const struct services *set, const __be32 addr[4], __u16 port)
{
	__u32 best = 0;

	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &set->slot[id];

		if (s->port_first && s->port_first <= port && port <= s->port_last &&
		    addr_in_prefix(addr, s->addr, s->prefix_len) &&
		    (!best || s->prefix_len > set->slot[best].prefix_len))
			best = id;
	}
	return best;
}

static const struct list_entry *find_in(const struct list_set *lists, enum sw_list list, __u32 id,
					const __be32 addr[4], __u32 now)
{
	const struct list_entry *e = list_set_match(lists, list, 0, addr, now);

	return e ? e : list_set_match(lists, list, id, addr, now);
}

/* As is_denied() of bpf/lists.h does; mode monitor refuses nothing. */
static bool refuses(const struct services *set, __u32 id, const struct list_set *lists,
		    const __be32 addr[4], __u32 now, struct cut *cut)
{
	const struct list_entry *e;

	if (!id || !is_enforced(&set->slot[id]))
		return false;
	e = find_in(lists, SW_LIST_DENY, id, addr, now);
	if (!e || find_in(lists, SW_LIST_FAIL_SAFE, id, addr, now) ||
	    find_in(lists, SW_LIST_ALLOW, id, addr, now))
		return false;
	*cut = (struct cut){ .service = id, .by = e };
	return true;
}

bool lockout_finds(const struct session *who, const struct services *services,
		   const struct list_set *lists, __u32 now, struct cut *cut)
{
	for (size_t i = 0; i < ARRAY_SIZE(services->fail_safe); i++)
		if (who->port == services->fail_safe[i])
			return false;
	if (who->has_server)
		return refuses(services, service_at(services, who->server, who->port), lists,
			       who->client, now, cut);
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &services->slot[id];

		if (s->port_first <= who->port && who->port <= s->port_last &&
		    refuses(services, id, lists, who->client, now, cut))
			return true;
	}
	return false;
}

int lockout_refuse(const struct services *services, const struct list_set *lists,
		   const struct services *now_services, const struct list_set *now_lists)
{
	char client[TEXT_ADDR], prefix[TEXT_PREFIX], service[TEXT_SERVICE];
	struct session who;
	struct cut cut, already;
	__u32 now = conn_now();

	if (!session_find(&who) || !lockout_finds(&who, services, lists, now, &cut) ||
	    (now_services && lockout_finds(&who, now_services, now_lists, now, &already)))
		return 0;
	text_addr(who.client, client);
	log_refuse(-EPERM,
		   "this would keep you out: '%s' of the deny list refuses %s at service '%s'",
		   text_prefix_name(cut.by->key.addr, list_prefix_len(cut.by), prefix), client,
		   text_service_name(&services->slot[cut.service], service));
	log_hint("'synwarden fail-safe add %s' first, or --force", client);
	return -EPERM;
}

int lockout_check(const struct guard *g, const struct services *services,
		  const struct list_set *lists)
{
	autolists struct list_set now_lists = { 0 };
	struct services now;
	int err = mapio_services(g, &now);

	if (!err)
		err = mapio_lists(g, &now_lists);
	if (err)
		return err;
	return lockout_refuse(services, lists ? lists : &now_lists, &now, &now_lists);
}

/* --- the session -------------------------------------------------------------------------- */

/* Up to the next blank; NULL: no more. */
static char *next_word(char **at)
{
	char *word;

	do
		word = strsep(at, " \t\n");
	while (word && !*word);
	return word;
}

static int address_read(char *word, __be32 addr[4])
{
	static const __u8 v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (!word)
		return -EINVAL;
	word[strcspn(word, "%")] = '\0'; /* the device of a link-local address */
	memcpy(addr, v4_mapped, sizeof(v4_mapped));
	return inet_pton(AF_INET, word, &addr[3]) == 1 || inet_pton(AF_INET6, word, addr) == 1 ?
		       0 :
		       -EINVAL;
}

int session_read(const char *words, struct session *who)
{
	char text[160], *at = text, *word[5];
	struct session s = { .has_server = false };
	__u32 port, count = 0;

	if (strlen(words) >= sizeof(text))
		return -EINVAL;
	memcpy(text, words, strlen(words) + 1);
	while (count < ARRAY_SIZE(word) && (word[count] = next_word(&at)))
		count++;
	if (count != 3 && count != 4)
		return -EINVAL;
	s.has_server = count == 4;
	if (address_read(word[0], s.client) || (s.has_server && address_read(word[2], s.server)) ||
	    text_u32(word[count - 1], 1, 65535, &port))
		return -EINVAL;
	s.port = (__u16)port;
	*who = s;
	return 0;
}

/* "NAME=value" among so many bytes of such strings, each ending with NUL. */
static const char *variable_of(const char *environment, size_t size, const char *name)
{
	size_t len = strlen(name);

	for (size_t at = 0; at < size; at += strlen(environment + at) + 1)
		if (!strncmp(environment + at, name, len) && environment[at + len] == '=')
			return environment + at + len + 1;
	return NULL;
}

/* A whole file of /proc with a NUL behind it, or NULL; at most 256 kB. */
static char *proc_read(const char *pid, const char *name, size_t *size)
{
	char path[64];
	autoclose int fd = -1;
	size_t room = 256 * 1024;
	char *text = malloc(room + 1);
	ssize_t len = -1;

	*size = 0;
	if (text && !path_format(path, sizeof(path), "/proc/%s/%s", pid, name))
		fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && *size < room && (len = read(fd, text + *size, room - *size)) > 0)
		*size += (size_t)len;
	if (len < 0) {
		free(text);
		return NULL;
	}
	text[*size] = '\0';
	return text;
}

/* By an environment; false: it tells of no session. */
static bool session_of(const char *pid, struct session *who)
{
	static const char *const names[] = { "SSH_CONNECTION", "SSH_CLIENT" };
	size_t size;
	autofree char *environment = proc_read(pid, "environ", &size);

	for (size_t i = 0; environment && i < ARRAY_SIZE(names); i++) {
		const char *value = variable_of(environment, size, names[i]);

		if (value && !session_read(value, who))
			return true;
	}
	return false;
}

/* Writes the parent's number over it; false at the top. */
static bool to_parent(char pid[16])
{
	size_t size;
	autofree char *status = proc_read(pid, "status", &size);
	const char *line = status ? strstr(status, "\nPPid:\t") : NULL;
	char number[16];
	__u32 parent;

	if (!line)
		return false;
	snprintf(number, sizeof(number), "%s", line + strlen("\nPPid:\t"));
	number[strcspn(number, "\n")] = '\0';
	if (text_u32(number, 1, ~0U, &parent))
		return false;
	snprintf(pid, 16, "%u", parent);
	return true;
}

bool session_find(struct session *who)
{
	char pid[16] = "self";
	unsigned int steps = 0;

	do
		if (session_of(pid, who))
			return true;
	while (++steps < 100 && to_parent(pid));
	return false;
}

/* --- listeners of sshd -------------------------------------------------------------------- */

#define LISTENERS_MAX 4096

struct listeners {
	struct {
		__u16 port;
		char socket[32]; /* "socket:[INODE]", as in /proc/PID/fd */
	} at[LISTENERS_MAX];
	__u32 count;
};

/* The last four digits of "ADDRESS:PORT" in hexadecimal; 0: it is none. */
static __u16 port_of(const char *local)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *colon = strrchr(local, ':');
	__u32 port = 0;

	if (!colon || strlen(colon + 1) != 4)
		return 0;
	for (const char *c = colon + 1; *c; c++) {
		const char *digit = strchr(digits, *c);

		if (!digit)
			return 0;
		port = port << 4 | (__u32)(digit - digits);
	}
	return (__u16)port;
}

/* Listeners come before all other sockets in these files, so their end is not waited for. */
static void listeners_read(const char *path, struct listeners *l)
{
	FILE *f = fopen(path, "re");
	char line[512];
	bool first = true;

	while (f && l->count < LISTENERS_MAX && fgets(line, sizeof(line), f)) {
		char *at = line, *word[10];
		__u32 count = 0;

		if (first) {
			first = false;
			continue;
		}
		while (count < ARRAY_SIZE(word) && (word[count] = next_word(&at)))
			count++;
		if (count < ARRAY_SIZE(word) || strcmp(word[3], "0A"))
			break;
		l->at[l->count].port = port_of(word[1]);
		snprintf(l->at[l->count].socket, sizeof(l->at[0].socket), "socket:[%.20s]",
			 word[9]);
		l->count++;
	}
	if (f)
		fclose(f);
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

/* Ports of the listeners that this process has open; `only` unless 0. */
static void ports_of(const char *pid, const struct listeners *l, __u16 only,
		     __u16 ports[SW_FAIL_SAFE])
{
	char path[64], target[64];
	struct dirent *entry;
	DIR *dir;

	if (path_format(path, sizeof(path), "/proc/%s/fd", pid))
		return;
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		target[len < 0 ? 0 : len] = '\0';
		for (__u32 i = 0; len > 0 && i < l->count; i++)
			if (!strcmp(target, l->at[i].socket) && (!only || only == l->at[i].port))
				ports_add(ports, l->at[i].port);
	}
	if (dir)
		closedir(dir);
}

static bool is_sshd(const char *pid)
{
	size_t size;
	autofree char *name = proc_read(pid, "comm", &size);

	return name && !strcmp(name, "sshd\n");
}

void session_ports(const struct session *who, __u16 ports[SW_FAIL_SAFE])
{
	autofree struct listeners *l = calloc(1, sizeof(*l));
	DIR *dir = l ? opendir("/proc") : NULL;
	struct dirent *entry;

	memset(ports, 0, SW_FAIL_SAFE * sizeof(*ports));
	if (!dir)
		return;
	listeners_read("/proc/self/net/tcp", l);
	listeners_read("/proc/self/net/tcp6", l);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is_sshd(entry->d_name))
			ports_of(entry->d_name, l, 0, ports);
	closedir(dir);
	ports_of("1", l, 22, ports);
	for (__u32 i = 0; who && i < l->count; i++)
		if (l->at[i].port == who->port)
			ports_add(ports, who->port);
}
