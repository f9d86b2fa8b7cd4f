#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The connection tables under attack, churn and pressure: what fits no connection dies, what
# is real stays, and tables, gauges and the host agree. Not here: the lives of single
# connections (netns_states.sh), SYN floods (netns_flood.sh).

set -euo pipefail
# shellcheck source=tests/netns_conns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_conns_lib.sh"

# one_flood KIND DATA: frames without options on the wire, so 64 bytes with no data
one_flood() {
	local before after
	before=$(dropped)
	flood_beside --dst "$SA" --dport 80 --kind "$1" --data "$2" --rate 80000 --seconds 0.7
	beside_end > "$T/sent"
	after=$(dropped)
	SENT=$((SENT + $(field sent < "$T/sent")))
	# a frame may be on its way when the flood says what it sent
	expect_ge "$1 with $2 bytes of data: dropped" $((after - before + 64)) \
		"$(jq '.sent - .lost' "$T/sent")"
}

test_floods_of_every_kind_die_in_xdp() { # E01 E02 E03 E04 E08 N06 @modes @limit=120
	local kind into out resets before
	net_up
	start_nginx
	start_churn client 8000
	guard_up "$MODE" 80 5201
	family 4
	[ "$MODE" = native ] || family 6
	paced --dst "$SA" --port 80 --rate 100 --seconds 2 > "$T/quiet"
	resets=$(counter server TcpOutRsts) before=$(packets out_stray_rst) SENT=0
	start_iperf 14 -b 20M
	start client "$T/into" taskset -c $(($(nproc) - 1)) "$PACED" --dst "$SA" --port 80 \
		--rate 100 --seconds 13
	into=$STARTED
	start server "$T/out" "$PACED" --dst "$CA" --port 8000 --rate 50 --seconds 13
	out=$STARTED
	for kind in ack pshack rst rstack finack synack xmas null fin,synfin,synrst,rstfin,psh,all; do
		one_flood $kind 0
	done
	one_flood ack,pshack,finack 1400
	one_flood rst,synack,xmas,null 1400
	wait "$into" "$out"
	end_iperf
	say "MEASURED $SENT frames; clients before $(cat "$T/quiet")"
	say "MEASURED clients beside them $(cat "$T/into"), the host's own $(cat "$T/out")"
	expect_eq "clients served" 1300 "$(field ok < "$T/into")"
	expect_eq "the host's own" 650 "$(field ok < "$T/out")"
	expect_eq "resets the host sent" "$resets" "$(counter server TcpOutRsts)"
	expect_eq "resets for no connection" "$before" "$(packets out_stray_rst)"
	expect_eq "SYN-ACKs for floods without SYNs" 0 \
		"$((1500 - $(packets tx_synack) > 0 ? 0 : $(packets tx_synack) - 1501))"
	check_gauges
}

test_forged_segments_change_nothing() { # F01 F03 F04 F05 F07 G07 @modes
	net_up
	guard_up "$MODE" 80
	cl "$PYTHON" "$HERE/forge.py" > "$T/said"
	say "MEASURED $(cat "$T/said")"
	expect_eq "resets by the host" 0 "$(counter server TcpOutRsts)"
	check_gauges
}

test_flood_of_a_live_tuple() { # E06 F01 F04 F06 @modes
	local rsts
	net_up
	server --port 22
	guard_up "$MODE" 22
	family 4
	start client "$T/typing" "$PYTHON" "$HERE/client.py" keys "$SA" --port 22 --sport 45000 \
		--seconds 4
	TYPING=$STARTED
	wait_until 5 grep -q connected "$T/typing"
	flood_beside --dst "$SA" --dport 22 --src "$CA/32" --sport 45000 --rate 30000 --seconds 3 \
		--kind syn,synack,rst,rstack,finack,ack
	sleep 2
	expect_eq "state under the flood" ESTABLISHED "$(state_of "$CA" 45000)"
	beside_end > "$T/sent"
	end_typing
	say "MEASURED forged with the tuple: $(cat "$T/sent"), left to the host:" \
		"$(packets pass_challenge) and $(packets pass_syn_held)"
	# 100 a second and CPU
	expect_le "segments the host was to answer" \
		$(($(packets pass_challenge) + $(packets pass_syn_held))) $((100 * 5 * $(nproc)))
	check_gauges
}

test_spoofed_tuples_leave_the_table_as_it_is() { # E02 K02 @limit=120
	local f before seconds=2
	[ "${SW_LONG-}" != 1 ] || seconds=30 # 10 million
	net_up
	server --port 80
	guard_up native 80
	for f in 4 6; do
		family $f
		start client "$T/held$f" "$PYTHON" "$HERE/client.py" fill "$SA" --count 50
		wait_until 5 grep -q connected "$T/held$f"
	done
	before=$("$PYTHON" "$HERE/maps.py" digest conns) || fail "digest"
	for f in 4 6; do
		family $f
		flood --dst "$SA" --dport 80 --rate 0 --seconds $seconds \
			--kind syn,ack,pshack,rst,rstack,finack,synack,xmas,null
		flood_end > "$T/sent"
		say "MEASURED spoofed tuples over IPv$f: $(cat "$T/sent")"
		expect_ge "frames" "$(field sent < "$T/sent")" $((seconds * 50000))
		expect_eq "resets that came back" 0 "$(field rsts < "$T/sent")"
		expect_eq "the proven table" "$before" "$("$PYTHON" "$HERE/maps.py" digest conns)"
	done
	expect_eq "slots in use" "[100,0]" "$(used)"
	check_gauges
}

test_guard_comes_to_a_thousand_live_connections() { # F15 K08 @limit=120
	net_up
	cl "$PYTHON" "$HERE/crowd.py" --without > "$T/without"
	cl "$PYTHON" "$HERE/crowd.py" > "$T/with"
	say "MEASURED without $(cat "$T/without")"
	say "MEASURED with    $(cat "$T/with")"
	expect_eq "states at the server" 8 "$(jq '.states | length' "$T/with")"
	expect_eq "connections" 1000 "$(jq '[.states[]] | add' "$T/with")"
	expect_eq "broken" 0 "$(field broken < "$T/with")"
	expect_eq "resets" '{"client":0,"server":0}' "$(jq -c .resets "$T/with")"
	expect_eq "dropped" '{}' "$(jq -c .dropped "$T/with")"
	# of the sockets that talked all the time, and of all once the gate was open
	expect_le "retransmitted by the talking" "$(jq .retransmitted.talking "$T/with")" \
		"$(jq .retransmitted.talking "$T/without")"
	expect_le "retransmitted in all" "$(jq '[.retransmitted.after_gate[]] | add' "$T/with")" \
		"$(jq '[.retransmitted.after_gate[]] | add' "$T/without")"
	check_gauges
}

run_tests "$@"
