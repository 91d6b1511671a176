/* exec and attach: a process's streams over SPDY or WebSocket channels.
 *
 *      channel            SPDY stream            WebSocket
 *      stdin 0            streamtype: stdin      first byte 0 (v5: ff 00 ends it)
 *      stdout 1, stderr 2 streamtype: ...        first byte 1, 2
 *      error 3            streamtype: error      first byte 3: a Status at the end
 *      resize 4           streamtype: resize     first byte 4: {"Width": .., "Height": ..}
 *
 * The process starts once the client has opened all the streams it announced. Reading from it stops
 * while the client does not take what was read.
 */
#include <errno.h>
#include <stdio.h>

#include "../../lib/base/encode.h"
#include "../../lib/json/json.h"
#include "../../lib/stream/spdy.h"
#include "../../lib/stream/websocket.h"
#include "../../lib/stream/wire.h"
#include "internal.h"

enum channel { CH_IN, CH_OUT, CH_ERR, CH_STATUS, CH_RESIZE, CHANNELS };

#define QUEUE_HIGH (256 << 10)
#define INPUT_HIGH (256 << 10)
#define OPEN_TIMEOUT (30 * NS_PER_SEC)
#define SIZE_WAIT NS_PER_SEC /* a client that never tells it only starts that much later */
#define LINGER (5 * NS_PER_SEC) /* after the end, for the client to close */

struct output {
        struct remote *r;
        enum channel channel;
        struct loop_fd *source;
        int *fd;
        bool eof;
};

struct remote {
        struct kubelet_server *s;
        struct arena *arena;
        struct remote_request request;
        struct wire *wire;
        struct spdy *spdy;
        struct websocket *ws;
        bool v4, v5, base64;
        struct spdy_stream *streams[CHANNELS];
        struct runtime_stream io;
        bool io_open, started, gone, finished;
        struct output outputs[2];
        struct strbuf input;
        bool input_ended;
        struct loop_fd *input_source;
        struct strbuf resize;
        uint16_t rows, cols; /* of the client's terminal, as far as it has said; else 0 */
        struct fiber *waiter;
        struct loop_timer *timer;
        unsigned refs;
};

static void remote_fiber(void *userdata);

static void remote_release(void *userdata)
{
        struct remote *r = userdata;
        spdy_free(r->spdy);
        websocket_free(r->ws);
        strbuf_deinit(&r->input);
        strbuf_deinit(&r->resize);
        arena_free(r->arena);
        free(r);
}

static void remote_unref(struct remote *r)
{
        if (--r->refs == 0)
                loop_defer(r->s->k->loop, remote_release, r);
}

static void remote_wake(struct remote *r)
{
        if (r->waiter)
                fiber_wake(r->waiter);
}

/* The connection is over, for whatever reason. */
static void remote_gone(struct remote *r)
{
        if (r->gone)
                return;
        r->gone = true;
        loop_timer_free(steal_ptr(r->timer));
        wire_free(steal_ptr(r->wire));
        remote_wake(r);
        remote_unref(r); /* the wire's */
}

/* --- out --- */

static void remote_write(const void *data, size_t len, void *userdata)
{
        struct remote *r = userdata;
        if (!r->gone)
                wire_write(r->wire, data, len);
}

static void remote_send(struct remote *r, enum channel ch, const void *data, size_t len)
{
        uint8_t prefix = (uint8_t)ch;
        if (r->gone)
                return;
        if (r->spdy) {
                if (r->streams[ch])
                        spdy_send(r->streams[ch], data, len);
                return;
        }
        if (!r->base64) {
                websocket_send(r->ws, false, &prefix, 1, data, len);
                return;
        }
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
        strbuf_putc(&text, (char)('0' + ch));
        base64_encode(&text, data, len);
        websocket_send(r->ws, true, NULL, 0, text.data, text.len);
}

static void remote_end_channel(struct remote *r, enum channel ch)
{
        if (!r->gone && r->spdy && r->streams[ch])
                spdy_finish(r->streams[ch]);
}

