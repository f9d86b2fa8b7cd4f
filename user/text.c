/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The only parser of numbers, ports and prefixes, and the only writer of their names. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "text.h"
#include "util.h"

static const char *const mode_names[] = {
	[SW_MODE_OFF] = "off",
	[SW_MODE_MONITOR] = "monitor",
	[SW_MODE_AUTO] = "auto",
	[SW_MODE_ALWAYS] = "always",
};

static const char *const engine_names[] = {
	[SW_ENGINE_AUTO] = "auto",
	[SW_ENGINE_REQSK] = "reqsk",
	[SW_ENGINE_LISTENER] = "listener",
};

static const char *const xdp_mode_names[] = {
	[XDP_MODE_AUTO] = "auto",
	[XDP_MODE_NATIVE] = "native",
	[XDP_MODE_GENERIC] = "generic",
};

static const char *const hook_names[] = {
	[SW_HOOK_XDP] = "xdp",
	[SW_HOOK_TC_IN] = "tc_in",
	[SW_HOOK_TC_OUT] = "tc_out",
};
_Static_assert(ARRAY_SIZE(hook_names) == SW_HOOK_MAX, "a name for each hook");

/* The first two are of slots, no connection is in them. */
static const char *const state_names[] = {
	[SW_FREE] = "FREE",
	[SW_CLAIMED] = "CLAIMED",
	[SW_CLOSED] = "CLOSED",
	[SW_LISTEN] = "LISTEN",
	[SW_SYN_SENT] = "SYN-SENT",
	[SW_SYN_RECEIVED] = "SYN-RECEIVED",
	[SW_ESTABLISHED] = "ESTABLISHED",
	[SW_FIN_WAIT_1] = "FIN-WAIT-1",
	[SW_FIN_WAIT_2] = "FIN-WAIT-2",
	[SW_CLOSE_WAIT] = "CLOSE-WAIT",
	[SW_CLOSING] = "CLOSING",
	[SW_LAST_ACK] = "LAST-ACK",
	[SW_TIME_WAIT] = "TIME-WAIT",
};
_Static_assert(ARRAY_SIZE(state_names) == SW_STATE_MAX, "a name for each state");

static const char *const table_names[] = {
	[SW_TABLE_CONNS] = "proven",
	[SW_TABLE_HALF] = "half-open",
};
_Static_assert(ARRAY_SIZE(table_names) == SW_TABLE_MAX, "a name for each table");

struct reason_row {
	const char *label;
	const char *verdict;
	const char *help;
};

#define VERDICT_PASS "pass"
#define VERDICT_TX   "tx"
#define VERDICT_DROP "drop"

static const struct reason_row reasons[] = {
#define X(name, verdict, label, help) [SW_##name] = { label, VERDICT_##verdict, help },
	SW_REASONS(X)
#undef X
};
_Static_assert(ARRAY_SIZE(reasons) == SW_REASON_MAX, "a row for each reason");

int text_u64(const char *s, __u64 min, __u64 max, __u64 *value)
{
	__u64 n = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (__u64)(*s - '0'), &n))
			return -EINVAL;
	}
	if (n < min || n > max)
		return -EINVAL;
	*value = n;
	return 0;
}

int text_u32(const char *s, __u32 min, __u32 max, __u32 *value)
{
	__u64 n;

	if (text_u64(s, min, max, &n))
		return -EINVAL;
	*value = (__u32)n;
	return 0;
}

int text_duration(const char *s, __u32 min, __u32 max, __u32 *seconds)
{
	static const struct {
		char unit;
		__u32 seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	size_t len = strlen(s);
	char digits[16];
	__u64 n, each = 1;

	if (!len || len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, s, len + 1);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (digits[len - 1] != units[i].unit)
			continue;
		each = units[i].seconds;
		digits[len - 1] = '\0';
		break;
	}
	if (text_u64(digits, 0, ~0U, &n) || n * each < min || n * each > max)
		return -EINVAL;
	*seconds = (__u32)(n * each);
	return 0;
}

