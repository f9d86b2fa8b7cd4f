/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands and the options they share. Each returns an exit code: 0 done, 1 failed, 2 usage. */
#ifndef SW_CMD_H
#define SW_CMD_H

#include <stdbool.h>

#include "conns.h"
#include "kernel.h"

/* Which options were given; a command accepts a set of them. Named in options.c. */
enum opt {
	OPT_XDP = 1 << 0,
	OPT_ENGINE = 1 << 1,
	OPT_CONNECTIONS = 1 << 2,
	OPT_ALL = 1 << 3,
	OPT_MODE = 1 << 4,
	OPT_HOST_SYNS = 1 << 5,
	OPT_FOLLOW = 1 << 6,
	OPT_STATE = 1 << 7,
	OPT_SERVICE = 1 << 8,
	OPT_SOURCE = 1 << 9,
	OPT_OLDER = 1 << 10,
	OPT_YOUNGER = 1 << 11,
	OPT_SORT = 1 << 12,
	OPT_REVERSE = 1 << 13,
	OPT_LIMIT = 1 << 14,
	OPT_OFFSET = 1 << 15,
	OPT_COUNT = 1 << 16,
	OPT_INTERVAL = 1 << 17,
	OPT_ROTATE_KEYS = 1 << 18,
	OPT_TTL = 1 << 24,
	OPT_COMMENT = 1 << 25,
	OPT_REPLACE = 1 << 26,
	OPT_FORCE = 1 << 27,
	OPT_NO_FAIL_SAFE = 1 << 28,
	OPT_CONFIG = 1 << 19,
	OPT_CONFIRM = 1 << 20,
	OPT_DRY_RUN = 1 << 21,
	OPT_BOOT = 1 << 22,
	OPT_ARM = 1 << 30,
	OPT_PER_SOURCE = 1ULL << 31,
	OPT_PER_NET = 1ULL << 32,
	OPT_OVER = 1ULL << 33,
	OPT_BANNED = 1ULL << 34,
	OPT_LISTEN = 1ULL << 35,
	OPT_SOCKET = 1ULL << 36,
	OPT_TOKEN_FILE = 1ULL << 37,
	OPT_TEXTFILE = 1ULL << 38,
	OPT_AGAIN = 1ULL << 39,
};

struct opts {
	__u64 given; /* enum opt */
	const char *pin;
	bool json;
	enum xdp_mode xdp;
	enum sw_engine engine;
	__u32 connections;
	enum sw_mode mode;
	__u32 host_syns;
	const char *arm;            /* words of arming_read() */
	const char *per[SW_LEVELS]; /* of quota_read() */
	const char *over;           /* of over_read() */
	struct conn_query query;
	struct sw_service service; /* of --service */
	__u32 interval_s;
	__u32 ttl_s;
	char comment[SW_COMMENT];
	const char *config;        /* of --config */
	const struct config *file; /* as attach has read it */
	__u32 confirm_s;
	__u32 rotate_s;         /* 0: keys stay */
	const char *listen;     /* of --listen: ADDRESS:PORT */
	const char *socket;     /* of --socket, see control.h */
	const char *token_file; /* NULL: whoever reaches the port may look */
	const char *textfile;   /* of metrics --textfile */
};
#define OPTS_INIT                                                                        \
	{                                                                                \
		.pin = SW_PIN_DEFAULT, .connections = SW_CONNS, .query = CONN_QUERY_ALL, \
		.interval_s = SW_INTERVAL_DEFAULT                                        \
	}
#define SW_INTERVAL_DEFAULT 5

struct invocation {
	struct opts o;
	bool help;
	bool version;
	int rest; /* index of the command in argv */
};

/* Options may stand before and behind the command. 0, or the exit code. */
int options_parse(struct invocation *in, int argc, char **argv);
/* How the lowest of these is written. */
const char *option_name(__u64 given);

