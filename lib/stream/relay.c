/* Relays: see relay.h.
 *
 *      OPENING   the fiber that asked is parked until the head is there
 *      BODY      relay_body(): the same, until the end
 *      STREAM    wire -> http_stream; paused while the stream holds more than QUEUE_HIGH
 *      TUNNEL    wire <-> wire of the client's descriptor, each paused by the other's queue
 */
#include "relay.h"

#include <stdio.h>
#include <strings.h>

#include "../base/time.h"
#include "relay-pool.h"

#define QUEUE_HIGH (256 << 10)
#define HEAD_MAX (64 << 10)
#define FIELDS_MAX 200
#define HEAD_TIMEOUT (60 * NS_PER_SEC)
#define LINGER (5 * NS_PER_SEC) /* a tunnel whose one end is closed: for the other to follow */

enum framing { UNTIL_CLOSE, LENGTH, CHUNKED };

struct relay {
        struct loop *loop;
        struct arena *arena;
        enum { OPENING, BODY, STREAM, TUNNEL } state;
        struct wire *back, *front;    /* front: of a tunnel */
        struct http_stream *stream;
        struct fiber *waiter;
        struct loop_timer *timer;
        bool timed_out;
        bool gone;                    /* the server closed its connection; of a tunnel, one side did */
        bool ended;                   /* no more of the body will come */
        int code;                     /* of a broken end */
        bool head_only;               /* HEAD: no body follows */
        bool keep;                    /* the connection, when the answer has ended well */
        bool surplus;                 /* more came than the answer: never again over this connection */
        struct dial_options to;       /* of a connection that is kept; copied */

        struct strbuf in;             /* the head, then what of the body has not been passed on */
        unsigned status;
        struct http_field *fields;
        size_t n_fields;
        enum framing framing;
        uint64_t left;
        struct http_chunks chunks;
};

void relay_free(struct relay *r)
{
        if (!r)
                return;
        if (r->state == TUNNEL) /* what was to be sent has had its LINGER */
                wire_abort(r->back);
        else if (r->keep && r->ended && !r->code && !r->gone && !r->surplus && !r->timed_out && r->status != 101)
                relay_pool_put(r->loop, &r->to, r->back);
        else
                wire_free(r->back);
        wire_free(r->front);
        loop_timer_free(r->timer);
        strbuf_deinit(&r->in);
        arena_free(r->arena);
        free(r);
}

static void wake(struct relay *r)
{
        if (r->waiter)
                fiber_wake(steal_ptr(r->waiter));
}

static void wait_more(struct relay *r)
{
        r->waiter = fiber_self();
        fiber_park();
        r->waiter = NULL;
}

/* --- the head --- */

static int bad(struct error *reterr, const char *what)
{
        return error_set(reterr, -EPROTO, "malformed HTTP response: %s", what);
}

static char *cut_line(char **at)
{
        char *line = *at, *nl = strchr(line, '\n');

        if (!nl)
                return NULL;
        *at = nl + 1;
        *nl = '\0';
        if (nl > line && nl[-1] == '\r')
                nl[-1] = '\0';
        return line;
}

static int parse_field(struct relay *r, char *line, struct error *reterr)
{
        char *colon = strchr(line, ':'), *value, *end;

        if (!colon || colon == line || r->n_fields == FIELDS_MAX)
                return bad(reterr, "header");
        *colon = '\0';
        value = colon + 1 + strspn(colon + 1, " \t");
        end = value + strlen(value);
        while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
                *--end = '\0';
        r->fields[r->n_fields++] = (struct http_field){line, value};
        return 0;
}

static int parse_framing(struct relay *r, struct error *reterr)
{
        const char *te = relay_header(r, "Transfer-Encoding"), *length = relay_header(r, "Content-Length");
        char *end;

        r->framing = UNTIL_CLOSE;
        if (r->head_only || r->status == 204 || r->status == 304) {
                r->framing = LENGTH;
        } else if (te && strcasecmp(te, "identity") != 0) {
                if (strcasecmp(te, "chunked") != 0)
                        return bad(reterr, "transfer encoding");
                r->framing = CHUNKED;
        } else if (length) {
                r->left = strtoull(length, &end, 10);
                if (*end || *length < '0' || *length > '9')
                        return bad(reterr, "content length");
                r->framing = LENGTH;
        }
        return 0;
}

