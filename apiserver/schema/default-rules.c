/* Defaults that depend on other fields: small functions, one a rule (default-rules.h).
 *
 * What they set follows the types' defaulting functions of upstream (pkg/apis/<group>/<version>/defaults.go
 * there): the same values, the same conditions, and like there nothing is overwritten that a client
 * chose. The order inside a rule matters where one default feeds the next.
 */
#include "default-rules.h"

#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"
#include "../../lib/meta/quantity.h"

/* --- helpers --- */

static bool has(const struct json *obj, const char *key)
{
        return json_get(obj, key) != NULL;
}

static void set_string_if_absent(struct arena *a, struct json *obj, const char *key, const char *value)
{
        if (!has(obj, key))
                json_set_string(a, obj, key, value);
}

static void set_int_if_absent(struct arena *a, struct json *obj, const char *key, int64_t value)
{
        if (!has(obj, key))
                json_set_int(a, obj, key, value);
}

/* Go's omitempty strings: absent and "" are the same. */
static bool blank(const struct json *obj, const char *key)
{
        return str_empty(json_get_string(obj, key));
}

static struct json *strings(struct arena *a, const char *first, const char *second)
{
        struct json *list = json_new_array(a);

        json_append(a, list, json_new_string(a, first));
        if (second)
                json_append(a, list, json_new_string(a, second));
        return list;
}

/* --- images --- */

