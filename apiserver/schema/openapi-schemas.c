/* Types as OpenAPI schemas (openapi-internal.h).
 *
 * v2 and v3 differ in little: where references point to, and that v3 wraps a reference that has
 * siblings into allOf and shows defaults. Everything else are the x-kubernetes extensions that patches and
 * apply are computed from by clients.
 */
#include <stdio.h>

#include "../../lib/base/base.h"
#include "crd.h"
#include "openapi-internal.h"

#define META_V1 "io.k8s.apimachinery.pkg.apis.meta.v1."

/* A field may see its type otherwise than the type itself does: a schema of its own, by the same name. */
static bool is_variant(const struct schema *s)
{
        return s != builtin_schema(s->name);
}

void openapi_use(struct openapi_doc *doc, const struct schema *s)
{
        const struct schema *named = builtin_schema(s->name);
        size_t i = named ? (size_t)(named - builtin_schemas) : SIZE_MAX;

        if (i < OPENAPI_USED_WORDS * 64)
                doc->used[i / 64] |= UINT64_C(1) << i % 64;
}

bool openapi_used(const struct openapi_doc *doc, unsigned i)
{
        return doc->used[i / 64] >> i % 64 & 1;
}

void openapi_ref(struct openapi_doc *doc, const char *name)
{
        const struct schema *s = builtin_schema(name);

        if (s)
                openapi_use(doc, s);
        strbuf_printf(doc->out, "{\"$ref\":\"#/%s/%s\"}", doc->v2 ? "definitions" : "components/schemas", name);
}

static void write_text(struct strbuf *out, const char *key, const char *text)
{
        strbuf_printf(out, ",\"%s\":", key);
        json_write_string(out, text, strlen(text));
}

static void write_list(struct strbuf *out, const char *key, const char *const *list)
{
        strbuf_printf(out, ",\"%s\":[", key);
        for (size_t i = 0; list[i]; i++) {
                if (i)
                        strbuf_putc(out, ',');
                json_write_string(out, list[i], strlen(list[i]));
        }
        strbuf_putc(out, ']');
}

/* "type" and "format" of a scalar. */
static void write_scalar(struct openapi_doc *doc, const struct schema *s)
{
        static const char *const types[] = {
                [SCHEMA_STRING] = "string",   [SCHEMA_BOOLEAN] = "boolean",   [SCHEMA_INT32] = "integer",
                [SCHEMA_INT64] = "integer",   [SCHEMA_DOUBLE] = "number",     [SCHEMA_BYTES] = "string",
                [SCHEMA_TIME] = "string",     [SCHEMA_MICRO_TIME] = "string", [SCHEMA_DURATION] = "string",
                [SCHEMA_QUANTITY] = "string", [SCHEMA_INT_OR_STRING] = "string",
        };

        strbuf_printf(doc->out, "\"type\":\"%s\"", types[s->type]);
        if (s->format)
                strbuf_printf(doc->out, ",\"format\":\"%s\"", s->format);
        if (s->enums)
                write_list(doc->out, "enum", s->enums);
}

/* The members of a schema that is not named, without braces. */
static void write_inline(struct openapi_doc *doc, const struct schema *s);

/* What definitions are published with has the defaults of elements, as upstream's clients carry it. */
static void write_element(struct openapi_doc *doc, const char *key, const struct schema *elem)
{
        strbuf_printf(doc->out, ",\"%s\":", key);
        if (elem->name && doc->custom && elem->type == SCHEMA_STRUCT && elem->n_fields) {
                strbuf_puts(doc->out, "{\"default\":{},\"allOf\":[");
                openapi_ref(doc, elem->name);
                strbuf_puts(doc->out, "]}");
                return;
        }
        if (elem->name) {
                openapi_ref(doc, elem->name);
                return;
        }
        strbuf_putc(doc->out, '{');
        write_inline(doc, elem);
        if (doc->custom && elem->type == SCHEMA_STRING)
                strbuf_puts(doc->out, ",\"default\":\"\"");
        strbuf_putc(doc->out, '}');
}

