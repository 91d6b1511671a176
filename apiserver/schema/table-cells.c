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

/* Strings joined, written as one cell; OTHERWISE stands for none. */
struct joiner {
        struct strbuf b;
        size_t n, max; /* only the first MAX are shown, then " + N more..."; 0: all */
        const char *separator;
};

static void join_add(struct joiner *j, const char *fmt, ...) printf_like(2, 3);
static void join_add(struct joiner *j, const char *fmt, ...)
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

static void join_end(const struct cell *c, struct joiner *j, const char *otherwise)
{
        if (j->max && j->n > j->max)
                strbuf_printf(&j->b, " + %zu more...", j->n - j->max);
        cell_string(c, j->n ? strbuf_str(&j->b) : otherwise);
        strbuf_deinit(&j->b);
}

static int compare_strings(const void *a, const void *b)
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
        struct joiner j = { .b = STRBUF_INIT };
        const struct json *list;
        const char *word, *each;
        size_t len;

        if (!cell_word(c, 0, &word, &len))
                return;
        each = memmem(word, len, "[]", 2);
        list = cell_path(c->obj, word, each ? (size_t)(each - word) : len);
        json_foreach_item(list, item) {
                const struct json *v = each ? cell_path(item, each + 2, word + len - each - 2) : item;

                join_add(&j, "%s", json_string(v) ? json_string(v) : "");
        }
        join_end(c, &j, list && otherwise && streq(otherwise, "<unset>") ? "" : otherwise);
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
        struct joiner j = { .b = STRBUF_INIT };
        size_t n = json_len(map), i = 0;
        _cleanup_free_ const char **keys = xcalloc(n + 1, sizeof(*keys));

        json_foreach_member(map, m)
                keys[i++] = m->key;
        qsort(keys, n, sizeof(*keys), compare_strings);
        for (i = 0; i < n; i++)
                join_add(&j, "%s=%s", keys[i], json_get_string(map, keys[i]) ? json_get_string(map, keys[i]) : "");
        join_end(c, &j, "<none>");
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

static const char *text(const struct json *obj, const char *key)
{
        const char *s = json_get_string(obj, key);

        return s ? s : "";
}

/* Cells that are put together; cut off at a kilobyte, which no name reaches. */
static void cell_printf(const struct cell *c, const char *fmt, ...) printf_like(2, 3);
static void cell_printf(const struct cell *c, const char *fmt, ...)
{
        char buf[1024];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(buf, sizeof(buf), fmt, ap);
        va_end(ap);
        cell_string(c, buf);
}

static void cell_kind_name(const struct cell *c)
{
        const struct json *ref = cell_arg_path(c, 0);

        cell_printf(c, "%s/%s", text(ref, "kind"), text(ref, "name"));
}

static void cell_phase(const struct cell *c)
{
        if (json_path(c->obj, "metadata.deletionTimestamp"))
                cell_string(c, "Terminating");
        else
                cell_string(c, json_path_string(c->obj, "status.phase"));
}

/* The status of a condition, or the second argument. */
static void cell_condition_of(const struct cell *c)
{
        const char *type, *otherwise = "";
        size_t len, n;

        if (!cell_word(c, 0, &type, &len))
                return;
        cell_word(c, 1, &otherwise, &n);
        json_foreach_item(json_path(c->obj, "status.conditions"), condition)
                if (strlen(text(condition, "type")) == len && !strncmp(text(condition, "type"), type, len)) {
                        cell_string(c, text(condition, "status"));
                        return;
                }
        cell_string(c, otherwise);
}

/* The name, marked when one of the annotations named says "true". */
static void cell_default_name(const struct cell *c)
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

static void cell_owner(const struct cell *c)
{
        json_foreach_item(json_path(c->obj, "metadata.ownerReferences"), ref) {
                const char *gv = text(ref, "apiVersion"), *slash = strchr(gv, '/');
                char kind[256];

                if (!json_get_bool(ref, "controller", false))
                        continue;
                snprintf(kind, sizeof(kind), "%s%s%.*s", text(ref, "kind"), slash ? "." : "",
                         slash ? (int)(slash - gv) : 0, gv);
                for (char *p = kind; *p; p++)
                        if (*p >= 'A' && *p <= 'Z')
                                *p += 'a' - 'A';
                cell_printf(c, "%s/%s", kind, text(ref, "name"));
                return;
        }
        cell_string(c, "<none>");
}

/* --- jobs --- */

static void cell_job_status(const struct cell *c)
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

static void cell_job_completions(const struct cell *c)
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

static void cell_job_duration(const struct cell *c)
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

