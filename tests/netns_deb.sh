#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The Debian package: what make deb builds, what lintian says of it, and its life in a container
# with a real systemd: installed, started, upgraded under live traffic and across an ABI version,
# removed, purged. Besides what make install puts where, what zsh completes, and the examples of
# synwarden.conf(5).
# Not here: the unit itself (netns_unit.sh).

set -euo pipefail
# shellcheck source=tests/netns_nspawn_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_nspawn_lib.sh"

REPO=$(dirname "$HERE")
RELEASE=$(sed -n 's/^RELEASE := //p' "$REPO/Makefile")
NEXT=$RELEASE.1
deb_of() { echo "$SW_BUILD/deb/synwarden_$1_$(dpkg --print-architecture).deb"; }

# make_deb VERSION: of the sources as they are; nothing if it is there
make_deb() {
	need dpkg-buildpackage dh
	make -s -C "$REPO" BUILD="$SW_BUILD" DEB_VERSION="$1" deb > "$T/build-$1" 2>&1 ||
		fail "make deb: $(tail -n 20 "$T/build-$1")"
	[ -e "$(deb_of "$1")" ] || fail "no package: $(ls "$SW_BUILD/deb")"
}

test_deb_is_built_and_lintian_is_content() { # Q01 @limit=500
	local depends p lintian before began=$EPOCHREALTIME
	need lintian
	make_deb "$RELEASE"
	say "MEASURED make deb: $(elapsed "$began") s, $(stat -c %s "$(deb_of "$RELEASE")") bytes"
	lintian --fail-on error,warning --display-level '>=warning' --allow-root \
		"$(deb_of "$RELEASE" | sed 's/deb$/changes/')" > "$T/lintian" 2>&1 &
	lintian=$!
	# the image needs the libraries the package needs
	depends=$(dpkg-deb -f "$(deb_of "$RELEASE")" Depends)
	for p in $(tr ',' '\n' <<< "$depends" | awk '/^ *lib/ && $1 != "libc6" { print $1 }'); do
		grep -qw "$p" "$REPO/deploy/Containerfile" || fail "$p is not in deploy/Containerfile"
	done
	make_deb "$NEXT"
	wait "$lintian" || fail "lintian: $(cat "$T/lintian")"
	expect_eq "lintian" "" "$(cat "$T/lintian")"
	expect_eq "version" "$NEXT" "$(dpkg-deb -f "$(deb_of "$NEXT")" Version)"
	before=$(stat -c %y "$(deb_of "$NEXT")")
	make_deb "$NEXT"
	expect_eq "not built again" "$before" "$(stat -c %y "$(deb_of "$NEXT")")"
}

test_install_and_uninstall_are_each_others_inverse() { # Q02
	local f
	for f in uninstall install uninstall; do
		make -s -C "$REPO" BUILD="$SW_BUILD" DESTDIR="$T/to" PREFIX=/usr "$f" > "$T/said" 2>&1 ||
			fail "$f: $(cat "$T/said")"
		[ "$f" != install ] || find "$T/to" -type f -printf '/%P %m\n' | sort > "$T/files"
	done
	for f in /etc/default/synwarden /etc/synwarden/synwarden.yaml /usr/lib/sysusers.d/synwarden.conf \
		/usr/lib/systemd/system/synwarden.service /usr/sbin/synwarden \
		/usr/share/bash-completion/completions/synwarden /usr/share/man/man5/synwarden.conf.5 \
		/usr/share/man/man8/synwarden.8 /usr/share/zsh/site-functions/_synwarden; do
		grep -q "^$f " "$T/files" || fail "not installed: $f: $(cat "$T/files")"
	done
	for f in "$REPO"/deploy/*.[1-8] "$REPO"/deploy/*.{service,socket} "$REPO"/deploy/grafana/*.json \
		"$REPO"/deploy/prometheus/*rules.yml; do
		[ ! -e "$f" ] || grep -q "/${f##*/} 644$" "$T/files" || fail "not installed: $f"
	done
	expect_eq "left" $'/etc/default/synwarden 644\n/etc/synwarden/synwarden.yaml 640' \
		"$(find "$T/to" -type f -printf '/%P %m\n' | sort)"
	echo "# mine" > "$T/to/etc/synwarden/synwarden.yaml"
	make -s -C "$REPO" BUILD="$SW_BUILD" DESTDIR="$T/to" PREFIX=/usr install > "$T/said" 2>&1
	expect_eq "configuration" "# mine" "$(cat "$T/to/etc/synwarden/synwarden.yaml")"
}

test_examples_of_the_manual_are_right() { # N05 Q02
	local n=0 said
	while awk -v want=$((n + 1)) '/^\.Bd -literal/ { n++; open = n == want; next }
			/^\.Ed/ { open = 0 } open { print; some = 1 } END { exit !some }' \
		"$REPO/deploy/synwarden.conf.5" > "$T/example.yaml"; do
		n=$((n + 1))
		said=$("$SW_BIN" check "$T/example.yaml" 2>&1) || fail "example $n: $said"
	done
	expect_eq "examples" 4 "$n"
}

