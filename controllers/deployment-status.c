/* Deployment: counts, conditions and the progress deadline. */
#include "deployment.h"

bool rollout_has_deadline(const struct rollout *r)
{
        int64_t s = json_path_int(r->d, "spec.progressDeadlineSeconds", INT32_MAX);

        return s != INT32_MAX;
}

/* Puts C at the end in place of the one of its type. */
static void replace_condition(struct rollout *r, struct json *status, struct json *c)
{
        struct json *conditions = json_ensure_array(r->a, status, "conditions");

        condition_remove(conditions, json_get_string(c, "type"));
        json_append(r->a, conditions, c);
}

static struct json *make_condition(struct rollout *r, const char *type, const char *value, const char *reason,
                                   const char *message, const char *transition)
{
        struct json *c = json_new_object(r->a);
        char now[TIME_BUF];

        time_format(r->s->now, now);
        json_set_string(r->a, c, "type", type);
        json_set_string(r->a, c, "status", value);
        json_set_string(r->a, c, "lastUpdateTime", now);
        json_set_string(r->a, c, "lastTransitionTime", transition ? transition : now);
        json_set_string(r->a, c, "reason", reason);
        json_set_string(r->a, c, "message", message);
        return c;
}

void rollout_set_condition(struct rollout *r, struct json *status, const char *type, const char *value,
                           const char *reason, const char *message)
{
        const struct json *old = condition_find(json_get(status, "conditions"), type);
        bool same_status = streq(json_get_string(old, "status"), value);

        if (same_status && streq(json_get_string(old, "reason"), reason))
                return;
        replace_condition(r, status, make_condition(r, type, value, reason, message,
                                                    same_status ? json_get_string(old, "lastTransitionTime") : NULL));
}

