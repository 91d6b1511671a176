/* Services to addresses: Endpoints and EndpointSlices of the pods that a Service selects.
 *
 * Both are computed whole from the pods and written where they differ. A slice holds up to a hundred
 * addresses; pods fill slices in the order of their names, so that a change touches few of them.
 */
#include "controllers.h"

#include <stdio.h>

#define SLICE_MAX 100
#define MANAGED_BY "endpointslice-controller.k8s.io"

/* The number that a Service port means for a pod: its own, or the container port it names. -1: none. */
static int64_t target_port(const struct json *port, const struct json *pod)
{
        const struct json *target = json_get(port, "targetPort");
        const char *name = json_string(target);
        int64_t n;

        if (json_is_number(target) && json_to_int(target, &n) == 0)
                return n ? n : json_get_int(port, "port", -1);
        if (!name || !*name)
                return json_get_int(port, "port", -1);
        json_foreach_item(json_path(pod, "spec.containers"), c) {
                json_foreach_item(json_get(c, "ports"), p) {
                        const char *protocol = json_get_string(p, "protocol"), *want = json_get_string(port, "protocol");

                        if (streq(json_get_string(p, "name"), name) &&
                            streq(protocol ? protocol : "TCP", want ? want : "TCP"))
                                return json_get_int(p, "containerPort", -1);
                }
        }
        return -1;
}

static struct json *make_port(struct arena *a, const struct json *port, int64_t number, bool for_slice)
{
        struct json *p = json_new_object(a);
        const char *name = json_get_string(port, "name"), *protocol = json_get_string(port, "protocol");

        if (!str_empty(name) || for_slice)
                json_set_string(a, p, "name", name ? name : "");
        json_set_int(a, p, "port", number);
        json_set_string(a, p, "protocol", protocol ? protocol : "TCP");
        if (json_get_string(port, "appProtocol"))
                json_set_string(a, p, "appProtocol", json_get_string(port, "appProtocol"));
        return p;
}

/* The ports of the Service as this pod has them; pods with equal ones share a slice or subset. */
static struct json *ports_of(struct arena *a, const struct json *service, const struct json *pod, bool for_slice)
{
        struct json *ports = json_new_array(a);

        json_foreach_item(json_path(service, "spec.ports"), port) {
                int64_t n = target_port(port, pod);

                if (n > 0)
                        json_append(a, ports, make_port(a, port, n, for_slice));
        }
        return ports;
}

static struct json *reference(struct arena *a, const struct object *pod)
{
        struct json *ref = json_new_object(a);

        json_set_string(a, ref, "kind", "Pod");
        json_set_string(a, ref, "name", pod->name);
        json_set_string(a, ref, "namespace", pod->namespace);
        json_set_string(a, ref, "uid", pod->uid);
        return ref;
}

/* Pods whose spec.subdomain is the Service get a name of their own. */
static const char *hostname_of(const struct json *service, const struct json *pod)
{
        const char *hostname = json_path_string(pod, "spec.hostname");

        return !str_empty(hostname) && streq(json_path_string(pod, "spec.subdomain"), object_name(service)) ? hostname : NULL;
}

static bool publishes_not_ready(const struct json *service)
{
        return json_path_bool(service, "spec.publishNotReadyAddresses", false);
}

static bool find_pods(const struct snapshot *s, struct arena *a, const struct object *service, struct object_list *ret)
{
        const struct json *map = json_path(service->json, "spec.selector");
        struct object *const *pods;
        struct selector sel;
        size_t n;

        if (!json_len(map) || streq(json_path_string(service->json, "spec.type"), "ExternalName"))
                return false;
        selector_from_map(a, map, &sel);
        pods = snapshot_in_namespace(s, R_PODS, service->namespace, &n);
        for (size_t i = 0; i < n; i++)
                if (json_path_string(pods[i]->json, "status.podIP") && *json_path_string(pods[i]->json, "status.podIP") &&
                    !pod_is_terminal(pods[i]->json) && selector_matches(&sel, json_path(pods[i]->json, "metadata.labels")))
                        list_add(a, ret, pods[i]);
        list_sort(ret, compare_by_name);
        return true;
}

