/* The trie behind managedFields: see field-set.h.
 *
 * Set operations walk two sorted arrays in step and recurse where both have a node, so they cost no
 * more than the smaller overlap; whole branches that only one side has are shared, not copied.
 */
#include "field-set.h"

#include "go-value.h"

struct field_set *field_set_new(struct arena *a)
{
        return arena_calloc(a, sizeof(struct field_set));
}

static int compare_names(const char *x, size_t xlen, const char *y, size_t ylen)
{
        int r = memcmp(x, y, MIN(xlen, ylen));

        return r ? r : (xlen > ylen) - (xlen < ylen);
}

/* The place of NAME, or where it would have to go. */
static uint32_t place(const struct field_set *s, const char *name, size_t len, bool *ret_there)
{
        uint32_t lo = 0, hi = s->n;

        *ret_there = false;
        /* Most insertions come in order: look at the end first. */
        if (hi && compare_names(s->nodes[hi - 1].name, s->nodes[hi - 1].len, name, len) < 0)
                return hi;
        while (lo < hi) {
                uint32_t mid = (lo + hi) / 2;
                int r = compare_names(s->nodes[mid].name, s->nodes[mid].len, name, len);

                if (r == 0) {
                        *ret_there = true;
                        return mid;
                }
                if (r < 0)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo;
}

const struct field_node *field_set_find(const struct field_set *s, const char *name, size_t len)
{
        bool there;
        uint32_t i;

        if (!s)
                return NULL;
        i = place(s, name, len, &there);
        return there ? &s->nodes[i] : NULL;
}

static void reserve(struct arena *a, struct field_set *s, uint32_t n)
{
        struct field_node *nodes;

        if (n <= s->cap)
                return;
        s->cap = MAX(n, s->cap ? s->cap * 2 : 4);
        nodes = arena_alloc(a, s->cap * sizeof(*nodes));
        if (s->n)
                memcpy(nodes, s->nodes, s->n * sizeof(*nodes));
        s->nodes = nodes;
}

struct field_node *field_set_node(struct arena *a, struct field_set *s, const char *name, size_t len)
{
        bool there;
        uint32_t i = place(s, name, len, &there);

        if (there)
                return &s->nodes[i];
        reserve(a, s, s->n + 1);
        memmove(&s->nodes[i + 1], &s->nodes[i], (s->n - i) * sizeof(*s->nodes));
        s->nodes[i] = (struct field_node){ .name = name, .len = (uint32_t)len };
        s->n++;
        return &s->nodes[i];
}

bool field_set_empty(const struct field_set *s)
{
        for (uint32_t i = 0; s && i < s->n; i++)
                if (s->nodes[i].member || !field_set_empty(&s->nodes[i].below))
                        return false;
        return true;
}

/* --- FieldsV1 --- */

/* Whether what follows "k:", "v:" or "i:" can be keys, a value or a number. No more is looked at: upstream reads it all,
 * but every write comes through here. */
static bool is_element(const char *name, size_t len)
{
        char first = name[2], last = name[len - 1];

        if (name[0] == 'k')
                return first == '{' && last == '}';
        if (name[0] == 'v')
                return first == '"' ? last == '"' && len > 3 : first && strchr("-0123456789tfn{[", first);
        return name[0] != 'i' || (first && name[2 + strspn(name + 2, "-0123456789")] == '\0');
}

/* False: a name is none. Those of a kind that is not known are left out, as upstream does. */
static bool parse(struct arena *a, struct field_set *s, const struct json *j)
{
        if (json_len(j))
                reserve(a, s, (uint32_t)json_len(j));
        json_foreach_member(j, m) {
                struct field_node *node;

                if (m->key_len == 1 && m->key[0] == '.')
                        continue;
                if (m->key_len < 2 || m->key[1] != ':')
                        return false;
                if (m->key[0] != 'f' && m->key[0] != 'v' && m->key[0] != 'k' && m->key[0] != 'i')
                        continue;
                if (m->key[0] != 'f' && (m->key_len < 3 || !is_element(m->key, m->key_len)))
                        return false;
                node = field_set_node(a, s, m->key, m->key_len);
                node->member = json_len(m->value) == 0 || json_get(m->value, ".");
                if (json_len(m->value) && !parse(a, &node->below, m->value))
                        return false;
        }
        return true;
}

struct field_set *field_set_parse(struct arena *a, const struct json *fields_v1)
{
        struct field_set *s = field_set_new(a);

        return parse(a, s, fields_v1) ? s : NULL;
}

static bool counts(const struct field_node *node)
{
        return node->member || !field_set_empty(&node->below);
}

/* Few members need no look at those that are there: their names differ. */
static void put(struct arena *a, struct json *j, const char *name, uint32_t len, struct json *value)
{
        uint32_t tag = json_tag(name, len);

        if (j->cap > 16) {
                json_put(a, j, name, len, tag, value);
                return;
        }
        j->members[j->len++] = (struct json_member){ .key = name, .key_len = len, .tag = tag, .value = value };
        j->names |= json_tag_bit(tag);
}

/* Fills the empty object J. SELF: what it stands for is in the set besides what is below it. */
static void fill(struct arena *a, const struct field_set *s, bool self, struct json *j)
{
        struct json *values;
        uint32_t n = self;

        for (uint32_t i = 0; i < s->n; i++)
                n += counts(&s->nodes[i]);
        values = arena_calloc(a, n * sizeof(*values));
        j->members = arena_alloc(a, n * sizeof(*j->members));
        j->cap = n;
        for (uint32_t i = 0; i < n; i++)
                values[i].type = JSON_OBJECT;
        if (self)
                put(a, j, ".", 1, values++);
        for (uint32_t i = 0; i < s->n; i++) {
                const struct field_node *node = &s->nodes[i];

                if (!counts(node))
                        continue;
                if (!field_set_empty(&node->below))
                        fill(a, &node->below, node->member, values);
                put(a, j, node->name, node->len, values++);
        }
}

struct json *field_set_json(struct arena *a, const struct field_set *s)
{
        struct json *j = json_new_object(a);

        if (!field_set_empty(s))
                fill(a, s, false, j);
        return j;
}

/* --- set operations --- */

static void append(struct arena *a, struct field_set *s, struct field_node node)
{
        reserve(a, s, s->n + 1);
        s->nodes[s->n++] = node;
}

/* -1: only X has the next name, 1: only Y, 0: both. */
static int next_of(const struct field_set *x, uint32_t i, const struct field_set *y, uint32_t j)
{
        int r;

        if (i >= x->n || j >= y->n)
                return i >= x->n ? 1 : -1;
        r = compare_names(x->nodes[i].name, x->nodes[i].len, y->nodes[j].name, y->nodes[j].len);
        return (r > 0) - (r < 0);
}

static void unite(struct arena *a, struct field_set *out, const struct field_set *x, const struct field_set *y)
{
        for (uint32_t i = 0, j = 0; i < x->n || j < y->n;) {
                int side = next_of(x, i, y, j);

                if (side == 0) {
                        struct field_node node = x->nodes[i];

                        node.member |= y->nodes[j].member;
                        node.below = (struct field_set){ 0 };
                        unite(a, &node.below, &x->nodes[i].below, &y->nodes[j].below);
                        append(a, out, node);
                } else {
                        append(a, out, side < 0 ? x->nodes[i] : y->nodes[j]);
                }
                i += side <= 0;
                j += side >= 0;
        }
}

struct field_set *field_set_union(struct arena *a, const struct field_set *x, const struct field_set *y)
{
        struct field_set *out = field_set_new(a);

        unite(a, out, x, y);
        return out;
}

static void subtract(struct arena *a, struct field_set *out, const struct field_set *x, const struct field_set *y)
{
        for (uint32_t i = 0, j = 0; i < x->n;) {
                int side = next_of(x, i, y, j);

                if (side < 0) {
                        append(a, out, x->nodes[i]);
                } else if (side == 0) {
                        struct field_node node = x->nodes[i];

                        node.member &= !y->nodes[j].member;
                        node.below = (struct field_set){ 0 };
                        subtract(a, &node.below, &x->nodes[i].below, &y->nodes[j].below);
                        if (node.member || node.below.n)
                                append(a, out, node);
                }
                i += side <= 0;
                j += side >= 0;
        }
}

struct field_set *field_set_difference(struct arena *a, const struct field_set *x, const struct field_set *y)
{
        struct field_set *out = field_set_new(a);

        subtract(a, out, x, y);
        return out;
}

static void intersect(struct arena *a, struct field_set *out, const struct field_set *x, const struct field_set *y)
{
        for (uint32_t i = 0, j = 0; i < x->n && j < y->n;) {
                int side = next_of(x, i, y, j);

                if (side == 0) {
                        struct field_node node = x->nodes[i];

                        node.member &= y->nodes[j].member;
                        node.below = (struct field_set){ 0 };
                        intersect(a, &node.below, &x->nodes[i].below, &y->nodes[j].below);
                        if (node.member || node.below.n)
                                append(a, out, node);
                }
                i += side <= 0;
                j += side >= 0;
        }
}

struct field_set *field_set_intersection(struct arena *a, const struct field_set *x, const struct field_set *y)
{
        struct field_set *out = field_set_new(a);

        intersect(a, out, x, y);
        return out;
}

/* Sets may share branches, so nothing is moved: a dropped node loses its bit and its view of what is below. */
void field_set_drop(struct field_set *s, const char *path, bool deep)
{
        const char *dot = strchrnul(path, '.');
        char name[128] = "f:";
        size_t len = (size_t)(dot - path);
        bool there;
        uint32_t i;

        if (len + 3 > sizeof(name))
                return;
        memcpy(name + 2, path, len);
        i = place(s, name, len + 2, &there);
        if (!there)
                return;
        if (*dot) {
                field_set_drop(&s->nodes[i].below, dot + 1, deep);
                return;
        }
        s->nodes[i].member = false;
        if (deep)
                s->nodes[i].below = (struct field_set){ 0 };
}

void field_set_drop_names(struct field_set *s, const char *const *names)
{
        for (uint32_t i = 0; i < s->n; i++)
                for (const char *const *n = names; *n && s->nodes[i].member; n++)
                        if (strcmp(s->nodes[i].name + 2, *n) == 0 && s->nodes[i].name[0] == 'f' && s->nodes[i].len == strlen(*n) + 2)
                                s->nodes[i].member = false;
}

bool field_set_equal(const struct field_set *x, const struct field_set *y)
{
        uint32_t i = 0, j = 0;

        for (;;) {
                while (i < x->n && !x->nodes[i].member && field_set_empty(&x->nodes[i].below))
                        i++;
                while (j < y->n && !y->nodes[j].member && field_set_empty(&y->nodes[j].below))
                        j++;
                if (i >= x->n || j >= y->n)
                        return i >= x->n && j >= y->n;
                if (next_of(x, i, y, j) != 0 || x->nodes[i].member != y->nodes[j].member ||
                    !field_set_equal(&x->nodes[i].below, &y->nodes[j].below))
                        return false;
                i++;
                j++;
        }
}

/* --- paths for messages --- */

static void print_element(struct arena *a, struct strbuf *out, const struct field_node *node)
{
        struct json *j = NULL;

        if (node->name[0] == 'f') {
                strbuf_putc(out, '.');
                strbuf_append(out, node->name + 2, node->len - 2);
                return;
        }
        if (node->len > 2)
                json_parse(a, node->name + 2, node->len - 2, NULL, &j, NULL);
        strbuf_putc(out, '[');
        if (node->name[0] == 'v' && j) {
                strbuf_putc(out, '=');
                go_print_path_value(out, j);
        } else if (json_is_object(j)) {
                json_foreach_member(j, m) {
                        strbuf_printf(out, "%s%s=", m == j->members ? "" : ",", m->key);
                        go_print_path_value(out, m->value);
                }
        } else if (j) {
                json_write(out, j);
        }
        strbuf_putc(out, ']');
}

/* What is here comes before what is below it, as upstream. */
static void walk(struct arena *a, const struct field_set *s, struct strbuf *path,
                 void (*fn)(const char *path, void *userdata), void *userdata)
{
        size_t len = path->len;

        for (int below = 0; below < 2; below++)
                for (uint32_t i = 0; i < s->n; i++) {
                        if (below ? !s->nodes[i].below.n : !s->nodes[i].member)
                                continue;
                        print_element(a, path, &s->nodes[i]);
                        if (below)
                                walk(a, &s->nodes[i].below, path, fn, userdata);
                        else
                                fn(strbuf_str(path), userdata);
                        path->len = len;
                        path->data[len] = '\0';
                }
}

void field_set_walk(struct arena *a, const struct field_set *s, void (*fn)(const char *path, void *userdata),
                    void *userdata)
{
        _cleanup_strbuf_ struct strbuf path = STRBUF_INIT;

        strbuf_reserve(&path, 64);
        walk(a, s, &path, fn, userdata);
}
