/* Mirroring: Endpoints that somebody keeps by hand, of a Service without selector, appear as EndpointSlices too, so
 * that proxies need to read one kind only.
 */
#include "controllers.h"

#define MANAGED_BY "endpointslicemirroring-controller.k8s.io"
#define SKIP "endpointslice.kubernetes.io/skip-mirror"
#define ADDRESSES_MAX 1000

static bool is_mirrored(const struct snapshot *s, const struct object *endpoints)
{
        const struct object *service = endpoints ? snapshot_key(s, R_SERVICES, endpoints->key) : NULL;

        return service && !object_is_deleting(endpoints->json) && !json_len(json_path(service->json, "spec.selector")) &&
               !streq(object_label(endpoints->json, SKIP), "true") &&
               !object_annotation(endpoints->json, "control-plane.alpha.kubernetes.io/leader");
}

static struct json *make_endpoint(struct arena *a, const struct json *address, bool ready)
{
        static const char *const copied[] = { "hostname", "nodeName" };
        struct json *e = json_new_object(a);

        json_append(a, json_ensure_array(a, e, "addresses"), json_new_string(a, json_get_string(address, "ip")));
        json_set_bool(a, json_ensure_object(a, e, "conditions"), "ready", ready);
        for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
                json_set_string(a, e, copied[i], json_get_string(address, copied[i]));
        if (json_get(address, "targetRef"))
                json_set(a, e, "targetRef", json_clone(a, json_get(address, "targetRef")));
        return e;
}

static struct json *slice_ports(struct arena *a, const struct json *subset)
{
        struct json *ports = json_new_array(a);

        json_foreach_item(json_get(subset, "ports"), port) {
                struct json *p = json_clone(a, port);

                if (!json_get(p, "name"))
                        json_set_string(a, p, "name", "");
                if (!json_get(p, "protocol"))
                        json_set_string(a, p, "protocol", "TCP");
                json_append(a, ports, p);
        }
        return ports;
}

static void add_list(struct arena *a, struct json *slice, const struct json *list, bool v6, bool ready)
{
        struct json *endpoints = json_get(slice, "endpoints");

        json_foreach_item(list, address) {
                const char *ip = json_get_string(address, "ip");

                if (ip && (strchr(ip, ':') != NULL) == v6 && json_len(endpoints) < ADDRESSES_MAX)
                        json_append(a, endpoints, make_endpoint(a, address, ready));
        }
}

/* {addressType, endpoints, ports} for each subset and family. */
static struct json *wanted_slices(struct arena *a, const struct json *endpoints)
{
        struct json *all = json_new_array(a);

        json_foreach_item(json_get(endpoints, "subsets"), subset) {
                for (int v6 = 0; v6 < 2; v6++) {
                        struct json *slice = json_new_object(a);

                        json_set_string(a, slice, "addressType", v6 ? "IPv6" : "IPv4");
                        json_set(a, slice, "endpoints", json_new_array(a));
                        json_set(a, slice, "ports", slice_ports(a, subset));
                        add_list(a, slice, json_get(subset, "addresses"), v6, true);
                        add_list(a, slice, json_get(subset, "notReadyAddresses"), v6, false);
                        if (json_len(json_get(slice, "endpoints")))
                                json_append(a, all, slice);
                }
        }
        return all;
}

static void decorate(const struct slice_owner *owner, struct arena *a, struct json *slice, const struct json *have)
{
        static const char *const dropped[] = { "endpoints.kubernetes.io/last-change-trigger-time",
                                               "kubectl.kubernetes.io/last-applied-configuration" };
        const struct json *labels = json_path(owner->object->json, "metadata.labels");
        const struct json *annotations = json_path(owner->object->json, "metadata.annotations");
        struct json *meta = json_get(slice, "metadata"), *kept = annotations ? json_clone(a, annotations) : json_new_object(a);

        json_set(a, meta, "labels", labels ? json_clone(a, labels) : json_new_object(a));
        for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
                json_del(kept, dropped[i]);
        if (json_len(kept))
                json_set(a, meta, "annotations", kept);
        else
                json_del(meta, "annotations");
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *endpoints = snapshot_key(s, R_ENDPOINTS, key);
        const struct slice_owner owner = { endpoints, "v1", "Endpoints", MANAGED_BY, decorate, NULL, NULL };

        slices_write(s, w, &owner, key,
                     is_mirrored(s, endpoints) ? wanted_slices(w->arena, endpoints->json) : json_new_array(w->arena));
}

static void map_slice(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        slices_map(old, new, MANAGED_BY, k);
}

const struct controller mirroring_controller = {
        .name = "endpointslice-mirroring-controller",
        .watches = { { .resource = R_ENDPOINTS }, { .resource = R_SERVICES }, { .resource = R_SLICES, .map = map_slice } },
        .n_watches = 3,
        .reconcile = reconcile,
};
