/* Between the API and the decision: see driver.h.
 *
 * A pod that was given a node is assumed there at once, so that the next decision counts it, while a
 * fiber binds its volumes and itself; the watch confirms it, or a failure takes it back.
 */
#include "driver.h"

#include "queue.h"
#include "schedule.h"

#include "../lib/base/encode.h"
#include "../lib/base/log.h"
#include "../lib/base/time.h"
#include "../lib/client/event.h"
#include "../lib/client/informer.h"

#define PODS_A_TURN 32
#define VOLUME_WAIT (600 * NS_PER_SEC)
#define VOLUME_POLL (100 * NS_PER_MS)

enum source { PODS, NODES, CLAIMS, VOLUMES, CLASSES, NAMESPACES, N_SOURCES };

struct assumed {
        struct object *pod;
        char *node;
};

struct scheduler {
        struct client *client;
        struct loop *loop;
        const char *name;
        struct informer *informers[N_SOURCES];
        struct event_recorder *events;
        struct sched_snapshot snapshot;
        struct sched_queue *queue;
        struct map assumed;    /* pod key to struct assumed */
        struct map nominated;  /* pod key to struct assumed: room is being made for it */
        struct loop_timer *timer;
        uint64_t seed;
        bool pending;          /* a run is deferred */
};

static void kick(struct scheduler *s);

/* --- what the decision may ask --- */

static const struct json *object_json(struct scheduler *s, enum source source, const char *key)
{
        struct object *o = informer_get(s->informers[source], key);

        return o ? o->json : NULL;
}

static const struct json *get_claim(const char *namespace, const char *name, void *userdata)
{
        _cleanup_free_ char *key = xasprintf("%s/%s", namespace, name);

        return object_json(userdata, CLAIMS, key);
}

static const struct json *get_volume(const char *name, void *userdata)
{
        return object_json(userdata, VOLUMES, name);
}

static const struct json *get_class(const char *name, void *userdata)
{
        return object_json(userdata, CLASSES, name);
}

static const struct json *get_namespace_labels(const char *name, void *userdata)
{
        return json_path(object_json(userdata, NAMESPACES, name), "metadata.labels");
}

static const struct json *find_volume(bool (*fn)(const struct json *pv, void *arg), void *arg, void *userdata)
{
        struct scheduler *s = userdata;
        struct map_entry *e;

        map_foreach(informer_objects(s->informers[VOLUMES]), e)
        {
                const struct object *o = e->value;

                if (fn(o->json, arg))
                        return o->json;
        }
        return NULL;
}

/* --- assumptions --- */

static void drop(struct scheduler *s, struct map *list, const char *key, bool in_snapshot)
{
        struct assumed *a = map_del(list, key);

        if (!a)
                return;
        if (in_snapshot)
                sched_snapshot_remove_pod(&s->snapshot, a->pod->extra, a->node);
        object_unref(a->pod);
        free(a->node);
        free(a);
}

static void keep(struct map *list, struct object *pod, const char *node)
{
        struct assumed *a = new0(struct assumed);

        a->pod = object_ref(pod);
        a->node = xstrdup(node);
        map_put(list, pod->key, a);
}

/* --- events --- */

static void decorate_pod(struct object *o)
{
        o->extra = sched_pod_new(o->arena, o->json);
}

static bool counts(const struct sched_pod *p)
{
        return p && p->node && !p->terminal;
}

static bool is_ours(const struct scheduler *s, const struct sched_pod *p)
{
        const char *scheduler = json_path_string(p->json, "spec.schedulerName");

        return !p->node && !p->terminal && !p->deleting && !p->gated && streq(scheduler, s->name);
}

static void wake_waiting(struct scheduler *s, unsigned wake)
{
        sched_queue_wake(s->queue, wake, time_mono());
        kick(s);
}

