#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The configuration file and a running guard: check, diff, apply, confirm, save. Not here: what
# a file may say, which is tests/unit_config.c.

set -euo pipefail
# shellcheck source=tests/netns_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_lib.sh"

# what is remembered of an applied file stays below the test's own directory
config_net() {
	net_up
	export SYNWARDEN_RUN=$T/run
	guard attach s0 --no-fail-safe > "$T/attach"
}

# file NAME < TEXT: a file $T/NAME
file() { cat > "$T/$1"; }

same() { expect_exit "diff of $1" 0 guard diff "$T/$1"; }
differs() { expect_exit "diff of $1" 1 guard diff "$T/$1"; }
services() { guard service list -j | jq -r '.[] | "\(.service) \(.mode)"'; }
not_waiting() { [ -z "$(find "$T/run" -name '*.rollback')" ]; }
# processes that wait to roll back
waiters() { pgrep -f -- 'apply .*--confirm' || true; }
no_waiters() { [ -z "$(waiters)" ]; }
lists() { for l in deny allow fail-safe; do guard $l list | awk '{ print $1, $2 }'; done; }

web_and_ssh() {
	file web <<- 'END'
		services:
		  - prefix: any
		    ports: 80
		  - prefix: 10.9.0.0/24
		    ports: 8000-8099
		    mode: auto
		    host-syns: 7
		    per-source: { new: 50, burst: 90, conns: 30 }
		    over: ban:10m
		    arm: { syns: 900:400, half-open: off, unfinished: 70:20, hold: 10s }
		limits:
		  timeout-closed: 200
		  ask-rate: 1000
		lists:
		  deny:
		    entries:
		      - 203.0.113.0/24
		      - { prefix: "2001:db8::/32", comment: "it's noise", ttl: 1h }
		  allow:
		    entries:
		      - { prefix: 203.0.113.7, service: "any 80" }
		fail-safe:
		  ports: [22, 2222]
		  sources: [198.51.100.9]
	END
}

broken_file_leaves_everything() {
	local before
	before=$(guard service list -j; guard limit show -j; lists)
	file broken <<- 'END'
		services:
		  - prefix: any
		    ports: 80-90
		  - prefix: any
		    ports: 85
		limits:
		  timeout-time-wait: 9
		lists:
		  deny:
		    files: [gone.txt]
	END
	expect_exit "apply" 1 guard apply "$T/broken"
	expect_in "overlap" "broken:4:5: service 'any 85' overlaps 'any 80-90' of line 2" "$OUT"
	expect_in "limit" "broken:7:22: bad timeout-time-wait '9': 60 to 240" "$OUT"
	expect_in "list file" "$T/gone.txt': No such file" "$OUT"
	expect_in "what stays" "nothing is applied" "$OUT"
	expect_exit "diff" 2 guard diff "$T/broken"
	expect_eq "what runs" "$before" \
		"$(guard service list -j; guard limit show -j; lists)"
	same web
	expect_exit "no guard" 1 guard apply "$T/web" --pin /sys/fs/bpf/elsewhere
	expect_exit "diff without a guard" 2 guard diff "$T/web" --pin /sys/fs/bpf/elsewhere
}

commands_of_a_diff_bring_what_it_says() {
	local command
	file other <<- 'END'
		services: [{ prefix: any, ports: 9999 }]
		limits: {}
		lists: { deny: { entries: [192.0.2.1] } }
		fail-safe: { sources: [192.0.2.9] }
	END
	guard apply "$T/other"
	same other
	guard diff "$T/web" > "$T/commands" || true
	while read -r command; do
		eval "guard $command" || fail "$command"
	done < "$T/commands"
	same web
}

test_apply_brings_it_all_and_diff_says_so() { # K10 N05
	config_net
	web_and_ssh
	differs web
	expect_in "diff" "service add any 80" "$OUT"
	expect_in "diff" "service add 10.9.0.0/24 8000-8099 --mode auto --host-syns 7 --arm syns=900:400,half-open=off,unfinished=70:20,hold=10s --per-source new=50,burst=90,conns=30 --over ban:600s" "$OUT"
	expect_in "diff" "limit set ask-rate 1000" "$OUT"
	expect_in "diff" "deny add 2001:db8::/32 --ttl 3600s --comment 'it'\\''s noise'" "$OUT"
	expect_in "diff" "allow add 203.0.113.7 --service 'any 80'" "$OUT"
	expect_in "diff" "fail-safe port add 2222" "$OUT"
	expect_eq "dry run" "$OUT" "$(guard apply "$T/web" --dry-run)"
	expect_eq "services after a dry run" "" "$(services)"
	guard apply "$T/web"
	same web
	expect_eq "services" "any 80 monitor
10.9.0.0/24 8000-8099 auto" "$(services)"
	expect_eq "limit" 200 "$(guard limit show -j | jq '.[] | select(.name == "timeout-closed") | .value')"
	expect_in "status" "$T/web, nothing differs" "$(guard status)"
	expect_eq "diff as JSON" "[]" "$(guard diff "$T/web" -j)"
	broken_file_leaves_everything
	commands_of_a_diff_bring_what_it_says
}

