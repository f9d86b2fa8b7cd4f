#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guard's life: attach, detach, what is refused and how, what stays. Not here: packets.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

# All that attach could change in the server's namespace.
traces() {
	sv ip -o -d link show dev s0 | sed 's/ state [A-Z]*//'
	sv tc qdisc show
	sv tc filter show dev s0 ingress 2> /dev/null
	sv sysctl -a 2> /dev/null | grep '^net\.' | grep -v nf_conntrack_count
	sv ethtool -k s0
	find /sys/fs/bpf
}

test_detach_leaves_no_trace() { # L03 @modes
	local cookies
	net_up
	for cookies in 0 1 2; do
		sv sysctl -qw net.ipv4.tcp_syncookies=$cookies
		traces > "$T/before"
		guard_up "$MODE" 80 443 1000-2000
		guard detach s0
		guard attach s0 --xdp "$MODE" > /dev/null
		check_identity
		guard detach --all
		traces > "$T/after"
		diff "$T/before" "$T/after" || fail "traces left, tcp_syncookies $cookies"
	done
	expect_exit "second detach" 0 guard detach --all
}

test_attach_arms_in_time() { # L09 @modes
	local began
	net_up
	began=$EPOCHREALTIME
	guard attach s0 --xdp "$MODE" > "$T/said"
	in_time "attach to armed" "$began" 1
	expect_eq "armed" true "$(guard status -j | field armed)"
	expect_eq "mode" "$MODE" "$(guard status -j | field 'devices[0].mode')"
	expect_eq "engine" reqsk "$(guard status -j | field engine)"
	expect_in "attach says the mode" "$MODE" "$(cat "$T/said")"
}

test_empty_configuration_drops_nothing() { # L03 N06
	net_up
	start_nginx
	guard attach s0 > /dev/null
	family 4
	expect_eq "page" alive "$(fetch "$URL")"
	flood --dst $S4 --dport 80 --rate 2000 --seconds 0.5 --kind syn,ack,rst,finack,null
	flood_end > /dev/null
	check_identity
	expect_eq "dropped" 0 "$(guard status -j | field dropped)"
	expect_eq "answered" 0 "$(guard status -j | field answered)"
	expect_ge "passed as not guarded" "$(packets pass_not_guarded)" 500
}

test_monitor_mode_only_counts() { # N06 L03
	net_up
	start_nginx
	guard attach s0 > /dev/null
	guard service add any 80
	expect_eq "default mode" monitor "$(guard service list -j | field '[0].mode')"
	family 4
	expect_eq "page" alive "$(fetch "$URL")"
	flood --dst $S4 --dport 80 --rate 2000 --seconds 0.5 --kind syn,null
	flood_end > /dev/null
	expect_eq "dropped" 0 "$(guard status -j | field dropped)"
	expect_eq "answered" 0 "$(guard status -j | field answered)"
	expect_ge "would have been answered" "$(packets tx_synack would_packets)" 400
	expect_ge "would have been dropped" "$(packets drop_flags would_packets)" 400
}

test_bad_words_are_refused_and_change_nothing() { # L03 L11
	local before
	net_up
	guard_up "$MODE" 80
	before=$(guard service list -j)
	refused "no command" 2 usage guard
	refused "unknown command" 2 attach guard atach s0
	refused "no device" 2 device guard attach
	refused "unknown device" 1 nodev0 guard attach nodev0
	refused "XDP mode" 2 generic guard attach s0 --xdp fast
	refused "engine" 2 listener guard attach s0 --engine magic
	refused "option" 2 option guard status --nonsense
	refused "pin directory" 2 absolute guard status --pin relative
	refused "no guard there" 1 attach guard status --pin /sys/fs/bpf/elsewhere
	refused "not a bpffs" 1 BPF guard attach s0 --pin /tmp/synwarden
	refused "detach without names" 2 --all guard detach
	refused "stats with an argument" 2 argument guard stats now
	refused "key verb" 2 rotate guard key destroy
	for bad in 0 65536 -1 80- -80 90-80 80x 0x50 "" 1-65536 80,443 99999999999; do
		refused "port '$bad'" 2 port guard service add any -- "$bad"
	done
	for bad in 10.0.0.0/33 10.0.0 300.1.1.1 fd00::/129 ::ffff:10.0.0.1 10.0.0.1/8 10.0.0.0/ all ""; do
		refused "prefix '$bad'" 2 "" guard service add "$bad" 81
	done
	refused "mode" 2 always guard service set any 80 --mode hard
	refused "budget" 2 host-syns guard service set any 80 --host-syns lots
	refused "unknown service" 1 "" guard service del any 81
	expect_eq "services afterwards" "$before" "$(guard service list -j)"
	expect_eq "devices afterwards" s0 "$(guard status -j | field 'devices[].device')"
}

