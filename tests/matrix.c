/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See matrix.h. */
#include <stdio.h>
#include <string.h>

#include "matrix.h"

/*
 * From the client. A cell is a list of "condition,condition:verdict", of which the first that
 * holds counts; the last has no condition. Verdicts:
 *
 *	P  passes; refreshes the entry
 *	q  passes; refreshes nothing
 *	p  passes on the connection's budget, for the host answers it; refreshes nothing
 *	D  dropped
 *	K  answered with a cookie, nothing is stored
 *	C  a cookie's ACK: given to the host, entry not confirmed yet
 *	N  the host answers for a closed port
 *	>X the entry moves to state X
 *	+fin, +rst, +syn: the entry remembers it; +2msl: the time of TIME-WAIT begins again
 *
 * Columns as RFC 9293 3.10.7.4 takes them, an unacceptable ACK before the FIN:
 *	0 SYN, 1 SYN-ACK, 2 ACK or data in the window, 3 left of it, or an ACK below
 *	SND.UNA - MAX.SND.WND, 4 right of it, or an ACK of what was never sent, 5 FIN, 6 RST at
 *	RCV.NXT, 7 RST elsewhere in the window, 8 RST outside
 */
#define COLUMNS 9

static const struct row_in {
	const char *state, *cell[COLUMNS];
} rows_in[] = {
	/* an ACK passes: the peer of a connection lost long ago learns of it by the host's RST */
	{ "CLOSED", { "N", "D", "N", "N", "N", "N", "D", "D", "D" } },
	/* a tombstone is as good as nothing: the host has none */
	{ "LISTEN", { "K", "D", "cookie:C>EST D", "D", "D", "cookie:C>CWT+fin D", "D", "D", "D" } },
	/* no window yet: all that counts is the ACK. An unacceptable one earns the host's RST */
	{ "SYN-SENT",
	  { "P>RCD", "ours:P>EST p", "p", "p", "p", "D", "ours:P>CLO D", "ours:P>CLO D",
	    "ours:P>CLO D" } },
	/* a FIN with a hole before it acknowledges the SYN all the same */
	{ "SYN-RECEIVED",
	  { "p", "crossing,same,ours:P>EST p", "P>EST", "p", "D", "hole:P>EST+fin P>CWT+fin",
	    "P>CLO", "p+rst", "D" } },
	/* near: an entry with fresh numbers lets 256 kB around them pass unasked, see everyday.h; those
	 * behind them prove no life. Costs the host a duplicate ACK, which it limits itself. */
	{ "ESTABLISHED",
	  { "p", "p", "behind:q P", "behind:q near:P p", "behind:q near:P over:p D",
	    "hole:P+fin P>CWT+fin", "P>CLO", "p+rst", "D" } },
	/* over: RFC 9293 has no such thing, but a client may overrun a window that shrank */
	{ "FIN-WAIT-1",
	  { "p", "p", "ours:P>FW2 P", "p", "over:p D",
	    "hole,ours:P>FW2+fin hole:P+fin ours:P>TWT+fin P>CNG+fin", "P>CLO", "p+rst", "D" } },
	{ "FIN-WAIT-2",
	  { "p", "p", "behind:q P", "behind:q near:P p", "behind:q near:P over:p D",
	    "hole:P+fin P>TWT+fin", "P>CLO", "p+rst", "D" } },
	/* past: nothing can follow the client's FIN. The FIN again, if it acknowledges ours, is as
	 * good as its ACK */
	{ "CLOSE-WAIT",
	  { "p", "p", "past:D behind:q P", "behind:q near:P p", "behind:q near:P D", "again:P D",
	    "P>CLO", "p+rst", "D" } },
	{ "CLOSING",
	  { "p", "p", "past:D ours:P>TWT P", "p", "D", "again,ours:P>TWT again:P D", "P>CLO",
	    "p+rst", "D" } },
	{ "LAST-ACK",
	  { "p", "p", "past:D ours:P>CLO P", "p", "D", "again,ours:P>CLO again:P D", "P>CLO",
	    "p+rst", "D" } },
	/* a newer SYN moves the entry when the host has agreed, by its SYN-ACK. RST: RFC 1337 */
	{ "TIME-WAIT",
	  { "newer:P+syn p+syn", "D", "p", "p", "p", "again:P+2msl p", "D", "D", "D" } },
};

