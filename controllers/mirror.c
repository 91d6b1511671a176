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

static void set_metadata(struct arena *a, struct json *o, const struct object *endpoints)
{
        static const char *const dropped[] = { "endpoints.kubernetes.io/last-change-trigger-time",
                                               "kubectl.kubernetes.io/last-applied-configuration" };
        struct json *meta = json_ensure_object(a, o, "metadata"), *labels, *annotations;

        labels = json_path(endpoints->json, "metadata.labels");
        labels = labels ? json_clone(a, labels) : json_new_object(a);
        json_set_string(a, labels, "endpointslice.kubernetes.io/managed-by", MANAGED_BY);
        json_set_string(a, labels, "kubernetes.io/service-name", endpoints->name);
        json_set(a, meta, "labels", labels);
        annotations = json_path(endpoints->json, "metadata.annotations");
        annotations = annotations ? json_clone(a, annotations) : json_new_object(a);
        for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
                json_del(annotations, dropped[i]);
        if (json_len(annotations))
                json_set(a, meta, "annotations", annotations);
        else
                json_del(meta, "annotations");
}

static void write_slice(struct writes *w, const struct object *endpoints, const struct object *have, const struct json *wanted)
{
        struct arena *a = w->arena;
        struct json *o = have ? object_editable(a, have->json) : json_new_object(a), *meta;

        json_set_string(a, o, "apiVersion", "discovery.k8s.io/v1");
        json_set_string(a, o, "kind", "EndpointSlice");
        meta = json_ensure_object(a, o, "metadata");
        if (!have) {
                json_set(a, meta, "generateName", json_new_stringf(a, "%s-", endpoints->name));
                json_set_string(a, meta, "namespace", endpoints->namespace);
                json_append(a, json_ensure_array(a, meta, "ownerReferences"),
                            object_make_controller_ref(a, "v1", "Endpoints", endpoints->json));
        }
        set_metadata(a, o, endpoints);
        json_foreach_member(wanted, m)
                json_set(a, o, m->key, m->value);
        if (!have)
                writes_create(w, R_SLICES, endpoints->namespace, o);
        else if (!json_equal(o, have->json))
                writes_update(w, R_SLICES, NULL, o);
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *endpoints = snapshot_key(s, R_ENDPOINTS, key);
        struct object_list have = { 0 };
        struct object *const *slices;
        struct json *wanted;
        size_t n;

        slices = snapshot_by_own(s, R_SLICES, key, &n);
        for (size_t i = 0; i < n; i++)
                if (streq(object_label(slices[i]->json, "endpointslice.kubernetes.io/managed-by"), MANAGED_BY) &&
                    !object_is_deleting(slices[i]->json))
                        list_add(w->arena, &have, slices[i]);
        list_sort(&have, compare_by_creation);
        wanted = is_mirrored(s, endpoints) ? wanted_slices(w->arena, endpoints->json) : json_new_array(w->arena);
        for (size_t i = 0; i < MAX(json_len(wanted), have.n); i++) {
                const struct object *slice = i < have.n ? have.items[i] : NULL;
                const struct json *want = json_at(wanted, i);

                /* The family of a slice cannot be changed. */
                if (slice && (!want || !streq(json_get_string(slice->json, "addressType"), json_get_string(want, "addressType")))) {
                        writes_delete(w, R_SLICES, slice, -1, NULL);
                        slice = NULL;
                }
                if (want)
                        write_slice(w, endpoints, slice, want);
        }
}

static void map_slice(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *o = new ? new : old;
        const char *service = object_label(o->json, "kubernetes.io/service-name");

        if (service && streq(object_label(o->json, "endpointslice.kubernetes.io/managed-by"), MANAGED_BY))
                keys_addf(k, "%s/%s", o->namespace, service);
}

const struct controller mirroring_controller = {
        .name = "endpointslice-mirroring-controller",
        .watches = { { .resource = R_ENDPOINTS }, { .resource = R_SERVICES }, { .resource = R_SLICES, .map = map_slice } },
        .n_watches = 3,
        .reconcile = reconcile,
};
