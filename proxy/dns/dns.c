/* The server's sockets: questions in, answers out.
 *
 * Most questions are answered within the call that read them. One that is forwarded becomes a
 * `struct request` that remembers who asked. A TCP connection whose client has left stays as a
 * shell until the last request that points at it has its answer.
 */
#include "dns.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "../../lib/base/list.h"
#include "../../lib/base/time.h"
#include "cluster.h"
#include "forward.h"

#define DATAGRAMS_A_TURN 64
#define CONNECTIONS_MAX 128
#define CONNECTION_IDLE_NS (10 * NS_PER_SEC)
#define CONNECTION_OUT_MAX (256 * 1024) /* bytes that a client lets lie before it is cut */
#define CONNECTION_REQUESTS_MAX 64

struct dns {
        struct loop *loop;
        struct dns_cluster cluster;
        struct dns_zone zone;
        struct arena *arena; /* of the zone's names */
        struct dns_forward *forward;
        int udp, tcp;
        struct loop_fd *udp_source, *tcp_source;
        struct list connections;
        size_t n_connections;
        bool ending;
};

struct connection {
        struct list link;
        struct dns *dns;
        int fd; /* -1: the client has left */
        struct loop_fd *source;
        struct loop_timer *idle;
        unsigned requests; /* in flight */
        uint8_t *in;
        size_t in_len;
        uint8_t *out;
        size_t out_len, out_cap;
};

struct request {
        struct dns *dns;
        struct arena *arena;
        struct dns_message query, reply;
        bool chasing; /* the reply has a CNAME already */
        struct connection *connection; /* NULL: by UDP */
        struct sockaddr_storage from;
        socklen_t from_len;
};

/* --- answering --- */

static void connection_send(struct connection *c, const uint8_t *data, size_t len);
static void connection_settle(struct connection *c);

static void request_free(struct request *q)
{
        struct connection *c = q->connection;

        arena_free(q->arena);
        free(q);
        if (c) {
                c->requests--;
                connection_settle(c);
        }
}

/* Sends the reply, as much of it as its way takes, and ends the request. */
static void request_reply(struct request *q)
{
        if (q->connection) {
                uint8_t *buf = xmalloc(DNS_MESSAGE_MAX);

                connection_send(q->connection, buf, dns_message_write(&q->reply, buf, DNS_MESSAGE_MAX));
                free(buf);
        } else {
                uint8_t buf[DNS_UDP_SIZE];
                size_t max = MIN(MAX(q->query.udp_size, 512), (int)sizeof(buf));
                size_t n = dns_message_write(&q->reply, buf, max);

                /* What cannot be sent is as good as lost on the way: the client asks again. */
                if (sendto(q->dns->udp, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&q->from,
                           q->from_len) < 0)
                        errno = 0;
        }
        request_free(q);
}

static void on_forwarded(const struct dns_message *upstream, void *userdata)
{
        struct request *q = userdata;

        if (q->dns->ending) {
                request_free(q);
                return;
        }
        if (q->chasing) {
                dns_answer_chased(q->arena, &q->reply, upstream);
        } else if (upstream) {
                q->reply.rcode = upstream->rcode;
                q->reply.flags |= upstream->flags & (DNS_FLAG_TC | DNS_FLAG_AD);
                dns_message_copy_sections(q->arena, &q->reply, upstream);
        } else {
                q->reply.rcode = DNS_SERVFAIL;
        }
        request_reply(q);
}

static void answer(struct dns *d, const uint8_t *data, size_t len, struct connection *c,
                   const struct sockaddr_storage *from, socklen_t from_len)
{
        struct request *q = new0(struct request);
        const uint8_t *name;
        int r;

        q->dns = d;
        q->arena = arena_new(2048);
        q->connection = c;
        if (c)
                c->requests++;
        if (from) {
                q->from = *from;
                q->from_len = from_len;
        }
        r = dns_message_read(q->arena, data, len, &q->query);
        if (r < 0 || q->query.flags & DNS_FLAG_QR) { /* to answer an answer may never end */
                request_free(q);
                return;
        }
        d->zone.turn++;
        d->zone.serial = (uint32_t)(time_real() / NS_PER_SEC);
        name = q->query.qname;
        switch (dns_answer(&d->zone, q->arena, &q->query, r, &q->reply, &name)) {
        case DNS_ANSWERED:
                request_reply(q);
                return;
        case DNS_CHASE:
                q->chasing = true;
                break;
        case DNS_FORWARD:
                break;
        }
        dns_forward_ask(d->forward, name, &q->query, c != NULL, on_forwarded, q);
}

