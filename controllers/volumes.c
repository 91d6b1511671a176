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

static bool fits(struct arena *a, const struct object *volume, const struct object *claim)
{
        const struct json *v = volume->json, *c = claim->json, *ref = json_path(v, "spec.claimRef");
        const char *vm = json_path_string(v, "spec.volumeMode"), *cm = json_path_string(c, "spec.volumeMode");
        struct quantity have = storage_of(v, "spec.capacity.storage"), want = storage_of(c, "spec.resources.requests.storage");
        struct selector sel;

        if (object_is_deleting(v))
                return false;
        if (ref) {
                const char *uid = json_get_string(ref, "uid");

                return streq(json_get_string(ref, "namespace"), claim->namespace) &&
                       streq(json_get_string(ref, "name"), claim->name) && (str_empty(uid) || streq(uid, claim->uid));
        }
        if (json_path(c, "spec.selector") &&
            (selector_from_object(a, json_path(c, "spec.selector"), &sel, NULL) < 0 ||
             !selector_matches(&sel, json_path(v, "metadata.labels"))))
                return false;
        return streq(or_empty(json_path_string(v, "spec.storageClassName")), or_empty(json_path_string(c, "spec.storageClassName"))) &&
               streq(vm ? vm : "Filesystem", cm ? cm : "Filesystem") && has_all_modes(v, c) && quantity_cmp(&have, &want) >= 0;
}

/* One that is meant for the claim already, else the smallest. */
static const struct object *find_volume(const struct snapshot *s, struct arena *a, const struct object *claim)
{
        const char *named = json_path_string(claim->json, "spec.volumeName");
        const struct object *best = NULL;
        struct map_entry *e;

        if (!str_empty(named)) {
                const struct object *volume = snapshot_get(s, R_PVS, NULL, named);
                const struct json *ref = volume ? json_path(volume->json, "spec.claimRef") : NULL;

                return volume && (!ref || fits(a, volume, claim)) ? volume : NULL;
        }
        map_foreach(object_store_objects(s->stores[R_PVS]), e) {
                const struct object *volume = e->value;
                struct quantity have = storage_of(volume->json, "spec.capacity.storage"), least;

                if (!fits(a, volume, claim))
                        continue;
                if (json_path(volume->json, "spec.claimRef"))
                        return volume;
                least = best ? storage_of(best->json, "spec.capacity.storage") : have;
                if (!best || quantity_cmp(&have, &least) < 0 ||
                    (quantity_cmp(&have, &least) == 0 && strcmp(volume->name, best->name) < 0))
                        best = volume;
        }
        return best;
}

/* WaitForFirstConsumer: the scheduler says when, by choosing a node or a volume. */
static bool must_wait(const struct snapshot *s, const struct object *claim)
{
        const char *class = json_path_string(claim->json, "spec.storageClassName");
        const struct object *sc = str_empty(class) ? NULL : snapshot_get(s, R_STORAGECLASSES, NULL, class);

        return sc && streq(json_get_string(sc->json, "volumeBindingMode"), "WaitForFirstConsumer") &&
               !object_annotation(claim->json, SELECTED_NODE) && str_empty(json_path_string(claim->json, "spec.volumeName"));
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

/* Why there is no volume yet. Told in every round, as the number of the Event then says how long it has been. */
static void tell_waiting(const struct snapshot *s, const struct object *claim, struct writes *w)
{
        const char *class = json_path_string(claim->json, "spec.storageClassName"), *provisioner;
        const struct object *sc = str_empty(class) ? NULL : snapshot_get(s, R_STORAGECLASSES, NULL, class);

        provisioner = sc ? json_get_string(sc->json, "provisioner") : NULL;
        if (must_wait(s, claim))
                writes_event(w, claim->json, "Normal", "WaitForFirstConsumer",
                             "waiting for first consumer to be created before binding");
        else if (str_empty(class))
                writes_event(w, claim->json, "Normal", "FailedBinding",
                             "no persistent volumes available for this claim and no storage class is set");
        else if (!str_empty(json_path_string(claim->json, "spec.volumeName")))
                return; /* it wants this one and no other */
        else if (!sc)
                writes_event(w, claim->json, "Warning", "ProvisioningFailed", "storageclass.storage.k8s.io \"%s\" not found", class);
        else if (!provisioner || str_has_prefix(provisioner, "kubernetes.io/"))
                writes_event(w, claim->json, "Warning", "ProvisioningFailed", "no volume plugin matched name: %s",
                             or_empty(provisioner));
        else
                writes_event(w, claim->json, "Normal", "ExternalProvisioning",
                             "Waiting for a volume to be created either by the external provisioner '%s' or manually by the "
                             "system administrator. If volume creation is delayed, please verify that the provisioner is "
                             "running and correctly registered.",
                             provisioner);
}

/* Asks an external provisioner: it looks for claims with its name. True: that has to be written first. */
static bool ask_provisioner(const struct snapshot *s, const struct object *claim, struct writes *w)
{
        static const char *const keys[] = { "volume.beta.kubernetes.io/storage-provisioner",
                                            "volume.kubernetes.io/storage-provisioner" };
        const char *class = json_path_string(claim->json, "spec.storageClassName"), *name;
        const struct object *sc = str_empty(class) ? NULL : snapshot_get(s, R_STORAGECLASSES, NULL, class);
        struct json *copy = object_editable(w->arena, claim->json);

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

static void reconcile_claim(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *claim = snapshot_key(s, R_PVCS, key), *volume;

        if (!claim || object_is_deleting(claim->json))
                return;
        volume = find_volume(s, w->arena, claim);
        if (volume && (json_path(volume->json, "spec.claimRef") || !must_wait(s, claim))) {
                bind_step(s, w, claim, volume);
                return;
        }
        if (object_annotation(claim->json, BOUND)) {
                check_bound(s, claim, w);
                return;
        }
        set_phase(w, R_PVCS, claim, "Pending", NULL, s->now);
        if (w->n || ask_provisioner(s, claim, w))
                return; /* what was written brings the next round */
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
        if (w->n)
                return; /* the next round goes on */
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

        if (!volume || object_is_deleting(volume->json))
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
        struct map_entry *e;

        if (ref) {
                keys_addf(k, "%s/%s", or_empty(json_get_string(ref, "namespace")), or_empty(json_get_string(ref, "name")));
                return;
        }
        map_foreach(object_store_objects(s->stores[R_PVCS]), e) {
                const struct object *claim = e->value;

                if (!object_annotation(claim->json, BOUND))
                        keys_add(k, claim->key);
        }
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
                     { .resource = R_STORAGECLASSES, .passive = true } },
        .n_watches = 3,
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