/* --- services, endpoints, ingresses --- */

/* Sorted, each once: ip, else hostname, of status.loadBalancer.ingress. */
static void join_balancer(const struct cell *c, struct joiner *j)
{
        const struct json *list = json_path(c->obj, "status.loadBalancer.ingress");
        size_t n = 0;
        _cleanup_free_ const char **all = xcalloc(json_len(list) + 1, sizeof(*all));

        json_foreach_item(list, item) {
                const char *address = *text(item, "ip") ? text(item, "ip") : text(item, "hostname");

                if (*address)
                        all[n++] = address;
        }
        qsort(all, n, sizeof(*all), compare_strings);
        for (size_t i = 0; i < n; i++)
                if (!i || !streq(all[i], all[i - 1]))
                        join_add(j, "%s", all[i]);
}

static void cell_service_external(const struct cell *c)
{
        const char *type = json_path_string(c->obj, "spec.type");
        struct joiner j = { .b = STRBUF_INIT };

        if (streq(type, "ExternalName")) {
                cell_string(c, json_path_string(c->obj, "spec.externalName"));
                return;
        }
        if (!streq(type, "ClusterIP") && !streq(type, "NodePort") && !streq(type, "LoadBalancer")) {
                cell_string(c, "<unknown>");
                return;
        }
        if (streq(type, "LoadBalancer"))
                join_balancer(c, &j);
        json_foreach_item(json_path(c->obj, "spec.externalIPs"), ip)
                join_add(&j, "%s", json_string(ip) ? json_string(ip) : "");
        join_end(c, &j, streq(type, "LoadBalancer") ? "<pending>" : "<none>");
}

static void cell_service_ports(const struct cell *c)
{
        struct joiner j = { .b = STRBUF_INIT };

        json_foreach_item(json_path(c->obj, "spec.ports"), port) {
                long long node = json_get_int(port, "nodePort", 0), number = json_get_int(port, "port", 0);

                if (node > 0)
                        join_add(&j, "%lld:%lld/%s", number, node, text(port, "protocol"));
                else
                        join_add(&j, "%lld/%s", number, text(port, "protocol"));
        }
        join_end(c, &j, "<none>");
}

static void cell_endpoints(const struct cell *c)
{
        struct joiner j = { .b = STRBUF_INIT, .max = 3 };

        json_foreach_item(json_get(c->obj, "subsets"), subset) {
                const struct json *addresses = json_get(subset, "addresses"), *ports = json_get(subset, "ports");

                json_foreach_item(ports, port)
                        json_foreach_item(addresses, address) {
                                bool six = strchr(text(address, "ip"), ':');

                                join_add(&j, "%s%s%s:%lld", six ? "[" : "", text(address, "ip"), six ? "]" : "",
                                         (long long)json_get_int(port, "port", 0));
                        }
                if (!json_len(ports))
                        json_foreach_item(addresses, address)
                                join_add(&j, "%s", text(address, "ip"));
        }
        join_end(c, &j, json_len(json_get(c->obj, "subsets")) ? "" : "<none>");
}

static void cell_slice_ports(const struct cell *c)
{
        struct joiner j = { .b = STRBUF_INIT, .max = 3 };

        json_foreach_item(json_get(c->obj, "ports"), port) {
                if (json_get(port, "port"))
                        join_add(&j, "%lld", (long long)json_get_int(port, "port", 0));
                else
                        join_add(&j, "%s", *text(port, "name") ? text(port, "name") : "*");
        }
        join_end(c, &j, "<unset>");
}

static void cell_slice_endpoints(const struct cell *c)
{
        struct joiner j = { .b = STRBUF_INIT, .max = 3 };

        json_foreach_item(json_get(c->obj, "endpoints"), endpoint)
                json_foreach_item(json_get(endpoint, "addresses"), address)
                        join_add(&j, "%s", json_string(address) ? json_string(address) : "");
        join_end(c, &j, "<unset>");
}

static void cell_ingress_hosts(const struct cell *c)
{
        const struct json *rules = json_path(c->obj, "spec.rules");
        struct joiner j = { .b = STRBUF_INIT };

        json_foreach_item(rules, rule) {
                if (j.n == 3) {
                        strbuf_printf(&j.b, " + %zu more...", json_len(rules) - 3);
                        break;
                }
                if (*text(rule, "host"))
                        join_add(&j, "%s", text(rule, "host"));
        }
        join_end(c, &j, "*");
}

static void cell_ingress_address(const struct cell *c)
{
        struct joiner j = { .b = STRBUF_INIT };

        join_balancer(c, &j);
        join_end(c, &j, "");
}