test_check_needs_no_guard_and_no_root() { # N05
	local other
	other=$(mktemp -d /dev/shm/sw.XXXXXX)
	chmod 755 "$other"
	cp "$SW_BIN" "$other/synwarden"
	cp "$HERE/../deploy/synwarden.yaml" "$other/good"
	printf 'services:\n  - prefix: any\n    ports: 0\nlimit: {}\n' > "$other/bad"
	chmod 644 "$other"/good "$other"/bad
	expect_exit "good file" 0 setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$other/synwarden" check "$other/good"
	expect_exit "bad file" 1 setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$other/synwarden" check "$other/bad"
	expect_in "first error" "$other/bad:3:12: bad port '0'" "$OUT"
	expect_in "second error" "$other/bad:4:1: the file: unknown key 'limit', did you mean 'limits'?" "$OUT"
	expect_eq "errors as JSON" 2 "$("$SW_BIN" check "$other/bad" -j | field 'errors | length')"
	expect_exit "no file" 1 "$SW_BIN" check "$other/none"
	expect_exit "too many words" 2 "$SW_BIN" check "$other/good" "$other/bad"
	rm -r "$other"
}

test_services_keep_ids_and_counts() { # K10 N06
	local id before
	config_net
	start_nginx
	guard service add any 81
	guard service add any 80 --mode always
	guard service add any 82
	id=$(guard service list -j | jq '.[] | select(.service == "any 80") | .id')
	family 4
	expect_eq "page" alive "$(fetch "$URL")"
	before=$(packets tx_synack)
	expect_ge "SYN-ACKs" "$before" 1
	file next <<- 'END'
		services:
		  - { prefix: any, ports: 443, mode: always }
		  - { prefix: any, ports: 80, mode: auto }
		  - { prefix: any, ports: 8080, mode: always }
	END
	guard apply "$T/next"
	same next
	expect_eq "id" "$id" "$(guard service list -j | jq '.[] | select(.service == "any 80") | .id')"
	expect_eq "count" "$before" "$(packets tx_synack)"
	expect_eq "ids" 3 "$(guard service list -j | jq '[.[].id] | unique | length')"
}

test_changes_by_command_show_and_are_saved() { # K10
	config_net
	file conf <<- 'END'
		# my own words
		limits: # of all
		  timeout-closed: 200 # why
		services: # mine
		  - prefix: any # everybody
		    ports: 80
	END
	guard apply "$T/conf"
	expect_in "status" "$T/conf, nothing differs" "$(guard status)"
	guard limit set timeout-closed 300
	guard limit set ask-rate 5
	expect_in "status" "$T/conf, 2 settings differ:" "$(guard status)"
	expect_eq "differs" 2 "$(guard status -j | field configuration.differs)"
	differs conf
	expect_eq "diff" "limit set timeout-closed 200
limit set ask-rate 200000" "$OUT"
	guard save
	same conf
	expect_eq "saved" "# my own words
limits: # of all
  timeout-closed: 300 # why
  ask-rate: 5
services: # mine
  - prefix: any # everybody
    ports: 80" "$(cat "$T/conf")"
	guard deny add 203.0.113.9 --comment 'a "quoted" word' --ttl 1h
	guard service set any 80 --mode auto
	guard save
	same conf
	expect_in "comment kept" "timeout-closed: 300 # why" "$(cat "$T/conf")"
	expect_in "list saved" 'comment: "a \"quoted\" word"' "$(cat "$T/conf")"
	expect_in "status" "nothing differs" "$(guard status)"
	guard save "$T/new"
	same new
	expect_exit "check" 0 guard check "$T/new"
	guard save - > "$T/stdout"
	same stdout
	printf 'devices: # mine\n  - name: away0\n    xdp: generic\n' > "$T/devices"
	guard save "$T/devices"
	expect_eq "devices" "away0 s0" "$(sed -n 's/^ *- name: //p' "$T/devices" | xargs)"
	expect_exit "save over a directory" 1 guard save "$T"
}

