/* One attempt of a probe or hook handler: exec, httpGet, tcpSocket, grpc, sleep. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

#include "../../lib/http/http2.h"
#include "prober-internal.h"

#define PROBE_BODY_MAX 10240 /* bytes of an answer that are shown */

/* --- exec --- */

static char *join_argv(const char *const *argv)
{
        struct strbuf b = STRBUF_INIT;
        for (size_t i = 0; argv[i]; i++)
                strbuf_printf(&b, "%s%s", i ? " " : "", argv[i]);
        return strbuf_steal(&b);
}

static void quote_go(struct strbuf *out, const char *s)
{
        strbuf_putc(out, '"');
        for (; *s; s++) {
                switch (*s) {
                case '"':
                case '\\':
                        strbuf_putc(out, '\\');
                        strbuf_putc(out, *s);
                        break;
                case '\n':
                        strbuf_puts(out, "\\n");
                        break;
                case '\t':
                        strbuf_puts(out, "\\t");
                        break;
                case '\r':
                        strbuf_puts(out, "\\r");
                        break;
                default:
                        if ((unsigned char)*s < 0x20)
                                strbuf_printf(out, "\\x%02x", (unsigned char)*s);
                        else
                                strbuf_putc(out, *s);
                }
        }
        strbuf_putc(out, '"');
}

static enum probe_outcome run_exec(struct prober *p, const struct probe_call *c, const struct json *exec, char **ret)
{
        _cleanup_arena_ struct arena *a = arena_new(512);
        const struct json *command = json_get(exec, "command");
        const char **argv = arena_calloc(a, (json_len(command) + 1) * sizeof(*argv));
        json_foreach_item(command, arg)
                argv[arg_i] = json_string(arg) ? json_string(arg) : "";
        struct runtime_exec_result r = {0};
        _cleanup_error_ struct error err = ERROR_INIT;
        if (p->runtime->ops->exec_sync(p->runtime, c->container_id, argv, c->timeout, &r, &err) != 0) {
                *ret = xstrdup(error_text(&err));
                runtime_exec_result_deinit(&r);
                return PROBE_UNKNOWN;
        }
        _cleanup_free_ char *line = join_argv(argv);
        enum probe_outcome outcome = r.timed_out || r.exit_code ? PROBE_FAILURE : PROBE_SUCCESS;
        struct strbuf text = STRBUF_INIT;
        char buf[TIME_BUF];
        if (r.timed_out) {
                strbuf_printf(&text, "command timed out: \"%s\" timed out after %s", line,
                              duration_format(c->timeout, buf));
        } else if (c->hook && r.exit_code) {
                struct strbuf all = STRBUF_INIT;
                strbuf_append(&all, r.out.data ? r.out.data : "", r.out.len);
                strbuf_append(&all, r.err.data ? r.err.data : "", r.err.len);
                strbuf_printf(&text, "command '%s' exited with %d: %s, message: ", line, r.exit_code,
                              strbuf_str(&r.err));
                quote_go(&text, strbuf_str(&all));
                strbuf_deinit(&all);
        } else {
                strbuf_puts(&text, strbuf_str(&r.out));
                strbuf_puts(&text, strbuf_str(&r.err));
        }
        *ret = strbuf_steal(&text);
        runtime_exec_result_deinit(&r);
        return outcome;
}

/* --- ports --- */

/* A number, or the name of one of the container's ports. -EINVAL. */
static int resolve_port(const struct json *container, const struct json *port, int *ret)
{
        int64_t n;
        if (json_to_int(port, &n) == 0 && n > 0 && n < 65536) {
                *ret = (int)n;
                return 0;
        }
        const char *name = json_string(port);
        json_foreach_item(json_get(container, "ports"), p)
                if (name && streq(json_get_string(p, "name"), name)) {
                        *ret = (int)json_get_int(p, "containerPort", 0);
                        return 0;
                }
        if (name && *name >= '0' && *name <= '9') {
                *ret = atoi(name);
                return 0;
        }
        return -EINVAL;
}

/* --- TCP --- */

struct tcp_wait {
        struct fiber *fiber;
        bool writable, timed_out;
};

static void tcp_ready(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct tcp_wait *w = userdata;
        w->writable = true;
        loop_fd_set(source, 0);
        fiber_wake(w->fiber);
}

static void tcp_timeout(struct loop_timer *t, void *userdata)
{
        struct tcp_wait *w = userdata;
        w->timed_out = true;
        fiber_wake(w->fiber);
}

static int tcp_wait_connected(struct loop *loop, int fd, int64_t timeout)
{
        struct tcp_wait w = {.fiber = fiber_self()};
        struct loop_fd *source = loop_fd_new(loop, fd, EPOLLOUT, tcp_ready, &w);
        struct loop_timer *timer = loop_timer_new(loop, tcp_timeout, &w);
        if (timeout > 0)
                loop_timer_arm(timer, timeout);
        while (!w.writable && !w.timed_out)
                fiber_park();
        loop_timer_free(timer);
        loop_fd_free(source);
        if (!w.writable)
                return -ETIMEDOUT;
        int err = 0;
        socklen_t len = sizeof(err);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
        return -err;
}

