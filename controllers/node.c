/* Node lifecycle: a node that is no longer heard of becomes Unknown, its pods are marked, and taints
 * say what its conditions are.
 *
 * Heard of: the later of its Lease's renewal and its Ready condition's heartbeat. Both are written by
 * the node's clock: machines are expected to agree within a fraction of the grace period. Silence
 * counts from when this process began to look: while it was away nodes may have been heard.
 */
#include "controllers.h"

#define TTL "node.alpha.kubernetes.io/ttl"
#define STARTUP_GRACE_NS (60 * NS_PER_SEC) /* of a node that has not said anything yet */

#define UNREACHABLE "node.kubernetes.io/unreachable"
#define NOT_READY "node.kubernetes.io/not-ready"

static int64_t heard_at(const struct snapshot *s, const struct object *node)
{
        const struct object *lease = snapshot_get(s, R_LEASES, "kube-node-lease", node->name);
        const char *beat = json_get_string(pod_condition(node->json, "Ready"), "lastHeartbeatTime");
        int64_t at = MAX(object_time(node->json, "metadata.creationTimestamp"),
                         lease ? object_time(lease->json, "spec.renewTime") : 0), t;

        if (beat && time_parse(beat, &t) == 0)
                at = MAX(at, t);
        return MAX(at, s->since);
}

/* ns until the node counts as lost, in whole periods, so that many nodes are looked at in one wakeup; 0: it does. */
static int64_t time_left(const struct snapshot *s, const struct object *node)
{
        const struct settings *set = settings_of(s);
        int64_t grace = set->node_monitor_grace_ns, period = MAX(set->node_monitor_period_ns, INT64_C(1)), due;

        if (!pod_condition(node->json, "Ready"))
                grace = MAX(grace, STARTUP_GRACE_NS);
        due = heard_at(s, node) + grace;
        due = (due + period - 1) / period * period;
        return MAX(due - s->now, INT64_C(0));
}

/* Conditions of a silent node, which nobody else would change. */
static void write_unknown(const struct snapshot *s, struct writes *w, const struct object *node)
{
        static const char *const types[] = { "Ready", "MemoryPressure", "DiskPressure", "PIDPressure" };
        struct json *copy = object_editable(w->arena, node->json);
        struct json *conditions = json_ensure_array(w->arena, json_ensure_object(w->arena, copy, "status"), "conditions");
        bool changed = false;

        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                const struct json *c = condition_find(conditions, types[i]);

                if (c && streq(json_get_string(c, "status"), "Unknown"))
                        continue;
                changed |= condition_set(w->arena, conditions, types[i], "Unknown", c ? "NodeStatusUnknown" : "NodeStatusNeverUpdated",
                                         c ? "Kubelet stopped posting node status." : "Kubelet never posted node status.",
                                         s->now);
        }
        if (changed)
                writes_update(w, R_NODES, "status", copy);
        if (changed)
                writes_event(w, node->json, "Normal", "NodeNotReady", "Node %s status is now: NodeNotReady", node->name);
}

/* --- taints --- */

static void want_taint(struct writes *w, struct json *taints, const struct json *have, const char *key, const char *effect,
                       int64_t now)
{
        struct json *t = json_new_object(w->arena);
        char buf[TIME_BUF];

        json_foreach_item(have, it) {
                if (streq(json_get_string(it, "key"), key) && streq(json_get_string(it, "effect"), effect)) {
                        json_append(w->arena, taints, json_clone(w->arena, it));
                        return;
                }
        }
        json_set_string(w->arena, t, "key", key);
        json_set_string(w->arena, t, "effect", effect);
        json_set_string(w->arena, t, "timeAdded", time_format(now, buf));
        json_append(w->arena, taints, t);
}

static bool is_ours(const char *key)
{
        static const char *const keys[] = { UNREACHABLE, NOT_READY, "node.kubernetes.io/memory-pressure",
                                            "node.kubernetes.io/disk-pressure", "node.kubernetes.io/pid-pressure",
                                            "node.kubernetes.io/unschedulable", "node.kubernetes.io/network-unavailable" };

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (streq(key, keys[i]))
                        return true;
        return false;
}

static struct json *wanted_taints(const struct snapshot *s, struct writes *w, const struct object *node, bool silent)
{
        static const struct {
                const char *condition, *key;
        } pressures[] = { { "MemoryPressure", "node.kubernetes.io/memory-pressure" },
                          { "DiskPressure", "node.kubernetes.io/disk-pressure" },
                          { "PIDPressure", "node.kubernetes.io/pid-pressure" },
                          { "NetworkUnavailable", "node.kubernetes.io/network-unavailable" } };
        const struct json *have = json_path(node->json, "spec.taints");
        const char *ready = pod_condition_status(node->json, "Ready"), *key = NULL;
        struct json *taints = json_new_array(w->arena);

        json_foreach_item(have, it) {
                if (!is_ours(json_get_string(it, "key")))
                        json_append(w->arena, taints, json_clone(w->arena, it));
        }
        if (silent || streq(ready, "Unknown"))
                key = UNREACHABLE;
        else if (!streq(ready, "True"))
                key = NOT_READY;
        if (key) {
                want_taint(w, taints, have, key, "NoSchedule", s->now);
                want_taint(w, taints, have, key, "NoExecute", s->now);
        }
        for (size_t i = 0; i < ARRAY_SIZE(pressures); i++)
                if (streq(pod_condition_status(node->json, pressures[i].condition), "True"))
                        want_taint(w, taints, have, pressures[i].key, "NoSchedule", s->now);
        if (json_path_bool(node->json, "spec.unschedulable", false))
                want_taint(w, taints, have, "node.kubernetes.io/unschedulable", "NoSchedule", s->now);
        return taints;
}

