/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configurations at random: what is written reads the same, what is broken is never taken. */
#define HARNESS_PURE true
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "harness.h"
#include "sources.h"
#include "table.h"

/* a number below n */
static __u32 some(__u32 n)
{
	return (__u32)(test_random() % n);
}

/* --- at random, within what is allowed ------------------------------------------------------ */

static void some_prefix(__be32 addr[4], __u32 *len)
{
	char text[64];
	struct text_why why;
	__u32 bits = some(33);
	__u32 v4 = bits ? (__u32)test_random() & ~0U << (32 - bits) : 0;
	struct in_addr in = { htonl(v4) };

	if (some(2))
		snprintf(text, sizeof(text), "%s/%u", inet_ntoa(in), bits);
	else
		snprintf(text, sizeof(text), "2001:%x::/%u", some(65536), 32 + some(97));
	if (text_prefix(text, addr, len, &why))
		FAIL("%s", why.text);
}

static void some_service(struct config *c)
{
	struct sw_service s = { .mode = (enum sw_mode)some(4), .host_syns_pps = some(9) };
	struct services seen = { 0 };

	service_defaults(&s);
	if (some(2))
		s.upper.syns_pps = 1 + some(1000);
	s.lower.syns_pps = 1 + some(s.upper.syns_pps);
	if (some(3) == 0)
		s.upper.half_open = s.lower.half_open = 0;
	s.hold_s = some(86401);
	if (some(3))
		some_prefix(s.addr, &s.prefix_len);
	for (int i = 0; i < SW_LEVELS; i++) {
		s.limit[i].new_pps = some(2) * (1 + some(1000000));
		s.limit[i].burst = s.limit[i].new_pps ? some(1000001) : 0;
		s.limit[i].conns = some(2) * some(SW_CONNS_MAX + 1);
		s.limit[i].half_closed = some(2) * some(100);
		s.limit[i].stalled = some(3);
	}
	s.over = (enum sw_over_action)some(3);
	s.ban_s = s.over == SW_OVER_BAN ? 1 + some(2592000) : 0;
	CHECK_EQ(quota_settle(&s, &(struct text_why){ 0 }), 0);
	s.port_first = (__u16)(1 + some(65535));
	s.port_last = some(2) ? s.port_first : (__u16)(s.port_first + some(65536U - s.port_first));
	for (__u32 i = 0; i < c->services; i++)
		seen.slot[i + 1] = c->service[i].service;
	if (!services_overlap(&seen, &s) && c->services < SW_MAX_SERVICES - 1)
		c->service[c->services++].service = s;
}

static void some_entry(struct config *c)
{
	static const char *const comments[] = { "", "why", "it's \"so\" \\ and: {not} # that",
						"caf\xc3\xa9", "- [a, b]" };
	struct list_entry e = { .key.list = (__u8)some(SW_LIST_MAX) };
	__be32 addr[4];
	__u32 len;

	some_prefix(addr, &len);
	list_entry_set(&e, addr, len);
	if (c->services && !some(3))
		e.key.service = (__u16)(1 + some(c->services));
	if (!some(3))
		list_end_in(&e, conn_now(), 1000 + some(100000));
	strcpy(e.value.comment, comments[some(ARRAY_SIZE(comments))]);
	if (list_set_add(&c->lists, &e))
		FAIL("no memory");
}

static void some_config(struct config *c)
{
	config_default(c);
	c->engine = (enum sw_engine)some(3);
	c->connections = SW_CONNS_MIN + some(SW_CONNS_MAX - SW_CONNS_MIN + 1);
	for (__u32 i = some(5); i--; c->devices++) {
		snprintf(c->device[c->devices].name, IF_NAMESIZE, "d%u \"'#", i);
		c->device[c->devices].name[2] = some(2) ? '.' : '-';
		c->device[c->devices].xdp = (enum xdp_mode)some(3);
	}
	for (__u32 i = some(30); i--;)
		some_service(c);
	for (size_t i = 0; i < limits_count; i++)
		if (some(2))
			limit_put(&limits[i], &c->limits,
				  limits[i].min + (__u32)(test_random() %
							  (limits[i].max - limits[i].min + 1ULL)));
	for (__u32 i = some(60); i--;)
		some_entry(c);
	list_set_settle(&c->lists, conn_now());
	for (__u32 i = 0, n = some(SW_FAIL_SAFE + 1); i < n; i++)
		c->fail_safe[i] = (__u16)(1 + i * 100);
}

