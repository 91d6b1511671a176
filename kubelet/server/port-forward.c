/* Port-forward: SPDY streams in pairs (error, data) by request id, plain or inside a WebSocket, and
 * WebSocket channels (2n data, 2n+1 error).
 *
 * Each forwarded connection is a descriptor in the pod's network and a pump in both directions.
 * Reading from the pod stops while the client does not take what was read.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "../../lib/stream/spdy.h"
#include "../../lib/stream/websocket.h"
#include "../../lib/stream/wire.h"
#include "internal.h"

#define QUEUE_HIGH (256 << 10)
#define PORTS_MAX 64

struct forward {
        struct kubelet_server *s;
        char *sandbox_id, *pod_uid;
        struct wire *wire;
        struct spdy *spdy;
        struct websocket *ws;
        struct conn **conns;
        size_t n, cap;
        bool gone;
        unsigned refs;
};

/* One forwarded connection. */
struct conn {
        struct forward *f;
        char *request_id;
        int port, channel;              /* channel: of WebSocket mode; -1 with SPDY */
        struct spdy_stream *error, *data;
        int fd;
        struct loop_fd *source;
        struct strbuf out;              /* to the pod */
        bool client_done, dialing, removed;
        unsigned refs;
};

static void forward_release(void *userdata)
{
        struct forward *f = userdata;
        spdy_free(f->spdy);
        websocket_free(f->ws);
        free(f->conns);
        free(f->sandbox_id);
        free(f->pod_uid);
        free(f);
}

static void forward_unref(struct forward *f)
{
        if (--f->refs == 0)
                loop_defer(f->s->k->loop, forward_release, f);
}

static void conn_unref(struct conn *c)
{
        if (--c->refs)
                return;
        struct forward *f = c->f;
        strbuf_deinit(&c->out);
        free(c->request_id);
        free(c);
        forward_unref(f);
}

/* A pod that does not take what was sent to it holds up the client: all connections of it, for they share a stream. */
static void forward_watch(struct forward *f)
{
        bool slow = false;
        for (size_t i = 0; i < f->n; i++)
                slow |= f->conns[i]->out.len > QUEUE_HIGH;
        if (!f->gone && f->wire)
                wire_pause(f->wire, slow);
}

static void conn_remove(struct conn *c)
{
        struct forward *f = c->f;
        if (c->removed)
                return;
        c->removed = true;
        for (size_t i = 0; i < f->n; i++)
                if (f->conns[i] == c)
                        f->conns[i] = f->conns[--f->n];
        loop_fd_free(steal_ptr(c->source));
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
        forward_watch(f);
        conn_unref(c);
}

static void forward_gone(struct forward *f)
{
        if (f->gone)
                return;
        f->gone = true;
        while (f->n)
                conn_remove(f->conns[0]);
        wire_free(steal_ptr(f->wire));
        forward_unref(f);
}

/* --- to the client --- */

static void raw_write(const void *data, size_t len, void *userdata)
{
        struct forward *f = userdata;
        if (!f->gone)
                wire_write(f->wire, data, len);
}

/* SPDY inside a WebSocket: message bounds mean nothing. */
static void tunnel_write(const void *data, size_t len, void *userdata)
{
        struct forward *f = userdata;
        if (!f->gone)
                websocket_send(f->ws, false, NULL, 0, data, len);
}

static void conn_send(struct conn *c, const void *data, size_t len)
{
        uint8_t prefix = (uint8_t)c->channel;
        if (c->f->gone)
                return;
        if (c->channel >= 0)
                websocket_send(c->f->ws, false, &prefix, 1, data, len);
        else if (c->data)
                spdy_send(c->data, data, len);
}

static void conn_end(struct conn *c, const char *error)
{
        uint8_t prefix = (uint8_t)(c->channel + 1);
        if (!c->f->gone && c->channel >= 0 && error)
                websocket_send(c->f->ws, false, &prefix, 1, error, strlen(error));
        if (!c->f->gone && c->error) {
                if (error)
                        spdy_send(c->error, error, strlen(error));
                spdy_finish(c->error);
        }
        if (!c->f->gone && c->data)
                spdy_finish(c->data);
        conn_remove(c);
}

