/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a network device is and has, asked by ioctl and sysfs. Silent: callers say it. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel.h"
#include "util.h"

static int dev_ioctl(const char *name, unsigned long cmd, struct ifreq *req)
{
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(req->ifr_name, sizeof(req->ifr_name), "%s", name);
	return ioctl(fd, cmd, req) ? -errno : 0;
}

static int ethtool_ioctl(const char *name, void *data)
{
	struct ifreq req = { .ifr_data = data };

	return dev_ioctl(name, SIOCETHTOOL, &req);
}

int netdev_mac(const char *name, __u8 mac[6])
{
	struct ifreq req = { 0 };
	int err = dev_ioctl(name, SIOCGIFHWADDR, &req);

	if (!err)
		memcpy(mac, req.ifr_hwaddr.sa_data, 6);
	return err;
}

int netdev_type(const char *name)
{
	struct ifreq req = { 0 };
	int err = dev_ioctl(name, SIOCGIFHWADDR, &req);

	return err ? err : req.ifr_hwaddr.sa_family;
}

int netdev_mtu(const char *name)
{
	struct ifreq req = { 0 };
	int err = dev_ioctl(name, SIOCGIFMTU, &req);

	return err ? err : req.ifr_mtu;
}

bool netdev_is_bridge_port(const char *name)
{
	char path[PATH_MAX];

	return !path_format(path, sizeof(path), "/sys/class/net/%s/brport", name) &&
	       !access(path, F_OK);
}

int netdev_driver(const char *name, char *driver, size_t size)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	int err = ethtool_ioctl(name, &info);

	if (!err)
		snprintf(driver, size, "%.*s", (int)sizeof(info.driver), info.driver);
	return err;
}

int netdev_queues(const char *name, __u32 *rx, __u32 *tx)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	int err = ethtool_ioctl(name, &ch);

	if (!err) {
		*rx = ch.rx_count + ch.combined_count;
		*tx = ch.tx_count + ch.combined_count;
	}
	return err;
}

int netdev_flag(const char *name, __u32 get_cmd, __u32 mask)
{
	struct ethtool_value value = { .cmd = get_cmd };
	int err = ethtool_ioctl(name, &value);

	return err ? err : (value.data & mask) != 0;
}

int netdev_rxvlan_set(const char *name, bool on)
{
	struct ethtool_value value = { .cmd = ETHTOOL_GFLAGS };
	int err = ethtool_ioctl(name, &value);

	if (err)
		return err;
	value.cmd = ETHTOOL_SFLAGS;
	value.data = on ? value.data | ETH_FLAG_RXVLAN : value.data & ~(__u32)ETH_FLAG_RXVLAN;
	return ethtool_ioctl(name, &value);
}

int netdev_xdp_owner(int ifindex, struct xdp_owner *owner)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	autoclose int fd = -1;
	int err = bpf_xdp_query(ifindex, 0, &query);

	if (err)
		return err;
	memset(owner, 0, sizeof(*owner));
	/* in one mode `prog_id` is set, in several only those of the modes */
	owner->id = query.prog_id ? query.prog_id : query.hw_prog_id;
	if (!owner->id)
		owner->id = query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
	if (!owner->id)
		return 0;
	snprintf(owner->name, sizeof(owner->name), "?");
	fd = bpf_prog_get_fd_by_id(owner->id);
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
		snprintf(owner->name, sizeof(owner->name), "%s", info.name);
	return 0;
}
