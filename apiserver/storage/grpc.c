/* gRPC over HTTP/2: see grpc.h.
 *
 *      call  --\                       /-- DOWN: nothing, until a call wants a connection
 *      call  ---> channel: session ---+--- RESOLVING, CONNECTING, HANDSHAKE: calls wait in `calls`
 *      watch --/  (nghttp2), socket    \-- UP: each call is an HTTP/2 stream
 *
 * What is written in one turn of the loop goes out with one system call at its end. A connection that
 * breaks ends all calls that were sent on it; those not yet sent wait for the next endpoint, until
 * every endpoint has failed once.
 */
#include "grpc-internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "../../lib/base/time.h"
#include "../../lib/loop/fiber.h"

#define WINDOW (8 << 20)            /* bytes that a peer may send ahead, a stream and a connection */
#define MAX_MESSAGE (512u << 20)    /* a page of a list; etcd's own limit is on what is sent to it */
#define TICK_NS NS_PER_SEC          /* deadlines are looked at this often while calls are open */

struct grpc_call {
        struct list link;
        struct grpc *g;
        const char *path;
        const struct grpc_ops *ops;
        void *userdata;
        bool stream;
        int32_t id; /* of the HTTP/2 stream; 0: not sent yet */
        int64_t started_ns, deadline_ns;
        struct strbuf out;
        size_t out_at;
        bool out_waits; /* the data provider was asked and had nothing */
        struct strbuf in;
        unsigned http_status;
        int grpc_status; /* -1: none yet */
        char *message;
};

static void call_submit(struct grpc_call *c);

/* --- calls --- */

static void call_free(struct grpc_call *c)
{
        list_remove(&c->link);
        strbuf_deinit(&c->out);
        strbuf_deinit(&c->in);
        free(c->message);
        free(c);
}

static void call_end(struct grpc_call *c, int code, int status, const char *message)
{
        struct grpc_end end = { .code = code, .status = status, .message = message ? message : "" };
        const struct grpc_ops *ops = c->ops;
        void *userdata = c->userdata;
        char *copy = message ? xstrdup(message) : NULL;

        if (copy)
                end.message = copy;
        if (c->id && c->g->session)
                nghttp2_session_set_stream_user_data(c->g->session, c->id, NULL);
        call_free(c);
        ops->end(&end, userdata);
        free(copy);
}

/* A message of gRPC: a flag (not compressed), its length, its bytes. */
static void append_framed(struct strbuf *out, const struct strbuf *message)
{
        uint32_t len = htonl((uint32_t)message->len);

        strbuf_reserve(out, message->len + 5);
        strbuf_putc(out, 0);
        strbuf_append(out, &len, sizeof(len));
        strbuf_append(out, message->data, message->len);
}

static void flush_deferred(void *userdata);

static void channel_flush_later(struct grpc *g)
{
        if (g->flush_deferred || g->held)
                return;
        g->flush_deferred = true;
        g->deferred++;
        loop_defer(g->loop, flush_deferred, g);
}

struct grpc_call *grpc_start(struct grpc *g, const char *path, const struct strbuf *message, bool stream,
                             int64_t timeout_ns, const struct grpc_ops *ops, void *userdata)
{
        struct grpc_call *c = new0(struct grpc_call);

        c->g = g;
        c->path = path;
        c->ops = ops;
        c->userdata = userdata;
        c->stream = stream;
        c->grpc_status = -1;
        c->started_ns = loop_now(g->loop);
        c->deadline_ns = timeout_ns > 0 ? c->started_ns + timeout_ns : 0;
        if (message)
                append_framed(&c->out, message);
        list_push_back(&g->calls, &c->link);
        if (c->deadline_ns && !loop_timer_armed(g->tick))
                loop_timer_arm(g->tick, TICK_NS);
        if (g->state == GRPC_UP)
                call_submit(c);
        channel_flush_later(g); /* connects, too: never inside the caller */
        return c;
}

void grpc_send(struct grpc_call *c, const struct strbuf *message)
{
        append_framed(&c->out, message);
        if (c->id && c->out_waits) {
                c->out_waits = false;
                nghttp2_session_resume_data(c->g->session, c->id);
        }
        channel_flush_later(c->g);
}

