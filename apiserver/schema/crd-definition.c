/* Definitions themselves: names, versions, and whether a schema is structural (apiextensions' validation).
 *
 * What all versions have alike upstream moves to the top of its internal form, and errors then stand there:
 * "spec.validation.openAPIV3Schema" instead of "spec.versions[0].schema.openAPIV3Schema".
 */
#include "crd.h"

#include <ctype.h>

#include "../validation/names.h"

struct judge {
        struct arena *a;
        struct field_errors *errs;
        void (*warn)(const char *text, void *userdata);
        void *userdata;
};


static const char *join(struct judge *j, const char *path, const char *key)
{
        return arena_printf(j->a, "%s.%s", path, key);
}

static const char *indexed(struct judge *j, const char *path, const char *key, size_t i)
{
        return arena_printf(j->a, "%s.%s[%zu]", path, key, i);
}

static const char *text(const struct json *obj, const char *key)
{
        const char *s = json_get_string(obj, key);

        return s ? s : "";
}

static void required(struct judge *j, const char *path, const char *detail)
{
        field_error_add(j->errs, FIELD_REQUIRED, path, NULL, "%s", detail);
}

static void forbidden(struct judge *j, const char *path, const char *detail)
{
        field_error_add(j->errs, FIELD_FORBIDDEN, path, NULL, "%s", detail);
}

static void invalid(struct judge *j, const char *path, const struct json *value, const char *detail)
{
        field_error_add(j->errs, FIELD_INVALID, path, value, "%s", detail);
}

static void invalid_text(struct judge *j, const char *path, const char *value, const char *detail)
{
        invalid(j, path, json_new_string(j->a, value), detail);
}

/* --- keywords --- */

