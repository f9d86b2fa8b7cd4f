/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A capture as Ethernet frames, twice from its start: what libpcap reads (pcap and pcapng), of
 * the link types that can be made Ethernet.
 */
#ifndef SW_REPLAY_READ_H
#define SW_REPLAY_READ_H

#include <stdbool.h>
#include <stdio.h>

#include <linux/types.h>

struct pcap;

#define REPLAY_FRAME_MAX (1 << 17) /* bytes; the kernel takes some 70,000 */

struct replay_capture {
	const char *name; /* for messages: text_tame()d */
	FILE *file;       /* regular: a pipe was copied */
	struct pcap *pcap;
	int link; /* DLT_* */
	char shown[256];
	char why[320]; /* why it could not be read to its end, "" it was */
};

struct replay_frame {
	__u64 ns;       /* wall clock */
	__u8 *data;     /* room for REPLAY_FRAME_MAX, good until the next one */
	__u32 len;      /* with the Ethernet header */
	__u32 captured; /* of len; the rest is zeros */
	__u32 wire;     /* as the capture has it; len is 0 if that is none of a packet */
};

/* `path`: "-" is stdin. Errors are logged. */
int replay_open(struct replay_capture *c, const char *path);
/* From the start (again). */
int replay_rewind(struct replay_capture *c);
/* 1: a frame, 0: no more; c->why tells if there should have been. */
int replay_next(struct replay_capture *c, struct replay_frame *f);
void replay_read_close(struct replay_capture *c);

#endif /* SW_REPLAY_READ_H */
