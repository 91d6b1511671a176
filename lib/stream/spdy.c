/* SPDY/3.1: see spdy.h. The framing follows the SPDY Protocol Draft 3.1.
 *
 *      control frame:  1 version(15) | type(16) | flags(8) length(24) | payload
 *      data frame:     0 stream(31)             | flags(8) length(24) | payload
 *
 * Control frames are gathered whole; data is passed on as it comes. Header blocks of one direction
 * are one zlib stream that starts from a dictionary both sides know, so each must be unpacked, even
 * of streams that are refused.
 */
#include "spdy.h"

#include <errno.h>
#include <zlib.h>

#include "../base/strbuf.h"

#define FLAG_FIN 0x01
#define VERSION 3

enum spdy_type {
        SYN_STREAM = 1,
        SYN_REPLY = 2,
        RST_STREAM = 3,
        SETTINGS = 4,
        PING = 6,
        GOAWAY = 7,
        HEADERS = 8,
        WINDOW_UPDATE = 9,
};

struct spdy {
        const struct spdy_ops *ops;
        void *userdata;
        z_stream inflate, deflate;
        struct spdy_stream **streams;
        size_t n, cap;
        uint32_t last_id;
        uint8_t head[8];
        size_t head_len;
        struct strbuf control;  /* payload of the control frame at hand */
        size_t left;            /* bytes of the frame at hand still to come */
};

/* --- the dictionary: words with their lengths before them, then a run of plain text --- */

static const char *const dictionary_words[] = {
        "options", "head", "post", "put", "delete", "trace", "accept", "accept-charset", "accept-encoding",
        "accept-language", "accept-ranges", "age", "allow", "authorization", "cache-control", "connection",
        "content-base", "content-encoding", "content-language", "content-length", "content-location", "content-md5",
        "content-range", "content-type", "date", "etag", "expect", "expires", "from", "host", "if-match",
        "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "last-modified", "location",
        "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "range", "referer", "retry-after",
        "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via", "warning",
        "www-authenticate", "method", "get", "status", "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie",
        "keep-alive", "origin",
};
static const char dictionary_text[] =
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
        "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
        "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
        "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
        "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
        "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static uint32_t get32(const uint8_t *p)
{
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
        p[0] = (uint8_t)(v >> 24);
        p[1] = (uint8_t)(v >> 16);
        p[2] = (uint8_t)(v >> 8);
        p[3] = (uint8_t)v;
}

const uint8_t *spdy_dictionary(size_t *ret_len)
{
        static uint8_t buf[1423];
        static size_t len;
        if (len == 0) {
                for (size_t i = 0; i < ARRAY_SIZE(dictionary_words); i++) {
                        size_t n = strlen(dictionary_words[i]);
                        put32(buf + len, (uint32_t)n);
                        memcpy(buf + len + 4, dictionary_words[i], n);
                        len += 4 + n;
                }
                memcpy(buf + len, dictionary_text, sizeof(dictionary_text) - 1);
                len += sizeof(dictionary_text) - 1;
        }
        *ret_len = len;
        return buf;
}

/* --- sessions and streams --- */

struct spdy *spdy_new(const struct spdy_ops *ops, void *userdata)
{
        struct spdy *s = new0(struct spdy);
        size_t len;
        const uint8_t *dict = spdy_dictionary(&len);
        s->ops = ops;
        s->userdata = userdata;
        inflateInit(&s->inflate);
        /* A small window: what we compress is a handful of bytes a stream. */
        deflateInit2(&s->deflate, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY);
        deflateSetDictionary(&s->deflate, dict, (uInt)len);
        return s;
}

static struct spdy_stream *stream_find(struct spdy *s, uint32_t id)
{
        for (size_t i = 0; i < s->n; i++)
                if (s->streams[i] && s->streams[i]->id == id)
                        return s->streams[i];
        return NULL;
}

static void stream_close(struct spdy_stream *st)
{
        struct spdy *s = st->session;
        for (size_t i = 0; i < s->n; i++)
                if (s->streams[i] == st) {
                        s->streams[i] = s->streams[--s->n];
                        break;
                }
        st->remote_closed = st->local_closed = true;
        s->ops->closed(st, s->userdata);
        free(st);
}

void spdy_free(struct spdy *s)
{
        if (!s)
                return;
        while (s->n)
                stream_close(s->streams[0]);
        inflateEnd(&s->inflate);
        deflateEnd(&s->deflate);
        strbuf_deinit(&s->control);
        free(s->streams);
        free(s);
}

/* --- out --- */

