/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A client spelled out segment by segment, see peer.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#define PATIENCE_MS 3000 /* a third retransmission comes after 1.4 s */
#define KINDS       (SYN | FIN | RST | ACK)

int peer_line;
static int listeners[2];
static uint16_t next_port = 20000;

static const char *flags_name(uint8_t flags)
{
	static char text[40];

	text[0] = 0;
	strcat(text, flags & SYN ? "SYN " : "");
	strcat(text, flags & FIN ? "FIN " : "");
	strcat(text, flags & RST ? "RST " : "");
	strcat(text, flags & PSH ? "PSH " : "");
	strcat(text, flags & URG ? "URG " : "");
	strcat(text, flags & ACK ? "ACK " : "");
	text[strlen(text) ? strlen(text) - 1 : 0] = 0;
	return text;
}

const char *opening_name(enum opening how)
{
	static const char *const names[] = { "cookie IPv4", "cookie IPv6", "cookie without options",
					     "host IPv4", "host IPv6" };

	return names[how];
}

/* Steps of this file's own are of the line of the test that last said something. */
static void about(const struct peer *p, const char *verb, uint8_t flags)
{
	test_context("line %d, %s, %s: %s %s", peer_line, opening_name(p->how),
		     state_name(p->brought), verb, flags_name(flags));
}

void peer_prepare(void)
{
	tap_open();
	listeners[0] = listen_on(4, 80, 64);
	listeners[1] = listen_on(6, 80, 64);
	counters_start();
}

static bool is_gone(enum sw_state s)
{
	return s == SW_FREE || s == SW_CLOSED;
}

/*
 * On a busy machine a FIN waits for a softirq to send it (TCP small queues) while its socket is in
 * the next state already. Less than what a timer of TCP takes, which could put right what was wrong.
 */
#define AGREE_TRIES 10 /* of 10 ms */

void peer_agree(struct peer *p)
{
	enum sw_state host = SW_FREE, entry = SW_FREE;

	for (int i = 0; i < AGREE_TRIES; i++) {
		host = host_state(p->family, p->port, p->to);
		entry = conn_state(p->family, p->port, p->to);
		if (p->blind || entry == host || (is_gone(entry) && is_gone(host)) ||
		    (p->lag && entry == p->lag))
			return;
		sleep_ms(10);
	}
	FAIL("the entry is %s, the host %s", state_name(entry), state_name(host));
}

void peer_are(struct peer *p, enum sw_state state)
{
	enum sw_state host = SW_FREE, entry = SW_FREE;

	for (int i = 0; i < AGREE_TRIES; i++) {
		host = host_state(p->family, p->port, p->to);
		entry = conn_state(p->family, p->port, p->to);
		if (is_gone(state) ? is_gone(host) && is_gone(entry) :
				     host == state && entry == state)
			return;
		sleep_ms(10);
	}
	FAIL("expected %s; the entry is %s, the host %s", state_name(state), state_name(entry),
	     state_name(host));
}

static void fill(const struct peer *p, struct spec *s, uint8_t opt[12])
{
	uint32_t tsval = htonl(p->tsval), tsecr = htonl(p->tsecr);

	s->family = p->family;
	s->sport = p->port;
	s->dport = p->to;
	s->window = p->window;
	if (!(s->flags & (RST | SYN)) || s->flags == (SYN | ACK))
		s->flags |= ACK;
	if (!p->ts || s->opt || s->flags & RST) /* as stacks do: a RST is not judged by its time */
		return;
	memcpy(opt, "\x01\x01\x08\x0a", 4);
	memcpy(opt + 4, &tsval, 4);
	memcpy(opt + 8, &tsecr, 4);
	s->opt = opt;
	s->opt_len = 12;
}

void peer_stray(struct peer *p, uint8_t flags, int64_t seq, int64_t ack, uint16_t payload)
{
	struct spec s = { .flags = flags, .seq = p->seq + (uint32_t)seq, .payload = payload };
	uint8_t opt[12];

	about(p, "after the client's", flags);
	fill(p, &s, opt);
	if (s.flags & ACK)
		s.ack = p->ack + (uint32_t)ack;
	tap_say(&s);
	peer_agree(p);
}

void peer_say(struct peer *p, uint8_t flags, uint16_t payload)
{
	peer_stray(p, flags, 0, 0, payload);
	p->seq += payload + !!(flags & (SYN | FIN));
}

/* Timers of earlier connections are passed over. */
static bool hear(struct peer *p, unsigned int ms)
{
	struct frame f;

	do {
		if (!tap_hear(&f, ms))
			return false;
	} while (f.dport != p->port);
	p->last = f;
	if (f.opt.ts)
		p->tsecr = f.opt.tsval;
	return true;
}