static void on_pod(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        struct scheduler *s = userdata;
        const struct sched_pod *before = old ? old->extra : NULL, *after = new ? new->extra : NULL;
        const char *key = new ? new->key : old->key;
        bool was = counts(before), is = counts(after);

        if (was)
                sched_snapshot_remove_pod(&s->snapshot, before, before->node);
        if (is || !after || after->terminal || after->deleting) {
                drop(s, &s->assumed, key, true);
                drop(s, &s->nominated, key, false);
        }
        if (is)
                sched_snapshot_add_pod(&s->snapshot, after, after->node);
        if (after && is_ours(s, after)) {
                /* Our own status patches must not wake what they park. */
                bool spec_same = before && json_equal(json_get(before->json, "spec"), json_get(after->json, "spec")) &&
                                 json_equal(before->labels, after->labels);

                if (!spec_same && !map_has(&s->assumed, key))
                        sched_queue_add(s->queue, key, after->priority, time_mono());
        } else {
                sched_queue_remove(s->queue, key);
        }
        if (was && !is)
                wake_waiting(s, WAKE_POD_GONE);
        if (is && (!was || !json_equal(before->labels, after->labels)))
                sched_queue_wake(s->queue, WAKE_POD_NEW, time_mono());
        kick(s);
}

/* Heartbeats change a node's status all the time; only what decisions read may wake pods. */
static bool same_for_us(const struct json *x, const struct json *y)
{
        return json_equal(json_path(x, "spec"), json_path(y, "spec")) &&
               json_equal(json_path(x, "metadata.labels"), json_path(y, "metadata.labels")) &&
               json_equal(json_path(x, "status.allocatable"), json_path(y, "status.allocatable"));
}

static void on_node(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        struct scheduler *s = userdata;

        if (new)
                sched_snapshot_set_node(&s->snapshot, new->json);
        else
                sched_snapshot_remove_node(&s->snapshot, old->name);
        if (new && old && same_for_us(old->json, new->json))
                return;
        sched_queue_wake(s->queue, WAKE_NODE, time_mono());
        kick(s);
}

static void on_volume(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        wake_waiting(userdata, WAKE_VOLUME);
}

static void on_namespace(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
}

/* --- carrying out --- */

struct carrying {
        struct scheduler *s;
        struct object *pod;
        char *node;                    /* to bind to; NULL: it was unschedulable */
        struct arena *arena;           /* holds the decision's texts */
        struct decision decision;
};

static void carrying_free(struct carrying *c)
{
        object_unref(c->pod);
        free(c->node);
        arena_free(c->arena);
        free(c);
}

static const struct json *condition_of(const struct json *pod, const char *type)
{
        json_foreach_item(json_path(pod, "status.conditions"), cond)
                if (streq(json_get_string(cond, "type"), type))
                        return cond;
        return NULL;
}

/* A status patch with one condition; the transition time stays when the status does. */
static struct json *condition_patch(struct arena *a, const struct json *pod, const char *type, const char *status,
                                    const char *reason, const char *message)
{
        struct json *patch = json_new_object(a), *cond = json_new_object(a);
        const struct json *before = condition_of(pod, type);
        const char *since = before && streq(json_get_string(before, "status"), status) ?
                                    json_get_string(before, "lastTransitionTime") : NULL;
        char now[TIME_BUF];

        json_set_string(a, cond, "type", type);
        json_set_string(a, cond, "status", status);
        json_set_string(a, cond, "reason", reason);
        json_set_string(a, cond, "message", message);
        json_set(a, cond, "lastProbeTime", json_new_null(a));
        json_set_string(a, cond, "lastTransitionTime", since ? since : time_format(time_real(), now));
        json_set_int(a, cond, "observedGeneration", json_path_int(pod, "metadata.generation", 0));
        json_append(a, json_ensure_array(a, json_ensure_object(a, patch, "status"), "conditions"), cond);
        return patch;
}

static int patch_pod_status(struct scheduler *s, const struct sched_pod *p, const struct json *patch, struct arena *a,
                            struct error *err)
{
        const char *path = client_path(a, "", "v1", "pods", p->namespace, p->name, "status");

        return client_patch(s->client, path, CLIENT_PATCH_STRATEGIC, patch, a, NULL, err);
}

static void evict(struct scheduler *s, const struct sched_pod *victim, const struct sched_pod *by, const char *node,
                  struct arena *a)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *options = json_new_object(a);
        int r;

        patch_pod_status(s, victim, condition_patch(a, victim->json, "DisruptionTarget", "True", "PreemptionByScheduler",
                         arena_printf(a, "%s: preempting to accommodate a higher priority pod", s->name)), a, NULL);
        json_path_set(a, options, "preconditions.uid", json_new_string(a, victim->uid));
        r = client_delete(s->client, client_path(a, "", "v1", "pods", victim->namespace, victim->name, NULL), options, a,
                          NULL, &err);
        if (r == CLIENT_OK)
                event_record(s->events, victim->json, NULL, "Normal", "Preempted", "Preempted by pod %s on node %s", by->uid,
                             node);
        else if (r != CLIENT_NOT_FOUND)
                log_warn("preempt %s: %s", victim->key, error_text(&err));
}

