/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration file: what is read, what is refused and where, and that it reads as written. */
#define HARNESS_PURE true
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arming.h"
#include "config.h"
#include "harness.h"
#include "sources.h"

#define DEFAULT_FILE "deploy/synwarden.yaml"

static unsigned int parse(struct config *c, const char *text, struct faults *f)
{
	memset(f, 0, sizeof(*f));
	config_parse(c, "/nowhere/test.yaml", text, strlen(text), f);
	return f->total;
}

/* All faults as they are printed, without the file's name. */
static const char *faults_of(const char *text)
{
	static char said[65536];
	autofaults struct faults f;
	autoconfig struct config c;
	FILE *out = fmemopen(said, sizeof(said), "w");

	said[0] = '\0';
	parse(&c, text, &f);
	faults_print(&f, "F", out);
	fclose(out);
	return said;
}

static void check_text(const char *got, const char *want)
{
	if (!CHECK(!strcmp(got, want)))
		test_note("got:\n%swanted:\n%s", got, want);
}

TEST(every_setting_is_read, "N05")
{
	static const char text[] =
		"devices:\n  - eth0\n  - name: eth1\n    xdp: generic\n"
		"engine: listener\nconnections: 4096\n"
		"lists:\n"
		"  allow:\n    entries:\n      - 192.0.2.1\n"
		"      - {prefix: \"2001:db8::/32\", comment: 'caf\xc3\xa9', ttl: 2h, service: any 80}\n"
		"  deny: {entries: [any]}\n"
		"fail-safe: {ports: [22, 2222, 22], sources: [198.51.100.0/24]}\n"
		"services:\n"
		"  - prefix: any\n    ports: 80\n    mode: auto\n    host-syns: 9\n"
		"    arm:\n      syns: [100, 40]\n      half-open: 64:32\n      unfinished: off\n"
		"      hold: 5m\n"
		"    per-source: {burst: 20, new: 10, stalled: off}\n"
		"    per-net: new=5,conns=7\n    over: ban:2m\n"
		"  - {ports: 8000-8010, prefix: 10.0.0.0/8}\n"
		"limits: {timeout-established: 2h, ask-rate: 5, state-events: default}\n";
	autofaults struct faults f;
	autoconfig struct config c;
	char name[TEXT_SERVICE], marks[ARMING_TEXT];

	CHECK_EQ(parse(&c, text, &f), 0);
	CHECK_EQ(c.has, 127);
	CHECK_EQ(c.devices, 2);
	CHECK(!strcmp(c.device[0].name, "eth0") && c.device[0].xdp == XDP_MODE_AUTO);
	CHECK(!strcmp(c.device[1].name, "eth1") && c.device[1].xdp == XDP_MODE_GENERIC);
	CHECK_EQ(c.engine, SW_ENGINE_LISTENER);
	CHECK_EQ(c.connections, 4096);
	CHECK_EQ(c.services, 2);
	CHECK(!strcmp(text_service_name(&c.service[0].service, name), "any 80"));
	CHECK_EQ(c.service[0].service.mode, SW_MODE_AUTO);
	CHECK_EQ(c.service[0].service.host_syns_pps, 9);
	check_text(arming_text(&c.service[0].service, marks),
		   "syns=100:40,half-open=64:32,unfinished=off,hold=300s");
	check_text(quota_text(&c.service[0].service.limit[SW_LEVEL_HOST], marks),
		   "new=10,burst=20");
	check_text(quota_text(&c.service[0].service.limit[SW_LEVEL_NET], marks), "new=5,conns=7");
	CHECK_EQ(c.service[0].service.over, SW_OVER_BAN);
	CHECK_EQ(c.service[0].service.ban_s, 120);
	CHECK_EQ(c.service[0].service.limited, 1);
	CHECK_EQ(c.service[1].service.limited, 0);
	CHECK(!strcmp(text_service_name(&c.service[1].service, name), "10.0.0.0/8 8000-8010"));
	CHECK_EQ(c.service[1].service.mode, SW_MODE_MONITOR);
	check_text(arming_text(&c.service[1].service, marks),
		   "syns=5000:2500,half-open=1024:512,unfinished=60:30,hold=30s");
	CHECK_EQ(limit_get(limit_find("timeout-established"), &c.limits), 7200);
	CHECK_EQ(limit_get(limit_find("ask-rate"), &c.limits), 5);
	CHECK_EQ(limit_get(limit_find("challenge-rate"), &c.limits), 100);
	CHECK_EQ(c.fail_safe[0], 22);
	CHECK_EQ(c.fail_safe[1], 2222);
	CHECK_EQ(c.fail_safe[2], 0);
	CHECK_EQ(c.lists.count, 4);
	/* sorted: fail-safe, allow for all, allow for one, deny */
	CHECK_EQ(c.lists.entry[2].key.service, 1);
	CHECK(c.lists.entry[2].value.until_s);
	CHECK(!strcmp(c.lists.entry[2].value.comment, "caf\xc3\xa9"));
	CHECK_EQ(c.lists.entry[3].key.list, SW_LIST_DENY);
}