/* LEN: of the head, the empty line included. */
static int parse_head(struct relay *r, size_t len, struct error *reterr)
{
        char *at = arena_strndup(r->arena, r->in.data, len), *line = cut_line(&at), *space;

        if (!line || strlen(r->in.data) < len || !str_has_prefix(line, "HTTP/1.") || !(space = strchr(line, ' ')))
                return bad(reterr, "status line");
        r->status = (unsigned)atoi(space + 1);
        if (r->status < 100 || r->status > 999)
                return bad(reterr, "status line");
        r->n_fields = 0;
        r->fields = arena_alloc(r->arena, FIELDS_MAX * sizeof(*r->fields));
        while ((line = cut_line(&at)) && *line) {
                int e = parse_field(r, line, reterr);
                if (e < 0)
                        return e;
        }
        memmove(r->in.data, r->in.data + len, r->in.len - len + 1);
        r->in.len -= len;
        if (strcasestr(relay_header(r, "Connection") ? relay_header(r, "Connection") : "", "close"))
                r->keep = false;
        return parse_framing(r, reterr);
}

/* Waits for a head that is not "100 Continue" and the like. */
static int read_head(struct relay *r, struct error *reterr)
{
        size_t scanned = 0;

        for (;;) {
                size_t len = r->in.len ? http_head_length(r->in.data, r->in.len, &scanned) : 0;
                if (len) {
                        int e = parse_head(r, len, reterr);
                        if (e < 0 || r->status == 101 || r->status >= 200)
                                return e;
                        scanned = 0;
                        continue;
                }
                if (r->in.len > HEAD_MAX)
                        return bad(reterr, "too long");
                if (r->timed_out)
                        return error_set(reterr, -ETIMEDOUT, "net/http: timeout awaiting response headers");
                if (r->gone)
                        return error_set(reterr, r->code ? r->code : -ECONNRESET, "%s",
                                         r->code ? strerror(-r->code) : "EOF");
                wait_more(r);
        }
}

unsigned relay_status(const struct relay *r)
{
        return r->status;
}

const struct http_field *relay_headers(const struct relay *r, size_t *ret_n)
{
        *ret_n = r->n_fields;
        return r->fields;
}

const char *relay_header(const struct relay *r, const char *name)
{
        for (size_t i = 0; i < r->n_fields; i++)
                if (strcasecmp(r->fields[i].name, name) == 0)
                        return r->fields[i].value;
        return NULL;
}

/* --- the body --- */

static void body_end(struct relay *r, int code)
{
        if (r->ended)
                return;
        r->ended = true;
        r->code = code;
        if (!r->gone)
                wire_pause(r->back, true);
        wake(r);
}

/* The server is gone: the end of a body without a length is its end; of others it is a break. */
static void body_gone(struct relay *r)
{
        body_end(r, r->code < 0 || r->framing == UNTIL_CLOSE ? r->code : -ECONNRESET);
}

/* What DATA holds of the body, to OUT. */
static void decode(struct relay *r, const uint8_t *data, size_t len, struct strbuf *out)
{
        size_t used;
        int e;

        switch (r->framing) {
        case UNTIL_CLOSE:
                strbuf_append(out, data, len);
                break;
        case LENGTH: /* what comes after it is no part of it */
                r->surplus |= len > r->left;
                len = r->left < len ? (size_t)r->left : len;
                strbuf_append(out, data, len);
                r->left -= len;
                if (!r->left)
                        body_end(r, 0);
                break;
        case CHUNKED:
                e = http_chunks_feed(&r->chunks, (const char *)data, len, out, &used);
                r->surplus |= e == HTTP_CHUNKS_DONE && used < len;
                if (e != HTTP_CHUNKS_MORE)
                        body_end(r, e == HTTP_CHUNKS_DONE ? 0 : -EPROTO);
                break;
        }
}

/* A stream that broke is cut off, so that the client does not take it for whole. */
static void stream_end(struct relay *r)
{
        if (!r->code) {
                http_stream_end(r->stream);
                return;
        }
        http_stream_abort(steal_ptr(r->stream));
        relay_free(r);
}

static void stream_more(struct relay *r, const uint8_t *data, size_t len)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;

        decode(r, data, len, &out);
        if (out.len)
                http_stream_write(r->stream, out.data, out.len);
        if (r->ended)
                stream_end(r);
        else if (!r->gone)
                wire_pause(r->back, http_stream_queued(r->stream) > QUEUE_HIGH);
}

/* Passes bytes on to TO; FROM waits while TO has too many. */
static void splice_to(struct wire *to, struct wire *from, const void *data, size_t len)
{
        wire_write(to, data, len);
        if (wire_queued(to) > QUEUE_HIGH)
                wire_pause(from, true);
}

static void back_data(struct wire *w, const uint8_t *data, size_t len, void *userdata)
{
        struct relay *r = userdata;

        switch (r->state) {
        case OPENING:
                strbuf_append(&r->in, data, len);
                wake(r);
                break;
        case BODY:
                decode(r, data, len, &r->in);
                wake(r);
                break;
        case STREAM:
                if (!r->ended)
                        stream_more(r, data, len);
                break;
        case TUNNEL:
                splice_to(r->front, r->back, data, len);
                break;
        }
}

