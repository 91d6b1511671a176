/* The status of ResourceQuotas: what the objects of the namespace use of what is limited. Counted
 * anew each time from the stores.
 */
#include "controllers.h"

#include "../lib/meta/quota-usage.h"

#define QUIET_NS (500 * NS_PER_MS)
#define QUIET_MAX_NS (5 * NS_PER_SEC)

/* Kinds that nobody watches keep the count that admission last wrote. */
static bool is_counted(const struct snapshot *s, const char *limit)
{
        for (size_t i = 0; i < s->n_resources; i++)
                if (s->stores[i] && quota_concerns(s->resources[i].group, s->resources[i].resource, limit))
                        return true;
        return false;
}

static bool is_limited(const struct json *hard, const struct controller_resource *res)
{
        json_foreach_member(hard, m) {
                if (quota_concerns(res->group, res->resource, m->key))
                        return true;
        }
        return false;
}

static void sum_usage(const struct snapshot *s, struct arena *a, const struct object *quota, struct resource_list *ret)
{
        for (size_t i = 0; i < s->n_resources; i++) {
                const struct controller_resource *res = &s->resources[i];
                struct object *const *list;
                size_t n;

                if (!s->stores[i] || !res->namespaced || !is_limited(json_path(quota->json, "spec.hard"), res))
                        continue;
                list = snapshot_in_namespace(s, (unsigned)i, quota->namespace, &n);
                for (size_t j = 0; j < n; j++)
                        if (quota_matches(quota->json, res->group, res->resource, list[j]->json))
                                quota_usage(a, res->group, res->resource, list[j]->json, ret);
        }
}

/* Admission charges a quota before the object is stored. A count that is lower than what was charged may come from
 * between the two, so it waits until nobody has changed the quota for a moment; but not for ever. True: not yet. */
static bool must_wait(const struct snapshot *s, const struct object *quota, const struct json *used, struct writes *w)
{
        const char *version = arena_printf(w->arena, "%s@%s", quota->key, quota->resource_version);
        int64_t quiet = snapshot_since(s, version) + QUIET_NS, latest = snapshot_since(s, quota->key) + QUIET_MAX_NS;
        bool lower = false;

        json_foreach_member(used, m) {
                const char *charged = json_get_string(json_path(quota->json, "status.used"), m->key);
                struct quantity x, y;

                lower |= charged && quantity_parse(json_string(m->value), &x) == 0 && quantity_parse(charged, &y) == 0 &&
                         quantity_cmp(&x, &y) < 0;
        }
        if (lower && MIN(quiet, latest) > s->now) {
                writes_requeue(w, MIN(quiet, latest) - s->now);
                return true;
        }
        snapshot_over(s, quota->key);
        return false;
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *quota = snapshot_key(s, R_RESOURCEQUOTAS, key);
        const struct json *hard, *before;
        struct resource_list used = { 0 };
        struct json *copy, *status, *out;
        char buf[QUANTITY_BUF];

        if (!quota)
                return;
        hard = json_path(quota->json, "spec.hard");
        before = json_path(quota->json, "status.used");
        sum_usage(s, w->arena, quota, &used);
        out = json_new_object(w->arena);
        json_foreach_member(hard, m) {
                const struct quantity *q = resource_list_get(&used, m->key);

                if (q)
                        json_set_string(w->arena, out, m->key, quantity_format(q, buf));
                else if (!is_counted(s, m->key) && json_get(before, m->key))
                        json_set(w->arena, out, m->key, json_clone(w->arena, json_get(before, m->key)));
                else
                        json_set_string(w->arena, out, m->key, "0");
        }
        status = json_new_object(w->arena);
        if (json_len(hard)) {
                json_set(w->arena, status, "hard", json_clone(w->arena, hard));
                json_set(w->arena, status, "used", out);
        }
        if (json_equal(status, json_get(quota->json, "status"))) {
                snapshot_over(s, key);
                return;
        }
        if (must_wait(s, quota, out, w))
                return;
        copy = object_editable(w->arena, quota->json);
        json_set(w->arena, copy, "status", status);
        writes_update(w, R_RESOURCEQUOTAS, "status", copy);
}

/* What matters to a quota: that an object goes, ends, or (rarely) asks for other amounts. Admission counts those that
 * come. */
static void map_usage(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *o = new ? new : old;
        struct object *const *quotas;
        size_t n;

        if (!old)
                return;
        if (new && json_equal(json_get(old->json, "spec"), json_get(new->json, "spec")) &&
            pod_is_terminal(old->json) == pod_is_terminal(new->json) &&
            object_is_deleting(old->json) == object_is_deleting(new->json))
                return;
        quotas = snapshot_in_namespace(s, R_RESOURCEQUOTAS, o->namespace, &n);
        for (size_t i = 0; i < n; i++)
                keys_add(k, quotas[i]->key);
}

const struct controller_watch quota_watch = { .map = map_usage };

const struct controller quota_controller = {
        .name = "resourcequota-controller",
        .watches = { { .resource = R_RESOURCEQUOTAS },
                     { .resource = R_PODS, .map = map_usage },
                     { .resource = R_SERVICES, .map = map_usage },
                     { .resource = R_PVCS, .map = map_usage },
                     { .resource = R_SECRETS, .map = map_usage },
                     { .resource = R_CONFIGMAPS, .map = map_usage },
                     { .resource = R_RCS, .map = map_usage },
                     { .resource = R_DEPLOYMENTS, .map = map_usage },
                     { .resource = R_REPLICASETS, .map = map_usage },
                     { .resource = R_JOBS, .map = map_usage } },
        .n_watches = 10,
        .reconcile = reconcile,
};
