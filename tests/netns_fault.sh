#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Faults on purpose: killed at each step, out of memory, keys and configuration changed as fast
# as it goes, mode monitor under the same. Not here: what the daemon survives (netns_daemon.sh).
# SW_LONG=1: every step, 15 minutes. SW_SEED: which steps are taken without it.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

# long SHORT LONG
long() { [ "${SW_LONG-}" = 1 ] && echo "$2" || echo "$1"; }

# --- killed at a step ---------------------------------------------------------------------
STEPPED=bpf,mkdir,rmdir,rename,unlink,unlinkat,openat,write,ftruncate,ioctl,sendto,sendmsg

# steps BEGUN: the calls of a recording that change something outside of the process: "name,
# which of that name, the line". Of the same call again and again the first and the last. What
# is done to maps that have no pin yet is nobody else's; BEGUN=1: they have.
steps() {
	awk -v begun="$1" '
		function flush() { if (last != "") print last; last = "" }
		!/^[a-z]/ { next }
		{ name = $0; sub(/\(.*/, "", name); nth[name]++; change = 0 }
		/^(mkdir|rmdir|rename|unlink|unlinkat|ftruncate)\(|BPF_OBJ_PIN|BPF_LINK_(DETACH|UPDATE)/ {
			begun = change = 1
		}
		/BPF_(MAP_(UPDATE|DELETE)_(ELEM|BATCH)|LINK_CREATE|PROG_TEST_RUN)|SIOCETHTOOL/ { change = begun }
		/nlmsg_type=RTM_(NEW|DEL|SET)|O_CREAT/ { change = 1 }
		name == "write" && !/^write\([12],/ { change = 1 }
		!change { next }
		{
			what = $0
			gsub(/0x[0-9a-f]+/, "", what)
			line = name " " nth[name] " " substr($0, 1, 90)
			if (what == before) { last = line; next }
			flush()
			print line
			before = what
		}
		END { flush() }'
}

# some COUNT REGEX: those that match and, of the others, as many as are missing from COUNT
some() {
	if [ "${SW_LONG-}" = 1 ]; then cat; return; fi
	awk -v count="$1" -v always="$2" -v seed="${SW_SEED:-$RANDOM}" '
		{ line[NR] = $0 }
		$0 ~ always { take[NR] = 1; count-- }
		END {
			srand(seed)
			for (tries = 0; count > 0 && tries < 1000; tries++) {
				n = 1 + int(rand() * NR)
				if (!take[n]) { take[n] = 1; count-- }
			}
			for (n = 1; n <= NR; n++) if (take[n]) print line[n]
		}'
}

# record BEGUN COMMAND...: an undisturbed run of it into $T/steps
record() {
	local begun=$1
	shift
	sv strace -o "$T/trace" -e trace=$STEPPED "$SW_BIN" "$@" > "$T/said" 2>&1 || fail "$*: $(cat "$T/said")"
	steps "$begun" < "$T/trace" > "$T/steps"
}

# killed_at CALL NTH COMMAND...: before the kernel does it; STEP is what it was about to do
killed_at() {
	local call=$1 nth=$2 status=0
	shift 2
	sv strace -o "$T/trace" -e trace="$call" -e inject="$call:signal=SIGKILL:when=$nth" \
		"$SW_BIN" "$@" > "$T/said" 2>&1 || status=$?
	STEP="$* killed at step $call $nth, $(tail -n 2 "$T/trace" | head -n 1 | cut -c1-150)"
	[ "$status" = 137 ] || fail "$STEP: it went another way than the one recorded, exit $status"
}

served() { expect_eq "$1: page" alive "$(fetch "$URL" || true)"; }

# protected WHAT: by a guard that has seen no other client
protected() {
	served "$1"
	expect_ge "$1: handed over" "$(packets tc_handed_over)" 1
}

# All of the guard's that another run would find.
remains() {
	sv ip -o -d link show dev s0 | sed 's/ state [A-Z]*//'
	sv bpftool -j net show
	sv tc qdisc show
	sv sysctl -n net.ipv4.tcp_syncookies
	sv ethtool -k s0
	find /sys/fs/bpf
}

nothing_left() {
	remains > "$T/after"
	diff "$T/before" "$T/after" || fail "$1: left behind"
}

# crash ATTACH-STEP DETACH-STEP N: each "call, which of them"; whoever comes behind a detach that
# was killed wants it off or, if N is odd, on again
crash() {
	local before
	# shellcheck disable=SC2086 # two words each
	killed_at $1 attach --config "$T/conf"
	served "$STEP"
	guard attach --config "$T/conf" > "$T/said" 2>&1 || fail "$STEP, then attach: $(cat "$T/said")"
	protected "$STEP, attached again"
	# shellcheck disable=SC2086
	killed_at $2 detach --all
	served "$STEP"
	if [ $(($3 % 2)) = 1 ]; then
		guard attach --config "$T/conf" > "$T/said" 2>&1 || fail "$STEP, then attach: $(cat "$T/said")"
		before=$(packets tc_handed_over)
		served "$STEP, attached"
		expect_gt "$STEP, attached: handed over" "$(packets tc_handed_over)" "$before"
	fi
	guard detach --all 2> "$T/said" || fail "$STEP, then detach: $(cat "$T/said")"
	nothing_left "$STEP"
}

test_attach_and_detach_killed_at_each_step() { # L14 L01 L03 @limit=900
	local ifindex off all began=$SECONDS n=0
	need strace
	net_up
	start_nginx
	family 4
	# where an applied configuration is remembered
	export SYNWARDEN_RUN=$T/run
	printf 'devices: [s0]\nservices: [{ prefix: any, ports: 80, mode: always }]\n' > "$T/conf"
	remains > "$T/before"
	ifindex=$(sv ip -j link show dev s0 | jq '.[0].ifindex')
	record 0 attach --config "$T/conf"
	protected "attach undisturbed"
	some 8 "links/s0|target_fd=$ifindex," < "$T/steps" > "$T/on"
	all=$(wc -l < "$T/steps")
	record 1 detach --all
	all+=" and $(wc -l < "$T/steps")"
	nothing_left "detach undisturbed"
	some "$(wc -l < "$T/on")" "BPF_LINK|unlink[(]|\"boot|\"settings" < "$T/steps" > "$T/off"
	mapfile -t off < <(cut -d' ' -f1,2 "$T/off")
	# a step takes 3 s: on a busy machine those around the links, which come last, must do
	while read -r call nth _ <&3 && { [ "${SW_LONG-}" = 1 ] || [ $((SECONDS - began)) -lt 35 ]; }; do
		crash "$call $nth" "${off[n % ${#off[@]}]}" $((n + n / ${#off[@]}))
		n=$((n + 1))
	done 3< <(tac "$T/on")
	expect_ge "steps" $n 3
	say "MEASURED attach and detach killed at $n steps each, of $all"
}

fetch_far() { at far curl -s -S -g -m 5 http://10.8.0.2/; }

# What guards the first device does so all the while.
test_attach_of_a_second_device_killed_at_each_step() { # L14 L01 @limit=300
	local ifindex call nth n=0
	need strace
	net_up
	second_device
	start_nginx
	family 4
	guard_up "$MODE" 80
	remains > "$T/before"
	ifindex=$(sv ip -j link show dev s1 | jq '.[0].ifindex')
	record 1 attach s1
	guard detach s1
	nothing_left "undisturbed"
	some 5 "links/s1.*xdp|target_fd=$ifindex," < "$T/steps" > "$T/on"
	while read -r call nth _ <&3; do
		killed_at "$call" "$nth" attach s1
		served "$STEP"
		expect_eq "$STEP: page over s1" alive "$(fetch_far || true)"
		guard attach s1 > "$T/said" 2>&1 || fail "$STEP, then attach: $(cat "$T/said")"
		expect_eq "$STEP: alive" "true true" "$(guard status -j | jq -r '[.devices[].alive] | join(" ")')"
		served "$STEP, attached again"
		expect_eq "$STEP, attached again: page over s1" alive "$(fetch_far || true)"
		guard detach s1 2> "$T/said" || fail "$STEP, then detach: $(cat "$T/said")"
		nothing_left "$STEP"
		n=$((n + 1))
	done 3< "$T/on"
	# both devices' clients of a whole guard, and the first one's of half a second one
	expect_ge "handed over" "$(packets tc_handed_over)" $((3 * n))
	say "MEASURED attach of a second device killed at $n of $(wc -l < "$T/steps") steps"
}

# --- memory -------------------------------------------------------------------------------
# A cgroup of our own that limits memory, in GROUP; LIMIT and USAGE are its files.
memory_group() {
	local root
	root=$(findmnt -nfo TARGET -t cgroup2 || true)
	if [ -n "$root" ] && grep -qw memory "$root/cgroup.subtree_control" 2> /dev/null; then
		GROUP=$root/synwarden-test-memory LIMIT=memory.max USAGE=memory.current
	else
		root=$(findmnt -nfo TARGET -t cgroup -O memory) || skip "no memory controller of cgroups here"
		GROUP=$root$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)/synwarden-test-memory
		LIMIT=memory.limit_in_bytes USAGE=memory.usage_in_bytes
	fi
	# of a test that was killed
	rmdir "$GROUP" 2> /dev/null || true
	mkdir "$GROUP" 2> /dev/null || skip "no cgroup can be made here"
	trap 'rmdir "$GROUP" 2> /dev/null || true' EXIT
}

# limited COMMAND...: what it allocates is the group's
limited() {
	(
		echo $BASHPID > "$GROUP/cgroup.procs"
		exec nsenter --net=/run/netns/server "$SW_BIN" "$@"
	)
}

test_attach_that_does_not_fit_in_memory_is_refused() { # K11 @limit=120
	local usage
	net_up
	start_nginx
	family 4
	remains > "$T/before"
	memory_group
	echo $((64 << 20)) > "$GROUP/$LIMIT"
	refused "tables for a million connections in 64 MiB" 1 "Cannot allocate memory" \
		limited attach s0 --connections 1000000
	expect_in "what it was for" "for 1,000,000 connections" "$OUT"
	[[ $OUT =~ ([0-9]+)\ MiB ]] || fail "it does not say how much: $OUT"
	say "MEASURED $OUT"
	expect_in "what to do" "--connections" "$OUT"
	expect_in "what to do" "memory.max" "$OUT"
	nothing_left "attach without memory"
	served "attach without memory"
	# what it said it needs is enough
	echo $(((BASH_REMATCH[1] + 64) << 20)) > "$GROUP/$LIMIT"
	limited attach s0 --connections 1000000 > "$T/said" 2>&1 || fail "with that much: $(cat "$T/said")"
	usage=$(cat "$GROUP/$USAGE")
	say "MEASURED $((usage >> 20)) MiB charged to the cgroup"
	expect_gt "MiB that are the cgroup's" $((usage >> 20)) $((BASH_REMATCH[1] * 8 / 10))
	guard service add any 80 --mode always
	# no room for another page: the data path asks for none
	echo "$usage" > "$GROUP/$LIMIT" || fail "limit not lowered to $usage"
	flood --dst $S4 --dport 80 --rate 50000 --seconds 4
	paced --dst $S4 --port 80 --rate 100 --seconds 3 > "$T/paced"
	flood_end > "$T/sent"
	say "MEASURED no memory left, under flood: $(cat "$T/paced")"
	expect_eq "clients" 300 "$(field ok < "$T/paced")"
	expect_ge "SYNs answered" "$(field synacks < "$T/sent")" $(($(field sent < "$T/sent") * 9 / 10))
	guard detach --all
	rmdir "$GROUP" || fail "the cgroup is in use"
}

# --- keys ---------------------------------------------------------------------------------
# As fast as it goes, until $T/rotating is gone. A key takes over when an epoch of 69 s begins
# and no other may come before the end of the next, so nearly all of these change nothing, by
# design: each says which, and none is another failure.
rotate() {
	local n=0 status
	while [ -e "$T/rotating" ]; do
		status=0
		guard key rotate > "$T/rotate" 2>&1 || status=$?
		n=$((n + 1))
		case $status:$(cat "$T/rotate") in
		0:*'a rotation is pending'* | 1:*'cookies of the previous key still live'*) say waits ;;
		0:*'next key takes over in '*) say changed ;;
		*) say "rotation $n: exit $status: $(cat "$T/rotate")"; return 1 ;;
		esac
	done
}

# SW_LONG=1: over the edge of an epoch; netns_path.sh waits for one always.
test_keys_rotated_all_the_time_lose_nobody() { # B09 @limit=200
	local seconds rotating began epoch
	seconds=$(long 5 8)
	net_up_long --delay 150
	start_nginx
	guard_up "$MODE" 80
	family 4
	guard key rotate
	[ -z "${SW_LONG-}" ] || wait_until 75 epoch_ends_within 4
	epoch=$(guard key show -j | field epoch)
	: > "$T/rotating"
	rotate > "$T/rotations" &
	rotating=$!
	flood --dst $S4 --dport 80 --rate 20000 --seconds $((seconds + 1))
	began=$SECONDS
	paced --dst $S4 --port 80 --rate 50 --seconds "$seconds" --timeout 5000 > "$T/paced"
	rm "$T/rotating"
	wait $rotating || fail "$(tail -n 1 "$T/rotations")"
	flood_end > "$T/sent"
	say "MEASURED $(wc -l < "$T/rotations") rotations in $((SECONDS - began)) s, $(grep -c changed "$T/rotations" || true) keys, \
epochs $epoch to $(guard key show -j | field epoch), 300 ms path: $(cat "$T/paced")"
	expect_eq "clients" $((seconds * 50)) "$(field ok < "$T/paced")"
	expect_ge "rotations" "$(wc -l < "$T/rotations")" $((seconds * 5))
	expect_le "keys" "$(grep -c changed "$T/rotations" || true)" 1
}

# --- configuration ------------------------------------------------------------------------
# many COUNT: so many services on lower ports, so that the one that is asked has another group of
# prefixes for each COUNT: a packet of half the one and half the other would find no service
many() {
	local n
	echo 'services:'
	for ((n = 0; n < $1; n++)); do
		echo "  - { prefix: 10.1.$n.0/24, ports: $((30 + n)), mode: monitor }"
	done
	echo '  - { prefix: 10.9.0.0/24, ports: 80, mode: always }'
}

# An apply of another list takes 0.2 s, of which 0.02 s is the process and most the kernel: it
# writes the ports and waits until no packet reads what was. So the two halves that two of them
# have written change places by themselves; netns_config.sh has the applies.
test_halves_flipped_each_millisecond_under_flood() { # K10 @limit=150
	local seconds flipping
	seconds=$(long 4 60)
	net_up
	start_nginx
	export SYNWARDEN_RUN=$T/run
	guard attach s0 --no-fail-safe > "$T/said"
	many 40 > "$T/conf-1"
	many 10 > "$T/conf-2"
	guard apply "$T/conf-1"
	guard apply "$T/conf-2"
	family 4
	flood --dst $S4 --dport 80 --rate 100000 --seconds $((seconds + 1))
	start server "$T/flips" "$SW_BUILD/tests/flip" $PIN/settings 1 "$seconds"
	flipping=$STARTED
	paced --dst $S4 --port 80 --rate 100 --seconds "$seconds" > "$T/paced"
	wait $flipping || fail "$(cat "$T/flips")"
	flood_end > "$T/sent"
	say "MEASURED $(cat "$T/flips") in $seconds s; clients $(cat "$T/paced")"
	expect_eq "clients" $((seconds * 100)) "$(field ok < "$T/paced")"
	expect_ge "flips" "$(field flips < "$T/flips")" $((seconds * 500))
	expect_ge "SYNs answered" "$(field synacks < "$T/sent")" $(($(field sent < "$T/sent") * 9 / 10))
	expect_eq "not guarded, or of another mode" 0 "$(guard stats -j | jq '[.[] | select(
		.reason == "pass_not_guarded" or .reason == "pass_mode_off" or .would_packets > 0) |
		.packets] | add // 0')"
	expect_eq "services" 11 "$(guard service list -j | jq length)"
}

# --- mode monitor -------------------------------------------------------------------------
# replayed MODE: the same packets of both families to a service in it, while the daemon is killed
# and the configuration goes to and fro; counters into $T/counts-MODE
replayed() {
	local mode=$1 f replay
	for f in 1 2; do
		printf 'services: [{ prefix: any, ports: 80, mode: %s }, { prefix: any, ports: 1%s, mode: monitor }]\n' \
			"$mode" $f > "$T/conf-$f"
		printf 'limits: { timeout-closed: 10%s }\n' $f >> "$T/conf-$f"
	done
	guard attach s0 --no-fail-safe > "$T/said"
	guard apply "$T/conf-1"
	: > "$T/shaking"
	shake > "$T/shaken" 2>&1 &
	replay=$!
	for f in 4 6; do
		family $f
		cl "$PYTHON" "$HERE/replay.py" --seed "$SEED" --count "$(long 2500 60000)" --rate 1500 \
			--smac $CMAC --dmac $SMAC --src "$RA" --dst "$SA" > "$T/replay" 2>&1 ||
			fail "seed $SEED, $mode, IPv$f: $(cat "$T/replay")"
	done
	rm "$T/shaking"
	wait $replay || fail "$mode: $(cat "$T/shaken")"
	check_identity
	guard stats -j > "$T/counts-$mode"
	guard status -j > "$T/status-$mode"
	say "MEASURED $mode, seed $SEED: $(cat "$T/shaken")"
	guard detach --all
}

# kill -9 of the daemon and an apply, by turns, until $T/shaking is gone
shake() {
	local n=0
	while [ -e "$T/shaking" ]; do
		start server "$T/daemon" "$SW_BIN" run --interval 1
		guard apply "$T/conf-$((n % 2 + 1))" || return 1
		kill -KILL "$STARTED"
		wait "$STARTED" 2> /dev/null || true
		n=$((n + 1))
	done
	say "daemon killed and configuration changed $n times"
}

# counts MODE FIELD: what was, or would have been, answered or dropped of the service, by reason
counts() {
	jq -r --arg f "$2" '.[] | select(.service == "any 80" and (.verdict == "tx" or .verdict == "drop")
		and .[$f] > 0) | "\(.reason) \(.[$f])"' "$T/counts-$1" | sort
}

