#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Clocks: of the programs, of commands in a time namespace, of the wall. Not here: what the
# programs do when their own clock jumps or wraps (prog_clock.c).

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

# Commands as run in a container whose monotonic clocks are ahead or behind by OFFSET seconds.
moved() {
	sv unshare --time --fork --monotonic "$OFFSET" --boottime "$OFFSET" "$SW_BIN" "$@"
}

need_time_namespaces() {
	[ -e /proc/self/timens_offsets ] || skip "kernel without time namespaces"
}

uptime_s() { "$PYTHON" -c 'import time; print(int(time.monotonic()))'; }
setting() { bpftool -j map dump pinned $PIN/settings | jq ".[0].formatted.value.$1"; }
keys_from() { bpftool -j map dump pinned $PIN/keysched | jq '.[0].formatted.value.since_epoch'; }
served() { cl curl -s -o "$T/page" --connect-timeout 0.5 "http://$S4/"; }
left_s() { guard status -j | jq .configuration.confirm_left_s; }

keys_agree() {
	local epoch=$(($(uptime_s) * 1000000000 >> 36))
	moved key rotate 2> /dev/null
	expect_ge "epoch of the next key" "$(keys_from)" "$epoch"
	expect_le "epoch of the next key" "$(keys_from)" $((epoch + 2))
	expect_eq "pending, as seen from there" true "$(moved key show -j | field pending)"
}

ages_agree() {
	expect_eq "young connections" 5 "$(moved conns -j --state established | jq length)"
	expect_eq "old connections" 0 "$(moved conns -j --older 1h | jq length)"
	moved sweep > /dev/null
	expect_eq "connections after a sweep" 5 "$(guard conns -j --state established | jq length)"
}

# What is to end is written there and ends here.
ends_agree() {
	moved deny add $C4 --ttl 2s
	! served || fail "denied, and served"
	wait_until 4 served || fail "denied for longer than said"
	echo 'limits: { event-gap: 77 }' > "$T/conf"
	moved apply "$T/conf" --confirm 60 > /dev/null
	expect_le "seconds left to confirm" "$(left_s)" 60
	expect_ge "seconds left to confirm" "$(left_s)" 50
	moved confirm > /dev/null
}

test_commands_in_a_time_namespace_keep_the_programs_time() { # M01
	local now
	need_time_namespaces
	net_up
	start_nginx
	OFFSET=864000
	moved attach s0 --connections 4096 > /dev/null
	now=$(uptime_s)
	expect_le "end of grace" "$(setting grace_until_ns)" $(((now + 131) * 1000000000))
	expect_ge "end of grace" "$(setting grace_until_ns)" $(((now + 125) * 1000000000))
	guard service add any 80 --mode always
	start client "$T/held" "$PYTHON" "$HERE/client.py" fill $S4 --count 5
	wait_until 5 grep -q connected "$T/held"
	wait_until 20 epoch_lasts 15 # or the second rotation is refused: cookies of the first still live
	for OFFSET in 864000 -$((now / 2)); do
		keys_agree
		ages_agree
		ends_agree
	done
}

run_tests "$@"
