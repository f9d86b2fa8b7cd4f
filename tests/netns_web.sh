#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# synwarden web: what it serves is what the commands print, whoever may not look does not, a crowd
# does no harm, and the page shows the counters. Not here: the daemon's socket, what is exported.

set -euo pipefail
# shellcheck source=tests/netns_daemon_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_daemon_lib.sh"

# shellcheck source=tests/netns_nspawn_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_nspawn_lib.sh"

WEB_URL=http://127.0.0.1:9857/
SOCKET=/mnt/control.sock

# web_up ARGS...: WEB is its process; /mnt, as it may have given up what $T needs
web_up() {
	start server "$T/web" "$SW_BIN" web "$@"
	WEB=$STARTED
	wait_until 10 grep -q 'listening on' "$T/web" || fail "web: $(cat "$T/web")"
}
web_down() {
	local status=0
	kill -TERM "$WEB"
	wait "$WEB" || status=$?
	expect_eq "exit of web" 0 "$status"
}

web() { sv "$PYTHON" "$HERE/web.py" "$@" || fail "web.py $1"; }
get() { sv curl -s -S -g -m 8 "$WEB_URL$1"; }

# a daemon made up, on $SOCKET; what it is asked is in /mnt/asked
fake_up() {
	new_ns server
	mount -t tmpfs tmpfs /mnt
	start server "$T/fake" "$PYTHON" "$HERE/web.py" fake $SOCKET /mnt/asked
	wait_until 5 grep -q ready "$T/fake"
}

# a guard, its daemon and web
guarded_up() {
	net_up
	mount -t tmpfs tmpfs /mnt
	start_nginx
	guard attach s0 > "$T/attach"
	guard service add any 80 --mode auto --arm syns=2000:1000,hold=2s --per-source new=100000
	guard service add any 443 --mode monitor
	daemon_up --interval 1 --socket $SOCKET
	web_up --socket $SOCKET
}

# same_as PATH FILTER COMMAND...: but for what the filter of jq takes out
same_as() {
	local path=$1 filter=$2 try
	shift 2
	for try in 1 2 3; do
		get "api/v1/$path" | jq -S "$filter" > "$T/got"
		guard "$@" -j | jq -S "$filter" > "$T/want"
		! cmp -s "$T/got" "$T/want" || return 0
		sleep 0.3
	done
	fail "$path is not '$*' (try $try): $(diff "$T/want" "$T/got" | head -n 20)"
}

has_samples() { [ "$(get api/v1/history | jq '.samples | length')" -gt 1 ]; }

test_api_is_what_the_commands_print() { # O01 @limit=90
	guarded_up
	family 4
	fetch "$URL" > /dev/null
	guard deny add 192.0.2.0/24 --comment "a \"word\""
	guard allow add 198.51.100.1
	same_as status 'del(.key, .live_filter)' status
	same_as stats . stats
	same_as services . service list
	same_as attacks . attacks
	same_as sources 'map(del(.last_opened_s))' sources
	same_as bans . ban list
	same_as limits . limit show
	same_as allow . allow list
	same_as deny . deny list
	same_as conns 'map(del(.age_s, .idle_s, .state_s))' conns
	same_as 'conns?state=established,time-wait&sort=client&limit=3' 'map(del(.age_s, .idle_s, .state_s))' \
		conns --state established,time-wait --sort client --limit 3
	expect_eq "health" ok "$(get healthz)"
	expect_eq "ready" ready "$(get readyz)"
	expect_eq "metrics" "$(guard metrics --socket $SOCKET | sed -n 's/^# TYPE //p' | grep -v '^process_' | sort)" \
		"$(get metrics | sed -n 's/^# TYPE //p' | grep -v '^process_' | sort)"
	web methods
	web types
	wait_until 5 has_samples || fail "samples: $(get api/v1/history | head -c 300)"
	expect_eq "one sample" 1 "$(get 'api/v1/history?limit=1' | jq '.samples | length')"
	get 'api/v1/events?limit=5' | jq -s . > /dev/null || fail "events"
	guard detach s0
	expect_eq "ready without a device" "no device is attached" "$(get readyz)"
	web_down
	daemon_down
}

