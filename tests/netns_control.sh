#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The daemon's socket, who may ask what, and events as the daemon tells them: to readers, to the
# journal, summed up when an attack is over. Not here: what the commands print.

set -euo pipefail
# shellcheck source=tests/netns_daemon_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_daemon_lib.sh"

SOCK=/run/synwarden/control.sock

ask() { sv "$PYTHON" "$HERE/ask.py" ask $SOCK "$@"; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
raw_question() { sv "$PYTHON" "$HERE/ask.py" raw $SOCK "$1"; }
# a member of no group but those named
as() { sv setpriv --reuid 65534 --regid 65534 "$@"; }

body() { # WORD...: the answer without its first line
	local text
	text=$(ask "$@")
	expect_eq "first line of '$*'" ok "$(head -n 1 <<< "$text")"
	tail -n +2 <<< "$text"
}

history_has_begun() { body history | jq -e '.samples | length > 0' > /dev/null; }

test_questions_are_answered_as_by_commands() { # N04
	local words first
	net_up
	guard_up "$MODE" 80
	guard deny add 192.0.2.0/24
	daemon_up
	for words in stats "service list" "deny list" "allow list" "limit show" "ban list" attacks \
		sources "fail-safe list"; do
		# shellcheck disable=SC2086 # words
		expect_eq "$words" "$(guard $words -j)" "$(body $words)"
	done
	expect_eq "status" "$(guard status -j | jq 'del(.received, .key)')" \
		"$(body status | jq 'del(.received, .key)')"
	expect_eq "key" "$(guard key show -j | jq .epoch)" "$(body key show | jq .epoch)"
	wait_until 5 history_has_begun || fail "no sample"
	first=$(body history | jq -c '[.version, .interval_s, (.samples | length > 0)]')
	expect_eq "history" '[1,1,true]' "$first"
	daemon_down
}

test_what_is_no_question_is_refused() { # N03
	local q before
	net_up
	guard_up "$MODE" 80
	daemon_up
	before=$(guard service list -j)
	# commands that change, words too many, options that are another command's or the daemon's
	for q in "service add any 81" "deny add 192.0.2.1" "key rotate" "detach --all" "limit set syn-ack-cap 1" \
		"status now" "status --follow" "conns --limit x" nonsense "recent 0" "recent 1001" \
		"recent 1 2" "history 1" "status --help" "--version" "follow x" ""; do
		# shellcheck disable=SC2086 # words
		expect_in "'$q'" "error " "$(ask $q | head -n 1)"
	done
	expect_eq "services" "$before" "$(guard service list -j)"
	expect_in "option that names a guard" '"pin":"/sys/fs/bpf/synwarden"' "$(ask status --pin /sys/fs/bpf/other)"
	expect_in "no end of line" "error " "$(raw_question "$(printf 'x%.0s' {1..600} | hex)")"
	expect_in "a zero byte" "error " "$(raw_question 7374617475730073740a)"
	expect_in "too many words" "error " "$(raw_question "$(printf 'a\t%.0s' {1..60} | hex)0a")"
	expect_in "afterwards" '"armed":true' "$(ask status)"
	daemon_down
}

test_only_root_and_the_group_may_ask() { # N03
	net_up
	guard_up "$MODE" 80
	echo 'synwarden:x:64999:' >> "$T/group" # the group of the unit, not the machine's
	cat /etc/group >> "$T/group"
	start server "$T/daemon" unshare --mount sh -c \
		"mount --bind $T/group /etc/group; exec '$SW_BIN' -v run"
	DAEMON=$STARTED
	expect_said 'debug: sweep' 10
	expect_in "root" "ok" "$(ask status | head -n 1)"
	expect_eq "group and mode" "64999 660" "$(stat -c '%g %a' $SOCK)"
	expect_in "nobody" "Permission denied" \
		"$(as --clear-groups "$PYTHON" "$HERE/ask.py" ask $SOCK status 2>&1)"
	expect_in "member of the group" "ok" \
		"$(as --groups 64999 "$PYTHON" "$HERE/ask.py" ask $SOCK status | head -n 1)"
	# where the file lets everybody in, as a daemon without CAP_CHOWN has to
	chmod 666 $SOCK
	expect_in "nobody" "error only root and the group synwarden may ask" \
		"$(as --clear-groups "$PYTHON" "$HERE/ask.py" ask $SOCK status)"
	expect_in "member of the group" "ok" \
		"$(as --groups 64999 "$PYTHON" "$HERE/ask.py" ask $SOCK status | head -n 1)"
	daemon_down
}

children() { pgrep -cP "$DAEMON" || true; }
some_children() { [ "$(children)" -gt 0 ]; }
two_children() { [ "$(children)" = 2 ]; }
no_children() { [ "$(children)" = 0 ]; }

test_slow_and_silent_askers_hold_nothing_up() { # N04
	local busy
	net_up
	start_nginx
	guard_up "$MODE" 80
	daemon_up --interval 1
	start server "$T/idle" "$PYTHON" "$HERE/ask.py" idle $SOCK 60 1
	busy=$STARTED
	start server "$T/slow" "$PYTHON" "$HERE/ask.py" slow $SOCK history
	wait_until 10 some_children || fail "none: $(cat "$T/idle" "$T/daemon")"
	expect_le "children" "$(children)" 33
	expect_eq "page meanwhile" alive "$(fetch "$S4")"
	wait "$busy"
	expect_ge "told that it is busy" "$(cat "$T/idle")" 20
	wait_until 10 no_children || fail "children left: $(ps --ppid "$DAEMON" -o pid,args)"
	expect_in "afterwards" "ok" "$(ask status | head -n 1)"
	daemon_down
}

# asker NAME FILE: it has begun to read an answer that is more than a socket holds
asker() {
	start server "$T/$1" "$PYTHON" "$HERE/ask.py" cut $SOCK "$2" metrics
	ASKER=$STARTED
	wait_until 10 grep -q asked "$T/$1" || fail "$(cat "$T/$1" "$T/daemon")"
}

test_answer_that_is_cut_off_is_told_from_a_whole_one() { # N03 N04
	local port
	net_up
	guard attach s0 > "$T/attach"
	echo services: > "$T/conf"
	for port in $(seq 1000 1110); do echo "  - { prefix: any, ports: $port }"; done >> "$T/conf"
	SYNWARDEN_RUN=$T/run guard apply "$T/conf" 2> "$T/said" || fail "$(cat "$T/said")"
	daemon_up
	asker whole "$T/conf"
	wait "$ASKER"
	expect_in "a daemon that goes on" whole "$(cat "$T/whole")"
	asker cut "$T/go"
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2> /dev/null || true
	touch "$T/go"
	wait "$ASKER"
	expect_in "a daemon that was killed" "cut off" "$(cat "$T/cut")"
	# the commands show nothing of it
	start server "$T/half" "$PYTHON" "$HERE/ask.py" half "$T/sock" half-an-answer
	wait_until 5 grep -q ready "$T/half" || fail "$(cat "$T/half")"
	expect_exit "events" 1 guard events --socket "$T/sock"
	expect_eq "events" "synwarden: read events: Connection reset by peer" "$OUT"
	expect_exit "metrics" 1 guard metrics --socket "$T/sock"
	expect_eq "metrics" "synwarden: ask $T/sock: Connection reset by peer" "$OUT"
	expect_exit "textfile" 1 guard metrics --socket "$T/sock" --textfile "$T/sw.prom"
	[ ! -e "$T/sw.prom" ] || fail "half a file: $(cat "$T/sw.prom")"
}

foreign_children_ended() { [ -z "$(pgrep -P "$DAEMON" sleep)" ]; }

# Of who ignores the end of children, or leaves his own; as process 1 of a container anybody's.
test_children_are_counted_whoever_started_the_daemon() { # N04 L12
	local n
	net_up
	guard_up "$MODE" 80
	start server "$T/daemon" env --ignore-signal=CHLD "$SW_BIN" -v run
	DAEMON=$STARTED
	expect_said 'debug: sweep' 10
	for n in $(seq 40); do
		expect_eq "question $n" ok "$(ask key show | head -n 1)"
	done
	daemon_down
	start server "$T/daemon" sh -c "for n in $(seq -s ' ' 40); do sleep 1 & done; exec '$SW_BIN' -v run"
	DAEMON=$STARTED
	expect_said 'debug: sweep' 10
	wait_until 5 foreign_children_ended || fail "$(ps --ppid "$DAEMON" -o pid,args)"
	expect_ge "told that it is busy" "$(sv "$PYTHON" "$HERE/ask.py" idle $SOCK 60 1)" 20
	daemon_down
}

test_socket_of_a_killed_daemon_is_taken_over() { # L12
	net_up
	guard_up "$MODE" 80
	daemon_up
	start server "$T/follow" "$SW_BIN" events --follow
	wait_until 3 some_children
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2> /dev/null || true
	wait "$STARTED" && fail "reader of a daemon that was killed: no failure"
	expect_in "reader of a daemon that was killed" "the daemon has ended" "$(cat "$T/follow")"
	# without one the ring is read
	guard events -j > "$T/events"
	daemon_up
	expect_in "new daemon" "ok" "$(ask status | head -n 1)"
	sv "$SW_BIN" events --socket "$T/other" > "$T/out" 2>&1 && fail "no daemon there"
	expect_in "no daemon there" "$T/other" "$(cat "$T/out")"
	daemon_down
	# what is no socket stays
	rm $SOCK && mkdir $SOCK
	daemon_up
	expect_said "nobody can ask this daemon"
	daemon_down
	rmdir $SOCK
}

attack_is_told() { guard events -j | grep -q '"kind":"attack"'; }

test_attack_is_summed_up_when_it_is_over() { # N08
	local e
	net_up
	guard attach s0 --xdp "$MODE" > "$T/attach"
	server --port 80
	guard service add any 80 --mode auto --arm syns=1000:500,half-open=off,unfinished=off,hold=1s
	start server "$T/journal" "$PYTHON" "$HERE/ask.py" journal /run/systemd/journal/socket
	wait_until 5 grep -q ready "$T/journal"
	: > "$T/daemon" # of which the daemon's stderr is made: as the service manager names it
	JOURNAL_STREAM=$(stat -c %d:%i "$T/daemon") daemon_up
	start server "$T/follow" "$SW_BIN" events --follow -j
	wait_until 3 some_children
	flood --rate 10000 --seconds 2 --dst $S4 --dport 80 --kind syn --src 198.51.100.0/28
	flood_end > "$T/flood"
	wait_until 8 attack_is_told || fail "no attack: $(guard events | tail -n 5)"
	e=$(guard events -j | grep '"kind":"attack"')
	say "MEASURED $e"
	expect_eq "attacks told" 1 "$(wc -l <<< "$e")"
	expect_eq "service and cause" "any 80 syns" "$(jq -r '.service + " " + .cause' <<< "$e")"
	expect_ge "peak" "$(field peak_syns_per_s <<< "$e")" 5000
	expect_le "peak" "$(field peak_syns_per_s <<< "$e")" 30000
	expect_eq "SYNs answered" "$(packets tx_synack)" \
		"$(jq '.reasons[] | select(.reason == "tx_synack") | .packets' <<< "$e")"
	expect_eq "most named source" 198.51.100.0/24 "$(jq -r '.sources[0].prefix' <<< "$e")"
	expect_eq "as command" "$(guard attacks -j | jq '.[0].peak_syns_per_s')" \
		"$(field peak_syns_per_s <<< "$e")"
	# readers and the journal had the same, the latter no single packet
	wait_until 3 grep -q '"kind":"attack"' "$T/follow"
	expect_ge "packets told to the reader" "$(grep -c '"kind":"packet"' "$T/follow")" 1
	grep -q '"version":1,' "$T/follow" || fail "no version"
	expect_eq "entries of the journal" "armed attack" \
		"$(sed -n 's/^SYNWARDEN_KIND=//p' "$T/journal" | xargs)"
	expect_eq "ids of messages" 2 "$(grep -c '^MESSAGE_ID=[0-9a-f]\{32\}$' "$T/journal")"
	grep -q '^SYNWARDEN_PEAK_SYNS_PER_S=[0-9]' "$T/journal" || fail "$(cat "$T/journal")"
	expect_in "history" "any" "$(body history | jq -c '[.samples[].armed] | if add > 0 then "any" else . end')"
	expect_eq "SYNs in the history" "$(packets tx_synack)" \
		"$(body history | jq '[.samples[].reasons.tx_synack // 0] | add')"
	daemon_down
}

test_events_that_nobody_sees_are_counted() { # N08
	net_up
	server --port 80
	guard_up "$MODE" 80
	# every packet is one: more a second than are kept
	guard limit set event-gap 0
	guard limit set state-events 1
	guard limit set state-events-rate 100000
	daemon_up
	start server "$T/follow" "$SW_BIN" events --follow -j
	wait_until 3 some_children
	client many "$S4" --count 300 > "$T/many"
	wait_until 5 grep -q '"stage":"rate_limit"' "$T/follow" ||
		fail "nothing lost: $(wc -l < "$T/follow") $(tail -n 2 "$T/follow")"
	daemon_down
}

is_armed() { [ "$(guard service list -j | jq '.[0].armed')" = "$1" ]; }
reads_armed() { guard events -j | grep -q '"kind":"armed"'; }

test_attack_of_before_the_daemon_is_news_while_it_lasts() { # N08
	net_up
	guard attach s0 --xdp "$MODE" > "$T/attach"
	server --port 80
	guard service add any 80 --mode auto --arm syns=1000:500,half-open=off,unfinished=off,hold=1s
	flood --rate 5000 --seconds 1 --dst $S4 --dport 80 --kind syn
	wait_until 5 is_armed true
	flood_end > "$T/flood"
	wait_until 5 is_armed false
	daemon_up
	wait_until 5 reads_armed || fail "$(guard events)"
	if said "under attack"; then fail "told of an attack that is over: $(cat "$T/daemon")"; fi
	daemon_down
	flood --rate 5000 --seconds 3 --dst $S4 --dport 80 --kind syn
	wait_until 5 is_armed true
	daemon_up
	expect_said "any 80 is under attack: syns"
	flood_end > "$T/flood"
	daemon_down
}

armed_metric() { guard metrics | sed -n "s/^synwarden_service_armed{.*} //p"; }

# Without a SYN the programs do not look; with the next one they go on.
test_attack_lasts_while_half_open_connections_keep_it_armed() { # N08 A12
	local start answered
	net_up
	server --port 80
	guard attach s0 --xdp "$MODE" > "$T/attach"
	guard service add any 80 --mode auto --arm syns=off,half-open=20:10,unfinished=off,hold=1s
	daemon_up
	flood --rate 300 --seconds 1 --dst $S4 --dport 80 --kind syn --opts 20
	flood_end > "$T/flood"
	sleep 2.5
	start=$(guard attacks -j | jq -c '[.[].start | floor]')
	expect_eq "under attack" 1 "$(armed_metric)"
	expect_in "status" "1 under attack" "$(guard status)"
	expect_eq "end of the attack" '[null]' "$(guard attacks -j | jq -c '[.[].end]')"
	answered=$(packets tx_synack)
	cl curl -s -m 2 -o "$T/page" "http://$S4/" || true
	expect_eq "SYNs answered" $((answered + 1)) "$(packets tx_synack)"
	expect_eq "attacks" "$start" "$(guard attacks -j | jq -c '[.[].start | floor]')"
	if guard events -j | grep -q '"kind":"attack"'; then fail "summed up: $(guard events | tail -n 3)"; fi
	daemon_down
}

test_history_has_a_second_for_each_second() { # N04
	net_up
	server --port 80
	guard_up "$MODE" 80
	daemon_up
	wait_until 5 history_has_begun || fail "no sample"
	flood --rate 2000 --seconds 3 --dst $S4 --dport 80 --kind syn
	sleep 0.5
	kill -STOP "$DAEMON"
	sleep 3.5
	kill -CONT "$DAEMON"
	flood_end > "$T/flood"
	sleep 1.5
	body history > "$T/history"
	say "MEASURED $(jq -c '[.samples[].syns]' "$T/history")"
	expect_le "SYNs of a second" "$(jq '[.samples[].syns] | max' "$T/history")" 3500
	expect_eq "SYNs" "$(packets tx_synack)" "$(jq '[.samples[].syns] | add' "$T/history")"
	expect_eq "SYNs by reason" "$(packets tx_synack)" \
		"$(jq '[.samples[].reasons.tx_synack // 0] | add' "$T/history")"
	expect_le "seconds without a sample" "$(jq '[.samples[].time] | [.[1:], .[:-1]] | transpose |
		map(.[0] - .[1]) | max' "$T/history")" 1.9
	daemon_down
}

history_has_syns() { [ "$(body history | jq "[.samples[].syns] | add")" -ge 800 ]; }

test_history_in_mode_monitor_is_what_was_done() { # N04
	net_up
	server --port 80
	guard attach s0 --xdp "$MODE" > /dev/null
	guard service add any 80 --mode monitor
	daemon_up
	flood --rate 2000 --seconds 1 --dst $S4 --dport 80 --kind syn,null
	flood_end > /dev/null
	wait_until 5 history_has_syns || fail "$(body history)"
	expect_ge "would have been answered" "$(packets tx_synack would_packets)" 500
	expect_eq "answered" 0 "$(body history | jq '[.samples[].answered] | add')"
	expect_eq "dropped" 0 "$(body history | jq '[.samples[].reasons.drop_flags // 0] | add')"
	daemon_down
}

test_reader_that_sleeps_is_told_what_it_missed() { # N08 @limit=90
	local told nap
	net_up
	server --port 80
	guard_up "$MODE" 80
	guard limit set event-gap 1
	daemon_up
	# 200 a second are kept: more than the 1000 that are, and what a socket holds besides
	start server "$T/nap" "$PYTHON" "$HERE/ask.py" nap $SOCK 13 follow
	nap=$STARTED
	start server "$T/awake" "$SW_BIN" events --follow -j
	wait_until 3 two_children
	flood --rate 2000 --seconds 12 --dst $S4 --dport 80 --kind all
	flood_end > "$T/flood"
	wait "$nap" || fail "$(tail -n 3 "$T/nap")"
	grep -q '"stage":"subscriber"' "$T/nap" || fail "not told: $(wc -l < "$T/nap")"
	expect_eq "lines that are whole" "$(tail -n +2 "$T/nap" | wc -l)" \
		"$(tail -n +2 "$T/nap" | jq -c . | wc -l)"
	told=$(tail -n +2 "$T/nap" | jq -s '[.[] | select(.stage == "subscriber") | .events] | add')
	expect_eq "as the metrics have it" "$told" \
		"$(guard metrics | sed -n 's/^synwarden_events_lost_total{stage="subscriber"} //p')"
	expect_eq "shown and missed, and what another reader had" "$(wc -l < "$T/awake")" \
		$(($(tail -n +2 "$T/nap" | grep -vc '"stage":"subscriber"') + told))
	daemon_down
}

run_tests "$@"
