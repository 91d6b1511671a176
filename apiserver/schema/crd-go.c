/* Definitions as Go prints upstream's internal types. They have no JSON tags: errors that show them show Go's own names, and
 * every field. */
#include "crd-internal.h"

#include <stdlib.h>

enum print { TEXT, BOOL, NUMBER, ANY, SCHEMA, SCHEMAS, BY_NAME, ITEMS, OR_BOOL, OR_STRINGS, DOCS, RULES };

struct go_field {
        const char *name, *key;
        enum print print;
};

static const struct go_field schema_fields[] = {
        {"ID", "id", TEXT}, {"Schema", "$schema", TEXT}, {"Ref", "$ref", ANY}, {"Description", "description", TEXT},
        {"Type", "type", TEXT}, {"Nullable", "nullable", BOOL}, {"Format", "format", TEXT}, {"Title", "title", TEXT},
        {"Default", "default", ANY}, {"Maximum", "maximum", ANY}, {"ExclusiveMaximum", "exclusiveMaximum", BOOL},
        {"Minimum", "minimum", ANY}, {"ExclusiveMinimum", "exclusiveMinimum", BOOL}, {"MaxLength", "maxLength", ANY},
        {"MinLength", "minLength", ANY}, {"Pattern", "pattern", TEXT}, {"MaxItems", "maxItems", ANY}, {"MinItems", "minItems", ANY},
        {"UniqueItems", "uniqueItems", BOOL}, {"MultipleOf", "multipleOf", ANY}, {"Enum", "enum", ANY},
        {"MaxProperties", "maxProperties", ANY}, {"MinProperties", "minProperties", ANY}, {"Required", "required", ANY},
        {"Items", "items", ITEMS}, {"AllOf", "allOf", SCHEMAS}, {"OneOf", "oneOf", SCHEMAS}, {"AnyOf", "anyOf", SCHEMAS},
        {"Not", "not", SCHEMA}, {"Properties", "properties", BY_NAME}, {"AdditionalProperties", "additionalProperties", OR_BOOL},
        {"PatternProperties", "patternProperties", BY_NAME}, {"Dependencies", "dependencies", OR_STRINGS},
        {"AdditionalItems", "additionalItems", OR_BOOL}, {"Definitions", "definitions", BY_NAME}, {"ExternalDocs", "externalDocs", DOCS},
        {"Example", "example", ANY}, {"XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", ANY},
        {"XEmbeddedResource", "x-kubernetes-embedded-resource", BOOL}, {"XIntOrString", "x-kubernetes-int-or-string", BOOL},
        {"XListMapKeys", "x-kubernetes-list-map-keys", ANY}, {"XListType", "x-kubernetes-list-type", ANY},
        {"XMapType", "x-kubernetes-map-type", ANY}, {"XValidations", "x-kubernetes-validations", RULES},
};
static const struct go_field version_fields[] = {
        {"Name", "name", TEXT}, {"Served", "served", BOOL}, {"Storage", "storage", BOOL}, {"Deprecated", "deprecated", BOOL},
        {"DeprecationWarning", "deprecationWarning", ANY},
};
static const struct go_field column_fields[] = {
        {"Name", "name", TEXT}, {"Type", "type", TEXT}, {"Format", "format", TEXT}, {"Description", "description", TEXT},
        {"Priority", "priority", NUMBER}, {"JSONPath", "jsonPath", TEXT},
};
static const struct go_field scale_fields[] = {
        {"SpecReplicasPath", "specReplicasPath", TEXT}, {"StatusReplicasPath", "statusReplicasPath", TEXT},
        {"LabelSelectorPath", "labelSelectorPath", ANY},
};
static const struct go_field selectable_fields[] = {{"JSONPath", "jsonPath", TEXT}};
static const struct go_field docs_fields[] = {{"Description", "description", TEXT}, {"URL", "url", TEXT}};
static const struct go_field rule_fields[] = {
        {"Rule", "rule", TEXT}, {"Message", "message", TEXT}, {"MessageExpression", "messageExpression", TEXT},
        {"Reason", "reason", ANY}, {"FieldPath", "fieldPath", TEXT}, {"OptionalOldSelf", "optionalOldSelf", ANY},
};

static void put_schema(struct strbuf *b, const struct json *s);

static void put_fields(struct strbuf *b, const struct json *obj, const struct go_field *fields, size_t n);