/*
 * From the host, which is believed. Its plain ACKs are not looked at: what they could teach,
 * the walk over the sockets does. "-": cannot occur.
 */
static const struct row_out {
	const char *state;
	const char *cell[OUTS]; /* SYN, again, SYN-ACK, again, ACK, FIN, again, RST with ACK, bare */
} rows_out[] = {
	{ "CLOSED", { "SNT", "-", "RCD", "-", "", "FW1", "-", "", "" } },
	{ "LISTEN", { "SNT", "-", "RCD", "-", "", "FW1", "", "", "" } },
	/* without ACK it answers a segment that fits no handshake and ends none */
	{ "SYN-SENT", { "-", "", "-", "RCD", "", "FW1", "-", "CLO", "" } },
	{ "SYN-RECEIVED", { "-", "", "-", "", "", "FW1", "-", "CLO", "" } },
	/* a SYN-ACK: the host has lost the connection and takes a new one */
	{ "ESTABLISHED", { "-", "-", "RCD", "-", "", "FW1", "-", "CLO", "CLO" } },
	{ "FIN-WAIT-1", { "-", "-", "RCD", "-", "", "-", "", "CLO", "CLO" } },
	{ "FIN-WAIT-2", { "-", "-", "RCD", "-", "", "-", "", "CLO", "CLO" } },
	{ "CLOSE-WAIT", { "-", "-", "RCD", "-", "", "LAK", "-", "CLO", "CLO" } },
	{ "CLOSING", { "-", "-", "RCD", "-", "", "-", "", "CLO", "CLO" } },
	{ "LAST-ACK", { "-", "-", "RCD", "-", "", "-", "", "CLO", "CLO" } },
	{ "TIME-WAIT", { "SNT", "-", "RCD", "-", "", "-", "", "CLO", "CLO" } },
};

static const struct {
	const char *text;
	enum sw_state state;
} short_names[] = {
	{ "CLO", SW_CLOSED },      { "SNT", SW_SYN_SENT },   { "RCD", SW_SYN_RECEIVED },
	{ "EST", SW_ESTABLISHED }, { "FW1", SW_FIN_WAIT_1 }, { "FW2", SW_FIN_WAIT_2 },
	{ "CWT", SW_CLOSE_WAIT },  { "CNG", SW_CLOSING },    { "LAK", SW_LAST_ACK },
	{ "TWT", SW_TIME_WAIT },
};

static enum sw_state state_of_text(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(short_names); i++)
		if (!strncmp(text, short_names[i].text, 3))
			return short_names[i].state;
	FAIL("no state in \"%s\"", text);
	test_abort();
}

/* Of the client: its FIN has arrived. */
static bool is_done(enum sw_state s)
{
	return s == SW_CLOSE_WAIT || s == SW_CLOSING || s == SW_LAST_ACK || s == SW_TIME_WAIT;
}

/* The host has a SYN or FIN out that the last of its numbers is. */
static bool is_out(enum place at)
{
	return at == AT_SYN_SENT || at == AT_SYN_RECEIVED || at == AT_CROSSING ||
	       at == AT_FIN_WAIT_1 || at == AT_CLOSING || at == AT_LAST_ACK;
}

/* Bytes in flight besides. */
static bool is_data_out(enum place at)
{
	return at == AT_FIN_WAIT_1 || at == AT_CLOSING || at == AT_LAST_ACK;
}

static uint32_t payload_of(const struct acase *c)
{
	return c->data ? CASE_DATA : 0;
}

static uint32_t seq_of(const struct peer *p, const struct acase *c)
{
	uint32_t fin = c->kind == KIND_FIN;
	uint32_t len = payload_of(c) + fin;

	switch (c->pos) {
	case POS_FAR_LEFT:
		return p->rcv_nxt - (1 << 21);
	case POS_LEFT: /* of RCV.NXT and of the client's FIN */
		return p->rcv_nxt - 2 - len;
	case POS_LAST:
		return p->rcv_nxt - (len ? len : 1);
	case POS_NEXT:
		return p->rcv_nxt;
	case POS_MIDDLE:
		return p->rcv_nxt + p->rcv_wnd / 2;
	case POS_EDGE:
		return p->rcv_nxt + p->rcv_wnd - (len ? len : 1);
	case POS_RIGHT:
		return p->rcv_nxt + p->rcv_wnd + 1;
	default:
		return p->rcv_nxt + (1 << 20);
	}
}