static void note(void *arg, enum config_has section, const char *command)
{
	(void)arg;
	(void)section;
	test_note("%s", command);
}

static char *written(const struct config *c, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	config_write(c, out);
	fclose(out);
	return text;
}

static bool same(const struct config *a, const struct config *b)
{
	return CHECK_EQ(config_diff(a, b, note, NULL), 0) &&
	       CHECK_EQ(config_diff(b, a, note, NULL), 0);
}

static bool reads_as(const struct config *c, const char *text, size_t len)
{
	autofaults struct faults f = { 0 };
	autoconfig struct config again;
	bool good;

	config_parse(&again, "f", text, len, &f);
	good = CHECK_EQ(f.total, 0) && same(c, &again);
	if (!good) {
		faults_print(&f, "F", stderr);
		test_note("of:\n%s", text);
	}
	return good;
}

TEST(what_is_written_reads_the_same, "N05 K10")
{
	bool good = true;

	for (int i = 0; i < 200 && good; i++) {
		autoconfig struct config c;
		autofree char *text = NULL;
		size_t len;

		test_context("round %d", i);
		some_config(&c);
		text = written(&c, &len);
		good = reads_as(&c, text, len);
	}
}

TEST(difference_is_told_both_ways, "K10")
{
	for (int i = 0; i < 50; i++) {
		autoconfig struct config a, b;

		some_config(&a);
		some_config(&b);
		CHECK(config_diff(&a, &b, NULL, NULL) > 0);
	}
}

/* --- a file that is brought up to date ------------------------------------------------------- */

TEST(file_brought_up_to_date_reads_as_what_runs, "K10 N05")
{
	bool good = true;

	for (int i = 0; i < 200 && good; i++) {
		autoconfig struct config old, now;
		autofree char *text = NULL, *merged = NULL;
		size_t len, merged_len;
		FILE *out;

		test_context("round %d", i);
		some_config(&old);
		some_config(&now);
		/* of attach; devices that are gone stay in the file on purpose */
		now.devices = old.devices;
		memcpy(now.device, old.device, sizeof(old.device));
		if (old.engine == SW_ENGINE_AUTO)
			now.engine = SW_ENGINE_REQSK;
		text = written(&old, &len);
		out = open_memstream(&merged, &merged_len);
		good = CHECK_EQ(config_merge(&now, "f", text, len, out), 0);
		fclose(out);
		if (old.engine == SW_ENGINE_AUTO)
			now.engine = SW_ENGINE_AUTO;
		good = good && reads_as(&now, merged, merged_len);
	}
}

TEST(comments_stay_where_nothing_differs, "K10")
{
	static const char text[] = "# top\n"
				   "limits: # l\n"
				   "    # before\n"
				   "    ask-rate: 5 # \xc3\xa9\n"
				   "    timeout-closed: 2m\t# two minutes\n"
				   "# between\n"
				   "connections: 4096 # c\n"
				   "services: [{prefix: any, ports: 80}] # one\n"
				   "# end";
	static const char want[] = "# top\n"
				   "limits: # l\n"
				   "    # before\n"
				   "    ask-rate: 6 # \xc3\xa9\n"
				   "    timeout-closed: 2m\t# two minutes\n"
				   "    event-gap: 7\n"
				   "# between\n"
				   "connections: 5000 # c\n"
				   "services: [{prefix: any, ports: 80}] # one\n"
				   "# end\n";
	autofaults struct faults f = { 0 };
	autofree char *merged = NULL;
	autoconfig struct config c;
	size_t len;
	FILE *out = open_memstream(&merged, &len);

	config_parse(&c, "f", text, strlen(text), &f);
	CHECK_EQ(f.total, 0);
	limit_put(limit_find("ask-rate"), &c.limits, 6);
	limit_put(limit_find("event-gap"), &c.limits, 7);
	c.connections = 5000;
	CHECK_EQ(config_merge(&c, "f", text, strlen(text), out), 0);
	fclose(out);
	CHECK_BYTES(merged, len, want, strlen(want));
	/* a file that does not read well is not brought up to date */
	out = fmemopen(NULL, 100, "w");
	CHECK_EQ(config_merge(&c, "f", "limits: [", 9, out), -22);
	CHECK_EQ(config_merge(&c, "f", "{limits: {}}", 12, out), -22);
	fclose(out);
}

