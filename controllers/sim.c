/* The simulated cluster: see sim.h. Its API server knows just what the controllers rely on: versions and conflicts,
 * generations, generated names, finalizers, the three ways of deletion, grace periods of pods. */
#include "sim.h"

#include <stdio.h>

#define TRACKED 4096

/* A change on its way to the controllers' store of one kind. */
struct change {
        struct change *next;
        struct object *object;
        bool deleted;
};

struct timer {
        struct timer *next;
        size_t controller;
        char *key;
        int64_t at;
};

struct sim {
        struct sim_options o;
        struct arena *arena;
        uint64_t random;
        int64_t now;
        uint64_t revision;
        unsigned names;
        struct map server[R_COUNT]; /* key to struct object * */
        struct object_store *stores[R_COUNT];
        struct change *changes[R_COUNT], **ends[R_COUNT];
        struct map *queues;         /* by controller: keys to work on */
        struct map *failures;       /* by controller: key to a number of failures */
        struct map *memories;
        struct timer *timers;
        struct map failed_jobs;     /* whose first pod has failed already */
};

/* splitmix64: small, and the same everywhere. */
uint64_t sim_random(struct sim *s, uint64_t below)
{
        uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return (z ^ (z >> 31)) % below;
}

static char *key_of(const struct json *o)
{
        const char *ns = json_path_string(o, "metadata.namespace"), *name = json_path_string(o, "metadata.name");

        return str_empty(ns) ? xstrdup(name) : xasprintf("%s/%s", ns, name);
}

/* --- the API server --- */

static void send(struct sim *s, unsigned resource, struct object *o, bool deleted)
{
        struct change *c = new0(struct change);

        *c = (struct change){ .object = object_ref(o), .deleted = deleted };
        *s->ends[resource] = c;
        s->ends[resource] = &c->next;
}

/* Stores COPY (of an arena that the caller drops) under a new version. */
static const struct json *put(struct sim *s, unsigned resource, struct arena *a, struct json *copy)
{
        _cleanup_free_ char *key = key_of(copy);
        struct object *o;

        json_path_set(a, copy, "metadata.resourceVersion", json_new_stringf(a, "%llu", (unsigned long long)++s->revision));
        json_set_string(a, copy, "kind", controller_resources[resource].kind);
        o = object_new_copy(copy);
        send(s, resource, o, false);
        object_unref(map_put(&s->server[resource], key, o));
        return o->json;
}

static void drop(struct sim *s, unsigned resource, const char *key)
{
        struct object *o = map_del(&s->server[resource], key), *last;
        struct arena *a = arena_new(0);
        struct json *copy = json_clone(a, o->json);

        json_path_set(a, copy, "metadata.resourceVersion", json_new_stringf(a, "%llu", (unsigned long long)++s->revision));
        last = object_new_copy(copy);
        send(s, resource, last, true);
        object_unref(last);
        object_unref(o);
        arena_free(a);
}

static int create(struct sim *s, unsigned resource, const struct json *body, const struct json **ret)
{
        struct arena *a = arena_new(0);
        struct json *copy = json_clone(a, body), *meta = json_ensure_object(a, copy, "metadata");
        _cleanup_free_ char *key = NULL;
        char now[TIME_BUF];
        int r = 0;

        if (!json_get_string(meta, "name"))
                json_set(a, meta, "name", json_new_stringf(a, "%s%05u", json_get_string(meta, "generateName"), ++s->names));
        if (controller_resources[resource].namespaced && !json_get_string(meta, "namespace"))
                json_set_string(a, meta, "namespace", "n");
        key = key_of(copy);
        if (map_get(&s->server[resource], key)) {
                r = CLIENT_EXISTS;
        } else {
                json_set(a, meta, "uid", json_new_stringf(a, "u%llu", (unsigned long long)s->revision + 1));
                json_set_string(a, meta, "creationTimestamp", time_format(s->now, now));
                json_set_int(a, meta, "generation", 1);
                *ret = put(s, resource, a, copy);
        }
        arena_free(a);
        return r;
}

