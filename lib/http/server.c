/* The server's connections: accepting, reading, dispatching, timing out.
 *
 * Why there is a parser of our own here and not libmicrohttpd. Behind a TLS front libmicrohttpd reads and
 * writes the plain side of a socketpair, so that every request crosses the kernel three times and wakes
 * three epoll descriptors. Measured on a 2-core virtual machine, GnuTLS 3.7.9, libmicrohttpd 0.9.75, GETs
 * of 3.5 KB over keep-alive TLS, CPU of the server alone: one client at a time 83 to 108 us a request
 * behind the front and 59 to 65 with a parser on the session itself; 32 clients 31 to 37 and 19 to 22.
 * 1,000 GETs may cost the whole API server 40 ms, and authentication, authorisation and etcd's revision
 * are still to come. Memory: its pool is also its limit for the head of a request; an idle watcher costs
 * 29 KB with a pool of 16 KB and 41 KB with 32 (tokens and selectors need that much). And what clients
 * see of its own refusals cannot be chosen (they are HTML). The framing itself is in parse.c, without
 * I/O, small enough to be fuzzed whole.
 *
 * A connection reads one request at a time and reads nothing while that is answered: a client that
 * pipelines waits in its own socket buffer. While a handler or a stream runs, only EPOLLRDHUP matters,
 * which is how streams notice that their client left; EPOLLIN is taken away from the loop only when it
 * does come then, since most requests are answered before, and each change is a system call.
 *
 * Connections wait in queues by kind of waiting, each ordered by deadline because all of a kind wait
 * equally long: one timer a queue, none a connection.
 */
#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <strings.h>

#include "../base/time.h"

#define DEFAULT_MAX_BODY ((size_t)3 << 20)
#define DEFAULT_MAX_HEADERS (((size_t)1 << 20) + 4096) /* as Go's server */
#define DEFAULT_MAX_CONNECTIONS 16384
#define DEFAULT_MAX_HELD ((size_t)256 << 20)
#define DEFAULT_HEADER_TIMEOUT_NS (32 * NS_PER_SEC)
#define DEFAULT_IDLE_TIMEOUT_NS (90 * NS_PER_SEC)
#define WRITE_TIMEOUT_NS (60 * NS_PER_SEC) /* a client that takes nothing */
#define LINGER_NS (2 * NS_PER_SEC)
#define TIMER_SLACK_NS NS_PER_SEC
#define ACCEPT_BATCH 64
#define SCRATCH 32768

static char scratch[SCRATCH]; /* what one read brings; used between a read and its copy only */

static void conn_process(struct http_conn *c);
static void conn_readable(struct http_conn *c);

/* --- time --- */

static void conn_expired(struct http_conn *c)
{
        conn_kill(c);
}

static void on_queue_timer(struct loop_timer *timer, void *userdata)
{
        struct timeout_queue *q = userdata;
        int64_t now = time_mono();

        while (!list_empty(&q->list)) {
                struct http_conn *c = list_entry(q->list.next, struct http_conn, queue_link);
                if (c->deadline > now) {
                        loop_timer_arm_slack(q->timer, c->deadline - now, TIMER_SLACK_NS);
                        return;
                }
                list_remove(&c->queue_link);
                c->queue = NULL;
                conn_expired(c);
        }
}

static void queue_init(struct timeout_queue *q, struct loop *loop, int64_t after_ns)
{
        list_init(&q->list);
        q->after_ns = after_ns;
        q->timer = loop_timer_new(loop, on_queue_timer, q);
}

void conn_timeout(struct http_conn *c, struct timeout_queue *q)
{
        list_remove(&c->queue_link);
        c->queue = q;
        if (!q)
                return;
        c->deadline = loop_now(c->server->loop) + q->after_ns;
        list_push_back(&q->list, &c->queue_link);
        if (!loop_timer_armed(q->timer))
                loop_timer_arm_slack(q->timer, q->after_ns, TIMER_SLACK_NS);
}

/* --- the life of a connection --- */

static void request_free(struct request *r)
{
        if (!r)
                return;
        free((void *)r->pub.body);
        arena_free(r->pub.arena); /* r itself is in it */
}

static void server_free_now(struct http_server *s);

