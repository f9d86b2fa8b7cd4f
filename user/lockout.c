/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who would be kept out, and who must not be; see lockout.h. */
#include <errno.h>
#include <stdlib.h>

#include "kernel.h"
#include "lockout.h"
#include "table.h"
#include "util.h"

/* --- judging ------------------------------------------------------------------------------ */

/* The service that the longest prefix gives this address, 0 none. */
static __u32 service_at(const struct services *set, const __be32 addr[4], __u16 port)
{
	__u32 best = 0;

	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &set->slot[id];

		if (s->port_first && s->port_first <= port && port <= s->port_last &&
		    addr_in_prefix(addr, s->addr, s->prefix_len) &&
		    (!best || s->prefix_len > set->slot[best].prefix_len))
			best = id;
	}
	return best;
}

static const struct list_entry *find_in(const struct list_set *lists, enum sw_list list, __u32 id,
					const __be32 addr[4], __u32 now)
{
	const struct list_entry *e = list_set_match(lists, list, 0, addr, now);

	return e ? e : list_set_match(lists, list, id, addr, now);
}

static bool is_exempt(const struct list_set *lists, __u32 id, const struct session *who, __u32 now)
{
	return find_in(lists, SW_LIST_FAIL_SAFE, id, who->client, now) ||
	       find_in(lists, SW_LIST_ALLOW, id, who->client, now);
}

/*
 * A limit that one more connection meets. A rate is none: it has room again within a second, and
 * what is half closed or stalls is not the session.
 */
static const struct sw_source_limit *limit_of(const struct sw_service *s, const struct session *who)
{
	for (int level = 0; level < SW_LEVELS && s->over != SW_OVER_COUNT; level++)
		if (s->limit[level].conns && who->conns[level] >= s->limit[level].conns)
			return &s->limit[level];
	return NULL;
}

/* As is_denied() and judge_level() of bpf/ do; mode monitor refuses nothing. */
static bool refuses(const struct services *set, __u32 id, const struct list_set *lists,
		    const struct session *who, __u32 now, struct cut *cut)
{
	struct cut found = { .service = id };

	if (!id || !is_enforced(&set->slot[id]))
		return false;
	found.by = find_in(lists, SW_LIST_DENY, id, who->client, now);
	found.limit = limit_of(&set->slot[id], who);
	if ((!found.by && !found.limit) || is_exempt(lists, id, who, now))
		return false;
	*cut = found;
	return true;
}

static bool is_fail_safe(const struct services *services, __u16 port)
{
	for (size_t i = 0; i < ARRAY_SIZE(services->fail_safe); i++)
		if (port == services->fail_safe[i])
			return true;
	return false;
}

bool lockout_finds(const struct session *who, const struct services *services,
		   const struct list_set *lists, __u32 now, struct cut *cut)
{
	if (is_fail_safe(services, who->port))
		return false;
	if (who->has_server)
		return refuses(services, service_at(services, who->server, who->port), lists, who,
			       now, cut);
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &services->slot[id];

		if (s->port_first <= who->port && who->port <= s->port_last &&
		    refuses(services, id, lists, who, now, cut))
			return true;
	}
	return false;
}

/* --- refusing ----------------------------------------------------------------------------- */

static bool could_refuse(const struct services *services, __u16 port)
{
	for (__u32 id = 1; id < SW_MAX_SERVICES; id++) {
		const struct sw_service *s = &services->slot[id];

		if (is_enforced(s) && s->port_first <= port && port <= s->port_last)
			return !is_fail_safe(services, port);
	}
	return false;
}

/* `in_s`: an entry that exempts him ends then. */
static int say_cut(const struct session *who, const struct services *services,
		   const struct cut *cut, __u32 in_s)
{
	char client[TEXT_ADDR], prefix[TEXT_PREFIX], service[TEXT_SERVICE], when[32] = "";
	const struct sw_service *s = &services->slot[cut->service];
	const char *whom = who->live ? "a session of ssh" : "you";
	bool net = cut->limit == &s->limit[SW_LEVEL_NET];

	text_addr(who->client, client);
	text_service_name(s, service);
	if (in_s)
		snprintf(when, sizeof(when), " in %u s", in_s);
	if (cut->by)
		log_refuse(
			-EPERM,
			"this would keep %s out%s: '%s' of the deny list refuses %s at service '%s'",
			whom, when,
			text_prefix_name(cut->by->key.addr, list_prefix_len(cut->by), prefix),
			client, service);
	else
		log_refuse(
			-EPERM,
			"this would keep %s out%s: conns=%u of service '%s' refuses one more of %s%s",
			whom, when, cut->limit->conns, service, net ? "the net of " : "", client);
	log_hint("'synwarden fail-safe add %s' or 'synwarden fail-safe port add %u' first, "
		 "or --force",
		 client, who->port);
	return -EPERM;
}

bool lockout_ends(const struct session *who, const struct list_set *lists, __u32 *then)
{
	const struct list_entry *next = NULL;

	for (__u32 i = 0; i < lists->count; i++) {
		const struct list_entry *e = &lists->entry[i];

		if (e->key.list != SW_LIST_DENY && e->value.until_s && !list_has_ended(e, *then) &&
		    addr_in_prefix(who->client, e->key.addr, list_prefix_len(e)) &&
		    (!next || (__s32)(e->value.until_s - next->value.until_s) < 0))
			next = e;
	}
	if (next)
		*then = next->value.until_s;
	return next;
}

int lockout_refuse(const struct services *services, const struct list_set *lists,
		   const struct services *now_services, const struct list_set *now_lists)
{
	const struct session_ask ask = {
		.matters = could_refuse,
		.services = services,
		.recorded = now_services ? now_services->fail_safe : NULL,
	};
	autofree struct sessions *all = calloc(1, sizeof(*all));
	struct cut cut, already;
	__u32 now = conn_now();

	if (!all)
		return log_err(-ENOMEM, "find the sessions of ssh");
	sessions_find(all, &ask);
	for (__u32 i = 0; i < all->count; i++) {
		const struct session *who = &all->at[i];
		__u32 then = now;

		do
			if (lockout_finds(who, services, lists, then, &cut) &&
			    !(now_services &&
			      lockout_finds(who, now_services, now_lists, then, &already)))
				return say_cut(who, services, &cut, then - now);
		while (lockout_ends(who, lists, &then));
	}
	return 0;
}

int lockout_check(const struct guard *g, const struct services *services,
		  const struct list_set *lists)
{
	autolists struct list_set now_lists = { 0 };
	struct services now;
	int err = mapio_services(g, &now);

	if (!err)
		err = mapio_lists(g, &now_lists);
	if (err)
		return err;
	return lockout_refuse(services, lists ? lists : &now_lists, &now, &now_lists);
}
