/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's clocks, as the programs read them. In a time namespace this process sees others,
 * moved by an offset: ages, ends of bans and epochs of keys would be wrong by it.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "text.h"
#include "util.h"

#define OFFSETS    "/proc/self/timens_offsets"
#define NS_PER_S   1000000000LL
#define OFFSET_MAX 0xffffffffULL /* seconds; the kernel takes no such offset */

static struct offsets {
	__s64 monotonic_ns;
	__s64 boottime_ns;
} offsets;

/* "monotonic  -86400  0": seconds, which may be negative, and nanoseconds, which are not. */
static void offset_read(char *line)
{
	const char *clock = strtok(line, " \n"), *s = strtok(NULL, " \n"),
		   *ns = strtok(NULL, " \n");
	__u64 seconds, rest;
	__s64 offset;

	if (!clock || !s || !ns || text_u64(s + (*s == '-'), 0, OFFSET_MAX, &seconds) ||
	    text_u64(ns, 0, NS_PER_S, &rest))
		return;
	offset = (__s64)seconds * NS_PER_S;
	offset = (*s == '-' ? -offset : offset) + (__s64)rest;
	if (!strcmp(clock, "monotonic"))
		offsets.monotonic_ns = offset;
	else if (!strcmp(clock, "boottime"))
		offsets.boottime_ns = offset;
}

void clock_begin(void)
{
	FILE *f = fopen(OFFSETS, "re");
	char line[128];

	if (!f) /* a kernel without time namespaces */
		return;
	while (fgets(line, sizeof(line), f))
		offset_read(line);
	fclose(f);
}

__u64 clock_ns(int clock)
{
	struct timespec ts;
	__s64 ns;

	clock_gettime(clock, &ts);
	ns = (__s64)ts.tv_sec * NS_PER_S + ts.tv_nsec;
	if (clock == CLOCK_MONOTONIC)
		ns -= offsets.monotonic_ns;
	else if (clock == CLOCK_BOOTTIME)
		ns -= offsets.boottime_ns;
	return (__u64)ns;
}

__u64 wall_ns(__u64 monotonic_ns)
{
	return clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC) + monotonic_ns;
}
