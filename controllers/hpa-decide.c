/* The arithmetic of autoscaling: from what pods use to how many there should be.
 *
 * Metrics of type Resource are known (utilization and average value); for others there is no source, and the status
 * says so. Pods that are not ready yet, or of which nothing is known, are counted so that they make a change smaller,
 * never larger.
 */
#include <math.h>

#include "hpa.h"

#define TOLERANCE 0.1
#define INITIALIZATION_NS (300 * NS_PER_SEC) /* CPU use of a pod that just started says little */
#define INITIAL_READINESS_NS (30 * NS_PER_SEC)

struct round {
        struct arena *a;
        const struct hpa_input *in;
        struct hpa_output *out;
        struct json *conditions, *metrics;
        int64_t current, min, max;
};

static void set_condition(struct round *r, const char *type, const char *status, const char *reason, const char *message)
{
        condition_set(r->a, r->conditions, type, status, reason, message, r->in->now);
}

static void add_event(struct hpa_output *out, const char *type, const char *reason, const char *message)
{
        if (out->n_events < ARRAY_SIZE(out->events)) {
                out->events[out->n_events].type = type;
                out->events[out->n_events].reason = reason;
                out->events[out->n_events++].message = message;
        }
}

/* --- what pods use --- */

struct usage {
        int64_t used, requested; /* milli-units */
        size_t n;                /* pods that count */
        size_t ready, unready, missing;
        const char *error;
};

static const struct json *metrics_of(const struct round *r, const struct object *pod)
{
        json_foreach_item(json_get(r->in->metrics, "items"), it) {
                if (streq(object_name(it), pod->name))
                        return it;
        }
        return NULL;
}

static int64_t used_by(const struct json *metrics, const char *resource)
{
        int64_t sum = 0;

        json_foreach_item(json_get(metrics, "containers"), c) {
                const char *text = json_get_string(json_get(c, "usage"), resource);
                struct quantity q;

                if (text && quantity_parse(text, &q) == 0)
                        sum += quantity_milli(&q);
        }
        return sum;
}

static int64_t requested_by(struct round *r, const struct object *pod, const char *resource, struct usage *u)
{
        int64_t sum = 0;

        json_foreach_item(json_path(pod->json, "spec.containers"), c) {
                const char *text = json_get_string(json_path(c, "resources.requests"), resource);
                struct quantity q;

                if (!text || quantity_parse(text, &q) < 0) {
                        u->error = arena_printf(r->a, "missing request for %s in container %s of Pod %s", resource,
                                                json_get_string(c, "name"), pod->name);
                        return 0;
                }
                sum += quantity_milli(&q);
        }
        return sum;
}

static bool counts_as_unready(const struct round *r, const struct object *pod, const char *resource)
{
        const struct json *ready = pod_condition(pod->json, "Ready");
        int64_t started = object_time(pod->json, "status.startTime"), since = object_time(ready, "lastTransitionTime");

        if (streq(pod_phase(pod->json), "Pending"))
                return true;
        if (!streq(resource, "cpu"))
                return false;
        if (!started || !ready)
                return true;
        if (started + INITIALIZATION_NS > r->in->now)
                return !pod_is_ready(pod->json);
        return !pod_is_ready(pod->json) && since < started + INITIAL_READINESS_NS;
}

/* PERCENT: what unready or unknown pods are taken to use of their requests; -1: they are left out. */
static struct usage add_up(struct round *r, const char *resource, bool with_requests, int64_t unready_percent,
                           int64_t missing_percent, int64_t target_value)
{
        struct usage u = { 0 };

        for (size_t i = 0; i < r->in->pods.n && !u.error; i++) {
                const struct object *pod = r->in->pods.items[i];
                const struct json *m = metrics_of(r, pod);
                int64_t requested, percent;

                if (object_is_deleting(pod->json) || pod_is_terminal(pod->json))
                        continue;
                requested = with_requests ? requested_by(r, pod, resource, &u) : target_value;
                if (counts_as_unready(r, pod, resource)) {
                        u.unready++;
                        percent = unready_percent;
                } else if (!m) {
                        u.missing++;
                        percent = missing_percent;
                } else {
                        u.ready++;
                        u.used += used_by(m, resource);
                        u.requested += requested;
                        u.n++;
                        continue;
                }
                if (percent >= 0) {
                        u.used += requested * percent / 100;
                        u.requested += requested;
                        u.n++;
                }
        }
        return u;
}

