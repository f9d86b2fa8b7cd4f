/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user/metrics_out.c: heads, escapes and numbers of both formats; the table; /proc of a process. */
#define HARNESS_PURE true
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "metrics_out.h"
#include "metrics_read.h"
#include "util.h"

struct page {
	struct metrics_out m;
	FILE *out;
	char *text;
	size_t size;
};

static void page_begin(struct page *p, bool openmetrics)
{
	p->out = open_memstream(&p->text, &p->size);
	CHECK(p->out);
	metrics_begin(&p->m, p->out, openmetrics);
}

/* Good until the test ends. */
static const char *page_end(struct page *p)
{
	metrics_end(&p->m);
	fclose(p->out);
	return p->text;
}

TEST(values_of_labels_are_escaped, "N04")
{
	static const struct {
		const char *name, *label;
	} cases[] = {
		{ "eth0", "eth0" },
		{ "", "" },
		{ "q\"\\}", "q\\\"\\\\}" },
		{ "\n", "\\\\x0a" },
		{ "\x7f\x01", "\\\\x7f\\\\x01" },
		{ "\xc3\xa9\xc3", "\xc3\xa9\\\\xc3" },
		{ "\xff\xfe", "\\\\xff\\\\xfe" },
		{ "\xe2\x80\xae", "\\\\xe2\\\\x80\\\\xae" }, /* turns the line around */
		{ "\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80" }, /* half of UTF-16 */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct page p;
		char want[256];

		test_context("case %zu", i);
		page_begin(&p, i & 1);
		metric_u64(&p.m, M_DEVICE_ATTACHED, LABELS(cases[i].name), 1);
		snprintf(want, sizeof(want), "\nsynwarden_device_attached{device=\"%s\"} 1\n",
			 cases[i].label);
		CHECK(strstr(page_end(&p), want));
	}
}

TEST(numbers_are_whole, "N04")
{
	struct page p;

	page_begin(&p, false);
	metric_u64(&p.m, M_KEY_EPOCH, NO_LABELS, ~0ULL);
	metric_ns(&p.m, M_COLLECT, LABELS("a"), 0);
	metric_ns(&p.m, M_COLLECT, LABELS("b"), 1);
	metric_ns(&p.m, M_COLLECT, LABELS("c"), 12000000345ULL);
	CHECK(!strcmp(page_end(&p),
		      "# HELP synwarden_key_epoch The epoch that cookies are made in now.\n"
		      "# TYPE synwarden_key_epoch gauge\n"
		      "synwarden_key_epoch 18446744073709551615\n"
		      "# HELP synwarden_collect_duration_seconds Time it took to read this.\n"
		      "# TYPE synwarden_collect_duration_seconds gauge\n"
		      "synwarden_collect_duration_seconds{collector=\"a\"} 0.000000000\n"
		      "synwarden_collect_duration_seconds{collector=\"b\"} 0.000000001\n"
		      "synwarden_collect_duration_seconds{collector=\"c\"} 12.000000345\n"));
}

TEST(openmetrics_names_families_without_suffix, "N04")
{
	struct page p;
	const char *text;

	page_begin(&p, true);
	metric_u64(&p.m, M_BUILD_INFO, LABELS("1", "", "3"), 1);
	metric_u64(&p.m, M_COOKIES_SENT, LABELS("any 80"), 7);
	metric_u64(&p.m, M_BANS, LABELS("any 80"), 2);
	metric_u64(&p.m, M_BANS_TOTAL, LABELS("any 80"), 3);
	text = page_end(&p);
	CHECK(strstr(text, "\n# TYPE synwarden_build info\n"
			   "synwarden_build_info{version=\"1\",revision=\"\",abi=\"3\"} 1\n"));
	CHECK(strstr(text, "\n# TYPE synwarden_cookies_sent counter\n"
			   "synwarden_cookies_sent_total{service=\"any 80\"} 7\n"));
	CHECK(strstr(text, "\n# TYPE synwarden_bans gauge\n"));
	CHECK(strstr(text, "\n# TYPE synwarden_bans_total unknown\n"));
	CHECK(!strcmp(text + strlen(text) - 6, "# EOF\n"));
}

/* What promtool lints, and that no other name is taken away by a missing suffix. */
TEST(names_of_the_table_are_in_order, "N04")
{
	static const struct {
		const char *type, *name, *labels, *help;
	} rows[] = {
#define X(id, type, name, labels, help) { #type, name, labels, help },
		METRICS(X)
#undef X
	};

	CHECK_EQ(ARRAY_SIZE(rows), METRIC_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].name);
		bool total = len > 6 && !strcmp(rows[i].name + len - 6, "_total");
		bool info = len > 5 && !strcmp(rows[i].name + len - 5, "_info");

		test_context("%s", rows[i].name);
		CHECK_EQ(total, !strcmp(rows[i].type, "COUNTER"));
		CHECK_EQ(info, !strcmp(rows[i].type, "INFO"));
		CHECK_EQ(strspn(rows[i].name, "abcdefghijklmnopqrstuvwxyz_"), len);
		CHECK(!strncmp(rows[i].name, "synwarden_", 10) ||
		      !strncmp(rows[i].name, "process_", 8));
		CHECK(*rows[i].help && rows[i].help[strlen(rows[i].help) - 1] == '.');
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(rows[i].name, rows[k].name));
	}
}

TEST(process_tells_of_itself, "N04")
{
	struct process_use use, later;
	volatile __u64 work = 0;

	process_read((__u32)getpid(), &use);
	CHECK(use.known && use.fds_known);
	CHECK(use.rss_bytes > 4096 && use.virtual_bytes >= use.rss_bytes);
	CHECK(use.start_ns > 1500000000ULL * 1000000000); /* later than 2017 */
	CHECK(use.fds >= 3);
	for (int i = 0; i < 200 && use.cpu_ns < 30000000; i++) {
		for (int k = 0; k < 1000000; k++)
			work++;
		process_read((__u32)getpid(), &use);
	}
	CHECK(use.cpu_ns >= 30000000);
	CHECK(dup(0) >= 0);
	process_read((__u32)getpid(), &later);
	CHECK_EQ(later.fds, use.fds + 1);
	CHECK_EQ(later.start_ns, use.start_ns);
	process_read(~0U, &use);
	CHECK(!use.known && !use.fds_known);
}
