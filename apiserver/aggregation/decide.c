/* The decisions of aggregation: see decide.h. Texts and reasons are those of upstream's controllers. */
#include "decide.h"

#include <errno.h>

static const char *text(const struct json *obj, const char *path)
{
        const char *s = json_path_string(obj, path);

        return s ? s : "";
}

/* --- availability --- */

/* The port of SERVICE by number; NULL: it has none such. */
static const struct json *find_port(const struct json *service, int64_t port)
{
        json_foreach_item(json_path(service, "spec.ports"), p)
                if (json_get_int(p, "port", 0) == port)
                        return p;
        return NULL;
}

static bool is_ready(const struct json *endpoint)
{
        return json_path_bool(endpoint, "conditions.ready", true);
}

/* The number of the slice's port with this name; 0: none. */
static uint16_t slice_port(const struct json *slice, const char *name)
{
        json_foreach_item(json_get(slice, "ports"), p)
                if (streq(text(p, "name"), name) && json_get(p, "port"))
                        return (uint16_t)json_get_int(p, "port", 0);
        return 0;
}

static bool has_active_endpoint(const struct json *slices, const char *port_name)
{
        json_foreach_item(slices, slice) {
                if (!slice_port(slice, port_name))
                        continue;
                json_foreach_item(json_get(slice, "endpoints"), e)
                        if (is_ready(e))
                                return true;
        }
        return false;
}

static bool is_cluster_ip(const struct json *service)
{
        const char *type = text(service, "spec.type");

        return !*type || streq(type, "ClusterIP");
}

struct availability availability_of_service(struct arena *a, const struct json *api_service, const struct json *service,
                                            const struct json *slices)
{
        const char *name = text(api_service, "spec.service.name"), *ns = text(api_service, "spec.service.namespace");
        int64_t port = json_path_int(api_service, "spec.service.port", 443);
        const struct json *found;

        if (!service)
                return (struct availability){"False", "ServiceNotFound",
                                             arena_printf(a, "service/%s in \"%s\" is not present", name, ns)};
        if (!is_cluster_ip(service))
                return (struct availability){"True", NULL, NULL};
        found = find_port(service, port);
        if (!found)
                return (struct availability){"False", "ServicePortError",
                                             arena_printf(a, "service/%s in \"%s\" is not listening on port %lld", name, ns,
                                                          (long long)port)};
        if (!json_len(slices))
                return (struct availability){"False", "EndpointsNotFound",
                                             arena_printf(a, "cannot find endpointslices for service/%s in \"%s\"", name, ns)};
        if (!has_active_endpoint(slices, text(found, "name")))
                return (struct availability){
                        "False", "MissingEndpoints",
                        arena_printf(a, "endpointslices for service/%s in \"%s\" have no addresses with port name \"%s\"", name, ns,
                                     text(found, "name"))};
        return (struct availability){"True", NULL, NULL};
}

static const struct json *available_condition(const struct json *conditions)
{
        json_foreach_item(conditions, c)
                if (streq(json_get_string(c, "type"), "Available"))
                        return c;
        return NULL;
}

bool availability_is(const struct json *api_service)
{
        return streq(text(available_condition(json_path(api_service, "status.conditions")), "status"), "True");
}

bool availability_set(struct arena *a, const struct json *conditions, const struct availability *v, const char *now,
                      struct json **ret)
{
        const struct json *old = available_condition(conditions);
        struct json *list = json_new_array(a), *c = old ? json_clone(a, old) : json_new_object(a);

        if (old && streq(text(old, "status"), v->status) && streq(text(old, "reason"), v->reason) &&
            streq(text(old, "message"), v->message))
                return false;
        json_set_string(a, c, "type", "Available");
        if (!old || !streq(text(old, "status"), v->status))
                json_set_string(a, c, "lastTransitionTime", now);
        json_set_string(a, c, "status", v->status);
        json_set_string(a, c, "reason", v->reason);
        json_set_string(a, c, "message", v->message);
        json_foreach_item(conditions, other)
                if (other != old)
                        json_append(a, list, other);
        json_append(a, list, c);
        *ret = list;
        return true;
}

/* --- where a Service is --- */

static int endpoint_place(const struct json *service, const struct json *slices, const struct json *port, uint32_t chance,
                          struct place *ret, struct error *reterr)
{
        const char *port_name = text(port, "name");
        uint32_t ready = 0, at = 0;

