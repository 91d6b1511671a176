/* What a mutating policy's expressions make of an object (k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch). */
#include "policy-change.h"

#include <errno.h>

#include "../../lib/base/encode.h"
#include "../schema/decode.h"
#include "../schema/default.h"
#include "../schema/patch-json.h"
#include "../schema/typed.h"

/* A subresource with a kind of its own has none of the parent's schema. */
static bool whole(const struct admission_attributes *at, const struct json *obj)
{
        return !*at->subresource || streq(get_string(obj, "kind"), at->res->kind);
}

static void fill_in(struct admission_attributes *at, struct json *obj)
{
        if (!whole(at, obj))
                return;
        schema_default(at->request->arena, at->res, obj);
        schema_canonicalise(at->request->arena, at->res->schema, obj);
}

/* --- patches --- */

/* Custom resources have no Go types that could refuse anything. */
static const char *decode(struct admission_attributes *at, struct json *obj)
{
        struct arena *a = at->request->arena;
        struct strict_errors strict = { .arena = a };
        _cleanup_error_ struct error err = ERROR_INIT;

        if (at->res->crd || !at->res->schema || !whole(at, obj))
                return NULL;
        if (schema_decode(a, at->res->schema, obj, &strict, &err) < 0)
                return arena_strdup(a, error_text(&err));
        return strict.n ? strict_errors_print(a, &strict) : NULL;
}

int policy_change_by_patch(struct admission_attributes *at, const struct json *patch, struct json **ret, const char **ret_why,
                           const struct status **ret_st)
{
        struct arena *a = at->request->arena;
        struct json *made = NULL;
        const char *why = NULL;
        int r;

        *ret = NULL;
        r = patch_json_made(a, at->object, patch, &made, &why);
        if (r == -EAGAIN)
                return 0; /* a test that fails is how a patch says that it is not about this object */
        if (r < 0) {
                *ret_why = arena_printf(a, "JSON Patch: %s", why);
                return r;
        }
        made = json_clone(a, made);
        why = decode(at, made);
        if (why) {
                *ret_st = status_internal(a, "%s", why);
                return -EINVAL;
        }
        fill_in(at, made);
        *ret = made;
        return 0;
}

/* --- configurations --- */

/* NULL, or which message within V is not called after its place. */
static const char *misnamed(struct arena *a, const struct cel_value *v, const char *place)
{
        const char *why = NULL;

        if (v->lazy)
                return NULL;
        if (v->type == CEL_LIST)
                for (size_t i = 0; !why && i < v->list->n; i++)
                        why = misnamed(a, &v->list->items[i], place);
        if (v->type != CEL_MAP)
                return why;
        if (v->map->type_name && !streq(v->map->type_name, place))
                return arena_printf(a, "unexpected type name \"%s\", expected \"%s\", which matches field name path from root Object type",
                                    v->map->type_name, place);
        for (size_t i = 0; !why && i < v->map->n; i++) {
                const struct cel_entry *e = &v->map->entries[i];

                why = misnamed(a, &e->value, v->map->type_name ? arena_printf(a, "%s.%s", place, cel_text(a, &e->key)) : place);
        }
        return why;
}

static void find_atomics(struct arena *a, const struct schema *s, const struct json *j, const char *path, struct json *found)
{
        if (json_is_array(j) && s->type == SCHEMA_ARRAY) {
                if (s->list_type == SCHEMA_LIST_ATOMIC)
                        json_append(a, found, json_new_string(a, path));
                for (size_t i = 0; s->elem && i < json_len(j); i++)
                        find_atomics(a, s->elem, j->items[i], arena_printf(a, "%s[%zu]", path, i), found);
        }
        if (!json_is_object(j) || (s->type != SCHEMA_STRUCT && s->type != SCHEMA_MAP))
                return;
        if (s->atomic)
                json_append(a, found, json_new_string(a, path));
        json_foreach_member(j, m) {
                const struct schema_field *f = s->type == SCHEMA_STRUCT ? schema_member(s, m) : NULL;
                const struct schema *of = f ? f->type : s->elem;

                if (of)
                        find_atomics(a, of, m->value, arena_printf(a, "%s.%s", path, m->key), found);
        }
}

static const char *unfit(struct admission_attributes *at, const struct json *config)
{
        struct arena *a = at->request->arena;
        struct typed t = { .a = a, .schema = at->res->schema, .deduce = at->res->crd };
        const char *why = typed_validate(&t, config), *text = "";
        struct json *found = json_new_array(a);

        if (why)
                return arena_printf(a, "error applying patch: failed to convert patch object to typed object: %s", why);
        if (at->res->schema)
                find_atomics(a, at->res->schema, config, "", found);
        json_foreach_item(found, path)
                text = arena_printf(a, "%s%s%s", text, *text ? ", " : "", json_string(path));
        return *text ? arena_printf(a, "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: %s", text)
                     : NULL;
}

int policy_change_by_apply(struct admission_attributes *at, const struct cel_value *config, struct json **ret, const char **ret_why)
{
        static const char *const own[] = { "apiVersion", "kind" };
        struct arena *a = at->request->arena;
        struct typed t = { .a = a, .schema = at->res->schema, .deduce = at->res->crd };
        struct json *j = cel_to_json(a, config);
        const char *why;

        *ret = NULL;
        if (!json_is_object(j)) {
                *ret_why = "must evaluate to Object but got none";
                return -EINVAL;
        }
        why = misnamed(a, config, "Object");
        if (why) {
                *ret_why = arena_printf(a, "type mismatch: %s", why);
                return -EINVAL;
        }
        j = json_clone(a, j);
        for (size_t i = 0; i < ARRAY_SIZE(own); i++)
                json_set_string(a, j, own[i], get_string(at->object, own[i]));
        *ret_why = unfit(at, j);
        if (*ret_why)
                return -EINVAL;
        *ret = json_clone(a, typed_merge(&t, at->object, j));
        fill_in(at, *ret);
        return 0;
}
