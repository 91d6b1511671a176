/* What all verbs share: keys, reading, metadata, the steps around a write. See registry.h. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>

const struct resource *registry_stored_as(const struct resource *res)
{
        const struct resource *stored;

        if (!res->storage_version || res->crd)
                return res;
        stored = builtin_resource(res->storage_group ? res->storage_group : "", res->storage_version, res->name);
        return stored ? stored : res;
}

bool registry_sends_bytes(const struct resource *res)
{
        return registry_stored_as(res) == res && !res->crd;
}

char *registry_key(struct arena *a, const struct resource *res, const char *namespace, const char *name)
{
        bool ns = res->namespaced && !str_empty(namespace);

        return arena_join(a, "/registry/", res->storage_prefix, "/", ns ? namespace : "", ns ? "/" : "", name ? name : "",
                          NULL);
}

struct json *registry_object(struct arena *a, const struct resource *res, const struct entry *e)
{
        struct json *obj = NULL;

        if (json_parse_written(a, e->json->data, e->json->len, &obj) < 0)
                return NULL;
        return convert_object(a, registry_stored_as(res), res, obj);
}

const char *registry_text(struct arena *a, const struct resource *res, const struct entry *e, size_t *ret_len)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct json *obj;

        if (registry_sends_bytes(res)) {
                *ret_len = e->json->len;
                return e->json->data;
        }
        obj = registry_object(a, res, e);
        if (!obj)
                return NULL;
        json_write(&b, obj);
        *ret_len = b.len;
        return arena_strndup(a, b.data, b.len);
}

struct json *registry_printed(struct arena *a, const struct resource *res, struct json *obj, const struct resource **ret_res)
{
        *ret_res = registry_stored_as(res);
        return *ret_res == res ? obj : convert_object(a, res, *ret_res, obj);
}

const struct status *registry_store_status(struct arena *a, int code, const struct error *err)
{
        const char *text = error_text(err);

        switch (code) {
        case -EHOSTUNREACH:
                return status_unavailable(a, "etcd cannot be reached: %s", text);
        case -ETIMEDOUT:
                return status_timeout(a, "request did not complete within requested timeout - context deadline exceeded");
        case -ERANGE:
                return status_expired(a, "The resourceVersion for the provided list is too old.");
        default:
                /* etcd's own words, as upstream passes them on: "etcdserver: request is too large" */
                return status_make(a, 500, "", NULL, "%s", text);
        }
}

const struct status *registry_get(struct api_request *r, const struct resource *res, const char *namespace,
                                  const char *name, struct json **ret)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        struct store *s = r->server->store;
        struct entry *e;
        const struct status *st;
        const char *key;
        struct json *obj;
        int c = store_sync(s, &err);

        if (c < 0)
                return registry_store_status(r->arena, c, &err);
        key = registry_key(r->arena, res, namespace, name);
        e = store_get(s, key);
        if (!e)
                return status_not_found(r->arena, res, name);
        entry_ref(e);
        st = registry_converted(r, res, &e, 1);
        obj = st ? NULL : registry_object(r->arena, res, e);
        entry_unref(e);
        if (st)
                return st;
        if (!obj)
                return status_internal(r->arena, "the stored object %s cannot be read", key);
        if (registry_strategy(res) && registry_strategy(res)->decorate)
                registry_strategy(res)->decorate(r, obj);
        *ret = obj;
        return NULL;
}

const struct status *registry_get_subresource(struct api_request *r, const struct resource *res, const char *namespace,
                                              const char *name, const char *subresource, struct json **ret)
{
        const struct status *st = registry_get(r, res, namespace, name, ret);

        if (!st && streq(subresource, "scale") && scale_missing(res, *ret))
                return status_internal(r->arena, "the spec replicas field \"%s\" does not exist", scale_missing(res, *ret));
        if (!st && streq(subresource, "scale"))
                *ret = scale_of(r->arena, res, *ret);
        return st;
}

/* --- metadata --- */

const char *meta_string(const struct json *obj, const char *field)
{
        const char *s = json_get_string(json_get(obj, "metadata"), field);

        return s ? s : "";
}

bool meta_deleting(const struct json *obj)
{
        return json_is_string(json_path(obj, "metadata.deletionTimestamp"));
}

size_t meta_finalizers(const struct json *obj)
{
        return json_len(json_path(obj, "metadata.finalizers"));
}

void meta_bump_generation(struct arena *a, struct json *obj)
{
        int64_t g = json_path_int(obj, "metadata.generation", 0);

        if (g > 0)
                json_set_int(a, json_get(obj, "metadata"), "generation", g + 1);
}

void copy_path(struct arena *a, struct json *to, const struct json *from, const char *path)
{
        struct json *v = json_path(from, path);

        if (v)
                json_path_set(a, to, path, json_clone(a, v));
        else
                json_path_del(to, path);
}

int64_t request_now(const struct api_request *r)
{
        unused(r);
        return time_real();
}