test_monitor_counts_what_always_does() { # N07 N06 L01 K10 @limit=300
	SEED=${SW_SEED:-$RANDOM}
	net_up
	offloads server s0 off
	start_nginx
	export SYNWARDEN_RUN=$T/run
	replayed always
	replayed monitor
	counts always packets > "$T/did"
	counts monitor would_packets > "$T/would"
	say "MEASURED $(tr '\n' ' ' < "$T/did")"
	# No reason is excepted. The passes are: in monitor it is the host that holds the tuple behind
	# a SYN, so what ends a handshake is pass_known there and pass_cookie here. These packets
	# have a tuple each, so that nothing follows what only one of the two has begun.
	diff "$T/did" "$T/would" || fail "seed $SEED: always did '<', monitor would have done '>'"
	expect_ge "reasons" "$(wc -l < "$T/did")" 10
	expect_eq "not enforced in always" "" "$(counts always would_packets)"
	expect_eq "dropped and answered in monitor" "0 0" \
		"$(jq -r '"\(.dropped) \(.answered)"' "$T/status-monitor")"
	expect_gt "the host's own SYN-ACKs in monitor" "$(jq '[.[] | select(.reason == "out_synack") |
		.packets] | add // 0' "$T/counts-monitor")" 1000
}

run_tests "$@"
