#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# synwarden top on a real terminal, which tmux keeps and reads: numbers, sizes, keys, changes of a
# service's mode, and the terminal as it was afterwards.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

mux() { TMUX_TMPDIR=$T tmux -u -f /dev/null "$@"; }
# terminal COMMAND: in a shell on a terminal of 80x24; the namespace is the server's
terminal() {
	mux new-session -d -s top -x 80 -y 24 "nsenter --net=/run/netns/server bash --norc --noprofile"
	mux set -g status off
	type_in "PS1='sh> ' && clear" Enter "$1" Enter
}
type_in() { mux send-keys -t top "$@"; }
size() { mux resize-window -t top -x "$1" -y "$2"; }
screen() { mux capture-pane -p -t top; }
shows() { screen | grep -qE -- "$1"; }
lacks() { ! shows "$1"; }
# see WHAT REGEX: it appears on the screen
see() { wait_until 8 shows "$2" || fail "$1: '$2' is not on the screen: $(screen)"; }
unsee() { wait_until 8 lacks "$2" || fail "$1: '$2' is still on the screen: $(screen)"; }
# the totals in the third line: SYN/s answered/s finished/s dropped/s packets/s ...
total() { screen | awk -v n="$1" 'NR == 3 { gsub(",", "", $n); print $n }'; }
twice() { awk -v a="$1" 'BEGIN { print 2 * a }'; }
# flows RATE: at least half of it is shown
flows() { [[ $(total 1) =~ ^[0-9]+$ ]] && compare "$(twice "$(total 1)")" '>' "$1"; }
is_later() { [ "$(clock_shown)" != "$1" ]; }
clock_shown() { screen | sed -n '1s/.* \([0-9:]*\) *$/\1/p'; }
# mode PORT
mode() { guard service list -j | jq -r --arg s "any $1" '.[] | select(.service == $s) | .mode'; }
has_mode() { [ "$(mode "$1")" = "$2" ]; }
ends() { see "the shell is back" '^code [0-9]'; }

# with the changes in sight
goes_and_comes_back() {
	guard_down
	see "gone" 'guard is gone for'
	guard attach s0 > /dev/null
	see "back" '^synwarden .* ● armed'
	see "told" 'a new guard'
}

any_size() {
	size 132 43
	see "long names where there is room" 'ANSWERED/s +FINISHED/s'
	see "every line is drawn" '^q quit.*disarm'
	expect_eq "lines drawn" 43 "$(screen | wc -l)"
	size 59 11
	see "too small" 'needs 60x12'
	size 60 12
	see "small" '^q quit'
	expect_eq "longest line of 60 columns" 60 \
		"$(screen | wc -L)" # awk may count bytes
	size 60 24
	see "states with their numbers where there is little room" 'SYN-RECEIVED +[0-9.k]+$'
	size 80 24
	see "as before" '─ Connections by state'
}

# SYNs answered a second, by the counters, over a second or so
rate_by_stats() {
	local first since=$EPOCHREALTIME
	first=$(packets tx_synack)
	sleep 0.7
	awk -v a="$first" -v b="$(packets tx_synack)" -v s="$since" -v e="$EPOCHREALTIME" \
		'BEGIN { print (b - a) / (e - s) }'
}

test_top_shows_what_the_counters_say_in_any_size() {
	local rate shown before sample
	need tmux
	net_up
	server --port 80
	server --port 81
	guard attach s0 > /dev/null
	guard service add any 80 --mode always --arm syns=1000:500
	guard service add any 443 --mode auto
	guard service add any 81 --mode monitor --arm syns=off,half-open=off,unfinished=off
	terminal "$SW_BIN top"
	see "a guard at rest" '○ calm +any 443 +auto +0'
	see "its head" '^synwarden .*s0 (native|generic) +● armed +[0-9:]{8}$'
	flood --dst $S4 --dport 80-81 --rate 20000 --seconds 30
	see "the attack" '▲ 1 of 3 under attack'
	guard top -j > "$T/json" &
	sample=$!
	rate=$(rate_by_stats)
	wait_until 8 flows "$rate" || fail "counted $rate a second, but: $(screen)"
	see "what monitor would answer" '○ calm +any 81 +monitor +[0-9.k]+ +~[0-9.k]+ '
	type_in f
	see "it says that it is frozen" 'frozen [0-9:]{8}'
	shown=$(total 1) before=$(clock_shown)
	expect_gt "twice what was counted" "$(twice "$rate")" "$shown"
	wait "$sample"
	expect_gt "SYN/s by -j" "$(twice "$(field totals.syns_per_s < "$T/json")")" "$rate"
	expect_ge "interval of -j" "$(field interval_s < "$T/json")" 1
	expect_eq "frozen all the while" "$shown $before" "$(total 1) $(clock_shown)"
	stop "$FLOODING"
	face_guard client c0
	type_in f
	unsee "it goes on" 'frozen'
	# at rest all numbers are exactly those of the counters
	type_in /80$ BSpace Enter Home Enter
	see "the service chosen" '^ service any 80 '
	see "SYNs in all" "SYN .* $(guard stats -j | jq '[.[] | select(.service == "any 80" and .reason == "tx_synack") | .packets] | add' | sed ':a; s/\B[0-9]\{3\}\>/,&/; ta') in all"
	type_in q
	see "the filter stays" "filter '80': 1 of 3"
	lacks 'any 443' || fail "the filter lets all pass: $(screen)"
	type_in Escape
	see "no filter" 'any 443'
	any_size
	type_in Tab Tab
	see "changes" 'any 80: under attack'
	goes_and_comes_back
	type_in q
	mux kill-server
}

