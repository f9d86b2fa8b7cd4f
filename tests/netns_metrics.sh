#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What Prometheus reads, and Prometheus itself: the numbers are those of the other commands, they
# never fall, the formats are clean, files are whole, and the alert comes and goes with a flood.
# Not here: the HTTP server (netns_web.sh).

set -euo pipefail
# shellcheck source=tests/netns_daemon_lib.sh
source "$(dirname "$(readlink -f "$0")")/netns_daemon_lib.sh"

DEPLOY=$HERE/../deploy
TABLE=$HERE/../user/metrics_list.h
RULES=$DEPLOY/prometheus/synwarden.rules.yml

metrics() { "$PYTHON" "$HERE/metrics.py" "$@"; }
# scrape NAME [ARGS...]: into $T/NAME
scrape() { guard metrics "${@:2}" > "$T/$1"; }
# expect_metric EXPECTED NAME [LABEL=VALUE]...: in $T/m, when it is looked at by metrics_are_so
expect_metric() { local IFS=$'\t'; say "$*" >> "$T/wanted"; }
metrics_are_so() {
	metrics values "$T/m" "$T/wanted" > "$T/said" || fail "$(cat "$T/said")"
	rm "$T/wanted"
}

# Unless something moved between the two.
formats_agree() { scrape m && scrape om openmetrics && metrics same "$T/m" "$T/om" > /dev/null; }

# Pages, a client that stays, and SYNs without an end: counters and states of many kinds.
some_traffic() {
	local n
	family 4
	for n in 1 2 3; do expect_eq "page" alive "$(fetch "$URL")"; done
	start client "$T/client" "$PYTHON" -c "import socket, time
hold = socket.create_connection(('$S4', 80))
print('connected', flush=True)
time.sleep(60)"
	HOLDER=$STARTED
	wait_until 10 grep -q connected "$T/client" || fail "$(cat "$T/client")"
	flood --dst $S4 --dport 80 --rate 2000 --seconds 1 --opts 20
	flood_end > /dev/null
}

# The same before and behind: nothing moved between the readings.
still() {
	scrape before
	guard stats -j > "$T/stats" && guard status -j > "$T/status" &&
		guard conns --count -j > "$T/conns" || return 1
	scrape m
	metrics same "$T/before" "$T/m" > /dev/null
}

