/* Looking things up in the generated tables (schema.h).
 *
 * The tables are small (some 70 resources, 600 types): types are found by binary search, fields by the perfect hash
 * that comes with their type, resources by a scan, which costs about as much as hashing the key would.
 */
#include "schema.h"

#include "../../lib/base/base.h"

const struct schema_field *schema_search(const struct schema *s, const char *name, size_t len)
{
        size_t low = 0, high = len ? s->n_fields : 0;

        while (low < high) {
                size_t mid = (low + high) / 2;
                const char *other = s->fields[mid].name;
                int c = (unsigned char)*name - (unsigned char)*other;

                if (c == 0)
                        c = strncmp(name, other, len);
                if (c == 0 && other[len])
                        c = -1;
                if (c == 0)
                        return &s->fields[mid];
                if (c < 0)
                        high = mid;
                else
                        low = mid + 1;
        }
        return NULL;
}

const struct schema_field *schema_fieldn(const struct schema *s, const char *name, size_t len)
{
        return schema_find(s, name, len, json_tag(name, len));
}

const struct schema_field *schema_field(const struct schema *s, const char *name)
{
        return schema_fieldn(s, name, strlen(name));
}

const struct schema *builtin_schema(const char *name)
{
        size_t low = 0, high = n_builtin_schemas;

        while (low < high) {
                size_t mid = (low + high) / 2;
                int c = strcmp(name, builtin_schemas[mid].name);

                if (c == 0)
                        return &builtin_schemas[mid];
                if (c < 0)
                        high = mid;
                else
                        low = mid + 1;
        }
        return NULL;
}

static bool is_resource(const struct resource *r, const char *group, const char *version, const char *name)
{
        return streq(r->name, name) && streq(r->group, group) && streq(r->version, version);
}

/* A write asks for a dozen of them: what was found stays in a small table, by the ends of the names. */
const struct resource *builtin_resource(const char *group, const char *version, const char *name)
{
        static const struct resource *seen[256];
        size_t len = name ? strlen(name) : 0;
        const struct resource **place = &seen[(len ? (unsigned char)name[0] + 31 * len + 7 * (unsigned char)name[len / 2] : 0) % 256];

        if (*place && is_resource(*place, group, version, name))
                return *place;
        for (unsigned i = 0; i < n_builtin_resources; i++) {
                const struct resource *r = builtin_resources[i];

                if (is_resource(r, group, version, name))
                        return *place = r;
        }
        return NULL;
}

const struct resource *builtin_kind(const char *group, const char *version, const char *kind)
{
        for (unsigned i = 0; i < n_builtin_resources; i++) {
                const struct resource *r = builtin_resources[i];

                if (streq(r->kind, kind) && streq(r->group, group) && streq(r->version, version))
                        return r;
        }
        return NULL;
}

const struct schema *builtin_body(const char *group_version, const char *kind)
{
        size_t len = strlen(kind);

        for (unsigned i = 0; i < n_builtin_schemas; i++) {
                const struct schema *s = &builtin_schemas[i];
                size_t n = strlen(s->name);

                if (s->group_version && streq(s->group_version, group_version) && n > len &&
                    s->name[n - len - 1] == '.' && streq(s->name + n - len, kind))
                        return s;
        }
        /* metav1's options are registered in every group version. */
        if (streq(kind, "DeleteOptions"))
                return builtin_schema("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
        return NULL;
}

const char *schema_published_default(const struct schema_field *f)
{
        if (f->published)
                return f->fallback;
        if (!f->emit_empty || f->presence)
                return NULL;
        switch (f->type->type) {
        case SCHEMA_STRING:
                return "\"\"";
        case SCHEMA_INT32:
        case SCHEMA_INT64:
        case SCHEMA_DOUBLE:
                return "0";
        case SCHEMA_BOOLEAN:
                return "false";
        default:
                return NULL;
        }
}
