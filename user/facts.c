/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads what is shown of a guard, and sums it; see facts.h. */
#include <string.h>
#include <time.h>

#include "arming.h"
#include "facts.h"
#include "util.h"

/* Not by mapped memory: that maps the sources as well, which takes longer than all the rest. */
static int read_tables(const struct guard *g, struct facts *f)
{
	int err = mapio_tables(g, f->table);

	return err ? err : mapio_gauges(g, f->gauge);
}

static int read_counts(const struct guard *g, struct facts *f)
{
	int err = 0;

	for (__u32 hook = 0; hook < SW_HOOK_MAX && !err; hook++)
		err = mapio_rx(g, hook, &f->rx[hook]);
	for (__u32 id = 0; id < SW_MAX_SERVICES && !err; id++)
		err = mapio_stats(g, id, f->count[id]);
	return err;
}

int facts_read(const struct guard *g, struct facts *f)
{
	int err = mapio_settings(g, &f->settings);

	if (!err)
		err = dev_list(g, f->dev, &f->devs);
	if (!err)
		err = mapio_services(g, &f->services);
	if (!err)
		err = read_counts(g, f);
	if (!err)
		err = read_tables(g, f);
	if (!err)
		err = mapio_arming(g, f->arming);
	if (!err)
		err = mapio_limit_hits(g, f->hits);
	if (!err)
		err = mapio_keysched(g, &f->sched);
	/* behind the last time that the programs wrote */
	f->taken_ns = clock_ns(CLOCK_MONOTONIC);
	f->epoch = key_epoch();
	if (!err)
		f->key_age_s = key_age(g, &f->sched);
	if (file_read_long(SYSCTL_SYNCOOKIES, &f->syncookies))
		f->syncookies = -1;
	return err;
}

int facts_read_live(const struct guard *g, struct facts *f)
{
	int err = mapio_services(g, &f->services);

	for (__u32 id = 0; id < SW_MAX_SERVICES && !err; id++)
		if (!id || facts_is_service(f, id))
			err = mapio_stats(g, id, f->count[id]);
	if (!err)
		err = read_tables(g, f);
	if (!err)
		err = mapio_arming(g, f->arming);
	f->taken_ns = clock_ns(CLOCK_MONOTONIC);
	return err;
}

enum syn_outcome reason_syn_outcome(enum sw_reason r)
{
	switch (r) {
	case SW_PASS_SYN_HELD:
	case SW_PASS_NO_LISTENER:
	case SW_PASS_LISTENER:
	case SW_PASS_SIGNED:
	case SW_PASS_COOKIES_OFF:
	case SW_PASS_CALM:
	case SW_PASS_HOST_SYN:
	case SW_PASS_TINY_MSS:
	case SW_PASS_NO_TAILROOM:
		return SYN_PASSED;
	case SW_TX_SYNACK:
		return SYN_ANSWERED;
	case SW_DROP_SYNACK_CAP:
	case SW_DROP_SYNACK_TOTAL:
		return SYN_DROPPED;
	case SW_DROP_DENIED:
	case SW_DROP_BANNED:
	case SW_DROP_LIMIT_RATE:
	case SW_DROP_LIMIT_CONNS:
	case SW_DROP_LIMIT_HALF_CLOSED:
	case SW_DROP_LIMIT_STALLED:
		return SYN_LIMITED;
	default:
		return SYN_NONE;
	}
}

void flow_add(struct flow *flow, enum sw_reason r, const struct sw_count *c)
{
	if (reason_syn_outcome(r) != SYN_NONE)
		flow->syns += c->packets;
	if (r == SW_TX_SYNACK)
		flow->answered += c->packets;
	if (r == SW_PASS_COOKIE || r == SW_PASS_KEEPALIVE || r == SW_PASS_HOST_COOKIE)
		flow->finished += c->packets;
	if (!strcmp(text_verdict(r), "drop")) {
		flow->dropped += count_enforced(c);
		flow->would_drop += c->would_packets;
	}
	flow->packets += c->packets;
	flow->bytes += c->bytes;
}

void facts_flow(const struct facts *f, __u32 service, struct flow *flow)
{
	memset(flow, 0, sizeof(*flow));
	for (__u32 id = 0; id < SW_MAX_SERVICES; id++)
		for (__u32 r = 1; r < SW_REASON_MAX; r++)
			if (service == FACTS_ALL || service == id)
				flow_add(flow, r, &f->count[id][r]);
}

bool facts_armed(const struct facts *f, __u32 service)
{
	return arming_is_on(&f->arming[service], &f->services.slot[service], &f->gauge[service],
			    f->taken_ns);
}
