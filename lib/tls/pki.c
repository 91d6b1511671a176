/* Certificates, by GnuTLS.
 *
 * A cluster's trust is a handful of small CAs and what they issue; all of it is ECDSA P-256, which
 * costs a server a tenth of what RSA does for each handshake. A certificate is built in four steps:
 * subject, names, extensions, signature; pki_issue() lists them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <time.h>

#include "../base/encode.h"
#include "../base/file.h"
#include "pki-internal.h"

#define YEAR_S (INT64_C(365) * 24 * 3600)
#define BACKDATE_S 300 /* clocks of nodes differ: valid since five minutes ago, as upstream signs */

int pki_error(struct error *reterr, int code, const char *what)
{
        return error_set(reterr, code == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL, "%s: %s", what,
                         gnutls_strerror(code));
}

void pki_pair_free(struct pki_pair *p)
{
        if (!p)
                return;
        if (p->cert)
                gnutls_x509_crt_deinit(p->cert);
        if (p->key)
                gnutls_x509_privkey_deinit(p->key);
        free(p);
}

/* --- making --- */

static int set_serial(gnutls_x509_crt_t cert)
{
        uint8_t serial[16];

        random_bytes(serial, sizeof(serial));
        serial[0] &= 0x7f; /* RFC 5280: positive */
        serial[0] |= 0x01; /* and of full length, never zero */
        return gnutls_x509_crt_set_serial(cert, serial, sizeof(serial));
}

static int set_subject(gnutls_x509_crt_t cert, const struct pki_spec *spec)
{
        int r;

        for (size_t i = 0; spec->organizations && spec->organizations[i]; i++) {
                const char *o = spec->organizations[i];

                r = gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, o, strlen(o));
                if (r < 0)
                        return r;
        }
        if (str_empty(spec->common_name))
                return 0;
        return gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, spec->common_name,
                                             strlen(spec->common_name));
}

/* The address as a certificate holds it: 4 or 16 bytes. Returns their number, 0 when it is none. */
static unsigned ip_bytes(const char *text, uint8_t buf[16])
{
        if (inet_pton(AF_INET, text, buf) == 1)
                return 4;
        return inet_pton(AF_INET6, text, buf) == 1 ? 16 : 0;
}

static int set_names(gnutls_x509_crt_t cert, const struct pki_spec *spec)
{
        int r;

        for (size_t i = 0; spec->dns && spec->dns[i]; i++) {
                r = gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_DNSNAME, spec->dns[i],
                                                         strlen(spec->dns[i]), GNUTLS_FSAN_APPEND);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; spec->ips && spec->ips[i]; i++) {
                uint8_t ip[16];
                unsigned n = ip_bytes(spec->ips[i], ip);

                if (!n)
                        return GNUTLS_E_INVALID_REQUEST;
                r = gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_IPADDRESS, ip, n, GNUTLS_FSAN_APPEND);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int set_usages(gnutls_x509_crt_t cert, unsigned usages)
{
        unsigned key_usage = 0;
        int r;

        if (usages & PKI_DIGITAL_SIGNATURE)
                key_usage |= GNUTLS_KEY_DIGITAL_SIGNATURE;
        if (usages & PKI_KEY_ENCIPHERMENT)
                key_usage |= GNUTLS_KEY_KEY_ENCIPHERMENT;
        if (!key_usage)
                key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_KEY_ENCIPHERMENT;
        r = gnutls_x509_crt_set_key_usage(cert, key_usage);
        if (r >= 0 && (usages & PKI_SERVER))
                r = gnutls_x509_crt_set_key_purpose_oid(cert, GNUTLS_KP_TLS_WWW_SERVER, 0);
        if (r >= 0 && (usages & PKI_CLIENT))
                r = gnutls_x509_crt_set_key_purpose_oid(cert, GNUTLS_KP_TLS_WWW_CLIENT, 0);
        return r;
}

