#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For tests/netns_*.sh, which source it: a client and a server namespace, real programs in
# them, the guard on the server's device, TAP. Each test function named test_* is a test, in
# the order of the file. It runs in mount, process and network namespaces of its own with an
# empty bpffs and an empty /run/netns, so neither failure nor Ctrl-C leaves anything behind.
# Not here: what is tested.
#
#   test_flood_leaves_no_state() { # A01 C05 @modes @limit=90
#
# A01: rows of catalogue.txt. @modes: once with MODE=native, once with MODE=generic.
# @limit: seconds, 60 if absent. A line "MEASURED ..." of a test that passed is shown.
# shellcheck disable=SC2034 # constants for the tests

set -euo pipefail
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/sbin:/sbin PYTHONDONTWRITEBYTECODE=1
# None of these tests': proxy, language, ssh session, tmux and file modes of whoever runs them.
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY LANGUAGE \
	SSH_CONNECTION SSH_CLIENT TMUX NO_COLOR
umask 022

HERE=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
SW_BUILD=${SW_BUILD:-$(dirname "$HERE")/build}
SW_BIN=${SW_BIN:-$SW_BUILD/synwarden}
PIN=/sys/fs/bpf/synwarden
FLOOD=$SW_BUILD/tests/flood
WIRE=$SW_BUILD/tests/wire
PACED=$SW_BUILD/tests/paced
TURNS=$SW_BUILD/tests/turns
PYTHON=/usr/bin/python3 # Debian's: python3-scapy is installed for this one
C4=10.9.0.1 S4=10.9.0.2 C6=fd09::1 S6=fd09::2
RAW4=10.9.0.77 RAW6=fd09::77 # no kernel answers for them; the server has static neighbours
CMAC=02:00:00:00:09:01 SMAC=02:00:00:00:09:02

# family 4|6: CA and SA are the addresses of client and server, RA one nobody owns
family() {
	if [ "$1" = 4 ]; then
		CA=$C4 SA=$S4 RA=$RAW4 URL=$S4
	else
		CA=$C6 SA=$S6 RA=$RAW6 URL="[$S6]"
	fi
}

# --- saying -------------------------------------------------------------------------------
say() { printf '%s\n' "$*"; }
fail() { say "FAIL: $*"; exit 1; }
skip() { say "$*" > "$SW_SKIP_FILE"; exit 77; }
need() {
	local tool
	for tool; do command -v "$tool" > /dev/null || skip "$tool is not installed"; done
}

# expect_eq WHAT EXPECTED GOT, expect_ge/le/gt WHAT GOT BOUND (decimals allowed)
expect_eq() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; }
compare() { awk -v a="$1" -v b="$3" "BEGIN { exit !(a $2 b) }"; }
expect_ge() { compare "$2" '>=' "$3" || fail "$1: got $2, expected at least $3"; }
expect_le() { compare "$2" '<=' "$3" || fail "$1: got $2, expected at most $3"; }
expect_gt() { compare "$2" '>' "$3" || fail "$1: got $2, expected more than $3"; }
expect_in() { case $3 in *"$2"*) ;; *) fail "$1: '$2' is not in: $3" ;; esac; }

# expect_exit WHAT STATUS COMMAND...: its output is in $OUT
expect_exit() {
	local what=$1 want=$2 got=0
	shift 2
	OUT=$("$@" 2>&1) || got=$?
	[ "$got" = "$want" ] || fail "$what: exit $got, expected $want: $OUT"
}

# refused WHAT STATUS WORDS COMMAND...: exit status and a line that holds WORDS
refused() {
	local what=$1 status=$2 words=$3
	shift 3
	expect_exit "$what" "$status" "$@"
	expect_in "$what" "$words" "$OUT"
}

# in_time WHAT BEGAN BAR: seconds since then, said and compared. The bar is for a machine that does
# nothing else, SW_SPEED=1; ten times that fails on any.
in_time() {
	local took
	took=$(elapsed "$2")
	say "MEASURED $1: $took s"
	expect_le "$1, seconds" "$took" $(($3 * (${SW_SPEED:-0} == 1 ? 1 : 10)))
}

