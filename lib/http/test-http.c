/* Server and client against each other on one loop, in plain and over TLS with a client certificate. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "../base/file.h"
#include "../base/time.h"
#include "../tls/pki.h"
#include "client.h"
#include "server.h"

static struct loop *loop;
static struct http_server *server;
static struct http_client *client;
static char base[64], dir[] = "/tmp/test-http-XXXXXX";
static struct http_stream *stream;
static unsigned closed, drained;

static void on_closed(struct http_stream *s, void *userdata)
{
        closed++;
        stream = NULL;
}

static void on_drained(struct http_stream *s, void *userdata)
{
        drained++;
}

static void echo_bytes(struct loop_fd *source, uint32_t events, void *userdata)
{
        char buf[4096];
        int fd = loop_fd_get(source);
        ssize_t n = read(fd, buf, sizeof(buf));

        if (n > 0) {
                assert_int_equal(write(fd, buf, n), n);
        } else if (n == 0) {
                loop_fd_free(source);
                close(fd);
        }
}

static void upgraded(int fd, const void *already, size_t len, void *userdata)
{
        loop_fd_new(loop, fd, EPOLLIN, echo_bytes, NULL);
}

static bool released; /* what is asked for at /held */
static unsigned made; /* of the parts at /made */

enum { MADE_PARTS = 60, MADE_PART = 50000 };

static void answer_text(struct http_request *req, unsigned status, const char *text)
{
        struct http_answer a = {.status = status, .content_type = "text/plain", .body = text, .body_len = strlen(text)};

        http_respond(req, &a);
}

static void handle(struct http_request *req, void *userdata)
{
        static const struct http_stream_ops ops = {.closed = on_closed, .drained = on_drained};

        if (streq(req->path, "/echo")) {
                struct http_answer a = {.status = 200, .content_type = "x/y", .body = req->body, .body_len = req->body_len};
                http_respond(req, &a);
        } else if (streq(req->path, "/slow")) {
                fiber_sleep(5 * NS_PER_MS);
                answer_text(req, 200, "slow");
        } else if (streq(req->path, "/held")) {
                while (!released)
                        fiber_sleep(NS_PER_MS);
                answer_text(req, 200, "held");
        } else if (streq(req->path, "/query")) {
                const char **all;
                size_t n = http_query_all(req, "k", &all);
                answer_text(req, 200, arena_printf(req->arena, "%s|%zu|%s", http_query(req, "k"), n, all[n - 1]));
        } else if (streq(req->path, "/who")) {
                answer_text(req, 200, arena_printf(req->arena, "%s %s %s", req->peer->verified ? "verified" : "unknown",
                                                   req->peer->common_name ? req->peer->common_name : "-",
                                                   req->peer->organizations ? req->peer->organizations[0] : "-"));
        } else if (streq(req->path, "/parts")) {
                struct buffer *half = buffer_new(1 << 20);
                memset(half->data, 'p', half->len);
                struct buffer *parts[] = {buffer_ref(half), half};
                struct http_answer a = {.status = 200, .content_type = "x/y", .parts = parts, .n_parts = 2};
                http_respond(req, &a);
        } else if (streq(req->path, "/made")) {
                _cleanup_free_ char *part = xmalloc(MADE_PART);

                http_body_begin(req, 200, "x/y", NULL);
                for (made = 0; made < MADE_PARTS; made++) {
                        memset(part, 'A' + (int)made, MADE_PART);
                        if (!http_body_write(req, part, MADE_PART))
                                break;
                }
                http_body_end(req);
        } else if (streq(req->path, "/stream")) {
                stream = http_stream_start(req, 200, "text/plain", NULL, &ops, NULL);
                http_stream_write(stream, "one\n", 4);
        } else if (streq(req->path, "/upgrade")) {
                static const char *const headers[] = {"Connection", "Upgrade", "Upgrade", "echo", NULL};
                http_upgrade(req, headers, upgraded, NULL);
        }
        /* anything else: no answer */
}