test_metrics_agree_with_the_commands() { # N04
	local reason packets bytes would
	net_up
	start_nginx
	guard_up "$MODE" 80
	guard service add any 8080 --mode monitor
	guard deny add 203.0.113.0/24 2001:db8::/32
	guard allow add 203.0.113.7
	some_traffic
	flood --dst $S4 --dport 8080 --rate 500 --seconds 1 --kind syn,ack
	flood_end > /dev/null
	wait_until 10 still || fail "never still: $(metrics same "$T/before" "$T/m")"
	while read -r reason packets bytes would; do
		expect_metric "$packets" synwarden_packets_total "reason=$reason"
		expect_metric "$bytes" synwarden_bytes_total "reason=$reason"
		case $reason in
		drop_*) expect_metric "$would" synwarden_packets_total "reason=$reason" verdict=would_drop ;;
		tx_*) expect_metric "$would" synwarden_packets_total "reason=$reason" verdict=would_tx ;;
		esac
	done < <(jq -r 'group_by(.reason)[] | [.[0].reason, (map(.packets) | add),
		(map(.bytes) | add), (map(.would_packets) | add)] | @tsv' "$T/stats")
	expect_metric "$(jq '[.[].packets] | add' "$T/stats")" synwarden_packets_total
	expect_metric "$(field dropped < "$T/status")" synwarden_packets_total verdict=drop
	expect_metric "$(field answered < "$T/status")" synwarden_packets_total verdict=tx
	expect_metric "$(jq '.received[0].packets' "$T/status")" synwarden_packets_total hook=xdp
	expect_metric "$(jq '.received[2].packets' "$T/status")" synwarden_packets_total hook=tc_out
	expect_metric "$(jq '[.[] | select(.service == "any 80" and .reason == "tx_synack").packets][0]' \
		"$T/stats")" synwarden_cookies_sent_total "service=any 80"
	expect_metric 4 synwarden_cookies_valid_total "service=any 80"
	expect_metric 4 synwarden_handshakes_total "service=any 80" outcome=handed_over
	expect_metric 0 synwarden_cookies_sent_total "service=any 8080"
	expect_gt "SYNs monitor would answer" \
		"$(metrics value "$T/m" synwarden_syns_total "service=any 8080" outcome=would_answer)" 50
	expect_metric 1 synwarden_connections "service=any 80" state=established
	expect_metric "$(jq '[.[] | select(.state == "TIME-WAIT").connections] | add // 0' \
		"$T/conns")" synwarden_connections state=time_wait
	expect_metric "$(jq '[.[].connections] | add' "$T/conns")" synwarden_connections
	expect_metric "$(jq '.tables[0].used' "$T/status")" synwarden_table_entries table=proven
	expect_metric "$(jq '.tables[1].max' "$T/status")" synwarden_table_entries_limit table=half-open
	expect_metric 1 synwarden_list_entries list=deny family=ipv4
	expect_metric 1 synwarden_list_entries list=deny family=ipv6
	expect_metric 1 synwarden_list_entries list=allow
	expect_metric 1 synwarden_attached_info device=s0 "mode=$MODE" \
		"engine=$(field engine < "$T/status")"
	expect_metric 1 synwarden_device_attached device=s0
	expect_metric 1 synwarden_guard_armed
	expect_metric 1 synwarden_service_info "service=any 8080" mode=monitor
	expect_metric "$(field key.epoch < "$T/status")" synwarden_key_epoch
	expect_metric 1 synwarden_build_info \
		"version=$(field version < "$T/status" | sed 's/+.*//')" "abi=$(field abi < "$T/status")"
	metrics_are_so
	stop "$HOLDER"
}

# rose SERVICE: since the last time, which it replaces
rose() {
	scrape now
	metrics rising "$T/last" "$T/now" "$@" || fail "after '$*': $(metrics rising "$T/last" "$T/now" "$@")"
	mv "$T/now" "$T/last"
}

test_no_counter_falls() { # N04 L02
	local n
	net_up
	start_nginx
	export SYNWARDEN_RUN=$T/run
	guard_up "$MODE" 80 8080
	family 4
	some_traffic
	fetch "$URL:8080" > /dev/null
	scrape last
	for n in 1 2; do
		guard service del any 8080 2> /dev/null
		rose "any 8080"
		guard service add any 8080 --mode always
		fetch "$URL:8080" > /dev/null
		rose "any 8080"
	done
	scrape m
	expect_metric 1 synwarden_cookies_valid_total "service=any 8080"
	expect_metric 7 synwarden_packets_total reason=pass_cookie
	metrics_are_so
	echo 'services: [{ prefix: any, ports: 80, mode: auto }, { prefix: any, ports: 8080, mode: always }]' \
		> "$T/conf"
	guard apply "$T/conf"
	rose
	guard key rotate 2> /dev/null
	guard limit set ask-rate 7
	guard deny add 203.0.113.0/24
	guard upgrade 2> /dev/null
	fetch "$URL" > /dev/null
	rose
	guard detach s0
	guard attach s0 --xdp "$MODE" > /dev/null
	rose
	stop "$HOLDER"
}