/* On a fiber: tells the pod, and whoever looks at it, why it waits; makes room where some can be made. */
static void report_unschedulable(void *userdata)
{
        struct carrying *c = userdata;
        struct scheduler *s = c->s;
        const struct sched_pod *p = c->pod->extra;
        const struct json *before = condition_of(p->json, "PodScheduled");
        size_t n = c->decision.n_victims;
        const char **keys = arena_alloc(c->arena, (n + 1) * sizeof(*keys)), **uids = arena_alloc(c->arena, (n + 1) * sizeof(*uids));
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *patch;

        /* The victims belong to the informer, which goes on while we park. */
        for (size_t i = 0; i < n; i++) {
                keys[i] = arena_strdup(c->arena, c->decision.victims[i]->key);
                uids[i] = arena_strdup(c->arena, c->decision.victims[i]->uid);
        }
        event_record(s->events, p->json, NULL, "Warning", "FailedScheduling", "%s", c->decision.message);
        if (c->decision.nominated || !before || !streq(json_get_string(before, "message"), c->decision.message)) {
                patch = condition_patch(c->arena, p->json, "PodScheduled", "False", "Unschedulable", c->decision.message);
                if (c->decision.nominated)
                        json_path_set(c->arena, patch, "status.nominatedNodeName",
                                      json_new_string(c->arena, c->decision.nominated));
                if (patch_pod_status(s, p, patch, c->arena, &err) < 0)
                        log_warn("%s: %s", p->key, error_text(&err));
        }
        for (size_t i = 0; i < n; i++) {
                struct object *o = informer_get(s->informers[PODS], keys[i]);

                if (o && streq(o->uid, uids[i])) {
                        object_ref(o);
                        evict(s, o->extra, p, c->decision.nominated, c->arena);
                        object_unref(o);
                }
        }
        carrying_free(c);
}

static bool claim_is_bound(struct scheduler *s, const char *namespace, const char *claim)
{
        return streq(json_path_string(get_claim(namespace, claim, s), "status.phase"), "Bound");
}

/* A volume that exists is promised to the claim; for another the provisioner is told the node. */
static int bind_volume(struct carrying *c, const struct volume_choice *choice, struct error *reterr)
{
        struct arena *a = c->arena;
        const struct sched_pod *p = c->pod->extra;
        const struct json *claim = get_claim(p->namespace, choice->claim, c->s);
        struct json *patch = json_new_object(a), *ref;

        if (choice->volume) {
                ref = json_ensure_object(a, json_ensure_object(a, patch, "spec"), "claimRef");
                json_set_string(a, ref, "apiVersion", "v1");
                json_set_string(a, ref, "kind", "PersistentVolumeClaim");
                json_set_string(a, ref, "namespace", p->namespace);
                json_set_string(a, ref, "name", choice->claim);
                json_set_string(a, ref, "uid", json_path_string(claim, "metadata.uid"));
                json_set_string(a, json_ensure_object(a, json_ensure_object(a, patch, "metadata"), "annotations"),
                                "pv.kubernetes.io/bound-by-controller", "yes");
                return client_patch(c->s->client,
                                    client_path(a, "", "v1", "persistentvolumes", NULL,
                                                json_path_string(choice->volume, "metadata.name"), NULL),
                                    CLIENT_PATCH_MERGE, patch, a, NULL, reterr);
        }
        json_set_string(a, json_ensure_object(a, json_ensure_object(a, patch, "metadata"), "annotations"),
                        "volume.kubernetes.io/selected-node", c->node);
        return client_patch(c->s->client,
                            client_path(a, "", "v1", "persistentvolumeclaims", p->namespace, choice->claim, NULL),
                            CLIENT_PATCH_MERGE, patch, a, NULL, reterr);
}

static int bind_volumes(struct carrying *c, struct error *reterr)
{
        const struct sched_pod *p = c->pod->extra;
        int64_t until = time_mono() + VOLUME_WAIT;

        for (size_t i = 0; i < c->decision.n_volumes; i++) {
                int r = bind_volume(c, &c->decision.volumes[i], reterr);

                if (r != 0)
                        return r;
        }
        for (size_t i = 0; i < c->decision.n_volumes; i++)
                while (!claim_is_bound(c->s, p->namespace, c->decision.volumes[i].claim)) {
                        if (time_mono() > until)
                                return error_set(reterr, -ETIMEDOUT, "binding volumes: context deadline exceeded");
                        fiber_sleep(VOLUME_POLL);
                }
        return 0;
}