void grpc_cancel(struct grpc_call *c)
{
        struct grpc *g = c->g;

        if (!c->id || !g->session) {
                call_free(c);
                return;
        }
        nghttp2_session_set_stream_user_data(g->session, c->id, NULL);
        nghttp2_submit_rst_stream(g->session, NGHTTP2_FLAG_NONE, c->id, NGHTTP2_CANCEL);
        call_free(c);
        channel_flush_later(g);
}

/* --- nghttp2's callbacks --- */

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
                       nghttp2_data_source *source, void *userdata)
{
        struct grpc_call *c = nghttp2_session_get_stream_user_data(session, id);
        size_t n;

        if (!c) {
                *flags |= NGHTTP2_DATA_FLAG_EOF;
                return 0;
        }
        n = MIN(len, c->out.len - c->out_at);
        memcpy(buf, c->out.data + c->out_at, n);
        c->out_at += n;
        if (c->out_at < c->out.len)
                return (ssize_t)n;
        strbuf_reset(&c->out);
        c->out_at = 0;
        if (!c->stream) {
                *flags |= NGHTTP2_DATA_FLAG_EOF;
        } else if (n == 0) {
                c->out_waits = true;
                return NGHTTP2_ERR_DEFERRED;
        }
        return (ssize_t)n;
}

/* grpc-message is percent-encoded. */
static char *percent_decode(const uint8_t *s, size_t len)
{
        char *out = xmalloc(len + 1), *p = out;

        for (size_t i = 0; i < len; i++) {
                unsigned v;

                if (s[i] == '%' && i + 2 < len && sscanf((const char *)s + i + 1, "%2x", &v) == 1) {
                        *p++ = (char)v;
                        i += 2;
                } else {
                        *p++ = (char)s[i];
                }
        }
        *p = '\0';
        return out;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *userdata)
{
        struct grpc_call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

        if (!c)
                return 0;
        if (name_len == 7 && memcmp(name, ":status", 7) == 0) {
                c->http_status = (unsigned)strtoul((const char *)value, NULL, 10);
        } else if (name_len == 11 && memcmp(name, "grpc-status", 11) == 0) {
                c->grpc_status = (int)strtol((const char *)value, NULL, 10);
        } else if (name_len == 12 && memcmp(name, "grpc-message", 12) == 0) {
                free(c->message);
                c->message = percent_decode(value, value_len);
        }
        return 0;
}

/* Hands over every whole message of c->in; false: what came is no gRPC. The call may be gone after
 * a message, so it is looked up again by its stream. */
static bool take_messages(nghttp2_session *session, int32_t id)
{
        size_t at = 0;
        struct grpc_call *c;

        while ((c = nghttp2_session_get_stream_user_data(session, id))) {
                const char *p = c->in.data + at;
                size_t left = c->in.len - at;
                uint32_t len;

                if (left < 5)
                        break;
                memcpy(&len, p + 1, sizeof(len));
                len = ntohl(len);
                if (p[0] != 0 || len > MAX_MESSAGE)
                        return false;
                if (left - 5 < len) {
                        strbuf_reserve(&c->in, len - (left - 5));
                        break;
                }
                at += 5 + (size_t)len;
                if (c->ops->message)
                        c->ops->message(c, p + 5, len, c->userdata);
        }
        if (c && at) {
                memmove(c->in.data, c->in.data + at, c->in.len - at);
                c->in.len -= at;
                if (c->in.len == 0 && c->in.cap > 256 * 1024)
                        strbuf_deinit(&c->in); /* a page of a list: not to be kept by a watch */
        }
        return true;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *userdata)
{
        struct grpc_call *c = nghttp2_session_get_stream_user_data(session, id);

        if (!c)
                return 0;
        strbuf_append(&c->in, data, len);
        if (!take_messages(session, id))
                nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
        return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *userdata)
{
        struct grpc_call *c = nghttp2_session_get_stream_user_data(session, id);
        _cleanup_free_ char *text = NULL;

        if (!c)
                return 0;
        if (c->grpc_status >= 0) {
                struct grpc *g = userdata;

                /* This member has lost the others, or goes down: another may know better. */
                if (c->grpc_status == GRPC_UNAVAILABLE && g->n_endpoints > 1 && !g->doomed) {
                        g->doomed = true;
                        channel_flush_later(g);
                }
                call_end(c, 0, c->grpc_status, c->message);
        } else if (error_code == NGHTTP2_REFUSED_STREAM) {
                call_end(c, -EHOSTUNREACH, 0, "the server refused the stream");
        } else if (error_code) {
                text = xasprintf("stream reset: %s", nghttp2_http2_strerror(error_code));
                call_end(c, -ECONNRESET, 0, text);
        } else {
                text = xasprintf("no gRPC answer: HTTP status %u", c->http_status);
                call_end(c, -EPROTO, 0, text);
        }
        return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *userdata)
{
        struct grpc *g = userdata;

        /* grpc-go measures the path with a PING for nearly every message, one at a time. Answered at once
         * that costs a wake, a read and a write each; answered by the tick, it asks once a second. */
        if (frame->hd.type == NGHTTP2_PING && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
                memcpy(g->ping, frame->ping.opaque_data, sizeof(g->ping));
                g->pinged = true;
                if (!loop_timer_armed(g->tick))
                        loop_timer_arm(g->tick, TICK_NS);
        }
        return 0;
}

