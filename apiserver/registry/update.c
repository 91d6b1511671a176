/* Update: PUT and PATCH, of the object or of a subresource, with optimistic locking.
 *
 *      the stored object --fn--> what the client wants --checks, admission--> --strategy, validation--> etcd
 *             ^                                                                                     |
 *             +------------------------------ changed meanwhile: again -----------------------------+
 *
 * The first round works on what the cache has, which may lag behind another API server's write. What it
 * accepts is safe, since etcd compares the revision; what it refuses, or finds already done, is looked at
 * once more against what etcd has.
 */
#include "../schema/crd.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conversion.h"

#define ATTEMPTS 16 /* conflicts with other writers, for one that sent no resourceVersion */

struct update {
        struct api_request *r;
        const struct resource *res, *stored;
        const struct strategy *strategy;
        const char *namespace, *name, *sub, *key;
        registry_update_fn *fn;
        void *userdata;
};

/* How a round ended besides success and a status. */
enum outcome { DONE, AGAIN, LOOK_CLOSER, REMOVE };

/* The handler's checks of name and namespace, which are those of the URL. */
static const struct status *check_name(struct update *u, struct json *obj)
{
        struct arena *a = u->r->arena;
        const char *name = meta_string(obj, "name"), *ns = meta_string(obj, "namespace");
        const struct status *st = check_namespace(u->r, u->res, u->namespace, obj);

        if (st)
                return st;
        if (!*name)
                return status_bad_request(a, "the name of the object (%s based on URL) was undeterminable: name must be provided",
                                          u->name);
        if (!streq(name, u->name))
                return status_bad_request(a, "the name of the object (%s) does not match the name on the URL (%s)", name,
                                          u->name);
        if (*ns && u->res->namespaced && !streq(ns, u->namespace))
                return status_bad_request(a,
                                          "the namespace of the object (%s) does not match the namespace on the request (%s)",
                                          ns, u->namespace);
        return NULL;
}

/* Whether what is not there may be made. A status endpoint creates where the object's own would on an update, as upstream's has
 * the same strategy but for what it changes. */
static bool create_allowed(const struct update *u)
{
        if (*u->sub && !streq(u->sub, "status"))
                return false;
        return u->res->create_on_update || (u->r->applied && !*u->sub);
}

static const struct status *check_uid(struct update *u, const struct json *obj, const struct json *old)
{
        const char *uid = meta_string(obj, "uid"), *have = old ? meta_string(old, "uid") : "";

        if (!*uid || streq(uid, have) || (!old && !create_allowed(u))) /* what is not there is told first */
                return NULL;
        if (streq(u->r->verb, "patch") && old)
                return NULL; /* validation says that it cannot be changed */
        if (streq(u->r->verb, "patch"))
                return status_conflict(u->r->arena, u->res, u->name,
                                       "uid mismatch: the provided object specified uid %s, and no existing object was found",
                                       uid);
        return status_conflict(u->r->arena, u->res, u->name,
                               "StorageError: invalid object, Code: 4, Key: %s, ResourceVersion: 0, AdditionalErrorMsg: "
                               "Precondition failed: UID in precondition: %s, UID in object meta: %s",
                               u->r->dry_run ? strchr(u->key + 1, '/') : u->key, uid, have); /* a dry run never comes to the prefix */
}

static const struct status *check_version(struct update *u, const struct json *obj, const struct json *old)
{
        const char *sent = meta_string(obj, "resourceVersion");
        const struct status *st;
        uint64_t version;

        st = parse_resource_version(u->r->arena, sent, &version);
        if (st)
                return st;
        if (!version) {
                struct field_errors errs = { .arena = u->r->arena };
                struct resource by_name = *u->res; /* upstream names the resource here, not the kind */

                by_name.kind = u->res->name;
                if (u->res->unconditional_update || (u->r->applied && !*sent) || streq(u->sub, "scale"))
                        return NULL;
                field_error_add(&errs, FIELD_INVALID, "metadata.resourceVersion", json_new_int(u->r->arena, 0),
                                "must be specified for an update");
                return status_invalid(u->r->arena, &by_name, u->name, &errs);
        }
        if (version != strtoull(meta_string(old, "resourceVersion"), NULL, 10))
                return status_modified(u->r->arena, u->res, u->name);
        return NULL;
}

/* --- what an update may not touch --- */

