/* Node lifecycle: a node that is no longer heard of becomes Unknown, is tainted, and its pods go when
 * they no longer tolerate it. Pods of nodes that do not exist any more go at once.
 *
 * Heard of: the later of its Lease's renewal and its Ready condition's heartbeat. Both are written by
 * the node's clock: machines are expected to agree within a fraction of the grace period.
 */
#include "controllers.h"

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
        return at;
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

/* --- eviction --- */

static bool tolerates(const struct json *toleration, const struct json *taint)
{
        const char *key = json_get_string(toleration, "key"), *effect = json_get_string(toleration, "effect");
        const char *op = json_get_string(toleration, "operator"), *want = json_get_string(toleration, "value");
        const char *value = json_get_string(taint, "value");

        if (!str_empty(effect) && !streq(effect, json_get_string(taint, "effect")))
                return false;
        if (!str_empty(key) && !streq(key, json_get_string(taint, "key")))
                return false;
        if (streq(op, "Exists"))
                return true;
        return !str_empty(key) && streq(want ? want : "", value ? value : "");
}

/* How long the pod stays under this taint: ns from its beginning; -1 for ever; 0 not at all. */
static int64_t patience(const struct json *pod, const struct json *taint)
{
        int64_t least = -1;
        bool tolerated = false;

        json_foreach_item(json_path(pod, "spec.tolerations"), t) {
                int64_t seconds = json_get_int(t, "tolerationSeconds", -1);

                if (!tolerates(t, taint))
                        continue;
                tolerated = true;
                if (json_get(t, "tolerationSeconds") && (least < 0 || MAX(seconds, 0) < least))
                        least = MAX(seconds, 0);
        }
        return !tolerated ? 0 : least < 0 ? -1 : least * NS_PER_SEC;
}

static void evict(const struct snapshot *s, struct writes *w, const struct object *node, const struct json *taints)
{
        struct object *const *pods;
        size_t n;

        pods = snapshot_by_own(s, R_PODS, node->name, &n);
        for (size_t i = 0; i < n; i++) {
                if (object_is_deleting(pods[i]->json))
                        continue;
                json_foreach_item(taints, taint) {
                        int64_t stay = patience(pods[i]->json, taint), since = object_time(taint, "timeAdded");

                        if (!streq(json_get_string(taint, "effect"), "NoExecute") || stay < 0)
                                continue;
                        if (since + stay > s->now) {
                                writes_requeue(w, since + stay - s->now);
                                continue;
                        }
                        writes_event(w, pods[i]->json, "Normal", "TaintManagerEviction", "Marking for deletion Pod %s/%s",
                                     pods[i]->namespace, pods[i]->name);
                        writes_delete(w, R_PODS, pods[i], -1, NULL);
                        break;
                }
        }
}

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

static void reconcile_node(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *node = snapshot_key(s, R_NODES, key);
        int64_t left;
        struct json *taints, *copy;

        if (!node)
                return;
        left = heard_at(s, node) + settings_of(s)->node_monitor_grace_ns - s->now;
        if (left > 0)
                writes_requeue(w, left);
        taints = wanted_taints(s, w, node, left <= 0);
        if (!same_taints(taints, json_path(node->json, "spec.taints"))) {
                copy = object_editable(w->arena, node->json);
                json_set(w->arena, copy, "spec",
                         json_get(copy, "spec") ? json_clone_shallow(w->arena, json_get(copy, "spec")) : json_new_object(w->arena));
                if (json_len(taints))
                        json_path_set(w->arena, copy, "spec.taints", taints);
                else
                        json_del(json_get(copy, "spec"), "taints");
                writes_update(w, R_NODES, NULL, copy);
                return; /* the next round sees it; two updates of one revision would collide */
        }
        if (left <= 0)
                write_unknown(s, w, node);
        if (left <= 0 || !streq(pod_condition_status(node->json, "Ready"), "True"))
                mark_pods(s, w, node);
        evict(s, w, node, taints);
}

/* A pod whose node is gone: nobody is left to end it. */
static void reconcile_orphan(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *pod = snapshot_key(s, R_PODS, key);
        const char *name = pod ? json_path_string(pod->json, "spec.nodeName") : NULL;
        struct write *x;

        if (str_empty(name) || snapshot_get(s, R_NODES, NULL, name))
                return;
        x = writes_add(w, WRITE_EXPECT_ABSENT, R_NODES, NULL, name, NULL);
        x->any_uid = true;
        writes_delete(w, R_PODS, pod, 0, NULL);
}

static void map_lease(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *o = new ? new : old;

        if (streq(o->namespace, "kube-node-lease"))
                keys_add(k, o->name);
}

static void map_pod(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const char *name = new ? json_path_string(new->json, "spec.nodeName") : NULL;

        if (!str_empty(name) && (!old || str_empty(json_path_string(old->json, "spec.nodeName"))))
                keys_add(k, name);
}

static void map_gone_node(const struct snapshot *s, const struct object *old, const struct object *new,
                          const struct keys *k)
{
        struct object *const *pods;
        size_t n;

        if (new)
                return;
        pods = snapshot_by_own(s, R_PODS, old->name, &n);
        for (size_t i = 0; i < n; i++)
                keys_add(k, pods[i]->key);
}

const struct controller node_controller = {
        .name = "node-lifecycle-controller",
        .component = "node-controller",
        .watches = { { .resource = R_NODES }, { .resource = R_LEASES, .map = map_lease }, { .resource = R_PODS, .map = map_pod } },
        .n_watches = 3,
        .reconcile = reconcile_node,
};

const struct controller pod_gc_controller = {
        .name = "pod-garbage-collector-controller",
        .watches = { { .resource = R_PODS }, { .resource = R_NODES, .map = map_gone_node } },
        .n_watches = 2,
        .reconcile = reconcile_orphan,
};
