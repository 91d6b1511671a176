/* The driver: one work queue a controller, informers shared by all, and workers that are fibers only
 * while there is work.
 *
 * A worker takes a key, lets the controller decide, and carries out the writes. Writes marked `batch`
 * run beside each other in slow start (1, 2, 4, ...), so that fifty pods take few round trips while
 * a quota that is used up is hit once, not fifty times.
 */
#include "controller.h"

#include <errno.h>

#include "../base/time.h"

#define WORKERS 5
#define BATCH_MAX 16
#define TOLD_MAX 4096

struct running {
        struct controllers *all;
        const struct controller *def;
        struct workqueue *queue;
        struct event_recorder *events;
        struct loop_timer *resync;
        struct map told; /* "uid/reason" of Events that are told once */
        struct map memory;
        unsigned workers, workers_max;
        int64_t resync_ns;
        bool ready; /* all that it watches is synced */
        bool held;
};

/* A handler's context: which controller by which watch. */
struct link {
        struct running *r;
        const struct controller_watch *watch;
        bool own_watch; /* the link's, to be freed with it */
        bool dead;      /* its kind is forgotten; a list that was under way may still come this way */
};

struct controllers {
        struct controllers_options o;
        struct controller_resource *resources; /* the daemon's, then those found at run time; room for the maximum */
        size_t n_resources;
        struct informer **informers; /* by resource; NULL: nobody watches it */
        struct object_store **stores;
        struct running **running;
        size_t n, cap;
        struct link **links;
        size_t n_links, cap_links;
        int64_t since;
        bool started;
};

static void on_ready(struct workqueue *q, void *userdata);

static struct snapshot make_snapshot(struct controllers *c)
{
        return (struct snapshot){ .now = time_real(), .since = c->since, .stores = c->stores, .settings = c->o.settings,
                                  .resources = c->resources, .n_resources = c->n_resources };
}

/* --- informers --- */

static void check_ready(struct controllers *c)
{
        for (size_t i = 0; i < c->n; i++) {
                struct running *r = c->running[i];
                bool ready = !r->held;

                for (size_t j = 0; ready && j < r->def->n_watches; j++)
                        ready = informer_synced(c->informers[r->def->watches[j].resource]);
                if (!ready || r->ready)
                        continue;
                r->ready = true;
                on_ready(r->queue, r);
        }
}

static void on_synced(struct informer *inf, void *userdata)
{
        struct controllers *c = userdata;

        for (size_t i = c->o.n_resources; i < c->n_resources; i++)
                if (c->informers[i] == inf)
                        c->stores[i] = informer_store(inf);
        check_ready(c);
}

static void on_failed(struct informer *inf, int code, const char *text, void *userdata)
{
        struct controllers *c = userdata;

        if (code && c->o.log)
                c->o.log("informer", "", text, c->o.userdata);
}

struct informer *controllers_informer(struct controllers *c, unsigned resource)
{
        const struct controller_resource *res = &c->resources[resource];
        struct informer_options o = {
                .group = res->group, .version = res->version, .resource = res->resource,
                .synced = on_synced, .failed = on_failed, .userdata = c,
                .metadata_only = resource >= c->o.n_resources,
        };

        struct object_store *store;

        if (c->informers[resource])
                return c->informers[resource];
        c->informers[resource] = informer_new(c->o.client, &o);
        store = informer_store(c->informers[resource]);
        object_store_add_index(store, object_store_index_namespace);
        object_store_add_index(store, object_store_index_owner);
        if (res->index)
                object_store_add_index(store, res->index);
        if (!o.metadata_only)
                c->stores[resource] = store;
        return c->informers[resource];
}

static void enqueue(void *ctx, const char *key)
{
        workqueue_add(((struct running *)ctx)->queue, key);
}

static void on_changed(struct object_store *store, struct object *old, struct object *new, void *userdata)
{
        struct link *l = userdata;
        struct snapshot s = make_snapshot(l->r->all);
        struct keys k = { .add = enqueue, .ctx = l->r, .resource = l->watch->resource };

        if (l->dead)
                return;
        s.memory = &l->r->memory;
        controller_map(l->watch, &s, old, new, &k);
}

/* --- carrying out --- */

static void record(struct event_recorder *events, const struct write_event *e, const char *name, const char *error)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (!e->about)
                return;
        for (const char *p = e->message; *p;) {
                if (str_has_prefix(p, "{name}")) {
                        strbuf_puts(&b, name ? name : "");
                        p += strlen("{name}");
                } else if (str_has_prefix(p, "{error}")) {
                        strbuf_puts(&b, error ? error : "");
                        p += strlen("{error}");
                } else {
                        strbuf_putc(&b, *p++);
                }
        }
        event_record(events, e->about, NULL, e->type, e->reason, "%s", strbuf_str(&b));
}

