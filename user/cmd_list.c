/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * allow, deny, fail-safe: add, del, list, load, clear, and fail-safe port. Words and files are
 * checked whole before the guard is opened; nothing is changed that keeps the caller out.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd.h"
#include "json.h"
#include "lockout.h"
#include "table.h"
#include "util.h"

struct verb;

/* What is asked for, and the guard's state as it is and as it shall be. */
struct job {
	enum sw_list list;
	const struct verb *verb;
	const struct opts *o;
	struct list_load given; /* prefixes on the command line, or of the file */
	__u16 port;             /* of `fail-safe port` */
	bool port_add;
	struct services now_services, services;
	struct list_set now, next;
	__u32 scope; /* id of --service, 0 */
	__u32 replaced, there;
};

struct verb {
	const char *name;
	__u64 accepts; /* enum opt */
	int (*words)(struct job *j, int argc, char **argv);
	int (*plan)(struct job *j); /* NULL: changes nothing */
};

/* --- words -------------------------------------------------------------------------------- */

static struct list_entry entry_like(const struct job *j)
{
	struct list_entry e = { .key = { .list = (__u8)j->list } };

	if (j->o->given & OPT_COMMENT)
		memcpy(e.value.comment, j->o->comment, sizeof(e.value.comment));
	e.value.added_s = (__u64)time(NULL);
	return e;
}

static int words_prefixes(struct job *j, int argc, char **argv)
{
	struct list_entry e = entry_like(j);
	struct text_why why;

	if (!argc)
		return log_usage("%s %s needs PREFIX...: see synwarden %s --help",
				 list_name(j->list), j->verb->name, list_name(j->list));
	for (int i = 0; i < argc; i++) {
		__be32 addr[4];
		__u32 len;

		if (text_prefix(argv[i], addr, &len, &why))
			return log_usage("%s", why.text);
		list_entry_set(&e, addr, len);
		if (list_set_add(&j->given.set, &e))
			return log_usage("too many prefixes");
	}
	list_set_sort(&j->given.set);
	return 0;
}

static void complain(void *name, __u32 line, const char *why)
{
	log_refuse(-EINVAL, "%s:%u: %s", (const char *)name, line, why);
}

static int words_file(struct job *j, int argc, char **argv)
{
	struct list_entry like = entry_like(j);
	bool is_stdin = argc == 1 && !strcmp(argv[0], "-");
	FILE *in = stdin;
	int err;

	if (argc != 1)
		return log_usage("%s load needs one FILE, or - for the standard input",
				 list_name(j->list));
	if (!is_stdin)
		in = fopen(argv[0], "re");
	if (!in) {
		log_err(-errno, "open %s", argv[0]);
		return EXIT_FAILURE;
	}
	j->given.complain = complain;
	j->given.arg = is_stdin ? "standard input" : argv[0];
	err = list_load_read(&j->given, in, &like);
	if (!is_stdin)
		fclose(in);
	if (j->given.bad)
		log_refuse(err, "%s: %u of %u lines are bad, nothing was changed",
			   (char *)j->given.arg, j->given.bad, j->given.lines);
	else if (err)
		log_err(err, "read %s", (char *)j->given.arg);
	return err ? EXIT_FAILURE : 0;
}

static int words_port(struct job *j, int argc, char **argv)
{
	__u32 port;

	if (argc != 2 || (strcmp(argv[0], "add") && strcmp(argv[0], "del")))
		return log_usage("fail-safe port needs add PORT or del PORT");
	if (text_u32(argv[1], 1, 65535, &port))
		return log_usage("bad port '%.40s': 1 to 65535", argv[1]);
	j->port = (__u16)port;
	j->port_add = !strcmp(argv[0], "add");
	return 0;
}

static int words_none(struct job *j, int argc, char **argv)
{
	char what[32];

	snprintf(what, sizeof(what), "%s %s", list_name(j->list), j->verb->name);
	return no_arguments(what, argc, argv);
}

/* --- plans: from the lists as they are to those that are wanted ---------------------------- */

