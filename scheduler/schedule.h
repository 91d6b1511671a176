/* The decision: which node a pod goes to, or why to none. Pure: no socket, no clock. */
#pragma once

#include "snapshot.h"

enum schedule_result {
        SCHEDULE_OK,
        SCHEDULE_UNSCHEDULABLE, /* message says why; maybe others can be preempted */
};

/* Which events can make an unschedulable pod schedulable: bits of what rejected it. */
enum wake {
        WAKE_NODE = 1,     /* a node came, or its labels, taints, capacity or cordon changed */
        WAKE_POD_GONE = 2, /* a pod left a node, or ended */
        WAKE_POD_NEW = 4,  /* a pod came to a node, or its labels changed (affinity) */
        WAKE_VOLUME = 8,   /* claims, volumes, classes */
};

struct decision {
        enum schedule_result result;
        size_t node;                     /* of SCHEDULE_OK */
        const char *message;             /* "0/3 nodes are available: ...", in the arena */
        unsigned wake;                   /* enum wake bits */
        /* Preemption: the node that will be free, and who must go; in the arena. */
        const char *nominated;           /* NULL: none */
        const struct sched_pod **victims;
        size_t n_victims;
        /* Volumes to be bound first: claim and volume (or NULL: to be provisioned) by turns. */
        struct volume_choice {
                const char *claim;
                const struct json *volume;
        } *volumes;
        size_t n_volumes;
};

/* SEED breaks ties among equal scores: give a number that changes. */
void schedule(struct arena *a, struct sched_snapshot *s, const struct sched_pod *pod, uint64_t seed, struct decision *ret);
