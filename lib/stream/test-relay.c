/* Relays: a client, a server in front that passes everything on, and one behind it, all on one loop.
 *
 * The server behind is either an http_server (what honest ones say) or a bare socket that sends what the test
 * gives it (what dishonest or dying ones do).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "../base/time.h"
#include "relay.h"
#include "relay-pool.h"

#define BIG (3 << 20)

static struct loop *loop;
static struct http_server *front, *back;
static uint16_t back_port;   /* that the front passes on to */
static const char *said;     /* what the bare server says; NULL: nothing, and it holds the line */
static bool hangs_up;        /* after it said that */
static bool silent_once;     /* the next request gets no answer but the end */
static int bare;
static int64_t head_timeout;
static bool keep;            /* connections */
static struct loop_fd *bare_source;
static struct wire *bare_wires[64];
static size_t n_bare_wires;

/* --- the server behind --- */

static void echo_data(struct wire *w, const uint8_t *data, size_t len, void *userdata)
{
        wire_write(w, data, len);
}

static void echo_closed(struct wire *w, int code, void *userdata)
{
        wire_free(w);
}

static void echo_upgraded(int fd, const void *already, size_t len, void *userdata)
{
        static const struct wire_ops ops = {.data = echo_data, .closed = echo_closed};

        wire_new(loop, fd, &ops, NULL);
}

static void big_closed(struct http_stream *s, void *userdata)
{
}

static void serve_back(struct http_request *req, void *userdata)
{
        static const struct http_stream_ops ops = {.closed = big_closed};
        static const char *const upgrade[] = {"Connection", "Upgrade", "Upgrade", "echo", NULL};
        static const char *const extra[] = {"X-Kept", "yes", NULL};

        if (streq(req->path, "/big")) {
                struct http_stream *s = http_stream_start(req, 200, "text/plain", NULL, &ops, NULL);
                struct buffer *b = buffer_new(BIG / 3);
                memset(b->data, 'b', b->len);
                for (int i = 0; i < 3; i++)
                        http_stream_write_buffer(s, b);
                buffer_unref(b);
                http_stream_end(s);
        } else if (streq(req->path, "/echo")) {
                http_upgrade(req, upgrade, echo_upgraded, NULL);
        } else {
                char *text = arena_printf(req->arena, "%s %s %s", req->method, req->target, req->body);
                http_respond(req, &(struct http_answer){.status = 418, .content_type = "text/odd", .headers = extra,
                                                        .body = text, .body_len = strlen(text)});
        }
}

static void bare_data(struct wire *w, const uint8_t *data, size_t len, void *userdata)
{
        if (silent_once) {
                silent_once = false;
                wire_finish(w);
                return;
        }
        if (!said)
                return;
        wire_write(w, said, strlen(said));
        if (hangs_up)
                wire_finish(w);
}

static void bare_closed(struct wire *w, int code, void *userdata)
{
}

static void bare_accept(struct loop_fd *source, uint32_t events, void *userdata)
{
        static const struct wire_ops ops = {.data = bare_data, .closed = bare_closed};
        int fd = accept4(bare, NULL, NULL, SOCK_NONBLOCK);

        if (fd >= 0)
                bare_wires[n_bare_wires++] = wire_new(loop, fd, &ops, NULL);
}

static uint16_t bare_listen(void)
{
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(in);

        bare = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(bare, (struct sockaddr *)&in, sizeof(in)), 0);
        assert_int_equal(listen(bare, 16), 0);
        getsockname(bare, (struct sockaddr *)&in, &len);
        bare_source = loop_fd_new(loop, bare, EPOLLIN, bare_accept, NULL);
        return ntohs(in.sin_port);
}

/* A port where nobody listens, and nobody else's server can begin to while FD is open. */
static uint16_t deaf_port(int *ret_fd)
{
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(in);

        *ret_fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(*ret_fd, (struct sockaddr *)&in, sizeof(in)), 0);
        getsockname(*ret_fd, (struct sockaddr *)&in, &len);
        return ntohs(in.sin_port);
}

/* --- the one in front --- */

static int open_error;
static char error_words[256];

