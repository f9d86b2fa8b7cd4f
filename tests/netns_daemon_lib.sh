#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For netns_daemon.sh and netns_life.sh, which source it: a daemon, what it says, and what it
# tells the service manager. Not here: what is tested.

# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/netns_lib.sh"

# daemon_up ARGS...: until it has looked at its devices; DAEMON is its process
daemon_up() {
	start server "$T/daemon" "$SW_BIN" -v run "$@"
	DAEMON=$STARTED
	wait_until 10 grep -q 'debug: sweep' "$T/daemon" || fail "run: $(cat "$T/daemon")"
}

# The daemon ends as asked, and leaves the guard.
daemon_down() {
	local status=0
	kill -TERM "$DAEMON"
	wait "$DAEMON" || status=$?
	expect_eq "exit of the daemon, $(tail -n 5 "$T/daemon")" 0 "$status"
	expect_eq "armed without the daemon" true "$(guard status -j | field armed)"
}

said() { grep -q -- "$1" "$T/daemon"; }
expect_said() { wait_until "${2:-3}" said "$1" || fail "not said: '$1': $(cat "$T/daemon")"; }

said_more() { [ "$(grep -c -- "$1" "$T/daemon")" -gt "$2" ]; }
told() { grep -qE -- "$1" "$T/told"; }

# A socket of the service manager: what it is told goes to $T/told, a message a line.
listen_as_manager() {
	cat > "$T/listen.py" <<-END
		import socket, sys
		sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		sock.bind("$T/notify")
		print("ready", flush=True)
		while True:
		    print(sock.recv(4096).decode().replace("\n", " "), flush=True)
	END
	start server "$T/told" "$PYTHON" "$T/listen.py"
	wait_until 5 grep -q ready "$T/told"
}
