/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries of the journal; see journal.h. Linking libsystemd for one datagram is not worth it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "arming.h"
#include "journal.h"
#include "util.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* MESSAGE_ID: made once, never changed, for `journalctl MESSAGE_ID=` and catalogues. */
static const struct {
	const char *id;
	int priority; /* syslog's */
} kinds[JOURNAL_KINDS] = {
	[JOURNAL_ARMED] = { "5f0f2c5b7a2e4c0f9c3a1d8e6b4f7021", 5 },
	[JOURNAL_ATTACK] = { "c1d94b0e83f54a6d8e27f3a95b60d1c4", 5 },
	[JOURNAL_TABLE_FULL] = { "8b7e61f2d0c94e35a4f81c2d9e5370ab", 4 },
};

/*
 * "DEVICE:INODE", set by the service manager for what it has connected to the journal, and passed
 * on to whatever is started from there: only if our own stderr is that, are we.
 */
static bool is_connected(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[48];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st))
		return false;
	snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	return !strcmp(own, stream);
}

void journal_open(struct journal *j)
{
	memset(j, 0, sizeof(*j));
	j->fd = -1;
	if (is_connected())
		j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void journal_close(struct journal *j)
{
	close_fdp(&j->fd);
}

static int kind_of(const struct record *r)
{
	if (r->kind == RECORD_ATTACK)
		return JOURNAL_ATTACK;
	if (r->kind != RECORD_EVENT)
		return -1;
	switch (r->event.kind) {
	case SW_EVENT_ARMED:
		return JOURNAL_ARMED;
	case SW_EVENT_TABLE_FULL:
		return JOURNAL_TABLE_FULL;
	default:
		return -1; /* the end of an attack is told by its summary */
	}
}

/* How many were kept back before this one, or -1: this one is. */
static int take_rate(struct journal *j, int kind, __u64 now_ns)
{
	__u64 span_ns = JOURNAL_SPAN_S * 1000000000ULL;
	__u32 kept;

	if (now_ns - j->rate[kind].since_ns >= span_ns) {
		j->rate[kind].since_ns = now_ns;
		j->rate[kind].said = 0;
	}
	if (j->rate[kind].said == JOURNAL_BURST) {
		j->rate[kind].kept++;
		return -1;
	}
	j->rate[kind].said++;
	kept = j->rate[kind].kept;
	j->rate[kind].kept = 0;
	return (int)kept;
}

/* For people, without time. */
static void message(FILE *out, const char *service, const struct record *r, int kept)
{
	const struct attack_summary *s = &r->attack;
	char n[TEXT_COUNT], age[TEXT_AGE];

	if (r->kind == RECORD_ATTACK) {
		fprintf(out, "attack on %s is over: %s for %s, ", service,
			arming_cause(s->attack.cause),
			text_age((__u32)((s->attack.end_ns - s->attack.start_ns) / 1000000000),
				 age));
		fprintf(out, "at the most %s SYN/s", text_count(s->attack.peak_pps, n));
		for (__u32 i = 0; i < s->reasons; i++)
			fprintf(out, ", %s %s", text_reason(s->reason[i].reason),
				text_count(s->reason[i].packets, n));
	} else if (r->event.kind == SW_EVENT_ARMED) {
		fprintf(out, "%s is under attack: %s, %s SYN/s", service,
			arming_cause(r->event.table), text_count(r->event.packets, n));
	} else {
		fprintf(out, "table %s is full, connections go untracked",
			text_table_name(r->event.table));
	}
	if (kept)
		fprintf(out, " (%d like this were kept back)", kept);
}

static void fields(FILE *out, const char *service, const struct record *r)
{
	const struct sw_attack *a = &r->attack.attack;

	fprintf(out, "SYNWARDEN_KIND=%s\n", record_kind_name(r));
	if (service)
		fprintf(out, "SYNWARDEN_SERVICE=%s\n", service);
	if (r->kind == RECORD_ATTACK) {
		fprintf(out, "SYNWARDEN_CAUSE=%s\nSYNWARDEN_PEAK_SYNS_PER_S=%u\n",
			arming_cause(a->cause), a->peak_pps);
		fprintf(out, "SYNWARDEN_DURATION_S=%llu\nSYNWARDEN_SYNS=%llu\n",
			(unsigned long long)((a->end_ns - a->start_ns) / 1000000000),
			(unsigned long long)a->syns);
		if (r->attack.reasons)
			fprintf(out, "SYNWARDEN_REASON=%s\n",
				text_reason(r->attack.reason[0].reason));
	} else if (r->event.kind == SW_EVENT_ARMED) {
		fprintf(out, "SYNWARDEN_CAUSE=%s\nSYNWARDEN_SYNS_PER_S=%llu\n",
			arming_cause(r->event.table), (unsigned long long)r->event.packets);
	} else {
		fprintf(out, "SYNWARDEN_TABLE=%s\n", text_table_name(r->event.table));
	}
}

static void send_entry(int fd, const char *entry, size_t len)
{
	const struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };

	if (sendto(fd, entry, len, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&addr,
		   sizeof(addr)) < 0)
		log_debug("write to the journal: %s", strerror(errno));
}

void journal_record(struct journal *j, struct event_names *names, const struct record *r)
{
	int kind = kind_of(r), kept = kind < 0 ? -1 : take_rate(j, kind, r->time_ns);
	char name[TEXT_SERVICE];
	autofree char *text = NULL;
	const char *service;
	size_t len;
	FILE *out;

	if (kept < 0)
		return;
	out = open_memstream(&text, &len);
	if (!out)
		return;
	service = event_service(
		names, r->kind == RECORD_EVENT ? r->event.service : r->attack.attack.service, name);
	if (j->fd >= 0)
		fprintf(out, "PRIORITY=%d\nSYSLOG_IDENTIFIER=synwarden\nMESSAGE_ID=%s\nMESSAGE=",
			kinds[kind].priority, kinds[kind].id);
	message(out, service ? service : "?", r, kept);
	if (j->fd >= 0) {
		fputc('\n', out);
		fields(out, service, r);
	}
	fclose(out);
	if (j->fd >= 0)
		send_entry(j->fd, text, len);
	else
		log_note("%s", text);
}
