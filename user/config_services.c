/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The services of a file. */
#include <string.h>

#include "arming.h"
#include "config_read.h"
#include "sources.h"

/* Prefix and ports may stand in any order, and are read together. */
struct draft {
	struct sw_service service;
	const struct node *prefix, *ports; /* NULL: not there, or a fault that is told */
	bool has_prefix, has_ports;
};

static void take_prefix(struct reader *r, const struct node *n, void *object)
{
	struct draft *d = object;

	d->has_prefix = true;
	if (read_scalar(r, n, "prefix", "'any', an address or ADDRESS/LENGTH"))
		d->prefix = n;
}

static void take_ports(struct reader *r, const struct node *n, void *object)
{
	struct draft *d = object;

	d->has_ports = true;
	if (read_scalar(r, n, "ports", "PORT or PORT-PORT"))
		d->ports = n;
}

static void take_mode(struct reader *r, const struct node *n, void *object)
{
	read_setting(r, n, &service_settings[SERVICE_MODE], &((struct draft *)object)->service);
}

static void take_host_syns(struct reader *r, const struct node *n, void *object)
{
	read_setting(r, n, &service_settings[SERVICE_HOST_SYNS],
		     &((struct draft *)object)->service);
}

/*
 * Settings of several words, which the command line takes as "syns=5000:2500,hold=30s": here each
 * has a line of its own, or all stand in one as there.
 */
struct group {
	int (*read)(const char *word, struct sw_service *s, struct text_why *why);
	/* one word, which may not stand without another */
	int (*read_alone)(const char *word, struct sw_service *s, struct text_why *why);
};

/* "KEY=VALUE", where a list of two is UPPER:LOWER. */
static bool group_word(struct reader *r, const struct node *n, char *word, size_t size)
{
	const struct node *second = NULL, *first = n;
	const char *upper, *lower = NULL;

	if (n->kind == NODE_LIST) {
		first = n->child;
		second = first ? first->next : NULL;
		if (n->children != 2) {
			faults_add(r->faults, n->at, "%s: UPPER or [UPPER, LOWER] expected",
				   n->key->text);
			return false;
		}
		lower = read_scalar(r, second, n->key->text, "a number");
	}
	upper = read_scalar(r, first, n->key->text, "a number or off");
	if (!upper || (second && !lower))
		return false;
	if (strpbrk(upper, ",=") || (lower && strpbrk(lower, ",=")) ||
	    snprintf(word, size, "%s=%s%s%s", n->key->text, upper, lower ? ":" : "",
		     lower ? lower : "") >= (int)size) {
		faults_add(r->faults, n->at, "bad %s '%.40s': a number or off expected",
			   n->key->text, upper);
		return false;
	}
	return true;
}

/* Each word by itself, for the place of its fault; then all of them together. */
static void read_group(struct reader *r, const struct node *n, const struct group *group,
		       const char *const *names, size_t count, struct sw_service *s)
{
	char words[ARMING_TEXT + QUOTA_TEXT] = "", word[64];
	unsigned int faults = r->faults->total;
	struct text_why why;

	if (n->kind == NODE_SCALAR && !node_is_empty(n)) {
		if (group->read(n->text, s, &why))
			faults_add(r->faults, n->at, "%s", why.text);
		return;
	}
	if (!read_is(r, n, NODE_MAP, n->key->text))
		return;
	for (const struct node *v = n->child; v; v = v->next) {
		struct sw_service alone = *s;
		size_t i = 0, len = strlen(words);

		if (v->key->kind == NODE_BAD)
			continue;
		while (i < count && strcmp(names[i], v->key->text))
			i++;
		if (i == count)
			read_unknown(r, v->key, n->key->text, names, count, sizeof(*names));
		else if (group_word(r, v, word, sizeof(word)) &&
			 group->read_alone(word, &alone, &why))
			faults_add(r->faults, v->at, "%s", why.text);
		else if (r->faults->total == faults)
			snprintf(words + len, sizeof(words) - len, "%s%s", len ? "," : "", word);
	}
	if (*words && r->faults->total == faults && group->read(words, s, &why))
		faults_add(r->faults, n->at, "%s", why.text);
}

static void take_arm(struct reader *r, const struct node *n, void *object)
{
	static const char *const names[] = { "syns", "half-open", "unfinished", "hold" };
	static const struct group group = { arming_read, arming_read };

	read_group(r, n, &group, names, ARRAY_SIZE(names), &((struct draft *)object)->service);
}

