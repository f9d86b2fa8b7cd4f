/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices of a guard, followed: an entry of sw_devs is the wish that a device of that name is
 * guarded, its links are what is. What changed is told in one line each, what can be mended is.
 */
#ifndef SW_USER_FOLLOW_H
#define SW_USER_FOLLOW_H

#include "kernel.h"

/* How a device stands; what is done about it is in follow.c. */
enum plight {
	PLIGHT_FINE,
	PLIGHT_RENAMED,   /* it has another name now */
	PLIGHT_MOVED,     /* in another namespace, our links with it */
	PLIGHT_GONE,      /* deleted */
	PLIGHT_CUT,       /* it is here, its XDP link was detached */
	PLIGHT_DISPLACED, /* and another XDP program took its place */
	PLIGHT_HALF,      /* a program at tc is gone */
	PLIGHT_BRIDGED,   /* port of a bridge, whose handshakes engine reqsk cannot hand over */
	PLIGHT_WAITING,   /* nothing of ours is attached, and cannot be now */
	PLIGHT_BACK,      /* a device of that name is here again */
};

/* What the plight follows from. */
struct plight_facts {
	bool wanted_here; /* a device of the number in sw_devs is in this namespace */
	bool named_here;  /* a device of the name in sw_devs is */
	bool same_name;   /* as in sw_devs, and of the pins */
	bool pins;        /* of links are there */
	bool linked;      /* an XDP link of ours holds a device */
	bool link_runs;   /* which is here, and runs the program of the link */
	bool foreign;     /* the device runs an XDP program that is not ours */
	bool bridged;     /* it is a bridge's port, and the engine cannot have that */
	bool tc_complete;
};

/* Pure. */
enum plight plight_of(const struct plight_facts *f);

struct followed {
	struct dev_state d;
	struct netdev_facts seen; /* ifindex 0: not yet */
	bool waiting;             /* it was said that it is waited for */
	__u32 failed_at_s;        /* last attempt to attach it again; 0: none failed */
};

struct follow {
	struct followed dev[SW_MAX_DEVS];
	__u32 count;
};

/*
 * Looks at every device. 0: all is done; 1: another run holds the lock, to be done again; or
 * negative errno.
 */
int follow_check(struct guard *g, struct follow *f);
/* Tells what a message of netdev_changes() says; true: it is one of ours, look at all. */
bool follow_change(struct follow *f, const struct netdev_facts *facts);
/* Devices that carry the guard here, as they were last looked at. */
__u32 follow_guarded(const struct follow *f);

#endif /* SW_USER_FOLLOW_H */