static bool is_within_tolerance(double ratio)
{
        return fabs(ratio - 1.0) <= TOLERANCE;
}

struct target {
        const char *resource;
        int64_t utilization; /* percent of the requests; 0: a value */
        int64_t value;       /* milli-units a pod */
};

static double ratio_of(const struct target *t, const struct usage *u)
{
        if (t->utilization)
                return u->requested ? (double)u->used * 100 / (double)u->requested / (double)t->utilization : 1;
        return u->n ? (double)u->used / (double)u->n / (double)t->value : 1;
}

/* How many replicas this metric asks for; *ret is what was measured. -1 with u->error. */
static int64_t replicas_for(struct round *r, const struct target *t, struct usage *ret)
{
        struct usage u = add_up(r, t->resource, t->utilization > 0, -1, -1, t->value), all;
        double ratio = ratio_of(t, &u), cautious;
        bool up;
        int64_t wanted;

        if (!u.error && !u.n)
                u.error = "did not receive metrics for targeted pods (pods might be unready)";
        *ret = u;
        if (u.error)
                return -1;
        up = ratio > 1;
        if (!(u.unready && up) && !u.missing)
                return is_within_tolerance(ratio) ? r->current : (int64_t)ceil(ratio * (double)u.ready);
        all = add_up(r, t->resource, t->utilization > 0, up ? 0 : -1, up ? 0 : MAX(t->utilization, INT64_C(100)), t->value);
        cautious = ratio_of(t, &all);
        if (is_within_tolerance(cautious) || (up && cautious < 1) || (!up && cautious > 1))
                return r->current;
        wanted = (int64_t)ceil(cautious * (double)all.n);
        return (up && wanted < r->current) || (!up && wanted > r->current) ? r->current : wanted;
}

/* --- metrics --- */

static void add_status(struct round *r, const struct target *t, const struct usage *u)
{
        struct json *m = json_new_object(r->a), *resource, *current;
        struct quantity q = quantity_from_milli(u->n ? u->used / (int64_t)u->n : 0, QUANTITY_DECIMAL_SI);
        char buf[QUANTITY_BUF];

        json_set_string(r->a, m, "type", "Resource");
        resource = json_ensure_object(r->a, m, "resource");
        json_set_string(r->a, resource, "name", t->resource);
        current = json_ensure_object(r->a, resource, "current");
        if (t->utilization)
                json_set_int(r->a, current, "averageUtilization", u->requested ? u->used * 100 / u->requested : 0);
        json_set_string(r->a, current, "averageValue", quantity_format(&q, buf));
        json_append(r->a, r->metrics, m);
}

static int64_t fail_metric(struct round *r, const char *reason, const char *what, const char **ret_error)
{
        struct json *empty = json_new_object(r->a);

        json_set_string(r->a, empty, "type", "");
        json_append(r->a, r->metrics, empty);
        set_condition(r, "ScalingActive", "False", reason, arena_printf(r->a, "the HPA was unable to compute the replica count: %s", what));
        add_event(r->out, "Warning", reason, what);
        *ret_error = what;
        return -1;
}

