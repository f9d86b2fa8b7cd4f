#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Lists and fail-safe: real clients that are denied and allowed, files of prefixes, and that
# nobody keeps himself out. Not here: each packet, that is prog_lists.c.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

# connects ADDRESS [SECONDS [PORT]]: a new connection from it, to the server's of its family
connects() {
	local to=$S4
	case $1 in *:*) to="[$S6]" ;; esac
	cl curl -s -g -o /dev/null -m "${2:-5}" --interface "$1" "http://$to:${3:-80}/"
}
# each of these at the same time
comes() {
	local a jobs=()
	for a; do connects "$a" & jobs+=("$a $!"); done
	for a in "${jobs[@]}"; do wait "${a#* }" || fail "${a% *} got no connection"; done
}
stays_out() {
	local a jobs=()
	for a; do connects "$a" 0.3 & jobs+=("$a $!"); done
	for a in "${jobs[@]}"; do ! wait "${a#* }" || fail "${a% *} got a connection"; done
}

# more_addresses: the client has several
more_addresses() {
	local a
	for a in 10.9.0.3 10.9.0.4 10.9.7.1 10.8.0.1; do cl ip addr add $a/32 dev c0; done
	for a in fd09::3 fd09::4 fd09:0:0:7::1; do cl ip addr add $a/128 dev c0 nodad; done
}

policy_up() {
	net_up
	more_addresses
	start_nginx
	guard_up "$MODE" 80
}

entries() { guard "$1" list -j | jq '.entries | length'; }

in_map() { bpftool -j map dump pinned $PIN/lists | jq length; }
in_map_are() { [ "$(in_map)" = "$1" ]; }

# refused WHAT STATUS WORDS COMMAND...: exit status and a line that holds WORDS
refused() {
	local what=$1 status=$2 words=$3
	shift 3
	expect_exit "$what" "$status" "$@"
	expect_in "$what" "$words" "$OUT"
}

# many [OCTET [COUNT]]: 100,000 prefixes, none of them anyone's here
many() {
	awk -v head="${1:-20}" -v count="${2:-100000}" 'BEGIN {
		for (i = 0; i < count; i++)
			printf "%d.%d.%d.0/24 # %d\n", head + i / 65536, i / 256 % 256, i % 256, i
	}'
}

test_denied_clients_stay_out_and_allowed_ones_come_in() { # P01 P02
	policy_up
	comes $C4 10.9.0.3 10.8.0.1 $C6 fd09::3 fd09:0:0:7::1
	expect_eq "no list in status" "" "$(guard status | grep -E 'deny:|allow:|safe:' || true)"
	guard deny add 10.9.0.0/24 fd09::/64 --comment "the neighbours"
	stays_out $C4 10.9.0.3 $C6 fd09::3
	comes 10.9.7.1 10.8.0.1 fd09:0:0:7::1
	expect_in "status" "2 entries, hit " "$(guard status | grep deny:)"
	expect_ge "hits by IPv6" "$(guard status -j | jq '.lists[2].hits_ipv6')" 2
	guard allow add 10.9.0.3 fd09::3
	comes 10.9.0.3 fd09::3
	stays_out $C4 $C6
	guard fail-safe add $C4
	comes $C4
	stays_out $C6
	guard deny del fd09::/64
	comes $C6
	guard allow clear
	stays_out 10.9.0.3
	guard deny clear
	comes 10.9.0.3 10.9.0.4
}

