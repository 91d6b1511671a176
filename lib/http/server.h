/* An HTTP/1.1 server on the loop, with TLS (server.c says why it has a parser of its own).
 *
 * A request is handed over when its body is complete (at most max_body bytes; longer ones are
 * answered 413 by the fallback given here). The handler runs on a fiber of its own and answers
 * before it returns, in one of four ways: http_respond(), http_body_begin() to http_body_end(),
 * http_stream_start() (the stream then lives on without the fiber), or http_upgrade().
 */
#pragma once

#include <sys/socket.h>

#include "../base/arena.h"
#include "../base/strbuf.h"
#include "../loop/fiber.h"

struct http_server;
struct http_stream;

/* Bytes shared by many answers: a cached object, a discovery document. */
struct buffer {
        unsigned refs;
        size_t len;
        char data[]; /* NUL-terminated; len does not count the NUL */
};
struct buffer *buffer_new(size_t len);                          /* contents not set, refs 1 */
struct buffer *buffer_new_copy(const void *data, size_t len);
struct buffer *buffer_ref(struct buffer *b);
void buffer_unref(struct buffer *b); /* NULL allowed */

struct http_peer {
        char address[64];       /* "127.0.0.1" */
        uint16_t port;
        bool verified;          /* it showed a client certificate that the client CA signed, now valid */
        char *common_name;      /* of that certificate; NULL without one */
        char **organizations;   /* NULL-terminated; may be NULL */
        const void *cert_der;   /* the leaf certificate as shown, verified or not; NULL: none */
        size_t cert_der_len;
};

struct http_request {
        struct arena *arena;       /* freed when the handler has returned and, but for streams, the answer is sent */
        struct loop *loop;
        const char *method;        /* "GET" */
        const char *target;        /* as sent: "/api/v1/pods?limit=5" */
        const char *path;          /* the part before '?', not decoded */
        const char *query;         /* the part after '?', not decoded, never NULL */
        const char *body;          /* NUL-terminated */
        size_t body_len;
        const struct http_peer *peer;
        int64_t received_ns;       /* monotonic */
        struct http_conn *conn;    /* private */
};

/* Headers: names in any case; NULL when absent. Several with one name: http_header_next(). */
const char *http_header(const struct http_request *req, const char *name);
void http_header_each(const struct http_request *req,
                      void (*fn)(const char *name, const char *value, void *userdata), void *userdata);

/* Whether the list of entity tags LIST (If-None-Match) has TAG, `"..."`, weak or not. */
bool http_names_tag(const char *list, const char *tag);

/* Query parameters, decoded ('+' is a space). NULL when absent; "" for "?watch". The first of several. */
const char *http_query(const struct http_request *req, const char *name);
/* All values of NAME in order; the number of them. *ret is in the request's arena. */
size_t http_query_all(const struct http_request *req, const char *name, const char ***ret);
/* %XX decoded, in the arena; NULL when malformed. */
char *http_unescape(struct arena *a, const char *s, size_t len, bool plus_is_space);
void http_escape(struct strbuf *out, const char *s); /* as a path segment or query value */

struct http_answer {
        unsigned status;
        const char *content_type;
        /* More headers: name, value, ..., NULL. May be NULL. */
        const char *const *headers;
        /* The body: BODY is copied; or PARTS buffers, each sent as it is and then unref'd, taken over. */
        const char *body;
        size_t body_len;
        struct buffer **parts; /* the array itself stays the caller's */
        size_t n_parts;
        const uint32_t *skips; /* bytes left out at the front of each part; NULL: none */
};
/* Sends it (gzip when the client accepts it and the body is over 128 KiB, as upstream, but never to this
 * machine itself, where CPU costs more than bytes). Waits for nothing: a client that left is not noticed. */
void http_respond(struct http_request *req, const struct http_answer *answer);

