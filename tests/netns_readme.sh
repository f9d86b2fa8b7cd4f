#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The documents, README.md and deploy/doc/*.md: every command they show runs, in the order of the
# page, in a lab whose server has the names of the page; every file they show is one the program
# takes; what they show of output begins as the program's does. Not here: what a command does.
#
# A page is read by its fenced blocks:
#   sh      a command a line, run as the reader would; "(exit N)" in its comment: fails with N
#   text    output: its first line is one of what the commands of the block above it print
#   yaml    a configuration, put to /etc/synwarden/synwarden.yaml and checked
#   yaml prometheus, txt   not ours, or a drawing: only shown
# and by lines "<!-- lab: NAME -->", which call lab_NAME here.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"
cd "$HERE/.."

PAGES=(README.md deploy/doc/*.md)
TRAFFIC='' # process of lab_traffic
LIMIT=60 # seconds a command may take

# What cannot run here: regex over the command, file:words of what tests it all the same, why.
left_out() {
	cat <<-'END'
	^sudo tests/run\.sh$	.ci/run:tests/run.sh	this is run by it
	^sudo systemctl 	tests/netns_unit.sh:ctl reload synwarden	systemd runs in the container of that test
	^sudo systemd-sysusers$	tests/netns_deb.sh:sysusers.d/synwarden.conf	it would make the group on this machine
	^sudo tests/install\.sh 	tests/run.sh:tests/install.sh	what runs this has called it
	^make deb$	tests/netns_deb.sh:test_deb_is_built	it is that test, and takes a minute
	^sudo apt install \./	tests/netns_deb.sh:test_deb_lives	a machine of its own is installed there
	^sudo make bench$	Makefile:tests/bench.sh	takes minutes of an idle machine
	END
}

# steps FILE: line, kind (a mark of one letter) and text, by tabs, of all that is to be done
steps() {
	awk -v to="$T/yaml" '
		function out(kind, text) { print FNR "\t" kind "\t" text }
		!fence && /^ *<!-- lab: [a-z_]+ -->$/ { out("l", $(NF - 1)); next }
		!fence && /^ *```/ {
			info = $0
			sub(/^ *```/, "", info)
			fence = FNR
			first = 1
			if (info == "yaml")
				printf "" > (to "." fence)
			else if (info !~ /^(sh|text|txt|yaml prometheus)$/)
				out("x", "a block of \"" info "\"")
			else if (info == "sh")
				out("b", "")
			next
		}
		fence && /^ *```$/ {
			if (info == "yaml")
				print fence "\tf\t" to "." fence
			fence = 0
			next
		}
		!fence && /^(    |\t).*(synwarden|sudo)/ && !/^ *([*-]|[0-9]+\.|\|) / && !list {
			out("x", "a command that is in no block of sh")
		}
		!fence { list = /^ *([*-]|[0-9]+\.) / || (list && NF); next }
		info == "yaml" { print > (to "." fence) }
		info ~ /^te?xt/ && /^ *([$#] (sudo|synwarden)|sudo) / { out("x", "a command that is in no block of sh") }
		info == "text" && first { out("t", $0) }
		{ first = 0 }
		info == "sh" && /\\$/ { held = held substr($0, 1, length($0) - 1); next }
		info == "sh" {
			line = held $0
			held = ""
			sub(/^ +/, "", line)
			if (line ~ /^synwarden / || line ~ /\$\(cat \/etc\/synwarden/)
				out("x", "root alone may, and sudo is not there: " line)
			if (line != "" && line !~ /^#/)
				out("c", line)
		}
		END { if (fence) print fence "\tx\ta block without an end" }
	' "$1"
}

# bare COMMAND: without its comment
bare() { sed -E 's/[[:space:]]+#[[:space:]].*//' <<< "$1"; }

is_left_out() {
	local pattern rest
	while IFS=$'\t' read -r pattern rest; do
		[[ ! $1 =~ $pattern ]] || return 0
	done < <(left_out)
	return 1
}

# --- the lab ------------------------------------------------------------------------------
# Own /etc, own place to install to, and a sudo that is root already.
lab_up() {
	net_up
	second_device
	start_nginx
	cp -a /etc "$T/etc"
	mount --bind "$T/etc" /etc
	mkdir -p "$T/bin" /etc/synwarden
	printf '#!/bin/sh\nexec "$@"\n' > "$T/bin/sudo"
	chmod 755 "$T/bin/sudo"
	export BUILD=$SW_BUILD PREFIX=$T/usr PATH=$T/bin:$T/usr/sbin:$PATH
	SW_BIN=$T/usr/sbin/synwarden
}

lab_install() { make -s install > "$T/make" 2>&1 || fail "$(cat "$T/make")"; }
lab_guard() {
	guard attach s0 --connections 4096 > "$T/attach" 2>&1 # a dump of the table is short
	guard service add any 80
}

# Spoofed SYNs, and clients beside them.
lab_flood() {
	flood --dst $S4 --dport 80 --opts 20 --rate 20000 --seconds 1
	paced --dst $S4 --port 80 --rate 20 --seconds 0.6 --timeout 3000 > "$T/clients"
	flood_end > "$T/flooded"
}

# web is there when it listens
lab_web() { wait_until 10 listening server 9857; }
# what clients say to the server, in a file
lab_capture() {
	start client "$T/tcpdump" tcpdump --immediate-mode -Z root -i c0 -U -w "$T/capture.pcap" \
		tcp port 80 and host $C4 # not what the host still repeats to those who never were
	wait_until 5 grep -q listening "$T/tcpdump" || fail "$(cat "$T/tcpdump")"
	lab_clients
	stop "$STARTED"
}
# users who go on for as long as the page lasts
lab_traffic() {
	start client "$T/traffic" "$PACED" --dst $S4 --port 80 --rate 50 --seconds 60 --timeout 3000
	TRAFFIC=$STARTED
}

lab_clients() { paced --dst $S4 --port 80 --rate 50 --seconds 0.5 --timeout 3000 > "$T/clients"; }
# whoever a cookie let in comes past the rules of the page
lab_firewall() {
	guard service set any 80 --mode always
	lab_clients
	expect_eq "clients past the rules" "$(field tried < "$T/clients")" "$(field ok < "$T/clients")"
}
lab_list() { printf '198.51.100.0/24 # port scans\n2001:db8:1::/48\n' > "$T/drop.txt"; }

# as the page has it to as it is here
here() {
	sed -E "s/\beth0\b/s0/g; s/\beth1\b/s1/g; s,\b(drop\.txt|capture\.pcap)\b,$T/\1,g
		s,/var/lib/prometheus\b,$T/prometheus,g
		s,^sudo deploy/try\.sh$,& --rate 20000 --seconds 2," <<< "$1"
}

# --- reading ------------------------------------------------------------------------------
squeezed() { sed -E 's/[0-9][0-9.,:]*/N/g; s/[[:space:]]+/ /g; s/^ //; s/ $//' "$@"; }

# run_command LINE COMMAND: what it prints is added to $T/out
run_command() {
	local want=0 status=0 limit=$LIMIT
	[[ ! $2 =~ \(exit\ ([0-9]+)\) ]] || want=${BASH_REMATCH[1]}
	set -- "$1" "$(bare "$2")"
	if is_left_out "$2"; then
		say "$PAGE:$1: left out: $2"
		return
	fi
	case $2 in *--follow) limit=1 want=124 ;; esac
	say "$PAGE:$1: $2"
	case $2 in
	*"synwarden top"*) # ends by itself as little as --follow does, and wants a terminal
		TERM=xterm sv script -qec "timeout --foreground 1 $(here "$2")" /dev/null > "$T/said" 2>&1 < /dev/null || status=$?
		[ "$status" != 124 ] || status=0
		;;
	*) sv timeout -k 5 $limit bash -c "$(here "$2")" > "$T/said" 2>&1 < /dev/null || status=$? ;;
	esac
	expect_eq "$PAGE:$1: $2: $(cat "$T/said"): exit status" "$want" "$status"
	cat "$T/said" >> "$T/out"
	case $2 in *'&') wait_until 10 guard_is_idle ;; esac
}
# a daemon that begins holds the lock for a moment
guard_is_idle() { guard status > "$T/idle" 2>&1; }

