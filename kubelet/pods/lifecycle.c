/* The pod's state machine, first half: events change facts.
 *
 * TRANSITIONS says which event a container takes in which state and where it leads; what is not in
 * it is late or out of turn and is dropped (an image that arrives for a pod that is being deleted,
 * the exit of an incarnation that has been replaced). After each event the second half,
 * lifecycle-plan.c, looks at the facts as a whole and decides what to do: so what an event means
 * never depends on which others came before it, only on what is true now.
 */
#include "lifecycle-internal.h"

#include <stdio.h>

#define X_NAME(name, ...) #name,
static const char *const pod_state_names[] = {POD_STATES(X_NAME)};
static const char *const container_state_names[] = {CONTAINER_STATES(X_NAME)};
static const char *const pod_event_names[] = {POD_EVENTS(X_NAME)};
static const char *const pod_action_names[] = {POD_ACTIONS(X_NAME)};
#undef X_NAME

const char *pod_state_name(enum pod_state s)
{
        return pod_state_names[s];
}
const char *container_state_name(enum container_state s)
{
        return container_state_names[s];
}
const char *pod_event_name(enum pod_event_type t)
{
        return pod_event_names[t];
}
const char *pod_action_name(enum pod_action_type t)
{
        return pod_action_names[t];
}

bool container_has_process(const struct lifecycle_container *c)
{
#define X_PROCESS(name, process, starting) process,
        static const bool table[] = {CONTAINER_STATES(X_PROCESS)};
#undef X_PROCESS
        return table[c->state];
}

bool container_is_starting(const struct lifecycle_container *c)
{
#define X_STARTING(name, process, starting) starting,
        static const bool table[] = {CONTAINER_STATES(X_STARTING)};
#undef X_STARTING
        return table[c->state];
}

void str_replace(char **dst, const char *src)
{
        char *copy = src ? xstrdup(src) : NULL;
        free(*dst);
        *dst = copy;
}

/* --- runs --- */

static void run_clear(struct container_run *r)
{
        free(r->id);
        free(r->image);
        free(r->image_id);
        free(r->reason);
        free(r->message);
        *r = (struct container_run){0};
}

static void run_copy(struct container_run *dst, const struct container_run *src)
{
        run_clear(dst);
        str_replace(&dst->id, src->id);
        str_replace(&dst->image, src->image);
        str_replace(&dst->image_id, src->image_id);
        str_replace(&dst->reason, src->reason);
        str_replace(&dst->message, src->message);
        dst->exit_code = src->exit_code;
        dst->started = src->started;
        dst->finished = src->finished;
}

/* --- actions --- */

struct pod_action *pod_action_add(struct pod_actions *a, enum pod_action_type type, struct lifecycle_container *c)
{
        array_reserve(a->items, a->cap, a->n + 1);
        struct pod_action *x = &a->items[a->n++];
        *x = (struct pod_action){.type = type, .container = c};
        return x;
}

void pod_record(struct pod_actions *a, struct lifecycle_container *c, bool warning, const char *reason,
                const char *fmt, ...)
{
        struct pod_action *x = pod_action_add(a, POD_RECORD, c);
        va_list ap;
        va_start(ap, fmt);
        x->message = xvasprintf(fmt, ap);
        va_end(ap);
        x->reason = reason;
        x->warning = warning;
}

void pod_actions_clear(struct pod_actions *a)
{
        for (size_t i = 0; i < a->n; i++)
                free(a->items[i].message);
        free(a->items);
        *a = (struct pod_actions)POD_ACTIONS_INIT;
}

/* --- the pod --- */

struct lifecycle *lifecycle_new(void)
{
        struct lifecycle *lc = new0(struct lifecycle);
        lc->arena = arena_new(512);
        lc->grace_ns = -1;
        return lc;
}

static void container_free(struct lifecycle_container *c)
{
        run_clear(&c->run);
        run_clear(&c->last);
        free(c->name);
        free(c->reason);
        free(c->message);
        free(c->next_reason);
        free(c->next_message);
        free(c->pull_error);
        free(c->run_image);
        free(c->kill_message);
        free(c);
}

