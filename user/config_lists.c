/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lists of a file, the list files it names, and what is never locked out. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "config_read.h"
#include "table.h"

/* Where an entry stands. Those of list files may well be there twice. */
struct mention {
	struct sw_list_key key;
	struct place at;
};

struct lists_reader {
	struct reader *r;
	enum sw_list list;
	struct mention *mention;
	__u32 count, room;
};

struct entry_draft {
	struct list_entry e;
	struct reader *r;
	bool has_prefix, has_scope;
	bool good;
};

static void refuse(struct entry_draft *d, const struct node *n, const struct text_why *why)
{
	faults_add(d->r->faults, n->at, "%s", why->text);
	d->good = false;
}

static void take_prefix(struct reader *r, const struct node *n, void *object)
{
	const char *word = read_scalar(r, n, "prefix", "'any', an address or ADDRESS/LENGTH");
	struct entry_draft *d = object;
	struct text_why why;
	__be32 addr[4];
	__u32 len;

	d->has_prefix = true;
	if (!word)
		d->good = false;
	else if (text_prefix(word, addr, &len, &why))
		refuse(d, n, &why);
	else
		list_entry_set(&d->e, addr, len);
}

static void take_comment(struct reader *r, const struct node *n, void *object)
{
	struct entry_draft *d = object;
	struct text_why why;

	if (node_is_empty(n))
		return;
	if (n->kind != NODE_SCALAR)
		read_scalar(r, n, "comment", "text");
	else if (list_comment_read(n->text, d->e.value.comment, &why))
		refuse(d, n, &why);
}

static void take_ttl(struct reader *r, const struct node *n, void *object)
{
	const char *word = read_scalar(r, n, "ttl", "a time such as 90s, 15m, 2h or 1d");
	struct entry_draft *d = object;
	__u32 ttl;

	if (!word)
		return;
	if (text_duration(word, 1, LIST_TTL_MAX, &ttl))
		faults_add(r->faults, n->at,
			   "bad ttl '%.40s': 1 to %u seconds, or 90s, 15m, 2h, 1d", word,
			   LIST_TTL_MAX);
	else
		list_end_in(&d->e, conn_now(), ttl);
}

/* "any 443": one of the services of this file. */
static void take_scope(struct reader *r, const struct node *n, void *object)
{
	const char *word = read_scalar(r, n, "service", "'PREFIX PORT' of a service of this file");
	struct entry_draft *d = object;
	struct sw_service want = { 0 };
	struct text_why why;
	const char *ports;
	char prefix[64];

	if (!word)
		return;
	ports = strchr(word, ' ');
	if (!ports || (size_t)(ports - word) >= sizeof(prefix)) {
		faults_add(r->faults, n->at, "bad service '%.60s': 'PREFIX PORT' expected", word);
		return;
	}
	snprintf(prefix, sizeof(prefix), "%.*s", (int)(ports - word), word);
	if (text_service(prefix, ports + 1, &want, &why)) {
		refuse(d, n, &why);
		return;
	}
	d->e.key.service = (__u16)services_find(&r->seen, &want);
	if (!d->e.key.service) {
		faults_add(r->faults, n->at, "no service '%.60s' in this file", word);
		d->good = false;
	}
}

static const struct known_key entry_keys[] = {
	{ "prefix", take_prefix },
	{ "comment", take_comment },
	{ "ttl", take_ttl },
	{ "service", take_scope },
};

static void mention_add(struct lists_reader *l, const struct sw_list_key *key, struct place at)
{
	if (l->count == l->room) {
		__u32 room = l->room ? l->room * 2 : 64;
		void *grown = reallocarray(l->mention, room, sizeof(*l->mention));

		if (!grown) {
			faults_add(l->r->faults, at, "out of memory");
			return;
		}
		l->mention = grown;
		l->room = room;
	}
	l->mention[l->count++] = (struct mention){ *key, at };
}

