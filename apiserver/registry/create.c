/* Create: POST, and PUT or apply of what is not there. */
#include "../schema/crd.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>

#include "conversion.h"

#define NAME_ATTEMPTS 8   /* upstream's number of tries for a generated name */
#define GENERATE_MAX 58   /* of a name's 63 characters, 5 are the suffix */

/* What every kind has prepared alike: resets and the generation, by the kind's data. */
static void prepare(struct api_request *r, const struct resource *res, struct json *obj)
{
        const struct strategy *strategy = registry_strategy(res);
        struct json *meta = json_ensure_object(r->arena, obj, "metadata");

        for (const char *const *p = res->reset_on_create; p && *p; p++)
                json_path_del(obj, *p);
        if (res->generation && res->generation_start) /* others keep what was sent */
                json_set_int(r->arena, meta, "generation", res->generation_start);
        if (strategy && strategy->prepare_create)
                strategy->prepare_create(r, obj);
}

/* Addresses are names by themselves: nothing is made of a base. */
static void generate_name(struct api_request *r, const struct resource *res, struct json *obj)
{
        const char *base = meta_string(obj, "generateName");
        bool address = streq(res->group, "networking.k8s.io") && streq(res->kind, "IPAddress");
        char suffix[8];

        json_set(r->arena, json_get(obj, "metadata"), "name",
                 address ? json_new_string(r->arena, base)
                         : json_new_stringf(r->arena, "%.*s%s", GENERATE_MAX, base, random_suffix(suffix, 5)));
}

/* 409: with another text while the old one is going, or where a generated name had no luck. */
static const struct status *exists(struct api_request *r, const struct resource *res, const struct json *obj,
                                   const struct entry *there, bool generated)
{
        const char *name = meta_string(obj, "name");
        struct status *st = arena_memdup(r->arena, status_already_exists(r->arena, res, name), sizeof(*st));
        struct json *stored = there ? registry_object(r->arena, res, there) : NULL;
        struct json *details;

        if (generated) {
                details = json_clone(r->arena, st->details);
                json_set_int(r->arena, details, "retryAfterSeconds", 1);
                st->details = details;
                st->message = arena_printf(r->arena,
                                           "%s, the server was not able to generate a unique name for the object",
                                           st->message);
        } else if (meta_deleting(stored)) {
                st->message = arena_printf(r->arena, "object is being deleted: %s", st->message);
        }
        return st;
}

/* Writes OBJ, or on dry run only looks whether it could be written. STORE_CONFLICT: *RET_THERE has its name. */
static int put(struct api_request *r, const struct resource *res, const char *namespace, struct json *obj,
               struct entry **ret_there, struct error *reterr)
{
        const struct resource *stored = registry_stored_as(res);
        const char *key = registry_key(r->arena, res, namespace, meta_string(obj, "name"));
        struct entry *e = NULL;
        int c;

        if (r->dry_run) {
                c = store_sync(r->server->store, reterr);
                e = store_get(r->server->store, key);
                if (c < 0 || !e)
                        return c;
                *ret_there = entry_ref(e);
                return STORE_CONFLICT;
        }
        c = store_put(r->server->store, stored, key, obj, 0, &e, reterr);
        if (c == STORE_OK) {
                set_resource_version(r->arena, obj, e->revision);
                note_written(r, res, obj, e);
        }
        if (c == STORE_CONFLICT)
                *ret_there = e;
        else
                entry_unref(e);
        return c;
}

/* One attempt, from the generated name to etcd. *RET_TAKEN: the name is taken. */
static const struct status *attempt(struct api_request *r, const struct resource *res, const char *namespace,
                                    struct json **obj, bool generated, bool *ret_taken)
{
        const struct resource *stored = registry_stored_as(res);
        const struct strategy *strategy = registry_strategy(res);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct admission_attributes at;
        struct json *internal;
        const struct status *st;
        struct entry *there = NULL;
        uint64_t version = 0;
        void *allocation = NULL;
        int c;

