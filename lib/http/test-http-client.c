/* The client against servers that answer in every way, well or badly: what each connection gets to hear
 * is written down here, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "../base/time.h"
#include "client.h"

#define SCRIPTS_MAX 4

/* What the Nth connection says to each request in turn, and then: close, or wait. */
struct script {
        const char *answers[4];
        bool hold; /* stays open, saying nothing more */
};

static struct {
        struct loop *loop;
        struct http_client *client;
        int fd;
        struct loop_fd *source;
        uint16_t port;
        const struct script *scripts;
        size_t n_connections;
        struct conn {
                int fd;
                struct loop_fd *source;
                const struct script *script;
                size_t n;
                char heard[4096];
        } conns[SCRIPTS_MAX];
} t;

static void conn_close(struct conn *c)
{
        loop_fd_free(c->source);
        c->source = NULL;
        if (c->fd > 0)
                close(c->fd);
        c->fd = 0;
}

static void on_conn(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct conn *c = userdata;
        size_t len = strlen(c->heard);
        ssize_t n = recv(c->fd, c->heard + len, sizeof(c->heard) - 1 - len, 0);
        const char *answer = c->n < 4 ? c->script->answers[c->n] : NULL;

        if (n <= 0) {
                conn_close(c);
                return;
        }
        if (!answer && !c->script->hold) {
                conn_close(c);
                return;
        }
        if (answer)
                assert_int_equal(send(c->fd, answer, strlen(answer), 0), strlen(answer));
        c->n++;
        if ((c->n == 4 || !c->script->answers[c->n]) && !c->script->hold)
                conn_close(c);
}

static void on_listen(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct conn *c = &t.conns[t.n_connections];

        assert_true(t.n_connections < SCRIPTS_MAX);
        c->fd = accept(t.fd, NULL, NULL);
        c->script = &t.scripts[t.n_connections++];
        c->source = loop_fd_new(t.loop, c->fd, EPOLLIN, on_conn, c);
}

static int setup(void **state)
{
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct http_client_options o = {.max_body = 100};
        socklen_t len = sizeof(in);

        memset(&t, 0, sizeof(t));
        t.loop = loop_new();
        t.fd = socket(AF_INET, SOCK_STREAM, 0);
        bind(t.fd, (struct sockaddr *)&in, len);
        listen(t.fd, 8);
        getsockname(t.fd, (struct sockaddr *)&in, &len);
        t.port = ntohs(in.sin_port);
        t.source = loop_fd_new(t.loop, t.fd, EPOLLIN, on_listen, NULL);
        return http_client_new(t.loop, &o, &t.client, NULL);
}

static int teardown(void **state)
{
        http_client_free(t.client);
        for (size_t i = 0; i < t.n_connections; i++)
                conn_close(&t.conns[i]);
        loop_fd_free(t.source);
        close(t.fd);
        loop_turn(t.loop, 0);
        loop_free(t.loop);
        return 0;
}

struct asked {
        struct http_call call;
        const char *path;
        struct http_reply reply;
        struct error err;
        int code;
};

static void ask_on_fiber(void *userdata)
{
        struct asked *a = userdata;
        _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u%s", t.port, a->path);

        if (!a->call.url)
                a->call.url = url;
        if (!a->call.method)
                a->call.method = "GET";
        a->code = http_call(t.client, &a->call, &a->reply, &a->err);
}

static void asked_deinit(struct asked *a)
{
        http_reply_deinit(&a->reply);
        error_deinit(&a->err);
}

/* Asks for PATH: "200 body", or "-errno". */
static void expect(struct http_call call, const char *path, const char *wanted)
{
        struct asked a = {.call = call, .path = path};
        char is[300];

        fiber_run(t.loop, ask_on_fiber, &a);
        if (a.code < 0)
                snprintf(is, sizeof(is), "-%s", strerrorname_np(-a.code));
        else
                snprintf(is, sizeof(is), "%u %s", a.reply.status, strbuf_str(&a.reply.body));
        assert_string_equal(is, wanted);
        asked_deinit(&a);
}

#define PLAIN ((struct http_call){0})

