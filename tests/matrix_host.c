/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See matrix_host.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "matrix_host.h"

#define EARLY    1000 /* bytes the client sends first, so that nothing is next to an ISN */
#define INFLIGHT 100  /* bytes the host has out, unacknowledged */

static const struct {
	const char *row, *name;
	enum sw_state state;
} places[PLACES] = {
	[AT_CLOSED] = { "CLOSED", "CLOSED", SW_FREE },
	[AT_LISTEN] = { "LISTEN", "LISTEN", SW_FREE },
	[AT_TOMBSTONE] = { "LISTEN", "CLOSED, in the table", SW_FREE },
	[AT_SYN_SENT] = { "SYN-SENT", "SYN-SENT", SW_SYN_SENT },
	[AT_SYN_RECEIVED] = { "SYN-RECEIVED", "SYN-RECEIVED", SW_SYN_RECEIVED },
	[AT_CROSSING] = { "SYN-RECEIVED", "SYN-RECEIVED, crossing", SW_SYN_RECEIVED },
	[AT_ESTABLISHED] = { "ESTABLISHED", "ESTABLISHED", SW_ESTABLISHED },
	[AT_FIN_WAIT_1] = { "FIN-WAIT-1", "FIN-WAIT-1", SW_FIN_WAIT_1 },
	[AT_FIN_WAIT_1_QUEUED] = { "FIN-WAIT-1", "FIN-WAIT-1, FIN queued", SW_FIN_WAIT_1 },
	[AT_FIN_WAIT_2] = { "FIN-WAIT-2", "FIN-WAIT-2", SW_FIN_WAIT_2 },
	[AT_FIN_WAIT_2_ORPHAN] = { "FIN-WAIT-2", "FIN-WAIT-2, orphan", SW_FIN_WAIT_2 },
	[AT_CLOSE_WAIT] = { "CLOSE-WAIT", "CLOSE-WAIT", SW_CLOSE_WAIT },
	[AT_CLOSING] = { "CLOSING", "CLOSING", SW_CLOSING },
	[AT_LAST_ACK] = { "LAST-ACK", "LAST-ACK", SW_LAST_ACK },
	[AT_TIME_WAIT] = { "TIME-WAIT", "TIME-WAIT", SW_TIME_WAIT },
};

static int listeners[2];

const char *place_row(enum place at)
{
	return places[at].row;
}

const char *place_name(enum place at)
{
	return places[at].name;
}

enum sw_state place_state(enum place at)
{
	return places[at].state;
}

static bool is_theirs(const struct peer *p, const struct frame *f)
{
	return f->family == p->family && f->sport == p->server_port && f->dport == p->port;
}

/* What the host said of its numbers. */
static void note(struct peer *p, const struct frame *f)
{
	uint32_t end = f->seq + (uint32_t)f->payload_len + !!(f->flags & SYN) + !!(f->flags & FIN);

	if (f->flags & SYN) {
		p->iss = p->snd_una = f->seq;
		p->snd_nxt = f->seq + 1;
		p->scale = f->opt.ws > 0 ? (uint8_t)f->opt.ws : 0;
	}
	if ((int32_t)(end - p->snd_nxt) > 0)
		p->snd_nxt = end;
	if (f->flags & FIN)
		p->server_fin = end - 1;
	if (f->opt.ts)
		p->tsecr = f->opt.tsval;
	if (!(f->flags & ACK))
		return;
	p->rcv_nxt = f->ack;
	p->rcv_wnd = (uint32_t)f->window << (f->flags & SYN ? 0 : p->scale);
}

/* Until the host has sent one with these flags; 0: all it has sent by now. */
static void hear(struct peer *p, uint8_t flags)
{
	struct frame f;

	while (tap_hear(&f, flags ? 2000 : 0)) {
		if (!is_theirs(p, &f))
			continue;
		if (f.flags & RST)
			FAIL("the host sent a RST on the way to %s", place_name(p->place));
		note(p, &f);
		if (flags && (f.flags & (SYN | FIN | ACK)) == flags)
			return;
	}
	if (flags) {
		FAIL("the host sent nothing with flags %#x on the way to %s", flags,
		     place_name(p->place));
		test_abort();
	}
}

