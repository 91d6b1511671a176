/* Binding of static volumes: a claim gets the smallest volume that fits it.
 *
 * Two writes make a binding: the volume's claimRef first, then the claim's volumeName; either may be
 * there without the other after a crash, and the round after goes on from what it finds. A volume
 * that its claim left is Released, and then its reclaim policy decides: Retain keeps it as it is,
 * Delete removes a hostPath below /tmp (upstream's rule for this kind) or leaves it to whoever
 * provisioned it, Recycle is not done any more and says so.
 */
#include "controllers.h"

#include <errno.h>

#include "../lib/base/file.h"

#define BOUND_BY "pv.kubernetes.io/bound-by-controller"
#define BOUND "pv.kubernetes.io/bind-completed"
#define SELECTED_NODE "volume.kubernetes.io/selected-node"

static const char *or_empty(const char *s)
{
        return s ? s : "";
}

static bool has_all_modes(const struct json *volume, const struct json *claim)
{
        json_foreach_item(json_path(claim, "spec.accessModes"), want) {
                bool found = false;

                json_foreach_item(json_path(volume, "spec.accessModes"), have)
                        found |= streq(json_string(have), json_string(want));
                if (!found)
                        return false;
        }
        return true;
}

static struct quantity storage_of(const struct json *o, const char *path)
{
        struct quantity q = { 0 };
        const char *text = json_path_string(o, path);

        if (text)
                quantity_parse(text, &q);
        return q;
}

static bool is_empty_or_equal(const char *x, const char *y)
{
        return streq(or_empty(x), or_empty(y));
}

/* Bound to the claim, or meant for it by whoever wrote the reference. */
static bool is_meant_for(const struct object *volume, const struct object *claim)
{
        const struct json *ref = json_path(volume->json, "spec.claimRef");
        const char *uid = json_get_string(ref, "uid");

        return ref && streq(json_get_string(ref, "namespace"), claim->namespace) &&
               streq(json_get_string(ref, "name"), claim->name) && (str_empty(uid) || streq(uid, claim->uid));
}

/* Why the volume will not do, in upstream's words and order; NULL: it will. */
static const char *mismatch(struct arena *a, const struct object *volume, const struct object *claim)
{
        const struct json *v = volume->json, *c = claim->json;
        const char *vm = json_path_string(v, "spec.volumeMode"), *cm = json_path_string(c, "spec.volumeMode");
        struct quantity have = storage_of(v, "spec.capacity.storage"), want = storage_of(c, "spec.resources.requests.storage");

        if (object_is_deleting(v))
                return arena_printf(a, "the volume is marked for deletion \"%s\"", volume->name);
        if (quantity_cmp(&have, &want) < 0)
                return "requested PV is too small";
        if (!is_empty_or_equal(json_path_string(v, "spec.storageClassName"), json_path_string(c, "spec.storageClassName")))
                return "storageClassName does not match";
        if (!is_empty_or_equal(json_path_string(v, "spec.volumeAttributesClassName"), json_path_string(c, "spec.volumeAttributesClassName")))
                return "volumeAttributesClassName does not match";
        if (!streq(vm ? vm : "Filesystem", cm ? cm : "Filesystem"))
                return "incompatible volumeMode";
        return has_all_modes(v, c) ? NULL : "incompatible accessMode";
}

/* What is meant for the claim needs no class of its own. */
static bool suits_meant(struct arena *a, const struct object *volume, const struct object *claim)
{
        const char *why = mismatch(a, volume, claim);

        return !why || str_has_prefix(why, "storageClassName");
}

static bool fits(struct arena *a, const struct object *volume, const struct object *claim)
{
        struct selector sel;

        if (json_path(volume->json, "spec.claimRef"))
                return is_meant_for(volume, claim) && suits_meant(a, volume, claim);
        if (json_path(claim->json, "spec.selector") &&
            (selector_from_object(a, json_path(claim->json, "spec.selector"), &sel, NULL) < 0 ||
             !selector_matches(&sel, json_path(volume->json, "metadata.labels"))))
                return false;
        return !mismatch(a, volume, claim);
}

static bool is_available(const struct object *volume)
{
        return json_path(volume->json, "spec.claimRef") || streq(json_path_string(volume->json, "status.phase"), "Available");
}

static const struct object *class_of(const struct snapshot *s, const struct object *claim)
{
        const char *class = json_path_string(claim->json, "spec.storageClassName");

        return str_empty(class) ? NULL : snapshot_get(s, R_STORAGECLASSES, NULL, class);
}

