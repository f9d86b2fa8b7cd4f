#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Nobody who works on the host by ssh is locked out: which sshd and which sessions are found, by
# the environment, by sockets and by what attach noted. Not here: what keeps a session out, which
# is tests/unit_lists.c.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

# fake_sshd PORT...: listens, and is called sshd
fake_sshd() {
	start server "$T/sshd" "$PYTHON" -c '
import socket, sys, time
open("/proc/self/comm", "w").write("sshd")
all = [socket.create_server(("::", int(p)), family=socket.AF_INET6, dualstack_ipv6=True)
       for p in sys.argv[1:]]
print("ready", flush=True)
time.sleep(3600)' "$@"
	wait_until 15 grep -q ready "$T/sshd"
}

test_attach_saves_the_session_that_attaches() { # P06
	net_up
	start_nginx
	fake_sshd 2222 2200
	by "$C6 50000 $S6 2222" attach s0 > /dev/null 2> "$T/said"
	expect_in "said" "port 2200" "$(cat "$T/said")"
	expect_in "said" "port 2222" "$(cat "$T/said")"
	expect_in "said" "$C6 of this session" "$(cat "$T/said")"
	expect_eq "lines said" 1 "$(grep -c fail-safe "$T/said")"
	expect_eq "ports" "[2200,2222]" "$(guard fail-safe list -j | jq -c '.ports | sort')"
	expect_eq "sources" "$C6 session that attached" \
		"$(guard fail-safe list -j | jq -r '.entries[] | .prefix + " " + .comment')"
	expect_in "status" "port 22" "$(guard status | grep fail-safe:)"
	guard service add any 80 --mode always
	guard service add any 2200-2300 --mode always
	guard deny add any
	! fetch $S4 0.3 2> /dev/null || fail "$C4 is let in"
	fetch "[$S6]" > /dev/null || fail "$C6 is not let in"
	cl bash -c "exec 3<> /dev/tcp/$S4/2222" || fail "the ssh port is denied"
	# another attach leaves them alone
	guard fail-safe port del 2200
	by "$C4 50000 $S4 2222" attach s0 > /dev/null 2>&1
	expect_eq "ports" "[2222]" "$(guard fail-safe list -j | jq -c .ports)"
	expect_eq "sources" 1 "$(guard fail-safe list -j | jq '.entries | length')"
	guard detach --all
	by "$C6 50000 $S6 2222" attach s0 --no-fail-safe > /dev/null
	expect_eq "nothing" '{"ports":[],"entries":[]}' \
		"$(guard fail-safe list -j | jq -c '{ports, entries}')"
	stop "$STARTED"
}

# real_sshd: on port 2222, for root with a key of this test
real_sshd() {
	# it wants /run/sshd, and what the machine has there is none of ours
	mount -t tmpfs tmpfs /run
	mkdir -p /run/netns /run/sshd
	mount -t tmpfs tmpfs /run/netns
	net_up
	ssh-keygen -q -t ed25519 -N "" -f "$T/key"
	ssh-keygen -q -t ed25519 -N "" -f "$T/host"
	cp "$T/key.pub" "$T/authorized"
	cat > "$T/sshd_config" <<-END
		Port 2222
		HostKey $T/host
		AuthorizedKeysFile $T/authorized
		StrictModes no
		UsePAM no
		PermitRootLogin yes
		PidFile none
		UseDNS no
		GatewayPorts yes
	END
	start server "$T/sshd" /usr/sbin/sshd -D -e -f "$T/sshd_config"
	wait_until 15 listening server 2222
}

session() {
	cl ssh -q -i "$T/key" -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
		-o BatchMode=yes -o ConnectTimeout=1 "$@"
}

