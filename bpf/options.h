/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TCP options of SYNs and of ACKs that may carry a cookie. The layouts the common stacks
 * send are matched whole; anything else is walked option by option, a bad tail ignored.
 */
#ifndef SW_OPTIONS_H
#define SW_OPTIONS_H

#include "packet.h"

#define TCPOPT_EOL       0
#define TCPOPT_NOP       1
#define TCPOPT_MSS       2
#define TCPOPT_WINDOW    3
#define TCPOPT_SACK_PERM 4
#define TCPOPT_TIMESTAMP 8
#define TCPOPT_MD5       19
#define TCPOPT_AO        29

#define TCPOPT_SPACE 40
/* Option words, host order. */
#define OPT_MSS(mss) (0x02040000u | (mss))
#define OPT_WS(ws)   (0x01030300u | (ws))
#define OPT_SACK_TS  0x0402080au
#define OPT_NOP_TS   0x0101080au
#define OPT_NOP_SACK 0x01010402u
#define OPT_SACK_EOL 0x04020000u

static __always_inline void opts_take_ws(struct sw_opts *o, __u8 ws)
{
	o->wscale = ws > SW_WSCALE_MAX ? SW_WSCALE_MAX : ws;
	o->has |= SW_OPT_WS;
}

static __always_inline void opts_take_ts(struct sw_opts *o, __be32 tsval, __be32 tsecr)
{
	o->tsval = bpf_ntohl(tsval);
	o->tsecr = bpf_ntohl(tsecr);
	o->has |= SW_OPT_TS;
}

struct opts_walk {
	__u8 raw[64]; /* 40 bytes of options, zero (EOL) behind */
	struct sw_opts o;
	__u32 off;
	__u32 len;
};

static __always_inline __u8 walk_byte(struct opts_walk *w, __u32 off)
{
	off &= 63;
	barrier_var(off);
	return w->raw[off & 63];
}

static __always_inline __be32 walk_word(struct opts_walk *w, __u32 off)
{
	return bpf_htonl((__u32)walk_byte(w, off) << 24 | walk_byte(w, off + 1) << 16 |
			 walk_byte(w, off + 2) << 8 | walk_byte(w, off + 3));
}

static long opts_step(UNUSED __u32 i, struct opts_walk *w)
{
	__u8 kind = walk_byte(w, w->off), len = walk_byte(w, w->off + 1);

	if (kind == TCPOPT_EOL || w->off >= w->len)
		return 1;
	if (kind == TCPOPT_NOP) {
		w->off++;
		return 0;
	}
	if (len < 2 || w->off + len > w->len)
		return 1;
	if (kind == TCPOPT_MSS && len == 4)
		w->o.mss = walk_byte(w, w->off + 2) << 8 | walk_byte(w, w->off + 3);
	else if (kind == TCPOPT_WINDOW && len == 3)
		opts_take_ws(&w->o, walk_byte(w, w->off + 2));
	else if (kind == TCPOPT_SACK_PERM && len == 2)
		w->o.has |= SW_OPT_SACK;
	else if (kind == TCPOPT_TIMESTAMP && len == 10)
		opts_take_ts(&w->o, walk_word(w, w->off + 2), walk_word(w, w->off + 6));
	else if ((kind == TCPOPT_MD5 && len == 18) || (kind == TCPOPT_AO && len >= 4))
		w->o.has |= SW_OPT_SIGNED;
	w->off += len;
	return 0;
}

/* len 4..40 bytes at frame offset off; ctx is what `hook` says. */
static __noinline int opts_walk(void *ctx, __u32 off, __u32 len, struct sw_opts *o, __u32 hook)
{
	struct opts_walk w = {};
	long err;

	if (len < 4 || len > TCPOPT_SPACE)
		return 0; /* not `< 1`: Linux 6.1 loses that bound */
	if (hook == SW_HOOK_XDP)
		err = bpf_xdp_load_bytes(ctx, off, w.raw, len);
	else
		err = bpf_skb_load_bytes(ctx, off, w.raw, len);
	if (err)
		return 0;
	w.o.wscale = SW_WSCALE_NONE;
	w.len = len;
	bpf_loop(TCPOPT_SPACE, opts_step, &w, 0);
	*o = w.o;
	return 0;
}

/* Whole-layout match; n = option words. True: o is filled. */
static __always_inline bool opts_common(const __be32 *w, void *end, __u32 n, struct sw_opts *o)
{
	if (n < 1 || (void *)(w + 1) > end)
		return false;
	if (n == 3 && (void *)(w + 3) <= end && w[0] == bpf_htonl(OPT_NOP_TS)) {
		opts_take_ts(o, w[1], w[2]); /* every stack's ACK */
		return true;
	}
	if (bpf_ntohl(w[0]) >> 16 != 0x0204)
		return false;
	o->mss = bpf_ntohl(w[0]) & 0xffff;
	if (n == 5 && (void *)(w + 5) <= end && w[1] == bpf_htonl(OPT_SACK_TS) &&
	    bpf_ntohl(w[4]) >> 8 == OPT_WS(0) >> 8) { /* Linux, Android */
		opts_take_ts(o, w[2], w[3]);
		opts_take_ws(o, bpf_ntohl(w[4]) & 0xff);
		o->has |= SW_OPT_SACK;
		return true;
	}
	if (n == 3 && (void *)(w + 3) <= end && bpf_ntohl(w[1]) >> 8 == OPT_WS(0) >> 8 &&
	    w[2] == bpf_htonl(OPT_NOP_SACK)) { /* Windows */
		opts_take_ws(o, bpf_ntohl(w[1]) & 0xff);
		o->has |= SW_OPT_SACK;
		return true;
	}
	if (n == 6 && (void *)(w + 6) <= end && bpf_ntohl(w[1]) >> 8 == OPT_WS(0) >> 8 &&
	    w[2] == bpf_htonl(OPT_NOP_TS) && w[5] == bpf_htonl(OPT_SACK_EOL)) { /* Apple */
		opts_take_ws(o, bpf_ntohl(w[1]) & 0xff);
		opts_take_ts(o, w[3], w[4]);
		o->has |= SW_OPT_SACK;
		return true;
	}
	return n == 1;
}

static __always_inline void opts_parse(void *ctx, void *data, void *end, struct sw_pkt *p,
				       const __u32 hook)
{
	__u32 off = (p->l4 & 0xfff) + sizeof(struct tcphdr);
	__u32 len = p->doff - sizeof(struct tcphdr);

	p->opts.wscale = SW_WSCALE_NONE;
	if (p->doff <= sizeof(struct tcphdr) || opts_common(data + off, end, len / 4, &p->opts))
		return;
	opts_walk(ctx, off, len, &p->opts, hook);
}

#endif /* SW_OPTIONS_H */
