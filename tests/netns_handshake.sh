#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Handshakes through the guard: options, listeners, tuples the host still holds, and segments
# made by hand. Not here: loss and delay on the way (netns_path.sh), floods (netns_flood.sh).

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

# up SERVER-ARGS...: guarded port 80
up() {
	net_up
	# the host's own segments are then complete, as the guard's must be in any case
	offloads server s0 off
	cl ethtool -K c0 gro off
	server --port 80 "$@"
	guard_up "$MODE"
}

test_first_client_of_a_quiet_listener_is_served() { # C01 @modes
	local f
	net_up
	start_nginx
	guard_up "$MODE"
	for f in 4 6; do
		family $f
		expect_eq "page over IPv$f" alive "$(fetch "$URL")"
	done
	expect_eq "SYNs answered" 2 "$(packets tx_synack)"
	expect_eq "connections handed over" 2 "$(packets tc_handed_over)"
	# generic mode, too: xdp told tc which packet to look at
	expect_eq "tc looks at every ACK" 0 \
		"$(bpftool -j map dump pinned $PIN/settings | jq '.[0].formatted.value.recheck')"
}

# What ss says of the connection to a port, at one end: peer's and own scale, MSS, options.
# link NS PORT side(sport|dport)
link() {
	at "$1" ss -tinHO state established "( $3 = :$2 )" | awk '{
		for (i = 5; i <= NF; i++)
			if ($i ~ /^(ts|sack|ecn|wscale:.*|mss:.*|advmss:.*)$/)
				out = out " " $i
		print out
	}'
}

# Is $1 what the guard may make of $2? Without timestamps a cookie has few bits: the scale the
# server applies to the client's window may be rounded down, never up.
may_replace() {
	[ "$1" != "$2" ] || return 0
	[[ $2 != *" ts"* && $1 =~ wscale:([0-9]+),([0-9]+) ]] || return 1
	local peer=${BASH_REMATCH[1]} own=${BASH_REMATCH[2]}
	[[ $2 =~ wscale:([0-9]+),([0-9]+) ]] || return 1
	[ "$own" = "${BASH_REMATCH[2]}" ] && [ "$peer" -le "${BASH_REMATCH[1]}" ] &&
		[ "${1/wscale:$peer,/}" = "${2/wscale:${BASH_REMATCH[1]},/}" ]
}

# Connect to the guarded port 80 and the unguarded 81 and compare both ends.
compare_links() {
	local what=$1 pids=() port
	for port in 80 81; do
		start client "$T/held$port" bash -c "exec 3<> /dev/tcp/$SA/$port; echo connected; sleep 30"
		pids+=("$STARTED")
	done
	wait_until 5 grep -q connected "$T/held80" || fail "$what: no connection"
	wait_until 5 grep -q connected "$T/held81"
	wait_until 2 has_link || fail "$what: not established"
	expect_eq "$what: client's end" "$(link client 81 dport)" "$(link client 80 dport)"
	may_replace "$(link server 80 sport)" "$(link server 81 sport)" ||
		fail "$what: server's end:$(link server 80 sport), unguarded:$(link server 81 sport)"
	stop "${pids[@]}"
	wait_until 2 no_links
}

has_link() { [ -n "$(link server 80 sport)" ]; }
no_links() { [ -z "$(cl ss -tnH state established)$(sv ss -tnH state established)" ]; }

test_options_are_the_same_at_both_ends() { # C03 A07 A09 @modes @limit=120
	local f ts sack ws ecn
	net_up
	server --port 81
	server --port 80
	guard_up "$MODE"
	for ts in 1 0; do for sack in 1 0; do for ws in 1 0; do for ecn in 0 1; do
		cl sysctl -qw net.ipv4.tcp_timestamps=$ts net.ipv4.tcp_sack=$sack \
			net.ipv4.tcp_window_scaling=$ws net.ipv4.tcp_ecn=$ecn
		for f in 4 6; do
			family $f
			compare_links "IPv$f ts $ts sack $sack ws $ws ecn $ecn"
		done
	done; done; done; done
	expect_eq "connections handed over" 32 "$(packets tc_handed_over)"
}

