/* The Node authorizer: a kubelet reads what the pods bound to its node need, and nothing else.
 *
 *      node <- pods bound to it <- secrets, configmaps, claims, service accounts and resource claims they name
 *                               <- volumes of those claims <- secrets those volumes name
 *
 * Upstream keeps this as a graph. Here each pod's references are kept by node as counted names
 * ("secrets/ns/name"), so that a question is one look into a map; volumes are followed when asked.
 */
#include "feed.h"
#include "internal.h"

struct node_pod {
        struct arena *arena;
        const char *node;
        const char **refs;
        size_t n;
};

struct node_graph {
        struct store *store;
        struct map pods;  /* "ns/name" -> struct node_pod */
        struct map nodes; /* node name -> struct map of reference -> count */
        struct feed feed;
};

const char *node_identity(const struct user_info *user)
{
        static const char prefix[] = "system:node:";

        if (!str_has_prefix(user->name, prefix) || !user_in_group(user, "system:nodes"))
                return NULL;
        return user->name + strlen(prefix);
}

/* --- what pods refer to --- */

struct refs {
        struct arena *arena;
        const char *namespace;
        const char **list;
        size_t n, cap;
};

static void add_ref(struct refs *r, const char *resource, const char *name)
{
        if (str_empty(name))
                return;
        if (r->n == r->cap) {
                const char **more;

                r->cap = MAX(r->cap * 2, 8);
                more = arena_alloc(r->arena, r->cap * sizeof(char *));
                if (r->n)
                        memcpy(more, r->list, r->n * sizeof(char *));
                r->list = more;
        }
        r->list[r->n++] = arena_printf(r->arena, "%s/%s/%s", resource, r->namespace, name);
}

static void add_containers(struct refs *r, const struct json *containers)
{
        json_foreach_item(containers, c) {
                json_foreach_item(json_get(c, "env"), e) {
                        add_ref(r, "secrets", json_path_string(e, "valueFrom.secretKeyRef.name"));
                        add_ref(r, "configmaps", json_path_string(e, "valueFrom.configMapKeyRef.name"));
                }
                json_foreach_item(json_get(c, "envFrom"), e) {
                        add_ref(r, "secrets", json_path_string(e, "secretRef.name"));
                        add_ref(r, "configmaps", json_path_string(e, "configMapRef.name"));
                }
        }
}

/* Volumes of a pod, whose secrets are in its namespace. */
static const char *const volume_secrets[] = {
        "azureFile.secretName",  "cephfs.secretRef.name",   "cinder.secretRef.name", "csi.nodePublishSecretRef.name",
        "flexVolume.secretRef.name", "iscsi.secretRef.name", "rbd.secretRef.name",    "scaleIO.secretRef.name",
        "secret.secretName",     "storageos.secretRef.name",
};

static void add_volumes(struct refs *r, const char *pod, const struct json *volumes)
{
        json_foreach_item(volumes, v) {
                for (size_t i = 0; i < ARRAY_SIZE(volume_secrets); i++)
                        add_ref(r, "secrets", json_path_string(v, volume_secrets[i]));
                add_ref(r, "configmaps", json_path_string(v, "configMap.name"));
                add_ref(r, "persistentvolumeclaims", json_path_string(v, "persistentVolumeClaim.claimName"));
                if (json_get(v, "ephemeral") && json_get_string(v, "name"))
                        add_ref(r, "persistentvolumeclaims",
                                arena_printf(r->arena, "%s-%s", pod, json_get_string(v, "name")));
                json_foreach_item(json_path(v, "projected.sources"), s) {
                        add_ref(r, "secrets", json_path_string(s, "secret.name"));
                        add_ref(r, "configmaps", json_path_string(s, "configMap.name"));
                }
        }
}

static void collect_refs(struct refs *r, const struct json *pod)
{
        const struct json *spec = json_get(pod, "spec");

        add_ref(r, "pods", json_path_string(pod, "metadata.name"));
        add_ref(r, "serviceaccounts", json_get_string(spec, "serviceAccountName"));
        json_foreach_item(json_get(spec, "imagePullSecrets"), s) {
                add_ref(r, "secrets", json_get_string(s, "name"));
        }
        add_containers(r, json_get(spec, "initContainers"));
        add_containers(r, json_get(spec, "containers"));
        add_containers(r, json_get(spec, "ephemeralContainers"));
        add_volumes(r, json_path_string(pod, "metadata.name"), json_get(spec, "volumes"));
        json_foreach_item(json_path(pod, "status.resourceClaimStatuses"), c) {
                add_ref(r, "resourceclaims", json_get_string(c, "resourceClaimName"));
        }
        json_foreach_item(json_get(spec, "resourceClaims"), c) {
                add_ref(r, "resourceclaims", json_get_string(c, "resourceClaimName"));
        }
}

