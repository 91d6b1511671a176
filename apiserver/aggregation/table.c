/* The table of APIServices, and the fiber that keeps what follows from it (aggregation.h).
 *
 *      APIService events ----> table, S->extra.remotes          (at once, in the event)
 *      Service and slice events --> "due" of who has that Service
 *      fiber: a check for each that is due or was not looked at for long; APIServices for built-in and custom groups
 *
 * A changed APIService is a new struct; what its server was heard to serve goes over to it. Checks and requests that
 * still run hold the old one.
 */
#include <errno.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/log.h"
#include "../auth/feed.h"
#include "../registry/definitions.h"
#include "../registry/registry.h"
#include "internal.h"

#define ONE_MORE_LOOK_NS (30 * NS_PER_SEC) /* at one that was well, as upstream's informers come by again */

#define GATHER_NS (300 * NS_PER_MS) /* definitions come in heaps: their APIServices can wait for it to end */
#define RETRY_NS (10 * NS_PER_SEC)  /* after what could not be written */

struct aggregator aggregator;

static bool once_done; /* the APIServices of built-in groups were seen to */
static bool registrations_due;

static void service_put(struct entry *e, void *userdata);
static void slice_put(struct entry *e, void *userdata);

static void clear_nothing(void *userdata)
{
}

static void feed_cut(void *userdata)
{
        aggregation_wake();
}

static void definition_changed(struct entry *e, void *userdata)
{
        registrations_due = true;
        aggregation_wake();
}

static void table_clear(void *userdata);
static void table_put(struct entry *e, void *userdata);
static void table_del(struct entry *e, void *userdata);

static struct feed api_services = {.group = "apiregistration.k8s.io", .version = "v1", .resource = "apiservices",
                                   .clear = table_clear, .put = table_put, .del = table_del, .cut = feed_cut};
static struct feed definitions = {.group = "apiextensions.k8s.io", .version = "v1", .resource = "customresourcedefinitions",
                                  .clear = clear_nothing, .put = definition_changed, .del = definition_changed, .cut = feed_cut};
static struct feed services = {.group = "", .version = "v1", .resource = "services",
                               .clear = clear_nothing, .put = service_put, .del = service_put, .cut = feed_cut};
static struct feed slices = {.group = "discovery.k8s.io", .version = "v1", .resource = "endpointslices",
                             .clear = clear_nothing, .put = slice_put, .del = slice_put, .cut = feed_cut};

/* --- one of them --- */

void documents_unref(struct documents *d)
{
        if (d && --d->refs == 0)
                arena_free(d->arena); /* d itself is in it */
}

struct api_service *api_service_ref(struct api_service *s)
{
        s->refs++;
        return s;
}

void api_service_unref(struct api_service *s)
{
        if (--s->refs)
                return;
        documents_unref(s->documents);
        arena_free(s->arena); /* s itself is in it */
}

static const char *string_at(const struct json *obj, const char *path)
{
        const char *s = json_path_string(obj, path);

        return s ? s : "";
}

static const char *bundle(struct arena *a, const char *base64)
{
        _cleanup_strbuf_ struct strbuf pem = STRBUF_INIT;

        if (!*base64 || base64_decode(&pem, base64, strlen(base64), NULL) < 0 || !pem.len)
                return NULL;
        return arena_strndup(a, pem.data, pem.len);
}

static struct api_service *api_service_new(const struct entry *e)
{
        struct arena *a = arena_new(1024);
        struct api_service *s = arena_calloc(a, sizeof(*s));
        struct json *obj = NULL;

        if (json_parse(a, e->json->data, e->json->len, NULL, &obj, NULL) < 0) {
                arena_free(a);
                return NULL;
        }
        s->arena = a;
        s->refs = 1;
        s->object = obj;
        s->name = arena_strdup(a, e->name);
        s->local = !json_is_object(json_path(obj, "spec.service"));
        s->service_namespace = string_at(obj, "spec.service.namespace");
        s->service_name = string_at(obj, "spec.service.name");
        s->port = json_path_int(obj, "spec.service.port", 443);
        s->ca_pem = bundle(a, string_at(obj, "spec.caBundle"));
        s->insecure = json_path_bool(obj, "spec.insecureSkipTLSVerify", false);
        s->available = availability_is(obj);
        s->remote = (struct discovery_remote){
                .group = string_at(obj, "spec.group"),
                .version = string_at(obj, "spec.version"),
                .group_priority = (int32_t)json_path_int(obj, "spec.groupPriorityMinimum", 0),
                .version_priority = (int32_t)json_path_int(obj, "spec.versionPriority", 0),
                .stale = true,
                .resources = "[]",
                .openapi_v3_hash = "",
        };
        return s;
}