TEST(every_limit_is_read_by_its_row_of_the_table, "N05")
{
	for (size_t i = 0; i < limits_count; i++) {
		const struct limit *l = &limits[i];
		autofaults struct faults f;
		autoconfig struct config c;
		char text[128];

		test_context("%s", l->name);
		snprintf(text, sizeof(text), "limits: { %s: %u }", l->name, l->max);
		CHECK_EQ(parse(&c, text, &f), 0);
		CHECK_EQ(limit_get(l, &c.limits), l->max);
		snprintf(text, sizeof(text), "limits: { %s: %llu }", l->name, l->max + 1ULL);
		config_free(&c);
		CHECK_EQ(parse(&c, text, &f), 1);
		CHECK_EQ(limit_get(l, &c.limits), l->fallback);
		faults_free(&f);
	}
}

TEST(all_faults_are_told_with_line_and_what_was_expected, "N05")
{
	check_text(
		faults_of("engin: auto\n"
			  "connections: 10\n"
			  "engine: magic\n"
			  "devices: [a/b, eth0, {name: eth0}, {xdp: auto}, {name: e, xdp: fast}]\n"
			  "services:\n"
			  "  - prefix: 10.0.0.1/8\n"
			  "    ports: 80-\n"
			  "    mode: hard\n"
			  "  - port: 80\n"
			  "  - just\n"
			  "  -\n"
			  "limits:\n"
			  "  timout-closed: 5\n"
			  "  timeout-time-wait: 10\n"
			  "  ask-rate: [1]\n"
			  "lists: {allow: {entries: [{ttl: 0, prefix: x}], files: [/none/x]}}\n"
			  "fail-safe: {ports: [0], sources: 5}\n"),
		"F:1:1: the file: unknown key 'engin', did you mean 'engine'?\n"
		"F:2:14: bad connections '10': the most to track, 64 to 16777216\n"
		"F:3:9: unknown engine 'magic': auto, reqsk or listener\n"
		"F:4:11: bad device 'a/b': a name of 1 to 15 characters without / and : expected\n"
		"F:4:22: device 'eth0' is there twice: first in line 4\n"
		"F:4:36: devices: a device without a 'name'\n"
		"F:4:64: unknown XDP mode 'fast': auto, native or generic\n"
		"F:6:13: '10.0.0.1/8' has bits set behind its prefix: the network is 10.0.0.0/8\n"
		"F:7:12: bad port '80-': PORT or PORT-PORT, each 1 to 65535\n"
		"F:8:11: unknown mode 'hard': off, monitor, auto or always\n"
		"F:9:5: services: unknown key 'port', did you mean 'ports'?\n"
		"F:9:5: services: a service without 'prefix'\n"
		"F:9:5: services: a service without 'ports'\n"
		"F:10:5: services: a map expected, not a single value\n"
		"F:11:4: services: a map with prefix and ports expected\n"
		"F:13:3: limits: unknown key 'timout-closed', did you mean 'timeout-closed'?\n"
		"F:14:22: bad timeout-time-wait '10': 60 to 240 s, or 'default' for 120\n"
		"F:15:13: ask-rate: a number expected, not a list\n"
		"F:16:33: bad ttl '0': 1 to 315360000 seconds, or 90s, 15m, 2h, 1d\n"
		"F:16:44: bad prefix 'x': 'any', an IPv4 or IPv6 address, or ADDRESS/LENGTH\n"
		"F:16:57: list file '/none/x': No such file or directory: "
		"a readable file of prefixes expected\n"
		"F:17:21: bad port '0': 1 to 65535\n"
		"F:17:34: sources: a list expected, not a single value\n");
}