/* --- following the pods --- */

static void node_count(struct node_graph *g, const struct node_pod *p, int by)
{
        struct map *refs = map_get(&g->nodes, p->node);

        if (!refs) {
                refs = new0(struct map);
                map_put(&g->nodes, p->node, refs);
        }
        for (size_t i = 0; i < p->n; i++) {
                intptr_t count = (intptr_t)map_get(refs, p->refs[i]) + by;

                if (count > 0)
                        map_put(refs, p->refs[i], (void *)count);
                else
                        map_del(refs, p->refs[i]);
        }
        if (refs->n == 0) {
                map_del(&g->nodes, p->node);
                map_deinit(refs);
                free(refs);
        }
}

static void forget_pod(struct node_graph *g, const char *key)
{
        struct node_pod *p = map_del(&g->pods, key);

        if (!p)
                return;
        node_count(g, p, -1);
        arena_free(p->arena);
}

static void put_pod(struct entry *e, void *userdata)
{
        struct node_graph *g = userdata;
        _cleanup_arena_ struct arena *scratch = NULL;
        _cleanup_free_ char *key = NULL;
        const char *node = entry_field(e, "spec.nodeName");
        struct json *pod = NULL;
        struct arena *a;
        struct node_pod *p;

        if (str_empty(node))
                return;
        scratch = arena_new(0);
        if (json_parse(scratch, e->json->data, e->json->len, NULL, &pod, NULL) < 0)
                return;
        key = xasprintf("%s/%s", e->namespace, e->name);
        a = arena_new(512);
        p = arena_calloc(a, sizeof(*p));
        struct refs refs = { .arena = a, .namespace = e->namespace };

        collect_refs(&refs, pod);
        p->arena = a;
        p->node = arena_strdup(a, node);
        p->refs = refs.list;
        p->n = refs.n;
        /* The new ones are counted first, so that what stays is never gone in between. */
        node_count(g, p, 1);
        forget_pod(g, key);
        map_put(&g->pods, key, p);
}

static void del_pod(struct entry *e, void *userdata)
{
        _cleanup_free_ char *key = xasprintf("%s/%s", e->namespace, e->name);

        forget_pod(userdata, key);
}

static void clear(void *userdata)
{
        struct node_graph *g = userdata;
        struct map_entry *e;

        map_foreach(&g->pods, e) {
                arena_free(((struct node_pod *)e->value)->arena);
        }
        map_clear(&g->pods);
        map_foreach(&g->nodes, e) {
                map_deinit(e->value);
                free(e->value);
        }
        map_clear(&g->nodes);
}

struct node_graph *node_graph_new(struct store *s)
{
        struct node_graph *g = new0(struct node_graph);

        g->store = s;
        g->feed = (struct feed){ "", "v1", "pods", clear, put_pod, del_pod, g };
        return g;
}

void node_graph_free(struct node_graph *g)
{
        if (!g)
                return;
        feed_stop(&g->feed);
        clear(g);
        map_deinit(&g->pods);
        map_deinit(&g->nodes);
        free(g);
}

/* --- questions --- */

static bool refers(struct node_graph *g, struct arena *a, const char *node, const char *resource, const char *ns,
                   const char *name)
{
        struct map *refs;

        if (g->store)
                feed_ensure(&g->feed, g->store);
        refs = map_get(&g->nodes, node);
        return refs && map_has(refs, arena_printf(a, "%s/%s/%s", resource, ns, name));
}

/* A volume is the node's business when the claim that it is bound to is. */
static bool refers_volume(struct node_graph *g, struct arena *a, const char *node, const char *name)
{
        const struct json *pv = auth_lookup(a, "", "v1", "persistentvolumes", "", name);
        const char *ns = json_path_string(pv, "spec.claimRef.namespace");
        const char *claim = json_path_string(pv, "spec.claimRef.name");

        return ns && claim && refers(g, a, node, "persistentvolumeclaims", ns, claim);
}

