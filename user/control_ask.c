/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The asking side of the daemon's socket; see control.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <linux/types.h>

#include "control.h"
#include "kernel.h"
#include "remember.h"
#include "util.h"

/* An answer that does not come is no answer: rendering takes milliseconds. */
#define PATIENCE_S 10

const char *control_path(const char *given, const char *pin, char buf[CONTROL_PATH])
{
	char *name;

	buf[0] = '\0'; /* a path that is too long is nobody's */
	if (given) {
		if (strlen(given) < CONTROL_PATH)
			strcpy(buf, given);
		return buf;
	}
	if (!remember_path(pin, "sock", buf, CONTROL_PATH) && !strcmp(pin, SW_PIN_DEFAULT)) {
		name = strrchr(buf, '/') + 1;
		snprintf(name, CONTROL_PATH - (size_t)(name - buf), "control.sock");
	}
	return buf;
}

/* The first line, byte by byte, as what follows belongs to the caller. */
static int read_head(int fd, char *line, size_t size)
{
	size_t len = 0;

	while (len + 1 < size) {
		ssize_t got = read(fd, line + len, 1);

		if (got < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (!got || line[len] == '\n')
			break;
		len++;
	}
	line[len] = '\0';
	return len ? 0 : -EPROTO;
}

int control_ask(const char *path, const char *question, char *why, size_t size)
{
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = PATIENCE_S };
	char line[CONTROL_QUESTION + sizeof(CONTROL_MARK) - 1];
	int len, err;

	if (fd < 0)
		return -errno;
	/* nor an empty one, which would be a name in the abstract namespace that anyone may take */
	if (!*path || strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	len = snprintf(line, sizeof(line), "%s\n" CONTROL_MARK, question);
	if (len >= (int)sizeof(line))
		return -E2BIG;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	/* EPIPE: sent away at once, and why is to be read */
	if (send(fd, line, (size_t)len, MSG_NOSIGNAL) != len && errno != EPIPE)
		return -errno;
	err = read_head(fd, line, sizeof(line));
	if (err)
		return err;
	if (!strcmp(line, "ok"))
		return TAKE_FD(fd);
	snprintf(why, size, "%s", strncmp(line, "error ", 6) ? line : line + 6);
	return -EREMOTEIO;
}