/* What may be said of one schema node, whatever is around it. */
static void check_unsupported(struct judge *j, const struct json *s, const char *path)
{
        static const struct {
                const char *key, *detail;
        } words[] = {
                {"id", "id is not supported"},
                {"additionalItems", "additionalItems is not supported"},
                {"patternProperties", "patternProperties is not supported"},
                {"definitions", "definitions is not supported"},
                {"dependencies", "dependencies is not supported"},
                {"$ref", "$ref is not supported"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (json_get(s, words[i].key) && !(json_is_string(json_get(s, words[i].key)) && !*text(s, words[i].key)))
                        forbidden(j, join(j, path, words[i].key), words[i].detail);
        if (streq(text(s, "type"), "null"))
                forbidden(j, join(j, path, "type"), "type cannot be set to null, use nullable as an alternative");
        if (json_is_array(json_get(s, "items")))
                forbidden(j, join(j, path, "items"), "items must be a schema object and not an array");
        if (json_get_bool(s, "uniqueItems", false))
                forbidden(j, join(j, path, "uniqueItems"),
                          "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
        if (json_get(s, "additionalProperties") && json_len(json_get(s, "properties")))
                forbidden(j, join(j, path, "additionalProperties"), "additionalProperties and properties are mutual exclusive");
        else if (json_is_bool(json_get(s, "additionalProperties")) && !json_is_true(json_get(s, "additionalProperties")))
                forbidden(j, join(j, path, "additionalProperties"), "additionalProperties cannot be set to false");
}

static bool is_required(const struct json *s, const char *name)
{
        json_foreach_item(json_get(s, "required"), item)
                if (streq(json_string(item), name))
                        return true;
        return false;
}

/* A key of a list that is a map has to be there in every item. */
static void check_map_key(struct judge *j, const struct json *s, const struct json *items, const char *path, size_t i,
                          const char *key)
{
        const struct json *prop = json_get(json_get(items, "properties"), key);
        const char *at = arena_printf(j->a, "%s.items.properties[%s]", path, key);
        const char *type = text(prop, "type");

        if (!prop) {
                invalid_text(j, indexed(j, path, "x-kubernetes-list-map-keys", i), key, "entries must all be names of item properties");
                return;
        }
        if (!streq(type, "string") && !streq(type, "integer") && !streq(type, "number") && !streq(type, "boolean"))
                invalid_text(j, join(j, at, "type"), type, "must be a scalar type if parent array's x-kubernetes-list-type is map");
        if (!json_get(prop, "default") && !is_required(items, key))
                required(j, join(j, at, "default"),
                         "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property");
        if (json_get_bool(prop, "nullable", false))
                forbidden(j, join(j, at, "nullable"), "this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
        for (size_t k = 0; k < i; k++)
                if (streq(json_string(json_at(json_get(s, "x-kubernetes-list-map-keys"), k)), key))
                        field_error_add(j->errs, FIELD_DUPLICATE, indexed(j, path, "x-kubernetes-list-map-keys", i),
                                        json_new_string(j->a, key), NULL);
}

static void check_list_type(struct judge *j, const struct json *s, const char *path)
{
        static const char *const types[] = {"atomic", "set", "map", NULL};
        const char *list = json_get_string(s, "x-kubernetes-list-type"), *type = text(s, "type");
        const struct json *keys = json_get(s, "x-kubernetes-list-map-keys"), *items = json_get(s, "items");
        const char *item_type = text(items, "type");

        if (list && !streq(type, "array")) {
                if (!*type)
                        required(j, join(j, path, "type"), "must be array if x-kubernetes-list-type is specified");
                else
                        invalid_text(j, join(j, path, "type"), type, "must be array if x-kubernetes-list-type is specified");
        } else if (list && !streq(list, "atomic") && !streq(list, "set") && !streq(list, "map")) {
                field_error_not_supported(j->errs, join(j, path, "x-kubernetes-list-type"), json_new_string(j->a, list), types);
        } else if (json_len(keys) && !streq(list, "map")) {
                if (!list)
                        required(j, join(j, path, "x-kubernetes-list-type"), "must be map if x-kubernetes-list-map-keys is non-empty");
                else
                        invalid_text(j, join(j, path, "x-kubernetes-list-type"), list,
                                     "must be map if x-kubernetes-list-map-keys is non-empty");
        } else if (streq(list, "map")) {
                if (!json_len(keys))
                        required(j, join(j, path, "x-kubernetes-list-map-keys"), "must not be empty if x-kubernetes-list-type is map");
                if (!items)
                        required(j, join(j, path, "items"), "must have a schema if x-kubernetes-list-type is map");
                else if (!streq(item_type, "object"))
                        invalid_text(j, arena_printf(j->a, "%s.items.type", path), item_type,
                                     "must be object if parent array's x-kubernetes-list-type is map");
                else
                        json_foreach_item(keys, key)
                                if (json_is_string(key))
                                        check_map_key(j, s, items, path, key_i, key->str);
        } else if (streq(list, "set")) {
                const char *map = json_get_string(items, "x-kubernetes-map-type");
                const char *inner = json_get_string(items, "x-kubernetes-list-type");
                if (streq(item_type, "object") && !streq(map, "atomic"))
                        field_error_add_text(j->errs, FIELD_INVALID, arena_printf(j->a, "%s.items.x-kubernetes-map-type", path),
                                             map ? arena_printf(j->a, "\"%s\"", map) : "null",
                                             "must be atomic as item of a list with x-kubernetes-list-type=set");
                if (streq(item_type, "array") && inner && !streq(inner, "atomic"))
                        invalid_text(j, arena_printf(j->a, "%s.items.x-kubernetes-list-type", path), inner,
                                     "must be atomic as item of a list with x-kubernetes-list-type=set");
        }
}

static bool blank(const char *s)
{
        return s[strspn(s, " \t\r\n")] == '\0';
}

/* CEL rules: their form, and whether they compile. */
static void check_rules(struct judge *j, const struct json *s, const char *path)
{
        static const char *const reasons[] = {"FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid",
                                              "FieldValueRequired", NULL};

        json_foreach_item(json_get(s, "x-kubernetes-validations"), rule) {
                const char *at = indexed(j, path, "x-kubernetes-validations", rule_i), *message = text(rule, "message");
                const char *reason = json_get_string(rule, "reason"), *field = text(rule, "fieldPath");

                if (blank(text(rule, "rule"))) {
                        required(j, join(j, at, "rule"), "rule is not specified");
                        continue;
                }
                if (*message && blank(message))
                        invalid_text(j, join(j, at, "message"), message, "must be non-empty if specified");
                else if (strpbrk(message, "\r\n"))
                        invalid_text(j, join(j, at, "message"), message, "must not contain line breaks");
                if (reason) {
                        bool known = false;
                        for (size_t i = 0; reasons[i]; i++)
                                known |= streq(reason, reasons[i]);
                        if (!known)
                                field_error_not_supported(j->errs, join(j, at, "reason"), json_new_string(j->a, reason), reasons);
                }
                if (*field && *field != '.' && *field != '[')
                        invalid_text(j, join(j, at, "fieldPath"), field, "must be a valid path");
                crd_check_rule(rule, at, j->errs);
        }
}

static void check_extensions(struct judge *j, const struct json *s, const char *path)
{
        static const char *const map_types[] = {"atomic", "granular", NULL};
        const char *map = json_get_string(s, "x-kubernetes-map-type"), *type = text(s, "type"), *why = NULL;
        const struct json *keep = json_get(s, "x-kubernetes-preserve-unknown-fields");

        if (json_is_bool(keep) && !json_is_true(keep))
                invalid(j, join(j, path, "x-kubernetes-preserve-unknown-fields"), keep, "must be true or undefined");
        if (map && !streq(type, "object")) {
                if (!*type)
                        required(j, join(j, path, "type"), "must be object if x-kubernetes-map-type is specified");
                else
                        invalid_text(j, join(j, path, "type"), type, "must be object if x-kubernetes-map-type is specified");
        }
        if (map && !streq(map, "atomic") && !streq(map, "granular"))
                field_error_not_supported(j->errs, join(j, path, "x-kubernetes-map-type"), json_new_string(j->a, map), map_types);
        check_list_type(j, s, path);
        if (*text(s, "pattern") && crd_pattern_match(j->a, text(s, "pattern"), "", &why) < 0)
                invalid(j, join(j, path, "pattern"), json_get(s, "pattern"),
                        arena_printf(j->a, "must be a valid regular expression, but isn't: %s", why));
        check_rules(j, s, path);
        if (j->warn && *text(s, "format") && !crd_format_known(type, text(s, "format")))
                j->warn(arena_printf(j->a, "unrecognized format \"%s\"", text(s, "format")), j->userdata);
}

/* Calls FN for S and all schemas below it. */
static void each_schema(struct judge *j, const struct json *s, const char *path,
                        void (*fn)(struct judge *j, const struct json *s, const char *path))
{
        static const char *const lists[] = {"allOf", "anyOf", "oneOf"};

        if (!json_is_object(s))
                return;
        fn(j, s, path);
        json_foreach_member(json_get(s, "properties"), m)
                each_schema(j, m->value, arena_printf(j->a, "%s.properties[%s]", path, m->key), fn);
        each_schema(j, json_get(s, "items"), join(j, path, "items"), fn);
        each_schema(j, json_get(s, "additionalProperties"), join(j, path, "additionalProperties"), fn);
        each_schema(j, json_get(s, "not"), join(j, path, "not"), fn);
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_get(s, lists[i]), part)
                        each_schema(j, part, indexed(j, path, lists[i], part_i), fn);
}

/* --- structure --- */

enum level { ROOT, FIELD, ITEM };

static void check_type(struct judge *j, const struct json *s, const char *path, enum level level)
{
        static const char *const missing[] = {"must not be empty at the root", "must not be empty for specified object fields",
                                              "must not be empty for specified array items"};
        static const char *const types[] = {"array", "boolean", "integer", "number", "object", "string", NULL};
        const char *type = text(s, "type"), *at = join(j, path, "type");
        bool either = json_get_bool(s, "x-kubernetes-int-or-string", false), known = false;

        for (size_t i = 0; types[i]; i++)
                known |= streq(type, types[i]);
        if (*type && !known)
                field_error_not_supported(j->errs, at, json_get(s, "type"), types);
        if (level == ROOT && *type && !streq(type, "object"))
                invalid_text(j, at, type, "must be object at the root");
        if (!*type && !either && !(level != ROOT && json_get_bool(s, "x-kubernetes-preserve-unknown-fields", false)))
                required(j, at, missing[level]);
        if (*type && either)
                invalid_text(j, at, type, "must be empty if x-kubernetes-int-or-string is true");
        if (json_get_bool(s, "x-kubernetes-embedded-resource", false)) {
                if (*type && !streq(type, "object"))
                        invalid_text(j, at, type, "must be object if x-kubernetes-embedded-resource is true");
                if (!json_len(json_get(s, "properties")) && !json_get_bool(s, "x-kubernetes-preserve-unknown-fields", false))
                        required(j, join(j, path, "properties"),
                                 "must not be empty if x-kubernetes-embedded-resource is true without "
                                 "x-kubernetes-preserve-unknown-fields");
        }
        if (streq(type, "array") && !json_is_object(json_get(s, "items")))
                required(j, join(j, path, "items"), "must be specified");
}

/* Parts of allOf and so on constrain values; what a value is, they must leave alone. */
static void check_part(struct judge *j, const struct json *s, const char *path)
{
        static const struct {
                const char *key, *detail;
        } words[] = {
                {"additionalProperties", "must be undefined to be structural"}, {"type", "must be empty to be structural"},
                {"title", "must be empty to be structural"},                    {"description", "must be empty to be structural"},
                {"default", "must be undefined to be structural"},              {"nullable", "must be false to be structural"},
                {"x-kubernetes-preserve-unknown-fields", "must be false to be structural"},
                {"x-kubernetes-embedded-resource", "must be false to be structural"},
                {"x-kubernetes-int-or-string", "must be false to be structural"},
                {"x-kubernetes-list-map-keys", "must be empty to be structural"},
                {"x-kubernetes-list-type", "must be undefined to be structural"},
                {"x-kubernetes-map-type", "must be undefined to be structural"},
                {"x-kubernetes-validations", "must be empty to be structural"},
        };
        static const char *const lists[] = {"allOf", "anyOf", "oneOf"};

        if (!json_is_object(s))
                return;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                /* anyOf: [{type: integer}, {type: string}] is how int-or-string is written. */
                const struct json *v = json_get(s, words[i].key);
                if (v && !(json_is_bool(v) && !v->boolean))
                        forbidden(j, join(j, path, words[i].key), words[i].detail);
        }
        json_foreach_member(json_get(s, "properties"), m)
                check_part(j, m->value, arena_printf(j->a, "%s.properties[%s]", path, m->key));
        check_part(j, json_get(s, "items"), join(j, path, "items"));
        check_part(j, json_get(s, "not"), join(j, path, "not"));
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_get(s, lists[i]), part)
                        check_part(j, part, indexed(j, path, lists[i], part_i));
}

/* The two forms in which int-or-string may say its types again. */
static bool is_either_pattern(const struct json *s, const char *key)
{
        const struct json *list = json_get(s, key);

        if (!json_get_bool(s, "x-kubernetes-int-or-string", false) || json_len(list) != 2)
                return key[0] == 'a' && key[1] == 'l' && json_get_bool(s, "x-kubernetes-int-or-string", false) && json_len(list) &&
                       json_len(json_get(json_at(list, 0), "anyOf")) == 2;
        return streq(text(json_at(list, 0), "type"), "integer") && streq(text(json_at(list, 1), "type"), "string");
}

static void check_structure(struct judge *j, const struct json *s, const char *path, enum level level)
{
        static const char *const lists[] = {"allOf", "anyOf", "oneOf"};

        if (!json_is_object(s))
                return;
        check_type(j, s, path, level);
        json_foreach_member(json_get(s, "properties"), m) {
                const char *at = arena_printf(j->a, "%s.properties[%s]", path, m->key);
                if (level == ROOT && (streq(m->key, "apiVersion") || streq(m->key, "kind"))) {
                        if (!streq(text(m->value, "type"), "string"))
                                invalid_text(j, join(j, at, "type"), text(m->value, "type"), "must be string");
                        continue;
                }
                if (level == ROOT && streq(m->key, "metadata")) {
                        bool more = false;
                        if (!streq(text(m->value, "type"), "object"))
                                invalid_text(j, join(j, at, "type"), text(m->value, "type"), "must be object");
                        json_foreach_member(json_get(m->value, "properties"), p)
                                more |= !streq(p->key, "name") && !streq(p->key, "generateName");
                        if (more)
                                forbidden(j, at, "must not specify anything other than name and generateName, but metadata is implicitly "
                                                 "specified");
                        continue;
                }
                check_structure(j, m->value, at, FIELD);
        }
        check_structure(j, json_get(s, "items"), join(j, path, "items"), ITEM);
        check_structure(j, json_get(s, "additionalProperties"), join(j, path, "additionalProperties"), FIELD);
        check_part(j, json_get(s, "not"), join(j, path, "not"));
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                if (!is_either_pattern(s, lists[i]))
                        json_foreach_item(json_get(s, lists[i]), part)
                                check_part(j, part, indexed(j, path, lists[i], part_i));
}

/* --- defaults --- */

static void check_default(struct judge *j, const struct json *s, const char *path)
{
        const struct json *value = json_get(s, "default");
        const struct schema *compiled;
        struct json *pruned;

        if (!value)
                return;
        compiled = crd_compile_schema(j->a, s, false);
        pruned = json_clone(j->a, value);
        crd_decode(j->a, compiled, pruned, NULL, NULL);
        if (!json_equal(pruned, value))
                invalid(j, join(j, path, "default"), value, "must not have unknown fields");
        else if (!(json_is_null(value) && !json_get_bool(s, "nullable", false)))
                crd_validate(compiled, value, NULL, join(j, path, "default"), j->errs);
}

static void check_schema(struct judge *j, const struct json *s, const char *path)
{
        size_t before = j->errs->n;

        each_schema(j, s, path, check_unsupported);
        if (j->errs->n == before)
                each_schema(j, s, path, check_extensions);
        if (j->errs->n == before)
                check_structure(j, s, path, ROOT);
        if (j->errs->n == before)
                each_schema(j, s, path, check_default);
}

/* --- versions --- */

static void check_path(struct judge *j, const char *at, const char *path, const char *const *under, const char *detail)
{
        bool fits = false;

        if (*path != '.') {
                invalid_text(j, at, path, "must be a simple json path starting with .");
                return;
        }
        for (; *under; under++)
                fits |= str_has_prefix(path, *under);
        if (!fits)
                invalid_text(j, at, path, detail);
}

static void check_scale(struct judge *j, const struct json *scale, const char *path)
{
        static const char *const spec[] = {".spec.", NULL}, *const status[] = {".status.", NULL};
        static const char *const both[] = {".spec.", ".status.", NULL};
        const char *s = text(scale, "specReplicasPath"), *t = text(scale, "statusReplicasPath"), *l = text(scale, "labelSelectorPath");

        if (!*s)
                required(j, join(j, path, "specReplicasPath"), "");
        else
                check_path(j, join(j, path, "specReplicasPath"), s, spec, "should be a json path under .spec");
        if (!*t)
                required(j, join(j, path, "statusReplicasPath"), "");
        else
                check_path(j, join(j, path, "statusReplicasPath"), t, status, "should be a json path under .status");
        if (*l)
                check_path(j, join(j, path, "labelSelectorPath"), l, both, "should be a json path under either .spec or .status");
}

static bool one_of(const char *s, const char *const *words)
{
        for (; *words; words++)
                if (streq(s, *words))
                        return true;
        return false;
}

static void check_columns(struct judge *j, const struct json *columns, const char *path)
{
        static const char *const types[] = {"boolean", "date", "integer", "number", "string", NULL};
        static const char *const formats[] = {"byte", "date", "date-time", "double", "float", "int32", "int64", "password", NULL};

        json_foreach_item(columns, c) {
                const char *at = indexed(j, path, "additionalPrinterColumns", c_i), *where = text(c, "jsonPath");
                if (!*text(c, "name"))
                        required(j, join(j, at, "name"), "");
                if (!*text(c, "type"))
                        required(j, join(j, at, "type"), "must be one of boolean,date,integer,number,string");
                else if (!one_of(text(c, "type"), types))
                        invalid(j, join(j, at, "type"), json_get(c, "type"), "must be one of boolean,date,integer,number,string");
                if (*text(c, "format") && !one_of(text(c, "format"), formats))
                        invalid(j, join(j, at, "format"), json_get(c, "format"),
                                "must be one of byte,date,date-time,double,float,int32,int64,password");
                if (!*where)
                        required(j, join(j, at, "JSONPath"), "");
                else if (*where != '.')
                        invalid_text(j, join(j, at, "JSONPath"), where, "must be a simple json path starting with .");
        }
}

/* The schema at ".spec.a"; NULL: there is none. */
static const struct json *schema_at(const struct json *s, const char *path)
{
        while (s && *path == '.') {
                size_t n = strcspn(path + 1, ".");
                s = json_getn(json_get(s, "properties"), path + 1, n);
                path += 1 + n;
        }
        return *path ? NULL : s;
}

static void check_selectable(struct judge *j, const struct json *list, const struct json *schema, const char *path)
{
        json_foreach_item(list, f) {
                const char *at = join(j, indexed(j, path, "selectableFields", f_i), "jsonPath"), *where = text(f, "jsonPath");
                const struct json *s = schema_at(schema, where);
                const char *type = text(s, "type");

                if (!*where)
                        required(j, at, "");
                else if (!s || s == schema)
                        invalid_text(j, at, where, "is an invalid path: does not refer to a valid field");
                else if (!streq(type, "string") && !streq(type, "boolean") && !streq(type, "integer"))
                        invalid_text(j, at, where,
                                     "must point to a field of type string, boolean or integer. Enum string fields and strings with "
                                     "formats are allowed.");
                for (size_t k = 0; *where && k < f_i; k++)
                        if (streq(text(json_at(list, k), "jsonPath"), where)) {
                                field_error_add(j->errs, FIELD_DUPLICATE, at, json_get(f, "jsonPath"), NULL);
                                break;
                        }
        }
        if (json_len(list) > 8)
                field_error_add(j->errs, FIELD_TOO_MANY, join(j, path, "selectableFields"), json_new_int(j->a, json_len(list)),
                                "must have at most 8 items");
}

static bool same_in_all(const struct json *versions, const char *key)
{
        json_foreach_item(versions, v) {
                const struct json *x = json_get(v, key), *y = json_get(json_at(versions, 0), key);
                if (!(!x && !y) && !json_equal(x, y))
                        return false;
        }
        return true;
}

static void check_version(struct judge *j, const struct json *versions, size_t i)
{
        const struct json *v = json_at(versions, i), *schema = json_path(v, "schema.openAPIV3Schema");
        const char *at = arena_printf(j->a, "spec.versions[%zu]", i), *warning = json_get_string(v, "deprecationWarning");
        bool top = false;

        name_validate(j->errs, NAME_DNS1035_LABEL, join(j, at, "name"), json_get(v, "name") ?: json_new_string(j->a, ""));
        if (warning && !json_get_bool(v, "deprecated", false))
                invalid_text(j, join(j, at, "deprecationWarning"), warning, "can only be set for deprecated versions");
        top = same_in_all(versions, "schema");
        if (!schema)
                required(j, join(j, at, "schema.openAPIV3Schema"), "");
        else if (!top || i == 0)
                check_schema(j, schema, top ? "spec.validation.openAPIV3Schema" : join(j, at, "schema.openAPIV3Schema"));
        top = same_in_all(versions, "subresources");
        if (json_path(v, "subresources.scale") && (!top || i == 0))
                check_scale(j, json_path(v, "subresources.scale"), join(j, top ? "spec" : at, "subresources.scale"));
        top = same_in_all(versions, "additionalPrinterColumns");
        if (!top || i == 0)
                check_columns(j, json_get(v, "additionalPrinterColumns"), top ? "spec" : at);
        top = same_in_all(versions, "selectableFields");
        if (!top || i == 0)
                check_selectable(j, json_get(v, "selectableFields"), schema, top ? "spec" : at);
}

static void check_versions(struct judge *j, const struct json *spec)
{
        const struct json *versions = json_get(spec, "versions");
        size_t storage = 0;
        bool twice = false;

        for (size_t i = 0; i < json_len(versions); i++) {
                const struct json *v = json_at(versions, i);
                storage += json_get_bool(v, "storage", false);
                for (size_t k = 0; k < i; k++)
                        twice |= streq(text(v, "name"), text(json_at(versions, k), "name"));
                check_version(j, versions, i);
        }
        if (twice)
                invalid(j, "spec.versions", versions, "must contain unique version names");
        if (storage != 1)
                invalid(j, "spec.versions", versions ? versions : json_new_null(j->a),
                        "must have exactly one version marked as storage version");
}

/* --- the rest of the spec --- */

static void check_names(struct judge *j, const struct json *names)
{
        static const char *const fields[] = {"plural", "singular", "kind", "listKind"};

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (!*text(names, fields[i]))
                        required(j, join(j, "spec.names", fields[i]), "");
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                const char *s = text(names, fields[i]), *messages[NAME_MESSAGES];
                char *lower = arena_strdup(j->a, s);
                for (char *p = lower; *p && i >= 2; p++)
                        *p = (char)tolower((unsigned char)*p);
                if (*s && name_check(j->a, NAME_DNS1035_LABEL, lower, messages))
                        invalid_text(j, join(j, "spec.names", fields[i]), s,
                                     i < 2 ? messages[0] : arena_printf(j->a, "may have mixed case, but should otherwise match: %s",
                                                                        messages[0]));
        }
        json_foreach_item(json_get(names, "shortNames"), n)
                name_validate(j->errs, NAME_DNS1035_LABEL, arena_printf(j->a, "spec.names.shortNames[%zu]", n_i), n);
        if (*text(names, "kind") && streq(text(names, "kind"), text(names, "listKind")))
                invalid(j, "spec.names.listKind", json_get(names, "listKind"), "kind and listKind may not be the same");
        json_foreach_item(json_get(names, "categories"), n)
                name_validate(j->errs, NAME_DNS1035_LABEL, arena_printf(j->a, "spec.names.categories[%zu]", n_i), n);
}

