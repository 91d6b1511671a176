/* What the parts of the client share: client.c has exchanges from their start to their end, client-link.c the
 * connections that carry them, client-request.c what is sent and client-answer.c what comes.
 */
#pragma once

#include "client.h"

#include <netdb.h>

#include "../base/list.h"
#include "../base/time.h"
#include "../tls/front.h"
#include "parse.h"

struct http_client {
        struct loop *loop;
        struct tls_client *tls;
        size_t max_body;
        struct list live; /* exchanges */
        struct list idle; /* connections, the longest idle first */
        size_t n_idle;
        unsigned pins;
        bool dead;
};

enum link_state { LINK_RESOLVE, LINK_CONNECT, LINK_HANDSHAKE, LINK_ACTIVE, LINK_IDLE };

/* One connection. */
struct link {
        struct http_client *client;
        struct list list; /* in idle */
        enum link_state state;
        char *key, *host; /* key: "https://host:port", and where that is if the caller said */
        char *to_host;    /* the host that is connected to; the certificate is still for HOST */
        char port[8];
        bool secure;
        struct lookup *lookup;
        struct addrinfo *found, *next;
        int fd;
        struct loop_fd *source;
        struct tls_session *tls;
        struct http_exchange *exchange;
        struct strbuf in; /* the beginning of a head */
        bool reused;      /* it has carried an exchange before */
        bool answered;    /* something of the answer has come */
};

/* A name being looked up in a thread; the link may be gone when that ends. */
struct lookup {
        struct link *link;
        char *host, *port;
        struct addrinfo *found;
        int code;
};

enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKS, BODY_UNTIL_CLOSE };

struct http_exchange {
        struct http_client *client;
        struct list list; /* in live */
        struct arena *arena;
        struct link *link;
        struct loop_timer *timer;
        int64_t deadline; /* monotonic; 0: none */
        unsigned pins;
        bool freed;

        /* what is asked */
        const char *method, *url;
        const char *const *headers;
        const char *body;
        size_t body_len;
        const char *connect_to;
        bool no_redirects, no_reuse, cross; /* cross: redirected to another host, which gets no credentials */
        unsigned redirects;
        char *scheme, *host, *port, *target; /* of the URL; scheme with "://" */
        struct strbuf out;                   /* the request's head, then its body */
        size_t out_at;

        /* what comes */
        bool in_body, keep_alive;
        const char *location; /* of a redirect that is followed */
        unsigned status;
        struct strbuf response_headers;
        enum body_kind kind;
        uint64_t left;
        struct http_chunks chunks;
        size_t received;

        /* who waits */
        const struct http_exchange_ops *ops; /* NULL: an http_call() */
        void *userdata;
        struct fiber *fiber;
        struct http_reply *reply;
        int code;
        char *text;
        bool parked, done;
};

/* client.c: an exchange lives while somebody has it pinned; it is made with one pin. */
struct http_exchange *exchange_new(struct http_client *c, const struct http_call *call);
void client_unpin(struct http_client *c);
void exchange_unpin(struct http_exchange *x);
/* Looks for a connection and sends the request: at first, after a redirect, and where a kept connection broke. */
void exchange_start(struct http_exchange *x);
/* Takes it off its connection, if it still has one, and tells its owner: CODE as http_call(). */
void exchange_finish(struct http_exchange *x, int code, const char *fmt, ...) printf_like(3, 4);
/* Its connection can carry another one. */
bool exchange_reusable(const struct http_exchange *x);

/* client-request.c: cuts the URL up (false: it is none), and writes head and body to x->out. */
bool exchange_read_url(struct http_exchange *x);
void exchange_write(struct http_exchange *x);

/* client-answer.c: DATA has come for the exchange of the link; LEN 0 is allowed. False: it is over, or on
 * another connection. */
bool exchange_take(struct link *l, const char *data, size_t len);
/* The server has said all that it says. False: in the middle of an answer. */
bool exchange_take_end(struct http_exchange *x);
/* The value of a header, copied to the arena; NULL when absent. */
char *exchange_find_header(const struct strbuf *headers, struct arena *a, const char *name);

/* client-link.c: ready to carry (LINK_ACTIVE), or a new one, which link_connect() brings up. */
struct link *link_get(struct http_exchange *x);
void link_connect(struct link *l);
/* Sends what is left of its exchange's request. False: the connection broke, and the exchange is elsewhere or over. */
bool link_write(struct link *l);
/* Kept for the next exchange, or closed. */
void link_keep(struct link *l);
void link_free(struct link *l);
