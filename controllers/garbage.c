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

enum owner_state {
        OWNER_THERE,
        OWNER_ABSENT,
        OWNER_WAITS,   /* for its dependents to go */
        OWNER_UNKNOWN, /* of a kind that nobody watches: never a reason to do anything */
        OWNER_INVALID, /* in a namespace, of something that is in none */
};

static enum owner_state owner_state(const struct snapshot *s, const struct object *o, const struct json *ref, int *ret_resource)
{
        const struct object *owner;

        *ret_resource = resource_of(s, json_get_string(ref, "apiVersion"), json_get_string(ref, "kind"));
        if (*ret_resource < 0)
                return OWNER_UNKNOWN;
        if (s->resources[*ret_resource].namespaced && str_empty(o->namespace))
                return OWNER_INVALID;
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
        const char *uid = json_get_string(ref, "uid"), *namespace = str_empty(o->namespace) ? "" : o->namespace;
        struct json *about = json_clone(w->arena, o->json);
        struct map_entry *e;

        json_del(json_get(about, "metadata"), "resourceVersion"); /* upstream's graph knows none */
        map_foreach(object_store_objects(s->stores[resource]), e) {
                if (!streq(((const struct object *)e->value)->uid, uid))
                        continue;
                writes_event(w, about, "Warning", "OwnerRefInvalidNamespace",
                             "ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace \"%s\"",
                             json_get_string(ref, "apiVersion"), json_get_string(ref, "kind"), namespace,
                             json_get_string(ref, "name"), uid, namespace);
        }
}

/* What stands in the way: the server must not have OWNER, by the version that REF asks for. */
static void expect_absent(const struct snapshot *s, const struct object *o, const struct json *ref, unsigned resource,
                          struct writes *w)
{
        const char *version = json_get_string(ref, "apiVersion"), *slash = strrchr(version, '/');
        struct write *x = writes_add(w, WRITE_EXPECT_ABSENT, resource, s->resources[resource].namespaced ? o->namespace : NULL,
                                     json_get_string(ref, "name"), NULL);

        x->uid = arena_strdup(w->arena, json_get_string(ref, "uid"));
        x->version = arena_strdup(w->arena, slash ? slash + 1 : version);
}

/* Dependents of O that wait for theirs: with an owner that waits for O, that may be a circle. */
static bool has_waiting_dependents(const struct snapshot *s, const struct object *o, bool *ret_any)
{
        bool waiting = false;

        *ret_any = false;
        for (unsigned i = 0; i < s->n_resources; i++) {
                struct object *const *list;
                size_t n;

                list = snapshot_owned(s, i, o->uid, &n);
                *ret_any |= n > 0;
                for (size_t j = 0; j < n; j++)
                        waiting |= object_is_deleting(list[j]->json) && object_has_finalizer(list[j]->json, FOREGROUND);
        }
        return waiting;
}

static const char *propagation_of(const struct object *o)
{
        return object_has_finalizer(o->json, ORPHAN)     ? "Orphan" :
               object_has_finalizer(o->json, FOREGROUND) ? "Foreground" :
                                                           "Background";
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

/* Its references to owners that are there: the others go, so that none of those waits for it. */
static void drop_dead_references(const struct snapshot *s, unsigned resource, const struct object *o, struct writes *w)
{
        struct json *left = json_new_array(w->arena);
        int r;

        json_foreach_item(json_path(o->json, "metadata.ownerReferences"), ref)
                if (owner_state(s, o, ref, &r) == OWNER_THERE)
                        json_append(w->arena, left, json_clone(w->arena, ref));
        patch_list(resource, o, w, "ownerReferences", left);
}

static void unblock_owners(unsigned resource, const struct object *o, struct writes *w)
{
        struct json *refs = json_clone(w->arena, json_path(o->json, "metadata.ownerReferences"));

        json_foreach_item(refs, ref)
                json_set(w->arena, ref, "blockOwnerDeletion", json_new_bool(w->arena, false));
        patch_list(resource, o, w, "ownerReferences", refs);
}

static void check_owners(const struct snapshot *s, unsigned resource, const struct object *o, struct writes *w)
{
        const struct json *refs = json_path(o->json, "metadata.ownerReferences");
        size_t count[OWNER_INVALID + 1] = { 0 };
        bool circle, dependents;
        int r;

        if (!json_len(refs) || object_is_deleting(o->json))
                return;
        json_foreach_item(refs, ref) {
                enum owner_state state = owner_state(s, o, ref, &r);

                count[state]++;
                if (state == OWNER_INVALID)
                        tell_misplaced(s, o, ref, (unsigned)r, w);
        }
        if (count[OWNER_UNKNOWN] || count[OWNER_INVALID] || (!count[OWNER_ABSENT] && !count[OWNER_WAITS]))
                return;
        json_foreach_item(refs, ref)
                if (owner_state(s, o, ref, &r) == OWNER_ABSENT) {
                        expect_absent(s, o, ref, (unsigned)r, w);
                        tell_misplaced(s, o, ref, (unsigned)r, w);
                }
        if (count[OWNER_THERE]) {
                drop_dead_references(s, resource, o, w);
                return;
        }
        circle = has_waiting_dependents(s, o, &dependents) && count[OWNER_WAITS];
        if (circle)
                unblock_owners(resource, o, w);
        writes_delete(w, resource, o, -1, count[OWNER_WAITS] && dependents ? "Foreground" : propagation_of(o));
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
        if (old && !json_equal(json_path(old->json, "metadata.ownerReferences"), json_path(new->json, "metadata.ownerReferences")))
                add_owners(s, old, k); /* one that waited for it need not any longer */
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
        X(CSRS) X(NAMESPACES) X(PVS) X(STORAGECLASSES) X(RESOURCEQUOTAS) X(CRDS)            \
        X(POLICIES) X(SERVICECIDRS) X(IPADDRESSES) X(ATTRIBUTES) X(CLAIMS) X(CLAIMTEMPLATES)

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
