/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metrics: what Prometheus reads, to standard output or into a file for node_exporter. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "control.h"
#include "metrics.h"
#include "util.h"

#define WORD_OPENMETRICS "openmetrics"

/* The whole text, before anything of it is shown: half of it would be worse than none. */
struct text {
	char *at;
	size_t size;
};

static void text_free(struct text *t)
{
	free(t->at);
}
#define autotext __attribute__((cleanup(text_free)))

/* --- from where --------------------------------------------------------------------------- */

static int read_all(int fd, struct text *t)
{
	FILE *copy = open_memstream(&t->at, &t->size);
	char buf[16384];
	ssize_t got = copy ? 1 : -1;

	while (got > 0 && (got = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)got, copy);
	if (copy && fclose(copy))
		return -ENOMEM;
	return got < 0 ? -errno : 0;
}

/*
 * A daemon knows more than the guard shows: events, reloads, itself. 1: none of this guard's
 * answers, and none was named.
 */
static int ask_daemon(const struct opts *o, bool openmetrics, struct text *t)
{
	char path[CONTROL_PATH], why[256] = "";
	autoclose int fd = control_ask(control_path(o->socket, o->pin, path),
				       openmetrics ? "metrics\t" WORD_OPENMETRICS : "metrics", why,
				       sizeof(why));
	int err = fd < 0 ? fd : read_all(fd, t);

	if (!err || !o->socket)
		return err ? 1 : 0;
	return *why ? log_refuse(err, "%s: %s", path, why) : log_err(err, "ask %s", path);
}

static int read_guard(const struct opts *o, bool openmetrics, struct text *t)
{
	autoguard struct guard g = GUARD_INIT;
	FILE *out;
	int err = guard_open(&g, o->pin);

	if (err)
		return err;
	free(t->at);
	t->at = NULL;
	out = open_memstream(&t->at, &t->size);
	if (!out)
		return log_err(-errno, "write the metrics");
	err = metrics_write(&g, openmetrics, out);
	return fclose(out) && !err ? log_err(-ENOMEM, "write the metrics") : err;
}

/* --- to where ----------------------------------------------------------------------------- */

/* Beside it under another name, one that node_exporter, which reads *.prom, does not take up. */
static int write_beside(const char *path, const struct text *t)
{
	char name[PATH_MAX];
	int err = path_format(name, sizeof(name), "%s.XXXXXX", path);
	autoclose int fd = err ? -1 : mkstemp(name);
	size_t done = 0;

	if (fd < 0)
		return err ? err : -errno;
	while (!err && done < t->size) {
		ssize_t wrote = write(fd, t->at + done, t->size - done);

		if (wrote < 0 && errno != EINTR)
			err = -errno;
		done += wrote > 0 ? (size_t)wrote : 0;
	}
	if (!err && (fchmod(fd, 0644) || fsync(fd) || rename(name, path)))
		err = -errno;
	if (err)
		unlink(name);
	return err;
}

/* node_exporter has its own of these: with ours beside them it would answer nothing at all. */
static void cut_process(struct text *t)
{
	char *at = strstr(t->at, "\n# HELP process_");

	if (at)
		t->size = (size_t)(at + 1 - t->at);
}

/* Whoever reads it has the old text or the new one. Signals wait, so that nothing is left. */
static int write_file(const char *path, const struct text *t)
{
	sigset_t wait, before;
	struct stat st;
	int err;

	if (!lstat(path, &st) && !S_ISREG(st.st_mode))
		return log_refuse(-EINVAL, "write %s: not a regular file", path);
	sigemptyset(&wait);
	sigaddset(&wait, SIGINT);
	sigaddset(&wait, SIGTERM);
	sigaddset(&wait, SIGHUP);
	sigprocmask(SIG_BLOCK, &wait, &before);
	err = write_beside(path, t);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err ? log_err(err, "write %s", path) : 0;
}

int cmd_metrics(const struct opts *o, int argc, char **argv)
{
	bool openmetrics = argc && !strcmp(argv[0], WORD_OPENMETRICS);
	autotext struct text t = { 0 };
	int err = no_arguments("metrics", argc - openmetrics, argv + openmetrics);

	if (err)
		return err;
	if (openmetrics && o->textfile)
		return log_usage("--textfile is read by node_exporter, which takes the other "
				 "format: without '" WORD_OPENMETRICS "'");
	/* a child of the daemon, which answers from memory, must not ask it */
	err = daemon_facts || fileno(stdout) < 0 ? 1 : ask_daemon(o, openmetrics, &t);
	if (err == 1)
		err = read_guard(o, openmetrics, &t);
	if (!err && o->textfile)
		cut_process(&t);
	if (!err && o->textfile)
		err = write_file(o->textfile, &t);
	else if (!err)
		fwrite(t.at, 1, t.size, stdout);
	return exit_code(err);
}
