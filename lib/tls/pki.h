/* Certificates and keys: a certificate authority, what it issues, and all that a cluster needs.
 *
 * Keys are ECDSA P-256 (the pair for service-account tokens RSA 2048). Certificates are PEM files of mode 0644, keys PKCS#8 PEM of mode 0600; both
 * are written beside and renamed over, so that a reader sees the old or the new one.
 */
#pragma once

#include "../base/error.h"
#include "../base/strbuf.h"

/* A certificate with its private key (the key may be absent). */
struct pki_pair;
void pki_pair_free(struct pki_pair *p); /* NULL allowed */
static inline void pki_pair_free_p(struct pki_pair **p)
{
        pki_pair_free(*p);
}
#define _cleanup_pki_pair_ _cleanup_(pki_pair_free_p)

enum pki_usage {
        PKI_SERVER = 1,            /* extended: server auth */
        PKI_CLIENT = 2,            /* extended: client auth */
        PKI_DIGITAL_SIGNATURE = 4, /* key usages; 0 of these: digital signature and key encipherment */
        PKI_KEY_ENCIPHERMENT = 8,
};

/* What a certificate says. Strings are borrowed. */
struct pki_spec {
        const char *common_name;
        const char *const *organizations; /* NULL-terminated; may be NULL */
        const char *const *dns;           /* subject alternative names; may be NULL */
        const char *const *ips;           /* as text, IPv4 or IPv6; may be NULL */
        unsigned usages;                  /* enum pki_usage bits */
        int64_t life_s;                   /* seconds; 0: a year */
};

/* --- making --- */
int pki_ca_new(const char *common_name, int64_t life_s, struct pki_pair **ret, struct error *reterr); /* 0: ten years */
int pki_issue(const struct pki_pair *ca, const struct pki_spec *spec, struct pki_pair **ret, struct error *reterr);
/* A PKCS#10 request and the key that goes with it, both PEM. Usages and life are not part of it. */
int pki_request_new(const struct pki_spec *spec, struct strbuf *ret_request, struct strbuf *ret_key, struct error *reterr);

/* --- files --- */
/* KEY_FILE NULL: the certificate alone. -ENOENT when either is missing. Of a chain, the first. */
int pki_load(const char *cert_file, const char *key_file, struct pki_pair **ret, struct error *reterr);
int pki_load_pem(const char *cert, size_t cert_len, const char *key, size_t key_len, struct pki_pair **ret,
                 struct error *reterr);
int pki_save(const struct pki_pair *p, const char *cert_file, const char *key_file, struct error *reterr);
int pki_cert_pem(const struct pki_pair *p, struct strbuf *out, struct error *reterr);
int pki_key_pem(const struct pki_pair *p, struct strbuf *out, struct error *reterr);

/* --- asking --- */
int64_t pki_days_left(const struct pki_pair *p);       /* negative: expired */
int64_t pki_not_after(const struct pki_pair *p);       /* seconds since 1970 */
double pki_life_left(const struct pki_pair *p);        /* 1: new, 0 or less: expired */
bool pki_issued_by(const struct pki_pair *p, const struct pki_pair *ca); /* the signature is the CA's */
/* The names it carries are exactly these SANs (any order). */
bool pki_has_names(const struct pki_pair *p, const struct pki_spec *spec);

/* --- trust: the CAs of a file --- */
struct pki_trust;
int pki_trust_load(const char *ca_file, struct pki_trust **ret, struct error *reterr);
void pki_trust_free(struct pki_trust *t); /* NULL allowed */
/* DER: a leaf certificate. True: one of the CAs signed it, it is valid now and may be a client's. *ret_name:
 * its common name, the caller frees. */
bool pki_trust_verify(const struct pki_trust *t, const void *der, size_t len, char **ret_name);

/* --- requests of others (certificates.k8s.io) --- */
/* What a PKCS#10 request asks for; owned. */
struct pki_request {
        char *common_name;    /* "" when absent */
        char **organizations; /* NULL-terminated, sorted as given */
        char **dns, **ips, **emails, **uris;
};
/* -EINVAL with the reason; the request's own signature is checked. PEM text, "CERTIFICATE REQUEST". */
int pki_request_parse(const char *pem, size_t len, struct pki_request *ret, struct error *reterr);
void pki_request_deinit(struct pki_request *r);
/* Issues for the request: subject and SANs from it, usages and life from here (PKI_* bits; life_s <= 0: a year). */
int pki_request_sign(const struct pki_pair *ca, const char *pem, size_t len, unsigned usages, int64_t life_s,
                     struct strbuf *ret_cert, struct error *reterr);

/* --- kubeconfig --- */
struct kubeconfig_spec {
        const char *server;      /* "https://127.0.0.1:6443" */
        const char *cluster;     /* name of the cluster; NULL: "colibri" */
        const char *user;        /* name of the user entry: "admin" */
        const char *ca_pem;      /* embedded; may be NULL */
        const char *cert_pem, *key_pem; /* embedded; may be NULL */
        const char *token;       /* may be NULL */
};
/* Mode 0600. */
int kubeconfig_write(const char *path, const struct kubeconfig_spec *spec, struct error *reterr);

/* --- a cluster --- */
struct pki_cluster_options {
        const char *server;       /* what the kubeconfigs point at: "https://127.0.0.1:6443" */
        const char *node_name;    /* NULL: no kubelet files */
        const char *const *ips;   /* more addresses of the API server and the kubelet; may be NULL */
        const char *const *dns;   /* more names of the API server; may be NULL */
        const char *service_ip;   /* first address of the service range: "10.96.0.1"; may be NULL */
        const char *kubeconfig_dir; /* NULL: DIR */
        double renew_below;       /* share of its life; 0: 0.3 */
};
/* Makes what is missing in DIR, and renews what is near its end, was issued by another CA or lacks a name:
 *
 *   ca.crt ca.key                     the cluster's
 *   front-proxy-ca.*  front-proxy-client.*
 *   etcd-ca.*  etcd-server.*  etcd-peer.*  apiserver-etcd.* (client)  etcd-client.* (for tools)
 *   apiserver.*  apiserver-kubelet.* (client)
 *   sa.pub sa.key                     service-account tokens (never renewed)
 *   kubelet.* (serving)
 *   admin.kubeconfig controllers.kubeconfig scheduler.kubeconfig proxy.kubeconfig kubelet.kubeconfig
 *
 * *ret_changed (may be NULL): how many files were written. Calling it again writes none. */
int pki_cluster_init(const char *dir, const struct pki_cluster_options *o, unsigned *ret_changed, struct error *reterr);
