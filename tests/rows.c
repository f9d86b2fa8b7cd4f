/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runner of golden rows and the byte-exact SYN-ACK check, see rows.h.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cookie_ref.h"
#include "rows.h"

#define SCALE_PORT 9999

/* By asking: the scale a client of this host sees is the one its listener chose. */
uint8_t host_scale(uint8_t family)
{
	static int known[2] = { -1, -1 };
	int *scale = &known[family == 6];
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int listener, fd;

	if (*scale >= 0)
		return (uint8_t)*scale;
	listener = listen_on(family, SCALE_PORT, 4);
	fd = connect_from(family, 0, SCALE_PORT);
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	close(fd);
	close(listener);
	*scale = info.tcpi_snd_wscale;
	return (uint8_t)*scale;
}

/* A listener with the default buffer: half of tcp_rmem[1], in whole segments. */
uint16_t expected_window(uint8_t family, const struct tcp_options *client)
{
	long space = sysctl_read("net/ipv4/tcp_rmem", 1) / 2;
	long mss = mss_rounded(family, client->mss);

	if (guard.engine == SW_ENGINE_LISTENER)
		mss = mss_by_index(family, 0);
	space -= space % mss;
	return space > 65535 ? 65535 : (uint16_t)space;
}

static size_t put_opt32(uint8_t *to, size_t at, uint32_t word)
{
	word = htonl(word);
	memcpy(to + at, &word, 4);
	return at + 4;
}

/*
 * The layouts of the design: MSS, then what was offered and is remembered. No MSS where it
 * would make the answer longer than what came, 60 bytes on the wire at least (I01).
 */
static size_t expected_options(uint8_t *to, const struct packet *in,
			       const struct tcp_options *client, const struct frame *got)
{
	uint16_t mss = LO_MTU - (in->family == 6 ? 60 : 40);
	size_t headers = in->l3 + (in->family == 6 ? 40U : 20U) + 20U;
	size_t rest = (client->ts ? 12U : client->sack ? 4U : 0U) + (client->ws >= 0 ? 4U : 0U);
	size_t at = 0;

	if (guard.engine == SW_ENGINE_LISTENER)
		rest = 0;
	if (headers + 4 + rest <= (in->len > 60 ? in->len : 60))
		at = put_opt32(to, 0, 0x02040000U | mss);
	if (guard.engine == SW_ENGINE_LISTENER)
		return at;
	if (client->ts) {
		at = put_opt32(to, at, client->sack ? 0x0402080aU : 0x0101080aU);
		at = put_opt32(to, at, got->opt.tsval); /* judged by cookie_is_ours() */
		at = put_opt32(to, at, client->tsval);
	} else if (client->sack) {
		at = put_opt32(to, at, 0x01010402U);
	}
	if (client->ws >= 0)
		at = put_opt32(to, at, 0x01030300U | host_scale(in->family));
	return at;
}

/* ISN and TSval are those of the reference, for this epoch and this instant. */
static void cookie_is_ours(const struct packet *in, const struct frame *got,
			   const struct tcp_options *client)
{
	uint32_t epoch = epoch_now(), mask = (1U << LOW_BITS(client->ts)) - 1, ticks;
	struct cookie_ref c;

	epoch -= (epoch ^ got->seq) & 1; /* the clock may have crossed an edge since */
	cookie_ref_from(&c, in, epoch, client->ts, host_scale(in->family));
	c.low = got->seq & mask;
	CHECK_EQ(got->seq, cookie_ref_isn(&c));
	if (!client->ts)
		return;
	ticks = cookie_ref_tsval(&c, now_ns()) - got->opt.tsval;
	if (ticks > 5000)
		FAIL("TSval is %u ticks old, expected 0 to 5000", ticks);
}