static void copy_labels(struct arena *a, const struct json *from, struct json *meta, const char *headless_label, bool headless)
{
        struct json *labels = json_ensure_object(a, meta, "labels");

        json_foreach_member(json_path(from, "metadata.labels"), m)
                json_set(a, labels, m->key, json_clone(a, m->value));
        if (headless)
                json_set_string(a, labels, headless_label, "");
}

static bool is_headless(const struct json *service)
{
        return streq(json_path_string(service, "spec.clusterIP"), "None");
}

/* When what this write says came to be: the first of the pods' changes that it brings (NULL READY_BEFORE: of the
 * Service). Nothing, where pods changed in other ways. READY_BEFORE says whether a pod was listed as ready before;
 * negative: it was not listed. */
static void set_trigger_time(struct arena *a, struct json *object, const struct object *service,
                             const struct object_list *pods,
                             int (*ready_before)(const struct json *have, const struct object *pod), const struct json *have)
{
        int64_t first = have ? 0 : object_time(service->json, "metadata.creationTimestamp");
        char buf[TIME_BUF];

        for (size_t i = 0; have && i < pods->n; i++) {
                int64_t t = object_time(pod_condition(pods->items[i]->json, "Ready"), "lastTransitionTime");

                if (t && ready_before(have, pods->items[i]) != (int)pod_is_ready(pods->items[i]->json))
                        first = first ? MIN(first, t) : t;
        }
        object_set_annotation(a, object, "endpoints.kubernetes.io/last-change-trigger-time",
                              first ? time_format(first, buf) : NULL);
}

static int ready_in_endpoints(const struct json *have, const struct object *pod)
{
        static const char *const lists[] = { "notReadyAddresses", "addresses" };

        json_foreach_item(json_get(have, "subsets"), subset) {
                for (int i = 0; i < 2; i++)
                        json_foreach_item(json_get(subset, lists[i]), address) {
                                if (streq(json_path_string(address, "targetRef.uid"), pod->uid))
                                        return i;
                        }
        }
        return -1;
}

static int ready_in_slice(const struct json *have, const struct object *pod)
{
        json_foreach_item(json_get(have, "endpoints"), e) {
                if (streq(json_path_string(e, "targetRef.uid"), pod->uid))
                        return json_path_bool(e, "conditions.serving", false);
        }
        return -1;
}

/* --- Endpoints --- */

static struct json *subset_for(struct arena *a, struct json *subsets, struct json *ports)
{
        struct json *subset;

        json_foreach_item(subsets, it) {
                if (json_equal(json_get(it, "ports"), ports))
                        return it;
        }
        subset = json_new_object(a);
        json_append(a, subsets, subset);
        json_set(a, subset, "ports", ports);
        return subset;
}

static void add_address(struct arena *a, struct json *subsets, const struct json *service, const struct object *pod)
{
        struct json *ports = ports_of(a, service, pod->json, false), *address = json_new_object(a), *subset;
        bool ready = pod_is_ready(pod->json) || publishes_not_ready(service);
        const char *node = json_path_string(pod->json, "spec.nodeName");

        if (json_len(json_path(service, "spec.ports")) && !json_len(ports))
                return;
        if (object_is_deleting(pod->json) && !publishes_not_ready(service))
                return;
        json_set_string(a, address, "ip", json_path_string(pod->json, "status.podIP"));
        if (hostname_of(service, pod->json))
                json_set_string(a, address, "hostname", hostname_of(service, pod->json));
        if (node)
                json_set_string(a, address, "nodeName", node);
        json_set(a, address, "targetRef", reference(a, pod));
        subset = subset_for(a, subsets, ports);
        json_append(a, json_ensure_array(a, subset, ready ? "addresses" : "notReadyAddresses"), address);
}

