/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The typed table of settings; see setting.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "util.h"

#define NO_RANGE 0, 0, NULL

const struct setting global_settings[GLOBAL_SETTINGS] = {
	[GLOBAL_ENGINE] = { "engine", "--engine", SETTING_ENGINE, offsetof(struct config, engine),
			    NO_RANGE,
			    "auto, reqsk (Linux 6.9) or listener (the kernel's own cookie); taken at attach" },
	[GLOBAL_CONNECTIONS] = { "connections", "--connections", SETTING_NUMBER,
				 offsetof(struct config, connections), SW_CONNS_MIN, SW_CONNS_MAX,
				 "the most to track",
				 "the most connections to track, at most 128 bytes each; taken at attach" },
};

const struct setting device_settings[DEVICE_SETTINGS] = {
	[DEVICE_XDP] = { "xdp", "--xdp", SETTING_XDP, offsetof(struct config_device, xdp), NO_RANGE,
			 "auto, native or generic" },
};

const struct setting service_settings[SERVICE_SETTINGS] = {
	[SERVICE_MODE] = { "mode", "--mode", SETTING_MODE, offsetof(struct sw_service, mode),
			   NO_RANGE,
			   "off, monitor (judge and count, pass), auto (cookies under attack) or always" },
	[SERVICE_HOST_SYNS] = { "host-syns", "--host-syns", SETTING_NUMBER,
				offsetof(struct sw_service, host_syns_pps), 0, ~0U,
				"SYNs per second and CPU",
				"SYNs per second and CPU that the host answers itself" },
};

static int number_read(const struct setting *s, const char *word, __u32 *value,
		       struct text_why *why)
{
	snprintf(why->text, sizeof(why->text), "bad %s '%.40s': %s, %u to %u", s->name, word,
		 s->expects, s->min, s->max);
	return text_u32(word, s->min, s->max, value);
}

int setting_read(const struct setting *s, const char *word, void *object, struct text_why *why)
{
	void *at = (char *)object + s->offset;

	switch (s->type) {
	case SETTING_MODE:
		return text_mode(word, at, why);
	case SETTING_ENGINE:
		return text_engine(word, at, why);
	case SETTING_XDP:
		return text_xdp_mode(word, at, why);
	case SETTING_NUMBER:
		return number_read(s, word, at, why);
	}
	return -EINVAL;
}

const char *setting_text(const struct setting *s, const void *object, char buf[SETTING_TEXT])
{
	const void *at = (const char *)object + s->offset;

	switch (s->type) {
	case SETTING_MODE:
		snprintf(buf, SETTING_TEXT, "%s", text_mode_name(*(const enum sw_mode *)at));
		break;
	case SETTING_ENGINE:
		snprintf(buf, SETTING_TEXT, "%s", text_engine_name(*(const enum sw_engine *)at));
		break;
	case SETTING_XDP:
		snprintf(buf, SETTING_TEXT, "%s", text_xdp_mode_name(*(const enum xdp_mode *)at));
		break;
	case SETTING_NUMBER:
		snprintf(buf, SETTING_TEXT, "%u", *(const __u32 *)at);
		break;
	}
	return buf;
}
