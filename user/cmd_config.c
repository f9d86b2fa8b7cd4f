/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check, diff, save: the configuration file beside what runs. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "config_run.h"
#include "json.h"
#include "pending.h"
#include "util.h"

/* One word at most; 0, or the exit code. */
int config_file_word(const char *command, int argc, char **argv, const char **path)
{
	*path = argc ? argv[0] : SW_CONFIG_DEFAULT;
	if (argc > 1)
		return log_usage("%s takes one FILE, got '%s' too", command, argv[1]);
	return argc && !*argv[0] ? log_usage("%s: an empty name is no FILE", command) : 0;
}

/* --- check -------------------------------------------------------------------------------- */

static void check_json(const char *path, const struct faults *f)
{
	struct json j;

	json_begin(&j, stdout);
	json_object(&j, NULL);
	json_str(&j, "file", path);
	json_u64(&j, "errors_total", f->total);
	json_array(&j, "errors");
	for (unsigned int i = 0; i < f->count; i++) {
		json_object(&j, NULL);
		json_str(&j, "file", f->list[i].file ? f->list[i].file : path);
		json_u64(&j, "line", f->list[i].at.line);
		json_u64(&j, "column", f->list[i].at.column);
		json_str(&j, "text", f->list[i].text);
		json_close(&j);
	}
	json_end(&j);
}

int cmd_check(const struct opts *o, int argc, char **argv)
{
	autofaults struct faults f = { 0 };
	autofree char *text = NULL;
	autoconfig struct config c;
	char name[256];
	const char *path;
	size_t len;
	int err = config_file_word("check", argc, argv, &path);

	config_default(&c);
	if (err)
		return err;
	if (!config_load(path, &text, &len, &f))
		config_parse(&c, path, text, len, &f);
	if (o->json) {
		check_json(path, &f);
		return f.total ? EXIT_FAILURE : 0;
	}
	faults_print(&f, path, stderr);
	text_tame(path, name, sizeof(name));
	if (f.total)
		return exit_code(log_refuse(-EINVAL, "%s: %u error%s", name, f.total,
					    f.total == 1 ? "" : "s"));
	printf("%s: no errors; %u services, %u entries of lists\n", name, c.services,
	       c.lists.count);
	return 0;
}

/* --- diff --------------------------------------------------------------------------------- */

static void print_change(void *json, enum config_has section, const char *command)
{
	(void)section;
	if (!json) {
		printf("%s\n", command);
		return;
	}
	json_object(json, NULL);
	json_str(json, "command", command);
	json_close(json);
}

unsigned int config_print_diff(const struct opts *o, const struct config *running,
			       const struct config *file)
{
	unsigned int changes;
	struct json j;

	if (!o->json)
		return config_diff(running, file, print_change, NULL);
	json_begin(&j, stdout);
	json_array(&j, NULL);
	changes = config_diff(running, file, print_change, &j);
	json_end(&j);
	return changes;
}

int cmd_diff(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autoconfig struct config running, file;
	const char *path;
	int err = config_file_word("diff", argc, argv, &path);

	config_default(&running);
	config_default(&file);
	if (err)
		return err;
	err = config_read_file(&file, path);
	if (!err)
		err = guard_open(&g, o->pin);
	if (!err)
		err = config_running(&g, &running);
	/* 2 is trouble, as of diff(1) */
	return err ? 2 : config_print_diff(o, &running, &file) > 0;
}

/* --- save --------------------------------------------------------------------------------- */

static void note_change(void *changes, enum config_has section, const char *command)
{
	(void)command;
	*(unsigned int *)changes |= section;
}

/* Does the text read as what runs? */
static bool reads_back(const struct config *running, const char *path, const char *text, size_t len)
{
	autofaults struct faults f = { 0 };
	autoconfig struct config again;
	unsigned int changes = 0;

	config_parse(&again, path, text, len, &f);
	if (!f.total)
		config_diff(running, &again, note_change, &changes);
	/* what is taken at attach only may be said otherwise */
	return !f.total && !(changes & ~(CONFIG_DEVICES | CONFIG_ENGINE | CONFIG_CONNECTIONS));
}

/* NULL in `old`: it is not there. What cannot be read is not written over. */
static int load_old(const char *path, char **old, size_t *len)
{
	autofaults struct faults f = { 0 };

	if (access(path, F_OK) || !config_load(path, old, len, &f))
		return 0;
	faults_print(&f, path, stderr);
	return log_refuse(-EIO, "%s stays as it is", path);
}