static uint32_t ack_of(const struct peer *p, const struct acase *c)
{
	switch (c->acks) {
	case ACKS_ANCIENT:
		return p->snd_una - 0x50000000;
	case ACKS_OLD:
		return p->snd_una - 65536;
	case ACKS_UNA:
		return p->snd_una;
	case ACKS_PART:
		return p->snd_nxt - 1;
	case ACKS_ALL:
		return p->snd_nxt;
	default: /* what is queued may be on the wire before SND.NXT says so */
		return p->snd_nxt + p->queued + 1;
	}
}

void case_spec(const struct peer *p, const struct acase *c, struct spec *s)
{
	static const uint8_t flags[KINDS] = {
		[KIND_SYN] = SYN,
		[KIND_SYNACK] = SYN | ACK,
		[KIND_ACK] = ACK,
		[KIND_FIN] = FIN | ACK,
		[KIND_RST] = RST,
		[KIND_RSTACK] = RST | ACK,
		[KIND_NONE] = PSH,
		[KIND_SYNFIN] = SYN | FIN,
		[KIND_SYNRST] = SYN | RST,
		[KIND_BAREFIN] = FIN,
		[KIND_XMAS] = FIN | PSH | URG,
	};

	*s = (struct spec){
		.family = p->family,
		.sport = p->port,
		.dport = p->server_port,
		.flags = flags[c->kind] | (c->data && flags[c->kind] & ACK ? PSH : 0),
		.seq = seq_of(p, c),
		.payload = (uint16_t)payload_of(c),
	};
	s->ack = s->flags & ACK ? ack_of(p, c) : 0;
}

static bool has_ack(enum kind k)
{
	return k == KIND_SYNACK || k == KIND_ACK || k == KIND_FIN || k == KIND_RSTACK;
}

bool is_case(const struct peer *p, const struct acase *c)
{
	enum sw_state s = place_state(p->place);

	if (!has_ack(c->kind))
		return c->acks == ACKS_ALL && (c->kind < KIND_NONE || c->pos == POS_NEXT);
	if (c->acks == ACKS_PART && !is_data_out(p->place))
		return false;
	/* the kernel's own cookies have an MSS index in their low bits: next to one are others */
	if (guard.engine == SW_ENGINE_LISTENER && s == SW_FREE && c->pos >= POS_LEFT &&
	    c->pos <= POS_NEXT && c->acks >= ACKS_UNA)
		return c->pos == POS_NEXT && c->acks == ACKS_ALL;
	if (c->acks == ACKS_UNA && p->snd_una == p->snd_nxt)
		return false;
	/* nobody sends a byte where its FIN was, nor a FIN where a byte was */
	return c->pos != POS_LAST || (c->kind == KIND_FIN) == is_done(s) ||
	       (c->kind == KIND_ACK && !c->data) || (c->kind != KIND_ACK && c->kind != KIND_FIN);
}

enum condition {
	IF_SAME = 1,
	IF_NEWER = 2,
	IF_OURS = 4,
	IF_COOKIE = 8,
	IF_NEAR = 16,
	IF_OVER = 32,
	IF_HOLE = 64,
	IF_PAST = 128,
	IF_AGAIN = 256,
	IF_CROSSING = 512,
	IF_BEHIND = 1024, /* near, and left of the entry's number */
};

static bool is_left(const struct peer *p, const struct acase *c)
{
	enum sw_state s = place_state(p->place);

	if (s == SW_SYN_SENT)
		return false;
	if (c->pos != POS_LAST)
		return c->pos < POS_LAST;
	/* A segment that ends at RCV.NXT brings nothing new, but its ACK counts; not of a request,
	 * which has had no data yet. Without data it is a keepalive, one left of RCV.NXT. */
	return c->kind == KIND_ACK && (!c->data || s == SW_SYN_RECEIVED);
}

static bool is_old_ack(const struct peer *p, const struct acase *c)
{
	enum sw_state s = place_state(p->place);

	if (s == SW_SYN_SENT || s == SW_SYN_RECEIVED) /* SND.UNA is the ISN, which no ACK can be */
		return c->acks < ACKS_ALL;
	/* what a TIME-WAIT socket has forgotten: MAX.SND.WND */
	if (c->acks == ACKS_OLD)
		return s != SW_TIME_WAIT && p->place != AT_FIN_WAIT_2_ORPHAN;
	return c->acks == ACKS_ANCIENT;
}

