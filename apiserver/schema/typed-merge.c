/* A configuration laid over an object, and fields taken out of one. */
#include "typed-internal.h"

/* --- merge --- */

static struct json *merge(const struct typed *t, const struct schema *s, const struct json *l, const struct json *r);

static struct json *merge_maps(const struct typed *t, const struct schema *s, const struct json *l,
                               const struct json *r)
{
        struct json **values = arena_alloc(t->a, (json_len(l) + 1) * sizeof(*values)), *out;
        bool changed = !json_is_object(l), declared;
        size_t i = 0;

        json_foreach_member(l, m) {
                const struct schema *ms = member_schema(s, m, &declared);
                const struct json *theirs = json_find(r, m->key, m->key_len, m->tag);

                values[i] = ms && theirs ? merge(t, ms, m->value, theirs) : m->value;
                changed |= values[i++] != m->value;
        }
        json_foreach_member(r, m)
                changed |= !json_find(l, m->key, m->key_len, m->tag);
        if (!changed)
                return (struct json *)l;
        out = json_new_object(t->a);
        i = 0;
        json_foreach_member(l, m)
                json_put(t->a, out, m->key, m->key_len, m->tag, values[i++]);
        json_foreach_member(r, m)
                if (!json_find(l, m->key, m->key_len, m->tag))
                        json_put(t->a, out, m->key, m->key_len, m->tag, m->value);
        return out;
}

/* The first element of that name; NULL: none. */
static const struct element *element_find(const struct element *e, size_t n, const struct element *like)
{
        for (size_t i = 0; i < n; i++)
                if (e[i].len == like->len && memcmp(e[i].name, like->name, like->len) == 0)
                        return &e[i];
        return NULL;
}

/* The same, but NULL where there are several: none of them is the one to build on. */
static const struct element *element_single(const struct element *e, size_t n, const struct element *like)
{
        const struct element *first = element_find(e, n, like);

        return first && element_find(first + 1, n - (size_t)(first + 1 - e), like) ? NULL : first;
}

/* The next element of R from *I on that L has too. */
static const struct element *next_shared(const struct element *l, size_t nl, const struct element *r, size_t nr,
                                         size_t *i)
{
        while (*i < nr) {
                const struct element *e = &r[(*i)++];

                if (element_find(l, nl, e))
                        return e;
        }
        return NULL;
}

/* Shared elements come in the order of R; those that only L has stay behind what they followed. */
static struct json *merge_lists(const struct typed *t, const struct schema *s, const struct json *l,
                                const struct json *r)
{
        struct json *out = json_new_array(t->a);
        struct element *le, *re;
        size_t nl = typed_elements(t->a, s, json_is_array(l) ? l : NULL, false, &le);
        size_t nr = typed_elements(t->a, s, json_is_array(r) ? r : NULL, false, &re);
        size_t i = 0, j = 0, k = 0;
        const struct element *shared = next_shared(le, nl, re, nr, &k);

        while (i < nl || j < nr) {
                const struct element *mine = i < nl ? &le[i] : NULL, *theirs = j < nr ? &re[j] : NULL;
                const struct element *base;

                if (mine && !element_find(re, nr, mine)) {
                        json_append(t->a, out, mine->value);
                        i++;
                        continue;
                }
                if (mine && (!theirs || (!typed_same_name(mine, theirs) && !typed_same_name(mine, shared)))) {
                        i++; /* comes, or came, at its place in R */
                        continue;
                }
                if (typed_same_name(mine, theirs))
                        i++;
                base = element_single(le, nl, theirs);
                json_append(t->a, out, base ? merge(t, s->elem, base->value, theirs->value) : theirs->value);
                if (typed_same_name(shared, theirs))
                        shared = next_shared(le, nl, re, nr, &k);
                j++;
        }
        if (json_is_array(l) && l->len == out->len && out->len &&
            memcmp(l->items, out->items, out->len * sizeof(*out->items)) == 0)
                return (struct json *)l;
        return out;
}

static struct json *merge(const struct typed *t, const struct schema *s, const struct json *l, const struct json *r)
{
        enum shape shape = shape_of(t, s, r);

        if (s->type == SCHEMA_ANY && t->deduce && json_is_null(r) && json_is_object(l) && l->len)
                return (struct json *)l; /* null is also a map that says nothing */
        if (l == r || shape == SHAPE_LEAF || shape_of(t, s, l) != shape || (nothing(l) && nothing(r)) ||
            (nothing(l) && !json_is_null(r)))
                return (struct json *)(typed_same(l, r) ? l : r); /* so that what does not change is seen at once */
        if (nothing(r))
                return (struct json *)l;
        return shape == SHAPE_MAP ? merge_maps(t, s, l, r) : merge_lists(t, s, l, r);
}

struct json *typed_merge(const struct typed *t, const struct json *live, const struct json *config)
{
        return merge(t, t->schema, live, config);
}

/* --- remove --- */

static struct json *take_out(const struct typed *t, const struct schema *s, const struct json *j,
                             const struct field_set *set);

/* What is left of J when all that was in it is taken out: not gone, since nobody took it out itself. */
static struct json *emptied(const struct typed *t, const struct json *j)
{
        return json_is_object(j) ? json_new_object(t->a) : json_is_array(j) ? json_new_array(t->a) : json_new_null(t->a);
}

static struct json *remove_members(const struct typed *t, const struct schema *s, const struct json *j,
                                   const struct field_set *set)
{
        struct json *out = json_new_object(t->a);
        bool changed = false;

        json_foreach_member(j, m) {
                bool declared;
                const struct schema *ms = member_schema(s, m, &declared);
                const char *name = typed_field_name(t->a, m->key, m->key_len, declared);
                const struct field_node *node = field_set_find(set, name, m->key_len + 2);
                struct json *v = m->value;

                changed |= node && node->member;
                if (node && node->member)
                        continue;
                if (node && ms && !field_set_empty(&node->below))
                        v = take_out(t, ms, v, &node->below);
                changed |= v != m->value;
                json_put(t->a, out, m->key, m->key_len, m->tag, v ? v : emptied(t, m->value));
        }
        return !out->len ? NULL : changed ? out : (struct json *)j;
}

static struct json *remove_items(const struct typed *t, const struct schema *s, const struct json *j,
                                 const struct field_set *set)
{
        struct json *out = json_new_array(t->a);
        struct element *e;
        size_t n = typed_elements(t->a, s, j, true, &e);

        for (size_t i = 0; i < n; i++) {
                const struct field_node *node = e[i].name ? field_set_find(set, e[i].name, e[i].len) : NULL;
                struct json *v = e[i].value;

                if (node && node->member)
                        continue;
                if (node && !field_set_empty(&node->below))
                        v = take_out(t, s->elem, v, &node->below);
                json_append(t->a, out, v ? v : emptied(t, e[i].value));
        }
        return out->len ? out : NULL;
}

/* NULL: nothing is left of J. What is below a leaf cannot be taken out alone, so the leaf goes. */
static struct json *take_out(const struct typed *t, const struct schema *s, const struct json *j,
                             const struct field_set *set)
{
        switch (shape_of(t, s, j)) {
        case SHAPE_MAP:
                return json_is_object(j) ? remove_members(t, s, j, set) : NULL;
        case SHAPE_LIST:
                return json_is_array(j) ? remove_items(t, s, j, set) : NULL;
        default:
                return json_is_object(j) || json_is_array(j) ? NULL : (struct json *)j;
        }
}

struct json *typed_remove(const struct typed *t, const struct json *j, const struct field_set *set)
{
        struct json *out = take_out(t, t->schema, j, set);

        return out ? out : json_new_object(t->a);
}
