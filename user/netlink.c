/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two questions that only netlink answers: filters of a device, XDP features of a driver. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
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
