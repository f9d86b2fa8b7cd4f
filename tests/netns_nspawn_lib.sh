#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For netns_unit.sh and netns_deb.sh, which source it: a real systemd as process 1 of a container
# of systemd-nspawn, in $T/root and on the server's network. Not here: what is in that root.

# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/netns_lib.sh"

# Cgroups of our own, which systemd-nspawn divides: "mount point, path below it" of each
cgroups() {
	local number name path at own=${T%/*}
	while IFS=: read -r number name path; do
		case $number:$name in
		0:) at=$(findmnt -nfo TARGET -t cgroup2) || continue ;;
		*:name=systemd) at=$(findmnt -nfo TARGET -t cgroup -O name=systemd) || continue ;;
		*) continue ;;
		esac
		echo "$at${path%/}/synwarden-test-${own##*/}"
	done < /proc/self/cgroup
}

cgroups_enter() {
	local dir
	for dir in $(cgroups); do
		mkdir -p "$dir"
		echo "$BASHPID" > "$dir/cgroup.procs"
	done
}

cgroups_remove() {
	local dir
	for dir; do
		find "$dir" -depth -type d -exec rmdir {} + 2> /dev/null || true
		[ ! -e "$dir" ] || return 1
	done
}

# Those of tests that failed: killed with their container, nobody was left to remove them.
cgroups_sweep() {
	local dir old
	for dir in $(cgroups); do
		find "${dir%/*}" -maxdepth 1 -name 'synwarden-test-*' -mmin +10 | while read -r old; do
			[ -n "$(find "$old" -name cgroup.procs -exec cat {} + 2> /dev/null)" ] ||
				cgroups_remove "$old" || true
		done
	done
}

# container_up OPTION...: systemd as process 1 of a container; INIT is its process out here
container_up() {
	need systemd-nspawn pgrep findmnt
	[ -x /usr/lib/systemd/systemd ] || skip "systemd is not installed"
	touch "$T/net"
	mount --bind /run/netns/server "$T/net"
	cgroups_sweep
	CGROUPS=$(cgroups | tr '\n' ' ')
	(
		cgroups_enter
		exec unshare --mount sh -c 'mount -t tmpfs tmpfs /run; exec systemd-nspawn -q "$@"' sh \
			-D "$T/root" --bind=/sys/fs/bpf --network-namespace-path="$T/net" --register=no \
			--keep-unit --system-call-filter=bpf --capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN \
			"$@" /usr/lib/systemd/systemd --unit=lab.target
	) > "$T/console" 2>&1 &
	NSPAWN=$!
	wait_until 10 init_is_there || fail "no container: $(cat "$T/console")"
}

container_down() {
	kill -KILL "$INIT"
	wait "$NSPAWN" 2> /dev/null || true
	umount "$T/net"
	# shellcheck disable=SC2086 # a list of words
	wait_until 5 cgroups_remove $CGROUPS || fail "cgroups left: $CGROUPS"
}

init_is_there() { INIT=$(pgrep -P "$NSPAWN" -x systemd | head -n 1) && [ -n "$INIT" ]; }
ctl() { nsenter -t "$INIT" -m -p -- systemctl "$@" 2>&1; }
is_active() { [ "$(ctl is-active synwarden)" = active ]; }
main_pid() { ctl show -P MainPID synwarden; }
# whose process was $1: in this order, as it may end between two questions
is_restarted() {
	local now
	now=$(main_pid)
	[ "$now" != 0 ] && [ "$now" != "$1" ] && is_active
}
is_stopped() { [ "$(ctl is-active synwarden)" = inactive ]; }
log() { cat "$T/root/var/log/guard" 2> /dev/null; }
