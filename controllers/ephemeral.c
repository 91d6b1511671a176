/* Ephemeral volumes: a claim of a pod's own, made with it and, by its owner reference, gone with it. */
#include "controllers.h"

static struct json *make_claim(struct arena *a, const struct object *pod, const struct json *volume, const char *name)
{
        const struct json *template = json_path(volume, "ephemeral.volumeClaimTemplate");
        static const char *const copied[] = { "labels", "annotations" };
        struct json *claim = json_new_object(a), *meta;

        json_set_string(a, claim, "apiVersion", "v1");
        json_set_string(a, claim, "kind", "PersistentVolumeClaim");
        meta = json_ensure_object(a, claim, "metadata");
        json_set_string(a, meta, "name", name);
        json_set_string(a, meta, "namespace", pod->namespace);
        for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
                if (json_get(json_get(template, "metadata"), copied[i]))
                        json_set(a, meta, copied[i], json_clone(a, json_get(json_get(template, "metadata"), copied[i])));
        json_append(a, json_ensure_array(a, meta, "ownerReferences"), object_make_controller_ref(a, "v1", "Pod", pod->json));
        if (json_get(template, "spec"))
                json_set(a, claim, "spec", json_clone(a, json_get(template, "spec")));
        return claim;
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *pod = snapshot_key(s, R_PODS, key);

        if (!pod || s->failure || object_is_deleting(pod->json) || pod_is_terminal(pod->json))
                return;
        json_foreach_item(json_path(pod->json, "spec.volumes"), v) {
                const char *name = arena_printf(w->arena, "%s-%s", pod->name, json_get_string(v, "name"));
                const struct object *claim;
                struct write *x;

                if (!json_get(v, "ephemeral"))
                        continue;
                claim = snapshot_get(s, R_PVCS, pod->namespace, name);
                if (claim && !object_is_controlled_by(claim->json, pod->uid)) { /* never taken */
                        writes_event(w, pod->json, "Warning", "FailedBinding",
                                     "ephemeral volume %s: PVC %s was not created for pod %s (pod is not owner)",
                                     json_get_string(v, "name"), claim->key, pod->key);
                        w->failed = true;
                        return;
                }
                if (claim)
                        continue;
                x = writes_create(w, R_PVCS, pod->namespace, make_claim(w->arena, pod, v, name));
                x->ignore_exists = true;
        }
}

static bool has_ephemeral(const struct object *pod)
{
        json_foreach_item(json_path(pod->json, "spec.volumes"), v) {
                if (json_get(v, "ephemeral"))
                        return true;
        }
        return false;
}

static void map_pod(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (new && !old && has_ephemeral(new))
                keys_add(k, new->key);
}

/* A claim that is gone: its pod, if it is still there, needs another. */
static void map_claim(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct json *ref = new ? NULL : object_controller(old->json);

        if (streq(json_get_string(ref, "kind"), "Pod"))
                keys_addf(k, "%s/%s", old->namespace, json_get_string(ref, "name"));
}

const struct controller ephemeral_controller = {
        .name = "ephemeral-volume-controller",
        .component = "ephemeral_volume",
        .watches = { { .resource = R_PODS, .map = map_pod }, { .resource = R_PVCS, .map = map_claim } },
        .n_watches = 2,
        .reconcile = reconcile,
};
