/* Functions that make Table cells (table-cells.h), by the name that recipes call them.
 *
 * What each prints is what kubectl users know from upstream's printers; where something is missing
 * they differ between "", "<none>", "<unset>" and "<unknown>", kind by kind.
 */
#include "table-cells.h"

#include <stdio.h>

#include "../../lib/base/base.h"
#include "../../lib/base/time.h"
#include "../../lib/meta/quantity.h"
#include "../../lib/meta/selector.h"
#include "table.h"

/* --- what all use --- */

void cell_string(const struct cell *c, const char *s)
{
        json_write_string(c->out, s ? s : "", s ? strlen(s) : 0);
}

void cell_int(const struct cell *c, int64_t i)
{
        strbuf_printf(c->out, "%lld", (long long)i);
}

void cell_value(const struct cell *c, const struct json *v)
{
        const char *type = c->column->type;
        bool number = streq(type, "integer") || streq(type, "number");

        if (number)
                json_is_number(v) ? json_write(c->out, v) : strbuf_putc(c->out, '0');
        else if (streq(type, "boolean") && !json_is_string(v))
                strbuf_puts(c->out, json_is_true(v) ? "true" : "false");
        else if (json_is_string(v))
                json_write(c->out, v);
        else if (json_is_number(v))
                strbuf_printf(c->out, "\"%s\"", v->str);
        else
                cell_string(c, json_is_true(v) ? "true" : json_is_bool(v) ? "false" : "");
}

void cell_age(const struct cell *c, const char *time)
{
        char buf[32];
        int64_t t;

        if (str_empty(time) || time_parse(time, &t) < 0)
                cell_string(c, "<unknown>");
        else
                cell_string(c, human_duration(c->now - t, buf));
}

const struct json *cell_path(const struct json *obj, const char *path, size_t len)
{
        const char *p = path, *end = path + len;
        const struct json *v = obj;

        while (v && p < end) {
                const char *start = ++p; /* behind '.' or '[' */

                if (start[-1] == '[') {
                        v = json_at(v, strtoul(start, NULL, 10));
                        p = memchr(start, ']', end - start);
                        if (!p)
                                return NULL;
                        p++;
                        continue;
                }
                while (p < end && *p != '.' && *p != '[')
                        p++;
                v = json_getn(v, start, p - start);
        }
        return v;
}

bool cell_word(const struct cell *c, unsigned n, const char **ret, size_t *ret_len)
{
        const char *p = c->args;

        for (;; n--) {
                size_t len = strcspn(p, " ");

                if (!len)
                        return false;
                if (!n) {
                        *ret = p;
                        *ret_len = len;
                        return true;
                }
                p += len + strspn(p + len, " ");
        }
}

const struct json *cell_arg_path(const struct cell *c, unsigned n)
{
        const char *word;
        size_t len;

        return cell_word(c, n, &word, &len) ? cell_path(c->obj, word, len) : NULL;
}

const struct json *cell_condition(const struct json *obj, const char *type)
{
        json_foreach_item(json_path(obj, "status.conditions"), condition)
                if (streq(json_get_string(condition, "type"), type))
                        return condition;
        return NULL;
}

bool cell_condition_true(const struct json *obj, const char *type)
{
        return streq(json_get_string(cell_condition(obj, type), "status"), "True");
}

void cell_join_add(struct cell_joiner *j, const char *fmt, ...)
{
        va_list ap;

        if (!j->max || j->n < j->max) {
                if (j->n)
                        strbuf_puts(&j->b, j->separator ? j->separator : ",");
                va_start(ap, fmt);
                strbuf_vprintf(&j->b, fmt, ap);
                va_end(ap);
        }
        j->n++;
}

void cell_join_end(const struct cell *c, struct cell_joiner *j, const char *otherwise)
{
        if (j->max && j->n > j->max)
                strbuf_printf(&j->b, " + %zu more...", j->n - j->max);
        cell_string(c, j->n ? strbuf_str(&j->b) : otherwise);
        strbuf_deinit(&j->b);
}

const char *cell_text(const struct json *obj, const char *key)
{
        const char *s = json_get_string(obj, key);

        return s ? s : "";
}

void cell_printf(const struct cell *c, const char *fmt, ...)
{
        char buf[1024];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(buf, sizeof(buf), fmt, ap);
        va_end(ap);
        cell_string(c, buf);
}