static void check_conversion(struct judge *j, const struct json *conversion)
{
        static const char *const strategies[] = {"None", "Webhook", NULL};
        const struct json *webhook = json_get(conversion, "webhook"), *client = json_get(webhook, "clientConfig");
        const char *strategy = text(conversion, "strategy");

        if (!conversion)
                return;
        if (!*strategy)
                required(j, "spec.conversion.strategy", "");
        else if (!one_of(strategy, strategies))
                field_error_not_supported(j->errs, "spec.conversion.strategy", json_get(conversion, "strategy"), strategies);
        else if (streq(strategy, "Webhook")) {
                if (!client)
                        required(j, "spec.conversion.webhookClientConfig", "required when strategy is set to Webhook");
                else if (!json_get(client, "url") == !json_get(client, "service"))
                        required(j, "spec.conversion.webhookClientConfig", "exactly one of url or service is required");
                if (!json_len(json_get(webhook, "conversionReviewVersions")))
                        required(j, "spec.conversion.conversionReviewVersions", "");
        }
}

static void check_stored(struct judge *j, const struct json *crd)
{
        const struct json *list = json_path(crd, "status.storedVersions");

        if (!json_len(list))
                invalid(j, "status.storedVersions", json_new_null(j->a), "must have at least one stored version");
        json_foreach_item(list, stored) {
                bool there = false;
                const char *s = json_string(stored) ? json_string(stored) : "";
                json_foreach_item(json_path(crd, "spec.versions"), v)
                        there |= streq(text(v, "name"), s);
                if (!there)
                        invalid(j, arena_printf(j->a, "status.storedVersions[%zu]", stored_i), stored,
                                arena_printf(j->a,
                                             "missing from spec.versions; %s was previously a storage version, and must remain in "
                                             "spec.versions until a storage migration ensures no data remains persisted in %s and "
                                             "removes %s from status.storedVersions", s, s, s));
        }
}

