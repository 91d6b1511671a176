/* What the files of the store share. */
#pragma once

#include "../../lib/base/list.h"
#include "../../lib/base/map.h"
#include "../../lib/base/time.h"
#include "../../lib/loop/fiber.h"
#include "care.h"
#include "entry.h"
#include "etcd-wire.h"
#include "grpc.h"
#include "index.h"
#include "sole.h"

#define STORE_PATIENCE (10 * NS_PER_SEC)  /* how long a call waits for etcd to come back */
#define STORE_TIMEOUT (15 * NS_PER_SEC)   /* of one request to etcd */
#define RING_MIN 1024
#define RING_MAX (64 * 1024)
#define RING_YOUNG (75 * NS_PER_SEC)      /* upstream's number: younger events are worth growing for */
#define RING_LEAST 32                     /* events kept however large they are */
/* Of superseded objects: an eighth of what the kind's objects take, within these. Beyond it old events go. */
#define RING_BYTES_MIN ((size_t)1 << 20)
#define RING_BYTES_MAX ((size_t)8 << 20)

/* Recent events of one kind, oldest first from HEAD. */
struct ring_event {
        struct store_event event; /* holds references */
        int64_t at;               /* monotonic */
        size_t bytes;
};
struct ring {
        struct ring_event *events;
        size_t head, n, cap;
        size_t bytes;      /* of what only the ring keeps alive: superseded and deleted objects */
        uint64_t floor;    /* every event after this revision is here */
};
void ring_deinit(struct ring *r);
void ring_reset(struct ring *r, uint64_t floor);
/* Takes over references of the event's entries. MIN: events kept at least, as far as MAX_BYTES allow. */
void ring_push(struct ring *r, const struct store_event *ev, int64_t now, size_t min, size_t max_bytes);
/* The place of the first event after REVISION, to r->n; r->events[(r->head + i) % r->cap]. */
size_t ring_after(const struct ring *r, uint64_t revision);

struct store_kind {
        struct store *store;
        char *prefix;      /* "/registry/pods/" */
        struct field_set fields;
        struct index index;
        struct ring ring;
        struct list watches;
        uint64_t changed;  /* revision of the last event */
        size_t bytes;
};

struct store_watch {
        struct list link;
        struct store *store;
        const struct store_watch_ops *ops;
        void *userdata;
        bool dead;
        size_t prefix_len;
        char prefix[]; /* here and not elsewhere: each event looks at it, of each watch */
};

/* A write on its way to etcd. The watch often brings it before the answer, and need not read what we know. */
struct writing {
        const struct json *object;
        struct strbuf value;
        size_t revision_at; /* in VALUE: entry_new_written() */
};

struct store {
        struct loop *loop;
        struct grpc *grpc;
        char *prefix;            /* "/registry" */
        struct map kinds;        /* "pods", "services/specs" to struct store_kind */
        struct store_kind *last_kind;
        struct map writing;      /* by key to struct writing, on its fiber's stack */
        size_t history;
        uint64_t revision, compacted;
        uint64_t floor;          /* of the load: nothing before it can be watched */
        bool loaded, watching, closing;
        bool exact_progress;     /* this etcd's progress answers come behind all events */
        unsigned users;          /* fibers inside; the last one frees */
        struct error trouble;
        struct fiber *main;      /* the fiber that loads and watches */
        bool main_waits;
        struct grpc_call *watch_call;
        int watch_end_code;
        struct loop_timer *pulse; /* store-watch.c: is the watch alive? */
        int64_t watch_heard;      /* when the watch's last message came */
        int64_t probed;           /* when a question was put to a silent peer; 0: none is */
        bool doubted;             /* its time is over: one more look, when what came meanwhile was read */
        bool watch_compacted;
        unsigned dispatching;
        bool dead_watches;

        /* reads that wait */
        struct check *forming;   /* not sent yet: fibers join it */
        bool checking;           /* a check is on its way to etcd and back */
        struct list waiting;     /* struct waiter */
        struct loop_timer *stuck;

        /* the claim to be the only writer */
        struct sole sole;
        uint64_t own;            /* newest revision that a caller knows of: a read answers nothing older */
        char *sole_key, *sole_id, *shared_key;
        struct fiber *sole_fiber;
        struct loop_timer *sole_timer;
        bool sole_waits;
        int64_t share_asked;

        /* leases of events */
        int64_t lease;
        int64_t lease_at;
        unsigned lease_uses;

        struct loop_timer *compact;
        int64_t compact_every_ns;
        uint64_t compact_key_revision, compact_next;

        /* care.c */
        char *data_dir;
        uint64_t defragment_min;
        struct grpc *member;     /* a channel to one member, while it is cared for */
        bool caring, no_space;
        struct loop_timer *relief;
        int64_t relief_pause;
        uint64_t relief_revision; /* of the last try */
        bool relieved;           /* once in this process's life */

        uint64_t n_checks, n_writes, n_loads;
        size_t page_most;        /* objects of a page of the next load; 0: the first one */
};

/* A fiber that waits for the cache to reach TARGET. */
struct waiter {
        struct list link;
        struct fiber *fiber;
        uint64_t target;
        int64_t deadline;
        int code;
        bool done;
        char *text; /* of the error */
};

/* store.c */
struct store_kind *store_kind_of(struct store *s, const char *key, size_t len, bool make);
const struct store_kind *store_kind_find(const struct store *s, const char *prefix);
void store_apply(struct store *s, struct store_kind *kind, struct entry *new, const char *key, uint64_t revision);
void store_advance(struct store *s, uint64_t revision);
/* What gRPC and etcd said, as the store's errors. */
int store_error(const struct grpc_end *end, struct error *reterr);
/* Adds to the error what etcd cannot say itself: that the disk under it is full. Returns CODE. */
int store_explain(const struct store *s, int code, struct error *reterr);
/* One request, on a fiber; tries again, until PATIENCE has passed, where that is safe. */
int store_request(struct store *s, const char *path, const struct strbuf *message, enum wire_message type,
                  bool resend, struct strbuf *reply, struct wire_answer *ret, bool *ret_doubtful, struct error *reterr);
void store_enter(struct store *s);
void store_leave(struct store *s);
void store_trouble_set(struct store *s, const char *text);

/* care.c */
void care_on_relief(struct loop_timer *timer, void *userdata);

/* store-read.c */
void store_wake_waiters(struct store *s);
void store_fail_waiters(struct store *s, int code, const char *text);
void store_on_stuck(struct loop_timer *timer, void *userdata);

/* store-sole.c */
void store_sole_init(struct store *s);
void store_sole_stop(struct store *s);   /* `closing` is set: the fiber ends */
void store_sole_deinit(struct store *s);
void store_on_renew(struct loop_timer *timer, void *userdata);
bool store_is_sole(struct store *s);     /* a read came: may the cache answer it? */
void store_sole_event(struct store *s, const struct wire_kv *kv, bool deleted); /* any key; most are none of ours */
const struct wire_kv *store_find_kv(const struct wire_answer *a, const char *key); /* NULL: it is not there */
/* Puts or deletes (VALUE.p NULL) KEY if its mod revision is EXPECTED. An answer that did not succeed has what
 * is there. Waits while another API server holds the claim. */
int store_write_fenced(struct store *s, const char *key, uint64_t expected, struct bytes value, int64_t lease,
                       struct strbuf *reply, struct wire_answer *ret, bool *ret_doubtful, struct error *reterr);

/* store-watch.c: the fiber that fills the cache */
void store_main(void *userdata);
void store_on_pulse(struct loop_timer *timer, void *userdata);
void store_on_compact(struct loop_timer *timer, void *userdata);