static int set_life(gnutls_x509_crt_t cert, int64_t life_s)
{
        time_t now = time(NULL);
        int r = gnutls_x509_crt_set_activation_time(cert, now - BACKDATE_S);

        return r < 0 ? r : gnutls_x509_crt_set_expiration_time(cert, now + life_s);
}

/* Which key made it: lets a verifier find the right CA among several of one name. */
static int set_key_ids(gnutls_x509_crt_t cert, gnutls_x509_crt_t ca)
{
        uint8_t id[64];
        size_t len = sizeof(id);
        int r = gnutls_x509_crt_get_key_id(cert, GNUTLS_KEYID_USE_SHA1, id, &len);

        if (r >= 0)
                r = gnutls_x509_crt_set_subject_key_id(cert, id, len);
        len = sizeof(id);
        if (r >= 0)
                r = gnutls_x509_crt_get_key_id(ca, GNUTLS_KEYID_USE_SHA1, id, &len);
        return r < 0 ? r : gnutls_x509_crt_set_authority_key_id(cert, id, len);
}

static int pair_new_key(struct pki_pair *p)
{
        int r = gnutls_x509_privkey_init(&p->key);

        return r < 0 ? r : gnutls_x509_privkey_generate(p->key, GNUTLS_PK_ECDSA,
                                                        GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
}

/* Reads a certificate just made back from its bytes: GnuTLS compares names and looks for alternative
 * names in what it parsed, and of one it built itself it has parsed nothing. */
static int reread(struct pki_pair *p)
{
        _cleanup_datum_ gnutls_datum_t der = { 0 };
        int r = gnutls_x509_crt_export2(p->cert, GNUTLS_X509_FMT_DER, &der);

        gnutls_x509_crt_deinit(steal_ptr(p->cert));
        if (r < 0 || (r = gnutls_x509_crt_init(&p->cert)) < 0)
                return r;
        return gnutls_x509_crt_import(p->cert, &der, GNUTLS_X509_FMT_DER);
}

static int fill_ca(struct pki_pair *p, const struct pki_spec *spec)
{
        int r = pair_new_key(p);

        if (r < 0 || (r = gnutls_x509_crt_init(&p->cert)) < 0 || (r = gnutls_x509_crt_set_version(p->cert, 3)) < 0 ||
            (r = gnutls_x509_crt_set_key(p->cert, p->key)) < 0 || (r = set_serial(p->cert)) < 0 ||
            (r = set_subject(p->cert, spec)) < 0 || (r = set_life(p->cert, spec->life_s)) < 0 ||
            (r = gnutls_x509_crt_set_basic_constraints(p->cert, 1, -1)) < 0 ||
            (r = gnutls_x509_crt_set_key_usage(p->cert, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN |
                                                                GNUTLS_KEY_DIGITAL_SIGNATURE |
                                                                GNUTLS_KEY_KEY_ENCIPHERMENT)) < 0 ||
            (r = set_key_ids(p->cert, p->cert)) < 0)
                return r;
        r = gnutls_x509_crt_sign2(p->cert, p->cert, p->key, GNUTLS_DIG_SHA256, 0);
        return r < 0 ? r : reread(p);
}

int pki_ca_new(const char *common_name, int64_t life_s, struct pki_pair **ret, struct error *reterr)
{
        _cleanup_pki_pair_ struct pki_pair *p = new0(struct pki_pair);
        struct pki_spec spec = { .common_name = common_name, .life_s = life_s > 0 ? life_s : 10 * YEAR_S };
        int r = fill_ca(p, &spec);

        if (r < 0)
                return pki_error(reterr, r, "make a certificate authority");
        *ret = steal_ptr(p);
        return 0;
}

/* All of a certificate but its subject, names and public key, and the CA's signature over it. */
static int finish_cert(gnutls_x509_crt_t cert, const struct pki_pair *ca, unsigned usages, int64_t life_s)
{
        int r;

        if ((r = gnutls_x509_crt_set_version(cert, 3)) < 0 || (r = set_serial(cert)) < 0 ||
            (r = set_usages(cert, usages)) < 0 || (r = set_life(cert, life_s > 0 ? life_s : YEAR_S)) < 0 ||
            (r = gnutls_x509_crt_set_basic_constraints(cert, 0, -1)) < 0 ||
            (r = set_key_ids(cert, ca->cert)) < 0)
                return r;
        return gnutls_x509_crt_sign2(cert, ca->cert, ca->key, GNUTLS_DIG_SHA256, 0);
}

int pki_issue(const struct pki_pair *ca, const struct pki_spec *spec, struct pki_pair **ret, struct error *reterr)
{
        _cleanup_pki_pair_ struct pki_pair *p = new0(struct pki_pair);
        int r = pair_new_key(p);

        if (r < 0 || (r = gnutls_x509_crt_init(&p->cert)) < 0 || (r = gnutls_x509_crt_set_key(p->cert, p->key)) < 0 ||
            (r = set_subject(p->cert, spec)) < 0 || (r = set_names(p->cert, spec)) < 0 ||
            (r = finish_cert(p->cert, ca, spec->usages, spec->life_s)) < 0 || (r = reread(p)) < 0)
                return pki_error(reterr, r, "issue a certificate");
        *ret = steal_ptr(p);
        return 0;
}

/* --- files --- */

static int export_key(gnutls_x509_privkey_t key, struct strbuf *out, struct error *reterr)
{
        _cleanup_datum_ gnutls_datum_t pem = { 0 };
        int r = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem);

        if (r < 0)
                return pki_error(reterr, r, "write a private key");
        strbuf_append(out, pem.data, pem.size);
        return 0;
}