test_formats_are_clean() { # N04
	net_up
	guard_up "$MODE" 80
	guard service add 192.0.2.0/24 8000-8100 --mode auto --per-source conns=3
	guard service add 2001:db8::/32 443 --mode monitor
	wait_until 10 formats_agree || fail "$(metrics same "$T/m" "$T/om")"
	promtool check metrics < "$T/m" || fail "$(promtool check metrics < "$T/m" 2>&1)"
	metrics table "$T/m" "$TABLE" || fail "$(metrics table "$T/m" "$TABLE")"
	metrics table "$T/om" "$TABLE" || fail "$(metrics table "$T/om" "$TABLE")"
	guard -j metrics > "$T/j"
	metrics table "$T/j" "$TABLE" > /dev/null || fail "another format with -j: $(cat "$T/j")"
	expect_eq "end of OpenMetrics" "# EOF" "$(tail -n 1 "$T/om")"
	if grep -n '^$' "$T/m" "$T/om"; then fail "empty lines"; fi
	# seen in this namespace alone; how often they ran is not counted by it
	echo 1 > "$T/stats_enabled"
	mount --bind "$T/stats_enabled" /proc/sys/kernel/bpf_stats_enabled
	scrape m
	umount /proc/sys/kernel/bpf_stats_enabled
	expect_metric 0 synwarden_program_runs_total program=sw_xdp
	expect_metric 0 synwarden_program_run_seconds_total program=sw_tc_out
	metrics_are_so
	metrics table "$T/m" "$TABLE" > "$T/said" || fail "$(cat "$T/said")"
	expect_le "series of a service" "$(grep -c 'service="any 80"' "$T/m")" 40
	refused "an argument" 2 "takes no argument" guard metrics all
	refused "for node_exporter" 2 "without 'openmetrics'" guard metrics openmetrics --textfile "$T/f"
	refused "no daemon there" 1 "ask $T/none" guard metrics --socket "$T/none"
	refused "no guard" 1 "" guard --pin /sys/fs/bpf/other metrics
}

test_rules_and_panels_ask_for_what_is_there() { # N04
	need promtool
	promtool check rules "$RULES" > "$T/said" || fail "$(cat "$T/said")"
	promtool test rules "${RULES%.yml}.test.yml" > "$T/said" 2>&1 || fail "$(cat "$T/said")"
	"$PYTHON" "$HERE/queries.py" "$TABLE" "$RULES" "$DEPLOY/grafana/synwarden.json" \
		"$T/panels.yml" > "$T/said" || fail "$(cat "$T/said")"
	say "MEASURED $(cat "$T/said")"
	promtool check rules "$T/panels.yml" > "$T/said" 2>&1 || fail "$(cat "$T/said")"
	# each alert has a test, and a place in the page where its runbook_url points
	sed -n 's/.*alert: //p' "$RULES" | sort -u | while read -r name; do
		grep -q "$name" "${RULES%.yml}.test.yml" || fail "$name: no test"
		grep -qx "\.It Li $name" "$DEPLOY/synwarden-metrics.7" || fail "$name: not in the page"
		grep -q "#$name\"" "$RULES" || fail "$name: no runbook_url"
	done
}

test_names_of_devices_may_hold_any_byte() { # N04
	local name=$'q"\\{}\xff\xc3\xa9#'
	net_up
	guard_up "$MODE" 80
	guard detach s0
	sv ip link set s0 down
	sv ip link set s0 name "$name"
	sv ip link set "$name" up
	guard attach "$name" --xdp "$MODE" > /dev/null
	wait_until 10 formats_agree || fail "$(metrics same "$T/m" "$T/om")"
	promtool check metrics < "$T/m"
	expect_eq "label" '["q\"\\{}\\xff\u00e9#"]' "$(metrics label "$T/m" synwarden_device_attached device)"
	guard detach "$name"
	sv ip link set "$name" down
	sv ip link set "$name" name s0
}

test_devices_that_are_not_guarded_any_more_are_told() { # N04
	net_up
	second_device
	guard_up "$MODE" 80
	guard attach s1 > /dev/null
	sv ip link set s0 address 02:00:00:00:09:03
	sv ip link del s1
	unset "PASS[d0]"
	scrape m
	expect_metric 0 synwarden_device_attached device=s0
	expect_metric 0 synwarden_device_attached device=s1
	metrics_are_so
	sv ip link set s0 address $SMAC
	scrape m
	expect_metric 1 synwarden_device_attached device=s0
	metrics_are_so
	guard detach s1
}

