/* What comes: the head of an answer, its body in one of the four ways that HTTP/1.1 has, and redirects. */
#include "client-internal.h"

#include <stdio.h>
#include <strings.h>

#define MAX_HEAD ((size_t)256 << 10)
#define MAX_REDIRECTS 10

char *exchange_find_header(const struct strbuf *headers, struct arena *a, const char *name)
{
        size_t len = strlen(name);
        const char *line = strbuf_str(headers);

        while (*line) {
                const char *end = strchr(line, '\n');

                if (!end)
                        end = line + strlen(line);
                if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
                        const char *value = line + len + 1, *stop = end;

                        while (value < stop && (*value == ' ' || *value == '\t'))
                                value++;
                        while (stop > value && (stop[-1] == '\r' || stop[-1] == ' '))
                                stop--;
                        return arena_strndup(a, value, stop - value);
                }
                line = *end ? end + 1 : end;
        }
        return NULL;
}

/* The status line and headers at HEAD. False: no HTTP/1. */
static bool read_head(struct http_exchange *x, const char *head, size_t len)
{
        const char *connection, *encoding, *length, *lines;
        unsigned major, minor, status;
        int end = 0;
        size_t n;

        for (; len && (*head == '\r' || *head == '\n'); head++)
                len--;
        lines = memchr(head, '\n', len);

        if (!lines || memchr(head, '\0', len) || sscanf(head, "HTTP/%1u.%1u %3u%n", &major, &minor, &status, &end) != 3 ||
            major != 1 || !strchr(" \r\n", head[end]) || status < 100)
                return false;
        lines++;
        n = len - (size_t)(lines - head);
        n -= n >= 2 && lines[n - 2] == '\r' ? 2 : 1; /* the empty line */
        x->status = status;
        strbuf_reset(&x->response_headers);
        strbuf_append(&x->response_headers, lines, n);
        connection = exchange_find_header(&x->response_headers, x->arena, "connection");
        encoding = exchange_find_header(&x->response_headers, x->arena, "transfer-encoding");
        length = exchange_find_header(&x->response_headers, x->arena, "content-length");
        x->keep_alive = connection ? !http_has_token(connection, "close") &&
                                             (minor >= 1 || http_has_token(connection, "keep-alive"))
                                   : minor >= 1;
        x->chunks = (struct http_chunks){0};
        x->left = 0;
        if (streq(x->method, "HEAD") || status == 204 || status == 304) {
                x->kind = BODY_NONE;
        } else if (encoding) {
                x->kind = BODY_CHUNKS;
                if (strcasecmp(encoding, "chunked") != 0)
                        return false;
        } else if (length) {
                char *stop;

                x->kind = BODY_LENGTH;
                errno = 0;
                x->left = strtoull(length, &stop, 10);
                if (*length < '0' || *length > '9' || *stop || errno)
                        return false;
        } else {
                x->kind = BODY_UNTIL_CLOSE;
                x->keep_alive = false;
        }
        return true;
}

/* Where a redirect leads that is followed; NULL: it is the answer. */
static const char *redirection(struct http_exchange *x)
{
        bool redirect = x->status == 301 || x->status == 302 || x->status == 303 || x->status == 307 || x->status == 308;

        return redirect && !x->no_redirects ? exchange_find_header(&x->response_headers, x->arena, "location") : NULL;
}

/* A part of the body. False: the exchange is over. */
static bool deliver(struct http_exchange *x, const char *data, size_t len)
{
        if (!len || x->location) /* what a redirect says is for nobody */
                return true;
        if (x->ops) {
                x->ops->data(x, data, len, x->userdata);
                return !x->freed;
        }
        x->received += len;
        if (x->received > x->client->max_body) {
                x->keep_alive = false;
                exchange_finish(x, -EFBIG, "the answer is too long");
                return false;
        }
        strbuf_append(&x->reply->body, data, len);
        return true;
}

/* "/path" or a whole URL, or what comes behind the last slash. */
static char *redirect_url(struct http_exchange *x, const char *location)
{
        const char *slash;

        if (strstr(location, "://"))
                return arena_strdup(x->arena, location);
        if (*location == '/')
                return arena_printf(x->arena, strchr(x->host, ':') ? "%s[%s]:%s%s" : "%s%s:%s%s", x->scheme, x->host,
                                    x->port, location);
        slash = strrchr(x->target, '/');
        return arena_printf(x->arena, strchr(x->host, ':') ? "%s[%s]:%s%.*s/%s" : "%s%s:%s%.*s/%s", x->scheme, x->host,
                            x->port, slash ? (int)(slash - x->target) : 0, x->target, location);
}

