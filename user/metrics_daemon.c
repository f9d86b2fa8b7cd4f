/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon alone can tell of itself, as it comes to know it; see metrics.h. */
#include <sys/mman.h>
#include <time.h>

#include "facts.h"
#include "metrics.h"
#include "util.h"

const struct daemon_facts *daemon_facts;

static struct daemon_facts mine;

void metrics_daemon(__u32 rotate_s, const struct feed_counts *feed)
{
	void *cache = mmap(NULL, sizeof(*mine.cache), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	mine.pid = (__u32)getpid();
	mine.rotate_s = rotate_s;
	mine.feed = feed;
	/* without it each answer takes a walk */
	mine.cache = cache == MAP_FAILED ? NULL : cache;
	daemon_facts = &mine;
}

void metrics_daemon_armed(const struct facts *before, const struct facts *now)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		if (!services_same(&before->services.slot[id], &now->services.slot[id]))
			mine.armed_ns[id] = 0; /* another service's from now on */
		else if (facts_is_service(now, id) && facts_armed(now, id))
			mine.armed_ns[id] += now->taken_ns - before->taken_ns;
	}
}

void metrics_daemon_reload(bool ok)
{
	mine.reloaded = true;
	mine.reload_ok = ok;
	if (ok)
		mine.reload_ok_ns = clock_ns(CLOCK_MONOTONIC);
}