test_services_are_kept_as_given() { # N06
	net_up
	guard attach s0 > /dev/null
	guard service add any 80 --mode always
	guard service add 10.9.0.0/24 443 --mode always --host-syns 50
	guard service add fd09::/64 8000-8099
	guard service set any 80 --mode off
	expect_eq "services" 3 "$(guard service list -j | jq length)"
	expect_in "list" "10.9.0.0/24" "$(guard service list)"
	guard service del fd09::/64 8000-8099
	expect_eq "services" 2 "$(guard status -j | field services)"
	expect_in "host-syns" 50 "$(guard service list -j)"
}

test_missing_privilege_is_named() { # N02 L11
	local other
	net_up
	guard_up "$MODE" 80
	# a copy that others may run: the build may lie below a directory of root's own
	other=$(mktemp -d /dev/shm/sw.XXXXXX)
	chmod 755 "$other"
	cp "$SW_BIN" "$other/synwarden"
	# shellcheck disable=SC2317 # called through refused
	at_nobody() { sv setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
	refused "attach" 1 CAP_ at_nobody "$other/synwarden" attach s0
	expect_exit "status" 1 at_nobody "$other/synwarden" status
	expect_exit "pins of another user" 2 at_nobody ls "$PIN"
	rm -r "$other"
	expect_eq "mode of the pin directory" 700 "$(stat -c %a "$PIN")"
	expect_eq "pins others may read" "" "$(find $PIN -type f -perm /077)"
	# root without the capabilities, which is what a container gives
	refused "attach without capabilities" 1 CAP_ \
		sv setpriv --bounding-set -all --inh-caps -all "$SW_BIN" attach s0
}

test_no_bpffs_is_named() { # L11
	net_up
	while mountpoint -q /sys/fs/bpf; do # the runner's, and ours on top
		umount /sys/fs/bpf
	done
	refused "attach" 1 "mount -t bpf" guard attach s0
	expect_exit "status" 1 guard status
	if sv ip -o link | grep xdp; then fail "something was attached"; fi
}

test_foreign_program_is_named_and_left_alone() { # L03
	local before mode
	net_up
	for mode in native generic; do
		start server "$T/foreign" "$FLOOD" --pass --dev s0 --seconds 60
		wait_until 5 grep -q ready "$T/foreign"
		before=$(sv ip -o link show dev s0 | sed -n 's/.*prog\/xdp id \([0-9]*\).*/\1/p')
		refused "attach" 1 flood_pass guard attach s0 --xdp $mode
		expect_in "attach" "$before" "$OUT"
		expect_eq "program on s0" "$before" \
			"$(sv ip -o link show dev s0 | sed -n 's/.*prog\/xdp id \([0-9]*\).*/\1/p')"
		[ ! -e $PIN ] || fail "pins after a refused attach"
		stop "$STARTED"
	done
	guard attach s0 > /dev/null
	# and nobody replaces ours unasked
	expect_exit "a second program" 1 sv "$FLOOD" --pass --dev s0 --seconds 1
	expect_eq "still armed" true "$(guard status -j | field armed)"
}

test_two_attaches_at_once_are_serialised() { # L03
	local n pids=()
	net_up
	for n in 1 2 3 4; do
		start server "$T/attach$n" "$SW_BIN" attach s0
		pids+=("$STARTED")
	done
	for n in "${pids[@]}"; do wait "$n" || fail "attach: $(cat "$T"/attach*)"; done
	expect_eq "devices" 1 "$(guard status -j | jq '.devices | length')"
	for n in 1 2 3 4 5 6; do
		start server "$T/add$n" "$SW_BIN" service add any $((n + 100))
		pids[n]=$STARTED
	done
	for n in 1 2 3 4 5 6; do wait "${pids[n]}" || fail "$(cat "$T/add$n")"; done
	expect_eq "services" 6 "$(guard service list -j | jq length)"
}

test_killed_attach_is_cleared_up() { # L01 L03 @limit=120
	local step
	net_up
	sv sysctl -qw net.ipv4.tcp_syncookies=0
	traces > "$T/before"
	for step in $(seq 0 15 345); do
		start server "$T/killed" "$SW_BIN" attach s0
		sleep "$(awk -v ms="$step" 'BEGIN { print ms / 1000 }')"
		kill -KILL "$STARTED" 2> /dev/null || true
		wait "$STARTED" 2> /dev/null || true
		case $((step % 2)) in
		0) guard detach --all 2> "$T/said" || fail "after $step ms: $(cat "$T/said")" ;;
		1)
			guard attach s0 > "$T/said" 2>&1 || fail "after $step ms: $(cat "$T/said")"
			expect_eq "armed" true "$(guard status -j | field armed)"
			guard detach --all
			;;
		esac
		traces > "$T/after"
		diff "$T/before" "$T/after" || fail "traces left by an attach killed after $step ms"
	done
}

