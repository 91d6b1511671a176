/* All pods of a node: from the API server's watch to a worker each, and what an earlier kubelet left.
 *
 * At start the runtime is asked first what there is; then the watch begins, and each pod that it
 * brings claims its sandbox and containers. What nobody has claimed once the first list is complete
 * belongs to no pod any more and is removed.
 */
#include <errno.h>
#include <stdio.h>

#include "../../lib/base/file.h"
#include "../../lib/base/log.h"
#include "admit.h"
#include "eviction.h"
#include "fetch.h"
#include "../node.h"
#include "static.h"
#include "worker.h"

struct pod_worker *pods_find_uid(struct kubelet *k, const char *uid)
{
        return map_get(&k->workers, uid);
}

struct pod_worker *pods_find(struct kubelet *k, const char *namespace, const char *name)
{
        struct map_entry *e;
        struct pod_worker *found = NULL;
        map_foreach(&k->workers, e) {
                struct pod_worker *w = e->value;
                if (!streq(w->object->name, name) || !streq(w->object->namespace, namespace))
                        continue;
                /* Of two by one name, the one that is not on its way out. */
                if (!found || found->lc->removed)
                        found = w;
        }
        return found;
}

/* --- admission --- */

static const struct json **active_pods(struct kubelet *k, struct arena *a, const struct pod_worker *but, size_t *ret_n)
{
        const struct json **list = arena_calloc(a, (k->workers.n + 1) * sizeof(*list));
        struct map_entry *e;
        size_t n = 0;
        map_foreach(&k->workers, e) {
                struct pod_worker *w = e->value;
                if (w != but && w->object && w->lc->state < POD_DONE)
                        list[n++] = w->object->json;
        }
        *ret_n = n;
        return list;
}

/* True: it may run here. A pod of which something already runs was admitted before. */
static bool admit(struct pod_worker *w, struct object *o)
{
        struct kubelet *k = w->k;
        _cleanup_arena_ struct arena *a = arena_new(2048);
        const char *reason, *message, *phase = json_path_string(o->json, "status.phase");
        const struct json *node = node_object(k->node);
        size_t n;
        if (streq(phase, "Succeeded") || streq(phase, "Failed") || json_path(o->json, "metadata.deletionTimestamp"))
                return true;
        const struct json **others = active_pods(k, a, w, &n);
        if (!node || pod_admit(a, o->json, node, others, n, &reason, &message) == 0)
                return true;
        lifecycle_prepare(w->lc, o->json);
        w->lc->start_time = time_real();
        worker_post(w, &(struct pod_event){.type = POD_EVENT_REJECTED, .reason = reason, .message = message});
        return false;
}

static bool resources_changed(const struct json *old, const struct json *new)
{
        return json_path_int(old, "metadata.generation", 0) != json_path_int(new, "metadata.generation", 0) &&
               !json_equal(json_path(old, "spec.containers"), json_path(new, "spec.containers"));
}

/* A resize is refused, or put off, before the lifecycle sees the new numbers. */
static void check_resize(struct pod_worker *w, struct object *o)
{
        _cleanup_arena_ struct arena *a = arena_new(2048);
        const struct json *node = node_object(w->k->node);
        const char *reason = NULL, *message = NULL;
        size_t n;
        if (!w->object || !node || w->lc->state != POD_RUNNING || !resources_changed(w->object->json, o->json))
                return;
        const struct json **others = active_pods(w->k, a, w, &n);
        pod_resize_check(a, o->json, node, others, n, &reason, &message);
        if (reason || w->lc->resize_pending_reason)
                worker_post(w, &(struct pod_event){
                                       .type = POD_EVENT_RESIZE_REFUSED, .reason = reason, .message = message});
}

/* --- pods come and go --- */

static void probes_of_adopted(struct pod_worker *w)
{
        for (size_t i = 0; i < w->lc->n; i++) {
                struct lifecycle_container *c = w->lc->containers[i];
                if (c->state != CONTAINER_RUNNING || w->k->runtime->is_fake)
                        continue;
                struct prober_target t = {.spec = c->spec,
                                          .container_id = c->run.id,
                                          .pod_ip = json_path_bool(w->object->json, "spec.hostNetwork", false)
                                                            ? w->k->config.node_ips[0]
                                                            : w->lc->ips[0],
                                          .started = c->run.started,
                                          .adopted = true,
                                          .startup_done = c->started};
                struct container_data *d = container_data(w, c);
                d->probes = probe_set_new(w->k->prober, &t, d);
        }
}

/* A container that was ready keeps that until a probe says otherwise: a new kubelet breaks nothing. */
static void restore_readiness(struct lifecycle *lc, const struct json *pod)
{
        static const char *const lists[] = {"status.containerStatuses", "status.initContainerStatuses"};
        for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
                json_foreach_item(json_path(pod, lists[l]), st) {
                        struct lifecycle_container *c = lifecycle_find(lc, json_get_string(st, "name"));
                        if (!c || c->state != CONTAINER_RUNNING)
                                continue;
                        const char *id = json_get_string(st, "containerID");
                        if (!c->run.id || !id || !str_has_suffix(id, c->run.id))
                                continue;
                        c->started |= json_get_bool(st, "started", false);
                        c->ready |= c->started && json_get_bool(st, "ready", false);
                }
}