static void send_control(struct spdy *s, enum spdy_type type, uint8_t flags, const uint8_t *payload, size_t len)
{
        uint8_t head[8] = {0x80, VERSION, 0, (uint8_t)type};
        put32(head + 4, (uint32_t)flags << 24 | (uint32_t)len);
        s->ops->write(head, sizeof(head), s->userdata);
        if (len)
                s->ops->write(payload, len, s->userdata);
}

void spdy_reply(struct spdy_stream *st)
{
        struct spdy *s = st->session;
        uint8_t none[4] = {0}, payload[128];
        put32(payload, st->id);
        s->deflate.next_in = none;
        s->deflate.avail_in = sizeof(none);
        s->deflate.next_out = payload + 4;
        s->deflate.avail_out = sizeof(payload) - 4;
        deflate(&s->deflate, Z_SYNC_FLUSH);
        send_control(s, SYN_REPLY, 0, payload, sizeof(payload) - s->deflate.avail_out);
}

static void send_data(struct spdy_stream *st, const void *data, size_t len, uint8_t flags)
{
        uint8_t head[8];
        put32(head, st->id);
        put32(head + 4, (uint32_t)flags << 24 | (uint32_t)len);
        st->session->ops->write(head, sizeof(head), st->session->userdata);
        if (len)
                st->session->ops->write(data, len, st->session->userdata);
}

void spdy_send(struct spdy_stream *st, const void *data, size_t len)
{
        const uint8_t *p = data;
        if (st->local_closed)
                return;
        for (size_t n; len; p += n, len -= n) {
                n = MIN(len, (size_t)1 << 16);
                send_data(st, p, n, 0);
        }
}

void spdy_finish(struct spdy_stream *st)
{
        if (st->local_closed)
                return;
        send_data(st, NULL, 0, FLAG_FIN);
        st->local_closed = true;
        if (st->remote_closed)
                stream_close(st);
}

void spdy_reset(struct spdy_stream *st, uint32_t status)
{
        uint8_t payload[8];
        put32(payload, st->id);
        put32(payload + 4, status);
        send_control(st->session, RST_STREAM, 0, payload, sizeof(payload));
        stream_close(st);
}

void spdy_goaway(struct spdy *s)
{
        uint8_t payload[8] = {0};
        put32(payload, s->last_id);
        send_control(s, GOAWAY, 0, payload, sizeof(payload));
}

/* --- in --- */

static int bad(struct error *reterr, const char *text)
{
        return error_set(reterr, -EPROTO, "spdy: %s", text);
}

static int unpack(struct spdy *s, const uint8_t *data, size_t len, struct strbuf *out, struct error *reterr)
{
        uint8_t buf[4096];
        s->inflate.next_in = (Bytef *)data;
        s->inflate.avail_in = (uInt)len;
        do {
                s->inflate.next_out = buf;
                s->inflate.avail_out = sizeof(buf);
                int r = inflate(&s->inflate, Z_SYNC_FLUSH);
                if (r == Z_NEED_DICT) {
                        size_t dict_len;
                        const uint8_t *dict = spdy_dictionary(&dict_len);
                        if (inflateSetDictionary(&s->inflate, dict, (uInt)dict_len) != Z_OK)
                                return bad(reterr, "another dictionary");
                        continue;
                }
                if (r != Z_OK && r != Z_BUF_ERROR)
                        return bad(reterr, "the header block cannot be unpacked");
                if (out->len + sizeof(buf) - s->inflate.avail_out > SPDY_MAX_HEADERS)
                        return bad(reterr, "too many headers");
                strbuf_append(out, buf, sizeof(buf) - s->inflate.avail_out);
                if (r == Z_BUF_ERROR)
                        break;
        } while (s->inflate.avail_in || s->inflate.avail_out == 0);
        return 0;
}

#define HEADERS_MAX 64

/* count32, then name and value, each with its length. Names and values are ended in place: the byte
 * after each is the first of the next length, read before it is overwritten. */
static int parse_headers(struct strbuf *block, struct spdy_header *ret, size_t *ret_n, struct error *reterr)
{
        uint8_t *p = (uint8_t *)block->data, *end = p + block->len;
        if (block->len < 4)
                return bad(reterr, "a header block without a count");
        uint32_t count = get32(p);
        p += 4;
        if (count > HEADERS_MAX)
                return bad(reterr, "too many headers");
        for (uint32_t i = 0; i < count * 2; i++) {
                if (end - p < 4)
                        return bad(reterr, "a cut header");
                uint32_t len = get32(p);
                if (len > (size_t)(end - p - 4))
                        return bad(reterr, "a cut header");
                /* Moved down over its own length, so that there is room for the end mark. */
                memmove(p, p + 4, len);
                p[len] = '\0';
                if (i % 2 == 0)
                        ret[i / 2].name = (const char *)p;
                else
                        ret[i / 2].value = (const char *)p;
                p += 4 + len;
        }
        *ret_n = count;
        return 0;
}