static int64_t judge_metric(struct round *r, const struct json *m, const char **ret_name, const char **ret_error)
{
        const struct json *spec = json_get(m, "resource");
        struct target t = { .resource = json_get_string(spec, "name"),
                            .utilization = json_path_int(spec, "target.averageUtilization", 0) };
        const char *value = json_path_string(spec, "target.averageValue"), *what;
        const char *type = json_get_string(m, "type");
        struct usage u = { 0 };
        struct quantity q;
        int64_t wanted;

        if (!streq(type, "Resource"))
                return fail_metric(r, "InvalidMetricSourceType",
                                   arena_printf(r->a, "there is no source for metrics of type %s", type), ret_error);
        if (value && quantity_parse(value, &q) == 0)
                t.value = quantity_milli(&q);
        what = arena_printf(r->a, "failed to get %s %s", t.resource, t.utilization ? "utilization" : "usage");
        if (!t.utilization && t.value <= 0)
                return fail_metric(r, "FailedGetResourceMetric", arena_printf(r->a, "%s: the target says neither", what), ret_error);
        if (!r->in->metrics)
                return fail_metric(r, "FailedGetResourceMetric",
                                   arena_printf(r->a, "%s: unable to get metrics for resource %s: unable to fetch metrics from "
                                                      "resource metrics API: %s", what, t.resource, r->in->metrics_error), ret_error);
        wanted = replicas_for(r, &t, &u);
        if (wanted < 0)
                return fail_metric(r, "FailedGetResourceMetric", arena_printf(r->a, "%s: %s", what, u.error), ret_error);
        *ret_name = arena_printf(r->a, "%s resource%s", t.resource, t.utilization ? " utilization (percentage of request)" : "");
        add_status(r, &t, &u);
        return wanted;
}

/* The largest that any metric asks for; -1: none can be judged, or one cannot and the rest ask for less. */
static int64_t judge_metrics(struct round *r, const char **ret_name)
{
        const struct json *metrics = json_path(r->in->hpa, "spec.metrics");
        const char *first = NULL, *first_resource = NULL;
        int64_t most = -1, invalid = 0;

        json_foreach_item(metrics, m) {
                const char *name = NULL, *error = NULL;
                int64_t wanted = judge_metric(r, m, &name, &error);

                if (wanted < 0) {
                        invalid++;
                        if (!first) {
                                first = error;
                                first_resource = json_path_string(m, "resource.name");
                        }
                } else if (wanted > most) {
                        most = wanted;
                        *ret_name = name;
                }
        }
        if (invalid && (most < 0 || most < r->current)) {
                const char *prefix = first_resource ? arena_printf(r->a, "failed to get %s resource metric value: ", first_resource) : "";

                add_event(r->out, "Warning", "FailedComputeMetricsReplicas",
                          arena_printf(r->a, "invalid metrics (%lld invalid out of %zu), first error is: %s%s", (long long)invalid,
                                       json_len(metrics), prefix, first));
                return -1;
        }
        if (most >= 0 && !invalid)
                set_condition(r, "ScalingActive", "True", "ValidMetricFound",
                              arena_printf(r->a, "the HPA was able to successfully calculate a replica count from %s", *ret_name));
        return most;
}

/* --- how fast --- */

static int64_t window_of(const struct round *r, const char *direction, int64_t otherwise)
{
        return json_path_int(r->in->hpa, arena_printf(r->a, "spec.behavior.%s.stabilizationWindowSeconds", direction), otherwise) *
               NS_PER_SEC;
}

