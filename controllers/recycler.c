/* Reclaim policy Recycle: a volume whose claim is gone is emptied by a pod, and is then free for the next
 * claim. Only a pod sees a volume's files where they are, so the controllers do not touch them themselves.
 *
 * Each round takes one step, told from what is there: no pod yet, one that works, one that ended.
 */
#include "controllers.h"

#define NAMESPACE "default"
#define IMAGE "registry.k8s.io/build-image/debian-base:bookworm-v1.0.4"
/* Everything below the mount, hidden files too; it fails where something is left. */
#define SCRUB "test -e /scrub && rm -rf /scrub/..?* /scrub/.[!.]* /scrub/* && test -z \"$(ls -A /scrub)\" || exit 1"
#define AT_LEAST_S 60
#define PER_GIB_S 30

/* Big volumes have longer. */
static int64_t time_allowed(const struct object *volume)
{
        const char *text = json_path_string(volume->json, "spec.capacity.storage");
        struct quantity q = { 0 };

        if (text)
                quantity_parse(text, &q);
        return MAX((quantity_value(&q) >> 30) * PER_GIB_S, AT_LEAST_S);
}

static struct json *recycler_volume(struct arena *a, const struct object *volume)
{
        static const char *const kinds[] = { "hostPath", "nfs" };
        const struct json *spec = json_get(volume->json, "spec");

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                const struct json *source = json_get(spec, kinds[i]);
                struct json *v = json_new_object(a);

                if (!source)
                        continue;
                json_set_string(a, v, "name", "vol");
                if (streq(kinds[i], "hostPath")) /* the path alone: that it must be made is the volume's business */
                        json_set_string(a, json_ensure_object(a, v, "hostPath"), "path", json_get_string(source, "path"));
                else
                        json_set(a, v, kinds[i], json_clone(a, source));
                return v;
        }
        return NULL;
}

static struct json *recycler_pod(struct arena *a, const char *name, const struct object *volume, struct json *mounted)
{
        struct json *pod = json_new_object(a), *meta, *spec, *c = json_new_object(a), *mount = json_new_object(a), *args;

        json_set_string(a, pod, "apiVersion", "v1");
        json_set_string(a, pod, "kind", "Pod");
        meta = json_ensure_object(a, pod, "metadata");
        json_set_string(a, meta, "name", name);
        json_set_string(a, meta, "namespace", NAMESPACE);
        spec = json_ensure_object(a, pod, "spec");
        json_set_int(a, spec, "activeDeadlineSeconds", time_allowed(volume));
        json_set_string(a, spec, "restartPolicy", "Never");
        json_append(a, json_ensure_array(a, spec, "volumes"), mounted);
        json_set_string(a, c, "name", "pv-recycler");
        json_set_string(a, c, "image", IMAGE);
        json_append(a, json_ensure_array(a, c, "command"), json_new_string(a, "/bin/sh"));
        args = json_ensure_array(a, c, "args");
        json_append(a, args, json_new_string(a, "-c"));
        json_append(a, args, json_new_string(a, SCRUB));
        json_set_string(a, mount, "name", "vol");
        json_set_string(a, mount, "mountPath", "/scrub");
        json_append(a, json_ensure_array(a, c, "volumeMounts"), mount);
        json_append(a, json_ensure_array(a, spec, "containers"), c);
        return pod;
}

/* Free again: nothing of the last claim stays in the volume. */
static void release(struct writes *w, const struct object *volume)
{
        struct json *copy = object_editable(w->arena, volume->json);
        struct write *x;

        json_set(w->arena, copy, "spec", json_clone_shallow(w->arena, json_get(copy, "spec")));
        json_del(json_get(copy, "spec"), "claimRef");
        object_set_annotation(w->arena, copy, "pv.kubernetes.io/bound-by-controller", NULL);
        x = writes_update(w, R_PVS, NULL, copy);
        write_event_set(w, &x->done, volume->json, "Normal", "VolumeRecycled", "Volume recycled");
}

const char *recycle_volume(const struct snapshot *s, const struct object *volume, struct writes *w)
{
        const char *name = arena_printf(w->arena, RECYCLER_PREFIX "%s", volume->name), *phase;
        const struct object *pod = snapshot_get(s, R_PODS, NAMESPACE, name);
        struct json *mounted = recycler_volume(w->arena, volume);

        if (!mounted)
                return "No recycler plugin found for the volume!";
        if (!pod) {
                writes_create(w, R_PODS, NAMESPACE, recycler_pod(w->arena, name, volume, mounted))->ignore_exists = true;
                return NULL;
        }
        phase = json_path_string(pod->json, "status.phase");
        if (object_is_deleting(pod->json) || (!streq(phase, "Succeeded") && !streq(phase, "Failed")))
                return NULL;
        if (streq(phase, "Succeeded"))
                release(w, volume);
        writes_delete(w, R_PODS, pod, 0, NULL);
        if (streq(phase, "Succeeded"))
                return NULL;
        phase = json_path_string(pod->json, "status.message");
        return arena_printf(w->arena, "Recycle failed: %s", phase ? phase : "pod failed, pod.Status.Message unknown.");
}