static void output_watch(struct remote *r)
{
        bool slow = !r->gone && wire_queued(r->wire) > QUEUE_HIGH;
        for (size_t i = 0; i < 2; i++)
                if (r->outputs[i].source)
                        loop_fd_set(r->outputs[i].source, slow ? 0 : EPOLLIN);
}

static void output_ready(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct output *o = userdata;
        struct remote *r = o->r;
        char buf[32768];
        ssize_t n = read(*o->fd, buf, sizeof(buf));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) { /* a terminal whose other side is closed answers EIO */
                loop_fd_free(steal_ptr(o->source));
                o->eof = true;
                remote_wake(r);
                return;
        }
        remote_send(r, o->channel, buf, (size_t)n);
        output_watch(r);
}

/* --- in --- */

static void input_pump(struct remote *r)
{
        while (r->io_open && r->io.in_fd >= 0 && r->input.len) {
                ssize_t n = write(r->io.in_fd, r->input.data, r->input.len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0) {
                        r->input_ended = true; /* it reads no more */
                        strbuf_reset(&r->input);
                        break;
                }
                memmove(r->input.data, r->input.data + n, r->input.len - (size_t)n);
                r->input.len -= (size_t)n;
        }
        if (r->io_open && r->io.in_fd >= 0 && !r->input.len && r->input_ended) {
                loop_fd_free(steal_ptr(r->input_source));
                if (r->io.tty_fd >= 0) {
                        uint8_t eot = 4; /* a terminal has no half-close: what the keyboard sends */
                        if (write(r->io.in_fd, &eot, 1) < 0)
                                r->input_ended = true;
                } else {
                        close(r->io.in_fd);
                        r->io.in_fd = -1;
                }
                r->input_ended = false;
        }
        if (r->input_source)
                loop_fd_set(r->input_source, r->input.len ? EPOLLOUT : 0);
        if (!r->gone)
                wire_pause(r->wire, r->input.len > INPUT_HIGH);
}

static void input_ready(struct loop_fd *source, uint32_t events, void *userdata)
{
        input_pump(userdata);
}

static void apply_size(struct remote *r)
{
        struct runtime *rt = r->s->k->runtime;
        if (r->io_open && (r->rows || r->cols))
                rt->ops->stream_resize(rt, &r->io, r->rows, r->cols);
}

/* JSON objects one after the other, cut anywhere. */
static void take_resize(struct remote *r, const void *data, size_t len)
{
        strbuf_append(&r->resize, data, len);
        for (;;) {
                char *end = r->resize.len ? memchr(r->resize.data, '}', r->resize.len) : NULL;
                if (!end)
                        break;
                _cleanup_arena_ struct arena *a = arena_new(256);
                struct json *size = NULL;
                size_t n = (size_t)(end - r->resize.data) + 1;
                if (json_parse(a, r->resize.data, n, NULL, &size, NULL) == 0) {
                        r->rows = (uint16_t)json_get_int(size, "Height", 0);
                        r->cols = (uint16_t)json_get_int(size, "Width", 0);
                        apply_size(r);
                        remote_wake(r);
                }
                memmove(r->resize.data, r->resize.data + n, r->resize.len - n);
                r->resize.len -= n;
        }
        if (r->resize.len > 4096)
                strbuf_reset(&r->resize);
}

static void remote_take(struct remote *r, enum channel ch, const uint8_t *data, size_t len, bool end)
{
        if (ch == CH_RESIZE) {
                take_resize(r, data, len);
        } else if (ch == CH_IN && r->request.in) {
                strbuf_append(&r->input, data, len);
                r->input_ended |= end;
                input_pump(r);
        }
}

/* --- WebSocket --- */

static void ws_message(bool text, const uint8_t *data, size_t len, void *userdata)
{
        struct remote *r = userdata;
        if (!len)
                return;
        if (r->base64) {
                _cleanup_strbuf_ struct strbuf raw = STRBUF_INIT;
                if (base64_decode(&raw, (const char *)data + 1, len - 1, NULL) == 0 && data[0] >= '0' && data[0] < '0' + CHANNELS)
                        remote_take(r, (enum channel)(data[0] - '0'), (const uint8_t *)strbuf_str(&raw), raw.len, false);
                return;
        }
        if (data[0] == 255 && r->v5 && len >= 2)
                remote_take(r, (enum channel)data[1], NULL, 0, true);
        else if (data[0] < CHANNELS)
                remote_take(r, (enum channel)data[0], data + 1, len - 1, false);
}

