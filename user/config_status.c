/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What status says of the configuration file. */
#include "config_status.h"

#include "config_run.h"
#include "pending.h"

static void print_applied(const struct config_applied *a)
{
	char name[256];

	text_tame(a->path, name, sizeof(name));
	printf("  configuration: %s", name);
	if (a->broken)
		printf(", which has errors: synwarden check\n");
	else if (!a->differs)
		printf(", nothing differs\n");
	else
		printf(", %u setting%s differ%s%s: synwarden diff\n", a->differs,
		       a->differs == 1 ? "" : "s", a->differs == 1 ? "s" : "",
		       a->changed ? ", it was changed" : "");
}

void config_status_print(const struct guard *g)
{
	struct config_applied a;
	int left = pending_look(g);

	if (config_applied(g, &a))
		print_applied(&a);
	if (left > 0)
		printf("  %-13s%d s left to confirm it\n", "", left);
	else if (!left)
		printf("  %-13snot confirmed in time: what ran before is due\n", "");
}

void config_status_json(const struct guard *g, struct json *j)
{
	struct config_applied a;
	int left = pending_look(g);

	if (!config_applied(g, &a)) {
		json_null(j, "configuration");
		return;
	}
	json_object(j, "configuration");
	json_str(j, "file", a.path);
	json_bool(j, "changed", a.changed);
	json_bool(j, "broken", a.broken);
	if (!a.broken)
		json_u64(j, "differs", a.differs);
	if (left >= 0)
		json_u64(j, "confirm_left_s", (__u64)left);
	json_close(j);
}
