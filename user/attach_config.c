/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attach --config: what the file says of devices, engine and tables, and that it is in force. */
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "config_run.h"
#include "pending.h"

static int check_devices(const struct opts *o, const struct config *c)
{
	autofaults struct faults f = { 0 };

	for (__u32 i = 0; i < c->devices; i++)
		if (!(o->given & OPT_BOOT) && !if_nametoindex(c->device[i].name))
			faults_add(&f, c->device[i].at, "no device '%s' in this network namespace",
				   c->device[i].name);
	if (!c->devices)
		faults_add(&f, (struct place){ 0 },
			   "no devices: name them here or behind 'attach'");
	faults_print(&f, o->config, stderr);
	return f.total ? EXIT_FAILURE : 0;
}

int attach_config(struct opts *o, struct config *c, int *argc, char ***argv,
		  char *names[SW_MAX_DEVS])
{
	int err;

	if (o->given & OPT_FORCE && !o->config)
		return log_usage("attach takes --force with --config only");
	/* a machine may be set up without one */
	if (o->config && o->given & OPT_BOOT && access(o->config, F_OK) && errno == ENOENT) {
		log_note("%s is not there: nothing is configured but by commands", o->config);
		o->config = NULL;
	}
	if (!o->config)
		return 0;
	if (config_read_file(c, o->config)) {
		log_refuse(-EINVAL, "nothing is attached");
		return EXIT_FAILURE;
	}
	o->file = c;
	if (!(o->given & OPT_ENGINE))
		o->engine = c->engine;
	if (!(o->given & OPT_CONNECTIONS) && c->has & CONFIG_CONNECTIONS) {
		o->connections = c->connections;
		o->given |= OPT_CONNECTIONS;
	}
	if (*argc)
		return 0;
	err = check_devices(o, c);
	if (err)
		return err;
	for (__u32 i = 0; i < c->devices; i++)
		names[i] = c->device[i].name;
	*argc = (int)c->devices;
	*argv = names;
	return 0;
}

enum xdp_mode attach_mode(const struct opts *o, const char *name)
{
	for (__u32 i = 0; o->file && !(o->given & OPT_XDP) && i < o->file->devices; i++)
		if (!strcmp(o->file->device[i].name, name))
			return o->file->device[i].xdp;
	return o->xdp;
}

/* What was changed by commands since the boot is not undone because the daemon begins again. */
void attach_config_keep(struct opts *o, const struct opts *given)
{
	o->given = given->given & ~(__u64)OPT_CONFIG;
	o->engine = given->engine;
	o->connections = given->connections;
}

int attach_configure(const struct guard *g, const struct opts *o)
{
	const unsigned int policy = CONFIG_SERVICES | CONFIG_LIMITS | CONFIG_LISTS |
				    CONFIG_FAIL_SAFE;
	int err;

	if (!o->file || !(o->given & OPT_CONFIG))
		return 0;
	/* as it is installed: it is in nobody's mind, and no reload shall come back to it */
	if (o->given & OPT_BOOT && !(o->file->has & policy))
		return 0;
	err = pending_clear(g);
	if (!err)
		err = config_apply(g, o->file, o->given & OPT_FORCE ? CONFIG_FORCE : 0);
	if (!err)
		applied_note(g, o->config);
	return err;
}
