/* JSON Web Tokens, signed and verified by GnuTLS.
 *
 * A token is three parts of base64url: header, claims, signature over "header.claims". Two algorithms
 * are taken, the ones whose keys a service-account issuer has: RS256 (PKCS#1 v1.5, SHA-256) and ES256,
 * whose signature is r and s of 32 bytes each where GnuTLS speaks DER. "none" and anything else is a
 * bad signature. A key is named by its kid: SHA-256 over its public half in DER.
 */
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "../base/encode.h"
#include "../base/file.h"
#include "jwt.h"
#include "pki-internal.h"

#define MAX_TOKEN (64 * 1024)
#define ES256_BYTES 32

struct key {
        gnutls_pubkey_t pub;
        char *kid;
        bool ecdsa;
};

struct jwt_keys {
        struct key *keys;
        size_t n, cap;
        gnutls_privkey_t sign; /* NULL: verify only; its public half is keys[0] */
};

void jwt_keys_free(struct jwt_keys *k)
{
        if (!k)
                return;
        for (size_t i = 0; i < k->n; i++) {
                gnutls_pubkey_deinit(k->keys[i].pub);
                free(k->keys[i].kid);
        }
        if (k->sign)
                gnutls_privkey_deinit(k->sign);
        free(k->keys);
        free(k);
}

/* --- loading --- */

static char *key_id(gnutls_pubkey_t pub)
{
        _cleanup_datum_ gnutls_datum_t der = { 0 };
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        uint8_t digest[32];

        if (gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_DER, &der) < 0 ||
            gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, digest) < 0)
                return xstrdup("");
        base64url_encode(&b, digest, sizeof(digest));
        return strbuf_steal(&b);
}

/* Takes PUB over. A key that is there already is not added again. */
static int add_key(struct jwt_keys *k, gnutls_pubkey_t pub)
{
        int algo = gnutls_pubkey_get_pk_algorithm(pub, NULL);
        gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
        char *kid = key_id(pub);
        bool known = false;

        for (size_t i = 0; i < k->n; i++)
                known = known || streq(k->keys[i].kid, kid);
        if (algo == GNUTLS_PK_ECDSA)
                gnutls_pubkey_export_ecc_raw(pub, &curve, NULL, NULL);
        if (known || (algo != GNUTLS_PK_RSA && (algo != GNUTLS_PK_ECDSA || curve != GNUTLS_ECC_CURVE_SECP256R1))) {
                gnutls_pubkey_deinit(pub);
                free(kid);
                return known ? 0 : GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
        }
        array_reserve(k->keys, k->cap, k->n + 1);
        k->keys[k->n++] = (struct key){ .pub = pub, .kid = kid, .ecdsa = algo == GNUTLS_PK_ECDSA };
        return 0;
}

static int add_private(struct jwt_keys *k, const gnutls_datum_t *pem, bool sign)
{
        gnutls_privkey_t private = NULL;
        gnutls_pubkey_t pub = NULL;
        int r = gnutls_privkey_init(&private);

        if (r >= 0)
                r = gnutls_privkey_import_x509_raw(private, pem, GNUTLS_X509_FMT_PEM, NULL, 0);
        if (r >= 0)
                r = gnutls_pubkey_init(&pub);
        if (r >= 0)
                r = gnutls_pubkey_import_privkey(pub, private, 0, 0);
        if (r >= 0)
                r = add_key(k, steal_ptr(pub));
        if (r >= 0 && sign)
                k->sign = steal_ptr(private);
        if (pub)
                gnutls_pubkey_deinit(pub);
        if (private)
                gnutls_privkey_deinit(private);
        return r;
}

static int add_certificate(struct jwt_keys *k, const gnutls_datum_t *pem)
{
        gnutls_x509_crt_t cert;
        gnutls_pubkey_t pub = NULL;
        int r = gnutls_x509_crt_init(&cert);

        if (r < 0)
                return r;
        r = gnutls_x509_crt_import(cert, pem, GNUTLS_X509_FMT_PEM);
        if (r >= 0)
                r = gnutls_pubkey_init(&pub);
        if (r >= 0)
                r = gnutls_pubkey_import_x509(pub, cert, 0);
        if (r >= 0)
                r = add_key(k, steal_ptr(pub));
        if (pub)
                gnutls_pubkey_deinit(pub);
        gnutls_x509_crt_deinit(cert);
        return r;
}

static int add_public(struct jwt_keys *k, const gnutls_datum_t *pem)
{
        gnutls_pubkey_t pub;
        int r = gnutls_pubkey_init(&pub);

        if (r < 0)
                return r;
        r = gnutls_pubkey_import(pub, pem, GNUTLS_X509_FMT_PEM);
        if (r >= 0)
                return add_key(k, pub);
        gnutls_pubkey_deinit(pub);
        return r;
}