static void reconcile_endpoints(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *service = snapshot_key(s, R_SERVICES, key), *have = snapshot_key(s, R_ENDPOINTS, key);
        struct object_list pods = { 0 };
        struct arena *a = w->arena;
        struct json *object, *subsets, *meta, *labels;

        if (!service) {
                if (have && !object_label(have->json, "endpointslice.kubernetes.io/skip-mirror") &&
                    object_label(have->json, "endpoints.kubernetes.io/managed-by"))
                        writes_delete(w, R_ENDPOINTS, have, -1, NULL);
                return;
        }
        if (object_is_deleting(service->json) || !find_pods(s, a, service, &pods))
                return;
        subsets = json_new_array(a);
        for (size_t i = 0; i < pods.n; i++)
                add_address(a, subsets, service->json, pods.items[i]);
        object = have ? object_editable(a, have->json) : json_new_object(a);
        json_set_string(a, object, "apiVersion", "v1");
        json_set_string(a, object, "kind", "Endpoints");
        meta = json_ensure_object(a, object, "metadata");
        json_set_string(a, meta, "name", service->name);
        json_set_string(a, meta, "namespace", service->namespace);
        json_set(a, meta, "labels", json_new_object(a));
        copy_labels(a, service->json, meta, "service.kubernetes.io/headless", is_headless(service->json));
        labels = json_get(meta, "labels");
        json_set_string(a, labels, "endpoints.kubernetes.io/managed-by", "endpoint-controller");
        if (json_len(subsets))
                json_set(a, object, "subsets", subsets);
        else
                json_del(object, "subsets");
        if (have && json_equal(object, have->json))
                return;
        set_trigger_time(a, object, service, &pods, ready_in_endpoints, have ? have->json : NULL);
        if (have)
                writes_update(w, R_ENDPOINTS, NULL, object);
        else
                writes_create(w, R_ENDPOINTS, service->namespace, object)->ignore_exists = true;
}

/* --- EndpointSlices --- */

static struct json *make_endpoint(const struct snapshot *s, struct arena *a, const struct json *service,
                                  const struct object *pod)
{
        struct json *e = json_new_object(a), *conditions;
        const char *node = json_path_string(pod->json, "spec.nodeName"), *zone;
        const struct object *on = node ? snapshot_get(s, R_NODES, NULL, node) : NULL;
        bool serving = pod_is_ready(pod->json), ends = object_is_deleting(pod->json);

        json_append(a, json_ensure_array(a, e, "addresses"),
                    json_new_string(a, json_path_string(pod->json, "status.podIP")));
        conditions = json_ensure_object(a, e, "conditions");
        json_set_bool(a, conditions, "ready", publishes_not_ready(service) || (serving && !ends));
        json_set_bool(a, conditions, "serving", serving);
        json_set_bool(a, conditions, "terminating", ends);
        if (hostname_of(service, pod->json))
                json_set_string(a, e, "hostname", hostname_of(service, pod->json));
        if (node)
                json_set_string(a, e, "nodeName", node);
        json_set(a, e, "targetRef", reference(a, pod));
        zone = on ? object_label(on->json, "topology.kubernetes.io/zone") : NULL;
        if (zone)
                json_set_string(a, e, "zone", zone);
        return e;
}

/* What the slices should be: an array of {ports, endpoints}. */
static struct json *wanted_slices(const struct snapshot *s, struct arena *a, const struct object *service,
                                  const struct object_list *pods)
{
        struct json *all = json_new_array(a);

        for (size_t i = 0; i < pods->n; i++) {
                struct json *ports = ports_of(a, service->json, pods->items[i]->json, true), *slice = NULL;

                json_foreach_item(all, it) {
                        if (json_len(json_get(it, "endpoints")) < SLICE_MAX && json_equal(json_get(it, "ports"), ports))
                                slice = it;
                }
                if (!slice) {
                        slice = json_new_object(a);
                        json_set(a, slice, "endpoints", json_new_array(a));
                        json_set(a, slice, "ports", ports);
                        json_append(a, all, slice);
                }
                json_append(a, json_get(slice, "endpoints"), make_endpoint(s, a, service->json, pods->items[i]));
        }
        if (!json_len(all)) { /* upstream keeps one that says "nobody" */
                struct json *slice = json_new_object(a);

                json_set(a, slice, "endpoints", json_new_array(a));
                json_set(a, slice, "ports", json_new_array(a));
                json_append(a, all, slice);
        }
        return all;
}

