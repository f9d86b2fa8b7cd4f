#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The daemon beside commands and its service manager: what it tells, what a reload takes, a lock
# that somebody holds, what a killed command leaves. Not here: devices and upgrades
# (netns_daemon.sh), the file (netns_config.sh), the unit (netns_unit.sh).

set -euo pipefail
# shellcheck source=tests/netns_daemon_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_daemon_lib.sh"

services() { guard service list -j | jq -r '.[].service'; }
key_is_pending() { [ "$(guard key show -j | field pending)" = true ]; }

test_service_manager_is_told() { # L12
	local n
	net_up
	export SYNWARDEN_RUN=$T/run
	guard_up "$MODE" 80
	listen_as_manager
	NOTIFY_SOCKET=$T/notify WATCHDOG_USEC=600000 daemon_up --rotate-keys 1
	for n in '^READY=1 STATUS=1 device guarded, 0 waited for$' '^WATCHDOG=1$'; do
		wait_until 3 told "$n" || fail "not told: $n: $(cat "$T/told")"
	done
	kill -HUP "$DAEMON"
	wait_until 3 told '^RELOADING=1 MONOTONIC_USEC=[0-9]+$' || fail "no reload: $(cat "$T/told")"
	wait_until 3 told '^READY=1$' || fail "not ready again: $(cat "$T/told")"
	expect_said "reload"
	wait_until 3 told '^STATUS=RELOAD FAILED: no configuration file was applied' || fail "$(cat "$T/told")"
	echo 'services: [{ prefix: any, ports: 80, mode: always }]' > "$T/conf"
	guard apply "$T/conf"
	kill -HUP "$DAEMON"
	wait_until 3 told '^STATUS=1 device guarded, 0 waited for$' || fail "$(cat "$T/told")"
	echo 'limts: {}' >> "$T/conf"
	kill -HUP "$DAEMON"
	wait_until 3 told "^STATUS=RELOAD FAILED: $T/conf:2: the file: unknown key 'limts'.*; 1 device" ||
		fail "$(cat "$T/told")"
	sed -i 2d "$T/conf"
	kill -HUP "$DAEMON"
	sv ip link del s0
	wait_until 3 told '^STATUS=0 devices guarded, 1 waited for$' || fail "$(cat "$T/told")"
	wait_until 5 key_is_pending || fail "the key was not rotated: $(cat "$T/daemon")"
	sleep 1
	expect_ge "watchdog messages" "$(grep -c WATCHDOG "$T/told")" 3
	daemon_down
	wait_until 3 told '^STOPPING=1$' || fail "no end: $(cat "$T/told")"
	unset "PASS[c0]"
}

# A period longer than daemons live must not put it off for ever.
test_key_is_changed_by_its_age() { # N05 L12
	net_up
	guard_up "$MODE" 80
	sleep 4
	daemon_up --rotate-keys 8
	wait_until 6 key_is_pending || fail "age $(guard key show -j | field age_s): $(cat "$T/daemon")"
	daemon_down
	# one that is new is not changed again at once
	daemon_up --rotate-keys 3600
	sleep 2
	if said "next key"; then fail "$(cat "$T/daemon")"; fi
	daemon_down
}

signs_of_life() { grep -c WATCHDOG "$T/told" || true; }
signs_beyond() { [ "$(signs_of_life)" -gt "$1" ]; }
no_rollback() { [ -z "$(find "$T/run" -name '*.rollback')" ]; }

# As by a run that Ctrl-Z stopped: what needs the lock waits for it, the daemon does not.
test_lock_that_is_held_does_not_stop_the_daemon() { # L01 L12
	local holder n
	net_up
	export SYNWARDEN_RUN=$T/run
	guard_up "$MODE" 80
	listen_as_manager
	echo 'services: [{ prefix: any, ports: 80, mode: always }]' > "$T/conf"
	guard apply "$T/conf"
	NOTIFY_SOCKET=$T/notify WATCHDOG_USEC=400000 daemon_up --interval 1
	echo 'services: [{ prefix: any, ports: 81, mode: always }]' > "$T/other"
	guard apply "$T/other" --confirm 1 2> /dev/null
	kill -KILL "$(pgrep -f 'apply .*--confirm')"
	cat > "$T/hold.py" <<-END
		import fcntl, os, time
		for path in "/run/synwarden.lock", "$PIN":
		    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)
		print("held", flush=True)
		time.sleep(100)
	END
	start server "$T/holder" "$PYTHON" "$T/hold.py"
	holder=$STARTED
	wait_until 5 grep -q held "$T/holder" || fail "$(cat "$T/holder")"
	sleep 1.5 # what waits is overdue
	kill -HUP "$DAEMON"
	expect_said "reload: waits for another run"
	n=$(signs_of_life)
	wait_until 3 signs_beyond $((n + 4)) || fail "no signs of life: $(cat "$T/told")"
	stop "$holder"
	wait_until 5 no_rollback || fail "not rolled back: $(cat "$T/daemon")"
	expect_said "reload: the configuration file is in force" 5
	expect_eq "services" "any 80" "$(services)"
	daemon_down
}

# detach_killed DEV: in the half second in which handshakes may end
detach_killed() {
	start server "$T/killed" "$SW_BIN" detach "$1"
	wait_until 5 is_armed false || fail "not draining"
	kill -KILL "$STARTED"
	wait "$STARTED" 2> /dev/null || true
}
is_armed() { [ "$(guard status -j | field armed)" = "$1" ]; }