/* --- the pod's side --- */

static void conn_watch(struct conn *c)
{
        bool slow = !c->f->gone && wire_queued(c->f->wire) > QUEUE_HIGH;
        if (c->source)
                loop_fd_set(c->source, (slow ? 0 : EPOLLIN) | (c->out.len ? EPOLLOUT : 0));
}

static void conn_flush(struct conn *c)
{
        while (c->fd >= 0 && c->out.len) {
                ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                memmove(c->out.data, c->out.data + n, c->out.len - (size_t)n);
                c->out.len -= (size_t)n;
        }
        if (c->fd >= 0 && c->client_done && !c->out.len)
                shutdown(c->fd, SHUT_WR);
        conn_watch(c);
        forward_watch(c->f);
}

static void conn_ready(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct conn *c = userdata;
        char buf[32768];
        c->refs++;
        if (events & EPOLLOUT)
                conn_flush(c);
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                ssize_t n = recv(c->fd, buf, sizeof(buf), 0);
                if (n > 0) {
                        conn_send(c, buf, (size_t)n);
                        conn_watch(c);
                } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
                        conn_end(c, NULL);
                }
        }
        conn_unref(c);
}

static void dial_fiber(void *userdata)
{
        struct conn *c = userdata;
        struct runtime *rt = c->f->s->k->runtime;
        _cleanup_error_ struct error err = ERROR_INIT;
        int fd = -1, r = rt->ops->port_forward(rt, c->f->sandbox_id, c->port, &fd, &err);
        if (c->removed) {
                if (r == 0)
                        close(fd);
        } else if (r != 0) {
                _cleanup_free_ char *text = xasprintf("error forwarding port %d to pod %s, uid : %s", c->port,
                                                      c->f->sandbox_id, error_text(&err));
                conn_end(c, text);
        } else {
                c->fd = fd;
                c->source = loop_fd_new(c->f->s->k->loop, fd, EPOLLIN, conn_ready, c);
                conn_flush(c);
        }
        conn_unref(c);
}

static void conn_dial(struct conn *c)
{
        if (c->dialing)
                return;
        c->dialing = true;
        c->refs++;
        fiber_start(c->f->s->k->loop, dial_fiber, c);
}

static void conn_take(struct conn *c, const void *data, size_t len, bool end)
{
        strbuf_append(&c->out, data, len);
        c->client_done |= end;
        if (c->fd >= 0)
                conn_flush(c);
        else
                forward_watch(c->f);
}

static struct conn *conn_new(struct forward *f, const char *request_id, int port, int channel)
{
        struct conn *c = new0(struct conn);
        c->f = f;
        f->refs++;
        c->refs = 1;
        c->fd = -1;
        c->port = port;
        c->channel = channel;
        c->request_id = xstrdup(request_id);
        array_reserve(f->conns, f->cap, f->n + 1);
        f->conns[f->n++] = c;
        return c;
}

/* --- SPDY --- */

static void spdy_opened(struct spdy_stream *st, const struct spdy_header *headers, size_t n, void *userdata)
{
        struct forward *f = userdata;
        const char *type = spdy_header(headers, n, "streamtype"), *id = spdy_header(headers, n, "requestid");
        int port = atoi(spdy_header(headers, n, "port"));
        bool error = streq(type, "error");
        struct conn *c = NULL;
        for (size_t i = 0; i < f->n; i++)
                if (streq(f->conns[i]->request_id, id) && f->conns[i]->port == port)
                        c = f->conns[i];
        if (port <= 0 || port > 65535 || (!error && !streq(type, "data")) || (c && (error ? c->error : c->data))) {
                spdy_reset(st, SPDY_REFUSED_STREAM);
                return;
        }
        if (!c)
                c = conn_new(f, id, port, -1);
        if (error)
                c->error = st;
        else
                c->data = st;
        st->userdata = c;
        spdy_reply(st);
        if (c->error && c->data)
                conn_dial(c);
}

