/* Walks over one or two trees and their schema: see typed.h.
 *
 * Each walk carries its path as a chain of frames on the stack. Nothing is allocated for a path
 * until a field on it goes into a set, and then each frame remembers its place in that set.
 */
#include "typed.h"

#include "crd.h"
#include "patch-strategic.h" /* go_print */

#include <stdio.h>
#include <stdlib.h>

/* --- shapes --- */

enum shape { SHAPE_LEAF, SHAPE_MAP, SHAPE_LIST };

static const struct schema deduced = { .type = SCHEMA_ANY };

/* How a value of schema S is treated; J decides for deduced ones. */
static enum shape shape_of(const struct typed *t, const struct schema *s, const struct json *j)
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
static const struct schema *schema_of(const struct schema *s, const char *key, size_t len, uint32_t tag, bool *ret_declared)
{
        const struct schema_field *f;

        *ret_declared = false;
        if (s->type == SCHEMA_MAP)
                return s->elem ? s->elem : &deduced;
        if (s->type == SCHEMA_ANY)
                return &deduced;
        f = schema_find(s, key, len, tag);
        *ret_declared = f;
        if (!f && (s->preserve_unknown || (s->crd && !s->n_fields))) /* "type: object" alone: anything may be said */
                return &deduced;
        return f ? f->type : NULL;
}

static const struct schema *member_schema(const struct schema *s, const struct json_member *m, bool *ret_declared)
{
        return schema_of(s, m->key, m->key_len, m->tag, ret_declared);
}

/* Absent, null, {} and [] are the same nothing to maps and lists. */
static bool nothing(const struct json *j)
{
        return !j || json_is_null(j) || ((json_is_object(j) || json_is_array(j)) && j->len == 0);
}

/* --- paths --- */

struct frame {
        struct frame *up;
        unsigned depth;         /* 0 of the object itself */
        char kind;              /* 'f': KEY is a field's name; 0: KEY is the whole element */
        bool declared;          /* by the schema */
        const char *key;
        size_t len;
        const char *name;       /* as sets name it, made when needed */
        struct field_set *set[3]; /* where what is below goes */
};

static char *prefixed(char *to, const char *key, size_t len)
{
        to[0] = 'f';
        to[1] = ':';
        memcpy(to + 2, key, len);
        to[len + 2] = '\0';
        return to;
}

/* "f:KEY". Those of declared fields come again with every object, so as many as there is room for are kept for good. */
static const char *field_name(struct arena *a, const char *key, size_t len, bool declared)
{
        static char *kept[1024];
        char **place;

        if (!declared || len > 64)
                return prefixed(arena_alloc(a, len + 3), key, len);
        place = &kept[json_tag(key, len) * UINT32_C(0x9e3779b1) >> 22];
        if (!*place)
                *place = prefixed(xmalloc(len + 3), key, len);
        else if (strncmp(*place + 2, key, len) != 0 || (*place)[len + 2])
                return prefixed(arena_alloc(a, len + 3), key, len);
        return *place;
}

static const char *frame_name(struct arena *a, struct frame *f, size_t *ret_len)
{
        *ret_len = f->kind ? f->len + 2 : f->len;
        if (!f->name)
                f->name = f->kind ? field_name(a, f->key, f->len, f->declared) : f->key;
        return f->name;
}

/* The set that holds what is below F. Ancestors' sets do not move while the walk is below them. */
static struct field_set *frame_set(struct arena *a, struct frame *f, unsigned which)
{
        if (!f->set[which]) {
                struct field_set *up = frame_set(a, f->up, which);
                size_t len;
                const char *name = frame_name(a, f, &len);

                f->set[which] = &field_set_node(a, up, name, len)->below;
        }
        return f->set[which];
}

static void frame_insert(struct arena *a, struct frame *f, unsigned which)
{
        struct field_set *up;
        const char *name;
        size_t len;

        if (!f->up)
                return; /* the object itself is no field */
        up = frame_set(a, f->up, which);
        name = frame_name(a, f, &len);
        field_set_node(a, up, name, len)->member = true;
}

