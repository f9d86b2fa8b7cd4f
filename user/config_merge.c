/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file brought up to date: sections that say what runs stay as they are written, numbers that
 * differ are replaced in their lines, other sections are written anew below their comments.
 */
#include <errno.h>
#include <string.h>

#include "config.h"

struct merge {
	const struct config *c;
	unsigned int differs; /* enum config_has */
	const char *text;
	size_t len;
	const char *done; /* up to here it is written */
	FILE *out;
};

static const char *const section_names[] = {
	"devices", "engine", "connections", "services", "limits", "lists", "fail-safe",
};

static unsigned int section_of(const struct node *n)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(section_names); i++)
		if (n->key->kind == NODE_SCALAR && !strcmp(n->key->text, section_names[i]))
			return 1U << i;
	return 0;
}

/* Bytes of the line break at `at`, 0: none. As libyaml has them, by whose lines places go. */
static size_t break_at(const char *at, const char *end)
{
	static const char *const breaks[] = { "\r\n",     "\n",           "\r",
					      "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9" };

	for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
		size_t len = strlen(breaks[i]);

		if ((size_t)(end - at) >= len && !memcmp(at, breaks[i], len))
			return len;
	}
	return 0;
}

static const char *line_start(const struct merge *m, unsigned int line)
{
	const char *at = m->text, *end = m->text + m->len;

	while (--line && at < end) {
		size_t len = 0;

		while (at < end && !(len = break_at(at, end)))
			at++;
		at += len;
	}
	return at;
}

/* libyaml counts characters, not bytes. */
static const char *find_place(const struct merge *m, struct place p)
{
	const char *at = line_start(m, p.line), *end = m->text + m->len;

	while (--p.column && at < end)
		do
			at++;
		while (at < end && (*at & 0xc0) == 0x80);
	return at;
}

static void copy_to(struct merge *m, const char *to)
{
	fwrite(m->done, 1, (size_t)(to - m->done), m->out);
	m->done = to;
}

static void replace(struct merge *m, const struct node *n, const char *text)
{
	copy_to(m, find_place(m, n->at));
	fputs(text, m->out);
	m->done = find_place(m, n->end);
}

static void merge_global(struct merge *m, const struct node *n, unsigned int which)
{
	char text[SETTING_TEXT];

	replace(m, n, setting_text(&global_settings[which], m->c, text));
}

static void rewrite(struct merge *m, const struct node *n, enum config_has section)
{
	copy_to(m, line_start(m, n->key->at.line));
	config_write_section(m->c, section, m->out);
	m->done = line_start(m, n->end.line + 1);
}

static const struct node *find_key(const struct node *map, const char *name)
{
	for (const struct node *n = map->child; n; n = n->next)
		if (n->key->kind == NODE_SCALAR && !strcmp(n->key->text, name))
			return n;
	return NULL;
}

static __u32 limit_written(const struct limit *l, const struct node *n)
{
	struct text_why why;
	__u32 value = l->fallback;

	if (n)
		limit_read(l, n->text, &value, &why);
	return value;
}

/* In the order of the file, as it is copied from its begin to its end. */
static void merge_limits(struct merge *m, const struct node *map)
{
	unsigned int indent;
	char text[16];

	if (map->kind != NODE_MAP || map->flow) {
		rewrite(m, map, CONFIG_LIMITS);
		return;
	}
	indent = map->child->key->at.column - 1;
	for (const struct node *n = map->child; n; n = n->next) {
		const struct limit *l = limit_find(n->key->text);

		snprintf(text, sizeof(text), "%u", limit_get(l, &m->c->limits));
		if (limit_written(l, n) != limit_get(l, &m->c->limits))
			replace(m, n, text);
	}
	copy_to(m, line_start(m, map->end.line + 1));
	if (m->done > m->text && m->done[-1] != '\n')
		fputc('\n', m->out);
	for (size_t i = 0; i < limits_count; i++) {
		const struct limit *l = &limits[i];

		if (!find_key(map, l->name) && limit_get(l, &m->c->limits) != l->fallback)
			fprintf(m->out, "%*s%s: %u\n", (int)indent, "", l->name,
				limit_get(l, &m->c->limits));
	}
}