/* An object that is being deleted goes with its last finalizer; a pod with a grace period waits for its kubelet. */
static bool goes(const struct json *o)
{
        return object_is_deleting(o) && !json_len(json_path(o, "metadata.finalizers")) &&
               json_path_int(o, "metadata.deletionGracePeriodSeconds", 0) == 0;
}

static int update(struct sim *s, unsigned resource, const char *key, const struct json *body, bool status, const struct json **ret)
{
        struct object *old = map_get(&s->server[resource], key);
        const char *version = json_path_string(body, "metadata.resourceVersion");
        struct arena *a;
        struct json *copy;

        if (!old)
                return CLIENT_NOT_FOUND;
        if ((version && !streq(version, old->resource_version)) || !streq(object_uid(body), old->uid))
                return CLIENT_CONFLICT;
        a = arena_new(0);
        copy = json_clone(a, status ? old->json : body);
        if (status)
                json_set(a, copy, "status", json_clone(a, json_get(body, "status")));
        else if (json_get(old->json, "status"))
                json_set(a, copy, "status", json_clone(a, json_get(old->json, "status")));
        if (!status && !json_equal(json_get(copy, "spec"), json_get(old->json, "spec")))
                json_path_set(a, copy, "metadata.generation",
                              json_new_int(a, json_path_int(old->json, "metadata.generation", 0) + 1));
        if (json_equal(copy, old->json))
                *ret = old->json; /* nothing changed: no new version, as in the real one */
        else
                *ret = put(s, resource, a, copy);
        arena_free(a);
        if (goes(*ret))
                drop(s, resource, key);
        return 0;
}

static void merge(struct arena *a, struct json *into, const struct json *patch)
{
        json_foreach_member(patch, m) {
                struct json *have = json_get(into, m->key);

                if (json_is_null(m->value))
                        json_del(into, m->key);
                else if (json_is_object(m->value) && json_is_object(have))
                        merge(a, have, m->value);
                else
                        json_set(a, into, m->key, json_clone(a, m->value));
        }
}

/* The strategic patches of claiming: one owner reference is added or, by $patch, taken away. */
static void patch_owners(struct arena *a, struct json *copy, const struct json *patch)
{
        struct json *refs = json_ensure_array(a, json_get(copy, "metadata"), "ownerReferences");

        json_foreach_item(json_path(patch, "metadata.ownerReferences"), p) {
                for (size_t i = 0; i < json_len(refs);)
                        if (streq(json_get_string(json_at(refs, i), "uid"), json_get_string(p, "uid")))
                                json_remove(refs, i);
                        else
                                i++;
                if (!json_get(p, "$patch"))
                        json_append(a, refs, json_clone(a, p));
        }
}

static int patch(struct sim *s, unsigned resource, const char *key, const struct json *body, bool strategic,
                 const struct json **ret)
{
        struct object *old = map_get(&s->server[resource], key);
        const char *uid = json_path_string(body, "metadata.uid");
        struct arena *a;
        struct json *copy;
        int r;

        if (!old)
                return CLIENT_NOT_FOUND;
        if (uid && !streq(uid, old->uid))
                return CLIENT_CONFLICT;
        a = arena_new(0);
        copy = json_clone(a, old->json);
        if (strategic)
                patch_owners(a, copy, body);
        else
                merge(a, copy, body);
        r = update(s, resource, key, copy, false, ret);
        arena_free(a);
        return r;
}

static void add_finalizer(struct arena *a, struct json *copy, const char *finalizer)
{
        if (!object_has_finalizer(copy, finalizer))
                json_append(a, json_ensure_array(a, json_get(copy, "metadata"), "finalizers"), json_new_string(a, finalizer));
}

