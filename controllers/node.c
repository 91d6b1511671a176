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

#define ZONE "topology.kubernetes.io/zone"
#define SMALL_ZONE 50
#define REMOVED "removed/" /* of a key: no node has a / in its name */
#define UNSCHEDULABLE "node.kubernetes.io/unschedulable"
#define UNREACHABLE "node.kubernetes.io/unreachable"
#define NOT_READY "node.kubernetes.io/not-ready"

/* What an Event is about: upstream's name neither revision nor namespace. */
static struct json *node_reference(struct arena *a, const char *name, const char *uid)
{
        struct json *ref = json_new_object(a), *meta = json_ensure_object(a, ref, "metadata");

        json_set_string(a, ref, "kind", "Node");
        json_set_string(a, ref, "apiVersion", "v1");
        json_set_string(a, meta, "name", name);
        json_set_string(a, meta, "uid", uid);
        return ref;
}

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

static void mark_pods(const struct snapshot *s, struct writes *w, const struct object *node);

/* Conditions of a silent node, which nobody else would change. Its pods first: what fails is tried again while the node
 * still counts as ready. */
static void write_unknown(const struct snapshot *s, struct writes *w, const struct object *node)
{
        static const char *const types[] = { "Ready", "MemoryPressure", "DiskPressure", "PIDPressure" };
        struct json *copy = object_editable(w->arena, node->json);
        struct json *conditions = json_ensure_array(w->arena, json_ensure_object(w->arena, copy, "status"), "conditions");
        const char *created = json_path_string(node->json, "metadata.creationTimestamp");
        bool was_ready = streq(pod_condition_status(node->json, "Ready"), "True");

        if (streq(pod_condition_status(node->json, "Ready"), "Unknown"))
                return;
        if (was_ready)
                mark_pods(s, w, node);
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                const struct json *c = condition_find(conditions, types[i]);

                if (c && streq(json_get_string(c, "status"), "Unknown"))
                        continue;
                condition_set(w->arena, conditions, types[i], "Unknown", c ? "NodeStatusUnknown" : "NodeStatusNeverUpdated",
                              c ? "Kubelet stopped posting node status." : "Kubelet never posted node status.", s->now);
                if (!c)
                        json_set_string(w->arena, condition_find(conditions, types[i]), "lastHeartbeatTime", created);
        }
        writes_update(w, R_NODES, "status", copy);
        if (was_ready)
                writes_event(w, node_reference(w->arena, node->name, node->uid), "Normal", "NodeNotReady",
                             "Node %s status is now: NodeNotReady", node->name);
}

/* --- taints --- */

static bool is_taint(const struct json *taint, const char *key, const char *effect)
{
        return streq(json_get_string(taint, "key"), key) && streq(json_get_string(taint, "effect"), effect);
}

static const char *const condition_taints[][3] = { { "Ready", "False", NOT_READY },
                                                   { "Ready", "Unknown", UNREACHABLE },
                                                   { "MemoryPressure", "True", "node.kubernetes.io/memory-pressure" },
                                                   { "DiskPressure", "True", "node.kubernetes.io/disk-pressure" },
                                                   { "NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable" },
                                                   { "PIDPressure", "True", "node.kubernetes.io/pid-pressure" } };

struct taints {
        const char *keys[ARRAY_SIZE(condition_taints) + 1]; /* that the conditions ask for, with NoSchedule */
        size_t n;
        const char *evicts; /* the one with NoExecute; NULL: none */
};

/* What others may not have put there themselves: those that say what conditions say. */
static bool is_ours(const struct json *taint)
{
        const char *key = json_get_string(taint, "key"), *effect = json_get_string(taint, "effect");

        if (streq(effect, "NoExecute"))
                return streq(key, NOT_READY) || streq(key, UNREACHABLE);
        if (!streq(effect, "NoSchedule"))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(condition_taints); i++)
                if (streq(key, condition_taints[i][2]))
                        return true;
        return streq(key, UNSCHEDULABLE);
}

