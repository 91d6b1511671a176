/* What differs between two objects.
 *
 * The walk carries its path as a chain of frames on the stack. Nothing is allocated for a path until a field on it
 * goes into a set, and then each frame remembers its place in that set.
 */
#include "typed-internal.h"

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

static const char *frame_name(struct arena *a, struct frame *f, size_t *ret_len)
{
        *ret_len = f->kind ? f->len + 2 : f->len;
        if (!f->name)
                f->name = f->kind ? typed_field_name(a, f->key, f->len, f->declared) : f->key;
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

/* --- compare --- */

enum { ADDED, MODIFIED, REMOVED };

/* How deep equal parts are passed over as a whole: what lies deeper is not compared as often as it is deep. */
#define SAME_DEPTH 6

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
        size_t nl = typed_sorted_elements(t->a, s, l, &le), nr = typed_sorted_elements(t->a, s, r, &re);

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

        if (l == r || (l && r && f->depth - 1 < SAME_DEPTH && typed_same(l, r)))
                return;
        if (!l && f->up && (f->up->up || !is_metadata(f))) {
                size_t len;
                const char *name = frame_name(t->a, f, &len);

                typed_gather(t, s, r, GATHER_ALL, field_set_node(t->a, frame_set(t->a, f->up, ADDED), name, len));
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

void typed_compare(const struct typed *t, const struct json *l, const struct json *r, struct comparison *ret)
{
        struct frame root = { 0 };

        root.set[ADDED] = ret->added = field_set_new(t->a);
        root.set[MODIFIED] = ret->modified = field_set_new(t->a);
        root.set[REMOVED] = ret->removed = field_set_new(t->a);
        compare(t, t->schema, l, r, &root);
}
