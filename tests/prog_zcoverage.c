/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs last: every reason of sw_reasons.h was reached by a test of this ring. The binaries
 * before it have appended what they hit to the file that SW_COVERAGE names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

static bool hit[SW_REASON_MAX];

static void read_hits(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[64];

	if (!f) {
		FAIL("%s: %m", path);
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		for (int r = 1; r < SW_REASON_MAX; r++)
			hit[r] |= strcmp(line, reason_name(r)) == 0;
	}
	fclose(f);
}

/* Not reachable here, and why. */
static const char *excuse(enum sw_reason r)
{
	static const enum sw_reason reqsk_only[] = {
		SW_PASS_KEEPALIVE, SW_PASS_COOKIE_USED, SW_PASS_HOST_COOKIE, SW_DROP_EXPIRED,
		SW_PASS_UNASKED,   SW_TC_HANDED_OVER,   SW_TC_KNOWN,         SW_TC_NO_LISTENER,
		SW_TC_REFUSED,     SW_TC_EARLY,
	};

	if (r == SW_DROP_BUG)
		return "no packet may reach it";
	if (r == SW_PASS_NO_TAILROOM)
		return "BPF_PROG_TEST_RUN always has tailroom for four bytes";
	if (r == SW_PASS_SPLIT_HEADER)
		return "a driver's doing: the first buffer of BPF_PROG_TEST_RUN holds 3.5 kB";
	if (guard.engine == SW_ENGINE_REQSK)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(reqsk_only); i++)
		if (reqsk_only[i] == r)
			return "engine reqsk, which this kernel has not";
	return NULL;
}

TEST(every_reason_was_reached_by_a_test, "")
{
	const char *path = getenv("SW_COVERAGE");

	if (!path || !*path)
		test_skip("SW_COVERAGE names no file: run the whole ring");
	read_hits(path);
	for (int r = 1; r < SW_REASON_MAX; r++) {
		const char *why = excuse(r);

		if (r == SW_DROP_BUG && hit[r])
			FAIL("DROP_BUG was counted");
		else if (!hit[r] && why)
			test_note("%s not reached: %s", reason_name(r), why);
		else if (!hit[r])
			FAIL("%s was reached by no test", reason_name(r));
	}
}