/* Place and words of the one fault. */
static void one_fault(const char *text, const char *want)
{
	char line[400];

	test_context("%.60s", text);
	snprintf(line, sizeof(line), "F:%s\n", want);
	check_text(faults_of(text), line);
}

TEST(services_that_contradict_are_refused, "N05")
{
	one_fault("services:\n- {prefix: any, ports: 80-90}\n- {prefix: any, ports: 90-99}\n",
		  "3:3: service 'any 90-99' overlaps 'any 80-90' of line 2");
	one_fault("services:\n- {prefix: fd09::/64, ports: 80}\n- {prefix: fd09::/64, ports: 80}\n",
		  "3:3: service 'fd09::/64 80' overlaps 'fd09::/64 80' of line 2");
	one_fault("services: [{prefix: any, ports: 80, arm: {syns: 10:20}}]",
		  "1:49: bad syns '10:20': UPPER or UPPER:LOWER, 1 to 100000000, "
		  "the lower not above the upper, or off");
	one_fault("services: [{prefix: any, ports: 80, arm: {syns: '1,hold=5'}}]",
		  "1:49: bad syns '1,hold=5': a number or off expected");
	one_fault("services: [{prefix: any, ports: 80, arm: {syns: [1]}}]",
		  "1:49: syns: UPPER or [UPPER, LOWER] expected");
	one_fault("services: [{prefix: any, ports: 80, arm: {syn: 1}}]",
		  "1:43: arm: unknown key 'syn', did you mean 'syns'?");
	one_fault("services: [{prefix: any, ports: 80, host-syns: -1}]",
		  "1:48: bad host-syns '-1': SYNs per second and CPU, 0 to 4294967295");
	check_text(faults_of("services:\n- {prefix: any, ports: 1, per-source: {burst: 5}}\n"
			     "- {prefix: any, ports: 2, per-net: {new: 0, conn: 1, conns: x}}\n"
			     "- {prefix: any, ports: 3, per-net: fast, over: ban:0}\n"),
		   "F:2:3: burst= needs new=, the rate it is a burst of\n"
		   "F:3:42: bad new '0': 1 to 1000000, or off\n"
		   "F:3:45: per-net: unknown key 'conn', did you mean 'conns'?\n"
		   "F:3:61: bad conns 'x': 1 to 16777216, or off\n"
		   "F:4:36: bad limit 'fast': new=, burst=, conns=, half-closed= or stalled=, "
		   "with commas between\n"
		   "F:4:48: bad --over 'ban:0': count, drop, or ban:TIME of 1 s to 30 d, "
		   "such as ban:10m\n");
	one_fault("lists: {deny: {entries: [{prefix: 10.0.0.1, service: any 80}]}}",
		  "1:54: no service 'any 80' in this file");
	one_fault("lists: {deny: {entries: [10.0.0.1, 10.0.0.1]}}",
		  "1:36: deny: '10.0.0.1' is there twice: first in line 1");
	/* the longest prefix wins, and allow wins: neither is a contradiction */
	check_text(faults_of(
			   "services: [{prefix: any, ports: 80}, {prefix: 10.0.0.0/8, ports: 80}]\n"
			   "lists: {deny: {entries: [any]}, allow: {entries: [any]}}\n"),
		   "");
}

