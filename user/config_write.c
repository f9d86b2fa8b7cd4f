/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration as a file, whole and commented. deploy/synwarden.yaml is what this makes of
 * the defaults; a test compares them.
 */
#include <string.h>

#include "arming.h"
#include "config.h"
#include "sources.h"
#include "table.h"
#include "util.h"

static const char head[] =
	"# SPDX-License-Identifier: GPL-2.0-or-later\n"
	"#\n"
	"# What synwarden guards and how: every setting, with its default unless it was changed.\n"
	"#   synwarden check    names every error in this file, with its line\n"
	"#   synwarden diff     tells what differs from what runs, in words of commands\n"
	"#   synwarden apply --confirm 60    brings it into force, all at one stroke, and takes it\n"
	"#                                   back unless 'synwarden confirm' comes in time\n"
	"#   synwarden save     writes what runs\n"
	"# A section that is not here, or has a '#' in front of all its lines, is left as it runs. Of\n"
	"# what is here, what is not said has its default; [] and {} are none, nothing behind a name\n"
	"# is an error. No anchors, aliases, tags or merge keys. JSON may stand here as well.\n";

/* Words of YAML that need quotes here are addresses of IPv6 and what people write. */
static void write_word(const char *word, FILE *out)
{
	fputc('"', out);
	for (; *word; word++) {
		if (*word == '"' || *word == '\\')
			fputc('\\', out);
		fputc(*word, out);
	}
	fputc('"', out);
}

static void write_prefix(const char *prefix, FILE *out)
{
	if (strchr(prefix, ':'))
		write_word(prefix, out);
	else
		fputs(prefix, out);
}

/* --- devices, engine, connections --------------------------------------------------------- */

static void write_devices(const struct config *c, FILE *out)
{
	char text[SETTING_TEXT];

	if (!c->devices) {
		fprintf(out, "devices: []\n");
		return;
	}
	fprintf(out, "devices:\n");
	for (__u32 i = 0; i < c->devices; i++) {
		fprintf(out, "  - name: ");
		write_word(c->device[i].name, out);
		fprintf(out, "\n    %s: %s\n", device_settings[DEVICE_XDP].name,
			setting_text(&device_settings[DEVICE_XDP], &c->device[i], text));
	}
}

static void write_global(const struct config *c, unsigned int which, FILE *out)
{
	const struct setting *s = &global_settings[which];
	char text[SETTING_TEXT];

	fprintf(out, "%s: %s\n", s->name, setting_text(s, c, text));
}

static void write_engine(const struct config *c, FILE *out)
{
	write_global(c, GLOBAL_ENGINE, out);
}

static void write_connections(const struct config *c, FILE *out)
{
	write_global(c, GLOBAL_CONNECTIONS, out);
}

/* --- services ----------------------------------------------------------------------------- */

/* "syns=5000:2500,hold=30s" as "{ syns: 5000:2500, hold: 30s }". */
static void write_group(const char *indent, const char *key, const char *words, FILE *out)
{
	fprintf(out, "%s  %s: ", indent, key);
	if (!strchr(words, '=')) {
		fprintf(out, "%s\n", words);
		return;
	}
	fprintf(out, "{ ");
	for (; *words; words++) {
		if (*words == '=' || *words == ',')
			fprintf(out, *words == '=' ? ": " : ", ");
		else
			fputc(*words, out);
	}
	fprintf(out, " }\n");
}

static void write_service(const struct sw_service *s, const char *indent, FILE *out)
{
	char marks[ARMING_TEXT], quota[QUOTA_TEXT], over[TEXT_COUNT];
	char name[TEXT_SERVICE], text[SETTING_TEXT], *ports;

	text_service_name(s, name);
	ports = strchr(name, ' ');
	*ports++ = '\0';
	fprintf(out, "%s- prefix: ", indent);
	write_prefix(name, out);
	fprintf(out, "\n%s  ports: %s\n", indent, ports);
	for (unsigned int i = 0; i < SERVICE_SETTINGS; i++)
		fprintf(out, "%s  %s: %s\n", indent, service_settings[i].name,
			setting_text(&service_settings[i], s, text));
	write_group(indent, "arm", arming_text(s, marks), out);
	write_group(indent, "per-source", quota_text(&s->limit[SW_LEVEL_HOST], quota), out);
	write_group(indent, "per-net", quota_text(&s->limit[SW_LEVEL_NET], quota), out);
	write_group(indent, "over", over_text(s, over), out);
}