/* Paths of the kind's data that come from the stored object, whatever was sent. */
static void reset_paths(struct update *u, struct json *obj, const struct json *old)
{
        struct arena *a = u->r->arena;
        const char *const *paths = streq(u->sub, "status") ? u->stored->reset_on_status : u->stored->reset_on_update;

        if (*u->sub && !streq(u->sub, "status"))
                return;
        for (const char *const *p = paths; p && *p; p++) {
                struct json *fields, *uid;

                if (!streq(*p, "metadata")) {
                        copy_path(a, obj, old, *p);
                        continue;
                }
                fields = json_path(obj, "metadata.managedFields");
                uid = json_path(obj, "metadata.uid"); /* another one is refused, not passed over */
                copy_path(a, obj, old, "metadata");
                if (fields)
                        json_path_set(a, obj, "metadata.managedFields", fields);
                if (uid)
                        json_path_set(a, obj, "metadata.uid", uid);
        }
        /* A custom resource's status subresource takes nothing but the status. */
        if (u->stored->crd && streq(u->sub, "status")) {
                struct json *fields = json_path(obj, "metadata.managedFields");

                json_foreach_member(old, m)
                        if (!streq(m->key, "status"))
                                json_set(a, obj, m->key, json_clone(a, m->value));
                if (fields)
                        json_path_set(a, obj, "metadata.managedFields", fields);
        } else if (u->stored->crd && u->stored->status_subresource && !*u->sub) {
                copy_path(a, obj, old, "status");
        }
}

/* The type of what stands at PATH; NULL: it is not known. */
static const struct schema *schema_at_path(const struct schema *s, const char *path)
{
        while (s && *path) {
                size_t n = strcspn(path, ".");
                const struct schema_field *f = s->type == SCHEMA_STRUCT ? schema_fieldn(s, path, n) : NULL;

                s = f ? f->type : NULL;
                path += n + (path[n] == '.');
        }
        return s;
}

static bool everything_changed(const struct resource *res, const struct json *obj, const struct json *old)
{
        static const char *const skip[] = { "metadata", "kind", "apiVersion" };
        const struct json *side[] = { obj, old };

        for (unsigned i = 0; i < 2; i++) {
                json_foreach_member(side[i], m) {
                        bool skipped = res->status_subresource && streq(m->key, "status");

                        for (size_t j = 0; j < ARRAY_SIZE(skip); j++)
                                skipped |= streq(m->key, skip[j]);
                        if (!skipped && !semantic_equal(schema_at_path(res->schema, m->key), m->value, json_get(side[1 - i], m->key)))
                                return true;
                }
        }
        return false;
}

/* NULL and an empty value are one to Go's semantic comparison. */
static bool path_changed(const struct schema *s, const struct json *obj, const struct json *old, const char *path)
{
        const struct json *x = json_path(obj, path), *y = json_path(old, path);

        if ((!x || json_len(x) == 0) && (!y || json_len(y) == 0) && (!x || json_is_object(x) || json_is_array(x)) &&
            (!y || json_is_object(y) || json_is_array(y)))
                return false;
        return !semantic_equal(schema_at_path(s, path), x, y);
}

static bool generation_moves(const struct resource *res, const struct json *obj, const struct json *old)
{
        if (!res->generation)
                return false;
        if (!res->generation_paths)
                return everything_changed(res, obj, old);
        for (const char *const *p = res->generation_paths; *p; p++)
                if (streq(*p, "*") ? everything_changed(res, obj, old) : path_changed(res->schema, obj, old, *p))
                        return true;
        return false;
}

/* rest.BeforeUpdate: the system's metadata stays, the strategy has its say, the generation moves. */
static void prepare(struct update *u, struct json *obj, const struct json *old)
{
        static const char *const kept[] = { "metadata.creationTimestamp", "metadata.generation" };
        struct arena *a = u->r->arena;

        for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
                copy_path(a, obj, old, kept[i]);
        if (!*meta_string(obj, "uid"))
                copy_path(a, obj, old, "metadata.uid");
        reset_paths(u, obj, old);
        if (u->strategy && u->strategy->prepare_update)
                u->strategy->prepare_update(u->r, obj, old, u->sub);
        /* An object that is going stays so; validation says that another cannot be made to go. */
        if (*meta_string(old, "deletionTimestamp"))
                copy_path(a, obj, old, "metadata.deletionTimestamp");
        if (!json_path(obj, "metadata.deletionGracePeriodSeconds"))
                copy_path(a, obj, old, "metadata.deletionGracePeriodSeconds");
        if (!streq(u->sub, "status") && !streq(u->sub, "binding") && generation_moves(u->stored, obj, old))
                json_path_set(a, obj, "metadata.generation",
                              json_new_int(a, json_path_int(old, "metadata.generation", 0) + 1));
}

/* --- a round --- */

static const struct status *create_instead(struct update *u, struct json *obj, struct json **ret, bool *ret_created)
{
        struct api_request *r = u->r;
        const struct status *st;
        bool keep = r->applied;
        uint64_t version;

        if (!create_allowed(u))
                return status_not_found(r->arena, u->res, u->name);
        st = parse_resource_version(r->arena, meta_string(obj, "resourceVersion"), &version);
        if (st)
                return st;
        wipe_system_fields(obj);
        if (*u->sub && !keep) {
                managed_fields_update(r->arena, u->res, NULL, obj, r->field_manager, u->sub, request_now(r));
                keep = true;
        }
        st = create_prepared(r, u->res, u->namespace, obj, keep, ret);
        if (!st)
                *ret_created = true;
        return st;
}

