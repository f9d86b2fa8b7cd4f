/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every way a connection ends, on a live wire: after each segment of either side the entry is
 * in the state the host is in (peer.h checks), and nothing legal is dropped.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "peer.h"

static void client_first(struct peer *p)
{
	SAY(p, FIN, 0);
	ARE(p, SW_CLOSE_WAIT);
	HEAR(p, ACK, 0);
	CLOSE(p);
	HEAR(p, FIN, 0);
	ARE(p, SW_LAST_ACK);
	SAY(p, ACK, 0);
	ARE(p, SW_CLOSED);
	QUIET(p);
}

TEST(client_closes_first, "G01")
{
	peer_each(client_first);
	peer_unharmed(NULL);
}

static void server_first(struct peer *p)
{
	CLOSE(p);
	HEAR(p, FIN, 0);
	ARE(p, SW_FIN_WAIT_1);
	SAY(p, ACK, 0);
	ARE(p, SW_FIN_WAIT_2);
	SAY(p, FIN, 0);
	ARE(p, SW_TIME_WAIT);
	HEAR(p, ACK, 0);
	QUIET(p);
}

TEST(server_closes_first, "G01")
{
	peer_each(server_first);
	peer_unharmed(NULL);
}

static unsigned int threes;

/* FIN and the ACK of the other's FIN in one segment, unless the host was too slow for it. */
static void three_by_client(struct peer *p)
{
	SAY(p, FIN, 0);
	CLOSE(p);
	REQUIRE(peer_next(p));
	if (p->last.flags & FIN)
		threes++;
	else
		MISS(p, FIN);
	p->ack++;
	CHECK_EQ(p->last.ack - p->seq, 0);
	ARE(p, SW_LAST_ACK);
	SAY(p, ACK, 0);
	ARE(p, SW_CLOSED);
}

static void three_by_server(struct peer *p)
{
	SHUTDOWN(p);
	HEAR(p, FIN, 0);
	SAY(p, FIN, 0);
	ARE(p, SW_TIME_WAIT);
	HEAR(p, ACK, 0);
	QUIET(p);
}

TEST(three_segments_close, "G01")
{
	peer_each(three_by_client);
	CHECK(threes > 0);
	peer_unharmed(NULL);
}

TEST(three_segments_close_from_the_server, "G01")
{
	peer_each(three_by_server);
	peer_unharmed(NULL);
}

static void reset_by_server(struct peer *p)
{
	ABORT(p);
	HEAR(p, RST, 0);
	ARE(p, SW_CLOSED);
	QUIET(p);
}

TEST(server_resets, "G01")
{
	peer_each(reset_by_server);
	peer_unharmed(NULL);
}

/* A program that closes with data unread. */
static void reset_for_unread(struct peer *p)
{
	SAY(p, PSH, 100);
	HEAR(p, ACK, 0);
	CLOSE(p);
	HEAR(p, RST, 0);
	ARE(p, SW_CLOSED);
	STRAY(p, FIN, 0, 0, 0); /* under way meanwhile */
	HEAR(p, RST, 0);        /* so a client that has missed the first is told */
	STRAY(p, FIN, 3 << 20, 0, 0);
	QUIET(p);
}

TEST(server_closes_with_data_unread, "G01 E02")
{
	static const enum sw_reason trailing[] = { SW_DROP_COOKIE, SW_DROP_EXPIRED, 0 };

	peer_each(reset_for_unread);
	peer_unharmed(trailing);
}

/* Shapes of a reset that real stacks send, all at the number the host expects. */
static const struct {
	const char *what;
	uint8_t flags;
	uint16_t payload;
	bool ack_zero;
} resets[] = {
	{ "bare", RST, 0, false },
	{ "with ACK", RST | ACK, 0, false },
	{ "with ACK of 0", RST | ACK, 0, true },
	{ "with a message", RST | ACK, 30, false },
};

static void reset_by_client(struct peer *p, enum sw_state state)
{
	static unsigned int turn;
	size_t n = turn++ % ARRAY_SIZE(resets);

	STRAY(p, resets[n].flags, 0, resets[n].ack_zero ? -(int64_t)p->ack : 0, resets[n].payload);
	ARE(p, state == SW_TIME_WAIT ? SW_TIME_WAIT : SW_CLOSED);
	if (p->fd >= 0 && state != SW_TIME_WAIT) {
		int error = 0;
		socklen_t len = sizeof(error);

		MUST(getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len));
		CHECK(error == ECONNRESET || error == EPIPE);
	}
	QUIET(p);
}

TEST(client_resets_in_every_state, "G01 G07 F02")
{
	static const enum sw_reason guarded[] = { SW_DROP_RST_TIME_WAIT, 0 };

	peer_prepare();
	for (size_t i = 0; i < 2 && !test_failed(); i++) /* each state meets each shape */
		peer_each_state(all_states, reset_by_client);
	peer_unharmed(guarded);
}

/* Of stacks that do not count their own FIN. */
static void reset_at_fin(struct peer *p, enum sw_state state)
{
	(void)state;
	STRAY(p, RST, -1, 0, 0);
	ARE(p, SW_CLOSED);
	QUIET(p);
}

TEST(reset_at_the_number_of_the_fin_counts, "F02")
{
	static const enum sw_state done[] = { SW_CLOSE_WAIT, SW_CLOSING, SW_LAST_ACK, 0 };

	peer_prepare();
	peer_each_state(done, reset_at_fin);
	peer_unharmed(NULL);
}

