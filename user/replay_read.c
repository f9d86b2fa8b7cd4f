/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See replay_read.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>
#include <sys/stat.h>

#include <pcap/pcap.h>

#include "faults.h"
#include "replay_read.h"
#include "util.h"

static __u8 frame_bytes[REPLAY_FRAME_MAX];

/* --- opening ------------------------------------------------------------------------------ */

static int copy_all(FILE *from, FILE *to)
{
	char buf[65536];
	size_t n;

	while ((n = fread(buf, 1, sizeof(buf), from)) > 0)
		if (fwrite(buf, 1, n, to) != n)
			return -errno;
	return ferror(from) || fflush(to) ? -EIO : 0;
}

/* It is read twice, so what cannot be is copied to a file without a name. */
static int make_regular(struct replay_capture *c)
{
	struct stat st;
	FILE *copy;
	int err;

	if (fstat(fileno(c->file), &st))
		return log_err(-errno, "%s", c->name);
	if (S_ISREG(st.st_mode))
		return 0;
	if (S_ISDIR(st.st_mode))
		return log_refuse(-EISDIR, "%s is a directory, not a capture", c->name);
	copy = tmpfile();
	if (!copy)
		return log_err(-errno, "make a temporary file for %s", c->name);
	err = copy_all(c->file, copy);
	fclose(c->file);
	c->file = copy;
	return err ? log_err(err, "copy %s", c->name) : 0;
}

static bool is_known_link(int link)
{
	switch (link) {
	case DLT_EN10MB:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
	case DLT_NULL:
	case DLT_LOOP:
		return true;
	default:
		return false;
	}
}

int replay_rewind(struct replay_capture *c)
{
	char why[PCAP_ERRBUF_SIZE];
	FILE *again;
	int fd;

	if (c->pcap)
		pcap_close(c->pcap); /* closes its stream, which is a copy */
	c->pcap = NULL;
	*c->why = '\0';
	fd = dup(fileno(c->file));
	again = fd < 0 ? NULL : fdopen(fd, "r");
	if (!again || fseek(again, 0, SEEK_SET))
		return log_err(-errno, "read %s", c->name);
	c->pcap = pcap_fopen_offline_with_tstamp_precision(again, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!c->pcap) {
		fclose(again);
		return log_refuse(-EINVAL, "%s is no capture that can be read: %s", c->name, why);
	}
	c->link = pcap_datalink(c->pcap);
	if (is_known_link(c->link))
		return 0;
	log_refuse(-EINVAL, "%s: packets of link type %s (%d) cannot be replayed", c->name,
		   pcap_datalink_val_to_name(c->link) ? pcap_datalink_val_to_name(c->link) : "?",
		   c->link);
	log_hint("Ethernet, raw IP, Linux cooked (v1, v2) and loopback are known");
	return -EINVAL;
}

int replay_open(struct replay_capture *c, const char *path)
{
	int err;

	memset(c, 0, sizeof(*c));
	text_tame(strcmp(path, "-") ? path : "standard input", c->shown, sizeof(c->shown));
	c->name = c->shown;
	c->file = !strcmp(path, "-") ? fdopen(dup(STDIN_FILENO), "r") : fopen(path, "re");
	if (!c->file)
		return log_err(-errno, "%s", c->name);
	err = make_regular(c);
	return err ? err : replay_rewind(c);
}

/* --- frames ------------------------------------------------------------------------------- */

/* What stands in front of the IP header, and what IP it is: network order, 0: see the header. */
static int link_header(int link, const __u8 *data, __u32 len, __be16 *proto)
{
	__u32 family;

	*proto = 0;
	switch (link) {
	case DLT_LINUX_SLL:
		if (len < 16)
			return -EINVAL;
		memcpy(proto, data + 14, 2);
		return 16;
	case DLT_LINUX_SLL2:
		if (len < 20)
			return -EINVAL;
		memcpy(proto, data, 2);
		return 20;
	case DLT_NULL: /* in the order of the machine that captured: small, so either way */
	case DLT_LOOP:
		if (len < 4)
			return -EINVAL;
		memcpy(&family, data, 4);
		if (link == DLT_LOOP || family > 0xffff)
			family = ntohl(family);
		*proto = htons(family == 2 ? ETH_P_IP : ETH_P_IPV6);
		return 4;
	default:
		return 0;
	}
}

/* Ethernet in front, without addresses: the guard of a replay knows no station. */
static int make_frame(int link, const struct pcap_pkthdr *h, const __u8 *data,
		      struct replay_frame *f)
{
	__u32 len = h->len, captured = h->caplen < h->len ? h->caplen : h->len, room = 0;
	__be16 proto;

	if (link != DLT_EN10MB) {
		int header = link_header(link, data, captured, &proto);

		if (header < 0)
			return header;
		data += header;
		captured -= (__u32)header;
		len -= (__u32)header;
		if (!proto && captured)
			proto = htons(data[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6);
		memset(f->data, 0, 2 * ETH_ALEN);
		memcpy(f->data + 2 * ETH_ALEN, &proto, sizeof(proto));
		room = ETH_HLEN;
	}
	if (len > REPLAY_FRAME_MAX - room)
		return -EMSGSIZE;
	memcpy(f->data + room, data, captured);
	memset(f->data + room + captured, 0, len - captured);
	f->len = room + len;
	f->captured = room + captured;
	return 0;
}

int replay_next(struct replay_capture *c, struct replay_frame *f)
{
	struct pcap_pkthdr *h;
	const __u8 *data;
	int got = pcap_next_ex(c->pcap, &h, &data);

	if (got != 1) {
		if (got == PCAP_ERROR)
			snprintf(c->why, sizeof(c->why), "%s", pcap_geterr(c->pcap));
		return 0;
	}
	f->data = frame_bytes;
	f->wire = h->len;
	f->ns = (__u64)h->ts.tv_sec * 1000000000ULL + (__u64)h->ts.tv_usec; /* asked for in ns */
	if (make_frame(c->link, h, data, f))
		f->len = f->captured = 0;
	return 1;
}

void replay_read_close(struct replay_capture *c)
{
	if (c->pcap)
		pcap_close(c->pcap);
	if (c->file)
		fclose(c->file);
}
