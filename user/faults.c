/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A list of faults in a file; see faults.h. */
#include <stdlib.h>
#include <string.h>

#include "faults.h"

void text_tame(const char *text, char *buf, size_t size)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++) {
		unsigned char c = (unsigned char)*text;
		char out[5];
		size_t len = c < 0x20 || c >= 0x7f ?
				     (size_t)snprintf(out, sizeof(out), "\\x%02x", c) :
				     (size_t)snprintf(out, sizeof(out), "%c", c);

		if (n + len >= size)
			break;
		memcpy(buf + n, out, len);
		n += len;
	}
	buf[n] = '\0';
}

void faults_add_in(struct faults *f, const char *file, struct place at, const char *text)
{
	struct fault *grown;

	f->total++;
	if (f->count == FAULTS_MAX)
		return;
	if (f->count % 16 == 0) {
		grown = reallocarray(f->list, f->count + 16, sizeof(*grown));
		if (!grown)
			return; /* counted, so nothing with a fault is taken for good */
		f->list = grown;
	}
	f->list[f->count].file = file ? strdup(file) : NULL;
	f->list[f->count].at = at;
	f->list[f->count].number = f->count;
	text_tame(text, f->list[f->count].text, FAULT_TEXT);
	f->count++;
}

void faults_add(struct faults *f, struct place at, const char *fmt, ...)
{
	char text[FAULT_TEXT];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	faults_add_in(f, NULL, at, text);
}

/* The configuration file first, then the files it names. */
static int by_place(const void *a, const void *b)
{
	const struct fault *x = a, *y = b;

	if (x->file != y->file && (!x->file || !y->file))
		return x->file ? 1 : -1;
	if (x->file && strcmp(x->file, y->file))
		return strcmp(x->file, y->file);
	if (x->at.line != y->at.line)
		return x->at.line < y->at.line ? -1 : 1;
	if (x->at.column != y->at.column)
		return x->at.column < y->at.column ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

void faults_print(struct faults *f, const char *file, FILE *out)
{
	char name[256];

	if (f->count)
		qsort(f->list, f->count, sizeof(*f->list), by_place);
	for (unsigned int i = 0; i < f->count; i++) {
		const struct fault *one = &f->list[i];

		text_tame(one->file ? one->file : file, name, sizeof(name));
		if (one->at.column)
			fprintf(out, "%s:%u:%u: %s\n", name, one->at.line, one->at.column,
				one->text);
		else if (one->at.line)
			fprintf(out, "%s:%u: %s\n", name, one->at.line, one->text);
		else
			fprintf(out, "%s: %s\n", name, one->text);
	}
	if (f->total > f->count)
		fprintf(out, "and %u more\n", f->total - f->count);
}

void faults_free(struct faults *f)
{
	for (unsigned int i = 0; i < f->count; i++)
		free(f->list[i].file);
	free(f->list);
	memset(f, 0, sizeof(*f));
}