/* WaitForFirstConsumer: the scheduler chooses the volume, which is then meant for the claim. */
static bool is_delayed(const struct snapshot *s, const struct object *claim)
{
        const struct object *sc = class_of(s, claim);

        return sc && streq(json_get_string(sc->json, "volumeBindingMode"), "WaitForFirstConsumer");
}

/* One that is meant for the claim already, else the smallest; perhaps one that is only just being made available. */
static const struct object *find_volume(const struct snapshot *s, struct arena *a, const struct object *claim)
{
        bool delayed = is_delayed(s, claim);
        const struct object *best = NULL;
        struct map_entry *e;

        map_foreach(object_store_objects(s->stores[R_PVS]), e) {
                const struct object *volume = e->value;
                struct quantity have = storage_of(volume->json, "spec.capacity.storage"), least;
                bool meant = json_path(volume->json, "spec.claimRef") != NULL;

                if ((delayed && !meant) || !fits(a, volume, claim))
                        continue;
                if (meant)
                        return volume;
                if (!is_available(volume) && !streq(json_path_string(volume->json, "status.phase"), "Pending"))
                        continue;
                least = best ? storage_of(best->json, "spec.capacity.storage") : have;
                if (!best || quantity_cmp(&have, &least) < 0 ||
                    (quantity_cmp(&have, &least) == 0 && strcmp(volume->name, best->name) < 0))
                        best = volume;
        }
        return best;
}

/* Nobody has chosen a node yet, for whose sake a volume would be made. */
static bool must_wait(const struct snapshot *s, const struct object *claim)
{
        return is_delayed(s, claim) && !object_annotation(claim->json, SELECTED_NODE);
}

static void set_phase(struct writes *w, unsigned resource, const struct object *o, const char *phase,
                      const struct object *volume, int64_t now)
{
        struct json *copy = object_editable(w->arena, o->json), *status = json_ensure_object(w->arena, copy, "status");
        char buf[TIME_BUF];

        if (!streq(json_get_string(status, "phase"), phase) && resource == R_PVS)
                json_set_string(w->arena, status, "lastPhaseTransitionTime", time_format(now, buf));
        json_set_string(w->arena, status, "phase", phase);
        if (volume) {
                json_set(w->arena, status, "accessModes", json_clone(w->arena, json_path(volume->json, "spec.accessModes")));
                json_set(w->arena, status, "capacity", json_clone(w->arena, json_path(volume->json, "spec.capacity")));
        }
        if (!json_equal(status, json_get(o->json, "status")))
                writes_update(w, resource, "status", copy);
}

static struct json *claim_reference(struct arena *a, const struct object *claim)
{
        struct json *ref = json_new_object(a);

        json_set_string(a, ref, "kind", "PersistentVolumeClaim");
        json_set_string(a, ref, "apiVersion", "v1");
        json_set_string(a, ref, "namespace", claim->namespace);
        json_set_string(a, ref, "name", claim->name);
        json_set_string(a, ref, "uid", claim->uid);
        json_set_string(a, ref, "resourceVersion", claim->resource_version);
        return ref;
}

/* One step of a binding a round: each changes what is watched, and so brings the next. */
static void bind_step(const struct snapshot *s, struct writes *w, const struct object *claim, const struct object *volume)
{
        struct arena *a = w->arena;
        struct json *copy;

        if (!streq(json_path_string(volume->json, "spec.claimRef.uid"), claim->uid)) {
                copy = object_editable(a, volume->json);
                json_set(a, copy, "spec", json_clone_shallow(a, json_get(copy, "spec")));
                if (!json_path(volume->json, "spec.claimRef"))
                        object_set_annotation(a, copy, BOUND_BY, "yes");
                json_set(a, json_get(copy, "spec"), "claimRef", claim_reference(a, claim));
                writes_update(w, R_PVS, NULL, copy);
        } else if (!streq(json_path_string(claim->json, "spec.volumeName"), volume->name) ||
                   !object_annotation(claim->json, BOUND)) {
                copy = object_editable(a, claim->json);
                json_set(a, copy, "spec", json_clone_shallow(a, json_get(copy, "spec")));
                if (str_empty(json_path_string(claim->json, "spec.volumeName")))
                        object_set_annotation(a, copy, BOUND_BY, "yes");
                object_set_annotation(a, copy, BOUND, "yes");
                json_set_string(a, json_get(copy, "spec"), "volumeName", volume->name);
                writes_update(w, R_PVCS, NULL, copy);
        } else {
                set_phase(w, R_PVCS, claim, "Bound", volume, s->now);
        }
}

