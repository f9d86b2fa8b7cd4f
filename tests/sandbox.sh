#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run one program away from the machine: own mounts with an empty bpffs and an empty /run, so
# that its guard's lock is no other's, own processes and, unless -n is given, own network. Tell
# what it left behind.
#
#   tests/sandbox.sh [-n] REPORT PROGRAM [ARG]...
#
# REPORT gets a line for each namespace, pin or process left; the exit status is PROGRAM's.
# Whatever is left ends with the sandbox: killing this script kills all that it started.

set -euo pipefail

if [ "${SW_SANDBOX-}" != inside ]; then
	net=--net
	[ "$1" != -n ] || { net=; shift; }
	# SW_SANDBOX is for the second pass of this script only
	export SW_SANDBOX=inside
	exec unshare --mount --pid --fork --kill-child --mount-proc $net "$(readlink -f "$0")" "$@"
fi
unset SW_SANDBOX

report=$1
shift
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns /run/lock
ip link set lo up 2>/dev/null || true

status=0
"$@" || status=$?

processes()
{
	local p name
	for p in /proc/[0-9]*; do
		p=${p#/proc/}
		case $p in 1 | "$BASHPID") continue ;; esac
		# a zombie has ended, and pid 1 is about to reap it
		name=$(sed -n 's/^Name:\t//p; /^State:\tZ/q1' "/proc/$p/status" 2>/dev/null) || continue
		[ -z "$name" ] || echo "process $name: $(tr '\0' ' ' < "/proc/$p/cmdline" 2>/dev/null)"
	done
}

left()
{
	local f
	for f in /run/netns/*; do
		[ ! -e "$f" ] || echo "namespace ${f##*/}"
	done
	# kernels with CONFIG_BPF_PRELOAD put two iterators into every bpffs
	find /sys/fs/bpf -mindepth 1 ! -name '*.debug' -printf 'pin %p\n'
	processes
}

# a program that ended may need a moment to be gone
for _ in 1 2 3 4 5 6 7 8 9 10; do
	left > "$report"
	[ -s "$report" ] || break
	sleep 0.1
done
exit "$status"
