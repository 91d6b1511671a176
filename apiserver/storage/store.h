/* Objects in etcd, and the watch cache in front of them.
 *
 * etcd is the truth. One watch on the prefix feeds the cache; an entry is the JSON that clients get,
 * as one immutable buffer. Reads without resourceVersion wait until the cache has reached the
 * revision that etcd had when the read came (one check serves all reads that wait in a loop turn).
 *
 * The check is a linearizable Range of a key that does not exist: a quorum answers it, whatever the
 * number of members. A watch's progress answer would be cheaper for etcd, but it is only what the
 * one member knows, which on a cluster of several may be the past.
 */
#pragma once

#include "../../lib/json/json.h"
#include "../../lib/http/server.h" /* struct buffer */
#include "../../lib/meta/selector.h"
#include "../schema/schema.h"

struct store;
struct store_kind;

/* One object as the cache holds it. Immutable and reference-counted. Labels and selectable fields are
 * kept packed behind the struct: ask for them with the functions below. */
struct entry {
        unsigned refs;
        uint32_t n_labels;
        uint64_t revision;          /* mod revision: the resourceVersion */
        uint64_t create_revision;
        struct buffer *json;        /* with metadata.resourceVersion, in the storage version of its kind */
        const char *key;            /* "/registry/pods/default/web-0" */
        const char *namespace;      /* "" of a cluster-scoped object */
        const char *name;           /* "web-0" */
        const struct store_kind *kind;
        const char *packed;         /* label key, value, ..., field value, ... each NUL-terminated */
        uint32_t wire_size;         /* what it takes as an item of a list in protobuf, with its head; 0: nobody asked yet */
};
struct entry *entry_ref(struct entry *e);
void entry_unref(struct entry *e); /* NULL allowed */
/* A label's value; NULL when absent. */
const char *entry_label(const struct entry *e, const char *key);
/* A selectable field by the name that clients write ("spec.nodeName"; metadata.name and .namespace
 * too, events' regarding.* as well). "" when empty; NULL when the kind has no such field. */
const char *entry_field(const struct entry *e, const char *field);
bool entry_matches_labels(const struct entry *e, const struct selector *s); /* NULL matches */
bool entry_matches_fields(const struct entry *e, const struct selector *s); /* NULL matches */

struct store_options {
        const char *const *endpoints;   /* "https://127.0.0.1:2379", ..., NULL; http:// is plain */
        const char *ca_file, *cert_file, *key_file; /* PEM; may be NULL */
        const char *prefix;             /* "/registry" */
        size_t history;                 /* events kept a resource for resuming watches; 0: 1024, as far as bytes allow; grows to 64 Ki */
        int64_t compact_every_ns;       /* 0: 5 minutes, upstream's number; -1: never */
        const char *data_dir;           /* etcd's folder where it is on this machine: errors tell of a full disk; may be NULL */
        uint64_t defragment_min;        /* bytes of a database file that is worth it; 0: 64 MB */
};
/* Connects in the background: store_ready() tells when the cache is full. */
int store_new(struct loop *loop, const struct store_options *o, struct store **ret, struct error *reterr);
void store_free(struct store *s);
bool store_ready(const struct store *s); /* the first load is complete and the watch is up */
/* What went wrong last, for /readyz and the log: "connect https://...: refused"; "" when all is well. */
const char *store_trouble(const struct store *s);
/* Why it is not ready, for whoever asks for an object meanwhile: -EHOSTUNREACH; 0: nothing is wrong, it is just
 * being filled. */
int store_unready(const struct store *s, struct error *reterr);
/* Makes a CustomResourceDefinition's resource known (its selectable fields); RES must outlive the
 * store or store_remove_resource(). Built-in ones are known. */
void store_add_resource(struct store *s, const struct resource *res);
void store_remove_resource(struct store *s, const struct resource *res);

/* Negative errors of all calls: -EHOSTUNREACH etcd cannot be reached (503), -ETIMEDOUT (504), -ENOSPC
 * its database is full (500, with etcd's text), -EMSGSIZE the object is too large for it (413),
 * -ERANGE the revision is compacted (410), -EIO anything else etcd says (500). */

