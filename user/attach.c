/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device and the guard: XDP link, tc links or filters, VLAN stripping, and all of it undone.
 * Not here: where links are pinned (links.c), what becomes of devices (devices.c).
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel.h"
#include "links.h"
#include "util.h"

static int xdp_refused(const char *name, enum xdp_mode mode, int err)
{
	switch (-err) {
	case EOPNOTSUPP:
		log_refuse(err, "%s: its driver has no %s XDP", name, text_xdp_mode_name(mode));
		break;
	case EBUSY:
	case EEXIST:
		log_refuse(err, "%s: another XDP program holds it", name);
		break;
	default:
		log_err(err, "%s: attach in %s XDP", name, text_xdp_mode_name(mode));
	}
	if (mode == XDP_MODE_NATIVE)
		log_hint("--xdp generic works with any driver, at a lower rate");
	return err;
}

static int xdp_attach(struct guard *g, const char *name, __u32 ifindex, enum xdp_mode mode,
		      struct sw_dev *dev)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	autoclose int link = -1;
	int native_err = 0;

	if (mode != XDP_MODE_GENERIC) {
		link = bpf_link_create(g->prog[PROG_XDP], (int)ifindex, BPF_XDP, &opts);
		native_err = link < 0 ? -errno : 0;
		dev->native = link >= 0;
		if (link < 0 && mode == XDP_MODE_NATIVE)
			return xdp_refused(name, mode, native_err);
	}
	if (link < 0) {
		opts.flags = XDP_FLAGS_SKB_MODE;
		link = bpf_link_create(g->prog[PROG_XDP], (int)ifindex, BPF_XDP, &opts);
		if (link < 0)
			return xdp_refused(name, XDP_MODE_GENERIC, -errno);
		if (mode == XDP_MODE_AUTO)
			log_note("%s: generic XDP, slower; native: %s", name,
				 strerror(-native_err));
	}
	return link_pin(g, name, "xdp", link);
}

static void clsact_drop(const struct guard *g, const struct bpf_tc_hook *hook,
			const struct tc_side *side)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	if (g->prog[side->prog] < 0 || bpf_tc_query(hook, &opts) ||
	    (opts.prog_id != prog_id_of(g->prog[side->prog]) &&
	     opts.prog_id != guard_next_prog_id(g, side->prog)))
		return;
	/* these tell what was found, a request may not carry them */
	opts.prog_fd = 0;
	opts.prog_id = 0;
	opts.flags = 0;
	bpf_tc_detach(hook, &opts);
}

/*
 * An ingress qdisc that was there before has no egress: the kernel takes a filter for that
 * side and puts it among those of ingress.
 */
static bool is_astray(const struct guard *g, __u32 ifindex, const struct tc_side *side)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	return side->clsact == BPF_TC_EGRESS && !bpf_tc_query(&hook, &opts) &&
	       opts.prog_id == prog_id_of(g->prog[side->prog]);
}

static int refuse_one_sided(const char *name)
{
	log_refuse(-EEXIST, "%s: its ingress qdisc leaves no room for a filter at tc egress", name);
	log_hint("'tc qdisc del dev %s ingress', and 'tc qdisc add dev %s clsact' for its filters",
		 name, name);
	return -EEXIST;
}

static int clsact_attach(struct guard *g, const char *name, __u32 ifindex,
			 const struct tc_side *side, struct sw_dev *dev)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = side->clsact);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY,
		    .prog_fd = g->prog[side->prog]);
	int err = bpf_tc_hook_create(&hook);

	if (err && err != -EEXIST)
		return log_err(err, "%s: make the clsact qdisc", name);
	/* one qdisc for both sides: the second finds it there */
	dev->made_clsact |= !err;
	err = bpf_tc_attach(&hook, &opts);
	if (is_astray(g, ifindex, side)) {
		hook.attach_point = BPF_TC_INGRESS;
		clsact_drop(g, &hook, side);
		return refuse_one_sided(name);
	}
	if (err == -EEXIST)
		return log_refuse(err,
				  "%s: a filter with priority %d and handle 0x%x exists at its %s",
				  name, TC_PRIORITY, TC_HANDLE, side->words);
	return err ? log_err(err, "%s: attach to %s", name, side->words) : 0;
}

int tc_attach(struct guard *g, const char *name, __u32 ifindex, const struct tc_side *side,
	      struct sw_dev *dev)
{
	autoclose int link = -1;

	if (g->prog[side->prog] < 0)
		return 0;
	link = bpf_link_create(g->prog[side->prog], (int)ifindex, side->tcx, NULL);
	if (link < 0) {
		log_debug("%s: no tcx: %s", name, strerror(errno));
		return clsact_attach(g, name, ifindex, side, dev);
	}
	dev->tcx = 1;
	return link_pin(g, name, side->name, link);
}

static void clsact_detach(const struct guard *g, const struct dev_state *d)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)d->ifindex);

	for (size_t i = 0; i < ARRAY_SIZE(tc_sides); i++) {
		hook.attach_point = tc_sides[i].clsact;
		clsact_drop(g, &hook, &tc_sides[i]);
	}
	if (!d->dev.made_clsact || netdev_has_tc_filters((int)d->ifindex))
		return;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
}

