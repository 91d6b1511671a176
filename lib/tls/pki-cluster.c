/* All certificates that a cluster needs, as one table.
 *
 * Each row says which CA issues it and what it says; pki_cluster_init() walks the table and makes or
 * renews what is not as it should be, so that starting a cluster, starting it again and renewing
 * before the end are one thing. The CAs are made first and live ten years; all else lives one.
 */
#include <errno.h>

#include "../base/encode.h"
#include "../base/file.h"
#include "pki-internal.h"

enum ca { CA_CLUSTER, CA_FRONT_PROXY, CA_ETCD, N_CAS };

static const struct {
        const char *file, *common_name;
} authorities[N_CAS] = {
        [CA_CLUSTER] = { "ca", "kubernetes" },
        [CA_FRONT_PROXY] = { "front-proxy-ca", "front-proxy-ca" },
        [CA_ETCD] = { "etcd-ca", "etcd-ca" },
};

enum names { NAMES_NONE, NAMES_APISERVER, NAMES_LOCAL, NAMES_NODE };

static const struct leaf {
        const char *file;
        enum ca ca;
        const char *common_name;  /* "%" stands for "system:node:" and the node's name */
        const char *organization; /* NULL: none */
        unsigned usages;
        enum names names;
        bool kubeconfig; /* embedded in FILE.kubeconfig rather than written as files */
        bool of_node;    /* left out when no node is named */
} leaves[] = {
        { "apiserver", CA_CLUSTER, "kube-apiserver", NULL, PKI_SERVER, NAMES_APISERVER, false, false },
        { "apiserver-kubelet", CA_CLUSTER, "kube-apiserver-kubelet-client", "system:masters", PKI_CLIENT, NAMES_NONE,
          false, false },
        { "front-proxy-client", CA_FRONT_PROXY, "front-proxy-client", NULL, PKI_CLIENT, NAMES_NONE, false, false },
        { "etcd-server", CA_ETCD, "etcd-server", NULL, PKI_SERVER | PKI_CLIENT, NAMES_LOCAL, false, false },
        { "etcd-peer", CA_ETCD, "etcd-peer", NULL, PKI_SERVER | PKI_CLIENT, NAMES_LOCAL, false, false },
        { "etcd-client", CA_ETCD, "etcd-client", NULL, PKI_CLIENT, NAMES_NONE, false, false },
        { "apiserver-etcd", CA_ETCD, "kube-apiserver-etcd-client", NULL, PKI_CLIENT, NAMES_NONE, false, false },
        { "kubelet", CA_CLUSTER, "%", "system:nodes", PKI_SERVER, NAMES_NODE, false, true },
        { "admin", CA_CLUSTER, "kubernetes-admin", "system:masters", PKI_CLIENT, NAMES_NONE, true, false },
        /* One identity for all controllers: together their roles allow everything, and a ClusterRoleBinding of
         * ours would be one more than clients expect to find. */
        { "controllers", CA_CLUSTER, "system:kube-controller-manager", "system:masters", PKI_CLIENT, NAMES_NONE, true, false },
        { "scheduler", CA_CLUSTER, "system:kube-scheduler", NULL, PKI_CLIENT, NAMES_NONE, true, false },
        { "proxy", CA_CLUSTER, "system:kube-proxy", NULL, PKI_CLIENT, NAMES_NONE, true, false },
        { "kubelet", CA_CLUSTER, "%", "system:nodes", PKI_CLIENT, NAMES_NONE, true, true },
};

#define MAX_NAMES 64

struct work {
        const char *dir;
        const struct pki_cluster_options *o;
        double renew_below;
        struct pki_pair *ca[N_CAS];
        struct strbuf ca_pem; /* the cluster's, for the kubeconfigs */
        unsigned changed;
        struct error *reterr;
};

static char *path_of(const struct work *w, const char *file, const char *suffix)
{
        return xasprintf("%s/%s%s", w->dir, file, suffix);
}

/* --- authorities --- */

static int make_authority(struct work *w, enum ca i)
{
        _cleanup_free_ char *cert = path_of(w, authorities[i].file, ".crt");
        _cleanup_free_ char *key = path_of(w, authorities[i].file, ".key");
        int r;

        /* A CA is never renewed by itself: that would cut off whoever trusts the old one. One whose
         * key lies elsewhere (issued by hand) cannot be used here, which pki_load says. */
        if (file_exists(cert) && file_exists(key))
                return pki_load(cert, key, &w->ca[i], w->reterr);
        r = pki_ca_new(authorities[i].common_name, 0, &w->ca[i], w->reterr);
        if (r < 0)
                return r;
        w->changed++;
        return pki_save(w->ca[i], cert, key, w->reterr);
}

/* --- the names each must have --- */

struct name_lists {
        const char *dns[MAX_NAMES], *ips[MAX_NAMES];
        size_t n_dns, n_ips;
};

static void add_name(const char **list, size_t *n, const char *name)
{
        for (size_t i = 0; i < *n; i++) {
                if (streq(list[i], name))
                        return;
        }
        if (!str_empty(name) && *n < MAX_NAMES - 1)
                list[(*n)++] = name;
}