void synack_check(const struct packet *in, const struct result *r, struct frame *out)
{
	static struct packet want;
	uint8_t opt[40];
	char src[64], dst[64];
	struct tcp_options client;
	struct spec s = { .family = in->family, .src = src, .dst = dst, .ttl = 64, .opt = opt };
	const uint8_t *tcp = in->data + in->l4, *ip = in->data + in->l3;
	int af = in->family == 6 ? AF_INET6 : AF_INET;
	uint8_t asked = tcp[13] & (ECE | CWR), tos = in->family == 6 ? ip[1] >> 4 : ip[1];
	const char *wrong = frame_read(out, r->out, r->len);

	if (wrong) {
		FAIL("the SYN-ACK is malformed: %s", wrong);
		test_hex("SYN-ACK", r->out, r->len);
		return;
	}
	options_read(&client, tcp + 20, (tcp[12] >> 4) * 4U - 20);
	inet_ntop(af, ip + (in->family == 6 ? 24 : 16), src, sizeof(src));
	inet_ntop(af, ip + (in->family == 6 ? 8 : 12), dst, sizeof(dst));
	s.sport = (uint16_t)(tcp[2] << 8 | tcp[3]);
	s.dport = (uint16_t)(tcp[0] << 8 | tcp[1]);
	s.seq = out->seq;
	s.ack = ((uint32_t)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7]) + 1;
	s.flags = SYN | ACK;
	/*
	 * AccECN asks with AE too and takes ECE for "classic only" (RFC 9768 3.1.2). The cookie
	 * without timestamps has no room for ECN without SACK.
	 */
	if (asked == (ECE | CWR) && (!(tos & 3) || tcp[12] & 1) && (client.ts || client.sack) &&
	    guard.engine == SW_ENGINE_REQSK)
		s.flags |= ECE;
	s.window = expected_window(in->family, &client);
	s.opt_len = (uint8_t)expected_options(opt, in, &client, out);
	packet_build(&want, &s);
	/* Ethernet: swapped addresses, the tags as they came. */
	memmove(want.data + in->l3, want.data + 14, want.len - 14);
	memcpy(want.data + 12, in->data + 12, in->l3 - 12U);
	memcpy(want.data, in->data + 6, 6);
	memcpy(want.data + 6, in->data, 6);
	want.len += in->l3 - 14U;
	CHECK_BYTES(r->out, r->len, want.data, want.len);
	if (guard.engine == SW_ENGINE_REQSK)
		cookie_is_ours(in, out, &client);
}

static int action_of(enum sw_reason reason)
{
	const char *verdict = verdict_name(reason);

	return verdict[0] == 'P' ? XDP_PASS : verdict[0] == 'T' ? XDP_TX : XDP_DROP;
}

static void run_mode(const struct row *row, const struct packet *p, enum sw_mode mode,
		     enum sw_reason want)
{
	int action = mode == SW_MODE_ALWAYS ? action_of(want) : XDP_PASS;
	struct result r;
	struct frame f;

	if (want == SW_PASS_TINY_MSS)
		map_zero("sw_budget");
	r = run_xdp(p);
	CHECK_RESULT(&r, action, want);
	CHECK_EQ(r.would, mode == SW_MODE_MONITOR && action_of(want) != XDP_PASS);
	if (r.reason != want)
		test_hex("frame", p->data, p->len);
	if (r.action == XDP_TX) {
		synack_check(p, &r, &f);
		if (row->check && guard.engine == SW_ENGINE_REQSK)
			row->check(p, &f);
	} else {
		CHECK_BYTES(r.out, r.len, p->data, p->len);
	}
	if (mode == SW_MODE_ALWAYS && r.reason == SW_PASS_MODE_OFF)
		FAIL("mode off while the services are always");
}

static void run_modes(const struct row *row, const struct packet *p)
{
	enum sw_reason off = row->off ? row->off : row->reason;
	struct result r;

	services_mode(SW_MODE_ALWAYS);
	run_mode(row, p, SW_MODE_ALWAYS, row->reason);
	services_mode(SW_MODE_MONITOR);
	run_mode(row, p, SW_MODE_MONITOR, row->reason);
	r = run_xdp(p);
	if (!row->off && r.service)
		off = SW_PASS_MODE_OFF;
	services_mode(SW_MODE_OFF);
	run_mode(row, p, SW_MODE_OFF, off);
	services_mode(SW_MODE_ALWAYS);
}

/* Where the IP header says that the datagram ends. */
static size_t datagram_end(const struct packet *p)
{
	const uint8_t *ip = p->data + p->l3;

	return p->family == 6 ? p->l3 + 40U + (size_t)(ip[4] << 8 | ip[5]) :
				p->l3 + (size_t)(ip[2] << 8 | ip[3]);
}

