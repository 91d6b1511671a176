/* Small plugins: Priority, DefaultTolerationSeconds, PodTopologyLabels, DefaultStorageClass,
 * StorageObjectInUseProtection, PersistentVolumeClaimResize. */
#include "../../lib/meta/quantity.h"
#include "internal.h"

/* An update that does not tell the pod's priority means the one it has. */
static void keep_priority(struct admission_attributes *at)
{
        static const char *const fields[] = { "priority", "preemptionPolicy" };
        struct json *spec = json_get(at->object, "spec");

        for (size_t i = 0; json_is_object(spec) && i < ARRAY_SIZE(fields); i++) {
                const struct json *had = json_get(json_get(at->old, "spec"), fields[i]);

                if (had && !json_get(spec, fields[i]))
                        json_set(at->request->arena, spec, fields[i], json_clone(at->request->arena, had));
        }
}

/* Of those that are the default, the lowest; NULL: there is none, as in most clusters: then they are not looked through
 * again for each pod, until one changes. */
static struct json *default_priority(struct admission_attributes *at)
{
        static const struct store *none_in;
        static uint64_t none_at;
        const struct resource *res = builtin_resource("scheduling.k8s.io", "v1", "priorityclasses");
        uint64_t now = admission_store ? store_changed(admission_store, res) : 0;
        struct json *best = NULL;

        if (admission_store && none_in == admission_store && none_at == now)
                return NULL;
        json_foreach_item(admission_list_having(at, "scheduling.k8s.io", "v1", "priorityclasses", "", "globalDefault"), c) {
                if (json_get_bool(c, "globalDefault", false) &&
                    (!best || json_get_int(c, "value", 0) < json_get_int(best, "value", 0)))
                        best = c;
        }
        none_in = best ? NULL : admission_store;
        none_at = now;
        return best;
}

static const struct status *priority(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        struct json *spec = json_get(at->object, "spec"), *class = NULL;
        const char *name = get_string(spec, "priorityClassName"), *policy;
        int64_t value, given;

        if (at->op == ADMISSION_UPDATE && about(at, "", "pods") && !*at->subresource)
                keep_priority(at);
        if (!pod_create(at))
                return NULL;
        if (*name) {
                class = admission_get(at, "scheduling.k8s.io", "v1", "priorityclasses", "", name);
                if (!class)
                        return deny(at, "no PriorityClass with name %s was found", name);
        } else {
                class = default_priority(at);
                if (class)
                        json_set_string(a, spec, "priorityClassName", get_string(class, "metadata.name"));
        }
        value = json_get_int(class, "value", 0);
        given = json_get_int(spec, "priority", value);
        if (given != value)
                return deny(at,
                            "the integer value of priority (%lld) must not be provided in pod spec; priority admission "
                            "controller computed %lld from the given PriorityClass name",
                            (long long)given, (long long)value);
        json_set_int(a, spec, "priority", value);
        policy = *get_string(class, "preemptionPolicy") ? get_string(class, "preemptionPolicy") : "PreemptLowerPriority";
        if (*get_string(spec, "preemptionPolicy") && !streq(get_string(spec, "preemptionPolicy"), policy))
                return deny(at,
                            "the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission "
                            "controller computed %s from the given PriorityClass name",
                            get_string(spec, "preemptionPolicy"), policy);
        json_set_string(a, spec, "preemptionPolicy", policy);
        return NULL;
}

static const struct status *one_default(struct admission_attributes *at)
{
        const char *name;

        if (!about(at, "scheduling.k8s.io", "priorityclasses") || !json_get_bool(at->object, "globalDefault", false))
                return NULL;
        name = get_string(default_priority(at), "metadata.name");
        if (!*name || (at->op == ADMISSION_UPDATE && streq(name, at->name)))
                return NULL;
        return deny(at, "PriorityClass %s is already marked as default. Only one default can exist", name);
}
const struct admission_plugin plugin_priority = {
        .name = "Priority", .ops = ADMISSION_CREATE | ADMISSION_UPDATE, .mutate = priority, .validate = one_default
};

static bool tolerates(const struct json *list, const char *key)
{
        json_foreach_item(list, t) {
                const char *k = get_string(t, "key"), *effect = get_string(t, "effect");

                if ((!*k || streq(k, key)) && (!*effect || streq(effect, "NoExecute")))
                        return true;
        }
        return false;
}

static const struct status *tolerations(struct admission_attributes *at)
{
        static const char *const keys[] = { "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable" };
        static const char text[] = "{\"key\":\"\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":300}";
        static struct json *template;
        struct arena *a = at->request->arena;
        struct json *spec = json_get(at->object, "spec");
        bool had[2];

        if (!about(at, "", "pods") || *at->subresource)
                return NULL;
        for (size_t i = 0; i < 2; i++)
                had[i] = tolerates(json_get(spec, "tolerations"), keys[i]);
        for (size_t i = 0; i < 2; i++) {
                struct json *t;

                if (had[i])
                        continue;
                t = admission_copy(at, &template, text);
                json_set_string(a, t, "key", keys[i]);
                json_append(a, json_ensure_array(a, spec, "tolerations"), t);
        }
        return NULL;
}
const struct admission_plugin plugin_default_toleration_seconds = {
        .name = "DefaultTolerationSeconds", .ops = ADMISSION_CREATE | ADMISSION_UPDATE, .mutate = tolerations
};

