/* A definition's JSON -> tables. All in one arena that lives as long as somebody refers to the definition. */
#include "crd.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <gnutls/crypto.h>

#include "../../lib/base/encode.h"
#include "discovery.h"

#define OBJECT_META "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

static bool flag(const struct json *raw, const char *key)
{
        return json_get_bool(raw, key, false);
}

/* --- schemas --- */

static struct schema *schema_new(struct arena *a, const struct json *raw)
{
        struct schema *s = arena_calloc(a, sizeof(*s));
        struct schema_crd *crd = arena_calloc(a, sizeof(*crd));

        crd->raw = raw;
        crd->fallback = json_get(raw, "default");
        crd->nullable = flag(raw, "nullable");
        s->crd = crd;
        s->type = SCHEMA_ANY;
        s->description = json_get_string(raw, "description");
        s->preserve_unknown = flag(raw, "x-kubernetes-preserve-unknown-fields");
        s->embedded_resource = flag(raw, "x-kubernetes-embedded-resource");
        return s;
}

static const char **strings(struct arena *a, const struct json *list)
{
        const char **out = arena_calloc(a, (json_len(list) + 1) * sizeof(*out));
        size_t n = 0;

        json_foreach_item(list, item)
                if (json_is_string(item))
                        out[n++] = item->str;
        return out;
}

static int by_name(const void *x, const void *y)
{
        return strcmp(((const struct schema_field *)x)->name, ((const struct schema_field *)y)->name);
}

static const struct schema *compile(struct arena *a, const struct json *raw);

static void add_field(struct arena *a, struct schema_field *f, const char *name, const struct schema *type, bool required)
{
        size_t len = strlen(name);

        *f = (struct schema_field){.name = name, .len = (uint32_t)len, .tag = json_tag(name, len), .type = type,
                                   .presence = true, .required = required, .description = type->description};
        if (type->crd && type->crd->fallback) /* keys of lists that are left out */
                f->fallback = json_print(a, type->crd->fallback);
}

static bool required(const struct json *raw, const char *name)
{
        json_foreach_item(json_get(raw, "required"), item)
                if (streq(json_string(item), name))
                        return true;
        return false;
}

static void compile_struct(struct arena *a, struct schema *s, const struct json *raw, bool resource)
{
        static const struct schema string = {.type = SCHEMA_STRING};
        const struct json *props = json_get(raw, "properties");
        struct schema_field *fields = arena_calloc(a, (json_len(props) + 3) * sizeof(*fields));
        unsigned n = 0;

        s->type = SCHEMA_STRUCT;
        json_foreach_member(props, m)
                if (!resource || !(streq(m->key, "apiVersion") || streq(m->key, "kind") || streq(m->key, "metadata")))
                        add_field(a, &fields[n++], m->key, compile(a, m->value), required(raw, m->key));
        if (resource) {
                add_field(a, &fields[n++], "apiVersion", &string, false);
                add_field(a, &fields[n++], "kind", &string, false);
                add_field(a, &fields[n++], "metadata", builtin_schema(OBJECT_META), false);
        }
        qsort(fields, n, sizeof(*fields), by_name);
        s->fields = fields;
        s->n_fields = n;
        s->atomic = streq(json_get_string(raw, "x-kubernetes-map-type"), "atomic");
}

static void compile_array(struct arena *a, struct schema *s, const struct json *raw)
{
        static const struct schema any = {.type = SCHEMA_ANY};
        const char *type = json_get_string(raw, "x-kubernetes-list-type");

        s->type = SCHEMA_ARRAY;
        s->elem = json_is_object(json_get(raw, "items")) ? compile(a, json_get(raw, "items")) : &any;
        s->list_declared = type != NULL;
        if (streq(type, "set"))
                s->list_type = SCHEMA_LIST_SET;
        else if (streq(type, "map")) {
                s->list_type = SCHEMA_LIST_MAP;
                s->list_keys = strings(a, json_get(raw, "x-kubernetes-list-map-keys"));
        }
}

static const struct schema *compile(struct arena *a, const struct json *raw)
{
        struct schema *s = schema_new(a, raw);
        const char *type = json_get_string(raw, "type");
        const struct json *more = json_get(raw, "additionalProperties");
        static const struct schema any = {.type = SCHEMA_ANY};

        if (flag(raw, "x-kubernetes-int-or-string"))
                s->type = SCHEMA_INT_OR_STRING;
        else if (s->embedded_resource)
                compile_struct(a, s, raw, true);
        else if (streq(type, "object") && json_len(json_get(raw, "properties")))
                compile_struct(a, s, raw, false);
        else if (streq(type, "object") && (json_is_object(more) || json_is_true(more))) {
                s->type = SCHEMA_MAP;
                s->elem = json_is_object(more) ? compile(a, more) : &any;
                s->atomic = streq(json_get_string(raw, "x-kubernetes-map-type"), "atomic");
        } else if (streq(type, "object") && !s->preserve_unknown)
                compile_struct(a, s, raw, false);
        else if (streq(type, "array"))
                compile_array(a, s, raw);
        else if (streq(type, "string"))
                s->type = SCHEMA_STRING;
        else if (streq(type, "integer"))
                s->type = SCHEMA_INT64;
        else if (streq(type, "number"))
                s->type = SCHEMA_DOUBLE;
        else if (streq(type, "boolean"))
                s->type = SCHEMA_BOOLEAN;
        return s;
}

