#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Install what is missing, build with every compiler, run the tests, count them.
# Not here: what is tested. TAP programs are unit_*.c, prog_*.c, netns_*.sh, kernel.sh.

set -euo pipefail

usage()
{
	cat <<-'END'
	usage: sudo tests/run.sh [RING]... [-l] [PATTERN]

	Rings, all of them by default:
	  house   lint, and the catalogue of cases: each has a test
	  unit    no privilege, no kernel
	  prog    the BPF programs on packets made up, both compilers' objects
	  netns   real clients and servers in network namespaces
	  kernel  the prog ring and a short scenario on Linux 6.1 and 6.12 in QEMU

	PATTERN  only programs or tests whose name contains it
	-l       list the tests

	Environment: SW_FUZZ_SECONDS (10), SW_SCALE (1: divides long loops),
	SW_ALLOW_SKIP (regex over "program: test: reason" of more skips to allow)
	END
}

# Skips that are no failure: regex over "program: test: reason", tab, why.
expected_skips()
{
	cat <<-'END'
	^kernel .*: 6\.1 .*: kernel has no bpf_sk_assign_tcp_reqsk	6.1 has the engine listener alone
	^kernel .*: 6\.1 .* runs with engine listener on this kernel	the ring itself is that test there
	^netns speed: .*: takes minutes: SW_SPEED=1	speed is a ratio, measured by hand and by make bench
	^netns path: .*: takes 140 s of waiting: SW_LONG=1	the prog ring forges old epochs; the real wait is by hand
	^netns conns: .*: takes 6 minutes and 12 GB of memory: SW_LONG=1	the same with 40 live connections runs always
	^netns fault: .*: no memory controller of cgroups here	in a container without one there is no limit to meet
	^netns lockout: ssh .*: .*ssh.* is not installed	a server that listens under the name of sshd is tried always
	^kernel .*: waits for the clock	real seconds are the same on every kernel
	END
	[ -z "${SW_ALLOW_SKIP-}" ] || printf '%s\tasked for by SW_ALLOW_SKIP\n' "$SW_ALLOW_SKIP"
}

# --- words on the command line -------------------------------------------------------------
repo=$(dirname "$(dirname "$(readlink -f "$0")")")
cd "$repo"
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8
unset LANGUAGE # goes before LC_ALL where that is no plain C
umask 022
rings=()
pattern=
list=
for word; do
	case $word in
	house | unit | prog | netns | kernel) rings+=("$word") ;;
	all) rings+=(house unit prog netns kernel) ;;
	-l | --list) list=1 ;;
	-h | --help) usage; exit 0 ;;
	-*) usage >&2; exit 2 ;;
	*)
		[ -z "$pattern" ] || { usage >&2; exit 2; }
		pattern=$word
		;;
	esac
done
[ ${#rings[@]} -gt 0 ] || rings=(house unit prog netns kernel)
has_ring() { case " ${rings[*]} " in *" $1 "*) ;; *) return 1 ;; esac; }

if [ -n "$list" ]; then
	tests/catalogue.sh --tests | awk -F '\t' -v rings="${rings[*]}" -v pattern="$pattern" '
		{ ring = $1; sub(/_.*/, "", ring) }
		index(" " rings " ", " " ring " ") && index($1 " " $2, pattern) {
			name = $2
			gsub(/_/, " ", name)
			printf "%-24s %-72s %s\n", $1, name, $3
		}'
	exit 0
fi
if [ "$EUID" -ne 0 ] && [ "${rings[*]}" != unit ]; then
	echo "The tests make network namespaces and load BPF programs: sudo $0 $*" >&2
	exit 2
fi

# --- counting -------------------------------------------------------------------------------
build=$repo/build
logs=$build/test-logs
passed=0 failed=0 skipped=0 unexpected=0 programs=0 running='' other=''
mkdir -p "$logs"
tmp=$(mktemp -d)
expected_skips > "$tmp/skips"
start=$EPOCHREALTIME