test_denied_where_and_for_how_long() { # P01 P05
	policy_up
	guard service add any 8080 --mode always
	guard deny add $C4 --service any 8080
	guard deny add 10.9.7.0/24
	expect_in "a shorter life is told" "covers it" "$(guard deny add 10.9.7.1 --ttl 1s 2>&1)"
	guard deny add 10.9.0.3 fd09::3 --ttl 3s --comment "for a moment"
	stays_out 10.9.0.3 fd09::3 10.9.7.1
	expect_eq "entries" 5 "$(entries deny)"
	comes $C4
	! connects $C4 0.3 8080 || fail "port 8080 answered"
	expect_in "what is left" '"left_s":' "$(guard deny list -j)"
	# services change, the entries stay with theirs
	guard service add any 81
	guard service set any 8080 --host-syns 5
	! connects $C4 0.3 8080 || fail "port 8080 answered"
	wait_until 5 connects 10.9.0.3 0.3
	comes fd09::3
	stays_out 10.9.7.1
	expect_eq "entries shown" 3 "$(entries deny)"
	expect_eq "entries counted" 3 "$(guard status -j | jq '.lists[2].entries')"
	guard service del any 8080
	expect_eq "entries shown" 2 "$(entries deny)"
	guard service add any 8080 --mode always
	connects $C4 5 8080 || fail "port 8080: $C4 is denied still"
	guard deny add 192.0.2.1
	expect_eq "in the map" 3 "$(in_map)"
	guard deny add 192.0.2.2 --ttl 1s
	guard allow add 192.0.2.3 --ttl 1s --service any 80
	start server "$T/run" "$SW_BIN" run --interval 1 # looks for them at once, then once a minute
	sleep 1.1
	stop "$STARTED"
	start server "$T/run" "$SW_BIN" run --interval 1
	wait_until 5 in_map_are 3 || fail "in the map: $(in_map); $(cat "$T/run")"
	stop "$STARTED"
	expect_eq "lists of the service" '[0,0]' "$(bpftool -j map dump pinned $PIN/services |
		jq -c '[.[].formatted.value | select(.port_first == 80) | .lists] | .[0:2]')"
}

test_hundred_thousand_prefixes() { # P04
	local began
	policy_up
	{ many && echo "10.9.0.3 # a client" && echo "fd09::3"; } > "$T/file"
	began=$EPOCHREALTIME
	guard deny load "$T/file" > "$T/said"
	in_time "100,002 prefixes loaded" "$began" 2
	expect_in "count" "100,002 read; the list has 100,002" "$(cat "$T/said")"
	stays_out 10.9.0.3 fd09::3
	comes $C4 $C6
	began=$EPOCHREALTIME
	{ many 40 && echo "$C4"; } | guard deny load - --replace -j > "$T/said"
	say "MEASURED 100,001 in the place of those: $(elapsed "$began") s"
	expect_eq "went" 100002 "$(field replaced < "$T/said")"
	expect_eq "entries" 100001 "$(field entries < "$T/said")"
	stays_out $C4
	comes 10.9.0.3 fd09::3
	began=$EPOCHREALTIME
	guard deny add 10.9.0.4
	say "MEASURED one more: $(elapsed "$began") s"
	stays_out 10.9.0.4
	guard deny clear
	comes $C4 10.9.0.4
	expect_eq "in the map" 0 "$(in_map)"
}

test_bad_files_change_nothing() { # P04
	local before line
	policy_up
	printf '%s\n' 10.9.0.3 "# remark" 10.9.0.3 "$C6 # six" > "$T/good"
	expect_in "twice" "1 of them twice" "$(guard deny load "$T/good" --comment "from a file")"
	expect_in "there" "2 were there" "$(guard deny load "$T/good")"
	before=$(guard deny list -j)
	printf '%s\n' 10.8.0.0/16 10.8.0.1/16 "" nonsense "10.8.0.0/8 x" $'\e[31m' \
		"1.1.1.1 # $(printf 'x%.0s' {1..44})" 2001:db8::/129 > "$T/bad"
	printf '1.1.1.1\0\n' >> "$T/bad"
	refused "bad file" 1 "7 of 9 lines are bad, nothing was changed" \
		guard deny load "$T/bad" --replace
	for line in 2 4 5 6 7 8 9; do expect_in "line $line" "$T/bad:$line: " "$OUT"; done
	expect_eq "lines of complaint" 8 "$(wc -l <<< "$OUT")"
	if grep -q $'\e' <<< "$OUT"; then fail "escapes in the complaint"; fi
	refused "no file" 1 "No such file" guard deny load "$T/none"
	refused "directory" 1 "directory" guard deny load "$T"
	many | sed 's/\.0\/24/.0\/25/' > "$T/half"
	{ cat "$T/half"; many 50; many 90; many 130; many 170; many 210; } > "$T/most"
	refused "too many" 1 "524288" guard deny load "$T/most"
	expect_eq "list afterwards" "$before" "$(guard deny list -j)"
	stays_out 10.9.0.3 $C6
	comes $C4
}

