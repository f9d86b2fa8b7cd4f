/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one list of metrics: what `synwarden metrics` writes, and what synwarden-metrics(7), the
 * alert rules and the dashboard may name.
 *
 * X(ID, TYPE, "name", "labels", "help")
 *
 * TYPE is COUNTER, GAUGE or INFO (a gauge that is 1, whose labels tell). A counter's name ends
 * with _total and no other does; an INFO's ends with _info. No label holds what a client chooses.
 * They are written in this order, process_* last, which --textfile leaves out.
 */
#ifndef SW_METRICS_LIST_H
#define SW_METRICS_LIST_H

/* clang-format off */
#define METRICS(X) \
	/* The guard. */ \
	X(BUILD_INFO, INFO, "synwarden_build_info", "version revision abi", "The program that wrote this, and the version of its maps.") \
	X(GUARD_INFO, INFO, "synwarden_guard_info", "pin engine", "The guard that is told of, and which engine makes its cookies.") \
	X(GUARD_ARMED, GAUGE, "synwarden_guard_armed", "", "Whether the programs judge packets (1); while 0 everything passes.") \
	X(ATTACHED_INFO, INFO, "synwarden_attached_info", "device hook mode engine", "How the programs are attached to a device.") \
	X(DEVICE_ATTACHED, GAUGE, "synwarden_device_attached", "device", "Whether frames of the device reach the guard and are for it (1).") \
	/* Packets. */ \
	X(PACKETS, COUNTER, "synwarden_packets_total", "hook reason verdict", "Packets by what was decided and why, of all services.") \
	X(BYTES, COUNTER, "synwarden_bytes_total", "hook reason", "Bytes of frames as received, by reason, of all services.") \
	X(SYNS, COUNTER, "synwarden_syns_total", "service outcome", "SYNs to a service by what became of them.") \
	X(COOKIES_SENT, COUNTER, "synwarden_cookies_sent_total", "service", "SYN-ACKs with a cookie that were sent.") \
	X(COOKIES_VALID, COUNTER, "synwarden_cookies_valid_total", "service", "Valid cookies that came back: handshakes ended by the client.") \
	X(COOKIES_INVALID, COUNTER, "synwarden_cookies_invalid_total", "service reason", "ACKs whose cookie was none, expired or spent.") \
	X(HANDSHAKES, COUNTER, "synwarden_handshakes_total", "service outcome", "What the host made of handshakes that were handed to it; engine reqsk.") \
	/* Connections and tables. */ \
	X(CONNECTIONS, GAUGE, "synwarden_connections", "service state", "Connections in the tables by state of RFC 9293.") \
	X(TABLE_ENTRIES, GAUGE, "synwarden_table_entries", "table", "Entries in use of a table.") \
	X(TABLE_LIMIT, GAUGE, "synwarden_table_entries_limit", "table", "Entries a table can hold.") \
	X(TABLE_FULL, COUNTER, "synwarden_table_full_total", "table", "Times an entry found no room in a table.") \
	/* Services and attacks. */ \
	X(SERVICE_INFO, INFO, "synwarden_service_info", "service mode", "Services and their modes.") \
	X(SERVICE_ARMED, GAUGE, "synwarden_service_armed", "service", "Whether the service is under attack by its own marks (1).") \
	X(TRANSITIONS, COUNTER, "synwarden_service_transitions_total", "service to", "Times a service was armed and disarmed.") \
	X(ARMED_SECONDS, COUNTER, "synwarden_service_armed_seconds_total", "service", "Time a service was under attack, since the daemon started.") \
	X(ATTACK_START, GAUGE, "synwarden_last_attack_start_timestamp_seconds", "service", "When the last attack on a service began, or the present one.") \
	X(ATTACK_SYNS, GAUGE, "synwarden_last_attack_peak_syns_per_second", "service", "The most SYNs a second of that attack.") \
	X(ATTACK_HALF, GAUGE, "synwarden_last_attack_peak_half_open", "service", "The most connections in SYN-RECEIVED of that attack.") \
	/* Sources and lists. */ \
	X(LIMIT_HITS, COUNTER, "synwarden_limit_hits_total", "service limit", "Connections over a limit of their source, refused or only counted.") \
	X(BANS, GAUGE, "synwarden_bans", "service", "Sources that are banned now.") \
	X(BANS_TOTAL, COUNTER, "synwarden_bans_total", "service", "Bans that were imposed.") \
	X(BANNED_PACKETS, COUNTER, "synwarden_banned_packets_total", "service", "Packets of banned sources.") \
	X(LIST_ENTRIES, GAUGE, "synwarden_list_entries", "list family", "Entries of a list that have not ended.") \
	X(LIST_LIMIT, GAUGE, "synwarden_list_entries_limit", "", "Entries all lists can hold together.") \
	X(LIST_HITS, COUNTER, "synwarden_list_hits_total", "list family", "Sources found in a list.") \
	/* Itself. */ \
	X(EVENTS, COUNTER, "synwarden_events_total", "kind", "Events the daemon took from the programs.") \
	X(EVENTS_LOST, COUNTER, "synwarden_events_lost_total", "stage", "Events that were lost, by where.") \
	X(PROGRAM_RUNS, COUNTER, "synwarden_program_runs_total", "program", "Runs of a program since it was loaded.") \
	X(PROGRAM_SECONDS, COUNTER, "synwarden_program_run_seconds_total", "program", "Time in these runs.") \
	X(RELOAD_OK, GAUGE, "synwarden_config_last_reload_successful", "", "Whether the last reload of the configuration succeeded (1).") \
	X(RELOAD_TIME, GAUGE, "synwarden_config_last_reload_success_timestamp_seconds", "", "When a reload last succeeded.") \
	X(KEY_EPOCH, GAUGE, "synwarden_key_epoch", "", "The epoch that cookies are made in now.") \
	X(KEY_AGE, GAUGE, "synwarden_key_age_seconds", "", "Time since the cookie key in use was made.") \
	X(KEY_ROTATION, GAUGE, "synwarden_key_rotation_interval_seconds", "", "How often the daemon changes the key; 0 is never.") \
	X(COLLECT, GAUGE, "synwarden_collect_duration_seconds", "collector", "Time it took to read this.") \
	X(PROCESS_CPU, COUNTER, "process_cpu_seconds_total", "", "CPU time of the daemon.") \
	X(PROCESS_FDS, GAUGE, "process_open_fds", "", "Open file descriptors of the daemon.") \
	X(PROCESS_MAX_FDS, GAUGE, "process_max_fds", "", "File descriptors the daemon may open.") \
	X(PROCESS_RSS, GAUGE, "process_resident_memory_bytes", "", "Resident memory of the daemon.") \
	X(PROCESS_VSIZE, GAUGE, "process_virtual_memory_bytes", "", "Virtual memory of the daemon.") \
	X(PROCESS_START, GAUGE, "process_start_time_seconds", "", "When the daemon started.")

/* clang-format on */

enum metric {
#define X(id, type, name, labels, help) M_##id,
	METRICS(X)
#undef X
	METRIC_MAX,
};

#endif /* SW_METRICS_LIST_H */
