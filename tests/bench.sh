#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make bench: what the guard costs and what users feel, beside the alternatives.
#
#   1  ns per packet, the program alone           build/tests/bench
#   2  answered SYN/s over veth, generator, guard and sink on one core
#   3  real HTTP clients on core 1 while core 0 sends 200,000 spoofed SYN/s
#
# Subjects take turns round by round; figures are medians, with the lowest and the highest.
# Prints tables and writes build/bench.json. SW_BENCH_QUICK=1: under a minute, few rounds.
# No figure fails it; a wrong path does. Runs in namespaces of its own, which end with it.
# Not here: thresholds, other machines' figures.

set -euo pipefail
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/sbin:/sbin

SELF=$(readlink -f "$0")
SW_BUILD=${SW_BUILD:-$(dirname "$(dirname "$SELF")")/build}
SW_BIN=${SW_BIN:-$SW_BUILD/synwarden}
FLOOD=$SW_BUILD/tests/flood
PACED=$SW_BUILD/tests/paced
BENCH=$SW_BUILD/tests/bench
CLANG=${CLANG:-clang}
CLIENT=10.9.0.1 SERVER=10.9.0.2
CLIENT_MAC=02:00:00:00:09:01 SERVER_MAC=02:00:00:00:09:02
FLOOD_PPS=200000
CLIENTS_PER_S=200
if [ -n "${SW_BENCH_QUICK-}" ]; then
	PROG_ROUNDS=9 ANSWER_ROUNDS=2 ANSWER_S=0.7 CLIENT_ROUNDS=1 CLIENT_S=2
else
	PROG_ROUNDS=45 ANSWER_ROUNDS=5 ANSWER_S=2 CLIENT_ROUNDS=5 CLIENT_S=5
fi
ANSWERERS="echo ours synproxy cookies"
PROTECTORS="quiet none cookies synproxy ours"

progress() { printf '%s\n' "$*" >&2; }

# --- network ------------------------------------------------------------------------------
# nsenter, not `ip netns exec`: the latter mounts a new /sys and hides bpffs
at() { local ns=$1; shift; nsenter --net=/run/netns/"$ns" "$@"; }

# start NS OUTPUT COMMAND...: in the background; STARTED is COMMAND's own process
start() {
	local ns=$1 out=$2
	shift 2
	nsenter --net=/run/netns/"$ns" "$@" > "$out" 2>&1 &
	STARTED=$!
}

# ready FILE WORD: a background program has printed it
ready() {
	local i
	for ((i = 0; i < 100; i++)); do
		! grep -q "$2" "$1" || return 0
		sleep 0.05
	done
	progress "bench: not $2 after 5 s: $(cat "$1")"
	return 1
}

# end_up NS DEV MAC ADDRESS PEER-MAC PEER
# Clients are new to the server: no metrics of theirs are kept, which would let them through.
end_up() {
	at "$1" ip link set lo up
	at "$1" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
		net.core.somaxconn=4096 net.ipv4.tcp_no_metrics_save=1
	at "$1" ip link set "$2" address "$3" up
	at "$1" ip addr add "$4"/24 dev "$2"
	at "$1" ip neigh replace "$6" lladdr "$5" dev "$2"
	# frames redirected into a veth are lost unless it polls: with a program, or GRO by hand
	at "$1" ethtool -K "$2" gro off
	at "$1" ethtool -K "$2" gro on
}

# client c0 - s0 server; whoever a flood claims to be is behind the client. A new pair for every
# turn: no TIME_WAIT, request socket or conntrack entry of one subject meets the next.
net_up() {
	ip netns add client
	ip netns add server
	ip link add c0 netns client type veth peer name s0 netns server
	end_up client c0 $CLIENT_MAC $CLIENT $SERVER_MAC $SERVER
	end_up server s0 $SERVER_MAC $SERVER $CLIENT_MAC $CLIENT
	at server ip route add default via $CLIENT
}

nginx_up() {
	local i
	mkdir -p "$T/nginx"
	cat > "$T/nginx/conf" <<-END
		user root; worker_processes 1; daemon off; pid $T/nginx/pid; error_log stderr;
		events { worker_connections 4096; }
		http {
			access_log off;
			client_body_temp_path $T/nginx/b; proxy_temp_path $T/nginx/p;
			fastcgi_temp_path $T/nginx/f; uwsgi_temp_path $T/nginx/u; scgi_temp_path $T/nginx/s;
			server { listen 80 backlog=4096; location / { return 200 "alive\n"; } }
		}
	END
	start server "$T/nginx/log" nginx -p "$T/nginx" -c "$T/nginx/conf" -e stderr
	NGINX=$STARTED
	for ((i = 0; i < 100; i++)); do
		[ -z "$(at server ss -HltnO 'sport = :80')" ] || return 0
		sleep 0.05
	done
	progress "bench: nginx does not listen after 5 s"
	return 1
}

