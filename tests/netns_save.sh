#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The files that configuration commands write and read: what save must not write over or write
# half, links, list files without end; and names that are none. Not here: what a file may say
# (unit_config.c), what apply and save make of it (netns_config.sh).

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

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

# as in a ConfigMap of Kubernetes: the file is a link, and what it leads to is exchanged
test_reload_reads_what_a_link_leads_to_by_then() { # K10 N05
	config_net
	mkdir "$T/etc" "$T/etc/..1" "$T/etc/..2"
	echo 'limits: { ask-rate: 5 }' > "$T/etc/..1/conf"
	echo 'limits: { ask-rate: 6 }' > "$T/etc/..2/conf"
	ln -s ..1 "$T/etc/..data"
	ln -s ..data/conf "$T/etc/conf"
	(cd "$T/etc" && guard apply conf)
	expect_in "status" "$T/etc/conf, nothing differs" "$(guard status)"
	ln -sfn ..2 "$T/etc/..data"
	rm -r "$T/etc/..1"
	expect_in "status" "$T/etc/conf, 1 setting differs, it was changed" "$(guard status)"
	guard apply --again
	expect_in "limit" " 6 " "$(guard limit show | grep ask-rate)"
	# what is saved where it leads to is the same file
	guard limit set ask-rate 7
	guard save "$T/etc/..2/conf"
	expect_in "status" "$T/etc/conf, nothing differs" "$(guard status)"
}

# paged COMMAND...: it writes more than a pipe holds, to somebody who does not read on
paged() {
	local reader
	rm -f "$T/pager"
	mkfifo "$T/pager"
	"$PYTHON" -c 'import time; time.sleep(60)' < "$T/pager" &
	reader=$!
	start server "$T/pager" "$SW_BIN" "$@"
	sleep 1
	expect_exit "a command beside $*" 0 sv timeout 5 "$SW_BIN" limit set ask-rate $((RANDOM + 1))
	kill -0 "$STARTED" || fail "$* did not wait for its reader"
	stop "$STARTED" "$reader"
}

test_nobody_waits_for_a_pager() { # L03
	config_net
	seq 0 9999 | awk '{ print "10." int($1 / 250) "." $1 % 250 ".1" }' > "$T/list"
	echo 'lists: { deny: { files: [list] } }' > "$T/conf"
	paged apply "$T/conf" --dry-run
	guard apply "$T/conf"
	paged save -
}

# closed_pipe COMMAND...: nobody reads what it says
closed_pipe() { { "$@" 2>&1 || true; } | true; }

test_closed_pipe_leaves_no_half_of_a_guard() { # L03
	net_up
	sv sysctl -qw net.ipv4.tcp_syncookies=0
	closed_pipe guard attach s0
	expect_eq "armed" true "$(guard status -j | field armed)"
	closed_pipe guard detach --all
	[ ! -e $PIN ] || fail "pins after detach"
	expect_eq "sysctl put back" 0 "$(sv sysctl -n net.ipv4.tcp_syncookies)"
}

test_names_that_are_none_change_nothing() { # L03
	local bad
	config_net
	refused "detach" 1 nodev0 guard detach s0 nodev0
	expect_eq "devices" s0 "$(guard status -j | field 'devices[].device')"
	for bad in "" a/b . a:b "a b" abcdefghijklmnop; do
		refused "attach '$bad'" 1 "no device '$bad'" guard attach --boot "$bad"
	done
	expect_eq "devices" s0 "$(guard status -j | field 'devices[].device')"
	for bad in 1 2 3 4 5 6 7 8; do guard fail-safe port add "$bad"; done
	refused "port that is not there" 1 "9 is no fail-safe port" guard fail-safe port del 9
	expect_exit "upgrade" 1 guard upgrade --pin /sys/fs/bpf/none
	case $OUT in *hint*) fail "a hint about no guard: $OUT" ;; esac
	guard deny add 192.0.2.1
	refused "list without end" 1 "more than 4095 bytes" guard deny load /dev/zero --replace
	expect_eq "list" 192.0.2.1 "$(guard deny list -j | field 'entries[].prefix')"
	printf '\xef\xbb\xbfengine: auto\nconnections: 1000\n' > "$T/bom"
	expect_exit "a byte order mark" 0 guard check "$T/bom"
}

test_commands_of_a_diff_take_entries_before_their_service() { # K10
	local command
	config_net
	echo 'services: [{ prefix: any, ports: 80 }]
lists: { allow: { entries: [{ prefix: 203.0.113.7, service: "any 80" }] } }' > "$T/one"
	echo '{ services: [{ prefix: any, ports: 80-81 }], lists: { deny: { entries: [
		{ prefix: 203.0.113.7, service: any 80-81 }] } } }' > "$T/two"
	guard apply "$T/one"
	guard diff "$T/two" > "$T/commands" || true
	while read -r command; do
		eval "guard $command" || fail "$command"
	done < "$T/commands"
	expect_exit "diff" 0 guard diff "$T/two"
}

# so many services as there can be: the new ones get the ids of the old ones, not their entries
test_entries_end_with_their_service() { # K10 P01
	local port
	config_net
	for port in 1000 2000; do
		{
			echo "services:"
			seq $port $((port + 126)) | sed 's/.*/  - { prefix: any, ports: & }/'
			echo "fail-safe: { ports: [$port] }"
		} > "$T/from-$port"
	done
	guard apply "$T/from-1000"
	guard deny add 192.0.2.0/24 --service any 1000
	guard apply "$T/from-2000"
	expect_eq "services" 127 "$(guard service list -j | jq length)"
	expect_eq "entries" "[]" "$(guard deny list -j | jq -c .entries)"
}

run_tests "$@"
