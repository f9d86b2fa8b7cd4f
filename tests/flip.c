// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flip: the halves of a guard's configuration change places again and again, by the word that
 * `apply` changes, and more often than an apply can. Not here: what the halves say.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "synwarden.h"

static __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "flip: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sleep_until(double when)
{
	struct timespec t = { .tv_sec = (time_t)when };

	t.tv_nsec = (long)((when - (double)t.tv_sec) * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* The programs write to the settings too: no longer than this holds a copy of them. */
static void flip(int fd)
{
	struct sw_settings s;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(fd, &zero, &s))
		die("read the settings");
	s.gen ^= SW_GEN_CONFIG;
	if (bpf_map_update_elem(fd, &zero, &s, BPF_EXIST))
		die("write the settings");
}

int main(int argc, char **argv)
{
	double gap, end, next, late = 0;
	int fd, flips = 0;

	if (argc != 4) {
		fputs("usage: flip PIN-OF-THE-SETTINGS MILLISECONDS SECONDS\n", stderr);
		return 2;
	}
	fd = bpf_obj_get(argv[1]);
	if (fd < 0)
		die(argv[1]);
	gap = atof(argv[2]) / 1e3;
	next = now();
	end = next + atof(argv[3]);
	/* an even number: what was in force is so again */
	for (; now() < end || flips & 1; flips++) {
		sleep_until(next);
		late = now() - next > late ? now() - next : late;
		flip(fd);
		next += gap;
	}
	printf("{\"flips\":%d,\"latest_ms\":%.1f}\n", flips, late * 1e3);
	return 0;
}
