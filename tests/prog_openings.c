/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every way a connection begins, on a live wire: by cookie, by the host in peace, from the
 * host, from both sides at once; see peer.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

static void end(struct peer *p)
{
	SAY(p, FIN, 0);
	CLOSE(p);
	do
		REQUIRE(peer_next(p));
	while (!(p->last.flags & FIN));
	p->ack = p->last.seq + 1;
	SAY(p, ACK, 0);
	ARE(p, SW_CLOSED);
	tables_check();
}

/* The third segment lost: data opens. With FIN: it opens and closes. */
TEST(third_segment_brings_data_or_a_fin, "D02 B08")
{
	peer_prepare();
	for (enum opening how = 0; how < OPENINGS; how++)
		for (int kind = 0; kind < 3; kind++) {
			struct peer p;

			peer_begin(&p, how);
			peer_syn(&p, (uint32_t)test_random());
			MISS(&p, SYN | ACK);
			p.ack = p.last.seq + 1;
			p.ts = p.last.opt.ts;
			SAY(&p, kind == 0 ? PSH : FIN, kind == 1 ? 0 : 100);
			ARE(&p, kind == 0 ? SW_ESTABLISHED : SW_CLOSE_WAIT);
			peer_accept(&p);
			CHECK_EQ(peer_read(&p), kind == 1 ? 0 : 100);
			DRAIN(&p, 0);
			if (kind == 0) {
				end(&p);
				continue;
			}
			CLOSE(&p);
			do
				REQUIRE(peer_next(&p));
			while (!(p.last.flags & FIN));
			p.ack = p.last.seq + 1;
			SAY(&p, ACK, 0);
			ARE(&p, SW_CLOSED);
		}
	peer_unharmed(NULL);
}

static void begin_by_host(struct peer *p, int family)
{
	peer_begin(p, family == 6 ? OPEN_HOST6 : OPEN_HOST4);
	peer_syn(p, (uint32_t)test_random());
	MISS(p, SYN | ACK);
	p->ack = p->last.seq + 1;
	p->ts = p->last.opt.ts;
	ARE(p, SW_SYN_RECEIVED);
}

/* The host's SYN-ACK was lost, or the client's ACK: both are said again. */
TEST(segments_of_the_hosts_handshake_again, "C05 A12")
{
	static const enum sw_reason none[] = { SW_DROP_RST_WINDOW, SW_DROP_WINDOW, 0 };

	peer_prepare();
	for (int family = 4; family <= 6; family += 2) {
		struct peer p;
		uint32_t tsecr;

		begin_by_host(&p, family);
		peer_syn(&p, p.isn);
		ARE(&p, SW_SYN_RECEIVED);
		MISS(&p, SYN | ACK);
		MISS(&p, SYN | ACK); /* by the host's timer */
		p.ack = p.last.seq + 1;
		tsecr = p.tsecr;
		ARE(&p, SW_SYN_RECEIVED);
		STRAY(&p, SYN, -30000, 0, 0); /* an old duplicate */
		ARE(&p, SW_SYN_RECEIVED);
		DRAIN(&p, 0);
		STRAY(&p, RST, -1, 0, 0);
		STRAY(&p, RST, 1 << 30, 0, 0);
		STRAY(&p, ACK, 1 << 30, 0, 0);
		ARE(&p, SW_SYN_RECEIVED);
		DRAIN(&p, 0);
		STRAY(&p, ACK, 0, -1000,
		      0); /* acknowledges what was never sent: reset, not ended */
		MISS(&p, RST);
		ARE(&p, SW_SYN_RECEIVED);
		p.tsecr = tsecr; /* Linux wants that of its SYN-ACK */
		SAY(&p, ACK, 0);
		ARE(&p, SW_ESTABLISHED);
		peer_accept(&p);
		end(&p);
	}
	peer_unharmed(none);
}

