/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CLOCK_MONOTONIC at a price a flood can pay. Reading it costs 20-40 ns in a virtual
 * machine, about a third of a whole SYN-ACK. So once 16 packets in a row came at 30,000 a
 * second or more, one reading serves the next 15 of the same jiffy, for as long as 16
 * packets keep coming in half a millisecond. In peace every packet reads the clock itself.
 */
#ifndef SW_CLOCK_H
#define SW_CLOCK_H

#include "maps.h"

#define SW_CLOCK_LAG_NS 16000000 /* more than a jiffy at HZ=100 */
#define SW_CLOCK_REUSE  15
#define SW_CLOCK_STREAK 16
#define SW_CLOCK_GAP_NS 31250 /* between packets: 16 in half a millisecond */

static __always_inline struct sw_cpu *this_cpu(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sw_cpu, &zero);
}

/* May lag by what 16 packets of a burst take, at the very worst by a jiffy; never runs ahead. */
static __always_inline __u64 clock_now(void)
{
	struct sw_cpu *c = this_cpu();
	__u64 jiffies = bpf_jiffies64(), ns;

	if (!c)
		return bpf_ktime_get_ns();
	if (c->left && c->jiffies == jiffies) {
		c->left--;
		return c->ns;
	}
	ns = bpf_ktime_get_ns();
	/* with full use the last reading is SW_CLOCK_REUSE + 1 packets old */
	if (ns - c->ns < (c->streak < SW_CLOCK_STREAK ? 1 : SW_CLOCK_REUSE + 1) * SW_CLOCK_GAP_NS)
		c->streak++;
	else
		c->streak = 0;
	c->left = c->streak < SW_CLOCK_STREAK ? 0 : SW_CLOCK_REUSE;
	c->ns = ns;
	c->jiffies = jiffies;
	return ns;
}

/* sw_seconds(), late by a jiffy at most: read once in each. */
static __always_inline __u32 seconds_now(void)
{
	struct sw_cpu *c = this_cpu();
	__u64 jiffies = bpf_jiffies64();

	if (!c)
		return 0;
	if (c->second_jiffies != jiffies) {
		c->second_jiffies = jiffies;
		c->second = sw_seconds(bpf_ktime_get_ns());
	}
	return c->second;
}

#endif /* SW_CLOCK_H */