void lifecycle_free(struct lifecycle *lc)
{
        if (!lc)
                return;
        for (size_t i = 0; i < lc->n; i++)
                container_free(lc->containers[i]);
        free(lc->containers);
        free(lc->ips[0]);
        free(lc->ips[1]);
        free(lc->phase);
        free(lc->reason);
        free(lc->message);
        free(lc->reported_phase);
        free(lc->disruption_reason);
        free(lc->disruption_message);
        free(lc->resize_pending_reason);
        free(lc->resize_pending_message);
        arena_free(lc->arena);
        free(lc);
}

struct lifecycle_container *lifecycle_find(const struct lifecycle *lc, const char *name)
{
        for (size_t i = 0; i < lc->n; i++)
                if (streq(lc->containers[i]->name, name))
                        return lc->containers[i];
        return NULL;
}

static void container_note(struct lifecycle *lc, const struct json *spec, enum container_kind kind, size_t at)
{
        const char *name = json_get_string(spec, "name");
        struct lifecycle_container *c = lifecycle_find(lc, name);
        if (!c) {
                c = new0(struct lifecycle_container);
                c->name = xstrdup(name ? name : "");
                array_reserve(lc->containers, lc->cap, lc->n + 1);
                memmove(lc->containers + at + 1, lc->containers + at, (lc->n - at) * sizeof(*lc->containers));
                lc->containers[at] = c;
                lc->n++;
        }
        c->kind = kind;
        c->spec = spec;
}

/* Takes the object: containers never leave a pod, only ephemeral ones join later. */
void lifecycle_prepare(struct lifecycle *lc, const struct json *pod)
{
        size_t at = 0;
        lc->pod = pod;
        json_foreach_item(json_path(pod, "spec.ephemeralContainers"), spec)
                container_note(lc, spec, KIND_EPHEMERAL, at++);
        json_foreach_item(json_path(pod, "spec.initContainers"), spec) {
                bool sidecar = streq(json_get_string(spec, "restartPolicy"), "Always");
                container_note(lc, spec, sidecar ? KIND_SIDECAR : KIND_INIT, at++);
        }
        json_foreach_item(json_path(pod, "spec.containers"), spec)
                container_note(lc, spec, KIND_APP, at++);
        lc->deleting = json_path(pod, "metadata.deletionTimestamp") != NULL;
}

void lifecycle_adopt(struct lifecycle *lc, struct lifecycle_container *c, const struct container_run *run,
                     const struct container_run *last, unsigned attempt)
{
        run_copy(&c->run, run);
        if (last)
                run_copy(&c->last, last);
        c->created_once = true;
        c->restarts = attempt;
        str_replace(&c->run_image, json_get_string(c->spec, "image"));
        c->resources = json_clone(lc->arena, json_get(c->spec, "resources"));
        if (run->finished)
                return;
        c->state = CONTAINER_RUNNING;
        c->started = !json_get(c->spec, "startupProbe");
        c->ready = c->started && !json_get(c->spec, "readinessProbe");
}

void lifecycle_adopt_sandbox(struct lifecycle *lc, const char *ip, const char *ip2)
{
        lc->sandbox_ready = true;
        str_replace(&lc->ips[0], ip);
        str_replace(&lc->ips[1], ip2);
}

/* --- what waits, and why --- */

void container_set_reason(struct lifecycle_container *c, const char *reason, const char *message, bool at_once)
{
        if (at_once) {
                str_replace(&c->reason, reason);
                str_replace(&c->message, message);
                str_replace(&c->next_reason, NULL);
                str_replace(&c->next_message, NULL);
        } else {
                str_replace(&c->next_reason, reason);
                str_replace(&c->next_message, message);
        }
}

void container_promote_reason(struct lifecycle *lc, struct lifecycle_container *c)
{
        c->next_at = 0;
        if (!c->next_reason)
                return;
        free(c->reason);
        free(c->message);
        c->reason = steal_ptr(c->next_reason);
        c->message = steal_ptr(c->next_message);
        lc->status_dirty = true;
}

