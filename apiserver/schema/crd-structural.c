/* Schemas of definitions (apiextensions' ValidateStructural, ValidateDefaults and ValidateCustomResourceDefinitionOpenAPISchema).
 *
 * Three walks: is the schema structural (every value has one type, told apart from what constrains it), do its defaults fit
 * it, and is every keyword used as it may be. The last one brings the CEL rules along, with how often each could run: what they
 * could cost together is limited. Rules are only looked at where all around them is right. */
#include "crd-internal.h"

#include <stdlib.h>

struct walk {
        struct arena *a;
        struct field_errors *schema, *rules; /* of schemas and of rules: the latter come last */
        struct crd_cost cost;
        bool celless; /* the schema is not even structural */
};

static const char *keyed(struct walk *w, const char *path, const char *key, const char *name)
{
        return arena_printf(w->a, "%s.%s[%s]", path, key, name);
}

/* Whether a keyword says something: "", false, [] and null do not. */
static bool says(const struct json *s, const char *key)
{
        const struct json *v = json_get(s, key);

        if (!v || json_is_null(v) || (json_is_string(v) && !*v->str) || (json_is_bool(v) && !v->boolean))
                return false;
        return !json_is_array(v) || json_len(v);
}

static const struct json *schema_in(const struct json *s, const char *key)
{
        const struct json *v = json_get(s, key);

        return json_is_object(v) ? v : NULL;
}

/* --- structure --- */

enum level { ROOT, ITEM, FIELD };

static bool only_type(const struct json *s, const char *type)
{
        return json_len(s) == 1 && streq(text(s, "type"), type);
}

/* anyOf: [{type: integer}, {type: string}] says again what int-or-string means. */
static bool either_again(const struct json *list)
{
        return json_len(list) == 2 && only_type(json_at(list, 0), "integer") && only_type(json_at(list, 1), "string");
}

static void check_part(struct walk *w, const struct json *s, const char *path, bool skip_any);

static void check_constraints(struct walk *w, const struct json *s, const char *path, bool skip_any, bool skip_first_all)
{
        static const char *const lists[] = {"anyOf", "allOf", "oneOf"};
        const char *why = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_get(s, lists[i]), part)
                        if (i != 0 || !skip_any)
                                check_part(w, part, indexed(w->a, path, lists[i], part_i), i == 1 && part_i == 0 && skip_first_all);
        check_part(w, json_get(s, "not"), join(w->a, path, "not"), false);
        if (*text(s, "pattern") && crd_pattern_match(w->a, text(s, "pattern"), "", &why) < 0)
                invalid(w->schema, join(w->a, path, "pattern"), json_get(s, "pattern"),
                        arena_printf(w->a, "must be a valid regular expression, but isn't: %s", why));
}

/* Parts of allOf and so on constrain values; what a value is, they must leave alone. */
static void check_part(struct walk *w, const struct json *s, const char *path, bool skip_any)
{
        static const struct {
                const char *key, *detail;
        } words[] = {
                {"type", "must be empty to be structural"},
                {"default", "must be undefined to be structural"},
                {"title", "must be empty to be structural"},
                {"description", "must be empty to be structural"},
                {"nullable", "must be false to be structural"},
                {"x-kubernetes-preserve-unknown-fields", "must be false to be structural"},
                {"x-kubernetes-embedded-resource", "must be false to be structural"},
                {"x-kubernetes-int-or-string", "must be false to be structural"},
                {"x-kubernetes-list-map-keys", "must be empty to be structural"},
                {"x-kubernetes-list-type", "must be undefined to be structural"},
                {"x-kubernetes-map-type", "must be undefined to be structural"},
                {"x-kubernetes-validations", "must be empty to be structural"},
        };

        if (!json_is_object(s))
                return;
        check_constraints(w, s, path, skip_any, false);
        check_part(w, schema_in(s, "items"), join(w->a, path, "items"), false);
        json_foreach_member(json_get(s, "properties"), m)
                check_part(w, m->value, keyed(w, path, "properties", m->key), false);
        if (schema_in(s, "additionalProperties"))
                forbidden(w->schema, join(w->a, path, "additionalProperties"), "must be undefined to be structural");
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (says(s, words[i].key))
                        forbidden(w->schema, join(w->a, path, words[i].key), words[i].detail);
        if (json_get(json_get(s, "properties"), "metadata"))
                forbidden(w->schema, keyed(w, path, "properties", "metadata"), "must not be specified in a nested context");
}

