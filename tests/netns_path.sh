#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Handshakes and transfers over a path with delay, loss, reordering and duplicates, made by
# tests/wire.c. Not here: what happens on a clean wire (netns_handshake.sh).

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

test_lost_syns_and_answers_are_retried() { # D01 @limit=120
	local f pids=()
	net_up_long --loss 30 --seed 7
	start_nginx
	guard_up "$MODE"
	for f in 4 6; do
		family $f
		paced --dst "$SA" --port 80 --rate 40 --seconds 1 --timeout 60000 > "$T/paced$f" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for f in 4 6; do
		say "MEASURED IPv$f, 30 % loss each way: $(cat "$T/paced$f")"
		# ten SYNs go out in 60 s, so 0.51^10 of the clients, guard or not, never hear an
		# answer: three of 40 once in 100,000 runs
		expect_ge "clients over IPv$f" "$(field ok < "$T/paced$f")" 38
		expect_eq "refused or reset over IPv$f" 0 \
			"$(jq '.refused + .reset + .other' < "$T/paced$f")"
	done
}

# rtt_of NS: as ss tells it, right after the handshake, in ms
rtt_of() { at "$1" ss -tinHO state established | sed -nE 's/.* rtt:([0-9.]+).*/\1/p'; }
linked() { [ -n "$(rtt_of server)" ]; }

test_round_trip_time_is_the_path_s() { # C03
	local f cc where
	net_up_long --delay 40
	guard_up "$MODE"
	for cc in cubic bbr; do
		server --port 80 --cc $cc
		for f in 4 6; do
			family $f
			start_client hold "$SA" --bytes 0 --seconds 30 --cc $cc
			wait_until 5 linked
			for where in server client; do
				say "MEASURED IPv$f $cc, 80 ms path, rtt at the $where: $(rtt_of $where)"
				expect_ge "rtt at the $where, IPv$f $cc" "$(rtt_of $where)" 78
				# a busy machine is late, but not by another round trip
				expect_le "rtt at the $where, IPv$f $cc" "$(rtt_of $where)" 150
			done
			stop "$STARTED"
			wait_until 5 unlinked
		done
		stop_server
	done
}

unlinked() { ! linked; }

# The last ACK of the handshake is lost, once. A pure ACK has 52 bytes of IPv4 and 72 of IPv6.
lose_first_ack() {
	cl nft -f - <<-END
		table inet lose {
			chain out {
				type filter hook output priority 0;
				tcp dport 80 tcp flags & (fin|syn|rst|psh|ack) == ack quota until 80 bytes drop
			}
		}
	END
}

test_server_that_speaks_first_is_heard_after_a_lost_ack() { # D03 @limit=120
	local f
	need nft
	net_up
	server --port 80 --banner welcome
	guard_up "$MODE"
	for f in 4 6; do
		family $f
		# a client that never speaks and has no keepalive waits in vain: documented, measured
		lose_first_ack
		expect_exit "silent client" 1 client banner "$SA" --timeout 2.5
		cl nft delete table inet lose
		say "MEASURED IPv$f, no mitigation: $OUT"
		# its keepalive opens the connection
		lose_first_ack
		client banner "$SA" --timeout 10 --keepalive 1 > "$T/banner"
		cl nft delete table inet lose
		say "MEASURED IPv$f, TCP keepalive 1 s: $(cat "$T/banner")"
		expect_eq "banner" welcome "$(field heard < "$T/banner" | head -n 1)"
		expect_le "seconds with keepalive" "$(field banner_s < "$T/banner")" 5
	done
	expect_ge "keepalives that opened" "$(packets pass_keepalive)" 2
	# within its budget the host keeps the SYN and repeats its SYN-ACK
	guard service set any 80 --host-syns 100
	for f in 4 6; do
		family $f
		lose_first_ack
		client banner "$SA" --timeout 10 > "$T/banner"
		cl nft delete table inet lose
		say "MEASURED IPv$f, --host-syns 100: $(cat "$T/banner")"
		expect_le "seconds with host-syns" "$(field banner_s < "$T/banner")" 2.9
	done
	expect_eq "SYNs left to the host" 2 "$(packets pass_host_syn)"
}

