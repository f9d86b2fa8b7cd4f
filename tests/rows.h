/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Golden packets: a table row is a frame and what must become of it. rows_run() sends each
 * row as both families, behind 0, 1 and 2 VLAN tags, in modes always, monitor and off, and
 * then cut short at every byte.
 */
#ifndef ROWS_H
#define ROWS_H

#include "fixture.h"

/* Rows leave out what is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define ONLY4 1
#define ONLY6 2

struct row {
	const char *what;
	struct spec s;
	enum sw_reason reason; /* in mode always; its verdict is the action */
	enum sw_reason off;    /* in mode off; 0: PASS_MODE_OFF, or `reason` if it has no service */
	uint8_t only;          /* ONLY4, ONLY6; 0: both families */
	bool as_is;            /* not behind other VLAN tags, not cut */
	/* Of the SYN-ACK, beyond what every row checks; reqsk only. */
	void (*check)(const struct packet *in, const struct frame *out);
};

void rows_run(const struct row *rows, size_t n);
void rows_run_only(const struct row *rows, size_t n, uint8_t only);

/* The bytes of r are the SYN-ACK to `in`, whole, by RFCs and design; returns it read. */
void synack_check(const struct packet *in, const struct result *r, struct frame *out);

/* What the host behind the guard offers on lo, asked from a connection of its own. */
uint8_t host_scale(uint8_t family);
uint16_t expected_window(uint8_t family, const struct tcp_options *client);

#endif /* ROWS_H */
