/* TLS for servers, and for clients: GnuTLS on non-blocking sockets, no thread, no callback.
 *
 * A front holds the server's certificate and the CA that client certificates are checked against. All
 * three files are looked at again when a handshake begins (at most once a second) and read again when
 * they changed; sessions that are up keep what they began with. Nothing polls.
 *
 * TLS 1.2 and 1.3, ALPN "http/1.1", no session tickets, client certificates asked for but not demanded.
 */
#pragma once

#include "../base/error.h"

struct tls_front;
struct tls_session;

/* CLIENT_CA may be NULL: then no client certificate is asked for. */
int tls_front_new(const char *cert_file, const char *key_file, const char *client_ca_file, struct tls_front **ret,
                  struct error *reterr);
void tls_front_free(struct tls_front *f); /* sessions must be gone */

/* What a client shows and trusts. PEM as files, which are read again when they changed, or as text (wins
 * over files). No CA: the system's. CERT and KEY may be NULL. */
struct tls_client_options {
        const char *ca_file, *cert_file, *key_file;
        const char *ca_data, *cert_data, *key_data;
        bool insecure; /* any server certificate will do */
};
struct tls_client;
struct tls_client *tls_client_new(const struct tls_client_options *o); /* reads nothing yet */
void tls_client_free(struct tls_client *c); /* NULL allowed; sessions may live on */
/* HOST: a name or an address, which the server's certificate must be for. The descriptor stays the
 * caller's. -EACCES: files or text that cannot be read. */
int tls_client_session_new(struct tls_client *c, int fd, const char *host, struct tls_session **ret,
                           struct error *reterr);

/* The descriptor stays the caller's. */
struct tls_session *tls_session_new(struct tls_front *f, int fd);
void tls_session_free(struct tls_session *s); /* NULL allowed; says goodbye to the peer if it can */

/* 0: done; -EAGAIN: again when the descriptor is readable (writable when tls_wants_write()); negative: it failed,
 * -EACCES when the server's certificate is not to be trusted. */
int tls_handshake(struct tls_session *s, struct error *reterr);
bool tls_wants_write(const struct tls_session *s);

/* Bytes read; 0 at the end; -EAGAIN; negative errno. After less than LEN bytes the socket may be taken as empty. */
ssize_t tls_recv(struct tls_session *s, void *buf, size_t len);
/* Bytes came with earlier ones and wait in memory: the descriptor will not tell of them. */
bool tls_pending(const struct tls_session *s);
/* Records of TLS_RECORD bytes of DATA, TLS_SEND bytes of it at most, in one call to the kernel. The number of bytes
 * taken, which will be sent even if the socket is full now; -EAGAIN: nothing was taken, the socket is full; negative
 * errno. */
#define TLS_RECORD 16384
#define TLS_SEND (4 * TLS_RECORD)
ssize_t tls_send(struct tls_session *s, const void *data, size_t len);
/* Sends what tls_send() took and could not send. 0; -EAGAIN; negative errno. */
int tls_flush(struct tls_session *s);

/* Tells the peer that nothing more will be sent. */
void tls_bye(struct tls_session *s);

/* The client's certificate. */
struct tls_peer {
        bool verified;        /* chains to the client CA, valid now, fit for clients */
        char *common_name;    /* owned, may be NULL */
        char **organizations; /* owned, NULL-terminated, may be NULL */
        void *cert_der;       /* the leaf as shown; owned; NULL: none shown */
        size_t cert_der_len;
};
void tls_session_peer(struct tls_session *s, struct tls_peer *ret);
void tls_peer_deinit(struct tls_peer *p);
