#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Boot one of Debian's kernels in QEMU and run kernel_guest.sh in it; TAP on stdout.
#
#   tests/kernel.sh VERSION... [PATTERN]
#
# VERSION: 6.1 or 6.12; several are booted side by side, on one emulated CPU each.
# PATTERN: only programs whose name contains it (prog_*, scenario).
#
# The guest's root is this machine's own, read-only, so what is built is there at the same
# path. Emulated CPUs always: /dev/kvm may open and still not work in a virtual machine.
# The kernel's package and the guest's logs are kept in build/kernel.
# Environment: SW_BUILD (build), SW_SCALE (100 in the guest), SW_KERNEL_LIMIT (seconds, 1500),
# SW_SEED (of the tests in the guest; none: the clock's).

set -euo pipefail

repo=$(dirname "$(dirname "$(readlink -f "$0")")")
SW_BUILD=${SW_BUILD:-$repo/build}
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C # what apt-cache says is read
usage()
{
	echo "usage: tests/kernel.sh {6.1|6.12}... [PATTERN]" >&2
	exit 2
}

versions=()
pattern=
for word; do
	case $word in
	6.1 | 6.12) versions+=("$word") ;;
	*)
		[ -z "$pattern" ] || usage
		pattern=$word
		;;
	esac
done
tmp=$(mktemp -d)
children=()
# shellcheck disable=SC2317 # a trap calls it
cleanup()
{
	for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# --- several: one process for each, their results as one -------------------------------------
case ${#versions[@]} in
0) usage ;;
1) ;;
*)
	status=0
	for version in "${versions[@]}"; do
		"$0" "$version" "$pattern" > "$tmp/$version.tap" 2> "$tmp/$version.err" < /dev/null &
		children+=($!)
	done
	for pid in "${children[@]}"; do wait "$pid" || status=1; done
	children=()
	files=("${versions[@]/#/$tmp/}")
	files=("${files[@]/%/.tap}")
	awk '
		/^(not )?ok / { sub(/ok [0-9]+/, "ok " ++n) }
		# a kernel that is skipped whole has no test of its own
		/^1\.\.0 / { sub(/^1\.\.0 +/, "ok " ++n " - whole kernel "); print; next }
		/^1\.\./ { next }
		{ print }
		END { print "1.." n + 0 }' "${files[@]}"
	cat "${files[@]/%.tap/.err}" >&2
	exit "$status"
	;;
esac
version=${versions[0]}
case $version in
6.1) package=linux-image-cloud-amd64 ;;
6.12) package=linux-image-6.12-cloud-amd64 ;;
esac
dir=$SW_BUILD/kernel/$version
mkdir -p "$dir"
skip_all()
{
	echo "1..0 # SKIP Linux $version NOT TESTED: $*"
	exit 0
}

# --- the kernel: newest one the meta-package names; a cached one if apt cannot tell ----------
image_name()
{
	apt-cache depends "$package" 2>/dev/null | awk '/Depends: linux-image/ { print $2; exit }'
}

