#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Mode auto under real floods with real clients beside them, and limits on who connects. The
# flood comes over a wire of its own, so that beginning and ending it disturbs no client.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

AMAC=02:00:00:00:09:0a BMAC=02:00:00:00:09:0b
ANY_MARK=syns=1000:1000,half-open=off,unfinished=off

# client c0 - s0 server s1 - a0 attacker; the guard on both of the server's devices
attacked_up() {
	net_up
	new_ns attacker
	join attacker a0 server s1
	at attacker ip link set a0 address $AMAC
	sv ip link set s1 address $BMAC
	stop "${PASS[a0]}"
	start_nginx
	guard attach s0 s1 --xdp "$MODE" > "$T/attach"
	guard service add any 80 --mode auto "$@"
	family 4
}

# attack RATE SECONDS: SYNs from everywhere; told in $T/attack
attack() {
	at attacker "$FLOOD" --dev a0 --dmac $BMAC --dst $S4 --dport 80 --cpu 0 --opts 20 \
		--rate "$1" --seconds "$2" > "$T/attack" 2>&1 || fail "attack: $(cat "$T/attack")"
}

clients_begin() { # RATE SECONDS
	start client "$T/paced" taskset -c $(($(nproc) - 1)) "$PACED" --dst $S4 --port 80 \
		--rate "$1" --seconds "$2"
	CLIENTS=$STARTED
}

clients_end() { # ALL
	wait "$CLIENTS" || fail "clients: $(cat "$T/paced")"
	say "MEASURED clients $(cat "$T/paced")"
	expect_eq "clients served" "$1" "$(field ok < "$T/paced")"
}

armed() { [ "$(guard service list -j | field '[0].armed')" = true ]; }
# by the word of the programs, who see it with the next SYN
calm() {
	[ "$(bpftool -j map lookup pinned "$PIN/arming" key 1 0 0 0 | field formatted.value.armed)" = 0 ]
}

test_attack_arms_and_its_end_disarms() { # A12 @modes
	attacked_up --arm syns=5000:2500,half-open=off,unfinished=off,hold=4s
	expect_eq "armed before" false "$(guard service list -j | field '[0].armed')"
	fetch $S4 > /dev/null
	expect_ge "SYNs passed in calm" "$(packets pass_calm)" 1
	expect_eq "SYNs answered in calm" 0 "$(packets tx_synack)"
	clients_begin 100 12
	sleep 0.5
	attack 100000 3
	armed || fail "not armed by $(cat "$T/attack")"
	expect_in "status" "1 under attack" "$(guard status)"
	# while it arms, in its first window of 134 ms, some hundred SYNs get through
	expect_le "SYNs passed" "$(packets pass_calm)" 3000
	expect_ge "SYNs answered" "$(packets tx_synack)" 50000
	wait_until 10 calm
	clients_end 1200
	fetch $S4 > /dev/null
	guard attacks -j > "$T/attacks"
	expect_eq "attacks" 1 "$(jq length "$T/attacks")"
	expect_eq "cause" syns "$(field '[0].cause' < "$T/attacks")"
	expect_ge "peak" "$(field '[0].peak_syns_per_s' < "$T/attacks")" 20000
	expect_ge "seconds" "$(field '[0].seconds' < "$T/attacks")" 2
	expect_le "seconds" "$(field '[0].seconds' < "$T/attacks")" 7
	expect_in "attacks" "any 80" "$(guard attacks)"
	guard events -j > "$T/events"
	expect_eq "events" "armed disarmed" \
		"$(jq -r 'select(.kind == "armed" or .kind == "disarmed") | .kind' "$T/events" | xargs)"
	check_identity
}

test_a_hundred_switches_lose_no_handshake() { # A12 @limit=180
	local n
	attacked_up --arm $ANY_MARK,hold=0s
	clients_begin 200 170 # or until all is done
	for n in $(seq 55); do
		attack 4000 0.15
		wait_until 5 calm
	done
	kill -INT "$CLIENTS"
	wait "$CLIENTS" || true # told that it was stopped
	say "MEASURED clients $(cat "$T/paced")"
	# each is two switches; on a busy machine a burst may be too slow to be one
	expect_ge "attacks" "$(bpftool -j map lookup pinned "$PIN/arming" key 0 0 0 0 | jq .formatted.value.attacks)" 50
	expect_eq "clients not served" 0 \
		"$(jq '.tried - .ok' "$T/paced")"
	expect_ge "clients" "$(field tried < "$T/paced")" 1000
	check_identity
}

# hold_many N SOURCE: connections that stay
hold_many() {
	local n
	for n in $(seq "$1"); do
		start client "$T/hold$2-$n" "$PYTHON" "$HERE/client.py" hold $S4 --port 80 --seconds 100 \
			--bind "$2"
		wait_until 5 grep -q connected "$T/hold$2-$n"
	done
}