static void add_names(const char **list, size_t *n, const char *const *more)
{
        for (size_t i = 0; more && more[i]; i++)
                add_name(list, n, more[i]);
}

static void collect_names(const struct work *w, enum names names, struct name_lists *l)
{
        static const char *const service[] = { "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                                               "kubernetes.default.svc.cluster.local", NULL };

        if (names == NAMES_NONE)
                return;
        if (names == NAMES_APISERVER) {
                add_names(l->dns, &l->n_dns, service);
                add_names(l->dns, &l->n_dns, w->o->dns);
                add_name(l->ips, &l->n_ips, w->o->service_ip);
        }
        add_name(l->dns, &l->n_dns, "localhost");
        add_name(l->dns, &l->n_dns, w->o->node_name);
        add_name(l->ips, &l->n_ips, "127.0.0.1");
        add_name(l->ips, &l->n_ips, "::1");
        add_names(l->ips, &l->n_ips, w->o->ips);
}

/* --- leaves --- */

static bool still_good(const struct work *w, const struct leaf *leaf, const struct pki_spec *spec,
                       const struct pki_pair *p)
{
        return pki_life_left(p) >= w->renew_below && pki_issued_by(p, w->ca[leaf->ca]) && pki_has_names(p, spec);
}

static int make_files(struct work *w, const struct leaf *leaf, const struct pki_spec *spec)
{
        _cleanup_free_ char *cert = path_of(w, leaf->file, ".crt"), *key = path_of(w, leaf->file, ".key");
        _cleanup_pki_pair_ struct pki_pair *p = NULL;
        int r;

        /* Whatever cannot be read is made anew. */
        if (pki_load(cert, key, &p, NULL) >= 0 && still_good(w, leaf, spec, p))
                return 0;
        pki_pair_free(steal_ptr(p));
        r = pki_issue(w->ca[leaf->ca], spec, &p, w->reterr);
        if (r < 0)
                return r;
        w->changed++;
        return pki_save(p, cert, key, w->reterr);
}

/* The base64 text behind "KEY: " in a kubeconfig of ours, decoded. */
static bool embedded(const char *text, const char *key, struct strbuf *out)
{
        const char *at = strstr(text, key);

        if (!at)
                return false;
        at += strlen(key);
        return base64_decode(out, at, strcspn(at, "\r\n"), NULL) >= 0 && out->len > 0;
}

/* An existing kubeconfig is kept while its server, CA and certificate still serve. */
static bool kubeconfig_good(const struct work *w, const struct leaf *leaf, const struct pki_spec *spec,
                            const char *path)
{
        _cleanup_strbuf_ struct strbuf cert = STRBUF_INIT, ca = STRBUF_INIT;
        _cleanup_pki_pair_ struct pki_pair *p = NULL;
        _cleanup_free_ char *text = NULL, *server = NULL;

        if (file_read(path, 1 << 20, &text, NULL, NULL) < 0)
                return false;
        server = xasprintf("server: %s\n", w->o->server);
        return strstr(text, server) && embedded(text, "certificate-authority-data: ", &ca) &&
               ca.len == w->ca_pem.len && memcmp(ca.data, w->ca_pem.data, ca.len) == 0 &&
               embedded(text, "client-certificate-data: ", &cert) &&
               pki_load_pem(cert.data, cert.len, NULL, 0, &p, NULL) >= 0 && still_good(w, leaf, spec, p);
}

static int make_kubeconfig(struct work *w, const struct leaf *leaf, const struct pki_spec *spec)
{
        const char *dir = w->o->kubeconfig_dir ? w->o->kubeconfig_dir : w->dir;
        _cleanup_free_ char *path = xasprintf("%s/%s.kubeconfig", dir, leaf->file);
        _cleanup_strbuf_ struct strbuf cert = STRBUF_INIT, key = STRBUF_INIT;
        _cleanup_pki_pair_ struct pki_pair *p = NULL;
        int r;

        if (kubeconfig_good(w, leaf, spec, path))
                return 0;
        if ((r = pki_issue(w->ca[leaf->ca], spec, &p, w->reterr)) < 0 || (r = pki_cert_pem(p, &cert, w->reterr)) < 0 ||
            (r = pki_key_pem(p, &key, w->reterr)) < 0)
                return r;
        w->changed++;
        return kubeconfig_write(path,
                                &(struct kubeconfig_spec){ .server = w->o->server,
                                                           .user = leaf->file,
                                                           .ca_pem = w->ca_pem.data,
                                                           .cert_pem = cert.data,
                                                           .key_pem = key.data },
                                w->reterr);
}

static int make_leaf(struct work *w, const struct leaf *leaf)
{
        _cleanup_free_ char *node = xasprintf("system:node:%s", w->o->node_name ? w->o->node_name : "");
        const char *organizations[] = { leaf->organization, NULL };
        struct name_lists names = { 0 };
        struct pki_spec spec = {
                .common_name = streq(leaf->common_name, "%") ? node : leaf->common_name,
                .organizations = organizations,
                .dns = names.dns,
                .ips = names.ips,
                .usages = leaf->usages,
        };

        if (leaf->of_node && !w->o->node_name)
                return 0;
        collect_names(w, leaf->names, &names);
        return leaf->kubeconfig ? make_kubeconfig(w, leaf, &spec) : make_files(w, leaf, &spec);
}

/* The pair that signs service-account tokens. It stays: with a new one all tokens would end. RSA, where
 * all else is ECDSA: RS256 is what token verifiers of every age and language read. */
static int make_token_keys(struct work *w)
{
        _cleanup_free_ char *pub = path_of(w, "sa", ".pub"), *key = path_of(w, "sa", ".key");
        _cleanup_strbuf_ struct strbuf pem = STRBUF_INIT;
        _cleanup_datum_ gnutls_datum_t out = { 0 };
        gnutls_privkey_t abstract = NULL;
        gnutls_pubkey_t public = NULL;
        gnutls_x509_privkey_t k = NULL;
        int r;

        if (file_exists(pub) && file_exists(key))
                return 0;
        if ((r = gnutls_x509_privkey_init(&k)) < 0 || (r = gnutls_privkey_init(&abstract)) < 0 ||
            (r = gnutls_pubkey_init(&public)) < 0 ||
            (r = gnutls_x509_privkey_generate(k, GNUTLS_PK_RSA, 2048, 0)) < 0 ||
            (r = gnutls_privkey_import_x509(abstract, k, 0)) < 0 ||
            (r = gnutls_pubkey_import_privkey(public, abstract, 0, 0)) < 0 ||
            (r = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_PEM, &out)) < 0) {
                r = pki_error(w->reterr, r, "make service-account keys");
        } else {
                r = pki_key_pem(&(struct pki_pair){ .key = k }, &pem, w->reterr);
                if (r >= 0)
                        r = file_write(key, pem.data, pem.len, 0600, w->reterr);
                if (r >= 0)
                        r = file_write(pub, out.data, out.size, 0644, w->reterr);
                w->changed++;
        }
        if (abstract)
                gnutls_privkey_deinit(abstract);
        if (public)
                gnutls_pubkey_deinit(public);
        if (k)
                gnutls_x509_privkey_deinit(k);
        return r;
}