/* --- an answer that is made while it is sent: in the memory of one part, however long it gets --- */
/* Sends the head. The body may be compressed, as that of http_respond() over 128 KiB. */
void http_body_begin(struct http_request *req, unsigned status, const char *content_type, const char *const *headers);
/* The next part; parks the handler until it is sent. False: the client is gone, no more need be made. */
bool http_body_write(struct http_request *req, const void *data, size_t len);
void http_body_end(struct http_request *req);

/* --- streams: an answer without end (watch, logs) --- */
struct http_stream_ops {
        /* The client left, or http_stream_end() was carried out. The stream is gone after it. */
        void (*closed)(struct http_stream *s, void *userdata);
        /* What was queued has been taken: fewer than the low-water mark of bytes wait. May be NULL. */
        void (*drained)(struct http_stream *s, void *userdata);
};
struct http_stream *http_stream_start(struct http_request *req, unsigned status, const char *content_type,
                                      const char *const *headers, const struct http_stream_ops *ops,
                                      void *userdata);
void http_stream_write(struct http_stream *s, const void *data, size_t len); /* copies */
void http_stream_write_buffer(struct http_stream *s, struct buffer *b);      /* takes a reference of its own */
/* BEFORE, B and AFTER as one piece that arrives together. BEFORE and AFTER are constants. Cheapest where many streams get
 * the same one after the other. */
void http_stream_write_around(struct http_stream *s, const char *before, struct buffer *b, const char *after);
size_t http_stream_queued(const struct http_stream *s); /* bytes not yet taken by the connection */
void http_stream_end(struct http_stream *s);            /* after what is queued */
void http_stream_abort(struct http_stream *s);          /* cut off now; `closed` is not called, the stream is gone */

/* --- upgrade: 101, then the bytes of the connection, plain, both ways, on a descriptor that the
 * callback owns (close it to end). A non-blocking end of a socketpair. FN is called before http_upgrade()
 * returns; HEADERS must hold Connection and Upgrade. --- */
typedef void http_upgrade_fn(int fd, const void *already_read, size_t len, void *userdata);
void http_upgrade(struct http_request *req, const char *const *headers, http_upgrade_fn *fn, void *userdata);

/* --- for those who keep books --- */
/* Calls FN when the answer is sent whole, its stream or tunnel has ended, or the client is gone: once, now if it has
 * happened. One a request. */
void http_on_end(struct http_request *req, void (*fn)(void *userdata), void *userdata);
/* What the request was answered with; 0: nothing yet. In its handler only. */
unsigned http_status(const struct http_request *req);

typedef void http_handler_fn(struct http_request *req, void *userdata);

struct http_server_options {
        const char *address;       /* "0.0.0.0", "127.0.0.1", "::" */
        uint16_t port;             /* 0: any; http_server_port() tells */
        size_t max_body;           /* bytes; 0: 3 MiB, upstream's number */
        size_t max_headers;        /* bytes; 0: 1 MiB and 4 KiB */
        size_t max_connections;    /* 0: 16384; beyond them who waits longest is let go */
        size_t max_held;           /* bytes of all requests that are still coming; 0: 256 MiB; beyond, likewise */
        int64_t header_timeout_ns; /* a client that sends no complete request; 0: 32 s */
        int64_t idle_timeout_ns;   /* keep-alive; 0: 90 s */
        /* TLS; all NULL: plain HTTP. PEM files; read again when they change. */
        const char *cert_file, *key_file;
        const char *client_ca_file; /* client certificates are asked for, not demanded */
        http_handler_fn *handler;
        void *userdata;
        /* Answers bodies that are too long (413), so that the text is the caller's. NULL: an empty answer. What cannot be
         * read (400, 431, 501, 505) gets Go's plain text. */
        void (*refuse)(unsigned status, const char **ret_content_type, const char **ret_body);
};
int http_server_new(struct loop *loop, const struct http_server_options *o, struct http_server **ret,
                    struct error *reterr);
uint16_t http_server_port(const struct http_server *s);
void http_server_drain(struct http_server *s); /* takes no new connections, ends idle ones */
void http_server_free(struct http_server *s);
