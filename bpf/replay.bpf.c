// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guard as it is, for `replay`: only what it asks the machine for comes from the capture.
 * Its clock is that of the capture, the host's sockets are those the capture tells of, the host
 * takes every handshake that is handed over, and what is counted is told. These words stand in
 * front of the same sources, so the programs that are attached have none of it.
 */
#include "kernel.h"
#include "sw_replay.h"

struct sw_replay replay;

#define bpf_ktime_get_ns()        (replay.now_ns)
#define bpf_ktime_get_coarse_ns() (replay.now_ns)
#define bpf_jiffies64()           (replay.now_ns >> 22)

/* A test run of tc is no ingress, so the kernel would refuse. */
#define bpf_sk_assign_tcp_reqsk(skb, sk, attrs, size) ((void)(sk), (void)(attrs), 0)

#include "memory.h"

/* What the host holds is in the filter. */
static __always_inline bool replay_live_maybe(__u64 hash, const struct sw_settings *set)
{
	return replay.view.state || live_maybe(hash, set);
}

#define live_maybe(hash, set) replay_live_maybe(hash, set)

#include "verdict.h"

static __always_inline void replay_count(const struct sw_pkt *p, enum sw_reason reason,
					 const struct sw_settings *set)
{
	replay.reason = reason;
	replay.service = p->service;
	replay.would = !p->enforce && !verdict_is(reason, SW_V_PASS);
	count(p, reason, set);
}

static __always_inline void replay_count_pass(__u32 service, enum sw_reason reason, __u32 len)
{
	replay.reason = reason;
	replay.service = service;
	replay.would = 0;
	count_pass(service, reason, len);
}

#define count(p, reason, set)            replay_count(p, reason, set)
#define count_pass(service, reason, len) replay_count_pass(service, reason, len)

#define judge_held judge_socket
#include "track.h"
#undef judge_held

_Static_assert(sizeof(struct sw_view) == sizeof(struct sw_replay_view), "a view is a view");

/* Not in judge_held(): the stack of all that call each other is scarce. */
__noinline int judge_view(struct xdp_md *ctx, struct sw_pkt *p)
{
	struct sw_settings *set = settings();

	if (!p || !set)
		return SW_DROP_BUG;
	__builtin_memcpy(&p->view, &replay.view, sizeof(p->view));
	live_mark(p->hash, set);
	return step(ctx, p, set);
}

__noinline int judge_held(struct xdp_md *ctx, struct sw_pkt *p)
{
	/* not held: there is a listener, or none */
	return replay.view.state ? judge_view(ctx, p) : judge_socket(ctx, p);
}

#include "synwarden.bpf.c"

/* A connection older than the capture, into the tables as sw_adopt does with a socket. */
SEC("xdp")
int replay_adopt(UNUSED struct xdp_md *ctx)
{
	struct sw_pkt *p = pkt_new(SW_SCRATCH_WALK, 0, 0);
	struct sw_settings *set = settings();
	struct sw_service *svc;

	if (!p || !set)
		return XDP_PASS;
	__builtin_memcpy(p->saddr, replay.client, 36); /* both addresses, both ports */
	p->family = is_mapped(p->saddr) ? 4 : 6;
	p->now_ns = replay.now_ns;
	p->gen = READ_ONCE(set->gen);
	live_mark(pkt_hash(p), set);
	__builtin_memcpy(&p->view, &replay.view, sizeof(p->view));
	if (!p->view.state || !is_guarded(p))
		return XDP_PASS;
	conn_adopt(p);
	svc = service_of(p);
	if (svc && svc->limited)
		conn_count(p);
	return XDP_PASS;
}
