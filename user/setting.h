/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The typed table of the settings of a configuration file, but for the limits, which have their
 * own (tunables.h), and the marks of arming (arming.h). It is what a file is read by, written by
 * and compared by. Pure.
 */
#ifndef SW_SETTING_H
#define SW_SETTING_H

#include <stddef.h>

#include "text.h"

enum setting_type {
	SETTING_MODE,
	SETTING_ENGINE,
	SETTING_XDP,
	SETTING_NUMBER,
};

struct setting {
	const char *name;
	const char *option; /* of the command line */
	enum setting_type type;
	size_t offset; /* of a __u32 or enum in the object it belongs to */
	__u32 min, max;
	const char *expects;
	const char *help;
};

enum {
	GLOBAL_ENGINE,
	GLOBAL_CONNECTIONS,
	GLOBAL_SETTINGS,
};
enum {
	DEVICE_XDP,
	DEVICE_SETTINGS,
};
enum {
	SERVICE_MODE,
	SERVICE_HOST_SYNS,
	SERVICE_SETTINGS,
};

/* Of struct config, struct config_device, struct sw_service. */
extern const struct setting global_settings[GLOBAL_SETTINGS];
extern const struct setting device_settings[DEVICE_SETTINGS];
extern const struct setting service_settings[SERVICE_SETTINGS];

#define SETTING_TEXT 16

int setting_read(const struct setting *s, const char *word, void *object, struct text_why *why);
/* As setting_read() and the command line take it. */
const char *setting_text(const struct setting *s, const void *object, char buf[SETTING_TEXT]);

#endif /* SW_SETTING_H */
