#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In the guest, started by kernel_init.sh: modules, then every program of the prog ring and
# the scenarios, each in a frame that kernel_tap.awk makes one TAP of.

set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

# built in on some kernels, so only what is then missing matters, and a test will tell
for module in veth virtio_net 8021q bonding sch_ingress cls_bpf tun tcp_diag; do
	modprobe -q "$module" || echo "# no module $module"
done
ip link set lo up

# emulated CPUs: loops are cut by this factor
[ -n "${SW_SEED-}" ] || unset SW_SEED
export SW_SLOW=1 SW_SCALE=${SW_SCALE:-100} SW_FUZZ_SECONDS=5
# All of it on the oldest kernel. A newer one has its verifier, its helpers and its sockets to
# show; what follows is the programs' own arithmetic, the same instructions everywhere.
newer=
case $(uname -r) in 6.[2-9]* | 6.1[0-9]*) newer=1 ;; esac
is_arithmetic()
{
	case $1 in
	prog_clock | prog_closings | prog_cookie_odds | prog_halves | prog_openings | prog_state | \
		prog_timewait | prog_window) ;;
	*) return 1 ;;
	esac
}

# the ring's last program checks that every reason was reached: by all of it
if [ -z "$newer" ] && [ -z "${SW_PATTERN-}" ]; then
	SW_COVERAGE=$(mktemp)
	export SW_COVERAGE
fi
failed=0
run()
{
	local name=$1 status=0 since=$EPOCHREALTIME limit=300
	shift
	case $name in *"${SW_PATTERN-}"*) ;; *) return 0 ;; esac
	# 220 s of a machine that does nothing else, and it is the last
	[ "$name" != scenario ] || limit=900
	echo "## program $name"
	timeout --foreground -s KILL $limit "$@" < /dev/null || status=$?
	[ "$status" = 0 ] || failed=1
	echo "## end $status"
	awk -v a="$since" -v b="$EPOCHREALTIME" -v n="$name" \
		'BEGIN { printf "# %s took %.1f s of the guest\n", n, b - a }'
}

for program in "$SW_BUILD"/tests/prog_*; do
	case ${program##*/} in *.[a-z]* | 'prog_*') continue ;; esac
	# The other engine for a second time takes a minute; on 6.1 the whole ring runs with it, and
	# there is what counts the reasons.
	case ${program##*/} in prog_listener | prog_zcoverage) [ -z "$newer" ] || continue ;; esac
	# asked for by name it runs all the same
	[ -z "$newer" ] || [ -n "${SW_PATTERN-}" ] || ! is_arithmetic "${program##*/}" || continue
	run "${program##*/}" "$program"
done
run scenario ./kernel_scenario.sh
exit "$failed"
