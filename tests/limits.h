/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Service WEB with limits, and clients of any address that open connections to it. */
#ifndef LIMITS_H
#define LIMITS_H

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "handshake.h"
#include "peer.h"

#pragma GCC diagnostic ignored "-Wunused-function"

static struct sw_service web;

static void web_write(void)
{
	web.limited = 1;
	service_put(SERVICE_WEB, &web);
}

static void begin(enum sw_over_action over)
{
	listen_on(4, 80, 64);
	listen_on(6, 80, 64);
	web = (struct sw_service){
		.port_first = 80, .port_last = 80, .mode = SW_MODE_ALWAYS, .over = over, .ban_s = 2
	};
}

static struct sw_source *sources(uint32_t *slots)
{
	static struct sw_source *all;
	static uint32_t entries;

	if (!all)
		all = map_memory("sw_sources", sizeof(*all), &entries);
	REQUIRE(all);
	*slots = entries;
	return all;
}

static const struct sw_source *source(const char *addr, enum sw_level level)
{
	uint32_t slots, want[4] = { 0, 0, htonl(0xffff), 0 };
	struct sw_source *all = sources(&slots);

	REQUIRE(inet_pton(strchr(addr, ':') ? AF_INET6 : AF_INET, addr,
			  strchr(addr, ':') ? want : &want[3]) == 1);
	for (uint32_t i = 0; i < slots; i++)
		if (all[i].tag && all[i].level == level && !memcmp(all[i].addr, want, 16))
			return &all[i];
	return NULL;
}

static unsigned int sources_used(void)
{
	uint32_t slots, used = 0;
	struct sw_source *all = sources(&slots);

	for (uint32_t i = 0; i < slots; i++)
		used += all[i].tag != 0;
	return used;
}

static struct sw_limit_hits hits(void)
{
	struct sw_limit_hits h;
	uint32_t id = SERVICE_WEB;

	MUST(bpf_map_lookup_elem(map_fd("sw_limit_hits"), &id, &h));
	return h;
}

static uint16_t next_port = 20000;

static struct spec syn_of(const char *src)
{
	return (struct spec){ .family = strchr(src, ':') ? 6 : 4,
			      .flags = SYN,
			      .src = src,
			      .sport = next_port++,
			      OPT(SYN_LINUX) };
}

static enum sw_reason syn(const char *src)
{
	struct spec s = syn_of(src);
	struct packet p;

	packet_build(&p, &s);
	return run_xdp(&p).reason;
}

/* n handshakes whose SYN-ACKs are out. */
static void syns_from(const char *src, struct handshake *h, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct spec s = syn_of(src);

		handshake_syn(&h[i], &s);
	}
}

static enum sw_reason ack(struct handshake *h)
{
	struct packet p;

	handshake_ack(h, NULL, &p);
	return run_xdp(&p).reason;
}

/* A whole handshake; what becomes of its ACK, or of the SYN if that is refused. */
static enum sw_reason open_from(const char *src)
{
	struct spec s = syn_of(src);
	struct packet p;
	struct handshake h;
	enum sw_reason r;

	packet_build(&p, &s);
	r = run_xdp(&p).reason;
	if (r != SW_TX_SYNACK)
		return r;
	handshake_syn(&h, &s);
	return ack(&h);
}

#endif /* LIMITS_H */