static void pod_new(struct kubelet *k, struct object *o, bool is_static)
{
        struct pod_worker *w = worker_new(k, o, is_static);
        struct adopted_pod *found = map_del(&k->adopted, o->uid);
        bool running = false;
        if (found) {
                w->object = object_ref(o);
                lifecycle_prepare(w->lc, o->json);
                worker_adopt(w, found);
                restore_readiness(w->lc, o->json);
                for (size_t i = 0; i < found->n; i++)
                        running |= found->containers[i].state == RUNTIME_CONTAINER_RUNNING;
                adopted_pod_free(found);
                probes_of_adopted(w);
        }
        if (!running && !is_static) {
                w->object = w->object ? w->object : object_ref(o);
                w->api = object_ref(o);
                if (!admit(w, o))
                        return;
        }
        worker_spec(w, o);
}

void pods_object(struct kubelet *k, struct object *o)
{
        struct pod_worker *w = pods_find_uid(k, o->uid);
        if (static_pods_mirror(k, o, false))
                return;
        if (!w) {
                pod_new(k, o, false);
                return;
        }
        check_resize(w, o);
        worker_spec(w, o);
}

void pods_object_gone(struct kubelet *k, struct object *o)
{
        struct pod_worker *w = pods_find_uid(k, o->uid);
        if (static_pods_mirror(k, o, true) || !w)
                return;
        object_unref(steal_ptr(w->api));
        int64_t grace = json_path_int(o->json, "metadata.deletionGracePeriodSeconds", -1);
        worker_post(w, &(struct pod_event){.type = POD_EVENT_REMOVED, .grace_ns = grace < 0 ? -1 : grace * NS_PER_SEC});
}

void pods_static(struct kubelet *k, struct object *o, bool gone)
{
        struct pod_worker *w = pods_find_uid(k, o->uid);
        if (gone && w)
                worker_post(w, &(struct pod_event){.type = POD_EVENT_REMOVED, .grace_ns = -1});
        else if (!gone && !w)
                pod_new(k, o, true);
        else if (!gone)
                worker_spec(w, o);
}

static void pod_changed(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        struct kubelet *k = userdata;
        /* A new pod under an old name: the old one went unseen. */
        if (old && (!new || !streq(old->uid, new->uid)))
                pods_object_gone(k, old);
        if (new && streq(json_path_string(new->json, "spec.nodeName"), k->config.node_name))
                pods_object(k, new);
}

/* --- what the runtime tells --- */

static void runtime_event(const struct runtime_event *e, void *userdata)
{
        struct kubelet *k = userdata;
        struct pod_worker *w = e->pod_uid ? pods_find_uid(k, e->pod_uid) : NULL;
        if (!w)
                return;
        if (e->type == RUNTIME_EVENT_EXITED && e->container_id)
                worker_check_exit(w, e->container_id);
        else if (e->type == RUNTIME_EVENT_SANDBOX_DIED && streq(w->sandbox_id, e->sandbox_id))
                worker_post(w, &(struct pod_event){.type = POD_EVENT_SANDBOX_DIED});
}

static void probe_result(struct probe_set *s, enum probe_kind kind, bool success, void *userdata)
{
        struct container_data *d = userdata;
        worker_post(d->worker, &(struct pod_event){.type = POD_EVENT_PROBE,
                                                   .container = d->container,
                                                   .id = d->container->run.id,
                                                   .probe = kind,
                                                   .success = success});
}

static void probe_unhealthy(struct probe_set *s, const char *text, void *userdata)
{
        struct container_data *d = userdata;
        worker_record(d->worker, d->container, true, "Unhealthy", text);
}

/* --- start --- */

static struct adopted_pod *adopted_get(struct kubelet *k, const char *uid)
{
        struct adopted_pod *p = map_get(&k->adopted, uid);
        if (!p) {
                p = new0(struct adopted_pod);
                p->arena = arena_new(1024);
                map_put(&k->adopted, uid, p);
        }
        return p;
}

/* The newest sandbox of each pod counts; an older one that is still there is removed. */
static void adopt_sandbox(struct kubelet *k, const struct runtime_sandbox *s)
{
        struct adopted_pod *p = adopted_get(k, s->pod_uid);
        const char *stale = NULL;
        if (p->sandbox.id && (p->sandbox.attempt > s->attempt))
                stale = s->id;
        else if (p->sandbox.id)
                stale = p->sandbox.id;
        if (stale != s->id) {
                _cleanup_arena_ struct arena *tmp = arena_new(256);
                const char *old = stale ? arena_strdup(tmp, stale) : NULL;
                p->sandbox = *s;
                p->sandbox.id = arena_strdup(p->arena, s->id);
                const char **ips = arena_calloc(p->arena, (s->n_ips + 1) * sizeof(*ips));
                for (size_t i = 0; i < s->n_ips; i++)
                        ips[i] = arena_strdup(p->arena, s->ips[i]);
                p->sandbox.ips = ips;
                if (old)
                        k->runtime->ops->remove_sandbox(k->runtime, old, NULL);
        } else {
                k->runtime->ops->remove_sandbox(k->runtime, stale, NULL);
        }
}

