/* The client's connections and the exchanges on them.
 *
 *      exchange ----> connection: RESOLVE -> CONNECT -> HANDSHAKE -> ACTIVE -> IDLE (kept for the next)
 *
 * Why this is not libcurl: Debian's brings twenty libraries along (OpenSSL beside our GnuTLS, Kerberos,
 * LDAP, SSH), which cost every daemon 0.7 MB of its own and all of them 6 MB more to share, a third of
 * all that colibri uses at rest. What is spoken here is HTTP/1.1 to servers that we name ourselves.
 *
 * An exchange has one connection for itself while it runs. A connection that was kept may have been closed
 * by the server just when it was used again: where it breaks before the first byte of an answer, the
 * request is sent once more on a new one. Owners are called back with nothing of ours half done, so
 * they may free the exchange or the client: `pins` keep the memory while we look at it.
 */
#include "client.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "../base/list.h"
#include "../base/time.h"
#include "../stream/dial.h"
#include "../tls/front.h"
#include "parse.h"

#define DEFAULT_TIMEOUT_NS (60 * NS_PER_SEC)
#define CONNECT_TIMEOUT_NS (10 * NS_PER_SEC)
#define DEFAULT_MAX_BODY ((size_t)64 << 20)
#define MAX_HEAD ((size_t)256 << 10)
#define KEPT_CONNECTIONS 64
#define MAX_REDIRECTS 10
#define READ_SIZE 32768

static char scratch[READ_SIZE]; /* what one read brings; used between a read and its handing over */

struct http_client {
        struct loop *loop;
        struct tls_client *tls;
        size_t max_body;
        struct list live; /* exchanges */
        struct list idle; /* connections, the longest idle first */
        size_t n_idle;
        unsigned pins;
        bool dead;
};

enum link_state { LINK_RESOLVE, LINK_CONNECT, LINK_HANDSHAKE, LINK_ACTIVE, LINK_IDLE };

/* One connection. */
struct link {
        struct http_client *client;
        struct list list; /* in idle */
        enum link_state state;
        char *key, *host; /* key: "https://host:port", and where that is if the caller said */
        char *to_host;    /* the host that is connected to; the certificate is still for HOST */
        char port[8];
        bool secure;
        struct lookup *lookup;
        struct addrinfo *found, *next;
        int fd;
        struct loop_fd *source;
        struct tls_session *tls;
        struct http_exchange *exchange;
        struct strbuf in; /* the beginning of a head */
        bool reused;      /* it has carried an exchange before */
        bool answered;    /* something of the answer has come */
};

/* A name being looked up in a thread; the link may be gone when that ends. */
struct lookup {
        struct link *link;
        char *host, *port;
        struct addrinfo *found;
        int code;
};

enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKS, BODY_UNTIL_CLOSE };

struct http_exchange {
        struct http_client *client;
        struct list list; /* in live */
        struct arena *arena;
        struct link *link;
        struct loop_timer *timer;
        int64_t deadline; /* monotonic; 0: none */
        unsigned pins;
        bool freed;

        /* what is asked */
        const char *method, *url;
        const char *const *headers;
        const char *body;
        size_t body_len;
        const char *connect_to;
        bool no_redirects, no_reuse, cross; /* cross: redirected to another host, which gets no credentials */
        unsigned redirects;
        char *scheme, *host, *port, *target; /* of the URL; scheme with "://" */
        struct strbuf out;                   /* the request's head, then its body */
        size_t out_at;

        /* what comes */
        bool in_body, keep_alive;
        const char *location; /* of a redirect that is followed */
        unsigned status;
        struct strbuf response_headers;
        enum body_kind kind;
        uint64_t left;
        struct http_chunks chunks;
        size_t received;

        /* who waits */
        const struct http_exchange_ops *ops; /* NULL: an http_call() */
        void *userdata;
        struct fiber *fiber;
        struct http_reply *reply;
        int code;
        char *text;
        bool parked, done;
};

static void exchange_start(struct http_exchange *x);
static void exchange_finish(struct http_exchange *x, int code, const char *fmt, ...) printf_like(3, 4);
static void link_free(struct link *l);
static void link_connect(struct link *l);
static void link_io(struct link *l, uint32_t events);

/* --- memory --- */

static void client_unpin(struct http_client *c)
{
        if (--c->pins || !c->dead)
                return;
        tls_client_free(c->tls);
        free(c);
}