/* An attempt to start failed before there was a process. */
static void container_start_failed(struct lifecycle *lc, struct lifecycle_container *c, const char *reason,
                                   const char *message, int64_t retry_at)
{
        c->state = CONTAINER_IDLE;
        c->retry_at = retry_at;
        /* The first failure is news; later ones follow the rhythm of the retries. */
        container_set_reason(c, reason, message, !c->reason);
        lc->status_dirty = true;
}

/* --- container events --- */

static void on_image_absent(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                            struct pod_actions *out)
{
        const char *image = json_get_string(c->spec, "image");
        if (streq(json_get_string(c->spec, "imagePullPolicy"), "Never")) {
                _cleanup_free_ char *text = xasprintf(
                        "Container image \"%s\" is not present with pull policy of Never", image);
                pod_record(out, c, true, "ErrImageNeverPull", "%s", text);
                pod_record(out, c, true, "Failed", "Error: ErrImageNeverPull");
                container_start_failed(lc, c, "ErrImageNeverPull", text, ev->now + RETRY_SYNC);
                return;
        }
        if (backoff_active(&c->pull, c->pull.updated, ev->now)) {
                _cleanup_free_ char *text = xasprintf("Back-off pulling image \"%s\": ErrImagePull: %s", image,
                                                      c->pull_error ? c->pull_error : "");
                pod_record(out, c, false, "BackOff", "Back-off pulling image \"%s\"", image);
                pod_record(out, c, true, "Failed", "Error: ImagePullBackOff");
                container_start_failed(lc, c, "ImagePullBackOff", text,
                                       backoff_until(&c->pull, c->pull.updated));
                c->next_at = ev->now + RETRY_SYNC;
                return;
        }
        c->state = CONTAINER_PULLING;
        pod_record(out, c, false, "Pulling", "Pulling image \"%s\"", image);
        pod_action_add(out, POD_PULL_IMAGE, c);
}

static void on_image_present(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                             struct pod_actions *out)
{
        if (streq(json_get_string(c->spec, "imagePullPolicy"), "Always")) {
                on_image_absent(lc, c, ev, out);
                return;
        }
        pod_record(out, c, false, "Pulled",
                   "Container image \"%s\" already present on machine and can be accessed by the pod",
                   json_get_string(c->spec, "image"));
        pod_action_add(out, POD_CREATE, c)->attempt = c->created_once ? c->restarts + 1 : 0;
}

static void on_image_invalid(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                             struct pod_actions *out)
{
        pod_record(out, c, true, "InspectFailed", "%s", ev->message);
        pod_record(out, c, true, "Failed", "Error: InvalidImageName");
        container_start_failed(lc, c, "InvalidImageName", ev->message, ev->now + RETRY_SYNC);
}

static void on_image_pulled(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                            struct pod_actions *out)
{
        pod_record(out, c, false, "Pulled", "%s", ev->message);
        c->pull = (struct backoff){0};
        pod_action_add(out, POD_CREATE, c)->attempt = c->created_once ? c->restarts + 1 : 0;
}

static void on_image_failed(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                            struct pod_actions *out)
{
        const char *image = json_get_string(c->spec, "image");
        bool first = c->pull.delay == 0;
        pod_record(out, c, true, "Failed", "Failed to pull image \"%s\": %s", image, ev->message);
        pod_record(out, c, true, "Failed", "Error: ErrImagePull");
        str_replace(&c->pull_error, ev->message);
        backoff_next(&c->pull, ev->now, ev->now);
        /* Upstream looks again as soon as it notices the new sandbox, and finds the backoff. */
        container_start_failed(lc, c, "ErrImagePull", ev->message,
                               first ? ev->now + NS_PER_SEC : ev->now + RETRY_SYNC);
}

