/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Half-closed connections that live on, and FINs that come with data, too early, too late or
 * again, on a live wire; see peer.h.
 */
#include "peer.h"

#define CHUNK 1400
#define LONG  300000 /* beyond what the guard believes without asking the host anew */

/* The host's program sends, the client acknowledges each segment. */
static void download(struct peer *p, size_t len)
{
	while (len) {
		size_t part = len < 20000 ? len : 20000, got = 0;

		SEND(p, part);
		while (got < part && !test_failed()) {
			MISS(p, ACK);
			got += p->last.payload_len;
			p->ack = p->last.seq + (uint32_t)p->last.payload_len;
			SAY(p, ACK, 0);
		}
		if (test_failed())
			return;
		len -= part;
	}
}

static void upload(struct peer *p, size_t len)
{
	size_t read = 0;

	for (size_t said = 0; said < len && !test_failed(); said += CHUNK) {
		SAY(p, PSH, CHUNK);
		DRAIN(p, 0);
		read += peer_read(p);
	}
	CHECK(read >= len);
	DRAIN(p, 100);
}

/* As if nothing had been said for a day. */
static void age(struct peer *p)
{
	struct sw_conn *c = conn_entry(p->family, p->port, p->to, NULL);

	REQUIRE(c);
	c->seen_s -= 86400;
	c->changed_s -= 86400;
	c->opened_s -= 86400;
}

static void check_seen(struct peer *p)
{
	struct sw_conn *c = conn_entry(p->family, p->port, p->to, NULL);

	REQUIRE(c);
	CHECK((uint32_t)(sw_seconds(now_ns()) - c->seen_s) < 5);
}

static void streams(struct peer *p)
{
	upload(p, LONG);
	age(p);
	download(p, LONG);
	ARE(p, SW_ESTABLISHED);
	check_seen(p);
	age(p);
	upload(p, LONG);
	check_seen(p);
	ARE(p, SW_ESTABLISHED);
}

TEST(long_streams_and_pauses_of_an_open_connection, "G03 F10")
{
	peer_each(streams);
	peer_unharmed(NULL);
}

static void client_half(struct peer *p)
{
	SAY(p, FIN, 0);
	HEAR(p, ACK, 0);
	age(p);
	download(p, LONG);
	ARE(p, SW_CLOSE_WAIT);
	check_seen(p);
	age(p);
	download(p, 1000);
	CLOSE(p);
	HEAR(p, FIN, 0);
	SAY(p, ACK, 0);
	ARE(p, SW_CLOSED);
}

TEST(client_closes_its_half_and_reads_on, "G03")
{
	peer_each(client_half);
	peer_unharmed(NULL);
}

static void server_half(struct peer *p)
{
	SHUTDOWN(p);
	HEAR(p, FIN, 0);
	SAY(p, ACK, 0);
	age(p);
	upload(p, LONG);
	ARE(p, SW_FIN_WAIT_2);
	check_seen(p);
	age(p);
	upload(p, LONG);
	SAY(p, FIN, 0);
	ARE(p, SW_TIME_WAIT);
	HEAR(p, ACK, 0);
}

TEST(server_closes_its_half_and_reads_on, "G03")
{
	peer_each(server_half);
	peer_unharmed(NULL);
}

/* The server's FIN is not acknowledged for long, its ACKs lost, while data comes. */
static void upload_before_the_ack(struct peer *p)
{
	SHUTDOWN(p);
	MISS(p, FIN);
	for (int i = 0; i < 40; i++) {
		SAY(p, PSH, CHUNK);
		ARE(p, SW_FIN_WAIT_1);
		peer_read(p);
	}
	p->ack++;
	SAY(p, PSH, CHUNK);
	ARE(p, SW_FIN_WAIT_2);
}

TEST(data_comes_before_the_ack_of_the_servers_fin, "G03")
{
	peer_each(upload_before_the_ack);
	peer_unharmed(NULL);
}

static const enum sw_state receiving[] = { SW_ESTABLISHED, SW_FIN_WAIT_1, SW_FIN_WAIT_2, 0 };

/* What a FIN in order makes of it; `ours`: it acknowledges the server's. */
static enum sw_state after_fin(enum sw_state s, bool ours)
{
	if (s == SW_ESTABLISHED)
		return SW_CLOSE_WAIT;
	return s == SW_FIN_WAIT_2 || ours ? SW_TIME_WAIT : SW_CLOSING;
}

/* A program that closed its socket wants no data: the host resets what brings some. */
static bool wants_no_data(const struct peer *p)
{
	return p->fd < 0;
}

static void fin_with_data(struct peer *p, enum sw_state s)
{
	if (wants_no_data(p)) {
		SAY(p, FIN, 300);
		MISS(p, RST);
		ARE(p, SW_CLOSED);
		return;
	}
	STRAY(p, FIN, 0, s == SW_FIN_WAIT_1 ? -1 : 0, 300);
	p->seq += 301;
	ARE(p, after_fin(s, false));
	HEAR(p, ACK, 0);
	CHECK_EQ(p->last.ack - p->seq, 0);
}

TEST(fin_comes_with_data, "G04")
{
	peer_prepare();
	peer_each_state(receiving, fin_with_data);
	peer_unharmed(NULL);
}

