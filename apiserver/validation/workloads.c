/* What rules about workloads, schedules and scaling cannot say. */
#include "metadata.h"

#include <ctype.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../lib/meta/quantity.h"
#include "../../lib/meta/selector.h"
#include "functions.h"

static const char *text_at(const struct at *at)
{
        return json_string(at->j) ? json_string(at->j) : "";
}

static void invalid_go(struct check *c, const struct at *at, const char *detail)
{
        field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at), "%s", detail);
}

static long leading_number(const struct at *at)
{
        const struct json *j = at->j;

        return json_is_string(j) || json_is_number(j) ? strtol(j->str, NULL, 10) : 0;
}

/* --- numbers and shares --- */

void check_config_key(struct check *c, const struct at *at)
{
        name_validate_string(c->errs, NAME_CONFIG_KEY, at_path(c, at), at->name);
}

bool cond_was_immutable(struct check *c, const struct at *at)
{
        unused(at);
        return json_get_bool(c->old, "immutable", false);
}

bool cond_over_two(struct check *c, const struct at *at)
{
        unused(c);
        return json_len(at->j) > 2;
}

void check_service_ports(struct check *c, const struct at *at)
{
        const struct json *spec = at->up->j;

        if (!json_len(at->j) && !streq(json_get_string(spec, "clusterIP"), "None") &&
            !streq(json_get_string(spec, "type"), "ExternalName"))
                check_required(c, at, NULL);
}

bool cond_several_ports(struct check *c, const struct at *at)
{
        unused(c);
        return json_len(at->up->up->j) > 1;
}

bool cond_deadline_too_soon(struct check *c, const struct at *at)
{
        int64_t seconds;

        unused(c);
        return json_to_int(at->j, &seconds) == 0 && seconds <= json_get_int(at->up->j, "minReadySeconds", 0);
}

void check_int_or_percent(struct check *c, const struct at *at)
{
        int64_t n;

        if (json_is_string(at->j))
                check_name(c, at, NAME_PERCENT);
        else if (json_to_int(at->j, &n) == 0 && n < 0)
                check_invalid(c, at, "must be greater than or equal to 0");
}

static long amount(const struct at *at)
{
        const char *text = json_is_string(at->j) || json_is_number(at->j) ? at->j->str : "1";

        return strtol(text, NULL, 10);
}

void check_rolling_update(struct check *c, const struct at *at)
{
        const struct at *unavailable = at_field(c, at, "maxUnavailable"), *surge = at_field(c, at, "maxSurge");

        if (at_set(unavailable) && at_set(surge) && amount(unavailable) == 0 && amount(surge) == 0)
                check_invalid(c, unavailable, "may not be 0 when `maxSurge` is 0");
        if (json_is_string(unavailable->j) && amount(unavailable) > 100)
                check_invalid(c, unavailable, "must not be greater than 100%%");
}

/* --- strategies --- */

void check_set_strategy(struct check *c, const struct at *at)
{
        const struct at *type = at_field(c, at, "type"), *rolling = at_field(c, at, "rollingUpdate");
        const struct at *partition = at_field(c, rolling, "partition");
        int64_t n;

        if (!*text_at(type)) {
                check_required(c, at, "");
        } else if (streq(text_at(type), "OnDelete")) {
                if (at_set(rolling))
                        invalid_go(c, rolling, "only allowed for updateStrategy 'RollingUpdate'");
        } else if (!streq(text_at(type), "RollingUpdate")) {
                invalid_go(c, at, "must be 'RollingUpdate' or 'OnDelete'");
        } else if (at_set(rolling)) {
                if (json_to_int(partition->j, &n) == 0 && n < 0)
                        check_invalid(c, partition, "must be greater than or equal to 0");
        }
}