static void conn_free(struct http_conn *c)
{
        struct http_server *s = c->server;

        list_remove(&c->link);
        s->n_conns--;
        request_free(c->request);
        strbuf_deinit(&c->in);
        strbuf_deinit(&c->body);
        strbuf_deinit(&c->to_pair);
        free(c->peer.common_name);
        for (char **o = c->peer.organizations; o && *o; o++)
                free(*o);
        free(c->peer.organizations);
        free((void *)c->peer.cert_der);
        free(c);
        if (s->dead && s->n_conns == 0)
                server_free_now(s);
}

void conn_unpin(struct http_conn *c)
{
        if (--c->pins == 0 && c->dead)
                conn_free(c);
}

static void conn_ended(struct http_conn *c)
{
        void (*fn)(void *userdata) = c->on_end;

        c->on_end = NULL;
        if (fn)
                fn(c->on_end_data);
}

void http_on_end(struct http_request *req, void (*fn)(void *userdata), void *userdata)
{
        struct http_conn *c = container_of(req, struct request, pub)->conn;

        c->on_end = fn;
        c->on_end_data = userdata;
        if (c->dead)
                conn_ended(c);
}

unsigned http_status(const struct http_request *req)
{
        return container_of(req, struct request, pub)->status;
}

/* Counts what the parts of C's request take that have come, or, KEEPS false, no longer does. */
static void conn_hold(struct http_conn *c, bool keeps)
{
        size_t held = keeps ? c->in.cap + c->body.cap : 0;

        c->server->held += held - c->held;
        c->held = held;
}

void conn_kill(struct http_conn *c)
{
        struct http_stream *stream = steal_ptr(c->stream);

        if (c->dead)
                return;
        c->dead = true;
        conn_hold(c, false);
        c->pins++;
        conn_ended(c);
        if (c->writer)
                fiber_wake(steal_ptr(c->writer));
        conn_timeout(c, NULL);
        list_remove(&c->dirty);
        loop_fd_free(steal_ptr(c->source));
        loop_fd_free(steal_ptr(c->pair_source));
        if (c->pair >= 0)
                close(c->pair);
        tls_session_free(steal_ptr(c->tls));
        close(c->fd);
        pieces_deinit(&c->out);
        pieces_deinit(&c->source_out);
        if (c->gzip) {
                deflateEnd(c->gzip);
                free(steal_ptr(c->gzip));
        }
        if (stream) {
                if (stream->ops->closed)
                        stream->ops->closed(stream, stream->userdata);
                free(stream);
        }
        conn_unpin(c);
}

bool conn_unsent(const struct http_conn *c)
{
        return c->out.bytes || c->source_out.bytes || (c->tls && tls_wants_write(c->tls));
}

void conn_events(struct http_conn *c)
{
        uint32_t events = 0;

        if (c->dead)
                return;
        if (c->state == CONN_HANDSHAKE)
                events = tls_wants_write(c->tls) ? EPOLLOUT : EPOLLIN;
        else if (c->state == CONN_HEAD || c->state == CONN_BODY || c->state == CONN_LINGER)
                events = EPOLLIN | EPOLLRDHUP;
        else if (c->state == CONN_TUNNEL && c->to_pair.len == c->to_pair_at && !c->half_closed)
                events = EPOLLIN;
        else if (c->state == CONN_TUNNEL && !c->half_closed)
                events = EPOLLRDHUP;
        else if (c->state != CONN_TUNNEL && !c->half_closed)
                events = EPOLLRDHUP | (c->state == CONN_STREAM || c->unread ? 0 : c->events & EPOLLIN);
        if (c->state != CONN_HANDSHAKE && conn_unsent(c))
                events |= EPOLLOUT;
        if (events != c->events) {
                c->events = events;
                loop_fd_set(c->source, events);
        }
}

/* --- reading --- */