/* NEW takes over what is known of the server behind OLD. */
static void inherit(struct api_service *new, const struct api_service *old)
{
        bool same = streq(new->service_namespace, old->service_namespace) && streq(new->service_name, old->service_name) &&
                    new->port == old->port && streq(new->ca_pem, old->ca_pem) && new->insecure == old->insecure;

        if (!same || new->local)
                return;
        new->documents = old->documents;
        if (new->documents)
                new->documents->refs++;
        new->remote.resources = old->remote.resources;
        new->remote.stale = old->remote.stale;
        new->remote.openapi_v3_hash = old->remote.openapi_v3_hash;
        new->remote.openapi_v2 = old->remote.openapi_v2;
        new->due = old->due || old->checking; /* a check that runs is about the old one */
        new->failures = old->failures;
        new->next_check = old->next_check;
}

/* --- the table --- */

static size_t find(const char *name, bool *ret_found)
{
        size_t lo = 0, hi = aggregator.n;

        while (lo < hi) {
                size_t mid = (lo + hi) / 2;

                if (strcmp(aggregator.list[mid]->name, name) < 0)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        *ret_found = lo < aggregator.n && streq(aggregator.list[lo]->name, name);
        return lo;
}

struct api_service *aggregation_find(const char *group, const char *version)
{
        for (size_t i = 0; i < aggregator.n; i++) {
                struct api_service *s = aggregator.list[i];

                if (!s->local && streq(s->remote.group, group) && streq(s->remote.version, version))
                        return s;
        }
        return NULL;
}

static void publish(void)
{
        size_t n = 0;

        aggregator.remotes = xrealloc(aggregator.remotes, (aggregator.n + 1) * sizeof(*aggregator.remotes));
        for (size_t i = 0; i < aggregator.n; i++)
                if (!aggregator.list[i]->local)
                        aggregator.remotes[n++] = &aggregator.list[i]->remote;
        aggregator.server->extra.remotes = aggregator.remotes;
        aggregator.server->extra.n_remotes = n;
}

void aggregation_metrics(struct strbuf *out)
{
        strbuf_puts(out, "# HELP aggregator_unavailable_apiservice [ALPHA] Whether an APIService is not available (1)\n"
                         "# TYPE aggregator_unavailable_apiservice gauge\n");
        for (size_t i = 0; i < aggregator.n; i++)
                strbuf_printf(out, "aggregator_unavailable_apiservice{name=\"%s\"} %d\n", aggregator.list[i]->name,
                              !aggregator.list[i]->local && !aggregator.list[i]->available);
}

static void leave(struct api_service *s)
{
        s->gone = true;
        api_service_unref(s);
}

static void table_clear(void *userdata)
{
        aggregator.server->extra.n_remotes = 0;
        while (aggregator.n)
                leave(aggregator.list[--aggregator.n]);
}

/* Only what it is about makes a new look necessary, not the condition that we wrote. */
static bool needs_look(const struct api_service *new, const struct api_service *old)
{
        const char *reason = "";

        if (!new->local)
                return !old || !json_equal(json_get(new->object, "spec"), json_get(old->object, "spec"));
        json_foreach_item(json_path(new->object, "status.conditions"), c)
                reason = string_at(c, "reason");
        return !streq(reason, "Local");
}

static void table_put(struct entry *e, void *userdata)
{
        struct api_service *s = api_service_new(e), *old;
        bool found;
        size_t i;

        if (!s)
                return;
        i = find(s->name, &found);
        old = found ? aggregator.list[i] : NULL;
        if (old) {
                inherit(s, old);
        } else {
                array_reserve(aggregator.list, aggregator.cap, aggregator.n + 1);
                memmove(&aggregator.list[i + 1], &aggregator.list[i], (aggregator.n - i) * sizeof(*aggregator.list));
                aggregator.n++;
        }
        aggregator.list[i] = s;
        s->due |= needs_look(s, old);
        publish();
        if (old)
                leave(old);
        if (s->due)
                aggregation_wake();
}

static void table_del(struct entry *e, void *userdata)
{
        bool found;
        size_t i = find(e->name, &found);
        struct api_service *s;

        if (!found)
                return;
        s = aggregator.list[i];
        memmove(&aggregator.list[i], &aggregator.list[i + 1], (aggregator.n - i - 1) * sizeof(*aggregator.list));
        aggregator.n--;
        publish();
        leave(s);
        registrations_due = true;
        aggregation_wake();
}

/* --- Services and their endpoints --- */

static void service_changed(const char *namespace, const char *name)
{
        for (size_t i = 0; i < aggregator.n; i++) {
                struct api_service *s = aggregator.list[i];

                if (s->local || !streq(s->service_name, name) || !streq(s->service_namespace, namespace))
                        continue;
                s->due = true;
                s->failures = 0;
                aggregation_wake();
        }
}

static void service_put(struct entry *e, void *userdata)
{
        if (aggregator.server->extra.n_remotes)
                service_changed(e->namespace, e->name);
}

static void slice_put(struct entry *e, void *userdata)
{
        const char *name;

        if (aggregator.server->extra.n_remotes && (name = entry_label(e, "kubernetes.io/service-name")))
                service_changed(e->namespace, name);
}

struct gathering {
        struct arena *arena;
        const char *service;
        struct json *slices;
};

static bool gather_slice(struct entry *e, void *userdata)
{
        struct gathering *g = userdata;
        struct json *slice;

        if (streq(entry_label(e, "kubernetes.io/service-name"), g->service) &&
            json_parse(g->arena, e->json->data, e->json->len, NULL, &slice, NULL) == 0)
                json_append(g->arena, g->slices, slice);
        return true;
}

void api_service_objects(const struct api_service *s, struct arena *a, struct json **ret_service, struct json **ret_slices)
{
        const struct store *store = aggregator.server->store;
        struct gathering g = {a, s->service_name, json_new_array(a)};
        struct entry *e = store_get(store, registry_key(a, builtin_resource("", "v1", "services"), s->service_namespace,
                                                        s->service_name));

        *ret_service = NULL;
        if (e)
                json_parse(a, e->json->data, e->json->len, NULL, ret_service, NULL);
        store_scan(store, registry_key(a, builtin_resource("discovery.k8s.io", "v1", "endpointslices"), s->service_namespace, NULL),
                   NULL, gather_slice, &g);
        *ret_slices = g.slices;
}

int api_service_place(const struct api_service *s, struct arena *a, struct place *ret, struct error *reterr)
{
        struct json *service, *list;

        api_service_objects(s, a, &service, &list);
        return service_place(a, service, list, s->port, aggregator.server->o.aggregator_routing, random_below(1u << 30), ret, reterr);
}

struct dial_options api_service_dial(const struct api_service *s, struct arena *a, const struct place *place, bool checked)
{
        const struct apiserver_options *o = &aggregator.server->o;

        return (struct dial_options){
                .host = place->host,
                .port = place->port,
                .tls = true,
                .ca_data = s->ca_pem,
                .cert_file = o->proxy_client_cert_file,
                .key_file = o->proxy_client_key_file,
                .insecure = s->insecure || !checked,
                .server_name = arena_printf(a, "%s.%s.svc", s->service_name, s->service_namespace),
        };
}

/* --- APIServices for what this server serves --- */

static const struct status *take_spec(struct api_request *r, const struct json *old, struct json **ret_new, void *userdata)
{
        *ret_new = json_clone(r->arena, old);
        json_set(r->arena, *ret_new, "spec", json_clone(r->arena, json_get(userdata, "spec")));
        return NULL;
}

/* IS (NULL: none) becomes as WANTED (NULL: it is not). False: try again later. */
static bool register_one(const struct json *is, struct json *wanted)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct resource *res = builtin_resource("apiregistration.k8s.io", "v1", "apiservices");
        const char *name = arena_strdup(a, json_path_string(wanted ? wanted : is, "metadata.name"));
        const struct status *st = NULL;
        struct api_request r;
        struct json *out;
        bool flag;

        request_init_internal(&r, aggregator.server, a);
        r.res = res;
        switch (automanaged_decide(is, wanted, once_done)) {
        case AUTOMANAGED_KEEP:
                break;
        case AUTOMANAGED_CREATE:
                st = registry_create(&r, res, "", json_clone(a, wanted), &out);
                break;
        case AUTOMANAGED_UPDATE:
                st = registry_update(&r, res, "", name, "", take_spec, wanted, &out, NULL);
                break;
        case AUTOMANAGED_DELETE:
                st = registry_delete(&r, res, "", name, NULL, &out, &flag);
                break;
        }
        if (st && st->code != 404 && st->code != 409)
                log_error("APIService %s: %s", name, st->message);
        return !st || st->code == 404 || st->code == 409;
}