static void on_created(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                       struct pod_actions *out)
{
        if (lc->state != POD_RUNNING) { /* too late: it goes with the sandbox */
                c->state = CONTAINER_IDLE;
                return;
        }
        if (c->created_once)
                c->restarts++;
        c->created_once = true;
        run_clear(&c->last);
        c->last = c->run;
        c->run = (struct container_run){0};
        str_replace(&c->run.id, ev->id);
        str_replace(&c->run.image, ev->image);
        str_replace(&c->run.image_id, ev->image_id);
        str_replace(&c->run_image, json_get_string(c->spec, "image"));
        c->resources = json_clone(lc->arena, json_get(c->spec, "resources"));
        pod_record(out, c, false, "Created", "Container created");
        pod_action_add(out, POD_START, c);
}

static void on_create_failed(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                             struct pod_actions *out)
{
        if (lc->state != POD_RUNNING)
                return;
        pod_record(out, c, true, "Failed", "Error: %s", ev->message);
        container_start_failed(lc, c, ev->reason, ev->message, ev->now + RETRY_SYNC);
}

static void on_started(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                       struct pod_actions *out)
{
        c->run.started = ev->time ? ev->time : ev->now;
        c->restart_now = false;
        c->hook_failed = false;
        c->started = !json_get(c->spec, "startupProbe");
        c->ready = c->started && !json_get(c->spec, "readinessProbe") && c->kind != KIND_EPHEMERAL;
        pod_record(out, c, false, "Started", "Container started");
        if (c->kind != KIND_EPHEMERAL && json_path(c->spec, "lifecycle.postStart")) {
                c->state = CONTAINER_POSTSTART;
                pod_action_add(out, POD_POST_START, c);
                return;
        }
        container_set_reason(c, NULL, NULL, true);
        pod_action_add(out, POD_PROBE, c);
        lc->status_dirty = true;
}

/* The runtime refused: to the API that is an incarnation that ended at once. */
static void on_start_failed(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                            struct pod_actions *out)
{
        pod_record(out, c, true, "Failed", "Error: %s", ev->message);
        c->run.exit_code = 128;
        str_replace(&c->run.reason, "StartError");
        str_replace(&c->run.message, ev->message);
        c->run.started = 0;
        c->run.finished = ev->now;
        c->restart_now = false;
        container_start_failed(lc, c, "RunContainerError", ev->message, 0);
}

static void on_hook_done(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                         struct pod_actions *out)
{
        container_set_reason(c, NULL, NULL, true);
        pod_action_add(out, POD_PROBE, c);
        lc->status_dirty = true;
}

static void on_hook_failed(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                           struct pod_actions *out)
{
        c->hook_failed = true;
        pod_record(out, c, true, "FailedPostStartHook", "PostStartHook failed");
        container_set_reason(c, "PostStartHookError", ev->message, true);
        container_stop(lc, c, lifecycle_spec_grace(lc), false, xstrdup("FailedPostStartHook"), out);
}

static void on_exited(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                      struct pod_actions *out)
{
        c->run.exit_code = ev->code;
        c->run.finished = ev->time ? ev->time : ev->now;
        str_replace(&c->run.reason, ev->reason       ? ev->reason
                                    : ev->oom        ? "OOMKilled"
                                    : ev->code == 0 ? "Completed"
                                                     : "Error");
        str_replace(&c->run.message, str_empty(ev->message) ? NULL : ev->message);
        str_replace(&c->kill_message, NULL);
        c->started = c->ready = false;
        c->retry_at = 0;
        /* The other containers' reasons come into view now: the pod is looked at again. */
        for (size_t i = 0; i < lc->n; i++)
                if (lc->containers[i] != c)
                        container_promote_reason(lc, lc->containers[i]);
        pod_action_add(out, POD_UNPROBE, c);
        lc->status_dirty = true;
}

typedef void container_event_fn(struct lifecycle *lc, struct lifecycle_container *c, const struct pod_event *ev,
                                struct pod_actions *out);