static void take_managed(struct arena *a, struct json *obj, const struct json *from)
{
        struct json *fields = json_path(from, "metadata.managedFields");

        if (fields)
                json_path_set(a, obj, "metadata.managedFields", fields);
        else
                json_path_del(obj, "metadata.managedFields");
}

/* The new object, checked and let in by mutating admission, of the version of the request. */
static const struct status *wanted(struct update *u, const struct json *old, struct json **ret)
{
        const struct strategy *strategy = registry_strategy(u->res);
        struct api_request *r = u->r;
        struct json *obj = NULL, *scale = NULL, *before, *fields;
        struct admission_attributes at;
        const struct status *st;

        r->applied = false;
        if (old && streq(u->sub, "scale")) {
                r->scale_parent = old;
                before = scale_of(r->arena, u->res, old);
                if (scale_missing(u->res, old)) /* no number that anybody would ask for: is it still there? */
                        json_set_int(r->arena, json_ensure_object(r->arena, before, "spec"), "replicas", INT32_MIN);
                st = u->fn(r, before, &scale, u->userdata);
                r->scale_parent = NULL;
                if (!st && scale_missing(u->res, old) && json_path_int(scale, "spec.replicas", 0) == INT32_MIN)
                        st = status_bad_request(r->arena, "the spec replicas field \"%s\" cannot be empty", scale_missing(u->res, old));
                if (!st)
                        st = check_name(u, scale);
                if (!st)
                        st = scale_apply(r, u->res, old, scale, &obj);
                if (!st && r->applied) /* it brings the parent's entries */
                        take_managed(r->arena, obj, scale);
        } else {
                st = u->fn(r, old, &obj, u->userdata);
                if (!st)
                        st = check_name(u, obj);
                if (!st)
                        st = check_uid(u, obj, old);
        }
        if (st || !old) {
                *ret = obj;
                return st;
        }
        /* What is compared with the stored object, for owners and generation, has its form. But an empty list of managed fields
         * is a wish. */
        fields = json_path(obj, "metadata.managedFields");
        schema_canonicalise(r->arena, u->res->schema, obj);
        if (json_is_array(fields) && !fields->len)
                json_path_set(r->arena, obj, "metadata.managedFields", fields);
        if (!r->applied && strategy && strategy->complete)
                strategy->complete(r->arena, obj);
        /* What a patch brings is looked at once, when all is done. */
        if (streq(r->verb, "update"))
                warn_duplicate_owners(r, obj, false);
        if (!r->applied && !r->admitted) /* what a binding or an eviction sets is nobody's */
                managed_fields_update(r->arena, u->res, old, obj, r->field_manager, u->sub, request_now(r));
        at = admission_of(r, ADMISSION_UPDATE, u->res, u->sub, u->namespace, u->name, obj, old);
        st = admission_mutate(&at);
        if (!st)
                warn_duplicate_owners(r, at.object, true);
        *ret = at.object;
        return st;
}

static const struct status *write_round(struct update *u, struct entry *e, struct json *obj, const struct json *old,
                                        struct json **ret, enum outcome *ret_outcome)
{
        struct api_request *r = u->r;
        struct arena *a = r->arena;
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *internal, *old_internal;
        struct admission_attributes at;
        struct entry *now = NULL;
        const struct status *st = check_version(u, obj, old);
        void *allocation = NULL;
        int c;

