/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What became different from one sample to the next, in words. Pure; see top.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arming.h"
#include "sources.h"
#include "top.h"

void top_changes_say(struct top_changes *c, __u64 ns, const char *fmt, ...)
{
	__u32 at = c->count++ % TOP_CHANGES;
	va_list args;

	c->at[at].ns = ns;
	va_start(args, fmt);
	vsnprintf(c->at[at].text, sizeof(c->at[at].text), fmt, args);
	va_end(args);
}

static void settings_changed(struct top_changes *c, __u64 ns, const char *name,
			     const struct sw_service *a, const struct sw_service *b)
{
	char marks[ARMING_TEXT];

	if (a->mode != b->mode)
		top_changes_say(c, ns, "%s: mode %s, was %s", name, text_mode_name(b->mode),
				text_mode_name(a->mode));
	if (a->host_syns_pps != b->host_syns_pps)
		top_changes_say(c, ns, "%s: host-syns %u, was %u", name, b->host_syns_pps,
				a->host_syns_pps);
	if (memcmp(&a->upper, &b->upper, sizeof(a->upper)) ||
	    memcmp(&a->lower, &b->lower, sizeof(a->lower)) || a->hold_s != b->hold_s)
		top_changes_say(c, ns, "%s: arms at %s", name, arming_text(b, marks));
	if (memcmp(a->limit, b->limit, sizeof(a->limit)) || a->over != b->over ||
	    a->ban_s != b->ban_s)
		top_changes_say(c, ns, "%s: other limits on its sources", name);
}

static void service_changed(struct top_changes *c, const struct facts *last,
			    const struct facts *now, __u32 id)
{
	const struct sw_service *a = &last->services.slot[id], *b = &now->services.slot[id];
	bool was = facts_is_service(last, id), is = facts_is_service(now, id);
	char name[TEXT_SERVICE];

	if (was && (!is || !services_same(a, b)))
		top_changes_say(c, now->taken_ns, "%s: deleted", text_service_name(a, name));
	if (!is)
		return;
	text_service_name(b, name);
	if (!was || !services_same(a, b)) {
		top_changes_say(c, now->taken_ns, "%s: added, mode %s", name,
				text_mode_name(b->mode));
		return;
	}
	settings_changed(c, now->taken_ns, name, a, b);
	if (facts_armed(now, id) && !facts_armed(last, id))
		top_changes_say(c, now->taken_ns, "%s: under attack", name);
	if (!facts_armed(now, id) && facts_armed(last, id))
		top_changes_say(c, now->taken_ns, "%s: calm again", name);
	for (__u32 r = 1; r < SW_REASON_MAX; r++)
		if (now->count[id][r].packets < last->count[id][r].packets) {
			top_changes_say(c, now->taken_ns, "%s: its counts began anew", name);
			return;
		}
}

static const struct dev_state *find_dev(const struct facts *f, __u32 ifindex)
{
	for (__u32 i = 0; i < f->devs; i++)
		if (f->dev[i].ifindex == ifindex)
			return &f->dev[i];
	return NULL;
}

static void devices_changed(struct top_changes *c, const struct facts *last,
			    const struct facts *now)
{
	for (__u32 i = 0; i < last->devs; i++)
		if (!find_dev(now, last->dev[i].ifindex))
			top_changes_say(c, now->taken_ns, "device %s: no longer guarded",
					last->dev[i].dev.name);
	for (__u32 i = 0; i < now->devs; i++) {
		const struct dev_state *d = &now->dev[i], *was = find_dev(last, d->ifindex);

		if (!was)
			top_changes_say(c, now->taken_ns, "device %s: guarded, %s XDP", d->dev.name,
					d->dev.native ? "native" : "generic");
		else if (was->alive != d->alive)
			top_changes_say(c, now->taken_ns, "device %s: %s", d->dev.name,
					d->alive ? "back" : "gone");
	}
}

static const char *armed_text(enum sw_armed armed)
{
	if (armed == SW_ARMED)
		return "armed";
	return armed == SW_DRAINING ? "draining: SYNs pass" : "not armed: everything passes";
}

void top_changes_find(struct top_changes *c, const struct top_sample *last,
		      const struct top_sample *now)
{
	const struct facts *a = &last->facts, *b = &now->facts;

	if (last->guard != now->guard) {
		top_changes_say(c, b->taken_ns, "a new guard: its counts begin at 0");
		return;
	}
	if (a->settings.armed != b->settings.armed)
		top_changes_say(c, b->taken_ns, "guard %s", armed_text(b->settings.armed));
	if (a->sched.now != b->sched.now)
		top_changes_say(c, b->taken_ns, "a new cookie key");
	for (__u32 i = 0; i < SW_TABLE_MAX; i++)
		if (b->table[i].full > a->table[i].full)
			top_changes_say(c, b->taken_ns, "table %s is full",
					text_table_name((enum sw_table)i));
	devices_changed(c, a, b);
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++)
		service_changed(c, a, b, id);
}
