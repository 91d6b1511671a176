/* CronJob: a Job at each of its times.
 *
 * A Job's name holds the minute it is for, so that one time never makes two. The Job is written first; that it runs,
 * and that its time is done with, a later round reads off the Job itself.
 */
#include "controllers.h"

#include "../lib/meta/cron.h"

#define SCHEDULED "batch.kubernetes.io/cronjob-scheduled-timestamp"
#define SLACK_NS (100 * NS_PER_MS)
#define MISSED_MANY 100
#define MISSED_MAX 200000

struct round {
        const struct snapshot *s;
        struct writes *w;
        struct arena *a;
        const struct object *cj;
        struct json *copy, *status, *active;
        struct object_list jobs;
};

/* --- the Jobs --- */

static const char *end_of(const struct json *job)
{
        static const char *const types[] = { "Complete", "Failed" };

        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (streq(json_get_string(condition_find(json_path(job, "status.conditions"), types[i]), "status"), "True"))
                        return types[i];
        return NULL;
}

static const char *name_for(const struct round *r, int64_t time)
{
        return arena_printf(r->a, "%s-%lld", r->cj->name, (long long)(time / NS_PER_SEC / 60));
}

static size_t active_index(const struct round *r, const char *uid)
{
        size_t i = 0;

        while (i < json_len(r->active) && !streq(json_get_string(json_at(r->active, i), "uid"), uid))
                i++;
        return i;
}

static void add_active(struct round *r, const struct object *job)
{
        struct json *ref = json_new_object(r->a);

        json_set_string(r->a, ref, "kind", "Job");
        json_set_string(r->a, ref, "namespace", job->namespace);
        json_set_string(r->a, ref, "name", job->name);
        json_set_string(r->a, ref, "uid", job->uid);
        json_set_string(r->a, ref, "apiVersion", "batch/v1");
        json_append(r->a, r->active, ref);
}

/* A time that has its Job is done with. */
static void note_schedule(struct round *r, const struct object *job)
{
        const char *text = object_annotation(job->json, SCHEDULED);
        int64_t at;
        char buf[TIME_BUF];

        if (text && time_parse(text, &at) == 0 && at > object_time(r->status, "lastScheduleTime"))
                json_set_string(r->a, r->status, "lastScheduleTime", time_format(at, buf));
}

static bool is_of_schedule(const struct round *r, const struct object *job)
{
        const char *text = object_annotation(job->json, SCHEDULED);
        int64_t at;

        return text && time_parse(text, &at) == 0 && streq(job->name, name_for(r, at));
}

static void look_at_job(struct round *r, const struct object *job)
{
        size_t at = active_index(r, job->uid);
        bool listed = at < json_len(r->active);
        const char *end = end_of(job->json), *done = json_path_string(job->json, "status.completionTime");

        note_schedule(r, job);
        if (!listed && !end) {
                if (!is_of_schedule(r, job))
                        writes_event(r->w, r->cj->json, "Warning", "UnexpectedJob",
                                     "Saw a job that the controller did not create or forgot: %s", job->name);
                else if (!object_is_deleting(job->json))
                        add_active(r, job);
        } else if (listed && end) {
                json_remove(r->active, at);
                writes_event(r->w, r->cj->json, "Normal", "SawCompletedJob", "Saw completed job: %s, condition: %s", job->name, end);
        }
        if (streq(end, "Complete") && done &&
            object_time(job->json, "status.completionTime") > object_time(r->status, "lastSuccessfulTime"))
                json_set_string(r->a, r->status, "lastSuccessfulTime", done);
}

static void drop_missing(struct round *r)
{
        for (size_t i = 0; i < json_len(r->active);) {
                const char *uid = json_get_string(json_at(r->active, i), "uid");
                bool found = false;

                for (size_t j = 0; j < r->jobs.n; j++)
                        found |= streq(r->jobs.items[j]->uid, uid);
                if (found) {
                        i++;
                        continue;
                }
                writes_event(r->w, r->cj->json, "Normal", "MissingJob", "Active job went missing: %s",
                             json_get_string(json_at(r->active, i), "name"));
                json_remove(r->active, i);
        }
}