static void call_submit(struct grpc_call *c)
{
        struct grpc *g = c->g;
        const struct endpoint *e = &g->endpoints[g->current];
        nghttp2_data_provider provider = { .read_callback = on_read };
#define NV(n, v)                                                                                              \
        {                                                                                                     \
                (uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v),                                         \
                        NGHTTP2_NV_FLAG_NO_COPY_NAME                                                          \
        }
        const nghttp2_nv headers[] = {
                NV(":method", "POST"),
                NV(":scheme", e->tls ? "https" : "http"),
                NV(":path", c->path),
                NV(":authority", e->authority),
                NV("content-type", "application/grpc"),
                NV("te", "trailers"),
                NV("user-agent", "colibri-apiserver"),
                NV("hasleader", "true"), /* a watch ends when its member has lost the others; the last one */
        };
#undef NV
        int32_t id = nghttp2_submit_request(g->session, NULL, headers, ARRAY_SIZE(headers) - !c->stream, &provider, c);

        /* Out of stream ids (2^30 calls), or the server goes away. Not failed here: this may run
         * inside a callback of the very session that would be deleted. */
        if (id < 0)
                g->doomed = true;
        else
                c->id = id;
}
/* --- the session --- */

/* Writes what is framed and what nghttp2 still has to frame. */
void grpc_channel_flush(struct grpc *g)
{
        while (g->state == GRPC_UP) {
                const uint8_t *data;
                ssize_t n;

                /* Frames are gathered, so that a turn's calls share a system call and a TLS record. */
                while (g->out.len - g->out_at < 64 * 1024) {
                        n = nghttp2_session_mem_send(g->session, &data);
                        if (n < 0) {
                                grpc_channel_fail(g, -EPROTO, "%s", nghttp2_strerror((int)n));
                                return;
                        }
                        if (n == 0)
                                break;
                        strbuf_append(&g->out, data, (size_t)n);
                }
                if (g->out_at == g->out.len)
                        break;
                n = grpc_socket_write(g, g->out.data + g->out_at, g->out.len - g->out_at);
                if (n == -EAGAIN) {
                        grpc_want_events(g, EPOLLIN | EPOLLOUT);
                        return;
                }
                if (n < 0) {
                        grpc_channel_fail(g, (int)n, "write: %s", strerror((int)-n));
                        return;
                }
                g->out_at += (size_t)n;
                if (g->out_at == g->out.len) {
                        strbuf_reset(&g->out);
                        g->out_at = 0;
                }
        }
        if (g->state == GRPC_UP)
                grpc_want_events(g, EPOLLIN);
}