/* Pods that use the claim and have no node: "p,q". NULL: there is none. */
static const char *waiting_pods(const struct snapshot *s, struct arena *a, const struct object *claim, size_t *ret_n)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct object_list names = { 0 };
        struct object *const *pods;
        size_t n;

        pods = snapshot_in_namespace(s, R_PODS, claim->namespace, &n);
        for (size_t i = 0; i < n; i++) {
                if (!str_empty(json_path_string(pods[i]->json, "spec.nodeName")) || pod_is_terminal(pods[i]->json))
                        continue;
                json_foreach_item(json_path(pods[i]->json, "spec.volumes"), v)
                        if (streq(json_path_string(v, "persistentVolumeClaim.claimName"), claim->name) ||
                            (json_get(v, "ephemeral") &&
                             streq(arena_printf(a, "%s-%s", pods[i]->name, json_get_string(v, "name")), claim->name))) {
                                list_add(a, &names, pods[i]);
                                break;
                        }
        }
        list_sort(&names, compare_by_name);
        for (size_t i = 0; i < names.n; i++)
                strbuf_printf(&b, "%s%s", i ? "," : "", names.items[i]->name);
        *ret_n = names.n;
        return names.n ? arena_strdup(a, strbuf_str(&b)) : NULL;
}

/* Rounds come with every volume that changes; what is told of a claim comes once a period. */
static void tell(const struct snapshot *s, struct writes *w, const struct object *claim, const char *type, const char *reason,
                 const char *message)
{
        const char *key = arena_printf(w->arena, "told %s %s", claim->uid, reason);
        int64_t since = snapshot_since(s, key);

        if (since != s->now && s->now - since < settings_of(s)->pv_sync_ns)
                return;
        snapshot_over(s, key);
        snapshot_since(s, key);
        writes_event(w, claim->json, type, reason, "%s", message);
}

/* Why there is no volume yet. Told once a period: the number of the Event then says how long it has been. */
static void tell_waiting(const struct snapshot *s, const struct object *claim, struct writes *w)
{
        const char *class = json_path_string(claim->json, "spec.storageClassName"), *provisioner, *pods;
        const struct object *sc = class_of(s, claim);
        size_t n;

        provisioner = sc ? json_get_string(sc->json, "provisioner") : NULL;
        if (must_wait(s, claim) && (pods = waiting_pods(s, w->arena, claim, &n)))
                tell(s, w, claim, "Normal", "WaitForPodScheduled",
                     arena_printf(w->arena, "waiting for pod%s %s to be scheduled", n > 1 ? "s" : "", pods));
        else if (must_wait(s, claim))
                tell(s, w, claim, "Normal", "WaitForFirstConsumer",
                     "waiting for first consumer to be created before binding");
        else if (str_empty(class))
                tell(s, w, claim, "Normal", "FailedBinding",
                     "no persistent volumes available for this claim and no storage class is set");
        else if (!sc)
                tell(s, w, claim, "Warning", "ProvisioningFailed",
                     arena_printf(w->arena, "storageclass.storage.k8s.io \"%s\" not found", class));
        else if (!provisioner || str_has_prefix(provisioner, "kubernetes.io/"))
                tell(s, w, claim, "Warning", "ProvisioningFailed",
                     arena_printf(w->arena, "no volume plugin matched name: %s", or_empty(provisioner)));
        else
                tell(s, w, claim, "Normal", "ExternalProvisioning",
                     arena_printf(w->arena, "Waiting for a volume to be created either by the external provisioner '%s' or manually by the "
                                            "system administrator. If volume creation is delayed, please verify that the provisioner "
                                            "is running and correctly registered.", provisioner));
}