/* libyaml counts lines by them, too. */
TEST(other_line_breaks_move_no_place, "K10 N05")
{
	static const char *const breaks[] = { "\r", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9",
					      "\r\n" };

	for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
		autofaults struct faults f = { 0 };
		autofree char *merged = NULL;
		autoconfig struct config c;
		char text[300], want[300];
		size_t len;
		FILE *out = open_memstream(&merged, &len);

		test_context("%zu", i);
		snprintf(text, sizeof(text), "# a%s# b\nengine: %30s\nconnections: 64\n# %80s\n",
			 breaks[i], "listener", "end");
		snprintf(want, sizeof(want), "# a%s# b\nengine: %27s\nconnections: 65\n# %80s\n",
			 breaks[i], "reqsk", "end");
		config_parse(&c, "f", text, strlen(text), &f);
		CHECK_EQ(f.total, 0);
		c.engine = SW_ENGINE_REQSK;
		c.connections = 65;
		CHECK_EQ(config_merge(&c, "f", text, strlen(text), out), 0);
		fclose(out);
		CHECK_BYTES(merged, len, want, strlen(want));
	}
}

/* --- mutations ------------------------------------------------------------------------------- */

/* Words that mean something to YAML or to us, and some that lie at a border. */
static const char *const words[] = {
	":",
	": ",
	"- ",
	"{",
	"}",
	"[",
	"]",
	",",
	"&a ",
	"*a",
	"!!x ",
	"<<: ",
	"# ",
	"\n",
	"\n  ",
	"\n---\n",
	"\n...\n",
	"|\n",
	">\n",
	"\"",
	"'",
	"\\",
	"\t",
	"\r",
	"\x1b",
	"\xff",
	"\xef\xbb\xbf",
	"\xe2\x80\xa8",
	"%",
	"@",
	"`",
	"~",
	"?  ",
	"0",
	"-1",
	"65535",
	"65536",
	"4294967295",
	"4294967296",
	"99999999999999999999",
	"any",
	"::",
	"0.0.0.0/0",
	"off",
	"default",
	"1h",
	"per-source: ",
	"over: ",
	"services:\n",
	"limits:\n",
	"prefix: ",
	"ports: ",
	"[[[[[[[[[[",
	"{{{{{{{{{{",
};

static size_t mutate(char *text, size_t len, size_t room)
{
	size_t at = some((__u32)len + 1), n, take;
	const char *word;

	switch (some(5)) {
	case 0: /* a byte */
		if (at < len)
			text[at] = (char)test_random();
		return len;
	case 1: /* cut out */
		n = some(20);
		n = at + n > len ? len - at : n;
		memmove(text + at, text + at + n, len - at - n);
		return len - n;
	case 2: /* written twice */
		n = some(200);
		n = at + n > len ? len - at : n;
		if (len + n > room)
			return len;
		memmove(text + at + n, text + at, len - at);
		return len + n;
	case 3: /* cut off */
		return some(10) ? len : at;
	default: /* a word put in */
		word = words[some(ARRAY_SIZE(words))];
		take = strlen(word);
		if (len + take > room)
			return len;
		memmove(text + at + take, text + at, len - at);
		memcpy(text + at, word, take);
		return len + take;
	}
}