static void check_metadata(struct walk *w, const struct json *s, const char *path, bool resource, enum level level)
{
        bool more = false;

        if (resource && !streq(text(s, "type"), "object"))
                invalid_text(w->schema, join(w->a, path, "type"), text(s, "type"), "must be object");
        if (level != ROOT)
                return;
        json_foreach_member(s, m) {
                if (streq(m->key, "properties"))
                        json_foreach_member(m->value, p)
                                more |= !streq(p->key, "name") && !streq(p->key, "generateName");
                else if (!streq(m->key, "type") && !streq(m->key, "default"))
                        more |= says(s, m->key);
        }
        if (more)
                forbidden(w->schema, path, "must not specify anything other than name and generateName, but metadata is implicitly specified");
}

static void check_type(struct walk *w, const struct json *s, const char *path, enum level level)
{
        static const char *const missing[] = {"must not be empty at the root", "must not be empty for specified array items",
                                              "must not be empty for specified object fields"};
        const char *type = text(s, "type"), *at = join(w->a, path, "type");
        bool embedded = flag(s, "x-kubernetes-embedded-resource");

        if (embedded && !streq(type, "object")) {
                if (!*type)
                        required(w->schema, at, "must be object if x-kubernetes-embedded-resource is true");
                else
                        invalid_text(w->schema, at, type, "must be object if x-kubernetes-embedded-resource is true");
        } else if (!*type && !flag(s, "x-kubernetes-int-or-string") && !flag(s, "x-kubernetes-preserve-unknown-fields")) {
                required(w->schema, at, missing[level]);
        }
        if (embedded && json_get(s, "additionalProperties"))
                forbidden(w->schema, join(w->a, path, "additionalProperties"), "must not be used if x-kubernetes-embedded-resource is set");
        if (level == ROOT && *type && !streq(type, "object"))
                invalid_text(w->schema, at, type, "must be object at the root");
}

