/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pins of links: those of a device are in links/DEV; a '.' in its name is written ':', which no
 * device name holds, as a BPF file system refuses dots.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "links.h"
#include "util.h"

#define LINK_TYPE_TCX 11 /* Linux 6.6; not in the headers of Debian 12 */

const struct tc_side tc_sides[TC_SIDES] = {
	{ PROG_TC_IN, "tc_in", "tc ingress", TCX_INGRESS, BPF_TC_INGRESS },
	{ PROG_TC_OUT, "tc_out", "tc egress", TCX_EGRESS, BPF_TC_EGRESS },
};

int link_path(const struct guard *g, const char *dev, const char *leaf, char *path)
{
	char name[IF_NAMESIZE];

	snprintf(name, sizeof(name), "%s", dev);
	for (char *c = name; *c; c++)
		if (*c == '.')
			*c = ':';
	return path_format(path, PATH_MAX, "%s/links/%s%s%s", g->dir, name, *leaf ? "/" : "", leaf);
}

int link_get(const struct guard *g, const char *dev, const char *leaf)
{
	char path[PATH_MAX];
	int err = link_path(g, dev, leaf, path);
	int fd;

	if (err)
		return err;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

/* Linux detaches a link later when its last pin goes; asked to, it does so at once. */
void link_drop(const struct guard *g, const char *dev, const char *leaf)
{
	autoclose int fd = link_get(g, dev, leaf);
	char path[PATH_MAX];

	if (fd >= 0)
		bpf_link_detach(fd);
	if (!link_path(g, dev, leaf, path))
		unlink(path);
}

int link_pin(const struct guard *g, const char *dev, const char *leaf, int fd)
{
	char path[PATH_MAX];
	int err = link_path(g, dev, leaf, path);

	if (!err && bpf_obj_pin(fd, path))
		err = -errno;
	return err ? log_err(err, "pin link %s of %s", leaf, dev) : 0;
}

struct link_now link_now(const struct guard *g, const char *dev, const char *leaf)
{
	autoclose int fd = link_get(g, dev, leaf);
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);

	/* what else may be pinned there is not to be read as one */
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) ||
	    (info.type != BPF_LINK_TYPE_XDP && info.type != LINK_TYPE_TCX))
		return (struct link_now){ 0 };
	/* the tcx and XDP views share the place */
	return (struct link_now){ info.xdp.ifindex, info.prog_id };
}

int links_rename(const struct guard *g, const char *from, const char *to)
{
	char old[PATH_MAX], new[PATH_MAX];
	int err = link_path(g, from, "", old);

	if (!err)
		err = link_path(g, to, "", new);
	if (!err && rename(old, new))
		err = -errno;
	return err ? log_err(err, "move the pins of %s to %s", from, to) : 0;
}

__u32 prog_id_of(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) ? info.id : 0;
}

bool tc_is_on(const struct guard *g, const struct dev_state *d, const struct tc_side *side)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)d->ifindex, .attach_point = side->clsact);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	if (g->prog[side->prog] < 0)
		return true; /* this engine has none there */
	if (d->dev.tcx)
		return link_now(g, d->dev.name, side->name).ifindex == d->ifindex;
	return !bpf_tc_query(&hook, &opts);
}
