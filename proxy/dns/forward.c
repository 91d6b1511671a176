/* The forwarder. A question in flight is a `struct flight`: a socket, a timer, and those who wait for
 * its answer. It moves from try to try (server after server, UDP, then TCP where the answer did not
 * fit) until there is an answer or none is left to ask; then all who wait are called and it ends.
 *
 * An answer is kept for its lowest TTL, at most 30 s, negative ones too: enough for the same name
 * asked for by every search domain of every pod, and short enough that nobody notices.
 */
#include "forward.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/file.h"
#include "../../lib/base/list.h"
#include "../../lib/base/map.h"
#include "../../lib/base/time.h"

#define LOOK_NS (5 * NS_PER_SEC) /* between two looks at resolv.conf */
#define DOWN_NS (10 * NS_PER_SEC) /* a silent server is asked last for so long */
#define TRIES_MAX 3
#define WAITERS_MAX 1000 /* for one question */
#define CACHE_TTL_MAX 30
#define CACHE_SERVFAIL_TTL 0

struct server {
        struct sockaddr_storage addr;
        socklen_t addr_len;
        int64_t down_until;
};

struct cached {
        struct list link; /* oldest first */
        char *key;
        struct arena *arena;
        struct dns_message reply;
        int64_t from, until;
};

struct waiter {
        dns_forward_fn *fn;
        void *userdata;
};

struct flight {
        struct list link;
        struct dns_forward *forward;
        char *key;
        struct arena *arena;
        struct dns_message question;
        bool whole, tcp;
        unsigned tries;
        struct server *server;
        unsigned asked; /* a bit for each server */
        int fd;
        struct loop_fd *source;
        struct loop_timer *timer;
        uint8_t *out, *in; /* of TCP, with the two bytes of the length */
        size_t out_len, out_at, in_len;
        struct waiter *waiters;
        size_t n, cap;
};

struct dns_forward {
        struct loop *loop;
        char *path, *own;
        uint16_t port;
        int64_t timeout_ns, looked;
        size_t max_in_flight, max_cached, in_flight;
        struct timespec mtime;
        ino_t inode;
        struct server servers[DNS_SERVERS_MAX];
        size_t n_servers;
        struct list flights;
        struct map by_question; /* to struct flight */
        struct map cache;       /* to struct cached */
        struct list cache_order;
};

static void flight_try(struct flight *q);

/* --- servers --- */

void dns_servers_parse(const char *text, const char *own, struct dns_servers *ret)
{
        char word[16], address[DNS_SERVER_TEXT];

        ret->n = 0;
        for (; text && *text; text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL)
                if (sscanf(text, "%15[a-z] %63[0-9a-zA-Z.:%]", word, address) == 2 && streq(word, "nameserver") &&
                    !streq(address, own) && ret->n < DNS_SERVERS_MAX)
                        memcpy(ret->addresses[ret->n++], address, sizeof(address));
}

static void add_server(struct dns_forward *f, const char *address)
{
        struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM }, *found;
        struct server *s = &f->servers[f->n_servers];
        char port[8];

        snprintf(port, sizeof(port), "%u", f->port);
        if (getaddrinfo(address, port, &hints, &found) != 0)
                return;
        memset(s, 0, sizeof(*s));
        memcpy(&s->addr, found->ai_addr, found->ai_addrlen);
        s->addr_len = found->ai_addrlen;
        f->n_servers++;
        freeaddrinfo(found);
}

/* Questions in flight keep the place of their server in the array: it may be another's address by
 * then, which costs one of them one try. */
static void look_at_file(struct dns_forward *f)
{
        int64_t now = time_mono();
        struct dns_servers servers;
        _cleanup_free_ char *text = NULL;
        struct stat st;

        if (f->looked && now - f->looked < LOOK_NS)
                return;
        f->looked = now;
        if (stat(f->path, &st) < 0) {
                f->n_servers = 0;
                f->inode = 0;
                return;
        }
        if (st.st_ino == f->inode && memcmp(&st.st_mtim, &f->mtime, sizeof(f->mtime)) == 0)
                return;
        if (file_read(f->path, 65536, &text, NULL, NULL) < 0)
                return;
        f->inode = st.st_ino;
        f->mtime = st.st_mtim;
        f->n_servers = 0;
        dns_servers_parse(text, f->own, &servers);
        for (size_t i = 0; i < servers.n; i++)
                add_server(f, servers.addresses[i]);
}