const struct schema *crd_compile_schema(struct arena *a, const struct json *raw, bool root)
{
        struct schema *s;

        if (!root)
                return compile(a, raw);
        s = schema_new(a, raw);
        ((struct schema_crd *)s->crd)->root = true;
        compile_struct(a, s, raw, true);
        return s;
}

/* --- a version --- */

static void add_columns(struct arena *a, struct resource *res, const struct json *version)
{
        const struct json *list = json_get(version, "additionalPrinterColumns");
        struct table_column *c = arena_calloc(a, (json_len(list) + 2) * sizeof(*c));
        unsigned n = 0;

        c[n++] = (struct table_column){"Name", "string", "name", NULL, 0, ".metadata.name"};
        json_foreach_item(list, item) {
                const char *format = json_get_string(item, "format"), *about = json_get_string(item, "description");
                const char *name = json_get_string(item, "name");
                c[n++] = (struct table_column){
                        .name = name ? name : "",
                        .type = json_get_string(item, "type"),
                        .format = format ? format : "",
                        .description = about ? about : arena_printf(a, "Custom resource definition column (in JSONPath format): %s",
                                                                    json_get_string(item, "jsonPath")),
                        .priority = json_get_int(item, "priority", 0),
                        .cell = arena_printf(a, "jsonpath %s", json_get_string(item, "jsonPath")),
                };
        }
        if (n == 1)
                c[n++] = (struct table_column){"Age", "date", "", NULL, 0, "jsonpath .metadata.creationTimestamp"};
        res->columns = c;
        res->n_columns = n;
}

static void add_subresources(struct arena *a, struct resource *res, struct crd_version *v, const struct json *version)
{
        static const char *const verbs[] = {"get", "patch", "update", NULL}, *const status_alone[] = {"status", NULL};
        const struct json *subs = json_get(version, "subresources"), *scale = json_get(subs, "scale");
        struct subresource *list = arena_calloc(a, 2 * sizeof(*list));
        unsigned n = 0;

        if (json_get(subs, "status")) {
                list[n++] = (struct subresource){"status", res->group, res->version, res->kind, verbs};
                res->status_subresource = true;
                res->reset_on_create = status_alone;
        }
        if (scale) {
                list[n++] = (struct subresource){"scale", "autoscaling", "v1", "Scale", verbs};
                v->spec_replicas = json_get_string(scale, "specReplicasPath");
                v->status_replicas = json_get_string(scale, "statusReplicasPath");
                v->selector = json_get_string(scale, "labelSelectorPath");
        }
        res->subresources = list;
        res->n_subresources = n;
}

static const char *const *selectable(struct arena *a, const struct json *version)
{
        const struct json *list = json_get(version, "selectableFields");
        const char **out = arena_calloc(a, (json_len(list) + 1) * sizeof(*out));

        json_foreach_item(list, item)
                out[item_i] = json_get_string(item, "jsonPath") + 1; /* without its dot */
        return out;
}

static const char *warning(struct arena *a, const struct crd *c, const struct resource *res, const struct json *version)
{
        const char *text = json_get_string(version, "deprecationWarning"), *better = NULL;

        if (!json_get_bool(version, "deprecated", false))
                return NULL;
        if (text)
                return text;
        json_foreach_item(json_path(c->definition, "spec.versions"), v) {
                const char *name = json_get_string(v, "name");
                if (json_get_bool(v, "served", false) && !json_get_bool(v, "deprecated", false) &&
                    (!better || discovery_version_cmp(name, better) < 0) && discovery_version_cmp(name, res->version) < 0)
                        better = name;
        }
        return arena_printf(a, better ? "%s/%s %s is deprecated; use %s/%s %s" : "%s/%s %s is deprecated", res->group,
                            res->version, res->kind, res->group, better, res->kind);
}

/* Names are those that were accepted, as soon as there are some. */
static const struct json *names_of(const struct json *definition)
{
        const struct json *names = json_path(definition, "status.acceptedNames");

        return str_empty(json_get_string(names, "plural")) ? json_path(definition, "spec.names") : names;
}

/* Of the version that is stored; each version has it. */
static const char *storage_hash(struct arena *a, const struct json *definition, const char *kind)
{
        const char *text = NULL;
        uint8_t sum[32];
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        json_foreach_item(json_path(definition, "spec.versions"), v)
                if (json_get_bool(v, "served", false) && json_get_bool(v, "storage", false))
                        text = arena_printf(a, "%s/%s/%s", json_path_string(definition, "spec.group"), json_get_string(v, "name"), kind);
        if (!text || gnutls_hash_fast(GNUTLS_DIG_SHA256, text, strlen(text), sum) < 0)
                return NULL;
        base64_encode(&b, sum, 8);
        return arena_strdup(a, strbuf_str(&b));
}

