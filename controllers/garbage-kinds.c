/* Which kinds the garbage collector watches: all that can be listed, watched and deleted. Those outside the daemon's
 * table are found by discovery, at the start and again whenever a CustomResourceDefinition changes, and watched by
 * their metadata.
 */
#include "controllers.h"

#define SETTLE_NS NS_PER_SEC /* after a change: what was defined must be served first, and changes come in crowds */
#define START_NS (100 * NS_PER_MS)
#define FAILED_NS (30 * NS_PER_SEC)

struct kinds {
        struct controllers *controllers;
        struct loop_timer *timer;
        struct map known; /* "group/resource" to its number */
        bool working;
        bool begun; /* the collector */
        unsigned tries; /* to see all of them listed */
        bool fresh; /* there are kinds that it did not know when it last looked at everything */
};

static bool has_verbs(const struct json *res)
{
        static const char *const needed[] = { "delete", "list", "watch" };
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
                json_foreach_item(json_get(res, "verbs"), v)
                        n += streq(json_string(v), needed[i]);
        return n == ARRAY_SIZE(needed);
}

static bool is_in_table(const char *group, const char *resource)
{
        for (size_t i = 0; i < R_COUNT; i++)
                if (streq(controller_resources[i].group, group) && streq(controller_resources[i].resource, resource))
                        return true;
        /* Events own nothing, belong to nobody, and come in floods. */
        return streq(resource, "events");
}

static void watch_kind(struct kinds *k, const char *key, const char *group, const char *version, const struct json *res)
{
        /* For good: a kind that goes may come back, and informers name them until they are gone. */
        struct controller_resource r = { .group = xstrdup(group), .version = xstrdup(version),
                                         .resource = xstrdup(json_get_string(res, "name")),
                                         .kind = xstrdup(json_get_string(res, "kind")),
                                         .namespaced = json_get_bool(res, "namespaced", false) };
        uintptr_t number = controllers_watch_more(k->controllers, &garbage_collector, &garbage_watch, &r);

        if (!number)
                return;
        controllers_watch_with(k->controllers, &quota_controller, &quota_watch, (unsigned)number);
        map_put(&k->known, key, (void *)number);
        k->fresh = true;
}

/* The collector begins when it sees all: an owner that is let go orphans or takes along what is known to be its.
 * When it sees more kinds, it looks at everything again: owners of such a kind may have come and gone unseen. */
static void begin(struct kinds *k)
{
        struct map_entry *e;

        map_foreach(&k->known, e)
                if (!controllers_synced(k->controllers, (unsigned)(uintptr_t)e->value)) {
                        loop_timer_arm(k->timer, SETTLE_NS << k->tries);
                        k->tries = MIN(k->tries + 1, 5u); /* one that cannot be listed must not keep us busy */
                        return;
                }
        k->tries = 0;
        if (k->begun)
                controllers_again(k->controllers, &garbage_collector);
        else
                controllers_hold(k->controllers, &garbage_collector, false);
        k->begun = true;
        k->fresh = false;
}

/* Takes in one group version; what it names goes to SEEN. False: it could not be asked. */
static bool take_version(struct kinds *k, struct arena *a, const char *group, const char *version, struct map *seen)
{
        struct client *c = controllers_client(k->controllers);
        const char *path = *group ? arena_printf(a, "/apis/%s/%s", group, version) : arena_printf(a, "/api/%s", version);
        struct json *list = NULL;

        if (client_get(c, path, a, &list, NULL) != 0)
                return false;
        json_foreach_item(json_get(list, "resources"), res) {
                const char *name = json_get_string(res, "name"), *key;

                if (!name || strchr(name, '/') || !has_verbs(res) || is_in_table(group, name))
                        continue;
                key = arena_printf(a, "%s/%s", group, name);
                map_put(seen, key, k);
                if (!map_get(&k->known, key))
                        watch_kind(k, key, group, version, res);
        }
        return true;
}

static void forget_unseen(struct kinds *k, struct arena *a, const struct map *seen)
{
        const char **gone = arena_calloc(a, (k->known.n + 1) * sizeof(*gone));
        struct map_entry *e;
        size_t n = 0;

        map_foreach(&k->known, e)
                if (!map_get(seen, e->key))
                        gone[n++] = arena_strdup(a, e->key);
        for (size_t i = 0; i < n; i++)
                controllers_forget(k->controllers, (unsigned)(uintptr_t)map_del(&k->known, gone[i]));
}

static void discover(void *userdata)
{
        struct kinds *k = userdata;
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct map seen = MAP_INIT;
        struct json *groups = NULL;
        bool all = take_version(k, a, "", "v1", &seen);

        all = all && client_get(controllers_client(k->controllers), "/apis", a, &groups, NULL) == 0;
        json_foreach_item(json_get(groups, "groups"), g)
                all = take_version(k, a, json_get_string(g, "name"), json_path_string(g, "preferredVersion.version"), &seen) && all;
        if (all)
                forget_unseen(k, a, &seen);
        else
                loop_timer_arm(k->timer, FAILED_NS); /* a group that does not answer: nothing is forgotten meanwhile */
        if (all && (!k->begun || k->fresh))
                begin(k);
        map_deinit(&seen);
        k->working = false;
}

static void on_timer(struct loop_timer *timer, void *userdata)
{
        struct kinds *k = userdata;

        if (k->working) {
                loop_timer_arm(timer, SETTLE_NS);
                return;
        }
        k->working = true;
        fiber_start(client_loop(controllers_client(k->controllers)), discover, k);
}

static void on_changed(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        loop_timer_arm(((struct kinds *)userdata)->timer, SETTLE_NS);
}

void garbage_kinds_start(struct controllers *c)
{
        struct kinds *k = new0(struct kinds); /* lives as long as the process */
        struct informer_handler h = { .changed = on_changed, .userdata = k };

        k->controllers = c;
        k->known = (struct map)MAP_INIT;
        k->timer = loop_timer_new(client_loop(controllers_client(c)), on_timer, k);
        informer_add_handler(controllers_informer(c, R_CRDS), &h);
        controllers_hold(c, &garbage_collector, true);
        loop_timer_arm(k->timer, START_NS);
}
