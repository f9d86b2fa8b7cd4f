/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `synwarden web`: metrics, a page and JSON over HTTP, all of it read from the daemon's socket. What
 * faces the network holds no privilege, no map and no secret but its own token.
 *
 *	web_http.c    the one file that knows the HTTP library
 *	web_wait.c    the threads that wait for the daemon
 *	web_idle.c    who is connected, and who has to go
 *	web_gate.c    who may look: token, name of the host
 *	web_routes.c  what is where
 *	web_query.c   from the words behind '?' to words of a command
 *	web_ask.c     answers of the daemon, shared by all who ask the same
 *	web_follow.c  events as they happen
 *	web_listen.c  sockets, and root given up
 *	web_page.c    the page itself
 */
#ifndef SW_USER_WEB_H
#define SW_USER_WEB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "text.h"

/* Of the range that Prometheus' exporters share; fixed once, as people write it into files. */
#define WEB_PORT   "9857"
#define WEB_LISTEN "127.0.0.1:" WEB_PORT

/* Bounds, so that no crowd can take more than this. */
#define WEB_CONNS      1024       /* connections at once */
#define WEB_CROWDED    768        /* from here the longest idle one makes room */
#define WEB_CONN_BYTES 16384      /* for the head of a request, and its answer's on the way */
#define WEB_HEAD_S     10         /* for a request to come whole, or the next one to begin */
#define WEB_TAKE_S     30         /* for an answer to be taken */
#define WEB_ASKERS     4          /* questions at once, of the 32 that the daemon answers */
#define WEB_QUEUE      64         /* that wait for it */
#define WEB_FOLLOWERS  8          /* each holds one of the daemon's children as well */
#define WEB_ANSWER     (32 << 20) /* bytes of one answer: 100,000 list entries are 12 MB */
#define WEB_ANSWERS    (64 << 20) /* bytes of all that are being taken */
#define WEB_FRESH_MS   250        /* so long an answer serves whoever asks the same */

/* --- web_http.c ------------------------------------------------------------------------- */

struct answer;
struct follower;

/* What is sent back; all that is pointed to lives on, but an answer, which is given away. */
struct http_reply {
	unsigned int status;
	const char *type;
	const char *data;
	size_t size;
	const char *etag;
	const char *encoding;
	bool retry; /* it is worth coming again in a second */
	struct answer *answer;
	struct follower *follower;
	char text[512]; /* for data made on the spot */
};

struct http_request {
	const char *method;
	const char *path;
	void *connection;
	struct http_reply reply;
	/* Set when the answer is to be waited for: called in another thread, fills the reply. */
	void (*work)(struct http_request *r);
	char question[512];
	__u32 last; /* of the history: so many samples, 0: all */
	bool has_arguments;
	struct http_request *next;
	struct peer *peer;
	bool done;
};

/* The value of a header, NULL: not sent. */
const char *http_header(const struct http_request *r, const char *name);
/* The password of HTTP's own scheme "Basic", to be freed with http_free(), or NULL. */
char *http_password(const struct http_request *r);
void http_free(char *password);
/* Calls `each` for each argument until it returns false; -EINVAL: one holds a NUL or no value. */
int http_arguments(const struct http_request *r,
		   bool (*each)(void *ctx, const char *name, const char *value), void *ctx);
/* Serves what comes to this listening socket, in threads; `serve` fills the reply or sets work. */
int http_start(int listener, void (*serve)(struct http_request *r));
/* A connection that sleeps is not looked at until it is woken, by whatever thread. */
void http_sleep(void *connection);
void http_wake(void *connection);

/* --- web_wait.c ------------------------------------------------------------------------- */

int waiting_begin(void);
/* Has r->work done by another thread, the connection asleep; false: too many wait already. */
bool waiting_add(struct http_request *r);

/* --- web_idle.c ------------------------------------------------------------------------- */

struct peer {
	int fd;
	enum peer_does {
		PEER_IDLE,
		PEER_BUSY,
		PEER_FOLLOWS,
		PEER_LEAVES
	} does;
	__u64 since_ns;
	struct peer *prev, *next; /* of the same doing, the longest first */
};
struct peer *peer_new(int fd);
void peer_now(struct peer *p, enum peer_does does);
void peer_gone(struct peer *p);
/* Sends those away who take too long. */
void peers_tick(void);

