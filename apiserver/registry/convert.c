/* Objects that two API groups or versions show: they are stored in one, and converted here.
 *
 *      events.k8s.io/v1 Event            stored as v1 Event
 *      autoscaling/v1 ...Autoscaler      stored as autoscaling/v2
 *      a custom resource's version       stored as it was written; only apiVersion differs, or a webhook is asked (conversion.h)
 */
#include <ctype.h>

#include "../schema/crd.h"
#include "conversion.h"
#include "internal.h"

/* A member that has another name on the other side, and is moved as it is. */
struct rename {
        const char *core, *events;
};
static const struct rename event_fields[] = {
        { "involvedObject", "regarding" },
        { "message", "note" },
        { "source", "deprecatedSource" },
        { "firstTimestamp", "deprecatedFirstTimestamp" },
        { "lastTimestamp", "deprecatedLastTimestamp" },
        { "count", "deprecatedCount" },
        { "reportingComponent", "reportingController" },
};

/* A copy of OBJ whose members are renamed; values are shared. */
static struct json *convert_event(struct arena *a, const struct resource *to, const struct json *obj, bool to_core)
{
        struct json *out = json_new_object(a);

        json_foreach_member(obj, m) {
                const char *key = m->key;

                for (size_t i = 0; i < ARRAY_SIZE(event_fields); i++) {
                        const struct rename *f = &event_fields[i];

                        if (streq(key, to_core ? f->events : f->core)) {
                                key = to_core ? f->core : f->events;
                                break;
                        }
                }
                json_set(a, out, key, m->value);
        }
        json_set(a, out, "apiVersion", json_new_string(a, to_core ? "v1" : "events.k8s.io/v1"));
        schema_canonicalise(a, to->schema, out);
        return out;
}

/* --- autoscalers --- */

#define METRICS "autoscaling.alpha.kubernetes.io/metrics"
#define CURRENT_METRICS "autoscaling.alpha.kubernetes.io/current-metrics"
#define CONDITIONS "autoscaling.alpha.kubernetes.io/conditions"
#define BEHAVIOR "autoscaling.alpha.kubernetes.io/behavior"

static bool is_cpu_utilization(const struct json *metric, const char *value_at)
{
        return streq(json_get_string(metric, "type"), "Resource") &&
               streq(json_path_string(metric, "resource.name"), "cpu") && json_path(metric, value_at);
}

/* A metric of version 2 in version 1's words, which spread the target's fields over the source, in the order of version 1's
 * structs: annotations hold them as text. A field with `always` is no pointer there. */
static const struct metric_words {
        const char *source;
        bool current; /* of a status */
        const char *v1, *v2;
        bool always;
} metric_words[] = {
        { "object", false, "target", "describedObject", false },
        { "object", false, "metricName", "metric.name", false },
        { "object", false, "targetValue", "target.value", true },
        { "object", false, "selector", "metric.selector", false },
        { "object", false, "averageValue", "target.averageValue", false },
        { "pods", false, "metricName", "metric.name", false },
        { "pods", false, "targetAverageValue", "target.averageValue", true },
        { "pods", false, "selector", "metric.selector", false },
        { "resource", false, "name", "name", false },
        { "resource", false, "targetAverageUtilization", "target.averageUtilization", false },
        { "resource", false, "targetAverageValue", "target.averageValue", false },
        { "containerResource", false, "name", "name", false },
        { "containerResource", false, "targetAverageUtilization", "target.averageUtilization", false },
        { "containerResource", false, "targetAverageValue", "target.averageValue", false },
        { "containerResource", false, "container", "container", false },
        { "external", false, "metricName", "metric.name", false },
        { "external", false, "metricSelector", "metric.selector", false },
        { "external", false, "targetValue", "target.value", false },
        { "external", false, "targetAverageValue", "target.averageValue", false },
        { "object", true, "target", "describedObject", false },
        { "object", true, "metricName", "metric.name", false },
        { "object", true, "currentValue", "current.value", true },
        { "object", true, "selector", "metric.selector", false },
        { "object", true, "averageValue", "current.averageValue", false },
        { "pods", true, "metricName", "metric.name", false },
        { "pods", true, "currentAverageValue", "current.averageValue", true },
        { "pods", true, "selector", "metric.selector", false },
        { "resource", true, "name", "name", false },
        { "resource", true, "currentAverageUtilization", "current.averageUtilization", false },
        { "resource", true, "currentAverageValue", "current.averageValue", true },
        { "containerResource", true, "name", "name", false },
        { "containerResource", true, "currentAverageUtilization", "current.averageUtilization", false },
        { "containerResource", true, "currentAverageValue", "current.averageValue", true },
        { "containerResource", true, "container", "container", false },
        { "external", true, "metricName", "metric.name", false },
        { "external", true, "metricSelector", "metric.selector", false },
        { "external", true, "currentValue", "current.value", true },
        { "external", true, "currentAverageValue", "current.averageValue", false },
};

