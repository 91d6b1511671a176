/* The fields of one object: what is in it, what applying it owns, and what is new in it. */
#include "typed-internal.h"

#include <stdlib.h>

/* --- as sets --- */

static int by_node_name(const void *x, const void *y)
{
        const struct field_node *nx = x, *ny = y;
        int r = memcmp(nx->name, ny->name, MIN(nx->len, ny->len));

        return r ? r : (nx->len > ny->len) - (nx->len < ny->len);
}

static void gather_members(const struct typed *t, const struct schema *s, const struct json *j, enum gather what,
                           struct field_set *out)
{
        struct field_node *nodes = arena_alloc(t->a, (json_len(j) + 1) * sizeof(*nodes));
        uint32_t n = 0;

        json_foreach_member(j, m) {
                bool declared;
                const struct schema *ms = member_schema(s, m, &declared);
                struct field_node node = { .len = m->key_len + 2 };
                uint32_t i = n;

                if (!ms)
                        continue;
                typed_gather(t, ms, m->value, what, &node);
                if (!declared || json_is_null(m->value) || (json_is_object(m->value) && m->value->len == 0))
                        node.member = true;
                if (!node.member && !node.below.n)
                        continue;
                node.name = typed_field_name(t->a, m->key, m->key_len, declared);
                for (; i && n < 32 && by_node_name(&nodes[i - 1], &node) > 0; i--)
                        nodes[i] = nodes[i - 1];
                nodes[i] = node;
                n++;
        }
        if (n > 32)
                qsort(nodes, n, sizeof(*nodes), by_node_name);
        *out = (struct field_set){ .nodes = nodes, .n = n, .cap = n };
}

static void gather_items(const struct typed *t, const struct schema *s, const struct json *j, enum gather what,
                         struct field_set *out)
{
        struct element *e;
        size_t n = typed_sorted_elements(t->a, s, j, &e);
        struct field_node *nodes = arena_alloc(t->a, (n + 1) * sizeof(*nodes));

        *out = (struct field_set){ .nodes = nodes, .cap = (uint32_t)n };
        for (size_t i = 0, k; i < n; i += k) {
                struct field_node *node = &nodes[out->n++];

                k = run(e, i, n);
                *node = (struct field_node){ .name = e[i].name, .len = (uint32_t)e[i].len };
                if (k == 1)
                        typed_gather(t, s->elem, e[i].value, what, node);
                node->member = true;
        }
}

void typed_gather(const struct typed *t, const struct schema *s, const struct json *j, enum gather what,
                  struct field_node *node)
{
        enum shape shape = what == GATHER_ALL && nothing(j) ? SHAPE_LEAF : shape_of(t, s, j);

        node->member = what == GATHER_ALL || shape == SHAPE_LEAF;
        if (shape == SHAPE_MAP)
                gather_members(t, s, j, what, &node->below);
        else if (shape == SHAPE_LIST)
                gather_items(t, s, j, what, &node->below);
}

struct field_set *typed_field_set(const struct typed *t, const struct json *j)
{
        struct field_set *set = field_set_new(t->a);
        struct field_node root = { 0 };

        typed_gather(t, t->schema, j, GATHER_OWNED, &root);
        *set = root.below;
        return set;
}

static void name_members(const struct typed *t, const struct schema *s, const struct field_set *in,
                         struct field_set *out)
{
        for (uint32_t i = 0; i < in->n; i++) {
                const struct field_node *from = &in->nodes[i];
                struct field_node *to = field_set_node(t->a, out, from->name, from->len);
                const struct schema *below = &typed_deduced;
                bool declared = false;

                to->member = from->member;
                if (from->name[0] == 'f')
                        below = schema_of(s, from->name + 2, from->len - 2, json_tag(from->name + 2, from->len - 2), &declared);
                else if (s->type == SCHEMA_ARRAY)
                        below = s->elem;
                if (declared && !field_set_empty(&from->below))
                        to->member = true;
                name_members(t, below ? below : &typed_deduced, &from->below, &to->below);
        }
}

struct field_set *typed_named_members(const struct typed *t, const struct field_set *set)
{
        struct field_set *out = field_set_new(t->a);

        name_members(t, t->schema, set, out);
        return out;
}

/* --- what is new, as FieldsV1 --- */

struct named {
        const char *name; /* as FieldsV1 has it */
        uint32_t len;
        uint64_t head;    /* its first letters behind "f:", to sort by */
        struct json *fields;
};

static uint64_t head_of(const char *s, size_t len)
{
        unsigned char first[8] = { 0 };
        uint64_t head;

        memcpy(first, s, MIN(len, sizeof(first)));
        memcpy(&head, first, sizeof(head));
        return __builtin_bswap64(head);
}

static bool comes_before(const struct named *x, const struct named *y)
{
        return x->head != y->head ? x->head < y->head : strcmp(x->name, y->name) < 0;
}

static int by_head(const void *x, const void *y)
{
        return comes_before(x, y) ? -1 : comes_before(y, x);
}

/* FieldsV1 from its members; SELF: with a "." in front. The node and its members lie together. */
static struct json *fields_of(const struct typed *t, struct named *list, uint32_t n, bool self)
{
        struct {
                struct json node;
                struct json_member members[];
        } *both;
        struct json *j;

