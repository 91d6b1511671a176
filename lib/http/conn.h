/* Private to lib/http: a connection of the server, shared by server.c (reading, life and time) and
 * answer.c (what is sent).
 *
 *     HANDSHAKE -> HEAD -> BODY -> HANDLER -> ANSWER -> HEAD ...
 *                                     |-----> STREAM --^
 *                                     `-----> TUNNEL -> closed
 *                 any refusal -> ANSWER -> LINGER -> closed
 */
#pragma once

#include <zlib.h>

#include "parse.h"
#include "server.h"
#include "../base/list.h"
#include "../tls/front.h"

enum conn_state {
        CONN_HANDSHAKE,
        CONN_HEAD,    /* idle, or part of a head has come */
        CONN_BODY,
        CONN_HANDLER, /* the handler runs and has not answered */
        CONN_ANSWER,  /* an answer with an end is being sent */
        CONN_STREAM,
        CONN_TUNNEL,
        CONN_LINGER,  /* all is sent; reads on for a moment, so that no RST overtakes it */
};

/* A stretch of output: of a shared buffer, of memory that its owner keeps until it is sent, or a few bytes of its own. */
struct piece {
        struct buffer *buffer; /* whose bytes they are; NULL: nobody's */
        const char *bytes;     /* NULL: small */
        size_t at, end;
        char small[40];
};

/* First in, first out; grows as an array and starts over when empty. */
struct pieces {
        struct piece *list;
        size_t head, n, cap;
        size_t bytes;
};
void pieces_push_buffer(struct pieces *p, struct buffer *b); /* takes the reference */
void pieces_push_copy(struct pieces *p, const void *data, size_t len);
void pieces_push_borrowed(struct pieces *p, const void *data, size_t len);
/* Copies up to MAX bytes from the front without taking them. */
size_t pieces_peek(const struct pieces *p, char *to, size_t max);
void pieces_drop(struct pieces *p, size_t len);
void pieces_deinit(struct pieces *p);

/* Connections that wait for the same length of time, the next to run out in front. */
struct timeout_queue {
        struct list list;
        int64_t after_ns;
        struct loop_timer *timer;
};

struct http_server {
        struct http_server_options o;
        char *address, *cert_file, *key_file, *client_ca_file;
        struct loop *loop;
        struct tls_front *tls;
        int fd;
        uint16_t port;
        struct loop_fd *source;
        struct loop_timer *accept_again; /* after the descriptors ran out */
        struct list conns;
        struct list dirty;               /* streams with output queued in this turn */
        bool dirty_deferred;
        size_t n_conns;
        size_t held;                     /* bytes of all requests that are still coming */
        struct timeout_queue waiting, idle, writing, lingering;
        bool draining, dead;
};

struct request {
        struct http_request pub;
        struct http_head head;
        struct http_conn *conn;
        bool answered;
        unsigned status; /* with what; 0: not yet */
};

struct http_stream {
        struct http_conn *conn;
        const struct http_stream_ops *ops;
        void *userdata;
        bool chunked, ended, blocked;
};

struct http_conn {
        struct http_server *server;
        enum conn_state state;
        struct list link, dirty;
        int fd;
        struct loop_fd *source;
        struct tls_session *tls;
        struct http_peer peer;
        uint32_t events;           /* asked of the loop */

        struct timeout_queue *queue;
        struct list queue_link;
        int64_t deadline;

        struct strbuf in;          /* read and not yet understood, from in_at on */
        size_t in_at, scanned;
        struct request *request;   /* being read or answered */
        struct strbuf body;
        size_t held;               /* what `in` and `body` take, as counted with the server's */
        struct http_chunks chunks;

        struct pieces out;
        struct pieces source_out;  /* to be compressed into out */
        z_stream *gzip;
        struct http_stream *stream;
        bool keep_alive;
        bool unfinished, chunked;  /* ANSWER: the handler makes more of it (http_body_write()), in chunks */
        struct fiber *writer;      /* the handler, while it waits for its part to be taken */
        size_t burst;              /* what it has written without a pause */
        void (*on_end)(void *userdata);
        void *on_end_data;
        bool half_closed;          /* the client sends no more */
        bool greeted;              /* TLS: its first bytes were looked at */
        bool processing;
        bool unread;               /* it sends ahead while we answer */
        unsigned pins;             /* callers that still look at it */
        bool dead;

        int pair;                  /* TUNNEL: our end of the socketpair; -1 */
        struct loop_fd *pair_source;
        uint32_t pair_events;
        struct strbuf to_pair;
        size_t to_pair_at;
        bool pair_eof;
};

/* server.c */
void conn_kill(struct http_conn *c);     /* closes now; freed when nobody pins it */
void conn_unpin(struct http_conn *c);
bool conn_unsent(const struct http_conn *c);
void conn_events(struct http_conn *c);   /* tells the loop what the state waits for */
void conn_timeout(struct http_conn *c, struct timeout_queue *q); /* NULL: none */
void conn_answered(struct http_conn *c); /* all of the answer is sent */
/* answer.c */
void conn_flush(struct http_conn *c);
void conn_refuse(struct http_conn *c, unsigned status, const char *why); /* WHY: a few words, or NULL */
void conn_tunnel_io(struct http_conn *c);
void server_flush_dirty(void *server);