/* --- web_gate.c ------------------------------------------------------------------------- */

#define TOKEN_MIN 16
#define TOKEN_MAX 256
struct gate {
	char token[TOKEN_MAX + 1]; /* empty: who can connect may look */
	bool local_names;          /* only asked for as localhost, see host_is_local() */
};
/* Reads a file of one word; refuses one that others may read. 0 or negative errno, said. */
int gate_read_token(struct gate *gate, const char *path);
bool gate_opens(const struct gate *gate, const char *authorization, const char *password);
/* In a time that does not tell where they differ. Pure. */
bool words_are_equal(const char *secret, const char *given);
/*
 * Is a Host header one of this machine's own names for itself? A page elsewhere may make its own
 * name resolve to 127.0.0.1 and have the browser read us for it; it cannot change that name. Pure.
 */
bool host_is_local(const char *host);

/* --- web_query.c ------------------------------------------------------------------------ */

/*
 * Makes "conns\t--state\tESTABLISHED" of arguments; what is not a value of that option is
 * refused, so no word of a stranger's is ever taken for another option.
 */
enum query_kind {
	QUERY_NONE,
	QUERY_CONNS,
	QUERY_SOURCES,
	QUERY_EVENTS,
	QUERY_HISTORY
};
struct query {
	enum query_kind kind;
	char *question;
	size_t size;
	bool sorted, reversed, limited;
	__u32 last; /* history: so many samples, 0: all */
	struct text_why why;
};
void query_begin(struct query *q, enum query_kind kind, const char *question, char *buf,
		 size_t size);
int query_add(struct query *q, const char *name, const char *value);
int query_end(struct query *q);

/* --- web_ask.c -------------------------------------------------------------------------- */

struct answer {
	atomic_uint users;
	int err; /* of control_ask() */
	char why[256];
	char *data;
	size_t size;
};
void ask_begin(const char *socket);
/* Never NULL but without memory; to be dropped. */
struct answer *ask(const char *question);
void answer_drop(struct answer *a);
/* Of one that was made elsewhere: counts what it holds. */
void answer_adopt(struct answer *a);
/* To be called each second. */
void answers_tick(void);
/* The last `count` elements of the array "samples" alone. Pure; the new size. */
size_t samples_keep_last(char *json, size_t size, __u32 count);

/* --- web_follow.c ----------------------------------------------------------------------- */

/* 0, or an error of control_ask(), with `why`. Waits. */
int follow_open(const char *socket, const struct http_request *r, struct follower **follower,
		char *why, size_t size);
/* 0: nothing now, the connection sleeps until there is more; -1: the end. */
long follow_read(struct follower *f, char *buf, size_t size);
void follow_close(struct follower *f);

/* --- web_routes.c ----------------------------------------------------------------------- */

void routes_begin(const struct gate *gate, const char *socket);
void routes_serve(struct http_request *r);
/* Does "gzip;q=0.5, br" take this? Not with a quality of 0. Pure. */
bool list_accepts(const char *list, const char *word);

/* --- web_listen.c ----------------------------------------------------------------------- */

#define WEB_LISTENERS 4
#define WEB_URL       (TEXT_ADDR + 24)
struct listeners {
	int fd[WEB_LISTENERS];
	unsigned int count;
	bool local; /* none can be reached from another machine */
	bool named; /* at least one is of a kind that has host names, so not AF_UNIX alone */
	char text[WEB_LISTENERS * WEB_URL]; /* all of them */
	char reach[WEB_URL];                /* one that is not local */
};
/* "127.0.0.1:9857", "[::1]:9857". Pure. */
int listen_address(const char *words, struct sockaddr_storage *addr, socklen_t *len,
		   struct text_why *why);
/* Those the service manager passes, or one at `address`, NULL: the default. Said. */
int listeners_open(struct listeners *l, const char *address);
/* Becomes nobody of the group that may ask the daemon; nothing unless root. Said. */
int root_give_up(void);

/* --- web_page.c ------------------------------------------------------------------------- */

struct page_file {
	const char *path;
	const char *type;
	const char *data, *end;
	const char *gzip, *gzip_end; /* the same, smaller */
	char etag[24];
};
void page_begin(void); /* once, before others look */
/* NULL: no such file. */
const struct page_file *page_find(const char *path);

#endif /* SW_USER_WEB_H */