# run_page FILE
run_page() {
	local line kind text
	PAGE=$1
	steps "$1" > "$T/steps"
	line=$(awk -F '\t' '$2 == "x" { print "line " $1 ": " $3 }' "$T/steps")
	[ -z "$line" ] || fail "$PAGE: $line"
	while IFS=$'\t' read -r line kind text <&3; do
		case $kind in
		l) "lab_$text" ;;
		b) : > "$T/out" ;;
		c) run_command "$line" "$text" ;;
		f)
			sed 's/\beth0\b/s0/g' "$text" > /etc/synwarden/synwarden.yaml
			guard check > "$T/said" 2>&1 || fail "$PAGE:$line: $(cat "$T/said")"
			;;
		t)
			squeezed "$T/out" | grep -qxF -- "$(squeezed <<< "$text")" ||
				fail "$PAGE:$line: '$text' is not in what is printed: $(cat "$T/out")"
			;;
		esac
	done 3< "$T/steps"
	[ -z "$TRAFFIC" ] || stop "$TRAFFIC" # the counters are to stand still
	TRAFFIC=
}

test_readme_is_followed() { # R01 @limit=180
	lab_up
	run_page README.md
}

test_guide_is_followed() { # R01 @limit=180
	lab_up
	lab_install
	run_page deploy/doc/guide.md
}