# A reader that looks again and again: whole, each time.
read_often() {
	while [ ! -e "$T/stop" ]; do
		[ "$(tail -n 1 "$T/out/sw.prom" | grep -c '^synwarden_collect_duration_seconds.*process')" = 1 ] ||
			echo "cut off: $(tail -n 1 "$T/out/sw.prom")"
		[ -z "$(find "$T/out" -name '*.prom' ! -name sw.prom)" ] || echo "another name: $(ls "$T/out")"
	done > "$T/read"
}

not_written() { # WHAT WORDS FILE
	refused "$1" 1 "$2" guard metrics --textfile "$3"
	expect_eq "files after '$1'" sw.prom "$(ls "$T/out")"
}

test_textfile_is_whole_or_not_there() { # N04
	local n reader
	net_up
	guard_up "$MODE" 80
	mkdir "$T/out" "$T/small"
	guard metrics --textfile "$T/out/sw.prom"
	expect_eq "mode" 644 "$(stat -c %a "$T/out/sw.prom")"
	promtool check metrics < "$T/out/sw.prom"
	read_often &
	reader=$!
	for n in $(seq 12); do guard metrics --textfile "$T/out/sw.prom"; done
	touch "$T/stop"
	wait "$reader"
	expect_eq "what a reader saw" "" "$(cat "$T/read")"
	expect_eq "files" sw.prom "$(ls "$T/out")"
	if grep -q process_ "$T/out/sw.prom"; then fail "metrics of node_exporter's own"; fi
	not_written "no directory" "No such file" "$T/none/sw.prom"
	not_written "a directory" "not a regular file" "$T/small"
	mkfifo "$T/fifo"
	not_written "a pipe" "not a regular file" "$T/fifo"
	not_written "a device" "not a regular file" /dev/null
	not_written "a long name" "File name too long" "$T/out/$(printf 'x%.0s' $(seq 255))"
	mount -t tmpfs -o size=8k none "$T/small"
	echo old > "$T/small/sw.prom"
	not_written "a full disk" "No space left" "$T/small/sw.prom"
	expect_eq "files on the full disk" "sw.prom: old" \
		"$(ls "$T/small"): $(cat "$T/small/sw.prom")"
	umount "$T/small"
	mount --bind -o ro "$T/out" "$T/out"
	mount -o remount,bind,ro "$T/out"
	not_written "read only" "Read-only" "$T/out/sw.prom"
	umount "$T/out"
	guard detach --all
	cp "$T/out/sw.prom" "$T/old"
	not_written "no guard" "" "$T/out/sw.prom"
	cmp "$T/out/sw.prom" "$T/old"
}

# --- the daemon ---------------------------------------------------------------------------
reload_is() { scrape m && [ "$(metrics value "$T/m" synwarden_config_last_reload_successful)" = "$1" ]; }
took() { metrics value "$T/m" synwarden_collect_duration_seconds "$@"; }

test_daemon_walks_the_lists_once() { # N04 @limit=90
	local first
	net_up
	export SYNWARDEN_RUN=$T/run
	guard attach s0 --xdp "$MODE" --connections 1000000 > /dev/null
	guard service add any 80 --mode auto --per-source conns=1000
	"$PYTHON" -c 'for i in range(50000): print("10.0.%d.%d" % (i >> 8, i & 255))' > "$T/list"
	daemon_up
	scrape m
	expect_metric 0 synwarden_list_entries
	metrics_are_so
	guard deny load "$T/list"
	scrape m
	first=$(took collector=lists)
	expect_metric 50000 synwarden_list_entries list=deny family=ipv4
	metrics_are_so
	scrape m
	expect_metric 50000 synwarden_list_entries list=deny
	say "MEASURED 50,000 list entries: $first s, then $(took collector=lists) s; all else" \
		"with tables for 1,000,000 connections $(awk -v a="$(took)" -v l="$(took collector=lists)" \
		'BEGIN { print a - l }') s"
	metrics_are_so
	expect_le "seconds for lists that are known" "$(took collector=lists)" \
		"$(awk -v f="$first" 'BEGIN { print f / 3 }')"
	guard deny del 10.0.0.1
	scrape m
	expect_metric 49999 synwarden_list_entries list=deny family=ipv4
	metrics_are_so
	guard deny load "$T/list" --replace
	guard allow add 2001:db8::/32
	scrape m
	expect_metric 1 synwarden_list_entries family=ipv6
	metrics_are_so
	daemon_down
}