/* Of a test that was slow: data once more, an ACK that would have gone with the FIN. */
static bool is_late(const struct peer *p, uint8_t flags)
{
	if (p->last.flags & (SYN | FIN | RST))
		return false;
	return p->last.payload_len ? (int)(p->last.seq + p->last.payload_len - p->ack) <= 0 :
				     flags & FIN && p->last.seq == p->ack;
}

static bool hear_kind(struct peer *p, uint8_t flags, const char *verb)
{
	about(p, verb, flags);
	do
		if (!hear(p, PATIENCE_MS)) {
			FAIL("nothing came");
			test_abort();
		}
	while (is_late(p, flags));
	if ((p->last.flags & KINDS) != (flags | (flags & RST ? p->last.flags & ACK : ACK)) &&
	    flags != SYN)
		FAIL("%s came instead, seq %+d, ack %+d", flags_name(p->last.flags),
		     (int)(p->last.seq - p->ack), (int)(p->last.ack - p->seq));
	peer_agree(p);
	return true;
}

void peer_hear(struct peer *p, uint8_t flags, uint16_t payload)
{
	hear_kind(p, flags, "at the host's");
	CHECK_EQ(p->last.seq - p->ack, 0);
	CHECK_EQ(p->last.payload_len, payload);
	if (!(flags & RST)) /* they may have crossed */
		CHECK((int)(p->last.ack - p->seq) <= 0);
	p->ack += payload + !!(flags & (SYN | FIN));
}

void peer_hear_again(struct peer *p, uint8_t flags)
{
	hear_kind(p, flags, "at the host's repeated");
	CHECK(p->ack - p->last.seq + 0x100000 < 0x200000);
}

void peer_miss(struct peer *p, uint8_t flags)
{
	hear_kind(p, flags, "at the host's lost");
}

void peer_hear_rst(struct peer *p, uint32_t seq)
{
	hear_kind(p, RST, "at the host's");
	CHECK_EQ(p->last.seq - seq, 0);
}

void peer_quiet(struct peer *p)
{
	about(p, "in the silence", 0);
	if (hear(p, 0))
		FAIL("%s came", flags_name(p->last.flags));
	peer_agree(p);
}

bool peer_next(struct peer *p)
{
	about(p, "at the host's next", 0);
	if (!hear(p, PATIENCE_MS))
		return false;
	peer_agree(p);
	return true;
}

void peer_drain(struct peer *p, unsigned int ms)
{
	about(p, "reading on", 0);
	while (hear(p, ms))
		if (p->last.flags & (SYN | FIN | RST))
			FAIL("%s came", flags_name(p->last.flags));
	peer_agree(p);
}

void peer_begin(struct peer *p, enum opening how)
{
	*p = (struct peer){ .how = how, .to = 80, .port = next_port++, .fd = -1 };
	p->family = how == OPEN_COOKIE6 || how == OPEN_HOST6 ? 6 : 4;
	p->tsval = 0x01020304;
	p->window = 64240;
}

enum sw_mode peer_peace = SW_MODE_MONITOR;

/* In peace. With engine listener the host is to keep a request, too, and not make a cookie. */
static void pass(const struct spec *s)
{
	bool listener = guard.engine == SW_ENGINE_LISTENER;

	services_mode(peer_peace);
	if (listener)
		sysctl_write("net/ipv4/tcp_syncookies", "1");
	tap_say(s);
	if (listener) {
		sysctl_write("net/ipv4/tcp_syncookies", "2");
		let_caches_expire();
	}
	services_mode(SW_MODE_ALWAYS);
}

void peer_syn(struct peer *p, uint32_t isn)
{
	struct spec s = { .flags = SYN, .seq = isn, OPT(SYN_LINUX) };
	uint8_t opt[20];
	uint32_t tsval = htonl(p->tsval);

	p->isn = isn;
	p->seq = isn + 1;
	p->ack = 0;
	p->ts = p->how != OPEN_BARE4;
	memcpy(opt, SYN_LINUX, 20);
	memcpy(opt + 8, &tsval, 4);
	s.opt = opt;
	if (p->how == OPEN_BARE4) {
		s.opt = OPT_MSS1460;
		s.opt_len = 4;
	}
	fill(p, &s, NULL);
	about(p, "after the client's", SYN);
	if (p->how == OPEN_HOST4 || p->how == OPEN_HOST6)
		pass(&s);
	else
		tap_say(&s);
	peer_agree(p);
}

