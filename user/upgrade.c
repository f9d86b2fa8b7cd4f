/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs replaced where they run: each hook goes from one to the next between two packets.
 * For a moment hooks of both builds work side by side, on the same maps; what XDP writes in
 * front of a packet for tc (bpf/packet.h) is therefore of the ABI version, too.
 */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "links.h"
#include "util.h"

static int replace_link(const struct guard *to, const char *pins, const char *leaf, int prog)
{
	autoclose int link = link_get(to, pins, leaf);

	/* one that is gone is put back by `run`, with the new program */
	if (link == -ENOENT)
		return 0;
	if (link < 0)
		return log_err(link, "open link %s of %s", leaf, pins);
	if (!bpf_link_update(link, prog, NULL))
		return 1;
	/* detached by someone: again, for `run` */
	return errno == ENOLINK ? 0 : log_err(-errno, "%s: replace the program at %s", pins, leaf);
}

static int replace_filter(const struct dev_state *d, const struct tc_side *side, int prog)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)d->ifindex, .attach_point = side->clsact);
	LIBBPF_OPTS(bpf_tc_opts, there, .handle = TC_HANDLE, .priority = TC_PRIORITY);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY,
		    .prog_fd = prog, .flags = BPF_TC_F_REPLACE);
	int err;

	if (bpf_tc_query(&hook, &there))
		return 0;
	err = bpf_tc_attach(&hook, &opts);
	return err ? log_err(err, "%s: replace the filter at %s", d->dev.name, side->words) : 1;
}

/* How many hooks, or negative errno. */
static int replace_device(const struct guard *to, const struct dev_state *d)
{
	int hooks = 0, got;

	/* tc first: nothing is marked for it but by XDP */
	for (size_t i = 0; i < TC_SIDES; i++) {
		int prog = to->prog[tc_sides[i].prog];

		if (prog < 0)
			continue;
		got = d->dev.tcx ? replace_link(to, d->pins, tc_sides[i].name, prog) :
				   replace_filter(d, &tc_sides[i], prog);
		if (got < 0)
			return got;
		hooks += got;
	}
	got = replace_link(to, d->pins, "xdp", to->prog[PROG_XDP]);
	return got < 0 ? got : hooks + got;
}

int dev_upgrade(const struct guard *from, const struct guard *to, __u32 *hooks)
{
	struct dev_state list[SW_MAX_DEVS];
	__u32 count, i;
	int got = dev_list(from, list, &count);

	*hooks = 0;
	for (i = 0; i < count && got >= 0; i++) {
		got = list[i].alive ? replace_device(to, &list[i]) : 0;
		*hooks += got > 0 ? (__u32)got : 0;
	}
	if (got >= 0)
		return 0;
	log_hint("the programs that ran before are put back");
	while (i--)
		if (list[i].alive)
			replace_device(from, &list[i]);
	return got;
}
