/* NodeDeclaredFeatureValidator and PodResizeValidator: a pod that lies on a node is resized only by what that node
 * has and knows how to do. Where the pod has no node yet, the scheduler will see to it.
 */
#include "../../lib/meta/pod.h"
#include "internal.h"

/* The node of the pod in AT, where its spec changes; NULL: nobody to ask, or *ret_st. */
static struct json *node_of(struct admission_attributes *at, const struct status **ret_st)
{
        const char *name = get_string(at->object, "spec.nodeName");
        struct json *node;

        *ret_st = NULL;
        if (!*name || json_path_int(at->object, "metadata.generation", 0) == json_path_int(at->old, "metadata.generation", 0))
                return NULL;
        node = admission_get(at, "", "v1", "nodes", "", name);
        if (!node) {
                admission_catch_up(at);
                node = admission_get(at, "", "v1", "nodes", "", name);
        }
        if (!node)
                *ret_st = deny(at, "node \"%s\" not found", name);
        return node;
}

static bool other_init_resources(const struct admission_attributes *at)
{
        const struct json *before = json_path(at->old, "spec.initContainers");

        json_foreach_item(json_path(at->object, "spec.initContainers"), c) {
                if (!streq(json_get_string(c, "restartPolicy"), "Always") &&
                    !json_equal(json_get(c, "resources"), json_get(json_at(before, c_i), "resources")))
                        return true;
        }
        return false;
}

/* What the node's kubelet must have declared that it can do, for an update to make sense. */
static const struct status *declared(struct admission_attributes *at)
{
        bool needed[2];
        static const char *const names[] = { "InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers" };
        const struct status *st;
        struct json *node;
        const char *missing = NULL;

        if (!about(at, "", "pods") || (*at->subresource && !streq(at->subresource, "resize")))
                return NULL;
        needed[0] = !json_equal(json_path(at->object, "spec.resources"), json_path(at->old, "spec.resources"));
        needed[1] = other_init_resources(at);
        if (!needed[0] && !needed[1])
                return NULL;
        node = node_of(at, &st);
        for (size_t i = 0; node && i < ARRAY_SIZE(names); i++) {
                bool has = !needed[i];

                json_foreach_item(json_path(node, "status.declaredFeatures"), f)
                        has |= streq(json_string(f), names[i]);
                if (!has)
                        missing = arena_join(at->request->arena, missing ? missing : "", missing ? ", " : "", names[i], NULL);
        }
        return missing ? deny(at, "pod update requires features %s which are not available on node \"%s\"", missing,
                              get_string(node, "metadata.name"))
                       : st;
}
const struct admission_plugin plugin_declared_features = {
        .name = "NodeDeclaredFeatureValidator", .ops = ADMISSION_UPDATE, .validate = declared
};

/* The refusal ST, with a cause that tells programs why. */
static const struct status *because(struct admission_attributes *at, const struct status *st, const char *reason)
{
        struct arena *a = at->request->arena;
        struct json *details = json_clone(a, st->details), *cause = json_new_object(a);

        json_set_string(a, cause, "reason", reason);
        json_append(a, json_ensure_array(a, details, "causes"), cause);
        return status_make(a, 403, "Forbidden", details, "%s", st->message);
}

/* Rounded up to whole UNITs of 10^-9. */
static long long in_units(const struct quantity *q, long long unit)
{
        return q ? (long long)((q->nano + unit - 1) / unit) : 0;
}

static const struct status *resizable(struct admission_attributes *at)
{
        static const struct {
                const char *name;
                long long unit;
        } kinds[] = { { "cpu", 1000000 }, { "memory", 1000000000 } };
        struct arena *a = at->request->arena;
        struct resource_list wanted, there;
        const struct status *st;
        const char *os, *text = "";
        struct json *node;

        if (!about(at, "", "pods") || !streq(at->subresource, "resize"))
                return NULL;
        node = node_of(at, &st);
        if (!node)
                return st;
        os = json_get_string(json_path(node, "metadata.labels"), "kubernetes.io/os");
        if (os && !streq(os, "linux"))
                return because(at, deny(at, "pod resize is only supported on linux nodes, node \"%s\" is \"%s\"",
                                        get_string(node, "metadata.name"), os), "UnsupportedPlatform");
        pod_requests(a, at->object, &wanted);
        resource_list_from_json(a, json_path(node, "status.allocatable"), &there);
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                const struct quantity *x = resource_list_get(&wanted, kinds[i].name), *y = resource_list_get(&there, kinds[i].name);

                if (x && x->nano > (y ? y->nano : 0))
                        text = arena_printf(a, "%s%s%s, requested: %lld, allocatable: %lld", text, *text ? "; " : "",
                                            kinds[i].name, in_units(x, kinds[i].unit), in_units(y, kinds[i].unit));
        }
        return *text ? because(at, deny(at, "node didn't have enough allocatable resources: %s", text), "NodeCapacity") : NULL;
}
const struct admission_plugin plugin_pod_resize = {
        .name = "PodResizeValidator", .ops = ADMISSION_UPDATE, .validate = resizable
};
