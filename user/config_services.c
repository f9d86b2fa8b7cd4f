/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The services of a file. */
#include <string.h>

#include "arming.h"
#include "config_read.h"

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

/* "UPPER", "UPPER:LOWER", "off", or [UPPER, LOWER]; as --arm takes it. */
static void take_mark(struct reader *r, const struct node *n, void *object)
{
	const struct node *second = NULL, *first = n;
	const char *upper, *lower = NULL;
	char word[ARMING_TEXT];
	struct text_why why;

	if (n->kind == NODE_LIST) {
		first = n->child;
		second = first ? first->next : NULL;
		if (n->children != 2) {
			faults_add(r->faults, n->at, "%s: UPPER or [UPPER, LOWER] expected",
				   n->key->text);
			return;
		}
		lower = read_scalar(r, second, n->key->text, "a number");
	}
	upper = read_scalar(r, first, n->key->text, "UPPER or [UPPER, LOWER]");
	if (!upper || (second && !lower))
		return;
	if (strchr(upper, ',') || (lower && strchr(lower, ',')) ||
	    snprintf(word, sizeof(word), "%s=%s%s%s", n->key->text, upper, lower ? ":" : "",
		     lower ? lower : "") >= (int)sizeof(word))
		faults_add(r->faults, n->at, "bad %s '%.40s': UPPER or UPPER:LOWER expected",
			   n->key->text, upper);
	else if (arming_read(word, &((struct draft *)object)->service, &why))
		faults_add(r->faults, n->at, "%s", why.text);
}

static const struct known_key arm_keys[] = {
	{ "syns", take_mark },
	{ "half-open", take_mark },
	{ "unfinished", take_mark },
	{ "hold", take_mark },
};

static void take_arm(struct reader *r, const struct node *n, void *object)
{
	read_map(r, n, arm_keys, ARRAY_SIZE(arm_keys), "arm", object);
}

static const struct known_key service_keys[] = {
	{ "prefix", take_prefix },       { "ports", take_ports }, { "mode", take_mode },
	{ "host-syns", take_host_syns }, { "arm", take_arm },
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
	struct draft d = { .service.mode = SW_MODE_MONITOR };
	char name[TEXT_SERVICE], other[TEXT_SERVICE];
	struct config *c = r->c;
	__u32 same;

	if (node_is_empty(n))
		faults_add(r->faults, n->at, "services: a map with prefix and ports expected");
	if (!read_is(r, n, NODE_MAP, "services"))
		return;
	service_defaults(&d.service);
	read_map(r, n, service_keys, ARRAY_SIZE(service_keys), "services", &d);
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