static void flush_deferred(void *userdata)
{
        struct grpc *g = userdata;

        g->flush_deferred = false;
        g->deferred--;
        if (g->freed) {
                if (!g->deferred)
                        free(g);
                return;
        }
        if (g->state == GRPC_UP && g->doomed)
                grpc_channel_fail(g, -ECONNRESET, "the session takes no more streams");
        else if (g->state == GRPC_UP)
                grpc_channel_flush(g);
        else if (g->state == GRPC_DOWN && !list_empty(&g->calls))
                grpc_channel_connect(g);
}

void grpc_hold(struct grpc *g)
{
        g->held = true;
}

void grpc_flush(struct grpc *g)
{
        g->held = false;
        if (g->state == GRPC_UP && !g->doomed)
                grpc_channel_flush(g);
        else
                channel_flush_later(g);
}

void grpc_channel_read(struct grpc *g)
{
        uint8_t buf[READ_SIZE];

        g->drained = false;
        /* What is in the inbox is read in any case: the loop would not tell of it again. */
        for (unsigned round = 0; g->state == GRPC_UP && (round < 64 || g->inbox_at < g->inbox_len); round++) {
                size_t at = g->inbox_at;
                ssize_t n = grpc_socket_read(g, buf, sizeof(buf)), r;

                /* GnuTLS says so after a session ticket too, though the answer may lie behind it in the inbox. */
                if (n == -EAGAIN && g->inbox_at != at && g->inbox_at < g->inbox_len)
                        continue;
                if (n == -EAGAIN)
                        break;
                if (n <= 0) {
                        grpc_channel_fail(g, -ECONNRESET, "%s", n ? strerror((int)-n) : "the server closed the connection");
                        return;
                }
                g->heard_ns = loop_now(g->loop);
                r = nghttp2_session_mem_recv(g->session, buf, (size_t)n);
                if (r < 0) {
                        grpc_channel_fail(g, -EPROTO, "%s", nghttp2_strerror((int)r));
                        return;
                }
                /* A short read of a plain socket: there is no more, and the next call would only say so. */
                if (!g->tls && (size_t)n < sizeof(buf))
                        break;
        }
        if (g->state != GRPC_UP)
                return;
        if (!nghttp2_session_want_read(g->session) && !nghttp2_session_want_write(g->session)) {
                grpc_channel_fail(g, -ECONNRESET, "the session ended");
                return;
        }
        if (nghttp2_session_want_write(g->session))
                channel_flush_later(g); /* window updates and acks may wait for the end of the turn */
}

static void channel_close(struct grpc *g)
{
        loop_timer_disarm(g->timer);
        loop_fd_free(g->source);
        g->source = NULL;
        g->events = 0;
        if (g->session)
                nghttp2_session_del(g->session);
        g->session = NULL;
        if (g->tls)
                gnutls_deinit(g->tls);
        g->tls = NULL;
        free(g->inbox);
        g->inbox = NULL;
        g->inbox_at = g->inbox_len = 0;
        if (g->cred)
                gnutls_certificate_free_credentials(g->cred);
        g->cred = NULL;
        if (g->fd >= 0)
                close(g->fd);
        g->fd = -1;
        strbuf_reset(&g->out);
        g->out_at = 0;
        if (g->found)
                freeaddrinfo(g->found);
        g->found = g->next = NULL;
        g->doomed = false;
        g->state = GRPC_DOWN;
        g->generation++;
}

/* Ends the calls of the list that were sent (SENT) or all, with CODE. Callbacks may start new ones, which
 * are not ended. */
static void end_calls(struct grpc *g, bool all, int code, const char *text)
{
        struct list ending = LIST_INIT(ending);

        list_foreach_safe(&g->calls, it, tmp) {
                struct grpc_call *c = list_entry(it, struct grpc_call, link);

                if (all || c->id) {
                        list_remove(it);
                        list_push_back(&ending, it);
                }
        }
        while (!list_empty(&ending)) {
                struct grpc_call *c = list_entry(ending.next, struct grpc_call, link);

                call_end(c, c->id ? (code == -EHOSTUNREACH ? -ECONNRESET : code) : code, 0, text);
        }
}

