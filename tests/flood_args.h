/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of flood.c, and what it says of each frame. */
#ifndef FLOOD_ARGS_H
#define FLOOD_ARGS_H

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flood.h"

struct options {
	const char *dev;
	const char *kind;
	const char *source;
	struct in6_addr dst;
	__u8 dmac[ETH_ALEN];
	__u8 smac[ETH_ALEN];
	__u16 dport_first;
	__u16 dport_last;
	__u16 sport_first;
	__u16 sport_last;
	__u64 rate;
	double seconds;
	__u32 family;
	__u32 opts;
	__u32 data;
	int cpu;
	bool has_dst;
	bool has_dmac;
	bool no_count;
	bool pass;
	bool generic;
};

struct kind {
	const char *name;
	__u8 flags;
};

static const struct kind kinds[] = {
	{ "syn", FLOOD_FLAG_SYN },
	{ "ack", FLOOD_FLAG_ACK },
	{ "pshack", FLOOD_FLAG_PSH | FLOOD_FLAG_ACK },
	{ "synack", FLOOD_FLAG_SYN | FLOOD_FLAG_ACK },
	{ "rst", FLOOD_FLAG_RST },
	{ "rstack", FLOOD_FLAG_RST | FLOOD_FLAG_ACK },
	{ "fin", FLOOD_FLAG_FIN },
	{ "finack", FLOOD_FLAG_FIN | FLOOD_FLAG_ACK },
	{ "synfin", FLOOD_FLAG_SYN | FLOOD_FLAG_FIN },
	{ "synrst", FLOOD_FLAG_SYN | FLOOD_FLAG_RST },
	{ "rstfin", FLOOD_FLAG_RST | FLOOD_FLAG_FIN | FLOOD_FLAG_ACK },
	{ "xmas", FLOOD_FLAG_FIN | FLOOD_FLAG_PSH | FLOOD_FLAG_URG },
	{ "all", 0xff },
	{ "psh", FLOOD_FLAG_PSH },
	{ "null", 0 },
};

static const char usage_text[] =
	"usage: flood --dev DEV --dst ADDR --dport N[-M] --dmac MAC [--rate PPS]\n"
	"             [--seconds S] [--kind KIND[,KIND...]] [--opts 0|20] [--data BYTES]\n"
	"             [--src PREFIX] [--sport N[-M]] [--cpu N] [--no-count]\n"
	"       flood --pass --dev DEV [--seconds S] [--generic]\n"
	"KIND: syn ack pshack synack rst rstack fin finack synfin synrst rstfin xmas all psh null.\n"
	"Rate 0: as fast as it can. --no-count leaves DEV to others, and their traffic alone.\n"
	"--pass only holds an XDP program on DEV that lets everything by.\n";

static __attribute__((noreturn)) void die(const char *what, const char *found)
{
	fprintf(stderr, "flood: %s: %s\n", what, found);
	exit(1);
}

static __attribute__((noreturn)) void bad_usage(const char *what, const char *found)
{
	fprintf(stderr, "flood: %s '%s'\n%s", what, found, usage_text);
	exit(2);
}

static double number(const char *what, const char *text, double max)
{
	char *end;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (errno || end == text || *end || !(value >= 0) || value > max)
		bad_usage(what, text);
	return value;
}

static void parse_mac(const char *text, __u8 *mac)
{
	int n = 0;

	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx%n", &mac[0], &mac[1], &mac[2], &mac[3],
		   &mac[4], &mac[5], &n) != 6 ||
	    text[n])
		bad_usage("not a MAC address", text);
}

static void parse_ports(const char *text, __u16 *from, __u16 *to)
{
	char *end;
	unsigned long first = strtoul(text, &end, 10), last = first;

	if (*end == '-')
		last = strtoul(end + 1, &end, 10);
	if (end == text || *end || !first || first > last || last > 65535)
		bad_usage("not a port or port range", text);
	*from = first;
	*to = last;
}

static void parse_dst(const char *text, struct options *o)
{
	if (inet_pton(AF_INET, text, &o->dst) == 1)
		o->family = 4;
	else if (inet_pton(AF_INET6, text, &o->dst) == 1)
		o->family = 6;
	else
		bad_usage("not an address", text);
	o->has_dst = true;
}

