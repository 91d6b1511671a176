/* The arithmetic of quotas. */
#include "quota-usage.h"

#include <stdlib.h>

/* --- lists --- */

static int compare_amounts(const void *x, const void *y)
{
        return strcmp(((const struct resource_amount *)x)->name, ((const struct resource_amount *)y)->name);
}

char *resource_list_print(struct arena *a, const struct resource_list *l)
{
        struct resource_amount *sorted = arena_alloc(a, (l->n + 1) * sizeof(*sorted));
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        char text[QUANTITY_BUF];

        if (l->n)
                memcpy(sorted, l->items, l->n * sizeof(*sorted));
        qsort(sorted, l->n, sizeof(*sorted), compare_amounts);
        for (size_t i = 0; i < l->n; i++)
                strbuf_printf(&b, "%s%s=%s", i ? "," : "", sorted[i].name, quantity_format(&sorted[i].amount, text));
        return arena_strndup(a, strbuf_str(&b), b.len);
}

static bool read_quantity(const struct json *j, struct quantity *ret)
{
        return (json_is_string(j) || json_is_number(j)) && quantity_parse(j->str, ret) >= 0;
}

/* --- usage --- */

static void add_one(struct arena *a, struct resource_list *l, const char *name)
{
        struct quantity one = quantity_from_int(1, QUANTITY_DECIMAL_SI);

        resource_list_add(a, l, name, &one);
}

static bool is_extended(const char *name)
{
        /* Devices of a class asked for by the name of the class are taken for one, too. */
        return strchr(name, '/') &&
               (!strstr(name, "kubernetes.io/") || str_has_prefix(name, "deviceclass.resource.kubernetes.io/"));
}

static bool is_compute(const char *name)
{
        return streq(name, "cpu") || streq(name, "memory") || streq(name, "ephemeral-storage");
}

/* requests and limits by the names of quotas: "cpu" and "requests.cpu" are the same. */
static void compute_usage(struct arena *a, const struct resource_list *requests, const struct resource_list *limits,
                          struct resource_list *ret)
{
        for (size_t i = 0; i < requests->n; i++) {
                const char *name = requests->items[i].name;
                bool huge = str_has_prefix(name, "hugepages-");

                if (!is_compute(name) && !huge && !is_extended(name))
                        continue;
                if (!is_extended(name))
                        resource_list_add(a, ret, name, &requests->items[i].amount);
                resource_list_add(a, ret, arena_printf(a, "requests.%s", name), &requests->items[i].amount);
        }
        for (size_t i = 0; i < limits->n; i++) {
                if (is_compute(limits->items[i].name))
                        resource_list_add(a, ret, arena_printf(a, "limits.%s", limits->items[i].name), &limits->items[i].amount);
        }
}

static void pod_usage(struct arena *a, const struct json *pod, struct resource_list *ret)
{
        struct resource_list requests, limits;

        add_one(a, ret, "count/pods");
        /* What has ended holds nothing any more, but is still an object. */
        if (pod_is_terminal(pod))
                return;
        add_one(a, ret, "pods");
        pod_requests(a, pod, &requests);
        pod_limits(a, pod, &limits);
        compute_usage(a, &requests, &limits, ret);
}

static void service_usage(struct arena *a, const struct json *svc, struct resource_list *ret)
{
        const char *type = json_path_string(svc, "spec.type");
        bool balancer = streq(type, "LoadBalancer");
        struct quantity ports = quantity_from_int(0, QUANTITY_DECIMAL_SI);
        const struct json *list = json_path(svc, "spec.ports");

        add_one(a, ret, "services");
        add_one(a, ret, "count/services");
        if (streq(type, "NodePort") || (balancer && json_path_bool(svc, "spec.allocateLoadBalancerNodePorts", true))) {
                ports = quantity_from_int((int64_t)json_len(list), QUANTITY_DECIMAL_SI);
        } else if (balancer) {
                int64_t n = 0;

                json_foreach_item(list, p) {
                        n += json_get_int(p, "nodePort", 0) != 0;
                }
                ports = quantity_from_int(n, QUANTITY_DECIMAL_SI);
        }
        resource_list_add(a, ret, "services.nodeports", &ports);
        ports = quantity_from_int(balancer, QUANTITY_DECIMAL_SI);
        resource_list_add(a, ret, "services.loadbalancers", &ports);
}

#define OF_CLASS ".storageclass.storage.k8s.io/"