# GRO must not let the second segment of a request pass the first one, whose metadata say what
# the lost ACK would have said.
test_request_in_two_segments_opens_after_a_lost_ack() { # C02 D02
	local f
	need nft
	net_up
	server --port 80
	guard_up "$MODE"
	for f in 4 6; do
		family $f
		for _ in $(seq 20); do
			lose_first_ack
			client transfer "$SA" --bytes 2800 --seconds 0 > "$T/echo"
			cl nft delete table inet lose
		done
	done
	expect_eq "opened by data" 40 "$(packets pass_cookie)"
	expect_eq "ahead of what opens" 0 "$(packets tc_early)"
	expect_eq "resets of the host" 0 "$(packets out_stray_rst)"
}

test_lost_ack_by_hand_server_first() { # D03
	net_up
	offloads server s0 off
	cl ethtool -K c0 gro off
	server --port 80 --banner welcome
	guard_up "$MODE"
	raw_both lost_ack_server_first --wait 2
	guard service set any 80 --host-syns 100
	raw_both lost_ack_server_first --wait 3 > "$T/said"
	expect_le "seconds until heard, with host-syns" "$(head -n 1 "$T/said" | field alone_s)" 2.9
}

# A new key takes over with the next epoch, so that is waited for: up to 69 s.
test_key_change_during_slow_handshakes_loses_nobody() { # B09 B03 @limit=150
	local f pids=() before
	net_up_long --delay 150
	start_nginx
	guard_up "$MODE"
	before=$(guard key show -j | field epoch)
	guard key rotate
	wait_until 75 epoch_ends_within 3
	for f in 4 6; do
		family $f
		start client "$T/paced$f" "$PACED" --dst "$SA" --port 80 --rate 50 --seconds 8 \
			--timeout 5000
		pids+=("$STARTED")
	done
	wait "${pids[@]}"
	for f in 4 6; do
		say "MEASURED IPv$f, key and epoch changed, 300 ms path: $(cat "$T/paced$f")"
		expect_eq "clients over IPv$f" 400 "$(field ok < "$T/paced$f")"
		expect_le "slowest, ms" "$(field max_ms < "$T/paced$f")" 1200
	done
	expect_gt "epoch" "$(guard key show -j | field epoch)" "$before"
	expect_eq "the new key is in use" false "$(guard key show -j | field pending)"
}

test_round_trip_of_twenty_seconds() { # D05
	local f pids=()
	net_up
	offloads server s0 off
	cl ethtool -K c0 gro off
	server --port 80
	guard_up "$MODE"
	for f in 4 6; do
		family $f
		raw slow_ack --wait 20 &
		pids+=($!)
		raw slow_ack --wait 20 --no-timestamps &
		pids+=($!)
	done
	for f in "${pids[@]}"; do wait "$f"; done
	expect_eq "handed over" 16 "$(packets tc_handed_over)"
}

test_cookie_past_its_life_is_told_from_a_forged_one() { # B03 D05 @limit=200
	local f pids=()
	[ "${SW_LONG-}" = 1 ] || skip "takes 140 s of waiting: SW_LONG=1"
	net_up
	offloads server s0 off
	cl ethtool -K c0 gro off
	server --port 80
	guard_up "$MODE"
	for f in 4 6; do
		family $f
		raw expired_ack --wait 140 &
		pids+=($!)
	done
	for f in "${pids[@]}"; do wait "$f"; done
	expect_ge "dropped as expired" "$(packets drop_expired)" 8
	expect_eq "accepted" 0 "$(grep -c ^accepted "$T/server" || true)"
}

# What the guard dropped, in all and by reason.
dropped() { guard stats -j | jq '[.[] | select(.verdict == "drop") | .packets] | add // 0'; }
dropped_by() { guard stats -j | jq -c '[.[] | select(.verdict == "drop" and .packets > 0) | {(.reason): .packets}] | add'; }

# Both ways at once, closed in order: what the host still holds loses nothing to the guard.
test_bad_path_loses_nothing_more_to_the_guard() { # D06 @limit=120
	local f
	net_up_long --delay 5 --loss 2 --dup 2 --reorder 5 --seed 3
	server --port 80
	guard_up "$MODE"
	for f in 4 6; do
		family $f
		client transfer "$SA" --bytes 8000000 --seconds 1 > "$T/echo"
		say "MEASURED IPv$f, 2 % loss, 2 % duplicates, 5 % reordered: $(cat "$T/echo")"
	done
	# a duplicate of the last segments may find its socket gone
	say "MEASURED dropped by the guard: $(dropped_by)"
	expect_le "segments the guard dropped" "$(dropped)" 16
}

run_tests "$@"
