/* Between the files that check definitions. */
#pragma once

#include "crd.h"

/* --- keywords, places, errors --- */

static inline const char *text(const struct json *s, const char *key) /* "": there is none */
{
        return json_get_string(s, key) ?: "";
}

static inline bool flag(const struct json *s, const char *key)
{
        return json_get_bool(s, key, false);
}

static inline const char *join(struct arena *a, const char *path, const char *key)
{
        return arena_printf(a, "%s.%s", path, key);
}

static inline const char *indexed(struct arena *a, const char *path, const char *key, size_t i)
{
        return arena_printf(a, "%s.%s[%zu]", path, key, i);
}

static inline void required(struct field_errors *errs, const char *path, const char *detail)
{
        field_error_add(errs, FIELD_REQUIRED, path, NULL, "%s", detail);
}

static inline void forbidden(struct field_errors *errs, const char *path, const char *detail)
{
        field_error_add(errs, FIELD_FORBIDDEN, path, NULL, "%s", detail);
}

static inline void invalid(struct field_errors *errs, const char *path, const struct json *value, const char *detail)
{
        field_error_add(errs, FIELD_INVALID, path, value, "%s", detail);
}

static inline void invalid_text(struct field_errors *errs, const char *path, const char *value, const char *detail)
{
        invalid(errs, path, json_new_string(errs->arena, value), detail);
}

/* --- what they share --- */

/* What the rules of a schema may cost together. */
struct crd_cost {
        uint64_t total;
        struct crd_expensive {
                const char *path;
                uint64_t cost;
        } most[5]; /* the dearest, one more than are shown */
        size_t n;
        bool known; /* the schema was let in before: single rules are not judged again */
};

/* A schema as CEL comes to it. */
struct crd_place {
        const struct crd_place *parent;
        const struct json *schema;
        const struct cel_shape *shape; /* found when it is first asked for */
        const char *field;             /* of the parent's properties; NULL: its items or additional properties */
        uint64_t cardinality;          /* how many such values an object can have, if BOUNDED */
        bool bounded, root;
        bool tried;
};

/* The place of BELOW, a property FIELD, the items or the additional properties of S; fills in RET. NULL if PARENT is. */
const struct crd_place *crd_place_below(struct arena *a, const struct crd_place *parent, const struct json *s,
                                        const struct json *below, const char *field, struct crd_place *ret);
/* The types of a schema (a JSONSchemaProps) as CEL sees them; NULL: it has none. */
const struct cel_shape *crd_shape(struct arena *a, const struct json *s, bool resource);

/* The rules of S: their form; then, in AT, whether they compile, and what they cost. LOOSE: see crd-structural.c. */
void crd_check_rule_words(const struct json *s, const char *path, struct field_errors *errs);
void crd_check_rules(const struct json *s, const char *path, const struct crd_place *at, const char *loose, struct crd_cost *cost,
                     struct field_errors *errs);
void crd_check_total_cost(const struct crd_cost *cost, const char *path, struct field_errors *errs);

/* STATUS: the version has a status subresource. COST_KNOWN: see struct crd_cost. */
void crd_check_schema(const struct json *s, const char *path, bool status, bool cost_known, struct field_errors *errs);
/* The schema at PATH (".spec.a", ".spec['a']") below S, or NULL, and why it is no path. */
const struct json *crd_field_at(struct arena *a, const struct json *s, const char *path, bool brackets, const char **ret_path,
                                const char **ret_why);
/* Judges a default. */
void crd_judge_at(const struct schema *s, const struct json *value, const char *path, struct field_errors *errs);

/* As Go prints upstream's internal types, which have no JSON names: values in errors. */
const char *crd_go_schema(struct arena *a, const struct json *schema);
const char *crd_go_versions(struct arena *a, const struct json *versions, bool same_schema, bool same_subresources, bool same_columns,
                            bool same_fields);
const char *crd_go_items(struct arena *a, const struct json *items);
const char *crd_go_rule(struct arena *a, const struct json *rule);
