/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random segments and calls of the host's program, over a few tuples on a live wire, for
 * SW_FUZZ_SECONDS (20). After each the guard's entry is what model.h says and what the host
 * is in, and nothing that a live connection may say has been dropped. The seed is printed at
 * the start and given again with --seed or SW_SEED; the host's timers are its own.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "babble.h"
#include "rows.h"

#define FLOWS      8
#define QUIET_EACH 20000 /* steps between two moments of rest */
#define MOMENTS    16
#define NEAR       (1 << 18)
#define FLIGHT     (1 << 20)
#define DROPS      (SW_DROP_CHALLENGE - SW_DROP_COOKIE + 1)

/* Why an entry may for a while not be what the host is. */
enum lag {
	LAG_NONE,
	LAG_REFUSED,  /* the host had no room for what the numbers allow */
	LAG_UNSENT,   /* its FIN waits behind data that the window or the network holds back */
	LAG_GONE,     /* it let go of a small socket without a word */
	LAG_CONFUSED, /* by two FINs, or data behind one */
	LAG_MAX,
};

static struct flow {
	struct model m;
	uint8_t family;
	uint16_t port, to;
	int fd;
	uint32_t tsval, tsecr;
	struct sw_conn *slot; /* where its entry last was */
	enum lag lag;
	/* its last steps, for who reads of a failure */
	struct moment {
		uint64_t step;
		struct model m;
		struct segment s;
		const char *act;
	} past[MOMENTS];
	unsigned int n_past;
} flows[FLOWS];

static uint64_t steps, lags[LAG_MAX], drops_seen[2], n_verdict[MODEL_VERDICTS], n_confused;
static int listeners[2][2];
static bool small_windows; /* else with scale: 65535 on the wire may stand for more */

static struct sw_conn *entry_of(struct flow *f)
{
	struct sw_conn *c = f->slot;

	if (c && c->state > SW_CLAIMED && c->client_port == htons(f->port) &&
	    c->server_port == htons(f->to))
		return c;
	f->slot = conn_entry(f->family, f->port, f->to, NULL);
	return f->slot;
}

static enum sw_state entry_state(struct flow *f)
{
	struct sw_conn *c = entry_of(f);

	return !c || c->state == SW_CLOSED ? SW_FREE : c->state;
}

/* Legal segments to f's service that were dropped, since the last call. */
static uint64_t drops(struct flow *f)
{
	static struct sw_count *values;
	static uint32_t keys[DROPS];
	unsigned int service = f->to == 80 ? SERVICE_WEB : SERVICE_HOST_SYNS;
	uint32_t before = service * SW_REASON_MAX + SW_DROP_COOKIE - 1, n = DROPS, out;
	uint64_t *seen = &drops_seen[f->to != 80], sum = 0, was = *seen;
	static uint32_t cpus;
	static int fd;

	if (!values) {
		fd = map_fd("sw_stats");
		cpus = (uint32_t)libbpf_num_possible_cpus();
		values = calloc((size_t)DROPS * cpus, sizeof(*values));
	}
	REQUIRE(values);
	if (bpf_map_lookup_batch(fd, &before, &out, keys, values, &n, NULL) && errno != ENOENT)
		FAIL("reading sw_stats: %m");
	REQUIRE(n == DROPS);
	for (uint32_t i = 0; i < DROPS * cpus; i++)
		sum += values[i].packets;
	*seen = sum;
	return sum - was;
}

static struct flow *flow_of(uint16_t port)
{
	for (size_t i = 0; i < FLOWS; i++)
		if (flows[i].port == port)
			return &flows[i];
	return NULL;
}

