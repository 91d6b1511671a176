/* A connection of grpc.c: endpoints and their addresses, sockets, TLS. */
#include "grpc-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../lib/base/time.h"

static void connect_next(struct grpc *g);

/* --- bytes --- */

/* Left alone, GnuTLS asks the kernel twice a record and once more to hear that there is no more; an
 * answer of etcd is three records. It is served from one read of all there is. */
static ssize_t tls_pull(gnutls_transport_ptr_t ptr, void *buf, size_t len)
{
        struct grpc *g = ptr;

        if (g->inbox_at == g->inbox_len) {
                ssize_t n = -1;

                errno = EAGAIN;
                if (!g->drained)
                        n = recv(g->fd, g->inbox, READ_SIZE, 0);
                if (n <= 0) {
                        gnutls_transport_set_errno(g->tls, n < 0 ? errno : 0);
                        return n;
                }
                g->inbox_at = 0;
                g->inbox_len = (size_t)n;
                g->drained = n < READ_SIZE;
        }
        len = MIN(len, g->inbox_len - g->inbox_at);
        memcpy(buf, g->inbox + g->inbox_at, len);
        g->inbox_at += len;
        return (ssize_t)len;
}

static int tls_pull_timeout(gnutls_transport_ptr_t ptr, unsigned ms)
{
        return 1; /* never asked on non-blocking sessions; GnuTLS wants one beside a pull function */
}

ssize_t grpc_socket_read(struct grpc *g, void *buf, size_t len)
{
        if (g->tls) {
                ssize_t n = gnutls_record_recv(g->tls, buf, len);

                if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
                        return -EAGAIN;
                return n < 0 ? -ECONNRESET : n;
        }
        ssize_t n = recv(g->fd, buf, len, 0);

        return n < 0 ? -errno : n;
}

ssize_t grpc_socket_write(struct grpc *g, const void *buf, size_t len)
{
        if (g->tls) {
                ssize_t n = gnutls_record_send(g->tls, buf, len);

                if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
                        return -EAGAIN;
                return n < 0 ? -ECONNRESET : n;
        }
        ssize_t n = send(g->fd, buf, len, MSG_NOSIGNAL);

        return n < 0 ? -errno : n;
}

void grpc_want_events(struct grpc *g, uint32_t events)
{
        if (g->source && g->events != events)
                loop_fd_set(g->source, g->events = events);
}
/* --- TLS --- */

static void handshake_step(struct grpc *g)
{
        int r;

        g->drained = false;
        r = gnutls_handshake(g->tls);

        if (r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED) {
                grpc_want_events(g, gnutls_record_get_direction(g->tls) ? EPOLLIN | EPOLLOUT : EPOLLIN);
                return;
        }
        if (r == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
                gnutls_datum_t why = { 0 };

                gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(g->tls),
                                                             GNUTLS_CRT_X509, &why, 0);
                grpc_channel_fail(g, -EHOSTUNREACH, "TLS: %s", why.data ? (const char *)why.data : gnutls_strerror(r));
                gnutls_free(why.data);
                return;
        }
        if (r < 0) {
                grpc_channel_fail(g, -EHOSTUNREACH, "TLS: %s", gnutls_strerror(r));
                return;
        }
        g->failed = 0;
        grpc_channel_up(g);
        if (g->state == GRPC_UP && g->inbox_at < g->inbox_len) /* came along with the end of the handshake */
                grpc_channel_read(g);
}