static void ws_closed(unsigned code, void *userdata)
{
        remote_gone(userdata);
}

/* --- SPDY --- */

static bool all_open(const struct remote *r)
{
        return r->streams[CH_STATUS] && (!r->request.in || r->streams[CH_IN]) && (!r->request.out || r->streams[CH_OUT]) &&
               (!r->request.err || r->streams[CH_ERR]) && (!r->request.tty || r->streams[CH_RESIZE]);
}

static void remote_start(struct remote *r)
{
        if (r->started)
                return;
        r->started = true;
        r->refs++;
        fiber_start(r->s->k->loop, remote_fiber, r);
}

static void spdy_opened(struct spdy_stream *st, const struct spdy_header *headers, size_t n, void *userdata)
{
        static const char *const names[CHANNELS] = {"stdin", "stdout", "stderr", "error", "resize"};
        struct remote *r = userdata;
        const char *type = spdy_header(headers, n, "streamtype");
        for (size_t i = 0; i < CHANNELS; i++) {
                if (!streq(type, names[i]) || r->streams[i])
                        continue;
                r->streams[i] = st;
                st->userdata = (void *)(uintptr_t)(i + 1);
                spdy_reply(st);
                if (all_open(r))
                        remote_start(r);
                return;
        }
        spdy_reset(st, SPDY_REFUSED_STREAM);
}

static void spdy_data(struct spdy_stream *st, const uint8_t *data, size_t len, bool fin, void *userdata)
{
        remote_take(userdata, (enum channel)((uintptr_t)st->userdata - 1), data, len, fin);
}

static void spdy_closed(struct spdy_stream *st, void *userdata)
{
        struct remote *r = userdata;
        if (st->userdata)
                r->streams[(uintptr_t)st->userdata - 1] = NULL;
}

/* --- the wire --- */

static void wire_data(struct wire *w, const uint8_t *data, size_t len, void *userdata)
{
        struct remote *r = userdata;
        int code = r->spdy ? spdy_input(r->spdy, data, len, NULL) : websocket_input(r->ws, data, len, NULL);
        if (code < 0)
                remote_gone(r);
}

static void wire_closed(struct wire *w, int code, void *userdata)
{
        remote_gone(userdata);
}

static void wire_drained(struct wire *w, void *userdata)
{
        output_watch(userdata);
}

static void remote_timeout(struct loop_timer *timer, void *userdata)
{
        struct remote *r = userdata;
        if (!r->started || r->finished)
                remote_gone(r);
}

/* --- the process --- */

static void send_status(struct remote *r, int code, int exit_code, const char *text)
{
        _cleanup_arena_ struct arena *a = arena_new(512);
        struct json *st = json_new_object(a);
        json_set(a, st, "metadata", json_new_object(a));
        if (!r->v4) { /* the first versions: a bare text, or nothing */
                if (code || exit_code)
                        remote_send(r, CH_STATUS, text, strlen(text));
                return;
        }
        json_set_string(a, st, "status", code || exit_code ? "Failure" : "Success");
        if (code || exit_code)
                json_set_string(a, st, "message", text);
        if (!code && exit_code) {
                struct json *cause = json_new_object(a), *details = json_ensure_object(a, st, "details");
                json_set_string(a, st, "reason", "NonZeroExitCode");
                json_set_string(a, cause, "reason", "ExitCode");
                json_set(a, cause, "message", json_new_stringf(a, "%d", exit_code));
                json_append(a, json_ensure_array(a, details, "causes"), cause);
        } else if (code) {
                json_set_string(a, st, "reason", "InternalError");
                json_set_int(a, st, "code", 500);
        }
        char *body = json_print(a, st);
        remote_send(r, CH_STATUS, body, strlen(body));
}