static void write_inline(struct openapi_doc *doc, const struct schema *s)
{
        static const char *const list_types[] = { "atomic", "set", "map" };

        if (s->type == SCHEMA_ARRAY) {
                strbuf_puts(doc->out, "\"type\":\"array\"");
                write_element(doc, "items", s->elem);
                if (s->list_declared)
                        strbuf_printf(doc->out, ",\"x-kubernetes-list-type\":\"%s\"", list_types[s->list_type]);
                if (s->list_keys)
                        write_list(doc->out, "x-kubernetes-list-map-keys", s->list_keys);
        } else if (s->type == SCHEMA_MAP) {
                strbuf_puts(doc->out, "\"type\":\"object\"");
                write_element(doc, "additionalProperties", s->elem);
                if (s->atomic)
                        strbuf_puts(doc->out, ",\"x-kubernetes-map-type\":\"atomic\"");
        } else {
                write_scalar(doc, s);
                if (s->list_declared) /* bytes: a list in Go */
                        strbuf_printf(doc->out, ",\"x-kubernetes-list-type\":\"%s\"", list_types[s->list_type]);
        }
        if (s->openapi)
                strbuf_printf(doc->out, ",%s", s->openapi);
}

static void write_patch_extensions(struct strbuf *out, const struct schema_field *f)
{
        if (f->patch_merge_key)
                write_text(out, "x-kubernetes-patch-merge-key", f->patch_merge_key);
        if (f->patch_merge || f->patch_replace || f->patch_retain_keys)
                strbuf_printf(out, ",\"x-kubernetes-patch-strategy\":\"%s%s%s\"",
                              f->patch_merge ? "merge" : f->patch_replace ? "replace" : "",
                              (f->patch_merge || f->patch_replace) && f->patch_retain_keys ? "," : "",
                              f->patch_retain_keys ? "retainKeys" : "");
}

static void write_property(struct openapi_doc *doc, const struct schema_field *f)
{
        struct strbuf *out = doc->out;
        const char *otherwise = schema_published_default(f);

        strbuf_printf(out, "\"%s\":{", f->name);
        if (!f->type->name) {
                write_inline(doc, f->type);
                if (otherwise && !doc->v2)
                        strbuf_printf(out, ",\"default\":%s", otherwise);
        } else if (doc->v2) {
                openapi_use(doc, f->type);
                strbuf_printf(out, "\"$ref\":\"#/definitions/%s\"", f->type->name);
        } else if (f->bare) {
                openapi_use(doc, f->type);
                strbuf_printf(out, "\"$ref\":\"#/components/schemas/%s\"}", f->type->name);
                return;
        } else {
                if (f->type->type == SCHEMA_STRUCT && f->empty_as && !f->presence)
                        strbuf_puts(out, "\"default\":{},");
                strbuf_puts(out, "\"allOf\":[");
                openapi_ref(doc, f->type->name);
                strbuf_putc(out, ']');
        }
        if (f->type->name && is_variant(f->type))
                strbuf_printf(out, ",%s", f->type->openapi);
        if (f->description)
                write_text(out, "description", f->description);
        write_patch_extensions(out, f);
        strbuf_putc(out, '}');
}

/* metav1's bodies belong to every group version. */
static bool in_all_groups(const struct schema *s)
{
        return streq(s->name, META_V1 "DeleteOptions") || streq(s->name, META_V1 "WatchEvent");
}

static void write_kind(struct strbuf *out, const char *group, const char *version, const char *kind)
{
        strbuf_printf(out, "{\"group\":\"%s\",\"kind\":\"%s\",\"version\":\"%s\"}", group, kind, version);
}

/* metav1's bodies are registered in each version that upstream's code knows, served or not. NOT_CUSTOM: not in what
 * definitions are published with, which is the clients' list. */