/* The first that is not known to be silent and was not asked; then any. */
static struct server *pick_server(const struct flight *q)
{
        struct dns_forward *f = q->forward;
        int64_t now = time_mono();

        for (unsigned pass = 0; pass < 4; pass++)
                for (size_t i = 0; i < f->n_servers; i++) {
                        bool asked = q->asked & 1u << i, down = f->servers[i].down_until > now;

                        if ((pass & 2 || !asked) && (pass & 1 || !down))
                                return &f->servers[i];
                }
        return NULL;
}

/* --- the cache --- */

static char *question_key(const uint8_t *qname, const struct dns_message *query)
{
        char text[DNS_TEXT_MAX];

        return xasprintf("%s %u %d%d", dns_name_text(qname, text), query->qtype, query->dnssec_ok,
                         !!(query->flags & DNS_FLAG_CD));
}

static void forget(struct dns_forward *f, struct cached *c)
{
        list_remove(&c->link);
        map_del(&f->cache, c->key);
        arena_free(c->arena);
        free(c->key);
        free(c);
}

static int64_t lowest_ttl(const struct dns_message *reply)
{
        int64_t ttl = CACHE_TTL_MAX;
        bool any = false;

        if (reply->rcode != DNS_NOERROR && reply->rcode != DNS_NXDOMAIN)
                return CACHE_SERVFAIL_TTL;
        for (unsigned s = 0; s < DNS_SECTIONS; s++)
                for (size_t i = 0; i < reply->sections[s].n; i++) {
                        any = true;
                        ttl = MIN(ttl, (int64_t)reply->sections[s].items[i].ttl);
                }
        return any ? ttl : 0; /* an empty answer does not say how long it holds */
}

static void remember(struct dns_forward *f, const struct flight *q, const struct dns_message *reply)
{
        int64_t ttl = lowest_ttl(reply);
        struct cached *c = map_get(&f->cache, q->key);

        if (c)
                forget(f, c);
        if (ttl <= 0 || reply->flags & DNS_FLAG_TC)
                return;
        if (f->cache.n >= f->max_cached)
                forget(f, list_entry(f->cache_order.next, struct cached, link));
        c = new0(struct cached);
        c->key = xstrdup(q->key);
        c->arena = arena_new(512);
        c->reply = *reply;
        memset(c->reply.sections, 0, sizeof(c->reply.sections));
        c->reply.qname = arena_memdup(c->arena, reply->qname, dns_name_len(reply->qname));
        dns_message_copy_sections(c->arena, &c->reply, reply);
        c->from = time_mono();
        c->until = c->from + ttl * NS_PER_SEC;
        map_put(&f->cache, c->key, c);
        list_push_back(&f->cache_order, &c->link);
}

static bool answer_from_cache(struct dns_forward *f, const char *key, dns_forward_fn *fn, void *userdata)
{
        struct cached *c = map_get(&f->cache, key);
        _cleanup_arena_ struct arena *a = NULL;
        struct dns_message reply;
        int64_t now = time_mono();

        if (!c)
                return false;
        if (now >= c->until) {
                forget(f, c);
                return false;
        }
        a = arena_new(1024);
        reply = c->reply;
        memset(reply.sections, 0, sizeof(reply.sections));
        dns_message_copy_sections(a, &reply, &c->reply);
        for (unsigned s = 0; s < DNS_SECTIONS; s++)
                for (size_t i = 0; i < reply.sections[s].n; i++)
                        reply.sections[s].items[i].ttl -= (uint32_t)((now - c->from) / NS_PER_SEC);
        fn(&reply, userdata);
        return true;
}

/* --- questions in flight --- */

static void flight_close(struct flight *q)
{
        loop_fd_free(q->source);
        q->source = NULL;
        if (q->fd >= 0)
                close(q->fd);
        q->fd = -1;
        free(q->out);
        free(q->in);
        q->out = q->in = NULL;
        q->out_len = q->out_at = q->in_len = 0;
}

static void flight_end(struct flight *q, const struct dns_message *reply)
{
        struct dns_forward *f = q->forward;

        flight_close(q);
        list_remove(&q->link);
        map_del(&f->by_question, q->key);
        f->in_flight--;
        if (reply)
                remember(f, q, reply);
        for (size_t i = 0; i < q->n; i++)
                q->waiters[i].fn(reply, q->waiters[i].userdata);
        loop_timer_free(q->timer);
        arena_free(q->arena);
        free(q->waiters);
        free(q->key);
        free(q);
}