static void exchange_unpin(struct http_exchange *x)
{
        struct http_client *c = x->client;

        if (--x->pins)
                return;
        list_remove(&x->list);
        loop_timer_free(x->timer);
        strbuf_deinit(&x->out);
        strbuf_deinit(&x->response_headers);
        free(x->text);
        arena_free(x->arena);
        free(x);
        client_unpin(c);
}

/* Nothing more is told to its owner. */
static void exchange_drop(struct http_exchange *x)
{
        struct link *l = steal_ptr(x->link);

        if (l) {
                l->exchange = NULL;
                link_free(l);
        }
        loop_timer_disarm(x->timer);
        x->freed = true;
        exchange_unpin(x);
}

void http_exchange_free(struct http_exchange *x)
{
        if (x && !x->freed)
                exchange_drop(x);
}

int http_client_new(struct loop *loop, const struct http_client_options *o, struct http_client **ret,
                    struct error *reterr)
{
        struct http_client *c = new0(struct http_client);
        const struct tls_client_options tls = {
                .ca_file = o->ca_file, .cert_file = o->cert_file, .key_file = o->key_file,
                .ca_data = o->ca_data, .cert_data = o->cert_data, .key_data = o->key_data,
                .insecure = o->insecure,
        };

        c->loop = loop;
        c->max_body = o->max_body ? o->max_body : DEFAULT_MAX_BODY;
        c->tls = tls_client_new(&tls);
        c->pins = 1;
        list_init(&c->live);
        list_init(&c->idle);
        *ret = c;
        return 0;
}

/* Those in http_call() are woken with an error; the exchanges of others end without a word. */
void http_client_free(struct http_client *c)
{
        if (!c)
                return;
        c->dead = true;
        list_foreach_safe(&c->idle, it, tmp)
                link_free(list_entry(it, struct link, list));
        list_foreach_safe(&c->live, it2, tmp2) {
                struct http_exchange *x = list_entry(it2, struct http_exchange, list);

                if (!x->ops)
                        exchange_finish(x, -ECANCELED, "the client is closed");
                else if (!x->freed)
                        exchange_drop(x);
        }
        client_unpin(c);
}

/* --- connections --- */

static void link_free(struct link *l)
{
        if (l->state == LINK_IDLE) {
                list_remove(&l->list);
                l->client->n_idle--;
        }
        if (l->lookup)
                l->lookup->link = NULL;
        if (l->found)
                freeaddrinfo(l->found);
        loop_fd_free(l->source);
        tls_session_free(l->tls);
        if (l->fd >= 0)
                close(l->fd);
        strbuf_deinit(&l->in);
        free(l->key);
        free(l->host);
        free(l->to_host);
        free(l);
}

static void on_link(struct loop_fd *source, uint32_t events, void *userdata)
{
        link_io(userdata, events);
}

static void link_events(struct link *l)
{
        const struct http_exchange *x = l->exchange;
        uint32_t events = EPOLLIN | EPOLLRDHUP;

        if (l->state == LINK_CONNECT)
                events = EPOLLOUT;
        else if (l->state == LINK_HANDSHAKE)
                events = tls_wants_write(l->tls) ? EPOLLOUT : EPOLLIN;
        else if (x && (x->out_at < x->out.len || (l->tls && tls_wants_write(l->tls))))
                events |= EPOLLOUT;
        loop_fd_set(l->source, events);
}

/* It breaks: the exchange starts anew where the server may just have let go of an idle connection. */
static void link_fail(struct link *l, int code, const char *text)
{
        struct http_exchange *x = l->exchange;
        bool again = l->reused && !l->answered && code != -ETIMEDOUT;

        l->exchange = NULL;
        x->link = NULL;
        if (again) {
                link_free(l);
                exchange_start(x);
                return;
        }
        exchange_finish(x, code, "%s", text);
        link_free(l);
}

static void link_failf(struct link *l, int code, const char *fmt, ...) printf_like(3, 4);
static void link_failf(struct link *l, int code, const char *fmt, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, fmt);
        text = xvasprintf(fmt, ap);
        va_end(ap);
        link_fail(l, code, text);
}

