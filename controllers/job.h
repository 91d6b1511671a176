/* What the parts of the Job controller share: one round's view, sets of completion indexes, and the
 * policies that say what a failed pod means.
 */
#pragma once

#include "controllers.h"

#define JOB_TRACKING "batch.kubernetes.io/job-tracking"
#define JOB_INDEX "batch.kubernetes.io/job-completion-index"
#define JOB_BACKOFF_NS (10 * NS_PER_SEC)
#define JOB_BACKOFF_MAX_NS (600 * NS_PER_SEC)

/* --- sets of indexes (job-index.c): sorted, disjoint ranges, as they are written: "0-2,5" --- */

struct index_range {
        int64_t first, last;
};
struct index_set {
        struct index_range *ranges;
        size_t n, cap;
};
void index_set_add(struct arena *a, struct index_set *s, int64_t first, int64_t last);
bool index_set_has(const struct index_set *s, int64_t i);
int64_t index_set_total(const struct index_set *s);
/* Those of TEXT (NULL: none) below LIMIT. What is no range is passed over. */
void index_set_parse(struct arena *a, const char *text, int64_t limit, struct index_set *ret);
const char *index_set_print(struct arena *a, const struct index_set *s);
/* How many of X are also in Y. */
int64_t index_set_common(const struct index_set *x, const struct index_set *y);

/* --- the round --- */

struct job_round {
        const struct snapshot *s;
        struct writes *w;
        struct arena *a;
        const struct object *stored;
        struct json *job, *status;
        struct object_list pods, active;
        int64_t ready, terminating;
        int64_t succeeded, failed; /* counted and not yet counted */
        int64_t completions;       /* -1: any one success */
        int64_t per_index;         /* backoffLimitPerIndex; -1: none */
        bool indexed, suspended;
        bool replace_failed_only;  /* a pod that is being deleted is no failure until it ends */
        struct index_set stored_done, done, failed_indexes;
        struct object_list delayed; /* failed pods that keep their finalizer until an heir has their count */
        const char *suspend_told; /* the Event that says so; NULL: nothing changed */
};

/* -1: none, or one outside the Job. */
int64_t job_index_of(const struct job_round *r, const struct object *pod);
bool job_pod_failed(const struct job_round *r, const struct json *pod);
/* When the pod ended, ns; when it was deleted or made where its containers do not say. */
int64_t job_pod_finished_at(const struct json *pod);

/* --- policies (job-policy.c) --- */

enum job_action { JOB_COUNT, JOB_IGNORE, JOB_FAIL_INDEX, JOB_FAIL_JOB };
/* What spec.podFailurePolicy makes of a failed pod. *ret_message (may be NULL) is set for JOB_FAIL_JOB. */
enum job_action job_failure_action(struct arena *a, const struct json *job, const struct json *pod, const char **ret_message);
/* spec.successPolicy is met: its message, else NULL. */
const char *job_success_message(const struct job_round *r);

/* --- failures by index (job-index.c), of Jobs with backoffLimitPerIndex --- */

/* Adds to failed_indexes those that have failed too often, and fills delayed. */
void job_judge_indexes(struct job_round *r);
bool job_is_delayed(const struct job_round *r, const struct object *pod);
/* ns until a pod of INDEX may be made; its predecessor, whose count it inherits, in *ret_heir_of (or NULL). */
int64_t job_index_wait(const struct job_round *r, int64_t index, const struct object **ret_heir_of);
/* The annotations with which POD, new, carries the count of its predecessor (or NULL) on. */
void job_inherit_failures(const struct job_round *r, struct json *pod, const struct object *heir_of);
