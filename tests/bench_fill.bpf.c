// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fills the guard's connection table and presence filter for the bench, by the guard's own
 * functions and in its own maps: a million connections without a million sockets, each where
 * the guard looks for it. Every run makes one established connection.
 */
#include "open.h"

#include "bench.h"

char LICENSE[] SEC("license") = "GPL";

struct bench_fill fill;
const volatile __u32 ask_budget = SW_BUDGET_ASK; /* where the guard counts its questions */

SEC("xdp")
int bench_fill(struct xdp_md *ctx)
{
	struct sw_pkt *p = pkt_new(SW_SCRATCH_WALK, 0, 0);
	struct sw_settings *set = settings();
	__u32 n = fill.next;

	(void)ctx;
	if (!p || !set || !fill.ports)
		return XDP_ABORTED;
	fill.next = n + 1;
	p->family = 4;
	p->saddr[2] = p->daddr[2] = bpf_htonl(0xffff);
	p->saddr[3] = bpf_htonl(fill.client + n / fill.ports);
	p->daddr[3] = bpf_htonl(fill.server);
	p->sport = bpf_htons(fill.client_port + n % fill.ports);
	p->dport = bpf_htons(fill.server_port);
	p->service = fill.service;
	p->now_ns = bpf_ktime_get_ns();
	live_mark(pkt_hash(p), set);
	if (fill.marked_only)
		return XDP_PASS;
	p->birth = (struct sw_birth){
		.table = SW_TABLE_CONNS,
		.state = SW_ESTABLISHED,
		.flags = SW_CONN_CONFIRMED,
		.rcv_nxt = fill.rcv_nxt,
	};
	if (!conn_open(p))
		fill.refused++;
	return XDP_PASS;
}