static inline unsigned depth_below(const struct frame *up)
{
        return up ? up->depth + 1 : 0;
}

#define FIELD_FRAME(up_, key_, len_)                                                               \
        {                                                                                          \
                .up = (up_), .depth = depth_below(up_), .kind = 'f', .key = (key_), .len = (len_)                             \
        }
#define ITEM_FRAME(up_, name_, len_)                                                               \
        {                                                                                          \
                .up = (up_), .depth = depth_below(up_), .key = (name_), .len = (len_)                                         \
        }

/* --- list elements --- */

struct element {
        const char *name; /* "k:{...}" or "v:..." */
        size_t len;
        struct json *value;
        size_t at;        /* in its list */
        const char *error; /* why it has no name */
};

static int by_string(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

#define MAX_KEYS 16

/* Whether JSON writes S as it is. */
static bool is_plain(const char *s, size_t len)
{
        static const bool odd[256] = { [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true, ['<'] = true, ['>'] = true,
                                       ['&'] = true, [0x7f ... 0xff] = true };

        for (size_t i = 0; i < len; i++)
                if (odd[(unsigned char)s[i]])
                        return false;
        return true;
}

/* Most lists have one key, and names in it. False: this one is different. */
static bool name_simply(struct arena *a, const struct schema *s, struct element *e)
{
        const char *key = s->list_keys ? s->list_keys[0] : NULL;
        size_t len = key ? strlen(key) : 0;
        const struct json *v;
        char *p;

        if (!key || s->list_keys[1] || !(v = json_getn(e->value, key, len)) || !json_is_string(v) || !is_plain(v->str, v->len))
                return false;
        e->len = len + v->len + strlen("k:{\"\":\"\"}");
        e->name = p = arena_alloc(a, e->len + 1);
        p = mempcpy(p, "k:{\"", 4);
        p = mempcpy(p, key, len);
        p = mempcpy(p, "\":\"", 3);
        p = mempcpy(p, v->str, v->len);
        memcpy(p, "\"}", 3);
        return true;
}

static void name_keyed(struct arena *a, const struct schema *s, struct element *e)
{
        static struct strbuf b; /* kept: every element of every list comes here */
        const char *keys[MAX_KEYS];
        size_t n = 0, n_set = 0;

        if (b.cap > 4096)
                strbuf_deinit(&b);
        strbuf_reset(&b);
        if (!json_is_object(e->value)) {
                e->error = json_is_null(e->value) ? "associative list with keys may not have a null element"
                                                  : "associative list with keys may not have non-map elements";
                return;
        }
        if (name_simply(a, s, e))
                return;
        for (; s->list_keys && s->list_keys[n] && n < MAX_KEYS; n++)
                keys[n] = s->list_keys[n];
        if (n > 1)
                qsort(keys, n, sizeof(*keys), by_string);
        strbuf_puts(&b, "k:{");
        for (size_t i = 0; i < n; i++) {
                const struct json *v = json_get(e->value, keys[i]);
                const struct schema_field *f = s->elem->type == SCHEMA_STRUCT ? schema_field(s->elem, keys[i]) : NULL;

                if (!v && (!f || !f->fallback))
                        continue;
                strbuf_puts(&b, n_set++ ? "," : "");
                json_write_string(&b, keys[i], strlen(keys[i]));
                strbuf_putc(&b, ':');
                if (v)
                        json_write(&b, v);
                else
                        strbuf_puts(&b, f->fallback);
        }
        strbuf_putc(&b, '}');
        if (n_set == 0)
                e->error = "associative list with keys has an element that omits all key fields (and doesn't have "
                           "default values for any key fields)";
        e->len = b.len;
        e->name = arena_strndup(a, strbuf_str(&b), b.len);
}

static void name_value(struct arena *a, struct element *e)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (json_is_object(e->value))
                e->error = "associative list without keys has an element that's a map type";
        else if (json_is_array(e->value))
                e->error = "not supported: associative list with lists as elements";
        strbuf_puts(&b, "v:");
        json_write(&b, e->value);
        e->len = b.len;
        e->name = arena_strndup(a, strbuf_str(&b), b.len);
}

/* The named elements of LIST in its order; those without a name are left out unless WITH_ERRORS. */
static size_t elements(struct arena *a, const struct schema *s, const struct json *list, bool with_errors,
                       struct element **ret)
{
        struct element *out = arena_alloc(a, (json_len(list) + 1) * sizeof(*out));
        size_t n = 0;

        json_foreach_item(list, it) {
                struct element *e = &out[n];

                *e = (struct element){ .value = it, .at = it_i };
                if (s->list_type == SCHEMA_LIST_SET)
                        name_value(a, e);
                else
                        name_keyed(a, s, e);
                n += with_errors || !e->error;
        }
        *ret = out;
        return n;
}

static int by_name(const void *x, const void *y)
{
        const struct element *ex = x, *ey = y;
        int r = strcmp(ex->name, ey->name);

        return r ? r : (ex->at > ey->at) - (ex->at < ey->at);
}

static size_t sorted_elements(struct arena *a, const struct schema *s, const struct json *list,
                              struct element **ret)
{
        size_t n = elements(a, s, json_is_array(list) ? list : NULL, false, ret);

        if (n > 1)
                qsort(*ret, n, sizeof(**ret), by_name);
        return n;
}

/* How many elements from I on have the same name. */
static size_t run(const struct element *e, size_t i, size_t n)
{
        size_t j = i;

        while (j < n && strcmp(e[i].name, e[j].name) == 0)
                j++;
        return j - i;
}

/* --- the fields of one object --- */

/* What is gathered: all there is, as when it is new; or what applying it owns, which are leaves, elements and whatever
 * the schema does not declare. */
enum gather { GATHER_ALL, GATHER_OWNED };

static void gather(const struct typed *t, const struct schema *s, const struct json *j, enum gather what,
                   struct field_node *node);

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
                gather(t, ms, m->value, what, &node);
                if (!declared || json_is_null(m->value) || (json_is_object(m->value) && m->value->len == 0))
                        node.member = true;
                if (!node.member && !node.below.n)
                        continue;
                node.name = field_name(t->a, m->key, m->key_len, declared);
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
        size_t n = sorted_elements(t->a, s, j, &e);
        struct field_node *nodes = arena_alloc(t->a, (n + 1) * sizeof(*nodes));

        *out = (struct field_set){ .nodes = nodes, .cap = (uint32_t)n };
        for (size_t i = 0, k; i < n; i += k) {
                struct field_node *node = &nodes[out->n++];

                k = run(e, i, n);
                *node = (struct field_node){ .name = e[i].name, .len = (uint32_t)e[i].len };
                if (k == 1)
                        gather(t, s->elem, e[i].value, what, node);
                node->member = true;
        }
}