test_host_that_refuses_options_is_obeyed() { # C03 A07 @limit=90
	local setting
	net_up
	server --port 81
	server --port 80
	guard_up "$MODE"
	family 4
	for setting in tcp_timestamps=0 tcp_sack=0 tcp_window_scaling=0 tcp_ecn=0 tcp_ecn=1; do
		sv sysctl -qw net.ipv4.$setting
		cl sysctl -qw net.ipv4.tcp_ecn=1
		sleep 0.1 # the guard asks the host again each 10 ms
		compare_links "server with $setting"
		sv sysctl -qw net.ipv4.tcp_timestamps=1 net.ipv4.tcp_sack=1 \
			net.ipv4.tcp_window_scaling=1 net.ipv4.tcp_ecn=2
	done
}

test_client_offloads_do_not_matter() { # H05 @modes
	local state f
	up
	for state in off on; do
		offloads client c0 $state
		for f in 4 6; do
			family $f
			client many "$SA" --count 5 --bytes 200000 > "$T/many"
			expect_eq "IPv$f, offloads $state" 5 "$(field ok < "$T/many")"
		done
	done
	expect_eq "wrong checksums seen" 0 "$(packets drop_tcp_csum)"
}

test_listener_buffers_and_segment_sizes_are_kept() { # A08 A09 C03
	local args
	net_up
	guard_up "$MODE"
	for args in "--rcvbuf 16384" "--rcvbuf 262144" "--rcvbuf 16777216" "--maxseg 1000"; do
		# shellcheck disable=SC2086 # words
		server --port 81 $args
		local first=$SERVER
		# shellcheck disable=SC2086 # words
		server --port 80 $args
		for f in 4 6; do
			family $f
			compare_links "listener with $args, IPv$f"
		done
		stop_server
		stop "$first"
		wait_until 2 not_listening 80
		wait_until 2 not_listening 81
	done
}

not_listening() { ! listening server "$1"; }

test_closed_ports_stay_closed() { # A02 @modes
	local f before after
	net_up
	start_nginx
	family 4
	before=$(raw scan)
	guard attach s0 --xdp "$MODE"
	guard service add any 1-65535 --mode always
	for f in 4 6; do
		family $f
		after=$(raw scan)
		expect_eq "open ports with the guard, IPv$f" "$before" "$after"
	done
	expect_ge "closed ports the host answered for" "$(packets pass_no_listener)" 80
}

test_fast_open_client_falls_back_without_delay() { # A06 @modes
	local f
	net_up
	sv sysctl -qw net.ipv4.tcp_fastopen=3
	cl sysctl -qw net.ipv4.tcp_fastopen=1
	server --port 80 --fastopen 100
	# half of the clients hold a cookie the host gave them before the guard came
	family 4
	client fastopen "$SA" --count 2 > "$T/tfo"
	guard_up "$MODE"
	for f in 4 6; do
		family $f
		client fastopen "$SA" --count 5 > "$T/tfo"
		expect_le "slowest of 5 over IPv$f" "$(field worst_s < "$T/tfo")" 0.5
	done
	expect_ge "answered" "$(packets tx_synack)" 10
}

test_fast_open_option_and_data_are_not_acknowledged() { # A06 A05 @modes
	up
	raw_both fastopen_syn
}

test_syn_with_data_is_answered_and_its_data_sent_again() { # A05 @modes
	up
	raw_both syn_with_data
	raw_both syn_with_data --bare
}

test_no_segment_exceeds_the_mss_of_the_client() { # A08 @modes
	up
	raw_both tiny_mss
	raw_both tiny_mss --no-timestamps
}

test_ecn_is_answered_only_when_it_will_be_remembered() { # A07 A10 @modes
	up
	raw_both ecn_syn
	raw_both ecn_syn --bare
}

test_retransmitted_syn_gets_the_same_answer() { # A11
	up
	raw_both retransmitted_syn
	raw_both retransmitted_syn --no-timestamps
}

test_plain_life_without_options() { # A04 C03 @modes
	up
	raw_both plain --bare
	raw_both plain --no-timestamps
	raw_both plain
}

test_first_data_opens_when_the_ack_is_lost() { # D02 @modes
	up
	raw_both lost_ack_client_first
	raw_both lost_ack_client_first --bare
}