static void delete_job(struct round *r, const struct object *job)
{
        struct write *x = writes_delete(r->w, R_JOBS, job, -1, "Background");
        size_t at = active_index(r, job->uid);

        write_event_set(r->w, &x->done, r->cj->json, "Normal", "SuccessfulDelete", arena_printf(r->a, "Deleted job %s", job->name));
        write_event_set(r->w, &x->failed, r->cj->json, "Warning", "FailedDelete", "Deleted job: {error}");
        if (at < json_len(r->active))
                json_remove(r->active, at);
}

static int by_start(const void *x, const void *y)
{
        const struct object *const *a = x, *const *b = y;
        int64_t ta = object_time((*a)->json, "status.startTime"), tb = object_time((*b)->json, "status.startTime");

        return ta != tb ? (ta < tb ? -1 : 1) : strcmp((*a)->name, (*b)->name);
}

static void trim(struct round *r, const char *end, const char *limit_name, int64_t limit)
{
        struct object_list ended = { 0 };

        limit = json_get_int(json_get(r->cj->json, "spec"), limit_name, limit);
        for (size_t i = 0; i < r->jobs.n; i++)
                if (streq(end_of(r->jobs.items[i]->json), end) && !object_is_deleting(r->jobs.items[i]->json))
                        list_add(r->a, &ended, r->jobs.items[i]);
        list_sort(&ended, by_start);
        for (int64_t i = 0; i < (int64_t)ended.n - limit; i++)
                delete_job(r, ended.items[i]);
}

/* --- the schedule --- */

/* The last time that has come and is not done with; 0: none. */
static int64_t due_time(struct round *r, const struct cron *cron, const char *zone)
{
        int64_t from = object_time(r->status, "lastScheduleTime"), due = 0, t;
        int64_t deadline = json_path_int(r->cj->json, "spec.startingDeadlineSeconds", -1);
        size_t missed = 0;

        if (!from)
                from = object_time(r->cj->json, "metadata.creationTimestamp");
        if (deadline >= 0)
                from = MAX(from, r->s->now - deadline * NS_PER_SEC);
        for (t = cron_next(cron, from, zone); t && t <= r->s->now && missed < MISSED_MAX; t = cron_next(cron, t, zone)) {
                due = t;
                missed++;
        }
        if (missed > MISSED_MANY)
                writes_event(r->w, r->cj->json, "Warning", "TooManyMissedTimes",
                             "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew");
        return due;
}

static void create_job(struct round *r, int64_t time, const char *zone)
{
        const struct json *template = json_path(r->cj->json, "spec.jobTemplate");
        static const char *const copied[] = { "labels", "annotations" };
        struct json *job = json_new_object(r->a), *meta;
        const char *name = name_for(r, time);
        char buf[TIME_BUF];
        struct write *x;

        json_set_string(r->a, job, "apiVersion", "batch/v1");
        json_set_string(r->a, job, "kind", "Job");
        meta = json_ensure_object(r->a, job, "metadata");
        json_set_string(r->a, meta, "name", name);
        json_set_string(r->a, meta, "namespace", r->cj->namespace);
        for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
                if (json_get(json_get(template, "metadata"), copied[i]))
                        json_set(r->a, meta, copied[i], json_clone(r->a, json_get(json_get(template, "metadata"), copied[i])));
        object_set_annotation(r->a, job, SCHEDULED, time_format_zone(time, zone, buf));
        json_append(r->a, json_ensure_array(r->a, meta, "ownerReferences"),
                    object_make_controller_ref(r->a, "batch/v1", "CronJob", r->cj->json));
        json_set(r->a, job, "spec", json_clone(r->a, json_get(template, "spec")));
        x = writes_create(r->w, R_JOBS, r->cj->namespace, job);
        x->ignore_exists = true;
        write_event_set(r->w, &x->done, r->cj->json, "Normal", "SuccessfulCreate", arena_printf(r->a, "Created job %s", name));
        write_event_set(r->w, &x->failed, r->cj->json, "Warning", "FailedCreate", "Error creating job: {error}");
}

