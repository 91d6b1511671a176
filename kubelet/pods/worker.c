/* The driver of one pod: its events, its timer and the writing of its status. See worker.h. */
#include "worker.h"

#include <errno.h>
#include <stdio.h>

#include "../../lib/base/log.h"
#include "status.h"
#include "termination.h"

struct queued_event {
        struct list list;
        struct arena *arena;
        struct pod_event ev;
};

static void status_fiber(void *userdata);

/* --- life --- */

static void timer_fire(struct loop_timer *timer, void *userdata)
{
        worker_post(userdata, &(struct pod_event){.type = POD_EVENT_TIMER});
}

struct pod_worker *worker_new(struct kubelet *k, struct object *o, bool is_static)
{
        struct pod_worker *w = new0(struct pod_worker);
        w->k = k;
        w->refs = 1;
        w->uid = xstrdup(o->uid);
        w->key = xstrdup(o->key);
        w->is_static = is_static;
        w->lc = lifecycle_new();
        list_init(&w->queue);
        w->timer = loop_timer_new(k->loop, timer_fire, w);
        map_put(&k->workers, w->uid, w);
        return w;
}

struct pod_worker *worker_ref(struct pod_worker *w)
{
        w->refs++;
        return w;
}

static void queued_event_free(struct queued_event *q)
{
        list_remove(&q->list);
        arena_free(q->arena);
}

void worker_unref(struct pod_worker *w)
{
        if (--w->refs)
                return;
        for (size_t i = 0; i < w->lc->n; i++) {
                struct container_data *d = w->lc->containers[i]->driver;
                if (!d)
                        continue;
                probe_set_free(d->probes);
                free(d->image_id);
                free(d);
        }
        list_foreach_safe(&w->queue, it, tmp)
                queued_event_free(list_entry(it, struct queued_event, list));
        lifecycle_free(w->lc);
        loop_timer_free(w->timer);
        loop_timer_free(w->volume_timer);
        object_unref(w->object);
        object_unref(w->api);
        arena_free(w->status_arena);
        arena_free(w->base_arena);
        free(w->volume_error);
        free(w->sandbox_id);
        free(w->uid);
        free(w->key);
        free(w->lock.waiters);
        free(w);
}

struct container_data *container_data(struct pod_worker *w, struct lifecycle_container *c)
{
        if (!c->driver) {
                struct container_data *d = new0(struct container_data);
                d->worker = w;
                d->container = c;
                c->driver = d;
        }
        return c->driver;
}

struct lifecycle_container *worker_container_by_id(struct pod_worker *w, const char *id)
{
        for (size_t i = 0; i < w->lc->n; i++)
                if (streq(w->lc->containers[i]->run.id, id))
                        return w->lc->containers[i];
        return NULL;
}

char *worker_log_directory(const struct pod_worker *w, struct arena *a)
{
        const struct kubelet_config *cfg = &w->k->config;
        return arena_printf(a, "%s%s/%s_%s_%s", cfg->log_dir ? cfg->log_dir : cfg->root, cfg->log_dir ? "" : "/logs", w->object->namespace, w->object->name, w->uid);
}

/* --- events --- */

static void event_copy(struct queued_event *q, const struct pod_event *ev)
{
        struct arena *a = q->arena;
        q->ev = *ev;
        q->ev.id = arena_strdup(a, ev->id);
        q->ev.image = arena_strdup(a, ev->image);
        q->ev.image_id = arena_strdup(a, ev->image_id);
        q->ev.reason = arena_strdup(a, ev->reason);
        q->ev.message = arena_strdup(a, ev->message);
        q->ev.ips[0] = arena_strdup(a, ev->ips[0]);
        q->ev.ips[1] = arena_strdup(a, ev->ips[1]);
        q->ev.now = time_real();
}

static void worker_arm(struct pod_worker *w)
{
        if (w->lc->wake_at == 0) {
                loop_timer_disarm(w->timer);
                return;
        }
        int64_t in = w->lc->wake_at - time_real();
        loop_timer_arm(w->timer, MAX(in, (int64_t)0));
}

