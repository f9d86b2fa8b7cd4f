/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A YAML file as a tree of scalars, lists and maps, each with its place. A subset on purpose:
 * no anchors, aliases, tags, merge keys or second documents, no key twice, at most 1 MiB and
 * eight levels; so nothing in a file can grow into more than it looks like. JSON is YAML, too.
 */
#ifndef SW_TREE_H
#define SW_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "faults.h"

#define TREE_SIZE_MAX  (1U << 20)
#define TREE_DEPTH_MAX 8
#define TREE_KEYS_MAX  64 /* of one map: more than any has that we know */

enum node_kind {
	NODE_SCALAR,
	NODE_LIST,
	NODE_MAP,
	NODE_BAD, /* its fault is told already */
};

struct node {
	enum node_kind kind;
	bool plain; /* scalar without quotes */
	bool flow;  /* in braces or brackets */
	struct place at, end;
	struct node *key;   /* of an entry of a map */
	char *text;         /* scalar, without NUL bytes */
	struct node *child; /* list, map: first */
	struct node *last;
	struct node *next;
	struct node *made_before; /* all nodes of a tree */
	unsigned int children;
};

struct tree {
	struct node *root; /* NULL: the file is empty */
	struct node *made;
};
#define autotree __attribute__((cleanup(tree_free)))

/* Faults are added to `f`. False: the file has no tree, as its syntax is wrong. */
bool tree_read(const char *text, size_t len, struct tree *t, struct faults *f);
void tree_free(struct tree *t);

/* A plain scalar without text: a key with nothing behind it. */
bool node_is_empty(const struct node *n);
const char *node_kind_name(const struct node *n);

#endif /* SW_TREE_H */
