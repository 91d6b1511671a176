/* The driver of controllers: a controller is a name, what it watches, and a pure function.
 *
 *     reconcile(snapshot, key, writes)
 *
 * reads the snapshot (stores, the time; nothing else), and puts what is to be written into WRITES.
 * It touches no socket and no clock, so it is tested with plain data. The driver keeps the informers
 * that controllers share, maps changed objects to keys, and carries the writes out in order on
 * fibers: after a failure it stops, tells reconcile what failed (snapshot.failure) so that a status
 * may say it, and comes back after a backoff. What was written is noted in the stores at once, so
 * that the next reconcile of any controller sees it: no expectations are needed.
 */
#pragma once

#include "event.h"
#include "informer.h"
#include "workqueue.h"

struct controller_resource {
        const char *group, *version, *resource, *kind;
        bool namespaced;
        object_store_index_fn *index; /* one more index, STORE_BY_OWN; may be NULL */
};

/* Every store of the driver has these indexes. */
enum { STORE_BY_NAMESPACE, STORE_BY_OWNER, STORE_BY_OWN };

struct write_failure {
        unsigned verb; /* enum write_verb */
        unsigned resource;
        int outcome; /* enum client_outcome, or a negative errno */
        const char *message;
};

struct snapshot {
        int64_t now; /* real time, ns */
        int64_t since; /* when this process began to look, ns: what it did not see before says nothing */
        struct object_store *const *stores; /* by resource number */
        struct map *memory;          /* of snapshot_since(); NULL: none, all is seen for the first time */
        const struct write_failure *failure; /* why the writes before this call stopped; NULL: none did */
        unsigned failures;           /* rounds of this key that failed in a row */
        const void *settings;        /* the daemon's */
        const struct controller_resource *resources; /* by number: the daemon's, then those found at run time */
        size_t n_resources;          /* as many stores; a store may be NULL */
};

/* NULL when there is none. NAMESPACE "" or NULL: cluster-scoped. Borrowed. */
const struct object *snapshot_get(const struct snapshot *s, unsigned resource, const char *namespace, const char *name);
const struct object *snapshot_key(const struct snapshot *s, unsigned resource, const char *key);
struct object *const *snapshot_in_namespace(const struct snapshot *s, unsigned resource, const char *namespace,
                                            size_t *ret_n);
/* Those with an owner reference to UID. */
struct object *const *snapshot_owned(const struct snapshot *s, unsigned resource, const char *uid, size_t *ret_n);
struct object *const *snapshot_by_own(const struct snapshot *s, unsigned resource, const char *value, size_t *ret_n);

/* Since when, as far as this process knows, WHAT has been so: what no object records. The first to ask starts the
 * clock; snapshot_over() stops it. */
int64_t snapshot_since(const struct snapshot *s, const char *what);
void snapshot_over(const struct snapshot *s, const char *what);
void snapshot_memory_deinit(struct map *memory);

/* --- writes --- */

enum write_verb {
        WRITE_CREATE,
        WRITE_UPDATE,
        WRITE_PATCH_JSON,
        WRITE_PATCH_MERGE,
        WRITE_PATCH_STRATEGIC,
        WRITE_DELETE,
        WRITE_EVENT,
        WRITE_WORK,          /* calls x->work(x->name) off the loop: what has to be done outside the API */
        WRITE_EXPECT_ALLOWED, /* no write: the body is a SubjectAccessReview; stops the round, quietly, where it is denied */
        WRITE_EXPECT_ABSENT, /* no write: stops the round where the server has this object with this uid */
        WRITE_APPLY,         /* server-side, with force: the body as `manager` wants it */
};

/* An Event to be recorded; "{name}" in the message becomes the name of what was written, "{error}" why not. */
struct write_event {
        const struct json *about;
        const char *type, *reason, *message;
};

struct write {
        enum write_verb verb;
        unsigned resource;
        const char *namespace, *name, *subresource;
        const char *uid;         /* of a deletion: what is meant */
        const char *manager;     /* of WRITE_APPLY */
        const char *version;     /* of WRITE_EXPECT_ABSENT: by which it is asked for; NULL: the resource's own */
        const struct json *body; /* the object, the patch, or metav1.DeleteOptions */
        int (*work)(const char *name, struct error *reterr); /* of WRITE_WORK; 0 or negative errno; on a thread */
        struct write_event done, failed; /* about NULL: none */
        bool ignore_not_found;   /* 404 is as good as done */
        bool ignore_exists;      /* 409 AlreadyExists is as good as done */
        bool ignore_conflict;    /* somebody else was faster: as good as done */
        bool ignore_all;         /* go on whatever happens */
        bool any_uid;            /* of WRITE_EXPECT_ABSENT: nothing of that name may be there */
        bool once;               /* of WRITE_EVENT: told once of each object while the process lives */
        bool batch;              /* may run beside its neighbours that say so: 1, 2, 4, ... at a time */
};

struct writes {
        struct arena *arena;
        struct write *items;
        size_t n, cap;
        int64_t requeue_after; /* ns; 0: not before something changes */
        bool failed;           /* reconcile itself wants a backoff (an error that time may heal) */
};

