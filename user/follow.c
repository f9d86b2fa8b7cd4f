/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Follows the devices of a guard: what a message or a look tells is compared with what was known,
 * said, and mended. Nothing is kept but in sw_devs: a daemon that starts finds the same wishes.
 */
#include <errno.h>
#include <string.h>

#include "follow.h"
#include "links.h"
#include "table.h"
#include "util.h"

/* A device that could not be attached again is tried when it changes, or after so long. */
#define AGAIN_S 60

static const char *master_name(__u32 master, char name[IF_NAMESIZE])
{
	return if_indextoname(master, name) ? name : "?";
}

static void say_master(const struct netdev_facts *now, const struct netdev_facts *before)
{
	char name[IF_NAMESIZE];

	if (now->master)
		log_note("%s: now a port of %s %s", now->name, now->master_kind,
			 master_name(now->master, name));
	else
		log_note("%s: no longer a port of a %s", now->name, before->master_kind);
}

/* What changed of a device that stays attached. */
static void say_changes(const struct netdev_facts *now, const struct netdev_facts *before)
{
	if (now->up != before->up)
		log_note("%s: link %s", now->name, now->up ? "up" : "down");
	else if (now->up && now->carrier != before->carrier)
		log_note("%s: carrier %s", now->name, now->carrier ? "back" : "lost");
	if (now->mtu != before->mtu)
		log_note("%s: MTU %u -> %u", now->name, before->mtu, now->mtu);
	if (now->master != before->master)
		say_master(now, before);
}

static void see(struct followed *w, const struct netdev_facts *now)
{
	if (w->seen.ifindex == now->ifindex) {
		say_changes(now, &w->seen);
		/* whatever kept it from being attached may have changed */
		if (memcmp(&w->seen, now, sizeof(*now)))
			w->failed_at_s = 0;
	}
	w->seen = *now;
}

bool follow_change(struct follow *f, const struct netdev_facts *facts)
{
	bool ours = false;

	for (__u32 i = 0; i < f->count; i++) {
		struct followed *w = &f->dev[i];

		if (w->d.ifindex == facts->ifindex && !facts->gone)
			see(w, facts);
		ours |= w->d.ifindex == facts->ifindex || !strcmp(w->d.dev.name, facts->name);
	}
	return ours;
}

enum plight plight_of(const struct plight_facts *f)
{
	if (f->linked) {
		if (!f->link_runs)
			return PLIGHT_MOVED;
		if (f->bridged)
			return PLIGHT_BRIDGED;
		if (!f->same_name)
			return PLIGHT_RENAMED;
		return f->tc_complete ? PLIGHT_FINE : PLIGHT_HALF;
	}
	if (f->pins && !f->wanted_here)
		return PLIGHT_GONE;
	if (f->pins)
		return f->foreign ? PLIGHT_DISPLACED : PLIGHT_CUT;
	return f->named_here && !f->foreign && !f->bridged ? PLIGHT_BACK : PLIGHT_WAITING;
}

static bool has_pins(const struct guard *g, const struct dev_state *d)
{
	char path[PATH_MAX];

	return !link_path(g, d->dev.name, "", path) && !access(path, F_OK);
}

static bool is_bridged(const struct guard *g, const struct netdev_facts *facts)
{
	return g->engine == SW_ENGINE_REQSK && facts->master &&
	       !strcmp(facts->master_kind, "bridge");
}

/* Looks at one device; what the kernel says of it becomes `facts`, of number 0 without one. */
static enum plight look(const struct guard *g, const struct dev_state *d,
			struct netdev_facts *facts)
{
	struct plight_facts f = { .pins = has_pins(g, d), .tc_complete = true };
	__u32 named = if_nametoindex(d->dev.name);
	__u32 subject = d->alive || f.pins ? d->ifindex : named;

	memset(facts, 0, sizeof(*facts));
	if (subject && netdev_facts(subject, facts))
		memset(facts, 0, sizeof(*facts));
	f.linked = d->alive;
	f.link_runs = d->alive && !d->elsewhere && facts->ifindex;
	f.wanted_here = facts->ifindex == d->ifindex;
	f.named_here = named;
	f.same_name = !strcmp(facts->name, d->dev.name) && !strcmp(d->pins, d->dev.name);
	f.foreign = facts->xdp_prog;
	f.bridged = is_bridged(g, facts);
	for (size_t i = 0; f.link_runs && i < TC_SIDES; i++)
		f.tc_complete &= tc_is_on(g, d, &tc_sides[i]);
	return plight_of(&f);
}

