/* The life of a pod on its node, as a pure state machine: step(state, event) -> actions.
 *
 * Nothing here touches a socket, a file or a clock. The time is in the event; what is to be done
 * comes back as a list of actions that the driver (driver.h) carries out, and whose results it
 * reports as further events. The same events in the same order give the same actions: that is how
 * it is tested.
 *
 * A pod passes through the states of POD_STATES from top to bottom; a container moves through those
 * of CONTAINER_STATES in circles. At most one container of a pod is being started at a time, in the
 * order ephemeral, init, app: as upstream's kubelet, a postStart hook holds back what follows it.
 */
#pragma once

#include "../../lib/json/json.h"
#include "backoff.h"

/*      state               what is going on */
#define POD_STATES(X)                                                                              \
        X(POD_NEW)         /* nothing has been done yet */                                         \
        X(POD_VOLUMES)     /* volumes are being mounted (again and again while that fails) */      \
        X(POD_SANDBOX)     /* namespaces and network are being made */                             \
        X(POD_RUNNING)     /* containers come and go */                                            \
        X(POD_TERMINATING) /* containers are being stopped */                                      \
        X(POD_CLEANING)    /* sandbox and volumes are being taken down */                          \
        X(POD_DONE)        /* nothing is left on the node; the final status is being written */    \
        X(POD_GONE)        /* and the API no longer has it: forget it */

/*      state                 a process exists, it is being started */
#define CONTAINER_STATES(X)                                                                        \
        X(CONTAINER_IDLE, false, false)       /* none; `run` tells how the last one ended */       \
        X(CONTAINER_INSPECTING, false, true)  /* looking for the image in the store */             \
        X(CONTAINER_PULLING, false, true)                                                          \
        X(CONTAINER_CREATING, false, true)                                                         \
        X(CONTAINER_STARTING, false, true)                                                         \
        X(CONTAINER_POSTSTART, true, true)    /* it runs, its postStart hook too */                \
        X(CONTAINER_RUNNING, true, false)                                                          \
        X(CONTAINER_STOPPING, true, false)    /* preStop, TERM, then KILL */

#define X_NAME(name, ...) name,
enum pod_state { POD_STATES(X_NAME) };
enum container_state { CONTAINER_STATES(X_NAME) };
#undef X_NAME
const char *pod_state_name(enum pod_state s);
const char *container_state_name(enum container_state s);

enum container_kind {
        KIND_EPHEMERAL,
        KIND_INIT,
        KIND_SIDECAR, /* an init container with restartPolicy Always */
        KIND_APP,
};

/* One incarnation of a container: what status.state and status.lastState are made of. */
struct container_run {
        char *id;          /* the runtime's; NULL: there is none */
        char *image;       /* as the runtime names it */
        char *image_id;
        char *reason;      /* of a finished one: "Completed", "Error", "OOMKilled", "StartError" */
        char *message;     /* termination message; may be NULL */
        int exit_code;
        int64_t started, finished; /* realtime; finished 0: it runs */
};

struct lifecycle_container {
        char *name;
        enum container_kind kind;
        const struct json *spec;   /* in the pod object that the last POD_EVENT_SPEC brought */
        enum container_state state;
        struct container_run run, last; /* the present or latest one, and the one before */
        unsigned restarts;
        bool created_once;         /* an incarnation was made: the next one is a restart */
        struct backoff crash, pull;
        int64_t retry_at;          /* realtime; not tried again before; 0: at once */
        /* Why it waits. `next_*` becomes what is shown when the pod is looked at again (next_at at
         * the latest): clients see how a container ended before they see that it backs off. */
        char *reason, *message, *next_reason, *next_message;
        int64_t next_at;
        char *pull_error;          /* of the last pull: part of ImagePullBackOff's message */
        char *run_image;           /* spec.image that the present run was made of */
        struct json *resources;    /* as applied to the present run; in the lifecycle's arena */
        char *kill_message;        /* of the stop under way */
        bool restart_now;          /* it was stopped to be started anew: no backoff */
        bool hook_failed;
        bool started, ready;       /* as far as startup and readiness probes go */
        bool resizing;
        void *driver;              /* the driver's */
};

