/* Whether a certificate that a peer showed comes from one of some CAs. */
#include <errno.h>

#include "../base/file.h"
#include "pki-internal.h"

struct pki_trust {
        gnutls_x509_trust_list_t list;
};

int pki_trust_load(const char *ca_file, struct pki_trust **ret, struct error *reterr)
{
        struct pki_trust *t = new0(struct pki_trust);
        int r = gnutls_x509_trust_list_init(&t->list, 0);

        if (r >= 0)
                r = gnutls_x509_trust_list_add_trust_file(t->list, ca_file, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
        if (r <= 0) {
                pki_trust_free(t);
                return r < 0 ? pki_error(reterr, r, ca_file)
                             : error_set(reterr, -EINVAL, "%s: no certificate in it", ca_file);
        }
        *ret = t;
        return 0;
}

void pki_trust_free(struct pki_trust *t)
{
        if (!t)
                return;
        if (t->list)
                gnutls_x509_trust_list_deinit(t->list, 1);
        free(t);
}

bool pki_trust_verify(const struct pki_trust *t, const void *der, size_t len, char **ret_name)
{
        gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
                                          .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT };
        gnutls_datum_t data = { (unsigned char *)der, len };
        gnutls_x509_crt_t cert;
        unsigned status = 1;
        char name[1024];
        size_t name_len = sizeof(name);
        int r = gnutls_x509_crt_init(&cert);

        if (r < 0)
                return false;
        r = gnutls_x509_crt_import(cert, &data, GNUTLS_X509_FMT_DER);
        if (r >= 0)
                r = gnutls_x509_trust_list_verify_crt2(t->list, &cert, 1, &purpose, 1, 0, &status, NULL);
        if (r >= 0 && status == 0) {
                if (gnutls_x509_crt_get_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &name_len) < 0)
                        name_len = 0;
                *ret_name = xstrndup(name, name_len);
        }
        gnutls_x509_crt_deinit(cert);
        return r >= 0 && status == 0;
}
