/* Carries out what the lifecycle of one pod asks for, and tells it what came of it.
 *
 * Each action is a fiber; results come back as events, which are queued while a step runs, so that
 * the state machine never sees itself half-way. Everything that touches the pod's sandbox or
 * volumes holds `lock`.
 */
#pragma once

#include "../../lib/base/list.h"
#include "../kubelet.h"
#include "lifecycle.h"

struct pod_worker {
        struct kubelet *k;
        unsigned refs;
        char *uid, *key;              /* key: "namespace/name" */
        struct object *object;        /* what the lifecycle reads */
        struct object *api;           /* as the API server has it: of a static pod, its mirror. NULL: not there */
        struct lifecycle *lc;
        struct list queue;            /* struct queued_event */
        bool stepping, gone;
        struct loop_timer *timer, *volume_timer;
        struct fiber_mutex lock;
        char *sandbox_id;
        unsigned sandbox_attempt;
        unsigned volume_failures;
        char *volume_error;           /* told last: the same one is not told at every retry */
        /* the status, as written last */
        struct arena *status_arena;
        struct json *status;
        struct arena *base_arena;     /* the API's answer to our last write, until the watch brings it */
        struct json *base;
        bool status_writing, status_again, delete_wanted;
        struct fiber *status_waiter;  /* it waits a moment for more to be said */
        bool is_static;
};

/* What belongs to a container beside its lifecycle. */
struct container_data {
        struct probe_set *probes;
        char *image_id;
        struct pod_worker *worker;
        struct lifecycle_container *container;
};

struct pod_worker *worker_new(struct kubelet *k, struct object *o, bool is_static);
struct pod_worker *worker_ref(struct pod_worker *w);
void worker_unref(struct pod_worker *w);
/* Queues a copy of the event and steps, now or after the step under way. `now` is filled in. */
void worker_post(struct pod_worker *w, const struct pod_event *ev);
void worker_spec(struct pod_worker *w, struct object *o);   /* a new object */
void worker_status(struct pod_worker *w);                   /* write it, soon */
void worker_record(struct pod_worker *w, const struct lifecycle_container *c, bool warning, const char *reason,
                   const char *message);
struct container_data *container_data(struct pod_worker *w, struct lifecycle_container *c);
struct lifecycle_container *worker_container_by_id(struct pod_worker *w, const char *id);
/* The pod with the addresses that are known now in its status: what env and downward volumes read. */
struct json *worker_pod_view(struct pod_worker *w, struct arena *a);
char *worker_log_directory(const struct pod_worker *w, struct arena *a);

/* actions.c */
void worker_act(struct pod_worker *w, const struct pod_action *action);
void worker_check_exit(struct pod_worker *w, const char *container_id); /* asks the runtime, posts POD_EVENT_EXITED */
void worker_remove(struct pod_worker *w); /* POD_GONE: sandbox, volumes, logs; then forgets it */

/* For kubelets that start: what the runtime already has. */
struct adopted_pod {
        struct arena *arena;
        struct runtime_sandbox sandbox;
        struct runtime_container *containers; /* by creation */
        size_t n, cap;
};
void worker_adopt(struct pod_worker *w, const struct adopted_pod *p);
void adopted_pod_free(struct adopted_pod *p);