/* Within the window down, the highest recommendation holds; within the one up, the lowest. */
static int64_t stabilize(struct round *r, int64_t wanted)
{
        struct hpa_memory *m = r->in->memory;
        int64_t up = wanted, down = wanted, from_up = r->in->now - window_of(r, "scaleUp", 0), from_down, out = r->current;

        from_down = r->in->now - window_of(r, "scaleDown", 300);
        m->recommended[m->n_recommended % HPA_RECOMMENDATIONS].at = r->in->now;
        m->recommended[m->n_recommended++ % HPA_RECOMMENDATIONS].replicas = wanted;
        for (size_t i = 0; i < MIN(m->n_recommended, (size_t)HPA_RECOMMENDATIONS); i++) {
                if (m->recommended[i].at > from_up)
                        up = MIN(up, m->recommended[i].replicas);
                if (m->recommended[i].at > from_down)
                        down = MAX(down, m->recommended[i].replicas);
        }
        if (out < up)
                out = up;
        if (out > down)
                out = down;
        if (out != wanted)
                set_condition(r, "AbleToScale", "True", wanted < out ? "ScaleDownStabilized" : "ScaleUpStabilized",
                              wanted < out ? "recent recommendations were higher than current one, applying the highest recent recommendation" :
                                             "recent recommendations were lower than current one, applying the lowest recent recommendation");
        else
                set_condition(r, "AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size");
        return out;
}

/* How many replicas there were PERIOD ago, as far as our own changes tell. */
static int64_t replicas_before(const struct round *r, int64_t period)
{
        const struct hpa_memory *m = r->in->memory;
        int64_t n = r->current;

        for (size_t i = 0; i < MIN(m->n_changed, (size_t)HPA_RECOMMENDATIONS); i++)
                if (m->changed[i].at > r->in->now - period)
                        n -= m->changed[i].replicas;
        return n;
}

/* The furthest that the policies of DIRECTION let it go. */
static int64_t limit_of(struct round *r, const char *direction, bool up)
{
        const struct json *rules = json_path(r->in->hpa, arena_printf(r->a, "spec.behavior.%s", direction));
        const struct json *policies = json_get(rules, "policies");
        const char *select = json_get_string(rules, "selectPolicy");
        bool widest = !streq(select, "Min");
        int64_t best = -1;

        if (streq(select, "Disabled"))
                return r->current;
        if (!json_len(policies)) { /* up: twice as many or four more in 15 s; down: all */
                int64_t before = replicas_before(r, 15 * NS_PER_SEC);

                return up ? MAX(before * 2, before + 4) : 0;
        }
        json_foreach_item(policies, p) {
                int64_t before = replicas_before(r, json_get_int(p, "periodSeconds", 15) * NS_PER_SEC), to;
                int64_t value = json_get_int(p, "value", 0);

                if (streq(json_get_string(p, "type"), "Pods"))
                        to = up ? before + value : before - value;
                else
                        to = up ? (int64_t)ceil((double)before * (1 + (double)value / 100)) :
                                  (int64_t)((double)before * (1 - (double)value / 100));
                if (best < 0)
                        best = to;
                else
                        best = up == widest ? MAX(best, to) : MIN(best, to);
        }
        return MAX(best, INT64_C(0));
}

static int64_t limit(struct round *r, int64_t wanted)
{
        int64_t most = MIN(r->max, MAX(limit_of(r, "scaleUp", true), r->current));
        int64_t least = MAX(r->min, MIN(limit_of(r, "scaleDown", false), r->current));

        if (wanted > most && most == r->max)
                set_condition(r, "ScalingLimited", "True", "TooManyReplicas",
                              "the desired replica count is more than the maximum replica count");
        else if (wanted > most)
                set_condition(r, "ScalingLimited", "True", "ScaleUpLimit",
                              "the desired replica count is increasing faster than the maximum scale rate");
        else if (wanted < least && least == r->min)
                set_condition(r, "ScalingLimited", "True", "TooFewReplicas",
                              "the desired replica count is less than the minimum replica count");
        else if (wanted < least)
                set_condition(r, "ScalingLimited", "True", "ScaleDownLimit",
                              "the desired replica count is decreasing faster than the maximum scale rate");
        else
                set_condition(r, "ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range");
        return MAX(MIN(wanted, most), least);
}

/* --- the round --- */