/* The file that is there brought up to date, or a whole new one. */
static int compose(const struct config *running, const char *path, char **text, size_t *len)
{
	autofree char *old = NULL;
	size_t old_len;
	int err = load_old(path, &old, &old_len);
	FILE *out = err ? NULL : open_memstream(text, len);
	bool good;

	if (!out)
		return err ? err : log_err(-ENOMEM, "write the configuration");
	good = old && !config_merge(running, path, old, old_len, out);
	fflush(out);
	good = good && reads_back(running, path, *text, *len);
	if (!good) {
		rewind(out);
		config_write(running, out);
		if (old)
			log_note("%s is written anew, its comments are lost", path);
	}
	if (fclose(out))
		return log_err(-ENOMEM, "write the configuration");
	/* a device may have a name that is no text */
	if (!good && *len <= TREE_SIZE_MAX && !reads_back(running, path, *text, *len))
		return log_refuse(-EINVAL, "what runs has names that no file can hold: see "
					   "'synwarden status'");
	if (*len > TREE_SIZE_MAX)
		return log_refuse(
			-EFBIG, "what runs does not fit into a file of 1 MiB: %u entries of lists",
			running->lists.count);
	return 0;
}

static int write_whole(int fd, const char *text, size_t len)
{
	for (ssize_t n; len; text += n, len -= (size_t)n) {
		n = write(fd, text, len);
		if (n < 0)
			return -errno;
	}
	return fsync(fd) ? -errno : 0;
}

/* Whoever made such a link chooses the file: the kernel asks that only of those who open it. */
static int check_link(const char *path)
{
	struct stat st;

	if (lstat(path, &st) || !S_ISLNK(st.st_mode) || !st.st_uid || st.st_uid == geteuid())
		return 0;
	return log_refuse(-EPERM, "%s is a link of user %u, which is not followed: name the file",
			  path, st.st_uid);
}

/* Beside it, then in its place: whoever reads it meanwhile reads a whole one. */
static int replace_file(const char *path, const char *text, size_t len)
{
	char real[PATH_MAX], new[PATH_MAX + 8];
	struct stat st = { .st_mode = 0640, .st_uid = geteuid(), .st_gid = getegid() };
	int fd, err = check_link(path);

	if (err)
		return err;
	if (realpath(path, real)) {
		if (stat(real, &st) || !S_ISREG(st.st_mode))
			return log_refuse(-EINVAL, "%s is not a regular file", path);
	} else if (errno != ENOENT || path_format(real, sizeof(real), "%s", path)) {
		return log_err(-errno, "write %s", path);
	}
	snprintf(new, sizeof(new), "%s.XXXXXX", real);
	fd = mkstemp(new);
	if (fd < 0)
		return log_err(-errno, "write beside %s", path);
	/* the owner first: to change it may take bits of the mode away */
	if (fchown(fd, st.st_uid, st.st_gid) || fchmod(fd, st.st_mode & 0777))
		err = -errno;
	if (!err)
		err = write_whole(fd, text, len);
	if (!err && rename(new, real))
		err = -errno;
	if (err)
		unlink(new);
	close(fd);
	return err ? log_err(err, "write %s", path) : 0;
}

/* The lock is released before the text goes to a pager, which may take its time. */
static int save(const struct guard *g, const char *path, int *lock)
{
	autoconfig struct config running;
	autofree char *text = NULL;
	size_t len = 0;
	int err = config_running(g, &running);

	if (!err)
		err = compose(&running, strcmp(path, "-") ? path : "", &text, &len);
	if (err)
		return err;
	if (!strcmp(path, "-")) {
		lock_release(lock);
		return fwrite(text, 1, len, stdout) == len ? 0 : -EIO;
	}
	err = replace_file(path, text, len);
	/* what was applied, if it was this file, was changed by nobody else */
	if (!err)
		applied_saved(g, path);
	return err;
}

int cmd_save(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	struct applied_record applied;
	autolock int lock = -1;
	const char *path;
	int err = config_file_word("save", argc, argv, &path);

	if (err)
		return err;
	err = guard_open_locked(&g, o->pin, &lock);
	if (!err)
		err = pending_clear(&g);
	if (err)
		return EXIT_FAILURE;
	if (!argc && applied_read(&g, &applied))
		path = applied.path;
	return exit_code(save(&g, path, &lock));
}
