/* Managed fields seen through the scale subresource.
 *
 * A Scale is a window on one number of its parent. Its writers work on entries of their own, made from those of the
 * parent that own the number, at version autoscaling/v1; afterwards these are merged back. As upstream's handler
 * knows managers by a text that holds the version of Updates, such an entry does not find its parent's again: the
 * parent's loses the number, and an entry without a time comes beside it.
 */
#include "managed-scale.h"

#include "crd.h"
#include "typed.h"

#define SCALE_VERSION "autoscaling/v1"

static const char *path_of(const struct resource *res)
{
        return res->crd && res->crd->spec_replicas ? res->crd->spec_replicas + 1 : "spec.replicas";
}

/* The set of PATH alone. */
static struct field_set *only(struct arena *a, const char *path)
{
        struct field_set *out = field_set_new(a), *at = out;

        for (const char *dot; *path; path = *dot ? dot + 1 : dot) {
                char *name;
                size_t len;
                struct field_node *node;

                dot = strchrnul(path, '.');
                len = (size_t)(dot - path);
                name = arena_alloc(a, len + 3);
                memcpy(name, "f:", 2);
                memcpy(name + 2, path, len);
                name[len + 2] = '\0';
                node = field_set_node(a, at, name, len + 2);
                node->member = !*dot;
                at = &node->below;
        }
        return out;
}

static bool owns(struct arena *a, const struct field_set *set, const struct field_set *number)
{
        return !field_set_empty(field_set_intersection(a, set, number));
}

bool managed_scale_open(struct arena *a, const struct resource *res, const struct json *parent, struct managed_scale *ret)
{
        int64_t n = 0;

        *ret = (struct managed_scale){ .a = a, .res = res, .number = only(a, path_of(res)), .entries = { .a = a } };
        json_to_int(json_path(parent, path_of(res)), &n);
        ret->replicas = n;
        if (!managed_decode(a, json_path(parent, "metadata.managedFields"), &ret->parent))
                return false;
        for (size_t i = 0; i < ret->parent.n; i++) {
                const struct managed_entry *e = &ret->parent.list[i];
                struct managed_entry s = { .manager = e->manager, .version = SCALE_VERSION, .sub = e->sub, .applied = e->applied };
                const char *why;

                if (!managed_version(a, res, e->version, &why) || !owns(a, e->set, ret->number))
                        continue;
                s.set = only(a, "spec.replicas");
                if (!managed_find(&ret->entries, s.manager, s.applied, s.version, s.sub))
                        managed_add(&ret->entries, &s);
        }
        return true;
}

void managed_scale_own(struct managed_scale *s, const char *manager, bool applied)
{
        struct managed_entry e = { .manager = manager, .version = SCALE_VERSION, .sub = "scale", .applied = applied };

        e.set = only(s->a, "spec.replicas");
        if (!managed_find(&s->entries, manager, applied, e.version, e.sub))
                managed_add(&s->entries, &e);
}

struct json *managed_scale_close(struct managed_scale *s)
{
        const char *version = resource_group_version(s->a, s->res), *why;
        struct managed out = { .a = s->a };

        for (size_t i = 0; i < s->parent.n; i++) {
                struct managed_entry e = s->parent.list[i], *mine;

                if (!managed_version(s->a, s->res, e.version, &why))
                        continue;
                if (owns(s->a, e.set, s->number)) {
                        mine = managed_find(&s->entries, e.manager, e.applied, e.version, e.sub);
                        if (mine) {
                                managed_remove(&s->entries, mine);
                        } else {
                                e.set = field_set_difference(s->a, e.set, s->number);
                                e.json = NULL;
                        }
                }
                if (!field_set_empty(e.set))
                        managed_add(&out, &e);
        }
        for (size_t i = 0; i < s->entries.n; i++) {
                struct managed_entry e = s->entries.list[i];

                e.version = version;
                e.set = s->number;
                managed_add(&out, &e);
        }
        return managed_encode(&out);
}

void managed_scale_update(struct arena *a, const struct resource *res, const struct json *live, struct json *obj,
                          const char *manager)
{
        struct json *meta = json_ensure_object(a, obj, "metadata"), *fields;
        struct managed_scale s;
        int64_t n = 0;

        json_to_int(json_path(obj, path_of(res)), &n);
        managed_scale_open(a, res, live, &s);
        /* Where nobody owns the number, nobody is tracked. A number that becomes zero is one that is taken away. */
        if (s.entries.n && n != s.replicas) {
                s.entries.n = 0;
                if (n)
                        managed_scale_own(&s, manager, false);
        }
        fields = managed_scale_close(&s);
        if (fields)
                json_set(a, meta, "managedFields", fields);
        else
                json_del(meta, "managedFields");
}
