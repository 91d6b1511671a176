/* A local copy of one kind, kept by list and watch (client-go's reflector and store).
 *
 * It lists in pages, watches with bookmarks, resumes after a cut connection from the last
 * resourceVersion, lists again after 410, and tells what changed meanwhile, so that a handler sees
 * every difference once, whatever was missed. Objects are immutable and reference-counted.
 */
#pragma once

#include "client.h"
#include "../base/map.h"

struct object {
        unsigned refs;
        struct arena *arena;      /* owned: everything below lives in it */
        const struct json *json;
        const char *key;          /* "namespace/name", or "name" of a cluster-scoped object */
        const char *namespace;    /* "" of a cluster-scoped object */
        const char *name;
        const char *uid;
        const char *resource_version;
        void *extra;              /* the owner's; made by informer_options.decorate in the arena */
};
struct object *object_new(struct arena *owned, const struct json *json); /* takes the arena over */
struct object *object_ref(struct object *o);
void object_unref(struct object *o); /* NULL allowed */

struct informer;

struct informer_handler {
        /* OLD is NULL for an object that is new, NEW for one that is gone. Called on the loop, not on a fiber. */
        void (*changed)(struct informer *inf, struct object *old, struct object *new, void *userdata);
        void *userdata;
};
struct informer_options {
        const char *group, *version, *resource; /* "", "v1", "pods" */
        const char *namespace;                  /* NULL: all */
        const char *label_selector, *field_selector; /* NULL: all */
        void (*decorate)(struct object *o);     /* parses what is read often, once; may be NULL */
};
struct informer *informer_new(struct client *c, const struct informer_options *o);
void informer_free(struct informer *inf);
void informer_add_handler(struct informer *inf, const struct informer_handler *h); /* before start */
void informer_start(struct informer *inf);
bool informer_synced(const struct informer *inf); /* the first list is complete */
struct object *informer_get(const struct informer *inf, const char *key); /* borrowed until the next turn; NULL */
const struct map *informer_objects(const struct informer *inf);           /* key to struct object * */
/* What the owner just wrote: kept until the watch brings it or something newer, so that a reconcile
 * that follows at once sees its own write. JSON is copied. */
void informer_note_write(struct informer *inf, const struct json *json);