/* Secrets that the volumes behind a node's claims name, for whoever mounts them. */
static bool volume_names_secret(struct node_graph *g, struct arena *a, const char *node, const char *ns, const char *name)
{
        static const char *const paths[] = {
                "spec.csi.controllerExpandSecretRef", "spec.csi.controllerPublishSecretRef", "spec.csi.nodePublishSecretRef",
                "spec.csi.nodeStageSecretRef",        "spec.csi.nodeExpandSecretRef",        "spec.azureFile",
                "spec.cephfs.secretRef",              "spec.cinder.secretRef",               "spec.flexVolume.secretRef",
                "spec.iscsi.secretRef",               "spec.rbd.secretRef",                  "spec.scaleIO.secretRef",
                "spec.storageos.secretRef",
        };
        struct map *refs = map_get(&g->nodes, node);
        struct map_entry *e;

        if (!refs)
                return false;
        map_foreach(refs, e) {
                static const char prefix[] = "persistentvolumeclaims/";
                const char *slash;
                const struct json *claim, *pv;

                if (!str_has_prefix(e->key, prefix) || !(slash = strchr(e->key + strlen(prefix), '/')))
                        continue;
                claim = auth_lookup(a, "", "v1", "persistentvolumeclaims",
                                    arena_strndup(a, e->key + strlen(prefix), slash - e->key - strlen(prefix)), slash + 1);
                pv = auth_lookup(a, "", "v1", "persistentvolumes", "", json_path_string(claim, "spec.volumeName"));
                for (size_t i = 0; pv && i < ARRAY_SIZE(paths); i++) {
                        const struct json *ref = json_path(pv, paths[i]);
                        const char *secret = json_get_string(ref, "name") ? json_get_string(ref, "name")
                                                                          : json_get_string(ref, "secretName");
                        const char *where = json_get_string(ref, "namespace") ? json_get_string(ref, "namespace")
                                                                              : json_path_string(pv, "spec.claimRef.namespace");

                        if (streq(secret, name) && streq(where, ns))
                                return true;
                }
        }
        return false;
}

struct question {
        struct node_graph *g;
        struct arena *a;
        const struct authz_attributes *at;
        const char *node;
        const char **reason;
};

static enum authz_decision no(const struct question *q, const char *why)
{
        *q->reason = why;
        return AUTHZ_NO_OPINION;
}

static bool verb_in(const char *verb, const char *const *verbs)
{
        return strings_has(verbs, verb);
}

#define NOTHING_FOUND(q) no(q, arena_printf((q)->a, "no relationship found between node '%s' and this object", (q)->node))

static bool related(const struct question *q)
{
        const struct authz_attributes *at = q->at;

        if (streq(at->resource, "persistentvolumes"))
                return refers_volume(q->g, q->a, q->node, at->name);
        if (streq(at->resource, "volumeattachments"))
                return streq(json_path_string(auth_lookup(q->a, "storage.k8s.io", "v1", "volumeattachments", "", at->name),
                                              "spec.nodeName"),
                             q->node);
        if (streq(at->resource, "resourceslices"))
                return streq(json_path_string(auth_lookup(q->a, "resource.k8s.io", "v1", "resourceslices", "", at->name),
                                              "spec.nodeName"),
                             q->node);
        return refers(q->g, q->a, q->node, at->resource, at->namespace, at->name) ||
               (streq(at->resource, "secrets") && volume_names_secret(q->g, q->a, q->node, at->namespace, at->name));
}

/* get, and list or watch of one by its name, of what a pod here refers to. */
static enum authz_decision ask_read(const struct question *q)
{
        static const char *const verbs[] = { "get", "list", "watch", NULL };

        if (!verb_in(q->at->verb, verbs))
                return no(q, "can only read resources of this type");
        if (*q->at->subresource)
                return no(q, "cannot read subresource");
        if (!*q->at->namespace)
                return no(q, "can only read namespaced object of this type");
        if (!*q->at->name)
                return no(q, "No Object name found");
        return related(q) ? AUTHZ_ALLOW : NOTHING_FOUND(q);
}

static enum authz_decision ask_get(const struct question *q)
{
        if (!streq(q->at->verb, "get"))
                return no(q, "can only get individual resources of this type");
        if (*q->at->subresource)
                return no(q, "cannot get subresource");
        if (!*q->at->name)
                return no(q, "No Object name found");
        return related(q) ? AUTHZ_ALLOW : NOTHING_FOUND(q);
}

