/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a terminal may be shown of text that came from outside. Pure. */
#ifndef SW_UTF8_H
#define SW_UTF8_H

#include <stddef.h>

/*
 * Bytes of the printable character at s, which ends with NUL: ASCII, or UTF-8 (RFC 3629) that is
 * no control and turns no line around. 0: there is none.
 */
size_t utf8_printable(const char *s);

#endif /* SW_UTF8_H */
