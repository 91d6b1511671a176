/* What CEL sees of a JSON schema, of a definition or of OpenAPI (apiserver's SchemaDeclType): types, and how large values may
 * become. The figures are part of the API: they decide which definitions are let in.
 */
#include "cel.h"

#include "../base/map.h"

/* The largest body of a request bounds what has no maximum of its own. */
enum { REQUEST_MAX = 3 * 1024 * 1024 };

static const char *text(const struct json *s, const char *key) /* "": there is none */
{
        const char *v = json_get_string(s, key);

        return v ? v : "";
}

static bool flag(const struct json *s, const char *key)
{
        return json_get_bool(s, key, false);
}

/* --- names --- */

static bool reserved(const char *s)
{
        static const char *const words[] = {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function",
                                            "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while"};

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (streq(s, words[i]))
                        return true;
        return false;
}

/* A field as expressions have to write it; NULL: they cannot. */
static const char *cel_name(struct arena *a, const char *name)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (!*name || (*name >= '0' && *name <= '9'))
                return NULL;
        if (reserved(name))
                return arena_printf(a, "__%s__", name);
        for (const char *p = name; *p; p++) {
                bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_';

                if (p[0] == '_' && p[1] == '_') {
                        strbuf_puts(&b, "__underscores__");
                        p++;
                } else if (plain) {
                        strbuf_putc(&b, *p);
                } else if (*p == '.' || *p == '-' || *p == '/') {
                        strbuf_puts(&b, *p == '.' ? "__dot__" : *p == '-' ? "__dash__" : "__slash__");
                } else {
                        return NULL;
                }
        }
        return streq(b.data, name) ? name : arena_strdup(a, b.data);
}

/* --- schemas that refer to others --- */

struct step {
        const struct step *up;
        const char *ref;
};

struct reader {
        struct arena *a;
        const struct cel_schemas *schemas;
        const struct step *way; /* the references that led here */
        struct map known;       /* shapes by reference: most are used many times */
};

/* The schema that S is or refers to ("allOf" of one reference only gives it a description of its own). */
static const struct json *follow(struct reader *r, const struct json *s, const char **ret_ref)
{
        const char *ref = json_get_string(s, "$ref");

        if (!ref && json_len(json_get(s, "allOf")))
                ref = json_get_string(json_at(json_get(s, "allOf"), 0), "$ref");
        if (!ref || !r->schemas)
                return s;
        if (ret_ref)
                *ret_ref = ref;
        return r->schemas->find(r->schemas->userdata, ref);
}

/* --- types --- */

static struct cel_shape *simple(struct arena *a, enum cel_type type, uint32_t min, uint64_t max)
{
        struct cel_shape *s = arena_memdup(a, &cel_shapes[type], sizeof(*s));

        s->min = min;
        s->max = max;
        return s;
}

/* A maximum that the schema sets; -1: it does not. */
static int64_t maximum(const struct json *s, const char *key)
{
        const struct json *v = json_get(s, key);

        return !json_is_number(v) ? -1 : MAX((int64_t)json_get_int(s, key, 0), (int64_t)0);
}

static struct cel_shape *string_shape(struct arena *a, const struct json *s)
{
        const char *format = text(s, "format");
        int64_t max = maximum(s, "maxLength");
        uint64_t longest = 0;

        if (streq(format, "byte"))
                return simple(a, CEL_BYTES, 2, max >= 0 ? (uint64_t)max : REQUEST_MAX - 2);
        if (streq(format, "duration"))
                return simple(a, CEL_DURATION, 3, 32);
        if (streq(format, "date"))
                return simple(a, CEL_TIMESTAMP, 12, 12);
        if (streq(format, "date-time"))
                return simple(a, CEL_TIMESTAMP, 21, 32);
        if (max >= 0)
                return simple(a, CEL_STRING, 2, (uint64_t)max * 4);
        json_foreach_item(json_get(s, "enum"), v)
                longest = MAX(longest, json_is_string(v) ? (uint64_t)v->len : (uint64_t)0);
        return simple(a, CEL_STRING, 2, json_len(json_get(s, "enum")) ? longest : REQUEST_MAX - 2);
}

static const struct cel_shape *shape_of(struct reader *r, const struct json *s, bool resource, const char *name);

static struct cel_shape *list_shape(struct reader *r, const struct json *s, const char *name)
{
        struct arena *a = r->a;
        const struct json *items = json_get(s, "items");
        const char *kind = text(s, "x-kubernetes-list-type");
        const struct cel_shape *item = json_is_object(items) ? shape_of(r, items, flag(items, "x-kubernetes-embedded-resource"),
                                                                                arena_printf(a, "%s.@idx", name))
                                                                     : NULL;
        int64_t max = maximum(s, "maxItems");
        struct cel_shape *out;

        if (!item)
                return NULL;
        out = cel_shape_list(a, item, max >= 0 ? (uint64_t)max : (REQUEST_MAX - 2) / (item->min + 1));
        out->min = 2;
        out->list = streq(kind, "set") ? CEL_LIST_SET : streq(kind, "map") ? CEL_LIST_MAP : CEL_LIST_ATOMIC;
        out->keys = json_get(s, "x-kubernetes-list-map-keys");
        return out;
}

static struct cel_shape *map_shape(struct reader *r, const struct json *s, const struct json *more, const char *name)
{
        struct arena *a = r->a;
        const struct cel_shape *value = shape_of(r, more, flag(more, "x-kubernetes-embedded-resource"), arena_printf(a, "%s.@elem", name));
        int64_t max = maximum(s, "maxProperties");
        struct cel_shape *out;