static void want(struct arena *a, struct json *all, const char *group, const char *version, int64_t gp, int64_t vp,
                 enum automanaged how)
{
        json_append(a, all, automanaged_object(a, group, version, gp, vp, how));
}

static struct json *all_wanted(struct arena *a)
{
        const struct discovery_extra *extra = &aggregator.server->extra;
        struct json *all = json_new_array(a);

        for (unsigned i = 0; i < n_builtin_groups; i++) {
                const struct api_group *g = &builtin_groups[i];

                for (size_t v = 0; g->versions[v] && !streq(g->name, "apiregistration.k8s.io"); v++)
                        want(a, all, g->name, g->versions[v], g->priority, g->version_priorities[v], AUTOMANAGED_ONSTART);
        }
        for (size_t i = 0; i < extra->n; i++)
                if (!i || !streq(extra->list[i]->group, extra->list[i - 1]->group) ||
                    !streq(extra->list[i]->version, extra->list[i - 1]->version))
                        want(a, all, extra->list[i]->group, extra->list[i]->version, 1000, 100, AUTOMANAGED_ALWAYS);
        return all;
}

static int by_name(const void *x, const void *y)
{
        return strcmp(json_path_string(*(struct json *const *)x, "metadata.name"),
                      json_path_string(*(struct json *const *)y, "metadata.name"));
}

