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
	flood_beside --dst "$SA" --dport 80 --kind "$1" --data "$2" --rate 80000 --seconds 0.4
	beside_end > "$T/sent"
	after=$(dropped)
	SENT=$((SENT + $(field sent < "$T/sent")))
	# a frame may be on its way when the flood says what it sent
	expect_ge "$1 with $2 bytes of data: dropped" $((after - before + 64)) \
		"$(jq '.sent - .lost' "$T/sent")"
}

test_floods_of_every_kind_die_in_xdp() { # E01 E02 E03 E04 E08 I02 N06 @modes @limit=120
	local kind into out resets before
	net_up
	start_nginx
	start_churn client 8000
	guard_up "$MODE" 80 5201
	family 4
	[ "$MODE" = native ] || family 6
	paced --dst "$SA" --port 80 --rate 100 --seconds 2 > "$T/quiet"
	resets=$(counter server TcpOutRsts) before=$(packets out_stray_rst) SENT=0
	start_iperf 9 -b 20M
	start client "$T/into" taskset -c $(($(nproc) - 1)) "$PACED" --dst "$SA" --port 80 \
		--rate 100 --seconds 9
	into=$STARTED
	start server "$T/out" "$PACED" --dst "$CA" --port 8000 --rate 50 --seconds 9
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
	expect_eq "clients served" 900 "$(field ok < "$T/into")"
	expect_eq "the host's own" 450 "$(field ok < "$T/out")"
	expect_eq "resets the host sent" "$resets" "$(counter server TcpOutRsts)"
	expect_eq "resets for no connection" "$before" "$(packets out_stray_rst)"
	# one for each client, and for iperf3's two; a few SYNs may have been lost
	expect_le "SYN-ACKs" "$(packets tx_synack)" 1140
	check_gauges
}

test_forged_segments_change_nothing() { # F01 F03 F04 F05 F07 G07 @modes
	net_up
	small_guard "$MODE" 80
	cl "$PYTHON" "$HERE/forge.py" > "$T/said"
	say "MEASURED $(cat "$T/said")"
	expect_eq "resets by the host" 0 "$(counter server TcpOutRsts)"
	check_gauges
}

test_flood_of_a_live_tuple() { # E06 F01 F04 F06 @modes
	net_up
	server --port 22
	guard_up "$MODE" 22
	family 4
	start client "$T/typing" "$PYTHON" "$HERE/client.py" keys "$SA" --port 22 --sport 45000 \
		--seconds 3
	TYPING=$STARTED
	wait_until 5 grep -q connected "$T/typing"
	flood_beside --dst "$SA" --dport 22 --src "$CA/32" --sport 45000 --rate 30000 --seconds 2 \
		--kind syn,synack,rst,rstack,finack,ack
	sleep 1
	expect_eq "state under the flood" ESTABLISHED "$(state_of "$CA" 45000)"
	beside_end > "$T/sent"
	end_typing
	say "MEASURED forged with the tuple: $(cat "$T/sent"), left to the host:" \
		"$(packets pass_challenge) and $(packets pass_syn_held)"
	# 100 a second and CPU
	expect_le "segments the host was to answer" \
		$(($(packets pass_challenge) + $(packets pass_syn_held))) $((100 * 4 * $(nproc)))
	check_gauges
}

test_spoofed_tuples_leave_the_table_as_it_is() { # E02 K02 @limit=120
	local f before seconds=2 unasked=0
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
		flood --dst "$SA" --dport 80 --rate 0 --seconds $seconds --opts 20 \
			--kind syn,ack,pshack,rst,rstack,finack,synack,xmas,null
		flood_end > "$T/sent"
		say "MEASURED spoofed tuples over IPv$f: $(cat "$T/sent")"
		expect_ge "frames" "$(field sent < "$T/sent")" $((seconds * 50000))
		expect_le "resets, of what nobody was asked for" "$(field rsts < "$T/sent")" \
			$(($(packets pass_unasked) - unasked))
		expect_eq "the proven table" "$before" "$("$PYTHON" "$HERE/maps.py" digest conns)"
		"$PYTHON" "$HERE/maps.py" end-grace # IPv6: the guard has been here for long
		unasked=$(packets pass_unasked)
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
	expect_eq "resets as it came" '{"client":0,"server":0}' "$(jq -c .resets_before_gate "$T/with")"
	expect_eq "dropped" '{}' "$(jq -c .dropped "$T/with")"
	# of the sockets that talked all the time, and of all once the gate was open
	expect_le "retransmitted by the talking" "$(jq .retransmitted.talking "$T/with")" \
		"$(jq .retransmitted.talking "$T/without")"
	expect_le "retransmitted in all" "$(jq '[.retransmitted.after_gate[]] | add' "$T/with")" \
		"$(jq '[.retransmitted.after_gate[]] | add' "$T/without")"
	check_gauges
}