/* Tells the store what became of an object that we wrote or deleted. */
static void note(struct controllers *c, const struct write *x, const struct json *answer)
{
        struct object_store *store = c->stores[x->resource];
        _cleanup_free_ char *key = NULL;
        bool there;

        if (!store || !answer)
                return;
        if (x->verb != WRITE_DELETE) {
                if (json_path_string(answer, "metadata.resourceVersion") && json_get(answer, "metadata") &&
                    !streq(json_get_string(answer, "kind"), "Status") && (!x->subresource || streq(x->subresource, "status")))
                        object_store_note_write(store, answer);
                return;
        }
        key = str_empty(x->namespace) ? xstrdup(x->name) : xasprintf("%s/%s", x->namespace, x->name);
        there = json_path_string(answer, "metadata.deletionTimestamp") &&
                (json_len(json_path(answer, "metadata.finalizers")) ||
                 json_path_int(answer, "metadata.deletionGracePeriodSeconds", 0) > 0);
        if (there)
                object_store_note_write(store, answer);
        else
                object_store_note_delete(store, key, x->uid);
}

/* True when the namespace is going away: nothing more can be made in it, and that is no failure. */
static bool namespace_ends(const struct json *status)
{
        json_foreach_item(json_path(status, "details.causes"), cause) {
                if (streq(json_get_string(cause, "reason"), "NamespaceTerminating"))
                        return true;
        }
        return false;
}

#define NOT_ALLOWED 100 /* an outcome of write_one beside those of the client: the round ends here, and is no failure */

/* Asks the server itself whether the object is gone: stores may lag behind each other. */
static int expect_absent(struct controllers *c, const struct write *x, const char *path, struct arena *a,
                         struct error *reterr)
{
        struct json *answer = NULL;
        int r = client_get(c->o.client, path, a, &answer, reterr);

        if (r == CLIENT_NOT_FOUND) /* of the object, not of the version */
                return streq(json_path_string(answer, "details.name"), x->name) ? 0 : NOT_ALLOWED;
        if (r)
                return r;
        return x->any_uid || streq(json_path_string(answer, "metadata.uid"), x->uid) ? CLIENT_CONFLICT : 0;
}

/* The memory is bounded as the recorder's is: what is forgotten is told again. */
static bool told_before(struct running *r, const struct write *x)
{
        _cleanup_free_ char *key = NULL;

        if (!x->once)
                return false;
        key = xasprintf("%s/%s", json_path_string(x->done.about, "metadata.uid"), x->done.reason);
        if (map_get(&r->told, key))
                return true;
        if (r->told.n >= TOLD_MAX)
                map_clear(&r->told);
        map_put(&r->told, key, r);
        return false;
}

static int expect_allowed(struct controllers *c, const struct write *x, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *answer = NULL;
        int r = client_create(c->o.client, "/apis/authorization.k8s.io/v1/subjectaccessreviews", x->body, a, &answer, reterr);

        if (r)
                return r;
        return json_path_bool(answer, "status.allowed", false) ? 0 : NOT_ALLOWED;
}

struct work {
        const struct write *x;
        struct error *err;
        int result;
};

static void work_off_loop(void *userdata)
{
        struct work *work = userdata;

        work->result = work->x->work(work->x->name, work->err);
}

static int do_work(struct running *r, const struct write *x, struct error *reterr)
{
        struct work work = { .x = x, .err = reterr };

        fiber_work(client_loop(r->all->o.client), work_off_loop, &work);
        record(r->events, work.result ? &x->failed : &x->done, x->name, error_text(reterr));
        return work.result;
}