# two files, of which the first runs
two_files() {
	config_net
	file one <<< 'services: [{ prefix: any, ports: 80 }]'
	web_and_ssh
	guard apply "$T/one"
}

confirmed_configuration_stays() {
	guard apply "$T/web" --confirm 60 2> /dev/null
	expect_eq "processes that wait" 1 "$(waiters | wc -l)"
	guard confirm
	wait_until 5 no_waiters || fail "the process that waited is there still"
	same web
	expect_in "status" "$T/web, nothing differs" "$(guard status)"
	expect_exit "confirm twice" 1 guard confirm
	guard apply "$T/one"
}

test_unconfirmed_configuration_is_taken_back() { # K10 L03
	two_files
	guard deny add 203.0.113.50 --comment old
	guard fail-safe port add 22
	guard apply "$T/web" --confirm 2 2> "$T/said"
	expect_in "what to do" "synwarden confirm" "$(cat "$T/said")"
	expect_in "what it hangs on" "no daemon runs" "$(cat "$T/said")"
	same web
	expect_in "status" "s left to confirm" "$(guard status)"
	expect_exit "a second apply" 1 guard apply "$T/one"
	expect_in "a second apply" "'synwarden confirm' keeps it" "$OUT"
	expect_exit "save meanwhile" 1 guard save "$T/saved"
	expect_eq "files left" "" "$(find "$T" -name 'saved*')"
	wait_until 10 not_waiting || fail "not taken back"
	same one
	expect_eq "services" "any 80 monitor" "$(services)"
	expect_eq "lists" "PREFIX SERVICE
203.0.113.50 -" "$(lists | sort -ur | grep -v '^port')"
	expect_in "status" "$T/one, nothing differs" "$(guard status)"
	expect_exit "confirm, too late" 1 guard confirm
	wait_until 5 no_waiters || fail "the process that waited is there still"
	confirmed_configuration_stays
}

# what ssh does when its line breaks: the terminal hangs up, then all of the session is killed
in_a_terminal() {
	"$PYTHON" - "$@" <<- 'END'
		import os, pty, sys, time
		pid, terminal = pty.fork()
		if not pid:
		    os.execvp(sys.argv[1], sys.argv[1:])
		said = b""
		while b"keeps it" not in said:
		    said += os.read(terminal, 1000)
		os.close(terminal)
		time.sleep(0.2)
		for entry in os.listdir("/proc"):
		    try:
		        if entry.isdigit() and os.getsid(int(entry)) == pid:
		            os.kill(int(entry), 9)
		    except ProcessLookupError:
		        pass
		os.waitpid(pid, 0)
	END
}

test_roll_back_survives_the_terminal() { # N05 L01
	two_files
	in_a_terminal nsenter --net=/run/netns/server bash -c \
		"'$SW_BIN' apply '$T/web' --confirm 2; sleep 100"
	expect_eq "processes that wait" 1 "$(waiters | wc -l)"
	expect_eq "its terminal" "?" "$(ps -o tty= -p "$(waiters)" | tr -d ' ')"
	expect_eq "its files" "/dev/null" \
		"$(readlink "/proc/$(waiters)/fd/"[0-2] | sort -u)"
	same web
	wait_until 10 not_waiting || fail "not taken back"
	same one
	wait_until 5 no_waiters || fail "the process that waited is there still"
}

test_overdue_roll_back_is_made_by_the_next_command() { # N05 L01
	two_files
	guard apply "$T/web" --confirm 1 2> /dev/null
	# the end of a machine, or of the session's scope, does not wait for it
	kill -TERM "$(waiters)"
	wait_until 1 no_waiters || fail "SIGTERM does not end the process that waits"
	sleep 1.2
	expect_in "status" "what ran before is due" "$(guard status)"
	expect_exit "confirm, too late" 1 guard confirm
	expect_in "confirm" "too late" "$OUT"
	same one
	[ -n "${SW_LONG-}" ] || return 0
	guard apply "$T/web" --confirm 1 2> /dev/null
	kill -KILL "$(waiters)"
	sleep 1.2
	file three <<< 'limits: { ask-rate: 77 }'
	guard apply "$T/three"
	same three
	same one
	# a guard that was detached meanwhile has nothing to go back to
	guard apply "$T/web" --confirm 1 2> /dev/null
	guard detach --all
	guard attach s0 > /dev/null
	sleep 1.5
	expect_eq "services of the new guard" "" "$(services)"
	wait_until 15 no_waiters || fail "the process that waited is there still"
}

