/* GnuTLS as it is used here, and why:
 *
 * - Reading. Left alone, GnuTLS asks the kernel twice a record, five bytes of header and then the rest.
 *   Our pull function reads all there is into one buffer shared by all sessions and serves GnuTLS from
 *   it; what a session leaves there when its owner stops reading is stashed with the session. A read
 *   that came back short tells that the socket is empty, so no call is spent on EAGAIN.
 * - Writing. Left alone, GnuTLS calls the kernel once a record, and each call is a packet by itself. Our
 *   push function gathers the records of one tls_send() in another shared buffer, which leaves in one call;
 *   what the socket does not take is kept with the session. Handshakes and alerts go out as they come.
 * - Credentials are reference-counted: a reload makes a new set, sessions hold on to theirs.
 */
#include "front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../base/strbuf.h"
#include "../base/time.h"
#include "pki-internal.h"

#define PRIORITY                                                                                   \
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"         \
        "+CHACHA20-POLY1305:%SERVER_PRECEDENCE"
#define CLIENT_PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define READ_SIZE 32768
#define RECORD_OVERHEAD 64 /* of a record, in bytes: it is 22 to 29 */
/* Of a client's whole handshake: anybody may begin one, ten thousand at once, and GnuTLS keeps 128 KiB of a message
 * that does not end. */
#define HANDSHAKE_MAX 24576

struct credentials {
        unsigned refs;
        gnutls_certificate_credentials_t x509;
};

struct tls_front {
        char *files[3]; /* certificate, key, client CA */
        struct stat seen[3];
        int64_t looked_ns;
        struct credentials *credentials;
        gnutls_priority_t priority;
};

struct tls_session {
        gnutls_session_t session;
        struct credentials *credentials;
        int fd;
        struct strbuf unsent; /* records that the socket did not take, from unsent_at on */
        size_t unsent_at;
        char *host;           /* of a client: what the server's certificate must be for; GnuTLS borrows it */
        bool handshaken, bye;
        size_t handshake_bytes; /* of a server: read for the handshake so far */
        char *stash;          /* read from the socket, not yet by GnuTLS */
        size_t stash_len, stash_at;
};

/* What one read took from a socket. Belongs to the session that tls_recv() works for. */
static struct {
        char data[READ_SIZE];
        size_t len, at;
        bool drained; /* the last read came back short */
} inbox;

/* The records of one tls_send(). */
static struct {
        char data[TLS_SEND + TLS_SEND / TLS_RECORD * RECORD_OVERHEAD];
        size_t len;
        bool open;
} outbox;

static void credentials_unref(struct credentials *c)
{
        if (!c || --c->refs)
                return;
        gnutls_certificate_free_credentials(c->x509);
        free(c);
}

static int credentials_load(struct tls_front *f, struct credentials **ret, struct error *reterr)
{
        struct credentials *c = new0(struct credentials);
        int r;

        c->refs = 1;
        gnutls_certificate_allocate_credentials(&c->x509);
        r = gnutls_certificate_set_x509_key_file(c->x509, f->files[0], f->files[1], GNUTLS_X509_FMT_PEM);
        if (r < 0) {
                credentials_unref(c);
                return error_set(reterr, -EINVAL, "certificate %s with key %s: %s", f->files[0], f->files[1],
                                 gnutls_strerror(r));
        }
        r = f->files[2] ? gnutls_certificate_set_x509_trust_file(c->x509, f->files[2], GNUTLS_X509_FMT_PEM) : 1;
        if (r <= 0) {
                credentials_unref(c);
                return error_set(reterr, -EINVAL, "client CA %s: %s", f->files[2],
                                 r < 0 ? gnutls_strerror(r) : "no certificate in it");
        }
        *ret = c;
        return 0;
}

/* True: one of the three FILES (each may be NULL) is another than when it was SEEN last. */
static bool look(char *const *files, struct stat *seen)
{
        bool changed = false;

        for (size_t i = 0; i < 3; i++) {
                struct stat st;
                if (!files[i] || stat(files[i], &st) < 0)
                        continue;
                if (st.st_ino != seen[i].st_ino || st.st_size != seen[i].st_size ||
                    st.st_mtim.tv_sec != seen[i].st_mtim.tv_sec || st.st_mtim.tv_nsec != seen[i].st_mtim.tv_nsec)
                        changed = true;
                seen[i] = st;
        }
        return changed;
}