static void cell_ingress_ports(const struct cell *c)
{
        cell_string(c, json_len(json_path(c->obj, "spec.tls")) ? "80, 443" : "80");
}

static void cell_ingress_class_parameters(const struct cell *c)
{
        const struct json *p = json_path(c->obj, "spec.parameters");
        const char *group = text(p, "apiGroup");

        if (p)
                cell_printf(c, "%s%s%s/%s", text(p, "kind"), *group ? "." : "", group, text(p, "name"));
        else
                cell_string(c, "<none>");
}

/* Upstream sends the age as a third cell although the table has two columns; kubectl depends on neither. */
static void cell_ip_parent(const struct cell *c)
{
        const struct json *p = json_path(c->obj, "spec.parentRef");
        const char *group = text(p, "group"), *ns = text(p, "namespace");

        if (p)
                cell_printf(c, "%s%s%s%s%s/%s", text(p, "resource"), *group ? "." : "", group, *ns ? "/" : "", ns,
                            text(p, "name"));
        else
                cell_string(c, "<none>");
        strbuf_putc(c->out, ',');
        cell_age(c, json_path_string(c->obj, "metadata.creationTimestamp"));
}

/* --- nodes --- */

static void cell_node_status(const struct cell *c)
{
        const char *ready = json_get_string(cell_condition(c->obj, "Ready"), "status");

        cell_printf(c, "%s%s", !ready ? "Unknown" : streq(ready, "True") ? "Ready" : "NotReady",
                    json_path_bool(c->obj, "spec.unschedulable", false) ? ",SchedulingDisabled" : "");
}

static void cell_node_roles(const struct cell *c)
{
        static const char prefix[] = "node-role.kubernetes.io/";
        const struct json *labels = json_path(c->obj, "metadata.labels");
        struct joiner j = { .b = STRBUF_INIT };
        size_t n = 0;
        _cleanup_free_ const char **roles = xcalloc(json_len(labels) + 1, sizeof(*roles));

        json_foreach_member(labels, m) {
                if (str_has_prefix(m->key, prefix) && m->key[sizeof(prefix) - 1])
                        roles[n++] = m->key + sizeof(prefix) - 1;
                else if (streq(m->key, "kubernetes.io/role") && !str_empty(json_string(m->value)))
                        roles[n++] = json_string(m->value);
        }
        qsort(roles, n, sizeof(*roles), compare_strings);
        for (size_t i = 0; i < n; i++)
                if (!i || !streq(roles[i], roles[i - 1]))
                        join_add(&j, "%s", roles[i]);
        join_end(c, &j, "<none>");
}

static void cell_node_address(const struct cell *c)
{
        json_foreach_item(json_path(c->obj, "status.addresses"), address)
                if (streq(text(address, "type"), c->args)) {
                        cell_string(c, text(address, "address"));
                        return;
                }
        cell_string(c, "<none>");
}

static void cell_node_kernel(const struct cell *c)
{
        const struct json *info = json_path(c->obj, "status.nodeInfo");
        const char *kernel = text(info, "kernelVersion"), *architecture = text(info, "architecture");

        cell_printf(c, "%s%s%s%s", *kernel ? kernel : "<unknown>", *architecture ? " (" : "", architecture,
                    *architecture ? ")" : "");
}

/* --- events --- */

static void cell_event_last_seen(const struct cell *c)
{
        static const char *const times[] = { "lastTimestamp", "deprecatedLastTimestamp", "firstTimestamp",
                                             "deprecatedFirstTimestamp", "eventTime" };
        const struct json *series = json_get(c->obj, "series");
        const char *time = json_get_string(series, "lastObservedTime");

        for (size_t i = 0; !series && str_empty(time) && i < ARRAY_SIZE(times); i++)
                time = json_get_string(c->obj, times[i]);
        cell_age(c, time);
}

