/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command table and the usage printed from it. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "util.h"

struct command {
	const char *name;
	int (*run)(const struct opts *o, int argc, char **argv);
	__u64 accepts; /* enum opt */
	const char *args;
	const char *help;
};

#define CONNS_OPTS                                                                                 \
	(OPT_STATE | OPT_SERVICE | OPT_SOURCE | OPT_OLDER | OPT_YOUNGER | OPT_SORT | OPT_REVERSE | \
	 OPT_LIMIT | OPT_OFFSET | OPT_COUNT)

#define LIST_OPTS (OPT_SERVICE | OPT_TTL | OPT_COMMENT | OPT_REPLACE | OPT_FORCE)
#define LIST_ARGS                                                                                    \
	"add PREFIX... [--service PREFIX|any PORT[-PORT]] [--ttl TIME] [--comment TEXT]\n"           \
	"\tdel PREFIX... [--service ...], list, clear, or\n"                                         \
	"\tload FILE|- [--service ...] [--ttl TIME] [--comment TEXT] [--replace]; [--force]: even\n" \
	"\tif that keeps the one out who asks for it"

#define ATTACH_OPTS                                                                           \
	(OPT_XDP | OPT_ENGINE | OPT_CONNECTIONS | OPT_NO_FAIL_SAFE | OPT_CONFIG | OPT_FORCE | \
	 OPT_BOOT)
#define SERVICE_OPTS \
	(OPT_MODE | OPT_HOST_SYNS | OPT_ARM | OPT_PER_SOURCE | OPT_PER_NET | OPT_OVER | OPT_FORCE)

static const struct command commands[] = {
	{ "attach", cmd_attach, ATTACH_OPTS,
	  "DEV...|--config FILE [DEV...] [--xdp auto|native|generic]\n"
	  "\t[--engine auto|reqsk|listener] [--connections N] [--no-fail-safe] [--force]\n"
	  "\t[--boot]",
	  "guard these devices" },
	{ "detach", cmd_detach, OPT_ALL, "DEV...|--all",
	  "stop guarding them; --all removes the guard" },
	{ "service", cmd_service, SERVICE_OPTS,
	  "add|set|del PREFIX|any PORT[-PORT] [--mode off|monitor|auto|always] [--host-syns N]\n"
	  "\t[--arm syns=UPPER[:LOWER],half-open=UPPER[:LOWER],unfinished=PERCENT[:PERCENT],hold=TIME]\n"
	  "\t[--per-source new=N,burst=N,conns=N,half-closed=N,stalled=N|off] [--per-net ...]\n"
	  "\t[--over count|drop|ban:TIME] [--force], or list",
	  "what is guarded, and how strictly" },
	{ "allow", cmd_allow, LIST_OPTS, LIST_ARGS, "sources that the deny list does not refuse" },
	{ "deny", cmd_deny, LIST_OPTS, LIST_ARGS, "sources that may open no connection" },
	{ "fail-safe", cmd_fail_safe, LIST_OPTS, LIST_ARGS ",\n\tor port add|del PORT",
	  "sources and ports that no list refuses, whatever is configured" },
	{ "status", cmd_status, 0, "", "the guard and its devices" },
	{ "stats", cmd_stats, 0, "", "packets by service and reason" },
	{ "attacks", cmd_attacks, 0, "", "when services were armed, why, how high and how long" },
	{ "sources", cmd_sources, OPT_LIMIT | OPT_BANNED, "[--banned] [--limit N]",
	  "sources of services with limits, those with most connections first" },
	{ "ban", cmd_ban, 0, "list, or del PREFIX|all", "sources that are banned for a time" },
	{ "conns", cmd_conns, CONNS_OPTS,
	  "[--state STATE[,STATE...]] [--service PREFIX|any PORT[-PORT]] [--source PREFIX]\n"
	  "\t[--older TIME] [--younger TIME] [--sort age|idle|client|state] [--reverse]\n"
	  "\t[--limit N] [--offset N] [--count]",
	  "the connections and their states" },
	{ "events", cmd_events, OPT_FOLLOW | OPT_SOCKET, "[--follow] [--socket PATH]",
	  "single packets and changes of state, at a limited rate" },
	{ "metrics", cmd_metrics, OPT_SOCKET | OPT_TEXTFILE,
	  "[openmetrics] [--textfile FILE] [--socket PATH]", "what Prometheus reads" },
	{ "web", cmd_web, OPT_LISTEN | OPT_SOCKET | OPT_TOKEN_FILE,
	  "[--listen ADDRESS:PORT] [--token-file FILE] [--socket PATH]",
	  "serve metrics, a page and JSON over HTTP, from the daemon's socket" },
	{ "top", cmd_top, OPT_INTERVAL, "[--interval SECONDS]", "the guard, live in the terminal" },
	{ "limit", cmd_limit, 0, "show, or set NAME VALUE|default",
	  "timeouts and rates, changed while it runs" },
	{ "key", cmd_key, 0, "show|rotate", "the cookie keys' age; change to a new one" },
	{ "adopt", cmd_adopt, 0, "", "take note of the connections that live now" },
	{ "sweep", cmd_sweep, 0, "", "forget connections that the host no longer holds" },
	{ "run", cmd_run, OPT_INTERVAL | OPT_ROTATE_KEYS | OPT_SOCKET,
	  "[--interval SECONDS] [--rotate-keys SECONDS] [--socket PATH]",
	  "the daemon: sweep again and again, follow the devices" },
	{ "upgrade", cmd_upgrade, 0, "",
	  "put this binary's programs in the place of those that run" },
	{ "check", cmd_check, 0, "[FILE]", "name every error in a configuration file" },
	{ "diff", cmd_diff, 0, "[FILE]", "what a file would change, in words of commands" },
	{ "apply", cmd_apply, OPT_AGAIN | OPT_CONFIRM | OPT_DRY_RUN | OPT_FORCE,
	  "[FILE|--again] [--confirm SECONDS] [--dry-run] [--force]",
	  "bring a file into force at one stroke; back again unless confirmed" },
	{ "confirm", cmd_confirm, 0, "", "keep what 'apply --confirm' brought" },
	{ "save", cmd_save, 0, "[FILE|-]", "write what runs as a configuration file" },
	{ "replay", cmd_replay, OPT_CONFIG, "FILE.pcap|- [--config FILE]",
	  "what the guard would do with each packet of a capture" },
	{ "doctor", cmd_doctor, 0, "[DEV...]", "what this machine will do, and what to change" },
};

