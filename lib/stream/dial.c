/* Connecting: see dial.h.
 *
 * A name is looked up in a worker thread; then each of its addresses is tried in turn, all on one deadline.
 * The fiber parks on the descriptor between the steps of connect() and of the TLS handshake, and wakes for
 * the deadline as well, so that a peer that says nothing holds it no longer than that.
 */
#include "dial.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "../base/time.h"

#define TIMEOUT_DEFAULT (30 * NS_PER_SEC)

/* --- waiting --- */

struct waiting {
        struct fiber *fiber;
        bool ready, timed_out;
};

static void on_ready(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct waiting *w = userdata;

        if (!w->ready && !w->timed_out)
                fiber_wake(w->fiber);
        w->ready = true;
        loop_fd_set(source, 0);
}

static void on_timeout(struct loop_timer *timer, void *userdata)
{
        struct waiting *w = userdata;

        if (!w->ready && !w->timed_out)
                fiber_wake(w->fiber);
        w->timed_out = true;
}

/* Until FD is ready for EVENTS. 0, or -ETIMEDOUT. */
static int wait_fd(struct loop *loop, int fd, uint32_t events, int64_t deadline)
{
        struct waiting w = {.fiber = fiber_self()};
        struct loop_timer *timer = loop_timer_new(loop, on_timeout, &w);
        struct loop_fd *source = loop_fd_new(loop, fd, events, on_ready, &w);

        loop_timer_arm(timer, MAX(deadline - time_mono(), (int64_t)0));
        while (!w.ready && !w.timed_out)
                fiber_park();
        loop_fd_free(source);
        loop_timer_free(timer);
        return w.ready ? 0 : -ETIMEDOUT;
}

/* --- TCP --- */

struct lookup {
        const char *host;
        char port[8];
        struct addrinfo *found;
        int code;
};

static void look_up(void *userdata)
{
        struct lookup *l = userdata;
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};

        l->code = getaddrinfo(l->host, l->port, &hints, &l->found);
}

/* Addresses need no thread. */
static bool is_address(const char *host)
{
        struct in6_addr any;

        return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

void dial_set_options(int fd)
{
        /* A peer whose machine vanished is noticed in about a minute. */
        static const struct {
                int level, name, value;
        } options[] = {
                {IPPROTO_TCP, TCP_NODELAY, 1},    {SOL_SOCKET, SO_KEEPALIVE, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, 30},
                {IPPROTO_TCP, TCP_KEEPINTVL, 10}, {IPPROTO_TCP, TCP_KEEPCNT, 3},
        };

        for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static int connect_one(struct loop *loop, const struct addrinfo *ai, int64_t deadline, int *ret)
{
        _cleanup_close_ int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int e = 0;
        socklen_t len = sizeof(e);

        if (fd < 0)
                return -errno;
        dial_set_options(fd);
        if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
                if (errno != EINPROGRESS)
                        return -errno;
                if (wait_fd(loop, fd, EPOLLOUT, deadline) < 0)
                        return -ETIMEDOUT;
                if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0 || e)
                        return e ? -e : -errno;
        }
        *ret = fd;
        fd = -1;
        return 0;
}

/* The words of Go's errors. */
static const char *go_text(int e)
{
        switch (-e) {
        case ECONNREFUSED:
                return "connect: connection refused";
        case EHOSTUNREACH:
                return "connect: no route to host";
        case ENETUNREACH:
                return "connect: network is unreachable";
        case ECONNRESET:
                return "read: connection reset by peer";
        case ETIMEDOUT:
                return "i/o timeout";
        default:
                return strerror(-e);
        }
}

static int connect_tcp(struct loop *loop, const struct dial_options *o, int64_t deadline, int *ret,
                       struct error *reterr)
{
        struct lookup l = {.host = o->host};
        bool v6 = strchr(o->host, ':');
        int r = -EHOSTUNREACH;

        snprintf(l.port, sizeof(l.port), "%u", o->port);
        if (is_address(o->host))
                look_up(&l);
        else
                fiber_work(loop, look_up, &l);
        if (l.code)
                return error_set(reterr, -EHOSTUNREACH, "dial tcp: lookup %s: %s", o->host,
                                 l.code == EAI_NONAME ? "no such host" : gai_strerror(l.code));
        for (const struct addrinfo *ai = l.found; ai; ai = ai->ai_next) {
                r = connect_one(loop, ai, deadline, ret);
                if (r == 0 || r == -ETIMEDOUT)
                        break;
        }
        freeaddrinfo(l.found);
        if (r < 0)
                error_set(reterr, r, "dial tcp %s%s%s:%u: %s", v6 ? "[" : "", o->host, v6 ? "]" : "", o->port, go_text(r));
        return r;
}

/* --- TLS --- */

struct tls {
        gnutls_session_t session;
        gnutls_certificate_credentials_t x509;
        bool unsent, bye;
};

static int errno_of(ssize_t r)
{
        if (r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED)
                return -EAGAIN;
        if (r == GNUTLS_E_PUSH_ERROR || r == GNUTLS_E_PULL_ERROR)
                return -ECONNRESET;
        return -EPROTO;
}

static ssize_t client_recv(void *userdata, void *buf, size_t len)
{
        struct tls *t = userdata;
        ssize_t r;

        do
                r = gnutls_record_recv(t->session, buf, len);
        while (r == GNUTLS_E_INTERRUPTED || r == GNUTLS_E_REHANDSHAKE);
        if (r == GNUTLS_E_PREMATURE_TERMINATION)
                return 0; /* what runs inside frames itself */
        return r < 0 ? errno_of(r) : r;
}