struct lifecycle {
        const struct json *pod;    /* borrowed; replaced by POD_EVENT_SPEC */
        struct arena *arena;       /* for what lives as long as the pod */
        enum pod_state state;
        struct lifecycle_container **containers; /* ephemeral, init, app: in the order of the spec */
        size_t n, cap;
        int64_t start_time;        /* status.startTime */
        char *ips[2];              /* podIPs, once the sandbox is there */
        bool sandbox_ready, volumes_ready;
        bool removed;              /* the API no longer has it */
        bool deleting;             /* deletionTimestamp is set */
        bool deleted_sent;
        char *phase;               /* forced: of a rejected, evicted or expired pod. NULL: computed */
        char *reason, *message;    /* status.reason and status.message */
        char *reported_phase;      /* the last one that was not forced by a half-done termination */
        int64_t grace_until;       /* while terminating */
        int64_t grace_ns;
        bool busy;                 /* volumes, sandbox or cleaning: an action is under way */
        int64_t retry_at;          /* of that action after it failed; 0: at once */
        bool frozen;               /* it had ended before we came: its status is not ours to write */
        bool hurry;                /* the grace period was shortened: stop again */
        char *disruption_reason, *disruption_message; /* condition DisruptionTarget; NULL: none */
        char *resize_pending_reason, *resize_pending_message; /* condition PodResizePending */
        int64_t wake_at;           /* OUT: send POD_EVENT_TIMER then; 0: no need */
        bool status_dirty;
        /* The containers have ended, and the API is to hear that before it hears the phase that follows:
         * the driver takes this back once it has written the status. */
        bool phase_held;
};

/*      event                     what it brings */
#define POD_EVENTS(X)                                                                              \
        X(POD_EVENT_SPEC)            /* pod: new or changed object */                              \
        X(POD_EVENT_REMOVED)         /* the object is gone from the API */                         \
        X(POD_EVENT_REJECTED)        /* reason, message: not admitted on this node */              \
        X(POD_EVENT_EVICTED)         /* reason, message, grace_ns */                               \
        X(POD_EVENT_VOLUMES_READY)                                                                 \
        X(POD_EVENT_VOLUMES_FAILED)  /* message: its event has been recorded */                    \
        X(POD_EVENT_SANDBOX_READY)   /* ips */                                                     \
        X(POD_EVENT_SANDBOX_FAILED)  /* message */                                                 \
        X(POD_EVENT_SANDBOX_DIED)                                                                  \
        X(POD_EVENT_CLEANED)         /* sandbox and volumes are gone */                            \
        X(POD_EVENT_IMAGE_PRESENT)   /* container */                                               \
        X(POD_EVENT_IMAGE_ABSENT)    /* container */                                               \
        X(POD_EVENT_IMAGE_INVALID)   /* container, message */                                      \
        X(POD_EVENT_IMAGE_PULLED)    /* container, message: "Successfully pulled ..." */           \
        X(POD_EVENT_IMAGE_FAILED)    /* container, message */                                      \
        X(POD_EVENT_CREATED)         /* container, id, image, image_id */                          \
        X(POD_EVENT_CREATE_FAILED)   /* container, reason, message */                              \
        X(POD_EVENT_STARTED)         /* container, time */                                         \
        X(POD_EVENT_START_FAILED)    /* container, message */                                      \
        X(POD_EVENT_HOOK_DONE)       /* container: postStart went well */                          \
        X(POD_EVENT_HOOK_FAILED)     /* container, message */                                      \
        X(POD_EVENT_EXITED)          /* container, id, code, oom, message, time */                 \
        X(POD_EVENT_PROBE)           /* container, probe, success */                               \
        X(POD_EVENT_RESIZED)         /* container, success, message */                             \
        X(POD_EVENT_RESIZE_REFUSED)  /* reason (Deferred, Infeasible), message; NULL: none */      \
        X(POD_EVENT_TIMER)           /* wake_at has come */                                        \
        X(POD_EVENT_DELETED)         /* the API server took our deletion */
