/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets of the host in every state, each put there by a scripted client on the wire of
 * tap.h, with the numbers both sides have as the wire told them.
 */
#ifndef MATRIX_HOST_H
#define MATRIX_HOST_H

#include "tap.h"

enum place {
	AT_CLOSED, /* no listener */
	AT_LISTEN,
	AT_TOMBSTONE,
	AT_SYN_SENT,
	AT_SYN_RECEIVED,
	AT_CROSSING, /* SYN-RECEIVED out of SYN-SENT */
	AT_ESTABLISHED,
	AT_FIN_WAIT_1,
	AT_FIN_WAIT_1_QUEUED, /* its FIN waits for the client's window */
	AT_FIN_WAIT_2,
	AT_FIN_WAIT_2_ORPHAN, /* its process has closed it */
	AT_CLOSE_WAIT,
	AT_CLOSING,
	AT_LAST_ACK,
	AT_TIME_WAIT,
	PLACES
};

struct peer {
	enum place place;
	uint8_t family;
	bool ts;
	uint16_t port, server_port;
	int fd; /* the host's socket; -1: none */
	uint8_t scale;
	uint32_t isn, seq; /* the client's first, and its next */
	uint32_t tsval, tsecr;
	/* of the host */
	uint32_t rcv_nxt, rcv_wnd;
	uint32_t iss, snd_una, snd_nxt;
	uint32_t queued;                 /* written, not yet sent */
	uint32_t client_fin, server_fin; /* sequence numbers, once there are FINs */
};

#define PEER_WINDOW 64240 /* the most the client ever offers */

/* The row of the table a place is in: the name of its state. */
const char *place_row(enum place at);
const char *place_name(enum place at);
enum sw_state place_state(enum place at); /* SW_FREE: no socket */

/* Opens the wire, without the guard on it, and the listeners of port 80. */
void peers_begin(void);
/* A host's socket for CLIENT:port in its place; checked with the host. */
void peer_put(struct peer *p, enum place at, uint8_t family, uint16_t port, bool ts);
void peer_end(struct peer *p);

#endif /* MATRIX_HOST_H */