void peer_accept(struct peer *p)
{
	about(p, "at accept()", 0);
	for (int i = 0; i < 200 && p->fd < 0; i++) {
		p->fd = accept4(listeners[p->family == 6], NULL, NULL,
				SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (p->fd < 0)
			sleep_ms(5);
	}
	REQUIRE(p->fd >= 0);
}

void peer_finish(struct peer *p)
{
	hear_kind(p, SYN | ACK, "at the");
	CHECK_EQ(p->last.ack - p->seq, 0);
	p->ts = p->last.opt.ts;
	p->scale = p->last.opt.ws > 0 ? (uint8_t)p->last.opt.ws : 0;
	p->host_isn = p->last.seq;
	p->ack = p->host_isn + 1;
	p->tsval++;
	peer_say(p, ACK, 0);
	peer_accept(p);
}

void peer_open(struct peer *p, enum opening how)
{
	peer_begin(p, how);
	peer_syn(p, (uint32_t)test_random());
	peer_finish(p);
	peer_are(p, SW_ESTABLISHED);
	peer_quiet(p);
}

void peer_send(struct peer *p, size_t len)
{
	static const char bytes[65536];

	about(p, "after send()", 0);
	CHECK_EQ(send(p->fd, bytes, len, MSG_NOSIGNAL), len);
	peer_agree(p);
}

void peer_shutdown(struct peer *p)
{
	about(p, "after shutdown()", 0);
	MUST(shutdown(p->fd, SHUT_WR));
	peer_agree(p);
}

void peer_close(struct peer *p)
{
	about(p, "after close()", 0);
	close(p->fd);
	p->fd = -1;
	peer_agree(p);
}

void peer_abort(struct peer *p)
{
	struct linger reset = { .l_onoff = 1 };

	MUST(setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	peer_close(p);
}

size_t peer_read(struct peer *p)
{
	static char bytes[65536];
	size_t got = 0;
	ssize_t n;

	while ((n = recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		got += (size_t)n;
	return got;
}

static void measure_rtt(struct peer *p)
{
	SEND(p, 1);
	HEAR(p, ACK, 1);
	SAY(p, ACK, 0);
}

static void finish(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	tables_check();
}

void peer_each(void (*scene)(struct peer *p))
{
	peer_prepare();
	for (enum opening how = 0; how < OPENINGS && !test_failed(); how++) {
		struct peer p;

		peer_open(&p, how);
		measure_rtt(&p);
		scene(&p);
		finish(&p);
	}
}

const enum sw_state all_states[] = { SW_ESTABLISHED, SW_FIN_WAIT_1, SW_FIN_WAIT_2, SW_CLOSE_WAIT,
				     SW_CLOSING,     SW_LAST_ACK,   SW_TIME_WAIT,  0 };

static void host_ends(struct peer *p, bool orphan)
{
	if (orphan)
		CLOSE(p);
	else
		SHUTDOWN(p);
	HEAR(p, FIN, 0);
}

static void client_ends(struct peer *p)
{
	SAY(p, FIN, 0);
	HEAR(p, ACK, 0);
}

void peer_bring(struct peer *p, enum sw_state state, bool orphan)
{
	if (state == SW_CLOSE_WAIT || state == SW_LAST_ACK)
		client_ends(p);
	if (state != SW_ESTABLISHED && state != SW_CLOSE_WAIT)
		host_ends(p, orphan);
	if (state == SW_CLOSING) {
		STRAY(p, FIN, 0, -1, 0);
		p->seq++;
		HEAR(p, ACK, 0);
	}
	if (state == SW_FIN_WAIT_2 || state == SW_TIME_WAIT)
		SAY(p, ACK, 0);
	if (state == SW_TIME_WAIT)
		client_ends(p);
	ARE(p, state);
	QUIET(p);
	p->brought = state;
}

void peer_each_state(const enum sw_state *states, void (*scene)(struct peer *p, enum sw_state s))
{
	static const enum opening hows[] = { OPEN_COOKIE4, OPEN_HOST6, OPEN_BARE4 };

	for (; *states && !test_failed(); states++)
		for (size_t i = 0; i < 2 * ARRAY_SIZE(hows) && !test_failed(); i++) {
			struct peer p;

			peer_open(&p, hows[i / 2]);
			measure_rtt(&p);
			peer_bring(&p, *states, i % 2);
			scene(&p, *states);
			finish(&p);
		}
}

void peer_unharmed(const enum sw_reason *allowed)
{
	tap_detach();
	for (enum sw_reason r = 1; r < SW_REASON_MAX; r++) {
		const enum sw_reason *a = allowed;
		uint64_t n;

		while (a && *a && *a != r)
			a++;
		if ((a && *a) || (strcmp(verdict_name(r), "DROP") && r != SW_OUT_STRAY_RST))
			continue;
		n = counter_of(r);
		test_context("%s", reason_name(r));
		CHECK_EQ(n, 0);
	}
}
