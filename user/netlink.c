/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What only netlink tells: a device as it is, its filters, its XDP features, and its changes. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel.h"
#include "util.h"

/* Linux 6.3, Documentation/netlink/specs/netdev.yaml; not in the headers of Debian 12. */
#define NETDEV_FAMILY             "netdev"
#define NETDEV_CMD_DEV_GET        1
#define NETDEV_A_DEV_IFINDEX      1
#define NETDEV_A_DEV_XDP_FEATURES 3

struct request {
	struct nlmsghdr head;
	char body[128];
};

/* One message handler; a positive return ends the walk with that result. */
typedef int (*on_message)(const struct nlmsghdr *msg, void *arg);

static int walk_answer(int fd, on_message handle, void *arg)
{
	char buf[16384] __attribute__((aligned(NLMSG_ALIGNTO)));

	for (;;) {
		ssize_t len = recv(fd, buf, sizeof(buf), 0);
		const struct nlmsghdr *msg = (const void *)buf;

		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return len ? -errno : -EIO;
		for (; NLMSG_OK(msg, (size_t)len); msg = NLMSG_NEXT(msg, len)) {
			int result;

			if (msg->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(msg))->error;
			if (msg->nlmsg_type == NLMSG_DONE)
				return 0;
			result = handle(msg, arg);
			if (result)
				return result;
		}
	}
}

static int ask(int protocol, struct request *req, on_message handle, void *arg)
{
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return -errno;
	req->head.nlmsg_flags |= NLM_F_REQUEST;
	if (send(fd, req, req->head.nlmsg_len, 0) < 0)
		return -errno;
	return walk_answer(fd, handle, arg);
}

static int is_filter(const struct nlmsghdr *msg, void *arg)
{
	(void)arg;
	return msg->nlmsg_type == RTM_NEWTFILTER;
}

bool netdev_has_tc_filters(int ifindex)
{
	static const __u32 sides[] = { TC_H_MIN_INGRESS, TC_H_MIN_EGRESS };

	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		struct request req = { .head.nlmsg_type = RTM_GETTFILTER };
		struct tcmsg tc = {
			.tcm_family = AF_UNSPEC,
			.tcm_ifindex = ifindex,
			.tcm_parent = TC_H_MAKE(TC_H_CLSACT, sides[i]),
		};

		memcpy(req.body, &tc, sizeof(tc));
		req.head.nlmsg_flags = NLM_F_DUMP;
		req.head.nlmsg_len = NLMSG_LENGTH(sizeof(tc));
		/* an error counts as yes: what is not known empty is not removed */
		if (ask(NETLINK_ROUTE, &req, is_filter, NULL))
			return true;
	}
	return false;
}

static void genl_request(struct request *req, __u16 family, __u8 cmd, __u16 attr, const void *value,
			 size_t len)
{
	struct genlmsghdr genl = { .cmd = cmd, .version = 1 };
	struct nlattr head = { .nla_type = attr, .nla_len = (__u16)(NLA_HDRLEN + len) };

	memset(req, 0, sizeof(*req));
	req->head.nlmsg_type = family;
	req->head.nlmsg_flags = NLM_F_ACK; /* so that the walk has an end */
	memcpy(req->body, &genl, GENL_HDRLEN);
	memcpy(req->body + GENL_HDRLEN, &head, NLA_HDRLEN);
	memcpy(req->body + GENL_HDRLEN + NLA_HDRLEN, value, len);
	req->head.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN + NLA_ALIGN(NLA_HDRLEN + len));
}

struct wanted {
	__u16 attr;
	size_t size;
	void *value;
};

/* Copies the wanted attribute of a generic netlink message; 1 when it was there. */
static int copy_attr(const struct nlmsghdr *msg, void *arg)
{
	const struct wanted *want = arg;
	const char *at = (const char *)NLMSG_DATA(msg) + GENL_HDRLEN;
	const char *end = (const char *)msg + msg->nlmsg_len;

	while (end - at >= NLA_HDRLEN) {
		struct nlattr attr;

		memcpy(&attr, at, sizeof(attr));
		if (attr.nla_len < NLA_HDRLEN || attr.nla_len > end - at)
			return -EBADMSG;
		if ((attr.nla_type & NLA_TYPE_MASK) == want->attr &&
		    attr.nla_len - NLA_HDRLEN >= (int)want->size) {
			memcpy(want->value, at + NLA_HDRLEN, want->size);
			return 1;
		}
		at += NLA_ALIGN(attr.nla_len);
	}
	return 0;
}

