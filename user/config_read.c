/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file's tree into a configuration: every setting by its table, every fault with its place. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "config_read.h"

void config_free(struct config *c)
{
	list_set_free(&c->lists);
	list_set_free(&c->filed);
	for (__u32 i = 0; i < c->files; i++)
		free(c->file[i].name);
	free(c->file);
	c->file = NULL;
	c->files = 0;
}

void config_default(struct config *c)
{
	memset(c, 0, sizeof(*c));
	c->has = CONFIG_DEVICES | CONFIG_ENGINE | CONFIG_CONNECTIONS | CONFIG_SERVICES |
		 CONFIG_LIMITS | CONFIG_LISTS | CONFIG_FAIL_SAFE;
	c->connections = SW_CONNS;
	limits_default(&c->limits);
}

/* --- nodes ------------------------------------------------------------------------------ */

const char *read_scalar(struct reader *r, const struct node *n, const char *what,
			const char *expected)
{
	if (n->kind == NODE_BAD)
		return NULL;
	if (n->kind == NODE_SCALAR && !node_is_empty(n))
		return n->text;
	faults_add(r->faults, n->at, "%s: %s expected, not %s", what, expected, node_kind_name(n));
	return NULL;
}

bool read_is(struct reader *r, const struct node *n, enum node_kind kind, const char *what)
{
	const char *want = kind == NODE_MAP ? "a map" : "a list";

	if (n->kind == kind)
		return true;
	/* with all below it commented out it would read as none, and what runs would go */
	if (n->kind != NODE_BAD && node_is_empty(n))
		faults_add(r->faults, n->key ? n->key->at : n->at,
			   "%s: %s expected, not nothing: '%s' for none, or no such line", what,
			   want, kind == NODE_MAP ? "{}" : "[]");
	else if (n->kind != NODE_BAD)
		faults_add(r->faults, n->at, "%s: %s expected, not %s", what, want,
			   node_kind_name(n));
	return false;
}

void read_unknown(struct reader *r, const struct node *key, const char *what, const void *names,
		  size_t count, size_t stride)
{
	const char *near = nearest_name(key->text, names, count, stride);

	if (near)
		faults_add(r->faults, key->at, "%s: unknown key '%.60s', did you mean '%s'?", what,
			   key->text, near);
	else
		faults_add(r->faults, key->at, "%s: unknown key '%.60s'", what, key->text);
}

void read_map(struct reader *r, const struct node *n, const struct known_key *keys, size_t count,
	      const char *what, void *object)
{
	if (!read_is(r, n, NODE_MAP, what))
		return;
	for (const struct node *v = n->child; v; v = v->next) {
		size_t i = 0;

		if (v->key->kind == NODE_BAD)
			continue;
		while (i < count && strcmp(keys[i].name, v->key->text))
			i++;
		if (i == count)
			read_unknown(r, v->key, what, keys, count, sizeof(*keys));
		else
			keys[i].read(r, v, object);
	}
}

/* --- settings of the typed table -------------------------------------------------------- */

void read_setting(struct reader *r, const struct node *n, const struct setting *s, void *object)
{
	const char *word = read_scalar(r, n, s->name, s->expects ? s->expects : s->help);
	struct text_why why;

	if (word && setting_read(s, word, object, &why))
		faults_add(r->faults, n->at, "%s", why.text);
}

static void read_engine(struct reader *r, const struct node *n, void *c)
{
	r->c->has |= CONFIG_ENGINE;
	read_setting(r, n, &global_settings[GLOBAL_ENGINE], c);
}

static void read_connections(struct reader *r, const struct node *n, void *c)
{
	r->c->has |= CONFIG_CONNECTIONS;
	read_setting(r, n, &global_settings[GLOBAL_CONNECTIONS], c);
}

/* --- devices ---------------------------------------------------------------------------- */

static void read_device_name(struct reader *r, const struct node *n, void *object)
{
	const char *name = read_scalar(r, n, "name", "the name of a device");
	struct config_device *d = object;

	if (!name)
		return;
	if (!text_is_device(name)) {
		faults_add(
			r->faults, n->at,
			"bad device '%.40s': a name of 1 to %zu characters without / and : expected",
			name, sizeof(d->name) - 1);
		return;
	}
	strcpy(d->name, name);
}

static void read_device_xdp(struct reader *r, const struct node *n, void *object)
{
	read_setting(r, n, &device_settings[DEVICE_XDP], object);
}

static const struct known_key device_keys[] = {
	{ "name", read_device_name },
	{ "xdp", read_device_xdp },
};

