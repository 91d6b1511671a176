/* Entries of managedFields that were written at other versions than the one at hand.
 *
 * Their sets name fields as their version has them, so objects are converted before they are compared with such a set.
 * Built-in kinds: an entry of a version that is not served is forgotten. Custom resources: upstream's converter
 * knows the definition's versions only, and its refusal fails an apply; an update then leaves all entries as they are.
 */
#include "managed-versions.h"

#include "crd.h"

#include "../registry/internal.h"

static bool is_version(const struct resource *res, const char *group, size_t len, const char *version)
{
        return strlen(res->group) == len && strncmp(res->group, group, len) == 0 && streq(res->version, version);
}

/* One of the definition's versions; RES itself for those that are not compiled, or that only a webhook can tell apart. */
static const struct resource *custom_version(const struct resource *res, const char *version)
{
        const struct crd *crd = res->crd->crd;

        json_foreach_item(json_path(crd->definition, "spec.versions"), v) {
                if (!streq(json_get_string(v, "name"), version))
                        continue;
                if (streq(json_path_string(crd->definition, "spec.conversion.strategy"), "Webhook"))
                        return res;
                for (size_t i = 0; i < crd->n_resources; i++)
                        if (streq(crd->resources[i]->version, version))
                                return crd->resources[i];
                return crd->stored && streq(crd->stored->version, version) ? crd->stored : res;
        }
        return NULL;
}

const struct resource *managed_version(struct arena *a, const struct resource *res, const char *text, const char **ret_why)
{
        const char *slash = strchr(text, '/'), *version = slash ? slash + 1 : text;
        size_t len = slash ? (size_t)(slash - text) : 0;
        const struct resource *other;

        *ret_why = NULL;
        if (is_version(res, text, len, version))
                return res;
        if (slash && strchr(version, '/')) {
                *ret_why = arena_printf(a, "unexpected GroupVersion string: %s", text);
                return NULL;
        }
        if (!res->crd) {
                other = builtin_resource(arena_strndup(a, text, len), version, res->name);
                /* Events of the two groups are converted, but the schema of one group does not have the other's. */
                return other && streq(other->group, res->group) ? other : NULL;
        }
        if (strlen(res->group) != len || strncmp(res->group, text, len) != 0) {
                *ret_why = arena_printf(a, "%s/%s, Kind=%s is unstructured and is not suitable for converting to \"%s\"",
                                        res->group, res->version, res->kind, text);
                return NULL;
        }
        other = custom_version(res, version);
        if (!other)
                *ret_why = arena_printf(a, "request to convert CR to an invalid group/version: %s", text);
        return other;
}

const char *managed_settle(struct managed *m, const struct resource *res, const char *version)
{
        const char *why = NULL;

        for (size_t i = m->n; i-- > 0;) {
                if (streq(m->list[i].version, version) || managed_version(m->a, res, m->list[i].version, &why))
                        continue;
                if (why)
                        return why;
                managed_remove(m, &m->list[i]);
        }
        return NULL;
}

struct json *managed_convert(struct arena *a, const struct resource *from, const struct resource *to, const struct json *obj)
{
        return from == to ? (struct json *)obj : convert_object(a, from, to, json_clone(a, obj));
}

void managed_compare(struct managed_views *v, const char *version, struct comparison *ret)
{
        struct managed_view *view = NULL;
        const char *why;

        for (size_t i = 0; i < v->n && !view; i++)
                if (streq(v->list[i].version, version))
                        view = &v->list[i];
        if (!view) {
                const struct resource *res = managed_version(v->a, v->res, version, &why) ?: v->res;
                struct typed t = { .a = v->a, .schema = res->schema, .deduce = res->crd };

                array_reserve(v->list, v->cap, v->n + 1);
                view = &v->list[v->n++];
                view->version = version;
                typed_compare(&t, managed_convert(v->a, v->res, res, v->live), managed_convert(v->a, v->res, res, v->obj),
                              &view->cmp);
                managed_drop_reset(res, v->sub, view->cmp.added);
                managed_drop_reset(res, v->sub, view->cmp.modified);
                managed_drop_reset(res, v->sub, view->cmp.removed);
        }
        *ret = view->cmp;
}