# wait_until SECONDS COMMAND...: true as soon as COMMAND is
wait_until() {
	# a guest without KVM is many times slower
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000 * (${SW_SLOW:-0} ? 5 : 1)))
	shift
	until "$@"; do
		[ "${EPOCHREALTIME/./}" -lt $end ] || { say "waited in vain for: $*"; return 1; }
		sleep 0.02
	done
}

elapsed() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }'; }

# --- network ------------------------------------------------------------------------------
# nsenter, not `ip netns exec`: the latter mounts a new /sys and hides bpffs
cl() { nsenter --net=/run/netns/client "$@"; }
sv() { nsenter --net=/run/netns/server "$@"; }
at() { local ns=$1; shift; nsenter --net=/run/netns/"$ns" "$@"; }

# start NS OUTPUT COMMAND...: in the background; STARTED is the process of COMMAND itself,
# which it would not be for `at NS COMMAND &`, until the next start (flood and server do too)
start() {
	local ns=$1 out=$2
	shift 2
	: > "$out"
	nsenter --net=/run/netns/"$ns" "$@" > "$out" 2>&1 &
	STARTED=$!
}

stop() { kill "$@" 2> /dev/null || true; wait "$@" 2> /dev/null || true; }

# new_ns NAME...
new_ns() {
	local ns
	for ns; do
		ip netns add "$ns"
		at "$ns" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
			net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
		at "$ns" ip link set lo up
	done
}

# Frames redirected into a veth are lost unless the far end polls: it does once GRO was asked
# for by hand. That is not enough for XDP_TX (6.18 wakes only an end that has a program), so
# devices that face a guard hold a program that lets everything by.
make_poll() { at "$1" ethtool -K "$2" gro off && at "$1" ethtool -K "$2" gro on; }
face_guard() {
	start "$1" "$T/pass-$2" "$FLOOD" --pass --dev "$2" --seconds 3600
	PASS[$2]=$STARTED
	wait_until 15 grep -q ready "$T/pass-$2"
}
declare -A PASS=()

# join NS1 DEV1 NS2 DEV2 [QUEUES]: the first faces a guard; a veth needs as many queues at
# both ends
join() {
	local q=${5:-1}
	ip link add "$2" netns "$1" numtxqueues "$q" numrxqueues "$q" type veth \
		peer name "$4" netns "$3" numtxqueues "$q" numrxqueues "$q"
	at "$1" ip link set "$2" up
	at "$3" ip link set "$4" up
	make_poll "$1" "$2"
	make_poll "$3" "$4"
	face_guard "$1" "$2"
}

# address NS DEV MAC ADDR4 ADDR6 PEERMAC PEER4 PEER6
address() {
	at "$1" ip link set "$2" address "$3"
	at "$1" ip addr add "$4"/24 dev "$2"
	at "$1" ip addr add "$5"/64 dev "$2" nodad
	at "$1" ip neigh replace "$7" lladdr "$6" dev "$2"
	at "$1" ip neigh replace "$8" lladdr "$6" dev "$2"
}

address_both() {
	address client c0 $CMAC $C4 $C6 $SMAC $S4 $S6
	address server s0 $SMAC $S4 $S6 $CMAC $C4 $C6
	sv ip neigh replace $RAW4 lladdr $CMAC dev s0
	sv ip neigh replace $RAW6 lladdr $CMAC dev s0
	# whoever a flood claims to be is behind the client
	sv ip route add default via $C4
	sv ip route add default via $C6
}

# net_up [QUEUES]: client c0 - s0 server
net_up() {
	new_ns client server
	join client c0 server s0 "${1:-1}"
	address_both
}

# net_up_long WIRE-ARGS...: client c0 - c1 wire s1 - s0 server
net_up_long() {
	new_ns client server wire
	at wire sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1
	join client c0 wire c1
	join wire s1 server s0
	address_both
	wire_start "$@"
}

# A second client with its own device: far d0 - s1 server, 10.8.0.1 and 10.8.0.2
second_device() {
	new_ns far
	join far d0 server s1
	address far d0 02:00:00:00:08:01 10.8.0.1 fd08::1 02:00:00:00:08:02 10.8.0.2 fd08::2
	address server s1 02:00:00:00:08:02 10.8.0.2 fd08::2 02:00:00:00:08:01 10.8.0.1 fd08::1
}

