/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole frames into the test's own lo and back: what the host itself does with a packet. */
#ifndef RAWNET_H
#define RAWNET_H

#include "fixture.h"

/* Opens the packet socket and lets lo take frames from the host's own addresses. */
int raw_open(void);
/* Frames for lo carry its address, 00:00:00:00:00:00. */
void raw_build(struct packet *p, const struct spec *s);
void raw_send(int fd, const struct packet *p);
/* The first frame with these of SYN, ACK, FIN, RST, from port `from` to port `to`, within ms; false: none came. */
bool raw_receive(int fd, struct frame *f, uint8_t flags, uint16_t from, uint16_t to,
		 unsigned int ms);

/* Until the test ends: tc alone, for frames of run_live(), or both, XDP in generic mode. */
void attach_tc_to_lo(void);
void attach_both_to_lo(void);
/* Through the XDP program and, if it passes, through tc on lo into the host, as natively. */
void run_live(const struct packet *p);

#endif /* RAWNET_H */