static void write_services_help(FILE *out)
{
	fprintf(out,
		"# What is guarded: an address prefix, or any, and a port or range. The longest "
		"prefix wins.\n");
	for (unsigned int i = 0; i < SERVICE_SETTINGS; i++)
		fprintf(out, "#   %s: %s\n", service_settings[i].name, service_settings[i].help);
	fprintf(out,
		"#   arm: when mode auto answers with cookies, UPPER:LOWER mark each, or off: "
		"new SYNs per\n"
		"#        second, half-open connections, percent of handshakes that do not "
		"end; and for\n"
		"#        how long it stays armed once below the lower marks\n"
		"#   per-source, per-net: what one source (/32, /64), one network (/24, /48) may "
		"have: new\n"
		"#        connections a second, a burst of them, conns at a time, half-closed, "
		"stalled, as in\n"
		"#        { new: 50, burst: 100, conns: 200, half-closed: 50, stalled: 10 }\n"
		"#   over: what becomes of more: count, drop, or ban:TIME\n"
		"# One with its defaults:\n");
}

static void write_services_example(FILE *out)
{
	struct sw_service s = {
		.mode = SW_MODE_MONITOR,
		.port_first = 443,
		.port_last = 443,
	};

	service_defaults(&s);
	write_service(&s, "#  ", out);
}

static void write_services(const struct config *c, FILE *out)
{
	if (!c->services)
		fprintf(out, "services: []\n");
	else
		fprintf(out, "services:\n");
	for (__u32 i = 0; i < c->services; i++)
		write_service(&c->service[i].service, "  ", out);
}

/* --- limits ------------------------------------------------------------------------------- */

static void write_limits(const struct config *c, FILE *out)
{
	fprintf(out, "limits:\n");
	for (size_t i = 0; i < limits_count; i++) {
		const struct limit *l = &limits[i];

		fprintf(out, "  # %s (%u to %u%s%s)\n", l->help, l->min, l->max,
			*l->unit ? " " : "", l->unit);
		fprintf(out, "  %s: %u\n", l->name, limit_get(l, &c->limits));
	}
}

/* --- lists -------------------------------------------------------------------------------- */

static void write_entry(const struct config *c, const struct list_entry *e, FILE *out)
{
	char prefix[TEXT_PREFIX], comment[SW_COMMENT], name[TEXT_SERVICE];

	text_prefix_name(e->key.addr, list_prefix_len(e), prefix);
	list_comment(e, comment);
	if (!*comment && !e->value.until_s && !e->key.service) {
		fprintf(out, "      - ");
		write_prefix(prefix, out);
		fprintf(out, "\n");
		return;
	}
	fprintf(out, "      - { prefix: ");
	write_prefix(prefix, out);
	if (*comment) {
		fprintf(out, ", comment: ");
		write_word(comment, out);
	}
	if (e->value.until_s)
		fprintf(out, ", ttl: %us", e->value.ttl_s);
	if (e->key.service) {
		fprintf(out, ", service: ");
		write_word(text_service_name(&c->service[e->key.service - 1].service, name), out);
	}
	fprintf(out, " }\n");
}

/* A list file that stays named says it already. */
static bool is_filed(const struct config *c, const struct list_entry *e)
{
	const struct list_entry *f = list_set_find(&c->filed, &e->key);
	char mine[SW_COMMENT], theirs[SW_COMMENT];

	return f && !e->value.until_s && !strcmp(list_comment(e, mine), list_comment(f, theirs));
}

static void write_files(const struct config *c, enum sw_list list, FILE *out)
{
	bool any = false;

	for (__u32 i = 0; i < c->files; i++) {
		if (c->file[i].list != list)
			continue;
		fprintf(out, "%s", any ? "      - " : "    files:\n      - ");
		write_word(c->file[i].name, out);
		fprintf(out, "\n");
		any = true;
	}
	if (!any)
		fprintf(out, "    files: []\n");
}

/* Under a key; an entry that has ended is none. */
static void write_entries(const struct config *c, enum sw_list list, const char *key, FILE *out)
{
	bool any = false;

	for (__u32 i = 0; i < c->lists.count; i++) {
		const struct list_entry *e = &c->lists.entry[i];

		if (e->key.list != list || list_has_ended(e, conn_now()) || is_filed(c, e))
			continue;
		if (!any)
			fprintf(out, "%s:\n", key);
		any = true;
		write_entry(c, e, out);
	}
	if (!any)
		fprintf(out, "%s: []\n", key);
}

