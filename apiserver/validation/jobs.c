/* What rules about jobs and their schedules cannot say. */
#include "metadata.h"

#include <ctype.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../lib/meta/quantity.h"
#include "../../lib/meta/selector.h"
#include "functions.h"

static void invalid_go(struct check *c, const struct at *at, const char *detail)
{
        field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at), "%s", detail);
}

#define ZONE_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-."
#define ZONE_PART_MAX 14 /* characters between the slashes of a time zone's name */

/* --- jobs --- */

/* The selector and labels that a job's creation generated are still there. */
void check_job_generated(struct check *c, const struct at *spec)
{
        static const char *const keys[] = { "controller-uid", "job-name", "batch.kubernetes.io/controller-uid",
                                            "batch.kubernetes.io/job-name" };
        const struct at *selector = at_field(c, spec, "selector"), *template = at_field(c, spec, "template");
        const struct at *labels = at_field(c, template, "metadata.labels");
        const char *uid = json_path_string(c->old, "metadata.uid"), *name = json_path_string(c->old, "metadata.name");
        struct json *generated = json_new_object(c->a);
        struct selector s = { 0 };

        if (at_set(selector) && !json_get_bool(spec->j, "manualSelector", false)) {
                for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                        const char *want = i % 2 ? name : uid, *is = json_get_string(labels->j, keys[i]);
                        const char *path = arena_printf(c->a, "%s[%s]", at_path(c, labels), keys[i]);

                        json_set_string(c->a, generated, keys[i], want);
                        if (!is)
                                field_error_add(c->errs, FIELD_REQUIRED, path, NULL, "must be '%s'", want);
                        else if (!streq(is, want))
                                field_error_add(c->errs, FIELD_INVALID, path, at_shown(c, labels), "must be '%s'", want);
                }
                if (selector_from_object(c->a, selector->j, &s, NULL) == 0 && !selector_matches(&s, generated))
                        check_invalid(c, selector, "`selector` not auto-generated");
        }
}

void check_job_selects(struct check *c, const struct at *spec)
{
        const struct at *labels = at_field(c, spec, "template.metadata.labels");
        struct selector s = { 0 };

        if (selector_from_object(c->a, json_get(spec->j, "selector"), &s, NULL) == 0 &&
            !selector_matches(&s, json_is_object(labels->j) ? labels->j : NULL))
                check_invalid(c, labels, "`selector` does not match template `labels`");
}

/* Pods of indexed jobs are named after job and index. */
void check_indexed_name(struct check *c, const struct at *at)
{
        const struct json *spec = json_get(c->obj, "spec");
        int64_t n = json_get_int(spec, "completions", 0);
        const char *last = arena_printf(c->a, "%s-%lld", text_at(at), (long long)n - 1), *messages[NAME_MESSAGES];

        if (streq(json_get_string(spec, "completionMode"), "Indexed") && n > 0 &&
            name_check(c->a, NAME_DNS1123_LABEL, last, messages))
                check_invalid(c, at, "will not able to create pod with invalid DNS label: %s", last);
}

void check_ordered(struct check *c, const struct at *values)
{
        int64_t last = INT64_MIN, n;

        json_foreach_item(values->j, v) {
                if (json_to_int(v, &n) != 0)
                        continue;
                if (n < last) {
                        check_invalid(c, values, "must be ordered");
                        return;
                }
                last = n;
        }
}

/* One number of an interval, below MAX. NULL: fine. */
static const char *index_mistake(struct arena *a, const char *text, int64_t max, int64_t *ret)
{
        const char *digits = *text == '-' || *text == '+' ? text + 1 : text;
        char *end;

        *ret = strtol(text, &end, 10);
        if (!isdigit((unsigned char)*digits) || *end)
                return arena_printf(a, "cannot convert string to integer for index: \"%s\"", text);
        return *ret >= max ? arena_printf(a, "too large index: \"%s\"", text) : NULL;
}