/* A stream may outlive its connection, which the pod's end closed: only the list says whether it is there. */
static struct conn *conn_of(struct forward *f, const struct spdy_stream *st)
{
        for (size_t i = 0; i < f->n; i++)
                if (f->conns[i] == st->userdata)
                        return f->conns[i];
        return NULL;
}

static void spdy_data(struct spdy_stream *st, const uint8_t *data, size_t len, bool fin, void *userdata)
{
        struct conn *c = conn_of(userdata, st);
        if (c && c->data == st)
                conn_take(c, data, len, fin);
}

static void spdy_closed(struct spdy_stream *st, void *userdata)
{
        struct conn *c = conn_of(userdata, st);
        if (!c)
                return;
        bool data = c->data == st;
        if (data)
                c->data = NULL;
        else
                c->error = NULL;
        if (data && !c->removed)
                conn_remove(c); /* the client gave it up */
}

/* --- WebSocket --- */

static void channel_message(bool text, const uint8_t *data, size_t len, void *userdata)
{
        struct forward *f = userdata;
        for (size_t i = 0; len && i < f->n; i++)
                if (f->conns[i]->channel == data[0]) {
                        conn_take(f->conns[i], data + 1, len - 1, false);
                        return;
                }
}

static void tunnel_message(bool text, const uint8_t *data, size_t len, void *userdata)
{
        struct forward *f = userdata;
        if (spdy_input(f->spdy, data, len, NULL) < 0)
                forward_gone(f);
}

static void ws_closed(unsigned code, void *userdata)
{
        forward_gone(userdata);
}

/* --- the wire --- */

static void wire_data(struct wire *w, const uint8_t *data, size_t len, void *userdata)
{
        struct forward *f = userdata;
        int r = f->ws ? websocket_input(f->ws, data, len, NULL) : spdy_input(f->spdy, data, len, NULL);
        if (r < 0)
                forward_gone(f);
}

static void wire_closed(struct wire *w, int code, void *userdata)
{
        forward_gone(userdata);
}

static void wire_drained(struct wire *w, void *userdata)
{
        struct forward *f = userdata;
        for (size_t i = 0; i < f->n; i++)
                conn_watch(f->conns[i]);
}

static const struct wire_ops wire_ops = {.data = wire_data, .closed = wire_closed, .drained = wire_drained};
static const struct spdy_ops plain_ops = {
        .write = raw_write, .opened = spdy_opened, .data = spdy_data, .closed = spdy_closed};
static const struct spdy_ops tunnel_ops = {
        .write = tunnel_write, .opened = spdy_opened, .data = spdy_data, .closed = spdy_closed};
static const struct websocket_ops tunnel_ws = {.write = raw_write, .message = tunnel_message, .closed = ws_closed};
static const struct websocket_ops channel_ws = {.write = raw_write, .message = channel_message, .closed = ws_closed};

static void upgraded(int fd, const void *already, size_t len, void *userdata)
{
        struct forward *f = userdata;
        if (fd < 0) { /* the client has left */
                forward_gone(f);
                return;
        }
        f->wire = wire_new(f->s->k->loop, fd, &wire_ops, f);
        /* Channels: each begins with its port, so that the client sees that it is open. */
        for (size_t i = 0; i < f->n; i++) {
                struct conn *c = f->conns[i];
                for (int j = 0; j < 2; j++) {
                        uint8_t first[3] = {(uint8_t)(c->channel + j), (uint8_t)c->port, (uint8_t)(c->port >> 8)};
                        websocket_send(f->ws, false, NULL, 0, first, sizeof(first));
                }
        }
        for (size_t i = f->n; i-- > 0;)
                conn_dial(f->conns[i]);
        if (len)
                wire_data(f->wire, already, len, f);
}

