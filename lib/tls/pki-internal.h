/* What the files of the PKI share. */
#pragma once

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "pki.h"

struct pki_pair {
        gnutls_x509_crt_t cert;
        gnutls_x509_privkey_t key; /* NULL: the certificate alone */
};

/* Turns a GnuTLS code into an errno with "WHAT: text". */
int pki_error(struct error *reterr, int code, const char *what);

/* A part of a distinguished name without the escapes of its written form, in place; its new length. */
size_t pki_unescape(char *s, size_t len);

static inline void pki_datum_free(gnutls_datum_t *d)
{
        gnutls_free(d->data);
        d->data = NULL;
}
#define _cleanup_datum_ _cleanup_(pki_datum_free)