# --- subjects -----------------------------------------------------------------------------
cookies_sysctl() { at server sysctl -qw net.ipv4.tcp_syncookies="$1"; }

synproxy_up() {
	at server nft -f - <<-END
		table ip bench {
			chain early {
				type filter hook prerouting priority raw
				tcp dport 80 tcp flags & (syn|ack) == syn notrack
			}
			chain in {
				type filter hook input priority filter
				tcp dport 80 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
				ct state invalid drop
			}
		}
	END
	at server sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0
}

# subject_up NAME [SYNCOOKIES]
subject_up() {
	net_up
	nginx_up
	cookies_sysctl "${2:-1}"
	case $1 in
	quiet | cookies) ;;
	none) cookies_sysctl 0 ;;
	synproxy) synproxy_up ;;
	ours)
		at server "$SW_BIN" attach s0 --xdp native > /dev/null
		at server "$SW_BIN" service add any 80 --mode always > /dev/null
		;;
	echo)
		start server "$T/echo" "$BENCH" --hold s0
		ECHO_PID=$STARTED
		ready "$T/echo" ready
		;;
	esac
}

subject_down() {
	case $1 in
	ours) at server "$SW_BIN" detach --all > /dev/null ;;
	echo) kill "$ECHO_PID"; wait "$ECHO_PID" || true ;;
	esac
	kill "$NGINX"
	wait "$NGINX" || true
	ip netns del client
	ip netns del server
	sleep 0.3 # the kernel clears up behind our back
}

# --- methods ------------------------------------------------------------------------------
# spoofed ARGS...: in the background, from core 0; spoofed_end waits for it, TOLD is its JSON
spoofed() {
	start client "$T/flood" "$FLOOD" --dev c0 --dmac $SERVER_MAC --dst $SERVER --dport 80 \
		--opts 20 --cpu 0 "$@"
	FLOODING=$STARTED
	ready "$T/flood" sending
}

spoofed_end() {
	wait "$FLOODING" || { progress "bench: flood: $(cat "$T/flood")"; return 1; }
	TOLD=$(tail -n 1 "$T/flood")
}

method_prog() {
	progress "1: ns per packet, $PROG_ROUNDS rounds"
	taskset -c 0 "$BENCH" -j --rounds "$PROG_ROUNDS" --cpu 0 > "$T/prog"
}

# The guard's own count is not believed: replies are counted where they arrive.
method_answers() {
	local round name
	for ((round = 1; round <= ANSWER_ROUNDS; round++)); do
		for name in $ANSWERERS; do
			progress "2: answered SYN/s, round $round of $ANSWER_ROUNDS, $name"
			subject_up "$name" 2
			spoofed --rate 0 --seconds "$ANSWER_S"
			spoofed_end
			jq -c --arg name "$name" '{ name: $name, sent: .pps,
				answered: (.synacks / .seconds) }' <<< "$TOLD" >> "$T/answers"
			subject_down "$name"
		done
	done
}

# one_clients NAME: clients in the middle of a flood, or of silence
one_clients() {
	TOLD='{"pps":0,"synacks":0,"seconds":1}'
	if [ "$1" != quiet ]; then
		spoofed --rate $FLOOD_PPS --seconds "$((CLIENT_S + 1))"
		sleep 0.5 # the host's queues fill
	fi
	at client taskset -c 1 "$PACED" --dst $SERVER --port 80 --rate $CLIENTS_PER_S \
		--seconds "$CLIENT_S" > "$T/paced"
	[ "$1" = quiet ] || spoofed_end
	jq -c --arg name "$1" --argjson flood "$TOLD" '{ name: $name, flood_pps: $flood.pps,
		synack_pps: ($flood.synacks / $flood.seconds), success: (100 * .ok / .tried),
		p50_ms, p99_ms, max_ms }' "$T/paced" >> "$T/clients"
}

method_clients() {
	local round name
	for ((round = 1; round <= CLIENT_ROUNDS; round++)); do
		for name in $PROTECTORS; do
			progress "3: clients, round $round of $CLIENT_ROUNDS, $name"
			subject_up "$name"
			one_clients "$name"
			subject_down "$name"
		done
	done
}