/* Tries the next of the host's addresses. */
static void link_next(struct link *l, int code)
{
        while (l->next) {
                const struct addrinfo *ai = l->next;

                l->next = ai->ai_next;
                loop_fd_free(steal_ptr(l->source));
                if (l->fd >= 0)
                        close(l->fd);
                l->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                if (l->fd < 0) {
                        code = -errno;
                        continue;
                }
                dial_set_options(l->fd);
                if (connect(l->fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS) {
                        code = -errno;
                        continue;
                }
                l->state = LINK_CONNECT;
                l->source = loop_fd_new(l->client->loop, l->fd, EPOLLOUT, on_link, l);
                return;
        }
        link_failf(l, code, "connect %s port %s: %s", l->to_host, l->port, strerror(-code));
}

static void look_up(void *userdata)
{
        struct lookup *u = userdata;
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};

        u->code = getaddrinfo(u->host, u->port, &hints, &u->found);
}

static void looked_up(void *userdata)
{
        struct lookup *u = userdata;
        struct link *l = u->link;

        if (l) {
                l->lookup = NULL;
                l->found = l->next = steal_ptr(u->found);
                if (u->code)
                        link_failf(l, -EHOSTUNREACH, "look up %s: %s", u->host, gai_strerror(u->code));
                else
                        link_next(l, -EHOSTUNREACH);
        }
        if (u->found)
                freeaddrinfo(u->found);
        free(u->host);
        free(u->port);
        free(u);
}

/* Addresses need no thread. */
static void link_connect(struct link *l)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};

        if (getaddrinfo(l->to_host, l->port, &hints, &l->found) == 0) {
                l->next = l->found;
                link_next(l, -EHOSTUNREACH);
                return;
        }
        l->lookup = new0(struct lookup);
        l->lookup->link = l;
        l->lookup->host = xstrdup(l->to_host);
        l->lookup->port = xstrdup(l->port);
        loop_work(l->client->loop, look_up, looked_up, l->lookup);
}

/* Of "10.0.0.1:443" or "[fd00::1]:443". */
static char *address_host(const char *address)
{
        const char *end = strrchr(address, ':');

        if (*address == '[' && end > address + 1 && end[-1] == ']') {
                address++;
                end--;
        }
        return xstrndup(address, (size_t)(end - address));
}

/* Ready to carry: a connection that was kept, or a new one. */
static struct link *link_get(struct http_exchange *x)
{
        struct http_client *c = x->client;
        const char *to = x->connect_to && !x->cross ? x->connect_to : "";
        _cleanup_free_ char *key = xasprintf("%s%s:%s %s", x->scheme, x->host, x->port, to);
        struct link *l;

        for (struct list *it = c->idle.prev; it != &c->idle && !x->no_reuse; it = it->prev) {
                l = list_entry(it, struct link, list);
                if (!streq(l->key, key))
                        continue;
                list_remove(&l->list);
                c->n_idle--;
                l->state = LINK_ACTIVE;
                l->reused = true;
                l->answered = false;
                return l;
        }
        l = new0(struct link);
        l->client = c;
        list_init(&l->list);
        l->key = steal_ptr(key);
        l->host = xstrdup(x->host);
        l->to_host = *to ? address_host(to) : xstrdup(x->host);
        snprintf(l->port, sizeof(l->port), "%s", *to ? strrchr(to, ':') + 1 : x->port);
        l->secure = streq(x->scheme, "https://");
        l->fd = -1;
        return l;
}

static void link_keep(struct link *l)
{
        struct http_client *c = l->client;

        strbuf_deinit(&l->in);
        l->state = LINK_IDLE;
        list_push_back(&c->idle, &l->list);
        c->n_idle++;
        loop_fd_set(l->source, EPOLLIN | EPOLLRDHUP);
        if (c->n_idle > KEPT_CONNECTIONS)
                link_free(list_entry(c->idle.next, struct link, list));
}

/* --- an exchange's end --- */

/* Its connection can carry another one. */
static bool reusable(const struct http_exchange *x)
{
        return x->keep_alive && !x->no_reuse && !x->client->dead && x->out_at == x->out.len;
}

/* Takes it off its connection, if it still has one, and tells its owner. */
static void exchange_finish(struct http_exchange *x, int code, const char *fmt, ...)
{
        struct link *l = steal_ptr(x->link);
        va_list ap;

        if (l) {
                l->exchange = NULL;
                if (code == 0 && reusable(x))
                        link_keep(l);
                else
                        link_free(l);
        }
        loop_timer_disarm(x->timer);
        va_start(ap, fmt);
        x->text = xvasprintf(fmt, ap);
        va_end(ap);
        x->code = code;
        x->done = true;
        if (x->ops) {
                x->freed = true;
                x->ops->end(x, code, x->text, x->userdata);
                exchange_unpin(x);
        } else if (x->parked) { /* a wake before the park would be taken by another */
                fiber_wake(x->fiber);
        }
}