static void write_lists(const struct config *c, FILE *out)
{
	fprintf(out, "lists:\n");
	fprintf(out, "  allow:\n");
	write_entries(c, SW_LIST_ALLOW, "    entries", out);
	write_files(c, SW_LIST_ALLOW, out);
	fprintf(out, "  deny:\n");
	write_entries(c, SW_LIST_DENY, "    entries", out);
	write_files(c, SW_LIST_DENY, out);
}

static void write_fail_safe(const struct config *c, FILE *out)
{
	fprintf(out, "fail-safe:\n  ports: [");
	for (__u32 i = 0; i < SW_FAIL_SAFE && c->fail_safe[i]; i++)
		fprintf(out, "%s%u", i ? ", " : "", c->fail_safe[i]);
	fprintf(out, "]\n");
	write_entries(c, SW_LIST_FAIL_SAFE, "  sources", out);
}

/* --- the file ----------------------------------------------------------------------------- */

static void write_global_help(unsigned int which, FILE *out)
{
	fprintf(out, "# %s\n", global_settings[which].help);
}

static void write_help(enum config_has section, FILE *out)
{
	switch (section) {
	case CONFIG_DEVICES:
		fprintf(out,
			"# Devices that 'attach --config' attaches. name: its name, xdp: %s.\n",
			device_settings[DEVICE_XDP].help);
		break;
	case CONFIG_ENGINE:
		write_global_help(GLOBAL_ENGINE, out);
		break;
	case CONFIG_CONNECTIONS:
		write_global_help(GLOBAL_CONNECTIONS, out);
		break;
	case CONFIG_SERVICES:
		write_services_help(out);
		break;
	case CONFIG_LIMITS:
		fprintf(out,
			"# Timeouts and rates; a number, for those in s also 90s, 15m, 2h, 1d, "
			"or default.\n");
		break;
	case CONFIG_LISTS:
		fprintf(out,
			"# Sources. allow wins over deny. Entries: a prefix, or { prefix: 192.0.2.0/24, "
			"comment: \"why\",\n"
			"# ttl: 2h, service: \"any 443\" }. Files: paths, with one prefix a line and "
			"'# comment'.\n");
		break;
	case CONFIG_FAIL_SAFE:
		fprintf(out,
			"# What no list locks out: at most %d ports, and sources as in lists. "
			"Without this section\n"
			"# 'attach' puts there the port of sshd and the peer of the session "
			"that runs it.\n",
			SW_FAIL_SAFE);
		break;
	}
}

static void (*const writers[])(const struct config *c, FILE *out) = {
	write_devices, write_engine, write_connections, write_services,
	write_limits,  write_lists,  write_fail_safe,
};
_Static_assert(1 << (ARRAY_SIZE(writers) - 1) == CONFIG_FAIL_SAFE, "a writer for each section");

void config_write_section(const struct config *c, enum config_has section, FILE *out)
{
	writers[__builtin_ctz(section)](c, out);
}

/* A section that leaves alone what runs, for whoever takes the first '#' of its lines away. */
static void write_left_out(const struct config *c, enum config_has section, FILE *out)
{
	autofree char *text = NULL;
	size_t size;
	FILE *lines;

	if (section == CONFIG_SERVICES) {
		fprintf(out, "#services:\n");
		write_services_example(out);
		return;
	}
	if (section == CONFIG_FAIL_SAFE) {
		fprintf(out, "#fail-safe:\n#  ports: [22]\n#  sources: []\n");
		return;
	}
	lines = open_memstream(&text, &size);
	if (!lines)
		return;
	config_write_section(c, section, lines);
	if (fclose(lines))
		return;
	for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n')
		fprintf(out, "#%.*s\n", (int)strcspn(at, "\n"), at);
}

void config_write_helped(const struct config *c, enum config_has section, FILE *out)
{
	fprintf(out, "\n");
	write_help(section, out);
	if (!(c->has & section)) {
		write_left_out(c, section, out);
		return;
	}
	if (section == CONFIG_SERVICES)
		write_services_example(out);
	config_write_section(c, section, out);
}

void config_write(const struct config *c, FILE *out)
{
	fputs(head, out);
	for (unsigned int section = 1; section <= CONFIG_FAIL_SAFE; section <<= 1)
		config_write_helped(c, (enum config_has)section, out);
}