reader_of_events() {
	start server "$T/events" "$SW_BIN" events --follow -j
	sleep 0.3
}

test_full_table_serves_everyone() { # K01
	local got
	net_up
	guard attach s0 --connections 64 > /dev/null
	guard service add any 80 --mode always
	guard limit set event-gap 0 # no others than this
	reader_of_events
	cl "$PYTHON" "$HERE/tables.py" full > "$T/said"
	say "MEASURED $(cat "$T/said")"
	sleep 0.4
	got=$(jq -cs '[.[] | select(.kind == "table_full") | .table]' "$T/events")
	expect_eq "events" '["proven"]' "$got"
	expect_ge "left untracked" "$(packets pass_untracked)" 1
	expect_in "status says it" "64" "$(guard status)"
	check_gauges
}

# Ten times as many as there is room for come and go beside 800 that stay.
idle_says() { wait_until 20 grep -q "^$1 10000" "$T/idle" || fail "idle: $(cat "$T/idle")"; }

idle_for() { conns | jq "[.[] | select(.idle_s > $1)] | length"; }

# idle_speak: a byte each way on each of them
idle_speak() {
	: > "$T/idle"
	echo >&"$IDLE_IN"
	idle_says alive
}

# Who says nothing for two hours is a user (RFC 5382), and 10,000 of them fill this table.
test_idle_connections_are_kept_through_a_flood() { # J04 M02 K02 @limit=120
	local before idle
	net_up
	sv sysctl -qw net.core.somaxconn=4096
	guard attach s0 --connections 10000 > /dev/null
	guard service add any 80 --mode always --per-source conns=10000 --over drop
	mkfifo "$T/speak"
	exec {IDLE_IN}<> "$T/speak"
	start client "$T/idle" "$PYTHON" "$HERE/idle.py" --count 10000 --age 7500 "$T/speak"
	idle=$STARTED
	idle_says idle
	expect_eq "counted of their source" 10000 "$(guard sources -j | jq '[.[].conns] | max')"
	expect_eq "idle for more than 2 h 4 min" 10000 "$(idle_for 7440)"
	expect_eq "freed and held by a sweep" "[0,10000]" "$(guard sweep -j | jq -c '[.freed, .held]')"
	before=$("$PYTHON" "$HERE/maps.py" digest conns)
	family 4
	flood --dst $S4 --dport 80 --rate 0 --seconds 1 --opts 20 \
		--kind syn,ack,pshack,rst,rstack,finack,synack
	flood_end > "$T/sent"
	expect_ge "frames" "$(field sent < "$T/sent")" 50000
	expect_eq "the table" "$before" "$("$PYTHON" "$HERE/maps.py" digest conns)"
	before=$(dropped)
	idle_speak
	expect_eq "dropped of them" "$before" "$(dropped)"
	expect_eq "idle no more" 0 "$(idle_for 3600)"
	check_gauges
	stop "$idle"
}

test_tombstones_leave_room_for_live_connections() { # K01
	net_up
	family 4
	start_churn
	guard attach s0 --connections 1000 > /dev/null
	guard service add any 80 --mode always
	start client "$T/live" "$CHURN" --dst "$SA" --port 80 --pattern h --ports 40000-40799 \
		--count 800
	wait_until 20 grep -q tried "$T/live"
	churn --pattern cr --ports 2000-13999 --count 10000 > "$T/churned"
	say "MEASURED $(guard status -j | jq -c .tables)"
	expect_eq "failed" 0 "$(jq '.tried - .ok' "$T/churned")"
	expect_eq "stay" 800 "$(host_count established 80)"
	expect_ge "stay, by the gauges" "$(count_of ESTABLISHED)" 800
	# both buckets full of what lives: one connection in a thousand, and it goes on all the same
	expect_le "segments that found no room" "$(guard status -j | jq '.tables[0].full')" 50
	expect_le "untracked" "$(packets pass_untracked)" 50
	check_gauges
}