test_duplicate_ack_makes_one_connection() { # D04 @modes
	up
	raw_both duplicate_ack
	expect_eq "connections accepted" 2 "$(grep -c ^accepted "$T/server")"
}

test_data_before_the_ack_is_never_reset() { # D04 @modes
	up
	raw_both data_before_ack
	raw_both data_before_ack --bare
}

test_fin_on_the_first_segment_opens_and_closes() { # D04 B08 @modes
	up
	raw_both fin_with_first_ack
	expect_eq "connections accepted" 4 "$(grep -c ^accepted "$T/server")"
}

test_cookie_with_odd_flags_opens_nothing() { # B08
	up
	raw_both flags_with_cookie
	expect_eq "connections accepted" 8 "$(grep -c ^accepted "$T/server")"
}

test_spent_cookie_opens_nothing() { # B02 @modes
	up
	raw_both replay_after_close
	expect_eq "connections accepted" 2 "$(grep -c ^accepted "$T/server")"
	expect_ge "spent cookies seen" "$(packets pass_cookie_used)" 2
}

test_blind_acks_get_no_answer() { # B01 B11
	up
	raw_both blind_acks
	expect_eq "blind ACKs dropped" 400 "$(packets drop_cookie)"
}

test_timestamps_tell_no_uptime_and_never_run_backwards() { # B07
	up
	raw_both timestamps | tee "$T/said"
	say "MEASURED $(head -n 1 "$T/said")"
}

test_addresses_no_wire_carries_are_dropped() { # E05 @modes
	up
	raw_both host_address
	# a generic program sits behind the stack's own check of nothing: all come through
	expect_eq "dropped" 11 "$(packets drop_address)"
}

test_frame_for_another_station_is_not_answered() { # H12 @modes
	up
	raw_both foreign_mac
	expect_eq "passed to the host, which ignores it" 2 "$(packets pass_foreign_mac)"
}

test_no_answer_is_larger_than_its_syn() { # I01 A04 A10 @modes
	up
	raw_both reply_sizes > "$T/sizes"
	say "MEASURED SYN and SYN-ACK, bytes of IP: $(head -n 1 "$T/sizes")"
}

test_right_listener_is_found() { # C08 @modes
	local f
	net_up
	guard_up "$MODE" 80
	for args in "--reuseport 4" "--device s0" "--family dual"; do
		# shellcheck disable=SC2086 # words
		server --port 80 $args
		for f in 4 6; do
			family $f
			client many "$SA" --count 40 --bytes 10 > "$T/many"
			expect_eq "$args, IPv$f" 40 "$(field ok < "$T/many")"
		done
		if [ "$args" = "--reuseport 4" ]; then
			expect_eq "listeners of the group that were used" 4 \
				"$(awk '/^accepted/ { n[$4] } END { print length(n) }' "$T/server")"
		fi
		stop_server
		wait_until 2 not_listening 80
	done
	# one address each, and an IPv6-only listener beside an IPv4 one
	server --family 4 --address "$S4"
	server --family 6 --address "$S6"
	for f in 4 6; do
		family $f
		client many "$SA" --count 5 > /dev/null
	done
	expect_ge "answered with a cookie" "$(packets tx_synack)" 250
}

test_multipath_and_deferring_listeners_work() { # C08
	up --defer 1
	family 4
	client many "$SA" --count 3 > "$T/many"
	expect_eq "TCP_DEFER_ACCEPT" 3 "$(field ok < "$T/many")"
	stop_server
	wait_until 2 not_listening 80
	[ -e /proc/sys/net/mptcp/enabled ] || { say "no MPTCP in this kernel"; return; }
	server --port 80 --mptcp
	for f in 4 6; do
		family $f
		client many "$SA" --count 3 > "$T/many"
		expect_eq "plain client of an MPTCP listener" 3 "$(field ok < "$T/many")"
		client many "$SA" --count 3 --mptcp > "$T/many"
		expect_eq "MPTCP client" 3 "$(field ok < "$T/many")"
	done
	expect_ge "left to the host" "$(packets pass_listener)" 12
}