const struct status *check_namespace(struct api_request *r, const struct resource *res, const char *namespace,
                                     struct json *obj)
{
        struct json *meta = json_ensure_object(r->arena, obj, "metadata");
        const char *have = meta_string(obj, "namespace");

        if (!res->namespaced || str_empty(namespace)) {
                json_del(meta, "namespace");
                return NULL;
        }
        if (!*have)
                json_set_string(r->arena, meta, "namespace", namespace);
        else if (!streq(have, namespace))
                return status_bad_request(r->arena, "the namespace of the provided object does not match the namespace "
                                                    "sent on the request");
        return NULL;
}

/* Equal uids in ownerReferences: the first stays, the client is told. */
void warn_duplicate_owners(struct api_request *r, struct json *obj, bool admitted)
{
        struct json *refs = json_path(obj, "metadata.ownerReferences");
        struct strbuf twice = STRBUF_INIT;

        for (size_t i = 0; i < json_len(refs); i++) {
                const char *uid = json_get_string(json_at(refs, i), "uid");
                bool told = false;

                for (size_t j = i + 1; j < json_len(refs);) {
                        if (!streq(json_get_string(json_at(refs, j), "uid"), uid) ||
                            !json_equal(json_at(refs, i), json_at(refs, j))) {
                                j++;
                                continue;
                        }
                        json_remove(refs, j);
                        if (!told)
                                strbuf_printf(&twice, "%s%s", twice.len ? ", " : "", uid ? uid : "");
                        told = true;
                }
        }
        if (twice.len)
                request_warn(r,
                             ".metadata.ownerReferences contains duplicate entries%s; API server dedups owner references in 1.20+, "
                             "and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: %s",
                             admitted ? " after mutating admission happens" : "", twice.data);
        strbuf_deinit(&twice);
}

void wipe_system_fields(struct json *obj)
{
        static const char *const fields[] = { "uid", "creationTimestamp", "deletionTimestamp",
                                              "deletionGracePeriodSeconds", "selfLink" };
        struct json *meta = json_get(obj, "metadata");

        for (size_t i = 0; meta && i < ARRAY_SIZE(fields); i++)
                json_del(meta, fields[i]);
}

void fill_system_fields(struct api_request *r, struct json *obj)
{
        struct json *meta = json_ensure_object(r->arena, obj, "metadata");
        char uid[UUID_BUF], when[TIME_BUF];

        json_set_string(r->arena, meta, "uid", uuid_new(uid));
        json_set_string(r->arena, meta, "creationTimestamp", time_format(request_now(r), when));
}

const struct status *parse_resource_version(struct arena *a, const char *sent, uint64_t *ret)
{
        uint64_t n = 0;
        bool digits = true, fits = true;

        for (const char *p = sent; *p; p++) {
                digits &= *p >= '0' && *p <= '9';
                fits &= !__builtin_mul_overflow(n, 10, &n) && !__builtin_add_overflow(n, (uint64_t)(*p - '0'), &n);
        }
        if (!digits || !fits)
                return status_make(a, 500, "", NULL, "strconv.ParseUint: parsing %s: %s", go_quoted(a, sent),
                                   digits ? "value out of range" : "invalid syntax");
        *ret = n;
        return NULL;
}

void set_resource_version(struct arena *a, struct json *obj, uint64_t revision)
{
        struct json *meta = json_ensure_object(a, obj, "metadata");

        if (revision)
                json_set(a, meta, "resourceVersion", json_new_stringf(a, "%llu", (unsigned long long)revision));
        else
                json_del(meta, "resourceVersion");
}

/* --- steps of a write --- */

void note_written(struct api_request *r, const struct resource *res, const struct json *obj, const struct entry *e)
{
        r->written_of = NULL;
        if (!registry_sends_bytes(res))
                return;
        r->written_of = obj;
        r->written = arena_memdup(r->arena, e->json->data, e->json->len);
        r->written_len = e->json->len;
}

const struct status *validate_write(struct api_request *r, const struct resource *res, struct json *obj,
                                    const struct json *old, const char *sub)
{
        const struct strategy *strategy = registry_strategy(res);
        struct field_errors errs = { .arena = r->arena };

        validate_object(r, res, obj, old, sub, &errs);
        if (strategy && strategy->validate)
                strategy->validate(r, obj, old, sub, &errs);
        if (errs.n)
                return status_invalid(r->arena, res, meta_string(obj, "name"), &errs);
        validation_warn(r, res, obj, old, sub);
        return NULL;
}

struct admission_attributes admission_of(struct api_request *r, enum admission_op op, const struct resource *res,
                                         const char *sub, const char *namespace, const char *name, struct json *obj,
                                         const struct json *old)
{
        return (struct admission_attributes){
                .request = r,
                .op = op,
                .res = res,
                .subresource = sub ? sub : "",
                .namespace = res->namespaced && namespace ? namespace : "",
                .name = name ? name : "",
                .object = obj,
                .old = old,
                .dry_run = r->dry_run,
        };
}