static int open_io(struct remote *r, struct error *reterr)
{
        struct runtime *rt = r->s->k->runtime;
        struct runtime_exec e = {.argv = r->request.argv,
                                 .tty = r->request.tty,
                                 .want_in = r->request.in,
                                 .want_out = r->request.out,
                                 .want_err = r->request.err,
                                 .rows = r->rows,
                                 .cols = r->cols};
        if (r->request.argv)
                return rt->ops->exec_start(rt, r->request.container_id, &e, &r->io, reterr);
        return rt->ops->attach(rt, r->request.container_id, r->request.in, &r->io, reterr);
}

static void watch_io(struct remote *r)
{
        int *fds[2] = {&r->io.out_fd, &r->io.err_fd};
        for (size_t i = 0; i < 2; i++) {
                struct output *o = &r->outputs[i];
                *o = (struct output){.r = r, .channel = i ? CH_ERR : CH_OUT, .fd = fds[i], .eof = *fds[i] < 0};
                if (!o->eof)
                        o->source = loop_fd_new(r->s->k->loop, *fds[i], EPOLLIN, output_ready, o);
        }
        if (r->io.in_fd >= 0)
                r->input_source = loop_fd_new(r->s->k->loop, r->io.in_fd, 0, input_ready, r);
        input_pump(r);
}

static void finish(struct remote *r)
{
        r->finished = true;
        if (r->gone)
                return;
        if (r->spdy) {
                remote_end_channel(r, CH_STATUS);
                spdy_goaway(r->spdy);
        } else {
                websocket_close(r->ws, 1000);
        }
        wire_finish(r->wire);
        loop_timer_arm(r->timer, LINGER);
}

static void size_timeout(struct loop_timer *timer, void *userdata)
{
        remote_wake(userdata);
}

/* A program on a terminal asks for its size first thing; clients tell it right after the streams are open. */
static void wait_for_size(struct remote *r)
{
        if (!r->request.tty || !r->request.argv || r->rows || r->gone)
                return;
        struct loop_timer *timer = loop_timer_new(r->s->k->loop, size_timeout, r);
        loop_timer_arm(timer, SIZE_WAIT);
        r->waiter = fiber_self();
        fiber_park();
        r->waiter = NULL;
        loop_timer_free(timer);
}

static void remote_fiber(void *userdata)
{
        struct remote *r = userdata;
        struct runtime *rt = r->s->k->runtime;
        _cleanup_error_ struct error err = ERROR_INIT;
        int exit_code = 0;
        wait_for_size(r);
        int code = open_io(r, &err);
        if (code == 0) {
                r->io_open = true;
                apply_size(r);
                watch_io(r);
                r->waiter = fiber_self();
                while (!r->gone && !(r->outputs[0].eof && r->outputs[1].eof))
                        fiber_park();
                r->waiter = NULL;
                if (!r->gone && r->request.argv)
                        code = rt->ops->exec_wait(rt, &r->io, &exit_code, &err);
                for (size_t i = 0; i < 2; i++)
                        loop_fd_free(steal_ptr(r->outputs[i].source));
                loop_fd_free(steal_ptr(r->input_source));
                r->io_open = false;
                rt->ops->stream_close(rt, &r->io);
        }
        remote_end_channel(r, CH_OUT);
        remote_end_channel(r, CH_ERR);
        _cleanup_free_ char *text =
                code        ? xasprintf("Internal error occurred: error %s container: %s",
                                          r->request.argv ? "executing command in" : "attaching to", error_text(&err))
                : exit_code ? xasprintf("command terminated with non-zero exit code: exit status %d", exit_code)
                            : xstrdup("");
        send_status(r, code, exit_code, text);
        finish(r);
        remote_unref(r);
}

/* --- the handshake --- */

