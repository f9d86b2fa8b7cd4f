/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user/notify.c, follow.c and confine.c: what the daemon decides, and what it cannot do any more. */
#define HARNESS_PURE true
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"
#include "follow.h"
#include "harness.h"
#include "notify.h"

TEST(notify_address_is_a_path_or_an_abstract_name, "L12")
{
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	struct sockaddr_un addr;
	char words[200];

	CHECK_EQ(notify_address("/run/systemd/notify", &addr), head + 20);
	CHECK(!strcmp(addr.sun_path, "/run/systemd/notify"));
	CHECK_EQ(notify_address("@abstract", &addr), head + 9);
	CHECK_EQ(addr.sun_path[0], '\0');
	CHECK(!memcmp(addr.sun_path + 1, "abstract", 8));
	CHECK_EQ(notify_address(NULL, &addr), 0);
	CHECK_EQ(notify_address("", &addr), 0);
	CHECK_EQ(notify_address("/", &addr), 0);
	CHECK_EQ(notify_address("relative", &addr), 0);
	CHECK_EQ(notify_address("vsock:2:1234", &addr), 0);
	memset(words, 'x', sizeof(words));
	words[0] = '/';
	words[sizeof(addr.sun_path)] = '\0';
	CHECK_EQ(notify_address(words, &addr), 0);
	words[sizeof(addr.sun_path) - 1] = '\0';
	CHECK_EQ(notify_address(words, &addr), head + sizeof(addr.sun_path));
}

TEST(watchdog_is_for_one_process, "L12")
{
	CHECK_EQ(notify_watchdog_of("30000000", NULL, 7), 30000000);
	CHECK_EQ(notify_watchdog_of("30000000", "7", 7), 30000000);
	CHECK_EQ(notify_watchdog_of("30000000", "8", 7), 0);
	CHECK_EQ(notify_watchdog_of("30000000", "seven", 7), 0);
	CHECK_EQ(notify_watchdog_of(NULL, "7", 7), 0);
	CHECK_EQ(notify_watchdog_of("0", NULL, 7), 0);
	CHECK_EQ(notify_watchdog_of("-1", NULL, 7), 0);
	CHECK_EQ(notify_watchdog_of("99999999999999999999", NULL, 7), 0);
}

TEST(plight_follows_from_what_is_there, "L07 L04")
{
	const struct plight_facts fine = {
		.wanted_here = true,
		.named_here = true,
		.same_name = true,
		.pins = true,
		.linked = true,
		.link_runs = true,
		.foreign = true, /* for a look at the device alone ours is a program, too */
		.tc_complete = true,
	};
	struct plight_facts f = fine;

	CHECK_EQ(plight_of(&f), PLIGHT_FINE);
	f.tc_complete = false;
	CHECK_EQ(plight_of(&f), PLIGHT_HALF);
	f.same_name = false;
	CHECK_EQ(plight_of(&f), PLIGHT_RENAMED);
	f.bridged = true;
	CHECK_EQ(plight_of(&f), PLIGHT_BRIDGED);
	f.link_runs = false;
	CHECK_EQ(plight_of(&f), PLIGHT_MOVED);

	f = (struct plight_facts){ .pins = true };
	CHECK_EQ(plight_of(&f), PLIGHT_GONE);
	f.named_here = true; /* deleted and made again between two looks: cleared first */
	CHECK_EQ(plight_of(&f), PLIGHT_GONE);
	f.wanted_here = true;
	CHECK_EQ(plight_of(&f), PLIGHT_CUT);
	f.foreign = true;
	CHECK_EQ(plight_of(&f), PLIGHT_DISPLACED);

	f = (struct plight_facts){ .named_here = true };
	CHECK_EQ(plight_of(&f), PLIGHT_BACK);
	f.bridged = true;
	CHECK_EQ(plight_of(&f), PLIGHT_WAITING);
	f = (struct plight_facts){ .named_here = true, .foreign = true };
	CHECK_EQ(plight_of(&f), PLIGHT_WAITING);
	f = (struct plight_facts){ .pins = false };
	CHECK_EQ(plight_of(&f), PLIGHT_WAITING);
}

/* A child as control_serve.c makes one, and none of another kind. */
static bool children_are_plain(void)
{
	int status;
	pid_t child = fork();

	if (!child)
		_exit(prctl(PR_SET_PDEATHSIG, SIGKILL) ? 1 : 0);
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
	    WEXITSTATUS(status))
		return false;
	if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) != -1 || errno != EPERM)
		return false;
	if (syscall(SYS_unshare, CLONE_NEWUSER) != -1 || errno != EPERM)
		return false;
	return prctl(PR_SET_NAME, "other") == -1 && errno == EPERM;
}

/* The number of the first call that did not do as it must, 0: none. */
static int try_calls(void)
{
	union bpf_attr attr = { 0 };
	char *const none[] = { NULL };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		    MAP_FAILED ||
	    errno != EPERM)
		return 2;
	if (execve("/bin/true", none, none) != -1 || errno != EPERM)
		return 3;
	if (!children_are_plain())
		return 4;
	if (socket(AF_PACKET, SOCK_RAW, 0) != -1 || errno != EPERM)
		return 5;
	if (socket(AF_INET, SOCK_DGRAM, 0) < 0 || socket(AF_NETLINK, SOCK_RAW, 0) < 0)
		return 6;
	if (syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)) != -1 || errno != EPERM)
		return 7;
	if (syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)) != -1 || errno != EPERM)
		return 8;
	/* let through to the kernel, which finds no path in it */
	if (syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr)) != -1 || errno != EFAULT)
		return 9;
	if (syscall(SYS_ptrace, 0, 0, 0, 0) != -1 || errno != EPERM)
		return 10;
	return 0;
}

TEST(confined_process_cannot_do_more_than_its_work, "N01")
{
	int status = 0;
	pid_t child;

	if (geteuid())
		test_skip("confine() gives up what only root has");
	child = MUST(fork());
	if (!child)
		_exit(confine() ? 99 : try_calls());
	MUST(waitpid(child, &status, 0));
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
}
