/* NodeRestriction: a kubelet writes its own node, its own pods' status and what else its node needs, and nothing
 * else; so that who takes over one machine does not get the cluster with it.
 *
 * What a kubelet may ask for at all is the Node authorizer's and its role's business (auth/node.c); here is what must
 * stand in the objects that it sends. */
#include "../../lib/base/encode.h"
#include "../../lib/tls/pki.h"
#include "../auth/internal.h"
#include "internal.h"

#define MIRROR "kubernetes.io/config.mirror"
#define RESTRICTED "node-restriction.kubernetes.io"

/* 404 in the words of a cache that knows the kind's name only. */
static const struct status *absent(struct admission_attributes *at, const char *kind, const char *name)
{
        struct arena *a = at->request->arena;
        struct json *details = json_new_object(a);

        json_set_string(a, details, "name", name);
        json_set_string(a, details, "kind", kind);
        return status_make(a, 404, "NotFound", details, "%s \"%s\" not found", kind, name);
}

static bool same(const struct admission_attributes *at, const char *path)
{
        const struct json *now = json_path(at->object, path), *was = json_path(at->old, path);
        bool none = !now || json_is_null(now) || (!json_is_string(now) && !json_len(now));
        bool none_was = !was || json_is_null(was) || (!json_is_string(was) && !json_len(was));

        return (none && none_was) || (now && was && json_equal(now, was));
}

/* --- pods --- */

static void containers_reference(const struct json *containers, bool *secrets, bool *configs)
{
        json_foreach_item(containers, c) {
                json_foreach_item(json_get(c, "env"), e) {
                        *secrets |= json_is_object(json_path(e, "valueFrom.secretKeyRef"));
                        *configs |= json_is_object(json_path(e, "valueFrom.configMapKeyRef"));
                }
                json_foreach_item(json_get(c, "envFrom"), e) {
                        *secrets |= json_is_object(json_get(e, "secretRef"));
                        *configs |= json_is_object(json_get(e, "configMapRef"));
                }
        }
}

void pod_references(const struct json *pod, bool *ret_secrets, bool *ret_configs)
{
        static const char *const volume_secrets[] = {
                "azureFile",         "cephfs.secretRef",  "cinder.secretRef",  "csi.nodePublishSecretRef", "flexVolume.secretRef",
                "iscsi.secretRef",   "rbd.secretRef",     "scaleIO.secretRef", "secret",                   "storageos.secretRef",
        };
        const struct json *spec = json_get(pod, "spec");
        bool secrets = json_len(json_get(spec, "imagePullSecrets")) > 0, configs = false;

        containers_reference(json_get(spec, "initContainers"), &secrets, &configs);
        containers_reference(json_get(spec, "containers"), &secrets, &configs);
        containers_reference(json_get(spec, "ephemeralContainers"), &secrets, &configs);
        json_foreach_item(json_get(spec, "volumes"), v) {
                for (size_t i = 0; i < ARRAY_SIZE(volume_secrets); i++)
                        secrets |= json_is_object(json_path(v, volume_secrets[i]));
                configs |= json_is_object(json_get(v, "configMap"));
                json_foreach_item(json_path(v, "projected.sources"), s) {
                        secrets |= json_is_object(json_get(s, "secret"));
                        configs |= json_is_object(json_get(s, "configMap"));
                }
        }
        *ret_secrets = secrets;
        *ret_configs = configs;
}

/* The first kind of object that the pod needs besides its node; NULL: none. */
static const char *needs(const struct json *pod)
{
        bool secrets, configs;
        const struct json *spec = json_get(pod, "spec");

        if (*get_string(spec, "serviceAccountName"))
                return "a service account";
        pod_references(pod, &secrets, &configs);
        if (secrets)
                return "secrets";
        if (configs)
                return "configmaps";
        json_foreach_item(json_get(spec, "volumes"), v) {
                json_foreach_item(json_path(v, "projected.sources"), s)
                        if (json_is_object(json_get(s, "clusterTrustBundle")))
                                return "clustertrustbundles";
        }
        json_foreach_item(json_get(spec, "volumes"), v)
                if (json_is_object(json_get(v, "persistentVolumeClaim")))
                        return "persistentvolumeclaims";
        return json_len(json_get(spec, "resourceClaims")) ? "resourceclaims" : NULL;
}