# --- telling ------------------------------------------------------------------------------
machine() {
	jq -n --arg date "$(date -u +%Y-%m-%dT%H:%M:%SZ)" --arg kernel "$(uname -r)" \
		--arg cpu "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)" \
		--arg cores "$(nproc --all)" --arg compiler "$("$CLANG" --version | head -n 1)" \
		--arg version "$("$SW_BIN" --version | head -n 1)" \
		--arg mitigations "$(sed 's/;.*//' /sys/devices/system/cpu/vulnerabilities/spectre_v2 \
			/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow 2>/dev/null |
			paste -sd ';' | sed 's/;/; /')" \
		--argjson load "$1" --arg quick "${SW_BENCH_QUICK-}" '{ $date, $kernel, $cpu,
			cores: ($cores | tonumber), $compiler, $version, $mitigations,
			load_at_start: $load, quick: ($quick != "") }'
}

# the program of the JSON: groups by name, median with lowest and highest of each figure
# shellcheck disable=SC2016 # jq's variables
JQ_SUM='
	def median: sort | if length % 2 == 1 then .[length / 2 | floor]
		else (.[length / 2 - 1] + .[length / 2]) / 2 end;
	def figure: { median: median, min: min, max: max };
	def by_name: reduce .[] as $r ({}; .[$r.name] += [$r]) | to_entries | map({ name: .key,
		rounds: (.value | length) } + (.value as $v | $v[0] | keys - ["name"] |
		map({ key: ., value: (. as $k | $v | map(.[$k]) | figure) }) | from_entries));'

result() {
	jq -n --slurpfile prog "$T/prog" --slurpfile answers "$T/answers" \
		--slurpfile clients "$T/clients" --argjson machine "$(machine "$1")" "$JQ_SUM"'
		{ machine: $machine, ns_per_packet: $prog[0].rows, memory: $prog[0].memory,
		  answered_per_s: ($answers | by_name), clients: ($clients | by_name) }' > "$T/result"
}

# shellcheck disable=SC2016
JQ_TELL='
	def pad(n): tostring | (" " * ([n - length, 0] | max)) + .;
	def fill(n): . + (" " * ([n - length, 0] | max));
	def fix(d): (. * pow(10; d) | round / pow(10; d)) as $v | ($v | tostring) as $s |
		if d == 0 then $s else ($s | if contains(".") then . else . + "." end) as $t |
		($t | index(".")) as $dot | $t + ("0" * (d - ($t | length) + $dot + 1)) end;
	def span(d): (.min | fix(d)) + ".." + (.max | fix(d));
	def mega: { median: (.median / 1e6), min: (.min / 1e6), max: (.max / 1e6) };
	{ "echo": "XDP echo, no cookie: the ceiling", "ours": "synwarden", "synproxy": "nft synproxy",
	  "cookies": "kernel tcp_syncookies", "none": "nothing, tcp_syncookies=0",
	  "quiet": "not attacked" } as $names |'

tell() {
	jq -r "$JQ_TELL"'
		"synwarden bench, \(.machine.date), \(.machine.version)",
		"kernel \(.machine.kernel), \(.machine.cores) x \(.machine.cpu)",
		"compiler: \(.machine.compiler)", "mitigations: \(.machine.mitigations)",
		"load when it began: \(.machine.load_at_start)", "",
		"1. ns per packet, the program alone, net of the wrapper      median   least",
		(.ns_per_packet[] | "   \(.text | fill(56))" + (.ns | fix(0) | pad(8)) +
			(.least | fix(0) | pad(8))), "",
		"   memory: \("" | fill(20)) bytes each = table + half-open + filter + caches   no slot",
		(.memory[] | "   room for \(.connections | fix(0) | fill(18))" +
			(.bytes_each | fix(1) | pad(12)) + (.conns | fix(1) | pad(8)) +
			(.half | fix(1) | pad(12)) + (.live | fix(1) | pad(9)) +
			(.caches | fix(1) | pad(9)) + (.no_room | pad(10))), "",
		"2. answered SYN, million/s: generator, guard, sink on one core",
		"   \("" | fill(40)) answered        min..max       sent",
		(.answered_per_s[] | "   \($names[.name] | fill(40))" +
			(.answered | mega | .median | fix(2) | pad(9)) +
			(.answered | mega | span(2) | pad(16)) +
			(.sent.median / 1e6 | fix(2) | pad(11))), "",
		"3. real clients, connect and reply, under '$FLOOD_PPS' spoofed SYN/s (times of those that succeed)",
		"   \("" | fill(34)) success %   p50 ms   p99 ms          min..max   SYN-ACK/s",
		(.clients[] | "   \($names[.name] | fill(34))" + (.success.median | fix(2) | pad(10)) +
			(.p50_ms.median | fix(2) | pad(9)) + (.p99_ms.median | fix(2) | pad(9)) +
			(.p99_ms | span(2) | pad(18)) + (.synack_pps.median | fix(0) | pad(12)))' "$T/result"
}