static void handshake_start(struct grpc *g)
{
        const struct endpoint *e = &g->endpoints[g->current];
        const gnutls_datum_t alpn = { (unsigned char *)"h2", 2 };
        unsigned char address[16];
        int r;

        gnutls_certificate_allocate_credentials(&g->cred);
        r = g->ca_file ? gnutls_certificate_set_x509_trust_file(g->cred, g->ca_file, GNUTLS_X509_FMT_PEM) :
                         gnutls_certificate_set_x509_system_trust(g->cred);
        if (r >= 0 && g->cert_file)
                r = gnutls_certificate_set_x509_key_file(g->cred, g->cert_file, g->key_file, GNUTLS_X509_FMT_PEM);
        if (r < 0) {
                grpc_channel_fail(g, -EHOSTUNREACH, "TLS files: %s", gnutls_strerror(r));
                return;
        }
        gnutls_init(&g->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
        gnutls_set_default_priority(g->tls);
        gnutls_credentials_set(g->tls, GNUTLS_CRD_CERTIFICATE, g->cred);
        gnutls_alpn_set_protocols(g->tls, &alpn, 1, GNUTLS_ALPN_MANDATORY);
        if (inet_pton(AF_INET, e->host, address) != 1 && inet_pton(AF_INET6, e->host, address) != 1)
                gnutls_server_name_set(g->tls, GNUTLS_NAME_DNS, e->host, strlen(e->host));
        gnutls_session_set_verify_cert(g->tls, e->host, 0);
        gnutls_transport_set_ptr2(g->tls, g, (gnutls_transport_ptr_t)(intptr_t)g->fd);
        gnutls_transport_set_pull_function(g->tls, tls_pull);
        gnutls_transport_set_pull_timeout_function(g->tls, tls_pull_timeout);
        g->inbox = xmalloc(READ_SIZE);
        g->inbox_at = g->inbox_len = 0;
        g->state = GRPC_HANDSHAKE;
        handshake_step(g);
}

static void on_socket(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct grpc *g = userdata;
        int e = 0;
        socklen_t len = sizeof(e);

        switch (g->state) {
        case GRPC_CONNECTING:
                getsockopt(g->fd, SOL_SOCKET, SO_ERROR, &e, &len);
                if (e && g->next)
                        connect_next(g);
                else if (e)
                        grpc_channel_fail(g, -EHOSTUNREACH, "connect: %s", strerror(e));
                else if (!(events & EPOLLOUT))
                        break;
                else if (g->endpoints[g->current].tls)
                        handshake_start(g);
                else {
                        g->failed = 0;
                        grpc_channel_up(g);
                }
                break;
        case GRPC_HANDSHAKE:
                handshake_step(g);
                break;
        case GRPC_UP:
                if (events & EPOLLOUT)
                        grpc_channel_flush(g);
                if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && g->state == GRPC_UP)
                        grpc_channel_read(g);
                break;
        default:
                break;
        }
}