static int make_all(struct work *w)
{
        int r;

        for (enum ca i = 0; i < N_CAS; i++) {
                if ((r = make_authority(w, i)) < 0)
                        return r;
        }
        if ((r = pki_cert_pem(w->ca[CA_CLUSTER], &w->ca_pem, w->reterr)) < 0 || (r = make_token_keys(w)) < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
                if ((r = make_leaf(w, &leaves[i])) < 0) {
                        error_wrap(w->reterr, r, "%s", leaves[i].file);
                        return r;
                }
        }
        return 0;
}

int pki_cluster_init(const char *dir, const struct pki_cluster_options *o, unsigned *ret_changed,
                     struct error *reterr)
{
        struct work w = {
                .dir = dir,
                .o = o,
                .renew_below = o->renew_below > 0 ? o->renew_below : 0.3,
                .reterr = reterr,
        };
        int r = dir_make(dir, 0755, reterr);

        if (r >= 0 && o->kubeconfig_dir)
                r = dir_make(o->kubeconfig_dir, 0755, reterr);
        if (r >= 0)
                r = make_all(&w);
        for (enum ca i = 0; i < N_CAS; i++)
                pki_pair_free(w.ca[i]);
        strbuf_deinit(&w.ca_pem);
        if (r >= 0 && ret_changed)
                *ret_changed = w.changed;
        return r < 0 ? r : 0;
}

/* --- kubeconfig --- */

static void put_base64(struct strbuf *b, const char *key, const char *pem)
{
        if (!pem)
                return;
        strbuf_puts(b, key);
        base64_encode(b, pem, strlen(pem));
        strbuf_putc(b, '\n');
}

int kubeconfig_write(const char *path, const struct kubeconfig_spec *spec, struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *cluster = spec->cluster ? spec->cluster : "colibri";

        strbuf_printf(&b, "apiVersion: v1\nkind: Config\nclusters:\n- name: %s\n  cluster:\n    server: %s\n", cluster,
                      spec->server);
        put_base64(&b, "    certificate-authority-data: ", spec->ca_pem);
        strbuf_printf(&b, "users:\n- name: %s\n  user:\n", spec->user);
        put_base64(&b, "    client-certificate-data: ", spec->cert_pem);
        put_base64(&b, "    client-key-data: ", spec->key_pem);
        if (spec->token)
                strbuf_printf(&b, "    token: %s\n", spec->token);
        if (!spec->cert_pem && !spec->token)
                strbuf_puts(&b, "    {}\n");
        strbuf_printf(&b, "contexts:\n- name: %s\n  context:\n    cluster: %s\n    user: %s\ncurrent-context: %s\n",
                      cluster, cluster, spec->user, cluster);
        return file_write(path, b.data, b.len, 0600, reterr);
}
