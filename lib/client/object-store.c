/* The store under an informer; see store.h for its rules.
 *
 * `revision` is how far the watch has come. A write of our own newer than that is put in at once;
 * when the watch reaches it, it is the same object and passes silently. A deletion of our own leaves
 * a tombstone by uid, so that an event still on its way does not raise the object again; the watch's
 * own DELETED takes the tombstone away.
 */
#include "object-store.h"

#include <stdlib.h>

#define INDEXES_MAX 6
#define HANDLERS_MAX 48

struct bucket {
        struct object **items;
        size_t n, cap;
};

struct object_store {
        void (*decorate)(struct object *o);
        struct map objects;
        struct {
                object_store_index_fn *fn;
                struct map buckets; /* value to struct bucket * */
        } indexes[INDEXES_MAX];
        size_t n_indexes;
        struct {
                object_store_changed_fn *fn;
                void *userdata;
        } handlers[HANDLERS_MAX];
        size_t n_handlers;
        struct map tombstones; /* key to uid */
        struct map listed;     /* keys seen in the list under way */
        bool listing;
        uint64_t revision;
};

/* --- objects --- */

struct object *object_new(struct arena *owned, const struct json *json)
{
        const struct json *meta = json_get(json, "metadata");
        const char *namespace = json_get_string(meta, "namespace"), *name = json_get_string(meta, "name");
        const char *uid = json_get_string(meta, "uid"), *rv = json_get_string(meta, "resourceVersion");
        struct object *o = arena_calloc(owned, sizeof(*o));

        o->refs = 1;
        o->arena = owned;
        o->json = json;
        o->namespace = namespace ? namespace : "";
        o->name = name ? name : "";
        o->uid = uid ? uid : "";
        o->resource_version = rv ? rv : "";
        o->revision = strtoull(o->resource_version, NULL, 10);
        o->key = *o->namespace ? arena_printf(owned, "%s/%s", o->namespace, o->name) : o->name;
        return o;
}

/* Bytes that a copy takes in an arena, about: allocations are rounded up to 16. */
static size_t tree_size(const struct json *j)
{
        size_t n = sizeof(struct json) + 16;

        if (json_is_string(j) || json_is_number(j))
                return n + j->len + 16;
        json_foreach_item(j, it)
                n += tree_size(it) + sizeof(it);
        json_foreach_member(j, m)
                n += sizeof(*m) + m->key_len + 16 + tree_size(m->value);
        return n;
}

struct object *object_new_copy(const struct json *json)
{
        struct arena *scratch = NULL, *a;
        const struct json *slim = json;
        struct object *o;

        if (json_path(json, "metadata.managedFields")) {
                struct json *top, *meta;

                scratch = arena_new(1024);
                top = json_clone_shallow(scratch, json);
                meta = json_clone_shallow(scratch, json_get(json, "metadata"));
                json_del(meta, "managedFields");
                json_set(scratch, top, "metadata", meta);
                slim = top;
        }
        a = arena_new(tree_size(slim) + sizeof(struct object) + 128);
        o = object_new(a, json_clone(a, slim));
        arena_free(scratch);
        return o;
}

struct object *object_ref(struct object *o)
{
        o->refs++;
        return o;
}

void object_unref(struct object *o)
{
        if (o && --o->refs == 0)
                arena_free(o->arena);
}

/* --- the store --- */

struct object_store *object_store_new(void (*decorate)(struct object *o))
{
        struct object_store *s = new0(struct object_store);

        s->decorate = decorate;
        return s;
}

static void free_buckets(struct map *m)
{
        struct map_entry *e;

        map_foreach(m, e) {
                struct bucket *b = e->value;

                free(b->items);
                free(b);
        }
        map_deinit(m);
}

static void free_strings(struct map *m)
{
        struct map_entry *e;

        map_foreach(m, e)
                free(e->value);
        map_clear(m);
}

void object_store_free(struct object_store *s)
{
        struct map_entry *e;

        if (!s)
                return;
        for (size_t i = 0; i < s->n_indexes; i++)
                free_buckets(&s->indexes[i].buckets);
        map_foreach(&s->objects, e)
                object_unref(e->value);
        map_deinit(&s->objects);
        free_strings(&s->tombstones);
        map_deinit(&s->tombstones);
        map_deinit(&s->listed);
        free(s);
}

void object_store_add_handler(struct object_store *s, object_store_changed_fn *fn, void *userdata)
{
        if (s->n_handlers == HANDLERS_MAX)
                abort();
        s->handlers[s->n_handlers].fn = fn;
        s->handlers[s->n_handlers++].userdata = userdata;
}

size_t object_store_add_index(struct object_store *s, object_store_index_fn *fn)
{
        for (size_t i = 0; i < s->n_indexes; i++)
                if (s->indexes[i].fn == fn)
                        return i;
        if (s->n_indexes == INDEXES_MAX)
                abort();
        s->indexes[s->n_indexes].fn = fn;
        return s->n_indexes++;
}

void object_store_index_namespace(const struct object *o, void (*add)(void *ctx, const char *value), void *ctx)
{
        add(ctx, o->namespace);
}

void object_store_index_owner(const struct object *o, void (*add)(void *ctx, const char *value), void *ctx)
{
        json_foreach_item(json_path(o->json, "metadata.ownerReferences"), ref) {
                const char *uid = json_get_string(ref, "uid");

                if (uid)
                        add(ctx, uid);
        }
}

