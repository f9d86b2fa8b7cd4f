/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A handshake through the loaded programs before anything is attached, by BPF_PROG_TEST_RUN:
 * the SYN must come back as a correct SYN-ACK, its ACK must be recognised and, with engine
 * reqsk, be handed to the host. The listener for it has a documentation address
 * (RFC 5737, RFC 3849), so no packet of the network can reach it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>

#include "kernel.h"
#include "table.h"
#include "util.h"

#define SELFTEST_SERVICE (SW_MAX_SERVICES - 1)
#define CLIENT_PORT      40000
#define CLIENT_ISN       0x53574431
#define CLIENT_TSVAL     1000
#define OPTS_LEN         20
#define FRAME_MAX        256
#define LO_IFINDEX       1 /* in every network namespace */

struct frame {
	__u8 data[FRAME_MAX];
	__u32 len;
	__u32 l4; /* offset of the TCP header */
};

struct handshake {
	const struct guard *g;
	int family; /* AF_INET, AF_INET6 */
	__u8 client[16];
	__u8 server[16];
	__be16 port;
};

static __u32 sum_bytes(const __u8 *data, size_t len, __u32 sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? data[i] : (__u32)data[i] << 8;
	return sum;
}

static __u16 sum_fold(__u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

static size_t addr_len(const struct handshake *h)
{
	return h->family == AF_INET ? 4 : 16;
}

/* Over pseudo-header and segment (RFC 9293 3.1): 0 when the checksum inside is right. */
static __u16 tcp_sum(const struct handshake *h, const struct frame *f)
{
	__u32 sum = sum_bytes(h->client, addr_len(h), sum_bytes(h->server, addr_len(h), 0));

	return sum_fold(
		sum_bytes(f->data + f->l4, f->len - f->l4, sum + IPPROTO_TCP + f->len - f->l4));
}

static void put_ip(const struct handshake *h, struct frame *f)
{
	if (h->family == AF_INET) {
		struct iphdr ip = {
			.version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_TCP,
			.tot_len = htons((__u16)(f->len - ETH_HLEN)),
		};

		memcpy(&ip.saddr, h->client, 4);
		memcpy(&ip.daddr, h->server, 4);
		ip.check = htons(sum_fold(sum_bytes((const __u8 *)&ip, sizeof(ip), 0)));
		memcpy(f->data + ETH_HLEN, &ip, sizeof(ip));
	} else {
		struct ipv6hdr ip = {
			.version = 6,
			.nexthdr = IPPROTO_TCP,
			.hop_limit = 64,
			.payload_len = htons((__u16)(f->len - f->l4)),
		};

		memcpy(&ip.saddr, h->client, 16);
		memcpy(&ip.daddr, h->server, 16);
		memcpy(f->data + ETH_HLEN, &ip, sizeof(ip));
	}
}

static void build(const struct handshake *h, struct frame *f, struct tcphdr *tcp, const __u8 *opts,
		  __u32 opts_len)
{
	static const __u8 eth[2 * ETH_ALEN] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	__be16 proto = htons(h->family == AF_INET ? ETH_P_IP : ETH_P_IPV6);
	__be16 check;

	memset(f, 0, sizeof(*f));
	f->l4 = ETH_HLEN + (h->family == AF_INET ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	f->len = f->l4 + (__u32)sizeof(*tcp) + opts_len;
	memcpy(f->data, eth, sizeof(eth));
	memcpy(f->data + sizeof(eth), &proto, sizeof(proto));
	put_ip(h, f);
	tcp->source = htons(CLIENT_PORT);
	tcp->dest = h->port;
	tcp->doff = (sizeof(*tcp) + opts_len) / 4 & 15;
	tcp->window = htons(64240);
	memcpy(f->data + f->l4, tcp, sizeof(*tcp));
	memcpy(f->data + f->l4 + sizeof(*tcp), opts, opts_len);
	check = htons(tcp_sum(h, f));
	memcpy(f->data + f->l4 + offsetof(struct tcphdr, check), &check, sizeof(check));
}

/* Runs a program over the frame, which the XDP program may rewrite. */
static int run(int prog, struct frame *f, __u32 *verdict)
{
	__u8 out[FRAME_MAX + 64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->data, .data_size_in = f->len,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1);

	if (bpf_prog_test_run_opts(prog, &opts))
		return -errno;
	if (opts.retval == XDP_TX && opts.data_size_out <= FRAME_MAX) {
		memcpy(f->data, out, opts.data_size_out);
		f->len = opts.data_size_out;
	}
	*verdict = opts.retval;
	return 0;
}

/*
 * The same, and where the program passes the frame the kernel takes it as received from lo,
 * so that it meets tc ingress. Its destination MAC is not lo's: after tc it is dropped.
 */
static int run_into_stack(int prog, const struct frame *f)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->data, .data_size_in = f->len,
		    .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 1);

	return bpf_prog_test_run_opts(prog, &opts) ? -errno : 0;
}

