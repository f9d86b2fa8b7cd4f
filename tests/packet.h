/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames for tests: a layer builder that gives legal bytes, lengths and checksums unless
 * told to lie, and a reader for what comes back. Written from the RFCs, not from bpf/, so
 * that a mistake there is not repeated here.
 */
#ifndef PACKET_H
#define PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAX 16384
#define EXT_MAX   14

/* TCP flags, RFC 9293 3.1. */
#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10
#define URG 0x20
#define ECE 0x40
#define CWR 0x80

/* Named hosts. The documentation ranges: nothing here is special to the program. */
#define SERVER4     "192.0.2.1"
#define CLIENT4     "198.51.100.7"
#define SPOOFED4    "203.0.113.66"
#define SERVER6     "2001:db8:1::1"
#define CLIENT6     "2001:db8:2::7"
#define SPOOFED6    "2001:db8:66::66"
#define CLIENT_PORT 40000

extern const uint8_t mac_server[6], mac_client[6];

enum mac_kind {
	MAC_OWN,
	MAC_FOREIGN,
	MAC_BROADCAST,
	MAC_MULTICAST
};

/* A lie: any value, 0 included, that replaces the true one. */
#define LIE(x) (0x10000 | (x))

/* IPv6 extension header: whole length in bytes, a multiple of 8; `raw` fills what follows
 * the two first bytes. Type 44 takes its offset and M bit from `frag`.
 */
struct ext {
	uint8_t type;
	uint16_t len;
	uint16_t frag;   /* offset * 8 | M */
	uint8_t lie_len; /* written in the length field when not 0 */
};

/* All zero is a bare TCP header without flags, IPv4, from CLIENT to SERVER port 80. */
struct spec {
	enum mac_kind mac;
	uint8_t vlans;
	uint16_t tpid[4]; /* 0: 0x8100 */
	uint16_t tci[4];
	uint16_t ethertype; /* 0: by family. Not IP: `payload` bytes follow it */

	uint8_t family; /* 4 (also 0) or 6 */
	const char *src, *dst;
	uint8_t tos, ttl; /* ttl 0: 57 */
	uint16_t ip_id;
	uint16_t flow;
	uint16_t frag;      /* IPv4 flags and offset; 0: DF. FRAG_NONE: nothing set */
	const void *ip_opt; /* padded to 4 with EOL */
	uint8_t ip_opt_len;
	struct ext ext[EXT_MAX];
	uint8_t proto;      /* 0: TCP. Else `payload` bytes follow the IP header */
	uint16_t lie_proto; /* TCP follows, the header says otherwise */

	uint16_t sport, dport; /* 0: CLIENT_PORT, 80 */
	bool sport_zero;
	uint32_t seq, ack;
	uint8_t flags, reserved; /* reserved: the four bits beside the data offset */
	uint16_t window;         /* 0: 64240 */
	uint16_t urgent;
	const void *opt; /* padded to 4 with EOL */
	uint8_t opt_len;
	uint16_t payload; /* bytes of a pattern */
	const void *data; /* the payload itself, `payload` bytes */

	uint32_t lie_version, lie_ihl, lie_tot_len, lie_doff; /* LIE(x) */
	uint16_t bad_ip_csum, bad_tcp_csum;                   /* added to the true sum */
	bool partial;     /* TCP checksum field holds the folded pseudo-header sum */
	uint16_t pad;     /* zero bytes up to this frame length */
	uint16_t trailer; /* bytes after everything, after `pad` */
	uint16_t cut;     /* frame ends here */
};

#define FRAG_DF   0x4000
#define FRAG_MF   0x2000
#define FRAG_NONE 0x8000 /* cleared before it is written */

#define OPT(bytes)    .opt = (bytes), .opt_len = sizeof(bytes) - 1
#define IP_OPT(bytes) .ip_opt = (bytes), .ip_opt_len = sizeof(bytes) - 1

/* The SYNs of the stacks in use; TSval 0x01020304. */
#define OPT_MSS1460 "\x02\x04\x05\xb4"
#define OPT_TS      "\x08\x0a\x01\x02\x03\x04\x00\x00\x00\x00"
#define SYN_LINUX   OPT_MSS1460 "\x04\x02" OPT_TS "\x01\x03\x03\x07"
#define SYN_WINDOWS OPT_MSS1460 "\x01\x03\x03\x08\x01\x01\x04\x02"
#define SYN_MACOS   OPT_MSS1460 "\x01\x03\x03\x06\x01\x01" OPT_TS "\x04\x02\x00\x00"
#define SYN_WIN_TS  OPT_MSS1460 "\x01\x03\x03\x08\x04\x02" OPT_TS
#define ACK_TS      "\x01\x01" OPT_TS

struct packet {
	size_t len;
	uint8_t family;
	uint16_t l3, l4; /* offsets; l4 0: no TCP header */
	uint16_t l4_len; /* TCP header and payload */
	uint8_t data[FRAME_MAX];
};

void packet_build(struct packet *p, const struct spec *s);
/* After the caller changed bytes of a TCP packet in place. */
void packet_fix_csum(struct packet *p);
void packet_set_tcp(struct packet *p, uint32_t seq, uint32_t ack);

/* One's complement sum of RFC 1071, folded, not inverted. */
uint16_t csum_of(const void *bytes, size_t len, uint32_t start);
/* Sum of the pseudo-header of RFC 9293 3.1 or RFC 8200 8.1. */
uint16_t csum_pseudo(uint8_t family, const uint8_t *src, const uint8_t *dst, uint32_t len);

/* TCP options as a receiver reads them; absent is -1 or false. */
struct tcp_options {
	int mss, ws;
	bool sack, ts;
	uint32_t tsval, tsecr;
	bool other; /* any kind but EOL, NOP, MSS, WS, SACKOK, TS */
};

/* Reader of a frame that must be well formed; independent of the builder. */
struct frame {
	uint8_t family;
	const uint8_t *eth, *ip, *tcp, *payload;
	size_t l2_len, ip_len, tcp_len, payload_len;
	const uint8_t *src, *dst; /* 4 or 16 bytes */
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags, reserved;
	uint16_t window;
	struct tcp_options opt;
};

/* NULL, or what is wrong with it: lengths, checksums, trailing bytes. */
const char *frame_read(struct frame *f, const uint8_t *bytes, size_t len);
void options_read(struct tcp_options *o, const uint8_t *opt, size_t len);

#endif /* PACKET_H */