static const struct status *check_owner(struct admission_attributes *at, const char *node)
{
        const struct json *owners = json_path(at->object, "metadata.ownerReferences"), *owner = json_at(owners, 0), *known;
        const char *uid = get_string(owner, "uid");

        if (json_len(owners) > 1)
                return deny(at, "node \"%s\" can only create pods with a single owner reference set to itself", node);
        if (!owner || !streq(get_string(owner, "apiVersion"), "v1") || !streq(get_string(owner, "kind"), "Node") ||
            !streq(get_string(owner, "name"), node))
                return deny(at, "node \"%s\" can only create pods with an owner reference set to itself", node);
        if (!json_get_bool(owner, "controller", false))
                return deny(at, "node \"%s\" can only create pods with a controller owner reference set to itself", node);
        if (json_get_bool(owner, "blockOwnerDeletion", false))
                return deny(at, "node \"%s\" must not set blockOwnerDeletion on an owner reference", node);
        known = admission_get(at, "", "v1", "nodes", "", node);
        if (!known)
                return absent(at, "node", node);
        if (!streq(get_string(known, "metadata.uid"), uid))
                return deny(at, "node %s UID mismatch: expected %s got %s", node, uid, get_string(known, "metadata.uid"));
        return NULL;
}

static const struct status *admit_pod_create(struct admission_attributes *at, const char *node)
{
        const struct status *st;
        const char *what;

        if (!json_get(json_path(at->object, "metadata.annotations"), MIRROR))
                return deny(at, "pod does not have \"" MIRROR "\" annotation, node \"%s\" can only create mirror pods", node);
        if (!streq(get_string(at->object, "spec.nodeName"), node))
                return deny(at, "node \"%s\" can only create pods with spec.nodeName set to itself", node);
        st = check_owner(at, node);
        if (st)
                return st;
        what = needs(at->object);
        return what ? deny(at, "node \"%s\" can not create pods that reference %s", node, what) : NULL;
}

static const struct status *admit_pod(struct admission_attributes *at, const char *node)
{
        if (at->op == ADMISSION_CREATE)
                return admit_pod_create(at, node);
        if (at->op != ADMISSION_DELETE)
                return deny(at, "unexpected operation \"UPDATE\", node \"%s\" can only create and delete mirror pods", node);
        if (at->old && !streq(get_string(at->old, "spec.nodeName"), node))
                return deny(at, "node \"%s\" can only delete pods with spec.nodeName set to itself", node);
        return NULL;
}

static bool same_claims(const struct json *x, const struct json *y)
{
        if (json_len(x) != json_len(y))
                return false;
        for (size_t i = 0; i < json_len(x); i++) {
                const struct json *p = json_at(x, i), *q = json_at(y, i);
                const char *of_p = json_get_string(p, "resourceClaimName"), *of_q = json_get_string(q, "resourceClaimName");

                if (!streq(get_string(p, "name"), get_string(q, "name")) || !of_p != !of_q || (of_p && !streq(of_p, of_q)))
                        return false;
        }
        return true;
}

static const struct status *admit_pod_status(struct admission_attributes *at, const char *node)
{
        if (!streq(get_string(at->old, "spec.nodeName"), node))
                return deny(at, "node \"%s\" can only update pod status for pods with spec.nodeName set to itself", node);
        if (!same(at, "metadata.labels"))
                return deny(at, "node \"%s\" cannot update labels through pod status", node);
        if (!same_claims(json_path(at->old, "status.resourceClaimStatuses"), json_path(at->object, "status.resourceClaimStatuses")))
                return deny(at, "node \"%s\" cannot update resource claim statues", node);
        if (!same(at, "status.extendedResourceClaimStatus"))
                return deny(at, "node \"%s\" cannot update extended resource claim status", node);
        return NULL;
}

