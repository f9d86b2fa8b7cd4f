/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What status says of the configuration file. */
#ifndef SW_CONFIG_STATUS_H
#define SW_CONFIG_STATUS_H

#include "json.h"
#include "kernel.h"

void config_status_print(const struct guard *g);
void config_status_json(const struct guard *g, struct json *j);

#endif /* SW_CONFIG_STATUS_H */
