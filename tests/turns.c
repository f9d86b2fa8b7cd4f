// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * turns: what the guard on a device costs traffic that goes on. Its programs and ones that let
 * everything by take turns, some dozen times a second, and the bytes that the device counts in
 * the turns of either are compared: the machine's pace drifts by more than a guard costs, but
 * not within a twentieth of a second. Not here: the traffic.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "flood.h"
#include "flood.skel.h"

#define TURN_US 50000
#define HOOKS   3

struct hook {
	int link, ours, theirs;
};

struct sample {
	double bytes, seconds;
};

static __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "turns: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Received and sent by dev; wraps, so only the difference of two means something. */
static __u32 bytes_of(const char *dev)
{
	struct ifaddrs *all = NULL;
	__u32 bytes = 0;
	bool found = false;

	if (getifaddrs(&all))
		die("getifaddrs");
	for (struct ifaddrs *a = all; a; a = a->ifa_next) {
		const struct rtnl_link_stats *stats = a->ifa_data;

		if (!stats || a->ifa_addr->sa_family != AF_PACKET || strcmp(a->ifa_name, dev))
			continue;
		bytes = stats->rx_bytes + stats->tx_bytes;
		found = true;
	}
	freeifaddrs(all);
	errno = ENODEV;
	if (!found)
		die(dev);
	return bytes;
}

static struct hook open_hook(const char *dir, const char *name, struct bpf_program *theirs)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	char pin[256];
	struct hook h;

	snprintf(pin, sizeof(pin), "%s/%s", dir, name);
	h.link = bpf_obj_get(pin);
	if (h.link < 0 || bpf_obj_get_info_by_fd(h.link, &info, &len))
		die(pin);
	h.ours = bpf_prog_get_fd_by_id(info.prog_id);
	h.theirs = bpf_program__fd(theirs);
	if (h.ours < 0)
		die(pin);
	return h;
}

static void turn(const struct hook *hooks, int ours)
{
	for (int i = 0; i < HOOKS; i++)
		if (bpf_link_update(hooks[i].link, ours ? hooks[i].ours : hooks[i].theirs, NULL))
			die("link update");
}

static struct sample sample(const char *dev)
{
	double start = now();
	__u32 bytes = bytes_of(dev);

	usleep(TURN_US);
	return (struct sample){ (__u32)(bytes_of(dev) - bytes), now() - start };
}

int main(int argc, char **argv)
{
	struct hook hooks[HOOKS];
	double end, rate[2] = {}, sum = 0, squares = 0, mean, error;
	struct flood_bpf *skel;
	int pairs = 0;

	if (argc != 4) {
		fputs("usage: turns DEV DIRECTORY-OF-ITS-LINKS SECONDS\n", stderr);
		return 2;
	}
	skel = flood_bpf__open_and_load();
	if (!skel)
		die("load");
	hooks[0] = open_hook(argv[2], "xdp", skel->progs.flood_pass);
	hooks[1] = open_hook(argv[2], "tc_in", skel->progs.flood_next);
	hooks[2] = open_hook(argv[2], "tc_out", skel->progs.flood_next);
	for (end = now() + atof(argv[3]); now() < end; pairs++) {
		double pace[2];

		for (int i = 0; i < 2; i++) { /* ours and theirs, theirs and ours */
			int ours = (i + pairs) & 1;
			struct sample s;

			turn(hooks, ours);
			s = sample(argv[1]);
			pace[ours] = s.bytes / s.seconds;
			rate[ours] += pace[ours];
		}
		if (pace[0] <= 0 || pace[1] <= 0) {
			errno = ENODATA;
			die("no traffic");
		}
		sum += log(pace[1] / pace[0]);
		squares += pow(log(pace[1] / pace[0]), 2);
	}
	turn(hooks, 1);
	mean = sum / pairs;
	error = sqrt((squares / pairs - mean * mean) / pairs);
	printf("{\"pairs\":%d,\"ours_mbit\":%.0f,\"bare_mbit\":%.0f,\"ratio\":%.4f,"
	       "\"error\":%.4f}\n",
	       pairs, rate[1] * 8e-6 / pairs, rate[0] * 8e-6 / pairs, exp(mean), error);
	return 0;
}