static int tcp_address(const char *host, int port, struct sockaddr_storage *ret, socklen_t *ret_len)
{
        struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
        *ret = (struct sockaddr_storage){0};
        if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
                v4->sin_family = AF_INET;
                v4->sin_port = htons((uint16_t)port);
                *ret_len = sizeof(*v4);
                return 0;
        }
        if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
                v6->sin6_family = AF_INET6;
                v6->sin6_port = htons((uint16_t)port);
                *ret_len = sizeof(*v6);
                return 0;
        }
        return -EINVAL;
}

static int tcp_connect(struct loop *loop, const char *host, int port, int64_t timeout)
{
        struct sockaddr_storage addr;
        socklen_t len;
        int r = tcp_address(host, port, &addr, &len);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        /* Reset instead of TIME_WAIT: a probe a second would fill the table. */
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        if (connect(fd, (struct sockaddr *)&addr, len) == 0)
                return 0;
        return errno == EINPROGRESS ? tcp_wait_connected(loop, fd, timeout) : -errno;
}

/* What Go's net package says of a failed connection. */
static void dial_text(struct strbuf *out, const char *host, int port, int code)
{
        bool v6 = strchr(host, ':');
        strbuf_printf(out, v6 ? "dial tcp [%s]:%d: " : "dial tcp %s:%d: ", host, port);
        switch (-code) {
        case ECONNREFUSED:
                strbuf_puts(out, "connect: connection refused");
                break;
        case EHOSTUNREACH:
                strbuf_puts(out, "connect: no route to host");
                break;
        case ENETUNREACH:
                strbuf_puts(out, "connect: network is unreachable");
                break;
        case ETIMEDOUT:
                strbuf_puts(out, "i/o timeout");
                break;
        default:
                strbuf_printf(out, "connect: %s", strerror(-code));
        }
}

static enum probe_outcome run_tcp(struct prober *p, const struct probe_call *c, const struct json *tcp, char **ret)
{
        const char *host = json_get_string(tcp, "host");
        int port;
        if (str_empty(host))
                host = c->host;
        if (resolve_port(c->container, json_get(tcp, "port"), &port) < 0) {
                *ret = xasprintf("invalid port number: %s", json_get_string(tcp, "port"));
                return PROBE_UNKNOWN;
        }
        int r = tcp_connect(p->loop, host, port, c->timeout);
        if (r == 0)
                return PROBE_SUCCESS;
        struct strbuf text = STRBUF_INIT;
        dial_text(&text, host, port, r);
        *ret = strbuf_steal(&text);
        return PROBE_FAILURE;
}

/* --- HTTP --- */

static struct http_client *prober_http(struct prober *p)
{
        if (!p->http) {
                struct http_client_options o = {.insecure = true, .max_body = 1 << 20};
                http_client_new(p->loop, &o, &p->http, NULL);
        }
        return p->http;
}

static const char **http_headers(struct arena *a, const struct json *get)
{
        const struct json *own = json_get(get, "httpHeaders");
        const char **h = arena_calloc(a, (json_len(own) + 4) * sizeof(*h));
        size_t n = 0;
        bool agent = false, accept = false;
        json_foreach_item(own, x) {
                const char *name = json_get_string(x, "name"), *value = json_get_string(x, "value");
                agent |= name && strcasecmp(name, "User-Agent") == 0;
                accept |= name && strcasecmp(name, "Accept") == 0;
                h[n++] = arena_printf(a, "%s: %s", name ? name : "", value ? value : "");
        }
        if (!agent)
                h[n++] = "User-Agent: kube-probe/1.36";
        if (!accept)
                h[n++] = "Accept: */*";
        h[n++] = "Connection: close";
        return h;
}