test_other_pages_are_followed() { # R01 @limit=180
	local page
	lab_up
	lab_install
	for page in "${PAGES[@]}"; do
		case $page in README.md | */guide.md) continue ;; esac
		run_page "$page"
		[ ! -e $PIN ] || guard_down
	done
}

# --- try.sh that is stopped --------------------------------------------------------------------
# try_begins WORDS COMMAND...: TRY is its process, once it has said WORDS or made that file
try_begins() {
	local words=$1
	shift
	"$@" > "$T/try" 2>&1 < /dev/null &
	TRY=$!
	wait_until 50 try_has "$words" || fail "try.sh: $(cat "$T/try")"
}
try_has() { [ -e "$1" ] || grep -q -- "$1" "$T/try"; }

two_were_served() { [ "$(grep -c "clients served" "$T/try")" -ge 2 ]; }

try_stops() {
	local status=0
	kill -TERM "$TRY"
	wait "$TRY" || status=$?
	expect_eq "exit of try.sh: $(cat "$T/try")" 130 "$status"
	expect_in "last words" "stopped, all cleaned up" "$(tail -n 1 "$T/try")"
}

# A machine where nothing is installed, whose apt-get is the shell script read here; what is
# written to /usr/sbin stays here.
bare_machine() {
	mkdir "$T/bin" "$T/over"
	mount -t tmpfs -o mode=755 tmpfs "$T/over"
	mkdir "$T/over/up" "$T/over/work"
	mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$T/over/up,workdir=$T/over/work" overlay /usr/sbin
	rm -f /usr/sbin/policy-rc.d
	printf '#!/bin/sh\n[ -e %s/installed ] && echo installed\n' "$T" > "$T/bin/dpkg-query"
	cat > "$T/bin/apt-get"
	chmod 755 "$T"/bin/*
}

# The file by which Debian starts no service meanwhile may not stay.
test_try_stopped_while_it_installs() { # R01
	printf '#!/bin/sh\n: > %s/asked\nsleep 50\n' "$T" | bare_machine
	try_begins "$T/asked" env PATH="$T/bin:$PATH" deploy/try.sh
	[ -e /usr/sbin/policy-rc.d ] || fail "no policy: $(cat "$T/try")"
	try_stops
	[ ! -e /usr/sbin/policy-rc.d ] || fail "no package may start a service any more"
}

# As on a machine that has just booted, and reads the lists by itself.
test_install_waits_for_the_lists_of_apt() { # R01
	bare_machine <<-END
		#!/bin/sh
		case "\$*" in
		*update)
		    [ ! -e $T/tried ] || exec touch $T/updated
		    touch $T/tried
		    echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)" >&2
		    exit 100
		    ;;
		*install*) [ -e $T/updated ] && touch $T/installed ;;
		esac
	END
	PATH="$T/bin:$PATH" tests/install.sh build > "$T/said" 2>&1 || fail "$(cat "$T/said")"
	[ -e "$T/installed" ] || fail "not installed: $(cat "$T/said")"
	expect_eq "missing now" "" "$(PATH="$T/bin:$PATH" tests/install.sh -n build)"
}

test_try_stopped_in_its_lab() { # R01
	# built as root for somebody else: his again
	touch "$SW_BUILD/theirs"
	chown 4321 "$SW_BUILD/theirs"
	# as on a machine that never had a guard
	mount -t tmpfs -o mode=755 tmpfs /run
	try_begins "Three floods" env SUDO_UID="$(stat -c %u .)" SUDO_GID="$(stat -c %g .)" \
		deploy/try.sh --rate 20000 --seconds 2
	wait_until 20 two_were_served || fail "try.sh: $(cat "$T/try")"
	sleep 1.5 # in the third
	try_stops
	expect_eq "left at run" "" "$(find /run -name 'synwarden*')"
	expect_eq "owner of what it built" "$(stat -c %u .)" "$(stat -c %u "$SW_BUILD/theirs")"
	rm "$SW_BUILD/theirs"
}

test_try_takes_no_nonsense() { # R01
	refused "no rate" 2 usage deploy/try.sh --rate
	refused "too short for a client" 2 usage deploy/try.sh --seconds 1
	refused "a word" 2 usage deploy/try.sh fast
}

# --- what can be seen without running ----------------------------------------------------------
# every command of every page, without comments
shown() {
	local page
	for page in "${PAGES[@]}"; do steps "$page"; done | awk -F '\t' '$2 == "c" { print $3 }' |
		sed -E 's/[[:space:]]+#[[:space:]].*//'
}

