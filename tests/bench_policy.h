/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a row's service is told to do besides mode `always`: arming, limits, lists. The same
 * guard, told otherwise before each run, so that rows differ by nothing but that: programs and
 * maps of another load lie elsewhere, which costs or saves some ns by itself.
 */
#ifndef BENCH_POLICY_H
#define BENCH_POLICY_H

#include <arpa/inet.h>
#include <stdlib.h>

#include <bpf/bpf.h>

#include "bench_guard.h"
#include "bench_rows.h"

#define POLICY_DENIED 100000
#define POLICY_LISTED 16 /* prefixes on either list, of nobody the bench is */

static inline void policy_list(struct synwarden_bpf *s, __u8 list, __u16 service, __u32 addr,
			       __u32 prefix_len)
{
	struct sw_list_key key = { .prefix_len = 32 + 96 + prefix_len,
				   .list = list,
				   .service = service,
				   .addr = { 0, 0, htonl(0xffff), htonl(addr) } };
	struct sw_listed entry = {};

	MUST(bpf_map_update_elem(bpf_map__fd(s->maps.sw_lists), &key, &entry, 0));
}

/* For every service the few, for the bench's own the many: each is asked for by bits of its own. */
static inline void policy_fill(struct synwarden_bpf *s)
{
	__u32 first = ntohl(inet_addr(sources[SPOOFED].client4));

	for (__u32 i = 0; i < POLICY_LISTED; i++) {
		policy_list(s, SW_LIST_DENY, 0, ntohl(inet_addr("198.18.0.0")) + (i << 8), 24);
		policy_list(s, SW_LIST_ALLOW, 0, ntohl(inet_addr("203.0.113.0")) + i, 32);
	}
	srandom(1);
	for (__u32 i = 0; i < POLICY_DENIED; i++)
		policy_list(s, SW_LIST_DENY, SERVICE,
			    first + (__u32)random() % sources[SPOOFED].hosts, 32);
}

static inline void policy_arm(struct synwarden_bpf *s, bool armed)
{
	__u32 service = SERVICE;
	struct sw_arming a;

	MUST(bpf_map_lookup_elem(bpf_map__fd(s->maps.sw_arming), &service, &a));
	a.armed = armed;
	put(s->maps.sw_arming, SERVICE, &a);
}

static inline void policy_set(struct synwarden_bpf *s, __u32 policy)
{
	__u32 service = SERVICE, zero = 0;
	struct sw_settings set;
	struct sw_service svc;

	MUST(bpf_map_lookup_elem(bpf_map__fd(s->maps.sw_services), &service, &svc));
	svc.mode = policy & BY_AUTO ? SW_MODE_AUTO : SW_MODE_ALWAYS;
	svc.hold_s = 30;
	svc.upper = (struct sw_arm_marks){ 5000, 1024, 60 };
	svc.lower = (struct sw_arm_marks){ 2500, 512, 30 };
	svc.lists = policy & BY_DENIED ? 1U << SW_LIST_DENY : 0;
	svc.limited = !!(policy & BY_LIMITS);
	svc.over = SW_OVER_DROP;
	svc.limit[SW_LEVEL_HOST] = (struct sw_source_limit){ 20, 50, 100, 50, 10 };
	svc.limit[SW_LEVEL_NET] = (struct sw_source_limit){ .conns = 1000 };
	put(s->maps.sw_services, SERVICE, &svc);
	/* always means armed for good; whether it noted an attack or not costs the same */
	policy_arm(s, true);
	MUST(bpf_map_lookup_elem(bpf_map__fd(s->maps.sw_settings), &zero, &set));
	set.lists[0] = policy & BY_LISTS ? 1U << SW_LIST_DENY | 1U << SW_LIST_ALLOW : 0;
	put(s->maps.sw_settings, 0, &set);
}

#endif /* BENCH_POLICY_H */
