/* SPDY and WebSocket framing, against clients written out by hand: what they send is built here, what comes
 * back is taken apart here. Everything is fed whole and byte by byte, and must mean the same.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <zlib.h>

#include "../base/strbuf.h"
#include "spdy.h"
#include "websocket.h"

/* --- a SPDY client --- */

struct client {
        z_stream deflate, inflate;
        struct strbuf bytes; /* built, not yet fed */
};

static void client_init(struct client *c)
{
        size_t len;
        const uint8_t *dict = spdy_dictionary(&len);

        memset(c, 0, sizeof(*c));
        deflateInit(&c->deflate, Z_BEST_COMPRESSION);
        deflateSetDictionary(&c->deflate, dict, (uInt)len);
        inflateInit(&c->inflate);
}

static void client_deinit(struct client *c)
{
        deflateEnd(&c->deflate);
        inflateEnd(&c->inflate);
        strbuf_deinit(&c->bytes);
}

static void add32(struct strbuf *b, uint32_t v)
{
        for (int i = 24; i >= 0; i -= 8)
                strbuf_putc(b, (char)(v >> i));
}

static void add_control(struct strbuf *b, unsigned type, unsigned flags, const void *payload, size_t len)
{
        add32(b, 0x80030000u | type);
        add32(b, (uint32_t)flags << 24 | (uint32_t)len);
        strbuf_append(b, payload, len);
}

static void add_data(struct client *c, uint32_t id, unsigned flags, const char *text)
{
        add32(&c->bytes, id);
        add32(&c->bytes, (uint32_t)flags << 24 | (uint32_t)strlen(text));
        strbuf_puts(&c->bytes, text);
}

static void pack(struct client *c, const struct strbuf *plain, struct strbuf *out)
{
        static uint8_t buf[1 << 18];

        c->deflate.next_in = (Bytef *)plain->data;
        c->deflate.avail_in = (uInt)plain->len;
        c->deflate.next_out = buf;
        c->deflate.avail_out = sizeof(buf);
        assert_int_equal(deflate(&c->deflate, Z_SYNC_FLUSH), Z_OK);
        strbuf_append(out, buf, sizeof(buf) - c->deflate.avail_out);
}

/* HEADERS: name, value, ..., NULL. */
static void add_syn(struct client *c, uint32_t id, unsigned flags, const char *const *headers)
{
        _cleanup_strbuf_ struct strbuf plain = STRBUF_INIT, payload = STRBUF_INIT;
        uint32_t n = 0;

        while (headers[n])
                n++;
        add32(&plain, n / 2);
        for (uint32_t i = 0; i < n; i++) {
                add32(&plain, (uint32_t)strlen(headers[i]));
                strbuf_puts(&plain, headers[i]);
        }
        add32(&payload, id);
        add32(&payload, 0);
        strbuf_append(&payload, "\0\0", 2);
        pack(c, &plain, &payload);
        add_control(&c->bytes, 1, flags, payload.data, payload.len);
}

/* --- what the server makes of it --- */

struct server {
        struct spdy *spdy;
        struct websocket *ws;
        struct strbuf out, story;
        bool refuse, echo;
        struct spdy_stream *last;
};

static void on_write(const void *data, size_t len, void *userdata)
{
        struct server *s = userdata;

        strbuf_append(&s->out, data, len);
}

static void on_opened(struct spdy_stream *st, const struct spdy_header *headers, size_t n, void *userdata)
{
        struct server *s = userdata;

        strbuf_printf(&s->story, "open %u %s%s;", st->id, spdy_header(headers, n, "streamType"),
                      st->remote_closed ? " fin" : "");
        s->last = st;
        if (s->refuse)
                spdy_reset(st, SPDY_REFUSED_STREAM);
        else
                spdy_reply(st);
}

static void on_data(struct spdy_stream *st, const uint8_t *data, size_t len, bool fin, void *userdata)
{
        struct server *s = userdata;
        static uint32_t at;

        /* Pieces of one frame may come apart: only their text counts. */
        if (len && at == st->id && s->story.len && s->story.data[s->story.len - 1] == '~')
                s->story.data[--s->story.len] = '\0';
        else if (len)
                strbuf_printf(&s->story, "data %u ", st->id);
        at = st->id;
        strbuf_append(&s->story, data, len);
        if (len)
                strbuf_putc(&s->story, '~');
        if (fin)
                strbuf_printf(&s->story, "fin %u;", st->id);
        if (fin && s->echo)
                spdy_finish(st);
}

