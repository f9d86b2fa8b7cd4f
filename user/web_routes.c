/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is where, and the errors people see. The table of the API is the whole of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "json.h"
#include "util.h"
#include "web.h"

#define OK           200
#define NOT_MODIFIED 304
#define BAD_REQUEST  400
#define UNAUTHORIZED 401
#define NOT_FOUND    404
#define MISDIRECTED  421
#define UNAVAILABLE  503

#define JSON_TYPE    "application/json; charset=utf-8"
#define TEXT_TYPE    "text/plain; charset=utf-8"
#define LINES_TYPE   "application/x-ndjson; charset=utf-8"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define OPEN_TYPE    "application/openmetrics-text; version=1.0.0; charset=utf-8"

static const struct gate *gate;
static const char *daemon_socket;

static void work_ask(struct http_request *r);
static void work_ready(struct http_request *r);
static void work_follow(struct http_request *r);

static const struct route {
	const char *path;
	const char *question;
	enum query_kind query;
	const char *type;
	void (*work)(struct http_request *r);
} routes[] = {
	{ "/metrics", "metrics", QUERY_NONE, METRICS_TYPE, work_ask },
	{ "/readyz", "status", QUERY_NONE, TEXT_TYPE, work_ready },
	{ "/api/v1/status", "status", QUERY_NONE, JSON_TYPE, work_ask },
	{ "/api/v1/stats", "stats", QUERY_NONE, JSON_TYPE, work_ask },
	{ "/api/v1/services", "service\tlist", QUERY_NONE, JSON_TYPE, work_ask },
	{ "/api/v1/attacks", "attacks", QUERY_NONE, JSON_TYPE, work_ask },
	{ "/api/v1/sources", "sources", QUERY_SOURCES, JSON_TYPE, work_ask },
	{ "/api/v1/bans", "ban\tlist", QUERY_NONE, JSON_TYPE, work_ask },
	{ "/api/v1/limits", "limit\tshow", QUERY_NONE, JSON_TYPE, work_ask },
	{ "/api/v1/allow", "allow\tlist", QUERY_NONE, JSON_TYPE, work_ask },
	{ "/api/v1/deny", "deny\tlist", QUERY_NONE, JSON_TYPE, work_ask },
	{ "/api/v1/conns", "conns", QUERY_CONNS, JSON_TYPE, work_ask },
	{ "/api/v1/history", "history", QUERY_HISTORY, JSON_TYPE, work_ask },
	{ "/api/v1/events", "recent", QUERY_EVENTS, LINES_TYPE, work_ask },
	{ "/api/v1/follow", "follow", QUERY_NONE, NULL, work_follow },
};

void routes_begin(const struct gate *g, const char *socket)
{
	gate = g;
	daemon_socket = socket;
	ask_begin(socket);
}

/* --- errors ----------------------------------------------------------------------------- */

static void reply_error(struct http_reply *p, unsigned int status, const char *code,
			const char *message, const char *hint)
{
	FILE *out = fmemopen(p->text, sizeof(p->text), "w");
	struct json j;

	p->status = status;
	p->type = JSON_TYPE;
	p->retry = status == UNAVAILABLE;
	p->data = p->text;
	p->size = 0;
	if (!out)
		return;
	json_begin(&j, out);
	json_object(&j, NULL);
	json_object(&j, "error");
	json_str(&j, "code", code);
	json_str(&j, "message", message);
	if (hint)
		json_str(&j, "hint", hint);
	json_end(&j);
	fclose(out);
	p->size = strlen(p->text);
}

static void reply_text(struct http_reply *p, unsigned int status, const char *text)
{
	p->status = status;
	p->retry = status == UNAVAILABLE;
	p->type = TEXT_TYPE;
	p->data = text;
	p->size = strlen(text);
}

/* What went wrong, of control_ask() and of reading. */
static void reply_unanswered(struct http_request *r, int err, const char *why)
{
	struct http_reply *p = &r->reply;
	char message[300];

	if (err == -EREMOTEIO && !strncmp(why, "busy", 4))
		reply_error(p, UNAVAILABLE, "busy", "the daemon answers as many as it can", NULL);
	else if (err == -EREMOTEIO)
		reply_error(p, r->has_arguments ? BAD_REQUEST : UNAVAILABLE, "refused", why, NULL);
	else if (err == -EFBIG || err == -ENOMEM)
		reply_error(p, UNAVAILABLE, "too_large", "the answer takes more than there is",
			    "the command itself, on that host, has no such bound");
	else {
		snprintf(message, sizeof(message), "the daemon does not answer: %s",
			 strerror(-err));
		reply_error(p, UNAVAILABLE, "daemon_away", message,
			    err == -EACCES ? "the group of its socket may ask" :
					     "is 'synwarden run' running?");
	}
}

/* --- work ------------------------------------------------------------------------------- */

/* Shared with others, so a part of it is a copy. */
static struct answer *cut_history(struct answer *a, __u32 last)
{
	struct answer *own = calloc(1, sizeof(*own));

	if (own)
		own->data = malloc(a->size + 1);
	if (!own || !own->data) {
		free(own);
		return a;
	}
	own->users = 1;
	memcpy(own->data, a->data, a->size);
	own->size = samples_keep_last(own->data, a->size, last);
	answer_adopt(own);
	answer_drop(a);
	return own;
}