static void worker_step(struct pod_worker *w, const struct pod_event *ev)
{
        struct pod_actions actions = POD_ACTIONS_INIT;
        enum pod_state before = w->lc->state;
        lifecycle_step(w->lc, ev, &actions);
        if (log_enabled(LOG_LEVEL_DEBUG))
                log_debug("pod %s: %s: %s -> %s, %zu actions", w->key, pod_event_name(ev->type),
                          pod_state_name(before), pod_state_name(w->lc->state), actions.n);
        for (size_t i = 0; i < actions.n; i++)
                worker_act(w, &actions.items[i]);
        pod_actions_clear(&actions);
}

void worker_post(struct pod_worker *w, const struct pod_event *ev)
{
        struct arena *a = arena_new(256);
        struct queued_event *q = arena_calloc(a, sizeof(*q));
        q->arena = a;
        event_copy(q, ev);
        list_push_back(&w->queue, &q->list);
        if (w->stepping || w->gone)
                return;
        worker_ref(w);
        w->stepping = true;
        while (!list_empty(&w->queue)) {
                struct queued_event *next = list_entry(w->queue.next, struct queued_event, list);
                worker_step(w, &next->ev);
                queued_event_free(next);
        }
        w->stepping = false;
        worker_arm(w);
        if (w->lc->status_dirty) {
                w->lc->status_dirty = false;
                worker_status(w);
        }
        if (w->lc->state == POD_GONE && !w->gone) {
                w->gone = true;
                loop_timer_disarm(w->timer);
                worker_remove(w);
        }
        worker_unref(w);
}

static uint64_t resource_version(const struct json *j)
{
        const char *rv = json_path_string(j, "metadata.resourceVersion");
        return rv ? strtoull(rv, NULL, 10) : 0;
}

void worker_spec(struct pod_worker *w, struct object *o)
{
        struct object *old = w->object;
        if (!w->is_static) {
                object_unref(w->api);
                w->api = object_ref(o);
                if (w->base && resource_version(o->json) >= resource_version(w->base)) {
                        arena_free(w->base_arena);
                        w->base_arena = NULL;
                        w->base = NULL;
                }
        }
        w->object = object_ref(o);
        worker_post(w, &(struct pod_event){.type = POD_EVENT_SPEC, .pod = o->json});
        object_unref(old); /* the lifecycle has let go of it */
}

/* --- Events --- */

void worker_record(struct pod_worker *w, const struct lifecycle_container *c, bool warning, const char *reason,
                   const char *message)
{
        _cleanup_arena_ struct arena *a = arena_new(512);
        struct json *ref = json_clone_shallow(a, w->object->json);
        json_set_string(a, ref, "kind", "Pod");
        json_set_string(a, ref, "apiVersion", "v1");
        const char *list = !c                          ? NULL
                           : c->kind == KIND_APP       ? "containers"
                           : c->kind == KIND_EPHEMERAL ? "ephemeralContainers"
                                                       : "initContainers";
        event_record(w->k->recorder, ref, c ? arena_printf(a, "spec.%s{%s}", list, c->name) : NULL,
                     warning ? "Warning" : "Normal", reason, "%s", message);
}

/* --- what env and downward volumes see --- */

struct json *worker_pod_view(struct pod_worker *w, struct arena *a)
{
        const struct json *pod = w->object->json;
        struct json *view = json_clone_shallow(a, pod);
        struct json *status = json_get(pod, "status") ? json_clone(a, json_get(pod, "status")) : json_new_object(a);
        const struct kubelet_config *cfg = &w->k->config;
        bool host = json_path_bool(pod, "spec.hostNetwork", false);
        const char *ips[2] = {host ? cfg->node_ips[0] : w->lc->ips[0], host ? cfg->node_ips[1] : w->lc->ips[1]};
        struct json *pod_ips = json_new_array(a), *host_ips = json_new_array(a);
        for (size_t i = 0; i < 2; i++) {
                struct json *p = json_new_object(a), *h = json_new_object(a);
                json_set_string(a, p, "ip", ips[i]);
                json_set_string(a, h, "ip", cfg->node_ips[i]);
                if (ips[i])
                        json_append(a, pod_ips, p);
                if (cfg->node_ips[i])
                        json_append(a, host_ips, h);
        }
        json_set_string(a, status, "podIP", ips[0]);
        json_set(a, status, "podIPs", pod_ips);
        json_set_string(a, status, "hostIP", cfg->node_ips[0]);
        json_set(a, status, "hostIPs", host_ips);
        json_set(a, view, "status", status);
        return view;
}