test_bad_words_about_lists_change_nothing() { # P04 L03
	local before port
	net_up
	guard attach s0 > /dev/null
	guard deny add 192.0.2.0/24
	before=$(guard deny list -j)
	refused "no verb" 2 "add, del" guard deny
	refused "verb" 2 "did you mean 'deny clear'" guard deny claer
	refused "no prefix" 2 PREFIX guard allow add
	refused "prefix" 2 "192.0.2.0/24" guard deny add 1.1.1.1 192.0.2.1/24
	refused "ttl" 2 "ten years" guard deny add 1.1.1.1 --ttl forever
	refused "comment" 2 printable guard deny add 1.1.1.1 --comment $'\e[2J'
	refused "option" 2 --ttl guard deny del 192.0.2.0/24 --ttl 5
	refused "option" 2 --replace guard deny add 1.1.1.1 --replace
	refused "option of others" 2 --mode guard deny add 1.1.1.1 --mode always
	refused "service" 1 "any 81" guard deny add 1.1.1.1 --service any 81
	refused "del" 1 "10.0.0.0/8 is not in the deny list" guard deny del 192.0.2.0/24 10.0.0.0/8
	refused "port of deny" 2 "clear" guard deny port add 22
	refused "port" 2 "1 to 65535" guard fail-safe port add 65536
	refused "port not there" 1 "no fail-safe port" guard fail-safe port del 22
	expect_eq "list afterwards" "$before" "$(guard deny list -j)"
	for port in 1 2 3 4 5 6 7 8; do guard fail-safe port add $port; done
	refused "ninth port" 1 "the most" guard fail-safe port add 9
	guard fail-safe port add 8
	expect_eq "ports" '[1,2,3,4,5,6,7,8]' "$(guard fail-safe list -j | jq -c .ports)"
}

test_lists_change_at_one_stroke() { # P04 L03
	local n tries=0 changes=0 end
	policy_up
	many 20 3000 > "$T/one"
	many 40 3000 > "$T/two"
	for n in one two; do printf '%s\n' 10.9.0.3 fd09::3 >> "$T/$n"; done
	guard deny load "$T/one" > /dev/null
	start server "$T/changes" bash -c "while :; do for f in two one; do
		'$SW_BIN' deny load '$T/'\$f --replace || exit 1; done; done"
	end=$((SECONDS + 2))
	while [ $SECONDS -lt $end ]; do
		stays_out 10.9.0.3 fd09::3
		comes $C4 $C6
		tries=$((tries + 1))
	done
	stop "$STARTED"
	wait_until 5 guard status > /dev/null
	changes=$(grep -c 3,002 "$T/changes")
	if grep -vE '3,002|note: waiting' "$T/changes"; then fail "not every load was whole"; fi
	say "MEASURED $changes changes of 3,002 prefixes, $tries times tried in between"
	expect_ge "changes" "$changes" 5
}

