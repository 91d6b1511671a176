/* A local copy of one kind, kept by list and watch (client-go's reflector and store).
 *
 * It lists in pages, watches with bookmarks, resumes after a cut connection from the last
 * resourceVersion, lists again after 410, and tells what changed meanwhile, so that a handler sees
 * every difference once, whatever was missed. Objects are immutable and reference-counted.
 */
#pragma once

#include "client.h"
#include "object-store.h"

struct informer;

struct informer_handler {
        /* OLD is NULL for an object that is new, NEW for one that is gone. Called on the loop, and after
         * informer_note_write() on the fiber that wrote; must not park. */
        void (*changed)(struct informer *inf, struct object *old, struct object *new, void *userdata);
        void *userdata;
};
struct informer_options {
        const char *group, *version, *resource; /* "", "v1", "pods" */
        const char *namespace;                  /* NULL: all */
        const char *label_selector, *field_selector; /* NULL: all */
        void (*decorate)(struct object *o);     /* parses what is read often, once; may be NULL */
        bool metadata_only;                     /* asks for PartialObjectMetadata */
        /* Called once, when the first list is complete; may be NULL. */
        void (*synced)(struct informer *inf, void *userdata);
        /* Called when listing or watching fails, for the log; may be NULL. */
        void (*failed)(struct informer *inf, int code, const char *text, void *userdata);
        void *userdata;
};
struct informer *informer_new(struct client *c, const struct informer_options *o); /* copies the strings */
void informer_free(struct informer *inf);
void informer_add_handler(struct informer *inf, const struct informer_handler *h); /* before start */
void informer_start(struct informer *inf);
bool informer_synced(const struct informer *inf); /* the first list is complete */
/* The kind is not served here (404): it is asked for again every half minute, and counts as synced. */
bool informer_absent(const struct informer *inf);
struct object_store *informer_store(const struct informer *inf); /* indexes, lookups */
struct object *informer_get(const struct informer *inf, const char *key); /* borrowed until the next turn; NULL */
const struct map *informer_objects(const struct informer *inf);           /* key to struct object * */
/* What the owner just wrote: kept until the watch brings it or something newer, so that a reconcile
 * that follows at once sees its own write. JSON is copied. */
void informer_note_write(struct informer *inf, const struct json *json);
/* What the owner just deleted for good: gone at once, whatever is still on its way. */
void informer_note_delete(struct informer *inf, const char *key, const char *uid);