static const struct status *admit_eviction(struct admission_attributes *at, const char *node)
{
        const struct json *pod = admission_get(at, "", "v1", "pods", at->namespace, at->name);

        if (!pod)
                return absent(at, "pod", at->name);
        if (!streq(get_string(pod, "spec.nodeName"), node))
                return deny(at, "node %s can only evict pods with spec.nodeName set to itself", node);
        return NULL;
}

static const struct status *admit_pods(struct admission_attributes *at, const char *node)
{
        if (!*at->subresource)
                return admit_pod(at, node);
        if (streq(at->subresource, "status"))
                return admit_pod_status(at, node);
        if (streq(at->subresource, "eviction"))
                return admit_eviction(at, node);
        return deny(at, "unexpected pod subresource \"%s\", only 'status' and 'eviction' are allowed", at->subresource);
}

/* A claim's volume grows on its node, which says so. */
static const struct status *admit_claim(struct admission_attributes *at, const char *node)
{
        static const char *const own[] = {
                "metadata.resourceVersion", "metadata.managedFields",          "status.capacity",
                "status.conditions",        "status.allocatedResourceStatuses", "status.allocatedResources",
        };
        struct arena *a = at->request->arena;
        struct json *now, *was;

        if (!streq(at->subresource, "status"))
                return deny(at, "may only update PVC status");
        now = json_clone(a, at->object);
        was = json_clone(a, at->old);
        for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
                json_path_del(now, own[i]);
                json_path_del(was, own[i]);
        }
        return json_equal(now, was) ? NULL : deny(at, "node \"%s\" is not allowed to update fields other than status.quantity "
                                                      "and status.conditions: ", node);
}

/* --- nodes --- */

static bool in_domain(const char *name, const char *domain)
{
        size_t len = strlen(name), tail = strlen(domain);

        return str_has_suffix(name, domain) && (len == tail || name[len - tail - 1] == '.');
}

static bool is_own_label(const char *key)
{
        static const char *const own[] = {
                "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os",
                "beta.kubernetes.io/arch", "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
                "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
                "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type",
        };

        for (size_t i = 0; i < ARRAY_SIZE(own); i++)
                if (streq(key, own[i]))
                        return true;
        return false;
}

static bool forbidden_label(struct arena *a, const char *key)
{
        const char *slash = strchr(key, '/'), *domain = slash ? arena_strndup(a, key, slash - key) : "";

        if (in_domain(domain, RESTRICTED))
                return true;
        if (!in_domain(domain, "kubernetes.io") && !in_domain(domain, "k8s.io"))
                return false;
        return !is_own_label(key) && !in_domain(domain, "kubelet.kubernetes.io") && !in_domain(domain, "node.kubernetes.io");
}