static enum authz_decision ask_claim_status(const struct question *q)
{
        static const char *const verbs[] = { "update", "patch", NULL };

        if (!verb_in(q->at->verb, verbs))
                return no(q, "can only get/update/patch this type");
        if (!*q->at->name)
                return no(q, "No Object name found");
        return related(q) ? AUTHZ_ALLOW : NOTHING_FOUND(q);
}

static enum authz_decision ask_token(const struct question *q)
{
        if (!streq(q->at->verb, "create") || !*q->at->name)
                return no(q, "can only create tokens for individual service accounts");
        if (!streq(q->at->subresource, "token"))
                return no(q, "can only create token subresource of serviceaccount");
        return related(q) ? AUTHZ_ALLOW : NOTHING_FOUND(q);
}

static enum authz_decision ask_lease(const struct question *q, const char *kind)
{
        static const char *const verbs[] = { "get", "create", "update", "patch", "delete", NULL };
        bool lease = streq(kind, "lease");

        if (!verb_in(q->at->verb, verbs))
                return no(q, lease ? "can only get, create, update, patch, or delete a node lease"
                                   : "can only get, create, update, patch, or delete a CSINode");
        if (lease && !streq(q->at->namespace, "kube-node-lease"))
                return no(q, "can only access leases in the \"kube-node-lease\" system namespace");
        if (!lease && *q->at->subresource)
                return no(q, "cannot authorize CSINode subresources");
        if (!streq(q->at->verb, "create") && !streq(q->at->name, q->node))
                return no(q, lease ? "can only access node lease with the same name as the requesting node"
                                   : "can only access CSINode with the same name as the requesting node");
        return AUTHZ_ALLOW;
}

static enum authz_decision ask_node(const struct question *q)
{
        static const char *const reads[] = { "get", "list", "watch", NULL }, *const free_verbs[] = { "create", "update",
                                                                                                      "patch", NULL };
        const struct authz_attributes *at = q->at;

        /* Writing another node is refused by admission, which can say it better. */
        if (*at->subresource ? (streq(at->subresource, "status") && (streq(at->verb, "update") || streq(at->verb, "patch")))
                             : verb_in(at->verb, free_verbs))
                return AUTHZ_ALLOW;
        if (*at->subresource || !verb_in(at->verb, reads))
                return no(q, "");
        if (!*at->name)
                return no(q, arena_printf(q->a, "node '%s' cannot read all nodes, only its own Node object", q->node));
        if (!streq(at->name, q->node))
                return no(q, arena_printf(q->a, "node '%s' cannot read '%s', only its own Node object", q->node, at->name));
        return AUTHZ_ALLOW;
}

static bool selects_this_node(const struct question *q)
{
        struct selector s;

        if (str_empty(q->at->field_selector) || field_selector_parse(q->a, q->at->field_selector, &s, NULL) < 0)
                return false;
        for (size_t i = 0; i < s.n; i++) {
                if (streq(s.reqs[i].key, "spec.nodeName") && s.reqs[i].op == SELECTOR_IN && s.reqs[i].n_values == 1 &&
                    streq(s.reqs[i].values[0], q->node))
                        return true;
        }
        return false;
}

static enum authz_decision ask_pod(const struct question *q)
{
        const struct authz_attributes *at = q->at;

        if (streq(at->subresource, "status") && (streq(at->verb, "update") || streq(at->verb, "patch")))
                return AUTHZ_ALLOW;
        if (streq(at->subresource, "eviction") && streq(at->verb, "create"))
                return AUTHZ_ALLOW;
        if (*at->subresource)
                return no(q, "");
        if (streq(at->verb, "create") || streq(at->verb, "delete"))
                return AUTHZ_ALLOW;
        if (streq(at->verb, "get"))
                return ask_get(q);
        if (!streq(at->verb, "list") && !streq(at->verb, "watch"))
                return no(q, "");
        if (selects_this_node(q))
                return AUTHZ_ALLOW;
        if (*at->name)
                return related(q) ? AUTHZ_ALLOW : NOTHING_FOUND(q);
        return no(q, "can only list/watch pods with spec.nodeName field selector");
}

