/* The connections of the client.
 *
 *      exchange ----> connection: RESOLVE -> CONNECT -> HANDSHAKE -> ACTIVE -> IDLE (kept for the next)
 *
 * An exchange has one connection for itself while it runs. A connection that was kept may have been closed
 * by the server just when it was used again: where it breaks before the first byte of an answer, the
 * request is sent once more on a new one.
 */
#include "client-internal.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "../stream/dial.h"

#define KEPT_CONNECTIONS 64
#define READ_SIZE 32768

static char scratch[READ_SIZE]; /* what one read brings; used between a read and its handing over */

static void link_io(struct link *l, uint32_t events);

void link_free(struct link *l)
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
void link_connect(struct link *l)
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

struct link *link_get(struct http_exchange *x)
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

void link_keep(struct link *l)
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

/* --- what comes and goes --- */

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
                if (n == 0 && !exchange_take_end(x))
                        link_fail(l, -ECONNRESET, "the server closed the connection");
                else if (n < 0)
                        link_fail(l, (int)n, n == -EPROTO ? "TLS: the record is malformed" : strerror((int)-n));
                if (n <= 0 || !exchange_take(l, scratch, (size_t)n))
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

bool link_write(struct link *l)
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
