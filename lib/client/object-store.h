/* The store under an informer: objects by key, with indexes, and the rules by which what a watch
 * brings, what a list says and what we wrote ourselves become one picture.
 *
 * It never goes back: an event older than what is held is dropped, and so is a write of our own
 * that the watch has already passed (its object may be gone by now). resourceVersions are compared
 * as numbers: they are etcd's revisions, one sequence for all objects.
 */
#pragma once

#include "../base/map.h"
#include "../json/json.h"

struct object {
        unsigned refs;
        struct arena *arena;      /* owned: everything below lives in it */
        const struct json *json;
        const char *key;          /* "namespace/name", or "name" of a cluster-scoped object */
        const char *namespace;    /* "" of a cluster-scoped object */
        const char *name;
        const char *uid;
        const char *resource_version;
        uint64_t revision;        /* resource_version as a number; 0: none */
        void *extra;              /* the owner's; made by informer_options.decorate in the arena */
};
struct object *object_new(struct arena *owned, const struct json *json); /* takes the arena over */
/* A copy of JSON in an arena of just the size, without metadata.managedFields. */
struct object *object_new_copy(const struct json *json);
struct object *object_ref(struct object *o);
void object_unref(struct object *o); /* NULL allowed */
static inline void object_unref_p(struct object **o)
{
        object_unref(*o);
}
#define _cleanup_object_ _cleanup_(object_unref_p)

struct object_store;

/* OLD is NULL for an object that is new, NEW for one that is gone. */
typedef void object_store_changed_fn(struct object_store *s, struct object *old, struct object *new, void *userdata);
/* Gives each string under which O is to be found, by calling ADD(ctx, string). */
typedef void object_store_index_fn(const struct object *o, void (*add)(void *ctx, const char *value), void *ctx);

struct object_store *object_store_new(void (*decorate)(struct object *o)); /* DECORATE may be NULL */
void object_store_free(struct object_store *s);
void object_store_add_handler(struct object_store *s, object_store_changed_fn *fn, void *userdata);
/* Both before the first object. The same FN twice is one index. */
size_t object_store_add_index(struct object_store *s, object_store_index_fn *fn);
void object_store_index_namespace(const struct object *o, void (*add)(void *ctx, const char *value), void *ctx);
/* By the uid of every owner reference. */
void object_store_index_owner(const struct object *o, void (*add)(void *ctx, const char *value), void *ctx);

struct object *object_store_get(const struct object_store *s, const char *key); /* borrowed; NULL */
const struct map *object_store_objects(const struct object_store *s);           /* key to struct object * */
/* The objects under VALUE, in no order; borrowed until the store changes. */
struct object *const *object_store_lookup(const struct object_store *s, size_t index, const char *value, size_t *ret_n);

/* --- from the watch: O's reference is taken over --- */
void object_store_event(struct object_store *s, struct object *o, bool deleted);
void object_store_bookmark(struct object_store *s, uint64_t revision);
/* --- from a list: each item, then the end, which drops what was not in it --- */
void object_store_replace_begin(struct object_store *s);
void object_store_replace_item(struct object_store *s, struct object *o);
void object_store_replace_end(struct object_store *s, uint64_t revision);
/* --- what we did ourselves --- */
void object_store_note_write(struct object_store *s, const struct json *json); /* copies */
void object_store_note_delete(struct object_store *s, const char *key, const char *uid);
