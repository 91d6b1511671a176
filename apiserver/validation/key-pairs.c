/* A certificate and its key in a Secret that no server could be started with: let in, with the words in
 * which Go's tls.X509KeyPair refuses them. */
#include <gnutls/x509.h>

#include "../../lib/base/encode.h"
#include "functions.h"

/* The blocks of a PEM text, one after the other. */
struct block {
        const char *type, *der;
        size_t len;
};

static bool decode_body(struct arena *a, const char *body, const char *end, struct block *ret)
{
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT, der = STRBUF_INIT;

        for (; body < end; body++)
                if (!strchr(" \t\r\n", *body))
                        strbuf_putc(&text, *body);
        if (base64_decode(&der, strbuf_str(&text), text.len, NULL) < 0)
                return false;
        ret->der = arena_memdup(a, strbuf_str(&der), der.len + 1);
        ret->len = der.len;
        return true;
}

/* The next block of *P, in the arena; false: there is none. What is no base64 is no block. */
static bool next_block(struct arena *a, const char **p, struct block *ret)
{
        static const char begin[] = "-----BEGIN ", end[] = "-----END ";

        for (const char *at; (at = strstr(*p, begin)) != NULL;) {
                const char *type = at + strlen(begin), *stop = strstr(type, "-----"), *body, *last;

                *p = type;
                if (!stop || memchr(type, '\n', stop - type))
                        continue;
                ret->type = arena_strndup(a, type, stop - type);
                body = stop + strlen("-----");
                last = strstr(body, arena_printf(a, "%s%s-----", end, ret->type));
                if (!last)
                        continue;
                *p = last;
                if (decode_body(a, body, last, ret))
                        return true;
        }
        return false;
}

static bool is_key(const char *type)
{
        return streq(type, "PRIVATE KEY") || str_has_suffix(type, " PRIVATE KEY");
}

/* The first block of TEXT that is a certificate (or KEY: a key). NULL: found; else why not. */
static const char *find_block(struct arena *a, const char *text, bool key, struct block *ret)
{
        const char *skipped = "", *only = NULL;
        unsigned n = 0;

        for (const char *p = text; next_block(a, &p, ret); n++) {
                if (key ? is_key(ret->type) : streq(ret->type, "CERTIFICATE"))
                        return NULL;
                skipped = arena_printf(a, "%s%s%s", skipped, n ? " " : "", ret->type);
                only = ret->type;
        }
        if (!n)
                return key ? "tls: failed to find any PEM data in key input" : "tls: failed to find any PEM data in certificate input";
        if (key && n == 1 && streq(only, "CERTIFICATE"))
                return "tls: found a certificate rather than a key in the PEM for the private key";
        if (key)
                return arena_printf(a, "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after "
                                       "skipping PEM blocks of the following types: [%s]", skipped);
        if (n == 1 && str_has_suffix(only, "PRIVATE KEY"))
                return "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may "
                       "have been switched";
        return arena_printf(a, "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the "
                               "following types: [%s]", skipped);
}

static gnutls_datum_t datum(const struct block *b)
{
        return (gnutls_datum_t){ (unsigned char *)b->der, (unsigned)b->len };
}

static const char *compare(gnutls_x509_crt_t cert, gnutls_x509_privkey_t key)
{
        unsigned char x[64], y[64];
        size_t nx = sizeof(x), ny = sizeof(y);

        if (gnutls_x509_crt_get_pk_algorithm(cert, NULL) != gnutls_x509_privkey_get_pk_algorithm(key))
                return "tls: private key type does not match public key type";
        if (gnutls_x509_crt_get_key_id(cert, GNUTLS_KEYID_USE_SHA256, x, &nx) < 0 ||
            gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, y, &ny) < 0)
                return NULL;
        return nx == ny && memcmp(x, y, nx) == 0 ? NULL : "tls: private key does not match public key";
}

/* The two as what they say they are. */
static const char *check_pair(const struct block *crt, const struct block *k)
{
        gnutls_datum_t cert_data = datum(crt), key_data = datum(k);
        gnutls_x509_crt_t cert;
        gnutls_x509_privkey_t key;
        const char *why;

        if (gnutls_x509_crt_init(&cert) < 0)
                return NULL;
        if (gnutls_x509_privkey_init(&key) < 0) {
                gnutls_x509_crt_deinit(cert);
                return NULL;
        }
        if (gnutls_x509_crt_import(cert, &cert_data, GNUTLS_X509_FMT_DER) < 0)
                why = "x509: malformed certificate";
        else if (gnutls_x509_privkey_import(key, &key_data, GNUTLS_X509_FMT_DER) < 0 &&
                 gnutls_x509_privkey_import_pkcs8(key, &key_data, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN) < 0)
                why = "tls: failed to parse private key";
        else
                why = compare(cert, key);
        gnutls_x509_crt_deinit(cert);
        gnutls_x509_privkey_deinit(key);
        return why;
}

static const char *entry_text(struct arena *a, const struct json *data, const char *name)
{
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
        const char *s = json_get_string(data, name);

        if (!s || base64_decode(&text, s, strlen(s), NULL) < 0)
                return "";
        return arena_strndup(a, strbuf_str(&text), text.len);
}

void check_tls_warning(struct check *c, const struct at *at)
{
        struct block cert = { 0 }, key = { 0 };
        const struct json *data = json_get(at->j, "data");
        const char *why;

        if (!c->r || !streq(json_get_string(at->j, "type"), "kubernetes.io/tls"))
                return;
        why = find_block(c->a, entry_text(c->a, data, "tls.crt"), false, &cert);
        if (!why)
                why = find_block(c->a, entry_text(c->a, data, "tls.key"), true, &key);
        if (!why)
                why = check_pair(&cert, &key);
        if (why)
                request_warn(c->r, "%s", why);
}
