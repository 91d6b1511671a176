/* Pods once more: references to fields, claims and volumes, and what subresources may change. */
#include "metadata.h"

#include <arpa/inet.h>

#include "../../lib/meta/pod.h"
#include "../../lib/meta/quantity.h"
#include "functions.h"

static const char *text_at(const struct at *at)
{
        return json_string(at->j) ? json_string(at->j) : "";
}

static bool in_list(const char *const *list, const char *s)
{
        for (; *list; list++)
                if (streq(*list, s))
                        return true;
        return false;
}

static const struct at *spec_of(const struct at *at)
{
        while (at->up && !json_get(at->j, "containers"))
                at = at->up;
        return at;
}

/* --- downward API --- */

static const char *const env_fields[] = { "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
                                          "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP",
                                          "status.podIPs", NULL };
static const char *const volume_fields[] = { "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace",
                                             "metadata.uid", NULL };

/* REF is an ObjectFieldSelector; ALLOWED: what may be named here. */
static void check_field_ref(struct check *c, const struct at *ref, const char *const *allowed)
{
        static const char *const known[] = { "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace",
                                             "metadata.uid", "spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName",
                                             "spec.schedulerName", "status.phase", "status.hostIP", "status.hostIPs",
                                             "status.podIP", "status.podIPs", "spec.host", NULL };
        const struct at *path = at_field(c, ref, "fieldPath");
        const char *p = text_at(path), *version = json_get_string(ref->j, "apiVersion"), *open = strstr(p, "['");
        size_t n = strlen(p);

        if (!*p) {
                check_required(c, path, "");
                return;
        }
        if (version && !streq(version, "v1")) {
                check_invalid(c, path, "error converting fieldPath: unsupported pod version: %s", version);
                return;
        }
        if (open && n > 2 && streq(p + n - 2, "']")) {
                const char *base = arena_strndup(c->a, p, open - p), *key = arena_strndup(c->a, open + 2, p + n - 2 - (open + 2));

                if (!streq(base, "metadata.annotations") && !streq(base, "metadata.labels"))
                        check_invalid(c, path, "does not support subscript");
                else
                        name_validate_string(c->errs, NAME_QUALIFIED, at_path(c, ref), key);
                return;
        }
        if (!in_list(known, p))
                check_invalid(c, path, "error converting fieldPath: field label not supported: %s", p);
        else if (!in_list(allowed, p))
                field_error_not_supported(c->errs, at_path(c, path), path->j, allowed);
}

static void check_divisor(struct check *c, const struct at *ref, const char *resource)
{
        static const char *const cpu[] = { "0", "1m", "1", NULL };
        static const char *const bytes[] = { "0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
                                             NULL };
        const char *divisor = json_get_string(ref->j, "divisor");
        bool of_cpu = str_has_suffix(resource, ".cpu");

        if (divisor && !in_list(of_cpu ? cpu : bytes, divisor))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at_field(c, ref, "divisor")), json_new_string(c->a, resource),
                                of_cpu ? "only divisor's values 1m and 1 are supported with the cpu resource" :
                                         str_has_suffix(resource, ".memory") ?
                                         "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are "
                                         "supported with the memory resource" :
                                         "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are "
                                         "supported with the local ephemeral storage resource");
}

static void check_resource_ref(struct check *c, const struct at *ref, bool volume)
{
        static const char *const resources[] = { "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu",
                                                 "requests.ephemeral-storage", "requests.memory", NULL };
        const struct at *resource = at_field(c, ref, "resource"), *container = at_field(c, ref, "containerName");
        const char *r = text_at(resource);

        if (volume && !*text_at(container)) {
                check_required(c, container, "");
        } else if (!*r) {
                check_required(c, resource, "");
        } else if (!in_list(resources, r)) {
                if (!str_has_prefix(r, "limits.hugepages-") && !str_has_prefix(r, "requests.hugepages-"))
                        field_error_not_supported(c->errs, at_path(c, resource), resource->j, resources);
        } else {
                check_divisor(c, ref, r);
        }
}

void check_env_field(struct check *c, const struct at *at)
{
        check_field_ref(c, at, env_fields);
}