static int bind_pod(struct carrying *c, struct error *reterr)
{
        struct arena *a = c->arena;
        const struct sched_pod *p = c->pod->extra;
        struct json *binding = json_new_object(a), *meta, *target;

        json_set_string(a, binding, "apiVersion", "v1");
        json_set_string(a, binding, "kind", "Binding");
        meta = json_ensure_object(a, binding, "metadata");
        json_set_string(a, meta, "name", p->name);
        json_set_string(a, meta, "namespace", p->namespace);
        json_set_string(a, meta, "uid", p->uid);
        target = json_ensure_object(a, binding, "target");
        json_set_string(a, target, "apiVersion", "v1");
        json_set_string(a, target, "kind", "Node");
        json_set_string(a, target, "name", c->node);
        return client_create(c->s->client, client_path(a, "", "v1", "pods", p->namespace, p->name, "binding"), binding, a,
                             NULL, reterr);
}

static void bind(void *userdata)
{
        struct carrying *c = userdata;
        struct scheduler *s = c->s;
        const struct sched_pod *p = c->pod->extra;
        _cleanup_error_ struct error err = ERROR_INIT;
        int r = bind_volumes(c, &err);

        if (r == 0)
                r = bind_pod(c, &err);
        if (r == 0) {
                event_record(s->events, p->json, NULL, "Normal", "Scheduled", "Successfully assigned %s/%s to %s", p->namespace,
                             p->name, c->node);
        } else {
                struct object *now = informer_get(s->informers[PODS], p->key);

                log_warn("bind %s to %s: %s", p->key, c->node, error_text(&err));
                drop(s, &s->assumed, p->key, true);
                if (now && is_ours(s, now->extra))
                        sched_queue_retry(s->queue, p->key, time_mono());
                sched_queue_wake(s->queue, WAKE_POD_GONE, time_mono());
                kick(s);
        }
        carrying_free(c);
}

/* Room that is being made for a pod is not for those of less importance. */
static void hold_nominated(struct scheduler *s, const struct sched_pod *p, bool hold)
{
        struct map_entry *e;

        map_foreach(&s->nominated, e)
        {
                const struct assumed *a = e->value;
                const struct sched_pod *other = a->pod->extra;

                if (streq(other->key, p->key) || other->priority < p->priority)
                        continue;
                if (hold)
                        sched_snapshot_add_pod(&s->snapshot, other, a->node);
                else
                        sched_snapshot_remove_pod(&s->snapshot, other, a->node);
        }
}

static void try_pod(struct scheduler *s, const char *key)
{
        struct object *pod = informer_get(s->informers[PODS], key);
        struct carrying *c;

        if (!pod || !is_ours(s, pod->extra)) {
                sched_queue_remove(s->queue, key);
                return;
        }
        c = new0(struct carrying);
        *c = (struct carrying){ .s = s, .pod = object_ref(pod), .arena = arena_new(0) };
        hold_nominated(s, pod->extra, true);
        schedule(c->arena, &s->snapshot, pod->extra, ++s->seed, &c->decision);
        hold_nominated(s, pod->extra, false);
        if (c->decision.result == SCHEDULE_OK) {
                c->node = xstrdup(s->snapshot.nodes[c->decision.node].name);
                /* Volumes belong to the informer, which goes on while the binding parks. */
                for (size_t i = 0; i < c->decision.n_volumes; i++)
                        c->decision.volumes[i].volume = json_clone(c->arena, c->decision.volumes[i].volume);
                drop(s, &s->nominated, pod->key, false);
                keep(&s->assumed, pod, c->node);
                sched_snapshot_add_pod(&s->snapshot, pod->extra, c->node);
                /* Stays known to the queue, as being tried, until the watch says it is bound. */
                fiber_start(s->loop, bind, c);
                return;
        }
        log_info("%s: %s", pod->key, c->decision.message);
        drop(s, &s->nominated, pod->key, false);
        if (c->decision.nominated)
                keep(&s->nominated, pod, c->decision.nominated);
        sched_queue_park(s->queue, key, c->decision.wake, time_mono());
        fiber_start(s->loop, report_unschedulable, c);
}