/* Whether J makes NODE a member, and what is below it. */
static void gather(const struct typed *t, const struct schema *s, const struct json *j, enum gather what,
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

        gather(t, t->schema, j, GATHER_OWNED, &root);
        *set = root.below;
        return set;
}

/* --- compare --- */

enum { ADDED, MODIFIED, REMOVED };

/* Equal in the order of members too: most of what an update brings is, and that is told quicker than what differs.
 * Asked at each of the upper levels, so that what lies deep is not compared as often as it is deep. */
#define SAME_DEPTH 6
static bool is_same(const struct json *x, const struct json *y)
{
        if (x == y)
                return true;
        if (x->type != y->type || x->len != y->len)
                return false;
        switch ((enum json_type)x->type) {
        case JSON_NULL:
                return true;
        case JSON_BOOL:
                return x->boolean == y->boolean;
        case JSON_NUMBER:
        case JSON_STRING:
                return memcmp(x->str, y->str, x->len) == 0;
        case JSON_ARRAY:
                for (uint32_t i = 0; i < x->len; i++)
                        if (!is_same(x->items[i], y->items[i]))
                                return false;
                return true;
        case JSON_OBJECT:
                for (uint32_t i = 0; i < x->len; i++) {
                        const struct json_member *mx = &x->members[i], *my = &y->members[i];

                        if (mx->tag != my->tag || mx->key_len != my->key_len || !json_same_key(mx->key, my->key, mx->key_len) ||
                            !is_same(mx->value, my->value))
                                return false;
                }
                return true;
        }
        return false;
}

