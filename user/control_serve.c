/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers questions, each in a child: it is confined as the daemon is, has the daemon's memory as
 * it was when the question came, and what it does wrong ends with it.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "control.h"
#include "control_serve.h"
#include "remember.h"
#include "util.h"

#define SEND_PATIENCE_S 10
#define FOLLOW_EVERY_MS 100
#define WORDS_MAX       32
#define CONNS_MAX       1000
#define GROUPS_MAX      256

static const struct answer {
	const char *command;
	const char *verb; /* the only one, NULL: none */
	int (*run)(const struct opts *o, int argc, char **argv);
	__u64 accepts;
} answers[] = {
	{ "status", NULL, cmd_status, 0 },
	{ "stats", NULL, cmd_stats, 0 },
	{ "attacks", NULL, cmd_attacks, 0 },
	{ "sources", NULL, cmd_sources, OPT_LIMIT | OPT_BANNED },
	{ "ban", "list", cmd_ban, 0 },
	{ "service", "list", cmd_service, 0 },
	{ "allow", "list", cmd_allow, 0 },
	{ "deny", "list", cmd_deny, 0 },
	{ "fail-safe", "list", cmd_fail_safe, 0 },
	{ "limit", "show", cmd_limit, 0 },
	{ "key", "show", cmd_key, 0 },
	{ "conns", NULL, cmd_conns,
	  OPT_STATE | OPT_SERVICE | OPT_SOURCE | OPT_OLDER | OPT_YOUNGER | OPT_SORT | OPT_REVERSE |
		  OPT_LIMIT | OPT_OFFSET | OPT_COUNT },
	{ "metrics", NULL, cmd_metrics, 0 },
	{ "metrics", "openmetrics", cmd_metrics, 0 },
};

/* --- the listening side ------------------------------------------------------------------- */