/*      event                     in state               leads to              what else */
#define TRANSITIONS(X)                                                                             \
        X(POD_EVENT_IMAGE_PRESENT, CONTAINER_INSPECTING, CONTAINER_CREATING, on_image_present)     \
        X(POD_EVENT_IMAGE_ABSENT, CONTAINER_INSPECTING, CONTAINER_INSPECTING, on_image_absent)     \
        X(POD_EVENT_IMAGE_INVALID, CONTAINER_INSPECTING, CONTAINER_IDLE, on_image_invalid)         \
        X(POD_EVENT_IMAGE_PULLED, CONTAINER_PULLING, CONTAINER_CREATING, on_image_pulled)          \
        X(POD_EVENT_IMAGE_FAILED, CONTAINER_PULLING, CONTAINER_IDLE, on_image_failed)              \
        X(POD_EVENT_CREATED, CONTAINER_CREATING, CONTAINER_STARTING, on_created)                   \
        X(POD_EVENT_CREATE_FAILED, CONTAINER_CREATING, CONTAINER_IDLE, on_create_failed)           \
        X(POD_EVENT_STARTED, CONTAINER_STARTING, CONTAINER_RUNNING, on_started)                    \
        X(POD_EVENT_START_FAILED, CONTAINER_STARTING, CONTAINER_IDLE, on_start_failed)             \
        X(POD_EVENT_HOOK_DONE, CONTAINER_POSTSTART, CONTAINER_RUNNING, on_hook_done)               \
        X(POD_EVENT_HOOK_FAILED, CONTAINER_POSTSTART, CONTAINER_STOPPING, on_hook_failed)          \
        X(POD_EVENT_EXITED, CONTAINER_POSTSTART, CONTAINER_IDLE, on_exited)                        \
        X(POD_EVENT_EXITED, CONTAINER_RUNNING, CONTAINER_IDLE, on_exited)                          \
        X(POD_EVENT_EXITED, CONTAINER_STOPPING, CONTAINER_IDLE, on_exited)

static const struct {
        enum pod_event_type event;
        enum container_state from, to;
        container_event_fn *fn;
} transitions[] = {
#define X_ROW(event, from, to, fn) {event, from, to, fn},
        TRANSITIONS(X_ROW)
#undef X_ROW
};

static void container_event(struct lifecycle *lc, const struct pod_event *ev, struct pod_actions *out)
{
        struct lifecycle_container *c = ev->container;
        if (ev->type == POD_EVENT_EXITED && ev->id && !streq(ev->id, c->run.id))
                return; /* of an incarnation long replaced */
        for (size_t i = 0; i < ARRAY_SIZE(transitions); i++) {
                if (transitions[i].event != ev->type || transitions[i].from != c->state)
                        continue;
                c->state = transitions[i].to;
                transitions[i].fn(lc, c, ev, out);
                return;
        }
}

/* --- probes and resizes --- */

static void on_probe(struct lifecycle *lc, const struct pod_event *ev, struct pod_actions *out)
{
        struct lifecycle_container *c = ev->container;
        if (c->state != CONTAINER_RUNNING || (ev->id && !streq(ev->id, c->run.id)))
                return;
        lc->status_dirty = true;
        if (ev->probe == PROBE_READINESS) {
                c->ready = ev->success && c->started;
                return;
        }
        if (ev->success) {
                if (ev->probe == PROBE_STARTUP && !c->started) {
                        c->started = true;
                        c->ready = !json_get(c->spec, "readinessProbe");
                }
                return;
        }
        if (lc->state != POD_RUNNING)
                return;
        const char *kind = ev->probe == PROBE_STARTUP ? "startup" : "liveness";
        const struct json *probe = json_get(c->spec, ev->probe == PROBE_STARTUP ? "startupProbe" : "livenessProbe");
        bool restart = c->kind == KIND_SIDECAR ||
                       !streq(json_path_string(lc->pod, "spec.restartPolicy"), "Never");
        int64_t grace = json_get_int(probe, "terminationGracePeriodSeconds", -1);
        container_stop(lc, c, grace >= 0 ? grace * NS_PER_SEC : lifecycle_spec_grace(lc), restart,
                       xasprintf("Container %s failed %s probe%s", c->name, kind,
                                 restart ? ", will be restarted" : ""),
                       out);
}