static void flight_next(struct flight *q)
{
        flight_close(q);
        q->tcp = false;
        flight_try(q);
}

bool dns_reply_fits(const struct dns_message *question, const struct dns_message *reply, int read_result)
{
        return read_result == 0 && reply->flags & DNS_FLAG_QR && reply->id == question->id &&
               reply->qtype == question->qtype && reply->qclass == question->qclass &&
               dns_name_equal(reply->qname, question->qname);
}

/* True: the flight is over, or on its way with another try. False: not an answer to us. */
static bool take_reply(struct flight *q, const uint8_t *data, size_t len)
{
        _cleanup_arena_ struct arena *a = arena_new(2048);
        struct dns_message reply;
        int r = dns_message_read(a, data, len, &reply);

        /* A server that has no EDNS may say so with a bare header. */
        if (r == DNS_FORMERR && reply.id == q->question.id && reply.flags & DNS_FLAG_QR &&
            (reply.rcode == DNS_FORMERR || reply.rcode == DNS_NOTIMP) && q->question.edns) {
                q->question.edns = false;
                flight_next(q);
                return true;
        }
        if (!dns_reply_fits(&q->question, &reply, r))
                return false;
        q->server->down_until = 0;
        if (reply.flags & DNS_FLAG_TC && q->whole && !q->tcp) {
                flight_close(q);
                q->tcp = true;
                flight_try(q);
        } else if (reply.rcode == DNS_FORMERR && q->question.edns) {
                q->question.edns = false;
                flight_next(q);
        } else if ((reply.rcode == DNS_SERVFAIL || reply.rcode == DNS_REFUSED || reply.rcode == DNS_NOTIMP) &&
                   q->tries < MIN(TRIES_MAX, q->forward->n_servers)) {
                flight_next(q);
        } else {
                flight_end(q, &reply);
        }
        return true;
}

static void on_udp(struct loop_fd *source, uint32_t events, void *userdata)
{
        uint8_t buf[4096];
        struct flight *q = userdata;

        for (unsigned i = 0; i < 16; i++) { /* strangers may send, too */
                ssize_t n = recv(q->fd, buf, sizeof(buf), MSG_DONTWAIT);

                if (n < 0) {
                        if (errno != EAGAIN && errno != EINTR)
                                flight_next(q); /* nobody listens there */
                        return;
                }
                if (take_reply(q, buf, (size_t)n))
                        return;
        }
}

static bool tcp_write(struct flight *q)
{
        while (q->out_at < q->out_len) {
                ssize_t n = send(q->fd, q->out + q->out_at, q->out_len - q->out_at, MSG_NOSIGNAL);

                if (n < 0)
                        return errno == EAGAIN || errno == EINTR;
                q->out_at += (size_t)n;
        }
        loop_fd_set(q->source, EPOLLIN);
        return true;
}

/* 1: a whole message is there; 0: not yet; -1: it will not come. */
static int tcp_read(struct flight *q)
{
        for (;;) {
                size_t want = q->in_len < 2 ? 2 : 2 + ((size_t)q->in[0] << 8 | q->in[1]);
                ssize_t n;

                if (q->in_len >= 2 && q->in_len == want)
                        return 1;
                q->in = xrealloc(q->in, want);
                n = recv(q->fd, q->in + q->in_len, want - q->in_len, MSG_DONTWAIT);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                if (n <= 0)
                        return -1;
                q->in_len += (size_t)n;
        }
}

static void on_tcp(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct flight *q = userdata;
        int r;

        if (events & EPOLLOUT && !tcp_write(q)) {
                flight_next(q);
                return;
        }
        r = tcp_read(q);
        if (r < 0 || (r > 0 && !take_reply(q, q->in + 2, q->in_len - 2)))
                flight_next(q);
}

static void on_timeout(struct loop_timer *timer, void *userdata)
{
        struct flight *q = userdata;

        q->server->down_until = time_mono() + DOWN_NS;
        flight_next(q);
}

