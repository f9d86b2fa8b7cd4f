#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# deploy/synwarden.service: how far it is hardened, and that it starts, reloads, restarts and
# stops under a real systemd, which runs in a container of systemd-nspawn on the server's
# network. Not here: the daemon itself (netns_daemon.sh).

set -euo pipefail
# shellcheck source=tests/netns_nspawn_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_nspawn_lib.sh"

UNIT=$HERE/../deploy/synwarden.service

test_unit_is_hardened() { # N01
	need systemd-analyze
	systemd-analyze security --offline=true --threshold=20 "$UNIT" > "$T/said" 2>&1 ||
		fail "exposure: $(tail -n 1 "$T/said")"
	say "MEASURED $(tail -n 1 "$T/said" | tr -dc ' -~')"
}

test_unit_is_installed_where_asked() { # N01
	make -s -C "$HERE/.." BUILD="$SW_BUILD" DESTDIR="$T/to" PREFIX=/usr install > "$T/said" 2>&1 ||
		fail "$(cat "$T/said")"
	grep -q '^ExecStart=/usr/sbin/synwarden run$' "$T/to/usr/lib/systemd/system/synwarden.service" ||
		fail "unit: $(find "$T/to")"
}

# A root that has the machine's /usr, our program, and the unit as it is installed
make_root() {
	local root=$T/root dir
	mkdir -p "$root"/{usr,run,tmp,var/log,proc,sys,dev,opt/sbin,etc/default,etc/synwarden} \
		"$root/etc/systemd/system/synwarden.service.d"
	for dir in bin sbin lib lib64; do
		[ ! -e /usr/$dir ] || ln -s usr/$dir "$root/$dir"
	done
	cp /etc/passwd /etc/group /etc/os-release "$root/etc/"
	: > "$root/etc/machine-id"
	cp "$SW_BIN" "$root/opt/sbin/"
	sed 's,/usr/local/sbin/,/opt/sbin/,' "$UNIT" > "$root/etc/systemd/system/synwarden.service"
	printf '[Service]\n%s\n' StandardOutput=append:/var/log/guard StandardError=append:/var/log/guard \
		WatchdogSec=2 TimeoutAbortSec=1 RestartSec=100ms \
		> "$root/etc/systemd/system/synwarden.service.d/log.conf"
	printf '[Unit]\nWants=synwarden.service\n' > "$root/etc/systemd/system/lab.target"
	echo "SYNWARDEN_DEVICES=s0 late0" > "$root/etc/default/synwarden"
	echo 'services: [{ prefix: any, ports: 80, mode: always }]' > "$root/etc/synwarden/synwarden.yaml"
}

# shellcheck disable=SC2053 # a pattern
ctl_says() { [[ $(ctl show -P StatusText synwarden) = $1 ]]; }
status_is() { wait_until "${2:-3}" ctl_says "$1" || fail "status: $(ctl status synwarden): $(log)"; }

# What a boot needs: nothing gives up, and whoever cannot be found a way back is told.
boot_is_in_force() {
	expect_eq "services of the file" "any 80 always" \
		"$(guard service list -j | jq -r '.[] | "\(.service) \(.mode)"')"
	expect_in "way back" "no fail-safe port was found" "$(log)"
	expect_eq "starts that are allowed" 0 "$(ctl show -P StartLimitIntervalUSec synwarden)"
	expect_in "between them" RestartSec=5 "$(cat "$UNIT")"
	status_is "1 device guarded, 1 waited for"
	sv ip link add late0 type veth peer name late1
	status_is "2 devices guarded, 0 waited for" 8
	sv ip link del late0
	status_is "1 device guarded, 1 waited for" 8
}

reload_tells_what_became_of_it() {
	local file=$T/root/etc/synwarden/synwarden.yaml
	ctl reload synwarden
	wait_until 5 grep -q "file is in force" "$T/root/var/log/guard" || fail "no reload: $(log)"
	chown 1234 "$file"
	chmod 600 "$file"
	expect_exit "reload of what it cannot read" 1 ctl reload synwarden
	status_is "RELOAD FAILED: /etc/synwarden/synwarden.yaml: Permission denied; 1 device guarded*"
	chown 0 "$file"
	ctl reload synwarden
	status_is "1 device guarded*"
	is_active || fail "not active after a reload: $(log)"
}

test_unit_runs_under_systemd() { # N01 L01 L12 @limit=90
	local pid
	net_up
	start_nginx
	make_root
	container_up --bind-ro=/usr
	wait_until 30 is_active || fail "not active: $(ctl status synwarden): $(log): $(cat "$T/console")"
	boot_is_in_force
	family 4
	expect_eq "page" alive "$(fetch "$URL")"
	expect_eq "handed over" 1 "$(packets tc_handed_over)"
	# what the daemon alone counts: its socket, and children of it, in the unit's sandbox
	expect_in "metrics by the daemon" 'synwarden_events_total{kind="armed"} 0' \
		"$(nsenter -t "$INIT" -m -p -- /opt/sbin/synwarden metrics)"
	# a daemon that begins again is no boot
	guard limit set ask-rate 77
	guard service add any 81
	pid=$(main_pid)
	ctl kill --kill-whom=main -s KILL synwarden
	wait_until 10 is_restarted "$pid" || fail "not restarted: $(ctl status synwarden): $(log)"
	expect_eq "page after the restart" alive "$(fetch "$URL")"
	expect_eq "services after the restart" 2 "$(guard service list -j | jq length)"
	# one that hangs is found out
	pid=$(main_pid)
	ctl kill --kill-whom=main -s STOP synwarden
	wait_until 15 is_restarted "$pid" || fail "no watchdog: $(ctl status synwarden): $(log)"
	reload_tells_what_became_of_it
	# in the sandbox too: attached again when the device comes back
	sv ip link del s0
	stop "${PASS[c0]}"
	join client c0 server s0
	address_both
	wait_until 10 grep -q "s0: back, attached again" "$T/root/var/log/guard" || fail "$(log)"
	expect_eq "page over the new device" alive "$(fetch "$URL")"
	ctl stop synwarden
	wait_until 10 is_stopped || fail "not stopped: $(ctl status synwarden)"
	expect_eq "armed with the unit stopped" true "$(guard status -j | field armed)"
	expect_eq "page with the unit stopped" alive "$(fetch "$URL")"
	say "MEASURED log of the unit: $(log | grep -c note) notes"
	container_down
}

run_tests "$@"
