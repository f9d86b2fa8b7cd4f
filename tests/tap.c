/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wire of tap.h. Without NAPI the device gives a frame to the stack before write()
 * returns, and what the stack sends at once is in the device's queue by then.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"
#include "synwarden.skel.h"

#define TCX_INGRESS 46 /* enum bpf_attach_type since Linux 6.6; older headers lack it */
#define TCX_EGRESS  47

static int tap_fd, diag_fd;
static int links[3] = { -1, -1, -1 };
static struct bpf_tc_hook clsact;

/* The client is behind the wire: its addresses are not the host's. */
static void move_client_out(const char *name, int ifindex)
{
	struct rtentry to4 = { .rt_flags = RTF_UP, .rt_dev = (char *)name };
	struct in6_rtmsg to6 = { .rtmsg_flags = RTF_UP,
				 .rtmsg_dst_len = 64,
				 .rtmsg_metric = 1,
				 .rtmsg_ifindex = ifindex };
	struct ifreq alias = { .ifr_name = "lo:2" };
	struct {
		struct in6_addr addr;
		uint32_t prefix_len;
		int ifindex;
	} own6 = { .prefix_len = 128, .ifindex = LO_IFINDEX };
	int fd4 = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	int fd6 = MUST(socket(AF_INET6, SOCK_DGRAM, 0));

	MUST(ioctl(fd4, SIOCSIFFLAGS, &alias)); /* an alias that is down is gone */
	to4.rt_dst.sa_family = to4.rt_genmask.sa_family = AF_INET;
	inet_pton(AF_INET, CLIENT4, &((struct sockaddr_in *)&to4.rt_dst)->sin_addr);
	inet_pton(AF_INET, "255.255.255.255", &((struct sockaddr_in *)&to4.rt_genmask)->sin_addr);
	to4.rt_flags |= RTF_HOST;
	MUST(ioctl(fd4, SIOCADDRT, &to4));
	inet_pton(AF_INET6, CLIENT6, &own6.addr);
	MUST(ioctl(fd6, SIOCDIFADDR, &own6));
	to6.rtmsg_dst = own6.addr;
	MUST(ioctl(fd6, SIOCADDRT, &to6));
	close(fd4);
	close(fd6);
}

/* No neighbour is asked for: everything leaves to the device's own address. */
static int device_open(struct ifreq *req)
{
	int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	int ifindex;

	req->ifr_flags = IFF_TAP | IFF_NO_PI;
	MUST(ioctl(tap_fd, TUNSETIFF, req));
	ifindex = (int)if_nametoindex(req->ifr_name);
	REQUIRE(ifindex > 0);
	req->ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
	memcpy(req->ifr_hwaddr.sa_data, mac_server, 6);
	MUST(ioctl(fd, SIOCSIFHWADDR, req));
	req->ifr_flags = IFF_UP | IFF_RUNNING | IFF_NOARP;
	MUST(ioctl(fd, SIOCSIFFLAGS, req));
	close(fd);
	return ifindex;
}

static bool attach_xdp(int ifindex)
{
	LIBBPF_OPTS(bpf_link_create_opts, native, .flags = XDP_FLAGS_DRV_MODE);
	LIBBPF_OPTS(bpf_link_create_opts, generic, .flags = XDP_FLAGS_SKB_MODE);

	links[0] = bpf_link_create(xdp_fd(), ifindex, BPF_XDP, &native);
	if (links[0] >= 0)
		return true;
	links[0] = MUST(bpf_link_create(xdp_fd(), ifindex, BPF_XDP, &generic));
	return false;
}

/* As a link where the kernel has tcx, else as a filter of clsact. */
static int attach_tc(int prog_fd, int ifindex, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = 1, .priority = 1);
	int link = bpf_link_create(prog_fd, ifindex,
				   point == BPF_TC_INGRESS ? TCX_INGRESS : TCX_EGRESS, NULL);

	if (link >= 0)
		return link;
	clsact = (struct bpf_tc_hook){ .sz = sizeof(clsact),
				       .ifindex = ifindex,
				       .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS };
	link = bpf_tc_hook_create(&clsact);
	if (link && link != -EEXIST)
		FAIL("clsact: %s", strerror(-link));
	clsact.attach_point = point;
	link = bpf_tc_attach(&clsact, &opts);
	if (link)
		FAIL("tc filter: %s", strerror(-link));
	return -1;
}

void tap_open(void)
{
	struct ifreq req = { .ifr_name = "wire" };
	int ifindex;

	tap_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap_fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		test_skip("kernel has no TAP device");
	MUST(tap_fd);
	ifindex = device_open(&req);
	move_client_out(req.ifr_name, ifindex);
	device_write((unsigned int)ifindex, mac_server, attach_xdp(ifindex));
	if (guard.engine == SW_ENGINE_REQSK)
		links[1] = attach_tc(tc_fd(), ifindex, BPF_TC_INGRESS);
	links[2] = attach_tc(bpf_program__fd(guard.skel->progs.sw_tc_out), ifindex, BPF_TC_EGRESS);
	diag_fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
	/* what the host answers with an ACK is answered each time */
	sysctl_write("net/ipv4/tcp_invalid_ratelimit", "0");
	counters_moved();
}

