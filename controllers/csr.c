/* CertificateSigningRequests: kubelets' own are approved where their user may have them, approved ones are signed by
 * the cluster's CA when they are what their signer's name stands for, and old ones are removed.
 */
#include "controllers.h"

#include <errno.h>

#include "../lib/base/encode.h"

#define CLIENT "kubernetes.io/kube-apiserver-client"
#define KUBELET_CLIENT "kubernetes.io/kube-apiserver-client-kubelet"
#define KUBELET_SERVING "kubernetes.io/kubelet-serving"
#define LEGACY "kubernetes.io/legacy-unknown"

/* --- what a request asks for --- */

struct request {
        const struct json *csr;
        struct strbuf pem;
        struct pki_request x509;
};

static void request_close(struct request *q)
{
        pki_request_deinit(&q->x509);
        strbuf_deinit(&q->pem);
}

static int request_open(const struct object *csr, struct request *ret, struct error *reterr)
{
        const char *text = json_path_string(csr->json, "spec.request");
        int r;

        *ret = (struct request){ .csr = csr->json, .pem = STRBUF_INIT };
        if (!text || base64_decode(&ret->pem, text, strlen(text), NULL) < 0)
                r = error_set(reterr, -EINVAL, "the request is no base64");
        else
                r = pki_request_parse(strbuf_str(&ret->pem), ret->pem.len, &ret->x509, reterr);
        if (r < 0)
                strbuf_deinit(&ret->pem);
        return r;
}

static bool has_usage(const struct json *csr, const char *usage)
{
        json_foreach_item(json_path(csr, "spec.usages"), u) {
                if (streq(json_string(u), usage))
                        return true;
        }
        return false;
}

/* MUST, perhaps "digital signature" and "key encipherment", and nothing else. STRICT: digital signature is a must. */
static bool usages_are(const struct json *csr, const char *must, bool strict)
{
        size_t n = has_usage(csr, must) + has_usage(csr, "digital signature") + has_usage(csr, "key encipherment");

        return has_usage(csr, must) && (!strict || has_usage(csr, "digital signature")) &&
               n == json_len(json_path(csr, "spec.usages"));
}

static const char *print_usages(struct arena *a, const struct json *csr)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        json_foreach_item(json_path(csr, "spec.usages"), u)
                strbuf_printf(&b, "%s%s", u_i ? " " : "", json_string(u));
        return arena_strdup(a, strbuf_str(&b));
}

static bool is_of_nodes(const struct request *q)
{
        char **orgs = q->x509.organizations;

        return orgs && orgs[0] && !orgs[1] && streq(orgs[0], "system:nodes");
}

static bool any(char **list)
{
        return list && list[0];
}

/* NULL: it is what the signer's name stands for. Else why not, in upstream's words. */
static const char *judge(struct arena *a, const struct request *q, const char *signer)
{
        bool client = streq(signer, KUBELET_CLIENT);

        if (streq(signer, LEGACY))
                return NULL;
        if (streq(signer, CLIENT))
                return usages_are(q->csr, "client auth", false) ?
                               NULL : arena_printf(a, "usages did not match [%s]", print_usages(a, q->csr));
        if (!is_of_nodes(q))
                return "subject organization is not system:nodes";
        if (client && any(q->x509.dns))
                return "DNS subjectAltNames are not allowed";
        if (!client && !any(q->x509.dns) && !any(q->x509.ips))
                return "at least one DNS or IP subjectAltName is required";
        if (any(q->x509.emails))
                return "Email subjectAltNames are not allowed";
        if (client && any(q->x509.ips))
                return "IP subjectAltNames are not allowed";
        if (any(q->x509.uris))
                return "URI subjectAltNames are not allowed";
        if (!str_has_prefix(q->x509.common_name, "system:node:"))
                return "subject common name does not begin with system:node: ";
        if (!usages_are(q->csr, client ? "client auth" : "server auth", true))
                return arena_printf(a, "usages did not match [%s]", print_usages(a, q->csr));
        return NULL;
}

/* --- conditions --- */

static bool has_condition(const struct object *csr, const char *type)
{
        return condition_find(json_path(csr->json, "status.conditions"), type) != NULL;
}

static void add_condition(struct arena *a, struct json *csr, const char *type, const char *reason, const char *message,
                          int64_t now)
{
        struct json *conditions = json_ensure_array(a, json_ensure_object(a, csr, "status"), "conditions"), *c;
        char buf[TIME_BUF];

        condition_set(a, conditions, type, "True", reason, message, now);
        c = condition_find(conditions, type);
        json_set_string(a, c, "lastUpdateTime", time_format(now, buf));
}

/* --- approving --- */

/* Stops the round unless the one who made the request may CREATE this subresource. */
static void expect_allowed(struct writes *w, const struct json *csr, const char *subresource)
{
        struct arena *a = w->arena;
        struct json *review = json_new_object(a), *spec, *attributes;
        static const char *const copied[][2] = { { "username", "user" }, { "uid", "uid" }, { "groups", "groups" }, { "extra", "extra" } };

        json_set_string(a, review, "apiVersion", "authorization.k8s.io/v1");
        json_set_string(a, review, "kind", "SubjectAccessReview");
        spec = json_ensure_object(a, review, "spec");
        for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
                if (json_get(json_get(csr, "spec"), copied[i][0]))
                        json_set(a, spec, copied[i][1], json_clone(a, json_get(json_get(csr, "spec"), copied[i][0])));
        attributes = json_ensure_object(a, spec, "resourceAttributes");
        json_set_string(a, attributes, "group", "certificates.k8s.io");
        json_set_string(a, attributes, "resource", "certificatesigningrequests");
        json_set_string(a, attributes, "verb", "create");
        json_set_string(a, attributes, "subresource", subresource);
        json_set_string(a, attributes, "version", "*");
        writes_add(w, WRITE_EXPECT_ALLOWED, R_CSRS, NULL, NULL, review);
}