static void entry_add(struct lists_reader *l, const struct list_entry *e, const struct node *n,
		      bool from_file)
{
	int err = list_set_add(&l->r->c->lists, e);

	if (err == -ENOSPC && l->r->c->lists.count == SW_LIST_ENTRIES)
		faults_add(l->r->faults, n->at, "more than %d entries in all lists",
			   SW_LIST_ENTRIES);
	else if (err)
		faults_add(l->r->faults, n->at, "out of memory");
	else if (!from_file)
		mention_add(l, &e->key, n->at);
	else if (list_set_add(&l->r->c->filed, e))
		faults_add(l->r->faults, n->at, "out of memory");
}

static void read_entry(struct lists_reader *l, const struct node *n)
{
	struct entry_draft d = {
		.e.key.list = (__u8)l->list,
		.e.value.added_s = (__u64)time(NULL),
		.r = l->r,
		.good = true,
	};

	if (n->kind == NODE_SCALAR && !node_is_empty(n)) {
		take_prefix(l->r, n, &d);
	} else {
		if (node_is_empty(n))
			faults_add(l->r->faults, n->at, "%s: an address or ADDRESS/LENGTH expected",
				   list_name(l->list));
		if (!read_is(l->r, n, NODE_MAP, list_name(l->list)))
			return;
		read_map(l->r, n, entry_keys, ARRAY_SIZE(entry_keys), list_name(l->list), &d);
		if (!d.has_prefix)
			faults_add(l->r->faults, n->at, "%s: an entry without 'prefix'",
				   list_name(l->list));
	}
	if (d.has_prefix && d.good)
		entry_add(l, &d.e, n, false);
}

static void read_entries(struct reader *r, const struct node *n, void *object)
{
	if (read_is(r, n, NODE_LIST, n->key->text))
		for (const struct node *e = n->child; e; e = e->next)
			read_entry(object, e);
}

/* --- list files --------------------------------------------------------------------------- */

struct complaint {
	struct faults *faults;
	const char *file;
};

static void complain(void *arg, __u32 line, const char *why)
{
	const struct complaint *to = arg;

	faults_add_in(to->faults, to->file, (struct place){ line, 0 }, why);
}

int config_file_path(const char *config, const char *name, char path[PATH_MAX])
{
	const char *slash = strrchr(config, '/');

	if (*name == '/' || !slash)
		return path_format(path, PATH_MAX, "%s", name);
	return path_format(path, PATH_MAX, "%.*s/%s", (int)(slash - config), config, name);
}

