/* Pods that nobody else would take away: of nodes that are gone, deleted before they had a node, and
 * finished ones past a number.
 *
 * A key is a pod's, or "*" for the count of the finished ones.
 */
#include "controllers.h"

#define ALL "*"
#define QUARANTINE_NS (40 * NS_PER_SEC)

/* Its node is gone: nobody is left to end it. A while later, because a kubelet that still runs registers its node
 * anew; and the server is asked, because the stores may lag behind each other. */
static void collect_orphan(const struct snapshot *s, const struct object *pod, const char *node, struct writes *w)
{
        int64_t left = snapshot_since(s, node) + QUARANTINE_NS - s->now;
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
        else if (pod && str_empty(node) && object_is_deleting(pod->json))
                writes_delete(w, R_PODS, pod, 0, NULL);
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

static void map_gone_node(const struct snapshot *s, const struct object *old, const struct object *new,
                          const struct keys *k)
{
        struct object *const *pods;
        size_t n;

        if (new) {
                snapshot_over(s, new->name);
                return;
        }
        pods = snapshot_by_own(s, R_PODS, old->name, &n);
        for (size_t i = 0; i < n; i++)
                keys_add(k, pods[i]->key);
}

const struct controller pod_gc_controller = {
        .name = "pod-garbage-collector-controller",
        .watches = { { .resource = R_PODS, .map = map_pod }, { .resource = R_NODES, .map = map_gone_node } },
        .n_watches = 2,
        .reconcile = reconcile,
};