# zsh_shows LINE WORD...
zsh_shows() {
	timeout 20 zsh -f "$HERE/completion.zsh" "$REPO/deploy" "$@" > "$T/said" 2>&1 ||
		fail "zsh shows not all of ${*:2} behind '$1': $(cat "$T/said")"
}

test_zsh_completes() { # Q02
	need zsh
	zsh_shows 'synwarden ' attach doctor replay
	zsh_shows 'synwarden -j service ' add list
	zsh_shows 'synwarden attach --xdp ' generic native
	zsh_shows 'synwarden apply --' --confirm --dry-run
	zsh_shows 'synwarden fail-safe ' clear port
}

# --- the package in a container -------------------------------------------------------------
# The machine's own root under one that takes what is written, without what is the machine's.
deb_root() {
	local root=$T/root
	mkdir "$T/over" "$root"
	mount -t tmpfs -o mode=755 tmpfs "$T/over"
	mkdir "$T/over/up" "$T/over/work"
	mount -t overlay -o "lowerdir=/,upperdir=$T/over/up,workdir=$T/over/work" overlay "$root"
	rm -rf "$root/etc/systemd/system" "$root/etc/synwarden" "$root/etc/default/synwarden" \
		"$root/var/lib/man-db/auto-update" "$root/usr/sbin/policy-rc.d"
	mkdir -p "$root/etc/systemd/system/synwarden.service.d" "$root/deb"
	: > "$root/etc/machine-id"
	: > "$root/etc/fstab"
	printf '[Service]\n%s\n' StandardOutput=append:/var/log/guard StandardError=append:/var/log/guard \
		> "$root/etc/systemd/system/synwarden.service.d/log.conf"
	printf '[Unit]\nDescription=lab\n' > "$root/etc/systemd/system/lab.target"
}