/* Members as upstream's Go types have them: clients see this text. */
static char *resize_text(struct lifecycle *lc, struct lifecycle_container *c)
{
        static const char *const order[] = {"limits", "requests", "claims"};
        struct arena *a = lc->arena;
        struct json *top = json_new_object(a), *list = json_ensure_array(a, top, "containers");
        struct json *item = json_new_object(a);
        json_set_string(a, item, "name", c->name);
        struct json *resources = json_ensure_object(a, item, "resources");
        for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
                const struct json *x = json_path(c->spec, "resources");
                if (json_get(x, order[i]))
                        json_set(a, resources, order[i], json_clone(a, json_get(x, order[i])));
        }
        json_append(a, list, item);
        json_set_int(a, top, "generation", json_path_int(lc->pod, "metadata.generation", 0));
        return json_print(a, top);
}

static void on_resized(struct lifecycle *lc, const struct pod_event *ev, struct pod_actions *out)
{
        struct lifecycle_container *c = ev->container;
        c->resizing = false;
        lc->status_dirty = true;
        if (ev->success) {
                c->resources = json_clone(lc->arena, json_get(c->spec, "resources"));
                pod_record(out, NULL, false, "ResizeCompleted", "Pod resize completed: %s", resize_text(lc, c));
        } else {
                pod_record(out, NULL, true, "ResizeError", "Error resizing containers: %s", ev->message);
        }
}

/* A running container whose spec now asks for other resources than it was given. */
static void lifecycle_check_resize(struct lifecycle *lc, struct pod_actions *out)
{
        for (size_t i = 0; i < lc->n; i++) {
                struct lifecycle_container *c = lc->containers[i];
                const struct json *want = json_get(c->spec, "resources");
                if (c->state != CONTAINER_RUNNING || c->resizing || c->kind == KIND_EPHEMERAL ||
                    lc->resize_pending_reason || json_equal(want, c->resources) ||
                    (json_len(want) == 0 && json_len(c->resources) == 0))
                        continue;
                c->resizing = true;
                pod_record(out, NULL, false, "ResizeStarted", "Pod resize started: %s", resize_text(lc, c));
                pod_action_add(out, POD_RESIZE, c);
                lc->status_dirty = true;
        }
}

/* --- pod events --- */

int64_t lifecycle_spec_grace(const struct lifecycle *lc)
{
        return json_path_int(lc->pod, "spec.terminationGracePeriodSeconds", 30) * NS_PER_SEC;
}

/* Did anything change but the status? Most objects that come in are the echo of our own writes. */
static bool spec_changed(const struct json *old, const struct json *new)
{
        static const char *const parts[] = {"spec", "metadata.labels", "metadata.annotations",
                                            "metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds"};
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                if (!json_equal(json_path(old, parts[i]), json_path(new, parts[i])))
                        return true;
        return false;
}

static void on_spec(struct lifecycle *lc, const struct pod_event *ev, struct pod_actions *out)
{
        bool changed = !lc->pod || spec_changed(lc->pod, ev->pod);
        if (lc->start_time == 0) {
                const char *t = json_path_string(ev->pod, "status.startTime");
                if (!t || time_parse(t, &lc->start_time) < 0)
                        lc->start_time = ev->now;
        }
        lifecycle_prepare(lc, ev->pod);
        lc->status_dirty = true;
        for (size_t i = 0; changed && i < lc->n; i++)
                container_promote_reason(lc, lc->containers[i]);
        if (lc->deleting && lc->state < POD_DONE) {
                int64_t grace = json_path_int(lc->pod, "metadata.deletionGracePeriodSeconds", 0) * NS_PER_SEC;
                lifecycle_terminate(lc, ev->now, grace);
        }
        if (lc->state == POD_RUNNING)
                lifecycle_check_resize(lc, out);
        /* A pod that ended before this kubelet began: nothing of it is to be started again. */
        const char *phase = json_path_string(ev->pod, "status.phase");
        if (lc->state == POD_NEW && (streq(phase, "Succeeded") || streq(phase, "Failed"))) {
                str_replace(&lc->phase, phase);
                str_replace(&lc->reason, json_path_string(ev->pod, "status.reason"));
                str_replace(&lc->message, json_path_string(ev->pod, "status.message"));
                lc->frozen = true;
                lifecycle_terminate(lc, ev->now, -1);
        }
}

