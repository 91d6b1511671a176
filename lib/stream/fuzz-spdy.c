/* Any bytes as a SPDY connection. The first byte says how the stream's owner behaves: it answers, refuses,
 * finishes or resets at every turn, which is where streams vanish under the parser's feet. Bit 4: the rest of the
 * input is header blocks, packed here, so that the fuzzer gets behind zlib's checksum.
 */
#include <stdint.h>
#include <zlib.h>

#include "../base/strbuf.h"
#include "spdy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t manner;
static size_t open_streams;

static void on_write(const void *data, size_t len, void *userdata)
{
}

static void act(struct spdy_stream *st)
{
        switch (manner & 3) {
        case 0:
                spdy_send(st, "x", 1);
                break;
        case 1:
                spdy_finish(st);
                break;
        case 2:
                spdy_reset(st, SPDY_CANCEL);
                break;
        }
}

static void on_opened(struct spdy_stream *st, const struct spdy_header *headers, size_t n, void *userdata)
{
        volatile size_t sum = 0;

        open_streams++;
        for (size_t i = 0; i < n; i++)
                sum += strlen(headers[i].name) + strlen(headers[i].value);
        sum += strlen(spdy_header(headers, n, "streamtype"));
        if (manner & 8)
                spdy_reset(st, SPDY_REFUSED_STREAM);
        else
                spdy_reply(st);
}

static void on_data(struct spdy_stream *st, const uint8_t *data, size_t len, bool fin, void *userdata)
{
        act(st);
}

static void on_closed(struct spdy_stream *st, void *userdata)
{
        open_streams--;
}

static void add_syn(struct strbuf *out, z_stream *z, uint32_t id, const uint8_t *block, size_t len)
{
        uint8_t buf[1024], head[18] = {0x80, 3, 0, 1};
        size_t n;

        z->next_in = (Bytef *)block;
        z->avail_in = (uInt)len;
        z->next_out = buf;
        z->avail_out = sizeof(buf);
        deflate(z, Z_SYNC_FLUSH);
        n = 10 + sizeof(buf) - z->avail_out;
        head[6] = (uint8_t)(n >> 8);
        head[7] = (uint8_t)n;
        head[10] = (uint8_t)(id >> 8);
        head[11] = (uint8_t)id;
        strbuf_append(out, head, sizeof(head));
        strbuf_append(out, buf, n - 10);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct spdy_ops ops = {.write = on_write, .opened = on_opened, .data = on_data, .closed = on_closed};
        _cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
        struct spdy *s = spdy_new(&ops, NULL);
        size_t step, dict_len;

        if (size < 2) {
                spdy_free(s);
                return 0;
        }
        manner = data[0];
        step = data[1] ? data[1] : SIZE_MAX;
        if (manner & 16) {
                z_stream z = {0};
                const uint8_t *dict = spdy_dictionary(&dict_len);
                deflateInit(&z, 1);
                deflateSetDictionary(&z, dict, (uInt)dict_len);
                for (size_t at = 2, id = 1; at < size; at += 200, id += 2)
                        add_syn(&bytes, &z, (uint32_t)id, data + at, MIN(size - at, (size_t)200));
                deflateEnd(&z);
        } else {
                strbuf_append(&bytes, data + 2, size - 2);
        }
        for (size_t at = 0; at < bytes.len; at += MIN(step, bytes.len - at))
                if (spdy_input(s, (const uint8_t *)bytes.data + at, MIN(step, bytes.len - at), NULL) < 0)
                        break;
        spdy_free(s);
        if (open_streams) /* each that was opened is told closed, once */
                __builtin_trap();
        return 0;
}
