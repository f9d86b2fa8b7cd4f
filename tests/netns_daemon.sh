#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The daemon: what it follows, gives up and survives; the upgrade. Not here: what a sweep
# forgets (netns_conns.sh), the unit (netns_unit.sh). SW_LONG=1: the long forms, 4 minutes.

set -euo pipefail
# shellcheck source=tests/netns_daemon_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_daemon_lib.sh"

# long SHORT LONG: seconds
long() { [ "${SW_LONG-}" = 1 ] && echo "$2" || echo "$1"; }

# clients SECONDS: 100 a second in the background, clients_served waits for them
clients() {
	CLIENTS_WANTED=$(($1 * 100))
	start client "$T/paced" taskset -c $(($(nproc) - 1)) "$PACED" --dst "$SA" --port 80 \
		--rate 100 --seconds "$1"
	CLIENTS=$STARTED
}

clients_served() {
	wait "$CLIENTS" || fail "clients: $(cat "$T/paced")"
	say "MEASURED $1: $(cat "$T/paced")"
	expect_eq "$1: served" "$CLIENTS_WANTED" "$(field ok < "$T/paced")"
}

test_killed_and_ended_daemon_loses_no_client() { # L01 L12 @limit=180
	local seconds n
	seconds=$(long 6 120)
	net_up
	start_nginx
	guard_up "$MODE" 80
	family 4
	daemon_up --interval 1
	flood --dst $S4 --dport 80 --rate 50000 --seconds $((seconds + 1))
	clients "$seconds"
	for ((n = 0; n < seconds - 2; n += 3)); do
		sleep 1.5
		kill -KILL "$DAEMON"
		wait "$DAEMON" 2> /dev/null || true
		daemon_up --interval 1
		sleep 0.5
		daemon_down
		daemon_up --interval 1
	done
	clients_served "daemon killed and ended each 3 s under flood"
	flood_end > "$T/sent"
	expect_ge "SYNs answered" "$(field synacks < "$T/sent")" $(($(field sent < "$T/sent") * 9 / 10))
	expect_eq "devices" 1 "$(guard status -j | jq '.devices | length')"
	daemon_down
}

test_stopped_daemon_holds_nothing_up() { # K09 L01 @limit=120
	local seconds sweeps reader
	seconds=$(long 4 60)
	net_up
	start_nginx
	guard_up "$MODE" 80
	guard limit set event-gap 1
	family 4
	daemon_up --interval 1
	flood --dst $S4 --dport 80 --rate 50000 --seconds $((seconds + 2)) --kind syn,ack,null
	start server "$T/events" "$SW_BIN" events --follow
	reader=$STARTED
	sleep 0.5
	kill -STOP "$DAEMON" "$reader"
	clients "$seconds"
	# enough to overrun the daemon's socket
	for n in $(seq 100); do printf 'link add n%s type bridge\n' "$n"; done > "$T/many"
	sv ip -batch "$T/many"
	sv ip link del n7
	clients_served "daemon stopped under flood"
	guard service list > /dev/null || fail "a command waits for the daemon"
	# what nobody reads fills the ring: lost events are counted, packets are not held up
	expect_gt "events lost to a full ring" "$(guard status -j | field events_lost)" 0
	kill -CONT "$reader"
	stop "$reader"
	sweeps=$(grep -c 'debug: sweep' "$T/daemon")
	kill -CONT "$DAEMON"
	expect_said "came too fast"
	wait_until 5 said_more 'debug: sweep' "$sweeps" || fail "no sweep after SIGCONT"
	flood_end > /dev/null
	daemon_down
}

test_devices_are_followed() { # L07 L08 @modes
	net_up
	start_nginx
	guard_up "$MODE" 80
	family 4
	daemon_up
	sv ip link set s0 mtu 1400
	expect_said "s0: MTU 1500 -> 1400"
	sv ip link set s0 down
	expect_said "s0: link down"
	sv ip link set s0 name s.7
	expect_said "s0: renamed to s.7"
	[ -e $PIN/links/s:7/xdp ] || fail "pins of the new name: $(find $PIN/links)"
	sv ip link set s.7 up
	expect_said "s.7: link up"
	address_again s.7
	expect_eq "page after the renaming" alive "$(fetch "$URL")"
	expect_eq "device" s.7 "$(guard status -j | field 'devices[].device')"
	sv ip link set s.7 address 02:00:00:00:09:03
	expect_said "s.7: its MAC address changed"
	sleep 0.1 # what the programs know of a device lasts 10 ms: until then frames pass
	cl ip neigh replace $S4 lladdr 02:00:00:00:09:03 dev c0
	expect_eq "page at the new address" alive "$(fetch "$URL")"
	# gone, and back under the same name
	sv ip link del s.7
	expect_said "s.7: gone, its links are cleared"
	expect_eq "pins" "" "$(find $PIN/links -mindepth 1)"
	stop "${PASS[c0]}"
	# no change forgets what the daemon waits for
	guard deny add 192.0.2.1
	guard service set any 80 --host-syns 1
	join client c0 server s.7
	expect_said "s.7: back, attached again"
	guard service set any 80 --host-syns 0
	sed -n '/^address_both/,/^}/p' "$HERE/netns_lib.sh" | sed 's/\<s0\>/s.7/g' > "$T/address"
	# shellcheck source=/dev/null
	source "$T/address"
	address_both
	expect_eq "page over the new device" alive "$(fetch "$URL")"
	expect_eq "mode" "$MODE" "$(guard status -j | field 'devices[0].mode')"
	expect_eq "handed over" 3 "$(packets tc_handed_over)"
	daemon_down
}