static void on_closed(struct spdy_stream *st, void *userdata)
{
        struct server *s = userdata;

        strbuf_printf(&s->story, "closed %u;", st->id);
}

static const struct spdy_ops spdy_ops = {.write = on_write, .opened = on_opened, .data = on_data, .closed = on_closed};

static void server_deinit(struct server *s)
{
        spdy_free(s->spdy);
        websocket_free(s->ws);
        strbuf_deinit(&s->out);
        strbuf_deinit(&s->story);
}

/* Feeds what was built: whole, or in steps of STEP bytes. */
static int feed(struct server *s, const struct strbuf *b, size_t step)
{
        for (size_t at = 0; at < b->len; at += step) {
                size_t n = MIN(step, b->len - at);
                int r = s->spdy ? spdy_input(s->spdy, (const uint8_t *)b->data + at, n, NULL)
                                : websocket_input(s->ws, (const uint8_t *)b->data + at, n, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void expect(const struct strbuf *bytes, struct server how, const char *story)
{
        static const size_t steps[] = {SIZE_MAX / 2, 1, 3};

        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                struct server s = how;
                s.spdy = spdy_new(&spdy_ops, &s);
                assert_int_equal(feed(&s, bytes, steps[i]), 0);
                assert_string_equal(strbuf_str(&s.story), story);
                server_deinit(&s);
        }
}

static void refused(const struct strbuf *bytes)
{
        static const size_t steps[] = {SIZE_MAX / 2, 1};

        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                struct server s = {0};
                s.spdy = spdy_new(&spdy_ops, &s);
                assert_int_equal(feed(&s, bytes, steps[i]), -EPROTO);
                server_deinit(&s);
        }
}

static const char *const stdin_headers[] = {"streamtype", "stdin", NULL};
static const char *const error_headers[] = {"Streamtype", "error", "x", "", NULL};

static void test_dictionary(void **state)
{
        size_t len;
        const uint8_t *dict = spdy_dictionary(&len);

        assert_int_equal(len, 1423);
        assert_int_equal(adler32(adler32(0, NULL, 0), dict, (uInt)len), 0xe3c6a7c2); /* what SPDY/3 streams name */
}

static void test_streams(void **state)
{
        struct client c;

        client_init(&c);
        add_syn(&c, 1, 0, stdin_headers);
        add_syn(&c, 3, 1, error_headers);
        add_data(&c, 1, 0, "ab");
        add_data(&c, 1, 1, "c");
        add_data(&c, 1, 0, "after the end");
        add_data(&c, 99, 0, "of no stream");
        expect(&c.bytes, (struct server){0}, "open 1 stdin;open 3 error fin;data 1 abc~fin 1;");
        expect(&c.bytes, (struct server){.echo = true}, "open 1 stdin;open 3 error fin;data 1 abc~fin 1;closed 1;");
        expect(&c.bytes, (struct server){.refuse = true}, "open 1 stdin;closed 1;open 3 error fin;closed 3;");
        client_deinit(&c);
}

static void test_reset_and_others(void **state)
{
        static const uint8_t reset[] = {0, 0, 0, 1, 0, 0, 0, 5}, ping[] = {0, 0, 0, 7}, ours[] = {0, 0, 0, 8};
        struct client c;
        struct server s = {0};

        client_init(&c);
        add_syn(&c, 1, 0, stdin_headers);
        add_control(&c.bytes, 3, 0, reset, 8);
        add_control(&c.bytes, 3, 0, reset, 8);            /* again: of no stream */
        add_control(&c.bytes, 4, 0, "\0\0\0\0", 4);       /* SETTINGS */
        add_control(&c.bytes, 9, 0, reset, 8);            /* WINDOW_UPDATE */
        add_control(&c.bytes, 77, 0, "unknown", 7);
        expect(&c.bytes, (struct server){0}, "open 1 stdin;closed 1;");
        strbuf_reset(&c.bytes);
        add_control(&c.bytes, 6, 0, ping, 4);
        add_control(&c.bytes, 6, 0, ours, 4);
        s.spdy = spdy_new(&spdy_ops, &s);
        assert_int_equal(feed(&s, &c.bytes, 5), 0);
        assert_int_equal(s.out.len, 12); /* one of the two is answered */
        assert_memory_equal(s.out.data, "\x80\x03\0\x06\0\0\0\x04\0\0\0\x07", 12);
        server_deinit(&s);
        client_deinit(&c);
}

static void test_answers(void **state)
{
        struct client c;
        struct server s = {0};
        _cleanup_free_ char *much = xcalloc(1, 100000);
        size_t dict_len;
        const uint8_t *dict = spdy_dictionary(&dict_len);
        uint8_t plain[64];

        client_init(&c);
        add_syn(&c, 1, 0, stdin_headers);
        s.spdy = spdy_new(&spdy_ops, &s);
        assert_int_equal(feed(&s, &c.bytes, 1000), 0);
        /* SYN_REPLY of stream 1 with a header block that unpacks to "no headers" */
        assert_memory_equal(s.out.data, "\x80\x03\0\x02", 4);
        assert_memory_equal(s.out.data + 8, "\0\0\0\x01", 4);
        c.inflate.next_in = (Bytef *)s.out.data + 12;
        c.inflate.avail_in = (uInt)s.out.len - 12;
        c.inflate.next_out = plain;
        c.inflate.avail_out = sizeof(plain);
        assert_int_equal(inflate(&c.inflate, Z_SYNC_FLUSH), Z_NEED_DICT);
        assert_int_equal(inflateSetDictionary(&c.inflate, dict, (uInt)dict_len), Z_OK);
        assert_int_equal(inflate(&c.inflate, Z_SYNC_FLUSH), Z_OK);
        assert_int_equal(sizeof(plain) - c.inflate.avail_out, 4);
        assert_memory_equal(plain, "\0\0\0\0", 4);
        /* data: cut into frames, FIN at the end, nothing after it */
        strbuf_reset(&s.out);
        spdy_send(s.last, much, 100000);
        spdy_finish(s.last);
        spdy_send(s.last, much, 5);
        spdy_finish(s.last);
        assert_int_equal(s.out.len, 100000 + 3 * 8);
        assert_memory_equal(s.out.data, "\0\0\0\x01\0\x01\0\0", 8);
        assert_memory_equal(s.out.data + s.out.len - 8, "\0\0\0\x01\x01\0\0\0", 8);
        server_deinit(&s);
        client_deinit(&c);
}

static void test_spdy_refused(void **state)
{
        static const char *const none[] = {NULL};
        struct client c;
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT, plain = STRBUF_INIT, payload = STRBUF_INIT;

        add32(&b, 0x80020001); /* SPDY/2 */
        add32(&b, 0);
        refused(&b);
        strbuf_reset(&b);
        add32(&b, 0x80030001); /* longer than any may be */
        add32(&b, SPDY_MAX_CONTROL + 1);
        refused(&b);
        strbuf_reset(&b);
        add_control(&b, 1, 0, "short", 5);
        refused(&b);
        strbuf_reset(&b);
        add_control(&b, 1, 0, "\0\0\0\1\0\0\0\0\0\0garbage", 17);
        refused(&b);
        strbuf_reset(&b);
        add_control(&b, 3, 0, "abc", 3);
        refused(&b);
        client_init(&c); /* ids that do not grow, or are the server's */
        add_syn(&c, 3, 0, none);
        add_syn(&c, 1, 0, none);
        refused(&c.bytes);
        client_deinit(&c);
        client_init(&c);
        add_syn(&c, 2, 0, none);
        refused(&c.bytes);
        client_deinit(&c);
        client_init(&c); /* a few bytes that unpack to far too many */
        strbuf_append(&payload, "\0\0\0\1\0\0\0\0\0\0", 10);
        for (int i = 0; i < 200000; i++)
                strbuf_putc(&plain, 0);
        pack(&c, &plain, &payload);
        add_control(&c.bytes, 1, 0, payload.data, payload.len);
        refused(&c.bytes);
        client_deinit(&c);
        client_init(&c); /* a header longer than its block */
        strbuf_reset(&payload);
        strbuf_reset(&plain);
        strbuf_append(&payload, "\0\0\0\1\0\0\0\0\0\0", 10);
        strbuf_append(&plain, "\0\0\0\1\0\0\0\7abc", 11);
        pack(&c, &plain, &payload);
        add_control(&c.bytes, 1, 0, payload.data, payload.len);
        refused(&c.bytes);
        client_deinit(&c);
}

static void test_too_many_streams(void **state)
{
        struct client c;
        struct server s = {0};

        client_init(&c);
        for (uint32_t i = 0; i <= SPDY_MAX_STREAMS; i++)
                add_syn(&c, 2 * i + 1, 0, stdin_headers);
        s.spdy = spdy_new(&spdy_ops, &s);
        assert_int_equal(feed(&s, &c.bytes, 4096), -EPROTO);
        server_deinit(&s);
        client_deinit(&c);
}

/* --- WebSocket --- */

static void on_message(bool text, const uint8_t *data, size_t len, void *userdata)
{
        struct server *s = userdata;

        strbuf_printf(&s->story, "%s %zu ", text ? "text" : "binary", len);
        strbuf_append(&s->story, data, MIN(len, (size_t)20));
        strbuf_putc(&s->story, ';');
}

static void on_ws_closed(unsigned code, void *userdata)
{
        struct server *s = userdata;

        strbuf_printf(&s->story, "close %u;", code);
}

static const struct websocket_ops ws_ops = {.write = on_write, .message = on_message, .closed = on_ws_closed};

/* FIRST: FIN, reserved bits and opcode. FORM: 0 the shortest length, else 126 or 127. */
static void add_frame(struct strbuf *b, uint8_t first, const char *data, size_t len, int form)
{
        static const uint8_t mask[4] = {0x12, 0xff, 0, 0x80};
        int bytes = form == 127 || (!form && len > 65535) ? 8 : form == 126 || (!form && len > 125) ? 2 : 0;

        strbuf_putc(b, (char)first);
        strbuf_putc(b, (char)(0x80 | (bytes == 8 ? 127 : bytes == 2 ? 126 : (int)len)));
        for (int i = bytes - 1; i >= 0; i--)
                strbuf_putc(b, (char)((uint64_t)len >> (8 * i)));
        strbuf_append(b, mask, 4);
        for (size_t i = 0; i < len; i++)
                strbuf_putc(b, (char)((uint8_t)data[i] ^ mask[i % 4]));
}

static void ws_expect(const struct strbuf *bytes, const char *story, const char *out, size_t out_len)
{
        static const size_t steps[] = {SIZE_MAX / 2, 1, 7};

        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                struct server s = {0};
                s.ws = websocket_new(&ws_ops, &s);
                assert_int_equal(feed(&s, bytes, steps[i]), 0);
                assert_string_equal(strbuf_str(&s.story), story);
                assert_int_equal(s.out.len, out_len);
                assert_memory_equal(strbuf_str(&s.out), out, out_len);
                server_deinit(&s);
        }
}