static void cell_event_object(const struct cell *c)
{
        const struct json *ref = cell_arg_path(c, 0);
        char kind[256];

        snprintf(kind, sizeof(kind), "%s", text(ref, "kind"));
        for (char *p = kind; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p += 'a' - 'A';
        cell_printf(c, "%s%s%s", kind, *text(ref, "name") ? "/" : "", text(ref, "name"));
}

static const char *first_of(const char *a, const char *b)
{
        return *a ? a : b;
}

static void cell_event_source(const struct cell *c)
{
        const struct json *source = json_get(c->obj, "source");
        const char *component, *instance;

        if (!source)
                source = json_get(c->obj, "deprecatedSource");
        component = first_of(text(source, "component"),
                             first_of(text(c->obj, "reportingComponent"), text(c->obj, "reportingController")));
        instance = first_of(text(source, "host"), text(c->obj, "reportingInstance"));
        cell_printf(c, "%s%s%s", component, *instance ? ", " : "", instance);
}

static void cell_event_count(const struct cell *c)
{
        const struct json *series = json_get(c->obj, "series");
        int64_t n = series ? json_get_int(series, "count", 0)
                           : json_get_int(c->obj, "count", json_get_int(c->obj, "deprecatedCount", 0));

        cell_int(c, !n && !series ? 1 : n);
}

/* --- volumes --- */

static void write_access_modes(const struct cell *c, const struct json *modes)
{
        static const char *const names[][2] = { { "ReadWriteOnce", "RWO" },
                                                { "ReadOnlyMany", "ROX" },
                                                { "ReadWriteMany", "RWX" },
                                                { "ReadWriteOncePod", "RWOP" } };
        struct joiner j = { .b = STRBUF_INIT };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                json_foreach_item(modes, mode)
                        if (streq(json_string(mode), names[i][0])) {
                                join_add(&j, "%s", names[i][1]);
                                break;
                        }
        join_end(c, &j, "");
}

static void cell_access_modes(const struct cell *c)
{
        write_access_modes(c, cell_arg_path(c, 0));
}

static bool bound(const struct cell *c)
{
        return !str_empty(json_path_string(c->obj, "spec.volumeName"));
}

static void cell_bound_access_modes(const struct cell *c)
{
        write_access_modes(c, bound(c) ? cell_arg_path(c, 0) : NULL);
}

static void cell_bound(const struct cell *c)
{
        const char *value = json_string(cell_arg_path(c, 0));

        cell_string(c, !bound(c) ? "" : value ? value : "0");
}

static void cell_volume_class(const struct cell *c)
{
        const struct json *annotation =
                json_get(json_path(c->obj, "metadata.annotations"), "volume.beta.kubernetes.io/storage-class");

        cell_string(c, annotation ? json_string(annotation) : json_path_string(c->obj, "spec.storageClassName"));
}

static void cell_pv_claim(const struct cell *c)
{
        const struct json *ref = json_path(c->obj, "spec.claimRef");

        if (ref)
                cell_printf(c, "%s/%s", text(ref, "namespace"), text(ref, "name"));
        else
                cell_string(c, "");
}

/* --- others --- */

static const struct json *healthy(const struct cell *c)
{
        json_foreach_item(json_get(c->obj, "conditions"), condition)
                if (streq(text(condition, "type"), "Healthy"))
                        return condition;
        return NULL;
}

static void cell_component_status(const struct cell *c)
{
        const struct json *condition = healthy(c);

        cell_string(c, !condition ? "Unknown" : streq(text(condition, "status"), "True") ? "Healthy" : "Unhealthy");
}

static void cell_component(const struct cell *c)
{
        cell_string(c, text(healthy(c), c->args + 1));
}

/* Names that begin with "limits." in one cell, all others in the other. */
static void cell_quota(const struct cell *c)
{
        const struct json *hard = json_path(c->obj, "status.hard"), *used = json_path(c->obj, "status.used");
        struct joiner j = { .b = STRBUF_INIT, .separator = ", " };
        size_t n = 0;
        _cleanup_free_ const char **names = xcalloc(json_len(hard) + 1, sizeof(*names));

        json_foreach_member(hard, m)
                if (str_has_prefix(m->key, "limits.") == (c->args[0] != '\0'))
                        names[n++] = m->key;
        qsort(names, n, sizeof(*names), compare_strings);
        for (size_t i = 0; i < n; i++)
                join_add(&j, "%s: %s/%s", names[i], json_get(used, names[i]) ? text(used, names[i]) : "0",
                         text(hard, names[i]));
        join_end(c, &j, "");
}

static void cell_subjects(const struct cell *c)
{
        struct joiner j = { .b = STRBUF_INIT, .separator = ", " };

        json_foreach_item(json_get(c->obj, "subjects"), subject) {
                if (!streq(text(subject, "kind"), c->args))
                        continue;
                if (streq(c->args, "ServiceAccount"))
                        join_add(&j, "%s/%s", text(subject, "namespace"), text(subject, "name"));
                else
                        join_add(&j, "%s", text(subject, "name"));
        }
        join_end(c, &j, "");
}

static void cell_csr_duration(const struct cell *c)
{
        int64_t seconds = json_path_int(c->obj, "spec.expirationSeconds", -1);
        char buf[32];

        cell_string(c, seconds < 0 ? "<none>" : human_duration(seconds * NS_PER_SEC, buf));
}

static void cell_csr_condition(const struct cell *c)
{
        const char *decision = cell_condition(c->obj, "Denied")     ? "Denied"
                               : cell_condition(c->obj, "Approved") ? "Approved"
                                                                    : "Pending";

        cell_printf(c, "%s%s%s", decision, cell_condition(c->obj, "Failed") ? ",Failed" : "",
                    str_empty(json_path_string(c->obj, "status.certificate")) ? "" : ",Issued");
}

static void cell_claim_state(const struct cell *c)
{
        struct joiner j = { .b = STRBUF_INIT };
        bool deleted = json_path(c->obj, "metadata.deletionTimestamp");

        if (deleted)
                join_add(&j, "deleted");
        if (json_path(c->obj, "status.allocation")) {
                join_add(&j, "allocated");
                if (json_len(json_path(c->obj, "status.reservedFor")))
                        join_add(&j, "reserved");
        } else if (!deleted) {
                join_add(&j, "pending");
        }
        join_end(c, &j, "");
}

static void cell_apiservice_service(const struct cell *c)
{
        const struct json *service = json_path(c->obj, "spec.service");

        if (service)
                cell_printf(c, "%s/%s", text(service, "namespace"), text(service, "name"));
        else
                cell_string(c, "Local");
}

static void cell_apiservice_available(const struct cell *c)
{
        const struct json *condition = cell_condition(c->obj, "Available");
        const char *status = condition ? text(condition, "status") : "Unknown", *reason = text(condition, "reason");

        if (streq(status, "True") || !*reason)
                cell_string(c, status);
        else
                cell_printf(c, "%s (%s)", status, reason);
}

static void cell_param_kind(const struct cell *c)
{
        const struct json *kind = json_path(c->obj, "spec.paramKind");

        if (kind)
                cell_printf(c, "%s/%s", text(kind, "apiVersion"), text(kind, "kind"));
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
                strbuf_printf(b, "LabelSelectorRequirement{Key:%s,Operator:%s,Values:[", text(e, "key"), text(e, "operator"));
                json_foreach_item(json_get(e, "values"), v)
                        strbuf_printf(b, "%s%s", v_i ? " " : "", json_string(v) ? json_string(v) : "");
                strbuf_puts(b, "],},");
        }
        strbuf_puts(b, "},}");
}