int cell_compare_strings(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* --- values --- */

static void cell_age_of(const struct cell *c)
{
        const char *time = NULL;
        const char *word;
        size_t len;

        for (unsigned i = 0; str_empty(time) && cell_word(c, i, &word, &len); i++)
                time = json_string(cell_path(c->obj, word, len));
        cell_age(c, time);
}

static void cell_age_or_none(const struct cell *c)
{
        const char *time = json_string(cell_arg_path(c, 0));

        if (str_empty(time))
                cell_string(c, "<none>");
        else
                cell_age(c, time);
}

static void cell_integer(const struct cell *c)
{
        const struct json *v = cell_arg_path(c, 0);
        const char *bar = strstr(c->args, " | ");
        int64_t i = 0;

        if (!v && bar) {
                cell_string(c, bar + 3);
                return;
        }
        if (json_is_number(v) && json_to_int(v, &i) < 0)
                i = 0;
        cell_int(c, i);
}

static void cell_bool(const struct cell *c)
{
        strbuf_puts(c->out, json_is_true(cell_arg_path(c, 0)) ? "true" : "false");
}

static void cell_title_bool(const struct cell *c)
{
        const struct json *v = cell_arg_path(c, 0);

        cell_string(c, !json_is_bool(v) ? strstr(c->args, " | ") + 3 : v->boolean ? "True" : "False");
}

static void cell_count(const struct cell *c)
{
        int64_t n = 0;
        const char *word;
        size_t len;

        for (unsigned i = 0; cell_word(c, i, &word, &len); i++)
                n += json_len(cell_path(c->obj, word, len));
        cell_int(c, n);
}

/* ".spec.containers[].name" or a list of strings; a second argument stands for none. */
static void join_list(const struct cell *c, const char *otherwise)
{
        struct cell_joiner j = { .b = STRBUF_INIT };
        const struct json *list;
        const char *word, *each;
        size_t len;

        if (!cell_word(c, 0, &word, &len))
                return;
        each = memmem(word, len, "[]", 2);
        list = cell_path(c->obj, word, each ? (size_t)(each - word) : len);
        json_foreach_item(list, item) {
                const struct json *v = each ? cell_path(item, each + 2, word + len - each - 2) : item;

                cell_join_add(&j, "%s", json_string(v) ? json_string(v) : "");
        }
        cell_join_end(c, &j, list && otherwise && streq(otherwise, "<unset>") ? "" : otherwise);
}

static void cell_join(const struct cell *c)
{
        join_list(c, "");
}

static void cell_join_or(const struct cell *c)
{
        const char *word;
        size_t len;

        join_list(c, cell_word(c, 1, &word, &len) ? word : "");
}

static void cell_pairs(const struct cell *c)
{
        const struct json *map = cell_arg_path(c, 0);
        struct cell_joiner j = { .b = STRBUF_INIT };
        size_t n = json_len(map), i = 0;
        _cleanup_free_ const char **keys = xcalloc(n + 1, sizeof(*keys));

        json_foreach_member(map, m)
                keys[i++] = m->key;
        qsort(keys, n, sizeof(*keys), cell_compare_strings);
        for (i = 0; i < n; i++)
                cell_join_add(&j, "%s=%s", keys[i], json_get_string(map, keys[i]) ? json_get_string(map, keys[i]) : "");
        cell_join_end(c, &j, "<none>");
}

static void write_selector(const struct cell *c, const char *empty, const char *wrong)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct json *v = cell_arg_path(c, 0);
        struct selector s = { 0 };
        const char *text;

        if (!v) {
                cell_string(c, empty);
                return;
        }
        if (selector_from_object(a, v, &s, NULL) < 0) {
                cell_string(c, wrong);
                return;
        }
        text = selector_print(a, &s);
        cell_string(c, str_empty(text) ? empty : text);
}

static void cell_selector(const struct cell *c)
{
        write_selector(c, "<none>", "<error>");
}

static void cell_selector_string(const struct cell *c)
{
        write_selector(c, "", "<invalid>");
}

static void cell_trim(const struct cell *c)
{
        const char *s = json_string(cell_arg_path(c, 0));
        size_t len;

        if (!s)
                s = "";
        s += strspn(s, " \t\r\n\v\f");
        len = strlen(s);
        while (len && strchr(" \t\r\n\v\f", s[len - 1]))
                len--;
        json_write_string(c->out, s, len);
}

static void cell_ready_of(const struct cell *c)
{
        int64_t ready = 0, wanted = 0;

        if (json_is_number(cell_arg_path(c, 0)))
                json_to_int(cell_arg_path(c, 0), &ready);
        if (json_is_number(cell_arg_path(c, 1)))
                json_to_int(cell_arg_path(c, 1), &wanted);
        strbuf_printf(c->out, "\"%lld/%lld\"", (long long)ready, (long long)wanted);
}