TEST(what_yaml_could_do_and_this_does_not_is_refused, "N05")
{
	one_fault("engine: &a auto\n", "1:9: anchors (&) are not supported: write the value out");
	one_fault("engine: *a\n", "1:9: aliases (*) are not supported: write the value out");
	one_fault("engine: !!str auto\n",
		  "1:9: tags (!) are not supported: a plain value expected");
	one_fault("engine: !x auto\n", "1:9: tags (!) are not supported: a plain value expected");
	one_fault("%TAG ! tag:x,2000:\n---\nengine: auto\n",
		  "1:1: tags (!) are not supported: a plain value expected");
	one_fault("limits:\n  <<: {ask-rate: 5}\n",
		  "2:3: merge keys are not supported: write the settings out");
	one_fault("engine: auto\n---\nengine: auto\n",
		  "2:1: a second document: one file is one document");
	one_fault("engine: auto\nengine: auto\n",
		  "2:1: key 'engine' is there twice: first in line 1");
	one_fault("{[a]: b}", "1:2: a map or list as a key: a word expected");
	one_fault("[[[[[[[[[1]]]]]]]]]", "1:9: nested too deeply: eight levels at most");
	one_fault("devices: ['']",
		  "1:11: bad device '': a name of 1 to 15 characters without / and : expected");
	one_fault("just a word", "1:1: the file: a map expected, not a single value");
	one_fault("- engine", "1:1: the file: a map expected, not a list");
	one_fault("engine: [1\n",
		  "2:1: did not find expected ',' or ']', while parsing a flow sequence");
	one_fault("engine: \"a\\0b\"\n", "1:9: a NUL byte: text expected");
	one_fault("engine: a\xff\n", "1:10: no UTF-8 text: invalid leading UTF-8 octet");
}

TEST(nothing_of_a_file_steers_a_terminal, "N05")
{
	one_fault("\"e\\x1b[31m\\r\\n\\x7f\\u202e\": 1\n",
		  "1:1: the file: unknown key 'e\\x1b[31m\\x0d\\x0a\\x7f\\xe2\\x80\\xae'");
	one_fault("engine: \"\\x1b]0;x\\a\"\n",
		  "1:9: unknown engine '\\x1b]0;x\\x07': auto, reqsk or listener");
	one_fault("lists: {deny: {entries: [{prefix: any, comment: \"a\\tb\"}]}}",
		  "1:49: bad comment: printable characters only, in UTF-8");
}

TEST(empty_files_and_empty_sections_are_good, "N05")
{
	static const char *const good[] = {
		"",
		"\n",
		"# nothing\n",
		"---\n",
		"---\n# nothing\n",
		"services: []\nlimits: {}\ndevices: []\nlists: {}\nfail-safe: {}\n",
		"lists:\n  deny:\n    entries: []\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		test_context("'%s'", good[i]);
		check_text(faults_of(good[i]), "");
	}
}

/* Whoever takes out all entries by '#' means to leave them; to end them takes a word. */
TEST(section_with_nothing_below_it_is_an_error, "N05")
{
	one_fault("engine: auto\nservices:\n#  - prefix: any\n",
		  "2:1: services: a list expected, not nothing: '[]' for none, or no such line");
	one_fault("lists:\n#  deny:\n",
		  "1:1: lists: a map expected, not nothing: '{}' for none, or no such line");
	one_fault("limits:\n#  ask-rate: 5\n",
		  "1:1: limits: a map expected, not nothing: '{}' for none, or no such line");
	one_fault("fail-safe:\n",
		  "1:1: fail-safe: a map expected, not nothing: '{}' for none, or no such line");
	one_fault("devices:\n",
		  "1:1: devices: a list expected, not nothing: '[]' for none, or no such line");
	one_fault("lists:\n  deny:\n    entries:\n",
		  "3:5: entries: a list expected, not nothing: '[]' for none, or no such line");
}