# The rows of the cost table.
summary() {
	jq -r "$JQ_TELL"'
		def by(list; n): list[] | select(.name == n);
		def prog(n): .ns_per_packet[] | select(.row == n) | .ns | fix(0);
		def rate(n): by(.answered_per_s; n).answered.median / 1e6 | fix(2);
		def felt(n): by(.clients; n) |
			(.success.median | fix(2)) + " %, " + (.p99_ms.median | fix(2)) + " ms";
		def line(cells): cells | (.[0] | fill(33)) + ([.[1:][] | pad(23)] | add);
		"", line(["", "bare XDP", "tcp_syncookies", "nft synproxy", "synwarden"]),
		line(["SYN to SYN-ACK, ns in the program", prog("bare-tx"), "-", "-", prog("syn4")]),
		line(["established segment, hot / random", "-", "-", "-",
			prog("known") + " / " + prog("known-1m")]),
		line(["bogus ACK / RST / FIN", "-", "-", "-",
			([prog("ack-ts"), prog("rst"), prog("fin")] | join(" / "))]),
		line(["egress segment without flags", "-", "-", "-", prog("out")]),
		line(["answered SYN on one core, M/s", rate("echo"), rate("cookies"), rate("synproxy"),
			rate("ours")]),
		line(["clients under flood: success, p99", "-", felt("cookies"), felt("synproxy"),
			felt("ours")])' "$T/result"
}

# Inside, as process 1 of the namespaces.
run_bench() {
	local load
	trap 'exit 130' INT TERM
	read -r load _ < /proc/loadavg
	mount -t bpf bpf /sys/fs/bpf
	mkdir -p /run/netns
	mount -t tmpfs tmpfs /run/netns
	method_prog
	# the server's process and its clients share core 1; the flood and its answers core 0
	taskset -pc 1 $$ > /dev/null
	method_answers
	method_clients
	result "$load"
	tell
	summary
}

need_all() {
	local f
	[ "$EUID" = 0 ] || { progress "bench: namespaces need root"; exit 1; }
	for f in jq nft ethtool nginx ip taskset unshare; do
		command -v "$f" > /dev/null || { progress "bench: $f is not installed"; exit 1; }
	done
	for f in "$SW_BIN" "$FLOOD" "$PACED" "$BENCH"; do
		[ -x "$f" ] || { progress "bench: $f is not built: run 'make tests'"; exit 1; }
	done
}

interrupted() {
	local inner=
	trap '' INT TERM HUP
	# unshare blocks SIGTERM; killing process 1 of its namespace ends all in it
	[ -z "$CHILD" ] || inner=$(ps -o pid= --ppid "$CHILD") || true
	[ -z "$inner" ] || kill -KILL "${inner// /}" || true
	[ -z "$CHILD" ] || wait "$CHILD" || true
	progress "bench: interrupted"
	exit 130
}

# what `sudo make bench` built in a user's clone is that user's again
give_back() {
	if [ -n "${SUDO_UID-}" ] && [ "$(stat -c %u "$(dirname "$SW_BUILD")")" = "$SUDO_UID" ]; then
		chown -R "$SUDO_UID:${SUDO_GID-}" "$SW_BUILD"
	fi
}

if [ "${1-}" = --inside ]; then
	T=$2
	run_bench
	exit 0
fi
need_all
DIR=$(mktemp -d)
CHILD=
trap 'rm -rf "$DIR"; give_back' EXIT
trap interrupted INT TERM HUP
status=0
unshare --mount --pid --fork --kill-child --mount-proc --net "$BASH" "$SELF" --inside "$DIR" \
	< /dev/null &
CHILD=$!
wait "$CHILD" || status=$?
CHILD=
[ "$status" = 0 ] || exit "$status"
mv "$DIR/result" "$SW_BUILD/bench.json"
progress "written: $SW_BUILD/bench.json"