void check_env_resource(struct check *c, const struct at *at)
{
        check_resource_ref(c, at, false);
}

/* Items are named without their place in the list. */
static const struct at *unlisted(struct check *c, const struct at *item, const char *field)
{
        struct at *f = arena_memdup(c->a, at_field(c, item, field), sizeof(*f));

        f->up = item->up->up;
        return f;
}

void check_downward_item(struct check *c, const struct at *item)
{
        const struct at *path = unlisted(c, item, "path"), *field = unlisted(c, item, "fieldRef");
        const struct at *resource = unlisted(c, item, "resourceFieldRef");

        if (!*text_at(path))
                check_required(c, path, "");
        else
                check_local_non_reserved_path(c, path);
        if (at_set(field)) {
                check_field_ref(c, field, volume_fields);
                if (at_set(resource))
                        field_error_add_text(c->errs, FIELD_INVALID, at_path(c, item->up->up), "\"resource\"",
                                             "fieldRef and resourceFieldRef can not be specified simultaneously");
        } else if (at_set(resource)) {
                check_resource_ref(c, resource, true);
        } else {
                check_required(c, item->up->up, "one of fieldRef and resourceFieldRef is required");
        }
}

/* Whether AT's source or one before it puts another file at PATH; only what comes before (HERE, INDEX) counts. */
static bool path_taken(const struct json *sources, const char *path, size_t here, const char *field, size_t index)
{
        static const char *const fields[] = { "secret", "configMap", "downwardAPI" };

        for (size_t s = 0; s <= here; s++) {
                const struct json *source = json_at(sources, s);

                for (size_t f = 0; f < ARRAY_SIZE(fields); f++)
                        json_foreach_item(json_get(json_get(source, fields[f]), "items"), item) {
                                if (s == here && streq(fields[f], field) && item_i >= index)
                                        return false;
                                if (streq(json_get_string(item, "path"), path))
                                        return true;
                        }
                if (s < here && streq(json_path_string(source, "serviceAccountToken.path"), path))
                        return true;
        }
        return false;
}

/* Two sources of a volume must not write the same file. The error names the source, or the path where it has no name. */
static void check_projected_paths(struct check *c, const struct at *at)
{
        static const char *const fields[] = { "secret", "configMap", "downwardAPI" };
        const char *token = json_path_string(at->j, "serviceAccountToken.path");
        const char *where = at_path(c, at->up->up);

        for (size_t f = 0; f < ARRAY_SIZE(fields); f++) {
                const struct json *source = json_get(at->j, fields[f]);

                json_foreach_item(json_get(source, "items"), item) {
                        const char *path = json_get_string(item, "path"), *name = json_get_string(source, "name");

                        if (!str_empty(path) && path_taken(at->up->j, path, at->index, fields[f], item_i))
                                field_error_add(c->errs, FIELD_INVALID, where,
                                                json_new_string(c->a, f == 2 ? path : name ? name : ""), "conflicting duplicate paths");
                }
        }
        if (!str_empty(token) && path_taken(at->up->j, token, at->index, "", 0))
                field_error_add(c->errs, FIELD_INVALID, where, json_new_string(c->a, token), "conflicting duplicate paths");
}

void check_projected_source(struct check *c, const struct at *at)
{
        static const char *const fields[] = { "secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle",
                                              "podCertificate" };
        const struct at *token = at_field(c, at, "serviceAccountToken"), *expires = at_field(c, token, "expirationSeconds");
        const struct at *secret = at_field(c, at, "secret"), *map = at_field(c, at, "configMap");
        unsigned n = 0;
        int64_t seconds;

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (at_set(at_field(c, at, fields[i])) && n++)
                        check_forbidden(c, at, "may not specify more than 1 volume type per source");
        if (at_set(secret) && !*text_at(at_field(c, secret, "name")))
                check_required(c, at_field(c, secret, "name"), "");
        if (at_set(map) && !*text_at(at_field(c, map, "name")))
                check_required(c, at_field(c, map, "name"), "");
        check_projected_paths(c, at);
        if (!at_set(token))
                return;
        if (json_to_int(expires->j, &seconds) == 0 && seconds < 600)
                check_invalid(c, expires, "may not specify a duration less than 10 minutes");
        else if (json_to_int(expires->j, &seconds) == 0 && seconds > INT64_C(1) << 32)
                check_invalid(c, expires, "may not specify a duration larger than 2^32 seconds");
        if (!*text_at(at_field(c, token, "path")))
                check_required(c, at_field(c, token, "path"), "");
}

