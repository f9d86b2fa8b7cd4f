/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tests' own tools against published values: SipHash, Internet checksum, options. */
#include <string.h>

#define HARNESS_PURE true
#include "cookie_ref.h"

TEST(siphash_gives_the_vectors_of_its_authors, "")
{
	static const uint64_t vectors[] = { 0x726fdb47dd0e0e31ULL, 0x74f839c593dc67fdULL,
					    0x0d6c8009d9a94f5aULL, 0x85676696d7fb7e2dULL,
					    0xcf2794e0277187b7ULL, 0x18765564cd99a68dULL,
					    0xcbc9466e58fee3ceULL, 0xab0200f58b01d137ULL,
					    0x93f5f5799a932462ULL };
	uint8_t key[16], text[64];

	for (uint8_t i = 0; i < 64; i++)
		text[i] = i;
	memcpy(key, text, 16);
	for (size_t len = 0; len < ARRAY_SIZE(vectors); len++) {
		test_context("%zu bytes", len);
		CHECK_EQ(siphash24(key, text, len), vectors[len]);
	}
	CHECK_EQ(siphash24(key, text, 15), 0xa129ca6149be45e5ULL);
}

/* RFC 1071, section 3. */
TEST(checksum_gives_the_example_of_its_rfc, "")
{
	CHECK_EQ(csum_of("\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8, 0), 0xddf2);
	CHECK_EQ(csum_of("\x00\x01\xf2\x03\xf4\xf5\xf6", 7, 0), 0xdcfb);
	CHECK_EQ(csum_of("", 0, 0x1fffe), 0xffff);
}

/* An IPv4 header with a known checksum, 0xb861. */
TEST(built_header_has_a_known_checksum, "")
{
	static const uint8_t known[20] = { 0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40,
					   0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8,
					   0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7 };
	static struct packet p;

	packet_build(&p, &(struct spec){ .proto = 17,
					 .payload = 0x73 - 20,
					 .ttl = 64,
					 .src = "192.168.0.1",
					 .dst = "192.168.0.199" });
	CHECK_BYTES(p.data + 14, 20, known, sizeof(known));
}

TEST(options_reader_stops_at_what_is_broken, "A03")
{
	struct tcp_options o;

	options_read(&o, (const uint8_t *)SYN_LINUX, 20);
	CHECK_EQ(o.mss, 1460);
	CHECK_EQ(o.ws, 7);
	CHECK_EQ(o.tsval, 0x01020304);
	CHECK(o.sack && o.ts && !o.other);
	options_read(&o, (const uint8_t *)"\x01\x02\x04\x05", 4);
	CHECK_EQ(o.mss, -1);
	options_read(&o, (const uint8_t *)"\xfe\x00\x02\x04\x05\xb4", 6);
	CHECK_EQ(o.mss, -1);
	options_read(&o, (const uint8_t *)"\x00\x02\x04\x05\xb4", 5);
	CHECK_EQ(o.mss, -1);
}
