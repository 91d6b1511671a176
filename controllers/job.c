/* Job: pods until enough of them have succeeded, or too many have failed.
 *
 * A finished pod is counted exactly once, whatever dies in between: its uid is first written into
 * status.uncountedTerminatedPods, then its finalizer batch.kubernetes.io/job-tracking is taken away,
 * then the uid is turned into a count. Each round does what the stored status allows of these three.
 *
 * Not here yet: backoffLimitPerIndex, podFailurePolicy and successPolicy. A Job that asks for one of
 * them is refused with an Event instead of being run by other rules.
 */
#include "controllers.h"

#include <stdio.h>

#define TRACKING "batch.kubernetes.io/job-tracking"
#define INDEX "batch.kubernetes.io/job-completion-index"
#define BACKOFF_NS (10 * NS_PER_SEC)
#define BACKOFF_MAX_NS (600 * NS_PER_SEC)

struct round {
        const struct snapshot *s;
        struct writes *w;
        struct arena *a;
        const struct object *stored;
        struct json *job, *status;
        struct object_list pods, active;
        int64_t ready, terminating;
        int64_t succeeded, failed; /* counted and not yet counted */
        int64_t pending;           /* finished pods on the way to being counted */
        int64_t last_failure;      /* ns; 0: none is known */
        int64_t completions;       /* -1: any one success */
        bool indexed, suspended, replace_failed_only;
        bool *done;                /* of an indexed Job, by index */
};

/* --- indexes as text: "0-2,5" --- */

static void parse_indexes(struct round *r, const char *text)
{
        while (text && *text) {
                char *end;
                long from = strtol(text, &end, 10), to = from;

                if (*end == '-')
                        to = strtol(end + 1, &end, 10);
                for (long i = MAX(from, 0L); i <= to && i < r->completions; i++)
                        r->done[i] = true;
                text = *end == ',' ? end + 1 : "";
        }
}

static const char *print_indexes(struct round *r)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (int64_t i = 0; i < r->completions; i++) {
                int64_t last = i;

                if (!r->done[i])
                        continue;
                while (last + 1 < r->completions && r->done[last + 1])
                        last++;
                strbuf_printf(&b, "%s%lld", b.len ? "," : "", (long long)i);
                if (last > i)
                        strbuf_printf(&b, "%c%lld", last > i + 1 ? '-' : ',', (long long)last);
                i = last;
        }
        return arena_strdup(r->a, strbuf_str(&b));
}

static int64_t index_of(const struct round *r, const struct object *pod)
{
        const char *text = object_annotation(pod->json, INDEX);
        int64_t i = text ? strtoll(text, NULL, 10) : -1;

        return i < r->completions ? i : -1;
}

/* --- counting --- */

static bool has_failed(const struct round *r, const struct json *pod)
{
        if (streq(pod_phase(pod), "Failed"))
                return true;
        /* A pod that is being deleted may never get to say how it ended. */
        return !r->replace_failed_only && object_is_deleting(pod) && !streq(pod_phase(pod), "Succeeded");
}

static bool list_has(const struct json *list, const char *uid)
{
        json_foreach_item(list, it) {
                if (streq(json_string(it), uid))
                        return true;
        }
        return false;
}

static const struct object *pod_by_uid(const struct round *r, const char *uid)
{
        for (size_t i = 0; i < r->pods.n; i++)
                if (streq(r->pods.items[i]->uid, uid))
                        return r->pods.items[i];
        return NULL;
}

static void drop_finalizer(struct round *r, const struct object *pod)
{
        struct json *copy = object_editable(r->a, pod->json), *list = json_path(copy, "metadata.finalizers");
        struct write *x;

        for (size_t i = 0; i < json_len(list);)
                if (streq(json_string(json_at(list, i)), TRACKING))
                        json_remove(list, i);
                else
                        i++;
        x = writes_update(r->w, R_PODS, NULL, copy);
        x->ignore_not_found = true;
}