test_sweep_forgets_what_the_host_forgot() { # G09 G10 C04 @limit=150
	net_up
	small_guard native 80
	cl "$PYTHON" "$HERE/tables.py" swept > "$T/said"
	say "MEASURED $(cat "$T/said")"
	check_gauges
	expect_in "sweep for people" "freed:" "$(guard sweep)"
	cl "$PYTHON" "$HERE/tables.py" time_wait_cut_short > "$T/said"
	say "MEASURED $(cat "$T/said")"
	expect_eq "dropped" "" "$(drops)"
	check_gauges
}

# host_agrees: each socket of port 80 is in the table in its state; what else is there has ended
host_agrees() {
	sv ss -HtanO 'sport = :80' | awk '$1 != "LISTEN" { print $5, $1 }' |
		sed 's/^\[::ffff:\(.*\)\]/\1/; s/ESTAB$/ESTABLISHED/; s/SYN-RECV$/SYN-RECEIVED/' |
		sort > "$T/by-host"
	conns | jq -r '.[] | select(.state != "CLOSED" and (.state != "TIME-WAIT" or .state_s < 55)) |
		"\(.client) \(.state)"' | sort > "$T/by-guard"
	# a TIME-WAIT of the host in its last seconds is not held against it either
	diff "$T/by-host" "$T/by-guard" > "$T/differ" || [ "${SW_LONG-}" = 1 ] &&
		! grep -v '^< .* TIME-WAIT$' "$T/differ" | grep -q '^[<>]'
}

# agree_but_for_few: at once, or, for one entry in 10,000, once the sockets were walked. A state
# can lag where host and guard change it on two CPUs at the same instant.
agree_but_for_few() {
	local lag
	if ! wait_until 5 host_agrees; then
		lag=$(grep -c '^>' "$T/differ" || true)
		say "MEASURED entries that lagged: $lag"
		expect_le "entries that differ" "$lag" 3
		guard adopt > /dev/null
		wait_until 5 host_agrees || fail "the host differs: $(head "$T/differ")"
	fi
	check_gauges
}

# churn_and_hold SECONDS [PORT]: from ports PORT to 31999 of two addresses, 40 connections
# living through it
churn_and_hold() {
	local f pids=()
	for f in 4 6; do
		family $f
		start client "$T/held$f" "$PYTHON" "$HERE/client.py" fill "$SA" --count 20 --seconds 600
		start client "$T/churned$f" "$CHURN" --dst "$SA" --port 80 --pattern cscsrsR \
			--ports "${2:-20000}-31999" --parallel 50 --seconds "$1"
		pids+=("$STARTED")
	done
	wait "${pids[@]}"
	for f in 4 6; do
		say "MEASURED IPv$f: $(cat "$T/churned$f")"
		expect_eq "failed over IPv$f" 0 "$(jq '.tried - .ok' "$T/churned$f")"
		expect_in "held over IPv$f" '"connected": 20' "$(cat "$T/held$f")"
	done
}

test_sweeps_beside_churn_take_no_live_entry() { # K08 G11 @limit=90
	local limit sweeper
	net_up
	start_churn
	guard_up native 80
	cl sysctl -qw net.ipv4.tcp_tw_reuse=1
	for limit in syn-received established fin-wait-1 fin-wait-2 close-wait closing last-ack closed; do
		guard limit set timeout-$limit 1
	done
	start server "$T/sweeps" "$SW_BIN" -j run --interval 1
	sweeper=$STARTED
	churn_and_hold 7 2000 # so many that tombstones expire before their port comes again
	kill "$sweeper"
	wait "$sweeper" || fail "run: $(cat "$T/sweeps")"
	sed -i '/^{/!d' "$T/sweeps" # without the notes
	say "MEASURED $(jq -cs '{sweeps: length, freed: [.[].freed] | add, looked_at: [.[].looked_at] | max,
		asked: [.[] | select(.asked_for > 0)] | length}' "$T/sweeps")"
	expect_ge "sweeps" "$(jq -s length "$T/sweeps")" 5
	expect_gt "freed" "$(jq -s '[.[].freed] | add' "$T/sweeps")" 1000
	expect_eq "held through all of it" 40 "$(count_of ESTABLISHED)"
	agree_but_for_few
}

test_churn_leaves_no_drift() { # G11 K07 K08 @modes @limit=200
	local seconds=6
	[ "$MODE" = native ] || seconds=3
	[ "${SW_LONG-}" != 1 ] || seconds=60
	net_up
	start_churn
	guard_up "$MODE" 80
	cl sysctl -qw net.ipv4.tcp_tw_reuse=1
	churn_and_hold $seconds
	agree_but_for_few
	say "MEASURED dropped: $(drops | tr '\n' ' ')in tables: $(used)"
	expect_eq "refused by the kernel" 0 "$(packets tc_refused)"
}

