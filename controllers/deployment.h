/* What the parts of the deployment controller share: one round's view, and pure arithmetic. */
#pragma once

#include "controllers.h"

#define REVISION "deployment.kubernetes.io/revision"
#define REVISION_HISTORY "deployment.kubernetes.io/revision-history"
#define DESIRED_REPLICAS "deployment.kubernetes.io/desired-replicas"
#define MAX_REPLICAS "deployment.kubernetes.io/max-replicas"
#define HASH_LABEL "pod-template-hash"

/* A ReplicaSet in a round: as stored, or as it will be after the writes so far. */
struct rs {
        const struct object *stored; /* NULL: made in this round */
        struct json *json;           /* a copy to change */
        bool changed;
};

struct rollout {
        const struct snapshot *s;
        struct writes *w;
        struct arena *a;
        const struct object *stored;
        struct json *d;       /* a copy: metadata and status are changed on the way */
        struct json *status;  /* of d */
        struct rs *all;       /* every ReplicaSet, the new one too */
        size_t n;
        struct rs *new;       /* NULL: there is none yet */
        int64_t replicas, max_surge, max_unavailable; /* the latter two resolved to numbers */
        bool rolling, paused;
};

int64_t rs_wanted(const struct rs *rs);    /* spec.replicas */
int64_t rs_actual(const struct rs *rs);    /* status.replicas */
int64_t rs_available(const struct rs *rs); /* status.availableReplicas */
int64_t rs_revision(const struct rs *rs);
int compare_rs_by_creation(const void *x, const void *y); /* of struct rs *const *, oldest first */
bool template_equal(struct arena *a, const struct json *x, const struct json *y); /* but for the hash label */

/* The old ones, oldest first; ACTIVE: only those that want pods. The number of them. */
size_t rollout_old(const struct rollout *r, bool active, struct rs ***ret);

/* --- deployment-sync.c: finding, making and scaling ReplicaSets --- */
void rollout_init(struct rollout *r);
/* Finds the new ReplicaSet and sets revisions; CREATE: makes it when there is none. */
void rollout_find_new(struct rollout *r, bool create);
bool rollout_is_scaling(const struct rollout *r);
bool rollout_scale(struct rollout *r, struct rs *rs, int64_t to); /* true: it will change */
void rollout_scale_all(struct rollout *r);  /* paused or resized: keep proportions */
void rollout_clean_up(struct rollout *r);   /* revisionHistoryLimit */

/* --- deployment-status.c --- */
bool rollout_complete(const struct rollout *r, const struct json *status);
void rollout_write_status(struct rollout *r, bool with_progress);
void rollout_check_paused(struct rollout *r);
bool rollout_has_deadline(const struct rollout *r);
/* As upstream's SetDeploymentCondition: no change where status and reason are the same. */
void rollout_set_condition(struct rollout *r, struct json *status, const char *type, const char *value,
                           const char *reason, const char *message);
