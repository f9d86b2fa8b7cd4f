/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration as a value: read from a file (config_read.c), taken from a guard or brought to
 * one (config_run.c), written as a file (config_write.c), compared (config_diff.c).
 */
#ifndef SW_CONFIG_H
#define SW_CONFIG_H

#include <net/if.h>

#include "faults.h"
#include "kernel.h"
#include "lists.h"
#include "setting.h"
#include "tree.h"
#include "tunables.h"

#define SW_CONFIG_DEFAULT "/etc/synwarden/synwarden.yaml"

/* What a file speaks of. A section that is not there is left as it runs. */
enum config_has {
	CONFIG_DEVICES = 1 << 0,
	CONFIG_ENGINE = 1 << 1,
	CONFIG_CONNECTIONS = 1 << 2,
	CONFIG_SERVICES = 1 << 3,
	CONFIG_LIMITS = 1 << 4,
	CONFIG_LISTS = 1 << 5,
	CONFIG_FAIL_SAFE = 1 << 6,
};

struct config_device {
	char name[IF_NAMESIZE];
	enum xdp_mode xdp;
	struct place at;
};

struct config_service {
	struct sw_service service;
	struct place at;
};

struct config_list_file {
	enum sw_list list;
	char *name; /* as it is written */
};

struct config {
	unsigned int has; /* enum config_has */
	enum sw_engine engine;
	__u32 connections;
	struct config_device device[SW_MAX_DEVS];
	__u32 devices;
	struct config_service service[SW_MAX_SERVICES];
	__u32 services;
	struct sw_settings limits; /* only the numbers of tunables.h */
	__u16 fail_safe[SW_FAIL_SAFE];
	/* All three. key.service is the number of a service here, from 1, not its id in a guard. */
	struct list_set lists;
	/* Of a file: the list files it names, and what of `lists` is in them. */
	struct config_list_file *file;
	__u32 files;
	struct list_set filed;
};
#define autoconfig __attribute__((cleanup(config_free)))
void config_free(struct config *c);

/* What a new guard has, and all sections. */
void config_default(struct config *c);

/* The whole text of a file as it lies there; at most 1 MiB and a byte. */
int config_load(const char *path, char **text, size_t *len, struct faults *f);
/*
 * Adds what is wrong to `f`, and reads the list files that the text names: their paths begin
 * where `path` lies.
 */
void config_parse(struct config *c, const char *path, const char *text, size_t len,
		  struct faults *f);
/* Where a list file lies that is named in this one; -ENAMETOOLONG. */
int config_file_path(const char *config, const char *name, char path[PATH_MAX]);

/* A whole commented file that reads as `c`, or one section of it, without or with its comment. */
void config_write(const struct config *c, FILE *out);
void config_write_section(const struct config *c, enum config_has section, FILE *out);
void config_write_helped(const struct config *c, enum config_has section, FILE *out);
/*
 * `text`, which reads well, made to read as `c`: what differs is replaced, the rest stays with
 * its comments. -EINVAL: that cannot be done, write a whole one.
 */
int config_merge(const struct config *c, const char *path, const char *text, size_t len, FILE *out);

/* Calls `each` with the commands that would bring `running` to `file`; how many there are. */
typedef void config_change_fn(void *arg, enum config_has section, const char *command);
unsigned int config_diff(const struct config *running, const struct config *file,
			 config_change_fn *each, void *arg);

#endif /* SW_CONFIG_H */