static void print_usage(FILE *out, const struct command *only)
{
	fprintf(out, "usage: synwarden [-j] [-v] [--pin DIR] %s\n\n",
		only ? only->name : "COMMAND ...");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (!only)
			fprintf(out, "  %-9s %s\n", c->name, c->help);
		else if (only == c)
			fprintf(out, "  %s %s\n\t%s\n", c->name, c->args, c->help);
	}
	fprintf(out, "\n  -j, --json     JSON instead of text\n"
		     "  -v, --verbose  say more, with libbpf's messages\n"
		     "  --pin DIR      where the guard is kept, default " SW_PIN_DEFAULT "\n"
		     "  --help, --version\n");
	if (!only)
		fprintf(out,
			"\n'synwarden COMMAND --help' shows its arguments; synwarden(8) has it all.\n");
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *near =
		nearest_name(name, &commands[0].name, ARRAY_SIZE(commands), sizeof(commands[0]));

	log_usage("unknown command '%s': see synwarden --help", name);
	if (near)
		log_hint("did you mean '%s'?", near);
	return 2;
}

static int check_accepted(const struct command *c, __u64 given)
{
	__u64 wrong = given & ~c->accepts;

	if (!wrong)
		return 0;
	return log_usage("%s does not take --%s: see synwarden %s --help", c->name,
			 option_name(wrong), c->name);
}

int main(int argc, char **argv)
{
	struct invocation in = { .o = OPTS_INIT };
	const struct command *c = NULL;
	int code = options_parse(&in, argc, argv);

	if (code)
		return code;
	log_take_libbpf();
	clock_begin();
	if (in.rest < argc) {
		c = find_command(argv[in.rest]);
		if (!c && !in.version)
			return unknown_command(argv[in.rest]);
	}
	if (in.version) {
		printf("synwarden %s, abi %u\n", SW_VERSION, SW_ABI_VERSION);
		return 0;
	}
	if (in.help || !c) {
		print_usage(in.help ? stdout : stderr, c);
		return in.help ? 0 : 2;
	}
	code = check_accepted(c, in.o.given);
	if (code)
		return code;
	code = c->run(&in.o, argc - in.rest - 1, argv + in.rest + 1);
	/* a full disk or a closed pipe must not look like success */
	if (fflush(stdout) || ferror(stdout))
		return EXIT_FAILURE;
	return code;
}
