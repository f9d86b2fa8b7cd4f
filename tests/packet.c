/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frame builder and reader, see packet.h.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include "packet.h"

const uint8_t mac_server[6] = { 0x02, 0x00, 0x5e, 0x10, 0x00, 0x01 };
const uint8_t mac_client[6] = { 0x02, 0x00, 0x5e, 0x10, 0x00, 0x07 };
static const uint8_t mac_foreign[6] = { 0x02, 0x00, 0x5e, 0x10, 0x00, 0x99 };
static const uint8_t mac_multicast[6] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x05 };
static const uint8_t mac_broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = v >> 8;
	at[1] = v & 0xff;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v & 0xffff);
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

uint16_t csum_of(const void *bytes, size_t len, uint32_t start)
{
	const uint8_t *b = bytes;
	uint64_t sum = start;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += get16(b + i);
	if (len & 1)
		sum += (uint64_t)b[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t csum_pseudo(uint8_t family, const uint8_t *src, const uint8_t *dst, uint32_t len)
{
	size_t size = family == 6 ? 16 : 4;
	uint32_t sum = csum_of(src, size, 0);

	sum = csum_of(dst, size, sum);
	return csum_of(NULL, 0, sum + (len >> 16) + (len & 0xffff) + IPPROTO_TCP);
}

static void addresses_of(const struct packet *p, const uint8_t **src, const uint8_t **dst)
{
	*src = p->data + p->l3 + (p->family == 6 ? 8 : 12);
	*dst = *src + (p->family == 6 ? 16 : 4);
}

void packet_fix_csum(struct packet *p)
{
	const uint8_t *src, *dst;
	uint8_t *tcp = p->data + p->l4;
	uint16_t sum;

	addresses_of(p, &src, &dst);
	put16(tcp + 16, 0);
	sum = csum_pseudo(p->family, src, dst, p->l4_len);
	put16(tcp + 16, (uint16_t)~csum_of(tcp, p->l4_len, sum));
	if (p->family == 4) {
		uint8_t *ip = p->data + p->l3;
		size_t ihl = (ip[0] & 15) * 4;

		put16(ip + 10, 0);
		put16(ip + 10, (uint16_t)~csum_of(ip, ihl, 0));
	}
}

void packet_set_tcp(struct packet *p, uint32_t seq, uint32_t ack)
{
	put32(p->data + p->l4 + 4, seq);
	put32(p->data + p->l4 + 8, ack);
	packet_fix_csum(p);
}

static size_t build_l2(struct packet *p, const struct spec *s)
{
	const uint8_t *const macs[] = { mac_server, mac_foreign, mac_broadcast, mac_multicast };
	size_t at = 12;

	memcpy(p->data, macs[s->mac], 6);
	memcpy(p->data + 6, mac_client, 6);
	for (int i = 0; i < s->vlans; i++) {
		put16(p->data + at, s->tpid[i] ? s->tpid[i] : 0x8100);
		put16(p->data + at + 2, s->tci[i] ? s->tci[i] : (uint16_t)(100 + i));
		at += 4;
	}
	put16(p->data + at, s->ethertype ? s->ethertype : p->family == 6 ? 0x86dd : 0x0800);
	return at + 2;
}

static void pattern(uint8_t *at, size_t len, const void *data)
{
	if (data)
		memcpy(at, data, len);
	else
		for (size_t i = 0; i < len; i++)
			at[i] = (uint8_t)(0x41 + i % 57);
}

static uint8_t last_proto(const struct spec *s)
{
	if (s->lie_proto)
		return s->lie_proto & 0xff;
	return s->proto ? s->proto : IPPROTO_TCP;
}

static size_t build_ip4(struct packet *p, const struct spec *s)
{
	uint8_t *ip = p->data + p->l3;
	size_t ihl = 20 + (s->ip_opt_len + 3U) / 4 * 4;

	ip[0] = (uint8_t)(0x40 | ihl / 4);
	ip[1] = s->tos;
	put16(ip + 4, s->ip_id);
	put16(ip + 6, s->frag ? s->frag & ~FRAG_NONE : FRAG_DF);
	ip[8] = s->ttl ? s->ttl : 57;
	ip[9] = last_proto(s);
	assert(inet_pton(AF_INET, s->src ? s->src : CLIENT4, ip + 12) == 1);
	assert(inet_pton(AF_INET, s->dst ? s->dst : SERVER4, ip + 16) == 1);
	if (s->ip_opt_len)
		memcpy(ip + 20, s->ip_opt, s->ip_opt_len);
	return p->l3 + ihl;
}

/* Experimental options (RFC 4727) that a host must skip, 257 bytes each at most. */
static void fill_options(uint8_t *at, size_t len)
{
	while (len > 1) {
		size_t n = len > 257 ? 257 : len;

		at[0] = 0x1e;
		at[1] = (uint8_t)(n - 2);
		at += n;
		len -= n;
	}
}

static size_t build_ip6(struct packet *p, const struct spec *s)
{
	uint8_t *ip = p->data + p->l3;
	uint8_t *next = ip + 6;
	size_t at = p->l3 + 40;

	ip[0] = 0x60 | s->tos >> 4;
	ip[1] = (uint8_t)(s->tos << 4);
	put16(ip + 2, s->flow);
	ip[7] = s->ttl ? s->ttl : 57;
	assert(inet_pton(AF_INET6, s->src ? s->src : CLIENT6, ip + 8) == 1);
	assert(inet_pton(AF_INET6, s->dst ? s->dst : SERVER6, ip + 24) == 1);
	for (const struct ext *e = s->ext; e < s->ext + EXT_MAX && e->len; e++) {
		uint8_t *h = p->data + at;

		*next = e->type;
		next = h;
		if (e->type == IPPROTO_FRAGMENT) {
			put16(h + 2, e->frag);
			put32(h + 4, 0x12345678);
		} else if (e->type == IPPROTO_AH) {
			h[1] = (uint8_t)(e->len / 4 - 2);
		} else {
			h[1] = (uint8_t)(e->len / 8 - 1);
			/* routing: type 253; options: of kind 0x1e, to be skipped */
			if (e->type == IPPROTO_ROUTING)
				h[2] = 253;
			else
				fill_options(h + 2, e->len - 2U);
		}
		if (e->lie_len)
			h[1] = e->lie_len;
		at += e->len;
	}
	*next = last_proto(s);
	return at;
}

static size_t build_tcp(struct packet *p, const struct spec *s)
{
	uint8_t *tcp = p->data + p->l4;
	size_t doff = 20 + (s->opt_len + 3U) / 4 * 4;

	put16(tcp, s->sport_zero ? 0 : s->sport ? s->sport : CLIENT_PORT);
	put16(tcp + 2, s->dport ? s->dport : 80);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)(doff / 4 << 4 | (s->reserved & 15));
	tcp[13] = s->flags;
	put16(tcp + 14, s->window ? s->window : 64240);
	put16(tcp + 18, s->urgent);
	if (s->opt_len)
		memcpy(tcp + 20, s->opt, s->opt_len);
	pattern(tcp + doff, s->payload, s->data);
	if (s->lie_doff)
		tcp[12] = (uint8_t)((s->lie_doff & 15) << 4 | (s->reserved & 15));
	return doff + s->payload;
}

static void build_lengths(struct packet *p, const struct spec *s, size_t end)
{
	uint8_t *ip = p->data + p->l3;
	size_t ihl = (ip[0] & 15) * 4; /* before the lie */

	if (p->family == 6) {
		put16(ip + 4,
		      s->lie_tot_len ? (uint16_t)s->lie_tot_len : (uint16_t)(end - p->l3 - 40));
		if (s->lie_version)
			ip[0] = (uint8_t)((s->lie_version & 15) << 4);
		return;
	}
	put16(ip + 2, s->lie_tot_len ? (uint16_t)s->lie_tot_len : (uint16_t)(end - p->l3));
	if (s->lie_version)
		ip[0] = (uint8_t)((s->lie_version & 15) << 4 | (ip[0] & 15));
	if (s->lie_ihl)
		ip[0] = (uint8_t)((ip[0] & 0xf0) | (s->lie_ihl & 15));
	put16(ip + 10, (uint16_t)(~csum_of(ip, ihl, 0) + s->bad_ip_csum));
}

static size_t build_l4(struct packet *p, const struct spec *s, size_t at)
{
	const uint8_t *src, *dst;
	uint8_t *tcp = p->data + at;
	uint16_t sum, partial, wrong;

	if (s->proto) {
		pattern(tcp, s->payload, s->data);
		return at + s->payload;
	}
	p->l4 = (uint16_t)at;
	p->l4_len = (uint16_t)build_tcp(p, s);
	addresses_of(p, &src, &dst);
	sum = partial = csum_pseudo(p->family, src, dst, p->l4_len);
	if (!s->partial)
		sum = (uint16_t)~csum_of(tcp, p->l4_len, sum);
	wrong = (uint16_t)(sum + s->bad_tcp_csum);
	/* not right by chance: as a partial one, or as the other zero */
	if (s->bad_tcp_csum && (wrong == partial || (uint16_t)(wrong + 1) < 2))
		wrong ^= 0x5555;
	put16(tcp + 16, wrong);
	return at + p->l4_len;
}

void packet_build(struct packet *p, const struct spec *s)
{
	size_t end;

	memset(p, 0, sizeof(*p));
	p->family = s->family == 6 ? 6 : 4;
	p->l3 = (uint16_t)build_l2(p, s);
	if (s->ethertype && s->ethertype != 0x0800 && s->ethertype != 0x86dd) {
		pattern(p->data + p->l3, s->payload, s->data);
		end = p->l3 + s->payload;
	} else {
		end = p->family == 6 ? build_ip6(p, s) : build_ip4(p, s);
		end = build_l4(p, s, end);
		build_lengths(p, s, end);
	}
	if (s->pad > end)
		end = s->pad; /* zeros by the memset */
	memset(p->data + end, 0xee, s->trailer);
	end += s->trailer;
	p->len = s->cut && s->cut < end ? s->cut : end;
}

void options_read(struct tcp_options *o, const uint8_t *opt, size_t len)
{
	*o = (struct tcp_options){ .mss = -1, .ws = -1 };
	for (size_t i = 0; i < len;) {
		uint8_t size;

		if (opt[i] == 0)
			return;
		if (opt[i] == 1) {
			i++;
			continue;
		}
		size = i + 1 < len ? opt[i + 1] : 0;
		if (size < 2 || i + size > len)
			return;
		if (opt[i] == 2 && size == 4)
			o->mss = get16(opt + i + 2);
		else if (opt[i] == 3 && size == 3)
			o->ws = opt[i + 2];
		else if (opt[i] == 4 && size == 2)
			o->sack = true;
		else if (opt[i] == 8 && size == 10) {
			o->ts = true;
			o->tsval = get32(opt + i + 2);
			o->tsecr = get32(opt + i + 6);
		} else {
			o->other = true;
		}
		i += size;
	}
}

static const char *read_ip(struct frame *f, size_t room, size_t *l4_len)
{
	if (f->family == 4) {
		f->ip_len = (f->ip[0] & 15) * 4U;
		if (room < 20 || f->ip[0] >> 4 != 4 || f->ip_len < 20 || f->ip_len > room)
			return "IPv4 header";
		if (csum_of(f->ip, f->ip_len, 0) != 0xffff)
			return "IPv4 header checksum";
		if (get16(f->ip + 2) != room)
			return "IPv4 total length is not the rest of the frame";
		if (f->ip[9] != IPPROTO_TCP)
			return "not TCP";
		f->src = f->ip + 12;
		f->dst = f->ip + 16;
	} else {
		f->ip_len = 40;
		if (room < 40 || f->ip[0] >> 4 != 6)
			return "IPv6 header";
		if (get16(f->ip + 4) + 40U != room)
			return "IPv6 payload length is not the rest of the frame";
		if (f->ip[6] != IPPROTO_TCP)
			return "not TCP";
		f->src = f->ip + 8;
		f->dst = f->ip + 24;
	}
	*l4_len = room - f->ip_len;
	return NULL;
}

const char *frame_read(struct frame *f, const uint8_t *bytes, size_t len)
{
	const char *wrong;
	size_t at = 12, l4_len;

	memset(f, 0, sizeof(*f));
	f->eth = bytes;
	while (at + 2 <= len && (get16(bytes + at) == 0x8100 || get16(bytes + at) == 0x88a8))
		at += 4;
	if (at + 2 > len)
		return "Ethernet header";
	f->family = get16(bytes + at) == 0x86dd ? 6 : get16(bytes + at) == 0x0800 ? 4 : 0;
	f->l2_len = at + 2;
	if (!f->family)
		return "ethertype";
	f->ip = bytes + f->l2_len;
	wrong = read_ip(f, len - f->l2_len, &l4_len);
	if (wrong)
		return wrong;
	f->tcp = f->ip + f->ip_len;
	f->tcp_len = l4_len >= 20 ? (f->tcp[12] >> 4) * 4U : 0;
	if (f->tcp_len < 20 || f->tcp_len > l4_len)
		return "TCP data offset";
	if (csum_of(f->tcp, l4_len, csum_pseudo(f->family, f->src, f->dst, (uint32_t)l4_len)) !=
	    0xffff)
		return "TCP checksum";
	f->payload = f->tcp + f->tcp_len;
	f->payload_len = l4_len - f->tcp_len;
	f->sport = get16(f->tcp);
	f->dport = get16(f->tcp + 2);
	f->seq = get32(f->tcp + 4);
	f->ack = get32(f->tcp + 8);
	f->flags = f->tcp[13];
	f->reserved = f->tcp[12] & 15;
	f->window = get16(f->tcp + 14);
	options_read(&f->opt, f->tcp + 20, f->tcp_len - 20);
	return NULL;
}
