/* The namespace controller: empties a namespace that is being deleted, then takes its finalizer away.
 *
 * What kinds there are only discovery knows, so this one talks to the server: pods first, and while
 * any is left nothing else; then every namespaced kind that can be deleted. What remains (pods in
 * their grace period, finalizers) is counted, said in the namespace's conditions, and looked at
 * again a little later. A look that finds nothing ends it.
 *
 * It begins some seconds after the deletion: another API server may still admit what it was just
 * asked to create, and what comes then must not be missed.
 */
#include "controllers.h"

#include <stdio.h>

#define BEGIN_AFTER_NS (5 * NS_PER_SEC)
#define AGAIN_FIRST_NS (200 * NS_PER_MS)
#define AGAIN_MAX_NS (5 * NS_PER_SEC)
#define PAGE 500
#define WORKERS 10

struct ending {
        struct controllers *controllers;
        struct workqueue *queue;
        unsigned workers, workers_max;
};

/* --- what remains --- */

static void count_up(struct arena *a, struct json *counts, const char *key, int64_t n)
{
        json_set_int(a, counts, key, json_get_int(counts, key, 0) + n);
}

static int compare_keys(const void *x, const void *y)
{
        const struct json_member *const *a = x, *const *b = y;

        return strcmp((*a)->key, (*b)->key);
}

/* "configmaps. has 1 resource instances, pods. has 2 resource instances": sorted. */
static const char *print_counts(struct arena *a, const struct json *counts, const char *middle)
{
        const struct json_member **sorted = arena_calloc(a, (json_len(counts) + 1) * sizeof(*sorted));
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        size_t n = 0;

        json_foreach_member(counts, m)
                sorted[n++] = m;
        qsort(sorted, n, sizeof(*sorted), compare_keys);
        for (size_t i = 0; i < n; i++)
                strbuf_printf(&b, "%s%s %s %s resource instances", i ? ", " : "", sorted[i]->key, middle,
                              json_print(a, sorted[i]->value));
        return arena_strdup(a, strbuf_str(&b));
}

bool namespace_conditions(struct arena *a, const struct namespace_remains *remains, struct json *conditions, int64_t now)
{
        static const struct {
                const char *type, *reason, *message, *bad_reason, *bad_message;
        } table[] = {
                { "NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered",
                  "DiscoveryFailed", "Discovery failed for some groups" },
                { "NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions",
                  "All legacy kube types successfully parsed", "", "" },
                { "NamespaceDeletionContentFailure", "ContentDeleted",
                  "All content successfully deleted, may be waiting on finalization", "ContentDeletionFailed",
                  "Failed to delete all resource types" },
                { "NamespaceContentRemaining", "ContentRemoved", "All content successfully removed", "SomeResourcesRemain",
                  "Some resources are remaining" },
                { "NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished",
                  "SomeFinalizersRemain", "Some content in the namespace has finalizers remaining" },
        };
        const char *bad[ARRAY_SIZE(table)] = { remains->discovery_error, NULL, remains->deletion_error,
                                               json_len(remains->counts) ? print_counts(a, remains->counts, "has") : NULL,
                                               json_len(remains->finalizers) ? print_counts(a, remains->finalizers, "in") : NULL };
        bool changed = false;

        if (remains->pods_first) /* upstream counts only when it has been through everything */
                bad[3] = bad[4] = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                changed |= condition_set(a, conditions, table[i].type, bad[i] ? "True" : "False",
                                         bad[i] ? table[i].bad_reason : table[i].reason,
                                         bad[i] ? arena_printf(a, "%s: %s", table[i].bad_message, bad[i]) : table[i].message,
                                         now);
        return changed;
}

/* --- deleting --- */

struct kind {
        const char *path, *group, *name;
};

struct sweep {
        struct client *c;
        struct arena *a;
        const char *namespace;
        struct namespace_remains remains;
};

static void failed(struct sweep *s, const char **at, const struct error *err)
{
        if (!*at)
                *at = arena_strdup(s->a, error_text(err));
}

/* Adds the objects of one page to the census; the token of the next page or NULL. */
static const char *take_page(struct sweep *s, const struct kind *k, const struct json *list)
{
        const char *next = json_path_string(list, "metadata.continue");

        if (json_len(json_get(list, "items")))
                count_up(s->a, s->remains.counts, arena_printf(s->a, "%s.%s", k->name, k->group),
                         (int64_t)json_len(json_get(list, "items")));
        json_foreach_item(json_get(list, "items"), it) {
                json_foreach_item(json_path(it, "metadata.finalizers"), f)
                        count_up(s->a, s->remains.finalizers, json_string(f), 1);
        }
        return str_empty(next) ? NULL : next;
}

#define METADATA "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

static int take_census(struct sweep *s, const struct kind *k, struct error *reterr)
{
        const char *next = "";

        while (next) {
                const char *path = arena_printf(s->a, "%s?limit=%d&continue=%s", k->path, PAGE, next);
                struct json *list = NULL;
                int r = client_call_accept(s->c, "GET", path, NULL, METADATA, NULL, s->a, &list, reterr);

                if (r)
                        return r;
                next = take_page(s, k, list);
        }
        return 0;
}