static bool is_wanted(const struct taints *want, const struct json *taint)
{
        const char *key = json_get_string(taint, "key");

        if (streq(json_get_string(taint, "effect"), "NoExecute"))
                return streq(want->evicts, key);
        for (size_t i = 0; i < want->n; i++)
                if (streq(want->keys[i], key))
                        return true;
        return false;
}

static bool add_taint(struct writes *w, struct json *taints, const char *key, const char *effect, int64_t now)
{
        struct json *t = json_new_object(w->arena);
        char buf[TIME_BUF];

        json_foreach_item(taints, have)
                if (is_taint(have, key, effect))
                        return false;
        json_set_string(w->arena, t, "key", key);
        json_set_string(w->arena, t, "effect", effect);
        json_set_string(w->arena, t, "timeAdded", time_format(now, buf));
        json_append(w->arena, taints, t);
        return true;
}

/* Whether it is this node that is lost, or rather we: where no node is ready, or most of a small zone are not, nothing is
 * evicted. *RET_ALL: there is none that is ready. */
static bool is_disrupted(const struct snapshot *s, const struct object *node, bool *ret_all)
{
        const char *zone = object_label(node->json, ZONE);
        size_t ready = 0, in_zone = 0, lost = 0;
        struct map_entry *e;

        map_foreach(object_store_objects(s->stores[R_NODES]), e) {
                const struct object *other = e->value;
                bool is_ready = streq(pod_condition_status(other->json, "Ready"), "True");

                if (object_label(other->json, "node.kubernetes.io/exclude-disruption"))
                        continue;
                ready += is_ready;
                if (streq(object_label(other->json, ZONE), zone)) {
                        in_zone++;
                        lost += !is_ready;
                }
        }
        *ret_all = !ready && in_zone;
        return *ret_all || (lost > 2 && lost < in_zone && lost * 100 >= in_zone * 55 && in_zone <= SMALL_ZONE);
}

static void find_taints(const struct snapshot *s, const struct object *node, struct taints *ret, bool *ret_held)
{
        const char *ready = pod_condition_status(node->json, "Ready");
        bool all;

        *ret_held = false;
        json_foreach_item(json_path(node->json, "status.conditions"), c)
                for (size_t i = 0; i < ARRAY_SIZE(condition_taints); i++)
                        if (streq(json_get_string(c, "type"), condition_taints[i][0]) &&
                            streq(json_get_string(c, "status"), condition_taints[i][1]) && ret->n < ARRAY_SIZE(ret->keys))
                                ret->keys[ret->n++] = condition_taints[i][2];
        if (json_path_bool(node->json, "spec.unschedulable", false) && ret->n < ARRAY_SIZE(ret->keys))
                ret->keys[ret->n++] = UNSCHEDULABLE;
        ret->evicts = streq(ready, "False") ? NOT_READY : streq(ready, "Unknown") ? UNREACHABLE : NULL;
        if (!ret->evicts || !is_disrupted(s, node, &all))
                return;
        *ret_held = true;
        if (all) {
                ret->evicts = NULL;
                return;
        }
        json_foreach_item(json_path(node->json, "spec.taints"), t)
                if (is_ours(t) && streq(json_get_string(t, "effect"), "NoExecute"))
                        return; /* it is tainted: only its name may change */
        ret->evicts = NULL;
}

/* The taints as they should be, in upstream's order: what stays where it is, what is new behind. NULL: they are. */
static struct json *wanted_taints(const struct snapshot *s, struct writes *w, const struct object *node)
{
        struct json *taints = json_new_array(w->arena);
        struct taints want = { .n = 0 };
        bool changed = false, held;