static int write_one(struct running *running, const struct write *x, struct error *reterr)
{
        struct controllers *c = running->all;
        struct event_recorder *events = running->events;
        const struct controller_resource *res = &c->resources[x->resource];
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *answer = NULL;
        const char *path, *name = x->name;
        int r;

        if (x->verb == WRITE_EVENT) {
                if (!told_before(running, x))
                        record(events, &x->done, NULL, NULL);
                return 0;
        }
        if (x->verb == WRITE_WORK)
                return do_work(running, x, reterr);
        if (x->verb == WRITE_EXPECT_ALLOWED)
                return expect_allowed(c, x, reterr);
        path = client_path(a, res->group, x->version ? x->version : res->version, res->resource, x->namespace,
                           x->verb == WRITE_CREATE && !x->subresource ? NULL : x->name, x->subresource);
        if (x->verb == WRITE_EXPECT_ABSENT)
                return expect_absent(c, x, path, a, reterr);
        switch (x->verb) {
        case WRITE_CREATE:
                r = client_create(c->o.client, path, x->body, a, &answer, reterr);
                break;
        case WRITE_UPDATE:
                r = client_update(c->o.client, path, x->body, a, &answer, reterr);
                break;
        case WRITE_DELETE:
                r = client_delete(c->o.client, path, x->body, a, &answer, reterr);
                break;
        case WRITE_APPLY:
                r = client_call(c->o.client, "PATCH", arena_printf(a, "%s?fieldManager=%s&force=true", path, x->manager),
                                "application/apply-patch+yaml", x->body, a, &answer, reterr);
                break;
        default:
                r = client_patch(c->o.client, path, (enum client_patch)(x->verb - WRITE_PATCH_JSON), x->body, a,
                                 &answer, reterr);
        }
        if (!r) {
                note(c, x, answer);
                if (x->verb == WRITE_CREATE)
                        name = json_path_string(answer, "metadata.name");
                record(events, &x->done, name, NULL);
                return 0;
        }
        if (x->verb == WRITE_DELETE && c->stores[x->resource] && (r == CLIENT_NOT_FOUND || r == CLIENT_CONFLICT)) {
                /* It is gone, or another has its name: the one that was meant is no more. */
                _cleanup_free_ char *key =
                        str_empty(x->namespace) ? xstrdup(x->name) : xasprintf("%s/%s", x->namespace, x->name);

                object_store_note_delete(c->stores[x->resource], key, x->uid);
        }
        if ((r == CLIENT_NOT_FOUND && x->ignore_not_found) || (r == CLIENT_EXISTS && x->ignore_exists) ||
            (r == CLIENT_CONFLICT && x->ignore_conflict) || (r > 0 && x->ignore_all))
                return 0;
        if (x->verb == WRITE_CREATE && namespace_ends(answer))
                return 0; /* what follows may still be written: a status, say */
        if (r != CLIENT_CONFLICT)
                record(events, &x->failed, x->name, error_text(reterr));
        return r;
}

/* Some writes at once, each on a fiber of its own; the caller's fiber waits. */
struct batch {
        struct running *running;
        struct fiber *waiter;
        unsigned left;
        int result;
        struct error err;
};
struct batch_item {
        struct batch *batch;
        const struct write *x;
};

static void batch_fiber(void *userdata)
{
        struct batch_item *i = userdata;
        _cleanup_error_ struct error err = ERROR_INIT;
        int r = write_one(i->batch->running, i->x, &err);

        if (r && !i->batch->result) {
                i->batch->result = r;
                error_set(&i->batch->err, r, "%s", error_text(&err));
        }
        if (--i->batch->left == 0)
                fiber_wake(i->batch->waiter);
}

static int write_batch(struct running *r, const struct write *x, size_t n, struct error *reterr)
{
        struct batch b = { .running = r, .waiter = fiber_self(), .left = (unsigned)n };
        struct batch_item items[BATCH_MAX];

        for (size_t i = 0; i < n; i++) {
                items[i] = (struct batch_item){ &b, &x[i] };
                fiber_start(client_loop(r->all->o.client), batch_fiber, &items[i]);
        }
        fiber_park(); /* a wake before it is not lost, and there is just one */
        if (b.result)
                error_set(reterr, b.result, "%s", error_text(&b.err));
        error_deinit(&b.err);
        return b.result;
}

/* All in order until one fails; *ret_at is that one. */
static int carry_out(struct running *r, const struct writes *w, size_t *ret_at, struct error *reterr)
{
        size_t width = 1;

        for (size_t i = 0; i < w->n;) {
                size_t n = 1;
                int e;

                while (w->items[i].batch && n < width && i + n < w->n && w->items[i + n].batch)
                        n++;
                e = n > 1 ? write_batch(r, &w->items[i], n, reterr) : write_one(r, &w->items[i], reterr);
                if (e) {
                        *ret_at = i;
                        return e;
                }
                width = w->items[i].batch ? MIN(width * 2, (size_t)BATCH_MAX) : 1;
                i += n;
        }
        return 0;
}

/* --- working --- */

