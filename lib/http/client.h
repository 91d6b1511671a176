/* An HTTP/1.1 client on the loop (client.c says why it is not libcurl).
 *
 * http_call() is for fibers: it sends, parks, and returns with the whole answer. http_open() is for
 * answers without end: it calls back with each piece. Connections are kept and shared in a client.
 */
#pragma once

#include "../base/arena.h"
#include "../base/strbuf.h"
#include "../loop/fiber.h"

struct http_client;
struct http_exchange;

struct http_client_options {
        const char *ca_file;                /* PEM; NULL: the system's */
        const char *cert_file, *key_file;   /* client certificate; may be NULL */
        const char *ca_data, *cert_data, *key_data; /* the same as PEM text; win over files */
        bool insecure;                      /* no verification (kubelet httpGet probes) */
        size_t max_body;                    /* bytes of an answer to http_call(); 0: 64 MiB */
};
int http_client_new(struct loop *loop, const struct http_client_options *o, struct http_client **ret,
                    struct error *reterr);
void http_client_free(struct http_client *c);

struct http_call {
        const char *method;
        const char *url;                    /* "https://127.0.0.1:6443/api/v1/pods" */
        const char *const *headers;         /* "Name: value", ..., NULL; may be NULL */
        const char *body;
        size_t body_len;
        int64_t timeout_ns;                 /* 0: 60 s; -1: none */
        bool no_redirects;
        bool no_reuse;                      /* a connection of its own (probes) */
        const char *connect_to;             /* "10.96.0.7:443", "[fd00::7]:443": where the URL's host is; NULL: looked up */
};

struct http_reply {
        unsigned status;
        struct strbuf body;
        struct strbuf headers;              /* raw: "Name: value\r\n"... of the last response */
};
void http_reply_deinit(struct http_reply *r);
/* The value of a header of the reply, copied to the arena; NULL when absent. */
char *http_reply_header(const struct http_reply *r, struct arena *a, const char *name);

/* On a fiber. 0: an answer came, whatever its status; negative: none (-ECONNREFUSED, -ETIMEDOUT,
 * -EHOSTUNREACH, -ECONNRESET, -EACCES (TLS: not to be trusted), -EPROTO, -EFBIG, ...), with a text in
 * reterr. */
int http_call(struct http_client *c, const struct http_call *call, struct http_reply *r,
              struct error *reterr);

struct http_exchange_ops {
        void (*headers)(struct http_exchange *x, unsigned status, void *userdata); /* may be NULL */
        void (*data)(struct http_exchange *x, const char *data, size_t len, void *userdata);
        /* CODE 0: ended as it should; negative: as http_call. The exchange is gone after it. */
        void (*end)(struct http_exchange *x, int code, const char *text, void *userdata);
};
struct http_exchange *http_open(struct http_client *c, const struct http_call *call,
                                const struct http_exchange_ops *ops, void *userdata);
/* A response header, copied to the arena; NULL: absent. */
char *http_exchange_header(const struct http_exchange *x, struct arena *a, const char *name);
/* Cuts it off; `end` is not called. */
void http_exchange_free(struct http_exchange *x);
