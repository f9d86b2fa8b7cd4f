/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A peer in its place and its entry in the tables, which hold nothing else: what each case of
 * the matrix begins with.
 */
#ifndef MATRIX_SCENE_H
#define MATRIX_SCENE_H

#include "matrix.h"

struct scene {
	struct peer peer;
	struct sw_conn *slot; /* NULL: has no entry */
	enum sw_table table;
	struct sw_conn image; /* of the entry: as adopted, but long ago */
};

extern struct scene scene;

#define SCENE_STALE (1U << 24) /* by so much the image's rcv_nxt is behind the socket's */

void scene_begin(enum place at, uint8_t family, bool ts);
void scene_restore(enum memory memory);
void scene_end(void);
/* Gauges, use and pending FINs are those of the entry alone. */
void scene_check_counts(void);
void tables_clear(void);

struct sw_conn *scene_entry(enum sw_table *table); /* NULL: none */
uint32_t seconds(void);                            /* of the entries */
bool is_now(uint32_t s);
bool is_half(enum sw_state s);
/* Of challenge ACKs, per second. */
void challenge_budget(uint32_t pps);

#endif /* MATRIX_SCENE_H */
