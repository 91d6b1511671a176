/* What every namespace has: the ServiceAccount "default" and the ConfigMap kube-root-ca.crt. */
#include "controllers.h"

#define ROOT_CA "kube-root-ca.crt"
#define ROOT_CA_TEXT                                                                               \
        "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "  \
        "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "  \
        "guaranteed across distributions of Kubernetes clusters."

/* The namespace KEY when things may still be made in it. */
static const struct object *living_namespace(const struct snapshot *s, const char *key)
{
        const struct object *ns = snapshot_key(s, R_NAMESPACES, key);

        return ns && !object_is_deleting(ns->json) ? ns : NULL;
}

static struct json *make_object(struct arena *a, const char *kind, const char *namespace, const char *name)
{
        struct json *o = json_new_object(a), *meta;

        json_set_string(a, o, "apiVersion", "v1");
        json_set_string(a, o, "kind", kind);
        meta = json_ensure_object(a, o, "metadata");
        json_set_string(a, meta, "name", name);
        json_set_string(a, meta, "namespace", namespace);
        return o;
}

static void reconcile_account(const struct snapshot *s, const char *key, struct writes *w)
{
        if (!living_namespace(s, key) || snapshot_get(s, R_SERVICEACCOUNTS, key, "default"))
                return;
        writes_create(w, R_SERVICEACCOUNTS, key, make_object(w->arena, "ServiceAccount", key, "default"))->ignore_exists = true;
}

static void reconcile_root_ca(const struct snapshot *s, const char *key, struct writes *w)
{
        const char *pem = settings_of(s)->root_ca;
        const struct object *have = snapshot_get(s, R_CONFIGMAPS, key, ROOT_CA);
        struct json *map, *data;

        if (!pem || !living_namespace(s, key))
                return;
        data = json_new_object(w->arena);
        json_set_string(w->arena, data, "ca.crt", pem);
        if (have && json_equal(json_get(have->json, "data"), data) &&
            streq(object_annotation(have->json, "kubernetes.io/description"), ROOT_CA_TEXT))
                return;
        map = have ? object_editable(w->arena, have->json) : make_object(w->arena, "ConfigMap", key, ROOT_CA);
        json_set(w->arena, map, "data", data);
        object_set_annotation(w->arena, map, "kubernetes.io/description", ROOT_CA_TEXT);
        if (have)
                writes_update(w, R_CONFIGMAPS, NULL, map);
        else
                writes_create(w, R_CONFIGMAPS, key, map)->ignore_exists = true;
}

static void map_account(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *o = new ? new : old;

        if (!new && streq(o->name, "default"))
                keys_add(k, o->namespace);
}

static void map_config_map(const struct snapshot *s, const struct object *old, const struct object *new,
                           const struct keys *k)
{
        const struct object *o = new ? new : old;

        if (streq(o->name, ROOT_CA))
                keys_add(k, o->namespace);
}

const struct controller serviceaccount_controller = {
        .name = "serviceaccount-controller",
        .watches = { { .resource = R_NAMESPACES }, { .resource = R_SERVICEACCOUNTS, .map = map_account } },
        .n_watches = 2,
        .reconcile = reconcile_account,
};

const struct controller root_ca_controller = {
        .name = "root-ca-certificate-publisher-controller",
        .watches = { { .resource = R_NAMESPACES }, { .resource = R_CONFIGMAPS, .map = map_config_map } },
        .n_watches = 2,
        .reconcile = reconcile_root_ca,
};