static size_t alnums(const char *p, const char *end)
{
        const char *start = p;

        while (p < end && ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')))
                p++;
        return (size_t)(p - start);
}

/* Lower case words with one or two of "._" or some "-" between them, and slashes. */
static bool image_path(const char *p, const char *end)
{
        for (;;) {
                size_t n = alnums(p, end);

                if (!n)
                        return false;
                p += n;
                if (p == end)
                        return true;
                if (*p == '-')
                        while (p < end && *p == '-')
                                p++;
                else if (*p == '_' && p + 1 < end && p[1] == '_')
                        p += 2;
                else if (*p == '.' || *p == '_' || *p == '/')
                        p++;
                else
                        return false;
        }
}

static bool is_word(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Labels with dots, or an IPv6 address in brackets, and maybe a port. */
static bool image_domain(const char *p, const char *end)
{
        if (p < end && *p == '[') {
                const char *close = memchr(p, ']', (size_t)(end - p));

                if (!close || close == p + 1 || strspn(p + 1, "0123456789abcdefABCDEF:") != (size_t)(close - p - 1))
                        return false;
                p = close + 1;
        } else {
                for (;; p++) {
                        const char *start = p;

                        while (p < end && (is_word(*p) || *p == '-'))
                                p++;
                        if (p == start || *start == '-' || p[-1] == '-')
                                return false;
                        if (p == end || *p != '.')
                                break;
                }
        }
        if (p == end)
                return true;
        if (*p++ != ':' || p == end)
                return false;
        return strspn(p, "0123456789") == (size_t)(end - p);
}

static bool image_digest(const char *s)
{
        static const struct {
                const char *prefix;
                size_t digits;
        } known[] = { { "sha256:", 64 }, { "sha384:", 96 }, { "sha512:", 128 } };

        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                if (str_has_prefix(s, known[i].prefix)) {
                        const char *hex = s + strlen(known[i].prefix);

                        return strspn(hex, "0123456789abcdef") == known[i].digits && !hex[known[i].digits];
                }
        return false;
}

#define IMAGE_NAME_MAX 255 /* with its domain */
#define IMAGE_ID 64        /* so many hexadecimal digits are an id, no name */

/* Whether an image reference, as distribution's grammar splits it, has the tag "latest", or neither tag nor digest.
 * What is no reference has none. */
static bool image_is_latest(const char *image)
{
        const char *at = strchr(image, '@'), *slash = strchr(image, '/'), *path = image, *end, *colon;
        size_t domain = 0, id = strspn(image, "0123456789abcdef");
        bool capital = false;

        if (id == IMAGE_ID && !image[id])
                return false;
        for (const char *p = image; slash && p < slash; p++)
                capital |= *p >= 'A' && *p <= 'Z';
        if (slash && (memchr(image, '.', (size_t)(slash - image)) || memchr(image, ':', (size_t)(slash - image)) || capital ||
                      str_has_prefix(image, "localhost/"))) {
                path = slash + 1;
                domain = (size_t)(slash - image);
                if (!image_domain(image, slash))
                        return false;
        }
        if (at && (at < path || !image_digest(at + 1)))
                return false;
        end = at ? at : image + strlen(image);
        colon = memchr(path, ':', (size_t)(end - path));
        if ((domain ? domain : strlen("docker.io")) + 1 + (size_t)((colon ? colon : end) - path) > IMAGE_NAME_MAX)
                return false;
        if (!image_path(path, colon ? colon : end))
                return false;
        return colon ? end - colon == sizeof(":latest") - 1 && !strncmp(colon, ":latest", sizeof(":latest") - 1) : !at;
}

static void pull_policy(struct arena *a, struct json *obj, const char *key, const char *image)
{
        if (blank(obj, key))
                json_set_string(a, obj, key, image && image_is_latest(image) ? "Always" : "IfNotPresent");
}

void default_image_pull_policy(struct arena *a, struct json *obj)
{
        pull_policy(a, obj, "imagePullPolicy", json_get_string(obj, "image"));
}

void default_image_volume(struct arena *a, struct json *obj)
{
        pull_policy(a, obj, "pullPolicy", json_get_string(obj, "reference"));
}

/* --- quantities --- */

/* Resource lists have milli units at the finest: smaller parts are rounded up. */
void default_resource_list(struct arena *a, struct json *obj)
{
        char buf[QUANTITY_BUF];

        json_foreach_member(obj, m) {
                const char *text = json_string(m->value);
                struct quantity q;

                if (!text || quantity_parse(text, &q) != 0 || q.nano % 1000000 == 0)
                        continue;
                quantity_round_up_milli(&q);
                m->value = json_new_string(a, quantity_format(&q, buf));
        }
}

/* --- pods --- */

/* serviceAccount is the old name of serviceAccountName: both are always written, the new one wins. */
void default_pod_spec(struct arena *a, struct json *obj)
{
        const char *name = json_get_string(obj, "serviceAccountName");

        if (str_empty(name))
                name = json_get_string(obj, "serviceAccount");
        if (!str_empty(name)) {
                json_set_string(a, obj, "serviceAccountName", name);
                json_set_string(a, obj, "serviceAccount", name);
        }
}

/* A volume without any source is an emptyDir. */
void default_volume(struct arena *a, struct json *obj)
{
        if (json_len(obj) <= (has(obj, "name") ? 1 : 0))
                json_set(a, obj, "emptyDir", json_new_object(a));
}

static void requests_from_limits(struct arena *a, struct json *container)
{
        struct json *resources = json_get(container, "resources"), *limits = json_get(resources, "limits"), *requests;

        if (!json_is_object(limits))
                return;
        requests = json_ensure_object(a, resources, "requests");
        json_foreach_member(limits, m)
                if (!has(requests, m->key))
                        json_set(a, requests, m->key, m->value);
}

static void host_ports(struct arena *a, struct json *container)
{
        json_foreach_item(json_get(container, "ports"), port)
                if (!json_get_int(port, "hostPort", 0))
                        json_set_int(a, port, "hostPort", json_get_int(port, "containerPort", 0));
}

static void add_quantity(struct quantity *sum, bool *seen, const struct json *value)
{
        struct quantity q;

        if (!json_string(value) || quantity_parse(json_string(value), &q) != 0)
                return;
        if (*seen)
                quantity_add(sum, &q);
        else
                *sum = q;
        *seen = true;
}

/* What all containers together have of LIST ("requests", "limits") for RESOURCE. Init containers run one after
 * another: the largest counts, those that stay (restartPolicy Always) add to all that follow. */
static bool containers_sum(const struct json *spec, const char *list, const char *resource, struct quantity *ret)
{
        struct quantity sum = quantity_from_int(0, QUANTITY_DECIMAL_SI), sidecars = sum, largest = sum;
        bool seen = false, sidecar_seen = false, init_seen = false;

        json_foreach_item(json_get(spec, "containers"), c)
                add_quantity(&sum, &seen, json_get(json_get(json_get(c, "resources"), list), resource));
        json_foreach_item(json_get(spec, "initContainers"), c) {
                const struct json *v = json_get(json_get(json_get(c, "resources"), list), resource);
                struct quantity q = sidecars;
                bool any = sidecar_seen;

                add_quantity(&q, &any, v);
                if (streq(json_get_string(c, "restartPolicy"), "Always")) {
                        sidecars = q;
                        sidecar_seen = any;
                }
                if (any && (!init_seen || quantity_cmp(&q, &largest) > 0))
                        largest = q;
                init_seen |= any;
        }
        if (sidecar_seen) {
                if (seen)
                        quantity_add(&sum, &sidecars);
                else
                        sum = sidecars;
        }
        if (init_seen && (!(seen || sidecar_seen) || quantity_cmp(&largest, &sum) > 0))
                sum = largest;
        *ret = sum;
        return seen || init_seen;
}

static void set_sum(struct arena *a, const struct json *spec, const char *from, struct json *to, const char *resource)
{
        struct quantity q;
        char buf[QUANTITY_BUF];

        if (!has(to, resource) && containers_sum(spec, from, resource, &q))
                json_set_string(a, to, resource, quantity_format(&q, buf));
}

static void each_huge_page(struct arena *a, const struct json *spec, const char *list,
                           void (*fn)(struct arena *a, const struct json *spec, struct json *resources,
                                      const char *resource),
                           struct json *resources)
{
        json_foreach_item(json_get(spec, "containers"), c)
                json_foreach_member(json_get(json_get(c, "resources"), list), m)
                        if (str_has_prefix(m->key, "hugepages-"))
                                fn(a, spec, resources, m->key);
}

static void huge_page_limit(struct arena *a, const struct json *spec, struct json *resources, const char *resource)
{
        if (!has(json_get(resources, "requests"), resource))
                set_sum(a, spec, "limits", json_ensure_object(a, resources, "limits"), resource);
}

/* Resources of the pod as a whole: limits for huge pages that only containers name, and requests for what has a
 * limit: as much as the containers ask for, else the limit. */
static void pod_level_resources(struct arena *a, struct json *spec)
{
        struct json *resources = json_get(spec, "resources"), *limits, *requests;

        if (!json_len(json_get(resources, "limits")) && !json_len(json_get(resources, "requests")))
                return;
        each_huge_page(a, spec, "limits", huge_page_limit, resources);
        limits = json_get(resources, "limits");
        if (!json_len(limits))
                return;
        requests = json_ensure_object(a, resources, "requests");
        set_sum(a, spec, "requests", requests, "cpu");
        set_sum(a, spec, "requests", requests, "memory");
        json_foreach_member(limits, m)
                if (!has(requests, m->key) && (streq(m->key, "cpu") || streq(m->key, "memory") ||
                                               str_has_prefix(m->key, "hugepages-")))
                        json_set(a, requests, m->key, m->value);
}

/* Init containers were annotations once. Kubelets that old must not find any. */
static void drop_init_annotations(struct json *obj)
{
        static const char *const old[] = { "pod.beta.kubernetes.io/init-containers", "pod.alpha.kubernetes.io/init-containers",
                                           "pod.beta.kubernetes.io/init-container-statuses",
                                           "pod.alpha.kubernetes.io/init-container-statuses" };
        struct json *annotations = json_get(json_get(obj, "metadata"), "annotations");

        for (size_t i = 0; i < ARRAY_SIZE(old) && annotations; i++)
                json_del(annotations, old[i]);
}

void default_pod_template(struct arena *a, struct json *obj)
{
        unused(a);
        drop_init_annotations(obj);
}

/* What holds for pods but not for templates of pods. */
void default_pod(struct arena *a, struct json *obj)
{
        struct json *spec = json_get(obj, "spec");
        const char *const lists[] = { "containers", "initContainers" };

        drop_init_annotations(obj);
        if (!json_is_object(spec))
                return;
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_get(spec, lists[i]), c) {
                        requests_from_limits(a, c);
                        if (json_get_bool(spec, "hostNetwork", false))
                                host_ports(a, c);
                }
        pod_level_resources(a, spec);
        if (!has(spec, "enableServiceLinks"))
                json_set_bool(a, spec, "enableServiceLinks", true);
}

/* --- services --- */

static void service_ports(struct arena *a, struct json *spec)
{
        json_foreach_item(json_get(spec, "ports"), port) {
                struct json *target = json_get(port, "targetPort");
                int64_t n;

                if (!target || (json_is_string(target) && !target->len) || (json_to_int(target, &n) == 0 && n == 0))
                        json_set_int(a, port, "targetPort", json_get_int(port, "port", 0));
        }
}

static void session_affinity(struct arena *a, struct json *spec)
{
        const char *affinity = json_get_string(spec, "sessionAffinity");
        struct json *client_ip;

        if (streq(affinity, "None")) {
                json_del(spec, "sessionAffinityConfig");
        } else if (streq(affinity, "ClientIP")) {
                client_ip = json_ensure_object(a, json_ensure_object(a, spec, "sessionAffinityConfig"), "clientIP");
                set_int_if_absent(a, client_ip, "timeoutSeconds", 10800);
        }
}

void default_service(struct arena *a, struct json *obj)
{
        struct json *spec = json_get(obj, "spec");
        const char *type = json_get_string(spec, "type");
        bool cluster = streq(type, "ClusterIP"), balancer = streq(type, "LoadBalancer"), node = streq(type, "NodePort");

        session_affinity(a, spec);
        service_ports(a, spec);
        if ((node || balancer || (cluster && json_len(json_get(spec, "externalIPs")))) &&
            blank(spec, "externalTrafficPolicy"))
                json_set_string(a, spec, "externalTrafficPolicy", "Cluster");
        if (cluster || node || balancer)
                set_string_if_absent(a, spec, "internalTrafficPolicy", "Cluster");
        if (!balancer)
                return;
        if (!has(spec, "allocateLoadBalancerNodePorts"))
                json_set_bool(a, spec, "allocateLoadBalancerNodePorts", true);
        json_foreach_item(json_path(obj, "status.loadBalancer.ingress"), ingress)
                if (!blank(ingress, "ip"))
                        set_string_if_absent(a, ingress, "ipMode", "VIP");
}

/* --- workloads --- */

static void labels_of_template(struct arena *a, struct json *obj, struct json *labels)
{
        struct json *meta = json_ensure_object(a, obj, "metadata");

        if (!json_len(json_get(meta, "labels")))
                json_set(a, meta, "labels", json_clone(a, labels));
}

void default_replication_controller(struct arena *a, struct json *obj)
{
        struct json *spec = json_get(obj, "spec"), *labels = json_path(spec, "template.metadata.labels");

        if (spec && !has(spec, "minReadySeconds"))
                json_set_int(a, spec, "minReadySeconds", 0);
        if (!json_len(labels))
                return;
        if (!json_len(json_get(spec, "selector")))
                json_set(a, spec, "selector", json_clone(a, labels));
        labels_of_template(a, obj, labels);
}

void default_deployment_strategy(struct arena *a, struct json *obj)
{
        struct json *rolling;

        if (!streq(json_get_string(obj, "type"), "RollingUpdate"))
                return;
        rolling = json_ensure_object(a, obj, "rollingUpdate");
        set_string_if_absent(a, rolling, "maxUnavailable", "25%");
        set_string_if_absent(a, rolling, "maxSurge", "25%");
}

void default_daemon_set_strategy(struct arena *a, struct json *obj)
{
        bool used = streq(json_get_string(obj, "type"), "RollingUpdate");
        struct json *rolling = used ? json_ensure_object(a, obj, "rollingUpdate") : json_get(obj, "rollingUpdate");

        if (!json_is_object(rolling))
                return;
        set_int_if_absent(a, rolling, "maxUnavailable", used); /* unused, both are Go's zero */
        set_int_if_absent(a, rolling, "maxSurge", 0);
}

void default_stateful_set(struct arena *a, struct json *obj)
{
        struct json *strategy = json_ensure_object(a, obj, "updateStrategy"), *rolling;

        if (blank(strategy, "type")) {
                json_set_string(a, strategy, "type", "RollingUpdate");
                json_ensure_object(a, strategy, "rollingUpdate");
        }
        rolling = json_get(strategy, "rollingUpdate");
        if (json_is_object(rolling) && streq(json_get_string(strategy, "type"), "RollingUpdate"))
                set_int_if_absent(a, rolling, "partition", 0);
        json_foreach_item(json_get(obj, "volumeClaimTemplates"), claim) {
                json_set_string(a, claim, "apiVersion", "v1");
                json_set_string(a, claim, "kind", "PersistentVolumeClaim");
        }
}

void default_job(struct arena *a, struct json *obj)
{
        struct json *spec = json_ensure_object(a, obj, "spec"), *labels = json_path(spec, "template.metadata.labels");

        if (!has(spec, "completions") && !has(spec, "parallelism"))
                json_set_int(a, spec, "completions", 1);
        set_int_if_absent(a, spec, "parallelism", 1);
        set_int_if_absent(a, spec, "backoffLimit", has(spec, "backoffLimitPerIndex") ? INT32_MAX : 6);
        /* One map for both, as in upstream: what a create adds to the template's is the job's, too. */
        if (json_len(labels) && !json_len(json_path(obj, "metadata.labels")))
                json_set(a, json_ensure_object(a, obj, "metadata"), "labels", labels);
        set_string_if_absent(a, spec, "completionMode", "NonIndexed");
        if (!has(spec, "suspend"))
                json_set_bool(a, spec, "suspend", false);
        if (!has(spec, "manualSelector"))
                json_set_bool(a, spec, "manualSelector", false);
        set_string_if_absent(a, spec, "podReplacementPolicy",
                             has(spec, "podFailurePolicy") ? "Failed" : "TerminatingOrFailed");
}

/* --- autoscaling --- */

static struct json *scaling_policy(struct arena *a, const char *type, int64_t value, int64_t period)
{
        struct json *policy = json_new_object(a);

        json_set_string(a, policy, "type", type);
        json_set_int(a, policy, "value", value);
        json_set_int(a, policy, "periodSeconds", period);
        return policy;
}

static void scaling_rules(struct arena *a, struct json *behavior, const char *direction, bool up)
{
        struct json *rules = json_ensure_object(a, behavior, direction), *policies;

        if (up)
                set_int_if_absent(a, rules, "stabilizationWindowSeconds", 0);
        set_string_if_absent(a, rules, "selectPolicy", "Max");
        if (json_get(rules, "policies")) /* none at all differs from none said */
                return;
        policies = json_new_array(a);
        if (up)
                json_append(a, policies, scaling_policy(a, "Pods", 4, 15));
        json_append(a, policies, scaling_policy(a, "Percent", 100, 15));
        json_set(a, rules, "policies", policies);
}

void default_autoscaler(struct arena *a, struct json *obj)
{
        struct json *behavior = json_get(obj, "behavior"), *metrics, *metric, *resource, *target;

        if (!json_len(json_get(obj, "metrics"))) {
                metrics = json_new_array(a);
                metric = json_new_object(a);
                json_set_string(a, metric, "type", "Resource");
                resource = json_ensure_object(a, metric, "resource");
                json_set_string(a, resource, "name", "cpu");
                target = json_ensure_object(a, resource, "target");
                json_set_string(a, target, "type", "Utilization");
                json_set_int(a, target, "averageUtilization", 80);
                json_append(a, metrics, metric);
                json_set(a, obj, "metrics", metrics);
        }
        if (json_is_object(behavior)) {
                scaling_rules(a, behavior, "scaleUp", true);
                scaling_rules(a, behavior, "scaleDown", false);
        }
}

/* v1 keeps the metrics it cannot say in an annotation. */
void default_autoscaler_v1(struct arena *a, struct json *obj)
{
        struct json *spec = json_ensure_object(a, obj, "spec");
        const struct json *annotations = json_path(obj, "metadata.annotations");

        if (!has(annotations, "autoscaling.alpha.kubernetes.io/metrics"))
                set_int_if_absent(a, spec, "targetCPUUtilizationPercentage", 80);
}

/* --- others --- */

void default_namespace(struct arena *a, struct json *obj)
{
        struct json *meta = json_ensure_object(a, obj, "metadata");
        const char *name = json_get_string(meta, "name");

        if (!str_empty(name))
                json_set_string(a, json_ensure_object(a, meta, "labels"), "kubernetes.io/metadata.name", name);
}

void default_node_status(struct arena *a, struct json *obj)
{
        struct json *capacity = json_get(obj, "capacity");

        if (capacity && json_len(json_get(obj, "allocatable")) == 0)
                json_set(a, obj, "allocatable", json_clone(a, capacity));
}

/* Not of its spec, which stands in volume attachments too. */
void default_persistent_volume(struct arena *a, struct json *obj)
{
        struct json *spec = json_ensure_object(a, obj, "spec");

        if (str_empty(json_get_string(spec, "persistentVolumeReclaimPolicy")))
                json_set_string(a, spec, "persistentVolumeReclaimPolicy", "Retain");
        if (!has(spec, "volumeMode"))
                json_set_string(a, spec, "volumeMode", "Filesystem");
}

/* The first of podCIDRs is podCIDR, which goes before all of them where it is another. */
void default_node_spec(struct arena *a, struct json *obj)
{
        struct json *cidr = json_get(obj, "podCIDR"), *list = json_get(obj, "podCIDRs");

        if (str_empty(json_string(cidr)) && !str_empty(json_string(json_at(list, 0))))
                json_set(a, obj, "podCIDR", json_clone(a, json_at(list, 0)));
        if (str_empty(json_string(cidr)) || json_equal(json_at(list, 0), cidr))
                return;
        list = json_new_array(a);
        json_append(a, list, cidr);
        json_set(a, obj, "podCIDRs", list);
}

/* podIP stands for the first of podIPs: whoever says only that, or another, means one address. */
void default_pod_status(struct arena *a, struct json *obj)
{
        const struct json *ip = json_get(obj, "podIP"), *first = json_get(json_at(json_get(obj, "podIPs"), 0), "ip");
        struct json *list, *entry;

        if (str_empty(json_string(ip))) {
                if (!str_empty(json_string(first)))
                        json_set(a, obj, "podIP", json_clone(a, first));
                return;
        }
        if (first && json_equal(first, ip))
                return;
        list = json_new_array(a);
        entry = json_new_object(a);
        json_set(a, entry, "ip", json_clone(a, ip));
        json_append(a, list, entry);
        json_set(a, obj, "podIPs", list);
}

static void copy_missing(struct arena *a, struct json *obj, const char *to, const char *from)
{
        struct json *source = json_get(obj, from);

        if (!json_len(source))
                return;
        json_foreach_member(source, m) {
                struct json *list = json_ensure_object(a, obj, to);

                if (!has(list, m->key))
                        json_set(a, list, m->key, m->value);
        }
}

/* Of containers: the maximum is the default limit; that, then the minimum, the default request. */
void default_limit_range_item(struct arena *a, struct json *obj)
{
        if (!streq(json_get_string(obj, "type"), "Container"))
                return;
        copy_missing(a, obj, "default", "max");
        copy_missing(a, obj, "defaultRequest", "default");
        copy_missing(a, obj, "defaultRequest", "min");
}

void default_network_policy(struct arena *a, struct json *obj)
{
        if (!json_len(json_get(obj, "policyTypes")))
                json_set(a, obj, "policyTypes",
                         strings(a, "Ingress", json_len(json_get(obj, "egress")) ? "Egress" : NULL));
}

void default_subject(struct arena *a, struct json *obj)
{
        const char *kind = json_get_string(obj, "kind");

        if (blank(obj, "apiGroup") && (streq(kind, "User") || streq(kind, "Group")))
                json_set_string(a, obj, "apiGroup", "rbac.authorization.k8s.io");
}

void default_definition(struct arena *a, struct json *obj)
{
        struct json *names = json_ensure_object(a, obj, "names");
        const char *kind = json_get_string(names, "kind");
        char *singular;

        if (str_empty(kind))
                return;
        if (blank(names, "singular")) {
                singular = arena_strdup(a, kind);
                for (char *p = singular; *p; p++)
                        if (*p >= 'A' && *p <= 'Z')
                                *p += 'a' - 'A';
                json_set_string(a, names, "singular", singular);
        }
        if (blank(names, "listKind"))
                json_set(a, names, "listKind", json_new_stringf(a, "%sList", kind));
}

void default_device_count(struct arena *a, struct json *obj)
{
        if (streq(json_get_string(obj, "allocationMode"), "ExactCount") && !json_get_int(obj, "count", 0))
                json_set_int(a, obj, "count", 1);
}

void default_device_taint(struct arena *a, struct json *obj)
{
        char buf[TIME_BUF];

        if (!has(obj, "timeAdded"))
                json_set_string(a, obj, "timeAdded", time_format(time_real(), buf));
}

/* stringData is for writing only: its values go into data, over what is there. */
void default_secret(struct arena *a, struct json *obj)
{
        const struct json *plain = json_get(obj, "stringData");
        struct json *data;

        if (!json_len(plain))
                return;
        data = json_ensure_object(a, obj, "data");
        json_foreach_member(plain, m) {
                _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

                base64_encode(&b, json_is_string(m->value) ? m->value->str : "", json_is_string(m->value) ? m->value->len : 0);
                json_setn(a, data, m->key, m->key_len, json_new_stringn(a, strbuf_str(&b), b.len));
        }
        json_del(obj, "stringData");
}
