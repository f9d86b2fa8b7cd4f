/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The beginning and the end of a guard: the sysctl it needs, its remains, its last second. */
#include <errno.h>
#include <string.h>

#include "kernel.h"
#include "util.h"

/* What the engine needs of net.ipv4.tcp_syncookies; see tcp(7). */
static long cookies_needed(enum sw_engine engine)
{
	return engine == SW_ENGINE_LISTENER ? 2 : 1;
}

/* Raises the sysctl of this namespace; remembers what it was, for the last detach. */
int cookies_raise(const struct guard *g)
{
	long need = cookies_needed(g->engine), now;
	struct sw_settings s;
	int err = file_read_long(SYSCTL_SYNCOOKIES, &now);

	if (err)
		return log_err(err, "read %s", SYSCTL_SYNCOOKIES);
	if (now >= need)
		return 0;
	err = mapio_settings(g, &s);
	if (err)
		return err;
	s.syncookies_saved = (__u32)now + 1;
	err = mapio_settings_set(g, &s);
	if (err)
		return err;
	err = file_write_long(SYSCTL_SYNCOOKIES, need);
	if (err)
		return log_err(err, "set net.ipv4.tcp_syncookies to %ld", need);
	log_note("net.ipv4.tcp_syncookies %ld -> %ld until the last detach, engine %s needs it",
		 now, need, text_engine_name(g->engine));
	return 0;
}

/* Only if it still is what cookies_raise() made it: someone else's choice stays. */
static void cookies_restore(const struct guard *g)
{
	struct sw_settings s;
	long now;

	if (g->map[MAP_SETTINGS] < 0 || mapio_settings(g, &s) || !s.syncookies_saved)
		return;
	if (!file_read_long(SYSCTL_SYNCOOKIES, &now) && now == cookies_needed(g->engine) &&
	    file_write_long(SYSCTL_SYNCOOKIES, (long)s.syncookies_saved - 1))
		log_note("net.ipv4.tcp_syncookies stays %ld, it was %u", now,
			 s.syncookies_saved - 1);
	s.syncookies_saved = 0;
	mapio_settings_set(g, &s);
}

int guard_open_locked(struct guard *g, const char *dir, int *lock)
{
	int err = probe_require_bpffs(dir);

	if (!err)
		err = lock_take(lock);
	if (!err)
		err = guard_open(g, dir);
	return err ? err : guard_end_drain(g);
}

/*
 * Devices, sysctl, pins: nothing of the guard is left. links/ goes first and the settings last:
 * see guard_find() for what a run that is killed in between leaves.
 */
int guard_remove(struct guard *g)
{
	struct dev_state list[SW_MAX_DEVS];
	char links[PATH_MAX];
	__u32 count;
	int err = dev_list(g, list, &count);

	for (__u32 i = 0; !err && i < count; i++)
		dev_detach(g, &list[i]);
	cookies_restore(g);
	err = path_format(links, sizeof(links), "%s/links", g->dir);
	if (!err)
		err = tree_remove(links, NULL);
	if (!err)
		err = tree_remove(g->dir, "settings");
	/* in a sandbox the directory is a mount, and stays */
	if ((err == -EBUSY || err == -EROFS) && pins_are_none(g->dir))
		err = 0;
	return err ? log_err(err, "remove %s", g->dir) : 0;
}

/*
 * A run that was killed before it armed guarded nothing yet, one that had taken links/ away
 * nothing any more. Leaves nothing or a guard.
 */
int clear_remains(const char *pin, enum guard_found *found)
{
	autoguard struct guard g = GUARD_INIT;
	int err = 0;

	*found = guard_find(pin);
	if (*found == GUARD_FOREIGN)
		return log_refuse(-EEXIST, "%s exists and is not a guard: choose another --pin",
				  pin);
	if (*found != GUARD_UNARMED && *found != GUARD_DEBRIS)
		return 0;
	if (!pins_are_none(pin))
		log_note("an attach or detach was cut short at %s, its remains are removed", pin);
	if (*found == GUARD_UNARMED)
		err = guard_open(&g, pin);
	else
		err = path_format(g.dir, sizeof(g.dir), "%s", pin);
	if (!err)
		err = guard_remove(&g);
	*found = GUARD_NONE;
	return err;
}

void cookies_restore_if_idle(const struct guard *g)
{
	struct dev_state list[SW_MAX_DEVS];
	__u32 count;

	if (!dev_list(g, list, &count) && !count)
		cookies_restore(g);
}

static bool is_watched(const struct guard *g)
{
	struct dev_state list[SW_MAX_DEVS];
	__u32 count;

	if (dev_list(g, list, &count))
		return false;
	for (__u32 i = 0; i < count; i++)
		if (list[i].alive)
			return true;
	return false;
}

static int set_armed(const struct guard *g, enum sw_armed armed)
{
	struct sw_settings s;
	int err = mapio_settings(g, &s);

	s.armed = armed;
	return err ? err : mapio_settings_set(g, &s);
}

int guard_arm(const struct guard *g)
{
	return set_armed(g, SW_ARMED);
}

static bool is_draining(const struct guard *g)
{
	struct sw_settings s;

	return !mapio_settings(g, &s) && s.armed == SW_DRAINING;
}

int guard_end_drain(const struct guard *g)
{
	int err = is_draining(g) ? guard_arm(g) : 1;

	if (!err)
		log_note("a detach was cut short: the guard at %s answers and refuses again",
			 g->dir);
	return err < 0 ? err : 0;
}

void guard_mend_drain(const struct guard *g)
{
	autolock int lock = -1;

	/* a detach that is under way holds the lock */
	if (is_draining(g) && !lock_try(&lock) && guard_is_pinned(g))
		guard_end_drain(g);
}

int grace_renew(const struct guard *g)
{
	struct sw_settings s;
	int err = mapio_settings(g, &s);

	s.grace_until_ns = grace_end();
	return err ? err : mapio_settings_set(g, &s);
}

/*
 * Clients that hold a cookie SYN-ACK would be reset once the guard is gone. So for a moment
 * new SYNs go to the host, while cookies still count.
 */
int drain(struct guard *g, int (*end)(struct guard *g, const void *arg), const void *arg)
{
	struct services set;
	int err;

	if (mapio_services(g, &set) || !services_any_enforced(&set) || !is_watched(g))
		return end(g, arg);
	err = set_armed(g, SW_DRAINING);
	if (err)
		return err;
	usleep(DRAIN_US);
	err = end(g, arg);
	/* for the device that comes next, if the guard stays */
	set_armed(g, SW_ARMED);
	return err;
}
