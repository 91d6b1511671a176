/* Cells of workloads, nodes and events, and what several kinds share (table-cells.h). */
#include "table-cells.h"

#include <stdio.h>

#include "../../lib/base/base.h"
#include "../../lib/base/time.h"
#include "table.h"

void cell_kind_name(const struct cell *c)
{
        const struct json *ref = cell_arg_path(c, 0);

        cell_printf(c, "%s/%s", cell_text(ref, "kind"), cell_text(ref, "name"));
}

void cell_phase(const struct cell *c)
{
        if (json_path(c->obj, "metadata.deletionTimestamp"))
                cell_string(c, "Terminating");
        else
                cell_string(c, json_path_string(c->obj, "status.phase"));
}

/* The status of a condition, or the second argument. */
void cell_condition_of(const struct cell *c)
{
        const char *type, *otherwise = "";
        size_t len, n;

        if (!cell_word(c, 0, &type, &len))
                return;
        cell_word(c, 1, &otherwise, &n);
        json_foreach_item(json_path(c->obj, "status.conditions"), condition)
                if (strlen(cell_text(condition, "type")) == len && !strncmp(cell_text(condition, "type"), type, len)) {
                        cell_string(c, cell_text(condition, "status"));
                        return;
                }
        cell_string(c, otherwise);
}

/* The name, marked when one of the annotations named says "true". */
void cell_default_name(const struct cell *c)
{
        const struct json *annotations = json_path(c->obj, "metadata.annotations");
        const char *word, *name = json_path_string(c->obj, "metadata.name");
        size_t len;

        for (unsigned i = 0; cell_word(c, i, &word, &len); i++)
                if (streq(json_string(json_getn(annotations, word, len)), "true")) {
                        cell_printf(c, "%s (default)", name);
                        return;
                }
        cell_string(c, name);
}

void cell_owner(const struct cell *c)
{
        json_foreach_item(json_path(c->obj, "metadata.ownerReferences"), ref) {
                const char *gv = cell_text(ref, "apiVersion"), *slash = strchr(gv, '/');
                char kind[256];

                if (!json_get_bool(ref, "controller", false))
                        continue;
                snprintf(kind, sizeof(kind), "%s%s%.*s", cell_text(ref, "kind"), slash ? "." : "",
                         slash ? (int)(slash - gv) : 0, gv);
                for (char *p = kind; *p; p++)
                        if (*p >= 'A' && *p <= 'Z')
                                *p += 'a' - 'A';
                cell_printf(c, "%s/%s", kind, cell_text(ref, "name"));
                return;
        }
        cell_string(c, "<none>");
}

/* --- jobs --- */

void cell_job_status(const struct cell *c)
{
        static const char *const after[] = { "Suspended", "FailureTarget", "SuccessCriteriaMet" };

        if (cell_condition_true(c->obj, "Complete")) {
                cell_string(c, "Complete");
        } else if (cell_condition_true(c->obj, "Failed")) {
                cell_string(c, "Failed");
        } else if (json_path(c->obj, "metadata.deletionTimestamp")) {
                cell_string(c, "Terminating");
        } else {
                for (size_t i = 0; i < ARRAY_SIZE(after); i++)
                        if (cell_condition_true(c->obj, after[i])) {
                                cell_string(c, after[i]);
                                return;
                        }
                cell_string(c, "Running");
        }
}

void cell_job_completions(const struct cell *c)
{
        long long done = json_path_int(c->obj, "status.succeeded", 0);
        long long wanted = json_path_int(c->obj, "spec.completions", -1);
        long long parallel = json_path_int(c->obj, "spec.parallelism", 0);

        if (wanted >= 0)
                cell_printf(c, "%lld/%lld", done, wanted);
        else if (parallel > 1)
                cell_printf(c, "%lld/1 of %lld", done, parallel);
        else
                cell_printf(c, "%lld/1", done);
}

void cell_job_duration(const struct cell *c)
{
        const char *start = json_path_string(c->obj, "status.startTime");
        const char *end = json_path_string(c->obj, "status.completionTime");
        int64_t from, to = c->now;
        char buf[32];

        if (!start || time_parse(start, &from) < 0) {
                cell_string(c, "");
                return;
        }
        if (end && time_parse(end, &to) < 0)
                to = c->now;
        cell_string(c, human_duration(to - from, buf));
}