/* What a time that has come asks for. */
static void start(struct round *r, int64_t due, const char *zone)
{
        const char *policy = json_path_string(r->cj->json, "spec.concurrencyPolicy");

        if (snapshot_get(r->s, R_JOBS, r->cj->namespace, name_for(r, due)))
                return; /* made before, by us or by hand */
        if (streq(policy, "Forbid") && json_len(r->active)) {
                writes_event(r->w, r->cj->json, "Normal", "JobAlreadyActive",
                             "Not starting job because prior execution is running and concurrency policy is Forbid");
                return;
        }
        for (size_t i = 0; streq(policy, "Replace") && i < r->jobs.n; i++)
                if (active_index(r, r->jobs.items[i]->uid) < json_len(r->active))
                        delete_job(r, r->jobs.items[i]);
        create_job(r, due, zone);
}

static void follow_schedule(struct round *r)
{
        const char *zone = json_path_string(r->cj->json, "spec.timeZone"), *text = json_path_string(r->cj->json, "spec.schedule");
        _cleanup_error_ struct error err = ERROR_INIT;
        struct cron cron;
        int64_t due, next;

        if (!time_zone_exists(zone)) {
                writes_event(r->w, r->cj->json, "Warning", "UnknownTimeZone", "invalid timeZone: \"%s\": unknown time zone %s", zone, zone);
                return;
        }
        if (json_path_bool(r->cj->json, "spec.suspend", false))
                return;
        if (cron_parse(text ? text : "", &cron, &err) < 0) {
                writes_event(r->w, r->cj->json, "Warning", "UnparseableSchedule", "unparseable schedule: \"%s\" : %s", text,
                             error_text(&err));
                return;
        }
        due = due_time(r, &cron, zone);
        if (due && !r->s->failure)
                start(r, due, zone);
        next = cron_next(&cron, r->s->now, zone);
        if (next)
                writes_requeue(r->w, next - r->s->now + SLACK_NS);
}

static void write_status(struct round *r)
{
        if (!json_len(r->active))
                json_del(r->status, "active");
        else
                json_set(r->a, r->status, "active", r->active);
        if (!json_equal(r->status, json_get(r->cj->json, "status")) &&
            (json_len(r->status) || json_len(json_get(r->cj->json, "status"))))
                writes_update(r->w, R_CRONJOBS, "status", r->copy);
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        struct round r = { .s = s, .w = w, .a = w->arena, .cj = snapshot_key(s, R_CRONJOBS, key) };
        struct object *const *jobs;
        size_t n;

        if (!r.cj)
                return;
        jobs = snapshot_owned(s, R_JOBS, r.cj->uid, &n);
        for (size_t i = 0; i < n; i++)
                if (object_is_controlled_by(jobs[i]->json, r.cj->uid))
                        list_add(w->arena, &r.jobs, jobs[i]);
        list_sort(&r.jobs, compare_by_creation);
        r.copy = object_editable(w->arena, r.cj->json);
        r.status = json_ensure_object(w->arena, r.copy, "status");
        r.active = json_get(r.status, "active");
        r.active = r.active ? json_clone(w->arena, r.active) : json_new_array(w->arena);
        for (size_t i = 0; i < r.jobs.n; i++)
                look_at_job(&r, r.jobs.items[i]);
        drop_missing(&r);
        trim(&r, "Complete", "successfulJobsHistoryLimit", 3);
        trim(&r, "Failed", "failedJobsHistoryLimit", 1);
        if (!object_is_deleting(r.cj->json))
                follow_schedule(&r);
        write_status(&r);
}

const struct controller cronjob_controller = {
        .name = "cronjob-controller",
        .watches = { { .resource = R_CRONJOBS }, { .resource = R_JOBS, .owner_kind = "CronJob" } },
        .n_watches = 2,
        .reconcile = reconcile,
};
