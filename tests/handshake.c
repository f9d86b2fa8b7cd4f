/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Handshakes through the program, see handshake.h.
 */
#include <arpa/inet.h>
#include <string.h>

#include "handshake.h"
#include "rows.h"

void handshake_syn(struct handshake *h, const struct spec *syn)
{
	struct tcp_options client;
	const uint8_t *tcp;
	struct result r;
	const char *wrong;

	memset(h, 0, sizeof(*h));
	h->spec = *syn;
	h->spec.flags = syn->flags ? syn->flags : SYN;
	if (!h->spec.seq)
		h->spec.seq = (uint32_t)test_random() | 1;
	packet_build(&h->syn, &h->spec);
	r = run_xdp(&h->syn);
	CHECK_RESULT(&r, XDP_TX, SW_TX_SYNACK);
	if (r.action != XDP_TX)
		test_abort();
	wrong = frame_read(&h->synack, r.out, r.len);
	if (wrong) {
		FAIL("SYN-ACK: %s", wrong);
		test_abort();
	}
	tcp = h->syn.data + h->syn.l4;
	options_read(&client, tcp + 20, (tcp[12] >> 4) * 4U - 20);
	h->client_isn = h->spec.seq;
	h->cookie = h->synack.seq;
	h->ts = h->synack.opt.ts;
	h->tsval = client.tsval + 1;
	h->tsecr = h->synack.opt.tsval;
}

void handshake_ack(const struct handshake *h, const struct spec *more, struct packet *ack)
{
	uint8_t opt[12] = { 1, 1, 8, 10 };
	uint32_t tsval = htonl(h->tsval), tsecr = htonl(h->tsecr);
	struct spec s = {};

	if (more)
		s = *more;
	memcpy(opt + 4, &tsval, 4);
	memcpy(opt + 8, &tsecr, 4);
	s.family = h->spec.family;
	s.src = h->spec.src;
	s.dst = h->spec.dst;
	s.sport = h->spec.sport;
	s.dport = h->spec.dport;
	s.flags = s.flags ? s.flags : ACK;
	s.seq = h->client_isn + 1 + s.seq;
	s.ack = h->cookie + 1 + s.ack;
	if (h->ts && !s.opt) {
		s.opt = opt;
		s.opt_len = sizeof(opt);
	}
	packet_build(ack, &s);
}

void handshake_forge(struct handshake *h, const struct spec *syn, uint32_t epoch, uint16_t low,
		     bool ts, int64_t age_ticks)
{
	struct cookie_ref c;

	memset(h, 0, sizeof(*h));
	h->spec = *syn;
	h->spec.flags = SYN;
	if (!h->spec.seq)
		h->spec.seq = (uint32_t)test_random() | 1;
	packet_build(&h->syn, &h->spec);
	h->client_isn = h->spec.seq;
	h->ts = ts;
	cookie_ref_from(&c, &h->syn, epoch, ts, host_scale(h->syn.family));
	c.low = low;
	h->cookie = cookie_ref_isn(&c);
	h->tsval = 0x01020305;
	h->tsecr = cookie_ref_tsval(&c, now_ns()) - (uint32_t)age_ticks;
}

struct mark mark_of(const struct result *r)
{
	struct mark m = {};

	if (r->meta_len != sizeof(m))
		FAIL("%zu bytes of metadata, expected %zu", r->meta_len, sizeof(m));
	else
		memcpy(&m, r->meta, sizeof(m));
	return m;
}