static void read_device(struct reader *r, const struct node *n)
{
	struct config_device d = { .at = n->at };
	struct config *c = r->c;
	unsigned int faults = r->faults->total;

	if (n->kind == NODE_SCALAR && !node_is_empty(n)) {
		read_device_name(r, n, &d);
	} else {
		if (!read_is(r, n, NODE_MAP, "devices"))
			return;
		read_map(r, n, device_keys, ARRAY_SIZE(device_keys), "devices", &d);
		if (!*d.name && r->faults->total == faults)
			faults_add(r->faults, n->at, "devices: a device without a 'name'");
	}
	if (!*d.name)
		return;
	for (__u32 i = 0; i < c->devices; i++) {
		if (strcmp(c->device[i].name, d.name))
			continue;
		faults_add(r->faults, n->at, "device '%s' is there twice: first in line %u", d.name,
			   c->device[i].at.line);
		return;
	}
	if (c->devices == SW_MAX_DEVS)
		faults_add(r->faults, n->at, "more than %d devices, the most a guard can have",
			   SW_MAX_DEVS);
	else
		c->device[c->devices++] = d;
}

static void read_devices(struct reader *r, const struct node *n, void *c)
{
	(void)c;
	r->c->has |= CONFIG_DEVICES;
	if (read_is(r, n, NODE_LIST, "devices"))
		for (const struct node *d = n->child; d; d = d->next)
			read_device(r, d);
}

/* --- limits ----------------------------------------------------------------------------- */

static void read_limits(struct reader *r, const struct node *n, void *object)
{
	struct config *c = object;
	struct text_why why;
	__u32 value;

	c->has |= CONFIG_LIMITS;
	if (!read_is(r, n, NODE_MAP, "limits"))
		return;
	for (const struct node *v = n->child; v; v = v->next) {
		const struct limit *l;
		const char *word;

		if (v->key->kind == NODE_BAD)
			continue;
		l = limit_find(v->key->text);
		if (!l) {
			read_unknown(r, v->key, "limits", limits, limits_count, sizeof(limits[0]));
			continue;
		}
		word = read_scalar(r, v, l->name, "a number");
		if (word && limit_read(l, word, &value, &why))
			faults_add(r->faults, v->at, "%s", why.text);
		else if (word)
			limit_put(l, &c->limits, value);
	}
}

/* --- the file --------------------------------------------------------------------------- */

static void keep_lists(struct reader *r, const struct node *n, void *config)
{
	((struct config *)config)->has |= CONFIG_LISTS;
	r->lists = n;
}

static void keep_fail_safe(struct reader *r, const struct node *n, void *config)
{
	((struct config *)config)->has |= CONFIG_FAIL_SAFE;
	r->fail_safe = n;
}

static const struct known_key sections[] = {
	{ "devices", read_devices },         { "engine", read_engine },
	{ "connections", read_connections }, { "services", read_services },
	{ "limits", read_limits },           { "lists", keep_lists },
	{ "fail-safe", keep_fail_safe },
};

void config_parse(struct config *c, const char *path, const char *text, size_t len,
		  struct faults *f)
{
	struct reader r = { .c = c, .faults = f, .path = path };
	autotree struct tree t = { 0 };

	config_default(c);
	c->has = 0;
	if (!tree_read(text, len, &t, f) || !t.root)
		return;
	/* a document of comments alone, as a file of them */
	if (node_is_empty(t.root))
		return;
	read_map(&r, t.root, sections, ARRAY_SIZE(sections), "the file", c);
	read_lists(&r);
}

#define BOM "\xef\xbb\xbf"

int config_load(const char *path, char **text, size_t *len, struct faults *f)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	autofree char *buf = malloc(TREE_SIZE_MAX + 2);
	struct stat st;
	ssize_t n = 0;

	if (fd < 0 || !buf || fstat(fd, &st)) {
		faults_add(f, (struct place){ 0 }, "%s", strerror(buf ? errno : ENOMEM));
		return -EIO;
	}
	if (!S_ISREG(st.st_mode)) {
		faults_add(f, (struct place){ 0 }, "not a regular file");
		return -EINVAL;
	}
	*len = 0;
	do {
		*len += (size_t)n;
		n = read(fd, buf + *len, TREE_SIZE_MAX + 1 - *len);
	} while (n > 0);
	if (n < 0) {
		faults_add(f, (struct place){ 0 }, "%s", strerror(errno));
		return -EIO;
	}
	buf[*len] = '\0';
	/* libyaml takes it for a column of the first line */
	if (!strncmp(buf, BOM, strlen(BOM))) {
		*len -= strlen(BOM);
		memmove(buf, buf + strlen(BOM), *len + 1);
	}
	*text = buf;
	buf = NULL;
	return 0;
}
