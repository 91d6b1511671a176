/* Members in Go's order (go-order.h): that in which kinds and types list their fields. */
#include "go-order.h"

#include <stdlib.h>

struct ranked {
        unsigned rank;
        const struct json_member *m;
};

static int by_rank(const void *x, const void *y)
{
        const struct ranked *a = x, *b = y;

        if (a->rank != b->rank)
                return a->rank < b->rank ? -1 : 1;
        return strcmp(a->m->key, b->m->key);
}

/* kind and apiVersion first, unknown ones last. */
static unsigned rank_of(const struct schema *s, const char *key)
{
        const struct schema_field *f = s && s->type == SCHEMA_STRUCT ? schema_field(s, key) : NULL;

        if (!s || s->type != SCHEMA_STRUCT)
                return 0;
        if (!f)
                return UINT32_MAX;
        if (!f->proto)
                return streq(key, "kind") ? 0 : 1;
        return 2u + f->order;
}

static const struct schema *below(const struct schema *s, const char *key)
{
        const struct schema_field *f;

        if (!s || s->type == SCHEMA_ANY)
                return NULL;
        if (s->type != SCHEMA_STRUCT)
                return s->elem;
        f = schema_field(s, key);
        return f ? f->type : NULL;
}

struct json *go_order(struct arena *a, const struct schema *s, const struct json *obj)
{
        struct json *out;
        struct ranked *sorted;

        if (json_is_array(obj)) {
                out = json_new_array(a);
                json_foreach_item(obj, item)
                        json_append(a, out, go_order(a, s ? s->elem : NULL, item));
                return out;
        }
        if (!json_is_object(obj) || !s || s->type == SCHEMA_ANY)
                return (struct json *)obj;
        out = json_new_object(a);
        sorted = arena_alloc(a, (obj->len + 1) * sizeof(*sorted));
        for (size_t i = 0; i < obj->len; i++)
                sorted[i] = (struct ranked){rank_of(s, obj->members[i].key), &obj->members[i]};
        if (obj->len)
                qsort(sorted, obj->len, sizeof(*sorted), by_rank);
        for (size_t i = 0; i < obj->len; i++) {
                const struct json_member *m = sorted[i].m;
                json_setn(a, out, m->key, m->key_len, go_order(a, below(s, m->key), m->value));
        }
        return out;
}

/* --- what a patch touched --- */

static int by_key(const void *x, const void *y)
{
        return strcmp(((const struct json_member *)x)->key, ((const struct json_member *)y)->key);
}

static void sort(struct json *obj)
{
        if (json_is_object(obj) && obj->len) {
                qsort(obj->members, obj->len, sizeof(*obj->members), by_key);
                obj->index = NULL; /* made anew when it is needed */
        }
}

static void sort_merged(struct json *obj, const struct json *patch)
{
        sort(obj);
        json_foreach_member(patch, m)
                if (json_is_object(m->value) && json_is_object(json_getn(obj, m->key, m->key_len)))
                        sort_merged(json_getn(obj, m->key, m->key_len), m->value);
}

/* The containers on the way that POINTER goes, its last step left out. */
static void sort_on_way(struct json *obj, const char *pointer)
{
        const char *p = strchr(pointer, '/');

        sort(obj);
        for (const char *next; p && obj && (next = strchr(p + 1, '/')); p = next) {
                obj = json_is_array(obj) ? json_at(obj, strtoul(p + 1, NULL, 10)) :
                                           json_getn(obj, p + 1, (size_t)(next - p - 1));
                sort(obj);
        }
}

void go_order_patched(struct json *obj, const struct json *patch)
{
        if (json_is_object(patch))
                sort_merged(obj, patch);
        json_foreach_item(patch, op) {
                if (json_get_string(op, "path"))
                        sort_on_way(obj, json_get_string(op, "path"));
                if (json_get_string(op, "from"))
                        sort_on_way(obj, json_get_string(op, "from"));
        }
}
