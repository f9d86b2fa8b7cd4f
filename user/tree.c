/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libyaml's events into a tree; see tree.h. */
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "tree.h"

struct builder {
	yaml_parser_t parser;
	struct tree *tree;
	struct faults *faults;
	struct node *open[TREE_DEPTH_MAX];
	struct node *key[TREE_DEPTH_MAX]; /* of the value that comes next, by level */
	unsigned int depth;
	unsigned int documents;
	bool stop;
	bool complete;
};

static struct place place_of(const yaml_mark_t *mark)
{
	return (struct place){ (unsigned int)mark->line + 1, (unsigned int)mark->column + 1 };
}

bool node_is_empty(const struct node *n)
{
	return n->kind == NODE_SCALAR && n->plain && !*n->text;
}

const char *node_kind_name(const struct node *n)
{
	switch (n->kind) {
	case NODE_LIST:
		return "a list";
	case NODE_MAP:
		return "a map";
	default:
		return node_is_empty(n) ? "nothing" : "a single value";
	}
}

static void stop_at(struct builder *b, struct place at, const char *text)
{
	faults_add(b->faults, at, "%s", text);
	b->stop = true;
}

static struct node *node_new(struct builder *b, enum node_kind kind, const yaml_event_t *e)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n) {
		stop_at(b, place_of(&e->start_mark), "out of memory");
		return NULL;
	}
	n->kind = kind;
	n->at = place_of(&e->start_mark);
	n->end = place_of(&e->end_mark);
	n->made_before = b->tree->made;
	b->tree->made = n;
	return n;
}

static struct node *scalar_new(struct builder *b, const yaml_event_t *e)
{
	struct node *n = node_new(b, NODE_SCALAR, e);

	if (!n)
		return NULL;
	n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->text = strndup((const char *)e->data.scalar.value, e->data.scalar.length);
	if (!n->text) {
		stop_at(b, n->at, "out of memory");
		return NULL;
	}
	if (strlen(n->text) != e->data.scalar.length) {
		faults_add(b->faults, n->at, "a NUL byte: text expected");
		n->kind = NODE_BAD;
	}
	return n;
}

/* The key of the entry that comes next; NULL leaves the builder stopped. */
static void take_key(struct builder *b, struct node *key)
{
	const struct node *map = b->open[b->depth - 1];

	b->key[b->depth - 1] = key;
	if (map->children == TREE_KEYS_MAX) {
		stop_at(b, key->at, "too many keys in one map: 64 at most");
		return;
	}
	if (key->kind == NODE_BAD)
		return;
	if (key->plain && !strcmp(key->text, "<<")) {
		faults_add(b->faults, key->at,
			   "merge keys are not supported: write the settings out");
		key->kind = NODE_BAD;
	}
	for (const struct node *n = map->child; n && key->kind != NODE_BAD; n = n->next) {
		if (n->key->kind == NODE_BAD || strcmp(n->key->text, key->text))
			continue;
		faults_add(b->faults, key->at, "key '%.60s' is there twice: first in line %u",
			   key->text, n->key->at.line);
		key->kind = NODE_BAD;
	}
}

/* Puts a node where the parser is. */
static void place_node(struct builder *b, struct node *n)
{
	struct node *parent = b->depth ? b->open[b->depth - 1] : NULL;

	if (!parent) {
		b->tree->root = n;
		return;
	}
	if (parent->kind == NODE_MAP) {
		n->key = b->key[b->depth - 1];
		b->key[b->depth - 1] = NULL;
		if (n->key->kind == NODE_BAD)
			n->kind = NODE_BAD;
	}
	if (parent->last)
		parent->last->next = n;
	else
		parent->child = n;
	parent->last = n;
	parent->children++;
}

static bool wants_key(const struct builder *b)
{
	return b->depth && b->open[b->depth - 1]->kind == NODE_MAP && !b->key[b->depth - 1];
}

static void open_node(struct builder *b, enum node_kind kind, const yaml_event_t *e, bool flow)
{
	struct node *n;

	if (wants_key(b)) {
		stop_at(b, place_of(&e->start_mark), "a map or list as a key: a word expected");
		return;
	}
	if (b->depth == TREE_DEPTH_MAX) {
		stop_at(b, place_of(&e->start_mark), "nested too deeply: eight levels at most");
		return;
	}
	n = node_new(b, kind, e);
	if (!n)
		return;
	n->flow = flow;
	place_node(b, n);
	/* what hangs below a bad key is built, so that its faults of syntax are told, too */
	n->kind = kind;
	b->open[b->depth] = n;
	b->key[b->depth++] = NULL;
}