bool is_repeat(const struct peer *p, const struct acase *c)
{
	enum sw_state s = place_state(p->place);

	return c->kind == KIND_ACK && c->data && s != SW_SYN_SENT && s != SW_SYN_RECEIVED &&
	       (c->pos == POS_LEFT || c->pos == POS_LAST) && c->acks != ACKS_AHEAD &&
	       !is_old_ack(p, c);
}

static int column_of(const struct peer *p, const struct acase *c)
{
	enum sw_state s = place_state(p->place);
	bool done = is_done(s) && s != SW_TIME_WAIT;

	if (c->kind == KIND_SYN)
		return 0;
	if (c->kind == KIND_SYNACK)
		return 1;
	if (c->kind == KIND_RST || c->kind == KIND_RSTACK) {
		if (c->pos == POS_NEXT)
			return 6;
		/* some stacks do not count their FIN: RFC 9293 has no such thing, Linux does */
		if (c->pos == POS_LAST && !c->data && done)
			return 6;
		return c->pos == POS_MIDDLE || c->pos == POS_EDGE ? 7 : 8;
	}
	if (c->acks == ACKS_AHEAD || (s != SW_SYN_SENT && c->pos >= POS_RIGHT))
		return 4;
	if (is_old_ack(p, c) || is_left(p, c))
		return 3;
	return c->kind == KIND_FIN ? 5 : 2;
}

/* Around the entry's number: within 256 kB; of a client that is done, only without data. */
static bool is_near(const struct peer *p, const struct acase *c)
{
	return c->memory == MEMORY_FRESH && c->kind == KIND_ACK && c->pos != POS_FAR_LEFT &&
	       c->pos != POS_FAR_RIGHT && (p->place != AT_CLOSE_WAIT || !c->data);
}

static unsigned int conditions_of(const struct peer *p, const struct acase *c)
{
	enum sw_state s = place_state(p->place);
	unsigned int is = 0;
	uint32_t seq = seq_of(p, c);

	if (seq + 1 == p->rcv_nxt)
		is |= IF_SAME;
	if ((int32_t)(seq - p->rcv_nxt) > 0)
		is |= IF_NEWER;
	if (has_ack(c->kind) && c->acks == ACKS_ALL && is_out(p->place))
		is |= IF_OURS;
	if (c->pos == POS_NEXT && c->acks == ACKS_ALL)
		is |= IF_COOKIE;
	if (p->place == AT_CROSSING)
		is |= IF_CROSSING;
	if (is_near(p, c))
		is |= (int32_t)(seq - p->rcv_nxt) < 0 ? IF_BEHIND : IF_NEAR;
	if (c->pos == POS_RIGHT)
		is |= IF_OVER;
	if (c->pos == POS_MIDDLE || c->pos == POS_EDGE)
		is |= IF_HOLE;
	if (is_done(s) && (c->data || c->kind == KIND_FIN) && c->pos >= POS_NEXT)
		is |= IF_PAST;
	if (is_done(s) && c->pos == POS_LAST)
		is |= IF_AGAIN;
	return is;
}

static bool holds(const char *text, size_t len, unsigned int is)
{
	static const struct {
		const char *name;
		unsigned int bit;
	} words[] = {
		{ "same", IF_SAME },         { "newer", IF_NEWER },   { "ours", IF_OURS },
		{ "cookie", IF_COOKIE },     { "near", IF_NEAR },     { "over", IF_OVER },
		{ "hole", IF_HOLE },         { "past", IF_PAST },     { "again", IF_AGAIN },
		{ "crossing", IF_CROSSING }, { "behind", IF_BEHIND },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i].name) == len && !strncmp(words[i].name, text, len))
			return is & words[i].bit;
	FAIL("no such condition: %.*s", (int)len, text);
	test_abort();
}

/* "a,b:P>EST+fin" of which the conditions hold: what follows the colon; NULL if they do not. */
static const char *clause(const char *text, unsigned int is)
{
	const char *end = strchr(text, ' '), *colon = strchr(text, ':');

	if (!colon || (end && colon > end))
		return text;
	while (text < colon) {
		size_t len = strcspn(text, ",:");

		if (!holds(text, len, is))
			return NULL;
		text += len + 1;
	}
	return colon + 1;
}

