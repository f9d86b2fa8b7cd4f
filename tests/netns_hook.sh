#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What is at the hooks stays at them, and nobody is asked there: drivers that reset a NIC when a
# program comes or goes do so at attach and detach alone. Not here: what each command does.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

# hooks: [link, program] of each hook of the guard; the machine may have others
hooks() {
	local pin
	for pin in "$PIN"/links/s0/*; do
		bpftool -j link show pinned "$pin"
	done | jq -cs 'map([.id, .prog_id]) | sort'
}
said() { grep -q -- "$1" "$T/daemon"; }

watch_links() {
	start server "$T/links" ip -o monitor link
	WATCHER=$STARTED
	wait_until 5 is_watching
}
# a change of something else is told, and then this one's words can be thrown away
is_watching() { sv ip link set lo txqueuelen $((RANDOM + 1)); [ -s "$T/links" ]; }

# quiet WHAT COMMAND...: same links and programs after it
quiet() {
	local what=$1
	shift
	"$@" > "$T/said" 2>&1 || fail "$what: $(cat "$T/said")"
	expect_eq "links and programs after $what" "$HOOKS" "$(hooks)"
}

daemon_lives_and_reloads() {
	local signal
	for signal in KILL TERM; do
		start server "$T/daemon" "$SW_BIN" -v run --interval 1
		wait_until 10 said 'debug: sweep' || fail "run: $(cat "$T/daemon")"
		kill -HUP "$STARTED"
		wait_until 10 said "reload:" || fail "SIGHUP: $(cat "$T/daemon")"
		kill -"$signal" "$STARTED"
		wait "$STARTED" 2> /dev/null || true
	done
}

change_everything() {
	quiet "service add" guard service add any 80 --mode auto
	quiet "service set" guard service set any 80 --mode always --per-source conns=9 --over ban:60
	quiet "service off" guard service set any 80 --mode off
	quiet "service del" guard service del any 80
	quiet "deny" guard deny add 192.0.2.0/24
	quiet "deny clear" guard deny clear
	quiet "fail-safe" guard fail-safe port add 2222
	quiet "limit" guard limit set ask-rate 77
	quiet "key rotate" guard key rotate
	quiet "sweep" guard sweep
	quiet "adopt" guard adopt
	quiet "ban del" guard ban del all
	quiet "save" guard save "$T/conf"
	sed -i 's/ask-rate: .*/ask-rate: 88/' "$T/conf"
	quiet "apply" guard apply "$T/conf"
	daemon_lives_and_reloads
	quiet "run, reloaded and killed, run and ended" true
	quiet "attach again" guard attach s0
}

test_nothing_but_attach_and_detach_touches_the_hook() { # L06
	net_up
	guard attach s0 --connections 4096 > /dev/null
	guard service add any 443 --mode always
	wait_until 5 settled
	watch_links
	HOOKS=$(hooks)
	expect_ge "links" "$(jq length <<< "$HOOKS")" 1
	change_everything
	# other programs, but in the same links
	guard upgrade > /dev/null
	expect_eq "links after upgrade" "$(jq -c 'map(.[0])' <<< "$HOOKS")" "$(hooks | jq -c 'map(.[0])')"
	[ "$(hooks)" != "$HOOKS" ] || fail "the programs of upgrade are the same"
	! grep -E '\bs0\b' "$T/links" || fail "the device was touched"
	guard detach --all
	wait_until 5 grep -qE '\bs0\b' "$T/links" || fail "not even detach was seen"
	stop "$WATCHER"
}

# what the veth has to say of its birth is over
settled() { sv ip -o link show s0 | grep -q 'state UP'; }

listening_of() { sv ss -Hlnptux | grep "pid=$1," || true; }

# All control goes through files of root (netns_attach.sh, netns_daemon.sh); its socket only looks
# (netns_control.sh), and is the only one.
test_daemon_listens_to_no_network() { # N03
	net_up
	server --port 80
	guard_up native 80
	[ -n "$(listening_of "$SERVER")" ] || fail "not even the server is seen to listen"
	start server "$T/daemon" "$SW_BIN" -v run --interval 1
	wait_until 10 said 'debug: sweep'
	expect_eq "sockets the daemon listens at" /run/synwarden/control.sock \
		"$(listening_of "$STARTED" | awk '{ print $5 }')"
	# what else it has of unix sockets is the service manager's, and there is none here
	expect_eq "unix sockets of the daemon" 1 "$(sv ss -Hanpx | grep -c "pid=$STARTED," || true)"
	stop "$STARTED"
}

run_tests "$@"