        if (!n)
                return t->leaf;
        if (n + self > JSON_INDEX_FROM) {
                j = json_new_object(t->a);
                if (self)
                        json_put(t->a, j, ".", 1, json_tag(".", 1), t->leaf);
                for (uint32_t i = 0; i < n; i++)
                        json_put(t->a, j, list[i].name, list[i].len, json_tag(list[i].name, list[i].len), list[i].fields);
                return j;
        }
        both = arena_alloc(t->a, sizeof(*both) + (n + self) * sizeof(both->members[0]));
        j = &both->node;
        *j = (struct json){ .type = JSON_OBJECT, .cap = n + self, .members = both->members };
        if (self) {
                j->members[j->len++] = (struct json_member){ ".", 1, json_tag(".", 1), t->leaf };
                j->names |= json_tag_bit(json_tag(".", 1));
        }
        for (uint32_t i = 0; i < n; i++) {
                uint32_t tag = json_tag(list[i].name, list[i].len);

                j->members[j->len++] = (struct json_member){ list[i].name, list[i].len, tag, list[i].fields };
                j->names |= json_tag_bit(tag);
        }
        return j;
}

/* As member_schema(), and the name in FieldsV1. */
static const struct schema *name_member(const struct typed *t, const struct schema *s, const struct json_member *m,
                                        struct named *ret)
{
        const struct schema_field *f = s->type == SCHEMA_STRUCT ? schema_member(s, m) : NULL;
        const struct schema *ms;
        bool declared;

        ret->len = m->key_len + 2;
        ret->head = head_of(m->key, m->key_len);
        if (f && !s->crd) {
                ret->name = f->name - 2; /* generate.py puts it there */
                return f->type;
        }
        ms = member_schema(s, m, &declared);
        if (ms)
                ret->name = typed_field_name(t->a, m->key, m->key_len, declared);
        return ms;
}

/* In the order of their names; most come so, or nearly. */
static void enlist(struct named *list, uint32_t n, const struct named *it)
{
        for (; n && comes_before(it, &list[n - 1]); n--)
                list[n] = list[n - 1];
        list[n] = *it;
}

static struct json *all_fields(const struct typed *t, const struct schema *s, const struct json *j);

static struct json *all_members(const struct typed *t, const struct schema *s, const struct json *j)
{
        struct named *list = arena_alloc(t->a, (j->len + 1) * sizeof(*list));
        uint32_t n = 0;

        json_foreach_member(j, m) {
                struct named it;
                const struct schema *ms = name_member(t, s, m, &it);

                if (!ms)
                        continue;
                it.fields = all_fields(t, ms, m->value);
                if (j->len <= JSON_INDEX_FROM)
                        enlist(list, n++, &it);
                else
                        list[n++] = it;
        }
        if (j->len > JSON_INDEX_FROM)
                qsort(list, n, sizeof(*list), by_head);
        return fields_of(t, list, n, true);
}

static struct json *all_items(const struct typed *t, const struct schema *s, const struct json *j)
{
        struct element *e;
        size_t n = typed_sorted_elements(t->a, s, j, &e);
        struct named *list = arena_alloc(t->a, (n + 1) * sizeof(*list));
        uint32_t out = 0;

        for (size_t i = 0, k; i < n; i += k) {
                k = run(e, i, n);
                list[out++] = (struct named){ .name = e[i].name, .len = (uint32_t)e[i].len,
                                              .fields = k == 1 ? all_fields(t, s->elem, e[i].value) : t->leaf };
        }
        return fields_of(t, list, out, true);
}

static struct json *all_fields(const struct typed *t, const struct schema *s, const struct json *j)
{
        enum shape shape = nothing(j) ? SHAPE_LEAF : shape_of(t, s, j);

        return shape == SHAPE_MAP ? all_members(t, s, j) : shape == SHAPE_LIST ? all_items(t, s, j) : t->leaf;
}

static bool contains(const char *const *words, const char *s)
{
        for (; words && *words; words++)
                if (streq(*words, s))
                        return true;
        return false;
}

/* The members of J that ZERO has not, whole, and what is new in the others. */
static struct json *new_members(const struct typed *t, const struct schema *s, const struct json *zero, const struct json *j,
                                unsigned depth, const char *const *skip)
{
        static const char *const server[] = { "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName",
                                              "generation", "managedFields", "resourceVersion", NULL };
        struct named *list = arena_alloc(t->a, (json_len(j) + 1) * sizeof(*list));
        uint32_t n = 0;

        json_foreach_member(j, m) {
                const struct json *was = json_find(zero, m->key, m->key_len, m->tag);
                bool metadata = depth == 0 && streq(m->key, "metadata");
                struct named it;
                const struct schema *ms = name_member(t, s, m, &it);

                if (!ms || contains(skip, m->key) || (depth == 0 && (streq(m->key, "apiVersion") || streq(m->key, "kind"))))
                        continue;
                if (!was && !metadata)
                        it.fields = all_fields(t, ms, m->value);
                else if (was && (json_equal(was, m->value) || (nothing(was) && nothing(m->value))))
                        continue;
                else if (nothing(m->value) && shape_of(t, ms, was) != SHAPE_LEAF)
                        continue; /* what was below is gone: nobody owned it */
                else if (!nothing(m->value) && shape_of(t, ms, m->value) == SHAPE_MAP)
                        it.fields = new_members(t, ms, was, m->value, depth + 1, metadata ? server : NULL);
                else if (!nothing(m->value) && shape_of(t, ms, m->value) == SHAPE_LIST)
                        json_del(it.fields = all_items(t, ms, m->value), ".");
                else
                        it.fields = t->leaf; /* of another value */
                if (!it.fields)
                        continue;
                enlist(list, n++, &it);
        }
        return n ? fields_of(t, list, n, false) : NULL;
}

struct json *typed_new_fields(const struct typed *t, const struct json *zero, const struct json *j, const char *const *skip)
{
        struct typed own = *t;

        own.leaf = json_new_object(t->a);
        return new_members(&own, t->schema, zero, j, 0, skip);
}