/* One end of a tunnel is closed: what is under way to the other is still sent. */
static void tunnel_end(struct relay *r, struct wire *other, bool both)
{
        if (both) {
                relay_free(r);
                return;
        }
        wire_finish(other);
        loop_timer_arm(r->timer, LINGER);
}

static void back_closed(struct wire *w, int code, void *userdata)
{
        struct relay *r = userdata;
        bool was_gone = r->gone;

        r->gone = true;
        if (!r->ended)
                r->code = code;
        if (r->state == TUNNEL) {
                tunnel_end(r, r->front, was_gone);
        } else if (r->state == OPENING) {
                wake(r);
        } else if (!r->ended) {
                body_gone(r);
                if (r->state == STREAM)
                        stream_end(r);
        }
}

static void back_drained(struct wire *w, void *userdata)
{
        struct relay *r = userdata;

        if (r->state == TUNNEL)
                wire_pause(r->front, false);
}

static const struct wire_ops back_ops = {.data = back_data, .closed = back_closed, .drained = back_drained};

static void on_timer(struct loop_timer *timer, void *userdata)
{
        struct relay *r = userdata;

        r->timed_out = true;
        if (r->state == TUNNEL)
                relay_free(r);
        else
                wake(r);
}

/* --- opening --- */

static void send_request(struct relay *r, const struct relay_request *q)
{
        _cleanup_strbuf_ struct strbuf head = STRBUF_INIT;

        strbuf_printf(&head, "%s %s HTTP/1.1\r\n", q->method, q->target);
        for (const char *const *h = q->headers; h && h[0]; h += 2)
                strbuf_printf(&head, "%s: %s\r\n", h[0], h[1]);
        if (q->upgrade || !q->keep)
                strbuf_printf(&head, "Connection: %s\r\n", q->upgrade ? "Upgrade" : "close");
        if (q->body_len || streq(q->method, "POST") || streq(q->method, "PUT") || streq(q->method, "PATCH"))
                strbuf_printf(&head, "Content-Length: %zu\r\n", q->body_len);
        strbuf_puts(&head, "\r\n");
        strbuf_append(&head, q->body ? q->body : "", q->body_len);
        wire_write(r->back, head.data, head.len);
}

static struct dial_options copy_dial(struct arena *a, const struct dial_options *o)
{
        struct dial_options to = *o;
        const char **texts[] = {&to.host, &to.ca_file, &to.cert_file, &to.key_file, &to.server_name, &to.ca_data};

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                if (*texts[i])
                        *texts[i] = arena_strdup(a, *texts[i]);
        return to;
}

/* The request over BACK (taken over), or over a new connection where that is NULL. */
static int open_over(struct loop *loop, const struct relay_request *q, struct wire *back, struct relay **ret, bool *ret_silent,
                     struct error *reterr)
{
        struct dialed d;
        struct relay *r;
        int e = back ? 0 : dial(loop, &q->to, &d, reterr);

        if (e < 0)
                return e;
        r = new0(struct relay);
        r->loop = loop;
        r->arena = arena_new(0);
        r->head_only = streq(q->method, "HEAD");
        r->keep = q->keep && !q->upgrade;
        if (r->keep)
                r->to = copy_dial(r->arena, &q->to);
        r->timer = loop_timer_new(loop, on_timer, r);
        loop_timer_arm(r->timer, q->head_timeout_ns ? q->head_timeout_ns : HEAD_TIMEOUT);
        if (back)
                wire_hand_over(r->back = back, &back_ops, r);
        else
                r->back = wire_new_over(loop, d.fd, d.transport, d.t, &back_ops, r);
        send_request(r, q);
        e = read_head(r, reterr);
        if (e < 0) {
                *ret_silent = r->gone && !r->in.len && !r->timed_out;
                relay_free(r);
                return e;
        }
        loop_timer_disarm(r->timer);
        if (r->framing == LENGTH && !r->left && r->status != 101) {
                r->ended = true;
                r->surplus = r->in.len > 0;
        }
        *ret = r;
        return 0;
}

/* The server may be just closing an idle connection when we use it: then the request is sent again, over a new one. */
int relay_open(struct loop *loop, const struct relay_request *q, struct relay **ret, struct error *reterr)
{
        bool safe = streq(q->method, "GET") || streq(q->method, "HEAD"), silent = false;
        struct wire *kept = q->keep && !q->upgrade && safe ? relay_pool_take(loop, &q->to) : NULL;

        if (kept) {
                _cleanup_error_ struct error err = ERROR_INIT;
                int e = open_over(loop, q, kept, ret, &silent, &err);

                if (e == 0 || !silent)
                        return e < 0 ? error_set(reterr, e, "%s", error_text(&err)) : 0;
        }
        return open_over(loop, q, NULL, ret, &silent, reterr);
}

