/* fieldRef and resourceFieldRef. */
#include "downward.h"

#include <errno.h>
#include <inttypes.h>

#include "../../lib/meta/quantity.h"

static int by_key(const void *x, const void *y)
{
        return strcmp((*(const struct json_member *const *)x)->key, (*(const struct json_member *const *)y)->key);
}

/* key="value" lines, sorted, values escaped as Go's %q does. */
static char *print_map(struct arena *a, const struct json *map)
{
        const struct json_member **all = arena_calloc(a, (json_len(map) + 1) * sizeof(*all));
        struct strbuf b = STRBUF_INIT;
        size_t n = 0;
        char *s;

        json_foreach_member(map, m)
                all[n++] = m;
        qsort(all, n, sizeof(*all), by_key);
        for (size_t i = 0; i < n; i++) {
                const char *v = json_string(all[i]->value);
                strbuf_printf(&b, "%s%s=", i ? "\n" : "", all[i]->key);
                json_write_string(&b, v ? v : "", v ? strlen(v) : 0);
        }
        s = arena_strdup(a, strbuf_str(&b));
        strbuf_deinit(&b);
        return s;
}

/* metadata.labels['key'] */
static bool subscript(struct arena *a, const char *path, const char *prefix, char **ret_key)
{
        size_t n = strlen(prefix), len = strlen(path);

        if (!str_has_prefix(path, prefix) || path[n] != '[' || len < n + 4 || path[len - 1] != ']')
                return false;
        *ret_key = arena_strndup(a, path + n + 2, len - n - 4);
        return true;
}

static char *join_ips(struct arena *a, const struct json *list)
{
        char *s = arena_strdup(a, "");

        json_foreach_item(list, i)
                if (json_get_string(i, "ip"))
                        s = arena_printf(a, "%s%s%s", s, *s ? "," : "", json_get_string(i, "ip"));
        return s;
}

int downward_field(struct arena *a, const struct json *pod, const char *path, char **ret, struct error *reterr)
{
        static const char *const plain[] = { "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
                                             "spec.serviceAccountName", "status.podIP", "status.hostIP" };
        const char *value;
        char *key;

        if (!path)
                path = "";
        for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
                if (streq(path, plain[i])) {
                        value = json_path_string(pod, path);
                        *ret = arena_strdup(a, value ? value : "");
                        return 0;
                }
        if (streq(path, "metadata.labels") || streq(path, "metadata.annotations"))
                *ret = print_map(a, json_path(pod, path));
        else if (streq(path, "status.podIPs") || streq(path, "status.hostIPs"))
                *ret = join_ips(a, json_path(pod, path));
        else if (subscript(a, path, "metadata.labels", &key)) {
                value = json_get_string(json_path(pod, "metadata.labels"), key);
                *ret = arena_strdup(a, value ? value : "");
        } else if (subscript(a, path, "metadata.annotations", &key)) {
                value = json_get_string(json_path(pod, "metadata.annotations"), key);
                *ret = arena_strdup(a, value ? value : "");
        } else
                return error_set(reterr, -EINVAL, "unsupported fieldPath: %s", path);
        return 0;
}

static const struct json *find_container(const struct json *pod, const char *name)
{
        static const char *const lists[] = { "spec.containers", "spec.initContainers" };

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_path(pod, lists[i]), c)
                        if (streq(json_get_string(c, "name"), name))
                                return c;
        return NULL;
}

static bool parse(const struct json *j, struct quantity *q)
{
        return (json_is_string(j) || json_is_number(j)) && quantity_parse(j->str, q) == 0;
}

int downward_resource(struct arena *a, const struct json *pod, const struct json *container, const struct json *ref,
                      const struct json *allocatable, char **ret, struct error *reterr)
{
        const char *resource = json_get_string(ref, "resource"), *name = json_get_string(ref, "containerName"), *dot;
        struct quantity q = { 0 }, divisor = { 0 };
        char *kind;
        int64_t value, by;
        bool cpu;

        if (name)
                container = find_container(pod, name);
        if (!container)
                return error_set(reterr, -EINVAL, "container %s not found", name ? name : "");
        dot = resource ? strchr(resource, '.') : NULL;
        if (!dot)
                return error_set(reterr, -EINVAL, "unsupported container resource : %s", resource ? resource : "");
        kind = arena_strndup(a, resource, (size_t)(dot - resource));
        if (!parse(json_get(json_get(json_get(container, "resources"), kind), dot + 1), &q) && streq(kind, "limits"))
                parse(json_get(allocatable, dot + 1), &q);
        parse(json_get(ref, "divisor"), &divisor);
        cpu = streq(dot + 1, "cpu");
        by = divisor.nano == 0 ? (cpu ? 1000 : 1) : cpu ? quantity_milli(&divisor) : quantity_value(&divisor);
        value = cpu ? quantity_milli(&q) : quantity_value(&q);
        *ret = arena_printf(a, "%" PRId64, by > 0 ? (value + by - 1) / by : value);
        return 0;
}