/* --- nodes --- */

void cell_node_status(const struct cell *c)
{
        const char *ready = json_get_string(cell_condition(c->obj, "Ready"), "status");

        cell_printf(c, "%s%s", !ready ? "Unknown" : streq(ready, "True") ? "Ready" : "NotReady",
                    json_path_bool(c->obj, "spec.unschedulable", false) ? ",SchedulingDisabled" : "");
}

void cell_node_roles(const struct cell *c)
{
        static const char prefix[] = "node-role.kubernetes.io/";
        const struct json *labels = json_path(c->obj, "metadata.labels");
        struct cell_joiner j = { .b = STRBUF_INIT };
        size_t n = 0;
        _cleanup_free_ const char **roles = xcalloc(json_len(labels) + 1, sizeof(*roles));

        json_foreach_member(labels, m) {
                if (str_has_prefix(m->key, prefix) && m->key[sizeof(prefix) - 1])
                        roles[n++] = m->key + sizeof(prefix) - 1;
                else if (streq(m->key, "kubernetes.io/role") && !str_empty(json_string(m->value)))
                        roles[n++] = json_string(m->value);
        }
        qsort(roles, n, sizeof(*roles), cell_compare_strings);
        for (size_t i = 0; i < n; i++)
                if (!i || !streq(roles[i], roles[i - 1]))
                        cell_join_add(&j, "%s", roles[i]);
        cell_join_end(c, &j, "<none>");
}

void cell_node_address(const struct cell *c)
{
        json_foreach_item(json_path(c->obj, "status.addresses"), address)
                if (streq(cell_text(address, "type"), c->args)) {
                        cell_string(c, cell_text(address, "address"));
                        return;
                }
        cell_string(c, "<none>");
}

void cell_node_kernel(const struct cell *c)
{
        const struct json *info = json_path(c->obj, "status.nodeInfo");
        const char *kernel = cell_text(info, "kernelVersion"), *architecture = cell_text(info, "architecture");

        cell_printf(c, "%s%s%s%s", *kernel ? kernel : "<unknown>", *architecture ? " (" : "", architecture,
                    *architecture ? ")" : "");
}

/* --- events --- */

void cell_event_last_seen(const struct cell *c)
{
        static const char *const times[] = { "lastTimestamp", "deprecatedLastTimestamp", "firstTimestamp",
                                             "deprecatedFirstTimestamp", "eventTime" };
        const struct json *series = json_get(c->obj, "series");
        const char *time = json_get_string(series, "lastObservedTime");

        for (size_t i = 0; !series && str_empty(time) && i < ARRAY_SIZE(times); i++)
                time = json_get_string(c->obj, times[i]);
        cell_age(c, time);
}

void cell_event_object(const struct cell *c)
{
        const struct json *ref = cell_arg_path(c, 0);
        char kind[256];

        snprintf(kind, sizeof(kind), "%s", cell_text(ref, "kind"));
        for (char *p = kind; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p += 'a' - 'A';
        cell_printf(c, "%s%s%s", kind, *cell_text(ref, "name") ? "/" : "", cell_text(ref, "name"));
}

static const char *first_of(const char *a, const char *b)
{
        return *a ? a : b;
}

void cell_event_source(const struct cell *c)
{
        const struct json *source = json_get(c->obj, "source");
        const char *component, *instance;

        if (!source)
                source = json_get(c->obj, "deprecatedSource");
        component = first_of(cell_text(source, "component"),
                             first_of(cell_text(c->obj, "reportingComponent"), cell_text(c->obj, "reportingController")));
        instance = first_of(cell_text(source, "host"), cell_text(c->obj, "reportingInstance"));
        cell_printf(c, "%s%s%s", component, *instance ? ", " : "", instance);
}

void cell_event_count(const struct cell *c)
{
        const struct json *series = json_get(c->obj, "series");
        int64_t n = series ? json_get_int(series, "count", 0)
                           : json_get_int(c->obj, "count", json_get_int(c->obj, "deprecatedCount", 0));

        cell_int(c, !n && !series ? 1 : n);
}