test_daemon_reloads_the_file_and_takes_back_what_is_overdue() { # N05 L01 L12
	local daemon
	two_files
	start server "$T/daemon" "$SW_BIN" -v run --interval 1
	daemon=$STARTED
	# before that SIGHUP may end it
	wait_until 10 grep -q 'debug: sweep' "$T/daemon" || fail "run: $(cat "$T/daemon")"
	file one <<< 'services: [{ prefix: any, ports: 81 }]'
	expect_in "as a reload would" "any 81" "$(guard apply --again --dry-run)"
	kill -HUP "$daemon"
	wait_until 5 grep -q "file is in force" "$T/daemon" || fail "$(cat "$T/daemon")"
	expect_eq "services" "any 81 monitor" "$(services)"
	echo 'limits: { ask-rat: 1 }' >> "$T/one"
	kill -HUP "$daemon"
	wait_until 5 grep -q "before stays in force" "$T/daemon" || fail "$(cat "$T/daemon")"
	expect_in "reload" "one:2:11: limits: unknown key 'ask-rat'" "$(cat "$T/daemon")"
	refused "as a reload would be" 1 "one:2:11" guard apply --again --dry-run
	expect_eq "services" "any 81 monitor" "$(services)"
	guard apply "$T/web" --confirm 1 2> "$T/said"
	if grep "no daemon runs" "$T/said"; then fail "one does"; fi
	kill -KILL "$(waiters)"
	wait_until 5 not_waiting || fail "$(cat "$T/daemon")"
	expect_eq "services" "any 81 monitor" "$(services)"
	kill "$daemon"
	wait "$daemon" || fail "daemon: $(cat "$T/daemon")"
}

test_nobody_cuts_himself_off() { # P06
	config_net
	file closed <<- 'END'
		services: [{ prefix: any, ports: 22, mode: always }]
		lists: { deny: { entries: [any] } }
	END
	export SSH_CONNECTION="$C4 50000 $S4 22"
	expect_exit "apply" 1 guard apply "$T/closed"
	expect_in "what stays" "what ran before stays in force" "$OUT"
	expect_exit "dry run" 1 guard apply --dry-run "$T/closed"
	expect_in "why" "keep you out" "$OUT"
	expect_eq "services" "" "$(services)"
	guard detach --all
	printf 'devices: [s0]\n' >> "$T/closed"
	expect_exit "attach" 1 guard attach --config "$T/closed" --no-fail-safe
	[ ! -e "$PIN" ] || fail "pins after a refused attach"
	guard attach --config "$T/closed" --no-fail-safe --force > /dev/null 2>&1
	expect_eq "services" "any 22 always" "$(services)"
	guard apply "$T/closed" # nothing gets worse
	unset SSH_CONNECTION
}

test_attach_takes_a_file() { # L03 N05
	net_up
	export SYNWARDEN_RUN=$T/run
	web_and_ssh
	printf 'devices:\n  - { name: s0, xdp: generic }\nconnections: 1000\n' >> "$T/web"
	sed 's/name: s0/name: gone0/' "$T/web" > "$T/gone"
	expect_exit "device that is not there" 1 guard attach --config "$T/gone"
	expect_in "device" "$T/gone:26:5: no device 'gone0'" "$OUT"
	expect_exit "file that is not there" 1 guard attach --config "$T/none"
	[ ! -e "$PIN" ] || fail "pins after a refused attach"
	guard attach --config "$T/web" > "$T/said" 2>&1 || fail "$(cat "$T/said")"
	same web
	expect_eq "mode" generic "$(guard status -j | field 'devices[0].mode')"
	expect_eq "room" 1000 "$(guard status -j | field 'tables[0].max')"
	expect_in "status" "$T/web, nothing differs" "$(guard status)"
	# a device that vanishes stays wanted, and the file still applies
	sv ip link del s0
	stop "${PASS[c0]}"
	expect_exit "apply" 0 guard apply "$T/web"
	expect_in "what is not apply's" "not applied, it is attach's: attach s0 --xdp generic" "$OUT"
	differs web
	expect_eq "alive" "s0 false" "$(guard status -j | jq -r '.devices[0] | "\(.device) \(.alive)"')"
	join client c0 server s0
	guard attach s0 --xdp native > "$T/said" 2>&1 || fail "$(cat "$T/said")"
	expect_in "attach" "s0 is gone, forgotten" "$(cat "$T/said")"
	guard detach s0
	guard detach --all
}