static void upgraded(int fd, const void *already, size_t len, void *userdata)
{
        static const struct wire_ops ops = {.data = wire_data, .closed = wire_closed, .drained = wire_drained};
        static const struct spdy_ops spdy = {
                .write = remote_write, .opened = spdy_opened, .data = spdy_data, .closed = spdy_closed};
        static const struct websocket_ops ws = {.write = remote_write, .message = ws_message, .closed = ws_closed};
        struct remote *r = userdata;
        if (fd < 0) { /* the client has left */
                r->gone = true;
                remote_unref(r);
                return;
        }
        r->wire = wire_new(r->s->k->loop, fd, &ops, r);
        r->timer = loop_timer_new(r->s->k->loop, remote_timeout, r);
        loop_timer_arm(r->timer, OPEN_TIMEOUT);
        if (!r->ws) {
                r->spdy = spdy_new(&spdy, r);
        } else {
                websocket_free(r->ws);
                r->ws = websocket_new(&ws, r);
                /* So that clients know that the channels are open. */
                remote_send(r, r->request.out ? CH_OUT : r->request.err ? CH_ERR : CH_STATUS, "", 0);
        }
        if (len)
                wire_data(r->wire, already, len, r);
        if (r->ws && !r->gone)
                remote_start(r);
}

static struct remote *remote_new(struct kubelet_server *s, const struct remote_request *q)
{
        struct remote *r = new0(struct remote);
        size_t n = 0;
        r->s = s;
        r->refs = 1;
        r->arena = arena_new(512);
        r->request = *q;
        r->request.container_id = arena_strdup(r->arena, q->container_id);
        while (q->argv && q->argv[n])
                n++;
        const char **argv = arena_calloc(r->arena, (n + 1) * sizeof(*argv));
        for (size_t i = 0; i < n; i++)
                argv[i] = arena_strdup(r->arena, q->argv[i]);
        r->request.argv = q->argv ? argv : NULL;
        return r;
}

static void serve_websocket(struct kubelet_server *s, struct http_request *req, const struct remote_request *q)
{
        static const char *const supported[] = {"v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io",
                                                "channel.k8s.io", "base64.channel.k8s.io", NULL};
        static const struct websocket_ops none;
        const char *offered[16], *key = http_header(req, "Sec-WebSocket-Key"), *headers[12];
        size_t n = header_list(req, "Sec-WebSocket-Protocol", offered, 16), h = 0;
        const char *chosen = negotiate(req->arena, offered, n, supported);
        char accept[WEBSOCKET_ACCEPT_BUF];
        if (!key || (n && !chosen)) {
                answer_text(req, 400, "websocket: requested protocol(s) are not supported");
                return;
        }
        struct remote *r = remote_new(s, q);
        r->v4 = str_has_prefix(chosen ? chosen : "", "v");
        r->v5 = str_has_prefix(chosen ? chosen : "", "v5");
        r->base64 = chosen && strstr(chosen, "base64");
        r->ws = websocket_new(&none, r);
        headers[h++] = "Connection", headers[h++] = "Upgrade";
        headers[h++] = "Upgrade", headers[h++] = "websocket";
        headers[h++] = "Sec-WebSocket-Accept", headers[h++] = websocket_accept(key, accept);
        if (chosen)
                headers[h++] = "Sec-WebSocket-Protocol", headers[h++] = chosen;
        headers[h] = NULL;
        http_upgrade(req, headers, upgraded, r);
}

void serve_remote(struct kubelet_server *s, struct http_request *req, const struct remote_request *q)
{
        static const char *const supported[] = {"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io",
                                                "channel.k8s.io", NULL};
        const char *offered[16];
        if (!q->in && !q->out && !q->err) {
                answer_text(req, 400, "you must specify at least 1 of stdin, stdout, stderr");
                return;
        }
        if (wants_websocket(req)) {
                serve_websocket(s, req, q);
                return;
        }
        const char *upgrade = http_header(req, "Upgrade");
        if (!upgrade || strcasecmp(upgrade, "SPDY/3.1") != 0) {
                answer_text(req, 400, "unable to upgrade: missing upgrade headers in request");
                return;
        }
        size_t n = header_list(req, "X-Stream-Protocol-Version", offered, 16);
        const char *chosen = n ? negotiate(req->arena, offered, n, supported) : "channel.k8s.io";
        if (!chosen) {
                answer_text(req, 403, "unable to upgrade: unable to negotiate protocol");
                return;
        }
        struct remote *r = remote_new(s, q);
        r->v4 = str_has_prefix(chosen, "v4");
        const char *headers[] = {"Connection", "Upgrade", "Upgrade", "SPDY/3.1", "X-Stream-Protocol-Version", chosen, NULL};
        http_upgrade(req, headers, upgraded, r);
}