static bool all_synced(const struct scheduler *s)
{
        for (size_t i = 0; i < N_SOURCES; i++)
                if (!informer_synced(s->informers[i]))
                        return false;
        return true;
}

/* A bounded number a turn, so that events get in between. */
static void run(void *userdata)
{
        struct scheduler *s = userdata;
        int64_t next;

        s->pending = false;
        if (!all_synced(s))
                return;
        for (size_t i = 0; i < PODS_A_TURN; i++) {
                const char *popped = sched_queue_pop(s->queue, time_mono());
                _cleanup_free_ char *key = xstrdup(popped);

                if (!key)
                        break;
                try_pod(s, key);
        }
        next = sched_queue_next(s->queue);
        if (next == 0)
                kick(s);
        else if (next < INT64_MAX)
                loop_timer_arm(s->timer, MAX(next - time_mono(), (int64_t)0));
        else
                loop_timer_disarm(s->timer);
}

static void kick(struct scheduler *s)
{
        if (s->pending)
                return;
        s->pending = true;
        loop_defer(s->loop, run, s);
}

static void on_timer(struct loop_timer *timer, void *userdata)
{
        kick(userdata);
}

static void on_synced(struct informer *inf, void *userdata)
{
        kick(userdata);
}

static void on_failed(struct informer *inf, int code, const char *text, void *userdata)
{
        log_warn("watch: %s", text);
}

static const struct {
        const char *group, *version, *resource, *field_selector;
        void (*decorate)(struct object *o);
        void (*changed)(struct informer *inf, struct object *old, struct object *new, void *userdata);
} sources[N_SOURCES] = {
        [PODS] = { "", "v1", "pods", "status.phase!=Succeeded,status.phase!=Failed", decorate_pod, on_pod },
        [NODES] = { "", "v1", "nodes", NULL, NULL, on_node },
        [CLAIMS] = { "", "v1", "persistentvolumeclaims", NULL, NULL, on_volume },
        [VOLUMES] = { "", "v1", "persistentvolumes", NULL, NULL, on_volume },
        [CLASSES] = { "storage.k8s.io", "v1", "storageclasses", NULL, NULL, on_volume },
        [NAMESPACES] = { "", "v1", "namespaces", NULL, NULL, on_namespace },
};

struct scheduler *scheduler_new(struct client *c, const char *name)
{
        struct scheduler *s = new0(struct scheduler);

        s->client = c;
        s->loop = client_loop(c);
        s->name = name;
        s->queue = sched_queue_new();
        s->events = event_recorder_new(c, name, "");
        s->timer = loop_timer_new(s->loop, on_timer, s);
        random_bytes(&s->seed, sizeof(s->seed));
        sched_snapshot_init(&s->snapshot);
        s->snapshot.claim = get_claim;
        s->snapshot.volume = get_volume;
        s->snapshot.storage_class = get_class;
        s->snapshot.namespace_labels = get_namespace_labels;
        s->snapshot.find_volume = find_volume;
        s->snapshot.userdata = s;
        for (size_t i = 0; i < N_SOURCES; i++) {
                struct informer_options o = {
                        .group = sources[i].group, .version = sources[i].version, .resource = sources[i].resource,
                        .field_selector = sources[i].field_selector, .decorate = sources[i].decorate,
                        .synced = on_synced, .failed = on_failed, .userdata = s,
                };
                struct informer_handler h = { sources[i].changed, s };

                s->informers[i] = informer_new(c, &o);
                informer_add_handler(s->informers[i], &h);
        }
        return s;
}

void scheduler_start(struct scheduler *s)
{
        for (size_t i = 0; i < N_SOURCES; i++)
                informer_start(s->informers[i]);
}

void scheduler_free(struct scheduler *s)
{
        struct map_entry *e;

        for (size_t i = 0; i < N_SOURCES; i++)
                informer_free(s->informers[i]);
        map_foreach(&s->assumed, e)
                drop(s, &s->assumed, e->key, false);
        map_foreach(&s->nominated, e)
                drop(s, &s->nominated, e->key, false);
        map_deinit(&s->assumed);
        map_deinit(&s->nominated);
        loop_timer_free(s->timer);
        event_recorder_free(s->events);
        sched_queue_free(s->queue);
        sched_snapshot_deinit(&s->snapshot);
        free(s);
}