# address_again DEV: what went with the link
address_again() {
	sv ip -6 addr replace $S6/64 dev "$1" nodad
	sv ip neigh replace $C4 lladdr $CMAC dev "$1"
	sv ip neigh replace $C6 lladdr $CMAC dev "$1"
}

test_two_devices_change_names() { # L07
	net_up
	second_device
	start_nginx
	guard_up "$MODE" 80
	guard attach s1 > /dev/null
	family 4
	daemon_up
	kill -STOP "$DAEMON"
	sv ip -batch - <<-END
		link set s0 down
		link set s1 down
		link set s0 name swap
		link set s1 name s0
		link set swap name s1
		link set s0 up
		link set s1 up
	END
	kill -CONT "$DAEMON"
	expect_said "s0: renamed to s1"
	expect_said "s1: renamed to s0"
	for dev in s0 s1; do
		expect_eq "pins of $dev" "$(sv cat /sys/class/net/$dev/ifindex)" \
			"$(bpftool -j link show pinned $PIN/links/$dev/xdp | jq '.ifindex // .[0].ifindex')"
	done
	expect_eq "devices" true "$(guard status -j | jq '[.devices[].alive] | all')"
	expect_eq "pins" "s0 s1" "$(cd $PIN/links && echo *)"
	daemon_down
	# a change of names that was cut short
	mv $PIN/links/s0 $PIN/links/s5
	expect_eq "devices" true "$(guard status -j | jq '[.devices[].alive] | all')"
	daemon_up
	expect_said "s0: its pins were under another name"
	expect_eq "pins" "s0 s1" "$(cd $PIN/links && echo *)"
	# what is detached by hand is not wanted any more
	guard detach s1
	sv ip link set s1 alias looked-at
	sleep 0.3
	expect_eq "device" s0 "$(guard status -j | field 'devices[].device')"
	guard attach s1 > /dev/null
	sleep 0.3
	expect_eq "devices" true "$(guard status -j | jq '[.devices[].alive] | all')"
	daemon_down
}

test_device_that_leaves_is_taken_off() { # L07
	net_up
	second_device
	guard_up "$MODE" 80
	guard attach s1 > /dev/null
	daemon_up
	new_ns other
	sv ip link set s1 netns other
	expect_said "s1: moved to another network namespace"
	expect_eq "XDP on it" "" "$(at other ip -o link show dev s1 | grep xdp || true)"
	expect_eq "tc on it" "" "$(at other bpftool -j net show | jq -r '.[].tc[]?.name')"
	expect_eq "pins" s0 "$(cd $PIN/links && echo *)"
	at other ip link set s1 netns server
	expect_said "s1: back, attached again"
	# what a bridge passes up has lost its handshake
	sv ip link add br0 type bridge
	sv ip link set s1 master br0
	expect_said "s1: now a port of bridge br0"
	expect_said "s1: port of a bridge, which engine reqsk cannot guard"
	expect_eq "pins" s0 "$(cd $PIN/links && echo *)"
	sv ip link set s1 nomaster
	expect_said "s1: no longer a port of a bridge"
	wait_until 3 said_more 's1: back, attached again' 1 || fail "not attached again: $(cat "$T/daemon")"
	expect_eq "alive" "true true" "$(guard status -j | jq -r '[.devices[].alive] | join(" ")')"
	daemon_down
}

