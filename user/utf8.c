/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One character of UTF-8; see utf8.h. */
#include <stdbool.h>

#include <linux/types.h>

#include "utf8.h"
#include "util.h"

/* C1 controls; separators and embeddings, which make a line read as another; the byte order mark;
 * halves of UTF-16; what is no character, and YAML refuses. */
static bool is_shown(__u32 c)
{
	static const struct {
		__u32 first, last;
	} hidden[] = {
		{ 0x80, 0x9f },     { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0xd800, 0xdfff }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xfffe, 0xffff },
	};

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		if (c >= hidden[i].first && c <= hidden[i].last)
			return false;
	return c <= 0x10ffff;
}

size_t utf8_printable(const char *s)
{
	static const __u32 least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char head = (unsigned char)*s;
	size_t len = head >= 0xf0 ? 4 : head >= 0xe0 ? 3 : 2;
	__u32 c;

	if (head < 0x80)
		return head >= 0x20 && head != 0x7f;
	if (head < 0xc2 || head > 0xf4)
		return 0;
	c = head & (0xff >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c >= least[len] && is_shown(c) ? len : 0;
}
