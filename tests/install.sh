#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Install the Debian packages that building, testing and deploy/try.sh need: only what is
# missing, without recommended packages and without starting or enabling a service.
#
#   tests/install.sh [-n] [build|deb|test|kernel|house|try]...   -n: only name what is missing

set -euo pipefail

declare -A group=(
	[build]="clang llvm gcc make libc6-dev libbpf-dev libelf-dev zlib1g-dev libyaml-dev libcap-ng-dev
		libseccomp-dev libmicrohttpd-dev libncurses-dev libpcap-dev bpftool pkg-config"
	[deb]="debhelper dpkg-dev systemd"
	[test]="clang-19 libclang-rt-14-dev iproute2 ethtool nftables curl nginx python3
		python3-scapy iperf3 strace tcpdump jq procps util-linux kmod systemd systemd-container
		prometheus python3-prometheus-client lintian zsh chromium fonts-dejavu-core tmux"
	[kernel]="qemu-system-x86 qemu-system-common busybox-static cpio kmod xz-utils"
	[house]="clang-format shellcheck mandoc python3-yaml yamllint zsh"
	[try]="iproute2 ethtool curl nginx python3 jq procps util-linux"
)

dry=
[ "${1-}" != -n ] || { dry=1; shift; }
[ $# -gt 0 ] || set -- build deb test kernel house try

wanted=
for name; do
	if [ -z "${group[$name]-}" ]; then
		echo "tests/install.sh: no group '$name', only ${!group[*]}" >&2
		exit 2
	fi
	wanted+=" ${group[$name]}"
done

is_installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing()
{
	local p
	# shellcheck disable=SC2086 # a list of words
	for p in $(printf '%s\n' $wanted | sort -u); do
		is_installed "$p" || echo "$p"
	done
}

if ! command -v dpkg-query apt-get > /dev/null; then
	echo "tests/install.sh: no dpkg and apt-get here; needed: $wanted" >&2
	exit 1
fi
mapfile -t packages < <(missing)
[ ${#packages[@]} -gt 0 ] || exit 0
if [ -n "$dry" ]; then
	printf '%s\n' "${packages[@]}"
	exit 0
fi
if [ "$EUID" -ne 0 ]; then
	echo "tests/install.sh: root is needed to install ${packages[*]}" >&2
	exit 1
fi

echo "installing ${packages[*]}"
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=
cleanup()
{
	rm -f "$log"
	[ -z "$made_policy" ] || rm -f "$policy"
}
trap cleanup EXIT
# nginx must not take port 80 of the machine, nor prometheus 9090: Debian asks this file before
# starting a service
if [ ! -e "$policy" ]; then
	made_policy=1
	printf '#!/bin/sh\nexit 101\n' > "$policy"
	chmod 755 "$policy"
fi
apt=(apt-get -q -y -o DPkg::Lock::Timeout=400 -o Acquire::Retries=3)
export DEBIAN_FRONTEND=noninteractive
# A failed update is told only if the installation fails too: old lists may do. The lists have a lock
# of their own, for which apt-get does not wait: a machine that has just booted may be reading them.
for _ in $(seq 24); do
	! "${apt[@]}" update > "$log" 2>&1 || break
	grep -q /lists/lock "$log" || break
	sleep 5
done
if ! "${apt[@]}" install --no-install-recommends "${packages[@]}" >> "$log" 2>&1; then
	cat "$log" >&2
	echo "tests/install.sh: could not install ${packages[*]}" >&2
	exit 1
fi
for service in nginx prometheus; do
	case " ${packages[*]} " in
	*" $service "*) [ ! -d /run/systemd/system ] || systemctl -q disable "$service" || true ;;
	esac
done
