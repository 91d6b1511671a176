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

                if (t && !object_is_deleting(pods->items[i]->json) && ready_before(have, pods->items[i]) != (int)pod_is_ready(pods->items[i]->json))
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

/* A port and who has it. */
struct offer {
        struct json *port; /* NULL: of a Service without ports */
        struct offer_pod {
                const struct object *pod;
                bool ready;
        } *pods;
        size_t n;
        unsigned __int128 hash; /* of the port: what upstream sorts by */
        bool done;
};

static void add_offer(struct arena *a, struct offer *offers, size_t *n_offers, struct json *port, const struct object *pod,
                      bool ready, size_t n_pods)
{
        struct offer *o = offers;

        while (o < offers + *n_offers && !(port ? json_equal(o->port, port) : !o->port))
                o++;
        if (o == offers + *n_offers) {
                *o = (struct offer){ .port = port, .pods = arena_calloc(a, n_pods * sizeof(*o->pods)) };
                (*n_offers)++;
        }
        o->pods[o->n++] = (struct offer_pod){ pod, ready };
}

/* Upstream hashes the struct as Go prints it. */
static unsigned __int128 port_hash(struct arena *a, const struct json *port)
{
        const char *name = json_get_string(port, "name"), *app = json_get_string(port, "appProtocol");

        return fnv128a(arena_printf(a, "(v1.EndpointPort){Name:(string)%s Port:(int32)%lld Protocol:(v1.Protocol)%s AppProtocol:(*string)%s}",
                                    name ? name : "", (long long)json_get_int(port, "port", 0), json_get_string(port, "protocol"),
                                    app ? app : "<nil>"));
}

static int compare_offers(const void *x, const void *y)
{
        const struct offer *a = x, *b = y;

        return a->hash < b->hash ? -1 : a->hash > b->hash;
}

static int compare_addresses(const void *x, const void *y)
{
        const struct offer_pod *a = x, *b = y;
        int r = strcmp(json_path_string(a->pod->json, "status.podIP"), json_path_string(b->pod->json, "status.podIP"));

        return r ? r : strcmp(a->pod->uid, b->pod->uid);
}

static bool same_pods(const struct offer *x, const struct offer *y)
{
        for (size_t i = 0; x->n == y->n && i < x->n; i++)
                if (x->pods[i].pod != y->pods[i].pod)
                        return false;
        return x->n == y->n;
}

static void add_address(struct arena *a, struct json *subset, const struct json *service, const struct offer_pod *p)
{
        struct json *address = json_new_object(a);
        const char *node = json_path_string(p->pod->json, "spec.nodeName");

        json_set_string(a, address, "ip", json_path_string(p->pod->json, "status.podIP"));
        if (hostname_of(service, p->pod->json))
                json_set_string(a, address, "hostname", hostname_of(service, p->pod->json));
        if (node)
                json_set_string(a, address, "nodeName", node);
        json_set(a, address, "targetRef", reference(a, p->pod));
        json_append(a, json_ensure_array(a, subset, p->ready ? "addresses" : "notReadyAddresses"), address);
}

/* Ports that the same pods have share a subset. */
static struct json *wanted_subsets(struct arena *a, const struct json *service, const struct object_list *pods)
{
        const struct json *ports = json_path(service, "spec.ports");
        struct offer *offers = arena_calloc(a, ((json_len(ports) + 1) * pods->n + 1) * sizeof(*offers));
        struct json *subsets = json_new_array(a);
        size_t n = 0;

        for (size_t i = 0; i < pods->n; i++) {
                const struct object *pod = pods->items[i];
                bool ready = pod_is_ready(pod->json) || publishes_not_ready(service);

                if (object_is_deleting(pod->json) && !publishes_not_ready(service))
                        continue;
                if (!json_len(ports))
                        add_offer(a, offers, &n, NULL, pod, ready, pods->n);
                json_foreach_item(ports_of(a, service, pod->json, false), port)
                        add_offer(a, offers, &n, port, pod, ready, pods->n);
        }
        for (size_t i = 0; i < n; i++) {
                qsort(offers[i].pods, offers[i].n, sizeof(*offers[i].pods), compare_addresses);
                offers[i].hash = offers[i].port ? port_hash(a, offers[i].port) : 0;
        }
        qsort(offers, n, sizeof(*offers), compare_offers);
        for (size_t i = 0; i < n; i++) {
                struct json *subset = offers[i].done ? NULL : json_new_object(a);

                if (!subset)
                        continue;
                for (size_t j = 0; j < offers[i].n; j++)
                        add_address(a, subset, service, &offers[i].pods[j]);
                for (size_t j = i; j < n; j++)
                        if (!offers[j].done && same_pods(&offers[i], &offers[j])) {
                                offers[j].done = true;
                                if (offers[j].port)
                                        json_append(a, json_ensure_array(a, subset, "ports"), offers[j].port);
                        }
                json_append(a, subsets, subset);
        }
        return subsets;
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
        subsets = wanted_subsets(a, service->json, &pods);
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

static struct json *add_slice(struct arena *a, struct json *all, struct json *ports)
{
        struct json *slice = json_new_object(a);