fetch_kernel()
{
	local image try
	for try in 1 2; do
		image=$(image_name)
		[ -z "$image" ] || [ ! -e "$dir/$image.ready" ] || return 0
		if [ -n "$image" ] && (cd "$tmp" && apt-get -q -o Acquire::Retries=3 download "$image") >&2; then
			rm -rf "$dir/root" "$dir"/*.ready
			dpkg-deb -x "$tmp/$image"_*.deb "$dir/root"
			rm -f "$tmp/$image"_*.deb
			# merged /usr or not, depmod and modprobe look in lib
			[ -e "$dir/root/lib/modules" ] || ln -s usr/lib "$dir/root/lib"
			depmod -b "$dir/root" "$(ls "$dir/root/lib/modules")"
			touch "$dir/$image.ready"
			return 0
		fi
		# lists may be old or absent
		[ "$try" = 2 ] || apt-get -q -o DPkg::Lock::Timeout=400 update >&2 || true
	done
	[ -n "$(find "$dir" -name '*.ready' -print -quit)" ]
}

virtiofsd=
for f in /usr/lib/qemu/virtiofsd /usr/libexec/virtiofsd; do [ ! -x "$f" ] || virtiofsd=$f; done
command -v qemu-system-x86_64 > /dev/null || skip_all "no qemu-system-x86_64"
[ -n "$virtiofsd" ] || skip_all "no virtiofsd"
[ -x /bin/busybox ] || skip_all "no busybox"
[ -x "$SW_BUILD/synwarden" ] || { echo "no $SW_BUILD/synwarden: run make" >&2; exit 1; }
fetch_kernel || skip_all "package $package cannot be had"
release=$(ls "$dir/root/lib/modules")

# --- initramfs: busybox, modules for virtio, fuse and overlay -----------------
make_initrd()
{
	local root=$tmp/initrd module file name
	mkdir -p "$root"/{bin,proc,sys,dev,ro,rw,new,mods}
	cp /bin/busybox "$root/bin/"
	ln -s busybox "$root/bin/sh"
	for module in virtio_pci virtiofs overlay; do
		modprobe -d "$dir/root" -S "$release" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' > "$tmp/modules"
	: > "$root/mods/order"
	while read -r file; do
		name=$(basename "${file%.xz}")
		echo "$name" >> "$root/mods/order"
		case $file in
		*.xz) xz -dc "$file" > "$root/mods/$name" ;;
		*) cp "$file" "$root/mods/$name" ;;
		esac
	done < "$tmp/modules"
	sed -e "s|@SCRIPT@|$repo/tests/kernel_guest.sh|" -e "s|@BUILD@|$SW_BUILD|" \
		-e "s|@PATTERN@|$pattern|" -e "s|@SEED@|${SW_SEED-}|" \
		-e "s|@MODULES@|$dir/root/lib/modules|" "$repo/tests/kernel_init.sh" > "$root/init"
	chmod 755 "$root/init"
	(cd "$root" && find . -print0 | cpio --null -o -H newc -R 0:0 --quiet) > "$tmp/initrd.cpio"
}
make_initrd

# --- boot ----------------------------------------------------------------------------------------
"$virtiofsd" --socket-path="$tmp/vfs" -o source=/ -o cache=always -o sandbox=chroot \
	> "$dir/virtiofsd.log" 2>&1 &
children+=($!)
for _ in $(seq 50); do
	[ ! -S "$tmp/vfs" ] || break
	sleep 0.1
done
# Two network cards on one hub, joined to nothing else. What costs most under emulation is left
# out: a second CPU (+70 %), AVX (+20 %), page table isolation.
status=0
timeout -k 5 "${SW_KERNEL_LIMIT:-1500}" qemu-system-x86_64 -nodefaults -no-user-config \
	-display none -no-reboot -M q35 -accel tcg -cpu Nehalem -smp 1 -m 1G \
	-object memory-backend-memfd,id=mem,size=1G,share=on -numa node,memdev=mem \
	-kernel "$dir/root/boot/vmlinuz-$release" -initrd "$tmp/initrd.cpio" \
	-append "console=ttyS0 panic=-1 quiet mitigations=off" \
	-serial "file:$dir/console.log" -serial "file:$dir/tap.log" \
	-netdev hubport,id=h0,hubid=0 -netdev hubport,id=h1,hubid=0 \
	-device virtio-net-pci,netdev=h0,mac=02:00:00:00:0a:01 \
	-device virtio-net-pci,netdev=h1,mac=02:00:00:00:0a:02 \
	-chardev "socket,id=c0,path=$tmp/vfs" -device vhost-user-fs-pci,chardev=c0,tag=root \
	< /dev/null > "$dir/qemu.log" 2>&1 &
children+=($!)
wait "$!" || status=$?

# --- tell ----------------------------------------------------------------------------------------
case $status in
0) ended="panic or reboot" ;;
124 | 137) ended="out of time" ;;
*) ended="QEMU exit status $status" ;;
esac
echo "# Linux $release"
good=0
awk -v ended="$ended" -v kernel="$version" -f "$repo/tests/kernel_tap.awk" "$dir/tap.log" || good=1
if [ "$good" != 0 ]; then
	{
		echo "console of the guest, its end (all: $dir/console.log):"
		tail -n 25 "$dir/console.log"
		cat "$dir/qemu.log"
	} | tr -d '\r' >&2
fi
exit "$good"
