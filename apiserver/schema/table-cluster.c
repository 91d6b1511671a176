/* Cells of volumes, quotas, access, policies and autoscalers (table-cells.h). */
#include "table-cells.h"

#include "../../lib/base/base.h"
#include "../../lib/base/time.h"
#include "table.h"

/* --- volumes --- */

static void write_access_modes(const struct cell *c, const struct json *modes)
{
        static const char *const names[][2] = { { "ReadWriteOnce", "RWO" },
                                                { "ReadOnlyMany", "ROX" },
                                                { "ReadWriteMany", "RWX" },
                                                { "ReadWriteOncePod", "RWOP" } };
        struct cell_joiner j = { .b = STRBUF_INIT };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                json_foreach_item(modes, mode)
                        if (streq(json_string(mode), names[i][0])) {
                                cell_join_add(&j, "%s", names[i][1]);
                                break;
                        }
        cell_join_end(c, &j, "");
}

void cell_access_modes(const struct cell *c)
{
        write_access_modes(c, cell_arg_path(c, 0));
}

static bool bound(const struct cell *c)
{
        return !str_empty(json_path_string(c->obj, "spec.volumeName"));
}

void cell_bound_access_modes(const struct cell *c)
{
        write_access_modes(c, bound(c) ? cell_arg_path(c, 0) : NULL);
}

void cell_bound(const struct cell *c)
{
        const char *value = json_string(cell_arg_path(c, 0));

        cell_string(c, !bound(c) ? "" : value ? value : "0");
}

void cell_volume_class(const struct cell *c)
{
        const struct json *annotation =
                json_get(json_path(c->obj, "metadata.annotations"), "volume.beta.kubernetes.io/storage-class");

        cell_string(c, annotation ? json_string(annotation) : json_path_string(c->obj, "spec.storageClassName"));
}

void cell_pv_claim(const struct cell *c)
{
        const struct json *ref = json_path(c->obj, "spec.claimRef");

        if (ref)
                cell_printf(c, "%s/%s", cell_text(ref, "namespace"), cell_text(ref, "name"));
        else
                cell_string(c, "");
}

/* --- others --- */

static const struct json *healthy(const struct cell *c)
{
        json_foreach_item(json_get(c->obj, "conditions"), condition)
                if (streq(cell_text(condition, "type"), "Healthy"))
                        return condition;
        return NULL;
}

void cell_component_status(const struct cell *c)
{
        const struct json *condition = healthy(c);

        cell_string(c, !condition ? "Unknown" : streq(cell_text(condition, "status"), "True") ? "Healthy" : "Unhealthy");
}

void cell_component(const struct cell *c)
{
        cell_string(c, cell_text(healthy(c), c->args + 1));
}

/* Names that begin with "limits." in one cell, all others in the other. */
void cell_quota(const struct cell *c)
{
        const struct json *hard = json_path(c->obj, "status.hard"), *used = json_path(c->obj, "status.used");
        struct cell_joiner j = { .b = STRBUF_INIT, .separator = ", " };
        size_t n = 0;
        _cleanup_free_ const char **names = xcalloc(json_len(hard) + 1, sizeof(*names));

        json_foreach_member(hard, m)
                if (str_has_prefix(m->key, "limits.") == (c->args[0] != '\0'))
                        names[n++] = m->key;
        qsort(names, n, sizeof(*names), cell_compare_strings);
        for (size_t i = 0; i < n; i++)
                cell_join_add(&j, "%s: %s/%s", names[i], json_get(used, names[i]) ? cell_text(used, names[i]) : "0",
                         cell_text(hard, names[i]));
        cell_join_end(c, &j, "");
}

