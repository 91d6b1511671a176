/* HTTP framing as outsiders reach it. Besides not crashing: what is found complete once is found complete
 * in any cut, and a head that was taken names a method and a path. */
#include <stdint.h>

#include "parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed_chunks(const char *data, size_t size, size_t step)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT_MAX(4096);
        struct http_chunks c = {0};
        size_t used;
        int r = HTTP_CHUNKS_MORE;

        for (size_t at = 0; at < size && r == HTTP_CHUNKS_MORE; at += step)
                r = http_chunks_feed(&c, data + at, MIN(step, size - at), &out, &used);
        if (out.len > 4096)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *text = (const char *)data;
        _cleanup_arena_ struct arena *a = arena_new(0);
        size_t scanned = 0, whole = http_head_length(text, size, &scanned), piecewise = 0;
        const char *why;
        struct http_head h;

        scanned = 0;
        for (size_t n = 1; n <= size && !piecewise; n++)
                piecewise = http_head_length(text, n, &scanned);
        if (whole != piecewise)
                abort();
        if (whole && http_head_parse(a, text, whole, &h, &why) == 0 &&
            (!*h.method || !*h.path || (h.chunked && h.has_length)))
                abort();
        feed_chunks(text, size, size ? size : 1);
        feed_chunks(text, size, 1);
        return 0;
}