/* Storage counts in whole bytes. */
static void round_up(struct quantity *q)
{
        const int64_t one = 1000000000;

        if (q->nano % one)
                q->nano += one - q->nano % one;
}

static void claim_usage(struct arena *a, const struct json *claim, struct resource_list *ret)
{
        const char *class = json_get_string(json_path(claim, "metadata.annotations"), "volume.beta.kubernetes.io/storage-class");
        struct quantity q, allocated;

        if (!class)
                class = json_path_string(claim, "spec.storageClassName");
        add_one(a, ret, "persistentvolumeclaims");
        add_one(a, ret, "count/persistentvolumeclaims");
        if (!str_empty(class))
                add_one(a, ret, arena_printf(a, "%s" OF_CLASS "persistentvolumeclaims", class));
        if (!read_quantity(json_path(claim, "spec.resources.requests.storage"), &q))
                return;
        /* What is being tried to get is held, until the driver says otherwise. */
        if (read_quantity(json_path(claim, "status.allocatedResources.storage"), &allocated) &&
            quantity_cmp(&allocated, &q) > 0)
                q = allocated;
        round_up(&q);
        resource_list_add(a, ret, "requests.storage", &q);
        if (!str_empty(class))
                resource_list_add(a, ret, arena_printf(a, "%s" OF_CLASS "requests.storage", class), &q);
}

#define OF_DEVICES ".deviceclass.resource.k8s.io/devices"
#define ALL_DEVICES 32 /* "All" is at most this many */

static bool is_device_claim(const char *group, const char *resource)
{
        return strcmp(group, "resource.k8s.io") == 0 && strcmp(resource, "resourceclaims") == 0;
}

static void add_devices(struct arena *a, const struct json *request, struct resource_list *ret)
{
        bool all = streq(json_get_string(request, "allocationMode"), "All");
        struct quantity n = quantity_from_int(all ? ALL_DEVICES : json_get_int(request, "count", 0), QUANTITY_DECIMAL_SI);
        const char *class = json_get_string(request, "deviceClassName");

        if (class)
                resource_list_add(a, ret, arena_printf(a, "%s" OF_DEVICES, class), &n);
}

/* Of alternatives the largest number of each class counts. */
static void device_usage(struct arena *a, const struct json *claim, struct resource_list *ret)
{
        struct resource_list sum = { 0 };

        add_one(a, ret, "count/resourceclaims.resource.k8s.io");
        json_foreach_item(json_path(claim, "spec.devices.requests"), request) {
                struct resource_list most = { 0 };

                if (json_get(request, "exactly"))
                        add_devices(a, json_get(request, "exactly"), &most);
                json_foreach_item(json_get(request, "firstAvailable"), sub) {
                        struct resource_list one = { 0 };

                        add_devices(a, sub, &one);
                        for (size_t i = 0; i < one.n; i++) {
                                const struct quantity *was = resource_list_get(&most, one.items[i].name);

                                if (!was || quantity_cmp(was, &one.items[i].amount) < 0)
                                        resource_list_set(a, &most, one.items[i].name, &one.items[i].amount);
                        }
                }
                for (size_t i = 0; i < most.n; i++)
                        resource_list_add(a, &sum, most.items[i].name, &most.items[i].amount);
        }
        for (size_t i = 0; i < sum.n; i++) {
                const char *name = sum.items[i].name;

                resource_list_add(a, ret, name, &sum.items[i].amount);
                /* As if a pod had asked for the class by the name that pods have for it. */
                if (sum.items[i].amount.nano > 0)
                        resource_list_add(a, ret,
                                          arena_printf(a, "requests.deviceclass.resource.kubernetes.io/%.*s",
                                                       (int)(strlen(name) - strlen(OF_DEVICES)), name),
                                          &sum.items[i].amount);
        }
}

static const char *count_name(struct arena *a, const char *group, const char *resource)
{
        return arena_printf(a, "count/%s%s%s", resource, *group ? "." : "", group);
}

/* Core kinds that quotas knew before there was count/. */
static bool has_short_name(const char *group, const char *resource)
{
        static const char *const names[] = { "configmaps", "resourcequotas", "replicationcontrollers", "secrets" };

        for (size_t i = 0; !*group && i < ARRAY_SIZE(names); i++) {
                if (streq(resource, names[i]))
                        return true;
        }
        return false;
}

