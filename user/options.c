/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of all commands, read once, and help with words that are none. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "util.h"

enum {
	ARG_PIN = 256,
	ARG_XDP,
	ARG_ENGINE,
	ARG_ALL,
	ARG_MODE,
	ARG_HOST_SYNS,
	ARG_FOLLOW,
	ARG_HELP,
	ARG_VERSION,
};

static const struct option long_options[] = {
	{ "pin", required_argument, NULL, ARG_PIN },
	{ "xdp", required_argument, NULL, ARG_XDP },
	{ "engine", required_argument, NULL, ARG_ENGINE },
	{ "all", no_argument, NULL, ARG_ALL },
	{ "mode", required_argument, NULL, ARG_MODE },
	{ "host-syns", required_argument, NULL, ARG_HOST_SYNS },
	{ "follow", no_argument, NULL, ARG_FOLLOW },
	{ "json", no_argument, NULL, 'j' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, ARG_HELP },
	{ "version", no_argument, NULL, ARG_VERSION },
	{ NULL, 0, NULL, 0 },
};

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

static int set_option(struct opts *o, int arg, struct text_why *why)
{
	switch (arg) {
	case ARG_XDP:
		o->given |= OPT_XDP;
		return text_xdp_mode(optarg, &o->xdp, why);
	case ARG_ENGINE:
		o->given |= OPT_ENGINE;
		return text_engine(optarg, &o->engine, why);
	case ARG_MODE:
		o->given |= OPT_MODE;
		return text_mode(optarg, &o->mode, why);
	case ARG_HOST_SYNS:
		o->given |= OPT_HOST_SYNS;
		snprintf(why->text, sizeof(why->text),
			 "bad --host-syns '%.40s': SYNs per second and CPU, 0 to 4294967295",
			 optarg);
		return text_u32(optarg, 0, ~0U, &o->host_syns);
	case ARG_ALL:
		o->given |= OPT_ALL;
		return 0;
	case ARG_FOLLOW:
		o->given |= OPT_FOLLOW;
		return 0;
	case ARG_PIN:
		o->pin = optarg;
		return check_pin(optarg, why);
	case 'j':
		o->json = true;
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
		if (arg == ARG_HELP)
			in->help = true;
		else if (arg == ARG_VERSION)
			in->version = true;
		else if (set_option(&in->o, arg, &why))
			return log_usage("%s", why.text);
		at = optind;
	}
	in->rest = optind;
	return 0;
}
