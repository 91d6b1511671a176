/* Claiming: which pods (or ReplicaSets, ...) an owner has, takes or lets go.
 *
 * An object belongs to the one owner that its controller reference names. One without such a
 * reference that the selector matches is adopted; one of ours that it no longer matches is released.
 * Both are patches that name the object's uid, so that they never hit a namesake.
 */
#include "controllers.h"

static void write_adopt(const struct claim *c, struct writes *w, const struct object *o)
{
        struct json *patch = json_new_object(w->arena), *meta = json_ensure_object(w->arena, patch, "metadata");
        struct write *x;

        json_set_string(w->arena, meta, "uid", o->uid);
        json_append(w->arena, json_ensure_array(w->arena, meta, "ownerReferences"),
                    object_make_controller_ref(w->arena, c->api_version, c->kind, c->owner->json));
        x = writes_patch(w, WRITE_PATCH_STRATEGIC, c->resource, NULL, o, patch);
        x->ignore_not_found = true;
}

static void write_release(const struct claim *c, struct writes *w, const struct object *o)
{
        struct json *patch = json_new_object(w->arena), *meta = json_ensure_object(w->arena, patch, "metadata");
        struct json *ref = json_new_object(w->arena);
        struct write *x;

        json_set_string(w->arena, meta, "uid", o->uid);
        json_set_string(w->arena, ref, "$patch", "delete");
        json_set_string(w->arena, ref, "uid", c->owner->uid);
        json_append(w->arena, json_ensure_array(w->arena, meta, "ownerReferences"), ref);
        x = writes_patch(w, WRITE_PATCH_STRATEGIC, c->resource, NULL, o, patch);
        /* Gone, or no longer the one that was meant: either way it is not ours. */
        x->ignore_not_found = x->ignore_conflict = true;
}

static bool claim_one(const struct claim *c, struct writes *w, const struct object *o)
{
        const struct json *ref = object_controller(o->json);
        bool matches = selector_matches(c->selector, json_path(o->json, "metadata.labels"));
        bool owner_ends = object_is_deleting(c->owner->json);

        if (ref) {
                if (!streq(json_get_string(ref, "uid"), c->owner->uid))
                        return false;
                if (!matches && !owner_ends)
                        write_release(c, w, o);
                return matches;
        }
        if (!matches || owner_ends || object_is_deleting(o->json))
                return false;
        write_adopt(c, w, o);
        return true;
}

void claim_objects(const struct snapshot *s, const struct claim *c, struct writes *w, struct object_list *ret)
{
        struct object *const *all;
        size_t n;

        all = snapshot_in_namespace(s, c->resource, c->owner->namespace, &n);
        for (size_t i = 0; i < n; i++)
                if (claim_one(c, w, all[i]))
                        list_add(w->arena, ret, all[i]);
        list_sort(ret, compare_by_name);
}

void map_orphan(const struct snapshot *s, unsigned resource, const char *selector_path, const struct object *orphan,
                const struct keys *k)
{
        struct object *const *owners;
        size_t n;

        if (object_controller(orphan->json) || object_is_deleting(orphan->json))
                return;
        owners = snapshot_in_namespace(s, resource, orphan->namespace, &n);
        for (size_t i = 0; i < n; i++) {
                _cleanup_arena_ struct arena *a = arena_new(1024);
                const struct json *object = json_path(owners[i]->json, selector_path);
                struct selector sel;

                if (resource == R_RCS)
                        selector_from_map(a, object, &sel);
                else if (selector_from_object(a, object, &sel, NULL) < 0)
                        continue;
                if (sel.n && selector_matches(&sel, json_path(orphan->json, "metadata.labels")))
                        keys_add(k, owners[i]->key);
        }
}