test_protection_stays_without_any_process() { # L01
	local reader
	net_up
	start_nginx
	guard_up "$MODE" 80
	# attach ended long ago; a reader that is killed is the only process there can be
	start server "$T/events" "$SW_BIN" events --follow -j
	reader=$STARTED
	flood --dst $S4 --dport 80 --rate 5000 --seconds 2
	sleep 0.3
	kill -KILL "$reader"
	wait "$reader" 2> /dev/null || true
	[ -z "$(pgrep -x synwarden)" ] || kill -KILL "$(pgrep -x synwarden)"
	family 4
	expect_eq "page under flood" alive "$(fetch "$URL")"
	flood_end > "$T/sent"
	expect_ge "SYNs sent" "$(field sent < "$T/sent")" 500
	expect_ge "SYNs answered" "$(field synacks < "$T/sent")" $(($(field sent < "$T/sent") * 9 / 10))
	expect_eq "half-open connections" "" "$(sv ss -tnH state syn-recv)"
}

test_pins_of_another_version_are_refused() { # L03 N02
	net_up
	guard_up "$MODE" 80
	poke $PIN/settings 63 00 00 00
	refused "status" 1 "version 99" guard status
	refused "attach" 1 "version 99" guard attach s0
	refused "detach" 1 "version 99" guard detach --all
	expect_in "XDP" xdp "$(sv ip -o link show dev s0)"
	poke $PIN/settings "$(printf %02x "$(sed -n 's/^#define SW_ABI_VERSION //p' \
		"$HERE/../include/synwarden.h")")" 00 00 00
	expect_eq "armed" true "$(guard status -j | field armed)"
	# a pin of the wrong shape in the place of one of ours
	rm $PIN/used
	bpftool map create $PIN/used type array key 4 value 4 entries 4 name sw_used
	refused "status" 1 used guard status
	rm -r $PIN
}

test_directory_of_someone_else_is_not_touched() { # L03 N02
	net_up
	mkdir /sys/fs/bpf/synwarden
	bpftool map create $PIN/theirs type array key 4 value 4 entries 4 name theirs
	refused "attach" 1 "not a guard" guard attach s0
	expect_exit "detach" 1 guard detach --all
	[ -e $PIN/theirs ] || fail "their pin is gone"
	rm -r $PIN
}

test_maps_show_named_fields() { # N02
	local map
	net_up
	start_nginx
	guard_up "$MODE" 80
	guard service add 10.0.0.0/8 443 --mode always
	family 4
	fetch "$URL" > /dev/null
	for map in services:port_first ports:any_service prefixes:service settings:armed keys:made_s \
		keysched:since_epoch devs:native stats:would_packets rx:packets cap:second; do
		bpftool map dump pinned "$PIN/${map%%:*}" > "$T/dump"
		grep -q "\"${map##*:}\":" "$T/dump" ||
			fail "no ${map##*:} in the dump of ${map%%:*}: $(sed -n 1,20p "$T/dump")"
	done
	for map in "$PIN"/*; do
		[ -f "$map" ] || continue
		bpftool -j map show pinned "$map" | jq -e '.btf_id // (.type == "ringbuf")' > /dev/null ||
			fail "map $map has no types"
	done
}

run_tests "$@"
