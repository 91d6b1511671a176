/* TaintNodesByCondition, and who may approve and sign certificate requests. */
#include "../../lib/tls/pki.h"
#include "../../lib/base/encode.h"
#include "internal.h"

static const struct status *taint(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        struct json *taints, *t;

        if (!about(at, "", "nodes") || *at->subresource)
                return NULL;
        taints = json_ensure_array(a, json_ensure_object(a, at->object, "spec"), "taints");
        json_foreach_item(taints, have) {
                if (streq(json_get_string(have, "key"), "node.kubernetes.io/not-ready") &&
                    streq(json_get_string(have, "effect"), "NoSchedule"))
                        return NULL;
        }
        t = json_new_object(a);
        json_set_string(a, t, "key", "node.kubernetes.io/not-ready");
        json_set_string(a, t, "effect", "NoSchedule");
        json_append(a, taints, t);
        return NULL;
}
const struct admission_plugin plugin_taint_nodes = { .name = "TaintNodesByCondition", .ops = ADMISSION_CREATE, .mutate = taint };

static bool may_signer(struct admission_attributes *at, const char *verb, const char *signer)
{
        struct api_request *r = at->request;
        const char *slash = strchr(signer, '/');

        return auth_user_may(r, &r->user, verb, "certificates.k8s.io", "signers", "", "", signer) ||
               (slash && auth_user_may(r, &r->user, verb, "certificates.k8s.io", "signers", "", "",
                                       arena_printf(r->arena, "%.*s/*", (int)(slash - signer), signer)));
}

/* kubernetes.io/kube-apiserver-client must not make members of system:masters. */
static const struct status *subject(struct admission_attributes *at)
{
        const char *text = get_string(at->object, "spec.request");
        _cleanup_strbuf_ struct strbuf pem = STRBUF_INIT;
        struct pki_request req;
        bool masters = false;

        if (!streq(get_string(at->object, "spec.signerName"), "kubernetes.io/kube-apiserver-client") ||
            base64_decode(&pem, text, strlen(text), NULL) < 0 || pki_request_parse(strbuf_str(&pem), pem.len, &req, NULL) < 0)
                return NULL;
        for (size_t i = 0; req.organizations && req.organizations[i]; i++)
                masters = masters || streq(req.organizations[i], "system:masters");
        pki_request_deinit(&req);
        return masters ? deny(at, "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed")
                       : NULL;
}

static const struct status *certificates(struct admission_attributes *at)
{
        const char *signer;

        if (!about(at, "certificates.k8s.io", "certificatesigningrequests"))
                return NULL;
        if (at->op == ADMISSION_CREATE)
                return subject(at);
        signer = get_string(at->old, "spec.signerName");
        if (streq(at->subresource, "approval") && !may_signer(at, "approve", signer))
                return deny(at, "user not permitted to approve requests with signerName \"%s\"", signer);
        if (streq(at->subresource, "status") && !may_signer(at, "sign", signer) &&
            (!streq(get_string(at->object, "status.certificate"), get_string(at->old, "status.certificate")) ||
             !json_equal(json_path(at->object, "status.conditions"), json_path(at->old, "status.conditions"))))
                return deny(at, "user not permitted to sign requests with signerName \"%s\"", signer);
        return NULL;
}
const struct admission_plugin plugin_certificate_approval = {
        .name = "CertificateApproval", .ops = ADMISSION_CREATE | ADMISSION_UPDATE, .validate = certificates
};
