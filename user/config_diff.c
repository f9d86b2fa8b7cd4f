/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies between two configurations, as the commands that would bring one to the other. */
#include <string.h>

#include "arming.h"
#include "config.h"
#include "sources.h"
#include "table.h"

struct differ {
	const struct config *running, *file;
	config_change_fn *each;
	void *arg;
	unsigned int changes;
};

static void tell(struct differ *d, enum config_has section, const char *fmt, ...) format_like(3);

static void tell(struct differ *d, enum config_has section, const char *fmt, ...)
{
	char words[700];
	va_list args;

	d->changes++;
	if (!d->each)
		return;
	va_start(args, fmt);
	vsnprintf(words, sizeof(words), fmt, args);
	va_end(args);
	d->each(d->arg, section, words);
}

static void diff_attach(struct differ *d)
{
	const struct config *r = d->running, *f = d->file;
	char text[SETTING_TEXT];

	for (__u32 i = 0; f->has & CONFIG_DEVICES && i < f->devices; i++) {
		__u32 k = 0;

		while (k < r->devices && strcmp(r->device[k].name, f->device[i].name))
			k++;
		if (k == r->devices)
			tell(d, CONFIG_DEVICES, "attach %s --xdp %s", f->device[i].name,
			     setting_text(&device_settings[DEVICE_XDP], &f->device[i], text));
	}
	if (f->has & CONFIG_ENGINE && f->engine != SW_ENGINE_AUTO && f->engine != r->engine)
		tell(d, CONFIG_ENGINE, "attach --engine %s", text_engine_name(f->engine));
	if (f->has & CONFIG_CONNECTIONS && f->connections != r->connections)
		tell(d, CONFIG_CONNECTIONS, "attach --connections %u", f->connections);
}

/* --- services ----------------------------------------------------------------------------- */

static const struct sw_service *find_service(const struct config *c, const struct sw_service *want,
					     __u32 *number)
{
	for (__u32 i = 0; i < c->services; i++) {
		const struct sw_service *s = &c->service[i].service;

		if (s->prefix_len != want->prefix_len ||
		    memcmp(s->addr, want->addr, sizeof(s->addr)) ||
		    s->port_first != want->port_first || s->port_last != want->port_last)
			continue;
		if (number)
			*number = i + 1;
		return s;
	}
	return NULL;
}

/* Has the list of words with commas between this one? Then it is skipped. */
static bool has_word(const char *words, const char *word, size_t len)
{
	for (; *words; words += strcspn(words, ","), words += *words == ',')
		if (strcspn(words, ",") == len && !memcmp(words, word, len))
			return true;
	return false;
}

/*
 * The words of `mine` that `theirs` has not, and "KEY=off" for a key that only they have; as the
 * command line takes them, with its option in front. Of "off" nothing is one of its words.
 */
static size_t other_words(const char *option, const char *mine, const char *theirs, char *buf,
			  size_t size)
{
	size_t n = 0;

	mine = strcmp(mine, "off") ? mine : "";
	theirs = strcmp(theirs, "off") ? theirs : "";
	buf[0] = '\0';
	for (const char *w = mine; *w; w += strcspn(w, ","), w += *w == ',') {
		int len = (int)strcspn(w, ",");

		if (!has_word(theirs, w, (size_t)len))
			n += (size_t)snprintf(buf + n, size - n, "%s%.*s", n ? "," : option, len,
					      w);
	}
	for (const char *w = theirs; *w; w += strcspn(w, ","), w += *w == ',') {
		size_t len = strcspn(w, "=") + 1;
		const char *m = mine;

		while (*m && strncmp(m, w, len))
			m += strcspn(m, ","), m += *m == ',';
		if (!*m)
			n += (size_t)snprintf(buf + n, size - n, "%s%.*soff", n ? "," : option,
					      (int)len, w);
	}
	return n;
}

