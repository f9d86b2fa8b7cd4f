/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may look: whoever has the token; without one, whoever asks for this machine by its own name. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <linux/types.h>

#include "util.h"
#include "web.h"

static int token_trim(struct gate *gate, const char *path, size_t len)
{
	while (len && (gate->token[len - 1] == '\n' || gate->token[len - 1] == '\r'))
		len--;
	gate->token[len] = '\0';
	if (len < TOKEN_MIN || len == TOKEN_MAX)
		return log_refuse(-EINVAL, "%s: a token has %d to %d characters", path, TOKEN_MIN,
				  TOKEN_MAX - 1);
	for (size_t i = 0; i < len; i++)
		if (gate->token[i] <= ' ' || gate->token[i] > '~')
			return log_refuse(-EINVAL, "%s: a token is one word of ASCII", path);
	return 0;
}

int gate_read_token(struct gate *gate, const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t got;
	int err;

	if (fd < 0 || fstat(fd, &st))
		return log_err(-errno, "read the token from %s", path);
	if (!S_ISREG(st.st_mode))
		return log_refuse(-EINVAL, "%s: not a file", path);
	if (st.st_mode & 0007) {
		log_refuse(-EPERM, "%s: every user may read the token (mode %04o)", path,
			   st.st_mode & 07777);
		log_hint("chmod 0640 %s", path);
		return -EPERM;
	}
	got = read(fd, gate->token, TOKEN_MAX);
	if (got < 0)
		return log_err(-errno, "read the token from %s", path);
	err = token_trim(gate, path, (size_t)got);
	if (err)
		explicit_bzero(gate->token, sizeof(gate->token));
	return err;
}

bool words_are_equal(const char *secret, const char *given)
{
	size_t secret_len = strlen(secret), given_len = strlen(given);
	volatile unsigned char differs = secret_len != given_len;

	for (size_t i = 0; i < given_len; i++)
		differs |= (unsigned char)(secret[i % (secret_len + 1)] ^ given[i]);
	return !differs;
}

bool gate_opens(const struct gate *gate, const char *authorization, const char *password)
{
	static const char bearer[] = "Bearer ";

	if (!gate->token[0])
		return true;
	if (authorization && !strncasecmp(authorization, bearer, sizeof(bearer) - 1))
		return words_are_equal(gate->token, authorization + sizeof(bearer) - 1);
	return password && words_are_equal(gate->token, password);
}

/* "", ":80" */
static bool is_port(const char *s)
{
	return !*s || (*s == ':' && s[1] && strspn(s + 1, "0123456789") == strlen(s + 1));
}

bool host_is_local(const char *host)
{
	char name[TEXT_ADDR];
	struct in_addr v4;
	size_t len;

	if (!strncmp(host, "[::1]", 5))
		return is_port(host + 5);
	len = strcspn(host, ":");
	if (!is_port(host + len) || len >= sizeof(name))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	if (!strcasecmp(name, "localhost"))
		return true;
	return inet_pton(AF_INET, name, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}