static void adopt_container(struct kubelet *k, const struct runtime_container *c, const char *uid)
{
        struct adopted_pod *p = adopted_get(k, uid);
        array_reserve(p->containers, p->cap, p->n + 1);
        struct runtime_container *x = &p->containers[p->n++];
        *x = *c;
        x->id = arena_strdup(p->arena, c->id);
        x->name = arena_strdup(p->arena, c->name);
        x->image = arena_strdup(p->arena, c->image);
        x->image_id = arena_strdup(p->arena, c->image_id);
        x->reason = arena_strdup(p->arena, c->reason);
        x->message = arena_strdup(p->arena, c->message);
        x->log_path = arena_strdup(p->arena, c->log_path);
        x->sandbox_id = x->annotations = x->user = NULL; /* the caller's, and of no use later */
}

static int adopt_all(struct kubelet *k, struct error *reterr)
{
        struct runtime *rt = k->runtime;
        _cleanup_arena_ struct arena *a = arena_new(8192);
        struct runtime_sandbox *sandboxes = NULL;
        size_t n = 0;
        int r = rt->ops->list_sandboxes(rt, a, &sandboxes, &n, reterr);
        for (size_t i = 0; r >= 0 && i < n; i++)
                adopt_sandbox(k, &sandboxes[i]);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                struct adopted_pod *p = map_get(&k->adopted, sandboxes[i].pod_uid);
                struct runtime_container *containers = NULL;
                size_t n_containers = 0;
                if (!p || !streq(p->sandbox.id, sandboxes[i].id))
                        continue;
                r = rt->ops->list_containers(rt, sandboxes[i].id, a, &containers, &n_containers, reterr);
                for (size_t j = 0; r >= 0 && j < n_containers; j++)
                        adopt_container(k, &containers[j], sandboxes[i].pod_uid);
        }
        return r < 0 ? r : 0;
}

/* What no pod has claimed: the pods were deleted while no kubelet ran. */
static void remove_orphans(struct kubelet *k)
{
        for (;;) {
                size_t pos = 0;
                struct map_entry *e = map_next(&k->adopted, &pos);
                if (!e)
                        break;
                _cleanup_free_ char *uid = xstrdup(e->key);
                struct adopted_pod *p = map_del(&k->adopted, uid);
                _cleanup_error_ struct error err = ERROR_INIT;
                log_info("pod %s is gone from the API: removing what is left of it", uid);
                if (p->sandbox.id && k->runtime->ops->remove_sandbox(k->runtime, p->sandbox.id, &err) < 0)
                        log_warn("pod %s: %s", uid, error_text(&err));
                adopted_pod_free(p);
        }
        if (!k->volumes)
                return;
        _cleanup_arena_ struct arena *a = arena_new(1024);
        const char **uids = NULL;
        size_t n = 0;
        if (volumes_list_pods(k->volumes, a, &uids, &n, NULL) < 0)
                return;
        for (size_t i = 0; i < n; i++)
                if (!pods_find_uid(k, uids[i]) && volumes_teardown(k->volumes, uids[i], NULL) < 0)
                        log_warn("pod %s: cannot remove its volumes", uids[i]);
}

static void orphans_fiber(void *userdata)
{
        struct kubelet *k = userdata;
        while (!informer_synced(k->pods))
                fiber_sleep(NS_PER_SEC / 4);
        fiber_sleep(2 * NS_PER_SEC); /* static pods claim theirs too */
        remove_orphans(k);
}

void pods_start(struct kubelet *k)
{
        struct prober_ops ops = {.result = probe_result, .unhealthy = probe_unhealthy};
        _cleanup_error_ struct error err = ERROR_INIT;
        k->prober = prober_new(k->loop, k->runtime, &ops);
        k->runtime->on_event = runtime_event;
        k->runtime->event_userdata = k;
        if (adopt_all(k, &err) < 0)
                log_error("cannot learn what already runs: %s", error_text(&err));
        k->services = informer_new(k->client, &(struct informer_options){.version = "v1", .group = "", .resource = "services"});
        if (!k->config.fake)
                informer_start(k->services);
        char *selector = arena_printf(k->arena, "spec.nodeName=%s", k->config.node_name);
        k->pods = informer_new(k->client, &(struct informer_options){
                                                  .group = "", .version = "v1", .resource = "pods", .field_selector = selector});
        informer_add_handler(k->pods, &(struct informer_handler){.changed = pod_changed, .userdata = k});
        static_pods_start(k);
        informer_start(k->pods);
        fiber_start(k->loop, orphans_fiber, k);
        eviction_start(k);
}
