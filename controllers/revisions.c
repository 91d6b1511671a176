/* ControllerRevisions: each holds a template as the patch that would bring it back. The number of the newest is the
 * highest; going back to an old template gives its revision a new number instead of making a copy. */
#include "revisions.h"

static int compare_revisions(const void *x, const void *y)
{
        const struct object *const *a = x, *const *b = y;
        int64_t ra = json_get_int((*a)->json, "revision", 0), rb = json_get_int((*b)->json, "revision", 0);

        return ra != rb ? (ra < rb ? -1 : 1) : compare_by_creation(x, y);
}

static struct json *data_of(struct arena *a, const struct object *owner)
{
        struct json *data = json_new_object(a), *template = json_clone_shallow(a, json_path(owner->json, "spec.template"));

        json_set_string(a, template, "$patch", "replace");
        json_set(a, json_ensure_object(a, data, "spec"), "template", template);
        return data;
}

static struct json *make(const struct revision_owner *o, struct arena *a, const struct revisions *r, struct json *data,
                         int64_t number)
{
        const struct json *annotations = json_path(o->owner->json, "metadata.annotations");
        struct json *rev = json_new_object(a), *meta, *labels;

        json_set_string(a, rev, "apiVersion", "apps/v1");
        json_set_string(a, rev, "kind", "ControllerRevision");
        meta = json_ensure_object(a, rev, "metadata");
        json_set_string(a, meta, "name", r->update_name);
        json_set_string(a, meta, "namespace", o->owner->namespace);
        labels = json_path(o->owner->json, "spec.template.metadata.labels");
        labels = labels ? json_clone(a, labels) : json_new_object(a);
        json_set_string(a, labels, o->hash_label, r->update_hash);
        json_set(a, meta, "labels", labels);
        if (json_len(annotations))
                json_set(a, meta, "annotations", json_clone(a, annotations));
        json_append(a, json_ensure_array(a, meta, "ownerReferences"),
                    object_make_controller_ref(a, "apps/v1", o->kind, o->owner->json));
        json_set(a, rev, "data", data);
        json_set_int(a, rev, "revision", number);
        return rev;
}

void revisions_sync(const struct snapshot *s, const struct revision_owner *o, int64_t collisions, struct writes *w,
                    struct revisions *ret)
{
        struct claim claim = { .resource = R_REVISIONS, .owner = o->owner, .api_version = "apps/v1", .kind = o->kind,
                               .selector = o->selector };
        struct arena *a = w->arena;
        struct json *data = data_of(a, o->owner), *copy;
        int64_t newest = 0;

        *ret = (struct revisions){ 0 };
        claim_objects(s, &claim, w, &ret->all);
        list_sort(&ret->all, compare_revisions);
        for (size_t i = 0; i < ret->all.n; i++) {
                newest = json_get_int(ret->all.items[i]->json, "revision", 0);
                if (json_equal(json_get(ret->all.items[i]->json, "data"), data))
                        ret->update = ret->all.items[i];
        }
        if (ret->update) {
                ret->update_name = ret->update->name;
                ret->update_hash = object_label(ret->update->json, o->hash_label);
                if (json_get_int(ret->update->json, "revision", 0) == newest || object_is_deleting(o->owner->json))
                        return;
                copy = object_editable(a, ret->update->json);
                json_set_int(a, copy, "revision", newest + 1);
                writes_update(w, R_REVISIONS, NULL, copy);
                return;
        }
        ret->update_hash = template_hash(a, json_path(o->owner->json, "spec.template"), collisions);
        ret->update_name = arena_printf(a, "%s-%s", o->owner->name, ret->update_hash);
        ret->collided = snapshot_get(s, R_REVISIONS, o->owner->namespace, ret->update_name) != NULL;
        if (!ret->collided && !object_is_deleting(o->owner->json))
                writes_create(w, R_REVISIONS, o->owner->namespace, make(o, a, ret, data, newest + 1));
}

const struct object *revisions_find(const struct revisions *r, const char *name)
{
        for (size_t i = 0; name && i < r->all.n; i++)
                if (streq(r->all.items[i]->name, name))
                        return r->all.items[i];
        return NULL;
}

void revisions_trim(const struct revisions *r, const struct object *owner, struct writes *w,
                    bool (*is_live)(const struct object *revision, void *userdata), void *userdata)
{
        int64_t limit = json_path_int(owner->json, "spec.revisionHistoryLimit", 10), surplus = -limit;

        for (size_t i = 0; i < r->all.n; i++)
                surplus += !is_live(r->all.items[i], userdata);
        for (size_t i = 0; i < r->all.n && surplus > 0; i++)
                if (!is_live(r->all.items[i], userdata)) {
                        writes_delete(w, R_REVISIONS, r->all.items[i], -1, NULL);
                        surplus--;
                }
}