static void refuse(unsigned status, const char **ret_type, const char **ret_body)
{
        *ret_type = "application/json";
        *ret_body = "{\"refused\":true}";
}

static struct http_reply call(const char *method, const char *path, const char *body)
{
        _cleanup_free_ char *url = xasprintf("%s%s", base, path);
        struct http_call c = {.method = method, .url = url, .body = body, .body_len = body ? strlen(body) : 0};
        struct http_reply r = {0};
        _cleanup_error_ struct error err = ERROR_INIT;

        if (http_call(client, &c, &r, &err) < 0)
                fail_msg("%s %s: %s", method, path, error_text(&err));
        return r;
}

static void expect(const char *method, const char *path, const char *body, unsigned status, const char *text)
{
        struct http_reply r = call(method, path, body);

        assert_int_equal(r.status, status);
        assert_string_equal(strbuf_str(&r.body), text);
        http_reply_deinit(&r);
}

static void answers(void *userdata)
{
        struct http_reply r;
        _cleanup_arena_ struct arena *a = arena_new(0);

        for (int i = 0; i < 3; i++)
                expect("POST", "/echo", "hello", 200, "hello");
        expect("GET", "/slow", NULL, 200, "slow");
        expect("GET", "/query?k=a%20b&x&k=c+d&k=%2", NULL, 200, "a b|2|c d");
        expect("GET", "/nothing", NULL, 500, "no answer\n");
        expect("HEAD", "/slow", NULL, 200, "");
        r = call("GET", "/parts", NULL);
        assert_int_equal(r.body.len, 2 << 20);
        assert_string_equal(http_reply_header(&r, a, "content-type"), "x/y");
        assert_string_equal(http_reply_header(&r, a, "content-length"), "2097152");
        http_reply_deinit(&r);
}

/* Each part is sent before its memory has the next one in it, and the connection goes on. */
static void made_while_sent(void *userdata)
{
        for (int round = 0; round < 2; round++) {
                struct http_reply r = call("GET", "/made", NULL);

                assert_int_equal(r.status, 200);
                assert_int_equal(r.body.len, MADE_PARTS * MADE_PART);
                for (size_t i = 0; i < r.body.len; i++)
                        if (r.body.data[i] != 'A' + (int)(i / MADE_PART))
                                fail_msg("byte %zu is %c", i, r.body.data[i]);
                http_reply_deinit(&r);
        }
        expect("GET", "/slow", NULL, 200, "slow");
}

static void test_made_while_sent(void **state)
{
        fiber_run(loop, made_while_sent, NULL);
}

static void test_answers(void **state)
{
        fiber_run(loop, answers, NULL);
}

static int dial(unsigned port)
{
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        return fd;
}

static void who(void *userdata)
{
        expect("GET", "/who", NULL, 200, str_has_prefix(base, "https") ? "verified alice devs" : "unknown - -");
}

static void test_peer(void **state)
{
        fiber_run(loop, who, NULL);
}

static void too_long(void *userdata)
{
        _cleanup_free_ char *body = xcalloc(1, (3 << 20) + 2);

        memset(body, 'x', (3 << 20) + 1);
        expect("POST", "/echo", body, 413, "{\"refused\":true}");
        body[3 << 20] = '\0';
        struct http_reply r = call("POST", "/echo", body);
        assert_int_equal(r.body.len, 3 << 20);
        http_reply_deinit(&r);
}