static struct json *metric_to_v1(struct arena *a, const struct json *metric, bool current)
{
        struct json *out = json_new_object(a);

        json_foreach_member(metric, m) {
                struct json *source;

                if (!json_is_object(m->value)) {
                        json_set(a, out, m->key, m->value);
                        continue;
                }
                source = json_new_object(a);
                for (size_t i = 0; i < ARRAY_SIZE(metric_words); i++) {
                        const struct metric_words *w = &metric_words[i];
                        struct json *v = json_path(m->value, w->v2);

                        if (w->current != current || !streq(w->source, m->key))
                                continue;
                        if (v || w->always)
                                json_set(a, source, w->v1, v ? v : json_new_string(a, "0"));
                }
                json_set(a, out, m->key, source);
        }
        return out;
}

static struct json *metric_to_v2(struct arena *a, const struct json *metric, bool current)
{
        struct json *out = json_new_object(a);

        json_foreach_member(metric, m) {
                struct json *source, *target;

                if (!json_is_object(m->value)) {
                        json_set(a, out, m->key, m->value);
                        continue;
                }
                source = json_new_object(a);
                target = json_ensure_object(a, source, current ? "current" : "target");
                for (size_t i = 0; i < ARRAY_SIZE(metric_words); i++) {
                        const struct metric_words *w = &metric_words[i];
                        struct json *v = json_get(m->value, w->v1);

                        if (w->current == current && streq(w->source, m->key) && v && !json_is_null(v))
                                json_path_set(a, source, w->v2, v);
                }
                /* No value of an object was written as 0. */
                if (!current && streq(m->key, "object") && json_get(target, "averageValue") &&
                    streq(json_get_string(target, "value"), "0"))
                        json_del(target, "value");
                if (!current)
                        json_set_string(a, target, "type",
                                        json_get(target, "averageUtilization") ? "Utilization" :
                                        json_get(target, "averageValue") && !(streq(m->key, "external") && json_get(target, "value")) ?
                                                "AverageValue" :
                                                "Value");
                json_set(a, out, m->key, source);
        }
        return out;
}

/* Behavior is written by Go's names of the internal struct: first letters are capitals, what is absent is null.
 * FIRST gives a key's first letter in the other spelling; nulls come along only on the way there. */
static struct json *respell(struct arena *a, const struct json *v, int (*first)(int), bool nulls)
{
        struct json *out;

        if (json_is_array(v)) {
                out = json_new_array(a);
                json_foreach_item(v, it)
                        json_append(a, out, respell(a, it, first, nulls));
                return out;
        }
        if (!json_is_object(v))
                return (struct json *)v;
        out = json_new_object(a);
        json_foreach_member(v, m) {
                char *key = arena_strdup(a, m->key);

                if (json_is_null(m->value) && !nulls)
                        continue;
                *key = (char)first((unsigned char)*key);
                json_set(a, out, key, respell(a, m->value, first, nulls));
        }
        return out;
}

static struct json *rules_for_annotation(struct arena *a, const struct json *rules)
{
        static const char *const order[] = { "stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance" };
        struct json *out = json_new_object(a);

        if (!rules)
                return json_new_null(a);
        for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
                struct json *v = json_get(rules, order[i]);

                json_set(a, out, order[i], v ? v : json_new_null(a));
        }
        return respell(a, out, toupper, true);
}

static void set_annotation(struct arena *a, struct json *obj, const char *key, const struct json *value)
{
        struct json *meta = json_get(obj, "metadata"), *all = json_get(meta, "annotations");

        all = all ? json_clone_shallow(a, all) : json_new_object(a);
        json_set(a, all, key, json_new_string(a, json_print(a, value)));
        json_set(a, meta, "annotations", all);
}

static struct json *autoscaler_to_v1(struct arena *a, const struct json *obj)
{
        struct json *out = json_clone(a, obj), *spec = json_get(out, "spec"), *status = json_get(out, "status");
        struct json *metrics = json_get(spec, "metrics"), *others = json_new_array(a), *behavior;
        struct json *current = json_get(status, "currentMetrics"), *current_others = json_new_array(a);