/* The socket of a daemon that was killed is in the way, that of one that lives is not. */
static int bind_anew(int fd, const struct sockaddr_un *addr)
{
	autoclose int other = -1;

	if (!bind(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (other < 0 || !connect(other, (const struct sockaddr *)addr, sizeof(*addr)))
		return -EADDRINUSE;
	if (errno != ECONNREFUSED || unlink(addr->sun_path))
		return -EADDRINUSE;
	return bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? -errno : 0;
}

/*
 * For root and the group alone, so that nobody else costs the daemon even a refusal. Without
 * CAP_CHOWN, as under its unit, which does the same from outside: for all, and each who connects
 * is asked who he is.
 */
static int open_to(const char *path, int group)
{
	mode_t mode = 0600;

	if (group >= 0)
		mode = chown(path, (uid_t)-1, (gid_t)group) ? 0666 : 0660;
	return chmod(path, mode) ? -errno : 0;
}

static int listen_at(const char *path, int group)
{
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int err;

	if (fd < 0)
		return -errno;
	if (!*path || strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	err = bind_anew(fd, &addr);
	if (!err)
		err = open_to(path, group);
	if (!err && listen(fd, CONTROL_CHILDREN))
		err = -errno;
	return err ? err : TAKE_FD(fd);
}

void control_open(struct control *c, const struct guard *g, const struct opts *o)
{
	const struct group *group = getgrnam(CONTROL_GROUP);
	char path[CONTROL_PATH];

	c->group = group ? (int)group->gr_gid : -1;
	c->o = o;
	c->guard = g;
	if (!o->socket)
		remember_directory();
	c->fd = listen_at(control_path(o->socket, g->dir, path), c->group);
	if (c->fd < 0)
		log_note("nobody can ask this daemon: %s: %s", o->socket ? o->socket : path,
			 strerror(-c->fd));
}

void control_close(struct control *c)
{
	/* the file stays: another daemon may have taken its place, and it is refused or replaced */
	close_fdp(&c->fd);
}

static bool in_group(int fd, __u32 group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t size = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
		return false;
	for (size_t i = 0; i < size / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static bool may_ask(const struct control *c, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return false;
	if (!peer.uid || (c->group >= 0 && peer.gid == (gid_t)c->group))
		return true;
	return c->group >= 0 && in_group(fd, (__u32)c->group);
}

static void refuse(int fd, const char *why)
{
	char line[128];
	int len = snprintf(line, sizeof(line), "error %s\n", why);

	send(fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* --- in the child ------------------------------------------------------------------------- */

/* The question without its end, in time. */
static int read_question(int fd, char question[CONTROL_QUESTION])
{
	__u64 end_ns = clock_ns(CLOCK_MONOTONIC) + CONTROL_ASK_MS * 1000000ULL;
	size_t len = 0;

	while (len < CONTROL_QUESTION) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		__s64 left_ns = (__s64)(end_ns - clock_ns(CLOCK_MONOTONIC));
		ssize_t got;

		if (left_ns <= 0 || poll(&ready, 1, (int)(left_ns / 1000000) + 1) <= 0)
			return -ETIMEDOUT;
		/* byte by byte, as what is behind it is left where it is */
		got = read(fd, question + len, 1);
		if (got <= 0)
			return got ? -errno : -EPROTO;
		if (question[len] == '\n') {
			question[len] = '\0';
			return 0;
		}
		if (!question[len++])
			return -EPROTO;
	}
	return -E2BIG;
}

/* CONTROL_MARK, and whatever else: what is closed with this unread is not whole; see control.h. */
static void take_rest(int fd)
{
	char rest[CONTROL_QUESTION];

	recv(fd, rest, sizeof(rest), MSG_DONTWAIT);
}

static int split(char *question, char *words[WORDS_MAX + 1])
{
	int n = 0;

	words[n++] = question;
	for (char *at = question; (at = strchr(at, '\t')); words[n++] = at) {
		*at++ = '\0';
		if (n == WORDS_MAX)
			return -E2BIG;
	}
	words[n] = NULL;
	return n;
}

static const struct answer *find_answer(int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		const struct answer *a = &answers[i];

		if (argc && !strcmp(a->command, argv[0]) && argc == 1 + !!a->verb &&
		    (!a->verb || !strcmp(a->verb, argv[1])))
			return a;
	}
	return NULL;
}

/* 0, and what it prints is in stdout; else the cause is in stderr. */
static int run_command(const struct control *c, int words, char **word)
{
	char *argv[WORDS_MAX + 2] = { "synwarden" };
	struct invocation in = { .o = OPTS_INIT };
	const struct answer *a;

	memcpy(argv + 1, word, (size_t)words * sizeof(*word));
	optind = 0; /* getopt begins anew */
	if (options_parse(&in, words + 1, argv))
		return 2;
	a = find_answer(words + 1 - in.rest, argv + in.rest);
	if (!a || in.help || in.version || in.o.given & ~a->accepts)
		return log_usage("no question of this daemon's");
	in.o.pin = c->o->pin;
	in.o.socket = NULL;
	in.o.json = true;
	if (a->accepts & OPT_COUNT && in.o.query.limit > CONNS_MAX)
		in.o.query.limit = CONNS_MAX;
	return a->run(&in.o, words - in.rest, argv + in.rest + 1);
}

static void tell_recent(const struct control *c, bool as_json, __u32 most)
{
	struct event_names names = { .g = c->guard };
	__u64 head = feed_head(c->feed);
	struct record r;

	for (__u64 n = head > most ? head - most : 0; n < head; n++)
		if (feed_record(c->feed, n, &r))
			record_write(stdout, as_json, &names, &r);
}

/*
 * Until the reader goes. One who pauses is waited for, as one who reads what seldom comes is, and
 * then told how much he missed: what is cut off in time would end within a line.
 */
static int tell_follow(const struct control *c, int fd, bool as_json)
{
	struct event_names names = { .g = c->guard };
	struct record r;
	__u64 at = feed_head(c->feed);
	FILE *out = fdopen(fd, "w");

	if (!out || fputs("ok\n", out) < 0 || fflush(out))
		return 1;
	for (;;) {
		struct pollfd gone = { .fd = fd, .events = POLLRDHUP };

		if (poll(&gone, 1, FOLLOW_EVERY_MS) > 0)
			return 0;
		for (__u64 head = feed_head(c->feed); at < head; at++) {
			if (head - at > CONTROL_RECENT) {
				r.kind = RECORD_LOST;
				r.lost.stage = LOST_SUBSCRIBER;
				feed_skipped(c->feed, head - at - CONTROL_RECENT);
				r.lost.events = head - at - CONTROL_RECENT;
				r.time_ns = clock_ns(CLOCK_MONOTONIC);
				record_write(out, as_json, &names, &r);
				at = head - CONTROL_RECENT;
			}
			if (feed_record(c->feed, at, &r))
				record_write(out, as_json, &names, &r);
			else /* overtaken while a line waited for room: once more, as lost */
				head = feed_head(c->feed), at--;
		}
		if (fflush(out) || ferror(out))
			return 1;
	}
}

static int run_question(const struct control *c, int words, char **word)
{
	bool text = !strcmp(word[0], "recent-text");
	__u32 most = CONTROL_RECENT;

	if (!strcmp(word[0], "history") && words == 1) {
		history_json(c->history, stdout);
		return 0;
	}
	if ((!text && strcmp(word[0], "recent")) || words > 2)
		return run_command(c, words, word);
	if (words == 2 && text_u32(word[1], 1, CONTROL_RECENT, &most))
		return log_usage("recent needs a number, 1 to %u, got '%.20s'", CONTROL_RECENT,
				 word[1]);
	tell_recent(c, !text, most);
	return 0;
}

/* Everything is in memory before the first line says how it went. */
static int answer(const struct control *c, int fd, int words, char **word)
{
	struct timeval patience = { .tv_sec = SEND_PATIENCE_S };
	autofree char *body = NULL, *said = NULL;
	size_t size, said_size;
	FILE *real = fdopen(fd, "w");
	int code;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	stdout = open_memstream(&body, &size);
	stderr = open_memstream(&said, &said_size);
	if (!real || !stdout || !stderr)
		return 1;
	code = run_question(c, words, word);
	fclose(stdout);
	fclose(stderr);
	if (code) {
		said[strcspn(said, "\n")] = '\0';
		fprintf(real, "error %s\n", *said ? said : "it failed");
	} else {
		fputs("ok\n", real);
		fwrite(body, 1, size, real);
	}
	/* else the reader learns that it is cut off */
	if (!fflush(real) && !ferror(real))
		take_rest(fd);
	return fclose(real) ? 1 : code;
}

static int child(const struct control *c, pid_t daemon, int fd)
{
	char question[CONTROL_QUESTION], *word[WORDS_MAX + 1];
	int words, err;

	/* neither outlives the daemon nor speaks for it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != daemon)
		return 1;
	/* while it is open here, it is not known for dead there */
	close(c->fd);
	unsetenv("NOTIFY_SOCKET");
	err = read_question(fd, question);
	words = err ? err : split(question, word);
	if (words < 0) {
		take_rest(fd);
		refuse(fd, "a question is one line of words with tabs between");
		return 1;
	}
	if (words == 1 && (!strcmp(word[0], "follow") || !strcmp(word[0], "follow-text"))) {
		take_rest(fd); /* it has no end */
		return tell_follow(c, fd, !word[0][6]);
	}
	return answer(c, fd, words, word);
}

/* --- the daemon --------------------------------------------------------------------------- */

static void serve(struct control *c, int fd)
{
	pid_t self = getpid(), pid;

	if (!may_ask(c, fd)) {
		refuse(fd, "only root and the group " CONTROL_GROUP " may ask");
		return;
	}
	if (c->children == CONTROL_CHILDREN) {
		refuse(fd, "busy: too many questions at once");
		return;
	}
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(child(c, self, fd));
	if (pid < 0) {
		refuse(fd, "busy: no process for it");
		log_err(-errno, "make a process for a question");
		return;
	}
	for (__u32 i = 0; i < CONTROL_CHILDREN; i++)
		if (!c->child[i]) {
			c->child[i] = pid;
			break;
		}
	c->children++;
}

void control_accept(struct control *c)
{
	/* not for ever, whoever knocks: the daemon has other work */
	for (__u32 i = 0; i < CONTROL_CHILDREN; i++) {
		autoclose int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return;
		serve(c, fd);
	}
}

void control_reap(struct control *c)
{
	pid_t pid;

	/* as process 1 of a container it is the parent of others, too */
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (__u32 i = 0; i < CONTROL_CHILDREN; i++)
			if (c->child[i] == pid) {
				c->child[i] = 0;
				c->children--;
			}
}
