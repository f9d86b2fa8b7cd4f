/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guard that nobody else has: its programs of bpf/replay.bpf.c run by BPF_PROG_TEST_RUN, in a
 * network namespace of this process, with a configuration and nothing pinned or attached. It
 * ends with the process.
 */
#ifndef SW_REPLAY_GUARD_H
#define SW_REPLAY_GUARD_H

#include "config.h"
#include "sw_replay.h"

#define REPLAY_PORTS 65536

struct ring_buffer;
struct replay_bpf;

/* A service was armed or disarmed; or a table was full. `kind` of enum sw_event_kind. */
typedef void replay_event_fn(void *arg, const struct sw_event *e);

struct replay_guard {
	struct guard g; /* maps alone */
	struct replay_bpf *skel;
	struct ring_buffer *ring;
	struct sw_replay *io;
	struct services services;
	int *listener;
	__u32 listeners;
	__u32 unopened; /* ports that no socket was left for */
	__u8 out[(1 << 17) + 256];
};

/* What a program made of a frame. */
struct replay_result {
	enum sw_reason reason; /* SW_CONTINUE: it left unseen, as most of what leaves does */
	__u32 service;
	bool would;
	bool marked;     /* for tc */
	const __u8 *out; /* the frame, good until the next run */
	__u32 out_len;
};

/* Where a packet to this address and port belongs; 0: to no service. */
__u32 replay_service(const struct replay_guard *rg, const __be32 addr[4], __be16 port);

/* A network namespace for this process alone, loopback up. */
int replay_namespace(void);
/* Loads it, and brings it to this configuration. */
int replay_load(struct replay_guard *rg, const struct config *c);
/* Listeners at these ports, one for all addresses. `timestamps`: as the server takes them. */
int replay_listen(struct replay_guard *rg, const bool ports[REPLAY_PORTS], bool timestamps);
int replay_events(struct replay_guard *rg, replay_event_fn *each, void *arg);
void replay_events_read(struct replay_guard *rg);
/* -EINVAL, unsaid: the kernel makes no packet of it. */
int replay_run(struct replay_guard *rg, enum sw_hook hook, const __u8 *frame, __u32 len,
	       struct replay_result *r);
/* The connection of io->client and so on, io->view, which is older than the capture. */
int replay_take_over(struct replay_guard *rg);
void replay_close(struct replay_guard *rg);

#endif /* SW_REPLAY_GUARD_H */