test_source_has_so_many_connections() { # J01 A13
	net_up
	server --port 80
	guard attach s0 --xdp "$MODE" > /dev/null
	guard service add any 80 --mode always --per-source conns=3 --over drop
	family 4
	cl ip addr add 10.9.0.31/24 dev c0
	sv ip neigh replace 10.9.0.31 lladdr $CMAC dev s0
	hold_many 3 $C4
	cl curl -s -m 1 --interface $C4 http://$S4/ > /dev/null && fail "a fourth connection came through"
	expect_ge "refused" "$(packets drop_limit_conns)" 1
	expect_eq "of it" 3 "$(guard sources -j | field "[] | select(.source == \"$C4/32\") | .conns")"
	hold_many 1 10.9.0.31
	expect_eq "of its net" 4 "$(guard sources -j | field '[] | select(.source == "10.9.0.0/24") | .conns')"
	expect_eq "banned" 0 "$(guard ban list -j | jq length)"
	# entries that go with their service are counted no more
	guard service del any 80
	expect_eq "connections counted without the service" 0 "$(guard sources -j | jq '[.[].conns] | add')"
	guard service add any 80 --mode always --per-source conns=3 --over drop
	guard service set any 80 --per-source off
	expect_exit "a limit of none" 2 guard service set any 80 --per-source conns=0
	expect_exit "no such action" 2 guard service set any 80 --over maybe
	hold_many 1 $C4
	# what is there when a limit begins counts
	guard service set any 80 --per-source conns=4
	expect_eq "of it" 4 "$(guard sources -j | jq "[.[] | select(.source == \"$C4/32\") | .conns] | add")"
	cl curl -s -m 1 --interface $C4 http://$S4/ > /dev/null && fail "a fifth connection came through"
	check_identity
}

test_ban_is_shown_and_lifted() { # J01
	net_up_long --delay 200
	start_nginx
	guard attach s0 --xdp "$MODE" > /dev/null
	guard service add any 80 --mode always --per-source new=5,burst=5 --over ban:10m
	family 4
	crowd_of_one_source # those behind the fifth are over the limit, and proven
	expect_eq "banned" "$C4/32" "$(guard ban list -j | field '[0].source')"
	expect_in "ban list" "$C4/32" "$(guard ban list)"
	fetch $S4 1 > /dev/null && fail "a banned source got through"
	expect_ge "packets of the banned" "$(packets drop_banned)" 1
	expect_exit "no such ban" 1 guard ban del 192.0.2.1
	guard ban del $C4
	expect_eq "banned" 0 "$(guard ban list -j | jq length)"
	sleep 1.2
	fetch $S4 > /dev/null
	check_identity
}

# thirty clients whose SYN-ACKs are out when the first come back, 0.4 s later
crowd_of_one_source() {
	local n clients=()
	for n in $(seq 30); do
		start client "$T/curl$n" curl -s -m 2 http://$S4/
		clients+=("$STARTED")
	done
	for n in "${clients[@]}"; do wait "$n" || true; done
}

test_ban_of_monitor_ends_with_it() { # J01
	net_up_long --delay 200
	start_nginx
	guard attach s0 --xdp "$MODE" > /dev/null
	guard service add any 80 --per-source new=5,burst=5 --over ban:10m
	family 4
	crowd_of_one_source
	expect_eq "banned" "$C4/32" "$(guard ban list -j | field '[0].source')"
	guard service set any 80 --mode always
	expect_eq "banned" 0 "$(guard ban list -j | jq length)"
	sleep 1.2
	fetch $S4 > /dev/null
}

test_two_networks_behind_one_nat() { # A13
	net_up
	server --port 80
	new_ns net1 net2
	for n in 1 2; do
		ip link add n$n netns net$n type veth peer name r$n netns client
		at net$n ip addr add 192.168.$n.2/24 dev n$n
		at net$n ip link set n$n up
		cl ip addr add 192.168.$n.1/24 dev r$n
		cl ip link set r$n up
		at net$n ip route add default via 192.168.$n.1
	done
	cl sysctl -qw net.ipv4.ip_forward=1
	cl nft -f - <<-END
		table ip nat {
			chain post { type nat hook postrouting priority 100; oifname "c0" masquerade; }
		}
	END
	guard attach s0 --xdp "$MODE" > /dev/null
	guard service add any 80 --mode always --per-source conns=4 --over drop
	for n in 1 2; do
		start net$n "$T/many$n" "$PYTHON" "$HERE/client.py" hold $S4 --port 80 --seconds 60
		wait_until 5 grep -q connected "$T/many$n"
	done
	# one address is all the server sees, and both share what it is allowed
	expect_eq "sources" "$C4/32 2" "$(guard sources -j | jq -r '.[] | select(.source | endswith("/32")) | "\(.source) \(.conns)"')"
	for n in 1 1; do
		start net$n "$T/more" "$PYTHON" "$HERE/client.py" hold $S4 --port 80 --seconds 60
		wait_until 5 grep -q connected "$T/more"
	done
	at net2 curl -s -m 1 http://$S4/ > /dev/null && fail "over the limit of the address"
	guard allow add $C4 --comment "our own carrier's NAT"
	start net2 "$T/allowed" "$PYTHON" "$HERE/client.py" hold $S4 --port 80 --seconds 60
	wait_until 5 grep -q connected "$T/allowed"
	check_identity
}

run_tests "$@"