static int delete(struct sim *s, unsigned resource, const char *key, const struct json *options, const struct json **ret)
{
        struct object *old = map_get(&s->server[resource], key);
        const char *uid = json_path_string(options, "preconditions.uid"), *how = json_get_string(options, "propagationPolicy");
        int64_t grace = json_get_int(options, "gracePeriodSeconds", -1);
        struct arena *a;
        struct json *copy, *meta;
        char now[TIME_BUF];

        if (!old)
                return CLIENT_NOT_FOUND;
        if (uid && !streq(uid, old->uid))
                return CLIENT_CONFLICT;
        a = arena_new(0);
        copy = json_clone(a, old->json);
        meta = json_get(copy, "metadata");
        if (!object_is_deleting(copy))
                json_set_string(a, meta, "deletionTimestamp", time_format(s->now, now));
        if (resource == R_PODS && !str_empty(json_path_string(copy, "spec.nodeName")) && !pod_is_terminal(copy) && grace != 0)
                json_set_int(a, meta, "deletionGracePeriodSeconds", 30);
        else
                json_set_int(a, meta, "deletionGracePeriodSeconds", 0);
        if (streq(how, "Foreground"))
                add_finalizer(a, copy, "foregroundDeletion");
        if (streq(how, "Orphan"))
                add_finalizer(a, copy, "orphan");
        *ret = put(s, resource, a, copy);
        arena_free(a);
        if (goes(*ret))
                drop(s, resource, key);
        return 0;
}

/* --- what users do --- */

static struct json *parse(struct arena *a, const char *text)
{
        char *copy = arena_strdup(a, text);
        struct json *j = NULL;

        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        if (json_parse(a, copy, strlen(copy), NULL, &j, NULL) < 0) {
                fprintf(stderr, "no JSON: %s\n", text);
                abort();
        }
        return j;
}

void sim_create(struct sim *s, unsigned resource, const char *text)
{
        struct arena *a = arena_new(0);
        const struct json *out;

        create(s, resource, parse(a, text), &out);
        arena_free(a);
}

void sim_merge(struct sim *s, unsigned resource, const char *key, const char *text)
{
        struct arena *a = arena_new(0);
        const struct json *out;

        patch(s, resource, key, parse(a, text), false, &out);
        arena_free(a);
}

void sim_delete(struct sim *s, unsigned resource, const char *key, const char *propagation)
{
        struct arena *a = arena_new(0);
        struct json *options = json_new_object(a);
        const struct json *out;

        json_set_string(a, options, "propagationPolicy", propagation);
        delete(s, resource, key, options, &out);
        arena_free(a);
}

void sim_delete_some_pod(struct sim *s, const char *prefix)
{
        struct map_entry *e;

        map_foreach(&s->server[R_PODS], e) {
                struct object *pod = e->value;

                if (!str_has_prefix(pod->name, prefix) || object_is_deleting(pod->json))
                        continue;
                object_ref(pod); /* its key is used until it is gone */
                sim_delete(s, R_PODS, pod->key, NULL);
                object_unref(pod);
                return;
        }
}

size_t sim_count(const struct sim *s, unsigned resource)
{
        return s->server[resource].n;
}

const struct json *sim_get(const struct sim *s, unsigned resource, const char *key)
{
        const struct object *o = map_get(&s->server[resource], key);

        return o ? o->json : NULL;
}

/* --- scheduler and kubelet, one pod a step --- */

static const char *daemon_node(const struct json *pod)
{
        const struct json *terms = json_path(pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
                                                  "nodeSelectorTerms");

        return json_string(json_at(json_get(json_at(json_get(json_at(terms, 0), "matchFields"), 0), "values"), 0));
}

static void set_phase(struct sim *s, struct arena *a, struct json *pod, const char *phase, bool ready)
{
        struct json *status = json_ensure_object(a, pod, "status");

        json_set_string(a, status, "phase", phase);
        condition_set(a, json_ensure_array(a, status, "conditions"), "Ready", ready ? "True" : "False", NULL, NULL, s->now);
        json_set(a, status, "podIP", json_new_stringf(a, "10.0.0.%s", object_uid(pod) + 1));
}

/* A Job's pods end: its first one (of an indexed one the first of index 1) badly. Others run on. */
static void run_pod(struct sim *s, struct arena *a, struct json *pod)
{
        const struct json *owner = object_controller(pod);
        const char *uid = json_get_string(owner, "uid");
        const char *index = object_annotation(pod, "batch.kubernetes.io/job-completion-index");

        if (!streq(json_get_string(owner, "kind"), "Job")) {
                set_phase(s, a, pod, "Running", true);
        } else if (!map_get(&s->failed_jobs, uid) && (!index || streq(index, "1"))) {
                map_put(&s->failed_jobs, uid, s);
                set_phase(s, a, pod, "Failed", false);
        } else {
                set_phase(s, a, pod, "Succeeded", false);
        }
}