test_what_a_stranger_says_is_no_option() { # O01
	fake_up
	web_up --socket $SOCKET
	web arguments /mnt/asked
	web hosts
	web odd_daemon
	web_down
	stop "$STARTED"
}

test_only_with_the_token() { # O02
	local token=t0ken-Of-twenty-signs
	fake_up
	echo $token > /mnt/token
	chmod 644 /mnt/token
	refused "token that all may read" 1 "every user may read" sv "$SW_BIN" web --token-file /mnt/token
	chmod 640 /mnt/token
	echo short > /mnt/short
	chmod 600 /mnt/short
	refused "short token" 1 "characters" sv "$SW_BIN" web --token-file /mnt/short
	refused "no token" 1 "No such file" sv "$SW_BIN" web --token-file /mnt/none
	web_up --socket $SOCKET --token-file /mnt/token
	web token $token
	# told nowhere
	! grep -q "$token" "$T/web" || fail "the token is in the log"
	web_down
}

test_reach_needs_a_token() { # O02
	local words
	new_ns server
	for words in 0.0.0.0:9857 '[::]:9857'; do
		refused "$words" 1 "there is no token" sv "$SW_BIN" web --listen "$words"
	done
	for words in 127.0.0.1 localhost:80 127.0.0.1:0 127.0.0.1:65536 ':80' '[::1:80' '1.2.3:4' '127.0.0.1:80x'; do
		refused "$words" 2 "ADDRESS:PORT" sv "$SW_BIN" web --listen "$words"
	done
	refused "an address that is not ours" 1 "Cannot assign" sv "$SW_BIN" web --listen 10.255.0.1:9857
	# a socket of the service manager's is no excuse
	start server "$T/activate" systemd-socket-activate -l 0.0.0.0:9858 "$SW_BIN" web
	wait_until 5 listening server 9858
	sv curl -s -m 2 http://127.0.0.1:9858/healthz || true
	wait_until 5 grep -q "there is no token" "$T/activate" || fail "$(cat "$T/activate")"
	stop "$STARTED"
	# the one that can be reached is named, wherever it stands
	start server "$T/activate" systemd-socket-activate -l 0.0.0.0:9858 -l '[::1]:9857' "$SW_BIN" web
	wait_until 5 listening server 9858
	sv curl -s -m 2 http://127.0.0.1:9858/healthz || true
	wait_until 5 grep -q "http://0.0.0.0:9858/ can be reached" "$T/activate" || fail "$(cat "$T/activate")"
	stop "$STARTED"
}

test_socket_of_the_service_manager() { # O02
	fake_up
	start server "$T/activate" systemd-socket-activate -l 127.0.0.1:9857 -l '[::1]:9857' \
		"$SW_BIN" web --socket $SOCKET
	wait_until 5 listening server 9857
	expect_eq "over IPv4" ok "$(get healthz)"
	expect_eq "over IPv6" ok "$(sv curl -s -g -m 5 'http://[::1]:9857/healthz')"
	expect_in "both are told" "listening on http://127.0.0.1:9857/, http://[::1]:9857/" "$(cat "$T/activate")"
	stop "$STARTED"
}

test_root_is_given_up() { # O02
	local status
	net_up
	mount -t tmpfs tmpfs /mnt
	cp /etc/group /mnt/group
	grep -v '^synwarden:' /etc/group > /mnt/group
	mount --bind /mnt/group /etc/group
	guard attach s0 > "$T/attach"
	daemon_up --socket $SOCKET
	web_up --socket $SOCKET
	status=$(grep -E '^(CapPrm|CapEff|CapBnd|NoNewPrivs)' /proc/"$WEB"/status)
	expect_eq "capabilities" "CapPrm: 0000000000000000 CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1" \
		"$(tr -s '\t\n' '  ' <<< "$status" | sed 's/ $//')"
	expect_in "note" "there is no group" "$(cat "$T/web")"
	expect_eq "ready" ready "$(get readyz)"
	web_down
	daemon_down
	echo 'synwarden:x:64123:' >> /mnt/group
	daemon_up --socket $SOCKET
	web_up --socket $SOCKET
	expect_eq "user and group" "65534 65534 65534 65534 64123 64123 64123 64123" \
		"$(awk '/^[UG]id:/ { $1 = ""; printf "%s", $0 }' /proc/"$WEB"/status | sed 's/^ //')"
	expect_eq "groups" "" "$(awk '/^Groups:/ { $1 = ""; print }' /proc/"$WEB"/status | tr -d ' ')"
	expect_eq "ready" ready "$(get readyz)"
	web_down
	daemon_down
	umount /etc/group
}