static void empty_kind(struct sweep *s, const struct kind *k)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *list = NULL;
        int r = client_get(s->c, arena_printf(a, "%s?limit=1", k->path), a, &list, &err);

        if (!r && !json_len(json_get(list, "items")))
                return;
        if (!r)
                r = client_delete(s->c, k->path, NULL, a, NULL, &err);
        if (!r)
                r = take_census(s, k, &err);
        if (r)
                failed(s, &s->remains.deletion_error, &err);
}

static bool has_verb(const struct json *res, const char *verb)
{
        json_foreach_item(json_get(res, "verbs"), v) {
                if (streq(json_string(v), verb))
                        return true;
        }
        return false;
}

static void empty_version(struct sweep *s, const char *group, const char *prefix)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *list = NULL;

        if (client_get(s->c, prefix, s->a, &list, &err) != 0) {
                failed(s, &s->remains.discovery_error, &err);
                return;
        }
        json_foreach_item(json_get(list, "resources"), res) {
                struct kind k = { .group = group, .name = json_get_string(res, "name") };

                if (!json_get_bool(res, "namespaced", false) || !k.name || strchr(k.name, '/') ||
                    !has_verb(res, "deletecollection") || !has_verb(res, "list"))
                        continue;
                k.path = arena_printf(s->a, "%s/namespaces/%s/%s", prefix, s->namespace, k.name);
                empty_kind(s, &k);
        }
}

static void empty_namespace(struct sweep *s)
{
        struct kind pods = { .group = "", .name = "pods" };
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *groups = NULL;

        pods.path = arena_printf(s->a, "/api/v1/namespaces/%s/pods", s->namespace);
        empty_kind(s, &pods);
        if (json_len(s->remains.counts) || s->remains.deletion_error) {
                s->remains.pods_first = true;
                return;
        }
        empty_version(s, "", "/api/v1");
        if (client_get(s->c, "/apis", s->a, &groups, &err) != 0) {
                failed(s, &s->remains.discovery_error, &err);
                return;
        }
        json_foreach_item(json_get(groups, "groups"), g) {
                const char *version = json_path_string(g, "preferredVersion.groupVersion");

                /* Events are kept under two groups: one is enough. */
                if (version && !str_has_prefix(version, "events.k8s.io/"))
                        empty_version(s, json_get_string(g, "name"), arena_printf(s->a, "/apis/%s", version));
        }
}

/* --- a round --- */

static bool is_clean(const struct sweep *s)
{
        return !json_len(s->remains.counts) && !s->remains.discovery_error && !s->remains.deletion_error;
}

/* True: nothing is left to do for it. */
static bool report(struct sweep *s)
{
        const char *path = arena_printf(s->a, "/api/v1/namespaces/%s", s->namespace);
        struct json *ns = NULL, *status;
        int r = client_get(s->c, path, s->a, &ns, NULL);

        if (r == CLIENT_NOT_FOUND)
                return true;
        if (r || !object_is_deleting(ns))
                return r == 0;
        status = json_ensure_object(s->a, ns, "status");
        if (namespace_conditions(s->a, &s->remains, json_ensure_array(s->a, status, "conditions"), time_real()) &&
            client_update(s->c, arena_printf(s->a, "%s/status", path), ns, s->a, &ns, NULL) != 0)
                return false;
        if (!is_clean(s))
                return false;
        json_path_set(s->a, ns, "spec.finalizers", json_new_array(s->a));
        r = client_update(s->c, arena_printf(s->a, "%s/finalize", path), ns, s->a, NULL, NULL);
        return r == 0 || r == CLIENT_NOT_FOUND;
}

static bool work_on(struct ending *e, const char *name)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct sweep s = { .c = controllers_client(e->controllers), .a = a, .namespace = name };

        s.remains.counts = json_new_object(a);
        s.remains.finalizers = json_new_object(a);
        empty_namespace(&s);
        return report(&s);
}

static void worker(void *userdata)
{
        struct ending *e = userdata;
        char *name;

        while ((name = workqueue_take(e->queue))) {
                if (work_on(e, name))
                        workqueue_forget(e->queue, name);
                else
                        workqueue_add_rate_limited(e->queue, name);
                workqueue_done(e->queue, name);
                free(name);
        }
        e->workers--;
}

static void on_ready(struct workqueue *q, void *userdata)
{
        struct ending *e = userdata;

        if (e->workers >= e->workers_max)
                return;
        e->workers++;
        fiber_start(client_loop(controllers_client(e->controllers)), worker, e);
}

static void on_changed(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        struct ending *e = userdata;
        int64_t since;

        if (!new || !object_is_deleting(new->json) || !json_len(json_path(new->json, "spec.finalizers")))
                return;
        if (old && object_is_deleting(old->json))
                return; /* our own words about it */
        since = time_real() - object_time(new->json, "metadata.deletionTimestamp");
        workqueue_add_after(e->queue, new->key, MAX(BEGIN_AFTER_NS - since, INT64_C(0)));
}

void namespace_controller_start(struct controllers *c, unsigned workers)
{
        struct ending *e = new0(struct ending); /* lives as long as the process */
        struct workqueue_options o = { .base_delay_ns = AGAIN_FIRST_NS, .max_delay_ns = AGAIN_MAX_NS, .ready = on_ready,
                                       .userdata = e };
        struct informer_handler h = { .changed = on_changed, .userdata = e };

        e->controllers = c;
        e->workers_max = workers ? workers : WORKERS;
        e->queue = workqueue_new(client_loop(controllers_client(c)), &o);
        informer_add_handler(controllers_informer(c, R_NAMESPACES), &h);
}