static int by_name(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Labels that are not the node's to set and that differ, sorted and with commas; NULL: none. */
static const char *forbidden_labels(struct admission_attributes *at)
{
        const struct json *maps[] = { json_path(at->object, "metadata.labels"), json_path(at->old, "metadata.labels") };
        struct arena *a = at->request->arena;
        const char **list = arena_alloc(a, (json_len(maps[0]) + json_len(maps[1]) + 1) * sizeof(char *)), *text = NULL;
        size_t n = 0;

        for (size_t i = 0; i < 2; i++) {
                json_foreach_member(maps[i], m) {
                        const struct json *other = json_get(maps[!i], m->key);

                        if ((!other || (!i && !json_equal(other, m->value))) && forbidden_label(a, m->key))
                                list[n++] = m->key;
                }
        }
        qsort(list, n, sizeof(*list), by_name);
        for (size_t i = 0; i < n; i++)
                text = text ? arena_printf(a, "%s, %s", text, list[i]) : list[i];
        return text;
}

static const struct status *admit_node(struct admission_attributes *at, const char *node)
{
        const char *labels;

        if (!streq(at->name, node))
                return deny(at, "node \"%s\" is not allowed to modify node \"%s\"", node, at->name);
        if (at->op == ADMISSION_DELETE)
                return NULL;
        if (at->op == ADMISSION_CREATE) {
                if (json_is_object(json_path(at->object, "spec.configSource")))
                        return deny(at, "node \"%s\" is not allowed to create pods with a non-nil configSource", node);
                labels = forbidden_labels(at);
                return labels ? deny(at, "node \"%s\" is not allowed to set the following labels: %s", node, labels) : NULL;
        }
        if (json_is_object(json_path(at->object, "spec.configSource")) && !same(at, "spec.configSource"))
                return deny(at, "node \"%s\" is not allowed to update configSource to a new non-nil configSource", node);
        if (!same(at, "spec.taints"))
                return deny(at, "node \"%s\" is not allowed to modify taints", node);
        if (!same(at, "metadata.ownerReferences"))
                return deny(at, "node \"%s\" is not allowed to modify ownerReferences", node);
        labels = forbidden_labels(at);
        return labels ? deny(at, "is not allowed to modify labels: %s", labels) : NULL;
}

/* --- tokens --- */

/* Who looks for a volume's driver, and what was not there on the way: "a", or "[a, b]". */
struct search {
        struct admission_attributes *at;
        const char *missing;
        unsigned n;
};

static struct json *found(struct search *s, const char *group, const char *kind, const char *resource, const char *ns,
                          const char *name)
{
        struct json *obj = admission_get(s->at, group, "v1", resource, ns, name);
        struct arena *a = s->at->request->arena;

        if (!obj) {
                s->missing = arena_printf(a, "%s%s%s%s%s \"%s\" not found", s->n ? s->missing : "", s->n ? ", " : "", kind,
                                          *group ? "." : "", group, name);
                s->n++;
        }
        return obj;
}

static const char *claim_driver(struct search *s, const char *claim)
{
        const struct json *pvc = found(s, "", "persistentvolumeclaim", "persistentvolumeclaims", s->at->namespace, claim);

        if (!pvc)
                return "";
        return get_string(found(s, "", "persistentvolume", "persistentvolumes", "", get_string(pvc, "spec.volumeName")),
                          "spec.csi.driver");
}

/* Whether a volume of the pod needs a token for AUDIENCE. */
static bool pod_has_audience(struct search *search, const struct json *pod, const char *audience)
{
        struct arena *a = search->at->request->arena;

        json_foreach_item(json_path(pod, "spec.volumes"), v) {
                const char *driver = get_string(v, "csi.driver"), *claim = get_string(v, "persistentVolumeClaim.claimName");
                const struct json *csi;

                json_foreach_item(json_path(v, "projected.sources"), s) {
                        const struct json *token = json_get(s, "serviceAccountToken");

                        if (json_is_object(token) && streq(get_string(token, "audience"), audience))
                                return true;
                }
                if (json_is_object(json_get(v, "ephemeral")))
                        claim = arena_printf(a, "%s-%s", get_string(pod, "metadata.name"), get_string(v, "name"));
                if (*claim)
                        driver = claim_driver(search, claim);
                csi = *driver ? found(search, "storage.k8s.io", "csidriver", "csidrivers", "", driver) : NULL;
                json_foreach_item(json_path(csi, "spec.tokenRequests"), t)
                        if (streq(get_string(t, "audience"), audience))
                                return true;
        }
        return false;
}

static const struct status *admit_audience(struct admission_attributes *at, const struct json *pod)
{
        const struct json *list = json_path(at->object, "spec.audiences");
        const char *audience = json_string(json_at(list, 0)) ? json_string(json_at(list, 0)) : "";
        struct search search = { .at = at };
        struct api_request *r = at->request;

        if (json_len(list) > 1)
                return deny(at, "node may only request 0 or 1 audiences");
        if (pod_has_audience(&search, pod, audience))
                return NULL;
        if (search.n)
                return deny(at, "error validating audience \"%s\": %s%s%s", audience, search.n > 1 ? "[" : "", search.missing,
                            search.n > 1 ? "]" : "");
        if (auth_user_may(r, &r->user, "request-serviceaccounts-token-audience", "", audience, "", at->namespace, at->name))
                return NULL;
        return deny(at, "audience \"%s\" not found in pod spec volume, %s is not authorized to request tokens for this audience",
                    audience, r->user.name);
}

static const struct status *admit_token(struct admission_attributes *at, const char *node)
{
        const struct json *ref = json_path(at->object, "spec.boundObjectRef"), *pod;
        const char *uid = get_string(ref, "uid");

        if (!json_is_object(ref) || !streq(get_string(ref, "apiVersion"), "v1") || !streq(get_string(ref, "kind"), "Pod") ||
            !*get_string(ref, "name"))
                return deny(at, "node requested token not bound to a pod");
        if (!*uid)
                return deny(at, "node requested token with a pod binding without a uid");
        pod = admission_get(at, "", "v1", "pods", at->namespace, get_string(ref, "name"));
        if (!pod)
                return absent(at, "pod", get_string(ref, "name"));
        if (!streq(uid, get_string(pod, "metadata.uid")))
                return deny(at, "the UID in the bound object reference (%s) does not match the UID in record. The object might "
                                "have been deleted and then recreated", uid);
        if (!streq(get_string(pod, "spec.nodeName"), node))
                return deny(at, "node requested token bound to a pod scheduled on a different node");
        return admit_audience(at, pod);
}

/* --- the rest --- */

static const struct status *admit_slice(struct admission_attributes *at, const char *node)
{
        const struct json *slice = at->op == ADMISSION_CREATE ? at->object : at->old;

        if (at->op == ADMISSION_UPDATE || streq(get_string(slice, "spec.nodeName"), node))
                return NULL;
        return deny(at, "can only %s ResourceSlice with the same NodeName as the requesting node",
                    at->op == ADMISSION_CREATE ? "create" : "delete");
}

/* A kubelet's certificates are for itself. */
static const struct status *admit_request(struct admission_attributes *at)
{
        const char *signer = get_string(at->object, "spec.signerName"), *text = get_string(at->object, "spec.request");
        _cleanup_strbuf_ struct strbuf pem = STRBUF_INIT;
        _cleanup_error_ struct error err = ERROR_INIT;
        struct pki_request req;
        bool own;

        if (at->op != ADMISSION_CREATE || (!streq(signer, "kubernetes.io/kubelet-serving") &&
                                           !streq(signer, "kubernetes.io/kube-apiserver-client-kubelet")))
                return NULL;
        if (base64_decode(&pem, text, strlen(text), NULL) < 0 || !strstr(strbuf_str(&pem), "-----BEGIN CERTIFICATE REQUEST-----"))
                return deny(at, "unable to parse csr: PEM block type must be CERTIFICATE REQUEST");
        if (pki_request_parse(strbuf_str(&pem), pem.len, &req, &err) < 0)
                return deny(at, "unable to parse csr: %s", error_text(&err));
        own = streq(req.common_name, at->request->user.name);
        pki_request_deinit(&req);
        return own ? NULL : deny(at, "can only create a node CSR with CN=%s", at->request->user.name);
}

static const struct status *restrict_node(struct admission_attributes *at)
{
        const char *node = node_identity(&at->request->user);

        if (!node)
                return NULL;
        if (!*node)
                return deny(at, "could not determine node from user \"%s\"", at->request->user.name);
        if (about(at, "", "pods"))
                return admit_pods(at, node);
        if (about(at, "", "nodes"))
                return admit_node(at, node);
        if (about(at, "", "persistentvolumeclaims"))
                return admit_claim(at, node);
        if (about(at, "", "serviceaccounts"))
                return at->op == ADMISSION_CREATE && streq(at->subresource, "token") ? admit_token(at, node) : NULL;
        if (about(at, "coordination.k8s.io", "leases")) {
                if (!streq(at->namespace, "kube-node-lease"))
                        return deny(at, "can only access leases in the \"kube-node-lease\" system namespace");
                if (!streq(at->name, node))
                        return deny(at, "can only access node lease with the same name as the requesting node");
        }
        if (about(at, "storage.k8s.io", "csinodes") && !streq(at->name, node))
                return deny(at, "can only access CSINode with the same name as the requesting node");
        if (about(at, "resource.k8s.io", "resourceslices"))
                return admit_slice(at, node);
        if (about(at, "certificates.k8s.io", "certificatesigningrequests"))
                return admit_request(at);
        return NULL;
}
const struct admission_plugin plugin_node_restriction = {
        .name = "NodeRestriction", .ops = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE, .mutate = restrict_node
};
