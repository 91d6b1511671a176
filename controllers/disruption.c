/* PodDisruptionBudgets: how many of the pods that they select may be evicted right now.
 *
 * The API server's eviction takes from status.disruptionsAllowed and notes the pod in disruptedPods; here the count
 * is made anew from the pods, and what was noted counts as gone until it is, or until two minutes have passed.
 */
#include "controllers.h"

#define DELETION_NS (120 * NS_PER_SEC)

struct count {
        const struct snapshot *s;
        struct writes *w;
        struct arena *a;
        const struct object *pdb;
        struct object_list pods;
        int64_t expected, desired, healthy;
        struct json *disrupted;
        size_t n_unmanaged;
        const char *error; /* NULL: none */
};

/* --- whose pods they are --- */

/* What the pod's controller, or for a ReplicaSet its Deployment, wants: its uid and spec.replicas. */
static const struct object *scale_of(const struct snapshot *s, const struct object *pod, const struct json *ref)
{
        static const struct {
                const char *kind;
                unsigned resource;
        } kinds[] = { { "ReplicaSet", R_REPLICASETS }, { "ReplicationController", R_RCS }, { "StatefulSet", R_STATEFULSETS } };
        const struct object *owner = NULL, *above;

        for (size_t i = 0; i < ARRAY_SIZE(kinds) && !owner; i++)
                if (streq(json_get_string(ref, "kind"), kinds[i].kind))
                        owner = snapshot_get(s, kinds[i].resource, pod->namespace, json_get_string(ref, "name"));
        if (!owner || !streq(owner->uid, json_get_string(ref, "uid")))
                return NULL;
        ref = object_controller(owner->json);
        if (!streq(json_get_string(ref, "kind"), "Deployment"))
                return owner;
        above = snapshot_get(s, R_DEPLOYMENTS, pod->namespace, json_get_string(ref, "name"));
        return above && streq(above->uid, json_get_string(ref, "uid")) ? above : NULL;
}

/* How many pods their controllers want in all. */
static int64_t expected_scale(struct count *c)
{
        struct object_list seen = { 0 };
        int64_t sum = 0;

        for (size_t i = 0; i < c->pods.n; i++) {
                const struct object *pod = c->pods.items[i], *scale;
                const struct json *ref = object_controller(pod->json);
                bool known = false;

                if (!ref) {
                        c->n_unmanaged++;
                        continue;
                }
                scale = scale_of(c->s, pod, ref);
                if (!scale) {
                        c->error = arena_printf(c->a, "found no controllers for pod \"%s\"", pod->name);
                        return 0;
                }
                for (size_t j = 0; j < seen.n; j++)
                        known |= seen.items[j] == scale;
                if (known)
                        continue;
                list_add(c->a, &seen, scale);
                sum += json_path_int(scale->json, "spec.replicas", 1);
        }
        return sum;
}

static void find_expected(struct count *c)
{
        const struct json *max = json_path(c->pdb->json, "spec.maxUnavailable"), *min = json_path(c->pdb->json, "spec.minAvailable");

        if (max) {
                c->expected = expected_scale(c);
                c->desired = MAX(c->expected - int_or_percent(max, c->expected, true, 0), INT64_C(0));
        } else if (json_is_number(min)) {
                c->expected = (int64_t)c->pods.n;
                c->desired = int_or_percent(min, 0, true, 0);
        } else if (min) {
                c->expected = expected_scale(c);
                c->desired = int_or_percent(min, c->expected, true, 0);
        }
}

/* --- counting --- */

static void find_disrupted(struct count *c)
{
        const struct json *noted = json_path(c->pdb->json, "status.disruptedPods");

        for (size_t i = 0; i < c->pods.n; i++) {
                const struct object *pod = c->pods.items[i];
                const char *text = json_get_string(noted, pod->name);
                int64_t at;

                if (!text || time_parse(text, &at) < 0 || object_is_deleting(pod->json))
                        continue;
                if (at + DELETION_NS <= c->s->now) {
                        writes_event(c->w, pod->json, "Warning", "NotDeleted",
                                     "Pod was expected by PDB %s/%s to be deleted but it wasn't", c->pdb->namespace, c->pdb->name);
                        continue;
                }
                json_set_string(c->a, c->disrupted, pod->name, text);
                writes_requeue(c->w, at + DELETION_NS - c->s->now);
        }
}

static void count_healthy(struct count *c)
{
        for (size_t i = 0; i < c->pods.n; i++) {
                const struct object *pod = c->pods.items[i];

                c->healthy += !object_is_deleting(pod->json) && !json_get(c->disrupted, pod->name) && pod_is_ready(pod->json);
        }
}

/* --- telling --- */

/* As Go prints a LabelSelector. */
static const char *print_selector(struct arena *a, const struct json *selector)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        strbuf_puts(&b, "&LabelSelector{MatchLabels:map[string]string{");
        json_foreach_member(json_get(selector, "matchLabels"), m)
                strbuf_printf(&b, "%s: %s,", m->key, json_string(m->value));
        strbuf_puts(&b, "},MatchExpressions:[]LabelSelectorRequirement{");
        json_foreach_item(json_get(selector, "matchExpressions"), e) {
                strbuf_printf(&b, "LabelSelectorRequirement{Key:%s,Operator:%s,Values:[", json_get_string(e, "key"),
                              json_get_string(e, "operator"));
                json_foreach_item(json_get(e, "values"), v)
                        strbuf_printf(&b, "%s%s", v_i ? " " : "", json_string(v));
                strbuf_puts(&b, "],},");
        }
        strbuf_puts(&b, "},}");
        return arena_strdup(a, strbuf_str(&b));
}

