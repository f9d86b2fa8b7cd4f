/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metrics: what Prometheus reads. */
#include "cmd.h"
#include "facts.h"
#include "util.h"

int cmd_metrics(const struct opts *o, int argc, char **argv)
{
	(void)o;
	return no_arguments("metrics", argc, argv);
}