/* The kernel finds a peer that is gone without a word; no traffic of our own is spent on that. */
static void socket_options(int fd)
{
        int on = 1, idle = 10, interval = 3, count = 3, timeout_ms = 10000;

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

/* Tries the addresses of the endpoint, one after the other. */
static void connect_next(struct grpc *g)
{
        int e = ECONNREFUSED;

        while (g->next) {
                const struct addrinfo *ai = g->next;

                g->next = ai->ai_next;
                loop_fd_free(g->source);
                g->source = NULL;
                if (g->fd >= 0)
                        close(g->fd);
                g->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                if (g->fd < 0) {
                        e = errno;
                        continue;
                }
                socket_options(g->fd);
                if (connect(g->fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS) {
                        e = errno;
                        continue;
                }
                g->state = GRPC_CONNECTING;
                g->events = EPOLLIN | EPOLLOUT;
                g->source = loop_fd_new(g->loop, g->fd, g->events, on_socket, g);
                return;
        }
        grpc_channel_fail(g, -EHOSTUNREACH, "connect: %s", strerror(e));
}

/* Names other than addresses are looked up in a thread: getaddrinfo blocks. */
struct lookup {
        struct grpc *g;
        unsigned generation;
        char *host, *port;
        struct addrinfo *found;
        int error;
};

static int lookup_now(struct lookup *l, int flags)
{
        struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags };

        return l->error = getaddrinfo(l->host, l->port, &hints, &l->found);
}

static void lookup_work(void *userdata)
{
        lookup_now(userdata, AI_ADDRCONFIG);
}

static void lookup_done(void *userdata)
{
        struct lookup *l = userdata;
        struct grpc *g = l->g;

        if (g->freed) {
                if (!--g->deferred)
                        free(g);
        } else {
                g->deferred--;
                if (g->generation != l->generation || g->state != GRPC_RESOLVING)
                        ;
                else if (l->error)
                        grpc_channel_fail(g, -EHOSTUNREACH, "%s", gai_strerror(l->error));
                else {
                        g->found = g->next = steal_ptr(l->found);
                        connect_next(g);
                }
        }
        if (l->found)
                freeaddrinfo(l->found);
        free(l->host);
        free(l->port);
        free(l);
}

/* A socket of this machine: who may open its folder needs no certificate, and what goes through it is not
 * enciphered. etcd answers there in fewer, larger pieces, too: a write costs a fifth less. */
static void connect_local(struct grpc *g)
{
        const struct endpoint *e = &g->endpoints[g->current];
        struct sockaddr_un sun = { .sun_family = AF_UNIX };
        int r;

        memcpy(sun.sun_path, e->host, strlen(e->host) + 1); /* grpc_endpoint_parse() has measured it */
        g->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        r = g->fd < 0 ? -1 : connect(g->fd, (struct sockaddr *)&sun, sizeof(sun));
        if (r < 0) {
                grpc_channel_fail(g, -EHOSTUNREACH, "connect: %s", strerror(errno));
                return;
        }
        g->state = GRPC_CONNECTING; /* at once, but it is told in the next turn, as of other sockets */
        g->events = EPOLLIN | EPOLLOUT;
        g->source = loop_fd_new(g->loop, g->fd, g->events, on_socket, g);
}

void grpc_channel_connect(struct grpc *g)
{
        const struct endpoint *e = &g->endpoints[g->current];
        struct lookup *l;

        if (e->local) {
                connect_local(g);
                return;
        }
        l = new0(struct lookup);
        g->state = GRPC_RESOLVING;
        l->g = g;
        l->generation = g->generation;
        l->host = xstrdup(e->host);
        l->port = xstrdup(e->port);
        g->deferred++;
        /* A member that begins listens before it answers. Another may be ready: nobody is waited for long at first. */
        loop_timer_arm(g->timer, g->failed + 1 < g->n_endpoints ? MIN(g->connect_timeout_ns, NS_PER_SEC) : g->connect_timeout_ns);
        if (lookup_now(l, AI_NUMERICHOST) == 0)
                lookup_done(l);
        else
                loop_work(g->loop, lookup_work, lookup_done, l);
}

void grpc_on_connect_timeout(struct loop_timer *timer, void *userdata)
{
        struct grpc *g = userdata;

        if (g->state != GRPC_UP && g->state != GRPC_DOWN)
                grpc_channel_fail(g, -EHOSTUNREACH, "connect: timed out");
}
/* "https://host:port"; the port is 2379 when left out, IPv6 stands in brackets. "unix:///path". */
int grpc_endpoint_parse(const char *url, struct endpoint *e, struct error *reterr)
{
        const char *p, *end, *colon;

        if (str_has_prefix(url, "unix:///")) {
                if (strlen(url + 7) >= sizeof(((struct sockaddr_un *)0)->sun_path))
                        return error_set(reterr, -EINVAL, "endpoint %s: the path is too long for a socket", url);
                *e = (struct endpoint){ .url = xstrdup(url), .host = xstrdup(url + 7), .port = xstrdup(""),
                                        .authority = xstrdup("localhost"), .local = true };
                return 0;
        }
        if (str_has_prefix(url, "https://"))
                e->tls = true;
        else if (!str_has_prefix(url, "http://"))
                return error_set(reterr, -EINVAL, "endpoint %s: neither http://, https:// nor unix:///", url);
        p = strstr(url, "://") + 3;
        end = p + strcspn(p, "/");
        if (*p == '[') {
                const char *close = memchr(p, ']', (size_t)(end - p));

                if (!close)
                        return error_set(reterr, -EINVAL, "endpoint %s: no ]", url);
                e->host = xstrndup(p + 1, (size_t)(close - p - 1));
                colon = close + 1 < end && close[1] == ':' ? close + 1 : NULL;
        } else {
                colon = memchr(p, ':', (size_t)(end - p));
                e->host = xstrndup(p, (size_t)((colon ? colon : end) - p));
        }
        e->port = colon ? xstrndup(colon + 1, (size_t)(end - colon - 1)) : xstrdup("2379");
        e->authority = xstrndup(p, (size_t)(end - p));
        e->url = xstrdup(url);
        if (!*e->host || !*e->port)
                return error_set(reterr, -EINVAL, "endpoint %s: no host", url);
        return 0;
}