/* The options that `s` needs in order not to be `than`; "" for none. */
static void other_options(const struct sw_service *s, const struct sw_service *than, char *buf,
			  size_t size)
{
	char mine[ARMING_TEXT], theirs[ARMING_TEXT];
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < SERVICE_SETTINGS; i++) {
		const struct setting *row = &service_settings[i];

		if (strcmp(setting_text(row, s, mine), setting_text(row, than, theirs)))
			n += (size_t)snprintf(buf + n, size - n, " %s %s", row->option, mine);
	}
	n += other_words(" --arm ", arming_text(s, mine), arming_text(than, theirs), buf + n,
			 size - n);
	n += other_words(" --per-source ", quota_text(&s->limit[SW_LEVEL_HOST], mine),
			 quota_text(&than->limit[SW_LEVEL_HOST], theirs), buf + n, size - n);
	n += other_words(" --per-net ", quota_text(&s->limit[SW_LEVEL_NET], mine),
			 quota_text(&than->limit[SW_LEVEL_NET], theirs), buf + n, size - n);
	if (strcmp(over_text(s, mine), over_text(than, theirs)))
		snprintf(buf + n, size - n, " --over %s", over_text(s, mine));
}

static void diff_services(struct differ *d)
{
	const struct config *r = d->running, *f = d->file;
	char name[TEXT_SERVICE], options[500];

	/* what ends makes room for what comes */
	for (__u32 i = 0; i < r->services; i++)
		if (!find_service(f, &r->service[i].service, NULL))
			tell(d, CONFIG_SERVICES, "service del %s",
			     text_service_name(&r->service[i].service, name));
	for (__u32 i = 0; i < f->services; i++) {
		const struct sw_service *s = &f->service[i].service;
		const struct sw_service *now = find_service(r, s, NULL);
		struct sw_service new = { .mode = SW_MODE_MONITOR };

		service_defaults(&new);
		other_options(s, now ? now : &new, options, sizeof(options));
		if (!now || *options)
			tell(d, CONFIG_SERVICES, "service %s %s%s", now ? "set" : "add",
			     text_service_name(s, name), options);
	}
}

static void diff_limits(struct differ *d)
{
	for (size_t i = 0; i < limits_count; i++) {
		__u32 value = limit_get(&limits[i], &d->file->limits);

		if (value != limit_get(&limits[i], &d->running->limits))
			tell(d, CONFIG_LIMITS, "limit set %s %u", limits[i].name, value);
	}
}

/* --- lists -------------------------------------------------------------------------------- */

/* For a shell: 'it'\''s'. */
static void quote(const char *text, char *buf, size_t size)
{
	size_t n = 0;

	buf[n++] = '\'';
	for (; *text && n + 6 < size; text++) {
		if (*text == '\'')
			n += (size_t)snprintf(buf + n, size - n, "'\\''");
		else
			buf[n++] = *text;
	}
	buf[n++] = '\'';
	buf[n] = '\0';
}

static void tell_entry(struct differ *d, const struct config *c, const char *verb,
		       const struct list_entry *e)
{
	enum config_has section = e->key.list == SW_LIST_FAIL_SAFE ? CONFIG_FAIL_SAFE :
								     CONFIG_LISTS;
	char prefix[TEXT_PREFIX], comment[SW_COMMENT], quoted[4 * SW_COMMENT + 8];
	char name[TEXT_SERVICE], words[300];
	bool add = !strcmp(verb, "add");
	size_t n = 0;

	text_prefix_name(e->key.addr, list_prefix_len(e), prefix);
	words[0] = '\0';
	if (e->key.service)
		n += (size_t)snprintf(words + n, sizeof(words) - n, " --service '%s'",
				      text_service_name(&c->service[e->key.service - 1].service,
							name));
	if (add && e->value.until_s)
		n += (size_t)snprintf(words + n, sizeof(words) - n, " --ttl %us", e->value.ttl_s);
	if (add && *list_comment(e, comment)) {
		quote(comment, quoted, sizeof(quoted));
		snprintf(words + n, sizeof(words) - n, " --comment %s", quoted);
	}
	tell(d, section, "%s %s %s%s", list_name((enum sw_list)e->key.list), verb, prefix, words);
}

/* Numbers of services that one of two configurations does not have lie behind the other's. */
#define ELSEWHERE SW_MAX_SERVICES