static int why_set(struct text_why *why, const char *fmt, ...) format_like(2);

static int why_set(struct text_why *why, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, args);
	va_end(args);
	return -EINVAL;
}

int text_ports(const char *s, __u16 *first, __u16 *last, struct text_why *why)
{
	const char *dash = strchr(s, '-');
	size_t len = dash ? (size_t)(dash - s) : strlen(s);
	char head[8];
	__u32 lo, hi;

	if (len >= sizeof(head))
		len = sizeof(head) - 1;
	memcpy(head, s, len);
	head[len] = '\0';
	if ((s[len] && s + len != dash) || text_u32(head, 1, 65535, &lo) ||
	    text_u32(dash ? dash + 1 : head, 1, 65535, &hi))
		return why_set(why, "bad port '%.40s': PORT or PORT-PORT, each 1 to 65535", s);
	if (lo > hi)
		return why_set(why, "bad port range '%.40s': the first is above the last", s);
	*first = (__u16)lo;
	*last = (__u16)hi;
	return 0;
}

static const __u8 v4_mapped_head[12] = { [10] = 0xff, [11] = 0xff };

bool addr_is_v4(const __be32 addr[4])
{
	return !memcmp(addr, v4_mapped_head, sizeof(v4_mapped_head));
}

const char *text_addr(const __be32 addr[4], char buf[TEXT_ADDR])
{
	if (addr_is_v4(addr))
		inet_ntop(AF_INET, &addr[3], buf, TEXT_ADDR);
	else
		inet_ntop(AF_INET6, addr, buf, TEXT_ADDR);
	return buf;
}

/* Clears the bits behind the prefix; tells whether there were any. */
static bool mask_host_bits(__be32 addr[4], __u32 len)
{
	__u8 *byte = (__u8 *)addr;
	bool had = false;

	for (__u32 i = 0; i < 16; i++) {
		__u32 keep = len > i * 8 ? len - i * 8 : 0;
		__u8 mask = keep >= 8 ? 0xff : (__u8)(0xff00 >> keep);

		had |= byte[i] & ~mask;
		byte[i] &= mask;
	}
	return had;
}

/* Does an IPv6 prefix reach into ::ffff:0:0/96, where IPv4 is kept? */
static bool covers_v4(const __be32 addr[4], __u32 len)
{
	__be32 low[4] = { 0 };

	memcpy(low, v4_mapped_head, sizeof(v4_mapped_head));
	mask_host_bits(low, len);
	return len <= 96 ? !memcmp(low, addr, sizeof(low)) : addr_is_v4(addr);
}

/* The address and the length behind its slash, in v4-mapped space. */
static int prefix_read(const char *s, __be32 net[4], __u32 *bits, struct text_why *why)
{
	const char *slash = strchr(s, '/');
	size_t len = slash ? (size_t)(slash - s) : strlen(s);
	char host[INET6_ADDRSTRLEN];
	__u32 width;
	bool v4;

	if (len >= sizeof(host))
		goto bad;
	memcpy(host, s, len);
	host[len] = '\0';
	memcpy(net, v4_mapped_head, sizeof(v4_mapped_head));
	v4 = inet_pton(AF_INET, host, &net[3]) == 1;
	if (!v4 && inet_pton(AF_INET6, host, net) != 1)
		goto bad;
	width = v4 ? 32 : 128;
	*bits = width;
	if (slash && text_u32(slash + 1, 0, width, bits))
		return why_set(why, "bad prefix length in '%.60s': 0 to %u", s, width);
	if (!v4 && covers_v4(net, *bits))
		return why_set(why,
			       "'%.60s' covers IPv4-mapped addresses: "
			       "write IPv4 as a.b.c.d/n, both families as 'any'",
			       s);
	*bits += v4 ? 96 : 0;
	return 0;
bad:
	return why_set(why, "bad prefix '%.60s': 'any', an IPv4 or IPv6 address, or ADDRESS/LENGTH",
		       s);
}

