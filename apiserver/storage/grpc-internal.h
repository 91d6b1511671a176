/* Shared by grpc.c (calls and their session) and grpc-connect.c (how the bytes get there and back). */
#pragma once

#include <gnutls/gnutls.h>
#include <netdb.h>
#include <nghttp2/nghttp2.h>

#include "../../lib/base/list.h"
#include "grpc.h"

#define READ_SIZE (32 * 1024)       /* taken from the socket at once */

enum grpc_state { GRPC_DOWN, GRPC_RESOLVING, GRPC_CONNECTING, GRPC_HANDSHAKE, GRPC_UP };

struct endpoint {
        char *url, *host, *port, *authority;
        bool tls;
        bool local; /* a Unix socket: `host` is its path */
};

struct grpc {
        struct loop *loop;
        struct endpoint *endpoints;
        size_t n_endpoints, current, failed; /* failed: endpoints in a row that could not be reached */
        char *ca_file, *cert_file, *key_file;
        int64_t connect_timeout_ns;

        enum grpc_state state;
        unsigned generation; /* of the connection: late callbacks of older ones are ignored */
        int fd;
        struct loop_fd *source;
        uint32_t events;
        struct loop_timer *timer; /* of connecting */
        struct loop_timer *tick;
        gnutls_certificate_credentials_t cred;
        gnutls_session_t tls;
        char *inbox; /* of TLS: read from the socket, not yet taken by GnuTLS from inbox_at on */
        size_t inbox_len, inbox_at;
        bool drained; /* the last read took all that was there */
        nghttp2_session *session;
        struct strbuf out; /* framed bytes that the socket did not take yet */
        size_t out_at;
        bool flush_deferred, held;
        bool doomed; /* the session takes no more streams: replace the connection at the end of the turn */
        struct addrinfo *found, *next; /* what the endpoint's name stands for, and what to try next */
        bool freed; /* grpc_free() was called while something of ours was still deferred */
        unsigned deferred;
        int64_t heard_ns; /* when bytes came last */
        bool pinged;      /* a PING waits for its answer */
        uint8_t ping[8];
        struct error trouble;
        struct list calls;
};

/* --- grpc.c --- */
void grpc_channel_fail(struct grpc *g, int code, const char *fmt, ...) printf_like(3, 4);
void grpc_channel_up(struct grpc *g); /* the socket is connected, TLS agreed */
void grpc_channel_flush(struct grpc *g);
void grpc_channel_read(struct grpc *g);

/* --- grpc-connect.c --- */
int grpc_endpoint_parse(const char *url, struct endpoint *e, struct error *reterr);
void grpc_channel_connect(struct grpc *g);
void grpc_on_connect_timeout(struct loop_timer *timer, void *userdata);
/* What recv() and send() return, but -errno. */
ssize_t grpc_socket_read(struct grpc *g, void *buf, size_t len);
ssize_t grpc_socket_write(struct grpc *g, const void *buf, size_t len);
void grpc_want_events(struct grpc *g, uint32_t events);