#define X_NAME(name) name,
enum pod_event_type { POD_EVENTS(X_NAME) };
#undef X_NAME
const char *pod_event_name(enum pod_event_type t);

enum probe_kind { PROBE_STARTUP, PROBE_READINESS, PROBE_LIVENESS };

struct pod_event {
        enum pod_event_type type;
        int64_t now; /* realtime */
        struct lifecycle_container *container;
        const struct json *pod;
        const char *id, *image, *image_id, *reason, *message;
        const char *ips[2];
        int code;
        bool oom, success;
        enum probe_kind probe;
        int64_t time;     /* of the start or the end; 0: now */
        int64_t grace_ns; /* < 0: the pod's own */
};

#define POD_ACTIONS(X)                                                                             \
        X(POD_MOUNT_VOLUMES)                                                                       \
        X(POD_MAKE_SANDBOX)                                                                        \
        X(POD_CLEAN)           /* remove the sandbox, then unmount the volumes */                  \
        X(POD_INSPECT_IMAGE)   /* container */                                                     \
        X(POD_PULL_IMAGE)      /* container */                                                     \
        X(POD_CREATE)          /* container, attempt */                                            \
        X(POD_START)           /* container */                                                     \
        X(POD_POST_START)      /* container */                                                     \
        X(POD_STOP)            /* container, grace_ns */                                           \
        X(POD_PROBE)           /* container: begin its probes */                                   \
        X(POD_UNPROBE)         /* container: end them */                                           \
        X(POD_RESIZE)          /* container: apply spec.resources */                               \
        X(POD_RECORD)          /* an Event: container (NULL: about the pod), warning, reason, message */ \
        X(POD_DELETE)          /* from the API, grace 0, once the status is written */
#define X_NAME(name) name,
enum pod_action_type { POD_ACTIONS(X_NAME) };
#undef X_NAME
const char *pod_action_name(enum pod_action_type t);

struct pod_action {
        enum pod_action_type type;
        struct lifecycle_container *container;
        unsigned attempt;
        int64_t grace_ns;
        bool warning;
        const char *reason; /* a literal */
        char *message;      /* owned by the list */
};
struct pod_actions {
        struct pod_action *items;
        size_t n, cap;
};
#define POD_ACTIONS_INIT                                                                           \
        {                                                                                          \
                0                                                                                  \
        }
void pod_actions_clear(struct pod_actions *a); /* and frees: ready for the next step */

struct lifecycle *lifecycle_new(void);
void lifecycle_free(struct lifecycle *lc);

/* Moves on. Appends to ACTIONS; sets wake_at and status_dirty. */
void lifecycle_step(struct lifecycle *lc, const struct pod_event *ev, struct pod_actions *actions);

/* For a kubelet that starts and finds the pod's containers: call after the first POD_EVENT_SPEC has
 * been prepared with lifecycle_prepare(), before it is stepped. RUN is copied. */
void lifecycle_prepare(struct lifecycle *lc, const struct json *pod);
void lifecycle_adopt(struct lifecycle *lc, struct lifecycle_container *c, const struct container_run *run,
                     const struct container_run *last, unsigned attempt);
void lifecycle_adopt_sandbox(struct lifecycle *lc, const char *ip, const char *ip2);

struct lifecycle_container *lifecycle_find(const struct lifecycle *lc, const char *name);
bool container_has_process(const struct lifecycle_container *c);
bool container_is_starting(const struct lifecycle_container *c);
/* Would it be started again, now that it ended as `run` says? */
bool container_should_restart(const struct lifecycle *lc, const struct lifecycle_container *c);
/* Pending, Running, Succeeded or Failed from the containers' states alone; TERMINAL: nothing will be
 * started any more. */
const char *lifecycle_phase(const struct lifecycle *lc, bool terminal);
bool lifecycle_initialized(const struct lifecycle *lc); /* an app container has been created */

/* What status.state shows of a container. */
enum container_view { VIEW_WAITING, VIEW_RUNNING, VIEW_TERMINATED };
enum container_view container_view(const struct lifecycle_container *c);