        *ret_taken = false;
        internal = convert_object(r->arena, res, stored, *obj);
        if (r->applied && stored->crd)
                crd_keep_nulls(r->arena, stored->schema, *obj, internal);
        if (strategy && strategy->allocate) {
                st = strategy->allocate(r, internal, NULL, &allocation);
                if (st)
                        return st;
        }
        prepare(r, stored, internal);
        st = validate_write(r, stored, internal, NULL, "");
        if (st)
                goto fail;
        *obj = stored == res ? internal : convert_object(r->arena, stored, res, internal);
        at = admission_of(r, ADMISSION_CREATE, res, "", namespace, meta_string(*obj, "name"), *obj, NULL);
        st = admission_validate(&at);
        if (st)
                goto fail;
        parse_resource_version(r->arena, meta_string(*obj, "resourceVersion"), &version); /* what is no number does not count here */
        if (version && !r->applied && !r->dry_run) { /* upstream's storage says so, which is not asked then */
                st = status_make(r->arena, 500, "", NULL, "resourceVersion should not be set on objects to be created");
                admission_undo(&at);
                goto fail;
        }
        if (!r->dry_run)
                set_resource_version(r->arena, internal, 0);
        schema_canonicalise(r->arena, stored->schema, internal);
        st = r->dry_run ? NULL : conversion_to_storage(r, res, &internal);
        if (st) {
                admission_undo(&at);
                goto fail;
        }
        c = put(r, stored, namespace, internal, &there, &err);
        if (c == STORE_OK) {
                if (allocation)
                        strategy->finish(r, allocation, !r->dry_run);
                if (strategy && strategy->after_create)
                        r->written_of = NULL;
                if (strategy && strategy->after_create && !r->dry_run)
                        strategy->after_create(r, internal);
                st = r->dry_run ? NULL : conversion_from_storage(r, res, &internal);
                *obj = stored == res ? internal : convert_object(r->arena, stored, res, internal);
                return st;
        }
        admission_undo(&at);
        if (c == STORE_CONFLICT) {
                *ret_taken = true;
                st = exists(r, res, internal, there, generated);
                entry_unref(there);
        } else {
                st = registry_store_status(r->arena, c, &err);
        }
fail:
        if (allocation)
                strategy->finish(r, allocation, false);
        return st;
}

const struct status *create_prepared(struct api_request *r, const struct resource *res, const char *namespace,
                                     struct json *obj, bool keep_fields, struct json **ret)
{
        const struct strategy *strategy = registry_strategy(res);
        struct admission_attributes at;
        const struct status *st;
        struct json *original;
        bool generated, taken = false;

        schema_canonicalise(r->arena, res->schema, obj); /* fields that are always written have owners, too */
        if (!keep_fields && strategy && strategy->complete)
                strategy->complete(r->arena, obj);
        warn_duplicate_owners(r, obj, false);
        if (!keep_fields)
                managed_fields_create(r->arena, res, obj, r->field_manager, request_now(r));
        if (res->crd && res->crd->crd->terminating)
                return status_forbidden(r->arena, res, meta_string(obj, "name"),
                                        "create not allowed while custom resource definition is terminating");
        at = admission_of(r, ADMISSION_CREATE, res, "", namespace, meta_string(obj, "name"), obj, NULL);
        st = admission_mutate(&at);
        if (st)
                return st;
        obj = at.object;
        warn_duplicate_owners(r, obj, true);
        fill_system_fields(r, obj);
        generated = !*meta_string(obj, "name") && *meta_string(obj, "generateName");
        original = obj;
        for (unsigned i = 0;; i++) {
                if (generated) {
                        obj = json_clone(r->arena, original);
                        generate_name(r, res, obj);
                }
                st = attempt(r, res, namespace, &obj, generated, &taken);
                if (!st || !taken || !generated || i + 1 == NAME_ATTEMPTS)
                        break;
        }
        if (!st)
                *ret = obj;
        return st;
}

const struct status *registry_create(struct api_request *r, const struct resource *res, const char *namespace,
                                     struct json *obj, struct json **ret)
{
        const struct status *st = check_namespace(r, res, namespace, obj);

        if (st)
                return st;
        wipe_system_fields(obj);
        return create_prepared(r, res, namespace, obj, false, ret);
}