/* One reconcile and its writes. 0, or what stopped them. */
static int round_of(struct running *r, const char *key, const struct write_failure *failure, int64_t *ret_after,
                    struct write_failure *ret_failure, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct writes w = { .arena = a };
        struct snapshot s = make_snapshot(r->all);
        size_t at = 0;
        int e;

        s.failure = failure;
        s.memory = &r->memory;
        s.failures = workqueue_failures(r->queue, key);
        r->def->reconcile(&s, key, &w);
        e = carry_out(r, &w, &at, reterr);
        if (e)
                *ret_failure = (struct write_failure){ .verb = w.items[at].verb, .resource = w.items[at].resource,
                                                       .outcome = e, .message = error_text(reterr) };
        else if (w.failed)
                e = error_set(reterr, CLIENT_BUSY, "not possible yet");
        *ret_after = w.requeue_after;
        return e;
}

static void work_on(struct running *r, const char *key)
{
        _cleanup_error_ struct error err = ERROR_INIT, second = ERROR_INIT;
        struct write_failure failure = { 0 }, unused_failure;
        int64_t after = 0;
        int e = round_of(r, key, NULL, &after, &failure, &err);

        if (e && e != CLIENT_CONFLICT && e != NOT_ALLOWED && failure.message) {
                int64_t unused_after;

                round_of(r, key, &failure, &unused_after, &unused_failure, &second);
        }
        if (!e || e == NOT_ALLOWED) {
                workqueue_forget(r->queue, key);
                if (after)
                        workqueue_add_after(r->queue, key, after);
                return;
        }
        if (e != CLIENT_CONFLICT && r->all->o.log)
                r->all->o.log(r->def->name, key, error_text(&err), r->all->o.userdata);
        workqueue_add_rate_limited(r->queue, key);
}

static void worker_fiber(void *userdata)
{
        struct running *r = userdata;
        char *key;

        r->workers++;
        while ((key = workqueue_take(r->queue))) {
                work_on(r, key);
                workqueue_done(r->queue, key);
                free(key);
        }
        r->workers--;
}

static void on_ready(struct workqueue *q, void *userdata)
{
        struct running *r = userdata;

        while (r->ready && r->workers < r->workers_max && workqueue_len(q))
                fiber_start(client_loop(r->all->o.client), worker_fiber, r);
}

static void on_resync(struct loop_timer *timer, void *userdata)
{
        struct running *r = userdata;
        struct map_entry *e;

        map_foreach(object_store_objects(r->all->stores[r->def->watches[0].resource]), e)
                workqueue_add(r->queue, e->key);
        loop_timer_arm_slack(timer, r->resync_ns, r->resync_ns / 5);
}

/* --- life --- */

struct controllers *controllers_new(const struct controllers_options *o)
{
        struct controllers *c = new0(struct controllers);

        c->o = *o;
        c->resources = xcalloc(CONTROLLER_RESOURCES_MAX, sizeof(*c->resources));
        c->informers = xcalloc(CONTROLLER_RESOURCES_MAX, sizeof(*c->informers));
        c->stores = xcalloc(CONTROLLER_RESOURCES_MAX, sizeof(*c->stores));
        memcpy(c->resources, o->resources, o->n_resources * sizeof(*c->resources));
        c->n_resources = o->n_resources;
        return c;
}

struct client *controllers_client(struct controllers *c)
{
        return c->o.client;
}

void controllers_add(struct controllers *c, const struct controller *def)
{
        struct running *r = new0(struct running);
        struct workqueue_options o = { .ready = on_ready, .userdata = r };

        r->all = c;
        r->def = def;
        r->told = (struct map)MAP_INIT;
        r->memory = (struct map)MAP_INIT;
        r->workers_max = def->workers ? def->workers : WORKERS;
        r->resync_ns = def->resync_ns;
        r->queue = workqueue_new(client_loop(c->o.client), &o);
        r->events = event_recorder_new(c->o.client, def->component ? def->component : def->name, "");
        for (size_t i = 0; i < def->n_watches; i++) {
                struct link *l = new0(struct link);

                *l = (struct link){ .r = r, .watch = &def->watches[i] };
                controllers_informer(c, def->watches[i].resource);
                if (!def->watches[i].passive)
                        object_store_add_handler(c->stores[def->watches[i].resource], on_changed, l);
                array_reserve(c->links, c->cap_links, c->n_links + 1);
                c->links[c->n_links++] = l;
        }
        array_reserve(c->running, c->cap, c->n + 1);
        c->running[c->n++] = r;
}

