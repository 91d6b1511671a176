/* Pods that nobody else would take away: of nodes that are gone, deleted before they had a node, and
 * finished ones past a number.
 *
 * A key is a pod's, or "*" for the count of the finished ones.
 */
#include "controllers.h"

#include <stdio.h>

#define ALL "*"
#define QUARANTINE_NS (40 * NS_PER_SEC)
#define UNSCHEDULED_NS (20 * NS_PER_SEC) /* upstream looks that often */

/* Since when a pod has had no node: not since when somebody else's on it had none. */
static const char *lost_key(struct arena *a, const struct object *pod)
{
        return arena_printf(a, "lost %s", pod->uid);
}

/* Its node is gone: nobody is left to end it. A while later, because a kubelet that still runs registers its node
 * anew; and the server is asked, because the stores may lag behind each other. */
static void collect_orphan(const struct snapshot *s, const struct object *pod, const char *node, struct writes *w)
{
        int64_t left = snapshot_since(s, lost_key(w->arena, pod)) + QUARANTINE_NS - s->now;
        struct write *x;

        if (left > 0) {
                writes_requeue(w, left);
                return;
        }
        x = writes_add(w, WRITE_EXPECT_ABSENT, R_NODES, NULL, node, NULL);
        x->any_uid = true;
        if (!pod_is_terminal(pod->json))
                write_disruption(w, pod, "Failed", "DeletionByPodGC", "PodGC: node no longer exists", s->now);
        writes_delete(w, R_PODS, pod, 0, NULL);
}

/* Somebody said that the machine is off: what runs there needs no grace. */
static bool is_out_of_service(const struct snapshot *s, const char *name)
{
        const struct object *node = snapshot_get(s, R_NODES, NULL, name);

        if (!node || streq(pod_condition_status(node->json, "Ready"), "True"))
                return false;
        json_foreach_item(json_path(node->json, "spec.taints"), t)
                if (streq(json_get_string(t, "key"), "node.kubernetes.io/out-of-service"))
                        return true;
        return false;
}

static void end_pod(const struct object *pod, struct writes *w, int64_t now)
{
        if (!pod_is_terminal(pod->json))
                write_disruption(w, pod, "Failed", NULL, NULL, now);
        writes_delete(w, R_PODS, pod, 0, NULL);
}

/* Only a finalizer can hold it: whoever put it there has a while before the pod counts as failed. */
static void end_unscheduled(const struct object *pod, struct writes *w, int64_t now)
{
        int64_t left = object_time(pod->json, "metadata.deletionTimestamp") + UNSCHEDULED_NS - now;

        if (left > 0)
                writes_requeue(w, left);
        else
                end_pod(pod, w, now);
}

/* Evicted ones first, then the oldest. */
static int compare_finished(const void *x, const void *y)
{
        const struct object *const *a = x, *const *b = y;
        bool ea = streq(json_path_string((*a)->json, "status.reason"), "Evicted");
        bool eb = streq(json_path_string((*b)->json, "status.reason"), "Evicted");

        return ea != eb ? (ea ? -1 : 1) : compare_by_creation(x, y);
}

static void collect_surplus(const struct snapshot *s, struct writes *w)
{
        int64_t most = settings_of(s)->terminated_pod_gc_threshold;
        struct object_list finished = { 0 };
        struct map_entry *e;

        if (most <= 0)
                return;
        map_foreach(object_store_objects(s->stores[R_PODS]), e) {
                const struct object *pod = e->value;

                if (pod_is_terminal(pod->json) && !object_is_deleting(pod->json))
                        list_add(w->arena, &finished, pod);
        }
        list_sort(&finished, compare_finished);
        for (int64_t i = 0; i < (int64_t)finished.n - most; i++)
                writes_delete(w, R_PODS, finished.items[i], 0, NULL)->batch = true;
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *pod = snapshot_key(s, R_PODS, key);
        const char *node = pod ? json_path_string(pod->json, "spec.nodeName") : NULL;

        if (streq(key, ALL))
                collect_surplus(s, w);
        else if (pod && object_is_deleting(pod->json) && str_empty(node))
                end_unscheduled(pod, w, s->now);
        else if (pod && object_is_deleting(pod->json) && is_out_of_service(s, node))
                end_pod(pod, w, s->now);
        else if (!str_empty(node) && !snapshot_get(s, R_NODES, NULL, node))
                collect_orphan(s, pod, node, w);
}

static void map_pod(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (!new)
                return;
        keys_add(k, new->key);
        if (pod_is_terminal(new->json) && (!old || !pod_is_terminal(old->json)))
                keys_add(k, ALL);
}

static void map_node(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *node = new ? new : old;
        bool comes = new && !old;
        struct object *const *pods;
        size_t n;

        if (old && new && json_equal(json_path(old->json, "spec.taints"), json_path(new->json, "spec.taints")) &&
            streq(pod_condition_status(old->json, "Ready"), pod_condition_status(new->json, "Ready")))
                return;
        pods = snapshot_by_own(s, R_PODS, node->name, &n);
        for (size_t i = 0; i < n; i++) {
                char key[64];

                if (!comes) {
                        keys_add(k, pods[i]->key);
                        continue;
                }
                snprintf(key, sizeof(key), "lost %s", pods[i]->uid);
                snapshot_over(s, key);
        }
}

const struct controller pod_gc_controller = {
        .name = "pod-garbage-collector-controller",
        .watches = { { .resource = R_PODS, .map = map_pod }, { .resource = R_NODES, .map = map_node } },
        .n_watches = 2,
        .reconcile = reconcile,
};