/* Each PEM block of a file is a key of its own: several may verify while one is being replaced. */
static int load_file(struct jwt_keys *k, const char *path, bool sign, struct error *reterr)
{
        _cleanup_free_ char *text = NULL;
        unsigned found = 0;
        int r = file_read(path, 1 << 20, &text, NULL, reterr);

        if (r < 0)
                return r;
        for (const char *at = text; (at = strstr(at, "-----BEGIN ")); found++) {
                const char *end = strstr(at, "-----END "), *close = end ? strstr(end + 9, "-----") : NULL;
                size_t len = close ? (size_t)(close + 5 - at) : strlen(at);
                _cleanup_free_ char *block = xstrndup(at, len);
                gnutls_datum_t pem = { (unsigned char *)block, len };

                if (strncmp(at, "-----BEGIN CERT", 15) == 0)
                        r = add_certificate(k, &pem);
                else if (strncmp(at, "-----BEGIN PUBLIC", 17) == 0 || strncmp(at, "-----BEGIN RSA PUB", 18) == 0)
                        r = add_public(k, &pem);
                else
                        r = add_private(k, &pem, sign && !k->sign);
                if (r < 0)
                        return pki_error(reterr, r, path);
                at += len;
        }
        if (!found || (sign && !k->sign))
                return error_set(reterr, -EINVAL, "%s: no %s in it", path, sign ? "private key" : "key");
        return 0;
}

int jwt_keys_load(const char *const *files, const char *sign_file, struct jwt_keys **ret, struct error *reterr)
{
        struct jwt_keys *k = new0(struct jwt_keys);
        int r = sign_file ? load_file(k, sign_file, true, reterr) : 0;

        for (size_t i = 0; r >= 0 && files && files[i]; i++)
                r = load_file(k, files[i], false, reterr);
        if (r < 0) {
                jwt_keys_free(k);
                return r;
        }
        *ret = k;
        return 0;
}

/* --- signing --- */

static void append_json(struct strbuf *out, const struct json *j)
{
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

        json_write(&text, j);
        base64url_encode(out, text.data, text.len);
}

/* A number of GnuTLS (which may have leading zeros, or lack them) as SIZE bytes. */
static void append_fixed(uint8_t *out, size_t size, const gnutls_datum_t *n)
{
        const uint8_t *p = n->data;
        size_t len = n->size;

        for (; len > size; p++, len--)
                ;
        memset(out, 0, size - len);
        memcpy(out + size - len, p, len);
}

static int append_signature(const struct jwt_keys *k, struct strbuf *out)
{
        _cleanup_datum_ gnutls_datum_t sig = { 0 }, r_value = { 0 }, s_value = { 0 };
        gnutls_datum_t data = { (unsigned char *)out->data, out->len };
        uint8_t raw[2 * ES256_BYTES];
        int r = gnutls_privkey_sign_data(k->sign, GNUTLS_DIG_SHA256, 0, &data, &sig);

        if (r < 0)
                return r;
        strbuf_putc(out, '.');
        if (!k->keys[0].ecdsa) {
                base64url_encode(out, sig.data, sig.size);
                return 0;
        }
        r = gnutls_decode_rs_value(&sig, &r_value, &s_value);
        if (r < 0)
                return r;
        append_fixed(raw, ES256_BYTES, &r_value);
        append_fixed(raw + ES256_BYTES, ES256_BYTES, &s_value);
        base64url_encode(out, raw, sizeof(raw));
        return 0;
}

int jwt_sign(const struct jwt_keys *k, struct arena *a, const struct json *claims, char **ret, struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        struct json *header = json_new_object(a);
        int r;

        if (!k->sign)
                return error_set(reterr, -ENOENT, "no key to sign tokens with");
        json_set_string(a, header, "alg", k->keys[0].ecdsa ? "ES256" : "RS256");
        json_set_string(a, header, "kid", k->keys[0].kid);
        append_json(&out, header);
        strbuf_putc(&out, '.');
        append_json(&out, claims);
        r = append_signature(k, &out);
        if (r < 0)
                return pki_error(reterr, r, "sign a token");
        *ret = arena_strndup(a, out.data, out.len);
        return 0;
}

/* --- verifying --- */

struct parts {
        const char *at[3];
        size_t len[3];
};

static bool split(const char *token, struct parts *p)
{
        if (strlen(token) > MAX_TOKEN)
                return false;
        for (unsigned i = 0; i < 3; i++) {
                const char *dot = strchr(token, '.');

                if ((dot != NULL) != (i < 2))
                        return false;
                p->at[i] = token;
                p->len[i] = dot ? (size_t)(dot - token) : strlen(token);
                token = dot ? dot + 1 : token;
        }
        return p->len[0] && p->len[1];
}

static struct json *decode_object(struct arena *a, const char *text, size_t len)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const struct json_limits limits = { .max_depth = 32, .max_nodes = 4096 };
        struct json *j = NULL;

        if (base64_decode(&b, text, len, NULL) < 0 || json_parse(a, strbuf_str(&b), b.len, &limits, &j, NULL) < 0)
                return NULL;
        return json_is_object(j) ? j : NULL;
}

