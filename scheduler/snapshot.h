/* What the scheduler knows: nodes as columns of numbers, and the pods on each.
 *
 * Kept up to date by events: adding a pod adds its requests to its node's columns. Pods may come
 * before their node and stay after it: they wait in a node that is not `present`. Everything given
 * here must live until it is taken away again.
 */
#pragma once

#include "pod.h"
#include "../lib/base/map.h"

struct node_pods {
        const struct sched_pod **list;
        size_t n, cap;
};

struct node_info {
        char *name;                    /* owned */
        bool present;                  /* the Node object exists */
        bool unschedulable;
        const struct json *labels, *taints, *images; /* of the Node object */
        struct node_pods pods;
        size_t n_anti;                 /* pods with required anti-affinity */
        int64_t *extended_allocatable, *extended_used; /* by resource id - RES_FIXED */
        size_t n_extended;
};

struct sched_snapshot {
        struct node_info *nodes;
        size_t n, cap;
        size_t n_present, n_anti;
        struct map by_name;            /* name to index + 1 */
        /* columns, by node */
        int64_t *allocatable[RES_FIXED], *used[RES_FIXED];
        int64_t *score_used_cpu, *score_used_memory; /* with defaults where nothing is asked */
        int64_t *max_pods;
        /* volumes and namespaces, asked through these; may be NULL */
        const struct json *(*claim)(const char *namespace, const char *name, void *userdata);
        const struct json *(*volume)(const char *name, void *userdata);
        const struct json *(*storage_class)(const char *name, void *userdata);
        const struct json *(*namespace_labels)(const char *name, void *userdata);
        /* Each volume in turn, until FN returns true. */
        const struct json *(*find_volume)(bool (*fn)(const struct json *pv, void *arg), void *arg, void *userdata);
        void *userdata;
};

void sched_snapshot_init(struct sched_snapshot *s);
void sched_snapshot_deinit(struct sched_snapshot *s);
void sched_snapshot_set_node(struct sched_snapshot *s, const struct json *node);
void sched_snapshot_remove_node(struct sched_snapshot *s, const char *name);
void sched_snapshot_add_pod(struct sched_snapshot *s, const struct sched_pod *pod, const char *node);
void sched_snapshot_remove_pod(struct sched_snapshot *s, const struct sched_pod *pod, const char *node);
/* -1: unknown. */
ssize_t sched_snapshot_node(const struct sched_snapshot *s, const char *name);