void rollout_check_paused(struct rollout *r)
{
        const struct json *c = condition_find(json_get(r->status, "conditions"), "Progressing");
        const char *reason = json_get_string(c, "reason");
        bool said = streq(reason, "DeploymentPaused");

        if (!rollout_has_deadline(r) || streq(reason, "ProgressDeadlineExceeded"))
                return;
        if (r->paused && !said)
                rollout_set_condition(r, r->status, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused");
        else if (!r->paused && said)
                rollout_set_condition(r, r->status, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed");
}

bool rollout_complete(const struct rollout *r, const struct json *status)
{
        return json_get_int(status, "updatedReplicas", 0) == r->replicas &&
               json_get_int(status, "replicas", 0) == r->replicas &&
               json_get_int(status, "availableReplicas", 0) == r->replicas &&
               json_get_int(status, "observedGeneration", 0) >= json_path_int(r->d, "metadata.generation", 0);
}

/* --- counts --- */

static void count(struct rollout *r, struct json *status)
{
        int64_t actual = 0, ready = 0, available = 0, wanted = 0, terminating = 0;
        bool terminating_known = true;

        for (size_t i = 0; i < r->n; i++) {
                const struct json *rs = json_get(r->all[i].json, "status");

                actual += rs_actual(&r->all[i]);
                ready += json_get_int(rs, "readyReplicas", 0);
                available += rs_available(&r->all[i]);
                wanted += rs_wanted(&r->all[i]);
                terminating += json_get_int(rs, "terminatingReplicas", 0);
                terminating_known &= json_get(rs, "terminatingReplicas") != NULL;
        }
        set_count(r->a, status, "observedGeneration", json_path_int(r->d, "metadata.generation", 0));
        set_count(r->a, status, "replicas", actual);
        set_count(r->a, status, "updatedReplicas", r->new ? rs_actual(r->new) : 0);
        set_count(r->a, status, "readyReplicas", ready);
        set_count(r->a, status, "availableReplicas", available);
        set_count(r->a, status, "unavailableReplicas", MAX(wanted - available, 0));
        if (terminating_known)
                json_set_int(r->a, status, "terminatingReplicas", terminating);
        else
                json_del(status, "terminatingReplicas");
        if (available >= r->replicas - r->max_unavailable)
                rollout_set_condition(r, status, "Available", "True", "MinimumReplicasAvailable",
                                      "Deployment has minimum availability.");
        else
                rollout_set_condition(r, status, "Available", "False", "MinimumReplicasUnavailable",
                                      "Deployment does not have minimum availability.");
}

/* --- progress --- */

static bool has_progressed(const struct json *old, const struct json *new)
{
        int64_t old_updated = json_get_int(old, "updatedReplicas", 0), new_updated = json_get_int(new, "updatedReplicas", 0);

        return new_updated > old_updated ||
               json_get_int(new, "replicas", 0) - new_updated < json_get_int(old, "replicas", 0) - old_updated ||
               json_get_int(new, "readyReplicas", 0) > json_get_int(old, "readyReplicas", 0) ||
               json_get_int(new, "availableReplicas", 0) > json_get_int(old, "availableReplicas", 0);
}

static int64_t deadline_of(const struct rollout *r, const struct json *condition)
{
        return object_time(condition, "lastUpdateTime") +
               json_path_int(r->d, "spec.progressDeadlineSeconds", 0) * NS_PER_SEC;
}

static bool has_timed_out(const struct rollout *r, const struct json *status)
{
        const struct json *c = condition_find(json_get(status, "conditions"), "Progressing");
        const char *reason = json_get_string(c, "reason");

        if (!c || streq(reason, "NewReplicaSetAvailable"))
                return false;
        return streq(reason, "ProgressDeadlineExceeded") || deadline_of(r, c) < r->s->now;
}

static const char *about(struct rollout *r, const char *what)
{
        if (r->new)
                return arena_printf(r->a, "ReplicaSet \"%s\" %s", object_name(r->new->json), what);
        return arena_printf(r->a, "Deployment \"%s\" %s", r->stored->name, what);
}

static void judge_progress(struct rollout *r, struct json *status)
{
        const struct json *old = condition_find(json_get(r->status, "conditions"), "Progressing");
        const char *since = streq(json_get_string(old, "status"), "True") ? json_get_string(old, "lastTransitionTime") : NULL;

        if (rollout_complete(r, status)) {
                rollout_set_condition(r, status, "Progressing", "True", "NewReplicaSetAvailable",
                                      about(r, "has successfully progressed."));
        } else if (has_progressed(r->status, status)) {
                /* Also where the reason stays: the time of the update is what the deadline counts from. */
                replace_condition(r, status, make_condition(r, "Progressing", "True", "ReplicaSetUpdated",
                                                            about(r, "is progressing."), since));
        } else if (has_timed_out(r, status)) {
                rollout_set_condition(r, status, "Progressing", "False", "ProgressDeadlineExceeded",
                                      about(r, "has timed out progressing."));
        }
}

static const struct json *failure_of(const struct rs *rs)
{
        return condition_find(json_path(rs->json, "status.conditions"), "ReplicaFailure");
}

static void take_failures(struct rollout *r, struct json *status)
{
        const struct json *failure = r->new ? failure_of(r->new) : NULL;
        const char *since;
        struct json *c;

        for (size_t i = 0; !failure && i < r->n; i++)
                failure = failure_of(&r->all[i]);
        if (!failure) {
                condition_remove(json_get(status, "conditions"), "ReplicaFailure");
                return;
        }
        since = json_get_string(failure, "lastTransitionTime");
        c = condition_find(json_get(status, "conditions"), "ReplicaFailure");
        if (c && streq(json_get_string(c, "status"), json_get_string(failure, "status")) &&
            streq(json_get_string(c, "reason"), json_get_string(failure, "reason")))
                return;
        c = make_condition(r, "ReplicaFailure", json_get_string(failure, "status"), json_get_string(failure, "reason"),
                           json_get_string(failure, "message"), since);
        if (since)
                json_set_string(r->a, c, "lastUpdateTime", since);
        replace_condition(r, status, c);
}

/* Wakes when the deadline passes: nothing else would tell. */
static void wake_for_deadline(struct rollout *r, const struct json *status)
{
        const struct json *c = condition_find(json_get(status, "conditions"), "Progressing");

        if (!rollout_has_deadline(r) || !c || rollout_complete(r, status) ||
            streq(json_get_string(c, "reason"), "ProgressDeadlineExceeded") ||
            streq(json_get_string(c, "reason"), "NewReplicaSetAvailable"))
                return;
        writes_requeue(r->w, MAX(deadline_of(r, c) + NS_PER_SEC - r->s->now, NS_PER_SEC));
}

void rollout_write_status(struct rollout *r, bool with_progress)
{
        const struct json *old = condition_find(json_get(r->status, "conditions"), "Progressing");
        struct json *status = json_clone(r->a, r->status);
        bool settled;

        count(r, status);
        settled = json_get_int(status, "replicas", 0) == json_get_int(status, "updatedReplicas", 0) &&
                  streq(json_get_string(old, "reason"), "NewReplicaSetAvailable");
        if (with_progress) {
                if (!rollout_has_deadline(r))
                        condition_remove(json_get(status, "conditions"), "Progressing");
                else if (!settled)
                        judge_progress(r, status);
                take_failures(r, status);
                wake_for_deadline(r, status);
        }
        json_set(r->a, r->d, "status", status);
        if (!json_equal(status, json_get(r->stored->json, "status")) ||
            !streq(object_annotation(r->d, REVISION), object_annotation(r->stored->json, REVISION)))
                writes_update(r->w, R_DEPLOYMENTS, "status", r->d);
        r->status = status;
}
