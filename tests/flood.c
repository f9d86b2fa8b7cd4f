// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flood: random-source TCP segments out of one device at a steady pace, and a count of what
 * is answered. For test networks: the far end is to be a veth with an XDP program or with
 * GRO set by hand, else it takes no redirected frames.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* CPU sets */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "flood_args.h"
#include "flood.skel.h"

/* As Linux sends them: MSS, SACK permitted, timestamps, window scale. */
static const __u8 linux_options[20] = {
	2, 4, 0, 0, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7
};
#define TSVAL_AT 8

static volatile sig_atomic_t stopped;
static volatile sig_atomic_t time_is_up;

static void on_signal(int sig)
{
	if (sig == SIGALRM)
		time_is_up = 1;
	else
		stopped = 1;
}

/* One's complement sum of wire words, not folded. */
static __u64 sum_words(const void *data, size_t len)
{
	const __u8 *bytes = data;
	__u64 sum = 0;
	__u16 word;

	for (; len > 1; len -= 2, bytes += 2) {
		memcpy(&word, bytes, 2);
		sum += word;
	}
	return sum;
}

static void device_mac(const char *dev, __u8 *mac)
{
	struct ifreq req = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", dev);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &req))
		die(dev, strerror(errno));
	memcpy(mac, req.ifr_hwaddr.sa_data, ETH_ALEN);
	close(fd);
}

static void *put_ip(struct flood_conf *conf, const struct options *o, void *at)
{
	__u16 tcp_len = sizeof(struct tcphdr) + o->opts + o->data;

	if (conf->family == 4) {
		struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP };

		ip.tot_len = htons(sizeof(ip) + tcp_len);
		ip.frag_off = htons(IP_DF);
		memcpy(&ip.daddr, &o->dst, 4);
		conf->ip_sum = sum_words(&ip, sizeof(ip));
		conf->tcp_sum = sum_words(&ip.daddr, 4);
		memcpy(at, &ip, sizeof(ip));
		at += sizeof(ip);
	} else {
		struct ip6_hdr ip = { .ip6_dst = o->dst };

		ip.ip6_flow = htonl(6U << 28);
		ip.ip6_plen = htons(tcp_len);
		ip.ip6_nxt = IPPROTO_TCP;
		ip.ip6_hops = 64;
		conf->tcp_sum = sum_words(&ip.ip6_dst, 16);
		memcpy(at, &ip, sizeof(ip));
		at += sizeof(ip);
	}
	conf->tcp_sum += htons(IPPROTO_TCP) + htons(tcp_len);
	return at;
}

static void make_template(struct flood_conf *conf, const struct options *o)
{
	struct tcphdr tcp = { .doff = (sizeof(tcp) + o->opts) / 4, .window = htons(64240) };
	struct ethhdr eth = {};
	__u8 options[20];
	__u16 mss = htons(conf->family == 4 ? 1460 : 1440);
	void *at = conf->frame;

	memcpy(eth.h_dest, o->dmac, ETH_ALEN);
	memcpy(eth.h_source, o->smac, ETH_ALEN);
	eth.h_proto = htons(conf->family == 4 ? ETH_P_IP : ETH_P_IPV6);
	memcpy(at, &eth, sizeof(eth));
	at = put_ip(conf, o, at + sizeof(eth));
	memcpy(at, &tcp, sizeof(tcp));
	conf->tcp_sum += sum_words(&tcp, sizeof(tcp));
	at += sizeof(tcp);
	if (o->opts) {
		memcpy(options, linux_options, sizeof(options));
		memcpy(options + 2, &mss, sizeof(mss));
		memcpy(at, options, sizeof(options));
		conf->tcp_sum += sum_words(options, sizeof(options));
		conf->opts = o->opts;
		conf->tsval_off = sizeof(tcp) + TSVAL_AT;
		at += sizeof(options);
	}
	conf->head_len = (char *)at - (char *)conf->frame;
	conf->frame_len = conf->head_len + o->data;
}

static void fill_conf(struct flood_conf *conf, struct options *o)
{
	conf->family = o->family;
	conf->ifindex = if_nametoindex(o->dev);
	if (!conf->ifindex)
		die(o->dev, strerror(errno));
	if (o->pass)
		return;
	device_mac(o->dev, o->smac);
	conf->dport_first = o->dport_first;
	conf->dport_count = o->dport_last - o->dport_first + 1;
	conf->sport_first = o->sport_first ?: 1024;
	conf->sport_count = (o->sport_first ? o->sport_last : 65535) - conf->sport_first + 1;
	if (o->rate)
		conf->interval_fp = (1000000000ULL << FLOOD_FP_SHIFT) / o->rate;
	parse_source(o->source ?: o->family == 4 ? "16.0.0.0/4" : "2001:db8::/32", conf);
	parse_kinds(o->kind, conf);
	make_template(conf, o);
}