int pki_cert_pem(const struct pki_pair *p, struct strbuf *out, struct error *reterr)
{
        _cleanup_datum_ gnutls_datum_t pem = { 0 };
        int r = gnutls_x509_crt_export2(p->cert, GNUTLS_X509_FMT_PEM, &pem);

        if (r < 0)
                return pki_error(reterr, r, "write a certificate");
        strbuf_append(out, pem.data, pem.size);
        return 0;
}

int pki_key_pem(const struct pki_pair *p, struct strbuf *out, struct error *reterr)
{
        if (!p->key)
                return error_set(reterr, -ENOENT, "the private key is not at hand");
        return export_key(p->key, out, reterr);
}

int pki_save(const struct pki_pair *p, const char *cert_file, const char *key_file, struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf cert = STRBUF_INIT, key = STRBUF_INIT;
        int r = pki_cert_pem(p, &cert, reterr);

        if (r < 0)
                return r;
        /* The key first: who finds a certificate finds its key as well. */
        if (key_file) {
                r = pki_key_pem(p, &key, reterr);
                if (r < 0 || (r = file_write(key_file, key.data, key.len, 0600, reterr)) < 0)
                        return r;
        }
        return file_write(cert_file, cert.data, cert.len, 0644, reterr);
}

int pki_load_pem(const char *cert, size_t cert_len, const char *key, size_t key_len, struct pki_pair **ret,
                 struct error *reterr)
{
        _cleanup_pki_pair_ struct pki_pair *p = new0(struct pki_pair);
        gnutls_datum_t cd = { (unsigned char *)cert, cert_len }, kd = { (unsigned char *)key, key_len };
        int r = gnutls_x509_crt_init(&p->cert);

        if (r < 0 || (r = gnutls_x509_crt_import(p->cert, &cd, GNUTLS_X509_FMT_PEM)) < 0)
                return pki_error(reterr, r, "read a certificate");
        if (key && ((r = gnutls_x509_privkey_init(&p->key)) < 0 ||
                    (r = gnutls_x509_privkey_import2(p->key, &kd, GNUTLS_X509_FMT_PEM, NULL, 0)) < 0))
                return pki_error(reterr, r, "read a private key");
        *ret = steal_ptr(p);
        return 0;
}