test_daemon_away_and_stopped() { # O03 @limit=90
	net_up
	mount -t tmpfs tmpfs /mnt
	guard attach s0 > "$T/attach"
	web_up --socket $SOCKET
	web away
	daemon_up --socket $SOCKET
	wait_until 3 ready || fail "not ready: $(get readyz)"
	kill -STOP "$DAEMON"
	web stopped
	kill -CONT "$DAEMON"
	wait_until 30 ready || fail "not ready again: $(get readyz)"
	web_down
	daemon_down
}
ready() { [ "$(get readyz)" = ready ]; }

test_odd_slow_and_many_clients() { # O03 @limit=120
	fake_up
	web_up --socket $SOCKET
	web malformed
	web fuzz "${SW_SEED:-$RANDOM}" 4
	web crowd "$WEB"
	expect_eq "what it said" "" "$(grep -vE 'listening on|no group|groupadd' "$T/web" || true)"
	web_down
}

# as long as the page takes, however slow this machine starts a browser
clients_end() {
	kill -INT "$1"
	wait "$1" || true # told that it was stopped
	expect_eq "clients served" "$(field tried < "$T/clients")" "$(field ok < "$T/clients")"
	expect_ge "clients that came" "$(field tried < "$T/clients")" 300
}

test_page_shows_the_counters() { # O04 @limit=240
	local pictures=$SW_BUILD/pictures
	need chromium
	mkdir -p "$pictures"
	guarded_up
	start client "$T/clients" taskset -c $(($(nproc) - 1)) "$PACED" --dst $S4 --port 80 --rate 60 --seconds 230
	local page clients=$STARTED
	sleep 3
	flood --dst $S4 --dport 80 --rate 50000 --seconds 230 --kind syn,ack,null
	sv "$PYTHON" "$HERE/page.py" $WEB_URL "$pictures" live || fail "page under a flood"
	stop "$FLOODING"
	face_guard client c0
	clients_end "$clients"
	sv "$PYTHON" "$HERE/page.py" $WEB_URL "$pictures" still || fail "page when it is over"
	expect_eq "cookies by metrics" "$(guard stats -j | jq '[.[] | select(.reason | startswith("tx_")) | .packets] | add')" \
		"$(get metrics | awk '/^synwarden_cookies_sent_total/ { n += $NF } END { print n }')"
	start server "$T/page" "$PYTHON" "$HERE/page.py" $WEB_URL "$pictures" away
	page=$STARTED
	wait_until 30 grep -q shown "$T/page" || fail "$(cat "$T/page")"
	daemon_down
	wait "$page" || fail "page without a daemon: $(cat "$T/page")"
	web_down
}

test_page_with_answers_made_up() { # O04 @limit=90
	need chromium
	new_ns server
	mount -t tmpfs tmpfs /mnt
	web_up --socket $SOCKET
	sv "$PYTHON" "$HERE/page_made.py" $WEB_URL > "$T/said" || fail "$(cat "$T/said")"
	say "$(cat "$T/said")"
	web_down
}

test_web_unit_is_hardened() { # O02
	need systemd-analyze
	systemd-analyze security --offline=true --threshold=13 "$HERE/../deploy/synwarden-web.service" > "$T/said" 2>&1 ||
		fail "exposure: $(tail -n 1 "$T/said")"
	say "MEASURED $(tail -n 1 "$T/said" | tr -dc ' -~')"
}

