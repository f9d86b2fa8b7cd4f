#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Lists and fail-safe: real clients that are denied and allowed, files of prefixes, and that
# nobody keeps himself out. Not here: each packet, that is prog_lists.c.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

# Whoever runs these tests by ssh is no session of theirs.
unset SSH_CONNECTION SSH_CLIENT

# comes ADDRESS..., stays_out ADDRESS...: a new connection from it, to the server's of its family
connects() {
	local to=$S4
	case $1 in *:*) to="[$S6]" ;; esac
	cl curl -s -g -o /dev/null -m "${2:-1}" --interface "$1" "http://$to/"
}
comes() { for a; do connects "$a" 5 || fail "$a got no connection"; done; }
stays_out() { for a; do ! connects "$a" 0.3 || fail "$a got a connection"; done; }

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

test_denied_clients_stay_out_and_allowed_ones_come_in() { # P01 P02
	policy_up
	comes $C4 10.9.0.3 10.8.0.1 $C6 fd09::3 fd09:0:0:7::1
	guard deny add 10.9.0.0/24 fd09::/64 --comment "the neighbours"
	stays_out $C4 10.9.0.3 $C6 fd09::3
	comes 10.9.7.1 10.8.0.1 fd09:0:0:7::1
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

run_tests "$@"
