/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host a guard stands before: a network namespace of the test's own, sockets, sysctls,
 * the clock. See fixture.h.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "fixture_parts.h"
#include "synwarden.skel.h"

__attribute__((weak)) enum sw_engine fixture_engine = SW_ENGINE_AUTO;

struct in6_ifreq { /* linux/ipv6.h clashes with netinet/in.h */
	struct in6_addr addr;
	uint32_t prefix_len;
	int ifindex;
};

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

void sleep_ms(unsigned int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static unsigned int scale(void)
{
	const char *text = getenv("SW_SCALE");

	return text ? (unsigned int)strtoul(text, NULL, 10) : 1;
}

unsigned int scaled(unsigned int n)
{
	return scale() > 1 ? n / scale() + 1 : n;
}

unsigned int stride(void)
{
	return scale() > 1 ? 11 : 1; /* prime: no bit or field of the packets has that period */
}

void let_caches_expire(void)
{
	sleep_ms(12);
}

void budget_settle(void)
{
	uint64_t second = now_ns() >> 30;

	while (now_ns() >> 30 == second)
		sleep_ms(1);
	map_zero("sw_budget");
	map_zero("sw_cap");
}

static void add_address4(int fd, const char *label, const char *text)
{
	struct ifreq req = {};
	struct sockaddr_in *addr = (struct sockaddr_in *)&req.ifr_addr;

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", label);
	addr->sin_family = AF_INET;
	REQUIRE(inet_pton(AF_INET, text, &addr->sin_addr) == 1);
	MUST(ioctl(fd, SIOCSIFADDR, &req));
	REQUIRE(inet_pton(AF_INET, "255.255.255.0", &addr->sin_addr) == 1);
	MUST(ioctl(fd, SIOCSIFNETMASK, &req));
}

static void add_address6(int fd, const char *text)
{
	struct in6_ifreq req = { .prefix_len = 128, .ifindex = LO_IFINDEX };

	REQUIRE(inet_pton(AF_INET6, text, &req.addr) == 1);
	MUST(ioctl(fd, SIOCSIFADDR, &req));
}

/* A new IPv6 address can be bound once the kernel's worker has let it. */
static void address6_settle(const char *text)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };
	int fd = MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	unsigned int tries = 0;

	REQUIRE(inet_pton(AF_INET6, text, &addr.sin6_addr) == 1);
	while (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) && tries++ < 2000)
		sleep_ms(1);
	close(fd);
}

void host_enter(void)
{
	struct ifreq req = { .ifr_name = "lo" };
	cpu_set_t cpus;
	int fd4, fd6;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	MUST(sched_setaffinity(0, sizeof(cpus), &cpus));
	MUST(unshare(CLONE_NEWNET));
	fd4 = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	fd6 = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	req.ifr_mtu = LO_MTU;
	MUST(ioctl(fd4, SIOCSIFMTU, &req));
	req.ifr_flags = IFF_UP | IFF_LOOPBACK;
	MUST(ioctl(fd4, SIOCSIFFLAGS, &req));
	add_address4(fd4, "lo:1", SERVER4);
	add_address4(fd4, "lo:2", CLIENT4);
	add_address6(fd6, SERVER6);
	add_address6(fd6, CLIENT6);
	address6_settle(SERVER6);
	address6_settle(CLIENT6);
	close(fd4);
	close(fd6);
}

void sysctl_write(const char *path, const char *value)
{
	char full[256];
	int fd;

	snprintf(full, sizeof(full), "/proc/sys/%s", path);
	fd = MUST(open(full, O_WRONLY | O_CLOEXEC));
	MUST(write(fd, value, strlen(value)));
	close(fd);
}

long sysctl_read(const char *path, int column)
{
	char text[128] = "", full[256], *at = text;
	long value = 0;
	int fd;

	snprintf(full, sizeof(full), "/proc/sys/%s", path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0) /* net.core of a namespace has only some: fall back on what is the default */
		return 212992;
	MUST(read(fd, text, sizeof(text) - 1));
	close(fd);
	for (int i = 0; i <= column; i++)
		value = strtol(at, &at, 10);
	return value;
}

static socklen_t address(int family, const char *text4, const char *text6, uint16_t port,
			 struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (family == 6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		REQUIRE(inet_pton(AF_INET6, text6, &in6->sin6_addr) == 1);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	REQUIRE(inet_pton(AF_INET, text4, &in->sin_addr) == 1);
	return sizeof(*in);
}

static int tcp_socket(int family, int flags)
{
	int one = 1;
	int fd = MUST(
		socket(family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));

	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	if (family == 6)
		MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
	return fd;
}

int listen_on(int family, uint16_t port, int backlog)
{
	struct sockaddr_storage any;
	socklen_t len = address(family, "0.0.0.0", "::", port, &any);
	int fd = tcp_socket(family, SOCK_NONBLOCK);

	MUST(bind(fd, (struct sockaddr *)&any, len));
	MUST(listen(fd, backlog));
	return fd;
}

int connect_from(int family, uint16_t from, uint16_t to)
{
	struct sockaddr_storage addr;
	int fd = tcp_socket(family, 0);
	socklen_t len;

	len = address(family, CLIENT4, CLIENT6, from, &addr);
	MUST(bind(fd, (struct sockaddr *)&addr, len));
	len = address(family, SERVER4, SERVER6, to, &addr);
	MUST(connect(fd, (struct sockaddr *)&addr, len));
	return fd;
}

void adopt_sockets(void)
{
	struct bpf_link *link = bpf_program__attach_iter(guard.skel->progs.sw_adopt, NULL);
	char drain[256];
	int fd;

	REQUIRE(link);
	fd = MUST(bpf_iter_create(bpf_link__fd(link)));
	while (MUST(read(fd, drain, sizeof(drain))) > 0)
		;
	close(fd);
	bpf_link__destroy(link);
}

int accept_one(int listener)
{
	int fd = -1;

	for (int i = 0; i < 200 && fd < 0; i++) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			sleep_ms(5);
	}
	REQUIRE(fd >= 0);
	return fd;
}