# "state connections" of port 80, a line each
states_by_host() {
	sv ss -HtanO 'sport = :80' | awk '$1 != "LISTEN" { n[$1]++ } END { for (s in n) print s, n[s] }' |
		sed 's/^ESTAB /ESTABLISHED /; s/^SYN-RECV /SYN-RECEIVED /' | sort
}
states_by_walk() {
	guard conns | awk 'NR > 1 { n[$3]++ } END { for (s in n) print s, n[s] }' | sort
}
states_by_gauge() { conns --count | jq -r '.[] | "\(.state) \(.connections)"' | sort; }

# 56 programs of 18,000 each, to 56 addresses of the server; then a minute of churn.
test_a_million_live_connections_beside_churn() { # G11 K05 @limit=1500
	local n live
	[ "${SW_LONG-}" = 1 ] || skip "takes 6 minutes and 12 GB of memory: SW_LONG=1"
	net_up
	ulimit -n 20000
	start_churn server 80 64
	at client ip addr add 10.9.2.1/16 dev c0
	guard attach s0 --xdp native --connections 1300000 > "$T/attach"
	guard service add any 80 --mode always
	for n in {1..56}; do
		at server ip addr add "10.9.1.$n/16" dev s0
		start client "$T/live$n" "$CHURN" --dst "10.9.1.$n" --port 80 --pattern h \
			--ports 40000-57999 --count 18000 --parallel 256 --timeout 20000
		wait_until 60 grep -q tried "$T/live$n"
		expect_eq "connections of program $n" 18000 "$(field ok < "$T/live$n")"
	done
	say "MEASURED $(jq -sc '{live: [.[].ok] | add, slow: [.[].slow] | add,
		opened_per_s: (([.[].ok] | add) / ([.[].seconds] | add) | round)}' "$T"/live*)"
	cl sysctl -qw net.ipv4.tcp_tw_reuse=1
	churn_and_hold 60
	live=$((56 * 18000 + 40))
	expect_eq "live, by ss" $live "$(sv ss -HtnO state established 'sport = :80' | wc -l)"
	expect_eq "live, by the gauges" $live "$(count_of ESTABLISHED)"
	diff <(states_by_walk) <(states_by_gauge) || fail "walk and gauges differ"
	diff <(states_by_host) <(states_by_gauge | grep -v ^CLOSED) || fail "host and gauges differ"
	expect_eq "untracked" 0 "$(packets pass_untracked)"
	say "MEASURED by the guard: $(states_by_gauge | xargs); by ss: $(states_by_host | xargs)"
	say "MEASURED $(guard status -j | jq -c .tables)"
	expect_eq "dropped" 0 "$(dropped)"
}

# listed ARGS...: the clients' ports `conns` lists, in its order
listed() { conns "$@" | jq -r '[.[].client | sub(".*:"; "")] | join(" ")'; }

has_closed() { [ "$(count_of CLOSED)" = 1 ]; }
sorted() { tr ' ' '\n' | sort | xargs; }

