/* From a Pod's JSON to what runtimes take. */
#include "translate.h"

#include <errno.h>

#include "../../lib/meta/pod.h"
#include "../network/dns.h"

#define SHARES_MIN 2
#define SHARES_MAX 262144
#define PERIOD_US 100000
#define QUOTA_MIN_US 1000

const char *translate_qos(const struct json *pod)
{
        return pod_qos_class(pod);
}

int64_t translate_cpu_shares(int64_t milli)
{
        int64_t shares = milli * 1024 / 1000;

        return MIN(MAX(shares, SHARES_MIN), SHARES_MAX);
}

int64_t translate_cpu_quota(int64_t milli, int64_t period_us)
{
        if (milli <= 0)
                return 0;
        return MAX(milli * (period_us ? period_us : PERIOD_US) / 1000, QUOTA_MIN_US);
}

static int64_t amount(const struct json *container, const char *kind, const char *name, bool milli)
{
        const struct json *j = json_get(json_get(json_get(container, "resources"), kind), name);
        struct quantity q;

        if (!j || (!json_is_string(j) && !json_is_number(j)) || quantity_parse(j->str, &q) < 0)
                return 0;
        return milli ? quantity_milli(&q) : quantity_value(&q);
}

static void set_cpu(struct runtime_resources *r, int64_t request, int64_t limit)
{
        r->cpu_shares = translate_cpu_shares(request ? request : limit);
        r->cpu_quota_us = translate_cpu_quota(limit, PERIOD_US);
        r->cpu_period_us = r->cpu_quota_us ? PERIOD_US : 0;
}

/* Upstream's numbers: what is guaranteed dies last, what asked for nothing first. */
static int64_t oom_score(const struct json *pod, int64_t memory_request, int64_t node_memory)
{
        const char *qos = pod_qos_class(pod);
        int64_t score;

        if (streq(qos, "Guaranteed"))
                return -997;
        if (streq(qos, "BestEffort") || node_memory <= 0)
                return 1000;
        score = 1000 - (int64_t)((__int128)1000 * memory_request / node_memory);
        return MIN(MAX(score, 3), 999);
}

void translate_container_resources(const struct json *pod, const struct json *container, int64_t node_memory,
                                   struct runtime_resources *ret)
{
        struct runtime_resources r = { 0 };

        set_cpu(&r, amount(container, "requests", "cpu", true), amount(container, "limits", "cpu", true));
        r.memory_limit = amount(container, "limits", "memory", false);
        r.oom_score_adj = oom_score(pod, amount(container, "requests", "memory", false), node_memory);
        *ret = r;
}

/* A pod has a limit only where every container has one. */
static bool all_limited(const struct json *pod, const char *name)
{
        json_foreach_item(json_path(pod, "spec.containers"), c)
                if (!amount(c, "limits", name, true))
                        return false;
        return true;
}

void translate_pod_resources(const struct json *pod, struct runtime_resources *ret)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct resource_list requests = { 0 }, limits = { 0 };
        struct runtime_resources r = { 0 };
        const struct quantity *q;
        int64_t cpu_limit = 0;

        pod_requests(a, pod, &requests);
        pod_limits(a, pod, &limits);
        if (all_limited(pod, "cpu") && (q = resource_list_get(&limits, "cpu")))
                cpu_limit = quantity_milli(q);
        q = resource_list_get(&requests, "cpu");
        set_cpu(&r, q ? quantity_milli(q) : 0, cpu_limit);
        if (!q)
                r.cpu_shares = SHARES_MIN;
        if (all_limited(pod, "memory") && (q = resource_list_get(&limits, "memory")))
                r.memory_limit = quantity_value(q);
        *ret = r;
}

static void add_ports(struct arena *a, const struct json *containers, struct runtime_sandbox_config *c)
{
        json_foreach_item(containers, container)
                json_foreach_item(json_get(container, "ports"), p) {
                        struct runtime_port *more = arena_calloc(a, (c->n_ports + 1) * sizeof(*more));
                        if (c->n_ports)
                                memcpy(more, c->ports, c->n_ports * sizeof(*more));
                        more[c->n_ports++] = (struct runtime_port){
                                .protocol = json_get_string(p, "protocol") ? json_get_string(p, "protocol") : "TCP",
                                .container_port = (int)json_get_int(p, "containerPort", 0),
                                .host_port = (int)json_get_int(p, "hostPort", 0),
                                .host_ip = json_get_string(p, "hostIP"),
                        };
                        c->ports = more;
                }
}

void translate_sandbox(struct arena *a, const struct json *pod, const char *cluster_domain,
                       struct runtime_sandbox_config *ret)
{
        struct runtime_sandbox_config c = {
                .pod_name = json_path_string(pod, "metadata.name"),
                .pod_namespace = json_path_string(pod, "metadata.namespace"),
                .pod_uid = json_path_string(pod, "metadata.uid"),
                .qos_class = pod_qos_class(pod),
                .host_network = json_path_bool(pod, "spec.hostNetwork", false),
                .host_pid = json_path_bool(pod, "spec.hostPID", false),
                .host_ipc = json_path_bool(pod, "spec.hostIPC", false),
                .share_pid = json_path_bool(pod, "spec.shareProcessNamespace", false),
                .host_aliases = json_path(pod, "spec.hostAliases"),
                .sysctls = json_path(pod, "spec.securityContext.sysctls"),
                .run_as_user = json_path_int(pod, "spec.securityContext.runAsUser", -1),
                .run_as_group = json_path_int(pod, "spec.securityContext.runAsGroup", -1),
        };
        c.hostname = dns_hostname(a, pod, cluster_domain, &c.domain);
        if (json_path_bool(pod, "spec.setHostnameAsFQDN", false) && c.domain)
                c.hostname = arena_printf(a, "%s.%s", c.hostname, c.domain);
        add_ports(a, json_path(pod, "spec.containers"), &c);
        add_ports(a, json_path(pod, "spec.initContainers"), &c);
        translate_pod_resources(pod, &c.resources);
        *ret = c;
}