static void work_ask(struct http_request *r)
{
	struct http_reply *p = &r->reply;
	struct answer *a = ask(r->question);

	if (!a || a->err) {
		reply_unanswered(r, a ? a->err : -ENOMEM, a ? a->why : "");
		answer_drop(a);
		return;
	}
	if (r->last)
		a = cut_history(a, r->last);
	p->status = OK;
	p->answer = a;
	p->data = a->data ? a->data : "";
	p->size = a->size;
}

static void work_ready(struct http_request *r)
{
	static const char alive[] = "\"alive\":true"; /* unescaped, so no part of a string */
	struct answer *a = ask(r->question);

	if (!a || a->err)
		reply_text(&r->reply, UNAVAILABLE, "the daemon does not answer\n");
	else if (!memmem(a->data, a->size, alive, sizeof(alive) - 1))
		reply_text(&r->reply, UNAVAILABLE, "no device is attached\n");
	else
		reply_text(&r->reply, OK, "ready\n");
	answer_drop(a);
}

static void work_follow(struct http_request *r)
{
	char why[256] = "";
	int err = follow_open(daemon_socket, r, &r->reply.follower, why, sizeof(why));

	if (err) {
		reply_unanswered(r, err, why);
		return;
	}
	r->reply.status = OK;
	r->reply.type = "text/event-stream; charset=utf-8";
}

/* --- serving ---------------------------------------------------------------------------- */

static bool is_let_in(struct http_request *r)
{
	const char *host = http_header(r, "Host");
	char *password;
	bool in;

	if (gate->local_names && host && !host_is_local(host)) {
		reply_error(&r->reply, MISDIRECTED, "wrong_host",
			    "without a token only 'localhost' or a loopback address is served",
			    "another name needs --token-file");
		return false;
	}
	password = gate->token[0] ? http_password(r) : NULL;
	in = gate_opens(gate, http_header(r, "Authorization"), password);
	http_free(password);
	if (!in)
		reply_error(&r->reply, UNAUTHORIZED, "unauthorized",
			    "a token is needed: Authorization: Bearer TOKEN", NULL);
	return in;
}

/* The quality of one of a list, of which this is the rest: is it there, and 0? */
static bool is_refused(const char *at, const char *end)
{
	while (at < end && (at = memchr(at, ';', (size_t)(end - at)))) {
		at++;
		at += strspn(at, " \t");
		if (!strncasecmp(at, "q=", 2))
			return strcspn(at + 2, "123456789") >= strcspn(at + 2, ",; \t");
	}
	return false;
}

bool list_accepts(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list, *end; *at; at = end + !!*end) {
		at += strspn(at, " \t");
		end = at + strcspn(at, ",");
		if (!strncasecmp(at, word, len) && strchr(",; \t", at[len]))
			return !is_refused(at + len, end);
	}
	return false;
}

static bool accepts(const struct http_request *r, const char *header, const char *word)
{
	const char *value = http_header(r, header);

	return value && list_accepts(value, word);
}

static void serve_file(struct http_request *r, const struct page_file *f)
{
	const char *known = http_header(r, "If-None-Match");
	struct http_reply *p = &r->reply;

	p->status = OK;
	p->type = f->type;
	p->etag = f->etag;
	p->data = f->data;
	p->size = (size_t)(f->end - f->data);
	if (known && strstr(known, f->etag)) {
		p->status = NOT_MODIFIED;
		p->size = 0;
	} else if (accepts(r, "Accept-Encoding", "gzip")) {
		p->encoding = "gzip";
		p->data = f->gzip;
		p->size = (size_t)(f->gzip_end - f->gzip);
	}
}

struct arguments {
	struct http_request *r;
	struct query q;
	bool bad;
};

static bool add_argument(void *ctx, const char *name, const char *value)
{
	struct arguments *a = ctx;

	a->r->has_arguments = true;
	a->bad = query_add(&a->q, name, value) != 0;
	return !a->bad;
}

static void serve_route(struct http_request *r, const struct route *route)
{
	struct arguments a = { .r = r };
	bool open = route->query == QUERY_NONE && !strcmp(route->path, "/metrics") &&
		    accepts(r, "Accept", "application/openmetrics-text");

	query_begin(&a.q, route->query, open ? "metrics\topenmetrics" : route->question,
		    r->question, sizeof(r->question));
	r->reply.type = open ? OPEN_TYPE : route->type;
	if (http_arguments(r, add_argument, &a) && !a.bad) {
		a.bad = true;
		snprintf(a.q.why.text, sizeof(a.q.why.text), "NAME=VALUE is awaited behind '?'");
	}
	if (a.bad || query_end(&a.q)) {
		reply_error(&r->reply, BAD_REQUEST, "bad_argument", a.q.why.text, NULL);
		return;
	}
	r->last = a.q.last;
	r->work = route->work;
}

void routes_serve(struct http_request *r)
{
	const struct page_file *file;

	/* who watches the process needs no secret for it */
	if (!strcmp(r->path, "/healthz")) {
		reply_text(&r->reply, OK, "ok\n");
		return;
	}
	if (!is_let_in(r))
		return;
	file = page_find(r->path);
	if (file) {
		serve_file(r, file);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		if (!strcmp(routes[i].path, r->path)) {
			serve_route(r, &routes[i]);
			return;
		}
	reply_error(&r->reply, NOT_FOUND, "not_found", "nothing is here",
		    "/, /metrics, /healthz, /readyz and /api/v1/status are");
}
