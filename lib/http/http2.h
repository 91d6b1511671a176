/* One call over HTTP/2, for gRPC probes: plain TCP with prior knowledge, a connection of its own. */
#pragma once

#include "client.h"

struct http2_call {
        const char *host; /* an address */
        uint16_t port;
        const char *path; /* "/grpc.health.v1.Health/Check" */
        const char *const *headers; /* lower-case name, value, ..., NULL */
        const char *body;
        size_t body_len;
        size_t max_body;    /* of the answer */
        int64_t timeout_ns; /* for all of it */
};

/* POSTs, on a fiber, and waits for the answer; r->headers holds trailers (grpc-status), too. 0; or
 * -ECONNREFUSED, -ETIMEDOUT, -ECONNRESET, -EPROTO, -EFBIG, ... */
int http2_call(struct loop *loop, const struct http2_call *call, struct http_reply *r);