static void http_error_text(struct strbuf *out, const char *url, const char *host, int port, int code,
                            const char *detail)
{
        strbuf_printf(out, "Get \"%s\": ", url);
        if (code == -ETIMEDOUT)
                strbuf_puts(out, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
        else if (code == -ECONNREFUSED || code == -EHOSTUNREACH || code == -ENETUNREACH)
                dial_text(out, host, port, code);
        else if (code == -ECONNRESET)
                strbuf_puts(out, "EOF");
        else
                strbuf_puts(out, detail);
}

static enum probe_outcome run_http(struct prober *p, const struct probe_call *c, const struct json *get, char **ret)
{
        _cleanup_arena_ struct arena *a = arena_new(1024);
        const char *host = json_get_string(get, "host"), *path = json_get_string(get, "path");
        const char *scheme = streq(json_get_string(get, "scheme"), "HTTPS") ? "https" : "http";
        int port;
        if (str_empty(host))
                host = c->host;
        if (resolve_port(c->container, json_get(get, "port"), &port) < 0) {
                *ret = xasprintf("invalid port number: %s", json_get_string(get, "port"));
                return PROBE_UNKNOWN;
        }
        bool v6 = strchr(host, ':');
        if (str_empty(path))
                path = "/";
        char *url = arena_printf(a, v6 ? "%s://[%s]:%d%s%s" : "%s://%s:%d%s%s", scheme, host, port,
                                 *path == '/' ? "" : "/", path);
        struct http_call call = {.method = "GET",
                                 .url = url,
                                 .headers = http_headers(a, get),
                                 .timeout_ns = c->timeout ? c->timeout : 0,
                                 .no_reuse = true};
        struct http_reply reply = {0};
        _cleanup_error_ struct error err = ERROR_INIT;
        struct strbuf text = STRBUF_INIT;
        enum probe_outcome outcome = PROBE_FAILURE;
        int r = http_call(prober_http(p), &call, &reply, &err);
        if (r < 0) {
                http_error_text(&text, url, host, port, r, error_text(&err));
        } else if (reply.status >= 200 && reply.status < 400) {
                outcome = PROBE_SUCCESS;
                strbuf_append(&text, strbuf_str(&reply.body), MIN(reply.body.len, (size_t)PROBE_BODY_MAX));
        } else {
                strbuf_printf(&text, "HTTP probe failed with statuscode: %u", reply.status);
        }
        http_reply_deinit(&reply);
        *ret = strbuf_steal(&text);
        return outcome;
}

/* --- gRPC: grpc.health.v1.Health/Check over HTTP/2 --- */

/* HealthCheckResponse.status: field 1, a varint. */
static int grpc_status(const struct strbuf *body)
{
        const unsigned char *d = (const unsigned char *)strbuf_str(body);
        if (body->len < 5)
                return -1;
        return body->len >= 7 && d[5] == 0x08 ? d[6] : 0;
}

static enum probe_outcome run_grpc(struct prober *p, const struct probe_call *c, const struct json *grpc, char **ret)
{
        static const char *const states[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
        _cleanup_arena_ struct arena *a = arena_new(1024);
        const char *service = json_get_string(grpc, "service");
        int port = (int)json_get_int(grpc, "port", 0);
        size_t len = service ? strlen(service) : 0;
        struct strbuf body = STRBUF_INIT;
        uint8_t head[] = {0, 0, 0, 0, (uint8_t)(len ? len + 2 : 0), 0x0a, (uint8_t)len};
        strbuf_append(&body, head, len ? 7 : 5);
        strbuf_append(&body, service ? service : "", MIN(len, (size_t)120));
        bool v6 = strchr(c->host, ':');
        char *target = arena_printf(a, v6 ? "[%s]:%d" : "%s:%d", c->host, port);
        static const char *const headers[] = {"content-type", "application/grpc", "te", "trailers",
                                              "user-agent", "kube-probe/1.36", NULL};
        struct http2_call call = {.host = c->host,
                                  .port = (uint16_t)port,
                                  .path = "/grpc.health.v1.Health/Check",
                                  .headers = headers,
                                  .body = body.data,
                                  .body_len = body.len,
                                  .max_body = 64 << 10,
                                  .timeout_ns = c->timeout ? c->timeout : NS_PER_SEC};
        struct http_reply reply = {0};
        char buf[TIME_BUF];
        int r = http2_call(p->loop, &call, &reply);
        enum probe_outcome outcome = PROBE_FAILURE;
        int status = r < 0 ? -1 : grpc_status(&reply.body);
        if (r < 0)
                *ret = xasprintf("timeout: failed to connect service \"%s\" within %s: context deadline exceeded",
                                 target, duration_format(call.timeout_ns, buf));
        else if (status == 1)
                outcome = PROBE_SUCCESS;
        else if (status >= 0)
                *ret = xasprintf("service unhealthy (responded with \"%s\")", status < 4 ? states[status] : "UNKNOWN");
        else
                *ret = xasprintf("error: health rpc failed: %s",
                                 http_reply_header(&reply, a, "grpc-message") ? http_reply_header(&reply, a, "grpc-message")
                                                                              : "unknown service");
        http_reply_deinit(&reply);
        strbuf_deinit(&body);
        return outcome;
}

enum probe_outcome probe_run(struct prober *p, const struct probe_call *call, char **ret_text)
{
        const struct json *h;
        char *text = NULL;
        enum probe_outcome r = PROBE_UNKNOWN;
        if ((h = json_get(call->handler, "exec")))
                r = run_exec(p, call, h, &text);
        else if ((h = json_get(call->handler, "httpGet")))
                r = run_http(p, call, h, &text);
        else if ((h = json_get(call->handler, "tcpSocket")))
                r = run_tcp(p, call, h, &text);
        else if ((h = json_get(call->handler, "grpc")))
                r = run_grpc(p, call, h, &text);
        else if ((h = json_get(call->handler, "sleep"))) {
                fiber_sleep(json_get_int(h, "seconds", 0) * NS_PER_SEC);
                r = PROBE_SUCCESS;
        } else
                text = xstrdup("missing probe handler");
        *ret_text = text ? text : xstrdup("");
        return r;
}