static int read_source(const char *word, struct sw_service *s, struct text_why *why)
{
	return quota_read(word, &s->limit[SW_LEVEL_HOST], why);
}

static int read_net(const char *word, struct sw_service *s, struct text_why *why)
{
	return quota_read(word, &s->limit[SW_LEVEL_NET], why);
}

/* A burst has a rate behind it. */
static int read_quota_alone(const char *word, struct sw_service *s, struct text_why *why)
{
	s->limit[0].new_pps = 1;
	return quota_read(word, &s->limit[0], why);
}

static const char *const quota_names[] = { "new", "burst", "conns", "half-closed", "stalled" };

static void take_source(struct reader *r, const struct node *n, void *object)
{
	static const struct group group = { read_source, read_quota_alone };

	read_group(r, n, &group, quota_names, ARRAY_SIZE(quota_names),
		   &((struct draft *)object)->service);
}

static void take_net(struct reader *r, const struct node *n, void *object)
{
	static const struct group group = { read_net, read_quota_alone };

	read_group(r, n, &group, quota_names, ARRAY_SIZE(quota_names),
		   &((struct draft *)object)->service);
}

static void take_over(struct reader *r, const struct node *n, void *object)
{
	const char *word = read_scalar(r, n, "over", "count, drop or ban:TIME");
	struct text_why why;

	if (word && over_read(word, &((struct draft *)object)->service, &why))
		faults_add(r->faults, n->at, "%s", why.text);
}

static const struct known_key service_keys[] = {
	{ "prefix", take_prefix },       { "ports", take_ports }, { "mode", take_mode },
	{ "host-syns", take_host_syns }, { "arm", take_arm },     { "per-source", take_source },
	{ "per-net", take_net },         { "over", take_over },
};

/* Each with its own place, so that both are told if both are wrong. */
static bool read_words(struct reader *r, const struct node *n, struct draft *d)
{
	struct sw_service *s = &d->service;
	bool good = d->prefix && d->ports;
	struct text_why why;

	if (!d->has_prefix)
		faults_add(r->faults, n->at, "services: a service without 'prefix'");
	if (!d->has_ports)
		faults_add(r->faults, n->at, "services: a service without 'ports'");
	if (d->prefix && text_prefix(d->prefix->text, s->addr, &s->prefix_len, &why)) {
		faults_add(r->faults, d->prefix->at, "%s", why.text);
		good = false;
	}
	if (d->ports && text_ports(d->ports->text, &s->port_first, &s->port_last, &why)) {
		faults_add(r->faults, d->ports->at, "%s", why.text);
		good = false;
	}
	return good;
}

static void read_service(struct reader *r, const struct node *n)
{
	struct text_why why;
	struct draft d = { .service.mode = SW_MODE_MONITOR };
	char name[TEXT_SERVICE], other[TEXT_SERVICE];
	struct config *c = r->c;
	__u32 same;

	if (node_is_empty(n))
		faults_add(r->faults, n->at, "services: a map with prefix and ports expected");
	if (node_is_empty(n) || !read_is(r, n, NODE_MAP, "services"))
		return;
	service_defaults(&d.service);
	read_map(r, n, service_keys, ARRAY_SIZE(service_keys), "services", &d);
	if (quota_settle(&d.service, &why))
		faults_add(r->faults, n->at, "%s", why.text);
	if (!read_words(r, n, &d))
		return;
	same = services_overlap(&r->seen, &d.service);
	if (same) {
		faults_add(r->faults, n->at, "service '%s' overlaps '%s' of line %u",
			   text_service_name(&d.service, name),
			   text_service_name(&c->service[same - 1].service, other),
			   c->service[same - 1].at.line);
		return;
	}
	if (c->services == SW_MAX_SERVICES - 1) {
		faults_add(r->faults, n->at, "more than %d services, the most a guard can have",
			   SW_MAX_SERVICES - 1);
		return;
	}
	c->service[c->services].service = d.service;
	c->service[c->services].at = n->at;
	r->seen.slot[++c->services] = d.service;
}

void read_services(struct reader *r, const struct node *n, void *config)
{
	((struct config *)config)->has |= CONFIG_SERVICES;
	if (read_is(r, n, NODE_LIST, "services"))
		for (const struct node *s = n->child; s; s = s->next)
			read_service(r, s);
}