static void put_list(struct strbuf *b, const struct json *list, const struct go_field *fields, size_t n)
{
        if (!json_is_array(list)) {
                strbuf_puts(b, "null");
                return;
        }
        strbuf_putc(b, '[');
        json_foreach_item(list, item) {
                strbuf_puts(b, item_i ? "," : "");
                if (fields) {
                        strbuf_putc(b, '{');
                        put_fields(b, item, fields, n);
                        strbuf_putc(b, '}');
                } else {
                        put_schema(b, item);
                }
        }
        strbuf_putc(b, ']');
}

static int by_key(const void *x, const void *y)
{
        return strcmp((*(const struct json_member *const *)x)->key, (*(const struct json_member *const *)y)->key);
}

static void put_either_strings(struct strbuf *b, const struct json *v)
{
        strbuf_puts(b, "{\"Schema\":");
        if (json_is_object(v))
                put_schema(b, v);
        else
                strbuf_puts(b, "null");
        strbuf_puts(b, ",\"Property\":");
        if (json_is_array(v))
                json_write(b, v);
        else
                strbuf_puts(b, "null");
        strbuf_putc(b, '}');
}

static void put_map(struct strbuf *b, const struct json *obj, void (*put)(struct strbuf *b, const struct json *v))
{
        const struct json_member **list = xcalloc(json_len(obj) + 1, sizeof(*list));
        size_t n = 0;

        json_foreach_member(obj, m)
                list[n++] = m;
        qsort(list, n, sizeof(*list), by_key);
        strbuf_putc(b, '{');
        for (size_t i = 0; i < n; i++) {
                strbuf_puts(b, i ? "," : "");
                json_write_string(b, list[i]->key, list[i]->key_len);
                strbuf_putc(b, ':');
                put(b, list[i]->value);
        }
        strbuf_putc(b, '}');
        free(list);
}

static void put_items(struct strbuf *b, const struct json *v)
{
        strbuf_puts(b, "{\"Schema\":");
        if (json_is_object(v))
                put_schema(b, v);
        else
                strbuf_puts(b, "null");
        strbuf_puts(b, ",\"JSONSchemas\":");
        put_list(b, v, NULL, 0);
        strbuf_putc(b, '}');
}

static void put_value(struct strbuf *b, const struct json *v, enum print print)
{
        if (v && json_is_null(v))
                v = NULL;
        switch (print) {
        case TEXT:
                json_write_string(b, json_string(v) ? json_string(v) : "", json_string(v) ? strlen(json_string(v)) : 0);
                return;
        case BOOL:
                strbuf_puts(b, v && json_is_true(v) ? "true" : "false");
                return;
        default:
                break;
        }
        if (!v) {
                strbuf_puts(b, print == NUMBER ? "0" : "null");
                return;
        }
        switch (print) {
        case SCHEMA:
                put_schema(b, v);
                break;
        case SCHEMAS:
                put_list(b, v, NULL, 0);
                break;
        case BY_NAME:
                put_map(b, v, put_schema);
                break;
        case ITEMS:
                put_items(b, v);
                break;
        case OR_BOOL:
                strbuf_printf(b, "{\"Allows\":%s,\"Schema\":", json_is_object(v) || json_is_true(v) ? "true" : "false");
                put_value(b, json_is_object(v) ? v : NULL, SCHEMA);
                strbuf_putc(b, '}');
                break;
        case OR_STRINGS:
                put_map(b, v, put_either_strings);
                break;
        case DOCS:
                strbuf_putc(b, '{');
                put_fields(b, v, docs_fields, ARRAY_SIZE(docs_fields));
                strbuf_putc(b, '}');
                break;
        case RULES:
                put_list(b, v, rule_fields, ARRAY_SIZE(rule_fields));
                break;
        default:
                json_write(b, v);
        }
}

static void put_fields(struct strbuf *b, const struct json *obj, const struct go_field *fields, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                strbuf_printf(b, "%s\"%s\":", i ? "," : "", fields[i].name);
                put_value(b, json_get(obj, fields[i].key), fields[i].print);
        }
}

static void put_schema(struct strbuf *b, const struct json *s)
{
        strbuf_putc(b, '{');
        put_fields(b, s, schema_fields, ARRAY_SIZE(schema_fields));
        strbuf_putc(b, '}');
}

static void put_subresources(struct strbuf *b, const struct json *s)
{
        if (!s) {
                strbuf_puts(b, "null");
                return;
        }
        strbuf_printf(b, "{\"Status\":%s,\"Scale\":", json_is_object(json_get(s, "status")) ? "{}" : "null");
        if (json_is_object(json_get(s, "scale"))) {
                strbuf_putc(b, '{');
                put_fields(b, json_get(s, "scale"), scale_fields, ARRAY_SIZE(scale_fields));
                strbuf_putc(b, '}');
        } else {
                strbuf_puts(b, "null");
        }
        strbuf_putc(b, '}');
}

