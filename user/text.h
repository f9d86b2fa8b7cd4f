/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words to values and back: numbers, ports, prefixes, names of modes and engines. Pure
 * functions: no kernel, no output. A refusal is -EINVAL and says what is accepted in `why`;
 * outputs are untouched then.
 */
#ifndef SW_TEXT_H
#define SW_TEXT_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "synwarden.h"

enum xdp_mode {
	XDP_MODE_AUTO,
	XDP_MODE_NATIVE,
	XDP_MODE_GENERIC,
};

struct text_why {
	char text[192];
};

#define TEXT_ADDR    48 /* "2001:db8:...:1" */
#define TEXT_PREFIX  56 /* "2001:db8::/32" */
#define TEXT_SERVICE 80 /* "2001:db8::/32 8000-8100" */
#define TEXT_FLAGS   40 /* "SYN,ACK,ECE" */
#define TEXT_COUNT   32 /* "1,234,567" */
#define TEXT_AGE     16 /* "2h04m" */

/* Decimal digits only: no sign, no space, no trailing text, min..max. */
int text_u64(const char *s, __u64 min, __u64 max, __u64 *value);
int text_u32(const char *s, __u32 min, __u32 max, __u32 *value);

/* Seconds: "90", "90s", "15m", "2h", "1d"; min..max after the unit. */
int text_duration(const char *s, __u32 min, __u32 max, __u32 *seconds);

/* "80" or "8000-8100". */
int text_ports(const char *s, __u16 *first, __u16 *last, struct text_why *why);

/*
 * "any", "192.0.2.0/24", "192.0.2.1", "2001:db8::/32". IPv4 becomes v4-mapped, its length
 * 96 + n. `any` is length 0, which covers both families.
 */
int text_prefix(const char *s, __be32 addr[4], __u32 *len, struct text_why *why);

/* A service's prefix and ports, as on the command line; mode and budget are left alone. */
int text_service(const char *prefix, const char *ports, struct sw_service *service,
		 struct text_why *why);

int text_mode(const char *s, enum sw_mode *mode, struct text_why *why);
int text_engine(const char *s, enum sw_engine *engine, struct text_why *why);
int text_xdp_mode(const char *s, enum xdp_mode *mode, struct text_why *why);

/* Names of RFC 9293 section 3.3.2, in any case, '_' as good as '-'. */
int text_state(const char *s, enum sw_state *state, struct text_why *why);
/* One or more with commas between: a bit for each. */
int text_states(const char *s, __u32 *mask, struct text_why *why);

const char *text_state_name(enum sw_state state);
const char *text_table_name(enum sw_table table);
const char *text_mode_name(enum sw_mode mode);
const char *text_engine_name(enum sw_engine engine);
const char *text_xdp_mode_name(enum xdp_mode mode);
const char *text_hook_name(enum sw_hook hook);

/* The table of sw_reasons.h; "?" for a number that is none. */
const char *text_reason(enum sw_reason reason);
const char *text_verdict(enum sw_reason reason);
const char *text_reason_help(enum sw_reason reason);

/* v4-mapped addresses print as IPv4. The caller's buffer is returned. */
const char *text_addr(const __be32 addr[4], char buf[TEXT_ADDR]);
const char *text_endpoint(const __be32 addr[4], __be16 port, char buf[TEXT_ADDR + 8]);
const char *text_prefix_name(const __be32 addr[4], __u32 len, char buf[TEXT_PREFIX]);
const char *text_service_name(const struct sw_service *service, char buf[TEXT_SERVICE]);
const char *text_tcp_flags(__u8 flags, char buf[TEXT_FLAGS]);
const char *text_count(__u64 n, char buf[TEXT_COUNT]);
/* The two largest units: "12s", "3m05s", "2h04m", "9d01h". */
const char *text_age(__u32 seconds, char buf[TEXT_AGE]);

/* As the kernel's dev_valid_name(). */
static inline bool text_is_device(const char *name)
{
	return *name && strlen(name) < 16 && !strpbrk(name, "/: \t\n\v\f\r") && strcmp(name, ".") &&
	       strcmp(name, "..");
}

bool addr_is_v4(const __be32 addr[4]);

/* Are the first `len` bits those of the prefix? */
static inline bool addr_in_prefix(const __be32 addr[4], const __be32 net[4], __u32 len)
{
	__u32 words = len / 32, rest = len % 32;

	if (memcmp(addr, net, words * sizeof(addr[0])))
		return false;
	return !rest || !((ntohl(addr[words]) ^ ntohl(net[words])) >> (32 - rest));
}

#endif /* SW_TEXT_H */