test_ssh_session_outlives_deny_any() { # P03 P06
	local before
	need ssh ssh-keygen /usr/sbin/sshd
	real_sshd
	session root@$S4 true || fail "no ssh at all: $(cat "$T/sshd")"
	session root@$S4 "$SW_BIN attach s0 > /dev/null; $SW_BIN service add any 2222 --mode always" ||
		fail "attach by ssh"
	expect_eq "ports" "[2222]" "$(guard fail-safe list -j | jq -c .ports)"
	expect_eq "sources" "$C4" "$(guard fail-safe list -j | jq -r '.entries[].prefix')"
	start client "$T/session" ssh -q -i "$T/key" -p 2222 -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null root@$S4 "while sleep 0.1; do echo alive; done"
	wait_until 10 grep -q alive "$T/session"
	guard deny add any
	session root@$S4 true || fail "no new session by the port that is fail-safe"
	guard fail-safe port del 2222
	session root@$S4 true || fail "no new session from the address that is fail-safe"
	! session root@$S6 true || fail "a session from where nobody saved it"
	refused "the session that is there" 1 "a session of ssh out: 'any'" guard fail-safe clear
	guard fail-safe clear --force
	! session root@$S4 true || fail "a session though everything is denied"
	before=$(wc -l < "$T/session")
	sleep 0.5
	expect_gt "lines of the session that was there" "$(wc -l < "$T/session")" "$before"
	stop "$STARTED"
}

# held_session: one that goes on and forwards a port, its process in HELD
held_session() {
	start client "$T/held" ssh -q -i "$T/key" -p 2222 -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null -o BatchMode=yes -R "*:3333:$S4:1" root@$S4 \
		"echo here; sleep 60"
	HELD=$STARTED
	wait_until 10 grep -q here "$T/held" || fail "no ssh: $(cat "$T/sshd")"
}

# knocks PORT [ADDRESS]: a connection that stays open, without a word
knocks() {
	local to=$S4
	case ${2-} in *:*) to=$S6 ;; esac
	start client "$T/knocks" "$PYTHON" -c '
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5, (sys.argv[3], 0))
print("open", flush=True)
time.sleep(60)' $to "$1" "${2:-$C4}"
	wait_until 10 grep -q open "$T/knocks" || fail "no connection: $(cat "$T/knocks")"
}

ends() { stop "$@"; wait_until 5 none_here || fail "$(sv ss -Htno)"; }
none_here() { [ -z "$(sv ss -HtnO state established)" ]; }

limits_keep_sessions_in() {
	local set="service set any 2222" ban="--over ban:30d"
	# shellcheck disable=SC2086 # words
	{
		refused "conns" 1 "conns=1 of service 'any 2222' refuses one more of $C4" \
			guard $set --per-source conns=1 $ban
		expect_in "hint" "fail-safe port add 2222" "$OUT"
		refused "conns of its net" 1 "the net of $C4" guard $set --per-net conns=1 --over drop
		guard $set --per-source conns=1 --over count
		refused "no more only counted" 1 "conns=1" guard $set $ban
		guard $set --per-source conns=2 $ban
		guard $set --per-source conns=1 --force
		guard $set --per-source new=5,conns=1 # no worse than it was
		guard $set --per-source conns=off
	}
}

file_keeps_sessions_in() {
	cat > "$T/file" <<- 'END'
		devices: [s0]
		services: [{ prefix: any, ports: 2222, mode: auto, per-source: { conns: 1 }, over: drop }]
	END
	refused "apply" 1 "one more of $C4" guard apply "$T/file"
	refused "dry run" 1 "one more of $C4" guard apply "$T/file" --dry-run
	guard detach --all
	refused "attach" 1 "one more of $C4" guard attach --config "$T/file" --no-fail-safe
}

test_ssh_sessions_are_found_by_their_connections() { # P06
	need ssh ssh-keygen /usr/sbin/sshd
	real_sshd
	cl ip addr add 10.9.0.3/32 dev c0
	held_session
	guard attach s0 > /dev/null 2>&1
	expect_eq "ports" "[2222]" "$(guard fail-safe list -j | jq -c .ports)"
	guard fail-safe port del 2222
	guard service add any 2222 --mode always
	refused "cron" 1 "keep a session of ssh out: '10.9.0.0/24'" guard deny add 10.9.0.0/24
	expect_in "who" "refuses $C4 at service 'any 2222'" "$OUT"
	refused "tmux" 1 "refuses $C4" by "198.51.100.7 50000 $S4 2222" deny add 10.9.0.0/24
	refused "the environment too" 1 "keep you out" by "198.51.100.7 50000 $S4 2222" \
		deny add 198.51.100.7
	limits_keep_sessions_in
	# whoever has not logged in is refused nobody's change
	knocks 2222 10.9.0.3
	guard deny add 10.9.0.3
	stop "$STARTED"
	guard fail-safe port add 2222
	guard deny add any
	refused "port" 1 "refuses $C4" guard fail-safe port del 2222
	guard deny clear
	guard fail-safe port del 2222
	file_keeps_sessions_in
	ends "$HELD"
	guard attach --config "$T/file" --no-fail-safe > /dev/null 2>&1 || fail "nobody is here"
}