void quota_usage(struct arena *a, const char *group, const char *resource, const struct json *obj, struct resource_list *ret)
{
        if (!*group && streq(resource, "pods")) {
                pod_usage(a, obj, ret);
        } else if (!*group && streq(resource, "services")) {
                service_usage(a, obj, ret);
        } else if (!*group && streq(resource, "persistentvolumeclaims")) {
                claim_usage(a, obj, ret);
        } else if (is_device_claim(group, resource)) {
                device_usage(a, obj, ret);
        } else {
                add_one(a, ret, count_name(a, group, resource));
                if (has_short_name(group, resource))
                        add_one(a, ret, arena_strdup(a, resource));
        }
}

static bool in(const char *name, const char *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (streq(name, list[i]))
                        return true;
        }
        return false;
}

bool quota_concerns(const char *group, const char *resource, const char *name)
{
        static const char *const of_pods[] = {
                "count/pods", "pods", "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory",
                "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
        };
        static const char *const of_services[] = { "count/services", "services", "services.nodeports",
                                                   "services.loadbalancers" };
        static const char *const of_claims[] = { "count/persistentvolumeclaims", "persistentvolumeclaims",
                                                 "requests.storage" };
        const char *dot;
        size_t len = strlen(resource);

        if (!*group && streq(resource, "pods"))
                return in(name, of_pods, ARRAY_SIZE(of_pods)) || str_has_prefix(name, "hugepages-") ||
                       str_has_prefix(name, "requests.hugepages-") ||
                       (str_has_prefix(name, "requests.") && is_extended(name + strlen("requests.")));
        if (!*group && streq(resource, "services"))
                return in(name, of_services, ARRAY_SIZE(of_services));
        if (!*group && streq(resource, "persistentvolumeclaims"))
                return in(name, of_claims, ARRAY_SIZE(of_claims)) || strstr(name, OF_CLASS);
        if (has_short_name(group, resource) && streq(name, resource))
                return true;
        if (is_device_claim(group, resource) && strlen(name) > strlen(OF_DEVICES) &&
            streq(name + strlen(name) - strlen(OF_DEVICES), OF_DEVICES))
                return true;
        if (!str_has_prefix(name, "count/") || strncmp(name + 6, resource, len) != 0)
                return false;
        dot = name + 6 + len;
        return *group ? *dot == '.' && streq(dot + 1, group) : !*dot;
}

const char *quota_kind_of(struct arena *a, const char *name)
{
        static const char *const kinds[] = { "pods", "services", "persistentvolumeclaims", "configmaps", "resourcequotas",
                                             "replicationcontrollers", "secrets" };
        const char *dot;

        if (str_has_prefix(name, "count/")) {
                dot = strchr(name + 6, '.');
                return arena_printf(a, "%s/%.*s", dot ? dot + 1 : "", dot ? (int)(dot - name - 6) : (int)strlen(name + 6),
                                    name + 6);
        }
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                if (quota_concerns("", kinds[i], name))
                        return arena_printf(a, "/%s", kinds[i]);
        }
        if (quota_concerns("resource.k8s.io", "resourceclaims", name))
                return "resource.k8s.io/resourceclaims";
        return NULL;
}

/* --- scopes --- */

static bool crosses_namespaces(const struct json *pod)
{
        static const char *const paths[] = { "spec.affinity.podAffinity", "spec.affinity.podAntiAffinity" };

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                const struct json *affinity = json_path(pod, paths[i]);

                json_foreach_item(json_get(affinity, "requiredDuringSchedulingIgnoredDuringExecution"), t) {
                        if (json_len(json_get(t, "namespaces")) || json_get(t, "namespaceSelector"))
                                return true;
                }
                json_foreach_item(json_get(affinity, "preferredDuringSchedulingIgnoredDuringExecution"), w) {
                        const struct json *t = json_get(w, "podAffinityTerm");

                        if (json_len(json_get(t, "namespaces")) || json_get(t, "namespaceSelector"))
                                return true;
                }
        }
        return false;
}

static bool value_matches(const char *value, const char *op, const struct json *values)
{
        bool found = false;

        json_foreach_item(values, v) {
                found = found || streq(json_string(v), value);
        }
        if (streq(op, "In"))
                return value && found;
        if (streq(op, "NotIn"))
                return !found;
        if (streq(op, "DoesNotExist"))
                return !value;
        return value != NULL;
}

