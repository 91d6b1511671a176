/* A call over HTTP/2 with libnghttp2: see http2.h. The fiber waits on the socket itself and hands bytes
 * to and fro; the session lives as long as the call. */
#include "http2.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <sys/socket.h>

#include "../base/time.h"

#define HEADERS_MAX 16

struct call {
        const struct http2_call *o;
        struct http_reply *reply;
        size_t sent;
        bool closed;
        uint32_t error_code;
        int refusal;
};

struct waiting {
        struct fiber *fiber;
        bool ready, late;
};

static void on_ready(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct waiting *w = userdata;

        if (!w->ready && !w->late)
                fiber_wake(w->fiber);
        w->ready = true;
        loop_fd_set(source, 0);
}

static void on_late(struct loop_timer *timer, void *userdata)
{
        struct waiting *w = userdata;

        if (!w->ready && !w->late)
                fiber_wake(w->fiber);
        w->late = true;
}

static int wait_fd(struct loop *loop, int fd, uint32_t events, int64_t deadline)
{
        struct waiting w = {.fiber = fiber_self()};
        struct loop_timer *timer = loop_timer_new(loop, on_late, &w);
        struct loop_fd *source = loop_fd_new(loop, fd, events, on_ready, &w);

        loop_timer_arm(timer, deadline - time_mono());
        while (!w.ready && !w.late)
                fiber_park();
        loop_fd_free(source);
        loop_timer_free(timer);
        return w.ready ? 0 : -ETIMEDOUT;
}

static int connect_to(struct loop *loop, const struct http2_call *o, int64_t deadline, int *ret)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *ai;
        socklen_t len = sizeof(int);
        char port[8];
        int e = 0, fd, r;

        snprintf(port, sizeof(port), "%u", o->port);
        if (getaddrinfo(o->host, port, &hints, &ai) != 0)
                return -EHOSTUNREACH;
        fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        r = fd < 0 ? -errno : connect(fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS ? -errno : 0;
        freeaddrinfo(ai);
        if (r == 0)
                r = wait_fd(loop, fd, EPOLLOUT, deadline);
        if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == 0)
                r = -e;
        if (r == 0)
                *ret = fd;
        else if (fd >= 0)
                close(fd);
        return r;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
                       nghttp2_data_source *source, void *userdata)
{
        struct call *c = userdata;
        size_t n = MIN(len, c->o->body_len - c->sent);

        if (n)
                memcpy(buf, c->o->body + c->sent, n);
        c->sent += n;
        if (c->sent == c->o->body_len)
                *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)n;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *userdata)
{
        struct call *c = userdata;

        if (name_len == 7 && memcmp(name, ":status", 7) == 0)
                c->reply->status = (unsigned)strtoul((const char *)value, NULL, 10);
        else if (c->reply->headers.len < 65536)
                strbuf_printf(&c->reply->headers, "%.*s: %.*s\r\n", (int)name_len, name, (int)value_len, value);
        return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *userdata)
{
        struct call *c = userdata;

        if (c->reply->body.len + len > c->o->max_body) {
                c->refusal = -EFBIG;
                return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
        strbuf_append(&c->reply->body, data, len);
        return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *userdata)
{
        struct call *c = userdata;

        c->closed = true;
        c->error_code = error_code;
        return 0;
}

static void submit(nghttp2_session *session, struct call *c, char *authority)
{
        nghttp2_data_provider body = {.read_callback = on_read};
        nghttp2_nv nv[HEADERS_MAX];
        const char *own[] = {":method", "POST", ":scheme", "http", ":path", c->o->path, ":authority", authority, NULL};
        const char *const *lists[] = {own, c->o->headers};
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                for (const char *const *h = lists[i]; h && h[0] && n < HEADERS_MAX; h += 2)
                        nv[n++] = (nghttp2_nv){(uint8_t *)h[0], (uint8_t *)h[1], strlen(h[0]), strlen(h[1]),
                                               NGHTTP2_NV_FLAG_NONE};
        nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0);
        nghttp2_submit_request(session, NULL, nv, n, &body, NULL);
}

/* 0; -EAGAIN: the socket is full; or why the call fails. */
static int flush(nghttp2_session *session, int fd, struct strbuf *out)
{
        const uint8_t *data;
        ssize_t n;

        while ((n = nghttp2_session_mem_send(session, &data)) > 0)
                strbuf_append(out, data, (size_t)n);
        while (n == 0 && out->len) {
                n = send(fd, out->data, out->len, MSG_NOSIGNAL);
                if (n < 0)
                        return -errno;
                memmove(out->data, out->data + n, out->len - (size_t)n);
                out->len -= (size_t)n;
                n = 0;
        }
        return n < 0 ? -EPROTO : 0;
}

static int converse(struct loop *loop, nghttp2_session *session, struct call *c, int fd, int64_t deadline)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        uint8_t buf[4096];

        while (!c->closed) {
                int r = flush(session, fd, &out);
                ssize_t n;

                if (r < 0 && r != -EAGAIN)
                        return r == -EPROTO ? r : -ECONNRESET;
                r = wait_fd(loop, fd, EPOLLIN | (out.len ? EPOLLOUT : 0), deadline);
                if (r < 0)
                        return r;
                n = recv(fd, buf, sizeof(buf), 0);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        continue;
                if (n <= 0)
                        return -ECONNRESET;
                if (nghttp2_session_mem_recv(session, buf, (size_t)n) < 0)
                        return c->refusal ? c->refusal : -EPROTO;
        }
        return c->error_code ? -ECONNRESET : 0;
}

int http2_call(struct loop *loop, const struct http2_call *o, struct http_reply *reply)
{
        _cleanup_free_ char *authority = xasprintf(strchr(o->host, ':') ? "[%s]:%u" : "%s:%u", o->host, o->port);
        int64_t deadline = time_mono() + o->timeout_ns;
        struct call c = {.o = o, .reply = reply};
        nghttp2_session_callbacks *callbacks;
        nghttp2_session *session;
        int fd = -1, r = connect_to(loop, o, deadline, &fd);

        if (r < 0)
                return r;
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
        if (nghttp2_session_client_new(&session, callbacks, &c) < 0)
                abort(); /* only for want of memory */
        submit(session, &c, authority);
        r = converse(loop, session, &c, fd, deadline);
        nghttp2_session_del(session);
        nghttp2_session_callbacks_del(callbacks);
        close(fd);
        return r;
}
