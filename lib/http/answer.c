/* What the server sends: answers, streams, tunnels.
 *
 * Output is a queue of pieces: stretches of shared buffers, never copied until they are sent, and small
 * framing of their own. conn_flush() gathers up to TLS_SEND bytes of them, so that an answer's head and
 * body leave in one record and one packet, a long one in large packets, and gives way to other connections after FLUSH_BUDGET.
 * Streams are flushed once a turn of the loop: ten events to one watcher are one record.
 */
#include "conn.h"

#include <errno.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "../base/time.h"

#define FLUSH_BUDGET (512 << 10)
#define GZIP_FROM (128 << 10)
#define GZIP_STEP (64 << 10)
#define GZIP_HELD (66 << 10) /* what zlib may have kept of the steps before: one block */
#define TUNNEL_STEP 16384

static char staging[TLS_SEND]; /* what one send gathers; used within it only */

/* --- pieces --- */

static struct piece *pieces_push(struct pieces *p)
{
        if (p->head && p->head + p->n == p->cap) { /* room in front before more memory */
                memmove(p->list, p->list + p->head, p->n * sizeof(*p->list));
                p->head = 0;
        }
        array_reserve(p->list, p->cap, p->head + p->n + 1);
        return &p->list[p->head + p->n++];
}

static void push_buffer_from(struct pieces *p, struct buffer *b, size_t from)
{
        struct piece *e;

        if (b->len <= from) {
                buffer_unref(b);
                return;
        }
        e = pieces_push(p);
        *e = (struct piece){.buffer = b, .bytes = b->data, .at = from, .end = b->len};
        p->bytes += b->len - from;
}

void pieces_push_buffer(struct pieces *p, struct buffer *b)
{
        push_buffer_from(p, b, 0);
}

void pieces_push_copy(struct pieces *p, const void *data, size_t len)
{
        struct piece *last = p->n ? &p->list[p->head + p->n - 1] : NULL;

        if (!len)
                return;
        if (len > sizeof(last->small)) {
                pieces_push_buffer(p, buffer_new_copy(data, len));
                return;
        }
        if (!last || last->bytes || last->end + len > sizeof(last->small)) {
                last = pieces_push(p);
                last->buffer = NULL;
                last->bytes = NULL;
                last->at = last->end = 0;
        }
        memcpy(last->small + last->end, data, len);
        last->end += len;
        p->bytes += len;
}

void pieces_push_borrowed(struct pieces *p, const void *data, size_t len)
{
        if (!len)
                return;
        *pieces_push(p) = (struct piece){.bytes = data, .end = len};
        p->bytes += len;
}

size_t pieces_peek(const struct pieces *p, char *to, size_t max)
{
        size_t n = 0;

        for (size_t i = 0; i < p->n && n < max; i++) {
                const struct piece *e = &p->list[p->head + i];
                size_t len = MIN(e->end - e->at, max - n);
                memcpy(to + n, (e->bytes ? e->bytes : e->small) + e->at, len);
                n += len;
        }
        return n;
}

/* The bytes to send next, with as little copying as may be. */
static size_t pieces_front(const struct pieces *p, const char **ret)
{
        const struct piece *e = &p->list[p->head];
        size_t len = e->end - e->at;

        if (p->n > 1 && len < TLS_SEND) {
                *ret = staging;
                return pieces_peek(p, staging, sizeof(staging));
        }
        *ret = (e->bytes ? e->bytes : e->small) + e->at;
        return MIN(len, (size_t)TLS_SEND);
}

void pieces_drop(struct pieces *p, size_t len)
{
        p->bytes -= len;
        while (len) {
                struct piece *e = &p->list[p->head];
                size_t n = MIN(len, e->end - e->at);
                e->at += n;
                len -= n;
                if (e->at == e->end) {
                        buffer_unref(e->buffer);
                        p->head++;
                        p->n--;
                }
        }
        if (!p->n) {
                p->head = 0;
                if (p->cap > 8) { /* idle connections keep little */
                        free(p->list);
                        p->list = NULL;
                        p->cap = 0;
                }
        }
}