/* What came along with the head, as body. */
static struct strbuf take_rest(struct relay *r)
{
        struct strbuf rest = r->in;

        r->in = (struct strbuf)STRBUF_INIT;
        return rest;
}

int relay_body(struct relay *r, size_t max, struct strbuf *out)
{
        _cleanup_strbuf_ struct strbuf rest = take_rest(r);

        r->state = BODY;
        r->in.max = max;
        loop_timer_arm(r->timer, HEAD_TIMEOUT);
        decode(r, (const uint8_t *)strbuf_str(&rest), rest.len, &r->in);
        if (r->gone && !r->ended)
                body_gone(r);
        while (!r->ended && !r->timed_out && !r->in.overflow)
                wait_more(r);
        loop_timer_disarm(r->timer);
        strbuf_append(out, strbuf_str(&r->in), r->in.len);
        return r->timed_out ? -ETIMEDOUT : r->code;
}

/* --- answers --- */

static void stream_closed(struct http_stream *s, void *userdata)
{
        relay_free(userdata);
}

static void stream_drained(struct http_stream *s, void *userdata)
{
        struct relay *r = userdata;

        if (!r->ended)
                wire_pause(r->back, false);
}

/* A short body goes out in one piece, with its length. */
static void answer_short(struct relay *r, struct http_request *req, unsigned status, const char *content_type,
                         const char *const *headers)
{
        _cleanup_strbuf_ struct strbuf body = STRBUF_INIT;
        int e = relay_body(r, QUEUE_HIGH, &body);

        http_respond(req, &(struct http_answer){.status = e < 0 ? 502 : status,
                                                .content_type = content_type,
                                                .headers = headers,
                                                .body = strbuf_str(&body),
                                                .body_len = body.len});
        relay_free(r);
}

void relay_answer(struct relay *r, struct http_request *req, unsigned status, const char *content_type,
                  const char *const *headers)
{
        static const struct http_stream_ops ops = {.closed = stream_closed, .drained = stream_drained};
        if (r->framing == LENGTH && r->left <= QUEUE_HIGH) {
                answer_short(r, req, status, content_type, headers);
                return;
        }
        _cleanup_strbuf_ struct strbuf rest = take_rest(r);
        r->state = STREAM;
        r->stream = http_stream_start(req, status, content_type, headers, &ops, r);
        if (r->gone) { /* all there is, is here */
                _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
                decode(r, (const uint8_t *)strbuf_str(&rest), rest.len, &out);
                http_stream_write(r->stream, strbuf_str(&out), out.len);
                if (!r->ended)
                        body_gone(r);
                stream_end(r);
        } else {
                stream_more(r, (const uint8_t *)strbuf_str(&rest), rest.len);
        }
}

static void front_data(struct wire *w, const uint8_t *data, size_t len, void *userdata)
{
        struct relay *r = userdata;

        splice_to(r->back, r->front, data, len);
}

static void front_closed(struct wire *w, int code, void *userdata)
{
        struct relay *r = userdata;
        bool was_gone = r->gone;

        r->gone = true;
        tunnel_end(r, r->back, was_gone || code < 0);
}

static void front_drained(struct wire *w, void *userdata)
{
        struct relay *r = userdata;

        wire_pause(r->back, false);
}

static void upgraded(int fd, const void *already, size_t len, void *userdata)
{
        static const struct wire_ops ops = {.data = front_data, .closed = front_closed, .drained = front_drained};
        struct relay *r = userdata;
        _cleanup_strbuf_ struct strbuf rest = take_rest(r);

        if (fd < 0) {
                relay_free(r);
                return;
        }
        r->front = wire_new(r->loop, fd, &ops, r);
        r->state = TUNNEL;
        if (len)
                wire_write(r->back, already, len);
        if (rest.len)
                wire_write(r->front, rest.data, rest.len);
        if (r->gone)
                tunnel_end(r, r->front, false);
}

void relay_upgrade(struct relay *r, struct http_request *req)
{
        const char **headers = arena_alloc(req->arena, (2 * r->n_fields + 1) * sizeof(*headers));
        size_t n = 0;

        for (size_t i = 0; i < r->n_fields; i++) {
                if (strcasecmp(r->fields[i].name, "Date") == 0 || strcasecmp(r->fields[i].name, "Content-Length") == 0)
                        continue;
                headers[n++] = r->fields[i].name;
                headers[n++] = r->fields[i].value;
        }
        headers[n] = NULL;
        http_upgrade(req, headers, upgraded, r);
}
