/* Any bytes as a WebSocket connection, whole and in pieces: both ways must give the same messages. */
#include <stdint.h>

#include "../base/base.h"
#include "websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
        uint64_t hash;
        size_t messages, closed;
};

static void on_write(const void *data, size_t len, void *userdata)
{
}

static void on_message(bool text, const uint8_t *data, size_t len, void *userdata)
{
        struct seen *s = userdata;

        s->messages++;
        s->hash = s->hash * 31 + len + text;
        for (size_t i = 0; i < len; i++)
                s->hash = s->hash * 31 + data[i];
}

static void on_closed(unsigned code, void *userdata)
{
        struct seen *s = userdata;

        s->closed++;
        s->hash = s->hash * 31 + code;
}

static struct seen run(const uint8_t *data, size_t size, size_t step)
{
        static const struct websocket_ops ops = {.write = on_write, .message = on_message, .closed = on_closed};
        struct seen s = {0};
        struct websocket *ws = websocket_new(&ops, &s);

        for (size_t at = 0; at < size; at += MIN(step, size - at))
                if (websocket_input(ws, data + at, MIN(step, size - at), NULL) < 0)
                        break;
        websocket_free(ws);
        return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct seen whole, pieces;

        if (size < 1)
                return 0;
        whole = run(data + 1, size - 1, SIZE_MAX);
        pieces = run(data + 1, size - 1, data[0] ? data[0] : 1);
        if (whole.hash != pieces.hash || whole.messages != pieces.messages || whole.closed != pieces.closed ||
            whole.closed > 1)
                __builtin_trap();
        return 0;
}
