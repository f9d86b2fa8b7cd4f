/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's socket: it answers questions and changes nothing, so that what faces the network,
 * `synwarden web`, needs no privilege at all. Stream, AF_UNIX; who may ask is root and the
 * members of the group `synwarden`, by the mode of the socket and the credentials of the peer.
 *
 * A question is one line: the words of a command that only looks, with a tab between two words,
 * without -j, as in "status", "conns\t--state\tESTABLISHED\t--limit\t100", "metrics". The answer
 * is a line "ok", or "error TEXT", and what the command prints with -j (metrics: the text
 * format), up to the end of file. Beside commands there are
 *
 *	history              what happened in the last 15 minutes, one sample a second
 *	recent [N]           the last events, at most CONTROL_RECENT, oldest first, JSON lines
 *	recent-text [N]      the same for people
 *	follow               events from now on, until the reader goes; JSON lines
 *	follow-text          the same for people
 *
 * An answer may be cut off: the daemon ends, or its reader takes longer than it has patience. To a
 * question with CONTROL_MARK behind its end of line such an end is no end of file but ECONNRESET, as
 * the mark was not read by then.
 *
 * Each answer is given by a child of the daemon: a reader that is slow, and a mistake in a
 * printer, cost the daemon nothing. Who waits longer than CONTROL_ASK_MS with the question is
 * sent away, as is whoever comes when CONTROL_CHILDREN are being answered ("error busy: ...").
 */
#ifndef SW_CONTROL_H
#define SW_CONTROL_H

#include <stddef.h>

#define CONTROL_GROUP    "synwarden"
#define CONTROL_PATH     108 /* of a Unix socket, with its end */
#define CONTROL_QUESTION 512 /* bytes, with the end of line */
#define CONTROL_MARK     "."
#define CONTROL_ASK_MS   2000
#define CONTROL_CHILDREN 32
#define CONTROL_RECENT   1000

/*
 * `given`, unless NULL; of the guard at the default pins /run/synwarden/control.sock, of another
 * one the name of its pins instead of "control".
 */
const char *control_path(const char *given, const char *pin, char buf[CONTROL_PATH]);

/* --- asking ----------------------------------------------------------------------------- */

/*
 * Asks the daemon at `path`; returns the descriptor the answer's body is to be read from, where an
 * error is the end of one that is not whole.
 * -ENOENT, -ECONNREFUSED: no daemon; -EREMOTEIO: it said `why`, a line of at most `size`. Silent.
 */
int control_ask(const char *path, const char *question, char *why, size_t size);

#endif /* SW_CONTROL_H */