inside() { nsenter -t "$INIT" -m -p -n -- env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
# deb WORDS...: dpkg in the container, what it says is in $T/dpkg
deb() { inside dpkg --force-unsafe-io "$@" > "$T/dpkg" 2>&1 < /dev/null; }
is_up() { [ "$(ctl is-active lab.target)" = active ]; }
program_id() { bpftool -j prog show pinned $PIN/progs/sw_xdp | jq .id; }
established() { guard conns --state established --service any 8081 -j | jq length; }
# shellcheck disable=SC2016 # a format of dpkg-query
state_of() { inside dpkg-query -W -f '${db:Status-Status}' synwarden 2> /dev/null || true; }
has_exe() { inside readlink "/proc/$(main_pid)/exe"; }

installed_guards_nothing() {
	deb -i "/deb/$(basename "$(deb_of "$RELEASE")")" || fail "install: $(cat "$T/dpkg")"
	expect_in "what to do now" "synwarden guards nothing yet" "$(cat "$T/dpkg")"
	expect_eq "enabled" $'disabled\ndisabled\ndisabled' \
		"$(ctl is-enabled synwarden synwarden-web.service synwarden-web.socket || true)"
	is_stopped || fail "started by being installed"
	[ ! -e $PIN/settings ] || fail "attached by being installed"
	inside getent group synwarden > "$T/said" || fail "no group"
	expect_eq "configuration" "640 root root" \
		"$(stat -c '%a %U %G' "$T/root/etc/synwarden/synwarden.yaml")"
	expect_eq "version" "synwarden $RELEASE" "$(inside synwarden --version | cut -d, -f1)"
}

is_started_by_the_admin() {
	printf '%s\n' '# edited' 'devices: [s0]' 'fail-safe: { ports: [22] }' 'services:' \
		'  - { prefix: any, ports: 80, mode: always }' \
		'  - { prefix: any, ports: 8081, mode: always }' > "$T/root/etc/synwarden/synwarden.yaml"
	ctl enable --now synwarden > "$T/said" || fail "enable: $(cat "$T/said"): $(log)"
	wait_until 10 is_active || fail "not active: $(ctl status synwarden): $(log)"
	expect_eq "services" $'any 80\nany 8081' "$(guard service list -j | jq -r '.[].service')"
	expect_eq "page" alive "$(fetch "$URL")"
	expect_eq "handed over" 1 "$(packets tc_handed_over)"
	ctl start synwarden-web.socket > "$T/said" || fail "web: $(cat "$T/said")"
	wait_until 10 is_ready || fail "web: $(cat "$T/ready"): $(ctl status synwarden-web)"
}

is_ready() { sv curl -sf -m 3 http://127.0.0.1:9857/readyz > "$T/ready" 2>&1; }

# 100 clients a second, until there is $T/enough; however long that takes on this machine
come_and_go() {
	until [ -e "$T/enough" ]; do
		cl "$PACED" --dst "$SA" --port 80 --rate 100 --seconds 1 || return
	done
}

# Clients come and go, and one connection stays, while the new version is unpacked.
upgraded_under_traffic() {
	local pid program clients
	start_client hold "$SA" --port 8081 --sport 41000 --seconds 400
	wait_until 5 grep -q connected "$T/client"
	pid=$(main_pid) program=$(program_id)
	come_and_go > "$T/paced" 2>&1 &
	clients=$!
	deb -i "/deb/$(basename "$(deb_of "$NEXT")")" || fail "upgrade: $(cat "$T/dpkg")"
	expect_in "said" "the programs of synwarden $NEXT run at 3 hooks" "$(cat "$T/dpkg")"
	wait_until 10 is_restarted "$pid" || fail "not restarted: $(ctl status synwarden): $(log)"
	touch "$T/enough"
	wait "$clients" || fail "clients: $(cat "$T/paced")"
	jq -cs '{ tried: map(.tried) | add, ok: map(.ok) | add, max_ms: map(.max_ms) | max }' \
		"$T/paced" > "$T/sum"
	say "MEASURED upgraded under traffic: $(cat "$T/sum")"
	expect_eq "served" "$(field tried < "$T/sum")" "$(field ok < "$T/sum")"
	expect_ge "clients that came" "$(field tried < "$T/sum")" 100
	expect_eq "connection from before" 1 "$(established)"
	[ "$program" != "$(program_id)" ] || fail "the programs of before"
	expect_in "program of the daemon" /usr/sbin/synwarden "$(has_exe)"
	wait_until 10 is_ready || fail "web: $(cat "$T/ready"): $(ctl status synwarden-web)"
	expect_eq "program that was kept" "" "$(find "$T/root/var/lib/synwarden" 2> /dev/null)"
	expect_eq "configuration" "# edited" "$(head -n 1 "$T/root/etc/synwarden/synwarden.yaml")"
	expect_eq "enabled" enabled "$(ctl is-enabled synwarden)"
}

# As if the guard that runs were of another version: it goes on, and so does its daemon.
another_abi_goes_on() {
	local pid program abi
	abi=$(sed -n 's/^#define SW_ABI_VERSION //p' "$REPO/include/synwarden.h")
	pid=$(main_pid) program=$(program_id)
	poke $PIN/settings 63 00 00 00
	deb --force-downgrade -i "/deb/$(basename "$(deb_of "$RELEASE")")" || fail "again: $(cat "$T/dpkg")"
	expect_in "said" "It goes on as it is" "$(cat "$T/dpkg")"
	expect_in "which" "ABI version 99" "$(cat "$T/dpkg")"
	expect_eq "daemon" "$pid" "$(main_pid)"
	expect_eq "programs" "$program" "$(program_id)"
	expect_eq "page" alive "$(fetch "$URL")"
	[ -x "$T/root/var/lib/synwarden/synwarden" ] || fail "the program that could detach it is gone"
	! deb -r synwarden || fail "removed with the guard in force: $(cat "$T/dpkg")"
	expect_in "why not" "guard is still in force" "$(cat "$T/dpkg")"
	expect_eq "package" installed "$(state_of)"
	poke $PIN/settings "$(printf %02x "$abi")" 00 00 00
}

removed_and_purged() {
	deb -r synwarden || fail "remove: $(cat "$T/dpkg")"
	is_stopped || fail "still runs: $(ctl status synwarden)"
	! is_ready || fail "the page is still there"
	[ ! -e $PIN ] || fail "pins left: $(find $PIN)"
	if sv ip -o link | grep xdp; then fail "XDP left"; fi
	expect_eq "page of the host" alive "$(fetch "$URL")"
	expect_eq "package" config-files "$(state_of)"
	expect_eq "configuration" "# edited" "$(head -n 1 "$T/root/etc/synwarden/synwarden.yaml")"
	echo secret > "$T/root/etc/synwarden/web.token"
	deb -P synwarden || fail "purge: $(cat "$T/dpkg")"
	rm -r "$T/root/etc/systemd/system/synwarden.service.d"
	expect_eq "left" "" "$(find "$T/over/up" -path "$T/over/up/var/log" -prune -o \
		-name '*synwarden*' ! -type c -print)"
	expect_eq "left at run" "" "$(inside find /run -xdev -name '*synwarden*')"
}

test_deb_lives_and_goes() { # Q01 Q03 L02 L12 @limit=300
	make_deb "$RELEASE"
	make_deb "$NEXT"
	net_up
	start_nginx
	server --port 8081
	family 4
	deb_root
	container_up --bind-ro="$SW_BUILD/deb:/deb"
	wait_until 30 is_up || fail "not up: $(cat "$T/console")"
	installed_guards_nothing
	is_started_by_the_admin
	upgraded_under_traffic
	another_abi_goes_on
	removed_and_purged
	container_down
	umount "$T/root" "$T/over"
}

run_tests "$@"
