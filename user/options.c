/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of all commands, read once, and help with words that are none. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "arming.h"
#include "cmd.h"
#include "sources.h"
#include "util.h"

/* Options of single commands have the number of their bit behind this; these are for all. */
#define ARG_OPT(bit) (1024 + __builtin_ctzll(bit))
enum {
	ARG_PIN = 256,
	ARG_HELP,
	ARG_VERSION,
};

static const struct option long_options[] = {
	{ "pin", required_argument, NULL, ARG_PIN },
	{ "json", no_argument, NULL, 'j' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, ARG_HELP },
	{ "version", no_argument, NULL, ARG_VERSION },
	{ "xdp", required_argument, NULL, ARG_OPT(OPT_XDP) },
	{ "engine", required_argument, NULL, ARG_OPT(OPT_ENGINE) },
	{ "connections", required_argument, NULL, ARG_OPT(OPT_CONNECTIONS) },
	{ "all", no_argument, NULL, ARG_OPT(OPT_ALL) },
	{ "mode", required_argument, NULL, ARG_OPT(OPT_MODE) },
	{ "host-syns", required_argument, NULL, ARG_OPT(OPT_HOST_SYNS) },
	{ "per-source", required_argument, NULL, ARG_OPT(OPT_PER_SOURCE) },
	{ "per-net", required_argument, NULL, ARG_OPT(OPT_PER_NET) },
	{ "over", required_argument, NULL, ARG_OPT(OPT_OVER) },
	{ "banned", no_argument, NULL, ARG_OPT(OPT_BANNED) },
	{ "arm", required_argument, NULL, ARG_OPT(OPT_ARM) },
	{ "follow", no_argument, NULL, ARG_OPT(OPT_FOLLOW) },
	{ "state", required_argument, NULL, ARG_OPT(OPT_STATE) },
	{ "service", required_argument, NULL, ARG_OPT(OPT_SERVICE) },
	{ "source", required_argument, NULL, ARG_OPT(OPT_SOURCE) },
	{ "older", required_argument, NULL, ARG_OPT(OPT_OLDER) },
	{ "younger", required_argument, NULL, ARG_OPT(OPT_YOUNGER) },
	{ "sort", required_argument, NULL, ARG_OPT(OPT_SORT) },
	{ "reverse", no_argument, NULL, ARG_OPT(OPT_REVERSE) },
	{ "limit", required_argument, NULL, ARG_OPT(OPT_LIMIT) },
	{ "offset", required_argument, NULL, ARG_OPT(OPT_OFFSET) },
	{ "count", no_argument, NULL, ARG_OPT(OPT_COUNT) },
	{ "interval", required_argument, NULL, ARG_OPT(OPT_INTERVAL) },
	{ "ttl", required_argument, NULL, ARG_OPT(OPT_TTL) },
	{ "comment", required_argument, NULL, ARG_OPT(OPT_COMMENT) },
	{ "replace", no_argument, NULL, ARG_OPT(OPT_REPLACE) },
	{ "force", no_argument, NULL, ARG_OPT(OPT_FORCE) },
	{ "no-fail-safe", no_argument, NULL, ARG_OPT(OPT_NO_FAIL_SAFE) },
	{ "config", required_argument, NULL, ARG_OPT(OPT_CONFIG) },
	{ "boot", no_argument, NULL, ARG_OPT(OPT_BOOT) },
	{ "confirm", required_argument, NULL, ARG_OPT(OPT_CONFIRM) },
	{ "dry-run", no_argument, NULL, ARG_OPT(OPT_DRY_RUN) },
	{ "again", no_argument, NULL, ARG_OPT(OPT_AGAIN) },
	{ "rotate-keys", required_argument, NULL, ARG_OPT(OPT_ROTATE_KEYS) },
	{ "listen", required_argument, NULL, ARG_OPT(OPT_LISTEN) },
	{ "socket", required_argument, NULL, ARG_OPT(OPT_SOCKET) },
	{ "token-file", required_argument, NULL, ARG_OPT(OPT_TOKEN_FILE) },
	{ "textfile", required_argument, NULL, ARG_OPT(OPT_TEXTFILE) },
	{ NULL, 0, NULL, 0 },
};