static struct want want_of(const char *cell, unsigned int is)
{
	struct want w = { .cell = cell };
	const char *at = cell, *found;

	while (!(found = clause(at, is)))
		at = strchr(at, ' ') + 1;
	w.verdict = *found++;
	for (; *found && *found != ' '; found++) {
		if (*found == '>')
			w.next = state_of_text(found + 1);
		w.fin |= !strncmp(found, "+fin", 4);
		w.rst |= !strncmp(found, "+rst", 4);
		w.syn |= !strncmp(found, "+syn", 4);
		w.restart |= !strncmp(found, "+2msl", 5);
	}
	return w;
}

struct want want_in(const struct peer *p, const struct acase *c)
{
	if (c->kind >= KIND_NONE)
		return (struct want){ .verdict = 'D', .cell = "flags" };
	for (size_t i = 0; i < ARRAY_SIZE(rows_in); i++)
		if (!strcmp(rows_in[i].state, place_row(p->place)))
			return want_of(rows_in[i].cell[column_of(p, c)], conditions_of(p, c));
	FAIL("no row %s", place_row(p->place));
	test_abort();
}

enum sw_state want_out(enum place at, enum out o)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows_out); i++) {
		const char *cell = rows_out[i].cell[o];

		if (strcmp(rows_out[i].state, place_row(at)))
			continue;
		return *cell == '-' ? SW_STATE_MAX : *cell ? state_of_text(cell) : SW_FREE;
	}
	FAIL("no row %s", place_row(at));
	test_abort();
}

static enum sw_reason reason_of_drop(const struct peer *p, enum kind k)
{
	bool held = place_state(p->place) != SW_FREE;

	switch (k) {
	case KIND_SYNACK:
		return SW_DROP_SYNACK;
	case KIND_RST:
	case KIND_RSTACK:
		return !held                    ? SW_DROP_RST :
		       p->place == AT_TIME_WAIT ? SW_DROP_RST_TIME_WAIT :
						  SW_DROP_RST_WINDOW;
	case KIND_ACK:
	case KIND_FIN:
		return held ? SW_DROP_WINDOW : SW_DROP_COOKIE;
	default:
		return SW_DROP_FLAGS;
	}
}

enum sw_reason reason_of(const struct peer *p, const struct acase *c, char verdict)
{
	switch (verdict) {
	case 'D':
		return reason_of_drop(p, c->kind);
	case 'K':
		return SW_TX_SYNACK;
	case 'C':
		return SW_PASS_COOKIE;
	case 'N':
		return SW_PASS_NO_LISTENER;
	default:
		break;
	}
	if (c->kind == KIND_SYN)
		return SW_PASS_SYN_HELD;
	if (verdict == 'p')
		return SW_PASS_CHALLENGE;
	return c->kind == KIND_RST || c->kind == KIND_RSTACK ? SW_PASS_RST : SW_PASS_KNOWN;
}

const char *case_name(const struct acase *c)
{
	static const char *const kinds[KINDS] = {
		"SYN",     "SYN-ACK", "ACK",     "FIN",      "RST",     "RST-ACK",
		"no flag", "SYN+FIN", "SYN+RST", "bare FIN", "FIN+URG",
	};
	static const char *const positions[POSITIONS] = {
		"far left", "left",       "last",  "left edge",
		"middle",   "right edge", "right", "far right",
	};
	static const char *const acks[ACKINGS] = {
		"ancient ACK", "old ACK", "ACK of una", "ACK of data", "ACK of all", "ACK ahead",
	};
	static const char *const memories[MEMORIES] = { "stale", "fresh", "forgotten" };
	static char name[128];

	snprintf(name, sizeof(name), "%s, %s, %s%s, entry %s", kinds[c->kind], positions[c->pos],
		 acks[c->acks], c->data ? ", data" : "", memories[c->memory]);
	return name;
}

const char *out_name(enum out o)
{
	static const char *const names[OUTS] = {
		"SYN", "SYN again", "SYN-ACK", "SYN-ACK again", "ACK",
		"FIN", "FIN again", "RST-ACK", "RST",
	};

	return names[o];
}
