/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames on lo of the test's namespace, see rawnet.h.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rawnet.h"

#define TCX_INGRESS 46 /* enum bpf_attach_type since Linux 6.6; older headers lack it */

/* From CLIENT4, which is this host's too; but the frames come in as if from a wire. */
static void accept_own_addresses(void)
{
	sysctl_write("net/ipv4/conf/all/accept_local", "1");
	sysctl_write("net/ipv4/conf/lo/accept_local", "1");
}

int raw_open(void)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = LO_IFINDEX };
	int fd = MUST(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));

	MUST(bind(fd, (struct sockaddr *)&ll, sizeof(ll)));
	accept_own_addresses();
	return fd;
}

void raw_build(struct packet *p, const struct spec *s)
{
	packet_build(p, s);
	memset(p->data, 0, 12);
}

void raw_send(int fd, const struct packet *p)
{
	REQUIRE(send(fd, p->data, p->len, 0) == (ssize_t)p->len);
}

bool raw_receive(int fd, struct frame *f, uint8_t flags, uint16_t from, uint16_t to,
		 unsigned int ms)
{
	static uint8_t bytes[FRAME_MAX];
	uint64_t until = now_ns() + ms * 1000000ULL;

	while (now_ns() < until) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&pfd, 1, 10) <= 0)
			continue;
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n <= 0)
			continue;
		/* the host leaves sums of local packets partial: read them for all else */
		frame_read(f, bytes, (size_t)n);
		if (!f->tcp_len)
			continue;
		f->sport = (uint16_t)(f->tcp[0] << 8 | f->tcp[1]);
		f->dport = (uint16_t)(f->tcp[2] << 8 | f->tcp[3]);
		f->flags = f->tcp[13];
		if ((f->flags & 0x17) != flags || f->sport != from || f->dport != to)
			continue;
		f->seq = (uint32_t)f->tcp[4] << 24 | f->tcp[5] << 16 | f->tcp[6] << 8 | f->tcp[7];
		f->ack = (uint32_t)f->tcp[8] << 24 | f->tcp[9] << 16 | f->tcp[10] << 8 | f->tcp[11];
		f->window = (uint16_t)(f->tcp[14] << 8 | f->tcp[15]);
		options_read(&f->opt, f->tcp + 20, f->tcp_len - 20);
		return true;
	}
	return false;
}

/* lo has no address to compare with, so the guard must not know one. */
static void attach_tc(bool native)
{
	static const uint8_t zero[6];

	accept_own_addresses();
	device_write(LO_IFINDEX, zero, native);
	MUST(bpf_link_create(tc_fd(), LO_IFINDEX, TCX_INGRESS, NULL));
}

void attach_tc_to_lo(void)
{
	attach_tc(true);
}

void attach_both_to_lo(void)
{
	LIBBPF_OPTS(bpf_link_create_opts, generic, .flags = XDP_FLAGS_SKB_MODE);

	attach_tc(false);
	MUST(bpf_link_create(xdp_fd(), LO_IFINDEX, BPF_XDP, &generic));
}

void run_live(const struct packet *p)
{
	static struct packet copy; /* the kernel gives pages to the stack, not copies */
	struct xdp_md in = { .data_end = (uint32_t)p->len };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = copy.data, .data_size_in = (uint32_t)p->len,
		    .ctx_in = &in, .ctx_size_in = sizeof(in), .repeat = 1, .batch_size = 1,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	copy = *p;
	memset(copy.data, 0, 12);
	counters_moved();
	MUST(bpf_prog_test_run_opts(xdp_fd(), &opts));
}