/* The whole answer is there. */
static void exchange_complete(struct http_exchange *x)
{
        struct link *l = x->link;

        if (!x->location) {
                exchange_finish(x, 0, "%s", "");
                return;
        }
        if (++x->redirects > MAX_REDIRECTS) {
                exchange_finish(x, -EPROTO, "more than %d redirects", MAX_REDIRECTS);
                return;
        }
        x->url = redirect_url(x, x->location);
        if (x->status == 303 && !streq(x->method, "HEAD")) {
                x->method = "GET";
                x->body = NULL;
                x->body_len = 0;
        }
        x->link = NULL;
        l->exchange = NULL;
        if (exchange_reusable(x))
                link_keep(l);
        else
                link_free(l);
        exchange_start(x);
}

/* Takes what DATA holds of the body. False: the exchange is over, or its connection is another. */
static bool take_body(struct http_exchange *x, const char *data, size_t len)
{
        _cleanup_strbuf_ struct strbuf part = STRBUF_INIT;
        size_t used = len;
        bool done = false;
        int r;

        if (x->kind == BODY_LENGTH) {
                used = MIN(len, x->left);
                x->left -= used;
                done = x->left == 0;
                if (!deliver(x, data, used))
                        return false;
        } else if (x->kind == BODY_CHUNKS) {
                r = http_chunks_feed(&x->chunks, data, len, &part, &used);
                if (r < 0) {
                        exchange_finish(x, -EPROTO, "malformed chunks");
                        return false;
                }
                done = r == HTTP_CHUNKS_DONE;
                if (!deliver(x, part.data, part.len))
                        return false;
        } else if (x->kind == BODY_UNTIL_CLOSE) {
                if (!deliver(x, data, len))
                        return false;
        } else {
                done = true;
                used = 0;
        }
        if (!done)
                return true;
        if (used < len)
                x->keep_alive = false; /* more than was asked for */
        exchange_complete(x);
        return false;
}

/* A head that is complete. False: the exchange is over. */
static bool take_head(struct http_exchange *x, const char *head, size_t len)
{
        if (!read_head(x, head, len)) {
                exchange_finish(x, -EPROTO, "no HTTP/1.1 answer");
                return false;
        }
        if (x->status < 200 && x->status != 101)
                return true; /* 100 Continue: the answer is still to come */
        x->in_body = true;
        x->location = redirection(x);
        if (x->ops && x->ops->headers && !x->location)
                x->ops->headers(x, x->status, x->userdata);
        return !x->freed;
}

bool exchange_take(struct link *l, const char *data, size_t len)
{
        struct http_exchange *x = l->exchange;

        l->answered = true;
        while (!x->in_body) {
                size_t scanned = 0, n;

                if (len)
                        strbuf_append(&l->in, data, len);
                len = 0;
                n = http_head_length(strbuf_str(&l->in), l->in.len, &scanned);
                if (!n && l->in.len > MAX_HEAD) {
                        exchange_finish(x, -EPROTO, "the answer's head is too long");
                        return false;
                }
                if (!n)
                        return true;
                if (!take_head(x, l->in.data, n))
                        return false;
                memmove(l->in.data, l->in.data + n, l->in.len - n + 1);
                l->in.len -= n;
        }
        if (l->in.len || len == 0) { /* what came with the head; an empty body may be complete by now */
                struct strbuf rest = l->in;
                bool more = true;

                l->in = (struct strbuf)STRBUF_INIT;
                if (rest.len || x->kind == BODY_NONE || (x->kind == BODY_LENGTH && !x->left))
                        more = take_body(x, strbuf_str(&rest), rest.len);
                strbuf_deinit(&rest);
                if (!more)
                        return false;
        }
        return len ? take_body(x, data, len) : true;
}

bool exchange_take_end(struct http_exchange *x)
{
        if (!x->in_body || x->kind != BODY_UNTIL_CLOSE)
                return false;
        exchange_complete(x);
        return true;
}
