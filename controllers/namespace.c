/* The namespace controller: empties a namespace that is being deleted, then takes its finalizer away.
 *
 * What kinds there are only discovery knows, so this one talks to the server: for each namespaced
 * kind that can be, all is deleted; when a look afterwards finds nothing any more, the finalizer
 * "kubernetes" goes and with it the namespace. What waits (pods in their grace period, finalizers)
 * is looked at again a little later.
 */
#include "controllers.h"

#include <stdio.h>

#define AGAIN_FIRST_NS (200 * NS_PER_MS)
#define AGAIN_MAX_NS (5 * NS_PER_SEC)

struct ending {
        struct controllers *controllers;
        struct workqueue *queue;
        bool working;
};

/* Calls for each collection of the namespace in one API version; the number of objects left, or negative. */
static int64_t empty_version(struct client *c, const char *prefix, const char *namespace)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *list = NULL;
        int64_t left = 0;

        if (client_get(c, prefix, a, &list, NULL) != 0)
                return -1;
        json_foreach_item(json_get(list, "resources"), res) {
                const char *name = json_get_string(res, "name"), *path;
                _cleanup_arena_ struct arena *b = NULL;
                bool can_delete = false, can_list = false;
                struct json *answer = NULL;

                json_foreach_item(json_get(res, "verbs"), v) {
                        can_delete |= streq(json_string(v), "deletecollection");
                        can_list |= streq(json_string(v), "list");
                }
                if (!json_get_bool(res, "namespaced", false) || !name || strchr(name, '/') || !can_delete || !can_list)
                        continue;
                b = arena_new(0);
                path = arena_printf(b, "%s/namespaces/%s/%s", prefix, namespace, name);
                if (client_get(c, arena_printf(b, "%s?limit=1", path), b, &answer, NULL) != 0)
                        return -1;
                if (!json_len(json_get(answer, "items")))
                        continue;
                left++;
                if (client_delete(c, path, NULL, b, NULL, NULL) < 0)
                        return -1;
        }
        return left;
}

static int64_t empty_namespace(struct client *c, const char *namespace)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *groups = NULL;
        int64_t left = empty_version(c, "/api/v1", namespace);

        if (left < 0 || client_get(c, "/apis", a, &groups, NULL) != 0)
                return -1;
        json_foreach_item(json_get(groups, "groups"), g) {
                const char *version = json_path_string(g, "preferredVersion.groupVersion");
                int64_t n;

                /* Events are kept under two groups: one is enough. */
                if (!version || str_has_prefix(version, "events.k8s.io/"))
                        continue;
                n = empty_version(c, arena_printf(a, "/apis/%s", version), namespace);
                if (n < 0)
                        return -1;
                left += n;
        }
        return left;
}

/* True: nothing is left to do for it. */
static bool finish(struct client *c, const char *namespace)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char *path = arena_printf(a, "/api/v1/namespaces/%s", namespace);
        struct json *ns = NULL;
        int r = client_get(c, path, a, &ns, NULL);

        if (r == CLIENT_NOT_FOUND)
                return true;
        if (r || !object_is_deleting(ns))
                return r == 0;
        json_path_set(a, ns, "spec.finalizers", json_new_array(a));
        r = client_update(c, arena_printf(a, "%s/finalize", path), ns, a, NULL, NULL);
        return r == 0 || r == CLIENT_NOT_FOUND;
}

static void worker(void *userdata)
{
        struct ending *e = userdata;
        struct client *c = controllers_client(e->controllers);
        char *name;

        while ((name = workqueue_take(e->queue))) {
                /* Objects found were deleted, and are looked for again: only a look that finds none ends it. */
                if (empty_namespace(c, name) == 0 && finish(c, name))
                        workqueue_forget(e->queue, name);
                else
                        workqueue_add_rate_limited(e->queue, name);
                workqueue_done(e->queue, name);
                free(name);
        }
        e->working = false;
}

static void on_ready(struct workqueue *q, void *userdata)
{
        struct ending *e = userdata;

        if (e->working)
                return;
        e->working = true;
        fiber_start(client_loop(controllers_client(e->controllers)), worker, e);
}

static void on_changed(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        struct ending *e = userdata;

        if (new && object_is_deleting(new->json) && json_len(json_path(new->json, "spec.finalizers")))
                workqueue_add(e->queue, new->key);
}

void namespace_controller_start(struct controllers *c)
{
        struct ending *e = new0(struct ending); /* lives as long as the process */
        struct workqueue_options o = { .base_delay_ns = AGAIN_FIRST_NS, .max_delay_ns = AGAIN_MAX_NS, .ready = on_ready,
                                       .userdata = e };
        struct informer_handler h = { .changed = on_changed, .userdata = e };

        e->controllers = c;
        e->queue = workqueue_new(client_loop(controllers_client(c)), &o);
        informer_add_handler(controllers_informer(c, R_NAMESPACES), &h);
}
