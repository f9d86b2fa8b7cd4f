/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sums up each attack when it is over. The programs note when, why and how high; here is added
 * what was refused meanwhile, and which prefixes the sampled packets named as their source.
 */
#ifndef SW_ATTACK_H
#define SW_ATTACK_H

#include "events.h"
#include "facts.h"

struct attacks;

struct attacks *attacks_new(void);
void attacks_free(struct attacks *a);
void attacks_event(struct attacks *a, const struct sw_event *e);
/* Two readings, a second apart. True: an attack on this service has ended, here is what it was. */
bool attacks_look(struct attacks *a, const struct guard *g, __u32 service,
		  const struct facts *before, const struct facts *now, struct attack_summary *s);

#endif /* SW_ATTACK_H */
