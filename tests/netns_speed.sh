#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Speed with the guard, as a ratio; both sides take turns.
# Minutes long and moved by whatever else the machine does, so only with SW_SPEED=1.
#
# And what the daemon takes of a machine with a million connections.
#
# Two questions, two baselines. What a cookie does to a connection: the same guard in mode
# monitor, which lets the host make the connection itself. What the guard costs: a device with
# an XDP program that passes everything, since any XDP on a veth turns large segments off.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

need_speed() { [ "${SW_SPEED-}" = 1 ] || skip "takes minutes: SW_SPEED=1"; need iperf3 "$@"; }

# --- what is measured ---------------------------------------------------------------------
# iperf ARGS...: Mbit/s as received; the server on core 0, the client on core 1
iperf() {
	start server "$T/iperf-server" taskset -c 0 iperf3 -s -1 -p 5201
	wait_until 5 listening server 5201
	cl taskset -c $(($(nproc) - 1)) iperf3 -c "$SA" -p 5201 -J "$@" > "$T/iperf"
	wait "$STARTED"
	jq '.end.sum_received.bits_per_second / 1e6 | round' "$T/iperf"
}

# keepalive SECONDS: requests/s of 50 connections that stay; the server is on the last core
keepalive() {
	cl taskset -c 0 wrk -t 1 -c 50 -d "$1" "http://$URL/" > "$T/wrk"
	! grep -E 'Socket errors|Non-2xx' "$T/wrk" >&2 || return 1
	awk '/^Requests\/sec:/ { printf "%.0f\n", $2 }' "$T/wrk"
}

# --- under what ---------------------------------------------------------------------------
# Services: iperf3's port and the web server's.
cookie_up() { guard_up "$MODE" 5201 80; }
cookie_down() {
	[ "$(packets tc_handed_over)" -ge 1 ] || fail "the connection was not made by a cookie"
	expect_gt "segments found in the table" "$(packets pass_known)" 10 # merged ones, in generic mode
	check_identity
	guard detach --all
}

host_up() {
	guard attach s0 --xdp "$MODE" > "$T/attach"
	guard service add any 5201 --mode monitor
	guard service add any 80 --mode monitor
}
host_down() {
	expect_eq "connections made by a cookie" 0 "$(packets tc_handed_over)"
	check_identity
	guard detach --all
}

bare_up() {
	local generic=()
	[ "$MODE" = native ] || generic=(--generic)
	start server "$T/pass-s0" "$FLOOD" --pass --dev s0 --seconds 3600 "${generic[@]}"
	PASS[s0]=$STARTED
	wait_until 5 grep -q ready "$T/pass-s0"
}
bare_down() { stop "${PASS[s0]}"; unset "PASS[s0]"; }

# --- compared -----------------------------------------------------------------------------
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# one_turn SUBJECT WHAT...
one_turn() {
	local subject=$1
	shift
	"${subject}_up"
	"$@" >> "$T/$subject"
	"${subject}_down"
}

# compare_speed ROUNDS LOW SUBJECT BASELINE WHAT...: who goes first changes from round to
# round. What counts is the median of the rounds' ratios: the machine's pace drifts by more
# than the guard costs, but less within a round.
compare_speed() {
	local rounds=$1 low=$2 subject=$3 base=$4 n r
	shift 4
	rm -f "$T/$subject" "$T/$base"
	for n in $(seq "$rounds"); do
		if [ $((n % 2)) = 1 ]; then
			one_turn "$subject" "$@"
			one_turn "$base" "$@"
		else
			one_turn "$base" "$@"
			one_turn "$subject" "$@"
		fi
	done
	paste "$T/$subject" "$T/$base" | awk '{ printf "%.3f\n", $1 / $2 }' > "$T/ratios"
	r=$(median < "$T/ratios")
	say "MEASURED ${SA}: $*: $subject $(median < "$T/$subject"), $base $(median < "$T/$base")," \
		"ratio $r ($rounds rounds, $(sort -n "$T/ratios" | sed -n '1p;$p' | paste -sd ' '))"
	expect_ge "$*: $subject by $base" "$r" "$low"
}

test_gigabyte_each_way_at_full_speed() { # C03 A09 @modes @limit=600
	local f
	need_speed
	net_up
	for f in 4 6; do
		family $f
		compare_speed 9 0.97 cookie host iperf -n 1G
		compare_speed 9 0.97 cookie host iperf -n 1G -R
	done
}