static void check_marks(const struct sw_arm_marks *up, const struct sw_arm_marks *low)
{
	CHECK(up->syns_pps <= 100000000 && low->syns_pps <= up->syns_pps);
	CHECK(up->half_open <= SW_CONNS_MAX && low->half_open <= up->half_open);
	CHECK(up->unfinished <= 100 && low->unfinished <= up->unfinished);
}

static void check_quota(const struct sw_source_limit *l)
{
	CHECK(l->new_pps <= 1000000 && l->burst <= 1000000 && (l->new_pps || !l->burst));
	CHECK(l->conns <= SW_CONNS_MAX && l->half_closed <= SW_CONNS_MAX &&
	      l->stalled <= SW_CONNS_MAX);
}

/* Whatever was read, all of it is in its range. */
static void check_ranges(const struct config *c)
{
	CHECK(c->engine <= SW_ENGINE_LISTENER);
	CHECK(c->connections >= SW_CONNS_MIN && c->connections <= SW_CONNS_MAX);
	CHECK(c->devices <= SW_MAX_DEVS && c->services < SW_MAX_SERVICES);
	for (__u32 i = 0; i < c->devices; i++)
		CHECK(*c->device[i].name && c->device[i].xdp <= XDP_MODE_GENERIC &&
		      memchr(c->device[i].name, '\0', IF_NAMESIZE));
	for (__u32 i = 0; i < c->services; i++) {
		const struct sw_service *s = &c->service[i].service;

		CHECK(s->mode <= SW_MODE_ALWAYS && s->port_first && s->port_first <= s->port_last);
		CHECK(s->prefix_len <= 128 && s->hold_s <= 86400);
		check_marks(&s->upper, &s->lower);
		check_quota(&s->limit[0]);
		check_quota(&s->limit[1]);
		CHECK(s->over <= SW_OVER_BAN && s->ban_s <= 2592000 &&
		      (s->over != SW_OVER_BAN || s->ban_s));
	}
	for (size_t i = 0; i < limits_count; i++) {
		__u32 value = limit_get(&limits[i], &c->limits);

		CHECK(value >= limits[i].min && value <= limits[i].max);
	}
	for (__u32 i = 0; i < c->lists.count; i++) {
		const struct list_entry *e = &c->lists.entry[i];

		CHECK(e->key.list < SW_LIST_MAX && e->key.service <= c->services);
		CHECK(list_prefix_len(e) <= 128 && memchr(e->value.comment, '\0', SW_COMMENT));
	}
}

static void check_tame(const struct faults *f)
{
	for (unsigned int i = 0; i < f->count; i++)
		for (const char *at = f->list[i].text; *at; at++)
			CHECK(*at >= ' ' && *at <= '~');
}

/* What reads well is written, and reads the same then. */
static void check_written(const struct config *c)
{
	autofree char *text = NULL;
	struct config whole = *c;
	size_t len;

	whole.has = 127;
	text = written(&whole, &len);
	reads_as(&whole, text, len);
}

TEST(mutated_files_never_crash_hang_or_get_through, "N05")
{
	static char text[65536];
	time_t end = time(NULL) + (getenv("SW_LONG") ? 60 : 2);
	unsigned int files = 0, good = 0;

	while (time(NULL) < end && !test_failed()) {
		autoconfig struct config seed;
		autofree char *first = NULL;
		size_t len;

		some_config(&seed);
		first = written(&seed, &len);
		if (len > sizeof(text) / 2)
			continue;
		memcpy(text, first, len);
		for (int i = 0; i < 40 && !test_failed(); i++) {
			autofaults struct faults f = { 0 };
			autoconfig struct config c;

			len = mutate(text, len, sizeof(text));
			config_parse(&c, "/nowhere/f", text, len, &f);
			files++;
			check_ranges(&c);
			check_tame(&f);
			if (!f.total) {
				good++;
				check_written(&c);
			}
		}
	}
	test_note("%u files, %u of them good", files, good);
	CHECK(files > 100);
}
