/* Who asks.
 *
 * In upstream's order: what a front proxy says of its client, the client certificate, a bearer token; and
 * without any of them system:anonymous. A credential that is there and wrong is a 401, never anonymous.
 */
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>

#include "../../lib/base/encode.h"
#include "internal.h"

#define MAX_CERTIFICATES 2048
#define UID_OID "1.3.6.1.4.1.57683.2"
#define CREDENTIAL_ID "authentication.kubernetes.io/credential-id"

/* Who shows that he is system:anonymous is nobody's client all the same. */
static void add_authenticated(const char *name, const char **groups, size_t n)
{
        if (!streq(name, "system:anonymous") && !strings_has(groups, "system:authenticated") &&
            !strings_has(groups, "system:unauthenticated"))
                groups[n] = "system:authenticated";
}

/* --- client certificates --- */

struct certificate {
        struct arena *arena; /* first: auth_deinit() frees by it */
        const void *der;
        size_t len;
        struct user_info user;
        struct certificate *next; /* of the same hash */
};

/* kube-uid, an element of a subject's name: what no other certificate says of this user. NULL: none; *ret_bad: not one. */
static const char *certificate_uid(struct arena *a, const struct http_peer *peer, bool *ret_bad)
{
        const gnutls_datum_t der = { (unsigned char *)peer->cert_der, peer->cert_der_len };
        gnutls_x509_crt_t cert;
        char uid[1024];
        size_t len = sizeof(uid) - 1, more = 0;
        const char *ret = NULL;

        if (!peer->cert_der || gnutls_x509_crt_init(&cert) < 0)
                return NULL;
        if (gnutls_x509_crt_import(cert, &der, GNUTLS_X509_FMT_DER) == 0) {
                int r = gnutls_x509_crt_get_dn_by_oid(cert, UID_OID, 0, 1, uid, &len);

                if (r != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
                        /* Raw: a tag of a string type, its length, its text. */
                        *ret_bad = r < 0 || len < 3 || len > 129 || !strchr("\x0c\x12\x13\x16", uid[0]) ||
                                   gnutls_x509_crt_get_dn_by_oid(cert, UID_OID, 1, 1, NULL, &more) !=
                                           GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
                        ret = *ret_bad ? NULL : arena_strndup(a, uid + 2, len - 2);
                }
        }
        gnutls_x509_crt_deinit(cert);
        return ret;
}

static void describe_certificate(struct arena *a, const struct http_peer *peer, struct user_info *user)
{
        bool bad = false;
        const char *uid = certificate_uid(a, peer, &bad);
        size_t n = strings_len((const char *const *)peer->organizations);
        const char **groups = strings_new(a, n + 1);
        struct json *extra = json_new_object(a);
        _cleanup_strbuf_ struct strbuf id = STRBUF_INIT;
        uint8_t digest[32] = { 0 };

        for (size_t i = 0; i < n; i++)
                groups[i] = arena_strdup(a, peer->organizations[i]);
        add_authenticated(peer->common_name, groups, n);
        if (peer->cert_der)
                gnutls_hash_fast(GNUTLS_DIG_SHA256, peer->cert_der, peer->cert_der_len, digest);
        strbuf_puts(&id, "X509SHA256=");
        hex_encode(&id, digest, sizeof(digest));
        json_append(a, json_ensure_array(a, extra, CREDENTIAL_ID), json_new_string(a, id.data));
        *user = (struct user_info){ .name = arena_strdup(a, peer->common_name && !bad ? peer->common_name : ""),
                                    .uid = uid ? uid : "",
                                    .groups = groups,
                                    .extra = extra };
}

/* A user without a name: the certificate names nobody. The same few certificates come with every request of every component: worked out once, kept for good. */
static void certificate_user(struct api_request *r, struct user_info *ret)
{
        const struct http_peer *peer = r->http->peer;
        struct certificate *c, *first;
        size_t tail = MIN(peer->cert_der_len, 32); /* of the signature: as good as all of it */
        char hash[16];

        if (!peer->cert_der) {
                describe_certificate(r->arena, peer, ret);
                return;
        }
        snprintf(hash, sizeof(hash), "%08x", hash_bytes((const char *)peer->cert_der + peer->cert_der_len - tail, tail));
        first = map_get(&the_auth->certificates, hash);
        for (c = first; c; c = c->next) {
                if (c->len == peer->cert_der_len && memcmp(c->der, peer->cert_der, c->len) == 0) {
                        *ret = c->user;
                        return;
                }
        }
        if (the_auth->n_certificates >= MAX_CERTIFICATES || first) {
                describe_certificate(r->arena, peer, ret);
                return;
        }
        struct arena *a = arena_new(1024);

        c = arena_calloc(a, sizeof(*c));
        c->arena = a;
        c->der = arena_memdup(a, peer->cert_der, peer->cert_der_len);
        c->len = peer->cert_der_len;
        describe_certificate(a, peer, &c->user);
        map_put(&the_auth->certificates, hash, c);
        the_auth->n_certificates++;
        *ret = c->user;
}

/* --- the front proxy --- */

struct headers {
        struct api_request *r;
        const char *name;
        const char **groups;
        size_t n_groups;
        struct json *extra;
};

#define MAX_GROUPS 1024

const char *header_text(struct arena *a, const char *value)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct json *text = NULL;

        for (const char *c = value; *c; c++) {
                if ((unsigned char)*c < 0x80)
                        continue;
                json_write_string(&b, value, strlen(value));
                return json_parse(a, b.data, b.len, NULL, &text, NULL) == 0 ? json_string(text) : "";
        }
        return arena_strdup(a, value);
}