static void write_slice(struct writes *w, const struct object *service, const struct object_list *pods,
                        const struct object *have, struct json *wanted)
{
        struct arena *a = w->arena;
        struct json *o = have ? object_editable(a, have->json) : json_new_object(a), *meta, *labels;

        json_set_string(a, o, "apiVersion", "discovery.k8s.io/v1");
        json_set_string(a, o, "kind", "EndpointSlice");
        json_set_string(a, o, "addressType", "IPv4");
        meta = json_ensure_object(a, o, "metadata");
        if (!have) {
                json_set(a, meta, "generateName", json_new_stringf(a, "%s-", service->name));
                json_set_string(a, meta, "namespace", service->namespace);
                json_append(a, json_ensure_array(a, meta, "ownerReferences"),
                            object_make_controller_ref(a, "v1", "Service", service->json));
        }
        json_set(a, meta, "labels", json_new_object(a));
        copy_labels(a, service->json, meta, "service.kubernetes.io/headless", is_headless(service->json));
        labels = json_get(meta, "labels");
        json_set_string(a, labels, "endpointslice.kubernetes.io/managed-by", MANAGED_BY);
        json_set_string(a, labels, "kubernetes.io/service-name", service->name);
        json_set(a, o, "endpoints", json_get(wanted, "endpoints"));
        json_set(a, o, "ports", json_get(wanted, "ports"));
        if (have && json_equal(o, have->json))
                return;
        set_trigger_time(a, o, service, pods, ready_in_slice, have ? have->json : NULL);
        if (have)
                writes_update(w, R_SLICES, NULL, o);
        else
                writes_create(w, R_SLICES, service->namespace, o);
}

static void reconcile_slices(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *service = snapshot_key(s, R_SERVICES, key);
        struct object_list pods = { 0 }, have = { 0 };
        struct object *const *slices;
        struct json *wanted;
        size_t n;

        if (!service || object_is_deleting(service->json) || !find_pods(s, w->arena, service, &pods))
                return;
        slices = snapshot_by_own(s, R_SLICES, key, &n);
        for (size_t i = 0; i < n; i++)
                if (streq(object_label(slices[i]->json, "endpointslice.kubernetes.io/managed-by"), MANAGED_BY) &&
                    !object_is_deleting(slices[i]->json))
                        list_add(w->arena, &have, slices[i]);
        list_sort(&have, compare_by_creation);
        wanted = wanted_slices(s, w->arena, service, &pods);
        for (size_t i = 0; i < MAX(json_len(wanted), have.n); i++)
                if (i >= json_len(wanted))
                        writes_delete(w, R_SLICES, have.items[i], -1, NULL);
                else
                        write_slice(w, service, &pods, i < have.n ? have.items[i] : NULL, json_at(wanted, i));
}

/* --- which Services a pod concerns: those that select it now or did --- */

static void map_pod_state(const struct snapshot *s, const struct object *pod, const struct keys *k)
{
        struct object *const *services;
        size_t n;

        services = snapshot_in_namespace(s, R_SERVICES, pod->namespace, &n);
        for (size_t i = 0; i < n; i++) {
                const struct json *map = json_path(services[i]->json, "spec.selector");
                bool matches = json_len(map) > 0;

                json_foreach_member(map, m)
                        matches &= streq(object_label(pod->json, m->key), json_string(m->value));
                if (matches)
                        keys_add(k, services[i]->key);
        }
}

static void map_pod(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (old)
                map_pod_state(s, old, k);
        if (new)
                map_pod_state(s, new, k);
}

static void map_slice(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *o = new ? new : old;
        const char *service = object_label(o->json, "kubernetes.io/service-name");

        if (service)
                keys_addf(k, "%s/%s", o->namespace, service);
}

const struct controller endpoints_controller = {
        .name = "endpoints-controller",
        .component = "endpoint-controller",
        .watches = { { .resource = R_SERVICES }, { .resource = R_PODS, .map = map_pod }, { .resource = R_ENDPOINTS } },
        .n_watches = 3,
        .reconcile = reconcile_endpoints,
};

const struct controller slices_controller = {
        .name = "endpointslice-controller",
        .component = "endpoint-slice-controller",
        .watches = { { .resource = R_SERVICES },
                     { .resource = R_PODS, .map = map_pod },
                     { .resource = R_SLICES, .map = map_slice },
                     { .resource = R_NODES, .passive = true } },
        .n_watches = 4,
        .reconcile = reconcile_slices,
};