/* Half of its data is known already: a retransmission that says more than the first try. */
static void fin_overlapping(struct peer *p, enum sw_state s)
{
	if (wants_no_data(p))
		return;
	SAY(p, PSH, 200);
	STRAY(p, FIN, -100, 0, 200);
	p->seq += 101;
	ARE(p, after_fin(s, true));
	DRAIN(p, 60);
	CHECK_EQ(p->last.ack - p->seq, 0);
}

TEST(fin_with_data_partly_known, "G04")
{
	peer_prepare();
	peer_each_state(receiving, fin_overlapping);
	peer_unharmed(NULL);
}

static void fill(struct peer *p, enum sw_state before, int64_t from, uint16_t len, bool last)
{
	if (last)
		p->lag = before; /* until the host acknowledges the FIN */
	STRAY(p, PSH, from, 0, len);
	p->lag = 0;
	DRAIN(p, last ? 60 : 0);
}

/* FIN first, then what was before it: one segment, or three in the wrong order. */
static void fin_too_early(struct peer *p, enum sw_state s, bool three)
{
	/* the ACK of the server's FIN comes with the data */
	enum sw_state between = s == SW_FIN_WAIT_1 ? SW_FIN_WAIT_2 : s;

	if (wants_no_data(p))
		return;
	STRAY(p, FIN, 3000, s == SW_FIN_WAIT_1 ? -1 : 0, 500);
	ARE(p, s);
	HEAR_AGAIN(p, ACK);
	tables_check();
	if (three) {
		fill(p, s, 1000, 1000, false);
		ARE(p, between);
		STRAY(p, FIN, 3000, 0, 500); /* once more, meanwhile */
		ARE(p, between);
		fill(p, s, 2000, 1000, false);
		ARE(p, between);
		fill(p, between, 0, 1000, true);
	} else {
		fill(p, between, 0, 3000, true);
	}
	p->seq += 3501;
	ARE(p, after_fin(s, true));
	CHECK_EQ(p->last.ack - p->seq, 0);
	tables_check();
}

static void one_hole(struct peer *p, enum sw_state s)
{
	fin_too_early(p, s, false);
}

static void three_holes(struct peer *p, enum sw_state s)
{
	fin_too_early(p, s, true);
}

TEST(fin_before_what_came_before_it, "G04")
{
	peer_prepare();
	peer_each_state(receiving, one_hole);
	peer_unharmed(NULL);
}

TEST(fin_before_several_segments_in_the_wrong_order, "G04")
{
	peer_prepare();
	peer_each_state(receiving, three_holes);
	peer_unharmed(NULL);
}

/* The server closes, too, while the client's FIN waits. */
static void close_meanwhile(struct peer *p, enum sw_state s)
{
	if (wants_no_data(p))
		return;
	(void)s;
	STRAY(p, FIN, 1000, 0, 0);
	HEAR_AGAIN(p, ACK);
	SHUTDOWN(p);
	HEAR(p, FIN, 0);
	ARE(p, SW_FIN_WAIT_1);
	tables_check();
	p->lag = SW_FIN_WAIT_1;
	STRAY(p, PSH, 0, -1, 1000);
	p->lag = 0;
	p->seq += 1001;
	HEAR(p, ACK, 0);
	ARE(p, SW_CLOSING);
	SAY(p, ACK, 0);
	ARE(p, SW_TIME_WAIT);
	tables_check();
}

TEST(server_closes_while_a_fin_waits_for_data, "G04")
{
	static const enum sw_state open[] = { SW_ESTABLISHED, 0 };

	peer_prepare();
	peer_each_state(open, close_meanwhile);
	peer_unharmed(NULL);
}

static void reset_meanwhile(struct peer *p, enum sw_state s)
{
	if (wants_no_data(p))
		return;
	(void)s;
	STRAY(p, FIN, 1000, 0, 0);
	HEAR_AGAIN(p, ACK);
	STRAY(p, RST, 0, 0, 0);
	ARE(p, SW_CLOSED);
	tables_check();
}

TEST(client_resets_while_its_fin_waits_for_data, "G04")
{
	peer_prepare();
	peer_each_state(receiving, reset_meanwhile);
	peer_unharmed(NULL);
}

/* Retransmitted, with the data before it and without. */
static void fin_again(struct peer *p, enum sw_state s)
{
	for (int i = 0; i < 3; i++) {
		STRAY(p, FIN, -1, 0, 0);
		ARE(p, s);
		HEAR_AGAIN(p, ACK);
		CHECK_EQ(p->last.ack - p->seq, 0);
	}
}

TEST(fin_retransmitted_in_every_state, "G04")
{
	/* in LAST-ACK and CLOSING only without the ACK of ours: with it they would be over */
	static const enum sw_state done[] = { SW_CLOSE_WAIT, SW_TIME_WAIT, 0 };

	peer_prepare();
	peer_each_state(done, fin_again);
	peer_unharmed(NULL);
}

static void fin_again_unacked(struct peer *p, enum sw_state s)
{
	p->ack--;
	fin_again(p, s);
	p->ack++;
	STRAY(p, FIN, -1, 0, 0); /* and with it */
	ARE(p, s == SW_CLOSING ? SW_TIME_WAIT : SW_CLOSED);
}

TEST(fin_retransmitted_while_the_servers_is_out, "G04")
{
	static const enum sw_state both[] = { SW_CLOSING, SW_LAST_ACK, 0 };

	peer_prepare();
	peer_each_state(both, fin_again_unacked);
	peer_unharmed(NULL);
}
