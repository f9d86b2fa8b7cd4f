/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The devices of a guard, and which of them still carry it. Changing that is attach.c's. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kernel.h"
#include "links.h"
#include "util.h"

/*
 * A link goes with its device to another namespace, where the device may get another number. An
 * upgrade changes the program between the two questions: asked again, they agree.
 */
static bool is_elsewhere(const struct guard *g, const struct dev_state *d, struct link_now link)
{
	struct netdev_facts facts;

	for (int tries = 0; link.ifindex == d->ifindex && tries < 4; tries++) {
		if (netdev_facts(d->ifindex, &facts))
			return true;
		if (facts.xdp_prog == link.prog_id)
			return false;
		link = link_now(g, d->pins, "xdp");
	}
	return true;
}

/* Under a name it had before, where a change of its name was cut short; false: none. */
static bool find_pins(const struct guard *g, const struct dev_state *d, char name[IF_NAMESIZE])
{
	char path[PATH_MAX];
	DIR *dir = path_format(path, sizeof(path), "%s/links", g->dir) ? NULL : opendir(path);
	const struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= IF_NAMESIZE)
			continue;
		memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
		found = link_now(g, name, "xdp").ifindex == d->ifindex;
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool is_of_another(const struct dev_state *list, __u32 count, __u32 ifindex)
{
	for (__u32 i = 0; i < count; i++)
		if (list[i].ifindex == ifindex)
			return true;
	return false;
}

/* Its XDP link, wherever that is pinned. */
static struct link_now find_link(const struct guard *g, const struct dev_state *list, __u32 count,
				 struct dev_state *d)
{
	struct link_now link = link_now(g, d->dev.name, "xdp");

	memcpy(d->pins, d->dev.name, sizeof(d->pins));
	if (link.ifindex == d->ifindex)
		return link;
	if (find_pins(g, d, d->pins))
		return link_now(g, d->pins, "xdp");
	/* the device of a link gets another number only in another namespace */
	memcpy(d->pins, d->dev.name, sizeof(d->pins));
	if (link.ifindex && is_of_another(list, count, link.ifindex)) {
		d->pins[0] = '\0';
		link.ifindex = 0;
	}
	return link;
}

int dev_list(const struct guard *g, struct dev_state *list, __u32 *count)
{
	int err = mapio_devs(g, list, count);

	for (__u32 i = 0; !err && i < *count; i++) {
		struct dev_state *d = &list[i];
		struct link_now link = find_link(g, list, *count, d);

		d->alive = link.ifindex;
		d->elsewhere = d->alive && is_elsewhere(g, d, link);
	}
	return err;
}

/* 1: some are, 0: none is anywhere; all of them in another namespace: refused. */
static int check_here(const struct guard *g, const struct dev_state *list, __u32 count)
{
	const struct dev_state *away = NULL;

	for (__u32 i = 0; i < count; i++) {
		if (list[i].alive && !list[i].elsewhere)
			return 1;
		if (list[i].elsewhere)
			away = &list[i];
	}
	if (!away)
		return 0;
	return log_refuse(-EXDEV,
			  "the guard at %s is attached to %s in another network "
			  "namespace: run this there, or choose another --pin",
			  g->dir, away->dev.name);
}

int dev_here(const struct guard *g)
{
	struct dev_state list[SW_MAX_DEVS];
	__u32 count;
	int err = dev_list(g, list, &count);

	return err ? err : check_here(g, list, count);
}

int dev_forget(struct guard *g, const char *name)
{
	struct dev_state list[SW_MAX_DEVS];
	__u32 count;
	int err = dev_list(g, list, &count);

	for (__u32 i = 0; !err && i < count; i++) {
		if ((list[i].alive && !list[i].elsewhere) ||
		    (name && strcmp(name, list[i].dev.name)))
			continue;
		log_note("%s %s, forgotten", list[i].dev.name,
			 list[i].alive ? "moved to another network namespace" : "is gone");
		err = dev_detach(g, &list[i]);
	}
	return err;
}
