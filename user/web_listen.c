/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where we listen, and who we are then. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/un.h>

#include <cap-ng.h>
#include <linux/types.h>

#include "control.h"
#include "util.h"
#include "web.h"

#define PASSED_FIRST 3 /* SD_LISTEN_FDS_START */
#define NOBODY       65534
#define BACKLOG      1024

int listen_address(const char *words, struct sockaddr_storage *addr, socklen_t *len,
		   struct text_why *why)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)addr;
	struct sockaddr_in *four = (struct sockaddr_in *)addr;
	const char *colon = strrchr(words, ':');
	size_t host = colon ? (size_t)(colon - words) : 0;
	char text[TEXT_ADDR];
	__u32 port;

	snprintf(why->text, sizeof(why->text),
		 "bad --listen '%.60s': ADDRESS:PORT, such as " WEB_LISTEN " or [::1]:" WEB_PORT,
		 words);
	if (!host || text_u32(colon + 1, 1, 65535, &port))
		return -EINVAL;
	memset(addr, 0, sizeof(*addr));
	if (words[0] == '[' && host > 2 && words[host - 1] == ']') {
		snprintf(text, sizeof(text), "%.*s", (int)host - 2, words + 1);
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((__u16)port);
		*len = sizeof(*six);
		return inet_pton(AF_INET6, text, &six->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	snprintf(text, sizeof(text), "%.*s", (int)host, words);
	four->sin_family = AF_INET;
	four->sin_port = htons((__u16)port);
	*len = sizeof(*four);
	return inet_pton(AF_INET, text, &four->sin_addr) == 1 ? 0 : -EINVAL;
}

static bool is_loopback(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)addr;
	const struct sockaddr_in *four = (const struct sockaddr_in *)addr;

	if (addr->ss_family == AF_INET)
		return ntohl(four->sin_addr.s_addr) >> 24 == 127;
	return addr->ss_family == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

static void describe(const struct sockaddr_storage *addr, char url[WEB_URL])
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)addr;
	const struct sockaddr_in *four = (const struct sockaddr_in *)addr;
	char text[TEXT_ADDR];

	if (addr->ss_family == AF_UNIX) {
		snprintf(url, WEB_URL, "a local socket");
		return;
	}
	inet_ntop(addr->ss_family,
		  addr->ss_family == AF_INET ? (const void *)&four->sin_addr :
					       (const void *)&six->sin6_addr,
		  text, sizeof(text));
	snprintf(url, WEB_URL, addr->ss_family == AF_INET ? "http://%s:%u/" : "http://[%s]:%u/",
		 text, ntohs(four->sin_port)); /* the port lies at the same place in both */
}

static int add(struct listeners *l, int fd)
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);
	int listens = 0;
	socklen_t size = sizeof(listens);
	char url[WEB_URL];
	size_t told = strlen(l->text);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size))
		return log_err(-errno, "use descriptor %d, which was passed", fd);
	if (!listens ||
	    (addr.ss_family != AF_INET && addr.ss_family != AF_INET6 && addr.ss_family != AF_UNIX))
		return log_refuse(-EINVAL, "descriptor %d, which was passed, does not listen", fd);
	if (l->count == WEB_LISTENERS)
		return log_refuse(-E2BIG, "more than %d sockets were passed", WEB_LISTENERS);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	describe(&addr, url);
	if (l->local && !is_loopback(&addr)) {
		l->local = false;
		strcpy(l->reach, url);
	}
	l->named = l->named || addr.ss_family != AF_UNIX;
	snprintf(l->text + told, sizeof(l->text) - told, "%s%s", told ? ", " : "", url);
	l->fd[l->count++] = fd;
	return 0;
}

/* How many descriptors the service manager passed to this process. */
static __u32 passed(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	__u32 of, count = 0;

	if (!pid || !fds || text_u32(pid, 1, ~0U, &of) || of != (__u32)getpid() ||
	    text_u32(fds, 1, 1024, &count))
		return 0;
	return count;
}

static int open_one(struct listeners *l, const char *address)
{
	autoclose int fd = -1;
	struct sockaddr_storage addr;
	struct text_why why;
	const int on = 1;
	socklen_t len;
	int err;

	if (listen_address(address, &addr, &len, &why))
		return log_refuse(-EINVAL, "%s", why.text);
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return log_err(-errno, "listen on %s", address);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (addr.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, len) || listen(fd, BACKLOG))
		return log_err(-errno, "listen on %s", address);
	err = add(l, fd);
	if (!err)
		take_fd(&fd);
	return err;
}

int listeners_open(struct listeners *l, const char *address)
{
	__u32 count = passed();

	*l = (struct listeners){ .local = true };
	if (count && address)
		return log_refuse(
			-EINVAL,
			"--listen, and a socket passed by the service manager: one of them");
	if (!count)
		return open_one(l, address ? address : WEB_LISTEN);
	for (__u32 i = 0; i < count; i++) {
		int err = add(l, PASSED_FIRST + (int)i);

		if (err)
			return err;
	}
	return 0;
}

/* Who asks the daemon has to be root or of the group: without one root stays, with no capability. */
static int root_disarm(void)
{
	log_note("there is no group '%s': this stays root, without capabilities", CONTROL_GROUP);
	log_hint("groupadd --system %s, and start both again", CONTROL_GROUP);
	capng_clear(CAPNG_SELECT_BOTH);
	return capng_apply(CAPNG_SELECT_BOTH) ? log_refuse(-EPERM, "give up all capabilities") : 0;
}

int root_give_up(void)
{
	const struct group *group;

	/* and none comes back, through whatever program is run */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return log_err(-errno, "forbid new privileges");
	if (geteuid())
		return 0;
	group = getgrnam(CONTROL_GROUP);
	if (!group)
		return root_disarm();
	if (setgroups(0, NULL) || setresgid(group->gr_gid, group->gr_gid, group->gr_gid) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return log_err(-errno, "give up root");
	return 0;
}