/* Second and third step for what the stored status lists. */
static void settle_list(struct round *r, const char *list_name, const char *count_name)
{
        struct json *uncounted = json_ensure_object(r->a, r->status, "uncountedTerminatedPods");
        struct json *list = json_get(uncounted, list_name);
        int64_t counted = 0;

        for (size_t i = 0; i < json_len(list);) {
                const struct object *pod = pod_by_uid(r, json_string(json_at(list, i)));

                if (pod && object_has_finalizer(pod->json, TRACKING)) {
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
static void list_pod(struct round *r, const struct object *pod, const char *list_name)
{
        struct json *uncounted = json_ensure_object(r->a, r->status, "uncountedTerminatedPods");

        if (!object_has_finalizer(pod->json, TRACKING) || list_has(json_get(uncounted, list_name), pod->uid))
                return;
        json_append(r->a, json_ensure_array(r->a, uncounted, list_name), json_new_string(r->a, pod->uid));
}

static int64_t finished_at(const struct json *pod)
{
        int64_t latest = object_time(pod, "metadata.deletionTimestamp");

        json_foreach_item(json_path(pod, "status.containerStatuses"), c)
                latest = MAX(latest, object_time(c, "state.terminated.finishedAt"));
        return latest;
}

static void look_at_pods(struct round *r)
{
        for (size_t i = 0; i < r->pods.n; i++) {
                const struct object *pod = r->pods.items[i];
                int64_t index = r->indexed ? index_of(r, pod) : -1;

                if (streq(pod_phase(pod->json), "Succeeded")) {
                        list_pod(r, pod, "succeeded");
                        if (index >= 0)
                                r->done[index] = true;
                } else if (has_failed(r, pod->json)) {
                        list_pod(r, pod, "failed");
                        r->last_failure = MAX(r->last_failure, finished_at(pod->json));
                } else if (pod_is_active(pod->json)) {
                        list_add(r->a, &r->active, pod);
                        r->ready += pod_is_ready(pod->json);
                }
                r->terminating += object_is_deleting(pod->json) && !pod_is_terminal(pod->json);
        }
        r->pending = (int64_t)json_len(json_path(r->status, "uncountedTerminatedPods.succeeded")) +
                     (int64_t)json_len(json_path(r->status, "uncountedTerminatedPods.failed"));
        r->succeeded = json_get_int(r->status, "succeeded", 0) +
                       (int64_t)json_len(json_path(r->status, "uncountedTerminatedPods.succeeded"));
        r->failed = json_get_int(r->status, "failed", 0) +
                    (int64_t)json_len(json_path(r->status, "uncountedTerminatedPods.failed"));
}

/* --- conditions --- */

static bool has_condition(const struct json *status, const char *type)
{
        return streq(json_get_string(condition_find(json_get(status, "conditions"), type), "status"), "True");
}

static void set_condition(struct round *r, const char *type, const char *value, const char *reason, const char *message)
{
        struct json *conditions = json_ensure_array(r->a, r->status, "conditions"), *c;
        char now[TIME_BUF];

        if (!condition_set(r->a, conditions, type, value, reason, message, r->s->now))
                return;
        c = condition_find(conditions, type);
        json_set_string(r->a, c, "lastProbeTime", time_format(r->s->now, now));
}

static int64_t restarts(const struct round *r)
{
        int64_t sum = 0;

        for (size_t i = 0; i < r->active.n; i++) {
                json_foreach_item(json_path(r->active.items[i]->json, "status.initContainerStatuses"), c)
                        sum += json_get_int(c, "restartCount", 0);
                json_foreach_item(json_path(r->active.items[i]->json, "status.containerStatuses"), c)
                        sum += json_get_int(c, "restartCount", 0);
        }
        return sum;
}

static bool past_backoff_limit(const struct round *r)
{
        int64_t limit = json_path_int(r->job, "spec.backoffLimit", 6), n;

        if (r->failed > limit)
                return true;
        if (!streq(json_path_string(r->job, "spec.template.spec.restartPolicy"), "OnFailure"))
                return false;
        n = restarts(r);
        return limit ? n >= limit : n > 0;
}

/* Decides whether it is over, as far as pods go; the end itself waits until all are counted. */
static void decide(struct round *r)
{
        int64_t deadline = json_path_int(r->job, "spec.activeDeadlineSeconds", -1);
        int64_t started = object_time(r->status, "startTime"), left = 0;
        bool enough;

        if (has_condition(r->status, "FailureTarget") || has_condition(r->status, "SuccessCriteriaMet"))
                return;
        if (deadline >= 0 && started && !r->suspended)
                left = started + deadline * NS_PER_SEC - r->s->now;
        enough = r->completions < 0 ? r->succeeded > 0 && !r->active.n : r->succeeded >= r->completions;
        if (past_backoff_limit(r)) {
                set_condition(r, "FailureTarget", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit");
        } else if (deadline >= 0 && started && !r->suspended && left <= 0) {
                set_condition(r, "FailureTarget", "True", "DeadlineExceeded",
                              "Job was active longer than specified deadline");
        } else if (enough) {
                set_condition(r, "SuccessCriteriaMet", "True", "CompletionsReached",
                              "Reached expected number of succeeded pods");
        } else if (left > 0) {
                writes_requeue(r->w, left);
        }
}

/* True: it has ended in this round. */
static bool finish(struct round *r)
{
        const struct json *c = condition_find(json_get(r->status, "conditions"), "FailureTarget");
        const char *reason, *message;
        bool failed = c != NULL;
        char now[TIME_BUF];

        if (!c)
                c = condition_find(json_get(r->status, "conditions"), "SuccessCriteriaMet");
        if (!c || r->active.n || r->terminating || r->pending)
                return false;
        reason = json_get_string(c, "reason");
        message = json_get_string(c, "message");
        set_condition(r, failed ? "Failed" : "Complete", "True", reason, message);
        if (!failed)
                json_set_string(r->a, r->status, "completionTime", time_format(r->s->now, now));
        return true;
}

/* --- making and unmaking pods --- */

static void delete_active(struct round *r)
{
        for (size_t i = 0; i < r->active.n; i++)
                write_delete_pod(r->w, r->job, r->active.items[i])->batch = true;
}

static void add_index_env(struct arena *a, struct json *containers)
{
        json_foreach_item(containers, c) {
                struct json *env = json_ensure_array(a, c, "env"), *e = json_new_object(a);

                json_set_string(a, e, "name", "JOB_COMPLETION_INDEX");
                json_path_set(a, e, "valueFrom.fieldRef.fieldPath",
                              json_new_string(a, "metadata.labels['" INDEX "']"));
                json_append(a, env, e);
        }
}

static void create_pod(struct round *r, int64_t index)
{
        struct arena *a = r->a;
        struct json *pod = pod_from_template(a, json_path(r->job, "spec.template"), "batch/v1", "Job", r->job);
        struct json *meta = json_get(pod, "metadata"), *spec = json_ensure_object(a, pod, "spec");

        json_append(a, json_ensure_array(a, meta, "finalizers"), json_new_string(a, TRACKING));
        if (index >= 0) {
                const char *text = arena_printf(a, "%lld", (long long)index);

                json_set(a, meta, "generateName", json_new_stringf(a, "%s-%s-", r->stored->name, text));
                object_set_annotation(a, pod, INDEX, text);
                json_set_string(a, json_ensure_object(a, meta, "labels"), INDEX, text);
                json_set(a, spec, "hostname", json_new_stringf(a, "%s-%s", r->stored->name, text));
                add_index_env(a, json_get(spec, "containers"));
                add_index_env(a, json_get(spec, "initContainers"));
        }
        write_create_pod(r->w, r->job, pod)->batch = true;
}

static bool index_is_active(const struct round *r, int64_t index)
{
        for (size_t i = 0; i < r->active.n; i++)
                if (index_of(r, r->active.items[i]) == index)
                        return true;
        return false;
}

static void manage(struct round *r)
{
        int64_t parallelism = json_path_int(r->job, "spec.parallelism", 1), wanted = parallelism, missing, wait;
        int64_t replaced = r->replace_failed_only ? r->terminating : 0;

        if (r->completions >= 0)
                wanted = MIN(parallelism, MAX(r->completions - r->succeeded, 0));
        else if (r->succeeded > 0)
                wanted = (int64_t)r->active.n; /* one success: no new ones */
        missing = wanted - (int64_t)r->active.n - replaced;
        if (missing < 0 && replaced == 0) {
                struct object_list none = { 0 };

                pods_rank_for_deletion(r->a, &r->active, &none, r->s->now);
                for (int64_t i = 0; i < -missing; i++)
                        write_delete_pod(r->w, r->job, r->active.items[i])->batch = true;
                return;
        }
        if (missing <= 0)
                return;
        if (r->failed > 0 && r->last_failure) {
                wait = r->failed > 6 ? BACKOFF_MAX_NS : BACKOFF_NS << (r->failed - 1);
                wait = r->last_failure + MIN(wait, BACKOFF_MAX_NS) - r->s->now;
                if (wait > 0) {
                        writes_requeue(r->w, wait);
                        return;
                }
        }
        if (!r->indexed) {
                for (int64_t i = 0; i < missing; i++)
                        create_pod(r, -1);
                return;
        }
        for (int64_t i = 0; i < r->completions && missing > 0; i++)
                if (!r->done[i] && !index_is_active(r, i)) {
                        create_pod(r, i);
                        missing--;
                }
}

/* --- the round --- */

static void handle_suspend(struct round *r)
{
        char now[TIME_BUF];
        bool was = has_condition(r->status, "Suspended");

        if (r->suspended && !was) {
                set_condition(r, "Suspended", "True", "JobSuspended", "Job suspended");
                json_del(r->status, "startTime");
                writes_event(r->w, r->job, "Normal", "Suspended", "Job suspended");
        } else if (!r->suspended && was) {
                set_condition(r, "Suspended", "False", "JobResumed", "Job resumed");
                json_set_string(r->a, r->status, "startTime", time_format(r->s->now, now));
                writes_event(r->w, r->job, "Normal", "Resumed", "Job resumed");
        } else if (!r->suspended && !json_get(r->status, "startTime")) {
                json_set_string(r->a, r->status, "startTime", time_format(r->s->now, now));
        }
}

static void write_status(struct round *r)
{
        set_count(r->a, r->status, "active", (int64_t)r->active.n);
        json_set_int(r->a, r->status, "ready", r->ready);
        json_set_int(r->a, r->status, "terminating", r->terminating);
        if (r->indexed && *print_indexes(r))
                json_set_string(r->a, r->status, "completedIndexes", print_indexes(r));
        if (json_equal(r->status, json_get(r->stored->json, "status")))
                return;
        json_set(r->a, r->job, "status", r->status);
        writes_update(r->w, R_JOBS, "status", r->job);
}

/* After the end: nothing of it may keep a pod from going, and with a TTL it goes itself. */
static void after_end(struct round *r)
{
        int64_t ttl = json_path_int(r->job, "spec.ttlSecondsAfterFinished", -1), ended = 0;

        for (size_t i = 0; i < r->pods.n; i++)
                if (object_has_finalizer(r->pods.items[i]->json, TRACKING))
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

static void end_or_go_on(struct round *r)
{
        bool over, ended;

        decide(r);
        over = has_condition(r->status, "FailureTarget") || has_condition(r->status, "SuccessCriteriaMet");
        ended = over && finish(r);
        if (!r->s->failure && (over || r->suspended))
                delete_active(r);
        else if (!r->s->failure && !object_is_deleting(r->job))
                manage(r);
        write_status(r);
        if (!ended)
                return;
        if (has_condition(r->status, "Complete"))
                writes_event(r->w, r->job, "Normal", "Completed", "Job completed");
        else
                writes_event(r->w, r->job, "Warning",
                             json_get_string(condition_find(json_get(r->status, "conditions"), "Failed"), "reason"), "%s",
                             json_get_string(condition_find(json_get(r->status, "conditions"), "Failed"), "message"));
}

static bool asks_for_more(const struct json *job)
{
        static const char *const missing[] = { "backoffLimitPerIndex", "podFailurePolicy", "successPolicy" };

        for (size_t i = 0; i < ARRAY_SIZE(missing); i++)
                if (json_get(json_get(job, "spec"), missing[i]))
                        return true;
        return false;
}

/* The Job is gone: its pods must not be held by a finalizer that nobody would take away. */
static void free_orphans(const struct snapshot *s, const char *key, struct writes *w)
{
        struct round r = { .s = s, .w = w, .a = w->arena };
        const char *namespace, *name;
        struct object *const *pods;
        size_t n;

        key_split(w->arena, key, &namespace, &name);
        pods = snapshot_in_namespace(s, R_PODS, namespace, &n);
        for (size_t i = 0; i < n; i++) {
                const struct json *ref = object_controller(pods[i]->json);

                if (streq(json_get_string(ref, "kind"), "Job") && streq(json_get_string(ref, "name"), name) &&
                    object_has_finalizer(pods[i]->json, TRACKING))
                        drop_finalizer(&r, pods[i]);
        }
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        struct round r = { .s = s, .w = w, .a = w->arena, .stored = snapshot_key(s, R_JOBS, key) };
        struct claim claim = { .resource = R_PODS, .owner = r.stored, .api_version = "batch/v1", .kind = "Job" };
        struct selector sel;

        if (!r.stored) {
                free_orphans(s, key, w);
                return;
        }
        if (selector_from_object(w->arena, json_path(r.stored->json, "spec.selector"), &sel, NULL) < 0)
                return;
        if (asks_for_more(r.stored->json)) {
                writes_event(w, r.stored->json, "Warning", "NotSupported",
                             "backoffLimitPerIndex, podFailurePolicy and successPolicy are not supported yet");
                return;
        }
        r.job = object_editable(w->arena, r.stored->json);
        r.status = json_ensure_object(w->arena, r.job, "status");
        r.completions = json_path_int(r.job, "spec.completions", -1);
        r.indexed = streq(json_path_string(r.job, "spec.completionMode"), "Indexed") && r.completions >= 0;
        r.suspended = json_path_bool(r.job, "spec.suspend", false);
        r.replace_failed_only = streq(json_path_string(r.job, "spec.podReplacementPolicy"), "Failed");
        if (r.indexed) {
                r.done = arena_calloc(w->arena, (size_t)r.completions + 1);
                parse_indexes(&r, json_get_string(r.status, "completedIndexes"));
        }
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