/* Nobody has proven anything yet: one SYN, said on and on, does not get the host's time. */
TEST(first_syn_said_on_and_on_has_a_budget, "A01 C05")
{
	static const enum sw_reason beyond[] = { SW_DROP_CHALLENGE, 0 };

	peer_prepare();
	guard.settings.challenge_pps = 100;
	settings_write();
	for (int family = 4; family <= 6; family += 2) {
		struct peer p;
		struct spec s = { .family = (uint8_t)family, .flags = SYN, OPT(SYN_LINUX) };
		struct frame f;
		uint64_t held;

		begin_by_host(&p, family);
		s.sport = p.port;
		s.seq = p.isn;
		held = counter_of(SW_PASS_SYN_HELD);
		for (int i = 0; i < 2000; i++)
			tap_say(&s);
		held = counter_of(SW_PASS_SYN_HELD) - held;
		CHECK(held >= 100 && held < 1000);
		while (tap_hear(&f, 50)) /* a SYN-ACK or two, as the host limits them itself */
			CHECK_EQ(f.flags & (SYN | ACK | RST), SYN | ACK);
		ARE(&p, SW_SYN_RECEIVED);
		SAY(&p, ACK, 0);
		ARE(&p, SW_ESTABLISHED);
		peer_accept(&p);
		end(&p);
	}
	peer_unharmed(beyond);
}

TEST(reset_ends_the_hosts_handshake, "F02")
{
	peer_prepare();
	for (int n = 0; n < 4; n++) {
		struct peer p;

		begin_by_host(&p, n % 2 ? 6 : 4);
		STRAY(&p, n / 2 ? RST : RST | ACK, 0, 0, 0);
		ARE(&p, SW_CLOSED);
		QUIET(&p);
		tables_check();
		p.how = p.family == 6 ? OPEN_COOKIE6 : OPEN_COOKIE4;
		peer_syn(&p, p.isn + 5);
		peer_finish(&p);
		end(&p);
	}
	peer_unharmed(NULL);
}

/* A SYN in the window of a handshake: the host resets it and lets go. */
TEST(new_syn_in_the_window_of_the_hosts_handshake, "C05")
{
	struct peer p;

	peer_prepare();
	begin_by_host(&p, 4);
	STRAY(&p, SYN, 100, 0, 0);
	MISS(&p, RST);
	ARE(&p, SW_CLOSED);
	tables_check();
	peer_unharmed(NULL);
}

/* From a guarded port outwards. */
static int dial(struct peer *p, int family, uint16_t from)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(from) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(from) };
	int one = 1, fd;

	peer_begin(p, family == 6 ? OPEN_HOST6 : OPEN_HOST4);
	p->to = from;
	fd = MUST(socket(family == 6 ? AF_INET6 : AF_INET,
			 SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
	inet_pton(AF_INET, SERVER4, &a4.sin_addr);
	inet_pton(AF_INET6, SERVER6, &a6.sin6_addr);
	MUST(family == 6 ? bind(fd, (struct sockaddr *)&a6, sizeof(a6)) :
			   bind(fd, (struct sockaddr *)&a4, sizeof(a4)));
	inet_pton(AF_INET, CLIENT4, &a4.sin_addr);
	inet_pton(AF_INET6, CLIENT6, &a6.sin6_addr);
	a4.sin_port = a6.sin6_port = htons(p->port);
	CHECK_EQ(family == 6 ? connect(fd, (struct sockaddr *)&a6, sizeof(a6)) :
			       connect(fd, (struct sockaddr *)&a4, sizeof(a4)),
		 -1);
	CHECK_EQ(errno, EINPROGRESS);
	p->fd = fd;
	AT(peer_are(p, SW_SYN_SENT));
	AT(peer_next(p));
	CHECK_EQ(p->last.flags & (SYN | ACK | RST | FIN), SYN);
	p->ack = p->last.seq + 1;
	p->isn = (uint32_t)test_random();
	p->seq = p->isn;
	return fd;
}

static void outbound(int family, uint16_t from)
{
	struct peer p;

	dial(&p, family, from);
	SAY(&p, SYN | ACK, 0);
	ARE(&p, SW_ESTABLISHED);
	HEAR(&p, ACK, 0);
	CHECK(conn_entry(p.family, p.port, p.to, NULL)->flags & SW_CONN_OUTBOUND);
	STRAY(&p, SYN | ACK, -1, 0, 0); /* its ACK was lost */
	HEAR_AGAIN(&p, ACK);
	ARE(&p, SW_ESTABLISHED);
	SAY(&p, PSH, 500);
	CHECK_EQ(peer_read(&p), 500);
	DRAIN(&p, 50);
	if (from % 2) {
		end(&p);
		return;
	}
	CLOSE(&p);
	HEAR(&p, FIN, 0);
	SAY(&p, FIN, 0);
	ARE(&p, SW_TIME_WAIT);
	HEAR(&p, ACK, 0);
}

TEST(host_opens_from_a_guarded_port, "E08 F16")
{
	peer_prepare();
	for (int family = 4; family <= 6; family += 2)
		for (uint16_t from = 8000; from < 8002; from++)
			outbound(family, from);
	tables_check();
	peer_unharmed(NULL);
}

/* While a listener has the port as well: the guard must not take its answers for strays. */
TEST(host_opens_from_the_port_of_a_listener, "E08 E04")
{
	struct peer p;
	int fd, one = 1;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(8005) };

	peer_prepare();
	fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	MUST(listen(fd, 8));
	dial(&p, 4, 8005);
	SAY(&p, SYN | ACK, 0);
	ARE(&p, SW_ESTABLISHED);
	HEAR(&p, ACK, 0);
	end(&p);
	peer_unharmed(NULL);
}