/* Programs that a reset was faster than are taken, too, and let go. */
static void accept_from(const struct flow *to)
{
	while (1) {
		struct sockaddr_in6 peer; /* the port is where IPv4 has it */
		socklen_t len = sizeof(peer);
		int fd = accept4(listeners[to->family == 6][to->to != 80], (struct sockaddr *)&peer,
				 &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct flow *f;

		if (fd < 0)
			return;
		f = flow_of(ntohs(peer.sin6_port));
		REQUIRE(f);
		if (f->fd >= 0)
			close(f->fd);
		f->fd = fd;
	}
}

/* What the host, and the guard, said. `answered`: a SYN of that flow was to get a cookie. */
static void listen_to_host(struct flow *answered, unsigned int ms)
{
	struct frame h;

	while (tap_hear(&h, ms)) {
		struct flow *f = flow_of(h.dport);

		if (!f)
			continue;
		/* of a request Linux takes no echo but of its SYN-ACK */
		if (h.opt.ts && (f->m.host != SW_SYN_RECEIVED || h.flags & SYN))
			f->tsecr = h.opt.tsval;
		if (f == answered && (h.flags & (SYN | ACK)) == (SYN | ACK))
			model_cookie(&f->m, &h);
		else
			model_out(&f->m, &h);
	}
}

static void note(struct flow *f, const struct segment *s, const char *act)
{
	struct moment *now = &f->past[f->n_past++ % MOMENTS];

	*now = (struct moment){ .step = steps, .m = f->m, .act = act };
	if (s)
		now->s = *s;
}

static const char *moment_text(const struct moment *past)
{
	static char text[256];
	const struct model *m = &past->m;
	const struct segment *s = &past->s;
	int n = snprintf(text, sizeof(text), "step %llu, host %s%s, entry %s, ",
			 (unsigned long long)past->step, state_name(m->host),
			 m->small ? " (small)" : "", state_name(m->state));

	if (past->act)
		snprintf(text + n, sizeof(text) - (size_t)n, "the program %s", past->act);
	else
		snprintf(text + n, sizeof(text) - (size_t)n,
			 "flags %02x, seq %+d, ack %+d, %u bytes%s; window %u, fin sent %d, "
			 "early fin %d at %+d",
			 s->flags, (int)(s->seq - m->rcv_nxt), (int)(s->ack - m->snd_nxt), s->len,
			 s->broken ? ", broken" : "", m->rcv_end - m->rcv_nxt, m->fin_sent,
			 m->pending, (int)(m->fin - m->rcv_nxt));
	return text;
}

static void tell_all(const struct flow *f)
{
	test_note("port %u to %u:", f->port, f->to);
	for (unsigned int i = 0; i < MOMENTS; i++)
		if (f->n_past + i >= MOMENTS)
			test_note("%s", moment_text(&f->past[(f->n_past + i) % MOMENTS]));
}

#define WRONG(f, ...)                                                                         \
	do {                                                                                  \
		test_context("%s",                                                            \
			     moment_text(&(f)->past[((f)->n_past + MOMENTS - 1) % MOMENTS])); \
		FAIL(__VA_ARGS__);                                                            \
	} while (0)

static enum lag lag_of(const struct flow *f, const struct model_step *step, enum sw_state host)
{
	if (!f->m.fin_sent && (host == SW_FIN_WAIT_1 || host == SW_LAST_ACK || host == SW_CLOSING))
		return LAG_UNSENT;
	if (step && step->may_be_refused)
		return LAG_REFUSED;
	if ((step && step->may_end) || (f->m.small && host == SW_FREE))
		return LAG_GONE;
	return f->m.confused ? LAG_CONFUSED : f->lag;
}

/* step NULL: the host's program did something. */
static void check(struct flow *f, const struct model_step *step)
{
	enum sw_state before = f->m.state, other = f->m.other, entry = entry_state(f);
	struct host_view host = {};

	if (f->fd >= 0)
		host = host_view_of(f->fd);
	if (host.state == SW_FREE) /* not of a program, or handed on to a TIME-WAIT socket */
		host = host_view(f->family, f->port, f->to);
	n_confused += f->m.confused;
	if (entry != before && entry != other) { /* what moved it may be on its way from the host */
		listen_to_host(NULL, 20);
		before = f->m.state;
		other = f->m.other;
	}
	/* one that may be dropped may be answered by the host, and then the entry follows it */
	if (step && step->verdict == MODEL_EITHER && entry == host.state)
		other = entry;
	if (entry != before && entry != other && !f->m.confused)
		WRONG(f, "the entry is %s, expected %s or %s", state_name(entry),
		      state_name(before), state_name(other));
	if (entry != host.state) {
		f->lag = lag_of(f, step, host.state);
		f->m.confused |= f->lag == LAG_REFUSED; /* it may know of a FIN the host does not */
		lags[f->lag]++;
		if (f->lag == LAG_NONE)
			WRONG(f, "the entry is %s, the host %s", state_name(entry),
			      state_name(host.state));
	} else {
		f->lag = LAG_NONE;
	}
	f->m.state = f->m.other = entry;
	if (host.full)
		f->m.rcv_nxt = f->m.isn + 1 + (uint32_t)host.received;
	else if (host.state == SW_TIME_WAIT) /* entered with an ACK of the FIN */
		f->m.rcv_nxt = f->m.acked;
	if (host.full &&
	    (int32_t)(f->m.rcv_end - f->m.rcv_nxt) < 0) /* it took more than it had offered */
		f->m.rcv_end = f->m.rcv_nxt;
	f->m.host = host.state;
	f->m.small = host.state != SW_FREE && !host.full;
}

/* Near an open one's numbers nothing is asked; near an ended one's the host may answer. */
static bool is_near(const struct flow *f, const struct segment *s, const struct sw_conn *was)
{
	uint32_t ahead = s->seq - was->rcv_nxt;

	if (was->state > SW_CLAIMED && f->m.host == SW_FREE)
		return (s->flags & (SYN | RST | ACK)) == ACK && ahead + FLIGHT <= 2 * FLIGHT;
	return (s->flags & (FIN | SYN | RST | ACK)) == ACK && was->state >= SW_ESTABLISHED &&
	       ahead + NEAR <= 2 * NEAR;
}

static void check_verdict(struct flow *f, const struct segment *s, const struct model_step *step,
			  const struct sw_conn *was)
{
	uint64_t dropped;

	n_verdict[step->verdict]++;
	if (step->verdict == MODEL_ILLEGAL)
		return;
	dropped = drops(f);
	if (step->verdict == MODEL_EITHER)
		return;
	if (step->verdict != MODEL_DROP && dropped)
		WRONG(f, "dropped");
	if (step->verdict == MODEL_DROP && !dropped && !is_near(f, s, was))
		WRONG(f, "passed");
}

static void say(struct flow *f, const struct segment *s)
{
	struct sw_conn *c = entry_of(f), was = c ? *c : (struct sw_conn){};
	struct model_step step = model_in(&f->m, s);
	bool was_open;
	uint32_t tsval = htonl(f->tsval += s->flags & SYN && one_in(2)), tsecr = htonl(f->tsecr);
	struct spec spec = { .family = f->family,
			     .sport = f->port,
			     .dport = f->to,
			     .flags = s->flags,
			     .seq = s->seq,
			     .ack = s->flags & ACK ? s->ack : 0,
			     .payload = s->len,
			     .bad_tcp_csum = s->broken };
	uint8_t opt[20];

	if (s->flags & SYN && (f->port % 2 || !small_windows)) {
		memcpy(opt, SYN_LINUX, 20);
		memcpy(opt + 8, &tsval, 4);
		spec.opt = opt;
		spec.opt_len = 20;
	} else if (!(s->flags & (SYN | RST)) && f->m.ts) {
		memcpy(opt, "\x01\x01\x08\x0a", 4);
		memcpy(opt + 4, &tsval, 4);
		memcpy(opt + 8, &tsecr, 4);
		spec.opt = opt;
		spec.opt_len = 12;
	}
	note(f, s, NULL);
	tap_say(&spec);
	model_sent(&f->m, s, &step);
	listen_to_host(step.verdict == MODEL_ANSWER && f->to == 80 ? f : NULL, 0);
	check_verdict(f, s, &step, &was);
	was_open = f->m.host > SW_SYN_RECEIVED;
	check(f, &step);
	if (!was_open && f->m.host != SW_SYN_RECEIVED)
		accept_from(f);
}

static void host_acts(struct flow *f)
{
	static char bytes[65536];
	struct linger reset = { .l_onoff = 1 };
	uint32_t what = below(32);

	note(f, NULL,
	     what < 12  ? "sends" :
	     what < 28  ? "reads" :
	     what == 28 ? "shuts down" :
	     what == 29 ? "resets" :
			  "closes");
	if (what < 12) {
		if (send(f->fd, bytes, 1 + below(5000), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			errno = 0;
	} else if (what < 28) {
		while (recv(f->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
	} else if (what == 28) {
		shutdown(f->fd, SHUT_WR);
	} else {
		if (what == 29)
			MUST(setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
		close(f->fd);
		f->fd = -1;
	}
	listen_to_host(NULL, 0);
	/* a reset in these is no more than a farewell without a word */
	check(f, what == 29 && (f->m.host == SW_LAST_ACK || f->m.host == SW_CLOSING) ?
			 &(struct model_step){ .may_end = true } :
			 NULL);
}

static void step(void)
{
	struct flow *f = &flows[below(FLOWS)];

	if (f->fd >= 0 && one_in(4)) {
		host_acts(f);
	} else {
		struct segment s = babble(&f->m);

		say(f, &s);
	}
	if (test_failed())
		tell_all(f);
	steps++;
}

/* Nothing has happened for a while: the walk over the sockets leaves no doubt. */
static void rest(void)
{
	for (size_t i = 0; i < FLOWS; i++) {
		struct sw_conn *c = entry_of(&flows[i]);

		if (c)
			c->changed_s -= 10;
	}
	adopt_sockets();
	listen_to_host(NULL, 0);
	for (size_t i = 0; i < FLOWS; i++) {
		struct flow *f = &flows[i];
		enum sw_state entry = entry_state(f);
		enum sw_state host = host_state(f->family, f->port, f->to);

		if (host != SW_FREE && entry != host)
			WRONG(f, "at rest the entry is %s, the host %s", state_name(entry),
			      state_name(host));
		conn_entry(f->family, f->port, f->to, NULL);
		f->m.state = f->m.other = entry;
	}
	tables_check();
}

static uint64_t storm_seconds(void)
{
	const char *text = getenv("SW_FUZZ_SECONDS");

	return text ? strtoull(text, NULL, 10) : 20;
}

static void begin(void)
{
	small_windows = guard.engine == SW_ENGINE_LISTENER || test_seed & 1;
	if (small_windows)
		sysctl_write("net/ipv4/tcp_rmem", "4096 65536 66000");
	tap_open();
	guard.settings.ask_pps = ~0U;
	settings_write();
	service_write(SERVICE_HOST_SYNS, NULL, 0, 81, 81, SW_MODE_ALWAYS, ~0U);
	for (int i = 0; i < 4; i++)
		listeners[i / 2][i % 2] = listen_on(i / 2 ? 6 : 4, (uint16_t)(80 + i % 2), 64);
	for (size_t i = 0; i < FLOWS; i++)
		flows[i] = (struct flow){ .family = i & 2 ? 6 : 4,
					  .port = (uint16_t)(30000 + i),
					  .to = i & 4 && guard.engine == SW_ENGINE_REQSK ? 81 : 80,
					  .m.loose = guard.engine == SW_ENGINE_LISTENER,
					  .tsval = 0x01020304,
					  .fd = -1 };
}

TEST_LIMIT(storm_of_segments_from_both_sides, "E03 F01 F04 F05 G01 G04 G11", 86400)
{
	uint64_t until = now_ns() + storm_seconds() * 1000000000ULL;

	begin();
	while (!test_failed() && now_ns() < until) {
		step();
		if (steps % QUIET_EACH == 0)
			rest();
	}
	if (!test_failed())
		rest();
	tap_detach();
	test_note("%llu steps; passed %llu, dropped %llu, answered %llu", (unsigned long long)steps,
		  (unsigned long long)n_verdict[MODEL_PASS],
		  (unsigned long long)n_verdict[MODEL_DROP],
		  (unsigned long long)n_verdict[MODEL_ANSWER]);
	test_note(
		"entry behind the host: refused %llu, FIN unsent %llu, let go %llu, confused %llu (of %llu)",
		(unsigned long long)lags[LAG_REFUSED], (unsigned long long)lags[LAG_UNSENT],
		(unsigned long long)lags[LAG_GONE], (unsigned long long)lags[LAG_CONFUSED],
		(unsigned long long)n_confused);
	test_context("the end");
	CHECK_EQ(counter_of(SW_DROP_BUG), 0);
	CHECK(steps > 0);
}
