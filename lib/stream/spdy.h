/* SPDY/3.1, the server's side, as far as Kubernetes clients speak it (github.com/moby/spdystream).
 *
 * Bytes in, bytes out: no sockets here. The session owns its streams; a stream pointer is valid until
 * its `closed` was called. No flow control is enforced (spdystream has none): WINDOW_UPDATE and
 * SETTINGS are read over. Limits: SPDY_MAX_STREAMS at once, header blocks of SPDY_MAX_HEADERS bytes
 * unpacked, control frames of SPDY_MAX_CONTROL bytes.
 */
#pragma once

#include "../base/error.h"

#define SPDY_MAX_STREAMS 1024
#define SPDY_MAX_HEADERS 32768
#define SPDY_MAX_CONTROL 65536

struct spdy;
struct spdy_stream {
        uint32_t id;
        void *userdata;               /* the callee's */
        bool remote_closed, local_closed;
        /* private */
        struct spdy *session;
};

struct spdy_header {
        const char *name, *value; /* for the call only */
};

struct spdy_ops {
        void (*write)(const void *data, size_t len, void *userdata);
        /* A new stream. Answer with spdy_reply() or spdy_reset(), now or later. */
        void (*opened)(struct spdy_stream *s, const struct spdy_header *headers, size_t n, void *userdata);
        /* FIN: no more will come. LEN may be 0. */
        void (*data)(struct spdy_stream *s, const uint8_t *data, size_t len, bool fin, void *userdata);
        /* Both sides are done with it, or one reset it. */
        void (*closed)(struct spdy_stream *s, void *userdata);
};

struct spdy *spdy_new(const struct spdy_ops *ops, void *userdata);
void spdy_free(struct spdy *s); /* `closed` is called for streams that are left; NULL allowed */
/* 0, or -EPROTO with a text: the connection is of no more use. */
int spdy_input(struct spdy *s, const uint8_t *data, size_t len, struct error *reterr);

void spdy_reply(struct spdy_stream *st);
void spdy_send(struct spdy_stream *st, const void *data, size_t len);
void spdy_finish(struct spdy_stream *st); /* half-close */
void spdy_reset(struct spdy_stream *st, uint32_t status);
#define SPDY_REFUSED_STREAM 3
#define SPDY_CANCEL 5
void spdy_goaway(struct spdy *s);
/* The value of header NAME; "" when absent. */
const char *spdy_header(const struct spdy_header *headers, size_t n, const char *name);
/* The words that both sides' header compression starts from; for tests that play the client. */
const uint8_t *spdy_dictionary(size_t *ret_len);