/* One socket, connected: the kernel chooses a random port and drops what others send. */
static bool flight_open(struct flight *q)
{
        int type = (q->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
        uint8_t buf[2 + 1024]; /* a name of 255 bytes, and OPT */
        size_t n;

        q->fd = socket(q->server->addr.ss_family, type, 0);
        if (q->fd < 0)
                return false;
        if (connect(q->fd, (struct sockaddr *)&q->server->addr, q->server->addr_len) < 0 && errno != EINPROGRESS)
                return false;
        random_bytes(&q->question.id, sizeof(q->question.id));
        n = dns_message_write(&q->question, buf + 2, sizeof(buf) - 2);
        if (!q->tcp && send(q->fd, buf + 2, n, MSG_NOSIGNAL) < 0)
                return false;
        if (q->tcp) {
                buf[0] = (uint8_t)(n >> 8);
                buf[1] = (uint8_t)n;
                q->out = xmemdup(buf, n + 2);
                q->out_len = n + 2;
        }
        q->source = loop_fd_new(q->forward->loop, q->fd, q->tcp ? EPOLLIN | EPOLLOUT : EPOLLIN, q->tcp ? on_tcp : on_udp,
                                q);
        loop_timer_arm(q->timer, q->forward->timeout_ns);
        return true;
}

static void flight_try(struct flight *q)
{
        for (;;) {
                if (!q->tcp) { /* TCP goes to the server whose answer was cut */
                        q->server = q->tries < TRIES_MAX ? pick_server(q) : NULL;
                        if (!q->server) {
                                flight_end(q, NULL);
                                return;
                        }
                        q->tries++;
                        q->asked |= 1u << (q->server - q->forward->servers);
                }
                if (flight_open(q))
                        return;
                flight_close(q);
                q->tcp = false;
        }
}

static void flight_new(struct dns_forward *f, char *key, const uint8_t *qname, const struct dns_message *query,
                       bool whole, struct waiter w)
{
        struct flight *q = new0(struct flight);

        q->forward = f;
        q->key = key;
        q->whole = whole;
        q->fd = -1;
        q->arena = arena_new(512);
        q->question = (struct dns_message){
                .flags = (uint16_t)(DNS_FLAG_RD | (query->flags & DNS_FLAG_CD)),
                .qname = arena_memdup(q->arena, qname, dns_name_len(qname)),
                .qtype = query->qtype, .qclass = DNS_CLASS_IN,
                .edns = true, .dnssec_ok = query->dnssec_ok, .udp_size = DNS_UDP_SIZE,
        };
        q->timer = loop_timer_new(f->loop, on_timeout, q);
        array_reserve(q->waiters, q->cap, 1);
        q->waiters[q->n++] = w;
        list_push_back(&f->flights, &q->link);
        map_put(&f->by_question, key, q);
        f->in_flight++;
        flight_try(q);
}

void dns_forward_ask(struct dns_forward *f, const uint8_t *qname, const struct dns_message *query, bool whole,
                     dns_forward_fn *fn, void *userdata)
{
        char *key = question_key(qname, query);
        struct flight *q;

        if (answer_from_cache(f, key, fn, userdata)) {
                free(key);
                return;
        }
        look_at_file(f);
        q = map_get(&f->by_question, key);
        if (q && q->n < WAITERS_MAX) {
                q->whole |= whole;
                array_reserve(q->waiters, q->cap, q->n + 1);
                q->waiters[q->n++] = (struct waiter){ fn, userdata };
                free(key);
        } else if (q || !f->n_servers || f->in_flight >= f->max_in_flight) {
                fn(NULL, userdata);
                free(key);
        } else {
                flight_new(f, key, qname, query, whole, (struct waiter){ fn, userdata });
        }
}

struct dns_forward *dns_forward_new(struct loop *loop, const struct dns_forward_options *o)
{
        struct dns_forward *f = new0(struct dns_forward);

        f->loop = loop;
        f->path = xstrdup(o->resolv_conf ? o->resolv_conf : "/etc/resolv.conf");
        f->own = o->own ? xstrdup(o->own) : NULL;
        f->port = o->port ? o->port : 53;
        f->timeout_ns = o->timeout_ns ? o->timeout_ns : 2 * NS_PER_SEC;
        f->max_in_flight = o->max_in_flight ? o->max_in_flight : 256;
        f->max_cached = o->max_cached ? o->max_cached : 1024;
        list_init(&f->flights);
        list_init(&f->cache_order);
        return f;
}

void dns_forward_free(struct dns_forward *f)
{
        if (!f)
                return;
        list_foreach_safe(&f->flights, it, next)
                flight_end(list_entry(it, struct flight, link), NULL);
        list_foreach_safe(&f->cache_order, it, next)
                forget(f, list_entry(it, struct cached, link));
        map_deinit(&f->by_question);
        map_deinit(&f->cache);
        free(f->path);
        free(f->own);
        free(f);
}