const char *extra_key(struct arena *a, const char *name)
{
        char *lower = arena_strdup(a, name), *key;

        for (char *c = lower; *c; c++)
                *c = *c >= 'A' && *c <= 'Z' ? *c + 32 : *c;
        key = http_unescape(a, lower, strlen(lower), false);
        return key ? key : lower; /* malformed, it is taken as it is */
}

static void collect_remote(const char *name, const char *value, void *userdata)
{
        static const char extra[] = "X-Remote-Extra-";
        struct headers *h = userdata;
        struct arena *a = h->r->arena;

        if (strcasecmp(name, "X-Remote-User") == 0 && !h->name) {
                h->name = header_text(a, value);
        } else if (strcasecmp(name, "X-Remote-Group") == 0 && *value && h->n_groups < MAX_GROUPS) {
                h->groups[h->n_groups++] = header_text(a, value);
        } else if (strncasecmp(name, extra, strlen(extra)) == 0) {
                json_append(a, json_ensure_array(a, h->extra, extra_key(a, name + strlen(extra))), json_new_string(a, header_text(a, value)));
        }
}

/* True: the peer is the front proxy, and says who asks. */
static bool front_proxy_user(struct api_request *r, struct user_info *ret)
{
        const struct http_peer *peer = r->http->peer;
        struct headers h = { .r = r };
        _cleanup_free_ char *name = NULL;

        if (!the_auth->front_proxy || !peer || !peer->cert_der || str_empty(http_header(r->http, "X-Remote-User")) ||
            !pki_trust_verify(the_auth->front_proxy, peer->cert_der, peer->cert_der_len, &name))
                return false;
        if (the_auth->front_proxy_names && the_auth->front_proxy_names[0] &&
            !strings_has((const char *const *)the_auth->front_proxy_names, name))
                return false;
        h.groups = strings_new(r->arena, MAX_GROUPS + 1);
        h.extra = json_new_object(r->arena);
        http_header_each(r->http, collect_remote, &h);
        add_authenticated(h.name, h.groups, h.n_groups);
        *ret = (struct user_info){ .name = h.name,
                                   .uid = "",
                                   .groups = h.groups,
                                   .extra = json_len(h.extra) ? h.extra : NULL };
        return true;
}

/* --- all of them --- */

/* The token of "Authorization: Bearer x"; NULL: none, or another scheme, which counts as none. */
static const char *bearer(struct api_request *r)
{
        const char *h = http_header(r->http, "Authorization");

        h = h ? h + strspn(h, " \t") : "";
        if (strncasecmp(h, "bearer ", 7) != 0)
                return NULL;
        h += 7;
        if (*h == ' ' && h[strspn(h, " \t")])
                request_warn(r, "the provided Authorization header contains extra space before the bearer token, and is ignored");
        return *h && *h != ' ' ? arena_strndup(r->arena, h, strcspn(h, " ")) : NULL;
}

/* A browser's WebSocket cannot send headers: the token comes as a subprotocol, beside another one. False: it is wrong. */
static bool websocket_token(struct api_request *r, const char **ret)
{
        static const char prefix[] = "base64url.bearer.authorization.k8s.io.";
        const char *at = http_header(r->http, "Sec-WebSocket-Protocol"), *upgrade = http_header(r->http, "Upgrade");
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        bool seen = false, others = false;

        *ret = NULL;
        if (!at || !upgrade || strcasecmp(upgrade, "websocket") != 0)
                return true;
        for (;;) {
                size_t len = strcspn(at += strspn(at, " \t"), ","), n = len;

                while (n && (at[n - 1] == ' ' || at[n - 1] == '\t'))
                        n--;
                if (n < strlen(prefix) || strncmp(at, prefix, strlen(prefix)) != 0)
                        others = true;
                else if (seen || base64_decode(&b, at + strlen(prefix), n - strlen(prefix), NULL) < 0)
                        return false;
                else
                        seen = true;
                if (!at[len])
                        break;
                at += len + 1;
        }
        if (!b.len)
                return true;
        *ret = arena_strndup(r->arena, b.data, b.len);
        return others;
}

/* Each way is tried until one knows who it is. What is shown and wrong counts only when none does. */
static const struct status *find_user(struct api_request *r)
{
        static const char *const unauthenticated[] = { "system:unauthenticated", NULL };
        const struct http_peer *peer = r->http->peer;
        const char *token, *error;
        bool wrong;

        if (front_proxy_user(r, &r->user))
                return NULL;
        if (peer && peer->verified) {
                certificate_user(r, &r->user);
                if (*r->user.name)
                        return NULL;
        }
        /* The front proxy's authority did not sign it, or the clients' did not. */
        wrong = peer && peer->cert_der && (the_auth->front_proxy || (the_auth->client_ca_file && !peer->verified));
        token = bearer(r);
        if (token && token_authenticate(r, token, NULL, &r->user, NULL, &error) == TOKEN_OK)
                return NULL;
        wrong = wrong || token;
        if (!websocket_token(r, &token))
                wrong = true;
        else if (token && token_authenticate(r, token, NULL, &r->user, NULL, &error) == TOKEN_OK)
                return NULL;
        if (wrong || token || the_auth->no_anonymous)
                return status_unauthorized(r->arena);
        r->user = (struct user_info){ .name = "system:anonymous", .uid = "", .groups = unauthenticated };
        return NULL;
}

const struct status *authenticate(struct api_request *r)
{
        const struct status *st = find_user(r);

        if (st)
                return st;
        r->real_user = r->user;
        return impersonate(r);
}