/* --- status --- */

#define STATUS_PATIENCE (100 * NS_PER_MS)

/* Nothing has run yet and nothing went wrong: most pods run a moment later, and then one write says it all. */
static bool status_may_wait(const struct pod_worker *w)
{
        if (w->lc->state >= POD_TERMINATING || w->delete_wanted || w->lc->deleting)
                return false;
        for (size_t i = 0; i < w->lc->n; i++) {
                const struct lifecycle_container *c = w->lc->containers[i];
                if (c->run.started || c->run.finished || c->reason || c->state == CONTAINER_PULLING)
                        return false;
        }
        return true;
}

static void status_patience_over(struct loop_timer *timer, void *userdata)
{
        struct pod_worker *w = userdata;
        if (w->status_waiter)
                fiber_wake(steal_ptr(w->status_waiter));
}

static void status_wait(struct pod_worker *w)
{
        struct loop_timer *timer = loop_timer_new(w->k->loop, status_patience_over, w);
        loop_timer_arm(timer, STATUS_PATIENCE);
        w->status_waiter = fiber_self();
        while (w->status_waiter)
                fiber_park();
        loop_timer_free(timer);
}

void worker_status(struct pod_worker *w)
{
        if (w->lc->frozen && !w->delete_wanted)
                return;
        if (w->status_waiter && !status_may_wait(w))
                fiber_wake(steal_ptr(w->status_waiter));
        if (w->status_writing) {
                w->status_again = true;
                return;
        }
        w->status_writing = true;
        fiber_start(w->k->loop, status_fiber, worker_ref(w));
}

static char *api_path(struct pod_worker *w, struct arena *a, const char *sub)
{
        return client_path(a, "", "v1", "pods", w->api->namespace, w->api->name, sub);
}

/* One write. 0: what the API has is what we want; negative: try again. */
static int status_write(struct pod_worker *w)
{
        struct arena *keep = arena_new(4096);
        _cleanup_arena_ struct arena *a = arena_new(4096);
        const struct kubelet_config *cfg = &w->k->config;
        struct status_input in = {time_real(), {cfg->node_ips[0], cfg->node_ips[1]}, w->status};
        struct json *status = status_build(keep, w->lc, &in);
        arena_free(w->status_arena);
        w->status_arena = keep;
        w->status = status;
        if (!w->api)
                return 0;
        struct json *patch = status_patch(a, w->base ? w->base : w->api->json, status);
        if (!patch)
                return 0;
        struct arena *answer_arena = arena_new(8192);
        struct json *answer = NULL;
        _cleanup_error_ struct error err = ERROR_INIT;
        int r = client_patch(w->k->client, api_path(w, a, "status"), CLIENT_PATCH_STRATEGIC, patch, answer_arena,
                             &answer, &err);
        if (r == 0 && json_is_object(answer) &&
            resource_version(answer) > resource_version(w->api ? w->api->json : NULL)) {
                arena_free(w->base_arena);
                w->base_arena = answer_arena;
                w->base = answer;
                return 0;
        }
        arena_free(answer_arena);
        if (r == 0 || r == CLIENT_NOT_FOUND)
                return 0;
        log_warn("pod %s: cannot write the status: %s", w->key, error_text(&err));
        /* Refused for good (another pod by that name, not ours): the watch will tell. */
        return r == CLIENT_CONFLICT || r == CLIENT_INVALID || r == CLIENT_FORBIDDEN ? 0 : -EAGAIN;
}