void check_size_limit(struct check *c, const struct at *at)
{
        struct quantity q;

        if (json_is_string(at->j) && quantity_parse(at->j->str, &q) == 0 && q.nano < 0)
                check_forbidden(c, at, "SizeLimit field must be a valid resource quantity");
}

/* --- containers --- */

void check_host_port_once(struct check *c, const struct at *at)
{
        const struct at *port = at->up;
        int64_t host = 0;
        const char *protocol = json_get_string(port->j, "protocol"), *ip = json_get_string(port->j, "hostIP");

        if (json_to_int(at->j, &host) != 0 || !host)
                return;
        for (size_t i = 0; i < port->index; i++) {
                const struct json *o = json_at(port->up->j, i);
                const char *other = json_get_string(o, "hostIP");

                if (json_get_int(o, "hostPort", 0) == host && streq(json_get_string(o, "protocol"), protocol) &&
                    streq(other ? other : "", ip ? ip : "")) {
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, at),
                                        json_new_stringf(c->a, "%s/%s/%lld", protocol ? protocol : "", ip ? ip : "", (long long)host),
                                        NULL);
                        return;
                }
        }
}

/* Upstream names the list, not the mount. */
void check_mount_propagation(struct check *c, const struct at *at)
{
        static const char *const modes[] = { "Bidirectional", "HostToContainer", "None", NULL };
        const struct at *list = at->up->up;
        const char *path = arena_printf(c->a, "%s.mountPropagation", at_path(c, list));

        if (!at_set(at))
                return;
        if (!in_list(modes, text_at(at)))
                field_error_not_supported(c->errs, path, at->j, modes);
        else if (streq(text_at(at), "Bidirectional") && !json_path_bool(list->up->j, "securityContext.privileged", false))
                field_error_add(c->errs, FIELD_FORBIDDEN, path, NULL,
                                "Bidirectional mount propagation is available only to privileged containers");
}

void check_device_volume(struct check *c, const struct at *at)
{
        const struct json *found = NULL;
        const struct at *container = at->up->up->up;

        json_foreach_item(json_get(spec_of(at)->j, "volumes"), v)
                if (json_equal(json_get(v, "name"), at->j))
                        found = v;
        if (!found)
                field_error_add(c->errs, FIELD_NOT_FOUND, at_path(c, at), at->j, NULL);
        else if (!json_get(found, "persistentVolumeClaim") && !json_get(found, "ephemeral"))
                check_invalid(c, at, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
        json_foreach_item(json_get(container->j, "volumeMounts"), m)
                if (json_equal(json_get(m, "name"), at->j))
                        check_invalid(c, at, "must not already exist in volumeMounts");
}

static void check_pages(struct check *c, const struct at *map, bool *ret_any)
{
        json_foreach_member(map->j, m) {
                struct quantity q, page;

                if (!str_has_prefix(m->key, "hugepages-"))
                        continue;
                *ret_any = true;
                if (json_is_string(m->value) && quantity_parse(m->value->str, &q) == 0 &&
                    quantity_parse(m->key + strlen("hugepages-"), &page) == 0 && page.nano > 0 &&
                    (q.nano <= 0 || q.nano % page.nano != 0))
                        check_invalid(c, at_entry(c, map, m), "%s is not positive integer multiple of %s", m->value->str, m->key);
        }
}

void check_huge_pages(struct check *c, const struct at *at)
{
        const struct at *limits = at_field(c, at, "limits"), *requests = at_field(c, at, "requests");
        bool any = false, ordinary = false;

        check_pages(c, limits, &any);
        check_pages(c, requests, &any);
        ordinary = json_get(limits->j, "cpu") || json_get(limits->j, "memory") || json_get(requests->j, "cpu") ||
                   json_get(requests->j, "memory");
        if (any && !ordinary)
                check_forbidden(c, at, "HugePages require cpu or memory");
}

void check_resource_claims(struct check *c, const struct at *at)
{
        const struct at *claims = at_field(c, at, "claims");
        const struct json *there = json_get(spec_of(at)->j, "resourceClaims");

        for (size_t i = 0; i < json_len(claims->j); i++) {
                const struct at *one = at_item(c, claims, i);
                const char *name = json_get_string(one->j, "name");
                bool found = false;

                json_foreach_item(there, k)
                        found |= streq(json_get_string(k, "name"), name);
                if (str_empty(name))
                        check_required(c, at_field(c, one, "name"), "");
                else if (!found)
                        field_error_add(c->errs, FIELD_NOT_FOUND, at_path(c, one),
                                        json_new_string(c->a, name), "must be one of the names in pod.spec.resourceClaims%s",
                                        json_len(there) ? "" : " which is empty");
        }
}

void check_no_localhost_profile(struct check *c, const struct at *at)
{
        if (at_set(at))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at->up),
                                     "can only be set when seccomp type is Localhost");
}