/* The claim asks for one volume by its name, and no other will do. Returns it when they can be bound. */
static const struct object *named_volume(const struct snapshot *s, const struct object *claim, struct writes *w)
{
        const char *name = json_path_string(claim->json, "spec.volumeName"), *why;
        const struct object *volume = snapshot_get(s, R_PVS, NULL, name);

        if (!volume || is_meant_for(volume, claim))
                return volume;
        if (json_path(volume->json, "spec.claimRef")) {
                if (!object_annotation(claim->json, BOUND_BY))
                        tell(s, w, claim, "Warning", "FailedBinding",
                             arena_printf(w->arena, "volume \"%s\" already bound to a different claim.", name));
                return NULL;
        }
        why = mismatch(w->arena, volume, claim);
        if (!why)
                return volume;
        tell(s, w, claim, "Warning", "VolumeMismatch",
             arena_printf(w->arena, "Cannot bind to requested volume \"%s\": %s", name, why));
        return NULL;
}

/* The newest of those that are marked as default. */
static const struct object *default_class(const struct snapshot *s)
{
        const struct object *best = NULL;
        struct map_entry *e;

        map_foreach(object_store_objects(s->stores[R_STORAGECLASSES]), e) {
                const struct object *sc = e->value;

                if (!streq(object_annotation(sc->json, "storageclass.kubernetes.io/is-default-class"), "true") &&
                    !streq(object_annotation(sc->json, "storageclass.beta.kubernetes.io/is-default-class"), "true"))
                        continue;
                if (!best || compare_by_creation(&best, &sc) < 0)
                        best = sc;
        }
        return best;
}

/* A claim that was made before there was a default class gets the one that is there now. */
static bool assign_class(const struct snapshot *s, const struct object *claim, struct writes *w)
{
        const struct object *sc = json_path(claim->json, "spec.storageClassName") ? NULL : default_class(s);
        struct json *copy;

        if (!sc)
                return false;
        copy = object_editable(w->arena, claim->json);
        json_set(w->arena, copy, "spec", json_clone_shallow(w->arena, json_get(copy, "spec")));
        json_path_set(w->arena, copy, "spec.storageClassName", json_new_string(w->arena, sc->name));
        writes_update(w, R_PVCS, NULL, copy);
        return true;
}

/* Asks an external provisioner: it looks for claims with its name. True: that has to be written first. */
static bool ask_provisioner(const struct snapshot *s, const struct object *claim, struct writes *w)
{
        static const char *const keys[] = { "volume.beta.kubernetes.io/storage-provisioner",
                                            "volume.kubernetes.io/storage-provisioner" };
        const struct object *sc = class_of(s, claim);
        struct json *copy = object_editable(w->arena, claim->json);
        const char *name;

        name = sc && !must_wait(s, claim) ? json_get_string(sc->json, "provisioner") : NULL;
        if (!name || str_has_prefix(name, "kubernetes.io/") || streq(object_annotation(claim->json, keys[1]), name))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                object_set_annotation(w->arena, copy, keys[i], name);
        writes_update(w, R_PVCS, NULL, copy);
        return true;
}

static void lose_claim(const struct snapshot *s, const struct object *claim, const char *why, struct writes *w)
{
        struct json *copy = object_editable(w->arena, claim->json), *status = json_ensure_object(w->arena, copy, "status");

        if (streq(json_get_string(status, "phase"), "Lost"))
                return;
        json_set_string(w->arena, status, "phase", "Lost");
        json_del(status, "accessModes");
        json_del(status, "capacity");
        writes_update(w, R_PVCS, "status", copy);
        writes_event(w, claim->json, "Warning", "ClaimLost", "Bound claim has lost %s. Data on the volume is lost!", why);
}

/* One that was bound: its volume must still be there and be its own. */
static void check_bound(const struct snapshot *s, const struct object *claim, struct writes *w)
{
        const char *name = json_path_string(claim->json, "spec.volumeName");
        const struct object *volume = str_empty(name) ? NULL : snapshot_get(s, R_PVS, NULL, name);

        if (str_empty(name))
                lose_claim(s, claim, "reference to PersistentVolume", w);
        else if (!volume)
                lose_claim(s, claim, "its PersistentVolume", w);
        else if (!streq(json_path_string(volume->json, "spec.claimRef.uid"), claim->uid))
                writes_event(w, claim->json, "Warning", "ClaimMisbound",
                             "Two claims are bound to the same volume, this one is bound incorrectly");
}

/* A bound claim that asks for more than it has: somebody else makes volumes larger. */
static void tell_expanding(const struct object *claim, struct writes *w)
{
        struct quantity have = storage_of(claim->json, "status.capacity.storage"), want = storage_of(claim->json, "spec.resources.requests.storage");

        if (streq(json_path_string(claim->json, "status.phase"), "Bound") && quantity_cmp(&want, &have) > 0)
                writes_event_once(w, claim->json, "Normal", "ExternalExpanding",
                                  "waiting for an external controller to expand this PVC");
}