static void ws_refused(const struct strbuf *bytes)
{
        struct server s = {0};

        s.ws = websocket_new(&ws_ops, &s);
        assert_int_equal(feed(&s, bytes, 1), -EPROTO);
        assert_string_equal(strbuf_str(&s.story), "");
        server_deinit(&s);
}

static void test_handshake(void **state)
{
        char buf[WEBSOCKET_ACCEPT_BUF];

        assert_string_equal(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", buf), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void test_messages(void **state)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        _cleanup_free_ char *much = xcalloc(1, 70000);

        add_frame(&b, 0x81, "hello", 5, 0);
        add_frame(&b, 0x82, "", 0, 0);
        add_frame(&b, 0x82, "x", 1, 127); /* a longer form of the length than needed */
        memset(much, 'm', 70000);
        add_frame(&b, 0x82, much, 300, 0);
        add_frame(&b, 0x82, much, 70000, 0);
        ws_expect(&b, "text 5 hello;binary 0 ;binary 1 x;binary 300 mmmmmmmmmmmmmmmmmmmm;binary 70000 mmmmmmmmmmmmmmmmmmmm;", "", 0);
}

static void test_fragments(void **state)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        add_frame(&b, 0x01, "he", 2, 0);
        add_frame(&b, 0x89, "are you there", 13, 0); /* a ping amid the message */
        add_frame(&b, 0x00, "", 0, 0);
        add_frame(&b, 0x8a, "", 0, 0); /* a pong that nobody asked for */
        add_frame(&b, 0x80, "llo", 3, 0);
        add_frame(&b, 0x82, "next", 4, 0);
        ws_expect(&b, "text 5 hello;binary 4 next;", "\x8a\x0d""are you there", 15);
}