/* True: something was done for the pod. */
static bool play_kubelet(struct sim *s, const struct object *stored)
{
        struct arena *a = arena_new(0);
        struct json *pod = json_clone(a, stored->json);
        _cleanup_free_ char *key = xstrdup(stored->key);
        const char *node = daemon_node(pod);
        const struct json *out;
        bool done = true;

        if (object_is_deleting(pod) && json_path_int(pod, "metadata.deletionGracePeriodSeconds", 0) > 0) {
                if (!pod_is_terminal(pod)) {
                        set_phase(s, a, pod, "Failed", false);
                        update(s, R_PODS, key, pod, true, &out);
                } else {
                        json_path_set(a, pod, "metadata.deletionGracePeriodSeconds", json_new_int(a, 0));
                        put(s, R_PODS, a, pod);
                        if (goes(sim_get(s, R_PODS, key)))
                                drop(s, R_PODS, key);
                }
        } else if (str_empty(json_path_string(pod, "spec.nodeName")) && !object_is_deleting(pod)) {
                json_path_set(a, pod, "spec.nodeName", json_new_string(a, node ? node : "node-1"));
                put(s, R_PODS, a, pod);
        } else if (!object_is_deleting(pod) && !str_empty(json_path_string(pod, "spec.nodeName")) &&
                   (streq(pod_phase(pod), "") || streq(pod_phase(pod), "Pending"))) {
                run_pod(s, a, pod);
                update(s, R_PODS, key, pod, true, &out);
        } else {
                done = false;
        }
        arena_free(a);
        return done;
}

static bool step_kubelet(struct sim *s)
{
        size_t n = s->server[R_PODS].n, i = 0, first;
        struct map_entry *e;

        if (!n)
                return false;
        /* The first from a random one on for which there is something to do. */
        first = sim_random(s, n);
        for (unsigned round = 0; round < 2; round++) {
                i = 0;
                map_foreach(&s->server[R_PODS], e) {
                        bool here = round ? i < first : i >= first;

                        i++;
                        if (here && play_kubelet(s, e->value))
                                return true;
                }
        }
        return false;
}

/* --- watches --- */

static struct snapshot snapshot(struct sim *s, size_t controller)
{
        return (struct snapshot){ .now = s->now, .stores = s->stores, .settings = &s->o.settings,
                                  .resources = controller_resources, .n_resources = R_COUNT,
                                  .memory = &s->memories[controller] };
}

struct enqueue {
        struct sim *s;
        size_t controller;
};

static void enqueue(void *ctx, const char *key)
{
        struct enqueue *e = ctx;

        map_put(&e->s->queues[e->controller], key, e->s);
}

struct link {
        struct sim *s;
        size_t controller;
        const struct controller_watch *watch;
};

static void on_changed(struct object_store *store, struct object *old, struct object *new, void *userdata)
{
        struct link *l = userdata;
        struct snapshot snap = snapshot(l->s, l->controller);
        struct enqueue e = { l->s, l->controller };
        struct keys k = { .add = enqueue, .ctx = &e, .resource = l->watch->resource };

        controller_map(l->watch, &snap, old, new, &k);
}

static struct change *take_change(struct sim *s, unsigned resource)
{
        struct change *c = s->changes[resource];

        if (c) {
                s->changes[resource] = c->next;
                if (!c->next)
                        s->ends[resource] = &s->changes[resource];
        }
        return c;
}

/* The watch was lost: what was under way is, and the kind is listed anew. */
static void list_again(struct sim *s, unsigned resource)
{
        struct map_entry *e;
        struct change *c;

        while ((c = take_change(s, resource))) {
                object_unref(c->object);
                free(c);
        }
        object_store_replace_begin(s->stores[resource]);
        map_foreach(&s->server[resource], e)
                object_store_replace_item(s->stores[resource], object_ref(e->value));
        object_store_replace_end(s->stores[resource], s->revision);
}