static void lifecycle_force(struct lifecycle *lc, const char *phase, const char *reason, const char *message)
{
        str_replace(&lc->phase, phase);
        str_replace(&lc->reason, reason);
        str_replace(&lc->message, message);
        lc->status_dirty = true;
}

static void pod_event(struct lifecycle *lc, const struct pod_event *ev, struct pod_actions *out)
{
        switch (ev->type) {
        case POD_EVENT_SPEC:
                on_spec(lc, ev, out);
                break;
        case POD_EVENT_REMOVED:
                lc->removed = true;
                lifecycle_terminate(lc, ev->now, ev->grace_ns);
                break;
        case POD_EVENT_REJECTED:
                lifecycle_force(lc, "Failed", ev->reason, ev->message);
                pod_record(out, NULL, true, ev->reason ? ev->reason : "Rejected", "%s", ev->message);
                lc->state = POD_DONE;
                break;
        case POD_EVENT_EVICTED:
                if (lc->state >= POD_TERMINATING)
                        break;
                pod_record(out, NULL, true, "Evicted", "%s", ev->message);
                lifecycle_force(lc, "Failed", ev->reason, ev->message);
                lifecycle_terminate(lc, ev->now, ev->grace_ns);
                break;
        case POD_EVENT_VOLUMES_READY:
                lc->volumes_ready = true;
                if (lc->state == POD_VOLUMES)
                        lc->state = POD_SANDBOX;
                lc->busy = false;
                lc->retry_at = 0;
                break;
        case POD_EVENT_VOLUMES_FAILED:
                lc->busy = false;
                lc->retry_at = ev->time ? ev->time : ev->now + RETRY_SYNC;
                break;
        case POD_EVENT_SANDBOX_READY:
                lifecycle_adopt_sandbox(lc, ev->ips[0], ev->ips[1]);
                if (lc->state == POD_SANDBOX)
                        lc->state = POD_RUNNING;
                lc->busy = false;
                lc->retry_at = 0;
                lc->status_dirty = true;
                break;
        case POD_EVENT_SANDBOX_FAILED:
                if (lc->state == POD_SANDBOX)
                        pod_record(out, NULL, true, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", ev->message);
                lc->busy = false;
                lc->retry_at = ev->now + RETRY_SYNC;
                break;
        case POD_EVENT_SANDBOX_DIED:
                if (lc->state == POD_RUNNING) {
                        pod_record(out, NULL, false, "SandboxChanged",
                                   "Pod sandbox changed, it will be killed and re-created.");
                        lc->state = POD_SANDBOX;
                        lc->retry_at = 0;
                }
                lc->sandbox_ready = false;
                lc->status_dirty = true;
                break;
        case POD_EVENT_CLEANED:
                if (lc->state == POD_CLEANING)
                        lc->state = POD_DONE;
                lc->busy = false;
                lc->sandbox_ready = lc->volumes_ready = false;
                lc->status_dirty = true;
                break;
        case POD_EVENT_RESIZE_REFUSED:
                str_replace(&lc->resize_pending_reason, ev->reason);
                str_replace(&lc->resize_pending_message, ev->message);
                lc->status_dirty = true;
                break;
        default:
                break;
        }
}

void lifecycle_step(struct lifecycle *lc, const struct pod_event *ev, struct pod_actions *actions)
{
        if (ev->type == POD_EVENT_PROBE)
                on_probe(lc, ev, actions);
        else if (ev->type == POD_EVENT_RESIZED)
                on_resized(lc, ev, actions);
        else if (ev->container)
                container_event(lc, ev, actions);
        else
                pod_event(lc, ev, actions);
        lifecycle_plan(lc, ev->now, actions);
}