test_daemon_tells_what_it_alone_knows() { # N04 @limit=90
	local n
	net_up
	export SYNWARDEN_RUN=$T/run
	start_nginx
	guard attach s0 --xdp "$MODE" > /dev/null
	guard service add any 80 --mode auto --arm syns=500:100,half-open=off,unfinished=off,hold=1s
	daemon_up --rotate-keys 3600
	some_traffic
	scrape m
	expect_metric 3600 synwarden_key_rotation_interval_seconds
	expect_metric none synwarden_config_last_reload_successful
	expect_metric 1 synwarden_service_transitions_total to=armed
	metrics_are_so
	refused "again what never was" 1 "no configuration file was applied" guard apply --again
	refused "again, and a file" 2 "takes no FILE" guard apply --again "$T/conf"
	kill -HUP "$DAEMON"
	wait_until 5 reload_is 0 || fail "a reload that failed: $(cat "$T/daemon")"
	echo 'services: [{ prefix: any, ports: 80, mode: auto }]' > "$T/conf"
	guard apply "$T/conf" 2> /dev/null
	kill -HUP "$DAEMON"
	wait_until 5 reload_is 1 || fail "a reload: $(cat "$T/daemon")"
	expect_le "age of the reload" "$(awk -v n="$EPOCHREALTIME" -v t="$(metrics value "$T/m" \
		synwarden_config_last_reload_success_timestamp_seconds)" 'BEGIN { print n - t }')" 20
	expect_gt "seconds under attack" "$(metrics value "$T/m" synwarden_service_armed_seconds_total)" 0.5
	expect_gt "events" "$(metrics value "$T/m" synwarden_events_total kind=packet)" 0
	# with an attack behind it, it has all: as the page says
	expect_in "series of a service" "at most $(grep -c 'service="any 80"' "$T/m") for each service" \
		"$(cat "$DEPLOY/synwarden-metrics.7")"
	expect_gt "resident" "$(metrics value "$T/m" process_resident_memory_bytes)" 1000000
	# the one it was asked by may be there, or not any more
	n=$(find "/proc/$DAEMON/fd" -mindepth 1 | wc -l)
	expect_ge "descriptors" "$(metrics value "$T/m" process_open_fds)" $((n - 2))
	expect_le "descriptors" "$(metrics value "$T/m" process_open_fds)" $((n + 2))
	expect_eq "exported of the table, all but" \
		"synwarden_program_runs_total synwarden_program_run_seconds_total" \
		"$(metrics table "$T/m" "$TABLE")"
	promtool check metrics < "$T/m" || fail "$(promtool check metrics < "$T/m" 2>&1)"
	wait_until 10 formats_agree || fail "$(metrics same "$T/m" "$T/om")"
	mv "$T/om" "$T/last"
	fetch "$URL" > /dev/null
	rose
	guard metrics --textfile "$T/sw.prom"
	if grep process_ "$T/sw.prom"; then fail "metrics of node_exporter's own"; fi
	daemon_down
	scrape m
	expect_metric none synwarden_events_total
	expect_metric none process_open_fds
	metrics_are_so
	stop "$HOLDER"
}