test_half_a_guard_is_completed_or_taken_off() { # L07 L04
	net_up
	start_nginx
	guard_up "$MODE" 80
	family 4
	daemon_up
	bpftool link detach pinned $PIN/links/s0/tc_out
	bpftool link detach pinned $PIN/links/s0/tc_in
	expect_said "s0: its program at tc egress was gone, put back" 7
	expect_said "s0: its program at tc ingress was gone, put back"
	bpftool link detach pinned $PIN/links/s0/xdp
	sv ip link set s0 alias looked-at # a message about it, or 5 s
	expect_said "s0: its XDP link was detached, attached again" 7
	expect_eq "page" alive "$(fetch "$URL")"
	expect_eq "handed over" 1 "$(packets tc_handed_over)"
	# someone else takes the place first
	kill -STOP "$DAEMON"
	bpftool link detach pinned $PIN/links/s0/xdp
	start server "$T/foreign" "$FLOOD" --pass --dev s0 --seconds 3600
	wait_until 5 grep -q ready "$T/foreign"
	kill -CONT "$DAEMON"
	sv ip link set s0 alias taken
	expect_said "s0: XDP program of another (id [0-9]*) holds it, the guard is off it" 7
	expect_eq "programs at tc" "" "$(sv bpftool -j net show | jq -r '.[].tc[]?.name')"
	stop "$STARTED"
	sv ip link set s0 alias again
	expect_said "s0: back, attached again" 7
	expect_eq "page" alive "$(fetch "$URL")"
	daemon_down
}

test_second_daemon_is_refused() { # L03
	local first
	net_up
	guard_up "$MODE" 80
	daemon_up
	first=$DAEMON
	refused "second daemon" 1 "process $first" guard run
	refused "from another namespace" 1 "in another network namespace" cl "$SW_BIN" sweep
	guard sweep > /dev/null || fail "sweep beside the daemon"
	kill -KILL "$first"
	wait "$first" 2> /dev/null || true
	daemon_up
	guard detach --all
	expect_said "is gone" 7
	wait "$DAEMON" || fail "exit of a daemon without a guard: $?"
}

test_daemon_gives_up_privileges() { # N01 N02
	local of
	net_up
	guard_up "$MODE" 80
	daemon_up
	of=$(cat "/proc/$DAEMON/status")
	expect_in "CAP_NET_ADMIN alone" $'CapEff:\t0000000000001000' "$of"
	expect_in "for good" $'CapPrm:\t0000000000001000' "$of"
	expect_in "in the bounding set too" $'CapBnd:\t0000000000000000' "$of"
	expect_in "no new privileges" $'NoNewPrivs:\t1' "$of"
	expect_in "system calls are filtered" $'Seccomp:\t2' "$of"
	say "MEASURED $(grep -E '^(VmRSS|RssAnon|RssFile|RssShmem):' <<< "$of" | tr -s '\t\n ' ' ')"
	expect_le "kB resident" "$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' <<< "$of")" 10240
	daemon_down
	chmod 755 $PIN
	refused "a directory others may enter" 1 "mode 755" guard run
	refused "the same for attach" 1 "expected root and 700" guard attach s0
	chmod 700 $PIN
	guard status > /dev/null
}

# Of the programs that run at the hooks of s0, and of the pins
hooks() {
	for l in xdp tc_in tc_out; do
		bpftool -j link show pinned $PIN/links/s0/$l | jq '.prog_id // .[0].prog_id'
	done | tr '\n' ' '
}

test_upgrade_under_load_loses_nothing() { # L02 L05 @limit=180
	local seconds before n=0 end
	seconds=$(long 6 60)
	net_up
	start_nginx
	server --port 8081
	guard_up "$MODE" 80 8081
	family 4
	before=$(hooks)
	mkdir /sys/fs/bpf/old
	for p in xdp tc_in tc_out; do bpftool prog pin pinned $PIN/progs/sw_$p /sys/fs/bpf/old/$p; done
	daemon_up --interval 1
	guard key rotate
	start_client hold "$SA" --port 8081 --sport 41000 --seconds $((seconds + 30))
	wait_until 5 grep -q connected "$T/client"
	flood --dst $S4 --dport 80 --rate 20000 --seconds $((seconds + 2))
	clients "$seconds"
	end=$((SECONDS + seconds))
	guard upgrade 2> "$T/said" || fail "upgrade: $(cat "$T/said")"
	start server "$T/relink" "$PYTHON" "$HERE/relink.py" --rate 20 --seconds $((seconds / 2)) \
		"$PIN/links/s0/xdp=$PIN/progs/sw_xdp=/sys/fs/bpf/old/xdp" \
		"$PIN/links/s0/tc_in=$PIN/progs/sw_tc_in=/sys/fs/bpf/old/tc_in" \
		"$PIN/links/s0/tc_out=$PIN/progs/sw_tc_out=/sys/fs/bpf/old/tc_out"
	wait "$STARTED" || fail "relink: $(cat "$T/relink")"
	until [ $SECONDS -ge $end ]; do
		guard upgrade 2> "$T/said" || fail "upgrade: $(cat "$T/said")"
		n=$((n + 1))
	done
	clients_served "upgraded $((n + 1)) times, links updated $(cat "$T/relink") times"
	flood_end > "$T/sent"
	expect_ge "SYNs answered" "$(field synacks < "$T/sent")" $(($(field sent < "$T/sent") * 9 / 10))
	[ "$before" != "$(hooks)" ] || fail "the same programs as before"
	expect_eq "connection through all of it" 1 "$(guard conns --state established --service any 8081 -j | jq length)"
	expect_eq "pins of an upgrade under way" "" "$(find $PIN -name '*-next')"
	# the daemon attaches with the programs of today
	before=$(hooks)
	bpftool link detach pinned $PIN/links/s0/xdp
	sv ip link set s0 alias looked-at
	expect_said "s0: its XDP link was detached, attached again" 7
	expect_eq "programs attached again" "$before" "$(hooks)"
	daemon_down
	rm -r /sys/fs/bpf/old
}