static void test_close(void **state)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        add_frame(&b, 0x88, "\x03\xe8""bye", 5, 0);
        add_frame(&b, 0x82, "too late", 8, 0);
        ws_expect(&b, "close 1000;", "\x88\x02\x03\xe8", 4);
        strbuf_reset(&b);
        add_frame(&b, 0x88, "", 0, 0);
        ws_expect(&b, "close 1005;", "\x88\0", 2);
}

static void test_ws_refused(void **state)
{
        static const struct {
                uint8_t first;
                size_t len;
        } cases[] = {
                {0xc1, 1},   /* a reserved bit */
                {0x80, 1},   /* goes on with nothing */
                {0x83, 1},   /* no such opcode */
                {0x8b, 1},
                {0x09, 1},   /* a ping in pieces */
                {0x89, 126}, /* a long ping */
        };
        static const char zeros[200];

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
                add_frame(&b, cases[i].first, zeros, cases[i].len, 0);
                ws_refused(&b);
        }
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        strbuf_append(&b, "\x82\x01x", 3); /* not masked */
        ws_refused(&b);
        strbuf_reset(&b);
        strbuf_append(&b, "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14); /* 16 EiB to come */
        ws_refused(&b);
        strbuf_reset(&b);
        add_frame(&b, 0x01, "a", 1, 0); /* a message within a message */
        add_frame(&b, 0x01, "b", 1, 0);
        ws_refused(&b);
}

