/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of sources in the maps of fixture.h, which are empty when a test begins. */
#ifndef FIXTURE_LISTS_H
#define FIXTURE_LISTS_H

#include "fixture.h"

/*
 * An entry in the half in use, and the bit that makes it count. Prefix: "any", "ADDRESS" or
 * "ADDRESS/LENGTH"; service 0: for all. After services_mode(), which writes the services anew.
 */
void list(enum sw_list which, unsigned int service, const char *prefix);
void list_timed(enum sw_list which, unsigned int service, const char *prefix, uint32_t until_s);
/* The bits that say which lists are worth a lookup, for all services (0) or for one. */
void list_bits(unsigned int service, uint32_t bits);
uint64_t list_hits(enum sw_list which, uint8_t family);
void lists_clear(void);

#endif /* FIXTURE_LISTS_H */