finish()
{
	local p
	for p in $running $other; do
		kill -KILL "$p" 2>/dev/null || true
		{ wait "$p"; } 2>/dev/null || true
	done
	rm -rf "$tmp"
	# built as root in a user's clone: give it back
	if [ -n "${SUDO_UID-}" ] && [ "$(stat -c %u "$repo")" = "$SUDO_UID" ]; then
		chown -R "$SUDO_UID:${SUDO_GID-}" "$build"
	fi
}
trap finish EXIT
trap 'echo "interrupted" >&2; exit 130' INT TERM HUP

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# ring, name, passed, failed, skipped, seconds
print_line()
{
	printf '%-7s %-28s %5d passed  %3d failed  %3d skipped %8s s\n' "$@"
}

# count NAME OK: a check of this script's own
check()
{
	local ring=$1 name=$2 ok=$3 since=$4
	if [ "$ok" = 0 ]; then
		passed=$((passed + 1))
		print_line "$ring" "$name" 1 0 0 "$(seconds_since "$since")"
	else
		failed=$((failed + 1))
		print_line "$ring" "$name" 0 1 0 "$(seconds_since "$since")"
	fi
}

# tap RING NAME LIMIT COMMAND...: run one TAP program, count and print what it says
tap()
{
	local ring=$1 name=$2 limit=$3 since=$EPOCHREALTIME status=0 log p f s u
	shift 3
	programs=$((programs + 1))
	log=$logs/$ring-${name//[^A-Za-z0-9._-]/-}
	: > "$tmp/left"
	# in the background, so that Ctrl-C is noticed at once; dies with this script
	timeout --foreground -s KILL "$limit" setpriv --pdeathsig KILL "$@" \
		> "$log.tap" 2> "$log.err" < /dev/null &
	running=$!
	{ wait "$running"; } 2>/dev/null || status=$?
	running=
	if [ "$status" = 137 ] && awk -v a="$since" -v b="$EPOCHREALTIME" -v l="$limit" \
		'BEGIN { exit !(b - a >= l) }'; then
		status=timeout
	fi
	awk -v status="$status" -v limit="$limit" -v allowed="$tmp/skips" -v program="$ring $name" \
		-f tests/tap.awk "$log.tap" > "$tmp/result"
	{ read -r p f s u; cat > "$tmp/said"; } < "$tmp/result"
	if [ -s "$tmp/left" ]; then
		f=$((f + 1))
		sed 's/^/    left behind: /' "$tmp/left" >> "$tmp/said"
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	unexpected=$((unexpected + u))
	print_line "$ring" "$name" "$p" "$f" "$s" "$(seconds_since "$since")"
	cat "$tmp/said"
	if [ "$f" != 0 ] && [ -s "$log.err" ]; then
		echo "    stderr of $name, last lines:"
		tail -n 15 "$log.err" | sed 's/^/      /'
	fi
}

# wanted PROGRAM: does PATTERN name it or one of its tests? Sets filter, its argument.
wanted()
{
	filter=()
	case $1 in *"$pattern"*) return 0 ;; esac
	filter=("$pattern")
	tests/catalogue.sh --tests |
		awk -F '\t' -v p="$1" -v t="$pattern" '$1 == p && index($2, t) { n++ } END { exit !n }'
}

# --- what the machine looks like, to be the same afterwards ---------------------------------
machine_state()
{
	find /run/netns -mindepth 1 -printf 'namespace %f\n' 2>/dev/null || true
	awk '$3 == "bpf" { print "bpffs mount " $2 }' /proc/mounts
	{ ip -o link show 2>/dev/null || true; } | sed 's/^[0-9]*: \([^:@]*\).*/interface \1/'
	sysctl -a 2>/dev/null | grep -E '^net\.ipv4\.tcp_(syncookies|timestamps|ecn)' || true
	if command -v bpftool > /dev/null; then
		# the object's maps carry its prefix, whoever holds them
		bpftool map show 2>/dev/null | sed -n 's/^[0-9]*: .* name \(sw_[a-z]*\) .*/map \1/p'
		bpftool net show 2>/dev/null | sed -n 's/.*\(sw_xdp\|sw_tc_in\).*/attached \1/p'
	fi
}

