/* Shared by the files that walk objects by schema: typed.c says what they are. */
#pragma once

#include "typed.h"

/* How a value is treated: a leaf as a whole, maps and lists by what is in them. */
enum shape { SHAPE_LEAF, SHAPE_MAP, SHAPE_LIST };

/* What stands where no schema says anything. */
extern const struct schema typed_deduced;

/* How a value of schema S is treated; J decides for deduced ones. */
static inline enum shape shape_of(const struct typed *t, const struct schema *s, const struct json *j)
{
        switch (s->type) {
        case SCHEMA_STRUCT:
        case SCHEMA_MAP:
                return s->atomic ? SHAPE_LEAF : SHAPE_MAP;
        case SCHEMA_ARRAY:
                return s->list_type == SCHEMA_LIST_ATOMIC ? SHAPE_LEAF : SHAPE_LIST;
        case SCHEMA_ANY:
                return t->deduce && json_is_object(j) ? SHAPE_MAP : SHAPE_LEAF;
        default:
                return SHAPE_LEAF;
        }
}

/* The schema of member KEY; NULL: not declared. */
static inline const struct schema *schema_of(const struct schema *s, const char *key, size_t len, uint32_t tag, bool *ret_declared)
{
        const struct schema_field *f;

        *ret_declared = false;
        if (s->type == SCHEMA_MAP)
                return s->elem ? s->elem : &typed_deduced;
        if (s->type == SCHEMA_ANY)
                return &typed_deduced;
        f = schema_find(s, key, len, tag);
        *ret_declared = f;
        if (!f && (s->preserve_unknown || (s->crd && !s->n_fields))) /* "type: object" alone: anything may be said */
                return &typed_deduced;
        return f ? f->type : NULL;
}

static inline const struct schema *member_schema(const struct schema *s, const struct json_member *m, bool *ret_declared)
{
        return schema_of(s, m->key, m->key_len, m->tag, ret_declared);
}

/* Absent, null, {} and [] are the same nothing to maps and lists. */
static inline bool nothing(const struct json *j)
{
        return !j || json_is_null(j) || ((json_is_object(j) || json_is_array(j)) && j->len == 0);
}

/* "f:KEY" as sets name it. DECLARED: by the schema. */
const char *typed_field_name(struct arena *a, const char *key, size_t len, bool declared);

/* One item of a keyed list. */
struct element {
        const char *name; /* "k:{...}" or "v:..." */
        size_t len;
        struct json *value;
        size_t at;        /* in its list */
        const char *error; /* why it has no name */
};

/* The named elements of LIST in its order; those without a name are left out unless WITH_ERRORS. */
size_t typed_elements(struct arena *a, const struct schema *s, const struct json *list, bool with_errors, struct element **ret);
/* Those with a name, by name, then in their order. LIST may be NULL or no list. */
size_t typed_sorted_elements(struct arena *a, const struct schema *s, const struct json *list, struct element **ret);

/* How many elements from I on have the same name. */
static inline size_t run(const struct element *e, size_t i, size_t n)
{
        size_t j = i;

        while (j < n && strcmp(e[i].name, e[j].name) == 0)
                j++;
        return j - i;
}

static inline bool typed_same_name(const struct element *x, const struct element *y)
{
        return x && y && x->len == y->len && memcmp(x->name, y->name, x->len) == 0;
}

/* Equal in the order of members too: most of what an update brings is, and that is told quicker than what differs. */
bool typed_same(const struct json *x, const struct json *y);

/* What is gathered: all there is, as when it is new; or what applying it owns, which are leaves, elements and whatever
 * the schema does not declare. */
enum gather { GATHER_ALL, GATHER_OWNED };

/* Whether J makes NODE a member, and what is below it. */
void typed_gather(const struct typed *t, const struct schema *s, const struct json *j, enum gather what, struct field_node *node);