/* --- UDP --- */

static void on_datagram(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct dns *d = userdata;
        uint8_t buf[4096];

        for (unsigned i = 0; i < DATAGRAMS_A_TURN; i++) {
                struct sockaddr_storage from;
                socklen_t from_len = sizeof(from);
                ssize_t n = recvfrom(d->udp, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);

                if (n < 0 && errno == EAGAIN)
                        return;
                if (n > 0)
                        answer(d, buf, (size_t)n, NULL, &from, from_len);
        }
}

/* --- TCP --- */

static void connection_free(struct connection *c)
{
        loop_timer_free(c->idle);
        loop_fd_free(c->source);
        if (c->fd >= 0)
                close(c->fd);
        list_remove(&c->link);
        c->dns->n_connections--;
        free(c->in);
        free(c->out);
        free(c);
}

static void connection_close(struct connection *c)
{
        loop_fd_free(c->source);
        c->source = NULL;
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
        loop_timer_disarm(c->idle);
}

/* Frees what nobody needs any more. Called last by whoever closed it or ended a request of it. */
static void connection_settle(struct connection *c)
{
        if (c->fd < 0 && !c->requests)
                connection_free(c);
}

static void connection_flush(struct connection *c)
{
        while (c->out_len) {
                ssize_t n = send(c->fd, c->out, c->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0) {
                        if (errno != EAGAIN && errno != EINTR)
                                connection_close(c);
                        break;
                }
                c->out_len -= (size_t)n;
                memmove(c->out, c->out + n, c->out_len);
        }
        if (c->source)
                loop_fd_set(c->source, EPOLLIN | (c->out_len ? EPOLLOUT : 0));
}

static void connection_send(struct connection *c, const uint8_t *data, size_t len)
{
        if (c->fd < 0)
                return;
        if (c->out_len + len + 2 > CONNECTION_OUT_MAX) {
                connection_close(c);
                return;
        }
        array_reserve(c->out, c->out_cap, c->out_len + len + 2);
        c->out[c->out_len++] = (uint8_t)(len >> 8);
        c->out[c->out_len++] = (uint8_t)len;
        memcpy(c->out + c->out_len, data, len);
        c->out_len += len;
        connection_flush(c);
}

