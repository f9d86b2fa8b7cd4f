/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host whose segments leave by a card without a guard, on a live wire; see peer.h. */
#include <arpa/inet.h>
#include <string.h>

#include "peer.h"

/* A program's data, acknowledged with a hole reported first (RFC 2018), all of it unseen. */
static void unseen_data(struct peer *p)
{
	uint8_t opt[12] = { 1, 1, 5, 10 };
	uint32_t left, right;

	SEND(p, 20000);
	for (uint32_t got = 0; got < 20000 && !test_failed(); got += p->last.payload_len) {
		REQUIRE(peer_next(p));
		left = htonl(p->last.seq + 100);
		right = htonl(p->last.seq + (uint32_t)p->last.payload_len);
		memcpy(opt + 4, &left, 4);
		memcpy(opt + 8, &right, 4);
		tap_say(&(struct spec){ .family = p->family,
					.sport = p->port,
					.flags = ACK,
					.seq = p->seq,
					.ack = p->ack,
					.opt = opt,
					.opt_len = p->how == OPEN_BARE4 ? 0 : sizeof(opt) });
		p->ack = p->last.seq + (uint32_t)p->last.payload_len;
		STRAY(p, ACK, 0, 0, 0);
	}
	DRAIN(p, 0);
	ARE(p, SW_ESTABLISHED);
}

/*
 * The host's segments leave by a card without a guard. What it says is not seen, so the entry
 * may be behind in every state, but whatever the client answers comes through, and what asks
 * for the host's socket puts the entry right.
 */
static void unseen(struct peer *p, bool client_first)
{
	unseen_data(p);
	SAY(p, PSH, 100);
	CHECK_EQ(peer_read(p), 100);
	DRAIN(p, 60);
	if (client_first) {
		SAY(p, FIN, 0);
		ARE(p, SW_CLOSE_WAIT);
		DRAIN(p, 60);
	}
	CLOSE(p);
	MISS(p, FIN);
	p->ack++;
	SAY(p, ACK, 0);
	if (!client_first) {
		SAY(p, FIN, 0);
		ARE(p, SW_TIME_WAIT);
		return;
	}
	CHECK_EQ(host_state(p->family, p->port, p->to), SW_FREE);
	p->how = p->family == 6 ? OPEN_COOKIE6 : OPEN_COOKIE4;
	peer_syn(p, p->seq + 1000);
	ARE(p, SW_CLOSED);
	peer_finish(p);
	ARE(p, SW_ESTABLISHED);
}

TEST(segments_of_the_host_that_are_not_seen, "F11")
{
	peer_prepare();
	tap_blind();
	for (unsigned int i = 0; i < 2 * OPENINGS && !test_failed(); i++) {
		struct peer p;

		peer_begin(&p, i / 2);
		p.blind = true;
		peer_syn(&p, (uint32_t)test_random());
		peer_finish(&p);
		ARE(&p, SW_ESTABLISHED);
		unseen(&p, i % 2);
		tables_check();
	}
	peer_unharmed(NULL);
}
