/* A container's environment: see env.h. The order of precedence is upstream's: Services are below
 * envFrom, which is below env; in each the later one wins.
 */
#include "env.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "../../lib/base/encode.h"
#include "../volumes/downward.h"

struct env_list {
        struct arena *a;
        char **items; /* "NAME=value" */
        size_t n, cap;
};

static const char *env_find(const char *const *items, size_t n, const char *name, size_t len)
{
        for (size_t i = 0; i < n; i++)
                if (strncmp(items[i], name, len) == 0 && items[i][len] == '=')
                        return items[i] + len + 1;
        return NULL;
}

static void env_set(struct env_list *l, const char *name, const char *value)
{
        size_t len = strlen(name);
        char *text = arena_printf(l->a, "%s=%s", name, value);
        for (size_t i = 0; i < l->n; i++)
                if (strncmp(l->items[i], name, len) == 0 && l->items[i][len] == '=') {
                        l->items[i] = text;
                        return;
                }
        array_reserve(l->items, l->cap, l->n + 1);
        l->items[l->n++] = text;
}

/* --- $(VAR) --- */

static char *expand(struct arena *a, const char *text, const char *const *env, size_t n)
{
        struct strbuf out = STRBUF_INIT;
        for (const char *p = text; *p; p++) {
                if (*p != '$' || !p[1]) {
                        strbuf_putc(&out, *p);
                        continue;
                }
                p++;
                const char *end = *p == '(' ? strchr(p, ')') : NULL;
                if (*p == '$') {
                        strbuf_putc(&out, '$');
                } else if (end) {
                        const char *value = env_find(env, n, p + 1, (size_t)(end - p - 1));
                        if (value)
                                strbuf_puts(&out, value);
                        else
                                strbuf_append(&out, p - 1, (size_t)(end - p + 2));
                        p = end;
                } else {
                        strbuf_putc(&out, '$');
                        strbuf_putc(&out, *p);
                }
        }
        char *r = arena_strdup(a, strbuf_str(&out));
        strbuf_deinit(&out);
        return r;
}

static size_t env_len(const char *const *env)
{
        size_t n = 0;
        while (env && env[n])
                n++;
        return n;
}

char *env_expand(struct arena *a, const char *text, const char *const *env)
{
        return expand(a, text, env, env_len(env));
}

const char *const *env_expand_list(struct arena *a, const struct json *list, const char *const *env)
{
        size_t n = json_len(list);
        if (!n)
                return NULL;
        const char **r = arena_calloc(a, (n + 1) * sizeof(*r));
        for (size_t i = 0; i < n; i++) {
                const char *s = json_string(json_at(list, i));
                r[i] = env_expand(a, s ? s : "", env);
        }
        return r;
}

/* --- Services --- */

static char *env_name(struct arena *a, const char *s)
{
        char *r = arena_strdup(a, s);
        for (char *p = r; *p; p++)
                *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
        return r;
}