/* --- writes, on a fiber --- */
enum store_outcome {
        STORE_OK = 0,
        STORE_CONFLICT = 1, /* the key's revision is another; *ret_entry is what is there now (NULL: nothing) */
};
/* Puts JSON text under KEY if its mod revision is EXPECTED (0: it must not exist). The entry comes
 * back (a reference that the caller unrefs) with the revision written into metadata.resourceVersion.
 * A later store_sync() sees it. */
int store_put(struct store *s, const struct resource *res, const char *key, const struct json *object,
              uint64_t expected, struct entry **ret_entry, struct error *reterr);
/* *ret_entry: the last state, with the deletion's revision as resourceVersion (NULL when unknown). */
int store_delete(struct store *s, const struct resource *res, const char *key, uint64_t expected,
                 struct entry **ret_entry, struct error *reterr);

/* --- reads --- */
/* Waits, on a fiber, until the cache is at least as new as etcd was at the call. */
int store_sync(struct store *s, struct error *reterr);
/* Waits until the cache has reached REVISION. -ETIMEDOUT after 3 s. */
int store_wait(struct store *s, uint64_t revision, struct error *reterr);
uint64_t store_revision(const struct store *s);   /* of the cache */
uint64_t store_compacted(const struct store *s);  /* older revisions cannot be watched */
struct entry *store_get(const struct store *s, const char *key); /* borrowed until the next park; NULL */
/* Straight from etcd, linearizable, on a fiber; the caller unrefs. 0 with NULL: not there. */
int store_get_fresh(struct store *s, const char *key, struct entry **ret, struct error *reterr);

/* All entries under PREFIX ("/registry/pods/", "/registry/pods/default/") in key order, from AFTER
 * (exclusive, NULL: from the start; a key of any length). FN returns false to stop. It may take
 * references; it must not park. */
typedef bool store_scan_fn(struct entry *e, void *userdata);
void store_scan(const struct store *s, const char *prefix, const char *after, store_scan_fn *fn, void *userdata);
size_t store_count(const struct store *s, const char *prefix);
bool store_has_any(const struct store *s, const struct resource *res); /* whether there are objects of it at all; cheap */
uint64_t store_changed(const struct store *s, const struct resource *res); /* another number whenever one of them changed */
/* The same as they were at REVISION (pages of one list, resourceVersionMatch=Exact): from the cache where
 * nothing under the kind changed since, else from etcd (it then parks, on a fiber). At most LIMIT entries
 * (0: all) are handed to FN; *ret_more tells whether there are more, *ret_remaining how many (both may
 * be NULL). -ERANGE: compacted. */
int store_scan_at(struct store *s, const char *prefix, const char *after, uint64_t revision, size_t limit,
                  store_scan_fn *fn, void *userdata, bool *ret_more, size_t *ret_remaining, struct error *reterr);

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
        void (*event)(const struct store_event *ev, void *userdata); /* must not park; may free its own watch */
        void (*progress)(uint64_t revision, void *userdata);         /* nothing older will come; may be NULL */
        void (*cut)(void *userdata);                                 /* the cache starts anew: end with 410 */
};
/* Events under PREFIX after REVISION, past ones first (called before this returns).
 * -ERANGE: older than what is kept (410). */
int store_watch_new(struct store *s, const char *prefix, uint64_t revision, const struct store_watch_ops *ops,
                    void *userdata, struct store_watch **ret);
void store_watch_free(struct store_watch *w); /* NULL allowed */

/* "revision 123, 45 objects in 12 kinds, ..." for /metrics and debugging; numbers only. */
struct store_stats {
        uint64_t revision;
        size_t objects, bytes, events, watches;
        uint64_t checks, writes, loads;
        bool sole; /* this API server holds the claim to be the only writer (sole.h) */
};
void store_stats(const struct store *s, struct store_stats *ret);
