/* ClusterRoles with an aggregationRule: their rules are those of all ClusterRoles that the rule selects, so that a
 * new API can add itself to admin, edit and view. */
#include "controllers.h"

static void add_rule(struct arena *a, struct json *rules, const struct json *rule)
{
        json_foreach_item(rules, it) {
                if (json_equal(it, rule))
                        return;
        }
        json_append(a, rules, json_clone(a, rule));
}

/* Selector by selector, each by name: the order is what clients see. */
static void add_selected(const struct snapshot *s, struct arena *a, const struct object *role, const struct json *selector,
                         struct json *rules)
{
        struct object_list sources = { 0 };
        struct selector sel;
        struct map_entry *e;

        if (selector_from_object(a, selector, &sel, NULL) != 0)
                return;
        map_foreach(object_store_objects(s->stores[R_CLUSTERROLES]), e) {
                const struct object *other = e->value;

                if (other != role && selector_matches(&sel, json_path(other->json, "metadata.labels")))
                        list_add(a, &sources, other);
        }
        list_sort(&sources, compare_by_name);
        for (size_t i = 0; i < sources.n; i++)
                json_foreach_item(json_get(sources.items[i]->json, "rules"), rule)
                        add_rule(a, rules, rule);
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *role = snapshot_key(s, R_CLUSTERROLES, key);
        struct json *rules, *body;

        if (!role || object_is_deleting(role->json) || !json_get(role->json, "aggregationRule"))
                return;
        rules = json_new_array(w->arena);
        json_foreach_item(json_path(role->json, "aggregationRule.clusterRoleSelectors"), it)
                add_selected(s, w->arena, role, it, rules);
        if (json_len(rules) == json_len(json_get(role->json, "rules")) &&
            (!json_len(rules) || json_equal(rules, json_get(role->json, "rules"))))
                return;
        body = json_new_object(w->arena);
        json_set_string(w->arena, body, "apiVersion", "rbac.authorization.k8s.io/v1");
        json_set_string(w->arena, body, "kind", "ClusterRole");
        json_set_string(w->arena, json_ensure_object(w->arena, body, "metadata"), "name", role->name);
        json_set(w->arena, body, "rules", rules);
        writes_apply(w, R_CLUSTERROLES, NULL, "clusterrole-aggregation-controller", body);
}

/* Any role may be a part of any aggregated one; those are few. */
static void map_role(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        struct map_entry *e;

        map_foreach(object_store_objects(s->stores[R_CLUSTERROLES]), e)
                if (json_get(((const struct object *)e->value)->json, "aggregationRule"))
                        keys_add(k, e->key);
}

const struct controller aggregation_controller = {
        .name = "clusterrole-aggregation-controller",
        .watches = { { .resource = R_CLUSTERROLES, .map = map_role } },
        .n_watches = 1,
        .reconcile = reconcile,
};