static int client_flush(void *userdata)
{
        struct tls *t = userdata;
        ssize_t r;

        if (!t->unsent)
                return 0;
        r = gnutls_record_send(t->session, NULL, 0); /* the record that was left over */
        t->unsent = r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED;
        return r < 0 ? errno_of(r) : 0;
}

static ssize_t client_send(void *userdata, const void *data, size_t len)
{
        struct tls *t = userdata;
        ssize_t r = client_flush(t);

        if (r < 0)
                return r;
        len = MIN(len, (size_t)16384);
        r = gnutls_record_send(t->session, data, len);
        if (r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED) {
                t->unsent = true; /* GnuTLS keeps it */
                return (ssize_t)len;
        }
        return r < 0 ? errno_of(r) : r;
}

static bool client_pending(void *userdata)
{
        struct tls *t = userdata;

        return gnutls_record_check_pending(t->session) > 0;
}

static void client_finish(void *userdata)
{
        struct tls *t = userdata;

        if (!t->bye && !t->unsent)
                gnutls_bye(t->session, GNUTLS_SHUT_WR);
        t->bye = true;
}

static void client_free(void *userdata)
{
        struct tls *t = userdata;

        gnutls_deinit(t->session);
        gnutls_certificate_free_credentials(t->x509);
        free(t);
}

static const struct wire_transport tls_transport = {
        .recv = client_recv,
        .send = client_send,
        .flush = client_flush,
        .pending = client_pending,
        .finish = client_finish,
        .free = client_free,
};

static int load_files(struct tls *t, const struct dial_options *o, struct error *reterr)
{
        int r = 0;

        if (o->ca_data && !o->insecure) {
                const gnutls_datum_t pem = {(unsigned char *)o->ca_data, (unsigned)strlen(o->ca_data)};

                r = gnutls_certificate_set_x509_trust_mem(t->x509, &pem, GNUTLS_X509_FMT_PEM);
                if (r <= 0)
                        return error_set(reterr, -EINVAL, "no CA certificate in the CA bundle");
        } else if (o->ca_file && !o->insecure) {
                r = gnutls_certificate_set_x509_trust_file(t->x509, o->ca_file, GNUTLS_X509_FMT_PEM);
                if (r <= 0)
                        return error_set(reterr, -EINVAL, "%s: no CA certificate in it", o->ca_file);
        } else if (!o->insecure) {
                gnutls_certificate_set_x509_system_trust(t->x509);
        }
        if (o->cert_file)
                r = gnutls_certificate_set_x509_key_file(t->x509, o->cert_file, o->key_file, GNUTLS_X509_FMT_PEM);
        return r < 0 ? error_set(reterr, -EINVAL, "%s: %s", o->cert_file, gnutls_strerror(r)) : 0;
}

static int handshake_error(struct tls *t, int r, struct error *reterr)
{
        gnutls_datum_t text = {0};

        if (r != GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
                return error_set(reterr, errno_of(r), "tls: %s", gnutls_strerror(r));
        gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(t->session), GNUTLS_CRT_X509,
                                                     &text, 0);
        error_set(reterr, -EPROTO, "tls: failed to verify certificate: %s", text.data ? (char *)text.data : "");
        gnutls_free(text.data);
        return -EPROTO;
}

static int handshake(struct loop *loop, struct tls *t, int fd, int64_t deadline, struct error *reterr)
{
        for (;;) {
                int r = gnutls_handshake(t->session);
                if (r == 0)
                        return 0;
                if (r == GNUTLS_E_AGAIN) {
                        uint32_t events = gnutls_record_get_direction(t->session) ? EPOLLOUT : EPOLLIN;
                        if (wait_fd(loop, fd, events, deadline) < 0)
                                return error_set(reterr, -ETIMEDOUT, "net/http: TLS handshake timeout");
                } else if (gnutls_error_is_fatal(r)) {
                        return handshake_error(t, r, reterr);
                }
        }
}

static int begin_tls(struct loop *loop, const struct dial_options *o, int fd, int64_t deadline, struct tls **ret,
                     struct error *reterr)
{
        static const gnutls_datum_t alpn = {(unsigned char *)"http/1.1", 8};
        const char *name = o->server_name ? o->server_name : o->host;
        struct tls *t = new0(struct tls);
        int r;

        gnutls_certificate_allocate_credentials(&t->x509);
        gnutls_init(&t->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
        r = load_files(t, o, reterr);
        if (r == 0) {
                gnutls_set_default_priority(t->session);
                gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, t->x509);
                gnutls_alpn_set_protocols(t->session, &alpn, 1, 0);
                gnutls_transport_set_int(t->session, fd);
                if (!is_address(name))
                        gnutls_server_name_set(t->session, GNUTLS_NAME_DNS, name, strlen(name));
                if (!o->insecure)
                        gnutls_session_set_verify_cert(t->session, name, 0);
                r = handshake(loop, t, fd, deadline, reterr);
        }
        if (r < 0)
                client_free(t);
        else
                *ret = t;
        return r;
}

int dial(struct loop *loop, const struct dial_options *o, struct dialed *ret, struct error *reterr)
{
        int64_t deadline = time_mono() + (o->timeout_ns ? o->timeout_ns : TIMEOUT_DEFAULT);
        struct tls *t = NULL;
        int fd = -1, r = connect_tcp(loop, o, deadline, &fd, reterr);

        if (r < 0)
                return r;
        if (o->tls) {
                r = begin_tls(loop, o, fd, deadline, &t, reterr);
                if (r < 0) {
                        close(fd);
                        return r;
                }
        }
        *ret = (struct dialed){.fd = fd, .transport = t ? &tls_transport : NULL, .t = t};
        return 0;
}