void check_daemon_strategy(struct check *c, const struct at *at)
{
        static const char *const types[] = { "RollingUpdate", "OnDelete", NULL };
        const struct at *type = at_field(c, at, "type"), *rolling = at_field(c, at, "rollingUpdate");
        const struct at *max = at_field(c, rolling, "maxUnavailable"), *surge = at_field(c, rolling, "maxSurge");

        if (streq(text_at(type), "OnDelete"))
                return;
        if (!streq(text_at(type), "RollingUpdate")) {
                field_error_not_supported(c->errs, at_path(c, at), at->j, types);
                c->errs->list[c->errs->n - 1].value = go_struct(c, at);
                return;
        }
        if (!at_set(rolling)) {
                check_required(c, rolling, "");
                return;
        }
        check_int_or_percent(c, max);
        check_int_or_percent(c, surge);
        if (leading_number(max) != 0 && leading_number(surge) != 0)
                check_invalid(c, surge, "may not be set when maxUnavailable is non-zero");
        if (leading_number(max) == 0 && leading_number(surge) == 0)
                check_required(c, max, "cannot be 0 when maxSurge is 0");
        if (json_is_string(max->j) && leading_number(max) > 100)
                check_invalid(c, max, "must not be greater than 100%%");
}

void check_deployment_strategy(struct check *c, const struct at *at)
{
        static const char *const types[] = { "Recreate", "RollingUpdate", NULL };
        const char *type = text_at(at_field(c, at, "type"));

        if (!*type || streq(type, types[0]) || streq(type, types[1]))
                return;
        field_error_not_supported(c->errs, at_path(c, at), at->j, types);
        c->errs->list[c->errs->n - 1].value = go_struct(c, at);
}

/* --- jobs --- */

/* The selector and labels that a job's creation generated are still there. */
void check_job_generated(struct check *c, const struct at *spec)
{
        static const char *const keys[] = { "controller-uid", "job-name", "batch.kubernetes.io/controller-uid",
                                            "batch.kubernetes.io/job-name" };
        const struct at *selector = at_field(c, spec, "selector"), *template = at_field(c, spec, "template");
        const struct at *labels = at_field(c, template, "metadata.labels");
        const char *uid = json_path_string(c->old, "metadata.uid"), *name = json_path_string(c->old, "metadata.name");

        if (at_set(selector) && !json_get_bool(spec->j, "manualSelector", false)) {
                for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                        const char *want = i % 2 ? name : uid, *is = json_get_string(labels->j, keys[i]);
                        const char *path = arena_printf(c->a, "%s[%s]", at_path(c, labels), keys[i]);

                        if (!is)
                                field_error_add(c->errs, FIELD_REQUIRED, path, NULL, "must be '%s'", want);
                        else if (!streq(is, want))
                                field_error_add(c->errs, FIELD_INVALID, path, labels->j, "must be '%s'", want);
                }
                if (!json_path(selector->j, "matchLabels") ||
                    (!streq(json_get_string(json_get(selector->j, "matchLabels"), keys[0]), uid) &&
                     !streq(json_get_string(json_get(selector->j, "matchLabels"), keys[2]), uid)))
                        check_invalid(c, selector, "`selector` not auto-generated");
        }
}

void check_job_selects(struct check *c, const struct at *spec)
{
        const struct at *selector = at_field(c, spec, "selector");
        const struct at *labels = at_field(c, at_field(c, spec, "template"), "metadata.labels");
        struct selector s = { 0 };

        if (!at_set(selector))
                check_required(c, selector, NULL);
        else if ( selector_from_object(c->a, selector->j, &s, NULL) != 0)
                return;
        if (!at_set(selector) || !selector_matches(&s, json_is_object(labels->j) ? labels->j : NULL))
                check_invalid(c, labels, "`selector` does not match template `labels`");
}

static void check_exit_codes(struct check *c, const struct at *at)
{
        static const char *const operators[] = { "In", "NotIn", NULL };
        const struct at *op = at_field(c, at, "operator"), *values = at_field(c, at, "values");
        int64_t last = INT64_MIN, n;
        bool ordered = true;

        check_enum(c, op, operators);
        if (!json_len(values->j))
                check_invalid(c, values, "at least one value is required");
        json_foreach_item(values->j, v) {
                const struct at *one = at_item(c, values, v_i);

                if (json_to_int(v, &n) != 0)
                        continue;
                if (n == 0 && streq(text_at(op), "In"))
                        check_invalid(c, one, "must not be 0 for the In operator");
                if (n == last)
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, one), v, NULL);
                ordered &= n >= last;
                last = n;
        }
        if (!ordered)
                check_invalid(c, values, "must be ordered");
}