static int open_to(uint16_t port, const char *method, const char *target, const char *body, bool upgrade, struct relay **ret)
{
        static const char *const headers[] = {"Host", "x", "Upgrade", "echo", NULL}, *const plain[] = {"Host", "x", NULL};
        struct relay_request q = {
                .to = {.host = "127.0.0.1", .port = port},
                .method = method,
                .target = target,
                .headers = upgrade ? headers : plain,
                .body = body,
                .body_len = strlen(body),
                .upgrade = upgrade,
                .keep = keep,
                .head_timeout_ns = head_timeout,
        };
        _cleanup_error_ struct error err = ERROR_INIT;
        int r = relay_open(loop, &q, ret, &err);

        if (r < 0)
                snprintf(error_words, sizeof(error_words), "%s", error_text(&err));
        return open_error = r;
}

static void serve_front(struct http_request *req, void *userdata)
{
        struct relay *r;

        if (open_to(back_port, req->method, req->target, req->body, http_header(req, "Upgrade") != NULL, &r) < 0)
                http_respond(req, &(struct http_answer){.status = 503, .content_type = "text/plain", .body = "", .body_len = 0});
        else if (relay_status(r) == 101)
                relay_upgrade(r, req);
        else
                relay_answer(r, req, relay_status(r), "text/passed", NULL);
}

/* --- the client --- */

struct client {
        struct wire *wire;
        struct strbuf in;
        bool closed;
};

static void client_data(struct wire *w, const uint8_t *data, size_t len, void *userdata)
{
        struct client *c = userdata;

        strbuf_append(&c->in, data, len);
}

static void client_closed(struct wire *w, int code, void *userdata)
{
        struct client *c = userdata;

        c->closed = true;
}

static void client_open(struct client *c, const char *request)
{
        static const struct wire_ops ops = {.data = client_data, .closed = client_closed};
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                 .sin_port = htons(http_server_port(front))};
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        memset(c, 0, sizeof(*c));
        assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
        c->wire = wire_new(loop, fd, &ops, c);
        wire_write(c->wire, request, strlen(request));
}

static void client_deinit(struct client *c)
{
        wire_free(c->wire);
        strbuf_deinit(&c->in);
}

/* Turns the loop until TEXT has come. */
static void await_text(struct client *c, const char *text)
{
        for (int i = 0; i < 20000 && !(c->in.len && memmem(c->in.data, c->in.len, text, strlen(text))); i++)
                loop_turn(loop, NS_PER_MS);
        assert_non_null(memmem(strbuf_str(&c->in), c->in.len, text, strlen(text)));
}

static void await_closed(struct client *c)
{
        for (int i = 0; i < 20000 && !c->closed; i++)
                loop_turn(loop, NS_PER_MS);
        assert_true(c->closed);
}

static int set_up(void **state)
{
        struct http_server_options b = {.address = "127.0.0.1", .handler = serve_back};
        struct http_server_options f = {.address = "127.0.0.1", .handler = serve_front};

        loop = loop_new();
        if (http_server_new(loop, &b, &back, NULL) < 0 || http_server_new(loop, &f, &front, NULL) < 0)
                return -1;
        back_port = http_server_port(back);
        n_bare_wires = 0;
        said = NULL;
        hangs_up = false;
        bare = -1;
        head_timeout = 20 * NS_PER_SEC;
        return 0;
}

static int tear_down(void **state)
{
        for (size_t i = 0; i < n_bare_wires; i++)
                wire_free(bare_wires[i]);
        if (bare >= 0) {
                loop_fd_free(bare_source);
                close(bare);
        }
        http_server_free(front);
        http_server_free(back);
        for (int i = 0; i < 5; i++)
                loop_turn(loop, 0);
        loop_free(loop);
        return 0;
}

/* --- tests --- */