/* A pair that is half written does not load; the next look after the next change tries again. */
static void reload(struct tls_front *f)
{
        struct credentials *c;
        int64_t now = time_mono();

        if (now - f->looked_ns < NS_PER_SEC)
                return;
        f->looked_ns = now;
        if (!look(f->files, f->seen))
                return;
        if (credentials_load(f, &c, NULL) < 0) {
                memset(f->seen, 0, sizeof(f->seen));
                return;
        }
        credentials_unref(f->credentials);
        f->credentials = c;
}

int tls_front_new(const char *cert_file, const char *key_file, const char *client_ca_file, struct tls_front **ret,
                  struct error *reterr)
{
        struct tls_front *f = new0(struct tls_front);
        int r;

        f->files[0] = xstrdup(cert_file);
        f->files[1] = xstrdup(key_file);
        f->files[2] = client_ca_file ? xstrdup(client_ca_file) : NULL;
        look(f->files, f->seen);
        f->looked_ns = time_mono();
        r = gnutls_priority_init(&f->priority, PRIORITY, NULL);
        if (r < 0)
                r = error_set(reterr, -EINVAL, "TLS priorities: %s", gnutls_strerror(r));
        else
                r = credentials_load(f, &f->credentials, reterr);
        if (r < 0) {
                tls_front_free(f);
                return r;
        }
        *ret = f;
        return 0;
}

void tls_front_free(struct tls_front *f)
{
        if (!f)
                return;
        credentials_unref(f->credentials);
        if (f->priority)
                gnutls_priority_deinit(f->priority);
        for (size_t i = 0; i < ARRAY_SIZE(f->files); i++)
                free(f->files[i]);
        free(f);
}

/* --- a session's bytes --- */

/* GnuTLS's side of the inbox. */
static ssize_t pull(gnutls_transport_ptr_t ptr, void *buf, size_t len)
{
        struct tls_session *s = ptr;

        if (inbox.at == inbox.len) {
                ssize_t n;
                if (inbox.drained) {
                        gnutls_transport_set_errno(s->session, EAGAIN);
                        return -1;
                }
                n = recv(s->fd, inbox.data, sizeof(inbox.data), 0);
                if (n <= 0) {
                        gnutls_transport_set_errno(s->session, n < 0 ? errno : 0);
                        return n;
                }
                inbox.at = 0;
                inbox.len = n;
                inbox.drained = (size_t)n < sizeof(inbox.data);
        }
        len = MIN(len, inbox.len - inbox.at);
        if (!s->handshaken && !s->host && (s->handshake_bytes += len) > HANDSHAKE_MAX) {
                gnutls_transport_set_errno(s->session, EMSGSIZE);
                return -1;
        }
        memcpy(buf, inbox.data + inbox.at, len);
        inbox.at += len;
        return len;
}

static int pull_timeout(gnutls_transport_ptr_t ptr, unsigned ms)
{
        return 1; /* never asked on non-blocking sessions; GnuTLS wants one beside a pull function */
}

/* The inbox becomes this session's: what was stashed comes first. */
static void inbox_open(struct tls_session *s)
{
        inbox.at = inbox.len = 0;
        inbox.drained = false;
        if (s->stash) {
                inbox.len = s->stash_len;
                memcpy(inbox.data, s->stash, s->stash_len);
                free(steal_ptr(s->stash));
                s->stash_len = 0;
        }
}

static void inbox_close(struct tls_session *s)
{
        if (inbox.at < inbox.len) {
                s->stash_len = inbox.len - inbox.at;
                s->stash = xmemdup(inbox.data + inbox.at, s->stash_len);
        }
        inbox.at = inbox.len = 0;
}

/* GnuTLS's way out. What it says by itself (its answer to new keys) must not overtake what is unsent. */
static ssize_t push(gnutls_transport_ptr_t ptr, const giovec_t *parts, int n)
{
        struct tls_session *s = ptr;
        struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)n};
        ssize_t len = 0;

        if (!outbox.open && !s->unsent.len) {
                len = sendmsg(s->fd, &message, MSG_NOSIGNAL);
                if (len < 0)
                        gnutls_transport_set_errno(s->session, errno);
                return len;
        }
        for (int i = 0; i < n; i++) {
                if (outbox.open) {
                        memcpy(outbox.data + outbox.len, parts[i].iov_base, parts[i].iov_len);
                        outbox.len += parts[i].iov_len;
                } else {
                        strbuf_append(&s->unsent, parts[i].iov_base, parts[i].iov_len);
                }
                len += (ssize_t)parts[i].iov_len;
        }
        return len;
}

