/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After its start the daemon holds descriptors of maps, and loads nothing: linking programs that
 * are pinned, walking sockets and changing elements ask for no capability (measured on 6.18),
 * changing filters of tc and features of a device for CAP_NET_ADMIN. So CAP_BPF and CAP_PERFMON
 * are given up with the rest; `upgrade` and `attach` are processes of their own.
 *
 * A system call that is not listed fails with EPERM, and the daemon goes on: a C library that
 * starts to use another one must not end the sweeps, and whoever broke in learns no more from
 * an error than from a death that the service manager mends.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cap-ng.h>
#include <seccomp.h>

#include "confine.h"
#include "util.h"

static const char *const plain_calls[] = {
	/* memory, time, itself */
	"brk",
	"munmap",
	"mremap",
	"madvise",
	"futex",
	"getrandom",
	"getpid",
	"getppid",
	"gettid",
	"clock_gettime",
	"clock_nanosleep",
	"nanosleep",
	"gettimeofday",
	"restart_syscall",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"exit",
	"exit_group",
	"membarrier",
	"sched_getaffinity",
	"sched_yield",
	"rseq",
	"set_robust_list",
	"sysinfo",
	"uname",
	/* files */
	"read",
	"readv",
	"pread64",
	"write",
	"writev",
	"open",
	"openat",
	"close",
	"lseek",
	"fstat",
	"stat",
	"lstat",
	"newfstatat",
	"statx",
	"statfs",
	"fstatfs",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getdents64",
	"fcntl",
	"flock",
	"dup",
	"dup3",
	"mkdir",
	"mkdirat",
	"rmdir",
	"unlink",
	"unlinkat",
	"rename",
	"renameat",
	"renameat2",
	/* waiting */
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"poll",
	"ppoll",
	"signalfd4",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	/* children that answer questions */
	"wait4",
	"dup2",
	/* talking to the kernel and the service manager */
	"bind",
	"accept",
	"accept4",
	"shutdown",
	"sendto",
	"sendmsg",
	"recvfrom",
	"recvmsg",
	"getsockopt",
	"setsockopt",
	"getsockname",
};

/* The inet socket is what ioctls on devices go through. */
static const int families[] = { AF_UNIX, AF_NETLINK, AF_INET };

/* fork(3) of glibc; no thread and no namespace. */
static const int clones[] = { CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD, SIGCHLD };

static const int prctls[] = { PR_SET_PDEATHSIG };

static const int ioctls[] = {
	SIOCETHTOOL, SIOCGIFHWADDR, SIOCGIFMTU, SIOCGIFINDEX, SIOCGIFNAME, TCGETS,
};

/* Elements, pins and links; no program is loaded, no map made. */
static const int bpf_commands[] = {
	BPF_MAP_LOOKUP_ELEM,
	BPF_MAP_UPDATE_ELEM,
	BPF_MAP_DELETE_ELEM,
	BPF_MAP_LOOKUP_AND_DELETE_ELEM,
	BPF_MAP_GET_NEXT_KEY,
	BPF_MAP_LOOKUP_BATCH,
	BPF_MAP_UPDATE_BATCH,
	BPF_MAP_DELETE_BATCH,
	BPF_MAP_LOOKUP_AND_DELETE_BATCH,
	BPF_OBJ_PIN,
	BPF_OBJ_GET,
	BPF_OBJ_GET_INFO_BY_FD,
	BPF_LINK_CREATE,
	BPF_LINK_UPDATE,
	BPF_LINK_DETACH,
	BPF_ITER_CREATE,
};

/* A call that is let through if its argument is one of these. */
static const struct narrow_call {
	const char *name;
	unsigned int arg;
	const int *values;
	size_t count;
} narrow_calls[] = {
	{ "socket", 0, families, ARRAY_SIZE(families) },
	{ "ioctl", 1, ioctls, ARRAY_SIZE(ioctls) },
	{ "clone", 0, clones, ARRAY_SIZE(clones) },
	{ "prctl", 0, prctls, ARRAY_SIZE(prctls) },
	{ "bpf", 0, bpf_commands, ARRAY_SIZE(bpf_commands) },
};

static int allow(scmp_filter_ctx filter, const char *name, unsigned int count,
		 const struct scmp_arg_cmp *cmp)
{
	int call = seccomp_syscall_resolve_name(name);

	/* not of this architecture, or newer than the library */
	if (call == __NR_SCMP_ERROR || call < 0)
		return 0;
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, count, cmp);
}

static int allow_all(scmp_filter_ctx filter)
{
	/* no memory that is to be run */
	const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int err = allow(filter, "mmap", 1, &no_exec);

	for (size_t i = 0; i < ARRAY_SIZE(plain_calls) && !err; i++)
		err = allow(filter, plain_calls[i], 0, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(narrow_calls); i++) {
		const struct narrow_call *n = &narrow_calls[i];

		for (size_t k = 0; k < n->count && !err; k++) {
			/* the upper half of the register is not the call's */
			const struct scmp_arg_cmp is = SCMP_CMP(
				n->arg, SCMP_CMP_MASKED_EQ, 0xffffffff, (unsigned int)n->values[k]);

			err = allow(filter, n->name, 1, &is);
		}
	}
	return err;
}

static int filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = filter ? allow_all(filter) : -ENOMEM;

	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err ? log_err(err, "filter the system calls") : 0;
}

static int keep_net_admin(void)
{
	capng_select_t what = CAPNG_SELECT_CAPS;

	if (capng_get_caps_process())
		return log_refuse(-EPERM, "read the capabilities of this process");
	/* what cannot be narrowed without CAP_SETPCAP no longer matters: nothing is executed */
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
		what = CAPNG_SELECT_ALL;
	capng_clear(what);
	if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN) ||
	    capng_apply(what))
		return log_refuse(-EPERM, "give up all capabilities but CAP_NET_ADMIN");
	return 0;
}

int confine(void)
{
	int err = keep_net_admin();

	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = log_err(-errno, "forbid new privileges");
	return err ? err : filter_calls();
}