static void check_structure(struct walk *w, const struct json *s, const char *path, enum level level)
{
        static const char *const exclusive[] = {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"};
        static const char *const names[] = {"kind", "apiVersion"};
        const struct json *props = json_get(s, "properties"), *more = json_get(s, "additionalProperties"), *p;
        bool resource = level == ROOT || flag(s, "x-kubernetes-embedded-resource");

        if (!json_is_object(s))
                return;
        if (streq(text(s, "type"), "array") && !schema_in(s, "items"))
                required(w->schema, join(w->a, path, "items"), "must be specified");
        check_structure(w, schema_in(s, "items"), join(w->a, path, "items"), ITEM);
        json_foreach_member(props, m)
                check_structure(w, m->value, keyed(w, path, "properties", m->key), FIELD);
        if (more && !json_is_null(more)) {
                if (level == ROOT)
                        forbidden(w->schema, join(w->a, path, "additionalProperties"), "must not be used at the root");
                check_structure(w, schema_in(s, "additionalProperties"), join(w->a, path, "additionalProperties"), FIELD);
        }
        for (size_t i = 0; i < ARRAY_SIZE(exclusive); i++)
                if (flag(s, "x-kubernetes-int-or-string") && flag(s, exclusive[i]))
                        invalid(w->schema, join(w->a, path, exclusive[i]), json_get(s, exclusive[i]),
                                "must be false if x-kubernetes-int-or-string is true");
        check_constraints(w, s, path, either_again(json_get(s, "anyOf")),
                          either_again(json_get(json_at(json_get(s, "allOf"), 0), "anyOf")));
        check_type(w, s, path, level);
        for (size_t i = 0; i < ARRAY_SIZE(names) && resource; i++)
                if ((p = json_get(props, names[i])) && !streq(text(p, "type"), "string"))
                        invalid_text(w->schema, arena_printf(w->a, "%s.properties[%s].type", path, names[i]), text(p, "type"), "must be string");
        if ((p = json_get(props, "metadata")))
                check_metadata(w, p, keyed(w, path, "properties", "metadata"), resource, level);
        if (flag(s, "x-kubernetes-embedded-resource") && !flag(s, "x-kubernetes-preserve-unknown-fields") && !json_len(props))
                required(w->schema, join(w->a, path, "properties"),
                         "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields");
}

struct printed {
        struct field_error error;
        const char *text;
};

static int by_text(const void *x, const void *y)
{
        return strcmp(((const struct printed *)x)->text, ((const struct printed *)y)->text);
}

/* The errors from FROM on, in the order of their texts. */
static void sort_errors(struct walk *w, size_t from)
{
        size_t n = w->schema->n - from;
        struct printed *list = arena_calloc(w->a, (n + 1) * sizeof(*list));

        for (size_t i = 0; i < n; i++)
                list[i] = (struct printed){w->schema->list[from + i], field_error_print(w->a, &w->schema->list[from + i])};
        qsort(list, n, sizeof(*list), by_text);
        for (size_t i = 0; i < n; i++)
                w->schema->list[from + i] = list[i].error;
}

/* --- defaults --- */

/* What was found below a default, as if it stood there. */
static void move_errors(struct walk *w, const struct field_errors *found, const char *at)
{
        for (size_t i = 0; i < found->n; i++) {
                const struct field_error *e = &found->list[i];
                const char *below = streq(e->path, "<nil>") ? "" : e->path;

                field_error_add_text(w->schema, e->type, *below ? join(w->a, at, below) : at, e->value, "%s", e->detail ? e->detail : "");
        }
}

/* Upstream stops at the first kind of mistake. */
static void check_default(struct walk *w, const struct json *s, const char *path, bool in_metadata)
{
        const struct json *value = json_get(s, "default");
        const char *at = join(w->a, path, "default");
        const struct schema *compiled;
        struct field_errors found = {.arena = w->a};
        size_t before = w->schema->n;
        struct json *copy;

        if (!value || json_is_null(value))
                return;
        compiled = crd_compile_schema(w->a, s, false);
        copy = json_clone(w->a, value);
        if (crd_prune(w->a, compiled, copy) && !in_metadata)
                invalid(w->schema, at, value, "must not have unknown fields");
        crd_coerce(w->a, compiled, json_clone(w->a, value), &found);
        if (found.n && in_metadata) {
                invalid(w->schema, at, value, arena_printf(w->a, "must result in valid metadata: %s", field_error_print(w->a, found.list)));
                return;
        }
        if (!found.n)
                crd_validate_embedded(compiled, value, "", &found);
        if (!found.n)
                crd_validate_default(compiled, value, &found); /* in its messages the value is the root */
        move_errors(w, &found, at);
        if (w->schema->n == before && crd_attach_rules(w->a, compiled))
                crd_judge_at(compiled, value, at, w->schema);
}

static void check_defaults(struct walk *w, const struct json *s, const char *path, bool in_metadata, bool resource)
{
        if (!json_is_object(s))
                return;
        if (flag(s, "x-kubernetes-embedded-resource")) {
                in_metadata = false;
                resource = true;
        }
        check_default(w, s, path, in_metadata);
        check_defaults(w, schema_in(s, "items"), join(w->a, path, "items"), in_metadata, false);
        json_foreach_member(json_get(s, "properties"), m)
                check_defaults(w, m->value, keyed(w, path, "properties", m->key),
                               in_metadata || (resource && (streq(m->key, "metadata") || streq(m->key, "apiVersion") || streq(m->key, "kind"))),
                               false);
}

/* --- keywords --- */

/* Where a schema stands: what may not be said there, and how often a value of it can be there. */
struct place {
        const char *no_defaults; /* why; NULL: there may be */
        bool in_metadata;
        const char *loose;       /* the path from which on old and new values cannot be matched; NULL: they can */
        const struct crd_place *cel; /* NULL: CEL does not reach here */
};

/* Some keywords count as soon as they are there, others only with something in them. */
static bool forbids(const struct json *s, const char *key)
{
        const struct json *v = json_get(s, key);

        if (!v || json_is_null(v))
                return false;
        if (streq(key, "$ref") || streq(key, "additionalItems") || streq(key, "dependencies"))
                return true;
        return json_is_object(v) ? json_len(v) > 0 : says(s, key);
}

static void check_words(struct walk *w, const struct json *s, const char *path, const struct place *at)
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
        static const char *const types[] = {"array", "boolean", "integer", "number", "object", "string", NULL};
        const char *type = text(s, "type");
        bool known = !*type || streq(type, "null");

        for (size_t i = 0; types[i]; i++)
                known |= streq(type, types[i]);
        if (!known || streq(type, "null"))
                field_error_not_supported(w->schema, join(w->a, path, "type"), json_get(s, "type"), types);
        if (json_get(s, "default") && !json_is_null(json_get(s, "default")) && at->no_defaults)
                forbidden(w->schema, join(w->a, path, "default"), arena_printf(w->a, "must not be set %s", at->no_defaults));
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (forbids(s, words[i].key))
                        forbidden(w->schema, join(w->a, path, words[i].key), words[i].detail);
        if (streq(type, "null"))
                forbidden(w->schema, join(w->a, path, "type"), "type cannot be set to null, use nullable as an alternative");
        if (json_is_array(json_get(s, "items")) && json_len(json_get(s, "items")))
                forbidden(w->schema, join(w->a, path, "items"), "items must be a schema object and not an array");
        if (at->in_metadata && flag(s, "x-kubernetes-embedded-resource"))
                forbidden(w->schema, join(w->a, path, "x-kubernetes-embedded-resource"), "must not be used inside of resource meta");
        if (flag(s, "uniqueItems"))
                forbidden(w->schema, join(w->a, path, "uniqueItems"),
                          "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
}

static void check_set(struct walk *w, const struct json *s, const char *path)
{
        const struct json *items = schema_in(s, "items");
        const char *type = text(items, "type"), *list = json_get_string(items, "x-kubernetes-list-type"),
                   *map = json_get_string(items, "x-kubernetes-map-type");
        /* The item's list type is what upstream shows in both. */
        const char *shown = list ? arena_printf(w->a, "\"%s\"", list) : "null";

        if (streq(type, "array") && list && !streq(list, "atomic"))
                field_error_add_text(w->schema, FIELD_INVALID, join(w->a, path, "items.x-kubernetes-list-type"), shown,
                                     "must be atomic as item of a list with x-kubernetes-list-type=set");
        if (streq(type, "object") && !streq(map, "atomic"))
                field_error_add_text(w->schema, FIELD_INVALID, join(w->a, path, "items.x-kubernetes-map-type"), shown,
                                     "must be atomic as item of a list with x-kubernetes-list-type=set");
}

static void check_kind_of_list(struct walk *w, const struct json *s, const char *path, const char *key, const char *type)
{
        const char *is = text(s, "type"), *detail = arena_printf(w->a, "must be %s if %s is specified", type, key);

        if (!json_get_string(s, key) || streq(is, type))
                return;
        if (!*is)
                required(w->schema, join(w->a, path, "type"), detail);
        else
                invalid_text(w->schema, join(w->a, path, "type"), is, detail);
}

static void check_list_map(struct walk *w, const struct json *s, const char *path)
{
        const struct json *keys = json_get(s, "x-kubernetes-list-map-keys"), *items = json_get(s, "items");
        const char *at = join(w->a, path, "x-kubernetes-list-map-keys");

        if (!json_len(keys))
                required(w->schema, at, "must not be empty if x-kubernetes-list-type is map");
        if (!items)
                required(w->schema, join(w->a, path, "items"), "must have a schema if x-kubernetes-list-type is map");
        else if (!json_is_object(items))
                field_error_add_text(w->schema, FIELD_INVALID, join(w->a, path, "items"), crd_go_items(w->a, items),
                                     "must only have a single schema if x-kubernetes-list-type is map");
        if (!json_is_object(items))
                return;
        if (!streq(text(items, "type"), "object")) {
                invalid_text(w->schema, join(w->a, path, "items.type"), text(items, "type"),
                             "must be object if parent array's x-kubernetes-list-type is map");
                return;
        }
        json_foreach_item(keys, key) {
                const struct json *prop = json_get(json_get(items, "properties"), json_string(key) ? json_string(key) : "");
                bool twice = false;

                if (prop && (streq(text(prop, "type"), "array") || streq(text(prop, "type"), "object")))
                        invalid_text(w->schema, arena_printf(w->a, "%s.items.properties[%s].type", path, json_string(key)), text(items, "type"),
                                     "must be a scalar type if parent array's x-kubernetes-list-type is map");
                if (!prop)
                        invalid(w->schema, at, keys, "entries must all be names of item properties");
                for (size_t k = 0; k < key_i; k++)
                        twice |= json_equal(json_at(keys, k), key);
                if (twice)
                        invalid(w->schema, at, keys, "must not contain duplicate entries");
        }
}

static bool is_required(const struct json *s, const char *name)
{
        json_foreach_item(json_get(s, "required"), item)
                if (streq(json_string(item), name))
                        return true;
        return false;
}

static void check_list_keys(struct walk *w, const struct json *s, const char *path, const char *list)
{
        const struct json *items = schema_in(s, "items");

        if (!items)
                return;
        if (flag(items, "nullable"))
                forbidden(w->schema, join(w->a, path, "items.nullable"),
                          arena_printf(w->a, "cannot be nullable when x-kubernetes-list-type is %s", list));
        json_foreach_item(streq(list, "map") ? json_get(s, "x-kubernetes-list-map-keys") : NULL, key) {
                const char *name = json_string(key) ? json_string(key) : "";
                const struct json *prop = json_get(json_get(items, "properties"), name), *fallback = json_get(prop, "default");
                const char *at = arena_printf(w->a, "%s.items.properties[%s]", path, name);

                if (!prop)
                        continue;
                if (!is_required(items, name) && (!fallback || json_is_null(fallback)))
                        required(w->schema, join(w->a, at, "default"),
                                 "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property");
                if (flag(prop, "nullable"))
                        forbidden(w->schema, join(w->a, at, "nullable"), "this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
        }
}

static void check_extensions(struct walk *w, const struct json *s, const char *path)
{
        static const char *const map_types[] = {"atomic", "granular", NULL}, *const list_types[] = {"atomic", "set", "map", NULL};
        const char *map = json_get_string(s, "x-kubernetes-map-type"), *list = json_get_string(s, "x-kubernetes-list-type");
        const struct json *keep = json_get(s, "x-kubernetes-preserve-unknown-fields");

        if (json_is_bool(keep) && !keep->boolean)
                invalid(w->schema, join(w->a, path, "x-kubernetes-preserve-unknown-fields"), keep, "must be true or undefined");
        check_kind_of_list(w, s, path, "x-kubernetes-map-type", "object");
        if (map && !streq(map, "atomic") && !streq(map, "granular"))
                field_error_not_supported(w->schema, join(w->a, path, "x-kubernetes-map-type"), json_new_string(w->a, map), map_types);
        check_kind_of_list(w, s, path, "x-kubernetes-list-type", "array");
        if (streq(text(s, "type"), "array") && streq(list, "set"))
                check_set(w, s, path);
        if (list && !streq(list, "atomic") && !streq(list, "set") && !streq(list, "map"))
                field_error_not_supported(w->schema, join(w->a, path, "x-kubernetes-list-type"), json_new_string(w->a, list), list_types);
        if (json_len(json_get(s, "x-kubernetes-list-map-keys"))) {
                if (!list)
                        required(w->schema, join(w->a, path, "x-kubernetes-list-type"), "must be map if x-kubernetes-list-map-keys is non-empty");
                else if (!streq(list, "map"))
                        invalid_text(w->schema, join(w->a, path, "x-kubernetes-list-type"), list,
                                     "must be map if x-kubernetes-list-map-keys is non-empty");
        }
        if (streq(list, "map"))
                check_list_map(w, s, path);
        if (streq(list, "set") || streq(list, "map"))
                check_list_keys(w, s, path, list);
}

static void check_keywords(struct walk *w, const struct json *s, const char *path, struct place at, bool root);

static void check_below(struct walk *w, const struct json *s, const char *path, const struct place *at, bool root)
{
        static const char *const lists[] = {"allOf", "oneOf", "anyOf"};
        const struct json *more = json_get(s, "additionalProperties");
        const char *map = json_get_string(s, "x-kubernetes-map-type");
        struct place inner, nowhere = *at;
        struct crd_place cel;

        if (more && !json_is_null(more)) {
                if (json_len(json_get(s, "properties")) && !json_is_true(more))
                        forbidden(w->schema, join(w->a, path, "additionalProperties"), "additionalProperties and properties are mutual exclusive");
                inner = *at;
                if (at->in_metadata)
                        inner.no_defaults = "inside additionalProperties applying to object metadata";
                inner.cel = crd_place_below(w->a, at->cel, s, more, NULL, &cel);
                check_keywords(w, schema_in(s, "additionalProperties"), join(w->a, path, "additionalProperties"), inner, false);
        }
        json_foreach_member(json_get(s, "properties"), m) {
                inner = *at;
                if (map && !streq(map, "granular") && !streq(map, "atomic") && !inner.loose)
                        inner.loose = path;
                if ((root || flag(s, "x-kubernetes-embedded-resource")) &&
                    (streq(m->key, "metadata") || streq(m->key, "kind") || streq(m->key, "apiVersion"))) {
                        inner.in_metadata = true;
                        if (root)
                                inner.no_defaults = arena_printf(w->a, "in top-level %s", m->key);
                }
                inner.cel = crd_place_below(w->a, at->cel, s, m->value, m->key, &cel);
                check_keywords(w, m->value, keyed(w, path, "properties", m->key), inner, false);
        }
        nowhere.cel = NULL;
        check_keywords(w, json_get(s, "not"), join(w->a, path, "not"), nowhere, false);
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_get(s, lists[i]), part)
                        check_keywords(w, part, indexed(w->a, path, lists[i], part_i), nowhere, false);
        if (schema_in(s, "items")) {
                inner = *at;
                /* Only items of lists with keys are known again. */
                if (!streq(json_get_string(s, "x-kubernetes-list-type"), "map") && !inner.loose)
                        inner.loose = path;
                inner.cel = crd_place_below(w->a, at->cel, s, json_get(s, "items"), NULL, &cel);
                check_keywords(w, json_get(s, "items"), join(w->a, path, "items"), inner, false);
        }
}

static void check_keywords(struct walk *w, const struct json *s, const char *path, struct place at, bool root)
{
        size_t before = w->schema->n;

        if (!json_is_object(s))
                return;
        check_words(w, s, path, &at);
        check_below(w, s, path, &at, root);
        check_extensions(w, s, path);
        if (!json_len(json_get(s, "x-kubernetes-validations")))
                return;
        crd_check_rule_words(s, path, w->schema);
        if (w->schema->n == before && at.cel)
                crd_check_rules(s, path, at.cel, at.loose, &w->cost, w->rules);
}

/* --- all together --- */

/* What upstream's structural form has no place for, here or below; NULL: nothing. It is then not looked at further. */
static const char *unsupported(struct walk *w, const struct json *s)
{
        static const struct {
                const char *key, *name;
        } words[] = {{"id", "id"}, {"$schema", "schema"}, {"$ref", "$ref"}, {"patternProperties", "patternProperties"},
                     {"dependencies", "dependencies"}, {"additionalItems", "additionalItems"}, {"definitions", "definitions"}};
        static const char *const lists[] = {"allOf", "anyOf", "oneOf"}, *const single[] = {"not", "items", "additionalProperties"};
        const char *why = NULL;

        if (!json_is_object(s))
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (streq(words[i].key, "$ref") || streq(words[i].key, "$schema") ? says(s, words[i].key) : forbids(s, words[i].key))
                        return arena_printf(w->a, "OpenAPIV3Schema '%s' is not supported", words[i].name);
        if (json_is_bool(json_get(s, "x-kubernetes-preserve-unknown-fields")) && !flag(s, "x-kubernetes-preserve-unknown-fields"))
                return "'x-kubernetes-preserve-unknown-fields' must be true or undefined";
        if (json_is_array(json_get(s, "items")) && json_len(json_get(s, "items")))
                return "OpenAPIV3Schema 'items' must be a schema, but is an array";
        for (size_t i = 0; i < ARRAY_SIZE(lists) && !why; i++)
                json_foreach_item(json_get(s, lists[i]), part)
                        why = why ? why : unsupported(w, part);
        for (size_t i = 0; i < ARRAY_SIZE(single) && !why; i++)
                why = unsupported(w, json_get(s, single[i]));
        json_foreach_member(json_get(s, "properties"), m)
                why = why ? why : unsupported(w, m->value);
        return why;
}

/* With a status of its own, an object's root can say little. */
static void check_root(struct walk *w, const struct json *s, const char *path)
{
        static const char *const allowed[] = {"description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum",
                                              "exclusiveMinimum", "maxLength", "minLength", "pattern", "maxItems", "minItems",
                                              "uniqueItems", "multipleOf", "required", "items", "properties", "externalDocs", "example",
                                              "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations"};

        json_foreach_member(s, m) {
                bool known = false;

                if (streq(m->key, "type") && !streq(text(s, "type"), "object")) {
                        invalid_text(w->schema, join(w->a, path, "type"), text(s, "type"),
                                     "only \"object\" is allowed as the type at the root of the schema if the status subresource is "
                                     "enabled");
                        return;
                }
                for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
                        known |= streq(m->key, allowed[i]);
                if (known || !says(s, m->key))
                        continue;
                field_error_add_text(w->schema, FIELD_INVALID, path, crd_go_schema(w->a, s),
                                     "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength "
                                     "MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs "
                                     "Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the "
                                     "status subresource is enabled");
                return;
        }
}

void crd_check_schema(const struct json *s, const char *path, bool status, bool cost_known, struct field_errors *errs)
{
        struct field_errors rules = {.arena = errs->arena};
        struct walk w = {.a = errs->arena, .schema = errs, .rules = &rules, .cost = {.known = cost_known}};
        struct crd_place root = {.schema = s, .cardinality = 1, .bounded = true, .root = true};
        struct place at = {0};
        const char *why = unsupported(&w, s);
        size_t before = errs->n;

        if (status)
                check_root(&w, s, path);
        if (flag(s, "nullable"))
                forbidden(w.schema, join(w.a, path, "nullable"), "nullable cannot be true at the root");
        before = errs->n;
        if (!why) {
                check_structure(&w, s, path, ROOT);
                sort_errors(&w, before);
                if (errs->n == before)
                        check_defaults(&w, s, path, false, true);
                if (errs->n == before)
                        at.cel = &root;
        }
        check_keywords(&w, s, path, at, true);
        for (size_t i = 0; i < rules.n; i++)
                field_error_add_text(errs, rules.list[i].type, rules.list[i].path, rules.list[i].value, "%s",
                                     rules.list[i].detail ? rules.list[i].detail : "");
        if (why && errs->n == before)
                invalid_text(w.schema, path, "", why);
        crd_check_total_cost(&w.cost, path, errs);
}