static void finish(struct round *r, int64_t desired)
{
        json_set_int(r->a, r->out->status, "currentReplicas", r->current);
        json_set_int(r->a, r->out->status, "desiredReplicas", desired);
        if (json_len(r->metrics))
                json_set(r->a, r->out->status, "currentMetrics", r->metrics);
        else
                json_set(r->a, r->out->status, "currentMetrics", json_new_null(r->a));
}

static void follow_metrics(struct round *r)
{
        const char *name = "";
        int64_t wanted = judge_metrics(r, &name), to;

        if (wanted < 0) {
                finish(r, json_get_int(r->out->status, "desiredReplicas", 0));
                return;
        }
        to = limit(r, stabilize(r, wanted));
        finish(r, to);
        if (to == r->current)
                return;
        r->out->replicas = to;
        r->out->reason = to > r->current ? arena_printf(r->a, "%s above target", name) : "All metrics below target";
}

void hpa_decide(struct arena *a, const struct hpa_input *in, struct hpa_output *ret)
{
        struct round r = { .a = a, .in = in, .out = ret };
        const struct json *status = json_get(in->hpa, "status");

        *ret = (struct hpa_output){ .replicas = -1 };
        ret->status = status ? json_clone(a, status) : json_new_object(a);
        r.conditions = json_ensure_array(a, ret->status, "conditions");
        r.metrics = json_new_array(a);
        if (!in->scale) {
                set_condition(&r, "AbleToScale", "False", "FailedGetScale",
                              arena_printf(a, "the HPA controller was unable to get the target's current scale: %s", in->scale_error));
                add_event(ret, "Warning", "FailedGetScale", in->scale_error);
                return;
        }
        r.current = json_path_int(in->scale, "spec.replicas", 0);
        r.min = json_path_int(in->hpa, "spec.minReplicas", 1);
        r.max = json_path_int(in->hpa, "spec.maxReplicas", 1);
        set_condition(&r, "AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale");
        if (r.current == 0 && r.min != 0) {
                set_condition(&r, "ScalingActive", "False", "ScalingDisabled",
                              "scaling is disabled since the replica count of the target is zero");
                finish(&r, 0);
        } else if (r.current > r.max || r.current < r.min) {
                ret->replicas = r.current > r.max ? r.max : r.min;
                ret->reason = r.current > r.max ? "Current number of replicas above Spec.MaxReplicas" :
                                                  "Current number of replicas below Spec.MinReplicas";
                finish(&r, ret->replicas);
        } else {
                follow_metrics(&r);
        }
}

void hpa_rescaled(struct arena *a, const struct hpa_input *in, const char *error, struct hpa_output *out)
{
        struct json *conditions = json_ensure_array(a, out->status, "conditions");
        struct hpa_memory *m = in->memory;
        char now[TIME_BUF];

        if (error) {
                condition_set(a, conditions, "AbleToScale", "False", "FailedUpdateScale",
                              arena_printf(a, "the HPA controller was unable to update the target scale: %s", error), in->now);
                add_event(out, "Warning", "FailedRescale",
                          arena_printf(a, "New size: %lld; reason: %s; error: %s", (long long)out->replicas, out->reason, error));
                json_set_int(a, out->status, "desiredReplicas", json_path_int(in->scale, "spec.replicas", 0));
                return;
        }
        condition_set(a, conditions, "AbleToScale", "True", "SucceededRescale",
                      arena_printf(a, "the HPA controller was able to update the target scale to %lld", (long long)out->replicas),
                      in->now);
        add_event(out, "Normal", "SuccessfulRescale", arena_printf(a, "New size: %lld; reason: %s", (long long)out->replicas, out->reason));
        json_set_string(a, out->status, "lastScaleTime", time_format(in->now, now));
        m->changed[m->n_changed % HPA_RECOMMENDATIONS].at = in->now;
        m->changed[m->n_changed++ % HPA_RECOMMENDATIONS].replicas = out->replicas - json_path_int(in->scale, "spec.replicas", 0);
}