/* Takes all of it off the device, and keeps the wish. */
static int take_off(struct guard *g, const struct dev_state *d)
{
	int err = dev_detach(g, d);

	return mapio_dev_set(g, d->ifindex, &d->dev) ? -EIO : err;
}

/* A name it got in its last moment is the one to wait for. */
static int let_go(struct guard *g, struct followed *w)
{
	struct sw_dev *dev = &w->d.dev;
	int err = dev_detach(g, &w->d);

	if (w->seen.name[0])
		memcpy(dev->name, w->seen.name, sizeof(dev->name));
	log_note("%s: gone, its links are cleared; one of that name will be guarded again",
		 dev->name);
	w->waiting = true;
	return mapio_dev_set(g, w->d.ifindex, dev) ? -EIO : err;
}

static int put_back(struct guard *g, struct followed *w, const char *why)
{
	enum xdp_mode mode = w->d.dev.native ? XDP_MODE_AUTO : XDP_MODE_GENERIC;
	struct dev_state before = w->d;
	__u32 now = conn_now();
	int err;

	if (w->failed_at_s && conn_since(w->failed_at_s, now) < AGAIN_S)
		return 0;
	dev_detach(g, &before);
	err = dev_attach(g, before.dev.name, mode);
	if (err) {
		w->failed_at_s = now ? now : 1;
		log_note("%s: %s, and not guarded: again in %u s, or when it changes",
			 before.dev.name, why, AGAIN_S);
		return mapio_dev_set(g, before.ifindex, &before.dev);
	}
	w->waiting = false;
	w->failed_at_s = 0;
	log_note("%s: %s, attached again", before.dev.name, why);
	/* connections may have begun behind it */
	err = grace_renew(g);
	return err ? err : adopt_run(g);
}

static int mend_half(struct guard *g, struct followed *w)
{
	struct sw_dev *dev = &w->d.dev;

	for (size_t i = 0; i < TC_SIDES; i++) {
		if (tc_is_on(g, &w->d, &tc_sides[i]))
			continue;
		link_drop(g, dev->name, tc_sides[i].name);
		if (tc_attach(g, dev->name, w->d.ifindex, &tc_sides[i], dev)) {
			log_note("%s: its program at %s is gone and cannot be put back: taken off",
				 dev->name, tc_sides[i].words);
			return take_off(g, &w->d);
		}
		log_note("%s: its program at %s was gone, put back", dev->name, tc_sides[i].words);
	}
	return mapio_dev_set(g, w->d.ifindex, dev);
}

/* A device that waits for the name loses it: this one is guarded already. */
static int drop_namesake(struct guard *g, struct follow *f, const char *name)
{
	for (__u32 i = 0; i < f->count; i++) {
		const struct dev_state *d = &f->dev[i].d;

		if (d->alive || strcmp(d->dev.name, name))
			continue;
		/* nothing more is said of it */
		f->dev[i].waiting = true;
		return dev_detach(g, d);
	}
	return 0;
}

/*
 * The entry first, then the pins: where this is cut short the pins are found by the number of
 * their device. Another device of ours may have had that name, its pins make way.
 */
static int rename_device(struct guard *g, struct follow *f, struct followed *w)
{
	struct link_now other = link_now(g, w->seen.name, "xdp");
	struct dev_state *d = &w->d;
	char old[IF_NAMESIZE], aside[IF_NAMESIZE];
	int err = drop_namesake(g, f, w->seen.name);

	memcpy(old, d->dev.name, sizeof(old));
	memcpy(d->dev.name, w->seen.name, sizeof(d->dev.name));
	if (!err)
		err = mapio_dev_set(g, d->ifindex, &d->dev);
	if (!err && other.ifindex && other.ifindex != d->ifindex) {
		snprintf(aside, sizeof(aside), ":%u", other.ifindex);
		err = links_rename(g, d->dev.name, aside);
		for (__u32 i = 0; i < f->count; i++)
			if (f->dev[i].d.ifindex == other.ifindex)
				memcpy(f->dev[i].d.pins, aside, sizeof(aside));
	}
	if (!err && strcmp(d->pins, d->dev.name))
		err = links_rename(g, d->pins, d->dev.name);
	if (err)
		return err;
	if (strcmp(old, d->dev.name))
		log_note("%s: renamed to %s, its pins with it", old, d->dev.name);
	else
		log_note("%s: its pins were under another name, put right", old);
	return 0;
}