TEST(json_is_read_as_well, "N05")
{
	autofaults struct faults f;
	autoconfig struct config c;

	CHECK_EQ(
		parse(&c,
		      "{\"engine\": \"auto\",\n\t\"services\": [{\"prefix\": \"any\", \"ports\": 443,\n"
		      "\"mode\": \"auto\", \"arm\": {\"syns\": [10, 5], \"hold\": \"1m\"}}],\n"
		      "\"limits\": {\"ask-rate\": 7}, \"lists\": {\"deny\": {\"entries\": "
		      "[\"fd00::\", {\"prefix\": \"192.0.2.0/24\", \"ttl\": 60}]}}}\n",
		      &f),
		0);
	CHECK_EQ(c.services, 1);
	CHECK_EQ(c.service[0].service.upper.syns_pps, 10);
	CHECK_EQ(c.service[0].service.lower.syns_pps, 5);
	CHECK_EQ(c.lists.count, 2);
	CHECK_EQ(limit_get(limit_find("ask-rate"), &c.limits), 7);
}

TEST(size_and_numbers_have_their_limits, "N05")
{
	size_t len = TREE_SIZE_MAX + 1;
	char *text = malloc(len + 1);
	autofaults struct faults f = { 0 }, g = { 0 };
	autoconfig struct config c;
	size_t n = 0;

	REQUIRE(text);
	memset(text, '#', len);
	config_parse(&c, "f", text, len, &f);
	CHECK_EQ(f.total, 1);
	CHECK(!strcmp(f.list[0].text, "larger than 1 MiB: that is no configuration"));
	config_parse(&c, "f", text, len - 1, &g);
	CHECK_EQ(g.total, 0);
	/* one more than each can have */
	n += (size_t)sprintf(text, "services:\n");
	for (int i = 0; i < SW_MAX_SERVICES; i++)
		n += (size_t)sprintf(text + n, "- {prefix: any, ports: %d}\n", 1000 + i);
	n += (size_t)sprintf(text + n,
			     "fail-safe: {ports: [1, 2, 3, 4, 5, 6, 7, 8, 9]}\ndevices:\n");
	for (int i = 0; i <= SW_MAX_DEVS; i++)
		n += (size_t)sprintf(text + n, "- d%d\n", i);
	check_text(faults_of(text), "F:129:3: more than 127 services, the most a guard can have\n"
				    "F:130:45: more than 8 fail-safe ports\n"
				    "F:196:3: more than 64 devices, the most a guard can have\n");
	free(text);
}

/* --- the file that is shipped, and what is written ------------------------------------------- */

static char *written(const struct config *c)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	config_write(c, out);
	fclose(out);
	return text;
}

/* With the first '#' taken away, in place, from "#section:" to the next empty line. */
static const char *uncommented(char *text)
{
	bool inside = false;
	char *to = text;

	for (const char *at = text; *at;) {
		size_t len = strcspn(at, "\n") + 1;

		inside = *at == '#' && (inside || (at[1] >= 'a' && at[1] <= 'z'));
		memmove(to, at + inside, len - inside);
		to += len - inside;
		at += len;
	}
	*to = '\0';
	return text;
}