static void note_everybody(const struct job *j, const struct list_entry *e)
{
	char prefix[TEXT_PREFIX];
	__u32 len = list_prefix_len(e);

	if (j->list == SW_LIST_DENY || (len && (len != 96 || !addr_is_v4(e->key.addr))))
		return;
	log_note("%s %s: the deny list refuses nobody %s more", list_name(j->list),
		 text_prefix_name(e->key.addr, len, prefix), len ? "by IPv4 any" : "any");
}

/* Puts all that is given in the place of what is there with the same keys. */
static int merge(struct job *j)
{
	int err = 0;

	for (__u32 i = 0; i < j->given.set.count && !err; i++) {
		struct list_entry *e = &j->given.set.entry[i];
		struct list_entry *old;

		e->key.service = (__u16)j->scope;
		if (j->o->given & OPT_TTL) /* from now on: the lock may have taken its time */
			list_end_in(e, conn_now(), j->o->ttl_s);
		note_everybody(j, e);
		old = list_set_find(&j->now, &e->key);
		j->there += old != NULL;
		old = list_set_find(&j->next, &e->key);
		if (old)
			old->value = e->value;
	}
	/* what is new goes behind, unsorted: looked for among what was there, sorted */
	for (__u32 i = 0, sorted = j->next.count; i < j->given.set.count && !err; i++) {
		struct list_set before = { .entry = j->next.entry, .count = sorted };

		if (!list_set_find(&before, &j->given.set.entry[i].key))
			err = list_set_add(&j->next, &j->given.set.entry[i]);
	}
	if (err == -ENOSPC)
		return log_refuse(err, "the lists hold %u entries at most", SW_LIST_ENTRIES);
	if (!err)
		list_set_sort(&j->next);
	return err ? log_err(err, "%s %s", list_name(j->list), j->verb->name) : 0;
}

static int plan_add(struct job *j)
{
	char prefix[TEXT_PREFIX], wide[TEXT_PREFIX];
	int err = merge(j);

	for (__u32 i = 0; i < j->given.set.count && !err; i++) {
		const struct list_entry *e = &j->given.set.entry[i];
		const struct list_entry *cover = list_set_cover(&j->next, e, conn_now());

		text_prefix_name(e->key.addr, list_prefix_len(e), prefix);
		if (list_set_find(&j->now, &e->key))
			log_note("%s was in the list, its time and comment are now these", prefix);
		if (cover)
			log_note("%s stays as long as %s, which covers it", prefix,
				 text_prefix_name(cover->key.addr, list_prefix_len(cover), wide));
	}
	return err;
}

static bool is_given(const struct list_entry *e, const void *given)
{
	return list_set_find(given, &e->key) != NULL;
}

/* What a delete leaves goes on to count: those within it, and what it is within. */
static void note_left(const struct job *j, const struct list_entry *e)
{
	char prefix[TEXT_PREFIX];
	__u32 within = 0;

	for (__u32 i = 0; i < j->next.count; i++)
		within += list_is_within(&j->next.entry[i], e);
	if (within)
		log_note("%u %s within %s stay%s in the list", within,
			 within == 1 ? "entry" : "entries",
			 text_prefix_name(e->key.addr, list_prefix_len(e), prefix),
			 within == 1 ? "s" : "");
	for (__u32 i = 0; i < j->next.count; i++)
		if (list_is_within(e, &j->next.entry[i])) {
			log_note("%s stays in the list, and covers it",
				 text_prefix_name(j->next.entry[i].key.addr,
						  list_prefix_len(&j->next.entry[i]), prefix));
			return;
		}
}

static int plan_del(struct job *j)
{
	char prefix[TEXT_PREFIX];
	int err = 0;

	for (__u32 i = 0; i < j->given.set.count; i++) {
		struct list_entry *e = &j->given.set.entry[i];

		e->key.service = (__u16)j->scope;
		if (list_set_find(&j->now, &e->key))
			continue;
		err = log_refuse(-ENOENT, "%s is not in the %s list%s",
				 text_prefix_name(e->key.addr, list_prefix_len(e), prefix),
				 list_name(j->list), j->scope ? " of that service" : "");
	}
	if (err)
		return err;
	list_set_drop(&j->next, is_given, &j->given.set);
	for (__u32 i = 0; i < j->given.set.count; i++)
		note_left(j, &j->given.set.entry[i]);
	return 0;
}

