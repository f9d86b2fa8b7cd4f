#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In the guest: the guard on devices that not every machine has (VLAN subinterfaces, a bond,
# virtio-net), by the engine that this kernel has. TAP.

set -euo pipefail

# the guest's first network namespace holds the virtio cards; tests get it as descriptor 9
if [ -z "${SW_FIRST_NET-}" ]; then
	exec 9< /proc/self/ns/net
	export SW_FIRST_NET=9
fi
# shellcheck source=tests/netns_lib.sh
. "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

case $(uname -r) in
6.1.*) ENGINE=listener ;;
*) ENGINE=reqsk ;;
esac

engine() { guard status -j | jq -r .engine; }

# served ADDRESS...: each gives a page, through a cookie, and is counted as such. One look at
# the counters: programs take long to start here.
served()
{
	local address got answered taken made
	for address; do
		got=$(fetch "$address" 15) || fail "no page from $address ($MODE): $(guard stats)"
		expect_eq "page of $address ($MODE)" alive "$got"
	done
	read -r answered taken made < <(guard stats -j | jq -r '
		def n(r): map(select(.reason == r).packets) | add // 0;
		[n("tx_synack"), n("pass_cookie"), n("tc_handed_over")] | @tsv')
	expect_ge "SYNs answered ($MODE)" "$answered" $#
	expect_ge "cookies taken ($MODE)" "$taken" $#
	[ "$ENGINE" = listener ] || expect_ge "request sockets made ($MODE)" "$made" $#
}

# guarded DEV MODE ADDRESS...: the last one is left for finish_test to check and to take off
guarded()
{
	local dev=$1
	MODE=$2
	shift 2
	[ ! -e "$PIN" ] || guard detach --all
	guard attach "$dev" --xdp "$MODE"
	guard service add any 80 --mode always
	served "$@"
}

# A file of prefixes is loaded and looked up, and another one in its place.
lists_hold()
{
	printf '%s\n' $C4 "$C6 # six" 192.0.2.0/24 | guard deny load -
	! fetch $S4 2 || fail "$C4 got a page"
	printf '%s\n' 192.0.2.0/24 $C6 | guard deny load - --replace
	expect_eq "page" alive "$(fetch $S4 15)"
	! fetch "[$S6]" 2 || fail "$C6 got a page"
	guard deny clear
	expect_eq "entries in the map" 0 "$(bpftool -j map dump pinned $PIN/lists | jq length)"
}

# vlan NS DEV ID PROTOCOL ADDR4: a subinterface; parents keep the tag in the frame
vlan()
{
	at "$1" ip link add link "$2" name "$2.$3" type vlan id "$3" proto "$4"
	at "$1" ip link set "$2.$3" up
	[ -z "${5-}" ] || at "$1" ip addr add "$5/24" dev "$2.$3"
}

# A veth leaves tags beside the frame unless told not to.
tags_in_frame()
{
	local feature
	for feature in txvlan rxvlan tx-vlan-stag-hw-insert rx-vlan-stag-hw-parse; do
		at "$1" ethtool -K "$2" "$feature" off > /dev/null 2>&1 || true
	done
}

# One pair of devices with everything on it: setting up costs most of the time here.
test_clients_plain_tagged_and_double_tagged_are_served_by_the_engine_this_kernel_has() { # C01 H09 L09 L10 L11 P01 P04 @limit=200
	local ns dev host end all
	net_up
	for end in "client c0 1" "server s0 2"; do
		read -r ns dev host <<< "$end"
		tags_in_frame "$ns" "$dev"
		vlan "$ns" "$dev" 10 802.1Q "10.10.0.$host"
		vlan "$ns" "$dev" 100 802.1ad
		tags_in_frame "$ns" "$dev.100"
		vlan "$ns" "$dev.100" 7 802.1Q "10.11.0.$host"
	done
	start_nginx
	all=("$S4" "[$S6]" 10.10.0.2 10.11.0.2)
	if [ $ENGINE = listener ]; then
		expect_exit "reqsk where the kernel cannot" 1 sv "$SW_BIN" attach s0 --engine reqsk
		expect_in "message" reqsk "$OUT"
	else
		guard attach s0 --engine listener
		guard service add any 80 --mode always
		expect_eq "engine asked for" listener "$(engine)"
		ENGINE=listener served "${all[@]}"
	fi
	guarded s0 native "${all[@]}"
	expect_eq "engine" $ENGINE "$(engine)"
	lists_hold
	check_identity
	guarded s0 generic "${all[@]}"
}

# Generic XDP keeps a tag that travels beside the frame, and so must the answer. Native XDP on
# a veth never sees such a tag, nor could any program put it back.
test_a_tag_beside_the_frame_is_kept_by_generic_xdp() { # H09 @limit=200
	net_up
	vlan client c0 10 802.1Q 10.10.0.1
	vlan server s0 10 802.1Q 10.10.0.2
	# an answer without its tag would come in by c0, where nobody expects it
	cl sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.c0.rp_filter=1
	start_nginx
	guarded s0 generic 10.10.0.2
}

# bond NS DEV1 DEV2 HOST
bond()
{
	local dev
	at "$1" ip link add bond0 type bond mode active-backup miimon 100
	for dev in "$2" "$3"; do
		at "$1" ip link set "$dev" down
		at "$1" ip link set "$dev" master bond0
	done
	at "$1" ip link set bond0 up
	at "$1" ip addr add "10.12.0.$4/24" dev bond0
}

test_a_bond_is_guarded_by_its_slaves_and_as_one_device() { # L10 @limit=200
	local ns dev end
	new_ns client server
	join client c0 server s0
	join client c1 server s1
	bond client c0 c1 1
	bond server s0 s1 2
	for end in "client c0" "client c1" "server s0" "server s1"; do
		read -r ns dev <<< "$end"
		make_poll "$ns" "$dev"
	done
	start_nginx
	guarded bond0 native 10.12.0.2
	guard detach --all
	guard attach s0 s1
	guard service add any 80 --mode always
	served 10.12.0.2
	# the other slave takes over; the guard's state is one
	cl ip link set c0 down
	expect_eq "page after the fail-over" alive "$(fetch 10.12.0.2 15)"
	expect_ge "SYNs answered" "$(packets tx_synack)" 2
}

# The daemon with one capability, and programs replaced where they run: links or filters of tc.
test_the_daemon_follows_and_an_upgrade_replaces() { # L02 L04 L07 N01 @limit=200
	local before after daemon
	net_up
	start_nginx
	guarded s0 native "$S4"
	start server "$T/daemon" "$SW_BIN" -v run
	daemon=$STARTED
	wait_until 20 grep -q 'debug: sweep' "$T/daemon" || fail "run: $(cat "$T/daemon")"
	expect_in "CAP_NET_ADMIN alone" $'CapEff:\t0000000000001000' "$(cat "/proc/$daemon/status")"
	before=$(sv ip -o link show dev s0 | sed -n 's/.*prog\/xdp id \([0-9]*\).*/\1/p')
	guard upgrade 2> "$T/said" || fail "upgrade: $(cat "$T/said")"
	after=$(sv ip -o link show dev s0 | sed -n 's/.*prog\/xdp id \([0-9]*\).*/\1/p')
	expect_gt "id of the program at XDP" "$after" "$before"
	served "$S4"
	if [ "$(sv tc qdisc show dev s0 | grep -c clsact)" = 1 ]; then
		sv tc qdisc del dev s0 clsact
	else
		sv bpftool link detach pinned $PIN/links/s0/tc_out
	fi
	wait_until 20 grep -q 'tc egress was gone, put back' "$T/daemon" || fail "$(cat "$T/daemon")"
	sv ip link add bond0 type bond mode active-backup
	sv ip link set s0 down
	sv ip link set s0 master bond0
	wait_until 20 grep -q 's0: now a port of bond bond0' "$T/daemon" || fail "$(cat "$T/daemon")"
	expect_in "XDP on the port of a bond" xdp "$(sv ip -o link show dev s0)"
	sv ip link del bond0
	sv ip link del s0
	stop "${PASS[c0]}"
	join client c0 server s0
	address_both
	wait_until 20 grep -q 's0: back, attached again' "$T/daemon" || fail "$(cat "$T/daemon")"
	served "$S4"
	stop "$daemon"
}

first_net() { nsenter --net="/proc/self/fd/$SW_FIRST_NET" "$@"; }

test_virtio_net_is_guarded_by_its_own_driver() { # L09 L10 @limit=200
	local ns dev host end
	new_ns client server
	for end in "server eth0 2" "client eth1 1"; do
		read -r ns dev host <<< "$end"
		first_net ip link set "$dev" netns "$ns"
		at "$ns" ip link set "$dev" up
		at "$ns" ip addr add "10.13.0.$host/24" dev "$dev"
	done
	start_nginx
	guarded eth0 generic 10.13.0.2
	guarded eth0 native 10.13.0.2
}

run_tests "$@"