static void detach_tc(size_t link, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1);

	if (links[link] >= 0)
		close(links[link]);
	links[link] = -1;
	if (!clsact.sz)
		return;
	clsact.attach_point = point;
	bpf_tc_detach(&clsact, &opts);
}

void tap_blind(void)
{
	detach_tc(2, BPF_TC_EGRESS);
}

void tap_detach(void)
{
	if (links[0] >= 0)
		close(links[0]);
	links[0] = -1;
	detach_tc(1, BPF_TC_INGRESS);
	detach_tc(2, BPF_TC_EGRESS);
}

void tap_send(const struct packet *p)
{
	counters_moved();
	REQUIRE(write(tap_fd, p->data, p->len) == (ssize_t)p->len);
}

void tap_say(const struct spec *s)
{
	static struct packet p;

	packet_build(&p, s);
	tap_send(&p);
}

bool tap_hear(struct frame *f, unsigned int ms)
{
	static uint8_t bytes[FRAME_MAX];
	uint64_t until = 0;

	while (1) {
		struct pollfd pfd = { .fd = tap_fd, .events = POLLIN };
		ssize_t n = read(tap_fd, bytes, sizeof(bytes));
		const char *wrong;
		uint64_t now;

		if (n > 0) {
			wrong = frame_read(f, bytes, (size_t)n);
			if (f->family && !(wrong && !strcmp(wrong, "not TCP"))) {
				if (wrong)
					FAIL("frame of the host: %s", wrong);
				return true;
			}
			continue;
		}
		if (!ms)
			return false;
		now = now_ns();
		if (!until)
			until = now + ms * 1000000ULL;
		if (now >= until || poll(&pfd, 1, (int)((until - now) / 1000000) + 1) < 0)
			return false;
	}
}

static enum sw_state state_of_kernel(uint8_t state)
{
	/* include/net/tcp_states.h */
	static const enum sw_state of[] = {
		[1] = SW_ESTABLISHED,  [2] = SW_SYN_SENT,   [3] = SW_SYN_RECEIVED,
		[4] = SW_FIN_WAIT_1,   [5] = SW_FIN_WAIT_2, [6] = SW_TIME_WAIT,
		[8] = SW_CLOSE_WAIT,   [9] = SW_LAST_ACK,   [11] = SW_CLOSING,
		[12] = SW_SYN_RECEIVED
	};

	return state < ARRAY_SIZE(of) ? of[state] : SW_FREE; /* LISTEN: the tuple is unknown */
}

static void diag_ask(uint8_t family, uint16_t client_port, uint16_t server_port)
{
	struct {
		struct nlmsghdr nl;
		struct inet_diag_req_v2 req;
	} ask = {
		.nl = { .nlmsg_len = sizeof(ask),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST },
		.req = { .sdiag_family = family == 6 ? AF_INET6 : AF_INET,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_ext = 1 << (INET_DIAG_INFO - 1),
			 .idiag_states = ~0U,
			 .id = { .idiag_sport = htons(server_port),
				 .idiag_dport = htons(client_port),
				 .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
	};
	int af = ask.req.sdiag_family;

	inet_pton(af, family == 6 ? SERVER6 : SERVER4, ask.req.id.idiag_src);
	inet_pton(af, family == 6 ? CLIENT6 : CLIENT4, ask.req.id.idiag_dst);
	MUST(send(diag_fd, &ask, sizeof(ask), 0));
}

struct host_view host_view(uint8_t family, uint16_t client_port, uint16_t server_port)
{
	union {
		struct nlmsghdr nl;
		uint8_t bytes[4096];
	} got;
	struct inet_diag_msg *msg = NLMSG_DATA(&got.nl);
	struct host_view view = {};
	struct rtattr *attr;
	ssize_t left;

	diag_ask(family, client_port, server_port);
	left = MUST(recv(diag_fd, &got, sizeof(got), 0));
	if (got.nl.nlmsg_type == NLMSG_ERROR) {
		int error = ((struct nlmsgerr *)NLMSG_DATA(&got.nl))->error;

		if (error != -ENOENT)
			FAIL("inet_diag: %s", strerror(-error));
		return view;
	}
	view.state = state_of_kernel(msg->idiag_state);
	if (view.state == SW_FREE)
		return view;
	attr = (struct rtattr *)(msg + 1);
	for (left -= NLMSG_LENGTH(sizeof(*msg)); RTA_OK(attr, left); attr = RTA_NEXT(attr, left)) {
		struct tcp_info *info = RTA_DATA(attr);

		if (attr->rta_type != INET_DIAG_INFO || RTA_PAYLOAD(attr) < sizeof(*info) / 2)
			continue;
		view.full = true;
		view.received = info->tcpi_bytes_received;
	}
	return view;
}

struct host_view host_view_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	struct host_view view = { .full = true };

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	view.state = state_of_kernel(info.tcpi_state);
	view.received = info.tcpi_bytes_received;
	return view;
}

enum sw_state host_state(uint8_t family, uint16_t client_port, uint16_t server_port)
{
	return host_view(family, client_port, server_port).state;
}