static bool same_taints(const struct json *x, const struct json *y)
{
        if (json_len(x) != json_len(y))
                return false;
        json_foreach_item(x, t) {
                bool found = false;

                json_foreach_item(y, u)
                        found |= json_equal(t, u);
                if (!found)
                        return false;
        }
        return true;
}

/* --- labels and annotations --- */

static bool copy_label(struct writes *w, struct json *copy, const char *from, const char *to)
{
        const char *value = object_label(copy, from);

        if (!value || streq(object_label(copy, to), value))
                return false;
        json_set_string(w->arena, json_ensure_object(w->arena, json_get(copy, "metadata"), "labels"), to, value);
        return true;
}

/* How long a kubelet may keep what it read of Secrets, by the size of the cluster. */
static const char *cache_seconds(const struct snapshot *s)
{
        size_t n = object_store_objects(s->stores[R_NODES])->n;

        return n <= 100 ? "0" : n <= 500 ? "15" : n <= 1000 ? "30" : n <= 2000 ? "60" : "300";
}

static bool set_metadata(const struct snapshot *s, struct writes *w, struct json *copy)
{
        bool changed = copy_label(w, copy, "kubernetes.io/os", "beta.kubernetes.io/os");

        changed |= copy_label(w, copy, "kubernetes.io/arch", "beta.kubernetes.io/arch");
        /* It only grows with the cluster: no write to every node each time one comes or goes. */
        if (!object_annotation(copy, TTL) || atoi(object_annotation(copy, TTL)) < atoi(cache_seconds(s))) {
                object_set_annotation(w->arena, copy, TTL, cache_seconds(s));
                changed = true;
        }
        return changed;
}

/* --- the round --- */

/* Pods of a silent node are not ready, whatever they last said. */
static void mark_pods(const struct snapshot *s, struct writes *w, const struct object *node)
{
        struct object *const *pods;
        size_t n;

        pods = snapshot_by_own(s, R_PODS, node->name, &n);
        for (size_t i = 0; i < n; i++) {
                struct json *copy = object_editable(w->arena, pods[i]->json), *c;
                struct json *conditions = json_path(copy, "status.conditions");
                char buf[TIME_BUF];

                c = condition_find(conditions, "Ready");
                if (!streq(json_get_string(c, "status"), "True"))
                        continue;
                json_set_string(w->arena, c, "status", "False");
                json_set_string(w->arena, c, "lastTransitionTime", time_format(s->now, buf));
                writes_update(w, R_PODS, "status", copy)->ignore_not_found = true;
                writes_event(w, pods[i]->json, "Warning", "NodeNotReady", "Node is not ready");
        }
}

static void register_node(const struct snapshot *s, struct writes *w, const struct object *node)
{
        /* Seen in one look and still there in the next. */
        int64_t age = s->now - MIN(snapshot_since(s, node->uid), object_time(node->json, "metadata.creationTimestamp") + NS_PER_SEC);
        int64_t after = settings_of(s)->node_monitor_period_ns * 3 / 2;

        if (age < after)
                writes_requeue(w, after - age);
        else
                writes_event_once(w, node->json, "Normal", "RegisteredNode",
                                  arena_printf(w->arena, "Node %s event: Registered Node %s in Controller", node->name,
                                               node->name));
}

static void reconcile_node(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *node = snapshot_key(s, R_NODES, key);
        struct json *taints, *copy;
        bool changed;
        int64_t left;

        if (!node)
                return;
        left = time_left(s, node);
        if (left > 0)
                writes_requeue(w, left);
        register_node(s, w, node);
        taints = wanted_taints(s, w, node, left <= 0);
        copy = object_editable(w->arena, node->json);
        changed = set_metadata(s, w, copy);
        if (!same_taints(taints, json_path(node->json, "spec.taints"))) {
                json_set(w->arena, copy, "spec",
                         json_get(copy, "spec") ? json_clone_shallow(w->arena, json_get(copy, "spec")) : json_new_object(w->arena));
                if (json_len(taints))
                        json_path_set(w->arena, copy, "spec.taints", taints);
                else
                        json_del(json_get(copy, "spec"), "taints");
                changed = true;
        }
        if (changed) {
                writes_update(w, R_NODES, NULL, copy);
                return; /* the next round sees it; two updates of one revision would collide */
        }
        if (left <= 0) {
                write_unknown(s, w, node);
                mark_pods(s, w, node);
        }
}

static void map_lease(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *o = new ? new : old;

        if (streq(o->namespace, "kube-node-lease"))
                keys_add(k, o->name);
}

const struct controller node_controller = {
        .name = "node-lifecycle-controller",
        .component = "node-controller",
        .watches = { { .resource = R_NODES }, { .resource = R_LEASES, .map = map_lease }, { .resource = R_PODS, .passive = true } },
        .n_watches = 3,
        .reconcile = reconcile_node,
};