static void session_attach(struct tls_session *s)
{
        gnutls_transport_set_ptr(s->session, s);
        gnutls_transport_set_pull_function(s->session, pull);
        gnutls_transport_set_pull_timeout_function(s->session, pull_timeout);
        gnutls_transport_set_vec_push_function(s->session, push);
}

struct tls_session *tls_session_new(struct tls_front *f, int fd)
{
        struct tls_session *s = new0(struct tls_session);
        static const gnutls_datum_t alpn = {(unsigned char *)"http/1.1", 8};

        reload(f);
        s->fd = fd;
        s->credentials = f->credentials;
        s->credentials->refs++;
        gnutls_init(&s->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS | GNUTLS_NO_SIGNAL);
        gnutls_priority_set(s->session, f->priority);
        gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, s->credentials->x509);
        if (f->files[2])
                gnutls_certificate_server_set_request(s->session, GNUTLS_CERT_REQUEST);
        gnutls_alpn_set_protocols(s->session, &alpn, 1, 0);
        session_attach(s);
        return s;
}

/* --- clients --- */

struct tls_client {
        char *files[3], *data[3]; /* CA, certificate, key */
        struct stat seen[3];
        bool insecure;
        struct credentials *credentials;
};

struct tls_client *tls_client_new(const struct tls_client_options *o)
{
        struct tls_client *c = new0(struct tls_client);
        const char *files[] = {o->ca_file, o->cert_file, o->key_file};
        const char *data[] = {o->ca_data, o->cert_data, o->key_data};

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                c->data[i] = data[i] ? xstrdup(data[i]) : NULL;
                c->files[i] = files[i] && !data[i] ? xstrdup(files[i]) : NULL;
        }
        c->insecure = o->insecure;
        return c;
}

void tls_client_free(struct tls_client *c)
{
        if (!c)
                return;
        credentials_unref(c->credentials);
        if (c->data[2])
                explicit_bzero(c->data[2], strlen(c->data[2]));
        for (size_t i = 0; i < ARRAY_SIZE(c->files); i++) {
                free(c->files[i]);
                free(c->data[i]);
        }
        free(c);
}

static gnutls_datum_t datum(char *text)
{
        return (gnutls_datum_t){(unsigned char *)text, text ? strlen(text) : 0};
}

static int client_load(struct tls_client *c, struct error *reterr)
{
        struct credentials *n = new0(struct credentials);
        gnutls_datum_t ca = datum(c->data[0]), cert = datum(c->data[1]), key = datum(c->data[2]);
        int r = 0;

        n->refs = 1;
        gnutls_certificate_allocate_credentials(&n->x509);
        if (c->data[0])
                r = gnutls_certificate_set_x509_trust_mem(n->x509, &ca, GNUTLS_X509_FMT_PEM);
        else if (c->files[0])
                r = gnutls_certificate_set_x509_trust_file(n->x509, c->files[0], GNUTLS_X509_FMT_PEM);
        else if (!c->insecure)
                r = gnutls_certificate_set_x509_system_trust(n->x509);
        if (r < 0) {
                credentials_unref(n);
                return error_set(reterr, -EACCES, "CA certificates %s: %s", c->files[0] ? c->files[0] : "",
                                 gnutls_strerror(r));
        }
        if (c->data[1] && c->data[2])
                r = gnutls_certificate_set_x509_key_mem(n->x509, &cert, &key, GNUTLS_X509_FMT_PEM);
        else if (c->files[1] && c->files[2])
                r = gnutls_certificate_set_x509_key_file(n->x509, c->files[1], c->files[2], GNUTLS_X509_FMT_PEM);
        if (r < 0) {
                credentials_unref(n);
                return error_set(reterr, -EACCES, "client certificate %s: %s", c->files[1] ? c->files[1] : "",
                                 gnutls_strerror(r));
        }
        credentials_unref(c->credentials);
        c->credentials = n;
        return 0;
}