# gives_back HOW COMMAND...: top, ended so, leaves the modes and the text of the terminal
gives_back() {
	local how=$1
	shift
	type_in "clear; echo $how begins; stty -a > $T/before; $SW_BIN top; echo code \$?; stty -a > $T/after" Enter
	see "$how" '^NOW +SERVICE'
	"$@"
	ends
	see "$how: what was there before" "^$how begins"
	lacks 'SERVICE' || fail "$how: the picture is still there: $(screen)"
	wait_until 5 test -s "$T/after"
	cmp "$T/before" "$T/after" || fail "$how: $(diff "$T/before" "$T/after")"
	rm "$T/after"
}

end_top() { kill -"$1" "$(ps -C synwarden -o pid=,args= | awk '/ top$/ { print $1 }')"; }

stop_and_go_on() {
	type_in C-z
	see "stopped" 'Stopped'
	type_in "fg" Enter
	see "it goes on" '^NOW +SERVICE'
	type_in C-c
}

# state_is [LETTER]: of the process of top, none if there is none
state_is() { [ "$(ps -C synwarden -o stat=,args= | awk '/ top$/ { print substr($1, 1, 1) }')" = "$1" ]; }

# Stopped by the terminal, at its start and when it was in the foreground: it can be ended.
ends_in_the_background() {
	type_in "clear; $SW_BIN top &" Enter
	wait_until 5 state_is T || fail "runs in the background: $(screen)"
	type_in "kill %" Enter
	wait_until 5 state_is "" || fail "not ended: $(screen)"
	type_in "clear; $SW_BIN top" Enter
	see "in the foreground" '^NOW +SERVICE'
	type_in C-z
	see "stopped" 'Stopped'
	# the shell has not seen that it stopped once more, so it does not send CONT by itself
	type_in "bg; sleep 0.3; kill %; kill -CONT %" Enter
	wait_until 5 state_is "" || fail "not ended after bg: $(screen)"
}

ends_in_every_way() {
	gives_back quit type_in q
	gives_back term end_top TERM
	gives_back stop stop_and_go_on
	ends_in_the_background
}

# no colour, no UTF-8, no cursor
terminals_of_all_kinds() {
	type_in "clear; TERM=xterm-256color $SW_BIN top" Enter
	see "colours" '● armed +[0-9]'
	mux capture-pane -e -p -t top | grep -q $'38;5;33' || fail "no blue: $(mux capture-pane -e -p -t top)"
	type_in q
	type_in "clear; TERM=vt100 LC_ALL=C $SW_BIN top" Enter
	see "vt100, ASCII" 'o calm +any 80'
	screen | LC_ALL=C grep -q '[^ -~]' && fail "not ASCII: $(screen)"
	type_in q
	type_in "clear; NO_COLOR=1 TERM=xterm-256color $SW_BIN top" Enter
	see "no colour" '● armed +[0-9]'
	mux capture-pane -e -p -t top | grep -qE $'\e\\[[0-9;]*(3[0-7]|38;5)' && fail "colour"
	type_in q
	type_in "clear; TERM=dumb $SW_BIN top; echo code \$?" Enter
	see "a poor terminal" "^synwarden: terminal type 'dumb'"
	see "exit status" '^code 1'
}

test_top_changes_a_mode_after_a_question_and_gives_the_terminal_back() {
	local before holder
	need tmux
	net_up
	guard attach s0 > /dev/null
	guard service add any 80 --mode auto
	guard service add any 81 --mode monitor
	terminal "SSH_CONNECTION='$C4 41000 $S4 81' $SW_BIN top; echo code \$?"
	see "it runs" 'any 81 +monitor'
	type_in /80 Enter a
	see "the question" 'service any 80'
	see "from and to" 'mode auto → always'
	type_in x Enter n
	unsee "answered" 'mode auto → always'
	expect_eq "after no" auto "$(mode 80)"
	# another run has the lock: the view goes on
	exec {holder}< /run/synwarden.lock
	flock "$holder"
	type_in a y
	see "it waits" 'any 80: .*waiting for another run'
	before=$(clock_shown)
	wait_until 5 is_later "$before" || fail "the view stands: $(screen)"
	expect_eq "while another run has the lock" auto "$(mode 80)"
	exec {holder}<&-
	see "it is said" 'any 80: mode always, was auto'
	expect_eq "after yes" always "$(mode 80)"
	see "and shown" '● armed +any 80 +always'
	type_in d
	see "back to what it was" 'mode always → auto'
	type_in y
	wait_until 5 has_mode 80 auto || fail "not disarmed: $(screen)"
	see "and shown" '○ calm +any 80 +auto'
	# what keeps out who asks for it is refused, as on the command line
	guard deny add $C4 > /dev/null
	type_in /81 Escape
	type_in /81 Enter a y
	see "refused" 'this would keep you out'
	see "why" 'Not changed'
	expect_eq "after the refusal" monitor "$(mode 81)"
	type_in n
	unsee "read" 'Not changed'
	guard deny clear > /dev/null
	# a quit while the change waits: nothing is left, and it is said what runs
	exec {holder}< /run/synwarden.lock
	flock "$holder"
	type_in a y
	see "it waits" 'any 81: .*waiting'
	type_in q
	ends
	see "it is said" 'any 81: mode monitor, to be changed to always'
	exec {holder}<&-
	expect_eq "after the quit" monitor "$(mode 81)"
	ends_in_every_way
	terminals_of_all_kinds
	mux kill-server
	refused "not a terminal" 1 "needs a terminal" guard top < /dev/null
	expect_in "what to do" "synwarden status" "$OUT"
	refused "an interval" 2 "bad --interval '0'" guard top --interval 0
	refused "a word" 2 "top takes no argument" guard top now
}

run_tests "$@"