test_conns_lists_filters_and_counts() { # K07 N06
	local port f n words between pids=() all
	net_up
	server --port 80
	server --port 81
	small_guard native 80 81
	for port in 80 81; do
		for f in 4 6; do
			family $f
			start client "$T/c$port$f" "$PYTHON" "$HERE/client.py" hold "$SA" --port $port \
				--sport $((port * 100 + f)) --seconds 600
			pids+=("$STARTED")
			wait_until 5 grep -q connected "$T/c$port$f"
		done
		[ $port = 81 ] || sleep 3
	done
	stop "${pids[3]}" # closed by the client, then by the server
	wait_until 5 has_closed
	expect_eq "all" 4 "$(conns | jq length)"
	expect_eq "by state" 8106 "$(listed --state closed)"
	expect_eq "by states" 4 "$(conns --state closed,ESTABLISHED | jq length)"
	expect_eq "by service" "8104 8106" "$(listed --service any 81 --sort client)"
	expect_eq "by source" "8004 8104" "$(listed --source $C4/32 --sort client)"
	expect_eq "by source, IPv6" "8106 8006" "$(listed --source fd09::/64 --sort client --reverse)"
	# three seconds lie between the ports; an age may pass one more meanwhile
	between=$(($(conns --service any 81 | jq '[.[].age_s] | max') + 1))
	expect_eq "older" "8004 8006" "$(listed --older $between --sort client)"
	expect_eq "younger" "8104 8106" "$(listed --younger $((between + 1)) --sort client)"
	expect_eq "sorted by age, the youngest" "8104 8106" "$(listed --sort age --limit 2 | sorted)"
	expect_eq "and the oldest" "8004 8006" "$(listed --sort age --reverse --limit 2 | sorted)"
	expect_eq "limit and offset" 1 "$(conns --limit 2 --offset 3 | jq length)"
	expect_eq "nothing left" "[]" "$(conns --offset 4 | jq -c .)"
	all=$(listed --sort client)
	expect_eq "paged" "$all" "$(for n in 0 1 2 3; do listed --sort client --limit 1 --offset $n; done | xargs)"
	expect_eq "counted" '[["any 80","ESTABLISHED",2],["any 81","CLOSED",1],["any 81","ESTABLISHED",1]]' "$(by_gauge)"
	expect_eq "counted by source" 2 "$(conns --count --source $C4 | jq '[.[].connections] | add')"
	expect_in "table for people" ESTABLISHED "$(guard conns)"
	expect_in "status" "4 of 4,096" "$(guard status)"
	for words in "--state open" "--sort size" "--limit x" "--source 10.9.0.300" "--older -1" \
		"--count --sort age" "--service any 0" "--reverse" extra; do
		# shellcheck disable=SC2086 # words
		expect_exit "conns $words" 2 guard conns $words
	done
	expect_exit "service that is not there" 1 guard conns --service any 99
	check_gauges
}

test_long_listing_into_a_closed_pipe() { # K07
	local status=0
	net_up
	start_churn
	guard_up native 80
	family 4
	churn --count 3000 --ports 20000-22999 > /dev/null
	expect_eq "listed" 3000 "$(conns | jq length)"
	expect_eq "lines" 3001 "$(guard conns | wc -l)"
	for words in "conns" "conns -j" "conns --sort age" "conns -j --sort client"; do
		status=0
		# shellcheck disable=SC2086 # words
		(guard $words; echo $? > "$T/status") 2> "$T/said" | head -n 1 > /dev/null || status=$?
		expect_in "$words, cut: nobody crashes" "$(cat "$T/status")" "0 1 141"
		expect_le "$words, cut: lines of complaint" "$(wc -l < "$T/said")" 1
	done
	check_gauges
}

test_limits_are_checked_and_kept() { # N06
	local before words
	net_up
	small_guard native 80
	before=$(guard limit show -j)
	for words in "timeout-established 0" "timeout-established x" "timeout-time-wait 59" \
		"timeout-time-wait 241" "timeout-closed 99999999999" "ask-rate -1" "ask-rate 4294967296" \
		"no-such-limit 1" "challenge-rate" "challenge-rate 1 2" "event-gap 1.5"; do
		# shellcheck disable=SC2086 # words
		expect_exit "limit set $words" 2 guard limit set $words
		expect_eq "limits after a bad one" "$before" "$(guard limit show -j)"
	done
	guard limit set timeout-established 5m
	expect_eq "set" 300 "$(guard limit show -j | jq '.[] | select(.name == "timeout-established").value')"
	guard limit set timeout-established default
	expect_eq "default" "$before" "$(guard limit show -j)"
	jq -e 'all(.value >= .min and .value <= .max)' <<< "$before" > /dev/null
}

test_bpftool_reads_the_table() { # F15
	net_up
	server --port 80
	guard attach s0 --connections 64 > /dev/null
	guard service add any 80 --mode always
	family 4
	start_client hold "$SA" --sport 41000
	wait_until 5 grep -q connected "$T/client"
	bpftool -j map dump pinned $PIN/conns > "$T/dump"
	jq -c '[.[] | (.formatted.value // .value) | select(.state != "SW_FREE")]' "$T/dump" > "$T/mine"
	expect_eq "entries" 1 "$(jq length "$T/mine")"
	expect_eq "fields" "changed_s client client_fin client_port flags generation opened_s rcv_nxt seen_s server server_fin server_port service state" \
		"$(jq -r '.[0] | keys | join(" ")' "$T/mine")"
	expect_in "state by its name" ESTABLISHED "$(jq -r '.[0].state' "$T/mine")"
	check_gauges
}

run_tests "$@"