static void test_message_too_long_in_pieces(void **state)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        _cleanup_free_ char *half = xcalloc(1, WEBSOCKET_MAX_MESSAGE / 2);
        struct server s = {0};

        add_frame(&b, 0x02, half, WEBSOCKET_MAX_MESSAGE / 2, 0);
        add_frame(&b, 0x00, half, WEBSOCKET_MAX_MESSAGE / 2, 0);
        s.ws = websocket_new(&ws_ops, &s);
        assert_int_equal(feed(&s, &b, 10000), 0);
        strbuf_reset(&b);
        add_frame(&b, 0x80, "x", 1, 0);
        assert_int_equal(feed(&s, &b, 10000), -EPROTO);
        server_deinit(&s);
}

static void test_sending(void **state)
{
        struct server s = {0};
        _cleanup_free_ char *much = xcalloc(1, 65536);

        s.ws = websocket_new(&ws_ops, &s);
        websocket_send(s.ws, false, "\1", 1, "ab", 2);
        assert_memory_equal(s.out.data, "\x82\3\1ab", 5);
        strbuf_reset(&s.out);
        websocket_send(s.ws, true, NULL, 0, much, 126);
        assert_memory_equal(s.out.data, "\x81\x7e\0\x7e", 4);
        assert_int_equal(s.out.len, 4 + 126);
        strbuf_reset(&s.out);
        websocket_send(s.ws, false, "\1", 1, much, 65535);
        assert_memory_equal(s.out.data, "\x82\x7f\0\0\0\0\0\1\0\0", 10);
        assert_int_equal(s.out.len, 10 + 65536);
        strbuf_reset(&s.out);
        websocket_close(s.ws, 1000);
        websocket_close(s.ws, 1001);
        websocket_send(s.ws, false, NULL, 0, "late", 4);
        assert_int_equal(s.out.len, 4);
        assert_memory_equal(s.out.data, "\x88\2\x03\xe8", 4);
        server_deinit(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_dictionary),
                cmocka_unit_test(test_streams),
                cmocka_unit_test(test_reset_and_others),
                cmocka_unit_test(test_answers),
                cmocka_unit_test(test_spdy_refused),
                cmocka_unit_test(test_too_many_streams),
                cmocka_unit_test(test_handshake),
                cmocka_unit_test(test_messages),
                cmocka_unit_test(test_fragments),
                cmocka_unit_test(test_close),
                cmocka_unit_test(test_ws_refused),
                cmocka_unit_test(test_message_too_long_in_pieces),
                cmocka_unit_test(test_sending),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