static void on_timer(struct loop_timer *timer, void *userdata)
{
        struct http_exchange *x = userdata;
        struct link *l = x->link;
        int64_t now = time_mono();

        if (x->deadline && now >= x->deadline)
                exchange_finish(x, -ETIMEDOUT, "timed out: %s %s", x->method, x->url);
        else if (l && l->state != LINK_ACTIVE)
                exchange_finish(x, -ETIMEDOUT, "timed out connecting to %s port %s", l->host, l->port);
        else if (x->deadline)
                loop_timer_arm(x->timer, x->deadline - now);
}

/* --- what comes --- */

static char *find_header(const struct strbuf *headers, struct arena *a, const char *name)
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
        connection = find_header(&x->response_headers, x->arena, "connection");
        encoding = find_header(&x->response_headers, x->arena, "transfer-encoding");
        length = find_header(&x->response_headers, x->arena, "content-length");
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

        return redirect && !x->no_redirects ? find_header(&x->response_headers, x->arena, "location") : NULL;
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
        if (reusable(x))
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

/* DATA has come for the exchange. False: it is over, or on another connection. */
static bool take_input(struct link *l, const char *data, size_t len)
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

static void take_end(struct link *l)
{
        struct http_exchange *x = l->exchange;

        if (x->in_body && x->kind == BODY_UNTIL_CLOSE)
                exchange_complete(x);
        else
                link_fail(l, -ECONNRESET, "the server closed the connection");
}

static ssize_t link_recv(struct link *l, char *buf, size_t len)
{
        ssize_t n;

        if (l->tls)
                return tls_recv(l->tls, buf, len);
        do
                n = recv(l->fd, buf, len, 0);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

static void link_read(struct link *l)
{
        struct http_exchange *x = l->exchange;

        x->pins++;
        for (unsigned round = 0;; round++) {
                ssize_t n = link_recv(l, scratch, sizeof(scratch));

                if (n == -EAGAIN) {
                        link_events(l);
                        break;
                }
                if (n == 0)
                        take_end(l);
                else if (n < 0)
                        link_fail(l, (int)n, n == -EPROTO ? "TLS: the record is malformed" : strerror((int)-n));
                if (n <= 0 || !take_input(l, scratch, (size_t)n))
                        break;
                if ((size_t)n < sizeof(scratch) && !(l->tls && tls_pending(l->tls))) {
                        link_events(l);
                        break;
                }
                if (round >= 16 && !(l->tls && tls_pending(l->tls))) {
                        link_events(l); /* others have their turn */
                        break;
                }
        }
        exchange_unpin(x);
}

/* --- what is sent --- */

/* False: the connection broke, and the exchange is elsewhere or over. */
static bool link_write(struct link *l)
{
        struct http_exchange *x = l->exchange;

        for (;;) {
                size_t left = x->out.len - x->out_at;
                ssize_t n;

                if (l->tls) {
                        n = left ? tls_send(l->tls, x->out.data + x->out_at, left) : tls_flush(l->tls);
                        if (n == 0 && !left)
                                break;
                } else {
                        if (!left)
                                break;
                        n = send(l->fd, x->out.data + x->out_at, left, MSG_NOSIGNAL);
                        n = n < 0 ? -errno : n;
                }
                if (n == -EAGAIN || n == -EINTR)
                        break;
                if (n < 0) {
                        /* A server that refuses a body may have answered before it closed. */
                        if (l->reused || recv(l->fd, scratch, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) {
                                link_fail(l, (int)n, strerror((int)-n));
                                return false;
                        }
                        x->out_at = x->out.len;
                        x->keep_alive = false;
                        break;
                }
                x->out_at += (size_t)n;
        }
        link_events(l);
        return true;
}

static void link_active(struct link *l)
{
        l->state = LINK_ACTIVE;
        if (link_write(l) && l->tls && tls_pending(l->tls))
                link_read(l);
}

static void link_handshake(struct link *l)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        int r = tls_handshake(l->tls, &err);

        if (r == 0)
                link_active(l);
        else if (r == -EAGAIN)
                link_events(l);
        else
                link_fail(l, r, error_text(&err));
}

static void link_connected(struct link *l)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        socklen_t len = sizeof(int);
        int e = 0, r;

        getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &e, &len);
        if (e) {
                link_next(l, -e);
                return;
        }
        if (!l->secure) {
                link_active(l);
                return;
        }
        r = tls_client_session_new(l->client->tls, l->fd, l->host, &l->tls, &err);
        if (r < 0) {
                link_fail(l, r, error_text(&err));
                return;
        }
        l->state = LINK_HANDSHAKE;
        link_handshake(l);
}