static ssize_t conn_read(struct http_conn *c, void *buf, size_t len)
{
        ssize_t n;

        if (c->tls)
                return tls_recv(c->tls, buf, len);
        do
                n = recv(c->fd, buf, len, 0);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

static void set_peer(struct http_conn *c)
{
        struct tls_peer p;

        tls_session_peer(c->tls, &p);
        c->peer.verified = p.verified;
        c->peer.common_name = p.common_name;
        c->peer.organizations = p.organizations;
        c->peer.cert_der = p.cert_der;
        c->peer.cert_der_len = p.cert_der_len;
}

/* Whoever forgot the s of https is told so, in Go's words: no TLS begins like this. */
static bool conn_is_plain(struct http_conn *c)
{
        static const char *const heads[] = {"GET /", "HEAD ", "POST ", "PUT /", "OPTIO"};
        static const char text[] = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        char head[5];

        if (c->greeted || recv(c->fd, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT) < (ssize_t)sizeof(head))
                return false;
        c->greeted = true;
        for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
                if (memcmp(head, heads[i], sizeof(head)) == 0)
                        return send(c->fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 && shutdown(c->fd, SHUT_WR) == 0;
        return false;
}

static void conn_handshake(struct http_conn *c)
{
        int r;

        if (conn_is_plain(c)) {
                while (recv(c->fd, scratch, sizeof(scratch), MSG_DONTWAIT) > 0)
                        ; /* what is not read would reset the connection before the words arrive */
                conn_kill(c);
                return;
        }
        r = tls_handshake(c->tls, NULL);

        if (r < 0 && r != -EAGAIN) {
                conn_kill(c);
                return;
        }
        if (r == 0) {
                set_peer(c);
                c->state = CONN_HEAD;
                conn_timeout(c, &c->server->waiting);
                if (tls_pending(c->tls)) { /* the request came along with the end of the handshake */
                        conn_readable(c);
                        return;
                }
        }
        conn_events(c);
}

static void run_handler(void *userdata)
{
        struct http_conn *c = userdata;
        struct request *r = c->request;

        c->server->o.handler(&r->pub, c->server->o.userdata);
        if (!r->answered && !c->dead) {
                static const struct http_answer none = {
                        .status = 500, .content_type = "text/plain", .body = "no answer\n", .body_len = 10};
                http_respond(&r->pub, &none);
        }
        /* The answer may be sent and the next request begun: this one was detached then. */
        if (c->dead && c->stream) { /* begun after the client had left */
                struct http_stream *stream = steal_ptr(c->stream);
                if (stream->ops->closed)
                        stream->ops->closed(stream, stream->userdata);
                free(stream);
        }
        if (c->request == r && (c->state == CONN_STREAM || c->state == CONN_TUNNEL))
                c->request = NULL; /* those live on without it */
        if (c->request != r)
                request_free(r);
        else
                r->pub.conn = NULL; /* the handler is through: conn_answered() may free it */
        conn_unpin(c);
}

static void dispatch(struct http_conn *c)
{
        struct request *r = c->request;

        r->pub.body_len = c->body.len;
        r->pub.body = strbuf_steal(&c->body);
        if (c->in_at == c->in.len) {
                strbuf_deinit(&c->in); /* watchers keep their connection long: give the memory back */
                c->in_at = 0;
        }
        c->state = CONN_HANDLER;
        conn_timeout(c, NULL);
        c->pins++;
        fiber_start(c->server->loop, run_handler, c);
}

static void begin_request(struct http_conn *c, const struct http_head *head, struct arena *arena)
{
        struct request *r = arena_calloc(arena, sizeof(*r));

        r->conn = c;
        r->head = *head;
        r->pub = (struct http_request){
                .arena = arena,
                .loop = c->server->loop,
                .method = head->method,
                .target = head->target,
                .path = head->path,
                .query = head->query,
                .peer = &c->peer,
                .received_ns = loop_now(c->server->loop),
                .conn = c,
        };
        c->request = r;
        c->keep_alive = head->keep_alive;
}

/* Each step returns true when it got further and there may be more to do. */
static bool step_head(struct http_conn *c)
{
        const char *data = strbuf_str(&c->in) + c->in_at;
        size_t len = c->in.len - c->in_at, n = http_head_length(data, len, &c->scanned);
        struct http_head head;
        struct arena *arena;
        const char *why = NULL;
        unsigned refused;

        if (!n || n > c->server->o.max_headers) {
                if (len > c->server->o.max_headers)
                        conn_refuse(c, 431, NULL);
                return false;
        }
        arena = arena_new(0);
        refused = http_head_parse(arena, data, n, &head, &why);
        c->in_at += n;
        c->scanned = 0;
        if (refused) {
                arena_free(arena);
                conn_refuse(c, refused, why);
                return false;
        }
        begin_request(c, &head, arena);
        if (head.length > c->server->o.max_body) {
                conn_refuse(c, 413, NULL);
                return false;
        }
        c->state = CONN_BODY;
        c->chunks = (struct http_chunks){0};
        c->body = (struct strbuf)STRBUF_INIT_MAX(c->server->o.max_body);
        conn_timeout(c, &c->server->waiting);
        if (head.expect_continue && (head.chunked || head.length) && c->in_at == c->in.len) {
                pieces_push_copy(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
                conn_flush(c);
        }
        return !c->dead;
}

static bool step_body(struct http_conn *c)
{
        const struct http_head *head = &c->request->head;
        const char *data = strbuf_str(&c->in) + c->in_at;
        size_t len = c->in.len - c->in_at, used;
        bool done;
        int r;

        if (head->chunked) {
                r = http_chunks_feed(&c->chunks, data, len, &c->body, &used);
                if (r < 0) {
                        conn_refuse(c, r == -EFBIG ? 413 : 400, NULL);
                        return false;
                }
                done = r == HTTP_CHUNKS_DONE;
        } else {
                used = MIN(len, head->length - c->body.len);
                strbuf_append(&c->body, data, used);
                done = c->body.len == head->length;
        }
        c->in_at += used;
        if (!done) {
                strbuf_reset(&c->in);
                c->in_at = 0;
                return false;
        }
        dispatch(c);
        return true;
}

/* Goes on with what has been read, until more is needed or a request is being answered. */
static void conn_process(struct http_conn *c)
{
        bool more = true;

        if (c->processing)
                return;
        c->processing = true;
        c->pins++;
        while (more && !c->dead) {
                if (c->state == CONN_HEAD)
                        more = c->in_at < c->in.len && step_head(c);
                else if (c->state == CONN_BODY)
                        more = step_body(c);
                else
                        more = false;
        }
        c->processing = false;
        if (!c->dead) {
                if (c->state == CONN_HEAD && c->in_at == c->in.len) {
                        strbuf_deinit(&c->in);
                        c->in_at = 0;
                } else if (c->in_at) {
                        memmove(c->in.data, c->in.data + c->in_at, c->in.len - c->in_at);
                        c->in.len -= c->in_at;
                        c->in_at = 0;
                }
                conn_events(c);
        }
        conn_unpin(c);
}

/* Anybody can begin ten thousand bodies of three megabytes: where that takes too much, who has taken longest with
 * his request is let go, C or another. */
static void make_memory(struct http_conn *c)
{
        struct http_server *s = c->server;

        conn_hold(c, true);
        if (s->held <= s->o.max_held)
                return;
        list_foreach_safe(&s->waiting.list, it, tmp) {
                struct http_conn *other = list_entry(it, struct http_conn, queue_link);

                if (other->held)
                        conn_kill(other);
                if (s->held <= s->o.max_held)
                        return;
        }
}

static void conn_readable(struct http_conn *c)
{
        ssize_t n;

        do {
                n = conn_read(c, scratch, sizeof(scratch));
                if (n == -EAGAIN)
                        break;
                if (n <= 0) {
                        conn_kill(c); /* between requests or amid one: nothing to answer */
                        return;
                }
                if (c->state == CONN_LINGER)
                        continue;
                if (c->state == CONN_HEAD && !c->in.len)
                        conn_timeout(c, &c->server->waiting);
                strbuf_append(&c->in, scratch, n);
                conn_process(c);
                if (!c->dead)
                        make_memory(c);
        } while (!c->dead && c->tls && tls_pending(c->tls) &&
                 (c->state == CONN_HEAD || c->state == CONN_BODY || c->state == CONN_LINGER));
        if (!c->dead)
                conn_events(c);
}

void conn_answered(struct http_conn *c)
{
        struct request *r = steal_ptr(c->request);
        bool linger = c->state == CONN_ANSWER && !c->keep_alive && !c->half_closed;

        conn_ended(c);
        if (r && !r->pub.conn) /* else the handler still runs and frees it */
                request_free(r);
        if (!c->keep_alive || c->half_closed || c->server->draining) {
                if (!linger || c->server->draining) {
                        conn_kill(c);
                        return;
                }
                if (c->tls)
                        tls_bye(c->tls);
                shutdown(c->fd, SHUT_WR);
                c->state = CONN_LINGER;
                conn_timeout(c, &c->server->lingering);
                conn_events(c);
                return;
        }
        c->state = CONN_HEAD;
        c->unread = false;
        conn_timeout(c, &c->server->idle);
        if (c->in_at < c->in.len)
                conn_process(c);
        if (!c->dead && !c->processing && c->tls && c->state == CONN_HEAD && tls_pending(c->tls))
                conn_readable(c);
        else
                conn_events(c);
}

static void on_conn(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct http_conn *c = userdata;

        c->pins++;
        if (events & (EPOLLERR | EPOLLHUP)) {
                conn_kill(c);
        } else if (c->state == CONN_HANDSHAKE) {
                conn_handshake(c);
        } else if (c->state == CONN_TUNNEL && events & EPOLLRDHUP && c->to_pair_at < c->to_pair.len) {
                conn_kill(c); /* it left, and nobody takes what it said: without this, both would wait for ever */
        } else if (c->state == CONN_TUNNEL) {
                conn_tunnel_io(c);
        } else {
                if (events & EPOLLRDHUP && c->state == CONN_STREAM) {
                        conn_kill(c);
                } else if (events & EPOLLRDHUP && (c->state == CONN_HANDLER || c->state == CONN_ANSWER)) {
                        c->half_closed = true; /* it may still read the answer */
                        conn_events(c);
                }
                if (!c->dead && events & EPOLLOUT)
                        conn_flush(c);
                if (!c->dead && events & EPOLLIN) {
                        if (c->state == CONN_HEAD || c->state == CONN_BODY || c->state == CONN_LINGER) {
                                conn_readable(c);
                        } else {
                                c->unread = true;
                                conn_events(c);
                        }
                }
        }
        conn_unpin(c);
}

/* --- accepting --- */

static void set_options(int fd)
{
        /* A client whose machine vanished is noticed in about a minute. */
        static const struct {
                int level, name, value;
        } options[] = {
                {IPPROTO_TCP, TCP_NODELAY, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},
                {IPPROTO_TCP, TCP_KEEPIDLE, 30}, {IPPROTO_TCP, TCP_KEEPINTVL, 10},
                {IPPROTO_TCP, TCP_KEEPCNT, 3},
        };

        for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static void set_address(struct http_peer *peer, const struct sockaddr_storage *ss)
{
        if (ss->ss_family == AF_INET6) {
                const struct sockaddr_in6 *in6 = (const void *)ss;
                if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
                        inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, peer->address, sizeof(peer->address));
                else
                        inet_ntop(AF_INET6, &in6->sin6_addr, peer->address, sizeof(peer->address));
                peer->port = ntohs(in6->sin6_port);
        } else {
                const struct sockaddr_in *in = (const void *)ss;
                inet_ntop(AF_INET, &in->sin_addr, peer->address, sizeof(peer->address));
                peer->port = ntohs(in->sin_port);
        }
}

static void conn_new(struct http_server *s, int fd, const struct sockaddr_storage *ss)
{
        struct http_conn *c = new0(struct http_conn);

        c->server = s;
        c->fd = fd;
        c->pair = -1;
        list_init(&c->dirty);
        list_init(&c->queue_link);
        list_push_back(&s->conns, &c->link);
        s->n_conns++;
        set_options(fd);
        set_address(&c->peer, ss);
        c->tls = s->tls ? tls_session_new(s->tls, fd) : NULL;
        c->state = c->tls ? CONN_HANDSHAKE : CONN_HEAD;
        c->events = EPOLLIN;
        c->source = loop_fd_new(s->loop, fd, c->events, on_conn, c);
        conn_timeout(c, &s->waiting);
}

static void on_accept_again(struct loop_timer *timer, void *userdata)
{
        struct http_server *s = userdata;

        if (s->source)
                loop_fd_set(s->source, EPOLLIN);
}

/* All places are taken: who has kept us waiting longest for a request gives his up, else who has been idle longest. So
 * ten thousand connections that never ask for anything keep nobody out. False: all are at work. */
static bool make_room(struct http_server *s)
{
        struct timeout_queue *queues[] = {&s->waiting, &s->idle};

        for (size_t i = 0; i < ARRAY_SIZE(queues); i++) {
                if (!list_empty(&queues[i]->list)) {
                        conn_kill(list_entry(queues[i]->list.next, struct http_conn, queue_link));
                        return true;
                }
        }
        return false;
}

static void on_listen(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct http_server *s = userdata;

        for (int i = 0; i < ACCEPT_BATCH; i++) {
                struct sockaddr_storage ss;
                socklen_t len = sizeof(ss);
                int fd = accept4(s->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
                        loop_fd_set(source, 0);
                        loop_timer_arm(s->accept_again, 100 * NS_PER_MS);
                }
                if (fd < 0)
                        return;
                if (s->n_conns >= s->o.max_connections && !make_room(s))
                        close(fd);
                else
                        conn_new(s, fd, &ss);
        }
}

static int listen_on(struct http_server *s, struct error *reterr)
{
        struct sockaddr_storage ss = {0};
        struct sockaddr_in *in = (void *)&ss;
        struct sockaddr_in6 *in6 = (void *)&ss;
        const char *address = s->o.address ? s->o.address : "127.0.0.1";
        socklen_t len;
        int one = 1, zero = 0;

        if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
                ss.ss_family = AF_INET;
                in->sin_port = htons(s->o.port);
                len = sizeof(*in);
        } else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1) {
                ss.ss_family = AF_INET6;
                in6->sin6_port = htons(s->o.port);
                len = sizeof(*in6);
        } else {
                return error_set(reterr, -EINVAL, "%s is not an IP address", address);
        }
        s->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (s->fd < 0)
                return error_set(reterr, -errno, "socket: %m");
        setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (ss.ss_family == AF_INET6)
                setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
        if (bind(s->fd, (struct sockaddr *)&ss, len) < 0 || listen(s->fd, 4096) < 0 ||
            getsockname(s->fd, (struct sockaddr *)&ss, &len) < 0)
                return error_set(reterr, -errno, "listen on %s port %u: %m", address, s->o.port);
        s->port = ntohs(ss.ss_family == AF_INET6 ? in6->sin6_port : in->sin_port);
        return 0;
}

static void set_defaults(struct http_server_options *o)
{
        o->max_body = o->max_body ? o->max_body : DEFAULT_MAX_BODY;
        o->max_headers = o->max_headers ? o->max_headers : DEFAULT_MAX_HEADERS;
        o->max_connections = o->max_connections ? o->max_connections : DEFAULT_MAX_CONNECTIONS;
        o->max_held = o->max_held ? o->max_held : DEFAULT_MAX_HELD;
        o->header_timeout_ns = o->header_timeout_ns ? o->header_timeout_ns : DEFAULT_HEADER_TIMEOUT_NS;
        o->idle_timeout_ns = o->idle_timeout_ns ? o->idle_timeout_ns : DEFAULT_IDLE_TIMEOUT_NS;
}

int http_server_new(struct loop *loop, const struct http_server_options *o, struct http_server **ret,
                    struct error *reterr)
{
        struct http_server *s = new0(struct http_server);
        int r = 0;

        s->loop = loop;
        s->o = *o;
        set_defaults(&s->o);
        list_init(&s->conns);
        list_init(&s->dirty);
        queue_init(&s->waiting, loop, s->o.header_timeout_ns);
        queue_init(&s->idle, loop, s->o.idle_timeout_ns);
        queue_init(&s->writing, loop, WRITE_TIMEOUT_NS);
        queue_init(&s->lingering, loop, LINGER_NS);
        s->accept_again = loop_timer_new(loop, on_accept_again, s);
        s->fd = -1;
        if (o->cert_file)
                r = tls_front_new(o->cert_file, o->key_file, o->client_ca_file, &s->tls, reterr);
        if (r == 0)
                r = listen_on(s, reterr);
        if (r < 0) {
                http_server_free(s);
                return r;
        }
        s->source = loop_fd_new(loop, s->fd, EPOLLIN, on_listen, s);
        *ret = s;
        return 0;
}

uint16_t http_server_port(const struct http_server *s)
{
        return s->port;
}

static void stop_listening(struct http_server *s)
{
        loop_fd_free(steal_ptr(s->source));
        if (s->fd >= 0)
                close(s->fd);
        s->fd = -1;
}

void http_server_drain(struct http_server *s)
{
        s->draining = true;
        stop_listening(s);
        list_foreach_safe(&s->conns, it, tmp) {
                struct http_conn *c = list_entry(it, struct http_conn, link);
                if (c->state == CONN_HEAD && !c->in.len)
                        conn_kill(c);
        }
}

static void server_free_now(struct http_server *s)
{
        struct timeout_queue *queues[] = {&s->waiting, &s->idle, &s->writing, &s->lingering};

        for (size_t i = 0; i < ARRAY_SIZE(queues); i++)
                loop_timer_free(queues[i]->timer);
        loop_timer_free(s->accept_again);
        tls_front_free(s->tls);
        free(s);
}

/* Handlers that still run keep their connections, and with them what is left of the server. */
void http_server_free(struct http_server *s)
{
        if (!s)
                return;
        stop_listening(s);
        list_foreach_safe(&s->conns, it, tmp)
                conn_kill(list_entry(it, struct http_conn, link));
        s->dead = true;
        if (s->n_conns == 0)
                server_free_now(s);
}