void check_failure_rule(struct check *c, const struct at *at)
{
        static const char *const actions[] = { "Count", "FailIndex", "FailJob", "Ignore", NULL };
        const struct at *action = at_field(c, at, "action"), *codes = at_field(c, at, "onExitCodes");
        const struct at *conditions = at_field(c, at, "onPodConditions");

        if (!*text_at(action))
                check_required(c, action, "");
        else
                check_enum(c, action, actions);
        if (at_set(codes) && json_len(conditions->j))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), NULL,
                                     "specifying both OnExitCodes and OnPodConditions is not supported");
        else if (at_set(codes))
                check_exit_codes(c, codes);
        else if (!json_len(conditions->j))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), NULL,
                                     "specifying one of OnExitCodes and OnPodConditions is required");
}

static bool condition_true(const struct json *status, const char *type)
{
        json_foreach_item(json_get(status, "conditions"), k)
                if (streq(json_get_string(k, "type"), type))
                        return streq(json_get_string(k, "status"), "True");
        return false;
}

/* A finished job says how it ended, has no pods left, and was decided to end that way before. */
void check_job_status(struct check *c, const struct at *at)
{
        const struct at *conditions = at_field(c, at, "conditions"), *start = at_field(c, at, "startTime");
        const struct at *end = at_field(c, at, "completionTime"), *active = at_field(c, at, "active");
        const struct at *ready = at_field(c, at, "ready"), *terminating = at_field(c, at, "terminating");
        bool complete = condition_true(at->j, "Complete"), failed = condition_true(at->j, "Failed");
        bool target = condition_true(at->j, "FailureTarget"), met = condition_true(at->j, "SuccessCriteriaMet");
        const struct {
                bool wrong;
                const char *detail;
        } pairs[] = {
                { complete && failed, "cannot set Complete=True and Failed=true conditions" },
                { complete && target, "cannot set Complete=True and FailureTarget=true conditions" },
                { failed && !target, "cannot set Failed=True condition without the FailureTarget=true condition" },
                { complete && !met, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition" },
                { met && failed, "cannot set Failed=True and SuccessCriteriaMet=true conditions" },
                { met && target, "cannot set SuccessCriteriaMet=true and FailureTarget=true conditions" },
        };
        int64_t running = json_get_int(at->j, "active", 0);

        if (at_set(ready) && json_get_int(at->j, "ready", 0) > running)
                check_invalid(c, ready, "cannot set more ready pods than active");
        if (complete && !at_set(end))
                check_required(c, end, "completionTime is required for Complete jobs");
        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
                if (pairs[i].wrong)
                        field_error_add_text(c->errs, FIELD_INVALID, at_path(c, conditions), NULL, "%s", pairs[i].detail);
        if (at_set(end) && !complete)
                check_invalid(c, end, "cannot set completionTime when there is no Complete=True condition");
        if (!complete && !failed)
                return;
        if (running > 0)
                check_invalid(c, active, "active>0 is invalid for finished job");
        if (json_get_int(at->j, "terminating", 0) > 0)
                check_invalid(c, terminating, "terminating>0 is invalid for finished job");
        if (!at_set(start))
                check_required(c, start, "startTime is required for finished job");
}

void check_success_policy(struct check *c, const struct at *at)
{
        if (at_set(at) && !streq(json_get_string(at->up->j, "completionMode"), "Indexed"))
                invalid_go(c, at, "requires indexed completion mode");
}

/* Scheduling directives of a suspended job that never ran may change; nothing else of a template. */
void check_job_template_unchanged(struct check *c, const struct at *at)
{
        const struct json *job = c->old;
        bool open = json_get_bool(json_get(job, "spec"), "suspend", false) && !json_path(job, "status.startTime");
        struct json *x = json_clone(c->a, at->j), *y = at->old ? json_clone(c->a, at->old) : json_new_object(c->a);
        static const char *const directives[] = { "spec.nodeSelector", "spec.affinity", "spec.tolerations", "spec.schedulingGates",
                                                  "metadata.labels", "metadata.annotations", "spec.containers" };

        for (size_t i = 0; open && i < ARRAY_SIZE(directives); i++) {
                json_path_del(x, directives[i]);
                json_path_del(y, directives[i]);
        }
        if (!json_equal(x, y))
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

static bool cron_number(const char *s, size_t field, long *ret)
{
        char *end;

        for (size_t i = 0; cron_fields[field].words && cron_fields[field].words[i]; i++)
                if (strcasecmp(s, cron_fields[field].words[i]) == 0) {
                        *ret = (long)i + cron_fields[field].min;
                        return true;
                }
        if (!isdigit((unsigned char)*s))
                return false;
        *ret = strtol(s, &end, 10);
        return !*end;
}

/* One of a field's comma-separated parts: `*`, `a`, `a-b`, each with `/step`. NULL: fine. */
static const char *cron_part(struct arena *a, const char *part, size_t field)
{
        char *range = arena_strdup(a, part), *slash = strchr(range, '/'), *dash;
        long from = cron_fields[field].min, to = cron_fields[field].max, step = 1;

        if (slash) {
                *slash++ = '\0';
                if (strchr(slash, '/'))
                        return arena_printf(a, "too many slashes: %s", part);
                if (!isdigit((unsigned char)*slash))
                        return arena_printf(a, "failed to parse int from %s: strconv.Atoi: parsing \"%s\": invalid syntax", slash, slash);
                step = strtol(slash, NULL, 10);
                if (step == 0)
                        return arena_printf(a, "step of range should be a positive number: %s", part);
        }
        if (!streq(range, "*") && !streq(range, "?")) {
                dash = strchr(range, '-');
                if (dash)
                        *dash++ = '\0';
                if (!cron_number(range, field, &from))
                        return arena_printf(a, "failed to parse int from %s: strconv.Atoi: parsing \"%s\": invalid syntax", range, range);
                to = from;
                if (dash && !cron_number(dash, field, &to))
                        return arena_printf(a, "failed to parse int from %s: strconv.Atoi: parsing \"%s\": invalid syntax", dash, dash);
                if (slash && !dash)
                        to = cron_fields[field].max;
        }
        if (from < cron_fields[field].min)
                return arena_printf(a, "beginning of range (%ld) below minimum (%d): %s", from, cron_fields[field].min, part);
        if (to > cron_fields[field].max)
                return arena_printf(a, "end of range (%ld) above maximum (%d): %s", to, cron_fields[field].max, part);
        if (from > to)
                return arena_printf(a, "beginning of range (%ld) beyond end of range (%ld): %s", from, to, part);
        return NULL;
}

static const char *cron_mistake(struct arena *a, const char *s)
{
        static const char *const named[] = { "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly" };
        char *copy = arena_strdup(a, s), *fields[64], *save = NULL;
        size_t n = 0;

        if (*s == '@') {
                for (size_t i = 0; i < ARRAY_SIZE(named); i++)
                        if (streq(s, named[i]))
                                return NULL;
                if (str_has_prefix(s, "@every "))
                        return NULL;
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

        if (strstr(s, "TZ")) {
                if (at->old && json_equal(at->j, at->old))
                        return;
                check_invalid(c, at, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
                return;
        }
        why = cron_mistake(c->a, s);
        if (why)
                check_invalid(c, at, "%s", why);
}

void check_time_zone(struct check *c, const struct at *at)
{
        const char *s = text_at(at);
        struct stat st;

        if (!at_set(at))
                return;
        if (!*s)
                check_invalid(c, at, "timeZone must be nil or non-empty string");
        else if (strcasecmp(s, "local") == 0)
                check_invalid(c, at, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
        else if (strstr(s, "..") || *s == '/' ||
                 (!streq(s, "UTC") && stat("/usr/share/zoneinfo", &st) == 0 &&
                  (stat(arena_printf(c->a, "/usr/share/zoneinfo/%s", s), &st) != 0 || !S_ISREG(st.st_mode))))
                check_invalid(c, at, "unknown time zone %s", s);
}

/* --- scaling --- */

void check_max_replicas(struct check *c, const struct at *at)
{
        int64_t max = 0, min = json_get_int(at->up->j, "minReplicas", 0);

        json_to_int(at->j, &max);
        if (max == 0)
                check_required(c, at, "must be set and greater than 0");
        else if (max < 0)
                check_invalid(c, at, "must be greater than or equal to 1");
        if (json_get(at->up->j, "minReplicas") && max < min)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at), json_new_int(c->a, max),
                                "must be greater than or equal to `minReplicas`");
}

void check_target_version(struct check *c, const struct at *at)
{
        if (!*text_at(at) && !*json_get_string(at->up->j, "kind"))
                check_invalid(c, at, "apiVersion must specify API group");
}

void check_positive(struct check *c, const struct at *at)
{
        struct quantity q;

        if ((json_is_string(at->j) || json_is_number(at->j)) && quantity_parse(at->j->str, &q) == 0 && q.nano <= 0)
                check_invalid(c, at, "must be positive");
}

/* --- small --- */

void check_toleration_once(struct check *c, const struct at *at)
{
        for (size_t i = 0; i < at->index; i++)
                if (json_equal(json_at(at->up->j, i), at->j)) {
                        field_error_add_text(c->errs, FIELD_DUPLICATE, at_path(c, at), go_struct(c, at), NULL);
                        return;
                }
}

void check_service_port_once(struct check *c, const struct at *at)
{
        for (size_t i = 0; i < at->index; i++) {
                const struct json *o = json_at(at->up->j, i);

                if (json_get_int(o, "port", 0) == json_get_int(at->j, "port", 0) &&
                    streq(json_get_string(o, "protocol"), json_get_string(at->j, "protocol"))) {
                        const char *app = json_get_string(at->j, "appProtocol");
                        const char *protocol = json_get_string(at->j, "protocol");

                        /* Only what makes the two the same is shown. */
                        field_error_add_text(c->errs, FIELD_DUPLICATE, at_path(c, at),
                                             arena_printf(c->a,
                                                          "{\"Name\":\"\",\"Protocol\":\"%s\",\"AppProtocol\":%s,\"Port\":%lld,"
                                                          "\"TargetPort\":0,\"NodePort\":0}",
                                                          protocol ? protocol : "", app ? "null" : "null",
                                                          (long long)json_get_int(at->j, "port", 0)),
                                             NULL);
                        return;
                }
        }
}

void check_config_data(struct check *c, const struct at *at)
{
        const struct at *data = at_field(c, at, "data"), *binary = at_field(c, at, "binaryData");
        size_t total = 0;

        json_foreach_member(data->j, m) {
                const struct at *e = at_entry(c, data, m);

                name_validate_string(c->errs, NAME_CONFIG_KEY, at_path(c, e), m->key);
                if (json_get(binary->j, m->key))
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, e), json_new_string(c->a, m->key),
                                        "duplicate of key present in binaryData");
                if (json_is_string(m->value))
                        total += m->value->len;
        }
        json_foreach_member(binary->j, m) {
                name_validate_string(c->errs, NAME_CONFIG_KEY, at_path(c, at_entry(c, binary, m)), m->key);
                if (json_is_string(m->value))
                        total += m->value->len / 4 * 3;
        }
        if (total > 1 << 20)
                field_error_add(c->errs, FIELD_TOO_LONG, "[]", NULL, "may not be more than %d bytes", 1 << 20);
}

/* --- selectors --- */

void check_some_selector(struct check *c, const struct at *at)
{
        if (at_set(at) && !json_len(json_get(at->j, "matchLabels")) && !json_len(json_get(at->j, "matchExpressions")))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "{}", "empty selector is invalid for deployment");
}

/* A replication controller's selector is a plain map. */
void check_map_selects_template(struct check *c, const struct at *at)
{
        const struct at *labels = at_field(c, at, "metadata.labels");

        json_foreach_member(json_get(at->up->j, "selector"), m)
                if (!json_equal(json_getn(labels->j, m->key, m->key_len), m->value)) {
                        check_invalid(c, labels, "`selector` does not match template `labels`");
                        return;
                }
}