static int pod_delete(struct pod_worker *w)
{
        _cleanup_arena_ struct arena *a = arena_new(512);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *options = json_new_object(a);
        if (!w->api)
                return 0;
        json_set_string(a, options, "kind", "DeleteOptions");
        json_set_string(a, options, "apiVersion", "v1");
        json_set_int(a, options, "gracePeriodSeconds", 0);
        json_path_set(a, options, "preconditions.uid", json_new_string(a, w->api->uid));
        int r = client_delete(w->k->client, api_path(w, a, NULL), options, a, NULL, &err);
        if (r == 0 || r == CLIENT_NOT_FOUND || r == CLIENT_CONFLICT)
                return 0;
        log_warn("pod %s: cannot delete it: %s", w->key, error_text(&err));
        return -EAGAIN;
}

static void status_fiber(void *userdata)
{
        struct pod_worker *w = userdata;
        int64_t delay = NS_PER_SEC / 5;
        for (;;) {
                if (status_may_wait(w) && !w->gone)
                        status_wait(w);
                w->status_again = false;
                bool held = w->lc->phase_held;
                int r = w->gone || w->lc->frozen ? 0 : status_write(w);
                if (r == 0 && held) {
                        w->lc->phase_held = false;
                        w->status_again = true;
                }
                if (r == 0 && w->delete_wanted && !w->status_again && w->lc->state >= POD_DONE) {
                        r = pod_delete(w);
                        if (r == 0)
                                w->delete_wanted = false;
                }
                if (w->gone || (r == 0 && !w->status_again))
                        break;
                if (r < 0) {
                        fiber_sleep(delay);
                        delay = MIN(delay * 2, 10 * NS_PER_SEC);
                }
        }
        w->status_writing = false;
        worker_unref(w);
}

/* --- adoption --- */

static void run_of(struct container_run *run, const struct runtime_container *c)
{
        bool exited = c->state == RUNTIME_CONTAINER_EXITED;
        *run = (struct container_run){
                .id = (char *)c->id,
                .image = (char *)c->image,
                .image_id = (char *)c->image_id,
                .started = c->started,
                .finished = exited ? (c->finished ? c->finished : time_real()) : 0,
                .exit_code = c->exit_code,
                .reason = (char *)(c->reason ? c->reason : "Error"),
                .message = (char *)c->message,
        };
}

/* What ended while no kubelet was there left its last words all the same. */
static void run_message(struct pod_worker *w, struct arena *a, const struct lifecycle_container *c,
                        const struct runtime_container *now, struct container_run *run)
{
        if (now->state == RUNTIME_CONTAINER_EXITED && !run->message && w->k->volumes)
                run->message = termination_message(w->k->volumes, a, w->uid, c->spec, now->attempt, now->exit_code,
                                                   now->log_path);
}

void worker_adopt(struct pod_worker *w, const struct adopted_pod *p)
{
        _cleanup_arena_ struct arena *a = arena_new(1024);

        if (!str_empty(p->sandbox.id))
                w->sandbox_id = xstrdup(p->sandbox.id);
        w->sandbox_attempt = p->sandbox.attempt;
        if (p->sandbox.ready)
                lifecycle_adopt_sandbox(w->lc, p->sandbox.n_ips > 0 ? p->sandbox.ips[0] : NULL,
                                        p->sandbox.n_ips > 1 ? p->sandbox.ips[1] : NULL);
        for (size_t i = 0; i < w->lc->n; i++) {
                struct lifecycle_container *c = w->lc->containers[i];
                const struct runtime_container *now = NULL, *before = NULL;
                for (size_t j = 0; j < p->n; j++) {
                        if (!streq(p->containers[j].name, c->name) ||
                            p->containers[j].state == RUNTIME_CONTAINER_CREATED)
                                continue;
                        before = now;
                        now = &p->containers[j];
                }
                if (!now)
                        continue;
                struct container_run run, last;
                run_of(&run, now);
                run_message(w, a, c, now, &run);
                if (before) {
                        run_of(&last, before);
                        run_message(w, a, c, before, &last);
                }
                lifecycle_adopt(w->lc, c, &run, before ? &last : NULL, now->attempt);
        }
}

void adopted_pod_free(struct adopted_pod *p)
{
        free(p->containers);
        arena_free(p->arena);
        free(p);
}