static bool established(const struct json *crd)
{
        json_foreach_item(json_path(crd, "status.conditions"), c)
                if (streq(text(c, "type"), "Established"))
                        return streq(text(c, "status"), "True");
        return false;
}

/* What objects are stored under cannot move: the group and the plural ever, the rest once it is established. */
static void check_immutable(struct judge *j, const struct json *crd, const struct json *old)
{
        static const struct {
                const char *path;
                bool always;
        } fields[] = {{"spec.group", true}, {"spec.scope", false}, {"spec.names.kind", false}, {"spec.names.plural", true}};

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                const struct json *x = json_path(crd, fields[i].path), *y = json_path(old, fields[i].path);
                if ((fields[i].always || established(old)) && x && y && !json_equal(x, y))
                        invalid(j, fields[i].path, x, "field is immutable");
        }
}

static void check_approval(struct judge *j, const struct json *crd, const struct json *old)
{
        const char *group = text(json_get(crd, "spec"), "group");
        bool protected = str_has_suffix(group, ".k8s.io") || str_has_suffix(group, ".kubernetes.io") || streq(group, "k8s.io") ||
                         streq(group, "kubernetes.io");

        if (protected && !old && !json_get(json_path(crd, "metadata.annotations"), "api-approved.kubernetes.io"))
                required(j, "metadata.annotations[api-approved.kubernetes.io]",
                         "protected groups must have approval annotation \"api-approved.kubernetes.io\", see "
                         "https://github.com/kubernetes/enhancements/pull/1111");
}