/* "1,3-5,7" of MAX indexes: how many they are. NULL: fine. */
static const char *indexes_mistake(struct arena *a, const char *text, int64_t max, int64_t *ret_total)
{
        char *copy = arena_strdup(a, text), *next;
        int64_t last = -1, x, y, total = 0;

        *ret_total = 0;
        for (char *part = copy; *text && part; part = next) {
                const char *why, *whole;
                char *dash;

                next = strchr(part, ',');
                if (next)
                        *next++ = '\0';
                whole = arena_strdup(a, part);
                dash = strchr(part, '-');
                if (dash)
                        *dash++ = '\0';
                if (dash && strchr(dash, '-'))
                        return arena_printf(a, "the fragment \"%s\" violates the requirement that an index interval can have at "
                                               "most two parts separated by '-'", whole);
                why = index_mistake(a, part, max, &x);
                y = x;
                if (!why && dash)
                        why = index_mistake(a, dash, max, &y);
                if (why)
                        return why;
                if (dash && x >= y)
                        return arena_printf(a, "non-increasing order, previous: %lld, current: %lld", (long long)x, (long long)y);
                if (last >= x && total)
                        return arena_printf(a, "non-increasing order, previous: %lld, current: %lld", (long long)last, (long long)x);
                total += y - x + 1;
                last = y;
        }
        *ret_total = total;
        return NULL;
}

/* Which indexes, or how many of them, end an indexed job. */
void check_succeeded_rule(struct check *c, const struct at *rule)
{
        const struct at *indexes = at_field(c, rule, "succeededIndexes"), *count = at_field(c, rule, "succeededCount");
        int64_t all = json_get_int(rule->up->up->up->j, "completions", 0), total = 0, n;
        const char *why = at_set(indexes) ? indexes_mistake(c->a, text_at(indexes), all, &total) : NULL;

        if (why)
                check_invalid(c, indexes, "error parsing succeededIndexes: %s", why);
        if (json_to_int(count->j, &n) != 0)
                return;
        if (n < 0)
                check_invalid(c, count, "must be greater than or equal to 0");
        if (n > all)
                check_invalid(c, count, "must be less than or equal to %lld (the number of specified completions)", (long long)all);
        if (at_set(indexes) && n > total)
                check_invalid(c, count, "must be less than or equal to %lld (the number of indexes in the specified succeededIndexes field)",
                              (long long)total);
}

static bool condition_true(const struct json *status, const char *type)
{
        json_foreach_item(json_get(status, "conditions"), k)
                if (streq(json_get_string(k, "type"), type))
                        return streq(json_get_string(k, "status"), "True");
        return false;
}

/* What a status says of its job. */
struct job_state {
        bool complete, failed, target, met;
};

static struct job_state state_of(const struct json *status)
{
        return (struct job_state){ condition_true(status, "Complete"), condition_true(status, "Failed"),
                                   condition_true(status, "FailureTarget"), condition_true(status, "SuccessCriteriaMet") };
}

static void bad_conditions(struct check *c, const struct at *status, bool wrong, const char *detail)
{
        if (wrong)
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at_field(c, status, "conditions")), NULL, "%s", detail);
}

static bool moved(const struct at *at)
{
        return at->old ? !json_equal(at->j, at->old) : at_set(at) && !at_empty(at);
}

/* Times: when a job ended, and that it began before. */
static void check_job_times(struct check *c, const struct at *status, const struct job_state *is, bool complete_moved)
{
        const struct at *start = at_field(c, status, "startTime"), *end = at_field(c, status, "completionTime");

        if (!complete_moved && !moved(end) && !moved(start))
                return;
        if ((complete_moved || moved(end)) && at_set(end) && !is->complete)
                check_invalid(c, end, "cannot set completionTime when there is no Complete=True condition");
        if ((complete_moved || moved(end)) && !at_set(end) && is->complete)
                check_required(c, end, "completionTime is required for Complete jobs");
        if (at_set(start) && at_set(end) && strcmp(text_at(end), text_at(start)) < 0)
                check_invalid(c, end, "must be equal to or after `startTime`");
}