/* What a new one says is admission's to check; of those that are there, the node's own. */
static enum authz_decision ask_slice(const struct question *q)
{
        static const char *const one[] = { "get", "update", "patch", "delete", NULL };
        static const char *const many[] = { "watch", "list", "deletecollection", NULL };

        if (*q->at->subresource)
                return no(q, "cannot authorize ResourceSlice subresources");
        if (streq(q->at->verb, "create"))
                return AUTHZ_ALLOW;
        if (verb_in(q->at->verb, many))
                return selects_this_node(q) ? AUTHZ_ALLOW : no(q, "can only list/watch/deletecollection resourceslices with "
                                                                  "nodeName field selector");
        if (!verb_in(q->at->verb, one))
                return no(q, "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, "
                             "patch, delete, deletecollection");
        if (!*q->at->name)
                return no(q, "No Object name found");
        return related(q) ? AUTHZ_ALLOW : NOTHING_FOUND(q);
}

/* The rest is the same for all nodes: rules, as RBAC has them. */
static const struct {
        const char *group, *resource, *verbs;
} plain[] = {
        { "authentication.k8s.io", "tokenreviews", "create" },
        { "authorization.k8s.io", "subjectaccessreviews", "create" },
        { "authorization.k8s.io", "localsubjectaccessreviews", "create" },
        { "", "services", "get list watch" },
        { "", "events", "create update patch" },
        { "events.k8s.io", "events", "create update patch" },
        { "", "endpoints", "get" },
        { "certificates.k8s.io", "certificatesigningrequests", "create get list watch" },
        { "storage.k8s.io", "csidrivers", "get list watch" },
        { "node.k8s.io", "runtimeclasses", "get list watch" },
};

static enum authz_decision ask_plain(const struct question *q)
{
        for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
                const char *at;

                if (!streq(plain[i].group, q->at->group) || !streq(plain[i].resource, q->at->resource) ||
                    *q->at->subresource)
                        continue;
                at = strstr(plain[i].verbs, q->at->verb);
                if (at && *q->at->verb && (at == plain[i].verbs || at[-1] == ' ') &&
                    (at[strlen(q->at->verb)] == ' ' || !at[strlen(q->at->verb)]))
                        return AUTHZ_ALLOW;
        }
        return no(q, "");
}

static enum authz_decision ask(const struct question *q)
{
        static const char *const read_kinds[] = { "secrets", "configmaps", NULL };
        const char *resource = q->at->resource, *sub = q->at->subresource;

        if (streq(q->at->group, "")) {
                if (strings_has(read_kinds, resource))
                        return ask_read(q);
                if (streq(resource, "persistentvolumeclaims") && streq(sub, "status"))
                        return ask_claim_status(q);
                if (streq(resource, "persistentvolumeclaims") || streq(resource, "persistentvolumes"))
                        return ask_get(q);
                if (streq(resource, "serviceaccounts"))
                        return streq(q->at->verb, "get") && !*sub ? ask_read(q) : ask_token(q);
                if (streq(resource, "nodes"))
                        return ask_node(q);
                if (streq(resource, "pods"))
                        return ask_pod(q);
        }
        if (streq(q->at->group, "storage.k8s.io") && streq(resource, "volumeattachments"))
                return ask_get(q);
        if (streq(q->at->group, "storage.k8s.io") && streq(resource, "csinodes"))
                return ask_lease(q, "csinode");
        if (streq(q->at->group, "coordination.k8s.io") && streq(resource, "leases"))
                return ask_lease(q, "lease");
        if (streq(q->at->group, "resource.k8s.io") && streq(resource, "resourceclaims"))
                return ask_get(q);
        if (streq(q->at->group, "resource.k8s.io") && streq(resource, "resourceslices"))
                return ask_slice(q);
        return ask_plain(q);
}

enum authz_decision node_authorize(struct node_graph *g, struct arena *a, const struct authz_attributes *at,
                                   const char **ret_reason)
{
        struct question q = { .g = g, .a = a, .at = at, .node = node_identity(at->user), .reason = ret_reason };

        *ret_reason = "";
        if (!q.node)
                return AUTHZ_NO_OPINION;
        if (!*q.node)
                return no(&q, arena_printf(a, "unknown node for user \"%s\"", at->user->name));
        return at->is_resource ? ask(&q) : AUTHZ_NO_OPINION;
}
