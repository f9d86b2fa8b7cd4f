/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page, its style, script and charts, taken into the program whole as they lie in build/web,
 * each as it is and compressed.
 */
#include <stdio.h>
#include <string.h>

#include <linux/types.h>

#include "util.h"
#include "web.h"

/* symbols NAME, NAME_end, NAME_gz, NAME_gz_end */
#define TAKE(name, file)                                                             \
	__asm__(".section .rodata\n" #name ":\n.incbin \"web/" file "\"\n" #name     \
		"_end:\n.byte 0\n" #name "_gz:\n.incbin \"web/" file ".gz\"\n" #name \
		"_gz_end:\n.byte 0\n.previous\n");                                   \
	extern const char name[], name##_end[], name##_gz[], name##_gz_end[]

TAKE(page_html, "index.html");
TAKE(page_style, "style.css");
TAKE(page_script, "app.js");
TAKE(page_charts, "charts.js");
TAKE(page_metrics, "metrics.js");
TAKE(page_uplot, "uPlot.js");
TAKE(page_uplot_style, "uPlot.css");
TAKE(page_licences, "licences.txt");

#define FILE_AT(path, type, name)                                          \
	{                                                                  \
		path, type, name, name##_end, name##_gz, name##_gz_end, "" \
	}

static struct page_file files[] = {
	FILE_AT("/", "text/html; charset=utf-8", page_html),
	FILE_AT("/style.css", "text/css; charset=utf-8", page_style),
	FILE_AT("/app.js", "text/javascript; charset=utf-8", page_script),
	FILE_AT("/charts.js", "text/javascript; charset=utf-8", page_charts),
	FILE_AT("/metrics.js", "text/javascript; charset=utf-8", page_metrics),
	FILE_AT("/uPlot.js", "text/javascript; charset=utf-8", page_uplot),
	FILE_AT("/uPlot.css", "text/css; charset=utf-8", page_uplot_style),
	FILE_AT("/licences.txt", "text/plain; charset=utf-8", page_licences),
};

/* FNV-1a, 64 bits: enough to tell one build's file from another's. */
static void tag(struct page_file *f)
{
	__u64 hash = 0xcbf29ce484222325;

	for (const char *at = f->data; at < f->end; at++)
		hash = (hash ^ (unsigned char)*at) * 0x100000001b3;
	snprintf(f->etag, sizeof(f->etag), "W/\"%016llx\"", (unsigned long long)hash);
}

void page_begin(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		tag(&files[i]);
}

const struct page_file *page_find(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (!strcmp(files[i].path, path))
			return &files[i];
	return NULL;
}
