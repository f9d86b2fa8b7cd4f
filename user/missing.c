/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands that are not in this build, as a library for them was not there when it was made. The
 * real ones, in cmd_NAME.c, take the place of these when they are linked.
 */
#include <errno.h>

#include "cmd.h"
#include "util.h"

static int missing(const char *command, const char *library)
{
	log_refuse(-ENOTSUP, "this synwarden was built without '%s': %s was not there", command,
		   library);
	return EXIT_FAILURE;
}

__attribute__((weak)) int cmd_web(const struct opts *o, int argc, char **argv)
{
	(void)o, (void)argc, (void)argv;
	return missing("web", "libmicrohttpd");
}

__attribute__((weak)) int cmd_top(const struct opts *o, int argc, char **argv)
{
	(void)o, (void)argc, (void)argv;
	return missing("top", "ncursesw");
}

__attribute__((weak)) int cmd_replay(const struct opts *o, int argc, char **argv)
{
	(void)o, (void)argc, (void)argv;
	return missing("replay", "libpcap");
}