/* What is done has no pods left, and began once. */
static void check_finished(struct check *c, const struct at *status, bool finished, bool finished_moved)
{
        const struct at *active = at_field(c, status, "active"), *start = at_field(c, status, "startTime");
        const struct at *pods = at_field(c, status, "uncountedTerminatedPods");
        bool paused = condition_true(status->j, "Suspended") && json_path(c->obj, "spec.completions") &&
                      json_path_int(c->obj, "spec.completions", 1) == 0;

        if (!finished)
                return;
        if ((finished_moved || moved(active)) && json_get_int(status->j, "active", 0) > 0)
                check_invalid(c, active, "active>0 is invalid for finished job");
        if ((finished_moved || moved(start)) && !paused && !at_set(start))
                check_required(c, start, "startTime is required for finished job");
        if ((finished_moved || moved(pods)) && json_len(json_get(pods->j, "failed")) + json_len(json_get(pods->j, "succeeded")) > 0)
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, pods), go_struct(c, pods), "must be empty for finished job");
}

/* The next interval of *P ("3", "3-5") that can be read: indexes below MAX. False: there is none. */
static bool next_interval(struct arena *a, const char **p, int64_t max, int64_t *ret_first, int64_t *ret_last)
{
        while (*p && **p) {
                size_t n = strcspn(*p, ",");
                char *first = arena_strndup(a, *p, n), *last = strchr(first, '-');

                *p = (*p)[n] ? *p + n + 1 : NULL;
                if (last)
                        *last++ = '\0';
                if (index_mistake(a, first, max, ret_first) == NULL &&
                    index_mistake(a, last ? last : first, max, ret_last) == NULL && (!last || *ret_first < *ret_last))
                        return true;
        }
        return false;
}

/* The first index that both lists have; -1: none. */
static int64_t common_index(struct arena *a, const char *x, const char *y, int64_t max)
{
        int64_t x0, x1, y0, y1;
        bool more = next_interval(a, &x, max, &x0, &x1) && next_interval(a, &y, max, &y0, &y1);

        while (more) {
                if (x0 <= y1 && y0 <= x1)
                        return MAX(x0, y0);
                more = x0 <= y0 ? next_interval(a, &x, max, &x0, &x1) : next_interval(a, &y, max, &y0, &y1);
        }
        return -1;
}

