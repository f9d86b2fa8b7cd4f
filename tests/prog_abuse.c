/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients that are what they say and make work for the stack: scraps out of order, SACK blocks
 * of what was never sent. Their host has to bear it; the guard takes no part and no side. On a
 * live wire, see peer.h.
 */
#include <arpa/inet.h>
#include <string.h>

#include "peer.h"

#define SCRAPS 300

/* Single bytes from the end to the begin, with a hole after each, then the holes. */
static void scraps(struct peer *p)
{
	for (int odd = 1; odd >= 0; odd--)
		for (int n = SCRAPS; n-- > 0;)
			if ((n & 1) == odd)
				STRAY(p, PSH, n, 0, 1);
	p->seq += SCRAPS;
	DRAIN(p, 20);
	CHECK_EQ(peer_read(p), SCRAPS);
	ARE(p, SW_ESTABLISHED);
	SEND(p, 100);
	HEAR(p, ACK, 100);
	SAY(p, FIN, 0);
	CLOSE(p);
	HEAR(p, FIN, 0);
	SAY(p, ACK, 0);
	ARE(p, SW_CLOSED);
}

TEST(scraps_out_of_order_are_the_hosts_business, "J05")
{
	peer_each(scraps);
	peer_unharmed(NULL);
}

/* From snd_una, in host order. */
static const struct sack {
	uint8_t blocks;
	uint8_t lie; /* added to the option's length */
	int32_t edge[6];
} sacks[] = {
	{ 1, 0, { 100, 200 } },
	{ 1, 0, { 200, 100 } },
	{ 1, 0, { 100, 100 } },
	{ 1, 0, { -5000, -4000 } },
	{ 1, 0, { 1 << 20, 2 << 20 } },
	{ 1, 0, { 0, 1 << 30 } },
	{ 1, 0, { INT32_MIN, INT32_MAX } },
	{ 3, 0, { 1, 2, 3, 4, 5, 6 } },
	{ 3, 0, { 10, 900, 5, 800, 1, 700 } },
	{ 3, 0, { 900, 901, 899, 900, 898, 899 } },
	{ 1, 1, { 100, 200 } },
	{ 1, 200, { 100, 200 } },
	{ 0, 0, { 0 } },
};

static void say_sack(struct peer *p, const struct sack *s)
{
	struct spec spec = { .family = p->family,
			     .sport = p->port,
			     .dport = p->to,
			     .window = p->window,
			     .flags = ACK,
			     .seq = p->seq,
			     .ack = p->ack };
	uint32_t words[10] = { htonl(0x0101080a), htonl(p->tsval), htonl(p->tsecr) };
	uint32_t n = p->ts ? 3 : 0;

	words[n++] = htonl(0x01010500 | (uint8_t)(2 + 8 * s->blocks + s->lie));
	for (int i = 0; i < 2 * s->blocks; i++)
		words[n++] = htonl(p->ack + (uint32_t)s->edge[i]);
	spec.opt = words;
	spec.opt_len = (uint8_t)(4 * n);
	tap_say(&spec);
	peer_agree(p);
}

static void sack_nonsense(struct peer *p)
{
	SEND(p, 1000);
	for (int i = 0; i < 20; i++)
		for (size_t n = 0; n < ARRAY_SIZE(sacks); n++)
			say_sack(p, &sacks[n]);
	ARE(p, SW_ESTABLISHED);
	HEAR(p, ACK, 1000);
	SAY(p, ACK, 0);
	DRAIN(p, 20);
	SAY(p, PSH, 100);
	DRAIN(p, 20);
	CHECK_EQ(peer_read(p), 100);
	SAY(p, FIN, 0);
	CLOSE(p);
	HEAR(p, FIN, 0);
	SAY(p, ACK, 0);
	ARE(p, SW_CLOSED);
}

TEST(nonsense_of_sacks_is_the_hosts_business, "J05")
{
	peer_each(sack_nonsense);
	peer_unharmed(NULL);
}