# Commands within a line of text are of the table, and whole ones are in a block somewhere.
test_inline_commands_are_those_of_blocks() { # R01
	local words
	shown > "$T/run"
	# shellcheck disable=SC2016 # these are the pages'
	sed '/^ *```/,/^ *```/d' "${PAGES[@]}" | grep -oE '`(sudo )?synwarden [^`]+`' | tr -d '`' |
		sed 's/^sudo //' | sort -u > "$T/inline"
	while read -r words; do
		# shellcheck disable=SC2086 # words
		set -- $words
		"$SW_BIN" "$2" --help > /dev/null 2>&1 || fail "no such command: $words"
		if [ $# = 2 ] || [[ $words =~ [A-Z][A-Z] || $words = *...* ]]; then continue; fi
		grep -qF -- "$words" "$T/run" || fail "'$words' is in no block of sh"
	done < "$T/inline"
}

test_what_is_left_out_is_tested() { # R01
	local pattern where why
	shown > "$T/all"
	while IFS=$'\t' read -r pattern where why; do
		grep -qE -- "$pattern" "$T/all" || fail "no page shows '$pattern'"
		grep -qF -- "${where#*:}" "${where%%:*}" || fail "'$pattern': not in $where: $why"
	done < <(left_out)
}

# Links lead to files and headings that are there.
test_links_lead_somewhere() { # R01
	local page link file anchor
	for page in "${PAGES[@]}"; do
		grep -oE '\]\([^)]+\)|src="[^"]+"' "$page" | sed -E 's/^\]\(//; s/^src="//; s/[)"]$//' > "$T/links" ||
			continue
		while read -r link; do
			case $link in http*) continue ;; esac
			file=${link%%#*} anchor=
			[[ $link != *#* ]] || anchor=${link#*#}
			file=${file:+$(dirname "$page")/$file}
			file=${file:-$page}
			[ -e "$file" ] || fail "$page: $link: no such file"
			[ -z "$anchor" ] || anchors "$file" | grep -qxF -- "$anchor" || fail "$page: $link: no such heading"
		done < "$T/links"
	done
}

anchors() {
	sed -nE 's/^#+ //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
	sed -nE 's/.*<a id="([^"]+)">.*/\1/p' "$1"
}

# Each reason has its place in the page of reasons, and nothing else has.
test_reasons_are_told() { # R02
	sed -n 's/^\tX([A-Z_0-9]*, [A-Z]*, "\([a-z0-9_]*\)".*/\1/p' include/sw_reasons.h | sort > "$T/listed"
	sed -nE "s/^### ((pass|drop|tx|tc|out)_[a-z0-9_]*)\$/\1/p" deploy/doc/reasons.md | sort > "$T/told"
	[ -s "$T/listed" ] || fail "no reason found"
	diff "$T/listed" "$T/told" || fail "include/sw_reasons.h (<) and deploy/doc/reasons.md (>) differ"
}

run_tests "$@"
