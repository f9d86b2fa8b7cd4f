/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sources of connections that proved their address, mapped memory as the tables are, and what
 * a service allows each of them. See struct sw_source.
 */
#ifndef SW_SOURCES_H
#define SW_SOURCES_H

#include <stdbool.h>
#include <stddef.h>

#include "services.h"
#include "text.h"

struct guard;

struct sources {
	struct sw_source *slot;
	__u32 slots;
	__u64 *suspect;
	struct sw_boot boot;
};
#define autosources __attribute__((cleanup(sources_close)))

int sources_open(const struct guard *g, struct sources *s, bool change);
void sources_close(struct sources *s);

/* A copy of the slot, if it is in use. */
bool source_read(const struct sources *s, __u32 at, struct sw_source *copy);
/* Bits of the prefix by which an address is counted, v4-mapped: 128, 120, 64, 48. */
__u32 source_level_len(const __be32 addr[4], __u32 level);
/* The same as people write it: 32, 24, 64, 48. */
__u32 source_prefix_len(const struct sw_source *c);
/* "203.0.113.0/24" */
const char *source_text(const struct sw_source *c, char buf[TEXT_ADDR + 8]);
bool source_is_banned(const struct sw_source *c, __u32 now_s);

/* A connection that was counted has been freed in this state. */
void source_uncount(const struct sources *s, const struct sw_conn *c);
/* Around a walk over the sockets, which counts those that stall. */
void sources_walk_begin(const struct sources *s);
void sources_walk_end(const struct sources *s);
/* Builds the filter anew from who is banned or at a limit. */
void sources_suspect(const struct sources *s, const struct services *set, __u64 now_ns);
/* Those that a service made while it enforced nothing. */
void sources_pardon(const struct sources *s, __u32 service);
/* Of this prefix, ~0: of all; tells how many there were. */
__u32 sources_unban(const struct sources *s, const __be32 addr[4], __u32 prefix_len, __u32 now_s);

/*
 * "new=50,burst=100,conns=200,half-closed=50,stalled=10", any of them, "off" is none. What is
 * not named stays as it is.
 */
#define QUOTA_TEXT 96
int quota_read(const char *word, struct sw_source_limit *l, struct text_why *why);
const char *quota_text(const struct sw_source_limit *l, char buf[QUOTA_TEXT]);
/* "count", "drop", "ban:10m" */
int over_read(const char *word, struct sw_service *s, struct text_why *why);
const char *over_text(const struct sw_service *s, char buf[TEXT_COUNT]);
/* Checks the limits as a whole, and sets `limited` as they are. */
int quota_settle(struct sw_service *s, struct text_why *why);

#endif /* SW_SOURCES_H */
