/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sd_notify(3): datagrams to a Unix socket. A library for this would bring a dozen more. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "notify.h"
#include "text.h"

socklen_t notify_address(const char *words, struct sockaddr_un *addr)
{
	size_t len = words ? strlen(words) : 0;

	memset(addr, 0, sizeof(*addr));
	/* a path, or a name in the abstract namespace, which counts its length */
	if (len < 2 || len >= sizeof(addr->sun_path) || (words[0] != '/' && words[0] != '@'))
		return 0;
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path, words, len);
	if (words[0] == '@')
		addr->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (words[0] == '/'));
}

__u64 notify_watchdog_of(const char *usec, const char *pid, __u64 self)
{
	__u64 us, of;

	if (!usec || text_u64(usec, 1, LLONG_MAX, &us))
		return 0;
	if (pid && (text_u64(pid, 1, INT_MAX, &of) || of != self))
		return 0;
	return us;
}

__u64 notify_watchdog_us(void)
{
	return notify_watchdog_of(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), (__u64)getpid());
}

void notify(const char *fmt, ...)
{
	struct sockaddr_un addr;
	socklen_t size = notify_address(getenv("NOTIFY_SOCKET"), &addr);
	autoclose int fd = -1;
	char text[512];
	va_list args;
	int len;

	if (!size)
		return;
	va_start(args, fmt);
	len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(text))
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && sendto(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT,
			      (struct sockaddr *)&addr, size) < 0)
		log_debug("notify the service manager: %s", strerror(errno));
}
