/* gRPC over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), as much as etcd needs.
 *
 * One channel keeps one connection, to one of its endpoints, and goes on to the next endpoint when a
 * connection cannot be made or breaks. All calls and streams share it. libnghttp2 does the framing:
 * a call through libcurl, which uses it too, costs several times as much CPU in handles that are set
 * up for each request, and a check of the revision stands in front of every read.
 */
#pragma once

#include "../../lib/base/strbuf.h"
#include "../../lib/loop/loop.h"

struct grpc;
struct grpc_call;

struct grpc_options {
        const char *const *endpoints;   /* "https://10.0.0.1:2379", "http://127.0.0.1:2379", "unix:///run/etcd.sock", NULL */
        const char *ca_file, *cert_file, *key_file; /* PEM; read anew for each connection; may be NULL */
        int64_t connect_timeout_ns;     /* for one endpoint; 0: 3 s */
};
int grpc_new(struct loop *loop, const struct grpc_options *o, struct grpc **ret, struct error *reterr);
void grpc_free(struct grpc *g); /* open calls end with -ECANCELED first */
/* A channel of its own to the endpoint I of G alone. */
struct grpc *grpc_new_to(const struct grpc *g, size_t i);
size_t grpc_n_endpoints(const struct grpc *g);
const char *grpc_endpoint(const struct grpc *g, size_t i); /* its URL */
bool grpc_connected(const struct grpc *g);
bool grpc_is_local(const struct grpc *g); /* a Unix socket: nothing can get lost on the way */
/* How long nothing came from the peer, in ns; -1: there is no connection. */
int64_t grpc_silence(const struct grpc *g);
/* Ends the connection, as if it had broken, for the next endpoint. Ends of calls are told in here. */
void grpc_leave(struct grpc *g, const char *why);
const char *grpc_trouble(const struct grpc *g); /* why the last connection failed; "" while connected */

/* How a call ended. CODE is 0 (an answer, see status) or negative: -EHOSTUNREACH no endpoint could be
 * connected, so nothing was sent; -ECONNRESET the connection broke after it was sent: it may have been
 * carried out or not; -ETIMEDOUT likewise; -EPROTO; -ECANCELED. */
struct grpc_end {
        int code;
        int status;          /* grpc-status: 0 OK, 8 RESOURCE_EXHAUSTED, 14 UNAVAILABLE ... */
        const char *message; /* grpc-message, or what went wrong; never NULL */
};
enum {
        GRPC_OK = 0,
        GRPC_UNKNOWN = 2,
        GRPC_INVALID_ARGUMENT = 3,
        GRPC_DEADLINE_EXCEEDED = 4,
        GRPC_NOT_FOUND = 5,
        GRPC_RESOURCE_EXHAUSTED = 8,
        GRPC_FAILED_PRECONDITION = 9,
        GRPC_OUT_OF_RANGE = 11,
        GRPC_UNAVAILABLE = 14,
        GRPC_UNAUTHENTICATED = 16,
};

struct grpc_ops {
        /* One whole message. DATA is only valid during the call. */
        void (*message)(struct grpc_call *c, const char *data, size_t len, void *userdata);
        /* The last call: the grpc_call is gone after it. */
        void (*end)(const struct grpc_end *end, void *userdata);
};
/* PATH: "/etcdserverpb.KV/Range". MESSAGE is sent first, copied; STREAM: more may follow with
 * grpc_send(). TIMEOUT_NS: until the end (0: none), kept to the second. Waits for a connection while
 * one is being made. Callbacks never run inside this function. */
struct grpc_call *grpc_start(struct grpc *g, const char *path, const struct strbuf *message, bool stream,
                             int64_t timeout_ns, const struct grpc_ops *ops, void *userdata);
void grpc_send(struct grpc_call *c, const struct strbuf *message);
void grpc_cancel(struct grpc_call *c); /* `end` is not called */
/* For callers that run at a turn's end themselves: what is started between the two is written by the
 * second, instead of at the end of the next turn. */
void grpc_hold(struct grpc *g);
void grpc_flush(struct grpc *g);

/* On a fiber: one message each way. REPLY is set when the code and the status are 0. The end's message
 * is copied to reterr. Returns end.code, with *ret_status. */
int grpc_unary(struct grpc *g, const char *path, const struct strbuf *message, int64_t timeout_ns,
               struct strbuf *reply, int *ret_status, struct error *reterr);