static bool pod_in_scope(const struct json *pod, const char *scope, const char *op, const struct json *values)
{
        const struct json *deadline = json_path(pod, "spec.activeDeadlineSeconds");
        const char *class;

        if (streq(scope, "Terminating"))
                return json_is_number(deadline);
        if (streq(scope, "NotTerminating"))
                return !json_is_number(deadline);
        if (streq(scope, "BestEffort"))
                return streq(pod_qos_class(pod), "BestEffort");
        if (streq(scope, "NotBestEffort"))
                return !streq(pod_qos_class(pod), "BestEffort");
        if (streq(scope, "CrossNamespacePodAffinity"))
                return crosses_namespaces(pod);
        if (streq(scope, "PriorityClass")) {
                class = json_path_string(pod, "spec.priorityClassName");
                return value_matches(str_empty(class) ? NULL : class, op, values);
        }
        return false;
}

/* A claim counts for the class that it wants, the one it has and the one it is being changed to. */
static bool claim_in_scope(const struct json *claim, const char *op, const struct json *values)
{
        static const char *const paths[] = { "spec.volumeAttributesClassName", "status.currentVolumeAttributesClassName",
                                             "status.modifyVolumeStatus.targetVolumeAttributesClassName" };
        bool any = false;

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                const char *class = json_path_string(claim, paths[i]);

                if (str_empty(class))
                        continue;
                any = true;
                if (value_matches(class, op, values))
                        return true;
        }
        return !any && value_matches(NULL, op, values);
}

static bool in_scope(const char *group, const char *resource, const struct json *obj, const char *scope, const char *op,
                     const struct json *values)
{
        if (!*group && streq(resource, "pods"))
                return pod_in_scope(obj, scope, op, values);
        if (!*group && streq(resource, "persistentvolumeclaims") && streq(scope, "VolumeAttributesClass")) {
                return claim_in_scope(obj, op, values);
        }
        return false; /* other kinds are in no scope */
}

bool quota_matches(const struct json *quota, const char *group, const char *resource, const struct json *obj)
{
        bool concerned = false;
        const struct json *hard = json_path(quota, "status.hard");

        json_foreach_member(json_len(hard) ? hard : json_path(quota, "spec.hard"), m) {
                concerned = concerned || quota_concerns(group, resource, m->key);
        }
        if (!concerned)
                return false;
        json_foreach_item(json_path(quota, "spec.scopes"), scope) {
                if (!in_scope(group, resource, obj, json_string(scope), "Exists", NULL))
                        return false;
        }
        json_foreach_item(json_path(quota, "spec.scopeSelector.matchExpressions"), e) {
                if (!in_scope(group, resource, obj, json_get_string(e, "scopeName"), json_get_string(e, "operator"),
                              json_get(e, "values")))
                        return false;
        }
        return true;
}

/* --- constraints --- */

static int compare_strings(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static bool container_says(struct arena *a, const struct json *c, const char *name)
{
        struct resource_list requests, limits, usage = { 0 };

        resource_list_from_json(a, json_path(c, "resources.requests"), &requests);
        resource_list_from_json(a, json_path(c, "resources.limits"), &limits);
        compute_usage(a, &requests, &limits, &usage);
        return resource_list_get(&usage, name) != NULL;
}

const char *quota_constraints(struct arena *a, const struct json *quota, const char *group, const char *resource,
                              const struct json *obj)
{
        static const char *const enforced[] = { "cpu",          "limits.cpu",    "limits.memory",
                                                "memory",       "requests.cpu",  "requests.memory" };
        static const char *const lists[] = { "containers", "initContainers" };
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const struct json *hard = json_path(quota, "status.hard"), *spec = json_get(obj, "spec");
        size_t max = json_len(json_get(spec, "containers")) + json_len(json_get(spec, "initContainers"));
        const char **names = arena_alloc(a, (max + 1) * sizeof(char *));

        if (*group || !streq(resource, "pods") || json_len(json_get(spec, "resources")))
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(enforced); i++) {
                size_t n = 0;

                if (!json_get(hard, enforced[i]))
                        continue;
                for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
                        json_foreach_item(json_get(spec, lists[k]), c) {
                                if (!container_says(a, c, enforced[i]) && json_get_string(c, "name"))
                                        names[n++] = json_get_string(c, "name");
                        }
                }
                if (!n)
                        continue;
                qsort(names, n, sizeof(char *), compare_strings);
                strbuf_printf(&b, "%s%s for: ", b.len ? "; " : "must specify ", enforced[i]);
                for (size_t k = 0; k < n; k++)
                        strbuf_printf(&b, "%s%s", k ? "," : "", names[k]);
        }
        return b.len ? arena_strndup(a, b.data, b.len) : NULL;
}
