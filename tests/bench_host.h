/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host that the bench puts behind the guard: a network namespace of its own, with
 * listeners that cookies are made for and connections that segments belong to.
 */
#ifndef BENCH_HOST_H
#define BENCH_HOST_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT4       "10.9.0.1"
#define SERVER4       "10.9.0.2"
#define CLIENT6       "fd09::1"
#define SERVER6       "fd09::2"
#define PORT          80
#define PORT_LISTENER 81 /* apart: a cookie of the kernel's own changes what an ACK costs */
#define PORT_OTHER    9999
#define FIRST_SPORT   16384
#define CONNECTIONS   8192
#define SPORT_CLOSING (FIRST_SPORT + CONNECTIONS) /* the host has sent its FIN */
#define SPORT_RESET   (SPORT_CLOSING + 1)         /* target of RSTs */
#define RCV_NXT       0x10000000                  /* of every connection */

#define die(...)                              \
	do {                                  \
		fprintf(stderr, "bench: ");   \
		fprintf(stderr, __VA_ARGS__); \
		fprintf(stderr, "\n");        \
		exit(1);                      \
	} while (0)

#define MUST(call)                                             \
	({                                                     \
		long must_rc = (call);                         \
		if (must_rc < 0)                               \
			die("%s: %s", #call, strerror(errno)); \
		must_rc;                                       \
	})

static inline void host_sysctl(const char *path, const char *value)
{
	char full[128];
	int fd;

	snprintf(full, sizeof(full), "/proc/sys/net/%s", path);
	fd = MUST(open(full, O_WRONLY | O_CLOEXEC));
	MUST(write(fd, value, strlen(value)));
	close(fd);
}

static inline void host_address4(int fd, const char *label, const char *text)
{
	struct ifreq req = {};
	struct sockaddr_in *addr = (struct sockaddr_in *)&req.ifr_addr;

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", label);
	addr->sin_family = AF_INET;
	inet_pton(AF_INET, text, &addr->sin_addr);
	MUST(ioctl(fd, SIOCSIFADDR, &req));
}

static inline void host_address6(int fd, const char *text)
{
	struct { /* struct in6_ifreq: linux/ipv6.h clashes with netinet/in.h */
		struct in6_addr addr;
		unsigned int prefix_len;
		int ifindex;
	} req = { .prefix_len = 128, .ifindex = if_nametoindex("lo") };

	inet_pton(AF_INET6, text, &req.addr);
	MUST(ioctl(fd, SIOCSIFADDR, &req));
}

static inline struct sockaddr_in host_addr4(const char *text, unsigned short port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, text, &a.sin_addr);
	return a;
}

/* Dual stack: listens on both families. */
static inline void host_listen(unsigned short port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = MUST(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));

	MUST(bind(fd, (struct sockaddr *)&any, sizeof(any)));
	MUST(listen(fd, 2 * CONNECTIONS));
}

static inline void host_repair(int fd, int on)
{
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)));
}

/* The host's end of an established connection, as if restored: no client, chosen numbers. */
static inline void host_connect(int family, unsigned short client_port)
{
	struct sockaddr_in6 server6 = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	struct sockaddr_in6 client6 = { .sin6_family = AF_INET6, .sin6_port = htons(client_port) };
	struct sockaddr_in server4 = host_addr4(SERVER4, PORT);
	struct sockaddr_in client4 = host_addr4(CLIENT4, client_port);
	bool v4 = family == 4;
	int fd = MUST(socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
	unsigned int queue = TCP_RECV_QUEUE, seq = RCV_NXT, on = 1;

	inet_pton(AF_INET6, SERVER6, &server6.sin6_addr);
	inet_pton(AF_INET6, CLIENT6, &client6.sin6_addr);
	host_repair(fd, TCP_REPAIR_ON);
	/* an IPv6 address just given is tentative for a moment */
	MUST(setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)));
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)));
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, sizeof(seq)));
	MUST(bind(fd, v4 ? (void *)&server4 : (void *)&server6,
		  v4 ? sizeof(server4) : sizeof(server6)));
	MUST(connect(fd, v4 ? (void *)&client4 : (void *)&client6,
		     v4 ? sizeof(client4) : sizeof(client6)));
	host_repair(fd, TCP_REPAIR_OFF_NO_WP);
}

/* One core, and nothing but interrupts gets in between. */
static inline void host_pin(int cpu)
{
	struct sched_param first = { .sched_priority = 1 };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu < 0 ? sched_getcpu() : cpu, &cpus);
	MUST(sched_setaffinity(0, sizeof(cpus), &cpus));
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		fprintf(stderr, "bench: no real-time priority: %s\n", strerror(errno));
}

/* All of it ends with this process. Cookies 2: both engines answer, own and kernel's. */
static inline void host_up(int cpu)
{
	struct rlimit files = { 2 * CONNECTIONS, 2 * CONNECTIONS };
	struct ifreq req = { .ifr_name = "lo" };
	int fd4, fd6;

	host_pin(cpu);
	MUST(setrlimit(RLIMIT_NOFILE, &files));
	MUST(unshare(CLONE_NEWNET));
	fd4 = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	fd6 = MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	req.ifr_mtu = 1500;
	MUST(ioctl(fd4, SIOCSIFMTU, &req));
	req.ifr_flags = IFF_UP | IFF_LOOPBACK;
	MUST(ioctl(fd4, SIOCSIFFLAGS, &req));
	host_address4(fd4, "lo:1", SERVER4);
	host_address4(fd4, "lo:2", CLIENT4);
	host_address6(fd6, SERVER6);
	host_address6(fd6, CLIENT6);
	close(fd4);
	close(fd6);
	host_sysctl("core/somaxconn", "65535");
	host_sysctl("ipv4/tcp_max_syn_backlog", "65535");
	host_listen(PORT);
	host_listen(PORT_LISTENER);
	for (int i = 0; i < CONNECTIONS; i++)
		host_connect(4, FIRST_SPORT + i);
	host_connect(4, SPORT_CLOSING);
	host_connect(4, SPORT_RESET);
	host_connect(6, FIRST_SPORT);
	host_sysctl("ipv4/tcp_syncookies", "2");
}

#endif /* BENCH_HOST_H */
