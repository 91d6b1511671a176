/* A request sent on to a server behind us, and its answer passed back to the client, whatever it becomes:
 * an answer with an end, a stream, or (101) a tunnel of bytes.
 *
 * Each relay has a connection of its own while it lasts: closed with it, or, where the request allows it, kept for the next
 * (relay-pool.h). What comes faster than the other side takes it
 * waits in the sender: nothing is buffered beyond a few hundred KB. A side that dies takes the relay with it.
 */
#pragma once

#include "../http/parse.h"
#include "../http/server.h"
#include "dial.h"

struct relay;

struct relay_request {
        struct dial_options to;
        const char *method, *target;
        const char *const *headers;  /* name, value, ..., NULL: Host, too; Connection and lengths are added */
        const char *body;            /* may be NULL */
        size_t body_len;
        bool upgrade;                /* "Connection: Upgrade" */
        bool keep;                   /* the connection may be an older one (GET and HEAD only) and may be kept; else "close" */
        int64_t head_timeout_ns;     /* until the head of the answer is there, after dialing; 0: 60 s */
};

/* On a fiber: dials, sends, and reads the head of the answer. Everything is copied. Free it, or give it to
 * one of relay_answer() and relay_upgrade(). Errors as dial(); -EPROTO: no HTTP answer. */
int relay_open(struct loop *loop, const struct relay_request *q, struct relay **ret, struct error *reterr);
void relay_free(struct relay *r); /* NULL allowed */

unsigned relay_status(const struct relay *r);
const char *relay_header(const struct relay *r, const char *name); /* NULL: absent */
const struct http_field *relay_headers(const struct relay *r, size_t *ret_n);

/* On a fiber: the rest of the answer, up to MAX bytes of it. 0, or negative: it broke off. */
int relay_body(struct relay *r, size_t max, struct strbuf *out);
/* Answers REQ with the status and CONTENT_TYPE given and the body as it comes. On the request's fiber; takes R over. */
void relay_answer(struct relay *r, struct http_request *req, unsigned status, const char *content_type,
                  const char *const *headers);
/* After a 101: answers REQ with it, and joins both connections. Takes R over. */
void relay_upgrade(struct relay *r, struct http_request *req);