static bool is_in_scope(const struct list_entry *e, const void *arg)
{
	const struct job *j = arg;

	return e->key.list == j->list && e->key.service == j->scope;
}

static int plan_load(struct job *j)
{
	if (j->o->given & OPT_REPLACE)
		j->replaced = list_set_drop(&j->next, is_in_scope, j);
	return merge(j);
}

static bool is_in_list(const struct list_entry *e, const void *arg)
{
	return e->key.list == ((const struct job *)arg)->list;
}

static int plan_clear(struct job *j)
{
	list_set_drop(&j->next, is_in_list, j);
	return 0;
}

static int plan_port(struct job *j)
{
	__u16 *ports = j->services.fail_safe;
	__u32 kept = 0;

	for (__u32 i = 0; i < SW_FAIL_SAFE; i++)
		if (ports[i] && ports[i] != j->port)
			ports[kept++] = ports[i];
	if (j->port_add && kept == SW_FAIL_SAFE)
		return log_refuse(-ENOSPC, "there are %d fail-safe ports, the most there can be",
				  SW_FAIL_SAFE);
	if (j->port_add)
		ports[kept++] = j->port;
	memset(ports + kept, 0, (SW_FAIL_SAFE - kept) * sizeof(*ports));
	if (!j->port_add &&
	    !memcmp(ports, j->now_services.fail_safe, sizeof(j->services.fail_safe)))
		return log_refuse(-ENOENT, "%u is no fail-safe port", j->port);
	return 0;
}

/* --- verbs -------------------------------------------------------------------------------- */

static const struct verb verbs[] = {
	{ "add", OPT_SERVICE | OPT_TTL | OPT_COMMENT | OPT_FORCE, words_prefixes, plan_add },
	{ "del", OPT_SERVICE | OPT_FORCE, words_prefixes, plan_del },
	{ "list", 0, words_none, NULL },
	{ "load", OPT_SERVICE | OPT_TTL | OPT_COMMENT | OPT_REPLACE | OPT_FORCE, words_file,
	  plan_load },
	{ "clear", OPT_FORCE, words_none, plan_clear },
	{ "port", OPT_FORCE, words_port, plan_port }, /* of fail-safe, last */
};

/* All that can be found wrong before the guard is opened. 0, or the exit code. */
static int parse_words(struct job *j, int argc, char **argv)
{
	const char *name = list_name(j->list), *near;
	size_t count = ARRAY_SIZE(verbs) - (j->list != SW_LIST_FAIL_SAFE);
	const char *have = j->list == SW_LIST_FAIL_SAFE ? "add, del, list, load, clear or port" :
							  "add, del, list, load or clear";
	__u64 wrong;

	if (!argc)
		return log_usage("%s needs %s: see synwarden %s --help", name, have, name);
	for (size_t i = 0; i < count; i++)
		if (!strcmp(verbs[i].name, argv[0]))
			j->verb = &verbs[i];
	if (!j->verb) {
		log_usage("unknown: %s %s: %s", name, argv[0], have);
		near = nearest_name(argv[0], &verbs[0].name, count, sizeof(verbs[0]));
		if (near)
			log_hint("did you mean '%s %s'?", name, near);
		return 2;
	}
	wrong = j->o->given & ~j->verb->accepts;
	if (wrong)
		return log_usage("%s %s does not take --%s: see synwarden %s --help", name, argv[0],
				 option_name(wrong & -wrong), name);
	return j->verb->words(j, argc - 1, argv + 1);
}

/* --- running ------------------------------------------------------------------------------ */

static __u32 count_of(const struct list_set *set, enum sw_list list)
{
	__u32 count = 0;

	for (__u32 i = 0; i < set->count; i++)
		count += set->entry[i].key.list == list;
	return count;
}