        json_set_string(a, out, "apiVersion", "autoscaling/v1");
        json_foreach_item(metrics, it) {
                if (!json_get(spec, "targetCPUUtilizationPercentage") &&
                    is_cpu_utilization(it, "resource.target.averageUtilization"))
                        json_set(a, spec, "targetCPUUtilizationPercentage",
                                 json_path(it, "resource.target.averageUtilization"));
                else
                        json_append(a, others, metric_to_v1(a, it, false));
        }
        json_foreach_item(current, it) {
                if (is_cpu_utilization(it, "resource.current.averageUtilization"))
                        json_set(a, status, "currentCPUUtilizationPercentage",
                                 json_path(it, "resource.current.averageUtilization"));
                json_append(a, current_others, metric_to_v1(a, it, true));
        }
        behavior = json_get(spec, "behavior");
        if (json_len(others))
                set_annotation(a, out, METRICS, others);
        if (json_len(current_others))
                set_annotation(a, out, CURRENT_METRICS, current_others);
        if (json_len(json_get(status, "conditions")))
                set_annotation(a, out, CONDITIONS, json_get(status, "conditions"));
        if (behavior) {
                struct json *b = json_new_object(a);

                json_set(a, b, "ScaleUp", rules_for_annotation(a, json_get(behavior, "scaleUp")));
                json_set(a, b, "ScaleDown", rules_for_annotation(a, json_get(behavior, "scaleDown")));
                set_annotation(a, out, BEHAVIOR, b);
        }
        json_del(spec, "metrics");
        json_del(spec, "behavior");
        if (status) {
                json_del(status, "currentMetrics");
                json_del(status, "conditions");
        }
        return out;
}

/* Takes an annotation out and gives it parsed; NULL when it is not there or no JSON. */
static struct json *take_annotation(struct arena *a, struct json *obj, const char *key)
{
        struct json *all = json_path(obj, "metadata.annotations"), *value = NULL;
        const char *text = json_get_string(all, key);

        if (!text)
                return NULL;
        json_parse(a, text, strlen(text), NULL, &value, NULL);
        json_del(all, key);
        if (json_len(all) == 0)
                json_path_del(obj, "metadata.annotations");
        return value;
}

static struct json *autoscaler_to_v2(struct arena *a, const struct json *obj)
{
        struct json *out = json_clone(a, obj), *spec = json_ensure_object(a, out, "spec"), *status;
        struct json *metrics = json_new_array(a), *current, *more, *v;
        struct json *cpu = json_get(spec, "targetCPUUtilizationPercentage");

        json_set_string(a, out, "apiVersion", "autoscaling/v2");
        more = take_annotation(a, out, METRICS);
        json_foreach_item(more, it)
                json_append(a, metrics, metric_to_v2(a, it, false));
        if (cpu) {
                struct json *m = json_new_object(a);

                json_set_string(a, m, "type", "Resource");
                json_path_set(a, m, "resource.name", json_new_string(a, "cpu"));
                json_path_set(a, m, "resource.target.type", json_new_string(a, "Utilization"));
                json_path_set(a, m, "resource.target.averageUtilization", cpu);
                json_insert(a, metrics, 0, m);
                json_del(spec, "targetCPUUtilizationPercentage");
        }
        if (json_len(metrics))
                json_set(a, spec, "metrics", metrics);
        v = take_annotation(a, out, BEHAVIOR);
        if (v)
                json_set(a, spec, "behavior", respell(a, v, tolower, false));
        status = json_ensure_object(a, out, "status");
        v = take_annotation(a, out, CONDITIONS);
        if (json_is_array(v))
                json_set(a, status, "conditions", v);
        v = take_annotation(a, out, CURRENT_METRICS);
        cpu = json_get(status, "currentCPUUtilizationPercentage");
        current = json_new_array(a);
        json_foreach_item(v, it)
                json_append(a, current, metric_to_v2(a, it, true));
        if (cpu && !json_len(current)) {
                struct json *m = json_new_object(a);

                json_set_string(a, m, "type", "Resource");
                json_path_set(a, m, "resource.name", json_new_string(a, "cpu"));
                json_path_set(a, m, "resource.current.averageUtilization", cpu);
                json_append(a, current, m);
        }
        if (json_len(current))
                json_set(a, status, "currentMetrics", current);
        json_del(status, "currentCPUUtilizationPercentage");
        return out;
}

struct json *convert_object(struct arena *a, const struct resource *from, const struct resource *to, struct json *obj)
{
        struct json *out = obj;

        if (to->crd) {
                const char *want = arena_printf(a, "%s/%s", to->group, to->version);

                out = conversion_find(a, to, obj);
                if (!out)
                        out = json_clone(a, obj);
                json_set_string(a, out, "apiVersion", want);
                crd_decode(a, to->schema, out, NULL, NULL); /* the schema may have changed since */
                crd_default(a, to->schema, out);
                return out;
        }
        if (from == to)
                return obj;
        if (streq(to->kind, "Event"))
                return convert_event(a, to, obj, streq(to->group, ""));
        if (streq(to->kind, "HorizontalPodAutoscaler")) {
                out = streq(to->version, "v1") ? autoscaler_to_v1(a, obj) : autoscaler_to_v2(a, obj);
                schema_canonicalise(a, to->schema, out);
        }
        return out;
}