static struct forward *forward_new(struct kubelet_server *s, struct pod_worker *w)
{
        struct forward *f = new0(struct forward);
        f->s = s;
        f->refs = 1;
        f->sandbox_id = xstrdup(w->sandbox_id);
        return f;
}

/* ?ports=80,443 (or ports=80&ports=443). The number of them; 0: none, or one is no port. */
static size_t query_ports(struct http_request *req, int *ports)
{
        const char **values;
        size_t n = 0, count = http_query_all(req, "ports", &values);
        if (!count)
                count = http_query_all(req, "port", &values);
        for (size_t i = 0; i < count; i++) {
                char *save = NULL;
                for (char *p = strtok_r(arena_strdup(req->arena, values[i]), ",", &save); p; p = strtok_r(NULL, ",", &save)) {
                        int port = atoi(p);
                        if (port <= 0 || port > 65535 || n == PORTS_MAX)
                                return 0;
                        ports[n++] = port;
                }
        }
        return n;
}

static void serve_websocket(struct kubelet_server *s, struct http_request *req, struct pod_worker *w)
{
        static const char *const supported[] = {"SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io", "channel.k8s.io", NULL};
        const char *offered[16], *key = http_header(req, "Sec-WebSocket-Key"), *headers[12];
        size_t n = header_list(req, "Sec-WebSocket-Protocol", offered, 16), h = 0;
        const char *chosen = negotiate(req->arena, offered, n, supported);
        int ports[PORTS_MAX];
        char accept[WEBSOCKET_ACCEPT_BUF];
        bool tunnel = chosen && str_has_prefix(chosen, "SPDY");
        size_t n_ports = tunnel ? 0 : query_ports(req, ports);
        if (!key || (n && !chosen) || (!tunnel && !n_ports)) {
                answer_text(req, 400, n_ports || tunnel ? "websocket: requested protocol(s) are not supported"
                                                        : "query parameter \"ports\" is required");
                return;
        }
        struct forward *f = forward_new(s, w);
        f->ws = websocket_new(tunnel ? &tunnel_ws : &channel_ws, f);
        if (tunnel)
                f->spdy = spdy_new(&tunnel_ops, f);
        for (size_t i = 0; i < n_ports; i++)
                conn_new(f, "", ports[i], (int)(2 * i));
        headers[h++] = "Connection", headers[h++] = "Upgrade";
        headers[h++] = "Upgrade", headers[h++] = "websocket";
        headers[h++] = "Sec-WebSocket-Accept", headers[h++] = websocket_accept(key, accept);
        if (chosen)
                headers[h++] = "Sec-WebSocket-Protocol", headers[h++] = chosen;
        headers[h] = NULL;
        http_upgrade(req, headers, upgraded, f);
}

void serve_port_forward(struct kubelet_server *s, struct http_request *req, struct pod_worker *w)
{
        static const char *const supported[] = {"portforward.k8s.io", NULL};
        const char *offered[16], *upgrade = http_header(req, "Upgrade");
        size_t n = header_list(req, "X-Stream-Protocol-Version", offered, 16);
        if (!w->sandbox_id || w->lc->state != POD_RUNNING) {
                answer_text(req, 500, "pod is not running");
                return;
        }
        if (wants_websocket(req)) {
                serve_websocket(s, req, w);
                return;
        }
        if (!upgrade || strcasecmp(upgrade, "SPDY/3.1") != 0 || (n && !negotiate(req->arena, offered, n, supported))) {
                answer_text(req, n ? 403 : 400, "unable to upgrade: unable to negotiate protocol");
                return;
        }
        struct forward *f = forward_new(s, w);
        f->spdy = spdy_new(&plain_ops, f);
        const char *headers[] = {"Connection", "Upgrade", "Upgrade", "SPDY/3.1", "X-Stream-Protocol-Version",
                                 "portforward.k8s.io", NULL};
        http_upgrade(req, headers, upgraded, f);
}