static void cell_param_ref(const struct cell *c)
{
        const struct json *ref = json_path(c->obj, "spec.paramRef");
        const char *ns = text(ref, "namespace"), *name = text(ref, "name");
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
        const char *type = text(metric, "type"), *key = NULL;
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
        now = streq(text(current, "type"), type) ? json_get(json_get(current, key), "current") : NULL;
        resource = streq(type, "Resource") || streq(type, "ContainerResource");
        average = json_get(target, "averageValue");
        if (resource)
                strbuf_printf(b, "%s: ", text(spec, "name"));
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
        strbuf_printf(b, "%s/%s", json_get(now, key) ? text(now, key) : "<unknown>", text(target, key));
        if (average && (streq(type, "Object") || streq(type, "External")))
                strbuf_puts(b, " (avg)");
}

static void metric_targets(const struct cell *c)
{
        const struct json *metrics = json_path(c->obj, "spec.metrics");
        const struct json *current = json_path(c->obj, "status.currentMetrics");
        struct joiner j = { .b = STRBUF_INIT, .max = 2, .separator = ", " };

        json_foreach_item(metrics, metric) {
                _cleanup_strbuf_ struct strbuf one = STRBUF_INIT;

                print_metric(&one, metric, json_at(current, metric_i));
                join_add(&j, "%s", strbuf_str(&one));
        }
        join_end(c, &j, "<none>");
}

/* The old version has a goal for the CPU alone. */
static void cell_hpa_targets(const struct cell *c)
{
        const struct json *goal = json_path(c->obj, "spec.targetCPUUtilizationPercentage");
        const struct json *now = json_path(c->obj, "status.currentCPUUtilizationPercentage");
        struct joiner j = { .b = STRBUF_INIT, .max = 1, .separator = "" };

        if (!json_is_number(goal)) {
                metric_targets(c);
                return;
        }
        if (json_is_number(now))
                join_add(&j, "cpu: %s%%/%s%%", now->str, goal->str);
        else
                join_add(&j, "cpu: <unknown>/%s%%", goal->str);
        join_end(c, &j, "<none>");
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