void cell_subjects(const struct cell *c)
{
        struct cell_joiner j = { .b = STRBUF_INIT, .separator = ", " };

        json_foreach_item(json_get(c->obj, "subjects"), subject) {
                if (!streq(cell_text(subject, "kind"), c->args))
                        continue;
                if (streq(c->args, "ServiceAccount"))
                        cell_join_add(&j, "%s/%s", cell_text(subject, "namespace"), cell_text(subject, "name"));
                else
                        cell_join_add(&j, "%s", cell_text(subject, "name"));
        }
        cell_join_end(c, &j, "");
}

void cell_csr_duration(const struct cell *c)
{
        int64_t seconds = json_path_int(c->obj, "spec.expirationSeconds", -1);
        char buf[32];

        cell_string(c, seconds < 0 ? "<none>" : human_duration(seconds * NS_PER_SEC, buf));
}

void cell_csr_condition(const struct cell *c)
{
        const char *decision = cell_condition(c->obj, "Denied")     ? "Denied"
                               : cell_condition(c->obj, "Approved") ? "Approved"
                                                                    : "Pending";

        cell_printf(c, "%s%s%s", decision, cell_condition(c->obj, "Failed") ? ",Failed" : "",
                    str_empty(json_path_string(c->obj, "status.certificate")) ? "" : ",Issued");
}

void cell_claim_state(const struct cell *c)
{
        struct cell_joiner j = { .b = STRBUF_INIT };
        bool deleted = json_path(c->obj, "metadata.deletionTimestamp");

        if (deleted)
                cell_join_add(&j, "deleted");
        if (json_path(c->obj, "status.allocation")) {
                cell_join_add(&j, "allocated");
                if (json_len(json_path(c->obj, "status.reservedFor")))
                        cell_join_add(&j, "reserved");
        } else if (!deleted) {
                cell_join_add(&j, "pending");
        }
        cell_join_end(c, &j, "");
}

void cell_apiservice_service(const struct cell *c)
{
        const struct json *service = json_path(c->obj, "spec.service");

        if (service)
                cell_printf(c, "%s/%s", cell_text(service, "namespace"), cell_text(service, "name"));
        else
                cell_string(c, "Local");
}

void cell_apiservice_available(const struct cell *c)
{
        const struct json *condition = cell_condition(c->obj, "Available");
        const char *status = condition ? cell_text(condition, "status") : "Unknown", *reason = cell_text(condition, "reason");

        if (streq(status, "True") || !*reason)
                cell_string(c, status);
        else
                cell_printf(c, "%s (%s)", status, reason);
}

void cell_param_kind(const struct cell *c)
{
        const struct json *kind = json_path(c->obj, "spec.paramKind");

        if (kind)
                cell_printf(c, "%s/%s", cell_text(kind, "apiVersion"), cell_text(kind, "kind"));
        else
                cell_string(c, "<unset>");
}

static int compare_members(const void *a, const void *b)
{
        return strcmp(((const struct json_member *)a)->key, ((const struct json_member *)b)->key);
}

/* As Go's types print themselves: "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:...,}" */
static void print_selector(struct strbuf *b, struct arena *a, const struct json *selector)
{
        const struct json *labels = json_get(selector, "matchLabels");
        struct json_member *sorted = arena_alloc(a, (json_len(labels) + 1) * sizeof(*sorted));
        size_t n = 0;

        json_foreach_member(labels, m)
                sorted[n++] = *m;
        qsort(sorted, n, sizeof(*sorted), compare_members);
        strbuf_puts(b, "&LabelSelector{MatchLabels:map[string]string{");
        for (size_t i = 0; i < n; i++)
                strbuf_printf(b, "%s: %s,", sorted[i].key, json_string(sorted[i].value) ? json_string(sorted[i].value) : "");
        strbuf_puts(b, "},MatchExpressions:[]LabelSelectorRequirement{");
        json_foreach_item(json_get(selector, "matchExpressions"), e) {
                strbuf_printf(b, "LabelSelectorRequirement{Key:%s,Operator:%s,Values:[", cell_text(e, "key"), cell_text(e, "operator"));
                json_foreach_item(json_get(e, "values"), v)
                        strbuf_printf(b, "%s%s", v_i ? " " : "", json_string(v) ? json_string(v) : "");
                strbuf_puts(b, "],},");
        }
        strbuf_puts(b, "},}");
}