build_with()
{
	local clang=$1 dir=$2 since=$EPOCHREALTIME ok=0
	make -j"$(nproc)" WERROR=1 CLANG="$clang" BUILD="$dir" all tests \
		> "$logs/build-$clang.log" 2>&1 || ok=1
	check build "$clang" "$ok" "$since"
	if [ "$ok" != 0 ]; then
		tail -n 40 "$logs/build-$clang.log" | sed 's/^/    /'
		return 1
	fi
}

# where the prog ring notes which reasons it reached; its last program checks them, so only
# when all of them run
new_coverage()
{
	unset SW_COVERAGE
	[ -z "$pattern" ] || return 0
	export SW_COVERAGE=$tmp/coverage
	: > "$SW_COVERAGE"
}

# Of the two compilers' runs one has all of the time, so that both passes end together.
fuzz_seconds()
{
	case ${second:+two} in two) ;; *) echo "$SW_FUZZ_SECONDS"; return ;; esac
	case $1 in
	prog_fuzz | 'prog_storm (clang-19)') echo $((SW_FUZZ_SECONDS / 6)) ;;
	*) echo "$SW_FUZZ_SECONDS" ;;
	esac
}

ring_programs()
{
	local dir=$1 ring=$2 limit=$3 suffix=$4 f name
	for f in tests/"$ring"_*.c; do
		name=$(basename "$f" .c)
		if [ ! -e "$f" ] || ! wanted "$name"; then
			continue
		fi
		SW_BUILD=$repo/$dir SW_BIN=$repo/$dir/synwarden \
			SW_FUZZ_SECONDS=$(fuzz_seconds "$name$suffix") tap "$ring" "${name#*_}$suffix" "$limit" "${sandbox[@]}" \
			"$dir/tests/$name" "${filter[@]}"
	done
}

# in_its_shell NAME FUNCTION...: with files and counts of its own
in_its_shell()
{
	tmp=$tmp/$1.d
	mkdir "$tmp"
	expected_skips > "$tmp/skips"
	passed=0 failed=0 skipped=0 unexpected=0 programs=0 running='' other=''
	[ "${#sandbox[@]}" = 0 ] || sandbox=(tests/sandbox.sh "$tmp/left")
	"${@:2}"
	echo "$passed $failed $skipped $unexpected $programs" > "${tmp%.d}.counts"
}

# beside NAME FUNCTION...: beside this shell, as what these programs take is mostly waiting.
# joined NAME prints what they said and counts what they counted.
beside()
{
	in_its_shell "$@" > "$tmp/$1" 2>&1 &
	other=$!
}

joined()
{
	local name=$1 p f s u n
	{ wait "$other"; } 2>/dev/null || true
	other=
	cat "$tmp/$name"
	if ! read -r p f s u n < "$tmp/$name.counts"; then
		check run "$name came to its end" 1 "$start"
		return
	fi 2>/dev/null
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	unexpected=$((unexpected + u)) programs=$((programs + n))
}

# The other compiler's objects.
second_programs()
{
	new_coverage
	ring_programs "$second" prog 300 " (clang-19)"
}

# lane_of FILE: what waits more than it works runs beside another lane; what floods, measures or
# counts on time alone.
lane_of()
{
	case $1 in
	netns_handshake.sh) echo 1 ;;
	netns_config.sh | netns_devices.sh | netns_life.sh | netns_lockout.sh | \
		netns_policy.sh | netns_unit.sh) echo beside-1 ;;
	netns_conns.sh | netns_states.sh) echo 2 ;;
	netns_attach.sh | netns_clock.sh | netns_hook.sh | netns_path.sh | netns_save.sh) echo beside-2 ;;
	netns_readme.sh | netns_replay.sh | netns_top.sh | netns_web.sh) echo 3 ;;
	netns_control.sh | netns_deb.sh | netns_metrics.sh) echo beside-3 ;;
	*) echo alone ;;
	esac
}