static FILE *file_open(struct reader *r, const struct node *n, const char *path)
{
	/* a FIFO without a writer would hold us up */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	FILE *in = NULL;

	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode))
		in = fdopen(fd, "r");
	else if (fd >= 0)
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	if (in)
		return in;
	faults_add(r->faults, n->at, "list file '%.100s': %s: a readable file of prefixes expected",
		   path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void note_file(struct lists_reader *l, const struct node *n)
{
	struct config *c = l->r->c;
	struct config_list_file *grown = reallocarray(c->file, c->files + 1, sizeof(*grown));

	if (grown) {
		c->file = grown;
		grown[c->files].list = l->list;
		grown[c->files].name = strdup(n->text);
	}
	if (grown && grown[c->files].name)
		c->files++;
	else
		faults_add(l->r->faults, n->at, "out of memory");
}

static void read_file(struct lists_reader *l, const struct node *n)
{
	struct list_entry like = {
		.key.list = (__u8)l->list,
		.value.added_s = (__u64)time(NULL),
	};
	const char *name = read_scalar(l->r, n, "files", "the path of a file");
	autoload struct list_load load = { 0 };
	struct complaint to = { .faults = l->r->faults };
	char path[PATH_MAX];
	FILE *in;
	int err;

	if (!name)
		return;
	if (config_file_path(l->r->path, name, path)) {
		faults_add(l->r->faults, n->at, "path of a list file is too long");
		return;
	}
	in = file_open(l->r, n, path);
	if (!in)
		return;
	to.file = path;
	load.complain = complain;
	load.arg = &to;
	err = list_load_read(&load, in, &like);
	fclose(in);
	if (err == -EIO)
		faults_add(l->r->faults, n->at, "list file '%.100s' cannot be read", path);
	if (err)
		return;
	note_file(l, n);
	for (__u32 i = 0; i < load.set.count; i++)
		entry_add(l, &load.set.entry[i], n, true);
}

static void read_files(struct reader *r, const struct node *n, void *object)
{
	if (read_is(r, n, NODE_LIST, "files"))
		for (const struct node *f = n->child; f; f = f->next)
			read_file(object, f);
}

/* --- sections ----------------------------------------------------------------------------- */

static const struct known_key list_keys[] = {
	{ "entries", read_entries },
	{ "files", read_files },
};

static void read_allow(struct reader *r, const struct node *n, void *object)
{
	((struct lists_reader *)object)->list = SW_LIST_ALLOW;
	read_map(r, n, list_keys, ARRAY_SIZE(list_keys), "allow", object);
}

static void read_deny(struct reader *r, const struct node *n, void *object)
{
	((struct lists_reader *)object)->list = SW_LIST_DENY;
	read_map(r, n, list_keys, ARRAY_SIZE(list_keys), "deny", object);
}

static const struct known_key lists_keys[] = {
	{ "allow", read_allow },
	{ "deny", read_deny },
};

static void read_port(struct reader *r, const struct node *n)
{
	const char *word = read_scalar(r, n, "ports", "a port");
	struct config *c = r->c;
	__u32 port, i = 0;

	if (!word)
		return;
	if (text_u32(word, 1, 65535, &port)) {
		faults_add(r->faults, n->at, "bad port '%.40s': 1 to 65535", word);
		return;
	}
	while (i < SW_FAIL_SAFE && c->fail_safe[i] && c->fail_safe[i] != port)
		i++;
	if (i == SW_FAIL_SAFE)
		faults_add(r->faults, n->at, "more than %d fail-safe ports", SW_FAIL_SAFE);
	else
		c->fail_safe[i] = (__u16)port;
}

static void read_ports(struct reader *r, const struct node *n, void *object)
{
	(void)object;
	if (read_is(r, n, NODE_LIST, "ports"))
		for (const struct node *p = n->child; p; p = p->next)
			read_port(r, p);
}

static const struct known_key fail_safe_keys[] = {
	{ "ports", read_ports },
	{ "sources", read_entries },
};

static int by_key(const void *a, const void *b)
{
	const struct mention *x = a, *y = b;
	int order = memcmp(&x->key, &y->key, sizeof(x->key));

	if (order)
		return order;
	if (x->at.line != y->at.line)
		return x->at.line < y->at.line ? -1 : 1;
	return x->at.column < y->at.column ? -1 : x->at.column > y->at.column;
}

/*
 * An entry that is written twice says two things of its end or its comment. A source that is in
 * two lists does not: allow wins.
 */
static void check_twice(struct lists_reader *l)
{
	if (l->count)
		qsort(l->mention, l->count, sizeof(*l->mention), by_key);
	for (__u32 i = 1; i < l->count; i++) {
		const struct mention *a = &l->mention[i - 1], *b = &l->mention[i];
		char name[TEXT_PREFIX];

		if (memcmp(&a->key, &b->key, sizeof(a->key)))
			continue;
		faults_add(l->r->faults, b->at, "%s: '%s' is there twice: first in line %u",
			   list_name((enum sw_list)b->key.list),
			   text_prefix_name(b->key.addr, b->key.prefix_len - 32, name), a->at.line);
	}
}

void read_lists(struct reader *r)
{
	struct lists_reader l = { .r = r };

	if (r->lists)
		read_map(r, r->lists, lists_keys, ARRAY_SIZE(lists_keys), "lists", &l);
	l.list = SW_LIST_FAIL_SAFE;
	if (r->fail_safe)
		read_map(r, r->fail_safe, fail_safe_keys, ARRAY_SIZE(fail_safe_keys), "fail-safe",
			 &l);
	check_twice(&l);
	free(l.mention);
	list_set_sort(&r->c->lists);
	list_set_sort(&r->c->filed);
}
