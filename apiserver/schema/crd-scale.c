/* What /scale reads of a custom resource must be of Go's types (apiextensions' ValidateScaleSpec and ValidateScaleStatus). */
#include "crd.h"

/* The value at PATH (".spec.a"), as unstructured.NestedFieldNoCopy; NULL: nothing is there, or *RET_WHY tells why not. */
static const struct json *nested(struct arena *a, const struct json *obj, const char *path, const char **ret_why)
{
        const char *p = path + (*path == '.');

        *ret_why = NULL;
        for (;;) {
                size_t len = strcspn(p, ".");

                if (!obj || json_is_null(obj))
                        return NULL;
                if (!json_is_object(obj)) {
                        *ret_why = arena_printf(a, ".%.*s accessor error: %s is of the type %s, expected map[string]interface{}",
                                                (int)(p + len - path - (*path == '.')), path + (*path == '.'), crd_go_print(a, obj), crd_go_type(obj));
                        return NULL;
                }
                obj = json_getn(obj, p, len);
                if (!p[len])
                        return obj;
                p += len + 1;
        }
}

static void check_number(const struct json *obj, const char *path, struct field_errors *errs)
{
        struct arena *a = errs->arena;
        const char *why;
        const struct json *v = nested(a, obj, path, &why);
        int64_t n = 0;

        if (v && (!json_is_number(v) || crd_is_float(v)))
                why = arena_printf(a, ".%s accessor error: %s is of the type %s, expected int64", path + (*path == '.'), crd_go_print(a, v), crd_go_type(v));
        if (why) {
                field_error_add(errs, FIELD_INVALID, path, json_new_int(a, 0), "%s", why);
                return;
        }
        if (!v)
                return;
        json_to_int(v, &n);
        if (n < 0)
                field_error_add(errs, FIELD_INVALID, path, v, "should be a non-negative integer");
        else if (n > INT32_MAX)
                field_error_add(errs, FIELD_INVALID, path, v, "should be less than or equal to %d", INT32_MAX);
}

static void check_selector(const struct json *obj, const char *path, struct field_errors *errs)
{
        struct arena *a = errs->arena;
        const char *why;
        const struct json *v = nested(a, obj, path, &why);

        if (v && !json_is_string(v))
                why = arena_printf(a, ".%s accessor error: %s is of the type %s, expected string", path + (*path == '.'), crd_go_print(a, v), crd_go_type(v));
        if (why)
                field_error_add(errs, FIELD_INVALID, path, json_new_string(a, ""), "%s", why);
}

void crd_validate_scale(const struct crd_version *v, const struct json *obj, bool spec, struct field_errors *errs)
{
        if (v->spec_replicas && spec)
                check_number(obj, v->spec_replicas, errs);
        if (v->status_replicas)
                check_number(obj, v->status_replicas, errs);
        if (v->selector && v->status_replicas)
                check_selector(obj, v->selector, errs);
}
