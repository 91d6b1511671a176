/* Filters: may this pod run on this node? One function a plugin, in upstream's order. */
#pragma once

#include "schedule.h"

enum { MAX_REASONS = 8 };

struct verdict {
        const char *reasons[MAX_REASONS]; /* "Insufficient cpu", ...; in the arena or static */
        size_t n;
        bool unresolvable;                /* removing pods would not help */
        unsigned wake;
};

/* What does not depend on the node, worked out once a pod. */
struct filter_state {
        struct arena *arena;
        const struct sched_snapshot *snapshot;
        const struct sched_pod *pod;
        /* Why no node can take it ("pod has unbound immediate PersistentVolumeClaims"); NULL: go on. */
        const char *rejected;
        unsigned rejected_wake;
        struct claim_state {
                const char *name;
                const struct json *claim, *volume; /* volume NULL: to be chosen */
                const struct json *storage_class;
        } *claims;
        size_t n_claims;
        struct spread_state *spread; /* of each hard constraint */
        struct map *affinity_domains; /* a map a term: domain to count + 1 */
        size_t n_affinity_matches;
        bool affinity_first;          /* no pod matches yet but this one itself: any node will do */
};

void filter_prepare(struct filter_state *f, struct arena *a, const struct sched_snapshot *s, const struct sched_pod *pod);
void filter_release(struct filter_state *f);
/* True: it fits. */
bool filter_node(const struct filter_state *f, size_t node, struct verdict *ret);

/* --- shared with scoring --- */
bool node_term_matches(const struct node_term *term, const struct node_info *node);
bool node_matches_affinity(const struct sched_pod *pod, const struct node_info *node);
bool affinity_term_matches(const struct sched_snapshot *s, const struct affinity_term *term, const struct sched_pod *other);
/* A taint with EFFECT that the pod does not tolerate; NULL: none. */
const struct json *untolerated_taint(const struct sched_pod *pod, const struct node_info *node, const char *effect);
/* The volume that CLAIM would take on NODE; NULL: none that exists. Those in TAKEN are not to be had. */
const struct json *volume_for_claim(const struct filter_state *f, const struct claim_state *claim, size_t node,
                                    const struct json **taken, size_t n_taken);
