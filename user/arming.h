/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The marks that arm a service, as words and back, and what is known of its attacks. Pure. */
#ifndef SW_ARMING_H
#define SW_ARMING_H

#include <stdbool.h>

#include "synwarden.h"
#include "text.h"

#define ARMING_TEXT 120

/*
 * "syns=5000:2500,half-open=1024:512,unfinished=60:30,hold=30s", any of them: upper mark, lower
 * mark. Without a lower one that is half of the upper; "off" is no mark. What is not named
 * stays as it is in `s`, and all of it does after a refusal.
 */
int arming_read(const char *word, struct sw_service *s, struct text_why *why);
const char *arming_text(const struct sw_service *s, char buf[ARMING_TEXT]);

/*
 * Is it under attack, by the programs' own judgement? They look with the next SYN, and half-open
 * connections at the lower mark keep it armed then, however long ago the last one was.
 */
bool arming_is_on(const struct sw_arming *a, const struct sw_service *s,
		  const struct sw_gauge *gauge, __u64 now_ns);

const char *arming_cause(__u8 cause);
/* When an attack on service `s` ended, 0: it goes on. */
__u64 arming_attack_end(const struct sw_attack *t, const struct sw_arming *a,
			const struct sw_service *s, const struct sw_gauge *gauge, __u64 now_ns);

#endif /* SW_ARMING_H */