static void test_framings(void **state)
{
        static const struct script scripts[] = {
                {{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1;x=y\r\no\r\n0\r\nTrailer: x\r\n\r\n",
                  "HTTP/1.1 204 No Content\r\n\r\n",
                  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"}},
                {{"HTTP/1.0 200 fine\r\nX: y\r\n\r\nuntil the end"}},
                {{"HTTP/1.1 500 \r\nContent-Length: 2\r\n\r\nno"}},
        };

        t.scripts = scripts;
        expect(PLAIN, "/a", "200 one");
        expect(PLAIN, "/b?c=d", "200 two");
        expect(PLAIN, "/", "204 ");
        expect((struct http_call){.method = "POST", .body = "x", .body_len = 1}, "/", "201 ");
        assert_int_equal(t.n_connections, 1); /* kept */
        assert_non_null(strstr(t.conns[0].heard, "GET /b?c=d HTTP/1.1\r\nHost: 127.0.0.1:"));
        assert_non_null(strstr(t.conns[0].heard, "Content-Length: 1\r\n\r\nx"));
        expect(PLAIN, "/", "200 until the end");
        expect(PLAIN, "/", "500 no");
}

/* The caller knows where a name is: it is said to the server, and looked up nowhere. Connections to the same name
 * elsewhere are others. */
static void test_connect_to(void **state)
{
        static const struct script scripts[] = {
                {{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"}},
        };
        _cleanup_free_ char *here = xasprintf("127.0.0.1:%u", t.port);
        struct http_call call = {.url = "http://nowhere.invalid:81/x", .connect_to = here};

        t.scripts = scripts;
        expect(call, "", "200 one");
        expect(call, "", "200 two");
        assert_int_equal(t.n_connections, 1);
        assert_non_null(strstr(t.conns[0].heard, "GET /x HTTP/1.1\r\nHost: nowhere.invalid:81\r\n"));
        call.connect_to = "127.0.0.1:1";
        expect(call, "", "-ECONNREFUSED");
}

static void test_head(void **state)
{
        static const struct script scripts[] = {
                {{"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}}};

        t.scripts = scripts;
        expect((struct http_call){.method = "HEAD"}, "/", "200 ");
        expect(PLAIN, "/", "200 ok");
}

/* The server let go of the connection while it was idle, or just when it was used again. */
static void test_stale(void **state)
{
        static const struct script scripts[] = {
                {{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", "" /* hears the second request, and closes */}},
                {{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"}, .hold = true},
        };

        t.scripts = scripts;
        expect(PLAIN, "/", "200 1");
        expect(PLAIN, "/", "200 2");
        assert_int_equal(t.n_connections, 2);
}

static void test_bad(void **state)
{
        static const struct script scripts[][2] = {
                {{{"SSH-2.0-x\r\n\r\n"}}},
                {{{"HTTP/1.1 20 OK\r\n\r\n"}}},
                {{{"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n1"}}},
                {{{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}}},
                {{{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"}}},
        };
        static const struct script cut[] = {{{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1"}}, {{NULL}}};
        static const struct script huge[] = {{{"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
                                               "123456789012345678901234567890123456789012345678901234567890"
                                               "123456789012345678901234567890123456789012345678901234567890"}}};

        for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
                t.scripts = scripts[i];
                t.n_connections = 0;
                memset(t.conns, 0, sizeof(t.conns));
                expect(PLAIN, "/", "-EPROTO");
                conn_close(&t.conns[0]);
        }
        t.scripts = cut;
        t.n_connections = 0;
        memset(t.conns, 0, sizeof(t.conns));
        expect(PLAIN, "/", "-ECONNRESET");
        expect(PLAIN, "/", "-ECONNRESET"); /* not a word: on a new connection that is the end */
        t.scripts = huge;
        t.n_connections = 0;
        memset(t.conns, 0, sizeof(t.conns));
        expect(PLAIN, "/", "-EFBIG");
}

static void test_redirects(void **state)
{
        static const struct script scripts[] = {
                {{"HTTP/1.1 302 Found\r\nLocation: /two\r\nContent-Length: 4\r\n\r\ngone",
                  "HTTP/1.1 303 See Other\r\nLocation: three\r\nContent-Length: 0\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                  "HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\nContent-Length: 1\r\n\r\n-"}},
        };

        t.scripts = scripts;
        expect((struct http_call){.method = "POST", .body = "b", .body_len = 1}, "/one", "200 ok");
        assert_non_null(strstr(t.conns[0].heard, "POST /two HTTP/1.1"));
        assert_non_null(strstr(t.conns[0].heard, "GET /three HTTP/1.1"));
        expect((struct http_call){.no_redirects = true}, "/", "307 -");
}

static void test_no_answer(void **state)
{
        static const struct script scripts[] = {{{NULL}, .hold = true}};

        t.scripts = scripts;
        expect((struct http_call){.timeout_ns = 20 * NS_PER_MS}, "/", "-ETIMEDOUT");
        loop_fd_free(t.source);
        t.source = NULL;
        shutdown(t.fd, SHUT_RDWR);
        expect(PLAIN, "/", "-ECONNREFUSED");
}

static int events;

static void on_headers(struct http_exchange *x, unsigned status, void *userdata)
{
        events++;
        if (status == 299)
                http_exchange_free(x);
}

static void on_data(struct http_exchange *x, const char *data, size_t len, void *userdata)
{
        events += 10;
        http_exchange_free(x);
}

static void on_end(struct http_exchange *x, int code, const char *text, void *userdata)
{
        events += 100;
        http_client_free(t.client);
        t.client = NULL;
}

static void open_and_turn(void)
{
        static const struct http_exchange_ops ops = {on_headers, on_data, on_end};
        _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u/", t.port);

        http_open(t.client, &(struct http_call){.method = "GET", .url = url}, &ops, NULL);
        for (int i = 0; i < 20; i++)
                loop_turn(t.loop, NS_PER_MS);
}

/* An owner may free the exchange in any callback, and the client, too. */
static void test_freed_in_callbacks(void **state)
{
        static const struct script scripts[] = {
                {{"HTTP/1.1 299 Go\r\nContent-Length: 1\r\n\r\n1"}, .hold = true},
                {{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"}, .hold = true},
                {{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, .hold = true},
        };

        t.scripts = scripts;
        events = 0;
        open_and_turn();
        assert_int_equal(events, 1);
        open_and_turn();
        assert_int_equal(events, 12);
        open_and_turn();
        assert_int_equal(events, 113);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_framings, setup, teardown),
                cmocka_unit_test_setup_teardown(test_connect_to, setup, teardown),
                cmocka_unit_test_setup_teardown(test_head, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
                cmocka_unit_test_setup_teardown(test_redirects, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_answer, setup, teardown),
                cmocka_unit_test_setup_teardown(test_freed_in_callbacks, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
