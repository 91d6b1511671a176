/* Objects in etcd, and the watch cache in front of them.
 *
 * etcd is the truth. One watch on the prefix feeds the cache; an entry is the JSON that clients get,
 * as one immutable buffer. Reads without resourceVersion wait until the cache has reached the
 * revision that etcd had when the read came (one check serves all reads that wait in a loop turn).
 */
#pragma once

#include "../../lib/http/server.h" /* struct buffer */
#include "../../lib/json/json.h"
#include "../schema/schema.h"

struct store;

/* One object as the cache holds it. Immutable and reference-counted. */
struct entry {
        unsigned refs;
        uint64_t revision;          /* mod revision: the resourceVersion */
        uint64_t create_revision;
        struct buffer *json;        /* with metadata.resourceVersion, in the storage version of its kind */
        const char *key;            /* "/registry/pods/default/web-0" */
        const char *namespace, *name; /* point into key's copy */
        const struct json *labels;  /* object or NULL; parsed once, in the entry's own arena */
        const struct json *fields;  /* selectable fields by path, object of strings */
        struct arena *arena;
};
struct entry *entry_ref(struct entry *e);
void entry_unref(struct entry *e);

struct store_options {
        const char *const *endpoints;   /* "https://127.0.0.1:2379", ..., NULL */
        const char *ca_file, *cert_file, *key_file;
        const char *prefix;             /* "/registry" */
        size_t history;                 /* events kept a resource for resuming watches; 0: 1024 at least, grows to 64 Ki */
};
int store_new(struct loop *loop, const struct store_options *o, struct store **ret, struct error *reterr);
void store_free(struct store *s);
bool store_ready(const struct store *s); /* the first load is complete and the watch is up */

/* --- writes, on a fiber --- */
enum store_outcome {
        STORE_OK = 0,
        STORE_CONFLICT = 1, /* the key's revision is another; *ret_entry is what is there now (NULL: nothing) */
};
/* Puts JSON text under KEY if its mod revision is EXPECTED (0: it must not exist). The entry comes
 * back with the revision written into metadata.resourceVersion, already visible to reads of this server. */
int store_put(struct store *s, const struct resource *res, const char *key, const struct json *object,
              uint64_t expected, struct entry **ret_entry, struct error *reterr);
int store_delete(struct store *s, const struct resource *res, const char *key, uint64_t expected,
                 struct entry **ret_entry, struct error *reterr);

/* --- reads --- */
/* Waits, on a fiber, until the cache is at least as new as etcd was at the call. */
int store_sync(struct store *s, struct error *reterr);
/* Waits until the cache has reached REVISION. -ETIMEDOUT after 3 s. */
int store_wait(struct store *s, uint64_t revision, struct error *reterr);
uint64_t store_revision(const struct store *s);   /* of the cache */
uint64_t store_compacted(const struct store *s);  /* older revisions cannot be watched */
struct entry *store_get(const struct store *s, const char *key); /* borrowed; NULL */

/* All entries under PREFIX in key order, from AFTER (exclusive, NULL: from the start). FN returns
 * false to stop. It may take references; it must not park. */
void store_scan(const struct store *s, const char *prefix, const char *after,
                bool (*fn)(struct entry *e, void *userdata), void *userdata);
size_t store_count(const struct store *s, const char *prefix);

/* --- watching the cache --- */
enum store_event_type { STORE_ADDED, STORE_MODIFIED, STORE_DELETED };
struct store_event {
        enum store_event_type type;
        uint64_t revision;
        struct entry *entry;  /* after; of a deletion: the last state with the deletion's revision as resourceVersion */
        struct entry *before; /* NULL of an addition */
};
struct store_watch;
struct store_watch_ops {
        void (*event)(const struct store_event *ev, void *userdata); /* must not park */
        void (*progress)(uint64_t revision, void *userdata);         /* nothing older will come; may be NULL */
        void (*cut)(void *userdata);                                 /* the cache starts anew: end with 410 */
};
/* Events under PREFIX after REVISION, past ones first (called before this returns).
 * -ERANGE: older than what is kept (410). */
int store_watch_new(struct store *s, const char *prefix, uint64_t revision, const struct store_watch_ops *ops,
                    void *userdata, struct store_watch **ret);
void store_watch_free(struct store_watch *w);
