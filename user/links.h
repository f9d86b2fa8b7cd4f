/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hooks of a device and the pins of their links; for attach.c and those beside it only. */
#ifndef SW_USER_LINKS_H
#define SW_USER_LINKS_H

#include <stdbool.h>
#include <stddef.h>

#include <bpf/libbpf.h>

#include "kernel.h"

/* Of our filters below clsact: early, and recognisable. */
#define TC_HANDLE   0x5357
#define TC_PRIORITY 1

struct tc_side {
	enum prog_id prog;
	const char *name; /* of its pin */
	const char *words;
	enum bpf_attach_type tcx;
	enum bpf_tc_attach_point clsact;
};

#define TC_SIDES 2
extern const struct tc_side tc_sides[TC_SIDES];

/* What a link is now; zero for one that does not exist. */
struct link_now {
	__u32 ifindex; /* 0: it holds no device */
	__u32 prog_id;
};

/* Path of a pin, of the directory of the device with an empty `leaf`. */
int link_path(const struct guard *g, const char *dev, const char *leaf, char *path);
/* A descriptor, or negative errno. Silent. */
int link_get(const struct guard *g, const char *dev, const char *leaf);
int link_pin(const struct guard *g, const char *dev, const char *leaf, int fd);
/* Detaches it and removes the pin. */
void link_drop(const struct guard *g, const char *dev, const char *leaf);
struct link_now link_now(const struct guard *g, const char *dev, const char *leaf);
/* Moves the pins of a device that has another name now. */
int links_rename(const struct guard *g, const char *from, const char *to);
/* 0: none. Silent. */
__u32 prog_id_of(int fd);
/* Is there a program of ours at this side of the device, be it a link or a filter? Silent. */
bool tc_is_on(const struct guard *g, const struct dev_state *d, const struct tc_side *side);
/* Attaches it, as a link or a filter. */
int tc_attach(struct guard *g, const char *name, __u32 ifindex, const struct tc_side *side,
	      struct sw_dev *dev);

#endif /* SW_USER_LINKS_H */