void crd_validate_definition(const struct json *crd, const struct json *old, struct field_errors *errs,
                             void (*warn)(const char *text, void *userdata), void *userdata)
{
        struct judge j = {.a = errs->arena, .errs = errs, .warn = warn, .userdata = userdata};
        static const char *const scopes[] = {"Cluster", "Namespaced", NULL};
        const struct json *spec = json_get(crd, "spec");
        const char *name = text(json_get(crd, "metadata"), "name"), *group = text(spec, "group"), *scope = text(spec, "scope");

        if (!old && *name && !streq(name, arena_printf(j.a, "%s.%s", text(json_get(spec, "names"), "plural"), group)))
                invalid_text(&j, "metadata.name", name, "must be spec.names.plural+\".\"+spec.group");
        if (old && json_equal(spec, json_get(old, "spec")))
                return; /* it was let in as it is */
        if (old)
                check_immutable(&j, crd, old);
        if (old && errs->n)
                return; /* the rest follows from what may not change */
        if (!*group)
                required(&j, "spec.group", "");
        else if (!strchr(group, '.'))
                invalid_text(&j, "spec.group", group, "should be a domain with at least one dot");
        else
                name_validate(errs, NAME_DNS1123_SUBDOMAIN, "spec.group", json_get(spec, "group"));
        if (!*scope)
                required(&j, "spec.scope", "");
        else if (!one_of(scope, scopes))
                field_error_not_supported(errs, "spec.scope", json_get(spec, "scope"), scopes);
        if (json_get_bool(spec, "preserveUnknownFields", false))
                invalid(&j, "spec.preserveUnknownFields", json_get(spec, "preserveUnknownFields"),
                        "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead");
        check_versions(&j, spec);
        check_names(&j, json_get(spec, "names"));
        check_conversion(&j, json_get(spec, "conversion"));
        check_stored(&j, crd);
        check_approval(&j, crd, old);
}