static void test_short(void **state)
{
        struct client c;

        client_open(&c, "POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
        await_text(&c, "POST /a%20b?c=d body");
        assert_non_null(strstr(c.in.data, "HTTP/1.1 418 "));
        assert_non_null(strstr(c.in.data, "Content-Type: text/passed\r\n"));
        assert_non_null(strcasestr(c.in.data, "Content-Length: 20\r\n"));
        client_deinit(&c);
}

static void test_big(void **state)
{
        struct client c;
        size_t n = 0;

        client_open(&c, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
        await_text(&c, "\r\n0\r\n\r\n");
        for (const char *p = strstr(c.in.data, "\r\n\r\n"); p < c.in.data + c.in.len; p++)
                n += *p == 'b';
        assert_in_range(n, BIG - 3, BIG + 200); /* chunk sizes have letters, too */
        client_deinit(&c);
}

static void test_tunnel(void **state)
{
        struct client c;
        _cleanup_free_ char *much = xmalloc(BIG);

        client_open(&c, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly");
        await_text(&c, "\r\n\r\nearly");
        assert_non_null(strstr(c.in.data, "HTTP/1.1 101 "));
        memset(much, 'm', BIG);
        memcpy(much + BIG - 3, "end", 3);
        wire_pause(c.wire, true); /* a client that does not read holds up the server, not our memory */
        wire_write(c.wire, much, BIG);
        for (int i = 0; i < 50; i++)
                loop_turn(loop, NS_PER_MS);
        wire_pause(c.wire, false);
        await_text(&c, "mmend");
        assert_true(c.in.len > BIG);
        client_deinit(&c);
}

static void test_client_leaves(void **state)
{
        struct client c;

        client_open(&c, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        await_text(&c, "\r\n\r\n");
        client_deinit(&c);
        for (int i = 0; i < 50; i++) /* ASan tells what is left of it */
                loop_turn(loop, NS_PER_MS);
}

static void test_server_breaks_off(void **state)
{
        static const char *const cases[] = {
                "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nonly this",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        };

        back_port = bare_listen();
        hangs_up = true;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct client c;
                said = cases[i];
                client_open(&c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                await_closed(&c); /* not ended as if it were whole */
                assert_null(strstr(strbuf_str(&c.in), "\r\n0\r\n\r\n"));
                client_deinit(&c);
        }
}

static void test_until_close(void **state)
{
        struct client c;

        back_port = bare_listen();
        hangs_up = true;
        said = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nall of it";
        client_open(&c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        await_text(&c, "\r\n0\r\n\r\n");
        assert_non_null(strstr(c.in.data, "all of it"));
        client_deinit(&c);
}

static void refused(int code, const char *words)
{
        struct client c;

        client_open(&c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        await_text(&c, "HTTP/1.1 503 ");
        assert_int_equal(open_error, code);
        assert_non_null(strstr(error_words, words));
        client_deinit(&c);
}

static void test_malformed(void **state)
{
        static const char *const cases[] = {
                "garbage\r\n\r\n",
                "HTTP/1.1 2\r\n\r\n",
                "HTTP/1.1\r\n\r\n",
                "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        };

        back_port = bare_listen();
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                said = cases[i];
                refused(-EPROTO, "malformed HTTP response");
        }
}

static void test_dead_servers(void **state)
{
        int deaf;

        back_port = bare_listen();
        head_timeout = 50 * NS_PER_MS;
        refused(-ETIMEDOUT, "timeout awaiting response headers"); /* says nothing */
        head_timeout = 20 * NS_PER_SEC;
        said = "HTTP/1.1 200";
        hangs_up = true;
        refused(-ECONNRESET, "EOF");
        back_port = deaf_port(&deaf);
        refused(-ECONNREFUSED, "connect: connection refused");
        close(deaf);
}

/* One request over whatever connection there is; how many the bare server has seen then. */
static size_t connections_after(const char *method)
{
        struct client c;
        _cleanup_free_ char *request = xasprintf("%s /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method);

        client_open(&c, request);
        await_text(&c, "hi");
        await_closed(&c);
        client_deinit(&c);
        return n_bare_wires;
}

static void test_kept_connections(void **state)
{
        back_port = bare_listen();
        keep = true;
        said = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert_int_equal(connections_after("GET"), 1);
        assert_int_equal(connections_after("GET"), 1);
        assert_int_equal(connections_after("POST"), 2); /* a write is not tried twice */
        assert_int_equal(connections_after("GET"), 2);
        said = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        assert_int_equal(connections_after("GET"), 2);
        relay_pool_clear();
        said = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi?"; /* more than it said: not to be trusted */
        assert_int_equal(connections_after("GET"), 3);
        assert_int_equal(connections_after("GET"), 4);
        said = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
        assert_int_equal(connections_after("GET"), 5);
        said = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert_int_equal(connections_after("GET"), 6);
        silent_once = true; /* closed under the second request: sent again */
        assert_int_equal(connections_after("GET"), 7);
        keep = false;
        relay_pool_clear();
        loop_fd_free(bare_source);
        close(bare);
        bare = -1;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_short, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_big, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_tunnel, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_client_leaves, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_server_breaks_off, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_until_close, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_dead_servers, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_kept_connections, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