static struct resource *compile_version(struct arena *a, struct crd *c, const struct json *version)
{
        static const char *const verbs[] = {"delete", "deletecollection", "get", "list", "patch", "create", "update",
                                            "watch", NULL}; /* in upstream's order */
        static const char *const going[] = {"delete", "deletecollection", "get", "list", "watch", NULL};
        const struct json *spec = json_get(c->definition, "spec"), *names = names_of(c->definition);
        struct resource *res = arena_calloc(a, sizeof(*res));
        struct crd_version *v = arena_calloc(a, sizeof(*v));

        *v = (struct crd_version){.crd = c, .spec = version};
        res->group = json_get_string(spec, "group");
        res->version = json_get_string(version, "name");
        res->name = json_get_string(names, "plural");
        res->singular = json_get_string(names, "singular");
        res->kind = json_get_string(names, "kind");
        res->list_kind = json_get_string(names, "listKind");
        res->short_names = strings(a, json_get(names, "shortNames"));
        res->categories = strings(a, json_get(names, "categories"));
        res->namespaced = streq(json_get_string(spec, "scope"), "Namespaced");
        res->verbs = c->terminating ? going : verbs;
        res->storage_hash = storage_hash(a, c->definition, res->kind);
        res->openapi = json_path(version, "schema.openAPIV3Schema");
        if (!res->openapi)
                res->openapi = json_new_object(a);
        res->schema = crd_compile_schema(a, res->openapi, true);
        crd_attach_rules(a, res->schema);
        res->field_selectors = selectable(a, version);
        res->storage_prefix = arena_printf(a, "%s/%s", res->group, res->name);
        res->generation = true;
        res->generation_start = 1;
        res->stored = true;
        res->crd = v;
        res->deprecated = warning(a, c, res, version);
        add_columns(a, res, version);
        add_subresources(a, res, v, version);
        return res;
}

static int by_preference(const void *x, const void *y)
{
        return discovery_version_cmp((*(const struct resource *const *)x)->version,
                                     (*(const struct resource *const *)y)->version);
}

int crd_compile(const char *text, size_t len, uint64_t revision, struct crd **ret, struct error *reterr)
{
        struct arena *a = arena_new(0);
        struct crd *c = arena_calloc(a, sizeof(*c));
        const struct json *versions;
        struct json *obj;
        int e = json_parse(a, text, len, NULL, &obj, reterr);

        if (e < 0) {
                arena_free(a);
                return e;
        }
        *c = (struct crd){.arena = a, .refs = 1, .definition = obj, .revision = revision};
        c->name = json_path_string(obj, "metadata.name");
        c->uid = json_path_string(obj, "metadata.uid");
        c->terminating = json_path_string(obj, "metadata.deletionTimestamp") != NULL;
        versions = json_path(obj, "spec.versions");
        c->resources = arena_calloc(a, (json_len(versions) + 1) * sizeof(*c->resources));
        json_foreach_item(versions, v) {
                struct resource *res = compile_version(a, c, v);
                if (str_empty(res->group) || str_empty(res->version) || str_empty(res->name) || str_empty(res->kind)) {
                        arena_free(a);
                        return error_set(reterr, -EINVAL, "the definition has no names");
                }
                if (json_get_bool(v, "storage", false))
                        c->stored = res;
                if (json_get_bool(v, "served", false))
                        c->resources[c->n_resources++] = res;
        }
        if (c->n_resources)
                qsort(c->resources, c->n_resources, sizeof(*c->resources), by_preference);
        *ret = c;
        return 0;
}

/* What may change without a new compilation, in a small arena of its own, around the spec that the schemas point into. */
static void adopt(struct crd *c, const struct json *obj)
{
        struct arena *a = arena_new(1024);
        struct json *now = json_new_object(a);

        json_path_del((struct json *)obj, "metadata.managedFields"); /* large, and nobody here asks for them */
        json_set(a, now, "metadata", json_clone(a, json_get(obj, "metadata")));
        json_set(a, now, "spec", json_get(c->definition, "spec"));
        if (json_get(obj, "status"))
                json_set(a, now, "status", json_clone(a, json_get(obj, "status")));
        c->definition = now;
        if (c->state)
                arena_free(c->state);
        c->state = a;
}

bool crd_renew(struct crd *c, const char *text, size_t len, uint64_t revision)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *obj;

        if (json_parse(a, text, len, NULL, &obj, NULL) < 0 || !streq(json_path_string(obj, "metadata.uid"), c->uid) ||
            (json_path_string(obj, "metadata.deletionTimestamp") != NULL) != c->terminating ||
            !json_equal(json_get(obj, "spec"), json_get(c->definition, "spec")) ||
            !json_equal(names_of(obj), names_of(c->definition)))
                return false;
        adopt(c, obj);
        c->revision = revision;
        return true;
}

struct crd *crd_ref(struct crd *c)
{
        c->refs++;
        return c;
}

void crd_unref(struct crd *c)
{
        if (!c || --c->refs)
                return;
        if (c->state)
                arena_free(c->state);
        arena_free(c->arena);
}