void grpc_channel_fail(struct grpc *g, int code, const char *fmt, ...)
{
        bool was_up = g->state == GRPC_UP;
        _cleanup_free_ char *text = NULL, *copy = NULL;
        va_list ap;

        va_start(ap, fmt);
        text = xvasprintf(fmt, ap);
        va_end(ap);
        error_set(&g->trouble, code, "%s: %s", g->endpoints[g->current].url, text);
        copy = xstrdup(error_text(&g->trouble));
        channel_close(g);
        g->current = (g->current + 1) % g->n_endpoints;
        if (was_up) {
                g->failed = 0;
                end_calls(g, false, -ECONNRESET, copy);
        } else if (++g->failed >= g->n_endpoints) {
                g->failed = 0;
                end_calls(g, true, -EHOSTUNREACH, copy);
        }
        if (!list_empty(&g->calls))
                channel_flush_later(g);
}

void grpc_channel_up(struct grpc *g)
{
        static nghttp2_session_callbacks *callbacks;
        static nghttp2_option *option;
        const nghttp2_settings_entry settings[] = {
                { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
                { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW },
        };

        if (!callbacks) {
                nghttp2_session_callbacks_new(&callbacks);
                nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
                nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
                nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
                nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
                nghttp2_option_new(&option);
                nghttp2_option_set_no_auto_ping_ack(option, 1);
        }
        loop_timer_disarm(g->timer);
        if (nghttp2_session_client_new2(&g->session, callbacks, g, option) < 0)
                abort(); /* out of memory is its only reason */
        nghttp2_submit_settings(g->session, NGHTTP2_FLAG_NONE, settings, ARRAY_SIZE(settings));
        nghttp2_session_set_local_window_size(g->session, NGHTTP2_FLAG_NONE, 0, WINDOW);
        g->state = GRPC_UP;
        g->heard_ns = loop_now(g->loop);
        grpc_want_events(g, EPOLLIN);
        list_foreach_safe(&g->calls, it, tmp) {
                struct grpc_call *c = list_entry(it, struct grpc_call, link);

                if (!c->id)
                        call_submit(c);
        }
        grpc_channel_flush(g);
}
/* Calls past their deadline end. When a call timed out and nothing at all came since it was sent, the
 * server hangs: the connection goes, so that another endpoint is tried. */
static void on_tick(struct loop_timer *timer, void *userdata)
{
        struct grpc *g = userdata;
        int64_t now = loop_now(g->loop);
        bool more = false, hung = false, again;

        do {
                again = false;
                list_foreach_safe(&g->calls, it, tmp) {
                        struct grpc_call *c = list_entry(it, struct grpc_call, link);

                        if (!c->deadline_ns)
                                continue;
                        if (c->deadline_ns > now) {
                                more = true;
                                continue;
                        }
                        hung |= c->id && g->heard_ns < c->started_ns;
                        if (c->id && g->session)
                                nghttp2_submit_rst_stream(g->session, NGHTTP2_FLAG_NONE, c->id, NGHTTP2_CANCEL);
                        call_end(c, c->id ? -ETIMEDOUT : -EHOSTUNREACH, 0,
                                 c->id ? "no answer in time" : error_text(&g->trouble));
                        again = true; /* its callback may have changed the list */
                        break;
                }
        } while (again);
        if (g->pinged && g->state == GRPC_UP)
                nghttp2_submit_ping(g->session, NGHTTP2_FLAG_ACK, g->ping);
        g->pinged = false;
        if (hung && g->state == GRPC_UP)
                grpc_channel_fail(g, -ECONNRESET, "the server does not answer");
        if (more)
                loop_timer_arm(g->tick, TICK_NS);
        channel_flush_later(g);
}
/* --- the channel --- */
int grpc_new(struct loop *loop, const struct grpc_options *o, struct grpc **ret, struct error *reterr)
{
        struct grpc *g = new0(struct grpc);
        size_t n = 0;
        int r = 0;

        g->loop = loop;
        g->fd = -1;
        list_init(&g->calls);
        while (o->endpoints && o->endpoints[n])
                n++;
        g->endpoints = xcalloc(n ? n : 1, sizeof(*g->endpoints));
        g->n_endpoints = n;
        if (n == 0)
                r = error_set(reterr, -EINVAL, "no etcd endpoint");
        for (size_t i = 0; i < n && r == 0; i++)
                r = grpc_endpoint_parse(o->endpoints[i], &g->endpoints[i], reterr);
        g->ca_file = o->ca_file ? xstrdup(o->ca_file) : NULL;
        g->cert_file = o->cert_file ? xstrdup(o->cert_file) : NULL;
        g->key_file = o->key_file ? xstrdup(o->key_file) : NULL;
        g->connect_timeout_ns = o->connect_timeout_ns ? o->connect_timeout_ns : 3 * NS_PER_SEC;
        g->timer = loop_timer_new(loop, grpc_on_connect_timeout, g);
        g->tick = loop_timer_new(loop, on_tick, g);
        if (r < 0) {
                grpc_free(g);
                return r;
        }
        *ret = g;
        return 0;
}

struct grpc *grpc_new_to(const struct grpc *g, size_t i)
{
        const struct grpc_options o = { .endpoints = (const char *const[]){ g->endpoints[i].url, NULL }, .ca_file = g->ca_file,
                                        .cert_file = g->cert_file, .key_file = g->key_file,
                                        .connect_timeout_ns = g->connect_timeout_ns };
        struct grpc *one;

        if (grpc_new(g->loop, &o, &one, NULL) < 0)
                abort(); /* the URL was parsed before */
        return one;
}

size_t grpc_n_endpoints(const struct grpc *g)
{
        return g->n_endpoints;
}

const char *grpc_endpoint(const struct grpc *g, size_t i)
{
        return g->endpoints[i].url;
}

void grpc_free(struct grpc *g)
{
        if (!g)
                return;
        channel_close(g);
        end_calls(g, true, -ECANCELED, "the channel is closed");
        for (size_t i = 0; i < g->n_endpoints; i++) {
                free(g->endpoints[i].url);
                free(g->endpoints[i].host);
                free(g->endpoints[i].port);
                free(g->endpoints[i].authority);
        }
        free(g->endpoints);
        free(g->ca_file);
        free(g->cert_file);
        free(g->key_file);
        loop_timer_free(g->timer);
        loop_timer_free(g->tick);
        strbuf_deinit(&g->out);
        error_deinit(&g->trouble);
        g->freed = true;
        if (!g->deferred)
                free(g);
}

bool grpc_connected(const struct grpc *g)
{
        return g->state == GRPC_UP;
}

bool grpc_is_local(const struct grpc *g)
{
        return g->endpoints[g->current].local;
}

int64_t grpc_silence(const struct grpc *g)
{
        return g->state == GRPC_UP ? loop_now(g->loop) - g->heard_ns : -1;
}

void grpc_leave(struct grpc *g, const char *why)
{
        if (g->state == GRPC_UP)
                grpc_channel_fail(g, -ECONNRESET, "%s", why);
}

const char *grpc_trouble(const struct grpc *g)
{
        return g->state == GRPC_UP || !g->trouble.message ? "" : g->trouble.message;
}

/* --- one message each way, on a fiber --- */

struct unary {
        struct fiber *fiber;
        struct strbuf *reply;
        struct error *reterr;
        int code, status;
        bool done;
};

static void unary_message(struct grpc_call *c, const char *data, size_t len, void *userdata)
{
        struct unary *u = userdata;

        strbuf_reset(u->reply);
        strbuf_append(u->reply, data, len);
}

static void unary_end(const struct grpc_end *end, void *userdata)
{
        struct unary *u = userdata;

        u->code = end->code;
        u->status = end->status;
        if (end->code || end->status)
                error_set(u->reterr, end->code, "%s", end->message);
        u->done = true;
        fiber_wake(u->fiber);
}

int grpc_unary(struct grpc *g, const char *path, const struct strbuf *message, int64_t timeout_ns,
               struct strbuf *reply, int *ret_status, struct error *reterr)
{
        static const struct grpc_ops ops = { unary_message, unary_end };
        struct unary u = { .fiber = fiber_self(), .reply = reply, .reterr = reterr };

        grpc_start(g, path, message, false, timeout_ns, &ops, &u);
        while (!u.done)
                fiber_park();
        *ret_status = u.status;
        return u.code;
}