const char *crd_go_versions(struct arena *a, const struct json *versions, bool same_schema, bool same_subresources, bool same_columns,
                            bool same_fields)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        strbuf_putc(&b, '[');
        json_foreach_item(versions, v) {
                const struct json *schema = same_schema ? NULL : json_get(v, "schema"), *open = json_get(schema, "openAPIV3Schema");

                strbuf_puts(&b, v_i ? ",{" : "{");
                put_fields(&b, v, version_fields, ARRAY_SIZE(version_fields));
                strbuf_puts(&b, ",\"Schema\":");
                if (schema) {
                        strbuf_puts(&b, "{\"OpenAPIV3Schema\":");
                        put_value(&b, open, SCHEMA);
                        strbuf_putc(&b, '}');
                } else {
                        strbuf_puts(&b, "null");
                }
                strbuf_puts(&b, ",\"Subresources\":");
                put_subresources(&b, same_subresources ? NULL : json_get(v, "subresources"));
                strbuf_puts(&b, ",\"AdditionalPrinterColumns\":");
                put_list(&b, same_columns ? NULL : json_get(v, "additionalPrinterColumns"), column_fields, ARRAY_SIZE(column_fields));
                strbuf_puts(&b, ",\"SelectableFields\":");
                put_list(&b, same_fields ? NULL : json_get(v, "selectableFields"), selectable_fields, ARRAY_SIZE(selectable_fields));
                strbuf_putc(&b, '}');
        }
        strbuf_putc(&b, ']');
        return arena_strndup(a, b.data, b.len);
}

const char *crd_go_schema(struct arena *a, const struct json *schema)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        put_schema(&b, schema);
        return arena_strndup(a, b.data, b.len);
}

const char *crd_go_items(struct arena *a, const struct json *items)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        put_items(&b, items);
        return arena_strndup(a, b.data, b.len);
}

const char *crd_go_rule(struct arena *a, const struct json *rule)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        strbuf_putc(&b, '{');
        put_fields(&b, rule, rule_fields, ARRAY_SIZE(rule_fields));
        strbuf_putc(&b, '}');
        return arena_strndup(a, b.data, b.len);
}

/* --- values of no type: %T and %v --- */

bool crd_is_float(const struct json *v)
{
        return json_is_number(v) && (v->boolean || strpbrk(v->str, ".eE") || json_to_int(v, &(int64_t){0}) < 0);
}

const char *crd_go_type(const struct json *v)
{
        switch (v->type) {
        case JSON_OBJECT:
                return "map[string]interface {}";
        case JSON_ARRAY:
                return "[]interface {}";
        case JSON_STRING:
                return "string";
        case JSON_BOOL:
                return "bool";
        case JSON_NUMBER:
                return crd_is_float(v) ? "float64" : "int64";
        default:
                return "<nil>";
        }
}

static void print(struct arena *a, struct strbuf *b, const struct json *v)
{
        const struct json_member **sorted;

        switch (v->type) {
        case JSON_OBJECT:
                sorted = arena_alloc(a, (v->len + 1) * sizeof(*sorted));
                for (uint32_t i = 0; i < v->len; i++)
                        sorted[i] = &v->members[i];
                if (v->len)
                        qsort(sorted, v->len, sizeof(*sorted), by_key);
                strbuf_puts(b, "map[");
                for (uint32_t i = 0; i < v->len; i++) {
                        strbuf_printf(b, "%s%s:", i ? " " : "", sorted[i]->key);
                        print(a, b, sorted[i]->value);
                }
                strbuf_putc(b, ']');
                break;
        case JSON_ARRAY:
                strbuf_putc(b, '[');
                json_foreach_item(v, item) {
                        strbuf_puts(b, item_i ? " " : "");
                        print(a, b, item);
                }
                strbuf_putc(b, ']');
                break;
        case JSON_NULL:
                strbuf_puts(b, "<nil>");
                break;
        case JSON_BOOL:
                strbuf_puts(b, v->boolean ? "true" : "false");
                break;
        case JSON_NUMBER:
                strbuf_puts(b, crd_is_float(v) ? go_float(a, json_to_double(v, 0)) : v->str);
                break;
        case JSON_STRING:
                strbuf_append(b, v->str, v->len);
                break;
        }
}

const char *crd_go_print(struct arena *a, const struct json *v)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        print(a, &b, v);
        return arena_strdup(a, strbuf_str(&b));
}