/* argv[0] is the first word behind the command. */
int cmd_attach(const struct opts *o, int argc, char **argv);
int cmd_detach(const struct opts *o, int argc, char **argv);
int cmd_adopt(const struct opts *o, int argc, char **argv);
int cmd_attacks(const struct opts *o, int argc, char **argv);
int cmd_sources(const struct opts *o, int argc, char **argv);
int cmd_ban(const struct opts *o, int argc, char **argv);
int cmd_service(const struct opts *o, int argc, char **argv);
int cmd_allow(const struct opts *o, int argc, char **argv);
int cmd_deny(const struct opts *o, int argc, char **argv);
int cmd_fail_safe(const struct opts *o, int argc, char **argv);
int cmd_status(const struct opts *o, int argc, char **argv);
int cmd_stats(const struct opts *o, int argc, char **argv);
int cmd_events(const struct opts *o, int argc, char **argv);
int cmd_key(const struct opts *o, int argc, char **argv);
int cmd_doctor(const struct opts *o, int argc, char **argv);
int cmd_conns(const struct opts *o, int argc, char **argv);
int cmd_limit(const struct opts *o, int argc, char **argv);
int cmd_sweep(const struct opts *o, int argc, char **argv);
int cmd_run(const struct opts *o, int argc, char **argv);
int cmd_check(const struct opts *o, int argc, char **argv);
int cmd_diff(const struct opts *o, int argc, char **argv);
int cmd_apply(const struct opts *o, int argc, char **argv);
int cmd_confirm(const struct opts *o, int argc, char **argv);
int cmd_save(const struct opts *o, int argc, char **argv);

int cmd_metrics(const struct opts *o, int argc, char **argv);
int cmd_web(const struct opts *o, int argc, char **argv);
int cmd_top(const struct opts *o, int argc, char **argv);
int cmd_replay(const struct opts *o, int argc, char **argv);

struct config;
/*
 * What --config says to attach: reads the file, takes from it what the command line leaves open,
 * and its devices if that names none, into `names`. 0, or the exit code.
 */
int attach_config(struct opts *o, struct config *c, int *argc, char ***argv,
		  char *names[SW_MAX_DEVS]);
enum xdp_mode attach_mode(const struct opts *o, const char *name);
/* With --boot, for a guard that is there: devices alone are taken from the file. */
void attach_config_keep(struct opts *o, const struct opts *given);
/* Before the guard is armed; does nothing without --config. */
int attach_configure(const struct guard *g, const struct opts *o);
/* The one word FILE may be, or the default. 0, or the exit code of a complaint. */
int config_file_word(const char *command, int argc, char **argv, const char **path);
/* Prints the commands that lie between; how many. */
unsigned int config_print_diff(const struct opts *o, const struct config *running,
			       const struct config *file);
int cmd_upgrade(const struct opts *o, int argc, char **argv);

/* cmd_sweep.c, for `run` too */
struct sweep;
void sweep_json(const struct sweep *s);
__u32 sweep_freed(const struct sweep *s);

/* Prints one list: cmd_list_show.c. */
int list_show(const struct guard *g, enum sw_list list, bool as_json);
struct lists_sum {
	__u32 entries[SW_LIST_MAX];
	__u64 hits[LIST_HITS];
};
struct json;
/* What is in the lists, for `status`. */
int lists_sum(const struct guard *g, __u32 gen, struct lists_sum *sum);
void lists_sum_json(const struct lists_sum *sum, const struct services *set, struct json *j);
void lists_sum_print(const struct lists_sum *sum, const struct services *set);

/* Of cookies: the epoch now, the seconds since the key in use was made. */
__u32 key_epoch(void);
__u64 key_age(const struct guard *g, const struct sw_keysched *sched);

/* Whether the cookies of the key before the present one have all expired. */
bool key_may_rotate(const struct guard *g);
int key_rotate(const struct guard *g);

/* Says that there is no such service, and which is near; returns -ENOENT. */
int no_such_service(const struct services *set, const struct sw_service *want);

/* The word nearest to `word` among `count` names `stride` bytes apart, NULL if none is near. */
const char *nearest_name(const char *word, const void *names, size_t count, size_t stride);
/* 0, or the exit code of a complaint. */
int no_arguments(const char *command, int argc, char **argv);

#endif /* SW_CMD_H */