# --- Prometheus itself --------------------------------------------------------------------
# The rules as they are shipped, but in seconds instead of minutes.
prometheus_up() {
	sed -E 's/for: .*/for: 1s/; s/\[[0-9]+[mh]\]/[4s]/g' "$RULES" > "$T/rules.yml"
	cat > "$T/prometheus.yml" <<-END
		global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
		rule_files: [rules.yml]
		scrape_configs:
		  - job_name: synwarden
		    static_configs: [{ targets: ["127.0.0.1:9857"] }]
	END
	daemon_up
	start server "$T/web" "$SW_BIN" web
	WEB=$STARTED
	wait_until 10 grep -q 'listening on' "$T/web" || fail "web: $(cat "$T/web")"
	start server "$T/prometheus" prometheus --config.file="$T/prometheus.yml" \
		--storage.tsdb.path="$T/tsdb" --web.listen-address=127.0.0.1:9090
	PROMETHEUS=$STARTED
	wait_until 20 prometheus_has 'synwarden_guard_armed == 1' || fail "$(tail -n 5 "$T/prometheus")"
}

# ask QUERY: the result, as JSON
ask() {
	sv curl -s -S -G --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query |
		jq -e 'if .status == "success" then .data.result else error(.error) end'
}
prometheus_has() { [ "$(ask "$1" 2> /dev/null | jq length)" -gt 0 ]; }
prometheus_has_not() { [ "$(ask "$1" | jq length)" = 0 ]; }
UNDER_ATTACK='ALERTS{alertname="SynwardenUnderAttack", alertstate="firing", service="any 80"}'

# Each query of the dashboard is run; those of what happens in a flood have something to show.
panels_answer() {
	"$PYTHON" "$HERE/queries.py" "$TABLE" "$RULES" "$DEPLOY/grafana/synwarden.json" "$T/panels.yml" > /dev/null
	sv "$PYTHON" "$HERE/metrics.py" ask 9090 "$T/panels.yml" 4s > "$T/answers" 2>&1 ||
		fail "$(tail -n 1 "$T/answers")"
	say "MEASURED panels with something to show: $(grep -vcx 0 "$T/answers") of $(wc -l < "$T/answers")"
	expect_ge "panels with something to show" "$(grep -vcx 0 "$T/answers")" 30
}

test_alert_comes_and_goes_with_a_flood() { # N04 A12 @limit=200
	need prometheus
	net_up
	start_nginx
	guard attach s0 --xdp "$MODE" > /dev/null
	guard service add any 80 --mode auto --arm syns=2000:1000,half-open=off,unfinished=off,hold=3s
	prometheus_up
	family 4
	prometheus_has_not "$UNDER_ATTACK" || fail "an alert before the flood"
	flood --dst $S4 --dport 80 --rate 20000 --seconds 180 --opts 20 # or until all is seen
	wait_until 60 prometheus_has "$UNDER_ATTACK" || fail "no alert: $(ask ALERTS)"
	expect_eq "severity" info "$(ask "$UNDER_ATTACK" | jq -r '.[0].metric.severity')"
	panels_answer
	expect_gt "SYN/s, as recorded" "$(ask 'max_over_time(instance_service:synwarden_syns:rate1m[1m])' |
		jq -r '.[0].value[1]')" 2000
	stop "$FLOODING"
	face_guard client c0
	wait_until 60 prometheus_has_not "$UNDER_ATTACK" || fail "it goes on: $(ask ALERTS)"
	expect_eq "other alerts than of the mode" "" "$(ask 'ALERTS{alertstate="firing"}' |
		jq -r '.[].metric.alertname' | grep -vx SynwardenDegradedMode || true)"
	expect_eq "attacks" 1 "$(ask 'synwarden_service_transitions_total{to="armed"}' | jq -r '.[0].value[1]')"
	expect_eq "Prometheus asks for" 'synwarden_build_info' \
		"$(ask 'synwarden_build_info{job="synwarden"}' | jq -r '.[0].metric.__name__')"
	expect_eq "up" 1 "$(ask 'min_over_time(up[1m])' | jq -r '.[0].value[1]')"
	stop "$PROMETHEUS" "$WEB"
	daemon_down
}

run_tests "$@"