/* One message read and answered: 1; more bytes are needed: 0; the connection is at its end: -1. */
static int connection_read(struct connection *c)
{
        size_t want = c->in_len < 2 ? 2 : 2 + ((size_t)c->in[0] << 8 | c->in[1]);
        ssize_t n;

        if (c->in_len >= 2 && c->in_len == want) {
                uint8_t *data = steal_ptr(c->in);

                c->in_len = 0;
                answer(c->dns, data + 2, want - 2, c, NULL, 0);
                free(data);
                return 1;
        }
        c->in = xrealloc(c->in, want);
        n = recv(c->fd, c->in + c->in_len, want - c->in_len, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return -1;
        c->in_len += (size_t)n;
        return 1;
}

static void on_connection(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct connection *c = userdata;
        int r = 1;

        c->requests++; /* holds it while we look at it */
        if (events & EPOLLOUT)
                connection_flush(c);
        for (unsigned i = 0; i < 64 && r > 0 && c->fd >= 0 && c->requests < CONNECTION_REQUESTS_MAX; i++)
                r = connection_read(c);
        if (c->requests >= CONNECTION_REQUESTS_MAX || r < 0)
                connection_close(c);
        else if (c->fd >= 0)
                loop_timer_arm_slack(c->idle, CONNECTION_IDLE_NS, NS_PER_SEC);
        c->requests--;
        connection_settle(c);
}

static void on_idle(struct loop_timer *timer, void *userdata)
{
        struct connection *c = userdata;

        connection_close(c);
        connection_settle(c);
}

static void on_accept(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct dns *d = userdata;
        int fd = accept4(d->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct connection *c;

        if (fd < 0)
                return;
        if (d->n_connections >= CONNECTIONS_MAX) {
                close(fd);
                return;
        }
        c = new0(struct connection);
        c->dns = d;
        c->fd = fd;
        list_push_back(&d->connections, &c->link);
        d->n_connections++;
        c->idle = loop_timer_new(d->loop, on_idle, c);
        loop_timer_arm_slack(c->idle, CONNECTION_IDLE_NS, NS_PER_SEC);
        c->source = loop_fd_new(d->loop, fd, EPOLLIN, on_connection, c);
}

/* --- the server --- */

/* IP_FREEBIND: the address is put on an interface by whoever sets up the node, before or after us. */
static int bind_socket(const struct addrinfo *ai, int type, int *ret, struct error *reterr)
{
        _cleanup_close_ int fd = socket(ai->ai_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int one = 1;

        if (fd < 0)
                return error_set(reterr, -errno, "socket: %s", strerror(errno));
        setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
        if (type == SOCK_STREAM)
                setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (ai->ai_family == AF_INET6)
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
        if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || (type == SOCK_STREAM && listen(fd, 128) < 0))
                return error_set(reterr, -errno, "%s", strerror(errno));
        *ret = fd;
        fd = -1;
        return 0;
}

static int bind_both(struct dns *d, const struct dns_options *o, struct error *reterr)
{
        struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM }, *ai;
        char port[8];
        int r;

        snprintf(port, sizeof(port), "%u", o->port ? o->port : 53);
        if (getaddrinfo(o->address, port, &hints, &ai) != 0)
                return error_set(reterr, -EINVAL, "%s: not an IP address", o->address);
        r = bind_socket(ai, SOCK_DGRAM, &d->udp, reterr);
        if (r == 0)
                r = bind_socket(ai, SOCK_STREAM, &d->tcp, reterr);
        freeaddrinfo(ai);
        if (r < 0)
                return error_wrap(reterr, r, "DNS on %s port %s", o->address, port);
        return 0;
}

int dns_new(struct loop *loop, const struct dns_options *o, struct dns **ret, struct error *reterr)
{
        struct dns *d = new0(struct dns);
        const struct dns_forward_options fo = {
                .resolv_conf = o->resolv_conf, .own = o->address, .port = o->upstream_port,
        };
        int r;

        d->loop = loop;
        d->udp = d->tcp = -1;
        d->arena = arena_new(512);
        list_init(&d->connections);
        d->zone.name = dns_name_parse(d->arena, o->domain ? o->domain : "cluster.local");
        d->zone.address = arena_strdup(d->arena, o->address);
        d->zone.ttl = o->ttl ? o->ttl : 30;
        r = d->zone.name ? bind_both(d, o, reterr) : error_set(reterr, -EINVAL, "%s: not a domain", o->domain);
        if (r < 0) {
                dns_free(d);
                return r;
        }
        dns_cluster_init(&d->cluster, o->services, o->slices, o->namespaces);
        d->cluster.synced = o->synced;
        d->cluster.userdata = o->userdata;
        d->zone.source = dns_cluster_source(&d->cluster);
        d->forward = dns_forward_new(loop, &fo);
        d->udp_source = loop_fd_new(loop, d->udp, EPOLLIN, on_datagram, d);
        d->tcp_source = loop_fd_new(loop, d->tcp, EPOLLIN, on_accept, d);
        *ret = d;
        return 0;
}

void dns_free(struct dns *d)
{
        if (!d)
                return;
        d->ending = true;
        list_foreach_safe(&d->connections, it, next) {
                struct connection *c = list_entry(it, struct connection, link);

                connection_close(c);
                connection_settle(c);
        }
        dns_forward_free(d->forward);
        loop_fd_free(d->udp_source);
        loop_fd_free(d->tcp_source);
        if (d->udp >= 0)
                close(d->udp);
        if (d->tcp >= 0)
                close(d->tcp);
        arena_free(d->arena);
        free(d);
}
