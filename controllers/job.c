/* Job: pods until enough of them have succeeded, or too many have failed.
 *
 * A finished pod is counted exactly once, whatever dies in between: its uid is first written into
 * status.uncountedTerminatedPods, then its finalizer batch.kubernetes.io/job-tracking is taken away,
 * then the uid is turned into a count. Each round does what the stored status allows of these three.
 * Of an indexed Job status.completedIndexes takes the place of the list of those that succeeded.
 */
#include "job.h"

#include <stdio.h>

/* --- what pods say --- */

int64_t job_index_of(const struct job_round *r, const struct object *pod)
{
        const char *text = object_annotation(pod->json, JOB_INDEX);
        int64_t i = text ? strtoll(text, NULL, 10) : -1;

        return i < r->completions ? i : -1;
}

bool job_pod_failed(const struct job_round *r, const struct json *pod)
{
        if (streq(pod_phase(pod), "Failed"))
                return true;
        /* A pod that is being deleted may never get to say how it ended. */
        return !r->replace_failed_only && object_is_deleting(pod) && !streq(pod_phase(pod), "Succeeded");
}

int64_t job_pod_finished_at(const struct json *pod)
{
        int64_t latest = 0;

        json_foreach_item(json_path(pod, "status.containerStatuses"), c)
                latest = MAX(latest, object_time(c, "state.terminated.finishedAt"));
        if (!latest)
                latest = object_time(pod, "metadata.deletionTimestamp");
        return latest ? latest : object_time(pod, "metadata.creationTimestamp");
}

static bool has_condition(const struct json *status, const char *type)
{
        return streq(json_get_string(condition_find(json_get(status, "conditions"), type), "status"), "True");
}

/* --- counting --- */

static bool list_has(const struct json *list, const char *uid)
{
        json_foreach_item(list, it) {
                if (streq(json_string(it), uid))
                        return true;
        }
        return false;
}

static const struct object *pod_by_uid(const struct job_round *r, const char *uid)
{
        for (size_t i = 0; i < r->pods.n; i++)
                if (streq(r->pods.items[i]->uid, uid))
                        return r->pods.items[i];
        return NULL;
}

static void drop_finalizer(struct job_round *r, const struct object *pod)
{
        struct json *copy = object_editable(r->a, pod->json), *list = json_path(copy, "metadata.finalizers");
        struct write *x;

        for (size_t i = 0; i < json_len(list);)
                if (streq(json_string(json_at(list, i)), JOB_TRACKING))
                        json_remove(list, i);
                else
                        i++;
        x = writes_update(r->w, R_PODS, NULL, copy);
        x->ignore_not_found = true;
}

/* Second and third step for what the stored status lists. */
static void settle_list(struct job_round *r, const char *list_name, const char *count_name)
{
        struct json *uncounted = json_ensure_object(r->a, r->status, "uncountedTerminatedPods");
        struct json *list = json_get(uncounted, list_name);
        int64_t counted = 0;

        for (size_t i = 0; i < json_len(list);) {
                const struct object *pod = pod_by_uid(r, json_string(json_at(list, i)));

                if (pod && object_has_finalizer(pod->json, JOB_TRACKING)) {
                        drop_finalizer(r, pod);
                        i++;
                } else {
                        json_remove(list, i);
                        counted++;
                }
        }
        if (list && !json_len(list))
                json_del(uncounted, list_name);
        if (counted)
                json_set_int(r->a, r->status, count_name, json_get_int(r->status, count_name, 0) + counted);
}

/* First step: a finished pod that nobody has listed yet. */
static void list_pod(struct job_round *r, const struct object *pod, const char *list_name)
{
        struct json *uncounted = json_ensure_object(r->a, r->status, "uncountedTerminatedPods");

        if (!object_has_finalizer(pod->json, JOB_TRACKING) || list_has(json_get(uncounted, list_name), pod->uid))
                return;
        json_append(r->a, json_ensure_array(r->a, uncounted, list_name), json_new_string(r->a, pod->uid));
}

static void take_success(struct job_round *r, const struct object *pod)
{
        int64_t index = r->indexed ? job_index_of(r, pod) : -1;

        if (list_has(json_path(r->status, "uncountedTerminatedPods.failed"), pod->uid))
                return; /* it was on its way out when the Job failed, and has ended well since */
        if (!r->indexed) {
                list_pod(r, pod, "succeeded");
        } else if (index >= 0 && !index_set_has(&r->stored_done, index)) {
                index_set_add(r->a, &r->done, index, index); /* the finalizer goes when this is stored */
        } else if (object_has_finalizer(pod->json, JOB_TRACKING)) {
                drop_finalizer(r, pod);
        }
}