bool controllers_tune(struct controllers *c, const char *name, unsigned workers, int64_t resync_ns)
{
        for (size_t i = 0; i < c->n; i++) {
                if (!streq(c->running[i]->def->name, name))
                        continue;
                if (workers)
                        c->running[i]->workers_max = workers;
                if (resync_ns)
                        c->running[i]->resync_ns = resync_ns;
                return true;
        }
        return false;
}

static unsigned free_number(struct controllers *c)
{
        for (size_t i = c->o.n_resources; i < c->n_resources; i++)
                if (!c->informers[i])
                        return (unsigned)i;
        return c->n_resources < CONTROLLER_RESOURCES_MAX ? (unsigned)c->n_resources++ : 0;
}

void controllers_watch_with(struct controllers *c, const struct controller *controller, const struct controller_watch *watch,
                            unsigned resource)
{
        for (size_t i = 0; i < c->n; i++) {
                struct controller_watch *own;
                struct link *l;

                if (c->running[i]->def != controller)
                        continue;
                own = new0(struct controller_watch);
                *own = *watch;
                own->resource = resource;
                l = new0(struct link);
                *l = (struct link){ .r = c->running[i], .watch = own, .own_watch = true };
                object_store_add_handler(informer_store(c->informers[resource]), on_changed, l);
                array_reserve(c->links, c->cap_links, c->n_links + 1);
                c->links[c->n_links++] = l;
        }
}

unsigned controllers_watch_more(struct controllers *c, const struct controller *controller, const struct controller_watch *watch,
                                const struct controller_resource *res)
{
        unsigned number = free_number(c);

        if (!number)
                return 0;
        c->resources[number] = *res;
        controllers_informer(c, number);
        controllers_watch_with(c, controller, watch, number);
        informer_start(c->informers[number]);
        return number;
}

bool controllers_synced(const struct controllers *c, unsigned resource)
{
        return c->informers[resource] && informer_synced(c->informers[resource]);
}

void controllers_hold(struct controllers *c, const struct controller *controller, bool hold)
{
        for (size_t i = 0; i < c->n; i++)
                if (c->running[i]->def == controller)
                        c->running[i]->held = hold;
        if (!hold)
                check_ready(c);
}

void controllers_again(struct controllers *c, const struct controller *controller)
{
        for (size_t i = 0; i < c->n_links; i++) {
                struct link *l = c->links[i];
                struct object_store *store = c->stores[l->watch->resource];
                struct map_entry *e;

                if (l->r->def != controller || l->watch->passive || l->dead || !store)
                        continue;
                map_foreach(object_store_objects(store), e)
                        on_changed(store, NULL, e->value, l);
        }
}

void controllers_forget(struct controllers *c, unsigned resource)
{
        struct informer *inf = c->informers[resource];

        if (resource < c->o.n_resources || !inf)
                return;
        for (size_t i = 0; i < c->n_links; i++)
                c->links[i]->dead |= c->links[i]->own_watch && c->links[i]->watch->resource == resource;
        c->informers[resource] = NULL;
        c->stores[resource] = NULL;
        c->resources[resource] = (struct controller_resource){ .group = "", .version = "", .resource = "", .kind = "" };
        informer_free(inf);
}

void controllers_start(struct controllers *c)
{
        c->started = true;
        c->since = time_real();
        for (size_t i = 0; i < c->n_resources; i++)
                if (c->informers[i])
                        informer_start(c->informers[i]);
        for (size_t i = 0; i < c->n; i++) {
                struct running *r = c->running[i];

                if (!r->resync_ns)
                        continue;
                r->resync = loop_timer_new(client_loop(c->o.client), on_resync, r);
                loop_timer_arm_slack(r->resync, r->resync_ns, r->resync_ns / 5);
        }
        check_ready(c);
}

/* For the end of the process or of a test: no worker may be parked. */
void controllers_free(struct controllers *c)
{
        if (!c)
                return;
        for (size_t i = 0; i < c->n_resources; i++)
                informer_free(c->informers[i]);
        for (size_t i = 0; i < c->n; i++) {
                workqueue_free(c->running[i]->queue);
                event_recorder_free(c->running[i]->events);
                loop_timer_free(c->running[i]->resync);
                map_deinit(&c->running[i]->told);
                snapshot_memory_deinit(&c->running[i]->memory);
                map_deinit(&c->running[i]->memory);
                free(c->running[i]);
        }
        for (size_t i = 0; i < c->n_links; i++) {
                if (c->links[i]->own_watch)
                        free((void *)c->links[i]->watch);
                free(c->links[i]);
        }
        free(c->links);
        free(c->running);
        free(c->informers);
        free(c->resources);
        free(c->stores);
        free(c);
}
