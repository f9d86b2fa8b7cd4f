#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# synwarden replay: captures of real servers and of attacks, through a guard of its own. Not
# here: what is read and how numbers are moved (unit_replay.c), what the programs decide.
# shellcheck disable=SC2119 # start_nginx has a namespace by default

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

pcap() { "$PYTHON" "$HERE/pcap.py" "$@"; }

# config NAME SERVICE-LINE...: $T/NAME.yaml, one service for any port 80
config() {
	local name=$1
	shift
	{
		printf 'services:\n  - prefix: any\n    ports: 80\n'
		[ $# = 0 ] || printf '    %s\n' "$@"
	} > "$T/$name.yaml"
}

# replayed FILE CONFIG: packets in $T/rows, the summary in $SUM
replayed() {
	"$SW_BIN" replay -j "$1" --config "$T/$2.yaml" > "$T/rows" 2> "$T/errors" ||
		fail "replay $1: $(cat "$T/errors")"
	SUM=$(tail -n 1 "$T/rows" | jq -c .summary)
}
sum() { field "$1" <<< "$SUM"; }
reason() { jq --arg r "$1" '[.reasons[] | select(.reason == $r) | .packets] | add // 0' <<< "$SUM"; }
would() { jq --arg r "$1" '[.reasons[] | select(.reason == $r) | .would] | add // 0' <<< "$SUM"; }

# All that the guard let by of what a capture of an unguarded server holds.
expect_whole() {
	expect_eq "dropped of $1" 0 "$(sum drop)"
	expect_eq "connections of $1" "$2" "$(sum connections_made)"
	expect_eq "handed over of $1" "$2" "$(reason tc_handed_over)"
	expect_eq "SYN-ACKs replaced of $1" "$2" "$(sum replaced)"
	expect_eq "strange of $1" 0 "$(sum acks_without_handshake)"
}

# Each packet is of one verdict, or was not run; and of one way.
expect_adds_up() {
	expect_eq "verdicts of $1" "$(sum packets)" \
		"$(jq '.pass + .tx + .drop + .replaced + .not_judged' <<< "$SUM")"
	expect_eq "ways of $1" "$(sum packets)" \
		"$(jq '.to_service + .from_service + .no_service' <<< "$SUM")"
}

# An unguarded server and curl, captured at its device: $T/web.pcap
capture_web() {
	local f
	net_up
	offloads client c0 off
	offloads server s0 off
	start_nginx
	start server "$T/said" tcpdump -i s0 --immediate-mode -B 16384 -U -w "$T/web.pcap" tcp
	DUMP=$STARTED
	wait_until 10 grep -q 'listening on' "$T/said"
	for f in 4 6; do
		family $f
		expect_eq "page over IPv$f" alive "$(fetch "$URL")"
		expect_eq "page over IPv$f" alive "$(fetch "$URL")"
	done
	wait_until 5 all_closed
	stop "$DUMP"
	wait_until 5 test -s "$T/web.pcap"
}
all_closed() { [ "$(tcpdump -nr "$T/web.pcap" 'tcp[tcpflags] & tcp-fin != 0 or ip6[53] & 1 != 0' 2> /dev/null | wc -l)" -ge 8 ]; }

test_capture_of_a_real_server_loses_nothing() { # O01 @limit=90
	need tcpdump
	capture_web
	config always "mode: always"
	replayed "$T/web.pcap" always
	expect_whole "the capture" 4
	expect_eq "SYNs answered" 4 "$(reason tx_synack)"
	expect_eq "packets" "$(tcpdump -nr "$T/web.pcap" 2> /dev/null | wc -l)" "$(sum packets)"
	expect_eq "rows" "$(sum packets)" "$(($(wc -l < "$T/rows") - 1))"
	expect_eq "first row" '{"n":1,"src":true,"flags":"SYN","verdict":"tx","reason":"tx_synack","service":"any 80","would":false,"hook":"xdp"}' \
		"$(head -n 1 "$T/rows" | jq -c '{n, src: (.src | test("^10.9.0.1:|^.fd09::1")), flags, verdict, reason, service, would, hook}')"
	# it begins later: what was there is taken as attach would find it
	pcap convert skip "$T/web.pcap" "$T/late.pcap" 5
	replayed "$T/late.pcap" always
	expect_eq "dropped of a late capture" 0 "$(sum drop)"
	expect_eq "older connections" 1 "$(sum connections_older)"
	expect_eq "connections made later" 3 "$(sum connections_made)"
	# monitor: the same server, nothing but words; and the other forms of a capture
	config monitor "mode: monitor"
	pcap convert pcapng "$T/web.pcap" "$T/web.pcapng"
	replayed "$T/web.pcapng" monitor
	expect_eq "packets of pcapng" "$(tcpdump -nr "$T/web.pcap" 2> /dev/null | wc -l)" "$(sum packets)"
	expect_eq "dropped in monitor" 0 "$(sum drop)"
	expect_eq "answered in monitor" 0 "$(sum tx)"
	expect_eq "would be answered" 4 "$(sum would_tx)"
	expect_eq "would be dropped" 0 "$(sum would_drop)"
	expect_eq "connections in monitor" 4 "$(sum connections_made)"
	pcap convert sll2 "$T/web.pcap" "$T/web.sll2"
	"$SW_BIN" replay - --config "$T/monitor.yaml" < "$T/web.sll2" > "$T/text"
	expect_eq "words of monitor" 4 \
		"$(grep -cE ' SYN (74|94)  pass tx_synack \(would answer\)$' "$T/text")"
	expect_eq "connections told" 1 "$(grep -c '^ *4 connections made$' "$T/text")"
}

test_payload_that_was_not_captured_is_taken_as_right() { # O01 @limit=60
	pcap handshakes "$T/h.pcap" 0.1 5
	config always "mode: always"
	pcap convert snap "$T/h.pcap" "$T/cut" 74
	replayed "$T/cut" always
	expect_whole "snaplen 74" 5
	expect_eq "said to be without payload" 5 "$(sum payload_not_captured)"
}

test_what_is_cut_behind_its_headers_is_judged() { # O04 @limit=60
	pcap datagrams "$T/whole"
	config always "mode: always"
	replayed "$T/whole" always
	expect_eq "whole" "pass_not_tcp pass_fragment drop_cookie" "$(jq -r 'select(.n) | .reason' "$T/rows" | xargs)"
	pcap convert snap "$T/whole" "$T/cut" 60
	replayed "$T/cut" always
	expect_eq "cut" "pass_not_tcp pass_fragment drop_cookie" "$(jq -r 'select(.n) | .reason' "$T/rows" | xargs)"
	expect_adds_up "a cut capture"
	pcap convert snap "$T/whole" "$T/cut" 36
	replayed "$T/cut" always
	expect_eq "cut within headers" "cut pass_fragment cut" "$(jq -r 'select(.n) | .reason' "$T/rows" | xargs)"
}

# As a card that merges segments, or a sender that leaves cutting to it, has them captured.
test_data_beyond_a_frame_ends_a_handshake() { # O01 @limit=60
	config always "mode: always"
	pcap handshakes "$T/merged.pcap" 0.1 5 20000
	replayed "$T/merged.pcap" always
	expect_whole "segments of 20 kB" 5
	expect_adds_up "segments of 20 kB"
}

test_server_that_was_not_captured_is_taken_to_answer() { # O01 @limit=60
	local mode
	pcap handshakes "$T/h.pcap" 0.1 5 200
	pcap convert in "$T/h.pcap" "$T/in.pcap"
	for mode in always auto monitor; do
		config $mode "mode: $mode"
		replayed "$T/in.pcap" $mode
		expect_eq "packets, mode $mode" 15 "$(sum packets)"
		expect_eq "dropped of one way, mode $mode" 0 "$(sum drop)"
		expect_eq "would be dropped, mode $mode" 0 "$(sum would_drop)"
		expect_eq "connections of one way, mode $mode" 5 "$(sum connections_made)"
		expect_eq "said to be guessed, mode $mode" 10 "$(sum acks_of_lost)"
		expect_adds_up "one way, mode $mode"
	done
}

test_segments_forged_into_a_connection_are_judged_by_its_numbers() { # O02 @limit=60
	pcap forged "$T/forged.pcap"
	config always "mode: always"
	replayed "$T/forged.pcap" always
	expect_eq "reasons" "pass_challenge drop_rst_window drop_window drop_window pass_syn_held \
pass_challenge pass_known pass_rst drop_rst" "$(jq -r 'select(.n > 4) | .reason' "$T/rows" | xargs)"
}

test_strays_are_named_as_by_a_guard_that_runs() { # O02 N07 @limit=90
	local live r
	net_up
	server --port 80
	pcap flood "$T/flood.pcap"
	# with nothing to go by
	sv ip link set lo up
	expect_exit "neither guard nor file" 1 sv "$SW_BIN" replay "$T/flood.pcap"
	expect_in "hint" "--config" "$OUT"
	guard attach s0 --xdp native --connections 1024 > "$T/attach"
	guard service add any 80 --mode always
	cl "$PYTHON" "$HERE/pcap.py" send "$T/flood.pcap" c0
	wait_until 5 counted 400
	live=$(guard stats -j | jq -c "$BY_REASON")
	# the configuration of the guard that runs; all of it stays as it is
	cl ip link set c0 down # or neighbours would be asked for
	everything > "$T/before"
	"$SW_BIN" replay -j "$T/flood.pcap" > "$T/rows"
	everything > "$T/after"
	diff "$T/before" "$T/after" || fail "the live guard changed"
	SUM=$(tail -n 1 "$T/rows" | jq -c .summary)
	expect_eq "reasons as live" "$live" "$(jq -c ".reasons | $BY_REASON" <<< "$SUM")"
	for r in tx_synack drop_cookie drop_rst drop_synack drop_flags; do
		expect_ge "$r" "$(reason $r)" 40
	done
	# monitor: the same reasons
	config monitor "mode: monitor"
	replayed "$T/flood.pcap" monitor
	expect_eq "dropped in monitor" 0 "$(sum drop)"
	expect_eq "would be dropped" 360 "$(sum would_drop)"
	expect_eq "would, by reason" 80 "$(would drop_rst)"
}
BY_REASON='[.[] | select(.packets > 0 and (.service != null) and (.reason | startswith("out_") | not)) | {(.reason): .packets}] | add'
counted() { [ "$(guard stats -j | jq '[.[] | select(.service == "any 80" and (.reason | startswith("out_") | not)) | .packets] | add // 0')" = "$1" ]; }

# Every map of the guard, its pins, and what programs there are.
everything() {
	local map
	find $PIN -type f | sort
	for map in stats rx settings conns half tables arming sources; do
		say "$map"
		bpftool map dump pinned $PIN/$map | md5sum
	done
	bpftool -j prog list | jq -c '[.[] | select(.name | startswith("replay_"))] | length'
}

test_limits_and_arming_go_by_the_capture_s_clock() { # O03 @limit=90
	config limited "mode: always" "per-source: { new: 2, burst: 2 }" "over: drop"
	pcap handshakes "$T/fast.pcap" 0.01 10
	replayed "$T/fast.pcap" limited
	expect_eq "made at 100 a second" 2 "$(sum connections_made)"
	expect_ge "refused at 100 a second" "$(reason drop_limit_rate)" 8
	pcap handshakes "$T/slow.pcap" 1 10
	replayed "$T/slow.pcap" limited
	expect_eq "made at 1 a second" 10 "$(sum connections_made)"
	expect_eq "refused at 1 a second" 0 "$(sum drop)"
	# an attack of the capture's, however fast it is read
	config auto "mode: auto" "arm: { syns: 500:250, half-open: off, unfinished: off, hold: 5s }"
	pcap syns "$T/syns.pcap" 0.001 2000
	pcap handshakes "$T/calm.pcap" 60 2
	replayed "$T/syns.pcap" auto
	expect_eq "armed" '[true]' "$(jq -c '[.arming[].armed]' <<< "$SUM")"
	expect_eq "cause" syns "$(jq -r '.arming[0].cause' <<< "$SUM")"
	expect_ge "answered" "$(reason tx_synack)" 1200
	pcap syns "$T/syns.pcap" 0.01 200
	replayed "$T/syns.pcap" auto
	expect_eq "not armed" '[]' "$(jq -c .arming <<< "$SUM")"
	expect_eq "passed in calm" 200 "$(reason pass_calm)"
}

# Half-open connections end, and with them what they armed.
test_half_open_connections_leave_as_by_a_daemon_that_runs() { # O03 @limit=90
	config auto "mode: auto"
	pcap answered "$T/scan.pcap" 0.25 1400 0
	replayed "$T/scan.pcap" auto
	expect_eq "4 SYN/s for 350 s" '[]' "$(jq -c .arming <<< "$SUM")"
	pcap answered "$T/attack.pcap" 0.0001 3000 120
	replayed "$T/attack.pcap" auto
	expect_eq "an attack, then 1 SYN in 2 s" '[true,false]' "$(jq -c '[.arming[].armed]' <<< "$SUM")"
	expect_adds_up "an attack"
}

test_clients_that_stall_are_limited_by_the_capture_s_clock() { # O03 @limit=60
	config stalled "mode: always" "per-source: { stalled: 2 }" "over: drop"
	pcap stalled "$T/stalled.pcap"
	replayed "$T/stalled.pcap" stalled
	expect_eq "SYNs after 4 s and after 34 s" "tx_synack tx_synack drop_limit_stalled tx_synack" \
		"$(jq -r 'select(.n > 13) | .reason' "$T/rows" | xargs)"
	# the cookie of a SYN whose answer was lost lives on, though the SYN comes again too soon
	config rate "mode: always" "per-source: { new: 1, burst: 1 }" "over: drop"
	pcap again "$T/again.pcap"
	replayed "$T/again.pcap" rate
	expect_eq "refused once" 1 "$(reason drop_limit_rate)"
	expect_eq "made" 2 "$(sum connections_made)"
}

test_clock_of_a_capture_that_was_set_back_goes_on() { # O03 @limit=60
	config auto "mode: auto"
	pcap set_back "$T/back.pcap"
	replayed "$T/back.pcap" auto
	expect_eq "armed by 100 SYN/s" '[]' "$(jq -c .arming <<< "$SUM")"
	expect_eq "passed in calm" 1300 "$(reason pass_calm)"
	expect_eq "seconds" 12.98 "$(sum seconds)"
}

test_captures_that_are_broken_are_refused_or_read_as_far_as_they_go() { # O04 @limit=60
	config always "mode: always"
	pcap handshakes "$T/h.pcap" 0.1 5
	: > "$T/empty"
	printf 'not a capture, only words of some length' > "$T/words"
	refused "empty" 1 "no capture" "$SW_BIN" replay "$T/empty" --config "$T/always.yaml"
	refused "words" 1 "no capture" "$SW_BIN" replay "$T/words" --config "$T/always.yaml"
	refused "directory" 1 "is a directory" "$SW_BIN" replay "$T" --config "$T/always.yaml"
	refused "not there" 1 "No such file" "$SW_BIN" replay "$T/none" --config "$T/always.yaml"
	refused "no file" 2 "one capture FILE" "$SW_BIN" replay --config "$T/always.yaml"
	refused "configuration" 1 "1 error" "$SW_BIN" replay "$T/h.pcap" --config "$T/words"
	pcap convert user "$T/h.pcap" "$T/user"
	refused "link type" 1 "link type" "$SW_BIN" replay "$T/user" --config "$T/always.yaml"
	pcap convert cut "$T/h.pcap" "$T/cut" 30
	refused "cut off" 1 "not read beyond packet 19" "$SW_BIN" replay "$T/cut" --config "$T/always.yaml"
	expect_in "what could be read" "19 packets" "$OUT"
	pcap convert lie "$T/h.pcap" "$T/lie" 8
	refused "length of a packet" 1 "not read beyond packet 8" "$SW_BIN" replay -j "$T/lie" \
		--config "$T/always.yaml"
	expect_in "its summary" '"packets":8' "$OUT"
}

run_tests "$@"