/* Indexes that ended, of an indexed job. */
static void check_indexes(struct check *c, const struct at *status)
{
        const struct at *done = at_field(c, status, "completedIndexes"), *failed = at_field(c, status, "failedIndexes");
        const struct json *spec = json_get(c->obj, "spec");
        int64_t max = json_get_int(spec, "completions", 0), n, both;
        const char *why;
        bool limited = json_get(spec, "backoffLimitPerIndex");

        why = moved(done) && json_get(spec, "completions") ? indexes_mistake(c->a, text_at(done), max, &n) : NULL;
        if (why)
                check_invalid(c, done, "error parsing completedIndexes: %s", why);
        why = moved(failed) && json_get(spec, "completions") && limited ? indexes_mistake(c->a, text_at(failed), max, &n) : NULL;
        if (why)
                check_invalid(c, failed, "error parsing failedIndexes: %s", why);
        if (moved(done) && *text_at(done) && !streq(json_get_string(spec, "completionMode"), "Indexed"))
                check_invalid(c, done, "cannot set non-empty completedIndexes when non-indexed completion mode");
        if (moved(failed) && at_set(failed) && !limited)
                check_invalid(c, failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
        both = moved(done) || moved(failed) ? common_index(c->a, text_at(done), text_at(failed), max) : -1;
        if (both >= 0 && json_get(spec, "completions"))
                check_invalid(c, failed, "failedIndexes and completedIndexes overlap at index: %lld", (long long)both);
}

/* A finished job says how it ended, has no pods left, and was decided to end that way before. */
void check_job_status(struct check *c, const struct at *status)
{
        const struct json *spec = json_get(c->obj, "spec"), *before = json_get(c->old, "status");
        const struct at *ready = at_field(c, status, "ready"), *active = at_field(c, status, "active");
        const struct at *terminating = at_field(c, status, "terminating"), *failed = at_field(c, status, "failed");
        const struct at *succeeded = at_field(c, status, "succeeded"), *end = at_field(c, status, "completionTime");
        const struct at *start = at_field(c, status, "startTime");
        struct job_state is = state_of(status->j), was = state_of(before);
        bool finished = is.complete || is.failed, finished_moved = finished != (was.complete || was.failed);
        bool complete_moved = is.complete != was.complete, failed_moved = is.failed != was.failed;
        bool target_moved = is.target != was.target;

        bad_conditions(c, status, (complete_moved || failed_moved) && is.complete && is.failed,
                       "cannot set Complete=True and Failed=true conditions");
        bad_conditions(c, status, (complete_moved || target_moved) && is.complete && is.target,
                       "cannot set Complete=True and FailureTarget=true conditions");
        check_job_times(c, status, &is, complete_moved);
        bad_conditions(c, status, failed_moved && is.failed && !is.target,
                       "cannot set Failed=True condition without the FailureTarget=true condition");
        bad_conditions(c, status, complete_moved && is.complete && !is.met,
                       "cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
        check_finished(c, status, finished, finished_moved);
        check_indexes(c, status);
        if ((finished_moved || moved(terminating)) && finished && json_get_int(status->j, "terminating", 0) > 0)
                check_invalid(c, terminating, "terminating>0 is invalid for finished job");
        if ((moved(ready) || moved(active)) && at_set(ready) && json_get_int(status->j, "ready", 0) > json_get_int(status->j, "active", 0))
                check_invalid(c, ready, "cannot set more ready pods than active");
        bad_conditions(c, status, is.met && is.failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
        bad_conditions(c, status, is.met && is.target, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
        bad_conditions(c, status, json_get(spec, "successPolicy") && !is.met && is.complete,
                       "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");

        bad_conditions(c, status, was.complete && !is.complete, "cannot disable the terminal Complete=True condition");
        bad_conditions(c, status, was.failed && !is.failed, "cannot disable the terminal Failed=True condition");
        bad_conditions(c, status, was.target && !is.target, "cannot disable the terminal FailureTarget=True condition");
        if (json_get_int(status->j, "failed", 0) < json_get_int(before, "failed", 0))
                check_invalid(c, failed, "cannot decrease the failed counter");
        /* elastic ones may be made smaller */
        if ((!streq(json_get_string(spec, "completionMode"), "Indexed") ||
             !json_equal(json_get(spec, "completions"), json_get(spec, "parallelism"))) &&
            json_get_int(status->j, "succeeded", 0) < json_get_int(before, "succeeded", 0))
                check_invalid(c, succeeded, "cannot decrease the succeeded counter");
        if (at_set(end) && end->old && !json_equal(end->j, end->old))
                check_invalid(c, end, ERR_IMMUTABLE);
        if (start->old && !json_equal(start->j, start->old) && !json_get_bool(spec, "suspend", false))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, start), start->j,
                                "field is immutable for unsuspended job once set");
        bad_conditions(c, status, was.met && !is.met, "cannot disable the SuccessCriteriaMet=True condition");
        bad_conditions(c, status, was.complete && !was.met && is.met,
                       "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
}

static void drop_resources(struct json *template)
{
        json_foreach_item(json_path(template, "spec.containers"), k)
                json_del(k, "resources");
        json_foreach_item(json_path(template, "spec.initContainers"), k)
                json_del(k, "resources");
}

static void drop_node_affinity(struct json *template)
{
        json_path_del(template, "spec.affinity.nodeAffinity");
        if (!json_len(json_path(template, "spec.affinity")))
                json_path_del(template, "spec.affinity");
}

/* Where the pods of a suspended job that never ran may go, and what they get there, may change; nothing else of a template. */
void check_job_template_unchanged(struct check *c, const struct at *at)
{
        static const char *const directives[] = { "spec.nodeSelector", "spec.tolerations", "spec.schedulingGates", "metadata.labels",
                                                  "metadata.annotations" };
        bool suspended = json_path_bool(c->old, "spec.suspend", false);
        bool open = suspended && (!json_path(c->old, "status.startTime") || condition_true(json_get(c->old, "status"), "Suspended"));
        struct json *x = json_clone(c->a, at->j), *y = at->old ? json_clone(c->a, at->old) : json_new_object(c->a);
        struct json *sides[] = { x, y };

        for (size_t k = 0; open && k < ARRAY_SIZE(sides); k++) {
                for (size_t i = 0; i < ARRAY_SIZE(directives); i++)
                        json_path_del(sides[k], directives[i]);
                drop_node_affinity(sides[k]);
                drop_resources(sides[k]);
        }
        if (open && !json_equal(json_get(x, "spec"), json_get(y, "spec")))
                invalid_go(c, at_field(c, at, "spec"), ERR_IMMUTABLE);
        else if (!open && !json_equal(x, y))
                invalid_go(c, at, ERR_IMMUTABLE);
}

/* --- cron --- */

void check_cron_job_name(struct check *c, const struct at *at)
{
        if (!c->old && strlen(text_at(at)) > 52)
                check_invalid(c, at, "must be no more than 52 characters");
}

static const struct {
        const char *name;
        int min, max;
        const char *const *words;
} cron_fields[] = {
        { "minute", 0, 59, NULL },
        { "hour", 0, 23, NULL },
        { "day of month", 1, 31, NULL },
        { "month", 1, 12, (const char *const[]){ "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL } },
        { "day of week", 0, 6, (const char *const[]){ "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL } },
};

static bool cron_integer(const char *s, long *ret)
{
        const char *digits = *s == '+' || *s == '-' ? s + 1 : s;
        char *end;

        if (!isdigit((unsigned char)*digits))
                return false;
        *ret = strtol(s, &end, 10);
        return !*end;
}

static bool cron_number(const char *s, size_t field, long *ret)
{
        for (size_t i = 0; cron_fields[field].words && cron_fields[field].words[i]; i++)
                if (strcasecmp(s, cron_fields[field].words[i]) == 0) {
                        *ret = (long)i + cron_fields[field].min;
                        return true;
                }
        return cron_integer(s, ret);
}

static const char *no_number(struct arena *a, const char *text)
{
        return arena_printf(a, "failed to parse int from %s: strconv.Atoi: parsing \"%s\": invalid syntax", text, text);
}

/* One of a field's comma-separated parts: `*`, `a`, `a-b`, each with `/step`. NULL: fine. */
static const char *cron_part(struct arena *a, const char *part, size_t field)
{
        char *range = arena_strdup(a, part), *slash = strchr(range, '/'), *dash;
        long from = cron_fields[field].min, to = cron_fields[field].max, step = 1;
        bool star;

        if (slash)
                *slash++ = '\0';
        dash = strchr(range, '-');
        if (dash)
                *dash++ = '\0';
        star = streq(range, "*") || streq(range, "?");
        if (!star) {
                if (!cron_number(range, field, &from))
                        return no_number(a, range);
                to = from;
                if (dash && strchr(dash, '-'))
                        return arena_printf(a, "too many hyphens: %s", part);
                if (dash && !cron_number(dash, field, &to))
                        return no_number(a, dash);
        }
        if (slash) {
                if (strchr(slash, '/'))
                        return arena_printf(a, "too many slashes: %s", part);
                if (!cron_integer(slash, &step))
                        return no_number(a, slash);
                if (step < 0)
                        return arena_printf(a, "negative number (%ld) not allowed: %s", step, slash);
                if (!dash)
                        to = cron_fields[field].max;
        }
        if (from < cron_fields[field].min)
                return arena_printf(a, "beginning of range (%ld) below minimum (%d): %s", from, cron_fields[field].min, part);
        if (to > cron_fields[field].max)
                return arena_printf(a, "end of range (%ld) above maximum (%d): %s", to, cron_fields[field].max, part);
        if (from > to)
                return arena_printf(a, "beginning of range (%ld) beyond end of range (%ld): %s", from, to, part);
        return step == 0 ? arena_printf(a, "step of range should be a positive number: %s", part) : NULL;
}

/* Go's durations: "1h30m", "-1.5s". NULL: fine. */
static const char *duration_mistake(struct arena *a, const char *text)
{
        static const char *const units[] = { "ns", "us", "\xc2\xb5s", "\xce\xbcs", "ms", "s", "m", "h", NULL };
        const char *p = text + (*text == '-' || *text == '+');

        if (streq(p, "0"))
                return NULL;
        if (!*p)
                return arena_printf(a, "time: invalid duration \"%s\"", text);
        while (*p) {
                size_t digits = strspn(p, "0123456789."), n;
                const char *const *u = units;

                if (!digits || streq(p, "."))
                        return arena_printf(a, "time: invalid duration \"%s\"", text);
                p += digits;
                n = strcspn(p, "0123456789.");
                if (!n)
                        return arena_printf(a, "time: missing unit in duration \"%s\"", text);
                while (*u && (strlen(*u) != n || strncmp(*u, p, n) != 0))
                        u++;
                if (!*u)
                        return arena_printf(a, "time: unknown unit \"%.*s\" in duration \"%s\"", (int)n, p, text);
                p += n;
        }
        return NULL;
}

/* What Go says of a place in the time zone database; NULL: it is there (or there is no database). */
static const char *zone_mistake(struct arena *a, const char *name)
{
        struct stat st;

        if (!*name || streq(name, "UTC") || streq(name, "Local"))
                return NULL;
        if (strstr(name, "..") || *name == '/' || *name == '\\')
                return "time: invalid location name";
        if (stat("/usr/share/zoneinfo", &st) == 0 &&
            (stat(arena_printf(a, "/usr/share/zoneinfo/%s", name), &st) != 0 || !S_ISREG(st.st_mode)))
                return arena_printf(a, "unknown time zone %s", name);
        return NULL;
}

static const char *cron_mistake(struct arena *a, const char *s)
{
        static const char *const named[] = { "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly" };
        char *copy = arena_strdup(a, s), *fields[64], *save = NULL;
        size_t n = 0;

        if ((str_has_prefix(s, "TZ=") || str_has_prefix(s, "CRON_TZ=")) && strchr(s, ' ')) {
                const char *zone = strchr(s, '=') + 1, *why;

                zone = arena_strndup(a, zone, strcspn(zone, " "));
                why = zone_mistake(a, zone);
                if (why)
                        return arena_printf(a, "provided bad location %s: %s", zone, why);
                s = strchr(s, ' ');
                s += strspn(s, " \t\n");
                copy = arena_strdup(a, s);
        }
        if (*s == '@') {
                for (size_t i = 0; i < ARRAY_SIZE(named); i++)
                        if (streq(s, named[i]))
                                return NULL;
                if (str_has_prefix(s, "@every ")) {
                        const char *why = duration_mistake(a, s + strlen("@every "));

                        return why ? arena_printf(a, "failed to parse duration %s: %s", s, why) : NULL;
                }
                return arena_printf(a, "unrecognized descriptor: %s", s);
        }
        for (char *p = strtok_r(copy, " \t\n", &save); p && n < ARRAY_SIZE(fields); p = strtok_r(NULL, " \t\n", &save))
                fields[n++] = p;
        if (n != 5) {
                _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

                for (size_t i = 0; i < n; i++)
                        strbuf_printf(&b, "%s%s", i ? " " : "", fields[i]);
                return arena_printf(a, "expected exactly 5 fields, found %zu: [%s]", n, strbuf_str(&b));
        }
        for (size_t i = 0; i < 5; i++) {
                save = NULL;
                for (char *p = strtok_r(fields[i], ",", &save); p; p = strtok_r(NULL, ",", &save)) {
                        const char *why = cron_part(a, p, i);
                        if (why)
                                return why;
                }
        }
        return NULL;
}

void check_cron_schedule(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *why;

        why = cron_mistake(c->a, s);
        if (why)
                check_invalid(c, at, "%s", why);
        if (!strstr(s, "TZ"))
                return;
        if (!strstr(json_string(at->old) ?: "", "TZ"))
                check_invalid(c, at, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
        else if (json_get(at->up->j, "timeZone"))
                check_invalid(c, at, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
}

void check_time_zone(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *why;

        if (!at_set(at))
                return;
        if (!*s) {
                check_invalid(c, at, "timeZone must be nil or non-empty string");
                return;
        }
        for (const char *part = s; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL) {
                size_t n = strcspn(part, "/");
                bool dots = (n == 1 || n == 2) && strncmp(part, "..", n) == 0;

                if (n && n <= ZONE_PART_MAX && !dots && *part != '-' && strspn(part, ZONE_CHARACTERS) >= n)
                        continue;
                check_invalid(c, at, "unknown time zone %s", s);
                return;
        }
        if (strcasecmp(s, "local") == 0)
                check_invalid(c, at, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
        why = zone_mistake(c->a, s);
        if (why)
                check_invalid(c, at, "%s", why);
}