static void link_io(struct link *l, uint32_t events)
{
        struct http_client *c = l->client;

        c->pins++;
        if (l->state == LINK_IDLE) /* closed, or it talks out of turn */
                link_free(l);
        else if (l->state == LINK_CONNECT)
                link_connected(l);
        else if (l->state == LINK_HANDSHAKE)
                link_handshake(l);
        else if (!(events & EPOLLOUT) || link_write(l))
                if (events & ~(uint32_t)EPOLLOUT)
                        link_read(l);
        client_unpin(c);
}

/* --- starting --- */

/* Cuts the URL up. False: it is none. */
static bool read_url(struct http_exchange *x)
{
        static const char *const schemes[] = {"http://", "https://"};
        const char *at = x->url, *end;
        size_t n;

        x->scheme = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
                if (strncasecmp(at, schemes[i], strlen(schemes[i])) == 0)
                        x->scheme = (char *)schemes[i];
        if (!x->scheme)
                return false;
        at += strlen(x->scheme);
        if (*at == '[') {
                end = strchr(++at, ']');
                if (!end)
                        return false;
                x->host = arena_strndup(x->arena, at, end - at);
                at = end + 1;
        } else {
                n = strcspn(at, ":/?#");
                x->host = arena_strndup(x->arena, at, n);
                at += n;
        }
        x->port = streq(x->scheme, "https://") ? "443" : "80";
        if (*at == ':') {
                n = strspn(++at, "0123456789");
                if (!n || n > 5)
                        return false;
                x->port = arena_strndup(x->arena, at, n);
                at += n;
        }
        n = strcspn(at, "#");
        x->target = arena_printf(x->arena, "%s%.*s", *at == '/' ? "" : "/", (int)n, at);
        for (const char *c = x->target; *c; c++)
                if ((unsigned char)*c <= ' ' || *c == 0x7f)
                        return false;
        return *x->host && strchr("/?#", *at);
}

static bool names_header(const char *const *headers, const char *name)
{
        size_t len = strlen(name);

        for (; headers && *headers; headers++)
                if (strncasecmp(*headers, name, len) == 0 && (*headers)[len] == ':')
                        return true;
        return false;
}

/* Nothing in a header may end its line early. */
static void put_line(struct strbuf *out, const char *line)
{
        for (; *line; line++)
                strbuf_putc(out, *line == '\r' || *line == '\n' ? ' ' : *line);
        strbuf_append(out, "\r\n", 2);
}

static void write_request(struct http_exchange *x)
{
        bool standard = streq(x->port, streq(x->scheme, "https://") ? "443" : "80");
        bool body = x->body || streq(x->method, "POST") || streq(x->method, "PUT") || streq(x->method, "PATCH");
        struct strbuf *out = &x->out;

        strbuf_reset(out);
        x->out_at = 0;
        strbuf_reserve(out, 512 + x->body_len);
        strbuf_printf(out, "%s %s HTTP/1.1\r\n", x->method, x->target);
        if (!names_header(x->headers, "host"))
                strbuf_printf(out, strchr(x->host, ':') ? "Host: [%s]%s%s\r\n" : "Host: %s%s%s\r\n", x->host,
                              standard ? "" : ":", standard ? "" : x->port);
        if (!names_header(x->headers, "accept"))
                strbuf_puts(out, "Accept: */*\r\n");
        for (const char *const *h = x->headers; h && *h; h++)
                if (!x->cross ||
                    (strncasecmp(*h, "authorization:", 14) != 0 && strncasecmp(*h, "cookie:", 7) != 0))
                        put_line(out, *h);
        if (body)
                strbuf_printf(out, "Content-Length: %zu\r\n", x->body_len);
        strbuf_append(out, "\r\n", 2);
        if (x->body_len)
                strbuf_append(out, x->body, x->body_len);
}