        if (!value)
                return NULL;
        out = cel_shape_map(a, &cel_shapes[CEL_STRING], value, max >= 0 ? (uint64_t)max : (REQUEST_MAX - 2) / (value->min + 6));
        out->min = 2;
        return out;
}

static bool is_required(const struct json *s, const char *name)
{
        json_foreach_item(json_get(s, "required"), item)
                if (streq(json_string(item), name))
                        return true;
        return false;
}

static void add_member(struct arena *a, struct cel_shape *out, const struct json *s, const char *name, const struct cel_shape *shape,
                       bool has_default)
{
        struct cel_member *list = (struct cel_member *)out->members; /* still ours */
        const char *escaped = cel_name(a, name);

        if (!shape)
                return;
        if (escaped)
                list[out->n_members++] = (struct cel_member){escaped, name, shape};
        if (is_required(s, name) && !has_default)
                out->min += (uint32_t)strlen(name) + shape->min + 4;
}

static bool of_type(struct reader *r, const struct json *s, const char *name, const char *type)
{
        return streq(text(follow(r, json_get(json_get(s, "properties"), name), NULL), "type"), type);
}

/* A resource has its metadata's name without saying so. */
static struct cel_shape *object_shape(struct reader *r, const struct json *s, bool resource, const char *name)
{
        struct arena *a = r->a;
        const struct json *props = json_get(s, "properties"), *metadata = follow(r, json_get(props, "metadata"), NULL);
        struct cel_shape *out = arena_calloc(a, sizeof(*out)), *meta;
        bool complete = of_type(r, s, "kind", "string") && of_type(r, s, "apiVersion", "string") && of_type(r, s, "metadata", "object") &&
                        of_type(r, metadata, "name", "string") && of_type(r, metadata, "generateName", "string");

        *out = (struct cel_shape){.type = CEL_OBJECT, .name = name, .weight = 1, .min = 2};
        out->members = arena_calloc(a, (json_len(props) + 4) * sizeof(*out->members));
        json_foreach_member(props, m) {
                if (resource && !complete && (streq(m->key, "kind") || streq(m->key, "apiVersion") || streq(m->key, "metadata")))
                        continue;
                add_member(a, out, s, m->key, shape_of(r, m->value, flag(m->value, "x-kubernetes-embedded-resource"), arena_printf(a, "%s.%s", name, m->key)),
                           json_get(m->value, "default") && !json_is_null(json_get(m->value, "default")));
        }
        if (!resource || complete)
                return out;
        meta = arena_calloc(a, sizeof(*meta));
        *meta = (struct cel_shape){.type = CEL_OBJECT, .name = arena_printf(a, "%s.metadata", name), .weight = 1, .min = 2};
        meta->members = arena_calloc(a, 2 * sizeof(*meta->members));
        add_member(a, meta, NULL, "name", simple(a, CEL_STRING, 2, REQUEST_MAX - 2), false);
        add_member(a, meta, NULL, "generateName", simple(a, CEL_STRING, 2, REQUEST_MAX - 2), false);
        add_member(a, out, s, "kind", simple(a, CEL_STRING, 2, REQUEST_MAX - 2), false);
        add_member(a, out, s, "apiVersion", simple(a, CEL_STRING, 2, REQUEST_MAX - 2), false);
        add_member(a, out, s, "metadata", meta, false);
        return out;
}

/* By its type alone. */
static const struct cel_shape *typed_shape(struct reader *r, const struct json *s, bool resource, const char *name)
{
        const char *type = text(s, "type");
        const struct json *more = json_get(s, "additionalProperties");
        int64_t max = maximum(s, "maxLength");

        if (flag(s, "x-kubernetes-int-or-string") || (r->schemas && streq(text(s, "format"), "int-or-string")))
                return simple(r->a, CEL_DYN, 1, max >= 0 ? (uint64_t)max * 4 : REQUEST_MAX - 2);
        if (streq(type, "array"))
                return list_shape(r, s, name);
        if (streq(type, "object"))
                return json_is_object(more) ? map_shape(r, s, more, name) : object_shape(r, s, resource, name);
        if (streq(type, "string"))
                return string_shape(r->a, s);
        if (streq(type, "boolean"))
                return simple(r->a, CEL_BOOL, 4, 0);
        if (streq(type, "integer"))
                return simple(r->a, CEL_INT, 1, 0);
        return streq(type, "number") ? simple(r->a, CEL_DOUBLE, 1, 0) : NULL;
}

static const struct cel_shape nothing = { .type = CEL_OBJECT, .name = "object", .weight = 1, .min = 2 };

static const struct cel_shape *shape_of(struct reader *r, const struct json *s, bool resource, const char *name)
{
        const char *ref = NULL;
        const struct cel_shape *known;
        struct step step;

        s = follow(r, s, &ref);
        if (!ref)
                return s ? typed_shape(r, s, resource, name) : NULL;
        for (const struct step *up = r->way; up; up = up->up)
                if (streq(up->ref, ref))
                        return &nothing; /* it is within itself: upstream goes no further either */
        known = resource ? NULL : map_get(&r->known, ref);
        if (known)
                return known;
        step = (struct step){ .up = r->way, .ref = ref };
        r->way = &step;
        known = s ? typed_shape(r, s, resource, name) : NULL;
        r->way = step.up;
        if (known && !resource)
                map_put(&r->known, ref, (void *)known);
        return known;
}

const struct cel_shape *cel_schema_shape(struct arena *a, const struct json *schema, bool resource, const char *name,
                                         const struct cel_schemas *schemas)
{
        struct reader r = { .a = a, .schemas = schemas, .known = MAP_INIT };
        const struct cel_shape *shape = shape_of(&r, schema, resource, name);

        map_deinit(&r.known);
        return shape;
}
