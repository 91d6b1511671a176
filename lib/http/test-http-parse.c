/* Requests as bytes: what is taken, and above all what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "parse.h"
#include "server.h"

static const char *why;

static unsigned parse(struct arena *a, const char *text, struct http_head *h)
{
        size_t scanned = 0, n = http_head_length(text, strlen(text), &scanned);

        assert_true(n > 0);
        return http_head_parse(a, text, n, h, &why);
}

static void test_takes_a_request(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct http_head h;

        assert_int_equal(parse(a,
                               "\r\nPOST /api/v1/pods?a=b&c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                               "X-Name:\t spaced out \r\nExpect: 100-continue\r\n\r\n",
                               &h),
                         0);
        assert_string_equal(h.method, "POST");
        assert_string_equal(h.target, "/api/v1/pods?a=b&c");
        assert_string_equal(h.path, "/api/v1/pods");
        assert_string_equal(h.query, "a=b&c");
        assert_int_equal(h.length, 5);
        assert_true(h.keep_alive && h.expect_continue && !h.chunked);
        assert_string_equal(http_head_field(&h, "x-name"), "spaced out");
        assert_null(http_head_field(&h, "absent"));
}

static void test_refuses(void **state)
{
        static const struct {
                const char *text;
                unsigned status;
                const char *why;
        } cases[] = {
                {"GET / HTTP/1.1\r\n\r\n", 400, "missing required Host header"},
                {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "too many Host headers"},
                {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "unsupported protocol version"},
                {"GET / HTTP/x.0\r\nHost: a\r\n\r\n", 400},
                {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                {"GET /% HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417},
                {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
                {"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "Unsupported transfer encoding"},
                {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct http_head h;
                if (parse(a, cases[i].text, &h) != cases[i].status)
                        fail_msg("%s", cases[i].text);
                if (!streq(why, cases[i].why) && (why || cases[i].why))
                        fail_msg("%s: %s", cases[i].text, why);
        }
}

static void test_tags(void **state)
{
        assert_true(http_names_tag("\"a\"", "\"a\""));
        assert_true(http_names_tag("\"b\", W/\"a\"", "\"a\""));
        assert_false(http_names_tag("\"ab\",\"b\"", "\"a\""));
        assert_false(http_names_tag("", "\"a\""));
}

static void test_keep_alive(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct http_head h;

        assert_int_equal(parse(a, "GET / HTTP/1.0\r\n\r\n", &h), 0);
        assert_false(h.keep_alive);
        assert_int_equal(parse(a, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &h), 0);
        assert_true(h.keep_alive);
        assert_int_equal(parse(a, "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", &h), 0);
        assert_false(h.keep_alive);
}

/* The same body whole and byte by byte. */
static void test_chunks(void **state)
{
        static const char text[] = "5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\nGET";

        for (size_t step = 1; step <= sizeof(text); step++) {
                _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
                struct http_chunks c = {0};
                size_t used = 0, at = 0;
                int r = HTTP_CHUNKS_MORE;
                while (r == HTTP_CHUNKS_MORE && at < sizeof(text) - 1) {
                        r = http_chunks_feed(&c, text + at, MIN(step, sizeof(text) - 1 - at), &out, &used);
                        at += used;
                }
                assert_int_equal(r, HTTP_CHUNKS_DONE);
                assert_string_equal(strbuf_str(&out), "hello world");
                assert_string_equal(text + at, "GET");
        }
}

static void test_bad_chunks(void **state)
{
        static const char *const cases[] = {"\r\n", "x\r\n", "1\nh", "1\r\nhe", "1\r\nh\n", "fffffffffffffffff\r\n", "-1\r\n"};

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
                struct http_chunks c = {0};
                size_t used;
                assert_int_equal(http_chunks_feed(&c, cases[i], strlen(cases[i]), &out, &used), -EINVAL);
        }
        _cleanup_strbuf_ struct strbuf small = STRBUF_INIT_MAX(3);
        struct http_chunks c = {0};
        size_t used;
        assert_int_equal(http_chunks_feed(&c, "5\r\nhello\r\n", 10, &small, &used), -EFBIG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_takes_a_request), cmocka_unit_test(test_refuses),
                cmocka_unit_test(test_tags),
                cmocka_unit_test(test_keep_alive),      cmocka_unit_test(test_chunks),
                cmocka_unit_test(test_bad_chunks),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