netns_lane()
{
	local f name
	for f in tests/netns_*.sh; do
		name=$(basename "$f")
		case $name in *lib.sh | 'netns_*.sh') continue ;; esac
		if [ "$(lane_of "$name")" != "$1" ] || ! wanted "$name"; then
			continue
		fi
		name=${name%.sh}
		tap netns "${name#*_}" 1200 "${sandbox[@]}" "$f" "${filter[@]}"
	done
}

# --- run ------------------------------------------------------------------------------------
groups=(build)
! has_ring prog && ! has_ring netns || groups+=(test)
! has_ring netns || groups+=(deb)
! has_ring kernel || groups+=(kernel)
! has_ring house || groups+=(house)
tests/install.sh "${groups[@]}"

echo "synwarden tests on Linux $(uname -r), $(nproc) CPUs"
machine_state | sort > "$tmp/before"
export SW_FUZZ_SECONDS=${SW_FUZZ_SECONDS:-10} SW_SCALE=${SW_SCALE:-1}
new_coverage
sandbox=(tests/sandbox.sh "$tmp/left")
[ "$EUID" = 0 ] || sandbox=()
second=

if has_ring unit || has_ring prog || has_ring netns || has_ring kernel; then
	if ! build_with clang build; then
		echo "0 passed, $failed failed"
		exit 1
	fi
	if has_ring prog && command -v clang-19 > /dev/null && build_with clang-19 build/clang-19; then
		second=build/clang-19
	fi
fi
# behind the build: what the manifests configure is checked by the program, if there is one
if has_ring house; then
	! wanted lint || tap house lint 240 tests/lint.sh
	! wanted catalogue || tap house catalogue 60 tests/catalogue.sh --tap
fi
! has_ring unit || ring_programs build unit 120 ""
if has_ring prog; then
	if [ -n "$second" ]; then
		beside clang-19 second_programs
	fi
	ring_programs build prog 300 ""
	[ -z "$second" ] || joined clang-19
fi
if has_ring netns; then
	export SW_BUILD=$build SW_BIN=$build/synwarden
	for lane in 1 2 3; do
		beside "netns-$lane" netns_lane "beside-$lane"
		netns_lane $lane
		joined "netns-$lane"
	done
	netns_lane alone
fi
if has_ring kernel; then
	# from a pattern only whole programs can be chosen there
	if wanted "kernel_scenario.sh" || wanted kernel; then
		tap kernel "6.1 and 6.12" 1600 tests/sandbox.sh -n "$tmp/left" \
			tests/kernel.sh 6.1 6.12 "${filter[@]+scenario}"
	fi
fi

# BPF objects die by a grace period, so what is gone may be seen a little longer. Maps of a
# guard elsewhere on the machine come and go; everything else must be there still.
changed()
{
	machine_state | sort > "$tmp/after"
	comm -13 "$tmp/before" "$tmp/after" | sed 's/^/    left: /'
	comm -23 "$tmp/before" "$tmp/after" | sed '/^map /d; s/^/    gone: /'
}
since=$EPOCHREALTIME
for _ in $(seq 20); do
	changed > "$tmp/changed"
	[ -s "$tmp/changed" ] || break
	sleep 0.25
done
check all "the machine is as before" "$([ ! -s "$tmp/changed" ]; echo $?)" "$since"
cat "$tmp/changed"

echo "logs: build/test-logs; $(seconds_since "$start") s in all"
summary="$passed passed, $failed failed"
[ "$skipped" = 0 ] || summary+=", $skipped skipped"
if [ "$unexpected" != 0 ]; then
	echo "$unexpected skipped without being expected: see expected_skips in tests/run.sh"
fi
if [ "$programs" = 0 ]; then
	echo "no test is called '$pattern'"
	failed=$((failed + 1))
	summary="$passed passed, $failed failed"
fi
echo "$summary"
[ "$failed" = 0 ] && [ "$unexpected" = 0 ]