# A root with both units as they are installed, the socket instead of the service
web_root() {
	local root=$T/root dir unit
	mkdir -p "$root"/{usr,run,tmp,var/log,proc,sys,dev,opt/sbin,etc/synwarden,etc/systemd/system}
	for dir in bin sbin lib lib64; do
		[ ! -e /usr/$dir ] || ln -s usr/$dir "$root/$dir"
	done
	cp /etc/passwd /etc/os-release "$root/etc/"
	grep -v '^synwarden:' /etc/group > "$root/etc/group"
	echo 'synwarden:x:964:' >> "$root/etc/group"
	: > "$root/etc/machine-id"
	cp "$SW_BIN" "$root/opt/sbin/"
	for unit in synwarden.service synwarden-web.service synwarden-web.socket; do
		sed 's,/usr/local/sbin/,/opt/sbin/,' "$HERE/../deploy/$unit" > "$root/etc/systemd/system/$unit"
	done
	mkdir "$root/etc/systemd/system/synwarden.service.d" "$root/etc/systemd/system/synwarden-web.service.d"
	printf '[Service]\n%s\n' StandardOutput=append:/var/log/guard StandardError=append:/var/log/guard |
		tee "$root/etc/systemd/system/synwarden-web.service.d/log.conf" \
			> "$root/etc/systemd/system/synwarden.service.d/log.conf"
	printf '[Unit]\nWants=synwarden.service synwarden-web.socket\n' > "$root/etc/systemd/system/lab.target"
	echo '{ devices: [s0], services: [{ prefix: any, ports: 80 }] }' > "$root/etc/synwarden/synwarden.yaml"
}

test_units_serve_under_systemd() { # O02 @limit=90
	local pid
	net_up
	web_root
	container_up --bind-ro=/usr
	wait_until 30 is_active || fail "not active: $(ctl status synwarden): $(log): $(cat "$T/console")"
	expect_eq "before anybody came" inactive "$(ctl is-active synwarden-web || true)"
	wait_until 5 ready || fail "not ready: $(get readyz): $(ctl status synwarden-web): $(log)"
	expect_eq "over IPv6" ready "$(sv curl -s -g -m 5 'http://[::1]:9857/readyz')"
	expect_eq "services" '"any 80"' "$(get api/v1/services | jq '.[].service')"
	pid=$(ctl show -P MainPID synwarden-web)
	nsenter -t "$INIT" -m -p -- sh -c "cat /proc/$pid/status" > "$T/status"
	expect_gt "its user" "$(awk '/^Uid:/ { print $3 }' "$T/status")" 0
	expect_in "its groups" " 964" "$(grep '^Groups:' "$T/status" | tr '\t' ' ')"
	expect_eq "its capabilities" 0000000000000000 "$(awk '/^CapBnd:/ { print $2 }' "$T/status")"
	expect_eq "its filter of system calls" 2 "$(awk '/^Seccomp:/ { print $2 }' "$T/status")"
	ctl stop synwarden-web.socket synwarden-web synwarden > /dev/null
	container_down
}

# web_drop_in UNIT: what its comment tells to put there, as a drop-in
web_drop_in() {
	local root=$T/root
	mkdir -p "$root/etc/systemd/system/$1.d"
	sed -n "s,^#\t,,p" "$HERE/../deploy/$1" | sed 's,/usr/local/sbin/,/opt/sbin/,' |
		(echo "[$2]"; cat) > "$root/etc/systemd/system/$1.d/reach.conf"
}

test_units_as_their_comments_say() { # O02 @limit=90
	local token=t0ken-Of-twenty-signs
	net_up
	web_root
	# a host without IPv6
	sv sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.lo.disable_ipv6=1
	(umask 027; echo $token > "$T/root/etc/synwarden/web.token")
	web_drop_in synwarden-web.service Service
	web_drop_in synwarden-web.socket Socket
	container_up --bind-ro=/usr
	wait_until 30 is_active || fail "not active: $(ctl status synwarden): $(log): $(cat "$T/console")"
	expect_eq "the socket" active "$(ctl is-active synwarden-web.socket || ctl status synwarden-web.socket)"
	expect_eq "without the token" 401 "$(sv curl -s -o /dev/null -w '%{http_code}' -m 8 "http://$S4:9857/readyz")"
	expect_eq "with it" ready "$(sv curl -s -m 8 -H "Authorization: Bearer $token" "http://$S4:9857/readyz")"
	ctl stop synwarden-web.socket synwarden-web synwarden > /dev/null
	container_down
}

run_tests "$@"