/* A failure that does not count: by policy, outside the Job, or because success was declared before. */
static bool is_uncounted_failure(const struct job_round *r, const struct object *pod)
{
        if (r->indexed && job_index_of(r, pod) < 0)
                return true;
        if (object_is_deleting(pod->json) && has_condition(r->status, "SuccessCriteriaMet"))
                return true;
        return job_failure_action(r->a, r->job, pod->json, NULL) == JOB_IGNORE;
}

static void take_failure(struct job_round *r, const struct object *pod)
{
        bool listed = list_has(json_path(r->status, "uncountedTerminatedPods.failed"), pod->uid);

        if (listed || job_is_delayed(r, pod))
                return;
        if (!is_uncounted_failure(r, pod))
                list_pod(r, pod, "failed");
        else if (object_has_finalizer(pod->json, JOB_TRACKING))
                drop_finalizer(r, pod);
}

static void look_at_pods(struct job_round *r)
{
        for (size_t i = 0; i < r->pods.n; i++) {
                const struct object *pod = r->pods.items[i];

                if (streq(pod_phase(pod->json), "Succeeded")) {
                        take_success(r, pod);
                } else if (pod_is_active(pod->json)) {
                        list_add(r->a, &r->active, pod);
                        r->ready += pod_is_ready(pod->json);
                }
                r->terminating += object_is_deleting(pod->json) && !pod_is_terminal(pod->json);
        }
        if (r->per_index >= 0)
                job_judge_indexes(r);
        for (size_t i = 0; i < r->pods.n; i++)
                if (job_pod_failed(r, r->pods.items[i]->json))
                        take_failure(r, r->pods.items[i]);
        r->succeeded = r->indexed ? index_set_total(&r->done) :
                                    json_get_int(r->status, "succeeded", 0) +
                                            (int64_t)json_len(json_path(r->status, "uncountedTerminatedPods.succeeded"));
        r->failed = json_get_int(r->status, "failed", 0) +
                    (int64_t)json_len(json_path(r->status, "uncountedTerminatedPods.failed"));
}

/* Some finished pod has not come to the end of the three steps. */
static bool still_counting(const struct job_round *r)
{
        if (json_len(json_path(r->status, "uncountedTerminatedPods.succeeded")) ||
            json_len(json_path(r->status, "uncountedTerminatedPods.failed")))
                return true;
        for (size_t i = 0; i < r->pods.n; i++)
                if (object_has_finalizer(r->pods.items[i]->json, JOB_TRACKING) && pod_is_terminal(r->pods.items[i]->json))
                        return true;
        return false;
}

/* --- conditions --- */

static void set_condition(struct job_round *r, const char *type, const char *value, const char *reason, const char *message)
{
        struct json *conditions = json_ensure_array(r->a, r->status, "conditions"), *c;
        char now[TIME_BUF];

        if (!condition_set(r->a, conditions, type, value, reason, message, r->s->now))
                return;
        c = condition_find(conditions, type);
        json_set_string(r->a, c, "lastProbeTime", time_format(r->s->now, now));
}

static int64_t restarts(const struct job_round *r)
{
        int64_t sum = 0;

        for (size_t i = 0; i < r->pods.n; i++) {
                const struct json *pod = r->pods.items[i]->json;

                if (!streq(pod_phase(pod), "Running") && !streq(pod_phase(pod), "Pending"))
                        continue;
                json_foreach_item(json_path(pod, "status.initContainerStatuses"), c)
                        sum += json_get_int(c, "restartCount", 0);
                json_foreach_item(json_path(pod, "status.containerStatuses"), c)
                        sum += json_get_int(c, "restartCount", 0);
        }
        return sum;
}

static bool past_backoff_limit(const struct job_round *r)
{
        int64_t limit = json_path_int(r->job, "spec.backoffLimit", 6), n;

        if (r->failed > limit)
                return true;
        if (!streq(json_path_string(r->job, "spec.template.spec.restartPolicy"), "OnFailure"))
                return false;
        n = restarts(r);
        return limit ? n >= limit : n > 0;
}