wire_start() {
	start wire "$T/wire" "$WIRE" --a c1 --b s1 "$@"
	WIRE_PID=$STARTED
	wait_until 5 grep -q ready "$T/wire"
}

wire_stop() { kill "$WIRE_PID"; wait "$WIRE_PID" || true; tail -n 1 "$T/wire"; }

# offloads NS DEV on|off: what a client with or without them puts on the wire
offloads() { at "$1" ethtool -K "$2" tx "$3" tso "$3" gso "$3" > /dev/null; }

# --- guard --------------------------------------------------------------------------------
guard() { sv "$SW_BIN" "$@"; }

# by SESSION COMMAND...: as if run in that ssh session
by() {
	local session=$1
	shift
	sv env SSH_CONNECTION="$session" "$SW_BIN" "$@"
}

# guard_up MODE [PORT...]: for all addresses, enforcing
guard_up() {
	local mode=$1 port
	shift
	guard attach s0 --xdp "$mode" > "$T/attach"
	for port in "${@:-80}"; do guard service add any "$port" --mode always; done
}

# A key changes with an epoch of 69 s, of the machine's clock: what may not meet its end asks
# before it begins.
epoch_ends_within() { [ "$(guard key show -j | field epoch_ends_s)" -le "$1" ]; }
epoch_lasts() { ! epoch_ends_within "$1"; }

