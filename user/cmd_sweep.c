/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sweep: what has ended leaves the tables. Nothing in the packet path waits for it. */
#include <stdio.h>

#include "cmd.h"
#include "json.h"
#include "table.h"
#include "util.h"

__u32 sweep_freed(const struct sweep *s)
{
	__u32 sum = 0;

	for (__u32 i = 0; i < SW_STATE_MAX; i++)
		sum += s->freed[i];
	return sum;
}

void sweep_json(const struct sweep *s)
{
	struct json j;

	json_begin(&j, stdout);
	json_object(&j, NULL);
	json_u64(&j, "looked_at", s->looked);
	json_u64(&j, "asked_for", s->asked ? s->due : 0);
	json_u64(&j, "held", s->held);
	json_u64(&j, "freed", sweep_freed(s));
	json_object(&j, "freed_by_state");
	for (__u32 i = SW_CLOSED; i < SW_STATE_MAX; i++)
		if (s->freed[i])
			json_u64(&j, text_state_name((enum sw_state)i), s->freed[i]);
	json_end(&j);
	fflush(stdout);
}

static void sweep_print(const struct sweep *s)
{
	char n[TEXT_COUNT];

	printf("%-13s%s\n", "looked at:", text_count(s->looked, n));
	printf("%-13s%s", "asked for:", text_count(s->asked ? s->due : 0, n));
	printf(", the host holds %s\n", text_count(s->held, n));
	printf("%-13s%s\n", "freed:", text_count(sweep_freed(s), n));
	for (__u32 i = SW_CLOSED; i < SW_STATE_MAX; i++)
		if (s->freed[i])
			printf("  %-13s%s\n", text_state_name((enum sw_state)i),
			       text_count(s->freed[i], n));
}

static int sweep_open(const struct opts *o, const char *command, struct guard *g, struct tables *t)
{
	int err = probe_require_capabilities(command);

	if (!err)
		err = guard_open(g, o->pin);
	return err ? err : tables_open_parts(g, t);
}

int cmd_sweep(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autotables struct tables t = { 0 };
	autoparts struct sweep_parts parts = { 0 };
	struct sweep s = { .parts = &parts };
	int here, err = no_arguments("sweep", argc, argv);

	if (err)
		return err;
	if (sweep_open(o, "sweep", &g, &t) || sweep_parts_new(&g, &parts))
		return EXIT_FAILURE;
	/* sockets of another namespace would say nothing of these connections */
	here = dev_here(&g);
	if (here < 0)
		return EXIT_FAILURE;
	if (!here)
		log_note("no device is attached: the host is not asked");
	s.may_ask = here;
	if (table_sweep(&g, &t, &s))
		return EXIT_FAILURE;
	if (o->json)
		sweep_json(&s);
	else
		sweep_print(&s);
	return 0;
}