static const char *failed_by_policy(const struct job_round *r)
{
        const char *message = NULL;

        for (size_t i = 0; i < r->pods.n; i++)
                if (job_pod_failed(r, r->pods.items[i]->json) &&
                    job_failure_action(r->a, r->job, r->pods.items[i]->json, &message) == JOB_FAIL_JOB)
                        return message;
        return NULL;
}

static bool fail_by_indexes(struct job_round *r)
{
        int64_t failed = index_set_total(&r->failed_indexes), most = json_path_int(r->job, "spec.maxFailedIndexes", -1);

        if (r->per_index < 0)
                return false;
        if (most >= 0 && failed > most)
                set_condition(r, "FailureTarget", "True", "MaxFailedIndexesExceeded",
                              "Job has exceeded the specified maximal number of failed indexes");
        else if (failed > 0 && failed + index_set_total(&r->done) >= r->completions)
                set_condition(r, "FailureTarget", "True", "FailedIndexes", "Job has failed indexes");
        else
                return false;
        return true;
}

/* Decides whether it is over, as far as pods go; the end itself waits until all are counted. */
static void decide(struct job_round *r)
{
        int64_t deadline = json_path_int(r->job, "spec.activeDeadlineSeconds", -1);
        int64_t started = object_time(r->status, "startTime"), left = 0;
        bool enough, timed = deadline >= 0 && started && !r->suspended;
        const char *message;

        if (has_condition(r->status, "FailureTarget") || has_condition(r->status, "SuccessCriteriaMet"))
                return;
        if (timed)
                left = started + deadline * NS_PER_SEC - r->s->now;
        enough = r->completions < 0 ? r->succeeded > 0 && !r->active.n : r->succeeded >= r->completions && !r->active.n;
        if ((message = failed_by_policy(r)))
                set_condition(r, "FailureTarget", "True", "PodFailurePolicy", message);
        else if (past_backoff_limit(r))
                set_condition(r, "FailureTarget", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit");
        else if (timed && left <= 0)
                set_condition(r, "FailureTarget", "True", "DeadlineExceeded",
                              "Job was active longer than specified deadline");
        else if (fail_by_indexes(r))
                return;
        else if ((message = job_success_message(r)))
                set_condition(r, "SuccessCriteriaMet", "True", "SuccessPolicy", message);
        else if (enough)
                set_condition(r, "SuccessCriteriaMet", "True", "CompletionsReached",
                              "Reached expected number of succeeded pods");
        else if (left > 0)
                writes_requeue(r->w, left);
}

/* True: it has ended in this round. */
static bool finish(struct job_round *r)
{
        const struct json *c = condition_find(json_get(r->status, "conditions"), "FailureTarget");
        const char *reason, *message;
        bool failed = c != NULL;
        char now[TIME_BUF];

        if (!c)
                c = condition_find(json_get(r->status, "conditions"), "SuccessCriteriaMet");
        if (!c || r->active.n || r->terminating || still_counting(r))
                return false;
        reason = json_get_string(c, "reason");
        message = json_get_string(c, "message");
        set_condition(r, failed ? "Failed" : "Complete", "True", reason, message);
        if (!failed)
                json_set_string(r->a, r->status, "completionTime", time_format(r->s->now, now));
        return true;
}

/* --- making and unmaking pods --- */

static void delete_active(struct job_round *r)
{
        for (size_t i = 0; i < r->active.n; i++)
                write_delete_pod(r->w, r->job, r->active.items[i])->batch = true;
}

/* The Job has failed, and with it every pod that has not ended: however quickly it ends now. */
static void fail_active(struct job_round *r)
{
        delete_active(r);
        for (size_t i = 0; i < r->active.n; i++)
                list_pod(r, r->active.items[i], "failed");
        r->terminating += (int64_t)r->active.n;
        r->active.n = 0;
        r->ready = 0;
}

/* Pods that the Job no longer wants are no failures: their finalizer goes first, so nobody counts them. */
static void delete_unwanted(struct job_round *r, const struct object_list *pods)
{
        for (size_t i = 0; i < pods->n; i++)
                if (object_has_finalizer(pods->items[i]->json, JOB_TRACKING))
                        drop_finalizer(r, pods->items[i]);
        for (size_t i = 0; i < pods->n; i++)
                write_delete_pod(r->w, r->job, pods->items[i])->batch = true;
}

static void add_index_env(struct arena *a, struct json *containers)
{
        json_foreach_item(containers, c) {
                struct json *env = json_ensure_array(a, c, "env"), *e = json_new_object(a);

                json_set_string(a, e, "name", "JOB_COMPLETION_INDEX");
                json_path_set(a, e, "valueFrom.fieldRef.fieldPath",
                              json_new_string(a, "metadata.labels['" JOB_INDEX "']"));
                json_append(a, env, e);
        }
}

static void create_pod(struct job_round *r, int64_t index, const struct object *heir_of)
{
        struct arena *a = r->a;
        struct json *pod = pod_from_template(a, json_path(r->job, "spec.template"), "batch/v1", "Job", r->job);
        struct json *meta = json_get(pod, "metadata"), *spec = json_ensure_object(a, pod, "spec");

        json_append(a, json_ensure_array(a, meta, "finalizers"), json_new_string(a, JOB_TRACKING));
        if (index >= 0) {
                const char *text = arena_printf(a, "%lld", (long long)index);

                json_set(a, meta, "generateName", json_new_stringf(a, "%s-%s-", r->stored->name, text));
                object_set_annotation(a, pod, JOB_INDEX, text);
                json_set_string(a, json_ensure_object(a, meta, "labels"), JOB_INDEX, text);
                json_set(a, spec, "hostname", json_new_stringf(a, "%s-%s", r->stored->name, text));
                add_index_env(a, json_get(spec, "containers"));
                add_index_env(a, json_get(spec, "initContainers"));
        }
        if (r->per_index >= 0)
                job_inherit_failures(r, pod, heir_of);
        write_create_pod(r->w, r->job, pod)->batch = true;
}

static bool index_is_taken(const struct job_round *r, int64_t index)
{
        for (size_t i = 0; i < r->pods.n; i++) {
                const struct json *pod = r->pods.items[i]->json;

                if (job_index_of(r, r->pods.items[i]) == index &&
                    (pod_is_active(pod) || (r->replace_failed_only && !pod_is_terminal(pod))))
                        return true;
        }
        return false;
}

static void create_indexed(struct job_round *r, int64_t missing)
{
        int64_t soonest = 0;
        bool made = false;

        for (int64_t i = 0; i < r->completions && missing > 0; i++) {
                const struct object *heir_of = NULL;
                int64_t wait;

                if (index_set_has(&r->done, i) || index_set_has(&r->failed_indexes, i) || index_is_taken(r, i))
                        continue;
                missing--;
                wait = r->per_index >= 0 ? job_index_wait(r, i, &heir_of) : 0;
                if (!wait) {
                        create_pod(r, i, heir_of);
                        made = true;
                } else if (!soonest || wait < soonest) {
                        soonest = wait;
                }
        }
        if (soonest && !made)
                writes_requeue(r->w, soonest);
}

/* How long new pods wait after failures: twice as long after each since the last success. */
static int64_t backoff(const struct job_round *r)
{
        int64_t success = 0, last = 0, failures = 0, at;

        for (size_t i = 0; i < r->pods.n; i++)
                if (streq(pod_phase(r->pods.items[i]->json), "Succeeded"))
                        success = MAX(success, job_pod_finished_at(r->pods.items[i]->json));
        for (size_t i = 0; i < r->pods.n; i++) {
                if (!job_pod_failed(r, r->pods.items[i]->json))
                        continue;
                at = job_pod_finished_at(r->pods.items[i]->json);
                last = MAX(last, at);
                failures += at > success;
        }
        if (!failures)
                return 0;
        at = failures > 6 ? JOB_BACKOFF_MAX_NS : JOB_BACKOFF_NS << (failures - 1);
        return MAX(last + MIN(at, JOB_BACKOFF_MAX_NS) - r->s->now, INT64_C(0));
}

/* Active pods that are too many, into *ret: first those that hold no index of the Job or share one. */
static void find_surplus(struct job_round *r, int64_t wanted, struct object_list *ret)
{
        struct object_list none = { 0 }, kept = { 0 };
        struct index_set seen = { 0 };

        pods_rank_for_deletion(r->a, &r->active, &none, r->s->now);
        for (size_t i = r->active.n; i-- > 0;) { /* from the one most worth keeping */
                int64_t index = r->indexed ? job_index_of(r, r->active.items[i]) : 0;

                if (r->indexed && (index < 0 || index_set_has(&seen, index)))
                        list_add(r->a, ret, r->active.items[i]);
                else
                        list_add(r->a, &kept, r->active.items[i]);
                if (r->indexed && index >= 0)
                        index_set_add(r->a, &seen, index, index);
        }
        for (size_t i = kept.n; i-- > 0 && (int64_t)(r->active.n - ret->n) > wanted;)
                list_add(r->a, ret, kept.items[i]);
}

static void manage(struct job_round *r)
{
        int64_t wanted = json_path_int(r->job, "spec.parallelism", 1), missing, wait;
        struct object_list surplus = { 0 };

        if (r->completions >= 0)
                wanted = MIN(wanted, MAX(r->completions - r->succeeded, INT64_C(0)));
        else if (r->succeeded > 0)
                wanted = (int64_t)r->active.n; /* one success: no new ones */
        find_surplus(r, wanted, &surplus);
        if (surplus.n) {
                delete_unwanted(r, &surplus);
                return;
        }
        missing = wanted - (int64_t)r->active.n - (r->replace_failed_only ? r->terminating : 0);
        if (missing <= 0)
                return;
        wait = r->per_index < 0 ? backoff(r) : 0;
        if (wait > 0) {
                writes_requeue(r->w, wait);
                return;
        }
        if (r->indexed) {
                create_indexed(r, missing);
                return;
        }
        for (int64_t i = 0; i < missing; i++)
                create_pod(r, -1, NULL);
}

/* --- the round --- */

static void handle_suspend(struct job_round *r)
{
        char now[TIME_BUF];
        bool was = has_condition(r->status, "Suspended");

        if (r->suspended && !was) {
                set_condition(r, "Suspended", "True", "JobSuspended", "Job suspended");
                json_del(r->status, "startTime");
                r->suspend_told = "Suspended";
        } else if (!r->suspended && was) {
                set_condition(r, "Suspended", "False", "JobResumed", "Job resumed");
                json_set_string(r->a, r->status, "startTime", time_format(r->s->now, now));
                r->suspend_told = "Resumed";
        } else if (!r->suspended && !json_get(r->status, "startTime")) {
                json_set_string(r->a, r->status, "startTime", time_format(r->s->now, now));
        }
}

static void write_status(struct job_round *r)
{
        set_count(r->a, r->status, "active", (int64_t)r->active.n);
        json_set_int(r->a, r->status, "ready", r->ready);
        json_set_int(r->a, r->status, "terminating", r->terminating);
        if (r->indexed) {
                set_count(r->a, r->status, "succeeded", r->succeeded);
                json_set_string(r->a, r->status, "completedIndexes", r->done.n ? index_set_print(r->a, &r->done) : NULL);
        }
        if (r->per_index >= 0)
                json_set_string(r->a, r->status, "failedIndexes", index_set_print(r->a, &r->failed_indexes));
        if (json_equal(r->status, json_get(r->stored->json, "status")))
                return;
        json_set(r->a, r->job, "status", r->status);
        writes_update(r->w, R_JOBS, "status", r->job);
}

/* After the end: nothing of it may keep a pod from going, and with a TTL it goes itself. */
static void after_end(struct job_round *r)
{
        int64_t ttl = json_path_int(r->job, "spec.ttlSecondsAfterFinished", -1), ended = 0;

        for (size_t i = 0; i < r->pods.n; i++)
                if (object_has_finalizer(r->pods.items[i]->json, JOB_TRACKING))
                        drop_finalizer(r, r->pods.items[i]);
        json_foreach_item(json_get(r->status, "conditions"), c) {
                if (streq(json_get_string(c, "type"), "Complete") || streq(json_get_string(c, "type"), "Failed"))
                        ended = object_time(c, "lastTransitionTime");
        }
        if (ttl < 0 || object_is_deleting(r->job))
                return;
        if (ended + ttl * NS_PER_SEC <= r->s->now)
                writes_delete(r->w, R_JOBS, r->stored, -1, "Foreground");
        else
                writes_requeue(r->w, ended + ttl * NS_PER_SEC - r->s->now);
}

static void tell_the_end(struct job_round *r)
{
        const struct json *failed = condition_find(json_get(r->status, "conditions"), "Failed");

        if (failed) {
                writes_event(r->w, r->job, "Warning", json_get_string(failed, "reason"), "%s", json_get_string(failed, "message"));
                return;
        }
        if (r->completions >= 0 && r->succeeded > r->completions)
                writes_event(r->w, r->job, "Warning", "TooManySucceededPods",
                             "Too many succeeded pods running after completion count reached");
        writes_event(r->w, r->job, "Normal", "Completed", "Job completed");
}

static void end_or_go_on(struct job_round *r)
{
        bool over, ended;

        decide(r);
        over = has_condition(r->status, "FailureTarget") || has_condition(r->status, "SuccessCriteriaMet");
        ended = over && finish(r);
        /* The verdict is stored before pods die by it: their end must not be taken for a failure of their own. */
        if (!r->s->failure && over && has_condition(json_get(r->stored->json, "status"), "SuccessCriteriaMet"))
                delete_active(r);
        else if (!r->s->failure && over && has_condition(r->status, "FailureTarget"))
                fail_active(r);
        else if (!r->s->failure && r->suspended)
                delete_unwanted(r, &r->active);
        else if (!r->s->failure && !over && !object_is_deleting(r->job))
                manage(r);
        if (r->suspend_told) /* after what it did to pods */
                writes_event(r->w, r->job, "Normal", r->suspend_told, streq(r->suspend_told, "Resumed") ? "Job resumed" : "Job suspended");
        write_status(r);
        if (ended)
                tell_the_end(r);
}

/* The Job is gone: its pods must not be held by a finalizer that nobody would take away. */
static void free_orphans(const struct snapshot *s, const char *key, struct writes *w)
{
        struct job_round r = { .s = s, .w = w, .a = w->arena };
        const char *namespace, *name;
        struct object *const *pods;
        size_t n;

        key_split(w->arena, key, &namespace, &name);
        pods = snapshot_in_namespace(s, R_PODS, namespace, &n);
        for (size_t i = 0; i < n; i++) {
                const struct json *ref = object_controller(pods[i]->json);

                if (streq(json_get_string(ref, "kind"), "Job") && streq(json_get_string(ref, "name"), name) &&
                    object_has_finalizer(pods[i]->json, JOB_TRACKING))
                        drop_finalizer(&r, pods[i]);
        }
}

static void read_job(struct job_round *r)
{
        const char *replacement;

        r->job = object_editable(r->a, r->stored->json);
        r->status = json_ensure_object(r->a, r->job, "status");
        r->completions = json_path_int(r->job, "spec.completions", -1);
        r->indexed = streq(json_path_string(r->job, "spec.completionMode"), "Indexed") && r->completions >= 0;
        r->per_index = r->indexed ? json_path_int(r->job, "spec.backoffLimitPerIndex", -1) : -1;
        r->suspended = json_path_bool(r->job, "spec.suspend", false);
        replacement = json_path_string(r->job, "spec.podReplacementPolicy");
        r->replace_failed_only = streq(replacement, "Failed") || json_path(r->job, "spec.podFailurePolicy");
        if (!r->indexed)
                return;
        index_set_parse(r->a, json_get_string(r->status, "completedIndexes"), r->completions, &r->stored_done);
        index_set_parse(r->a, json_get_string(r->status, "completedIndexes"), r->completions, &r->done);
        index_set_parse(r->a, json_get_string(r->status, "failedIndexes"), r->completions, &r->failed_indexes);
}

/* Somebody else runs this Job. */
static bool is_foreign(const struct json *job)
{
        const char *by = json_path_string(job, "spec.managedBy");

        return by && !streq(by, "kubernetes.io/job-controller");
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        struct job_round r = { .s = s, .w = w, .a = w->arena, .stored = snapshot_key(s, R_JOBS, key) };
        struct claim claim = { .resource = R_PODS, .owner = r.stored, .api_version = "batch/v1", .kind = "Job" };
        struct selector sel;

        if (!r.stored) {
                free_orphans(s, key, w);
                return;
        }
        if (is_foreign(r.stored->json) ||
            selector_from_object(w->arena, json_path(r.stored->json, "spec.selector"), &sel, NULL) < 0)
                return;
        read_job(&r);
        claim.selector = &sel;
        claim_objects(s, &claim, w, &r.pods);
        if (has_condition(r.status, "Complete") || has_condition(r.status, "Failed")) {
                after_end(&r);
                return;
        }
        settle_list(&r, "succeeded", "succeeded");
        settle_list(&r, "failed", "failed");
        look_at_pods(&r);
        handle_suspend(&r);
        end_or_go_on(&r);
}

static void map_orphans(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (new)
                map_orphan(s, R_JOBS, "spec.selector", new, k);
}

const struct controller job_controller = {
        .name = "job-controller",
        .watches = { { .resource = R_JOBS }, { .resource = R_PODS, .owner_kind = "Job", .map = map_orphans } },
        .n_watches = 2,
        .reconcile = reconcile,
};