test_port_in_time_wait_connects_a_thousand_times() { # C05 @modes @limit=90
	local f
	net_up
	server --port 80 --close-first
	guard_up "$MODE"
	for f in 4 6; do
		family $f
		client again "$SA" --sport 41000 --count 1000 > "$T/again"
		expect_eq "connections over IPv$f" 1000 "$(field connections < "$T/again")"
		# unguarded Linux, too, loses one in some 50,000: to the socket that is just then
		# making way for its TIME-WAIT
		expect_le "that needed a second SYN" "$(field retried < "$T/again")" 2
		say "MEASURED IPv$f slowest of 1,000: $(field worst_s < "$T/again") s"
	done
	expect_ge "SYNs to a tuple in TIME-WAIT" "$(packets pass_syn_held)" 1990
}

# The client's machine is exchanged for another with the same address.
renew_client() {
	new_ns fresh
	cl ip link set c0 netns fresh
	# shellcheck disable=SC2046 # a list of process ids
	kill -KILL $(ip netns pids client) || true
	ip netns del client
	at fresh ip link set c0 up
	make_poll fresh c0
	address fresh c0 $CMAC $C4 $C6 $SMAC $S4 $S6
	cl() { nsenter --net=/run/netns/fresh "$@"; }
}

test_client_reborn_with_a_live_tuple_connects() { # C05 @modes
	up
	local began
	family 4
	start_client hold "$SA" --sport 41000
	wait_until 5 grep -q connected "$T/client"
	renew_client
	began=$EPOCHREALTIME
	client hold "$SA" --sport 41000 --seconds 0 > /dev/null
	# the host challenges the SYN, the client resets, its second SYN opens: as without a guard
	expect_le "seconds until the same port connects" "$(elapsed "$began")" 4
	expect_ge "SYNs left to the host" "$(packets pass_syn_held)" 1
}

queue_overflowed() {
	[ "$(sv nstat -asz TcpExtListenOverflows | awk '/Listen/ { print $2 }')" -ge 1 ]
}

# Connections begun while the server does not accept: more than its queue holds.
test_full_accept_queue_loses_nobody() { # C04 @modes
	local n pids=()
	net_up
	server --port 80 --backlog 3
	guard_up "$MODE"
	family 4
	kill -STOP "$SERVER"
	for n in 1 2 3 4 5 6 7 8; do
		client many "$SA" --timeout 30 > "$T/many$n" 2>&1 &
		pids+=($!)
	done
	wait_until 10 queue_overflowed
	sleep 0.5
	kill -CONT "$SERVER"
	wait "${pids[@]}"
	for n in 1 2 3 4 5 6 7 8; do
		expect_eq "client $n" 1 "$(field ok < "$T/many$n")"
	done
}

test_listener_gone_before_the_ack_means_reset() { # C04 @modes
	local f
	net_up
	guard_up "$MODE"
	for f in 4 6; do
		family $f
		server --port 80
		raw listener_gone --pid "$SERVER"
		wait "$SERVER" || true
	done
}

test_server_restart_gives_only_refusals() { # C04
	net_up
	start_nginx
	guard_up "$MODE"
	family 4
	start client "$T/paced" taskset -c $(($(nproc) - 1)) "$PACED" --dst "$SA" --port 80 --rate 200 --seconds 3
	local clients=$STARTED
	sleep 1
	stop_nginx
	sleep 0.3
	start_nginx
	wait $clients
	say "MEASURED nginx restarted within 3 s of 200 clients/s: $(cat "$T/paced")"
	expect_eq "clients that hung" 0 "$(field timeout < "$T/paced")"
	expect_ge "served" "$(field ok < "$T/paced")" 450
}

test_jumbo_frames() { # H11 @modes
	local f
	net_up
	cl ip link set c0 mtu 9000
	sv ip link set s0 mtu 9000
	server --port 80
	guard_up "$MODE"
	for f in 4 6; do
		family $f
		client many "$SA" --count 5 --bytes 300000 > "$T/many"
		expect_eq "IPv$f at MTU 9000" 5 "$(field ok < "$T/many")"
	done
	expect_eq "handed over" 10 "$(packets tc_handed_over)"
}

run_tests "$@"