static bool verify_with(const struct key *key, const gnutls_datum_t *data, const struct strbuf *raw)
{
        gnutls_datum_t sig = { (unsigned char *)raw->data, raw->len };

        if (!key->ecdsa)
                return gnutls_pubkey_verify_data2(key->pub, GNUTLS_SIGN_RSA_SHA256, 0, data, &sig) >= 0;
        if (raw->len != 2 * ES256_BYTES)
                return false;
        gnutls_datum_t r_value = { sig.data, ES256_BYTES }, s_value = { sig.data + ES256_BYTES, ES256_BYTES };
        _cleanup_datum_ gnutls_datum_t der = { 0 };

        return gnutls_encode_rs_value(&der, &r_value, &s_value) >= 0 &&
               gnutls_pubkey_verify_data2(key->pub, GNUTLS_SIGN_ECDSA_SHA256, 0, data, &der) >= 0;
}

static bool signature_good(const struct jwt_keys *k, const struct json *header, const struct parts *p)
{
        _cleanup_strbuf_ struct strbuf raw = STRBUF_INIT;
        const char *alg = json_get_string(header, "alg"), *kid = json_get_string(header, "kid");
        gnutls_datum_t data = { (unsigned char *)p->at[0], p->len[0] + 1 + p->len[1] };
        bool ecdsa = streq(alg, "ES256");

        if (json_len(json_get(header, "crit")) || /* what must be understood is not */
            (!ecdsa && !streq(alg, "RS256")) || base64_decode(&raw, p->at[2], p->len[2], NULL) < 0 || !raw.len)
                return false;
        for (size_t i = 0; i < k->n; i++) {
                /* The key's own sort decides, never the header alone; a kid only narrows the search. */
                if (k->keys[i].ecdsa == ecdsa && (str_empty(kid) || streq(kid, k->keys[i].kid)) &&
                    verify_with(&k->keys[i], &data, &raw))
                        return true;
        }
        return false;
}

int jwt_peek(struct arena *a, const char *token, struct json **ret_claims)
{
        struct parts p;
        struct json *claims;

        if (!split(token, &p) || !(claims = decode_object(a, p.at[1], p.len[1])))
                return JWT_NOT_A_TOKEN;
        *ret_claims = claims;
        return JWT_OK;
}

int jwt_verify(const struct jwt_keys *k, struct arena *a, const char *token, struct json **ret_claims,
               struct error *reterr)
{
        struct json *header, *claims;
        struct parts p;

        if (!split(token, &p) || !(header = decode_object(a, p.at[0], p.len[0])) ||
            !(claims = decode_object(a, p.at[1], p.len[1]))) {
                error_set(reterr, JWT_NOT_A_TOKEN, "not a JSON web token");
                return JWT_NOT_A_TOKEN;
        }
        if (!signature_good(k, header, &p)) {
                error_set(reterr, JWT_BAD_SIGNATURE, "the token's signature is not ours");
                return JWT_BAD_SIGNATURE;
        }
        *ret_claims = claims;
        return JWT_OK;
}

/* --- publishing --- */

static void set_number(struct arena *a, struct json *jwk, const char *name, const gnutls_datum_t *n, size_t size)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        uint8_t fixed[ES256_BYTES];
        size_t skip = 0;

        if (size) {
                append_fixed(fixed, size, n);
                base64url_encode(&b, fixed, size);
        } else {
                while (skip < n->size && !n->data[skip])
                        skip++;
                base64url_encode(&b, n->data + skip, n->size - skip);
        }
        json_set_string(a, jwk, name, strbuf_str(&b));
}

static int key_jwk(const struct key *key, struct arena *a, struct json *jwk)
{
        _cleanup_datum_ gnutls_datum_t x = { 0 }, y = { 0 };
        gnutls_ecc_curve_t curve;
        int r;

        json_set_string(a, jwk, "use", "sig");
        json_set_string(a, jwk, "kty", key->ecdsa ? "EC" : "RSA");
        json_set_string(a, jwk, "kid", key->kid);
        if (key->ecdsa) {
                r = gnutls_pubkey_export_ecc_raw(key->pub, &curve, &x, &y);
                json_set_string(a, jwk, "crv", "P-256");
        } else {
                r = gnutls_pubkey_export_rsa_raw(key->pub, &x, &y);
        }
        if (r < 0)
                return r;
        json_set_string(a, jwk, "alg", key->ecdsa ? "ES256" : "RS256");
        set_number(a, jwk, key->ecdsa ? "x" : "n", &x, key->ecdsa ? ES256_BYTES : 0);
        set_number(a, jwk, key->ecdsa ? "y" : "e", &y, key->ecdsa ? ES256_BYTES : 0);
        return 0;
}

int jwt_keys_jwks(const struct jwt_keys *k, struct arena *a, struct json **ret, struct error *reterr)
{
        struct json *set = json_new_object(a), *keys = json_ensure_array(a, set, "keys");

        for (size_t i = 0; i < k->n; i++) {
                struct json *jwk = json_new_object(a);
                int r = key_jwk(&k->keys[i], a, jwk);

                if (r < 0)
                        return pki_error(reterr, r, "publish a key");
                json_append(a, keys, jwk);
        }
        *ret = set;
        return 0;
}