static void reconcile_expansion(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *claim = snapshot_key(s, R_PVCS, key);

        if (claim && !object_is_deleting(claim->json))
                tell_expanding(claim, w);
}

static void map_larger(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        struct quantity before, now;

        if (!new)
                return;
        before = storage_of(old ? old->json : NULL, "spec.resources.requests.storage");
        now = storage_of(new->json, "spec.resources.requests.storage");
        if (quantity_cmp(&now, &before) > 0 || !streq(json_path_string(old ? old->json : NULL, "status.phase"), json_path_string(new->json, "status.phase")))
                keys_add(k, new->key);
}

const struct controller volume_expander = {
        .name = "persistentvolume-expander-controller",
        .component = "volume_expand",
        .watches = { { .resource = R_PVCS, .map = map_larger } },
        .n_watches = 1,
        .reconcile = reconcile_expansion,
};

static void reconcile_claim(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *claim = snapshot_key(s, R_PVCS, key), *volume;
        bool named;

        if (!claim || object_is_deleting(claim->json))
                return;
        named = !str_empty(json_path_string(claim->json, "spec.volumeName"));
        if (object_annotation(claim->json, BOUND)) {
                volume = named ? snapshot_get(s, R_PVS, NULL, json_path_string(claim->json, "spec.volumeName")) : NULL;
                if (volume && (!json_path(volume->json, "spec.claimRef") || is_meant_for(volume, claim)))
                        bind_step(s, w, claim, volume);
                else
                        check_bound(s, claim, w);
                return;
        }
        volume = named ? named_volume(s, claim, w) : find_volume(s, w->arena, claim);
        if (volume) {
                if (is_available(volume))
                        bind_step(s, w, claim, volume);
                return; /* one that was made just now is available in a moment, and brings the next round */
        }
        if (!named && assign_class(s, claim, w))
                return;
        if (!w->n)
                set_phase(w, R_PVCS, claim, "Pending", NULL, s->now);
        if (!w->n && !named && !ask_provisioner(s, claim, w))
                tell_waiting(s, claim, w);
        writes_requeue(w, settings_of(s)->pv_sync_ns);
}

/* --- what becomes of volumes --- */

static void fail_volume(struct writes *w, const struct object *volume, const char *reason, const char *message, int64_t now)
{
        struct json *copy = object_editable(w->arena, volume->json), *status = json_ensure_object(w->arena, copy, "status");
        char buf[TIME_BUF];

        json_set_string(w->arena, status, "phase", "Failed");
        json_set_string(w->arena, status, "message", message);
        json_set_string(w->arena, status, "lastPhaseTransitionTime", time_format(now, buf));
        writes_update(w, R_PVS, "status", copy);
        writes_event(w, volume->json, "Warning", reason, "%s", message);
}

static int remove_below_tmp(const char *path, struct error *reterr)
{
        /* The path was checked by its text; what it is a link to is not followed. */
        int r = dir_remove(path, reterr);

        return r == -ENOENT ? 0 : r;
}

/* "/tmp/.+", and no way out of it. */
static bool is_below_tmp(const char *path)
{
        return str_has_prefix(path, "/tmp/") && path[strlen("/tmp/")] && !strstr(path, "/../") && !str_has_suffix(path, "/..");
}

static void delete_volume(const struct snapshot *s, const struct object *volume, struct writes *w)
{
        const char *by = object_annotation(volume->json, "pv.kubernetes.io/provisioned-by");
        const char *path = json_path_string(volume->json, "spec.hostPath.path");
        struct write *x;

        if ((by && !str_has_prefix(by, "kubernetes.io/")) || json_path(volume->json, "spec.csi"))
                return; /* whoever made it deletes it */
        if (!path) {
                fail_volume(w, volume, "VolumeFailedDelete",
                            arena_printf(w->arena, "error getting deleter volume plugin for volume \"%s\": "
                                                   "no deletable volume plugin matched", volume->name), s->now);
        } else if (!is_below_tmp(path)) {
                fail_volume(w, volume, "VolumeFailedDelete",
                            arena_printf(w->arena, "host_path deleter only supports /tmp/.+ but received provided %s", path), s->now);
        } else {
                x = writes_add(w, WRITE_WORK, R_PVS, NULL, path, NULL);
                x->work = remove_below_tmp;
                write_event_set(w, &x->failed, volume->json, "Warning", "VolumeFailedDelete", "{error}");
                writes_delete(w, R_PVS, volume, -1, NULL);
        }
}