static void reset_behind_data(struct peer *p, enum sw_state state)
{
	(void)state;
	SAY(p, PSH, 700);
	SAY(p, PSH, 700);
	STRAY(p, RST, 0, 0, 0);
	ARE(p, SW_CLOSED);
}

TEST(reset_behind_a_train_of_data, "F02")
{
	static const enum sw_state open[] = { SW_ESTABLISHED, 0 };

	peer_prepare();
	peer_each_state(open, reset_behind_data);
	peer_unharmed(NULL);
}

/* The FINs cross on the wire. */
static void both_at_once(struct peer *p)
{
	CLOSE(p);
	SAY(p, FIN, 0);
	ARE(p, SW_CLOSING);
	HEAR(p, FIN, 0);
	HEAR(p, ACK, 0);
	SAY(p, ACK, 0);
	ARE(p, SW_TIME_WAIT);
	QUIET(p);
}

TEST(both_close_at_once, "G02")
{
	peer_each(both_at_once);
	peer_unharmed(NULL);
}

static void servers_fin_lost(struct peer *p)
{
	CLOSE(p);
	MISS(p, FIN);
	SAY(p, FIN, 0);
	ARE(p, SW_CLOSING);
	HEAR_AGAIN(p, ACK);
	HEAR(p, FIN, 0);
	ARE(p, SW_CLOSING);
	SAY(p, ACK, 0);
	ARE(p, SW_TIME_WAIT);
}

/* The client acknowledges the server's FIN, then its own comes again. */
static void clients_fin_lost(struct peer *p)
{
	CLOSE(p);
	p->seq++; /* said, and lost */
	HEAR(p, FIN, 0);
	STRAY(p, ACK, 0, 0, 0);
	ARE(p, SW_FIN_WAIT_2);
	DRAIN(p, 100);
	STRAY(p, FIN, -1, 0, 0);
	ARE(p, SW_TIME_WAIT);
	HEAR(p, ACK, 0);
}

static void servers_ack_lost(struct peer *p)
{
	CLOSE(p);
	SAY(p, FIN, 0);
	HEAR(p, FIN, 0);
	MISS(p, ACK);
	STRAY(p, FIN, -1, -1, 0);
	ARE(p, SW_CLOSING);
	HEAR_AGAIN(p, ACK);
	SAY(p, ACK, 0);
	ARE(p, SW_TIME_WAIT);
}

static void clients_ack_lost(struct peer *p)
{
	CLOSE(p);
	SAY(p, FIN, 0);
	HEAR(p, FIN, 0);
	HEAR(p, ACK, 0);
	for (int i = 0; i < 3; i++) {
		ARE(p, SW_CLOSING);
		HEAR_AGAIN(p, FIN);
	}
	SAY(p, ACK, 0);
	ARE(p, SW_TIME_WAIT);
	QUIET(p);
}

TEST(both_close_at_once_and_the_servers_fin_is_lost, "G02")
{
	peer_each(servers_fin_lost);
	peer_unharmed(NULL);
}

TEST(both_close_at_once_and_the_clients_fin_is_lost, "G02")
{
	peer_each(clients_fin_lost);
	peer_unharmed(NULL);
}

TEST(both_close_at_once_and_the_servers_ack_is_lost, "G02")
{
	peer_each(servers_ack_lost);
	peer_unharmed(NULL);
}

TEST(both_close_at_once_and_the_clients_ack_is_lost, "G02")
{
	peer_each(clients_ack_lost);
	peer_unharmed(NULL);
}

static void last_ack_lost(struct peer *p)
{
	SAY(p, FIN, 0);
	CLOSE(p);
	HEAR(p, FIN, 0);
	for (int i = 0; i < 3; i++) {
		HEAR_AGAIN(p, FIN);
		ARE(p, SW_LAST_ACK);
	}
	SAY(p, ACK, 0);
	ARE(p, SW_CLOSED);
}

TEST(last_ack_is_lost_three_times, "G05")
{
	peer_each(last_ack_lost);
	peer_unharmed(NULL);
}

/* The client's FIN comes again and again, and 2MSL begins anew each time. */
static void servers_last_ack_lost(struct peer *p)
{
	uint32_t began;

	server_first(p);
	for (int i = 0; i < 3; i++) {
		struct sw_conn *c = conn_entry(p->family, p->port, p->to, NULL);

		REQUIRE(c);
		began = c->changed_s -= 50;
		STRAY(p, FIN, -1, 0, 0);
		ARE(p, SW_TIME_WAIT);
		HEAR_AGAIN(p, ACK);
		CHECK(c->changed_s - began >= 50);
	}
}

TEST(servers_last_ack_is_lost_three_times, "G05")
{
	peer_each(servers_last_ack_lost);
	peer_unharmed(NULL);
}

/* The host's answer to a SYN looks much like an ACK of its FIN, but is its own. */
static void challenged_in_last_ack(struct peer *p)
{
	SAY(p, FIN, 0);
	CLOSE(p);
	HEAR(p, FIN, 0);
	STRAY(p, SYN, 5000, 0, 0);
	ARE(p, SW_LAST_ACK);
	HEAR_AGAIN(p, ACK);
	ARE(p, SW_LAST_ACK);
	STRAY(p, ACK, 0, -1, 0); /* of all but the FIN */
	ARE(p, SW_LAST_ACK);
	SAY(p, ACK, 0);
	ARE(p, SW_CLOSED);
}

TEST(challenge_ack_is_not_the_last_ack, "G06")
{
	peer_each(challenged_in_last_ack);
	peer_unharmed(NULL);
}