void cell_param_ref(const struct cell *c)
{
        const struct json *ref = json_path(c->obj, "spec.paramRef");
        const char *ns = cell_text(ref, "namespace"), *name = cell_text(ref, "name");
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (*name) {
                cell_printf(c, "%s/%s", *ns ? ns : "*", name);
        } else if (json_is_object(json_get(ref, "selector"))) {
                print_selector(&b, a, json_get(ref, "selector"));
                cell_string(c, strbuf_str(&b));
        } else {
                cell_string(c, "<unset>");
        }
}

/* --- autoscalers --- */

static void print_metric(struct strbuf *b, const struct json *metric, const struct json *current)
{
        static const char *const members[][2] = { { "Resource", "resource" },
                                                  { "ContainerResource", "containerResource" },
                                                  { "Pods", "pods" },
                                                  { "Object", "object" },
                                                  { "External", "external" } };
        const char *type = cell_text(metric, "type"), *key = NULL;
        const struct json *spec, *target, *now;
        bool resource, average;

        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                if (streq(type, members[i][0]))
                        key = members[i][1];
        if (!key) {
                strbuf_puts(b, "<unknown type>");
                return;
        }
        spec = json_get(metric, key);
        target = json_get(spec, "target");
        now = streq(cell_text(current, "type"), type) ? json_get(json_get(current, key), "current") : NULL;
        resource = streq(type, "Resource") || streq(type, "ContainerResource");
        average = json_get(target, "averageValue");
        if (resource)
                strbuf_printf(b, "%s: ", cell_text(spec, "name"));
        if (resource && !average) {
                if (json_get(now, "averageUtilization"))
                        strbuf_printf(b, "%lld%%/", (long long)json_get_int(now, "averageUtilization", 0));
                else
                        strbuf_puts(b, "<unknown>/");
                if (json_get(target, "averageUtilization"))
                        strbuf_printf(b, "%lld%%", (long long)json_get_int(target, "averageUtilization", 0));
                else
                        strbuf_puts(b, "<auto>");
                return;
        }
        key = average || streq(type, "Pods") ? "averageValue" : "value";
        strbuf_printf(b, "%s/%s", json_get(now, key) ? cell_text(now, key) : "<unknown>", cell_text(target, key));
        if (average && (streq(type, "Object") || streq(type, "External")))
                strbuf_puts(b, " (avg)");
}

static void metric_targets(const struct cell *c)
{
        const struct json *metrics = json_path(c->obj, "spec.metrics");
        const struct json *current = json_path(c->obj, "status.currentMetrics");
        struct cell_joiner j = { .b = STRBUF_INIT, .max = 2, .separator = ", " };

        json_foreach_item(metrics, metric) {
                _cleanup_strbuf_ struct strbuf one = STRBUF_INIT;

                print_metric(&one, metric, json_at(current, metric_i));
                cell_join_add(&j, "%s", strbuf_str(&one));
        }
        cell_join_end(c, &j, "<none>");
}

/* The old version has a goal for the CPU alone. */
void cell_hpa_targets(const struct cell *c)
{
        const struct json *goal = json_path(c->obj, "spec.targetCPUUtilizationPercentage");
        const struct json *now = json_path(c->obj, "status.currentCPUUtilizationPercentage");
        struct cell_joiner j = { .b = STRBUF_INIT, .max = 1, .separator = "" };

        if (!json_is_number(goal)) {
                metric_targets(c);
                return;
        }
        if (json_is_number(now))
                cell_join_add(&j, "cpu: %s%%/%s%%", now->str, goal->str);
        else
                cell_join_add(&j, "cpu: <unknown>/%s%%", goal->str);
        cell_join_end(c, &j, "<none>");
}