test_nobody_cuts_himself_off() { # P06
	local me="$C4 50000 $S4 80" before
	policy_up
	guard service add any 8080
	before=$(guard deny list -j)
	refused "deny any" 1 "'any' of the deny list refuses $C4 at service 'any 80'" by "$me" deny add any
	expect_in "hint" "fail-safe add $C4" "$OUT"
	refused "IPv4" 1 "10.9.0.0/24" by "$me" deny add 192.0.2.1 10.9.0.0/24
	refused "IPv6" 1 "fd09::1" by "$C6 50000 $S6 80" deny add fd09::/16
	echo 10.0.0.0/8 > "$T/file"
	refused "file" 1 "keep you out" by "$me" deny load "$T/file"
	# what runs without the variable, as below sudo, is still of that session
	# shellcheck disable=SC2016 # for the other shell
	refused "sudo" 1 "keep you out" sv env SSH_CONNECTION="$me" bash -c \
		'env -u SSH_CONNECTION bash -c "$0 deny add any; exit \$?"; exit $?' "$SW_BIN"
	refused "SSH_CLIENT" 1 "keep you out" sv env SSH_CLIENT="$C4 50000 80" "$SW_BIN" deny add any
	expect_eq "list" "$before" "$(guard deny list -j)"
	by "$me" deny add 10.9.0.3
	by "$C4 50000 $S4 22" deny add 10.9.0.0/16 # not guarded
	refused "worse" 0 "" by "$me" deny add 10.9.7.1 # is out already, that is no reason
	guard deny clear
	by "$C4 50000 $S4 8080" deny add any # mode monitor refuses nobody
	refused "mode" 1 "'any 8080'" by "$C4 50000 $S4 8080" service set any 8080 --mode auto
	expect_eq "mode" monitor "$(guard service list -j | jq -r '.[] | select(.service == "any 8080").mode')"
	by "$C4 50000 $S4 8080" service set any 8080 --host-syns 1
	by "$C4 50000 $S4 8080" service set any 8080 --mode auto --force
	guard service del any 8080
	refused "add" 1 "keep you out" by "$C4 50000 $S4 8080" service add any 8080 --mode always
	guard deny clear
	guard allow add 10.9.0.0/30 --ttl 1h
	refused "what saves ends before" 1 "keep you out in 3" by "$me" deny add any
	by "$me" deny add any --ttl 50m
	guard deny clear
	guard allow add 10.9.0.0/30 2> /dev/null
	by "$me" deny add any
	stays_out $C6 10.8.0.1
	comes $C4
	refused "del of what saves" 1 "keep you out" by "$me" allow del 10.9.0.0/30
	refused "clear" 1 "keep you out" by "$me" allow clear
	by "$me" fail-safe add $C4
	by "$me" allow clear
	comes $C4
	by "$me" fail-safe port add 80
	by "$me" fail-safe clear
	comes $C4 $C6 10.8.0.1
	refused "port" 1 "keep you out" by "$me" fail-safe port del 80
	by "$me" fail-safe port del 80 --force
	stays_out $C4
}

# Neither configuration refuses the client; what lies between them must not either.
test_no_packet_meets_half_of_an_apply() { # K10 L03
	local n
	net_up
	start_nginx
	export SYNWARDEN_RUN=$T/run
	guard attach s0 > "$T/attach"
	cat > "$T/old" <<- 'END'
		services: [{ prefix: any, ports: 80, mode: always }, { prefix: any, ports: 81, mode: always }]
		fail-safe: { ports: [80] }
		lists: { deny: { entries: [10.9.0.0/24, "fd09::/64"] } }
	END
	cat > "$T/new" <<- 'END'
		services: [{ prefix: any, ports: 80, mode: always }, { prefix: any, ports: 82, mode: always }]
		fail-safe: {}
		lists: {}
	END
	for n in 1 2; do
		guard apply "$T/old"
		family 4
		start client "$T/paced$n" "$PACED" --dst "$SA" --port 80 --rate 100 --seconds 3 --timeout 3000
		sleep 1
		guard apply "$T/new"
		wait "$STARTED"
		expect_eq "served" 300 "$(field ok < "$T/paced$n")"
	done
	expect_eq "denied" 0 "$(packets drop_denied)"
}