const char *spdy_header(const struct spdy_header *headers, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (strcasecmp(headers[i].name, name) == 0)
                        return headers[i].value;
        return "";
}

static int on_syn_stream(struct spdy *s, uint8_t flags, const uint8_t *p, size_t len, struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf block = STRBUF_INIT;
        struct spdy_header headers[HEADERS_MAX];
        size_t n = 0;
        if (len < 10)
                return bad(reterr, "a short SYN_STREAM");
        uint32_t id = get32(p) & 0x7fffffff;
        int r = unpack(s, p + 10, len - 10, &block, reterr);
        if (r == 0)
                r = parse_headers(&block, headers, &n, reterr);
        if (r < 0)
                return r;
        if (id % 2 == 0 || id <= s->last_id)
                return bad(reterr, "a stream id out of turn");
        if (s->n >= SPDY_MAX_STREAMS)
                return bad(reterr, "too many streams");
        s->last_id = id;
        struct spdy_stream *st = new0(struct spdy_stream);
        st->id = id;
        st->session = s;
        st->remote_closed = flags & FLAG_FIN;
        array_reserve(s->streams, s->cap, s->n + 1);
        s->streams[s->n++] = st;
        s->ops->opened(st, headers, n, s->userdata);
        return 0;
}

static int on_headers(struct spdy *s, const uint8_t *p, size_t len, size_t skip, struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf block = STRBUF_INIT;
        return len < skip ? bad(reterr, "a short HEADERS") : unpack(s, p + skip, len - skip, &block, reterr);
}

static int on_control(struct spdy *s, struct error *reterr)
{
        const uint8_t *p = (const uint8_t *)strbuf_str(&s->control);
        size_t len = s->control.len;
        uint8_t flags = s->head[4];
        struct spdy_stream *st;
        if ((s->head[0] & 0x7f) != 0 || s->head[1] != VERSION)
                return bad(reterr, "another version");
        switch (get32(s->head) & 0xffff) {
        case SYN_STREAM:
                return on_syn_stream(s, flags, p, len, reterr);
        case SYN_REPLY:
        case HEADERS:
                return on_headers(s, p, len, 4, reterr);
        case RST_STREAM:
                if (len < 8)
                        return bad(reterr, "a short RST_STREAM");
                st = stream_find(s, get32(p) & 0x7fffffff);
                if (st)
                        stream_close(st);
                return 0;
        case PING:
                if (len < 4)
                        return bad(reterr, "a short PING");
                if (get32(p) % 2 == 1) /* theirs: ours would be even, and we send none */
                        send_control(s, PING, 0, p, 4);
                return 0;
        default: /* SETTINGS, GOAWAY, WINDOW_UPDATE and what came later */
                return 0;
        }
}

static void on_data(struct spdy *s, const uint8_t *data, size_t len, bool fin)
{
        struct spdy_stream *st = stream_find(s, get32(s->head) & 0x7fffffff);
        if (!st || st->remote_closed)
                return; /* of a stream that we reset */
        uint32_t id = st->id;
        st->remote_closed = fin;
        s->ops->data(st, data, len, fin, s->userdata);
        st = stream_find(s, id);
        if (st && st->remote_closed && st->local_closed)
                stream_close(st);
}

/* A whole head has come: how much follows, and is it too much? */
static int frame_begin(struct spdy *s, struct error *reterr)
{
        s->left = get32(s->head + 4) & 0xffffff;
        strbuf_reset(&s->control);
        if ((s->head[0] & 0x80) && s->left > SPDY_MAX_CONTROL)
                return bad(reterr, "a control frame that is too long");
        return 0;
}

int spdy_input(struct spdy *s, const uint8_t *data, size_t len, struct error *reterr)
{
        while (len || (s->head_len == 8 && s->left == 0)) {
                if (s->head_len < 8) {
                        s->head[s->head_len++] = *data++;
                        len--;
                        int r = s->head_len == 8 ? frame_begin(s, reterr) : 0;
                        if (r < 0)
                                return r;
                        continue;
                }
                bool control = s->head[0] & 0x80;
                size_t n = MIN(len, s->left);
                s->left -= n;
                if (s->left == 0)
                        s->head_len = 0;
                if (control) {
                        strbuf_append(&s->control, data, n);
                        int r = s->left == 0 ? on_control(s, reterr) : 0;
                        if (r < 0)
                                return r;
                } else {
                        on_data(s, data, n, s->left == 0 && (s->head[4] & FLAG_FIN));
                }
                data += n;
                len -= n;
        }
        return 0;
}
