/* NodeRestriction (a kubelet writes its own node, its own pods and nothing else), TaintNodesByCondition, and who
 * may approve and sign certificate requests. */
#include "../../lib/tls/pki.h"
#include "../../lib/base/encode.h"
#include "internal.h"

/* The name of the node whose kubelet asks; NULL: nobody's. */
static const char *asking_node(const struct admission_attributes *at)
{
        static const char prefix[] = "system:node:";
        const struct user_info *u = &at->request->user;

        return user_in_group(u, "system:nodes") && str_has_prefix(u->name, prefix) ? u->name + strlen(prefix) : NULL;
}

static const struct status *admit_pod(struct admission_attributes *at, const char *node)
{
        const char *bound = at->object ? get_string(at->object, "spec.nodeName") : "";
        const struct json *pod;

        if (!*at->subresource && at->op == ADMISSION_CREATE) {
                if (!json_get(json_path(at->object, "metadata.annotations"), "kubernetes.io/config.mirror"))
                        return deny(at, "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"%s\" can only "
                                        "create mirror pods", node);
                return streq(bound, node) ? NULL : deny(at, "node \"%s\" can only create pods with spec.nodeName set to itself",
                                                        node);
        }
        if (!*at->subresource && at->op == ADMISSION_UPDATE)
                return deny(at, "node \"%s\" can only update the status of pods", node);
        pod = at->old ? at->old : admission_get(at, "", "v1", "pods", at->namespace, at->name);
        if (!pod || streq(get_string(pod, "spec.nodeName"), node))
                return NULL;
        if (streq(at->subresource, "eviction"))
                return deny(at, "node %s can only evict pods with spec.nodeName set to itself", node);
        return deny(at, "node \"%s\" can only %s pods with spec.nodeName set to itself", node,
                    at->op == ADMISSION_DELETE ? "delete" : "update status for");
}

static const struct status *admit_node(struct admission_attributes *at, const char *node)
{
        if (!streq(at->name, node))
                return deny(at, "node \"%s\" is not allowed to modify node \"%s\"", node, at->name);
        if (at->op == ADMISSION_CREATE && json_path(at->object, "spec.configSource"))
                return deny(at, "node \"%s\" is not allowed to create pods with a non-nil configSource", node);
        if (at->op == ADMISSION_UPDATE &&
            !json_equal(json_path(at->object, "spec.taints"), json_path(at->old, "spec.taints")) &&
            (json_len(json_path(at->object, "spec.taints")) || json_len(json_path(at->old, "spec.taints"))))
                return deny(at, "node \"%s\" is not allowed to modify taints", node);
        return NULL;
}

static const struct status *admit_token(struct admission_attributes *at, const char *node)
{
        const struct json *ref = json_path(at->object, "spec.boundObjectRef"), *pod;

        if (!json_is_object(ref) || !streq(json_get_string(ref, "kind"), "Pod") || !*get_string(ref, "name"))
                return deny(at, "node requested token not bound to a pod");
        if (!*get_string(ref, "uid"))
                return deny(at, "node requested token with a pod binding without a uid");
        pod = admission_get(at, "", "v1", "pods", at->namespace, get_string(ref, "name"));
        if (pod && !streq(get_string(pod, "spec.nodeName"), node))
                return deny(at, "node requested token bound to a pod scheduled on a different node");
        return NULL;
}

static const struct status *restrict_node(struct admission_attributes *at)
{
        const char *node = asking_node(at);

        if (!node)
                return NULL;
        if (about(at, "", "pods"))
                return admit_pod(at, node);
        if (about(at, "", "nodes"))
                return admit_node(at, node);
        if (about(at, "", "serviceaccounts") && streq(at->subresource, "token"))
                return admit_token(at, node);
        if (about(at, "coordination.k8s.io", "leases") && at->op == ADMISSION_CREATE) {
                if (!streq(at->namespace, "kube-node-lease"))
                        return deny(at, "can only access leases in the \"kube-node-lease\" system namespace");
                if (!streq(at->name, node))
                        return deny(at, "can only access node lease with the same name as the requesting node");
        }
        if (about(at, "storage.k8s.io", "csinodes") && !streq(at->name, node))
                return deny(at, "can only access CSINode with the same name as the requesting node");
        return NULL;
}
const struct admission_plugin plugin_node_restriction = {
        .name = "NodeRestriction", .ops = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE, .mutate = restrict_node
};

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