static void close_node(struct builder *b, const yaml_event_t *e)
{
	struct node *n = b->open[--b->depth];

	/* a block ends where its last part does, libyaml says: at the next token */
	n->end = n->flow || !n->last ? place_of(&e->end_mark) : n->last->end;
	if (n->key && n->key->kind == NODE_BAD)
		n->kind = NODE_BAD;
}

static void take_scalar(struct builder *b, const yaml_event_t *e)
{
	struct node *n = scalar_new(b, e);

	if (!n)
		return;
	if (wants_key(b))
		take_key(b, n);
	else
		place_node(b, n);
}

static void refuse_marks(struct builder *b, const yaml_event_t *e, const yaml_char_t *anchor,
			 const yaml_char_t *tag)
{
	if (anchor)
		faults_add(b->faults, place_of(&e->start_mark),
			   "anchors (&) are not supported: write the value out");
	if (tag)
		faults_add(b->faults, place_of(&e->start_mark),
			   "tags (!) are not supported: a plain value expected");
}

static void take_alias(struct builder *b, const yaml_event_t *e)
{
	struct node *n = node_new(b, NODE_BAD, e);

	faults_add(b->faults, place_of(&e->start_mark),
		   "aliases (*) are not supported: write the value out");
	if (!n)
		return;
	if (wants_key(b))
		b->key[b->depth - 1] = n;
	else
		place_node(b, n);
}

static void take_document(struct builder *b, const yaml_event_t *e)
{
	if (++b->documents > 1)
		stop_at(b, place_of(&e->start_mark), "a second document: one file is one document");
	if (e->data.document_start.tag_directives.start !=
	    e->data.document_start.tag_directives.end)
		faults_add(b->faults, place_of(&e->start_mark),
			   "tags (!) are not supported: a plain value expected");
}

static void take_event(struct builder *b, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		take_document(b, e);
		break;
	case YAML_ALIAS_EVENT:
		take_alias(b, e);
		break;
	case YAML_SCALAR_EVENT:
		refuse_marks(b, e, e->data.scalar.anchor, e->data.scalar.tag);
		take_scalar(b, e);
		break;
	case YAML_SEQUENCE_START_EVENT:
		refuse_marks(b, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
		open_node(b, NODE_LIST, e,
			  e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE);
		break;
	case YAML_MAPPING_START_EVENT:
		refuse_marks(b, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
		open_node(b, NODE_MAP, e, e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		close_node(b, e);
		break;
	case YAML_STREAM_END_EVENT:
		b->complete = true;
		break;
	default:
		break;
	}
}

/* libyaml knows the place of a byte that is no text only by its offset. */
static struct place place_of_byte(const char *text, size_t len, size_t offset)
{
	struct place at = { 1, 1 };

	for (size_t i = 0; i < offset && i < len; i++) {
		at.column++;
		if (text[i] == '\n')
			at = (struct place){ at.line + 1, 1 };
	}
	return at;
}

static void syntax_fault(struct builder *b, const char *text, size_t len)
{
	const yaml_parser_t *p = &b->parser;

	if (p->error == YAML_READER_ERROR)
		faults_add(b->faults, place_of_byte(text, len, p->problem_offset),
			   "no UTF-8 text: %s", p->problem ? p->problem : "unreadable");
	else
		faults_add(b->faults, place_of(&p->problem_mark), "%s%s%s",
			   p->problem ? p->problem : "out of memory", p->context ? ", " : "",
			   p->context ? p->context : "");
}

bool tree_read(const char *text, size_t len, struct tree *t, struct faults *f)
{
	struct builder b = { .tree = t, .faults = f };
	yaml_event_t event;

	if (len > TREE_SIZE_MAX) {
		faults_add(f, (struct place){ 0 }, "larger than 1 MiB: that is no configuration");
		return false;
	}
	if (!yaml_parser_initialize(&b.parser)) {
		faults_add(f, (struct place){ 0 }, "out of memory");
		return false;
	}
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
	while (!b.stop && !b.complete) {
		if (!yaml_parser_parse(&b.parser, &event)) {
			syntax_fault(&b, text, len);
			break;
		}
		take_event(&b, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&b.parser);
	return b.complete;
}

void tree_free(struct tree *t)
{
	while (t->made) {
		struct node *n = t->made;

		t->made = n->made_before;
		free(n->text);
		free(n);
	}
	t->root = NULL;
}