static __u64 counted(const struct handshake *h, enum sw_reason reason)
{
	struct sw_count row[SW_REASON_MAX];

	return mapio_stats(h->g, SELFTEST_SERVICE, row) ? 0 : row[reason].packets;
}

/* Where the SYN ended instead, for the message. */
static const char *other_reason(const struct handshake *h)
{
	struct sw_count row[SW_REASON_MAX];

	if (mapio_stats(h->g, SELFTEST_SERVICE, row))
		return "?";
	for (__u32 r = SW_REASON_MAX - 1; r > 0; r--)
		if (row[r].packets && r != SW_TX_SYNACK && r != SW_PASS_COOKIE)
			return text_reason(r);
	return "not counted";
}

static int failed(const struct handshake *h, const char *what)
{
	return log_refuse(-EPROTO, "self-test (%s): %s; nothing is attached",
			  h->family == AF_INET ? "IPv4" : "IPv6", what);
}

static int check_synack(const struct handshake *h, const struct frame *f, struct tcphdr *tcp)
{
	const __u8 *ip = f->data + ETH_HLEN;

	if (f->len < f->l4 + sizeof(*tcp))
		return failed(h, "the SYN-ACK is cut");
	memcpy(tcp, f->data + f->l4, sizeof(*tcp));
	if (h->family == AF_INET && sum_fold(sum_bytes(ip, sizeof(struct iphdr), 0)))
		return failed(h, "wrong IPv4 checksum in the SYN-ACK");
	if (tcp_sum(h, f))
		return failed(h, "wrong TCP checksum in the SYN-ACK");
	if (!tcp->syn || !tcp->ack || tcp->rst || tcp->fin ||
	    ntohl(tcp->ack_seq) != CLIENT_ISN + 1U || tcp->source != h->port ||
	    tcp->dest != htons(CLIENT_PORT))
		return failed(h, "the answer is not the SYN-ACK of the SYN");
	return 0;
}

/* The timestamp option of the answer goes back with the ACK. */
static __u32 ack_options(const struct frame *f, const struct tcphdr *synack, __u8 opts[12])
{
	const __u8 *at = f->data + f->l4 + sizeof(*synack);
	const __u8 *end = f->data + f->l4 + synack->doff * 4U;
	__be32 tsval = htonl(CLIENT_TSVAL + 1);

	for (; at < end && at + 10 <= f->data + f->len; at += at[0] == 1 || at[1] < 2 ? 1 : at[1]) {
		if (at[0] != 8)
			continue;
		memcpy(opts, (const __u8[]){ 1, 1, 8, 10 }, 4);
		memcpy(opts + 4, &tsval, 4);
		memcpy(opts + 8, at + 2, 4);
		return 12;
	}
	return 0;
}

/*
 * The kernel refuses request sockets outside a true tc ingress, which BPF_PROG_TEST_RUN of a
 * tc program is not. So sw_tc_in sits on this namespace's lo for the one packet; it leaves
 * all others alone, and goes with its descriptor.
 */
static int hand_over(const struct handshake *h, const struct frame *ack)
{
	autoclose int link = bpf_link_create(h->g->prog[PROG_TC_IN], LO_IFINDEX, TCX_INGRESS, NULL);
	int err;

	if (link < 0) {
		log_note("self-test: the hand-over was not tried: tcx on lo: %s", strerror(errno));
		return 0;
	}
	err = run_into_stack(h->g->prog[PROG_XDP], ack);
	if (err)
		return log_err(err, "self-test: run the XDP program on live frames");
	/* at once, unless packet steering moved it to another CPU */
	for (int i = 0; i < 50 && !counted(h, SW_TC_HANDED_OVER); i++)
		usleep(1000);
	if (counted(h, SW_TC_HANDED_OVER) == 1)
		return 0;
	log_refuse(-EPROTO, "self-test: the hand-over ended as '%s'", other_reason(h));
	return failed(h, "the kernel took no request socket");
}