        if (st)
                return st;
        set_resource_version(a, obj, e->revision); /* an unconditional update is one of what is there */
        internal = convert_object(a, u->res, u->stored, obj);
        if (r->applied && u->stored->crd)
                crd_keep_nulls(a, u->stored->schema, obj, internal);
        old_internal = u->stored == u->res ? (struct json *)old : registry_object(a, u->stored, e);
        if (u->strategy && u->strategy->allocate && !*u->sub) {
                st = u->strategy->allocate(r, internal, old_internal, &allocation);
                if (st)
                        return st;
        }
        prepare(u, internal, old_internal);
        st = validate_write(r, u->stored, internal, old_internal, u->sub);
        if (st)
                goto fail;
        *ret = u->stored == u->res ? internal : convert_object(a, u->stored, u->res, internal);
        at = admission_of(r, ADMISSION_UPDATE, u->res, u->sub, u->namespace, u->name, *ret, old);
        st = admission_validate(&at);
        if (st)
                goto fail;
        schema_canonicalise(a, u->stored->schema, internal);
        if (should_delete_on_update(u->stored, internal, old_internal)) {
                *ret_outcome = REMOVE;
                set_resource_version(a, *ret, e->revision);
                c = r->dry_run ? STORE_OK :
                                 store_delete(r->server->store, u->stored, u->key, e->revision, &now, &err);
                if (c == STORE_OK && u->strategy && u->strategy->after_delete)
                        u->strategy->after_delete(r, internal);
        } else {
                set_resource_version(a, internal, e->revision);
                if (managed_fields_same(a, old_internal, internal) && !conversion_outdated(u->res, e)) {
                        *ret_outcome = LOOK_CLOSER;
                        c = STORE_OK;
                } else if (r->dry_run) {
                        c = STORE_OK;
                } else {
                        st = conversion_to_storage(r, u->res, &internal);
                        if (st) {
                                admission_undo(&at);
                                goto fail;
                        }
                        c = store_put(r->server->store, u->stored, u->key, internal, e->revision, &now, &err);
                        if (c == STORE_OK) {
                                set_resource_version(a, internal, now->revision);
                                note_written(r, u->res, internal, now);
                        }
                        if (c == STORE_OK)
                                st = conversion_from_storage(r, u->res, &internal);
                }
                *ret = u->stored == u->res ? internal : convert_object(a, u->stored, u->res, internal);
        }
        entry_unref(now);
        if (c == STORE_OK) {
                if (allocation)
                        u->strategy->finish(r, allocation, !r->dry_run);
                return st;
        }
        admission_undo(&at);
        if (c == STORE_CONFLICT)
                *ret_outcome = AGAIN;
        else
                st = registry_store_status(a, c, &err);
fail:
        if (allocation)
                u->strategy->finish(r, allocation, false);
        return st;
}

const struct status *registry_update(struct api_request *r, const struct resource *res, const char *namespace,
                                     const char *name, const char *subresource, registry_update_fn *fn, void *userdata,
                                     struct json **ret, bool *ret_created)
{
        struct update u = { .r = r, .res = res, .stored = registry_stored_as(res), .strategy = registry_strategy(res),
                            .namespace = namespace ? namespace : "", .name = name, .sub = subresource ? subresource : "",
                            .key = registry_key(r->arena, res, namespace, name), .fn = fn, .userdata = userdata };
        bool synced = false;

        if (ret_created)
                *ret_created = false;
        for (unsigned i = 0; i < ATTEMPTS; i++) {
                _cleanup_error_ struct error err = ERROR_INIT;
                struct entry *e = store_get(r->server->store, u.key);
                uint64_t revision = e ? e->revision : 0;
                struct json *old = NULL, *obj = NULL;
                const struct status *st = NULL;
                enum outcome outcome = DONE;
                bool created = false, sent_version, may_create;

                if (e) {
                        entry_ref(e);
                        st = registry_converted(r, res, &e, 1);
                        if (st) {
                                entry_unref(e);
                                return st;
                        }
                        old = registry_object(r->arena, res, e);
                }
                may_create = ret_created && (!*u.sub || create_allowed(&u));
                /* What is wrong with a body's own names is told before that there is nothing of that name. */
                st = e || may_create || (streq(r->verb, "update") && *u.sub) ? wanted(&u, old, &obj) : NULL;
                if (!st && !e && !may_create)
                        st = status_not_found(r->arena, res, name);
                /* Before a round fills it in. A patch's result always carries one, of what was patched: whether the
                 * patch itself named it, the next round sees. */
                sent_version = !st && !streq(r->verb, "patch") && *meta_string(obj, "resourceVersion");
                if (!st && old)
                        st = write_round(&u, e, obj, old, ret, &outcome);
                else if (!st && (synced || create_allowed(&u)))
                        st = create_instead(&u, obj, ret, &created);
                else if (!st)
                        st = status_not_found(r->arena, res, name);
                entry_unref(e);
                if (ret_created)
                        *ret_created = created;
                if (!st && !created && outcome != AGAIN && streq(u.sub, "scale"))
                        *ret = scale_of(r->arena, res, *ret);
                if (!st && (outcome == DONE || outcome == REMOVE))
                        return NULL;
                if (!st && outcome == AGAIN && sent_version)
                        st = status_modified(r->arena, res, name);
                else if (!st && outcome == LOOK_CLOSER && synced)
                        return NULL;
                if (!synced || outcome == AGAIN) {
                        int c = store_sync(r->server->store, &err);
                        struct entry *fresh;

                        if (c < 0)
                                return registry_store_status(r->arena, c, &err);
                        fresh = store_get(r->server->store, u.key);
                        synced = true;
                        /* What we looked at is still what is there: the answer stands. */
                        if (outcome != AGAIN && (fresh ? fresh->revision : 0) == revision)
                                return st;
                        if (st && outcome == AGAIN)
                                return st;
                        continue;
                }
                return st;
        }
        return status_modified(r->arena, res, name);
}