static void merge_section(struct merge *m, const struct node *n)
{
	unsigned int section = section_of(n);

	if (!(m->differs & section))
		return;
	switch (section) {
	case CONFIG_ENGINE:
		merge_global(m, n, GLOBAL_ENGINE);
		break;
	case CONFIG_CONNECTIONS:
		merge_global(m, n, GLOBAL_CONNECTIONS);
		break;
	case CONFIG_LIMITS:
		merge_limits(m, n);
		break;
	default:
		rewrite(m, n, (enum config_has)section);
	}
}

/* Is there something to say of a section that the file leaves out? */
static bool is_worth(const struct config *c, enum config_has section)
{
	struct sw_settings s;
	bool lists = false, sources = false;

	for (__u32 i = 0; i < c->lists.count; i++) {
		bool safe = c->lists.entry[i].key.list == SW_LIST_FAIL_SAFE;

		lists |= !safe;
		sources |= safe;
	}
	switch (section) {
	case CONFIG_SERVICES:
		return c->services;
	case CONFIG_LISTS:
		return lists;
	case CONFIG_FAIL_SAFE:
		return sources || c->fail_safe[0];
	case CONFIG_LIMITS:
		limits_default(&s);
		for (size_t i = 0; i < limits_count; i++)
			if (limit_get(&limits[i], &s) != limit_get(&limits[i], &c->limits))
				return true;
		return false;
	default:
		return false; /* of attach: it was not asked for here */
	}
}

static void note_section(void *differs, enum config_has section, const char *command)
{
	(void)command;
	*(unsigned int *)differs |= section;
}

/* List files stay named as long as all that is in them runs. */
static struct config with_files(const struct config *c, const struct config *old)
{
	struct config kept = *c;

	for (__u32 i = 0; i < old->filed.count; i++)
		if (!list_set_find(&c->lists, &old->filed.entry[i].key))
			return kept;
	kept.file = old->file;
	kept.files = old->files;
	kept.filed = old->filed;
	return kept;
}

/*
 * Those of the file stay, as a device may be away just now; what else is attached is added, so that
 * the next boot finds it. True: there is something to add.
 */
static bool with_devices(struct config *kept, const struct config *c, const struct config *old)
{
	memcpy(kept->device, old->device, sizeof(kept->device));
	kept->devices = old->devices;
	for (__u32 i = 0; i < c->devices; i++) {
		__u32 k = 0;

		while (k < kept->devices && strcmp(kept->device[k].name, c->device[i].name))
			k++;
		if (k == kept->devices && k < SW_MAX_DEVS)
			kept->device[kept->devices++] = c->device[i];
	}
	return kept->devices > old->devices;
}

int config_merge(const struct config *c, const char *path, const char *text, size_t len, FILE *out)
{
	struct config kept;
	struct merge m = { .c = &kept, .text = text, .len = len, .done = text, .out = out };
	autofaults struct faults f = { 0 };
	autoconfig struct config old;
	autotree struct tree t = { 0 };

	config_parse(&old, path, text, len, &f);
	kept = with_files(c, &old);
	if (f.total || !tree_read(text, len, &t, &f) || !t.root || t.root->kind != NODE_MAP ||
	    t.root->flow)
		return -EINVAL;
	config_diff(c, &old, note_section, &m.differs);
	/* without that section the devices are someone else's to name */
	if (with_devices(&kept, c, &old) && old.has & CONFIG_DEVICES)
		m.differs |= CONFIG_DEVICES;
	for (const struct node *n = t.root->child; n; n = n->next)
		merge_section(&m, n);
	copy_to(&m, text + len);
	if (len && text[len - 1] != '\n')
		fputc('\n', out);
	for (unsigned int section = 1; section <= CONFIG_FAIL_SAFE; section <<= 1)
		if (!(old.has & section) && is_worth(c, (enum config_has)section))
			config_write_helped(&kept, (enum config_has)section, out);
	return 0;
}