void check_escalation(struct check *c, const struct at *at)
{
        const struct json *allowed = json_get(at->j, "allowPrivilegeEscalation");
        bool admin = false;

        if (!json_is_bool(allowed) || allowed->boolean)
                return;
        json_foreach_item(json_path(at->j, "capabilities.add"), k)
                admin |= streq(json_string(k), "CAP_SYS_ADMIN");
        if (json_get_bool(at->j, "privileged", false))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at),
                                     "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        if (admin)
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at),
                                     "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
}

/* --- the spec --- */

void check_os_name(struct check *c, const struct at *at)
{
        static const char *const names[] = { "linux", "windows", NULL };

        if (!in_list(names, text_at(at)))
                field_error_not_supported(c->errs, at_path(c, at->up), at->j, names);
}

void check_scheduling_gate(struct check *c, const struct at *at)
{
        const char *name = json_get_string(at->j, "name");

        name_validate_string(c->errs, NAME_QUALIFIED, at_path(c, at), name ? name : "");
        for (size_t i = 0; i < at->index; i++)
                if (streq(json_get_string(json_at(at->up->j, i), "name"), name))
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, at), json_new_string(c->a, name), NULL);
}

void check_sysctl_name(struct check *c, const struct at *at)
{
        const char *s = text_at(at);
        bool fine = strlen(s) <= 253, start = true;

        for (const char *p = s; *p; p++) {
                bool alnum = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
                bool separator = *p == '.' || *p == '/';

                if (!alnum && (start || (!separator && *p != '-' && *p != '_')))
                        fine = false;
                if ((separator || !p[1]) && p > s && (separator ? p[-1] == '-' || p[-1] == '_' : !alnum))
                        fine = false;
                start = separator;
        }
        if (!fine)
                check_invalid(c, at, "must have at most 253 characters and match regex "
                                     "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
}

/* The path is the term's, with a field in the singular. */
void check_affinity_namespace(struct check *c, const struct at *at)
{
        name_validate_string(c->errs, NAME_DNS1123_LABEL, arena_printf(c->a, "%s.namespace", at_path(c, at->up->up)), text_at(at));
}

void check_min_domains(struct check *c, const struct at *at)
{
        const char *when = json_get_string(at->up->j, "whenUnsatisfiable");

        if (at_set(at) && !streq(when, "DoNotSchedule"))
                check_invalid(c, at, "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not %s", when ? when : "");
}

void check_spread_once(struct check *c, const struct at *at)
{
        const char *key = json_get_string(at->j, "topologyKey"), *when = json_get_string(at->j, "whenUnsatisfiable");

        for (size_t i = 0; i < at->index; i++) {
                const struct json *o = json_at(at->up->j, i);

                if (streq(json_get_string(o, "topologyKey"), key) && streq(json_get_string(o, "whenUnsatisfiable"), when)) {
                        /* The first of the two is named. */
                        field_error_add(c->errs, FIELD_DUPLICATE,
                                        arena_printf(c->a, "%s[%zu].{topologyKey, whenUnsatisfiable}", at_path(c, at->up), i),
                                        json_new_stringf(c->a, "{%s, %s}", key ? key : "", when ? when : ""), NULL);
                        return;
                }
        }
}

/* --- subresources --- */

static const struct json *named(const struct json *list, const char *name)
{
        json_foreach_item(list, k)
                if (streq(json_get_string(k, "name"), name))
                        return k;
        return NULL;
}

/* Ephemeral containers are added: those that are there stay as they are. */
void check_ephemeral_update(struct check *c, const struct at *at)
{
        const struct json *spec = at->up->j, *old = json_path(c->old, "spec.ephemeralContainers");

        for (size_t i = 0; i < json_len(at->j); i++) {
                const struct at *k = at_item(c, at, i), *name = at_field(c, k, "name");
                const struct at *target = at_field(c, k, "targetContainerName");
                bool twice = named(json_get(spec, "containers"), text_at(name)) || named(json_get(spec, "initContainers"), text_at(name));

                for (size_t n = 0; n < i; n++)
                        twice |= streq(json_get_string(json_at(at->j, n), "name"), text_at(name));
                if (twice)
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, name), name->j, NULL);
                if (*text_at(target) && !named(json_get(spec, "containers"), text_at(target)) &&
                    !named(json_get(spec, "initContainers"), text_at(target)))
                        field_error_add(c->errs, FIELD_NOT_FOUND, at_path(c, target), target->j, NULL);
        }
        json_foreach_item(old, was) {
                const char *name = json_get_string(was, "name");
                const struct json *is = named(at->j, name);

                if (!is)
                        check_forbidden(c, at, "existing ephemeral containers \"%s\" may not be removed\n", name);
                else if (!json_equal(was, is))
                        check_forbidden(c, at, "existing ephemeral containers \"%s\" may not be changed", name);
        }
}