/* A pod, or the binding that makes one go there, is labelled with where its node is. */
static const struct status *topology_labels(struct admission_attributes *at)
{
        static const char *const keys[] = { "topology.kubernetes.io/region", "topology.kubernetes.io/zone" };
        bool binding = streq(at->subresource, "binding");
        struct arena *a = at->request->arena;
        const struct json *labels;
        const char *node;

        if (!about(at, "", "pods") || (*at->subresource && !binding))
                return NULL;
        if (binding && !streq(get_string(at->object, "target.kind"), "Node"))
                return NULL;
        node = get_string(at->object, binding ? "target.name" : "spec.nodeName");
        labels = *node ? json_path(admission_get(at, "", "v1", "nodes", "", node), "metadata.labels") : NULL;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const char *value = json_get_string(labels, keys[i]);
                struct json *meta = json_ensure_object(a, at->object, "metadata");

                if (value)
                        json_set_string(a, json_ensure_object(a, meta, "labels"), keys[i], value);
        }
        return NULL;
}
const struct admission_plugin plugin_topology_labels = {
        .name = "PodTopologyLabels", .ops = ADMISSION_CREATE, .mutate = topology_labels
};

/* Of all classes that are the default the newest; old is the annotation's old name. */
static const char *default_class(struct json *classes, const char *annotation, const char *old)
{
        const struct json *best = NULL;

        json_foreach_item(classes, c) {
                const struct json *annotations = json_path(c, "metadata.annotations");
                const char *made = get_string(c, "metadata.creationTimestamp");

                if ((streq(json_get_string(annotations, annotation), "true") ||
                     (old && streq(json_get_string(annotations, old), "true"))) &&
                    (!best || strcmp(made, get_string(best, "metadata.creationTimestamp")) > 0))
                        best = c;
        }
        return best ? get_string(best, "metadata.name") : NULL;
}

static const struct status *storage_class(struct admission_attributes *at)
{
        struct json *spec = json_get(at->object, "spec");
        const char *name;

        if (!about(at, "", "persistentvolumeclaims") || *at->subresource || json_get_string(spec, "storageClassName") ||
            json_get(json_path(at->object, "metadata.annotations"), "volume.beta.kubernetes.io/storage-class"))
                return NULL;
        name = default_class(admission_list(at, "storage.k8s.io", "v1", "storageclasses", ""),
                             "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class");
        if (name)
                json_set_string(at->request->arena, spec, "storageClassName", name);
        return NULL;
}
const struct admission_plugin plugin_default_storage_class = {
        .name = "DefaultStorageClass", .ops = ADMISSION_CREATE, .mutate = storage_class
};

static const struct status *ingress_class(struct admission_attributes *at)
{
        struct json *spec = json_get(at->object, "spec");
        const char *name;

        if (!about(at, "networking.k8s.io", "ingresses") || *at->subresource || json_get_string(spec, "ingressClassName") ||
            json_get(json_path(at->object, "metadata.annotations"), "kubernetes.io/ingress.class"))
                return NULL;
        name = default_class(admission_list(at, "networking.k8s.io", "v1", "ingressclasses", ""),
                             "ingressclass.kubernetes.io/is-default-class", NULL);
        if (name)
                json_set_string(at->request->arena, spec, "ingressClassName", name);
        return NULL;
}
const struct admission_plugin plugin_default_ingress_class = {
        .name = "DefaultIngressClass", .ops = ADMISSION_CREATE, .mutate = ingress_class
};

static const struct status *protection(struct admission_attributes *at)
{
        const char *finalizer = about(at, "", "persistentvolumeclaims") ? "kubernetes.io/pvc-protection"
                                : about(at, "", "persistentvolumes")    ? "kubernetes.io/pv-protection"
                                                                        : NULL;
        struct arena *a = at->request->arena;

        if (finalizer && !*at->subresource && !object_has_finalizer(at->object, finalizer))
                json_append(a, json_ensure_array(a, json_ensure_object(a, at->object, "metadata"), "finalizers"),
                            json_new_string(a, finalizer));
        return NULL;
}
const struct admission_plugin plugin_storage_protection = {
        .name = "StorageObjectInUseProtection", .ops = ADMISSION_CREATE, .mutate = protection
};


static const char *claim_class(const struct json *claim)
{
        const char *old = json_get_string(json_path(claim, "metadata.annotations"), "volume.beta.kubernetes.io/storage-class");

        return old ? old : get_string(claim, "spec.storageClassName");
}

/* A claim asks for more than it was bound to: only where its class says that volumes grow. */
static const struct status *claim_resize(struct admission_attributes *at)
{
        const char *is = get_string(at->object, "spec.resources.requests.storage"), *name = claim_class(at->object);
        const char *was = get_string(at->old, "spec.resources.requests.storage");
        struct quantity new = { 0 }, old = { 0 };
        const struct json *class;

        if (!about(at, "", "persistentvolumeclaims") || *at->subresource || quantity_parse(is, &new) < 0 ||
            (*was && quantity_parse(was, &old) < 0) || quantity_cmp(&new, &old) <= 0)
                return NULL;
        if (!streq(get_string(at->old, "status.phase"), "Bound"))
                return deny(at, "Only bound persistent volume claims can be expanded");
        class = *name && streq(name, claim_class(at->old))
                        ? admission_get(at, "storage.k8s.io", "v1", "storageclasses", "", name)
                        : NULL;
        return json_get_bool(class, "allowVolumeExpansion", false)
                       ? NULL
                       : deny(at, "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                                  "support resize");
}
const struct admission_plugin plugin_claim_resize = {
        .name = "PersistentVolumeClaimResize", .ops = ADMISSION_UPDATE, .validate = claim_resize
};