static void tell(struct count *c)
{
        if (!c->pods.n)
                writes_event(c->w, c->pdb->json, "Normal", "NoPods", "No matching pods found");
        if (c->error)
                writes_event(c->w, c->pdb->json, "Warning", "CalculateExpectedPodCountFailed",
                             "Failed to calculate the number of expected pods: %s", c->error);
        else if (c->n_unmanaged)
                writes_event(c->w, c->pdb->json, "Warning", "UnmanagedPods",
                             "Pods selected by this PodDisruptionBudget (selector: %s) were found to be unmanaged. As a "
                             "result, the status of the PDB cannot be calculated correctly, which may result in undefined "
                             "behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an "
                             "integer value.",
                             print_selector(c->a, json_path(c->pdb->json, "spec.selector")));
}

static void set_condition(struct count *c, struct json *status, const char *value, const char *reason, const char *message)
{
        struct json *conditions = json_ensure_array(c->a, status, "conditions"), *condition;

        condition_set(c->a, conditions, "DisruptionAllowed", value, reason, message, c->s->now);
        condition = condition_find(conditions, "DisruptionAllowed");
        json_set_string(c->a, condition, "message", message);
        json_set_int(c->a, condition, "observedGeneration", json_path_int(c->pdb->json, "metadata.generation", 0));
}

static void write_status(struct count *c)
{
        struct json *copy = object_editable(c->a, c->pdb->json), *status = json_ensure_object(c->a, copy, "status");
        int64_t allowed = c->expected > 0 && !c->error ? MAX(c->healthy - c->desired, INT64_C(0)) : 0;

        json_set_int(c->a, status, "disruptionsAllowed", allowed);
        if (c->error) { /* nobody may be evicted until we know better */
                set_condition(c, status, "False", "SyncFailed", c->error);
        } else {
                json_set_int(c->a, status, "currentHealthy", c->healthy);
                json_set_int(c->a, status, "desiredHealthy", c->desired);
                json_set_int(c->a, status, "expectedPods", c->expected);
                json_set_int(c->a, status, "observedGeneration", json_path_int(c->pdb->json, "metadata.generation", 0));
                json_del(status, "disruptedPods");
                if (json_len(c->disrupted))
                        json_set(c->a, status, "disruptedPods", c->disrupted);
                set_condition(c, status, allowed ? "True" : "False", allowed ? "SufficientPods" : "InsufficientPods", "");
        }
        if (!json_equal(status, json_get(c->pdb->json, "status")))
                writes_update(c->w, R_PDBS, "status", copy);
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        struct count c = { .s = s, .w = w, .a = w->arena, .pdb = snapshot_key(s, R_PDBS, key) };
        struct object *const *pods;
        struct selector sel;
        size_t n;

        if (!c.pdb || object_is_deleting(c.pdb->json) || s->failure)
                return;
        if (selector_from_object(w->arena, json_path(c.pdb->json, "spec.selector"), &sel, NULL) < 0)
                return;
        pods = snapshot_in_namespace(s, R_PODS, c.pdb->namespace, &n);
        for (size_t i = 0; i < n; i++)
                if (selector_matches(&sel, json_path(pods[i]->json, "metadata.labels")))
                        list_add(w->arena, &c.pods, pods[i]);
        list_sort(&c.pods, compare_by_name);
        c.disrupted = json_new_object(w->arena);
        find_expected(&c);
        find_disrupted(&c);
        count_healthy(&c);
        tell(&c);
        write_status(&c);
}

/* --- which budgets a change concerns --- */

static void add_all(const struct snapshot *s, const char *namespace, const struct json *labels, const struct keys *k)
{
        struct object *const *budgets;
        size_t n;

        budgets = snapshot_in_namespace(s, R_PDBS, namespace, &n);
        for (size_t i = 0; i < n; i++) {
                _cleanup_arena_ struct arena *a = arena_new(1024);
                struct selector sel;

                if (!labels || (selector_from_object(a, json_path(budgets[i]->json, "spec.selector"), &sel, NULL) == 0 &&
                                selector_matches(&sel, labels)))
                        keys_add(k, budgets[i]->key);
        }
}

static void map_pod(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *both[] = { old, new };

        if (old && new && pod_is_ready(old->json) == pod_is_ready(new->json) &&
            object_is_deleting(old->json) == object_is_deleting(new->json) &&
            json_equal(json_path(old->json, "metadata.labels"), json_path(new->json, "metadata.labels")))
                return;
        for (size_t i = 0; i < 2; i++)
                if (both[i] && json_path(both[i]->json, "metadata.labels"))
                        add_all(s, both[i]->namespace, json_path(both[i]->json, "metadata.labels"), k);
}

static void map_scale(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (!old || !new || !json_equal(json_path(old->json, "spec.replicas"), json_path(new->json, "spec.replicas")))
                add_all(s, (new ? new : old)->namespace, NULL, k);
}

const struct controller disruption_controller = {
        .name = "disruption-controller",
        .component = "controllermanager",
        .watches = { { .resource = R_PDBS },
                     { .resource = R_PODS, .map = map_pod },
                     { .resource = R_DEPLOYMENTS, .map = map_scale },
                     { .resource = R_REPLICASETS, .map = map_scale },
                     { .resource = R_STATEFULSETS, .map = map_scale },
                     { .resource = R_RCS, .map = map_scale } },
        .n_watches = 6,
        .reconcile = reconcile,
};
