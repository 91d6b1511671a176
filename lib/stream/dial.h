/* A connection to another server, made on a fiber: TCP, and TLS where asked for.
 *
 * For what the HTTP client does not carry: requests whose connection becomes a stream (SPDY, WebSocket). The errors
 * are worded as Go's net.Dial words them ("dial tcp 10.0.0.5:10250: connect: connection refused"), because
 * clients see them inside Statuses.
 */
#pragma once

#include "../loop/fiber.h"
#include "wire.h"

struct dial_options {
        const char *host;     /* an address or a name */
        uint16_t port;
        bool tls;
        /* PEM files, read at each dial, so that renewed ones count. CERT and KEY may be NULL. */
        const char *ca_file, *cert_file, *key_file;
        bool insecure;        /* the server's certificate is not checked */
        const char *server_name; /* that the certificate must be for; NULL: HOST */
        int64_t timeout_ns;   /* for all of it; 0: 30 s */
        const char *ca_data;  /* PEM text instead of CA_FILE; NULL: none */
};

struct dialed {
        int fd; /* nonblocking */
        const struct wire_transport *transport; /* NULL: plain */
        void *t;
};

/* 0, or -ECONNREFUSED, -EHOSTUNREACH, -ETIMEDOUT, -EPROTO, ... Give the result to wire_new_over(). */
int dial(struct loop *loop, const struct dial_options *o, struct dialed *ret, struct error *reterr);

/* What the socket of every connection to another server is set to: no delay, and probes while nothing is said. */
void dial_set_options(int fd);
