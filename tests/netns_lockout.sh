#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Nobody who works on the host by ssh is locked out: what attach makes fail-safe, and a real
# session. Not here: what keeps a session out, which is tests/unit_lists.c.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

# Whoever runs these tests by ssh is no session of theirs.
unset SSH_CONNECTION SSH_CLIENT

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
	guard fail-safe clear
	! session root@$S4 true || fail "a session though everything is denied"
	before=$(wc -l < "$T/session")
	sleep 0.5
	expect_gt "lines of the session that was there" "$(wc -l < "$T/session")" "$before"
	stop "$STARTED"
}

run_tests "$@"