int text_prefix(const char *s, __be32 addr[4], __u32 *len, struct text_why *why)
{
	__be32 net[4] = { 0 };
	char text[TEXT_ADDR];
	__u32 bits = 0;

	if (strcmp(s, "any")) {
		if (prefix_read(s, net, &bits, why))
			return -EINVAL;
		if (mask_host_bits(net, bits))
			return why_set(why,
				       "'%.60s' has bits set behind its prefix: "
				       "the network is %s/%u",
				       s, text_addr(net, text), addr_is_v4(net) ? bits - 96 : bits);
	}
	memcpy(addr, net, sizeof(net));
	*len = bits;
	return 0;
}

int text_service(const char *prefix, const char *ports, struct sw_service *service,
		 struct text_why *why)
{
	struct sw_service read = *service;

	if (text_prefix(prefix, read.addr, &read.prefix_len, why) ||
	    text_ports(ports, &read.port_first, &read.port_last, why))
		return -EINVAL;
	*service = read;
	return 0;
}

static int name_find(const char *const *names, size_t count, const char *s)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i], s))
			return (int)i;
	return -EINVAL;
}

int text_mode(const char *s, enum sw_mode *mode, struct text_why *why)
{
	int i = name_find(mode_names, ARRAY_SIZE(mode_names), s);

	if (i < 0)
		return why_set(why, "unknown mode '%.40s': off, monitor, auto or always", s);
	*mode = (enum sw_mode)i;
	return 0;
}

int text_engine(const char *s, enum sw_engine *engine, struct text_why *why)
{
	int i = name_find(engine_names, ARRAY_SIZE(engine_names), s);

	if (i < 0)
		return why_set(why, "unknown engine '%.40s': auto, reqsk or listener", s);
	*engine = (enum sw_engine)i;
	return 0;
}

int text_xdp_mode(const char *s, enum xdp_mode *mode, struct text_why *why)
{
	int i = name_find(xdp_mode_names, ARRAY_SIZE(xdp_mode_names), s);

	if (i < 0)
		return why_set(why, "unknown XDP mode '%.40s': auto, native or generic", s);
	*mode = (enum xdp_mode)i;
	return 0;
}

static bool same_state_name(const char *name, const char *s, size_t len)
{
	if (strlen(name) != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = s[i] == '_' ? '-' : (char)toupper((unsigned char)s[i]);

		if (c != name[i])
			return false;
	}
	return true;
}

static int state_read(const char *s, size_t len, enum sw_state *state, struct text_why *why)
{
	for (unsigned int i = SW_CLOSED; i < SW_STATE_MAX; i++) {
		if (!same_state_name(state_names[i], s, len))
			continue;
		*state = (enum sw_state)i;
		return 0;
	}
	return why_set(why,
		       "unknown state '%.*s': closed, syn-sent, syn-received, established, "
		       "fin-wait-1, fin-wait-2, close-wait, closing, last-ack or time-wait",
		       len < 24 ? (int)len : 24, s);
}

int text_state(const char *s, enum sw_state *state, struct text_why *why)
{
	return state_read(s, strlen(s), state, why);
}

int text_states(const char *s, __u32 *mask, struct text_why *why)
{
	enum sw_state state;
	__u32 read = 0;

	for (;; s++) {
		size_t len = strcspn(s, ",");

		if (state_read(s, len, &state, why))
			return -EINVAL;
		read |= 1U << state;
		s += len;
		if (!*s)
			break;
	}
	*mask = read;
	return 0;
}

/* Values come from pinned maps, so they may be anything. */
static const char *name_of(const char *const *names, size_t count, unsigned int i)
{
	return i < count ? names[i] : "?";
}