        for (int round = 0; round < 2; round++) { /* count, then pick */
                if (round && !ready)
                        break;
                json_foreach_item(slices, slice) {
                        uint16_t number = slice_port(slice, port_name);

                        json_foreach_item(json_get(slice, "endpoints"), e) {
                                const char *ip = json_string(json_at(json_get(e, "addresses"), 0));

                                if (!number || !is_ready(e) || !ip)
                                        continue;
                                if (!round) {
                                        ready++;
                                } else if (at++ == chance % ready) {
                                        *ret = (struct place){ip, number};
                                        return 0;
                                }
                        }
                }
        }
        return error_set(reterr, -EHOSTUNREACH, "no endpoints available for service \"%s\"", text(service, "metadata.name"));
}

int service_place(struct arena *a, const struct json *service, const struct json *slices, int64_t port, bool routing,
                  uint32_t chance, struct place *ret, struct error *reterr)
{
        const char *ip = text(service, "spec.clusterIP"), *type = text(service, "spec.type");
        const struct json *found = find_port(service, port);

        if (!service)
                return error_set(reterr, -EHOSTUNREACH, "service not found");
        if (streq(type, "ExternalName")) {
                *ret = (struct place){arena_strdup(a, text(service, "spec.externalName")), (uint16_t)port};
                return 0;
        }
        if (!found)
                return error_set(reterr, -EHOSTUNREACH, "no service port %lld found for service \"%s\"", (long long)port,
                                 text(service, "metadata.name"));
        if (routing)
                return endpoint_place(service, slices, found, chance, ret, reterr);
        if (!*ip || streq(ip, "None"))
                return error_set(reterr, -EHOSTUNREACH, "cannot route to service with ClusterIP \"%s\"", ip);
        *ret = (struct place){ip, (uint16_t)port};
        return 0;
}

/* --- paths and documents --- */

bool path_group_version(struct arena *a, const char *path, const char **ret_group, const char **ret_version)
{
        size_t group, version;

        if (!str_has_prefix(path, "/apis/"))
                return false;
        path += strlen("/apis/");
        group = strcspn(path, "/");
        if (!group || !path[group])
                return false;
        version = strcspn(path + group + 1, "/");
        if (!version)
                return false;
        *ret_group = arena_strndup(a, path, group);
        *ret_version = arena_strndup(a, path + group + 1, version);
        return true;
}

struct json *discovery_pick(const struct json *list, const char *group, const char *version)
{
        json_foreach_item(json_get(list, "items"), g)
                if (streq(text(g, "metadata.name"), group))
                        json_foreach_item(json_get(g, "versions"), v)
                                if (streq(text(v, "version"), version))
                                        return json_get(v, "resources");
        return NULL;
}

static struct json *response_kind(struct arena *a, const struct json *r)
{
        struct json *kind = json_new_object(a);

        json_set_string(a, kind, "group", text(r, "group"));
        json_set_string(a, kind, "version", text(r, "version"));
        json_set_string(a, kind, "kind", text(r, "kind"));
        return kind;
}

static void copy_lists(struct arena *a, struct json *out, const struct json *r)
{
        static const char *const lists[] = {"verbs", "shortNames", "categories"};

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                if (json_len(json_get(r, lists[i])))
                        json_set(a, out, lists[i], json_clone(a, json_get(r, lists[i])));
}

static struct json *find_resource(const struct json *list, const char *name, size_t len)
{
        json_foreach_item(list, r)
                if (strlen(text(r, "resource")) == len && strncmp(text(r, "resource"), name, len) == 0)
                        return r;
        return NULL;
}

struct json *discovery_from_legacy(struct arena *a, const struct json *list)
{
        struct json *out = json_new_array(a);

        json_foreach_item(json_get(list, "resources"), r) {
                const char *name = text(r, "name");
                struct json *x = json_new_object(a);

                if (strchr(name, '/'))
                        continue;
                json_set_string(a, x, "resource", name);
                json_set(a, x, "responseKind", response_kind(a, r));
                json_set_string(a, x, "scope", json_get_bool(r, "namespaced", false) ? "Namespaced" : "Cluster");
                json_set_string(a, x, "singularResource", text(r, "singularName"));
                copy_lists(a, x, r);
                json_append(a, out, x);
        }
        json_foreach_item(json_get(list, "resources"), r) {
                const char *name = text(r, "name"), *slash = strchr(name, '/');
                struct json *x, *parent = slash ? find_resource(out, name, (size_t)(slash - name)) : NULL;

                if (!parent)
                        continue;
                x = json_new_object(a);
                json_set_string(a, x, "subresource", slash + 1);
                json_set(a, x, "responseKind", response_kind(a, r));
                copy_lists(a, x, r);
                json_append(a, json_ensure_array(a, parent, "subresources"), x);
        }
        return out;
}

