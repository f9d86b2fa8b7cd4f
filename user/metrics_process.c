/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc of the daemon and of a map; see metrics_read.h. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "metrics_read.h"
#include "session.h"
#include "text.h"
#include "util.h"

/* Fields of /proc/PID/stat behind the name, which is in parentheses and may hold any byte. */
enum stat_field {
	STAT_UTIME = 11,
	STAT_STIME = 12,
	STAT_START = 19,
	STAT_VSIZE = 20,
	STAT_RSS = 21,
	STAT_FIELDS,
};

static bool read_stat(const char *pid, __u64 value[STAT_FIELDS])
{
	size_t size;
	autofree char *text = proc_read(pid, "stat", &size);
	char *at = text ? strrchr(text, ')') : NULL, *word;

	if (!at)
		return false;
	at++;
	for (int i = 0; i < STAT_FIELDS; i++) {
		word = next_word(&at);
		if (!word)
			return false;
		if (text_u64(word, 0, ULLONG_MAX, &value[i]))
			value[i] = 0; /* a letter, or below zero: none of those that are used */
	}
	return true;
}

/* The number in the line "NAME<blank>NUMBER"; 0: there is none. */
static __u64 number_of(const char *pid, const char *file, const char *name)
{
	size_t size;
	autofree char *text = proc_read(pid, file, &size);
	char *line = text ? strstr(text, name) : NULL;
	__u64 value = 0;

	if (!line)
		return 0;
	line += strlen(name);
	line += strspn(line, " \t");
	line[strcspn(line, " \n")] = '\0';
	return text_u64(line, 0, ULLONG_MAX, &value) ? 0 : value;
}

static bool count_fds(const char *pid, __u32 *fds)
{
	char path[64];
	DIR *dir = path_format(path, sizeof(path), "/proc/%s/fd", pid) ? NULL : opendir(path);
	const struct dirent *entry;

	if (!dir)
		return false;
	*fds = 0;
	while ((entry = readdir(dir)))
		*fds += entry->d_name[0] != '.';
	closedir(dir);
	return true;
}

void process_read(__u32 pid, struct process_use *use)
{
	__u64 value[STAT_FIELDS], boot_s = number_of("", "stat", "\nbtime");
	__u64 tick_ns = 1000000000 / (__u64)sysconf(_SC_CLK_TCK);
	char name[16];

	memset(use, 0, sizeof(*use));
	snprintf(name, sizeof(name), "%u", pid);
	if (!read_stat(name, value) || !boot_s)
		return;
	use->cpu_ns = (value[STAT_UTIME] + value[STAT_STIME]) * tick_ns;
	use->start_ns = boot_s * 1000000000 + value[STAT_START] * tick_ns;
	use->virtual_bytes = value[STAT_VSIZE];
	use->rss_bytes = value[STAT_RSS] * (__u64)sysconf(_SC_PAGESIZE);
	use->known = true;
	use->fds_known = count_fds(name, &use->fds);
	use->fds_max = number_of(name, "limits", "\nMax open files");
}

__u64 map_bytes(int fd)
{
	char file[32];

	snprintf(file, sizeof(file), "fdinfo/%d", fd);
	return number_of("self", file, "\nmemlock:");
}