/* Native where the driver can; a link, so that it goes with this process however that ends. */
static int attach(struct bpf_program *prog, __u32 ifindex, const struct options *o)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = o->generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	int fd = bpf_link_create(bpf_program__fd(prog), ifindex, BPF_XDP, &opts);

	if (fd < 0 && errno == EOPNOTSUPP) {
		opts.flags = XDP_FLAGS_SKB_MODE;
		fd = bpf_link_create(bpf_program__fd(prog), ifindex, BPF_XDP, &opts);
	}
	if (fd < 0)
		die(o->dev, errno == EBUSY ? "has an XDP program already" : strerror(errno));
	return fd;
}

static void catch_signals(double seconds)
{
	struct sigaction action = { .sa_handler = on_signal };
	/* The repeat catches a signal that came before the system call it must end. */
	struct itimerval timer = { .it_interval.tv_usec = 50000 };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	timer.it_value.tv_sec = (time_t)seconds;
	timer.it_value.tv_usec = (seconds - (time_t)seconds) * 1e6 + 1;
	setitimer(ITIMER_REAL, &timer, NULL);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Runs until a signal ends it, the timer's or the user's. */
static double send_frames(struct flood_bpf *skel, const struct flood_conf *conf)
{
	__u8 frame[FLOOD_MAX_HEAD + FLOOD_MAX_DATA + FLOOD_TAIL] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = conf->frame_len + FLOOD_TAIL, .repeat = 1 << 30,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);
	int err = 0;

	memcpy(frame, conf->frame, conf->head_len);
	while (!stopped && !time_is_up && (!err || err == -EINTR || err == -EAGAIN))
		err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.flood_send), &opts);
	if (err && err != -EINTR && err != -EAGAIN)
		die("live frames", strerror(-err));
	return skel->bss->state.sent ? now() - skel->bss->state.first_ns / 1e9 : 0;
}

static struct flood_replies sum_replies(struct flood_bpf *skel)
{
	int cpus = libbpf_num_possible_cpus(), cpu;
	struct flood_replies *each = cpus > 0 ? calloc(cpus, sizeof(*each)) : NULL, sum = {};
	__u32 zero = 0;

	if (!each || bpf_map_lookup_elem(bpf_map__fd(skel->maps.replies), &zero, each))
		die("reply counters", strerror(errno));
	for (cpu = 0; cpu < cpus; cpu++) {
		sum.synacks += each[cpu].synacks;
		sum.rsts += each[cpu].rsts;
		sum.others += each[cpu].others;
		sum.bytes += each[cpu].bytes;
	}
	free(each);
	return sum;
}

/* Frames that found the ring of the far end full: column 12 of /proc/net/dev. */
static __u64 frames_lost(const char *dev)
{
	FILE *file = fopen("/proc/self/net/dev", "re");
	unsigned long long column = 0;
	char line[512], name[32];

	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon = 0;
		if (sscanf(line, " %31s", name) == 1 && !strcmp(name, dev))
			sscanf(colon + 1, "%*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu",
			       &column);
	}
	if (file)
		fclose(file);
	return column;
}

static void report(struct flood_bpf *skel, const struct flood_conf *conf, double seconds,
		   __u64 lost)
{
	struct flood_replies in = sum_replies(skel);
	__u64 sent = skel->bss->state.sent - lost;

	printf("{\"sent\":%llu,\"seconds\":%.3f,\"pps\":%.0f,\"synacks\":%llu,\"rsts\":%llu,"
	       "\"others\":%llu,\"lost\":%llu,\"sent_bytes\":%llu,\"reply_bytes\":%llu}\n",
	       sent, seconds, seconds > 0 ? sent / seconds : 0, in.synacks, in.rsts, in.others,
	       lost, sent * conf->frame_len, in.bytes);
}

static void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		cpu = sched_getcpu();
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("CPU", strerror(errno));
}

int main(int argc, char **argv)
{
	struct options o = { .kind = "syn", .seconds = 1, .cpu = -1, .family = 4 };
	struct flood_conf conf = {};
	struct flood_bpf *skel;
	double seconds;
	__u64 seed, lost;

	parse_args(argc, argv, &o);
	fill_conf(&conf, &o);
	skel = flood_bpf__open();
	if (!skel)
		die("open", strerror(errno));
	memcpy((void *)&skel->rodata->conf, &conf, sizeof(conf));
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		die("getrandom", strerror(errno));
	skel->bss->state.rng = seed | 1;
	if (flood_bpf__load(skel))
		die("load", strerror(errno));
	catch_signals(o.seconds);
	if (o.pass) {
		attach(skel->progs.flood_pass, conf.ifindex, &o);
		puts("ready");
		fflush(stdout);
		while (!stopped && !time_is_up)
			usleep(100000); /* pause() would sleep through a signal just before it */
		return 0;
	}
	if (!o.no_count)
		attach(skel->progs.flood_count, conf.ifindex, &o);
	pin_to_cpu(o.cpu);
	fputs("sending\n", stderr);
	lost = frames_lost(o.dev);
	seconds = send_frames(skel, &conf);
	setitimer(ITIMER_REAL, &(struct itimerval){}, NULL);
	usleep(100000); /* the last replies */
	report(skel, &conf, seconds, frames_lost(o.dev) - lost);
	return stopped ? 130 : 0;
}
