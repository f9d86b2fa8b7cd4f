#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Process 1 of the guest, run by busybox: the machine's own root by virtiofs, read-only with a
# tmpfs over it, then the script. kernel.sh fills in the words between @.
# The last line on the second serial line is "## guest STATUS"; without it the guest died.
# Debian's cloud kernels have no /dev/port to tell QEMU an exit status by.
b=/bin/busybox
leave()
{
	echo "## guest $1" > /dev/ttyS1
	# -no-reboot makes this the end of QEMU
	$b reboot -f
}
$b mount -t proc p /proc
$b mount -t sysfs s /sys
$b mount -t devtmpfs d /dev
while read -r m; do $b insmod "/mods/$m" || echo "insmod failed: $m"; done < /mods/order
n=/new
if ! { $b mount -t virtiofs -o ro root /ro && $b mount -t tmpfs t /rw && $b mkdir /rw/u /rw/w &&
	$b mount -t overlay -o lowerdir=/ro,upperdir=/rw/u,workdir=/rw/w o $n; }; then
	echo "no root file system"
	leave "no root"
fi
$b mount -t proc p $n/proc
$b mount -t sysfs s $n/sys
$b mount -t devtmpfs d $n/dev
$b mkdir -p $n/dev/pts $n/dev/shm
$b ln -sf /proc/self/fd $n/dev/fd
$b mount -t devpts p $n/dev/pts
$b mount -t tmpfs t $n/dev/shm
$b mount -t tmpfs t $n/run
$b mount -t bpf b $n/sys/fs/bpf
$b mount -t cgroup2 c $n/sys/fs/cgroup
$b mkdir -p $n/lib/modules $n/run/netns
$b mount -o bind "$n@MODULES@" $n/lib/modules
# results go out by the second serial line: the kernel's own words cannot fall into them
$b env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
	TERM=dumb LC_ALL=C.UTF-8 SW_GUEST=1 SW_BUILD="@BUILD@" SW_PATTERN="@PATTERN@" SW_SEED="@SEED@" \
	$b chroot $n /bin/bash "@SCRIPT@" > $n/dev/ttyS1
rc=$?
echo "guest script: status $rc, up $($b cut -d' ' -f1 /proc/uptime) s"
leave $rc