# many SERVICES PREFIXES SEED MODE: a file, and the list file it names
many() {
	awk -v n="$2" -v seed="$3" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "%d.%d.%d.0/24 # %d\n", 20 + seed, i / 256 % 256, i % 256, i
	}' > "$T/deny-$3.txt"
	[ "$2" -le 65536 ] || awk -v n="$2" -v seed="$3" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "%d.%d.%d.%d\n", 40 + seed, i / 65536, i / 256 % 256, i % 256
	}' > "$T/deny-$3.txt"
	{
		echo 'services:'
		for ((i = 0; i < $1; i++)); do
			echo "  - { prefix: 10.$3.$i.0/24, ports: $((1000 + i)), mode: $4 }"
		done
		echo "  - { prefix: any, ports: 80, mode: always }"
		echo "limits: { timeout-closed: $((200 + $3)) }"
		echo "lists: { deny: { files: [deny-$3.txt] } }"
	} > "$T/many-$3"
}

test_100_services_and_100000_prefixes_in_3_seconds() { # K10
	local began
	config_net
	many 99 100000 1 auto
	began=$EPOCHREALTIME
	guard apply "$T/many-1"
	in_time "apply of 100 services and 100,000 prefixes" "$began" 3
	same many-1
	expect_eq "services" 100 "$(guard service list -j | jq length)"
	began=$EPOCHREALTIME
	expect_in "status" "nothing differs" "$(guard status)"
	say "MEASURED status beside them: $(elapsed "$began") s"
	# a list file stays named as long as all of it runs
	guard deny add 192.0.2.77
	guard save
	same many-1
	expect_in "list file" 'deny-1.txt' "$(cat "$T/many-1")"
	expect_eq "entries" 1 "$(grep -c '^      - [0-9]' "$T/many-1")"
	# the same again changes no list; another one all of them
	guard limit set timeout-closed 5
	began=$EPOCHREALTIME
	guard apply "$T/many-1"
	say "MEASURED the same file with one limit changed: $(elapsed "$began") s"
	if [ -n "${SW_LONG-}" ]; then
		many 99 100000 2 auto
		began=$EPOCHREALTIME
		guard apply "$T/many-2" --confirm 60 2> /dev/null
		say "MEASURED apply --confirm of others in their place: $(elapsed "$began") s"
		same many-2
		kill -KILL "$(waiters)"
	fi
	file small <<< 'lists: { deny: { entries: [] } }'
	expect_exit "save into a file of 1 MiB" 1 guard save "$T/saved"
	guard detach --all
}

# as fast as it goes, until $T/flipping is gone; the number of times to stdout
flip() {
	local n=0
	while [ -e "$T/flipping" ]; do
		guard apply "$T/many-$((n % 2 + 1))" || return 1
		n=$((n + 1))
	done
	say "$n"
}

test_flips_under_flood_are_not_noticed() { # K10 @limit=120
	local seconds=2 flipping
	[ -z "${SW_LONG-}" ] || seconds=60
	config_net
	start_nginx
	# not auto: one that enforces and ends waits half a second for its handshakes
	many 20 300 1 monitor
	many 30 300 2 monitor
	guard apply "$T/many-1"
	family 4
	: > "$T/flipping"
	flood --dst $S4 --dport 80 --rate 100000 --seconds $((seconds + 1)) --kind syn
	flip > "$T/flips" &
	flipping=$!
	paced --dst $S4 --port 80 --rate 100 --seconds $seconds > "$T/paced"
	rm "$T/flipping"
	wait $flipping || fail "apply: $(cat "$T/flips")"
	flood_end > "$T/sent"
	say "MEASURED $(cat "$T/flips") flips in $seconds s; clients $(cat "$T/paced")"
	expect_ge "flips" "$(tail -n 1 "$T/flips")" $((seconds / 2))
	expect_eq "clients served" $((seconds * 100)) "$(field ok < "$T/paced")"
	# a packet of a half that is not written yet would find no service, or one that is off
	expect_eq "not guarded" 0 "$(guard stats -j | jq '[.[] | select(.reason == "pass_not_guarded"
		or .reason == "pass_mode_off") | .packets] | add // 0')"
	expect_eq "would have been answered" 0 "$(packets tx_synack would_packets)"
}

run_tests "$@"
