/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ssh session of an environment; see session.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "text.h"
#include "util.h"

char *next_word(char **at)
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
	struct session s = { .conns = { 1, 1 } };
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

char *proc_read(const char *pid, const char *name, size_t *size)
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
