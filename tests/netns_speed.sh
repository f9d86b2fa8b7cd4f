#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Speed over connections the guard opened, as a ratio to connections it did not. Minutes long
# and moved by whatever else the machine does, so only with SW_SPEED=1.
#
# The baseline is a device with an XDP program that passes everything: any XDP on a veth
# turns large segments off, whatever the program, and that is not the guard's doing.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

need_speed() { [ "${SW_SPEED-}" = 1 ] || skip "takes minutes: SW_SPEED=1"; need iperf3; }

# iperf ARGS...: Mbit/s as received; the server on core 0, the client on core 1
iperf() {
	start server "$T/iperf-server" taskset -c 0 iperf3 -s -1 -p 5201
	wait_until 5 listening server 5201
	cl taskset -c $(($(nproc) - 1)) iperf3 -c "$SA" -p 5201 -J "$@" > "$T/iperf"
	wait "$STARTED"
	jq '.end.sum_received.bits_per_second / 1e6 | round' "$T/iperf"
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'; }

with_guard() { guard_up "$MODE" 5201; }
without_guard() {
	local generic=()
	[ "$MODE" = native ] || generic=(--generic)
	start server "$T/pass-s0" "$FLOOD" --pass --dev s0 --seconds 3600 "${generic[@]}"
	PASS[s0]=$STARTED
	wait_until 5 grep -q ready "$T/pass-s0"
}
end_guard() { check_identity; guard detach --all; }
end_without() { stop "${PASS[s0]}"; unset "PASS[s0]"; }

# compare_speed ROUNDS LOW IPERF-ARGS...: alternating; the ratio of the medians to the baseline
compare_speed() {
	local rounds=$1 low=$2 n r
	shift 2
	rm -f "$T/with" "$T/without"
	for n in $(seq "$rounds"); do
		with_guard
		iperf "$@" >> "$T/with"
		[ "$(packets tc_handed_over)" -ge 1 ] || fail "the connection was not made by a cookie"
		end_guard
		without_guard
		iperf "$@" >> "$T/without"
		end_without
	done
	r=$(ratio "$(median < "$T/with")" "$(median < "$T/without")")
	say "MEASURED ${SA}: iperf3 $*: $(median < "$T/with") Mbit/s, without $(median < "$T/without")," \
		"ratio $r ($rounds rounds)"
	expect_ge "ratio to the speed without a guard" "$r" "$low"
}

test_gigabyte_each_way_at_full_speed() { # C03 A09 @modes @limit=600
	local f
	need_speed
	net_up
	for f in 4 6; do
		family $f
		compare_speed 7 0.97 -n 1G
		compare_speed 7 0.97 -n 1G -R
	done
}

test_long_path_first_ten_seconds() { # C03 A09 @limit=900
	local f cc
	need_speed
	net_up_long --delay 40 --mbit 200 --queue 100
	for cc in cubic bbr; do
		for f in 4 6; do
			family $f
			compare_speed 3 0.95 -t 10 -R -C $cc
			compare_speed 3 0.95 -t 10 -C $cc
		done
	done
}

run_tests "$@"