static void say(struct peer *p, uint8_t flags, uint32_t ack, uint16_t payload, uint16_t window)
{
	uint8_t opt[20] = { 2, 4, 5, 0xb4, 3, 3, 0, 1, 8, 10 };
	uint32_t tsval = htonl(++p->tsval), tsecr = htonl(p->tsecr);
	struct spec s = { .family = p->family,
			  .sport = p->port,
			  .dport = p->server_port,
			  .seq = p->seq,
			  .ack = ack,
			  .flags = flags,
			  .payload = payload,
			  .window = window,
			  .opt = opt,
			  .opt_len = p->ts ? 18 : 8 };

	memcpy(opt + 10, &tsval, 4);
	memcpy(opt + 14, &tsecr, 4);
	if (!(flags & SYN)) {
		s.opt = opt + 8;
		s.opt_len = p->ts ? 10 : 0;
	}
	tap_say(&s);
	if (flags & FIN)
		p->client_fin = p->seq + payload;
	p->seq += payload + !!(flags & SYN) + !!(flags & FIN);
	if (flags & ACK && (int32_t)(ack - p->snd_una) > 0)
		p->snd_una = ack;
}

static void host_writes(struct peer *p)
{
	static const char bytes[INFLIGHT];

	MUST(send(p->fd, bytes, sizeof(bytes), 0));
	hear(p, ACK);
}

static void host_shuts(struct peer *p)
{
	MUST(shutdown(p->fd, SHUT_WR));
	hear(p, FIN | ACK);
}

static int accept_for(const struct peer *p)
{
	int fd = -1;

	for (int i = 0; i < 400 && fd < 0; i++) {
		fd = accept(listeners[p->family == 6], NULL, NULL);
		if (fd < 0)
			sleep_ms(5);
	}
	REQUIRE(fd >= 0);
	return fd;
}

/* Engine listener has the host answer with cookies, and there would be no SYN-RECEIVED. */
static void open_from_client(struct peer *p)
{
	bool cookies = guard.engine == SW_ENGINE_LISTENER;

	if (cookies)
		sysctl_write("net/ipv4/tcp_syncookies", "1");
	say(p, SYN, 0, 0, PEER_WINDOW);
	hear(p, SYN | ACK);
	if (cookies)
		sysctl_write("net/ipv4/tcp_syncookies", "2");
}

static void establish(struct peer *p)
{
	char bytes[EARLY];
	ssize_t got = 0, n;

	open_from_client(p);
	say(p, ACK, p->snd_nxt, 0, PEER_WINDOW);
	say(p, ACK | PSH, p->snd_nxt, EARLY, PEER_WINDOW);
	p->fd = accept_for(p);
	for (; got < EARLY; got += n)
		n = MUST(recv(p->fd, bytes, sizeof(bytes), 0));
	hear(p, 0);
}