TEST(shipped_file_holds_every_setting_with_its_default, "N05")
{
	autofree char *shipped = NULL, *fresh = NULL;
	autofaults struct faults f = { 0 };
	autoconfig struct config c, want;
	struct sw_service s = { 0 };
	const char *repo = getenv("SW_BUILD");
	char path[4096];
	size_t len;

	snprintf(path, sizeof(path), "%s%s" DEFAULT_FILE, repo ? repo : "", repo ? "/../" : "");
	if (config_load(path, &shipped, &len, &f))
		test_skip("%s is not here", path);
	config_parse(&c, path, shipped, len, &f);
	CHECK_EQ(f.total, 0);
	config_default(&want);
	CHECK_EQ(config_diff(&want, &c, NULL, NULL), 0);
	CHECK_EQ(config_diff(&c, &want, NULL, NULL), 0);
	/* whoever applies it as it is loses nothing of what runs */
	CHECK_EQ(c.has, CONFIG_DEVICES | CONFIG_ENGINE | CONFIG_CONNECTIONS);
	for (size_t i = 0; i < limits_count; i++) {
		char line[64];

		snprintf(line, sizeof(line), "\n#  %s: %u\n", limits[i].name, limits[i].fallback);
		test_context("%s", limits[i].name);
		CHECK(strstr(shipped, line));
	}
	test_context("file");
	want.has = c.has;
	fresh = written(&want);
	check_text(shipped, fresh);
	/* what is behind the first '#' of a line is good, and says what is the default */
	CHECK_EQ(parse(&c, uncommented(shipped), &f), 0);
	CHECK_EQ(c.has & ~CONFIG_FAIL_SAFE,
		 want.has | CONFIG_SERVICES | CONFIG_LIMITS | CONFIG_LISTS);
	for (size_t i = 0; i < limits_count; i++)
		CHECK_EQ(limit_get(&limits[i], &c.limits), limits[i].fallback);
	CHECK_EQ(c.lists.count, 0);
	/* its example of a service is a new one */
	service_defaults(&s);
	CHECK_EQ(c.services, 1);
	CHECK_EQ(c.service[0].service.mode, SW_MODE_MONITOR);
	CHECK_BYTES(&c.service[0].service.upper, sizeof(s.upper), &s.upper, sizeof(s.upper));
	CHECK_BYTES(&c.service[0].service.lower, sizeof(s.lower), &s.lower, sizeof(s.lower));
	CHECK_EQ(c.service[0].service.hold_s, s.hold_s);
	CHECK_EQ(c.service[0].service.limited, 0);
}

/* --- list files ------------------------------------------------------------------------------ */

TEST(list_files_are_read_and_their_bad_lines_named, "N05 P04")
{
	static const char conf[] = "lists:\n  deny:\n    entries: [192.0.2.9]\n"
				   "    files: [list.txt, list.txt]\n";
	char dir[] = "/tmp/unit_config.XXXXXX", list[64], path[64];
	autofaults struct faults f = { 0 }, g = { 0 };
	autoconfig struct config good, bad;
	FILE *out;

	REQUIRE(mkdtemp(dir));
	snprintf(list, sizeof(list), "%s/list.txt", dir);
	snprintf(path, sizeof(path), "%s/conf.yaml", dir);
	out = fopen(list, "w");
	fputs("# all\n192.0.2.0/24 # why\n\n2001:db8::/32\n192.0.2.9\n", out);
	fclose(out);
	/* the path of a list begins where the file lies; twice the same is one */
	config_parse(&good, path, conf, strlen(conf), &f);
	CHECK_EQ(f.total, 0);
	CHECK_EQ(good.lists.count, 3);
	CHECK_EQ(good.files, 2);
	out = fopen(list, "a");
	fputs("10.0.0.1/8\n\x1b[31m\n", out);
	fclose(out);
	config_parse(&bad, path, conf, strlen(conf), &g);
	CHECK_EQ(g.total, 4); /* read twice */
	CHECK(g.count && !strcmp(g.list[0].file, list));
	CHECK_EQ(g.list[0].at.line, 6);
	check_text(g.list[0].text,
		   "'10.0.0.1/8' has bits set behind its prefix: the network is 10.0.0.0/8");
	CHECK_EQ(g.list[1].at.line, 7);
	check_text(g.list[1].text, "bad prefix '?[31m'");
	CHECK_EQ(bad.lists.count, 1);
	unlink(list);
	rmdir(dir);
}