/* Entries of `file`, as a guard would hold them, with the numbers `running` has for services. */
static int file_entries(const struct differ *d, struct list_set *set)
{
	const struct config *f = d->file;
	int err = list_set_copy(set, &f->lists);

	for (__u32 i = 0; !err && i < set->count; i++) {
		__u32 own = set->entry[i].key.service, number = ELSEWHERE + own;

		if (!own)
			continue;
		find_service(d->running, &f->service[own - 1].service, &number);
		set->entry[i].key.service = (__u16)number;
	}
	if (!err)
		list_set_settle(set, conn_now());
	return err;
}

static __u32 ttl_of(const struct list_entry *e)
{
	return e->value.until_s ? e->value.ttl_s : 0;
}

static bool same_entry(const struct list_entry *a, const struct list_entry *b)
{
	char x[SW_COMMENT], y[SW_COMMENT];

	return ttl_of(a) == ttl_of(b) && !strcmp(list_comment(a, x), list_comment(b, y));
}

static bool is_spoken_of(const struct differ *d, const struct list_entry *e)
{
	return d->file->has & (e->key.list == SW_LIST_FAIL_SAFE ? CONFIG_FAIL_SAFE : CONFIG_LISTS);
}

/* The words need the service by the numbers of the file again. */
static void tell_added(struct differ *d, const struct list_entry *e)
{
	struct list_entry own = *e;
	__u32 number = e->key.service;

	if (number >= ELSEWHERE)
		own.key.service = (__u16)(number - ELSEWHERE);
	tell_entry(d, number >= ELSEWHERE ? d->file : d->running, "add", &own);
}

static void diff_gone(struct differ *d, const struct list_set *want, const struct list_set *now)
{
	for (__u32 i = 0; i < now->count; i++)
		if (is_spoken_of(d, &now->entry[i]) && !list_set_find(want, &now->entry[i].key))
			tell_entry(d, d->running, "del", &now->entry[i]);
}

static void diff_come(struct differ *d, const struct list_set *want, const struct list_set *now)
{
	for (__u32 i = 0; i < want->count; i++) {
		const struct list_entry *have = list_set_find(now, &want->entry[i].key);

		if (is_spoken_of(d, &want->entry[i]) &&
		    (!have || !same_entry(have, &want->entry[i])))
			tell_added(d, &want->entry[i]);
	}
}

static bool has_port(const struct config *c, __u16 port)
{
	for (__u32 i = 0; i < SW_FAIL_SAFE; i++)
		if (c->fail_safe[i] == port)
			return true;
	return false;
}

static void diff_ports(struct differ *d)
{
	const struct config *r = d->running, *f = d->file;

	for (__u32 i = 0; i < SW_FAIL_SAFE; i++)
		if (r->fail_safe[i] && !has_port(f, r->fail_safe[i]))
			tell(d, CONFIG_FAIL_SAFE, "fail-safe port del %u", r->fail_safe[i]);
	for (__u32 i = 0; i < SW_FAIL_SAFE; i++)
		if (f->fail_safe[i] && !has_port(r, f->fail_safe[i]))
			tell(d, CONFIG_FAIL_SAFE, "fail-safe port add %u", f->fail_safe[i]);
}

unsigned int config_diff(const struct config *running, const struct config *file,
			 config_change_fn *each, void *arg)
{
	struct differ d = { .running = running, .file = file, .each = each, .arg = arg };
	autolists struct list_set want = { 0 }, now = { 0 };

	diff_attach(&d);
	if (file->has & (CONFIG_LISTS | CONFIG_FAIL_SAFE) &&
	    (file_entries(&d, &want) || list_set_copy(&now, &running->lists))) {
		tell(&d, CONFIG_LISTS, "(out of memory: nothing is compared)");
		return d.changes;
	}
	list_set_settle(&now, conn_now());
	/* the entries of a service go while it is there, and come when it is */
	diff_gone(&d, &want, &now);
	if (file->has & CONFIG_SERVICES)
		diff_services(&d);
	if (file->has & CONFIG_LIMITS)
		diff_limits(&d);
	diff_come(&d, &want, &now);
	if (file->has & CONFIG_FAIL_SAFE)
		diff_ports(&d);
	return d.changes;
}
