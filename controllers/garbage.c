/* The garbage collector: objects whose owners are all gone go too, and owners that wait for their
 * dependents (foreground) or let them go (orphan) are let go in turn.
 *
 * A key is "<resource number>/<namespace>/<name>". The graph is the owner index of every store that
 * the daemon keeps; kinds that no other controller needs, custom ones too, are watched by their
 * metadata alone (garbage-kinds.c), so what is written here are patches of metadata. Before a
 * dependent is deleted the server itself is asked whether the owner is gone: stores may lag behind
 * each other, and a mistake here cannot be undone.
 */
#include "controllers.h"

#include <stdio.h>

#define FOREGROUND "foregroundDeletion"
#define ORPHAN "orphan"

/* By kind and group; -1: nobody watches it. */
static int resource_of(const struct snapshot *s, const char *api_version, const char *kind)
{
        const char *slash = api_version ? strrchr(api_version, '/') : NULL;
        size_t len = slash ? (size_t)(slash - api_version) : 0;

        for (size_t i = 0; i < s->n_resources; i++)
                if (s->stores[i] && streq(s->resources[i].kind, kind) && strlen(s->resources[i].group) == len &&
                    memcmp(s->resources[i].group, api_version ? api_version : "", len) == 0)
                        return (int)i;
        return -1;
}

enum owner_state { OWNER_THERE, OWNER_ABSENT, OWNER_WAITS };

static enum owner_state owner_state(const struct snapshot *s, const struct object *o, const struct json *ref, int *ret_resource)
{
        const struct object *owner;

        *ret_resource = resource_of(s, json_get_string(ref, "apiVersion"), json_get_string(ref, "kind"));
        if (*ret_resource < 0)
                return OWNER_THERE; /* not known here: never a reason to delete */
        owner = snapshot_get(s, (unsigned)*ret_resource,
                             s->resources[*ret_resource].namespaced ? o->namespace : NULL,
                             json_get_string(ref, "name"));
        if (!owner || !streq(owner->uid, json_get_string(ref, "uid")))
                return OWNER_ABSENT;
        return object_is_deleting(owner->json) && object_has_finalizer(owner->json, FOREGROUND) ? OWNER_WAITS :
                                                                                                  OWNER_THERE;
}

/* The absent owner that REF names lives in another namespace: that is a mistake, and worth telling. */
static void tell_misplaced(const struct snapshot *s, const struct object *o, const struct json *ref, unsigned resource,
                           struct writes *w)
{
        const char *uid = json_get_string(ref, "uid");
        struct map_entry *e;

        map_foreach(object_store_objects(s->stores[resource]), e) {
                if (!streq(((const struct object *)e->value)->uid, uid))
                        continue;
                writes_event(w, o->json, "Warning", "OwnerRefInvalidNamespace",
                             "ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace \"%s\"",
                             json_get_string(ref, "apiVersion"), json_get_string(ref, "kind"), o->namespace,
                             json_get_string(ref, "name"), uid, o->namespace);
        }
}

static void check_owners(const struct snapshot *s, unsigned resource, const struct object *o, struct writes *w)
{
        const struct json *refs = json_path(o->json, "metadata.ownerReferences");
        bool waits = false;
        int r;

        if (!json_len(refs) || object_is_deleting(o->json))
                return;
        json_foreach_item(refs, ref) {
                enum owner_state state = owner_state(s, o, ref, &r);

                if (state == OWNER_THERE)
                        return;
                waits |= state == OWNER_WAITS;
        }
        json_foreach_item(refs, ref) {
                struct write *x;

                if (owner_state(s, o, ref, &r) != OWNER_ABSENT)
                        continue;
                x = writes_add(w, WRITE_EXPECT_ABSENT, (unsigned)r, s->resources[r].namespaced ? o->namespace : NULL,
                               json_get_string(ref, "name"), NULL);
                x->uid = arena_strdup(w->arena, json_get_string(ref, "uid"));
                tell_misplaced(s, o, ref, (unsigned)r, w);
        }
        writes_delete(w, resource, o, -1, waits ? "Foreground" : "Background");
}

/* A patch of one list in the metadata, of the very object and revision that was looked at. */
static void patch_list(unsigned resource, const struct object *o, struct writes *w, const char *name, struct json *list)
{
        struct json *patch = json_new_object(w->arena), *meta = json_ensure_object(w->arena, patch, "metadata");

        json_set_string(w->arena, meta, "uid", o->uid);
        json_set_string(w->arena, meta, "resourceVersion", o->resource_version);
        json_set(w->arena, meta, name, json_len(list) ? list : json_new_null(w->arena));
        writes_patch(w, WRITE_PATCH_MERGE, resource, NULL, o, patch)->ignore_not_found = true;
}