int dev_detach(struct guard *g, const struct dev_state *d)
{
	const char *pins = d->pins[0] ? d->pins : d->dev.name;
	char path[PATH_MAX];
	char now[IF_NAMESIZE];
	int err;

	link_drop(g, pins, "xdp");
	for (size_t i = 0; i < ARRAY_SIZE(tc_sides); i++)
		link_drop(g, pins, tc_sides[i].name);
	/* even where the XDP link is gone: no half of a guard; fails where the device is gone too */
	if (!d->elsewhere && !d->dev.tcx)
		clsact_detach(g, d);
	/* it may have been renamed since */
	if (!d->elsewhere && d->dev.rxvlan_was_on && if_indextoname(d->ifindex, now) &&
	    netdev_rxvlan_set(now, true))
		log_note("%s: VLAN tag stripping stays off: ethtool -K %s rxvlan on", now, now);
	err = link_path(g, pins, "", path);
	if (!err && rmdir(path) && errno != ENOENT)
		err = log_err(-errno, "remove %s", path);
	if (mapio_dev_del(g, d->ifindex))
		err = -EIO;
	return err;
}

/*
 * Hardware that takes the VLAN tag off hides it from XDP, which runs on the bare frame. The
 * entry says so before it is done: a run that is killed in between is put right later.
 */
static int rxvlan_off(const struct guard *g, struct dev_state *d)
{
	const char *name = d->dev.name;
	int err;

	if (netdev_flag(name, ETHTOOL_GFLAGS, ETH_FLAG_RXVLAN) != 1)
		return 0;
	d->dev.rxvlan_was_on = 1;
	err = mapio_dev_set(g, d->ifindex, &d->dev);
	if (err || !netdev_rxvlan_set(name, false))
		return err;
	d->dev.rxvlan_was_on = 0;
	log_note("%s: its driver always strips VLAN tags, tagged traffic is judged as untagged",
		 name);
	return 0;
}

static int check_device(const struct guard *g, const char *name, __u32 ifindex, struct sw_dev *dev)
{
	int type = netdev_type(name);
	struct xdp_owner owner;
	int err;

	if (type != ARPHRD_ETHER)
		return log_refuse(-EOPNOTSUPP, "%s: not an Ethernet device (type %d)", name, type);
	/* what a bridge passes up has lost the request socket of its handshake */
	if (g->engine == SW_ENGINE_REQSK && netdev_is_bridge_port(name)) {
		log_refuse(-EOPNOTSUPP, "%s: port of a bridge, which engine reqsk cannot guard",
			   name);
		log_hint("--engine listener guards the host behind a bridge");
		return -EOPNOTSUPP;
	}
	err = netdev_mac(name, dev->mac);
	if (err)
		return log_err(err, "%s: read its MAC address", name);
	err = netdev_xdp_owner((int)ifindex, &owner);
	if (err)
		return log_err(err, "%s: ask for its XDP program", name);
	if (owner.id) {
		log_refuse(-EBUSY, "%s: XDP program '%s' (id %u) is attached, it stays", name,
			   owner.name, owner.id);
		log_hint("bpftool prog show id %u tells whose it is; detach it there first",
			 owner.id);
		return -EBUSY;
	}
	return 0;
}

/* Did everything stay that was attached a moment ago? */
static bool links_stay(const struct guard *g, const struct dev_state *d)
{
	const char *name = d->dev.name;
	struct xdp_owner owner;

	if (netdev_xdp_owner((int)d->ifindex, &owner) ||
	    owner.id != prog_id_of(g->prog[PROG_XDP]) ||
	    link_now(g, name, "xdp").ifindex != d->ifindex)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(tc_sides) && d->dev.tcx; i++)
		if (g->prog[tc_sides[i].prog] >= 0 &&
		    link_now(g, name, tc_sides[i].name).ifindex != d->ifindex)
			return false;
	return true;
}

static int dev_hook_up(struct guard *g, struct dev_state *d, enum xdp_mode mode)
{
	const char *name = d->dev.name;
	char path[PATH_MAX];
	int err = link_path(g, name, "", path);

	/* known before the first packet: its MAC decides what is answered */
	if (!err)
		err = mapio_dev_set(g, d->ifindex, &d->dev);
	if (!err && mkdir(path, 0700))
		err = log_err(-errno, "make %s", path);
	/* tc first: nothing is marked until XDP runs */
	for (size_t i = 0; i < ARRAY_SIZE(tc_sides) && !err; i++)
		err = tc_attach(g, name, d->ifindex, &tc_sides[i], &d->dev);
	if (!err)
		err = xdp_attach(g, name, d->ifindex, mode, &d->dev);
	if (!err)
		err = rxvlan_off(g, d);
	if (!err)
		err = mapio_dev_set(g, d->ifindex, &d->dev);
	if (err)
		return err;
	return links_stay(g, d) ? 0 : log_refuse(-EIO, "%s: the links did not stay", name);
}

int dev_attach(struct guard *g, const char *name, enum xdp_mode mode)
{
	struct dev_state d = { .ifindex = if_nametoindex(name), .alive = true };
	int err;

	if (!d.ifindex)
		return log_refuse(-ENODEV, "no device '%s' in this network namespace", name);
	snprintf(d.dev.name, sizeof(d.dev.name), "%s", name);
	err = check_device(g, name, d.ifindex, &d.dev);
	if (err)
		return err;
	err = dev_hook_up(g, &d, mode);
	if (err)
		dev_detach(g, &d);
	return err;
}