static void reclaim(const struct snapshot *s, const struct object *volume, struct writes *w)
{
        const char *policy = json_path_string(volume->json, "spec.persistentVolumeReclaimPolicy"), *why;

        if (streq(json_path_string(volume->json, "status.phase"), "Failed"))
                return;
        set_phase(w, R_PVS, volume, "Released", NULL, s->now);
        if (w->n || object_is_deleting(volume->json))
                return; /* the next round goes on; one that is deleted goes as soon as it is Released */
        if (streq(policy, "Delete"))
                delete_volume(s, volume, w);
        else if (streq(policy, "Recycle") && (why = recycle_volume(s, volume, w)))
                fail_volume(w, volume, "VolumeFailedRecycle", why, s->now);
}

static void reconcile_volume(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *volume = snapshot_key(s, R_PVS, key), *claim;
        const struct json *ref;
        const char *uid;
        struct write *x;

        if (!volume)
                return;
        ref = json_path(volume->json, "spec.claimRef");
        uid = json_get_string(ref, "uid");
        if (!ref || str_empty(uid)) {
                set_phase(w, R_PVS, volume, "Available", NULL, s->now);
                return;
        }
        claim = snapshot_get(s, R_PVCS, json_get_string(ref, "namespace"), json_get_string(ref, "name"));
        if (claim && streq(claim->uid, uid)) {
                set_phase(w, R_PVS, volume, "Bound", NULL, s->now);
                return;
        }
        reclaim(s, volume, w);
        if (w->n) { /* data may be lost by this: the server itself must say that the claim is gone */
                x = writes_insert(w, 0, WRITE_EXPECT_ABSENT, R_PVCS, json_get_string(ref, "namespace"),
                                  json_get_string(ref, "name"));
                x->uid = arena_strdup(w->arena, uid);
        }
}

/* A volume concerns the claim it names, and while it is free every claim that still waits. */
static void map_volume(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *o = new ? new : old;
        const struct json *ref = json_path(o->json, "spec.claimRef");
        _cleanup_arena_ struct arena *a = NULL;
        struct object_list waiting = { 0 };
        struct map_entry *e;

        if (ref) {
                keys_addf(k, "%s/%s", or_empty(json_get_string(ref, "namespace")), or_empty(json_get_string(ref, "name")));
                return;
        }
        a = arena_new(0);
        map_foreach(object_store_objects(s->stores[R_PVCS]), e) {
                const struct object *claim = e->value;

                if (!object_annotation(claim->json, BOUND))
                        list_add(a, &waiting, claim);
        }
        list_sort(&waiting, compare_by_creation); /* who came first has the first choice */
        for (size_t i = 0; i < waiting.n; i++)
                keys_add(k, waiting.items[i]->key);
}

static void map_claim(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *o = new ? new : old;
        struct map_entry *e;

        map_foreach(object_store_objects(s->stores[R_PVS]), e) {
                const struct object *volume = e->value;

                if (streq(json_path_string(volume->json, "spec.claimRef.uid"), o->uid))
                        keys_add(k, volume->key);
        }
}

const struct controller claim_binder = {
        .name = "persistentvolume-binder-controller",
        .component = "persistentvolume-controller",
        .watches = { { .resource = R_PVCS }, { .resource = R_PVS, .map = map_volume },
                     { .resource = R_STORAGECLASSES, .passive = true }, { .resource = R_PODS, .passive = true } },
        .n_watches = 4,
        .workers = 1, /* two claims must never choose the same volume */
        .reconcile = reconcile_claim,
};

static void map_recycler(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *o = new ? new : old;

        if (streq(o->namespace, "default") && str_has_prefix(o->name, RECYCLER_PREFIX))
                keys_add(k, o->name + strlen(RECYCLER_PREFIX));
}

const struct controller volume_phases = {
        .name = "persistentvolume-phase-controller",
        .component = "persistentvolume-controller",
        .watches = { { .resource = R_PVS }, { .resource = R_PVCS, .map = map_claim }, { .resource = R_PODS, .map = map_recycler } },
        .n_watches = 3,
        .reconcile = reconcile_volume,
};
