/* Protection of storage in use: a claim that is being deleted stays until no pod on a node uses it, a volume until
 * it is no longer bound, a class of attributes until no claim and no volume names it. Admission gives them their finalizers; what came without gets it here.
 */
#include "controllers.h"

#define CLAIM_FINALIZER "kubernetes.io/pvc-protection"
#define VOLUME_FINALIZER "kubernetes.io/pv-protection"
#define ATTRIBUTES_FINALIZER "kubernetes.io/vac-protection"

static void set_finalizer(struct writes *w, unsigned resource, const struct object *o, const char *finalizer, bool wanted)
{
        struct json *copy = object_editable(w->arena, o->json), *meta = json_get(copy, "metadata");
        struct json *list = json_ensure_array(w->arena, meta, "finalizers");

        for (size_t i = 0; i < json_len(list);)
                if (streq(json_string(json_at(list, i)), finalizer))
                        json_remove(list, i);
                else
                        i++;
        if (wanted)
                json_append(w->arena, list, json_new_string(w->arena, finalizer));
        writes_update(w, resource, NULL, copy)->ignore_not_found = true;
}

/* Not before it has a node: a kubelet starts no pod with a claim that is being deleted. */
static bool uses_claim(const struct object *pod, const char *claim)
{
        if (str_empty(json_path_string(pod->json, "spec.nodeName")))
                return false;
        json_foreach_item(json_path(pod->json, "spec.volumes"), v) {
                const char *name = json_path_string(v, "persistentVolumeClaim.claimName");

                if (streq(name, claim))
                        return true;
                if (json_get(v, "ephemeral") && str_has_prefix(claim, pod->name) && claim[strlen(pod->name)] == '-' &&
                    streq(claim + strlen(pod->name) + 1, json_get_string(v, "name")))
                        return true;
        }
        return false;
}

static bool is_used(const struct snapshot *s, const struct object *claim)
{
        struct object *const *pods;
        size_t n;

        pods = snapshot_in_namespace(s, R_PODS, claim->namespace, &n);
        for (size_t i = 0; i < n; i++)
                if (uses_claim(pods[i], claim->name))
                        return true;
        return false;
}

/* FINALIZER is on OBJECT (NULL: gone) until somebody wants it deleted and nobody uses it. */
static void protect(const struct snapshot *s, struct writes *w, unsigned resource, const struct object *object, const char *finalizer,
                    bool (*in_use)(const struct snapshot *s, const struct object *object))
{
        bool has = object && object_has_finalizer(object->json, finalizer);

        if (!object)
                return;
        if (!object_is_deleting(object->json) && !has)
                set_finalizer(w, resource, object, finalizer, true);
        else if (object_is_deleting(object->json) && has && !in_use(s, object))
                set_finalizer(w, resource, object, finalizer, false);
}

static void reconcile_claim(const struct snapshot *s, const char *key, struct writes *w)
{
        protect(s, w, R_PVCS, snapshot_key(s, R_PVCS, key), CLAIM_FINALIZER, is_used);
}

static bool is_bound(const struct snapshot *s, const struct object *volume)
{
        unused(s);
        return streq(json_path_string(volume->json, "status.phase"), "Bound");
}

static void reconcile_volume(const struct snapshot *s, const char *key, struct writes *w)
{
        protect(s, w, R_PVS, snapshot_key(s, R_PVS, key), VOLUME_FINALIZER, is_bound);
}

/* Where claims and volumes name a class of attributes: what they want, have, and are on their way to. */
static const char *const class_paths[] = { "spec.volumeAttributesClassName", "status.currentVolumeAttributesClassName",
                                           "status.modifyVolumeStatus.targetVolumeAttributesClassName" };

static bool names_class(const struct snapshot *s, unsigned resource, const char *class)
{
        struct map_entry *e;

        map_foreach(object_store_objects(s->stores[resource]), e)
                for (size_t i = 0; i < ARRAY_SIZE(class_paths); i++)
                        if (streq(json_path_string(((const struct object *)e->value)->json, class_paths[i]), class))
                                return true;
        return false;
}

static bool is_named(const struct snapshot *s, const struct object *class)
{
        return names_class(s, R_PVCS, class->name) || names_class(s, R_PVS, class->name);
}

static void reconcile_attributes(const struct snapshot *s, const char *key, struct writes *w)
{
        protect(s, w, R_ATTRIBUTES, snapshot_key(s, R_ATTRIBUTES, key), ATTRIBUTES_FINALIZER, is_named);
}

/* What a claim or volume named before. */
static void map_user(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        for (size_t i = 0; old && i < ARRAY_SIZE(class_paths); i++) {
                const char *before = json_path_string(old->json, class_paths[i]);

                if (before && !(new && streq(json_path_string(new->json, class_paths[i]), before)))
                        keys_add(k, before);
        }
}

/* The claims that a pod which came to a node, ended or went had: only they can have become free. */
static void map_pod(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (new)
                return;
        json_foreach_item(json_path(old->json, "spec.volumes"), v) {
                const char *name = json_path_string(v, "persistentVolumeClaim.claimName");

                if (name)
                        keys_addf(k, "%s/%s", old->namespace, name);
                else if (json_get(v, "ephemeral"))
                        keys_addf(k, "%s/%s-%s", old->namespace, old->name, json_get_string(v, "name"));
        }
}

const struct controller claim_protection_controller = {
        .name = "persistentvolumeclaim-protection-controller",
        .watches = { { .resource = R_PVCS }, { .resource = R_PODS, .map = map_pod } },
        .n_watches = 2,
        .reconcile = reconcile_claim,
};

const struct controller volume_protection_controller = {
        .name = "persistentvolume-protection-controller",
        .watches = { { .resource = R_PVS } },
        .n_watches = 1,
        .reconcile = reconcile_volume,
};

const struct controller attributes_protection_controller = {
        .name = "volumeattributesclass-protection-controller",
        .watches = { { .resource = R_ATTRIBUTES }, { .resource = R_PVCS, .map = map_user }, { .resource = R_PVS, .map = map_user } },
        .n_watches = 3,
        .reconcile = reconcile_attributes,
};
