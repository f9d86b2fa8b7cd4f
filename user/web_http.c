/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP, by libmicrohttpd, which no other file knows: one thread that never waits takes requests and
 * sends answers; what is to be waited for is done in others (web_wait.c), the connection asleep
 * meanwhile. Only GET and HEAD come further than here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include <linux/types.h>

#include "util.h"
#include "web.h"

static void (*serve)(struct http_request *r);

/* --- answers ---------------------------------------------------------------------------- */

static const char *const always[][2] = {
	{ "Content-Security-Policy",
	  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
	  "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "X-Frame-Options", "DENY" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Vary", "Accept, Accept-Encoding, Authorization" },
};

static void free_answer(void *answer)
{
	answer_drop(answer);
}

static void free_follower(void *follower)
{
	follow_close(follower);
}

static ssize_t read_stream(void *ctx, uint64_t at, char *buf, size_t size)
{
	struct http_request *r = ctx;
	long got = follow_read(r->reply.follower, buf, size);

	(void)at;
	return got < 0 ? MHD_CONTENT_READER_END_OF_STREAM : got;
}

static struct MHD_Response *make_response(struct http_request *r)
{
	struct http_reply *p = &r->reply;

	if (p->follower)
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_stream, r,
							 NULL);
	if (p->answer)
		return MHD_create_response_from_buffer_with_free_callback_cls(
			p->size, (void *)p->data, free_answer, p->answer);
	return MHD_create_response_from_buffer(p->size, (void *)p->data,
					       p->data == p->text ? MHD_RESPMEM_MUST_COPY :
								    MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result send_reply(struct http_request *r)
{
	struct http_reply *p = &r->reply;
	struct MHD_Response *response = make_response(r);
	enum MHD_Result sent;

	if (!response)
		return MHD_NO;
	p->answer = NULL; /* the response's now */
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		MHD_add_response_header(response, always[i][0], always[i][1]);
	if (p->type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, p->type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
				p->etag ? "no-cache" : "no-store");
	if (p->etag)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, p->etag);
	if (p->encoding)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, p->encoding);
	if (p->retry)
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	if (p->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (p->status == MHD_HTTP_UNAUTHORIZED) {
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
					"Bearer realm=\"synwarden\"");
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
					"Basic realm=\"synwarden: any name, token as password\"");
	}
	sent = MHD_queue_response(r->connection, p->status, response);
	MHD_destroy_response(response);
	return sent;
}

static enum MHD_Result refuse(struct http_request *r, unsigned int status, bool retry,
			      const char *text)
{
	memset(&r->reply, 0, sizeof(r->reply));
	r->reply.status = status;
	r->reply.retry = retry;
	r->reply.type = "text/plain; charset=utf-8";
	r->reply.data = text;
	r->reply.size = strlen(text);
	return send_reply(r);
}

/* --- requests --------------------------------------------------------------------------- */

static bool has_body(const struct http_request *r)
{
	const char *length = http_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (length && strcmp(length, "0")) || http_header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static enum MHD_Result begin(struct http_request *r)
{
	if (strcmp(r->method, MHD_HTTP_METHOD_GET) && strcmp(r->method, MHD_HTTP_METHOD_HEAD))
		return refuse(r, MHD_HTTP_METHOD_NOT_ALLOWED, false, "only GET and HEAD\n");
	if (has_body(r))
		return refuse(r, MHD_HTTP_BAD_REQUEST, false, "a request has no body here\n");
	return MHD_YES;
}

static enum MHD_Result handle(void *unused, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **ctx)
{
	struct http_request *r = *ctx;

	(void)unused, (void)version, (void)upload;
	if (!r) {
		r = *ctx = calloc(1, sizeof(*r));
		if (!r)
			return MHD_NO;
		r->peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
				  ->socket_context;
		r->connection = connection;
		r->method = method;
		r->path = url;
		if (r->peer)
			peer_now(r->peer, PEER_BUSY);
		return begin(r);
	}
	if (*upload_size)
		return MHD_NO; /* a body where none was announced */
	if (!r->done) {
		serve(r);
		if (r->work && waiting_add(r))
			return MHD_YES; /* called again when it is done */
		if (r->work)
			return refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, true,
				      "too many ask at once\n");
	}
	if (r->reply.follower && r->peer)
		peer_now(r->peer, PEER_FOLLOWS);
	return send_reply(r);
}

static void completed(void *unused, struct MHD_Connection *connection, void **ctx,
		      enum MHD_RequestTerminationCode how)
{
	struct http_request *r = *ctx;

	(void)unused, (void)connection, (void)how;
	if (!r)
		return;
	if (r->peer)
		peer_now(r->peer, PEER_IDLE);
	if (r->reply.answer)
		free_answer(r->reply.answer);
	if (r->reply.follower)
		free_follower(r->reply.follower);
	free(r);
	*ctx = NULL;
}

static void connected(void *unused, struct MHD_Connection *connection, void **ctx,
		      enum MHD_ConnectionNotificationCode what)
{
	(void)unused;
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*ctx = peer_new(
			MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
				->connect_fd);
	else if (*ctx)
		peer_gone(*ctx);
}

/* A NUL would end a path or a value early: another sign that is in none takes its place. */
static size_t unescape(void *unused, struct MHD_Connection *connection, char *text)
{
	size_t len = MHD_http_unescape(text);

	(void)unused, (void)connection;
	for (size_t i = 0; i < len; i++)
		if (!text[i])
			text[i] = '\1';
	return len;
}

/* --- for the other files ---------------------------------------------------------------- */

const char *http_header(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

char *http_password(const struct http_request *r)
{
	char *password = NULL,
	     *user = MHD_basic_auth_get_username_password(r->connection, &password);

	MHD_free(user);
	return password;
}

void http_free(char *password)
{
	MHD_free(password);
}

struct walk {
	bool (*each)(void *ctx, const char *name, const char *value);
	void *ctx;
	bool bad;
};

static enum MHD_Result one_argument(void *ctx, enum MHD_ValueKind kind, const char *name,
				    size_t name_size, const char *value, size_t size)
{
	struct walk *w = ctx;

	(void)kind;
	w->bad = !name || !value || strlen(name) != name_size || strlen(value) != size;
	return !w->bad && w->each(w->ctx, name, value) ? MHD_YES : MHD_NO;
}

int http_arguments(const struct http_request *r,
		   bool (*each)(void *ctx, const char *name, const char *value), void *ctx)
{
	struct walk w = { each, ctx, false };

	MHD_get_connection_values_n(r->connection, MHD_GET_ARGUMENT_KIND, one_argument, &w);
	return w.bad ? -EINVAL : 0;
}

void http_wake(void *connection)
{
	MHD_resume_connection(connection);
}

void http_sleep(void *connection)
{
	MHD_suspend_connection(connection);
}

int http_start(int listener, void (*to_serve)(struct http_request *r))
{
	serve = to_serve;
	if (!MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL,
			      NULL, handle, NULL, MHD_OPTION_LISTEN_SOCKET, listener,
			      MHD_OPTION_CONNECTION_LIMIT, (unsigned int)WEB_CONNS,
			      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)WEB_CONN_BYTES,
			      MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)WEB_TAKE_S,
			      MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK,
			      unescape, NULL, MHD_OPTION_NOTIFY_CONNECTION, connected, NULL,
			      MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END))
		return log_refuse(-EIO, "the HTTP server did not start");
	return 0;
}