/* True: all is as it should be. */
static bool register_all(void)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *wanted = all_wanted(a);
        struct api_service **extra = arena_alloc(a, (aggregator.n + 1) * sizeof(*extra));
        size_t n_extra = 0, w = 0, n_wanted = json_len(wanted);
        bool done = true;

        qsort(wanted->items, n_wanted, sizeof(*wanted->items), by_name);
        for (size_t i = 0; i < aggregator.n; i++) { /* both are sorted: who is there and not wanted */
                const char *name = aggregator.list[i]->name;

                while (w < n_wanted && strcmp(json_path_string(wanted->items[w], "metadata.name"), name) < 0)
                        w++;
                if (w == n_wanted || !streq(json_path_string(wanted->items[w], "metadata.name"), name))
                        extra[n_extra++] = api_service_ref(aggregator.list[i]);
        }
        json_foreach_item(wanted, obj) {
                bool found;
                size_t at = find(json_path_string(obj, "metadata.name"), &found);
                struct api_service *s = found ? api_service_ref(aggregator.list[at]) : NULL;

                done &= register_one(s ? s->object : NULL, obj);
                if (s)
                        api_service_unref(s);
        }
        for (size_t i = 0; i < n_extra; i++) {
                done &= register_one(extra[i]->object, NULL);
                api_service_unref(extra[i]);
        }
        return done;
}

/* --- the fiber --- */

void aggregation_wake(void)
{
        if (!aggregator.waits)
                return;
        aggregator.waits = false;
        fiber_wake(aggregator.fiber);
}

static void on_timer(struct loop_timer *timer, void *userdata)
{
        aggregation_wake();
}

/* False: the cache is not there. Services are followed only while somebody has one. */
static bool follow(struct store *store)
{
        if (!feed_ensure(&api_services, store) || !feed_ensure(&definitions, store))
                return false;
        return !aggregator.server->extra.n_remotes || (feed_ensure(&services, store) && feed_ensure(&slices, store));
}

/* Starts what is due; when something will be next. 0: nothing will. */
static int64_t start_checks(void)
{
        int64_t now = time_mono(), next = 0;

        for (size_t i = 0; i < aggregator.n;) {
                struct api_service *s = aggregator.list[i];

                if (!s->checking && (s->due || (!s->local && s->next_check <= now))) {
                        s->due = false;
                        s->next_check = now + ONE_MORE_LOOK_NS;
                        api_service_check(s);
                        i = 0; /* the table may have changed */
                        continue;
                }
                if (!s->local && !s->checking && (!next || s->next_check < next))
                        next = s->next_check;
                i++;
        }
        return next;
}

static void run(void *userdata)
{
        struct apiserver *s = aggregator.server;

        aggregator.fiber = fiber_self();
        registrations_due = true;
        for (;;) {
                int64_t next;

                if (!s->bootstrapped || !definitions_ready() || !follow(s->store)) {
                        fiber_sleep(20 * NS_PER_MS);
                        continue;
                }
                next = start_checks();
                if (registrations_due) {
                        if (once_done)
                                fiber_sleep(GATHER_NS);
                        registrations_due = false;
                        if (register_all()) {
                                once_done = true;
                        } else {
                                fiber_sleep(RETRY_NS);
                                registrations_due = true;
                        }
                        continue;
                }
                if (registrations_due || !api_services.live || !definitions.live)
                        continue;
                if (next)
                        loop_timer_arm_slack(aggregator.timer, MAX(next - time_mono(), (int64_t)0), NS_PER_SEC / 2);
                aggregator.waits = true;
                fiber_park();
                aggregator.waits = false;
        }
}

void aggregation_start(struct apiserver *s)
{
        aggregator.server = s;
        aggregator.timer = loop_timer_new(s->loop, on_timer, NULL);
        fiber_start(s->loop, run, NULL);
}
