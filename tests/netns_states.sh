#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Whole lives of connections between real stacks: the guard's state of each is the host's, and
# nothing valid is dropped. Not here: attacks, the tables themselves (netns_conns.sh), and
# segments no stack sends (the prog ring).

set -euo pipefail
# shellcheck source=tests/netns_conns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_conns_lib.sh"

test_every_close_step_by_step() { # G01 G02 G03 G04 G05 E08 F16 @modes @limit=120
	local f pids=()
	net_up
	small_guard "$MODE" 80 1000-1100
	guard service add any 81 --mode always --host-syns 100
	for f in 4 6; do
		start client "$T/said$f" "$PYTHON" "$HERE/states.py" $f
		pids+=("$STARTED")
	done
	for f in "${pids[@]}"; do wait "$f" || fail "$(cat "$T/said4" "$T/said6")"; done
	say "MEASURED states compared with ss: $(cat "$T/said4" "$T/said6")"
	expect_eq "dropped" "" "$(drops)"
	check_gauges
}

# Everything at once, with floods beside it: each side's clients are served to the last.
test_everyday_traffic_through_floods() { # E02 E03 E04 E08 @modes @limit=90
	local kinds into out here=() rsts
	net_up
	start_nginx
	start_churn client 8000
	server --port 22
	guard_up "$MODE" 80 22 5201 1000-1100
	family 4
	start_typing 7
	start_iperf 7 -b 20M
	start client "$T/paced-in" taskset -c $(($(nproc) - 1)) "$PACED" --dst "$SA" --port 80 \
		--rate 100 --seconds 6
	into=$STARTED
	# the host's own connections: from ports of its own choice, and from guarded ones
	start server "$T/paced-out" "$PACED" --dst "$CA" --port 8000 --rate 50 --seconds 6
	out=$STARTED
	start server "$T/churn-out" "$CHURN" --dst "$CA" --port 8000 --ports 1000-1100 --pattern cs \
		--parallel 2 --count 400
	here=("$STARTED")
	rsts=$(counter server TcpOutRsts)
	for kinds in ack,pshack,finack synack rst,rstack,synfin,xmas; do
		flood_beside --dst "$SA" --dport 80 --kind $kinds --rate 60000 --seconds 1.5
		expect_in "page the host fetched" alive "$(sv curl -s -S -m 5 "http://$CA:8000/")"
		beside_end > "$T/sent"
		expect_ge "frames sent a second" "$(field pps < "$T/sent")" 20000
	done
	wait "$into" "$out" "${here[@]}"
	end_typing
	end_iperf
	say "MEASURED clients: $(cat "$T/paced-in")"
	say "MEASURED host's own: $(cat "$T/paced-out") $(cat "$T/churn-out")"
	expect_eq "clients served" 600 "$(field ok < "$T/paced-in")"
	expect_eq "host's own that succeeded" 300 "$(field ok < "$T/paced-out")"
	expect_eq "host's own from guarded ports" 400 "$(field ok < "$T/churn-out")"
	expect_eq "resets by the host" "$rsts" "$(counter server TcpOutRsts)"
	check_gauges
}

test_bad_path_for_a_whole_transfer() { # D06 @limit=120
	local f pids=()
	net_up_long --delay 2 --loss 5 --dup 5 --reorder 5 --seed 11
	# small frames, so that many are lost
	offloads server s0 off
	offloads client c0 off
	at wire ethtool -K c1 gro off
	at wire ethtool -K s1 gro off
	server --port 80
	small_guard native 80
	for f in 4 6; do
		family $f
		start client "$T/moved$f" "$PYTHON" "$HERE/client.py" transfer "$SA" --bytes 4000000 \
			--timeout 30 --seconds 60
		pids+=("$STARTED")
	done
	for f in 4 6; do
		wait_until 60 grep -q bytes "$T/moved$f"
		say "MEASURED IPv$f, 5 % loss, 5 % duplicates, 5 % reordered: $(cat "$T/moved$f")"
	done
	sleep 1 # the last duplicates
	expect_eq "dropped" "" "$(drops)"
	for f in client server; do
		expect_eq "resets by the $f" 0 "$(counter $f TcpOutRsts)"
	done
	expect_eq "established" 2 "$(count_of ESTABLISHED)"
	check_gauges
	stop "${pids[@]}"
	say "MEASURED $(wire_stop)"
}

# 29,000 ports of one address, each twice, whichever end keeps the TIME-WAIT
test_ports_of_one_address_again_and_again() { # G11 C05 K07 @modes @limit=120
	# n: in generic mode a veth takes each CPU's frames by itself, so a RST may come before the
	# ACK it was sent after; who holds nothing before that ACK then opens what was reset
	local f count=60000 pattern=cscsrsRsn
	[ "$MODE" = native ] || count=30000 pattern=cscsrsR
	net_up
	sv sysctl -qw net.core.somaxconn=4096
	cl sysctl -qw net.ipv4.tcp_tw_reuse=1
	start_churn
	guard_up "$MODE" 80
	for f in 4 6; do
		family $f
		churn --ports 20000-48999 --pattern $pattern --count $count --parallel 100 > "$T/churned"
		say "MEASURED IPv$f: $(cat "$T/churned")"
		expect_eq "connections over IPv$f" $count "$(field ok < "$T/churned")"
		expect_le "that needed a second SYN" "$(field slow < "$T/churned")" $((count / 1000))
	done
	say "MEASURED dropped: $(drops | tr '\n' ' ')"
	wait_until 5 none_open || fail "clients have gone, the host holds $(host_count established 80)" \
		"connections of theirs: $(drops)"
	check_gauges
}

none_open() { [ "$(host_count established 80)" = 0 ]; }

test_narrow_link_on_the_path() { # F17 J05
	new_ns client router server
	join client c0 router r0
	join router r1 server s0
	at router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	address client c0 02:00:00:00:08:01 10.8.0.1 fd08::1 02:00:00:00:08:fe 10.8.0.254 fd08::fe
	address router r0 02:00:00:00:08:fe 10.8.0.254 fd08::fe 02:00:00:00:08:01 10.8.0.1 fd08::1
	address router r1 02:00:00:00:09:fe 10.9.0.254 fd09::fe $SMAC $S4 $S6
	address server s0 $SMAC $S4 $S6 02:00:00:00:09:fe 10.9.0.254 fd09::fe
	cl ip route add default via 10.8.0.254
	cl ip route add default via fd08::fe
	sv ip route add default via 10.9.0.254
	sv ip route add default via fd09::fe
	at router ip route replace 10.8.0.0/24 dev r0 mtu 1300
	at router ip route replace fd08::/64 dev r0 metric 256 mtu 1300
	small_guard native 80
	cl "$PYTHON" "$HERE/flows.py" path_mtu > "$T/said"
	say "MEASURED $(cat "$T/said")"
	check_gauges
}

test_keepalives_and_probes_for_half_a_minute() { # F08 F09 @limit=120
	net_up
	small_guard native 80
	cl "$PYTHON" "$HERE/flows.py" quiet > "$T/said"
	say "MEASURED $(cat "$T/said")"
	check_gauges
}

test_offloads_do_not_change_states() { # F14 @modes
	net_up
	small_guard "$MODE" 80
	cl "$PYTHON" "$HERE/flows.py" offloads > "$T/said"
	expect_eq "same" true "$(field same < "$T/said")"
	check_gauges
}

run_tests "$@"