static void compare(const struct typed *t, const struct schema *s, const struct json *l, const struct json *r,
                    struct frame *f);

static void compare_leaf(const struct typed *t, const struct json *l, const struct json *r, struct frame *f)
{
        if (!l)
                frame_insert(t->a, f, ADDED);
        else if (!r)
                frame_insert(t->a, f, REMOVED);
        else if (!json_equal(l, r))
                frame_insert(t->a, f, MODIFIED);
}

static bool is_metadata(const struct frame *f)
{
        return f->kind && streq(f->key, "metadata");
}

static void compare_member(const struct typed *t, const struct schema *s, const struct json_member *key,
                           const struct json *l, const struct json *r, struct frame *up)
{
        struct frame f = FIELD_FRAME(up, key->key, key->key_len);
        const struct schema *ms = member_schema(s, key, &f.declared);

        if (!ms || (up->up && !up->up->up && is_metadata(up) && streq(key->key, "managedFields")))
                return;
        compare(t, ms, l, r, &f);
}

/* The member of OBJ named as M, which most often stands at the same place I. */
static const struct json *same_member(const struct json *obj, const struct json_member *m, size_t i)
{
        if (!json_is_object(obj))
                return NULL;
        if (i < obj->len && obj->members[i].key_len == m->key_len &&
            memcmp(obj->members[i].key, m->key, m->key_len) == 0)
                return obj->members[i].value;
        return json_getn(obj, m->key, m->key_len);
}

static void compare_maps(const struct typed *t, const struct schema *s, const struct json *l, const struct json *r,
                         struct frame *f)
{
        json_foreach_member(l, m) {
                const struct json *theirs = same_member(r, m, (size_t)(m - l->members));

                if (m->value != theirs)
                        compare_member(t, s, m, m->value, theirs, f);
        }
        json_foreach_member(r, m)
                if (!same_member(l, m, (size_t)(m - r->members)))
                        compare_member(t, s, m, NULL, m->value, f);
}

/* One element that NL of the old and NR of the new list have. More than one are known only as a whole: that comes or
 * goes, and what was below the single one goes or comes. */
static void compare_elements(const struct typed *t, const struct schema *s, const struct element *l, size_t nl,
                             const struct element *r, size_t nr, struct frame *up)
{
        const struct element *any = nl ? l : r;
        struct frame f = ITEM_FRAME(up, any->name, any->len);
        bool same = nl == nr;

        if (nl <= 1 && nr <= 1) {
                compare(t, s->elem, nl ? l->value : NULL, nr ? r->value : NULL, &f);
                return;
        }
        if (nl == 1)
                compare(t, s->elem, l->value, NULL, &f);
        else if (nr == 1)
                compare(t, s->elem, NULL, r->value, &f);
        for (size_t i = 0; same && i < nl; i++)
                same = json_equal(l[i].value, r[i].value);
        if (!same)
                frame_insert(t->a, &f, nl <= 1 ? ADDED : nr <= 1 ? REMOVED : MODIFIED);
}

static void compare_lists(const struct typed *t, const struct schema *s, const struct json *l, const struct json *r,
                          struct frame *f)
{
        struct element *le, *re;
        size_t nl = sorted_elements(t->a, s, l, &le), nr = sorted_elements(t->a, s, r, &re);

        for (size_t i = 0, j = 0; i < nl || j < nr;) {
                int side = i >= nl ? 1 : j >= nr ? -1 : strcmp(le[i].name, re[j].name);
                size_t li = side <= 0 ? run(le, i, nl) : 0, ri = side >= 0 ? run(re, j, nr) : 0;

                compare_elements(t, s, le + i, li, re + j, ri, f);
                i += li;
                j += ri;
        }
}