static bool step_watch(struct sim *s)
{
        unsigned first = (unsigned)sim_random(s, R_COUNT);

        for (unsigned i = 0; i < R_COUNT; i++) {
                unsigned resource = (first + i) % R_COUNT;
                struct change *c;

                if (!s->changes[resource])
                        continue;
                if (s->o.break_watch && sim_random(s, s->o.break_watch) == 0) {
                        list_again(s, resource);
                        return true;
                }
                c = take_change(s, resource);
                object_store_event(s->stores[resource], c->object, c->deleted);
                free(c);
                return true;
        }
        return false;
}

/* --- controllers --- */

static int write_one(struct sim *s, const struct write *x)
{
        _cleanup_free_ char *key = str_empty(x->namespace) ? xstrdup(x->name ? x->name : "") :
                                                            xasprintf("%s/%s", x->namespace, x->name ? x->name : "");
        const struct json *out = NULL;
        const struct object *o;
        int r = 0;

        switch (x->verb) {
        case WRITE_EVENT:
        case WRITE_WORK:
                return 0;
        case WRITE_EXPECT_ALLOWED:
                return 0;
        case WRITE_EXPECT_ABSENT:
                o = map_get(&s->server[x->resource], key);
                return o && (x->any_uid || streq(o->uid, x->uid)) ? CLIENT_CONFLICT : 0;
        case WRITE_CREATE:
                r = create(s, x->resource, x->body, &out);
                break;
        case WRITE_UPDATE:
                r = update(s, x->resource, key, x->body, streq(x->subresource, "status"), &out);
                break;
        case WRITE_DELETE:
                r = delete(s, x->resource, key, x->body, &out);
                break;
        default:
                r = patch(s, x->resource, key, x->body, x->verb == WRITE_PATCH_STRATEGIC, &out);
        }
        if (!r && x->verb != WRITE_DELETE)
                object_store_note_write(s->stores[x->resource], out);
        else if (!r && map_get(&s->server[x->resource], key))
                object_store_note_write(s->stores[x->resource], out);
        else if (x->verb == WRITE_DELETE)
                object_store_note_delete(s->stores[x->resource], key, x->uid);
        if ((r == CLIENT_NOT_FOUND && x->ignore_not_found) || (r == CLIENT_EXISTS && x->ignore_exists) ||
            (r == CLIENT_CONFLICT && x->ignore_conflict))
                return 0;
        return r;
}

/* SIMULATION_TRACE=1 prints every write: run one seed with it to see how it came to its end. */
static void trace(const struct sim *s, const char *controller, const struct write *x, int outcome)
{
        static const char *const verbs[] = { "create", "update", "patch", "patch", "patch", "delete", "event", "work", "allowed", "absent" };
        _cleanup_arena_ struct arena *a = NULL;

        if (!getenv("SIMULATION_TRACE"))
                return;
        a = arena_new(0);
        fprintf(stderr, "%lld.%03lld %s: %s %s %s%s%s -> %d %s\n", (long long)(s->now / NS_PER_SEC % 10000),
                (long long)(s->now / NS_PER_MS % 1000), controller, verbs[x->verb], controller_resources[x->resource].resource,
                x->name ? x->name : "", x->subresource ? "/" : "", x->subresource ? x->subresource : "", outcome,
                x->subresource ? json_print(a, json_get(x->body, "status")) : "");
}

static void arm(struct sim *s, size_t controller, const char *key, int64_t at)
{
        struct timer *t = new0(struct timer);

        *t = (struct timer){ .next = s->timers, .controller = controller, .key = xstrdup(key), .at = at };
        s->timers = t;
}

