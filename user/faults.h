/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is wrong with a file: all of it, each with its place. The words may hold bytes of the
 * file; what could steer a terminal is written as \xNN.
 */
#ifndef SW_FAULTS_H
#define SW_FAULTS_H

#include <stdio.h>

#include <linux/types.h>

#include "util.h"

#define FAULT_TEXT 240
#define FAULTS_MAX 1000 /* kept; more are counted */

/* A line and a column, from 1; line 0: the file as a whole. */
struct place {
	unsigned int line, column;
};

struct fault {
	char *file; /* NULL: the configuration file itself */
	struct place at;
	unsigned int number; /* in the order they were found */
	char text[FAULT_TEXT];
};

struct faults {
	struct fault *list;
	unsigned int count; /* in the list */
	unsigned int total;
};
#define autofaults __attribute__((cleanup(faults_free)))

void faults_add(struct faults *f, struct place at, const char *fmt, ...) format_like(3);
void faults_add_in(struct faults *f, const char *file, struct place at, const char *text);
/* In the order of their places, one a line: FILE:LINE:COLUMN: TEXT. */
void faults_print(struct faults *f, const char *file, FILE *out);
void faults_free(struct faults *f);

/* Copies `text` without the bytes that a terminal obeys. */
void text_tame(const char *text, char *buf, size_t size);

#endif /* SW_FAULTS_H */