/* Values without a schema that are not of one kind. Each side is walked as what it is; null is taken for a map. */
static void compare_deduced(const struct typed *t, const struct schema *s, const struct json *l, const struct json *r,
                            struct frame *f)
{
        const struct json *lm = json_is_object(l) ? l : NULL, *rm = json_is_object(r) ? r : NULL;
        bool leaf = !(lm || json_is_null(l)) || !(rm || json_is_null(r)), map = lm || rm || json_is_null(l) || json_is_null(r);

        if (leaf || (map && nothing(lm) && nothing(rm)))
                compare_leaf(t, l, r, f);
        if (map)
                compare_maps(t, s, lm, rm, f);
}

static void compare(const struct typed *t, const struct schema *s, const struct json *l, const struct json *r,
                    struct frame *f)
{
        enum shape shape;

        if (l == r || (l && r && f->depth - 1 < SAME_DEPTH && is_same(l, r)))
                return;
        if (!l && f->up && (f->up->up || !is_metadata(f))) {
                size_t len;
                const char *name = frame_name(t->a, f, &len);

                gather(t, s, r, GATHER_ALL, field_set_node(t->a, frame_set(t->a, f->up, ADDED), name, len));
                return;
        }
        shape = shape_of(t, s, r ? r : l);
        if (l && r && s->type == SCHEMA_ANY && t->deduce && l->type != r->type) {
                compare_deduced(t, s, l, r, f);
                return;
        }
        if (shape == SHAPE_LEAF || (nothing(l) && nothing(r))) {
                compare_leaf(t, l, r, f);
                return;
        }
        if (shape == SHAPE_MAP)
                compare_maps(t, s, l, r, f);
        else
                compare_lists(t, s, l, r, f);
        if (!l)
                frame_insert(t->a, f, ADDED);
        else if (!r)
                frame_insert(t->a, f, REMOVED);
}

/* --- what is new --- */

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
                ret->name = field_name(t->a, m->key, m->key_len, declared);
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
        size_t n = sorted_elements(t->a, s, j, &e);
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

void typed_compare(const struct typed *t, const struct json *l, const struct json *r, struct comparison *ret)
{
        struct frame root = { 0 };

        root.set[ADDED] = ret->added = field_set_new(t->a);
        root.set[MODIFIED] = ret->modified = field_set_new(t->a);
        root.set[REMOVED] = ret->removed = field_set_new(t->a);
        compare(t, t->schema, l, r, &root);
}

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

static bool same_name(const struct element *x, const struct element *y)
{
        return x && y && x->len == y->len && memcmp(x->name, y->name, x->len) == 0;
}