static bool is_address(const char *host)
{
        struct in6_addr any;

        return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

int tls_client_session_new(struct tls_client *c, int fd, const char *host, struct tls_session **ret,
                           struct error *reterr)
{
        static const gnutls_datum_t alpn = {(unsigned char *)"http/1.1", 8};
        struct tls_session *s;
        bool changed = look(c->files, c->seen);

        /* New files that do not load (one of the pair is being written) leave what there was. */
        if ((!c->credentials || changed) && client_load(c, c->credentials ? NULL : reterr) < 0 && !c->credentials)
                return -EACCES;
        s = new0(struct tls_session);
        s->fd = fd;
        s->host = xstrdup(host);
        s->credentials = c->credentials;
        s->credentials->refs++;
        gnutls_init(&s->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS);
        gnutls_priority_set_direct(s->session, CLIENT_PRIORITY, NULL);
        gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, s->credentials->x509);
        gnutls_alpn_set_protocols(s->session, &alpn, 1, 0);
        if (!is_address(host))
                gnutls_server_name_set(s->session, GNUTLS_NAME_DNS, host, strlen(host));
        if (!c->insecure)
                gnutls_session_set_verify_cert(s->session, s->host, 0);
        session_attach(s);
        *ret = s;
        return 0;
}

void tls_bye(struct tls_session *s)
{
        if (s->handshaken && !s->unsent.len && !s->bye)
                gnutls_bye(s->session, GNUTLS_SHUT_WR);
        s->bye = true;
}

void tls_session_free(struct tls_session *s)
{
        if (!s)
                return;
        tls_bye(s);
        gnutls_deinit(s->session);
        credentials_unref(s->credentials);
        free(s->stash);
        strbuf_deinit(&s->unsent);
        free(s->host);
        free(s);
}

static int errno_of(int r)
{
        switch (r) {
        case GNUTLS_E_AGAIN:
        case GNUTLS_E_INTERRUPTED:
                return -EAGAIN;
        case GNUTLS_E_PREMATURE_TERMINATION:
        case GNUTLS_E_PUSH_ERROR:
        case GNUTLS_E_PULL_ERROR:
                return -ECONNRESET;
        default:
                return -EPROTO;
        }
}

static int untrusted(struct tls_session *s, struct error *reterr)
{
        gnutls_datum_t why = {0};

        gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(s->session), GNUTLS_CRT_X509,
                                                     &why, 0);
        error_set(reterr, -EACCES, "TLS: certificate of %s: %s", s->host ? s->host : "the server",
                  why.data ? (char *)why.data : "not trusted");
        gnutls_free(why.data);
        return -EACCES;
}