const char *text_state_name(enum sw_state state)
{
	return name_of(state_names, ARRAY_SIZE(state_names), state);
}

const char *text_table_name(enum sw_table table)
{
	return name_of(table_names, ARRAY_SIZE(table_names), table);
}

const char *text_mode_name(enum sw_mode mode)
{
	return name_of(mode_names, ARRAY_SIZE(mode_names), mode);
}

const char *text_engine_name(enum sw_engine engine)
{
	return name_of(engine_names, ARRAY_SIZE(engine_names), engine);
}

const char *text_xdp_mode_name(enum xdp_mode mode)
{
	return name_of(xdp_mode_names, ARRAY_SIZE(xdp_mode_names), mode);
}

const char *text_hook_name(enum sw_hook hook)
{
	return name_of(hook_names, ARRAY_SIZE(hook_names), hook);
}

static const struct reason_row *reason_row(enum sw_reason reason)
{
	static const struct reason_row none = { "?", "?", "?" };

	return reason > SW_CONTINUE && reason < SW_REASON_MAX ? &reasons[reason] : &none;
}

const char *text_reason(enum sw_reason reason)
{
	return reason_row(reason)->label;
}

const char *text_verdict(enum sw_reason reason)
{
	return reason_row(reason)->verdict;
}

const char *text_reason_help(enum sw_reason reason)
{
	return reason_row(reason)->help;
}

const char *text_endpoint(const __be32 addr[4], __be16 port, char buf[TEXT_ADDR + 8])
{
	char host[TEXT_ADDR];

	snprintf(buf, TEXT_ADDR + 8, addr_is_v4(addr) ? "%s:%u" : "[%s]:%u", text_addr(addr, host),
		 ntohs(port));
	return buf;
}

const char *text_prefix_name(const __be32 addr[4], __u32 len, char buf[TEXT_PREFIX])
{
	bool v4 = addr_is_v4(addr) && len >= 96;
	__u32 width = v4 ? 32 : 128, bits = v4 ? len - 96 : len;
	char host[TEXT_ADDR];

	if (!len)
		snprintf(buf, TEXT_PREFIX, "any");
	else if (bits == width)
		snprintf(buf, TEXT_PREFIX, "%s", text_addr(addr, host));
	else
		snprintf(buf, TEXT_PREFIX, "%s/%u", text_addr(addr, host), bits);
	return buf;
}

const char *text_service_name(const struct sw_service *service, char buf[TEXT_SERVICE])
{
	char prefix[TEXT_PREFIX], ports[16];

	text_prefix_name(service->addr, service->prefix_len, prefix);
	if (service->port_first == service->port_last)
		snprintf(ports, sizeof(ports), "%u", service->port_first);
	else
		snprintf(ports, sizeof(ports), "%u-%u", service->port_first, service->port_last);
	snprintf(buf, TEXT_SERVICE, "%s %s", prefix, ports);
	return buf;
}

const char *text_tcp_flags(__u8 flags, char buf[TEXT_FLAGS])
{
	static const char *const names[] = {
		"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"
	};
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (flags >> i & 1)
			len += (size_t)snprintf(buf + len, TEXT_FLAGS - len, "%s%s", len ? "," : "",
						names[i]);
	return buf;
}

const char *text_count(__u64 n, char buf[TEXT_COUNT])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *out = buf;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = '\0';
	return buf;
}

const char *text_age(__u32 seconds, char buf[TEXT_AGE])
{
	__u32 minutes = seconds / 60, hours = minutes / 60;

	if (!minutes)
		snprintf(buf, TEXT_AGE, "%us", seconds);
	else if (!hours)
		snprintf(buf, TEXT_AGE, "%um%02us", minutes, seconds % 60);
	else if (hours < 24)
		snprintf(buf, TEXT_AGE, "%uh%02um", hours, minutes % 60);
	else
		snprintf(buf, TEXT_AGE, "%ud%02uh", hours / 24, hours % 24);
	return buf;
}