test_time_to_live_that_is_edited_begins_anew() { # P01 N05
	net_up
	export SYNWARDEN_RUN=$T/run
	guard attach s0 > "$T/attach"
	echo 'lists: { deny: { entries: [{ prefix: 203.0.113.1, ttl: 24h }] } }' > "$T/ttl"
	guard apply "$T/ttl"
	sed -i 's/24h/2h/' "$T/ttl"
	expect_exit "diff" 1 guard diff "$T/ttl"
	guard apply "$T/ttl"
	expect_exit "diff" 0 guard diff "$T/ttl"
	expect_le "seconds left" "$(guard deny list -j | jq '[.. | .left_s? // empty] | max')" 7200
}

# so many as there can be, all of them others than before
test_all_services_change_places() { # K10 K01
	local port pid
	net_up
	export SYNWARDEN_RUN=$T/run
	guard attach s0 > "$T/attach"
	server --port 1000
	for port in 1000 2000; do
		{
			echo "services:"
			seq $port $((port + 126)) | sed 's/.*/  - { prefix: any, ports: &, mode: always }/'
		} > "$T/from-$port"
	done
	guard apply "$T/from-2000"
	start_client hold "$S4" --port 1000 --bytes 10 --seconds 60
	pid=$STARTED
	wait_until 5 grep -q accepted "$T/server"
	guard apply "$T/from-1000"
	expect_eq "services" "1000 1126" \
		"$(guard service list -j | jq -r '.[].service' | sed 's/any //' | sort -n | sed -n '1p;$p' | xargs)"
	# that it was there before its service is known
	expect_eq "connection" 1 "$(guard conns --service any 1000 -j | jq 'length')"
	expect_eq "of other services" 0 "$(packets drop_cookie)"
	guard apply "$T/from-2000"
	expect_eq "connections" 0 "$(guard conns -j | jq 'length')"
	kill "$pid"
}

# ranges within ranges, each of another prefix: what one half has no room for would fill both, and
# then not even a fail-safe port could be written
test_services_leave_room_for_the_next_change() { # K10 L03
	net_up
	export SYNWARDEN_RUN=$T/run
	guard attach s0 > "$T/attach"
	{
		echo "services:"
		seq 100 | awk '{ printf "  - { prefix: 10.1.%d.0/24, ports: %d-%d, mode: off }\n",
			$1, 1000 + $1, 2000 - $1 }'
	} > "$T/nested"
	refused "apply" 1 "need 5150 entries in map prefixes, which has 4096" guard apply "$T/nested"
	expect_eq "services" "[]" "$(guard service list -j | jq -c .)"
	sed -i 81q "$T/nested"
	guard apply "$T/nested"
	guard service del 10.1.5.0/24 1005-1995
	guard service set 10.1.6.0/24 1006-1994 --mode monitor
	guard fail-safe port add 22
	expect_eq "services" 79 "$(guard service list -j | jq length)"
}

# a later fragment that hides a TCP header, of no port
tiny_fragment() {
	cl "$PYTHON" - <<- END
		from scapy.all import Ether, IP, Raw, sendp
		sendp(Ether(dst="$SMAC") / IP(src="$C4", dst="$S4", proto=6, frag=1) / Raw(bytes(12)),
		      iface="c0", verbose=False)
	END
}

test_service_within_a_stricter_one_does_not_hide_it() { # H06
	net_up
	guard attach s0 --xdp "$MODE" > /dev/null
	guard service add 10.0.0.0/8 443 --mode always
	tiny_fragment
	expect_eq "dropped" 1 "$(packets drop_fragment)"
	guard service add 10.9.0.0/16 80 --mode off
	tiny_fragment
	expect_eq "dropped, with another port of it off" 2 "$(packets drop_fragment)"
	guard service del 10.0.0.0/8 443
	tiny_fragment
	expect_eq "dropped, when nothing enforces" 2 "$(packets drop_fragment)"
}

run_tests "$@"