static void write_registered_kinds(struct openapi_doc *doc, const char *kind)
{
        static const struct {
                const char *group, *versions;
                bool not_custom;
        } groups[] = {
                { "", "v1", false },
                { "admission.k8s.io", "v1 v1beta1", true },
                { "admissionregistration.k8s.io", "v1 v1alpha1 v1beta1", false },
                { "apiextensions.k8s.io", "v1 v1beta1", true },
                { "apiregistration.k8s.io", "v1 v1beta1", true },
                { "apps", "v1 v1beta1 v1beta2", false },
                { "authentication.k8s.io", "v1 v1alpha1 v1beta1", false },
                { "authorization.k8s.io", "v1 v1beta1", false },
                { "autoscaling", "v1 v2", false },
                { "batch", "v1 v1beta1", false },
                { "certificates.k8s.io", "v1 v1alpha1 v1beta1", false },
                { "coordination.k8s.io", "v1 v1alpha2 v1beta1", false },
                { "discovery.k8s.io", "v1 v1beta1", false },
                { "events.k8s.io", "v1 v1beta1", false },
                { "extensions", "v1beta1", false },
                { "flowcontrol.apiserver.k8s.io", "v1 v1beta1 v1beta2 v1beta3", false },
                { "imagepolicy.k8s.io", "v1alpha1", true },
                { "internal.apiserver.k8s.io", "v1alpha1", false },
                { "networking.k8s.io", "v1 v1beta1", false },
                { "node.k8s.io", "v1 v1alpha1 v1beta1", false },
                { "policy", "v1 v1beta1", false },
                { "rbac.authorization.k8s.io", "v1 v1alpha1 v1beta1", false },
                { "resource.k8s.io", "v1 v1alpha3 v1beta1 v1beta2", false },
                { "scheduling.k8s.io", "v1 v1alpha2 v1beta1", false },
                { "storage.k8s.io", "v1 v1alpha1 v1beta1", false },
                { "storagemigration.k8s.io", "v1beta1", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
                for (const char *v = groups[i].versions; *v && !(doc->custom && groups[i].not_custom); v += strspn(v, " ")) {
                        size_t len = strcspn(v, " ");
                        char version[16];

                        snprintf(version, sizeof(version), "%.*s", (int)len, v);
                        if (i)
                                strbuf_putc(doc->out, ',');
                        write_kind(doc->out, groups[i].group, version, kind);
                        v += len;
                }
}

static void write_kinds(struct openapi_doc *doc, const struct schema *s)
{
        const char *kind = strrchr(s->name, '.') + 1, *slash;

        if (!s->group_version && !in_all_groups(s))
                return;
        strbuf_puts(doc->out, ",\"x-kubernetes-group-version-kind\":[");
        if (s->group_version) {
                slash = strchr(s->group_version, '/');
                strbuf_printf(doc->out, "{\"group\":\"%.*s\",\"kind\":\"%s\",\"version\":\"%s\"}",
                              slash ? (int)(slash - s->group_version) : 0, s->group_version, kind,
                              slash ? slash + 1 : s->group_version);
        } else if (doc->v2 || doc->custom) {
                write_registered_kinds(doc, kind);
        } else {
                write_kind(doc->out, "", "v1", kind);
                if (doc->group && doc->group[0]) {
                        strbuf_putc(doc->out, ',');
                        write_kind(doc->out, doc->group, doc->version, kind);
                }
        }
        strbuf_putc(doc->out, ']');
}

/* Required fields are listed in the order of declaration; the tables are sorted by name. */
static void write_required(struct strbuf *out, const struct schema *s)
{
        const struct schema_field *last = NULL;
        bool any = false;

        for (;;) {
                const struct schema_field *next = NULL;

                for (unsigned i = 0; i < s->n_fields; i++) {
                        const struct schema_field *f = &s->fields[i];

                        if (f->required && (!last || f->order > last->order) && (!next || f->order < next->order))
                                next = f;
                }
                if (!next)
                        break;
                strbuf_printf(out, "%s\"%s\"", any ? "," : ",\"required\":[", next->name);
                any = true;
                last = next;
        }
        if (any)
                strbuf_putc(out, ']');
}

static void write_struct(struct openapi_doc *doc, const struct schema *s)
{
        struct strbuf *out = doc->out;

        strbuf_puts(out, ",\"type\":\"object\"");
        write_required(out, s);
        for (unsigned i = 0; i < s->n_fields; i++) {
                strbuf_puts(out, i ? "," : ",\"properties\":{");
                write_property(doc, &s->fields[i]);
        }
        if (s->n_fields)
                strbuf_putc(out, '}');
        write_kinds(doc, s);
        if (s->atomic)
                strbuf_puts(out, ",\"x-kubernetes-map-type\":\"atomic\"");
}

void openapi_schema(struct openapi_doc *doc, const struct schema *s)
{
        struct strbuf *out = doc->out;
        const char *dot = strrchr(s->name, '.');
        const char *about = s->description ? s->description : dot + 1;

        strbuf_puts(out, "{\"description\":");
        json_write_string(out, about, strlen(about));
        if (s->type == SCHEMA_STRUCT) {
                write_struct(doc, s);
        } else if (s->type == SCHEMA_ANY) {
                if (s->wire == SCHEMA_WIRE_RAW && !streq(dot, ".JSON"))
                        strbuf_puts(out, ",\"type\":\"object\"");
        } else if (!doc->v2 && s->type == SCHEMA_INT_OR_STRING) {
                strbuf_puts(out, ",\"format\":\"int-or-string\",\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]");
        } else if (!doc->v2 && s->type == SCHEMA_QUANTITY) {
                strbuf_puts(out, ",\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]");
        } else {
                strbuf_putc(out, ',');
                write_scalar(doc, s);
        }
        if (s->openapi)
                strbuf_printf(out, ",%s", s->openapi);
        strbuf_putc(out, '}');
}

/* --- custom resources --- */

/* "example.com" -> "com.example.v1.Foo" */
void openapi_custom_name(const struct resource *res, bool list, char *buf, size_t size)
{
        const char *end = res->group + strlen(res->group);
        size_t n = 0;

        buf[0] = '\0';
        while (end > res->group && n < size) {
                const char *start = end;

                while (start > res->group && start[-1] != '.')
                        start--;
                n += snprintf(buf + n, size - n, "%.*s.", (int)(end - start), start);
                end = start > res->group ? start - 1 : start;
        }
        if (n < size)
                snprintf(buf + n, size - n, "%s.%s", res->version, list ? res->list_kind : res->kind);
}

/* What field selectors may name, and the kind. */
static void write_custom_gvk(struct openapi_doc *doc, const struct resource *res, const char *kind)
{
        const struct json *fields = json_get(res->crd->spec, "selectableFields");

        if (json_len(fields)) {
                strbuf_puts(doc->out, ",\"x-kubernetes-selectable-fields\":[");
                json_foreach_item(fields, f) {
                        const char *path = json_get_string(f, "jsonPath");

                        strbuf_puts(doc->out, f_i ? ",{\"fieldPath\":" : "{\"fieldPath\":");
                        path = path ? path + (*path == '.') : "";
                        json_write_string(doc->out, path, strlen(path));
                        strbuf_putc(doc->out, '}');
                }
                strbuf_putc(doc->out, ']');
        }
        strbuf_puts(doc->out, ",\"x-kubernetes-group-version-kind\":[");
        write_kind(doc->out, res->group, res->version, kind);
        strbuf_puts(doc->out, "]}");
}

static void write_type_meta(struct openapi_doc *doc, const char *meta)
{
        strbuf_puts(doc->out, "\"apiVersion\":{\"type\":\"string\",\"description\":\"Group and version of this object.\"},"
                              "\"kind\":{\"type\":\"string\",\"description\":\"Kind of this object.\"},\"metadata\":");
        if (doc->v2) {
                openapi_ref(doc, meta);
        } else {
                strbuf_puts(doc->out, "{\"description\":\"Standard metadata.\",\"allOf\":[");
                openapi_ref(doc, meta);
                strbuf_puts(doc->out, "]}");
        }
}

/* What v2 does not say: such keys go, and with them whatever makes no sense without them. */
static bool unknown_to_v2(const char *key)
{
        static const char *const keys[] = { "allOf", "anyOf", "oneOf", "not", "nullable", "default" };

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (streq(key, keys[i]))
                        return true;
        return false;
}

static void write_custom(struct openapi_doc *doc, const struct json *s);

/* The key of a member, behind a comma unless it is the first. */
static void write_key(struct strbuf *out, bool *first, const struct json_member *m)
{
        if (!*first)
                strbuf_putc(out, ',');
        *first = false;
        json_write_string(out, m->key, m->key_len);
        strbuf_putc(out, ':');
}

static bool is_type_meta(const char *key)
{
        return streq(key, "apiVersion") || streq(key, "kind") || streq(key, "metadata");
}

static void write_custom_children(struct openapi_doc *doc, const struct json *map, bool embedded)
{
        bool first = !embedded;

        strbuf_putc(doc->out, '{');
        if (embedded)
                write_type_meta(doc, META_V1 "ObjectMeta");
        json_foreach_member(map, m) {
                if (embedded && is_type_meta(m->key))
                        continue;
                write_key(doc->out, &first, m);
                write_custom(doc, m->value);
        }
        strbuf_putc(doc->out, '}');
}

/* An embedded resource has apiVersion and kind, whoever wrote the schema. */
static void write_embedded_required(struct strbuf *out, const struct json *required)
{
        static const char *const both[] = { "kind", "apiVersion" };
        bool there[2] = { false, false };

        strbuf_putc(out, '[');
        json_foreach_item(required, item) {
                if (item_i)
                        strbuf_putc(out, ',');
                json_write(out, item);
                for (size_t i = 0; i < 2; i++)
                        there[i] |= streq(json_string(item), both[i]);
        }
        for (size_t i = 0, n = json_len(required); i < 2; i++)
                if (!there[i])
                        strbuf_printf(out, "%s\"%s\"", n++ ? "," : "", both[i]);
        strbuf_putc(out, ']');
}

static bool takes_null(const struct json *s)
{
        return json_get_bool(s, "nullable", false);
}

/* Whether the fields of any object are added to S. In v2 they would end that it takes others. */
static bool is_embedded(const struct openapi_doc *doc, const struct json *s)
{
        return json_get_bool(s, "x-kubernetes-embedded-resource", false) &&
               !(doc->v2 && json_get_bool(s, "x-kubernetes-preserve-unknown-fields", false));
}

/* In v2 a field that may be null is not required. */
static void write_required_v2(struct openapi_doc *doc, const struct json *s, bool *first, const struct json_member *m)
{
        size_t n = 0;

        if (takes_null(json_get(s, "additionalProperties")))
                return;
        json_foreach_item(m->value, item) {
                if (takes_null(json_get(json_get(s, "properties"), json_string(item) ? json_string(item) : "")))
                        continue;
                if (!n++) {
                        write_key(doc->out, first, m);
                        strbuf_putc(doc->out, '[');
                } else {
                        strbuf_putc(doc->out, ',');
                }
                json_write(doc->out, item);
        }
        if (n)
                strbuf_putc(doc->out, ']');
}

/* A member of a CRD's schema that does not go into the document as it is. v2 has nothing that gnostic refuses: a
 * schema that allows null, unknown fields, or a number or a string loses its type, so that anything is taken there. */
static bool left_out(const struct openapi_doc *doc, const struct json *s, const char *key)
{
        static const char *const typed[] = { "type", "properties", "items" };

        if (is_embedded(doc, s) && (streq(key, "properties") || streq(key, "required")))
                return true;
        if (!doc->v2)
                return false;
        if (unknown_to_v2(key))
                return true;
        if (!json_get_bool(s, "nullable", false) && !json_get_bool(s, "x-kubernetes-preserve-unknown-fields", false) &&
            !json_get_bool(s, "x-kubernetes-int-or-string", false))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(typed); i++)
                if (streq(key, typed[i]))
                        return true;
        return false;
}

/* A CRD's schema, at any depth. */
static void write_custom(struct openapi_doc *doc, const struct json *s)
{
        bool first = true;

        strbuf_putc(doc->out, '{');
        json_foreach_member(s, m) {
                if (left_out(doc, s, m->key))
                        continue;
                if (doc->v2 && streq(m->key, "required")) {
                        write_required_v2(doc, s, &first, m);
                        continue;
                }
                write_key(doc->out, &first, m);
                if (streq(m->key, "properties") && json_is_object(m->value))
                        write_custom_children(doc, m->value, false);
                else if (json_is_object(m->value) && (streq(m->key, "items") || streq(m->key, "additionalProperties")))
                        write_custom(doc, m->value);
                else
                        json_write(doc->out, m->value);
        }
        if (!doc->v2 && json_get_bool(s, "x-kubernetes-int-or-string", false) && !json_get(s, "anyOf") && !json_get(s, "allOf"))
                strbuf_puts(doc->out, ",\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]");
        /* Embedded resources get what every object has; their mark at least stands before it. */
        if (is_embedded(doc, s)) {
                strbuf_puts(doc->out, ",\"properties\":");
                write_custom_children(doc, json_get(s, "properties"), true);
                strbuf_puts(doc->out, ",\"required\":");
                write_embedded_required(doc->out, json_get(s, "required"));
        }
        strbuf_putc(doc->out, '}');
}

static void write_custom_properties(struct openapi_doc *doc, const struct json *properties)
{
        bool first = false;

        json_foreach_member(properties, m)
                if (!is_type_meta(m->key)) {
                        write_key(doc->out, &first, m);
                        write_custom(doc, m->value);
                }
}

void openapi_custom_schema(struct openapi_doc *doc, const struct resource *res, bool list)
{
        const struct json *s = res->openapi;
        bool first = false;
        char name[512];

        if (list) {
                openapi_custom_name(res, false, name, sizeof(name));
                strbuf_printf(doc->out, "{\"description\":\"%s is a list of %s\",\"type\":\"object\",\"required\":[\"items\"],"
                                        "\"properties\":{", res->list_kind, res->kind);
                write_type_meta(doc, META_V1 "ListMeta");
                strbuf_puts(doc->out, ",\"items\":{\"type\":\"array\",\"items\":");
                openapi_ref(doc, name);
                strbuf_puts(doc->out, "}}");
                write_custom_gvk(doc, res, res->list_kind);
                return;
        }
        strbuf_puts(doc->out, "{\"type\":\"object\"");
        /* Without a schema, or with one that takes everything, v2 must not name the fields. */
        if (!s || (doc->v2 && json_get_bool(s, "x-kubernetes-preserve-unknown-fields", false))) {
                write_custom_gvk(doc, res, res->kind);
                return;
        }
        json_foreach_member(s, m) {
                if (streq(m->key, "type") || streq(m->key, "properties") || (doc->v2 && unknown_to_v2(m->key)))
                        continue;
                if (doc->v2 && streq(m->key, "required")) {
                        write_required_v2(doc, s, &first, m);
                        continue;
                }
                write_key(doc->out, &first, m);
                json_write(doc->out, m->value);
        }
        strbuf_puts(doc->out, ",\"properties\":{");
        write_type_meta(doc, META_V1 "ObjectMeta");
        write_custom_properties(doc, json_get(s, "properties"));
        strbuf_putc(doc->out, '}');
        write_custom_gvk(doc, res, res->kind);
}
