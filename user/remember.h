/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small files below /run/synwarden, or where SYNWARDEN_RUN says: a directory of root's own that
 * others may enter, as the daemon's socket is there, but not look into; one
 * set of names for each pin directory. All silent but remember_write().
 */
#ifndef SW_REMEMBER_H
#define SW_REMEMBER_H

#include "util.h"

/* Makes the directory, if it is not there; what fails, fails again when it is used. */
void remember_directory(void);
/* Where it would be, for others to open; -ENAMETOOLONG. */
int remember_path(const char *pin, const char *what, char *buf, size_t size);
/* A descriptor, or negative errno. */
int remember_open(const char *pin, const char *what, int flags);
/* Whole or not at all. */
int remember_write(const char *pin, const char *what, const void *data, size_t size);
void remember_remove(const char *pin, const char *what);
/* A non-blocking descriptor that is readable after a file came or went; negative errno. */
int remember_watch(void);

#endif /* SW_REMEMBER_H */