static void work(struct sim *s, size_t controller, const char *key)
{
        struct arena *a = arena_new(0);
        struct writes w = { .arena = a };
        struct snapshot snap = snapshot(s, controller);
        uintptr_t failures = (uintptr_t)map_get(&s->failures[controller], key);
        int r = 0;

        controller_reconcile(s->o.controllers[controller], &snap, key, &w);
        for (size_t i = 0; i < w.n && !r; i++) {
                r = write_one(s, &w.items[i]);
                trace(s, s->o.controllers[controller]->name, &w.items[i], r);
        }
        if (r || w.failed) {
                map_put(&s->failures[controller], key, (void *)(failures + 1));
                arm(s, controller, key, s->now + (5 * NS_PER_MS << MIN(failures, (uintptr_t)12)));
        } else {
                map_del(&s->failures[controller], key);
                if (w.requeue_after)
                        arm(s, controller, key, s->now + w.requeue_after);
        }
        arena_free(a);
}

static bool step_controller(struct sim *s)
{
        size_t first = sim_random(s, s->o.n_controllers);

        for (size_t i = 0; i < s->o.n_controllers; i++) {
                size_t c = (first + i) % s->o.n_controllers, at = 0, pick;
                struct map_entry *e;
                char *key = NULL;

                if (!s->queues[c].n)
                        continue;
                pick = sim_random(s, s->queues[c].n);
                map_foreach(&s->queues[c], e)
                        if (at++ == pick)
                                key = xstrdup(e->key);
                map_del(&s->queues[c], key);
                work(s, c, key);
                free(key);
                return true;
        }
        return false;
}

/* Time passes only when nothing else happens, or now and then: to the next timer. */
static bool step_clock(struct sim *s, int64_t until)
{
        struct timer **best = NULL, *t;
        struct enqueue e = { .s = s };

        for (struct timer **p = &s->timers; *p; p = &(*p)->next)
                if (!best || (*p)->at < (*best)->at)
                        best = p;
        if (!best || (*best)->at > until)
                return false;
        t = *best;
        *best = t->next;
        s->now = MAX(s->now, t->at);
        e.controller = t->controller;
        enqueue(&e, t->key);
        free(t->key);
        free(t);
        return true;
}

bool sim_run(struct sim *s, unsigned steps)
{
        int64_t until = s->now + 3600 * NS_PER_SEC;
        bool (*const kinds[])(struct sim *) = { step_watch, step_controller, step_kubelet };

        for (unsigned i = 0; steps ? i < steps : i < 200000; i++) {
                uint64_t first = sim_random(s, 16);
                bool done = first == 15 && step_clock(s, until);

                for (unsigned k = 0; !done && k < 3; k++)
                        done = kinds[(first + k) % 3](s);
                if (!done && !step_clock(s, until))
                        return true;
        }
        return steps != 0;
}

/* --- life --- */

struct sim *sim_new(const struct sim_options *o)
{
        struct sim *s = new0(struct sim);

        s->o = *o;
        s->arena = arena_new(0);
        s->random = o->seed;
        s->now = 1700000000 * NS_PER_SEC;
        s->failed_jobs = (struct map)MAP_INIT;
        s->queues = xcalloc(o->n_controllers, sizeof(struct map));
        s->failures = xcalloc(o->n_controllers, sizeof(struct map));
        s->memories = xcalloc(o->n_controllers, sizeof(struct map));
        for (unsigned i = 0; i < R_COUNT; i++) {
                s->server[i] = (struct map)MAP_INIT;
                s->ends[i] = &s->changes[i];
                s->stores[i] = object_store_new(NULL);
                object_store_add_index(s->stores[i], object_store_index_namespace);
                object_store_add_index(s->stores[i], object_store_index_owner);
                if (controller_resources[i].index)
                        object_store_add_index(s->stores[i], controller_resources[i].index);
        }
        for (size_t c = 0; c < o->n_controllers; c++) {
                s->queues[c] = s->failures[c] = s->memories[c] = (struct map)MAP_INIT;
                for (size_t i = 0; i < o->controllers[c]->n_watches; i++) {
                        struct link *l = arena_alloc(s->arena, sizeof(*l));

                        *l = (struct link){ s, c, &o->controllers[c]->watches[i] };
                        object_store_add_handler(s->stores[l->watch->resource], on_changed, l);
                }
        }
        return s;
}

