/* SPDX-License-Identifier: GPL-2.0-or-later */
/* web: metrics, a page and JSON over HTTP; see web.h. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "cmd.h"
#include "control.h"
#include "notify.h"
#include "util.h"
#include "web.h"

/*
 * Who can reach us reads addresses of clients and what is refused, whoever made the socket: so one
 * that the service manager passes is no excuse.
 */
static int check_reach(const struct listeners *l, const struct gate *gate)
{
	if (l->local || gate->token[0])
		return 0;
	log_refuse(-EPERM, "%s can be reached from other machines, and there is no token",
		   l->reach);
	log_hint("--token-file FILE, or an address of loopback and a proxy before it");
	return -EPERM;
}

/* A descriptor for each connection, and some to spare. */
static int want_descriptors(void)
{
	const rlim_t want = WEB_CONNS + 128;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return log_err(-errno, "see how many descriptors there may be");
	if (limit.rlim_cur >= want)
		return 0;
	if (limit.rlim_max < want)
		return log_refuse(-EMFILE, "%llu descriptors are too few, %llu are needed",
				  (unsigned long long)limit.rlim_max, (unsigned long long)want);
	limit.rlim_cur = want;
	return setrlimit(RLIMIT_NOFILE, &limit) ? log_err(-errno, "raise the descriptors") : 0;
}

static int serve(const struct listeners *l)
{
	const struct timespec second = { .tv_sec = 1 };
	sigset_t end;

	/* for all threads to come: the end is for this one */
	sigemptyset(&end);
	sigaddset(&end, SIGINT);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (waiting_begin())
		return -EAGAIN;
	for (unsigned int i = 0; i < l->count; i++) {
		int err = http_start(l->fd[i], routes_serve);

		if (err)
			return err;
	}
	log_note("listening on %s", l->text);
	notify("READY=1\nSTATUS=listening on %s", l->text);
	while (sigtimedwait(&end, NULL, &second) < 0) {
		peers_tick();
		answers_tick();
	}
	notify("STOPPING=1");
	return 0;
}

int cmd_web(const struct opts *o, int argc, char **argv)
{
	static struct gate gate; /* read by other threads up to the end */
	static char path[CONTROL_PATH];
	const char *socket = control_path(o->socket, o->pin, path);
	struct sockaddr_storage addr;
	struct text_why why;
	struct listeners l;
	socklen_t len;
	int err = no_arguments("web", argc, argv);

	if (err)
		return err;
	if (o->listen && listen_address(o->listen, &addr, &len, &why))
		return log_usage("%s", why.text);
	if (o->token_file && gate_read_token(&gate, o->token_file))
		return EXIT_FAILURE;
	err = listeners_open(&l, o->listen);
	if (!err)
		err = check_reach(&l, &gate);
	gate.local_names = !gate.token[0] && l.named;
	if (!err)
		err = want_descriptors();
	if (!err)
		err = root_give_up();
	if (err)
		return EXIT_FAILURE;
	page_begin();
	routes_begin(&gate, socket);
	return exit_code(serve(&l));
}