# reloads WORDS: the daemon says so when it is told to, SAID is all it says
reloads() {
	local before
	before=$(wc -l < "$T/daemon")
	kill -HUP "$DAEMON"
	wait_until 10 says_since "$before" "$1" || fail "$(cat "$T/daemon")"
}
says_since() {
	SAID=$(tail -n +$(($1 + 1)) "$T/daemon")
	grep -q "$2" <<< "$SAID"
}

# it cannot see who has a connection: port 22 and the ports that attach found are sshd's
test_daemon_keeps_sessions_in() { # P06
	net_up
	export SYNWARDEN_RUN=$T/run
	fake_sshd 22 2200
	guard attach s0 > "$T/attach" 2>&1
	expect_eq "ports" "[22,2200]" "$(guard fail-safe list -j | jq -c '.ports | sort')"
	guard fail-safe port del 22
	echo 'fail-safe: { ports: [2200] }' > "$T/file"
	guard apply "$T/file"
	start server "$T/daemon" env SSH_CONNECTION="198.51.100.7 50000 $S4 22" "$SW_BIN" -v run
	DAEMON=$STARTED
	# before that SIGHUP may end it
	wait_until 10 grep -q 'debug: sweep' "$T/daemon" || fail "run: $(cat "$T/daemon")"
	cat > "$T/file" <<- 'END'
		services: [{ prefix: any, ports: 20-3000, mode: always }]
		lists: { deny: { entries: [10.9.0.0/24, "fd09::/64"] } }
		fail-safe: { ports: [] }
	END
	knocks 22
	reloads "before stays in force"
	expect_in "why" "refuses $C4 at service 'any 20-3000'" "$SAID"
	expect_eq "services" "[]" "$(guard service list -j | jq -c .)"
	ends "$STARTED"
	knocks 2200 $C6
	reloads "before stays in force"
	expect_in "why" "'fd09::/64' of the deny list refuses $C6" "$SAID"
	ends "$STARTED"
	reloads "file is in force"
	expect_eq "services" 1 "$(guard service list -j | jq length)"
	stop "$DAEMON"
}

# systemd listens and hands each connection to an sshd of its own: here process 1 of a namespace
socket_activated() {
	start server "$T/manager" unshare --mount --pid --fork --kill-child --mount-proc "$PYTHON" -c '
import os, socket, sys, time
session = """
import time
open("/proc/self/comm", "w").write("sshd-session")
print("session", flush=True)
time.sleep(3600)
"""
listener = socket.create_server(("::", 2222), family=socket.AF_INET6, dualstack_ipv6=True)
other = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
s = listener.accept()[0]
if not os.fork():
    listener.close()
    other.close()
    s.set_inheritable(True)
    os.execv(sys.executable, ["sshd-session: root@pts/0", "-c", session])
s.close()
time.sleep(3600)'
	MANAGER=$STARTED
	wait_until 15 grep -q ready "$T/manager"
	knocks 2222
	wait_until 15 grep -q session "$T/manager"
}

test_sshd_that_has_no_listener_of_its_own() { # P06
	local inside
	net_up
	socket_activated
	inside="nsenter -t $(pgrep -P "$MANAGER") --mount --pid --net $SW_BIN"
	# shellcheck disable=SC2086 # words
	{
		$inside attach s0 > /dev/null 2>&1
		expect_eq "ports" "[2222]" "$(guard fail-safe list -j | jq -c .ports)"
		guard service add any 2222 --mode always
		guard deny add any
		refused "its session" 1 "refuses $C4" $inside fail-safe port del 2222
	}
	kill -KILL "$MANAGER" # unshare blocks SIGTERM
	stop "$MANAGER" "$STARTED"
	guard detach --all
	# what others have open is not to be seen
	fake_sshd 22 2222
	sv setpriv --bounding-set=-sys_ptrace "$SW_BIN" attach s0 > /dev/null 2>&1
	expect_eq "ports" "[22]" "$(guard fail-safe list -j | jq -c .ports)"
	stop "$STARTED"
}

run_tests "$@"