void sim_free(struct sim *s)
{
        struct timer *t;
        struct change *c;
        struct map_entry *e;

        for (unsigned i = 0; i < R_COUNT; i++) {
                while ((c = take_change(s, i))) {
                        object_unref(c->object);
                        free(c);
                }
                map_foreach(&s->server[i], e)
                        object_unref(e->value);
                map_deinit(&s->server[i]);
                object_store_free(s->stores[i]);
        }
        while ((t = s->timers)) {
                s->timers = t->next;
                free(t->key);
                free(t);
        }
        for (size_t i = 0; i < s->o.n_controllers; i++) {
                map_deinit(&s->queues[i]);
                map_deinit(&s->failures[i]);
                snapshot_memory_deinit(&s->memories[i]);
                map_deinit(&s->memories[i]);
        }
        map_deinit(&s->failed_jobs);
        free(s->queues);
        free(s->failures);
        free(s->memories);
        arena_free(s->arena);
        free(s);
}

/* --- the state without chance and time --- */

static bool is_chance(const char *key)
{
        static const char *const keys[] = { "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "generateName",
                                            "podIP", "nodeName", "startTime", "completionTime", "ip", "addresses",
                                            "batch.kubernetes.io/controller-uid", "lastTransitionTime", "lastUpdateTime",
                                            "lastProbeTime", "endpoints.kubernetes.io/last-change-trigger-time", "timeAdded",
                                            "lastPhaseTransitionTime", "generation", "observedGeneration", "hostname",
                                            "deprecated.daemonset.template.generation", "pod-template-generation" };

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (streq(key, keys[i]))
                        return true;
        return false;
}

/* Made-up names end in five digits: the digits go. */
static const char *without_digits(struct arena *a, const char *text)
{
        size_t len = strlen(text), n = 0;

        while (n < len && text[len - 1 - n] >= '0' && text[len - 1 - n] <= '9')
                n++;
        return n >= 5 ? arena_strndup(a, text, len - n) : text;
}

static struct json *masked(struct arena *a, const struct json *j)
{
        struct json *out;

        if (json_is_string(j))
                return json_new_string(a, without_digits(a, json_string(j)));
        if (json_is_object(j)) {
                out = json_new_object(a);
                json_foreach_member(j, m)
                        if (!is_chance(m->key))
                                json_set(a, out, m->key, masked(a, m->value));
                return out;
        }
        if (json_is_array(j)) {
                out = json_new_array(a);
                json_foreach_item(j, it)
                        json_append(a, out, masked(a, it));
                return out;
        }
        return json_clone(a, j);
}

static int compare_text(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static int compare_members(const void *x, const void *y)
{
        return strcmp(((const struct json_member *)x)->key, ((const struct json_member *)y)->key);
}

static int compare_items(const void *x, const void *y)
{
        _cleanup_arena_ struct arena *a = arena_new(0);

        return strcmp(json_print(a, *(struct json *const *)x), json_print(a, *(struct json *const *)y));
}

/* The order of members, and of lists that are sets here, is chance as well. */
static void sort_all(struct json *j)
{
        if (json_is_object(j)) {
                json_foreach_member(j, m)
                        sort_all(m->value);
                if (j->len)
                        qsort(j->members, j->len, sizeof(*j->members), compare_members);
        } else if (json_is_array(j)) {
                json_foreach_item(j, it)
                        sort_all(it);
                if (j->len)
                        qsort(j->items, j->len, sizeof(*j->items), compare_items);
        }
}

char *sim_print(const struct sim *s)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (unsigned i = 0; i < R_COUNT; i++) {
                const char **lines = arena_calloc(a, (s->server[i].n + 1) * sizeof(*lines));
                struct map_entry *e;
                size_t n = 0;

                map_foreach(&s->server[i], e) {
                        struct json *copy = masked(a, ((const struct object *)e->value)->json);

                        sort_all(copy);
                        lines[n++] = json_print(a, copy);
                }
                if (n)
                        qsort(lines, n, sizeof(*lines), compare_text);
                for (size_t k = 0; k < n; k++)
                        strbuf_printf(&b, "%s\n", lines[k]);
        }
        return xstrdup(strbuf_str(&b));
}