int netdev_xdp_features(int ifindex, __u64 *features)
{
	__u16 family = 0;
	__u32 index = (__u32)ifindex;
	struct wanted want_family = { CTRL_ATTR_FAMILY_ID, sizeof(family), &family };
	struct wanted want_features = { NETDEV_A_DEV_XDP_FEATURES, sizeof(*features), features };
	struct request req;
	int found;

	genl_request(&req, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, NETDEV_FAMILY,
		     sizeof(NETDEV_FAMILY));
	found = ask(NETLINK_GENERIC, &req, copy_attr, &want_family);
	if (found != 1)
		return found < 0 ? found : -EOPNOTSUPP;
	genl_request(&req, family, NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &index, sizeof(index));
	found = ask(NETLINK_GENERIC, &req, copy_attr, &want_features);
	return found == 1 ? 0 : found < 0 ? found : -EOPNOTSUPP;
}

static void copy_name(char name[IF_NAMESIZE], const struct rtattr *attr)
{
	snprintf(name, IF_NAMESIZE, "%.*s", (int)RTA_PAYLOAD(attr), (const char *)RTA_DATA(attr));
}

static void fill_slave(struct netdev_facts *f, const struct rtattr *info)
{
	int left = (int)RTA_PAYLOAD(info);

	for (const struct rtattr *a = RTA_DATA(info); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_INFO_SLAVE_KIND)
			copy_name(f->master_kind, a);
}

static void fill_xdp(struct netdev_facts *f, const struct rtattr *xdp)
{
	int left = (int)RTA_PAYLOAD(xdp);

	for (const struct rtattr *a = RTA_DATA(xdp); RTA_OK(a, left); a = RTA_NEXT(a, left))
		/* in several modes at once only those of the modes are told */
		if (a->rta_type == IFLA_XDP_PROG_ID || a->rta_type == IFLA_XDP_DRV_PROG_ID ||
		    (a->rta_type == IFLA_XDP_SKB_PROG_ID && !f->xdp_prog))
			memcpy(&f->xdp_prog, RTA_DATA(a), sizeof(f->xdp_prog));
}

static void fill_fact(struct netdev_facts *f, const struct rtattr *a)
{
	switch (a->rta_type & NLA_TYPE_MASK) {
	case IFLA_IFNAME:
		copy_name(f->name, a);
		break;
	case IFLA_MTU:
		memcpy(&f->mtu, RTA_DATA(a), sizeof(f->mtu));
		break;
	case IFLA_MASTER:
		memcpy(&f->master, RTA_DATA(a), sizeof(f->master));
		break;
	case IFLA_ADDRESS:
		if (RTA_PAYLOAD(a) == sizeof(f->mac))
			memcpy(f->mac, RTA_DATA(a), sizeof(f->mac));
		break;
	case IFLA_LINKINFO:
		fill_slave(f, a);
		break;
	case IFLA_XDP:
		fill_xdp(f, a);
		break;
	}
}

/* 1: it was one. */
static int read_facts(const struct nlmsghdr *msg, void *arg)
{
	const struct ifinfomsg *info = NLMSG_DATA(msg);
	struct netdev_facts *f = arg;
	int left = (int)IFLA_PAYLOAD(msg);

	if ((msg->nlmsg_type != RTM_NEWLINK && msg->nlmsg_type != RTM_DELLINK) ||
	    info->ifi_family != AF_UNSPEC)
		return 0;
	memset(f, 0, sizeof(*f));
	f->ifindex = (__u32)info->ifi_index;
	f->up = info->ifi_flags & IFF_UP;
	f->carrier = info->ifi_flags & IFF_RUNNING;
	f->gone = msg->nlmsg_type == RTM_DELLINK;
	for (const struct rtattr *a = IFLA_RTA(info); RTA_OK(a, left); a = RTA_NEXT(a, left))
		fill_fact(f, a);
	return 1;
}

int netdev_facts(__u32 ifindex, struct netdev_facts *facts)
{
	struct request req = { .head.nlmsg_type = RTM_GETLINK };
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex };
	int found;

	memcpy(req.body, &info, sizeof(info));
	req.head.nlmsg_len = NLMSG_LENGTH(sizeof(info));
	found = ask(NETLINK_ROUTE, &req, read_facts, facts);
	return found == 1 ? 0 : found < 0 ? found : -ENODEV;
}

int netdev_watch(void)
{
	struct sockaddr_nl links = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	autoclose int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&links, sizeof(links)))
		return log_err(-errno, "watch network devices");
	return TAKE_FD(fd);
}

int netdev_changes(int fd, void (*on_change)(const struct netdev_facts *facts, void *arg),
		   void *arg)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct netdev_facts facts;
	bool lost = false;

	for (;;) {
		ssize_t len = recv(fd, buf, sizeof(buf), 0);
		const struct nlmsghdr *msg = (const void *)buf;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == ENOBUFS) {
			lost = true;
			continue;
		}
		if (len <= 0)
			return len && errno != EAGAIN ? -errno : lost;
		for (; NLMSG_OK(msg, (size_t)len); msg = NLMSG_NEXT(msg, len))
			if (read_facts(msg, &facts) == 1)
				on_change(&facts, arg);
	}
}
