/* The scale subresource (autoscaling/v1 Scale): a window on replicas and selector of a workload. */
#include "internal.h"

#include "../schema/crd.h"

#include "../../lib/meta/selector.h"

/* The selector's text: replication controllers have a map, the others a LabelSelector; a custom resource
 * names the field that holds the text. */
static const char *selector_text(struct arena *a, const struct resource *res, const struct json *obj)
{
        const struct json *sel = json_path(obj, "spec.selector");
        struct selector s = { 0 };

        if (!sel)
                return "";
        if (streq(res->kind, "ReplicationController"))
                selector_from_map(a, sel, &s);
        else if (selector_from_object(a, sel, &s, NULL) < 0)
                return "";
        return selector_print(a, &s);
}

/* ".spec.replicas" of a definition's scale subresource. */
static struct json *at_path(const struct json *obj, const char *path)
{
        return path && *path == '.' ? json_path(obj, path + 1) : NULL;
}

static void custom_scale(struct arena *a, const struct resource *res, const struct json *obj, struct json *spec, struct json *status)
{
        const char *selector = json_string(at_path(obj, res->crd->selector));
        int64_t n = 0;

        if (json_to_int(at_path(obj, res->crd->spec_replicas), &n) == 0 && n)
                json_set_int(a, spec, "replicas", n);
        n = 0;
        if (at_path(obj, res->crd->status_replicas))
                json_to_int(at_path(obj, res->crd->status_replicas), &n);
        json_set_int(a, status, "replicas", n);
        if (!str_empty(selector))
                json_set_string(a, status, "selector", selector);
}

const char *scale_missing(const struct resource *res, const struct json *obj)
{
        const struct json *n = res->crd ? at_path(obj, res->crd->spec_replicas) : NULL;

        return res->crd && (!n || json_is_null(n)) ? res->crd->spec_replicas : NULL;
}

struct json *scale_of(struct arena *a, const struct resource *res, const struct json *obj)
{
        static const char *const copied[] = { "metadata.name", "metadata.namespace", "metadata.uid",
                                              "metadata.resourceVersion", "metadata.creationTimestamp" };
        struct json *scale = json_new_object(a), *spec = json_new_object(a), *status = json_new_object(a);
        const char *selector = res->crd ? "" : selector_text(a, res, obj);
        int64_t replicas = json_path_int(obj, "spec.replicas", 0);

        json_set_string(a, scale, "kind", "Scale");
        json_set_string(a, scale, "apiVersion", "autoscaling/v1");
        json_set(a, scale, "metadata", json_new_object(a));
        for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
                if (json_path(obj, copied[i]))
                        copy_path(a, scale, obj, copied[i]);
        json_set(a, scale, "spec", spec);
        json_set(a, scale, "status", status);
        if (res->crd) {
                custom_scale(a, res, obj, spec, status);
                return scale;
        }
        if (replicas)
                json_set_int(a, spec, "replicas", replicas);
        json_set_int(a, status, "replicas", json_path_int(obj, "status.replicas", 0));
        if (*selector)
                json_set_string(a, status, "selector", selector);
        return scale;
}

const struct status *scale_apply(struct api_request *r, const struct resource *res, const struct json *old,
                                 const struct json *scale, struct json **ret_obj)
{
        static const struct resource scale_kind = { .group = "autoscaling", .version = "v1", .name = "scales",
                                                    .kind = "Scale" };
        struct arena *a = r->arena;
        struct field_errors errs = { .arena = a };
        const struct json *replicas = json_path(scale, "spec.replicas");
        const char *version = meta_string(scale, "resourceVersion"), *uid = meta_string(scale, "uid");
        struct json *obj = json_clone(a, old);
        struct resource by_path = *res;
        int64_t n = 0;

        if (replicas && json_to_int(replicas, &n) == 0 && n < 0 && !res->crd)
                field_error_add(&errs, FIELD_INVALID, "spec.replicas", replicas, "must be greater than or equal to 0");
        if (errs.n)
                return status_invalid(a, &scale_kind, meta_string(scale, "name"), &errs);
        if (*uid && !streq(uid, meta_string(old, "uid"))) {
                by_path.name = arena_printf(a, "%s/scale", res->name);
                return status_conflict(a, &by_path, meta_string(old, "name"),
                                       "Precondition failed: UID in precondition: %s, UID in object meta: %s", uid,
                                       meta_string(old, "uid"));
        }
        json_path_set(a, obj, res->crd ? res->crd->spec_replicas + 1 : "spec.replicas", json_new_int(a, n));
        json_path_del(obj, "metadata.resourceVersion");
        if (*version)
                json_set_string(a, json_get(obj, "metadata"), "resourceVersion", version);
        *ret_obj = obj;
        return NULL;
}