/* What cannot be read is told as Go's server tells it: nothing but the words. */
static void test_faults(void **state)
{
        static const char plain[] = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n";
        static const struct {
                const char *sent, *line, *body;
        } cases[] = {
                {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header", "400 Bad Request: missing required Host header"},
                {"hello\r\n\r\n", "400 Bad Request", "400 Bad Request"},
                {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported: unsupported protocol version",
                 "505 HTTP Version Not Supported: unsupported protocol version"},
                {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: tea\r\n\r\n", "501 Not Implemented", "Unsupported transfer encoding"},
        };
        static const char no_tls[] = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        bool tls = str_has_prefix(base, "https");
        char buf[1024], wanted[1024];

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                int fd = dial(http_server_port(server));
                size_t len = 0;

                assert_true(send(fd, cases[i].sent, strlen(cases[i].sent), MSG_NOSIGNAL) > 0);
                for (ssize_t n = -1; n != 0;) {
                        loop_turn(loop, NS_PER_MS);
                        n = recv(fd, buf + len, sizeof(buf) - 1 - len, MSG_DONTWAIT);
                        len += n > 0 ? (size_t)n : 0;
                }
                buf[len] = '\0';
                snprintf(wanted, sizeof(wanted), "HTTP/1.1 %s%s%s", cases[i].line, plain, cases[i].body);
                if (!tls || *cases[i].sent == 'G') /* to what is no HTTP either, TLS has an answer of its own */
                        assert_string_equal(buf, tls ? no_tls : wanted);
                close(fd);
        }
}

static void test_limits(void **state)
{
        fiber_run(loop, too_long, NULL);
}

static struct strbuf got;
static int ended;

static void on_data(struct http_exchange *x, const char *data, size_t len, void *userdata)
{
        strbuf_append(&got, data, len);
}

static void on_end(struct http_exchange *x, int code, const char *text, void *userdata)
{
        ended = 1 + -code;
}

static void turn_until(const void *what, bool (*done)(const void *))
{
        for (int i = 0; i < 2000 && !done(what); i++)
                loop_turn(loop, 5 * NS_PER_MS);
        assert_true(done(what));
}

static bool has_text(const void *text)
{
        return streq(strbuf_str(&got), text);
}

static bool is_ended(const void *unused_arg)
{
        return ended;
}

static bool is_closed(const void *n)
{
        return closed == *(const unsigned *)n;
}

static struct http_exchange *open_at(const char *path)
{
        static const struct http_exchange_ops ops = {.data = on_data, .end = on_end};
        _cleanup_free_ char *url = xasprintf("%s%s", base, path);
        struct http_call c = {.method = "GET", .url = url, .timeout_ns = -1};

        closed = 0;
        ended = 0;
        strbuf_reset(&got);
        return http_open(client, &c, &ops, NULL);
}

static struct http_exchange *open_stream(void)
{
        return open_at("/stream");
}

static bool is_begun(const void *unused_arg)
{
        return got.len > 0;
}

/* The handler hears of it and ends. */
static void test_made_client_leaves(void **state)
{
        struct http_exchange *x = open_at("/made");

        made = 0;
        turn_until(NULL, is_begun);
        http_exchange_free(x);
        for (int i = 0; i < 10; i++)
                loop_turn(loop, 0);
        assert_in_range(made, 0, MADE_PARTS - 1);
        fiber_run(loop, made_while_sent, NULL);
}

static void test_stream_ends(void **state)
{
        static const unsigned one = 1;

        open_stream();
        turn_until("one\n", has_text);
        http_stream_write(stream, "two\n", 4);
        http_stream_write(stream, "three\n", 6);
        turn_until("one\ntwo\nthree\n", has_text);
        http_stream_end(stream);
        turn_until(NULL, is_ended);
        assert_int_equal(ended, 1);
        turn_until(&one, is_closed);
}

static void test_stream_client_leaves(void **state)
{
        static const unsigned one = 1;
        struct http_exchange *x = open_stream();

        turn_until("one\n", has_text);
        http_exchange_free(x);
        turn_until(&one, is_closed);
        assert_int_equal(ended, 0);
}

static void test_stream_aborted(void **state)
{
        open_stream();
        turn_until("one\n", has_text);
        http_stream_abort(stream);
        turn_until(NULL, is_ended);
        assert_int_equal(closed, 0);
        assert_true(ended > 1);
}

/* A client that reads nothing: the queue grows, and `drained` comes when it reads on. */
static void test_stream_backpressure(void **state)
{
        static char block[65536];

        drained = 0;
        open_stream();
        turn_until("one\n", has_text);
        for (int i = 0; i < 200; i++)
                http_stream_write(stream, block, sizeof(block));
        loop_turn(loop, 0);
        for (int i = 0; i < 5000 && http_stream_queued(stream); i++)
                loop_turn(loop, NS_PER_MS);
        assert_int_equal(http_stream_queued(stream), 0);
        http_stream_end(stream);
        turn_until(NULL, is_ended);
        assert_int_equal(got.len, 4 + 200 * sizeof(block));
}

static int setup(bool tls)
{
        struct http_server_options so = {.address = "127.0.0.1", .handler = handle, .refuse = refuse};
        struct http_client_options co = {0};
        static const char *const ips[] = {"127.0.0.1", NULL}, *const orgs[] = {"devs", NULL};
        char paths[5][64];
        static const char *const names[] = {"ca.crt", "tls.crt", "tls.key", "me.crt", "me.key"};

        loop = loop_new();
        if (tls) {
                struct pki_spec spec = {.common_name = "server", .ips = ips, .usages = PKI_SERVER};
                struct pki_spec me = {.common_name = "alice", .organizations = orgs, .usages = PKI_CLIENT};
                _cleanup_pki_pair_ struct pki_pair *ca = NULL, *sp = NULL, *mp = NULL;
                if (!mkdtemp(dir))
                        return -1;
                for (size_t i = 0; i < 5; i++)
                        snprintf(paths[i], sizeof(paths[i]), "%s/%s", dir, names[i]);
                if (pki_ca_new("test", 0, &ca, NULL) < 0 || pki_issue(ca, &spec, &sp, NULL) < 0 ||
                    pki_issue(ca, &me, &mp, NULL) < 0 || pki_save(ca, paths[0], NULL, NULL) < 0 ||
                    pki_save(sp, paths[1], paths[2], NULL) < 0 || pki_save(mp, paths[3], paths[4], NULL) < 0)
                        return -1;
                so.cert_file = paths[1];
                so.key_file = paths[2];
                so.client_ca_file = co.ca_file = paths[0];
                co.cert_file = paths[3];
                co.key_file = paths[4];
        }
        if (http_server_new(loop, &so, &server, NULL) < 0 || http_client_new(loop, &co, &client, NULL) < 0)
                return -1;
        snprintf(base, sizeof(base), "http%s://127.0.0.1:%u", tls ? "s" : "", http_server_port(server));
        return 0;
}

static int setup_plain(void **state)
{
        return setup(false);
}

static int setup_tls(void **state)
{
        return setup(true);
}

static int teardown(void **state)
{
        http_client_free(client);
        http_server_free(server);
        strbuf_deinit(&got);
        loop_turn(loop, 0);
        loop_free(loop);
        dir_remove(dir, NULL);
        return 0;
}

/* --- clients that wear a server out --- */

/* Turns the loop until the server has closed FD, or for MS milliseconds. What came is appended to GOT. */
static bool closes(int fd, int ms)
{
        int64_t until = time_mono() + ms * NS_PER_MS;
        char buf[4096];
        ssize_t n;

        do {
                loop_turn(loop, NS_PER_MS);
                n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
                if (n > 0)
                        strbuf_append(&got, buf, (size_t)n);
        } while (n != 0 && !(n < 0 && errno == ECONNRESET) && time_mono() < until);
        return n == 0 || (n < 0 && errno == ECONNRESET);
}

static struct http_server *small_server(void)
{
        struct http_server_options o = {.address = "127.0.0.1", .handler = handle, .refuse = refuse, .max_connections = 2,
                                        .header_timeout_ns = 200 * NS_PER_MS, .idle_timeout_ns = 60 * NS_PER_SEC};
        struct http_server *s = NULL;

        assert_int_equal(http_server_new(loop, &o, &s, NULL), 0);
        return s;
}

static void test_too_many_connections(void **state)
{
        struct http_server *s = small_server();
        int fds[3];

        for (size_t i = 0; i < 3; i++) {
                fds[i] = dial(http_server_port(s));
                loop_turn(loop, NS_PER_MS);
        }
        assert_true(closes(fds[0], 100)); /* it said nothing for longest */
        assert_false(closes(fds[1], 1));
        for (size_t i = 1; i < 3; i++)
                assert_int_equal(write(fds[i], "GET /held HTTP/1.0\r\n\r\n", 22), 22);
        for (int i = 0; i < 5; i++)
                loop_turn(loop, NS_PER_MS);
        close(fds[0]);
        fds[0] = dial(http_server_port(s));
        strbuf_reset(&got);
        assert_true(closes(fds[0], 100)); /* both are at work: at once, instead of hanging */
        assert_int_equal(got.len, 0);
        released = true;
        for (size_t i = 1; i < 3; i++) {
                strbuf_reset(&got);
                assert_true(closes(fds[i], 1000));
                assert_non_null(strstr(strbuf_str(&got), "200 OK"));
        }
        for (size_t i = 0; i < 3; i++)
                close(fds[i]);
        http_server_free(s);
}

/* A head, or a body, a byte at a time: its time is counted from its beginning. */
static void slow(const char *text)
{
        struct http_server *s = small_server();
        int fd = dial(http_server_port(s));
        int64_t began = time_mono();
        bool ended_early = false;

        strbuf_reset(&got);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        while (!ended_early && time_mono() - began < 5 * NS_PER_SEC) {
                if (send(fd, "a", 1, MSG_NOSIGNAL) < 0)
                        break;
                ended_early = closes(fd, 30);
        }
        assert_true(time_mono() - began < 3 * NS_PER_SEC);
        close(fd);
        http_server_free(s);
}

static void test_slow_clients(void **state)
{
        slow("GET / HTTP/1.1\r\nX: ");
        slow("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
        slow("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n");
}

/* Two large bodies that do not end are more than the server holds: the older one goes. */
static void test_much_held(void **state)
{
        struct http_server_options o = {.address = "127.0.0.1", .handler = handle, .refuse = refuse, .max_held = 2500000};
        static const char head[] = "POST /echo HTTP/1.0\r\nHost: x\r\nContent-Length: 1500001\r\n\r\n";
        _cleanup_free_ char *body = xcalloc(1, 1500001);
        struct http_server *s = NULL;
        int fds[2];

        memset(body, 'a', 1500001);
        assert_int_equal(http_server_new(loop, &o, &s, NULL), 0);
        for (size_t i = 0; i < 2; i++) {
                size_t sent = 0;

                fds[i] = dial(http_server_port(s));
                assert_int_equal(write(fds[i], head, sizeof(head) - 1), sizeof(head) - 1);
                while (sent < 1500000) {
                        ssize_t n = send(fds[i], body + sent, 1500000 - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
                        sent += n > 0 ? (size_t)n : 0;
                        loop_turn(loop, NS_PER_MS);
                }
        }
        assert_true(closes(fds[0], 1000));
        assert_int_equal(write(fds[1], body, 1), 1);
        strbuf_reset(&got);
        assert_true(closes(fds[1], 5000));
        assert_non_null(strstr(strbuf_str(&got), "200 OK"));
        close(fds[0]);
        close(fds[1]);
        http_server_free(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_answers),        cmocka_unit_test(test_peer),
                cmocka_unit_test(test_made_while_sent), cmocka_unit_test(test_made_client_leaves),
                cmocka_unit_test(test_limits), cmocka_unit_test(test_faults),        cmocka_unit_test(test_stream_ends),
                cmocka_unit_test(test_stream_client_leaves), cmocka_unit_test(test_stream_aborted),
                cmocka_unit_test(test_stream_backpressure), cmocka_unit_test(test_too_many_connections),
                cmocka_unit_test(test_slow_clients),   cmocka_unit_test(test_much_held),
        };
        int failed = cmocka_run_group_tests_name("plain", tests, setup_plain, teardown);

        return failed + cmocka_run_group_tests_name("TLS", tests, setup_tls, teardown);
}
