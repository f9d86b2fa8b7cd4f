/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A wire with the guard on it: a TAP device in the test's namespace, the programs attached to
 * it as `attach` does. The server's addresses are the host's own, and the client's are behind
 * the wire, where no kernel is: the test writes its frames and reads the host's answers. A
 * frame written has been through the guard and the host when tap_send() returns, and what
 * they say to it can be read.
 */
#ifndef TAP_H
#define TAP_H

#include "fixture.h"

/* Skips the test where the kernel has no TAP device. */
void tap_open(void);
/* Ends the guard's sight, so that the host's timers move no counter that is being checked. */
void tap_detach(void);

/* From now on the host's segments leave another way, where no guard is. */
void tap_blind(void);

void tap_send(const struct packet *p);
void tap_say(const struct spec *s); /* built and sent */
/* The next TCP segment of host or guard, within ms; f is good until the next one. */
bool tap_hear(struct frame *f, unsigned int ms);

/* What the host holds of a client's tuple, asked of the host itself. */
struct host_view {
	enum sw_state state; /* SW_FREE: nothing. A FIN-WAIT-2 in a TIME-WAIT socket is the former */
	bool full;           /* neither a request nor a TIME-WAIT socket */
	uint64_t received;   /* full: sequence numbers since the SYN's */
};

struct host_view host_view_of(int fd); /* the same of a program's socket */
struct host_view host_view(uint8_t family, uint16_t client_port, uint16_t server_port);
enum sw_state host_state(uint8_t family, uint16_t client_port, uint16_t server_port);

#endif /* TAP_H */