static void loaded_show(const struct job *j)
{
	__u32 read = j->given.set.count + j->given.twice, count = count_of(&j->next, j->list);
	char n[TEXT_COUNT], m[TEXT_COUNT];
	struct json json;

	if (j->o->json) {
		json_begin(&json, stdout);
		json_object(&json, NULL);
		json_str(&json, "list", list_name(j->list));
		json_u64(&json, "read", read);
		json_u64(&json, "twice", j->given.twice);
		json_u64(&json, "there", j->there);
		json_u64(&json, "replaced", j->replaced);
		json_u64(&json, "entries", count);
		json_end(&json);
		return;
	}
	printf("%s: %s read", list_name(j->list), text_count(read, n));
	if (j->given.twice)
		printf(", %s of them twice", text_count(j->given.twice, n));
	if (j->there)
		printf(", %s were there", text_count(j->there, n));
	if (j->replaced > j->there)
		printf(", %s more were there and went", text_count(j->replaced - j->there, n));
	printf("; the list has %s\n", text_count(count, m));
}

static bool has_ended(const struct list_entry *e, const void *now)
{
	return list_has_ended(e, *(const __u32 *)now);
}

static int state_read(const struct guard *g, struct job *j)
{
	__u32 now = conn_now();
	int err = mapio_services(g, &j->now_services);

	if (!err)
		err = mapio_lists(g, &j->now);
	if (err)
		return err;
	list_set_drop(&j->now, has_ended, &now);
	j->services = j->now_services;
	if (list_set_copy(&j->next, &j->now))
		return log_err(-ENOMEM, "copy the lists");
	if (!(j->o->given & OPT_SERVICE))
		return 0;
	j->scope = services_find(&j->services, &j->o->service);
	return j->scope ? 0 : no_such_service(&j->services, &j->o->service);
}

static int change(const struct guard *g, struct job *j)
{
	bool ports = j->verb->plan == plan_port;
	int err = j->verb->plan(j);

	if (!err && !(j->o->given & OPT_FORCE))
		err = ports ? lockout_check(g, &j->services, NULL) :
			      lockout_refuse(&j->services, &j->next, &j->now_services, &j->now);
	if (err)
		return err;
	if (ports)
		return rollout(g, &(struct rollout){ .services = &j->services });
	/* as a whole, however few: a file is one thing */
	if (j->verb->plan == plan_load)
		err = rollout(g, &(struct rollout){ .services = &j->services, .lists = &j->next });
	else
		err = rollout_lists(g, &j->next);
	if (!err && j->verb->plan == plan_load)
		loaded_show(j);
	return err;
}

static int run(struct job *j)
{
	autoguard struct guard g = GUARD_INIT;
	autolock int lock = -1;
	int err = j->verb->plan ? guard_open_locked(&g, j->o->pin, &lock) :
				  guard_open(&g, j->o->pin);

	if (!err && j->verb->plan && dev_here(&g) < 0)
		err = -EXDEV;
	if (!err)
		err = state_read(&g, j);
	if (!err)
		err = j->verb->plan ? change(&g, j) : list_show(&g, j->list, j->o->json);
	return exit_code(err);
}

static int cmd_list(enum sw_list list, const struct opts *o, int argc, char **argv)
{
	autofree struct job *j = calloc(1, sizeof(*j));
	int code;

	if (!j)
		return EXIT_FAILURE;
	j->list = list;
	j->o = o;
	code = parse_words(j, argc, argv);
	if (!code)
		code = run(j);
	list_load_free(&j->given);
	list_set_free(&j->now);
	list_set_free(&j->next);
	return code;
}

int cmd_allow(const struct opts *o, int argc, char **argv)
{
	return cmd_list(SW_LIST_ALLOW, o, argc, argv);
}

int cmd_deny(const struct opts *o, int argc, char **argv)
{
	return cmd_list(SW_LIST_DENY, o, argc, argv);
}

int cmd_fail_safe(const struct opts *o, int argc, char **argv)
{
	return cmd_list(SW_LIST_FAIL_SAFE, o, argc, argv);
}