struct index_ctx {
        struct map *buckets;
        struct object *o;
};

static void index_add(void *ctx, const char *value)
{
        struct index_ctx *x = ctx;
        struct bucket *b = map_get(x->buckets, value);

        if (!b) {
                b = new0(struct bucket);
                map_put(x->buckets, value, b);
        }
        array_reserve(b->items, b->cap, b->n + 1);
        b->items[b->n++] = x->o;
}

static void index_del(void *ctx, const char *value)
{
        struct index_ctx *x = ctx;
        struct bucket *b = map_get(x->buckets, value);

        for (size_t i = 0; b && i < b->n; i++) {
                if (b->items[i] != x->o)
                        continue;
                b->items[i] = b->items[--b->n];
                break;
        }
        if (b && !b->n) {
                map_del(x->buckets, value);
                free(b->items);
                free(b);
        }
}

/* Puts NEW (its reference taken over) in the place of what KEY holds, or takes that out: NEW NULL. */
static void swap_in(struct object_store *s, const char *key, struct object *new)
{
        _cleanup_object_ struct object *old = NULL;

        if (new && s->decorate && !new->extra)
                s->decorate(new);
        old = new ? map_put(&s->objects, key, new) : map_del(&s->objects, key);
        for (size_t i = 0; i < s->n_indexes; i++) {
                struct index_ctx x = { &s->indexes[i].buckets, old };

                if (old)
                        s->indexes[i].fn(old, index_del, &x);
                x.o = new;
                if (new)
                        s->indexes[i].fn(new, index_add, &x);
        }
        if (!old && !new)
                return;
        if (new)
                object_ref(new); /* a handler may write and so replace it */
        for (size_t i = 0; i < s->n_handlers; i++)
                s->handlers[i].fn(s, old, new, s->handlers[i].userdata);
        object_unref(new);
}

struct object *object_store_get(const struct object_store *s, const char *key)
{
        return map_get(&s->objects, key);
}

const struct map *object_store_objects(const struct object_store *s)
{
        return &s->objects;
}

struct object *const *object_store_lookup(const struct object_store *s, size_t index, const char *value, size_t *ret_n)
{
        const struct bucket *b = map_get(&s->indexes[index].buckets, value);

        *ret_n = b ? b->n : 0;
        return b ? b->items : NULL;
}

static bool is_buried(const struct object_store *s, const struct object *o)
{
        return streq(map_get(&s->tombstones, o->key), o->uid);
}

static void advance(struct object_store *s, uint64_t revision)
{
        s->revision = MAX(s->revision, revision);
}

void object_store_event(struct object_store *s, struct object *o, bool deleted)
{
        _cleanup_object_ struct object *mine = o;
        struct object *held = object_store_get(s, o->key);

        advance(s, o->revision);
        if (deleted) {
                if (is_buried(s, o))
                        free(map_del(&s->tombstones, o->key));
                if (held && held->revision <= o->revision)
                        swap_in(s, o->key, NULL);
                return;
        }
        if (is_buried(s, o) || (held && held->revision >= o->revision))
                return;
        swap_in(s, o->key, steal_ptr(mine));
}

void object_store_bookmark(struct object_store *s, uint64_t revision)
{
        advance(s, revision);
}

void object_store_replace_begin(struct object_store *s)
{
        map_clear(&s->listed);
        s->listing = true;
}

void object_store_replace_item(struct object_store *s, struct object *o)
{
        _cleanup_object_ struct object *mine = o;
        struct object *held = object_store_get(s, o->key);

        map_put(&s->listed, o->key, s);
        if (is_buried(s, o) || (held && held->revision >= o->revision))
                return;
        swap_in(s, o->key, steal_ptr(mine));
}

void object_store_replace_end(struct object_store *s, uint64_t revision)
{
        struct map_entry *e;
        char **gone = NULL;
        size_t n = 0, cap = 0;

        map_foreach(&s->objects, e) {
                const struct object *o = e->value;

                /* What we wrote after the list was made is not missing from it. */
                if (map_has(&s->listed, e->key) || o->revision > revision)
                        continue;
                array_reserve(gone, cap, n + 1);
                gone[n++] = xstrdup(e->key);
        }
        for (size_t i = 0; i < n; i++) {
                swap_in(s, gone[i], NULL);
                free(gone[i]);
        }
        free(gone);
        /* Lists are made of committed state: a tombstone whose object is not in it has done its work. */
        map_foreach(&s->tombstones, e) {
                if (!map_has(&s->listed, e->key)) {
                        free(e->value);
                        map_del(&s->tombstones, e->key);
                }
        }
        map_deinit(&s->listed);
        map_init(&s->listed);
        s->listing = false;
        advance(s, revision);
}

void object_store_note_write(struct object_store *s, const struct json *json)
{
        struct object *o = object_new_copy(json), *held = object_store_get(s, o->key);
        _cleanup_object_ struct object *mine = o;

        if (o->revision <= s->revision || is_buried(s, o) || (held && held->revision >= o->revision))
                return;
        swap_in(s, o->key, steal_ptr(mine));
}

void object_store_note_delete(struct object_store *s, const char *key, const char *uid)
{
        struct object *held = object_store_get(s, key);

        if (!held || !streq(held->uid, uid))
                return;
        free(map_put(&s->tombstones, key, xstrdup(uid)));
        swap_in(s, key, NULL);
}