        json_set_string(a, slice, "addressType", "IPv4");
        json_set(a, slice, "endpoints", json_new_array(a));
        json_set(a, slice, "ports", ports);
        json_append(a, all, slice);
        return slice;
}

/* What the slices should be. */
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
                if (!slice)
                        slice = add_slice(a, all, ports);
                json_append(a, json_get(slice, "endpoints"), make_endpoint(s, a, service->json, pods->items[i]));
        }
        if (!json_len(all)) /* upstream keeps one that says "nobody" */
                add_slice(a, all, json_new_array(a));
        return all;
}

static void decorate(const struct slice_owner *owner, struct arena *a, struct json *slice, const struct json *have)
{
        struct json *meta = json_get(slice, "metadata");
        const struct json *service = owner->object->json;

        json_set(a, meta, "labels", json_new_object(a));
        copy_labels(a, service, meta, "service.kubernetes.io/headless", is_headless(service));
}

static void touch(const struct slice_owner *owner, struct arena *a, struct json *slice, const struct json *have)
{
        const struct object_list *pods = owner->userdata;
        struct object_list listed = { 0 };

        for (size_t i = 0; i < pods->n; i++)
                if (ready_in_slice(slice, pods->items[i]) >= 0)
                        list_add(a, &listed, pods->items[i]);
        set_trigger_time(a, slice, owner->object, &listed, ready_in_slice, have);
}

#define MISPLACED_AGAIN_NS NS_PER_SEC
#define MISPLACED_MAX_NS (1000 * NS_PER_SEC)

/* Pods whose node is not there: nobody could reach them, or it has not been heard of yet. */
static void leave_out(const struct snapshot *s, struct writes *w, const struct object *service, const struct object_list *pods,
                      struct object_list *ret)
{
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
        size_t n = 0;
        int64_t since;

        for (size_t i = 0; i < pods->n; i++) {
                const char *node = json_path_string(pods->items[i]->json, "spec.nodeName");

                if (publishes_not_ready(service->json) || (!str_empty(node) && snapshot_get(s, R_NODES, NULL, node))) {
                        list_add(w->arena, ret, pods->items[i]);
                        continue;
                }
                strbuf_printf(&text, "%sskipping Pod %s for Service %s: Node %s Not Found", n++ ? ", " : "", pods->items[i]->name,
                              service->key, node ? node : "");
        }
        if (!n) {
                snapshot_over(s, service->uid);
                return;
        }
        writes_event(w, service->json, "Warning", "FailedToUpdateEndpointSlices",
                     n > 1 ? "Error updating Endpoint Slices for Service %s: [%s]" : "Error updating Endpoint Slices for Service %s: %s",
                     service->key, strbuf_str(&text));
        since = s->now - snapshot_since(s, service->uid);
        writes_requeue(w, MIN(MAX(since, MISPLACED_AGAIN_NS), MISPLACED_MAX_NS)); /* twice as long each time */
}

static void reconcile_slices(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *service = snapshot_key(s, R_SERVICES, key);
        struct slice_owner owner = { service, "v1", "Service", MANAGED_BY, decorate, touch, NULL };
        struct object_list pods = { 0 }, placed = { 0 };

        if (!service || object_is_deleting(service->json) || !find_pods(s, w->arena, service, &pods))
                return;
        leave_out(s, w, service, &pods, &placed);
        owner.userdata = &placed;
        slices_write(s, w, &owner, key, wanted_slices(s, w->arena, service, &placed));
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
        slices_map(old, new, MANAGED_BY, k);
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