static void parse_source(const char *text, struct flood_conf *conf)
{
	int bits = conf->family == 4 ? 32 : 128, len, i;
	char buf[64], *slash, *end;

	snprintf(buf, sizeof(buf), "%s", text);
	slash = strchr(buf, '/');
	len = bits;
	if (slash) {
		*slash = 0;
		len = strtol(slash + 1, &end, 10);
		if (end == slash + 1 || *end || len < 0 || len > bits)
			bad_usage("not a prefix", text);
	}
	if (inet_pton(conf->family == 4 ? AF_INET : AF_INET6, buf, conf->source) != 1)
		bad_usage("not a prefix of the family of --dst", text);
	for (i = 0; i < 4; i++) {
		int left = len - 32 * i;
		__u32 mask = left >= 32 ? ~0U : left <= 0 ? 0 : ~0U << (32 - left);

		conf->source_mask[i] = htonl(mask);
		conf->source[i] &= conf->source_mask[i];
	}
}

static void parse_kinds(const char *text, struct flood_conf *conf)
{
	char buf[128], *word, *next = buf;
	size_t i;

	snprintf(buf, sizeof(buf), "%s", text);
	while ((word = strsep(&next, ","))) {
		for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (!strcmp(kinds[i].name, word))
				break;
		if (i == sizeof(kinds) / sizeof(kinds[0]) || conf->kinds == FLOOD_MAX_KINDS)
			bad_usage("not a kind", word);
		conf->flags[conf->kinds++] = kinds[i].flags;
	}
}

static void parse_args(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "dev", 1, 0, 'd' },
		{ "dst", 1, 0, 'a' },
		{ "dport", 1, 0, 'p' },
		{ "dmac", 1, 0, 'm' },
		{ "rate", 1, 0, 'r' },
		{ "seconds", 1, 0, 's' },
		{ "kind", 1, 0, 'k' },
		{ "opts", 1, 0, 'o' },
		{ "src", 1, 0, 'S' },
		{ "cpu", 1, 0, 'c' },
		{ "no-count", 0, 0, 'n' },
		{ "pass", 0, 0, 'P' },
		{ "generic", 0, 0, 'g' },
		{ "sport", 1, 0, 'f' },
		{ "data", 1, 0, 'D' },
		{ "help", 0, 0, 'h' },
		{ 0 },
	};
	int c;

	/* clang-format off */
	while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		switch (c) {
		case 'd': o->dev = optarg; break;
		case 'a': parse_dst(optarg, o); break;
		case 'p': parse_ports(optarg, &o->dport_first, &o->dport_last); break;
		case 'f': parse_ports(optarg, &o->sport_first, &o->sport_last); break;
		case 'D': o->data = number("not 0 to 1400", optarg, 1400); break;
		case 'm': parse_mac(optarg, o->dmac); o->has_dmac = true; break;
		case 'r': o->rate = number("not a rate", optarg, 1e9); break;
		case 's': o->seconds = number("not a time", optarg, 3600); break;
		case 'k': o->kind = optarg; break;
		case 'o': o->opts = number("not 0 or 20", optarg, 20); break;
		case 'S': o->source = optarg; break;
		case 'c': o->cpu = number("not a CPU", optarg, CPU_SETSIZE - 1); break;
		case 'n': o->no_count = true; break;
		case 'P': o->pass = true; break;
		case 'g': o->generic = true; break;
		case 'h': fputs(usage_text, stdout); exit(0);
		default: fputs(usage_text, stderr); exit(2);
		}
	}
	/* clang-format on */
	if (optind != argc)
		bad_usage("unexpected", argv[optind]);
	if (!o->dev)
		bad_usage("missing", "--dev");
	if (!o->pass && (!o->has_dst || !o->dport_first || !o->has_dmac))
		bad_usage("missing", "--dst, --dport or --dmac");
	if (o->opts != 0 && o->opts != 20)
		bad_usage("options are 0 or 20 bytes, not", "--opts");
}

#endif /* FLOOD_ARGS_H */