static const char *const *string_list(struct arena *a, const struct json *list)
{
        const char **out;
        size_t n = 0;

        if (!json_len(list))
                return NULL;
        out = arena_calloc(a, (json_len(list) + 1) * sizeof(*out));
        json_foreach_item(list, s)
                out[n++] = json_string(s) ? json_string(s) : "";
        return out;
}

/* The container's word, else the pod's. */
static const struct json *context(const struct json *pod, const struct json *container, const char *key)
{
        const struct json *own = json_get(json_get(container, "securityContext"), key);

        return own ? own : json_get(json_path(pod, "spec.securityContext"), key);
}

static int64_t context_int(const struct json *pod, const struct json *container, const char *key)
{
        int64_t v;

        return json_to_int(context(pod, container, key), &v) == 0 ? v : -1;
}

static void set_seccomp(struct arena *a, const struct json *profile, const char *root, struct runtime_security *s)
{
        const char *type = json_get_string(profile, "type"), *file = json_get_string(profile, "localhostProfile");

        if (streq(type, "Unconfined"))
                s->seccomp = RUNTIME_SECCOMP_UNCONFINED;
        if (streq(type, "Localhost")) {
                s->seccomp = RUNTIME_SECCOMP_LOCALHOST;
                s->seccomp_path = arena_printf(a, "%s/%s", root ? root : "/var/lib/kubelet/seccomp", file ? file : "");
        }
}

static void set_groups(struct arena *a, const struct json *pod, struct runtime_security *s)
{
        const struct json *sc = json_path(pod, "spec.securityContext"), *list = json_get(sc, "supplementalGroups");
        int64_t *groups = arena_calloc(a, (json_len(list) + 1) * sizeof(*groups)), gid;

        json_foreach_item(list, g)
                if (json_to_int(g, &gid) == 0)
                        groups[s->n_supplemental_groups++] = gid;
        if (json_get(sc, "fsGroup"))
                groups[s->n_supplemental_groups++] = json_get_int(sc, "fsGroup", 0);
        s->supplemental_groups = groups;
        s->groups_strict = streq(json_get_string(sc, "supplementalGroupsPolicy"), "Strict");
}

void translate_container(struct arena *a, const struct json *pod, const struct json *container, int64_t node_memory,
                         const char *seccomp_root, struct runtime_container_config *ret)
{
        const struct json *sc = json_get(container, "securityContext");
        struct runtime_container_config c = {
                .name = json_get_string(container, "name"),
                .image = json_get_string(container, "image"),
                .command = string_list(a, json_get(container, "command")),
                .args = string_list(a, json_get(container, "args")),
                .working_dir = json_get_string(container, "workingDir"),
                .tty = json_get_bool(container, "tty", false),
                .stdin = json_get_bool(container, "stdin", false),
                .stdin_once = json_get_bool(container, "stdinOnce", false),
                .security = {
                        .run_as_user = context_int(pod, container, "runAsUser"),
                        .run_as_group = context_int(pod, container, "runAsGroup"),
                        .cap_add = string_list(a, json_path(sc, "capabilities.add")),
                        .cap_drop = string_list(a, json_path(sc, "capabilities.drop")),
                        .privileged = json_get_bool(sc, "privileged", false),
                        .read_only_root = json_get_bool(sc, "readOnlyRootFilesystem", false),
                        .no_new_privs = !json_get_bool(sc, "allowPrivilegeEscalation", true),
                        .proc_unmasked = streq(json_get_string(sc, "procMount"), "Unmasked"),
                },
        };

        set_groups(a, pod, &c.security);
        set_seccomp(a, context(pod, container, "seccompProfile"), seccomp_root, &c.security);
        translate_container_resources(pod, container, node_memory, &c.resources);
        *ret = c;
}

int translate_verify_non_root(const struct json *pod, const struct json *container, const struct runtime_image *image,
                              struct error *reterr)
{
        int64_t user = context_int(pod, container, "runAsUser");
        const char *name = json_path_string(pod, "metadata.name"), *ns = json_path_string(pod, "metadata.namespace");
        const char *uid = json_path_string(pod, "metadata.uid"), *c = json_get_string(container, "name");

        if (!json_is_true(context(pod, container, "runAsNonRoot")))
                return 0;
        if (user == 0)
                return error_set(reterr, -EPERM,
                                 "container's runAsUser breaks non-root policy (pod: \"%s_%s(%s)\", container: %s)",
                                 name, ns, uid, c);
        if (user > 0)
                return 0;
        if (image->username)
                return error_set(reterr, -EPERM,
                                 "container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is "
                                 "non-root (pod: \"%s_%s(%s)\", container: %s)",
                                 image->username, name, ns, uid, c);
        if (image->uid == 0)
                return error_set(reterr, -EPERM,
                                 "container has runAsNonRoot and image will run as root (pod: \"%s_%s(%s)\", container: %s)",
                                 name, ns, uid, c);
        return 0;
}