static int shake_hands(const struct handshake *h)
{
	static const __u8 syn_opts[OPTS_LEN] = {
		2, 4, 5, 180, 4, 2, 8, 10, 0, 0, CLIENT_TSVAL >> 8, CLIENT_TSVAL & 255,
		0, 0, 0, 0,   1, 3, 3, 7
	};
	struct tcphdr syn = { .seq = htonl(CLIENT_ISN), .syn = 1 };
	struct tcphdr synack, ack = { .seq = htonl(CLIENT_ISN + 1), .ack = 1 };
	__u8 ack_opts[12];
	struct frame f, copy;
	__u32 verdict;
	int err;

	build(h, &f, &syn, syn_opts, sizeof(syn_opts));
	err = run(h->g->prog[PROG_XDP], &f, &verdict);
	if (err)
		return log_err(err, "self-test: run the XDP program");
	if (verdict != XDP_TX || counted(h, SW_TX_SYNACK) != 1) {
		log_refuse(-EPROTO, "self-test: the SYN ended as '%s'", other_reason(h));
		return failed(h, "the SYN was not answered");
	}
	err = check_synack(h, &f, &synack);
	if (err)
		return err;
	ack.ack_seq = htonl(ntohl(synack.seq) + 1);
	build(h, &copy, &ack, ack_opts, ack_options(&f, &synack, ack_opts));
	f = copy; /* a run may rewrite it */
	err = run(h->g->prog[PROG_XDP], &f, &verdict);
	if (err || verdict != XDP_PASS || counted(h, SW_PASS_COOKIE) != 1) {
		log_refuse(-EPROTO, "self-test: the ACK ended as '%s'", other_reason(h));
		return failed(h, "the cookie was not recognised");
	}
	return h->g->engine == SW_ENGINE_REQSK ? hand_over(h, &copy) : 0;
}

/* A listener on an address that is not ours (FREEBIND) and that no one routes. */
static int listen_at(struct handshake *h)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	bool is_v4 = h->family == AF_INET;
	void *addr = is_v4 ? (void *)&v4 : (void *)&v6;
	socklen_t len = is_v4 ? sizeof(v4) : sizeof(v6);
	autoclose int fd = socket(h->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	memcpy(is_v4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr, h->server, addr_len(h));
	/* IP_FREEBIND 15, IPV6_FREEBIND 78; libc hides one behind the other's header */
	if (setsockopt(fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? 15 : 78, &one, sizeof(one)) ||
	    bind(fd, addr, len) || listen(fd, 8) || getsockname(fd, addr, &len))
		return -errno;
	h->port = is_v4 ? v4.sin_port : v6.sin6_port;
	return TAKE_FD(fd);
}

static int guard_port(const struct handshake *h, bool on)
{
	struct sw_service service = { .mode = SW_MODE_ALWAYS };
	struct sw_port word = { .any_service = SELFTEST_SERVICE };
	struct sw_settings s;
	int err;

	service.port_first = ntohs(h->port);
	service.port_last = service.port_first;
	if (!on) {
		memset(&service, 0, sizeof(service));
		memset(&word, 0, sizeof(word));
	}
	err = mapio_settings(h->g, &s);
	if (!err) {
		s.armed = on;
		s.event_gap_ms = on ? 0 : s.event_gap_ms;
		err = mapio_settings_set(h->g, &s);
	}
	if (!err)
		err = mapio_service_set(h->g, 0, SELFTEST_SERVICE, &service);
	if (!err)
		err = mapio_port_set(h->g, 0, ntohs(h->port), &word);
	return err;
}

static int test_family(const struct guard *g, int family)
{
	struct handshake h = { .g = g, .family = family };
	autoclose int fd = -1;
	int err, off;

	inet_pton(family, family == AF_INET ? "198.51.100.7" : "2001:db8:51::7", h.client);
	inet_pton(family, family == AF_INET ? "192.0.2.7" : "2001:db8:2::7", h.server);
	fd = listen_at(&h);
	if (family == AF_INET6 && fd < 0)
		return 0; /* IPv6 is off here, so is its handshake */
	if (fd < 0)
		return log_err(fd, "self-test: listen");
	err = guard_port(&h, true);
	if (!err)
		err = shake_hands(&h);
	off = guard_port(&h, false);
	if (!off)
		off = mapio_stats_zero(g, SELFTEST_SERVICE);
	if (!off)
		off = mapio_stats_zero(g, 0);
	if (!off)
		off = mapio_rx_zero(g);
	return err ? err : off;
}

/* Nobody else uses the tables yet: what is in them is of the handshake. */
static int forget(const struct guard *g)
{
	autotables struct tables t = { 0 };
	int err = tables_open(g, &t, true);

	if (!err)
		tables_forget(&t, SELFTEST_SERVICE);
	return err;
}

int selftest_run(const struct guard *g)
{
	struct sw_settings before;
	int err = mapio_settings(g, &before);

	if (!err)
		err = test_family(g, AF_INET);
	if (!err)
		err = test_family(g, AF_INET6);
	if (!err)
		err = forget(g);
	/* as it was, whatever happened */
	return mapio_settings_set(g, &before) ? -EIO : err;
}