static int taken_off(struct guard *g, struct followed *w, const char *why)
{
	int err = take_off(g, &w->d);

	log_note("%s: %s, the guard is off it", w->d.dev.name, why);
	w->waiting = true;
	return err;
}

static int mend(struct guard *g, struct follow *f, struct followed *w, enum plight plight)
{
	char why[64];

	switch (plight) {
	case PLIGHT_FINE:
		return 0;
	case PLIGHT_RENAMED:
		return rename_device(g, f, w);
	case PLIGHT_MOVED:
		w->d.elsewhere = true;
		return taken_off(g, w, "moved to another network namespace");
	case PLIGHT_GONE:
		return let_go(g, w);
	case PLIGHT_DISPLACED:
		/* its name would need CAP_SYS_ADMIN */
		snprintf(why, sizeof(why), "XDP program of another (id %u) holds it",
			 w->seen.xdp_prog);
		return taken_off(g, w, why);
	case PLIGHT_BRIDGED:
		return taken_off(g, w, "port of a bridge, which engine reqsk cannot guard");
	case PLIGHT_HALF:
		return mend_half(g, w);
	case PLIGHT_CUT:
		return put_back(g, w, "its XDP link was detached");
	case PLIGHT_BACK:
		return put_back(g, w, "back");
	case PLIGHT_WAITING:
		if (!w->waiting)
			log_note("%s: not there, or held by another: waited for", w->d.dev.name);
		w->waiting = true;
		return 0;
	}
	return 0;
}

/* The devices of sw_devs, with what was known of each before. */
static int take_list(const struct guard *g, struct follow *f)
{
	struct dev_state list[SW_MAX_DEVS];
	struct follow before = *f;
	__u32 count;
	int err = dev_list(g, list, &count);

	if (err)
		return err;
	f->count = count;
	for (__u32 i = 0; i < count; i++) {
		struct followed *w = &f->dev[i];

		memset(w, 0, sizeof(*w));
		for (__u32 k = 0; k < before.count; k++)
			if (before.dev[k].d.ifindex == list[i].ifindex)
				*w = before.dev[k];
		w->d = list[i];
	}
	return 0;
}

/* A MAC address that changed decides what is answered. */
static int follow_mac(const struct guard *g, struct followed *w)
{
	if (!memcmp(w->d.dev.mac, w->seen.mac, sizeof(w->seen.mac)))
		return 0;
	memcpy(w->d.dev.mac, w->seen.mac, sizeof(w->seen.mac));
	log_note("%s: its MAC address changed, followed", w->d.dev.name);
	return mapio_dev_set(g, w->d.ifindex, &w->d.dev);
}

static bool needs_mending(const struct followed *w, enum plight plight)
{
	if (plight == PLIGHT_WAITING)
		return !w->waiting;
	return plight != PLIGHT_FINE || memcmp(w->d.dev.mac, w->seen.mac, sizeof(w->seen.mac));
}

static int look_at_all(struct guard *g, struct follow *f, bool mending, bool *wanting)
{
	int err = take_list(g, f);

	for (__u32 i = 0; i < f->count && !err; i++) {
		struct followed *w = &f->dev[i];
		struct netdev_facts facts;
		enum plight plight = look(g, &w->d, &facts);

		if (facts.ifindex)
			see(w, &facts);
		*wanting |= needs_mending(w, plight);
		if (mending)
			err = mend(g, f, w, plight);
		if (mending && !err && plight == PLIGHT_FINE)
			err = follow_mac(g, w);
	}
	return err;
}

int follow_check(struct guard *g, struct follow *f)
{
	autolock int lock = -1;
	bool wanting = false;
	int err = look_at_all(g, f, false, &wanting);

	if (err || !wanting)
		return err;
	err = lock_try(&lock);
	if (err)
		return err == -EBUSY ? 1 : err;
	/* a guard removed, or programs replaced, since */
	if (!guard_is_pinned(g))
		return 0;
	err = guard_reopen_programs(g);
	return err ? err : look_at_all(g, f, true, &wanting);
}

__u32 follow_guarded(const struct follow *f)
{
	__u32 on = 0;

	for (__u32 i = 0; i < f->count; i++)
		on += f->dev[i].d.alive && !f->dev[i].d.elsewhere;
	return on;
}