int pki_load(const char *cert_file, const char *key_file, struct pki_pair **ret, struct error *reterr)
{
        _cleanup_free_ char *cert = NULL, *key = NULL;
        size_t cert_len = 0, key_len = 0;
        int r = file_read(cert_file, 1 << 20, &cert, &cert_len, reterr);

        if (r < 0)
                return r;
        if (key_file && (r = file_read(key_file, 1 << 20, &key, &key_len, reterr)) < 0)
                return r;
        r = pki_load_pem(cert, cert_len, key, key_len, ret, reterr);
        if (r < 0)
                error_wrap(reterr, r, "%s", cert_file);
        return r;
}

/* --- asking --- */

int64_t pki_not_after(const struct pki_pair *p)
{
        return gnutls_x509_crt_get_expiration_time(p->cert);
}

int64_t pki_days_left(const struct pki_pair *p)
{
        int64_t left = pki_not_after(p) - time(NULL);

        return left < 0 ? -1 : left / (24 * 3600);
}

double pki_life_left(const struct pki_pair *p)
{
        int64_t from = gnutls_x509_crt_get_activation_time(p->cert), to = pki_not_after(p);

        return to <= from ? 0 : (double)(to - time(NULL)) / (double)(to - from);
}

bool pki_issued_by(const struct pki_pair *p, const struct pki_pair *ca)
{
        unsigned out = 0;

        return gnutls_x509_crt_verify(p->cert, &ca->cert, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &out) >= 0 && out == 0;
}

static size_t count(const char *const *list)
{
        size_t n = 0;

        while (list && list[n])
                n++;
        return n;
}

static bool spec_has_name(const struct pki_spec *spec, int type, const uint8_t *name, size_t len)
{
        for (size_t i = 0; type == GNUTLS_SAN_DNSNAME && spec->dns && spec->dns[i]; i++) {
                if (strlen(spec->dns[i]) == len && memcmp(spec->dns[i], name, len) == 0)
                        return true;
        }
        for (size_t i = 0; type == GNUTLS_SAN_IPADDRESS && spec->ips && spec->ips[i]; i++) {
                uint8_t ip[16];

                if (ip_bytes(spec->ips[i], ip) == len && memcmp(ip, name, len) == 0)
                        return true;
        }
        return false;
}

bool pki_has_names(const struct pki_pair *p, const struct pki_spec *spec)
{
        size_t n = 0;

        for (;; n++) {
                uint8_t name[512];
                size_t len = sizeof(name);
                int type = gnutls_x509_crt_get_subject_alt_name(p->cert, n, name, &len, NULL);

                if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
                        break;
                if (type < 0 || !spec_has_name(spec, type, name, len))
                        return false;
        }
        return n == count(spec->dns) + count(spec->ips);
}

/* --- signing for others: here, because it shares finish_cert() --- */

int pki_request_sign(const struct pki_pair *ca, const char *pem, size_t len, unsigned usages, int64_t life_s,
                     struct strbuf *ret_cert, struct error *reterr)
{
        _cleanup_pki_pair_ struct pki_pair *p = new0(struct pki_pair);
        gnutls_datum_t data = { (unsigned char *)pem, len };
        gnutls_x509_crq_t crq;
        int r = gnutls_x509_crq_init(&crq);

        if (r < 0)
                return pki_error(reterr, r, "read a certificate request");
        /* Subject, key and alternative names are the request's; the other extensions it may carry are not taken. */
        if ((r = gnutls_x509_crq_import(crq, &data, GNUTLS_X509_FMT_PEM)) < 0 ||
            (r = gnutls_x509_crq_verify(crq, 0)) < 0 || (r = gnutls_x509_crt_init(&p->cert)) < 0 ||
            (r = gnutls_x509_crt_set_crq(p->cert, crq)) < 0)
                goto out;
        r = gnutls_x509_crt_set_crq_extension_by_oid(p->cert, crq, GNUTLS_X509EXT_OID_SAN, 0);
        if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
                r = 0;
        if (r >= 0)
                r = finish_cert(p->cert, ca, usages, life_s);
out:
        gnutls_x509_crq_deinit(crq);
        if (r < 0)
                return pki_error(reterr, r, "sign a certificate request");
        return pki_cert_pem(p, ret_cert, reterr);
}