static void put_syn_sent(struct peer *p)
{
	struct sockaddr_storage local = {}, remote = {};
	struct sockaddr_in6 *l6 = (struct sockaddr_in6 *)&local, *r6 = (void *)&remote;
	struct sockaddr_in *l4 = (struct sockaddr_in *)&local, *r4 = (void *)&remote;
	socklen_t len = p->family == 6 ? sizeof(*l6) : sizeof(*l4);
	int af = p->family == 6 ? AF_INET6 : AF_INET, one = 1;

	p->server_port = 8001;
	l6->sin6_family = r6->sin6_family = (sa_family_t)af;
	l6->sin6_port = htons(p->server_port);
	r6->sin6_port = htons(p->port);
	if (p->family == 6) {
		inet_pton(af, SERVER6, &l6->sin6_addr);
		inet_pton(af, CLIENT6, &r6->sin6_addr);
	} else {
		inet_pton(af, SERVER4, &l4->sin_addr);
		inet_pton(af, CLIENT4, &r4->sin_addr);
	}
	p->fd = MUST(socket(af, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	MUST(setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	MUST(bind(p->fd, (struct sockaddr *)&local, len));
	CHECK(connect(p->fd, (struct sockaddr *)&remote, len) < 0 && errno == EINPROGRESS);
	hear(p, SYN);
	p->rcv_nxt = p->seq; /* of a SYN-SENT nobody knows: some number */
	p->rcv_wnd = 65535;
}

static void put_fin_wait_2(struct peer *p, bool orphan)
{
	if (orphan) {
		MUST(close(p->fd));
		p->fd = -1;
		hear(p, FIN | ACK);
	} else {
		host_shuts(p);
	}
	say(p, ACK, p->snd_nxt, 0, PEER_WINDOW);
	hear(p, 0);
}

static void put_closing(struct peer *p)
{
	host_writes(p);
	host_shuts(p);
	say(p, FIN | ACK, p->snd_una, 0, PEER_WINDOW);
	hear(p, ACK);
}

static void put(struct peer *p)
{
	switch (p->place) {
	case AT_SYN_SENT:
		return put_syn_sent(p);
	case AT_CROSSING:
		put_syn_sent(p);
		return open_from_client(p);
	case AT_SYN_RECEIVED:
		return open_from_client(p);
	default:
		break;
	}
	establish(p);
	switch (p->place) {
	case AT_FIN_WAIT_1:
		host_writes(p);
		return host_shuts(p);
	case AT_FIN_WAIT_1_QUEUED:
		host_writes(p);
		say(p, ACK, p->snd_una, 0, INFLIGHT); /* no room for more */
		MUST(send(p->fd, p, INFLIGHT, 0));
		MUST(shutdown(p->fd, SHUT_WR));
		p->queued = INFLIGHT + 1;
		return hear(p, 0);
	case AT_FIN_WAIT_2:
	case AT_FIN_WAIT_2_ORPHAN:
		return put_fin_wait_2(p, p->place == AT_FIN_WAIT_2_ORPHAN);
	case AT_CLOSING:
		return put_closing(p);
	case AT_TIME_WAIT:
		put_fin_wait_2(p, false);
		say(p, FIN | ACK, p->snd_nxt, 0, PEER_WINDOW);
		return hear(p, ACK);
	case AT_CLOSE_WAIT:
		say(p, FIN | ACK, p->snd_nxt, 0, PEER_WINDOW);
		return host_writes(p);
	case AT_LAST_ACK:
	case AT_TOMBSTONE:
		say(p, FIN | ACK, p->snd_nxt, 0, PEER_WINDOW);
		host_writes(p);
		return host_shuts(p);
	default: /* ESTABLISHED */
		return host_writes(p);
	}
}

void peer_put(struct peer *p, enum place at, uint8_t family, uint16_t port, bool ts)
{
	enum sw_state there;

	memset(p, 0, sizeof(*p));
	p->place = at;
	p->family = family;
	p->port = port;
	p->server_port = at == AT_CLOSED ? 8001 : 80;
	p->ts = ts;
	p->fd = -1;
	p->isn = p->seq = (uint32_t)test_random();
	if (at == AT_CLOSED || at == AT_LISTEN) {
		p->rcv_nxt = p->seq + 1;
		p->rcv_wnd = 65535;
		p->iss = p->snd_una = (uint32_t)test_random();
		p->snd_nxt = p->iss + 1;
		return;
	}
	put(p);
	there = host_state(family, port, p->server_port);
	if (there != (at == AT_TOMBSTONE ? SW_LAST_ACK : place_state(at))) {
		FAIL("the host is in %s, expected %s", state_name(there), place_name(at));
		test_abort();
	}
}

void peer_end(struct peer *p)
{
	struct frame f;
	int fd;

	if (place_state(p->place)) { /* exact, so that listeners' queues do not fill */
		p->seq = p->rcv_nxt;
		say(p, RST | ACK, p->snd_nxt, 0, 0);
		while (tap_hear(&f, 0))
			;
	}
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	while ((fd = accept(listeners[p->family == 6], NULL, NULL)) >= 0) /* of SYN-RECEIVED */
		close(fd);
}

void peers_begin(void)
{
	tap_open();
	tap_detach();
	listeners[0] = listen_on(4, 80, 64);
	listeners[1] = listen_on(6, 80, 64);
}
