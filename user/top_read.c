/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One look at a guard, which may go and come back meanwhile; see top.h. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "table.h"
#include "top.h"
#include "util.h"

/* A walk over the sources may take a twentieth of the time, no more. */
#define SOURCES_SHARE 20

static bool any_limited(const struct facts *f)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++)
		if (facts_is_service(f, id) && f->services.slot[id].limited)
			return true;
	return false;
}

static int read_sources(struct top_reader *r, struct top_sample *s, const struct top_sample *last)
{
	__u64 began = clock_ns(CLOCK_MONOTONIC);
	autosources struct sources src = { 0 };
	struct sw_source c;
	int err;

	s->sources = 0;
	s->now_s = conn_now();
	if (!any_limited(&s->facts))
		return 0;
	if (last && began < r->sources_ns && last->guard == s->guard) {
		memcpy(s->source, last->source, sizeof(s->source));
		s->sources = last->sources;
		s->now_s = last->now_s;
		return 0;
	}
	err = sources_open(&r->guard, &src, false);
	for (__u32 i = 0; i < src.slots && !err; i++)
		if (source_read(&src, i, &c))
			top_source_keep(s, &c);
	r->sources_ns = began + SOURCES_SHARE * (clock_ns(CLOCK_MONOTONIC) - began);
	return err;
}

static int reopen(struct top_reader *r)
{
	enum guard_found found;
	int err;

	if (r->open && guard_is_pinned(&r->guard))
		return 0;
	top_read_end(r);
	found = guard_find(r->pin);
	if (found == GUARD_NONE || found == GUARD_DEBRIS || found == GUARD_UNARMED)
		return -ENOENT;
	r->guard = (struct guard)GUARD_INIT;
	err = guard_open(&r->guard, r->pin);
	if (err)
		guard_close(&r->guard);
	r->open = !err;
	return err;
}

int top_read(struct top_reader *r, struct top_sample *s, const struct top_sample *last)
{
	int err = reopen(r);

	if (err)
		return err;
	s->guard = guard_id(&r->guard);
	s->engine = r->guard.engine;
	memcpy(s->max, r->guard.boot.max, sizeof(s->max));
	err = facts_read(&r->guard, &s->facts);
	if (!err)
		err = mapio_attacks(&r->guard, s->attack);
	return err ? err : read_sources(r, s, last);
}

void top_read_end(struct top_reader *r)
{
	if (r->open)
		guard_close(&r->guard);
	r->open = false;
}