        find_taints(s, node, &want, &held);
        if (held)
                writes_requeue(w, settings_of(s)->node_monitor_period_ns);
        json_foreach_item(json_path(node->json, "spec.taints"), it) {
                if (!is_ours(it) || is_wanted(&want, it))
                        json_append(w->arena, taints, json_clone(w->arena, it));
                else
                        changed = true;
        }
        for (size_t i = 0; i < want.n; i++)
                changed |= add_taint(w, taints, want.keys[i], "NoSchedule", s->now);
        if (want.evicts)
                changed |= add_taint(w, taints, want.evicts, "NoExecute", s->now);
        return changed ? taints : NULL;
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

/* How long a kubelet may keep what it read of Secrets, by the size of the cluster. The bounds overlap, so that not every
 * node is written each time one comes or goes. */
static const char *cache_seconds(const struct snapshot *s, const char *have)
{
        static const struct {
                size_t min, max;
                const char *seconds;
        } steps[] = { { 0, 100, "0" }, { 90, 500, "15" }, { 450, 1000, "30" }, { 900, 2000, "60" }, { 1800, SIZE_MAX, "300" } };
        size_t n = object_store_objects(s->stores[R_NODES])->n, i = 0;

        for (size_t j = 0; j < ARRAY_SIZE(steps); j++)
                if (streq(have, steps[j].seconds) && n >= steps[j].min && n <= steps[j].max)
                        return have;
        while (n > steps[i].max)
                i++;
        return steps[i].seconds;
}

static bool set_metadata(const struct snapshot *s, struct writes *w, struct json *copy)
{
        bool changed = copy_label(w, copy, "kubernetes.io/os", "beta.kubernetes.io/os");
        const char *have = object_annotation(copy, TTL), *want = cache_seconds(s, have);

        changed |= copy_label(w, copy, "kubernetes.io/arch", "beta.kubernetes.io/arch");
        if (!streq(have, want)) {
                object_set_annotation(w->arena, copy, TTL, want);
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
                writes_event_once(w, node_reference(w->arena, node->name, node->uid), "Normal", "RegisteredNode",
                                  arena_printf(w->arena, "Node %s event: Registered Node %s in Controller", node->name,
                                               node->name));
}

/* "removed/UID/NAME" */
static void tell_removed(const char *key, struct writes *w)
{
        const char *uid, *name;

        key_split(w->arena, key + strlen(REMOVED), &uid, &name);
        writes_event(w, node_reference(w->arena, name, uid), "Normal", "RemovingNode",
                     "Node %s event: Removing Node %s from Controller", name, name);
}

static bool set_taints(const struct snapshot *s, struct writes *w, const struct object *node, struct json *copy)
{
        struct json *taints = wanted_taints(s, w, node);

        if (!taints)
                return false;
        json_set(w->arena, copy, "spec",
                 json_get(copy, "spec") ? json_clone_shallow(w->arena, json_get(copy, "spec")) : json_new_object(w->arena));
        if (json_len(taints))
                json_path_set(w->arena, copy, "spec.taints", taints);
        else
                json_del(json_get(copy, "spec"), "taints");
        return true;
}

static void reconcile_node(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *node = snapshot_key(s, R_NODES, key);
        struct json *copy;
        bool changed;
        int64_t left;

        if (!node && str_has_prefix(key, REMOVED))
                tell_removed(key, w);
        if (!node)
                return;
        left = time_left(s, node);
        if (left > 0)
                writes_requeue(w, left);
        register_node(s, w, node);
        if (left <= 0) {
                size_t before = w->n;

                write_unknown(s, w, node);
                if (w->n > before)
                        return; /* the next round sees it, and what follows from it; two updates of one revision would collide */
        }
        copy = object_editable(w->arena, node->json);
        changed = set_metadata(s, w, copy);
        changed |= set_taints(s, w, node, copy);
        if (changed)
                writes_update(w, R_NODES, NULL, copy);
}

static void map_node(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (new)
                keys_add(k, new->key);
        else
                keys_addf(k, REMOVED "%s/%s", old->uid, old->name);
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
        .watches = { { .resource = R_NODES, .map = map_node }, { .resource = R_LEASES, .map = map_lease }, { .resource = R_PODS, .passive = true } },
        .n_watches = 3,
        .reconcile = reconcile_node,
};
