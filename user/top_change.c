/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A change of a service's mode, as `service set` makes it: in a process of its own, which waits
 * for the lock and for packets while the screen goes on. See top_screen.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "top_screen.h"
#include "util.h"

/* "any 80": prefix and ports, the words of the command. */
static int run_set(const char *pin, const struct top_change *change)
{
	struct opts o = OPTS_INIT;
	char name[TEXT_SERVICE], set[] = "set", *ports;

	o.pin = pin;
	o.given = OPT_MODE;
	o.mode = change->to;
	text_service_name(&change->service, name);
	ports = strchr(name, ' ');
	*ports++ = '\0';
	return cmd_service(&o, 3, (char *[]){ set, name, ports, NULL });
}

static void child(int errors, const char *pin, const struct top_change *change)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int code;

	/* Ctrl-C at the terminal is for the view: it ends this process in its own way */
	setpgid(0, 0);
	top_screen_child();
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	code = run_set(pin, change);
	fflush(stderr);
	_exit(code);
}

int top_changer_begin(struct top_changer *c, const char *pin, const struct top_change *change)
{
	int pipefd[2];

	if (pipe2(pipefd, O_CLOEXEC))
		return log_err(-errno, "make a pipe");
	c->pid = fork();
	if (!c->pid)
		child(pipefd[1], pin, change);
	close(pipefd[1]);
	if (c->pid < 0) {
		int err = -errno;

		c->pid = 0;
		close(pipefd[0]);
		return log_err(err, "start a process");
	}
	fcntl(pipefd[0], F_SETFL, O_NONBLOCK);
	c->errors = pipefd[0];
	c->len = 0;
	c->text[0] = '\0';
	return 0;
}

bool top_changer_read(struct top_changer *c, int *code)
{
	char rest[256];
	size_t room = sizeof(c->text) - 1 - c->len;
	ssize_t len = read(c->errors, room ? c->text + c->len : rest, room ? room : sizeof(rest));
	int status;

	if (len > 0 && room)
		c->len += (size_t)len;
	c->text[c->len] = '\0';
	if (len > 0 || (len < 0 && (errno == EAGAIN || errno == EINTR)))
		return false;
	close_fdp(&c->errors);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
	*code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
	return true;
}

void top_changer_end(struct top_changer *c)
{
	int code;

	if (!c->pid)
		return;
	kill(c->pid, SIGTERM);
	fcntl(c->errors, F_SETFL, 0);
	while (!top_changer_read(c, &code))
		;
}
