#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The files that configuration commands write and read: what save must not write over or write
# half, links, list files without end; and names that are none. Not here: what a file may say
# (unit_config.c), what apply and save make of it (netns_config.sh).

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

# Whoever runs these tests by ssh is no session of theirs.
unset SSH_CONNECTION SSH_CLIENT

config_net() {
	net_up
	export SYNWARDEN_RUN=$T/run
	guard attach s0 --no-fail-safe > "$T/attach"
}

test_save_writes_a_whole_file_or_none() { # N05 L03
	config_net
	mkdir "$T/small"
	mount -t tmpfs -o size=4k tmpfs "$T/small"
	refused "full file system" 1 "No space left" guard save "$T/small/conf"
	expect_eq "left there" "" "$(ls "$T/small")"
	umount "$T/small"
	# a name that is no text, which no file of YAML can hold
	sv ip link add $'s\xff' type veth peer name p0
	guard attach $'s\xff' > /dev/null 2>&1
	refused "device" 1 "no file can hold" guard save "$T/conf"
	[ ! -e "$T/conf" ] || fail "a file that cannot be read"
	guard detach $'s\xff'
	guard save "$T/conf"
	expect_exit "check" 0 guard check "$T/conf"
}

test_save_follows_no_link_of_another_user() { # N02 L03
	config_net
	mkdir -m 1777 "$T/tmp"
	echo secret > "$T/root"
	ln -s "$T/root" "$T/tmp/conf"
	chown -h 65534 "$T/tmp/conf"
	refused "link" 1 "a link of user 65534" guard save "$T/tmp/conf"
	expect_eq "where it leads to" secret "$(cat "$T/root")"
	chown -h 0 "$T/tmp/conf"
	guard save "$T/tmp/conf" 2> /dev/null
	expect_exit "check of what root's own link leads to" 0 guard check "$T/root"
	[ -L "$T/tmp/conf" ] || fail "the link is gone"
}

run_tests "$@"