static void exchange_start(struct http_exchange *x)
{
        const char *host_before = x->host;
        int64_t in_ns = CONNECT_TIMEOUT_NS;
        struct link *l;

        if (!read_url(x)) {
                exchange_finish(x, -EINVAL, "%s: not a URL of HTTP", x->url);
                return;
        }
        x->cross = x->cross || (host_before && !streq(host_before, x->host));
        x->in_body = false;
        x->location = NULL;
        x->status = 0;
        write_request(x);
        l = link_get(x);
        l->exchange = x;
        x->link = l;
        if (x->deadline)
                in_ns = l->state == LINK_ACTIVE ? x->deadline - time_mono() : MIN(in_ns, x->deadline - time_mono());
        if (x->deadline || l->state != LINK_ACTIVE)
                loop_timer_arm(x->timer, in_ns);
        if (l->state == LINK_ACTIVE)
                link_write(l);
        else
                link_connect(l);
}

static struct http_exchange *exchange_new(struct http_client *c, const struct http_call *call)
{
        struct http_exchange *x = new0(struct http_exchange);
        int64_t timeout = call->timeout_ns ? call->timeout_ns : DEFAULT_TIMEOUT_NS;

        x->client = c;
        c->pins++;
        list_push_back(&c->live, &x->list);
        x->arena = arena_new(1024);
        x->timer = loop_timer_new(c->loop, on_timer, x);
        x->deadline = timeout > 0 ? time_mono() + timeout : 0;
        x->pins = 1;
        x->method = call->method;
        x->url = call->url;
        x->headers = call->headers;
        x->body = call->body;
        x->body_len = call->body ? call->body_len : 0;
        x->no_redirects = call->no_redirects;
        x->no_reuse = call->no_reuse;
        x->connect_to = call->connect_to && strrchr(call->connect_to, ':') ? call->connect_to : NULL;
        return x;
}

/* --- for fibers --- */

void http_reply_deinit(struct http_reply *r)
{
        strbuf_deinit(&r->body);
        strbuf_deinit(&r->headers);
}

char *http_reply_header(const struct http_reply *r, struct arena *a, const char *name)
{
        return find_header(&r->headers, a, name);
}

char *http_exchange_header(const struct http_exchange *x, struct arena *a, const char *name)
{
        return find_header(&x->response_headers, a, name);
}

int http_call(struct http_client *c, const struct http_call *call, struct http_reply *r, struct error *reterr)
{
        struct http_exchange *x = exchange_new(c, call);
        struct strbuf headers;
        int code;

        x->fiber = fiber_self();
        x->reply = r;
        exchange_start(x);
        x->parked = true;
        while (!x->done)
                fiber_park();
        code = x->code;
        r->status = x->status;
        headers = r->headers; /* swapped: the old ones are freed with the exchange */
        r->headers = x->response_headers;
        x->response_headers = headers;
        if (code < 0)
                error_set(reterr, code, "%s", *x->text ? x->text : strerror(-code));
        exchange_unpin(x);
        return code;
}

/* --- without a fiber --- */

static void start_later(void *userdata)
{
        struct http_exchange *x = userdata;

        if (!x->freed)
                exchange_start(x);
        exchange_unpin(x);
}

/* Copies what the caller gave. It starts at the end of the turn: no callback comes before we return. */
struct http_exchange *http_open(struct http_client *c, const struct http_call *call,
                                const struct http_exchange_ops *ops, void *userdata)
{
        struct http_exchange *x = exchange_new(c, call);
        const char **headers;
        size_t n = 0;

        while (call->headers && call->headers[n])
                n++;
        headers = arena_calloc(x->arena, (n + 1) * sizeof(*headers));
        for (size_t i = 0; i < n; i++)
                headers[i] = arena_strdup(x->arena, call->headers[i]);
        x->headers = headers;
        x->method = arena_strdup(x->arena, call->method);
        x->url = arena_strdup(x->arena, call->url);
        x->connect_to = x->connect_to ? arena_strdup(x->arena, x->connect_to) : NULL;
        x->body = call->body ? arena_memdup(x->arena, call->body, call->body_len) : NULL;
        x->ops = ops;
        x->userdata = userdata;
        x->pins++;
        loop_defer(c->loop, start_later, x);
        return x;
}