/* The frame ends early, the headers still promise all of it: it always passes, unread. */
static void run_cut(const struct packet *whole)
{
	size_t end = whole->l4 ? datagram_end(whole) : whole->len;
	static struct packet p;
	struct result r;

	memcpy(&p, whole, offsetof(struct packet, data) + whole->len);
	for (p.len = 14; p.len < whole->len; p.len += stride()) {
		r = run_xdp(&p);
		if (r.action == XDP_PASS && action_of(r.reason) == XDP_PASS) {
			CHECK_BYTES(r.out, r.len, p.data, p.len);
			continue;
		}
		/* padding or a trailer may be cut; anything of the datagram may not */
		if (p.len < end) {
			FAIL("cut to %zu of %zu bytes: action %d %s", p.len, whole->len, r.action,
			     reason_name(r.reason));
			test_hex("frame", p.data, p.len);
		}
	}
}

/* The headers agree with the shorter frame, so each is cut in turn, options last. */
static void run_short(const struct row *row, const struct packet *whole)
{
	static struct packet p;
	size_t end = whole->l4 + (size_t)whole->l4_len;

	for (size_t len = whole->l4; len < end; len += stride()) {
		size_t ip_len = len - whole->l3 - (whole->family == 6 ? 40 : 0);
		struct result r;

		memcpy(&p, whole, offsetof(struct packet, data) + whole->len);
		p.len = len;
		p.l4_len = (uint16_t)(len - whole->l4);
		p.data[p.l3 + (p.family == 6 ? 4 : 2)] = (uint8_t)(ip_len >> 8);
		p.data[p.l3 + (p.family == 6 ? 5 : 3)] = (uint8_t)ip_len;
		if (p.l4_len >= 20)
			packet_fix_csum(&p);
		r = run_xdp(&p);
		if (r.reason == row->reason && row->reason != SW_TX_SYNACK)
			continue; /* decided before the part that is cut */
		if (p.l4_len < 4)
			CHECK_PASSED(&r, &p, SW_PASS_IP_MALFORMED);
		else if (p.l4_len < 20)
			CHECK(r.reason == SW_DROP_TCP_MALFORMED ||
			      r.reason == SW_PASS_IP_MALFORMED || r.reason == SW_DROP_FRAGMENT ||
			      r.reason == SW_PASS_FRAGMENT);
		if (r.action == XDP_TX && len < whole->l4 + (p.data[p.l4 + 12] >> 4) * 4U)
			FAIL("answered a SYN whose header is cut at %u bytes", p.l4_len);
	}
}

static void run_row(const struct row *row, uint8_t family)
{
	static struct packet p;
	struct spec s = row->s;

	s.family = family;
	if (!s.seq)
		s.seq = (uint32_t)test_random();
	for (uint8_t tags = 0; tags <= (row->as_is ? 0 : 2); tags++) {
		if (!row->as_is)
			s.vlans = tags;
		s.tpid[0] = tags == 2 ? 0x88a8 : s.tpid[0];
		packet_build(&p, &s);
		test_context("%s, IPv%d, %u tags", row->what, family, s.vlans);
		run_modes(row, &p);
		if (row->as_is || p.len > 400 || tags == 1)
			continue;
		run_cut(&p);
		if (p.l4 && !s.lie_ihl && !s.lie_tot_len && !s.lie_version && !s.frag &&
		    !s.lie_proto)
			run_short(row, &p);
	}
}

void rows_run(const struct row *rows, size_t n)
{
	rows_run_only(rows, n, 0);
}

/* only: of rows that do not say; 0 is both families. */
void rows_run_only(const struct row *rows, size_t n, uint8_t only)
{
	int listeners[] = { listen_on(4, 80, 64), listen_on(6, 80, 64), listen_on(4, 443, 64),
			    listen_on(6, 443, 64) };

	host_scale(4);
	host_scale(6);
	for (const struct row *row = rows; row < rows + n; row++) {
		uint8_t families = row->only ? row->only : only;

		if (families != ONLY6)
			run_row(row, 4);
		if (families != ONLY4)
			run_row(row, 6);
	}
	test_context("%s", "");
	test_note("%zu rows", n);
	for (size_t i = 0; i < ARRAY_SIZE(listeners); i++)
		close(listeners[i]);
}
