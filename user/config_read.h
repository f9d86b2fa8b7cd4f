/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the readers of a file's sections share: config_read.c, config_services.c, config_lists.c. */
#ifndef SW_CONFIG_READ_H
#define SW_CONFIG_READ_H

#include "config.h"

struct reader {
	struct config *c;
	struct faults *faults;
	const char *path;
	struct services seen;     /* slot n + 1: the n-th of c */
	const struct node *lists; /* read last: their entries name services */
	const struct node *fail_safe;
};

struct known_key {
	const char *name;
	void (*read)(struct reader *r, const struct node *n, void *object);
};

/* The text of a scalar; NULL: a fault, told. */
const char *read_scalar(struct reader *r, const struct node *n, const char *what,
			const char *expected);
/* Of this kind, and not empty; a fault is told. */
bool read_is(struct reader *r, const struct node *n, enum node_kind kind, const char *what);
void read_map(struct reader *r, const struct node *n, const struct known_key *keys, size_t count,
	      const char *what, void *object);
void read_unknown(struct reader *r, const struct node *key, const char *what, const void *names,
		  size_t count, size_t stride);
void read_setting(struct reader *r, const struct node *n, const struct setting *s, void *object);

void read_services(struct reader *r, const struct node *n, void *config);
/* Both of what stands in r. */
void read_lists(struct reader *r);

#endif /* SW_CONFIG_READ_H */
