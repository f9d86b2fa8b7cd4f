/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor: what this machine and its devices will do, and what to change. Changes nothing. */
#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "cmd.h"
#include "json.h"
#include "util.h"

enum grade {
	GRADE_OK,
	GRADE_NOTE, /* works, worth knowing */
	GRADE_FIX,  /* attach fails, or the guard is much less than it can be */
};

static const char *const grade_names[] = { "OK", "NOTE", "FIX" };

struct report {
	struct json j;
	bool json;
	const char *device; /* NULL: the host */
	unsigned int fixes;
};

static void say(struct report *r, enum grade grade, const char *what, const char *fmt, ...)
	format_like(4);

static void say(struct report *r, enum grade grade, const char *what, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	r->fixes += grade == GRADE_FIX;
	if (!r->json) {
		printf("%-5s %-10s %-16s %s\n", grade_names[grade], r->device ? r->device : "host",
		       what, text);
		return;
	}
	json_object(&r->j, NULL);
	json_str(&r->j, "grade", grade_names[grade]);
	if (r->device)
		json_str(&r->j, "device", r->device);
	else
		json_null(&r->j, "device");
	json_str(&r->j, "check", what);
	json_str(&r->j, "text", text);
	json_close(&r->j);
}

static void host_kernel(struct report *r)
{
	struct utsname u;
	long jit;

	uname(&u);
	say(r, GRADE_OK, "kernel", "%s %s", u.release, u.machine);
	if (probe_has_btf())
		say(r, GRADE_OK, "btf", "/sys/kernel/btf/vmlinux");
	else
		say(r, GRADE_FIX, "btf",
		    "no /sys/kernel/btf/vmlinux: a kernel with CONFIG_DEBUG_INFO_BTF=y");
	if (file_read_long("/proc/sys/net/core/bpf_jit_enable", &jit))
		say(r, GRADE_NOTE, "jit", "net.core.bpf_jit_enable cannot be read here");
	else if (jit)
		say(r, GRADE_OK, "jit", "on");
	else
		say(r, GRADE_FIX, "jit",
		    "off, packets cost many times more: sysctl net.core.bpf_jit_enable=1");
}

static void host_engine(struct report *r)
{
	char why[160] = "";

	if (probe_missing_capability()) {
		say(r, GRADE_NOTE, "engine",
		    "not tried without privilege; the kernel has %s bpf_sk_assign_tcp_reqsk",
		    probe_kernel_function("bpf_sk_assign_tcp_reqsk") ? "the kfunc" : "no kfunc");
		return;
	}
	switch (guard_probe_engine(why, sizeof(why))) {
	case SW_ENGINE_REQSK:
		say(r, GRADE_OK, "engine", "reqsk: cookies keep all TCP options");
		break;
	case SW_ENGINE_LISTENER:
		say(r, GRADE_NOTE, "engine", "listener: cookies keep only the MSS; not reqsk: %s",
		    why);
		break;
	default:
		say(r, GRADE_FIX, "engine", "none loads: needs Linux 6.0 with BTF; %s", why);
	}
}

static void host_rights(struct report *r, const char *pin)
{
	const char *missing = probe_missing_capability();

	if (missing)
		say(r, GRADE_FIX, "capabilities", "%s is missing: run attach as root", missing);
	else
		say(r, GRADE_OK, "capabilities", "CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON");
	if (probe_is_bpffs(pin))
		say(r, GRADE_OK, "bpffs", "mounted for %s", pin);
	else
		say(r, GRADE_FIX, "bpffs",
		    "no BPF file system for %s: mount -t bpf bpf /sys/fs/bpf", pin);
}

static void host_sysctls(struct report *r)
{
	static const struct {
		const char *name;
		const char *loss;
	} options[] = {
		{ "tcp_timestamps", "cookies hold fewer window scales" },
		{ "tcp_window_scaling", "connections are limited to 64 KB in flight" },
		{ "tcp_sack", "losses cost more" },
	};
	char path[80];
	long value;

	if (file_read_long(SYSCTL_SYNCOOKIES, &value))
		say(r, GRADE_FIX, "tcp_syncookies",
		    "cannot be read: a kernel with CONFIG_SYN_COOKIES=y");
	else if (!value)
		say(r, GRADE_NOTE, "tcp_syncookies", "0: attach raises it until the last detach");
	else
		say(r, GRADE_OK, "tcp_syncookies", "%ld", value);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", options[i].name);
		if (file_read_long(path, &value))
			continue;
		if (value)
			say(r, GRADE_OK, options[i].name, "%ld", value);
		else
			say(r, GRADE_NOTE, options[i].name, "0: %s; sysctl net.ipv4.%s=1",
			    options[i].loss, options[i].name);
	}
	if (!file_read_long("/proc/sys/net/netfilter/nf_conntrack_count", &value) && value > 0)
		say(r, GRADE_NOTE, "conntrack",
		    "tracks %ld flows: it sees no SYN of a client, so guarded ports are to be accepted "
		    "before rules that drop what is new or invalid without one",
		    value);
	if (!file_read_long("/proc/sys/net/core/somaxconn", &value) && value < 1024)
		say(r, GRADE_NOTE, "somaxconn",
		    "%ld bounds the accept queues: sysctl net.core.somaxconn=4096", value);
}

