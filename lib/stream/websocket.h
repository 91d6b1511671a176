/* WebSocket (RFC 6455), the server's side: the handshake's answer and the framing. Bytes in, bytes out. */
#pragma once

#include "../base/error.h"

#define WEBSOCKET_MAX_MESSAGE (1 << 20)
#define WEBSOCKET_ACCEPT_BUF 32

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key. Returns BUF. */
char *websocket_accept(const char *key, char buf[WEBSOCKET_ACCEPT_BUF]);

struct websocket;
struct websocket_ops {
        void (*write)(const void *data, size_t len, void *userdata);
        void (*message)(bool text, const uint8_t *data, size_t len, void *userdata);
        void (*closed)(unsigned code, void *userdata); /* a Close came (and was answered) */
};
struct websocket *websocket_new(const struct websocket_ops *ops, void *userdata);
void websocket_free(struct websocket *ws); /* NULL allowed */
/* Pings are answered. 0, or -EPROTO with a text. */
int websocket_input(struct websocket *ws, const uint8_t *data, size_t len, struct error *reterr);
/* One message of one frame; PREFIX (may be NULL) comes before DATA. */
void websocket_send(struct websocket *ws, bool text, const void *prefix, size_t prefix_len, const void *data,
                    size_t len);
void websocket_close(struct websocket *ws, unsigned code);