test_killed_detach_disarms_nothing_for_good() { # L01 L03
	net_up
	second_device
	guard_up "$MODE" 80
	guard attach s1 > /dev/null
	detach_killed s1
	guard limit set ask-rate 7 2> "$T/said"
	expect_in "said" "a detach was cut short" "$(cat "$T/said")"
	is_armed true || fail "not armed by a command"
	# one that is under way is not disturbed
	daemon_up --interval 1
	guard detach s1
	guard attach s1 > /dev/null
	if said "a detach was cut short"; then fail "$(cat "$T/daemon")"; fi
	detach_killed s1
	expect_said "a detach was cut short"
	is_armed true || fail "not armed by the daemon"
	daemon_down
}

# What make install put there was applied by nobody.
test_reload_takes_only_what_was_applied() { # N05 L01 L12
	net_up
	export SYNWARDEN_RUN=$T/run
	guard attach s0 --no-fail-safe > "$T/attach"
	guard service add any 80
	guard deny add 203.0.113.50
	guard limit set ask-rate 5
	mount -t tmpfs tmpfs /etc
	mkdir /etc/synwarden
	printf 'services: []\nlimits: {}\nlists: {}\n' > /etc/synwarden/synwarden.yaml
	daemon_up --interval 1
	kill -HUP "$DAEMON"
	expect_said "no configuration file was applied"
	expect_eq "services" "any 80" "$(services)"
	expect_in "deny list" 203.0.113.50 "$(guard deny list)"
	# as it is installed it takes nothing away either
	guard apply "$HERE/../deploy/synwarden.yaml"
	kill -HUP "$DAEMON"
	expect_said "file is in force"
	expect_eq "services" "any 80" "$(services)"
	expect_in "deny list" 203.0.113.50 "$(guard deny list)"
	expect_eq "limit" 5 "$(guard limit show -j | jq '.[] | select(.name == "ask-rate") | .value')"
	daemon_down
}

alive() { guard status -j | jq -r '.devices[] | "\(.device) \(.alive)"' | sort; }

test_attach_at_boot_waits_and_takes_the_file_once() { # N05 L03 L07
	net_up
	export SYNWARDEN_RUN=$T/run
	expect_exit "no file" 0 guard attach --boot --config "$T/none" s0 late0
	expect_in "no file" "$T/none is not there" "$OUT"
	expect_in "no way back" "no fail-safe port was found" "$OUT"
	expect_eq "devices" $'late0 false\ns0 true' "$(alive)"
	expect_exit "two that wait" 0 guard attach --boot late1 late0
	expect_exit "again" 0 guard attach --boot late1 late0
	expect_eq "devices" $'late0 false\nlate1 false\ns0 true' "$(alive)"
	refused "not at boot" 1 "no device 'late0'" guard attach late0
	guard detach --all
	# as it is installed it is not in force: nothing for a reload to come back to
	guard attach --boot --config "$HERE/../deploy/synwarden.yaml" s0 > /dev/null
	if guard status | grep configuration; then fail "a file is applied that says nothing"; fi
	guard detach --all
	printf '%s\n' 'devices: [late0, s0]' 'connections: 1000' \
		'services: [{ prefix: any, ports: 80 }]' 'fail-safe: { ports: [22] }' > "$T/conf"
	expect_exit "file" 0 guard attach --boot --config "$T/conf"
	expect_eq "a way back, said" "" "$(grep "no fail-safe" <<< "$OUT" || true)"
	expect_in "status" "$T/conf" "$(guard status)"
	expect_eq "services" "any 80" "$(services)"
	expect_eq "devices" $'late0 false\ns0 true' "$(alive)"
	# the daemon begins again: what was changed since stays
	guard service add any 81
	sed -i s/1000/2000/ "$T/conf"
	expect_exit "again" 0 guard attach --boot --config "$T/conf"
	expect_eq "services" $'any 80\nany 81' "$(services)"
	expect_eq "devices" $'late0 false\ns0 true' "$(alive)"
	guard detach --all
}

test_file_of_another_owner_is_kept_and_warned_of() { # N05 K10
	local dir
	net_up
	export SYNWARDEN_RUN=$T/run
	guard attach s0 --no-fail-safe > "$T/attach"
	dir=$(mktemp -d /dev/shm/sw.XXXXXX)
	chmod 755 "$dir"
	echo 'services: [{ prefix: any, ports: 80 }]' | tee "$T/one" > "$dir/one"
	expect_exit "apply" 0 guard apply "$dir/one"
	expect_eq "nothing to say" "" "$OUT"
	chown 1234:1235 "$dir/one"
	chmod 600 "$dir/one"
	expect_exit "apply" 0 guard apply "$dir/one"
	expect_in "which the daemon may not read" "its reload will fail" "$OUT"
	case $T in /tmp/*)
		expect_exit "apply" 0 guard apply "$T/one"
		expect_in "which the unit does not see" "hidden from synwarden.service" "$OUT"
		;;
	esac
	guard service add any 81
	guard save "$dir/one"
	expect_eq "owner and mode" "1234:1235 600" "$(stat -c '%u:%g %a' "$dir/one")"
	rm -r "$dir"
}

run_tests "$@"