static void drop_finalizer(unsigned resource, const struct object *o, struct writes *w, const char *finalizer)
{
        struct json *left = json_new_array(w->arena);

        json_foreach_item(json_path(o->json, "metadata.finalizers"), f) {
                if (!streq(json_string(f), finalizer))
                        json_append(w->arena, left, json_clone(w->arena, f));
        }
        patch_list(resource, o, w, "finalizers", left);
}

static void drop_reference(unsigned resource, const struct object *dependent, struct writes *w, const char *uid)
{
        struct json *left = json_new_array(w->arena);

        json_foreach_item(json_path(dependent->json, "metadata.ownerReferences"), ref) {
                if (!streq(json_get_string(ref, "uid"), uid))
                        json_append(w->arena, left, json_clone(w->arena, ref));
        }
        patch_list(resource, dependent, w, "ownerReferences", left);
}

/* An owner under deletion: orphans its dependents, or waits until those that block it are gone. */
static void end_owner(const struct snapshot *s, unsigned resource, const struct object *o, struct writes *w)
{
        bool orphan = object_has_finalizer(o->json, ORPHAN), foreground = object_has_finalizer(o->json, FOREGROUND);
        size_t blocking = 0;

        if (!object_is_deleting(o->json) || (!orphan && !foreground))
                return;
        for (unsigned i = 0; i < s->n_resources; i++) {
                struct object *const *list;
                size_t n;

                list = snapshot_owned(s, i, o->uid, &n);
                for (size_t j = 0; j < n; j++) {
                        if (orphan) {
                                drop_reference(i, list[j], w, o->uid);
                                continue;
                        }
                        json_foreach_item(json_path(list[j]->json, "metadata.ownerReferences"), ref) {
                                if (streq(json_get_string(ref, "uid"), o->uid))
                                        blocking += json_get_bool(ref, "blockOwnerDeletion", false);
                        }
                }
        }
        if (orphan)
                drop_finalizer(resource, o, w, ORPHAN);
        else if (!blocking)
                drop_finalizer(resource, o, w, FOREGROUND);
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        unsigned resource = (unsigned)strtoul(key, NULL, 10);
        const char *slash = strchr(key, '/');
        const struct object *o = slash && resource < s->n_resources ? snapshot_key(s, resource, slash + 1) : NULL;

        if (!o || s->failure)
                return;
        end_owner(s, resource, o, w);
        check_owners(s, resource, o, w);
}

/* --- which keys a change concerns --- */

static void add_dependents(const struct snapshot *s, const char *uid, const struct keys *k)
{
        for (unsigned i = 0; i < s->n_resources; i++) {
                struct object *const *list;
                size_t n;

                list = snapshot_owned(s, i, uid, &n);
                for (size_t j = 0; j < n; j++)
                        keys_addf(k, "%u/%s", i, list[j]->key);
        }
}

static void add_owners(const struct snapshot *s, const struct object *o, const struct keys *k)
{
        json_foreach_item(json_path(o->json, "metadata.ownerReferences"), ref) {
                int r = resource_of(s, json_get_string(ref, "apiVersion"), json_get_string(ref, "kind"));
                const char *name = json_get_string(ref, "name");

                if (r < 0 || !name)
                        continue;
                if (s->resources[r].namespaced)
                        keys_addf(k, "%d/%s/%s", r, o->namespace, name);
                else
                        keys_addf(k, "%d/%s", r, name);
        }
}

static void map_change(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (!new) {
                add_dependents(s, old->uid, k);
                add_owners(s, old, k); /* one that waits for it */
                return;
        }
        if (json_path(new->json, "metadata.ownerReferences") || object_is_deleting(new->json))
                keys_addf(k, "%u/%s", k->resource, new->key);
        if (object_is_deleting(new->json))
                add_dependents(s, new->uid, k);
}

const struct controller_watch garbage_watch = { .map = map_change };

#define GARBAGE(X)                                                                                 \
        X(PODS) X(REPLICASETS) X(DEPLOYMENTS) X(JOBS) X(SERVICES) X(SLICES) X(CONFIGMAPS)          \
        X(RCS) X(STATEFULSETS) X(DAEMONSETS) X(REVISIONS) X(CRONJOBS) X(SECRETS) X(PVCS)           \
        X(SERVICEACCOUNTS) X(ENDPOINTS) X(PDBS) X(HPAS) X(NODES) X(LEASES) X(CLUSTERROLES)         \
        X(CSRS) X(NAMESPACES) X(PVS) X(STORAGECLASSES) X(RESOURCEQUOTAS) X(CRDS)

const struct controller garbage_collector = {
        .name = "garbage-collector-controller",
        .watches = {
#define X(id) { .resource = R_##id, .map = map_change },
                GARBAGE(X)
#undef X
        },
#define X(id) +1
        .n_watches = GARBAGE(X),
#undef X
        .reconcile = reconcile,
};