const char *option_name(__u64 given)
{
	for (size_t i = 0; given && long_options[i].name; i++)
		if (long_options[i].val == ARG_OPT(given))
			return long_options[i].name;
	return "?";
}

static size_t edit_distance(const char *a, const char *b)
{
	size_t row[32], len = strlen(b);

	if (len >= ARRAY_SIZE(row))
		return len;
	for (size_t i = 0; i <= len; i++)
		row[i] = i;
	for (; *a; a++) {
		size_t diagonal = row[0]++;

		for (size_t i = 1; i <= len; i++) {
			size_t best = diagonal + (*a != b[i - 1]);

			diagonal = row[i];
			if (row[i] + 1 < best)
				best = row[i] + 1;
			if (row[i - 1] + 1 < best)
				best = row[i - 1] + 1;
			row[i] = best;
		}
	}
	return row[len];
}

const char *nearest_name(const char *word, const void *names, size_t count, size_t stride)
{
	const char *best = NULL;
	size_t least = 3; /* two edits are a slip, three another word */

	for (size_t i = 0; i < count; i++) {
		const char *name = *(const char *const *)((const char *)names + i * stride);
		size_t distance = name ? edit_distance(word, name) : least;

		if (distance < least && distance < strlen(name)) {
			least = distance;
			best = name;
		}
	}
	return best;
}

int no_arguments(const char *command, int argc, char **argv)
{
	return argc ? log_usage("%s takes no argument, got '%s'", command, argv[0]) : 0;
}

static int unknown_option(char **argv, int at)
{
	const char *word = argv[at];
	const char *near;

	if (strncmp(word, "--", 2))
		return log_usage("unknown option '-%c': see synwarden --help", optopt);
	near = nearest_name(word + 2, &long_options[0].name, ARRAY_SIZE(long_options),
			    sizeof(long_options[0]));
	log_usage("unknown option '%s': see synwarden --help", word);
	if (near)
		log_hint("did you mean '--%s'?", near);
	return 2;
}

/* A BPF file system keeps names with dots for itself. */
static int check_pin(const char *pin, struct text_why *why)
{
	const char *name = strrchr(pin, '/');

	if (pin[0] == '/' && name[1] && !strchr(name, '.'))
		return 0;
	snprintf(
		why->text, sizeof(why->text),
		"bad --pin '%.60s': an absolute path whose last name has no dot, such as " SW_PIN_DEFAULT,
		pin);
	return -EINVAL;
}

static int set_number(const char *name, const char *what, __u32 min, __u32 max, __u32 *value,
		      struct text_why *why)
{
	snprintf(why->text, sizeof(why->text), "bad --%s '%.40s': %s, %u to %u", name, optarg, what,
		 min, max);
	return text_u32(optarg, min, max, value);
}

static int set_seconds(const char *name, __u32 *value, struct text_why *why)
{
	snprintf(why->text, sizeof(why->text),
		 "bad --%s '%.40s': seconds, or a number with s, m, h or d behind it", name,
		 optarg);
	return text_duration(optarg, 0, ~0U - 1, value);
}

/* A prefix and ports: two words, of which getopt knows the first, or one with a space. */
static int set_service(struct sw_service *service, int argc, char **argv, struct text_why *why)
{
	char *ports = strchr(optarg, ' ');

	if (ports)
		*ports++ = '\0';
	else if (optind < argc)
		ports = argv[optind++];
	if (ports)
		return text_service(optarg, ports, service, why);
	snprintf(why->text, sizeof(why->text), "--service needs PREFIX|any and PORT[-PORT]");
	return -EINVAL;
}

static int set_ttl(__u32 *seconds, struct text_why *why)
{
	snprintf(why->text, sizeof(why->text),
		 "bad --ttl '%.40s': 1 s to ten years, a number with s, m, h or d behind it",
		 optarg);
	return text_duration(optarg, 1, LIST_TTL_MAX, seconds);
}

/* Options whose value is a name that the command reads itself. */
static const char **name_of(struct opts *o, __u64 opt)
{
	switch (opt) {
	case OPT_CONFIG:
		return &o->config;
	case OPT_LISTEN:
		return &o->listen;
	case OPT_SOCKET:
		return &o->socket;
	case OPT_TOKEN_FILE:
		return &o->token_file;
	case OPT_TEXTFILE:
		return &o->textfile;
	default:
		return NULL;
	}
}

