/* WebSocket: see websocket.h. */
#include "websocket.h"

#include <errno.h>
#include <gnutls/crypto.h>

#include "../base/encode.h"
#include "../base/strbuf.h"

enum opcode { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

struct websocket {
        const struct websocket_ops *ops;
        void *userdata;
        uint8_t head[14];      /* 2, then 0, 2 or 8 of length, then 4 of mask */
        size_t head_len, head_need;
        uint64_t left;         /* of the frame's payload */
        uint64_t at;           /* of the mask */
        struct strbuf message; /* of the fragments so far */
        struct strbuf control; /* payload of a control frame, which may come between fragments */
        bool in_message, text, close_sent, close_received;
};

char *websocket_accept(const char *key, char buf[WEBSOCKET_ACCEPT_BUF])
{
        static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        uint8_t digest[20];
        _cleanup_strbuf_ struct strbuf in = STRBUF_INIT, out = STRBUF_INIT;
        strbuf_puts(&in, key);
        strbuf_puts(&in, guid);
        gnutls_hash_fast(GNUTLS_DIG_SHA1, in.data, in.len, digest);
        base64_encode(&out, digest, sizeof(digest));
        memcpy(buf, out.data, out.len + 1);
        return buf;
}

struct websocket *websocket_new(const struct websocket_ops *ops, void *userdata)
{
        struct websocket *ws = new0(struct websocket);
        ws->ops = ops;
        ws->userdata = userdata;
        ws->head_need = 2;
        return ws;
}

void websocket_free(struct websocket *ws)
{
        if (!ws)
                return;
        strbuf_deinit(&ws->message);
        strbuf_deinit(&ws->control);
        free(ws);
}

static void send_frame(struct websocket *ws, enum opcode op, const void *prefix, size_t prefix_len, const void *data,
                       size_t len)
{
        uint8_t head[10] = {(uint8_t)(0x80 | op)};
        size_t n = 2, total = prefix_len + len;
        if (total < 126) {
                head[1] = (uint8_t)total;
        } else if (total < 65536) {
                head[1] = 126;
                head[2] = (uint8_t)(total >> 8);
                head[3] = (uint8_t)total;
                n = 4;
        } else {
                head[1] = 127;
                for (int i = 0; i < 8; i++)
                        head[2 + i] = (uint8_t)((uint64_t)total >> (56 - 8 * i));
                n = 10;
        }
        ws->ops->write(head, n, ws->userdata);
        if (prefix_len)
                ws->ops->write(prefix, prefix_len, ws->userdata);
        if (len)
                ws->ops->write(data, len, ws->userdata);
}

void websocket_send(struct websocket *ws, bool text, const void *prefix, size_t prefix_len, const void *data,
                    size_t len)
{
        if (!ws->close_sent)
                send_frame(ws, text ? TEXT : BINARY, prefix, prefix_len, data, len);
}

void websocket_close(struct websocket *ws, unsigned code)
{
        uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
        if (ws->close_sent)
                return;
        ws->close_sent = true;
        send_frame(ws, CLOSE, NULL, 0, payload, code ? 2 : 0);
}

static int bad(struct error *reterr, const char *text)
{
        return error_set(reterr, -EPROTO, "websocket: %s", text);
}

static bool is_control(const struct websocket *ws)
{
        return ws->head[0] & 0x08;
}

/* The head is complete: does the frame keep the rules? */
static int frame_begin(struct websocket *ws, struct error *reterr)
{
        uint8_t op = ws->head[0] & 0x0f;
        size_t n = ws->head[1] & 0x7f, at = 2;
        if (!(ws->head[1] & 0x80))
                return bad(reterr, "a frame of a client that is not masked");
        if (ws->head[0] & 0x70)
                return bad(reterr, "reserved bits are set");
        ws->left = n;
        if (n >= 126) {
                size_t bytes = n == 126 ? 2 : 8;
                ws->left = 0;
                for (size_t i = 0; i < bytes; i++)
                        ws->left = ws->left << 8 | ws->head[at + i];
        }
        ws->at = 0;
        if (is_control(ws)) {
                if (op > PONG || n >= 126 || !(ws->head[0] & 0x80))
                        return bad(reterr, "an odd control frame");
                strbuf_reset(&ws->control);
                return 0;
        }
        if (op > BINARY || (op == CONTINUATION) != ws->in_message)
                return bad(reterr, "a message out of turn");
        if (ws->left + ws->message.len > WEBSOCKET_MAX_MESSAGE)
                return bad(reterr, "a message that is too long");
        if (op != CONTINUATION) {
                ws->text = op == TEXT;
                ws->in_message = true;
                strbuf_reset(&ws->message);
        }
        return 0;
}

static void frame_end(struct websocket *ws)
{
        uint8_t op = ws->head[0] & 0x0f;
        const uint8_t *p = (const uint8_t *)strbuf_str(&ws->control);
        unsigned code = ws->control.len >= 2 ? (unsigned)p[0] << 8 | p[1] : 1005;
        bool final = ws->head[0] & 0x80;
        ws->head_len = 0;
        ws->head_need = 2;
        switch (op) {
        case PING:
                if (!ws->close_sent)
                        send_frame(ws, PONG, NULL, 0, ws->control.data, ws->control.len);
                break;
        case PONG:
                break;
        case CLOSE:
                ws->close_received = true;
                websocket_close(ws, code == 1005 ? 0 : code);
                ws->ops->closed(code, ws->userdata);
                break;
        default:
                if (!final)
                        break;
                ws->in_message = false;
                ws->ops->message(ws->text, (const uint8_t *)strbuf_str(&ws->message), ws->message.len, ws->userdata);
        }
}

static void take_payload(struct websocket *ws, const uint8_t *data, size_t len)
{
        const uint8_t *mask = ws->head + ws->head_need - 4;
        struct strbuf *to = is_control(ws) ? &ws->control : &ws->message;
        uint8_t chunk[1024];
        while (len) {
                size_t n = MIN(len, sizeof(chunk));
                for (size_t i = 0; i < n; i++)
                        chunk[i] = data[i] ^ mask[(ws->at + i) & 3];
                strbuf_append(to, chunk, n);
                ws->at += n;
                data += n;
                len -= n;
        }
}

int websocket_input(struct websocket *ws, const uint8_t *data, size_t len, struct error *reterr)
{
        while (len && !ws->close_received) { /* what comes after a Close means nothing */
                if (ws->head_len < ws->head_need) {
                        ws->head[ws->head_len++] = *data++;
                        len--;
                        if (ws->head_len == 2) {
                                uint8_t n = ws->head[1] & 0x7f;
                                ws->head_need = 2u + (n == 126 ? 2 : n == 127 ? 8 : 0) + (ws->head[1] & 0x80 ? 4 : 0);
                        }
                        if (ws->head_len < ws->head_need)
                                continue;
                        int r = frame_begin(ws, reterr);
                        if (r < 0)
                                return r;
                        if (ws->left == 0)
                                frame_end(ws);
                        continue;
                }
                size_t n = ws->left < len ? (size_t)ws->left : len;
                take_payload(ws, data, n);
                ws->left -= n;
                data += n;
                len -= n;
                if (ws->left == 0)
                        frame_end(ws);
        }
        return 0;
}