# poke MAP-PIN HEX-BYTES...: overwrite the start of element 0
poke() {
	local pin=$1 value
	shift
	value=$(bpftool -j map lookup pinned "$pin" key 0 0 0 0 | jq -r '.value | map(.[2:]) | join(" ")')
	# shellcheck disable=SC2086,SC2046 # bytes
	set -- "$@" $(cut -d' ' -f$(($# + 1))- <<< "$value")
	bpftool map update pinned "$pin" key 0 0 0 0 value hex "$@"
}

guard_down() { check_identity; guard detach --all; }

# packets REASON [FIELD]: summed over services
packets() {
	guard stats -j | jq --arg r "$1" --arg f "${2:-packets}" \
		'[.[] | select(.reason == $r) | .[$f]] | add // 0'
}

# received = passed + answered + dropped, at each hook; read while nothing moves
counters_agree() {
	local before after status
	before=$(guard stats -j) && status=$(guard status -j) && after=$(guard stats -j) || return 1
	[ "$before" = "$after" ] || return 1
	IDENTITY=$(jq -n --argjson stats "$after" --argjson status "$status" '
		def sum(f): [$stats[] | select(f) | .packets] | add // 0;
		def rx(h): [$status.received[] | select(.hook == h) | .packets] | add // 0;
		{ xdp: [rx("xdp"), sum(.reason | test("^(tc|out)_") | not)],
		  tc_in: [rx("tc_in"), sum(.reason | startswith("tc_"))],
		  tc_out: [rx("tc_out"), sum(.reason | startswith("out_"))] }' 2>&1) || return 1
	[ "$(jq '[.[] | .[0] == .[1]] | all' <<< "$IDENTITY")" = true ]
}

check_identity() {
	IDENTITY=
	wait_until 5 counters_agree || fail "counters do not add up: $IDENTITY"
	expect_eq "impossible branches taken" 0 "$(packets drop_bug)"
}

# --- servers and clients ------------------------------------------------------------------
# start_nginx [NS]: ports 80 and 8080, v4 and v6, own configuration, nothing of the system's
start_nginx() {
	need nginx
	mkdir -p "$T/nginx"
	cat > "$T/nginx/conf" <<-END
		user root;
		worker_processes 1;
		daemon off;
		pid $T/nginx/pid;
		error_log $T/nginx/error.log;
		events { worker_connections 4096; }
		http {
			access_log off;
			client_body_temp_path $T/nginx/b; proxy_temp_path $T/nginx/p;
			fastcgi_temp_path $T/nginx/f; uwsgi_temp_path $T/nginx/u; scgi_temp_path $T/nginx/s;
			server {
				listen 80 backlog=4096; listen [::]:80 backlog=4096;
				listen 8080 backlog=4096; listen [::]:8080 backlog=4096;
				keepalive_requests 1000000000;
				location / { return 200 "alive\n"; }
			}
		}
	END
	at "${1:-server}" sysctl -qw net.core.somaxconn=4096
	# not on the core a flood comes from
	start "${1:-server}" "$T/nginx/said" taskset -c $(($(nproc) - 1)) nginx -p "$T/nginx" \
		-c "$T/nginx/conf" -e "$T/nginx/error.log"
	NGINX=$STARTED
	wait_until 15 listening "${1:-server}" 80
}

stop_nginx() { stop "$NGINX"; }
listening() { [ -n "$(at "$1" ss -HltnO "sport = :$2")" ]; }

# server ARGS...: tests/server.py in the server namespace, SERVER is its process
server() {
	start server "$T/server" "$PYTHON" "$HERE/server.py" "$@"
	SERVER=$STARTED
	wait_until 15 grep -q '^ready' "$T/server" || fail "server: $(cat "$T/server")"
}

stop_server() { stop "$SERVER"; }

# start_client JOB ARGS...: tests/client.py in the background, output in $T/client
start_client() { start client "$T/client" "$PYTHON" "$HERE/client.py" "$@"; }

client() { cl "$PYTHON" "$HERE/client.py" "$@"; }

# raw CASE ARGS...: tests/handshake.py, segments by hand from the client's device
raw() {
	local job=$1
	shift
	cl "$PYTHON" "$HERE/handshake.py" "$job" --smac $CMAC --dmac $SMAC --src "$RA" --dst "$SA" "$@"
}

# raw_both CASE ARGS...: over IPv4 and IPv6
raw_both() {
	local f
	for f in 4 6; do
		family $f
		raw "$@" || fail "$1 over IPv$f"
	done
}

fetch() { cl curl -s -S -g -m "${2:-5}" "http://$1/"; }

# flood ARGS...: in the background, from the client's device; its counting program takes the place of
# the passing one, so nothing may be on its way then. flood_end, in no pipe, prints its JSON.
flood() {
	stop "${PASS[c0]}"
	start client "$T/flood" "$FLOOD" --dev c0 --dmac $SMAC --cpu 0 "$@"
	FLOODING=$STARTED
	wait_until 5 grep -q sending "$T/flood" || fail "flood: $(cat "$T/flood")"
}

flood_end() {
	wait "$FLOODING" || fail "flood: $(cat "$T/flood")"
	tail -n 1 "$T/flood"
	face_guard client c0
}

# paced ARGS...: HTTP clients at a steady pace, on the core the flood leaves free
paced() { cl taskset -c $(($(nproc) - 1)) "$PACED" "$@"; }

field() { jq -r ".$1"; }

# --- running ------------------------------------------------------------------------------
processes_left() {
	local p
	for p in $(ps -e -o pid= -o stat= | awk '$2 !~ /^Z/ { print $1 }'); do
		case $p in 1 | "$$" | "$BASHPID") continue ;; esac
		kill -0 "$p" 2>/dev/null && ps -o args= -p "$p"
	done
	true
}

end_processes() {
	local ns
	for ns in $(ip netns list | awk '{ print $1 }'); do
		# shellcheck disable=SC2046 # a list of process ids
		kill $(ip netns pids "$ns") 2>/dev/null || true
	done
	wait
}

none_left() { [ -z "$(processes_left)" ]; }

# watch_time SECONDS: what a case that is about to run out of time hangs on. The shell sleeps by
# itself, so that no process is left when this one is ended.
watch_time() {
	mkfifo "$T/never"
	{
		read -rt "$1" _ <> "$T/never" || true
		say "out of time, still there:"
		ps -e -o pid=,ppid=,stat=,etimes=,wchan:24=,args= | cut -c-150
	} &
	WATCH=$!
}

# What every test must leave: counters that add up, and nothing else.
finish_test() {
	local ns
	stop "$WATCH"
	if [ -e $PIN/stats ] && [ -e /run/netns/server ]; then
		check_identity
		guard detach --all
	fi
	[ ! -e $PIN ] || fail "pins left after detach: $(find $PIN)"
	[ ${#PASS[@]} = 0 ] || stop "${PASS[@]}"
	end_processes
	for ns in $(ip netns list | awk '{ print $1 }'); do
		if at "$ns" ip -o link | grep -q xdp; then fail "XDP left in $ns"; fi
		if at "$ns" tc qdisc show | grep -q clsact; then fail "clsact left in $ns"; fi
		ip netns del "$ns"
	done
	wait_until 5 none_left || fail "processes left: $(processes_left)"
}

# Inside the test's own namespaces, as process 1 of them.
run_one() {
	T=$2 MODE=${3:-native}
	mount -t bpf bpf /sys/fs/bpf
	mkdir -p /run/netns
	mount -t tmpfs tmpfs /run/netns
	# one lock serves every guard of a machine: tests beside each other would wait for it
	touch /run/synwarden.lock "$T/lock"
	mount --bind "$T/lock" /run/synwarden.lock
	watch_time $(($4 - 2))
	"$1"
	finish_test
}

# name <tab> words of the comment, in the order of the file
list_tests() { sed -nE 's/^(test_[a-z0-9_]+)\(\) *\{ *#? *(.*)/\1\t\2/p' "$1"; }

# run_case NUMBER NAME LIMIT FUNCTION MODE
run_case() {
	local status=0 began=$EPOCHREALTIME dir=$ALL/$1
	mkdir "$dir"
	export SW_SKIP_FILE=$dir/skip
	timeout --foreground -s KILL "$3" unshare --mount --pid --fork --kill-child --mount-proc \
		--net "$BASH" "$SELF" --one "$4" "$dir" "$5" "$3" > "$dir/log" 2>&1 < /dev/null &
	CHILD=$!
	wait "$CHILD" || status=$?
	CHILD=
	# diagnostics come before the line of their test, as tests/tap.awk reads them
	case $status in
	0)
		sed -n 's/^MEASURED/#/p' "$dir/log"
		say "ok $1 - $2 # $(elapsed "$began") s"
		;;
	77) say "ok $1 - $2 # SKIP $(cat "$dir/skip")" ;;
	*)
		[ "$status" != 137 ] || say "# out of time, $3 s"
		tail -n 29 "$dir/log" | sed 's/^/# /'
		say "not ok $1 - $2"
		FAILED=$((FAILED + 1))
		;;
	esac
	[ -z "${SW_VERBOSE-}" ] || sed 's/^/#   /' "$dir/log"
	rm -rf "$dir"
}

interrupted() {
	trap '' INT TERM HUP
	# unshare blocks SIGTERM; killing it ends the process namespace of the test
	# shellcheck disable=SC2046 # a list of process ids
	[ -z "$CHILD" ] || { kill -KILL $(ps -o pid= --ppid "$CHILD"); wait "$CHILD"; } || true
	say "Bail out! interrupted"
	exit 130
}

# run_tests [PATTERN | -l]: the last line of each test file
run_tests() {
	local name words mode limit label cases=() n=0 line
	SELF=$(readlink -f "$0")
	if [ "${1-}" = --one ]; then
		run_one "$2" "$3" "$4" "$5"
		exit 0
	fi
	[ "$EUID" = 0 ] || { say "1..0 # SKIP namespaces need root"; exit 0; }
	while IFS=$'\t' read -r name words; do
		[[ -z ${1-} || $1 = -l || $name = *"$1"* ]] || continue
		limit=60
		[[ ! $words =~ @limit=([0-9]+) ]] || limit=${BASH_REMATCH[1]}
		mode="-"
		[[ ! $words =~ @modes ]] || mode="native generic"
		for mode in $mode; do
			label=${name#test_}
			label=${label//_/ }
			[ "$mode" = - ] || label+=" ($mode)"
			cases+=("$limit $name $mode $label")
		done
	done < <(list_tests "$SELF")
	if [ "${1-}" = -l ]; then
		printf '%s\n' "${cases[@]}" | cut -d' ' -f4-
		exit 0
	fi
	ALL=$(mktemp -d)
	CHILD='' FAILED=0
	trap 'rm -rf "$ALL"' EXIT
	trap interrupted INT TERM HUP
	say "1..${#cases[@]}"
	for line in "${cases[@]}"; do
		read -r limit name mode label <<< "$line"
		[ "$mode" != - ] || mode=native
		n=$((n + 1))
		run_case $n "$label" "$limit" "$name" "$mode"
	done
	[ "$FAILED" = 0 ]
}