test_long_path_first_ten_seconds() { # C03 A09 @limit=900
	local f cc
	need_speed
	net_up_long --delay 40 --mbit 200 --queue 100
	for cc in cubic bbr; do
		for f in 4 6; do
			family $f
			compare_speed 3 0.95 cookie bare iperf -t 10 -R -C $cc
			compare_speed 3 0.95 cookie bare iperf -t 10 -C $cc
		done
	done
}

# in_turns LOW WHAT...: the guard's share of the speed of traffic that goes on meanwhile
in_turns() {
	local low=$1
	shift
	"$@" > "$T/speed" &
	local traffic=$!
	sleep 1 # its handshakes are the guard's alone
	sv "$TURNS" s0 $PIN/links/s0 28 > "$T/turns"
	wait $traffic
	say "MEASURED $SA: $*: $(cat "$T/turns")"
	expect_ge "$*: ours by bare, within two errors of" \
		"$(jq '.ratio + 2 * .error' "$T/turns")" "$low"
}

test_established_connections_keep_their_speed() { # D06 @modes @limit=900
	local f
	need_speed wrk
	net_up
	start_nginx
	guard_up "$MODE" 5201 80
	for f in 4 6; do
		family $f
		in_turns 0.98 iperf -t 30
		in_turns 0.98 iperf -t 30 -R
		in_turns 0.98 keepalive 30
	done
	stop_nginx
}

# memory FIELD: of the daemon, in kB
memory() { sed -n "s/^$1:[ \t]*\([0-9]*\) kB/\1/p" "/proc/$DAEMON/status"; }
# Kernel and user, to the nanosecond.
cpu_ns() { cut -d' ' -f1 "/proc/$DAEMON/schedstat"; }

# daemon_cost WHAT SECONDS: share of a core in per cent, and what is resident between two sweeps
daemon_cost() {
	local n began cpu share
	began=$EPOCHREALTIME cpu=$(cpu_ns)
	: > "$T/memory"
	for n in $(seq "$2"); do
		sleep 1
		echo "$(memory VmRSS) $(memory RssAnon)" >> "$T/memory"
	done
	share=$(awk -v ns=$(($(cpu_ns) - cpu)) -v s="$(elapsed "$began")" \
		'BEGIN { printf "%.3f", ns / s / 1e7 }')
	say "MEASURED $1: $share % of a core over $2 s, resident $(cut -d' ' -f1 "$T/memory" | median)" \
		"kB, of its own $(memory RssAnon) kB, most with the tables mapped $(memory VmHWM) kB"
	expect_le "$1: per cent of a core" "$share" 0.5
	expect_le "$1: kB resident at rest" "$(cut -d' ' -f1 "$T/memory" | median)" 10240
	expect_le "$1: kB of its own at the most" "$(cut -d' ' -f2 "$T/memory" | sort -n | tail -n 1)" \
		10240
}

established() {
	guard conns --count -j | jq '[.[] | select(.state == "ESTABLISHED").connections] | add // 0'
}
none_established() { [ "$(established)" = 0 ]; }

test_daemon_at_rest_beside_a_million_connections() { # L01 @limit=400
	local filled timeout late
	[ "${SW_SPEED-}" = 1 ] || skip "takes minutes: SW_SPEED=1"
	net_up
	guard attach s0 --xdp native --connections 1048576 > "$T/attach"
	guard service add any 80 --mode auto --per-source conns=1000
	filled=$EPOCHREALTIME
	sv "$PYTHON" "$HERE/maps.py" fill 1000000
	start server "$T/daemon" "$SW_BIN" -v run
	DAEMON=$STARTED
	wait_until 10 grep -q 'debug: sweep' "$T/daemon" || fail "run: $(cat "$T/daemon")"
	daemon_cost "a million connections, none due" "${SW_SECONDS:-120}"
	expect_eq "connections" 1000000 "$(established)"
	# what is due at a later time than the last look is found at that time all the same
	timeout=$(awk -v e="$(elapsed "$filled")" 'BEGIN { printf "%d", e + 32 }')
	guard limit set timeout-established "$timeout"
	sleep 25
	expect_eq "connections before their time" 1000000 "$(established)"
	wait_until 60 none_established
	late=$(awk -v e="$(elapsed "$filled")" -v t="$timeout" 'BEGIN { print e - t }')
	say "MEASURED a million of no socket gone $late s after their time"
	expect_gt "seconds after their time" "$late" 0
	expect_le "seconds after their time" "$late" 12
	stop "$DAEMON"
}

run_tests "$@"