/* Each copies what it is given, and returns the write so that its flags can be set: valid until the next. */
struct write *writes_add(struct writes *w, enum write_verb verb, unsigned resource, const char *namespace,
                         const char *name, const struct json *body);
struct write *writes_insert(struct writes *w, size_t at, enum write_verb verb, unsigned resource, const char *namespace,
                            const char *name);
struct write *writes_create(struct writes *w, unsigned resource, const char *namespace, const struct json *body);
/* All of OBJECT, whose metadata names it. SUBRESOURCE NULL or "status". */
struct write *writes_update(struct writes *w, unsigned resource, const char *subresource, const struct json *object);
struct write *writes_patch(struct writes *w, enum write_verb verb, unsigned resource, const char *subresource,
                           const struct object *o, const struct json *patch);
/* Server-side apply, by force; MANAGER: a constant. BODY's metadata names the object. */
struct write *writes_apply(struct writes *w, unsigned resource, const char *subresource, const char *manager,
                           const struct json *body);
/* With a precondition on the uid; a 404 or another uid is as good as done. GRACE -1: the default.
 * PROPAGATION NULL: the default. */
struct write *writes_delete(struct writes *w, unsigned resource, const struct object *o, int64_t grace,
                            const char *propagation);
void writes_event(struct writes *w, const struct json *about, const char *type, const char *reason, const char *fmt,
                  ...) printf_like(5, 6);
/* writes_event() of which the object hears just once. */
void writes_event_once(struct writes *w, const struct json *about, const char *type, const char *reason,
                       const char *message);
void write_event_set(struct writes *w, struct write_event *e, const struct json *about, const char *type,
                     const char *reason, const char *message);
/* The sooner of what was asked before and this. */
void writes_requeue(struct writes *w, int64_t after_ns);

/* --- controllers --- */

/* Where a map function puts the keys that are to be reconciled. */
struct keys {
        void (*add)(void *ctx, const char *key);
        void *ctx;
        unsigned resource; /* of what changed */
};
void keys_add(const struct keys *k, const char *key);
void keys_addf(const struct keys *k, const char *fmt, ...) printf_like(2, 3);

struct controller_watch {
        unsigned resource;
        /* Which keys this change concerns; OLD or NEW may be NULL. NULL: the object's own key. */
        void (*map)(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k);
        const char *owner_kind; /* instead of a map: the controlling owner of this kind */
        bool passive;           /* only read: changes concern no key */
};

#define CONTROLLER_WATCHES_MAX 40
struct controller {
        const char *name;      /* as in --controllers: "deployment-controller" */
        const char *component; /* of its Events; NULL: the name */
        struct controller_watch watches[CONTROLLER_WATCHES_MAX];
        size_t n_watches;
        unsigned workers; /* 0: 5 */
        int64_t resync_ns; /* all keys of the first watch again, this often; 0: never */
        void (*reconcile)(const struct snapshot *s, const char *key, struct writes *w);
};

struct controllers;
struct controllers_options {
        struct client *client;
        const struct controller_resource *resources;
        size_t n_resources;
        const void *settings;
        void (*log)(const char *controller, const char *key, const char *text, void *userdata); /* failures */
        void *userdata;
};
struct controllers *controllers_new(const struct controllers_options *o);
void controllers_free(struct controllers *c);
void controllers_add(struct controllers *c, const struct controller *controller); /* before start; borrowed */
/* Other numbers than the controller's own, by its name, before start; 0 leaves one as it is. False: there is none
 * of that name among those added. */
bool controllers_tune(struct controllers *c, const char *name, unsigned workers, int64_t resync_ns);
void controllers_start(struct controllers *c);
/* Resources that only discovery knows, from then on watched (their metadata alone) for CONTROLLER by the map of WATCH;
 * while running. The number under which snapshots have it; a full table gives 0 and watches nothing. */
#define CONTROLLER_RESOURCES_MAX 512
unsigned controllers_watch_more(struct controllers *c, const struct controller *controller, const struct controller_watch *watch,
                                const struct controller_resource *res); /* all borrowed, for good */
/* Has another controller hear of that number's changes too. */
void controllers_watch_with(struct controllers *c, const struct controller *controller, const struct controller_watch *watch,
                            unsigned resource);
/* A resource found at run time that has not been listed yet is not in snapshots: its store is NULL. */
bool controllers_synced(const struct controllers *c, unsigned resource);
/* Holds CONTROLLER back (before start), and lets it begin. */
void controllers_hold(struct controllers *c, const struct controller *controller, bool hold);
/* Has CONTROLLER look at all objects that it watches again, as if they had just been added. */
void controllers_again(struct controllers *c, const struct controller *controller);
/* Its kind is served no more. Its number may serve another later. */
void controllers_forget(struct controllers *c, unsigned resource);
/* The informer of a resource, made when it is not there yet: for parts that are no pure controllers. */
struct informer *controllers_informer(struct controllers *c, unsigned resource);
struct client *controllers_client(struct controllers *c);

/* Runs one key of one controller against given stores: for tests. */
void controller_reconcile(const struct controller *controller, const struct snapshot *s, const char *key,
                          struct writes *w);
/* The keys that a change concerns, by the rules of WATCH. */
void controller_map(const struct controller_watch *watch, const struct snapshot *s, const struct object *old,
                    const struct object *new, const struct keys *k);