/* Options of `conns`. */
static int set_query(struct opts *o, __u64 opt, int argc, char **argv, struct text_why *why)
{
	struct conn_query *q = &o->query;

	switch (opt) {
	case OPT_STATE:
		return text_states(optarg, &q->states, why);
	case OPT_SERVICE:
		return set_service(&o->service, argc, argv, why);
	case OPT_SOURCE:
		return text_prefix(optarg, q->source, &q->source_len, why);
	case OPT_OLDER:
		return set_seconds("older", &q->older_s, why);
	case OPT_YOUNGER:
		return set_seconds("younger", &q->younger_s, why);
	case OPT_SORT:
		return conn_sort_read(optarg, &q->sort, why);
	case OPT_REVERSE:
		q->reverse = true;
		return 0;
	case OPT_LIMIT:
		return set_number("limit", "connections", 0, ~0U - 1, &q->limit, why);
	case OPT_OFFSET:
		return set_number("offset", "connections", 0, ~0U - 1, &q->offset, why);
	default:
		return 0; /* --all, --follow and so on: that they are given says it all */
	}
}

static int set_option(struct opts *o, __u64 opt, int argc, char **argv, struct text_why *why)
{
	const char **name = name_of(o, opt);

	o->given |= opt;
	if (name)
		*name = optarg;
	switch (opt) {
	case OPT_XDP:
		return text_xdp_mode(optarg, &o->xdp, why);
	case OPT_ENGINE:
		return text_engine(optarg, &o->engine, why);
	case OPT_CONNECTIONS:
		return set_number("connections", "the most to track", SW_CONNS_MIN, SW_CONNS_MAX,
				  &o->connections, why);
	case OPT_MODE:
		return text_mode(optarg, &o->mode, why);
	case OPT_HOST_SYNS:
		return set_number("host-syns", "SYNs per second and CPU", 0, ~0U, &o->host_syns,
				  why);
	case OPT_PER_SOURCE:
	case OPT_PER_NET:
		o->per[opt == OPT_PER_NET] = optarg;
		return quota_read(optarg, &(struct sw_source_limit){ 0 }, why);
	case OPT_OVER:
		o->over = optarg;
		return over_read(optarg, &(struct sw_service){ 0 }, why);
	case OPT_ARM:
		o->arm = optarg;
		return arming_read(optarg, &(struct sw_service){ 0 }, why);
	case OPT_INTERVAL:
		return set_number("interval", "seconds", 1, 3600, &o->interval_s, why);
	case OPT_TTL:
		return set_ttl(&o->ttl_s, why);
	case OPT_COMMENT:
		return list_comment_read(optarg, o->comment, why);
	case OPT_CONFIRM:
		return set_number("confirm", "seconds", 1, 86400, &o->confirm_s, why);
	case OPT_DRY_RUN:
	case OPT_AGAIN:
		return 0;
	case OPT_ROTATE_KEYS:
		return set_number("rotate-keys", "seconds, 0 for never", 0, 31536000, &o->rotate_s,
				  why);
	default:
		return set_query(o, opt, argc, argv, why);
	}
}

/* Options of every command. */
static int set_common(struct invocation *in, int arg, struct text_why *why)
{
	switch (arg) {
	case ARG_HELP:
		in->help = true;
		return 0;
	case ARG_VERSION:
		in->version = true;
		return 0;
	case ARG_PIN:
		in->o.pin = optarg;
		return check_pin(optarg, why);
	case 'j':
		in->o.json = true;
		return 0;
	default:
		log_verbose = true;
		return 0;
	}
}

int options_parse(struct invocation *in, int argc, char **argv)
{
	struct text_why why;
	int arg, at = optind;

	opterr = 0;
	while ((arg = getopt_long(argc, argv, ":jv", long_options, NULL)) != -1) {
		if (arg == ':')
			return log_usage("option '%s' needs a value", argv[optind - 1]);
		if (arg == '?')
			return unknown_option(argv, optind > at ? optind - 1 : optind);
		if (arg >= ARG_OPT(1) ?
			    set_option(&in->o, 1ULL << (arg - ARG_OPT(1)), argc, argv, &why) :
			    set_common(in, arg, &why))
			return log_usage("%s", why.text);
		at = optind;
	}
	in->rest = optind;
	return 0;
}