static void env_service_port(struct env_list *l, const char *name, const char *ip, const struct json *port, bool first)
{
        struct arena *a = l->a;
        const char *proto = json_get_string(port, "protocol");
        if (!proto)
                proto = "TCP";
        long number = (long)json_get_int(port, "port", 0);
        char *lower = arena_strdup(a, proto);
        for (char *p = lower; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        bool v6 = strchr(ip, ':');
        char *url = arena_printf(a, v6 ? "%s://[%s]:%ld" : "%s://%s:%ld", lower, ip, number);
        char *digits = arena_printf(a, "%ld", number);
        char *prefix = arena_printf(a, "%s_PORT_%ld_%s", name, number, proto);
        if (first) {
                env_set(l, arena_printf(a, "%s_SERVICE_PORT", name), digits);
                env_set(l, arena_printf(a, "%s_PORT", name), url);
        }
        const char *port_name = json_get_string(port, "name");
        if (!str_empty(port_name))
                env_set(l, arena_printf(a, "%s_SERVICE_PORT_%s", name, env_name(a, port_name)), digits);
        env_set(l, prefix, url);
        env_set(l, arena_printf(a, "%s_PROTO", prefix), lower);
        env_set(l, arena_printf(a, "%s_PORT", prefix), digits);
        env_set(l, arena_printf(a, "%s_ADDR", prefix), ip);
}

static void env_services(struct env_list *l, const struct json *pod, const struct env_source *src)
{
        const char *namespace = json_path_string(pod, "metadata.namespace");
        bool links = json_path_bool(pod, "spec.enableServiceLinks", true);
        for (size_t i = 0; i < src->n_services; i++) {
                const struct json *svc = src->services[i];
                const char *name = json_path_string(svc, "metadata.name");
                const char *ns = json_path_string(svc, "metadata.namespace");
                const char *ip = json_path_string(svc, "spec.clusterIP");
                bool master = streq(name, "kubernetes") && streq(ns, "default");
                if (str_empty(ip) || streq(ip, "None") || !(master || (links && streq(ns, namespace))))
                        continue;
                const char *prefix = env_name(l->a, name);
                env_set(l, arena_printf(l->a, "%s_SERVICE_HOST", prefix), ip);
                json_foreach_item(json_path(svc, "spec.ports"), port)
                        env_service_port(l, prefix, ip, port, port_i == 0);
        }
}

/* --- ConfigMaps and Secrets --- */

/* Secrets come base64-encoded; a ConfigMap's binaryData is not for the environment. */
static int data_value(struct arena *a, const char *resource, const struct json *value, const char **ret)
{
        const char *s = json_string(value);
        if (!s || streq(resource, "configmaps")) {
                *ret = s ? s : "";
                return 0;
        }
        struct strbuf b = STRBUF_INIT;
        int r = base64_decode(&b, s, strlen(s), NULL);
        *ret = arena_strdup(a, strbuf_str(&b));
        strbuf_deinit(&b);
        return r;
}

/* 0: *ret is the object; 1: it is missing and that is allowed. */
static int fetch(struct arena *a, const struct json *pod, const struct json *ref, const char *resource,
                 const struct env_source *src, struct json **ret, struct error *reterr)
{
        const char *name = json_get_string(ref, "name");
        const char *singular = streq(resource, "secrets") ? "secret" : "configmap";
        int r = src->get(resource, json_path_string(pod, "metadata.namespace"), name ? name : "", a, ret,
                         src->userdata, reterr);
        if (r == 0)
                return 0;
        if (r > 0 && json_get_bool(ref, "optional", false))
                return 1;
        if (r > 0)
                return error_set(reterr, -EINVAL, "%s \"%s\" not found", singular, name ? name : "");
        return r;
}

static int env_from(struct env_list *l, const struct json *pod, const struct json *container,
                    const struct env_source *src, struct error *reterr)
{
        json_foreach_item(json_get(container, "envFrom"), from) {
                const struct json *ref = json_get(from, "configMapRef");
                const char *resource = ref ? "configmaps" : "secrets";
                const char *prefix = json_get_string(from, "prefix");
                struct json *object = NULL;
                if (!ref)
                        ref = json_get(from, "secretRef");
                if (!ref)
                        continue;
                int r = fetch(l->a, pod, ref, resource, src, &object, reterr);
                if (r < 0)
                        return r;
                json_foreach_member(r == 0 ? json_get(object, "data") : NULL, m) {
                        const char *value;
                        if (data_value(l->a, resource, m->value, &value) < 0)
                                continue;
                        env_set(l, arena_printf(l->a, "%s%s", prefix ? prefix : "", m->key), value);
                }
        }
        return 0;
}

/* 0: *ret; 1: optional and not there; negative: upstream's text. */
static int value_from_key(struct arena *a, const struct json *pod, const struct json *ref, const char *resource,
                          const struct env_source *src, const char **ret, struct error *reterr)
{
        struct json *object = NULL;
        const char *key = json_get_string(ref, "key");
        int r = fetch(a, pod, ref, resource, src, &object, reterr);
        if (r != 0)
                return r;
        const struct json *value = json_get(json_get(object, "data"), key ? key : "");
        if (value)
                return data_value(a, resource, value, ret);
        if (json_get_bool(ref, "optional", false))
                return 1;
        return error_set(reterr, -EINVAL, "couldn't find key %s in %s %s/%s", key,
                         streq(resource, "secrets") ? "Secret" : "ConfigMap",
                         json_path_string(pod, "metadata.namespace"), json_get_string(ref, "name"));
}

static int value_from(struct arena *a, const struct json *pod, const struct json *container, const struct json *from,
                      const struct env_source *src, const char **ret, struct error *reterr)
{
        const struct json *ref;
        char *value = NULL;
        if ((ref = json_get(from, "configMapKeyRef")))
                return value_from_key(a, pod, ref, "configmaps", src, ret, reterr);
        if ((ref = json_get(from, "secretKeyRef")))
                return value_from_key(a, pod, ref, "secrets", src, ret, reterr);
        int r;
        if ((ref = json_get(from, "fieldRef")))
                r = downward_field(a, pod, json_get_string(ref, "fieldPath"), &value, reterr);
        else if ((ref = json_get(from, "resourceFieldRef")))
                r = downward_resource(a, pod, container, ref, src->allocatable, &value, reterr);
        else
                return error_set(reterr, -EINVAL, "this source of an environment variable is not supported");
        *ret = value;
        return r;
}

int env_build(struct arena *a, const struct json *pod, const struct json *container, const struct env_source *src,
              const char *const **ret, struct error *reterr)
{
        struct env_list l = {.a = a};
        int r;
        env_services(&l, pod, src);
        r = env_from(&l, pod, container, src, reterr);
        json_foreach_item(json_get(container, "env"), var) {
                const char *name = json_get_string(var, "name"), *value = json_get_string(var, "value");
                const struct json *from = json_get(var, "valueFrom");
                if (r < 0)
                        break;
                if (from && str_empty(value)) {
                        r = value_from(a, pod, container, from, src, &value, reterr);
                        if (r < 0)
                                break;
                        if (r > 0) {
                                r = 0;
                                continue;
                        }
                } else {
                        value = expand(a, value ? value : "", (const char *const *)l.items, l.n);
                }
                env_set(&l, name ? name : "", value ? value : "");
        }
        if (r >= 0) {
                const char **out = arena_calloc(a, (l.n + 1) * sizeof(*out));
                for (size_t i = 0; i < l.n; i++)
                        out[i] = l.items[i];
                *ret = out;
                r = 0;
        }
        free(l.items);
        return r;
}