const struct cell_function *cell_function(const char *name, size_t len)
{
        static const struct cell_function functions[] = {
                { "access-modes", cell_access_modes, "" },
                { "age", cell_age_of, "" },
                { "age-or-none", cell_age_or_none, "" },
                { "apiservice-available", cell_apiservice_available, NULL },
                { "apiservice-service", cell_apiservice_service, NULL },
                { "bool", cell_bool, "" },
                { "bound", cell_bound, NULL },
                { "bound-access-modes", cell_bound_access_modes, NULL },
                { "claim-state", cell_claim_state, NULL },
                { "component", cell_component, NULL },
                { "component-status", cell_component_status, NULL },
                { "condition", cell_condition_of, "status.conditions.type status.conditions.status" },
                { "count", cell_count, "" },
                { "csr-condition", cell_csr_condition, NULL },
                { "csr-duration", cell_csr_duration, NULL },
                { "default-name", cell_default_name, "metadata.name metadata.annotations" },
                { "endpoints", cell_endpoints, "subsets" },
                { "event-count", cell_event_count, "series count deprecatedCount" },
                { "event-last-seen", cell_event_last_seen, "lastTimestamp deprecatedLastTimestamp firstTimestamp deprecatedFirstTimestamp eventTime series" },
                { "event-object", cell_event_object, "" },
                { "event-source", cell_event_source, "source deprecatedSource reportingComponent reportingController reportingInstance" },
                { "hpa-targets", cell_hpa_targets, NULL },
                { "ingress-address", cell_ingress_address, "status.loadBalancer.ingress" },
                { "ingress-class-parameters", cell_ingress_class_parameters, "spec.parameters" },
                { "ingress-hosts", cell_ingress_hosts, "spec.rules.host" },
                { "ingress-ports", cell_ingress_ports, "spec.tls." },
                { "int", cell_integer, "" },
                { "ip-parent", cell_ip_parent, "spec.parentRef metadata.creationTimestamp" },
                { "job-completions", cell_job_completions, "status.succeeded spec.completions spec.parallelism" },
                { "job-duration", cell_job_duration, "status.startTime status.completionTime" },
                { "job-status", cell_job_status, "metadata.deletionTimestamp status.conditions.type status.conditions.status" },
                { "join", cell_join, "" },
                { "join-or", cell_join_or, "" },
                { "jsonpath", cell_jsonpath, NULL },
                { "kind-name", cell_kind_name, "" },
                { "node-address", cell_node_address, "status.addresses" },
                { "node-kernel", cell_node_kernel, "status.nodeInfo.kernelVersion status.nodeInfo.architecture" },
                { "node-roles", cell_node_roles, "metadata.labels" },
                { "node-status", cell_node_status, "status.conditions.type status.conditions.status spec.unschedulable" },
                { "owner", cell_owner, "metadata.ownerReferences" },
                { "pairs", cell_pairs, "" },
                { "param-kind", cell_param_kind, NULL },
                { "param-ref", cell_param_ref, NULL },
                { "phase", cell_phase, "metadata.deletionTimestamp status.phase" },
                { "pod-gates", cell_pod_gates, "spec.readinessGates.conditionType status.conditions.type status.conditions.status" },
                { "pod-ready", cell_pod_ready, CELL_POD_READS },
                { "pod-restarts", cell_pod_restarts, CELL_POD_READS },
                { "pod-status", cell_pod_status, CELL_POD_READS },
                { "pv-claim", cell_pv_claim, NULL },
                { "quota", cell_quota, NULL },
                { "ready-of", cell_ready_of, "" },
                { "selector", cell_selector, "" },
                { "selector-string", cell_selector_string, "" },
                { "service-external", cell_service_external, "spec.type spec.externalName spec.externalIPs status.loadBalancer.ingress" },
                { "service-ports", cell_service_ports, "spec.ports" },
                { "slice-endpoints", cell_slice_endpoints, "endpoints.addresses" },
                { "slice-ports", cell_slice_ports, "ports" },
                { "subjects", cell_subjects, "subjects" },
                { "title-bool", cell_title_bool, "" },
                { "trim", cell_trim, "" },
                { "volume-class", cell_volume_class, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
                if (strlen(functions[i].name) == len && !strncmp(functions[i].name, name, len))
                        return &functions[i];
        return NULL;
}
