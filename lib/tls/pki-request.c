/* PKCS#10 requests: made by a node that joins, read by the admission of CertificateSigningRequests. */
#include <arpa/inet.h>
#include <errno.h>

#include "pki-internal.h"

static void list_add(char ***list, const char *data, size_t len)
{
        size_t n = 0;

        while (*list && (*list)[n])
                n++;
        *list = xrealloc(*list, (n + 2) * sizeof(char *));
        (*list)[n] = xstrndup(data, len);
        (*list)[n + 1] = NULL;
}

static void list_free(char **list)
{
        for (size_t i = 0; list && list[i]; i++)
                free(list[i]);
        free(list);
}

void pki_request_deinit(struct pki_request *r)
{
        free(r->common_name);
        list_free(r->organizations);
        list_free(r->dns);
        list_free(r->ips);
        list_free(r->emails);
        list_free(r->uris);
        *r = (struct pki_request){ 0 };
}

size_t pki_unescape(char *s, size_t len)
{
        size_t n = 0;

        for (size_t i = 0; i < len; i++) {
                if (s[i] == '\\' && i + 1 < len)
                        i++;
                s[n++] = s[i];
        }
        return n;
}

static void read_subject(gnutls_x509_crq_t crq, struct pki_request *out)
{
        char buf[1024];
        size_t len;

        /* Of several names the last counts, as Go reads them. */
        for (unsigned i = 0;; i++) {
                len = sizeof(buf);
                if (gnutls_x509_crq_get_dn_by_oid(crq, GNUTLS_OID_X520_COMMON_NAME, i, 0, buf, &len) < 0)
                        break;
                free(out->common_name);
                out->common_name = xstrndup(buf, pki_unescape(buf, len));
        }
        if (!out->common_name)
                out->common_name = xstrdup("");
        for (unsigned i = 0;; i++) {
                len = sizeof(buf);
                if (gnutls_x509_crq_get_dn_by_oid(crq, GNUTLS_OID_X520_ORGANIZATION_NAME, i, 0, buf, &len) < 0)
                        break;
                list_add(&out->organizations, buf, pki_unescape(buf, len));
        }
}

static void read_names(gnutls_x509_crq_t crq, struct pki_request *out)
{
        for (unsigned i = 0;; i++) {
                char buf[1024], text[INET6_ADDRSTRLEN];
                size_t len = sizeof(buf);
                unsigned type = 0;

                if (gnutls_x509_crq_get_subject_alt_name(crq, i, buf, &len, &type, NULL) < 0)
                        break;
                if (type == GNUTLS_SAN_DNSNAME)
                        list_add(&out->dns, buf, len);
                else if (type == GNUTLS_SAN_RFC822NAME)
                        list_add(&out->emails, buf, len);
                else if (type == GNUTLS_SAN_URI)
                        list_add(&out->uris, buf, len);
                else if (type == GNUTLS_SAN_IPADDRESS &&
                         inet_ntop(len == 4 ? AF_INET : AF_INET6, buf, text, sizeof(text)))
                        list_add(&out->ips, text, strlen(text));
        }
}

int pki_request_parse(const char *pem, size_t len, struct pki_request *ret, struct error *reterr)
{
        gnutls_datum_t data = { (unsigned char *)pem, len };
        gnutls_x509_crq_t crq;
        int r = gnutls_x509_crq_init(&crq);

        if (r < 0)
                return pki_error(reterr, r, "certificate request");
        r = gnutls_x509_crq_import(crq, &data, GNUTLS_X509_FMT_PEM);
        if (r >= 0)
                r = gnutls_x509_crq_verify(crq, 0);
        if (r >= 0) {
                *ret = (struct pki_request){ 0 };
                read_subject(crq, ret);
                read_names(crq, ret);
        }
        gnutls_x509_crq_deinit(crq);
        return r < 0 ? pki_error(reterr, r, "certificate request") : 0;
}

static int fill_request(gnutls_x509_crq_t crq, const struct pki_spec *spec)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && spec->organizations && spec->organizations[i]; i++)
                r = gnutls_x509_crq_set_dn_by_oid(crq, GNUTLS_OID_X520_ORGANIZATION_NAME, 0,
                                                  spec->organizations[i], strlen(spec->organizations[i]));
        if (r >= 0)
                r = gnutls_x509_crq_set_dn_by_oid(crq, GNUTLS_OID_X520_COMMON_NAME, 0, spec->common_name,
                                                  strlen(spec->common_name));
        for (size_t i = 0; r >= 0 && spec->dns && spec->dns[i]; i++)
                r = gnutls_x509_crq_set_subject_alt_name(crq, GNUTLS_SAN_DNSNAME, spec->dns[i], strlen(spec->dns[i]),
                                                         GNUTLS_FSAN_APPEND);
        for (size_t i = 0; r >= 0 && spec->ips && spec->ips[i]; i++) {
                unsigned char ip[16];
                bool v4 = inet_pton(AF_INET, spec->ips[i], ip) == 1;

                if (!v4 && inet_pton(AF_INET6, spec->ips[i], ip) != 1)
                        return GNUTLS_E_INVALID_REQUEST;
                r = gnutls_x509_crq_set_subject_alt_name(crq, GNUTLS_SAN_IPADDRESS, ip, v4 ? 4 : 16,
                                                         GNUTLS_FSAN_APPEND);
        }
        return r;
}

int pki_request_new(const struct pki_spec *spec, struct strbuf *ret_request, struct strbuf *ret_key,
                    struct error *reterr)
{
        _cleanup_datum_ gnutls_datum_t pem = { 0 };
        struct pki_pair p = { 0 };
        gnutls_x509_crq_t crq = NULL;
        int r;

        if ((r = gnutls_x509_privkey_init(&p.key)) < 0 || (r = gnutls_x509_crq_init(&crq)) < 0 ||
            (r = gnutls_x509_privkey_generate(p.key, GNUTLS_PK_ECDSA,
                                              GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0)) < 0 ||
            (r = gnutls_x509_crq_set_version(crq, 1)) < 0 || (r = gnutls_x509_crq_set_key(crq, p.key)) < 0 ||
            (r = fill_request(crq, spec)) < 0 ||
            (r = gnutls_x509_crq_sign2(crq, p.key, GNUTLS_DIG_SHA256, 0)) < 0 ||
            (r = gnutls_x509_crq_export2(crq, GNUTLS_X509_FMT_PEM, &pem)) < 0) {
                r = pki_error(reterr, r, "make a certificate request");
        } else {
                strbuf_append(ret_request, pem.data, pem.size);
                r = pki_key_pem(&p, ret_key, reterr);
        }
        if (crq)
                gnutls_x509_crq_deinit(crq);
        if (p.key)
                gnutls_x509_privkey_deinit(p.key);
        return r;
}