TEST(host_is_refused, "E08 F02")
{
	static const enum sw_reason refused[] = { SW_DROP_RST_WINDOW, 0 };

	peer_prepare();
	for (int family = 4; family <= 6; family += 2) {
		struct peer p;
		int error = 0;
		socklen_t len = sizeof(error);

		dial(&p, family, 8002);
		STRAY(&p, RST, 0, 0, 0); /* without an ACK: of no one */
		STRAY(&p, RST | ACK, 0, 1, 0);
		STRAY(&p, RST | ACK, 0, -1, 0);
		ARE(&p, SW_SYN_SENT);
		QUIET(&p);
		STRAY(&p, RST | ACK, 0, 0, 0);
		ARE(&p, SW_CLOSED);
		MUST(getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &len));
		CHECK_EQ(error, ECONNREFUSED);
		tables_check();
		close(p.fd);
	}
	peer_unharmed(refused);
}

/* Answers of another connection that the client has still: the host resets them, and waits. */
TEST(host_meets_an_old_connection_of_the_clients, "E08 E04")
{
	static const enum sw_reason fins[] = { SW_DROP_WINDOW, 0 };
	struct peer p;

	peer_prepare();
	dial(&p, 4, 8003);
	STRAY(&p, ACK, 0, 1000, 0);
	MISS(&p, RST);
	ARE(&p, SW_SYN_SENT);
	STRAY(&p, SYN | ACK, 0, -1000, 0);
	MISS(&p, RST);
	ARE(&p, SW_SYN_SENT);
	STRAY(&p, FIN, 0, 0, 0);
	ARE(&p, SW_SYN_SENT);
	QUIET(&p);
	SAY(&p, SYN | ACK, 0);
	ARE(&p, SW_ESTABLISHED);
	HEAR(&p, ACK, 0);
	end(&p);
	peer_unharmed(fins);
}

/* Both SYNs are under way at once. */
static void crossing(int family)
{
	struct peer p;

	dial(&p, family, 8004);
	p.seq = p.isn;
	SAY(&p, SYN, 0);
	ARE(&p, SW_SYN_RECEIVED);
	AT(peer_next(&p));
	CHECK_EQ(p.last.flags & (SYN | ACK | RST), SYN | ACK);
	CHECK_EQ(p.last.seq + 1 - p.ack, 0);
	CHECK_EQ(p.last.ack - p.seq, 0);
	STRAY(&p, SYN | ACK, -1, 0, 0);
	ARE(&p, SW_ESTABLISHED);
	DRAIN(&p, 50);
	SAY(&p, PSH, 10);
	CHECK_EQ(peer_read(&p), 10);
	DRAIN(&p, 50);
	end(&p);
}

TEST(both_open_at_once, "F16")
{
	peer_prepare();
	for (int family = 4; family <= 6; family += 2)
		crossing(family);
	peer_unharmed(NULL);
}

/* One port to itself, on lo: no segment of it is on the wire. */
TEST(connection_with_itself, "F16")
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(8006) };
	char byte = 'x';
	int fd;

	peer_prepare();
	inet_pton(AF_INET, SERVER4, &a.sin_addr);
	fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	MUST(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	adopt_sockets();
	tables_check();
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(send(fd, &byte, 1, 0), 1);
		CHECK_EQ(recv(fd, &byte, 1, 0), 1);
		adopt_sockets();
	}
	MUST(shutdown(fd, SHUT_WR));
	CHECK_EQ(recv(fd, &byte, 1, 0), 0);
	close(fd);
	adopt_sockets();
	tables_check();
	peer_unharmed(NULL);
}