/* Shared elements come in the order of R; those that only L has stay behind what they followed. */
static struct json *merge_lists(const struct typed *t, const struct schema *s, const struct json *l,
                                const struct json *r)
{
        struct json *out = json_new_array(t->a);
        struct element *le, *re;
        size_t nl = elements(t->a, s, json_is_array(l) ? l : NULL, false, &le);
        size_t nr = elements(t->a, s, json_is_array(r) ? r : NULL, false, &re);
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
                if (mine && (!theirs || (!same_name(mine, theirs) && !same_name(mine, shared)))) {
                        i++; /* comes, or came, at its place in R */
                        continue;
                }
                if (same_name(mine, theirs))
                        i++;
                base = element_single(le, nl, theirs);
                json_append(t->a, out, base ? merge(t, s->elem, base->value, theirs->value) : theirs->value);
                if (same_name(shared, theirs))
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
                return (struct json *)(is_same(l, r) ? l : r); /* so that what does not change is seen at once */
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

static struct json *remove_members(const struct typed *t, const struct schema *s, const struct json *j,
                                   const struct field_set *set)
{
        struct json *out = json_new_object(t->a);
        bool changed = false;

        json_foreach_member(j, m) {
                bool declared;
                const struct schema *ms = member_schema(s, m, &declared);
                const char *name = field_name(t->a, m->key, m->key_len, declared);
                const struct field_node *node = field_set_find(set, name, m->key_len + 2);
                struct json *v = m->value;

                changed |= node && node->member;
                if (node && node->member)
                        continue;
                if (node && ms && !field_set_empty(&node->below))
                        v = take_out(t, ms, v, &node->below);
                changed |= v != m->value;
                /* Emptied, it is null, not gone: who owns it as such keeps it. Decoding drops nulls. */
                json_put(t->a, out, m->key, m->key_len, m->tag, v ? v : json_new_null(t->a));
        }
        return !out->len ? NULL : changed ? out : (struct json *)j;
}

static struct json *remove_items(const struct typed *t, const struct schema *s, const struct json *j,
                                 const struct field_set *set)
{
        struct json *out = json_new_array(t->a);
        struct element *e;
        size_t n = elements(t->a, s, j, true, &e);

        for (size_t i = 0; i < n; i++) {
                const struct field_node *node = e[i].name ? field_set_find(set, e[i].name, e[i].len) : NULL;
                struct json *v = e[i].value;

                if (node && node->member)
                        continue;
                if (node && !field_set_empty(&node->below))
                        v = take_out(t, s->elem, v, &node->below);
                if (v)
                        json_append(t->a, out, v);
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

/* --- members by name --- */

static void name_members(const struct typed *t, const struct schema *s, const struct field_set *in,
                         struct field_set *out)
{
        for (uint32_t i = 0; i < in->n; i++) {
                const struct field_node *from = &in->nodes[i];
                struct field_node *to = field_set_node(t->a, out, from->name, from->len);
                const struct schema *below = &deduced;
                bool declared = false;

                to->member = from->member;
                if (from->name[0] == 'f')
                        below = schema_of(s, from->name + 2, from->len - 2, json_tag(from->name + 2, from->len - 2), &declared);
                else if (s->type == SCHEMA_ARRAY)
                        below = s->elem;
                if (declared && !field_set_empty(&from->below))
                        to->member = true;
                name_members(t, below ? below : &deduced, &from->below, &to->below);
        }
}

struct field_set *typed_named_members(const struct typed *t, const struct field_set *set)
{
        struct field_set *out = field_set_new(t->a);

        name_members(t, t->schema, set, out);
        return out;
}

/* --- does a configuration fit? --- */

/* The way to a value; it becomes text only when there is something to say. */
struct step {
        const struct step *up;
        const char *key;               /* of a member; else */
        const struct element *element; /* of a list with keys; else */
        size_t index;
};

struct check {
        const struct typed *t;
        struct strbuf errors;
        unsigned n;
};

/* "k:{\"name\":\"a\"}" as messages show it: [name="a"] */
static void name_path(const char *path, void *userdata)
{
        strbuf_reset(userdata);
        strbuf_puts(userdata, path);
}

static const char *element_path(struct check *c, const struct element *e)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct field_set one = { 0 };

        field_set_node(c->t->a, &one, e->name, e->len)->member = true;
        field_set_walk(c->t->a, &one, name_path, &b);
        return arena_strdup(c->t->a, strbuf_str(&b));
}

static void print_steps(struct check *c, const struct step *at)
{
        if (at->up)
                print_steps(c, at->up);
        if (at->key)
                strbuf_printf(&c->errors, ".%s", at->key);
        else if (at->element)
                strbuf_puts(&c->errors, element_path(c, at->element));
        else
                strbuf_printf(&c->errors, "[%zu]", at->index);
}

static void complain(struct check *c, const struct step *at, const char *fmt, ...) printf_like(3, 4);
static void complain(struct check *c, const struct step *at, const char *fmt, ...)
{
        va_list ap;

        c->n++;
        strbuf_puts(&c->errors, "\n  ");
        if (at) {
                print_steps(c, at);
                strbuf_puts(&c->errors, ": ");
        }
        va_start(ap, fmt);
        strbuf_vprintf(&c->errors, fmt, ap);
        va_end(ap);
}

static void complain_value(struct check *c, const struct step *at, const char *expected, const struct json *j)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        go_print(&b, j);
        complain(c, at, "expected %s, got &{%s}", expected, strbuf_str(&b));
}

static void complain_type(struct check *c, const struct step *at, const char *expected, const struct json *j)
{
        static const char *const names[] = {
                [JSON_BOOL] = "bool",
                [JSON_STRING] = "string",
                [JSON_ARRAY] = "[]interface {}",
                [JSON_OBJECT] = "map[string]interface {}",
        };

        complain(c, at, "expected %s, got %s", expected, names[j->type]);
}

static void check(struct check *c, const struct step *at, const struct schema *s, const struct json *j);

static void check_map(struct check *c, const struct step *at, const struct schema *s, const struct json *j)
{
        bool declared;

        if (!json_is_object(j)) {
                complain_value(c, at, "map", j);
                return;
        }
        json_foreach_member(j, m) {
                const struct schema *ms = member_schema(s, m, &declared);
                struct step below = { .up = at, .key = m->key };

                if (ms)
                        check(c, &below, ms, m->value);
                else
                        complain(c, &below, "field not declared in schema");
        }
}

static void check_items(struct check *c, const struct step *at, const struct schema *s, const struct json *j)
{
        struct element *e;
        size_t n = elements(c->t->a, s, j, true, &e);

        for (size_t i = 0; i < n; i++) {
                struct step below = { .up = at, .element = &e[i] };

                if (e[i].error) {
                        complain(c, at, "element %zu: %s", i, e[i].error);
                        continue;
                }
                for (size_t k = 0; k < i; k++)
                        if (!e[k].error && same_name(&e[i], &e[k])) {
                                complain(c, at, "duplicate entries for key %s", element_path(c, &e[i]));
                                break;
                        }
                check(c, &below, s->elem, e[i].value);
        }
}

static void check_list(struct check *c, const struct step *at, const struct schema *s, const struct json *j)
{
        if (!json_is_array(j)) {
                complain_value(c, at, "list", j);
                return;
        }
        if (s->list_type != SCHEMA_LIST_ATOMIC) {
                check_items(c, at, s, j);
                return;
        }
        json_foreach_item(j, it) {
                struct step below = { .up = at, .index = it_i };

                check(c, &below, s->elem, it);
        }
}

/* Strings of a definition that have a format count as any scalar, those of base64 aside. */
static bool any_scalar(const struct schema *s)
{
        const char *format = s->crd ? json_get_string(s->crd->raw, "format") : NULL;

        return !str_empty(format) && !streq(format, "byte");
}

static void check(struct check *c, const struct step *at, const struct schema *s, const struct json *j)
{
        bool scalar = !json_is_object(j) && !json_is_array(j);

        if (json_is_null(j))
                return;
        switch (s->type) {
        case SCHEMA_STRUCT:
        case SCHEMA_MAP:
                check_map(c, at, s, j);
                break;
        case SCHEMA_ARRAY:
                check_list(c, at, s, j);
                break;
        case SCHEMA_STRING:
        case SCHEMA_BYTES:
        case SCHEMA_DURATION:
                if (any_scalar(s) ? !scalar : !json_is_string(j))
                        complain_value(c, at, any_scalar(s) ? "any scalar" : "string", j);
                break;
        case SCHEMA_BOOLEAN:
                if (!json_is_bool(j))
                        complain_value(c, at, "boolean", j);
                break;
        case SCHEMA_INT32:
        case SCHEMA_INT64:
        case SCHEMA_DOUBLE:
                if (!json_is_number(j))
                        complain_type(c, at, "numeric (int or float)", j);
                break;
        case SCHEMA_ANY:
        case SCHEMA_INT_OR_STRING: /* has no type of its own in OpenAPI */
                break;
        default:
                if (!scalar)
                        complain_value(c, at, "any scalar", j);
        }
}

const char *typed_validate(const struct typed *t, const struct json *j)
{
        struct check c = { .t = t, .errors = STRBUF_INIT };
        char *text = NULL;

        check(&c, NULL, t->schema, j);
        if (c.n == 1)
                text = arena_strdup(t->a, strbuf_str(&c.errors) + 3);
        else if (c.n)
                text = arena_printf(t->a, "errors:%s", strbuf_str(&c.errors));
        strbuf_deinit(&c.errors);
        return text;
}
