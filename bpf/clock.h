/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CLOCK_MONOTONIC at a price a flood can pay. Reading it costs 20-40 ns in a virtual
 * machine, about a third of a whole SYN-ACK. So while more than 16 packets come in half a
 * millisecond, one reading serves the next 15 of the same jiffy. In peace every packet
 * reads the clock itself.
 */
#ifndef SW_CLOCK_H
#define SW_CLOCK_H

#include "maps.h"

#define SW_CLOCK_REUSE    15
#define SW_CLOCK_BURST_NS 500000

/* May lag by what 16 packets of a burst take, at the very worst by a jiffy; never runs ahead. */
static __always_inline __u64 clock_now(void)
{
	__u32 zero = 0;
	struct sw_clock *c = bpf_map_lookup_elem(&sw_clock, &zero);
	__u64 jiffies = bpf_jiffies64(), ns;

	if (!c)
		return bpf_ktime_get_ns();
	if (c->left && c->jiffies == jiffies) {
		c->left--;
		return c->ns;
	}
	ns = bpf_ktime_get_ns();
	c->left = ns - c->ns < SW_CLOCK_BURST_NS ? SW_CLOCK_REUSE : 0;
	c->ns = ns;
	c->jiffies = jiffies;
	return ns;
}

#endif /* SW_CLOCK_H */
