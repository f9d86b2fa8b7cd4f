#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For netns_conns.sh and netns_states.sh, which source it: what the tables, the gauges and the
# host say, and clients that go on through a whole test. Not here: what is tested.
# shellcheck disable=SC2034 # constants for the tests

# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/netns_lib.sh"

CHURN=$SW_BUILD/tests/churn
export SW_BIN

# small_guard MODE PORT...: as guard_up, with tables small enough to be read in no time
small_guard() {
	local mode=$1 port
	shift
	guard attach s0 --xdp "$mode" --connections 4096 > "$T/attach"
	for port; do guard service add any "$port" --mode always; done
}

# --- what they say ------------------------------------------------------------------------
conns() { guard conns -j "$@"; }

# counter NS NAME: of TCP, since the namespace began
counter() { at "$1" nstat -asz "$2" | awk -v name="$2" '$1 == name { print $2 }'; }

# dropped: packets the guard dropped; drops: which, "reason packets" a line
dropped() { guard stats -j | jq '[.[] | select(.verdict == "drop") | .packets] | add // 0'; }
drops() { guard stats -j | jq -r '.[] | select(.verdict == "drop" and .packets > 0) |
	"\(.reason) \(.packets)"' | sort; }

# A list of [service, state, connections], sorted: what a walk finds, what the gauges say
by_walk() {
	conns | jq -c '[group_by([.service, .state])[] | [.[0].service, .[0].state, length]]'
}
by_gauge() { conns --count | jq -c '[.[] | [.service, .state, .connections]] | sort'; }
by_table() { conns | jq -c '[("proven", "half-open") as $t | [.[] | select(.table == $t)] | length]'; }
used() { guard status -j | jq -c '[.tables[].used]'; }

gauges_agree() {
	WALKED=$(by_walk) && COUNTED=$(by_gauge) && IN_TABLES=$(by_table) && USED=$(used) &&
		[ "$WALKED" = "$COUNTED" ] && [ "$IN_TABLES" = "$USED" ]
}

# At the end of each test, with connections as they are; detach takes the tables away.
check_gauges() {
	wait_until 5 gauges_agree || fail "a walk over the tables finds $WALKED, $IN_TABLES," \
		"the gauges say $COUNTED, $USED"
}

# state_of ADDRESS PORT: "none" if the guard has no such connection
state_of() {
	conns | jq -r --arg client "$1:$2" '[.[] | select(.client == $client).state] | .[0] // "none"'
}
count_of() { conns --count | jq --arg s "$1" '[.[] | select(.state == $s).connections] | add // 0'; }

# host_count STATE PORT: sockets of the server, by ss
host_count() { sv ss -HtanO state "$1" "sport = :$2" | wc -l; }

# --- clients that go on -------------------------------------------------------------------
# start_churn [NS PORT [PROGRAMS]]: a server for churn and paced
start_churn() {
	start "${1:-server}" "$T/churn-${1:-server}" "$CHURN" --listen "${2:-80}" \
		--programs "${3:-1}"
	wait_until 5 grep -q ready "$T/churn-${1:-server}"
}
churn() { cl "$CHURN" --dst "$SA" --port 80 "$@"; }

# start_iperf SECONDS ARGS...: to guarded port 5201; end_iperf tells how it went
start_iperf() {
	local seconds=$1
	shift
	start server "$T/iperf-server" iperf3 -s -1 -p 5201
	wait_until 5 listening server 5201
	start client "$T/iperf" iperf3 -c "$SA" -p 5201 -t "$seconds" -J "$@"
	IPERF=$STARTED
}
end_iperf() {
	wait "$IPERF" || fail "iperf3: $(jq -r .error "$T/iperf")"
	say "MEASURED iperf3: $(jq -r '.end | "\(.sum_received.bits_per_second / 1e6 | round) Mbit/s," +
		" \(.sum_sent.retransmits) retransmits"' "$T/iperf")"
	expect_gt "bytes of iperf3" "$(jq .end.sum_received.bytes "$T/iperf")" 1000000
}

# start_typing SECONDS: an interactive session to guarded port 22
start_typing() {
	start client "$T/typing" "$PYTHON" "$HERE/client.py" keys "$SA" --port 22 --seconds "$1"
	TYPING=$STARTED
	wait_until 5 grep -q connected "$T/typing"
}
end_typing() {
	wait "$TYPING" || fail "typing: $(cat "$T/typing")"
	say "MEASURED a line every 50 ms: $(tail -n 1 "$T/typing")"
}

# flood_beside ARGS...: leaves the client's device and its clients alone; ends with beside_end
flood_beside() {
	start client "$T/flood" "$FLOOD" --dev c0 --dmac $SMAC --cpu 0 --no-count "$@"
	FLOODING=$STARTED
	wait_until 5 grep -q sending "$T/flood" || fail "flood: $(cat "$T/flood")"
}
beside_end() {
	wait "$FLOODING" || fail "flood: $(cat "$T/flood")"
	tail -n 1 "$T/flood"
}