static bool removed(const struct json *was, const struct json *is)
{
        json_foreach_member(was, m)
                if (!json_getn(is, m->key, m->key_len))
                        return true;
        return false;
}

/* Only resources of containers change, and not so that the pod becomes one of another class. */
void check_resize(struct check *c, const struct at *spec)
{
        const struct at *list = at_field(c, spec, "containers");
        const struct json *old = json_path(c->old, "spec.containers"), *was_spec = json_get(c->old, "spec");
        const char *class_was = pod_qos_class(c->old), *class_is = pod_qos_class(c->obj);
        struct json *x, *y;

        if (json_len(list->j) != json_len(old)) {
                check_forbidden(c, list, "containers may not be added or removed on resize");
                return;
        }
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *resources = at_field(c, at_item(c, list, i), "resources");
                const struct json *was = json_get(json_at(old, i), "resources");

                check_resources(c, resources);
                if (removed(json_get(was, "limits"), json_get(resources->j, "limits")))
                        check_forbidden(c, at_field(c, resources, "limits"), "resource limits cannot be removed");
                if (removed(json_get(was, "requests"), json_get(resources->j, "requests")))
                        check_forbidden(c, at_field(c, resources, "requests"), "resource requests cannot be removed");
        }
        if (!streq(class_was, class_is))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, spec), json_new_string(c->a, class_was),
                                "Pod QOS Class may not change as a result of resizing");
        x = json_clone(c->a, spec->j);
        y = json_clone(c->a, was_spec);
        json_foreach_item(json_get(x, "containers"), k)
                json_del(k, "resources");
        json_foreach_item(json_get(y, "containers"), k)
                json_del(k, "resources");
        json_foreach_item(json_get(x, "initContainers"), k)
                json_del(k, "resources");
        json_foreach_item(json_get(y, "initContainers"), k)
                json_del(k, "resources");
        if (!json_equal(x, y))
                check_forbidden(c, spec, "only cpu and memory resources are mutable");
}

void check_pod_ip(struct check *c, const struct at *at)
{
        unsigned char buf[16];

        if (*text_at(at) && inet_pton(AF_INET, text_at(at), buf) != 1 && inet_pton(AF_INET6, text_at(at), buf) != 1)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at->up), at->j,
                                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
}