/* Drivers with native XDP before kernels could be asked (Linux 6.3). */
static bool is_known_native(const char *driver)
{
	static const char *const known[] = {
		"veth",          "virtio_net",    "mlx4_en",  "mlx5_core", "ixgbe",     "ixgbevf",
		"i40e",          "ice",           "igb",      "igc",       "ena",       "gve",
		"bnxt_en",       "nfp",           "qede",     "tun",       "hv_netvsc", "mvneta",
		"mvpp2",         "stmmac",        "sfc",      "bonding",   "vmxnet3",   "mana",
		"thunder-nicvf", "fsl_dpaa2_eth", "atlantic",
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i], driver))
			return true;
	return false;
}

static void device_driver(struct report *r, int ifindex)
{
	char driver[32] = "unknown";
	__u64 features;
	bool asked = !netdev_xdp_features(ifindex, &features);
	bool native;

	netdev_driver(r->device, driver, sizeof(driver));
	native = asked ? features & 1 : is_known_native(driver);
	if (native)
		say(r, GRADE_OK, "driver", "%s: native XDP%s", driver,
		    asked && !(features & 32) ? ", single buffer only (watch the MTU)" : "");
	else
		say(r, GRADE_NOTE, "driver", "%s: %s native XDP, attach falls back to generic",
		    driver, asked ? "no" : "not known for");
	if (!strcmp(driver, "veth"))
		say(r, GRADE_NOTE, "veth",
		    "native answers reach a peer only if it runs XDP or has gro on");
}

static void device_offloads(struct report *r)
{
	__u32 rx = 0, tx = 0;

	if (netdev_flag(r->device, ETHTOOL_GFLAGS, ETH_FLAG_LRO) == 1)
		say(r, GRADE_FIX, "lro", "on, keeps native XDP away: ethtool -K %s lro off",
		    r->device);
	if (netdev_flag(r->device, ETHTOOL_GFLAGS, ETH_FLAG_RXVLAN) == 1)
		say(r, GRADE_NOTE, "rxvlan", "on: attach switches it off until detach");
	if (netdev_queues(r->device, &rx, &tx))
		return;
	if (tx < rx)
		say(r, GRADE_NOTE, "queues",
		    "%u receive, %u transmit: native XDP wants as many of both", rx, tx);
	else
		say(r, GRADE_OK, "queues", "%u receive, %u transmit", rx, tx);
}

static void device_owner(struct report *r, int ifindex)
{
	struct xdp_owner owner;

	if (netdev_xdp_owner(ifindex, &owner))
		return;
	if (!owner.id)
		say(r, GRADE_OK, "xdp", "no program attached");
	else if (!strcmp(owner.name, "sw_xdp"))
		say(r, GRADE_OK, "xdp", "guarded (program id %u)", owner.id);
	else
		say(r, GRADE_FIX, "xdp",
		    "program '%s' (id %u) is attached, attach will refuse: detach it first",
		    owner.name, owner.id);
}

static void check_device(struct report *r, const char *name)
{
	int ifindex = (int)if_nametoindex(name);
	int type = netdev_type(name);
	int mtu = netdev_mtu(name);

	r->device = name;
	if (type != ARPHRD_ETHER) {
		say(r, GRADE_FIX, "type",
		    "not an Ethernet device (type %d): guard the device below it", type);
		return;
	}
	device_driver(r, ifindex);
	device_owner(r, ifindex);
	device_offloads(r);
	if (mtu < 1280)
		say(r, GRADE_NOTE, "mtu", "%d: below IPv6's 1280", mtu);
	else
		say(r, GRADE_OK, "mtu", "%d", mtu);
}

static int check_all_devices(struct report *r)
{
	struct if_nameindex *list = if_nameindex();

	if (!list)
		return log_err(-errno, "list the devices");
	for (const struct if_nameindex *d = list; d->if_index; d++)
		if (strcmp(d->if_name, "lo"))
			check_device(r, d->if_name);
	if_freenameindex(list);
	return 0;
}

int cmd_doctor(const struct opts *o, int argc, char **argv)
{
	struct report r = { .json = o->json };
	int err = 0;

	for (int i = 0; i < argc; i++)
		if (!if_nametoindex(argv[i]))
			return exit_code(log_refuse(
				-ENODEV, "no device '%.64s' in this network namespace", argv[i]));
	if (r.json) {
		json_begin(&r.j, stdout);
		json_array(&r.j, NULL);
	}
	host_kernel(&r);
	host_engine(&r);
	host_rights(&r, o->pin);
	host_sysctls(&r);
	for (int i = 0; i < argc; i++)
		check_device(&r, argv[i]);
	if (!argc)
		err = check_all_devices(&r);
	if (r.json)
		json_end(&r.j);
	return exit_code(err);
}