int tls_handshake(struct tls_session *s, struct error *reterr)
{
        int r;

        inbox_open(s);
        do
                r = gnutls_handshake(s->session);
        while (r < 0 && r != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(r));
        inbox_close(s);
        if (r == GNUTLS_E_AGAIN)
                return -EAGAIN;
        if (r == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
                return untrusted(s, reterr);
        if (r < 0) {
                gnutls_alert_send_appropriate(s->session, r);
                return error_set(reterr, errno_of(r), "TLS handshake: %s", gnutls_strerror(r));
        }
        s->handshaken = true;
        return 0;
}

bool tls_wants_write(const struct tls_session *s)
{
        return s->handshaken ? s->unsent.len > 0 : gnutls_record_get_direction(s->session) == 1;
}

bool tls_pending(const struct tls_session *s)
{
        return s->stash || gnutls_record_check_pending(s->session) > 0;
}

ssize_t tls_recv(struct tls_session *s, void *buf, size_t len)
{
        size_t got = 0;
        ssize_t r = 0;

        inbox_open(s);
        while (got < len) {
                r = gnutls_record_recv(s->session, (char *)buf + got, len - got);
                if (r == GNUTLS_E_REHANDSHAKE || r == GNUTLS_E_INTERRUPTED)
                        continue; /* renegotiation is not answered, which refuses it */
                /* So GnuTLS says after a record that holds no data (a session ticket), though data may lie behind it in
                 * the inbox, where no event of the socket would tell of it. */
                if (r == GNUTLS_E_AGAIN && inbox.at < inbox.len)
                        continue;
                if (r <= 0)
                        break;
                got += r;
                if (inbox.at == inbox.len && inbox.drained && gnutls_record_check_pending(s->session) == 0)
                        break;
        }
        inbox_close(s);
        if (got)
                return got;
        if (r == GNUTLS_E_PREMATURE_TERMINATION)
                return 0; /* HTTP frames itself: a connection without close_notify has just ended */
        return r < 0 ? errno_of(r) : 0;
}

/* How many of LEN bytes the socket takes now, or -errno. */
static ssize_t socket_takes(struct tls_session *s, const char *data, size_t len)
{
        ssize_t n;

        do
                n = send(s->fd, data, len, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
        return n;
}

int tls_flush(struct tls_session *s)
{
        ssize_t n;

        if (!s->unsent.len)
                return 0;
        n = socket_takes(s, s->unsent.data + s->unsent_at, s->unsent.len - s->unsent_at);
        if (n < 0)
                return (int)n;
        s->unsent_at += (size_t)n;
        if (s->unsent_at < s->unsent.len)
                return -EAGAIN;
        strbuf_deinit(&s->unsent);
        s->unsent_at = 0;
        return 0;
}

/* Encrypts up to TLS_SEND bytes into the outbox. */
static ssize_t gather(struct tls_session *s, const char *data, size_t len)
{
        size_t done = 0;
        ssize_t n;

        len = MIN(len, (size_t)TLS_SEND);
        outbox.len = 0;
        outbox.open = true;
        do {
                n = gnutls_record_send(s->session, data + done, MIN(len - done, (size_t)TLS_RECORD));
                done += n > 0 ? (size_t)n : 0;
        } while (n > 0 && done < len);
        outbox.open = false;
        return n < 0 && !done ? errno_of((int)n) : (ssize_t)done;
}

ssize_t tls_send(struct tls_session *s, const void *data, size_t len)
{
        int r = tls_flush(s);
        ssize_t taken, n;

        if (r < 0 || !len)
                return r;
        taken = gather(s, data, len);
        if (taken < 0)
                return taken;
        n = socket_takes(s, outbox.data, outbox.len);
        if (n < 0)
                return n;
        if ((size_t)n < outbox.len)
                strbuf_append(&s->unsent, outbox.data + n, outbox.len - (size_t)n);
        return taken;
}

/* --- who the client is --- */

static char *dn_part(gnutls_x509_crt_t cert, const char *oid, unsigned index)
{
        char buf[1024];
        size_t len = sizeof(buf);

        if (gnutls_x509_crt_get_dn_by_oid(cert, oid, index, 0, buf, &len) < 0)
                return NULL;
        if (strlen(buf) != len)
                return NULL; /* a name with a NUL inside is no name */
        return xstrndup(buf, pki_unescape(buf, len));
}

static void read_names(struct tls_peer *p, const gnutls_datum_t *der)
{
        gnutls_x509_crt_t cert;
        size_t n = 0, cap = 0;
        char *o;

        if (gnutls_x509_crt_init(&cert) < 0)
                return;
        if (gnutls_x509_crt_import(cert, der, GNUTLS_X509_FMT_DER) == 0) {
                /* Of several names the last counts, as Go reads certificates. */
                for (unsigned i = 0; i < 1000 && (o = dn_part(cert, GNUTLS_OID_X520_COMMON_NAME, i)); i++) {
                        free(p->common_name);
                        p->common_name = o;
                }
                while (n < 1000 && (o = dn_part(cert, GNUTLS_OID_X520_ORGANIZATION_NAME, n))) {
                        array_reserve(p->organizations, cap, n + 2);
                        p->organizations[n++] = o;
                        p->organizations[n] = NULL;
                }
        }
        gnutls_x509_crt_deinit(cert);
}

void tls_session_peer(struct tls_session *s, struct tls_peer *ret)
{
        gnutls_typed_vdata_st purpose = {
                .type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT, .size = 0};
        unsigned n = 0, bad = 0;
        const gnutls_datum_t *certs = gnutls_certificate_get_peers(s->session, &n);

        memset(ret, 0, sizeof(*ret));
        if (!certs || !n)
                return;
        ret->cert_der = xmemdup(certs[0].data, certs[0].size);
        ret->cert_der_len = certs[0].size;
        read_names(ret, &certs[0]);
        ret->verified = gnutls_certificate_verify_peers(s->session, &purpose, 1, &bad) >= 0 && bad == 0;
}

void tls_peer_deinit(struct tls_peer *p)
{
        free(p->common_name);
        for (char **o = p->organizations; o && *o; o++)
                free(*o);
        free(p->organizations);
        free(p->cert_der);
        memset(p, 0, sizeof(*p));
}
