/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this machine and this process can do. Nothing here changes anything. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "kernel.h"
#include "util.h"

/* Linux 5.8; the headers of the machine that builds may be older. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

bool probe_has_btf(void)
{
	return !access("/sys/kernel/btf/vmlinux", R_OK);
}

bool probe_kernel_function(const char *name)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool found = btf && btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return found;
}

static bool has_capability(const struct __user_cap_data_struct data[2], int cap)
{
	return data[cap / 32].effective >> (cap % 32) & 1;
}

const char *probe_missing_capability(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &head, data))
		return "CAP_BPF";
	if (!has_capability(data, CAP_NET_ADMIN))
		return "CAP_NET_ADMIN";
	if (has_capability(data, CAP_SYS_ADMIN))
		return NULL; /* includes the two below */
	if (!has_capability(data, CAP_BPF))
		return "CAP_BPF";
	if (!has_capability(data, CAP_PERFMON))
		return "CAP_PERFMON";
	return NULL;
}

int probe_require_capabilities(const char *what)
{
	const char *missing = probe_missing_capability();

	if (!missing)
		return 0;
	return log_refuse(
		-EPERM,
		"%s needs CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON: %s is missing, run it as root",
		what, missing);
}

/* The directory that holds the pins exists before them. */
static int parent_of(const char *pin, char *dir, size_t size)
{
	const char *slash = strrchr(pin, '/');

	if (!slash)
		return -EINVAL;
	return path_format(dir, size, "%.*s", slash == pin ? 1 : (int)(slash - pin), pin);
}

bool probe_is_bpffs(const char *pin)
{
	char dir[PATH_MAX];
	struct statfs fs;

	return !parent_of(pin, dir, sizeof(dir)) && !statfs(dir, &fs) && fs.f_type == BPF_FS_MAGIC;
}

int probe_require_bpffs(const char *pin)
{
	char dir[PATH_MAX];
	struct statfs fs;

	if (parent_of(pin, dir, sizeof(dir)))
		return log_refuse(-EINVAL,
				  "bad pin directory '%s': an absolute path on a BPF file system",
				  pin);
	if (statfs(dir, &fs))
		return log_err(-errno, "pin directory: %s", dir);
	if (fs.f_type == BPF_FS_MAGIC)
		return 0;
	log_refuse(-ENODEV, "no BPF file system at %s", dir);
	if (!strcmp(dir, "/sys/fs/bpf"))
		log_hint("mount -t bpf bpf /sys/fs/bpf");
	else
		log_hint("--pin takes a directory on a BPF file system, such as %s",
			 SW_PIN_DEFAULT);
	return -ENODEV;
}

/* What the kernel sets aside for them at once, in MiB: keys and values, rounded up. */
static __u64 maps_mib(const struct bpf_object *obj)
{
	const struct bpf_map *map;
	__u64 bytes = 0;

	bpf_object__for_each_map(map, obj) {
		bool per_cpu = bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_ARRAY;
		__u64 one = bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF ? 1 :
									 bpf_map__value_size(map);

		if (!(bpf_map__map_flags(map) & BPF_F_NO_PREALLOC))
			bytes += bpf_map__max_entries(map) * one *
				 (per_cpu ? (__u64)libbpf_num_possible_cpus() : 1);
	}
	return (bytes + (1 << 20) - 1) >> 20;
}

void probe_no_memory(const struct bpf_object *obj, __u32 connections)
{
	char text[TEXT_COUNT];

	log_refuse(-ENOMEM, "make the maps, %llu MiB for %s connections: %s",
		   (unsigned long long)maps_mib(obj), text_count(connections, text),
		   strerror(ENOMEM));
	log_hint("attach with fewer --connections, or raise the limit of this cgroup: memory.max, "
		 "of a unit MemoryMax=");
}