retransmitted() { at "$1" nstat -asz TcpRetransSegs | awk '$1 == "TcpRetransSegs" { print $2 }'; }

# To the other compiler's build and back, if run.sh has made that; nothing else is on the wire.
test_upgrade_between_builds_loses_no_packet() { # L02 L05
	local other=$SW_BUILD/clang-19/synwarden tag
	[ -x "$other" ] && [ "$("$other" --version)" = "$("$SW_BIN" --version)" ] || other=$SW_BIN
	net_up
	start_nginx
	guard_up "$MODE" 80
	family 4
	clients 4
	sv "$other" upgrade 2> "$T/said" || fail "upgrade: $(cat "$T/said")"
	tag=$(bpftool -j prog show pinned $PIN/progs/sw_xdp | jq -r .tag)
	guard upgrade 2> "$T/said" || fail "back: $(cat "$T/said")"
	clients_served "upgraded to $other and back"
	say "MEASURED tags of sw_xdp: $tag, $(bpftool -j prog show pinned $PIN/progs/sw_xdp | jq -r .tag)"
	expect_eq "segments sent again by the server" 0 "$(retransmitted server)"
	expect_eq "segments sent again by the clients" 0 "$(retransmitted client)"
}

test_upgrade_that_cannot_be_changes_nothing() { # L02
	local before abi
	net_up
	second_device
	guard_up "$MODE" 80
	guard attach s1 > /dev/null
	before=$(hooks)
	abi=$(sed -n 's/^#define SW_ABI_VERSION //p' "$HERE/../include/synwarden.h")
	poke $PIN/settings 63 00 00 00
	refused "another version" 1 "version 99, this synwarden speaks version $abi" guard upgrade
	poke $PIN/settings "$(printf %02x "$abi")" 00 00 00
	mv $PIN/cap $PIN/saved
	bpftool map create $PIN/cap type array key 4 value 4 entries 4 name sw_cap
	refused "another shape" 1 "cap is of another build: type 2 key 4 value 4 entries 4, not" guard upgrade
	mv $PIN/saved $PIN/cap
	# the last hook fails: those before it go back
	mv $PIN/links/s1/tc_out $PIN/saved
	bpftool map create $PIN/links/s1/tc_out type array key 4 value 4 entries 4 name not_a_link
	refused "a hook that fails" 1 "nothing changed" guard upgrade
	mv $PIN/saved $PIN/links/s1/tc_out
	expect_eq "programs" "$before" "$(hooks)"
	expect_eq "pins of an upgrade under way" "" "$(find $PIN -name '*-next')"
	refused "a word too many" 2 argument guard upgrade now
	guard upgrade 2> "$T/said"
	expect_in "says what runs where" "run at 6 hooks" "$(cat "$T/said")"
	[ "$before" != "$(hooks)" ] || fail "the same programs as before"
}

test_killed_upgrade_is_mended_by_the_next() { # L02 L05 @limit=90
	local step
	net_up
	start_nginx
	guard_up "$MODE" 80
	family 4
	clients "$(long 5 30)"
	for step in $(seq 0 "$(long 200 40)" 1200); do
		start server "$T/killed" "$SW_BIN" upgrade
		sleep "$(awk -v ms="$step" 'BEGIN { print ms / 1000 }')"
		kill -KILL "$STARTED" 2> /dev/null || true
		wait "$STARTED" 2> /dev/null || true
	done
	clients_served "upgrades killed"
	guard upgrade 2> "$T/said" || fail "upgrade: $(cat "$T/said")"
	expect_eq "pins of an upgrade under way" "" "$(find $PIN -name '*-next')"
	expect_eq "alive" true "$(guard status -j | field 'devices[0].alive')"
}

run_tests "$@"