static void reconcile_approval(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *csr = snapshot_key(s, R_CSRS, key);
        struct json *copy;
        struct request q;
        bool self;

        if (!csr || has_condition(csr, "Approved") || has_condition(csr, "Denied") ||
            !streq(json_path_string(csr->json, "spec.signerName"), KUBELET_CLIENT) || request_open(csr, &q, NULL) < 0)
                return;
        if (!judge(w->arena, &q, KUBELET_CLIENT)) {
                self = streq(json_path_string(csr->json, "spec.username"), q.x509.common_name);
                expect_allowed(w, csr->json, self ? "selfnodeclient" : "nodeclient");
                copy = object_editable(w->arena, csr->json);
                add_condition(w->arena, copy, "Approved", "AutoApproved",
                              self ? "Auto approving self kubelet client certificate after SubjectAccessReview." :
                                     "Auto approving kubelet client certificate after SubjectAccessReview.",
                              s->now);
                writes_update(w, R_CSRS, "approval", copy);
        }
        request_close(&q);
}

/* --- signing --- */

static unsigned usage_bits(const struct json *csr)
{
        static const struct {
                const char *name;
                unsigned bit;
        } table[] = { { "server auth", PKI_SERVER }, { "client auth", PKI_CLIENT },
                      { "digital signature", PKI_DIGITAL_SIGNATURE }, { "key encipherment", PKI_KEY_ENCIPHERMENT } };
        unsigned bits = 0;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (has_usage(csr, table[i].name))
                        bits |= table[i].bit;
        return bits;
}

static bool is_ours(const char *signer)
{
        return streq(signer, CLIENT) || streq(signer, KUBELET_CLIENT) || streq(signer, KUBELET_SERVING) || streq(signer, LEGACY);
}

static void sign(const struct snapshot *s, const struct object *csr, const struct request *q, struct writes *w)
{
        const struct settings *set = settings_of(s);
        int64_t longest = MAX(set->signing_duration_ns / NS_PER_SEC, INT64_C(1));
        int64_t life = json_path_int(csr->json, "spec.expirationSeconds", longest);
        struct json *copy = object_editable(w->arena, csr->json);
        const char *problem = judge(w->arena, q, json_path_string(csr->json, "spec.signerName"));
        _cleanup_error_ struct error err = ERROR_INIT;
        _cleanup_strbuf_ struct strbuf pem = STRBUF_INIT;

        if (problem) {
                add_condition(w->arena, copy, "Failed", "SignerValidationFailure", problem, s->now);
        } else if (pki_request_sign(set->signer, strbuf_str(&q->pem), q->pem.len, usage_bits(csr->json), MIN(life, longest), &pem,
                                    &err) < 0) {
                w->failed = true; /* it may work later */
                return;
        } else {
                _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

                base64_encode(&text, strbuf_str(&pem), pem.len);
                json_set_string(w->arena, json_ensure_object(w->arena, copy, "status"), "certificate", strbuf_str(&text));
        }
        writes_update(w, R_CSRS, "status", copy);
}

static void reconcile_signing(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *csr = snapshot_key(s, R_CSRS, key);
        struct request q;

        if (!csr || !settings_of(s)->signer || !has_condition(csr, "Approved") || has_condition(csr, "Denied") ||
            has_condition(csr, "Failed") || !str_empty(json_path_string(csr->json, "status.certificate")) ||
            !is_ours(json_path_string(csr->json, "spec.signerName")) || request_open(csr, &q, NULL) < 0)
                return;
        sign(s, csr, &q, w);
        request_close(&q);
}

/* --- removing --- */

static void reconcile_age(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *csr = snapshot_key(s, R_CSRS, key);
        int64_t since, life = 24 * 3600 * NS_PER_SEC; /* undecided */

        if (!csr)
                return;
        since = object_time(csr->json, "metadata.creationTimestamp");
        json_foreach_item(json_path(csr->json, "status.conditions"), c) {
                int64_t at = object_time(c, "lastUpdateTime");

                since = MAX(since, at);
                life = 3600 * NS_PER_SEC;
        }
        if (since + life <= s->now)
                writes_delete(w, R_CSRS, csr, -1, NULL);
        else
                writes_requeue(w, since + life - s->now);
}

const struct controller csr_approver = {
        .name = "certificatesigningrequest-approving-controller",
        .watches = { { .resource = R_CSRS } },
        .n_watches = 1,
        .reconcile = reconcile_approval,
};

const struct controller csr_signer = {
        .name = "certificatesigningrequest-signing-controller",
        .watches = { { .resource = R_CSRS } },
        .n_watches = 1,
        .reconcile = reconcile_signing,
};

const struct controller csr_cleaner = {
        .name = "certificatesigningrequest-cleaner-controller",
        .watches = { { .resource = R_CSRS } },
        .n_watches = 1,
        .reconcile = reconcile_age,
};