/* A key that can stand between quotes as it is. */
static bool is_plain(const struct json_member *m)
{
        for (uint32_t i = 0; i < m->key_len; i++)
                if ((unsigned char)m->key[i] < ' ' || m->key[i] == '"' || m->key[i] == '\\')
                        return false;
        return true;
}

/* The types that J names, and those that they name, from ALL to OUT. DEPTH: types may lead to types for long, and this
 * runs on a fiber's stack. */
static void take_named(struct arena *a, const struct json *j, const struct json *all, struct json *out, unsigned depth)
{
        static const char prefix[] = "#/definitions/";

        if (depth > 2000)
                return;
        json_foreach_member(j, m) {
                const char *ref = streq(m->key, "$ref") ? json_string(m->value) : NULL, *name;
                const struct json *type;

                take_named(a, m->value, all, out, depth + 1);
                if (!ref || !str_has_prefix(ref, prefix))
                        continue;
                name = ref + strlen(prefix);
                type = json_get(all, name);
                if (!type || json_get(out, name))
                        continue;
                json_set(a, out, name, json_clone(a, type));
                take_named(a, type, all, out, depth + 1);
        }
        json_foreach_item(j, item)
                take_named(a, item, all, out, depth + 1);
}

struct json *openapi_v2_pick(struct arena *a, const struct json *doc, const char *group, const char *version)
{
        const char *path = arena_printf(a, "/apis/%s/%s/", group, version);
        struct json *out = json_new_object(a), *paths = json_ensure_object(a, out, "paths"), *types = json_new_object(a);

        json_foreach_member(json_get(doc, "paths"), m)
                if (str_has_prefix(m->key, path) && json_is_object(m->value) && is_plain(m))
                        json_setn(a, paths, m->key, m->key_len, json_clone(a, m->value));
        if (!json_len(paths))
                return NULL;
        take_named(a, paths, json_get(doc, "definitions"), types, 0);
        json_foreach_member(types, m)
                if (is_plain(m))
                        json_setn(a, json_ensure_object(a, out, "definitions"), m->key, m->key_len, m->value);
        return out;
}

const char *openapi_v3_pick(struct arena *a, const struct json *index, const char *group, const char *version)
{
        const struct json *entry = json_get(json_get(index, "paths"), arena_printf(a, "apis/%s/%s", group, version));
        const char *url = text(entry, "serverRelativeURL"), *hash = strstr(url, "hash=");

        if (!entry)
                return NULL;
        hash = hash ? hash + 5 : "";
        return arena_strndup(a, hash, strspn(hash, "0123456789ABCDEFabcdef"));
}

/* --- APIServices for ourselves --- */

struct json *automanaged_object(struct arena *a, const char *group, const char *version, int64_t group_priority,
                                int64_t version_priority, enum automanaged how)
{
        struct json *obj = json_new_object(a), *spec;

        json_set_string(a, obj, "apiVersion", "apiregistration.k8s.io/v1");
        json_set_string(a, obj, "kind", "APIService");
        json_path_set(a, obj, "metadata.name", json_new_stringf(a, "%s.%s", version, group));
        json_set_string(a, json_ensure_object(a, json_get(obj, "metadata"), "labels"), AUTOMANAGED_LABEL,
                        how == AUTOMANAGED_ONSTART ? "onstart" : "true");
        spec = json_ensure_object(a, obj, "spec");
        if (*group)
                json_set_string(a, spec, "group", group);
        json_set_string(a, spec, "version", version);
        json_set_int(a, spec, "groupPriorityMinimum", group_priority);
        json_set_int(a, spec, "versionPriority", version_priority);
        return obj;
}

static enum automanaged managed(const struct json *obj)
{
        const char *label = json_get_string(json_path(obj, "metadata.labels"), AUTOMANAGED_LABEL);

        return streq(label, "true") ? AUTOMANAGED_ALWAYS : streq(label, "onstart") ? AUTOMANAGED_ONSTART : AUTOMANAGED_NO;
}

enum automanaged_action automanaged_decide(const struct json *is, const struct json *wanted, bool done_once)
{
        enum automanaged have = managed(is), want = managed(wanted);

        if (want == AUTOMANAGED_ONSTART && done_once)
                return AUTOMANAGED_KEEP;
        if (!is)
                return wanted ? AUTOMANAGED_CREATE : AUTOMANAGED_KEEP;
        if (have == AUTOMANAGED_NO || (have == AUTOMANAGED_ONSTART && done_once))
                return AUTOMANAGED_KEEP;
        if (!wanted)
                return AUTOMANAGED_DELETE;
        return json_equal(json_get(is, "spec"), json_get(wanted, "spec")) ? AUTOMANAGED_KEEP : AUTOMANAGED_UPDATE;
}