void pieces_deinit(struct pieces *p)
{
        for (size_t i = 0; i < p->n; i++)
                buffer_unref(p->list[p->head + i].buffer);
        free(p->list);
        *p = (struct pieces){0};
}

/* --- sending --- */

static ssize_t conn_send(struct http_conn *c, const char *data, size_t len)
{
        ssize_t n;

        if (c->tls)
                return tls_send(c->tls, data, len);
        do
                n = send(c->fd, data, len, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? (errno == EWOULDBLOCK ? -EAGAIN : -errno) : n;
}

/* "dad\r\n" at the end of BUF; returns where it begins. By hand: each event of each watcher has one. */
static char *chunk_head(char *end, size_t len)
{
        *--end = '\n';
        *--end = '\r';
        do
                *--end = "0123456789abcdef"[len & 15];
        while (len >>= 4);
        return end;
}

static void push_chunk_head(struct pieces *out, size_t len)
{
        char buf[24], *end = buf + sizeof(buf), *at = chunk_head(end, len);

        pieces_push_copy(out, at, (size_t)(end - at));
}

/* Compresses what is there of the answer, or a part of it, into one chunk; after the last, the end of the chunks. */
static void gzip_more(struct http_conn *c)
{
        _cleanup_free_ char *in = xmalloc(GZIP_STEP);
        size_t n = pieces_peek(&c->source_out, in, GZIP_STEP);
        bool last = n == c->source_out.bytes && !c->unfinished;
        struct buffer *b = buffer_new(deflateBound(c->gzip, n) + GZIP_HELD);

        pieces_drop(&c->source_out, n);
        c->gzip->next_in = (void *)in;
        c->gzip->avail_in = n;
        c->gzip->next_out = (void *)b->data;
        c->gzip->avail_out = b->len;
        deflate(c->gzip, last ? Z_FINISH : Z_NO_FLUSH);
        b->len -= c->gzip->avail_out;
        if (b->len)
                push_chunk_head(&c->out, b->len);
        if (b->len) {
                pieces_push_buffer(&c->out, b);
                pieces_push_copy(&c->out, "\r\n", 2);
        } else {
                buffer_unref(b);
        }
        if (last) {
                pieces_push_copy(&c->out, "0\r\n\r\n", 5);
                deflateEnd(c->gzip);
                free(steal_ptr(c->gzip));
        }
}

/* Sends until nothing is left (0), the socket is full (-EAGAIN), the budget is spent (-EAGAIN too: the
 * socket is writable and the loop comes back) or it fails. Adds to *SENT what it sent. */
static int send_pieces(struct http_conn *c, size_t *sent)
{
        for (;;) {
                const char *data;
                ssize_t n;
                while (!c->out.bytes && c->gzip && (c->source_out.bytes || !c->unfinished))
                        gzip_more(c);
                if (!c->out.bytes)
                        return c->tls ? tls_flush(c->tls) : 0;
                if (*sent >= FLUSH_BUDGET)
                        return -EAGAIN;
                n = (ssize_t)pieces_front(&c->out, &data);
                n = conn_send(c, data, (size_t)n);
                if (n < 0)
                        return n;
                pieces_drop(&c->out, n);
                *sent += n;
        }
}

static void stream_drained(struct http_conn *c)
{
        struct http_stream *s = c->stream;

        if (s->ended) {
                c->stream = NULL;
                if (s->ops->closed)
                        s->ops->closed(s, s->userdata);
                if (!s->chunked)
                        c->keep_alive = false;
                free(s);
                conn_answered(c);
        } else if (s->blocked) {
                s->blocked = false;
                if (s->ops->drained)
                        s->ops->drained(s, s->userdata);
        }
}

void conn_flush(struct http_conn *c)
{
        size_t sent = 0;
        int r;

        if (c->dead)
                return;
        c->pins++;
        r = send_pieces(c, &sent);
        if (r < 0 && r != -EAGAIN) {
                conn_kill(c);
        } else if (r == -EAGAIN) {
                if (c->stream)
                        c->stream->blocked = true;
                if (c->queue != &c->server->writing || sent)
                        conn_timeout(c, &c->server->writing);
                conn_events(c);
        } else {
                if (c->queue == &c->server->writing)
                        conn_timeout(c, NULL);
                if (c->writer)
                        fiber_wake(steal_ptr(c->writer));
                else if (c->state == CONN_ANSWER && !c->unfinished)
                        conn_answered(c);
                else if (c->state == CONN_STREAM)
                        stream_drained(c);
                conn_events(c);
        }
        conn_unpin(c);
}

/* --- heads --- */

static const char *reason_phrase(unsigned status)
{
        static const struct {
                unsigned status;
                const char *phrase;
        } phrases[] = {
                {101, "Switching Protocols"}, {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
                {301, "Moved Permanently"}, {302, "Found"}, {304, "Not Modified"}, {307, "Temporary Redirect"},
                {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
                {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"}, {409, "Conflict"},
                {410, "Gone"}, {413, "Request Entity Too Large"}, {414, "Request URI Too Long"},
                {415, "Unsupported Media Type"}, {417, "Expectation Failed"}, {422, "Unprocessable Entity"}, {429, "Too Many Requests"},
                {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"}, {501, "Not Implemented"},
                {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"},
                {505, "HTTP Version Not Supported"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(phrases); i++)
                if (phrases[i].status == status)
                        return phrases[i].phrase;
        return "Status";
}

/* "Sat, 21 Nov 2026 12:00:00 GMT", made once a second. */
static const char *http_date(void)
{
        static char text[40];
        static time_t made;
        time_t now = time(NULL);

        if (now != made) {
                struct tm tm;
                strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
                made = now;
        }
        return text;
}

/* Heads are written for every request: printf() would be a quarter of an answer's cost. */
static void append_number(struct strbuf *b, size_t n)
{
        char digits[24], *p = digits + sizeof(digits);

        do
                *--p = (char)('0' + n % 10);
        while (n /= 10);
        strbuf_append(b, p, (size_t)(digits + sizeof(digits) - p));
}

static void append_length(struct strbuf *b, size_t len)
{
        strbuf_append(b, "Content-Length: ", 16);
        append_number(b, len);
        strbuf_append(b, "\r\n", 2);
}

/* Nothing in it may end the line early. */
static void append_value(struct strbuf *b, const char *value)
{
        size_t from = b->len, len = strlen(value);
        char *bad;

        strbuf_append(b, value, len);
        while ((bad = memchr(b->data + from, '\r', b->len - from)) || (bad = memchr(b->data + from, '\n', b->len - from)))
                *bad = ' ';
}

static void write_head(struct strbuf *b, unsigned status, const char *content_type, const char *const *headers)
{
        strbuf_reserve(b, 512);
        strbuf_append(b, "HTTP/1.1 ", 9);
        append_number(b, status);
        strbuf_putc(b, ' ');
        strbuf_puts(b, reason_phrase(status));
        strbuf_append(b, "\r\n", 2);
        for (; headers && headers[0]; headers += 2) {
                strbuf_puts(b, headers[0]);
                strbuf_append(b, ": ", 2);
                append_value(b, headers[1]);
                strbuf_append(b, "\r\n", 2);
        }
        if (content_type) {
                strbuf_append(b, "Content-Type: ", 14);
                strbuf_puts(b, content_type);
                strbuf_append(b, "\r\n", 2);
        }
        strbuf_append(b, "Date: ", 6);
        strbuf_puts(b, http_date());
        strbuf_append(b, "\r\n", 2);
}

static void push_head(struct http_conn *c, struct strbuf *b)
{
        if (!c->keep_alive || c->server->draining)
                strbuf_puts(b, "Connection: close\r\n");
        strbuf_append(b, "\r\n", 2);
        pieces_push_copy(&c->out, b->data, b->len);
        strbuf_deinit(b);
}

/* --- answers --- */

static bool is_loopback(const char *address)
{
        return str_has_prefix(address, "127.") || streq(address, "::1");
}

static bool wants_gzip(const struct http_conn *c, const struct request *r, size_t len)
{
        const char *accepts = len > GZIP_FROM ? http_head_field(&r->head, "accept-encoding") : NULL;

        return accepts && r->head.minor >= 1 && !is_loopback(c->peer.address) && http_has_token(accepts, "gzip");
}

static void drop_parts(const struct http_answer *answer)
{
        for (size_t i = 0; i < answer->n_parts; i++)
                buffer_unref(answer->parts[i]);
}

static void push_body(struct pieces *out, const struct http_answer *answer)
{
        if (answer->body_len)
                pieces_push_copy(out, answer->body, answer->body_len);
        for (size_t i = 0; i < answer->n_parts; i++)
                push_buffer_from(out, answer->parts[i], answer->skips ? answer->skips[i] : 0);
}

static void start_gzip(struct http_conn *c)
{
        c->gzip = new0(z_stream);
        deflateInit2(c->gzip, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}

void http_respond(struct http_request *req, const struct http_answer *answer)
{
        struct request *r = container_of(req, struct request, pub);
        struct http_conn *c = r->conn;
        struct strbuf head = STRBUF_INIT;
        size_t len = answer->body_len;
        bool bare = streq(r->head.method, "HEAD");
        bool bodyless = answer->status == 204 || answer->status == 304 || answer->status < 200, gzip;

        r->status = answer->status;
        if (r->answered || c->dead) {
                r->answered = true;
                drop_parts(answer);
                return;
        }
        r->answered = true;
        for (size_t i = 0; i < answer->n_parts; i++)
                len += answer->parts[i]->len - (answer->skips ? MIN(answer->skips[i], answer->parts[i]->len) : 0);
        gzip = !bare && !bodyless && wants_gzip(c, r, len);
        write_head(&head, answer->status, answer->content_type, answer->headers);
        if (gzip)
                strbuf_puts(&head, "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\nTransfer-Encoding: chunked\r\n");
        else if (!bodyless)
                append_length(&head, len);
        push_head(c, &head);
        if (bare || bodyless)
                drop_parts(answer);
        else
                push_body(gzip ? &c->source_out : &c->out, answer);
        if (gzip)
                start_gzip(c);
        c->state = CONN_ANSWER;
        conn_flush(c);
}

/* --- answers that are made while they are sent --- */

void http_body_begin(struct http_request *req, unsigned status, const char *content_type, const char *const *headers)
{
        struct request *r = container_of(req, struct request, pub);
        struct http_conn *c = r->conn;
        struct strbuf head = STRBUF_INIT;
        bool gzip = wants_gzip(c, r, SIZE_MAX);

        r->status = status;
        r->answered = true;
        if (c->dead)
                return;
        c->unfinished = true;
        c->chunked = r->head.minor >= 1;
        c->burst = 0;
        if (!c->chunked)
                c->keep_alive = false;
        write_head(&head, status, content_type, headers);
        if (gzip)
                strbuf_puts(&head, "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n");
        if (c->chunked)
                strbuf_puts(&head, "Transfer-Encoding: chunked\r\n");
        push_head(c, &head);
        if (gzip)
                start_gzip(c);
        c->state = CONN_ANSWER;
}

bool http_body_write(struct http_request *req, const void *data, size_t len)
{
        struct http_conn *c = container_of(req, struct request, pub)->conn;

        if (c->dead || !len)
                return !c->dead;
        if (c->chunked && !c->gzip)
                push_chunk_head(&c->out, len);
        pieces_push_borrowed(c->gzip ? &c->source_out : &c->out, data, len);
        if (c->chunked && !c->gzip)
                pieces_push_copy(&c->out, "\r\n", 2);
        conn_flush(c);
        while (!c->dead && conn_unsent(c)) {
                c->burst = 0;
                c->writer = fiber_self();
                fiber_park();
        }
        c->burst += len;
        if (c->burst >= FLUSH_BUDGET) { /* the client takes all at once, but others wait for their turn */
                c->burst = 0;
                fiber_sleep(0);
        }
        return !c->dead;
}

void http_body_end(struct http_request *req)
{
        struct http_conn *c = container_of(req, struct request, pub)->conn;

        if (c->dead)
                return;
        c->unfinished = false;
        if (c->chunked && !c->gzip)
                pieces_push_copy(&c->out, "0\r\n\r\n", 5);
        conn_flush(c);
}

/* --- refusals --- */

/* What cannot be read is answered as Go's server does, which upstream never hears of: the reason is in the first line too,
 * and nothing says when it was or how long it is. */
static void write_fault(struct strbuf *head, unsigned status, const char *why)
{
        const char *phrase = reason_phrase(status);

        strbuf_printf(head, "HTTP/1.1 %u %s%s%s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n", status, phrase,
                      why && status != 501 ? ": " : "", why && status != 501 ? why : "");
        if (status == 501)
                strbuf_puts(head, why ? why : phrase);
        else
                strbuf_printf(head, "%u %s%s%s", status, phrase, why ? ": " : "", why ? why : "");
}

/* The server's own answer to what it cannot take; the connection ends with it. */
void conn_refuse(struct http_conn *c, unsigned status, const char *why)
{
        const char *type = NULL, *body = "";
        struct strbuf head = STRBUF_INIT;

        if (c->server->o.refuse && status == 413)
                c->server->o.refuse(status, &type, &body);
        c->keep_alive = false;
        strbuf_deinit(&c->in);
        strbuf_deinit(&c->body);
        c->in_at = 0;
        if (c->request) {
                struct arena *arena = c->request->pub.arena;
                c->request = NULL;
                arena_free(arena);
        }
        if (status == 413 || status == 417) {
                write_head(&head, status, type, NULL);
                append_length(&head, strlen(body));
                push_head(c, &head);
                pieces_push_copy(&c->out, body, strlen(body));
        } else {
                write_fault(&head, status, why);
                pieces_push_copy(&c->out, head.data, head.len);
                strbuf_deinit(&head);
        }
        c->state = CONN_ANSWER;
        conn_flush(c);
}

/* --- streams --- */

/* The last event as a chunk, whole: a thousand watchers get the same one after the other, and send it without a copy. */
#define CHUNK_SHARED_MAX (64 << 10)
static struct {
        struct buffer *of, *chunk;
        const char *before, *after;
} shared;

static void shared_forget(void)
{
        buffer_unref(steal_ptr(shared.of));
        buffer_unref(steal_ptr(shared.chunk));
}

static struct buffer *shared_chunk(const char *before, struct buffer *b, const char *after)
{
        size_t n_before = strlen(before), n_after = strlen(after), len = n_before + b->len + n_after;
        char head[24], *end = head + sizeof(head), *at = chunk_head(end, len), *p;

        if (shared.of == b && shared.before == before && shared.after == after)
                return shared.chunk;
        shared_forget();
        shared.of = buffer_ref(b);
        shared.before = before;
        shared.after = after;
        shared.chunk = buffer_new((size_t)(end - at) + len + 2);
        p = mempcpy(shared.chunk->data, at, (size_t)(end - at));
        p = mempcpy(p, before, n_before);
        p = mempcpy(p, b->data, b->len);
        p = mempcpy(p, after, n_after);
        memcpy(p, "\r\n", 3);
        return shared.chunk;
}

/* Runs at the end of a turn, for all streams written to in it. */
void server_flush_dirty(void *server)
{
        struct http_server *s = server;

        shared_forget();

        s->dirty_deferred = false;
        while (!list_empty(&s->dirty)) {
                struct http_conn *c = list_entry(s->dirty.next, struct http_conn, dirty);
                list_remove(&c->dirty);
                conn_flush(c);
        }
}

static void mark_dirty(struct http_conn *c)
{
        struct http_server *s = c->server;

        if (c->dead || !list_empty(&c->dirty) || c->events & EPOLLOUT)
                return;
        list_push_back(&s->dirty, &c->dirty);
        if (!s->dirty_deferred) {
                s->dirty_deferred = true;
                loop_defer(s->loop, server_flush_dirty, s);
        }
}

struct http_stream *http_stream_start(struct http_request *req, unsigned status, const char *content_type,
                                      const char *const *headers, const struct http_stream_ops *ops,
                                      void *userdata)
{
        struct request *r = container_of(req, struct request, pub);
        struct http_conn *c = r->conn;
        struct http_stream *s = new0(struct http_stream);
        struct strbuf head = STRBUF_INIT;

        s->conn = c;
        s->ops = ops;
        s->userdata = userdata;
        s->chunked = r->head.minor >= 1;
        r->answered = true;
        r->status = status;
        c->stream = s;
        if (c->dead)
                return s; /* told by run_handler's end: see server.c */
        if (!s->chunked)
                c->keep_alive = false;
        write_head(&head, status, content_type, headers);
        if (s->chunked)
                strbuf_puts(&head, "Transfer-Encoding: chunked\r\n");
        push_head(c, &head);
        c->state = CONN_STREAM;
        mark_dirty(c);
        conn_events(c);
        return s;
}

void http_stream_write_buffer(struct http_stream *s, struct buffer *b)
{
        struct http_conn *c = s->conn;

        if (c->dead || s->ended || !b->len)
                return;
        if (s->chunked)
                push_chunk_head(&c->out, b->len);
        pieces_push_buffer(&c->out, buffer_ref(b));
        if (s->chunked)
                pieces_push_copy(&c->out, "\r\n", 2);
        mark_dirty(c);
}

void http_stream_write_around(struct http_stream *s, const char *before, struct buffer *b, const char *after)
{
        struct http_conn *c = s->conn;
        size_t n_before = strlen(before), n_after = strlen(after);

        if (c->dead || s->ended)
                return;
        if (s->chunked && b->len < CHUNK_SHARED_MAX) {
                pieces_push_buffer(&c->out, buffer_ref(shared_chunk(before, b, after)));
                mark_dirty(c);
                return;
        }
        if (s->chunked)
                push_chunk_head(&c->out, n_before + b->len + n_after);
        pieces_push_copy(&c->out, before, n_before);
        pieces_push_buffer(&c->out, buffer_ref(b));
        pieces_push_copy(&c->out, after, n_after);
        if (s->chunked)
                pieces_push_copy(&c->out, "\r\n", 2);
        mark_dirty(c);
}

void http_stream_write(struct http_stream *s, const void *data, size_t len)
{
        struct buffer *b = buffer_new_copy(data, len);

        http_stream_write_buffer(s, b);
        buffer_unref(b);
}

size_t http_stream_queued(const struct http_stream *s)
{
        return s->conn->out.bytes;
}

void http_stream_end(struct http_stream *s)
{
        if (s->ended)
                return;
        s->ended = true;
        if (s->chunked && !s->conn->dead)
                pieces_push_copy(&s->conn->out, "0\r\n\r\n", 5);
        mark_dirty(s->conn);
}

void http_stream_abort(struct http_stream *s)
{
        struct http_conn *c = s->conn;

        c->stream = NULL;
        free(s);
        conn_kill(c);
}

/* --- tunnels --- */

static void on_pair(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct http_conn *c = userdata;

        c->pins++;
        conn_tunnel_io(c);
        conn_unpin(c);
}

void http_upgrade(struct http_request *req, const char *const *headers, http_upgrade_fn *fn, void *userdata)
{
        struct request *r = container_of(req, struct request, pub);
        struct http_conn *c = r->conn;
        struct strbuf head = STRBUF_INIT;
        int ends[2];

        r->answered = true;
        r->status = 101;
        if (c->dead || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
                int fd = -1;
                fn(fd, NULL, 0, userdata);
                conn_kill(c);
                return;
        }
        c->keep_alive = true; /* no "Connection: close" beside the handler's own */
        write_head(&head, 101, NULL, headers);
        push_head(c, &head);
        c->state = CONN_TUNNEL;
        c->pair = ends[0];
        c->pair_events = EPOLLIN;
        c->pair_source = loop_fd_new(c->server->loop, c->pair, c->pair_events, on_pair, c);
        if (c->in_at < c->in.len)
                strbuf_append(&c->to_pair, c->in.data + c->in_at, c->in.len - c->in_at);
        strbuf_deinit(&c->in);
        c->in_at = 0;
        fn(ends[1], NULL, 0, userdata);
        conn_tunnel_io(c);
}

/* Client to us to the pair. -EAGAIN: one of the two has to become ready; 0: the client ended. */
static int tunnel_in(struct http_conn *c)
{
        static char buf[TUNNEL_STEP];

        for (;;) {
                while (c->to_pair_at < c->to_pair.len) {
                        ssize_t n = send(c->pair, c->to_pair.data + c->to_pair_at, c->to_pair.len - c->to_pair_at,
                                         MSG_NOSIGNAL);
                        if (n < 0)
                                return errno == EINTR || errno == EAGAIN ? -EAGAIN : -errno;
                        c->to_pair_at += n;
                }
                strbuf_reset(&c->to_pair);
                c->to_pair_at = 0;
                if (c->half_closed)
                        return 0;
                ssize_t n = c->tls ? tls_recv(c->tls, buf, sizeof(buf)) : recv(c->fd, buf, sizeof(buf), 0);
                if (!c->tls && n < 0)
                        n = -errno;
                if (n == -EAGAIN || n == -EINTR)
                        return -EAGAIN;
                if (n < 0)
                        return n;
                if (n == 0) {
                        c->half_closed = true;
                        shutdown(c->pair, SHUT_WR);
                        return 0;
                }
                strbuf_append(&c->to_pair, buf, n);
        }
}

/* The pair to us to the client. */
static int tunnel_out(struct http_conn *c)
{
        static char buf[TUNNEL_STEP];

        for (;;) {
                size_t sent = 0;
                int r = send_pieces(c, &sent);
                if (r < 0)
                        return r;
                if (c->pair_eof)
                        return 0;
                ssize_t n = recv(c->pair, buf, sizeof(buf), 0);
                if (n < 0)
                        return errno == EINTR || errno == EAGAIN ? -EAGAIN : -errno;
                if (n == 0)
                        c->pair_eof = true;
                else
                        pieces_push_copy(&c->out, buf, n);
        }
}

void conn_tunnel_io(struct http_conn *c)
{
        uint32_t events = 0;
        int in, out;

        if (c->dead)
                return;
        in = tunnel_in(c);
        out = tunnel_out(c);
        /* Our side closed and all is sent: the end. A client that only stopped sending is still answered. */
        if ((in < 0 && in != -EAGAIN) || (out < 0 && out != -EAGAIN) || out == 0) {
                conn_kill(c);
                return;
        }
        if (c->to_pair_at < c->to_pair.len)
                events |= EPOLLOUT;
        if (!c->out.bytes)
                events |= EPOLLIN;
        if (c->pair_eof) { /* it would report its end in every turn */
                loop_fd_free(steal_ptr(c->pair_source));
        } else if (events != c->pair_events) {
                c->pair_events = events;
                loop_fd_set(c->pair_source, events);
        }
        conn_events(c);
}
